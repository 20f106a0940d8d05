/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every row of the command table is walked through what can happen to any command, with the well-formed commands of
 * fake_cases.h
 * (topology: fake_target.h): lengths and residuals, write protection, no medium, reservations, asymmetric access
 * states, the
 * CONTROL byte, and each bit of its CDB usage data. A row without a case fails the first test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/aca.h"
#include "core/handlers.h"
#include "fake_cases.h"

typedef void walk_fn(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c);

/* Each row on a target of its own. */
static void walk(walk_fn *fn)
{
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	for (size_t i = 0; i < n; i++) {
		const struct cdb_case *c = cdb_case_of(&row[i]);
		void *f;

		if (!c)
			fail_msg("%s has no case in fake_cases.c", row[i].name);
		cases_setup(&f);
		cases_suit(f, &row[i]);
		fn(f, &row[i], c);
		cases_teardown(&f);
	}
}

/* Of the command that was run last; SENSE_NONE with GOOD. */
static sense_t sense_now(const struct fake_target *f)
{
	return f->cmd.status == STATUS_CHECK_CONDITION ? fake_sense(f) : SENSE_NONE;
}

static void expect(const struct fake_target *f, const struct cdb_row *row, uint8_t status, sense_t s, const char *when)
{
	if (f->cmd.status != status || sense_now(f) != s)
		fail_msg("%s %s: status %02xh, sense %06xh, not %02xh, %06xh", row->name, when, f->cmd.status, sense_now(f),
			 status, s);
}

/* As the case says. */
static void expect_case(const struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c, const char *when)
{
	expect(f, row, c->sense == SENSE_NONE ? STATUS_GOOD : STATUS_CHECK_CONDITION, c->sense, when);
}

static void expect_sense(const struct fake_target *f, const struct cdb_row *row, sense_t s, const char *when)
{
	expect(f, row, STATUS_CHECK_CONDITION, s, when);
}

static uint32_t expected_of(const struct cdb_case *c)
{
	return c->out ? c->out : c->in;
}

static void run(struct fake_target *f, const struct cdb_case *c)
{
	cases_run(f, c, c->cdb, expected_of(c));
}

/* ---- cases and rows fit ------------------------------------------------------------------------------------- */

static void every_row_has_its_case(void **state)
{
	size_t nrows, ncases;
	const struct cdb_row *row = cdb_rows(&nrows);
	const struct cdb_case *c = cdb_cases(&ncases);

	(void)state;
	for (size_t i = 0; i < nrows; i++)
		if (!cdb_case_of(&row[i]))
			fail_msg("%s has no case in fake_cases.c", row[i].name);
	for (size_t i = 0; i < ncases; i++) {
		bool unknown;
		const struct cdb_row *of = cdb_find(c[i].cdb, &unknown);

		if (!of || cdb_case_of(of) != &c[i])
			fail_msg("case %zu (%02xh, %02xh) is of no row, or a second one", i, c[i].cdb[0], c[i].cdb[1]);
	}
}

static void perform(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	run(f, c);
	expect_case(f, row, c, "well-formed");
	if (f->cmd.data_in_len != c->in || f->cmd.data_out_len != c->out)
		fail_msg("%s: %u bytes in, %u out, not %u, %u", row->name, f->cmd.data_in_len, f->cmd.data_out_len, c->in,
			 c->out);
	assert_int_equal(row->dir, c->out || row->data == DATA_PARAM || row->data == DATA_FORMAT ? DIR_OUT :
				   c->in							 ? DIR_IN :
												   DIR_NONE);
}

static void every_row_performs(void **state)
{
	(void)state;
	walk(perform);
}

/* ---- lengths (SPC-4, allocation length; RFC 7143 11.4.5) ------------------------------------------------------- */

