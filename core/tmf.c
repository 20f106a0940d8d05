/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/tmf.h"

#include <stdlib.h>

#include "core/abort.h"
#include "core/aca.h"
#include "core/cmd.h"
#include "core/core.h"
#include "core/log.h"
#include "core/lun_map.h"
#include "core/reactor.h"

static void answer(struct tmf *t, enum tmf_response response)
{
	t->response = response;
	t->done(t);
}

/* ---- functions that concern more than one reactor ---------------------------------------------- */

/* Whose commands end, which condition the nexuses hear of, and where (SAM-5 7.3 to 7.7, 5.14). */
static const struct tmf_effect {
	enum ua_scope_kind abort;
	enum ua ua;
	enum ua_scope_kind ua_scope;
	bool every_lu;	 /* that the nexus sees */
	bool everywhere; /* nexuses of other nodes are concerned, too */
	bool reset;	 /* a logical unit reset */
	bool clears_aca;
} effect[] = {
	[TMF_ABORT_TASK_SET] = { .abort = UA_SCOPE_ONLY },
	[TMF_CLEAR_TASK_SET] = { .abort = UA_SCOPE_ALL, .everywhere = true },
	[TMF_LUN_RESET] = { .abort = UA_SCOPE_ALL, .ua = UA_BUS_DEVICE_RESET, .ua_scope = UA_SCOPE_ALL,
			    .everywhere = true, .reset = true, .clears_aca = true },
	[TMF_TARGET_RESET] = { .abort = UA_SCOPE_ALL, .ua = UA_BUS_DEVICE_RESET, .ua_scope = UA_SCOPE_ALL,
			       .every_lu = true, .everywhere = true, .reset = true, .clears_aca = true },
	[TMF_IT_NEXUS_RESET] = { .abort = UA_SCOPE_ONLY, .ua = UA_IT_NEXUS_LOSS, .ua_scope = UA_SCOPE_ONLY,
				 .every_lu = true, .clears_aca = true },
};

/* The function's share in one logical unit. */
struct share {
	struct tmf *tmf; /* NULL: nobody waits for it */
	const struct tmf_effect *effect;
	struct nexus_id by;
	struct msg msg;
	struct tmf_everywhere everywhere;
	struct lu_barrier barrier;
	struct ua_scope abort_scope;
	struct lu_barrier_ua ua;
	struct lu_barrier_part part[];
};

static void mark_asked(const struct nexus *n, struct lu *lu, bool asked)
{
	struct scsi_cmd *cmd;

	cds_list_for_each_entry(cmd, &lu_shard_of(lu, n->reactor)->tasks, task_link)
		if (cmd->nexus == n)
			cmd->asked = asked;
}

/* The commands of the nexus whose end the function asks for, or does not any more. Reactor. */
static void ask(const struct tmf *t, bool asked)
{
	const struct nexus *n = t->nexus;

	if (!effect[t->function].every_lu)
		mark_asked(n, t->itl->lu, asked);
	for (uint32_t i = 0; i < n->nitl && effect[t->function].every_lu; i++)
		mark_asked(n, n->itl[i].lu, asked);
}

static void tmf_home(struct msg *m)
{
	struct tmf *t = caa_container_of(m, struct tmf, msg);

	if (t->failed) /* it may yet be carried out: who is told so, has to hear what became of its commands */
		ask(t, false);
	answer(t, t->failed ? TMF_REJECTED : TMF_COMPLETE);
}

static void share_done(struct tmf *t)
{
	if (--t->left)
		return;
	t->msg.fn = tmf_home;
	reactor_post(t->nexus->reactor, &t->msg);
}

static void share_end(struct share *s, bool ok)
{
	struct tmf *t = s->tmf;

	free(s);
	if (!t) /* nobody waits */
		return;
	t->failed |= !ok;
	share_done(t);
}

static void barrier_done(struct lu_barrier *b)
{
	share_end(caa_container_of(b, struct share, barrier), true);
}

void tmf_everywhere_done(struct tmf_everywhere *e, bool ok)
{
	share_end(caa_container_of(e, struct share, everywhere), ok);
}

