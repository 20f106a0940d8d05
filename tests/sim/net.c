/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Corosync as the facade sees it. Each partition has one ordered stream; a node takes from it at its own pace, membership
 * changes have their place in it, and a ring's announcement follows the change that made it. Quorum comes on a connection of
 * its own, so before, between or after those.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/cpg.h"
#include "cluster/quorum.h"
#include "tests/sim/sim.h"

struct cpg_link {
	struct node *node;
};

struct quorum_watch {
	struct node *node;
};

/* ---- queues ------------------------------------------------------------------------------------------------------- */

static void push(struct fifo *f, const struct event *e)
{
	struct event *copy = malloc(sizeof(*e) + e->len);

	memcpy(copy, e, sizeof(*e) + e->len);
	copy->next = NULL;
	if (f->tail)
		f->tail->next = copy;
	else
		f->head = copy;
	f->tail = copy;
}

static struct event *pop(struct fifo *f)
{
	struct event *e = f->head;

	if (!e)
		return NULL;
	f->head = e->next;
	if (!f->head)
		f->tail = NULL;
	return e;
}

static void clear(struct fifo *f)
{
	struct event *e;

	while ((e = pop(f)))
		free(e);
}

void net_clear(struct node *n)
{
	clear(&n->in);
	clear(&n->out);
}

/* ---- membership ------------------------------------------------------------------------------------------------------- */

static uint32_t partition_mask(const struct sim *s, unsigned partition)
{
	uint32_t mask = 0;

	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->node[i].running && s->node[i].partition == partition)
			mask |= 1u << i;
	return mask;
}

static void confchg(struct sim *s, unsigned partition, uint32_t to, uint32_t joined, uint32_t gone,
		    enum replog_gone_reason reason)
{
	struct event e = { .kind = EV_CONFCHG };

	for (uint32_t i = 1; i <= s->nodes; i++) {
		if (s->node[i].running && s->node[i].partition == partition)
			e.member[e.nmembers++] = i;
		if (joined & 1u << i)
			e.joined[e.njoined++] = i;
		if (gone & 1u << i)
			e.gone[e.ngone++] = (struct replog_gone){ i, reason };
	}
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->node[i].running && to & 1u << i)
			push(&s->node[i].in, &e);
}

static unsigned nodes_up(const struct sim *s, unsigned partition)
{
	unsigned up = 0;

	for (uint32_t i = 1; i <= s->nodes; i++)
		up += s->node[i].up && s->node[i].partition == partition;
	return up;
}

/* A new ring among the nodes (not processes) of the partition. */
void net_ring(struct sim *s, unsigned partition)
{
	struct event e = { .kind = EV_RING, .seq = ++s->ring_seq };
	bool all = nodes_up(s, partition) == s->nodes;

	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->node[i].up && s->node[i].partition == partition)
			e.member[e.nmembers++] = i;
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!n->up || n->partition != partition)
			continue;
		n->seen_all |= all;
		n->quorum_due = n->running;
		n->ring_seq = e.seq;
		if (n->running)
			push(&n->in, &e);
	}
}

/* two_node: 1 with wait_for_all (votequorum(5)); or a quorum device, whose vote decides between two halves
 * (corosync-qdevice(8)) */
bool net_quorate(const struct node *n)
{
	const struct sim *s = n->sim;
	unsigned votes = nodes_up(s, n->partition) + (s->device && n->partition == s->device_at);

	return s->two_node ? n->seen_all : votes * 2 > s->nodes + s->device;
}

void net_device_moves(struct sim *s)
{
	s->cur = NULL;
	s->device_at = s->device_at ? 0 : s->partitions;
	sim_trace(s, "the quorum device votes for partition %u", s->device_at);
	for (uint32_t i = 1; i <= s->nodes; i++)
		s->node[i].quorum_due = s->node[i].running;
}

/* Who was a member when the partition came, and lives on the other side. */
static void note_parted(struct sim *s, uint32_t mask)
{
	uint32_t serving = 0;

	for (uint32_t i = 1; i <= s->nodes; i++)
		serving |= node_serving(&s->node[i]) ? 1u << i : 0;
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (serving & 1u << i)
			s->node[i].parted |= serving & (mask & 1u << i ? ~mask : mask);
}

static void forget_parted(struct sim *s, uint32_t mask)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		s->node[i].parted &= ~mask;
		s->node[i].outrun &= ~mask;
	}
}

/* It has been without quorum, and may have been outrun. */
void net_check_outrun(const struct node *n)
{
	for (uint32_t i = 1; i <= n->sim->nodes; i++)
		if (n->outrun & 1u << i)
			sim_fail(n->sim, "P4: node %u lost quorum and serves again, although node %u, which was a "
				 "member with it, is parted and alive", n->id, i);
}

void net_start(struct node *n)
{
	struct sim *s = n->sim;
	bool booted = !n->up;

	n->up = true;
	n->partition = 0;
	n->running = true;
	confchg(s, 0, partition_mask(s, 0), 1u << n->id, 0, 0);
	net_ring(s, 0); /* a process that starts on a node that is up: the ring is announced to it all the same */
	if (booted)
		n->quorum_due = true;
	upgrade_together(s);
}

