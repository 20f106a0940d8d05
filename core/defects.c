/* SPDX-License-Identifier: BSD-2-Clause */
/* READ DEFECT DATA (10), (12) (SBC-3): a medium behind a kernel has no defect lists
 * to show; both are empty. */
#include "core/cmd.h"
#include "core/handlers.h"

void defects_10(struct scsi_cmd *cmd)
{
	const uint8_t data[4] = { 0, cmd->cdb[2] & 0x1f }; /* PLISTV, GLISTV and format as asked; length 0 */

	cmd_reply(cmd, data, sizeof(data));
}

void defects_12(struct scsi_cmd *cmd)
{
	const uint8_t data[8] = { 0, cmd->cdb[1] & 0x1f };

	cmd_reply(cmd, data, sizeof(data));
}
