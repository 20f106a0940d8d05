/* SPDX-License-Identifier: BSD-2-Clause */
/* Corosync's quorum, followed through libquorum on the control thread's loop; reconnects by itself. */
#ifndef SANDEM_CLUSTER_QUORUM_H
#define SANDEM_CLUSTER_QUORUM_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stdint.h>

struct quorum_watch;

/* changed: quorum of the ring with this sequence number; lost service = (false, 0). NULL: no memory. */
struct quorum_watch *quorum_watch_new(qb_loop_t *loop, void (*changed)(void *arg, bool quorate, uint64_t ring_seq),
				      void *arg);
void quorum_watch_free(struct quorum_watch *q);

#endif
