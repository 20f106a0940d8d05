/* SPDX-License-Identifier: BSD-2-Clause */
/* UNMAP (SBC-3). */
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/provisioning.h"
#include "core/reactor.h"
#include "core/wire.h"

#define HEADER_LEN 8
#define DESCRIPTOR_LEN 16

struct unmapping {
	struct medium_walk walk; /* first: cmd->handler_data */
	uint32_t n;
	bool flush;
};

static const uint8_t *descriptor(const struct scsi_cmd *cmd, uint32_t i)
{
	return cmd->buf + HEADER_LEN + i * DESCRIPTOR_LEN;
}

static void finish(struct scsi_cmd *cmd, int result)
{
	reactor_buf_put(cmd->reactor, cmd->handler_data, sizeof(struct unmapping));
	cmd->handler_data = NULL;
	if (result < 0)
		medium_error(cmd, result);
	else if (cmd->aborted)
		cmd_complete(cmd);
	else
		cmd_good(cmd, 0);
}

/* cmd->step: descriptors done; n + 1 after the flush. */
static bool next(struct scsi_cmd *cmd)
{
	struct unmapping *u = cmd->handler_data;

	while (cmd->step < u->n) {
		const uint8_t *d = descriptor(cmd, cmd->step++);

		if (!get_be32(d + 8))
			continue;
		medium_prepare(cmd, provisioning_unmap_op(cmd->disk), 0, 0, NULL, NULL);
		cmd->io.offset = get_be64(d) * cmd->lu->block_size;
		cmd->io.length = (uint64_t)get_be32(d + 8) * cmd->lu->block_size;
		return true;
	}
	if (cmd->step > u->n || !u->flush)
		return false;
	cmd->step++;
	medium_prepare(cmd, DISK_FLUSH, 0, 0, NULL, NULL);
	return true;
}

/* All descriptors are looked at before the first block is touched. */
static sense_t check(const struct scsi_cmd *cmd, uint32_t n)
{
	uint64_t capacity = __atomic_load_n(&cmd->lu->blocks, __ATOMIC_RELAXED), total = 0;

	if (n > UNMAP_MAX_DESCRIPTORS)
		return SENSE_INVALID_FIELD_IN_PARAM;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t lba = get_be64(descriptor(cmd, i));
		uint32_t blocks = get_be32(descriptor(cmd, i) + 8);

		if (lba > capacity || blocks > capacity - lba)
			return SENSE_LBA_OUT_OF_RANGE;
		total += blocks;
	}
	return total > UNMAP_MAX_BLOCKS ? SENSE_INVALID_FIELD_IN_PARAM : SENSE_NONE;
}

static void start(struct scsi_cmd *cmd, uint32_t n)
{
	struct unmapping *u = reactor_buf_get(cmd->reactor, sizeof(*u));

	if (!u) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	*u = (struct unmapping){ .walk = { .next = next, .finish = finish }, .n = n };
	u->flush = !lu_read(cmd->lu, mode)->wce;
	cmd->step = 0;
	medium_walk_start(cmd, &u->walk);
}

void unmap(struct scsi_cmd *cmd)
{
	uint32_t len = cmd->alloc_len, n;
	sense_t s;

	if (!cmd->lu->thin) {
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
		return;
	}
	if (!len) { /* no data shall be transferred, not an error */
		cmd_good(cmd, 0);
		return;
	}
	if (len < HEADER_LEN || cmd->data_out_got < len || get_be16(cmd->buf + 2) > len - HEADER_LEN) {
		cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
		return;
	}
	n = get_be16(cmd->buf + 2) / DESCRIPTOR_LEN; /* a partial descriptor at the end is ignored */
	s = check(cmd, n);
	if (s != SENSE_NONE)
		cmd_sense(cmd, s);
	else if (!n)
		cmd_good(cmd, 0);
	else
		start(cmd, n);
}
