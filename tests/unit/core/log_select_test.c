/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LOG SELECT (SPC-4 6.10) and the clock (SPC-4 6.38, 6.45) through decoder and gates (fake_target.h);
 * what they ask for is carried out at once here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/log_select.h"
#include "core/timestamp.h"
#include "fake_target.h"

static unsigned resets;

static void reset_logs(void *arg, struct scsi_cmd *cmd)
{
	uint32_t pages;

	(void)arg;
	if (!log_select_parse(cmd, &pages))
		return;
	resets++;
	for (int i = 0; i < LOG_RESETS; i++)
		if (pages >> i & 1)
			log_counters_reset(cmd->lu, i, cmd->lu->log.generation[i] + 1);
	cmd_good(cmd, 0);
}

static void set_clock(void *arg, struct scsi_cmd *cmd)
{
	int64_t offset;

	(void)arg;
	if (!timestamp_parse(cmd, &offset))
		return;
	if (offset != CLOCK_NOT_SET)
		cmd->lu->clock_offset = offset;
	cmd_good(cmd, 0);
}

static int setup(void **state)
{
	int rc = fake_setup(state);
	struct fake_target *f = *state;

	resets = 0;
	f->core.hook[HOOK_LOG_SELECT].fn = reset_logs;
	f->core.hook[HOOK_SET_TIMESTAMP].fn = set_clock;
	f->mode.scsip = f->mode.tcmos = 1;
	return rc;
}

#define RUN(f, data, len, ...) \
	fake_run(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), data, len)

/* ---- LOG SELECT ------------------------------------------------------------------------------------------- */

static uint64_t value(struct fake_target *f, uint8_t page, unsigned at)
{
	RUN(f, NULL, 1024, 0x4d, 0, 0x40 | page, 0, 0, 0, 0, 4, 0, 0);
	assert_good(f);
	return get_be64(f->cmd.buf + 8 + at);
}

static void traffic(struct fake_target *f)
{
	uint8_t data[1024] = { 0 };

	fake_rw(f, 0x2a, 0, 0, 2, data, sizeof(data));
	assert_good(f);
	fake_rw(f, 0x28, 0, 0, 2, NULL, sizeof(data));
	assert_good(f);
}

/* Which CDBs bring which page back to zero: w = written bytes (02h), r = read bytes (03h), s = statistics (19h). */
static void what_is_reset(void **state)
{
	static const struct {
		uint8_t flags, pc_page, subpage;
		const char *zero;
	} row[] = {
		{ 0x02, 0x00, 0x00, "wrs" }, { 0x02, 0x40, 0x00, "wrs" }, /* PCR: whatever PC says */
		{ 0x00, 0xc0, 0x00, "wrs" },				   /* default cumulative values */
		{ 0x02, 0x02, 0x00, "w" },   { 0x02, 0x03, 0x00, "r" },
		{ 0x00, 0xd9, 0x00, "s" },   { 0x02, 0x19, 0xff, "s" },
		{ 0x02, 0x0d, 0x00, "" },    /* nothing in it can be reset */
		{ 0x02, 0x00, 0xff, "" },    /* page 00h with its subpages only */
		{ 0x00, 0x00, 0x00, "" },    { 0x00, 0x40, 0x00, "" },	   { 0x00, 0x80, 0x00, "" }, /* thresholds: there are none */
	};
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint64_t w, r, s;

		traffic(f);
		w = value(f, 0x02, 0), r = value(f, 0x03, 0), s = value(f, 0x19, 0);
		assert_true(w && r && s);
		RUN(f, NULL, 0, 0x4c, row[i].flags, row[i].pc_page, row[i].subpage, 0, 0, 0, 0, 0, 0);
		assert_good(f);
		assert_int_equal(value(f, 0x02, 0), strchr(row[i].zero, 'w') ? 0 : w);
		assert_int_equal(value(f, 0x03, 0), strchr(row[i].zero, 'r') ? 0 : r);
		assert_int_equal(value(f, 0x19, 0), strchr(row[i].zero, 's') ? 0 : s);
	}
}

