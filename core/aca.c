/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/aca.h"

#include <stdlib.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/log.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/task_set.h"
#include "core/tmf.h"

#define PR_OUT 0x5f
#define PREEMPT_AND_ABORT 0x05

static bool has_naca(const struct scsi_cmd *cmd)
{
	return cmd->row && (cmd->cdb[cdb_control_at(cmd->row)] & CDB_CONTROL_NACA);
}

static bool shares_task_set(const struct lu_shard *s)
{
	return lu_read(s->lu, mode)->tst != 1;
}

static bool is_always_executed(const struct scsi_cmd *cmd)
{
	return cmd->cdb[0] == PR_OUT && (cmd->cdb[1] & 0x1f) == PREEMPT_AND_ABORT;
}

/* ---- for other reactors ------------------------------------------------------------------------------ */

/* Passes from reactor to reactor; news of one origin don't overtake each other. */
struct aca_news {
	struct msg msg;
	struct lu *lu;
	unsigned origin, at;
	bool in_effect;
};

static void news_on(struct msg *m);

static void news_pass(struct aca_news *n)
{
	struct core *core = n->lu->core;

	n->at += n->at == n->origin;
	if (n->at >= core->nreactors) {
		free(n);
		return;
	}
	n->msg.fn = news_on;
	reactor_post(&core->reactor[n->at], &n->msg);
}

static void count(struct lu_shard *s, uint32_t *acas, bool in_effect, struct reactor *r)
{
	*acas += in_effect ? 1 : -1;
	s->special += in_effect ? 1 : -1;
	if (!in_effect)
		task_set_wake(s, r);
}

static void news_on(struct msg *m)
{
	struct aca_news *n = caa_container_of(m, struct aca_news, msg);
	struct reactor *r = &n->lu->core->reactor[n->at++];
	struct lu_shard *s = lu_shard_of(n->lu, r);

	count(s, &s->acas_elsewhere, n->in_effect, r);
	news_pass(n);
}

static void tell_others(struct itl *itl, struct aca_news *n, bool in_effect)
{
	*n = (struct aca_news){ .lu = itl->lu, .origin = itl->nexus->reactor->index, .in_effect = in_effect };
	news_pass(n);
}

/* ---- beginning and end --------------------------------------------------------------------------------- */

static void establish(struct itl *itl)
{
	struct reactor *r = itl->nexus->reactor;
	struct lu_shard *s = lu_shard_of(itl->lu, r);
	struct aca_news *n;

	s->aca_since = r->now;
	if (itl->aca)
		return;
	itl->aca = true;
	count(s, &s->acas, true, r);
	n = malloc(sizeof(*n));
	itl->aca_news = malloc(sizeof(*n)); /* so that its end can be told */
	if (n && itl->aca_news) {
		tell_others(itl, n, true);
		return;
	}
	free(n);
	free(itl->aca_news);
	itl->aca_news = NULL;
	log_error("out of memory: an ACA condition of %s holds only on its own reactor", itl->nexus->id.port);
}

void aca_clear(struct itl *itl)
{
	struct reactor *r = itl->nexus->reactor;
	struct lu_shard *s;

	if (!itl->aca)
		return;
	s = lu_shard_of(itl->lu, r);
	itl->aca = false;
	if (itl->aca_news)
		tell_others(itl, itl->aca_news, false);
	itl->aca_news = NULL;
	count(s, &s->acas, false, r);
}

void aca_clear_all(struct lu_shard *s, const struct reactor *r, const struct ua_scope *scope)
{
	struct nexus *n;

	if (!s->acas)
		return;
	cds_list_for_each_entry(n, &r->nexuses, link)
		for (uint32_t i = 0; i < n->nitl && ua_scope_covers(scope, &n->id); i++)
			if (n->itl[i].lu == s->lu)
				aca_clear(&n->itl[i]);
}

/* ---- commands while it is in effect ----------------------------------------------------------------------- */

