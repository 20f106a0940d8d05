/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXTENDED COPY (LID1) and RECEIVE COPY … (topology: fake_target.h; LUN 1 has a NAA of its own
 * here, and is read-only).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_target.h"

struct list {
	uint8_t data[16384];
	uint32_t len, targets, segments;
};

static void add_target(struct list *l, const struct lu *lu)
{
	uint8_t *t = l->data + l->len;

	assert_int_equal(l->segments, 0);
	memset(t, 0, 32);
	t[0] = 0xe4;
	t[4] = 1; /* binary */
	t[5] = 3; /* NAA */
	t[7] = lu->id.naa_len;
	memcpy(t + 8, lu->id.naa, lu->id.naa_len);
	put_be24(t + 29, 512);
	l->len += 32;
	put_be16(l->data + 2, 32 * ++l->targets);
}

static uint8_t *add_segment(struct list *l, uint16_t from, uint16_t to, uint16_t blocks, uint64_t from_lba, uint64_t to_lba)
{
	uint8_t *s = l->data + l->len;

	memset(s, 0, 28);
	s[0] = 0x02;
	put_be16(s + 2, 24);
	put_be16(s + 4, from);
	put_be16(s + 6, to);
	put_be16(s + 10, blocks);
	put_be64(s + 12, from_lba);
	put_be64(s + 20, to_lba);
	l->len += 28;
	put_be32(l->data + 8, 28 * ++l->segments);
	return s;
}

static struct list *list_new(struct fake_target *f, uint8_t id)
{
	static struct list l;

	memset(&l, 0, sizeof(l));
	l.len = 16;
	l.data[0] = id;
	f->ro->id.naa[15] = 99;
	add_target(&l, f->lu);
	return &l;
}

static size_t copy_cdb(uint8_t *cdb, uint32_t len)
{
	memset(cdb, 0, 16);
	cdb[0] = 0x83;
	put_be32(cdb + 10, len);
	return 16;
}

static void copy(struct fake_target *f, const struct list *l)
{
	uint8_t cdb[16];

	fake_run(f, cdb, copy_cdb(cdb, l->len), l->data, l->len);
}

static const uint8_t *receive(struct fake_target *f, uint8_t sa, uint8_t id)
{
	uint8_t cdb[16] = { 0x84, sa, id, [12] = 1 };

	fake_run(f, cdb, 16, NULL, 256);
	return f->cmd.buf;
}

static void fill(struct fake_target *f, uint64_t lba, uint32_t blocks, uint8_t seed)
{
	for (uint32_t i = 0; i < blocks * 512; i++)
		f->disk.data[lba * 512 + i] = seed + i / 512 + i % 251;
}

/* ---- what is copied -------------------------------------------------------------------------- */

static void copies_segments(void **state)
{
	struct fake_target *f = *state;

	for (int later = 0; later < 2; later++) {
		struct list *l = list_new(f, 1);

		f->disk.later = later;
		memset(f->disk.data, 0, FAKE_BLOCKS * 512);
		fill(f, 0, 5000, 3 + later);
		add_segment(l, 0, 0, 5000, 0, 60000);	/* several chunks */
		add_segment(l, 0, 0, 0, 0, 0);		/* nothing */
		add_segment(l, 0, 0, 1, 17, FAKE_BLOCKS - 1);
		copy(f, l);
		assert_good(f);
		assert_memory_equal(f->disk.data, f->disk.data + 60000 * 512, 5000 * 512);
		assert_memory_equal(f->disk.data + 17 * 512, f->disk.data + (FAKE_BLOCKS - 1) * 512, 512);
		assert_int_equal(f->disk.data[65000 * 512], 0);
		assert_true(cds_list_empty(&f->lu->shard[0].tasks));
		receive(f, 0, 1);
		assert_good(f);
		assert_int_equal(f->cmd.buf[4], 1); /* completed without errors */
		assert_int_equal(get_be16(f->cmd.buf + 5), 3);
		assert_int_equal(f->cmd.buf[7], 0);
		assert_int_equal(get_be32(f->cmd.buf + 8), 5001 * 512);
	}
}