static void share_here(struct share *s)
{
	const struct tmf_effect *e = s->effect;
	const struct nexus_id *by = &s->by;

	s->abort_scope = (struct ua_scope){ .kind = e->abort, .n = 1, .ids = by };
	s->ua = (struct lu_barrier_ua){ e->ua, { .kind = e->ua_scope, .n = 1, .ids = by } };
	s->barrier = (struct lu_barrier){
		.lu = s->everywhere.lu, .drain = true, .abort = &s->abort_scope,
		.cause = { .by = by, .function = s->tmf, .reset = e->reset, .clears_aca = e->clears_aca },
		.ua = &s->ua, .nua = e->ua ? 1 : 0, .done = barrier_done, .part = s->part,
	};
	lu_barrier_start(&s->barrier);
}

void tmf_everywhere_here(struct tmf_everywhere *e)
{
	share_here(caa_container_of(e, struct share, everywhere));
}

static void share_run(struct share *s, const struct tmf_effect *e)
{
	struct core *core = s->everywhere.lu->core;

	s->effect = e;
	if (e->everywhere && core->everywhere.fn)
		core->everywhere.fn(core->everywhere.arg, &s->everywhere);
	else
		share_here(s);
}

static void share_start(struct tmf *t, struct lu *lu)
{
	const struct tmf_effect *e = &effect[t->function];
	struct core *core = lu->core;
	struct share *s = calloc(1, sizeof(*s) + core->nreactors * sizeof(s->part[0]));

	t->left++;
	if (!s) { /* nothing is aborted: the initiator's error handling goes one step further */
		t->failed = true;
		share_done(t);
		return;
	}
	s->tmf = t;
	s->by = t->nexus->id;
	s->everywhere = (struct tmf_everywhere){ .lu = lu, .by = &s->by,
						 .function = e->reset ? TMF_LUN_RESET : t->function };
	if (e->reset && core->lu_reset.fn)
		core->lu_reset.fn(core->lu_reset.arg, lu);
	share_run(s, e);
}

static void on_control(struct msg *m)
{
	struct tmf *t = caa_container_of(m, struct tmf, msg);
	struct nexus *n = t->nexus;

	t->left = 1; /* ours, until all have been started */
	if (effect[t->function].every_lu) {
		uint32_t nitl = __atomic_load_n(&n->nitl, __ATOMIC_ACQUIRE); /* the reactor may change the map */
		const struct itl *itl = __atomic_load_n(&n->itl, __ATOMIC_ACQUIRE);

		for (uint32_t i = 0; i < nitl && itl[i].lu; i++)
			share_start(t, itl[i].lu);
	} else {
		share_start(t, t->itl->lu);
	}
	share_done(t);
}

/* ---- QERR=01b ---------------------------------------------------------------------------------------- */

static const struct tmf_effect abort_others = { .abort = UA_SCOPE_ALL_BUT, .everywhere = true };

static void others_on_control(struct msg *m)
{
	share_run(caa_container_of(m, struct share, msg), &abort_others);
}

