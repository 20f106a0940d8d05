/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/copy_move.h"

#include <string.h>

#include "core/cdb.h"
#include "core/copy_results.h"
#include "core/gate.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/reactor.h"
#include "core/wire.h"

#define CHUNK_BYTES (1u << 20) /* a multiple of every block size */
#define ZERO_BYTES (16u << 20)
#define OWN_TAG (1ull << 63) /* no initiator's task tag: ABORT TASK finds the copy command alone \
			      */

enum { READ_16 = 0x88, WRITE_16 = 0x8a, WRITE_SAME_16 = 0x93 };
#define NDOB 0x01
#define UNMAP 0x08

static void step(struct copy_move *m);

static void end(struct copy_move *m, enum copy_move_end how)
{
	if (m->buf)
		reactor_buf_put(m->cmd->reactor, m->buf, m->buf_len);
	m->buf = NULL;
	m->ended(m, how);
}

static bool is_stopped(const struct copy_move *m)
{
	return m->cmd->aborted || (m->result && m->result->abort);
}

/* ---- one chunk: read, then write ------------------------------------------------------------- */

static void part_cdb(uint8_t *cdb, uint8_t opcode, uint64_t at, uint32_t len, uint32_t block_size)
{
	memset(cdb, 0, CDB_MAX);
	cdb[0] = opcode;
	put_be64(cdb + 2, at / block_size);
	put_be32(cdb + 10, len / block_size);
}

/* What the part writes is m->buf, taken over. */
static void give_data(struct copy_move *m)
{
	m->part.expected_len = m->chunk;
	m->part.buf = m->buf;
	m->part.buf_len = m->buf_len;
	m->part.data_out_got = m->chunk;
	m->buf = NULL;
}

static void part_start(struct copy_move *m, struct itl *itl, uint8_t opcode, uint64_t at,
		       void (*done)(struct scsi_cmd *part))
{
	struct scsi_cmd *part = &m->part;

	*part = (struct scsi_cmd){ .nexus = m->cmd->nexus,
				    .tag = m->cmd->tag | OWN_TAG,
				    .done = done };
	if (opcode == READ_16)
		part->expected_len = m->chunk;
	put_be16(part->lun, 0x4000 | itl->lun); /* flat space addressing */
	part_cdb(part->cdb, opcode, at, m->chunk, itl->lu->block_size);
	if (opcode == WRITE_SAME_16)
		part->cdb[1] = NDOB | (itl->lu->thin ? UNMAP : 0);
	cmd_init(part);
	part->inner = true;
	cmd_decode(part);
	if (m->buf)
		give_data(m);
	part->aborted = is_stopped(m);
	if (part->aborted)
		cmd_execute(part);
	else
		/* a pending unit attention is not the copy's: it waits for the initiator's next
		 * command */
		gate_again(part);
}

static void later(struct copy_move *m, void (*fn)(struct msg *msg))
{
	m->msg.fn = fn;
	reactor_post(m->cmd->reactor, &m->msg);
}

static void step_msg(struct msg *msg)
{
	step(caa_container_of(msg, struct copy_move, msg));
}

/* False: the move has ended. */
static bool part_is_good(struct copy_move *m, enum copy_move_end failed)
{
	struct scsi_cmd *part = &m->part;

	if (part->status == STATUS_GOOD && !part->aborted && !is_stopped(m)) {
		if (m->result)
			m->result->commands++;
		return true;
	}
	cmd_fini(part);
	if (part->aborted && !is_stopped(m)) /* somebody reset the other logical unit */
		part->status = STATUS_TASK_ABORTED;
	end(m, is_stopped(m) ? MOVE_STOPPED : failed);
	return false;
}

static void chunk_written(struct scsi_cmd *part)
{
	struct copy_move *m = caa_container_of(part, struct copy_move, part);

	if (!part_is_good(m, MOVE_WRITE_FAILED))
		return;
	cmd_fini(part);
	m->done += m->chunk;
	if (m->result)
		m->result->bytes += m->chunk;
	later(m, step_msg);
}

