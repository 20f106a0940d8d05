/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode parameters that MODE SELECT can change, as fields of struct mode_state, and where they are in the
 * mode pages.
 *
 *   MODE SELECT ─▶ mode_select_parse() ─▶ struct mode_change ─▶ replicated (media/mode_service.h) ─▶ struct mode_state, published
 *   MODE SENSE  ─▶ mode_page_put(): the page, with current, changeable, default or saved values
 */
#ifndef SANDEM_CORE_MODE_H
#define SANDEM_CORE_MODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lu;
struct scsi_cmd;

/* Mode parameters that can change: immutable, published. Each member is a byte; one of them per enum mode_field. */
struct mode_state {
	uint8_t wce;	/* caching page (SBC-3 6.4.5) */
	uint8_t dsense; /* these: control page (SPC-4 7.5.8) */
	uint8_t swp;
	uint8_t qerr, tst, qam;
	uint8_t tas;
	uint8_t ua_intlck; /* UA_INTLCK_CTRL */
	uint8_t tcmos, scsip; /* control extension page: who sets the clock (core/timestamp.h) */
};
/* Otherwise the report of a unit attention clears it: */
enum { UA_INTLCK_KEEP = 2 /* REQUEST SENSE does */, UA_INTLCK_STATUS = 3 /* and BUSY and the like raise one */ };

enum mode_field { /* on the wire and in the store: never reused */
	MODE_WCE, MODE_DSENSE, MODE_SWP, MODE_QERR, MODE_TST, MODE_QAM, MODE_TAS, MODE_UA_INTLCK,
	MODE_TCMOS, MODE_SCSIP,
	MODE_FIELDS,
};

struct mode_change {
	uint32_t mask; /* 1 << enum mode_field: which of them */
	uint8_t value[MODE_FIELDS];
};

uint8_t mode_value(const struct mode_state *m, enum mode_field f);

/* What m is with c. */
struct mode_state mode_with(const struct mode_state *m, const struct mode_change *c);

/* Whether c has only values that a logical unit can take. Pure. */
bool mode_change_good(const struct mode_change *c);

/* ---- pages: core/mode_page.c ---- */

enum page_control { PC_CURRENT, PC_CHANGEABLE, PC_DEFAULT, PC_SAVED }; /* SPC-4 table 168 */

#define MODE_PAGE_MAX 64 /* bytes, header included */

struct mode_page;

/* The n-th page that the logical unit has, by code and subpage code; NULL: there are not so many. */
const struct mode_page *mode_page_at(const struct lu *lu, unsigned n);
uint8_t mode_page_code(const struct mode_page *page);
uint8_t mode_page_subpage(const struct mode_page *page);
/* Writes header and parameters; bytes written, at most MODE_PAGE_MAX. m: the values for anything but PC_CHANGEABLE. */
unsigned mode_page_put(const struct mode_page *page, const struct lu *lu, const struct mode_state *m,
		       enum page_control pc, uint8_t *p);
/* The fields that a page sent by MODE SELECT names, with their values, are added to c. */
void mode_page_take(const struct mode_page *page, const uint8_t *p, struct mode_change *c);

/* ---- MODE SELECT: core/mode_select.c ---- */

/*
 * Control thread, for HOOK_MODE_SELECT. Checks the parameter list against the current values m. False: the command has been
 * answered. True: *c is what it asks for (mask 0: nothing), *save says SP.
 */
bool mode_select_parse(struct scsi_cmd *cmd, const struct mode_state *m, struct mode_change *c, bool *save);

#endif
