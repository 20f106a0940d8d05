/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POPULATE TOKEN, WRITE USING TOKEN, RECEIVE ROD TOKEN INFORMATION, COPY OPERATION ABORT (topology:
 * fake_target.h; LUN 1 may be written here, it is another logical unit on the same disk).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/reactor.h"
#include "core/remote.h"
#include "core/rod.h"
#include "fake_target.h"

#define NS 1000000000ull

struct ranges {
	uint32_t n;
	struct {
		uint64_t lba;
		uint32_t blocks;
	} r[80];
};

static uint8_t list[4096];

static int setup(void **state)
{
	struct fake_target *f;

	fake_setup(state);
	f = *state;
	f->nexus.itl[1].read_only = false;
	f->ro->id.naa[15] = 99;
	for (uint32_t i = 0; i < FAKE_BLOCKS * FAKE_BLOCK; i++)
		f->disk.data[i] = i / 512 * 7 + i % 509;
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 3; i++) /* watches that are being taken away */
		fake_turn(*state);
	return fake_teardown(state);
}

static uint8_t *at_block(const struct fake_target *f, uint64_t lba)
{
	return f->disk.data + lba * 512;
}

static struct ranges one(uint64_t lba, uint32_t blocks)
{
	return (struct ranges){ .n = 1, .r = { { lba, blocks } } };
}

static uint32_t put_ranges(uint32_t len_at, const struct ranges *r)
{
	put_be16(list + len_at, 16 * r->n);
	for (uint32_t i = 0; i < r->n; i++) {
		memset(list + len_at + 2 + 16 * i, 0, 16);
		put_be64(list + len_at + 2 + 16 * i, r->r[i].lba);
		put_be32(list + len_at + 2 + 16 * i + 8, r->r[i].blocks);
	}
	return len_at + 2 + 16 * r->n;
}

static size_t cdb_of(uint8_t *cdb, uint8_t sa, uint32_t id, uint32_t len)
{
	memset(cdb, 0, 16);
	cdb[0] = 0x83;
	cdb[1] = sa;
	put_be32(cdb + 6, id);
	put_be32(cdb + 10, len);
	return 16;
}

static uint32_t populate_list(const struct ranges *r, uint32_t timeout_s)
{
	uint32_t len;

	memset(list, 0, sizeof(list));
	len = put_ranges(14, r);
	put_be16(list, len - 2);
	put_be32(list + 4, timeout_s);
	return len;
}

static void populate(struct fake_target *f, uint32_t id, const struct ranges *r, uint32_t timeout_s)
{
	uint32_t len = populate_list(r, timeout_s);
	uint8_t cdb[16];

	fake_run(f, cdb, cdb_of(cdb, 0x10, id, len), list, len);
}

static const uint8_t *receive(struct fake_target *f, uint8_t sa, uint32_t id)
{
	uint8_t cdb[16] = { 0x84, sa, [12] = 4 };

	put_be32(cdb + 2, id);
	fake_run(f, cdb, 16, NULL, 1024);
	return f->cmd.buf;
}

static void get_token(struct fake_target *f, uint32_t id, uint8_t *token)
{
	const uint8_t *p = receive(f, 7, id);

	assert_good(f);
	assert_int_equal(get_be32(p), f->cmd.data_in_len - 4);
	assert_int_equal(p[4], 0x10);
	assert_int_equal(p[5], 0x01);
	assert_int_equal(get_be32(p + 8), 0xfffffffe);
	assert_int_equal(get_be32(p + 32 + p[13]), 514);
	memcpy(token, p + 32 + p[13] + 4 + 2, 512);
	assert_int_equal(get_be16(token + 6), 0x01f8);
}

static void token_of(struct fake_target *f, const struct ranges *r, uint32_t timeout_s,
		     uint8_t *token)
{
	populate(f, 77, r, timeout_s);
	assert_good(f);
	get_token(f, 77, token);
}

static uint32_t write_list(const uint8_t *token, uint64_t offset, const struct ranges *r,
			   uint8_t flags)
{
	uint32_t len;

	memset(list, 0, sizeof(list));
	len = put_ranges(534, r);
	put_be16(list, len - 2);
	list[2] = flags;
	put_be64(list + 8, offset);
	memcpy(list + 16, token, 512);
	return len;
}

