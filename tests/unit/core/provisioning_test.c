/* SPDX-License-Identifier: BSD-2-Clause */
/* WRITE SAME and UNMAP on thin and fully provisioned logical units (topology: fake_target.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_target.h"

#define UNMAP_BIT 0x08
#define NDOB 0x01

static const uint8_t sames[] = { 0x41, 0x93 };

static bool all_bytes(const uint8_t *p, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != value)
			return false;
	return true;
}

static void pattern_is_repeated(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512];

	for (int later = 0; later < 2; later++)
		for (int i = 0; i < 2; i++) {
			f->disk.later = later;
			memset(block, 0x21 + i, sizeof(block));
			fake_rw(f, sames[i], 0, 7, 5000, block, 512); /* more than one step */
			assert_good(f);
			assert_true(all_bytes(f->disk.data + 7 * 512, 5000 * 512, 0x21 + i));
			assert_true(all_bytes(f->disk.data, 7 * 512, 0));
			assert_true(all_bytes(f->disk.data + 5007 * 512, 512, 0));
		}
	assert_true(f->disk.deepest < 3); /* steps follow each other, they do not nest */
}

static void zeroes_without_unmap_are_written(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512] = { 0 };

	memset(f->disk.data, 0xff, 100 * 512);
	for (int i = 0; i < 2; i++) {
		fake_rw(f, sames[i], 0, 0, 50, block, 512);
		assert_good(f);
	}
	assert_int_equal(f->disk.ops[DISK_DISCARD], 0);
	assert_true(all_bytes(f->disk.data, 50 * 512, 0));
	assert_true(all_bytes(f->disk.data + 50 * 512, 50 * 512, 0xff));
}

static void unmap_bit(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512] = { 0 };

	for (int i = 0; i < 2; i++) {
		memset(f->disk.data, 0xff, 100 * 512);
		fake_rw(f, sames[i], UNMAP_BIT, 0, 50, block, 512);
		assert_good(f);
		assert_int_equal(f->disk.ops[DISK_DISCARD], 1 + i);
		assert_true(all_bytes(f->disk.data, 50 * 512, 0));
	}
	block[3] = 1; /* unmapped blocks would read as zeroes: this is written (SBC-3 5.44) */
	fake_rw(f, 0x41, UNMAP_BIT, 0, 2, block, 512);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_DISCARD], 2);
	assert_memory_equal(f->disk.data + 512, block, 512);
	f->lu->thin = false;
	fake_rw(f, 0x41, UNMAP_BIT, 0, 2, block, 512);
	fake_assert_bad_field(f, 1);
}

/* LBPRZ=1 is told through every port, so a discard that leaves garbage must not be used. */
static void discard_without_zeroes(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512] = { 0 };

	f->disk.disk.discard_zeroes = false;
	fake_rw(f, 0x93, UNMAP_BIT, 0, 8, block, 512);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_DISCARD], 0);
	assert_int_equal(f->disk.ops[DISK_WRITE_ZEROES], 1);
}

static void no_data_out_buffer(void **state)
{
	struct fake_target *f = *state;

	memset(f->disk.data, 0xff, 20 * 512);
	fake_rw(f, 0x93, NDOB, 1, 10, NULL, 0);
	assert_good(f);
	assert_int_equal(f->cmd.data_out_len, 0);
	assert_true(all_bytes(f->disk.data + 512, 10 * 512, 0));
	assert_true(all_bytes(f->disk.data + 11 * 512, 512, 0xff));
	fake_rw(f, 0x93, NDOB | UNMAP_BIT, 11, 9, NULL, 0);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_DISCARD], 1);
	fake_rw(f, 0x41, NDOB, 0, 1, NULL, 0); /* there is no NDOB in the 10-byte form */
	fake_assert_bad_field(f, 1);
}

