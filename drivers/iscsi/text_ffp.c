/* SPDX-License-Identifier: BSD-2-Clause */
/* Text Request and Response in full feature phase (RFC 7143 11.10, 11.11): SendTargets, and the few keys that may be
 * declared again. Requests may be continued (C bit), and so may answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/iscsi/conn.h"

/* ---- the answer, in pieces of the initiator's MaxRecvDataSegmentLength ------------------------- */

static void next_ttt(struct iscsi_conn *c)
{
	if (++c->ttt == TAG_NONE)
		c->ttt = 0;
	c->text.ttt = c->ttt;
	c->text.active = true;
}

static void exchange_end(struct text_exchange *x)
{
	free(x->out);
	x->out = NULL;
	x->out_len = x->out_at = x->in_len = 0;
	x->active = false;
}

static void send_piece(struct iscsi_conn *c, bool final)
{
	struct text_exchange *x = &c->text;
	uint32_t len = x->out_len - x->out_at, at = x->out_at;
	uint8_t bhs[BHS_LEN] = { OP_TEXT_RSP };

	if (len > c->neg.active.send_segment) {
		len = c->neg.active.send_segment;
		bhs[BHS_FLAGS] = TEXT_CONTINUE;
		final = false;
	}
	x->out_at += len;
	if (final)
		bhs[BHS_FLAGS] = FLAG_FINAL;
	else
		next_ttt(c);
	put_be32(bhs + BHS_ITT, x->itt);
	put_be32(bhs + BHS_TTT, final ? TAG_NONE : x->ttt);
	send_misc(c, bhs, NUMBERS_STATUS, x->out ? x->out + at : NULL, len);
	if (final)
		exchange_end(x);
}

/* ---- the keys ------------------------------------------------------------------------------------ */

static int append(struct text_exchange *x, const char *p, size_t len)
{
	char *bigger = realloc(x->out, x->out_len + len + 1);

	if (!bigger)
		return -ENOMEM;
	memcpy(bigger + x->out_len, p, len);
	x->out = bigger;
	x->out_len += len;
	return 0;
}

static int send_targets(struct iscsi_conn *c, const char *value)
{
	static const char refused[] = "SendTargets=Reject";
	struct discovery d = { c->server->core, c->neg.initiator, c->neg.discovery ? NULL : c->target, c->local };
	char *found;
	size_t len;
	int rc = discovery_targets(&d, value, &found, &len);

	if (rc == -EINVAL)
		return append(&c->text, refused, sizeof(refused));
	if (rc)
		return rc;
	rc = append(&c->text, found, len);
	free(found);
	return rc;
}

static int other_key(struct iscsi_conn *c, const char *key, const char *value)
{
	char buf[TEXT_KEY_MAX + 32];
	struct text_writer w = { .buf = buf, .cap = sizeof(buf) };

	if (keys_pair(&c->neg, STAGE_FULL, key, value, &w))
		return -EINVAL;
	return w.len ? append(&c->text, buf, w.len) : 0;
}

/* 0; -EINVAL: malformed; -ENOMEM */
static int answer_all(struct iscsi_conn *c)
{
	struct text_reader r = { c->text.in, c->text.in + c->text.in_len };
	char *key, *value;
	int rc = 0;

	while (!rc) {
		switch (text_next(&r, &key, &value)) {
		case TEXT_END:
			return 0;
		case TEXT_MALFORMED:
			return -EINVAL;
		case TEXT_PAIR:
			rc = strcmp(key, "SendTargets") == 0 ? send_targets(c, value) : other_key(c, key, value);
			break;
		}
	}
	return rc;
}

/* ---- a request ----------------------------------------------------------------------------------- */

static bool collect(struct iscsi_conn *c)
{
	struct text_exchange *x = &c->text;
	uint32_t len = c->rx.data_len;
	char *bigger;

	if (x->in_len + len > TEXT_REQUEST_MAX) {
		pdu_reject_close(c, REJECT_PROTOCOL, "more than %d bytes of text in one request", TEXT_REQUEST_MAX);
		return false;
	}
	bigger = realloc(x->in, x->in_len + len + 1);
	if (!bigger) {
		conn_close(c, LOG_LEVEL_ERROR, "no memory for a text request");
		return false;
	}
	x->in = bigger;
	if (len)
		memcpy(x->in + x->in_len, c->rx.own, len);
	x->in_len += len;
	return true;
}

static void request(struct iscsi_conn *c, uint8_t flags)
{
	if (!collect(c))
		return;
	if (flags & TEXT_CONTINUE) {
		send_piece(c, false);
		return;
	}
	switch (answer_all(c)) {
	case 0:
		c->text.in_len = 0;
		send_piece(c, flags & FLAG_FINAL);
		break;
	case -ENOMEM:
		conn_close(c, LOG_LEVEL_ERROR, "no memory for a text response");
		break;
	default:
		pdu_reject_close(c, REJECT_PROTOCOL, "Text Request: malformed, or a value that is not allowed: %s",
				 c->neg.problem);
	}
}

void text_begin(struct iscsi_conn *c)
{
	recv_own(c, c->rx.data_len);
}

void text_finish(struct iscsi_conn *c)
{
	const uint8_t *bhs = c->rx.hdr;
	struct text_exchange *x = &c->text;
	uint32_t ttt = get_be32(bhs + BHS_TTT);
	uint8_t flags = bhs[BHS_FLAGS];

	if (!pdu_take_cmdsn_only(c, bhs))
		return;
	if (get_be32(bhs + BHS_ITT) == TAG_NONE || (flags & FLAG_FINAL && flags & TEXT_CONTINUE)) {
		pdu_reject_close(c, REJECT_PROTOCOL, "Text Request: reserved tag, or both F and C bit");
		return;
	}
	if (ttt == TAG_NONE) { /* a new exchange ends an old one (11.10.4) */
		exchange_end(x);
		x->itt = get_be32(bhs + BHS_ITT);
	} else if (!x->active || ttt != x->ttt || get_be32(bhs + BHS_ITT) != x->itt) {
		pdu_reject(c, REJECT_INVALID_FIELD);
		return;
	}
	if (x->out_at < x->out_len)
		send_piece(c, flags & FLAG_FINAL);
	else
		request(c, flags);
}

void text_free(struct iscsi_conn *c)
{
	exchange_end(&c->text);
	free(c->text.in);
	c->text.in = NULL;
}
