/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMPARE AND WRITE, ORWRITE and the range lock below them (topology: fake_target.h; several
 * commands at once, whose I/O the test completes one by one).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_target.h"

#define CAW 0x89
#define ORWRITE 0x8b
#define WRITE_16 0x8a
#define READ_16 0x88

static size_t caw_cdb(uint8_t *cdb, uint64_t lba, uint8_t blocks)
{
	memset(cdb, 0, 16);
	cdb[0] = CAW;
	put_be64(cdb + 2, lba);
	cdb[13] = blocks;
	return 16;
}

static void caw(struct fake_target *f, uint64_t lba, uint8_t blocks, const void *data, uint32_t expected)
{
	uint8_t cdb[16];

	fake_run(f, cdb, caw_cdb(cdb, lba, blocks), data, expected);
}

/* ---- one at a time --------------------------------------------------------------------------- */

static void writes_only_when_all_compares(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[4 * 512];

	for (int later = 0; later < 2; later++) {
		f->disk.later = later;
		memset(f->disk.data, 'A', 8 * 512);
		memset(data, 'A', 1024);
		memset(data + 1024, 'B', 1024);
		caw(f, 3, 2, data, sizeof(data));
		assert_good(f);
		assert_memory_equal(f->disk.data + 3 * 512, data + 1024, 1024);
		assert_int_equal(f->disk.data[3 * 512 - 1], 'A');
		assert_int_equal(f->disk.data[5 * 512], 'A');
		caw(f, 3, 2, data, sizeof(data)); /* it is B now */
		assert_sense(f, SENSE(0xe, 0x1d, 0));
		assert_int_equal(f->cmd.sense[0], 0xf0);
		assert_int_equal(get_be32(f->cmd.sense + 3), 0);
		memset(data, 'B', 1024);
		data[700] = 'x';
		caw(f, 3, 2, data, sizeof(data));
		assert_sense(f, SENSE(0xe, 0x1d, 0));
		assert_int_equal(get_be32(f->cmd.sense + 3), 700); /* offset of the first byte that differs */
		data[700] = 'B';
		assert_memory_equal(f->disk.data + 3 * 512, data, 1024);
	}
	assert_true(cds_list_empty(&f->lu->range_locks) && cds_list_empty(&f->lu->shard[0].locks));
}

static void wrong_lengths(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[4 * 512] = { 0 };

	caw(f, 0, 1, data, 4 * 512);
	fake_assert_bad_field(f, 13);
	caw(f, 0, 2, data, 2 * 512);
	fake_assert_bad_field(f, 13);
	caw(f, 0, 0, NULL, 0);
	assert_good(f);
	caw(f, FAKE_BLOCKS - 1, 2, data, 4 * 512);
	assert_sense(f, SENSE(5, 0x21, 0));
	f->at_lun = 1;
	caw(f, 0, 1, data, 2 * 512);
	assert_sense(f, SENSE(7, 0x27, 0));
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
}

static void or_write(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[1024];

	memset(f->disk.data, 0x0f, 4 * 512);
	memset(data, 0x30, sizeof(data));
	fake_rw(f, ORWRITE, 0, 1, 2, data, sizeof(data));
	assert_good(f);
	for (int i = 512; i < 3 * 512; i++)
		assert_int_equal(f->disk.data[i], 0x3f);
	assert_int_equal(f->disk.data[511], 0x0f);
	assert_int_equal(f->disk.data[3 * 512], 0x0f);
	fake_rw(f, ORWRITE, 0, 0, 0, NULL, 0);
	assert_good(f);
	fake_rw(f, ORWRITE, 0x08, 0, 1, data, 512); /* FUA */
	assert_int_equal(f->disk.fua_writes, 1);
}

static void atomic(struct fake_target *f, uint64_t lba, uint16_t blocks, const void *data, uint32_t len)
{
	uint8_t cdb[16] = { 0x9c, [12] = blocks >> 8, [13] = blocks };

	put_be64(cdb + 2, lba);
	fake_run(f, cdb, 16, data, len);
}

