/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process goes on from what it has loaded: an era begins. What was to survive is the state of one of the histories from what was
 * acknowledged on, each service's for itself, with what is lost with the power taken away (P1: APTPL, SP=1, capacity).
 */
#include <string.h>

#include "tests/sim/sim.h"

static int beginning(struct sim *s, int from)
{
	struct history *h = &s->history[s->nhistories];

	if (s->nhistories == HISTORIES) {
		sim_fail(s, "more histories than the simulator has room for");
		return 0;
	}
	*h = s->history[from];
	h->parent = h->lu = -1;
	h->used = false;
	return s->nhistories++;
}

int history_loaded(struct sim *s)
{
	return beginning(s, 0);
}

void history_resolved(struct sim *s)
{
	s->resolved = true;
	s->config.acked = 0;
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->node[i].running)
			s->node[i].history = beginning(s, s->node[i].history);
}

/* What only memory had is gone, whoever may still have it. */
static void new_era(struct sim *s, int root)
{
	s->count.starts++;
	sim_trace(s, "a start from the stores, history %d; acknowledged was history %d", root, s->frontier);
	memcpy(s->old_frontier, s->lu_frontier, sizeof(s->old_frontier));
	if (s->frontier != s->root)
		memcpy(s->older_frontier, s->lu_frontier, sizeof(s->older_frontier));
	memset(s->medium_epoch, 0, sizeof(s->medium_epoch)); /* ownership does not survive either */
	s->history[root].used = true;
	s->root = s->frontier = root;
	for (unsigned i = 0; i < LUS; i++)
		s->lu_frontier[i] = root;
}

static const char *const name[LUS] = { "0", "1" };

static bool pr_equals(struct node *n, unsigned lu, const struct lu_model *model)
{
	const struct pr_lu *real = pr_service_find(n->d.pr, name[lu]);
	const struct pr_model *m = &model->pr;
	unsigned registrants = 0;

	for (unsigned i = 0; i < m->nexuses; i++)
		registrants += !!m->key[i];
	if (!real)
		return !registrants && !m->type && !m->reserved_by;
	if (real->pr.n != registrants || (unsigned)real->pr.type != m->type || real->pr.aptpl != m->aptpl ||
	    real->spc2_reserved != (m->reserved_by != 0))
		return false;
	for (uint32_t i = 0; i < real->pr.n; i++) {
		int k = nexus_number(n->sim, &real->pr.reg[i]->id);

		if (m->key[k] != real->pr.reg[i]->key || (m->holder == k) != (real->pr.holder == real->pr.reg[i]))
			return false;
	}
	return true;
}

static void pr_take(struct lu_model *to, const struct lu_model *from)
{
	to->pr = from->pr;
}

static bool mode_equals(struct node *n, unsigned lu, const struct lu_model *m)
{
	struct mode_state now, saved;

	modes_of(&n->d, n->lus[lu], &now, &saved);
	for (unsigned f = 0; f < MODE_FIELDS; f++)
		if (mode_value(&now, f) != m->mode[f] || mode_value(&saved, f) != m->saved[f])
			return false;
	return true;
}

static void mode_take(struct lu_model *to, const struct lu_model *from)
{
	memcpy(to->mode, from->mode, sizeof(to->mode));
	memcpy(to->saved, from->saved, sizeof(to->saved));
}

static bool media_equals(struct node *n, unsigned lu, const struct lu_model *m)
{
	const struct media_lu *real = media_service_find(n->d.media, name[lu]);

	return (real ? real->blocks : 0) == m->blocks;
}

static void media_take(struct lu_model *to, const struct lu_model *from)
{
	to->blocks = from->blocks;
}

/* What the services keep, each for itself. */
static const struct kept {
	const char *what;
	bool (*equals)(struct node *n, unsigned lu, const struct lu_model *m);
	void (*take)(struct lu_model *to, const struct lu_model *from);
} kept[] = {
	{ "reservations", pr_equals, pr_take },
	{ "mode parameters", mode_equals, mode_take },
	{ "capacity", media_equals, media_take },
};

static bool survives(struct node *n, unsigned lu, const struct kept *k, int at, bool in_memory, struct lu_model *to)
{
	struct lu_model m = n->sim->history[at].model[lu];

	if (!in_memory)
		lu_model_power_loss(&m);
	k->take(to, &m);
	return k->equals(n, lu, &m);
}

/* From `at` back to what was acknowledged: is one of those states, after the loss of power, what is there now? */
static bool find_back(struct node *n, unsigned lu, const struct kept *k, int at, int frontier, struct lu_model *to)
{
	const struct sim *s = n->sim;

	if (!history_descends(s, at, frontier))
		return false;
	for (;; at = s->history[at].parent) {
		if (survives(n, lu, k, at, false, to))
			return true;
		if (at == frontier)
			return false;
	}
}

/* Any member's last history, or the one that its store still has because the snapshot's is not stored yet: what nobody
 * has acknowledged may be there or not. */
static bool find_survivor(struct node *n, unsigned lu, const struct kept *k, const int *frontier, struct lu_model *to)
{
	const struct sim *s = n->sim;

	for (uint32_t i = 1; i <= s->nodes; i++)
		if (find_back(n, lu, k, s->node[i].at_death, frontier[lu], to) ||
		    find_back(n, lu, k, s->node[i].on_disk, frontier[lu], to))
			return true;
	return false;
}

/* The operator has given up what is missing: it may be any state that has been, also as a joiner has taken it over. */
static bool find_any(struct node *n, unsigned lu, const struct kept *k, struct lu_model *to)
{
	struct sim *s = n->sim;

	for (int at = 0; at < s->nhistories; at++)
		if (s->history[at].used && at != s->root &&
		    (survives(n, lu, k, at, false, to) || survives(n, lu, k, at, true, to)))
			return true;
	return false;
}

/* A start in version 1 that has acknowledged nothing may be gone back on: it is not known to be the later one. */
static bool may_go_on(struct node *n, unsigned lu, const struct kept *k, struct lu_model *to)
{
	const struct sim *s = n->sim;

	return find_survivor(n, lu, k, s->old_frontier, to) ||
	       (upgrade_old_rules(s) && find_survivor(n, lu, k, s->older_frontier, to)) ||
	       (s->resolved && find_any(n, lu, k, to));
}

/* A member begins to use a state that it has from its disk: is it the one that has to be? */
void history_anchor(struct node *n)
{
	struct sim *s = n->sim;

	if (s->history[n->history].used || n->dying || s->unfollowed)
		return;
	new_era(s, n->history);
	for (unsigned i = 0; i < s->groups; i++)
		for (unsigned k = 0; k < sizeof(kept) / sizeof(kept[0]); k++) {
			struct lu_model *m = &s->history[s->root].model[i];

			if (!may_go_on(n, i, &kept[k], m))
				sim_fail(s, "P1: node %u goes on from its store with %s of LU %u of before what was acknowledged",
					 n->id, kept[k].what, i);
		}
}