static const struct length_field {
	uint8_t at, len;
} length_fields[] = {
	[LAYOUT_ALLOC_6] = { 4, 1 },	  [LAYOUT_ALLOC_INQ] = { 3, 2 }, [LAYOUT_ALLOC_10] = { 7, 2 },
	[LAYOUT_ALLOC_PR_OUT] = { 5, 4 }, [LAYOUT_ALLOC_24] = { 6, 3 },	 [LAYOUT_ALLOC_12] = { 6, 4 },
	[LAYOUT_ALLOC_16] = { 10, 4 },	  [LAYOUT_LBA_6] = { 4, 1 },	 [LAYOUT_LBA_10] = { 7, 2 },
	[LAYOUT_LBA_12] = { 6, 4 },	  [LAYOUT_LBA_16] = { 10, 4 },	 [LAYOUT_LBA_CAW] = { 13, 1 },
	[LAYOUT_LBA_ATOMIC] = { 12, 2 },  [LAYOUT_LBA_32] = { 28, 4 },
};

static const struct length_field lba_fields[] = {
	[LAYOUT_LBA_6] = { 1, 3 },   [LAYOUT_LBA_10] = { 2, 4 },     [LAYOUT_LBA_12] = { 2, 4 },  [LAYOUT_LBA_16] = { 2, 8 },
	[LAYOUT_LBA_CAW] = { 2, 8 }, [LAYOUT_LBA_ATOMIC] = { 2, 8 }, [LAYOUT_LBA_32] = { 12, 8 },
};

static void put_field(uint8_t *cdb, struct length_field at, uint64_t value)
{
	for (int i = at.len - 1; i >= 0; i--, value >>= 8)
		cdb[at.at + i] = value;
}

static bool has_lba(const struct cdb_row *row)
{
	return row->layout >= LAYOUT_LBA_6;
}

/* Cut at the allocation length, and the same otherwise; zero is not an error. */
static void cut(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	uint8_t cdb[32], whole[1024];

	if (!c->in || has_lba(row) || row->layout == LAYOUT_NONE)
		return;
	run(f, c);
	assert_true(c->in <= sizeof(whole));
	memcpy(whole, f->cmd.buf, c->in);
	for (uint32_t k = 0, n = 0; k <= 2; n = c->in * ++k / 2) {
		memcpy(cdb, c->cdb, sizeof(cdb));
		put_field(cdb, length_fields[row->layout], n);
		cases_run(f, c, cdb, c->in);
		expect(f, row, STATUS_GOOD, SENSE_NONE, "with a short allocation length");
		if (f->cmd.data_in_len != n)
			fail_msg("%s gives %u bytes, not %u", row->name, f->cmd.data_in_len, n);
		if (row->exec != timestamp_report && row->resv != RESV_ALLOW_NOT_SPC2 && row->exec != hooks_rtpg)
			assert_memory_equal(f->cmd.buf, whole, n); /* neither a clock nor the CDB itself */
	}
}

static void allocation_length(void **state)
{
	(void)state;
	walk(cut);
}

/* The initiator announces more or less than the command transfers: the answer is the same, the residual is the
 * driver's. */
static void in_residuals(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	uint64_t seen;

	if (!c->in || row->exec == timestamp_report)
		return;
	run(f, c);
	seen = cases_seen(f);
	cases_run(f, c, c->cdb, c->in / 2);
	assert_true(cases_seen(f) == seen);
	cases_run(f, c, c->cdb, c->in + 4096);
	assert_true(cases_seen(f) == seen);
}

static void data_in_residuals(void **state)
{
	(void)state;
	walk(in_residuals);
}

static unsigned medium_writes(const struct fake_target *f)
{
	return f->disk.ops[DISK_WRITE] + f->disk.ops[DISK_DISCARD] + f->disk.ops[DISK_WRITE_ZEROES];
}

/* What consists of halves or repeats one block can't tell what data of another length mean. */
static bool takes_only_exactly(const struct cdb_row *row)
{
	return row->exec == write_same || row->exec == rmw_compare_and_write;
}

