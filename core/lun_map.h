/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LUN maps of I_T nexuses that are there, made anew when access lists of their target have changed.
 *
 *   control thread: publish target->access, set target->map_changed ─▶ lun_map_refresh() ─▶ every reactor: each nexus of
 *   such a target gets the map that it would get if it logged in now; where it differs, REPORTED LUNS DATA HAS CHANGED
 *   on its logical units ─▶ done: the old access lists have no reader any more
 *
 * Unit attentions and roles of logical units that stay, stay. Commands under way keep going by the map under which they came;
 * what is to become of those of a logical unit that goes is the gate's affair (lu->gone). Old maps are kept until the nexus
 * ends, for such commands point into them: that is some bytes per change of the configuration, logical unit and session.
 */
#ifndef SANDEM_CORE_LUN_MAP_H
#define SANDEM_CORE_LUN_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mailbox.h"
#include "core/nexus.h"

struct core;
struct lun_map_refresh;

struct lun_map_old { /* a map that a nexus had before */
	struct lun_map_old *next;
	uint32_t nitl;
	struct itl *itl;
};

struct lun_map_part {
	struct msg msg;
	struct lun_map_refresh *refresh;
	struct reactor *reactor;
	bool no_memory;
};

struct lun_map_refresh {
	struct core *core;
	void (*done)(struct lun_map_refresh *r); /* control thread */
	struct lun_map_part *part;		 /* [core->nreactors] */
	unsigned left;
	bool no_memory; /* out: a nexus still has its old map */
};

/* Control thread. r is the caller's and is free again in done. */
void lun_map_refresh(struct lun_map_refresh *r);

/* Reactor: at the end of the nexus. */
void lun_map_free_old(struct nexus *n);

#endif
