/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT SUPPORTED OPERATION CODES (SPC-4 6.35), REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS
 * (6.36): the command table, told. */
#include <stdlib.h>
#include <string.h>

#include "core/cdb.h"
#include "core/handlers.h"
#include "core/hooks.h"
#include "core/lu.h"
#include "core/pi_cmd.h"
#include "core/wire.h"

enum reporting_options { REPORT_ALL, REPORT_OPCODE, REPORT_SERVICE_ACTION, REPORT_EITHER };
enum support { NOT_SUPPORTED = 1, SUPPORTED = 3 };

#define TIMEOUTS_LEN 12
#define CTDP_ALL 0x02  /* in a command descriptor of the list */
#define CTDP_ONE 0x80  /* in the one_command format */
#define SERVACTV 0x01

static bool wipes_not_yet(const struct core *core)
{
	return __atomic_load_n(&core->wipes.not_yet, __ATOMIC_RELAXED);
}

static bool is_for_cdrom(const struct cdb_row *row)
{
	return row->exec == cdrom_read_toc || row->exec == cdrom_get_configuration ||
	       row->exec == cdrom_get_event_status || row->exec == cdrom_read_disc_information;
}

/* This logical unit serves the row, now. */
static bool serves(const struct scsi_cmd *cmd, const struct cdb_row *row)
{
	if ((row->exec == unmap || row->exec == sanitize_block_erase) && !cmd->lu->thin)
		return false;
	if (row->exec == sanitize_crypto_erase && !cmd->lu->disk_params.key_file)
		return false;
	if (row->exec == rmw_write_atomic && !cmd->lu->atomic_max_blocks)
		return false;
	if ((row->flags & ROW_WIPES) && (!cmd->lu->wipes || wipes_not_yet(cmd->reactor->core)))
		return false;
	if (row->opcode == CDB_VARIABLE && cmd->lu->pi_type != PI_TYPE_2)
		return false;
	if ((row->exec == rod_copy_populate || row->exec == rod_copy_write || row->exec == copy_results_token) &&
	    (cmd->lu->removable || cmd->lu->cdrom))
		return false;
	if (is_for_cdrom(row) && !cmd->lu->cdrom)
		return false;
	return hooks_serve(cmd->reactor->core, row);
}

/* Command timeouts descriptor (6.35.4): no timeouts are given. */
static uint8_t *put_timeouts(uint8_t *p)
{
	put_be16(p, TIMEOUTS_LEN - 2);
	return p + TIMEOUTS_LEN;
}

/* ---- all commands (6.35.2) ------------------------------------------------------------------- */

static uint8_t *put_row(uint8_t *p, const struct cdb_row *row, bool rctd)
{
	p[0] = row->opcode;
	if (row->sa != CDB_NO_SA) {
		put_be16(p + 2, row->sa);
		p[5] = SERVACTV;
	}
	p[5] |= rctd ? CTDP_ALL : 0;
	put_be16(p + 6, row->cdb_len);
	return rctd ? put_timeouts(p + 8) : p + 8;
}

static void report_all(struct scsi_cmd *cmd, bool rctd)
{
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);
	uint8_t *data = calloc(1, 4 + n * (8 + TIMEOUTS_LEN)), *p = data + 4;

	if (!data) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (serves(cmd, &row[i]))
			p = put_row(p, &row[i], rctd);
	put_be32(data, p - data - 4);
	cmd_reply(cmd, data, p - data);
	free(data);
}

/* ---- one command (6.35.3) -------------------------------------------------------------------- */

static void report_one(struct scsi_cmd *cmd, const struct cdb_row *row, bool rctd)
{
	uint8_t data[4 + 32 + TIMEOUTS_LEN] = { 0 }, *p = data + 4;

	data[1] = NOT_SUPPORTED;
	if (row && serves(cmd, row)) {
		data[1] = SUPPORTED | (rctd ? CTDP_ONE : 0);
		put_be16(data + 2, row->cdb_len);
		for (int i = 0; i < row->cdb_len; i++)
			p[i] = row->usage[i] | pi_cdb_bits(cmd->lu, row, i, true);
		p[cdb_control_at(row)] |= CDB_CONTROL_NACA;
		p += row->cdb_len;
		if (rctd)
			p = put_timeouts(p);
	}
	cmd_reply(cmd, data, p - data);
}

/* The row of operation code and service action; *has_sa: the operation code has service actions. */
static const struct cdb_row *find(uint8_t opcode, uint16_t sa, bool *has_sa)
{
	bool sa_unknown, variable = opcode == CDB_VARIABLE;
	const uint8_t cdb[32] = { opcode, variable ? 0 : sa & 0x1f, [8] = sa >> 8, [9] = sa };
	const struct cdb_row *row = cdb_find(cdb, &sa_unknown);

	*has_sa = sa_unknown || (row && row->sa != CDB_NO_SA);
	return *has_sa && !variable && sa > 0x1f ? NULL : row;
}

void opcodes_report(struct scsi_cmd *cmd)
{
	bool rctd = cmd->cdb[2] & 0x80, has_sa;
	uint16_t sa = get_be16(cmd->cdb + 4);
	const struct cdb_row *row = find(cmd->cdb[3], sa, &has_sa);

	switch (cmd->cdb[2] & 0x07) {
	case REPORT_ALL:
		report_all(cmd, rctd);
		return;
	case REPORT_OPCODE:
		if (has_sa)
			cmd_bad_field(cmd, 2, 2);
		else
			report_one(cmd, row, rctd);
		return;
	case REPORT_SERVICE_ACTION:
		if (row && !has_sa)
			cmd_bad_field(cmd, 2, 2);
		else
			report_one(cmd, row, rctd);
		return;
	case REPORT_EITHER: /* table 250: service action, or zero where there is none */
		report_one(cmd, has_sa || !sa ? row : NULL, rctd);
		return;
	}
	cmd_bad_field(cmd, 2, 2);
}

/* ---- task management functions --------------------------------------------------------------- */

void opcodes_report_tmfs(struct scsi_cmd *cmd)
{
	/* ABORT TASK, ABORT TASK SET, CLEAR ACA, CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK, TARGET RESET; QUERY
	 * ASYNCHRONOUS EVENT, QUERY TASK SET, I_T NEXUS RESET */
	uint8_t data[16] = { 0x80 | 0x40 | 0x20 | 0x10 | 0x08 | 0x04 | 0x02, 0x04 | 0x02 | 0x01 };
	bool repd = cmd->cdb[2] & 0x80;

	data[3] = repd ? sizeof(data) - 4 : 0;
	cmd_reply(cmd, data, repd ? sizeof(data) : 4);
}
