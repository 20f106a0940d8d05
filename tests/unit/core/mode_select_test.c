/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MODE SELECT (SPC-4 6.11, 6.12) through decoder and gates (fake_target.h); what it asks for is carried out at once here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/mode.h"
#include "tests/unit/core/fake_target.h"

struct seen {
	struct fake_target *f;
	unsigned calls;
	bool save;
	struct mode_change c;
	struct mode_state saved;
};

static struct seen seen;

static void carry_out(void *arg, struct scsi_cmd *cmd)
{
	struct seen *s = arg;

	if (!mode_select_parse(cmd, &s->f->mode, &s->c, &s->save))
		return;
	s->calls++;
	s->f->mode = mode_with(&s->f->mode, &s->c);
	if (s->save)
		s->saved = s->f->mode;
	s->f->lu->mode_saved = &s->saved;
	cmd_good(cmd, 0);
}

static int setup(void **state)
{
	struct fake_target *f;
	int rc = fake_setup(state);

	f = *state;
	seen = (struct seen){ .f = f };
	f->core.hook[HOOK_MODE_SELECT].fn = carry_out;
	f->core.hook[HOOK_MODE_SELECT].arg = &seen;
	return rc;
}

#define CONTROL(b2, b3, b4, b5) 0x0a, 0x0a, b2, b3, b4, b5, 0, 0, 0xff, 0xff, 0, 0
#define CACHING(b2) 0x08, 0x12, b2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define HEAD6 0, 0, 0, 0
#define HEAD10 0, 0, 0, 0, 0, 0, 0, 0

static void select_6(struct fake_target *f, uint8_t flags, const uint8_t *list, size_t len)
{
	const uint8_t cdb[] = { 0x15, flags, 0, 0, len, 0 };

	fake_run(f, cdb, sizeof(cdb), len ? list : NULL, len);
}

static void select_10(struct fake_target *f, uint8_t flags, const uint8_t *list, size_t len)
{
	const uint8_t cdb[] = { 0x55, flags, 0, 0, 0, 0, 0, len >> 8, len, 0 };

	fake_run(f, cdb, sizeof(cdb), len ? list : NULL, len);
}

static bool listed(struct fake_target *f, uint8_t opcode)
{
	const uint8_t cdb[] = { 0xa3, 0x0c, 1, opcode, 0, 0, 0, 0, 0, 255, 0, 0 };

	fake_run(f, cdb, sizeof(cdb), NULL, 255);
	assert_good(f);
	return (f->cmd.buf[1] & 7) == 3;
}

#define SELECT_6(f, flags, ...) select_6(f, flags, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define SELECT_10(f, flags, ...) select_10(f, flags, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static const uint8_t *sense_page(struct fake_target *f, uint8_t pc, uint8_t code)
{
	const uint8_t cdb[] = { 0x1a, 0x08, pc << 6 | code, 0, 255, 0 };

	fake_run(f, cdb, sizeof(cdb), NULL, 255);
	assert_good(f);
	return f->cmd.buf + 4;
}

/* ---- what changes ------------------------------------------------------------------------------------------ */

