/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How handlers of rows with ROW_MEDIUM reach the medium. All on cmd->reactor; cmd->disk is taken.
 */
#ifndef SANDEM_CORE_MEDIUM_H
#define SANDEM_CORE_MEDIUM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cmd.h"

static inline struct scsi_cmd *medium_cmd(struct disk_io *io)
{
	return caa_container_of(io, struct scsi_cmd, io);
}

/* Prepares cmd->io for one transfer of len bytes at the command's LBA + at bytes; the caller
 * submits. */
void medium_prepare(struct scsi_cmd *cmd, enum disk_op kind, uint64_t at, uint64_t len, void *buf,
		    void (*done)(struct disk_io *io));

/* medium_prepare() and disk_submit(). done may run before it returns. */
void medium_submit(struct scsi_cmd *cmd, enum disk_op kind, uint64_t at, uint64_t len, void *buf,
		   void (*done)(struct disk_io *io));

/* DISK_FLUSH, then done. */
void medium_flush(struct scsi_cmd *cmd, void (*done)(struct disk_io *io));

/* Every error of the medium ends its command here. err: negative errno. */
void medium_error(struct scsi_cmd *cmd, int err);

/* True: the command ended here, because its I/O failed or the command was aborted meanwhile (no
 * further step may reach the medium then, SAM-5 4.2). For the completion of each step. */
bool medium_step_failed(struct scsi_cmd *cmd);

/* FUA as the write needs it: asked for, or no write cache by the caching mode page (SBC-3 4.15). */
bool medium_write_through(const struct scsi_cmd *cmd);

/*
 * A command of many I/Os, one after the other, without recursion however soon each completes. next
 * prepares the next one in cmd->io (done is the walk's) and returns true, or false when there is no
 * more to do. After the last one, or the first error, finish(cmd, result) runs once. Uses
 * cmd->handler_data; cmd->step is next's.
 */
struct medium_walk {
	bool (*next)(struct scsi_cmd *cmd);
	void (*finish)(struct scsi_cmd *cmd, int result);
	bool submitting, completed;
	void *data;
};
void medium_walk_start(struct scsi_cmd *cmd, struct medium_walk *w);

#endif
