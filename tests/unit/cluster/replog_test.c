/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated log, case by case. Topology: 2 or 3 members in one process over tests/unit/cluster/fake_cpg.c; node 1 is the
 * first member. Promises as in the design: P1 acknowledged is everywhere, P2 fenced is fenced, P3 one state, P4 no
 * quorum no medium, P9 fail closed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/replog_msg.h"
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

static void run_until_applied(struct fake *f, uint32_t node, uint64_t count)
{
	while (f->node[node].toy.count < count)
		assert_true(fake_step(f));
}

static void three_nodes_serve_and_agree(void **state)
{
	struct fake *f = up(3);
	size_t a, b;

	(void)state;
	a = fake_propose(f, 1, (struct toy_op){ .cell = 1, .value = 11 });
	b = fake_propose(f, 3, (struct toy_op){ .cell = 1, .value = 33 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	assert_int_equal(f->proposal[b].status, PROPOSE_OK);
	/* results are those of the one order: first and second */
	assert_int_equal(f->proposal[a].result + f->proposal[b].result, 3);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(f->node[i].toy.count, 2);
		assert_int_equal(f->node[i].toy.nmembers, 3);
	}
	fake_check_equal(f);
	fake_fini(f);
}

/* P1: not answered while one member has not carried it out. */
static void answer_waits_for_the_last_ack(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	f->node[3].hold_effects = true;
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(f->node[i].toy.count, 1);
	assert_false(f->proposal[a].finished);
	f->node[3].hold_effects = false;
	fake_settle(f);
	assert_true(f->proposal[a].finished);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* Acks are cumulative: a later position that is done first does not cover an earlier one. */
/* P8: what takes its time holds back its own answer, and no other. */
static void a_gap_is_not_acknowledged_and_holds_nothing_back(void **state)
{
	struct fake *f = up(2);
	size_t a, b;

	(void)state;
	f->node[2].hold_effects = true;
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	b = fake_propose(f, 1, (struct toy_op){ .cell = 1, .value = 2 });
	fake_settle(f);
	assert_int_equal(f->node[2].neffects, 2);
	replog_effects_done(f->node[2].log, f->node[2].effect[1].run, true);
	f->node[2].neffects = 1;
	fake_settle(f);
	assert_false(f->proposal[a].finished);
	assert_true(f->proposal[b].finished);
	assert_int_equal(f->proposal[b].status, PROPOSE_OK);
	f->node[2].hold_effects = false;
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

static void malformed_operation_fails_and_changes_nothing(void **state)
{
	struct fake *f = up(2);
	size_t a = fake_propose(f, 2, (struct toy_op){ .cell = 99 });

	(void)state;
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_FAILED);
	assert_int_equal(f->node[1].toy.count, 0);
	assert_int_equal(f->node[2].toy.count, 0);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	assert_int_equal(replog_position(f->node[1].log), replog_position(f->node[2].log));
	fake_fini(f);
}

/* P2: a lost owner may still be writing until it is fenced; a service that carries that news does not wait. */
static void lost_owner_is_waited_for_until_fenced(void **state)
{
	struct fake *f = up(3);
	size_t a, quick;

	(void)state;
	f->owner[3] = true;
	f->node[3].hold_effects = true;
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	run_until_applied(f, 1, 1);
	fake_crash(f, 3);
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	assert_false(f->proposal[a].finished);
	quick = fake_propose_quick(f, 2, (struct toy_op){ .cell = 0, .value = 6 });
	fake_settle(f);
	assert_int_equal(f->proposal[quick].status, PROPOSE_OK);
	assert_false(f->proposal[a].finished);
	fake_fenced(f, 3);
	fake_settle(f);
	assert_true(f->proposal[a].finished);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

static void lost_harmless_member_is_not_waited_for(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	f->node[3].hold_effects = true;
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	run_until_applied(f, 1, 1);
	assert_false(f->proposal[a].finished);
	fake_crash(f, 3);
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* The lost process is dead when a new one speaks for its node. */
static void new_incarnation_ends_the_wait(void **state)
{
	struct fake *f = up(2);
	size_t a;

	(void)state;
	f->two_node = true;
	f->owner[2] = true;
	fake_kill(f, 2);
	fake_settle(f);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	assert_false(f->proposal[a].finished);
	fake_start(f, 2);
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	assert_true(fake_serving(f, 2));
	assert_int_equal(f->node[2].toy.cell[0], 5);
	fake_fini(f);
}

/* ---- who was lost, although the node is back ---- */

/* Node 3 loses its process, and the next one has the state before the leader can have another VIEW: it hears of quorum
 * too late. */
static struct fake *up_with_node_3_replaced(void)
{
	struct fake *f = up(3);

	f->node[1].hold_quorum = true;
	fake_crash(f, 3);
	fake_start(f, 3);
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(f->node[i].toy.lost[3], 0);
		assert_int_equal(f->node[i].toy.joined[3], 1);
	}
	return f;
}

static void next_view(struct fake *f)
{
	f->node[1].hold_quorum = false;
	fake_settle(f);
}

static void a_loss_is_told_although_the_node_is_back(void **state)
{
	struct fake *f = up_with_node_3_replaced();

	(void)state;
	next_view(f);
	for (uint32_t i = 1; i <= 3; i++) { /* the joiner, too: the snapshot has told it who was there before */
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.nmembers, 3);
		assert_int_equal(f->node[i].toy.lost[3], 1);
		assert_int_equal(f->node[i].toy.joined[3], 2);
		assert_int_equal(f->node[i].toy.lost[2], 0);
		assert_int_equal(f->node[i].toy.joined[2], 1);
	}
	fake_check_equal(f);
	fake_fini(f);
}

/* One that is parted and comes back before the next VIEW is the same process as before. */
static void the_same_process_is_not_lost(void **state)
{
	struct fake *f = up(3);

	(void)state;
	f->node[1].hold_quorum = true;
	fake_partition(f, 1u << 3);
	fake_settle(f);
	fake_heal(f);
	fake_settle(f);
	next_view(f);
	assert_true(fake_serving(f, 3));
	assert_int_equal(f->node[1].toy.lost[3], 0);
	assert_int_equal(f->node[1].toy.joined[3], 1);
	fake_crash(f, 3);
	fake_settle(f);
	assert_int_equal(f->node[1].toy.lost[3], 1);
	fake_check_equal(f);
	fake_fini(f);
}

/* That the owner before is known to be dead says nothing of its successor, which no VIEW has named: it may be parted,
 * and quorate on its side. */
static void a_dead_owner_is_not_its_successor(void **state)
{
	struct fake *f = up_with_node_3_replaced();
	size_t a;

	(void)state;
	f->owner[3] = true;
	fake_partition(f, 1u << 3);
	next_view(f);
	fake_crash(f, 2); /* and so it is in a snapshot */
	fake_settle(f);
	fake_fenced(f, 2);
	fake_start(f, 2);
	fake_settle(f);
	for (uint32_t i = 1; i <= 2; i++)
		replog_owner_fenced(f->node[i].log, 3);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	assert_false(f->proposal[a].finished);
	assert_int_equal(replog_unfenced(f->node[2].log, NULL, 0), 1);
	fake_fenced(f, 3);
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* A joiner hears that a lost node is fenced before it has the state in which that is waited for, and its source hears it
 * after it has cut that state: nobody tells the joiner once more. */
static void a_joiner_has_heard_of_the_fencing(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	f->two_node = true;
	fake_crash(f, 2);
	fake_settle(f);
	fake_fenced(f, 2);
	f->owner[3] = true;
	fake_crash(f, 3);
	fake_settle(f);
	fake_start(f, 2);
	while (!replog_members(f->node[2].log, NULL, 0))
		assert_true(fake_step(f));
	replog_fencing_confirmed(f->node[2].log, 3);
	fake_settle(f);
	assert_int_equal(replog_unfenced(f->node[2].log, NULL, 0), 0);
	replog_fencing_confirmed(f->node[1].log, 3);
	fake_settle(f);
	a = fake_propose(f, 2, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* It has not served and has ended, and its node is here: nothing to wait for, whatever the process before it owned. */
static void a_successor_that_ends_is_harmless(void **state)
{
	struct fake *f = up_with_node_3_replaced();
	size_t a;

	(void)state;
	f->owner[3] = true;
	fake_kill(f, 3);
	next_view(f);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	assert_int_equal(f->node[1].toy.lost[3], 1);
	fake_fini(f);
}

static void the_owner_that_was_named_is_fenced_by_a_promotion(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	f->owner[3] = true;
	fake_crash(f, 3);
	fake_settle(f);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	assert_false(f->proposal[a].finished);
	for (uint32_t i = 1; i <= 2; i++)
		replog_owner_fenced(f->node[i].log, 3);
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* It was only parted, and is back before anybody was fenced: its group has passed on because it has given it up. */
static void an_owner_that_is_in_the_group_again_is_not_fenced_by_a_promotion(void **state)
{
	struct fake *f = up(3);

	(void)state;
	f->owner[3] = true;
	fake_partition(f, 1u << 3);
	next_view(f);
	assert_int_equal(replog_unfenced(f->node[1].log, NULL, 0), 1);
	fake_heal(f);
	while (replog_members(f->node[1].log, NULL, 0) < 3)
		assert_true(fake_step(f));
	replog_owner_fenced(f->node[1].log, 3);
	assert_int_equal(replog_unfenced(f->node[1].log, NULL, 0), 1);
	fake_settle(f);
	assert_int_equal(replog_unfenced(f->node[1].log, NULL, 0), 0);
	assert_true(fake_serving(f, 3));
	fake_fini(f);
}

static void clean_leave_is_not_waited_for(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	f->owner[3] = true;
	replog_goodbye(f->node[3].log);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_OFFLINE);
	fake_leave(f, 3);
	fake_settle(f);
	a = fake_propose(f, 2, (struct toy_op){ .cell = 0, .value = 5 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	assert_int_equal(f->node[1].toy.nmembers, 2);
	fake_fini(f);
}

/* A node that was parted meanwhile has not heard the goodbye of one that is still in the group, and comes to the
 * decision at the same place all the same (P3). */
static void a_goodbye_is_known_to_all_who_decide(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 1500; seed++) {
		struct fake *f = up(4);

		replog_goodbye(f->node[4].log);
		fake_settle(f);
		fake_partition(f, 1u << 2);
		fake_settle(f);
		fake_heal(f);
		f->rng = seed;
		for (unsigned i = 0; i < 10 + seed % 60; i++)
			fake_step(f);
		fake_propose(f, 3, (struct toy_op){ .cell = 1, .value = 7 });
		fake_settle(f);
		fake_check_equal(f);
		fake_leave(f, 4);
		fake_settle(f);
		assert_true(fake_serving(f, 2));
		assert_int_equal(f->node[2].toy.cell[1], f->node[1].toy.cell[1]);
		assert_int_equal(replog_position(f->node[2].log), replog_position(f->node[1].log));
		fake_fini(f);
	}
}

/* P4, and the answer to what was under way. */
static void minority_stops_and_does_not_answer_ok(void **state)
{
	struct fake *f = up(3);
	size_t a, b, c;

	(void)state;
	a = fake_propose(f, 3, (struct toy_op){ .cell = 0, .value = 5 });
	fake_partition(f, 1u << 3);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_NO_QUORUM);
	assert_int_equal(f->proposal[a].status, PROPOSE_UNKNOWN);
	b = fake_propose(f, 3, (struct toy_op){ .cell = 0, .value = 6 });
	fake_settle(f);
	assert_int_equal(f->proposal[b].status, PROPOSE_NOT_SERVING);
	c = fake_propose(f, 1, (struct toy_op){ .cell = 1, .value = 7 });
	fake_settle(f);
	assert_int_equal(f->proposal[c].status, PROPOSE_OK);
	fake_heal(f);
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[1], 7);
	}
	assert_true(f->node[3].toy.restores > 0);
	fake_check_equal(f);
	fake_fini(f);
}

/* Media access ends even when the quorum service says nothing at all. */
static void unknown_quorum_is_no_quorum_after_the_grace(void **state)
{
	struct fake *f = up(2);

	(void)state;
	f->two_node = true;
	fake_crash(f, 2);
	f->node[1].quorum_due = false; /* the notification never comes */
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	fake_pass(f, REPLOG_GRACE_NS + 1);
	assert_int_equal(replog_state(f->node[1].log), CLUSTER_NO_QUORUM);
	replog_quorum(f->node[1].log, true);
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	fake_fini(f);
}

static void joiner_gets_the_state_under_load(void **state)
{
	struct fake *f = up(2);

	(void)state;
	f->two_node = true;
	fake_crash(f, 2);
	fake_settle(f);
	for (unsigned i = 0; i < 50; i++)
		fake_propose(f, 1, (struct toy_op){ .cell = i % TOY_CELLS, .value = i + 1 });
	fake_start(f, 2);
	for (unsigned i = 0; i < 400; i++) {
		assert_false(fake_serving(f, 2) && f->node[2].toy.count + 20 < f->node[1].toy.count);
		fake_propose(f, 1, (struct toy_op){ .cell = i % TOY_CELLS, .value = 1000 + i });
		fake_step(f);
		fake_step(f);
	}
	fake_settle(f);
	for (size_t i = 0; i < f->nproposals; i++)
		assert_int_equal(f->proposal[i].status, PROPOSE_OK);
	assert_true(fake_serving(f, 2));
	assert_int_equal(f->node[2].toy.count, 450);
	assert_int_equal(replog_position(f->node[1].log), replog_position(f->node[2].log));
	fake_check_equal(f);
	fake_fini(f);
}

/* Also when the source dies at any step of the join: the joiner serves only with the whole state. */
static void source_dies_at_every_step_of_a_join(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 120; at++) {
		struct fake *f = up(3);

		fake_crash(f, 3);
		fake_settle(f);
		fake_propose(f, 2, (struct toy_op){ .cell = 3, .value = 77, .persist = 1 });
		fake_settle(f);
		fake_start(f, 3);
		for (unsigned i = 0; i < at; i++)
			fake_step(f);
		fake_crash(f, 1);
		fake_settle(f);
		assert_true(fake_serving(f, 2));
		assert_true(fake_serving(f, 3));
		assert_int_equal(f->node[3].toy.cell[3], 77);
		fake_check_equal(f);
		fake_fini(f);
	}
}

/* Node 2 acknowledges what it had applied before it was parted when the exchange that gives it another state is all but
 * over; the membership changes once more before it has that state. Whatever became of that acknowledgement, it goes on
 * acknowledging. */
static void an_acknowledgement_of_another_stream_is_not_waited_for(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 60 * 30; at++) {
		struct fake *f = up(3);
		size_t a;

		f->node[2].hold_effects = true;
		fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 5 });
		run_until_applied(f, 2, 1);
		fake_partition(f, 1u << 2);
		fake_settle(f);
		fake_heal(f);
		for (unsigned i = 0; i < at / 30; i++)
			fake_step(f);
		f->node[2].hold_effects = false;
		for (unsigned i = 0; i < at % 30; i++)
			fake_step(f);
		fake_kill(f, 3);
		fake_settle(f);
		a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 6 });
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		assert_int_equal(f->node[2].toy.cell[0], 6);
		fake_fini(f);
	}
}

