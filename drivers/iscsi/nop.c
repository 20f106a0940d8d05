/* SPDX-License-Identifier: BSD-2-Clause */
/* NOP-Out and NOP-In, both ways (RFC 7143 11.18, 11.19). */
#include <string.h>

#include "drivers/iscsi/conn.h"

void nop_out_begin(struct iscsi_conn *c)
{
	recv_own(c, c->rx.data_len);
}

static void echo(struct iscsi_conn *c, const uint8_t *req)
{
	uint8_t bhs[BHS_LEN] = { OP_NOP_IN, FLAG_FINAL };
	uint32_t len = c->rx.data_len;

	if (len > c->neg.active.send_segment)
		len = c->neg.active.send_segment;
	put_be32(bhs + BHS_ITT, get_be32(req + BHS_ITT));
	put_be32(bhs + BHS_TTT, TAG_NONE);
	send_misc(c, bhs, NUMBERS_STATUS, c->rx.own, len);
}

void nop_out_finish(struct iscsi_conn *c)
{
	const uint8_t *bhs = c->rx.hdr;

	if (get_be32(bhs + BHS_ITT) == TAG_NONE) { /* the answer to a ping of ours; not numbered */
		if (get_be32(bhs + BHS_TTT) == c->ping_ttt)
			c->ping_ttt = TAG_NONE;
		return;
	}
	if (pdu_take_cmdsn_only(c, bhs))
		echo(c, bhs);
}

void nop_ping(struct iscsi_conn *c)
{
	uint8_t bhs[BHS_LEN] = { OP_NOP_IN, FLAG_FINAL };

	if (++c->ttt == TAG_NONE)
		c->ttt = 0;
	c->ping_ttt = c->ttt;
	c->ping_sent = c->reactor->now;
	put_be32(bhs + BHS_ITT, TAG_NONE);
	put_be32(bhs + BHS_TTT, c->ping_ttt);
	send_misc(c, bhs, NUMBERS_NO_ADVANCE, NULL, 0);
}
