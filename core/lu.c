/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/lu.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/aca.h"
#include "core/cdb.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/nexus.h"
#include "core/range_lock.h"
#include "core/task_set.h"
#include "core/timestamp.h"
#include "core/wipe.h"

/* ---- life ------------------------------------------------------------------------------------- */

static void hold_expired(struct reactor_timer *t);

static void shard_init(struct lu_shard *s, struct lu *lu)
{
	CDS_INIT_LIST_HEAD(&s->tasks);
	CDS_INIT_LIST_HEAD(&s->admitted);
	CDS_INIT_LIST_HEAD(&s->forwarded);
	CDS_INIT_LIST_HEAD(&s->held);
	CDS_INIT_LIST_HEAD(&s->drains);
	CDS_INIT_LIST_HEAD(&s->locks);
	CDS_INIT_LIST_HEAD(&s->dormant);
	s->hold_timer.fn = hold_expired;
	s->lu = lu;
}

struct lu *lu_new(struct core *core, const char *name)
{
	struct lu *lu = calloc(1, sizeof(*lu));

	if (!lu)
		return NULL;
	lu->core = core;
	snprintf(lu->name, sizeof(lu->name), "%s", name);
	lu->shard = aligned_alloc(64, core->nreactors * sizeof(*lu->shard));
	if (!lu->shard) {
		free(lu);
		return NULL;
	}
	lu->clock_offset = CLOCK_NOT_SET;
	CDS_INIT_LIST_HEAD(&lu->range_locks);
	memset(lu->shard, 0, core->nreactors * sizeof(*lu->shard));
	for (unsigned i = 0; i < core->nreactors; i++)
		shard_init(&lu->shard[i], lu);
	return lu;
}

/* A limit keeps every shard off the fast path: LUs without one don't even count. */
void lu_limit_queue(struct lu *lu, uint32_t limit)
{
	for (unsigned i = 0; i < lu->core->nreactors; i++)
		lu->shard[i].special += !!limit - !!lu->queue_limit;
	lu->queue_limit = limit;
}

void lu_free(struct lu *lu)
{
	if (!lu)
		return;
	free(lu->wipe);
	free(lu->shard);
	free(lu);
}

/* ---- admitted commands and drains --------------------------------------------------------------- */

static void part_passed(struct msg *m);

static void part_report(struct lu_barrier_part *part)
{
	part->msg.fn = part_passed;
	core_post_control(part->b->lu->core, &part->msg);
}

/* The owner may still execute it, and has perhaps not heard that it was aborted. */
static bool aborted_at_owner(const struct lu_shard *s, uint64_t seq)
{
	const struct scsi_cmd *cmd;

	cds_list_for_each_entry(cmd, &s->forwarded, state_link)
		if (cmd->aborted && cmd->seq <= seq)
			return true;
	return false;
}

static bool drained(const struct lu_shard *s, const struct lu_barrier_part *part)
{
	struct scsi_cmd *oldest;

	if (part->b->abort && aborted_at_owner(s, part->seq))
		return false;
	if (cds_list_empty((struct cds_list_head *)&s->admitted))
		return true;
	oldest = cds_list_entry(s->admitted.next, struct scsi_cmd, state_link);
	return oldest->seq > part->seq;
}

static void drains_check(struct lu_shard *s)
{
	struct lu_barrier_part *part, *next;

	cds_list_for_each_entry_safe(part, next, &s->drains, link) {
		if (!drained(s, part))
			continue;
		cds_list_del(&part->link);
		part_report(part);
	}
}

void lu_admit(struct scsi_cmd *cmd)
{
	struct lu_shard *s = lu_shard_of(cmd->lu, cmd->reactor);

	if (cmd->state == CMD_FORWARDED)
		cds_list_del(&cmd->state_link);
	cmd->state = CMD_ADMITTED;
	cmd->seq = ++s->seq;
	cds_list_add_tail(&cmd->state_link, &s->admitted);
}

/* It is no longer among the admitted ones. */
static void admitted_left(struct lu_shard *s, struct scsi_cmd *cmd)
{
	if (!cds_list_empty(&s->locks))
		range_lock_task_ended(s, cmd);
	if (!cds_list_empty(&s->drains))
		drains_check(s);
}