static void each_field(void **state)
{
	static const struct {
		uint8_t list[24];
		size_t len;
		enum mode_field field;
		uint8_t value;
	} row[] = {
		{ { HEAD6, CACHING(0x00) }, 24, MODE_WCE, 0 },
		{ { HEAD6, CONTROL(0x04, 0, 0, 0) }, 16, MODE_DSENSE, 1 },
		{ { HEAD6, CONTROL(0x20, 0, 0, 0) }, 16, MODE_TST, 1 },
		{ { HEAD6, CONTROL(0, 0x10, 0, 0) }, 16, MODE_QAM, 1 },
		{ { HEAD6, CONTROL(0, 0x02, 0, 0) }, 16, MODE_QERR, 1 },
		{ { HEAD6, CONTROL(0, 0x06, 0, 0) }, 16, MODE_QERR, 3 },
		{ { HEAD6, CONTROL(0, 0, 0x20, 0) }, 16, MODE_UA_INTLCK, 2 },
		{ { HEAD6, CONTROL(0, 0, 0x30, 0) }, 16, MODE_UA_INTLCK, 3 },
		{ { HEAD6, CONTROL(0, 0, 0x08, 0) }, 16, MODE_SWP, 1 },
		{ { HEAD6, CONTROL(0, 0, 0, 0x40) }, 16, MODE_TAS, 1 },
	};
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct mode_change want = { .mask = 1u << row[i].field };
		struct mode_state expected;

		want.value[row[i].field] = row[i].value;
		f->mode = (struct mode_state){ .wce = 1 };
		expected = mode_with(&f->mode, &want);
		select_6(f, 0x10, row[i].list, row[i].len);
		assert_good(f);
		assert_memory_equal(&f->mode, &expected, sizeof(expected));
		f->mode = (struct mode_state){ .wce = 1 };
		select_6(f, 0x10, row[i].list, row[i].len);
		assert_memory_equal(sense_page(f, PC_CURRENT, row[i].list[4]) + 2, row[i].list + 6, row[i].list[5]);
	}
}

