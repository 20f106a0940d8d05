/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A member gives its state away when its store claims as much as the joiner's, which is replaced (cluster/replog_claim.c):
 * whichever of the two ends, and when, those who are there again go on. Topology: 2 to 4 members in one process over
 * tests/unit/cluster/fake_cpg.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

#define MOMENTS 160

static struct fake fake;

static bool takes_a_state(struct fake *f, uint32_t node)
{
	return strstr(replog_why(f->node[node].log), "takes the state of") != NULL;
}

/* Node 2 was lost, and an operation without it acknowledged; it joins again. */
static void joins_again(struct fake *f, uint32_t nodes)
{
	size_t a;

	fake_up(f, nodes, 0);
	f->two_node = true;
	fake_kill(f, 2);
	fake_settle(f);
	a = fake_propose(f, 1, (struct toy_op){ .cell = 2, .value = 99, .persist = 1 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_start(f, 2);
	for (uint32_t i = 1; i <= nodes; i++)
		f->owner[i] = true;
}

/* All that is carried out of a membership; an operation takes its time. */
static void members_carried_out(struct fake_node *n)
{
	for (unsigned i = 0; i < n->neffects;) {
		struct effects_run *run = n->effect[i].run;

		if (strcmp(run->effect[0].object, "members")) {
			i++;
			continue;
		}
		n->effect[i] = n->effect[--n->neffects];
		replog_effects_done(n->log, run, true);
	}
}

/* The VIEW that names both is stored by node 1, so node 2 counts, and its own store has not got so far: its disk is slow,
 * or an operation before it is not carried out. */
static struct fake *counted_in_memory(bool slow_disk)
{
	struct fake *f = &fake;

	joins_again(f, 2);
	f->node[2].hold_store = slow_disk;
	f->node[2].hold_runs = !slow_disk;
	while (!takes_a_state(f, 2))
		assert_true(fake_step(f));
	fake_propose_quick(f, 1, (struct toy_op){ .cell = 5, .value = 7 });
	fake_settle(f);
	members_carried_out(&f->node[2]);
	fake_settle(f);
	assert_true(f->node[2].disk.partial && !f->node[1].disk.partial);
	assert_int_equal(f->node[1].disk.nmembers, 2);
	assert_int_equal(fake_serving(f, 2), slow_disk);
	return f;
}

static void step(struct fake *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fake_step(f);
}

static void all_go_on(struct fake *f)
{
	fake_settle(f);
	for (uint32_t i = 1; i <= f->nodes; i++) {
		assert_true(fake_serving(f, i));
		assert_int_equal(f->node[i].toy.cell[2], 99);
		assert_false(f->node[i].disk.partial);
	}
}

/* Node 1 is lost and comes back. Node 2 is the one that has the state, and its store comes first. */
static void a_slow_disk_keeps_its_state(void **state)
{
	unsigned full = 0;

	(void)state;
	for (unsigned moment = 0; moment < MOMENTS; moment++) {
		struct fake *f = counted_in_memory(true);

		fake_crash(f, 1);
		fake_settle(f);
		fake_fenced(f, 1);
		fake_start(f, 1);
		fake_settle(f);
		assert_true(takes_a_state(f, 1));
		assert_true(f->node[2].disk.partial && !f->node[1].disk.partial);
		f->node[2].hold_store = false;
		step(f, moment);
		full += !f->node[2].disk.partial;
		fake_kill(f, 2);
		fake_settle(f);
		fake_start(f, 2);
		all_go_on(f);
		fake_fini(f);
	}
	assert_true(full > 0 && full < MOMENTS);
}

/* And when it has stored the membership, the exchange goes on by itself. */
static void who_waits_for_a_disk_gets_its_state(void **state)
{
	struct fake *f = counted_in_memory(true);

	(void)state;
	fake_crash(f, 1);
	fake_settle(f);
	fake_fenced(f, 1);
	fake_start(f, 1);
	fake_settle(f);
	assert_false(fake_serving(f, 1));
	f->node[2].hold_store = false;
	all_go_on(f);
	fake_fini(f);
}

/* Both are quorate and have served while parted, and nobody is fenced: neither may name what it has made alone. Node 2,
 * whose membership is the one that is confirmed when it heals, claims what node 1's store has had before. */
static void who_may_not_name_its_own_names_its_sources(void **state)
{
	(void)state;
	for (unsigned moment = 0; moment < MOMENTS; moment++) {
		struct fake *f = counted_in_memory(false);
		uint64_t generation = f->node[1].disk.generation;

		f->two_node = false;
		fake_device(f, 1);
		fake_partition(f, 1u << 2);
		f->node[2].hold_runs = false;
		fake_settle(f);
		assert_true(fake_serving(f, 2));
		assert_true(!f->node[2].disk.partial && f->node[2].disk.generation < generation);
		fake_heal(f);
		step(f, moment);
		fake_kill(f, 2);
		fake_settle(f);
		fake_start(f, 2);
		all_go_on(f);
		fake_fini(f);
	}
}

/* Parted, {1, 2} | {3, 4}, and healed: node 2 has a state that its store does not claim, and gives way to those who have
 * done more. They end before it has theirs, and are back from their stores. Its own, of the latest membership, goes on. */
static void who_goes_on_from_memory_claims_it_first(void **state)
{
	unsigned given = 0;

	(void)state;
	for (unsigned moment = 0; moment < 2 * MOMENTS; moment++) {
		struct fake *f = &fake;

		joins_again(f, 4);
		f->node[3].hold_store = true; /* so node 2 is not counted */
		fake_settle(f);
		fake_partition(f, 1u << 3 | 1u << 4);
		fake_settle(f);
		fake_propose_quick(f, 3, (struct toy_op){ .cell = 5, .value = 7 });
		fake_settle(f);
		fake_heal(f);
		while (!takes_a_state(f, 2))
			assert_true(fake_step(f));
		for (uint32_t i = 1; i <= 4; i++)
			if (i != 2)
				fake_crash(f, i);
		fake_settle(f);
		for (uint32_t i = 1; i <= 4; i++)
			if (i != 2)
				fake_fenced(f, i);
		assert_true(f->node[2].disk.partial);
		for (uint32_t i = 1; i <= 4; i++)
			if (i != 2)
				fake_start(f, i);
		step(f, moment);
		given += f->node[1].disk.partial;
		fake_kill(f, 2);
		fake_settle(f);
		fake_start(f, 2);
		all_go_on(f);
		fake_fini(f);
	}
	assert_true(given > 0);
}

static void gives_when_it_has_stored(struct fake *f, bool *slow)
{
	uint64_t newest = f->node[3].disk.generation;

	fake_settle(f);
	assert_true(takes_a_state(f, 3) && !f->node[3].disk.partial);
	assert_true(f->node[1].disk.generation < newest);
	*slow = false;
	while (fake_step(f))
		assert_true(!f->node[3].disk.partial || f->node[1].disk.generation >= newest);
	assert_true(fake_serving(f, 1) && fake_serving(f, 3));
	fake_fini(f);
}

/* Node 3 has stored what node 1, who gives it its state, is about to: that began before node 3 was parted, and is not
 * known to be off … */
static void who_is_storing_a_name_is_waited_for(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_up(f, 3, 0);
	f->two_node = true;
	f->node[1].hold_store = true;
	fake_kill(f, 2);
	fake_settle(f);
	f->owner[1] = f->owner[3] = true;
	fake_partition(f, 1u << 3);
	fake_settle(f);
	fake_heal(f);
	gives_when_it_has_stored(f, &f->node[1].hold_store);
}

/* … or waits for the others of its side, who have not carried the membership out. */
static void who_will_store_a_name_is_waited_for(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_up(f, 4, 0);
	f->two_node = true;
	f->node[1].hold_store = true;
	fake_kill(f, 4);
	fake_settle(f);
	fake_start(f, 4);
	fake_settle(f);
	f->owner[1] = f->node[2].hold_effects = true;
	fake_partition(f, 1u << 3);
	fake_settle(f);
	f->node[1].hold_store = false;
	fake_settle(f);
	fake_heal(f);
	gives_when_it_has_stored(f, &f->node[2].hold_effects);
}

/* Node 1 has stored a membership that node 3 cannot name before node 1 is known to be off, or has node 3's state. */
static void a_name_that_waits_for_the_joiner_is_not_waited_for(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_up(f, 4, 0);
	f->two_node = f->owner[1] = f->owner[2] = f->owner[3] = true;
	fake_kill(f, 2);
	fake_settle(f);
	f->node[3].hold_store = true;
	fake_kill(f, 4);
	fake_settle(f);
	fake_start(f, 2);
	fake_settle(f);
	fake_partition(f, 1u << 1);
	f->node[3].hold_store = false;
	fake_settle(f);
	assert_true(f->node[3].disk.generation < f->node[1].disk.generation);
	assert_false(f->node[3].disk.partial);
	fake_heal(f);
	while (!takes_a_state(f, 1))
		assert_true(fake_step(f));
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++)
		assert_true(fake_serving(f, i));
	fake_fini(f);
}

/* Its number is of a line that the operator has given up: a VIEW with that is not to come, as the joiner is waited for. */
static void a_higher_number_of_another_line_is_not_waited_for(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_up(f, 2, 0);
	f->two_node = true;
	fake_settle(f);
	fake_crash(f, 2);
	fake_fenced(f, 2);
	fake_settle(f);
	assert_true(fake_serving(f, 1));
	f->node[2].disk.generation += 10;
	fake_start(f, 2);
	fake_settle(f);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_disk_keeps_its_state),
		cmocka_unit_test(who_waits_for_a_disk_gets_its_state),
		cmocka_unit_test(who_may_not_name_its_own_names_its_sources),
		cmocka_unit_test(who_goes_on_from_memory_claims_it_first),
		cmocka_unit_test(who_is_storing_a_name_is_waited_for),
		cmocka_unit_test(who_will_store_a_name_is_waited_for),
		cmocka_unit_test(a_name_that_waits_for_the_joiner_is_not_waited_for),
		cmocka_unit_test(a_higher_number_of_another_line_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
