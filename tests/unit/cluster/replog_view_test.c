/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ordered membership change: who sends it, when, and which one counts. Topology: 2 or 3 members in one process over
 * tests/unit/cluster/fake_cpg.c. Promises as in the design: P3 one log, one state, P9 fail closed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

static struct fake fake;

static struct fake *up(uint32_t nodes)
{
	fake_up(&fake, nodes, REPLOG_VERSION);
	return &fake;
}

static void restart(struct fake *f, uint32_t node)
{
	fake_kill(f, node);
	fake_settle(f);
	fake_start(f, node);
	fake_settle(f);
	assert_true(fake_serving(f, node));
}

/* ---- who sends it, and when ---- */

static uint32_t views, view_from;

static void listen(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	(void)f;
	if (message_type(msg, len) != MSG_VIEW)
		return;
	views++;
	view_from = from;
}

/* It knows of most of what is still to be told; the lowest id is nothing to go by. */
static void the_longest_standing_member_sends_it(void **state)
{
	struct fake *f = up(3);

	(void)state;
	restart(f, 1);
	views = 0;
	f->heard = listen;
	restart(f, 3);
	assert_int_equal(views, 2); /* without it, and with it */
	assert_int_equal(view_from, 2);
	restart(f, 1);
	fake_kill(f, 2);
	fake_settle(f);
	assert_int_equal(view_from, 3);
	fake_fini(f);
}

static void a_slow_joiner_holds_up_nobody(void **state)
{
	struct fake *f = up(3);

	(void)state;
	f->two_node = true;
	fake_kill(f, 1);
	fake_settle(f);
	f->node[2].hold_quorum = true;
	fake_crash(f, 3);
	fake_settle(f);
	fake_start(f, 1);
	while (!strstr(replog_why(f->node[1].log), "takes the state"))
		assert_true(fake_step(f));
	f->node[1].paused = true;
	fake_settle(f);
	assert_int_equal(f->node[2].toy.nmembers, 2);
	f->node[2].hold_quorum = false;
	fake_settle(f);
	assert_int_equal(f->node[2].toy.nmembers, 1);
	assert_true(fake_serving(f, 2));
	f->node[1].paused = false;
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	fake_fini(f);
}

/* From the stores: who is in the group is to have the state before anything can be acknowledged in it, unless it leaves.
 */
static void a_start_waits_for_those_who_are_here(void **state)
{
	for (unsigned leaves = 0; leaves < 2; leaves++) {
		struct fake *f = up(2);

		(void)state;
		f->two_node = true;
		for (uint32_t i = 1; i <= 2; i++)
			fake_crash(f, i);
		for (uint32_t i = 1; i <= 2; i++)
			fake_start(f, i);
		f->node[2].hold_effects = true;
		fake_settle(f);
		assert_int_equal(f->node[2].toy.restores, 1);
		assert_false(fake_serving(f, 1));
		if (leaves)
			replog_goodbye(f->node[2].log);
		f->node[2].hold_effects = leaves;
		fake_settle(f);
		assert_true(fake_serving(f, 1));
		assert_int_equal(fake_serving(f, 2), !leaves);
		fake_fini(f);
	}
}

/* And for the one itself who begins: what its reactors see and its store says is the state that it begins with. */
static void a_start_waits_for_its_own_publication(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_begin(f, 2, REPLOG_VERSION);
	f->node[1].hold_effects = true;
	fake_settle(f);
	assert_int_equal(f->node[2].toy.restores, 1);
	assert_int_equal(f->node[2].toy.nmembers, 0);
	f->node[1].hold_effects = false;
	fake_settle(f);
	assert_int_equal(f->node[2].toy.nmembers, 2);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	fake_fini(f);
}

/* ---- which one counts ---- */

enum bend { BEND_NONE, BEND_BRANCH, BEND_PROCESS, BEND_MISSING, BEND_STRANGER };

/* What a VIEW of nodes 1 to 3, the next one, is like where it does not fit in its place. */
static const struct {
	const char *what;
	enum bend bend;
	uint32_t from;
	bool counts;
} rows[] = {
	{ "as it should be", BEND_NONE, 1, true },
	{ "not of the longest-standing member", BEND_NONE, 2, false },
	{ "built on another branch", BEND_BRANCH, 1, false },
	{ "with a process that has ended", BEND_PROCESS, 1, false },
	{ "without one that has the state", BEND_MISSING, 1, false },
	{ "with a node that is not here", BEND_STRANGER, 1, false },
};

static struct message next_view(struct fake *f, enum bend bend)
{
	struct message m = { .type = MSG_VIEW };
	struct view *v = &m.view;

