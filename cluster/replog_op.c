/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations: proposing, applying, carrying out, acknowledging, answering. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog_int.h"

/* ---- what the services want kept ---------------------------------------------------------------- */

static int durable_cmp(const struct durable *d, uint16_t service, const char *object)
{
	return d->service != service ? (d->service < service ? -1 : 1) : strcmp(d->object, object);
}

/* Sorted, so that a snapshot is canonical. */
int durable_note(struct replog *r, uint16_t service, const char *object)
{
	size_t lo = 0, hi = r->ndurables;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = durable_cmp(&r->durable[mid], service, object);

		if (!c)
			return 0;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (r->ndurables == r->durable_cap) {
		size_t cap = r->durable_cap ? 2 * r->durable_cap : 16;
		struct durable *d = reallocarray(r->durable, cap, sizeof(*d));

		if (!d)
			return -ENOMEM;
		r->durable = d;
		r->durable_cap = cap;
	}
	memmove(&r->durable[lo + 1], &r->durable[lo], (r->ndurables - lo) * sizeof(*r->durable));
	r->durable[lo] = (struct durable){ .service = service };
	strncpy(r->durable[lo].object, object, sizeof(r->durable[lo].object) - 1);
	r->ndurables++;
	return 0;
}

void durable_clear(struct replog *r)
{
	r->ndurables = 0;
}

/* ---- carrying out ------------------------------------------------------------------------------ */

static void inflight_free(struct inflight *f)
{
	cds_list_del(&f->link);
	for (uint32_t i = 0; i < f->nruns; i++)
		apply_fini(&f->runs[i].apply);
	free(f->runs);
	free(f);
}

static struct inflight *inflight_new(struct replog *r, uint32_t nruns)
{
	struct inflight *f = calloc(1, sizeof(*f));

	if (f)
		f->runs = calloc(nruns, sizeof(*f->runs));
	if (!f || !f->runs) {
		free(f);
		replog_failf(r, "out of memory while applying the log; restart sandemd on this node");
		return NULL;
	}
	f->position = r->position;
	f->nruns = nruns;
	f->pending = 1;
	CDS_INIT_LIST_HEAD(&f->link);
	cds_list_add_tail(&f->link, &r->inflights);
	return f;
}

static bool inflight_concerns(const struct inflight *f, const char *object)
{
	for (uint32_t i = 0; i < f->nruns; i++)
		for (uint32_t k = 0; k < f->runs[i].apply.neffects; k++)
			if (!strcmp(f->runs[i].apply.effect[k].object, object))
				return true;
	return false;
}

/*
 * Whether the answer to f also says that g is carried out. What the one has shut out already the other need not drain:
 * the later of two operations on an object is not done before the earlier. One without effects does not say whom it
 * found as it wanted it, so it comes after all.
 */
static bool inflight_builds_on(const struct inflight *f, const struct inflight *g)
{
	bool effects = false;

	for (uint32_t i = 0; i < f->nruns; i++)
		for (uint32_t k = 0; k < f->runs[i].apply.neffects; k++) {
			effects = true;
			if (inflight_concerns(g, f->runs[i].apply.effect[k].object))
				return true;
		}
	return !effects;
}

static bool inflight_held_back(const struct replog *r, const struct inflight *f)
{
	const struct inflight *g;

	cds_list_for_each_entry(g, &r->inflights, link) {
		if (g == f)
			return false;
		if (!g->stale && inflight_builds_on(f, g))
			return true;
	}
	return false;
}

/* What stays is open: not carried out, or building on what is not. A stale one only had to be waited for. */
static void inflight_sweep(struct replog *r)
{
	struct inflight *f, *next;

	cds_list_for_each_entry_safe(f, next, &r->inflights, link)
		if (!f->pending && (f->stale || !inflight_held_back(r, f)))
			inflight_free(f);
	r->done_position = r->position;
	cds_list_for_each_entry(f, &r->inflights, link) {
		if (!f->stale) {
			r->done_position = f->position - 1;
			break;
		}
	}
}

void op_inflight_stale(struct replog *r)
{
	struct inflight *f;

	cds_list_for_each_entry(f, &r->inflights, link)
		f->stale = true;
}

bool op_inflight_any_stale(const struct replog *r)
{
	struct inflight *f;

	cds_list_for_each_entry(f, &r->inflights, link)
		if (f->stale)
			return true;
	return false;
}

