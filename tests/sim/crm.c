/* SPDX-License-Identifier: BSD-2-Clause */
/* The cluster manager: it promotes a group only where it knows that nobody else has it: after a demotion that went well, or after
 * fencing. It is never wrong (but for PLANT_PROMOTE_UNFENCED). */
#include "tests/sim/sim.h"

static void promoted(void *arg, bool ok, const char *message)
{
	struct crm_group *g = arg;

	if (!g->target || g->target->dying)
		return;
	g->busy = false;
	g->promoted = ok;
	sim_trace(g->target->sim, "promotion: %s", message);
}

static void demoted(void *arg, bool ok, const char *message)
{
	struct crm_group *g = arg;

	if (!g->target || g->target->dying)
		return;
	g->busy = false;
	g->promoted = false;
	sim_trace(g->target->sim, "demotion: %s", message);
	if (ok) {
		g->at = 0;
		g->target->sim->count.moves++;
	}
}

static void promote(struct sim *s, unsigned i)
{
	struct crm_group *g = &s->crm[i];
	struct node *n = &s->node[1 + sim_random(s) % s->nodes];

	if (!node_serving(n) || n->paused || n->stopping)
		return;
	s->cur = n;
	g->at = n->id;
	g->busy = true;
	g->waited = 0;
	g->target = n;
	sim_trace(s, "is told to promote group %u", i);
	ownership_promote(n->d.ownership[i], promoted, g);
}

static void demote(struct sim *s, unsigned i)
{
	struct crm_group *g = &s->crm[i];
	struct node *n = &s->node[g->at];

	if (!n->running || n->paused)
		return;
	s->cur = n;
	g->busy = true;
	g->waited = 0;
	g->target = n;
	sim_trace(s, "is told to demote group %u", i);
	ownership_demote(n->d.ownership[i], demoted, g);
}

/* A node that was parted and is back, and was not fenced, may have lost its groups (agents/ocf/group: monitor). */
void crm_monitor(struct sim *s)
{
	for (unsigned i = 0; i < s->groups; i++) {
		struct crm_group *g = &s->crm[i];
		const struct node *n = &s->node[g->at];
		const struct group *real;

		if (!g->promoted || g->busy || n->paused || s->partitions || !node_serving(n))
			continue;
		real = alua_service_find(n->d.alua, n->d.ownership[i]->group);
		g->promoted = real->owner == g->at && !real->lost && real->phase == GROUP_ACTIVE;
		if (!g->promoted) {
			s->cur = NULL;
			sim_trace(s, "group %u is no longer active on node %u", i, g->at);
		}
	}
}

void crm_act(struct sim *s)
{
	unsigned i = sim_random(s) % s->groups;
	struct crm_group *g = &s->crm[i];

	if (g->busy)
		return;
	if (!g->at)
		promote(s, i);
	else if (!g->promoted || s->node[g->at].stopping || chance(s, 3))
		demote(s, i);
}

/* At the end every group is to have an owner. */
void crm_settle(struct sim *s)
{
	for (unsigned i = 0; i < s->groups; i++) {
		struct crm_group *g = &s->crm[i];

		if (g->busy && schedule_serving(s) && ++g->waited == 100)
			sim_fail(s, "P7: group %u: what node %u was told last never gets its answer", i, g->at);
		if (g->busy || g->promoted)
			continue;
		if (g->at)
			demote(s, i);
		else
			promote(s, i);
	}
}

/* The node is known to be down: its groups are free. */
void crm_node_gone(struct sim *s, uint32_t node)
{
	for (unsigned i = 0; i < s->groups; i++)
		if (s->crm[i].at == node)
			s->crm[i] = (struct crm_group){ 0 };
}

void crm_fence(struct sim *s, uint32_t node)
{
	s->cur = NULL;
	sim_trace(s, "node %u is fenced", node);
	if (s->node[node].running)
		node_die(&s->node[node], REPLOG_NODE_DOWN);
	else
		fs_power_loss(&s->node[node]);
	crm_node_gone(s, node);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->node[i].running)
			s->node[i].fence_news |= 1u << node;
	s->node[node].fence_news = 0;
}

/* Before a node starts again, all have heard how it ended. */
void crm_flush_news(struct sim *s, uint32_t about)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!n->running || !(n->fence_news & 1u << about))
			continue;
		n->fence_news &= ~(1u << about);
		s->cur = n;
		cluster_fencing_confirmed(n->d.cluster, about);
	}
}

bool crm_settled(struct sim *s)
{
	for (unsigned i = 0; i < s->groups; i++)
		if (!s->crm[i].promoted || s->crm[i].busy)
			return false;
	return true;
}