static void write_start(struct fake_target *f, uint32_t id, const uint8_t *token, uint64_t offset,
			const struct ranges *r, uint8_t flags)
{
	uint32_t len = write_list(token, offset, r, flags);
	uint8_t cdb[16];

	fake_start(f, cdb, cdb_of(cdb, 0x11, id, len), list, len);
}

static void finish(struct fake_target *f)
{
	for (int turn = 0; !f->ended && turn < 10000; turn++)
		fake_turn(f);
	assert_true(f->ended);
}

static void use(struct fake_target *f, const uint8_t *token, uint64_t offset,
		const struct ranges *r, uint8_t flags)
{
	write_start(f, 78, token, offset, r, flags);
	finish(f);
}

/* ---- what is copied -------------------------------------------------------------------------- */

static void copies(void **state)
{
	struct fake_target *f = *state;
	struct ranges from = one(100, 9000), to = one(40000, 9000);
	uint8_t token[512];
	const uint8_t *p;

	for (int later = 0; later < 2; later++) {
		f->disk.later = later;
		f->at_lun = 0;
		token_of(f, &from, 0, token);
		assert_int_equal(get_be32(token), 0x00800001);
		assert_int_equal(get_be64(token + 56), 9000 * 512);
		f->at_lun = later; /* the other logical unit, too */
		use(f, token, 0, &to, 0);
		assert_good(f);
		assert_memory_equal(at_block(f, 100), at_block(f, 40000), 9000 * 512);
		assert_true(cds_list_empty(&f->lu->shard[0].tasks));
		p = receive(f, 7, 78);
		assert_int_equal(p[4], 0x11);
		assert_int_equal(p[5], 0x01);
		assert_int_equal(p[15], 0xf1);
		assert_int_equal(get_be64(p + 16), 9000);
		assert_int_equal(get_be16(p + 24), 0);
		assert_int_equal(get_be32(p + 32 + p[13]), 0); /* it makes no token */
		memset(at_block(f, 40000), 0, 9000 * 512);
	}
}

/* Any ranges to any ranges, at any offset, against a plain copy in memory. */
static void scatters_and_gathers(void **state)
{
	struct fake_target *f = *state;
	static uint8_t rod[64 * 100 * 512];
	uint8_t token[512];

	srand(42);
	for (int round = 0; round < 60; round++) {
		struct ranges from = { .n = 1 + rand() % 6 }, to = { .n = 1 + rand() % 6 };
		uint32_t blocks = 0, wanted = 0, offset;

		for (uint32_t i = 0; i < from.n; i++) {
			from.r[i].lba = i * 1000 + rand() % 500;
			from.r[i].blocks = rand() % 100;
			memcpy(rod + blocks * 512, at_block(f, from.r[i].lba),
			       from.r[i].blocks * 512);
			blocks += from.r[i].blocks;
		}
		if (!blocks)
			continue;
		offset = rand() % blocks;
		for (uint32_t i = 0; i < to.n; i++) {
			to.r[i].lba = 60000 - i * 1000 + rand() % 500;
			to.r[i].blocks = rand() % 100;
			wanted += to.r[i].blocks;
		}
		token_of(f, &from, 0, token);
		use(f, token, offset, &to, 0x02);
		assert_good(f);
		assert_int_equal(receive(f, 5, 78)[5], wanted > blocks - offset ? 0x03 : 0x01);
		for (uint32_t i = 0, at = offset; i < to.n; at += to.r[i++].blocks)
			for (uint32_t b = 0; b < to.r[i].blocks && at + b < blocks; b++)
				assert_memory_equal(rod + (at + b) * 512,
						    at_block(f, to.r[i].lba + b), 512);
	}
}

static void writes_zeroes(void **state)
{
	struct fake_target *f = *state;
	struct ranges to = { .n = 2, .r = { { 10, 30 }, { 1000, 40000 } } };
	uint8_t token[512] = { 0xff, 0xff, 0, 1, 0, 0, 0x01, 0xf8 };

	for (int thin = 0; thin < 2; thin++) {
		f->lu->thin = thin;
		memset(f->disk.data, 0xaa, FAKE_BLOCKS * 512);
		use(f, token, thin ? 1ull << 60 : 0, &to, 0);
		assert_good(f);
		for (uint32_t lba = 0; lba < FAKE_BLOCKS; lba++)
			assert_int_equal(
				at_block(f, lba)[511],
				(lba >= 10 && lba < 40) || (lba >= 1000 && lba < 41000) ? 0 : 0xaa);
		assert_int_equal(f->disk.ops[DISK_READ], 0);
	}
}

