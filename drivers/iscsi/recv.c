/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes → PDUs. One receive fills the buffer, everything in it is parsed; what is missing of a large data segment goes
 * straight to where it belongs, and whatever follows it into the buffer, with the same receive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/iscsi/conn.h"
#include "drivers/iscsi/digest.h"

/* ---- steps of the parser: true when there may be more to do with the bytes at hand ----------- */

static uint32_t available(const struct rx *rx)
{
	return rx->tail - rx->head;
}

static uint32_t header_len(const struct iscsi_conn *c, const uint8_t *bhs)
{
	return BHS_LEN + 4 * bhs[BHS_AHS_LEN] + (c->header_digest ? DIGEST_LEN : 0);
}

static bool header_digest_good(struct iscsi_conn *c, uint32_t len)
{
	uint32_t crc;

	if (!c->header_digest)
		return true;
	crc = digest_header(DIGEST_SEED, c->rx.hdr, len - DIGEST_LEN);
	if (crc == digest_get(c->rx.hdr + len - DIGEST_LEN))
		return true;
	/* 7.7: at error recovery level 0 the connection is given up; the PDU can't be answered */
	conn_close(c, LOG_LEVEL_WARNING, "header digest error: the network or the initiator corrupts data");
	return false;
}

static bool step_header(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;
	uint32_t len;

	if (available(rx) < BHS_LEN)
		return false;
	len = header_len(c, rx->buf + rx->head);
	if (available(rx) < len)
		return false;
	memcpy(rx->hdr, rx->buf + rx->head, len);
	rx->head += len;
	if (!header_digest_good(c, len))
		return false;
	rx->data_len = get_be24(rx->hdr + BHS_DATA_LEN);
	rx->at = rx->dst_len = 0;
	rx->dst = NULL;
	rx->task = NULL;
	rx->crc = DIGEST_SEED;
	pdu_begin(c);
	rx->step = rx->data_len ? RX_DATA : RX_TAIL;
	return conn_open(c);
}

/* n bytes of the data segment are at p. */
static void data_consume(struct iscsi_conn *c, const uint8_t *p, uint32_t n)
{
	struct rx *rx = &c->rx;
	uint32_t keep = rx->at < rx->dst_len ? rx->dst_len - rx->at : 0;

	if (keep > n)
		keep = n;
	if (keep && rx->dst + rx->at != p)
		memcpy(rx->dst + rx->at, p, keep);
	if (c->data_digest)
		rx->crc = digest_data(rx->crc, p, n);
	rx->at += n;
}

static bool step_data(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;
	uint32_t n = rx->data_len - rx->at;

	if (n > available(rx))
		n = available(rx);
	data_consume(c, rx->buf + rx->head, n);
	rx->head += n;
	if (rx->at < rx->data_len)
		return false;
	rx->step = RX_TAIL;
	return true;
}

static bool data_digest_good(struct iscsi_conn *c, const uint8_t *tail, uint32_t pad)
{
	struct rx *rx = &c->rx;

	rx->crc = digest_data(rx->crc, tail, pad);
	if (rx->crc == digest_get(tail + pad))
		return true;
	pdu_reject_close(c, REJECT_DATA_DIGEST, "data digest error: the network or the initiator corrupts data");
	return false;
}

static bool step_tail(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;
	uint32_t pad = pdu_pad(rx->data_len);
	uint32_t digest = rx->data_len && c->data_digest ? DIGEST_LEN : 0;

	if (available(rx) < pad + digest)
		return false;
	if (digest && !data_digest_good(c, rx->buf + rx->head, pad))
		return false;
	rx->head += pad + digest;
	rx->step = RX_HEADER;
	pdu_finish(c);
	rx->task = NULL;
	return conn_open(c);
}

static bool step(struct iscsi_conn *c)
{
	switch (c->rx.step) {
	case RX_HEADER:
		return step_header(c);
	case RX_DATA:
		return step_data(c);
	case RX_TAIL:
		return step_tail(c);
	}
	return false;
}

static void parse(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;

	for (;;) {
		/* Answers that nobody reads: the initiator waits for us to read on. */
		if (rx->step == RX_HEADER && c->tx.nmisc >= MISC_PDUS_MAX) {
			rx->paused = true;
			return;
		}
		if (c->tx.close_when_empty) { /* nothing behind it counts any more */
			rx->head = rx->tail;
			return;
		}
		if (!step(c))
			return;
	}
}