/* Nobody is left who has the newest state: waiting is right, serving is not. */
static void joiner_alone_with_old_state_waits(void **state)
{
	struct fake *f = up(2);

	(void)state;
	f->two_node = true;
	fake_crash(f, 2);
	fake_settle(f);
	fake_propose(f, 1, (struct toy_op){ .cell = 3, .value = 77, .persist = 1 });
	fake_settle(f);
	fake_start(f, 2);
	while (!strstr(replog_why(f->node[2].log), "takes the state"))
		assert_true(fake_step(f));
	fake_crash(f, 1);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_JOINING);
	assert_non_null(strstr(replog_why(f->node[2].log), "waiting for node 1,"));
	fake_start(f, 1);
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	assert_int_equal(f->node[1].toy.cell[3], 77);
	assert_int_equal(f->node[2].toy.cell[3], 77);
	fake_fini(f);
}

/* All lose power; the stale one starts first. What was acknowledged as durable is there. */
static void whole_restart_takes_the_newest_state(void **state)
{
	for (unsigned first = 0; first < 2; first++) {
		struct fake *f = up(3);
		size_t a;

		(void)state;
		fake_crash(f, 1);
		fake_settle(f);
		a = fake_propose(f, 2, (struct toy_op){ .cell = 2, .value = 99, .persist = 1 });
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		fake_crash(f, 2);
		fake_crash(f, 3);
		fake_start(f, first ? 3 : 1);
		fake_settle(f);
		fake_start(f, first ? 1 : 2);
		fake_settle(f);
		fake_start(f, first ? 2 : 3);
		fake_settle(f);
		for (uint32_t i = 1; i <= 3; i++) {
			assert_true(fake_serving(f, i));
			assert_int_equal(f->node[i].toy.cell[2], 99);
		}
		fake_check_equal(f);
		fake_fini(f);
	}
}

