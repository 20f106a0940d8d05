/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: cut by the source at the decision, sent in chunks through the log; taken in by the joiner, who keeps what
 * is ordered after the cut and applies it on top. Any membership change starts this over.
 */
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog_int.h"

/* ---- the source ------------------------------------------------------------------------------ */

static void fill_meta(struct replog *r, struct snapshot *s)
{
	*s = (struct snapshot){ .dirty_generation = r->dirty_generation,
				.branch = r->branch,
				.position = r->position,
				.next_order = r->next_order,
				.op_position = r->op_position,
				.lost_acked = r->lost_acked,
				.established = r->established,
				.view_stale = r->view_stale,
				.unconfirmed = r->unconfirmed,
				.version = r->version,
				.lineage = { .era = r->era,
					     .generation = r->generation,
					     .history = r->history,
					     .committed_generation = r->committed_generation,
					     .committed_history = r->committed_history,
					     .position = r->position,
					     .nknown = r->nknown,
					     .nmembers = r->committed_members.n } };
	memcpy(s->lineage.known, r->known, r->nknown * sizeof(r->known[0]));
	memcpy(s->lineage.member, r->committed_members.node, s->lineage.nmembers * sizeof(s->lineage.member[0]));
	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		if (m->synced)
			s->member[s->nmembers++] = (struct snapshot_member){ m->node, m->incarnation, m->order, m->acked,
									     m->committed_generation, m->counted };
	}
	for (uint32_t i = 0; i < r->nunfenced; i++)
		s->unfenced[s->nunfenced++] = (struct seat){ r->unfenced[i].node, r->unfenced[i].incarnation, 0 };
	for (uint32_t i = 0; i < r->nunfenced; i++)
		if (r->unfenced[i].unnamed)
			s->unnamed[s->nunnamed++] = r->unfenced[i].node;
	s->nseats = r->nseats;
	memcpy(s->seat, r->seat, r->nseats * sizeof(r->seat[0]));
}

struct service_bytes {
	struct wbuf state, beside;
};

static int pack_services(struct replog *r, struct snapshot *s, struct service_bytes *b, struct wbuf *out)
{
	int err = 0;

	for (size_t i = 0; i < r->p.nservices; i++) {
		const struct service *sv = &r->services[i];

		if (!version_has(r, sv))
			continue;
		sv->ops->snapshot(sv->state, &b[i].state);
		if (sv->ops->snapshot_beside)
			sv->ops->snapshot_beside(sv->state, &b[i].beside);
		err |= b[i].state.err | b[i].beside.err;
		s->service[s->nservices++] = (struct snapshot_service){ sv->ops->id, b[i].state.data, b[i].beside.data,
									b[i].state.len, b[i].beside.len };
	}
	for (size_t i = 0; i < r->ndurables; i++)
		s->durable[i] = (struct snapshot_durable){ r->durable[i].service, r->durable[i].object };
	s->ndurables = r->ndurables;
	snapshot_pack(s, out);
	return err | out->err;
}

static int snapshot_cut(struct replog *r, struct wbuf *out)
{
	struct snapshot s;
	struct service_bytes *b = calloc(r->p.nservices + 1, sizeof(*b));
	int err = -ENOMEM;

	fill_meta(r, &s);
	s.service = calloc(r->p.nservices + 1, sizeof(*s.service));
	s.durable = calloc(r->ndurables + 1, sizeof(*s.durable));
	if (b && s.service && s.durable)
		err = pack_services(r, &s, b, out);
	for (size_t i = 0; b && i < r->p.nservices; i++) {
		wbuf_fini(&b[i].state);
		wbuf_fini(&b[i].beside);
	}
	free(b);
	snapshot_fini(&s);
	return err;
}

void snapshot_stop(struct replog *r)
{
	wbuf_fini(&r->snapshot);
	r->snapshot_sent = r->snapshot_delivered = 0;
	r->snapshot_awaits = false;
}

/* No memory for a snapshot is no reason to stop serving: the joiner has to wait. */
static void snapshot_begin(struct replog *r)
{
	snapshot_stop(r);
	if (snapshot_cut(r, &r->snapshot) || r->snapshot.len > SNAPSHOT_MAX) {
		replog_say(r, LOG_LEVEL_ERROR, "no memory for the snapshot that a joining node needs: free memory on this "
				"node, then restart sandemd on the joining one");
		snapshot_stop(r);
		return;
	}
	SHA256(r->snapshot.data, r->snapshot.len, r->snapshot_sha);
	r->snapshot_round = r->round;
}

