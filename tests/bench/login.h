/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session up to full feature phase (RFC 7143 6): connect, login, negotiation, the first commands. Blocking, each answer
 * within LOGIN_TIMEOUT_S.
 */
#ifndef SANDEM_BENCH_LOGIN_H
#define SANDEM_BENCH_LOGIN_H

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "session.h"

#define LOGIN_TIMEOUT_S 10
#define READY_POLL_NS 5000000
#define LOGIN_PDUS_MAX 8 /* in one stage */

/* What we offer at login: enough that no target is held back by its initiator. */
#define OFFER_MAX_RECV (1u << 20)
#define OFFER_FIRST_BURST (1u << 20)
#define OFFER_MAX_BURST 16776192u

static void read_all(struct session *s, void *to, size_t len)
{
	errno = 0;
	if (len && recv(s->fd, to, len, MSG_WAITALL) != (ssize_t)len)
		fail("session %u: no complete answer from %s:%s at login (%s); is it an iSCSI target?", s->id,
		     s->bench->set.host, s->bench->set.port, errno ? strerror(errno) : "connection closed");
}

struct text {
	char buf[4096];
	uint32_t len;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, format, args);
	va_end(args);
	if (n < 0 || t->len + n + 1 >= sizeof(t->buf))
		fail("login text too long: --target has %zu bytes, a name may have 223", sizeof(t->buf));
	t->len += n + 1; /* with its NUL: RFC 7143 6.1 */
}

/* The value of a key in the target's answers, or the default of RFC 7143 13. */
static const char *text_value(const struct text *t, const char *key, const char *otherwise)
{
	size_t n = strlen(key);

	for (uint32_t at = 0; at < t->len; at += strlen(t->buf + at) + 1)
		if (!strncmp(t->buf + at, key, n) && t->buf[at + n] == '=')
			return t->buf + at + n + 1;
	return otherwise;
}

static void login_send(struct session *s, enum login_stage stage, enum login_stage next, const struct text *keys)
{
	uint8_t pdu[BHS_LEN + sizeof(keys->buf)] = { OP_LOGIN | OP_IMMEDIATE, LOGIN_TRANSIT | stage << 2 | next };
	uint32_t len = BHS_LEN + wire_padded(keys->len);

	put_be24(pdu + BHS_DATA_LEN, keys->len);
	pdu[BHS_ISID] = 0x80; /* random format: 3 bytes of number, 2 of qualifier */
	put_be16(pdu + BHS_ISID + 2, s->bench->set.isid ? s->bench->set.isid : getpid());
	put_be16(pdu + BHS_ISID + 4, s->id);
	put_be32(pdu + BHS_CMD_SN, s->cmd_sn);
	put_be32(pdu + BHS_EXP_STAT_SN, s->exp_stat_sn);
	memcpy(pdu + BHS_LEN, keys->buf, keys->len);
	if (send(s->fd, pdu, len, MSG_NOSIGNAL) != (ssize_t)len)
		fail("session %u: login: send: %s", s->id, strerror(errno));
}

/* Appends the answer's keys; true when the target moves on to the next stage. */
static bool login_receive(struct session *s, enum login_stage next, struct text *answer)
{
	uint8_t h[BHS_LEN];
	uint32_t len;

	read_all(s, h, sizeof(h));
	len = get_be24(h + BHS_DATA_LEN);
	if ((h[0] & OP_MASK) != OP_LOGIN_RESPONSE)
		fail("session %u: login answered by PDU %02xh; is it an iSCSI target?", s->id, h[0]);
	if (h[BHS_LOGIN_STATUS])
		fail("session %u: login to %s refused, status %02x%02xh (RFC 7143 11.13.5)", s->id,
		     s->bench->set.target, h[BHS_LOGIN_STATUS], h[BHS_LOGIN_STATUS + 1]);
	if (answer->len + wire_padded(len) >= sizeof(answer->buf))
		fail("session %u: login answer of more than %zu bytes", s->id, sizeof(answer->buf));
	read_all(s, answer->buf + answer->len, wire_padded(len));
	answer->len += len;
	answer->buf[answer->len] = 0;
	s->exp_stat_sn = get_be32(h + BHS_STAT_SN) + 1;
	s->max_cmd_sn = get_be32(h + BHS_MAX_CMD_SN);
	return h[1] & LOGIN_TRANSIT && (h[1] & LOGIN_NSG_MASK) == next;
}