/* ---- parameter lists ------------------------------------------------------------------------- */

struct wrong {
	uint32_t offset;
	uint8_t value;
	sense_t sense;
};

static void wrong_populate_lists(void **state)
{
	static const struct wrong cases[] = {
		{ 1, 29, SENSE(5, 0x26, 0x00) }, /* DATA LENGTH */
		{ 2, 0x04, SENSE(5, 0x26, 0x00) },
		{ 2, 0x02, SENSE(5, 0x26, 0x00) }, /* RTV with ROD type 0 */
		{ 6, 0x80, SENSE(5, 0x26, 0x00) }, /* INACTIVITY TIMEOUT */
		{ 15, 15, SENSE(5, 0x26, 0x00) },  /* not one descriptor */
		{ 15, 0, SENSE(5, 0x26, 0x00) },
		{ 16, 0x80, SENSE(5, 0x21, 0x00) },
		{ 24, 0x01, SENSE(5, 0x21, 0x00) },
		{ 39, 100, SENSE(5, 0x26, 0x00) }, /* the same block twice */
	};
	struct ranges r = { .n = 2, .r = { { 100, 8 }, { 300, 8 } } };
	struct fake_target *f = *state;
	uint8_t cdb[16];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = populate_list(&r, 0);

		list[cases[i].offset] = cases[i].value;
		if (cases[i].offset == 39)
			put_be64(list + 32, 107);
		fake_run(f, cdb, cdb_of(cdb, 0x10, 1, len), list, len);
		if (fake_sense(f) != cases[i].sense)
			fail_msg("case %u: sense %06x", i, fake_sense(f));
		receive(f, 7, 1);
		fake_assert_bad_field(f, 2); /* nothing has begun */
	}
}

static void rod_types(void **state)
{
	static const struct {
		uint32_t asked, made; /* 0: refused */
	} cases[] = { { 0x00800000, 0x00800000 }, { 0x00800001, 0x00800001 },
		      { 0x0080ffff, 0x00800001 }, { 0x00800002, 0 },
		      { 0x00010000, 0 },	  { 0xffff0001, 0 } };
	struct fake_target *f = *state;
	struct ranges r = one(0, 8), to = one(500, 8);
	uint8_t cdb[16], token[512];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = populate_list(&r, 0);

		list[2] = 0x02;
		put_be32(list + 8, cases[i].asked);
		fake_run(f, cdb, cdb_of(cdb, 0x10, 1, len), list, len);
		if (!cases[i].made) {
			assert_sense(f, SENSE(5, 0x26, 0x00));
			continue;
		}
		assert_good(f);
		get_token(f, 1, token);
		assert_int_equal(get_be32(token), cases[i].made);
		use(f, token, 0, &to, 0);
		assert_good(f);
	}
}

static void wrong_write_lists(void **state)
{
	static const struct wrong cases[] = {
		{ 1, 0x25, SENSE(5, 0x26, 0x00) },
		{ 1, 0x27, SENSE(5, 0x26, 0x00) }, /* not RANGE DESCRIPTOR LENGTH + 534 */
		{ 2, 0x04, SENSE(5, 0x26, 0x00) },
		{ 8, 0x01, SENSE(5, 0x26, 0x00) }, /* OFFSET INTO ROD */
		{ 15, 8, SENSE(5, 0x26, 0x00) },   /* … the first one that is too much */
		{ 16, 0x01, SENSE(5, 0x23, 0x01) },
		{ 22, 0x02, SENSE(5, 0x23, 0x0a) },
		{ 31, 0xff, SENSE(5, 0x23, 0x04) }, /* the identifier */
		{ 300, 0xff, SENSE(5, 0x23, 0x05) },
		{ 527, 0xff, SENSE(5, 0x23, 0x05) },
		{ 536, 0x80, SENSE(5, 0x21, 0x00) },
	};
	struct ranges from = one(0, 8), to = one(500, 8);
	struct fake_target *f = *state;
	uint8_t cdb[16], token[512];

	token_of(f, &from, 0, token);
	if (token[511] == 0xff || token[284] == 0xff)
		token_of(f, &from, 0, token);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = write_list(token, 0, &to, 0);

		list[cases[i].offset] = cases[i].value;
		fake_run(f, cdb, cdb_of(cdb, 0x11, 2, len), list, len);
		if (fake_sense(f) != cases[i].sense)
			fail_msg("case %u: sense %06x", i, fake_sense(f));
	}
	assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], 0);
	use(f, token, 7, &to, 0); /* and one block is there */
	assert_good(f);
	assert_int_equal(get_be64(receive(f, 7, 78) + 16), 1);
}