static void several_pages_and_descriptors(void **state)
{
	struct fake_target *f = *state;

	SELECT_6(f, 0x10, HEAD6, CONTROL(0x04, 0, 0, 0), CACHING(0));
	assert_good(f);
	assert_true(f->mode.dsense && !f->mode.wce);
	SELECT_6(f, 0x10, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, CACHING(4)); /* number of blocks 0: as it is */
	assert_good(f);
	SELECT_6(f, 0x10, 0, 0, 0x90, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0, CACHING(0));
	assert_good(f);
	SELECT_10(f, 0x10, 0, 0, 0, 0, 1, 0, 0, 16, 0, 0, 0, 0, 0, FAKE_BLOCKS >> 16, FAKE_BLOCKS >> 8 & 0xff, FAKE_BLOCKS & 0xff,
		  0, 0, 0, 0, 0, 0, 2, 0, CACHING(4));
	assert_good(f);
	assert_true(f->mode.wce);
	SELECT_10(f, 0x10, HEAD10, 0x88, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0); /* PS as MODE SENSE gave it */
	assert_good(f);
	assert_false(f->mode.wce);
	SELECT_10(f, 0x10, HEAD10, 0x4a, 0x01, 0, 0x1c, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(f); /* IALUAE as it is */
	assert_true(f->mode.tcmos && !f->mode.scsip);
	assert_int_equal(seen.calls, 6);
}

static void nothing_to_do(void **state)
{
	struct fake_target *f = *state;

	select_6(f, 0x10, NULL, 0);
	assert_good(f);
	select_6(f, 0x00, NULL, 0); /* SPC-4 6.11: a list of no bytes is no error; PF is about pages */
	assert_good(f);
	SELECT_6(f, 0x10, HEAD6);
	assert_good(f);
	SELECT_10(f, 0x11, HEAD10);
	assert_good(f);
	assert_true(seen.save);
	assert_int_equal(seen.c.mask, 0);
}

static void saved_and_default(void **state)
{
	struct fake_target *f = *state;

	assert_int_equal(sense_page(f, PC_SAVED, 0x08)[2], 0x04); /* nothing is saved: the defaults */
	SELECT_6(f, 0x11, HEAD6, CACHING(0));
	assert_good(f);
	assert_true(seen.save);
	SELECT_6(f, 0x10, HEAD6, CACHING(4));
	assert_false(seen.save);
	assert_int_equal(sense_page(f, PC_CURRENT, 0x08)[2], 0x04);
	assert_int_equal(sense_page(f, PC_SAVED, 0x08)[2], 0x00);
	SELECT_6(f, 0x10, HEAD6, CACHING(0));
	assert_int_equal(sense_page(f, PC_DEFAULT, 0x08)[2], 0x04);
	assert_int_equal(sense_page(f, PC_CURRENT, 0x08)[0], 0x88); /* PS */
	assert_int_equal(sense_page(f, PC_CURRENT, 0x01)[0], 0x01);
}

/* The control extension page: the mask, what is set, and PS. */
static void control_extension(void **state)
{
	const uint8_t cdb[] = { 0x1a, 0x08, PC_CHANGEABLE << 6 | 0x0a, 0x01, 255, 0 };
	struct fake_target *f = *state;
	uint8_t page[4 + 32] = { HEAD6, 0x4a, 0x01, 0, 0x1c, 0x01 | 0x02 };

	fake_run(f, cdb, sizeof(cdb), NULL, 255);
	assert_int_equal(f->cmd.buf[4], 0xca); /* PS, SPF */
	assert_int_equal(get_be16(f->cmd.buf + 6), 0x1c);
	assert_int_equal(f->cmd.buf[8], 0x06); /* TCMOS, SCSIP */
	for (int i = 9; i < 36; i++)
		assert_int_equal(f->cmd.buf[i], 0);
	select_6(f, 0x10, page, sizeof(page));
	assert_good(f);
	assert_true(!f->mode.tcmos && f->mode.scsip);
}

static void what_can_change(void **state)
{
	static const struct {
		uint8_t code, byte, mask;
	} row[] = { { 0x08, 2, 0x04 }, { 0x0a, 2, 0xe4 }, { 0x0a, 3, 0xf6 }, { 0x0a, 4, 0x38 }, { 0x0a, 5, 0x40 } };
	static const uint8_t codes[] = { 0x01, 0x02, 0x08, 0x0a, 0x1a, 0x1c };
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(codes); i++) {
		const uint8_t *p = sense_page(f, PC_CHANGEABLE, codes[i]);

		for (unsigned byte = 2; byte < p[1] + 2u; byte++) {
			uint8_t mask = 0;

			for (unsigned k = 0; k < sizeof(row) / sizeof(row[0]); k++)
				if (row[k].code == codes[i] && row[k].byte == byte)
					mask = row[k].mask;
			assert_int_equal(p[byte], mask);
		}
	}
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void field_pointer(const struct fake_target *f, int byte)
{
	assert_sense(f, SENSE(5, 0x26, 0));
	assert_int_equal(f->cmd.sense[15] & 0xc0, 0x80); /* SKSV, in the parameter list (SPC-4 4.5.2.4.2) */
	assert_int_equal(get_be16(f->cmd.sense + 16), byte);
}

static void wrong_fields(void **state)
{
	static const struct {
		uint8_t list[44];
		size_t len;
		int byte;
	} row[] = {
		{ { 0, 1, 0, 0, CACHING(0) }, 24, 1 },			   /* MEDIUM TYPE */
		{ { 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 2, CACHING(0) }, 31, 3 }, /* no descriptor has 7 bytes */
		{ { 0, 0, 0, 16, 0 }, 20, 3 },				   /* two short ones */
		{ { 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 2, 0, CACHING(0) }, 32, 4 }, /* another capacity */
		{ { 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 16, 0, CACHING(0) }, 32, 9 }, /* another block size */
		{ { HEAD6, 0x07, 0x0a }, 16, 4 },			   /* no such page */
		{ { HEAD6, 0x3f, 0x0a }, 16, 4 },
		{ { HEAD6, 0x48, 0x01, 0, 0x10 }, 24, 4 },		   /* no such subpage */
		{ { HEAD6, 0x08, 0x11 }, 24, 5 },			   /* PAGE LENGTH */
		{ { HEAD6, 0x08, 0x13 }, 25, 5 },
		{ { HEAD6, 0x4a, 0x01, 0, 0x1b }, 36, 6 },
		{ { HEAD6, 0x4a, 0x01, 0, 0x1c, 0x04 }, 36, 8 },	   /* IALUAE can't be switched off */
		{ { HEAD6, 0x4a, 0x01, 0, 0x1c, 0x01, 0x01 }, 36, 9 },	   /* INITIAL COMMAND PRIORITY */
		{ { HEAD6, 0x1a, 0x26, 0, 0x01 }, 44, 7 },		   /* STANDBY of the power condition page */
		{ { HEAD6, CACHING(0x01) }, 24, 6 },			   /* RCD can't change */
		{ { HEAD6, 0x08, 0x12, 0, 0, 0, 0, 0, 1 }, 24, 11 },
		{ { HEAD6, CONTROL(0x40, 0, 0, 0) }, 16, 6 },		   /* reserved values: TST, */
		{ { HEAD6, CONTROL(0, 0x20, 0, 0) }, 16, 7 },		   /* QAM, */
		{ { HEAD6, CONTROL(0, 0x04, 0, 0) }, 16, 7 },		   /* QERR, */
		{ { HEAD6, CONTROL(0, 0, 0x10, 0) }, 16, 8 },		   /* UA_INTLCK_CTRL */
		{ { HEAD6, 0x0a, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0 }, 16, 12 }, /* BUSY TIMEOUT PERIOD */
		{ { HEAD6, CONTROL(0x04, 0, 0, 0), 0x07, 0x02, 0, 0 }, 20, 16 }, /* the second page: none is taken */
	};
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct mode_state before = f->mode;

		select_6(f, 0x10, row[i].list, row[i].len);
		field_pointer(f, row[i].byte);
		assert_memory_equal(&f->mode, &before, sizeof(before));
	}
	assert_int_equal(seen.calls, 0);
}

