/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What became of the latest command of each slot: so that a command that is sent again after a lost
 * link is not done twice (P6). One table per link of an origin's incarnation; bounded by its slots.
 * A new sequence number in a slot says that the origin has the answer to the older one. Pure; its
 * reactor only.
 *
 *          begin                 done
 *   (new) ───────▶ RUNNING ─────────────▶ ANSWERED ── begin, same id: that answer again
 *     ▲               └ turned away: not executed, may be tried again
 *     └ cancel: ANSWERED with LINK_NOT_EXECUTED
 */
#ifndef SANDEM_CLUSTER_LINK_DUP_H
#define SANDEM_CLUSTER_LINK_DUP_H

#include "cluster/link_wire.h"

enum link_dup_verdict {
	DUP_NEW,     /* execute it */
	DUP_RUNNING, /* it is being executed: its end will be answered */
	DUP_KNOWN,   /* answer with link_dup_answer() */
	DUP_REFUSED, /* older than what the slot had, or the slot is still busy with another: not the origin it claims to be */
};

struct link_dup;
struct link_dup *link_dup_new(void); /* NULL: no memory */
void link_dup_free(struct link_dup *d);

enum link_dup_verdict link_dup_begin(struct link_dup *d, uint64_t id);
/* Asked for the fate of id: never DUP_NEW. Where it was not executed it won't be any more. */
enum link_dup_verdict link_dup_cancel(struct link_dup *d, uint64_t id);
/* id is DUP_RUNNING. */
void link_dup_done(struct link_dup *d, uint64_t id, const struct link_answer *a);
const struct link_answer *link_dup_answer(const struct link_dup *d, uint64_t id);

#endif