static void login_stage(struct session *s, enum login_stage stage, enum login_stage next, struct text *keys, struct text *answer)
{
	for (int i = 0; i < LOGIN_PDUS_MAX; i++) {
		login_send(s, stage, next, keys);
		if (login_receive(s, next, answer))
			return;
		keys->len = 0; /* said once; the target has questions of its own, which need no answer */
	}
	fail("session %u: login does not get past stage %d; the target may want authentication", s->id, stage);
}

static void login_security(struct session *s)
{
	struct text keys = { 0 }, answer = { 0 };

	text_add(&keys, "InitiatorName=iqn.2026-11.io.sandem.bench:%u", s->id);
	text_add(&keys, "SessionType=Normal");
	text_add(&keys, "TargetName=%s", s->bench->set.target);
	text_add(&keys, "AuthMethod=None");
	login_stage(s, STAGE_SECURITY, STAGE_OPERATIONAL, &keys, &answer);
}

static void offer_add(struct text *keys, const struct settings *set)
{
	text_add(keys, "HeaderDigest=%s", set->header_digest ? "CRC32C" : "None");
	text_add(keys, "DataDigest=%s", set->data_digest ? "CRC32C" : "None");
	text_add(keys, "ErrorRecoveryLevel=0");
	text_add(keys, "MaxConnections=1");
	text_add(keys, "InitialR2T=No");
	text_add(keys, "ImmediateData=Yes");
	text_add(keys, "MaxRecvDataSegmentLength=%u", OFFER_MAX_RECV);
	text_add(keys, "FirstBurstLength=%u", OFFER_FIRST_BURST);
	text_add(keys, "MaxBurstLength=%u", OFFER_MAX_BURST);
	text_add(keys, "MaxOutstandingR2T=1");
	text_add(keys, "DataPDUInOrder=Yes");
	text_add(keys, "DataSequenceInOrder=Yes");
	text_add(keys, "DefaultTime2Wait=2");
	text_add(keys, "DefaultTime2Retain=0");
}

static uint32_t text_number(const struct text *t, const char *key, const char *otherwise)
{
	return strtoul(text_value(t, key, otherwise), NULL, 0);
}

static void login_operational(struct session *s)
{
	const struct settings *set = &s->bench->set;
	struct text keys = { 0 }, answer = { 0 };

	offer_add(&keys, set);
	login_stage(s, STAGE_OPERATIONAL, STAGE_FULL_FEATURE, &keys, &answer);
	s->max_send = text_number(&answer, "MaxRecvDataSegmentLength", "8192");
	s->max_burst = text_number(&answer, "MaxBurstLength", "262144");
	s->first_burst = least(text_number(&answer, "FirstBurstLength", "65536"), s->max_burst);
	s->initial_r2t = !strcmp(text_value(&answer, "InitialR2T", "Yes"), "Yes");
	s->immediate_data = !strcmp(text_value(&answer, "ImmediateData", "Yes"), "Yes");
	s->header_digest = !strcmp(text_value(&answer, "HeaderDigest", "None"), "CRC32C");
	s->data_digest = !strcmp(text_value(&answer, "DataDigest", "None"), "CRC32C");
	if (s->header_digest != set->header_digest || s->data_digest != set->data_digest)
		fail("%s does not take the digests asked for; leave out --header-digest, --data-digest", set->target);
	if (s->max_send < 512)
		fail("%s: MaxRecvDataSegmentLength %u is below 512 (RFC 7143 13.12)", set->target, s->max_send);
}

static void session_connect(struct session *s)
{
	const struct settings *set = &s->bench->set;
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *a;
	struct timeval patience = { .tv_sec = LOGIN_TIMEOUT_S };
	int rc = getaddrinfo(set->host, set->port, &want, &a), one = 1;

	if (rc)
		fail("--portal %s:%s: %s", set->host, set->port, gai_strerror(rc));
	s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		fail("socket: %s", strerror(errno));
	if (set->congestion &&
	    setsockopt(s->fd, IPPROTO_TCP, TCP_CONGESTION, set->congestion, strlen(set->congestion)))
		fail("--congestion %s: %s; see net.ipv4.tcp_available_congestion_control", set->congestion,
		     strerror(errno));
	if (connect(s->fd, a->ai_addr, a->ai_addrlen))
		fail("connect to %s:%s: %s; is the target up?", set->host, set->port, strerror(errno));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	freeaddrinfo(a);
}

