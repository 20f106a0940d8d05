/* SPDX-License-Identifier: BSD-2-Clause */
/* READ and WRITE in all sizes, SYNCHRONIZE CACHE, PRE-FETCH through decoder and gates (topology:
 * fake_target.h). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_target.h"

static const struct {
	uint8_t read, write;
} pairs[] = { { 0x08, 0x0a }, { 0x28, 0x2a }, { 0xa8, 0xaa }, { 0x88, 0x8a } };
#define NPAIRS 4

static uint8_t *pattern(size_t len, unsigned seed)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (i * 7 + i / 512 + seed) & 0xff;
	return p;
}

static void what_is_written_is_read_back(void **state)
{
	struct fake_target *f = *state;
	static const uint64_t lbas[] = { 0, 1, FAKE_BLOCKS - 5 };

	for (int i = 0; i < NPAIRS; i++)
		for (int k = 0; k < 3; k++) {
			uint8_t *data = pattern(5 * 512, i * 3 + k);

			fake_rw(f, pairs[i].write, 0, lbas[k], 5, data, 5 * 512);
			assert_good(f);
			assert_int_equal(f->cmd.data_in_len, 0);
			assert_memory_equal(f->disk.data + lbas[k] * 512, data, 5 * 512);
			fake_rw(f, pairs[i].read, 0, lbas[k], 5, NULL, 5 * 512);
			assert_good(f);
			assert_int_equal(f->cmd.data_in_len, 5 * 512);
			assert_memory_equal(f->cmd.buf, data, 5 * 512);
			free(data);
		}
}

/* SBC-3 5.8, 5.33: TRANSFER LENGTH 0 of the 6-byte forms is 256 blocks, of the others nothing */
static void zero_length(void **state)
{
	struct fake_target *f = *state;
	uint8_t *data = pattern(256 * 512, 1);

	fake_rw(f, 0x0a, 0, 10, 0, data, 256 * 512);
	assert_good(f);
	assert_memory_equal(f->disk.data + 10 * 512, data, 256 * 512);
	fake_rw(f, 0x08, 0, 10, 0, NULL, 256 * 512);
	assert_int_equal(f->cmd.data_in_len, 256 * 512);
	for (int i = 1; i < NPAIRS; i++) {
		unsigned before = f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE];

		fake_rw(f, pairs[i].read, 0, FAKE_BLOCKS, 0, NULL, 0);
		assert_good(f);
		assert_int_equal(f->cmd.data_in_len, 0);
		fake_rw(f, pairs[i].write, 0, 0, 0, NULL, 0);
		assert_good(f);
		assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], before);
		fake_rw(f, pairs[i].read, 0, FAKE_BLOCKS + 1, 0, NULL, 0);
		assert_sense(f, SENSE(5, 0x21, 0x00));
	}
	free(data);
}

static void beyond_the_last_block(void **state)
{
	struct fake_target *f = *state;
	uint8_t *data = pattern(8 * 512, 1);
	static const struct {
		uint64_t lba;
		uint32_t blocks;
	} bad[] = { { FAKE_BLOCKS, 1 }, { FAKE_BLOCKS - 1, 2 }, { 0x80000000u, 1 }, { 0xffffffffu, 8 } };

	for (int i = 1; i < NPAIRS; i++)
		for (int k = 0; k < 4; k++) {
			fake_rw(f, pairs[i].read, 0, bad[k].lba, bad[k].blocks, NULL, bad[k].blocks * 512);
			assert_sense(f, SENSE(5, 0x21, 0x00));
			assert_int_equal(f->cmd.data_in_len, 0);
			fake_rw(f, pairs[i].write, 0, bad[k].lba, bad[k].blocks, data, bad[k].blocks * 512);
			assert_sense(f, SENSE(5, 0x21, 0x00));
		}
	fake_rw(f, 0x88, 0, UINT64_MAX, 2, NULL, 1024); /* lba + blocks wraps around */
	assert_sense(f, SENSE(5, 0x21, 0x00));
	assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], 0);
	free(data);
}

static void longer_than_the_limit_of_page_b0(void **state)
{
	struct fake_target *f = *state;

	f->lu->max_transfer_bytes = 64 * 512;
	fake_rw(f, 0x28, 0, 0, 64, NULL, 64 * 512);
	assert_good(f);
	fake_rw(f, 0x28, 0, 0, 65, NULL, 65 * 512);
	assert_sense(f, SENSE(5, 0x24, 0x00));
	fake_rw(f, 0x2f, 0, 0, 65, NULL, 0); /* VERIFY moves as many */
	assert_sense(f, SENSE(5, 0x24, 0x00));
}

