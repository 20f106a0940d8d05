/* SPDX-License-Identifier: BSD-2-Clause */
#include "directory/directory_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/wbuf_message.h"
#include "directory/directory.pb-c.h"

/* ---- entries --------------------------------------------------------------------------------------- */

static size_t place(const struct directory *d, const struct nexus_id *id, bool *there)
{
	size_t lo = 0, hi = d->n;

	*there = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = nexus_id_cmp(&d->entry[mid]->nexus, id);

		if (c == 0)
			*there = true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool grow(struct directory *d)
{
	size_t cap = d->cap ? 2 * d->cap : 16;
	struct directory_entry **grown;

	if (d->n < d->cap)
		return true;
	grown = reallocarray(d->entry, cap, sizeof(*grown));
	if (!grown)
		return false;
	d->entry = grown;
	d->cap = cap;
	return true;
}

int directory_put(struct directory *d, const struct directory_entry *e)
{
	struct directory_entry *copy;
	bool there;
	size_t i = place(d, &e->nexus, &there);

	if (there) {
		*d->entry[i] = *e;
		return 0;
	}
	if (d->n == DIRECTORY_MAX)
		return 0;
	copy = grow(d) ? malloc(sizeof(*copy)) : NULL;
	if (!copy)
		return -ENOMEM;
	*copy = *e;
	memmove(&d->entry[i + 1], &d->entry[i], (d->n - i) * sizeof(*d->entry));
	d->entry[i] = copy;
	d->n++;
	return 0;
}

static void remove_at(struct directory *d, size_t i)
{
	free(d->entry[i]);
	d->n--;
	memmove(&d->entry[i], &d->entry[i + 1], (d->n - i) * sizeof(*d->entry));
}

bool directory_remove(struct directory *d, const struct nexus_id *nexus, uint32_t node)
{
	bool there;
	size_t i = place(d, nexus, &there);

	if (!there || (node && d->entry[i]->node != node))
		return false;
	remove_at(d, i);
	return true;
}

void directory_clear(struct directory *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->entry[i]);
	free(d->entry);
	*d = (struct directory){ .n = 0 };
}

/* ---- names on the wire ------------------------------------------------------------------------------ */

static bool nexus_from(struct nexus_id *out, const Directory__Nexus *pb)
{
	return pb && nexus_id_take(out, pb->port.data, pb->port.len, pb->rtpi);
}

static bool entry_from(struct directory_entry *out, const Directory__Entry *pb)
{
	memset(out, 0, sizeof(*out));
	if (!pb->node || strlen(pb->peer) > DIRECTORY_PEER_MAX || !nexus_from(&out->nexus, pb->nexus))
		return false;
	out->node = pb->node;
	out->since = pb->since;
	strcpy(out->peer, pb->peer);
	return true;
}

struct packed_entry {
	Directory__Entry pb;
	Directory__Nexus nexus;
};

static void nexus_to(Directory__Nexus *pb, const struct nexus_id *id)
{
	directory__nexus__init(pb);
	pb->port = (ProtobufCBinaryData){ .len = strlen(id->port), .data = (uint8_t *)id->port };
	pb->rtpi = id->rtpi;
}

static void entry_to(struct packed_entry *k, const struct directory_entry *e)
{
	directory__entry__init(&k->pb);
	nexus_to(&k->nexus, &e->nexus);
	k->pb.nexus = &k->nexus;
	k->pb.node = e->node;
	k->pb.peer = (char *)e->peer;
	k->pb.since = e->since;
}

/* ---- the service ------------------------------------------------------------------------------------- */

static bool well_formed(const Directory__Update *u)
{
	struct directory_entry e;
	struct nexus_id id;

	if (u->base.n_unknown_fields || !u->node || u->n_there + u->n_gone > DIRECTORY_UPDATE_MAX)
		return false;
	for (size_t i = 0; i < u->n_there; i++)
		if (!entry_from(&e, u->there[i]) || e.node != u->node)
			return false;
	for (size_t i = 0; i < u->n_gone; i++)
		if (!nexus_from(&id, u->gone[i]))
			return false;
	return true;
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	Directory__Update *u = directory__update__unpack(NULL, len, msg);
	int rc = u && well_formed(u) ? 0 : -EBADMSG;
	struct directory_entry e;
	struct nexus_id id;

	for (size_t i = 0; rc == 0 && i < u->n_gone; i++)
		if (nexus_from(&id, u->gone[i]))
			directory_remove(state, &id, u->node);
	for (size_t i = 0; rc == 0 && i < u->n_there; i++)
		if (entry_from(&e, u->there[i]))
			rc = directory_put(state, &e);
	if (rc == -ENOMEM)
		a->err = rc;
	if (u)
		directory__update__free_unpacked(u, NULL);
	return rc;
}

static bool is_among(const uint32_t *node, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (node[i] == id)
			return true;
	return false;
}

