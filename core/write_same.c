/* SPDX-License-Identifier: BSD-2-Clause */
/* WRITE SAME (10), (16), (32) (SBC-3). */
#include <string.h>

#include "core/cdb.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/pi_cmd.h"
#include "core/provisioning.h"
#include "core/reactor.h"
#include "core/rw.h"
#include "core/wire.h"

#define PATTERN_BYTES (1u << 20) /* one step of a pattern that is not zero */

struct same {
	struct medium_walk walk; /* first: cmd->handler_data */
	uint64_t len;		 /* bytes to write in all */
	enum disk_op op;	 /* DISK_WRITE: from pattern */
	bool flush;		 /* no write cache: zeroed ranges must be stable before GOOD */
	uint8_t *pattern;
	uint32_t pattern_blocks;
};

static bool is_zero(const uint8_t *p, uint32_t len)
{
	return p[0] == 0 && !memcmp(p, p + 1, len - 1);
}

static void same_free(struct scsi_cmd *cmd, struct same *s)
{
	if (s->pattern)
		reactor_buf_put(cmd->reactor, s->pattern, s->pattern_blocks * cmd->block_len);
	reactor_buf_put(cmd->reactor, s, sizeof(*s));
}

static void finish(struct scsi_cmd *cmd, int result)
{
	struct same *s = cmd->handler_data;
	uint64_t len = s->len;

	same_free(cmd, s);
	cmd->handler_data = NULL;
	if (result < 0) {
		medium_error(cmd, result);
	} else if (cmd->aborted) {
		cmd_complete(cmd);
	} else {
		rw_written(cmd, len);
		cmd_good(cmd, 0);
	}
}

/* The protection information that came with the block is repeated; with types 1 and 2 the reference tag counts on, unless
 * nothing is known of the block. */
static void renew_tags(struct scsi_cmd *cmd, const struct same *s)
{
	const uint8_t *pi = cmd->buf + cmd->lu->block_size;
	uint32_t done = cmd->step / cmd->lu->block_size;

	if (pi_is_erased(pi)) {
		cmd->pi.check = 0;
		return;
	}
	for (uint32_t i = 0; i < s->pattern_blocks && cmd->lu->pi_type != PI_TYPE_3; i++)
		put_be32(s->pattern + (size_t)i * cmd->block_len + cmd->lu->block_size + 4, get_be32(pi + 4) + done + i);
}

/* cmd->step: bytes done; len + 1 after the flush. */
static bool next(struct scsi_cmd *cmd)
{
	struct same *s = cmd->handler_data;
	uint64_t left = s->len - cmd->step, n = left, pattern_len = (uint64_t)s->pattern_blocks * cmd->lu->block_size;

	if (cmd->step == s->len && s->flush) {
		medium_prepare(cmd, DISK_FLUSH, 0, 0, NULL, NULL);
		cmd->step++;
		return true;
	}
	if (cmd->step >= s->len)
		return false;
	if (s->op == DISK_WRITE && n > pattern_len)
		n = pattern_len;
	medium_prepare(cmd, s->op, cmd->step, n, s->pattern, NULL);
	if (s->op == DISK_WRITE && cmd->block_len != cmd->lu->block_size)
		renew_tags(cmd, s);
	cmd->io.fua = s->op == DISK_WRITE && medium_write_through(cmd);
	cmd->step += n;
	return true;
}

static bool fill(struct scsi_cmd *cmd, struct same *s)
{
	uint32_t len = cmd->block_len, most = PATTERN_BYTES / len;
	uint64_t blocks = s->len / cmd->lu->block_size;

	s->pattern_blocks = blocks < most ? blocks : most;
	s->pattern = reactor_buf_get(cmd->reactor, s->pattern_blocks * len);
	for (uint32_t i = 0; s->pattern && i < s->pattern_blocks; i++)
		memcpy(s->pattern + (size_t)i * len, cmd->buf, len);
	return s->pattern;
}

static struct same *same_new(struct scsi_cmd *cmd, uint64_t blocks, enum disk_op op)
{
	struct same *s = reactor_buf_get(cmd->reactor, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct same){ .walk = { .next = next, .finish = finish }, .len = blocks * cmd->lu->block_size,
			    .op = op };
	s->flush = op != DISK_WRITE && !lu_read(cmd->lu, mode)->wce;
	if (op == DISK_WRITE && !fill(cmd, s)) {
		same_free(cmd, s);
		return NULL;
	}
	return s;
}

static void start(struct scsi_cmd *cmd, uint64_t blocks, enum disk_op op)
{
	struct same *s = same_new(cmd, blocks, op);

	if (!s) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	cmd->step = 0;
	medium_walk_start(cmd, &s->walk);
}

/* What an unmapped block reads as: zeroes, and of its protection information nothing is known. */
static bool is_blank(const struct scsi_cmd *cmd)
{
	uint32_t bs = cmd->lu->block_size;

	return is_zero(cmd->buf, bs) && (cmd->block_len == bs || pi_is_erased(cmd->buf + bs));
}

static enum disk_op op_for(const struct scsi_cmd *cmd, bool unmap, bool no_data)
{
	if (!no_data && !is_blank(cmd))
		return DISK_WRITE; /* with UNMAP=1, too: unmapped blocks would read as zeroes (SBC-3 table 98) */
	if (!no_data && !unmap && cmd->lu->pi_type && cmd->block_len == cmd->lu->block_size)
		return DISK_WRITE; /* protection information is generated */
	return unmap ? provisioning_unmap_op(cmd->disk) : DISK_WRITE_ZEROES;
}

void write_same(struct scsi_cmd *cmd)
{
	uint8_t options = cdb_options(cmd), len = cmd->row->cdb_len;
	bool unmap = options & 0x08;
	/* UNMAP=1 and no data-out offered at all: as NDOB=1 */
	bool no_data = (len > 10 && (options & 0x01)) || (unmap && !cmd->expected_len);
	uint64_t capacity = __atomic_load_n(&cmd->lu->blocks, __ATOMIC_RELAXED);
	uint64_t blocks = cmd->blocks ? cmd->blocks : capacity - cmd->lba; /* WSNZ=0: 0 = up to the last */

	if (unmap && !cmd->lu->thin)
		cmd_bad_field(cmd, len == 32 ? 10 : 1, 3);
	else if (!blocks)
		cmd_sense(cmd, SENSE_LBA_OUT_OF_RANGE);
	else if (blocks > WRITE_SAME_MAX_BLOCKS)
		cmd_bad_field(cmd, len == 32 ? 28 : len == 16 ? 10 : 7, -1);
	else if (!no_data && (cmd->expected_len != cmd->block_len || cmd->data_out_got != cmd->block_len))
		cmd_sense(cmd, SENSE_INVALID_FIELD_IN_CIU);
	else
		start(cmd, blocks, op_for(cmd, unmap, no_data));
}
