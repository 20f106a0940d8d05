/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP under the link, and the operations of io_uring that the link uses. A connection is two streams of bytes: what is
 * sent is on its way, arrives in pieces, in order, as long as nothing parts the two nodes, and is then in the
 * receiver's kernel, from where it can be read even after the connection was reset. A connection that is closed is
 * reset: of what is on its way a part may still arrive. A node without power resets nothing. A partition holds
 * everything up, and so does a link network that is cut.
 *
 * An operation ends when it can and its reactor comes to it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/sim/sim.h"

#define FD_BASE (1 << 21)

/* ---- predicates ------------------------------------------------------------------------------------------ */

bool tcp_is(int fd)
{
	return fd >= FD_BASE && fd < FD_BASE + TCP_SOCKETS;
}

static struct tcp_socket *socket_of(int fd)
{
	return &sim_world()->socket[fd - FD_BASE];
}

static int fd_of(const struct tcp_socket *k)
{
	return FD_BASE + (int)(k - sim_world()->socket);
}

static bool reaches(const struct sim *s, uint32_t a, uint32_t b)
{
	const struct node *x = &s->node[a], *y = &s->node[b];

	return x->up && y->up && x->partition == y->partition && !(s->link_cut & (1u << a | 1u << b));
}

static struct tcp_socket *listener(struct sim *s, uint32_t node)
{
	for (unsigned i = 0; i < s->nsockets; i++)
		if (s->socket[i].used && s->socket[i].listens && s->socket[i].node == node)
			return &s->socket[i];
	return NULL;
}

/* ---- sockets --------------------------------------------------------------------------------------------- */

static struct tcp_socket *socket_new(struct sim *s, uint32_t node)
{
	for (unsigned i = 0; i < TCP_SOCKETS; i++)
		if (!s->socket[i].used) {
			if (i >= s->nsockets)
				s->nsockets = i + 1;
			s->socket[i] = (struct tcp_socket){ .used = true, .node = node, .other = -1 };
			return &s->socket[i];
		}
	sim_fail(s, "the link leaks sockets");
	return &s->socket[0];
}

static void socket_free(struct tcp_socket *k)
{
	free(k->in);
	*k = (struct tcp_socket){ 0 };
}

/* Of what is on its way to k a part is lost, and behind the rest there is nothing, or a reset. */
static void cut_off(struct sim *s, struct tcp_socket *k, bool reset)
{
	if (k->len > k->arrived)
		k->len = k->arrived + sim_random(s) % (k->len - k->arrived + 1);
	k->ending = reset;
	k->other = -1;
}

int tcp_close(int fd)
{
	struct sim *s = sim_world();
	struct tcp_socket *k = socket_of(fd);

	if (k->connected && k->other >= 0)
		cut_off(s, &s->socket[k->other], true);
	socket_free(k);
	return 0;
}

static struct tcp_socket *connected(struct sim *s, struct tcp_socket *k, uint32_t to)
{
	struct tcp_socket *end = socket_new(s, to);

	end->from = k->node;
	k->from = to;
	k->connected = k->taken = end->connected = true;
	k->other = end - s->socket;
	end->other = k - s->socket;
	return end;
}

/* ---- the network ----------------------------------------------------------------------------------------- */

bool tcp_arrive(struct sim *s)
{
	unsigned first = s->nsockets ? sim_random(s) % s->nsockets : 0;

	for (unsigned i = 0; i < s->nsockets; i++) {
		struct tcp_socket *k = &s->socket[(first + i) % s->nsockets];
		size_t left = k->len - k->arrived;

		if (!k->used || (!left && !(k->ending && !k->ended)) || !reaches(s, k->node, k->from))
			continue;
		if (left)
			k->arrived += chance(s, 3) ? 1 + sim_random(s) % left : left;
		else
			k->ended = true;
		return true;
	}
	return false;
}

static void reset_one(struct sim *s)
{
	unsigned first = s->nsockets ? sim_random(s) % s->nsockets : 0;

	for (unsigned i = 0; i < s->nsockets; i++) {
		struct tcp_socket *k = &s->socket[(first + i) % s->nsockets];
		struct tcp_socket *other = &s->socket[k->used && k->other >= 0 ? k->other : 0];

		if (!k->used || k->other < 0)
			continue;
		sim_trace(s, "the connection of nodes %u and %u is reset", k->node, k->from);
		cut_off(s, other, true);
		cut_off(s, k, true);
		return;
	}
}

