/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold for every row of the command table, and the gates that read it (topology:
 * fake_target.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/cdb.h"
#include "fake_target.h"

/* SPC-4 4.2.5.1: the group code gives the length of the CDB */
static uint8_t length_of_group(uint8_t opcode)
{
	static const uint8_t len[8] = { 6, 10, 10, 32, 16, 12, 0, 0 }; /* group 3 here: 7Fh, ADDITIONAL CDB LENGTH 18h */

	return len[opcode >> 5];
}

/* Nothing but what says which command it is; where service action and length stand differs with 7Fh (SPC-4 4.2.3). */
static void bare_cdb(const struct cdb_row *row, uint8_t cdb[32])
{
	memset(cdb, 0, 32);
	cdb[0] = row->opcode;
	if (row->opcode == 0x7f) {
		cdb[7] = 0x18;
		put_be16(cdb + 8, row->sa);
	} else if (row->sa != CDB_NO_SA) {
		cdb[1] = row->sa;
	}
}

/* Commands of 32 bytes are for logical units with type 2 protection. */
static void suit(struct fake_target *f, const struct cdb_row *row)
{
	f->lu->pi_type = row->opcode == 0x7f ? PI_TYPE_2 : PI_NONE;
}

static void rows_are_sorted_and_found(void **state)
{
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);
	bool sa_unknown;

	(void)state;
	assert_true(n > 40);
	for (size_t i = 0; i < n; i++) {
		uint8_t cdb[32];

		bare_cdb(&row[i], cdb);
		if (i)
			assert_true(row[i - 1].opcode < row[i].opcode ||
				    (row[i - 1].opcode == row[i].opcode && row[i - 1].sa < row[i].sa));
		assert_ptr_equal(cdb_find(cdb, &sa_unknown), &row[i]);
		assert_false(sa_unknown);
	}
}

static void unknown_codes(void **state)
{
	const uint8_t opcode[32] = { 0xc1 }, action[32] = { 0x9e, 0x1f };
	bool sa_unknown;

	(void)state;
	assert_null(cdb_find(opcode, &sa_unknown));
	assert_false(sa_unknown);
	assert_null(cdb_find(action, &sa_unknown));
	assert_true(sa_unknown);
}

static void usage_data(void **state)
{
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct cdb_row *r = &row[i];

		assert_int_equal(r->cdb_len, length_of_group(r->opcode));
		assert_int_equal(r->usage[0], r->opcode);
		if (r->opcode == 0x7f)
			assert_int_equal(get_be16(r->usage + 8), r->sa);
		else if (r->sa != CDB_NO_SA)
			assert_int_equal(r->usage[1] & 0x1f, r->sa);
		assert_int_equal(r->usage[r->opcode == 0x7f ? 1 : r->cdb_len - 1], 0); /* CONTROL: NACA is every row's */
		for (int b = r->cdb_len; b < 32; b++)
			assert_int_equal(r->usage[b], 0);
		assert_non_null(r->exec);
	}
}

/* Where a row says its address and length stand, the usage data must let them through. */
static void usage_covers_the_layout(void **state)
{
	static const struct {
		enum cdb_layout layout;
		uint8_t from, to;
	} fields[] = {
		{ LAYOUT_ALLOC_6, 4, 4 },   { LAYOUT_ALLOC_INQ, 3, 4 }, { LAYOUT_ALLOC_10, 7, 8 },
		{ LAYOUT_ALLOC_PR_OUT, 5, 8 }, { LAYOUT_ALLOC_12, 6, 9 }, { LAYOUT_ALLOC_16, 10, 13 },
		{ LAYOUT_LBA_6, 2, 4 },	    { LAYOUT_LBA_10, 2, 5 },	{ LAYOUT_LBA_10, 7, 8 },
		{ LAYOUT_ALLOC_24, 6, 8 }, { LAYOUT_LBA_ATOMIC, 2, 9 }, { LAYOUT_LBA_ATOMIC, 12, 13 },
		{ LAYOUT_LBA_12, 2, 9 },    { LAYOUT_LBA_16, 2, 13 },	{ LAYOUT_LBA_32, 12, 31 },
	};
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
			for (int b = fields[k].from; row[i].layout == fields[k].layout && b <= fields[k].to; b++)
				assert_int_equal(row[i].usage[b], 0xff);
}

