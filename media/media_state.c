/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of the media service, their snapshot (all of them) and their stored form (what outlives a power loss). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/media_int.h"
#include "core/wbuf_message.h"
#include "media/records.h"

/* ---- records --------------------------------------------------------------------------------------------- */

struct media_lu *media_lu_find(const struct media_service *svc, const char *name)
{
	bool found;
	size_t i = records_place(svc->lu, svc->n, sizeof(*svc->lu), name, &found);

	return found ? &svc->lu[i] : NULL;
}

struct media_lu *media_lu_get(struct media_service *svc, const char *name)
{
	bool found;
	size_t i = records_place(svc->lu, svc->n, sizeof(*svc->lu), name, &found);
	struct media_lu *grown;

	if (found)
		return &svc->lu[i];
	grown = records_insert(svc->lu, svc->n, sizeof(*grown), i, name);
	if (!grown)
		return NULL;
	svc->lu = grown;
	svc->n++;
	return &grown[i];
}

const struct media_lu *media_service_find(const struct media_service *svc, const char *name)
{
	return media_lu_find(svc, name);
}

struct media_service *media_service_new(void)
{
	return calloc(1, sizeof(struct media_service));
}

static void clear(struct media_service *svc)
{
	for (size_t i = 0; i < svc->n; i++)
		free(svc->lu[i].preventer);
	free(svc->lu);
	*svc = (struct media_service){ .n = 0 };
}

void media_service_free(struct media_service *svc)
{
	if (!svc)
		return;
	clear(svc);
	free(svc);
}

/* ---- those who prevent removal ----------------------------------------------------------------------------- */

static uint32_t preventer_place(const struct media_lu *lu, const struct nexus_id *id)
{
	uint32_t i = 0;

	while (i < lu->npreventers && nexus_id_cmp(&lu->preventer[i].nexus, id) < 0)
		i++;
	return i;
}

static bool is_at(const struct media_lu *lu, uint32_t i, const struct nexus_id *id)
{
	return i < lu->npreventers && nexus_id_eq(&lu->preventer[i].nexus, id);
}

bool media_service_prevents(const struct media_service *svc, const struct nexus_id *id)
{
	for (size_t i = 0; i < svc->n; i++)
		if (is_at(&svc->lu[i], preventer_place(&svc->lu[i], id), id))
			return true;
	return false;
}

int media_prevent(struct media_lu *lu, const struct nexus_id *id, uint32_t node)
{
	uint32_t i = preventer_place(lu, id);
	struct media_preventer *grown;

	if (is_at(lu, i, id))
		return 0;
	if (lu->npreventers == MEDIA_PREVENTERS_MAX)
		return -E2BIG;
	grown = reallocarray(lu->preventer, lu->npreventers + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	lu->preventer = grown;
	memmove(&grown[i + 1], &grown[i], (lu->npreventers - i) * sizeof(*grown));
	grown[i] = (struct media_preventer){ .nexus = *id, .node = node };
	lu->npreventers++;
	return 0;
}

static void remove_at(struct media_lu *lu, uint32_t i)
{
	lu->npreventers--;
	memmove(&lu->preventer[i], &lu->preventer[i + 1], (lu->npreventers - i) * sizeof(lu->preventer[0]));
}

bool media_allow(struct media_lu *lu, const struct nexus_id *id)
{
	uint32_t i = preventer_place(lu, id);

	if (!is_at(lu, i, id))
		return false;
	remove_at(lu, i);
	return true;
}

void media_forget_node(struct media_lu *lu, const uint32_t *member, size_t n)
{
	for (uint32_t i = lu->npreventers; i-- > 0;) {
		bool there = false;

		for (size_t k = 0; k < n; k++)
			there |= member[k] == lu->preventer[i].node;
		if (!there)
			remove_at(lu, i);
	}
}

/* ---- names on the wire ---------------------------------------------------------------------------------------- */

bool media_name_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= LU_NAME_MAX;
}

bool media_nexus_from(struct nexus_id *out, const Media__Nexus *pb)
{
	return pb && nexus_id_take(out, pb->port.data, pb->port.len, pb->rtpi);
}

void media_nexus_to(Media__Nexus *pb, const struct nexus_id *id)
{
	media__nexus__init(pb);
	pb->port = (ProtobufCBinaryData){ .len = strlen(id->port), .data = (uint8_t *)id->port };
	pb->rtpi = id->rtpi;
}

/* ---- packing ------------------------------------------------------------------------------------------------------ */

struct packed { /* one logical unit with what its message points to */
	Media__Lu pb;
	Media__Preventer *p, **list;
	Media__Nexus *nexus;
	Media__Wipe wipe;
};

