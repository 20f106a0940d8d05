/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an abort does to a command, whatever the reason (task management, PREEMPT AND ABORT, the end of its nexus):
 *   CMD_RECEIVED  only marked: the driver, who collects its data, ends it by cmd_execute() or cmd_abandon()
 *   CMD_HELD      ends at once: done() with aborted
 *   CMD_ADMITTED  its I/O can't be called back: done() with aborted when it ends; the abort waits for it
 *   CMD_FORWARDED likewise, when the owner has said what became of it, or owns the group no more
 *   CMD_CONTROL   done() with aborted when it comes home; core->control_aborted hears of it
 *
 * And what its initiator hears (SAM-5 5.3.1, 5.6; SPC-4 7.5.8, TAS):
 *
 *   aborted by          TAS=0                                       TAS=1
 *   its own I_T nexus   nothing, as it has asked for that           nothing
 *   another one         unit attention COMMANDS CLEARED BY ANOTHER  status TASK ABORTED
 *                       INITIATOR, unless a reset's says it already
 *
 * A nexus's task management function asks for the end of those of its commands that came before it (RFC 7143 11.5.1: those
 * with a lower CmdSN), until it is answered as rejected, for it may be carried out after that, too. Other commands of the
 * nexus that it finds are told as if it were another one's doing: nobody would answer them otherwise.
 */
#ifndef SANDEM_CORE_ABORT_H
#define SANDEM_CORE_ABORT_H

#include <stdbool.h>

#include "core/nexus_id.h"

struct scsi_cmd;

struct abort_cause {
	const struct nexus_id *by; /* NULL: no I_T nexus's doing, or not known whose: all are told */
	/* by a task management function of that nexus: its own commands are asked for, or not (scsi_cmd.asked) */
	bool function;
	bool reset; /* a logical unit reset, which has a unit attention of its own for all */
	bool clears_aca; /* the ACA conditions of these nexuses end with their commands (core/aca.h) */
};

/* Reactor. Marks cmd, and settles what its initiator will hear. */
void cmd_abort(struct scsi_cmd *cmd, const struct abort_cause *cause);

/* Marks cmd, whose initiator asked for it or is gone: it hears nothing. */
void cmd_abort_silently(struct scsi_cmd *cmd);

/* Control thread, for one in CMD_CONTROL: whether it is aborted, so that nobody waits for its outcome. */
bool abort_asked(const struct scsi_cmd *cmd);

/* Whether the end of an aborted command is still to be awaited. */
bool abort_waits_for(const struct scsi_cmd *cmd);

/* For cmd.c: its end becomes status TASK ABORTED. */
void abort_tell(struct scsi_cmd *cmd);

#endif
