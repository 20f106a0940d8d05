/* SPDX-License-Identifier: BSD-2-Clause */
/* The member's life: creation, entry points, and the settling of all outputs after each input. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog_int.h"

void replog_say(struct replog *r, enum log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->io.log(r->io.arg, level, line);
}

void replog_failf(struct replog *r, const char *fmt, ...)
{
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	va_start(ap, fmt);
	vsnprintf(r->fail_why, sizeof(r->fail_why), fmt, ap);
	va_end(ap);
}

const struct service *replog_service(const struct replog *r, uint16_t id)
{
	for (size_t i = 0; i < r->p.nservices; i++)
		if (r->services[i].ops->id == id)
			return &r->services[i];
	return NULL;
}

void replog_send(struct replog *r, struct wbuf *msg)
{
	int err = msg->err;

	if (!err)
		err = r->io.send(r->io.arg, msg->data, msg->len);
	if (err)
		replog_failf(r, "cannot send to the cluster: %s; restart sandemd on this node", strerror(-err));
	wbuf_fini(msg);
}

/* ---- state ------------------------------------------------------------------------------ */

/* After the loss of a node quorum takes a moment to be known and a VIEW a moment to come: not worth failing paths over,
 * and bounded. */
static bool in_grace(const struct replog *r)
{
	return r->state == CLUSTER_SERVING && r->now < r->grace_end && !r->lapsed && !(r->quorum_known && !r->quorate);
}

/* Others count on a member from the VIEW on that names it: only then do they know what it may own. And it is to be able to
 * go on when they are gone. */
static bool may_serve(struct replog *r)
{
	return r->established && r->seated && replog_quorate(r) && !lapse_outrun(r, NULL) &&
	       r->committed_generation >= r->serve_generation && (r->version < 2 || member_self(r)->counted);
}

static enum cluster_state state_now(struct replog *r, const char **why)
{
	*why = r->fail_why;
	if (r->failed)
		return CLUSTER_FAILED;
	*why = r->leaving ? "left the cluster" : r->join_why;
	if (!r->in_group)
		return CLUSTER_OFFLINE;
	*why = r->join_why;
	if (r->diverged || r->refused)
		return CLUSTER_DIVERGED;
	if (!self_synced(r) || !r->published || r->done_position < r->serve_from)
		return CLUSTER_JOINING;
	*why = "leaving the cluster"; /* the others may have the goodbye already, and wait for this node no more */
	if (r->leaving)
		return CLUSTER_NO_QUORUM;
	*why = "in the cluster";
	if (may_serve(r) || in_grace(r))
		return CLUSTER_SERVING;
	*why = "this partition has no quorum: start or reconnect the other nodes";
	if (lapse_outrun(r, NULL))
		*why = lapse_why(r);
	else if (replog_quorate(r))
		*why = r->established && r->seated ? "quorate, storing the membership" :
						     "quorate, waiting for the membership to be confirmed";
	return CLUSTER_NO_QUORUM;
}

static void state_settle(struct replog *r)
{
	const char *why;
	enum cluster_state s = state_now(r, &why);

	if (s == r->state && !strcmp(why, r->why))
		return;
	r->state = s;
	snprintf(r->why, sizeof(r->why), "%s", why);
	r->io.state_changed(r->io.arg, s, r->why);
	if (s != CLUSTER_SERVING)
		op_fail_all(r, PROPOSE_UNKNOWN);
}

/* Level-triggered: whatever an input has made due is done here, in this order. */
static void settle(struct replog *r)
{
	if (!r->failed && r->in_group) {
		op_settle(r);
		lapse_settle(r);
		view_settle(r);
		join_settle(r);
		snapshot_settle(r);
	}
	state_settle(r);
}

void replog_enter(struct replog *r)
{
	r->depth++;
}

void replog_leave(struct replog *r)
{
	if (r->depth > 1) {
		r->depth--;
		r->again = true;
		return;
	}
	do {
		r->again = false;
		settle(r);
		op_run_completed(r);
	} while (r->again);
	r->depth--;
}

/* ---- messages ---------------------------------------------------------------------------- */

