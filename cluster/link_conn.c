/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/link_conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIRECT_MIN 8192u /* less than that is copied: one receive for many frames is worth more */
#define TLS_BATCH 262144u /* bytes sealed at a time, but at least one frame */

/* ---- the end -------------------------------------------------------------------------------------------- */

static void give_back(struct cds_list_head *list)
{
	while (!cds_list_empty(list)) {
		struct link_frame *f = cds_list_first_entry(list, struct link_frame, link);

		cds_list_del(&f->link);
		f->queued = false;
		if (f->sent)
			f->sent(f);
	}
}

void link_conn_drop(struct link_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->rx.buf);
	free(c->rx.sealed);
	c->rx.buf = c->rx.sealed = NULL;
	link_tls_free(c->tls);
	c->tls = NULL;
}

/* Nothing is taken away while the kernel may still use it. */
static void end_step(struct reactor_hook *h)
{
	struct link_conn *c = caa_container_of(h, struct link_conn, end_hook);

	if (c->rx.busy || c->tx.busy)
		return;
	reactor_hook_cancel(&c->tx.hook);
	link_conn_drop(c);
	give_back(&c->tx.batch);
	give_back(&c->tx.queue);
	c->ops->ended(c);
}

void link_conn_close(struct link_conn *c, enum log_level level, const char *fmt, ...)
{
	const struct linger now = { .l_onoff = 1 };
	char why[256];
	va_list ap;

	if (c->closing)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_msg(level, "%s: closed: %s", c->name, why);
	c->closing = true;
	/* What is not sent yet must never be: it may be executed elsewhere by then. */
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	shutdown(c->fd, SHUT_RDWR); /* ends what the kernel still does with our buffers */
	reactor_defer(c->reactor, &c->end_hook);
}

int link_conn_detach(struct link_conn *c, struct link_tls **tls)
{
	int fd = c->fd;

	if (c->rx.at != c->rx.len || c->tx.busy || !cds_list_empty(&c->tx.queue) || (c->tls && !link_tls_drained(c->tls)))
		return -1;
	*tls = c->tls;
	c->tls = NULL;
	c->fd = -1;
	c->closing = true;
	reactor_defer(c->reactor, &c->end_hook);
	return fd;
}

/* ---- receiving -------------------------------------------------------------------------------------------- */

static void recv_more(struct link_conn *c)
{
	struct io_uring_sqe *sqe = reactor_sqe(c->reactor, &c->rx.op);

	c->rx.direct = !c->tls && c->rx.in_data && c->rx.dst && c->rx.data_left >= DIRECT_MIN;
	if (c->tls)
		io_uring_prep_recv(sqe, c->fd, c->rx.sealed, LINK_RECV_BUF, 0);
	else if (c->rx.direct)
		io_uring_prep_recv(sqe, c->fd, c->rx.dst, c->rx.data_left, 0);
	else
		io_uring_prep_recv(sqe, c->fd, c->rx.buf + c->rx.len, LINK_RECV_BUF - c->rx.len, 0);
	io_uring_sqe_set_data(sqe, &c->rx.op);
	c->rx.busy = true;
}

static void frame_done(struct link_conn *c)
{
	c->rx.in_data = false;
	c->ops->data(c);
}

/* Takes what there is of the running frame's data. */
static void take_data(struct link_conn *c)
{
	uint32_t n = c->rx.len - c->rx.at;

	if (n > c->rx.data_left)
		n = c->rx.data_left;
	if (c->rx.dst) {
		memcpy(c->rx.dst, c->rx.buf + c->rx.at, n);
		c->rx.dst += n;
	}
	c->rx.at += n;
	c->rx.data_left -= n;
	if (!c->rx.data_left)
		frame_done(c);
}

/* The next header and meta. False: they are not all there, or the connection ends. */
static bool take_head(struct link_conn *c)
{
	const uint8_t *p = c->rx.buf + c->rx.at;
	uint32_t n = c->rx.len - c->rx.at;
	struct link_header h;
	void *dst = NULL;
	int rc;

	if (n < LINK_HEADER_LEN)
		return false;
	rc = link_header_get(p, &h);
	if (rc < 0) {
		link_conn_close(c, LOG_LEVEL_ERROR, rc == -EPROTO ? "what came is not a frame of this protocol" :
								    "the peer speaks another version of this protocol");
		return false;
	}
	if (n < LINK_HEADER_LEN + h.meta_len)
		return false;
	c->rx.at += LINK_HEADER_LEN + h.meta_len;
	rc = c->ops->frame(c, &h, p + LINK_HEADER_LEN, &dst);
	if (rc < 0)
		link_conn_close(c, LOG_LEVEL_ERROR, "a frame of type %d does not fit: %s", h.type, strerror(-rc));
	if (c->closing)
		return false;
	c->rx.in_data = true;
	c->rx.data_left = h.data_len;
	c->rx.dst = dst;
	if (!h.data_len)
		frame_done(c);
	return !c->closing;
}

