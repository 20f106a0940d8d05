/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/iscsi/send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/iscsi/conn.h"
#include "drivers/iscsi/digest.h"

#define PDU_ARENA_MAX (BHS_LEN + DIGEST_LEN + BATCH_COPY_MAX + 3 + DIGEST_LEN)

/* ---- the batch -------------------------------------------------------------------------------- */

static bool batch_has_room(const struct send_batch *b)
{
	return b->npdus < BATCH_PDUS && b->arena_len + PDU_ARENA_MAX <= BATCH_ARENA &&
	       b->niov + 3 <= sizeof(b->iov) / sizeof(b->iov[0]);
}

static void batch_ref(struct send_batch *b, const void *p, uint32_t len)
{
	struct iovec *last = &b->iov[b->niov];

	b->bytes += len;
	if (b->niov > 0 && (uint8_t *)last[-1].iov_base + last[-1].iov_len == p) {
		last[-1].iov_len += len;
		return;
	}
	*last = (struct iovec){ (void *)p, len };
	b->niov++;
}

/* Room for len bytes in the arena, already part of the vector. */
static uint8_t *batch_put(struct send_batch *b, uint32_t len)
{
	uint8_t *p = b->arena + b->arena_len;

	b->arena_len += len;
	batch_ref(b, p, len);
	return p;
}

static void batch_header(struct iscsi_conn *c, const uint8_t *bhs)
{
	struct send_batch *b = c->tx.batch;
	uint32_t digest = c->header_digest ? DIGEST_LEN : 0;
	uint8_t *p = batch_put(b, BHS_LEN + digest);

	memcpy(p, bhs, BHS_LEN);
	if (digest)
		digest_put(p + BHS_LEN, digest_header(DIGEST_SEED, bhs, BHS_LEN));
}

static void batch_data(struct iscsi_conn *c, const void *data, uint32_t len)
{
	static const uint8_t zero[4];
	struct send_batch *b = c->tx.batch;
	uint32_t pad = pdu_pad(len), digest = c->data_digest ? DIGEST_LEN : 0;
	uint8_t *p;

	if (len <= BATCH_COPY_MAX)
		memcpy(batch_put(b, len), data, len);
	else
		batch_ref(b, data, len);
	if (!(pad + digest))
		return;
	p = batch_put(b, pad + digest);
	memcpy(p, zero, pad);
	if (digest)
		digest_put(p + pad, digest_data(digest_data(DIGEST_SEED, data, len), zero, pad));
}

void send_pdu(struct iscsi_conn *c, uint8_t bhs[48], enum send_numbers numbers, const void *data, uint32_t len)
{
	put_be24(bhs + BHS_DATA_LEN, len);
	switch (numbers) {
	case NUMBERS_STATUS:
		put_be32(bhs + BHS_STATSN, c->stat_sn++);
		break;
	case NUMBERS_NO_ADVANCE:
		put_be32(bhs + BHS_STATSN, c->stat_sn);
		break;
	case NUMBERS_NONE:
		break;
	}
	put_be32(bhs + BHS_EXPCMDSN, c->exp_cmdsn);
	put_be32(bhs + BHS_MAXCMDSN, c->max_cmdsn);
	batch_header(c, bhs);
	if (len)
		batch_data(c, data, len);
	c->tx.batch->npdus++;
}

static void batch_release(struct iscsi_conn *c)
{
	struct send_batch *b = c->tx.batch;
	struct out_item *i = b->owners, *next;

	b->owners = NULL;
	b->niov = b->first = b->npdus = b->arena_len = 0;
	b->bytes = 0;
	for (; i; i = next) {
		next = i->next;
		i->ops->release(c, i);
	}
}

/* ---- the queue -------------------------------------------------------------------------------- */

static struct out_item *queue_pop(struct tx *tx)
{
	struct out_item *i = tx->head;

	tx->head = i->next;
	if (!tx->head)
		tx->tail = &tx->head;
	i->queued = false;
	return i;
}

void send_queue(struct iscsi_conn *c, struct out_item *i)
{
	struct tx *tx = &c->tx;

	i->next = NULL;
	i->queued = true;
	*tx->tail = i;
	tx->tail = &i->next;
	if (!tx->busy)
		reactor_defer(c->reactor, &tx->hook);
}

void send_unqueue(struct iscsi_conn *c, struct out_item *i)
{
	struct out_item **p;

	if (!i->queued)
		return;
	for (p = &c->tx.head; *p != i; p = &(*p)->next)
		;
	*p = i->next;
	if (!*p)
		c->tx.tail = p;
	i->queued = false;
}

void send_drop(struct iscsi_conn *c)
{
	reactor_hook_cancel(&c->tx.hook);
	batch_release(c);
	while (c->tx.head) {
		struct out_item *i = queue_pop(&c->tx);

		if (i->ops->release)
			i->ops->release(c, i);
	}
}

