/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may speak into the log, and what a store may name, each at the moment that decides: a member that is slow to
 * hear, to carry out or to store, or is not heard at all. Topology: 2 or 3 members in one process over
 * tests/unit/cluster/fake_cpg.c; node 1 is the longest-standing member, whose part it is to send VIEWs.
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

static struct fake *up_as(uint32_t nodes, uint32_t version_max)
{
	fake_up(&fake, nodes, version_max);
	return &fake;
}

static struct fake *up(uint32_t nodes)
{
	return up_as(nodes, REPLOG_VERSION);
}

/* As `by` sees it. */
static bool is_synced(struct fake *f, uint32_t by, uint32_t node)
{
	struct replog_member_info m[FAKE_NODES];
	size_t n = replog_members(f->node[by].log, m, FAKE_NODES);

	for (size_t i = 0; i < n; i++)
		if (m[i].node == node)
			return m[i].synced;
	return false;
}

static void run_until_why(struct fake *f, uint32_t node, const char *why)
{
	while (!strstr(replog_why(f->node[node].log), why))
		assert_true(fake_step(f));
}

static size_t write_one(struct fake *f, uint32_t node)
{
	return fake_propose(f, node, (struct toy_op){ .cell = 1, .value = 5, .persist = 1 });
}

/* ---- who may speak into the log ---- */

static void inject_op(struct fake *f, uint32_t node, uint64_t incarnation)
{
	struct toy_op op = { .cell = 2, .value = 7 };
	struct message m = { .type = MSG_OP, .op = { incarnation, 1000, TOY_ID, (uint8_t *)&op, sizeof(op) } };

	fake_say(f, node, &m);
}

/* It is in the group and has said hello, and has not the state that its operation would be applied to. */
static void an_operation_of_one_without_the_state_is_none(void **state)
{
	struct fake *f = up(3);
	uint64_t position;

	(void)state;
	fake_kill(f, 3);
	fake_settle(f);
	fake_start(f, 3);
	run_until_why(f, 3, "takes the state");
	f->node[3].paused = true;
	fake_settle(f);
	assert_false(is_synced(f, 1, 3));
	position = replog_position(f->node[1].log);
	inject_op(f, 3, f->node[3].incarnation);
	fake_settle(f);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.count, 0);
		assert_int_equal(replog_position(f->node[i].log), position);
	}
	fake_fini(f);
}

/* Its successor has no answer for it, and takes the operation's number for one of its own. */
static void an_operation_of_a_process_that_has_ended_is_none(void **state)
{
	struct fake *f = up(3);
	uint64_t before = f->node[3].incarnation;

	(void)state;
	fake_kill(f, 3);
	fake_start(f, 3);
	fake_settle(f);
	assert_true(fake_serving(f, 3));
	inject_op(f, 3, before);
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.count, 0);
	}
	inject_op(f, 3, f->node[3].incarnation);
	fake_settle(f);
	assert_int_equal(f->node[1].toy.count, 1);
	fake_fini(f);
}

/* Node 3 leaves while it takes in the state. Memberships come without it from then on, and the first one ever begins
 * with the newest version of the protocol: an operation of a service that version 1 does not have is no failure of node 3. */
static void who_has_left_takes_no_more_operations(void **state)
{
	struct fake *f = &fake;
	size_t a;

	(void)state;
	fake_begin(f, 3, REPLOG_VERSION);
	f->two_node = true;
	for (uint32_t i = 1; i <= 3; i++)
		f->node[i].hold_quorum = true;
	f->node[3].hold_effects = true;
	fake_settle(f);
	assert_false(is_synced(f, 1, 3));
	assert_int_equal(f->node[3].toy.restores, 1);
	replog_goodbye(f->node[3].log);
	fake_settle(f);
	fake_kill(f, 2); /* node 3 is not told any more */
	fake_settle(f);
	f->node[1].hold_quorum = false;
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	assert_int_equal(replog_version(f->node[1].log), REPLOG_VERSION);
	assert_int_equal(replog_version(f->node[3].log), 1);
	a = fake_propose_newer(f, 1, (struct toy_op){ .cell = 1, .value = 5 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_OFFLINE);
	fake_fini(f);
}

/* ---- what a store may name ---- */

/* Also that of a process that has been named, when it had another state. */
static void a_copy_is_partial_until_a_view_has_named_its_node(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct fake *f = up_as(3, 1 + i / 2);
		uint64_t generation = f->node[1].disk.generation;

		(void)state;
		f->node[1].hold_quorum = true;
		if (i % 2) {
			fake_partition(f, 1u << 3);
			fake_settle(f);
			fake_heal(f);
		} else {
			fake_crash(f, 3);
			fake_start(f, 3);
		}
		fake_settle(f);
		assert_true(is_synced(f, 1, 3));
		assert_true(f->node[3].disk.partial);
		assert_int_equal(f->node[3].disk.generation, generation);
		assert_false(fake_serving(f, 3));
		f->node[1].hold_quorum = false;
		fake_settle(f);
		assert_true(fake_serving(f, 3));
		assert_false(f->node[3].disk.partial);
		fake_fini(f);
	}
}

/* Nor while something that came before is not carried out: it may have to be stored, too. */
static void a_copy_is_partial_until_what_came_before_is_carried_out(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = up_as(3, version);

		(void)state;
		fake_crash(f, 3);
		fake_settle(f);
		fake_start(f, 3);
		f->node[3].hold_runs = true;
		run_until_why(f, 3, "takes the state");
		write_one(f, 1);
		fake_settle(f);
		assert_true(is_synced(f, 1, 3));
		assert_int_equal(f->node[1].toy.joined[3], version < 2 ? 0 : 2); /* a VIEW has named it */
		assert_int_equal(f->node[3].toy.nmembers, 3);
		assert_false(fake_serving(f, 3));
		assert_true(f->node[3].disk.partial);
		f->node[3].hold_runs = false;
		fake_settle(f);
		assert_true(fake_serving(f, 3));
		assert_false(f->node[3].disk.partial);
		fake_fini(f);
	}
}

