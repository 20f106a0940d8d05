/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cluster as the daemon sees it: one object that joins the group, keeps the services equal on every member, and
 * says whether this node may touch a medium.
 *
 *          services[] (pr-sync, alua, …)            daemon: struct cluster_callbacks
 *                 ▲ apply/snapshot/persist                ▲ run_effects, publish_all, state_changed
 *                 │                                       │
 *   cluster_proposer() ─▶ replog (pure) ──────────────────┘
 *                            │      └── store (file) on the worker thread
 *                            ▼
 *                 cpg + quorum (corosync)   or   local (--standalone)
 *
 * Everything here, callbacks included, is on the control thread (the one that runs the qb_loop).
 */
#ifndef SANDEM_CLUSTER_CLUSTER_H
#define SANDEM_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <qb/qbloop.h>

#include "cluster/effects.h"
#include "core/mailbox.h"
#include "core/service.h"

struct cluster;

const char *cluster_state_name(enum cluster_state s); /* "serving", "no-quorum", … */

struct cluster_node {
	uint32_t id; /* corosync's node id */
	const char *name;
};

struct cluster_params {
	const char *name; /* of the cluster; the CPG group is "sandem/" + name */
	uint32_t node;	  /* own id */
	const struct cluster_node *nodes; /* all of the configuration, own included; copied */
	size_t nnodes;
	bool local;		 /* --standalone: no corosync, one member, always quorate */
	const char *state_dir;	 /* of the store; created when missing */
	/* What somebody outside of the nodes knows to be the newest committed history; 0: nobody does. A node that does not
	 * know this history and has an older one waits for those who have it. */
	uint64_t newest_generation, newest_history;
	/* Members with others are refused, with a message: of all of the file as long as version 1 of the protocol is in
	 * use, as it has no replicated configuration; later of what can't change while the cluster runs, and when the
	 * state says which LUN groups there are (cluster_callbacks.groups_replicated), of what they must have in
	 * common at any time. */
	uint8_t config_digest[32], fixed_digest[32], nodes_digest[32];
	/* The highest version of the protocol to speak; 0: REPLOG_VERSION. Lower: as an older program does, which has no
	 * service of a later version either. */
	uint32_t version_max;
	const struct service *services; /* copied; the states outlive the cluster */
	size_t nservices;
	qb_loop_t *loop;	 /* the control thread's */
	struct mailbox *control; /* run by the control thread; brings the worker's answers home */
};

struct cluster_callbacks {
	void *arg;
	/* Never EFFECT_PERSIST: cluster does that itself. Carry out run->effect[0 … n-1] in this order, then answer with
	 * cluster_effects_done(), at once or later. Runs are handed over in log order; several may be under way. The ack
	 * of this position and of all later ones waits for the answer (P1, P2). */
	void (*run_effects)(void *arg, struct effects_run *run);
	/* The services' states were replaced (load, snapshot): publish everything anew, drain what was admitted before,
	 * then cluster_published(), at once or later. */
	void (*publish_all)(void *arg);
	/* why is a sentence for the log and for `sandemctl status`. Anything but CLUSTER_SERVING: close the gate of media
	 * access before returning. */
	void (*state_changed)(void *arg, enum cluster_state s, const char *why);
	/* Asked when node was lost without a goodbye: true when it can do no more harm, that is, when nothing that is
	 * answered now can be contradicted by it. When false, proposals of services with waits_for_fencing wait for
	 * cluster_fencing_confirmed(node). node_down: the whole node left the membership (or its link did), so it may be
	 * alive on the other side of a partition; else only its process has ended. */
	bool (*harmless)(void *arg, uint32_t node, bool node_down);
	/* The history that this node is in has been committed: cluster_lineage() says more than before. May be NULL. */
	void (*committed)(void *arg);
	/* A lost node is no longer waited for: it is known to be off, or is a member again. May be NULL. */
	void (*settled)(void *arg, uint32_t node);
	/* Another version of the protocol is in use, and with it other services (cluster_has). May be NULL. */
	void (*version_changed)(void *arg);
	/* The state says which LUN groups there are, and sandem.yaml does not any more. NULL: it does not. */
	bool (*groups_replicated)(void *arg);
};

/* Opens the store, loads the services from it, connects. NULL and err (object, cause, next step) on failure: store
 * corrupt or in use, no memory. corosync not being there is no failure: it is tried once a second, state OFFLINE. */
struct cluster *cluster_start(const struct cluster_params *p, const struct cluster_callbacks *cb, char *err,
			      size_t errlen);

/* Says goodbye and leaves the group; done(arg) is called when that is through, or after a second at most. Before: the
 * daemon has drained and closed its media, for nobody waits for this node or fences it afterwards. */
void cluster_leave(struct cluster *c, void (*done)(void *arg), void *arg);

/* Frees all. Pending proposals are answered PROPOSE_UNKNOWN. Call it outside of every callback. */
void cluster_stop(struct cluster *c);

struct proposer *cluster_proposer(struct cluster *c);

void cluster_effects_done(struct cluster *c, struct effects_run *run, bool ok);
void cluster_published(struct cluster *c, bool ok);
/* Fencing of node is confirmed. */
void cluster_fencing_confirmed(struct cluster *c, uint32_t node);
/* Every group that node owned has passed on (which pacemaker does only when it has fenced it). */
void cluster_owner_fenced(struct cluster *c, uint32_t node);
/* The operator's `cluster resolve`: this DIVERGED node forgets its history and takes the cluster's. 0; -EINVAL when it
 * is not diverged. */
int cluster_discard_own(struct cluster *c);
/* The operator's decision for a node that waits for a newer state which is lost for good: it goes on with what it has.
 * 0; -EINVAL when it does not wait. */
int cluster_keep_own(struct cluster *c);

enum cluster_state cluster_state(const struct cluster *c);
const char *cluster_why(const struct cluster *c); /* the sentence given with the state */
bool cluster_quorate(const struct cluster *c);
uint64_t cluster_position(const struct cluster *c);
struct replog_lineage;
void cluster_lineage(const struct cluster *c, struct replog_lineage *out); /* as it is on stable storage */
uint64_t cluster_branch(const struct cluster *c); /* members with the same have seen the same stream */
/* The protocol's version in use: the lower one, as long as not every configured node speaks the higher and is here. */
uint32_t cluster_version(const struct cluster *c);
/* Every member has this service, at the version in use. */
bool cluster_has(const struct cluster *c, uint16_t service);

struct cluster_member {
	uint32_t id;
	const char *name; /* of the configuration; "?" when it has none for this id */
	bool synced;	  /* has the state (serving, or about to) */
	uint64_t acked;	  /* applied, drained and persisted up to here; of what is behind it maybe some */
	uint32_t version_max; /* the highest version of the protocol that it speaks; 0: not known yet */
};
/* Fills out[] with up to max members of the group, by node id; returns how many there are. */
size_t cluster_members(const struct cluster *c, struct cluster_member *out, size_t max);
/* Fills out[] with the ids of nodes that were lost and are not yet known to be fenced. */
size_t cluster_unfenced(const struct cluster *c, uint32_t *out, size_t max);

#endif