static bool concerns(const struct lu_shard *s, const struct scsi_cmd *cmd)
{
	return cmd->itl->aca || ((s->acas || s->acas_elsewhere) && shares_task_set(s));
}

struct scsi_cmd *aca_command(const struct itl *itl)
{
	struct scsi_cmd *cmd;

	cds_list_for_each_entry(cmd, &lu_shard_of(itl->lu, itl->nexus->reactor)->tasks, task_link)
		if (cmd->nexus == itl->nexus && cmd->attr == ATTR_ACA)
			return cmd;
	return NULL;
}

bool aca_blocks(const struct lu_shard *s, const struct scsi_cmd *cmd)
{
	return concerns(s, cmd) && !is_always_executed(cmd) && !(cmd->itl->aca && cmd->attr == ATTR_ACA);
}

bool aca_refuses(struct lu_shard *s, struct scsi_cmd *cmd)
{
	bool faulted = cmd->itl->aca;

	if (cmd->remote || cmd->inner || is_always_executed(cmd))
		return false;
	if (!concerns(s, cmd)) {
		if (cmd->attr != ATTR_ACA)
			return false;
		cmd_sense(cmd, SENSE_INVALID_MESSAGE);
		return true;
	}
	if (faulted && aca_command(cmd->itl) == cmd)
		return false;
	if (cmd->arrived < s->aca_since && cmd->attr != ATTR_ACA) /* it was there before: it waits */
		return false;
	cmd_status(cmd, faulted || has_naca(cmd) ? STATUS_ACA_ACTIVE : STATUS_BUSY);
	return true;
}

/* ---- what a status leaves behind -------------------------------------------------------------------------- */

enum { QERR_ABORT_ALL = 1, QERR_ABORT_OWN = 3 };

/* QERR: the commands that were there with the one that failed. */
static void abort_the_rest(struct lu_shard *s, struct scsi_cmd *cmd)
{
	uint8_t qerr = lu_read(cmd->lu, mode)->qerr;
	const struct ua_scope own = { .kind = UA_SCOPE_ONLY, .n = 1, .ids = &cmd->nexus->id };
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };
	const struct abort_cause cause = { .by = &cmd->nexus->id };

	if (qerr == QERR_ABORT_OWN || (qerr == QERR_ABORT_ALL && !shares_task_set(s))) {
		lu_abort_tasks(s, &own, &cause);
	} else if (qerr == QERR_ABORT_ALL) {
		lu_abort_tasks(s, &all, &cause);
		tmf_abort_others(cmd->itl);
	}
}

static void check_condition(struct scsi_cmd *cmd)
{
	abort_the_rest(lu_shard_of(cmd->lu, cmd->reactor), cmd);
	if (has_naca(cmd))
		establish(cmd->itl);
	else if (cmd->attr == ATTR_ACA)
		aca_clear(cmd->itl);
}

/* SPC-4 7.5.8, UA_INTLCK_CTRL=11b: the next command hears of it. */
static void note_status(struct scsi_cmd *cmd, enum ua ua)
{
	if (lu_read(cmd->lu, mode)->ua_intlck == UA_INTLCK_STATUS)
		ua_queue_push(&cmd->itl->ua, ua);
}

void aca_fault(struct scsi_cmd *cmd)
{
	if (!cmd->itl || cmd->remote || cmd->inner)
		return;
	if (cmd->status == STATUS_CHECK_CONDITION)
		check_condition(cmd);
	else if (cmd->status == STATUS_BUSY)
		note_status(cmd, UA_PREVIOUS_BUSY);
	else if (cmd->status == STATUS_TASK_SET_FULL)
		note_status(cmd, UA_PREVIOUS_TASK_SET_FULL);
	else if (cmd->status == STATUS_RESERVATION_CONFLICT)
		note_status(cmd, UA_PREVIOUS_RESERVATION_CONFLICT);
}