static void between_logical_units(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 0);

	fill(f, 0, 4, 1);
	f->ro->block_size = 4096; /* LUN 1 has larger blocks */
	f->ro->blocks = FAKE_BLOCKS / 8;
	add_target(l, f->ro);
	add_segment(l, 1, 0, 1, 0, 800);
	copy(f, l);
	assert_good(f);
	assert_memory_equal(f->disk.data, f->disk.data + 800 * 512, 4096);
	l = list_new(f, 0);
	add_target(l, f->ro);
	add_segment(l, 0, 1, 8, 0, 1); /* is read-only */
	copy(f, l);
	assert_sense(f, SENSE(0xa, 0x0d, 0x01));
	l = list_new(f, 0);
	add_target(l, f->ro);
	add_segment(l, 1, 0, 8, 0, 1600)[1] = 0x02; /* DC: 8 blocks of the destination */
	copy(f, l);
	assert_good(f);
	assert_memory_equal(f->disk.data, f->disk.data + 1600 * 512, 4096);
	l = list_new(f, 0);
	add_target(l, f->ro);
	add_segment(l, 0, 1, 7, 0, 0);
	copy(f, l);
	assert_sense(f, SENSE(0xa, 0x26, 0x0a)); /* not a whole block there */
	f->ro->block_size = 512;
	f->ro->blocks = FAKE_BLOCKS;
}

/* A logical unit that this I_T nexus does not see cannot be read through the back door. */
static void only_what_the_nexus_sees(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 0);
	struct lu other = *f->lu;

	other.id.naa[15] = 77;
	add_target(l, &other);
	add_segment(l, 1, 0, 8, 0, 0);
	copy(f, l);
	assert_sense(f, SENSE(0xa, 0x0d, 0x02));
	assert_int_equal(f->disk.ops[DISK_READ], 0);
}

/* ---- parameter lists ------------------------------------------------------------------------- */

static void wrong_lists(void **state)
{
	struct fake_target *f = *state;
	static const struct {
		uint32_t offset;
		uint8_t value;
		sense_t sense;
	} cases[] = {
		{ 1, 0x08, SENSE(5, 0x26, 0x00) },	/* LIST ID USAGE 01b */
		{ 1, 0x18, SENSE(5, 0x26, 0x00) },	/* 11b with a list identifier */
		{ 3, 31, SENSE(5, 0x1a, 0x00) },	/* not whole descriptors */
		{ 3, 64, SENSE(5, 0x1a, 0x00) },	/* longer than the list */
		{ 11, 29, SENSE(5, 0x1a, 0x00) },
		{ 8, 0xff, SENSE(5, 0x1a, 0x00) },
		{ 15, 1, SENSE(5, 0x1a, 0x00) },	/* inline data that is not there */
		{ 16, 0xe0, SENSE(5, 0x26, 0x07) },
		{ 17, 0x01, SENSE(0xa, 0x0d, 0x03) },	/* a tape */
		{ 20, 0x02, SENSE(0xa, 0x0d, 0x02) },	/* code set of NAA is binary */
		{ 21, 0x13, SENSE(0xa, 0x0d, 0x02) },	/* designates a port */
		{ 23, 15, SENSE(0xa, 0x0d, 0x02) },
		{ 23, 255, SENSE(0xa, 0x0d, 0x02) },
		{ 30, 0xff, SENSE(0xa, 0x0d, 0x02) },	/* another NAA */
		{ 48, 0x0a, SENSE(5, 0x26, 0x09) },
		{ 51, 20, SENSE(5, 0x26, 0x00) },	/* DESCRIPTOR LENGTH */
		{ 53, 1, SENSE(0xa, 0x08, 0x04) },	/* no such target descriptor */
		{ 55, 0xff, SENSE(0xa, 0x08, 0x04) },
		{ 60, 0x80, SENSE(0xa, 0x00, 0x00) },	/* source beyond the end */
		{ 68, 0xff, SENSE(0xa, 0x00, 0x00) },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct list *l = list_new(f, 1);

		add_segment(l, 0, 0, 8, 0, 100);
		l->data[cases[i].offset] = cases[i].value;
		copy(f, l);
		if (fake_sense(f) != cases[i].sense)
			fail_msg("case %u: sense %06x", i, fake_sense(f));
	}
	assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], 0);
}

