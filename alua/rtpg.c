/* SPDX-License-Identifier: BSD-2-Clause */
#include "alua/rtpg.h"

#include <stdlib.h>

#include "core/cmd.h"
#include "core/lu.h"
#include "core/wire.h"

enum { FORMAT_LENGTH_ONLY = 0, FORMAT_EXTENDED = 1 };

/* T_SUP, U_SUP, S_SUP, AO_SUP: only states that are used. */
#define SUPPORTED_STATES (0x80 | 0x08 | 0x04 | 0x01)
#define AN_SUP 0x02 /* where ports forward */

static size_t put_group(uint8_t *p, const struct alua_tpg *t, bool nonoptimized)
{
	p[0] = (t->preferred ? 0x80 : 0) | t->state;
	p[1] = SUPPORTED_STATES | (nonoptimized ? AN_SUP : 0);
	put_be16(p + 2, t->id);
	p[5] = t->status_code;
	p[7] = t->nports;
	for (uint16_t i = 0; i < t->nports; i++)
		put_be16(p + 8 + 4 * i + 2, t->rtpi[i]);
	return 8 + 4 * t->nports;
}

void rtpg_cmd(void *arg, struct scsi_cmd *cmd)
{
	const struct alua_gate *gate = lu_read(cmd->lu, gate);
	unsigned format = cmd->cdb[1] >> 5;
	size_t len = 8, max = 8;
	uint8_t *data;

	(void)arg;
	if (format > FORMAT_EXTENDED) {
		cmd_bad_field(cmd, 1, 7);
		return;
	}
	for (uint16_t i = 0; i < gate->ntpg; i++)
		max += 8 + 4 * gate->tpg[i].nports;
	data = calloc(1, max);
	if (!data) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	if (format == FORMAT_EXTENDED) {
		data[4] = FORMAT_EXTENDED << 4;
		data[5] = gate->transition_time;
	} else {
		len = 4;
	}
	for (uint16_t i = 0; i < gate->ntpg; i++)
		len += put_group(data + len, &gate->tpg[i], gate->nonoptimized);
	put_be32(data, len - 4);
	cmd_reply(cmd, data, len);
	free(data);
}