static void lengths(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 8);
	uint8_t cdb[16], token[512];
	uint32_t len = populate_list(&r, 0);

	for (uint32_t n = 1; n < 16; n++) {
		fake_run(f, cdb, cdb_of(cdb, 0x10, 1, n), list, n);
		assert_sense(f, SENSE(5, 0x1a, 0x00));
	}
	for (uint32_t n = 16; n < len; n++) { /* the only descriptor is cut */
		fake_run(f, cdb, cdb_of(cdb, 0x10, 1, n), list, n);
		assert_sense(f, SENSE(5, 0x26, 0x00));
	}
	fake_run(f, cdb, cdb_of(cdb, 0x10, 1, len), list, len - 1); /* the initiator has less */
	assert_sense(f, SENSE(5, 0x1a, 0x00));
	fake_run(f, cdb, cdb_of(cdb, 0x10, 1, 0), NULL, 0);
	assert_good(f);
	token_of(f, &r, 0, token);
	r.r[0].lba = 500;
	len = write_list(token, 0, &r, 0);
	for (uint32_t n = 1; n < len; n++) {
		fake_run(f, cdb, cdb_of(cdb, 0x11, 1, n), list, n);
		assert_sense(f, n < 536 ? SENSE(5, 0x1a, 0x00) : SENSE(5, 0x26, 0x00));
	}
	fake_run(f, cdb, cdb_of(cdb, 0x11, 1, 0), NULL, 0);
	assert_good(f);
	fake_run(f, cdb, cdb_of(cdb, 0x11, 1, len), list, len + 100); /* the initiator has more */
	assert_good(f);
}

static void limits(void **state)
{
	struct fake_target *f = *state;
	uint8_t cdb[6] = { 0x12, 1, 0x8f, 4, 0 };
	struct ranges r = { .n = 0 };
	uint16_t max;

	fake_run(f, cdb, 6, NULL, 1024);
	assert_int_equal(get_be16(f->cmd.buf + 4), 0x0000); /* block device ROD limits come first */
	assert_int_equal(get_be16(f->cmd.buf + 6), 0x20);
	max = get_be16(f->cmd.buf + 4 + 10);
	assert_true(max && max < 80);
	for (; r.n < max; r.n++) {
		r.r[r.n].lba = r.n * 2;
		r.r[r.n].blocks = 1;
	}
	populate(f, 1, &r, get_be32(f->cmd.buf + 4 + 12));
	assert_good(f);
	r.r[r.n].lba = r.n * 2;
	r.r[r.n++].blocks = 1;
	populate(f, 1, &r, 0);
	assert_sense(f, SENSE(5, 0x26, 0x08));
	f->lu->blocks = 1ull << 32;
	r = one(0, ROD_BYTES_MAX / 512 + 1);
	populate(f, 1, &r, 0);
	assert_sense(f, SENSE(5, 0x26, 0x00));
	f->lu->blocks = FAKE_BLOCKS;
}

/* ---- how tokens end -------------------------------------------------------------------------- */

static void assert_cancelled(struct fake_target *f, const uint8_t *token)
{
	struct ranges to = one(5000, 8);
	uint8_t before[8 * 512];

	memcpy(before, at_block(f, 5000), sizeof(before));
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE(5, 0x23, 0x08));
	assert_memory_equal(before, at_block(f, 5000), sizeof(before));
}

