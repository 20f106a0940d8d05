/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets. Accepting is reactor 0's; connections are dealt to all reactors in turn. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drivers/iscsi/conn.h"

#define ACCEPT_RETRY_NS 1000000000ull
#define BIND_WAIT_MS 3000
#define BIND_POLL_MS 20

void sockaddr_text(const struct sockaddr_storage *ss, char out[64])
{
	char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";

	getnameinfo((const struct sockaddr *)ss, sizeof(*ss), host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(out, 64, ss->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- binding (control thread) ------------------------------------------------------------------ */

static const char *advice(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "another program listens there: end it, or choose another port";
	case EADDRNOTAVAIL:
		return "no interface of this host has the address: add it, or correct the portal";
	case EACCES:
		return "ports below 1024 need CAP_NET_BIND_SERVICE";
	}
	return "correct the portal in the configuration";
}

static int bind_failed(struct listener *l, int err, char *msg, size_t len)
{
	bool v6 = strchr(l->portal.addr, ':');

	snprintf(msg, len, v6 ? "portal [%s]:%u: %s; %s" : "portal %s:%u: %s; %s", l->portal.addr, l->portal.port,
		 strerror(err), advice(err));
	portal_close(l);
	return -err;
}

/* The kernel takes a moment to end what a killed daemon had under way in its io_uring, listening included. */
static int bind_patiently(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct timespec poll = { .tv_nsec = BIND_POLL_MS * 1000000 };

	for (int waited = 0; bind(fd, addr, len) < 0; waited += BIND_POLL_MS) {
		if (errno != EADDRINUSE || waited >= BIND_WAIT_MS)
			return -1;
		nanosleep(&poll, NULL);
	}
	return 0;
}

int portal_bind(struct listener *l, char *err, size_t errlen)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM }, *ai;
	char port[8];
	int one = 1, rc = 0;

	snprintf(port, sizeof(port), "%u", l->portal.port);
	if (getaddrinfo(l->portal.addr, port, &hints, &ai)) {
		snprintf(err, errlen, "portal %s:%u: not a numeric IPv4 or IPv6 address; correct the portal",
			 l->portal.addr, l->portal.port);
		return -EINVAL;
	}
	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    (ai->ai_family == AF_INET6 && setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind_patiently(l->fd, ai->ai_addr, ai->ai_addrlen) || listen(l->fd, SOMAXCONN))
		rc = bind_failed(l, errno, err, errlen);
	freeaddrinfo(ai);
	return rc;
}

void portal_close(struct listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* ---- accepting (reactor 0) --------------------------------------------------------------------- */

static void accepted(struct iscsi_server *s, int fd)
{
	struct core *core = s->core;

	if (__atomic_add_fetch(&s->nconns, 1, __ATOMIC_RELAXED) > s->set.max_connections) {
		log_warning("iscsi: a connection was turned away: there are max_connections=%u already",
			    s->set.max_connections);
		__atomic_sub_fetch(&s->nconns, 1, __ATOMIC_RELAXED);
		close(fd);
		return;
	}
	conn_new(s, &core->reactor[s->next_reactor++ % core->nreactors], fd);
}

static void retry(struct reactor_timer *t)
{
	portal_accept(caa_container_of(t, struct listener, retry));
}

static void accept_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct listener *l = caa_container_of(op, struct listener, op);
	struct iscsi_server *s = l->server;

	if (res >= 0)
		accepted(s, res);
	if (flags & IORING_CQE_F_MORE)
		return;
	l->busy = false;
	if (s->stopping) {
		iscsi_portals_quiet(s);
	} else if (res >= 0) {
		portal_accept(l);
	} else {
		log_error("iscsi: portal %s:%u: accepting failed: %s; trying again every second", l->portal.addr,
			  l->portal.port, strerror(-res));
		l->retry.fn = retry;
		reactor_timer_arm(&s->core->reactor[0], &l->retry, ACCEPT_RETRY_NS);
	}
}

void portal_accept(struct listener *l)
{
	struct io_uring_sqe *sqe;

	l->op.done = accept_done;
	sqe = reactor_sqe(&l->server->core->reactor[0], &l->op);
	io_uring_prep_multishot_accept(sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	l->busy = true;
}

void portal_cancel(struct listener *l)
{
	reactor_timer_cancel(&l->retry);
	if (l->busy)
		io_uring_prep_cancel(reactor_sqe(&l->server->core->reactor[0], NULL), &l->op, 0);
}
