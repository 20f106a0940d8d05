/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The node-to-node link: commands of ports that do not own their LUN group travel to the owner and
 * are executed there.
 *
 *      this node (origin)                                           the owner
 *   core/gate.c: GATE_FORWARD                                    cluster/link_in.c
 *     └▶ core->forward ─▶ cluster/link_out.c ══ TCP, link_wire.h ══▶ core/remote.c ─▶ gates ─▶ medium
 *            cmd_complete() ◀─────────────────────── ANSWER ◀──────────┘
 *
 * Each reactor dials every other node: reactor i's connection is served by the peer's reactor i
 * modulo its number of reactors. Both sides prove that they have the cluster's key (link_auth.h).
 *
 * A command whose answer was lost with its connection: a read goes through the gates again. A write
 * is sent again, under its old id, when the connection is back; the owner knows what it has done
 * (link_dup.h). When there is another epoch of the ownership, so that it can't be executed there any more,
 * it goes through the gates again. (COMPARE AND WRITE, for which that is not the same, ends with
 * ABORTED COMMAND.) All that not longer than the group's hold limit; then 02/04/0A. An
 * aborted one whose owner is lost ends when that is known to be off, or its node is back, or with the epoch: its abort is
 * answered when nothing of it can reach the medium.
 *
 * Functions: control thread.
 */
#ifndef SANDEM_CLUSTER_LINK_H
#define SANDEM_CLUSTER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;
struct link;

#define LINK_NODES_MAX 64

struct link_node {
	uint32_t id;
	const char *name;
	const char *addr; /* numeric */
	uint16_t port;
};

struct link_params {
	const char *cluster; /* name */
	uint32_t node;	     /* own id */
	const struct link_node *nodes; /* own included; copied with their strings */
	size_t nnodes;
	const char *key_file;
	bool tls; /* by the same key */
	struct core *core; /* its reactors are initialised */
	void (*changed)(void *arg); /* link_to() or link_from() has changed */
	void *arg;
};

/* Reads the key, listens, sets core->forward; the reactors dial as soon as they run. 0; or
 * -errno and err (object, cause, next step). */
int link_start(struct link **out, const struct link_params *p, char *err, size_t errlen);

/* When the reactors have ended. */
void link_free(struct link *l);

/* Fills out[] (LINK_NODES_MAX) with the ids of the nodes to which (from which) every connection
 * is up, sorted; returns how many. A lost connection counts as up for another second, in which
 * commands wait for it. */
size_t link_to(const struct link *l, uint32_t *out);
size_t link_from(const struct link *l, uint32_t *out);

#endif
