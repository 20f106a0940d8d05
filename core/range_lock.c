/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/range_lock.h"

#include <stdlib.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/lu.h"

struct range { /* blocks [from, to) */
	uint64_t from, to;
};

struct range_lock_part { /* one reactor's share; link and waiting are touched there only */
	struct msg msg;
	struct range_lock *lock;
	struct reactor *reactor;
	struct cds_list_head link;    /* lu_shard.locks */
	struct cds_list_head waiting; /* scsi_cmd.state_link */
	unsigned overlapping;	      /* commands admitted before the lock, not yet ended */
};

struct range_lock {
	struct range range;
	struct scsi_cmd *cmd;
	struct lu *lu;
	void (*granted)(struct scsi_cmd *cmd);
	void (*released)(struct scsi_cmd *cmd);
	struct msg msg; /* between the owner's reactor and the control thread */
	/* control thread */
	struct cds_list_head link; /* lu->range_locks, by arrival: active ones and those that wait for them */
	bool active;
	unsigned left;
	struct range_lock_part part[]; /* [core->nreactors] */
};

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool overlap(const struct range *a, const struct range *b)
{
	return a->from < b->to && b->from < a->to;
}

/* What a command reads or writes of the medium; empty where it touches no block. */
static struct range touched(const struct scsi_cmd *cmd)
{
	const struct cdb_row *row = cmd->row;

	if (!(row->flags & ROW_RANGE)) /* UNMAP: its ranges are in the parameter list */
		return (struct range){ 0, row->flags & ROW_WRITES ? UINT64_MAX : 0 };
	if (row->data == DATA_NONE) /* SYNCHRONIZE CACHE, PRE-FETCH */
		return (struct range){ 0, 0 };
	if (!cmd->blocks && (row->data == DATA_ONE_BLOCK || row->data == DATA_ONE_BLOCK_NDOB)) /* WRITE SAME to the end */
		return (struct range){ cmd->lba, UINT64_MAX };
	return (struct range){ cmd->lba, cmd->lba + cmd->blocks };
}

/* Exclusive commands keep clear of each other by their locks, not by waiting for each other's
 * end. */
static bool is_in_the_way(const struct scsi_cmd *cmd, const struct range *locked)
{
	struct range r;

	if (cmd->row->flags & ROW_EXCLUSIVE)
		return false;
	r = touched(cmd);
	return overlap(&r, locked);
}

/* ---- on every reactor ------------------------------------------------------------------------ */

static void part_quiet(struct msg *m);
static void part_gone(struct msg *m);

static void part_report(struct range_lock_part *part, void (*fn)(struct msg *m))
{
	part->msg.fn = fn;
	core_post_control(part->lock->lu->core, &part->msg);
}

static void part_arm(struct msg *m)
{
	struct range_lock_part *part = caa_container_of(m, struct range_lock_part, msg);
	struct lu_shard *s = lu_shard_of(part->lock->lu, part->reactor);
	struct scsi_cmd *cmd;

	CDS_INIT_LIST_HEAD(&part->waiting);
	cds_list_add_tail(&part->link, &s->locks);
	cds_list_for_each_entry(cmd, &s->admitted, state_link)
		part->overlapping += is_in_the_way(cmd, &part->lock->range);
	if (!part->overlapping)
		part_report(part, part_quiet);
}

void range_lock_task_ended(struct lu_shard *s, struct scsi_cmd *cmd)
{
	struct range_lock_part *part;

	cds_list_for_each_entry(part, &s->locks, link)
		if (part->overlapping && is_in_the_way(cmd, &part->lock->range) && --part->overlapping == 0)
			part_report(part, part_quiet);
}

bool range_lock_wait(struct lu_shard *s, struct scsi_cmd *cmd)
{
	struct range_lock_part *part;

	cds_list_for_each_entry(part, &s->locks, link)
		if (is_in_the_way(cmd, &part->lock->range)) {
			cmd->state = CMD_HELD;
			cds_list_add_tail(&cmd->state_link, &part->waiting);
			return true;
		}
	return false;
}

