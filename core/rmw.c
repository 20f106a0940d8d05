/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMPARE AND WRITE (SBC-3), ORWRITE (16): read, decide, write, with the range locked in
 * between. WRITE ATOMIC (16) (SBC-4): the lock keeps others from seeing half of it; that half of
 * it is never left behind by a crash is the medium's to promise (lu->atomic_max_blocks).
 */
#include <errno.h>
#include <string.h>

#include "core/cdb.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/pi_cmd.h"
#include "core/range_lock.h"
#include "core/reactor.h"
#include "core/rw.h"

struct rmw { /* cmd->handler_data */
	struct range_lock *lock;
	uint8_t *medium; /* read, changed, written; with room for the blocks' protection information */
	uint32_t medium_len;
	uint32_t blocks;
	uint32_t len; /* bytes of user data */
	int err;
	int64_t differs; /* first byte that did not compare, or -1 */
};

static bool is_compare(const struct scsi_cmd *cmd)
{
	return cmd->row->exec == rmw_compare_and_write;
}

/* ---- end ------------------------------------------------------------------------------------- */

static void rmw_free(struct scsi_cmd *cmd)
{
	struct rmw *r = cmd->handler_data;

	reactor_buf_put(cmd->reactor, r->medium, r->medium_len);
	reactor_buf_put(cmd->reactor, r, sizeof(*r));
	cmd->handler_data = NULL;
}

static void released(struct scsi_cmd *cmd)
{
	struct rmw r = *(struct rmw *)cmd->handler_data;
	struct sense_detail d = { .field = -1, .bit = -1, .has_info = true };

	rmw_free(cmd);
	if (r.err < 0) {
		medium_error(cmd, r.err);
	} else if (r.differs >= 0) {
		d.info = r.differs; /* offset of the first byte that differs */
		cmd_sense_detail(cmd, SENSE_MISCOMPARE, &d);
	} else if (cmd->aborted) {
		cmd_complete(cmd);
	} else {
		rw_written(cmd, r.len);
		cmd_good(cmd, 0);
	}
}

static void rmw_end(struct scsi_cmd *cmd, int err)
{
	struct rmw *r = cmd->handler_data;

	r->err = err;
	range_lock_release(r->lock, released);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void written(struct disk_io *io)
{
	rmw_end(medium_cmd(io), io->result);
}

/* Only user data is compared, whatever protection information came with it. The offset in the data-out buffer. */
static int64_t first_difference(const struct scsi_cmd *cmd, const struct rmw *r)
{
	uint32_t bs = cmd->lu->block_size;

	for (uint32_t b = 0; b < r->blocks; b++) {
		const uint8_t *want = cmd->buf + (size_t)b * cmd->block_len, *have = r->medium + (size_t)b * bs;

		for (uint32_t i = 0; i < bs; i++)
			if (want[i] != have[i])
				return (int64_t)b * cmd->block_len + i;
	}
	return -1;
}

static bool compare(struct scsi_cmd *cmd, struct rmw *r)
{
	uint32_t len = r->blocks * cmd->block_len;

	r->differs = first_difference(cmd, r);
	memcpy(r->medium, cmd->buf + len, len);
	return r->differs < 0;
}

/* Tags come from whoever sent some, else those of the medium stay; the guard is that of the new data. */
static bool or_protected(struct scsi_cmd *cmd, struct rmw *r)
{
	uint32_t bs = cmd->lu->block_size;
	struct pi_blocks got = pi_interleaved(cmd->buf, bs, r->blocks);
	struct pi_order o;

	pi_order_received(cmd, &o);
	if (cmd->block_len != bs && pi_check(&o, &got, false) < 0) {
		cmd->pi = o;
		cmd->io.kind = DISK_WRITE; /* not what the medium gave */
		r->err = -EILSEQ;
		return false;
	}
	for (uint32_t b = 0; b < r->blocks; b++) {
		uint8_t *to = r->medium + (size_t)b * (bs + PI_LEN);
		const uint8_t *from = cmd->buf + (size_t)b * cmd->block_len;

		for (uint32_t i = 0; i < bs; i++)
			to[i] |= from[i];
		pi_renew(&o, to, to + bs, bs, b, cmd->block_len != bs ? from + bs : NULL);
	}
	return true;
}

/* False: nothing is to be written. */
static bool decide(struct scsi_cmd *cmd, struct rmw *r)
{
	if (is_compare(cmd))
		return compare(cmd, r);
	if (cmd->lu->pi_type)
		return or_protected(cmd, r);
	for (uint32_t i = 0; i < r->len; i++)
		r->medium[i] |= cmd->buf[i];
	return true;
}

static void read_done(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);
	struct rmw *r = cmd->handler_data;

	if (io->result < 0 || cmd->aborted || !decide(cmd, r)) {
		rmw_end(cmd, io->result < 0 ? io->result : r->err);
		return;
	}
	medium_prepare(cmd, DISK_WRITE, 0, r->len, r->medium, written);
	cmd->io.fua = medium_write_through(cmd);
	disk_submit(cmd->disk, &cmd->io);
}