static void write_atomic(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[16 * 512], b0[6] = { 0x12, 1, 0xb0, 0, 255 };

	memset(data, 0x5a, sizeof(data));
	atomic(f, 0, 8, data, 8 * 512);
	assert_sense(f, SENSE(5, 0x20, 0)); /* the medium does not promise it */
	fake_run(f, b0, 6, NULL, 255);
	assert_int_equal(get_be32(f->cmd.buf + 44), 0);
	f->lu->atomic_max_blocks = 16;
	fake_run(f, b0, 6, NULL, 255);
	assert_int_equal(get_be32(f->cmd.buf + 44), 16);
	assert_int_equal(get_be32(f->cmd.buf + 48), 8);
	assert_int_equal(get_be32(f->cmd.buf + 52), 8);
	atomic(f, 8, 16, data, 16 * 512);
	assert_good(f);
	assert_memory_equal(f->disk.data + 8 * 512, data, 16 * 512);
	assert_int_equal(f->disk.data[8 * 512 - 1] | f->disk.data[24 * 512], 0);
	assert_int_equal(f->disk.ops[DISK_WRITE], 1);
	atomic(f, 16, 24, data, sizeof(data));
	fake_assert_bad_field(f, 12); /* too long */
	atomic(f, 16, 7, data, 7 * 512);
	fake_assert_bad_field(f, 12); /* granularity */
	atomic(f, 15, 8, data, 8 * 512);
	fake_assert_bad_field(f, 2); /* alignment */
	atomic(f, 16, 16, data, 8 * 512);
	assert_sense(f, SENSE(5, 0x0e, 0x03)); /* half of it did not come */
	atomic(f, FAKE_BLOCKS - 8, 16, data, sizeof(data));
	assert_sense(f, SENSE(5, 0x21, 0));
	atomic(f, 0, 0, NULL, 0);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_WRITE], 1);
	f->disk.fail_op = DISK_WRITE;
	f->disk.fail_errno = -EIO;
	atomic(f, 0, 8, data, 8 * 512);
	assert_sense(f, SENSE(3, 0x0c, 0));
	assert_true(cds_list_empty(&f->lu->range_locks) && cds_list_empty(&f->lu->shard[0].locks));
}

static void errors_unlock(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[1024] = { 0 };
	static const int ops[] = { DISK_READ, DISK_WRITE };

	for (int i = 0; i < 2; i++) {
		f->disk.fail_op = ops[i];
		f->disk.fail_errno = -EIO;
		caw(f, 0, 1, data, sizeof(data));
		assert_int_equal(fake_sense(f) >> 16, 3);
		assert_true(cds_list_empty(&f->lu->range_locks) && cds_list_empty(&f->lu->shard[0].locks));
	}
}

/* ---- several at once ------------------------------------------------------------------------- */

#define NCMDS 4

struct crowd {
	struct fake_target *f;
	struct scsi_cmd cmd[NCMDS];
	bool ended[NCMDS];
	struct disk disk;
	struct disk_ops ops;
	struct disk_io *pending[NCMDS];
	int npending;
};

static void queue_io(struct disk *d, struct disk_io *io)
{
	struct crowd *c = caa_container_of(d, struct crowd, disk);

	assert_true(c->npending < NCMDS);
	c->pending[c->npending++] = io;
}

static void mail(struct crowd *c)
{
	while (mailbox_run(&c->f->core.control) | mailbox_run(&c->f->reactor.mailbox))
		;
}

/* The oldest I/O that waits is done; then all messages run. */
static void complete_io(struct crowd *c)
{
	struct disk_io *io = c->pending[0];

	assert_true(c->npending > 0);
	memmove(c->pending, c->pending + 1, --c->npending * sizeof(c->pending[0]));
	if (io->kind == DISK_READ)
		memcpy(io->buf, c->f->disk.data + io->offset, io->length);
	else if (io->kind == DISK_WRITE)
		memcpy(c->f->disk.data + io->offset, io->buf, io->length);
	io->result = 0;
	io->done(io);
	mail(c);
}

