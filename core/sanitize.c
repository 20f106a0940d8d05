/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE (SBC-3 5.20) and FORMAT UNIT (5.3): what they ask of core/wipe.h. No cryptographic
 * erase: nothing is encrypted. */
#include "core/cdb.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/provisioning.h"
#include "core/wipe.h"
#include "core/wire.h"

#define OVERWRITE_HEADER 4

/* False: answered. A unit that could move to another node in the middle does not offer these
 * commands. */
static bool served(struct scsi_cmd *cmd)
{
	if (!cmd->lu->wipes)
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	return cmd->lu->wipes;
}

static struct wipe_order order_of(const struct scsi_cmd *cmd, enum disk_op op)
{
	return (struct wipe_order){ .kind = WIPE_SANITIZE, .immed = cmd->cdb[1] & 0x80, .may_exit = cmd->cdb[1] & 0x20, .op = op,
				    .passes = 1 };
}

/* ---- SANITIZE -------------------------------------------------------------------------------- */

/* The parameter list (table 73). -1, or the byte that is wrong; in the CDB when *in_cdb. */
static int overwrite_check(const struct scsi_cmd *cmd, bool *in_cdb)
{
	uint32_t len = cmd->alloc_len, bs = cmd->lu->block_size, pattern;

	*in_cdb = len <= OVERWRITE_HEADER || len > bs + OVERWRITE_HEADER || cmd->data_out_got < len;
	if (*in_cdb)
		return 7;
	pattern = get_be16(cmd->buf + 2);
	if (!(cmd->buf[0] & 0x1f)) /* OVERWRITE COUNT */
		return 0;
	if ((cmd->buf[0] & 0x60) || cmd->buf[1]) /* TEST: no maintenance mode; reserved */
		return cmd->buf[1] ? 1 : 0;
	return !pattern || pattern != len - OVERWRITE_HEADER ? 2 : -1;
}

void sanitize_overwrite(struct scsi_cmd *cmd)
{
	struct wipe_order order = order_of(cmd, DISK_WRITE);
	bool in_cdb;
	int wrong;

	if (!served(cmd))
		return;
	wrong = overwrite_check(cmd, &in_cdb);
	if (wrong >= 0 && in_cdb) {
		cmd_bad_field(cmd, wrong, -1);
	} else if (wrong >= 0) {
		cmd_bad_param(cmd, wrong, -1);
	} else {
		order.passes = cmd->buf[0] & 0x1f;
		order.invert = cmd->buf[0] & 0x80;
		order.pattern = cmd->buf + OVERWRITE_HEADER;
		order.pattern_len = get_be16(cmd->buf + 2);
		wipe_start(cmd, &order);
	}
}

void sanitize_block_erase(struct scsi_cmd *cmd)
{
	struct wipe_order order = order_of(cmd, provisioning_unmap_op(cmd->disk));

	if (!served(cmd))
		return;
	if (!cmd->lu->thin) /* a fully provisioned unit has no blocks to erase but by writing */
		cmd_bad_field(cmd, 1, 4);
	else if (cmd->alloc_len)
		cmd_bad_field(cmd, 7, -1);
	else
		wipe_start(cmd, &order);
}

void sanitize_exit_failure(struct scsi_cmd *cmd)
{
	if (!served(cmd))
		return;
	if (cmd->alloc_len)
		cmd_bad_field(cmd, 7, -1);
	else
		wipe_exit_failure(cmd);
}

/* ---- FORMAT UNIT ----------------------------------------------------------------------------- */

#define FMTDATA 0x10
#define LONGLIST 0x20

/* Parameter list header (tables 34, 35): only IMMED may be asked for; no initialization pattern,
 * no defects, no protection. */
static int format_check(const struct scsi_cmd *cmd)
{
	bool is_long = cmd->cdb[1] & LONGLIST;
	uint32_t len = is_long ? 8 : 4, defects = is_long ? 4 : 2;

	if (cmd->data_out_got < len)
		return -2;
	if (cmd->buf[0])
		return 0;
	if (cmd->buf[1] & ~(0x80 | 0x02)) /* FOV with nothing chosen differs from none in no way */
		return 1;
	for (uint32_t i = defects; i < len; i++)
		if (cmd->buf[i])
			return i;
	return is_long && (cmd->buf[2] | cmd->buf[3]) ? 3 : -1;
}

void format_unit(struct scsi_cmd *cmd)
{
	struct wipe_order order = { .kind = WIPE_FORMAT, .passes = 1, .op = DISK_WRITE_ZEROES };
	int wrong = -1;

	if (!served(cmd))
		return;
	if (cmd->cdb[1] & FMTDATA)
		wrong = format_check(cmd);
	else if (cmd->cdb[1] & LONGLIST) {
		cmd_bad_field(cmd, 1, 5);
		return;
	}
	if (wrong == -2) {
		cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
	} else if (wrong >= 0) {
		cmd_bad_param(cmd, wrong, -1);
	} else {
		order.immed = (cmd->cdb[1] & FMTDATA) && (cmd->buf[1] & 0x02);
		if (cmd->lu->thin) /* all blocks are deallocated (5.3.1) */
			order.op = provisioning_unmap_op(cmd->disk);
		wipe_start(cmd, &order);
	}
}
