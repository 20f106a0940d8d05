/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is in the group, who is lost, and the ordered membership change (VIEW). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog_int.h"

/* ---- predicates ------------------------------------------------------------------------------ */

struct member *member_find(struct replog *r, uint32_t node)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].node == node)
			return &r->member[i];
	return NULL;
}

struct member *member_self(struct replog *r)
{
	return member_find(r, r->p.node);
}

struct member *member_leader(struct replog *r)
{
	struct member *best = NULL;

	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		if (m->synced && (!best || m->order < best->order))
			best = m;
	}
	return best;
}

bool self_synced(struct replog *r)
{
	struct member *m = member_self(r);

	return m && m->synced;
}

bool self_follows(struct replog *r)
{
	return self_synced(r) || r->join == JOIN_PUBLISH || r->join == JOIN_ANNOUNCED;
}

static bool anyone_unsynced(const struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (!r->member[i].synced && !r->member[i].goodbye)
			return true;
	return false;
}

const struct seat *seat_find(const struct replog *r, uint32_t node)
{
	for (uint32_t i = 0; i < r->nseats; i++)
		if (r->seat[i].node == node)
			return &r->seat[i];
	return NULL;
}

/* It has synced since the last VIEW: it has not served, and owns nothing, whatever the node owned before. */
static bool never_named(const struct replog *r, const struct member *m)
{
	const struct seat *s = seat_find(r, m->node);

	return version_has_processes(r) && (!s || s->incarnation != m->incarnation);
}

/* splitmix64's finisher over a running value: the same on every member, and no two branches alike. */
uint64_t mix64(uint64_t h, uint64_t v)
{
	h = (h ^ v) + 0x9e3779b97f4a7c15ull;
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
	h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
	return h ^ (h >> 31);
}

/* ---- mutators ------------------------------------------------------------------------------- */

void unfenced_add(struct replog *r, const struct unfenced *u)
{
	for (uint32_t i = 0; i < r->nunfenced; i++)
		if (r->unfenced[i].node == u->node)
			return;
	if (r->nunfenced == REPLOG_MEMBERS_MAX) {
		replog_failf(r, "more than %u nodes wait for fencing; restart sandemd on this node", REPLOG_MEMBERS_MAX);
		return;
	}
	r->unfenced[r->nunfenced++] = *u;
	replog_say(r, LOG_LEVEL_WARNING, "node %u is lost and may still be writing: reservation commands wait until its "
			"fencing is confirmed", u->node);
}

void unfenced_remove(struct replog *r, uint32_t node)
{
	for (uint32_t i = 0; i < r->nunfenced; i++) {
		if (r->unfenced[i].node == node) {
			r->unfenced[i] = r->unfenced[--r->nunfenced];
			replog_say(r, LOG_LEVEL_NOTICE, "node %u is no longer waited for", node);
			if (r->io.settled)
				r->io.settled(r->io.arg, node);
			return;
		}
	}
}

bool fenced_heard(const struct replog *r, uint32_t node)
{
	for (uint32_t i = 0; i < r->nfenced; i++)
		if (r->fenced[i] == node)
			return true;
	return false;
}

void fenced_note(struct replog *r, uint32_t node)
{
	if (r->in_group && !self_synced(r) && !member_find(r, node) && !fenced_heard(r, node) && r->nfenced < REPLOG_MEMBERS_MAX)
		r->fenced[r->nfenced++] = node;
}

void fenced_forget(struct replog *r, uint32_t node)
{
	for (uint32_t i = 0; i < r->nfenced; i++)
		if (r->fenced[i] == node)
			r->fenced[i--] = r->fenced[--r->nfenced];
}

/* A new process on the node: the one that was lost is dead. */
void unfenced_new_process(struct replog *r, uint32_t node, uint64_t incarnation)
{
	for (uint32_t i = 0; i < r->nunfenced; i++) {
		if (r->unfenced[i].node == node && r->unfenced[i].incarnation != incarnation) {
			unfenced_remove(r, node);
			return;
		}
	}
}

void known_add(struct replog *r, uint64_t history)
{
	uint32_t keep = r->nknown < REPLOG_KNOWN_MAX - 1 ? r->nknown : REPLOG_KNOWN_MAX - 1;

	memmove(&r->known[1], &r->known[0], keep * sizeof(r->known[0]));
	r->known[0] = history;
	r->nknown = keep + 1;
}

static void member_add(struct replog *r, uint32_t node)
{
	uint32_t at = 0;

	if (member_find(r, node))
		return;
	if (r->nmembers == REPLOG_MEMBERS_MAX) {
		replog_failf(r, "more than %u nodes in the group; remove some", REPLOG_MEMBERS_MAX);
		return;
	}
	while (at < r->nmembers && r->member[at].node < node)
		at++;
	memmove(&r->member[at + 1], &r->member[at], (r->nmembers - at) * sizeof(r->member[0]));
	r->member[at] = (struct member){ .node = node };
	r->nmembers++;
	fenced_forget(r, node);
}

