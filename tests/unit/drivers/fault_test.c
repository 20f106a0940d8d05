/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults on a real reactor (fake_rig.h): submit ──▶ fault ──▶ file in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "drivers/disk/disk_handlers.h"
#include "drivers/disk/fault.h"
#include "drivers/disk/fault_int.h"
#include "tests/unit/drivers/fake_rig.h"

static void open_with(struct rig *r, const char *fault)
{
	struct disk_params p = { .handler = "file", .path = r->path, .block_size = BLOCK, .fault = fault };

	rig_open(r, &p);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* ---- the rule's text -------------------------------------------------------------------------------------- */

static void test_texts(void **state)
{
	struct fault_rule r;
	char err[256];
	(void)state;

	assert_int_equal(fault_parse("error=ENOSPC:op=write+zero:lba=8-15:rate=0.5:seed=3:count=2:trigger=/run/a:b=c", &r,
				     err, sizeof(err)), 0);
	assert_int_equal(r.error, ENOSPC);
	assert_int_equal(r.ops, 1u << DISK_WRITE | 1u << DISK_WRITE_ZEROES);
	assert_true(r.has_lba && r.first == 8 && r.last == 15 && r.seed == 3 && r.count == 2);
	assert_in_range(r.rate, UINT32_MAX / 2 - 1, UINT32_MAX / 2 + 1);
	assert_string_equal(r.trigger, "/run/a:b=c");
	assert_int_equal(fault_parse("delay=50ms", &r, err, sizeof(err)), 0);
	assert_int_equal(r.delay_ns, 50000000);
	assert_int_equal(r.ops, 0x1f);
	assert_int_equal(r.rate, UINT32_MAX);
	assert_int_equal(fault_parse("short=512", &r, err, sizeof(err)), 0);
	assert_int_equal(r.error, EIO);
}

static void test_wrong_texts_name_the_key(void **state)
{
	static const struct {
		const char *text, *word;
	} wrong[] = {
		{ "", "says nothing" },	     { "op=write", "says nothing" },	 { "error=EWHAT", "EWHAT" },
		{ "error", "no value" },     { "error=", "error" },		 { "errno=EIO", "errno" },
		{ "delay=5", "delay" },	     { "delay=0ms", "delay" },		 { "delay=99999999999999999999s", "delay" },
		{ "delay=-1s", "delay" },    { "delay=3601s", "delay" },	 { "short=x", "short" },
		{ "short=-1", "short" },     { "error=EIO:op=", "op" },		 { "error=EIO:op=write+", "write+" },
		{ "error=EIO:op=rea", "rea" }, { "error=EIO:lba=", "lba" },	 { "error=EIO:lba=9-8", "9-8" },
		{ "error=EIO:lba=1-", "lba" }, { "error=EIO:rate=0", "rate" },	 { "error=EIO:rate=1.1", "rate" },
		{ "error=EIO:rate=nan", "rate" }, { "error=EIO:seed=a", "seed" }, { "error=EIO:count=0", "count" },
		{ "error=EIO:trigger=x", "trigger" }, { "error=EIO::op=read", "no value" },
	};
	struct fault_rule r;
	char err[256];
	(void)state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err[0] = '\0';
		if (fault_parse(wrong[i].text, &r, err, sizeof(err)) != -EINVAL || !strstr(err, wrong[i].word))
			fail_msg("\"%s\": \"%s\"", wrong[i].text, err);
	}
}

/* ---- which I/Os ------------------------------------------------------------------------------------------- */

static void test_error_by_operation(void **state)
{
	struct rig *r = *state;

	open_with(r, "error=ENOSPC:op=write");
	assert_int_equal(rig_run(r, DISK_READ, 0, 1), 0);
	assert_int_equal(rig_run(r, DISK_WRITE, 0, 1), -ENOSPC);
	assert_int_equal(rig_run(r, DISK_FLUSH, 0, 0), 0);
	rig_shut(r);
	open_with(r, "error=EIO:op=flush+discard");
	assert_int_equal(rig_run(r, DISK_WRITE, 0, 1), 0);
	assert_int_equal(rig_run(r, DISK_FLUSH, 0, 0), -EIO);
	assert_int_equal(rig_run(r, DISK_DISCARD, 0, 8), -EIO);
	assert_int_equal(rig_run(r, DISK_WRITE_ZEROES, 0, 8), 0);
	rig_shut(r);
}

static void test_error_by_blocks(void **state)
{
	static const struct {
		uint64_t lba;
		uint32_t n;
		int result;
	} io[] = { { 99, 1, 0 },     { 99, 2, -EIO }, { 100, 1, -EIO }, { 103, 1, -EIO },
		   { 104, 1, 0 },    { 96, 16, -EIO }, { 103, 4, -EIO }, { 92, 8, 0 } };
	struct rig *r = *state;

	open_with(r, "error=EIO:lba=100-103");
	for (size_t i = 0; i < sizeof(io) / sizeof(io[0]); i++) {
		assert_int_equal(rig_run(r, DISK_READ, io[i].lba, io[i].n), io[i].result);
		assert_int_equal(rig_run(r, DISK_WRITE, io[i].lba, io[i].n), io[i].result);
	}
	assert_int_equal(rig_run(r, DISK_FLUSH, 0, 0), 0);
	rig_shut(r);
}

static uint64_t pattern(struct rig *r, const char *fault)
{
	uint64_t failed = 0;

	open_with(r, fault);
	for (int i = 0; i < 64; i++)
		failed = failed << 1 | (rig_run(r, DISK_READ, 0, 1) != 0);
	rig_shut(r);
	return failed;
}

