/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/task_set.h"

#include "core/abort.h"
#include "core/aca.h"
#include "core/cdb.h"
#include "core/gate.h"
#include "core/range_lock.h"

/* ---- the matrix --------------------------------------------------------------------------------- */

enum wait { GO, OLDER, ANY };

static const uint8_t waits_for[4][4] = { /* [new][the other] */
	[ATTR_SIMPLE] = { [ATTR_ORDERED] = OLDER, [ATTR_HEAD_OF_QUEUE] = ANY },
	[ATTR_ORDERED] = { [ATTR_SIMPLE] = OLDER, [ATTR_ORDERED] = OLDER, [ATTR_HEAD_OF_QUEUE] = ANY },
};

/* An aborted command that has not got to the medium never will. */
static bool counts(const struct scsi_cmd *other, const struct scsi_cmd *cmd, bool per_nexus)
{
	if (other->inner || (per_nexus && other->nexus != cmd->nexus))
		return false;
	return !other->aborted || abort_waits_for(other);
}

static bool must_wait(const struct lu_shard *s, const struct scsi_cmd *cmd)
{
	bool per_nexus = lu_read(s->lu, mode)->tst == 1, older = true;
	const struct scsi_cmd *other;

	if (aca_blocks(s, cmd))
		return true;
	if (!s->tagged)
		return false;
	cds_list_for_each_entry(other, &s->tasks, task_link) {
		uint8_t w = waits_for[cmd->attr][other->attr];

		if (other == cmd)
			older = false;
		else if ((w == ANY || (w == OLDER && older)) && counts(other, cmd, per_nexus))
			return true;
	}
	return false;
}

/* Those that wait for nobody, whatever their attribute is to others. */
static bool goes_first(const struct scsi_cmd *cmd)
{
	uint16_t flags = cmd->row->flags;

	if (cmd->remote || cmd->inner)
		return true;
	return cmd->attr == ATTR_SIMPLE && (!(flags & (ROW_MEDIUM | ROW_CONTROL)) || (flags & ROW_IN_WIPE));
}

enum scsi_status task_set_full(const struct scsi_cmd *cmd)
{
	const struct scsi_cmd *other;

	if (!cmd->lu)
		return STATUS_BUSY;
	cds_list_for_each_entry(other, &lu_shard_of(cmd->lu, cmd->reactor)->tasks, task_link)
		if (other != cmd && other->nexus == cmd->nexus)
			return STATUS_TASK_SET_FULL;
	return STATUS_BUSY;
}

/* ---- dormant commands ------------------------------------------------------------------------------ */

bool task_set_wait(struct lu_shard *s, struct scsi_cmd *cmd)
{
	if (goes_first(cmd) || !must_wait(s, cmd))
		return false;
	cmd->state = CMD_HELD;
	cmd->dormant = true;
	cds_list_add_tail(&cmd->state_link, &s->dormant);
	return true;
}

/* The first to have arrived whose turn it is. In one task set nobody's turn comes before that of the oldest: what that one
 * waits for, or itself, is what the others wait for. */
static struct scsi_cmd *next_of(struct lu_shard *s)
{
	struct scsi_cmd *cmd;

	cds_list_for_each_entry(cmd, &s->tasks, task_link) {
		if (!cmd->dormant)
			continue;
		if (!must_wait(s, cmd))
			return cmd;
		if (lu_read(s->lu, mode)->tst != 1)
			break;
	}
	return NULL;
}

static void wake(struct msg *m)
{
	struct lu_shard *s = caa_container_of(m, struct lu_shard, wake);
	struct scsi_cmd *cmd;

	s->waking = false;
	while (!cds_list_empty(&s->dormant) && (cmd = next_of(s))) {
		cds_list_del(&cmd->state_link);
		cmd->state = CMD_RECEIVED;
		cmd->dormant = false;
		gate_again(cmd);
	}
}

/* By message: the command that has ended is answered first, and no chain of ends grows on the stack. */
void task_set_wake(struct lu_shard *s, struct reactor *r)
{
	if (s->waking || cds_list_empty(&s->dormant))
		return;
	s->waking = true;
	s->wake.fn = wake;
	reactor_post(r, &s->wake);
}

static void count_in(struct lu *lu, struct scsi_cmd *cmd)
{
	cmd->counted = !cmd->remote && !cmd->inner; /* the others count where they entered, with the whole */
	cmd->too_many = cmd->counted && __atomic_add_fetch(&lu->queued, 1, __ATOMIC_RELAXED) > lu->queue_limit;
}

void task_set_enter_tagged(struct lu_shard *s, struct scsi_cmd *cmd)
{
	cmd->gate = GATE_ACA;
	if (s->lu->queue_limit)
		count_in(s->lu, cmd);
	if (cmd->attr == ATTR_SIMPLE)
		return;
	s->special++;
	s->tagged++;
}

bool task_set_refuses(struct scsi_cmd *cmd)
{
	if (!cmd->lu->queue_limit || !cmd->too_many || !cmd->row || !(cmd->row->flags & ROW_MEDIUM))
		return false;
	cmd_status(cmd, task_set_full(cmd));
	return true;
}

void task_set_leave(struct lu_shard *s, struct scsi_cmd *cmd)
{
	if (s->lu->queue_limit && cmd->counted)
		__atomic_sub_fetch(&s->lu->queued, 1, __ATOMIC_RELAXED);
	if (cmd->attr != ATTR_SIMPLE) {
		s->special--;
		s->tagged--;
	}
	task_set_wake(s, cmd->reactor);
}

/* ---- ORDERED at the medium --------------------------------------------------------------------------- */

/* Not those that lock by themselves, nor those that leave the admitted ones to drain the logical unit: who waited for
 * their lock would be waited for by them. */
bool task_set_wants_alone(const struct scsi_cmd *cmd)
{
	return !(cmd->row->flags & (ROW_EXCLUSIVE | ROW_WITHOUT_MEDIUM | ROW_WIPES));
}

static void granted(struct scsi_cmd *cmd)
{
	void (*exec)(struct scsi_cmd *cmd) = cmd->row->exec;

	if (cmd->aborted)
		cmd_complete(cmd);
	else
		exec(cmd);
}

void task_set_alone(struct scsi_cmd *cmd)
{
	cmd->ordered = true;
	cmd->order_lock = range_lock_acquire(cmd, granted);
	if (!cmd->order_lock)
		cmd_status(cmd, task_set_full(cmd));
}

bool task_set_release(struct scsi_cmd *cmd, void (*ended)(struct scsi_cmd *cmd))
{
	struct range_lock *l = cmd->order_lock;

	if (!cmd->ordered || !l)
		return false;
	cmd->order_lock = NULL;
	range_lock_release(l, ended);
	return true;
}