/* Two histories that both acknowledged something are never merged. */
/* ---- which state goes on ---- */

/* It has the state and its part in what comes is waited for, but the others know what it may own only by the VIEW. */
static void a_joiner_serves_when_a_view_has_named_it(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		struct fake *f = up(3);
		bool synced = false;

		fake_kill(f, 3);
		fake_settle(f);
		f->rng = seed;
		fake_start(f, 3);
		while (!fake_serving(f, 3)) {
			struct replog_member_info m[3];

			assert_true(fake_step(f));
			if (replog_members(f->node[3].log, m, 3) == 3)
				synced |= m[2].synced;
		}
		assert_true(synced);
		assert_int_equal(f->node[3].toy.joined[3], 2);
		fake_settle(f);
		fake_fini(f);
	}
}

/* Memberships are cheap, what was acknowledged is not: a side that has had more of them, and no operation, gives way. By version 1,
 * which does not store each of them. */
static void acknowledged_goes_before_more_memberships(void **state)
{
	struct fake *f = &fake;
	size_t a;

	(void)state;
	fake_init(f, 3, 42);
	for (uint32_t i = 1; i <= 3; i++) {
		f->node[i].version_max = 1;
		fake_start(f, i);
	}
	fake_settle(f);
	f->two_node = true;
	fake_partition(f, 1u << 1);
	fake_settle(f);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 3, .value = 9, .persist = 1 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	for (unsigned i = 0; i < 3; i++) {
		fake_kill(f, 3);
		fake_settle(f);
		fake_start(f, 3);
		fake_settle(f);
	}
	assert_int_equal(f->node[2].toy.cell[3], 0);
	fake_heal(f);
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[3], 9);
	}
	fake_fini(f);
}

