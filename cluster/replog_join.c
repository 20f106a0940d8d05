/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exchange of hellos and the decision that follows from it.
 *
 * An exchange is over when every member's newest hello names the newest hello of every member. A hello that was
 * sent in an earlier membership and comes late names other rounds and so decides nothing. As hellos are part of the
 * stream, all members reach the decision at the same place with the same table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog_int.h"

#define EXCHANGE_WARN_NS 5000000000ull

/* ---- predicates ------------------------------------------------------------------------------ */

static bool table_complete(const struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (!r->member[i].heard)
			return false;
	return true;
}

static uint64_t table_hash(const struct replog *r)
{
	uint64_t h = r->nmembers;

	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];

		if (m->heard)
			h = mix64(mix64(mix64(h, m->node), m->hello.incarnation), m->hello.round);
	}
	return h;
}

static bool hello_names_table(const struct replog *r, const struct hello *h)
{
	if (h->nheard != r->nmembers)
		return false;
	for (uint32_t i = 0; i < h->nheard; i++) {
		const struct member *m = &r->member[i]; /* both are in order of node ids */

		if (h->heard[i].node != m->node || h->heard[i].incarnation != m->hello.incarnation ||
		    h->heard[i].round != m->hello.round)
			return false;
	}
	return true;
}

static bool names_goodbye(const struct hello *h, uint32_t node)
{
	for (uint32_t i = 0; i < h->ngoodbyes; i++)
		if (h->goodbye[i] == node)
			return true;
	return false;
}

/* Who was parted meanwhile has not heard it, and is to decide at the same place as those who have: their hellos say it.
 * One that names the table is of these processes. */
static bool said_goodbye(const struct replog *r, const struct member *m)
{
	bool said = m->goodbye;

	for (uint32_t i = 0; i < r->nmembers && !said; i++) {
		const struct member *by = &r->member[i];

		said = by->heard && names_goodbye(&by->hello, m->node) && hello_names_table(r, &by->hello);
	}
	return said;
}

static bool candidate(const struct member *m)
{
	return !m->goodbye && !m->hello.excluded && !m->hello.outdated;
}

static uint32_t branch_size(const struct replog *r, uint64_t branch)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->nmembers; i++)
		n += candidate(&r->member[i]) && r->member[i].hello.branch == branch;
	return n;
}

static bool descends(const struct hello *w, const struct hello *h)
{
	return lineage_has(&w->lineage, &h->lineage);
}

/* An older version has other rules: where somebody is here who goes by those all do, to come to the same. */
static bool all_speak(const struct replog *r, uint32_t version)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].hello.version_max < version)
			return false;
	return true;
}

#define PREFER(a, b)                 \
	do {                         \
		if ((a) != (b))      \
			return (a) > (b); \
	} while (0)

/* Which of two states goes on. A confirmed one; the one that knows the other's committed history, for only in a
 * committed history can anything have been acknowledged; one that is followed before one that has given way, or lost
 * its transport, whatever memberships that has been alone with; the later start from stores, for what a quorum has
 * begun with goes on, however often a part of the members before had changed; the newer history; memory that followed
 * the log before what a store remembers; more members; more operations; at last the lower node id, so that there is
 * always an answer. */
static bool better(const struct replog *r, const struct member *a, const struct member *b)
{
	const struct hello *x = &a->hello, *y = &b->hello;

	PREFER(x->established, y->established);
	PREFER(descends(x, y), descends(y, x));
	if (all_speak(r, 3))
		PREFER(x->follows, y->follows);
	if (all_speak(r, 2))
		PREFER(x->lineage.era, y->lineage.era);
	PREFER(x->lineage.generation, y->lineage.generation);
	PREFER(x->live, y->live);
	PREFER(branch_size(r, x->branch), branch_size(r, y->branch));
	PREFER(x->position, y->position);
	return a->node < b->node;
}

static struct member *winner(struct replog *r)
{
	struct member *best = NULL;

	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		if (candidate(m) && (!best || better(r, m, best)))
			best = m;
	}
	return best;
}

enum role { ROLE_STAYS, ROLE_JOINS, ROLE_DIVERGED, ROLE_CLUSTER, ROLE_CONFIG, ROLE_VERSION };

