/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/persist.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog.pb-c.h"

static void start(struct persist *p);

static struct store_batch *next_batch(struct persist *p)
{
	if (!p->next) {
		p->next = store_batch_new();
		if (p->next)
			store_batch_allow_patches(p->next, p->version > 2);
	}
	p->nomem |= !p->next;
	return p->next;
}

static void run_commit(struct work *w)
{
	struct persist *p = caa_container_of(w, struct persist, work);

	p->err = store_commit(p->store, p->batch);
}

static void commit_done(struct work *w)
{
	struct persist *p = caa_container_of(w, struct persist, work);
	struct persist_waiter *pw, *next;
	CDS_LIST_HEAD(list);
	bool ok = !p->err;

	if (!ok)
		log_error("the state could not be stored: %s; check the disk of the state directory, then restart sandemd",
			  strerror(-p->err));
	cds_list_splice(&p->running, &list);
	CDS_INIT_LIST_HEAD(&p->running);
	store_batch_free(p->batch);
	p->batch = NULL;
	start(p);
	cds_list_for_each_entry_safe(pw, next, &list, link)
		pw->done(pw, ok);
}

static void start(struct persist *p)
{
	if (p->batch || cds_list_empty(&p->waiting) || !next_batch(p))
		return;
	if (p->nomem) /* something that should be in it is not */
		store_batch_put(p->next, "", NULL, 0);
	p->batch = p->next;
	p->next = NULL;
	cds_list_splice(&p->waiting, &p->running);
	CDS_INIT_LIST_HEAD(&p->waiting);
	p->work.run = run_commit;
	p->work.done = commit_done;
	worker_queue(p->worker, &p->work);
}

void persist_init(struct persist *p, struct store *store, struct worker *worker, uint32_t version)
{
	*p = (struct persist){ .store = store, .worker = worker, .version = version };
	CDS_INIT_LIST_HEAD(&p->waiting);
	CDS_INIT_LIST_HEAD(&p->running);
}

void persist_fini(struct persist *p)
{
	while (p->batch) { /* queued after the worker's end */
		run_commit(&p->work);
		commit_done(&p->work);
	}
	store_batch_free(p->next);
}

void persist_object(struct persist *p, const struct service *s, const char *object)
{
	struct store_batch *b = next_batch(p);
	struct wbuf out = { 0 };
	char key[STORE_KEY_MAX + 1];

	if (!b || !s->ops->persist)
		return;
	snprintf(key, sizeof(key), "%s/%s", s->ops->name, object);
	s->ops->persist(s->state, object, &out);
	p->nomem |= out.err != 0;
	store_batch_put(b, key, out.data, out.len);
	wbuf_fini(&out);
}

void persist_lineage(struct persist *p, const struct replog_lineage *l)
{
	Replog__Lineage pb = REPLOG__LINEAGE__INIT;
	struct store_batch *b = next_batch(p);
	uint8_t buf[REPLOG_KNOWN_MAX * 8 + REPLOG_MEMBERS_MAX * 5 + 128];

	persist_version(p, l->version);
	if (!b)
		return;
	pb.era = l->era;
	pb.generation = l->generation;
	pb.history = l->history;
	pb.position = l->position;
	pb.n_known = l->nknown;
	pb.known = (uint64_t *)l->known;
	pb.partial = l->partial;
	pb.n_member = l->nmembers;
	pb.member = (uint32_t *)l->member;
	if (!l->generation) /* never quorate with this state: nothing to claim */
		store_batch_put(b, PERSIST_LINEAGE_KEY, NULL, 0);
	else
		store_batch_put(b, PERSIST_LINEAGE_KEY, buf, replog__lineage__pack(&pb, buf));
}

void persist_version(struct persist *p, uint32_t version)
{
	struct store_batch *b = next_batch(p);
	uint32_t value = htole32(version);

	p->version = version;
	if (!b)
		return;
	store_batch_allow_patches(b, version > 2);
	store_batch_put(b, PERSIST_VERSION_KEY, &value, version > 1 ? sizeof(value) : 0);
}

void persist_clear(struct persist *p)
{
	struct store_batch *b = next_batch(p);

	if (b)
		store_batch_clear(b);
}

void persist_wait(struct persist *p, struct persist_waiter *w)
{
	cds_list_add_tail(&w->link, &p->waiting);
	start(p);
}

bool persist_lineage_is_older(const struct replog_lineage *l, uint64_t generation, uint64_t history)
{
	for (uint32_t i = 0; i < l->nknown; i++)
		if (l->known[i] == history)
			return false;
	return generation > l->generation;
}

int persist_lineage_parse(struct replog_lineage *l, const void *value, size_t len)
{
	Replog__Lineage *pb = replog__lineage__unpack(NULL, len, value);
	bool ok = pb && pb->n_known <= REPLOG_KNOWN_MAX && pb->n_member <= REPLOG_MEMBERS_MAX && pb->generation &&
		  pb->history;

	if (ok) {
		l->era = pb->era;
		l->generation = pb->generation;
		l->history = pb->history;
		l->position = pb->position;
		l->partial = pb->partial;
		l->nknown = pb->n_known;
		if (pb->n_known)
			memcpy(l->known, pb->known, pb->n_known * sizeof(l->known[0]));
		l->nmembers = pb->n_member;
		if (pb->n_member)
			memcpy(l->member, pb->member, pb->n_member * sizeof(l->member[0]));
	}
	if (pb)
		replog__lineage__free_unpacked(pb, NULL);
	return ok ? 0 : -EBADMSG;
}

int persist_version_parse(uint32_t *version, const void *value, size_t len)
{
	uint32_t v = 0;

	if (len == sizeof(v))
		memcpy(&v, value, sizeof(v));
	*version = le32toh(v);
	return *version > 1 ? 0 : -EBADMSG;
}
