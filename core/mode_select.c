/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MODE SELECT (6), (10) (SPC-4): from the parameter list to a change. All of it or nothing: what a page says
 * of a parameter that can't change must be what it is.
 *
 *   header ─▶ block descriptor: what it is already ─▶ page, page …
 */
#include <string.h>

#include "core/cdb.h"
#include "core/cmd.h"
#include "core/lu.h"
#include "core/mode.h"
#include "core/wire.h"

struct list {
	struct scsi_cmd *cmd;
	const uint8_t *p; /* the parameter list */
	uint32_t len, at;
	struct mode_state now; /* with what the pages before have changed */
	struct mode_change change;
};

enum taken { TAKEN, REFUSED /* answered */ };

static enum taken refuse(struct list *l, uint32_t byte, int bit)
{
	cmd_bad_param(l->cmd, byte, bit);
	return REFUSED;
}

static enum taken cut(struct list *l)
{
	cmd_sense(l->cmd, SENSE_PARAMETER_LIST_LENGTH);
	return REFUSED;
}

/* ---- header and block descriptor ------------------------------------------------------------------- */

/* The number of blocks may be left as it is in several ways; another one, or another block size, would need a format. */
static enum taken take_descriptor(struct list *l, bool long_lba)
{
	const uint8_t *p = l->p + l->at;
	uint64_t blocks = long_lba ? get_be64(p) : get_be32(p), have = __atomic_load_n(&l->cmd->lu->blocks, __ATOMIC_RELAXED);
	uint64_t all = long_lba ? UINT64_MAX : UINT32_MAX;
	uint32_t size = long_lba ? get_be32(p + 12) : get_be24(p + 5);

	if (blocks && blocks != all && blocks != have)
		return refuse(l, l->at, -1);
	if (size != l->cmd->lu->block_size)
		return refuse(l, l->at + (long_lba ? 12 : 5), -1);
	l->at += long_lba ? 16 : 8;
	return TAKEN;
}

/* MODE DATA LENGTH is reserved here; WP and DPOFUA are ignored: lists come back as MODE SENSE gave them. */
static enum taken take_header(struct list *l, unsigned header_len)
{
	bool long_lba = header_len == 8 && (l->p[4] & 1);
	uint32_t descriptors;

	if (l->len < header_len)
		return cut(l);
	descriptors = header_len == 8 ? get_be16(l->p + 6) : l->p[3];
	if (l->p[header_len == 8 ? 2 : 1] && !l->cmd->lu->cdrom)
		return refuse(l, header_len == 8 ? 2 : 1, -1); /* MEDIUM TYPE, SBC-3 6.4.1 */
	l->at = header_len;
	if (!descriptors)
		return TAKEN;
	if (descriptors != (long_lba ? 16u : 8u))
		return refuse(l, header_len == 8 ? 6 : 3, -1);
	if (l->len - l->at < descriptors)
		return cut(l);
	return take_descriptor(l, long_lba);
}

/* ---- pages --------------------------------------------------------------------------------------------- */

static const struct mode_page *find(const struct lu *lu, uint8_t code, uint8_t subpage)
{
	const struct mode_page *page;

	for (unsigned i = 0; (page = mode_page_at(lu, i)); i++)
		if (mode_page_code(page) == code && mode_page_subpage(page) == subpage)
			return page;
	return NULL;
}

/* Each bit that can't change is as it is. */
static enum taken compare(struct list *l, const struct mode_page *page, const uint8_t *p, unsigned head, unsigned len)
{
	uint8_t is[MODE_PAGE_MAX], may[MODE_PAGE_MAX];

	mode_page_put(page, l->cmd->lu, &l->now, PC_CURRENT, is);
	mode_page_put(page, l->cmd->lu, &l->now, PC_CHANGEABLE, may);
	for (unsigned i = head; i < len; i++) {
		uint8_t wrong = (p[i] ^ is[i]) & ~may[i];

		if (wrong)
			return refuse(l, l->at + i, 31 - __builtin_clz(wrong));
	}
	return TAKEN;
}

/* The byte of the page in which a field has a value that is reserved; 0: none has. */
static unsigned reserved_value(const struct mode_page *page, const uint8_t *p, unsigned len)
{
	for (unsigned i = 2; i < len; i++) {
		uint8_t one[MODE_PAGE_MAX] = { 0 };
		struct mode_change c = { 0 };

		one[i] = p[i];
		mode_page_take(page, one, &c);
		if (!mode_change_good(&c))
			return i;
	}
	return 0;
}

static enum taken take_page(struct list *l)
{
	const uint8_t *p = l->p + l->at;
	uint32_t left = l->len - l->at;
	unsigned head = p[0] & 0x40 ? 4 : 2, len, wrong;
	const struct mode_page *page;
	uint8_t is[MODE_PAGE_MAX];

	if (left < head)
		return cut(l);
	page = find(l->cmd->lu, p[0] & 0x3f, head == 4 ? p[1] : 0);
	if (!page || (head == 4) != (mode_page_subpage(page) != 0))
		return refuse(l, l->at, 5);
	len = mode_page_put(page, l->cmd->lu, &l->now, PC_CURRENT, is);
	if (memcmp(p + 1, is + 1, head - 1) != 0)
		return refuse(l, l->at + (head == 4 ? 2 : 1), -1); /* PAGE LENGTH */
	if (left < len)
		return cut(l);
	if (compare(l, page, p, head, len) == REFUSED)
		return REFUSED;
	wrong = reserved_value(page, p, len);
	if (wrong)
		return refuse(l, l->at + wrong, -1);
	mode_page_take(page, p, &l->change);
	l->now = mode_with(&l->now, &l->change);
	l->at += len;
	return TAKEN;
}

bool mode_select_parse(struct scsi_cmd *cmd, const struct mode_state *m, struct mode_change *c, bool *save)
{
	unsigned header_len = cmd->row->cdb_len == 6 ? 4 : 8;
	struct list l = { .cmd = cmd, .p = cmd->buf, .len = cmd->data_out_got, .now = *m };

	*save = cmd->cdb[1] & 0x01;
	*c = (struct mode_change){ 0 };
	if (!cmd->alloc_len) /* nothing is transferred, not an error */
		return true;
	if (!(cmd->cdb[1] & 0x10)) { /* PF: pages as SPC-4 describes them */
		cmd_bad_field(cmd, 1, 4);
		return false;
	}
	if (cmd->data_out_got < cmd->alloc_len || take_header(&l, header_len) == REFUSED) {
		if (cmd->data_out_got < cmd->alloc_len)
			cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	while (l.at < l.len)
		if (take_page(&l) == REFUSED)
			return false;
	*c = l.change;
	return true;
}