/* What a quorum has begun with after a loss of all goes on, however often the members before had changed. */
static void a_later_start_goes_before_more_memberships(void **state)
{
	struct fake *f = up(3);
	struct replog_lineage *later, *longer;

	(void)state;
	fake_propose(f, 1, (struct toy_op){ .cell = 3, .value = 9, .persist = 1 });
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++)
		fake_crash(f, i);
	later = &f->node[1].disk;
	longer = &f->node[2].disk;
	later->nmembers = longer->nmembers = 1; /* each has gone on alone */
	later->member[0] = 1;
	longer->member[0] = 2;
	later->era += 1;
	later->generation += 1;
	later->known[later->nknown++] = later->history = 0xaaaa;
	longer->generation += 5;
	longer->known[longer->nknown++] = longer->history = 0xbbbb;
	f->node[1].disk_cell[3] = 10;
	fake_start(f, 2);
	fake_start(f, 1);
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	assert_int_equal(f->node[1].toy.cell[3], 10);
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_DIVERGED); /* never merged */
	fake_fini(f);
}

static void diverged_histories_are_refused(void **state)
{
	struct fake *f = up(2);

	(void)state;
	f->two_node = true;
	fake_partition(f, 1u << 2);
	fake_settle(f);
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_propose(f, 2, (struct toy_op){ .cell = 0, .value = 2 });
	fake_settle(f);
	assert_int_equal(f->proposal[0].status, PROPOSE_OK);
	assert_int_equal(f->proposal[1].status, PROPOSE_OK);
	fake_heal(f);
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_DIVERGED);
	assert_non_null(strstr(replog_why(f->node[2].log), "cluster resolve --keep"));
	assert_int_equal(f->node[2].toy.cell[0], 2);
	assert_int_equal(replog_discard_own(f->node[1].log), -22);
	assert_int_equal(replog_discard_own(f->node[2].log), 0);
	fake_settle(f);
	assert_true(fake_serving(f, 2));
	assert_int_equal(f->node[2].toy.cell[0], 1);
	fake_check_equal(f);
	fake_fini(f);
}

