/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of two stored states goes on, and who may take part in it. Topology: 2 or 3 members in one process over
 * tests/unit/cluster/fake_cpg.c, started from what the test has put on their disks. Promises as in the design: P1
 * nothing acknowledged is lost, P9 fail closed.
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

/* ---- which state goes on ---- */

#define LINE(e, g, h, p, ...)                                                                                       \
	{                                                                                                           \
		.era = (e), .generation = (g), .history = (h), .position = (p), .version = 2, .nmembers = 2,         \
		.member = { 1, 2 }, .nknown = sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t),                 \
		.known = { __VA_ARGS__ }                                                                            \
	}

/* Histories have the number of their generation times ten, or one more where there are two. Node 1 has 1 in its cell,
 * node 2 has 2. */
static const struct {
	const char *what;
	struct replog_lineage on[2];
	uint32_t goes_on;
	bool diverged; /* the other one */
} rows[] = {
	{ "the one that knows the other's history", { LINE(1, 3, 30, 9, 30), LINE(1, 4, 40, 5, 40, 30) }, 2, false },
	{ "and has had fewer memberships", { LINE(1, 5, 50, 5, 50, 90), LINE(1, 9, 90, 9, 90) }, 1, false },
	{ "and began earlier", { LINE(2, 3, 30, 9, 30), LINE(1, 4, 40, 5, 40, 30) }, 2, false },
	{ "the later start from stores", { LINE(2, 3, 31, 5, 31, 20), LINE(1, 9, 90, 9, 90, 20) }, 1, true },
	{ "the newer history", { LINE(1, 3, 30, 9, 30, 20), LINE(1, 4, 41, 5, 41, 20) }, 2, true },
	{ "more operations", { LINE(1, 3, 30, 5, 30), LINE(1, 3, 30, 6, 30) }, 2, false },
	{ "the lower node", { LINE(1, 3, 30, 5, 30), LINE(1, 3, 30, 5, 30) }, 1, false },
	{ "what there is before nothing", { { .version = 2 }, LINE(1, 1, 10, 1, 10) }, 2, false },
};

static void put_on_disk(struct fake_node *n, const struct replog_lineage *l)
{
	n->disk = *l;
	n->disk_cell[0] = n->id;
	n->disk_has[0] = l->generation;
}

static void which_state_goes_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *f = &fake;
		uint32_t winner = rows[i].goes_on, other = 3 - winner;
		enum cluster_state want = rows[i].diverged ? CLUSTER_DIVERGED : CLUSTER_SERVING;

		fake_init(f, 2, 42);
		f->two_node = true;
		for (uint32_t node = 1; node <= 2; node++) {
			put_on_disk(&f->node[node], &rows[i].on[node - 1]);
			fake_start(f, node);
		}
		fake_settle(f);
		if (!fake_serving(f, winner) || replog_state(f->node[other].log) != want ||
		    f->node[winner].toy.cell[0] != winner)
			fail_msg("%s: node 1 %s, node 2 %s, cell %u", rows[i].what, replog_why(f->node[1].log),
				 replog_why(f->node[2].log), (unsigned)f->node[winner].toy.cell[0]);
		assert_int_equal(f->node[other].toy.cell[0], rows[i].diverged ? other : winner);
		fake_fini(f);
	}
}

/* What a store remembers of a history may lack what is not kept there, however far it has come. Whether or not the
 * membership without the other one is confirmed. */
static void memory_goes_before_the_store(void **state)
{
	for (unsigned confirmed = 0; confirmed < 2; confirmed++) {
		struct fake *f = &fake;

		(void)state;
		fake_up(f, 2, REPLOG_VERSION);
		f->two_node = true;
		fake_propose(f, 1, (struct toy_op){ .cell = 3, .value = 9 });
		fake_settle(f);
		f->node[2].hold_quorum = !confirmed;
		fake_crash(f, 1);
		fake_settle(f);
		f->node[1].disk.position += 100;
		fake_start(f, 1);
		fake_settle(f);
		f->node[2].hold_quorum = false;
		fake_settle(f);
		for (uint32_t i = 1; i <= 2; i++) {
			assert_true(fake_serving(f, i));
			assert_int_equal(f->node[i].toy.cell[3], 9);
		}
		fake_fini(f);
	}
}

/* ---- who may take part ---- */

/* Node 2 joins node 1 with something that is not as it is there. */
static const struct {
	const char *what;
	uint32_t version;
	const char *cluster;
	uint8_t config, fixed;
	const char *why; /* NULL: it joins */
} joiners[] = {
	{ "the same", 2, NULL, 0, 0, NULL },
	{ "of another cluster", 2, "other", 0, 0, "node n2 belongs to cluster \"other\", not \"fake\"" },
	{ "what may change while the cluster runs", 2, NULL, 1, 0, NULL },
	{ "what may not", 2, NULL, 0, 1, "differ in cluster, nodes, groups or iscsi: copy that of n1" },
	{ "version 1 compares all of it", 1, NULL, 1, 0, "the sandem.yaml of node n2 and of node n1 differ: copy" },
	{ "and does not know what is fixed", 1, NULL, 0, 1, NULL },
};

static void who_may_take_part(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(joiners) / sizeof(joiners[0]); i++) {
		struct fake *f = &fake;
		struct fake_node *n = &f->node[2];

		fake_up(f, 2, joiners[i].version);
		f->two_node = true;
		fake_kill(f, 2);
		fake_settle(f);
		n->cluster = joiners[i].cluster;
		n->config = joiners[i].config;
		n->fixed = joiners[i].fixed;
		fake_start(f, 2);
		fake_settle(f);
		assert_true(fake_serving(f, 1));
		if (joiners[i].why ? !strstr(replog_why(n->log), joiners[i].why) : !fake_serving(f, 2))
			fail_msg("%s: %s", joiners[i].what, replog_why(n->log));
		assert_int_equal(replog_state(n->log), joiners[i].why ? CLUSTER_DIVERGED : CLUSTER_SERVING);
		assert_int_equal(n->toy.restores, joiners[i].why ? 0 : 1);
		fake_fini(f);
	}
}

/* A joiner that is refused is not asked for its consent to anything: memberships come and go without it. */
static void who_is_refused_holds_up_nobody(void **state)
{
	struct fake *f = &fake;
	size_t a;

	(void)state;
	fake_up(f, 3, REPLOG_VERSION);
	for (uint32_t i = 1; i <= 3; i++)
		fake_crash(f, i);
	f->node[3].cluster = "other";
	for (uint32_t i = 1; i <= 3; i++)
		fake_start(f, i);
	fake_settle(f);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_DIVERGED);
	assert_true(fake_serving(f, 1) && fake_serving(f, 2));
	a = fake_propose(f, 1, (struct toy_op){ .cell = 3, .value = 9 });
	fake_settle(f);
	assert_int_equal(f->proposal[a].status, PROPOSE_OK);
	assert_int_equal(f->node[3].toy.count, 0);
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_state_goes_on),
		cmocka_unit_test(memory_goes_before_the_store),
		cmocka_unit_test(who_may_take_part),
		cmocka_unit_test(who_is_refused_holds_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
