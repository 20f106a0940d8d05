/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an operation asks for on each node, in which order that counts as carried out, and what becomes of it when the
 * node fails to do it or gets another state meanwhile. Topology: 2 or 3 members in one process over
 * tests/unit/cluster/fake_cpg.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static size_t write_cell(struct fake *f, uint32_t node, uint32_t cell)
{
	return fake_propose(f, node, (struct toy_op){ .cell = cell, .value = 5 });
}

static size_t ask(struct fake *f, uint32_t node)
{
	return fake_propose(f, node, (struct toy_op){ .asks = 1 });
}

/* The node has carried out the i-th of what it was handed and has not answered. */
static void carry_out(struct fake *f, uint32_t node, unsigned i, bool ok)
{
	struct fake_node *n = &f->node[node];
	struct effects_run *run;

	assert_true(i < n->neffects);
	run = n->effect[i].run;
	n->neffects--;
	memmove(&n->effect[i], &n->effect[i + 1], (n->neffects - i) * sizeof(n->effect[0]));
	replog_effects_done(n->log, run, ok);
	fake_settle(f);
}

/* ---- what is handed over ---- */

static void a_run_says_where_it_is_from(void **state)
{
	struct fake *f = up(2);
	const struct effects_run *run;

	(void)state;
	f->node[1].hold_effects = true;
	write_cell(f, 2, 3);
	fake_settle(f);
	assert_int_equal(f->node[1].neffects, 1);
	run = f->node[1].effect[0].run;
	assert_int_equal(run->position, replog_position(f->node[1].log));
	assert_int_equal(run->origin, 2);
	assert_int_equal(run->service->ops->id, TOY_ID);
	assert_int_equal(run->n, 1);
	assert_string_equal(run->effect[0].object, "cell3");
	fake_fini(f);
}

static void nothing_to_do_is_not_handed_over(void **state)
{
	struct fake *f = up(2);
	size_t a;

	(void)state;
	f->node[1].hold_effects = f->node[2].hold_effects = true;
	a = ask(f, 1);
	fake_settle(f);
	assert_int_equal(f->node[1].neffects + f->node[2].neffects, 0);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* ---- the order that counts ---- */

/* P2: whom the first of two operations on an object shuts out, the second has found shut out already. */
static void the_later_operation_on_an_object_is_not_done_before_the_earlier(void **state)
{
	for (uint32_t slow = 1; slow <= 2; slow++) { /* also where it was proposed */
		struct fake *f = up(2);
		size_t a, b, other;

		(void)state;
		f->node[slow].hold_effects = true;
		a = write_cell(f, 1, 3);
		b = write_cell(f, 1, 3);
		other = write_cell(f, 1, 4);
		fake_settle(f);
		carry_out(f, slow, 1, true);
		carry_out(f, slow, 1, true);
		assert_true(f->proposal[other].finished); /* P8 */
		assert_false(f->proposal[a].finished || f->proposal[b].finished);
		carry_out(f, slow, 0, true);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		assert_int_equal(f->proposal[b].status, PROPOSE_OK);
		fake_fini(f);
	}
}

/* One without effects does not say whom it found as it wanted it. */
static void what_only_finds_comes_after_all(void **state)
{
	struct fake *f = up(2);
	size_t before, a;

	(void)state;
	before = ask(f, 1);
	fake_settle(f);
	assert_int_equal(f->proposal[before].status, PROPOSE_OK);
	f->node[2].hold_effects = true;
	write_cell(f, 1, 3);
	a = ask(f, 1);
	fake_settle(f);
	assert_false(f->proposal[a].finished);
	carry_out(f, 2, 0, true);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	fake_fini(f);
}

/* What an acknowledgement can tell is bounded: behind so many that are open everything waits, and nothing is lost. */
static void behind_many_open_ones_everything_waits(void **state)
{
	enum { OPEN = 64 };
	struct fake *f = up(2);
	size_t near, far;

	(void)state;
	f->node[2].hold_effects = true;
	for (unsigned i = 0; i < OPEN - 1; i++)
		write_cell(f, 1, 3);
	near = write_cell(f, 1, 4);
	write_cell(f, 1, 3);
	write_cell(f, 1, 3);
	far = write_cell(f, 1, 5);
	fake_settle(f);
	carry_out(f, 2, OPEN - 1, true);
	carry_out(f, 2, OPEN + 1, true);
	assert_true(f->proposal[near].finished);
	assert_false(f->proposal[far].finished);
	carry_out(f, 2, 0, true);
	assert_int_equal(f->proposal[far].status, PROPOSE_OK);
	f->node[2].hold_effects = false;
	fake_settle(f);
	for (size_t i = 0; i < f->nproposals; i++)
		assert_int_equal(f->proposal[i].status, PROPOSE_OK);
	fake_fini(f);
}

/* ---- what can't be done ---- */

/* P1: it is not acknowledged, and who could not do it does not go on as if. */
static void a_member_that_can_not_carry_out_fails(void **state)
{
	struct fake *f = up(2);
	size_t a;

	(void)state;
	f->node[2].hold_effects = true;
	a = write_cell(f, 1, 3);
	fake_settle(f);
	carry_out(f, 2, 0, false);
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_FAILED);
	assert_non_null(strstr(replog_why(f->node[2].log), "(toy) could not be carried out"));
	assert_true(fake_serving(f, 1));
	assert_false(f->proposal[a].finished);
	fake_fini(f);
}

