/* SPDX-License-Identifier: BSD-2-Clause */
/* Task management (SAM-5 clause 7) and the end of a nexus. */
#ifndef SANDEM_CORE_TMF_H
#define SANDEM_CORE_TMF_H

#include <stdint.h>

#include "core/lu.h"
#include "core/mailbox.h"
#include "core/nexus.h"

enum tmf_function { /* SAM-5 7.1 */
	TMF_ABORT_TASK,
	TMF_ABORT_TASK_SET,
	TMF_CLEAR_TASK_SET,
	TMF_CLEAR_ACA,
	TMF_LUN_RESET,
	TMF_TARGET_RESET, /* warm and cold: every LUN that the nexus sees */
	TMF_IT_NEXUS_RESET,
	TMF_QUERY_TASK,
	TMF_QUERY_TASK_SET,
	TMF_QUERY_ASYNC_EVENT,
	TMF_ABORT_OTHERS, /* of core itself, never a driver's: QERR=01b */
};

enum tmf_response {
	TMF_COMPLETE,  /* FUNCTION COMPLETE; of a query: no, there is none */
	TMF_SUCCEEDED, /* FUNCTION SUCCEEDED: the answer to a query is yes */
	TMF_NO_TASK,
	TMF_NO_LUN,
	TMF_REJECTED, /* FUNCTION REJECTED: not done, at least not everywhere */
};

struct tmf {
	/* set by the driver */
	enum tmf_function function;
	struct nexus *nexus;
	uint8_t lun[8];
	uint64_t tag; /* ABORT TASK, QUERY TASK: of the command */
	void (*done)(struct tmf *t); /* on the nexus's reactor, after every affected command has ended */
	/* the answer */
	enum tmf_response response;
	uint8_t info[3]; /* additional response information, of QUERY ASYNCHRONOUS EVENT */
	/* core's own */
	struct itl *itl; /* NULL: of every logical unit */
	struct tmf *next; /* another ABORT TASK that waits for the same command */
	uint32_t left; /* logical units where it has not ended yet; control thread */
	bool failed;
	struct msg msg;
};

/* A function of one logical unit for the nexuses of all nodes (core->everywhere). */
struct tmf_everywhere {
	enum tmf_function function; /* CLEAR TASK SET, LOGICAL UNIT RESET, ABORT_OTHERS */
	struct lu *lu;
	const struct nexus_id *by;
};
/* Control thread: commands of every node have ended, unit attentions are established; or not (ok = false). Once. */
void tmf_everywhere_done(struct tmf_everywhere *e, bool ok);
/* Instead of it: the other nodes can't be reached by this function, it is done for the nexuses of this one. */
void tmf_everywhere_here(struct tmf_everywhere *e);

/* The nexus's reactor. done is called exactly once, now or later. What it does to commands: core/abort.h. */
void tmf_start(struct tmf *t);

/* The nexus's reactor. Aborts the commands of all other nexuses of the logical unit; nobody waits for it. */
void tmf_abort_others(const struct itl *itl);

/* For cmd.c: the command that t waited for has ended. */
void tmf_task_ended(struct scsi_cmd *cmd);

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