static void cut_lists(void **state)
{
	static const uint8_t whole[] = { 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, CONTROL(0x04, 0, 0, 0), CACHING(0) };
	struct fake_target *f = *state;

	for (size_t len = 1; len <= sizeof(whole); len++) {
		bool page_ends = len == 12 || len == 24 || len == sizeof(whole);
		uint8_t part[sizeof(whole)];

		memcpy(part, whole, len);
		select_6(f, 0x10, part, len);
		if (page_ends)
			assert_good(f);
		else
			assert_sense(f, SENSE(5, 0x1a, 0));
	}
	assert_int_equal(seen.calls, 3);
}

/* The initiator sends less than the CDB announces. */
static void less_data_than_announced(void **state)
{
	const uint8_t cdb[] = { 0x15, 0x10, 0, 0, 24, 0 };
	const uint8_t list[] = { HEAD6, CACHING(0) };
	struct fake_target *f = *state;

	fake_run(f, cdb, sizeof(cdb), list, 20);
	assert_sense(f, SENSE(5, 0x1a, 0));
	assert_true(f->mode.wce);
}

static void page_format(void **state)
{
	struct fake_target *f = *state;

	SELECT_6(f, 0x00, HEAD6, CACHING(0));
	fake_assert_bad_field(f, 1);
	SELECT_10(f, 0x12, HEAD10, CACHING(0)); /* RTD is not supported: reserved bit */
	fake_assert_bad_field(f, 1);
	assert_int_equal(seen.calls, 0);
}

/* While a node of the cluster can't carry it out: as if there were no such command, and told so (SPC-4 6.35, 7.5.1). */
static void not_yet(void **state)
{
	static const uint8_t list[] = { HEAD6, CONTROL(0, 0, 0, 0) };
	struct fake_target *f = *state;
	const uint8_t *page;

	assert_true(listed(f, 0x15) && listed(f, 0x55));
	f->core.hook[HOOK_MODE_SELECT].not_yet = true;
	assert_false(listed(f, 0x15) || listed(f, 0x55));
	assert_true(listed(f, 0x1a) && listed(f, 0x28));
	select_6(f, 0x10, list, sizeof(list));
	assert_sense(f, SENSE_INVALID_OPCODE);
	assert_int_equal(seen.calls, 0);
	page = sense_page(f, 1, 0x0a);
	for (unsigned i = 2; i < 12; i++)
		assert_int_equal(page[i], 0);
	assert_int_equal(page[0], 0x0a); /* PS=0 */
	f->core.hook[HOOK_MODE_SELECT].not_yet = false;
	assert_true(listed(f, 0x15) && listed(f, 0x55));
	page = sense_page(f, 1, 0x0a);
	assert_int_equal(page[0], 0x8a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_field, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(several_pages_and_descriptors, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(nothing_to_do, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(saved_and_default, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(control_extension, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(what_can_change, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(wrong_fields, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(cut_lists, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(less_data_than_announced, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(page_format, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(not_yet, setup, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
