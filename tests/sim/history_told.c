/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who has to be told by unit attentions (SAM-5 5.14): all whom an acknowledged operation concerns, on every node; and when a node was
 * away, its I_T nexuses that lived on, as soon as it serves again (P1).
 *
 * What a node has missed it has as the difference of two states: what happened and was undone meanwhile nobody has to hear of. A
 * logical unit reset can't be undone.
 */
#include <string.h>

#include "tests/sim/sim.h"

static int tell_of(uint16_t code)
{
	switch (code) {
	case UA_RESERVATIONS_PREEMPTED:
	case UA_REGISTRATIONS_PREEMPTED:
		return TELL_PREEMPTED;
	case UA_RESERVATIONS_RELEASED:
		return TELL_RELEASED;
	case UA_MODE_PARAMETERS_CHANGED:
		return TELL_MODE;
	case UA_LOG_PARAMETERS_CHANGED:
		return TELL_LOG;
	case UA_TIMESTAMP_CHANGED:
		return TELL_CLOCK;
	case UA_CAPACITY_CHANGED:
		return TELL_CAPACITY;
	case UA_BUS_DEVICE_RESET:
		return TELL_RESET;
	case UA_COMMANDS_CLEARED_BY_ANOTHER:
		return TELL_CLEARED;
	case UA_POWER_ON:
		return TELL_POWER_ON;
	}
	return -1;
}

static const char *const what[TELLS] = {
	[TELL_PREEMPTED] = "it was preempted", [TELL_RELEASED] = "the reservation was released",
	[TELL_MODE] = "mode parameters changed", [TELL_LOG] = "log parameters changed", [TELL_CLOCK] = "the timestamp changed",
	[TELL_CAPACITY] = "the capacity changed", [TELL_RESET] = "the logical unit was reset",
	[TELL_CLEARED] = "its commands were cleared",
};

void told_note(struct slot *sl, uint16_t code)
{
	int t = tell_of(code);

	if (t >= 0)
		sl->node->session[sl->initiator].told[sl->lu][t] = sl->node->sim->steps + 1;
}

/* After a reset an initiator looks at these anew. */
static bool reset_says(enum tell t)
{
	return t == TELL_MODE || t == TELL_LOG || t == TELL_CLEARED || t == TELL_RESET;
}

static bool pending_says(const struct session *se, unsigned lu, enum tell t)
{
	const struct ua_queue *q = &se->nexus.itl[lu].ua;

	for (uint8_t i = 0; i < q->n; i++) {
		int by = tell_of(q->code[i]);

		if (by == (int)t || (by == TELL_RESET && reset_says(t)))
			return true;
		/* more than the queue holds, or still that of the login, which is about what was before, but hides a reset's */
		if (by == TELL_POWER_ON && (t == TELL_RESET || t == TELL_CLEARED || q->n == 1 || se->told[lu][TELL_POWER_ON]))
			return true;
	}
	return false;
}

static bool told(const struct session *se, unsigned lu, uint64_t since, enum tell t)
{
	return se->told[lu][t] > since || se->told[lu][TELL_POWER_ON] > since ||
	       (se->told[lu][TELL_RESET] > since && reset_says(t)) || pending_says(se, lu, t);
}

bool told_cleared(const struct session *se, unsigned lu, uint64_t since)
{
	return told(se, lu, since, TELL_CLEARED);
}

/* ---- acknowledged ------------------------------------------------------------------------------------------------------- */

static bool missed(const struct node *n, int at)
{
	return n->restored >= 0 && history_descends(n->sim, n->restored, at);
}

void told_check(struct node *n, int at, uint64_t since)
{
	const struct history *h = &n->sim->history[at];

	for (unsigned i = 0; i < INITIATORS && h->lu >= 0; i++) {
		unsigned nexus = nexus_of(n->sim, i, n->id);
		const struct session *se = &n->session[i];

		if (se->since >= since || missed(n, at))
			continue;
		for (unsigned t = 0; t < TELLS; t++)
			if ((h->model[h->lu].told[t] & 1u << nexus) && !told(se, h->lu, since, t))
				sim_fail(n->sim, "P1: operation %u on LU %d is acknowledged, but initiator %u on node %u is not told "
					 "that %s", h->op, h->lu, i, n->id, what[t]);
	}
}

/* ---- missed ----------------------------------------------------------------------------------------------------------------- */

/* Whether the two states differ in what t is about, for this nexus. */
static bool differs(const struct lu_model *a, const struct lu_model *b, unsigned nexus, enum tell t)
{
	switch (t) {
	case TELL_PREEMPTED:
		return a->pr.key[nexus] && !b->pr.key[nexus];
	case TELL_RELEASED:
		return a->pr.type && b->pr.key[nexus] && a->pr.type != b->pr.type;
	case TELL_MODE:
		return memcmp(a->mode, b->mode, sizeof(a->mode));
	case TELL_LOG:
		return memcmp(a->log_resets, b->log_resets, sizeof(a->log_resets));
	case TELL_CLOCK:
		return a->clock_set != b->clock_set || a->clock != b->clock;
	case TELL_CAPACITY:
		return a->blocks && a->blocks != b->blocks;
	case TELL_RESET: /* of whatever lies between the two */
		return true;
	case TELL_CLEARED: /* by whom nobody knows any more, so it is told those alone whose commands were still there (load.c) */
	case TELL_POWER_ON:
	case TELLS:
		break;
	}
	return false;
}

/* Before, a function of task management left nothing behind. */
static bool remembered(const struct node *n, enum tell t)
{
	return t != TELL_RESET || cluster_version(n->d.cluster) >= TASKS_ID_SINCE;
}

static void owe(struct node *n, const struct history *h, const struct history *before)
{
	struct sim *s = n->sim;
	const struct lu_model *m = &h->model[h->lu];

	for (unsigned i = 0; i < INITIATORS; i++) {
		struct session *se = &n->session[i];
		unsigned nexus = nexus_of(s, i, n->id);

		if (se->since >= h->step)
			continue;
		for (unsigned t = 0; t < TELLS; t++) {
			if (!(m->told[t] & 1u << nexus) || !remembered(n, t) ||
			    !differs(&before->model[h->lu], &s->history[n->history].model[h->lu], nexus, t))
				continue;
			se->owed[h->lu] |= 1u << t;
			se->owed_since[h->lu][t] = s->steps;
			s->count.owed++;
		}
	}
}

void told_owed(struct node *n, int before)
{
	struct sim *s = n->sim;

	for (int i = n->history; i >= 0 && !history_descends(s, before, i); i = s->history[i].parent)
		if (s->history[i].lu >= 0)
			owe(n, &s->history[i], &s->history[before]);
}

void told_check_owed(struct node *n)
{
	for (unsigned i = 0; i < INITIATORS; i++) {
		struct session *se = &n->session[i];

		for (unsigned lu = 0; lu < n->sim->groups; lu++)
			for (unsigned t = 0; t < TELLS; t++)
				if ((se->owed[lu] & 1u << t) && !told(se, lu, se->owed_since[lu][t], t))
					sim_fail(n->sim, "P1: node %u serves again, but initiator %u on it is not told that %s of LU %u "
						 "meanwhile", n->id, i, what[t], lu);
		memset(se->owed, 0, sizeof(se->owed));
	}
}
