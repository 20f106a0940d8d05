/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: what is taken, and that every wrong one is named. Topology: none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/load_opts.h"

static struct load_opts o;
static char err[300];

static enum load_opts_result parse(const char *const *words)
{
	char *argv[40] = { "sandem-load" };
	int argc = 1;

	while (*words)
		argv[argc++] = (char *)*words++;
	err[0] = '\0';
	return load_opts_parse(argc, argv, &o, err, sizeof(err));
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })
#define BASE "--portal", "127.0.0.1:3260,1", "--target", "iqn.x:t", "--lun", "0"

static void full_line(void **state)
{
	(void)state;
	assert_int_equal(PARSE(BASE, "--portal", "[::1]:3261", "--qd", "32", "--block", "8192",
			       "--mix", "50", "--span", "2G", "--seq", "--duration", "1.5",
			       "--rate", "100", "--path-policy", "[::1]:3261", "--json",
			       "--verify-at-end", "--fua", "10", "--sessions-per-path", "2"),
			 LOAD_OPTS_RUN);
	assert_int_equal(o.portals, 2);
	assert_string_equal(o.portal[0].address, "127.0.0.1:3260");
	assert_int_equal(o.portal[0].tag, 1);
	assert_string_equal(o.portal[1].address, "[::1]:3261");
	assert_int_equal(o.portal[1].tag, -1);
	assert_int_equal(o.policy, LOAD_POLICY_PORTAL);
	assert_int_equal(o.policy_portal, 1);
	assert_int_equal(o.span, 2ULL << 30);
	assert_int_equal(o.duration_ns, 1500000000);
	assert_int_equal(o.qd, 32);
	assert_int_equal(o.block, 8192);
	assert_true(o.sequential && o.json && o.verify_at_end);
}

static void defaults_are_the_documented_ones(void **state)
{
	(void)state;
	assert_int_equal(PARSE(BASE), LOAD_OPTS_RUN);
	assert_int_equal(o.qd, 16);
	assert_int_equal(o.block, 4096);
	assert_int_equal(o.read_percent, 70);
	assert_int_equal(o.no_path_ns, 60000000000);
	assert_int_equal(o.policy, LOAD_POLICY_ALUA);
	assert_memory_equal(o.initiator, "iqn.", 4);
}

static void help(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--help"), LOAD_OPTS_HELP);
}

/* Each wrong line is refused, and the message names the option. */
static void wrong_lines_are_named(void **state)
{
	static const struct {
		const char *option, *value, *named;
	} cases[] = {
		{ "--qd", "0", "--qd" },
		{ "--qd", "99999", "--qd" },
		{ "--qd", "-1", "--qd" },
		{ "--qd", "4x", "--qd" },
		{ "--block", "1000", "--block" },
		{ "--mix", "101", "--mix" },
		{ "--duration", "0", "--duration" },
		{ "--duration", "nan", "--duration" },
		{ "--rate", "-5", "--rate" },
		{ "--span", "0", "--span" },
		{ "--span", "5Q", "--span" },
		{ "--span", "512", "--span" },
		{ "--range", "5", "--range" },
		{ "--range", "5:0", "--range" },
		{ "--range", "x:5", "--range" },
		{ "--portal", "127.0.0.1", "--portal" },
		{ "--portal", "127.0.0.1:0", "--portal" },
		{ "--portal", "127.0.0.1:3260,99999", "--portal" },
		{ "--path-policy", "best", "--path-policy" },
		{ "--initiator", "", "--initiator" },
		{ "--lun", "16384", "--lun" },
		{ "--bogus", "1", "--bogus" },
		{ "--qd", NULL, "--qd" },
		{ "stray", NULL, "stray" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(PARSE(BASE, cases[i].option, cases[i].value), LOAD_OPTS_WRONG);
		assert_non_null(strstr(err, cases[i].named));
	}
}

static void missing_and_contradicting(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--target", "iqn.x:t", "--lun", "0"), LOAD_OPTS_WRONG);
	assert_non_null(strstr(err, "--portal"));
	assert_int_equal(PARSE("--portal", "127.0.0.1:1", "--lun", "0"), LOAD_OPTS_WRONG);
	assert_non_null(strstr(err, "--target"));
	assert_int_equal(PARSE("--portal", "127.0.0.1:1", "--target", "t"), LOAD_OPTS_WRONG);
	assert_non_null(strstr(err, "--lun"));
	assert_int_equal(PARSE(BASE, "--ops", "1", "--duration", "1"), LOAD_OPTS_WRONG);
	assert_int_equal(PARSE(BASE, "--range", "0:1", "--span", "1M"), LOAD_OPTS_WRONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_line),
		cmocka_unit_test(defaults_are_the_documented_ones),
		cmocka_unit_test(help),
		cmocka_unit_test(wrong_lines_are_named),
		cmocka_unit_test(missing_and_contradicting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