/* P3: others have applied it. */
static void a_member_without_memory_to_apply_fails(void **state)
{
	struct fake *f = up(2);
	size_t a;

	(void)state;
	f->node[2].toy.no_memory = true;
	a = write_cell(f, 1, 3);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[2].log), CLUSTER_FAILED);
	assert_non_null(strstr(replog_why(f->node[2].log), "out of memory"));
	assert_false(f->proposal[a].finished);
	fake_fini(f);
}

/* ---- another state ---- */

/* P2: commands that node 3 had admitted before it was parted may still be at its medium when it has the new state. */
static void a_joiner_waits_for_what_the_former_state_had_asked_for(void **state)
{
	struct fake *f = up(3);
	struct replog_member_info m[3];

	(void)state;
	f->node[3].hold_runs = true;
	write_cell(f, 1, 3);
	fake_settle(f);
	fake_partition(f, 1u << 3);
	fake_settle(f);
	fake_heal(f);
	fake_settle(f);
	assert_int_equal(f->node[3].toy.restores, 2); /* and the first start */
	assert_int_equal(replog_members(f->node[1].log, m, 3), 3);
	assert_false(m[2].synced);
	f->node[3].hold_runs = false;
	fake_settle(f);
	assert_true(fake_serving(f, 3));
	assert_int_equal(write_cell(f, 3, 3), 1);
	fake_settle(f);
	assert_int_equal(f->proposal[1].status, PROPOSE_OK);
	fake_fini(f);
}

/* ---- what the services want kept ---- */

static char kept[256];

static void note_kept(void *arg, const struct service *s, const char *object)
{
	(void)arg;
	snprintf(kept + strlen(kept), sizeof(kept) - strlen(kept), "%s/%s ", s->ops->name, object);
}

static const char *kept_by(struct fake *f, uint32_t node)
{
	kept[0] = 0;
	replog_each_durable(f->node[node].log, note_kept, NULL);
	return kept;
}

/* In order of service and name, whatever order they came in: a snapshot has the same bytes whoever cuts it. */
static void what_is_kept_is_the_same_on_all(void **state)
{
	static const char want[] = "toy/cell1 toy/cell2 toy/cell3 quick/cell2 quick/cell4 newer/cell1 ";
	static const uint32_t cell[] = { 3, 1, 2, 3, 2 };
	struct fake *f = up(3);

	(void)state;
	fake_propose_newer(f, 1, (struct toy_op){ .cell = 1, .value = 5, .persist = 1 });
	fake_settle(f);
	for (size_t i = 0; i < sizeof(cell) / sizeof(cell[0]); i++) {
		fake_propose(f, 1, (struct toy_op){ .cell = cell[i], .value = 5, .persist = 1 });
		fake_settle(f);
		fake_propose_quick(f, 1, (struct toy_op){ .cell = i < 2 ? 4 : 2, .value = 5, .persist = 1 });
		write_cell(f, 1, 9); /* nobody wants to keep it */
		fake_settle(f);
	}
	fake_kill(f, 3);
	f->node[3].disk_has[8] = true; /* as its services wanted it when they had another state */
	fake_settle(f);
	fake_start(f, 3);
	assert_non_null(strstr(kept_by(f, 3), "toy/cell8"));
	fake_settle(f);
	for (uint32_t i = 1; i <= 3; i++)
		assert_string_equal(kept_by(f, i), want);
	assert_false(f->node[3].disk_has[8]);
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_says_where_it_is_from),
		cmocka_unit_test(nothing_to_do_is_not_handed_over),
		cmocka_unit_test(the_later_operation_on_an_object_is_not_done_before_the_earlier),
		cmocka_unit_test(what_only_finds_comes_after_all),
		cmocka_unit_test(behind_many_open_ones_everything_waits),
		cmocka_unit_test(a_member_that_can_not_carry_out_fails),
		cmocka_unit_test(a_member_without_memory_to_apply_fails),
		cmocka_unit_test(a_joiner_waits_for_what_the_former_state_had_asked_for),
		cmocka_unit_test(what_is_kept_is_the_same_on_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