/* Only a HELLO, and what is sent by members outside of this branch, is provably no operation (P9). */
static void refuse_message(struct replog *r, uint32_t from, const void *msg, size_t len, int err, const char *why)
{
	struct member *m = member_find(r, from);
	int type = message_type(msg, len);

	replog_say(r, LOG_LEVEL_ERROR, "node %u: a message of %zu bytes is refused: %s (%s)", from, len, why,
		   err == -EPROTONOSUPPORT ? "update this node" : "malformed");
	if (err == -ENOMEM)
		replog_failf(r, "out of memory while reading the log; restart sandemd on this node");
	else if (m && m->synced && self_synced(r) && type != MSG_HELLO && type != MSG_ACK && type != MSG_DIGEST)
		replog_failf(r, "node %u sent a message that this node cannot read (%s): stopped rather than diverge; "
				"check that both run compatible versions, then restart sandemd here", from, why);
}

void replog_dispatch(struct replog *r, uint32_t from, const void *msg, size_t len)
{
	struct member *m = member_find(r, from);
	struct message in = { 0 };
	const char *why;
	int err;

	if (!m || r->failed)
		return;
	err = message_parse(&in, msg, len, &why);
	if (err) {
		refuse_message(r, from, msg, len, err, why);
		return;
	}
	switch (in.type) {
	case MSG_HELLO:
		hello_deliver(r, m, &in.hello);
		break;
	case MSG_OP:
		op_deliver(r, m, &in.op);
		break;
	case MSG_VIEW:
		view_deliver(r, m, &in.view);
		break;
	case MSG_ACK:
		ack_deliver(r, m, &in.ack);
		break;
	case MSG_CHUNK:
		chunk_deliver(r, m, &in.chunk);
		break;
	case MSG_SYNCED:
		synced_deliver(r, m, &in.synced);
		break;
	case MSG_GOODBYE:
		goodbye_deliver(r, m, in.goodbye);
		break;
	case MSG_CHECK:
		check_deliver(r, m, in.check);
		break;
	case MSG_DIGEST:
		digest_deliver(r, m, &in.digest);
		break;
	case MSG_LAPSE:
		lapse_deliver(r, m, in.lapse);
		break;
	}
	message_fini(&in);
}

void replog_deliver(struct replog *r, uint32_t from, const void *msg, size_t len)
{
	replog_enter(r);
	if (!join_keep(r, from, msg, len))
		replog_dispatch(r, from, msg, len);
	replog_leave(r);
}

/* ---- other inputs --------------------------------------------------------------------------- */

void replog_quorum(struct replog *r, bool quorate)
{
	replog_enter(r);
	r->quorum_known = true;
	r->quorate = quorate;
	lapse_note(r);
	replog_leave(r);
}

void replog_timer(struct replog *r, uint64_t now)
{
	replog_enter(r);
	r->now = now;
	if (!r->failed && r->in_group) {
		exchange_timer(r);
		digest_timer(r);
	}
	replog_leave(r);
}

void replog_transport_lost(struct replog *r, const char *why)
{
	replog_enter(r);
	while (r->nmembers) {
		struct member *m = &r->member[--r->nmembers];

		if (m->synced && !m->goodbye)
			unfenced_unless_harmless(r, m, true);
	}
	exchange_stop(r);
	join_reset(r);
	snapshot_stop(r);
	digest_abandon(r);
	r->in_group = r->established = r->quorum_known = r->view_sent = r->ack_sent = false;
	r->branch = mix64(mix64(r->branch, r->p.incarnation), ++r->round);
	snprintf(r->join_why, sizeof(r->join_why), "%s", why);
	replog_leave(r);
}

void replog_goodbye(struct replog *r)
{
	struct message m = { .type = MSG_GOODBYE, .goodbye = r->p.incarnation };
	struct wbuf out = { 0 };

	replog_enter(r);
	r->leaving = true;
	if (r->in_group) {
		message_pack(&m, &out);
		replog_send(r, &out);
	}
	replog_leave(r);
}

void replog_fail(struct replog *r, const char *why)
{
	replog_enter(r);
	replog_failf(r, "%s", why);
	replog_leave(r);
}

void replog_published(struct replog *r, bool ok)
{
	replog_enter(r);
	r->publishing = false;
	if (!ok)
		replog_failf(r, "the cluster's state could not be stored on this node: see the log, repair the state "
				"directory, restart sandemd");
	else if (!r->publish_again)
		r->published = true;
	replog_leave(r);
}

