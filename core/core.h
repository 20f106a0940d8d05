/* SPDX-License-Identifier: BSD-2-Clause */
/* The instance that everything hangs off: reactors, control mailbox, logical units, targets. */
#ifndef SANDEM_CORE_CORE_H
#define SANDEM_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mailbox.h"
#include "core/nexus_id.h"
#include "core/reactor.h"

struct lu;
struct nexus;
struct target;
struct scsi_cmd;
struct wipe_request;
struct rods;
struct tmf_everywhere;

/* Commands whose meaning lives above core: the daemon wires them. All on the control thread. */
enum core_hook {
	HOOK_PR_IN,	/* PERSISTENT RESERVE IN */
	HOOK_PR_OUT,	/* PERSISTENT RESERVE OUT */
	HOOK_SPC2_RESERVE, /* RESERVE (6), (10) */
	HOOK_SPC2_RELEASE, /* RELEASE (6), (10) */
	HOOK_RTPG,	/* REPORT TARGET PORT GROUPS */
	HOOK_STPG,	/* SET TARGET PORT GROUPS */
	HOOK_MODE_SELECT,
	HOOK_SET_TIMESTAMP,
	HOOK_LOG_SELECT,
	HOOK_REMOVAL,	/* START STOP UNIT with LOEJ=1, PREVENT ALLOW MEDIUM REMOVAL */
	HOOK_COUNT,
};

struct core {
	unsigned nreactors;
	struct reactor *reactor; /* [nreactors] */
	struct mailbox control;	 /* messages to the control thread */
	uint32_t nlus;
	struct lu **lu;
	uint32_t ntargets;
	struct target **target;
	uint32_t nurls;
	char **management_url; /* VPD page 85h; fixed before the reactors start */
	struct rods *rods;	 /* core/rod.h; NULL until there was a token */
	struct {
		void (*fn)(void *arg, struct scsi_cmd *cmd);
		void *arg;
		bool not_yet; /* not every node can carry it out (rolling upgrade): as if there were no fn. Atomic */
	} hook[HOOK_COUNT];
	struct { /* an I_T nexus has begun, has ended; called on its reactor */
		void (*attached)(void *arg, const struct nexus *n);
		void (*detached)(void *arg, const struct nexus *n);
		void (*reset)(void *arg, const struct nexus *n); /* it lives on, what it has built up goes */
		void *arg;
	} nexus_news;
	struct { /* the medium can't be relied on any more (err: negative errno); called on a reactor, maybe often */
		void (*fn)(void *arg, struct lu *lu, int err);
		void *arg;
	} medium_failed;
	struct { /* commands of ports that do not own their group (GATE_FORWARD); on the command's reactor */
		/* cmd is admitted: ends with cmd_complete(), or is given back by gate_retry() */
		void (*submit)(void *arg, struct scsi_cmd *cmd);
		/* cmd, which was submitted, is aborted: where it is executed the rest of it may be left out; NULL: is done to
		 * its end */
		void (*aborted)(void *arg, struct scsi_cmd *cmd);
		/* a barrier of lu is passing r: its gate may be another one */
		void (*gate_changed)(void *arg, struct lu *lu, struct reactor *r);
		void *arg;
	} forward;
	struct { /* runs m->fn(m) once, on a thread that may block; NULL: there is none but the caller's */
		void (*fn)(void *arg, struct msg *m);
		void *arg;
	} blocking;
	struct { /* core/wipe.h; control thread. NULL: not offered */
		void (*start)(void *arg, struct wipe_request *q);   /* ends with wipe_answer() */
		void (*leave)(void *arg, struct scsi_cmd *cmd);	    /* EXIT FAILURE MODE */
		void *arg;
		bool not_yet; /* as in hook[] */
	} wipes;
	struct { /* commands in CMD_CONTROL have been aborted: who keeps some waiting looks which (abort_asked()), and completes
		  * them. Told once for several, maybe for none. Control thread */
		void (*fn)(void *arg);
		void *arg;
		bool posted; /* atomic */
		struct msg msg;
	} control_aborted;
	struct { /* a logical unit reset, told once, on the node that received it, before it is carried out: what lives
		  * above core goes back to its state after power on (SPC-2 reservations end). Control thread */
		void (*fn)(void *arg, struct lu *lu);
		void *arg;
	} lu_reset;
	struct { /* carries a function out on every node, then ends it with tmf_everywhere_done(). Control thread;
		  * NULL: there is only this node */
		void (*fn)(void *arg, struct tmf_everywhere *e);
		void *arg;
	} everywhere;
};

static inline void core_post_control(struct core *core, struct msg *m)
{
	mailbox_post(&core->control, m);
}

static inline void core_run_blocking(struct core *core, struct msg *m)
{
	if (core->blocking.fn)
		core->blocking.fn(core->blocking.arg, m);
	else
		m->fn(m);
}

struct lu *core_find_lu(struct core *core, const char *name);
/* Control thread; there is room for it (core->lu). */
void core_add_lu(struct core *core, struct lu *lu);
void core_remove_lu(struct core *core, struct lu *lu);

#endif
