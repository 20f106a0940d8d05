/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/cmd.h"

#include <string.h>

#include "core/abort.h"
#include "core/aca.h"
#include "core/cdb.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/pi_cmd.h"
#include "core/task_set.h"
#include "core/tmf.h"
#include "core/wire.h"

/* ---- decoding --------------------------------------------------------------------------------- */

void cmd_init(struct scsi_cmd *cmd)
{
	cmd->data_out_len = cmd->data_in_len = cmd->data_out_got = 0;
	cmd->buf = NULL;
	cmd->buf_len = 0;
	cmd->status = STATUS_GOOD;
	cmd->aborted = false;
	cmd->well_known = cmd->forward = cmd->remote = cmd->turned_away = cmd->inner = cmd->dormant = cmd->ordered =
		cmd->tell_abort = cmd->asked = cmd->aborted_by_nexus = false;
	cmd->abort_tmf = NULL;
	cmd->held_since = 0;
	cmd->sense_len = 0;
	cmd->reactor = cmd->nexus->reactor;
	cmd->row = NULL;
	cmd->lu = NULL;
	cmd->itl = NULL;
	cmd->disk = NULL;
	cmd->state = CMD_RECEIVED;
	cmd->decode_error = SENSE_NONE;
	cmd->decode_detail = (struct sense_detail){ .field = -1, .bit = -1 };
	cmd->lba = cmd->blocks = cmd->alloc_len = 0;
	cmd->gate = GATE_DECODE;
	cmd->maybe_done = false;
	cmd->step = 0;
	cmd->handler_data = NULL;
	cmd->arrived = cmd->reactor->now;
	CDS_INIT_LIST_HEAD(&cmd->task_link);
	CDS_INIT_LIST_HEAD(&cmd->state_link);
}

static void decode_failed(struct scsi_cmd *cmd, sense_t s, int field)
{
	cmd->decode_error = s;
	cmd->decode_detail.field = field;
	cmd->decode_detail.in_cdb = true;
}

static void decode_variable(struct scsi_cmd *cmd)
{
	int byte;
	sense_t s = pi_decode_32(cmd, &byte);

	if (s != SENSE_NONE) { /* no data is asked for */
		decode_failed(cmd, s, byte);
		return;
	}
	cmd->lba = get_be64(cmd->cdb + 12);
	cmd->blocks = get_be32(cmd->cdb + 28);
}

static void decode_layout(struct scsi_cmd *cmd)
{
	const uint8_t *c = cmd->cdb;

	switch (cmd->row->layout) {
	case LAYOUT_NONE:
		break;
	case LAYOUT_ALLOC_6:
		cmd->alloc_len = c[4];
		break;
	case LAYOUT_ALLOC_INQ:
		cmd->alloc_len = get_be16(c + 3);
		break;
	case LAYOUT_ALLOC_10:
		cmd->alloc_len = get_be16(c + 7);
		break;
	case LAYOUT_ALLOC_PR_OUT:
		cmd->alloc_len = get_be32(c + 5);
		break;
	case LAYOUT_ALLOC_24:
		cmd->alloc_len = get_be24(c + 6);
		break;
	case LAYOUT_ALLOC_12:
		cmd->alloc_len = get_be32(c + 6);
		break;
	case LAYOUT_ALLOC_16:
		cmd->alloc_len = get_be32(c + 10);
		break;
	case LAYOUT_LBA_6:
		cmd->lba = get_be24(c + 1) & 0x1fffff;
		cmd->blocks = c[4] ? c[4] : 256;
		break;
	case LAYOUT_LBA_10:
		cmd->lba = get_be32(c + 2);
		cmd->blocks = get_be16(c + 7);
		break;
	case LAYOUT_LBA_12:
		cmd->lba = get_be32(c + 2);
		cmd->blocks = get_be32(c + 6);
		break;
	case LAYOUT_LBA_16:
		cmd->lba = get_be64(c + 2);
		cmd->blocks = get_be32(c + 10);
		break;
	case LAYOUT_LBA_CAW:
		cmd->lba = get_be64(c + 2);
		cmd->blocks = c[13];
		break;
	case LAYOUT_LBA_ATOMIC:
		cmd->lba = get_be64(c + 2);
		cmd->blocks = get_be16(c + 12);
		break;
	case LAYOUT_LBA_32:
		decode_variable(cmd);
		break;
	}
}