/*
 * A joiner's copy is partial at first, and takes the place of what its store has. That may be the only copy that claims
 * all that was acknowledged, when this member has been counted, but its disk is slow: both would then be left with
 * partial ones. So the store here comes first, and then another exchange (the cut is at its decision). From version 2
 * on; members of older programs wait as for a large state.
 */
void snapshot_for(struct replog *r, uint64_t generation)
{
	snapshot_stop(r);
	r->snapshot_replaces = generation;
	r->snapshot_awaits = !claim_reaches(r, generation);
	if (!r->snapshot_awaits)
		snapshot_begin(r);
}

static void send_chunk(struct replog *r)
{
	struct message m = { .type = MSG_CHUNK };
	uint64_t left = r->snapshot.len - r->snapshot_sent;
	struct wbuf out = { 0 };

	m.chunk = (struct chunk){ .incarnation = r->p.incarnation,
				  .round = r->snapshot_round,
				  .total = r->snapshot.len,
				  .offset = r->snapshot_sent,
				  .data = r->snapshot.data + r->snapshot_sent,
				  .len = left < REPLOG_CHUNK ? left : REPLOG_CHUNK };
	memcpy(m.chunk.sha256, r->snapshot_sha, sizeof(m.chunk.sha256));
	r->snapshot_sent += m.chunk.len;
	message_pack(&m, &out);
	replog_send(r, &out);
}

void snapshot_settle(struct replog *r)
{
	while (r->snapshot_sent < r->snapshot.len &&
	       r->snapshot_sent - r->snapshot_delivered < (uint64_t)CHUNK_WINDOW * REPLOG_CHUNK && !r->failed)
		send_chunk(r);
	if (r->snapshot.len && r->snapshot_delivered == r->snapshot.len)
		snapshot_stop(r);
	if (r->snapshot_awaits && self_synced(r) && claim_reaches(r, r->snapshot_replaces))
		exchange_start(r);
}

/* ---- the joiner: collecting ----------------------------------------------------------------------- */

static void kept_free(struct replog *r)
{
	struct kept *k, *next;

	cds_list_for_each_entry_safe(k, next, &r->kept, link)
		free(k);
	CDS_INIT_LIST_HEAD(&r->kept);
	r->kept_bytes = 0;
}

/* A state that was taken in but not announced: nobody waited for this node, so what was acknowledged since may be
 * missing in it. It does not count as anybody's source. */
void join_reset(struct replog *r)
{
	if (r->join == JOIN_PUBLISH || r->join == JOIN_ANNOUNCED) {
		for (uint32_t i = 0; i < r->nmembers; i++)
			r->member[i].synced = r->member[i].counted = false;
		r->branch = mix64(mix64(r->branch, r->p.incarnation), r->round);
		r->established = r->live = false;
		r->outdated = true;
	}
	r->join = JOIN_NONE;
	kept_free(r);
	wbuf_fini(&r->chunks);
	r->chunks_total = 0;
}

void join_begin(struct replog *r, uint32_t source)
{
	struct member *m = member_find(r, source);

	join_reset(r);
	r->join = JOIN_RECEIVE;
	r->source = source;
	r->source_incarnation = m->incarnation;
	r->source_round = m->round;
}

static void join_again(struct replog *r, const char *why)
{
	replog_say(r, LOG_LEVEL_WARNING, "the snapshot of node %u is not usable: %s; asking again", r->source, why);
	join_reset(r);
	exchange_start(r);
}

bool join_keep(struct replog *r, uint32_t from, const void *msg, size_t len)
{
	int type = message_type(msg, len);
	struct kept *k;

	if (r->join != JOIN_RECEIVE || type == MSG_HELLO || type == MSG_CHUNK ||
	    (type == MSG_GOODBYE && from == r->p.node))
		return false;
	k = malloc(sizeof(*k) + len);
	if (!k || r->kept_bytes + len > KEPT_MAX) {
		free(k);
		join_again(r, "too many operations came while it was under way");
		return true;
	}
	k->from = from;
	k->len = len;
	memcpy(k->data, msg, len);
	CDS_INIT_LIST_HEAD(&k->link);
	cds_list_add_tail(&k->link, &r->kept);
	r->kept_bytes += len;
	return true;
}

/* ---- the joiner: taking in ------------------------------------------------------------------------- */