static void write_msg(struct msg *msg)
{
	struct copy_move *m = caa_container_of(msg, struct copy_move, msg);

	if (m->valid && !m->valid(m))
		end(m, MOVE_INVALID);
	else
		part_start(m, m->to, WRITE_16, m->to_at + m->done, chunk_written);
}

static void chunk_read(struct scsi_cmd *part)
{
	struct copy_move *m = caa_container_of(part, struct copy_move, part);

	if (!part_is_good(m, MOVE_READ_FAILED))
		return;
	m->buf = part->buf;
	m->buf_len = part->buf_len;
	/* the struct of the READ is free only when its end has been dealt with */
	later(m, write_msg);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* A drain of the copy manager's unit waits for this command, so it must not wait behind a closed
 * gate itself. */
static const struct alua_gate *closed_gate(const struct copy_move *m)
{
	const struct alua_gate *own = lu_read(m->cmd->lu, gate), *to = lu_read(m->to->lu, gate);
	const struct alua_gate *from = m->from ? lu_read(m->from->lu, gate) : to;

	if (own->medium != GATE_ADMIT)
		return own;
	if (from->medium != GATE_ADMIT)
		return from;
	return to->medium != GATE_ADMIT ? to : NULL;
}

static void next_chunk(struct copy_move *m)
{
	uint64_t left = m->len - m->done, max = m->from ? CHUNK_BYTES : ZERO_BYTES;

	m->chunk = left < max ? left : max;
	if (m->from)
		part_start(m, m->from, READ_16, m->from_at + m->done, chunk_read);
	else
		part_start(m, m->to, WRITE_SAME_16, m->to_at + m->done, chunk_written);
}

static void step(struct copy_move *m)
{
	const struct alua_gate *closed;

	if (is_stopped(m)) {
		end(m, MOVE_STOPPED);
	} else if (m->done == m->len) {
		end(m, MOVE_DONE);
	} else if ((closed = closed_gate(m))) {
		m->closed = closed->medium_sense;
		end(m, MOVE_CLOSED);
	} else {
		next_chunk(m);
	}
}

void copy_move_start(struct copy_move *m)
{
	m->done = 0;
	m->buf = NULL;
	step(m);
}

static uint8_t key_of(const struct scsi_cmd *part)
{
	return part->sense[(part->sense[0] & 0x7f) >= 0x72 ? 1 : 2] & 0x0f;
}

/* Refused for now: asymmetric access state, busy (P7). */
bool copy_move_is_for_now(const struct copy_move *m)
{
	const struct scsi_cmd *part = &m->part;

	if (part->status == STATUS_CHECK_CONDITION)
		return key_of(part) == KEY_NOT_READY || key_of(part) == KEY_ABORTED_COMMAND;
	return part->status == STATUS_BUSY;
}

/* ---- background ------------------------------------------------------------------------------ */

void copy_move_background(struct scsi_cmd *bg, struct scsi_cmd *cmd,
			  void (*done)(struct scsi_cmd *bg))
{
	*bg = (struct scsi_cmd){ .nexus = cmd->nexus, .tag = cmd->tag | OWN_TAG, .done = done };
	cmd_init(bg);
	bg->inner = true;
	memcpy(bg->cdb, cmd->cdb, CDB_MAX);
	memcpy(bg->lun, cmd->lun, sizeof(bg->lun));
	bg->row = cmd->row;
	bg->lu = cmd->lu;
	bg->itl = cmd->itl;
	bg->disk = cmd->disk;
	bg->alloc_len = cmd->alloc_len;
	bg->buf = cmd->buf;
	bg->buf_len = cmd->buf_len;
	cmd->buf = NULL;
	cmd->buf_len = 0;
	cds_list_add_tail(&bg->task_link, &lu_shard_of(bg->lu, bg->reactor)->tasks);
	lu_admit(bg);
}
