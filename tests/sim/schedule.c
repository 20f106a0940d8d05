/* SPDX-License-Identifier: BSD-2-Clause */
/* What can happen in a schedule: losses, partitions, fencing, starts and stops. */
#include "tests/sim/sim.h"

static void power_off(struct sim *s)
{
	s->count.blackouts++;
	for (uint32_t i = 1; i <= s->nodes; i++) {
		if (s->node[i].running)
			node_die(&s->node[i], REPLOG_NODE_DOWN);
		else
			fs_power_loss(&s->node[i]);
		s->node[i].up = s->node[i].seen_all = false;
		s->node[i].partition = 1000 + i;
		s->node[i].fence_news = 0;
		s->fence_due &= ~(1u << i);
		crm_node_gone(s, i);
	}
	s->partitions = s->device_at = 0;
}

unsigned schedule_serving(const struct sim *s)
{
	unsigned n = 0;

	for (uint32_t i = 1; i <= s->nodes; i++)
		n += node_serving(&s->node[i]);
	return n;
}

bool schedule_may_fault(const struct sim *s)
{
	return (s->any_fault && !upgrade_old_rules(s)) || (s->nodes - schedule_serving(s) + 1) * 2 <= s->nodes;
}

static bool somebody_has_it(const struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		const struct node *n = &s->node[i];

		if (n->running && !n->leaving && s->history[n->history].used && history_descends(s, n->history, s->frontier) &&
		    __real_cluster_state(n->d.cluster) != CLUSTER_JOINING)
			return true;
	}
	return false;
}

/* In version 1 only a power loss of all makes a start wait for all whom it has to wait for. */
static void power_check(struct sim *s)
{
	if (upgrade_old_rules(s) && !somebody_has_it(s))
		power_off(s);
}

void schedule_crash(struct sim *s, struct node *n, enum replog_gone_reason reason)
{
	s->count.crashes++;
	node_die(n, reason);
	s->fence_due |= 1u << n->id;
	if (s->plant == PLANT_PROMOTE_UNFENCED)
		crm_node_gone(s, n->id);
	power_check(s);
}

static void fence_late(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->fence_late & 1u << i) {
			s->fence_late &= ~(1u << i);
			crm_fence(s, i);
			power_check(s);
			return;
		}
}

void schedule_fence_somebody(struct sim *s)
{
	if (!s->partitions)
		fence_late(s);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->fence_due & 1u << i && !s->node[i].running) {
			s->fence_due &= ~(1u << i);
			crm_fence(s, i);
			return;
		}
}

void schedule_start(struct sim *s, struct node *n)
{
	if (n->running || s->partitions)
		return;
	if (s->fence_due & 1u << n->id)
		crm_fence(s, n->id);
	s->fence_due &= ~(1u << n->id);
	crm_node_gone(s, n->id);
	crm_flush_news(s, n->id);
	upgrade_choose(n);
	node_boot(n);
}

/* In version 1 the side with quorum must have most of the daemons, too: others might begin with what they had before. */
static bool may_part(const struct sim *s)
{
	return !s->partitions && schedule_may_fault(s) && (!upgrade_old_rules(s) || schedule_serving(s) == s->nodes);
}

static void part(struct sim *s)
{
	uint32_t mask = sim_random(s) & ((1u << s->nodes) - 1) << 1;

	s->count.partitions++;
	s->cur = NULL;
	sim_trace(s, "partition: mask %x", mask);
	net_partition(s, mask);
	if (s->plant == PLANT_PROMOTE_UNFENCED)
		for (uint32_t i = 1; i <= s->nodes; i++)
			if (s->node[i].partition)
				crm_node_gone(s, i);
}

/* The link is back before anybody was fenced. The cluster manager may fence what it had decided to, all the same; who that is has
 * nothing to do with whose history goes on. */
static void heal_unfenced(struct sim *s)
{
	uint32_t node = 1 + sim_random(s) % s->nodes;

	s->cur = NULL;
	s->count.heals++;
	if (s->plant == PLANT_FALSE_FENCING) {
		for (uint32_t i = 1; i <= s->nodes; i++)
			for (uint32_t k = 1; k <= s->nodes; k++)
				if (s->node[i].running && s->node[i].partition != s->node[k].partition)
					s->node[i].fence_news |= 1u << k;
		sim_steps(s, 100);
	}
	sim_trace(s, "partition healed, nobody is fenced");
	net_heal(s);
	if (s->node[node].running && chance(s, 3))
		s->fence_late |= 1u << node;
}

