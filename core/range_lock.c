/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/range_lock.h"

#include <stdlib.h>
#include <string.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/lu.h"

struct range_lock_part { /* one reactor's share; link and waiting are touched there only */
	struct msg msg;
	struct range_lock *lock;
	struct reactor *reactor;
	struct cds_list_head link;    /* lu_shard.locks */
	struct cds_list_head waiting; /* scsi_cmd.state_link */
	unsigned overlapping;	      /* commands admitted before the lock, not yet ended */
	uint64_t seq;		      /* … up to this one */
};

struct range_watch { /* of a lock that is one */
	void (*armed)(void *arg);
	void *arg;
	int hit; /* atomic */
	uint32_t n;
	struct range range[];
};

struct range_lock {
	struct range range;	   /* of a watch: from its first block to its last */
	struct range_watch *watch; /* NULL: it keeps others away */
	bool order; /* of an ORDERED command: the whole logical unit, whatever a command touches */
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

static bool changes(const struct scsi_cmd *cmd, const struct range_lock *l)
{
	struct range r;

	if (!(cmd->row->flags & ROW_WRITES))
		return false;
	r = touched(cmd);
	for (uint32_t i = 0; overlap(&r, &l->range) && i < l->watch->n; i++)
		if (overlap(&r, &l->watch->range[i]))
			return true;
	return false;
}

/* Commands that have a lock keep clear of each other by their locks, not by waiting for each other's
 * end. HEAD OF QUEUE waits for no ORDERED command, nor does part of one (core/task_set.h). */
static bool is_in_the_way(const struct scsi_cmd *cmd, const struct range_lock *l)
{
	struct range r;

	if (l->watch)
		return changes(cmd, l);
	if ((cmd->row->flags & ROW_EXCLUSIVE) || cmd->ordered)
		return false;
	if (l->order)
		return cmd->attr != ATTR_HEAD_OF_QUEUE && !cmd->inner;
	r = touched(cmd);
	return overlap(&r, &l->range);
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
	s->special++;
	part->seq = s->seq;
	cds_list_for_each_entry(cmd, &s->admitted, state_link)
		part->overlapping += is_in_the_way(cmd, part->lock);
	if (!part->overlapping)
		part_report(part, part_quiet);
}

void range_lock_task_ended(struct lu_shard *s, struct scsi_cmd *cmd)
{
	struct range_lock_part *part;

	cds_list_for_each_entry(part, &s->locks, link)
		if (part->overlapping && cmd->seq <= part->seq && is_in_the_way(cmd, part->lock) &&
		    --part->overlapping == 0)
			part_report(part, part_quiet);
}

bool range_lock_wait(struct lu_shard *s, struct scsi_cmd *cmd)
{
	struct range_lock_part *part;

	cds_list_for_each_entry(part, &s->locks, link) {
		if (!is_in_the_way(cmd, part->lock))
			continue;
		if (part->lock->watch) {
			__atomic_store_n(&part->lock->watch->hit, 1, __ATOMIC_SEQ_CST);
			continue;
		}
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
	lu_shard_of(part->lock->lu, part->reactor)->special--;
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
		if (!older->watch && !l->watch && overlap(&older->range, &l->range))
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
	if (l->watch) {
		l->watch->armed(l->watch->arg);
		return;
	}
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
	if (l->watch) {
		range_watch_free(l);
		return;
	}
	activate_ready(l->lu);
	l->msg.fn = tell_released;
	reactor_post(l->cmd->reactor, &l->msg);
}

/* ---- the owner's reactor --------------------------------------------------------------------- */

static struct range_lock *lock_new(struct lu *lu)
{
	struct core *core = lu->core;
	struct range_lock *l = calloc(1, sizeof(*l) + core->nreactors * sizeof(l->part[0]));

	if (!l)
		return NULL;
	l->lu = lu;
	for (unsigned i = 0; i < core->nreactors; i++) {
		l->part[i].lock = l;
		l->part[i].reactor = &core->reactor[i];
	}
	return l;
}

struct range_lock *range_lock_acquire(struct scsi_cmd *cmd, void (*granted)(struct scsi_cmd *cmd))
{
	struct range_lock *l = lock_new(cmd->lu);

	if (!l)
		return NULL;
	l->order = cmd->attr == ATTR_ORDERED;
	l->range = l->order ? (struct range){ 0, UINT64_MAX } : (struct range){ cmd->lba, cmd->lba + cmd->blocks };
	l->cmd = cmd;
	l->granted = granted;
	l->msg.fn = requested;
	core_post_control(cmd->lu->core, &l->msg);
	return l;
}

void range_lock_release(struct range_lock *l, void (*released)(struct scsi_cmd *cmd))
{
	l->released = released;
	l->msg.fn = unlock;
	core_post_control(l->lu->core, &l->msg);
}

/* ---- watches --------------------------------------------------------------------------------- */

static struct range hull(const struct range *r, uint32_t n)
{
	struct range h = { UINT64_MAX, 0 };

	for (uint32_t i = 0; i < n; i++) {
		h.from = r[i].from < h.from ? r[i].from : h.from;
		h.to = r[i].to > h.to ? r[i].to : h.to;
	}
	return h;
}

struct range_lock *range_watch_start(struct lu *lu, const struct range *r, uint32_t n,
				     void (*armed)(void *arg), void *arg)
{
	struct range_watch *w = calloc(1, sizeof(*w) + n * sizeof(w->range[0]));
	struct range_lock *l = w ? lock_new(lu) : NULL;

	if (!l) {
		free(w);
		return NULL;
	}
	w->armed = armed;
	w->arg = arg;
	w->n = n;
	memcpy(w->range, r, n * sizeof(*r));
	l->watch = w;
	l->range = hull(r, n);
	requested(&l->msg);
	return l;
}

bool range_watch_hit(const struct range_lock *w)
{
	return __atomic_load_n(&w->watch->hit, __ATOMIC_SEQ_CST);
}

void range_watch_end(struct range_lock *w)
{
	unlock(&w->msg);
}

void range_watch_free(struct range_lock *w)
{
	free(w->watch);
	free(w);
}
