/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a proposal is answered, with members that are slow to carry out or to store, lost, or leaving. Topology: 2 to 4
 * members in one process over tests/unit/cluster/fake_cpg.c; node 1 is the longest-standing member, whose part it is to
 * send VIEWs. Promises as in the design: P1 acknowledged is everywhere, P2 fenced is fenced, P4 no quorum no medium.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

static struct fake fake;

static struct fake *up_as(uint32_t nodes, uint32_t version_max)
{
	fake_up(&fake, nodes, version_max);
	return &fake;
}

static struct fake *up(uint32_t nodes)
{
	return up_as(nodes, REPLOG_VERSION);
}

static size_t write_one(struct fake *f, uint32_t node)
{
	return fake_propose(f, node, (struct toy_op){ .cell = 1, .value = 5, .persist = 1 });
}

/* P2: also what the lost owner had acknowledged waits until it is known to be off. */
static void an_owner_that_had_acknowledged_is_waited_for(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	f->owner[3] = true;
	f->node[2].hold_effects = true;
	a = write_one(f, 1);
	fake_settle(f);
	fake_crash(f, 3);
	f->node[2].hold_effects = false;
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	assert_int_equal(f->node[1].toy.nmembers, 2);
	assert_false(f->proposal[a].finished);
	fake_fenced(f, 3);
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

typedef size_t (*propose_fn)(struct fake *f, uint32_t node, struct toy_op op);

/* Node 2 waits for its own part only; node 3 has left or is lost, and node 1, which would send the VIEW without it, is
 * slow. */
static struct fake *up_without_a_view(bool leaves, propose_fn propose, size_t *a)
{
	struct fake *f = up(3);

	f->node[2].hold_effects = true;
	*a = propose(f, 2, (struct toy_op){ .cell = 1, .value = 5 });
	fake_settle(f);
	f->node[1].paused = true;
	if (leaves) {
		replog_goodbye(f->node[3].log);
		fake_settle(f);
		fake_leave(f, 3);
	} else {
		fake_crash(f, 3);
	}
	fake_settle(f);
	f->node[2].hold_effects = false;
	fake_settle(f);
	assert_true(fake_serving(f, 2));
	return f;
}

static void the_view_comes(struct fake *f, size_t a)
{
	assert_false(f->proposal[a].finished);
	f->node[1].paused = false;
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* It has the operation, and not the history without it. */
static void who_has_left_is_waited_for_until_the_next_view(void **state)
{
	size_t a;
	struct fake *f = up_without_a_view(true, fake_propose, &a);

	(void)state;
	the_view_comes(f, a);
}

/* Also what waits for no fencing: the other side may be the one that goes on. */
static void a_lost_member_is_waited_for_until_the_next_view(void **state)
{
	size_t a;
	struct fake *f = up_without_a_view(false, fake_propose_quick, &a);

	(void)state;
	the_view_comes(f, a);
}

/* ---- whose history has to be stored ---- */

/* After a loss of power on all nodes the store of the one that was lost must not look as good. */
static void what_a_lost_member_lacks_waits_for_the_next_history(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = up_as(3, version);
		size_t a;

		(void)state;
		f->node[3].hold_effects = true;
		a = write_one(f, 1);
		fake_settle(f);
		f->node[2].hold_store = true;
		fake_crash(f, 3);
		fake_settle(f);
		assert_int_equal(f->node[1].toy.nmembers, 2);
		assert_false(f->proposal[a].finished);
		f->node[2].hold_store = false;
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		fake_fini(f);
	}
}

/* It has the operation, and its store does not show it: that has no name of the history yet. */
static void what_a_lost_member_has_not_stored_it_lacks(void **state)
{
	struct fake *f = &fake;
	size_t a;

	(void)state;
	fake_begin(f, 3, REPLOG_VERSION);
	f->node[3].hold_store = true;
	fake_settle(f);
	a = write_one(f, 1);
	fake_settle(f);
	assert_int_equal(f->node[3].toy.count, 1);
	f->node[2].hold_store = true;
	fake_crash(f, 3);
	fake_settle(f);
	assert_int_equal(f->node[1].toy.nmembers, 2);
	assert_false(f->proposal[a].finished);
	f->node[2].hold_store = false;
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

static void what_a_lost_member_has_waits_for_no_store(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = up_as(3, version);
		size_t a;

		(void)state;
		a = write_one(f, 1); /* version 1 stores the history with the first operation in it */
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		f->node[2].hold_effects = true;
		a = write_one(f, 1);
		fake_settle(f);
		f->node[1].hold_store = f->node[2].hold_store = true;
		fake_crash(f, 3);
		fake_settle(f);
		f->node[2].hold_effects = false;
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		fake_fini(f);
	}
}

/* Each of those who are lost before the next VIEW counts. */
static void what_one_of_two_lost_members_lacks_waits_too(void **state)
{
	struct fake *f = up(4);
	size_t a;

	(void)state;
	f->two_node = true;
	f->node[3].hold_effects = f->node[1].hold_quorum = true;
	a = write_one(f, 1);
	fake_settle(f);
	f->node[2].hold_store = true;
	for (uint32_t lost = 4; lost >= 3; lost--) { /* the one that has it goes first */
		fake_crash(f, lost);
		fake_settle(f);
	}
	f->node[1].hold_quorum = false;
	fake_settle(f);
	assert_int_equal(f->node[1].toy.nmembers, 2);
	assert_false(f->proposal[a].finished);
	f->node[2].hold_store = false;
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* P4: the VIEW is the leader's word, and all have acknowledged; this member has not heard whether it has quorum itself.
 */
static void nobody_answers_before_it_knows_of_quorum(void **state)
{
	for (unsigned knows = 0; knows < 2; knows++) {
		struct fake *f = up(3);
		size_t a;

		(void)state;
		f->node[2].hold_quorum = !knows;
		f->node[3].hold_effects = true;
		a = fake_propose_quick(f, 2, (struct toy_op){ .cell = 1, .value = 5 });
		fake_settle(f);
		assert_false(f->proposal[a].finished);
		fake_crash(f, 3);
		fake_settle(f);
		assert_int_equal(f->node[2].toy.nmembers, 2); /* the VIEW has come */
		assert_int_equal(f->proposal[a].status, knows ? PROPOSE_OK : PROPOSE_UNKNOWN);
		assert_int_equal(fake_serving(f, 2), knows);
		fake_fini(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_that_had_acknowledged_is_waited_for),
		cmocka_unit_test(who_has_left_is_waited_for_until_the_next_view),
		cmocka_unit_test(a_lost_member_is_waited_for_until_the_next_view),
		cmocka_unit_test(what_a_lost_member_lacks_waits_for_the_next_history),
		cmocka_unit_test(what_a_lost_member_has_not_stored_it_lacks),
		cmocka_unit_test(what_a_lost_member_has_waits_for_no_store),
		cmocka_unit_test(what_one_of_two_lost_members_lacks_waits_too),
		cmocka_unit_test(nobody_answers_before_it_knows_of_quorum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
