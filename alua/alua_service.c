/* SPDX-License-Identifier: BSD-2-Clause */
#include "alua/alua_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alua/alua.pb-c.h"

/* ---- life ----------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct group *)a)->name, ((const struct group *)b)->name);
}

static int name_is(const void *name, const void *group)
{
	return strcmp(name, ((const struct group *)group)->name);
}

struct alua_service *alua_service_new(const char *const *groups, size_t n)
{
	struct alua_service *svc = calloc(1, sizeof(*svc));

	if (!svc)
		return NULL;
	svc->group = calloc(n ? n : 1, sizeof(*svc->group));
	if (!svc->group) {
		free(svc);
		return NULL;
	}
	svc->ngroups = n;
	for (size_t i = 0; i < n; i++)
		snprintf(svc->group[i].name, sizeof(svc->group[i].name), "%s", groups[i]);
	qsort(svc->group, n, sizeof(*svc->group), by_name);
	return svc;
}

void alua_service_free(struct alua_service *svc)
{
	if (!svc)
		return;
	free(svc->group);
	free(svc);
}

struct group *alua_service_find(struct alua_service *svc, const char *group)
{
	return bsearch(group, svc->group, svc->ngroups, sizeof(*svc->group), name_is);
}

const struct group *alua_service_group(struct alua_service *svc, const char *group)
{
	static const struct group nobodys = { .phase = GROUP_NONE };
	const struct group *g = alua_service_find(svc, group);

	return g ? g : &nobodys;
}

static bool is_named(const struct group *g, const char *const *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(g->name, name[i]) == 0)
			return true;
	return false;
}

/* After a demotion nobody has it: it is drained, flushed and closed. */
static bool is_held(const struct group *g)
{
	return g->phase != GROUP_NONE && g->phase != GROUP_HANDOVER;
}

const struct group *alua_service_held(const struct alua_service *svc, const char *const *name, size_t n)
{
	for (size_t i = 0; i < svc->ngroups; i++)
		if (is_held(&svc->group[i]) && !is_named(&svc->group[i], name, n))
			return &svc->group[i];
	return NULL;
}

int alua_service_take(struct alua_service *svc, const char *const *name, size_t n, uint64_t position)
{
	struct group *fresh = calloc(n + 1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct group *was = alua_service_find(svc, name[i]);

		fresh[i].epoch = position;
		if (was)
			fresh[i] = *was;
		else
			snprintf(fresh[i].name, sizeof(fresh[i].name), "%s", name[i]);
	}
	free(svc->group);
	svc->group = fresh;
	svc->ngroups = n;
	return 0;
}

bool alua_service_owns(const struct alua_service *svc, uint32_t node)
{
	for (size_t i = 0; i < svc->ngroups; i++)
		if (svc->group[i].owner == node)
			return true;
	return false;
}

/* ---- proposals ------------------------------------------------------------------------------------- */

void alua_service_pack(struct wbuf *out, enum group_action action, const char *group, uint32_t node,
		       uint64_t epoch)
{
	Alua__Change c = ALUA__CHANGE__INIT;
	size_t len;

	c.action = (Alua__Action)action;
	c.group = (char *)group;
	c.node = node;
	c.epoch = epoch;
	len = alua__change__get_packed_size(&c);
	out->data = malloc(len);
	if (!out->data) {
		out->err = -ENOMEM;
		return;
	}
	out->cap = out->len = len;
	alua__change__pack(&c, out->data);
}

/* Which actions are told to whom. */
static const struct {
	bool owner; /* the owner has something to do */
	bool ua;    /* the states have settled on something new: ASYMMETRIC ACCESS STATE CHANGED */
} follow_up[] = {
	[GROUP_PROMOTE] = { .owner = true },
	[GROUP_ACTIVATE] = { .ua = true },
	[GROUP_OPEN_FAILED] = { .owner = true, .ua = true },
	[GROUP_DEMOTE] = { .owner = true },
	[GROUP_CLOSED] = { .owner = false },
	[GROUP_GIVE_UP] = { .ua = true },
};

/* Pacemaker promotes only after fencing: when the lost node's last group has another owner, that has happened. Of a
 * lost node that owned nothing nobody tells but the fencing alert (`sandemctl cluster fenced`). */
static void tell_fenced(const struct alua_service *svc, struct apply *a, const struct group *g, uint32_t lost)
{
	struct effect *e;

	if (!lost || alua_service_owns(svc, lost))
		return;
	e = apply_effect(a, EFFECT_FENCED, g->name);
	if (e)
		e->node = lost;
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	struct alua_service *svc = state;
	Alua__Change *c = alua__change__unpack(NULL, len, msg);
	enum group_verdict v = GROUP_REFUSED_UNKNOWN;
	uint32_t lost;
	struct group *g;
	uint8_t result;

	if (!c || c->action < ALUA__ACTION__ACTION_PROMOTE || c->action > ALUA__ACTION__ACTION_GIVE_UP ||
	    strlen(c->group) > LU_NAME_MAX) {
		if (c)
			alua__change__free_unpacked(c, NULL);
		return -EBADMSG;
	}
	g = alua_service_find(svc, c->group);
	lost = g && g->lost ? g->owner : 0;
	if (g)
		v = group_apply(g, (enum group_action)c->action, c->node, c->epoch);
	if (v == GROUP_OK) {
		apply_effect(a, EFFECT_PUBLISH, g->name);
		if (follow_up[c->action].ua)
			apply_ua(a, g->name, UA_ASYMMETRIC_ACCESS_CHANGED, UA_SCOPE_ALL, NULL, 0);
		if (follow_up[c->action].owner)
			apply_effect(a, EFFECT_OWNER, g->name);
		tell_fenced(svc, a, g, lost);
	}
	result = v;
	apply_result(a, &result, 1);
	alua__change__free_unpacked(c, NULL);
	return 0;
}

