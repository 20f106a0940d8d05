/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/medium.h"

#include <errno.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/log.h"
#include "core/lu.h"
#include "core/pi_cmd.h"
#include "core/wire.h"

bool medium_write_through(const struct scsi_cmd *cmd)
{
	bool fua = cmd->row->cdb_len > 6 && (cdb_options(cmd) & 0x08);

	return fua || !lu_read(cmd->lu, mode)->wce;
}

void medium_prepare(struct scsi_cmd *cmd, enum disk_op kind, uint64_t at, uint64_t len, void *buf,
		    void (*done)(struct disk_io *io))
{
	struct disk_io *io = &cmd->io;

	io->reactor = cmd->reactor;
	io->kind = kind;
	io->fua = false;
	io->offset = cmd->lba * cmd->lu->block_size + at;
	io->length = len;
	io->buf = buf;
	io->pi = NULL;
	if (__builtin_expect(cmd->lu->pi_type, 0)) {
		pi_order_for(cmd, kind, at / cmd->lu->block_size, &cmd->pi);
		io->pi = &cmd->pi;
	}
	io->result = 0;
	io->done = done;
}

void medium_submit(struct scsi_cmd *cmd, enum disk_op kind, uint64_t at, uint64_t len, void *buf,
		   void (*done)(struct disk_io *io))
{
	medium_prepare(cmd, kind, at, len, buf, done);
	disk_submit(cmd->disk, &cmd->io);
}

void medium_flush(struct scsi_cmd *cmd, void (*done)(struct disk_io *io))
{
	medium_submit(cmd, DISK_FLUSH, 0, 0, NULL, done);
}

/* The first errors of a logical unit are logged, then fewer and fewer: a dead disk must not fill
 * the log. */
static bool worth_a_line(uint64_t errors)
{
	return (errors & (errors + 1)) == 0;
}

/*
 * After a failed flush the kernel may forget what it could not write and report success the next time; a device that
 * is gone or has become read-only is one that its owner has lost (DRBD demoted, path to the shared disk down). In both cases this node
 * must stop using the medium, and another path is better than an error (P6).
 */
static bool is_lost(const struct scsi_cmd *cmd, int err)
{
	switch (-err) {
	case ENODEV:
	case ENXIO:
	case EROFS:
	case ESHUTDOWN:
	case EMEDIUMTYPE:
		return true;
	}
	return cmd->io.kind == DISK_FLUSH || (cmd->io.kind == DISK_WRITE && cmd->io.fua && err == -EIO);
}

static bool lost_medium(struct scsi_cmd *cmd, int err)
{
	struct core *core = cmd->reactor->core;

	if (!core->medium_failed.fn || !is_lost(cmd, err))
		return false;
	core->medium_failed.fn(core->medium_failed.arg, cmd->lu, err);
	/* Its origin can wait for the next owner; what compares first must not be done again when it may have been done. */
	cmd->turned_away = cmd->remote && !(cmd->row->flags & ROW_EXCLUSIVE);
	cmd_sense(cmd, SENSE_LU_NOT_READY_UNAVAILABLE);
	return true;
}

/* False: it was something else. Of received blocks the initiator hears; those that the medium gives are for the administrator,
 * too. */
static bool protection_failed(struct scsi_cmd *cmd, int err)
{
	static const char *const fields[] = { [PI_GUARD] = "guard", [PI_APP] = "application tag", [PI_REF] = "reference tag" };
	const struct pi_order *o = cmd->io.pi;
	uint64_t lba;

	if (err != -EILSEQ || !o || !o->bad)
		return false;
	lba = cmd->io.offset / cmd->lu->block_size + o->at;
	if (cmd->io.kind == DISK_READ && worth_a_line(lu_shard_of(cmd->lu, cmd->reactor)->errors))
		log_error("LUN %s: %s: the %s of block %llu does not match what is on the medium; check %s and %s, and write "
			  "the block again", cmd->lu->name, cmd->row->name, fields[o->bad], (unsigned long long)lba,
			  cmd->lu->disk_params.path, cmd->lu->disk_params.pi_path);
	pi_failed(cmd, KEY_ABORTED_COMMAND, o->bad, lba);
	return true;
}

void medium_error(struct scsi_cmd *cmd, int err)
{
	struct lu_shard *shard = lu_shard_of(cmd->lu, cmd->reactor);
	sense_t s = sense_from_errno(err, cmd->io.kind != DISK_READ);

	if (__builtin_expect(cmd->lu->pi_type, 0) && protection_failed(cmd, err))
		return;
	if (worth_a_line(shard->errors))
		log_error("LUN %s: %s at block %llu, %u blocks: %s (%s), error number %llu of this LUN; check %s", cmd->lu->name,
			  cmd->row->name, (unsigned long long)cmd->lba, cmd->blocks, strerror(-err), sense_text(s),
			  (unsigned long long)shard->errors + 1,
			  cmd->lu->disk_params.path ? cmd->lu->disk_params.path : "its backing device");
	if (!lost_medium(cmd, err))
		cmd_sense(cmd, s);
}

bool medium_step_failed(struct scsi_cmd *cmd)
{
	if (cmd->io.result < 0) {
		medium_error(cmd, cmd->io.result);
		return true;
	}
	if (cmd->aborted) {
		cmd_complete(cmd);
		return true;
	}
	return false;
}

/* ---- many steps ------------------------------------------------------------------------------ */

static void walk_done(struct disk_io *io);

static void walk(struct scsi_cmd *cmd, struct medium_walk *w)
{
	do {
		if (cmd->io.result < 0 || cmd->aborted || !w->next(cmd)) {
			w->finish(cmd, cmd->io.result);
			return;
		}
		cmd->io.done = walk_done;
		w->completed = false;
		w->submitting = true;
		disk_submit(cmd->disk, &cmd->io);
		w->submitting = false;
	} while (w->completed);
}

static void walk_done(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);
	struct medium_walk *w = cmd->handler_data;

	if (w->submitting)
		w->completed = true;
	else
		walk(cmd, w);
}

void medium_walk_start(struct scsi_cmd *cmd, struct medium_walk *w)
{
	cmd->handler_data = w;
	cmd->io.result = 0;
	w->submitting = w->completed = false;
	walk(cmd, w);
}
