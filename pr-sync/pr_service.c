/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr_service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pr-sync/pr_msg.h"

/* ---- logical units by name ------------------------------------------------------------------- */

static uint32_t lus_position(const struct pr_lus *s, const char *name, bool *found)
{
	uint32_t lo = 0, hi = s->n;

	*found = false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, s->lu[mid]->name);

		if (!c) {
			*found = true;
			return mid;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

struct pr_lu *pr_lus_find(const struct pr_lus *s, const char *name)
{
	bool found;
	uint32_t at = lus_position(s, name, &found);

	return found ? s->lu[at] : NULL;
}

static int lus_room(struct pr_lus *s)
{
	uint32_t cap = s->cap ? 2 * s->cap : 16;
	struct pr_lu **lu;

	if (s->n < s->cap)
		return 0;
	lu = realloc(s->lu, cap * sizeof(struct pr_lu *));
	if (!lu)
		return -ENOMEM;
	s->lu = lu;
	s->cap = cap;
	return 0;
}

struct pr_lu *pr_lus_get(struct pr_lus *s, const char *name)
{
	bool found;
	uint32_t at = lus_position(s, name, &found);
	struct pr_lu *lu;

	if (found)
		return s->lu[at];
	lu = calloc(1, sizeof(*lu));
	if (!lu || lus_room(s)) {
		free(lu);
		return NULL;
	}
	strncpy(lu->name, name, LU_NAME_MAX);
	pr_init(&lu->pr);
	memmove(&s->lu[at + 1], &s->lu[at], (s->n - at) * sizeof(s->lu[0]));
	s->lu[at] = lu;
	s->n++;
	return lu;
}

void pr_lus_fini(struct pr_lus *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		pr_view_free(s->lu[i]->view);
		pr_fini(&s->lu[i]->pr);
		free(s->lu[i]);
	}
	free(s->lu);
	*s = (struct pr_lus){ 0 };
}

bool pr_lu_is_initial(const struct pr_lu *lu)
{
	return pr_is_initial(&lu->pr) && !lu->spc2_reserved;
}

/* ---- PERSISTENT RESERVE OUT ------------------------------------------------------------------ */

static int result(struct apply *a, uint8_t status, sense_t sense, uint16_t field)
{
	struct pr_result r;

	memset(&r, 0, sizeof(r));
	r.status = status;
	r.sense = sense;
	r.field = field;
	apply_result(a, &r, sizeof(r));
	return a->err;
}

static void tell(struct apply *a, const char *lu, const struct pr_ua *ua)
{
	if (ua->n)
		apply_ua(a, lu, ua->code, UA_SCOPE_ONLY, ua->ids, ua->n);
}

static void abort_tasks(struct apply *a, const char *lu, const struct pr_ua *who, const struct nexus_id *by)
{
	struct effect *e;

	apply_ua(a, lu, who->code, UA_SCOPE_ONLY, who->ids, who->n);
	if (a->err)
		return;
	e = &a->effect[a->neffects - 1];
	e->kind = EFFECT_ABORT;
	e->by = *by;
	e->clears_aca = true;
}

/* The view goes first: what is aborted or drained afterwards can't be followed by more of its kind
 * (P2). Tasks are aborted before anybody waits for them to end. */
static void out_effects(struct apply *a, const char *lu, const struct pr_outcome *out, const struct nexus_id *by)
{
	if (out->view_changed)
		apply_effect(a, out->excludes && !out->abort ? EFFECT_DRAIN : EFFECT_PUBLISH, lu);
	tell(a, lu, &out->preempted);
	tell(a, lu, &out->released);
	if (out->abort) {
		abort_tasks(a, lu, &out->preempted, by);
		apply_effect(a, EFFECT_DRAIN, lu);
	}
	if (out->persist)
		apply_effect(a, EFFECT_PERSIST, lu);
}

