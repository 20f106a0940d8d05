/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing is done twice (P6): the table of what became of each slot's latest command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/link_dup.h"

static const struct link_answer good = { .outcome = LINK_DONE, .status = STATUS_GOOD };
static const struct link_answer conflict = { .outcome = LINK_DONE, .status = STATUS_RESERVATION_CONFLICT };
static const struct link_answer turned_away = { .outcome = LINK_TURNED_AWAY };

static int setup(void **state)
{
	*state = link_dup_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	link_dup_free(*state);
	return 0;
}

static void executed_once(void **state)
{
	struct link_dup *d = *state;
	uint64_t id = link_id(1, 3);

	assert_int_equal(link_dup_begin(d, id), DUP_NEW);
	assert_int_equal(link_dup_begin(d, id), DUP_RUNNING);
	link_dup_done(d, id, &conflict);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(link_dup_begin(d, id), DUP_KNOWN);
		assert_int_equal(link_dup_answer(d, id)->status, STATUS_RESERVATION_CONFLICT);
	}
}

static void the_next_one_in_the_slot(void **state)
{
	struct link_dup *d = *state;

	assert_int_equal(link_dup_begin(d, link_id(1, 0)), DUP_NEW);
	/* the origin can't have the answer to 1 yet, so it can't use the slot for 2 */
	assert_int_equal(link_dup_begin(d, link_id(2, 0)), DUP_REFUSED);
	link_dup_done(d, link_id(1, 0), &good);
	assert_int_equal(link_dup_begin(d, link_id(2, 0)), DUP_NEW);
	link_dup_done(d, link_id(2, 0), &good);
	assert_int_equal(link_dup_begin(d, link_id(1, 0)), DUP_REFUSED);
	assert_int_equal(link_dup_begin(d, link_id(7, 0)), DUP_NEW); /* slots are used for reads, too: gaps */
}

static void turned_away_may_be_tried_again(void **state)
{
	struct link_dup *d = *state;
	uint64_t id = link_id(5, 9);

	assert_int_equal(link_dup_begin(d, id), DUP_NEW);
	link_dup_done(d, id, &turned_away);
	assert_int_equal(link_dup_begin(d, id), DUP_NEW);
	link_dup_done(d, id, &good);
	assert_int_equal(link_dup_begin(d, id), DUP_KNOWN);
}

static void cancelled_is_never_executed(void **state)
{
	struct link_dup *d = *state;

	assert_int_equal(link_dup_cancel(d, link_id(4, 1)), DUP_KNOWN);
	assert_int_equal(link_dup_answer(d, link_id(4, 1))->outcome, LINK_NOT_EXECUTED);
	assert_int_equal(link_dup_begin(d, link_id(4, 1)), DUP_KNOWN);
	assert_int_equal(link_dup_begin(d, link_id(5, 1)), DUP_NEW);
	assert_int_equal(link_dup_cancel(d, link_id(5, 1)), DUP_RUNNING);
	link_dup_done(d, link_id(5, 1), &good);
	assert_int_equal(link_dup_cancel(d, link_id(5, 1)), DUP_KNOWN);
	assert_int_equal(link_dup_answer(d, link_id(5, 1))->outcome, LINK_DONE);
}

static void out_of_bounds(void **state)
{
	struct link_dup *d = *state;

	assert_int_equal(link_dup_begin(d, link_id(1, LINK_SLOTS)), DUP_REFUSED);
	assert_int_equal(link_dup_begin(d, link_id(1, UINT16_MAX)), DUP_REFUSED);
	assert_int_equal(link_dup_begin(d, link_id(0, 0)), DUP_REFUSED);
	assert_int_equal(link_dup_cancel(d, link_id(1, LINK_SLOTS)), DUP_REFUSED);
	assert_int_equal(link_dup_begin(d, link_id(1, LINK_SLOTS - 1)), DUP_NEW);
}

/* An origin that loses its connection at random, against a count of executions. */
static void random_losses(void **state)
{
	struct link_dup *d = *state;
	unsigned executions = 0, commands = 20000;

	srandom(4711);
	for (unsigned n = 1; n <= commands; n++) {
		uint64_t id = link_id(n, n % 7);
		bool answered = false, running = false;

		while (!answered) {
			switch (link_dup_begin(d, id)) {
			case DUP_NEW:
				running = true;
				break;
			case DUP_RUNNING:
				assert_true(running);
				break;
			case DUP_KNOWN:
				answered = true;
				break;
			case DUP_REFUSED:
				fail();
			}
			if (running && random() % 2) {
				running = false;
				executions++;
				link_dup_done(d, id, &good);
				answered = random() % 3; /* else the answer is lost, too */
			}
		}
	}
	assert_int_equal(executions, commands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(executed_once, setup, teardown),
		cmocka_unit_test_setup_teardown(the_next_one_in_the_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(turned_away_may_be_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_is_never_executed, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(random_losses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
