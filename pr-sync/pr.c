/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- predicates ------------------------------------------------------------------------------ */

uint32_t pr_position(const struct pr *pr, const struct nexus_id *id, bool *found)
{
	uint32_t lo = 0, hi = pr->n;

	*found = false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = nexus_id_cmp(id, &pr->reg[mid]->id);

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

struct pr_registrant *pr_find(const struct pr *pr, const struct nexus_id *id)
{
	bool found;
	uint32_t at = pr_position(pr, id, &found);

	return found ? pr->reg[at] : NULL;
}

bool pr_is_holder(const struct pr *pr, const struct pr_registrant *r)
{
	return r && (pr_type_all_registrants(pr->type) || pr->holder == r);
}

bool pr_is_initial(const struct pr *pr)
{
	return !pr->n && !pr->generation && !pr->aptpl;
}

static bool key_registered(const struct pr *pr, uint64_t key)
{
	for (uint32_t i = 0; i < pr->n; i++)
		if (pr->reg[i]->key == key)
			return true;
	return false;
}

/* Already what a repeated command asks for? (see pr_op.repeated) */
static bool is_done_already(const struct pr *pr, const struct pr_op *op)
{
	const struct pr_registrant *self = pr_find(pr, &op->nexus);
	const struct pr_registrant *to;

	switch (op->action) {
	case PR_REGISTER:
	case PR_REGISTER_AND_IGNORE:
		return (self ? self->key : 0) == op->sa_key;
	case PR_CLEAR:
		return !pr->n;
	case PR_PREEMPT:
	case PR_PREEMPT_AND_ABORT:
		return op->sa_key && !key_registered(pr, op->sa_key) &&
		       (self ? self->key == op->key : op->key == op->sa_key);
	case PR_REGISTER_AND_MOVE:
		to = pr_find(pr, &op->move_to);
		return to && pr->holder == to && to->key == op->sa_key;
	case PR_RESERVE: /* these two are idempotent by themselves */
	case PR_RELEASE:
		return false;
	}
	return false;
}

/* ---- mutators -------------------------------------------------------------------------------- */

void pr_init(struct pr *pr)
{
	*pr = (struct pr){ .type = PR_NONE };
}

void pr_registrant_put(struct pr_registrant *r)
{
	if (!--r->refs)
		free(r);
}

void pr_fini(struct pr *pr)
{
	for (uint32_t i = 0; i < pr->n; i++)
		pr_registrant_put(pr->reg[i]);
	free(pr->reg);
	pr_init(pr);
}

static int make_room(struct pr *pr, uint32_t more)
{
	struct pr_registrant **reg;
	uint32_t cap = pr->n + more;

	if (cap <= pr->cap)
		return 0;
	cap += cap / 2 + 8;
	reg = realloc(pr->reg, cap * sizeof(struct pr_registrant *));
	if (!reg)
		return -ENOMEM;
	pr->reg = reg;
	pr->cap = cap;
	return 0;
}

static void insert(struct pr *pr, uint32_t at, struct pr_registrant *r)
{
	memmove(&pr->reg[at + 1], &pr->reg[at], (pr->n - at) * sizeof(pr->reg[0]));
	pr->reg[at] = r;
	pr->n++;
}

struct pr_registrant *pr_append(struct pr *pr, const struct nexus_id *id, uint64_t key)
{
	struct pr_registrant *r;

	errno = EINVAL;
	if (!key || pr->n >= PR_REGISTRANTS_MAX ||
	    (pr->n && nexus_id_cmp(&pr->reg[pr->n - 1]->id, id) >= 0))
		return NULL;
	errno = ENOMEM;
	if (make_room(pr, 1))
		return NULL;
	r = malloc(sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct pr_registrant){ .id = *id, .key = key, .refs = 1 };
	pr->reg[pr->n++] = r;
	return r;
}

static void release(struct pr *pr)
{
	pr->type = PR_NONE;
	pr->holder = NULL;
}

static void reserve(struct pr *pr, enum pr_type type, struct pr_registrant *self)
{
	pr->type = type;
	pr->holder = pr_type_all_registrants(type) ? NULL : self;
}

static void tell(struct pr_ua *ua, const struct nexus_id *id)
{
	ua->ids[ua->n++] = *id;
}

static void tell_all_but(const struct pr *pr, struct pr_ua *ua, const struct pr_registrant *but)
{
	for (uint32_t i = 0; i < pr->n; i++)
		if (pr->reg[i] != but)
			tell(ua, &pr->reg[i]->id);
}

/* Which registrations to remove. */
struct removal {
	bool any_key;
	uint64_t key;
	const char *port;		   /* only of this initiator port */
	const struct nexus_id *only;	   /* only this one */
	const struct pr_registrant *spare; /* not this one */
	const struct pr_registrant *untold;
	struct pr_ua *ua; /* NULL: nobody is told */
};

static bool removal_hits(const struct removal *rm, const struct pr_registrant *r)
{
	return r != rm->spare && (rm->any_key || r->key == rm->key) &&
	       (!rm->port || !strcmp(rm->port, r->id.port)) &&
	       (!rm->only || nexus_id_eq(rm->only, &r->id));
}

/* Returns whether the reservation holder was among them. A reservation that has no registrant left
 * is released (SPC-4 5.13.11.2, all registrants). */
static bool remove_registrants(struct pr *pr, const struct removal *rm)
{
	uint32_t kept = 0;
	bool holder = false;

	for (uint32_t i = 0; i < pr->n; i++) {
		struct pr_registrant *r = pr->reg[i];

		if (!removal_hits(rm, r)) {
			pr->reg[kept++] = r;
			continue;
		}
		if (rm->ua && r != rm->untold)
			tell(rm->ua, &r->id);
		holder |= r == pr->holder;
		pr_registrant_put(r);
	}
	pr->n = kept;
	if (holder || !kept)
		release(pr);
	return holder;
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static int conflict(struct pr_outcome *out)
{
	out->status = STATUS_RESERVATION_CONFLICT;
	return 0;
}

static int refuse(struct pr_outcome *out, sense_t s, uint16_t field)
{
	out->status = STATUS_CHECK_CONDITION;
	out->sense = s;
	out->field = field;
	return 0;
}

static int ua_room(struct pr_ua *ua, enum ua code, uint32_t n)
{
	ua->code = code;
	ua->ids = malloc((n ? n : 1) * sizeof(*ua->ids));
	return ua->ids ? 0 : -ENOMEM;
}

static void registrations_changed(struct pr *pr, struct pr_outcome *out)
{
	pr->generation++;
	out->changed = true;
}

void pr_outcome_fini(struct pr_outcome *out)
{
	free(out->preempted.ids);
	free(out->released.ids);
	*out = (struct pr_outcome){ 0 };
}

/* ---- registering (SPC-4 5.13.7) -------------------------------------------------------------- */

/* The I_T nexuses of one registration: its initiator ports × its target ports. Number 0 is the
 * nexus itself. */
struct nexus_set {
	const struct pr_op *op;
	uint32_t nports, nrtpi;
};

static struct nexus_set nexus_set_of(const struct pr_op *op)
{
	return (struct nexus_set){
		.op = op,
		.nports = 1 + (op->spec_i_pt ? op->nports : 0),
		.nrtpi = 1 + (op->all_tg_pt ? op->nrtpi : 0),
	};
}

static void nexus_set_get(const struct nexus_set *s, uint32_t i, struct nexus_id *id)
{
	uint32_t p = i / s->nrtpi, t = i % s->nrtpi;

	*id = s->op->nexus;
	if (p)
		strncpy(id->port, s->op->port[p - 1], PORT_NAME_MAX);
	if (t)
		id->rtpi = s->op->rtpi[t - 1];
}

struct spares { /* registrants allocated before anything changes */
	uint32_t n;
	struct pr_registrant **r;
};

static void spares_fini(struct spares *s)
{
	while (s->n)
		free(s->r[--s->n]);
	free(s->r);
	s->r = NULL;
}

static int spares_get(struct spares *s, uint32_t n)
{
	s->r = calloc(n ? n : 1, sizeof(struct pr_registrant *));
	if (!s->r)
		return -ENOMEM;
	for (; s->n < n; s->n++) {
		s->r[s->n] = malloc(sizeof(struct pr_registrant));
		if (!s->r[s->n]) {
			spares_fini(s);
			return -ENOMEM;
		}
	}
	return 0;
}

static uint32_t count_new(const struct pr *pr, const struct nexus_set *set)
{
	uint32_t n = 0;
	struct nexus_id id;

	for (uint32_t i = 0; i < set->nports * set->nrtpi; i++) {
		nexus_set_get(set, i, &id);
		n += !pr_find(pr, &id);
	}
	return n;
}

/* True when a registrant was added. */
static bool set_key(struct pr *pr, struct spares *spares, const struct nexus_id *id, uint64_t key,
		    bool replace)
{
	struct pr_registrant *r;
	bool found;
	uint32_t at = pr_position(pr, id, &found);

	if (found) {
		if (replace)
			pr->reg[at]->key = key;
		return false;
	}
	r = spares->r[--spares->n];
	*r = (struct pr_registrant){ .id = *id, .key = key, .refs = 1 };
	insert(pr, at, r);
	return true;
}

/* Through the other target ports (ALL_TG_PT) the initiator port's own key is replaced; an initiator
 * port that others named (SPEC_I_PT) keeps the key that it has (SPC-4 table 69: "each specified
 * unregistered I_T nexus"). */
static int register_set(struct pr *pr, const struct pr_op *op, struct pr_outcome *out)
{
	struct nexus_set set = nexus_set_of(op);
	uint32_t fresh = count_new(pr, &set);
	struct spares spares = { 0 };
	struct nexus_id id;

	if (fresh > PR_REGISTRANTS_MAX - pr->n)
		return refuse(out, SENSE_INSUFFICIENT_REGISTRATION, PR_NO_FIELD);
	if (make_room(pr, fresh) || spares_get(&spares, fresh))
		return -ENOMEM;
	for (uint32_t i = 0; i < set.nports * set.nrtpi; i++) {
		nexus_set_get(&set, i, &id);
		out->view_changed |= set_key(pr, &spares, &id, op->sa_key, i < set.nrtpi);
	}
	spares_fini(&spares);
	pr->aptpl = op->aptpl;
	registrations_changed(pr, out);
	return 0;
}

/* SPC-4 5.13.11.3. With ALL_TG_PT as if asked for through each target port, so that a registration
 * under another key stays. */
static int unregister(struct pr *pr, const struct pr_op *op, struct pr_outcome *out)
{
	struct removal rm = { .key = op->key };
	bool only_registrants = pr_type_registrants_only(pr->type);

	rm.any_key = op->action == PR_REGISTER_AND_IGNORE;
	if (op->all_tg_pt)
		rm.port = op->nexus.port;
	else
		rm.only = &op->nexus;
	if (ua_room(&out->released, UA_RESERVATIONS_RELEASED, pr->n))
		return -ENOMEM;
	if (remove_registrants(pr, &rm) && only_registrants)
		tell_all_but(pr, &out->released, NULL);
	pr->aptpl = op->aptpl;
	out->view_changed = true;
	out->excludes = pr->type != PR_NONE;
	registrations_changed(pr, out);
	return 0;
}

/* SPC-4 tables 69 and 70. */
static int do_register(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		       struct pr_outcome *out)
{
	if (op->action == PR_REGISTER) {
		if (op->key != (self ? self->key : 0))
			return conflict(out);
		if (self && op->spec_i_pt)
			return refuse(out, SENSE_INVALID_FIELD_IN_CDB, PR_NO_FIELD);
	}
	if (op->sa_key)
		return register_set(pr, op, out);
	if (self)
		return unregister(pr, op, out);
	return 0; /* "Do nothing" */
}

/* ---- reserving and releasing (5.13.9, 5.13.11.2) --------------------------------------------- */

static int do_reserve(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		      struct pr_outcome *out)
{
	if (op->scope != PR_LU_SCOPE || !pr_type_valid(op->type))
		return refuse(out, SENSE_INVALID_FIELD_IN_CDB, 2);
	if (pr->type != PR_NONE) {
		if (!pr_is_holder(pr, self) || pr->type != op->type)
			return conflict(out);
		return 0;
	}
	reserve(pr, op->type, self);
	out->changed = out->view_changed = out->excludes = true;
	return 0;
}

static int do_release(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		      struct pr_outcome *out)
{
	enum pr_type old = pr->type;

	if (old == PR_NONE || !pr_is_holder(pr, self))
		return 0;
	if (op->scope != PR_LU_SCOPE || op->type != old)
		return refuse(out, SENSE_INVALID_RELEASE_OF_PR, PR_NO_FIELD);
	if (ua_room(&out->released, UA_RESERVATIONS_RELEASED, pr->n))
		return -ENOMEM;
	if (pr_type_registrants_only(old) || pr_type_all_registrants(old))
		tell_all_but(pr, &out->released, self);
	release(pr);
	out->changed = out->view_changed = true;
	return 0;
}

/* ---- clearing and preempting (5.13.11.4 - 5.13.11.6) ----------------------------------------- */

static int do_clear(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		    struct pr_outcome *out)
{
	struct removal rm = { .any_key = true, .untold = self, .ua = &out->preempted };

	(void)op;
	if (ua_room(&out->preempted, UA_RESERVATIONS_PREEMPTED, pr->n))
		return -ENOMEM;
	remove_registrants(pr, &rm);
	out->view_changed = true;
	registrations_changed(pr, out);
	return 0;
}

/* 5.13.11.4.3: the reservation changes hands; the preempting nexus keeps its registration. */
static int preempt_reservation(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
			       struct pr_outcome *out)
{
	struct removal rm = { .any_key = !op->sa_key, .key = op->sa_key, .spare = self,
			      .ua = &out->preempted };
	enum pr_type old = pr->type;

	if (op->scope != PR_LU_SCOPE || !pr_type_valid(op->type))
		return refuse(out, SENSE_INVALID_FIELD_IN_CDB, 2);
	if (ua_room(&out->preempted, UA_REGISTRATIONS_PREEMPTED, pr->n) ||
	    ua_room(&out->released, UA_RESERVATIONS_RELEASED, pr->n))
		return -ENOMEM;
	release(pr);
	remove_registrants(pr, &rm);
	reserve(pr, op->type, self);
	if (old != op->type)
		tell_all_but(pr, &out->released, self);
	return 0;
}

/* 5.13.11.4.4: scope and type are ignored; the preempting nexus goes too when the key is its
 * own. */
static int preempt_registrations(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
				 struct pr_outcome *out)
{
	struct removal rm = { .key = op->sa_key, .untold = self, .ua = &out->preempted };

	if (!key_registered(pr, op->sa_key))
		return conflict(out);
	if (ua_room(&out->preempted, UA_REGISTRATIONS_PREEMPTED, pr->n))
		return -ENOMEM;
	remove_registrants(pr, &rm);
	return 0;
}

/* SPC-4 table 72. */
static int do_preempt(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		      struct pr_outcome *out)
{
	bool takes, all = pr_type_all_registrants(pr->type);
	int err;

	takes = all ? !op->sa_key : pr->holder && pr->holder->key == op->sa_key;
	if (!op->sa_key && !takes)
		return refuse(out, SENSE_INVALID_FIELD_IN_PARAM, 8);
	err = takes ? preempt_reservation(pr, op, self, out) :
		      preempt_registrations(pr, op, self, out);
	if (err || out->status != STATUS_GOOD)
		return err;
	out->view_changed = true;
	out->excludes = pr->type != PR_NONE;
	out->abort = op->action == PR_PREEMPT_AND_ABORT && out->preempted.n;
	registrations_changed(pr, out);
	return 0;
}

/* ---- register and move (5.13.8) -------------------------------------------------------------- */

static int move_refused(const struct pr *pr, const struct pr_op *op,
			const struct pr_registrant *self, struct pr_outcome *out)
{
	if (pr->type == PR_NONE)
		return refuse(out, SENSE_INVALID_FIELD_IN_CDB, 1);
	if (pr_type_all_registrants(pr->type) || pr->holder != self)
		return conflict(out);
	if (!op->sa_key)
		return refuse(out, SENSE_INVALID_FIELD_IN_PARAM, 8);
	if (!strcmp(op->move_to.port, op->nexus.port))
		return refuse(out, SENSE_INVALID_FIELD_IN_PARAM, 24);
	if (pr->n >= PR_REGISTRANTS_MAX && !pr_find(pr, &op->move_to))
		return refuse(out, SENSE_INSUFFICIENT_REGISTRATION, PR_NO_FIELD);
	return 0;
}

static int do_move(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		   struct pr_outcome *out)
{
	struct removal rm = { .any_key = true, .only = &op->nexus };
	struct spares spares = { 0 };

	move_refused(pr, op, self, out);
	if (out->status != STATUS_GOOD)
		return 0;
	if (make_room(pr, 1) || spares_get(&spares, 1))
		return -ENOMEM;
	set_key(pr, &spares, &op->move_to, op->sa_key, true);
	spares_fini(&spares);
	pr->holder = pr_find(pr, &op->move_to);
	if (op->unreg)
		remove_registrants(pr, &rm);
	pr->aptpl = op->aptpl;
	out->view_changed = out->excludes = true;
	registrations_changed(pr, out);
	return 0;
}

/* ---- entry ----------------------------------------------------------------------------------- */

static const struct action {
	/* conflict unless registered with this key (SPC-4 table 67, 5.13.11.1) */
	bool registrants_only;
	int (*perform)(struct pr *pr, const struct pr_op *op, struct pr_registrant *self,
		       struct pr_outcome *out);
} actions[PR_ACTIONS] = {
	[PR_REGISTER] = { false, do_register },
	[PR_RESERVE] = { true, do_reserve },
	[PR_RELEASE] = { true, do_release },
	[PR_CLEAR] = { true, do_clear },
	[PR_PREEMPT] = { true, do_preempt },
	[PR_PREEMPT_AND_ABORT] = { true, do_preempt },
	[PR_REGISTER_AND_IGNORE] = { false, do_register },
	[PR_REGISTER_AND_MOVE] = { true, do_move },
};

int pr_apply(struct pr *pr, const struct pr_op *op, struct pr_outcome *out)
{
	const struct action *a = &actions[op->action];
	struct pr_registrant *self = pr_find(pr, &op->nexus);
	bool aptpl = pr->aptpl;
	int err;

	*out = (struct pr_outcome){ .status = STATUS_GOOD, .field = PR_NO_FIELD };
	if (a->registrants_only && (!self || self->key != op->key))
		err = conflict(out);
	else
		err = a->perform(pr, op, self, out);
	if (err) {
		pr_outcome_fini(out);
		return err;
	}
	if (out->status == STATUS_RESERVATION_CONFLICT && op->repeated && is_done_already(pr, op))
		out->status = STATUS_GOOD;
	out->persist = out->changed && (aptpl || pr->aptpl);
	return 0;
}
