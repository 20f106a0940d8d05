/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/media_service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"
#include "media/media_int.h"

/* ---- what each action does ---------------------------------------------------------------------------- */

static enum media_verdict capacity(struct media_lu *lu, const Media__Change *c, struct apply *a)
{
	bool news = lu->blocks; /* the first one is not a change */

	if (lu->blocks == c->blocks)
		return MEDIA_UNCHANGED;
	lu->blocks = c->blocks;
	apply_effect(a, EFFECT_PERSIST, lu->name);
	apply_effect(a, EFFECT_PUBLISH, lu->name);
	if (news)
		apply_ua(a, lu->name, UA_CAPACITY_CHANGED, UA_SCOPE_ALL, NULL, 0);
	return MEDIA_OK;
}

static enum media_verdict space(struct media_lu *lu, bool low, struct apply *a)
{
	if (lu->low_space == low)
		return MEDIA_UNCHANGED;
	lu->low_space = low;
	if (low)
		apply_ua(a, lu->name, UA_THIN_SOFT_THRESHOLD, UA_SCOPE_ALL, NULL, 0);
	return MEDIA_OK;
}

/* Commands that were admitted before the medium left have ended when EJECT is answered. */
static enum media_verdict eject(struct media_lu *lu, const Media__Change *c, struct apply *a)
{
	if (lu->npreventers && !c->force)
		return MEDIA_PREVENTED;
	if (lu->ejected)
		return MEDIA_UNCHANGED;
	lu->ejected = true;
	apply_effect(a, EFFECT_PERSIST, lu->name);
	apply_effect(a, EFFECT_DRAIN, lu->name);
	return MEDIA_OK;
}

/* by: the nexus that loads it need not be told. Where removal is prevented no initiator moves the medium, either way. */
static enum media_verdict load(struct media_lu *lu, const struct nexus_id *by, struct apply *a)
{
	if (lu->npreventers && by && lu->ejected)
		return MEDIA_PREVENTED;
	if (!lu->ejected)
		return MEDIA_UNCHANGED;
	lu->ejected = false;
	apply_effect(a, EFFECT_PERSIST, lu->name);
	apply_effect(a, EFFECT_PUBLISH, lu->name);
	apply_ua(a, lu->name, UA_MEDIUM_MAY_HAVE_CHANGED, by ? UA_SCOPE_ALL_BUT : UA_SCOPE_ALL, by, by != NULL);
	return MEDIA_OK;
}

static int prevent(struct media_lu *lu, const Media__Change *c, const struct nexus_id *id, uint8_t *v)
{
	int rc = media_prevent(lu, id, c->node);

	*v = rc == -E2BIG ? MEDIA_FULL : MEDIA_OK;
	return rc == -ENOMEM ? rc : 0;
}

/* ---- the service ---------------------------------------------------------------------------------------- */

static bool needs_nexus(enum media_action a)
{
	return a == MEDIA_PREVENT || a == MEDIA_ALLOW || a == MEDIA_NEXUS_LOST;
}

static bool wipe_well_formed(const Media__Change *c)
{
	struct media_wipe w;

	if (c->wipe && (c->wipe->base.n_unknown_fields || c->wipe->pass >= WIPE_PASSES_MAX))
		return false;
	if (c->action == MEDIA__ACTION__ACTION_WIPE_START)
		return media_wipe_from(&w, c->wipe);
	return c->action >= MEDIA__ACTION__ACTION_WIPE_LEAVE || c->wipe;
}

static bool well_formed(const Media__Change *c, struct nexus_id *id)
{
	if (c->base.n_unknown_fields || c->action < MEDIA__ACTION__ACTION_CAPACITY ||
	    c->action > MEDIA__ACTION__ACTION_WIPE_LOOK)
		return false;
	if (c->action != MEDIA__ACTION__ACTION_NEXUS_LOST && !media_name_good(c->lu))
		return false;
	if (c->action == MEDIA__ACTION__ACTION_CAPACITY && !c->blocks)
		return false;
	if (c->action >= MEDIA__ACTION__ACTION_WIPE_START && !wipe_well_formed(c))
		return false;
	if (!c->nexus)
		return !needs_nexus((enum media_action)c->action);
	return media_nexus_from(id, c->nexus);
}

