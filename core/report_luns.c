/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT LUNS (SPC-4 6.33): the LUN map of this I_T nexus, and the well-known logical unit behind which there is always
 * somebody to ask (SPC-4, REPORT LUNS well known logical unit). */
#include <stdlib.h>
#include <string.h>

#include "core/cmd.h"
#include "core/handlers.h"
#include "core/nexus.h"
#include "core/wire.h"

enum select_report {
	SELECT_LUNS = 0x00,	  /* all but well-known logical units */
	SELECT_WELL_KNOWN = 0x01,
	SELECT_ALL = 0x02,
	SELECT_ADMINISTRATIVE = 0x10, /* there are none: no logical unit is part of a conglomerate */
	SELECT_TOP_LEVEL = 0x11,      /* administrative ones and those of no conglomerate */
	SELECT_SUBSIDIARY = 0x12,     /* of the administrative logical unit that is asked */
};

#define WELL_KNOWN_LUN 0xc101 /* nexus_is_well_known() */

/* Peripheral device addressing where it fits, else flat space (SAM-5 4.7): what every
 * initiator understands. */
static void put_lun(uint8_t *p, uint16_t lun)
{
	p[0] = lun < 256 ? 0 : 0x40 | lun >> 8;
	p[1] = lun;
}

static void put_luns(const struct nexus *n, uint8_t *p)
{
	for (uint32_t i = 0; i < n->nitl; i++)
		put_lun(p + 8 * i, n->itl[i].lun);
}

/* Whatever was asked: the change of the inventory has been told (SPC-4 6.33). */
static void inventory_is_told(struct nexus *n)
{
	for (uint32_t i = 0; i < n->nitl; i++)
		ua_queue_clear(&n->itl[i].ua, UA_REPORTED_LUNS_CHANGED);
	ua_queue_clear(&n->well_known_ua, UA_REPORTED_LUNS_CHANGED);
}

static void list(struct scsi_cmd *cmd, bool luns, bool well_known)
{
	struct nexus *n = cmd->nexus;
	uint32_t nluns = luns ? n->nitl : 0, len = 8 * (nluns + well_known);
	uint8_t *data = calloc(1, 8 + len);

	if (!data) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	put_be32(data, len);
	if (luns)
		put_luns(n, data + 8);
	if (well_known)
		put_be16(data + 8 + 8 * nluns, WELL_KNOWN_LUN);
	inventory_is_told(n);
	cmd_reply(cmd, data, 8 + len);
	free(data);
}

/* Who is asked for the top level has to be the one at the top: LUN 0 or the well-known logical unit. */
static bool is_at_the_top(const struct scsi_cmd *cmd)
{
	static const uint8_t lun_0[8];

	return cmd->well_known || (cmd->itl ? cmd->itl->lun == 0 : !memcmp(cmd->lun, lun_0, sizeof(lun_0)));
}

void report_luns(struct scsi_cmd *cmd)
{
	switch (cmd->cdb[2]) {
	case SELECT_LUNS:
		list(cmd, true, false);
		return;
	case SELECT_WELL_KNOWN:
		list(cmd, false, true);
		return;
	case SELECT_ALL:
		list(cmd, true, true);
		return;
	case SELECT_TOP_LEVEL:
		list(cmd, is_at_the_top(cmd), false);
		return;
	case SELECT_ADMINISTRATIVE:
	case SELECT_SUBSIDIARY:
		list(cmd, false, false);
		return;
	}
	cmd_bad_field(cmd, 2, -1);
}