void replog_lineage_persisted(struct replog *r, uint64_t generation, bool ok)
{
	replog_enter(r);
	if (!ok)
		replog_failf(r, "the store of this node failed: see the log, repair the state directory, restart sandemd");
	else if (generation == r->persisting) { /* else a snapshot has overtaken it */
		r->committed_generation = generation;
		r->committed_history = r->persisting_history;
		r->committed_era = r->persisting_era;
		r->committed_members = r->persisting_members;
		r->partial = false;
		r->persisting = 0;
	}
	replog_leave(r);
}

void replog_fencing_confirmed(struct replog *r, uint32_t node)
{
	replog_enter(r);
	unfenced_remove(r, node);
	fenced_note(r, node);
	replog_leave(r);
}

void replog_owner_fenced(struct replog *r, uint32_t node)
{
	/* parted, and in the group again: it has given its groups up; if it is another process, its hello says so */
	if (member_find(r, node))
		return;
	for (uint32_t i = 0; i < r->nunfenced; i++) {
		if (r->unfenced[i].node == node && !r->unfenced[i].unnamed) {
			replog_fencing_confirmed(r, node);
			return;
		}
	}
}

int replog_discard_own(struct replog *r)
{
	if (!r->diverged)
		return -EINVAL;
	replog_enter(r);
	r->diverged = r->live = false;
	r->era = r->committed_era = 0;
	r->generation = r->history = r->committed_generation = r->committed_history = 0;
	r->committed_members.n = 0;
	r->partial = false;
	r->outdated = true;
	version_set(r, r->p.version_min); /* none of the state counts, whatever version it needs */
	if (r->in_group)
		exchange_start(r);
	replog_leave(r);
	return 0;
}

