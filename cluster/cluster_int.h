/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the facade, one topic each; control thread, as cluster.h says.
 *
 *   cluster.c          start, stop, questions and orders
 *   cluster_load.c     what the store has → the services, and what the log is to know of it
 *   cluster_outputs.c  struct replog_io: what the log has carried out, by the daemon and by the store
 *   cluster_inputs.c   transport, quorum and clock → the log; connecting and leaving
 */
#ifndef SANDEM_CLUSTER_CLUSTER_INT_H
#define SANDEM_CLUSTER_CLUSTER_INT_H

#include "cluster/cluster.h"
#include "cluster/cpg.h"
#include "cluster/local.h"
#include "cluster/persist.h"
#include "cluster/quorum.h"
#include "cluster/replog.h"
#include "cluster/store.h"
#include "cluster/worker.h"

#define NODES_MAX REPLOG_MEMBERS_MAX

struct cluster {
	struct replog *log;
	struct cluster_callbacks cb;
	char name[64];
	uint32_t node;
	struct {
		uint32_t id;
		char name[64];
	} nodes[NODES_MAX];
	size_t nnodes;
	qb_loop_t *loop;
	struct mailbox *control;
	struct store *store;
	struct worker worker;
	bool worker_runs;
	struct persist persist;

	struct local *local;
	struct cpg_link *cpg;
	struct quorum_watch *quorum;
	/* Quorum and group membership come on two connections: quorum counts for the group's ring only. */
	uint64_t ring_seq, quorum_seq;
	uint32_t ring_node[NODES_MAX];
	size_t nring;
	bool quorate, ring_due;

	qb_loop_timer_handle tick;
	bool ticking, woken;
	struct msg wake;
	unsigned publishing; /* answers still missing */
	bool published_ok;
	struct persist_waiter published;
	struct persist_waiter version_stored;
	bool storing_version;
	void (*left)(void *arg);
	void *left_arg;
	uint64_t leave_end;
};

/* The name of the configuration; NULL: it has none for this id. */
const char *cluster_node_name(const struct cluster *c, uint32_t id);

/* ---- cluster_load.c ---- */

struct cluster_loaded {
	struct replog_durable *durable; /* objects that the store has; owned, their names, too */
	size_t n, cap;
};

/* Loads the services of p from the store. 0, with lineage and out filled; -EBADMSG, -EPROTONOSUPPORT, -ENOMEM, with err
 * (directory, cause, next step). Always safe to fini. */
int cluster_load(struct store *store, const struct cluster_params *p, struct replog_lineage *lineage,
		 struct cluster_loaded *out, char *err, size_t errlen);
void cluster_loaded_fini(struct cluster_loaded *l);

/* ---- cluster_outputs.c ---- */

/* Its functions may be called from when c->persist and c->log are there. */
struct replog_io cluster_outputs(struct cluster *c);

/* ---- cluster_inputs.c ---- */

/* The clock runs, and the transport is tried from here on. 0, -ENOMEM, or what the loop says. */
int cluster_connect(struct cluster *c, const struct cluster_params *p);
void cluster_disconnect(struct cluster *c); /* the transport only */
void cluster_clock(struct cluster *c);	    /* replog_timer() now */

#endif
