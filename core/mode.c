/* SPDX-License-Identifier: BSD-2-Clause */
/* MODE SENSE (6), (10) (SPC-4 6.13, 6.14). */
#include "core/mode.h"

#include <string.h>

#include "core/handlers.h"
#include "core/hooks.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/wire.h"

#define ALL_PAGES 0x3f
#define ALL_SUBPAGES 0xff

/* ---- block descriptors (SBC-3 6.4.2) --------------------------------------------------------- */

static uint8_t *put_descriptor(uint8_t *p, const struct lu *lu, bool long_lba)
{
	uint64_t blocks = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED);

	if (long_lba) {
		put_be64(p, blocks);
		put_be32(p + 12, lu->block_size);
		return p + 16;
	}
	put_be32(p, blocks > UINT32_MAX ? UINT32_MAX : blocks);
	put_be24(p + 5, lu->block_size);
	return p + 8;
}

static uint8_t device_specific(const struct scsi_cmd *cmd)
{
	bool wp = cmd->lu->read_only || cmd->itl->read_only || lu_read(cmd->lu, mode)->swp;

	if (cmd->lu->cdrom) /* MMC-6 7.2.2: reserved */
		return 0;
	return (wp ? 0x80 : 0) | 0x10; /* WP, DPOFUA */
}

/* ---- which pages -------------------------------------------------------------------------------- */

static bool asked_for(const struct scsi_cmd *cmd, const struct mode_page *page)
{
	uint8_t code = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];

	return (code == ALL_PAGES || mode_page_code(page) == code) &&
	       (subpage == ALL_SUBPAGES || mode_page_subpage(page) == subpage);
}

/* Whether the page exists with any subpage; which byte of the CDB is wrong depends on it. */
static bool code_exists(const struct scsi_cmd *cmd)
{
	uint8_t code = cmd->cdb[2] & 0x3f;
	const struct mode_page *page;

	for (unsigned i = 0; (page = mode_page_at(cmd->lu, i)); i++)
		if (code == ALL_PAGES || mode_page_code(page) == code)
			return true;
	return false;
}

static bool any_asked_for(const struct scsi_cmd *cmd)
{
	const struct mode_page *page;

	for (unsigned i = 0; (page = mode_page_at(cmd->lu, i)); i++)
		if (asked_for(cmd, page))
			return true;
	return false;
}

/* False: answered with the error. */
static bool check(struct scsi_cmd *cmd)
{
	if (!code_exists(cmd)) {
		cmd_bad_field(cmd, 2, 5);
		return false;
	}
	if (!any_asked_for(cmd) || ((cmd->cdb[2] & 0x3f) == ALL_PAGES && cmd->cdb[3] && cmd->cdb[3] != ALL_SUBPAGES)) {
		cmd_bad_field(cmd, 3, -1);
		return false;
	}
	if (cmd->cdb[2] >> 6 == PC_SAVED && !hooks_offered(cmd->reactor->core, HOOK_MODE_SELECT)) {
		cmd_sense(cmd, SENSE_SAVING_NOT_SUPPORTED);
		return false;
	}
	return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct mode_state *values(const struct lu *lu, enum page_control pc)
{
	const struct mode_state *saved;

	switch (pc) {
	case PC_DEFAULT:
		return &lu->mode_default;
	case PC_SAVED:
		saved = lu_read(lu, mode_saved);
		return saved ? saved : &lu->mode_default;
	case PC_CURRENT:
	case PC_CHANGEABLE:
		break;
	}
	return lu_read(lu, mode);
}

static uint8_t *put_pages(const struct scsi_cmd *cmd, uint8_t *p)
{
	bool selectable = hooks_offered(cmd->reactor->core, HOOK_MODE_SELECT);
	enum page_control pc = cmd->cdb[2] >> 6;
	const struct mode_state *m = values(cmd->lu, pc);
	const struct mode_page *page;

	for (unsigned i = 0; (page = mode_page_at(cmd->lu, i)); i++) {
		unsigned len;

		if (!asked_for(cmd, page))
			continue;
		len = mode_page_put(page, cmd->lu, m, pc, p);
		if (!selectable) { /* then nothing can be changed or saved */
			p[0] &= 0x7f;
			if (pc == PC_CHANGEABLE)
				memset(p + (p[0] & 0x40 ? 4 : 2), 0, len - (p[0] & 0x40 ? 4 : 2));
		}
		p += len;
	}
	return p;
}

static void mode_sense(struct scsi_cmd *cmd, uint8_t header_len)
{
	uint8_t data[8 + 16 + 12 * MODE_PAGE_MAX] = { 0 }, *p = data + header_len;
	bool dbd = cmd->cdb[1] & 0x08, llbaa = header_len == 8 && (cmd->cdb[1] & 0x10);

	if (!check(cmd))
		return;
	if (!dbd)
		p = put_descriptor(p, cmd->lu, llbaa);
	if (header_len == 4) {
		data[2] = device_specific(cmd);
		data[3] = p - data - header_len;
	} else {
		data[3] = device_specific(cmd);
		data[4] = llbaa && !dbd; /* LONGLBA */
		put_be16(data + 6, p - data - header_len);
	}
	p = put_pages(cmd, p);
	if (header_len == 4)
		data[0] = p - data - 1;
	else
		put_be16(data, p - data - 2);
	cmd_reply(cmd, data, p - data);
}

void mode_sense_6(struct scsi_cmd *cmd)
{
	mode_sense(cmd, 4);
}

void mode_sense_10(struct scsi_cmd *cmd)
{
	mode_sense(cmd, 8);
}
