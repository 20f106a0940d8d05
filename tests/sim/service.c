/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated services, each accompanied by its history: every proposal carries an identity behind its message, every
 * application moves the member one step down the tree of histories (history.c). ALUA is as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tasks.h"
#include "daemon/tasks.pb-c.h"
#include "media/media.pb-c.h"
#include "media/mode.pb-c.h"
#include "pr-sync/pr_msg.h"
#include "tests/sim/sim.h"

/* ---- what a message asks for --------------------------------------------------------------------------------------- */

static unsigned initiators_named(const struct node *n, const struct pr_op *o)
{
	unsigned mask = 0;

	for (uint32_t i = 0; o->spec_i_pt && i < o->nports; i++) {
		struct nexus_id id = { .rtpi = 1 };

		snprintf(id.port, sizeof(id.port), "%s", o->port[i]);
		mask |= 1u << nexus_number(n->sim, &id) / n->sim->nodes;
	}
	return mask;
}

static void pr_out_of(const struct node *n, const struct pr_op *o, unsigned from, struct pr_model_op *c)
{
	bool moves = o->action == PR_REGISTER_AND_MOVE;

	*c = (struct pr_model_op){ .action = o->action, .type = o->type, .from = from, .key = o->key, .sa_key = o->sa_key,
				   .all_tg_pt = o->all_tg_pt, .aptpl = o->aptpl, .unreg = o->unreg, .repeated = o->repeated,
				   .ports = initiators_named(n, o), .move_to = moves ? nexus_number(n->sim, &o->move_to) : 0 };
}

static int pr_decode(const struct node *n, const uint8_t *msg, size_t len, struct model_op *op)
{
	static const enum model_kind kinds[] = {
		[PR_OP_OUT] = MODEL_PR_OUT, [PR_OP_SPC2_RESERVE] = MODEL_RESERVE, [PR_OP_SPC2_RELEASE] = MODEL_RELEASE,
		[PR_OP_SPC2_RESET] = MODEL_UNRESERVE, [PR_OP_SPC2_NEXUS_LOST] = MODEL_NEXUS_LOST,
	};
	struct pr_msg_decoded d;
	int lu;

	if (pr_msg_decode(&d, msg, len))
		return -1;
	op->kind = kinds[d.m.kind];
	lu = op->kind == MODEL_NEXUS_LOST ? LU_ALL : atoi(d.m.lu);
	if (op->kind != MODEL_UNRESERVE)
		op->from = nexus_number(n->sim, &d.m.nexus);
	if (op->kind == MODEL_PR_OUT)
		pr_out_of(n, &d.m.out, op->from, &op->pr);
	pr_msg_decoded_fini(&d);
	return lu;
}

static unsigned nexus_from(const struct node *n, ProtobufCBinaryData port, uint32_t rtpi)
{
	struct nexus_id id = { .rtpi = rtpi };

	memcpy(id.port, port.data, port.len < sizeof(id.port) ? port.len : sizeof(id.port) - 1);
	return nexus_number(n->sim, &id);
}

static int mode_decode(const struct node *n, const uint8_t *msg, size_t len, struct model_op *op)
{
	static const enum model_kind kinds[] = {
		[MODE__ACTION__ACTION_SELECT] = MODEL_MODE_SELECT, [MODE__ACTION__ACTION_RESET] = MODEL_MODE_RESET,
		[MODE__ACTION__ACTION_TIMESTAMP] = MODEL_CLOCK, [MODE__ACTION__ACTION_LOG_RESET] = MODEL_LOG,
	};
	Mode__Change *c = mode__change__unpack(NULL, len, msg);
	int lu;

	if (!c)
		return -1;
	op->kind = kinds[c->action];
	lu = atoi(c->lu);
	op->save = c->save;
	op->clock = c->clock_offset;
	op->log_pages = c->log_pages;
	if (c->nexus)
		op->from = nexus_from(n, c->nexus->port, c->nexus->rtpi);
	if (c->values) {
		op->mode.mask = c->values->mask;
		memcpy(op->mode.value, c->values->value.data, c->values->value.len);
	}
	mode__change__free_unpacked(c, NULL);
	return lu;
}

static int media_decode(const struct node *n, const uint8_t *msg, size_t len, struct model_op *op)
{
	Media__Change *c = media__change__unpack(NULL, len, msg);
	int lu = -1;

	(void)n;
	if (c && c->action == MEDIA__ACTION__ACTION_CAPACITY) {
		op->kind = MODEL_CAPACITY;
		op->blocks = c->blocks;
		lu = atoi(c->lu);
	}
	if (c)
		media__change__free_unpacked(c, NULL);
	return lu;
}

