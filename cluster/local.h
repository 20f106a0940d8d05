/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport of --standalone: a group of one; what is sent is delivered when the control
 * thread's mailbox is run next. */
#ifndef SANDEM_CLUSTER_LOCAL_H
#define SANDEM_CLUSTER_LOCAL_H

#include "cluster/transport.h"
#include "core/mailbox.h"

struct local;

/* ev is copied. The first confchg comes by the mailbox, too. NULL: no memory. */
struct local *local_new(struct mailbox *control, uint32_t node, const struct transport_events *ev);
int local_send(struct local *l, const void *msg, size_t len); /* 0 or -ENOMEM */
/* Runs the mailbox, from which its messages cannot be taken back. */
void local_free(struct local *l);

#endif