/* The usual end of a two-node partition: one side is fenced. No operator is needed. */
static void fenced_side_of_a_split_rejoins(void **state)
{
	for (uint32_t loser = 1; loser <= 2; loser++) {
		struct fake *f = up(2);
		uint32_t w = 3 - loser;
		size_t a;

		(void)state;
		f->two_node = f->owner[1] = f->owner[2] = true;
		fake_partition(f, 1u << 2);
		fake_settle(f);
		a = fake_propose(f, loser, (struct toy_op){ .cell = 0, .value = 1 });
		fake_propose(f, w, (struct toy_op){ .cell = 0, .value = 2 });
		fake_settle(f);
		assert_false(f->proposal[a].finished);
		fake_crash(f, loser);
		fake_fenced(f, loser);
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_UNKNOWN);
		assert_int_equal(f->proposal[a + 1].status, PROPOSE_OK);
		fake_heal(f);
		fake_start(f, loser);
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 2));
		assert_int_equal(f->node[loser].toy.cell[0], 2);
		fake_fini(f);
	}
}

/* P3: a state that went wrong is found, its member stops serving and comes back right. */
static void digest_mismatch_heals(void **state)
{
	struct fake *f = up(3);

	(void)state;
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	f->node[2].toy.cell[9] = 0xbad;
	f->now += 20000000000ull;
	replog_timer(f->node[1].log, f->now);
	while (fake_serving(f, 2))
		assert_true(fake_step(f));
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2) && fake_serving(f, 3));
	assert_int_equal(f->node[2].toy.cell[9], 0);
	assert_int_equal(f->node[2].toy.cell[0], 1);
	assert_true(f->node[2].toy.restores > 0);
	fake_check_equal(f);
	fake_fini(f);
}

