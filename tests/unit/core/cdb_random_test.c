/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random CDBs, most of them near a row of the table, with data-out of any length, against the real
 * decoder, gates and handlers (topology: fake_target.h). Whatever comes: the command ends once,
 * with a legal status, and no transfer leaves the medium.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/aca.h"
#include "core/cdb.h"
#include "fake_target.h"

#define ROUNDS 100000
#define DATA_MAX 70000

static uint64_t seed = 20261121;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % below;
}

/* ---- a disk that refuses to be asked for what it has not ------------------------------------- */

static const struct disk_ops *real;

static void within(struct disk *d, struct disk_io *io)
{
	if (io->kind != DISK_FLUSH) {
		assert_true(io->length > 0);
		assert_true(io->offset <= d->size && io->length <= d->size - io->offset);
		assert_int_equal(io->offset % FAKE_BLOCK, 0);
		assert_int_equal(io->length % FAKE_BLOCK, 0);
	}
	real->submit(d, io);
}

/* ---- random commands ------------------------------------------------------------------------- */

/* Addresses and lengths near the limits find more than uniform ones. */
static uint64_t interesting(void)
{
	static const uint64_t values[] = { 0, 1, 7, 255, 256, 0xffff, FAKE_BLOCKS - 1, FAKE_BLOCKS, FAKE_BLOCKS + 1,
					   32768, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x7fffffffffffffffull, UINT64_MAX };

	return values[rnd(sizeof(values) / sizeof(values[0]))];
}

static void random_cdb(uint8_t *cdb)
{
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	for (int i = 0; i < 16; i++)
		cdb[i] = rnd(256);
	if (rnd(8) == 0)
		return;
	row += rnd(n);
	for (int i = 0; i < 16; i++)
		cdb[i] &= row->usage[i];
	cdb[0] = row->opcode;
	if (row->sa != CDB_NO_SA)
		cdb[1] = (cdb[1] & 0xe0 & row->usage[1]) | row->sa;
	if (rnd(2) && (row->layout == LAYOUT_LBA_10 || row->layout == LAYOUT_LBA_12))
		put_be32(cdb + 2, interesting());
	if (rnd(2) && row->layout == LAYOUT_LBA_16) {
		put_be64(cdb + 2, interesting());
		put_be32(cdb + 10, interesting());
	}
	if (row->layout == LAYOUT_LBA_10 && rnd(2))
		put_be16(cdb + 7, rnd(20));
	if (row->layout == LAYOUT_LBA_16 && rnd(2))
		put_be64(cdb + 2, rnd(FAKE_BLOCKS)), put_be32(cdb + 10, rnd(20));
	if (row->layout == LAYOUT_LBA_12 && rnd(2))
		put_be32(cdb + 2, rnd(FAKE_BLOCKS)), put_be32(cdb + 6, rnd(20));
}

static bool legal(uint8_t status)
{
	return status == STATUS_GOOD || status == STATUS_CHECK_CONDITION || status == STATUS_BUSY ||
	       status == STATUS_RESERVATION_CONFLICT;
}

static void one_round(struct fake_target *f, uint8_t *data)
{
	static const uint32_t lengths[] = { 0, 1, 7, 8, 24, 511, 512, 513, 1024, 4096, 65536 };
	uint32_t len = lengths[rnd(sizeof(lengths) / sizeof(lengths[0]))];
	uint8_t cdb[16];

	random_cdb(cdb);
	for (int i = 0; i < 64; i++)
		data[i] = rnd(4) ? 0 : rnd(256);
	if (rnd(4) == 0) /* what looks like a good UNMAP list, or a block of zeroes */
		memset(data, 0, 32), data[3] = 16, data[14] = rnd(2), data[19] = rnd(8);
	if (cdb[0] == 0x42 && rnd(2))
		put_be16(cdb + 7, len);
	f->at_lun = rnd(10) ? 0 : rnd(3);
	f->disk.later = rnd(2);
	f->lu->thin = rnd(4);
	f->mode.wce = rnd(2);
	f->mode.dsense = rnd(2);
	fake_run(f, cdb, sizeof(cdb), rnd(2) ? data : NULL, len);
	while (f->lu->wipe) /* SANITIZE, FORMAT UNIT with IMMED=1 */
		fake_turn(f);
	fake_turn(f), fake_turn(f);
	for (uint32_t i = 0; i < f->nexus.nitl; i++) /* NACA=1: else nothing but ACA ACTIVE would follow */
		aca_clear(&f->nexus.itl[i]);
	if (!legal(f->cmd.status))
		fail_msg("CDB %02x %02x …: status %02xh", cdb[0], cdb[1], f->cmd.status);
	if (f->cmd.status == STATUS_CHECK_CONDITION)
		assert_int_not_equal(fake_sense(f), 0);
	else
		assert_true(f->cmd.data_in_len <= f->cmd.buf_len);
}

static void nothing_breaks(void **state)
{
	struct fake_target *f = *state;
	struct disk_ops ops = *f->disk.disk.ops;
	uint8_t *data = calloc(1, DATA_MAX);

	assert_non_null(data);
	real = f->disk.disk.ops;
	ops.submit = within;
	f->disk.disk.ops = &ops;
	for (int i = 0; i < ROUNDS; i++)
		one_round(f, data);
	for (int op = DISK_READ; op <= DISK_WRITE_ZEROES; op++)
		if (f->disk.ops[op] < 100) /* too few got through to mean anything */
			fail_msg("%u operations of kind %d", f->disk.ops[op], op);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_breaks, fake_setup, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