/* SBC-3 4.15: FUA, and no cache at all by the caching mode page */
static void fua_and_write_cache(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[512] = { 1 };

	for (int i = 0; i < NPAIRS; i++) {
		unsigned fua = f->disk.fua_writes;

		fake_rw(f, pairs[i].write, 0, 0, 1, data, 512);
		assert_int_equal(f->disk.fua_writes, fua);
		if (i > 0) {
			fake_rw(f, pairs[i].write, 0x08, 0, 1, data, 512);
			assert_int_equal(f->disk.fua_writes, ++fua);
			fake_rw(f, pairs[i].write, 0x10, 0, 1, data, 512); /* DPO alone */
			assert_int_equal(f->disk.fua_writes, fua);
		}
		f->mode.wce = false;
		fake_rw(f, pairs[i].write, 0, 0, 1, data, 512);
		assert_int_equal(f->disk.fua_writes, fua + 1);
		f->mode.wce = true;
	}
	assert_int_equal(f->disk.ops[DISK_FLUSH], 0);
	fake_rw(f, 0x28, 0x08, 0, 1, NULL, 512); /* from the medium: the cache is written out first */
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_FLUSH], 1);
}

static void reserved_bits(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t bad_flags[] = { 0x20, 0x40, 0x80, 0x01, 0x02 }; /* RDPROTECT, WRPROTECT, reserved, obsolete */
	uint8_t data[512] = { 0 }, cdb[16];

	for (int i = 1; i < NPAIRS; i++)
		for (int k = 0; k < 5; k++) {
			fake_rw(f, pairs[i].read, bad_flags[k], 0, 1, NULL, 512);
			fake_assert_bad_field(f, 1);
			fake_rw(f, pairs[i].write, bad_flags[k], 0, 1, data, 512);
			fake_assert_bad_field(f, 1);
		}
	for (int i = 0; i < NPAIRS; i++) { /* CONTROL: all but NACA, SAM-5 5.2 */
		size_t len = fake_rw_cdb(cdb, pairs[i].read, 0, 0, 1);

		for (int bit = 0; bit < 8; bit++) {
			cdb[len - 1] = 1 << bit;
			if (bit == 2)
				continue;
			fake_run(f, cdb, len, NULL, 512);
			fake_assert_bad_field(f, len - 1);
		}
	}
	assert_int_equal(f->disk.ops[DISK_READ] + f->disk.ops[DISK_WRITE], 0);
}

/* More asked for by the CDB than the initiator sends: the whole blocks that arrived are written */
static void residual_overflow(void **state)
{
	struct fake_target *f = *state;
	uint8_t *data = pattern(4 * 512, 9);
	uint8_t zero[4 * 512] = { 0 };

	for (int i = 1; i < NPAIRS; i++) {
		memset(f->disk.data, 0, 4 * 512);
		fake_rw(f, pairs[i].write, 0, 0, 2, data, 512);
		assert_good(f);
		assert_int_equal(f->cmd.data_out_len, 1024); /* what the driver tells as residual */
		assert_memory_equal(f->disk.data, data, 512);
		assert_memory_equal(f->disk.data + 512, zero, 512);
		memset(f->disk.data, 0, 4 * 512);
		fake_rw(f, pairs[i].write, 0, 0, 1, data, 200);
		assert_good(f);
		assert_memory_equal(f->disk.data, zero, 512);
		fake_rw(f, pairs[i].write, 0, 0, 1, data, 4 * 512); /* underflow: no more than asked for */
		assert_good(f);
		assert_memory_equal(f->disk.data, data, 512);
		assert_memory_equal(f->disk.data + 512, zero, 3 * 512);
	}
	free(data);
}

static void write_protect(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t writers[] = { 0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e, 0x41, 0x93 };
	uint8_t data[512] = { 1 };

	for (int how = 0; how < 3; how++) { /* mapped read-only, read-only for all, software write protect (SWP) */
		f->at_lun = how == 0;
		f->lu->read_only = how == 1;
		f->mode.swp = how == 2;
		for (unsigned i = 0; i < sizeof(writers); i++) {
			fake_rw(f, writers[i], 0, 0, 1, data, 512);
			assert_sense(f, how == 2 ? SENSE(7, 0x27, 0x02) : SENSE(7, 0x27, 0x00));
		}
	}
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	fake_rw(f, 0x28, 0, 0, 1, NULL, 512);
	assert_good(f);
}

