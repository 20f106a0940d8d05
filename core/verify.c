/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VERIFY (SBC-3) and WRITE AND VERIFY: what a volatile cache holds goes to the
 * medium, then the blocks are read back, and compared where BYTCHK says so.
 */
#include <string.h>

#include "core/cdb.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/pi_cmd.h"
#include "core/reactor.h"
#include "core/rw.h"
#include "core/wire.h"

enum bytchk { BYTCHK_NONE = 0, BYTCHK_DATA_OUT = 1, BYTCHK_RESERVED = 2, BYTCHK_ONE_BLOCK = 3 };

/* One per command under way: cmd->handler_data. */
struct verification {
	uint32_t blocks; /* of the medium that are looked at */
	uint32_t len;	/* their bytes of user data */
	uint32_t period; /* the data-out is compared repeatedly, with this period in blocks; 0 = not compared */
	uint32_t step;	/* from one block to the next in medium */
	uint8_t *medium; /* what was read */
};

static enum bytchk bytchk_of(const struct scsi_cmd *cmd)
{
	return cdb_options(cmd) >> 1 & 3;
}

static void finish(struct scsi_cmd *cmd)
{
	struct verification *v = cmd->handler_data;

	reactor_buf_put(cmd->reactor, v->medium, v->blocks * v->step);
	reactor_buf_put(cmd->reactor, v, sizeof(*v));
	cmd->handler_data = NULL;
}

/* The field of protection information in which block i differs, or 0. One block that stands for all has the reference tag
 * of the first. */
static uint8_t pi_differs(const struct scsi_cmd *cmd, const struct verification *v, uint32_t i, const uint8_t *have,
			  const uint8_t *want)
{
	uint8_t pi[PI_LEN];

	memcpy(pi, want, PI_LEN);
	if (v->period == 1 && cmd->lu->pi_type != PI_TYPE_3)
		put_be32(pi + 4, get_be32(want + 4) + i);
	return pi_difference(have, pi, pi_compared(cmd));
}

/* First block that differs, or -1. *bad: the field of its protection information (enum pi_check), 0 = its user data. */
static int64_t first_difference(const struct scsi_cmd *cmd, const struct verification *v, uint8_t *bad)
{
	uint32_t bs = cmd->lu->block_size;

	for (uint32_t i = 0; v->period && i < v->blocks; i++) {
		const uint8_t *have = v->medium + (size_t)i * v->step;
		const uint8_t *want = cmd->buf + (size_t)(i % v->period) * cmd->block_len;

		*bad = 0;
		if (memcmp(have, want, bs))
			return i;
		if (v->step != bs && (*bad = pi_differs(cmd, v, i, have + bs, want + bs)))
			return i;
	}
	return -1;
}

static void compare(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);
	struct sense_detail d = { .field = -1, .bit = -1, .has_info = true };
	uint8_t bad = 0;
	int64_t block = io->result < 0 ? -1 : first_difference(cmd, cmd->handler_data, &bad);

	finish(cmd);
	if (io->result < 0) {
		medium_error(cmd, io->result);
	} else if (bad) {
		pi_failed(cmd, KEY_MISCOMPARE, bad, cmd->lba + block);
	} else if (block >= 0) {
		d.info = cmd->lba + block; /* SBC-3 4.18.1 */
		cmd_sense_detail(cmd, SENSE_MISCOMPARE, &d);
	} else {
		cmd_good(cmd, 0);
	}
}

static void read_back(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);
	struct verification *v = cmd->handler_data;

	if (io->result < 0 || cmd->aborted) {
		finish(cmd);
		medium_step_failed(cmd);
		return;
	}
	medium_submit(cmd, DISK_READ, 0, v->len, v->medium, compare);
}

static struct verification *verification_new(struct scsi_cmd *cmd, uint32_t blocks, uint32_t period_blocks)
{
	struct verification *v = reactor_buf_get(cmd->reactor, sizeof(*v));

	if (!v)
		return NULL;
	v->blocks = blocks;
	v->step = period_blocks ? cmd->block_len : cmd->lu->block_size;
	v->medium = reactor_buf_get(cmd->reactor, blocks * v->step);
	if (!v->medium) {
		reactor_buf_put(cmd->reactor, v, sizeof(*v));
		return NULL;
	}
	v->len = blocks * cmd->lu->block_size;
	v->period = period_blocks;
	cmd->handler_data = v;
	return v;
}

/* True: answered, the protection information of the data-out is wrong. */
static bool received_badly(struct scsi_cmd *cmd, uint32_t blocks)
{
	struct pi_blocks got = pi_interleaved(cmd->buf, cmd->lu->block_size, blocks);

	if (cmd->block_len == cmd->lu->block_size)
		return false;
	pi_order_received(cmd, &cmd->pi);
	if (pi_check(&cmd->pi, &got, false) == 0)
		return false;
	pi_failed(cmd, KEY_ABORTED_COMMAND, cmd->pi.bad, cmd->lba + cmd->pi.at);
	return true;
}

static void start_verify(struct scsi_cmd *cmd, uint32_t blocks, uint32_t period_blocks)
{
	if (received_badly(cmd, blocks ? period_blocks : 0))
		return;
	if (!blocks)
		cmd_good(cmd, 0);
	else if (!verification_new(cmd, blocks, period_blocks))
		cmd_status(cmd, STATUS_BUSY);
	else if (cmd->disk->volatile_cache && !cmd->disk->read_only)
		medium_flush(cmd, read_back);
	else
		medium_submit(cmd, DISK_READ, 0, (uint64_t)blocks * cmd->lu->block_size,
			      ((struct verification *)cmd->handler_data)->medium, compare);
}

static bool too_long(const struct scsi_cmd *cmd)
{
	return (uint64_t)cmd->blocks * cmd->lu->block_size > cmd->lu->max_transfer_bytes;
}

void verify(struct scsi_cmd *cmd)
{
	uint32_t n;

	if (too_long(cmd)) {
		cmd_sense(cmd, SENSE_INVALID_FIELD_IN_CDB);
		return;
	}
	switch (bytchk_of(cmd)) {
	case BYTCHK_NONE:
		start_verify(cmd, cmd->blocks, 0);
		return;
	case BYTCHK_DATA_OUT:
		n = rw_blocks_arrived(cmd);
		start_verify(cmd, n, n);
		return;
	case BYTCHK_ONE_BLOCK:
		if (cmd->blocks && cmd->data_out_got < cmd->block_len)
			cmd_sense(cmd, SENSE_INVALID_FIELD_IN_CIU);
		else
			start_verify(cmd, cmd->blocks, 1);
		return;
	case BYTCHK_RESERVED:
		cmd_bad_field(cmd, cmd->row->cdb_len == 32 ? 10 : 1, 2);
		return;
	}
}

/* ---- WRITE AND VERIFY ------------------------------------------------------------------------ */

static void written(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);
	struct verification *v = cmd->handler_data;

	if (io->result >= 0)
		rw_written(cmd, v->len);
	read_back(io);
}

void verify_after_write(struct scsi_cmd *cmd)
{
	uint32_t n = rw_blocks_arrived(cmd);

	if (!n) {
		cmd_good(cmd, 0);
		return;
	}
	if (!verification_new(cmd, n, bytchk_of(cmd) == BYTCHK_DATA_OUT ? n : 0)) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	medium_prepare(cmd, DISK_WRITE, 0, (uint64_t)n * cmd->lu->block_size, cmd->buf, written);
	cmd->io.fua = true; /* verified is what is on the medium */
	disk_submit(cmd->disk, &cmd->io);
}
