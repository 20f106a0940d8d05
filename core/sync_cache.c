/* SPDX-License-Identifier: BSD-2-Clause */
/* SYNCHRONIZE CACHE (SBC-3) and PRE-FETCH. */
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"

static void flushed(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);

	if (io->result < 0)
		medium_error(cmd, io->result);
	else
		cmd_good(cmd, 0);
}

/* The whole medium, whatever the range: more than asked for is allowed, less is not. IMMED=1
 * only allows an early answer; a late one that can still report the error is of more use. */
void sync_cache(struct scsi_cmd *cmd)
{
	if (cmd->disk->read_only)
		cmd_good(cmd, 0);
	else
		medium_flush(cmd, flushed);
}

/* The medium's own cache decides what it keeps: no block is promised to stay, which is what GOOD
 * says where CONDITION MET would say that all of them do (SBC-3). */
void sync_cache_prefetch(struct scsi_cmd *cmd)
{
	cmd_good(cmd, 0);
}
