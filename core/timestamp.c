/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT TIMESTAMP (SPC-4 6.38): the node's clock, which is set by other means than SET TIMESTAMP. */
#include <time.h>

#include "core/cmd.h"
#include "core/handlers.h"
#include "core/wire.h"

#define ORIGIN_OTHER 0x03 /* table 263: initialized by methods outside the standard */

void timestamp_report(struct scsi_cmd *cmd)
{
	uint8_t data[12] = { 0 };
	struct timespec ts;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &ts);
	ms = ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
	put_be16(data, sizeof(data) - 2);
	data[2] = ORIGIN_OTHER;
	put_be16(data + 4, ms >> 32);
	put_be32(data + 6, ms);
	cmd_reply(cmd, data, sizeof(data));
}
