/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/tmf.h"

#include <stdlib.h>

#include "core/cmd.h"
#include "core/core.h"
#include "core/reactor.h"

static void answer(struct tmf *t, enum tmf_response response)
{
	t->response = response;
	t->done(t);
}

/* ---- one barrier per logical unit concerned, run from the control thread -------------------------- */

/* The function is applied to several logical units at once (TARGET RESET); each gets its barrier. */
struct lu_reset {
	struct tmf *tmf;
	struct lu_barrier barrier;
	struct ua_scope abort_scope;
	struct lu_barrier_ua ua;
	struct lu_barrier_part part[];
};

static void tmf_home(struct msg *m)
{
	answer(caa_container_of(m, struct tmf, msg), TMF_COMPLETE);
}

static void part_done(struct tmf *t)
{
	if (--t->left)
		return;
	t->msg.fn = tmf_home;
	reactor_post(t->nexus->reactor, &t->msg);
}

static void barrier_done(struct lu_barrier *b)
{
	struct lu_reset *reset = caa_container_of(b, struct lu_reset, barrier);
	struct tmf *t = reset->tmf;

	free(reset);
	part_done(t);
}

/* Whose tasks end, and which condition the nexuses hear of (SAM-5 7.2-7.7, 5.14). */
static const struct tmf_effect {
	enum ua_scope_kind abort;
	enum ua ua;
	enum ua_scope_kind ua_scope;
	bool reset; /* a logical unit reset: SPC-2 reservations go, too */
} effect[] = {
	[TMF_ABORT_TASK_SET] = { .abort = UA_SCOPE_ONLY },
	[TMF_CLEAR_TASK_SET] = { .abort = UA_SCOPE_ALL, .ua = UA_COMMANDS_CLEARED_BY_ANOTHER,
				 .ua_scope = UA_SCOPE_ALL_BUT },
	[TMF_LUN_RESET] = { .abort = UA_SCOPE_ALL, .ua = UA_BUS_DEVICE_RESET, .ua_scope = UA_SCOPE_ALL,
			    .reset = true },
	[TMF_TARGET_RESET] = { .abort = UA_SCOPE_ALL, .ua = UA_BUS_DEVICE_RESET, .ua_scope = UA_SCOPE_ALL,
			       .reset = true },
};

static void lu_reset_start(struct tmf *t, struct lu *lu)
{
	const struct tmf_effect *e = &effect[t->function];
	struct core *core = lu->core;
	struct lu_reset *reset = calloc(1, sizeof(*reset) + core->nreactors * sizeof(reset->part[0]));

	if (!reset) { /* nothing is aborted: the initiator's error handling goes one step further */
		part_done(t);
		return;
	}
	if (e->reset && core->lu_reset.fn)
		core->lu_reset.fn(core->lu_reset.arg, lu);
	reset->tmf = t;
	reset->abort_scope = (struct ua_scope){ .kind = e->abort, .n = 1, .ids = &t->nexus->id };
	reset->ua = (struct lu_barrier_ua){ e->ua, { .kind = e->ua_scope, .n = 1, .ids = &t->nexus->id } };
	reset->barrier = (struct lu_barrier){
		.lu = lu, .drain = true, .abort = &reset->abort_scope, .ua = &reset->ua,
		.nua = e->ua ? 1 : 0, .done = barrier_done, .part = reset->part,
	};
	lu_barrier_start(&reset->barrier);
}

static void on_control(struct msg *m)
{
	struct tmf *t = caa_container_of(m, struct tmf, msg);
	struct nexus *n = t->nexus;

	t->left = 1; /* ours, until all have been started */
	if (t->function == TMF_TARGET_RESET) {
		for (uint32_t i = 0; i < n->nitl; i++) {
			t->left++;
			lu_reset_start(t, n->itl[i].lu);
		}
	} else {
		t->left++;
		lu_reset_start(t, t->lu);
	}
	part_done(t);
}

/* ---- ABORT TASK (SAM-5 7.2): within one reactor ---------------------------------------------------- */

/* Waits for an admitted command by a barrier part of its own shard. */
static void abort_task(struct tmf *t)
{
	struct lu_shard *s = lu_shard_of(t->lu, t->nexus->reactor);
	struct scsi_cmd *cmd;

	cds_list_for_each_entry(cmd, &s->tasks, task_link) {
		if (cmd->nexus != t->nexus || cmd->tag != t->tag)
			continue;
		cmd->aborted = true;
		if (cmd->state == CMD_HELD)
			cmd_execute(cmd);
		else if (cmd->state == CMD_ADMITTED || cmd->state == CMD_FORWARDED || cmd->state == CMD_CONTROL) {
			t->next = cmd->abort_tmf; /* answered when the command has ended */
			cmd->abort_tmf = t;
			return;
		}
		answer(t, TMF_COMPLETE);
		return;
	}
	answer(t, TMF_NO_TASK);
}

/* ---- entry points ---------------------------------------------------------------------------------- */

void tmf_start(struct tmf *t)
{
	struct itl *itl = nexus_find(t->nexus, t->lun);

	t->lu = itl ? itl->lu : NULL;
	if (!itl && t->function != TMF_TARGET_RESET) {
		answer(t, TMF_NO_LUN);
		return;
	}
	if (t->function == TMF_ABORT_TASK) {
		abort_task(t);
		return;
	}
	t->msg.fn = on_control;
	core_post_control(t->nexus->reactor->core, &t->msg);
}

void tmf_task_ended(struct scsi_cmd *cmd)
{
	struct tmf *t = cmd->abort_tmf, *next;

	cmd->abort_tmf = NULL;
	for (; t; t = next) {
		next = t->next;
		answer(t, TMF_COMPLETE);
	}
}

void nexus_abort_tasks(struct nexus_abort *a)
{
	struct nexus *n = a->nexus;
	struct scsi_cmd *cmd, *next;
	struct cds_list_head held;

	CDS_INIT_LIST_HEAD(&held);
	a->left = 1; /* ours, until all have been seen */
	n->aborting = a;
	for (uint32_t i = 0; i < n->nitl; i++) {
		struct lu_shard *s = lu_shard_of(n->itl[i].lu, n->reactor);

		cds_list_for_each_entry_safe(cmd, next, &s->tasks, task_link) {
			if (cmd->nexus != n || cmd->aborted_by_nexus)
				continue;
			cmd->aborted = cmd->aborted_by_nexus = true;
			if (cmd->state == CMD_HELD)
				cds_list_move(&cmd->state_link, &held);
			else if (cmd->state == CMD_ADMITTED || cmd->state == CMD_FORWARDED ||
				 cmd->state == CMD_CONTROL)
				a->left++;
		}
	}
	cds_list_for_each_entry_safe(cmd, next, &held, state_link)
		cmd_execute(cmd);
	if (--a->left == 0)
		a->fn(a);
}
