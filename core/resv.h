/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the data path knows of reservations: an immutable view per logical unit, published by
 * pr-sync, and the check (SPC-4 5.13, table 68/69; SPC-2 5.5.1).
 */
#ifndef SANDEM_CORE_RESV_H
#define SANDEM_CORE_RESV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/nexus_id.h"

enum pr_type { /* SPC-4 table 71 */
	PR_NONE = 0,
	PR_WRITE_EXCLUSIVE = 1,
	PR_EXCLUSIVE_ACCESS = 3,
	PR_WRITE_EXCLUSIVE_RO = 5,
	PR_EXCLUSIVE_ACCESS_RO = 6,
	PR_WRITE_EXCLUSIVE_AR = 7,
	PR_EXCLUSIVE_ACCESS_AR = 8,
};

/* How a command behaves under somebody else's reservation: a column of the CDB table. */
enum resv_class {
	RESV_ALLOW,	  /* always: INQUIRY, REPORT LUNS, PR IN, RTPG … */
	RESV_READ,	  /* reads the medium: conflicts with exclusive access */
	RESV_WRITE,	  /* changes the medium or the device server: conflicts with any but registrants'/holder's */
	RESV_EXCLUSIVE_ONLY, /* allowed under write exclusive, conflict under exclusive access, as RESV_READ, but also
				for commands that do not read (TEST UNIT READY is RESV_ALLOW under PR, conflict under SPC-2) */
	RESV_PR_OUT,	  /* checked by the PR engine itself; conflicts with an SPC-2 reservation */
	RESV_SPC2,	  /* RESERVE/RELEASE: conflict while PR registrations exist, except as 5.13.3 says */
	RESV_ALLOW_NOT_SPC2, /* allowed under any PR; conflict under another's SPC-2 reservation (TEST UNIT READY,
				MODE SENSE …) */
};

enum resv_kind { RESV_KIND_NONE, RESV_KIND_PR, RESV_KIND_SPC2 };

/* Some registrants, one after the other: shared by the views in which they are the same, so that a view of many, of which
 * one has come, costs little more than one of few. */
struct resv_page {
	uint32_t refs; /* control thread */
	uint32_t n;    /* 1 or more */
	const struct nexus_id *registrant[]; /* sorted by nexus_id_cmp */
};

struct resv_view {
	uint32_t refs; /* control thread */
	uint64_t generation;	/* unique per view over the life of the daemon: never reused, never 0 */
	enum resv_kind kind;	/* PR: type != PR_NONE */
	enum pr_type type;
	bool registrations;	/* any registration exists (SPC-2 commands conflict) */
	struct nexus_id holder; /* SPC-2, or PR types 1, 3, 5, 6 */
	uint32_t nregistrants;	/* of all pages */
	uint32_t npages;
	struct resv_page *page[]; /* ascending */
};

/* What one I_T nexus is under a view; cached per I_T_L nexus with the view's generation. */
struct resv_role {
	uint64_t generation; /* of the view it was derived from; 0 = never */
	bool registered;
	bool holder; /* also true for every registrant of the all-registrants types */
};

void resv_role_of(const struct resv_view *v, const struct nexus_id *id, struct resv_role *role);

/* True: RESERVATION CONFLICT. Pure. v may be NULL (nothing reserved). */
bool resv_conflicts(const struct resv_view *v, const struct resv_role *role, enum resv_class c);

#endif
