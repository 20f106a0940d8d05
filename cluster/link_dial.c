/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin's side: one connection from each reactor to each other node.
 *
 *   IDLE ─▶ DIALING ─▶ GREETED ─▶ PROVEN ─▶ UP ─▶ (lost) IDLE …
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/link_out_int.h"
#include "core/log.h"

/* ---- the connection -------------------------------------------------------------------------- */

static void enter(struct link_out *o, enum out_state s)
{
	o->state = s;
	o->since = o->r->now;
}

static void tell(struct link_out *o, bool up)
{
	if (o->told_up == up)
		return;
	o->told_up = up;
	link_report(o->l, o->peer->node.id, LINK_TO, up, o->l->core->nreactors);
}

static void up(struct link_out *o)
{
	enter(o, OUT_UP);
	o->redial = LINK_REDIAL_MIN_NS;
	o->pinged = o->r->now;
	o->last_error = 0;
	log_info("%s: up", o->name);
	link_out_recover(o);
	tell(o, true);
}

static int challenged(struct link_out *o, const struct link_header *h, const uint8_t *meta)
{
	int rc = link_auth_challenged(&o->auth, meta, h->meta_len, link_frame_meta(&o->proof));

	if (rc < 0) {
		link_conn_close(&o->conn, rc == o->last_error ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, "refused: %s",
				link_auth_text(rc));
		o->last_error = rc;
		return 0;
	}
	enter(o, OUT_PROVEN);
	link_conn_send(&o->conn, &o->proof, LINK_PROOF, 0, LINK_PROOF_LEN, NULL, 0);
	return 0;
}

static int on_frame(struct link_conn *c, const struct link_header *h, const uint8_t *meta, void **dst)
{
	struct link_out *o = caa_container_of(c, struct link_out, conn);

	o->answered = NULL;
	if (o->state == OUT_GREETED && h->type == LINK_CHALLENGE)
		return challenged(o, h, meta);
	if (o->state == OUT_PROVEN && h->type == LINK_WELCOME) {
		up(o);
		return 0;
	}
	if (o->state == OUT_UP && h->type == LINK_ANSWER)
		return link_out_answer(o, h, meta, dst);
	return o->state == OUT_UP && h->type == LINK_PONG ? 0 : -EPROTO;
}

static void on_data(struct link_conn *c)
{
	struct link_out *o = caa_container_of(c, struct link_out, conn);

	if (o->answered)
		link_out_answered(o);
}

static void on_ended(struct link_conn *c)
{
	struct link_out *o = caa_container_of(c, struct link_out, conn);

	if (o->state != OUT_UP && o->redial < LINK_REDIAL_MAX_NS)
		o->redial *= 2;
	enter(o, OUT_IDLE);
	link_out_lost(o);
}

static const struct link_conn_ops out_ops = { on_frame, on_data, on_ended };

/* ---- dialing --------------------------------------------------------------------------------- */

static void dial_failed(struct link_out *o, int err)
{
	if (o->dial_fd >= 0)
		close(o->dial_fd);
	o->dial_fd = -1;
	if (err != o->last_error)
		log_info("%s: %s port %u: %s; trying again", o->name, o->peer->node.addr, o->peer->node.port, strerror(-err));
	o->last_error = err;
	if (o->redial < LINK_REDIAL_MAX_NS)
		o->redial *= 2;
	enter(o, OUT_IDLE);
}