void replog_effects_done(struct replog *r, struct effects_run *run, bool ok)
{
	struct inflight_run *ir = caa_container_of(run, struct inflight_run, run);

	replog_enter(r);
	ir->inflight->pending--;
	if (!ok)
		replog_failf(r, "position %llu (%s) could not be carried out on this node: see the log, repair the cause, "
				"restart sandemd", (unsigned long long)run->position, run->service->ops->name);
	replog_leave(r);
}

static void note_persist(struct replog *r, uint16_t service, const struct apply *a)
{
	for (uint32_t i = 0; i < a->neffects; i++)
		if (a->effect[i].kind == EFFECT_PERSIST && durable_note(r, service, a->effect[i].object))
			replog_failf(r, "out of memory while applying the log; restart sandemd on this node");
}

/* Hands the effects of each run over; done at once where there are none. */
static void inflight_run(struct replog *r, struct inflight *f)
{
	for (uint32_t i = 0; i < f->nruns; i++) {
		struct inflight_run *ir = &f->runs[i];

		if (ir->apply.err)
			replog_failf(r, "out of memory while applying the log; restart sandemd on this node");
		if (!ir->apply.neffects)
			continue;
		note_persist(r, ir->run.service->ops->id, &ir->apply);
		ir->inflight = f;
		ir->run.position = f->position;
		ir->run.origin = ir->apply.origin;
		ir->run.effect = ir->apply.effect;
		ir->run.n = ir->apply.neffects;
		f->pending++;
		r->io.run_effects(r->io.arg, &ir->run);
	}
	f->pending--;
}

/* When the new history has to be on stable storage, judged by the stream so that every member comes to the same:
 * - An operation that a lost member has not acknowledged is answered under the new membership: after a power loss of
 *   all that member's older state would look as good otherwise.
 * - The branch was begun from a store. Other stores may have what nobody has acknowledged; it must not come back after
 *   members have served without it. */
void op_view(struct replog *r)
{
	struct pending *p;
	bool open = r->lost_acked && r->lost_acked - 1 < r->op_position;

	r->lost_acked = 0;
	if (r->unconfirmed) {
		r->era++;
		r->serve_generation = r->generation;
	}
	if (open || r->unconfirmed)
		r->dirty_generation = r->generation;
	if (open || r->unconfirmed || r->version >= 2)
		r->ack_owed_generation = r->generation;
	if (r->version >= 2)
		r->ack_owed = r->view_position = r->position;
	r->unconfirmed = false;
	if (open)
		cds_list_for_each_entry(p, &r->pendings, link)
			p->generation = r->generation;
}

/* A VIEW's members, compared with the last one's. */
struct membership {
	uint32_t node[REPLOG_MEMBERS_MAX], stayed[REPLOG_MEMBERS_MAX], joined[REPLOG_MEMBERS_MAX];
	size_t n, nstayed, njoined;
	bool replaced; /* one that joined is on the node of one that was lost meanwhile */
};

static void membership_of(const struct replog *r, struct membership *ms)
{
	*ms = (struct membership){ .replaced = false };
	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];
		const struct seat *seat = seat_find(r, m->node);

		if (!m->synced)
			continue;
		ms->node[ms->n++] = m->node;
		if (seat && seat->incarnation == m->incarnation) {
			ms->stayed[ms->nstayed++] = m->node;
		} else {
			ms->joined[ms->njoined++] = m->node;
			ms->replaced |= seat != NULL;
		}
	}
}

static void tell_members(const struct replog *r, const struct service *s, struct apply *a, const struct membership *ms)
{
	bool processes = version_has_processes(r);

	if (processes && ms->replaced)
		s->ops->members(s->state, a, ms->stayed, ms->nstayed);
	if (processes && ms->njoined && s->ops->joined)
		s->ops->joined(s->state, a, ms->joined, ms->njoined);
	s->ops->members(s->state, a, ms->node, ms->n);
}

void op_members(struct replog *r)
{
	struct membership ms;
	struct inflight *f = inflight_new(r, r->p.nservices ? r->p.nservices : 1);

	if (!f)
		return;
	membership_of(r, &ms);
	for (size_t i = 0; i < r->p.nservices; i++) {
		struct service *s = &r->services[i];

		if (!s->ops->members || !version_has(r, s))
			continue;
		f->runs[i].apply.position = r->position;
		f->runs[i].run.service = s;
		tell_members(r, s, &f->runs[i].apply, &ms);
	}
	inflight_run(r, f);
}