/* Its services in its order: those that its version has. */
static bool services_known(struct replog *r, const struct snapshot *s, char *err, size_t errlen)
{
	size_t n = 0;
	bool same = true;

	if (s->version > r->p.version_max) {
		snprintf(err, errlen, "it is of protocol version %u, this node speaks up to %u: update this node", s->version,
			 r->p.version_max);
		return false;
	}
	for (size_t i = 0; i < r->p.nservices; i++) {
		const struct service_ops *ops = r->services[i].ops;

		if (ops->since > s->version)
			continue;
		same = same && n < s->nservices && s->service[n].id == ops->id;
		n++;
	}
	if (same && n == s->nservices)
		return true;
	snprintf(err, errlen, "its services are not those that protocol version %u has here: run released versions on "
		 "both nodes", s->version);
	return false;
}

static bool restore_service(const struct service *sv, const struct snapshot_service *from, char *err, size_t errlen)
{
	if (sv->ops->restore(sv->state, from->data, from->len, err, errlen))
		return false;
	return !sv->ops->restore_beside || !sv->ops->restore_beside(sv->state, from->beside, from->beside_len, err, errlen);
}

static bool restore_services(struct replog *r, const struct snapshot *s, char *err, size_t errlen)
{
	version_set(r, s->version);
	for (size_t i = 0; i < s->nservices; i++)
		if (!restore_service(replog_service(r, s->service[i].id), &s->service[i], err, errlen))
			return false;
	if (!version_clear_newer(r, err, errlen))
		return false;
	durable_clear(r);
	for (size_t i = 0; i < s->ndurables; i++) {
		if (!replog_service(r, s->durable[i].service)) {
			snprintf(err, errlen, "it keeps an object of an unknown service %u", s->durable[i].service);
			return false;
		}
		if (durable_note(r, s->durable[i].service, s->durable[i].object)) {
			snprintf(err, errlen, "out of memory");
			return false;
		}
	}
	return true;
}

static bool is_unnamed(const struct snapshot *s, uint32_t node)
{
	for (uint32_t i = 0; i < s->nunnamed; i++)
		if (s->unnamed[i] == node)
			return true;
	return false;
}

static void take_members(struct replog *r, const struct snapshot *s)
{
	for (uint32_t i = 0; i < s->nmembers; i++) {
		const struct snapshot_member *from = &s->member[i];
		struct member *m = member_find(r, from->node);

		if (!m || m->incarnation != from->incarnation)
			continue;
		m->synced = true;
		m->order = from->order;
		m->acked = from->acked;
		m->beyond.reach = 0;
		m->committed_generation = from->committed_generation;
		m->counted = from->counted;
	}
	r->nunfenced = 0;
	for (uint32_t i = 0; i < s->nunfenced; i++) {
		const struct seat *u = &s->unfenced[i];

		if (u->node != r->p.node && !fenced_heard(r, u->node))
			unfenced_add(r, &(struct unfenced){ u->node, u->incarnation, is_unnamed(s, u->node) });
	}
	r->nseats = s->nseats;
	memcpy(r->seat, s->seat, s->nseats * sizeof(s->seat[0]));
}

static void take_place(struct replog *r, const struct snapshot *s)
{
	const struct lineage *l = &s->lineage;

	r->position = r->done_position = s->position;
	r->era = r->committed_era = l->era;
	r->generation = l->generation;
	r->history = l->history;
	r->branch = s->branch;
	r->next_order = s->next_order;
	r->op_position = s->op_position;
	r->lost_acked = s->lost_acked;
	r->committed_generation = l->committed_generation;
	r->committed_history = l->committed_history;
	r->committed_members.n = l->nmembers;
	memcpy(r->committed_members.node, l->member, l->nmembers * sizeof(l->member[0]));
	r->dirty_generation = s->dirty_generation;
	r->nknown = l->nknown;
	memcpy(r->known, l->known, l->nknown * sizeof(l->known[0]));
	r->established = s->established;
	r->view_stale = s->view_stale;
	r->unconfirmed = s->unconfirmed;
	r->serve_generation = 0;
	r->partial = r->committed_generation != 0;
	r->seated = r->lapsed = false;
	/* One that was under way belonged to the stream that ends here: it is not waited for. */
	r->ack_sent = false;
	r->ack_position = r->ack_owed = r->ack_reach = r->position;
	r->ack_nopen = 0;
	r->ack_committed = 0;
	r->ack_owed_generation = r->dirty_generation;
	r->persisting = 0;
}

static void publish_due(struct replog *r)
{
	if (!r->publish_again || r->publishing)
		return;
	r->publish_again = r->published = false;
	r->publishing = true;
	r->io.publish_all(r->io.arg);
}

