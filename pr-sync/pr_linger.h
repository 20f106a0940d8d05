/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lingers: reservations of RESERVE (SPC-2) that have ended in the log with the member on which their I_T nexus
 * was, and that the data path enforces as long as that member may be alive (P2).
 *
 * Not replicated state: each member learns at a moment of its own that the lost one is off. But who takes a snapshot
 * meanwhile has to know it, too, so it travels beside the snapshot (core/service.h) and is in no digest.
 *
 * Control thread.
 */
#ifndef SANDEM_PR_SYNC_PR_LINGER_H
#define SANDEM_PR_SYNC_PR_LINGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lu.h"
#include "core/nexus_id.h"
#include "core/service.h"

struct pr_lingering {
	char lu[LU_NAME_MAX + 1];
	uint32_t node; /* the member that was lost */
	struct nexus_id holder;
};

struct pr_linger {
	uint32_t n, cap;
	struct pr_lingering *of; /* owned; in the order in which they were lost */
};

struct pr_may_live { /* whether a lost member may be alive; fn NULL: none ever is */
	bool (*fn)(void *arg, uint32_t node);
	void *arg;
};

/* What the node's nexus had on lu before gives way: a node has one lost process at a time. 0, -ENOMEM. */
int pr_linger_add(struct pr_linger *l, const char *lu, uint32_t node, const struct nexus_id *holder);
/* The last one on lu; NULL: nothing lingers there. */
const struct pr_lingering *pr_linger_find(const struct pr_linger *l, const char *lu);
/* What lingers on lu of members that are known to be off ends for good: it says nothing of a later process there. */
void pr_linger_settle(struct pr_linger *l, const char *lu, const struct pr_may_live *may_live);
void pr_linger_fini(struct pr_linger *l);

/* For joiners; no bytes when nothing lingers. out->err when there is no memory. */
void pr_linger_pack(const struct pr_linger *l, struct wbuf *out);
/* All or nothing, in place of what was there. 0; -EBADMSG, -ENOMEM with the reason in err. */
int pr_linger_unpack(struct pr_linger *l, const uint8_t *p, size_t len, char *err, size_t errlen);

#endif
