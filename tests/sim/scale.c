/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many registrants: a node joins three that have them, and takes the snapshot while registrations go on. Prints size and time.
 * The identities are no initiators of the simulator, so the model does not follow (sim->unfollowed): what is judged is P3,
 * and that the work for each of them does not grow with their number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "pr-sync/pr_msg.h"
#include "tests/sim/sim.h"

#define SCALE_NODES 3
#define LATE 200 /* of them while the node joins */
#define CPU_US 700 /* for one, on all nodes together; measured: 60 with 10,000 of them, and 2,200 when each was copied */

struct count {
	unsigned sent, answered, good;
};

static void answered(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct count *c = cookie;

	c->answered++;
	c->good += status == PROPOSE_OK && len == sizeof(struct pr_result) &&
		   ((const struct pr_result *)result)->status == STATUS_GOOD;
}

static void register_one(struct node *n, struct count *c)
{
	struct pr_msg m = { .kind = PR_OP_OUT, .lu = "0", .nexus.rtpi = 1 + c->sent % SCALE_NODES };
	struct wbuf b = { 0 };

	snprintf(m.nexus.port, sizeof(m.nexus.port), "iqn.2026-11.scale:%06u,i,0x00023d000001", c->sent);
	m.out = (struct pr_op){ .action = 0, .sa_key = 1 + c->sent, .nexus = m.nexus };
	pr_msg_encode(&m, &b);
	c->sent++;
	n->sim->cur = n;
	n->proposer.propose(&n->proposer, PR_SERVICE_ID, b.data, b.len, answered, c);
	wbuf_fini(&b);
}

static uint64_t wall_ms(void)
{
	struct timespec ts;

	timespec_get(&ts, TIME_UTC); /* clock_gettime() is the simulated one */
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static uint64_t cpu_us(void)
{
	return clock() / (CLOCKS_PER_SEC / 1000000);
}

static bool until_serving(struct sim *s, unsigned id)
{
	for (unsigned k = 0; k < 2000 && !node_serving(&s->node[id]) && !*s->broken; k++)
		sim_steps(s, 1000);
	return node_serving(&s->node[id]);
}

static size_t snapshot_size(const struct node *n)
{
	struct wbuf b = { 0 };
	size_t len;

	pr_service_ops.snapshot(n->d.pr, &b);
	len = b.len;
	wbuf_fini(&b);
	return len;
}

/* The node is down, and comes back, while the registrations go on. */
static void join_under_load(struct sim *s, struct count *c, unsigned all)
{
	uint64_t since = wall_ms();

	node_die(&s->node[SCALE_NODES], REPLOG_NODE_DOWN);
	crm_fence(s, SCALE_NODES);
	until_serving(s, 1);
	node_boot(&s->node[SCALE_NODES]);
	while (!node_serving(&s->node[SCALE_NODES]) && !*s->broken) {
		if (c->sent < all)
			register_one(&s->node[1], c);
		if (!sim_steps(s, 20) && c->sent == all)
			sim_pass(s);
	}
	while (c->sent < all)
		register_one(&s->node[1], c);
	sim_steps(s, 10000000);
	printf("joined under load: %llu ms\n", (unsigned long long)(wall_ms() - since));
}

bool scale(struct sim *s, unsigned registrants)
{
	struct count c = { 0 };
	uint64_t since = wall_ms(), cpu = cpu_us();

	for (unsigned i = 1; i <= SCALE_NODES; i++)
		node_boot(&s->node[i]);
	for (unsigned i = 1; i <= SCALE_NODES; i++)
		if (!until_serving(s, i))
			sim_fail(s, "node %u does not serve", i);
	while (c.sent + LATE < registrants && !*s->broken) {
		register_one(&s->node[1 + c.sent % SCALE_NODES], &c);
		if (c.sent % 64 == 0)
			sim_steps(s, 1000000);
	}
	sim_steps(s, 10000000);
	printf("%u registrants on three nodes: %llu ms, snapshot of %zu bytes\n", c.good,
	       (unsigned long long)(wall_ms() - since), snapshot_size(&s->node[1]));
	if (cpu_us() - cpu > (uint64_t)CPU_US * registrants)
		sim_fail(s, "%u registrations took %llu us of the CPU each", c.good,
			 (unsigned long long)(cpu_us() - cpu) / registrants);
	join_under_load(s, &c, registrants);
	if (c.good != registrants || c.answered != registrants)
		sim_fail(s, "of %u registrations %u were answered, %u with GOOD", registrants, c.answered, c.good);
	if (!history_same_bytes(&s->node[1], &s->node[SCALE_NODES]) || !pr_service_find(s->node[1].d.pr, "0") ||
	    pr_service_find(s->node[SCALE_NODES].d.pr, "0")->pr.n != registrants)
		sim_fail(s, "P3: the node that joined has another state");
	return !*s->broken;
}
