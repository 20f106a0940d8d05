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

bool abort_asked(const struct scsi_cmd *cmd)
{
	return __atomic_load_n(&cmd->aborted, __ATOMIC_ACQUIRE);
}

static void on_control(struct msg *m)
{
	struct core *core = caa_container_of(m, struct core, control_aborted.msg);

	/* whoever is marked from here on posts anew; who was before, and did not, is seen */
	(void)__atomic_exchange_n(&core->control_aborted.posted, false, __ATOMIC_ACQ_REL);
	core->control_aborted.fn(core->control_aborted.arg);
}

static void tell_control(struct core *core)
{
	if (!core->control_aborted.fn || __atomic_exchange_n(&core->control_aborted.posted, true, __ATOMIC_ACQ_REL))
		return;
	core->control_aborted.msg.fn = on_control;
	core_post_control(core, &core->control_aborted.msg);
}

static void mark(struct scsi_cmd *cmd)
{
	struct core *core = cmd->reactor->core;

	__atomic_store_n(&cmd->aborted, true, __ATOMIC_RELEASE);
	if (cmd->state == CMD_CONTROL)
		tell_control(core);
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