/* Where a member may be of version 1, by the rule that it has itself: all come to the same decision. */
static bool same_config(const struct hello *winner, const struct hello *h)
{
	if (winner->version_min < 2)
		return !memcmp(winner->config_digest, h->config_digest, sizeof(h->config_digest));
	if (winner->version_min >= 3 && winner->groups_replicated)
		return !memcmp(winner->nodes_digest, h->nodes_digest, sizeof(h->nodes_digest));
	return !memcmp(winner->fixed_digest, h->fixed_digest, sizeof(h->fixed_digest));
}

static enum role role_of(const struct member *w, const struct member *m)
{
	const struct hello *a = &w->hello, *b = &m->hello;

	if (m == w || a->branch == b->branch)
		return ROLE_STAYS;
	if (strcmp(a->cluster, b->cluster))
		return ROLE_CLUSTER;
	if (a->version_max < b->version_min || b->version_max < a->version_min)
		return ROLE_VERSION;
	if (!same_config(a, b))
		return ROLE_CONFIG;
	if (b->excluded || !descends(a, b))
		return ROLE_DIVERGED;
	return ROLE_JOINS;
}

/* The operator has said that what is missing is lost, on a node whose state w has. */
static bool kept(const struct replog *r, const struct member *w)
{
	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];

		if (m->heard && m->hello.keep && descends(&w->hello, &m->hello))
			return true;
	}
	return false;
}

/* ---- the decision, carried out -------------------------------------------------------------------- */

static const char *where_they_differ(const struct hello *winner)
{
	if (winner->version_min < 2)
		return "";
	if (winner->groups_replicated)
		return " in cluster, or in names or ids of nodes";
	return " in cluster, nodes, groups or iscsi";
}

static void say_role(struct replog *r, enum role role, const struct member *w, const struct member *m)
{
	const char *a = w->hello.node_name, *b = m->hello.node_name;
	bool self = m->node == r->p.node;
	char line[384] = "";

	switch (role) {
	case ROLE_STAYS:
		return;
	case ROLE_JOINS:
		snprintf(line, sizeof(line), "%s takes the state of node %s", b, a);
		break;
	case ROLE_DIVERGED:
		snprintf(line, sizeof(line), "node %s and node %s both went on without each other; %s stays out: check which "
			 "data is right, then `sandemctl cluster resolve --keep %s`", a, b, b, a);
		break;
	case ROLE_CLUSTER:
		snprintf(line, sizeof(line), "node %s belongs to cluster \"%s\", not \"%s\": set cluster.name alike on all nodes "
			 "and restart sandemd there", b, m->hello.cluster, w->hello.cluster);
		break;
	case ROLE_CONFIG:
		snprintf(line, sizeof(line), "the sandem.yaml of node %s and of node %s differ%s: copy that of %s, then restart sandemd "
			 "on %s", b, a, where_they_differ(&w->hello), a, b);
		break;
	case ROLE_VERSION:
		snprintf(line, sizeof(line), "node %s speaks protocol versions %u-%u, node %s %u-%u: update the older one", b,
			 m->hello.version_min, m->hello.version_max, a, w->hello.version_min, w->hello.version_max);
		break;
	}
	replog_say(r, role == ROLE_JOINS ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, "%s", line);
	if (self)
		memcpy(r->join_why, line, sizeof(line));
}

/* The oldest of the winner's branch is its leader and source. */
static struct member *source_of(struct replog *r, const struct member *w)
{
	struct member *best = NULL;

	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		if (!m->goodbye && m->hello.branch == w->hello.branch && (!best || m->hello.order < best->hello.order))
			best = m;
	}
	return best;
}

/* A state from the store: this node alone is the branch, and the log goes on from it. */
static void start_branch(struct replog *r, struct member *self)
{
	r->live = true;
	r->view_stale = true;
	r->established = false;
	self->order = 0;
	r->next_order = 1;
	self->synced = self->counted = true;
	r->keep = r->lapsed = false;
	self->acked = r->position;
	r->serve_from = r->op_position = r->lost_acked = r->serve_generation = 0;
	r->seated = false;
	r->unconfirmed = true;
	self->committed_generation = r->committed_generation;
	r->publish_again = true;
}

