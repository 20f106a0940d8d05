/* SPDX-License-Identifier: BSD-2-Clause */
/* Task management (SAM-5 clause 7) and the end of a nexus. */
#ifndef SANDEM_CORE_TMF_H
#define SANDEM_CORE_TMF_H

#include <stdint.h>

#include "core/lu.h"
#include "core/mailbox.h"
#include "core/nexus.h"

enum tmf_function {
	TMF_ABORT_TASK,
	TMF_ABORT_TASK_SET,
	TMF_CLEAR_TASK_SET,
	TMF_LUN_RESET,
	TMF_TARGET_RESET, /* warm and cold: every LUN that the nexus sees */
};

enum tmf_response { TMF_COMPLETE, TMF_NO_TASK, TMF_NO_LUN, TMF_NOT_SUPPORTED };

struct tmf {
	/* set by the driver */
	enum tmf_function function;
	struct nexus *nexus;
	uint8_t lun[8];
	uint64_t tag; /* ABORT TASK: of the command */
	void (*done)(struct tmf *t); /* on the nexus's reactor, after every affected command has ended */
	/* the answer */
	enum tmf_response response;
	/* core's own */
	struct lu *lu;
	struct tmf *next; /* another ABORT TASK that waits for the same command */
	uint32_t left; /* logical units still to be reset */
	struct msg msg;
};

/* The nexus's reactor. done is called exactly once, now or later. */
void tmf_start(struct tmf *t);

/* For cmd.c: the command that t waited for has ended. */
void tmf_task_ended(struct scsi_cmd *cmd);

/*
 * What an abort does to a command (all of them: TMFs, nexus loss, PREEMPT AND ABORT):
 *   CMD_RECEIVED  only marked: the driver, who collects its data, ends it by cmd_execute() or cmd_abandon()
 *   CMD_HELD      ends at once: done() with aborted
 *   CMD_ADMITTED  its I/O can't be called back: done() with aborted when it ends; the abort waits for it
 *   CMD_FORWARDED likewise, when the owner has said what became of it, or owns the group no more
 *   CMD_CONTROL   done() with aborted when it comes home
 */

/*
 * Ends all commands of a nexus (connection lost, session reinstated, logout). Those received or held end at once, those
 * admitted when their I/O does; each still calls its done() with aborted set. Then fn(arg).
 * The nexus's reactor. One at a time per nexus.
 */
struct nexus_abort {
	struct nexus *nexus;
	void (*fn)(struct nexus_abort *a);
	uint32_t left;
};
void nexus_abort_tasks(struct nexus_abort *a);

#endif
