/* SPDX-License-Identifier: BSD-2-Clause */
/* What each request PDU is for: a row per operation code. And the checks that all of them share. */
#include "drivers/iscsi/pdu.h"

#include <stdarg.h>
#include <stdio.h>

#include "drivers/iscsi/conn.h"

struct pdu_row {
	const char *name;
	void (*begin)(struct iscsi_conn *c);  /* header is there: say where the data goes. NULL: has no data */
	void (*finish)(struct iscsi_conn *c); /* NULL: not supported */
	bool in_discovery;		      /* allowed in a discovery session (4.3) */
};

static void snack_refuse(struct iscsi_conn *c)
{
	pdu_reject(c, REJECT_SNACK); /* 11.16: error recovery level 0 has no SNACK */
}

static void login_again(struct iscsi_conn *c)
{
	pdu_reject_close(c, REJECT_PROTOCOL, "Login Request in full feature phase");
}

static const struct pdu_row rows[OPCODE_MASK + 1] = {
	[OP_NOP_OUT] = { "NOP-Out", nop_out_begin, nop_out_finish, true },
	[OP_SCSI_CMD] = { "SCSI Command", scsi_cmd_begin, scsi_cmd_finish, false },
	[OP_TMF_REQ] = { "Task Management Request", NULL, tmf_finish, false },
	[OP_LOGIN_REQ] = { "Login Request", NULL, login_again, true },
	[OP_TEXT_REQ] = { "Text Request", text_begin, text_finish, true },
	[OP_DATA_OUT] = { "SCSI Data-Out", data_out_begin, data_out_finish, false },
	[OP_LOGOUT_REQ] = { "Logout Request", NULL, logout_finish, true },
	[OP_SNACK] = { "SNACK Request", NULL, snack_refuse, false },
};

static const struct pdu_row *row_of(const struct iscsi_conn *c)
{
	return &rows[c->rx.hdr[0] & OPCODE_MASK];
}

/* ---- Reject (11.17) ---------------------------------------------------------------------------- */

void pdu_reject(struct iscsi_conn *c, enum reject_reason reason)
{
	uint8_t bhs[BHS_LEN] = { OP_REJECT, FLAG_FINAL, reason };

	put_be32(bhs + BHS_ITT, TAG_NONE);
	send_misc(c, bhs, NUMBERS_STATUS, c->rx.hdr, BHS_LEN);
}

void pdu_reject_close(struct iscsi_conn *c, enum reject_reason reason, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	pdu_reject(c, reason);
	log_warning("iscsi: %s (%s): %s; rejected, the connection ends", c->peer,
		    c->nexus.initiator[0] ? c->nexus.initiator : "no name yet", why);
	c->tx.close_when_empty = true;
}

/* ---- command numbering (4.2.2.1) ---------------------------------------------------------------- */

bool pdu_take_cmdsn(struct iscsi_conn *c, const uint8_t *bhs)
{
	uint32_t sn = get_be32(bhs + BHS_CMDSN);

	if (bhs[0] & BHS_IMMEDIATE)
		return true;
	if (sn_before(sn, c->exp_cmdsn) || sn_before(c->max_cmdsn, sn)) {
		log_debug("iscsi: %s: CmdSN %u is outside of %u to %u and ignored", c->peer, sn, c->exp_cmdsn,
			  c->max_cmdsn);
		return false;
	}
	if (sn != c->exp_cmdsn) {
		/* One connection delivers in order: what is missing will never come. */
		pdu_reject_close(c, REJECT_PROTOCOL, "CmdSN %u came while %u is expected", sn, c->exp_cmdsn);
		return false;
	}
	c->exp_cmdsn++;
	return true;
}

bool pdu_take_cmdsn_only(struct iscsi_conn *c, const uint8_t *bhs)
{
	bool ok = pdu_take_cmdsn(c, bhs);

	if (ok && !(bhs[0] & BHS_IMMEDIATE))
		c->max_cmdsn++;
	return ok;
}

/* ---- dispatch ----------------------------------------------------------------------------------- */

static bool in_login(const struct iscsi_conn *c)
{
	return c->state == CONN_LOGIN || c->state == CONN_REGISTERING;
}

/* A segment that begin() has not claimed is thrown away; nothing is stored of a PDU that is to be rejected. */
void pdu_begin(struct iscsi_conn *c)
{
	const struct pdu_row *row = row_of(c);

	if (c->rx.data_len > c->recv_segment_max) {
		conn_close(c, LOG_LEVEL_WARNING, "%s with a data segment of %u bytes; MaxRecvDataSegmentLength is %u",
			   row->name ? row->name : "PDU", c->rx.data_len, c->recv_segment_max);
		return;
	}
	if (in_login(c)) {
		login_begin(c);
		return;
	}
	if (row->begin && (row->in_discovery || !c->neg.discovery))
		row->begin(c);
}

void pdu_finish(struct iscsi_conn *c)
{
	const struct pdu_row *row = row_of(c);

	if (in_login(c)) {
		login_finish(c);
		return;
	}
	if (c->tx.close_when_empty) /* begin() has rejected it */
		return;
	if (!row->finish)
		pdu_reject_close(c, REJECT_NOT_SUPPORTED, "unknown operation code %02xh", c->rx.hdr[0] & OPCODE_MASK);
	else if (c->neg.discovery && !row->in_discovery)
		pdu_reject_close(c, REJECT_PROTOCOL, "%s in a discovery session", row->name);
	else
		row->finish(c);
}
