/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who goes on from its store, and who waits (replog_start.h), case by case with whole members. Topology: 2 or 3 members in one
 * process over tests/unit/cluster/fake_cpg.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

static struct fake fake;

static struct fake *up(uint32_t nodes)
{
	fake_init(&fake, nodes, 42);
	fake.trace = getenv("TRACE") != NULL;
	for (uint32_t i = 1; i <= nodes; i++)
		fake_start(&fake, i);
	fake_settle(&fake);
	for (uint32_t i = 1; i <= nodes; i++)
		assert_true(fake_serving(&fake, i));
	return &fake;
}

/* Node 2's process ends, node 1 goes on alone and ends, too; their hosts stay up, with quorum. */
static struct fake *last_man(size_t *a)
{
	struct fake *f = up(2);

	f->two_node = true;
	fake_kill(f, 2);
	fake_settle(f);
	*a = fake_propose(f, 1, (struct toy_op){ .cell = 2, .value = 99, .persist = 1 });
	fake_settle(f);
	assert_int_equal(f->proposal[*a].status, PROPOSE_OK);
	fake_kill(f, 1);
	return f;
}

static void the_last_man_is_waited_for(void **state)
{
	size_t a;
	struct fake *f = last_man(&a);

	(void)state;
	fake_start(f, 2);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_JOINING);
	assert_non_null(strstr(replog_why(f->node[2].log), "waiting for node 1,"));
	assert_non_null(strstr(replog_why(f->node[2].log), "resolve --keep n2"));
	fake_start(f, 1);
	fake_settle(f);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[2], 99);
	}
	fake_fini(f);
}

static void the_last_man_waits_for_nobody(void **state)
{
	for (unsigned leaves = 0; leaves < 2; leaves++) {
		struct fake *f = up(2);

		(void)state;
		f->two_node = true;
		if (leaves) {
			replog_goodbye(f->node[2].log);
			fake_settle(f);
			fake_leave(f, 2);
		} else {
			fake_kill(f, 2);
		}
		fake_settle(f);
		fake_kill(f, 1); /* nothing was asked of it: the membership alone is stored */
		fake_start(f, 1);
		fake_settle(f);
		assert_true(fake_serving(f, 1));
		fake_fini(f);
	}
}

/* What only the last man has acknowledged is given up; when he comes back all the same, nothing is merged. */
static void the_operator_goes_on_without_the_last_man(void **state)
{
	size_t a;
	struct fake *f = last_man(&a);

	(void)state;
	fake_start(f, 2);
	fake_settle(f);
	assert_int_equal(replog_keep_own(f->node[2].log), 0);
	fake_settle(f);
	assert_true(fake_serving(f, 2));
	assert_int_equal(f->node[2].toy.cell[2], 0);
	assert_int_equal(replog_keep_own(f->node[2].log), -EINVAL);
	fake_start(f, 1);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[1].log), CLUSTER_DIVERGED);
	fake_fini(f);
}

/* A majority that was there before is not all that may have gone on since. */
static void all_of_the_last_membership_are_needed(void **state)
{
	struct fake *f = up(3);

	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		fake_crash(f, i);
	fake_start(f, 1);
	fake_start(f, 2);
	fake_settle(f);
	assert_false(fake_serving(f, 1) || fake_serving(f, 2));
	assert_non_null(strstr(replog_why(f->node[1].log), "waiting for node 3,"));
	assert_int_equal(replog_keep_own(f->node[2].log), 0); /* one word is enough */
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	fake_start(f, 3);
	fake_settle(f);
	assert_true(fake_serving(f, 3));
	fake_fini(f);
}

/* An empty store may have been lost: it begins when all nodes of the configuration are there. */
static void an_empty_store_alone_waits(void **state)
{
	size_t a;
	struct fake *f = last_man(&a);

	(void)state;
	f->node[2].disk = (struct replog_lineage){ 0 };
	memset(f->node[2].disk_has, 0, sizeof(f->node[2].disk_has));
	fake_start(f, 2);
	fake_settle(f);
	assert_non_null(strstr(replog_why(f->node[2].log), "waiting for node 1,"));
	fake_start(f, 1);
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	assert_int_equal(f->node[2].toy.cell[2], 99);
	fake_fini(f);
}

/* The power went after version 2 was in use and before its first membership was stored, and that had every node. */
static void a_store_without_a_list_asks_for_all(void **state)
{
	size_t a;
	struct fake *f = last_man(&a);

	(void)state;
	f->node[2].disk.nmembers = 0;
	assert_int_equal(f->node[2].disk.version, REPLOG_VERSION);
	fake_start(f, 2);
	fake_settle(f);
	assert_non_null(strstr(replog_why(f->node[2].log), "waiting for node 1,"));
	fake_start(f, 1);
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	assert_int_equal(f->node[2].toy.cell[2], 99);
	fake_fini(f);
}

