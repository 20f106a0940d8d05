/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service of reservations: persistent ones (SPC-4 5.13) and those of RESERVE/RELEASE
 * (SPC-2), of all logical units, by name.
 *
 *   pr_service ── pr_lu[] sorted by name ── struct pr + SPC-2 holder
 *
 * An SPC-2 reservation ends with RELEASE, LUN RESET, the loss of its nexus, and with the member
 * that carries the nexus. In the last case it *lingers* (pr_linger.h): the data path of this node
 * enforces it as long as that member may be alive, for if its history is the one that goes on, the
 * nexus still has it (P2).
 *
 * Control thread. A logical unit is known from its first operation on; that it exists is the
 * command layer's care.
 */
#ifndef SANDEM_PR_SYNC_PR_SERVICE_H
#define SANDEM_PR_SYNC_PR_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lu.h"
#include "core/resv.h"
#include "core/service.h"
#include "pr-sync/pr.h"
#include "pr-sync/pr_linger.h"

#define PR_SERVICE_ID 1 /* on the wire */

struct pr_lu {
	char name[LU_NAME_MAX + 1];
	struct pr pr;
	bool spc2_reserved;
	struct nexus_id spc2_holder;
	uint32_t spc2_node; /* on which the holder's nexus is; 0 when not reserved */
	struct resv_view *view; /* the last one given out, for what the next has in common with it; or NULL */
};

struct pr_lus { /* the replicated state */
	uint32_t n, cap;
	struct pr_lu **lu; /* sorted by name; owned */
};

struct pr_service {
	struct pr_lus lus;
	uint64_t generation; /* of the last view given out; this node's own, not replicated */
	struct pr_linger linger; /* this node's own knowledge, not replicated */
	struct pr_may_live may_live;
};

/* What apply() hands to the proposer (same node, same program: never on the wire). */
struct pr_result {
	uint8_t status; /* enum scsi_status */
	sense_t sense;	/* with CHECK CONDITION */
	uint16_t field; /* byte that is at fault, or PR_NO_FIELD */
};

/* NULL: no memory. */
struct pr_service *pr_service_new(void);
void pr_service_free(struct pr_service *svc);

/* The row for the table of replicated services; state is svc. */
extern const struct service_ops pr_service_ops;
static inline struct service pr_service_row(struct pr_service *svc)
{
	return (struct service){ .ops = &pr_service_ops, .state = svc };
}

/* The state of a logical unit; NULL: nothing was ever asked of it, that is, nothing registered. */
const struct pr_lu *pr_service_find(const struct pr_service *svc, const char *lu);

/*
 * A fresh view for the data path (core/resv.h), to be published by the caller and freed with
 * pr_view_free() after a grace period; it may outlive svc. 0 with *view, which is NULL when nothing
 * is reserved or registered; -ENOMEM. (pr_view.c)
 */
int pr_service_view(struct pr_service *svc, const char *lu, struct resv_view **view);
/* Takes NULL. Control thread. */
void pr_view_free(const struct resv_view *v);

/* Does a reservation linger on this logical unit? When a member that was lost is known to be off, those of which this is
 * true are to be published anew. */
bool pr_service_lingers(const struct pr_service *svc, const char *lu);

/* Messages to propose for what ends SPC-2 reservations: LUN RESET and TARGET RESET on lu, loss of a
 * nexus. b->err when there is no memory. */
void pr_service_msg_reset(struct wbuf *b, const char *lu);
void pr_service_msg_nexus_lost(struct wbuf *b, const struct nexus_id *nexus);

/* Does the nexus hold an SPC-2 reservation anywhere? (Spares the log a message for every
 * logout.) */
bool pr_service_spc2_holds(const struct pr_service *svc, const struct nexus_id *nexus);

/* The state as such, shared by pr_service.c and pr_state.c. */
struct pr_lu *pr_lus_find(const struct pr_lus *s, const char *name);
struct pr_lu *pr_lus_get(struct pr_lus *s, const char *name); /* creates; NULL: no memory */
void pr_lus_fini(struct pr_lus *s);
bool pr_lu_is_initial(const struct pr_lu *lu);

/* service_ops.snapshot, restore, persist, load (pr_state.c). */
void pr_state_snapshot(const void *state, struct wbuf *out);
int pr_state_restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen);
void pr_state_persist(const void *state, const char *object, struct wbuf *out);
int pr_state_load(void *state, const char *object, const uint8_t *p, size_t len, char *err,
		  size_t errlen);

#endif
