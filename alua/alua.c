/* SPDX-License-Identifier: BSD-2-Clause */
#include "alua/alua.h"

#include <stdlib.h>

/* ---- predicates --------------------------------------------------------------------------------- */

const char *group_verdict_text(enum group_verdict v)
{
	switch (v) {
	case GROUP_OK:
		return "done";
	case GROUP_UNCHANGED:
		return "nothing to do";
	case GROUP_REFUSED_OWNED:
		return "another member owns the group; demote it there first";
	case GROUP_REFUSED_STALE:
		return "the ownership that it speaks of is over";
	case GROUP_REFUSED_NOT_OWNER:
		return "this node does not own the group";
	case GROUP_REFUSED_BUSY:
		return "the owner is still closing the devices; try again when it has";
	case GROUP_REFUSED_UNKNOWN:
		return "there is no such group in the configuration";
	}
	return "?";
}

const char *alua_state_text(enum alua_state s)
{
	switch (s) {
	case ALUA_OPTIMIZED:
		return "active";
	case ALUA_NONOPTIMIZED:
		return "nonoptimized";
	case ALUA_STANDBY:
		return "standby";
	case ALUA_UNAVAILABLE:
		return "unavailable";
	case ALUA_OFFLINE:
		return "offline";
	case ALUA_TRANSITIONING:
		return "transitioning";
	}
	return "?";
}

static bool contains(const uint32_t *id, size_t n, uint32_t node)
{
	for (size_t i = 0; i < n; i++)
		if (id[i] == node)
			return true;
	return false;
}

static bool is_member(const struct alua_situation *s, uint32_t node)
{
	return contains(s->member, s->nmembers, node);
}

/* Whether the ports of `node` forward to the owner. Of links between two other nodes nothing is known here: they are taken to be up,
 * and those nodes' own answers tell better. */
static bool forwards(const struct alua_situation *s, uint32_t node)
{
	if (!s->forward)
		return false;
	if (node == s->self)
		return contains(s->link_to, s->nlink_to, s->group->owner);
	if (s->group->owner == s->self)
		return contains(s->link_from, s->nlink_from, node);
	return true;
}

/* A group on its way to an owner: commands wait for it. */
static bool in_transition(const struct group *g)
{
	return g->phase == GROUP_OPENING || g->phase == GROUP_CLOSING || g->phase == GROUP_HANDOVER ||
	       (g->phase == GROUP_ACTIVE && g->lost);
}

/* ---- transitions -------------------------------------------------------------------------------- */

static enum group_verdict promote(struct group *g, uint32_t node)
{
	bool vacant = g->phase == GROUP_NONE || g->phase == GROUP_HANDOVER || g->lost;

	if (!vacant && g->owner == node)
		return g->phase == GROUP_CLOSING ? GROUP_REFUSED_BUSY : GROUP_UNCHANGED;
	if (!vacant)
		return g->phase == GROUP_CLOSING ? GROUP_REFUSED_BUSY : GROUP_REFUSED_OWNED;
	g->phase = GROUP_OPENING;
	g->owner = node;
	g->epoch++;
	g->lost = false;
	return GROUP_OK;
}

static enum group_verdict demote(struct group *g, uint32_t node)
{
	if (g->owner != node || g->lost || g->phase == GROUP_CLOSING)
		return GROUP_UNCHANGED;
	g->phase = GROUP_CLOSING;
	return GROUP_OK;
}

/* The owner reports on its own ownership: in `from`, with the epoch it was given. */
static enum group_verdict report(struct group *g, uint32_t node, uint64_t epoch, enum group_phase from,
				 enum group_phase to)
{
	if (g->epoch != epoch)
		return GROUP_REFUSED_STALE;
	if (g->owner != node || g->lost)
		return GROUP_REFUSED_NOT_OWNER;
	if (g->phase != from)
		return GROUP_REFUSED_STALE;
	g->phase = to;
	if (to != GROUP_ACTIVE)
		g->owner = 0;
	return GROUP_OK;
}

static enum group_verdict give_up(struct group *g, uint64_t epoch)
{
	if (g->epoch != epoch || g->phase != GROUP_HANDOVER)
		return GROUP_REFUSED_STALE;
	g->phase = GROUP_NONE;
	return GROUP_OK;
}

