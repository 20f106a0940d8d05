/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MODE SENSE (6), (10) (SPC-4 6.13, 6.14; pages: 7.5, SBC-3 6.5). A page is a row; its function
 * writes current values, or with PC=01b the mask of what MODE SELECT can change.
 */
#include <string.h>

#include "core/cdrom.h"
#include "core/core.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/thin.h"
#include "core/wire.h"

enum page_control { PC_CURRENT, PC_CHANGEABLE, PC_DEFAULT, PC_SAVED };

#define ALL_PAGES 0x3f
#define ALL_SUBPAGES 0xff

/* What a unit starts with (SPC-4 7.5.8, SBC-3 6.5.5): all of mode_state but the write cache is
 * off. */
static const struct mode_state defaults = { .wce = true };

/* ---- the pages: p[0], p[1] are filled in by the caller --------------------------------------- */

static void error_recovery(uint8_t *p, const struct mode_state *m, bool changeable)
{
	(void)m;
	if (!changeable)
		p[2] = 0x80; /* AWRE: reallocation is the medium's own affair */
}

static void disconnect_reconnect(uint8_t *p, const struct mode_state *m, bool changeable)
{
	(void)p, (void)m, (void)changeable;
}

static void caching(uint8_t *p, const struct mode_state *m, bool changeable)
{
	p[2] = changeable || m->wce ? 0x04 : 0;
}

static void control(uint8_t *p, const struct mode_state *m, bool changeable)
{
	if (changeable) {
		p[2] = 0x04; /* D_SENSE */
		p[4] = 0x08; /* SWP */
		return;
	}
	p[2] = m->tst << 5 | (m->dsense ? 0x04 : 0);
	p[3] = m->qam << 4 | m->qerr << 1;
	p[4] = (m->ua_intlck ? 0x20 : 0) | (m->swp ? 0x08 : 0);
	p[5] = m->tas ? 0x40 : 0;
	put_be16(p + 8, 0xffff); /* BUSY TIMEOUT PERIOD: no limit */
}

static void informational_exceptions(uint8_t *p, const struct mode_state *m, bool changeable)
{
	(void)m;
	if (!changeable)
		p[2] = 0x08; /* DEXCPT: none are reported */
}

static bool is_thin(const struct lu *lu)
{
	return lu->thin;
}

static bool is_cdrom(const struct lu *lu)
{
	return lu->cdrom;
}

static const struct page {
	uint8_t code;
	uint8_t subpage;
	uint8_t len; /* page length field: bytes behind it */
	void (*build)(uint8_t *p, const struct mode_state *m, bool changeable);
	void (*build_fixed)(uint8_t *p, const struct lu *lu); /* instead, behind the header: nothing can be changed */
	bool (*exists)(const struct lu *lu); /* NULL: always */
} pages[] = {
	{ 0x01, 0x00, 0x0a, .build = error_recovery },
	{ 0x02, 0x00, 0x0e, .build = disconnect_reconnect },
	{ 0x08, 0x00, 0x12, .build = caching },
	{ 0x0a, 0x00, 0x0a, .build = control },
	{ 0x1c, 0x00, 0x0a, .build = informational_exceptions },
	{ 0x1c, 0x02, THIN_MODE_PAGE_LEN, .build_fixed = thin_mode_page, .exists = is_thin },
	{ 0x2a, 0x00, CDROM_MODE_PAGE_LEN, .build_fixed = cdrom_mode_page, .exists = is_cdrom },
};
#define NPAGES (sizeof(pages) / sizeof(pages[0]))

static uint8_t *put_page(uint8_t *p, const struct page *page, const struct scsi_cmd *cmd, enum page_control pc)
{
	const struct mode_state *m = pc == PC_DEFAULT ? &defaults : lu_read(cmd->lu, mode);
	bool selectable = cmd->reactor->core->hook[HOOK_MODE_SELECT].fn;

	unsigned head = 2;

	p[0] = page->code;
	p[1] = page->len;
	if (page->subpage) { /* the long header: SPF, SPC-4 7.5.7 */
		head = 4;
		p[0] |= 0x40;
		p[1] = page->subpage;
		put_be16(p + 2, page->len);
	}
	if (page->build && (pc != PC_CHANGEABLE || selectable))
		page->build(p, m, pc == PC_CHANGEABLE);
	else if (page->build_fixed && pc != PC_CHANGEABLE)
		page->build_fixed(p + head, cmd->lu);
	return p + head + page->len;
}

/* ---- block descriptors (SBC-3 6.5.2) --------------------------------------------------------- */

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

/* ---- the command ----------------------------------------------------------------------------- */

static bool asked_for(const struct scsi_cmd *cmd, const struct page *page)
{
	uint8_t code = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];

	return (code == ALL_PAGES || page->code == code) && (subpage == ALL_SUBPAGES || page->subpage == subpage) &&
	       (!page->exists || page->exists(cmd->lu));
}

/* Whether the page exists with any subpage; which byte of the CDB is wrong depends on it. */
static bool code_exists(uint8_t code, const struct lu *lu)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (code == ALL_PAGES || (pages[i].code == code && (!pages[i].exists || pages[i].exists(lu))))
			return true;
	return false;
}

static bool any_asked_for(const struct scsi_cmd *cmd)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (asked_for(cmd, &pages[i]))
			return true;
	return false;
}

/* False: answered with the error. */
static bool check(struct scsi_cmd *cmd)
{
	if (!code_exists(cmd->cdb[2] & 0x3f, cmd->lu)) {
		cmd_bad_field(cmd, 2, 5);
		return false;
	}
	if (!any_asked_for(cmd) || ((cmd->cdb[2] & 0x3f) == ALL_PAGES && cmd->cdb[3] && cmd->cdb[3] != ALL_SUBPAGES)) {
		cmd_bad_field(cmd, 3, -1);
		return false;
	}
	if (cmd->cdb[2] >> 6 == PC_SAVED) {
		cmd_sense(cmd, SENSE_SAVING_NOT_SUPPORTED);
		return false;
	}
	return true;
}

static void mode_sense(struct scsi_cmd *cmd, uint8_t header_len)
{
	uint8_t data[256] = { 0 }, *p = data + header_len;
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
	for (unsigned i = 0; i < NPAGES; i++)
		if (asked_for(cmd, &pages[i]))
			p = put_page(p, &pages[i], cmd, cmd->cdb[2] >> 6);
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