/* ---- the socket ------------------------------------------------------------------------------- */

static void compact(struct rx *rx)
{
	uint32_t n = available(rx);

	if (rx->head && n)
		memmove(rx->buf, rx->buf + rx->head, n);
	rx->head = 0;
	rx->tail = n;
}

/* Room for what follows the data segment. Behind large ones little is taken, or much of the next one would land here
 * and had to be copied (1 MiB writes: a fifth of the time). */
static uint32_t room(const struct rx *rx)
{
	uint32_t n = RECV_BUF_LEN - rx->tail;

	return rx->data_len >= LARGE_SEGMENT && n > BEHIND_LARGE ? BEHIND_LARGE : n;
}

static void aim(struct rx *rx)
{
	uint32_t missing = rx->step == RX_DATA ? rx->data_len - rx->at : 0;
	unsigned n = 0;

	rx->direct = 0;
	if (missing >= DIRECT_RECV_MIN && rx->dst && rx->dst_len == rx->data_len && !available(rx)) {
		rx->direct = missing;
		rx->iov[n++] = (struct iovec){ rx->dst + rx->at, missing };
	}
	rx->iov[n++] = (struct iovec){ rx->buf + rx->tail, room(rx) };
	rx->msg = (struct msghdr){ .msg_iov = rx->iov, .msg_iovlen = n };
}

static void receive(struct iscsi_conn *c, bool likely)
{
	struct rx *rx = &c->rx;
	struct io_uring_sqe *sqe;

	compact(rx);
	aim(rx);
	sqe = reactor_sqe(c->reactor, &rx->op);
	if (rx->direct)
		io_uring_prep_recvmsg(sqe, c->fd, &rx->msg, 0);
	else
		io_uring_prep_recv(sqe, c->fd, rx->iov[0].iov_base, rx->iov[0].iov_len, 0);
	if (!likely)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	io_uring_sqe_set_data(sqe, &rx->op);
	rx->busy = true;
}

static void received(struct iscsi_conn *c, uint32_t n)
{
	struct rx *rx = &c->rx;
	uint32_t direct = n < rx->direct ? n : rx->direct;

	if (direct)
		data_consume(c, rx->dst + rx->at, direct);
	if (rx->direct && rx->at == rx->data_len)
		rx->step = RX_TAIL;
	rx->direct = 0;
	rx->tail += n - direct;
	c->heard = c->reactor->now;
}

static void recv_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct iscsi_conn *c = caa_container_of(op, struct iscsi_conn, rx.op);
	bool likely = flags & IORING_CQE_F_SOCK_NONEMPTY;

	c->rx.busy = false;
	if (!conn_open(c)) {
		conn_end_kick(c);
		return;
	}
	if (res == -EAGAIN || res == -EINTR) {
		receive(c, false);
		return;
	}
	if (res <= 0) {
		conn_close(c, LOG_LEVEL_INFO, "%s", res ? strerror(-res) : "the initiator closed the connection");
		return;
	}
	received(c, res);
	parse(c);
	if (conn_open(c) && !c->rx.paused)
		receive(c, likely);
}

void recv_resume(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;

	rx->paused = false;
	parse(c);
	if (conn_open(c) && !rx->paused && !rx->busy)
		receive(c, false);
}

/* ---- life ------------------------------------------------------------------------------------- */

bool recv_own(struct iscsi_conn *c, uint32_t len)
{
	struct rx *rx = &c->rx;

	if (rx->own_cap < len) {
		free(rx->own);
		rx->own = malloc(len);
		rx->own_cap = rx->own ? len : 0;
	}
	if (len && !rx->own) {
		conn_close(c, LOG_LEVEL_ERROR, "no memory for a data segment of %u bytes", len);
		return false;
	}
	rx->dst = rx->own;
	rx->dst_len = len;
	return true;
}

int recv_init(struct iscsi_conn *c)
{
	c->rx = (struct rx){ .op.done = recv_done };
	c->rx.buf = malloc(RECV_BUF_LEN);
	return c->rx.buf ? 0 : -ENOMEM;
}

void recv_fini(struct iscsi_conn *c)
{
	free(c->rx.buf);
	free(c->rx.own);
	c->rx.buf = c->rx.own = NULL;
}

void recv_start(struct iscsi_conn *c)
{
	receive(c, true);
}
