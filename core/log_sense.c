/* SPDX-License-Identifier: BSD-2-Clause */
/* LOG SENSE (SPC-4). A log page is a row; its function writes the parameters, ascending by parameter code. */
#include <string.h>

#include "core/handlers.h"
#include "core/log_pages.h"
#include "core/log_select.h"
#include "core/lu.h"
#include "core/thin.h"
#include "core/wire.h"

#define PARAMETERS_MAX 512
#define DS 0x80 /* nothing is saved */
#define SPF 0x40
#define ALL_SUBPAGES 0xff
#define PC_CUMULATIVE 1 /* current cumulative values: counts have no threshold or default values of their own */

static size_t supported(uint8_t *p, const struct lu *lu);

static bool is_thin(const struct lu *lu)
{
	return lu->thin;
}

static const struct page {
	uint8_t code;
	size_t (*build)(uint8_t *p, const struct lu *lu); /* returns the length, at most PARAMETERS_MAX */
	bool (*exists)(const struct lu *lu);		  /* NULL: always */
	bool list;					  /* of pages, not of parameters (7.3.16) */
} pages[] = {
	{ 0x00, supported, NULL, true },
	{ 0x02, log_pages_write_errors, NULL, false },
	{ 0x03, log_pages_read_errors, NULL, false },
	{ 0x0c, thin_log_parameters, is_thin, false },
	{ 0x0d, log_pages_temperature, NULL, false },
	{ 0x0e, log_pages_start_stop, NULL, false },
	{ 0x10, log_pages_self_tests, NULL, false },
	{ 0x15, log_pages_background_scan, NULL, false },
	{ 0x19, log_pages_statistics, NULL, false },
	{ 0x2f, log_pages_exceptions, NULL, false },
};
#define NPAGES (sizeof(pages) / sizeof(pages[0]))

static bool is_there(const struct page *page, const struct lu *lu)
{
	return !page->exists || page->exists(lu);
}

static size_t supported(uint8_t *p, const struct lu *lu)
{
	size_t n = 0;

	for (unsigned i = 0; i < NPAGES; i++)
		if (is_there(&pages[i], lu))
			p[n++] = pages[i].code;
	return n;
}

static size_t supported_with_subpages(uint8_t *p, const struct lu *lu)
{
	size_t n = 0;

	for (unsigned i = 0; i < NPAGES; i++) {
		if (!is_there(&pages[i], lu))
			continue;
		p[n++] = pages[i].code;
		p[n++] = 0;
		if (!pages[i].code) {
			p[n++] = 0;
			p[n++] = ALL_SUBPAGES;
		}
	}
	return n;
}

/* PARAMETER POINTER: those before it are left out; one behind the last is an error. */
static bool from_pointer(uint8_t *p, size_t *len, uint16_t pointer)
{
	size_t at = 0, last = 0;

	if (!pointer)
		return true;
	while (at < *len && get_be16(p + at) < pointer) {
		last = at;
		at += 4 + p[at + 3];
	}
	if (at == *len && (!*len || get_be16(p + last) < pointer))
		return false;
	*len -= at;
	memmove(p, p + at, *len);
	return true;
}

static const struct page *find(const struct scsi_cmd *cmd)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (pages[i].code == (cmd->cdb[2] & 0x3f) && is_there(&pages[i], cmd->lu))
			return &pages[i];
	return NULL;
}

bool log_page_exists(const struct lu *lu, uint8_t code, uint8_t subpage)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (pages[i].code == code && is_there(&pages[i], lu))
			return !subpage || (!code && subpage == ALL_SUBPAGES);
	return false;
}

void log_sense(struct scsi_cmd *cmd)
{
	const struct page *page = find(cmd);
	uint8_t data[4 + PARAMETERS_MAX] = { 0 }, subpage = cmd->cdb[3];
	uint16_t pointer = get_be16(cmd->cdb + 5);
	size_t len;

	if (!page) {
		cmd_bad_field(cmd, 2, 5);
		return;
	}
	if (subpage && (subpage != ALL_SUBPAGES || page->code)) {
		cmd_bad_field(cmd, 3, -1);
		return;
	}
	if (cmd->cdb[2] >> 6 != PC_CUMULATIVE && !page->list) {
		cmd_bad_field(cmd, 2, 7);
		return;
	}
	len = subpage ? supported_with_subpages(data + 4, cmd->lu) : page->build(data + 4, cmd->lu);
	if (page->list ? pointer : !from_pointer(data + 4, &len, pointer)) {
		cmd_bad_field(cmd, 5, -1);
		return;
	}
	data[0] = DS | (subpage ? SPF : 0) | page->code;
	data[1] = subpage;
	put_be16(data + 2, len);
	cmd_reply(cmd, data, 4 + len);
}
