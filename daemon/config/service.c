/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/wbuf_message.h"
#include "daemon/config/config_log.pb-c.h"
#include "daemon/config/generation.h"

/* ---- generations ------------------------------------------------------------------------------------- */

static void votes_clear(struct config_service *svc)
{
	free(svc->vote);
	svc->vote = NULL;
	svc->nvotes = 0;
}

static void preparation_end(struct config_service *svc)
{
	config_generation_fini(&svc->wanted);
	votes_clear(svc);
	svc->token = svc->origin = 0;
}

static void clear(struct config_service *svc)
{
	for (size_t i = 0; i < svc->n; i++)
		config_generation_fini(&svc->generation[i]);
	preparation_end(svc);
	svc->n = svc->nmembers = 0;
}

struct config_service *config_service_new(void)
{
	return calloc(1, sizeof(struct config_service));
}

void config_service_free(struct config_service *svc)
{
	if (!svc)
		return;
	clear(svc);
	free(svc);
}

const struct config_generation *config_service_current(const struct config_service *svc)
{
	return svc->n ? &svc->generation[svc->n - 1] : NULL;
}

const struct config_generation *config_service_find(const struct config_service *svc, uint64_t number)
{
	for (size_t i = 0; i < svc->n; i++)
		if (svc->generation[i].number == number)
			return &svc->generation[i];
	return NULL;
}

static uint64_t newest(const struct config_service *svc)
{
	return svc->n ? svc->generation[svc->n - 1].number : 0;
}

/* g's content goes over. By number; a full history forgets the oldest. */
static void generation_insert(struct config_service *svc, struct config_generation *g)
{
	size_t at = svc->n;

	if (svc->n == CONFIG_HISTORY) {
		config_generation_fini(&svc->generation[0]);
		memmove(&svc->generation[0], &svc->generation[1], --svc->n * sizeof(*g));
		at--;
	}
	while (at && svc->generation[at - 1].number > g->number)
		at--;
	memmove(&svc->generation[at + 1], &svc->generation[at], (svc->n - at) * sizeof(*g));
	svc->generation[at] = *g;
	svc->n++;
	*g = (struct config_generation){ 0 };
}

/* ---- votes ----------------------------------------------------------------------------------------------- */

const struct config_vote *config_service_vote(const struct config_service *svc, uint32_t node)
{
	for (size_t i = 0; i < svc->nvotes; i++)
		if (svc->vote[i].node == node)
			return &svc->vote[i];
	return NULL;
}

bool config_service_all_good(const struct config_service *svc)
{
	for (size_t i = 0; i < svc->nmembers; i++) {
		const struct config_vote *v = config_service_vote(svc, svc->member[i]);

		if (!v || !v->good)
			return false;
	}
	return svc->token && svc->nmembers;
}

const struct config_vote *config_service_refusal(const struct config_service *svc)
{
	for (size_t i = 0; i < svc->nvotes; i++)
		if (!svc->vote[i].good)
			return &svc->vote[i];
	return NULL;
}

static int vote_add(struct config_service *svc, const Conflog__Vote *pb)
{
	struct config_vote *v = reallocarray(svc->vote, svc->nvotes + 1, sizeof(*v));
	size_t at = svc->nvotes;

	if (!v)
		return -ENOMEM;
	svc->vote = v;
	while (at && v[at - 1].node > pb->node)
		at--;
	memmove(&v[at + 1], &v[at], (svc->nvotes - at) * sizeof(*v));
	v[at] = (struct config_vote){ .node = pb->node, .good = pb->good };
	snprintf(v[at].why, sizeof(v[at].why), "%s", pb->why);
	svc->nvotes++;
	return 0;
}

/* ---- messages -------------------------------------------------------------------------------------------- */

static void vote_to(Conflog__Vote *pb, const struct config_vote *v)
{
	conflog__vote__init(pb);
	pb->node = v->node;
	pb->good = v->good;
	pb->why = (char *)v->why;
}

void config_service_pack(struct wbuf *out, const struct config_op *op)
{
	Conflog__Change c = CONFLOG__CHANGE__INIT;
	Conflog__Generation g;
	Conflog__Vote v;

	c.action = (Conflog__Action)op->action;
	c.token = op->token;
	if (op->wanted) {
		config_generation_to(&g, op->wanted);
		c.wanted = &g;
	}
	if (op->vote) {
		vote_to(&v, op->vote);
		c.vote = &v;
	}
	wbuf_put_message(out, &c.base);
}

/* ---- what each action does -------------------------------------------------------------------------------- */

static bool groups_free_to_go(const struct config_service *svc, const struct config_generation *g)
{
	return !g->ngroups || !svc->groups.free_to_go ||
	       svc->groups.free_to_go(svc->groups.arg, (const char *const *)g->group, g->ngroups);
}

static void groups_take(const struct config_service *svc, const struct config_generation *g, struct apply *a)
{
	int rc = 0;

	if (g->ngroups && svc->groups.take)
		rc = svc->groups.take(svc->groups.arg, (const char *const *)g->group, g->ngroups, a->position);
	if (rc)
		a->err = rc;
}

