/* SPDX-License-Identifier: BSD-2-Clause */
/* The acceptor's side up to the proof, on reactor 0: nothing but the three messages of
 * link_auth.h is taken here. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cluster/link_int.h"
#include "core/log.h"

#define GREETERS_MAX 64 /* connections that have not yet proven who they are */
#define BIND_WAIT_MS 3000
#define BIND_POLL_MS 20

struct greeter {
	struct link_conn conn;
	struct link_acceptor *acceptor;
	struct link_auth auth;
	struct link_frame challenge;
	struct reactor_timer timer;
	struct cds_list_head link;
	bool greeted;
	enum link_type type; /* of the running frame */
	char name[64];
};

struct link_acceptor {
	struct link *l;
	struct reactor *r; /* 0 */
	int fd;
	struct msg start;
	struct reactor_op op;
	struct reactor_timer retry;
	struct cds_list_head greeters;
	unsigned n;
};

/* ---- one connection --------------------------------------------------------------------------------------- */

static void challenge(struct greeter *g, const uint8_t *meta, uint32_t len)
{
	int rc = link_auth_greeted(&g->auth, meta, len, link_frame_meta(&g->challenge));

	if (rc == 0 && !link_peer_find(g->acceptor->l, g->auth.peer.node))
		rc = -ENOENT;
	if (rc < 0) {
		link_conn_close(&g->conn, LOG_LEVEL_WARNING, "refused: %s", link_auth_text(rc));
		return;
	}
	g->greeted = true;
	link_conn_send(&g->conn, &g->challenge, LINK_CHALLENGE, 0, LINK_CHALLENGE_LEN, NULL, 0);
}

static void proof(struct greeter *g, const uint8_t *meta, uint32_t len)
{
	int rc = link_auth_proven(&g->auth, meta, len), fd;
	struct link_tls *tls;

	if (rc < 0) {
		link_conn_close(&g->conn, LOG_LEVEL_WARNING, "refused: node %u: %s", g->auth.peer.node, link_auth_text(rc));
		return;
	}
	fd = link_conn_detach(&g->conn, &tls);
	if (fd < 0)
		link_conn_close(&g->conn, LOG_LEVEL_WARNING, "refused: it does not wait for its welcome");
	else
		link_in_adopt(g->acceptor->l, fd, tls, &g->auth);
}

static int on_frame(struct link_conn *c, const struct link_header *h, const uint8_t *meta, void **dst)
{
	struct greeter *g = caa_container_of(c, struct greeter, conn);

	(void)dst;
	if (h->type != (g->greeted ? LINK_PROOF : LINK_HELLO))
		return -EPROTO;
	if (g->greeted)
		proof(g, meta, h->meta_len);
	else
		challenge(g, meta, h->meta_len);
	return 0;
}

static void on_data(struct link_conn *c)
{
	(void)c;
}

static void on_ended(struct link_conn *c)
{
	struct greeter *g = caa_container_of(c, struct greeter, conn);

	reactor_timer_cancel(&g->timer);
	cds_list_del(&g->link);
	g->acceptor->n--;
	free(g);
}

static const struct link_conn_ops greeter_ops = { on_frame, on_data, on_ended };

static void late(struct reactor_timer *t)
{
	struct greeter *g = caa_container_of(t, struct greeter, timer);

	link_conn_close(&g->conn, LOG_LEVEL_WARNING, "it did not prove who it is in time");
}

static void accepted(struct link_acceptor *a, int fd)
{
	struct greeter *g = a->n < GREETERS_MAX ? calloc(1, sizeof(*g)) : NULL;
	int one = 1;

	if (!g) {
		log_warning("link: a connection was turned away: %u have not yet proven who they are", a->n);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	g->acceptor = a;
	g->auth = (struct link_auth){ .key = &a->l->key, .cluster = a->l->cluster,
				      .self = { a->l->node, a->l->incarnation, a->l->core->nreactors } };
	snprintf(g->name, sizeof(g->name), "link: a connection that came in");
	g->conn.reactor = a->r;
	g->conn.ops = &greeter_ops;
	g->conn.name = g->name;
	if (!link_tls_for(a->l, &g->conn, LINK_TLS_ACCEPTOR) || link_conn_start(&g->conn, fd) < 0) {
		link_tls_free(g->conn.tls);
		close(fd);
		free(g);
		return;
	}
	g->timer.fn = late;
	reactor_timer_arm(a->r, &g->timer, LINK_HANDSHAKE_NS);
	cds_list_add_tail(&g->link, &a->greeters);
	a->n++;
}

/* ---- listening ------------------------------------------------------------------------------------------------ */

static void accept_more(struct link_acceptor *a)
{
	struct io_uring_sqe *sqe = reactor_sqe(a->r, &a->op);

	io_uring_prep_multishot_accept(sqe, a->fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, &a->op);
}

static void retry(struct reactor_timer *t)
{
	accept_more(caa_container_of(t, struct link_acceptor, retry));
}

static void accept_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct link_acceptor *a = caa_container_of(op, struct link_acceptor, op);

	if (res >= 0)
		accepted(a, res);
	if (flags & IORING_CQE_F_MORE)
		return;
	if (res < 0)
		log_error("link: accepting failed: %s; trying again every second", strerror(-res));
	reactor_timer_arm(a->r, &a->retry, res < 0 ? 1000 * LINK_MS : 0);
}

static void on_start(struct msg *m)
{
	accept_more(caa_container_of(m, struct link_acceptor, start));
}

/* A killed daemon's sockets take the kernel a moment. */
static int bind_patiently(int fd, const struct sockaddr_storage *addr, socklen_t len)
{
	const struct timespec poll = { .tv_nsec = BIND_POLL_MS * 1000000 };

	for (int waited = 0; bind(fd, (const struct sockaddr *)addr, len) < 0; waited += BIND_POLL_MS) {
		if (errno != EADDRINUSE || waited >= BIND_WAIT_MS)
			return -1;
		nanosleep(&poll, NULL);
	}
	return 0;
}

int link_accept_new(struct link *l, const struct link_node *self, char *err, size_t errlen)
{
	struct link_acceptor *a = calloc(1, sizeof(*a));
	struct sockaddr_storage addr;
	int one = 1, rc = 0;
	socklen_t len;

	if (!a)
		return -ENOMEM;
	l->acceptor = a;
	*a = (struct link_acceptor){ .l = l, .r = &l->core->reactor[0], .fd = -1, .start.fn = on_start,
				     .op.done = accept_done, .retry.fn = retry };
	CDS_INIT_LIST_HEAD(&a->greeters);
	if (link_sockaddr(self, &addr, &len) < 0)
		rc = -EINVAL;
	else
		a->fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (rc == 0 && (a->fd < 0 || setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
			bind_patiently(a->fd, &addr, len) || listen(a->fd, GREETERS_MAX)))
		rc = -errno;
	if (rc < 0)
		snprintf(err, errlen, "link %s port %u of node %s: %s; correct link: in sandem.yaml, or end the program that uses it",
			 self->addr, self->port, self->name, strerror(-rc));
	else
		reactor_post(a->r, &a->start);
	return rc;
}

void link_accept_free(struct link *l)
{
	struct link_acceptor *a = l->acceptor;
	struct greeter *g, *next;

	if (!a)
		return;
	cds_list_for_each_entry_safe(g, next, &a->greeters, link) {
		link_conn_drop(&g->conn);
		free(g);
	}
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}
