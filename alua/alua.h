/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who owns a LUN group, and what its target port groups therefore report (SPC-4 5.15).
 *
 *            PROMOTE                 ACTIVE
 *   NONE ──────────────▶ OPENING ──────────────▶ ACTIVE ◀─ (the only phase in which media are written)
 *    ▲ ▲   OPEN_FAILED      ▲ │                    │ DEMOTE
 *    │ └────────────────────┼─┘                    ▼
 *    │ GIVE_UP              │ PROMOTE           CLOSING
 *    └──────────────── HANDOVER ◀──────────────────┘ CLOSED
 *
 * An owner that leaves the membership is `lost`: it keeps the group until somebody is promoted, which pacemaker
 * does only after fencing (P5), or until it is a member again: then nobody owns the group, which stays lost and lets
 * nobody in until somebody is promoted. Commands are held in every phase but NONE and ACTIVE, and while the owner is lost.
 *
 * Pure: no I/O, no clock, no thread of its own. Replicated by alua_service.c.
 */
#ifndef SANDEM_ALUA_H
#define SANDEM_ALUA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lu.h"

enum group_phase { GROUP_NONE, GROUP_OPENING, GROUP_ACTIVE, GROUP_CLOSING, GROUP_HANDOVER };

enum alua_state { /* SPC-4 table 270 */
	ALUA_OPTIMIZED = 0x0,
	ALUA_NONOPTIMIZED = 0x1,
	ALUA_STANDBY = 0x2,
	ALUA_UNAVAILABLE = 0x3,
	ALUA_OFFLINE = 0xe,
	ALUA_TRANSITIONING = 0xf,
};

struct group {
	char name[LU_NAME_MAX + 1];
	enum group_phase phase;
	uint32_t owner; /* node id; 0 = nobody, or lost and a member again */
	uint64_t epoch; /* counts ownerships; never goes back */
	bool lost;	/* the owner has left the membership since it was promoted */
};

enum group_action { /* values of alua.proto */
	GROUP_PROMOTE = 1,
	GROUP_ACTIVATE,
	GROUP_OPEN_FAILED,
	GROUP_DEMOTE,
	GROUP_CLOSED,
	GROUP_GIVE_UP,
};

enum group_verdict {
	GROUP_OK,
	GROUP_UNCHANGED,	/* it is so already: success */
	GROUP_REFUSED_OWNED,	/* another member owns the group: demote it there first */
	GROUP_REFUSED_STALE,	/* speaks of an ownership that is over */
	GROUP_REFUSED_NOT_OWNER,
	GROUP_REFUSED_BUSY,	/* still closing */
	GROUP_REFUSED_UNKNOWN,	/* no such group */
};
const char *group_verdict_text(enum group_verdict v);

/* Applies the action of `node` to g. Deterministic. */
enum group_verdict group_apply(struct group *g, enum group_action action, uint32_t node, uint64_t epoch);

/* The owner left the membership: true when that changed g. */
bool group_member_lost(struct group *g, uint32_t node);
/* It is a member again, which is no reason to own what it owned: true when that changed g. */
bool group_member_back(struct group *g, uint32_t node);

/* What the ports of a group report and do, as seen on one node. */
struct alua_situation {
	const struct group *group;
	uint32_t self;	     /* node id */
	bool serving;	     /* quorate, synced, a member (P4) */
	bool failed;	     /* this node's devices of the group can't be used any more */
	const uint32_t *member;
	size_t nmembers;
	uint16_t hold_limit_ms;
	uint32_t preferred; /* node id: its target port group has PREF set; 0 = none */
	bool forward;	    /* ports of other nodes than the owner forward to it, where the link is up */
	const uint32_t *link_to; /* nodes to which this node's link is up */
	size_t nlink_to;
	const uint32_t *link_from; /* nodes whose link to this node is up */
	size_t nlink_from;
};

/* The state of the target port group of `node`. */
enum alua_state alua_state_of(const struct alua_situation *s, uint32_t node);
const char *alua_state_text(enum alua_state s);

/* What this node's gate does with commands for the medium: verdict and sense. */
void alua_verdict(const struct alua_situation *s, enum gate_verdict *verdict, sense_t *sense);

/*
 * The whole immutable gate of one logical unit: verdict and the table that RTPG reports. ports: the target ports
 * through which the LU is seen, sorted by tpg. NULL: out of memory. Free with alua_gate_free() after the barrier that follows its
 * replacement.
 */
struct alua_port_ref {
	uint16_t tpg; /* = node id */
	uint16_t rtpi;
};
struct alua_gate *alua_gate_new(const struct alua_situation *s, const struct alua_port_ref *ports, size_t nports);
void alua_gate_free(const struct alua_gate *g);

#endif
