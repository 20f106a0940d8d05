/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT LUNS (SPC-4 6.33): the LUN map of this I_T nexus. */
#include <stdlib.h>

#include "core/cmd.h"
#include "core/handlers.h"
#include "core/nexus.h"
#include "core/wire.h"

enum select_report {
	SELECT_LUNS = 0x00,	  /* all but well-known logical units */
	SELECT_WELL_KNOWN = 0x01, /* there are none */
	SELECT_ALL = 0x02,
};

/* Peripheral device addressing where it fits, else flat space (SAM-5 4.8.3): what every
 * initiator understands. */
static void put_lun(uint8_t *p, uint16_t lun)
{
	p[0] = lun < 256 ? 0 : 0x40 | lun >> 8;
	p[1] = lun;
}

static void list(struct scsi_cmd *cmd)
{
	struct nexus *n = cmd->nexus;
	uint32_t len = 8 * n->nitl;
	uint8_t *data = calloc(1, 8 + len);

	if (!data) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	put_be32(data, len);
	for (uint32_t i = 0; i < n->nitl; i++) {
		put_lun(data + 8 + 8 * i, n->itl[i].lun);
		ua_queue_clear(&n->itl[i].ua, UA_REPORTED_LUNS_CHANGED);
	}
	cmd_reply(cmd, data, 8 + len);
	free(data);
}

void report_luns(struct scsi_cmd *cmd)
{
	const uint8_t none[8] = { 0 };

	switch (cmd->cdb[2]) {
	case SELECT_LUNS:
	case SELECT_ALL:
		list(cmd);
		return;
	case SELECT_WELL_KNOWN:
		cmd_reply(cmd, none, sizeof(none));
		return;
	}
	cmd_bad_field(cmd, 2, -1);
}
