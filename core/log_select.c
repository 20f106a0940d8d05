/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LOG SELECT (SPC-4 7.3.2.2): counters go back to zero; none can be given another value, and
 * none is saved. The parameter list can therefore only name pages, not change anything in them.
 */
#include "core/log_select.h"

#include "core/cmd.h"
#include "core/log_counters.h"
#include "core/wire.h"

#define PCR 0x02
#define SP 0x01
#define PC_DEFAULT_CUMULATIVE 3
#define ALL_SUBPAGES 0xff
#define HEADER_LEN 4

/* ---- answers: all return false ----------------------------------------------------------------- */

static bool bad_cdb(struct scsi_cmd *cmd, int byte, int bit)
{
	cmd_bad_field(cmd, byte, bit);
	return false;
}

static bool bad_list(struct scsi_cmd *cmd, int byte, int bit)
{
	cmd_bad_param(cmd, byte, bit);
	return false;
}

static bool cut(struct scsi_cmd *cmd)
{
	cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
	return false;
}

/* ---- without and with a list --------------------------------------------------------------------- */

/* Page 00h with subpage 00h stands for all pages. */
static uint32_t pages_named(uint8_t code, uint8_t subpage)
{
	int page = log_counters_of_page(code);

	if (!code && (!subpage || subpage == ALL_SUBPAGES))
		return subpage ? 0 : (1u << LOG_RESETS) - 1;
	return page < 0 ? 0 : 1u << page;
}

static bool reset(struct scsi_cmd *cmd, uint32_t *pages)
{
	uint8_t code = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];
	bool to_default = (cmd->cdb[1] & PCR) || cmd->cdb[2] >> 6 == PC_DEFAULT_CUMULATIVE;

	if (!log_page_exists(cmd->lu, code, 0))
		return bad_cdb(cmd, 2, 5);
	if (subpage != ALL_SUBPAGES && !log_page_exists(cmd->lu, code, subpage))
		return bad_cdb(cmd, 3, -1);
	if (to_default)
		*pages = pages_named(code, subpage);
	return true;
}

/* A page of the list at *at, and past it. */
static bool one_page(struct scsi_cmd *cmd, uint32_t *at)
{
	const uint8_t *p = cmd->buf + *at;
	uint32_t left = cmd->alloc_len - *at, len;

	if (left < HEADER_LEN)
		return cut(cmd);
	if (!log_page_exists(cmd->lu, p[0] & 0x3f, p[0] & 0x40 ? p[1] : 0))
		return bad_list(cmd, *at, 5);
	len = get_be16(p + 2);
	if (len > left - HEADER_LEN)
		return cut(cmd);
	if (len)
		return bad_list(cmd, *at + HEADER_LEN, -1);
	*at += HEADER_LEN;
	return true;
}

bool log_select_parse(struct scsi_cmd *cmd, uint32_t *pages)
{
	uint32_t at = 0;

	*pages = 0;
	if (cmd->cdb[1] & SP) /* DS=1 in every page: nothing is saved */
		return bad_cdb(cmd, 1, 0);
	if (!cmd->alloc_len)
		return reset(cmd, pages);
	if (cmd->cdb[1] & PCR)
		return bad_cdb(cmd, 1, 1);
	if (cmd->cdb[2] & 0x3f)
		return bad_cdb(cmd, 2, 5);
	if (cmd->cdb[3])
		return bad_cdb(cmd, 3, -1);
	if (cmd->data_out_got < cmd->alloc_len)
		return cut(cmd);
	while (at < cmd->alloc_len)
		if (!one_page(cmd, &at))
			return false;
	return true;
}
