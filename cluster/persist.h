/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to survive a power loss: gathers changes while a commit is under way on the worker thread, and commits them
 * together (group commit). Control thread.
 */
#ifndef SANDEM_CLUSTER_PERSIST_H
#define SANDEM_CLUSTER_PERSIST_H

#include "cluster/replog.h"
#include "cluster/store.h"
#include "cluster/worker.h"

#define PERSIST_LINEAGE_KEY "cluster/lineage"
/* Only there while a later version than 1 is in use. A program that is older takes it for the object of a service that it
 * does not have, and refuses the store: what it does not know of could not be kept by it. */
#define PERSIST_VERSION_KEY "cluster/version"

/* Embedded in whoever waits for the commit that its changes are part of. */
struct persist_waiter {
	struct cds_list_head link;
	void (*done)(struct persist_waiter *w, bool ok);
};

struct persist {
	struct store *store;
	struct worker *worker;
	struct store_batch *next; /* being gathered; NULL: no changes yet */
	struct cds_list_head waiting; /* for next */
	struct cds_list_head running; /* for the commit under way */
	struct store_batch *batch;    /* of the commit under way; NULL: none */
	struct work work;
	uint32_t version; /* of the protocol, in use: from 3 on values may be stored as patches */
	int err;
	bool nomem;
};

/* version: of the protocol, with which the store was written. */
void persist_init(struct persist *p, struct store *store, struct worker *worker, uint32_t version);
/* After the worker has ended and its answers are in: what is left is committed here. */
void persist_fini(struct persist *p);

/* Adds what service wants kept of object. */
void persist_object(struct persist *p, const struct service *s, const char *object);
void persist_lineage(struct persist *p, const struct replog_lineage *l); /* version included */
void persist_version(struct persist *p, uint32_t version);
/* Forgets all there is: what is added afterwards is the whole content. */
void persist_clear(struct persist *p);
/* w->done is called, later, when everything added before is durable, or has failed. */
void persist_wait(struct persist *p, struct persist_waiter *w);

/* Whether another history, known from outside, has gone on beyond l: its generation is higher, and l does not contain it. */
bool persist_lineage_is_older(const struct replog_lineage *l, uint64_t generation, uint64_t history);
/* Reads the lineage of a store's value. 0 or -EBADMSG. */
int persist_lineage_parse(struct replog_lineage *l, const void *value, size_t len);
int persist_version_parse(uint32_t *version, const void *value, size_t len);

#endif