/* ---- membership ------------------------------------------------------------------------------------- */

static bool contains(const uint32_t *node, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (node[i] == id)
			return true;
	return false;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct alua_service *svc = state;

	if (n > ALUA_MEMBERS_MAX) {
		a->err = -E2BIG;
		return;
	}
	for (size_t i = 0; i < svc->nmembers; i++)
		for (size_t k = 0; k < svc->ngroups && !contains(node, n, svc->member[i]); k++)
			group_member_lost(&svc->group[k], svc->member[i]);
	memcpy(svc->member, node, n * sizeof(*node));
	svc->nmembers = n;
	qsort(svc->member, n, sizeof(*svc->member), by_id);
	for (size_t k = 0; k < svc->ngroups; k++)
		apply_effect(a, EFFECT_PUBLISH, svc->group[k].name);
}

/* members() follows and publishes. */
static void joined(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct alua_service *svc = state;

	(void)a;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < svc->ngroups; k++)
			group_member_back(&svc->group[k], node[i]);
}

/* ---- snapshot ----------------------------------------------------------------------------------------- */

static void snapshot(const void *state, struct wbuf *out)
{
	const struct alua_service *svc = state;
	Alua__Snapshot s = ALUA__SNAPSHOT__INIT;
	Alua__Group *g = calloc(svc->ngroups + 1, sizeof(*g));
	Alua__Group **p = calloc(svc->ngroups + 1, sizeof(*p));
	uint8_t *packed = NULL;
	size_t len;

	if (!g || !p)
		goto out;
	for (size_t i = 0; i < svc->ngroups; i++) {
		const struct group *from = &svc->group[i];

		alua__group__init(&g[i]);
		g[i].name = (char *)from->name;
		g[i].phase = from->phase;
		g[i].owner = from->owner;
		g[i].epoch = from->epoch;
		g[i].lost = from->lost;
		p[i] = &g[i];
	}
	s.n_group = svc->ngroups;
	s.group = p;
	s.n_member = svc->nmembers;
	s.member = (uint32_t *)svc->member;
	len = alua__snapshot__get_packed_size(&s);
	packed = malloc(len ? len : 1);
	if (packed) {
		alua__snapshot__pack(&s, packed);
		wbuf_put(out, packed, len);
	}
out:
	if (!packed)
		out->err = -ENOMEM;
	free(packed);
	free(g);
	free(p);
}

static const char *check(const Alua__Snapshot *s)
{
	if (s->n_member > ALUA_MEMBERS_MAX)
		return "more members than a cluster can have";
	for (size_t i = 0; i < s->n_group; i++) {
		const char *name = s->group[i]->name;

		if (!*name || strlen(name) > LU_NAME_MAX)
			return "a LUN group has no name, or too long a one";
		if (i && strcmp(s->group[i - 1]->name, name) >= 0)
			return "its LUN groups are not in the order of their names";
		if (s->group[i]->phase > GROUP_HANDOVER)
			return "a LUN group is in an unknown phase";
		if (s->group[i]->owner && (s->group[i]->phase == GROUP_NONE || s->group[i]->phase == GROUP_HANDOVER))
			return "a LUN group that nobody owns has an owner";
	}
	return NULL;
}

static struct group *groups_from(const Alua__Snapshot *s)
{
	struct group *g = calloc(s->n_group + 1, sizeof(*g));

	for (size_t i = 0; g && i < s->n_group; i++) {
		const Alua__Group *from = s->group[i];

		g[i] = (struct group){ .phase = (enum group_phase)from->phase, .owner = from->owner,
				       .epoch = from->epoch, .lost = from->lost };
		snprintf(g[i].name, sizeof(g[i].name), "%s", from->name);
	}
	return g;
}

/* With the groups of the log, which may be others than those that were here. */
static int restore(void *state, const uint8_t *data, size_t len, char *err, size_t errlen)
{
	struct alua_service *svc = state;
	Alua__Snapshot *s = alua__snapshot__unpack(NULL, len, data);
	const char *bad = s ? check(s) : "it is not a snapshot of this service";
	struct group *group = bad ? NULL : groups_from(s);

	if (!bad && !group)
		bad = "out of memory";
	if (bad) {
		snprintf(err, errlen, "port states: the snapshot is refused: %s", bad);
	} else {
		free(svc->group);
		svc->group = group;
		svc->ngroups = s->n_group;
		svc->nmembers = s->n_member;
		if (s->n_member)
			memcpy(svc->member, s->member, s->n_member * sizeof(*svc->member));
	}
	if (s)
		alua__snapshot__free_unpacked(s, NULL);
	return bad ? -EBADMSG : 0;
}

const struct service_ops alua_service_ops = {
	.id = ALUA_SERVICE_ID,
	.name = "alua",
	.waits_for_fencing = false, /* a promotion is what tells that fencing has happened */
	.apply = apply,
	.members = members,
	.joined = joined,
	.snapshot = snapshot,
	.restore = restore,
};