static void out_residuals(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	unsigned before;

	if (!c->out)
		return;
	before = medium_writes(f);
	cases_run(f, c, c->cdb, c->out - 1); /* overflow: no block that has not arrived whole is written */
	if (row->exec == rmw_write_atomic || takes_only_exactly(row))
		assert_int_equal(f->cmd.status, STATUS_CHECK_CONDITION);
	if (medium_writes(f) != before)
		fail_msg("%s wrote what did not arrive", row->name);
	assert_int_equal(f->cmd.data_out_len, c->out);
	cases_run(f, c, c->cdb, c->out + 512); /* underflow */
	assert_int_equal(f->cmd.data_out_len, c->out);
	if (takes_only_exactly(row))
		assert_int_equal(f->cmd.status, STATUS_CHECK_CONDITION);
	else
		expect_case(f, row, c, "with more data than it asks for");
}

static void data_out_residuals(void **state)
{
	(void)state;
	walk(out_residuals);
}

/* ---- range ----------------------------------------------------------------------------------- */

static void at(uint8_t *cdb, const struct cdb_row *row, const struct cdb_case *c, uint64_t lba, uint64_t blocks)
{
	memcpy(cdb, c->cdb, 32);
	put_field(cdb, lba_fields[row->layout], lba);
	put_field(cdb, length_fields[row->layout], blocks);
}

static void out_of_range(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	uint64_t most;
	uint8_t cdb[32];

	if (!has_lba(row))
		return;
	most = lba_fields[row->layout].len == 8 ? UINT64_MAX : lba_fields[row->layout].len == 4 ? UINT32_MAX : 0x1fffff;
	at(cdb, row, c, CASE_BLOCKS, 1);
	cases_run(f, c, cdb, expected_of(c));
	expect_sense(f, row, SENSE_LBA_OUT_OF_RANGE, "behind the last block");
	at(cdb, row, c, most, 1);
	cases_run(f, c, cdb, expected_of(c));
	expect_sense(f, row, SENSE_LBA_OUT_OF_RANGE, "at the highest address");
	at(cdb, row, c, CASE_BLOCKS - 1, 2);
	cases_run(f, c, cdb, 2 * expected_of(c));
	expect_sense(f, row, SENSE_LBA_OUT_OF_RANGE, "over the last block");
	if (row->layout == LAYOUT_LBA_6 || row->exec == write_same)
		return; /* 0 blocks: 256, up to the last block */
	at(cdb, row, c, CASE_BLOCKS, 0);
	cases_run(f, c, cdb, 0);
	expect(f, row, STATUS_GOOD, SENSE_NONE, "with no block, behind the last one");
}

static void range(void **state)
{
	(void)state;
	walk(out_of_range);
}

/* ---- gates ----------------------------------------------------------------------------------- */

static void protected_thrice(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	sense_t plain = c->writes ? SENSE_WRITE_PROTECTED : c->sense;
	sense_t soft = c->writes ? SENSE_SOFTWARE_WRITE_PROTECTED : c->sense;
	uint8_t status = c->sense != SENSE_NONE || c->writes ? STATUS_CHECK_CONDITION : STATUS_GOOD;

	f->nexus.itl[0].read_only = true;
	run(f, c);
	f->nexus.itl[0].read_only = false;
	expect(f, row, status, plain, "mapped read-only");
	f->lu->read_only = true;
	run(f, c);
	f->lu->read_only = false;
	expect(f, row, status, plain, "on a read-only logical unit");
	f->mode.swp = true;
	run(f, c);
	f->mode.swp = false;
	expect(f, row, status, soft, "with SWP=1");
}

static void write_protection(void **state)
{
	(void)state;
	walk(protected_thrice);
}

static void ejected(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	struct alua_gate open = f->gate;

	f->gate = (struct alua_gate){ .medium = GATE_REFUSE, .medium_sense = SENSE_MEDIUM_NOT_PRESENT, .no_medium = true };
	f->lu->disk = NULL;
	f->lu->removable = true;
	run(f, c);
	if (c->ejected_ok)
		expect_case(f, row, c, "without a medium");
	else
		expect_sense(f, row, SENSE_MEDIUM_NOT_PRESENT, "without a medium");
	f->gate = open;
	f->lu->disk = &f->disk.disk;
	f->lu->removable = false;
}

static void no_medium(void **state)
{
	(void)state;
	walk(ejected);
}