/* The highest generation that node 3 has said of its store. */
static uint64_t claimed;

static void listen(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	struct message m = { 0 };
	const char *why;
	uint64_t said = 0;

	(void)f;
	assert_int_equal(message_parse(&m, msg, len, &why), 0);
	if (m.type == MSG_ACK)
		said = m.ack.committed_generation;
	if (m.type == MSG_SYNCED)
		said = m.synced.committed_generation;
	if (from == 3 && said > claimed)
		claimed = said;
	message_fini(&m);
}

static void a_partial_copy_claims_no_history(void **state)
{
	struct fake *f = up(3);

	(void)state;
	fake_crash(f, 3);
	fake_settle(f);
	fake_start(f, 3);
	f->node[3].hold_store = true;
	claimed = 0;
	f->heard = listen;
	fake_settle(f);
	write_one(f, 1);
	fake_settle(f);
	assert_int_equal(f->node[3].toy.count, 1); /* and node 3 has acknowledged it */
	assert_true(f->node[3].disk.partial && f->node[3].disk.generation);
	assert_int_equal(claimed, 0);
	f->node[3].hold_store = false;
	fake_settle(f);
	assert_int_equal(claimed, f->node[1].disk.generation);
	assert_int_equal(f->proposal[0].status, PROPOSE_OK);
	fake_fini(f);
}

/* Fencing decides whose history goes on: no store names one before. */
static void no_store_names_what_fencing_may_end(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = up_as(2, version);
		uint64_t history = f->node[1].disk.history;

		(void)state;
		f->two_node = f->owner[2] = true;
		fake_partition(f, 1u << 2);
		fake_settle(f);
		write_one(f, 1);
		fake_settle(f);
		assert_int_equal(f->node[1].toy.count, 1);
		assert_int_equal(f->node[1].disk.history, history);
		fake_fenced(f, 2);
		fake_settle(f);
		assert_int_not_equal(f->node[1].disk.history, history);
		assert_int_equal(f->proposal[0].status, PROPOSE_OK);
		fake_fini(f);
	}
}

/* ---- a start from the stores ---- */

static void crash_all(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		fake_crash(f, i);
	for (uint32_t i = 1; i <= f->nodes; i++)
		fake_start(f, i);
}

static void each_start_from_the_stores_is_an_era(void **state)
{
	struct fake *f = up(3);
	uint64_t era = f->node[1].disk.era;

	(void)state;
	for (unsigned start = 1; start <= 2; start++) {
		crash_all(f);
		fake_settle(f);
		fake_kill(f, 3); /* memberships that follow are none */
		fake_start(f, 3);
		fake_settle(f);
		for (uint32_t i = 1; i <= 3; i++) {
			assert_true(fake_serving(f, i));
			assert_int_equal(f->node[i].disk.era, era + start);
		}
	}
	fake_fini(f);
}

/* What another store has and nobody has acknowledged does not come back after somebody has been served without it. */
static void a_start_is_stored_before_anybody_serves(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = up_as(2, version);
		uint64_t history = f->node[1].disk.history;

		(void)state;
		crash_all(f);
		f->node[1].hold_store = f->node[2].hold_store = true;
		fake_settle(f);
		for (uint32_t i = 1; i <= 2; i++) {
			assert_int_equal(f->node[i].toy.nmembers, 2); /* the VIEW is there */
			assert_false(fake_serving(f, i));
		}
		assert_non_null(strstr(replog_why(f->node[1].log), "storing the membership"));
		f->node[1].hold_store = false;
		fake_settle(f);
		assert_true(fake_serving(f, 1));
		assert_int_not_equal(f->node[1].disk.history, history);
		f->node[2].hold_store = false;
		fake_settle(f);
		assert_true(fake_serving(f, 2));
		fake_fini(f);
	}
}

/* Two nodes have exchanged their states and are parted before the first membership ever: either may make it on its
 * side. */
static void before_the_first_membership_every_lost_node_is_waited_for(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_begin(f, 2, REPLOG_VERSION);
	f->two_node = true;
	f->node[2].hold_effects = true; /* it has not said that it has the state */
	fake_settle(f);
	assert_int_equal(f->node[2].toy.restores, 1);
	assert_false(is_synced(f, 1, 2));
	fake_partition(f, 1u << 2);
	fake_settle(f);
	assert_int_equal(f->node[1].toy.nmembers, 1);
	assert_int_equal(replog_unfenced(f->node[1].log, NULL, 0), 1);
	assert_false(fake_serving(f, 1));
	fake_fenced(f, 2);
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_operation_of_one_without_the_state_is_none),
		cmocka_unit_test(an_operation_of_a_process_that_has_ended_is_none),
		cmocka_unit_test(who_has_left_takes_no_more_operations),
		cmocka_unit_test(a_copy_is_partial_until_a_view_has_named_its_node),
		cmocka_unit_test(a_copy_is_partial_until_what_came_before_is_carried_out),
		cmocka_unit_test(a_partial_copy_claims_no_history),
		cmocka_unit_test(no_store_names_what_fencing_may_end),
		cmocka_unit_test(each_start_from_the_stores_is_an_era),
		cmocka_unit_test(a_start_is_stored_before_anybody_serves),
		cmocka_unit_test(before_the_first_membership_every_lost_node_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