static void member_remove(struct replog *r, struct member *m)
{
	uint32_t at = m - r->member;

	memmove(m, m + 1, (r->nmembers - at - 1) * sizeof(*m));
	r->nmembers--;
}

void member_out(struct replog *r, struct member *m)
{
	/* Without the history's name its store does not show that it has the operations. */
	uint64_t acked = m->committed_generation < r->dirty_generation ? 0 : m->acked;

	m->synced = m->counted = false;
	r->view_stale = true;
	if (!r->lost_acked || acked + 1 < r->lost_acked)
		r->lost_acked = acked + 1;
}

/* A process that no VIEW has named and that has ended is, whatever its node owned before. */
void unfenced_unless_harmless(struct replog *r, const struct member *m, bool node_down)
{
	const struct unfenced u = { m->node, m->incarnation, never_named(r, m) };

	if (m->node != r->p.node && (node_down || !u.unnamed) && !r->io.harmless(r->io.arg, m->node, node_down))
		unfenced_add(r, &u);
}

/* m is out of the branch without having said that it is drained. */
void view_unsync(struct replog *r, struct member *m, bool node_down)
{
	member_out(r, m);
	unfenced_unless_harmless(r, m, node_down);
}

/* Every change of the set that is synced makes another branch. */
void branch_fork(struct replog *r)
{
	r->branch = mix64(r->branch, 1);
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].synced)
			r->branch = mix64(mix64(r->branch, r->member[i].node), r->member[i].incarnation);
}

void branch_own(struct replog *r)
{
	r->branch = mix64(mix64(r->branch, r->p.incarnation), r->round);
}

void branch_abandon(struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		r->member[i].synced = r->member[i].counted = false;
	r->live = r->published = r->established = false;
	r->outdated = true;
	branch_own(r);
}

/*
 * Who counts: a member whose store says that a VIEW has named it, after the stores of those who counted before have said
 * so. Without the second a joiner could be the last that is left, go on and be forgotten: the others, back with what
 * they have stored, would not know that they have to ask for it (replog_start.h). All members judge alike, by acks.
 */
void view_count(struct replog *r)
{
	if (r->view_stale)
		return;
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].synced && r->member[i].counted && r->member[i].committed_generation < r->generation)
			return;
	for (uint32_t i = 0; i < r->nmembers; i++)
		r->member[i].counted = r->member[i].synced;
}

static bool anyone_counts(const struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].synced && r->member[i].counted)
			return true;
	return false;
}

bool view_counts(struct replog *r)
{
	if (anyone_counts(r) || !self_synced(r) || r->version < 2)
		return true;
	replog_say(r, LOG_LEVEL_WARNING, "all are gone who had this state before this node had it for good: it counts no more");
	branch_abandon(r);
	return false;
}

/* True when a member of this branch was lost without a goodbye. */
static bool member_gone(struct replog *r, const struct replog_gone *g)
{
	struct member *m = member_find(r, g->node);
	bool lost = m && m->synced;

	if (lost)
		view_unsync(r, m, g->reason == REPLOG_NODE_DOWN);
	else if (m && (!self_synced(r) || !r->generation) && m->node != r->p.node && g->reason == REPLOG_NODE_DOWN)
		/* it may be the cluster that this joiner was to join, or make the first membership ever on its side */
		unfenced_add(r, &(struct unfenced){ m->node, m->incarnation, false });
	if (m)
		member_remove(r, m);
	return lost;
}

/* A node's death looks like a partition, and then the other side may have the quorum. */
static void node_down(struct replog *r)
{
	r->established = r->quorum_known = r->lapse_said = false;
	r->grace_end = r->now + REPLOG_GRACE_NS;
}

/* ---- entry points ----------------------------------------------------------------------------- */

static bool contains(const uint32_t *node, size_t n, uint32_t what)
{
	for (size_t i = 0; i < n; i++)
		if (node[i] == what)
			return true;
	return false;
}

static void first_view(struct replog *r)
{
	r->in_group = true;
	r->nfenced = 0;
	r->exchange_since = r->now;
	snprintf(r->join_why, sizeof(r->join_why), "exchanging states with the other members");
}