/* A joiner whose membership the others have not stored is forgotten when they end: it does not go on without them. */
static void a_joiner_counts_when_the_others_have_stored_it(void **state)
{
	for (unsigned stored = 0; stored < 2; stored++) {
		size_t a;
		struct fake *f = last_man(&a);
		struct replog_lineage before;

		(void)state;
		fake_start(f, 1);
		fake_settle(f);
		assert_true(fake_serving(f, 1));
		before = f->node[1].disk;
		fake_start(f, 2);
		while (stored ? !fake_serving(f, 2) : !strstr(replog_why(f->node[2].log), "storing the membership"))
			assert_true(fake_step(f));
		if (!stored)
			f->node[1].disk = before; /* had it got so far */
		fake_kill(f, 1);
		fake_settle(f);
		assert_int_equal(fake_serving(f, 2), stored);
		fake_start(f, 1);
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 2));
		assert_int_equal(f->node[1].toy.cell[2], 99);
		fake_fini(f);
	}
}

/* Both sides of a partition have served when it heals; the one that gives way loses the other before it has its state.
 * Whatever the moment: what it has itself counts on, alone when the other is known to be off, else as soon as that is
 * back. */
static void who_gives_way_has_its_own_state_still(void **state)
{
	unsigned gave_way = 0;

	(void)state;
	for (unsigned moment = 0; moment < 120; moment++) {
		struct fake *f = up(2);

		f->two_node = f->owner[1] = f->owner[2] = true;
		fake_partition(f, 1u << 2);
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 2));
		fake_heal(f);
		for (unsigned i = 0; i < moment; i++)
			fake_step(f);
		fake_crash(f, 1);
		fake_fenced(f, 1);
		gave_way += strstr(replog_why(f->node[2].log), "takes the state of") != NULL;
		fake_settle(f);
		fake_start(f, 1);
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 2));
		fake_fini(f);
	}
	assert_true(gave_way > 0);
}

static bool gives_way(struct fake *f, uint32_t node)
{
	return strstr(replog_why(f->node[node].log), "takes the state of");
}

/* Two members of one side have given way; the others end, and have no more on their disks. One of the two goes on with what it
 * has, and the other takes its state: they don't go on together, as they did. */
static void several_who_have_given_way_come_together(void **state)
{
	unsigned both = 0;

	(void)state;
	for (unsigned schedule = 0; schedule < 60; schedule++) {
		struct fake *f = up(4);

		for (uint32_t i = 1; i <= 4; i++)
			f->owner[i] = true;
		f->rng += schedule;
		f->two_node = true; /* both sides are quorate for a while */
		fake_partition(f, 1u << 3 | 1u << 4);
		fake_settle(f);
		fake_heal(f);
		while (!gives_way(f, 3) && !gives_way(f, 4))
			assert_true(fake_step(f));
		for (unsigned i = 0; i < schedule; i++)
			fake_step(f);
		both += gives_way(f, 3) && gives_way(f, 4);
		fake_crash(f, 1);
		fake_crash(f, 2);
		fake_settle(f);
		fake_start(f, 1);
		fake_start(f, 2);
		fake_settle(f);
		for (uint32_t i = 1; i <= 4; i++)
			assert_true(fake_serving(f, i));
		fake_fini(f);
	}
	assert_true(both > 0);
}

/* Node 3 has been alone with memberships of its own, and their number says nothing: others, who have no confirmed
 * membership just then, are still followed, and have acknowledged what it does not know. */
static struct fake *outnumbered(size_t *a)
{
	struct fake *f = up(5);

	for (uint32_t i = 1; i <= 5; i++)
		f->owner[i] = true;
	f->two_node = true; /* both sides are quorate for a while */
	fake_partition(f, 1u << 3 | 1u << 4 | 1u << 5);
	fake_settle(f);
	*a = fake_propose_quick(f, 1, (struct toy_op){ .cell = 5, .value = 7 });
	for (unsigned i = 0; i < 3; i++) {
		fake_kill(f, 4);
		fake_settle(f);
		fake_start(f, 4);
		fake_settle(f);
	}
	f->two_node = false;
	fake_crash(f, 4);
	fake_crash(f, 5);
	fake_settle(f);
	fake_start(f, 4);
	fake_start(f, 5);
	fake_settle(f);
	return f;
}

static void who_has_given_way_does_not_outrun_a_branch(void **state)
{
	size_t a;
	struct fake *f = outnumbered(&a);

	(void)state;
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_heal(f);
	while (!strstr(replog_why(f->node[3].log), "takes the state of"))
		assert_true(fake_step(f));
	fake_crash(f, 2);
	fake_settle(f);
	fake_fenced(f, 2);
	fake_settle(f);
	for (uint32_t i = 1; i <= 5; i++) {
		assert_int_equal(fake_serving(f, i), i != 2);
		assert_int_equal(i == 2 ? 7 : f->node[i].quick.cell[5], 7);
	}
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_man_is_waited_for),
		cmocka_unit_test(the_last_man_waits_for_nobody),
		cmocka_unit_test(the_operator_goes_on_without_the_last_man),
		cmocka_unit_test(all_of_the_last_membership_are_needed),
		cmocka_unit_test(an_empty_store_alone_waits),
		cmocka_unit_test(a_store_without_a_list_asks_for_all),
		cmocka_unit_test(a_joiner_counts_when_the_others_have_stored_it),
		cmocka_unit_test(who_gives_way_has_its_own_state_still),
		cmocka_unit_test(several_who_have_given_way_come_together),
		cmocka_unit_test(who_has_given_way_does_not_outrun_a_branch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