void lu_unadmit(struct scsi_cmd *cmd, enum cmd_state to)
{
	struct lu_shard *s = lu_shard_of(cmd->lu, cmd->reactor);

	cds_list_del(&cmd->state_link);
	if (to == CMD_FORWARDED)
		cds_list_add_tail(&cmd->state_link, &s->forwarded);
	cmd->state = to;
	cmd->disk = NULL;
	admitted_left(s, cmd);
}

static void forwarded_del(struct lu_shard *s, struct scsi_cmd *cmd)
{
	cds_list_del(&cmd->state_link);
	if (!cds_list_empty(&s->drains))
		drains_check(s);
}

void lu_unforward(struct scsi_cmd *cmd)
{
	forwarded_del(lu_shard_of(cmd->lu, cmd->reactor), cmd);
	cmd->state = CMD_RECEIVED;
}

void lu_task_ended(struct scsi_cmd *cmd)
{
	struct lu_shard *s;

	if (!cmd->lu)
		return;
	s = lu_shard_of(cmd->lu, cmd->reactor);
	cds_list_del(&cmd->task_link);
	if (cmd->state == CMD_HELD) {
		cds_list_del(&cmd->state_link);
	} else if (cmd->state == CMD_ADMITTED) {
		if (cmd->status != STATUS_GOOD)
			s->errors++;
		cds_list_del(&cmd->state_link);
		admitted_left(s, cmd);
	} else if (cmd->state == CMD_FORWARDED) {
		forwarded_del(s, cmd);
	}
	if (__builtin_expect(s->special, 0))
		task_set_leave(s, cmd);
}

void lu_park(struct scsi_cmd *cmd, struct cds_list_head *list)
{
	cds_list_del(&cmd->state_link);
	admitted_left(lu_shard_of(cmd->lu, cmd->reactor), cmd);
	cmd->state = CMD_HELD;
	cds_list_add_tail(&cmd->state_link, list);
}

/* ---- held commands ------------------------------------------------------------------------------ */

void lu_hold(struct scsi_cmd *cmd, uint64_t limit_ns)
{
	struct lu_shard *s = lu_shard_of(cmd->lu, cmd->reactor);

	uint64_t due;

	if (!cmd->held_since)
		cmd->held_since = cmd->reactor->now;
	due = cmd->held_since + limit_ns;
	cmd->state = CMD_HELD;
	cds_list_add_tail(&cmd->state_link, &s->held);
	if (!s->hold_timer.armed)
		reactor_timer_arm(cmd->reactor, &s->hold_timer,
				  due > cmd->reactor->now ? due - cmd->reactor->now : 0);
}

void lu_hold_retry(struct scsi_cmd *cmd, uint64_t retry_ns)
{
	struct lu_shard *s = lu_shard_of(cmd->lu, cmd->reactor);

	if (!cmd->held_since)
		cmd->held_since = cmd->reactor->now;
	cmd->state = CMD_HELD;
	cds_list_add_tail(&cmd->state_link, &s->held);
	if (!s->hold_timer.armed || s->hold_timer.deadline > cmd->reactor->now + retry_ns)
		reactor_timer_arm(cmd->reactor, &s->hold_timer, retry_ns);
}

static void unhold(struct scsi_cmd *cmd)
{
	cds_list_del(&cmd->state_link);
	cmd->state = CMD_RECEIVED;
}

static struct scsi_cmd *held_too_long(const struct lu_shard *s, uint64_t limit_ns, uint64_t *next_due)
{
	struct scsi_cmd *cmd;

	*next_due = UINT64_MAX;
	cds_list_for_each_entry(cmd, &s->held, state_link) {
		uint64_t due = cmd->held_since + limit_ns;

		if (due <= cmd->reactor->now)
			return cmd;
		if (due < *next_due)
			*next_due = due;
	}
	return NULL;
}

static void held_rerun(struct lu_shard *s)
{
	struct cds_list_head again;
	struct scsi_cmd *cmd, *next;

	CDS_INIT_LIST_HEAD(&again);
	cds_list_splice(&s->held, &again);
	CDS_INIT_LIST_HEAD(&s->held);
	reactor_timer_cancel(&s->hold_timer);
	cds_list_for_each_entry_safe(cmd, next, &again, state_link) {
		unhold(cmd);
		gate_run(cmd);
	}
}

/* Held longer than the gate allows: late, a status that every initiator retries (P7). Those that need not wait for the gate (it
 * forwards) try again. */