/* Every bit that is not in the usage data is refused, and the field pointer names its byte. */
static void reserved_bits_of_every_row(void **state)
{
	struct fake_target *f = *state;
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	for (size_t i = 0; i < n; i++)
		for (int bit = 8; bit < row[i].cdb_len * 8; bit++) {
			bool variable = row[i].opcode == 0x7f;
			bool is_sa = variable ? bit >= 56 && bit < 80 : row[i].sa != CDB_NO_SA && bit < 13;
			uint8_t cdb[32];

			if (bit == 8 * (variable ? 1 : row[i].cdb_len - 1) + 2) /* NACA: NORMACA=1, SPC-4 6.6.2 */
				continue;
			if (variable && bit / 8 == 10 && bit % 8 >= 5) /* RDPROTECT … of a unit with type 2 */
				continue;
			suit(f, &row[i]);
			bare_cdb(&row[i], cdb);
			if (is_sa || (row[i].usage[bit / 8] & 1 << bit % 8))
				continue;
			cdb[bit / 8] |= 1 << bit % 8;
			fake_run(f, cdb, row[i].cdb_len, NULL, 0);
			fake_assert_bad_field(f, bit / 8);
			assert_int_equal(f->cmd.sense[15] & 0x0f, 0x08 | bit % 8); /* BPV, bit */
		}
}

static void unknown_operation_codes_and_service_actions(void **state)
{
	struct fake_target *f = *state;
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);
	bool known[256] = { false };

	for (size_t i = 0; i < n; i++)
		known[row[i].opcode] = true;
	for (int op = 0; op < 256; op++) {
		uint8_t cdb[16] = { op };

		if (known[op])
			continue;
		fake_run(f, cdb, sizeof(cdb), NULL, 0);
		assert_sense(f, SENSE(5, 0x20, 0));
	}
	fake_run(f, (const uint8_t[16]){ 0x9e, 0x1f }, 16, NULL, 0);
	fake_assert_bad_field(f, 1);
}

/* SPC-4 6.6.2, SAM-5 4.8: only INQUIRY, REPORT LUNS and REQUEST SENSE are performed where there
 * is no logical unit. */
static void no_logical_unit(void **state)
{
	struct fake_target *f = *state;
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	f->at_lun = 9;
	for (size_t i = 0; i < n; i++) {
		uint8_t cdb[32];

		bare_cdb(&row[i], cdb);
		fake_run(f, cdb, row[i].cdb_len, NULL, 0);
		if (row[i].opcode == 0x12 || row[i].opcode == 0xa0 || row[i].opcode == 0x03)
			assert_good(f);
		else
			assert_sense(f, SENSE(5, 0x25, 0));
	}
}

static void unit_attention_goes_first(void **state)
{
	struct fake_target *f = *state;
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);

	for (size_t i = 0; i < n; i++) {
		uint8_t cdb[32];
		bool exempt = row[i].opcode == 0x12 || row[i].opcode == 0xa0 || row[i].opcode == 0x03;

		suit(f, &row[i]);
		bare_cdb(&row[i], cdb);
		f->nexus.itl[0].ua.n = 0;
		ua_queue_push(&f->nexus.itl[0].ua, UA_CAPACITY_CHANGED);
		fake_run(f, cdb, row[i].cdb_len, NULL, 0);
		if (row[i].opcode == 0x4a) { /* MMC-6 6.7: exempt, too; and a disk does not have it */
			assert_sense(f, SENSE_INVALID_OPCODE);
			assert_int_equal(f->nexus.itl[0].ua.n, 1);
			continue;
		}
		if (exempt)
			assert_good(f);
		else
			assert_sense(f, SENSE(6, 0x2a, 0x09));
		assert_int_equal(f->nexus.itl[0].ua.n, exempt && row[i].opcode != 0x03); /* told once */
	}
}

/* SPC-4 5.15.2.4.4, .5: what a target port in standby and unavailable state serves, from the
 * standard's lists */
static void asymmetric_access_states(void **state)
{
	struct fake_target *f = *state;
	static const struct {
		uint8_t cdb[16];
		uint8_t len;
		bool standby, unavailable;
	} cases[] = {
		{ { 0x12 }, 6, true, true },	   { { 0xa0 }, 12, true, true },	{ { 0x03 }, 6, true, true },
		{ { 0xa3, 0x0c }, 12, true, true }, { { 0x1a, 0, 0x3f }, 6, true, false }, { { 0x5a, 0, 0x3f }, 10, true, false },
		{ { 0x00 }, 6, false, false },	   { { 0x28 }, 10, false, false },	{ { 0x2a }, 10, false, false },
		{ { 0x35 }, 10, false, false },	   { { 0x42 }, 10, false, false },	{ { 0x2f }, 10, false, false },
	};

	f->gate.medium = GATE_REFUSE;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->gate.local_state = 2;
		f->gate.medium_sense = SENSE_LU_NOT_READY_STANDBY;
		fake_run(f, cases[i].cdb, cases[i].len, NULL, 0);
		if (cases[i].standby)
			assert_good(f);
		else
			assert_sense(f, SENSE(2, 0x04, 0x0b));
		f->gate.local_state = 3;
		f->gate.medium_sense = SENSE_LU_NOT_READY_UNAVAILABLE;
		fake_run(f, cases[i].cdb, cases[i].len, NULL, 0);
		if (cases[i].unavailable)
			assert_good(f);
		else
			assert_sense(f, SENSE(2, 0x04, 0x0c));
	}
}

