/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quorum was lost and is had again: who asks for whom (replog_lapse.c), case by case with whole members. Topology: 2 to
 * 4 members in one process over tests/unit/cluster/fake_cpg.c.
 */
#include <errno.h>
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

/* Node 2 is parted. It is said to be off, which it is not, and so node 1 acknowledges without it; then the quorum
 * device gives its vote to node 2. */
static struct fake *vote_moves(size_t *a)
{
	struct fake *f = up(2);

	f->owner[1] = f->owner[2] = true;
	fake_device(f, 0);
	fake_partition(f, 1u << 2);
	fake_settle(f);
	assert_true(fake_serving(f, 1)); /* it has had quorum all the time */
	assert_false(fake_serving(f, 2));
	replog_fencing_confirmed(f->node[1].log, 2);
	*a = fake_propose(f, 1, (struct toy_op){ .cell = 2, .value = 99, .persist = 1 });
	fake_settle(f);
	assert_int_equal(f->proposal[*a].status, PROPOSE_OK);
	fake_device(f, 1);
	fake_settle(f);
	assert_false(fake_serving(f, 1) || fake_serving(f, 2));
	assert_non_null(strstr(replog_why(f->node[2].log), "waiting for node 1,"));
	assert_non_null(strstr(replog_why(f->node[2].log), "resolve --keep n2"));
	return f;
}

static void who_lost_quorum_asks_for_the_others(void **state)
{
	size_t a;
	struct fake *f = vote_moves(&a);

	(void)state;
	fake_crash(f, 1); /* as far as node 2 knows it is parted still */
	fake_settle(f);
	assert_false(fake_serving(f, 2));
	fake_heal(f);
	fake_device(f, 0);
	fake_start(f, 1);
	fake_settle(f);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[2], 99);
	}
	fake_fini(f);
}

static void who_lost_quorum_asks_them_alive(void **state)
{
	size_t a;
	struct fake *f = vote_moves(&a);

	(void)state;
	fake_heal(f);
	fake_device(f, 0);
	fake_settle(f);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[2], 99);
	}
	fake_fini(f);
}

/* That the other is off is enough: what it has acknowledged was acknowledged because this one was known to be. */
static void who_lost_quorum_goes_on_when_the_others_are_off(void **state)
{
	struct fake *f = up(2);

	(void)state;
	f->owner[1] = f->owner[2] = true;
	fake_device(f, 0);
	fake_partition(f, 1u << 2);
	fake_settle(f);
	fake_device(f, 1);
	fake_settle(f);
	fake_crash(f, 1);
	fake_settle(f);
	assert_false(fake_serving(f, 2));
	fake_fenced(f, 1);
	fake_settle(f);
	assert_true(fake_serving(f, 2));
	fake_fini(f);
}

/* Nor does it go on with a membership that it made itself before it lost quorum. */
static void a_membership_of_ones_own_does_not_outlive_quorum(void **state)
{
	struct fake *f = up(2);

	(void)state;
	f->owner[1] = f->owner[2] = true;
	fake_device(f, 0);
	fake_partition(f, 1u << 2);
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	fake_device(f, 1);
	fake_settle(f);
	fake_device(f, 0);
	fake_settle(f);
	assert_false(fake_serving(f, 1) || fake_serving(f, 2));
	assert_non_null(strstr(replog_why(f->node[1].log), "waiting for node 2,"));
	fake_fini(f);
}

/* Quorum that comes and goes while all are here, or after somebody's orderly end, is nobody's chance. */
static void who_is_here_need_not_be_asked_for(void **state)
{
	struct fake *f = up(3);

	(void)state;
	f->owner[1] = f->owner[2] = f->owner[3] = true;
	replog_goodbye(f->node[3].log);
	fake_settle(f);
	fake_leave(f, 3);
	fake_settle(f);
	for (uint32_t i = 1; i <= 2; i++)
		replog_quorum(f->node[i].log, false);
	assert_false(fake_serving(f, 1) || fake_serving(f, 2));
	for (uint32_t i = 1; i <= 2; i++)
		replog_quorum(f->node[i].log, true);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	fake_fini(f);
}

