/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/gate.h"

#include "core/aca.h"
#include "core/cdb.h"
#include "core/cmd.h"
#include "core/core.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/pi_cmd.h"
#include "core/range_lock.h"
#include "core/remote.h"
#include "core/target.h"
#include "core/task_set.h"
#include "core/wipe.h"
#include "core/wire.h"

enum pass { PASS, ANSWERED, WAIT };

/* ---- auto contingent allegiance (core/aca.h), limit of the queue (core/task_set.h): only commands that came where
 * there may be one begin here ---- */

static enum pass gate_aca(struct scsi_cmd *cmd)
{
	return aca_refuses(lu_shard_of(cmd->lu, cmd->reactor), cmd) || task_set_refuses(cmd) ? ANSWERED : PASS;
}

/* ---- decode: what cmd_decode() found, and reserved bits of the CDB (SPC-4 4.3.3) ------------- */

static uint64_t excess_bits(const uint8_t *cdb, const uint8_t *usage, unsigned len)
{
	uint64_t c, u;

	memcpy(&c, cdb, sizeof(c));
	memcpy(&u, usage, sizeof(u));
	if (len < 8)
		c &= ~0ull >> (8 * (8 - len)); /* little endian: the first byte is the lowest */
	return c & ~u;
}

static enum pass bad_usage(struct scsi_cmd *cmd)
{
	for (int i = 0; i < cmd->row->cdb_len; i++) {
		uint8_t excess = cmd->cdb[i] & ~(cmd->row->usage[i] | pi_cdb_bits(cmd->lu, cmd->row, i, false));

		if ((unsigned)i == cdb_control_at(cmd->row))
			excess &= ~CDB_CONTROL_NACA;
		if (excess) {
			cmd_bad_field(cmd, i, 31 - __builtin_clz(excess));
			return ANSWERED;
		}
	}
	return pi_refuses(cmd) ? ANSWERED : PASS; /* what is left is a protect field */
}

static enum pass gate_decode(struct scsi_cmd *cmd)
{
	const struct cdb_row *row = cmd->row;

	if (cmd->decode_error != SENSE_NONE) {
		cmd_sense_detail(cmd, cmd->decode_error, &cmd->decode_detail);
		return ANSWERED;
	}
	for (unsigned at = 0; at < row->cdb_len; at += 8)
		if (excess_bits(cmd->cdb + at, row->usage + at, row->cdb_len - at))
			return bad_usage(cmd);
	return PASS;
}

/* ---- unit attention (SAM-5 5.14) ------------------------------------------------------------ */

static enum pass gate_unit_attention(struct scsi_cmd *cmd)
{
	struct ua_queue *q = cmd_unit_attentions(cmd);
	uint16_t ua;

	if (!q || !q->n || (cmd->row->flags & ROW_UA_EXEMPT))
		return PASS;
	ua = cmd->lu && lu_read(cmd->lu, mode)->ua_intlck >= UA_INTLCK_KEEP ? q->code[0] : ua_queue_pop(q);
	cmd_sense(cmd, (sense_t)KEY_UNIT_ATTENTION << 16 | ua);
	return ANSWERED;
}

/* ---- asymmetric access (SPC-4 5.15.2.4) ------------------------------------------------------ */

enum { STATE_STANDBY = 2, STATE_UNAVAILABLE = 3, STATE_OFFLINE = 14, STATE_TRANSITIONING = 15 };

static sense_t state_sense(uint8_t state)
{
	switch (state) {
	case STATE_STANDBY:
		return SENSE_LU_NOT_READY_STANDBY;
	case STATE_TRANSITIONING:
		return SENSE_LU_NOT_READY_TRANSITION;
	}
	return SENSE_LU_NOT_READY_UNAVAILABLE;
}

static enum pass refuse(struct scsi_cmd *cmd, sense_t s)
{
	cmd_sense(cmd, s);
	return ANSWERED;
}

/* Another node believed this one to be the owner. It must not wait here: a drain over there would wait for it, and the change that ends
 * the waiting here may be behind that drain in the log. */
static enum pass turn_away(struct scsi_cmd *cmd)
{
	cmd->turned_away = true;
	cmd_status(cmd, STATUS_BUSY);
	return ANSWERED;
}