static void test_rate_is_seeded(void **state)
{
	struct rig *r = *state;
	uint64_t first = pattern(r, "error=EIO:rate=0.25:seed=1");

	assert_true(first == pattern(r, "error=EIO:rate=0.25:seed=1"));
	assert_true(first != pattern(r, "error=EIO:rate=0.25:seed=2"));
	assert_in_range(__builtin_popcountll(first), 5, 30); /* 16 expected; outside: p < 0.001 */
}

static void test_count_ends(void **state)
{
	struct rig *r = *state;

	open_with(r, "error=EIO:op=read:count=2");
	assert_int_equal(rig_run(r, DISK_WRITE, 0, 1), 0);
	assert_int_equal(rig_run(r, DISK_READ, 0, 1), -EIO);
	assert_int_equal(rig_run(r, DISK_READ, 0, 1), -EIO);
	assert_int_equal(rig_run(r, DISK_READ, 0, 1), 0);
	rig_shut(r);
}

static void test_trigger_file(void **state)
{
	struct rig *r = *state;
	char trigger[80], fault[128];

	snprintf(trigger, sizeof(trigger), "%s.trigger", r->path);
	snprintf(fault, sizeof(fault), "error=EIO:trigger=%s", trigger);
	unlink(trigger);
	open_with(r, fault);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_run(r, DISK_READ, 0, 1), 0);
		close(open(trigger, O_CREAT | O_WRONLY, 0600));
		assert_int_equal(rig_run(r, DISK_READ, 0, 1), -EIO);
		assert_int_equal(unlink(trigger), 0);
	}
	assert_int_equal(rig_run(r, DISK_READ, 0, 1), 0);
	rig_shut(r);
}

/* ---- what happens to them ------------------------------------------------------------------------------------ */

static void test_delay(void **state)
{
	struct rig *r = *state;
	uint64_t start;

	open_with(r, "delay=60ms:op=write");
	memset(r->buf, 0x5a, BLOCK);
	start = now_ms();
	assert_int_equal(rig_run(r, DISK_WRITE, 7, 1), 0);
	assert_true(now_ms() - start >= 59);
	memset(r->buf, 0, BLOCK);
	assert_int_equal(rig_run(r, DISK_READ, 7, 1), 0);
	assert_int_equal(r->buf[0], 0x5a);
	rig_shut(r);
}

static void test_short_write_is_torn(void **state)
{
	struct rig *r = *state;

	open_with(r, "short=1024:op=write:lba=50");
	memset(r->buf, 0x11, sizeof(r->buf));
	assert_int_equal(rig_run(r, DISK_WRITE, 48, 8), -EIO);
	memset(r->buf, 0xff, sizeof(r->buf));
	assert_int_equal(rig_run(r, DISK_READ, 48, 8), 0);
	assert_int_equal(r->buf[1023], 0x11);
	assert_int_equal(r->buf[1024], 0x00);
	rig_shut(r);
}

static void test_short_read_gives_a_part(void **state)
{
	struct rig *r = *state;

	open_with(r, "short=512:error=EILSEQ:op=read");
	memset(r->buf, 0x22, sizeof(r->buf));
	assert_int_equal(rig_run(r, DISK_WRITE, 60, 2), 0);
	memset(r->buf, 0x33, sizeof(r->buf));
	assert_int_equal(rig_run(r, DISK_READ, 60, 2), -EILSEQ);
	assert_int_equal(r->buf[511], 0x22);
	assert_int_equal(r->buf[512], 0x33);
	rig_shut(r);
}

static void test_sync_and_open(void **state)
{
	struct rig *r = *state;
	struct disk_params p = { .handler = "file", .path = r->path, .block_size = BLOCK, .fault = "error=ENODEV:op=open" };
	char err[512] = "";

	open_with(r, "error=EIO:op=sync:count=1");
	assert_int_equal(r->disk->ops->sync(r->disk), -EIO);
	assert_int_equal(r->disk->ops->sync(r->disk), 0);
	rig_shut(r);
	assert_int_equal(disk_handler_open(&p, &r->disk, err, sizeof(err)), -ENODEV);
	assert_non_null(strstr(err, r->path));
	assert_non_null(strstr(err, p.fault));
}

/* What it stands on shows through: size, write protection, cache. */
static void test_stacks_on_any_handler(void **state)
{
	struct disk_params p = { .handler = "null", .size = SIZE, .block_size = BLOCK, .fault = "error=EIO:op=read",
				 .read_only = true };
	struct rig *r = *state;
	char err[512] = "";

	assert_int_equal(disk_handler_open(&p, &r->disk, err, sizeof(err)), 0);
	assert_int_equal(r->disk->size, SIZE);
	assert_true(r->disk->read_only && r->disk->can_discard && !r->disk->volatile_cache);
	assert_int_equal(rig_run(r, DISK_READ, 0, 1), -EIO);
	assert_int_equal(rig_run(r, DISK_WRITE, 0, 1), 0);
	rig_shut(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_wrong_texts_name_the_key),
		cmocka_unit_test(test_error_by_operation),
		cmocka_unit_test(test_error_by_blocks),
		cmocka_unit_test(test_rate_is_seeded),
		cmocka_unit_test(test_count_ends),
		cmocka_unit_test(test_trigger_file),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_short_write_is_torn),
		cmocka_unit_test(test_short_read_gives_a_part),
		cmocka_unit_test(test_sync_and_open),
		cmocka_unit_test(test_stacks_on_any_handler),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