static void counts_go_on_after_a_reset(void **state)
{
	struct fake_target *f = *state;

	traffic(f);
	traffic(f);
	RUN(f, NULL, 0, 0x4c, 0x02, 0, 0, 0, 0, 0, 0, 0, 0);
	traffic(f);
	assert_int_equal(value(f, 0x02, 0), 1024);
	assert_int_equal(value(f, 0x03, 0), 1024);
	assert_int_equal(value(f, 0x19, 0), 1);	 /* READ commands */
	assert_int_equal(value(f, 0x19, 8), 1);	 /* WRITE commands */
	assert_int_equal(value(f, 0x19, 16), 2); /* blocks received */
	assert_int_equal(value(f, 0x19, 24), 2); /* blocks transmitted */
}

/* Page 19h: time from arrival to completion, in intervals of which parameter 0003h tells the length. */
static void processing_intervals(void **state)
{
	struct fake_target *f = *state;
	uint8_t cdb[16], data[512] = { 0 };
	size_t len;

	f->disk.later = true;
	len = fake_rw_cdb(cdb, 0x28, 0, 0, 1);
	fake_start(f, cdb, len, NULL, 512);
	f->reactor.now += 3000000; /* 3 ms */
	fake_turn(f);
	len = fake_rw_cdb(cdb, 0x2a, 0, 0, 1);
	fake_start(f, cdb, len, data, 512);
	f->reactor.now += 5000000;
	fake_turn(f);
	assert_int_equal(value(f, 0x19, 32), 3000);
	assert_int_equal(value(f, 0x19, 40), 5000);
	assert_int_equal(get_be16(f->cmd.buf + 4 + 68), 0x0002); /* idle time */
	assert_int_equal(get_be16(f->cmd.buf + 4 + 80), 0x0003);
	assert_int_equal(get_be32(f->cmd.buf + 4 + 84), 6); /* EXPONENT: of a negative power of 10 */
	assert_int_equal(get_be32(f->cmd.buf + 4 + 88), 1); /* INTEGER: together 1 µs */
}

static void refused(void **state)
{
	static const struct {
		uint8_t flags, pc_page, subpage, len;
		uint8_t list[12];
		sense_t sense;
		int byte;
	} row[] = {
		{ 0x01, 0x40, 0, 0, { 0 }, SENSE(5, 0x24, 0), 1 },	    /* SP: nothing is saved */
		{ 0x03, 0x40, 0, 0, { 0 }, SENSE(5, 0x24, 0), 1 },
		{ 0x02, 0x3e, 0, 0, { 0 }, SENSE(5, 0x24, 0), 2 },	    /* no such page */
		{ 0x02, 0x02, 5, 0, { 0 }, SENSE(5, 0x24, 0), 3 },
		{ 0x02, 0x00, 0, 4, { 0x02 }, SENSE(5, 0x24, 0), 1 },	    /* PCR with a list */
		{ 0x00, 0x42, 0, 4, { 0x02 }, SENSE(5, 0x24, 0), 2 },	    /* a page code with a list */
		{ 0x00, 0x40, 1, 4, { 0x02 }, SENSE(5, 0x24, 0), 3 },
		{ 0x00, 0x40, 0, 3, { 0x02 }, SENSE(5, 0x1a, 0), -1 },	    /* cut in the header */
		{ 0x00, 0x40, 0, 8, { 0x02, 0, 0, 12 }, SENSE(5, 0x1a, 0), -1 }, /* and in a parameter */
		{ 0x00, 0x40, 0, 4, { 0x3e }, SENSE(5, 0x26, 0), 0 },
		{ 0x00, 0x40, 0, 8, { 0x02, 0, 0, 0, 0x3e }, SENSE(5, 0x26, 0), 4 },
		{ 0x00, 0x40, 0, 8, { 0x02, 0, 0, 4, 0, 5, 2, 0 }, SENSE(5, 0x26, 0), 4 }, /* no value can be set */
	};
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const uint8_t cdb[] = { 0x4c, row[i].flags, row[i].pc_page, row[i].subpage, 0, 0, 0, 0, row[i].len, 0 };

		traffic(f);
		fake_run(f, cdb, sizeof(cdb), row[i].len ? row[i].list : NULL, row[i].len);
		assert_sense(f, row[i].sense);
		if (row[i].byte >= 0)
			assert_int_equal(get_be16(f->cmd.sense + 16), row[i].byte);
	}
	assert_int_equal(resets, 0);
	assert_int_equal(value(f, 0x02, 0), 1024 * sizeof(row) / sizeof(row[0]));
	RUN(f, "\x02\0\0", 4, 0x4c, 0, 0x40, 0, 0, 0, 0, 0, 4, 0); /* a page without parameters asks for nothing */
	assert_good(f);
}

