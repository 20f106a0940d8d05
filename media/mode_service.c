/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/mode_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/wbuf_message.h"
#include "media/mode.pb-c.h"
#include "media/records.h"

/* ---- records ---------------------------------------------------------------------------------------- */

static struct mode_lu *find(const struct mode_service *svc, const char *name)
{
	bool found;
	size_t i = records_place(svc->lu, svc->n, sizeof(*svc->lu), name, &found);

	return found ? &svc->lu[i] : NULL;
}

const struct mode_lu *mode_service_find(const struct mode_service *svc, const char *name)
{
	return find(svc, name);
}

/* Made where there is none; NULL: no memory. */
static struct mode_lu *get(struct mode_service *svc, const char *name)
{
	bool found;
	size_t i = records_place(svc->lu, svc->n, sizeof(*svc->lu), name, &found);
	struct mode_lu *grown;

	if (found)
		return &svc->lu[i];
	grown = records_insert(svc->lu, svc->n, sizeof(*grown), i, name);
	if (!grown)
		return NULL;
	svc->lu = grown;
	svc->n++;
	return &grown[i];
}

void mode_service_clear(struct mode_service *svc)
{
	free(svc->lu);
	*svc = (struct mode_service){ .n = 0 };
}

static void overlay(struct mode_change *on, const struct mode_change *c)
{
	for (unsigned f = 0; f < MODE_FIELDS; f++)
		if (c->mask & 1u << f)
			on->value[f] = c->value[f];
	on->mask |= c->mask;
}

static bool equal(const struct mode_change *a, const struct mode_change *b)
{
	return a->mask == b->mask && !memcmp(a->value, b->value, sizeof(a->value));
}

/* ---- to and from messages ---------------------------------------------------------------------------- */

static bool name_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= LU_NAME_MAX;
}

/* A value without its bit in the mask is none: equal states have equal bytes. */
static bool values_from(struct mode_change *c, const Mode__Values *pb)
{
	*c = (struct mode_change){ 0 };
	if (!pb)
		return true;
	if (pb->value.len > MODE_FIELDS || pb->mask >> pb->value.len) /* fewer: an older version's */
		return false;
	c->mask = pb->mask;
	for (unsigned f = 0; f < MODE_FIELDS; f++)
		if (c->mask & 1u << f)
			c->value[f] = pb->value.data[f];
	return mode_change_good(c);
}

static Mode__Values *values_to(Mode__Values *pb, const struct mode_change *c)
{
	mode__values__init(pb);
	pb->mask = c->mask;
	pb->value = (ProtobufCBinaryData){ .len = MODE_FIELDS, .data = (uint8_t *)c->value };
	return c->mask ? pb : NULL;
}

static bool nexus_from(struct nexus_id *out, const Mode__Nexus *pb)
{
	return pb && nexus_id_take(out, pb->port.data, pb->port.len, pb->rtpi);
}

/* ---- what each action does ------------------------------------------------------------------------------ */

struct change {
	struct mode_change values, defaults;
	struct nexus_id nexus;
};

/* Whether a field becomes another one than the nexuses see. */
static bool is_news(const struct mode_lu *lu, const struct change *c)
{
	for (unsigned f = 0; f < MODE_FIELDS; f++) {
		const struct mode_change *is = lu->current.mask & 1u << f ? &lu->current : &c->defaults;

		if ((c->values.mask & 1u << f) && is->value[f] != c->values.value[f])
			return true;
	}
	return false;
}

static void tell(const struct mode_lu *lu, enum ua ua, const struct change *c, struct apply *a)
{
	apply_ua(a, lu->name, ua, UA_SCOPE_ALL_BUT, &c->nexus, 1);
}

/* Commands that were judged by the old parameters (SWP) have ended when it is answered. SP saves all that can be. */
static void select_(struct mode_lu *lu, const struct change *c, bool save, struct apply *a)
{
	struct mode_change before = lu->current;
	bool news = is_news(lu, c);

	overlay(&lu->current, &c->values);
	if (!equal(&before, &lu->current))
		apply_effect(a, EFFECT_DRAIN, lu->name);
	if (save && !equal(&lu->saved, &lu->current)) {
		lu->saved = lu->current;
		apply_effect(a, EFFECT_PERSIST, lu->name);
		apply_effect(a, EFFECT_PUBLISH, lu->name);
	}
	if (news)
		tell(lu, UA_MODE_PARAMETERS_CHANGED, c, a);
}

static void reset(struct mode_lu *lu, struct apply *a)
{
	if (equal(&lu->current, &lu->saved))
		return;
	lu->current = lu->saved;
	apply_effect(a, EFFECT_DRAIN, lu->name);
}