/* The side that may go on fences the other before anything is promoted there; in a cluster of two, one of them wins the race. */
void schedule_end_partition(struct sim *s)
{
	unsigned winner = 0;

	if (chance(s, 3)) {
		heal_unfenced(s);
		return;
	}
	if (s->two_node) {
		winner = sim_random(s) % 2;
	} else {
		for (uint32_t i = 1; i <= s->nodes; i++)
			if (s->node[i].running && net_quorate(&s->node[i]))
				winner = s->node[i].partition;
	}
	for (uint32_t i = 1; i <= s->nodes; i++) {
		bool quorate = s->two_node || schedule_serving(s);

		if (s->node[i].up && s->node[i].partition != winner && quorate && (s->two_node || sim_random(s) % 8))
			schedule_crash(s, &s->node[i], REPLOG_NODE_DOWN);
	}
	if (!s->partitions)
		return; /* the power went for all */
	sim_steps(s, sim_random(s) % 100);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (chance(s, 2))
			schedule_fence_somebody(s);
	sim_steps(s, sim_random(s) % 100);
	s->cur = NULL;
	sim_trace(s, "partition healed");
	net_heal(s);
}

/* The cluster manager stops the groups of a node before its daemon; and what in version 1 a process has inherited from the
 * one before it, the daemon gives up before it leaves (daemon_shutdown()). */
static bool has_group(const struct sim *s, const struct node *n)
{
	for (unsigned i = 0; i < s->groups; i++)
		if (s->crm[i].at == n->id || (n->running && n->d.ownership[i]->phase != OWNERSHIP_CLOSED))
			return true;
	return false;
}

void schedule_stop(struct sim *s, struct node *n)
{
	if (has_group(s, n))
		return;
	if (!n->running || n->stopping || n->paused || s->partitions || !schedule_may_fault(s))
		return;
	s->count.stops++;
	sim_trace(s, "node %u is stopped", n->id);
	node_stop(n);
}

static void send_some(struct sim *s)
{
	for (unsigned k = sim_random(s) % 8; k; k--)
		load_one(s);
}

/* A link is of use only where there is an owner, and takes a while to come up: more of what needs it, less of what breaks it. */
static bool forward_act(struct sim *s)
{
	switch (sim_random(s) % 8) {
	case 0:
		tcp_act(s);
		return true;
	case 1:
		crm_monitor(s);
		if (!s->partitions)
			crm_act(s);
		return true;
	case 2:
	case 3:
	case 4:
		send_some(s);
		return true;
	}
	return false;
}

void schedule_act(struct sim *s)
{
	struct node *n = &s->node[1 + sim_random(s) % s->nodes];

	if (s->forwards && forward_act(s))
		return;
	switch (sim_random(s) % 27) {
	case 0:
		if (n->running && schedule_may_fault(s) && !s->partitions)
			schedule_crash(s, n, REPLOG_NODE_DOWN);
		break;
	case 1:
		if (n->running && schedule_may_fault(s) && !s->partitions)
			schedule_crash(s, n, REPLOG_PROCESS_DOWN);
		break;
	case 2:
		if (may_part(s))
			part(s);
		break;
	case 3:
	case 4:
		if (s->partitions && s->device && chance(s, 2))
			net_device_moves(s);
		else if (s->partitions)
			schedule_end_partition(s);
		break;
	case 5:
	case 6:
		schedule_start(s, n);
		break;
	case 7:
		n->paused = !n->paused && n->running;
		break;
	case 8:
	case 9:
		s->now += (50 + sim_random(s) % (s->forwards && sim_random(s) % 4 ? 400 : 2000)) * 1000000ull;
		break;
	case 10:
	case 11:
	case 12:
		crm_monitor(s);
		if (!s->partitions || s->plant == PLANT_PROMOTE_UNFENCED)
			crm_act(s);
		break;
	case 13:
		schedule_fence_somebody(s);
		break;
	case 14:
		if (n->running && !n->paused)
			node_new_nexus(n, sim_random(s) % INITIATORS);
		break;
	case 16:
		if (chance(s, 2))
			schedule_stop(s, n);
		break;
	case 15:
		if (s->any_fault && chance(s, 3))
			power_off(s);
		break;
	case 17:
		load_resize(s);
		break;
	case 18:
		upgrade_act(s, n);
		break;
	case 19:
		admin_act(s);
		break;
	default:
		send_some(s);
	}
}