void tcp_act(struct sim *s)
{
	uint32_t node = 1 + sim_random(s) % s->nodes;

	s->cur = NULL;
	s->count.links++;
	if (s->link_cut) {
		sim_trace(s, "the link network is whole again");
		s->link_cut = 0;
	} else if (chance(s, 3)) {
		sim_trace(s, "node %u is cut off from the link network", node);
		s->link_cut = 1u << node;
	} else {
		reset_one(s);
	}
}

/* What has been sent is there or lost; a kernel that lives on resets its connections. */
void tcp_gone(struct node *n, enum replog_gone_reason reason)
{
	struct sim *s = n->sim;

	for (unsigned i = 0; i < s->nsockets; i++) {
		struct tcp_socket *k = &s->socket[i];

		if (!k->used || k->node != n->id)
			continue;
		if (k->connected && k->other >= 0) {
			cut_off(s, &s->socket[k->other], reason != REPLOG_NODE_DOWN);
			if (reason == REPLOG_NODE_DOWN)
				s->socket[k->other].arrived = s->socket[k->other].len;
		}
		k->other = -1;
		k->shut = true;
	}
}

void tcp_clear(struct sim *s)
{
	for (unsigned i = 0; i < s->nsockets; i++)
		if (s->socket[i].used)
			socket_free(&s->socket[i]);
}

/* ---- operations ------------------------------------------------------------------------------------------ */

struct io_uring_sqe *__wrap_reactor_sqe(struct reactor *r, struct reactor_op *op);
struct io_uring_sqe *__wrap_reactor_sqe(struct reactor *r, struct reactor_op *op)
{
	struct node *n = caa_container_of(r->core, struct node, d.core);
	struct tcp_op *o = &n->tcp.op[n->tcp.nops];

	if (n->tcp.nops + 1 < TCP_OPS)
		n->tcp.nops++;
	else
		sim_fail(n->sim, "more operations in the rings of node %u than there is room for", n->id);
	memset(o, 0, sizeof(*o));
	o->r = r;
	io_uring_sqe_set_data(&o->sqe, op);
	return &o->sqe;
}

static int op_connect(struct node *n, const struct io_uring_sqe *sqe)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)(uintptr_t)sqe->addr;
	uint32_t node = ntohl(to->sin_addr.s_addr) & 0xff;
	struct sim *s = n->sim;

	if (n->dying)
		return -ECONNREFUSED;
	if (!reaches(s, n->id, node))
		return -EINPROGRESS;
	if (!s->node[node].running || !listener(s, node))
		return -ECONNREFUSED;
	connected(s, socket_of(sqe->fd), node);
	return 0;
}

static int op_accept(struct node *n)
{
	struct sim *s = n->sim;

	for (unsigned i = 0; i < s->nsockets; i++) {
		struct tcp_socket *k = &s->socket[i];

		if (!k->used || k->node != n->id || !k->connected || k->taken)
			continue;
		k->taken = true;
		return fd_of(k);
	}
	return -EINPROGRESS;
}

static int op_recv(struct sim *s, struct tcp_socket *k, const struct io_uring_sqe *sqe)
{
	size_t n = k->arrived < sqe->len ? k->arrived : sqe->len;

	if (k->shut)
		return 0;
	if (!n)
		return k->ended ? -ECONNRESET : -EINPROGRESS;
	if (chance(s, 4))
		n = 1 + sim_random(s) % n;
	memcpy((void *)(uintptr_t)sqe->addr, k->in, n);
	k->len -= n;
	k->arrived -= n;
	memmove(k->in, k->in + n, k->len);
	return n;
}

