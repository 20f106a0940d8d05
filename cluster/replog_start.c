/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/replog_start.h"

bool lineage_has(const struct lineage *w, const struct lineage *l)
{
	if (!l->committed_generation || l->committed_history == w->history || l->committed_history == w->committed_history)
		return true;
	for (uint32_t i = 0; i < w->nknown; i++)
		if (w->known[i] == l->committed_history)
			return true;
	return l->committed_generation + REPLOG_KNOWN_MAX <= w->generation;
}

/* Later in the same line, or of a line of its own that began later. Memberships that were not stored do not count:
 * nothing was acknowledged in them. */
static bool is_later(const struct lineage *l, const struct lineage *state)
{
	if (lineage_has(state, l))
		return false;
	return l->era != state->era ? l->era > state->era : l->committed_generation > state->committed_generation;
}

static bool is_here(const struct start_present *here, uint32_t nhere, uint32_t node)
{
	for (uint32_t i = 0; i < nhere; i++)
		if (here[i].node == node)
			return true;
	return false;
}

bool start_allowed(const struct lineage *state, const struct start_present *here, uint32_t nhere, struct start_missing *m)
{
	const struct lineage *latest = state;

	*m = (struct start_missing){ .n = 0 };
	for (uint32_t i = 0; i < nhere; i++)
		if (here[i].told && (!latest || is_later(here[i].lineage, latest)))
			latest = here[i].lineage;
	m->behind = latest != state;
	for (uint32_t i = 0; latest && i < latest->nmembers; i++)
		if (!is_here(here, nhere, latest->member[i]))
			m->node[m->n++] = latest->member[i];
	return state && !m->behind && !m->n;
}
