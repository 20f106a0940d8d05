/* SPDX-License-Identifier: BSD-2-Clause */
/* VERIFY and WRITE AND VERIFY (topology: fake_target.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_target.h"

#define BYTCHK_1 0x02
#define BYTCHK_2 0x04
#define BYTCHK_3 0x06

static const uint8_t verifies[] = { 0x2f, 0xaf, 0x8f };
static const uint8_t writers[] = { 0x2e, 0xae, 0x8e };

static void random_medium(struct fake_target *f)
{
	for (int i = 0; i < 512 * 512; i++)
		f->disk.data[i] = random();
}

static void equal_and_different(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[4 * 512];

	random_medium(f);
	for (int later = 0; later < 2; later++)
		for (int i = 0; i < 3; i++) {
			f->disk.later = later;
			memcpy(data, f->disk.data + 3 * 512, sizeof(data));
			fake_rw(f, verifies[i], BYTCHK_1, 3, 4, data, sizeof(data));
			assert_good(f);
			data[2 * 512 + 17] ^= 0x40;
			fake_rw(f, verifies[i], BYTCHK_1, 3, 4, data, sizeof(data));
			assert_sense(f, SENSE(0xe, 0x1d, 0x00));
			assert_int_equal(f->cmd.sense[0], 0xf0); /* VALID */
			assert_int_equal(get_be32(f->cmd.sense + 3), 3 + 2); /* the first block that differs */
		}
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
}

static void no_byte_check_reads_the_medium(void **state)
{
	struct fake_target *f = *state;

	for (int i = 0; i < 3; i++) {
		unsigned reads = f->disk.ops[DISK_READ];

		fake_rw(f, verifies[i], 0, 0, 16, NULL, 0);
		assert_good(f);
		assert_int_equal(f->cmd.data_out_len, 0);
		assert_int_equal(f->cmd.data_in_len, 0);
		assert_int_equal(f->disk.ops[DISK_READ], reads + 1);
		assert_true(f->disk.ops[DISK_FLUSH] > 0); /* what a cache holds is not the medium */
		fake_rw(f, verifies[i], 0, 0, 0, NULL, 0);
		assert_good(f);
		assert_int_equal(f->disk.ops[DISK_READ], reads + 1);
	}
	f->disk.fail_op = DISK_READ;
	f->disk.fail_errno = -EIO;
	fake_rw(f, 0x2f, 0, 0, 16, NULL, 0);
	assert_sense(f, SENSE(3, 0x11, 0));
}

static void one_block_against_many(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512];

	memset(block, 0x5a, sizeof(block));
	memset(f->disk.data, 0x5a, 64 * 512);
	for (int i = 0; i < 3; i++) {
		fake_rw(f, verifies[i], BYTCHK_3, 0, 64, block, 512);
		assert_good(f);
		assert_int_equal(f->cmd.data_out_len, 512);
		fake_rw(f, verifies[i], BYTCHK_3, 0, 65, block, 512);
		assert_sense(f, SENSE(0xe, 0x1d, 0));
		fake_rw(f, verifies[i], BYTCHK_3, 0, 1, block, 100); /* less than the block */
		assert_sense(f, SENSE(5, 0x0e, 0x03));
	}
}

static void reserved_byte_check(void **state)
{
	struct fake_target *f = *state;
	uint8_t block[512] = { 0 };

	for (int i = 0; i < 3; i++) {
		fake_rw(f, verifies[i], BYTCHK_2, 0, 1, NULL, 0);
		fake_assert_bad_field(f, 1);
		fake_rw(f, writers[i], BYTCHK_2, 0, 1, block, 512);
		fake_assert_bad_field(f, 1);
		fake_rw(f, verifies[i], 0x20, 0, 1, NULL, 0); /* VRPROTECT */
		fake_assert_bad_field(f, 1);
	}
}

static void largest_verify(void **state)
{
	struct fake_target *f = *state;
	uint32_t blocks = (16u << 20) / 512;

	fake_rw(f, 0x2f, 0, 0, blocks, NULL, 0);
	assert_good(f);
	fake_rw(f, 0x2f, 0, 0, blocks + 1, NULL, 0);
	assert_sense(f, SENSE(5, 0x24, 0));
}

static void write_and_verify(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[3 * 512];

	for (int later = 0; later < 2; later++)
		for (int i = 0; i < 3; i++) {
			f->disk.later = later;
			memset(data, 0x10 * later + i + 1, sizeof(data));
			fake_rw(f, writers[i], BYTCHK_1, FAKE_BLOCKS - 3, 3, data, sizeof(data));
			assert_good(f);
			assert_memory_equal(f->disk.data + (FAKE_BLOCKS - 3) * 512, data, sizeof(data));
			fake_rw(f, writers[i], 0, FAKE_BLOCKS - 2, 3, data, sizeof(data));
			assert_sense(f, SENSE(5, 0x21, 0));
			fake_rw(f, writers[i], BYTCHK_1, 0, 2, data, 512); /* one block arrived */
			assert_good(f);
		}
	assert_int_equal(f->disk.ops[DISK_WRITE], f->disk.fua_writes); /* on the medium before it is read back */
	assert_int_equal(f->disk.ops[DISK_WRITE], f->disk.ops[DISK_READ]);
}

/* The medium does not give back what was written. */
static void (*honest)(struct disk *d, struct disk_io *io);

static void forgets(struct disk *d, struct disk_io *io)
{
	if (io->kind == DISK_READ) {
		struct fake_disk *fd = caa_container_of(d, struct fake_disk, disk);

		fd->data[io->offset + 5] ^= 1;
	}
	honest(d, io);
}

static void write_and_verify_finds_the_difference(void **state)
{
	struct fake_target *f = *state;
	struct disk_ops ops = *f->disk.disk.ops;
	uint8_t data[512] = { 0 };

	honest = ops.submit;
	ops.submit = forgets;
	f->disk.disk.ops = &ops;
	fake_rw(f, 0x2e, BYTCHK_1, 0, 1, data, 512);
	assert_sense(f, SENSE(0xe, 0x1d, 0));
	fake_rw(f, 0x2e, 0, 0, 1, data, 512); /* readable is all that is asked */
	assert_good(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(equal_and_different), T(no_byte_check_reads_the_medium), T(one_block_against_many), T(reserved_byte_check),
		T(largest_verify), T(write_and_verify), T(write_and_verify_finds_the_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