static int pack_lu(struct packed *k, const struct media_lu *lu)
{
	uint32_t n = lu->npreventers;

	media__lu__init(&k->pb);
	k->pb.name = (char *)lu->name;
	k->pb.blocks = lu->blocks;
	k->pb.low_space = lu->low_space;
	k->pb.ejected = lu->ejected;
	if (lu->wipe.state != MEDIA_WIPE_NONE) {
		media_wipe_to(&k->wipe, &lu->wipe);
		k->pb.wipe = &k->wipe;
	}
	if (!n)
		return 0;
	k->p = calloc(n, sizeof(*k->p));
	k->list = calloc(n, sizeof(*k->list));
	k->nexus = calloc(n, sizeof(*k->nexus));
	if (!k->p || !k->list || !k->nexus)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		media__preventer__init(&k->p[i]);
		media_nexus_to(&k->nexus[i], &lu->preventer[i].nexus);
		k->p[i].nexus = &k->nexus[i];
		k->p[i].node = lu->preventer[i].node;
		k->list[i] = &k->p[i];
	}
	k->pb.n_preventer = n;
	k->pb.preventer = k->list;
	return 0;
}

static void packed_fini(struct packed *k)
{
	free(k->p);
	free(k->list);
	free(k->nexus);
}

void media_state_snapshot(const void *state, struct wbuf *out)
{
	const struct media_service *svc = state;
	Media__Snapshot s = MEDIA__SNAPSHOT__INIT;
	struct packed *k = calloc(svc->n + 1, sizeof(*k));
	Media__Lu **list = calloc(svc->n + 1, sizeof(*list));
	bool good = k && list;

	for (size_t i = 0; good && i < svc->n; i++) {
		good = pack_lu(&k[i], &svc->lu[i]) == 0;
		list[i] = &k[i].pb;
	}
	s.n_lu = svc->n;
	s.lu = list;
	if (good)
		wbuf_put_message(out, &s.base);
	else
		out->err = -ENOMEM;
	for (size_t i = 0; k && i < svc->n; i++)
		packed_fini(&k[i]);
	free(k);
	free(list);
}

/* Who prevents removal is not kept: nexuses do not outlive their node. */
void media_state_persist(const void *state, const char *object, struct wbuf *out)
{
	const struct media_lu *lu = media_lu_find(state, object);
	Media__Lu pb = MEDIA__LU__INIT;
	Media__Wipe wipe;

	if (!lu || (!lu->blocks && !lu->ejected && lu->wipe.state == MEDIA_WIPE_NONE))
		return;
	if (lu->wipe.state != MEDIA_WIPE_NONE) {
		media_wipe_to(&wipe, &lu->wipe);
		pb.wipe = &wipe;
	}
	pb.name = (char *)lu->name;
	pb.blocks = lu->blocks;
	pb.ejected = lu->ejected;
	wbuf_put_message(out, &pb.base);
}

/* ---- unpacking ---------------------------------------------------------------------------------------------------- */

/* NULL, or what is wrong with it. */
static const char *take_lu(struct media_service *svc, const Media__Lu *pb)
{
	struct media_lu *lu;

	if (!media_name_good(pb->name))
		return "a logical unit has no good name";
	if (media_lu_find(svc, pb->name))
		return "a logical unit is there twice";
	if (pb->n_preventer > MEDIA_PREVENTERS_MAX)
		return "more initiators prevent removal than can be";
	lu = media_lu_get(svc, pb->name);
	if (!lu)
		return "out of memory";
	lu->blocks = pb->blocks;
	lu->low_space = pb->low_space;
	lu->ejected = pb->ejected;
	if (pb->wipe && !media_wipe_from(&lu->wipe, pb->wipe))
		return "what it says of SANITIZE or FORMAT UNIT can't be";
	for (size_t i = 0; i < pb->n_preventer; i++) {
		struct nexus_id id;

		if (!media_nexus_from(&id, pb->preventer[i]->nexus))
			return "an initiator that prevents removal has no good name";
		if (media_prevent(lu, &id, pb->preventer[i]->node) < 0)
			return "out of memory";
	}
	return NULL;
}

int media_state_restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct media_service *svc = state, fresh = { .n = 0 };
	Media__Snapshot *s = media__snapshot__unpack(NULL, len, p);
	const char *bad = s ? NULL : "it is not a snapshot of this service";

	for (size_t i = 0; s && !bad && i < s->n_lu; i++)
		bad = take_lu(&fresh, s->lu[i]);
	if (s)
		media__snapshot__free_unpacked(s, NULL);
	if (bad) {
		snprintf(err, errlen, "media: the snapshot is refused: %s", bad);
		clear(&fresh);
		return -EBADMSG;
	}
	clear(svc);
	*svc = fresh;
	return 0;
}

int media_state_load(void *state, const char *object, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	Media__Lu *pb = media__lu__unpack(NULL, len, p);
	const char *bad = !pb ? "it can't be read" : strcmp(pb->name, object) ? "it names another logical unit" : NULL;

	if (!bad)
		bad = take_lu(state, pb);
	if (pb)
		media__lu__free_unpacked(pb, NULL);
	if (!bad)
		return 0;
	snprintf(err, errlen, "media of LUN %s: the stored record is refused: %s", object, bad);
	return -EBADMSG;
}
