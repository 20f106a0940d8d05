/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inventory (topology: fake_target.h): REPORT LUNS by each SELECT REPORT code, the REPORT LUNS well-known
 * logical unit, and what
 * is answered where there is no logical unit (SPC-4 6.33, well known logical units; SAM-5 4.7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/cdb.h"
#include "core/lun_map.h"
#include "fake_target.h"

#define LUN_0 "\0\0\0\0\0\0\0"
#define LUN_1 "\0\1\0\0\0\0\0"
#define LUN_300 "\x41\x2c\0\0\0\0\0"
#define LUN_9 "\0\x09\0\0\0\0\0"
#define WELL_KNOWN "\xc1\x01\0\0\0\0\0"

static void on_done(struct scsi_cmd *cmd)
{
	caa_container_of(cmd, struct fake_target, cmd)->ended = true;
}

/* fake_run() knows only peripheral addressing. */
static void run(struct fake_target *f, const char *lun, const uint8_t *cdb, size_t len, uint32_t expected)
{
	struct scsi_cmd *cmd = &f->cmd;

	if (cmd->reactor)
		cmd_fini(cmd);
	*cmd = (struct scsi_cmd){ .nexus = &f->nexus, .read = expected, .expected_len = expected, .done = on_done };
	memcpy(cmd->lun, lun, 8);
	memcpy(cmd->cdb, cdb, len);
	cmd->cdb_got = len;
	f->ended = false;
	cmd_init(cmd);
	cmd_decode(cmd);
	cmd_execute(cmd);
	assert_true(f->ended);
}

#define RUN(f, lun, ...)                                                \
	do {                                                            \
		const uint8_t cdb_[] = { __VA_ARGS__ };                 \
		run(f, lun, cdb_, sizeof(cdb_), 1024);                  \
	} while (0)
#define REPORT(f, lun, select) RUN(f, lun, 0xa0, 0, select, 0, 0, 0, 0, 0, 4, 0, 0, 0)

/* ---- who is told what -------------------------------------------------------------------------------------- */

static void select_report(void **state)
{
	static const uint16_t luns[] = { 0x0000, 0x0001, 0x412c, 0xc101 };
	static const struct {
		uint8_t select;
		const char *asked;
		bool luns, well_known; /* in the answer */
	} cases[] = {
		{ 0x00, LUN_0, true, false },	    { 0x00, LUN_300, true, false },	{ 0x00, LUN_9, true, false },
		{ 0x00, WELL_KNOWN, true, false },  { 0x01, LUN_0, false, true },	{ 0x01, LUN_1, false, true },
		{ 0x01, WELL_KNOWN, false, true },  { 0x02, LUN_0, true, true },	{ 0x02, LUN_9, true, true },
		{ 0x02, WELL_KNOWN, true, true },   { 0x10, LUN_0, false, false },	{ 0x10, WELL_KNOWN, false, false },
		{ 0x11, LUN_0, true, false },	    { 0x11, WELL_KNOWN, true, false },	{ 0x11, LUN_1, false, false },
		{ 0x11, LUN_9, false, false },	    { 0x12, LUN_0, false, false },	{ 0x12, LUN_1, false, false },
	};
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned first = cases[i].luns ? 0 : 3, n = 3 * cases[i].luns + cases[i].well_known;

		REPORT(f, cases[i].asked, cases[i].select);
		assert_good(f);
		assert_int_equal(f->cmd.data_in_len, 8 + 8 * n);
		assert_int_equal(get_be32(f->cmd.buf), 8 * n);
		assert_int_equal(get_be32(f->cmd.buf + 4), 0);
		for (unsigned k = 0; k < n; k++)
			assert_int_equal(get_be64(f->cmd.buf + 8 + 8 * k), (uint64_t)luns[first + k] << 48);
	}
}

static void reserved_codes(void **state)
{
	struct fake_target *f = *state;

	for (int select = 0; select < 256; select++) {
		if (select <= 0x02 || (select >= 0x10 && select <= 0x12))
			continue;
		REPORT(f, LUN_0, select);
		fake_assert_bad_field(f, 2);
	}
}

