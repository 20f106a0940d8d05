/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT TIMESTAMP, and what SET TIMESTAMP asks for (SPC-4). */
#include "core/timestamp.h"

#include <time.h>

#include "core/cmd.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/wire.h"

enum origin { ORIGIN_SET = 0x02, ORIGIN_OTHER = 0x03 /* initialized by methods outside the standard */ };
#define LIST_LEN 12
#define FIELD_AT 4
#define FIELD_MAX 0xf0 /* of its highest byte */

static uint64_t node_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

void timestamp_report(struct scsi_cmd *cmd)
{
	int64_t offset = __atomic_load_n(&cmd->lu->clock_offset, __ATOMIC_RELAXED);
	/* SCSIP=0: other methods go before SET TIMESTAMP (SPC-4 7.5.9) */
	bool set = offset != CLOCK_NOT_SET && lu_read(cmd->lu, mode)->scsip;
	uint64_t ms = node_clock() + (set ? (uint64_t)offset : 0);
	uint8_t data[12] = { 0 };

	put_be16(data, sizeof(data) - 2);
	data[2] = set ? ORIGIN_SET : ORIGIN_OTHER;
	put_be16(data + 4, ms >> 32);
	put_be32(data + 6, ms);
	cmd_reply(cmd, data, sizeof(data));
}

bool timestamp_parse(struct scsi_cmd *cmd, int64_t *offset)
{
	const uint8_t *p = cmd->buf;

	*offset = CLOCK_NOT_SET;
	if (!lu_read(cmd->lu, mode)->scsip) {
		cmd_bad_field(cmd, 1, -1);
		return false;
	}
	if (!cmd->alloc_len)
		return true;
	if (cmd->alloc_len < LIST_LEN || cmd->data_out_got < LIST_LEN) {
		cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (p[FIELD_AT] > FIELD_MAX) {
		cmd_bad_param(cmd, FIELD_AT, -1);
		return false;
	}
	*offset = (int64_t)(((uint64_t)get_be16(p + FIELD_AT) << 32 | get_be32(p + FIELD_AT + 2)) - node_clock());
	return true;
}