static struct crowd *the_crowd; /* done() has no other way to it */

static void ended(struct scsi_cmd *cmd)
{
	int i = cmd - the_crowd->cmd;

	assert_false(the_crowd->ended[i]);
	the_crowd->ended[i] = true;
}

static void go(struct crowd *c, int i, const uint8_t *cdb, const void *data, uint32_t len)
{
	struct scsi_cmd *cmd = &c->cmd[i];

	*cmd = (struct scsi_cmd){ .nexus = &c->f->nexus, .write = data != NULL, .expected_len = len, .done = ended };
	memcpy(cmd->cdb, cdb, 16);
	c->ended[i] = false;
	cmd_init(cmd);
	cmd_decode(cmd);
	if (data) {
		assert_true(cmd_buf_alloc(cmd, len));
		memcpy(cmd->buf, data, len);
		cmd->data_out_got = len;
	}
	cmd_execute(cmd);
	mail(c);
}

static void go_rw(struct crowd *c, int i, uint8_t opcode, uint64_t lba, uint32_t blocks, const void *data)
{
	uint8_t cdb[16];

	fake_rw_cdb(cdb, opcode, 0, lba, blocks);
	go(c, i, cdb, data, blocks * 512);
}

static void go_caw(struct crowd *c, int i, uint64_t lba, uint8_t blocks, const void *data)
{
	uint8_t cdb[16];

	caw_cdb(cdb, lba, blocks);
	go(c, i, cdb, data, blocks * 1024);
}

static int crowd_setup(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));
	void *f;

	assert_non_null(c);
	fake_setup(&f);
	c->f = f;
	c->ops.submit = queue_io;
	c->disk = c->f->disk.disk;
	c->disk.ops = &c->ops;
	c->f->lu->disk = &c->disk;
	the_crowd = c;
	*state = c;
	return 0;
}

static int crowd_teardown(void **state)
{
	struct crowd *c = *state;
	void *f = c->f;

	for (int i = 0; i < NCMDS; i++)
		if (c->cmd[i].reactor)
			cmd_fini(&c->cmd[i]);
	fake_teardown(&f);
	free(c);
	return 0;
}

static uint8_t zeroes[2048], ones[2048] = { [0 ... 2047] = 1 }, zero_one[1024] = { [512 ... 1023] = 1 },
	       zero_two[1024] = { [512 ... 1023] = 2 };

/* A write that comes between the read and the write of a COMPARE AND WRITE waits, and is not
 * lost. */
static void a_write_waits(void **state)
{
	struct crowd *c = *state;

	go_caw(c, 0, 5, 1, zero_one);
	assert_int_equal(c->npending, 1); /* its read */
	go_rw(c, 1, WRITE_16, 4, 2, ones); /* overlaps */
	go_rw(c, 2, READ_16, 5, 1, NULL);
	go_rw(c, 3, WRITE_16, 6, 1, ones); /* does not */
	assert_int_equal(c->npending, 2);
	complete_io(c); /* the read: then it writes */
	complete_io(c); /* the write that does not overlap */
	assert_true(c->ended[3]);
	assert_false(c->ended[0] || c->ended[1] || c->ended[2]);
	assert_int_equal(c->npending, 1);
	complete_io(c); /* unlocked: the others go on */
	assert_true(c->ended[0]);
	assert_int_equal(c->cmd[0].status, STATUS_GOOD);
	assert_int_equal(c->npending, 2);
	complete_io(c);
	complete_io(c);
	assert_true(c->ended[1] && c->ended[2]);
}

