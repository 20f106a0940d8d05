/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/cmd.h"
#include "core/handlers.h"

/* The gates in front of it say all there is to say (SPC-4). */
void test_unit_ready(struct scsi_cmd *cmd)
{
	cmd_good(cmd, 0);
}
