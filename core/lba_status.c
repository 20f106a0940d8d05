/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GET LBA STATUS (SBC-3). Asking a file system for holes may read its metadata, so the command leaves the reactor:
 *
 *   reactor: gates, buffer ──▶ a thread that may block: disk->ops->map … ──▶ reactor: answer
 *
 * It stays admitted all the time, so a drain waits for it and the disk stays open.
 */
#include "core/core.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/wire.h"

#define HEADER_LEN 8
#define DESCRIPTOR_LEN 16
#define DESCRIPTORS_MAX 256u
#define STEPS_MAX 4096 /* extents looked at for one answer: neighbours of equal status become one descriptor */

enum status { MAPPED = 0, DEALLOCATED = 1 }; /* PROVISIONING STATUS, SBC-3 table 39 */

struct extent {
	uint64_t lba, blocks;
	enum status status;
};

/* The extent that begins at lba. A block is deallocated when all of it is a hole. */
static int look(const struct scsi_cmd *cmd, uint64_t lba, uint64_t end, struct extent *e)
{
	uint32_t size = cmd->lu->block_size;
	uint64_t length = 0;
	bool hole = false;
	int rc;

	*e = (struct extent){ .lba = lba, .blocks = end - lba, .status = MAPPED };
	if (!cmd->lu->thin || !cmd->disk->ops->map) /* fully provisioned, or nobody can tell */
		return 0;
	rc = cmd->disk->ops->map(cmd->disk, lba * size, (end - lba) * size, &length, &hole);
	if (rc < 0)
		return rc;
	if (hole && length >= size) {
		e->status = DEALLOCATED;
		e->blocks = length / size;
	} else {
		e->blocks = hole ? 1 : (length + size - 1) / size;
	}
	if (e->blocks > end - lba)
		e->blocks = end - lba;
	return 0;
}

static void put_extent(uint8_t *p, const struct extent *e)
{
	put_be64(p, e->lba);
	put_be32(p + 8, e->blocks > UINT32_MAX ? UINT32_MAX : e->blocks);
	put_be32(p + 12, (uint32_t)e->status << 24);
}

/* Fills up to max descriptors; how many, or negative errno. */
static int describe(const struct scsi_cmd *cmd, uint64_t lba, uint64_t end, uint8_t *p, uint32_t max)
{
	struct extent run = { .blocks = 0 }, e;
	uint32_t n = 0;

	for (int steps = 0; lba < end && steps < STEPS_MAX; steps++) {
		int rc = look(cmd, lba, end, &e);

		if (rc < 0)
			return rc;
		lba += e.blocks;
		if (run.blocks && run.status == e.status) {
			run.blocks += e.blocks;
			continue;
		}
		if (run.blocks)
			put_extent(p + DESCRIPTOR_LEN * n++, &run);
		run = e;
		if (n == max)
			return n;
	}
	if (run.blocks) /* else: the capacity is smaller meanwhile */
		put_extent(p + DESCRIPTOR_LEN * n++, &run);
	return n;
}

static void answer(struct msg *m)
{
	struct scsi_cmd *cmd = caa_container_of(m, struct scsi_cmd, msg);

	cmd->io.kind = DISK_READ;
	if (!medium_step_failed(cmd))
		cmd_good(cmd, cmd->step < cmd->alloc_len ? cmd->step : cmd->alloc_len);
}

/* On the thread that may block: touches nothing of the command but its buffer, step and io.result. */
static void ask(struct msg *m)
{
	struct scsi_cmd *cmd = caa_container_of(m, struct scsi_cmd, msg);
	uint64_t end = __atomic_load_n(&cmd->lu->blocks, __ATOMIC_RELAXED);
	int n = describe(cmd, cmd->lba, end, cmd->buf + HEADER_LEN, (cmd->buf_len - HEADER_LEN) / DESCRIPTOR_LEN);

	cmd->io.result = n < 0 ? n : 0;
	if (n >= 0) {
		cmd->step = HEADER_LEN + n * DESCRIPTOR_LEN;
		put_be32(cmd->buf, cmd->step - 4); /* PARAMETER DATA LENGTH */
		put_be32(cmd->buf + 4, 0);
	}
	m->fn = answer;
	reactor_post(cmd->reactor, m);
}

void lba_status_get(struct scsi_cmd *cmd)
{
	uint32_t room = cmd->alloc_len > HEADER_LEN ? (cmd->alloc_len - HEADER_LEN) / DESCRIPTOR_LEN : 0;

	cmd->lba = get_be64(cmd->cdb + 2);
	if (cmd->lba >= __atomic_load_n(&cmd->lu->blocks, __ATOMIC_RELAXED)) {
		cmd_sense(cmd, SENSE_LBA_OUT_OF_RANGE);
		return;
	}
	if (!cmd->alloc_len) {
		cmd_good(cmd, 0);
		return;
	}
	room = !room ? 1 : room > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : room; /* a cut one is built whole */
	if (!cmd_buf_alloc(cmd, HEADER_LEN + room * DESCRIPTOR_LEN)) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	cmd->msg.fn = ask;
	core_run_blocking(cmd->reactor->core, &cmd->msg);
}
