/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I_T nexus (one iSCSI session): belongs to one reactor for its whole life.
 *
 *   nexus ── itl[0…n): what this nexus may see, by LUN: logical unit, read-only, unit attentions, cached role
 */
#ifndef SANDEM_CORE_NEXUS_H
#define SANDEM_CORE_NEXUS_H

#include <urcu/list.h>

#include "core/cmd.h"
#include "core/nexus_id.h"
#include "core/resv.h"
#include "core/ua.h"

struct reactor;
struct lu;
struct target;
struct scsi_cmd;
struct nexus_abort;
struct copy_results;
struct aca_news;
struct echo;

struct itl {
	struct lu *lu;
	struct nexus *nexus;
	uint16_t lun;
	bool read_only;
	struct ua_queue ua;
	bool aca; /* it is a faulted I_T nexus (core/aca.h) */
	struct aca_news *aca_news;
	struct resv_role role;
};

struct nexus {
	struct nexus_id id;
	char initiator[224]; /* iSCSI initiator name */
	char peer[64];	     /* "addr:port", for operators */
	struct target *target;
	struct reactor *reactor;
	uint64_t since;	     /* CLOCK_REALTIME seconds at login */
	uint32_t nitl;
	struct itl *itl;     /* sorted by lun */
	struct ua_queue well_known_ua; /* of the REPORT LUNS well-known logical unit */
	struct lun_map_old *old_maps; /* core/lun_map.h; NULL: the map is that of the login */
	struct cds_list_head link; /* reactor->nexuses */
	struct copy_results *copies; /* core/copy_results.h; NULL until one was made */
	struct echo *echo; /* core/echo.c; NULL until WRITE BUFFER */
	struct nexus_abort *aborting; /* core/tmf.h; NULL normally */
};

/* Reactor: fills the LUN map from target's access lists, raises 29/00 (or 29/07) on each LUN, links into the reactor.
 * id, initiator, peer, target are set by the driver. 0, or -ENOMEM. */
int nexus_attach(struct nexus *n, struct reactor *r);

/* Reactor: no command of this nexus may be left (see nexus_abort_tasks). */
void nexus_detach(struct nexus *n);

/* What is pending for the logical unit that the command addresses; NULL: there is none. Reactor. */
static inline struct ua_queue *cmd_unit_attentions(struct scsi_cmd *cmd)
{
	if (__builtin_expect(cmd->itl != NULL, 1))
		return &cmd->itl->ua;
	return cmd->well_known ? &cmd->nexus->well_known_ua : NULL;
}

/* The LUN field C101h, well-known logical unit 01h: REPORT LUNS (SAM-5 4.7, extended addressing). Pure. */
bool nexus_is_well_known(const uint8_t lun[8]);

/* The I_T_L nexus for a LUN field (peripheral, flat or extended-flat addressing, SAM-5 4.7); NULL. */
struct itl *nexus_find(struct nexus *n, const uint8_t lun[8]);

#endif
