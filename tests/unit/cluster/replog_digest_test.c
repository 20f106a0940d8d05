/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exchange of digests: whose state is right, and which digests are compared. Topology: 2 or 3 members in one process
 * over tests/unit/cluster/fake_cpg.c. Promise: P3 one log, one state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

#define PERIOD 20000000000ull

static struct fake fake;
static unsigned checks, digests;

static void listen(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	(void)f, (void)from;
	checks += message_type(msg, len) == MSG_CHECK;
	digests += message_type(msg, len) == MSG_DIGEST;
}

static struct fake *up(uint32_t nodes)
{
	struct fake *f = &fake;

	fake_up(f, nodes, REPLOG_VERSION);
	f->two_node = true;
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	checks = digests = 0;
	f->heard = listen;
	return f;
}

/* Also that whoever is right keeps its state, and serves all the time. */
static void expect_healed(struct fake *f, uint32_t wrong, uint64_t cell9)
{
	for (uint32_t i = 1; i <= f->nodes; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[0], 1);
		assert_int_equal(f->node[i].toy.cell[9], cell9);
	}
	assert_true(f->node[wrong].toy.restores > 0);
	fake_check_equal(f);
}

static void an_idle_log_is_compared_once(void **state)
{
	struct fake *f = up(3);
	uint64_t branch = replog_branch(f->node[1].log);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		fake_pass(f, PERIOD);
	assert_int_equal(checks, 1);
	assert_int_equal(digests, 3);
	assert_int_equal(replog_branch(f->node[1].log), branch); /* nothing comes of it where all are equal */
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	fake_pass(f, PERIOD);
	assert_int_equal(checks, 2);
	assert_int_equal(digests, 6);
	fake_propose(f, 1, (struct toy_op){ .cell = 0, .value = 1 });
	fake_settle(f);
	fake_pass(f, 1); /* nor is a busy one more often than once in a period */
	assert_int_equal(checks, 2);
	fake_fini(f);
}

/* Two members have no majority: then the longest-standing one is right, whichever of them was damaged. */
static void without_a_majority_the_longest_standing_is_right(void **state)
{
	for (uint32_t damaged = 1; damaged <= 2; damaged++) {
		for (uint32_t younger = 1; younger <= 2; younger++) {
			struct fake *f = up(2);

			(void)state;
			fake_kill(f, younger);
			fake_settle(f);
			fake_start(f, younger);
			fake_settle(f);
			f->node[younger].toy.restores = 0;
			f->node[damaged].toy.cell[9] = 0xbad;
			fake_pass(f, PERIOD);
			expect_healed(f, younger, damaged == younger ? 0 : 0xbad);
			fake_fini(f);
		}
	}
}

static void two_of_three_are_right(void **state)
{
	for (uint32_t damaged = 1; damaged <= 3; damaged++) {
		struct fake *f = up(3);

		(void)state;
		f->node[damaged].toy.restores = 0;
		f->node[damaged].toy.cell[9] = 0xbad;
		fake_pass(f, PERIOD);
		expect_healed(f, damaged, 0);
		fake_fini(f);
	}
}

/* P2: what it owned it may still be writing to by the wrong state; the state that it gets tells it of that. */
static void who_differs_is_waited_for_until_it_is_back(void **state)
{
	struct fake *f = up(3);

	(void)state;
	f->owner[3] = true;
	f->node[3].toy.cell[9] = 0xbad;
	f->now += PERIOD;
	replog_timer(f->node[1].log, f->now);
	while (!replog_unfenced(f->node[1].log, NULL, 0))
		assert_true(fake_step(f));
	fake_settle(f);
	assert_int_equal(replog_unfenced(f->node[1].log, NULL, 0), 0);
	expect_healed(f, 3, 0);
	fake_fini(f);
}

/* The places of two streams have nothing to do with each other. */
static void a_check_of_another_branch_is_none(void **state)
{
	struct fake *f = up(3);
	struct message m = { .type = MSG_CHECK, .check = replog_branch(f->node[1].log) + 1 };

	(void)state;
	fake_say(f, 1, &m);
	fake_settle(f);
	assert_int_equal(digests, 0);
	m.check--;
	fake_say(f, 1, &m);
	fake_settle(f);
	assert_int_equal(digests, 3);
	fake_fini(f);
}

/* Two says a digest that is not what was asked for, and then its own; nobody is thrown out for it. */
static void a_digest_of_another_place_is_none(void **state)
{
	struct fake *f = up(3);
	struct message m = { .type = MSG_DIGEST };

	(void)state;
	m.digest.position = replog_position(f->node[1].log) - 1;
	fake_say(f, 2, &m); /* nobody has asked */
	f->node[2].paused = true;
	fake_pass(f, PERIOD);
	assert_int_equal(digests, 1 + 2);
	fake_say(f, 2, &m);
	fake_settle(f);
	f->node[2].paused = false;
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.restores, i > 1); /* of the first start */
	}
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_log_is_compared_once),
		cmocka_unit_test(without_a_majority_the_longest_standing_is_right),
		cmocka_unit_test(two_of_three_are_right),
		cmocka_unit_test(who_differs_is_waited_for_until_it_is_back),
		cmocka_unit_test(a_check_of_another_branch_is_none),
		cmocka_unit_test(a_digest_of_another_place_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