static void number_of_blocks_zero(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512];

	memset(block, 0x77, sizeof(block));
	for (int i = 0; i < 2; i++) {
		fake_rw(f, sames[i], 0, FAKE_BLOCKS - 9, 0, block, 512);
		assert_good(f);
		assert_true(all_bytes(f->disk.data + (FAKE_BLOCKS - 9) * 512, 9 * 512, 0x77));
		assert_int_not_equal(f->disk.data[(FAKE_BLOCKS - 10) * 512], 0x77);
		fake_rw(f, sames[i], 0, 0, 0, block, 512); /* more than MAXIMUM WRITE SAME LENGTH */
		assert_sense(f, SENSE(5, 0x24, 0));
		fake_rw(f, sames[i], 0, FAKE_BLOCKS, 0, block, 512);
		assert_sense(f, SENSE(5, 0x21, 0));
	}
	fake_rw(f, 0x93, 0, 0, 0xffff, block, 512);
	assert_good(f);
	fake_rw(f, 0x93, 0, 0, 0x10000, block, 512);
	assert_sense(f, SENSE(5, 0x24, 0));
}

static void wrong_length_of_data_out(void **state)
{
	struct fake_target *f = *state;
	uint8_t blocks[1024] = { 0 };

	for (int i = 0; i < 2; i++) {
		fake_rw(f, sames[i], 0, 0, 1, blocks, 256);
		assert_int_equal(fake_sense(f) >> 16, 5);
		fake_rw(f, sames[i], UNMAP_BIT, 0, 1, blocks, 1024);
		assert_int_equal(fake_sense(f) >> 16, 5);
		fake_rw(f, sames[i], 0x18, 0, 1, blocks, 512); /* ANCHOR, and ANC_SUP=0 */
		fake_assert_bad_field(f, 1);
	}
}

static void error_in_the_middle(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512] = { 1 };

	for (int later = 0; later < 2; later++) {
		f->disk.later = later;
		f->disk.fail_op = DISK_WRITE;
		f->disk.fail_after = 1;
		f->disk.fail_errno = -ENOSPC;
		fake_rw(f, 0x93, 0, 0, 10000, block, 512);
		assert_sense(f, SENSE(7, 0x27, 0x07));
	}
}

/* An aborted command touches the medium no more (SAM-5 7.2). */
static void abort_in_the_middle(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512] = { 1 }, cdb[16];
	size_t len = fake_rw_cdb(cdb, 0x93, 0, 0, 10000);
	unsigned writes;

	f->disk.later = true;
	fake_start(f, cdb, len, block, 512);
	fake_turn(f);
	writes = f->disk.ops[DISK_WRITE];
	assert_true(writes >= 1 && !f->ended);
	f->cmd.aborted = true;
	fake_turn(f);
	assert_true(f->ended);
	assert_int_equal(f->disk.ops[DISK_WRITE], writes);
}

/* ---- UNMAP ----------------------------------------------------------------------------------- */

static uint32_t unmap_list(uint8_t *p, const uint64_t (*extents)[2], unsigned n)
{
	memset(p, 0, 8 + 16 * n);
	put_be16(p, 6 + 16 * n);
	put_be16(p + 2, 16 * n);
	for (unsigned i = 0; i < n; i++) {
		put_be64(p + 8 + 16 * i, extents[i][0]);
		put_be32(p + 16 + 16 * i, extents[i][1]);
	}
	return 8 + 16 * n;
}

static void unmap(struct fake_target *f, const uint8_t *list, uint16_t len, uint32_t expected)
{
	uint8_t cdb[10] = { 0x42 };

	put_be16(cdb + 7, len);
	fake_run(f, cdb, sizeof(cdb), list, expected);
}