static void parse(struct link_conn *c)
{
	bool more = true;

	while (more && !c->closing) {
		if (c->rx.in_data && c->rx.at < c->rx.len)
			take_data(c);
		more = !c->rx.in_data && take_head(c);
	}
	if (c->rx.at && !c->closing) {
		memmove(c->rx.buf, c->rx.buf + c->rx.at, c->rx.len - c->rx.at);
		c->rx.len -= c->rx.at;
		c->rx.at = 0;
	}
}

static void tls_failed(struct link_conn *c, int rc)
{
	if (rc == -ECONNRESET)
		link_conn_close(c, LOG_LEVEL_NOTICE, "the peer ended it");
	else if (rc == -EPROTO && !link_tls_ready(c->tls))
		link_conn_close(c, LOG_LEVEL_ERROR, "no TLS with this peer: cluster name, link_tls and the file of key_file must "
			"be the same on every node");
	else
		link_conn_close(c, LOG_LEVEL_ERROR, "TLS: %s", strerror(-rc));
}

/* n bytes have come sealed: opens them, frame by frame. */
static void unseal(struct link_conn *c, uint32_t n)
{
	ssize_t got = link_tls_came(c->tls, c->rx.sealed, n);

	if (got < 0)
		tls_failed(c, got);
	while (c->tls && !c->closing) {
		got = link_tls_read(c->tls, c->rx.buf + c->rx.len, LINK_RECV_BUF - c->rx.len);
		if (got < 0)
			tls_failed(c, got);
		if (got <= 0)
			break;
		c->rx.len += got;
		parse(c);
	}
	if (!c->closing && !c->tx.busy)
		reactor_defer(c->reactor, &c->tx.hook); /* the handshake's answers, and what waited for its end */
}

static void recv_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct link_conn *c = caa_container_of(op, struct link_conn, rx.op);

	(void)flags;
	c->rx.busy = false;
	if (c->closing) {
		reactor_defer(c->reactor, &c->end_hook);
		return;
	}
	if (res == 0 || (res < 0 && res != -EINTR && res != -EAGAIN)) {
		link_conn_close(c, LOG_LEVEL_NOTICE, "%s", res ? strerror(-res) : "the peer ended it");
		return;
	}
	if (res > 0)
		c->heard = c->reactor->now;
	if (res > 0 && c->rx.direct) {
		c->rx.dst += res;
		c->rx.data_left -= res;
		if (!c->rx.data_left)
			frame_done(c);
	} else if (res > 0 && c->tls) {
		unseal(c, res);
	} else if (res > 0) {
		c->rx.len += res;
		parse(c);
	}
	if (!c->closing)
		recv_more(c);
}

/* ---- sending -------------------------------------------------------------------------------------------------- */

static void iov_add(struct link_conn *c, const void *p, uint32_t len)
{
	c->tx.iov[c->tx.niov++] = (struct iovec){ (void *)p, len };
	c->tx.bytes += len;
}

static void batch_fill(struct link_conn *c)
{
	while (!cds_list_empty(&c->tx.queue) && c->tx.niov + 2 <= LINK_IOV && !(c->tls && c->tx.bytes >= TLS_BATCH)) {
		struct link_frame *f = cds_list_first_entry(&c->tx.queue, struct link_frame, link);

		cds_list_move(&f->link, &c->tx.batch);
		f->started = true;
		iov_add(c, f->head, f->head_len);
		if (f->data_len)
			iov_add(c, f->data, f->data_len);
	}
}

/* What has been collected, sealed, and what TLS has to say of its own take its place. False: nothing. */
static bool batch_seal(struct link_conn *c)
{
	const void *p;
	ssize_t n = 0;

	for (unsigned i = 0; i < c->tx.niov && n == 0; i++)
		n = link_tls_write(c->tls, c->tx.iov[i].iov_base, c->tx.iov[i].iov_len);
	if (n == 0)
		n = link_tls_take(c->tls, &p);
	if (n < 0) {
		tls_failed(c, n);
		return false;
	}
	c->tx.niov = 0;
	c->tx.bytes = 0;
	if (n)
		iov_add(c, p, n);
	return n > 0;
}