static void part_disarm(struct msg *m)
{
	struct range_lock_part *part = caa_container_of(m, struct range_lock_part, msg);

	cds_list_del(&part->link);
	while (!cds_list_empty(&part->waiting)) {
		struct scsi_cmd *cmd = cds_list_first_entry(&part->waiting, struct scsi_cmd, state_link);

		cds_list_del(&cmd->state_link);
		cmd->state = CMD_RECEIVED;
		gate_again(cmd);
	}
	part_report(part, part_gone);
}

/* ---- the control thread ---------------------------------------------------------------------- */

static void post_parts(struct range_lock *l, void (*fn)(struct msg *m))
{
	l->left = l->lu->core->nreactors;
	for (unsigned i = 0; i < l->lu->core->nreactors; i++) {
		l->part[i].msg.fn = fn;
		reactor_post(l->part[i].reactor, &l->part[i].msg);
	}
}

static bool must_wait(const struct range_lock *l)
{
	struct range_lock *older;

	cds_list_for_each_entry(older, &l->lu->range_locks, link) {
		if (older == l)
			return false;
		if (overlap(&older->range, &l->range))
			return true;
	}
	return false;
}

static void activate_ready(struct lu *lu)
{
	struct range_lock *l;

	cds_list_for_each_entry(l, &lu->range_locks, link)
		if (!l->active && !must_wait(l)) {
			l->active = true;
			post_parts(l, part_arm);
		}
}

static void requested(struct msg *m)
{
	struct range_lock *l = caa_container_of(m, struct range_lock, msg);

	cds_list_add_tail(&l->link, &l->lu->range_locks);
	activate_ready(l->lu);
}

static void tell_granted(struct msg *m)
{
	struct range_lock *l = caa_container_of(m, struct range_lock, msg);

	l->granted(l->cmd);
}

static void part_quiet(struct msg *m)
{
	struct range_lock *l = caa_container_of(m, struct range_lock_part, msg)->lock;

	if (--l->left)
		return;
	l->msg.fn = tell_granted;
	reactor_post(l->cmd->reactor, &l->msg);
}

static void unlock(struct msg *m)
{
	post_parts(caa_container_of(m, struct range_lock, msg), part_disarm);
}

static void tell_released(struct msg *m)
{
	struct range_lock *l = caa_container_of(m, struct range_lock, msg);
	void (*released)(struct scsi_cmd *cmd) = l->released;
	struct scsi_cmd *cmd = l->cmd;

	free(l);
	released(cmd);
}

static void part_gone(struct msg *m)
{
	struct range_lock *l = caa_container_of(m, struct range_lock_part, msg)->lock;

	if (--l->left)
		return;
	cds_list_del(&l->link);
	activate_ready(l->lu);
	l->msg.fn = tell_released;
	reactor_post(l->cmd->reactor, &l->msg);
}

/* ---- the owner's reactor --------------------------------------------------------------------- */

struct range_lock *range_lock_acquire(struct scsi_cmd *cmd, void (*granted)(struct scsi_cmd *cmd))
{
	struct core *core = cmd->lu->core;
	struct range_lock *l = calloc(1, sizeof(*l) + core->nreactors * sizeof(l->part[0]));

	if (!l)
		return NULL;
	l->range = (struct range){ cmd->lba, cmd->lba + cmd->blocks };
	l->cmd = cmd;
	l->lu = cmd->lu;
	l->granted = granted;
	for (unsigned i = 0; i < core->nreactors; i++) {
		l->part[i].lock = l;
		l->part[i].reactor = &core->reactor[i];
	}
	l->msg.fn = requested;
	core_post_control(core, &l->msg);
	return l;
}

void range_lock_release(struct range_lock *l, void (*released)(struct scsi_cmd *cmd))
{
	l->released = released;
	l->msg.fn = unlock;
	core_post_control(l->lu->core, &l->msg);
}