static ssize_t transmit(struct sim *s, struct tcp_socket *k, const struct msghdr *m, size_t limit)
{
	struct tcp_socket *to = k->other >= 0 ? &s->socket[k->other] : NULL;
	size_t sent = 0;

	for (size_t i = 0; i < m->msg_iovlen && sent < limit; i++) {
		size_t n = m->msg_iov[i].iov_len < limit - sent ? m->msg_iov[i].iov_len : limit - sent;

		if (to) {
			to->in = realloc(to->in, to->len + n + 1);
			memcpy(to->in + to->len, m->msg_iov[i].iov_base, n);
			to->len += n;
		}
		sent += n;
	}
	return sent;
}

static bool can_send(const struct tcp_socket *k)
{
	return !k->shut && !k->ended;
}

static int op_end(struct node *n, const struct io_uring_sqe *sqe)
{
	struct tcp_socket *k = socket_of(sqe->fd);

	switch (sqe->opcode) {
	case IORING_OP_CONNECT:
		return op_connect(n, sqe);
	case IORING_OP_ACCEPT:
		return k->shut ? -EINVAL : op_accept(n);
	case IORING_OP_RECV:
		return op_recv(n->sim, k, sqe);
	case IORING_OP_SENDMSG:
		return can_send(k) ? (int)transmit(n->sim, k, (const void *)(uintptr_t)sqe->addr, ~0ul) : -EPIPE;
	}
	sim_fail(n->sim, "an operation of io_uring that the simulator does not know: %u", sqe->opcode);
	return -EINVAL;
}

static void op_del(struct node *n, unsigned i)
{
	memmove(&n->tcp.op[i], &n->tcp.op[i + 1], (--n->tcp.nops - i) * sizeof(n->tcp.op[0]));
}

static void complete(uint64_t data, int res, uint32_t flags)
{
	struct reactor_op *op = (struct reactor_op *)(uintptr_t)data;

	op->done(op, res, flags);
}

static void cancel(struct node *n, uint64_t data)
{
	for (unsigned i = 0; i < n->tcp.nops; i++)
		if (n->tcp.op[i].sqe.user_data == data) {
			op_del(n, i);
			complete(data, -ECANCELED, 0);
			return;
		}
}

/* False: it can't end yet. */
static bool op_try(struct node *n, unsigned i)
{
	const struct io_uring_sqe *sqe = &n->tcp.op[i].sqe;
	uint64_t data = sqe->user_data, addr = sqe->addr;
	uint8_t opcode = sqe->opcode;
	int res;

	if (opcode == IORING_OP_ASYNC_CANCEL) {
		op_del(n, i);
		cancel(n, addr);
		return true;
	}
	res = op_end(n, sqe);
	if (res == -EINPROGRESS)
		return false;
	if (opcode == IORING_OP_ACCEPT && res >= 0) {
		complete(data, res, IORING_CQE_F_MORE);
		return true;
	}
	op_del(n, i);
	if (opcode != IORING_OP_ACCEPT) /* whose daemon ends */
		complete(data, res, 0);
	return true;
}

bool tcp_step(struct node *n, unsigned reactor)
{
	unsigned first = n->tcp.nops ? sim_random(n->sim) % n->tcp.nops : 0, nops = n->tcp.nops;

	for (unsigned i = 0; i < nops; i++) {
		unsigned k = (first + i) % nops;

		if (n->tcp.op[k].r->index == reactor && op_try(n, k))
			return true;
	}
	return false;
}

/* ---- system calls ---------------------------------------------------------------------------------------- */

int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
	struct sim *s = sim_world();

	(void)domain, (void)type, (void)protocol;
	return fd_of(socket_new(s, s->cur->id));
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	(void)fd, (void)level, (void)name, (void)value, (void)len;
	return 0;
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd, (void)addr, (void)len;
	return 0;
}

int __wrap_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog)
{
	(void)backlog;
	socket_of(fd)->listens = true;
	return 0;
}

int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
	(void)how;
	socket_of(fd)->shut = true;
	return 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct sim *s = sim_world();
	struct tcp_socket *k = socket_of(fd);

	(void)flags;
	if (!can_send(k)) {
		errno = EPIPE;
		return -1;
	}
	switch (sim_random(s) % 8) {
	case 0:
		errno = EAGAIN;
		return -1;
	case 1:
		return transmit(s, k, m, 1 + sim_random(s) % 600);
	}
	return transmit(s, k, m, ~0ul);
}
