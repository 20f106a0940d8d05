/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE and FORMAT UNIT, as all nodes know of them (core/wipe.h). */
#include <string.h>

#include "media/media_int.h"

/* ---- on the wire ----------------------------------------------------------------------------- */

/* One field after the other, so that a bad one can't hide behind another. */
static bool order_good(const Media__Wipe *pb)
{
	bool writes = pb->op == WIPE_WRITE;

	return pb->kind <= WIPE_FORMAT && pb->op <= WIPE_CRYPTO && pb->passes >= 1 &&
	       pb->passes <= WIPE_PASSES_MAX && pb->pass < pb->passes &&
	       pb->pattern.len <= WIPE_PATTERN_MAX && writes == (pb->pattern.len > 0);
}

bool media_wipe_from(struct media_wipe *out, const Media__Wipe *pb)
{
	struct wipe_order *o = &out->order;

	*out = (struct media_wipe){ .state = MEDIA_WIPE_NONE };
	if (!pb || !order_good(pb))
		return false;
	out->state = pb->failed ? MEDIA_WIPE_BROKEN : MEDIA_WIPE_RUNNING;
	out->id = pb->id;
	out->pass = pb->pass;
	out->at = pb->at;
	o->kind = pb->kind;
	o->op = pb->op;
	o->may_exit = pb->may_exit;
	o->invert = pb->invert;
	o->passes = pb->passes;
	o->pattern_len = pb->pattern.len;
	if (pb->pattern.len)
		memcpy(o->pattern, pb->pattern.data, pb->pattern.len);
	return true;
}

void media_wipe_to(Media__Wipe *pb, const struct media_wipe *w)
{
	const struct wipe_order *o = &w->order;

	media__wipe__init(pb);
	pb->id = w->id;
	pb->failed = w->state == MEDIA_WIPE_BROKEN;
	pb->pass = w->pass;
	pb->at = w->at;
	pb->kind = o->kind;
	pb->op = o->op;
	pb->may_exit = o->may_exit;
	pb->invert = o->invert;
	pb->passes = o->passes;
	pb->pattern = (ProtobufCBinaryData) { .len = o->pattern_len,
					      .data = (uint8_t *)o->pattern };
}

/* ---- what each action does ------------------------------------------------------------------- */

static void changed(const struct media_lu *lu, enum effect_kind how, struct apply *a)
{
	apply_effect(a, EFFECT_PERSIST, lu->name);
	apply_effect(a, how, lu->name);
}

/* What was admitted before has ended on every node when START is answered. */
enum media_verdict media_wipe_start(struct media_lu *lu, const Media__Wipe *pb, struct apply *a)
{
	if (lu->wipe.state == MEDIA_WIPE_RUNNING)
		return MEDIA_WIPING;
	media_wipe_from(&lu->wipe, pb);
	lu->wipe.state = MEDIA_WIPE_RUNNING;
	lu->wipe.id = a->position;
	lu->wipe.pass = 0;
	lu->wipe.at = 0;
	changed(lu, EFFECT_DRAIN, a);
	return MEDIA_OK;
}

static bool is_running(const struct media_lu *lu, uint64_t id)
{
	return lu->wipe.state == MEDIA_WIPE_RUNNING && lu->wipe.id == id;
}

/* Not kept: after a power loss of all nodes it begins again. */
enum media_verdict media_wipe_reached(struct media_lu *lu, const Media__Wipe *w, struct apply *a)
{
	bool ahead = w->pass > lu->wipe.pass || (w->pass == lu->wipe.pass && w->at > lu->wipe.at);

	if (!is_running(lu, w->id) || !ahead || w->pass >= lu->wipe.order.passes)
		return MEDIA_UNCHANGED;
	lu->wipe.pass = w->pass;
	lu->wipe.at = w->at;
	apply_effect(a, EFFECT_PUBLISH, lu->name);
	return MEDIA_OK;
}

enum media_verdict media_wipe_end(struct media_lu *lu, uint64_t id, bool failed, struct apply *a)
{
	if (!is_running(lu, id))
		return MEDIA_UNCHANGED;
	lu->wipe.state = failed ? MEDIA_WIPE_BROKEN : MEDIA_WIPE_NONE;
	changed(lu, EFFECT_PUBLISH, a);
	return MEDIA_OK;
}

enum media_verdict media_wipe_leave(struct media_lu *lu, struct apply *a)
{
	if (lu->wipe.state == MEDIA_WIPE_RUNNING)
		return MEDIA_WIPING;
	if (lu->wipe.state == MEDIA_WIPE_NONE)
		return MEDIA_UNCHANGED;
	if (!lu->wipe.order.may_exit)
		return MEDIA_NO_EXIT;
	lu->wipe.state = MEDIA_WIPE_NONE;
	changed(lu, EFFECT_PUBLISH, a);
	return MEDIA_OK;
}