static void assert_usable(struct fake_target *f, const uint8_t *token)
{
	struct ranges to = one(5000, 8);

	use(f, token, 0, &to, 0);
	assert_good(f);
}

static void ends_with_the_data(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = { .n = 2, .r = { { 100, 8 }, { 300, 8 } } };
	uint8_t token[512], data[2 * 512] = { 1 },
				     unmap[24] = { 0, 22, 0, 16, [15] = 100, [19] = 1 };
	uint8_t unmap_cdb[10] = { 0x42, [8] = 24 };

	for (int i = 0; i < 7; i++) {
		token_of(f, &r, 0, token);
		fake_rw(f, 0x28, 0, 100, 8, NULL, 8 * 512);
		fake_rw(f, 0x2a, 0, 99, 1, data, 512);
		fake_rw(f, 0x2a, 0, 108, 1, data, 512);
		fake_rw(f, 0x2a, 0, 200, 1, data, 512);
		assert_usable(f, token);
		switch (i) {
		case 0:
			fake_rw(f, 0x2a, 0, 107, 1, data, 512);
			break;
		case 1:
			fake_rw(f, 0x8a, 0, 299, 2, data, 1024);
			break;
		case 2:
			fake_rw(f, 0x93, 0, 300, 1, data, 512);
			break;
		case 3:
			fake_run(f, unmap_cdb, 10, unmap, 24);
			break;
		case 4:
			fake_rw(f, 0x8b, 0, 100, 1, data, 512); /* ORWRITE */
			break;
		case 5:
			fake_rw(f, 0x2e, 0, 100, 1, data, 512);
			break;
		case 6: /* by a copy */
			populate(f, 5, &(struct ranges){ .n = 1, .r = { { 2000, 1 } } }, 0);
			get_token(f, 5, data);
			use(f, data, 0, &(struct ranges){ .n = 1, .r = { { 307, 1 } } }, 0);
			break;
		}
		assert_good(f);
		assert_cancelled(f, token);
	}
	assert_true(f->core.rods);
}

static void ends_with_the_ownership(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8);
	uint8_t token[512];

	token_of(f, &r, 0, token);
	f->gate.epoch++; /* moved away and back */
	assert_cancelled(f, token);
	token_of(f, &r, 0, token);
	assert_usable(f, token);
}

static void ends_when_it_is_not_used(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8), to = one(5000, 8);
	uint8_t token[512];

	token_of(f, &r, 5, token);
	for (int i = 0; i < 4; i++) {
		f->reactor.now += 4 * NS;
		assert_usable(f, token);
	}
	f->reactor.now += 6 * NS;
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE(5, 0x23, 0x07));
	use(f, token, 0, &to, 0); /* and it stays so */
	assert_sense(f, SENSE(5, 0x23, 0x07));
}

static void ends_by_deletion(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8), to = one(5000, 8);
	uint8_t token[512];

	token_of(f, &r, 0, token);
	use(f, token, 0, &to, 0x02);
	assert_good(f);
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE(5, 0x23, 0x09));
}

/* Watches of tokens that have ended are taken away by the timer, not by chance. */
static void nothing_is_watched_in_vain(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8);
	uint8_t token[512];

	token_of(f, &r, 5, token);
	fake_turn(f);
	assert_false(cds_list_empty(&f->lu->shard[0].locks));
	f->reactor.now += 20 * NS;
	while (!cds_list_empty(&f->reactor.timers)) {
		struct reactor_timer *t = cds_list_first_entry(&f->reactor.timers,
							       struct reactor_timer, link);

		reactor_timer_cancel(t);
		t->fn(t);
		for (int i = 0; i < 3; i++)
			fake_turn(f);
	}
	assert_true(cds_list_empty(&f->lu->shard[0].locks));
	assert_true(cds_list_empty(&f->lu->range_locks));
}

static void bounded(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8);
	int made = 0;

	while (made < 10000) {
		populate(f, 1, &r, 5);
		if (f->cmd.status != STATUS_GOOD)
			break;
		made++;
	}
	assert_int_equal(made, ROD_TOKENS_MAX);
	assert_sense(f, SENSE(5, 0x55, 0x0d));
	assert_int_equal(receive(f, 7, 1)[5], 0x02);
	f->reactor.now += 10 * NS;
	populate(f, 1, &r, 5);
	assert_good(f);
}