/* Told before anything of the command is done, but by what reports it or goes without (SAM-5 5.14; MMC-6 for GET
 * EVENT STATUS). */
static void attention(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	bool exempt = row->opcode == 0x12 || row->opcode == 0xa0 || row->opcode == 0x03 || row->opcode == 0x4a;

	ua_queue_push(&f->nexus.itl[0].ua, UA_INQUIRY_CHANGED);
	run(f, c);
	if (exempt)
		expect_case(f, row, c, "with a unit attention pending");
	else
		expect_sense(f, row, SENSE(KEY_UNIT_ATTENTION, 0x3f, 0x03), "with a unit attention pending");
	assert_int_equal(f->nexus.itl[0].ua.n, exempt && row->opcode != 0x03);
	f->nexus.itl[0].ua.n = 0;
}

static void unit_attention(void **state)
{
	(void)state;
	walk(attention);
}

/* ---- reservations ---------------------------------------------------------------------------- */

enum role { STRANGER, REGISTERED, HOLDER };

/* Whether somebody with this role is shut out by the reservation. */
static bool shut_out(enum case_resv r, const struct cdb_case *c, enum pr_type type, enum role role)
{
	bool exclusive = type == PR_EXCLUSIVE_ACCESS || type == PR_EXCLUSIVE_ACCESS_RO || type == PR_EXCLUSIVE_ACCESS_AR;
	bool holders_only = type == PR_WRITE_EXCLUSIVE || type == PR_EXCLUSIVE_ACCESS;

	if (role == HOLDER || (role == REGISTERED && !holders_only))
		return false;
	switch (r) {
	case ALLOWED:
	case ALLOWED_PR:
	case BY_ENGINE:
	case BY_ENGINE_SPC2:
		return false;
	case NO_EXCLUSIVE:
		return exclusive;
	case CONFLICT:
		return true;
	case STARTS_ONLY:
		return !(c->cdb[4] & 0x01);
	}
	return false;
}

static bool shut_out_spc2(enum case_resv r, const struct cdb_case *c, bool holder)
{
	switch (r) {
	case ALLOWED:
	case BY_ENGINE_SPC2:
		return false;
	case BY_ENGINE: /* whoever holds it */
		return true;
	case ALLOWED_PR:
	case NO_EXCLUSIVE:
	case CONFLICT:
		return !holder;
	case STARTS_ONLY:
		return !holder && !(c->cdb[4] & 0x01);
	}
	return false;
}

static void reserved(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	static const enum pr_type types[] = { PR_WRITE_EXCLUSIVE,    PR_EXCLUSIVE_ACCESS,   PR_WRITE_EXCLUSIVE_RO,
					      PR_EXCLUSIVE_ACCESS_RO, PR_WRITE_EXCLUSIVE_AR, PR_EXCLUSIVE_ACCESS_AR };
	static uint64_t generation;
	struct resv_page *page = calloc(1, sizeof(*page) + sizeof(page->registrant[0]));
	struct resv_view *view = calloc(1, sizeof(*view) + sizeof(view->page[0]));
	const struct nexus_id other = { 7, "iqn.2026-11.test:other,i,0x1" };

	page->n = 1;
	page->registrant[0] = &f->nexus.id;
	view->page[0] = page;
	for (unsigned t = 0; t < sizeof(types) / sizeof(types[0]); t++)
		for (enum role role = STRANGER; role <= HOLDER; role++) {
			*view = (struct resv_view){ .generation = ++generation, .kind = RESV_KIND_PR, .type = types[t],
						    .registrations = true, .nregistrants = role != STRANGER,
						    .npages = role != STRANGER };
			view->holder = role == HOLDER ? f->nexus.id : other;
			f->lu->resv = view;
			run(f, c);
			f->lu->resv = NULL;
			if ((f->cmd.status == STATUS_RESERVATION_CONFLICT) != shut_out(c->resv, c, types[t], role))
				fail_msg("%s: type %d, role %d: status %02xh", row->name, types[t], role, f->cmd.status);
		}
	for (int holder = 0; holder < 2; holder++) {
		*view = (struct resv_view){ .generation = ++generation, .kind = RESV_KIND_SPC2,
					    .holder = holder ? f->nexus.id : other };
		f->lu->resv = view;
		run(f, c);
		f->lu->resv = NULL;
		if ((f->cmd.status == STATUS_RESERVATION_CONFLICT) != shut_out_spc2(c->resv, c, holder))
			fail_msg("%s: SPC-2 reservation, holder %d: status %02xh", row->name, holder, f->cmd.status);
	}
	free(view);
	free(page);
}