static enum pass gate_alua(struct scsi_cmd *cmd)
{
	const struct alua_gate *gate;
	uint16_t flags = cmd->row->flags;

	if (!cmd->lu)
		return PASS;
	if (__builtin_expect(lu_read(cmd->lu, wipe) != NULL, 0) && wipe_refuses(cmd))
		return ANSWERED;
	if (!(flags & (ROW_MEDIUM | ROW_NOT_STANDBY | ROW_NOT_UNAVAILABLE)))
		return PASS;
	gate = lu_read(cmd->lu, gate);
	if (__builtin_expect(cmd->remote, 0) && remote_is_late(cmd, gate))
		return turn_away(cmd);
	if (gate->medium == GATE_ADMIT)
		return PASS;
	if (gate->no_medium) /* SBC-3 4.4: nothing but the medium is missing */
		return flags & ROW_WITHOUT_MEDIUM || !(flags & (ROW_MEDIUM | ROW_NOT_STANDBY)) ?
			       PASS : refuse(cmd, gate->medium_sense);
	if (flags & ROW_MEDIUM) {
		if (cmd->remote)
			return turn_away(cmd);
		if (gate->medium == GATE_FORWARD) {
			cmd->forward = true;
			return PASS;
		}
		if (gate->medium == GATE_REFUSE)
			return refuse(cmd, gate->medium_sense);
		lu_hold(cmd, gate->hold_limit_ms * 1000000ull);
		return WAIT;
	}
	if ((flags & ROW_NOT_STANDBY) && gate->local_state >= STATE_STANDBY)
		return refuse(cmd, state_sense(gate->local_state));
	if ((flags & ROW_NOT_UNAVAILABLE) &&
	    (gate->local_state == STATE_UNAVAILABLE || gate->local_state == STATE_OFFLINE))
		return refuse(cmd, SENSE_LU_NOT_READY_UNAVAILABLE);
	return PASS;
}

/* ---- reservations (SPC-4 5.13, core/resv.c) --------------------------------------------------- */

static enum pass gate_reservation(struct scsi_cmd *cmd)
{
	const struct resv_view *view;
	struct itl *itl = cmd->itl;

	if (!itl)
		return PASS;
	view = lu_read(cmd->lu, resv);
	if (__builtin_expect(!view, 1))
		return PASS;
	if (itl->role.generation != view->generation)
		resv_role_of(view, &itl->nexus->id, &itl->role);
	if (!resv_conflicts(view, &itl->role, cmd->row->resv))
		return PASS;
	cmd_status(cmd, STATUS_RESERVATION_CONFLICT);
	return ANSWERED;
}

/* ---- range (SBC-3 4.5) and write protection ---------------------------------------------- */

static enum pass gate_range(struct scsi_cmd *cmd)
{
	uint16_t flags = cmd->row->flags;
	struct lu *lu = cmd->lu;

	if (!lu || !(flags & (ROW_WRITES | ROW_RANGE)))
		return PASS;
	if ((flags & ROW_WRITES) && (lu->read_only || cmd->itl->read_only))
		return refuse(cmd, SENSE_WRITE_PROTECTED);
	if ((flags & ROW_WRITES) && lu_read(lu, mode)->swp)
		return refuse(cmd, SENSE_SOFTWARE_WRITE_PROTECTED);
	if (flags & ROW_RANGE) {
		uint64_t blocks = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED);

		/* where it is forwarded to, the capacity is known best */
		if (!cmd->forward && (cmd->lba > blocks || cmd->blocks > blocks - cmd->lba))
			return refuse(cmd, SENSE_LBA_OUT_OF_RANGE);
		if (cmd->row->data == DATA_BLOCKS &&
		    (uint64_t)cmd->blocks * lu->block_size > lu->max_transfer_bytes)
			return refuse(cmd, SENSE_INVALID_FIELD_IN_CDB);
	}
	return PASS;
}

/* ---- order in the task set (core/task_set.h), ranges that another command has for itself (core/range_lock.h) ---- */

static bool waits_for_lock(struct lu_shard *shard, struct scsi_cmd *cmd)
{
	return (cmd->row->flags & ROW_MEDIUM) && !cds_list_empty(&shard->locks) && range_lock_wait(shard, cmd);
}

