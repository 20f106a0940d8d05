/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scripted iSCSI target for the tests of sandem-load: as much of RFC 7143, SPC-4 and SBC-3 as
 * libiscsi needs with 4 KiB of immediate data, and a hook that may answer anything instead.
 *
 *   struct medium (shared, one logical unit)
 *      ^          ^
 *   node 0      node 1      each: a listening socket on loopback, a target port group, a thread
 *
 * The thread of a node owns its connections; medium and hook state are under medium->lock.
 */
#ifndef TESTS_LOAD_TARGET_H
#define TESTS_LOAD_TARGET_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define T_BLOCKS 64	/* of 4096 bytes, the logical block length, too */
#define T_BLOCK 4096
#define T_CONNS 8
#define T_NODES 2

enum verdict_of_hook {
	T_NORMAL,	/* execute, answer GOOD */
	T_ANSWER,	/* do not execute; answer reply->status and sense */
	T_DO_ANSWER,	/* execute, then answer reply->status and sense */
	T_SKIP,		/* do not execute, answer GOOD: a lie */
	T_CLOSE,	/* close the connection, not executed */
	T_DO_CLOSE,	/* execute, then close the connection */
	T_MUTE,		/* no answer, now or ever, on this connection */
};

struct reply {
	uint8_t status, key, asc, ascq;
};

struct node;

struct medium {
	pthread_mutex_t lock;
	uint8_t data[T_BLOCKS][T_BLOCK];
	uint8_t copy[T_BLOCKS][T_BLOCK]; /* for the hooks */
	/* Called for every command with the lock held. lba and data are of READ and WRITE (16). */
	enum verdict_of_hook (*hook)(struct node *n, const uint8_t *cdb, uint32_t lba,
				     uint8_t *data, struct reply *r);
	int count[8]; /* for the hooks */
};

/* What hooks and tests look at from another thread is atomic. */
struct conn {
	_Atomic int fd;
	uint32_t statsn;
	_Atomic bool mute;
};

struct node {
	struct medium *m;
	unsigned index;
	int listener, wake[2];
	uint16_t port;
	uint8_t tpg_state[T_NODES]; /* what RTPG of this node says */
	_Atomic bool attention;	/* 06/2A/06 is pending */
	_Atomic bool refuse;	/* closes new connections at once */
	_Atomic unsigned logins; /* login requests; an initiator may begin in either stage */
	uint8_t isid[6];	/* of the last login */
	_Atomic unsigned isid_changes;
	_Atomic unsigned resets; /* connections that the initiator reset (RST) */
	struct conn conn[T_CONNS];
	pthread_t thread;
};

static void t_be32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static uint32_t t_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