static void reservations(void **state)
{
	(void)state;
	walk(reserved);
}

/* ---- asymmetric access ----------------------------------------------------------------------- */

static bool refused_in(enum case_alua a, uint8_t port_state)
{
	bool gone = port_state == 3 || port_state == 14;

	return a == MEDIUM || a == NOT_STANDBY || (a == NOT_UNAVAILABLE && gone);
}

static void in_each_state(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	static const struct {
		uint8_t state;
		sense_t sense;
	} states[] = { { 2, SENSE_LU_NOT_READY_STANDBY }, { 3, SENSE_LU_NOT_READY_UNAVAILABLE },
		       { 14, SENSE_LU_NOT_READY_UNAVAILABLE }, { 15, SENSE_LU_NOT_READY_TRANSITION } };
	struct alua_gate open = f->gate;

	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		f->gate = (struct alua_gate){ .medium = GATE_REFUSE, .local_state = states[i].state,
					      .medium_sense = states[i].sense };
		run(f, c);
		if (refused_in(c->alua, states[i].state))
			expect_sense(f, row, states[i].sense, "in a state that refuses it");
		else
			expect_case(f, row, c, "in a state that serves it");
	}
	f->gate = open;
}

static void access_states(void **state)
{
	(void)state;
	walk(in_each_state);
}

static void turn_timer(struct reactor_timer *t)
{
	assert_true(t->armed);
	reactor_timer_cancel(t);
	t->fn(t);
}

/* While the group is on its way to another owner, what needs the medium waits, and in the end gets what initiators
 * retry. */
static void in_transition(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	struct alua_gate open = f->gate;

	f->gate = (struct alua_gate){ .medium = GATE_HOLD, .local_state = 15, .hold_limit_ms = 1,
				      .medium_sense = SENSE_LU_NOT_READY_TRANSITION };
	if (c->alua == MEDIUM) {
		fake_start(f, c->cdb, 32, NULL, expected_of(c));
		assert_false(f->ended);
		f->reactor.now += 1000000000;
		turn_timer(&f->lu->shard[0].hold_timer);
		assert_true(f->ended);
	} else {
		run(f, c);
	}
	if (refused_in(c->alua, 15))
		expect_sense(f, row, SENSE_LU_NOT_READY_TRANSITION, "in transition");
	else
		expect_case(f, row, c, "in transition");
	f->gate = open;
}

static void transition(void **state)
{
	(void)state;
	walk(in_transition);
}

/* ---- the CDB usage data ---------------------------------------------------------------------- */

static void with_naca(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	uint8_t cdb[32];

	memcpy(cdb, c->cdb, 32);
	cdb[cdb_control_at(row)] = 0x04;
	cases_run(f, c, cdb, expected_of(c));
	expect_case(f, row, c, "with NACA=1");
	assert_int_equal(f->nexus.itl[0].aca, c->sense != SENSE_NONE);
	aca_clear(&f->nexus.itl[0]);
	cdb[cdb_control_at(row)] = 0x01; /* LINK, obsolete */
	cases_run(f, c, cdb, expected_of(c));
	fake_assert_bad_field(f, cdb_control_at(row));
}

static void control_byte(void **state)
{
	(void)state;
	walk(with_naca);
}