/* ---- while it is used ------------------------------------------------------------------------ */

/* A change of the source in the middle: what was read after it is not written. */
static void changed_meanwhile(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 10000), to = one(30000, 10000);
	struct scsi_cmd w = { .nexus = &f->nexus, .write = true, .expected_len = 512 };
	uint8_t token[512];
	unsigned writes;

	token_of(f, &r, 0, token);
	f->disk.later = true;
	write_start(f, 3, token, 0, &to, 0);
	while (f->disk.ops[DISK_READ] < 3)
		fake_turn(f);
	writes = f->disk.ops[DISK_WRITE];
	fake_rw_cdb(w.cdb, 0x2a, 0, 9999, 1);
	cmd_init(&w);
	cmd_decode(&w);
	assert_true(range_lock_wait(&f->lu->shard[0], &w) ==
		    false); /* all that the gates do of it */
	cmd_abandon(&w);
	finish(f);
	assert_sense(f, SENSE(5, 0x23, 0x08));
	assert_int_equal(f->disk.ops[DISK_WRITE], writes);
	assert_int_equal(receive(f, 5, 3)[5], 0x02);
}

static void gate_closes_meanwhile(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 10000), to = one(30000, 10000);
	uint8_t token[512];

	token_of(f, &r, 0, token);
	f->disk.later = true;
	write_start(f, 3, token, 0, &to, 0);
	while (f->disk.ops[DISK_WRITE] < 2)
		fake_turn(f);
	f->gate.medium = GATE_HOLD;
	f->gate.medium_sense = SENSE_LU_NOT_READY_TRANSITION;
	for (int i = 0; i < 8; i++)
		fake_turn(f);
	assert_true(f->ended);
	assert_sense(f, SENSE_LU_NOT_READY_TRANSITION);
	assert_true(cds_list_empty(&f->lu->shard[0].admitted));
}

static void aborted(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 20000), to = one(30000, 20000);
	uint8_t token[512];

	for (unsigned after = 0; after < 14; after++) {
		f->disk.later = false;
		token_of(f, &r, 0, token);
		f->disk.later = true;
		write_start(f, 3, token, 0, &to, 0);
		for (unsigned i = 0; i < after; i++)
			fake_turn(f);
		f->cmd.aborted = true;
		for (int i = 0; i < 8 && !f->ended; i++)
			fake_turn(f);
		assert_true(f->ended);
		assert_true(cds_list_empty(&f->lu->shard[0].tasks));
		assert_int_equal(receive(f, 5, 3)[5], 0x60);
		assert_int_equal(f->cmd.buf[12], STATUS_TASK_ABORTED);
	}
}

static void reservations(void **state)
{
	struct fake_target *f = *state;
	struct resv_view view = { .generation = 1,
				  .kind = RESV_KIND_PR,
				  .type = PR_EXCLUSIVE_ACCESS,
				  .registrations = true,
				  .holder = { 7, "iqn.2026-11.test:other,i,0x1" } };
	struct ranges r = one(100, 8), to = one(5000, 8);
	uint8_t token[512];

	token_of(f, &r, 0, token);
	f->lu->resv = &view;
	populate(f, 2, &r, 0);
	assert_status(f, STATUS_RESERVATION_CONFLICT);
	use(f, token, 0, &to, 0);
	assert_status(f, STATUS_RESERVATION_CONFLICT);
	f->at_lun = 1; /* which is not reserved; the source is */
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE(0xa, 0x0d, 0x01));
	f->lu->resv = NULL;
	f->ro->resv = &view;
	use(f, token, 0, &to, 0);
	assert_status(f, STATUS_RESERVATION_CONFLICT);
	f->ro->resv = NULL;
	f->nexus.itl[1].read_only = true;
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE_WRITE_PROTECTED);
}

/* A token is no way around the access lists. */
static void only_what_the_nexus_sees(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8), to = one(5000, 8);
	struct itl all = f->nexus.itl[0];
	uint8_t token[512];

	token_of(f, &r, 0, token);
	f->at_lun = 1;
	f->nexus.itl[0] = f->nexus.itl[2] = f->nexus.itl[1];
	f->nexus.itl[0].lun = 1;
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE(5, 0x23, 0x04));
	assert_int_equal(f->disk.ops[DISK_READ], 0);
	f->nexus.itl[0] = all;
}

