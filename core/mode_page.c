/* SPDX-License-Identifier: BSD-2-Clause */
/* The mode pages (SPC-4 7.5, SBC-3 6.4): a row each, with its parameters as they are built and the fields of it that can change. */
#include <string.h>

#include "core/cdrom.h"
#include "core/lu.h"
#include "core/mode.h"
#include "core/thin.h"
#include "core/wire.h"

/* ---- fields ------------------------------------------------------------------------------------ */

static const struct field {
	size_t member; /* of struct mode_state */
	uint8_t max;
	uint16_t taken; /* 1 << value: those that are no reserved ones */
} fields[MODE_FIELDS] = {
	[MODE_WCE] = { offsetof(struct mode_state, wce), 1, 0x3 },
	[MODE_DSENSE] = { offsetof(struct mode_state, dsense), 1, 0x3 },
	[MODE_SWP] = { offsetof(struct mode_state, swp), 1, 0x3 },
	[MODE_QERR] = { offsetof(struct mode_state, qerr), 3, 0xb },		/* 10b is reserved */
	[MODE_TST] = { offsetof(struct mode_state, tst), 7, 0x3 },		/* 000b, 001b */
	[MODE_QAM] = { offsetof(struct mode_state, qam), 15, 0x3 },		/* restricted, unrestricted */
	[MODE_TAS] = { offsetof(struct mode_state, tas), 1, 0x3 },
	[MODE_UA_INTLCK] = { offsetof(struct mode_state, ua_intlck), 3, 0xd }, /* 01b is reserved */
	[MODE_TCMOS] = { offsetof(struct mode_state, tcmos), 1, 0x3 },
	[MODE_SCSIP] = { offsetof(struct mode_state, scsip), 1, 0x3 },
};

static uint8_t *member(struct mode_state *m, enum mode_field f)
{
	return (uint8_t *)m + fields[f].member;
}

uint8_t mode_value(const struct mode_state *m, enum mode_field f)
{
	return *member((struct mode_state *)m, f);
}

struct mode_state mode_with(const struct mode_state *m, const struct mode_change *c)
{
	struct mode_state out = *m;

	for (unsigned f = 0; f < MODE_FIELDS; f++)
		if (c->mask & 1u << f)
			*member(&out, f) = c->value[f];
	return out;
}

bool mode_change_good(const struct mode_change *c)
{
	for (unsigned f = 0; f < MODE_FIELDS; f++)
		if ((c->mask & 1u << f) && (c->value[f] > fields[f].max || !(fields[f].taken & 1u << c->value[f])))
			return false;
	return c->mask < 1u << MODE_FIELDS;
}

/* ---- what does not change: p[0] is the page's first byte ------------------------------------------- */

static void error_recovery(uint8_t *p)
{
	p[2] = 0x80; /* AWRE: reallocation is the medium's own affair */
}

static void control(uint8_t *p, const struct lu *lu)
{
	p[3] |= lu->pi_ato ? 0x80 : 0; /* ATO; DPICZ=0: protect fields of 000b are checked, too */
	put_be16(p + 6, 0xffff);       /* BUSY TIMEOUT PERIOD: no limit */
}

static void control_extension(uint8_t *p)
{
	p[4] |= 0x01; /* IALUAE: a failover is an implicit state change, and can't be switched off */
}

static void informational_exceptions(uint8_t *p)
{
	p[2] = 0x08; /* DEXCPT: none are reported */
}

/* ---- the table -------------------------------------------------------------------------------------- */

static bool is_thin(const struct lu *lu)
{
	return lu->thin;
}

static bool is_cdrom(const struct lu *lu)
{
	return lu->cdrom;
}

static bool is_disk(const struct lu *lu)
{
	return !lu->cdrom;
}

struct place { /* of a field in its page */
	uint8_t field, byte, shift;
};

#define PLACES_MAX 7

