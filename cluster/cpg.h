/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport over corosync's closed process groups, agreed order, on the control thread's loop.
 *
 * What corosync can't take at once (flow control) is queued in order, up to CPG_QUEUE_MAX bytes, and sent as soon as it
 * can. When corosync goes, lost() is called once and the connection is tried once a second.
 */
#ifndef SANDEM_CLUSTER_CPG_H
#define SANDEM_CLUSTER_CPG_H

#include <qb/qbloop.h>

#include "cluster/transport.h"

#define CPG_QUEUE_MAX (64u << 20)

struct cpg_link;

/* Joins group (at most 127 bytes) as soon as corosync is there; node is this node's id of the configuration: a
 * corosync with another one is refused, lost() says so. ev is copied. NULL: no memory. */
struct cpg_link *cpg_link_new(qb_loop_t *loop, const char *group, uint32_t node, const struct transport_events *ev);
int cpg_link_send(struct cpg_link *l, const void *msg, size_t len); /* 0, -ENOTCONN, -ENOBUFS, -ENOMEM */
void cpg_link_free(struct cpg_link *l); /* leaves the group */

#endif
