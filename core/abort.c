/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/abort.h"

#include "core/cmd.h"
#include "core/core.h"
#include "core/lu.h"
#include "core/nexus.h"

bool abort_waits_for(const struct scsi_cmd *cmd)
{
	switch (cmd->state) {
	case CMD_CONTROL:
	case CMD_ADMITTED:
	case CMD_FORWARDED:
		return true;
	case CMD_RECEIVED:
	case CMD_HELD:
	case CMD_DONE:
		break;
	}
	return false;
}

static void mark(struct scsi_cmd *cmd)
{
	const struct core *core = cmd->reactor->core;

	cmd->aborted = true;
	if (cmd->forward && cmd->state == CMD_ADMITTED && core->forward.aborted)
		core->forward.aborted(core->forward.arg, cmd);
}

void cmd_abort_silently(struct scsi_cmd *cmd)
{
	if (!cmd->aborted)
		mark(cmd);
	cmd->tell_abort = false;
}

static bool is_own_wish(const struct scsi_cmd *cmd, const struct abort_cause *cause)
{
	return cause->by && nexus_id_eq(cause->by, &cmd->nexus->id) && (cmd->asked || !cause->function);
}

void cmd_abort(struct scsi_cmd *cmd, const struct abort_cause *cause)
{
	if (is_own_wish(cmd, cause)) {
		cmd_abort_silently(cmd);
		return;
	}
	if (cmd->aborted) /* what it hears is settled */
		return;
	mark(cmd);
	if (cmd->remote || cmd->inner) /* told by the node it entered through, or by the whole */
		return;
	if (lu_read(cmd->lu, mode)->tas)
		cmd->tell_abort = true;
	else if (!cause->reset)
		ua_queue_push(&cmd->itl->ua, UA_COMMANDS_CLEARED_BY_ANOTHER);
}

void abort_tell(struct scsi_cmd *cmd)
{
	cmd->aborted = false;
	cmd->status = STATUS_TASK_ABORTED;
	cmd->sense_len = 0;
	cmd->data_in_len = 0;
}