static void errors_of_the_medium(void **state)
{
	struct fake_target *f = *state;
	static const struct {
		int err;
		sense_t read, write;
	} cases[] = {
		{ -EIO, SENSE(3, 0x11, 0), SENSE(3, 0x0c, 0) },
		{ -ENOSPC, SENSE(4, 0x44, 0), SENSE(7, 0x27, 7) },
		{ -ENODEV, SENSE(2, 0x04, 0x0c), SENSE(2, 0x04, 0x0c) },
		{ -EROFS, SENSE(4, 0x44, 0), SENSE(7, 0x27, 0) },
		{ -ENOMEM, SENSE(0xb, 0, 0), SENSE(0xb, 0, 0) },
		{ -EINVAL, SENSE(4, 0x44, 0), SENSE(4, 0x44, 0) },
	};
	uint8_t data[512] = { 1 };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int later = 0; later < 2; later++) {
			f->disk.later = later;
			f->disk.fail_errno = cases[i].err;
			f->disk.fail_op = DISK_READ;
			fake_rw(f, 0x28, 0, 0, 1, NULL, 512);
			assert_sense(f, cases[i].read);
			f->disk.fail_op = DISK_WRITE;
			fake_rw(f, 0x2a, 0, 0, 1, data, 512);
			assert_sense(f, cases[i].write);
			fake_rw(f, 0x2e, 0, 0, 1, data, 512);
			assert_sense(f, cases[i].write);
		}
}

static void flush_before_a_read_fails(void **state)
{
	struct fake_target *f = *state;

	f->disk.fail_op = DISK_FLUSH;
	f->disk.fail_errno = -EIO;
	fake_rw(f, 0x28, 0x08, 0, 1, NULL, 512);
	assert_sense(f, SENSE(3, 0x0c, 0)); /* a write error: data that was acknowledged is not stable */
	assert_int_equal(f->disk.ops[DISK_READ], 0);
}

static void synchronize_cache(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t opcodes[] = { 0x35, 0x91 };

	for (int i = 0; i < 2; i++) {
		unsigned flushes = f->disk.ops[DISK_FLUSH];

		fake_rw(f, opcodes[i], 0, 0, 0, NULL, 0);
		assert_good(f);
		fake_rw(f, opcodes[i], 0x02, 5, 10, NULL, 0); /* IMMED */
		assert_good(f);
		assert_int_equal(f->disk.ops[DISK_FLUSH], flushes + 2);
		fake_rw(f, opcodes[i], 0, FAKE_BLOCKS, 1, NULL, 0);
		assert_sense(f, SENSE(5, 0x21, 0));
		f->disk.fail_op = DISK_FLUSH;
		f->disk.fail_errno = -EIO;
		fake_rw(f, opcodes[i], 0, 0, 0, NULL, 0);
		assert_sense(f, SENSE(3, 0x0c, 0));
		f->disk.fail_op = -1;
	}
}

static void pre_fetch(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t opcodes[] = { 0x34, 0x90 };

	for (int i = 0; i < 2; i++) {
		fake_rw(f, opcodes[i], 0, 0, 10, NULL, 0);
		assert_good(f);
		fake_rw(f, opcodes[i], 0x02, FAKE_BLOCKS - 1, 0, NULL, 0);
		assert_good(f);
		fake_rw(f, opcodes[i], 0, FAKE_BLOCKS - 1, 2, NULL, 0);
		assert_sense(f, SENSE(5, 0x21, 0));
	}
}

static void no_disk_on_this_node(void **state)
{
	struct fake_target *f = *state;

	f->lu->disk = NULL;
	fake_rw(f, 0x28, 0, 0, 1, NULL, 512);
	assert_sense(f, SENSE(2, 0x04, 0x0c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(what_is_written_is_read_back), T(zero_length), T(beyond_the_last_block),
		T(longer_than_the_limit_of_page_b0), T(fua_and_write_cache), T(reserved_bits), T(residual_overflow),
		T(write_protect), T(errors_of_the_medium), T(flush_before_a_read_fails), T(synchronize_cache), T(pre_fetch),
		T(no_disk_on_this_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