static int tasks_decode(const struct node *n, const uint8_t *msg, size_t len, struct model_op *op)
{
	Tasks__Request *q = tasks__request__unpack(NULL, len, msg);
	int lu;

	if (!q)
		return -1;
	op->kind = q->function == TASKS__FUNCTION__FUNCTION_LUN_RESET ? MODEL_LUN_RESET : MODEL_CLEAR_TASK_SET;
	op->from = nexus_from(n, q->port, q->rtpi);
	lu = atoi(q->lu);
	tasks__request__free_unpacked(q, NULL);
	return lu;
}

/* ---- the services -------------------------------------------------------------------------------------------------- */

static const struct kind {
	const struct service_ops *real;
	int (*decode)(const struct node *n, const uint8_t *msg, size_t len, struct model_op *op); /* the LU; -1: not followed */
} kinds[FOLLOWED] = {
	{ &pr_service_ops, pr_decode }, /* the first: its snapshots carry the history */
	{ &media_service_ops, media_decode },
	{ &mode_service_ops, mode_decode },
	{ &tasks_service_ops, tasks_decode },
};

static const struct service_ops *real(const struct followed *f)
{
	return kinds[f->kind].real;
}

static bool is_followed(uint16_t service)
{
	for (unsigned i = 0; i < FOLLOWED; i++)
		if (kinds[i].real->id == service)
			return true;
	return false;
}

/* ---- proposals ----------------------------------------------------------------------------------------------------- */

struct tagged { /* a proposal with its identity */
	struct node *node;
	uint32_t op;
	uint64_t since;
	int history; /* of the proposer's state then */
	uint16_t service;
	bool answered;
	propose_done_fn done;
	void *cookie;
	struct cds_list_head link;
};

static uint8_t status_of(uint16_t service, const void *result, size_t len)
{
	struct pr_result r = { .status = STATUS_GOOD };

	if (service == PR_SERVICE_ID && len == sizeof(r))
		memcpy(&r, result, sizeof(r));
	return r.status;
}

static void tagged_done(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct tagged *t = cookie;
	struct node *n = t->node;

	if (status == PROPOSE_OK && !n->dying && !n->sim->unfollowed)
		history_acknowledged(n, t->op, t->since, t->history, status_of(t->service, result, len));
	if (!t->answered)
		t->done(t->cookie, status, result, len);
	cds_list_del(&t->link);
	free(t);
}

static void nobody_waits(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie, (void)status, (void)result, (void)len;
}

static void propose(struct proposer *p, uint16_t service, const void *msg, size_t len, propose_done_fn done, void *cookie)
{
	struct node *n = caa_container_of(p, struct node, proposer);
	struct proposer *log = __real_cluster_proposer(n->d.cluster);
	uint32_t op = n->proposing ? n->proposing : ++n->sim->values;
	struct tagged *t;
	struct wbuf b = { 0 };

	if (!is_followed(service)) {
		log->propose(log, service, msg, len, done, cookie);
		return;
	}
	t = malloc(sizeof(*t));
	*t = (struct tagged){ .node = n, .op = op, .since = n->sim->steps, .history = n->history, .service = service,
			      .done = done, .cookie = cookie };
	cds_list_add_tail(&t->link, &n->tagged);
	wbuf_put(&b, msg, len);
	wbuf_put(&b, &op, sizeof(op));
	log->propose(log, service, b.data, b.len, tagged_done, t);
	if (node_planted(n, PLANT_APPLY_TWICE))
		log->propose(log, service, b.data, b.len, nobody_waits, NULL);
	wbuf_fini(&b);
}

struct proposer *__wrap_cluster_proposer(struct cluster *c);
struct proposer *__wrap_cluster_proposer(struct cluster *c)
{
	(void)c;
	return &sim_world()->cur->proposer;
}

/* PLANT_EARLY_ANSWER */
static void answer_early(struct node *n, uint32_t op, const struct apply *a)
{
	struct tagged *t;

	cds_list_for_each_entry(t, &n->tagged, link) {
		if (t->op != op || t->answered)
			continue;
		t->answered = true;
		history_acknowledged(n, op, t->since, t->history, status_of(t->service, a->result, a->result_len));
		t->done(t->cookie, PROPOSE_OK, a->result, a->result_len);
	}
}

/* ---- application --------------------------------------------------------------------------------------------------- */