static void hold_expired(struct reactor_timer *t)
{
	struct lu_shard *s = caa_container_of(t, struct lu_shard, hold_timer);
	const struct alua_gate *gate = lu_read(s->lu, gate);
	struct scsi_cmd *cmd;
	struct reactor *r;
	uint64_t next;

	while ((cmd = held_too_long(s, gate->hold_limit_ms * 1000000ull, &next))) {
		unhold(cmd);
		cmd_sense(cmd, gate->medium == GATE_REFUSE ? gate->medium_sense : SENSE_LU_NOT_READY_TRANSITION);
	}
	if (cds_list_empty(&s->held))
		return;
	if (gate->medium != GATE_HOLD) {
		held_rerun(s);
		return;
	}
	r = cds_list_first_entry(&s->held, struct scsi_cmd, state_link)->reactor;
	reactor_timer_arm(r, t, next > r->now ? next - r->now : 0);
}

/* ---- the barrier -------------------------------------------------------------------------------- */

static void raise_uas(const struct lu_barrier *b, struct reactor *r)
{
	struct nexus *n;

	cds_list_for_each_entry(n, &r->nexuses, link)
		for (uint32_t i = 0; i < n->nitl; i++)
			for (unsigned k = 0; k < b->nua && n->itl[i].lu == b->lu; k++)
				if (ua_scope_covers(&b->ua[k].scope, &n->id))
					ua_queue_push(&n->itl[i].ua, b->ua[k].code);
}

/* A PERSISTENT RESERVE OUT under way is in the log and can't be called back: above all the PREEMPT AND ABORT that asks
 * for this very abort (SPC-4 5.13.11.3). */
static bool is_pr_out(const struct scsi_cmd *cmd)
{
	return cmd->state == CMD_CONTROL && cmd->row->resv == RESV_PR_OUT;
}

void lu_abort_tasks(struct lu_shard *s, const struct ua_scope *scope, const struct abort_cause *cause)
{
	struct scsi_cmd *cmd, *next;
	struct cds_list_head ending;

	CDS_INIT_LIST_HEAD(&ending);
	cds_list_for_each_entry_safe(cmd, next, &s->tasks, task_link) {
		if (is_pr_out(cmd) || !ua_scope_covers(scope, &cmd->nexus->id))
			continue;
		cmd_abort(cmd, cause);
		if (cmd->state == CMD_HELD) {
			unhold(cmd);
			cds_list_add_tail(&cmd->state_link, &ending);
		}
	}
	/* done() may do anything to the task list, so those that end now are taken aside first. */
	while (!cds_list_empty(&ending)) {
		cmd = cds_list_first_entry(&ending, struct scsi_cmd, state_link);
		cds_list_del(&cmd->state_link);
		cmd_execute(cmd);
	}
}

static void part_run(struct msg *m)
{
	struct lu_barrier_part *part = caa_container_of(m, struct lu_barrier_part, msg);
	struct lu_barrier *b = part->b;
	struct lu_shard *s = lu_shard_of(b->lu, part->reactor);
	const struct core *core = b->lu->core;

	if (b->nua)
		raise_uas(b, part->reactor);
	if (b->abort)
		lu_abort_tasks(s, b->abort, &b->cause);
	if (b->abort && b->cause.clears_aca)
		aca_clear_all(s, part->reactor, b->abort);
	part->seq = s->seq;
	held_rerun(s);
	task_set_wake(s, part->reactor);
	if (core->forward.gate_changed)
		core->forward.gate_changed(core->forward.arg, b->lu, part->reactor);
	if (!b->drain || drained(s, part))
		part_report(part);
	else
		cds_list_add_tail(&part->link, &s->drains);
}

static void part_passed(struct msg *m)
{
	struct lu_barrier *b = caa_container_of(m, struct lu_barrier_part, msg)->b;

	if (--b->left == 0)
		b->done(b);
}

void lu_barrier_start(struct lu_barrier *b)
{
	struct core *core = b->lu->core;

	b->left = core->nreactors;
	for (unsigned i = 0; i < core->nreactors; i++) {
		struct lu_barrier_part *part = &b->part[i];

		part->b = b;
		part->reactor = &core->reactor[i];
		part->msg.fn = part_run;
		reactor_post(part->reactor, &part->msg);
	}
}