/* What was ordered after the cut; one of them may end the join (kept is then emptied under us). */
static void replay(struct replog *r)
{
	while (r->join == JOIN_PUBLISH && !cds_list_empty(&r->kept)) {
		struct kept *k = cds_list_first_entry(&r->kept, struct kept, link);

		cds_list_del(&k->link);
		r->kept_bytes -= k->len;
		replog_dispatch(r, k->from, k->data, k->len);
		free(k);
	}
}

static void take_snapshot(struct replog *r, const struct snapshot *s)
{
	char err[192] = "";

	if (!services_known(r, s, err, sizeof(err)) || !restore_services(r, s, err, sizeof(err))) {
		replog_failf(r, "the snapshot of node %u was refused: %s", r->source, err);
		return;
	}
	op_inflight_stale(r);
	take_place(r, s);
	take_members(r, s);
	r->live = true;
	r->outdated = r->published = false;
	r->publish_again = true;
	r->join = JOIN_PUBLISH;
	replog_say(r, LOG_LEVEL_NOTICE, "took the state of node %u at position %llu, %zu bytes", r->source,
		   (unsigned long long)r->position, r->chunks.len);
	publish_due(r); /* what it has changed shows before what came later publishes its own */
	replay(r);
}

static void chunks_complete(struct replog *r)
{
	uint8_t sha[32];
	struct snapshot s;
	const char *why;

	SHA256(r->chunks.data, r->chunks.len, sha);
	if (memcmp(sha, r->chunks_sha, sizeof(sha))) {
		join_again(r, "its digest is wrong");
		return;
	}
	if (snapshot_parse(&s, r->chunks.data, r->chunks.len, &why)) {
		replog_failf(r, "the snapshot of node %u was refused: %s; check that both run compatible versions",
			     r->source, why);
		return;
	}
	take_snapshot(r, &s);
	snapshot_fini(&s);
	wbuf_fini(&r->chunks);
}

static void chunk_take(struct replog *r, const struct chunk *c)
{
	if (!c->offset) {
		wbuf_fini(&r->chunks);
		r->chunks_total = c->total;
		memcpy(r->chunks_sha, c->sha256, sizeof(r->chunks_sha));
	}
	if (c->offset != r->chunks.len || c->total != r->chunks_total || c->total > SNAPSHOT_MAX ||
	    memcmp(c->sha256, r->chunks_sha, sizeof(r->chunks_sha))) {
		join_again(r, "its pieces do not fit together");
		return;
	}
	wbuf_put(&r->chunks, c->data, c->len);
	if (r->chunks.err)
		join_again(r, "no memory for it");
	else if (r->chunks.len == r->chunks_total)
		chunks_complete(r);
}

void chunk_deliver(struct replog *r, struct member *from, const struct chunk *c)
{
	if (from->node == r->p.node && c->incarnation == r->p.incarnation && r->snapshot.len &&
	    c->round == r->snapshot_round)
		r->snapshot_delivered += c->len;
	if (r->join == JOIN_RECEIVE && from->node == r->source && c->incarnation == r->source_incarnation &&
	    c->round == r->source_round)
		chunk_take(r, c);
}

/* ---- announcing -------------------------------------------------------------------------------- */

static void send_synced(struct replog *r)
{
	struct message m = { .type = MSG_SYNCED,
			     .synced = { r->source, r->source_incarnation, r->source_round, r->done_position,
					 op_committed(r) } };
	struct wbuf out = { 0 };

	r->ack_position = r->done_position;
	r->ack_committed = op_committed(r);
	r->join = JOIN_ANNOUNCED;
	message_pack(&m, &out);
	replog_send(r, &out);
}

void join_settle(struct replog *r)
{
	publish_due(r);
	if (r->join == JOIN_PUBLISH && r->published && !op_inflight_any_stale(r))
		send_synced(r);
}

void synced_deliver(struct replog *r, struct member *from, const struct synced *s)
{
	struct member *source = member_find(r, s->source);

	if (r->exchange || !self_follows(r) || from->synced || from->goodbye || !source ||
	    source->incarnation != s->source_incarnation || source->round != s->source_round)
		return;
	from->synced = true;
	from->order = r->next_order++;
	from->acked = s->acked;
	from->beyond.reach = 0;
	from->committed_generation = s->committed_generation;
	r->view_stale = true;
	unfenced_remove(r, from->node);
	branch_fork(r);
	if (from->node == r->p.node) {
		r->join = JOIN_NONE;
		r->nfenced = 0;
		r->serve_from = r->position; /* nobody waits for this node's part in what came before */
	}
	if (!view_counts(r))
		exchange_start(r);
}
