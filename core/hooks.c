/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows whose command lives above core: the control thread calls what the daemon wired. */
#include "core/hooks.h"

#include "core/cmd.h"
#include "core/handlers.h"
#include "core/lu.h"

static void call(struct scsi_cmd *cmd, enum core_hook h)
{
	const struct core *core = cmd->reactor->core;

	if (hooks_offered(core, h))
		core->hook[h].fn(core->hook[h].arg, cmd);
	else
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
}

void hooks_pr_in(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_PR_IN);
}

void hooks_pr_out(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_PR_OUT);
}

void hooks_reserve(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_SPC2_RESERVE);
}

void hooks_release(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_SPC2_RELEASE);
}

void hooks_rtpg(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_RTPG);
}

void hooks_stpg(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_STPG);
}

void hooks_mode_select(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_MODE_SELECT);
}

void hooks_set_timestamp(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_SET_TIMESTAMP);
}

void hooks_log_select(struct scsi_cmd *cmd)
{
	call(cmd, HOOK_LOG_SELECT);
}

static void removal_on_control(struct msg *m)
{
	call(caa_container_of(m, struct scsi_cmd, msg), HOOK_REMOVAL);
}

void hooks_removal(struct scsi_cmd *cmd)
{
	if (cmd->state == CMD_ADMITTED) /* an ejection waits for those who are, so must not be one of them */
		lu_unadmit(cmd, CMD_RECEIVED);
	cmd->state = CMD_CONTROL;
	cmd->msg.fn = removal_on_control;
	core_post_control(cmd->reactor->core, &cmd->msg);
}

static const struct {
	void (*exec)(struct scsi_cmd *cmd);
	enum core_hook hook;
} table[] = {
	{ hooks_pr_in, HOOK_PR_IN },
	{ hooks_pr_out, HOOK_PR_OUT },
	{ hooks_reserve, HOOK_SPC2_RESERVE },
	{ hooks_release, HOOK_SPC2_RELEASE },
	{ hooks_rtpg, HOOK_RTPG },
	{ hooks_stpg, HOOK_STPG },
	{ hooks_mode_select, HOOK_MODE_SELECT },
	{ hooks_set_timestamp, HOOK_SET_TIMESTAMP },
	{ hooks_log_select, HOOK_LOG_SELECT },
};

bool hooks_serve(const struct core *core, const struct cdb_row *row)
{
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].exec == row->exec)
			return hooks_offered(core, table[i].hook);
	return true;
}
