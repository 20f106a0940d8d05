/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of sandemd: what it means, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config/limits.h"
#include "daemon/options.h"

static char text[512];

static enum options_result parse(struct options *o, char **argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return options_parse(o, n, argv, text, sizeof(text));
}
#define PARSE(o, ...) parse(o, (char *[]){ "sandemd", __VA_ARGS__, NULL })

static void test_cluster(void **state)
{
	struct options o;
	char host[256];
	(void)state;

	assert_int_equal(PARSE(&o, "-c", "/x.yaml", "--node", "n", "--state-dir", "/s", "--run-dir", "/r", "--check"), OPTIONS_RUN);
	assert_string_equal(o.config, "/x.yaml");
	assert_string_equal(o.node, "n");
	assert_string_equal(o.state_dir, "/s");
	assert_string_equal(o.run_dir, "/r");
	assert_true(o.check && !o.standalone);
	options_fini(&o);

	assert_int_equal(parse(&o, (char *[]){ "sandemd", NULL }), OPTIONS_RUN);
	assert_string_equal(o.config, "/etc/sandem/sandem.yaml");
	assert_string_equal(o.state_dir, "/var/lib/sandem");
	assert_string_equal(o.run_dir, "/run/sandem");
	assert_int_equal(gethostname(host, sizeof(host)), 0);
	assert_int_equal(strncmp(o.node, host, strlen(o.node)), 0);
	assert_null(strchr(o.node, '.'));
	options_fini(&o);
}

static void test_standalone(void **state)
{
	struct options o;
	(void)state;

	assert_int_equal(PARSE(&o, "--standalone", "--lun", "/a,size=10G,direct", "--lun", "b,null,size=1T,ro,physical_block_exp=0", "--reactors",
			       "2", "--initiator", "iqn.x", "--initiator", "iqn.y", "--log-level", "debug"), OPTIONS_RUN);
	assert_int_equal(o.nluns, 2);
	assert_string_equal(o.lun[0].path, "/a");
	assert_int_equal(o.lun[0].size, 10ull << 30);
	assert_true(o.lun[0].direct && !o.lun[0].null && !o.lun[0].ro && !o.lun[0].thin);
	assert_true(o.lun[1].null && o.lun[1].ro);
	assert_int_equal(o.lun[0].physical_block_exp, -1); /* as the block size asks for */
	assert_int_equal(o.lun[1].physical_block_exp, 0);
	assert_int_equal(o.reactors, 2);
	assert_int_equal(o.ninitiators, 2);
	assert_string_equal(o.initiator[1], "iqn.y");
	assert_string_equal(o.portal, "127.0.0.1:3260");
	assert_true(o.has_log_level && o.log_level == LOG_LEVEL_DEBUG);
	assert_string_not_equal(o.state_dir, STATE_DIR_DEFAULT); /* never those of a configured daemon */
	assert_string_not_equal(o.run_dir, RUN_DIR_DEFAULT);
	options_fini(&o);
}

static void test_refusals(void **state)
{
	static const struct {
		char *argv[8];
		const char *says;
	} wrong[] = {
		{ { "sandemd", "--frob" }, "--frob" },
		{ { "sandemd", "-x" }, "--help" },
		{ { "sandemd", "-c" }, "value is missing" },
		{ { "sandemd", "--check=1" }, "--check" },
		{ { "sandemd", "stray" }, "stray" },
		{ { "sandemd", "--standalone" }, "--lun" },
		{ { "sandemd", "--standalone", "--lun", "x,null" }, "size" },
		{ { "sandemd", "--standalone", "--lun", "x,size=10Q" }, "10Q" },
		{ { "sandemd", "--standalone", "--lun", "x,physical_block_exp=16" }, "15" },
		{ { "sandemd", "--standalone", "--lun", "x,physical_block_exp=" }, "exponent" },
		{ { "sandemd", "--standalone", "--lun", "x,size=" }, "size" },
		{ { "sandemd", "--standalone", "--lun", "x,size=1" }, "64K" },
		{ { "sandemd", "--standalone", "--lun", "x,frob" }, "frob" },
		{ { "sandemd", "--standalone", "--lun", "" }, "path is missing" },
		{ { "sandemd", "--standalone", "--lun", "x", "--reactors", "0" }, "1 to 64" },
		{ { "sandemd", "--standalone", "--lun", "x", "--reactors", "2x" }, "1 to 64" },
		{ { "sandemd", "--standalone", "--lun", "x", "--portal", "host:1" }, "numeric" },
		{ { "sandemd", "--standalone", "--lun", "x", "-c", "f" }, "--config" },
		{ { "sandemd", "--standalone", "--lun", "x", "--node", "n" }, "--node" },
		{ { "sandemd", "--lun", "x" }, "--standalone" },
		{ { "sandemd", "--insecure-open" }, "--standalone" },
		{ { "sandemd", "--log-level", "loud" }, "notice" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct options o;

		if (parse(&o, (char **)wrong[i].argv) != OPTIONS_BAD)
			fail_msg("%s %s … was taken", wrong[i].argv[1], wrong[i].argv[2] ? wrong[i].argv[2] : "");
		if (!strstr(text, wrong[i].says))
			fail_msg("\"%s\" expected in: %s", wrong[i].says, text);
		options_fini(&o);
	}
}

static void test_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "0", 0 }, { "512", 512 }, { "1K", 1024 }, { "3M", 3 << 20 }, { "10G", 10ull << 30 },
		     { "2T", 2ull << 40 }, { "16383P", 16383ull << 50 }, { "18446744073709551615", UINT64_MAX } };
	static const char *const bad[] = { "", "K", "10Q", "10k", "1.5G", "-1", "+1", " 1", "1 G", "1GB", "0x10",
					   "16384P", "18446744073709551616", "99999999999999999999999999999" };
	uint64_t v;
	(void)state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(options_size(good[i].text, &v), 0);
		assert_true(v == good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (options_size(bad[i], &v) != -EINVAL)
			fail_msg("\"%s\" was taken for a size", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cluster), cmocka_unit_test(test_standalone),
					    cmocka_unit_test(test_refusals), cmocka_unit_test(test_size) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