static void lengths(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 1);
	uint8_t cdb[16];

	add_segment(l, 0, 0, 8, 0, 100);
	for (uint32_t len = 1; len < l->len; len++) {
		fake_run(f, cdb, copy_cdb(cdb, len), l->data, len);
		assert_sense(f, SENSE(5, 0x1a, 0x00));
	}
	fake_run(f, cdb, copy_cdb(cdb, l->len), l->data, l->len - 1); /* the initiator has less */
	assert_sense(f, SENSE(5, 0x1a, 0x00));
	fake_run(f, cdb, copy_cdb(cdb, 0), NULL, 0);
	assert_good(f);
	put_be32(l->data + 12, 1);
	l->len++;
	copy(f, l);
	assert_sense(f, SENSE(5, 0x26, 0x0b));
}

static void limits(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *p = receive(f, 3, 0);
	uint16_t targets = get_be16(p + 8), segments = get_be16(p + 10);
	uint32_t list_max = get_be32(p + 12);
	struct list *l = list_new(f, 0);

	assert_good(f);
	assert_true(targets >= 2 && segments >= 1);
	assert_int_equal(get_be32(p), f->cmd.data_in_len - 4);
	while (l->targets < targets)
		add_target(l, f->lu);
	while (l->segments < segments)
		add_segment(l, targets - 1, 0, 1, 1, 2);
	assert_true(l->len - 16 <= list_max);
	copy(f, l);
	assert_good(f);
	l = list_new(f, 0);
	while (l->targets <= targets)
		add_target(l, f->lu);
	copy(f, l);
	assert_sense(f, SENSE(5, 0x26, 0x06));
	l = list_new(f, 0);
	while (l->segments <= segments)
		add_segment(l, 0, 0, 1, 1, 2);
	copy(f, l);
	assert_sense(f, SENSE(5, 0x26, 0x08));
}

/* ---- what is told afterwards ----------------------------------------------------------------- */

static void failures_are_told(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 7);
	const uint8_t *p;

	receive(f, 0, 7);
	fake_assert_bad_field(f, 2);
	receive(f, 4, 7);
	fake_assert_bad_field(f, 2);
	add_segment(l, 0, 0, 2, 0, 100);
	add_segment(l, 0, 0, 2, 0, 200);
	f->disk.fail_op = DISK_WRITE;
	f->disk.fail_after = 1;
	f->disk.fail_errno = -EIO;
	copy(f, l);
	assert_sense(f, SENSE(0xa, 0x0d, 0x01));
	assert_int_equal(get_be32(f->cmd.sense + 8), 1); /* the second segment */
	f->disk.fail_op = -1;
	p = receive(f, 0, 7);
	assert_int_equal(p[4], 2);
	assert_int_equal(get_be16(p + 5), 1);
	assert_int_equal(get_be32(p + 8), 1024);
	p = receive(f, 4, 7);
	assert_good(f);
	assert_int_equal(get_be32(p), f->cmd.data_in_len - 4);
	assert_int_equal(p[56], STATUS_CHECK_CONDITION);
	assert_int_equal(get_be16(p + 58), f->cmd.data_in_len - 60);
	assert_int_equal(p[62] & 0xf, 0xa);
	l = list_new(f, 7);
	copy(f, l); /* no segments: nothing to do, and the old failure is forgotten */
	assert_good(f);
	p = receive(f, 4, 7);
	assert_int_equal(get_be32(p), 0);
}

/* More list identifiers than are kept: the newest are known. */
static void results_are_bounded(void **state)
{
	struct fake_target *f = *state;

	for (int id = 0; id < 100; id++)
		copy(f, list_new(f, id));
	receive(f, 0, 0);
	fake_assert_bad_field(f, 2);
	receive(f, 0, 99);
	assert_good(f);
}

/* ---- the gates hold for every chunk ---------------------------------------------------------- */

