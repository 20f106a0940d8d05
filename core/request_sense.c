/* SPDX-License-Identifier: BSD-2-Clause */
/* REQUEST SENSE (SPC-4 6.39): autosense has told everything else, so what is left is a pending
 * unit attention. */
#include "core/cmd.h"
#include "core/handlers.h"
#include "core/nexus.h"

static sense_t pending(struct scsi_cmd *cmd)
{
	uint16_t ua;

	if (!cmd->itl)
		return SENSE_LU_NOT_SUPPORTED;
	ua = ua_queue_pop(&cmd->itl->ua);
	return ua ? SENSE(KEY_UNIT_ATTENTION, 0, 0) | ua : SENSE_NONE;
}

void request_sense(struct scsi_cmd *cmd)
{
	uint8_t data[SENSE_MAX];
	bool descriptor = cmd->cdb[1] & 0x01;
	size_t len;

	len = sense_build(data, pending(cmd), descriptor, NULL);
	cmd_reply(cmd, data, len);
}