/* What was admitted before is done before the blocks are looked at. */
static void older_commands_end_first(void **state)
{
	struct crowd *c = *state;

	go_rw(c, 0, WRITE_16, 0, 2, ones);
	go_caw(c, 1, 1, 1, zero_one);
	assert_int_equal(c->npending, 1);
	complete_io(c);
	assert_true(c->ended[0]);
	assert_int_equal(c->npending, 1);
	complete_io(c); /* reads the ones: miscompare */
	assert_true(c->ended[1]);
	assert_int_equal(c->cmd[1].status, STATUS_CHECK_CONDITION);
}

/* Of two that expect the same, one wins. */
static void only_one_wins(void **state)
{
	struct crowd *c = *state;

	go_caw(c, 0, 9, 1, zero_one);
	go_caw(c, 1, 9, 1, zero_two);
	go_caw(c, 2, 20, 1, zero_two); /* elsewhere: side by side */
	assert_int_equal(c->npending, 2);
	while (c->npending)
		complete_io(c);
	assert_true(c->ended[0] && c->ended[1] && c->ended[2]);
	assert_int_equal(c->cmd[0].status, STATUS_GOOD);
	assert_int_equal(c->cmd[1].status, STATUS_CHECK_CONDITION);
	assert_int_equal(c->cmd[2].status, STATUS_GOOD);
	assert_int_equal(c->f->disk.data[9 * 512], 1);
	assert_int_equal(c->f->disk.data[20 * 512], 2);
	assert_true(cds_list_empty(&c->f->lu->range_locks) && cds_list_empty(&c->f->lu->shard[0].locks));
}

/* P2: a command that waited sees the reservation that was made meanwhile. */
static void reservations_are_checked_again(void **state)
{
	struct crowd *c = *state;
	struct resv_view view = { .generation = 1, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE, .registrations = true,
				  .holder = { 7, "iqn.2026-11.test:other,i,0x1" } };

	go_caw(c, 0, 5, 1, zero_one);
	go_rw(c, 1, WRITE_16, 5, 1, ones);
	c->f->lu->resv = &view;
	complete_io(c);
	complete_io(c);
	assert_true(c->ended[0] && c->ended[1]);
	assert_int_equal(c->cmd[0].status, STATUS_GOOD); /* admitted before */
	assert_int_equal(c->cmd[1].status, STATUS_RESERVATION_CONFLICT);
	assert_int_equal(c->npending, 0);
	c->f->lu->resv = NULL;
}

/* An UNMAP can touch any block. */
static void unmap_waits(void **state)
{
	struct crowd *c = *state;
	uint8_t cdb[16] = { 0x42, 0, 0, 0, 0, 0, 0, 0, 24 }, list[24] = { 0, 22, 0, 16, [19] = 1 };

	go_caw(c, 0, 5, 1, zero_one);
	go(c, 1, cdb, list, 24);
	assert_int_equal(c->npending, 1);
	complete_io(c);
	complete_io(c);
	assert_int_equal(c->npending, 1);
	complete_io(c);
	assert_true(c->ended[1]);
}

static void aborted_before_its_turn(void **state)
{
	struct crowd *c = *state;

	go_rw(c, 0, WRITE_16, 5, 1, ones);
	go_caw(c, 1, 5, 1, zero_one);
	go_rw(c, 2, WRITE_16, 5, 1, zeroes);
	c->cmd[1].aborted = true;
	complete_io(c);
	assert_true(c->ended[0] && c->ended[1]); /* without a look at the medium */
	assert_int_equal(c->npending, 1);
	complete_io(c);
	assert_true(c->ended[2]);
	assert_true(cds_list_empty(&c->f->lu->range_locks));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
#define C(name) cmocka_unit_test_setup_teardown(name, crowd_setup, crowd_teardown)
		T(writes_only_when_all_compares), T(wrong_lengths), T(or_write), T(write_atomic), T(errors_unlock),
		C(a_write_waits), C(older_commands_end_first), C(only_one_wins), C(reservations_are_checked_again),
		C(unmap_waits), C(aborted_before_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
