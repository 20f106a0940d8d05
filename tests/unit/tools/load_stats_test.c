/* SPDX-License-Identifier: BSD-2-Clause */
/* Histogram, gaps, tallies. Topology: none; time is an argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tools/load_stats.h"

/* A quantile may be late by the width of its bucket, never early, never above the greatest. */
static void quantiles_are_tight(void **state)
{
	static struct load_hist h;

	(void)state;
	for (uint64_t i = 1; i <= 100000; i++)
		load_hist_add(&h, i * 1000);
	for (int percent = 1; percent <= 100; percent++) {
		uint64_t exact = (uint64_t)percent * 1000000;
		uint64_t q = load_hist_quantile(&h, percent / 100.0);

		assert_in_range(q, exact, exact + exact / 32);
		assert_true(q <= h.max);
	}
	assert_int_equal(h.max, 100000000);
}

static void extremes(void **state)
{
	static struct load_hist h, empty;

	(void)state;
	assert_int_equal(load_hist_quantile(&empty, 0.5), 0);
	load_hist_add(&h, 0);
	load_hist_add(&h, INT64_MAX);
	assert_int_equal(load_hist_quantile(&h, 0.5), 0);
	assert_int_equal(load_hist_quantile(&h, 1.0), INT64_MAX);
	load_hist_merge(&h, &h);
	assert_int_equal(h.count, 4);
}

static void gap_is_time_without_completion(void **state)
{
	struct load_gap g = { 0 };
	uint64_t since;

	(void)state;
	assert_int_equal(load_gap_open(&g, 50), 0);
	load_gap_issued(&g, 100);
	load_gap_issued(&g, 150);
	assert_int_equal(load_gap_open(&g, 180), 80);
	assert_int_equal(load_gap_completed(&g, 300, &since), 200);
	assert_int_equal(since, 100);
	assert_int_equal(load_gap_completed(&g, 310, &since), 10);
	assert_int_equal(since, 300);
	assert_int_equal(load_gap_open(&g, 900), 0);
	/* An idle time is no gap. */
	load_gap_issued(&g, 1000);
	assert_int_equal(load_gap_completed(&g, 1020, &since), 20);
	assert_int_equal(g.longest, 200);
}

static void tally_counts_by_name(void **state)
{
	static struct load_tally t;
	char name[32];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "cause %d", i);
		load_tally_add(&t, name);
	}
	load_tally_add(&t, "cause 0");
	assert_int_equal(load_tally_get(&t, "cause 0"), 2);
	assert_int_equal(load_tally_get(&t, "other"), 200 - (LOAD_TALLY_MAX - 1));
	assert_int_equal(load_tally_get(&t, "no such"), 0);
	assert_int_equal(t.total, 201);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_tight),
		cmocka_unit_test(extremes),
		cmocka_unit_test(gap_is_time_without_completion),
		cmocka_unit_test(tally_counts_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