/* Bits that the usage data has although nothing follows from them that one command shows, with the reason. */
static const struct without_effect {
	uint8_t opcode;
	uint16_t sa;
	uint8_t at, mask;
	const char *because;
} without_effect[] = {
	{ 0x04, CDB_NO_SA, 1, 0x08, "CMPLST: there is no list of grown defects" },
	{ 0x1b, CDB_NO_SA, 1, 0x01, "IMMED only allows an early answer" },
	{ 0x1b, CDB_NO_SA, 3, 0x0f, "POWER CONDITION MODIFIER belongs to power conditions, and there are none" },
	{ 0x34, CDB_NO_SA, 1, 0x02, "IMMED only allows an early answer" },
	{ 0x90, CDB_NO_SA, 1, 0x02, "IMMED only allows an early answer" },
	{ 0x35, CDB_NO_SA, 1, 0x06, "IMMED only allows an early answer; SYNC_NV less than is done" },
	{ 0x91, CDB_NO_SA, 1, 0x06, "IMMED only allows an early answer; SYNC_NV less than is done" },
	{ 0x3b, CDB_NO_SA, 2, 0xff, "BUFFER ID: ignored in echo buffer mode" },
	{ 0x3b, CDB_NO_SA, 3, 0xff, "BUFFER OFFSET: ignored in echo buffer mode" },
	{ 0x3b, CDB_NO_SA, 4, 0xff, "BUFFER OFFSET" },
	{ 0x3b, CDB_NO_SA, 5, 0xff, "BUFFER OFFSET" },
	{ 0x3c, CDB_NO_SA, 2, 0xff, "BUFFER ID: ignored in echo buffer mode" },
	{ 0x3c, CDB_NO_SA, 3, 0xff, "BUFFER OFFSET: ignored in echo buffer mode" },
	{ 0x3c, CDB_NO_SA, 4, 0xff, "BUFFER OFFSET" },
	{ 0x3c, CDB_NO_SA, 5, 0xff, "BUFFER OFFSET" },
	{ 0x2e, CDB_NO_SA, 1, 0x02, "BYTCHK: what has just been written compares (verify_test has a medium where it does not)" },
	{ 0x7f, 0x0c, 10, 0x02, "BYTCHK" },
	{ 0xae, CDB_NO_SA, 1, 0x02, "BYTCHK" },
	{ 0x8e, CDB_NO_SA, 1, 0x02, "BYTCHK" },
	{ 0xb7, CDB_NO_SA, 2, 0xff, "ADDRESS DESCRIPTOR INDEX: into a list that is empty" },
	{ 0xb7, CDB_NO_SA, 3, 0xff, "ADDRESS DESCRIPTOR INDEX" },
	{ 0xb7, CDB_NO_SA, 4, 0xff, "ADDRESS DESCRIPTOR INDEX" },
	{ 0xb7, CDB_NO_SA, 5, 0xff, "ADDRESS DESCRIPTOR INDEX" },
	{ 0x4a, CDB_NO_SA, 4, 0xef, "notification classes without events" },
	{ 0x48, 0x01, 1, 0x80, "IMMED: GOOD before or after (sanitize_test)" },
	{ 0x48, 0x02, 1, 0x80, "IMMED" },
	{ 0x48, 0x03, 1, 0x80, "IMMED" },
	{ 0x48, 0x01, 1, 0x20, "AUSE: what EXIT FAILURE MODE may do later (sanitize_test)" },
	{ 0x48, 0x02, 1, 0x20, "AUSE" },
	{ 0x48, 0x03, 1, 0x20, "AUSE" },
	{ 0x48, 0x1f, 1, 0x80, "IMMED: there is nothing to wait for" },
	{ 0x83, 0x10, 6, 0xff, "LIST IDENTIFIER: what the result is asked by (rod_copy_test)" },
	{ 0x83, 0x10, 7, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x10, 8, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x10, 9, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x11, 6, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x11, 7, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x11, 8, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x11, 9, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x1c, 2, 0xff, "LIST IDENTIFIER: of an operation under way (extended_copy_test)" },
	{ 0x83, 0x1c, 3, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x1c, 4, 0xff, "LIST IDENTIFIER" },
	{ 0x83, 0x1c, 5, 0xff, "LIST IDENTIFIER" },
};