	*v = (struct view){ .branch = replog_branch(f->node[1].log) + (bend == BEND_BRANCH), .generation = 100,
			    .history = 1000, .version = REPLOG_VERSION, .nmembers = 3 - (bend == BEND_MISSING) };
	for (uint32_t i = 0; i < 3; i++)
		v->member[i] = (struct seat){ i + 1, f->node[i + 1].incarnation, 0 };
	if (bend == BEND_PROCESS)
		v->member[2].incarnation++;
	if (bend == BEND_STRANGER)
		v->member[2].node = 5;
	return m;
}

static void only_a_view_that_fits_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *f = up(3);
		struct message m = next_view(f, rows[i].bend);
		uint64_t position = replog_position(f->node[1].log);

		fake_say(f, rows[i].from, &m);
		fake_settle(f);
		for (uint32_t node = 1; node <= 3; node++)
			if (replog_position(f->node[node].log) != position + rows[i].counts)
				fail_msg("%s", rows[i].what);
		assert_int_equal(f->node[3].disk.generation == 100, rows[i].counts);
		fake_fini(f);
	}
}

/* P9: one of a protocol that it does not speak, or of one that is over. */
static void a_view_of_another_version_stops_the_member(void **state)
{
	static const uint32_t version[] = { REPLOG_VERSION + 1, REPLOG_VERSION - 1 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct fake *f = up(3);
		struct message m = next_view(f, BEND_NONE);

		m.view.version = version[i];
		fake_say(f, 1, &m);
		fake_settle(f);
		assert_int_equal(replog_state(f->node[2].log), CLUSTER_FAILED);
		assert_non_null(strstr(replog_why(f->node[2].log), "update this node"));
		assert_int_equal(replog_version(f->node[2].log), REPLOG_VERSION);
		fake_fini(f);
	}
}

/* A goodbye that its sender did not live to see does not concern its successor. */
static void the_goodbye_of_a_former_process_is_none(void **state)
{
	struct fake *f = up(3);
	struct message m = { .type = MSG_GOODBYE, .goodbye = f->node[3].incarnation };

	(void)state;
	restart(f, 3);
	fake_say(f, 3, &m);
	fake_settle(f);
	assert_true(fake_serving(f, 3));
	assert_int_equal(f->node[1].toy.nmembers, 3);
	m.goodbye = f->node[3].incarnation;
	fake_say(f, 3, &m);
	fake_settle(f);
	assert_int_equal(f->node[1].toy.nmembers, 2);
	fake_fini(f);
}

/* ---- what is remembered ---- */

static void the_newest_histories_are_remembered(void **state)
{
	struct fake *f = up(2);
	struct replog_lineage before, l;

	(void)state;
	f->two_node = true;
	for (unsigned i = 0; i < REPLOG_KNOWN_MAX / 2 + 2; i++) {
		replog_lineage(f->node[1].log, &before);
		restart(f, 2); /* two VIEWs */
		replog_lineage(f->node[1].log, &l);
		assert_int_equal(l.known[0], l.history);
		assert_int_equal(l.known[2], before.history);
	}
	assert_int_equal(l.nknown, REPLOG_KNOWN_MAX);
	assert_memory_equal(&l.known[2], before.known, (REPLOG_KNOWN_MAX - 2) * sizeof(l.known[0]));
	fake_fini(f);
}

/* ---- who may still be writing ---- */

/* Whoever is cut off knows nothing of those who were there, but for those who had said that they leave. */
static void without_a_transport_all_owners_are_lost(void **state)
{
	struct fake *f = up(3);
	uint32_t unfenced;

	(void)state;
	f->owner[1] = f->owner[2] = f->owner[3] = true;
	replog_goodbye(f->node[3].log);
	fake_settle(f);
	replog_transport_lost(f->node[1].log, "corosync is gone");
	assert_int_equal(replog_unfenced(f->node[1].log, &unfenced, 1), 1);
	assert_int_equal(unfenced, 2);
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_standing_member_sends_it),
		cmocka_unit_test(a_slow_joiner_holds_up_nobody),
		cmocka_unit_test(a_start_waits_for_those_who_are_here),
		cmocka_unit_test(a_start_waits_for_its_own_publication),
		cmocka_unit_test(only_a_view_that_fits_counts),
		cmocka_unit_test(a_view_of_another_version_stops_the_member),
		cmocka_unit_test(the_goodbye_of_a_former_process_is_none),
		cmocka_unit_test(the_newest_histories_are_remembered),
		cmocka_unit_test(without_a_transport_all_owners_are_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
