/* SPDX-License-Identifier: BSD-2-Clause */
/* READ CAPACITY (10), (16) (SBC-3). */
#include "core/handlers.h"
#include "core/lu.h"
#include "core/cmd.h"
#include "core/wire.h"

/* A node that has never seen the medium, and no member that told it, does not know (0). */
static bool unknown(struct scsi_cmd *cmd, uint64_t blocks)
{
	if (lu_read(cmd->lu, gate)->no_medium) {
		cmd_sense(cmd, SENSE_MEDIUM_NOT_PRESENT);
		return true;
	}
	if (!blocks)
		cmd_sense(cmd, SENSE_LU_BECOMING_READY);
	return !blocks;
}

static uint64_t blocks_of(const struct lu *lu)
{
	return __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED);
}

void capacity_10(struct scsi_cmd *cmd)
{
	uint64_t blocks = blocks_of(cmd->lu), last = blocks - 1;
	uint8_t data[8];

	if (unknown(cmd, blocks))
		return;
	put_be32(data, last > UINT32_MAX ? UINT32_MAX : last); /* FFFFFFFFh: use READ CAPACITY (16) */
	put_be32(data + 4, cmd->lu->block_size);
	cmd->alloc_len = sizeof(data); /* this CDB has no allocation length */
	cmd_reply(cmd, data, sizeof(data));
}

void capacity_16(struct scsi_cmd *cmd)
{
	uint64_t blocks = blocks_of(cmd->lu);
	uint8_t data[32] = { 0 };

	if (unknown(cmd, blocks))
		return;
	put_be64(data, blocks - 1);
	put_be32(data + 8, cmd->lu->block_size);
	if (cmd->lu->pi_type)
		data[12] = (cmd->lu->pi_type - 1) << 1 | 0x01; /* P_TYPE, PROT_EN; P_I_EXPONENT is 0 */
	data[13] = cmd->lu->lb_per_pb_exp & 0x0f;
	if (cmd->lu->thin)
		data[14] = 0x80 | 0x40; /* LBPME, LBPRZ */
	cmd_reply(cmd, data, sizeof(data));
}