/* A leader whose state is in the minority gives way too. */
static void digest_mismatch_of_the_leader(void **state)
{
	struct fake *f = up(3);

	(void)state;
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	f->node[1].toy.cell[9] = 0xbad;
	fake_pass(f, 20000000000ull);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[9], 0);
	}
	fake_fini(f);
}

static void transport_loss_is_isolation(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	a = fake_propose(f, 3, (struct toy_op){ .cell = 0, .value = 1 });
	replog_transport_lost(f->node[3].log, "corosync is gone");
	assert_int_equal(f->proposal[a].status, PROPOSE_UNKNOWN);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_OFFLINE);
	assert_string_equal(replog_why(f->node[3].log), "corosync is gone");
	fake_fini(f);
}

static void pack(struct message *m, struct wbuf *out)
{
	message_pack(m, out);
	assert_int_equal(out->err, 0);
}

/* P9: what a member sends may have been an operation: stop rather than diverge. */
static void rubbish_from_a_member_stops_and_changes_nothing(void **state)
{
	struct fake *f = up(2);
	uint8_t buf[64];
	uint64_t position = replog_position(f->node[1].log);

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		size_t len = fake_random(f) % sizeof(buf);

		for (size_t k = 0; k < len; k++)
			buf[k] = fake_random(f);
		fake_inject(f, 1 + i % 2, buf, len);
	}
	fake_settle(f);
	assert_int_equal(replog_position(f->node[1].log), position);
	assert_int_equal(replog_state(f->node[1].log), CLUSTER_FAILED);
	fake_fini(f);
}