static void follow(struct node *n, const struct kind *k, struct apply *a, uint32_t id, const uint8_t *msg, size_t len)
{
	struct model_op op = { .from = 0 };
	int lu = k->decode(n, msg, len, &op);
	uint8_t status;

	if (lu < 0)
		return;
	status = history_apply(n, id, lu, &op);
	if (k->real->id == PR_SERVICE_ID && status_of(PR_SERVICE_ID, a->result, a->result_len) != status &&
	    n->sim->plant != PLANT_SKIP_APPLY)
		sim_fail(n->sim, "node %u: operation %u ends with %02xh, by the model with %02xh", n->id, id,
			 status_of(PR_SERVICE_ID, a->result, a->result_len), status);
	if (k->real->id == PR_SERVICE_ID && node_planted(n, PLANT_EARLY_ANSWER) && a->origin == n->id)
		answer_early(n, id, a);
}

static void drop_effects(struct apply *a, enum effect_kind kind)
{
	for (uint32_t i = 0; i < a->neffects; i++)
		if (a->effect[i].kind == kind)
			a->effect[i].kind = EFFECT_OWNER; /* which means nothing here */
}

static void leave_out(struct apply *a)
{
	struct pr_result r = { .field = PR_NO_FIELD };

	apply_result(a, &r, sizeof(r));
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	struct followed *f = state;
	struct node *n = f->node;
	bool is_pr = real(f)->id == PR_SERVICE_ID;
	uint32_t op;
	int rc = 0;

	if (len < sizeof(op))
		return -EBADMSG;
	len -= sizeof(op);
	memcpy(&op, msg + len, sizeof(op));
	history_anchor(n);
	if (is_pr && node_planted(n, PLANT_SKIP_APPLY) && n->id == 2 && chance(n->sim, 4))
		leave_out(a);
	else
		rc = real(f)->apply(f->state, a, msg, len);
	if (!rc && !n->sim->unfollowed)
		follow(n, &kinds[f->kind], a, op, msg, len);
	if (is_pr && node_planted(n, PLANT_NO_PERSIST))
		drop_effects(a, EFFECT_PERSIST);
	if (real(f)->id == MODE_SERVICE_ID && node_planted(n, PLANT_MODE_NO_PERSIST))
		drop_effects(a, EFFECT_PERSIST);
	return rc;
}

static void members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct followed *f = state;

	if (!real(f)->members)
		return;
	real(f)->members(f->state, a, node, n);
	if (real(f)->id == PR_SERVICE_ID && !f->node->sim->unfollowed)
		history_members(f->node, a->position, node, n);
}

static void snapshot(const void *state, struct wbuf *out)
{
	const struct followed *f = state;
	int32_t history = f->node->history;

	real(f)->snapshot(f->state, out);
	if (!f->kind)
		wbuf_put(out, &history, sizeof(history));
}

static int restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct followed *f = state;
	struct node *n = f->node;
	int32_t history;
	int rc;

	if (f->kind)
		return real(f)->restore(f->state, p, len, err, errlen);
	memcpy(&history, p + len - sizeof(history), sizeof(history));
	rc = real(f)->restore(f->state, p, len - sizeof(history), err, errlen);
	if (rc)
		return rc;
	history_restored(n, history);
	if (node_planted(n, PLANT_TORN_SNAPSHOT) && n->d.pr->lus.n)
		pr_fini(&n->d.pr->lus.lu[0]->pr);
	return 0;
}

static void snapshot_beside(const void *state, struct wbuf *out)
{
	const struct followed *f = state;

	if (real(f)->snapshot_beside)
		real(f)->snapshot_beside(f->state, out);
}

static int restore_beside(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct followed *f = state;

	return real(f)->restore_beside ? real(f)->restore_beside(f->state, p, len, err, errlen) : 0;
}

static void persist(const void *state, const char *object, struct wbuf *out)
{
	const struct followed *f = state;

	real(f)->persist(f->state, object, out);
}

static int load(void *state, const char *object, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct followed *f = state;

	return real(f)->load(f->state, object, p, len, err, errlen);
}

/* ---- for node.c ---------------------------------------------------------------------------------------------------- */

struct service service_row(struct node *n, unsigned kind)
{
	void *const state[FOLLOWED] = { n->d.pr, n->d.media, &n->d.modes, &n->d.tasks };
	struct followed *f = &n->followed[kind];

	*f = (struct followed){ .node = n, .kind = kind, .state = state[kind], .ops = *kinds[kind].real };
	f->ops.apply = apply;
	f->ops.members = members;
	f->ops.snapshot = snapshot;
	f->ops.restore = restore;
	f->ops.snapshot_beside = snapshot_beside;
	f->ops.restore_beside = restore_beside;
	f->ops.persist = persist;
	f->ops.load = load;
	return (struct service){ .ops = &f->ops, .state = f };
}

void service_wire(struct node *n)
{
	n->proposer.propose = propose;
	CDS_INIT_LIST_HEAD(&n->tagged);
}
