/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsers on bytes laid out by SPC-4 and SBC-3, and the initiator's rules. Topology: none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/load_alua.h"

static const uint8_t vpd83[] = {
	0x00, 0x83, 0x00, 60,
	/* T10 vendor id based, ASCII, of the logical unit */
	0x02, 0x01, 0x00, 12, 'S', 'A', 'N', 'D', 'E', 'M', ' ', ' ', 'd', 'i', 's', 'k',
	/* NAA, binary, of the logical unit: goes before T10 */
	0x01, 0x03, 0x00, 16, 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff,
	/* relative target port identifier, of the port */
	0x51, 0x94, 0x00, 4, 0, 0, 0x01, 0x02,
	/* target port group, of the port */
	0x51, 0x95, 0x00, 4, 0, 0, 0x00, 0x21,
	/* logical unit group: of no interest */
	0x01, 0x06, 0x00, 4, 0, 0, 0, 9,
};

static void vpd83_names_unit_and_port(void **state)
{
	struct load_vpd83 v;

	(void)state;
	assert_int_equal(load_vpd83_parse(vpd83, sizeof(vpd83), &v), 0);
	assert_string_equal(v.lu_name, "naa.600102030405060708090a0b0c0d0eff");
	assert_int_equal(v.relative_port, 0x102);
	assert_int_equal(v.port_group, 0x21);
}

static void vpd83_without_port_group(void **state)
{
	const uint8_t page[] = { 0, 0x83, 0, 8, 0x02, 0x01, 0, 4, 'a', 'b', ' ', 'c' };
	struct load_vpd83 v;

	(void)state;
	assert_int_equal(load_vpd83_parse(page, sizeof(page), &v), 0);
	assert_string_equal(v.lu_name, "t10.abc");
	assert_int_equal(v.port_group, -1);
	assert_int_equal(v.relative_port, -1);
}

/* Copies to the heap, so that a sanitizer sees a byte read beyond the end. */
static void every_truncation(int (*parse)(const uint8_t *, size_t), const uint8_t *bytes,
			     size_t len)
{
	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		assert_int_equal(parse(copy, n), -EINVAL);
		free(copy);
	}
}

static int parse_vpd83(const uint8_t *p, size_t n)
{
	struct load_vpd83 v;

	return load_vpd83_parse(p, n, &v);
}

/* Extended header (SPC-4 table 299), two groups with one and two ports. */
static const uint8_t rtpg[] = {
	0, 0, 0, 32, 0x10, 60, 0, 0,
	0x00, 0x0f, 0x00, 0x01, 0, 2, 0, 1, 0, 0, 0, 1,
	0x81, 0x0f, 0x00, 0x02, 0, 2, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3,
};

static int parse_rtpg(const uint8_t *p, size_t n)
{
	enum load_tpg_state s;

	return load_rtpg_parse(p, n, true, 2, &s);
}

static void truncated_data_is_refused(void **state)
{
	(void)state;
	every_truncation(parse_vpd83, vpd83, sizeof(vpd83));
	every_truncation(parse_rtpg, rtpg, sizeof(rtpg));
}

static void rtpg_states(void **state)
{
	enum load_tpg_state s;
	uint8_t plain[4 + sizeof(rtpg) - 8] = { 0, 0, 0, sizeof(rtpg) - 8 };

	(void)state;
	assert_int_equal(load_rtpg_parse(rtpg, sizeof(rtpg), true, 1, &s), 0);
	assert_int_equal(s, LOAD_TPG_OPTIMIZED);
	assert_int_equal(load_rtpg_parse(rtpg, sizeof(rtpg), true, 2, &s), 0);
	assert_int_equal(s, LOAD_TPG_NON_OPTIMIZED);
	assert_int_equal(load_rtpg_parse(rtpg, sizeof(rtpg), true, 3, &s), -ENOENT);
	memcpy(plain + 4, rtpg + 8, sizeof(rtpg) - 8);
	assert_int_equal(load_rtpg_parse(plain, sizeof(plain), false, 2, &s), 0);
	assert_int_equal(s, LOAD_TPG_NON_OPTIMIZED);
	/* asked for extended, answered in the old format */
	assert_int_equal(load_rtpg_parse(plain, sizeof(plain), true, 1, &s), 0);
	assert_int_equal(s, LOAD_TPG_OPTIMIZED);
}