enum group_verdict group_apply(struct group *g, enum group_action action, uint32_t node, uint64_t epoch)
{
	switch (action) {
	case GROUP_PROMOTE:
		return promote(g, node);
	case GROUP_ACTIVATE:
		return report(g, node, epoch, GROUP_OPENING, GROUP_ACTIVE);
	case GROUP_OPEN_FAILED:
		return report(g, node, epoch, GROUP_OPENING, GROUP_NONE);
	case GROUP_DEMOTE:
		return demote(g, node);
	case GROUP_CLOSED:
		return report(g, node, epoch, GROUP_CLOSING, GROUP_HANDOVER);
	case GROUP_GIVE_UP:
		return give_up(g, epoch);
	}
	return GROUP_REFUSED_STALE;
}

bool group_member_lost(struct group *g, uint32_t node)
{
	if (g->owner != node || g->lost)
		return false;
	/* Whatever it was doing, its devices may be open until it is fenced. */
	g->phase = GROUP_ACTIVE;
	g->lost = true;
	return true;
}

bool group_member_back(struct group *g, uint32_t node)
{
	if (!g->lost || g->owner != node)
		return false;
	g->owner = 0;
	return true;
}

/* ---- what the ports report and do ----------------------------------------------------------------- */

enum alua_state alua_state_of(const struct alua_situation *s, uint32_t node)
{
	const struct group *g = s->group;

	if (!is_member(s, node) || (node == s->self && (!s->serving || s->failed)))
		return ALUA_UNAVAILABLE;
	if (in_transition(g))
		return ALUA_TRANSITIONING;
	if (g->phase == GROUP_NONE)
		return ALUA_UNAVAILABLE;
	if (g->owner == node)
		return ALUA_OPTIMIZED;
	return forwards(s, node) ? ALUA_NONOPTIMIZED : ALUA_STANDBY;
}

void alua_verdict(const struct alua_situation *s, enum gate_verdict *verdict, sense_t *sense)
{
	*verdict = GATE_REFUSE;
	switch (alua_state_of(s, s->self)) {
	case ALUA_OPTIMIZED:
		*verdict = GATE_ADMIT;
		*sense = SENSE_NONE;
		return;
	case ALUA_TRANSITIONING:
		*verdict = GATE_HOLD;
		*sense = SENSE_LU_NOT_READY_TRANSITION;
		return;
	case ALUA_NONOPTIMIZED:
		*verdict = GATE_FORWARD;
		*sense = SENSE_LU_NOT_READY_TRANSITION;
		return;
	case ALUA_STANDBY:
		*sense = SENSE_LU_NOT_READY_STANDBY;
		return;
	case ALUA_UNAVAILABLE:
	case ALUA_OFFLINE:
		*sense = SENSE_LU_NOT_READY_UNAVAILABLE;
		return;
	}
}

void alua_gate_free(const struct alua_gate *g)
{
	free((void *)g);
}

/* One block: gate, one tpg per node (at most one per port), the ports' identifiers. */
struct alua_gate *alua_gate_new(const struct alua_situation *s, const struct alua_port_ref *ports, size_t nports)
{
	size_t tpgs = nports * sizeof(struct alua_tpg), ids = nports * sizeof(uint16_t);
	struct alua_gate *g = calloc(1, sizeof(*g) + tpgs + ids);
	struct alua_tpg *tpg;
	uint16_t *rtpi;

	if (!g)
		return NULL;
	tpg = (struct alua_tpg *)(g + 1);
	rtpi = (uint16_t *)((char *)tpg + tpgs);
	alua_verdict(s, &g->medium, &g->medium_sense);
	g->local_state = alua_state_of(s, s->self);
	g->hold_limit_ms = s->hold_limit_ms;
	g->nonoptimized = s->forward;
	g->lost = s->group->lost;
	g->owner = s->group->owner;
	g->epoch = s->group->epoch;
	g->transition_time = s->hold_limit_ms / 1000 + 1;
	g->tpg = tpg;
	for (size_t i = 0; i < nports; i++) {
		struct alua_tpg *t = &tpg[g->ntpg ? g->ntpg - 1 : 0];

		if (!g->ntpg || t->id != ports[i].tpg) {
			t = &tpg[g->ntpg++];
			*t = (struct alua_tpg){ .id = ports[i].tpg, .rtpi = &rtpi[i],
						.state = alua_state_of(s, ports[i].tpg),
						.preferred = ports[i].tpg == s->preferred,
						.status_code = 2 /* implicit */ };
		}
		rtpi[i] = ports[i].rtpi;
		t->nports++;
	}
	return g;
}
