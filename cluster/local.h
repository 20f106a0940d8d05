/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport of --standalone: a group of one; what is sent is delivered in the next turn of the loop. */
#ifndef SANDEM_CLUSTER_LOCAL_H
#define SANDEM_CLUSTER_LOCAL_H

#include <qb/qbloop.h>

#include "cluster/transport.h"

struct local;

/* ev is copied. The first confchg comes in the next turn of loop. NULL: no memory. */
struct local *local_new(qb_loop_t *loop, uint32_t node, const struct transport_events *ev);
int local_send(struct local *l, const void *msg, size_t len); /* 0 or -ENOMEM */
void local_free(struct local *l);

#endif
