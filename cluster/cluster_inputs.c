/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log hears: transport and quorum, which come by two connections, and the clock. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cluster/cluster_int.h"

#define TICK_NS 100000000ull /* as seldom as replog_timer() allows */
#define LEAVE_NS 1000000000ull

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void cluster_clock(struct cluster *c)
{
	replog_timer(c->log, now_ns());
}

/* ---- the log's inputs ------------------------------------------------------------------------------- */

static bool ring_has(const struct cluster *c, uint32_t node)
{
	for (size_t i = 0; i < c->nring; i++)
		if (c->ring_node[i] == node)
			return true;
	return false;
}

/* Loss of quorum counts at once; having it counts only for the ring that the group is in: that of a newer one is about
 * members of whom the group has not been told yet, and a node that was parted would serve alone what they have outrun. */
static void sync_quorum(struct cluster *c)
{
	if (!c->quorate)
		replog_quorum(c->log, false);
	else if (!c->ring_due && c->quorum_seq == c->ring_seq)
		replog_quorum(c->log, true);
}

static void on_quorum(void *arg, bool quorate, uint64_t ring_seq)
{
	struct cluster *c = arg;

	c->quorate = quorate;
	c->quorum_seq = ring_seq;
	sync_quorum(c);
}

static void on_confchg(void *arg, const uint32_t *members, size_t n, const struct replog_gone *gone, size_t ngone,
		       const uint32_t *joined, size_t njoined)
{
	struct cluster *c = arg;

	for (size_t i = 0; i < ngone; i++)
		if (gone[i].reason == REPLOG_NODE_DOWN && ring_has(c, gone[i].node))
			c->ring_due = true;
	cluster_clock(c);
	replog_confchg(c->log, members, n, gone, ngone, joined, njoined);
	sync_quorum(c);
}

static void on_ring(void *arg, uint64_t seq, const uint32_t *nodes, size_t n)
{
	struct cluster *c = arg;

	c->ring_seq = seq;
	c->nring = n < NODES_MAX ? n : NODES_MAX;
	memcpy(c->ring_node, nodes, c->nring * sizeof(c->ring_node[0]));
	c->ring_due = false;
	sync_quorum(c);
}

static void on_deliver(void *arg, uint32_t from, const void *msg, size_t len)
{
	struct cluster *c = arg;

	replog_deliver(c->log, from, msg, len);
}

static void on_lost(void *arg, const char *why)
{
	struct cluster *c = arg;

	c->nring = c->ring_seq = 0;
	c->ring_due = false;
	replog_transport_lost(c->log, why);
}

/* ---- the clock, leaving ---------------------------------------------------------------------------- */

void cluster_disconnect(struct cluster *c)
{
	quorum_watch_free(c->quorum);
	cpg_link_free(c->cpg);
	local_free(c->local);
	c->quorum = NULL;
	c->cpg = NULL;
	c->local = NULL;
}

static void leave_check(struct cluster *c)
{
	void (*left)(void *) = c->left;

	if (!left || (replog_state(c->log) != CLUSTER_OFFLINE && now_ns() < c->leave_end))
		return;
	c->left = NULL;
	cluster_disconnect(c);
	left(c->left_arg);
}

static void tick(void *data)
{
	struct cluster *c = data;

	c->ticking = !qb_loop_timer_add(c->loop, QB_LOOP_MED, TICK_NS, c, tick, &c->tick);
	cluster_clock(c);
	leave_check(c); /* last: its callback may end the loop */
}

void cluster_leave(struct cluster *c, void (*done)(void *arg), void *arg)
{
	c->left = done;
	c->left_arg = arg;
	c->leave_end = now_ns() + LEAVE_NS;
	replog_goodbye(c->log);
}

/* ---- connecting ---------------------------------------------------------------------------------- */

static int connect_transport(struct cluster *c, const struct cluster_params *p)
{
	struct transport_events ev = { c, on_confchg, on_deliver, on_ring, on_lost };
	char group[128];

	if (p->local) {
		c->quorate = true;
		c->local = local_new(c->control, p->node, &ev);
		replog_quorum(c->log, true);
		return c->local ? 0 : -ENOMEM;
	}
	snprintf(group, sizeof(group), "sandem/%s", c->name);
	c->quorum = quorum_watch_new(c->loop, on_quorum, c);
	c->cpg = cpg_link_new(c->loop, group, p->node, &ev);
	return c->quorum && c->cpg ? 0 : -ENOMEM;
}

int cluster_connect(struct cluster *c, const struct cluster_params *p)
{
	int code;

	cluster_clock(c);
	code = connect_transport(c, p);
	if (!code)
		code = qb_loop_timer_add(c->loop, QB_LOOP_MED, TICK_NS, c, tick, &c->tick);
	c->ticking = !code;
	return code;
}