struct mode_page {
	uint8_t code;
	uint8_t subpage;
	uint8_t len; /* page length field: bytes behind it */
	uint8_t nplaces;
	struct place place[PLACES_MAX];
	void (*build)(uint8_t *p);
	void (*build_for)(uint8_t *p, const struct lu *lu); /* behind the header */
	bool (*exists)(const struct lu *lu);		    /* NULL: always */
};

static const struct mode_page pages[] = {
	{ 0x01, 0x00, 0x0a, .build = error_recovery },
	{ 0x02, 0x00, 0x0e, .exists = NULL },
	{ 0x08, 0x00, 0x12, 1, .place = { { MODE_WCE, 2, 2 } } },
	{ 0x0a, 0x00, 0x0a, 7, .build_for = control,
	  .place = { { MODE_TST, 2, 5 }, { MODE_DSENSE, 2, 2 }, { MODE_QAM, 3, 4 }, { MODE_QERR, 3, 1 },
		     { MODE_UA_INTLCK, 4, 4 }, { MODE_SWP, 4, 3 }, { MODE_TAS, 5, 6 } } },
	{ 0x0a, 0x01, 0x1c, 2, .place = { { MODE_TCMOS, 4, 2 }, { MODE_SCSIP, 4, 1 } }, .build = control_extension,
	  .exists = is_disk },
	{ 0x1a, 0x00, 0x26, .exists = is_disk }, /* power condition: no timer runs */
	{ 0x1c, 0x00, 0x0a, .build = informational_exceptions },
	{ 0x1c, 0x01, 0x0c, .exists = is_disk }, /* background control: no scan runs */
	{ 0x1c, 0x02, THIN_MODE_PAGE_LEN, .build_for = thin_mode_page, .exists = is_thin },
	{ 0x2a, 0x00, CDROM_MODE_PAGE_LEN, .build_for = cdrom_mode_page, .exists = is_cdrom },
};
#define NPAGES (sizeof(pages) / sizeof(pages[0]))

const struct mode_page *mode_page_at(const struct lu *lu, unsigned n)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if ((!pages[i].exists || pages[i].exists(lu)) && n-- == 0)
			return &pages[i];
	return NULL;
}

uint8_t mode_page_code(const struct mode_page *page)
{
	return page->code;
}

uint8_t mode_page_subpage(const struct mode_page *page)
{
	return page->subpage;
}

/* ---- to and from bytes -------------------------------------------------------------------------------- */

/* The header (SPC-4 7.5.7), with PS where values are saved. Its length. */
static unsigned put_header(const struct mode_page *page, uint8_t *p)
{
	p[0] = page->code | (page->nplaces ? 0x80 : 0);
	p[1] = page->len;
	if (!page->subpage)
		return 2;
	p[0] |= 0x40; /* SPF */
	p[1] = page->subpage;
	put_be16(p + 2, page->len);
	return 4;
}

unsigned mode_page_put(const struct mode_page *page, const struct lu *lu, const struct mode_state *m,
		       enum page_control pc, uint8_t *p)
{
	unsigned head = put_header(page, p);

	memset(p + head, 0, page->len);
	for (unsigned i = 0; i < page->nplaces; i++) {
		const struct place *at = &page->place[i];

		p[at->byte] |= (pc == PC_CHANGEABLE ? fields[at->field].max : mode_value(m, at->field))
			       << at->shift;
	}
	if (pc != PC_CHANGEABLE && page->build)
		page->build(p);
	if (pc != PC_CHANGEABLE && page->build_for)
		page->build_for(p + head, lu);
	return head + page->len;
}

void mode_page_take(const struct mode_page *page, const uint8_t *p, struct mode_change *c)
{
	for (unsigned i = 0; i < page->nplaces; i++) {
		const struct place *at = &page->place[i];

		c->mask |= 1u << at->field;
		c->value[at->field] = p[at->byte] >> at->shift & fields[at->field].max;
	}
}
