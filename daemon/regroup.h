/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LUN groups that come and go while the daemon runs (daemon/reconfig_swap.c has the rest of a configuration).
 *
 *   COMMIT ─ apply() of the configuration's service ─▶ regroup_take ─▶ alua/alua_service.h: who owns what, at that
 *        │                                                            place in the log
 *        └─ effects ─▶ swap ─▶ struct regroup ─▶ d->ownership: this node's part
 *
 * The log is ahead of this node's objects: a group without an object has no logical unit here yet, and an object
 * without a group in the log belongs to nobody. What goes is kept in d->gone, for answers that are under way to it.
 * Control thread.
 */
#ifndef SANDEM_REGROUP_H
#define SANDEM_REGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct daemon;
struct ownership;

struct regroup {
	struct daemon *d;
	size_t ncame, nleft;
	struct ownership **came; /* owned until they are attached */
	struct ownership **left;
	struct ownership **list; /* room for all groups of the new configuration */
	bool attached;
};

/* changes: at most so many. 0 or -ENOMEM; regroup_fini() in every case. */
int regroup_init(struct regroup *g, struct daemon *d, const struct config *next, size_t changes);
void regroup_fini(struct regroup *g);
/* False: no memory. */
bool regroup_add(struct regroup *g, const struct config *next, const char *name);
void regroup_remove(struct regroup *g, const char *name);
/* One of d's, or one that comes; NULL: none. */
struct ownership *regroup_find(const struct regroup *g, const char *name);
bool regroup_concerns(const struct regroup *g, const struct ownership *o);
/* d->ownership is what next says, in its order. */
void regroup_attach(struct regroup *g, const struct config *next);
/* What non-owners do is d's configuration's. The port states change by it: publish them, and tell of it, before
 * anything else does. */
void regroup_non_owners(struct daemon *d);
/* The swap is over: who waits for a group that has gone is told. */
void regroup_end(struct regroup *g);

/* ---- the log's side; arg: struct daemon ---- */

/* Generations say which LUN groups there are: every node runs a version that knows of it. */
bool regroup_possible(const struct daemon *d);
/* The generation in force does, so the nodes' files need not name the same. For struct cluster_callbacks. */
bool regroup_replicated(void *arg);
/* For struct config_groups. */
bool regroup_free_to_go(void *arg, const char *const *group, size_t n);
int regroup_take(void *arg, const char *const *group, size_t n, uint64_t position);

#endif
