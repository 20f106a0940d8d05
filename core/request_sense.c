/* SPDX-License-Identifier: BSD-2-Clause */
/* REQUEST SENSE (SPC-4): autosense has told everything else, so what is left is an operation
 * under way or a pending unit attention. */
#include "core/cmd.h"
#include "core/handlers.h"
#include "core/nexus.h"
#include "core/wipe.h"

static sense_t pending(struct scsi_cmd *cmd, struct sense_detail *d)
{
	struct ua_queue *q = cmd_unit_attentions(cmd);
	uint16_t ua;
	sense_t s;

	if (!q)
		return SENSE_LU_NOT_SUPPORTED;
	s = cmd->lu ? wipe_sense(cmd->lu, d) : SENSE_NONE;
	if (s != SENSE_NONE)
		return s;
	ua = ua_queue_pop(q);
	return ua ? SENSE(KEY_UNIT_ATTENTION, 0, 0) | ua : SENSE_NONE;
}

void request_sense(struct scsi_cmd *cmd)
{
	uint8_t data[SENSE_MAX];
	bool descriptor = cmd->cdb[1] & 0x01;
	struct sense_detail d = { .field = -1, .bit = -1 };
	sense_t s = pending(cmd, &d);
	size_t len;

	len = sense_build(data, s, descriptor, &d);
	cmd_reply(cmd, data, len);
}