/* What somebody outside of the branch sends is provably no operation. */
static void rubbish_from_a_stranger_is_ignored(void **state)
{
	struct fake *f = up(3);
	uint8_t buf[64];

	(void)state;
	fake_crash(f, 3);
	fake_settle(f);
	fake_start(f, 3);
	f->node[3].paused = true;
	for (unsigned i = 0; i < 2000; i++) {
		size_t len = fake_random(f) % sizeof(buf);

		for (size_t k = 0; k < len; k++)
			buf[k] = fake_random(f);
		fake_inject(f, 3, buf, len);
	}
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	fake_fini(f);
}

/* An operation that can't be read: stop rather than diverge. */
static void unreadable_operation_stops_the_member(void **state)
{
	struct fake *f = up(2);
	struct toy_op op = { .cell = 1, .value = 2 };
	struct message m = { .type = MSG_OP,
			     .op = { f->node[1].incarnation, 1, TOY_ID, (uint8_t *)&op, sizeof(op) } };
	struct wbuf out = { 0 };

	(void)state;
	pack(&m, &out);
	out.data[8] = 0xff; /* no protobuf */
	fake_inject(f, 1, out.data, out.len);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_FAILED);
	assert_non_null(strstr(replog_why(f->node[2].log), "OP"));
	wbuf_fini(&out);
	fake_fini(f);
}