static void medium_fails(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 10000), to = one(30000, 10000);
	uint8_t token[512];
	const uint8_t *p;

	token_of(f, &r, 0, token);
	f->disk.fail_op = DISK_READ;
	f->disk.fail_after = 2;
	f->disk.fail_errno = -EIO;
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE(0xa, 0x0d, 0x01));
	p = receive(f, 7, 78);
	assert_int_equal(p[5], 0x02);
	assert_int_equal(p[12], STATUS_CHECK_CONDITION);
	assert_int_equal(get_be64(p + 16), 4096); /* so much is there */
	assert_int_equal(p[13] % 4, 0);
	assert_true(p[14] && p[14] <= p[13]);
	assert_int_equal(p[34] & 0xf, 0xa);
	f->disk.fail_op = DISK_WRITE;
	f->disk.fail_after = 0;
	use(f, token, 0, &to, 0);
	assert_sense(f, SENSE_WRITE_ERROR);
	f->disk.fail_op = -1;
	use(f, token, 0, &to, 0);
	assert_good(f);
}

/* ---- background ------------------------------------------------------------------------------ */

static void in_background(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 10000), to = one(30000, 10000);
	uint8_t token[512];
	uint64_t told = 0;
	const uint8_t *p;

	token_of(f, &r, 0, token);
	f->disk.later = true;
	use(f, token, 0, &to, 0x01);
	assert_good(f);
	for (int i = 0; i < 1000; i++) {
		p = receive(f, 5, 78);
		assert_int_equal(get_be32(p), 28);
		assert_true(get_be64(p + 16) >= told); /* progress */
		told = get_be64(p + 16);
		if (p[5] != 0x12)
			break;
		assert_true(get_be32(p + 8) < 10000);
		fake_turn(f);
	}
	assert_int_equal(p[5], 0x01);
	assert_int_equal(told, 10000);
	assert_memory_equal(at_block(f, 0), at_block(f, 30000), 10000 * 512);
	assert_true(cds_list_empty(&f->lu->shard[0].tasks));
}

static void abort_operation(struct fake_target *f, uint32_t id)
{
	uint8_t cdb[16] = { 0x83, 0x1c };

	put_be32(cdb + 2, id);
	fake_run(f, cdb, 16, NULL, 0);
}

static void background_is_aborted(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 20000), to = one(30000, 20000);
	uint8_t token[512];
	unsigned ops;

	abort_operation(f, 78);
	fake_assert_bad_field(f, 2);
	token_of(f, &r, 0, token);
	for (int after = 0; after < 12; after++) {
		f->disk.later = true;
		use(f, token, 0, &to, 0x01);
		assert_good(f);
		for (int i = 0; i < after; i++)
			fake_turn(f);
		write_start(f, 78, token, 0, &to, 0); /* the identifier is in use */
		assert_sense(f, SENSE(5, 0x00, 0x16));
		abort_operation(f, 78);
		assert_good(f);
		ops = f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE];
		assert_null(f->disk.pending);
		for (int i = 0; i < 4; i++)
			fake_turn(f);
		assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], ops);
		assert_int_equal(receive(f, 7, 78)[5], 0x60);
		abort_operation(f, 78);
		fake_assert_bad_field(f, 2);
		assert_true(cds_list_empty(&f->lu->shard[0].tasks));
	}
}

static void background_ends_with_a_reset(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(0, 20000), to = one(30000, 20000);
	struct scsi_cmd *task;
	uint8_t token[512];

	token_of(f, &r, 0, token);
	f->disk.later = true;
	use(f, token, 0, &to, 0x01);
	fake_turn(f);
	cds_list_for_each_entry (task, &f->lu->shard[0].tasks, task_link)
		task->aborted = true;
	for (int i = 0; i < 8; i++)
		fake_turn(f);
	assert_true(cds_list_empty(&f->lu->shard[0].tasks));
	assert_int_equal(receive(f, 7, 78)[5], 0x60);
}

/* ---- where there are none -------------------------------------------------------------------- */