static void unmap_extents(void **state)
{
	struct fake_target *f = *state;
	const uint64_t extents[][2] = { { 1, 2 }, { 0, 0 }, { FAKE_BLOCKS, 0 }, { 10, 5 }, { FAKE_BLOCKS - 1, 1 } };
	uint8_t list[256];
	uint32_t len = unmap_list(list, extents, 5);

	for (int later = 0; later < 2; later++) {
		f->disk.later = later;
		memset(f->disk.data, 0xff, f->disk.disk.size);
		unmap(f, list, len, len);
		assert_good(f);
		assert_true(all_bytes(f->disk.data, 512, 0xff));
		assert_true(all_bytes(f->disk.data + 512, 2 * 512, 0));
		assert_true(all_bytes(f->disk.data + 3 * 512, 7 * 512, 0xff));
		assert_true(all_bytes(f->disk.data + 10 * 512, 5 * 512, 0));
		assert_true(all_bytes(f->disk.data + (FAKE_BLOCKS - 1) * 512, 512, 0));
	}
	assert_int_equal(f->disk.ops[DISK_DISCARD], 6);
	assert_int_equal(f->disk.ops[DISK_FLUSH], 0);
	f->mode.wce = false; /* no write cache: stable before GOOD */
	unmap(f, list, len, len);
	assert_int_equal(f->disk.ops[DISK_FLUSH], 1);
}

static void unmap_lists_that_are_wrong(void **state)
{
	struct fake_target *f = *state;
	const uint64_t beyond[][2] = { { 0, 4 }, { FAKE_BLOCKS - 1, 2 } }, wraps[][2] = { { UINT64_MAX, 2 } };
	uint8_t list[8 + 16 * 300];
	uint32_t len;

	unmap(f, NULL, 0, 0);
	assert_good(f);
	len = unmap_list(list, beyond, 0);
	unmap(f, list, len, len);
	assert_good(f);
	unmap(f, list, 7, 7);
	assert_sense(f, SENSE(5, 0x1a, 0));
	len = unmap_list(list, beyond, 2);
	unmap(f, list, len, len);
	assert_sense(f, SENSE(5, 0x21, 0));
	unmap(f, list, len - 16, len - 16); /* the list says more than there is */
	assert_sense(f, SENSE(5, 0x1a, 0));
	unmap(f, list, len, len - 16); /* the initiator sends less than its CDB says */
	assert_sense(f, SENSE(5, 0x1a, 0));
	len = unmap_list(list, wraps, 1);
	unmap(f, list, len, len);
	assert_sense(f, SENSE(5, 0x21, 0));
	assert_int_equal(f->disk.ops[DISK_DISCARD], 0); /* also not the good descriptor in front */
}

static void unmap_limits(void **state)
{
	struct fake_target *f = *state;
	uint64_t extents[257][2] = { { 0 } };
	uint8_t list[8 + 16 * 257];
	uint32_t len;

	for (int i = 0; i < 257; i++)
		extents[i][0] = i, extents[i][1] = 1;
	len = unmap_list(list, extents, 256);
	unmap(f, list, len, len);
	assert_good(f);
	len = unmap_list(list, extents, 257);
	unmap(f, list, len, len);
	assert_sense(f, SENSE(5, 0x26, 0));
	for (int i = 0; i < 20; i++)
		extents[i][0] = 0, extents[i][1] = FAKE_BLOCKS;
	len = unmap_list(list, extents, 20); /* 1.4 million blocks in all */
	unmap(f, list, len, len);
	assert_sense(f, SENSE(5, 0x26, 0));
}

static void unmap_of_a_full_unit(void **state)
{
	struct fake_target *f = *state;
	const uint64_t extents[][2] = { { 0, 1 } };
	uint8_t list[24];
	uint32_t len = unmap_list(list, extents, 1);

	f->lu->thin = false;
	unmap(f, list, len, len);
	assert_sense(f, SENSE(5, 0x20, 0));
	f->at_lun = 1;
	unmap(f, list, len, len);
	assert_sense(f, SENSE(7, 0x27, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(pattern_is_repeated), T(zeroes_without_unmap_are_written), T(unmap_bit), T(discard_without_zeroes),
		T(no_data_out_buffer), T(number_of_blocks_zero), T(wrong_length_of_data_out), T(error_in_the_middle),
		T(abort_in_the_middle), T(unmap_extents), T(unmap_lists_that_are_wrong), T(unmap_limits),
		T(unmap_of_a_full_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