static void leave_branch(struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		r->member[i].synced = r->member[i].counted = false;
	r->published = r->established = false;
}

static void stay(struct replog *r, struct member *w, struct member *self)
{
	bool joiners = false;
	uint64_t replaces = 0;

	if (!self->synced)
		start_branch(r, self);
	else if (kept(r, w))
		r->lapsed = r->keep = false;
	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];
		enum role role = role_of(w, m);

		m->refused = role > ROLE_JOINS;
		joiners |= role == ROLE_JOINS;
		if (role == ROLE_JOINS && m->hello.lineage.committed_generation > replaces)
			replaces = m->hello.lineage.committed_generation;
		say_role(r, role, w, m);
	}
	if (joiners && source_of(r, w) == self)
		snapshot_for(r, replaces);
}

/*
 * Until it has taken the other's over (take_snapshot()) its own state is what it was, and if the other is gone by then it is as good
 * as one from a store: replog_start.h says who has to be here. Members that speak older versions have no such rule.
 */
static void state_given_up(struct replog *r, bool joins)
{
	if (r->version >= 3) {
		branch_own(r); /* others that were of the same one are as much alone with it */
		r->outdated = r->outdated && !r->diverged;
		return;
	}
	r->live = r->live && !joins;
	r->outdated = !r->diverged;
}

static void give_way(struct replog *r, struct member *w, struct member *self)
{
	enum role role = role_of(w, self);
	bool was = self->synced;

	say_role(r, role, w, self);
	leave_branch(r);
	if (was)
		replog_say(r, LOG_LEVEL_WARNING, "this node's branch of history ends at position %llu",
			   (unsigned long long)r->position);
	r->diverged = role == ROLE_DIVERGED;
	r->refused = role > ROLE_DIVERGED;
	state_given_up(r, role == ROLE_JOINS);
	if (role != ROLE_JOINS)
		return;
	r->keep = false;
	join_begin(r, source_of(r, w)->node);
}

/* ---- a start that has to wait ---------------------------------------------------------------------- */

/* w: NULL when nobody's state can go on. */
static bool may_go_on(const struct replog *r, const struct member *w, struct start_missing *missing)
{
	struct start_present here[REPLOG_MEMBERS_MAX];
	uint32_t n = 0;

	if (w && (w->hello.follows || kept(r, w)))
		return true;
	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];

		if (m->heard && !m->goodbye && !m->hello.excluded)
			here[n++] = (struct start_present){ m->node, m->hello.outdated, &m->hello.lineage };
	}
	return start_allowed(w ? &w->hello.lineage : NULL, here, n, missing);
}

static void wait_for(struct replog *r, const struct start_missing *m)
{
	char who[128];

	leave_branch(r);
	if (r->diverged)
		return; /* which is what the operator has to hear */
	r->waiting = true;
	start_names(r, m, who, sizeof(who));
	if (m->n)
		snprintf(r->join_why, sizeof(r->join_why), "waiting for node %s, which may have gone on without this one: start sandemd "
			 "there; if it is lost for good, `sandemctl cluster resolve --keep %s` here goes on without what only it "
			 "has acknowledged", who, r->node_name);
	else
		snprintf(r->join_why, sizeof(r->join_why), "waiting: the newest state was on a node that is gone; start that node, "
			 "or `sandemctl cluster resolve --keep %s` to go on without it", r->node_name);
	replog_say(r, LOG_LEVEL_WARNING, "%s", r->join_why);
}

static void decide(struct replog *r)
{
	struct member *w = winner(r), *self = member_self(r);
	struct start_missing missing;

	exchange_stop(r);
	r->waiting = false;
	if (!self)
		return;
	if (!may_go_on(r, w, &missing))
		wait_for(r, &missing);
	else if (w == self || w->hello.branch == self->hello.branch)
		stay(r, w, self);
	else
		give_way(r, w, self);
}

/* ---- the exchange -------------------------------------------------------------------------------- */

static void fill_heard(struct replog *r, struct hello *h)
{
	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];

		if (m->heard)
			h->heard[h->nheard++] = (struct seat){ m->node, m->hello.incarnation, m->hello.round };
		if (m->goodbye && !r->leaving) /* who leaves no longer follows who comes and goes */
			h->goodbye[h->ngoodbyes++] = m->node;
	}
}