static void write_atomic(struct scsi_cmd *cmd, struct rmw *r)
{
	medium_prepare(cmd, DISK_WRITE, 0, r->len, cmd->buf, written);
	cmd->io.fua = medium_write_through(cmd);
	disk_submit(cmd->disk, &cmd->io);
}

static void granted(struct scsi_cmd *cmd)
{
	struct rmw *r = cmd->handler_data;

	if (cmd->aborted)
		rmw_end(cmd, 0);
	else if (cmd->row->exec == rmw_write_atomic)
		write_atomic(cmd, r);
	else
		medium_submit(cmd, DISK_READ, 0, r->len, r->medium, read_done);
}

/* ---- start ----------------------------------------------------------------------------------- */

static bool rmw_new(struct scsi_cmd *cmd, uint32_t blocks)
{
	struct rmw *r = reactor_buf_get(cmd->reactor, sizeof(*r));

	if (!r)
		return false;
	*r = (struct rmw){ .len = blocks * cmd->lu->block_size, .blocks = blocks, .differs = -1 };
	r->medium_len = cmd->lu->pi_type ? r->len + blocks * PI_LEN : r->len;
	r->medium = reactor_buf_get(cmd->reactor, r->medium_len);
	if (!r->medium) {
		reactor_buf_put(cmd->reactor, r, sizeof(*r));
		return false;
	}
	cmd->handler_data = r;
	r->lock = range_lock_acquire(cmd, granted);
	if (!r->lock)
		rmw_free(cmd);
	return r->lock;
}

static void start(struct scsi_cmd *cmd, uint32_t blocks)
{
	if (!blocks)
		cmd_good(cmd, 0);
	else if (!rmw_new(cmd, blocks))
		cmd_status(cmd, STATUS_BUSY);
}

void rmw_compare_and_write(struct scsi_cmd *cmd)
{
	uint64_t want = 2ull * cmd->blocks * cmd->block_len;

	/* The two halves must be whole: with less or more there is no telling what is compared
	 * with what. */
	if (cmd->expected_len != want || cmd->data_out_got != want)
		cmd_bad_field(cmd, 13, -1);
	else
		start(cmd, cmd->blocks);
}

void rmw_orwrite(struct scsi_cmd *cmd)
{
	start(cmd, rw_blocks_arrived(cmd));
}

/* What gets here is whole or refused: blocks that are missing would be the part that is not written. */
void rmw_write_atomic(struct scsi_cmd *cmd)
{
	const struct lu *lu = cmd->lu;
	uint32_t unit = 1u << lu->lb_per_pb_exp;

	if (!lu->atomic_max_blocks)
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	else if (cmd->blocks > lu->atomic_max_blocks || cmd->blocks % unit)
		cmd_bad_field(cmd, 12, -1);
	else if (cmd->lba % unit)
		cmd_bad_field(cmd, 2, -1);
	else if (rw_blocks_arrived(cmd) != cmd->blocks)
		cmd_sense(cmd, SENSE_INVALID_FIELD_IN_CIU);
	else
		start(cmd, cmd->blocks);
}