static int apply_out(struct pr_lu *lu, const struct pr_msg *m, struct apply *a)
{
	struct pr_outcome out;
	int err;

	if (lu->spc2_reserved) /* SPC-2 5.5.1: regardless of initiator or service action */
		return result(a, STATUS_RESERVATION_CONFLICT, SENSE_NONE, PR_NO_FIELD);
	err = pr_apply(&lu->pr, &m->out, &out);
	if (err)
		return a->err = err;
	out_effects(a, lu->name, &out, &m->nexus);
	err = result(a, out.status, out.sense, out.field);
	pr_outcome_fini(&out);
	return err;
}

/* ---- RESERVE and RELEASE (SPC-2 7.21, 7.16, with the exceptions of SPC-4 5.13.3) ------------- */

enum spc2_verdict { SPC2_PROCEED, SPC2_GOOD, SPC2_CONFLICT };

static enum spc2_verdict spc2_under_pr(const struct pr *pr, const struct nexus_id *nexus)
{
	const struct pr_registrant *r = pr_find(pr, nexus);

	if (!pr->n)
		return SPC2_PROCEED;
	if (pr_is_holder(pr, r) || (r && pr_type_registrants_only(pr->type)))
		return SPC2_GOOD; /* GOOD, and nothing is reserved or released */
	return SPC2_CONFLICT; /* SPC-2 5.5.1: conflicts while any initiator is registered */
}

static uint8_t spc2_reserve(struct pr_lu *lu, const struct nexus_id *nexus, struct apply *a)
{
	bool mine = nexus_id_eq(&lu->spc2_holder, nexus);

	if (lu->spc2_reserved)
		return mine ? STATUS_GOOD : STATUS_RESERVATION_CONFLICT;
	lu->spc2_reserved = true;
	lu->spc2_holder = *nexus;
	lu->spc2_node = a->origin;
	apply_effect(a, EFFECT_DRAIN, lu->name);
	return STATUS_GOOD;
}

static void spc2_end(struct pr_lu *lu, struct apply *a)
{
	lu->spc2_reserved = false;
	lu->spc2_node = 0;
	memset(&lu->spc2_holder, 0, sizeof(lu->spc2_holder));
	apply_effect(a, EFFECT_PUBLISH, lu->name);
}

/* From a nexus that does not hold the reservation: GOOD, nothing happens (SPC-2 7.16.2). */
static uint8_t spc2_release(struct pr_lu *lu, const struct nexus_id *nexus, struct apply *a)
{
	if (lu->spc2_reserved && nexus_id_eq(&lu->spc2_holder, nexus))
		spc2_end(lu, a);
	return STATUS_GOOD;
}

static int apply_spc2(struct pr_lu *lu, const struct pr_msg *m, struct apply *a)
{
	uint8_t status = STATUS_GOOD;

	switch (spc2_under_pr(&lu->pr, &m->nexus)) {
	case SPC2_CONFLICT:
		status = STATUS_RESERVATION_CONFLICT;
		break;
	case SPC2_GOOD:
		break;
	case SPC2_PROCEED:
		status = m->kind == PR_OP_SPC2_RESERVE ? spc2_reserve(lu, &m->nexus, a) :
							 spc2_release(lu, &m->nexus, a);
		break;
	}
	return result(a, status, SENSE_NONE, PR_NO_FIELD);
}

static int apply_reset(struct pr_lu *lu, const struct pr_msg *m, struct apply *a)
{
	(void)m;
	if (lu->spc2_reserved)
		spc2_end(lu, a);
	return result(a, STATUS_GOOD, SENSE_NONE, PR_NO_FIELD);
}

static int apply_nexus_lost(struct pr_lus *s, const struct pr_msg *m, struct apply *a)
{
	for (uint32_t i = 0; i < s->n; i++)
		spc2_release(s->lu[i], &m->nexus, a);
	return result(a, STATUS_GOOD, SENSE_NONE, PR_NO_FIELD);
}

/* ---- the service ----------------------------------------------------------------------------- */

