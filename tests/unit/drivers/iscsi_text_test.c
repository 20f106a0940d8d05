/* SPDX-License-Identifier: BSD-2-Clause */
/* key=value text, numbers, lists, iSCSI names (RFC 7143 6.1, 4.2.7), and CRC32C (RFC 7143 A.4). No topology. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/iscsi/digest.h"
#include "drivers/iscsi/text.h"

static enum text_result read_one(char *text, size_t len, char **key, char **value)
{
	struct text_reader r = { text, text + len };

	return text_next(&r, key, value);
}

static void pairs_are_read_in_order(void **state)
{
	char text[] = "A=1\0\0Bee=two=2\0C=";
	struct text_reader r = { text, text + sizeof(text) };
	char *k, *v;

	(void)state;
	assert_int_equal(text_next(&r, &k, &v), TEXT_PAIR);
	assert_string_equal(k, "A");
	assert_string_equal(v, "1");
	assert_int_equal(text_next(&r, &k, &v), TEXT_PAIR);
	assert_string_equal(k, "Bee");
	assert_string_equal(v, "two=2");
	assert_int_equal(text_next(&r, &k, &v), TEXT_PAIR);
	assert_string_equal(v, "");
	assert_int_equal(text_next(&r, &k, &v), TEXT_END);
}

static void malformed_text_is_told(void **state)
{
	char no_equals[] = "abc", no_key[] = "=x", space[] = "a b=1", long_key[70] = { 0 }, *k, *v;

	(void)state;
	memset(long_key, 'k', 64);
	long_key[64] = '=';
	assert_int_equal(read_one(no_equals, sizeof(no_equals), &k, &v), TEXT_MALFORMED);
	assert_int_equal(read_one(no_key, sizeof(no_key), &k, &v), TEXT_MALFORMED);
	assert_int_equal(read_one(space, sizeof(space), &k, &v), TEXT_MALFORMED);
	assert_int_equal(read_one(long_key, 66, &k, &v), TEXT_MALFORMED);
	char no_nul[] = { 'a', '=', '1' };
	assert_int_equal(read_one(no_nul, sizeof(no_nul), &k, &v), TEXT_MALFORMED);
}

static void a_writer_never_overruns(void **state)
{
	char buf[8] = "xxxxxxx";
	struct text_writer w = { .buf = buf, .cap = 7 };

	(void)state;
	text_add(&w, "ab", "c");
	assert_int_equal(w.len, 5);
	assert_false(w.full);
	text_add(&w, "d", "e");
	assert_true(w.full);
	assert_int_equal(w.len, 5);
	assert_int_equal(buf[7], 0); /* untouched */
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint32_t value;
	} cases[] = {
		{ "0", true, 0 }, { "512", true, 512 }, { "0x10", true, 16 }, { "0XfF", true, 255 },
		{ "4294967295", true, 0xffffffff }, { "4294967296", false, 0 }, { "", false, 0 }, { "0x", false, 0 },
		{ "-1", false, 0 }, { "1a", false, 0 }, { " 1", false, 0 }, { "0xg", false, 0 },
		{ "99999999999999999999999", false, 0 },
	};
	uint32_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(text_number(cases[i].text, &v), cases[i].ok);
		if (cases[i].ok)
			assert_int_equal(v, cases[i].value);
	}
}

static bool is_b(const void *arg, const char *name)
{
	return strcmp(name, arg) == 0;
}

static void the_first_wanted_of_a_list(void **state)
{
	char out[4];

	(void)state;
	assert_true(text_choose("a,longer,b,c", is_b, "b", out, sizeof(out)));
	assert_string_equal(out, "b");
	assert_false(text_choose("a,,c", is_b, "b", out, sizeof(out)));
	assert_false(text_choose("", is_b, "b", out, sizeof(out)));
}

static void names_are_normalised_or_refused(void **state)
{
	char name[224], longest[232] = "iqn.2026-11.test:";
	const char *why;

	(void)state;
	assert_true(text_iscsi_name("IQN.2026-11.Test:Host-1", name, &why));
	assert_string_equal(name, "iqn.2026-11.test:host-1");
	assert_true(text_iscsi_name("eui.02004567A425678D", name, &why));
	assert_true(text_iscsi_name("naa.52004567BA64678D", name, &why));
	assert_false(text_iscsi_name("", name, &why));
	assert_false(text_iscsi_name("host1", name, &why));
	assert_false(text_iscsi_name("iqn.2026-11.test:a b", name, &why));
	assert_false(text_iscsi_name("iqn.2026-11.test:a,b", name, &why));
	memset(longest + strlen(longest), 'x', 223 - strlen(longest));
	assert_true(text_iscsi_name(longest, name, &why));
	longest[223] = 'x';
	assert_false(text_iscsi_name(longest, name, &why));
}

/* RFC 7143 appendix A.4: the digests as they stand on the wire. */
static void digests_of_the_standard(void **state)
{
	static const struct {
		uint8_t first, step, wire[4];
	} cases[] = {
		{ 0x00, 0, { 0xaa, 0x36, 0x91, 0x8a } },
		{ 0xff, 0, { 0x43, 0xab, 0xa8, 0x62 } },
		{ 0x00, 1, { 0x4e, 0x79, 0xdd, 0x46 } },
		{ 0x1f, 0xff, { 0x5c, 0xdb, 0x3f, 0x11 } },
	};
	uint8_t b[32], wire[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (unsigned k = 0; k < 32; k++)
			b[k] = cases[i].first + k * cases[i].step;
		digest_put(wire, digest_header(DIGEST_SEED, b, 32));
		assert_memory_equal(wire, cases[i].wire, 4);
		digest_put(wire, digest_data(digest_data(DIGEST_SEED, b, 13), b + 13, 19));
		assert_memory_equal(wire, cases[i].wire, 4);
		assert_int_equal(digest_get(wire), digest_data(DIGEST_SEED, b, 32));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_read_in_order),
		cmocka_unit_test(malformed_text_is_told),
		cmocka_unit_test(a_writer_never_overruns),
		cmocka_unit_test(numbers),
		cmocka_unit_test(the_first_wanted_of_a_list),
		cmocka_unit_test(names_are_normalised_or_refused),
		cmocka_unit_test(digests_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