/* ---- proposals ------------------------------------------------------------------------------- */

static void complete(struct replog *r, struct pending *p, enum propose_status status)
{
	p->status = status;
	cds_list_del(&p->link);
	cds_list_add_tail(&p->link, &r->completed);
}

void op_fail_all(struct replog *r, enum propose_status status)
{
	struct pending *p, *next;

	cds_list_for_each_entry_safe(p, next, &r->pendings, link)
		complete(r, p, status);
}

void op_run_completed(struct replog *r)
{
	CDS_LIST_HEAD(list);
	struct pending *p, *next;

	cds_list_splice(&r->completed, &list);
	CDS_INIT_LIST_HEAD(&r->completed);
	cds_list_for_each_entry_safe(p, next, &list, link) {
		p->done(p->cookie, p->status, p->result, p->result_len);
		free(p);
	}
}

static void send_op(struct replog *r, struct pending *p, uint16_t service, const void *msg, size_t len)
{
	struct message m = { .type = MSG_OP, .op = { r->p.incarnation, p->seq, service, msg, len } };
	struct wbuf out = { 0 };

	message_pack(&m, &out);
	replog_send(r, &out);
}

void op_propose(struct proposer *proposer, uint16_t service, const void *msg, size_t len, propose_done_fn done,
		void *cookie)
{
	struct replog *r = caa_container_of(proposer, struct replog, proposer);
	const struct service *s = replog_service(r, service);
	struct pending *p = calloc(1, sizeof(*p));

	if (!p) {
		/* done may not be called from here, and without memory there is no later. */
		replog_say(r, LOG_LEVEL_ERROR, "out of memory for a proposal; sandemd ends");
		abort();
	}
	*p = (struct pending){ .seq = ++r->seq, .done = done, .cookie = cookie, .status = PROPOSE_NOT_SERVING };
	CDS_INIT_LIST_HEAD(&p->link);
	if (!s || len > REPLOG_OP_MAX)
		p->status = PROPOSE_FAILED;
	else if (!version_has(r, s) && r->state == CLUSTER_SERVING) {
		p->status = PROPOSE_NOT_YET;
		version_say_not_yet(r, s);
	}
	if (r->state == CLUSTER_SERVING && !r->leaving && !r->failed && p->status == PROPOSE_NOT_SERVING) {
		p->waits_for_fencing = s->ops->waits_for_fencing;
		cds_list_add_tail(&p->link, &r->pendings);
		send_op(r, p, service, msg, len);
		if (!r->failed)
			return;
		cds_list_del(&p->link);
	}
	cds_list_add_tail(&p->link, &r->completed);
	r->io.wake(r->io.arg);
}

static struct pending *pending_find(struct replog *r, struct member *from, const struct op *op)
{
	struct pending *p;

	if (from->node != r->p.node || op->incarnation != r->p.incarnation)
		return NULL;
	cds_list_for_each_entry(p, &r->pendings, link)
		if (p->seq == op->seq)
			return p;
	return NULL;
}

/* A message that apply() refuses is refused by every member: it takes a position and changes nothing. */
static void op_apply(struct replog *r, const struct service *s, struct member *from, const struct op *op)
{
	struct inflight *f = inflight_new(r, 1);
	struct pending *p = pending_find(r, from, op);
	struct apply *a;
	int err;

	if (!f)
		return;
	a = &f->runs[0].apply;
	a->position = r->position;
	a->origin = from->node;
	f->runs[0].run.service = s;
	err = s->ops->apply(s->state, a, op->body, op->len);
	if (p) {
		p->position = r->position;
		p->generation = r->generation;
		p->result_len = a->result_len;
		memcpy(p->result, a->result, a->result_len);
		if (err)
			complete(r, p, PROPOSE_FAILED);
	}
	if (err == -ENOMEM)
		a->err = err;
	else if (err)
		replog_say(r, LOG_LEVEL_WARNING, "position %llu: service %s refused an operation of node %u: %s",
			   (unsigned long long)r->position, s->ops->name, from->node, strerror(-err));
	inflight_run(r, f);
}

