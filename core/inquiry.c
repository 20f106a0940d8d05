/* SPDX-License-Identifier: BSD-2-Clause */
/* INQUIRY, standard data (SPC-4 6.6); vital product data: vpd.c. */
#include <string.h>

#include "core/handlers.h"
#include "core/hooks.h"
#include "core/lu.h"
#include "core/vpd.h"
#include "core/wire.h"

#define STANDARD_LEN 96
#define WELL_KNOWN 0x1e /* device type: well-known logical unit */
#define NO_LU 0x7f /* qualifier 011b, device type 1Fh: no logical unit at this LUN (SPC-4 6.6.2) */

static const uint16_t version_descriptors[] = {
	0x00a0, /* SAM-5 */
	0x0960, /* iSCSI */
	0x0460, /* SPC-4 */
	0x04c0, /* SBC-3; the last one: what is not a block device has all but this */
};
#define NDESCRIPTORS (sizeof(version_descriptors) / sizeof(version_descriptors[0]))

static uint8_t peripheral(const struct scsi_cmd *cmd)
{
	if (!cmd->lu)
		return cmd->well_known ? WELL_KNOWN : NO_LU;
	return cmd->lu->cdrom ? 0x05 : 0x00;
}

static const struct lu_identity no_identity, well_known_identity = { .vendor = "SANDEM", .product = "REPORT LUNS",
								     .revision = "0001" };

static const struct lu_identity *identity(const struct scsi_cmd *cmd)
{
	return cmd->lu ? &cmd->lu->id : cmd->well_known ? &well_known_identity : &no_identity;
}

static void put_padded(uint8_t *p, const char *s, size_t len)
{
	size_t n = strnlen(s, len);

	memset(p, ' ', len);
	memcpy(p, s, n);
}

static uint8_t tpgs(const struct scsi_cmd *cmd)
{
	return hooks_offered(cmd->reactor->core, HOOK_STPG) ? 0x30 : 0x10; /* implicit and explicit : implicit */
}

static void standard(struct scsi_cmd *cmd)
{
	uint8_t data[STANDARD_LEN] = { 0 };
	const struct lu_identity *id = identity(cmd);
	const struct lu *lu = cmd->lu;

	data[0] = peripheral(cmd);
	data[1] = lu && lu->removable ? 0x80 : 0;
	data[2] = 0x06;	       /* SPC-4 */
	data[3] = 0x20 | 0x10 | 0x02; /* NORMACA, HISUP, response data format */
	data[4] = STANDARD_LEN - 5;
	data[5] = lu ? tpgs(cmd) | 0x08 | (lu->pi_type ? 0x01 : 0) : 0; /* TPGS, 3PC, PROTECT */
	data[6] = 0x10; /* MULTIP */
	data[7] = 0x02; /* CMDQUE */
	put_padded(data + 8, id->vendor, 8);
	put_padded(data + 16, id->product, 16);
	put_padded(data + 32, id->revision, 4);
	for (unsigned i = 0; i < NDESCRIPTORS - (!lu || lu->cdrom); i++)
		put_be16(data + 58 + 2 * i, version_descriptors[i]);
	cmd_reply(cmd, data, sizeof(data));
}

void inquiry(struct scsi_cmd *cmd)
{
	uint8_t page = cmd->cdb[2];

	if (cmd->cdb[1] & 0x01)
		vpd_page(cmd, page, peripheral(cmd));
	else if (page)
		cmd_bad_field(cmd, 2, -1);
	else
		standard(cmd);
}
