/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE and FORMAT UNIT (SBC-3): what they ask of core/wipe.h. */
#include <string.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/wipe.h"
#include "core/wire.h"

#define OVERWRITE_HEADER 4

/* False: answered. The owner works on the medium; here, where the command entered, nobody may have it open. */
static bool served(struct scsi_cmd *cmd)
{
	const struct alua_gate *gate = lu_read(cmd->lu, gate);

	if (!cmd->lu->wipes)
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	else if (gate->no_medium)
		cmd_sense(cmd, gate->medium_sense);
	else
		return true;
	return false;
}

static void start(struct scsi_cmd *cmd, struct wipe_order *order)
{
	order->kind = WIPE_SANITIZE;
	order->may_exit = cmd->cdb[1] & 0x20; /* AUSE */
	order->passes = order->passes ? order->passes : 1;
	wipe_start(cmd, order, cmd->cdb[1] & 0x80);
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
	struct wipe_order order = { .op = WIPE_WRITE };
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
		order.pattern_len = get_be16(cmd->buf + 2);
		memcpy(order.pattern, cmd->buf + OVERWRITE_HEADER, order.pattern_len);
		start(cmd, &order);
	}
}

/* can: the unit has what this erases; a fully provisioned one has no blocks to erase but by writing, one that is not
 * encrypted no key. */
static void erase(struct scsi_cmd *cmd, bool can, enum wipe_op op)
{
	struct wipe_order order = { .op = op };

	if (!served(cmd))
		return;
	if (!can)
		cmd_bad_field(cmd, 1, 4);
	else if (cmd->alloc_len)
		cmd_bad_field(cmd, 7, -1);
	else
		start(cmd, &order);
}

void sanitize_block_erase(struct scsi_cmd *cmd)
{
	erase(cmd, cmd->lu->thin, WIPE_UNMAP);
}

void sanitize_crypto_erase(struct scsi_cmd *cmd)
{
	erase(cmd, cmd->lu->disk_params.key_file, WIPE_CRYPTO);
}

void sanitize_exit_failure(struct scsi_cmd *cmd)
{
	if (!served(cmd))
		return;
	if (cmd->alloc_len)
		cmd_bad_field(cmd, 7, -1);
	else if (!cmd->lu->core->wipes.leave)
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	else
		cmd->lu->core->wipes.leave(cmd->lu->core->wipes.arg, cmd);
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
	if (cmd->buf[0] & ~0x07) /* PROTECTION FIELD USAGE: format_keeps_type() */
		return 0;
	if (cmd->buf[1] & ~(0x80 | 0x02)) /* FOV with nothing chosen differs from none in no way */
		return 1;
	for (uint32_t i = defects; i < len; i++)
		if (cmd->buf[i])
			return i;
	return is_long && (cmd->buf[2] | cmd->buf[3]) ? 3 : -1;
}

/* FMTPINFO and PROTECTION FIELD USAGE name a type of protection. It is the configuration's to choose, the same
 * on every node: a FORMAT UNIT that asks for another one is refused. False: answered. */
static bool format_keeps_type(struct scsi_cmd *cmd)
{
	static const uint8_t fmtpinfo[] = { [PI_NONE] = 0, [PI_TYPE_1] = 2, [PI_TYPE_2] = 3, [PI_TYPE_3] = 3 };
	bool list = (cmd->cdb[1] & FMTDATA) && cmd->data_out_got;
	uint8_t usage = list ? cmd->buf[0] & 0x07 : 0, wanted = cmd->lu->pi_type == PI_TYPE_3;

	if (cmd->cdb[1] >> 6 != fmtpinfo[cmd->lu->pi_type] || (!list && wanted))
		cmd_bad_field(cmd, 1, 7);
	else if (usage != wanted)
		cmd_bad_param(cmd, 0, 2);
	else
		return true;
	return false;
}

void format_unit(struct scsi_cmd *cmd)
{
	struct wipe_order order = { .kind = WIPE_FORMAT, .passes = 1, .op = WIPE_ZERO };
	int wrong = -1;

	if (!served(cmd))
		return;
	if (!format_keeps_type(cmd))
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
		if (cmd->lu->thin) /* all blocks are deallocated */
			order.op = WIPE_UNMAP;
		wipe_start(cmd, &order, (cmd->cdb[1] & FMTDATA) && (cmd->buf[1] & 0x02));
	}
}