/* Cut, but LUN LIST LENGTH says it all. */
static void cut(void **state)
{
	struct fake_target *f = *state;

	RUN(f, LUN_0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0);
	assert_int_equal(f->cmd.data_in_len, 12);
	assert_int_equal(get_be32(f->cmd.buf), 24);
}

/* Nothing is mapped: LUN 0 answers all the same, and so does the well-known logical unit. */
static void no_lun_at_all(void **state)
{
	struct fake_target *f = *state;
	uint32_t n = f->nexus.nitl;

	f->nexus.nitl = 0;
	REPORT(f, LUN_0, 0x00);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 8);
	REPORT(f, WELL_KNOWN, 0x02);
	assert_int_equal(f->cmd.data_in_len, 16);
	assert_int_equal(get_be16(f->cmd.buf + 8), 0xc101);
	f->nexus.nitl = n;
}

/* ---- REPORTED LUNS DATA HAS CHANGED ------------------------------------------------------------------------ */

/* SPC-4 6.33: clears it on every logical unit of the nexus, and no other condition. */
static void telling_clears_it(void **state)
{
	static const uint8_t selects[] = { 0x00, 0x01, 0x02, 0x10, 0x11, 0x12 };
	struct fake_target *f = *state;

	for (unsigned s = 0; s < sizeof(selects); s++) {
		for (int i = 0; i < 3; i++)
			ua_queue_push(&f->nexus.itl[i].ua, UA_REPORTED_LUNS_CHANGED);
		ua_queue_push(&f->nexus.itl[1].ua, UA_CAPACITY_CHANGED);
		f->nexus.well_known_ua.n = 0;
		ua_queue_push(&f->nexus.well_known_ua, UA_REPORTED_LUNS_CHANGED);
		REPORT(f, LUN_0, selects[s]);
		assert_good(f);
		assert_int_equal(f->nexus.itl[0].ua.n, 0);
		assert_int_equal(f->nexus.itl[1].ua.n, 1);
		assert_int_equal(f->nexus.itl[2].ua.n, 0);
		assert_int_equal(f->nexus.well_known_ua.n, 0);
	}
}

static void on_refreshed(struct lun_map_refresh *r)
{
	(void)r;
}

/* Every logical unit that the nexus keeps tells it, a new one after its own 29/00; who has the same map hears
 * nothing. */
static void a_changed_map(void **state)
{
	struct fake_target *f = *state;
	struct lun_map_part part[1];
	struct lun_map_refresh r = { .core = &f->core, .part = part, .done = on_refreshed };

	f->nexus.well_known_ua.n = 0;
	f->target.map_changed = true;
	lun_map_refresh(&r);
	fake_turn(f), fake_turn(f);
	assert_int_equal(f->nexus.itl[0].ua.n, 0);
	f->lun[2].lun = 5; /* LUN 300 is LUN 5 now */
	lun_map_refresh(&r);
	fake_turn(f), fake_turn(f);
	assert_int_equal(f->nexus.nitl, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f->nexus.itl[i].ua.n, 1);
		assert_int_equal(f->nexus.itl[i].ua.code[0], UA_REPORTED_LUNS_CHANGED);
	}
	assert_int_equal(f->nexus.itl[2].ua.n, 2);
	assert_int_equal(f->nexus.itl[2].ua.code[0], UA_POWER_ON);
	assert_int_equal(f->nexus.itl[2].ua.code[1], UA_REPORTED_LUNS_CHANGED);
	assert_int_equal(f->nexus.well_known_ua.n, 1);
	assert_int_equal(f->nexus.well_known_ua.code[0], UA_REPORTED_LUNS_CHANGED);
}

/* ---- the well-known logical unit ----------------------------------------------------------------------------- */

static void well_known_commands(void **state)
{
	struct fake_target *f = *state;
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	f->nexus.well_known_ua.n = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t cdb[32] = { row[i].opcode };

		if (row[i].opcode == CDB_VARIABLE)
			put_be16(cdb + 8, row[i].sa);
		else if (row[i].sa != CDB_NO_SA)
			cdb[1] = row[i].sa;
		run(f, WELL_KNOWN, cdb, row[i].cdb_len, 0);
		if (row[i].opcode == 0x00 || row[i].opcode == 0x03 || row[i].opcode == 0x12 || row[i].opcode == 0xa0)
			assert_good(f);
		else
			assert_sense(f, SENSE_INVALID_OPCODE);
	}
}