/* Where it takes the place of one that is forgotten, so does its record on disk. */
static void in_force(struct config_service *svc, struct config_generation *g, struct apply *a)
{
	char object[16];

	groups_take(svc, g, a);

	snprintf(object, sizeof(object), "%u", (unsigned)(g->number % CONFIG_HISTORY));
	generation_insert(svc, g);
	apply_effect(a, EFFECT_PERSIST, object);
	apply_effect(a, EFFECT_PUBLISH, CONFIG_OBJECT_GENERATION);
}

static int seed(struct config_service *svc, const Conflog__Change *c, struct apply *a, enum config_verdict *v)
{
	struct config_generation g;
	int rc;

	*v = CONFIG_UNCHANGED;
	if (svc->n)
		return 0;
	rc = config_generation_from(&g, c->wanted);
	if (rc)
		return rc;
	in_force(svc, &g, a);
	*v = CONFIG_OK;
	return 0;
}

static int prepare(struct config_service *svc, const Conflog__Change *c, struct apply *a, enum config_verdict *v)
{
	int rc;

	*v = CONFIG_BUSY;
	if (svc->token)
		return 0;
	*v = CONFIG_CONFLICT;
	if (c->wanted->number != newest(svc) + 1)
		return 0;
	rc = config_generation_from(&svc->wanted, c->wanted);
	if (rc)
		return rc;
	svc->token = c->token;
	svc->origin = a->origin;
	apply_effect(a, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE);
	*v = CONFIG_OK;
	return 0;
}

static int vote(struct config_service *svc, const Conflog__Change *c, struct apply *a, enum config_verdict *v)
{
	int rc;

	*v = CONFIG_UNCHANGED;
	if (config_service_vote(svc, c->vote->node))
		return 0;
	rc = vote_add(svc, c->vote);
	if (rc)
		return rc;
	apply_effect(a, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE);
	*v = CONFIG_OK;
	return 0;
}

static void commit(struct config_service *svc, struct apply *a, enum config_verdict *v)
{
	*v = CONFIG_NOT_ALL;
	if (!config_service_all_good(svc))
		return;
	*v = CONFIG_GROUP_OWNED;
	if (groups_free_to_go(svc, &svc->wanted)) {
		in_force(svc, &svc->wanted, a);
		*v = CONFIG_OK;
	} else {
		apply_effect(a, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE);
	}
	preparation_end(svc);
}

static bool well_formed(const Conflog__Change *c)
{
	if (c->base.n_unknown_fields)
		return false;
	switch (c->action) {
	case CONFLOG__ACTION__ACTION_SEED:
		return config_generation_good(c->wanted);
	case CONFLOG__ACTION__ACTION_PREPARE:
		return c->token && config_generation_good(c->wanted);
	case CONFLOG__ACTION__ACTION_VOTE:
		return c->token && c->vote && strlen(c->vote->why) < CONFIG_WHY_MAX;
	case CONFLOG__ACTION__ACTION_COMMIT:
	case CONFLOG__ACTION__ACTION_ABORT:
		return c->token;
	case CONFLOG__ACTION__ACTION_NONE:
	case _CONFLOG__ACTION_IS_INT_SIZE:
		break;
	}
	return false;
}

static int dispatch(struct config_service *svc, const Conflog__Change *c, struct apply *a, enum config_verdict *v)
{
	if (c->action == CONFLOG__ACTION__ACTION_SEED)
		return seed(svc, c, a, v);
	if (c->action == CONFLOG__ACTION__ACTION_PREPARE)
		return prepare(svc, c, a, v);
	*v = CONFIG_OVER;
	if (svc->token != c->token)
		return 0;
	if (c->action == CONFLOG__ACTION__ACTION_VOTE)
		return vote(svc, c, a, v);
	if (c->action == CONFLOG__ACTION__ACTION_COMMIT) {
		commit(svc, a, v);
		return 0;
	}
	preparation_end(svc);
	apply_effect(a, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE);
	*v = CONFIG_OK;
	return 0;
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	Conflog__Change *c = conflog__change__unpack(NULL, len, msg);
	enum config_verdict v = CONFIG_OK;
	uint8_t result;
	int rc = -EBADMSG;

	if (c && well_formed(c)) {
		rc = dispatch(state, c, a, &v);
		result = v;
		apply_result(a, &result, 1);
	}
	if (rc == -ENOMEM)
		a->err = rc;
	if (c)
		conflog__change__free_unpacked(c, NULL);
	return rc;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct config_service *svc = state;

	if (n > NODES_MAX) {
		a->err = -E2BIG;
		return;
	}
	memcpy(svc->member, node, n * sizeof(*node));
	svc->nmembers = n;
	qsort(svc->member, n, sizeof(*svc->member), by_id);
	if (!svc->token)
		return;
	preparation_end(svc);
	apply_effect(a, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE);
}

/* ---- snapshot, store ---------------------------------------------------------------------------------------- */