static void set_clock(struct mode_lu *lu, int64_t offset, const struct change *c, struct apply *a)
{
	lu->clock_set = true;
	lu->clock_offset = offset;
	apply_effect(a, EFFECT_PUBLISH, lu->name);
	tell(lu, UA_TIMESTAMP_CHANGED, c, a);
}

static void reset_logs(struct mode_lu *lu, uint32_t pages, const struct change *c, struct apply *a)
{
	for (unsigned i = 0; i < LOG_RESETS; i++)
		lu->log_resets[i] += pages >> i & 1;
	apply_effect(a, EFFECT_PUBLISH, lu->name);
	tell(lu, UA_LOG_PARAMETERS_CHANGED, c, a);
}

static bool well_formed(const Mode__Change *pb, struct change *c)
{
	if (pb->base.n_unknown_fields || !name_good(pb->lu) || !values_from(&c->values, pb->values) ||
	    !values_from(&c->defaults, pb->defaults))
		return false;
	switch (pb->action) {
	case MODE__ACTION__ACTION_SELECT:
		return nexus_from(&c->nexus, pb->nexus) && c->defaults.mask == c->values.mask;
	case MODE__ACTION__ACTION_RESET:
		return !c->values.mask && !pb->save;
	case MODE__ACTION__ACTION_TIMESTAMP:
		return nexus_from(&c->nexus, pb->nexus);
	case MODE__ACTION__ACTION_LOG_RESET:
		return nexus_from(&c->nexus, pb->nexus) && pb->log_pages && pb->log_pages < 1u << LOG_RESETS;
	case MODE__ACTION__ACTION_NONE:
	case _MODE__ACTION_IS_INT_SIZE:
		break;
	}
	return false;
}

static int carry_out(struct mode_service *svc, const Mode__Change *pb, const struct change *c, struct apply *a)
{
	struct mode_lu *lu = pb->action == MODE__ACTION__ACTION_RESET ? find(svc, pb->lu) : get(svc, pb->lu);

	if (!lu)
		return pb->action == MODE__ACTION__ACTION_RESET ? 0 : (a->err = -ENOMEM);
	switch (pb->action) {
	case MODE__ACTION__ACTION_SELECT:
		select_(lu, c, pb->save, a);
		break;
	case MODE__ACTION__ACTION_RESET:
		reset(lu, a);
		break;
	case MODE__ACTION__ACTION_TIMESTAMP:
		set_clock(lu, pb->clock_offset, c, a);
		break;
	case MODE__ACTION__ACTION_LOG_RESET:
		reset_logs(lu, pb->log_pages, c, a);
		break;
	case MODE__ACTION__ACTION_NONE:
	case _MODE__ACTION_IS_INT_SIZE:
		break;
	}
	return 0;
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	Mode__Change *pb = mode__change__unpack(NULL, len, msg);
	struct change c;
	int rc = pb && well_formed(pb, &c) ? carry_out(state, pb, &c, a) : -EBADMSG;

	if (pb)
		mode__change__free_unpacked(pb, NULL);
	return rc;
}

/* ---- snapshot and store ----------------------------------------------------------------------------------- */

struct packed {
	Mode__Lu pb;
	Mode__Values current, saved;
};

static void pack_lu(struct packed *k, const struct mode_lu *lu)
{
	mode__lu__init(&k->pb);
	k->pb.name = (char *)lu->name;
	k->pb.current = values_to(&k->current, &lu->current);
	k->pb.saved = values_to(&k->saved, &lu->saved);
}

/* As it is now; the clock and the counts of the log pages begin anew with a power loss. */
static void pack_whole(struct packed *k, const struct mode_lu *lu)
{
	pack_lu(k, lu);
	k->pb.clock_set = lu->clock_set;
	k->pb.clock_offset = lu->clock_offset;
	k->pb.n_log_resets = LOG_RESETS;
	k->pb.log_resets = (uint32_t *)lu->log_resets;
}

static void snapshot(const void *state, struct wbuf *out)
{
	const struct mode_service *svc = state;
	Mode__Snapshot s = MODE__SNAPSHOT__INIT;
	struct packed *k = calloc(svc->n + 1, sizeof(*k));
	Mode__Lu **list = calloc(svc->n + 1, sizeof(*list));

	for (size_t i = 0; k && list && i < svc->n; i++) {
		pack_whole(&k[i], &svc->lu[i]);
		list[i] = &k[i].pb;
	}
	s.n_lu = svc->n;
	s.lu = list;
	if (k && list)
		wbuf_put_message(out, &s.base);
	else
		out->err = -ENOMEM;
	free(k);
	free(list);
}