/* VERIFY, WRITE AND VERIFY: BYTCHK in bits 2-1 of byte 1 (SBC-3) */
static uint64_t bytchk_blocks(const struct scsi_cmd *cmd)
{
	switch (cdb_options(cmd) >> 1 & 3) {
	case 1:
		return cmd->blocks;
	case 3:
		return cmd->blocks ? 1 : 0;
	}
	return 0;
}

static uint64_t wanted_data_out(const struct scsi_cmd *cmd)
{
	if (cmd->row->dir != DIR_OUT)
		return 0;
	switch (cmd->row->data) {
	case DATA_NONE:
		return 0;
	case DATA_BLOCKS:
		return (uint64_t)cmd->blocks * cmd->block_len;
	case DATA_ONE_BLOCK:
		return cmd->block_len;
	case DATA_ONE_BLOCK_NDOB:
		return cdb_options(cmd) & 0x01 ? 0 : cmd->block_len;
	case DATA_TWICE:
		return 2ull * cmd->blocks * cmd->block_len;
	case DATA_BYTCHK:
		return bytchk_blocks(cmd) * cmd->block_len;
	case DATA_FORMAT:
		return !(cmd->cdb[1] & 0x10) ? 0 : cmd->cdb[1] & 0x20 ? 8 : 4;
	case DATA_PARAM:
		return cmd->alloc_len;
	}
	return 0;
}

/* The service action stands elsewhere in a CDB of variable length; where none of these is known to a logical unit, the
 * operation code is not, either. */
static void no_row(struct scsi_cmd *cmd, bool sa_unknown)
{
	bool variable = cmd->cdb[0] == CDB_VARIABLE;

	if (!sa_unknown || (variable && cmd->lu && cmd->lu->pi_type != PI_TYPE_2))
		decode_failed(cmd, SENSE_INVALID_OPCODE, 0);
	else
		decode_failed(cmd, SENSE_INVALID_FIELD_IN_CDB, variable ? 8 : 1);
}

/* Where there is no logical unit, and at the well-known one (SAM-5 4.7; SPC-4, well known logical units). */
static bool is_refused_without_lu(struct scsi_cmd *cmd)
{
	uint16_t served = cmd->row ? cmd->row->flags : 0;

	cmd->well_known = nexus_is_well_known(cmd->lun);
	if (served & (cmd->well_known ? ROW_WELL_KNOWN : ROW_ANY_LUN))
		return false;
	if (cmd->well_known)
		decode_failed(cmd, SENSE_INVALID_OPCODE, 0);
	else
		decode_failed(cmd, SENSE_LU_NOT_SUPPORTED, -1);
	return true;
}

void cmd_decode(struct scsi_cmd *cmd)
{
	bool sa_unknown;
	uint64_t want;

	cmd->itl = nexus_find(cmd->nexus, cmd->lun);
	if (cmd->itl) {
		cmd->lu = cmd->itl->lu;
		task_set_enter(lu_shard_of(cmd->lu, cmd->reactor), cmd);
	}
	cmd->row = cdb_find(cmd->cdb, &sa_unknown);
	if (!cmd->lu && is_refused_without_lu(cmd))
		return;
	if (!cmd->row) {
		no_row(cmd, sa_unknown);
		return;
	}
	decode_layout(cmd);
	if (!cmd->lu)
		return;
	cmd->block_len = cmd->lu->block_size;
	if (__builtin_expect(cmd->lu->pi_type, 0) && pi_protect_field(cmd))
		cmd->block_len += PI_LEN;
	if (cmd->row->dir != DIR_OUT)
		return;
	want = wanted_data_out(cmd);
	if (want > REACTOR_BUF_MAX)
		decode_failed(cmd, SENSE_INVALID_FIELD_IN_CDB, -1);
	else
		cmd->data_out_len = want;
}

bool cmd_buf_alloc(struct scsi_cmd *cmd, uint32_t len)
{
	if (cmd->buf_len >= len)
		return true;
	if (cmd->buf)
		reactor_buf_put(cmd->reactor, cmd->buf, cmd->buf_len);
	cmd->buf = reactor_buf_get(cmd->reactor, len);
	cmd->buf_len = cmd->buf ? len : 0;
	return cmd->buf != NULL;
}

/* ---- execution -------------------------------------------------------------------------------- */

static void ended_aborted(struct scsi_cmd *cmd)
{
	struct nexus_abort *a = cmd->nexus->aborting;
	bool awaited = a && cmd->aborted_by_nexus && abort_waits_for(cmd);

	if (cmd->tell_abort)
		abort_tell(cmd);
	lu_task_ended(cmd);
	cmd->state = CMD_DONE;
	if (cmd->abort_tmf)
		tmf_task_ended(cmd);
	cmd->done(cmd);
	if (awaited && --a->left == 0)
		a->fn(a);
}

