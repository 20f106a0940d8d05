/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The persistent reservation of one logical unit (SPC-4 5.13): a pure state machine.
 *
 *   struct pr ── registrants, sorted by I_T nexus ──▶ {nexus, reservation key}
 *        ├─ reservation: type, holder (one registrant; none where every registrant holds it)
 *        └─ PRGENERATION, APTPL
 *
 *   pr_apply(pr, op) ─▶ outcome: status, unit attentions, whom to shut out, whose tasks to abort
 *
 * No clock, no I/O, no randomness: the same operations in the same order give the same state on
 * every member. Everything runs on the control thread. An operation allocates first and changes
 * afterwards, so that it is done or not done.
 */
#ifndef SANDEM_PR_SYNC_PR_H
#define SANDEM_PR_SYNC_PR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/nexus_id.h"
#include "core/resv.h"
#include "core/sense.h"
#include "core/ua.h"

#define PR_REGISTRANTS_MAX 16384 /* per logical unit; beyond: INSUFFICIENT REGISTRATION RESOURCES */
#define PR_SPEC_PORTS_MAX 256	 /* initiator ports named by one SPEC_I_PT list */
#define PR_TARGET_PORTS_MAX 256	 /* target ports that one ALL_TG_PT registration covers */

enum pr_action { /* PERSISTENT RESERVE OUT service actions, SPC-4 table 209 */
	PR_REGISTER = 0,
	PR_RESERVE = 1,
	PR_RELEASE = 2,
	PR_CLEAR = 3,
	PR_PREEMPT = 4,
	PR_PREEMPT_AND_ABORT = 5,
	PR_REGISTER_AND_IGNORE = 6,
	PR_REGISTER_AND_MOVE = 7,
};
#define PR_ACTIONS 8

#define PR_LU_SCOPE 0

struct pr_registrant {
	struct nexus_id id; /* does not change */
	uint64_t key;	    /* never 0 */
	uint32_t refs;	    /* struct pr's, and those of the views that name it (pr_view.c) */
};

struct pr {
	uint32_t n, cap;
	struct pr_registrant **reg; /* sorted by nexus_id_cmp; owned */
	enum pr_type type;	    /* PR_NONE: not reserved */
	/* one of reg; NULL when not reserved and for all registrants types */
	struct pr_registrant *holder;
	uint32_t generation;	    /* PRGENERATION, SPC-4 6.15.2 */
	bool aptpl;		    /* of the last successful registration */
};

struct pr_op {
	enum pr_action action;
	struct nexus_id nexus; /* on which the command came */
	uint8_t scope, type;   /* as in the CDB, not yet judged */
	uint64_t key, sa_key;  /* RESERVATION KEY, SERVICE ACTION RESERVATION KEY */
	bool aptpl;
	bool spec_i_pt;	       /* REGISTER: register the ports below too */
	uint32_t nports;
	const char *const *port; /* SCSI initiator port names; not owned */
	bool all_tg_pt;	       /* register through all of the target ports below */
	uint32_t nrtpi;
	const uint32_t *rtpi;  /* relative target port identifiers; not owned */
	bool unreg;	       /* REGISTER AND MOVE */
	struct nexus_id move_to;
	/* The initiator could not be told how its last, identical command ended: where the state is
	 * already what this one asks for, GOOD takes the place of RESERVATION CONFLICT. */
	bool repeated;
};

struct pr_ua {
	enum ua code;
	uint32_t n;
	struct nexus_id *ids; /* owned by the outcome */
};

#define PR_NO_FIELD 0xffff

struct pr_outcome {
	uint8_t status; /* enum scsi_status: GOOD, RESERVATION CONFLICT, CHECK CONDITION */
	sense_t sense;	/* with CHECK CONDITION */
	uint16_t field; /* byte of CDB or parameter list, as sense says; or PR_NO_FIELD */
	bool changed;	/* anything at all */
	bool view_changed; /* registrants or reservation: publish */
	bool excludes;	/* somebody may do less than before: drain before the answer */
	bool persist;	/* what is on stable storage has to follow */
	struct pr_ua preempted;	/* RESERVATIONS PREEMPTED or REGISTRATIONS PREEMPTED */
	struct pr_ua released;	/* RESERVATIONS RELEASED */
	/* PREEMPT AND ABORT: end the tasks of the nexuses in preempted (5.13.11.5). The preempting
	 * nexus is never among them: its own commands go on, also where it names its own key. */
	bool abort;
};

void pr_init(struct pr *pr);
void pr_fini(struct pr *pr);

/* True when nothing distinguishes pr from a fresh one. */
bool pr_is_initial(const struct pr *pr);

/* Types that may be asked for: 1, 3, 5, 6, 7, 8 (SPC-4 table 71). */
static inline bool pr_type_valid(unsigned t)
{
	return t < 16 && (0x1eau >> t & 1);
}

static inline bool pr_type_all_registrants(enum pr_type t)
{
	return t == PR_WRITE_EXCLUSIVE_AR || t == PR_EXCLUSIVE_ACCESS_AR;
}

static inline bool pr_type_registrants_only(enum pr_type t)
{
	return t == PR_WRITE_EXCLUSIVE_RO || t == PR_EXCLUSIVE_ACCESS_RO;
}

/* Where id is, or would be, in pr->reg. */
uint32_t pr_position(const struct pr *pr, const struct nexus_id *id, bool *found);

/* The registrant, or NULL. */
struct pr_registrant *pr_find(const struct pr *pr, const struct nexus_id *id);

/* Persistent reservation holder (SPC-4 5.13.10). */
bool pr_is_holder(const struct pr *pr, const struct pr_registrant *r);

/* Adds a registrant when state is rebuilt: ids have to come in ascending order, key must not be 0.
 * NULL: out of order, key 0, too many (errno EINVAL) or no memory (errno ENOMEM). */
struct pr_registrant *pr_append(struct pr *pr, const struct nexus_id *id, uint64_t key);

/* One reference less; the last one frees it. */
void pr_registrant_put(struct pr_registrant *r);

/* Performs op. 0, with the outcome filled (pr_outcome_fini() it); -ENOMEM: nothing has changed.
 * A status other than GOOD has changed nothing either. */
int pr_apply(struct pr *pr, const struct pr_op *op, struct pr_outcome *out);
void pr_outcome_fini(struct pr_outcome *out);

#endif