/* An empty store does not say whether there never was anything. One without a list, and with version 2 in use, has not
 * stored the first VIEW of version 2, and that had every configured node. */
static const struct node_list *asked_for(const struct replog *r)
{
	bool none = !r->committed_generation || (r->version >= 2 && !r->committed_members.n);

	return none ? &r->first : &r->committed_members;
}

static void fill_lineage(const struct replog *r, struct lineage *l)
{
	const struct node_list *m = asked_for(r);

	*l = (struct lineage){ .era = r->era,
			       .generation = r->generation,
			       .history = r->history,
			       .committed_generation = r->committed_generation,
			       .committed_history = r->committed_history,
			       .position = r->position,
			       .nknown = r->nknown,
			       .nmembers = m->n };
	memcpy(l->known, r->known, r->nknown * sizeof(r->known[0]));
	memcpy(l->member, m->node, m->n * sizeof(m->node[0]));
}

static void send_hello(struct replog *r)
{
	struct message m = { .type = MSG_HELLO };
	struct hello *h = &m.hello;
	struct member *self = member_self(r);
	struct wbuf out = { 0 };

	*h = (struct hello){ .round = r->round,
			     .incarnation = r->p.incarnation,
			     .version_min = version_needed(r),
			     .version_max = r->p.version_max,
			     .live = r->live,
			     .established = self && self->synced && r->established,
			     .excluded = r->diverged || r->failed || r->leaving,
			     .outdated = r->outdated,
			     .follows = self && self->synced,
			     .keep = r->keep,
			     .groups_replicated = r->io.groups_replicated && r->io.groups_replicated(r->io.arg),
			     .branch = r->branch,
			     .position = r->position,
			     .order = self ? self->order : 0 };
	strcpy(h->cluster, r->cluster);
	strcpy(h->node_name, r->node_name);
	memcpy(h->config_digest, r->p.config_digest, sizeof(h->config_digest));
	memcpy(h->fixed_digest, r->p.fixed_digest, sizeof(h->fixed_digest));
	memcpy(h->nodes_digest, r->p.nodes_digest, sizeof(h->nodes_digest));
	fill_lineage(r, &h->lineage);
	fill_heard(r, h);
	r->heard_sent = table_hash(r);
	message_pack(&m, &out);
	replog_send(r, &out);
}

void exchange_start(struct replog *r)
{
	if (r->failed)
		return;
	for (uint32_t i = 0; i < r->nmembers; i++)
		r->member[i].heard = r->member[i].refused = false;
	r->exchange = true;
	r->refused = r->snapshot_awaits = false;
	r->exchange_since = r->now;
	r->exchange_warned = false;
	r->round++;
	send_hello(r);
}

void exchange_stop(struct replog *r)
{
	r->exchange = false;
}

void exchange_check(struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		if (!said_goodbye(r, m) && (!m->heard || !hello_names_table(r, &m->hello)))
			return;
	}
	for (uint32_t i = 0; i < r->nmembers; i++)
		r->member[i].goodbye = said_goodbye(r, &r->member[i]);
	decide(r);
}

void hello_deliver(struct replog *r, struct member *from, const struct hello *h)
{
	bool known = from->incarnation == h->incarnation && h->round <= from->round;

	unfenced_new_process(r, from->node, h->incarnation);
	if (!r->exchange && known)
		return;
	if (!r->exchange) {
		join_reset(r);
		snapshot_stop(r);
		exchange_start(r);
	}
	from->incarnation = h->incarnation;
	from->round = h->round;
	from->hello = *h;
	from->heard = true;
	version_heard(r, h);
	if (table_complete(r) && r->heard_sent != table_hash(r))
		send_hello(r);
	exchange_check(r);
}

void exchange_timer(struct replog *r)
{
	if (!r->exchange || r->exchange_warned || r->now - r->exchange_since < EXCHANGE_WARN_NS)
		return;
	r->exchange_warned = true;
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (!r->member[i].heard)
			replog_say(r, LOG_LEVEL_WARNING, "node %u is in the group and says nothing: nobody can join; check "
					"sandemd there", r->member[i].node);
}
