/* SPDX-License-Identifier: BSD-2-Clause */
/* READ and WRITE (6), (10), (12), (16), (32) (SBC-3). */
#include "core/cdb.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/rw.h"
#include "core/task_set.h"

/* ---- read ------------------------------------------------------------------------------------ */

static void read_done(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);
	struct lu_shard *shard = lu_shard_of(cmd->lu, cmd->reactor);

	if (io->result < 0) {
		medium_error(cmd, io->result);
		return;
	}
	shard->reads++;
	shard->read_bytes += io->length;
	shard->read_ns += cmd->reactor->now - cmd->arrived;
	cmd_good(cmd, cmd->blocks * cmd->block_len);
}

static void read_now(struct scsi_cmd *cmd)
{
	medium_submit(cmd, DISK_READ, 0, (uint64_t)cmd->blocks * cmd->lu->block_size, cmd->buf, read_done);
}

static void read_flushed(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);

	if (!medium_step_failed(cmd))
		read_now(cmd);
}

void rw_read(struct scsi_cmd *cmd)
{
	bool fua = cmd->row->cdb_len > 6 && (cdb_options(cmd) & 0x08);

	if (!cmd->blocks) {
		cmd_good(cmd, 0);
		return;
	}
	if (!cmd_buf_alloc(cmd, cmd->blocks * cmd->block_len)) {
		cmd_status(cmd, task_set_full(cmd));
		return;
	}
	/* FUA: what a volatile cache holds goes to the medium first (SBC-3 4.15.4) */
	if (fua && cmd->disk->volatile_cache && !cmd->disk->read_only)
		medium_flush(cmd, read_flushed);
	else
		read_now(cmd);
}

/* ---- write ----------------------------------------------------------------------------------- */

/* Fewer data than the CDB asks for (an overflow residual): the blocks that arrived whole are
 * written. */
uint32_t rw_blocks_arrived(const struct scsi_cmd *cmd)
{
	uint32_t n = cmd->data_out_got / cmd->block_len;

	return n < cmd->blocks ? n : cmd->blocks;
}

void rw_written(struct scsi_cmd *cmd, uint64_t bytes)
{
	struct lu_shard *shard = lu_shard_of(cmd->lu, cmd->reactor);

	shard->writes++;
	shard->write_bytes += bytes;
	shard->write_ns += cmd->reactor->now - cmd->arrived;
}

static void write_done(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);

	if (io->result < 0) {
		medium_error(cmd, io->result);
		return;
	}
	rw_written(cmd, io->length);
	cmd_good(cmd, 0);
}

void rw_write(struct scsi_cmd *cmd)
{
	uint32_t n = rw_blocks_arrived(cmd);

	if (!n) {
		cmd_good(cmd, 0);
		return;
	}
	medium_prepare(cmd, DISK_WRITE, 0, (uint64_t)n * cmd->lu->block_size, cmd->buf, write_done);
	cmd->io.fua = medium_write_through(cmd);
	disk_submit(cmd->disk, &cmd->io);
}