/* NULL, or what is wrong with it. */
static const char *take(struct mode_service *svc, const Mode__Lu *pb)
{
	struct mode_change current, saved;
	struct mode_lu *lu;

	if (pb->base.n_unknown_fields || !name_good(pb->name) || find(svc, pb->name))
		return "a logical unit has no good name, or is there twice";
	if (!values_from(&current, pb->current) || !values_from(&saved, pb->saved))
		return "a parameter has a value that this version does not know";
	if (pb->n_log_resets > LOG_RESETS)
		return "it counts resets of log pages that this version does not have";
	lu = get(svc, pb->name);
	if (!lu)
		return "out of memory";
	lu->current = current;
	lu->saved = saved;
	lu->clock_set = pb->clock_set;
	lu->clock_offset = pb->clock_offset;
	for (size_t i = 0; i < pb->n_log_resets; i++)
		lu->log_resets[i] = pb->log_resets[i];
	return NULL;
}

static int restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct mode_service *svc = state, fresh = { .n = 0 };
	Mode__Snapshot *s = mode__snapshot__unpack(NULL, len, p);
	const char *bad = !s || s->base.n_unknown_fields ? "it is not a snapshot of this service" : NULL;

	for (size_t i = 0; !bad && i < s->n_lu; i++)
		bad = take(&fresh, s->lu[i]);
	if (s)
		mode__snapshot__free_unpacked(s, NULL);
	if (bad) {
		snprintf(err, errlen, "mode parameters: the snapshot is refused: %s", bad);
		mode_service_clear(&fresh);
		return -EBADMSG;
	}
	mode_service_clear(svc);
	*svc = fresh;
	return 0;
}

static void persist(const void *state, const char *object, struct wbuf *out)
{
	const struct mode_lu *lu = find(state, object);
	struct mode_lu kept;
	struct packed k;

	if (!lu || !lu->saved.mask)
		return;
	kept = *lu;
	kept.current = lu->saved; /* what it starts with */
	pack_lu(&k, &kept);
	wbuf_put_message(out, &k.pb.base);
}

static int load(void *state, const char *object, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	Mode__Lu *pb = mode__lu__unpack(NULL, len, p);
	const char *bad = !pb ? "it can't be read" : strcmp(pb->name, object) ? "it names another logical unit" : NULL;

	if (!bad)
		bad = take(state, pb);
	if (pb)
		mode__lu__free_unpacked(pb, NULL);
	if (!bad)
		return 0;
	snprintf(err, errlen, "saved mode parameters of LUN %s: the stored record is refused: %s", object, bad);
	return -EBADMSG;
}

const struct service_ops mode_service_ops = {
	.id = MODE_SERVICE_ID,
	.name = "mode",
	.since = 2,
	.waits_for_fencing = true, /* a lost owner may still write what SWP forbids */
	.apply = apply,
	.snapshot = snapshot,
	.restore = restore,
	.persist = persist,
	.load = load,
};

/* ---- proposals ---------------------------------------------------------------------------------------------- */

static void pack(struct wbuf *out, Mode__Change *c, Mode__Action action, const char *lu, const struct nexus_id *nexus)
{
	Mode__Nexus n = MODE__NEXUS__INIT;

	c->action = action;
	c->lu = (char *)lu;
	if (nexus) {
		n.port = (ProtobufCBinaryData){ .len = strlen(nexus->port), .data = (uint8_t *)nexus->port };
		n.rtpi = nexus->rtpi;
		c->nexus = &n;
	}
	wbuf_put_message(out, &c->base);
}

void mode_service_pack_select(struct wbuf *out, const char *lu, const struct mode_change *change,
			      const struct mode_state *defaults, bool save, const struct nexus_id *nexus)
{
	Mode__Change c = MODE__CHANGE__INIT;
	struct mode_change before = { .mask = change->mask };
	Mode__Values values, fallback;

	for (unsigned f = 0; f < MODE_FIELDS; f++)
		if (before.mask & 1u << f)
			before.value[f] = mode_value(defaults, f);
	c.values = values_to(&values, change);
	c.defaults = values_to(&fallback, &before);
	c.save = save;
	pack(out, &c, MODE__ACTION__ACTION_SELECT, lu, nexus);
}

void mode_service_pack_timestamp(struct wbuf *out, const char *lu, int64_t offset, const struct nexus_id *nexus)
{
	Mode__Change c = MODE__CHANGE__INIT;

	c.clock_offset = offset;
	pack(out, &c, MODE__ACTION__ACTION_TIMESTAMP, lu, nexus);
}

void mode_service_pack_log_reset(struct wbuf *out, const char *lu, uint32_t pages, const struct nexus_id *nexus)
{
	Mode__Change c = MODE__CHANGE__INIT;

	c.log_pages = pages;
	pack(out, &c, MODE__ACTION__ACTION_LOG_RESET, lu, nexus);
}

void mode_service_pack_reset(struct wbuf *out, const char *lu)
{
	Mode__Change c = MODE__CHANGE__INIT;

	pack(out, &c, MODE__ACTION__ACTION_RESET, lu, NULL);
}
