/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task management of all nodes (SAM-5 clause 7). A function that concerns the commands of every I_T nexus goes through the
 * log: each member aborts what entered through its ports and what it executes for others, establishes the unit attentions,
 * and acknowledges when the commands have ended; then the initiator is answered (P1, P2).
 *
 *   core/tmf.c ── core->everywhere ─▶ proposal ─▶ apply() on every member ─▶ UA, ABORT ─▶ barrier ─▶ answer
 *
 * A function leaves nothing behind but its identity, a number that its proposer draws: the last one of each logical unit is the
 * state. By it a node that was away sees, when it takes the newer state, that it has missed one; a count would not say so, for
 * after a power loss of the others it begins anew. Control thread.
 */
#ifndef SANDEM_DAEMON_TASKS_H
#define SANDEM_DAEMON_TASKS_H

#include "core/service.h"
#include "core/tmf.h"

#define TASKS_SERVICE_ID 5 /* on the wire */

struct daemon;

struct tasks_lu {
	char name[LU_NAME_MAX + 1];
	struct lu_ended last;
};

struct tasks_service {
	size_t n;
	struct tasks_lu *lu; /* sorted by name */
};

#define TASKS_ID_SINCE 3 /* version of the protocol; what is proposed in an older one has no identity, and is not remembered */

extern const struct service_ops tasks_service_ops; /* its state: a struct tasks_service, zeroed */

/* The last functions of a logical unit; zeroes where there was none. */
struct lu_ended tasks_last(const struct tasks_service *svc, const char *lu);
void tasks_clear(struct tasks_service *svc);

/* A proposal; id: no other one's, or 0: in an older version of the protocol. Free with wbuf_fini(). */
void tasks_pack(struct wbuf *out, const struct tmf_everywhere *e, uint64_t id);

/* For core->everywhere; arg: struct daemon. */
void tasks_everywhere(void *arg, struct tmf_everywhere *e);

#endif