static void greet(struct link_out *o)
{
	int one = 1, rc;

	setsockopt(o->dial_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	o->conn.reactor = o->r;
	o->conn.ops = &out_ops;
	o->conn.name = o->name;
	rc = link_auth_hello(&o->auth, o->peer->node.id, link_frame_meta(&o->hello));
	if (!link_tls_for(o->l, &o->conn, LINK_TLS_DIALER))
		rc = -ENOMEM;
	if (rc == 0)
		rc = link_conn_start(&o->conn, o->dial_fd);
	if (rc < 0) {
		link_tls_free(o->conn.tls);
		o->conn.tls = NULL;
		dial_failed(o, rc);
		return;
	}
	o->dial_fd = -1;
	enter(o, OUT_GREETED);
	link_conn_send(&o->conn, &o->hello, LINK_HELLO, 0, LINK_HELLO_LEN, NULL, 0);
}

static void dialed(struct reactor_op *op, int res, uint32_t flags)
{
	struct link_out *o = caa_container_of(op, struct link_out, dial_op);

	(void)flags;
	if (res < 0)
		dial_failed(o, o->dial_cancelled ? -ETIMEDOUT : res);
	else
		greet(o);
}

static void dial(struct link_out *o)
{
	struct io_uring_sqe *sqe;

	o->dial_cancelled = false;
	o->dial_fd = socket(o->peer->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (o->dial_fd < 0) {
		dial_failed(o, -errno);
		return;
	}
	enter(o, OUT_DIALING);
	sqe = reactor_sqe(o->r, &o->dial_op);
	io_uring_prep_connect(sqe, o->dial_fd, (struct sockaddr *)&o->peer->addr, o->peer->addr_len);
	io_uring_sqe_set_data(sqe, &o->dial_op);
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void tick_up(struct link_out *o)
{
	uint64_t now = o->r->now;

	if (now - o->conn.heard > LINK_SILENCE_NS) {
		link_conn_close(&o->conn, LOG_LEVEL_WARNING, "no answer for %llu ms", LINK_SILENCE_NS / LINK_MS);
	} else if (now - o->pinged > LINK_PING_NS && !o->ping.queued) {
		o->pinged = now;
		link_conn_send(&o->conn, &o->ping, LINK_PING, 0, 0, NULL, 0);
	}
}

static void tick_state(struct link_out *o)
{
	uint64_t age = o->r->now - o->since;

	switch (o->state) {
	case OUT_IDLE:
		if (age >= o->redial)
			dial(o);
		break;
	case OUT_DIALING:
		if (age > LINK_HANDSHAKE_NS && !o->dial_cancelled) {
			o->dial_cancelled = true;
			io_uring_prep_cancel(reactor_sqe(o->r, NULL), &o->dial_op, 0);
		}
		break;
	case OUT_GREETED:
	case OUT_PROVEN:
		if (age > LINK_HANDSHAKE_NS)
			link_conn_close(&o->conn, LOG_LEVEL_WARNING, "no answer to the greeting");
		break;
	case OUT_UP:
		if (link_conn_open(&o->conn))
			tick_up(o);
		break;
	}
}

static void tick(struct reactor_timer *t)
{
	struct link_out *o = caa_container_of(t, struct link_out, timer);

	tick_state(o);
	if (o->told_up && o->state != OUT_UP && o->r->now - o->conn.heard > LINK_GRACE_NS)
		tell(o, false);
	link_out_expire(o);
	reactor_timer_arm(o->r, t, o->state == OUT_UP ? LINK_TICK_NS : LINK_REDIAL_MIN_NS);
}

static void on_start(struct msg *m)
{
	struct link_out *o = caa_container_of(m, struct link_out, start);

	enter(o, OUT_IDLE);
	dial(o);
	reactor_timer_arm(o->r, &o->timer, LINK_REDIAL_MIN_NS);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void init(struct link_out *o, struct link *l, struct link_peer *p, struct reactor *r)
{
	o->l = l;
	o->peer = p;
	o->r = r;
	o->conn.fd = o->dial_fd = -1;
	o->dial_op.done = dialed;
	o->timer.fn = tick;
	o->start.fn = on_start;
	o->redial = LINK_REDIAL_MIN_NS;
	o->auth = (struct link_auth){ .key = &l->key, .cluster = l->cluster, .index = r->index,
				      .self = { l->node, l->incarnation, l->core->nreactors } };
	snprintf(o->name, sizeof(o->name), "link to %.40s/%u", p->node.name, r->index);
	link_out_slots_init(o);
	reactor_post(r, &o->start);
}

int link_out_new(struct link *l, struct link_peer *p)
{
	p->out = calloc(l->core->nreactors, sizeof(*p->out));
	if (!p->out)
		return -ENOMEM;
	for (unsigned i = 0; i < l->core->nreactors; i++)
		init(&p->out[i], l, p, &l->core->reactor[i]);
	return 0;
}

void link_out_free(struct link *l, struct link_peer *p)
{
	for (unsigned i = 0; p->out && i < l->core->nreactors; i++) {
		struct link_out *o = &p->out[i];

		link_conn_drop(&o->conn);
		if (o->dial_fd >= 0)
			close(o->dial_fd);
	}
	free(p->out);
}
