/* SPDX-License-Identifier: BSD-2-Clause */
/* The instance that everything hangs off: reactors, control mailbox, logical units, targets. */
#ifndef SANDEM_CORE_CORE_H
#define SANDEM_CORE_CORE_H

#include <stdint.h>

#include "core/mailbox.h"
#include "core/nexus_id.h"
#include "core/reactor.h"

struct lu;
struct target;
struct scsi_cmd;
struct wipe_record;

/* Commands whose meaning lives above core: the daemon wires them. All on the control thread. */
enum core_hook {
	HOOK_PR_IN,	/* PERSISTENT RESERVE IN */
	HOOK_PR_OUT,	/* PERSISTENT RESERVE OUT */
	HOOK_SPC2_RESERVE, /* RESERVE (6), (10) */
	HOOK_SPC2_RELEASE, /* RELEASE (6), (10) */
	HOOK_RTPG,	/* REPORT TARGET PORT GROUPS */
	HOOK_STPG,	/* SET TARGET PORT GROUPS */
	HOOK_MODE_SELECT,
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
	struct {
		void (*fn)(void *arg, struct scsi_cmd *cmd);
		void *arg;
	} hook[HOOK_COUNT];
	struct { /* an I_T nexus has ended; called on its reactor */
		void (*fn)(void *arg, const struct nexus_id *id);
		void *arg;
	} nexus_lost;
	struct { /* the medium can't be relied on any more (err: negative errno); called on a reactor, maybe often */
		void (*fn)(void *arg, struct lu *lu, int err);
		void *arg;
	} medium_failed;
	struct { /* commands of ports that do not own their group (GATE_FORWARD); on the command's reactor */
		/* cmd is admitted: ends with cmd_complete(), or is given back by gate_retry() */
		void (*submit)(void *arg, struct scsi_cmd *cmd);
		/* a barrier of lu is passing r: its gate may be another one */
		void (*gate_changed)(void *arg, struct lu *lu, struct reactor *r);
		void *arg;
	} forward;
	struct { /* runs m->fn(m) once, on a thread that may block; NULL: there is none but the caller's */
		void (*fn)(void *arg, struct msg *m);
		void *arg;
	} blocking;
	struct { /* r: what must be known after a restart, before lu is touched; NULL: nothing any more. Control
		  * thread; NULL: nothing is kept. 0 or negative errno */
		int (*fn)(void *arg, const struct lu *lu, const struct wipe_record *r);
		void *arg;
	} wipe_keep;
	struct { /* a logical unit reset: what lives above core must know (SPC-2 reservations end) */
		void (*fn)(void *arg, struct lu *lu);
		void *arg;
	} lu_reset;
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

#endif
