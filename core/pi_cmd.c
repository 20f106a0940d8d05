/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/pi_cmd.h"

#include "core/cdb.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/pi.h"
#include "core/wire.h"

#define LEN_32 32

static bool is_32(const struct scsi_cmd *cmd)
{
	return cmd->row->cdb_len == LEN_32;
}

/* ---- the field ------------------------------------------------------------------------------- */

static int protect_byte(const struct cdb_row *row)
{
	return row->cdb_len == LEN_32 ? 10 : 1;
}

uint8_t pi_protect_field(const struct scsi_cmd *cmd)
{
	return cmd->row->flags & ROW_PROTECT ? cmd->cdb[protect_byte(cmd->row)] >> 5 : 0;
}

/* Type 2 leaves the short CDBs without a protect field: they can't say which reference tag to
 * expect (4.22.2.4). */
static bool too_short(const struct lu *lu, const struct cdb_row *row)
{
	return lu->pi_type == PI_TYPE_2 && row->cdb_len != LEN_32;
}

uint8_t pi_cdb_bits(const struct lu *lu, const struct cdb_row *row, int i, bool reported)
{
	if (!lu || !lu->pi_type)
		return 0;
	if (row->exec == format_unit)
		return i == 1 ? 0xc0 : 0; /* FMTPINFO */
	if (!(row->flags & ROW_PROTECT) || i != protect_byte(row) ||
	    (reported && too_short(lu, row)))
		return 0;
	return 0xe0;
}

bool pi_refuses(struct scsi_cmd *cmd)
{
	uint8_t protect = pi_protect_field(cmd);

	if (!protect)
		return false;
	if (too_short(cmd->lu, cmd->row))
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	else if (protect > 5)
		cmd_bad_field(cmd, protect_byte(cmd->row), 7);
	else
		return false;
	return true;
}

uint32_t pi_decode_32(const struct scsi_cmd *cmd, int *byte)
{
	*byte = 0;
	if (cmd->lu->pi_type != PI_TYPE_2)
		return SENSE_INVALID_OPCODE; /* READ (32) and the others are for type 2 only */
	*byte = 7;
	if (cmd->cdb[7] != LEN_32 - 8)
		return SENSE_INVALID_FIELD_IN_CDB;
	*byte = -1;
	return cmd->cdb_got == LEN_32 ? SENSE_NONE : SENSE_INVALID_FIELD_IN_CIU;
}

/* ---- the orders ------------------------------------------------------------------------------ */

/* By the protect field, where protection information is transferred; 000b: of what is read from the
 * medium. */
static const uint8_t checks[8] = { PI_ALL, PI_ALL, PI_APP | PI_REF, 0, PI_GUARD, PI_ALL, 0, 0 };

/* What the device server can know: the application tag is told only by CDBs of 32 bytes, the
 * reference tag of type 2 likewise; that of type 3 is the application client's own. */
static uint8_t known(const struct scsi_cmd *cmd)
{
	const struct lu *lu = cmd->lu;
	uint8_t k = PI_GUARD;

	if (lu->pi_type == PI_TYPE_1 || (lu->pi_type == PI_TYPE_2 && is_32(cmd)))
		k |= PI_REF;
	if (lu->pi_ato && is_32(cmd))
		k |= PI_APP;
	return k;
}

static void expect(const struct scsi_cmd *cmd, uint64_t block, struct pi_order *o)
{
	*o = (struct pi_order){ .type = cmd->lu->pi_type,
				.ato = cmd->lu->pi_ato,
				.ref = cmd->lba + block };
	if (is_32(cmd)) {
		o->ref = get_be32(cmd->cdb + 20) + block;
		o->app = get_be16(cmd->cdb + 24);
		o->app_mask = get_be16(cmd->cdb + 26);
	}
}

static bool verifies(const struct scsi_cmd *cmd)
{
	return cmd->row->exec == verify || cmd->row->exec == verify_after_write;
}

static void order_read(const struct scsi_cmd *cmd, struct pi_order *o)
{
	uint8_t protect = pi_protect_field(cmd);
	bool compares = verifies(cmd) && (cdb_options(cmd) & 0x06);

	if (cmd->row->exec == rmw_compare_and_write) {
		o->check = checks[0];
	} else if (cmd->row->exec == rmw_orwrite) {
		o->check = checks[0];
		o->interleaved = true;
	} else {
		/* what is compared with received protection information is not checked, too */
		o->check = compares && protect ? 0 : checks[protect];
		o->interleaved = protect && (compares || !verifies(cmd));
	}
	o->check &= known(cmd);
}

static void order_write(const struct scsi_cmd *cmd, struct pi_order *o)
{
	uint8_t protect = pi_protect_field(cmd);

	o->interleaved = protect || cmd->row->exec == rmw_orwrite;
	o->source = o->interleaved ? PI_IN_BUFFER : PI_GENERATED;
	o->check = protect && cmd->row->exec != rmw_orwrite ? checks[protect] & known(cmd) : 0;
}

void pi_order_for(const struct scsi_cmd *cmd, enum disk_op kind, uint64_t block, struct pi_order *o)
{
	expect(cmd, block, o);
	switch (kind) {
	case DISK_READ:
		order_read(cmd, o);
		return;
	case DISK_WRITE:
		order_write(cmd, o);
		return;
	case DISK_FLUSH:
	case DISK_DISCARD:
	case DISK_WRITE_ZEROES:
		return;
	}
}

void pi_order_received(const struct scsi_cmd *cmd, struct pi_order *o)
{
	uint8_t protect = pi_protect_field(cmd);

	expect(cmd, 0, o);
	o->check = protect ? checks[protect] & known(cmd) : 0;
}

/* VERIFY, comparison requirements: the guard unless it was not to be checked, either; tags that
 * belong to the device server never. */
uint8_t pi_compared(const struct scsi_cmd *cmd)
{
	uint8_t protect = pi_protect_field(cmd), c = protect == 2 ? 0 : PI_GUARD;

	if (!protect)
		return 0;
	if (cmd->lu->pi_ato)
		c |= PI_APP;
	if (cmd->lu->pi_type != PI_TYPE_3 || !cmd->lu->pi_ato)
		c |= PI_REF;
	return c;
}

/* ---- errors ---------------------------------------------------------------------------------- */

void pi_failed(struct scsi_cmd *cmd, uint8_t key, uint8_t bad, uint64_t lba)
{
	struct sense_detail d = { .field = -1, .bit = -1, .has_info = true, .info = lba };
	uint8_t ascq = bad == PI_GUARD ? 0x01 : bad == PI_APP ? 0x02 : 0x03;

	cmd_sense_detail(cmd, SENSE(key, 0x10, ascq), &d);
}