static void reservations_made_meanwhile(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 1);
	struct resv_view view = { .generation = 1, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE, .registrations = true,
				  .holder = { 7, "iqn.2026-11.test:other,i,0x1" } };
	uint8_t cdb[16];
	unsigned writes;

	add_segment(l, 0, 0, 30000, 0, 30000);
	f->disk.later = true;
	fake_start(f, cdb, copy_cdb(cdb, l->len), l->data, l->len);
	while (f->disk.ops[DISK_WRITE] < 2)
		fake_turn(f);
	f->lu->resv = &view;
	writes = f->disk.ops[DISK_WRITE];
	while (!f->ended)
		fake_turn(f);
	assert_sense(f, SENSE(0xa, 0x0d, 0x01));
	assert_int_equal(f->disk.ops[DISK_WRITE], writes);
	f->lu->resv = NULL;
}

/* A planned move: the copy ends with what initiators retry, at once, for the drain waits for it
 * (P7). */
static void gate_closes_meanwhile(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 1);
	uint8_t cdb[16];

	add_segment(l, 0, 0, 30000, 0, 30000);
	f->disk.later = true;
	fake_start(f, cdb, copy_cdb(cdb, l->len), l->data, l->len);
	while (f->disk.ops[DISK_WRITE] < 2)
		fake_turn(f);
	f->gate.medium = GATE_HOLD;
	f->gate.medium_sense = SENSE_LU_NOT_READY_TRANSITION;
	f->gate.hold_limit_ms = 10000;
	for (int i = 0; i < 4; i++)
		fake_turn(f);
	assert_true(f->ended);
	assert_sense(f, SENSE_LU_NOT_READY_TRANSITION);
	assert_true(cds_list_empty(&f->lu->shard[0].admitted));
}

static void aborted(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 1);
	uint8_t cdb[16];

	for (unsigned after = 0; after < 12; after++) {
		f->disk.later = true;
		l = list_new(f, 1);
		add_segment(l, 0, 0, 30000, 0, 30000);
		fake_start(f, cdb, copy_cdb(cdb, l->len), l->data, l->len);
		for (unsigned i = 0; i < after; i++)
			fake_turn(f);
		f->cmd.aborted = true;
		for (int i = 0; i < 4 && !f->ended; i++)
			fake_turn(f);
		assert_true(f->ended);
		assert_true(cds_list_empty(&f->lu->shard[0].tasks));
		f->disk.later = false;
		assert_int_equal(receive(f, 0, 1)[4], 2);
	}
}

static bool second_ended;

static void second_done(struct scsi_cmd *cmd)
{
	(void)cmd;
	second_ended = true;
}

static void same_list_identifier_twice(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 3);
	struct scsi_cmd second = { .nexus = &f->nexus, .write = true, .expected_len = 76, .done = second_done };
	uint8_t cdb[16];

	add_segment(l, 0, 0, 8, 0, 100);
	f->disk.later = true;
	fake_start(f, cdb, copy_cdb(cdb, l->len), l->data, l->len);
	memcpy(second.cdb, cdb, 16);
	cmd_init(&second);
	cmd_decode(&second);
	assert_true(cmd_buf_alloc(&second, l->len));
	memcpy(second.buf, l->data, l->len);
	second.data_out_got = l->len;
	cmd_execute(&second);
	assert_true(second_ended);
	assert_int_equal(second.status, STATUS_CHECK_CONDITION);
	assert_int_equal(second.sense[2], 5);
	assert_int_equal(second.sense[13], 0x16); /* OPERATION IN PROGRESS */
	cmd_fini(&second);
	while (!f->ended)
		fake_turn(f);
	assert_good(f);
}

