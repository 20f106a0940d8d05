/* SPDX-License-Identifier: BSD-2-Clause */
/* Logout (RFC 7143 11.14, 11.15) and the Async Messages with which the target asks for it (11.9). */
#include "drivers/iscsi/conn.h"

static int response_code(const struct iscsi_conn *c, const uint8_t *bhs)
{
	bool mine = get_be16(bhs + LOGOUT_CID) == c->cid;

	switch (bhs[BHS_FLAGS] & LOGOUT_REASON_MASK) {
	case LOGOUT_CLOSE_SESSION:
		return LOGOUT_RSP_OK;
	case LOGOUT_CLOSE_CONNECTION:
		return mine ? LOGOUT_RSP_OK : LOGOUT_RSP_NO_CID;
	case LOGOUT_RECOVERY:
		return LOGOUT_RSP_NO_RECOVERY;
	}
	return -1;
}

void logout_finish(struct iscsi_conn *c)
{
	const uint8_t *req = c->rx.hdr;
	int code = response_code(c, req);
	uint8_t bhs[BHS_LEN] = { OP_LOGOUT_RSP, FLAG_FINAL, code };

	if (!pdu_take_cmdsn_only(c, req))
		return;
	if (code < 0) {
		pdu_reject(c, REJECT_INVALID_FIELD);
		return;
	}
	put_be32(bhs + BHS_ITT, get_be32(req + BHS_ITT));
	put_be16(bhs + LOGOUT_TIME2WAIT, c->neg.active.time2wait);
	put_be16(bhs + LOGOUT_TIME2RETAIN, c->neg.active.time2retain);
	if (send_misc(c, bhs, NUMBERS_STATUS, NULL, 0) && code == LOGOUT_RSP_OK)
		c->tx.close_when_empty = true;
}

static void async(struct iscsi_conn *c, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
	uint8_t bhs[BHS_LEN] = { OP_ASYNC, FLAG_FINAL };

	put_be32(bhs + BHS_ITT, TAG_NONE);
	bhs[ASYNC_EVENT] = event;
	put_be16(bhs + ASYNC_PARAM1, p1);
	put_be16(bhs + ASYNC_PARAM2, p2);
	put_be16(bhs + ASYNC_PARAM3, p3);
	send_misc(c, bhs, NUMBERS_STATUS, NULL, 0);
}

void logout_ask(struct iscsi_conn *c)
{
	uint32_t seconds = (c->server->set.logout_grace + 999) / 1000;

	async(c, ASYNC_REQUEST_LOGOUT, 0, 0, seconds);
}

void logout_tell(struct iscsi_conn *c)
{
	async(c, ASYNC_DROP_SESSION, 0, c->neg.active.time2wait, c->neg.active.time2retain);
	c->tx.close_when_empty = true;
}
