/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All have lost power: what was to survive it is the state of one of the histories from what was acknowledged on, each service's for
 * itself, with what is lost with the power taken away (P1: APTPL, SP=1, capacity).
 */
#include <string.h>

#include "tests/sim/sim.h"

void history_blackout(struct sim *s)
{
	struct history *h = &s->history[s->nhistories];

	if (s->nhistories == HISTORIES) {
		sim_fail(s, "more histories than the simulator has room for");
		return;
	}
	s->count.blackouts++;
	sim_trace(s, "all have lost power; acknowledged was history %d", s->frontier);
	memcpy(s->old_frontier, s->lu_frontier, sizeof(s->old_frontier));
	s->base_known = false;
	memset(s->medium_epoch, 0, sizeof(s->medium_epoch)); /* ownership does not survive either */
	*h = s->history[0]; /* until one goes on from its disk */
	s->root = s->frontier = s->nhistories++;
	for (unsigned i = 0; i < LUS; i++)
		s->lu_frontier[i] = s->root;
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

/* From any member's last history back to what was acknowledged: is one of those states, after the loss of power, what is there now? */
static bool find_survivor(struct node *n, unsigned lu, const struct kept *k, struct lu_model *to)
{
	struct sim *s = n->sim;

	for (uint32_t i = 1; i <= s->nodes; i++) {
		int at = s->node[i].at_death;

		if (!history_descends(s, at, s->old_frontier[lu]))
			continue;
		for (;; at = s->history[at].parent) {
			struct lu_model m = s->history[at].model[lu];

			lu_model_power_loss(&m);
			k->take(to, &m);
			if (k->equals(n, lu, &m))
				return true;
			if (at == s->old_frontier[lu])
				break;
		}
	}
	return false;
}

/* A member begins to use a state that it has from its disk: is it the one that has to be? */
void history_anchor(struct node *n)
{
	struct sim *s = n->sim;

	if (!n->from_disk || n->dying || s->unfollowed)
		return;
	n->from_disk = false;
	for (unsigned i = 0; i < s->groups; i++)
		for (unsigned k = 0; k < sizeof(kept) / sizeof(kept[0]); k++) {
			struct lu_model *m = &s->history[s->root].model[i];

			if (s->base_known ? !kept[k].equals(n, i, m) : !find_survivor(n, i, &kept[k], m))
				sim_fail(s, "P1: after a power loss node %u goes on with %s of LU %u that have lost what was acknowledged",
					 n->id, kept[k].what, i);
		}
	if (!s->base_known)
		sim_trace(s, "goes on from its disk");
	s->base_known = true;
}