static void third_party_copy_page(void **state)
{
	struct fake_target *f = *state;
	static const uint16_t types[] = { 0x0000, 0x0001, 0x0004, 0x0008, 0x0106, 0x0108, 0x8001 };
	uint8_t cdb[6] = { 0x12, 1, 0x8f, 4, 0 };
	uint32_t at = 4, seen = 0;

	fake_run(f, cdb, 6, NULL, 1024);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 4 + get_be16(f->cmd.buf + 2));
	while (at < f->cmd.data_in_len) {
		uint16_t len = get_be16(f->cmd.buf + at + 2);

		assert_int_equal(len % 4, 0); /* SPC-4 7.8.17.2 */
		assert_true(seen < 7);
		assert_int_equal(get_be16(f->cmd.buf + at), types[seen++]);
		at += 4 + len;
	}
	assert_int_equal(at, f->cmd.data_in_len);
	assert_int_equal(seen, 7);
	cdb[1] = cdb[2] = 0;
	fake_run(f, cdb, 6, NULL, 256);
	assert_int_equal(f->cmd.buf[5] & 0x08, 0x08); /* 3PC */
}

/* ---- (LID4) ---------------------------------------------------------------------------------- */

/* The same lists behind the header of 48 bytes (SPC-4 table 126). */
static uint32_t lid4(uint8_t *out, const struct list *l, uint32_t id, bool immed)
{
	memset(out, 0, 48);
	out[0] = 0x01;
	put_be16(out + 2, 0x20);
	out[15] = immed;
	out[16] = 0xff;
	put_be32(out + 20, id);
	put_be16(out + 42, 32 * l->targets);
	put_be16(out + 44, 28 * l->segments);
	memcpy(out + 48, l->data + 16, l->len - 16);
	return l->len + 32;
}

static void copy_lid4(struct fake_target *f, const uint8_t *data, uint32_t len)
{
	uint8_t cdb[16];

	copy_cdb(cdb, len);
	cdb[1] = 0x01;
	fake_run(f, cdb, 16, data, len);
}

static const uint8_t *receive_lid4(struct fake_target *f, uint8_t sa, uint32_t id)
{
	uint8_t cdb[16] = { 0x84, sa, [12] = 1 };

	put_be32(cdb + 2, id);
	fake_run(f, cdb, 16, NULL, 256);
	return f->cmd.buf;
}

static void lid4_copies(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 0);
	uint8_t data[512];
	const uint8_t *p;

	receive_lid4(f, 5, 0x12345678);
	fake_assert_bad_field(f, 2);
	fill(f, 0, 3000, 3);
	add_segment(l, 0, 0, 3000, 0, 60000);
	add_segment(l, 0, 0, 1, 17, 1);
	copy_lid4(f, data, lid4(data, l, 0x12345678, false));
	assert_good(f);
	assert_memory_equal(f->disk.data + 2 * 512, f->disk.data + 60002 * 512, 2998 * 512);
	p = receive_lid4(f, 5, 0x12345678);
	assert_int_equal(get_be32(p), 28);
	assert_int_equal(p[4], 0x01);
	assert_int_equal(p[5], 0x01);
	assert_int_equal(get_be16(p + 6), 6); /* READs and WRITEs: 1 MiB each at most */
	assert_int_equal(get_be32(p + 8), 0xfffffffe);
	assert_int_equal(p[15], 0);
	assert_int_equal(get_be64(p + 16), 3001 * 512);
	assert_int_equal(get_be16(p + 24), 2);
	p = receive_lid4(f, 6, 0x12345678);
	assert_int_equal(get_be32(p), 32);
	assert_int_equal(get_be32(p + 32), 0); /* HELD DATA LENGTH */
}

