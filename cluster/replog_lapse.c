/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quorum was lost here, and is back, and not everybody is who was there before.
 *
 *   {1, 2} ── parted; the quorum device votes for node 1 ──▶ 1 goes on, 2 has no quorum
 *          ── node 1 loses the device, which votes for 2 ──▶ 2 has quorum, and what it has in memory may be outrun
 *
 * Such a side is no survivor: what it has in memory counts as much as what is in a store, and so it asks for the
 * others as at a start from the stores (replog_start.h). It goes on when they are here, or are known to be off, for
 * then they have acknowledged nothing alone: their answers waited for this side to be known to be off. Or the operator
 * says so. Who has left in order, or whose process has ended, has to start to go on, and would ask for this node. Those
 * who have had quorum all the time wait for nobody.
 *
 * Quorum is what this member knows, so this decides when it speaks (the leader's VIEW) and serves, and nothing else.
 * One that is slow may not see that quorum was lost: who sees it says so (LAPSE), and all of this side have been
 * without. A VIEW of the slow one may have its place before the LAPSE: who has seen the loss carries it out, and waits
 * all the same.
 */
#include <stdio.h>

#include "cluster/replog_int.h"

bool lapse_outrun(struct replog *r, struct start_missing *who)
{
	struct start_missing m = { .n = 0 };

	for (uint32_t i = 0; i < r->nunfenced && r->lapsed && replog_quorate(r); i++)
		if (!r->unfenced[i].unnamed && !member_find(r, r->unfenced[i].node))
			m.node[m.n++] = r->unfenced[i].node;
	if (who)
		*who = m;
	return m.n != 0;
}

void lapse_note(struct replog *r)
{
	if (!r->quorate && self_synced(r) && r->seated)
		r->lapsed = true;
}

static void send_lapse(struct replog *r)
{
	struct message m = { .type = MSG_LAPSE, .lapse = r->p.incarnation };
	struct wbuf out = { 0 };

	r->lapse_said = true;
	message_pack(&m, &out);
	replog_send(r, &out);
}

void lapse_settle(struct replog *r)
{
	if (!r->lapsed || !r->quorum_known)
		return;
	if (r->quorate && !lapse_outrun(r, NULL))
		r->lapsed = r->lapse_said = false;
	else if (!r->lapse_said && self_synced(r) && r->nmembers > 1 && r->version >= 3)
		send_lapse(r);
}

/* Whoever was too slow to see it has its VIEW under way, maybe: that one is of another branch. */
void lapse_deliver(struct replog *r, struct member *from, uint64_t incarnation)
{
	if (!self_follows(r) || !from->synced || from->incarnation != incarnation)
		return;
	r->lapsed = r->lapse_said = true;
	branch_fork(r);
	if (r->exchange)
		exchange_start(r);
}

void start_names(const struct replog *r, const struct start_missing *m, char *to, size_t size)
{
	size_t at = 0;

	*to = 0;
	for (uint32_t i = 0; i < m->n && at < size; i++) {
		const char *name = r->io.node_name ? r->io.node_name(r->io.arg, m->node[i]) : NULL;

		if (name)
			at += snprintf(to + at, size - at, "%s%s", i ? ", " : "", name);
		else
			at += snprintf(to + at, size - at, "%s%u", i ? ", " : "", m->node[i]);
	}
}

const char *lapse_why(struct replog *r)
{
	struct start_missing who;
	char names[128];

	lapse_outrun(r, &who);
	start_names(r, &who, names, sizeof(names));
	snprintf(r->lapse_why, sizeof(r->lapse_why), "quorate again, waiting for node %s, which may have gone on "
		 "meanwhile: start it, or fence it; `sandemctl cluster resolve --keep %s` here goes on without what only it has "
		 "acknowledged", names, r->node_name);
	return r->lapse_why;
}