static void batch_advance(struct link_conn *c, uint64_t n)
{
	c->tx.bytes -= n;
	while (n) {
		struct iovec *v = &c->tx.iov[c->tx.first];
		uint64_t step = n < v->iov_len ? n : v->iov_len;

		v->iov_base = (uint8_t *)v->iov_base + step;
		v->iov_len -= step;
		n -= step;
		c->tx.first += v->iov_len == 0;
	}
}

static void batch_msg(struct link_conn *c)
{
	c->tx.msg = (struct msghdr){ .msg_iov = &c->tx.iov[c->tx.first], .msg_iovlen = c->tx.niov - c->tx.first };
}

/* The socket buffer is full: io_uring sends the rest when there is room. */
static void send_later(struct link_conn *c)
{
	struct io_uring_sqe *sqe = reactor_sqe(c->reactor, &c->tx.op);

	batch_msg(c);
	io_uring_prep_sendmsg(sqe, c->fd, &c->tx.msg, MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data(sqe, &c->tx.op);
	c->tx.busy = true;
}

static bool send_now(struct link_conn *c)
{
	ssize_t n;

	batch_msg(c);
	n = sendmsg(c->fd, &c->tx.msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		link_conn_close(c, LOG_LEVEL_NOTICE, "sending failed: %s", strerror(errno));
		return false;
	}
	if (n > 0)
		batch_advance(c, n);
	if (c->tx.bytes)
		send_later(c);
	return !c->tx.busy;
}

/* False: there is nothing to be sent now. */
static bool next_batch(struct link_conn *c)
{
	c->tx.niov = c->tx.first = 0;
	c->tx.bytes = 0;
	if (!c->tls || link_tls_ready(c->tls))
		batch_fill(c);
	return c->tls ? batch_seal(c) : c->tx.niov > 0;
}

static void send_hook(struct reactor_hook *h)
{
	struct link_conn *c = caa_container_of(h, struct link_conn, tx.hook);

	while (!c->closing && !c->tx.busy && next_batch(c)) {
		if (!send_now(c))
			return;
		give_back(&c->tx.batch);
	}
}

static void send_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct link_conn *c = caa_container_of(op, struct link_conn, tx.op);

	(void)flags;
	c->tx.busy = false;
	if (c->closing) {
		reactor_defer(c->reactor, &c->end_hook);
		return;
	}
	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		link_conn_close(c, LOG_LEVEL_NOTICE, "sending failed: %s", strerror(-res));
		return;
	}
	if (res > 0)
		batch_advance(c, res);
	if (c->tx.bytes) {
		send_later(c);
		return;
	}
	give_back(&c->tx.batch);
	reactor_defer(c->reactor, &c->tx.hook); /* the next batch takes what this turn adds */
}

void link_conn_send(struct link_conn *c, struct link_frame *f, enum link_type type, uint64_t id, uint32_t meta_len,
		    const void *data, uint32_t data_len)
{
	const struct link_header h = { .type = type, .id = id, .meta_len = meta_len, .data_len = data_len };

	link_header_put(f->head, &h);
	f->head_len = LINK_HEADER_LEN + meta_len;
	f->data = data;
	f->data_len = data_len;
	f->queued = true;
	f->started = false;
	cds_list_add_tail(&f->link, &c->tx.queue);
	if (c->closing)
		reactor_defer(c->reactor, &c->end_hook); /* gives it back */
	else if (!c->tx.busy)
		reactor_defer(c->reactor, &c->tx.hook);
}

/* ---- the beginning ---------------------------------------------------------------------------------------------- */

int link_conn_start(struct link_conn *c, int fd)
{
	struct reactor *r = c->reactor;
	const struct link_conn_ops *ops = c->ops;
	const char *name = c->name;
	struct link_tls *tls = c->tls;

	*c = (struct link_conn){ .reactor = r, .ops = ops, .name = name, .fd = -1, .heard = r->now,
				 .end_hook.fn = end_step, .rx.op.done = recv_done, .tx.op.done = send_done,
				 .tx.hook.fn = send_hook };
	CDS_INIT_LIST_HEAD(&c->tx.queue);
	CDS_INIT_LIST_HEAD(&c->tx.batch);
	c->rx.buf = malloc(LINK_RECV_BUF);
	c->rx.sealed = tls ? malloc(LINK_RECV_BUF) : NULL;
	if (!c->rx.buf || (tls && !c->rx.sealed)) {
		free(c->rx.buf);
		free(c->rx.sealed);
		c->rx.buf = c->rx.sealed = NULL;
		c->tls = tls;
		return -ENOMEM;
	}
	c->fd = fd;
	c->tls = tls;
	recv_more(c);
	if (tls)
		reactor_defer(c->reactor, &c->tx.hook);
	return 0;
}
