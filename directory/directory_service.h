/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service that knows who is logged in where: the I_T nexuses of all nodes, for operators to see in one place.
 *
 *   login, logout on a node ─▶ its own list (daemon/sessions.c) ─▶ Update ─▶ apply() on every member
 *
 * The entries of a member that is gone go with it. Nothing is kept over a power loss, and no command waits for it.
 * Control thread.
 */
#ifndef SANDEM_DIRECTORY_SERVICE_H
#define SANDEM_DIRECTORY_SERVICE_H

#include "core/nexus_id.h"
#include "core/service.h"

#define DIRECTORY_SERVICE_ID 8 /* on the wire */
#define DIRECTORY_MAX 100000   /* entries; more are not listed */
#define DIRECTORY_PEER_MAX 63
#define DIRECTORY_UPDATE_MAX 200 /* changes in one message */

struct directory_entry {
	struct nexus_id nexus;
	uint32_t node;
	char peer[DIRECTORY_PEER_MAX + 1];
	uint64_t since; /* CLOCK_REALTIME, s */
};

/* Entries sorted by nexus, each once. */
struct directory {
	size_t n, cap;
	struct directory_entry **entry;
};

/* 0 or -ENOMEM; takes the place of one with the same nexus. */
int directory_put(struct directory *d, const struct directory_entry *e);
/* False: it was not there, or is another node's (node 0: whoever's). */
bool directory_remove(struct directory *d, const struct nexus_id *nexus, uint32_t node);
void directory_clear(struct directory *d);

extern const struct service_ops directory_service_ops; /* its state: a struct directory */

/*
 * What has to be told so that known has of this node what own has; at most DIRECTORY_UPDATE_MAX changes. False: nothing.
 * out: a proposal.
 */
bool directory_update(struct wbuf *out, uint32_t node, const struct directory *own, const struct directory *known);

#endif