/* GROUP NUMBER: GROUP_SUP=0. DPO: the cache is not ours. */
static bool is_taken_everywhere(const struct cdb_row *row, unsigned byte, uint8_t bit)
{
	unsigned group = row->cdb_len == 32 || row->cdb_len == 10 ? 6 : row->cdb_len - 2;
	unsigned options = row->cdb_len == 32 ? 10 : 1;
	bool addressed = has_lba(row) && row->cdb_len > 6;
	bool grouped = addressed || row->opcode == 0x42 || row->exec == rod_copy_populate || row->exec == rod_copy_write;

	return (grouped && byte == group && bit < 0x20) || (addressed && byte == options && bit == 0x10);
}

static bool may_be_without_effect(const struct cdb_row *row, unsigned byte, uint8_t bit)
{
	for (size_t i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++)
		if (without_effect[i].opcode == row->opcode && without_effect[i].sa == row->sa &&
		    without_effect[i].at == byte && (without_effect[i].mask & bit))
			return true;
	return is_taken_everywhere(row, byte, bit);
}

static bool differs(struct fake_target *f, const struct cdb_case *c, const uint8_t *base, unsigned byte, uint8_t bit)
{
	uint8_t cdb[32];
	uint64_t seen;

	memcpy(cdb, base, 32);
	cases_run(f, c, cdb, expected_of(c));
	seen = cases_seen(f);
	cdb[byte] ^= bit;
	cases_run(f, c, cdb, expected_of(c));
	return cases_seen(f) != seen;
}

/* The bit changes what is seen, in the case or in one of the CDBs made from it: allocation length 0, a range of which the one
 * or the other value of the bit lies outside of the medium. */
static bool is_evaluated(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c, unsigned byte, uint8_t bit)
{
	struct length_field len = length_fields[row->layout];
	uint8_t cdb[32];
	uint64_t v;

	if (differs(f, c, c->cdb, byte, bit) || (c->other[0] && differs(f, c, c->other, byte, bit)))
		return true;
	memcpy(cdb, c->cdb, 32);
	if (!has_lba(row)) {
		if (row->layout != LAYOUT_NONE)
			put_field(cdb, len, 0);
		return differs(f, c, cdb, byte, bit);
	}
	at(cdb, row, c, CASE_BLOCKS - 1, 2);
	if (differs(f, c, cdb, byte, bit))
		return true;
	if (byte < len.at || byte >= len.at + len.len)
		return false;
	v = (uint64_t)bit << 8 * (len.at + len.len - 1 - byte);
	at(cdb, row, c, v <= CASE_BLOCKS ? CASE_BLOCKS + 1 - v : 0, v);
	return differs(f, c, cdb, byte, bit);
}

static bool is_service_action(const struct cdb_row *row, unsigned byte, uint8_t bit)
{
	if (row->opcode == CDB_VARIABLE)
		return byte == 8 || byte == 9;
	return row->sa != CDB_NO_SA && byte == 1 && bit < 0x20;
}

static unsigned found_without_effect;

static void bit_by_bit(struct fake_target *f, const struct cdb_row *row, const struct cdb_case *c)
{
	for (unsigned byte = 1; byte < row->cdb_len; byte++)
		for (unsigned bit = 0x80; bit; bit >>= 1) {
			bool listed = may_be_without_effect(row, byte, bit);

			if (!(row->usage[byte] & bit) || is_service_action(row, byte, bit))
				continue;
			if (is_evaluated(f, row, c, byte, bit) == listed)
				fail_msg("%s: byte %u, bit %02xh is in the usage data, and %s", row->name, byte, bit,
					 listed ? "said to be without effect, which is not so" : "nothing follows from it");
			found_without_effect += listed;
		}
}

/* Those that are not in it are cdb_table_test's: refused, with a field pointer. */
static void every_bit_of_the_usage_data_counts(void **state)
{
	(void)state;
	found_without_effect = 0;
	walk(bit_by_bit);
	assert_true(found_without_effect > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(every_row_has_its_case), T(every_row_performs), T(allocation_length), T(data_in_residuals),
		T(data_out_residuals), T(range), T(write_protection), T(no_medium), T(unit_attention), T(reservations),
		T(access_states), T(transition), T(control_byte), T(every_bit_of_the_usage_data_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