void tmf_abort_others(const struct itl *itl)
{
	struct core *core = itl->lu->core;
	struct share *s = calloc(1, sizeof(*s) + core->nreactors * sizeof(s->part[0]));

	if (!s) {
		log_error("LUN %s: out of memory: QERR=1 ends only the commands of one reactor", itl->lu->name);
		return;
	}
	s->by = itl->nexus->id;
	s->everywhere = (struct tmf_everywhere){ .lu = itl->lu, .by = &s->by, .function = TMF_ABORT_OTHERS };
	s->msg.fn = others_on_control;
	core_post_control(core, &s->msg);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void to_control(struct tmf *t)
{
	ask(t, true);
	t->msg.fn = on_control;
	core_post_control(t->nexus->reactor->core, &t->msg);
}

/* SAM-5 7.5: a task set of its own for each nexus (TST=001b) has no commands of others in it. */
static void clear_task_set(struct tmf *t)
{
	if (lu_read(t->itl->lu, mode)->tst == 1)
		t->function = TMF_ABORT_TASK_SET;
	to_control(t);
}

/* The state that the nexus has built up goes as if it had been lost (SAM-5 6.3.4, 7.6). */
static void it_nexus_reset(struct tmf *t)
{
	struct core *core = t->nexus->reactor->core;

	if (core->nexus_news.reset)
		core->nexus_news.reset(core->nexus_news.arg, t->nexus);
	to_control(t);
}

/* ---- functions within one reactor ---------------------------------------------------------------- */

/* The command with this tag; with any, where any is set. NULL: none. */
static struct scsi_cmd *find_task(const struct tmf *t, bool any)
{
	struct lu_shard *s = lu_shard_of(t->itl->lu, t->nexus->reactor);
	struct scsi_cmd *cmd;

	cds_list_for_each_entry(cmd, &s->tasks, task_link)
		if (cmd->nexus == t->nexus && (any || cmd->tag == t->tag))
			return cmd;
	return NULL;
}

static void abort_one(struct tmf *t, struct scsi_cmd *cmd)
{
	cmd_abort_silently(cmd);
	if (abort_waits_for(cmd)) { /* answered when the command has ended */
		t->next = cmd->abort_tmf;
		cmd->abort_tmf = t;
		return;
	}
	if (cmd->state == CMD_HELD)
		cmd_execute(cmd);
	answer(t, TMF_COMPLETE);
}

static void abort_task(struct tmf *t)
{
	struct scsi_cmd *cmd = find_task(t, false);

	if (cmd)
		abort_one(t, cmd);
	else
		answer(t, TMF_NO_TASK);
}

/* SAM-5 7.4: the ACA command of the nexus, if there is one, ends; the condition with it. */
static void clear_aca(struct tmf *t)
{
	struct scsi_cmd *aca = t->itl->aca ? aca_command(t->itl) : NULL;

	aca_clear(t->itl);
	if (aca)
		abort_one(t, aca);
	else
		answer(t, TMF_COMPLETE);
}

static void query_task(struct tmf *t)
{
	answer(t, find_task(t, false) ? TMF_SUCCEEDED : TMF_COMPLETE);
}

static void query_task_set(struct tmf *t)
{
	answer(t, find_task(t, true) ? TMF_SUCCEEDED : TMF_COMPLETE);
}

/* SAM-5 7.9: UADE DEPTH (01b one, 10b more than one) and sense key, additional sense code and qualifier of
 * the oldest. Deferred errors there are none. */
static void query_async_event(struct tmf *t)
{
	const struct ua_queue *q = &t->itl->ua;

	if (!q->n) {
		answer(t, TMF_COMPLETE);
		return;
	}
	t->info[0] = (q->n > 1 ? 0x20 : 0x10) | KEY_UNIT_ATTENTION;
	t->info[1] = q->code[0] >> 8;
	t->info[2] = (uint8_t)q->code[0];
	answer(t, TMF_SUCCEEDED);
}

/* ---- entry points ---------------------------------------------------------------------------------- */

static const struct {
	void (*start)(struct tmf *t);
	bool any_lun; /* its LUN field says nothing */
} functions[] = {
	[TMF_ABORT_TASK] = { abort_task, false },
	[TMF_ABORT_TASK_SET] = { to_control, false },
	[TMF_CLEAR_TASK_SET] = { clear_task_set, false },
	[TMF_CLEAR_ACA] = { clear_aca, false },
	[TMF_LUN_RESET] = { to_control, false },
	[TMF_TARGET_RESET] = { to_control, true },
	[TMF_IT_NEXUS_RESET] = { it_nexus_reset, true },
	[TMF_QUERY_TASK] = { query_task, false },
	[TMF_QUERY_TASK_SET] = { query_task_set, false },
	[TMF_QUERY_ASYNC_EVENT] = { query_async_event, false },
};

void tmf_start(struct tmf *t)
{
	t->itl = nexus_find(t->nexus, t->lun);
	t->failed = false;
	if (!t->itl && !functions[t->function].any_lun)
		answer(t, TMF_NO_LUN);
	else
		functions[t->function].start(t);
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

static void abort_in(struct nexus_abort *a, struct lu *lu, struct cds_list_head *held)
{
	struct lu_shard *s = lu_shard_of(lu, a->nexus->reactor);
	struct scsi_cmd *cmd, *next;

	cds_list_for_each_entry_safe(cmd, next, &s->tasks, task_link) {
		if (cmd->nexus != a->nexus || cmd->aborted_by_nexus)
			continue;
		cmd_abort_silently(cmd);
		cmd->aborted_by_nexus = true;
		if (cmd->state == CMD_HELD)
			cds_list_move(&cmd->state_link, held);
		else if (abort_waits_for(cmd))
			a->left++;
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
	for (uint32_t i = 0; i < n->nitl; i++)
		abort_in(a, n->itl[i].lu, &held);
	for (const struct lun_map_old *old = n->old_maps; old; old = old->next)
		for (uint32_t i = 0; i < old->nitl; i++)
			abort_in(a, old->itl[i].lu, &held);
	cds_list_for_each_entry_safe(cmd, next, &held, state_link)
		cmd_execute(cmd);
	if (--a->left == 0)
		a->fn(a);
}