/* The leader was too slow to hear that quorum was lost: another of its side says so. */
static void who_is_slow_is_told_that_quorum_was_lost(void **state)
{
	for (unsigned slow = 0; slow < 2; slow++) {
		struct fake *f = up(4);
		bool *is_slow = slow ? &f->node[1].paused : &f->node[1].hold_quorum;

		(void)state;
		for (uint32_t i = 1; i <= 4; i++)
			f->owner[i] = true;
		fake_device(f, 0);
		fake_settle(f);
		fake_partition(f, 1u << 1 | 1u << 3);
		*is_slow = true;
		fake_settle(f);
		assert_true(fake_serving(f, 2) && fake_serving(f, 4));
		fake_device(f, 1);
		*is_slow = false;
		fake_settle(f);
		assert_false(fake_serving(f, 1) || fake_serving(f, 3));
		assert_non_null(strstr(replog_why(f->node[1].log), "waiting for node "));
		fake_fenced(f, 2);
		fake_fenced(f, 4);
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 3));
		fake_fini(f);
	}
}

/* Nodes 1 and 3 are parted and have no quorum; node 3 sees that. Then they have it again, and that is all that node 1,
 * the leader, hears of it. */
static struct fake *slow_leader(uint32_t version, unsigned schedule)
{
	struct fake *f = &fake;

	fake_up(f, 4, version);
	for (uint32_t i = 1; i <= 4; i++)
		f->owner[i] = true;
	fake_device(f, 0);
	fake_settle(f);
	f->rng += schedule;
	f->node[1].hold_quorum = true;
	fake_partition(f, 1u << 1 | 1u << 3);
	while (!strstr(replog_why(f->node[3].log), "no quorum"))
		assert_true(fake_step(f));
	fake_device(f, 1);
	f->node[1].hold_quorum = false;
	return f;
}

/* The VIEW of one that is slow may come before that is said. Those who know better are not told by it that nobody has
 * gone on. */
static void the_word_of_who_is_slow_ends_no_lapse(void **state)
{
	unsigned came_before = 0;

	(void)state;
	for (unsigned schedule = 0; schedule < 100; schedule++) {
		struct fake *f = slow_leader(REPLOG_VERSION, schedule);

		while (fake_step(f)) {
			came_before += fake_serving(f, 1);
			assert_false(fake_serving(f, 3));
		}
		assert_false(fake_serving(f, 1));
		fake_fenced(f, 2);
		fake_fenced(f, 4);
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 3));
		fake_fini(f);
	}
	assert_true(came_before > 0);
}

/* Version 2 has no LAPSE: who has seen the loss waits, and not for ever. */
static void who_can_not_say_so_waits(void **state)
{
	(void)state;
	for (unsigned asked = 0; asked < 2; asked++) {
		struct fake *f = slow_leader(2, 0);

		fake_settle(f);
		assert_false(fake_serving(f, 3));
		assert_non_null(strstr(replog_why(f->node[3].log), "resolve --keep n3"));
		if (asked) {
			assert_int_equal(replog_keep_own(f->node[3].log), 0);
		} else {
			fake_fenced(f, 2);
			fake_fenced(f, 4);
		}
		fake_settle(f);
		assert_true(fake_serving(f, 1) && fake_serving(f, 3));
		fake_fini(f);
	}
}

/* The operator's word counts on whichever of those who wait it is given. */
static void the_operator_goes_on_after_quorum_was_lost(void **state)
{
	for (uint32_t on = 2; on <= 3; on++) {
		struct fake *f = up(4);

		(void)state;
		for (uint32_t i = 1; i <= 4; i++)
			f->owner[i] = true;
		fake_device(f, 0);
		fake_partition(f, 1u << 2 | 1u << 3);
		fake_settle(f);
		fake_device(f, 1);
		fake_settle(f);
		assert_false(fake_serving(f, 2) || fake_serving(f, 3));
		assert_int_equal(replog_keep_own(f->node[on].log), 0);
		fake_settle(f);
		assert_true(fake_serving(f, 2) && fake_serving(f, 3));
		assert_int_equal(replog_keep_own(f->node[on].log), -EINVAL);
		fake_fini(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_lost_quorum_asks_for_the_others),
		cmocka_unit_test(who_lost_quorum_asks_them_alive),
		cmocka_unit_test(who_lost_quorum_goes_on_when_the_others_are_off),
		cmocka_unit_test(a_membership_of_ones_own_does_not_outlive_quorum),
		cmocka_unit_test(who_is_here_need_not_be_asked_for),
		cmocka_unit_test(who_is_slow_is_told_that_quorum_was_lost),
		cmocka_unit_test(the_word_of_who_is_slow_ends_no_lapse),
		cmocka_unit_test(who_can_not_say_so_waits),
		cmocka_unit_test(the_operator_goes_on_after_quorum_was_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
