/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a member knows beside the replicated state (service_ops.snapshot_beside): a joiner is told, and members may
 * differ in it (P3: it is in no digest). Topology: 3 members over tests/unit/cluster/fake_cpg.c, node 3 joins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

static struct fake fake;

/* Members 1 and 2 serve, node 3 is fenced. */
static struct fake *two_of_three(uint32_t version_max)
{
	struct fake *f = &fake;

	fake_init(f, 3, 42);
	for (uint32_t i = 1; i <= 3; i++) {
		f->node[i].version_max = version_max;
		fake_start(f, i);
	}
	fake_settle(f);
	fake_crash(f, 3);
	fake_fenced(f, 3);
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	return f;
}

static void join(struct fake *f)
{
	fake_start(f, 3);
	fake_settle(f);
}

static void a_joiner_is_told(void **state)
{
	(void)state;
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = two_of_three(version);

		f->node[1].toy.beside = f->node[2].toy.beside = 0xb51de;
		join(f);
		assert_true(fake_serving(f, 3));
		assert_int_equal(f->node[3].toy.beside, 0xb51de);
		fake_fini(f);
	}
}

/* Also that nothing is known: what it knew itself was of another time. */
static void what_it_knew_gives_way(void **state)
{
	struct fake *f = two_of_three(0);

	(void)state;
	fake_start(f, 3);
	f->node[3].toy.beside = 7;
	fake_settle(f);
	assert_true(fake_serving(f, 3));
	assert_int_equal(f->node[3].toy.beside, 0);
	fake_fini(f);
}

static void members_may_know_less_or_more(void **state)
{
	struct fake *f = two_of_three(0);
	uint32_t restores;

	(void)state;
	join(f);
	restores = f->node[2].toy.restores;
	f->node[2].toy.beside = 5;
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	fake_pass(f, 20000000000ull); /* the digests are compared */
	assert_true(fake_serving(f, 1) && fake_serving(f, 2) && fake_serving(f, 3));
	assert_int_equal(f->node[2].toy.restores, restores);
	assert_int_equal(f->node[2].toy.beside, 5);
	fake_fini(f);
}

/* P9. */
static void who_cannot_read_it_stays_out(void **state)
{
	struct fake *f = two_of_three(0);

	(void)state;
	fake_start(f, 3);
	f->node[3].toy.refuse_beside = true;
	fake_settle(f);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_FAILED);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_joiner_is_told),
		cmocka_unit_test(what_it_knew_gives_way),
		cmocka_unit_test(members_may_know_less_or_more),
		cmocka_unit_test(who_cannot_read_it_stays_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
