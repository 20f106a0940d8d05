/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PERSISTENT RESERVE IN and OUT, RESERVE, RELEASE: the command layer, on the control thread.
 *
 *   core hook ─▶ pr_cmd_out(): CDB + list → message ─▶ proposer (log) ─▶ status ─▶ reactor
 *   core hook ─▶ pr_cmd_in():  replicated state → parameter data, in every port state
 *
 * What a command is told when the log can't take it or can't tell (P1):
 *   PROPOSE_NOT_SERVING  02/04/0C: nothing has happened, the initiator goes to another path
 *   PROPOSE_FAILED       05/55/04 for registrations, else 05/55/03: no stable storage, nothing has
 *                        changed
 *   PROPOSE_UNKNOWN      0B/00/00: it may have happened; the initiator repeats it. The command is
 *                        remembered, and its exact repetition on the same I_T nexus is proposed as
 *                        such: where the state is already what it asks for it gets GOOD, not the
 *                        RESERVATION CONFLICT that a REGISTER or CLEAR that has succeeded would
 *                        meet the second time (struct pr_op, repeated).
 */
#ifndef SANDEM_PR_SYNC_PR_CMD_H
#define SANDEM_PR_SYNC_PR_CMD_H

#include <urcu/list.h>

#include "core/cmd.h"
#include "core/core.h"
#include "core/service.h"
#include "pr-sync/pr_service.h"

#define PR_CMD_REMEMBERED_MAX 256

struct pr_cmd {
	struct pr_service *svc;
	struct proposer *proposer;
	/* May this node answer from its state (member, not joining)? NULL: always. False: PR IN
	 * gets 02/04/0C, for what this node knows may be outdated. */
	bool (*serving)(void *arg);
	void *serving_arg;
	/* own */
	struct cds_list_head remembered; /* commands whose outcome is unknown, oldest first */
	unsigned nremembered;
	struct cds_list_head lost; /* I_T nexuses whose end the log may not have, oldest first */
	unsigned nlost;
};

void pr_cmd_init(struct pr_cmd *pc, struct pr_service *svc, struct proposer *proposer);
/* No command may be under way. */
void pr_cmd_fini(struct pr_cmd *pc);

/* Sets the four hooks and core->lu_reset. */
void pr_cmd_wire(struct pr_cmd *pc, struct core *core);

/* The hooks; arg is the struct pr_cmd. */
void pr_cmd_in(void *arg, struct scsi_cmd *cmd);
void pr_cmd_out(void *arg, struct scsi_cmd *cmd);
void pr_cmd_reserve(void *arg, struct scsi_cmd *cmd);
void pr_cmd_release(void *arg, struct scsi_cmd *cmd);

/* LUN RESET or TARGET RESET on lu; an I_T nexus is gone: ends SPC-2 reservations on every node.
 * Nothing is proposed when there is none. The loss of a nexus that can't be told to the log is told
 * at the next pr_cmd_serves(). */
void pr_cmd_lu_reset(void *arg, struct lu *lu);
void pr_cmd_nexus_lost(struct pr_cmd *pc, const struct nexus_id *nexus);
/* This node serves again; before any command of a new nexus is proposed. */
void pr_cmd_serves(struct pr_cmd *pc);

#endif