static void lid4_wrong_headers(void **state)
{
	static const struct {
		uint32_t offset;
		uint8_t value;
		sense_t sense;
	} cases[] = {
		{ 0, 0x00, SENSE(5, 0x26, 0x00) }, { 1, 0x08, SENSE(5, 0x26, 0x00) }, { 1, 0x18, SENSE(5, 0x26, 0x00) },
		{ 3, 0x10, SENSE(5, 0x26, 0x00) }, { 15, 0x02, SENSE(5, 0x26, 0x00) }, { 16, 0xe4, SENSE(5, 0x26, 0x00) },
		{ 43, 31, SENSE(5, 0x1a, 0x00) },  { 43, 64, SENSE(5, 0x1a, 0x00) },   { 45, 29, SENSE(5, 0x1a, 0x00) },
		{ 47, 1, SENSE(5, 0x1a, 0x00) },   { 48, 0xe0, SENSE(5, 0x26, 0x07) }, { 80, 0x0a, SENSE(5, 0x26, 0x09) },
	};
	struct fake_target *f = *state;
	struct list *l = list_new(f, 0);
	uint8_t data[512];
	uint32_t len;

	add_segment(l, 0, 0, 8, 0, 100);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = lid4(data, l, 1, false);
		data[cases[i].offset] = cases[i].value;
		copy_lid4(f, data, len);
		if (fake_sense(f) != cases[i].sense)
			fail_msg("case %u: sense %06x", i, fake_sense(f));
	}
	len = lid4(data, l, 1, false);
	for (uint32_t n = 1; n < len; n++) {
		copy_lid4(f, data, n);
		assert_sense(f, SENSE(5, 0x1a, 0x00));
	}
	assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], 0);
}

/* One space of identifiers (5.17.4.2). */
static void lid1_and_lid4_share_identifiers(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 9);
	uint8_t data[512];

	add_segment(l, 0, 0, 8, 0, 100);
	copy(f, l);
	assert_int_equal(receive_lid4(f, 5, 9)[5], 0x01);
	assert_int_equal(f->cmd.buf[4], 0x00);
	copy_lid4(f, data, lid4(data, l, 9, false));
	receive(f, 0, 9);
	assert_good(f);
}

static void lid4_in_background(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 0);
	uint8_t data[512], abort_cdb[16] = { 0x83, 0x1c, [5] = 7 };
	const uint8_t *p;

	fill(f, 0, 9000, 5);
	f->disk.later = true;
	add_segment(l, 0, 0, 9000, 0, 30000);
	add_segment(l, 0, 0, 9000, 0, 50000);
	copy_lid4(f, data, lid4(data, l, 7, true));
	assert_good(f);
	p = receive_lid4(f, 5, 7);
	assert_int_equal(p[5], 0x12);
	while (receive_lid4(f, 5, 7)[5] == 0x12)
		fake_turn(f);
	assert_int_equal(f->cmd.buf[5], 0x01);
	assert_memory_equal(f->disk.data, f->disk.data + 50000 * 512, 9000 * 512);
	copy_lid4(f, data, lid4(data, l, 7, true));
	assert_good(f);
	fake_turn(f);
	fake_run(f, abort_cdb, 16, NULL, 0);
	assert_good(f);
	assert_int_equal(receive_lid4(f, 5, 7)[5], 0x60);
	assert_true(cds_list_empty(&f->lu->shard[0].tasks));
}

/* The command that waits for the end of its copy ends with COMMANDS CLEARED BY DEVICE SERVER (5.17.4.7). */
static void foreground_is_aborted(void **state)
{
	struct fake_target *f = *state;
	struct list *l = list_new(f, 7);
	struct scsi_cmd stop = { .nexus = &f->nexus, .cdb = { 0x83, 0x1c, [5] = 7 }, .done = second_done };
	uint8_t cdb[16];

	add_segment(l, 0, 0, 30000, 0, 30000);
	f->disk.later = true;
	fake_start(f, cdb, copy_cdb(cdb, l->len), l->data, l->len);
	fake_turn(f);
	second_ended = false;
	cmd_init(&stop);
	cmd_decode(&stop);
	cmd_execute(&stop);
	for (int i = 0; i < 4; i++)
		fake_turn(f);
	assert_true(f->ended && second_ended);
	assert_int_equal(stop.status, STATUS_GOOD);
	assert_sense(f, SENSE(0xa, 0x2f, 0x02));
	assert_null(f->disk.pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(copies_segments), T(between_logical_units), T(only_what_the_nexus_sees), T(wrong_lists), T(lengths), T(limits),
		T(failures_are_told), T(results_are_bounded), T(reservations_made_meanwhile), T(gate_closes_meanwhile),
		T(aborted), T(same_list_identifier_twice), T(third_party_copy_page),
		T(lid4_copies), T(lid4_wrong_headers), T(lid1_and_lid4_share_identifiers), T(lid4_in_background),
		T(foreground_is_aborted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
