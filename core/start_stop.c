/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * START STOP UNIT (SBC-3) and PREVENT ALLOW MEDIUM REMOVAL (SPC-4) of a logical unit that
 * other I_T nexuses share: a stop makes everything stable; the unit goes on serving, for a unit
 * that one initiator stopped would be lost to all. A removable medium can be ejected and loaded:
 * all nodes must say the same of it, so that is decided above core (HOOK_REMOVAL).
 */
#include "core/handlers.h"
#include "core/lu.h"
#include "core/medium.h"
#include "core/nexus.h"

#define START 0x01
#define LOEJ 0x02
#define NO_FLUSH 0x04

static void flushed(struct disk_io *io)
{
	struct scsi_cmd *cmd = medium_cmd(io);

	if (medium_step_failed(cmd))
		return;
	if (cmd->cdb[4] & LOEJ)
		hooks_removal(cmd);
	else
		cmd_good(cmd, 0);
}

/* Only START=1 with POWER CONDITION=0 is allowed under somebody else's reservation (SBC-3 table
 * 13). */
static bool conflicts(const struct scsi_cmd *cmd)
{
	return !(cmd->cdb[4] & START) && resv_conflicts(lu_read(cmd->lu, resv), &cmd->itl->role, RESV_WRITE);
}

void start_stop_unit(struct scsi_cmd *cmd)
{
	uint8_t how = cmd->cdb[4];

	if (how >> 4) /* POWER CONDITION: no power condition mode page, no power conditions */
		cmd_bad_field(cmd, 4, 7);
	else if ((how & LOEJ) && !cmd->lu->removable)
		cmd_bad_field(cmd, 4, 1);
	else if (conflicts(cmd))
		cmd_status(cmd, STATUS_RESERVATION_CONFLICT);
	else if (cmd->disk && !(how & (START | NO_FLUSH)) && !cmd->disk->read_only)
		medium_flush(cmd, flushed);
	else if (how & LOEJ)
		hooks_removal(cmd);
	else
		cmd_good(cmd, 0);
}

#define PREVENT 0x03 /* 10b and 11b are for medium changers of the past */

void prevent_allow(struct scsi_cmd *cmd)
{
	uint8_t prevent = cmd->cdb[4] & PREVENT;

	if (prevent > 1 || (prevent && !cmd->lu->removable)) /* a fixed medium: there is nothing to prevent */
		cmd_bad_field(cmd, 4, 1);
	else if (cmd->lu->removable)
		hooks_removal(cmd);
	else
		cmd_good(cmd, 0);
}