static bool t_recv(int fd, void *buf, size_t len)
{
	return len == 0 || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static void t_send(struct conn *c, uint8_t *bhs, const void *data, uint32_t len)
{
	uint8_t pdu[48 + T_BLOCK + 512] = { 0 };

	t_be32(bhs + 4, len);
	memcpy(pdu, bhs, 48);
	if (len)
		memcpy(pdu + 48, data, len);
	send(c->fd, pdu, 48 + ((len + 3) & ~3U), MSG_NOSIGNAL);
}

/* Header of an answer to `req`: opcode, ITT, StatSN, ExpCmdSN, MaxCmdSN. */
static void t_answer(struct conn *c, const uint8_t *req, uint8_t opcode, uint8_t *bhs)
{
	bool immediate = req[0] & 0x40;
	uint32_t cmdsn = t_get32(req + 24) + !immediate;

	memset(bhs, 0, 48);
	bhs[0] = opcode;
	bhs[1] = 0x80;
	memcpy(bhs + 16, req + 16, 4);
	t_be32(bhs + 24, c->statsn++);
	t_be32(bhs + 28, cmdsn);
	t_be32(bhs + 32, cmdsn + 100);
}

static void t_isid(struct node *n, const uint8_t *isid)
{
	if (n->logins++ && memcmp(n->isid, isid, sizeof(n->isid)) != 0)
		n->isid_changes++;
	memcpy(n->isid, isid, sizeof(n->isid));
}

static void t_login(struct node *n, struct conn *c, const uint8_t *req)
{
	static const char security[] = "TargetPortalGroupTag=1\0AuthMethod=None";
	static const char operational[] =
		"HeaderDigest=None\0DataDigest=None\0InitialR2T=No\0ImmediateData=Yes\0"
		"MaxBurstLength=262144\0FirstBurstLength=65536\0MaxRecvDataSegmentLength=262144\0"
		"MaxOutstandingR2T=1\0MaxConnections=1\0ErrorRecoveryLevel=0\0DefaultTime2Wait=0\0"
		"DefaultTime2Retain=0\0IFMarker=No\0OFMarker=No\0DataPDUInOrder=Yes\0"
		"DataSequenceInOrder=Yes";
	bool first = (req[1] >> 2 & 3) == 0;
	uint8_t bhs[48];

	t_isid(n, req + 8);
	t_answer(c, req, 0x23, bhs);
	bhs[1] = req[1];
	memcpy(bhs + 8, req + 8, 6); /* ISID */
	bhs[15] = 1;		     /* TSIH */
	t_send(c, bhs, first ? security : operational,
	       first ? sizeof(security) : sizeof(operational));
}

static void t_status(struct conn *c, const uint8_t *req, const struct reply *r)
{
	uint8_t bhs[48], sense[20] = { 0, 18, 0x70, 0, 0, 0, 0, 0, 0, 10 };

	t_answer(c, req, 0x21, bhs);
	bhs[3] = r->status;
	sense[4] = r->key;
	sense[14] = r->asc;
	sense[15] = r->ascq;
	t_send(c, bhs, sense, r->status == 2 ? sizeof(sense) : 0);
}

/* Data-In with status; the rest of the expected length is a residual underflow. */
static void t_data(struct conn *c, const uint8_t *req, const void *data, uint32_t len)
{
	uint32_t want = t_get32(req + 20);
	uint8_t bhs[48];

	t_answer(c, req, 0x25, bhs);
	bhs[1] = 0x81;
	if (len > want)
		len = want;
	if (len < want) {
		bhs[1] |= 0x02;
		t_be32(bhs + 44, want - len);
	}
	t_send(c, bhs, data, len);
}

static void t_inquiry(struct node *n, struct conn *c, const uint8_t *req, const uint8_t *cdb)
{
	uint8_t standard[96] = { 0, 0, 6, 2, 91, 0x10 /* implicit ALUA */ };
	uint8_t page[] = { 0, 0x83, 0, 28, 0x01, 0x03, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7,
			   0x51, 0x94, 0, 4, 0, 0, 0, (uint8_t)(n->index + 1),
			   0x51, 0x95, 0, 4, 0, 0, 0, (uint8_t)(n->index + 1) };

	if (cdb[1] & 1)
		t_data(c, req, page, sizeof(page));
	else
		t_data(c, req, standard, sizeof(standard));
}

static void t_rtpg(struct node *n, struct conn *c, const uint8_t *req)
{
	uint8_t d[8 + 12 * T_NODES] = { 0, 0, 0, 4 + 12 * T_NODES, 0x10, 60 };

	for (unsigned i = 0; i < T_NODES; i++) {
		uint8_t *g = d + 8 + (size_t)12 * i;

		g[0] = n->tpg_state[i];
		g[1] = 0x8f;
		g[3] = g[11] = (uint8_t)(i + 1);
		g[7] = 1;
	}
	t_data(c, req, d, sizeof(d));
}

static void t_execute(struct node *n, struct conn *c, const uint8_t *req, uint8_t *data,
		      uint32_t lba, bool act, bool answer)
{
	static const uint8_t capacity[32] = { [7] = T_BLOCKS - 1, [10] = T_BLOCK >> 8 };
	struct reply good = { 0 };

	switch (req[32]) {
	case 0x12: t_inquiry(n, c, req, req + 32); return;
	case 0x9e: t_data(c, req, capacity, sizeof(capacity)); return;
	case 0xa3: t_rtpg(n, c, req); return;
	case 0x88:
		if (answer)
			t_data(c, req, act ? n->m->data[lba] : n->m->copy[lba], T_BLOCK);
		return;
	case 0x8a:
		if (act)
			memcpy(n->m->data[lba], data, T_BLOCK);
		break;
	}
	if (answer)
		t_status(c, req, &good);
}

static void t_close(struct conn *c)
{
	close(c->fd);
	c->mute = false;
	c->statsn = 0;
	c->fd = -1;
}

static void t_command(struct node *n, struct conn *c, const uint8_t *req, uint8_t *data)
{
	const uint8_t *cdb = req + 32;
	uint32_t lba = cdb[0] == 0x88 || cdb[0] == 0x8a ? t_get32(cdb + 6) % T_BLOCKS : 0;
	struct reply r = { 2, 6, 0x2a, 0x06 };
	enum verdict_of_hook v = n->m->hook ? n->m->hook(n, cdb, lba, data, &r) : T_NORMAL;

	if (v == T_NORMAL && n->attention && cdb[0] != 0x12 && cdb[0] != 0xa3) {
		n->attention = false;
		v = T_ANSWER;
	}
	switch (v) {
	case T_NORMAL: t_execute(n, c, req, data, lba, true, true); break;
	case T_SKIP: t_execute(n, c, req, data, lba, false, true); break;
	case T_DO_ANSWER:
		t_execute(n, c, req, data, lba, true, false);
		/* fall through */
	case T_ANSWER: t_status(c, req, &r); break;
	case T_DO_CLOSE:
		t_execute(n, c, req, data, lba, true, false);
		/* fall through */
	case T_CLOSE: t_close(c); break;
	case T_MUTE: c->mute = true; break;
	}
}

static void t_pdu(struct node *n, struct conn *c)
{
	uint8_t req[48], data[65536], bhs[48];
	uint32_t len;

	errno = 0;
	if (!t_recv(c->fd, req, sizeof(req))) {
		n->resets += errno == ECONNRESET;
		t_close(c);
		return;
	}
	len = t_get32(req + 4) & 0xffffff;
	if (len > sizeof(data) - 3 || !t_recv(c->fd, data, (len + 3) & ~3U)) {
		t_close(c);
		return;
	}
	if (c->mute)
		return;
	switch (req[0] & 0x3f) {
	case 0x00:
		t_answer(c, req, 0x20, bhs);
		memset(bhs + 20, 0xff, 4);
		t_send(c, bhs, NULL, 0);
		break;
	case 0x01:
		pthread_mutex_lock(&n->m->lock);
		t_command(n, c, req, data);
		pthread_mutex_unlock(&n->m->lock);
		break;
	case 0x03: t_login(n, c, req); break;
	case 0x06:
		t_answer(c, req, 0x26, bhs);
		t_send(c, bhs, NULL, 0);
		break;
	}
}

static void t_accept(struct node *n)
{
	int fd = accept(n->listener, NULL, NULL), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (unsigned i = 0; i < T_CONNS && !n->refuse; i++)
		if (n->conn[i].fd < 0) {
			n->conn[i] = (struct conn){ .fd = fd };
			return;
		}
	close(fd);
}

static void *t_run(void *arg)
{
	struct node *n = arg;
	struct pollfd p[T_CONNS + 2];

	for (;;) {
		for (unsigned i = 0; i < T_CONNS; i++)
			p[i] = (struct pollfd){ .fd = n->conn[i].fd, .events = POLLIN };
		p[T_CONNS] = (struct pollfd){ .fd = n->listener, .events = POLLIN };
		p[T_CONNS + 1] = (struct pollfd){ .fd = n->wake[0], .events = POLLIN };
		poll(p, T_CONNS + 2, -1);
		if (p[T_CONNS + 1].revents)
			return NULL;
		for (unsigned i = 0; i < T_CONNS; i++)
			if (p[i].revents)
				t_pdu(n, &n->conn[i]);
		if (p[T_CONNS].revents)
			t_accept(n);
	}
}

static void t_start(struct node *n, struct medium *m, unsigned index)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	*n = (struct node){ .m = m, .index = index, .tpg_state = { 0, 1 } };
	for (unsigned i = 0; i < T_CONNS; i++)
		n->conn[i].fd = -1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	n->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(n->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(n->listener, 16), 0);
	assert_int_equal(getsockname(n->listener, (struct sockaddr *)&a, &len), 0);
	n->port = ntohs(a.sin_port);
	assert_int_equal(pipe(n->wake), 0);
	assert_int_equal(pthread_create(&n->thread, NULL, t_run, n), 0);
}

static void t_stop(struct node *n)
{
	assert_int_equal(write(n->wake[1], "", 1), 1);
	pthread_join(n->thread, NULL);
	for (unsigned i = 0; i < T_CONNS; i++)
		if (n->conn[i].fd >= 0)
			close(n->conn[i].fd);
	close(n->listener);
	close(n->wake[0]);
	close(n->wake[1]);
}

#endif