static void not_of_removable_media(void **state)
{
	struct fake_target *f = *state;
	struct ranges r = one(100, 8);
	uint8_t rsoc[12] = { 0xa3, 0x0c, 3, 0x83, 0, 0x10, [8] = 1 };

	fake_run(f, rsoc, 12, NULL, 256);
	assert_int_equal(f->cmd.buf[1] & 7, 3);
	f->lu->removable = true;
	populate(f, 1, &r, 0);
	assert_sense(f, SENSE_INVALID_OPCODE);
	fake_run(f, rsoc, 12, NULL, 256);
	assert_int_equal(f->cmd.buf[1] & 7, 1);
}

/* ---- entered through a port of another node (core/remote.h) -------------------------------------- */

static bool far_done;

static void on_far_done(struct remote_cmd *rc)
{
	(void)rc;
	far_done = true;
}

/* WRITE USING TOKEN to LUN 1, by an initiator that is logged in elsewhere. Its sense, SENSE_NONE: GOOD. */
static sense_t use_from_afar(struct fake_target *f, struct remote_nexuses *t, uint16_t rtpi, const uint8_t *token)
{
	struct ranges to = one(50000, 16);
	uint32_t len = write_list(token, 0, &to, 0);
	struct remote_request q = { .nexus = { .rtpi = rtpi, .port = "iqn.2026-11.test:far,i,0x00023d000001" },
				    .lu_hint = 1, .write = true, .expected_len = len };
	struct remote_cmd rc = { .done = on_far_done };
	sense_t s;

	strcpy(q.lu, f->ro->name);
	cdb_of(q.cdb, 0x11, 5, len);
	assert_int_equal(remote_begin(t, &rc, &q, len), 0);
	memcpy(rc.cmd.buf, list, len);
	far_done = false;
	remote_execute(&rc);
	for (int turn = 0; !far_done && turn < 10000; turn++)
		fake_turn(f);
	assert_true(far_done);
	s = rc.cmd.status == STATUS_GOOD ? SENSE_NONE : SENSE(rc.cmd.sense[2] & 15, rc.cmd.sense[12], rc.cmd.sense[13]);
	remote_end(&rc);
	return s;
}

/* The other logical units that it may copy from are those that the access lists of its port show it now. */
static void from_afar(void **state)
{
	struct fake_target *f = *state;
	struct remote_nexuses *t = remote_nexuses_new(&f->core, &f->reactor);
	struct ranges from = one(100, 16);
	uint8_t token[512];

	token_of(f, &from, 0, token);
	assert_int_equal(use_from_afar(f, t, 7, token), SENSE_NONE);
	assert_memory_equal(at_block(f, 50000), at_block(f, 100), 16 * 512);
	assert_int_equal(use_from_afar(f, t, 99, token), SENSE_TOKEN_UNKNOWN); /* no target has this port */
	f->pattern[0] = "iqn.2026-11.test:near";
	assert_int_equal(use_from_afar(f, t, 7, token), SENSE_TOKEN_UNKNOWN);
	f->pattern[0] = "iqn.2026-11.test:f*";
	assert_int_equal(use_from_afar(f, t, 7, token), SENSE_NONE);
	f->acl.lun = f->lun + 1; /* LUN 0 is taken away, but for LUN 300, which is the same */
	f->acl.nluns = 1;
	assert_int_equal(use_from_afar(f, t, 7, token), SENSE_TOKEN_UNKNOWN);
	remote_nexuses_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(copies),
		T(scatters_and_gathers),
		T(writes_zeroes),
		T(wrong_populate_lists),
		T(rod_types),
		T(wrong_write_lists),
		T(lengths),
		T(limits),
		T(ends_with_the_data),
		T(ends_with_the_ownership),
		T(ends_when_it_is_not_used),
		T(ends_by_deletion),
		T(nothing_is_watched_in_vain),
		T(bounded),
		T(changed_meanwhile),
		T(gate_closes_meanwhile),
		T(aborted),
		T(reservations),
		T(only_what_the_nexus_sees),
		T(medium_fails),
		T(in_background),
		T(background_is_aborted),
		T(background_ends_with_a_reset),
		T(not_of_removable_media), T(from_afar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
