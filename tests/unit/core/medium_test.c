/* SPDX-License-Identifier: BSD-2-Clause */
/* What an initiator is told when the medium fails: an error of its own where that is the truth, another path where this node
 * has lost it (P6). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_target.h"

#define WRITE_10 0x2a
#define READ_10 0x28
#define FUA 0x08

static const uint8_t sync_cache[10] = { 0x35 };
static uint8_t block[FAKE_BLOCK];

static void failed(void *arg, struct lu *lu, int err)
{
	(void)lu;
	assert_true(err < 0);
	++*(unsigned *)arg;
}

/* Runs one command whose I/O of this kind fails with err; how often the medium was given up. */
static unsigned gave_up(struct fake_target *f, enum disk_op op, int err, uint8_t opcode, uint8_t flags)
{
	unsigned times = 0;

	f->core.medium_failed.fn = failed;
	f->core.medium_failed.arg = &times;
	f->disk.fail_op = op;
	f->disk.fail_errno = err;
	f->disk.fail_after = 0;
	if (opcode)
		fake_rw(f, opcode, flags, 0, 1, opcode == WRITE_10 ? block : NULL, sizeof(block));
	else
		fake_run(f, sync_cache, sizeof(sync_cache), NULL, 0);
	f->disk.fail_op = -1;
	return times;
}

static void bad_sector_is_a_medium_error(void **state)
{
	struct fake_target *f = *state;

	assert_int_equal(gave_up(f, DISK_READ, -EIO, READ_10, 0), 0);
	assert_sense(f, SENSE_UNRECOVERED_READ);
}

/* After it, the kernel may report success although data is gone. */
static void failed_flush_gives_the_medium_up(void **state)
{
	struct fake_target *f = *state;

	assert_int_equal(gave_up(f, DISK_FLUSH, -EIO, 0, 0), 1);
	assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
	assert_int_equal(gave_up(f, DISK_WRITE, -EIO, WRITE_10, FUA), 1);
	assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
}

static void lost_device_is_another_path(void **state)
{
	static const int lost[] = { -ENODEV, -ENXIO, -EROFS, -EMEDIUMTYPE };
	struct fake_target *f = *state;

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		assert_int_equal(gave_up(f, DISK_READ, lost[i], READ_10, 0), 1);
		assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
		assert_int_equal(gave_up(f, DISK_WRITE, lost[i], WRITE_10, 0), 1);
		assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
	}
}

static void full_file_system_is_no_loss(void **state)
{
	struct fake_target *f = *state;

	assert_int_equal(gave_up(f, DISK_WRITE, -ENOSPC, WRITE_10, 0), 0);
	assert_sense(f, SENSE_SPACE_ALLOC_FAILED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(bad_sector_is_a_medium_error),
		T(failed_flush_gives_the_medium_up),
		T(lost_device_is_another_path),
		T(full_file_system_is_no_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