int replog_keep_own(struct replog *r)
{
	bool outrun = lapse_outrun(r, NULL);

	if (!outrun && (!(r->outdated || r->waiting) || self_synced(r)))
		return -EINVAL;
	replog_enter(r);
	if (!outrun)
		r->outdated = r->partial = false;
	r->keep = true;
	if (r->in_group)
		exchange_start(r);
	replog_leave(r);
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void start_from_store(struct replog *r, const struct replog_lineage *l)
{
	r->era = r->committed_era = l->era;
	r->generation = r->committed_generation = l->generation;
	r->history = r->committed_history = l->history;
	r->position = r->done_position = l->position;
	r->committed_members.n = l->nmembers <= REPLOG_MEMBERS_MAX ? l->nmembers : REPLOG_MEMBERS_MAX;
	memcpy(r->committed_members.node, l->member, r->committed_members.n * sizeof(l->member[0]));
	r->members = r->committed_members;
	r->partial = r->outdated = l->partial;
	r->nknown = l->nknown <= REPLOG_KNOWN_MAX ? l->nknown : REPLOG_KNOWN_MAX;
	memcpy(r->known, l->known, r->nknown * sizeof(r->known[0]));
	r->version = l->version > r->p.version_min ? l->version : r->p.version_min;
	/* Two nodes that start from the same history still have no stream in common. */
	r->branch = mix64(mix64(l->history, r->p.node), r->p.incarnation);
}

static bool copy_params(struct replog *r, const struct replog_params *p)
{
	r->p = *p;
	snprintf(r->cluster, sizeof(r->cluster), "%s", p->cluster);
	snprintf(r->node_name, sizeof(r->node_name), "%s", p->node_name);
	if (!p->version_max) {
		r->p.version_min = REPLOG_VERSION_MIN;
		r->p.version_max = REPLOG_VERSION;
	}
	r->heard_version_max = r->p.version_max;
	r->first.n = p->nfirst < REPLOG_MEMBERS_MAX ? p->nfirst : REPLOG_MEMBERS_MAX;
	for (uint32_t i = 0; i < r->first.n; i++)
		r->first.node[i] = p->first[i];
	r->services = calloc(p->nservices + 1, sizeof(*r->services));
	if (!r->services)
		return false;
	memcpy(r->services, p->services, p->nservices * sizeof(*r->services));
	for (size_t i = 0; i < p->ndurables; i++)
		if (durable_note(r, p->durables[i].service, p->durables[i].object))
			return false;
	return true;
}

struct replog *replog_new(const struct replog_params *p, const struct replog_io *io)
{
	struct replog *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->io = *io;
	r->proposer.propose = op_propose;
	CDS_INIT_LIST_HEAD(&r->kept);
	CDS_INIT_LIST_HEAD(&r->pendings);
	CDS_INIT_LIST_HEAD(&r->completed);
	CDS_INIT_LIST_HEAD(&r->inflights);
	r->state = CLUSTER_OFFLINE;
	snprintf(r->join_why, sizeof(r->join_why), "not connected yet");
	snprintf(r->why, sizeof(r->why), "%s", r->join_why);
	if (!copy_params(r, p)) {
		replog_free(r);
		return NULL;
	}
	start_from_store(r, &p->lineage);
	r->outdated |= p->outdated;
	return r;
}

static void free_inflights(struct replog *r)
{
	struct inflight *f, *next;

	cds_list_for_each_entry_safe(f, next, &r->inflights, link) {
		for (uint32_t i = 0; i < f->nruns; i++)
			apply_fini(&f->runs[i].apply);
		free(f->runs);
		free(f);
	}
}

void replog_free(struct replog *r)
{
	if (!r)
		return;
	r->depth++;
	r->state = CLUSTER_OFFLINE; /* who is answered now may propose again: it gets its answer here, too */
	op_fail_all(r, PROPOSE_UNKNOWN);
	while (!cds_list_empty(&r->completed))
		op_run_completed(r);
	join_reset(r);
	snapshot_stop(r);
	free_inflights(r);
	durable_clear(r);
	free(r->durable);
	free(r->services);
	free(r);
}

/* ---- questions ------------------------------------------------------------------------------ */

struct proposer *replog_proposer(struct replog *r)
{
	return &r->proposer;
}

enum cluster_state replog_state(const struct replog *r)
{
	return r->state;
}

const char *replog_why(const struct replog *r)
{
	return r->why;
}

bool replog_quorate(const struct replog *r)
{
	return r->quorum_known && r->quorate;
}

uint64_t replog_position(const struct replog *r)
{
	return r->position;
}

uint64_t replog_branch(const struct replog *r)
{
	return r->branch;
}

uint32_t replog_version(const struct replog *r)
{
	return r->version;
}

bool replog_has(const struct replog *r, uint16_t service)
{
	const struct service *s = replog_service(r, service);

	return s && version_has(r, s);
}

void replog_lineage(const struct replog *r, struct replog_lineage *out)
{
	*out = (struct replog_lineage){ .era = r->committed_era,
					.generation = r->committed_generation,
					.history = r->committed_history,
					.position = r->position,
					.partial = r->partial,
					.nknown = r->nknown,
					.version = r->version,
					.nmembers = r->committed_members.n };
	memcpy(out->member, r->committed_members.node, out->nmembers * sizeof(out->member[0]));
	memcpy(out->known, r->known, r->nknown * sizeof(r->known[0]));
}

void replog_each_durable(const struct replog *r, void (*fn)(void *, const struct service *, const char *), void *arg)
{
	for (size_t i = 0; i < r->ndurables; i++)
		fn(arg, replog_service(r, r->durable[i].service), r->durable[i].object);
}

size_t replog_members(const struct replog *r, struct replog_member_info *out, size_t max)
{
	for (uint32_t i = 0; i < r->nmembers && i < max; i++) {
		const struct member *m = &r->member[i];

		out[i] = (struct replog_member_info){ m->node, m->synced,
						      m->node == r->p.node ? r->done_position : m->acked,
						      m->hello.version_max };
	}
	return r->nmembers;
}

size_t replog_unfenced(const struct replog *r, uint32_t *out, size_t max)
{
	for (uint32_t i = 0; i < r->nunfenced && i < max; i++)
		out[i] = r->unfenced[i].node;
	return r->nunfenced;
}

int replog_digest(const struct replog *r, uint8_t out[32])
{
	struct wbuf b = { 0 };
	int err;

	for (size_t i = 0; i < r->p.nservices; i++) {
		size_t at = b.len;
		uint64_t n = 0;

		if (!version_has(r, &r->services[i]))
			continue;
		wbuf_put(&b, &n, sizeof(n));
		r->services[i].ops->snapshot(r->services[i].state, &b);
		n = b.len - at;
		if (!b.err)
			memcpy(b.data + at, &n, sizeof(n));
	}
	err = b.err;
	if (!err)
		SHA256(b.data ? b.data : (const uint8_t *)"", b.len, out);
	wbuf_fini(&b);
	return err;
}