void replog_confchg(struct replog *r, const uint32_t *members, size_t n, const struct replog_gone *gone, size_t ngone,
		    const uint32_t *joined, size_t njoined)
{
	bool fork = false, down = false;

	replog_enter(r);
	if (!contains(members, n, r->p.node) || r->leaving) {
		r->in_group = r->in_group && !r->leaving;
		replog_leave(r);
		return;
	}
	if (!r->in_group)
		first_view(r);
	for (size_t i = 0; i < ngone; i++) {
		fork |= member_gone(r, &gone[i]);
		down |= gone[i].reason == REPLOG_NODE_DOWN;
	}
	for (size_t i = 0; i < njoined; i++) /* a process that came back before its end was told */
		if (joined[i] != r->p.node)
			fork |= member_gone(r, &(struct replog_gone){ joined[i], REPLOG_PROCESS_DOWN });
	if (fork)
		branch_fork(r);
	if (down)
		node_down(r);
	view_counts(r);
	join_reset(r);
	snapshot_stop(r);
	digest_abandon(r);
	for (size_t i = 0; i < n; i++)
		member_add(r, members[i]);
	if (njoined || anyone_unsynced(r))
		exchange_start(r);
	else
		exchange_stop(r);
	replog_leave(r);
}

void goodbye_deliver(struct replog *r, struct member *from, uint64_t incarnation)
{
	bool self = from->node == r->p.node;

	if (from->incarnation && from->incarnation != incarnation)
		return;
	from->goodbye = true;
	if (from->synced) {
		member_out(r, from);
		branch_fork(r);
	}
	if (self)
		r->in_group = false;
	else if (!view_counts(r) || r->exchange)
		exchange_start(r);
}

/* Whoever is here when a branch begins from a store is to have it before anything can be acknowledged in it. */
static bool waits_for_joiner(const struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers && r->unconfirmed; i++)
		if (!r->member[i].synced && !r->member[i].goodbye && !r->member[i].refused)
			return true;
	return false;
}

static void send_view(struct replog *r)
{
	struct message m = { .type = MSG_VIEW };
	struct view *v = &m.view;
	struct wbuf out = { 0 };

	*v = (struct view){ .branch = r->branch,
			    .generation = r->generation + 1,
			    .history = r->io.random(r->io.arg),
			    .version = version_for_view(r) };
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].synced)
			v->member[v->nmembers++] =
				(struct seat){ r->member[i].node, r->member[i].incarnation, 0 };
	r->view_sent = true;
	message_pack(&m, &out);
	replog_send(r, &out);
}

/* Only the leader speaks, only with quorum, and never while it is open which branch goes on. */
void view_settle(struct replog *r)
{
	struct member *leader = member_leader(r);

	if (!leader || leader->node != r->p.node || !r->published || r->exchange || r->view_sent || r->leaving)
		return;
	if (replog_quorate(r) && (r->view_stale || !r->established) && !waits_for_joiner(r) && !lapse_outrun(r, NULL))
		send_view(r);
}

static bool view_matches(struct replog *r, const struct view *v)
{
	uint32_t synced = 0;

	for (uint32_t i = 0; i < r->nmembers; i++)
		synced += r->member[i].synced;
	if (v->branch != r->branch || synced != v->nmembers)
		return false;
	for (uint32_t i = 0; i < v->nmembers; i++) {
		struct member *m = member_find(r, v->member[i].node);

		if (!m || !m->synced || m->incarnation != v->member[i].incarnation)
			return false;
	}
	return true;
}

static void take_seats(struct replog *r, const struct view *v)
{
	r->nseats = version_has_processes(r) ? v->nmembers : 0;
	memcpy(r->seat, v->member, r->nseats * sizeof(r->seat[0]));
}

/* With version 1 not each VIEW is stored, and there is no list of who may have gone on. */
static void view_members(struct replog *r)
{
	bool count_all = r->version < 2 || !anyone_counts(r);

	r->members.n = 0;
	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		m->counted |= m->synced && count_all;
		if (m->synced && r->version >= 2)
			r->members.node[r->members.n++] = m->node;
	}
}

static void view_apply(struct replog *r, const struct view *v)
{
	if (!version_take_view(r, v->version))
		return;
	r->position++;
	r->generation = v->generation;
	r->seated |= self_synced(r);
	view_members(r);
	op_view(r);
	r->history = r->branch = v->history;
	known_add(r, v->history);
	r->established = true;
	r->view_stale = false;
	r->grace_end = 0;
	op_members(r);
	take_seats(r, v);
	replog_say(r, LOG_LEVEL_NOTICE, "membership %llu: %u node(s), position %llu", (unsigned long long)v->generation,
		   v->nmembers, (unsigned long long)r->position);
}

void view_deliver(struct replog *r, struct member *from, const struct view *v)
{
	struct member *leader = member_leader(r);

	if (from->node == r->p.node)
		r->view_sent = false;
	if (from->synced && leader == from && self_follows(r) && view_matches(r, v))
		view_apply(r, v);
	if (r->exchange)
		exchange_start(r); /* hellos from before and after it would not fit together */
}