static enum pass gate_order(struct scsi_cmd *cmd)
{
	struct lu_shard *shard;

	if (__builtin_expect(!cmd->lu, 0))
		return PASS;
	shard = lu_shard_of(cmd->lu, cmd->reactor);
	if (__builtin_expect(!shard->special, 1))
		return PASS;
	return task_set_wait(shard, cmd) || waits_for_lock(shard, cmd) ? WAIT : PASS;
}

/* ---- the list --------------------------------------------------------------------------------- */

static enum pass (*const gates[])(struct scsi_cmd *cmd) = {
	gate_aca, gate_decode, gate_unit_attention, gate_alua, gate_reservation, gate_range, gate_order,
};
#define NGATES (sizeof(gates) / sizeof(gates[0]))
#define GATE_ALUA 3

static void on_control(struct msg *m)
{
	struct scsi_cmd *cmd = caa_container_of(m, struct scsi_cmd, msg);

	cmd->row->exec(cmd);
}

#define CONTROL_DATA_IN_MAX 65536u /* the longest parameter data that a control-thread handler builds */

/* Buffers belong to the reactor, so that of the parameter data is taken before the command leaves. */
static void to_control(struct scsi_cmd *cmd)
{
	uint32_t len = cmd->alloc_len < CONTROL_DATA_IN_MAX ? cmd->alloc_len : CONTROL_DATA_IN_MAX;

	if (cmd->row->dir == DIR_IN && len && !cmd_buf_alloc(cmd, len)) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	cmd->state = CMD_CONTROL;
	cmd->msg.fn = on_control;
	core_post_control(cmd->reactor->core, &cmd->msg);
}

static void execute(struct scsi_cmd *cmd)
{
	uint16_t flags = cmd->row->flags;

	if (flags & ROW_CONTROL) {
		to_control(cmd);
		return;
	}
	/* a wipe is everybody's: it is agreed on where it entered, and only its chunks are the owner's */
	if (__builtin_expect(cmd->forward, 0) && !(flags & ROW_WIPES)) {
		const struct core *core = cmd->reactor->core;

		lu_admit(cmd);
		core->forward.submit(core->forward.arg, cmd);
		return;
	}
	if (flags & ROW_MEDIUM) {
		cmd->disk = lu_read(cmd->lu, disk);
		if (!cmd->disk && !(flags & (ROW_WITHOUT_MEDIUM | ROW_WIPES))) {
			if (cmd->remote) {
				turn_away(cmd);
				return;
			}
			/* the gate opens only behind an open disk; never touch what is not there */
			cmd_sense(cmd, SENSE_LU_NOT_READY_UNAVAILABLE);
			return;
		}
		lu_admit(cmd);
		if (__builtin_expect(cmd->attr == ATTR_ORDERED, 0) && task_set_wants_alone(cmd)) {
			task_set_alone(cmd);
			return;
		}
	}
	cmd->row->exec(cmd);
}

void gate_run(struct scsi_cmd *cmd)
{
	for (; cmd->gate < NGATES; cmd->gate++)
		if (gates[cmd->gate](cmd) != PASS)
			return;
	execute(cmd);
}

void gate_again(struct scsi_cmd *cmd)
{
	cmd->gate = GATE_ALUA;
	cmd->forward = false;
	gate_run(cmd);
}

/* At first as long as two nodes may be apart in the log; then less and less often, for each try may carry its data
 * over the link. */
#define RETRY_MIN_NS 2000000ull
#define RETRY_MAX_NS 100000000ull

static uint64_t retry_after(const struct scsi_cmd *cmd)
{
	uint64_t waited = cmd->held_since ? cmd->reactor->now - cmd->held_since : 0;

	return waited < RETRY_MIN_NS ? RETRY_MIN_NS : waited > RETRY_MAX_NS ? RETRY_MAX_NS : waited;
}

void gate_retry(struct scsi_cmd *cmd)
{
	if (cmd->aborted) {
		cmd_complete(cmd);
		return;
	}
	lu_unadmit(cmd, CMD_RECEIVED);
	cmd->gate = GATE_ALUA;
	cmd->forward = false;
	lu_hold_retry(cmd, retry_after(cmd));
}
