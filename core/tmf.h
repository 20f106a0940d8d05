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
	uint32_t next_lu;
	struct msg msg;
	struct lu_abort *abort;
};

/* The nexus's reactor. done is called exactly once, now or later. */
void tmf_start(struct tmf *t);

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

/* Which tasks of a logical unit to abort, on all reactors (control thread). done on the control thread when the
 * last of them has ended. */
struct lu_abort {
	struct lu *lu;
	struct ua_scope scope;	/* nexuses whose tasks are affected; ids valid until done */
	bool all_but_tag;	/* internal: the requester's own command is spared */
	const struct scsi_cmd *spare;
	void (*done)(struct lu_abort *a);
	struct lu_barrier barrier;
};
void lu_abort_start(struct lu_abort *a);

#endif