void net_gone(struct node *n, enum replog_gone_reason reason)
{
	struct sim *s = n->sim;
	unsigned partition = n->partition;

	n->running = false;
	n->parted = n->outrun = 0;
	forget_parted(s, 1u << n->id);
	if (reason == REPLOG_NODE_DOWN) {
		n->up = n->seen_all = false;
		n->partition = 1000 + n->id;
	}
	confchg(s, partition, partition_mask(s, partition), 0, 1u << n->id, reason);
	if (reason == REPLOG_NODE_DOWN)
		net_ring(s, partition);
}

/* Agreed, not safe, delivery: a message may have been delivered to those who stay with its sender alone. */
static void last_messages(struct sim *s, uint32_t mask)
{
	for (unsigned k = sim_random(s) % 4; k; k--) {
		struct node *n = &s->node[1 + sim_random(s) % s->nodes];
		struct event *e = mask & 1u << n->id ? pop(&n->out) : NULL;

		for (uint32_t i = 1; e && i <= s->nodes; i++)
			if (s->node[i].running && mask & 1u << i)
				push(&s->node[i].in, e);
		free(e);
	}
}

/* What only the node itself has of its own messages when it dies. */
void net_own_message(struct node *n)
{
	struct event *e = pop(&n->out);

	if (e)
		push(&n->in, e);
	free(e);
}

void net_partition(struct sim *s, uint32_t mask)
{
	uint32_t all = partition_mask(s, 0), rest = all & ~mask;

	if (!(mask & all) || !rest)
		return;
	s->partitions++;
	note_parted(s, mask & all);
	s->device_at = s->device && chance(s, 2) ? s->partitions : 0;
	last_messages(s, mask & all);
	last_messages(s, rest);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (mask & 1u << i && s->node[i].up)
			s->node[i].partition = s->partitions;
	confchg(s, 0, rest, 0, mask & all, REPLOG_NODE_DOWN);
	confchg(s, s->partitions, mask & all, 0, rest, REPLOG_NODE_DOWN);
	net_ring(s, 0);
	net_ring(s, s->partitions);
}

/* As corosync does it: each side is told that the other's members joined. */
void net_heal(struct sim *s)
{
	bool any = false;

	for (unsigned p = 1; p <= s->partitions; p++) {
		uint32_t mask = partition_mask(s, p), rest = partition_mask(s, 0);

		for (uint32_t i = 1; i <= s->nodes; i++)
			if (s->node[i].up && s->node[i].partition == p) {
				s->node[i].partition = 0;
				any = true;
			}
		if (!mask)
			continue;
		confchg(s, 0, rest, mask, 0, 0);
		confchg(s, 0, mask, rest, 0, 0);
	}
	s->partitions = s->device_at = 0;
	forget_parted(s, ~0u);
	if (any)
		net_ring(s, 0);
	upgrade_together(s);
}

/* ---- what a node does ----------------------------------------------------------------------------------------------- */

bool net_take(struct node *n)
{
	struct event *e = pop(&n->in);

	if (!e)
		return false;
	switch (e->kind) {
	case EV_MESSAGE:
		n->ev.deliver(n->ev.arg, e->from, e->data, e->len);
		break;
	case EV_CONFCHG:
		n->ev.confchg(n->ev.arg, e->member, e->nmembers, e->gone, e->ngone, e->joined, e->njoined);
		break;
	case EV_RING:
		n->ev.ring(n->ev.arg, e->seq, e->member, e->nmembers);
		break;
	}
	free(e);
	return true;
}

bool net_order(struct node *n)
{
	struct event *e = pop(&n->out);

	if (!e)
		return false;
	for (uint32_t i = 1; i <= n->sim->nodes; i++)
		if (n->sim->node[i].running && n->sim->node[i].partition == n->partition)
			push(&n->sim->node[i].in, e);
	free(e);
	return true;
}

bool net_quorum(struct node *n)
{
	if (!n->quorum_due)
		return false;
	n->quorum_due = false;
	if (!net_quorate(n))
		n->outrun = n->parted;
	n->quorum_changed(n->quorum_arg, net_quorate(n), n->ring_seq);
	return true;
}

/* ---- in place of cluster/cpg.c and cluster/quorum.c ------------------------------------------------------------------ */

struct cpg_link *cpg_link_new(qb_loop_t *loop, const char *group, uint32_t node, const struct transport_events *ev)
{
	struct cpg_link *l = malloc(sizeof(*l));

	(void)group, (void)node;
	l->node = (struct node *)loop;
	l->node->ev = *ev;
	return l;
}

int cpg_link_send(struct cpg_link *l, const void *msg, size_t len)
{
	struct event *e;

	if (l->node->dying)
		return 0;
	e = calloc(1, sizeof(*e) + len);
	e->kind = EV_MESSAGE;
	e->from = l->node->id;
	e->len = len;
	memcpy(e->data, msg, len);
	push(&l->node->out, e);
	free(e);
	return 0;
}

void cpg_link_free(struct cpg_link *l)
{
	free(l);
}

struct quorum_watch *quorum_watch_new(qb_loop_t *loop, void (*changed)(void *arg, bool quorate, uint64_t ring_seq),
				      void *arg)
{
	struct quorum_watch *q = malloc(sizeof(*q));

	q->node = (struct node *)loop;
	q->node->quorum_changed = changed;
	q->node->quorum_arg = arg;
	return q;
}

void quorum_watch_free(struct quorum_watch *q)
{
	free(q);
}