/* Every truncation and every flipped bit of every kind of message: parsed within bounds, or refused. */
static void parser_survives_bent_messages(void **state)
{
	struct toy_op op = { .cell = 1, .value = 2 };
	struct message all[] = {
		{ .type = MSG_HELLO,
		  .hello = { .round = 1, .incarnation = 2, .version_min = 1, .version_max = 1, .cluster = "c",
			     .node_name = "n", .lineage = { .nknown = 3 }, .nheard = 1, .heard = { { 1, 2, 3 } } } },
		{ .type = MSG_OP, .op = { 1, 1, TOY_ID, (uint8_t *)&op, sizeof(op) } },
		{ .type = MSG_VIEW,
		  .view = { .generation = 1, .history = 2, .version = 1, .nmembers = 1, .member = { { 1, 2, 3 } } } },
		{ .type = MSG_ACK, .ack = { 5, 6 } },
		{ .type = MSG_CHUNK,
		  .chunk = { .incarnation = 1, .round = 1, .total = 12, .data = (uint8_t *)&op, .len = 12 } },
		{ .type = MSG_SYNCED, .synced = { 1, 2, 3, 4, 5 } },
		{ .type = MSG_GOODBYE, .goodbye = 9 },
		{ .type = MSG_CHECK, .check = 9 },
		{ .type = MSG_DIGEST, .digest = { .position = 4 } },
		{ .type = MSG_LAPSE, .lapse = 9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct wbuf out = { 0 };
		struct message in = { 0 };
		const char *why;

		pack(&all[i], &out);
		assert_int_equal(message_parse(&in, out.data, out.len, &why), 0);
		assert_int_equal(in.type, all[i].type);
		message_fini(&in);
		for (size_t cut = 0; cut < out.len; cut++)
			if (!message_parse(&in, out.data, cut, &why))
				message_fini(&in);
		for (size_t bit = 0; bit < out.len * 8; bit++) {
			out.data[bit / 8] ^= 1 << bit % 8;
			if (!message_parse(&in, out.data, out.len, &why))
				message_fini(&in);
			out.data[bit / 8] ^= 1 << bit % 8;
		}
		wbuf_fini(&out);
	}
}

static void newer_format_is_named(void **state)
{
	struct message m = { .type = MSG_ACK, .ack = { 1, 1 } }, in = { 0 };
	struct wbuf out = { 0 };
	const char *why;

	(void)state;
	pack(&m, &out);
	out.data[4] = 2;
	assert_int_equal(message_parse(&in, out.data, out.len, &why), -EPROTONOSUPPORT);
	assert_non_null(strstr(why, "newer"));
	wbuf_fini(&out);
}

/* A joiner that refuses the snapshot does not serve; the others go on. */
static void refused_snapshot_stops_the_joiner_only(void **state)
{
	struct fake *f = up(3);
	size_t a;

	(void)state;
	fake_crash(f, 3);
	fake_settle(f);
	f->node[3].toy.refuse_restore = true;
	fake_start(f, 3);
	f->node[3].toy.refuse_restore = true;
	fake_settle(f);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_FAILED);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_nodes_serve_and_agree),
		cmocka_unit_test(answer_waits_for_the_last_ack),
		cmocka_unit_test(a_gap_is_not_acknowledged_and_holds_nothing_back),
		cmocka_unit_test(malformed_operation_fails_and_changes_nothing),
		cmocka_unit_test(lost_owner_is_waited_for_until_fenced),
		cmocka_unit_test(lost_harmless_member_is_not_waited_for),
		cmocka_unit_test(new_incarnation_ends_the_wait),
		cmocka_unit_test(a_loss_is_told_although_the_node_is_back),
		cmocka_unit_test(the_same_process_is_not_lost),
		cmocka_unit_test(a_dead_owner_is_not_its_successor),
		cmocka_unit_test(a_successor_that_ends_is_harmless),
		cmocka_unit_test(a_joiner_has_heard_of_the_fencing),
		cmocka_unit_test(the_owner_that_was_named_is_fenced_by_a_promotion),
		cmocka_unit_test(an_owner_that_is_in_the_group_again_is_not_fenced_by_a_promotion),
		cmocka_unit_test(clean_leave_is_not_waited_for),
		cmocka_unit_test(a_goodbye_is_known_to_all_who_decide),
		cmocka_unit_test(minority_stops_and_does_not_answer_ok),
		cmocka_unit_test(unknown_quorum_is_no_quorum_after_the_grace),
		cmocka_unit_test(joiner_gets_the_state_under_load),
		cmocka_unit_test(source_dies_at_every_step_of_a_join),
		cmocka_unit_test(an_acknowledgement_of_another_stream_is_not_waited_for),
		cmocka_unit_test(joiner_alone_with_old_state_waits),
		cmocka_unit_test(whole_restart_takes_the_newest_state),
		cmocka_unit_test(a_joiner_serves_when_a_view_has_named_it),
		cmocka_unit_test(acknowledged_goes_before_more_memberships),
		cmocka_unit_test(a_later_start_goes_before_more_memberships),
		cmocka_unit_test(diverged_histories_are_refused),
		cmocka_unit_test(fenced_side_of_a_split_rejoins),
		cmocka_unit_test(digest_mismatch_heals),
		cmocka_unit_test(digest_mismatch_of_the_leader),
		cmocka_unit_test(transport_loss_is_isolation),
		cmocka_unit_test(rubbish_from_a_member_stops_and_changes_nothing),
		cmocka_unit_test(rubbish_from_a_stranger_is_ignored),
		cmocka_unit_test(unreadable_operation_stops_the_member),
		cmocka_unit_test(parser_survives_bent_messages),
		cmocka_unit_test(newer_format_is_named),
		cmocka_unit_test(refused_snapshot_stops_the_joiner_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