static void snapshot(const void *state, struct wbuf *out)
{
	const struct config_service *svc = state;
	Conflog__Snapshot s = CONFLOG__SNAPSHOT__INIT;
	Conflog__Generation g[CONFIG_HISTORY], *gp[CONFIG_HISTORY], wanted;
	Conflog__Vote *v = calloc(svc->nvotes + 1, sizeof(*v)), **vp = calloc(svc->nvotes + 1, sizeof(*vp));

	if (v && vp) {
		for (size_t i = 0; i < svc->n; i++) {
			config_generation_to(&g[i], &svc->generation[i]);
			gp[i] = &g[i];
		}
		for (size_t i = 0; i < svc->nvotes; i++) {
			vote_to(&v[i], &svc->vote[i]);
			vp[i] = &v[i];
		}
		s.n_generation = svc->n;
		s.generation = gp;
		s.token = svc->token;
		s.origin = svc->origin;
		if (svc->token) {
			config_generation_to(&wanted, &svc->wanted);
			s.wanted = &wanted;
		}
		s.n_vote = svc->nvotes;
		s.vote = vp;
		s.n_member = svc->nmembers;
		s.member = (uint32_t *)svc->member;
		wbuf_put_message(out, &s.base);
	} else {
		out->err = -ENOMEM;
	}
	free(v);
	free(vp);
}

/* NULL, or what is wrong with it. */
static const char *take_generation(struct config_service *svc, const Conflog__Generation *pb)
{
	struct config_generation g;

	if (!config_generation_good(pb))
		return "a generation is not one";
	if (config_service_find(svc, pb->number))
		return "a generation is there twice";
	if (svc->n == CONFIG_HISTORY)
		return "it has more generations than are kept";
	if (config_generation_from(&g, pb))
		return "out of memory";
	generation_insert(svc, &g);
	return NULL;
}

static const char *take_preparation(struct config_service *svc, const Conflog__Snapshot *s)
{
	if (!s->token)
		return s->n_vote || s->wanted ? "it has votes about nothing" : NULL;
	if (!config_generation_good(s->wanted))
		return "what is being prepared is not a generation";
	svc->token = s->token;
	svc->origin = s->origin;
	if (config_generation_from(&svc->wanted, s->wanted))
		return "out of memory";
	for (size_t i = 0; i < s->n_vote; i++)
		if (config_service_vote(svc, s->vote[i]->node))
			return "a member has voted twice";
		else if (vote_add(svc, s->vote[i]))
			return "out of memory";
	return NULL;
}

static int restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct config_service *svc = state, *fresh = config_service_new();
	Conflog__Snapshot *s = conflog__snapshot__unpack(NULL, len, p);
	const char *bad = !fresh ? "out of memory" : !s ? "it is not a snapshot of this service" : NULL;

	for (size_t i = 0; !bad && i < s->n_generation; i++)
		bad = take_generation(fresh, s->generation[i]);
	if (!bad && s->n_member > NODES_MAX)
		bad = "more members than a cluster can have";
	if (!bad)
		bad = take_preparation(fresh, s);
	if (!bad) {
		fresh->nmembers = s->n_member;
		if (s->n_member)
			memcpy(fresh->member, s->member, s->n_member * sizeof(*s->member));
		clear(svc);
		fresh->groups = svc->groups;
		*svc = *fresh;
		free(fresh);
	} else {
		snprintf(err, errlen, "configuration: the snapshot is refused: %s", bad);
		config_service_free(fresh);
	}
	if (s)
		conflog__snapshot__free_unpacked(s, NULL);
	return bad ? -EBADMSG : 0;
}

static void persist(const void *state, const char *object, struct wbuf *out)
{
	const struct config_service *svc = state;
	unsigned place = strtoul(object, NULL, 10);

	for (size_t i = 0; i < svc->n; i++)
		if (svc->generation[i].number % CONFIG_HISTORY == place) {
			Conflog__Generation pb;

			config_generation_to(&pb, &svc->generation[i]);
			wbuf_put_message(out, &pb.base);
		}
}

static int load(void *state, const char *object, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	Conflog__Generation *pb = conflog__generation__unpack(NULL, len, p);
	const char *bad = pb ? NULL : "it can't be read";

	if (pb && pb->number % CONFIG_HISTORY != strtoul(object, NULL, 10))
		bad = "it is of another place in the history";
	if (!bad)
		bad = take_generation(state, pb);
	if (pb)
		conflog__generation__free_unpacked(pb, NULL);
	if (!bad)
		return 0;
	snprintf(err, errlen, "configuration: the stored generation %s is refused: %s", object, bad);
	return -EBADMSG;
}

const struct service_ops config_service_ops = {
	.id = CONFIG_SERVICE_ID,
	.name = "configuration",
	.since = 2,
	.waits_for_fencing = true, /* the lost node may win, and go on without what was answered here */
	.apply = apply,
	.members = members,
	.snapshot = snapshot,
	.restore = restore,
	.persist = persist,
	.load = load,
};