static void only_active_ports_take_io(void **state)
{
	(void)state;
	assert_true(load_tpg_rank(LOAD_TPG_OPTIMIZED) > load_tpg_rank(LOAD_TPG_NON_OPTIMIZED));
	assert_true(load_tpg_rank(LOAD_TPG_NON_OPTIMIZED) > 0);
	assert_int_equal(load_tpg_rank(LOAD_TPG_STANDBY), 0);
	assert_int_equal(load_tpg_rank(LOAD_TPG_UNAVAILABLE), 0);
	assert_int_equal(load_tpg_rank(LOAD_TPG_OFFLINE), 0);
	assert_int_equal(load_tpg_rank(LOAD_TPG_TRANSITIONING), 0);
	assert_int_equal(load_tpg_rank((enum load_tpg_state)0x7), 0); /* reserved */
}

static void capacity(void **state)
{
	const uint8_t data[32] = { 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 2, 0 };
	uint64_t blocks;
	uint32_t size;

	(void)state;
	assert_int_equal(load_capacity_parse(data, sizeof(data), &blocks, &size), 0);
	assert_int_equal(blocks, 0x80000);
	assert_int_equal(size, 512);
	assert_int_equal(load_capacity_parse(data, 11, &blocks, &size), -EINVAL);
	assert_int_equal(load_capacity_parse((uint8_t[12]){ 0 }, 12, &blocks, &size), -EINVAL);
}

static void both_sense_formats(void **state)
{
	const uint8_t fixed[18] = { 0x70, 0, 0x06, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 0x06 };
	const uint8_t descriptor[8] = { 0x72, 0x02, 0x04, 0x0b };
	struct load_sense s;

	(void)state;
	assert_int_equal(load_sense_parse(fixed, sizeof(fixed), &s), 0);
	assert_true(s.key == 6 && s.asc == 0x2a && s.ascq == 6);
	assert_int_equal(load_sense_parse(descriptor, sizeof(descriptor), &s), 0);
	assert_true(s.key == 2 && s.asc == 4 && s.ascq == 0x0b);
	assert_int_equal(load_sense_parse(fixed, 13, &s), -EINVAL);
	assert_int_equal(load_sense_parse(fixed, 0, &s), -EINVAL);
	assert_int_equal(load_sense_parse((uint8_t[18]){ 0x7f }, 18, &s), -EINVAL);
}

/* The table of what Linux dm-multipath with scsi_dh_alua does. */
static void actions(void **state)
{
	static const struct {
		uint8_t status;
		struct load_sense s;
		enum load_act want;
	} cases[] = {
		{ 0x00, { 0, 0, 0 }, LOAD_ACT_DONE },
		{ 0x02, { 1, 0x17, 1 }, LOAD_ACT_DONE },
		{ 0x02, { 6, 0x2a, 0x06 }, LOAD_ACT_RTPG },
		{ 0x02, { 6, 0x29, 0x00 }, LOAD_ACT_RTPG },
		{ 0x02, { 6, 0x2a, 0x01 }, LOAD_ACT_RETRY },
		{ 0x02, { 6, 0x3f, 0x0e }, LOAD_ACT_RETRY },
		{ 0x02, { 2, 0x04, 0x0a }, LOAD_ACT_TRANSITION },
		{ 0x02, { 2, 0x04, 0x0b }, LOAD_ACT_FAIL_PATH },
		{ 0x02, { 2, 0x04, 0x0c }, LOAD_ACT_FAIL_PATH },
		{ 0x02, { 5, 0x25, 0x00 }, LOAD_ACT_FAIL_PATH },
		{ 0x02, { 2, 0x04, 0x03 }, LOAD_ACT_REFUSE },
		{ 0x02, { 3, 0x11, 0x00 }, LOAD_ACT_ERROR },
		{ 0x02, { 4, 0x44, 0x00 }, LOAD_ACT_ERROR },
		{ 0x02, { 5, 0x21, 0x00 }, LOAD_ACT_REFUSE },
		{ 0x02, { 7, 0x27, 0x00 }, LOAD_ACT_REFUSE },
		{ 0x02, { 0xb, 0x00, 0x00 }, LOAD_ACT_ABORTED },
		{ 0x08, { 0, 0, 0 }, LOAD_ACT_WAIT },
		{ 0x28, { 0, 0, 0 }, LOAD_ACT_WAIT },
		{ 0x18, { 0, 0, 0 }, LOAD_ACT_CONFLICT },
		{ 0x40, { 0, 0, 0 }, LOAD_ACT_ABORTED },
		{ 0x30, { 0, 0, 0 }, LOAD_ACT_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(load_act_for(cases[i].status, &cases[i].s), cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vpd83_names_unit_and_port),
		cmocka_unit_test(vpd83_without_port_group),
		cmocka_unit_test(truncated_data_is_refused),
		cmocka_unit_test(rtpg_states),
		cmocka_unit_test(only_active_ports_take_io),
		cmocka_unit_test(capacity),
		cmocka_unit_test(both_sense_formats),
		cmocka_unit_test(actions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