static void ended(struct scsi_cmd *cmd);

/* RESERVATION CONFLICT says that it has not been executed (SAM-5 5.3.1), and the reservation may be newer than its execution. */
static void unsay_conflict(struct scsi_cmd *cmd)
{
	const struct sense_detail none = { .field = -1, .bit = -1 };

	if (!cmd->maybe_done || cmd->status != STATUS_RESERVATION_CONFLICT)
		return;
	cmd->status = STATUS_CHECK_CONDITION;
	cmd->sense_len = sense_build(cmd->sense, SENSE_ABORTED_COMMAND, lu_read(cmd->lu, mode)->dsense, &none);
}

/* Anything but a plain GOOD. */
static void ended_specially(struct scsi_cmd *cmd)
{
	if (task_set_release(cmd, ended))
		return;
	if (cmd->aborted) {
		ended_aborted(cmd);
		return;
	}
	unsay_conflict(cmd);
	lu_task_ended(cmd);
	cmd->state = CMD_DONE;
	aca_fault(cmd);
	cmd->done(cmd);
}

static void ended(struct scsi_cmd *cmd)
{
	if (__builtin_expect(cmd->aborted | cmd->ordered | cmd->status, 0)) {
		ended_specially(cmd);
		return;
	}
	lu_task_ended(cmd);
	cmd->state = CMD_DONE;
	cmd->done(cmd);
}

void cmd_execute(struct scsi_cmd *cmd)
{
	if (cmd->aborted)
		ended(cmd);
	else
		gate_run(cmd);
}

void cmd_abandon(struct scsi_cmd *cmd)
{
	lu_task_ended(cmd);
	cmd->state = CMD_DONE;
}

void cmd_fini(struct scsi_cmd *cmd)
{
	if (cmd->buf)
		reactor_buf_put(cmd->reactor, cmd->buf, cmd->buf_len);
	cmd->buf = NULL;
	cmd->buf_len = 0;
}

/* ---- completion ------------------------------------------------------------------------------- */

static void home(struct msg *m)
{
	ended(caa_container_of(m, struct scsi_cmd, msg));
}

void cmd_complete(struct scsi_cmd *cmd)
{
	if (cmd->state == CMD_CONTROL) {
		cmd->msg.fn = home;
		reactor_post(cmd->reactor, &cmd->msg);
		return;
	}
	ended(cmd);
}

void cmd_good(struct scsi_cmd *cmd, uint32_t data_in_len)
{
	cmd->status = STATUS_GOOD;
	cmd->data_in_len = data_in_len;
	cmd_complete(cmd);
}

void cmd_status(struct scsi_cmd *cmd, enum scsi_status status)
{
	cmd->status = status;
	cmd->data_in_len = 0;
	cmd_complete(cmd);
}

void cmd_sense_detail(struct scsi_cmd *cmd, sense_t s, const struct sense_detail *d)
{
	bool descriptor = cmd->lu && lu_read(cmd->lu, mode)->dsense;

	cmd->sense_len = sense_build(cmd->sense, s, descriptor, d);
	cmd_status(cmd, STATUS_CHECK_CONDITION);
}

void cmd_sense(struct scsi_cmd *cmd, sense_t s)
{
	struct sense_detail d = { .field = -1, .bit = -1 };

	cmd_sense_detail(cmd, s, &d);
}

void cmd_bad_field(struct scsi_cmd *cmd, int byte, int bit)
{
	struct sense_detail d = { .field = byte, .bit = bit, .in_cdb = true };

	cmd_sense_detail(cmd, SENSE_INVALID_FIELD_IN_CDB, &d);
}

void cmd_bad_param(struct scsi_cmd *cmd, int byte, int bit)
{
	struct sense_detail d = { .field = byte, .bit = bit };

	cmd_sense_detail(cmd, SENSE_INVALID_FIELD_IN_PARAM, &d);
}

void cmd_reply(struct scsi_cmd *cmd, const void *data, uint32_t len)
{
	uint32_t n = len < cmd->alloc_len ? len : cmd->alloc_len;

	if (cmd->state == CMD_CONTROL) { /* its buffer was taken on the reactor (gate.c) */
		if (n > cmd->buf_len)
			n = cmd->buf_len;
	} else if (n && !cmd_buf_alloc(cmd, n)) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	if (n)
		memcpy(cmd->buf, data, n);
	cmd_good(cmd, n);
}
