/* SPDX-License-Identifier: BSD-2-Clause */
/* Task management (SAM-5 clause 7): what it ends does not reach the medium after its answer, and whose commands they were hears of it. */
#include <string.h>

#include "daemon/tasks.h"
#include "tests/sim/sim.h"

/* Commands that were sent before it, of its logical unit, and of the nexuses that it concerns. */
static bool concerns(const struct sim_tmf *t, const struct slot *sl)
{
	if (!sl->busy || sl->lu != t->lu || sl->value > t->value)
		return false;
	if (t->tmf.function == TMF_ABORT_TASK_SET)
		return sl->node == t->node && sl->initiator == t->initiator;
	return t->everywhere || sl->node == t->node;
}

/* Before version 3 of the protocol a node that was away does not hear of it, and what it had goes on. */
static bool missed(const struct sim_tmf *t, const struct slot *sl)
{
	return cluster_version(t->node->d.cluster) < TASKS_ID_SINCE && sl->node->state_since > sl->step;
}

static void end(const struct sim_tmf *t, struct slot *sl)
{
	if (concerns(t, sl) && !missed(t, sl))
		sl->ended = true;
}

static void done(struct tmf *tmf)
{
	struct sim_tmf *t = caa_container_of(tmf, struct sim_tmf, tmf);
	struct sim *s = t->node->sim;

	t->busy = false;
	if (t->node->dying)
		return;
	sim_trace(s, "function %u of initiator %u is answered with %u", t->value, t->initiator, tmf->response);
	if (tmf->response != TMF_COMPLETE)
		return;
	s->count.tmfs++;
	for (uint32_t i = 1; i <= s->nodes; i++)
		for (unsigned k = 0; k < SLOTS; k++)
			if (s->node[i].running && s->node[i].slot[k])
				end(t, s->node[i].slot[k]);
}

static struct sim_tmf *get(struct node *n)
{
	for (unsigned i = 0; i < TMFS; i++)
		if (!n->tmf[i].busy)
			return &n->tmf[i];
	return NULL;
}

bool load_tmf_busy(const struct node *n, unsigned initiator)
{
	for (unsigned i = 0; i < TMFS; i++)
		if (n->tmf[i].busy && n->tmf[i].initiator == initiator)
			return true;
	return false;
}

void load_tmf(struct node *n, unsigned initiator, unsigned lu)
{
	static const enum tmf_function functions[] = { TMF_LUN_RESET, TMF_CLEAR_TASK_SET, TMF_ABORT_TASK_SET };
	struct sim_tmf *t = get(n);

	if (!t)
		return;
	/* while version 1 of the protocol is in use it concerns the commands of its own node (docs/upgrade.md) */
	*t = (struct sim_tmf){ .node = n, .busy = true, .initiator = initiator, .lu = lu, .value = ++n->sim->values,
			       .everywhere = cluster_has(n->d.cluster, TASKS_SERVICE_ID),
			       .tmf = { .function = functions[sim_random(n->sim) % 3], .nexus = &n->session[initiator].nexus,
					.done = done } };
	t->tmf.lun[1] = lu;
	n->session[initiator].ends_own[lu] = t->value;
	sim_trace(n->sim, "task management function %u (%u) of initiator %u on LU %u", t->value, t->tmf.function, initiator, lu);
	tmf_start(&t->tmf);
}
