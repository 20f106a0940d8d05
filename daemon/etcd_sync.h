/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `store: {type: etcd}`: what the cluster tells etcd, and what a node learns from it. The log stays the one order of things;
 * each member's own store keeps all state that answers depend on (P1). etcd knows, from outside of all nodes,
 *
 *   /sandem/CLUSTER/newest             which committed history is the newest: a node that comes back alone after the others went
 *                                      on sees that its state is stale, and waits for them
 *   /sandem/CLUSTER/config/0000000007  the generations of the configuration: where all nodes' state is lost, it is not
 *
 *   control thread ── what is to be said ──▶ one thread: read ─ judge ─ write (compare and swap) ─ watch ─┐
 *        ▲                                     ▲                                                         │
 *        └──────── news (message) ─────────────┴───────── changed, compacted, gone, 20 s ◀───────────────┘
 *
 * Nothing waits for etcd but the start of the daemon, for a moment: while it is away the cluster goes on, says so, and
 * catches up when it is back.
 */
#ifndef SANDEM_ETCD_SYNC_H
#define SANDEM_ETCD_SYNC_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct config_generation;
struct daemon;
struct etcd_sync;

/* Asks etcd once what it knows. Without `type: etcd` nothing. 0, also where etcd is away; negative and a message where its
 * settings can't be used (password file). */
int etcd_sync_start(struct daemon *d, char *err, size_t errlen);
/* The newest history by what was asked then; zeroes: not known. */
void etcd_sync_newest(const struct daemon *d, uint64_t *generation, uint64_t *history);
/* The newest generation of the configuration by what was asked then; NULL: none. */
const struct config_generation *etcd_sync_config(const struct daemon *d);
/* From now on a thread of its own. 0 or negative errno. */
int etcd_sync_run(struct daemon *d);
/* This node serves, or its lineage or configuration have gone on: etcd is to be told. */
void etcd_sync_push(struct daemon *d);
/* The operator has decided that this node's state counts, whatever etcd says. */
void etcd_sync_override(struct daemon *d);
void etcd_sync_stop(struct daemon *d);
json_t *etcd_sync_json(const struct daemon *d); /* for `status`; NULL: no etcd */

#endif