/* ---- the clock ----------------------------------------------------------------------------------------------- */

static uint64_t node_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* The origin; *ms: the timestamp. */
static uint8_t report(struct fake_target *f, uint64_t *ms)
{
	RUN(f, NULL, 12, 0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0);
	assert_good(f);
	assert_int_equal(get_be16(f->cmd.buf), 10);
	*ms = (uint64_t)get_be16(f->cmd.buf + 4) << 32 | get_be32(f->cmd.buf + 6);
	return f->cmd.buf[2] & 7;
}

static void set(struct fake_target *f, const uint8_t *list, uint8_t len)
{
	RUN(f, len ? list : NULL, len, 0xa4, 0x0f, 0, 0, 0, 0, 0, 0, 0, len, 0, 0);
}

static void clock_is_the_nodes_until_set(void **state)
{
	static const uint8_t list[12] = { 0, 0, 0, 0, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00 }; /* 2^32 ms */
	struct fake_target *f = *state;
	uint64_t before = node_ms(), ms;

	assert_int_equal(report(f, &ms), 3); /* by methods outside the standard */
	assert_in_range(ms, before, node_ms());
	before = node_ms();
	set(f, list, sizeof(list));
	assert_good(f);
	assert_int_equal(report(f, &ms), 2); /* by SET TIMESTAMP */
	assert_in_range(ms, 1ull << 32, (1ull << 32) + (node_ms() - before));
	set(f, list, 0); /* no change, and no error */
	assert_good(f);
	assert_int_equal(report(f, &ms), 2);
	f->mode.scsip = 0; /* SPC-4 7.5.9: the other methods have precedence */
	assert_int_equal(report(f, &ms), 3);
}

static void clock_refusals(void **state)
{
	static const struct {
		uint8_t len;
		uint8_t list[16];
		bool scsip;
		sense_t sense;
		int byte;
	} row[] = {
		{ 12, { 0 }, false, SENSE(5, 0x24, 0), 1 },
		{ 11, { 0 }, true, SENSE(5, 0x1a, 0), -1 },
		{ 1, { 0 }, true, SENSE(5, 0x1a, 0), -1 },
		{ 12, { 0, 0, 0, 0, 0xf1 }, true, SENSE(5, 0x26, 0), 4 },
		{ 16, { 0, 0, 0, 0, 0xff }, true, SENSE(5, 0x26, 0), 4 },
	};
	struct fake_target *f = *state;
	uint64_t ms;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		f->mode.scsip = row[i].scsip;
		set(f, row[i].list, row[i].len);
		assert_sense(f, row[i].sense);
		if (row[i].byte >= 0)
			assert_int_equal(get_be16(f->cmd.sense + 16), row[i].byte);
	}
	assert_int_equal(report(f, &ms), 3);
	set(f, (const uint8_t[12]){ 0, 0, 0, 0, 0xf0 }, 12); /* the greatest that is allowed */
	assert_good(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_reset, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(counts_go_on_after_a_reset, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(processing_intervals, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(refused, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(clock_is_the_nodes_until_set, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(clock_refusals, setup, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