void op_deliver(struct replog *r, struct member *from, const struct op *op)
{
	const struct service *s = replog_service(r, op->service);
	struct pending *p;

	/* The sender has left this branch, or never was on it: no member of the branch applies it. Or this node has left, and
	 * does not know any more which services there are. */
	if (!self_follows(r) || !r->in_group || !from->synced || from->incarnation != op->incarnation) {
		p = pending_find(r, from, op);
		if (p)
			complete(r, p, PROPOSE_NOT_SERVING);
		return;
	}
	if (!s || !version_has(r, s)) {
		replog_failf(r, "node %u sent an operation of service %u, which protocol version %u does not have: update "
				"this node", from->node, op->service, r->version);
		return;
	}
	r->position++;
	r->op_position = r->position;
	r->dirty_generation = r->generation;
	if (from->node != r->p.node) {
		r->ack_owed = r->position;
		r->ack_owed_generation = r->generation;
	}
	op_apply(r, s, from, op);
}

/* ---- acks -------------------------------------------------------------------------------------- */

void ack_deliver(struct replog *r, struct member *from, const struct ack *a)
{
	if (from->node == r->p.node)
		r->ack_sent = false;
	if (!from->synced)
		return;
	from->acked = a->position;
	from->beyond = a->beyond;
	from->committed_generation = a->committed_generation;
	view_count(r);
}

uint64_t op_committed(const struct replog *r)
{
	return r->partial ? 0 : r->committed_generation;
}

/* What is carried out behind done_position. Where more is open than a message tells, it reaches less far. */
static struct ack_beyond beyond_done(const struct replog *r)
{
	struct ack_beyond b = { .reach = r->position };
	const struct inflight *f;

	cds_list_for_each_entry(f, &r->inflights, link) {
		if (f->stale || (b.nopen && b.open[b.nopen - 1] == f->position))
			continue;
		if (b.nopen == ACK_OPEN_MAX) {
			b.reach = f->position - 1;
			break;
		}
		b.open[b.nopen++] = f->position;
	}
	while (b.nopen && b.open[b.nopen - 1] == b.reach) {
		b.nopen--;
		b.reach--;
	}
	return b;
}

static bool done_beyond(const struct ack_beyond *b, uint64_t position)
{
	for (uint32_t i = 0; i < b->nopen; i++)
		if (b->open[i] == position)
			return false;
	return position <= b->reach;
}

/* Nobody waits for acks of one's own operations; those of others are acknowledged many at a time, one message under way
 * at a time, so that a busy log has few of them. */
static void ack_settle(struct replog *r)
{
	struct message m = { .type = MSG_ACK, .ack = { r->done_position, op_committed(r), beyond_done(r) } };
	const struct ack_beyond *b = &m.ack.beyond;
	struct wbuf out = { 0 };
	bool more = r->done_position > r->ack_position || b->reach != r->ack_reach || b->nopen != r->ack_nopen;
	bool position = more && r->ack_position < r->ack_owed;
	bool commit = op_committed(r) > r->ack_committed && r->ack_owed_generation > r->ack_committed;

	if (!self_synced(r) || r->ack_sent || (!position && !commit))
		return;
	r->ack_sent = true;
	r->ack_position = r->done_position;
	r->ack_reach = b->reach;
	r->ack_nopen = b->nopen;
	r->ack_committed = op_committed(r);
	message_pack(&m, &out);
	replog_send(r, &out);
}

static bool acked_by_all(const struct replog *r, const struct pending *p)
{
	const struct ack_beyond own = beyond_done(r);

	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];
		bool self = m->node == r->p.node;

		if (!m->synced)
			continue;
		if ((self ? r->done_position : m->acked) < p->position &&
		    !done_beyond(self ? &own : &m->beyond, p->position))
			return false;
		if (p->waits_for_fencing &&
		    (self ? op_committed(r) : m->committed_generation) < p->generation)
			return false;
	}
	return true;
}

/* A member that has left has what counts, up to where it was: the answer has to wait for the VIEW without it, whose
 * history it does not know. */
static bool may_answer(const struct replog *r, const struct pending *p)
{
	return p->position && !(p->waits_for_fencing && (r->nunfenced || r->lost_acked)) && acked_by_all(r, p);
}

static void pendings_settle(struct replog *r)
{
	struct pending *p, *next;

	if (!self_synced(r) || !r->established || !replog_quorate(r))
		return;
	cds_list_for_each_entry_safe(p, next, &r->pendings, link)
		if (may_answer(r, p))
			complete(r, p, PROPOSE_OK);
}

void op_settle(struct replog *r)
{
	inflight_sweep(r);
	claim_settle(r);
	ack_settle(r);
	pendings_settle(r);
}