static void batch_fill(struct iscsi_conn *c)
{
	struct send_batch *b = c->tx.batch;

	while (c->tx.head && batch_has_room(b)) {
		struct out_item *i = c->tx.head;

		if (!i->ops->emit(c, i))
			continue;
		queue_pop(&c->tx);
		if (i->ops->release) {
			i->next = b->owners;
			b->owners = i;
		}
	}
}

/* ---- the socket ------------------------------------------------------------------------------- */

static void batch_advance(struct send_batch *b, uint64_t n)
{
	b->bytes -= n;
	while (n) {
		struct iovec *v = &b->iov[b->first];
		uint64_t step = n < v->iov_len ? n : v->iov_len;

		v->iov_base = (uint8_t *)v->iov_base + step;
		v->iov_len -= step;
		n -= step;
		b->first += v->iov_len == 0;
	}
}

static void batch_msg(struct tx *tx)
{
	tx->msg = (struct msghdr){
		.msg_iov = &tx->batch->iov[tx->batch->first],
		.msg_iovlen = tx->batch->niov - tx->batch->first,
	};
}

/* The socket buffer is full: io_uring sends the rest when there is room. */
static void send_later(struct iscsi_conn *c)
{
	struct tx *tx = &c->tx;
	struct io_uring_sqe *sqe = reactor_sqe(c->reactor, &tx->op);

	batch_msg(tx);
	io_uring_prep_sendmsg(sqe, c->fd, &tx->msg, MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data(sqe, &tx->op);
	tx->busy = true;
}

static bool send_now(struct iscsi_conn *c)
{
	struct tx *tx = &c->tx;
	ssize_t n;

	batch_msg(tx);
	n = sendmsg(c->fd, &tx->msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_close(c, LOG_LEVEL_NOTICE, "sending failed: %s", strerror(errno));
		return false;
	}
	if (n > 0)
		batch_advance(tx->batch, n);
	if (tx->batch->bytes)
		send_later(c);
	return !tx->busy;
}

static void send_run(struct iscsi_conn *c)
{
	struct tx *tx = &c->tx;

	while (tx->head) {
		batch_fill(c);
		if (!send_now(c))
			return;
		batch_release(c);
	}
	if (tx->close_when_empty)
		conn_close(c, LOG_LEVEL_INFO, "closed as announced");
	else if (c->rx.paused)
		recv_resume(c);
}

static void send_hook(struct reactor_hook *h)
{
	struct iscsi_conn *c = caa_container_of(h, struct iscsi_conn, tx.hook);

	if (conn_open(c) && !c->tx.busy)
		send_run(c);
}

static void send_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct iscsi_conn *c = caa_container_of(op, struct iscsi_conn, tx.op);

	(void)flags;
	c->tx.busy = false;
	if (!conn_open(c)) {
		conn_end_kick(c);
		return;
	}
	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		conn_close(c, LOG_LEVEL_NOTICE, "sending failed: %s", strerror(-res));
		return;
	}
	if (res > 0)
		batch_advance(c->tx.batch, res);
	if (c->tx.batch->bytes) {
		send_later(c);
		return;
	}
	batch_release(c);
	reactor_defer(c->reactor, &c->tx.hook); /* the next batch takes what this turn adds */
}

/* ---- items other than SCSI answers -------------------------------------------------------------- */

struct misc_item {
	struct out_item item;
	enum send_numbers numbers;
	uint8_t bhs[BHS_LEN];
	uint32_t len;
	uint8_t data[];
};

static bool misc_emit(struct iscsi_conn *c, struct out_item *i)
{
	struct misc_item *m = caa_container_of(i, struct misc_item, item);

	send_pdu(c, m->bhs, m->numbers, m->data, m->len);
	return true;
}

static void misc_release(struct iscsi_conn *c, struct out_item *i)
{
	c->tx.nmisc--;
	free(caa_container_of(i, struct misc_item, item));
}

static const struct out_ops misc_ops = { misc_emit, misc_release };

bool send_misc(struct iscsi_conn *c, const uint8_t bhs[48], enum send_numbers numbers, const void *data, uint32_t len)
{
	struct misc_item *m = malloc(sizeof(*m) + len);

	if (!m) {
		conn_close(c, LOG_LEVEL_ERROR, "no memory for an answer of %u bytes", len);
		return false;
	}
	*m = (struct misc_item){ .item.ops = &misc_ops, .numbers = numbers, .len = len };
	memcpy(m->bhs, bhs, BHS_LEN);
	if (len)
		memcpy(m->data, data, len);
	c->tx.nmisc++;
	send_queue(c, &m->item);
	return true;
}

/* ---- life ------------------------------------------------------------------------------------- */

int send_init(struct iscsi_conn *c)
{
	c->tx = (struct tx){ .tail = &c->tx.head, .hook.fn = send_hook, .op.done = send_done };
	c->tx.batch = malloc(sizeof(*c->tx.batch));
	if (!c->tx.batch)
		return -ENOMEM;
	c->tx.batch->owners = NULL;
	batch_release(c);
	return 0;
}

void send_fini(struct iscsi_conn *c)
{
	free(c->tx.batch);
	c->tx.batch = NULL;
}