static void members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct directory *d = state;
	size_t kept = 0;

	(void)a;
	for (size_t i = 0; i < d->n; i++) {
		if (is_among(node, n, d->entry[i]->node))
			d->entry[kept++] = d->entry[i];
		else
			free(d->entry[i]);
	}
	d->n = kept;
}

static void snapshot(const void *state, struct wbuf *out)
{
	const struct directory *d = state;
	Directory__Snapshot s = DIRECTORY__SNAPSHOT__INIT;
	struct packed_entry *k = calloc(d->n + 1, sizeof(*k));
	Directory__Entry **list = calloc(d->n + 1, sizeof(*list));

	for (size_t i = 0; k && list && i < d->n; i++) {
		entry_to(&k[i], d->entry[i]);
		list[i] = &k[i].pb;
	}
	s.n_entry = d->n;
	s.entry = list;
	if (k && list)
		wbuf_put_message(out, &s.base);
	else
		out->err = -ENOMEM;
	free(k);
	free(list);
}

/* NULL, or what is wrong with it. */
static const char *take(struct directory *d, const Directory__Entry *pb)
{
	struct directory_entry e;

	if (!entry_from(&e, pb))
		return "an I_T nexus has no good name";
	if (d->n && nexus_id_cmp(&d->entry[d->n - 1]->nexus, &e.nexus) >= 0)
		return "its entries are not in order";
	if (d->n == DIRECTORY_MAX)
		return "it has more entries than can be";
	return directory_put(d, &e) < 0 ? "out of memory" : NULL;
}

static int restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct directory *d = state, fresh = { .n = 0 };
	Directory__Snapshot *s = directory__snapshot__unpack(NULL, len, p);
	const char *bad = !s || s->base.n_unknown_fields ? "it is not a snapshot of this service" : NULL;

	for (size_t i = 0; !bad && i < s->n_entry; i++)
		bad = take(&fresh, s->entry[i]);
	if (s)
		directory__snapshot__free_unpacked(s, NULL);
	if (bad) {
		snprintf(err, errlen, "directory: the snapshot is refused: %s", bad);
		directory_clear(&fresh);
		return -EBADMSG;
	}
	directory_clear(d);
	*d = fresh;
	return 0;
}

const struct service_ops directory_service_ops = {
	.id = DIRECTORY_SERVICE_ID,
	.name = "directory",
	.since = 2,
	.waits_for_fencing = false, /* operators look at it, no command does */
	.apply = apply,
	.members = members,
	.snapshot = snapshot,
	.restore = restore,
};

/* ---- proposals ------------------------------------------------------------------------------------------ */

struct packed_update {
	Directory__Update pb;
	struct packed_entry there[DIRECTORY_UPDATE_MAX];
	Directory__Entry *there_list[DIRECTORY_UPDATE_MAX];
	Directory__Nexus gone[DIRECTORY_UPDATE_MAX];
	Directory__Nexus *gone_list[DIRECTORY_UPDATE_MAX];
};

static void add_there(struct packed_update *k, const struct directory_entry *e)
{
	size_t i = k->pb.n_there++;

	entry_to(&k->there[i], e);
	k->there_list[i] = &k->there[i].pb;
}

static void add_gone(struct packed_update *k, const struct directory_entry *e)
{
	size_t i = k->pb.n_gone++;

	nexus_to(&k->gone[i], &e->nexus);
	k->gone_list[i] = &k->gone[i];
}

static bool same(const struct directory_entry *a, const struct directory_entry *b)
{
	return a->node == b->node && a->since == b->since && !strcmp(a->peer, b->peer);
}

/* Both are sorted: one walk. */
static void difference(struct packed_update *k, uint32_t node, const struct directory *own,
		       const struct directory *known)
{
	for (size_t i = 0, j = 0; (i < own->n || j < known->n) && k->pb.n_there + k->pb.n_gone < DIRECTORY_UPDATE_MAX;) {
		int c = i == own->n ? 1 : j == known->n ? -1 : nexus_id_cmp(&own->entry[i]->nexus, &known->entry[j]->nexus);

		if (c < 0 && known->n < DIRECTORY_MAX)
			add_there(k, own->entry[i]);
		else if (c == 0 && !same(own->entry[i], known->entry[j]))
			add_there(k, own->entry[i]);
		else if (c > 0 && known->entry[j]->node == node)
			add_gone(k, known->entry[j]);
		i += c <= 0;
		j += c >= 0;
	}
}

bool directory_update(struct wbuf *out, uint32_t node, const struct directory *own, const struct directory *known)
{
	struct packed_update *k = calloc(1, sizeof(*k));
	bool any;

	if (!k) {
		out->err = -ENOMEM;
		return false;
	}
	directory__update__init(&k->pb);
	k->pb.node = node;
	k->pb.there = k->there_list;
	k->pb.gone = k->gone_list;
	difference(k, node, own, known);
	any = k->pb.n_there || k->pb.n_gone;
	if (any)
		wbuf_put_message(out, &k->pb.base);
	free(k);
	return any && !out->err;
}