static int change(struct media_lu *lu, const Media__Change *c, const struct nexus_id *id, struct apply *a, uint8_t *v)
{
	switch ((enum media_action)c->action) {
	case MEDIA_CAPACITY:
		*v = capacity(lu, c, a);
		return 0;
	case MEDIA_LOW_SPACE:
		*v = space(lu, true, a);
		return 0;
	case MEDIA_ENOUGH_SPACE:
		*v = space(lu, false, a);
		return 0;
	case MEDIA_EJECT:
		*v = eject(lu, c, a);
		return 0;
	case MEDIA_LOAD:
		*v = load(lu, c->nexus ? id : NULL, a);
		return 0;
	case MEDIA_PREVENT:
		return prevent(lu, c, id, v);
	case MEDIA_ALLOW:
		*v = media_allow(lu, id) ? MEDIA_OK : MEDIA_UNCHANGED;
		return 0;
	case MEDIA_RESET:
		*v = lu->npreventers ? MEDIA_OK : MEDIA_UNCHANGED;
		lu->npreventers = 0;
		return 0;
	case MEDIA_WIPE_START:
		*v = media_wipe_start(lu, c->wipe, a);
		return 0;
	case MEDIA_WIPE_REACHED:
		*v = media_wipe_reached(lu, c->wipe, a);
		return 0;
	case MEDIA_WIPE_DONE:
	case MEDIA_WIPE_FAILED:
		*v = media_wipe_end(lu, c->wipe->id, c->action == MEDIA__ACTION__ACTION_WIPE_FAILED, a);
		return 0;
	case MEDIA_WIPE_LEAVE:
		*v = media_wipe_leave(lu, a);
		return 0;
	case MEDIA_WIPE_LOOK:
		*v = MEDIA_UNCHANGED;
		return 0;
	case MEDIA_NEXUS_LOST:
		break;
	}
	return 0;
}

static int dispatch(struct media_service *svc, const Media__Change *c, const struct nexus_id *id, struct apply *a,
		    uint8_t *v)
{
	struct media_lu *lu;

	if (c->action == MEDIA__ACTION__ACTION_NEXUS_LOST) {
		*v = MEDIA_UNCHANGED;
		for (size_t i = 0; i < svc->n; i++)
			if (media_allow(&svc->lu[i], id))
				*v = MEDIA_OK;
		return 0;
	}
	lu = media_lu_get(svc, c->lu);
	return lu ? change(lu, c, id, a, v) : -ENOMEM;
}

static void result(const struct media_service *svc, const Media__Change *c, struct apply *a, uint8_t verdict)
{
	const struct media_lu *lu = media_lu_find(svc, c->lu);
	bool starts = c->action == MEDIA__ACTION__ACTION_WIPE_START && lu;
	uint8_t r[9] = { verdict };

	if (starts)
		put_be64(r + 1, lu->wipe.id);
	apply_result(a, r, starts ? sizeof(r) : 1);
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	Media__Change *c = media__change__unpack(NULL, len, msg);
	struct nexus_id id;
	uint8_t verdict = MEDIA_OK;
	int rc = -EBADMSG;

	if (c && well_formed(c, &id)) {
		rc = dispatch(state, c, &id, a, &verdict);
		result(state, c, a, verdict);
	}
	if (rc == -ENOMEM)
		a->err = rc;
	if (c)
		media__change__free_unpacked(c, NULL);
	return rc;
}

/* The nexuses of a member that is gone are lost (SAM-5 6.3.4). */
static void members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct media_service *svc = state;

	(void)a;
	for (size_t i = 0; i < svc->n; i++)
		media_forget_node(&svc->lu[i], node, n);
}

const struct service_ops media_service_ops = {
	.id = MEDIA_SERVICE_ID,
	.name = "media",
	.waits_for_fencing = true, /* a lost member may still serve, and say of the medium what was so before (P1) */
	.apply = apply,
	.members = members,
	.snapshot = media_state_snapshot,
	.restore = media_state_restore,
	.persist = media_state_persist,
	.load = media_state_load,
};

/* ---- proposals -------------------------------------------------------------------------------------------- */

void media_service_pack(struct wbuf *out, const struct media_change *change)
{
	Media__Change c = MEDIA__CHANGE__INIT;
	Media__Nexus nexus = MEDIA__NEXUS__INIT;
	Media__Wipe wipe;
	uint8_t buf[512 + WIPE_PATTERN_MAX];

	c.action = (Media__Action)change->action;
	if (change->lu)
		c.lu = (char *)change->lu;
	c.blocks = change->blocks;
	c.node = change->node;
	c.force = change->force;
	if (change->nexus) {
		media_nexus_to(&nexus, change->nexus);
		c.nexus = &nexus;
	}
	if (change->wipe) {
		media_wipe_to(&wipe, change->wipe);
		c.wipe = &wipe;
	}
	wbuf_put(out, buf, media__change__pack(&c, buf)); /* a pattern, 63 + 247 bytes of names, some for numbers */
}
