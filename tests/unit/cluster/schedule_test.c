/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seeded random schedules over tests/unit/cluster/fake_cpg.c: proposals from every member while nodes crash, processes die,
 * partitions come and go, and late answers of effects, stores and quorum come in any order.
 *
 *   SEED=n schedule_test      replays one schedule of each kind with a trace
 *   SEEDS=n schedule_test     that many of each kind
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

#define SEEDS_DEFAULT 400
#define ACTIONS 60

struct kind {
	const char *name;
	uint32_t nodes;
	bool two_node;
	bool power;	/* losses of power on all nodes at once: what is durable must survive, whatever was under way */
	bool any_fault; /* also faults that take the memory of all: only what is durable must survive */
};

static unsigned not_serving(struct fake *f)
{
	unsigned n = 0;

	for (uint32_t i = 1; i <= f->nodes; i++)
		n += !fake_serving(f, i);
	return n;
}

static bool may_fault(struct fake *f, const struct kind *k)
{
	return k->any_fault || (not_serving(f) + 1) * 2 <= f->nodes;
}

static void propose_somewhere(struct fake *f)
{
	uint32_t node = 1 + fake_random(f) % f->nodes;
	struct toy_op op = { .value = f->nproposals + 1, .persist = fake_random(f) % 2 };

	if (!f->node[node].running || f->nproposals == TOY_CELLS)
		return;
	op.cell = f->nproposals; /* its own: whether it is there can be seen for ever */
	fake_propose(f, node, op);
}

/* Pacemaker: a node that is lost is fenced, and only then passed over. */
static void fence(struct fake *f, uint32_t node)
{
	if (f->node[node].running)
		fake_crash(f, node);
	fake_fenced(f, node);
}

static void start_down(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (!f->node[i].running && !f->partitions)
			fake_start(f, i);
}

static void steps(struct fake *f, unsigned n)
{
	while (n-- && !f->broken)
		if (!fake_step(f))
			return;
}

/* A partition ends as it does with fencing: the side without quorum, or in a two-node cluster one of the two, may be
 * shot, or anybody a little later, whoever has given way to whom. */
static void end_partition(struct fake *f, const struct kind *k)
{
	uint32_t node = 1 + fake_random(f) % f->nodes;

	if (k->two_node || fake_random(f) % 2) {
		if (!k->two_node)
			for (node = 1; node < f->nodes && !f->node[node].partition; node++)
				;
		fence(f, node);
		steps(f, fake_random(f) % 100);
	}
	fake_heal(f);
	if (may_fault(f, k) && fake_random(f) % 3 == 0) {
		steps(f, fake_random(f) % 60);
		fence(f, 1 + fake_random(f) % f->nodes);
	}
}

static void power_loss(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running)
			fake_crash(f, i);
	fake_heal(f);
}

/* Operations go on while a node ends, and while it joins again; then all goes dark. */
static void busy_power_loss(struct fake *f, const struct kind *k, uint32_t node)
{
	if (f->node[node].running && may_fault(f, k) && !f->partitions) {
		if (fake_random(f) % 2)
			fake_crash(f, node);
		else
			fake_kill(f, node);
		steps(f, fake_random(f) % 100);
		fake_fenced(f, node);
		propose_somewhere(f);
		steps(f, fake_random(f) % 100);
		start_down(f);
	}
	for (unsigned n = fake_random(f) % 400; n && !fake_serving(f, node); n--) {
		if (fake_random(f) % 8 == 0)
			propose_somewhere(f);
		if (fake_random(f) % 40 == 0)
			f->node[node].paused = f->node[node].running; /* the others go on without it */
		steps(f, 1);
	}
	if (fake_random(f) % 4 == 0)
		steps(f, fake_random(f) % 60);
	power_loss(f);
	if (fake_random(f) % 2)
		start_down(f);
}

static void act(struct fake *f, const struct kind *k)
{
	uint32_t node = 1 + fake_random(f) % f->nodes;

	switch (fake_random(f) % 12) {
	case 0:
		if (f->node[node].running && may_fault(f, k) && !f->partitions) {
			fake_crash(f, node);
			steps(f, fake_random(f) % 200);
			fake_fenced(f, node);
		}
		break;
	case 1:
		if (f->node[node].running && may_fault(f, k) && !f->partitions)
			fake_kill(f, node);
		break;
	case 2:
		if (!f->partitions && may_fault(f, k))
			fake_partition(f, 1u << node);
		break;
	case 3:
		if (f->partitions)
			end_partition(f, k);
		break;
	case 4:
		start_down(f);
		break;
	case 5: /* one alone: the others may have gone on without it */
		if (!f->node[node].running && !f->partitions)
			fake_start(f, node);
		break;
	case 6:
		f->node[node].paused = !f->node[node].paused && f->node[node].running;
		break;
	case 7:
		if (f->node[node].running)
			replog_timer(f->node[node].log, f->now += 300000000ull);
		break;
	case 8:
		if (k->power)
			busy_power_loss(f, k, node);
		break;
	default:
		propose_somewhere(f);
	}
}

