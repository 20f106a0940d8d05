/* SPDX-License-Identifier: BSD-2-Clause */
/* What the cluster keeps in etcd, as text and back; and who is stale. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config/generation.h"
#include "daemon/etcd_record.h"

static void test_record(void **state)
{
	const struct etcd_record r = { .generation = 7, .history = UINT64_MAX, .position = 1, .config = 3, .node = "node-a" };
	struct etcd_record back;
	char *text = etcd_record_text(&r);

	(void)state;
	assert_int_equal(etcd_record_parse(&back, text, strlen(text)), 0);
	assert_int_equal(back.generation, 7);
	assert_true(back.history == UINT64_MAX);
	assert_string_equal(back.node, "node-a");
	for (size_t cut = 0; cut < strlen(text); cut++)
		assert_int_equal(etcd_record_parse(&back, text, cut), -EBADMSG);
	free(text);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"generation\":7,\"history\":\"1\",\"position\":\"1\",\"config\":\"1\",\"node\":\"a\"}",
		"{\"generation\":\"0\",\"history\":\"1\",\"position\":\"1\",\"config\":\"1\",\"node\":\"a\"}",
		"{\"generation\":\"-1\",\"history\":\"1\",\"position\":\"1\",\"config\":\"1\",\"node\":\"a\"}",
		"{\"generation\":\"1\",\"history\":\"18446744073709551616\",\"position\":\"1\",\"config\":\"1\",\"node\":\"a\"}",
		"{\"generation\":\"1\",\"history\":\"1\",\"position\":\"1\",\"config\":\"1\"}",
	};
	struct etcd_record r;
	struct config_generation g;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(etcd_record_parse(&r, bad[i], strlen(bad[i])), -EBADMSG);
		assert_int_equal(etcd_generation_parse(&g, bad[i], strlen(bad[i])), -EBADMSG);
		assert_null(g.text);
	}
}

static void test_generation(void **state)
{
	char *names[] = { "g0", "g1" };
	struct config_generation g = { .number = 3, .time = 9, .text = "a: \"b\"\n", .len = 7, .slots = "0 t\n",
				       .author = "n", .note = "" };
	struct config_generation back;
	char *text = etcd_generation_text(&g);

	(void)state;
	assert_int_equal(etcd_generation_parse(&back, text, strlen(text)), 0);
	assert_string_equal(back.text, g.text);
	assert_int_equal(back.len, 7);
	assert_int_equal(back.number, 3);
	assert_string_equal(back.slots, g.slots);
	assert_int_equal(back.ngroups, 0);
	assert_null(strstr(text, "groups")); /* as 0.2.0 writes it */
	config_generation_fini(&back);
	free(text);
	g.ngroups = 2;
	g.group = names;
	text = etcd_generation_text(&g);
	assert_int_equal(etcd_generation_parse(&back, text, strlen(text)), 0);
	assert_int_equal(back.ngroups, 2);
	assert_string_equal(back.group[1], "g1");
	config_generation_fini(&back);
	memcpy(strstr(text, "g1"), "g0", 2); /* twice the same */
	assert_int_equal(etcd_generation_parse(&back, text, strlen(text)), -EBADMSG);
	free(text);
}

static void test_who_is_stale(void **state)
{
	const struct replog_lineage own = { .generation = 5, .history = 50, .nknown = 3, .known = { 50, 40, 30 } };
	const struct replog_lineage fresh = { .generation = 0 };
	struct etcd_record r = { .generation = 5, .history = 50, .config = 2 };

	(void)state;
	assert_int_equal(etcd_record_judge(&r, &own, 2), ETCD_SAME);
	assert_int_equal(etcd_record_judge(&r, &own, 3), ETCD_OLDER);
	assert_int_equal(etcd_record_judge(&r, &fresh, 0), ETCD_NEWER);
	r = (struct etcd_record){ .generation = 4, .history = 40 };
	assert_int_equal(etcd_record_judge(&r, &own, 0), ETCD_OLDER); /* this node was there, and went on */
	r = (struct etcd_record){ .generation = 6, .history = 60 };
	assert_int_equal(etcd_record_judge(&r, &own, 0), ETCD_NEWER);
	r = (struct etcd_record){ .generation = 6, .history = 40 };
	assert_int_equal(etcd_record_judge(&r, &own, 0), ETCD_OLDER); /* of its own past, whatever the number */
	r = (struct etcd_record){ .generation = 5, .history = 51 };
	assert_int_equal(etcd_record_judge(&r, &own, 0), ETCD_OLDER); /* not newer than what it has */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record), cmocka_unit_test(test_malformed), cmocka_unit_test(test_generation),
		cmocka_unit_test(test_who_is_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
