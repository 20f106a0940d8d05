/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the store claims: the name of a VIEW, up to which it has everything, and that VIEW's members (replog_start.h).
 *
 * It may only when all others wait for this member: a VIEW has named it, and it has carried out what came before.
 *
 * While a lost member may still be alive this may not be the history that goes on: its name is kept from stable
 * storage until fencing has decided, and so are the answers that depend on it. A joiner's copy, which is partial, then
 * counts as its source's did: that history has its name already.
 *
 * From version 2 on each VIEW is stored, whether or not an answer depends on it, for it says who may go on without whom:
 * by a joiner when it counts, and by all when its members have said that they have come to it. One that came to this
 * side of a partition only is no part of the history that goes on.
 */
#include <string.h>

#include "cluster/replog_int.h"

static void persist_name(struct replog *r, uint64_t era, uint64_t generation, uint64_t history,
			 const struct node_list *members)
{
	struct replog_lineage l;

	replog_lineage(r, &l);
	l.era = r->persisting_era = era;
	l.generation = generation;
	l.history = history;
	l.partial = false;
	r->persisting_members = *members;
	l.nmembers = members->n;
	memcpy(l.member, members->node, sizeof(l.member));
	r->persisting = generation;
	r->persisting_history = history;
	r->io.persist_lineage(r->io.arg, &l);
}

static bool view_is_everywhere(const struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];

		if (m->synced && m->node != r->p.node && m->acked < r->view_position && m->beyond.reach < r->view_position)
			return false;
	}
	return true;
}

/* Or it goes on by the rule for stores: what is not in it was not acknowledged, though no VIEW has named it since. */
static bool waited_for(const struct replog *r)
{
	return r->seated || (r->partial && r->unconfirmed && r->version >= 2);
}

/* The VIEW that the source of its copy had stored, for the later one can't be named now. */
static bool source_claim_due(const struct replog *r)
{
	return r->partial && (r->version < 2 || r->nunfenced || !r->seated);
}

void claim_settle(struct replog *r)
{
	bool each = r->version >= 2;
	uint64_t due = each ? r->generation : r->dirty_generation;

	if (!self_synced(r) || !waited_for(r) || r->done_position < r->serve_from || r->persisting || !r->published)
		return;
	if (each && !(member_self(r)->counted && view_is_everywhere(r)))
		return;
	if (source_claim_due(r))
		persist_name(r, r->committed_era, r->committed_generation, r->committed_history, &r->committed_members);
	else if (!r->nunfenced && due > r->committed_generation)
		persist_name(r, r->era, r->generation, r->history, &r->members);
}

/* What keeps a name from stable storage longer than it takes to store it is not waited for: the joiner may be it. Nor is
 * a VIEW that has not come here: one of a line that the operator has given up may have a higher number. */
bool claim_reaches(struct replog *r, uint64_t generation)
{
	uint64_t due = generation < r->generation ? generation : r->generation;
	bool comes = r->partial || r->persisting || (r->seated && !r->nunfenced);

	return r->version < 2 || op_committed(r) >= due || !(comes && member_self(r)->counted);
}
