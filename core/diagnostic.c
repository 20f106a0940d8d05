/* SPDX-License-Identifier: BSD-2-Clause */
/* SEND DIAGNOSTIC (SPC-4): the default self-test only; RECEIVE DIAGNOSTIC RESULTS. */
#include "core/cmd.h"
#include "core/handlers.h"

/* SELFTEST=1: a logical unit whose command got through the gates works; there is no hardware of its own to test. */
void send_diagnostic(struct scsi_cmd *cmd)
{
	if (cmd->cdb[1] & 0x04)
		cmd_good(cmd, 0);
	else
		cmd_bad_field(cmd, 1, 2); /* no diagnostic pages, no other self-tests */
}

/* The one diagnostic page: which there are (7.2.17). */
void receive_diagnostic(struct scsi_cmd *cmd)
{
	static const uint8_t supported[] = { 0x00, 0, 0, 1, 0x00 };

	if ((cmd->cdb[1] & 0x01) && cmd->cdb[2])
		cmd_bad_field(cmd, 2, -1);
	else
		cmd_reply(cmd, supported, sizeof(supported));
}