static void well_known_inquiry(void **state)
{
	struct fake_target *f = *state;

	RUN(f, WELL_KNOWN, 0x12, 0, 0, 0, 96, 0);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0], 0x1e); /* connected; well-known logical unit */
	assert_int_equal(f->cmd.buf[5], 0);    /* no TPGS, no third-party copies, no protection */
	assert_memory_equal(f->cmd.buf + 8, "SANDEM  REPORT LUNS     0001", 28);
	for (int i = 58; i < 74; i += 2)
		assert_int_not_equal(get_be16(f->cmd.buf + i), 0x04c0); /* no SBC-3 */
	RUN(f, WELL_KNOWN, 0x12, 1, 0, 0, 255, 0);
	assert_good(f);
	assert_memory_equal(f->cmd.buf, "\x1e\0\0\x02\0\x83", 6);
	RUN(f, WELL_KNOWN, 0x12, 1, 0x83, 0, 255, 0);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0], 0x1e);
	for (uint32_t at = 4; at < f->cmd.data_in_len; at += 4 + f->cmd.buf[at + 3])
		assert_int_not_equal(f->cmd.buf[at + 1] & 0x30, 0); /* of the port and the device only */
	RUN(f, WELL_KNOWN, 0x12, 1, 0x80, 0, 255, 0);
	fake_assert_bad_field(f, 2);
}

/* It has conditions of its own. */
static void well_known_unit_attention(void **state)
{
	struct fake_target *f = *state;

	assert_int_equal(f->nexus.well_known_ua.n, 1); /* since the login: fake_setup() clears those of the logical units */
	RUN(f, WELL_KNOWN, 0x00, 0, 0, 0, 0, 0);
	assert_sense(f, SENSE(KEY_UNIT_ATTENTION, 0x29, 0x00));
	RUN(f, WELL_KNOWN, 0x00, 0, 0, 0, 0, 0);
	assert_good(f);
	ua_queue_push(&f->nexus.well_known_ua, UA_REPORTED_LUNS_CHANGED);
	RUN(f, LUN_0, 0x00, 0, 0, 0, 0, 0);
	assert_good(f);
	RUN(f, WELL_KNOWN, 0x03, 0, 0, 0, 252, 0);
	assert_good(f);
	assert_int_equal(f->cmd.buf[2], KEY_UNIT_ATTENTION);
	assert_int_equal(get_be16(f->cmd.buf + 12), UA_REPORTED_LUNS_CHANGED);
	assert_int_equal(f->nexus.well_known_ua.n, 0);
}

/* ---- no logical unit ------------------------------------------------------------------------------------------- */

static void wrong_luns(void **state)
{
	static const char *const wrong[] = { LUN_9, "\xc1\x02\0\0\0\0\0", "\xc1\x01\0\0\0\0\1", "\xd2\0\0\0\0\0\0",
					     "\x01\0\0\0\0\0\0", "\0\0\0\1\0\0\0", "\x80\0\0\0\0\0\0" };
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		RUN(f, wrong[i], 0x12, 0, 0, 0, 96, 0);
		assert_good(f);
		assert_int_equal(f->cmd.buf[0], 0x7f); /* qualifier 011b, type 1Fh */
		RUN(f, wrong[i], 0x03, 0, 0, 0, 252, 0);
		assert_good(f);
		assert_int_equal(f->cmd.buf[2], KEY_ILLEGAL_REQUEST);
		assert_int_equal(get_be16(f->cmd.buf + 12), 0x2500);
		RUN(f, wrong[i], 0x00, 0, 0, 0, 0, 0);
		assert_sense(f, SENSE_LU_NOT_SUPPORTED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(select_report), T(reserved_codes), T(cut), T(no_lun_at_all), T(telling_clears_it), T(a_changed_map),
		T(well_known_commands), T(well_known_inquiry), T(well_known_unit_attention), T(wrong_luns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