/* SPC-4 table 68, SBC-3 table 13: held by another I_T nexus, this one not registered */
static void reservations(void **state)
{
	struct fake_target *f = *state;
	struct resv_view view = { .generation = 1, .kind = RESV_KIND_PR, .registrations = true,
				  .holder = { 7, "iqn.2026-11.test:other,i,0x1" } };
	enum { A = 0, C = 1 }; /* allowed, conflict */
	static const struct {
		uint8_t cdb[16];
		uint8_t len;
		bool write_exclusive, exclusive_access;
	} cases[] = {
		{ { 0x00 }, 6, A, A },		{ { 0x03 }, 6, A, A },		 { { 0x12 }, 6, A, A },
		{ { 0xa0 }, 12, A, A },		{ { 0x25 }, 10, A, A },		 { { 0x9e, 0x10 }, 16, A, A },
		{ { 0x1b, 0, 0, 0, 1 }, 6, A, A }, { { 0x1b, 0, 0, 0, 0 }, 6, C, C }, { { 0x1e }, 6, A, A },
		{ { 0x28 }, 10, A, C },		{ { 0x08 }, 6, A, C },		 { { 0x88 }, 16, A, C },
		{ { 0xa8 }, 12, A, C },		{ { 0x2f }, 10, A, C },		 { { 0x34 }, 10, A, C },
		{ { 0x9e, 0x12 }, 16, A, C },	{ { 0x1a, 0, 0x3f }, 6, A, C },	 { { 0x5a, 0, 0x3f }, 10, A, C },
		{ { 0xa3, 0x0c }, 12, A, C },	{ { 0xa3, 0x0d }, 12, A, C },	 { { 0x37 }, 10, A, C },
		{ { 0x2a }, 10, C, C },		{ { 0x0a, 0, 0, 0, 1 }, 6, C, C }, { { 0x8a }, 16, C, C },
		{ { 0x2e }, 10, C, C },		{ { 0x41 }, 10, C, C },		 { { 0x93, 1 }, 16, C, C },
		{ { 0x42 }, 10, C, C },		{ { 0x35 }, 10, C, C },		 { { 0x91 }, 16, C, C },
		{ { 0x1d, 4 }, 6, C, C },	{ { 0x15 }, 6, C, C },		 { { 0x55 }, 10, C, C },
		{ { 0xa4, 0x0a }, 12, C, C },	{ { 0x83 }, 16, C, C },		 { { 0x84 }, 16, C, C },
		{ { 0x84, 3 }, 16, C, C },	{ { 0x48, 1 }, 10, C, C },	 { { 0x48, 2 }, 10, C, C },
		{ { 0x48, 0x1f }, 10, C, C },	{ { 0x04 }, 6, C, C },		 { { 0x9c }, 16, C, C },
		{ { 0x3b, 0x0a }, 10, C, C },	{ { 0x3c, 0x0b }, 10, A, C },	 { { 0x1c, 1 }, 6, A, C },
		{ { 0xa3, 0x0f }, 12, A, A },
	};

	f->lu->resv = &view;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int exclusive = 0; exclusive < 2; exclusive++) {
			bool conflict = exclusive ? cases[i].exclusive_access : cases[i].write_exclusive;

			view.type = exclusive ? PR_EXCLUSIVE_ACCESS : PR_WRITE_EXCLUSIVE;
			view.generation++;
			fake_run(f, cases[i].cdb, cases[i].len, NULL, 0);
			if ((f->cmd.status == STATUS_RESERVATION_CONFLICT) != conflict)
				fail_msg("opcode %02xh, exclusive %d: status %02xh", cases[i].cdb[0], exclusive,
					 f->cmd.status);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(rows_are_sorted_and_found), T(unknown_codes), T(usage_data), T(usage_covers_the_layout),
		T(reserved_bits_of_every_row), T(unknown_operation_codes_and_service_actions), T(no_logical_unit),
		T(unit_attention_goes_first), T(asymmetric_access_states), T(reservations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