static void verdict(struct fake *f, const struct kind *k, uint64_t seed, const char *what)
{
	if (!what)
		return;
	print_error("%s: seed %llu: %s\n", k->name, (unsigned long long)seed, what);
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running)
			print_error("  node %u: %s, position %llu\n", i, replog_why(f->node[i].log),
				    (unsigned long long)replog_position(f->node[i].log));
	fail();
}

static const char *all_there(struct fake *f, const struct kind *k)
{
	for (uint32_t i = 1; i <= f->nodes; i++) {
		if (!fake_serving(f, i))
			return "a member does not serve although everything is up again";
		for (size_t p = 0; p < f->nproposals; p++) {
			const struct fake_proposal *pr = &f->proposal[p];

			if (!pr->finished)
				return "a proposal was never answered";
			if (pr->status != PROPOSE_OK || ((k->any_fault || k->power) && !pr->op.persist))
				continue;
			if (f->node[i].toy.cell[pr->op.cell] != pr->op.value) {
				print_error("proposal %zu is not on node %u\n", p, i);
				return "an acknowledged operation is lost";
			}
		}
	}
	return NULL;
}

static void bring_all_up(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		f->node[i].paused = false;
	fake_settle(f);
	fake_heal(f);
	start_down(f);
	fake_settle(f);
	for (uint32_t i = 1; i <= f->nodes; i++)
		fake_fenced(f, i);
	fake_settle(f);
}

static unsigned run(const struct kind *k, uint64_t seed, bool trace)
{
	static struct fake f; /* too big for the stack */
	unsigned ok = 0;

	fake_init(&f, k->nodes, seed);
	f.trace = trace;
	f.two_node = k->two_node;
	f.follow = !k->any_fault && !k->power; /* who loses the memory of all also loses that somebody is still to be fenced */
	for (uint32_t i = 1; i <= k->nodes; i++) {
		f.owner[i] = true;
		fake_start(&f, i);
	}
	if (fake_random(&f) % 4 || k->any_fault || k->power) /* whom the first start ever waits for is quorum's affair */
		fake_settle(&f);
	for (unsigned i = 0; i < ACTIONS && !f.broken; i++) {
		act(&f, k);
		steps(&f, fake_random(&f) % 60);
		fake_check_equal(&f);
	}
	verdict(&f, k, seed, f.broken);
	bring_all_up(&f);
	verdict(&f, k, seed, f.broken);
	fake_check_equal(&f);
	verdict(&f, k, seed, all_there(&f, k));
	for (size_t p = 0; p < f.nproposals; p++)
		ok += f.proposal[p].status == PROPOSE_OK;
	fake_fini(&f);
	return ok;
}

static void run_kind(const struct kind *k)
{
	const char *one = getenv("SEED"), *many = getenv("SEEDS");
	uint64_t n = many ? strtoull(many, NULL, 0) : SEEDS_DEFAULT;
	unsigned ok = 0;

	if (one) {
		run(k, strtoull(one, NULL, 0), true);
		return;
	}
	for (uint64_t seed = 1; seed <= n; seed++)
		ok += run(k, seed, false);
	print_message("%s: %llu schedules, %u operations acknowledged\n", k->name, (unsigned long long)n, ok);
	assert_true(ok > n); /* a schedule in which nothing is ever acknowledged shows nothing */
}

static void three_nodes_minority_faults(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "three nodes, minority faults", .nodes = 3 });
}

static void five_nodes_minority_faults(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "five nodes, minority faults", .nodes = 5 });
}

static void three_nodes_any_fault(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "three nodes, any fault", .nodes = 3, .any_fault = true });
}

static void two_nodes_any_fault(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "two nodes, any fault", .nodes = 2, .two_node = true, .any_fault = true });
}

static void five_nodes_any_fault(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "five nodes, any fault", .nodes = 5, .any_fault = true });
}

static void two_nodes_with_fencing(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "two nodes, fencing", .nodes = 2, .two_node = true });
}

static void three_nodes_power_loss(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "three nodes, power loss of all", .nodes = 3, .power = true });
}

static void five_nodes_power_loss(void **state)
{
	(void)state;
	run_kind(&(struct kind){ .name = "five nodes, power loss of all", .nodes = 5, .power = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_nodes_minority_faults),
		cmocka_unit_test(five_nodes_minority_faults),
		cmocka_unit_test(three_nodes_any_fault),
		cmocka_unit_test(two_nodes_any_fault),
		cmocka_unit_test(five_nodes_any_fault),
		cmocka_unit_test(two_nodes_with_fencing),
		cmocka_unit_test(three_nodes_power_loss),
		cmocka_unit_test(five_nodes_power_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
