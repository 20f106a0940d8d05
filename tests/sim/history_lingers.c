/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reservation of RESERVE (SPC-2) ends in the log with the member that is lost. But the process that is parted and
 * alive has it still, and its state may be the one that goes on: as long as that is so, no node that serves may let
 * anybody else pass (P2).
 */
#include "tests/sim/sim.h"

/* The step at which the nexus, which has the LU reserved in this history, got it. */
static uint64_t reserved_at(const struct sim *s, int at, unsigned lu, unsigned nexus)
{
	int before;

	while ((before = s->history[at].parent) >= 0 && s->history[before].model[lu].pr.reserved_by == nexus)
		at = before;
	return s->history[at].step;
}

void lingers_note(struct node *n, unsigned lu, unsigned nexus)
{
	struct history *h = &n->sim->history[n->history];

	h->lingers[lu] = (struct lingering){ nexus, reserved_at(n->sim, h->parent, lu, nexus), h->step };
}

bool lingers_enforced(const struct node *n, unsigned lu)
{
	const struct pr_lingering *real = n->running ? pr_linger_find(&n->d.pr->linger, n->lus[lu]->name) : NULL;

	return real && effects_may_live((void *)&n->d, real->node);
}

/* The node that was lost, where its process lives on with the state that it had, and in that the nexus has the LU
 * reserved; NULL: there is none. */
static const struct node *holder_lives(const struct node *n, unsigned lu)
{
	const struct sim *s = n->sim;
	const struct lingering *l = &s->history[n->history].lingers[lu];
	const struct node *holder = l->nexus ? &s->node[(l->nexus - 1) % s->nodes + 1] : NULL;

	if (!holder || !holder->running || holder->dying || holder->leaving || holder->state_since >= l->step ||
	    holder->began > l->made) /* another process: the nexus has ended */
		return NULL;
	return s->history[holder->history].model[lu].pr.reserved_by == l->nexus ? holder : NULL;
}

static void check(const struct node *n, unsigned lu)
{
	const struct node *holder = holder_lives(n, lu);
	const struct resv_view *v = n->lus[lu]->resv;

	if (holder && !(v && v->kind == RESV_KIND_SPC2 && v->holder.rtpi == holder->id))
		sim_fail(n->sim, "P2: node %u lets everybody pass to LU %u, which is reserved by RESERVE on node %u, and "
			 "that may be alive", n->id, lu, holder->id);
}

void lingers_check(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		for (unsigned lu = 0; node_serving(&s->node[i]) && lu < s->groups; lu++)
			check(&s->node[i], lu);
}