static int dispatch(struct pr_service *svc, struct apply *a, const struct pr_msg *m)
{
	struct pr_lu *lu;

	if (m->kind == PR_OP_SPC2_NEXUS_LOST)
		return apply_nexus_lost(&svc->lus, m, a);
	lu = pr_lus_get(&svc->lus, m->lu);
	if (!lu)
		return a->err = -ENOMEM;
	switch (m->kind) {
	case PR_OP_OUT:
		return apply_out(lu, m, a);
	case PR_OP_SPC2_RESERVE:
	case PR_OP_SPC2_RELEASE:
		return apply_spc2(lu, m, a);
	case PR_OP_SPC2_RESET:
	case PR_OP_SPC2_NEXUS_LOST:
		break;
	}
	return apply_reset(lu, m, a);
}

static int service_apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	struct pr_msg_decoded d;
	int err = pr_msg_decode(&d, msg, len);

	if (!err)
		err = dispatch(state, a, &d.m);
	pr_msg_decoded_fini(&d);
	if (err == -ENOMEM)
		a->err = err;
	return err;
}

static bool is_member(uint32_t id, const uint32_t *node, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (node[i] == id)
			return true;
	return false;
}

/* The nexuses of a member that is gone are lost (SAM-5 6.3.4), and with them what SPC-2 lets them
 * hold. */
static void service_members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct pr_service *svc = state;
	struct pr_lus *s = &svc->lus;

	for (uint32_t i = 0; i < s->n; i++) {
		struct pr_lu *lu = s->lu[i];

		if (!lu->spc2_reserved || is_member(lu->spc2_node, node, n))
			continue;
		if (pr_linger_add(&svc->linger, lu->name, lu->spc2_node, &lu->spc2_holder))
			a->err = -ENOMEM;
		spc2_end(lu, a);
	}
}

static void service_snapshot_beside(const void *state, struct wbuf *out)
{
	pr_linger_pack(&((const struct pr_service *)state)->linger, out);
}

static int service_restore_beside(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	return pr_linger_unpack(&((struct pr_service *)state)->linger, p, len, err, errlen);
}

const struct service_ops pr_service_ops = {
	.id = PR_SERVICE_ID,
	.name = "reservations",
	.waits_for_fencing = true,
	.apply = service_apply,
	.members = service_members,
	.snapshot = pr_state_snapshot,
	.restore = pr_state_restore,
	.snapshot_beside = service_snapshot_beside,
	.restore_beside = service_restore_beside,
	.persist = pr_state_persist,
	.load = pr_state_load,
};

struct pr_service *pr_service_new(void)
{
	return calloc(1, sizeof(struct pr_service));
}

void pr_service_free(struct pr_service *svc)
{
	if (!svc)
		return;
	pr_lus_fini(&svc->lus);
	pr_linger_fini(&svc->linger);
	free(svc);
}

const struct pr_lu *pr_service_find(const struct pr_service *svc, const char *lu)
{
	return pr_lus_find(&svc->lus, lu);
}

bool pr_service_spc2_holds(const struct pr_service *svc, const struct nexus_id *nexus)
{
	for (uint32_t i = 0; i < svc->lus.n; i++)
		if (svc->lus.lu[i]->spc2_reserved &&
		    nexus_id_eq(&svc->lus.lu[i]->spc2_holder, nexus))
			return true;
	return false;
}

bool pr_service_lingers(const struct pr_service *svc, const char *name)
{
	return pr_linger_find(&svc->linger, name);
}

void pr_service_msg_reset(struct wbuf *b, const char *lu)
{
	struct pr_msg m = { .kind = PR_OP_SPC2_RESET };

	strncpy(m.lu, lu, LU_NAME_MAX);
	pr_msg_encode(&m, b);
}

void pr_service_msg_nexus_lost(struct wbuf *b, const struct nexus_id *nexus)
{
	struct pr_msg m = { .kind = PR_OP_SPC2_NEXUS_LOST, .nexus = *nexus };

	pr_msg_encode(&m, b);
}
