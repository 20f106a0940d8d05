/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task management of all nodes (SAM-5 clause 7). A function that concerns the commands of every I_T nexus goes through the
 * log: each member aborts what entered through its ports and what it executes for others, establishes the unit attentions,
 * and acknowledges when the commands have ended; then the initiator is answered (P1, P2).
 *
 *   core/tmf.c ── core->everywhere ─▶ proposal ─▶ apply() on every member ─▶ UA, ABORT ─▶ barrier ─▶ answer
 *
 * There is nothing to remember: the service has no state.
 */
#ifndef SANDEM_DAEMON_TASKS_H
#define SANDEM_DAEMON_TASKS_H

#include "core/service.h"
#include "core/tmf.h"

#define TASKS_SERVICE_ID 5 /* on the wire */

struct daemon;

extern const struct service_ops tasks_service_ops; /* state: NULL */

/* A proposal. Free with wbuf_fini(). */
void tasks_pack(struct wbuf *out, const struct tmf_everywhere *e);

/* For core->everywhere; arg: struct daemon. */
void tasks_everywhere(void *arg, struct tmf_everywhere *e);

#endif
