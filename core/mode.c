/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MODE SENSE (6), (10) (SPC-4 6.13, 6.14; pages: 7.5, SBC-3 6.5). A page is a row; its function
 * writes current values, or with PC=01b the mask of what MODE SELECT can change.
 */
#include <string.h>

#include "core/core.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
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

static const struct page {
	uint8_t code;
	uint8_t len; /* page length field: bytes after the second */
	void (*build)(uint8_t *p, const struct mode_state *m, bool changeable);
} pages[] = {
	{ 0x01, 0x0a, error_recovery },
	{ 0x02, 0x0e, disconnect_reconnect },
	{ 0x08, 0x12, caching },
	{ 0x0a, 0x0a, control },
	{ 0x1c, 0x0a, informational_exceptions },
};
#define NPAGES (sizeof(pages) / sizeof(pages[0]))

static uint8_t *put_page(uint8_t *p, const struct page *page, const struct scsi_cmd *cmd, enum page_control pc)
{
	const struct mode_state *m = pc == PC_DEFAULT ? &defaults : lu_read(cmd->lu, mode);
	bool selectable = cmd->reactor->core->hook[HOOK_MODE_SELECT].fn;

	p[0] = page->code;
	p[1] = page->len;
	if (pc != PC_CHANGEABLE || selectable)
		page->build(p, m, pc == PC_CHANGEABLE);
	return p + 2 + page->len;
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

	return (wp ? 0x80 : 0) | 0x10; /* WP, DPOFUA */
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool pages_exist(uint8_t code)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (code == ALL_PAGES || pages[i].code == code)
			return true;
	return false;
}

/* False: answered with the error. */
static bool check(struct scsi_cmd *cmd)
{
	uint8_t code = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];

	if (!pages_exist(code)) {
		cmd_bad_field(cmd, 2, 5);
		return false;
	}
	if (subpage && subpage != ALL_SUBPAGES) { /* no page here has subpages */
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
	uint8_t data[256] = { 0 }, *p = data + header_len, code = cmd->cdb[2] & 0x3f;
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
		if (code == ALL_PAGES || pages[i].code == code)
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