/* One command and its answer while nothing else is in flight: the SCSI status. */
static uint8_t command_alone(struct session *s, const uint8_t *cdb, size_t cdb_len, uint8_t *data, uint32_t len)
{
	uint8_t h[BHS_LEN + DIGEST_LEN], segment[4096];
	struct out_pdu *p = command_new(s, 0, len ? COMMAND_READ : 0, len);

	memcpy(p->header + BHS_CDB, cdb, cdb_len);
	out_seal(s, p, 0, 0);
	out_flush(s);
	for (;;) {
		read_all(s, h, header_len(s));
		if (data_len(s, h) > sizeof(segment))
			fail("session %u: %u bytes of answer to opcode %02xh", s->id, data_len(s, h), cdb[0]);
		read_all(s, segment, data_len(s, h));
		s->max_cmd_sn = get_be32(h + BHS_MAX_CMD_SN);
		if (h[0] == OP_DATA_IN)
			memcpy(data, segment, least(len, get_be24(h + BHS_DATA_LEN)));
		if (h[0] == OP_SCSI_RESPONSE || (h[0] == OP_DATA_IN && h[1] & DATA_IN_STATUS)) {
			s->exp_stat_sn = get_be32(h + BHS_STAT_SN) + 1;
			return h[3];
		}
	}
}

/* Past the unit attentions of a new nexus, and NOT READY while the target starts. */
static bool await_ready(struct session *s)
{
	static const uint8_t test_unit_ready[6] = { 0x00 };
	uint64_t end = now_ns() + LOGIN_TIMEOUT_S * 1000000000ull;

	while (command_alone(s, test_unit_ready, sizeof(test_unit_ready), NULL, 0)) {
		if (now_ns() > end)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = READY_POLL_NS }, NULL);
	}
	return true;
}

static void session_learn(struct session *s)
{
	static const uint8_t read_capacity[10] = { 0x25 };
	struct bench *b = s->bench;
	uint8_t data[8];

	if (!await_ready(s) || command_alone(s, read_capacity, sizeof(read_capacity), data, sizeof(data)))
		fail("%s LUN %u is not ready after %d s; is --lun right, may this initiator use it?", b->set.target, b->set.lun,
		     LOGIN_TIMEOUT_S);
	b->lu_block = get_be32(data + 4);
	if (get_be32(data) == UINT32_MAX)
		fail("LUN %u is too large: READ(10) reaches 2^32 blocks", b->set.lun);
	if (!b->lu_block || b->set.block % b->lu_block || b->set.block / b->lu_block > UINT16_MAX)
		fail("--block %u does not fit logical blocks of %u bytes", b->set.block, b->lu_block);
	b->slots = ((uint64_t)get_be32(data) + 1) * b->lu_block / b->set.block;
	if (!b->slots)
		fail("LUN %u is smaller than --block %u", b->set.lun, b->set.block);
}

static void session_open(struct session *s, struct bench *b, unsigned id)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };
	unsigned depth = b->set.queue_depth;

	*s = (struct session){ .bench = b, .id = id, .cmd_sn = 1, .max_cmd_sn = 1, .next_slot = id * 100003ull };
	s->ring = need_zeroed(OUT_RING, sizeof(*s->ring));
	s->in = need_zeroed(1, RECEIVE_LEN);
	s->command = need_zeroed(depth, sizeof(*s->command));
	s->idle = need_zeroed(depth, sizeof(*s->idle));
	while (s->nidle < depth) {
		s->idle[s->nidle] = s->nidle;
		s->nidle++;
	}
	session_connect(s);
	login_security(s);
	login_operational(s);
	session_learn(s);
	if (fcntl(s->fd, F_SETFL, O_NONBLOCK) || epoll_ctl(b->epoll, EPOLL_CTL_ADD, s->fd, &e))
		fail("session %u: %s", id, strerror(errno));
}

#endif
