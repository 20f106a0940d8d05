/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session in full feature phase: what goes out, the commands, what comes in. Non-blocking; nothing is allocated.
 */
#ifndef SANDEM_BENCH_SESSION_H
#define SANDEM_BENCH_SESSION_H

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "bench.h"

#define OUT_RING 65536 /* PDUs waiting to be sent on a session; a power of 2 */
#define VECTOR_MAX 192 /* of one sendmsg; a PDU takes at most 3 */
#define RECEIVE_LEN (512 * 1024)
#define DISCARD_MIN 16384 /* from here on data is dropped inside the kernel: no copy, as a real HBA would */

/* ---- out ----------------------------------------------------------------------------------- */

static struct out_pdu *out_new(struct session *s, uint8_t opcode, uint8_t flags)
{
	struct out_pdu *p;

	if (s->tail - s->head == OUT_RING)
		fail("session %u: %u PDUs wait to be sent; lower --queue-depth or --block", s->id, OUT_RING);
	p = &s->ring[s->tail++ % OUT_RING];
	memset(p->header, 0, sizeof(p->header));
	p->header[0] = opcode;
	p->header[1] = flags;
	return p;
}

/* Segments begin at multiples of what the target takes in one, 512 bytes at the least. */
static uint32_t payload_digest(struct bench *b, uint32_t offset, uint32_t len)
{
	typeof(b->digest[0]) *known = &b->digest[offset / 512 % DIGESTS];

	if (known->offset != offset || known->len != len) {
		known->offset = offset;
		known->len = len;
		known->value = wire_digest(b->payload + offset, len);
	}
	return known->value;
}

/* The header is complete: adds data, padding and digests. */
static void out_seal(struct session *s, struct out_pdu *p, uint32_t offset, uint32_t len)
{
	uint32_t digest;

	put_be24(p->header + BHS_DATA_LEN, len);
	p->data_offset = offset;
	p->data_len = len;
	p->header_len = BHS_LEN;
	if (s->header_digest) {
		digest = wire_digest(p->header, BHS_LEN);
		memcpy(p->header + BHS_LEN, &digest, DIGEST_LEN);
		p->header_len += DIGEST_LEN;
	}
	p->tail_len = wire_padded(len) - len;
	memset(p->tail, 0, sizeof(p->tail));
	if (s->data_digest && len) {
		digest = payload_digest(s->bench, offset, len);
		memcpy(p->tail + p->tail_len, &digest, DIGEST_LEN);
		p->tail_len += DIGEST_LEN;
	}
}

/* Adds what is left of a part after *skip bytes of it have gone out. */
static void vector_add(struct msghdr *m, void *base, uint32_t len, uint32_t *skip)
{
	uint32_t gone = *skip < len ? *skip : len;

	*skip -= gone;
	if (len > gone)
		m->msg_iov[m->msg_iovlen++] = (struct iovec){ (uint8_t *)base + gone, len - gone };
}

static void vector_fill(struct session *s, struct msghdr *m)
{
	uint32_t skip = s->head_sent;

	for (uint32_t i = s->head; i != s->tail && m->msg_iovlen + 3 <= VECTOR_MAX; i++) {
		struct out_pdu *p = &s->ring[i % OUT_RING];

		vector_add(m, p->header, p->header_len, &skip);
		vector_add(m, s->bench->payload + p->data_offset, p->data_len, &skip);
		vector_add(m, p->tail, p->tail_len, &skip);
	}
}

static void out_sent(struct session *s, size_t n)
{
	while (n) {
		struct out_pdu *p = &s->ring[s->head % OUT_RING];
		uint32_t left = p->header_len + p->data_len + p->tail_len - s->head_sent;

		if (n < left) {
			s->head_sent += n;
			return;
		}
		n -= left;
		s->head_sent = 0;
		s->head++;
	}
	if (s->head == s->tail)
		s->head = s->tail = 0; /* stay on the same few cache lines */
}

static void await_writable(struct session *s, bool wanted)
{
	struct epoll_event e = { .events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = s };

	if (s->waits_writable == wanted)
		return;
	epoll_ctl(s->bench->epoll, EPOLL_CTL_MOD, s->fd, &e);
	s->waits_writable = wanted;
}

/* Everything that waits, in as few sends as the socket takes. */
static void out_flush(struct session *s)
{
	while (s->head != s->tail) {
		struct iovec vector[VECTOR_MAX];
		struct msghdr m = { .msg_iov = vector };
		ssize_t n;

		vector_fill(s, &m);
		n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
		s->bench->syscalls++;
		if (n < 0 && errno == EAGAIN) {
			await_writable(s, true);
			return;
		}
		if (n < 0)
			fail("session %u: send: %s; the target's log tells why", s->id, strerror(errno));
		out_sent(s, n);
	}
	await_writable(s, false);
}

/* ---- commands ------------------------------------------------------------------------------ */

static void put_lun(uint8_t *p, unsigned lun)
{
	put_be16(p, lun < 256 ? lun : 0x4000 | lun); /* SAM-5 4.7.7: peripheral device, flat space */
}

static struct out_pdu *command_new(struct session *s, uint32_t tag, uint8_t flags, uint32_t expected_len)
{
	struct out_pdu *p = out_new(s, OP_SCSI_COMMAND, FLAG_FINAL | COMMAND_SIMPLE | flags);

	put_lun(p->header + BHS_LUN, s->bench->set.lun);
	put_be32(p->header + BHS_ITT, tag);
	put_be32(p->header + BHS_EXPECTED_LEN, expected_len);
	put_be32(p->header + BHS_CMD_SN, s->cmd_sn++);
	put_be32(p->header + BHS_EXP_STAT_SN, s->exp_stat_sn);
	return p;
}

/* Data-Out PDUs for [from, to) of a command's data. */
static void data_out(struct session *s, const uint8_t *lun, uint32_t tag, uint32_t transfer_tag, uint32_t from, uint32_t to)
{
	for (uint32_t sn = 0; from < to; sn++) {
		uint32_t len = to - from < s->max_send ? to - from : s->max_send;
		struct out_pdu *p = out_new(s, OP_DATA_OUT, from + len == to ? FLAG_FINAL : 0);

		memcpy(p->header + BHS_LUN, lun, 8);
		put_be32(p->header + BHS_ITT, tag);
		put_be32(p->header + BHS_TTT, transfer_tag);
		put_be32(p->header + BHS_EXP_STAT_SN, s->exp_stat_sn);
		put_be32(p->header + BHS_DATA_SN, sn);
		put_be32(p->header + BHS_BUFFER_OFFSET, from);
		out_seal(s, p, from, len);
		from += len;
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void seal_write(struct session *s, struct out_pdu *p, uint32_t tag)
{
	uint32_t block = s->bench->set.block;
	uint32_t burst = least(block, s->first_burst);
	uint32_t immediate = s->immediate_data ? least(burst, s->max_send) : 0;
	uint32_t unsolicited = s->initial_r2t ? immediate : burst;
	uint8_t lun[8];

	memcpy(lun, p->header + BHS_LUN, sizeof(lun));
	if (unsolicited > immediate)
		p->header[1] &= ~FLAG_FINAL; /* RFC 7143 11.3.1: unsolicited Data-Out follows */
	out_seal(s, p, 0, immediate);
	data_out(s, lun, tag, NO_TAG, immediate, unsolicited);
}

static bool window_open(const struct session *s)
{
	return (int32_t)(s->max_cmd_sn - s->cmd_sn) >= 0;
}

static void command_issue(struct session *s, uint64_t now)
{
	struct bench *b = s->bench;
	uint64_t slot = b->set.random ? random_next(b) % b->slots : s->next_slot++ % b->slots;
	uint32_t blocks = b->set.block / b->lu_block, tag = s->idle[--s->nidle];
	struct out_pdu *p = command_new(s, tag, b->set.write ? COMMAND_WRITE : COMMAND_READ, b->set.block);

	s->command[tag] = (struct command){ .queued = now, .busy = true };
	s->inflight++;
	p->header[BHS_CDB] = b->set.write ? 0x2a : 0x28; /* WRITE(10), READ(10) */
	put_be32(p->header + BHS_CDB + 2, slot * blocks);
	put_be16(p->header + BHS_CDB + 7, blocks);
	if (b->set.write)
		seal_write(s, p, tag);
	else
		out_seal(s, p, 0, 0);
}

static void session_fill(struct session *s)
{
	uint64_t now = now_ns();

	while (s->nidle && window_open(s))
		command_issue(s, now);
}

static struct command *command_of(struct session *s, const uint8_t *header)
{
	uint32_t tag = get_be32(header + BHS_ITT);

	if (tag >= s->bench->set.queue_depth || !s->command[tag].busy)
		fail("session %u: PDU %02xh for tag %08xh, which no command has: the target is at fault", s->id,
		     header[0], tag);
	return &s->command[tag];
}

static void command_done(struct session *s, const uint8_t *header, uint64_t now)
{
	struct bench *b = s->bench;
	struct command *c = command_of(s, header);
	uint8_t status = header[3];

	c->busy = false;
	s->idle[s->nidle++] = c - s->command;
	s->inflight--;
	if (status && !b->errors++)
		fprintf(stderr, "iscsi_bench: session %u: SCSI status %02xh; more are counted only\n", s->id, status);
	if (!status && !b->set.write && c->received != b->set.block)
		fail("session %u: GOOD with %u of %u bytes: the target is at fault", s->id, c->received, b->set.block);
	if (b->phase == PHASE_MEASURE)
		histogram_add(&b->latency, now - c->queued);
}

/* ---- in ------------------------------------------------------------------------------------ */

static void data_in(struct session *s, const uint8_t *h, uint64_t now)
{
	command_of(s, h)->received += get_be24(h + BHS_DATA_LEN);
	if (!(h[1] & DATA_IN_STATUS))
		return;
	s->exp_stat_sn = get_be32(h + BHS_STAT_SN) + 1;
	command_done(s, h, now);
}

static void scsi_response(struct session *s, const uint8_t *h, uint64_t now)
{
	if (h[2])
		fail("session %u: iSCSI response code %02xh; the target's log tells why", s->id, h[2]);
	s->exp_stat_sn = get_be32(h + BHS_STAT_SN) + 1;
	command_done(s, h, now);
}

static void ready_to_transfer(struct session *s, const uint8_t *h)
{
	uint32_t from = get_be32(h + BHS_BUFFER_OFFSET), len = get_be32(h + BHS_R2T_LEN);
	uint32_t block = s->bench->set.block;

	command_of(s, h);
	if (from > block || len > block - from)
		fail("session %u: R2T for %u bytes at %u of a command of %u: the target is at fault", s->id, len, from,
		     block);
	data_out(s, h + BHS_LUN, get_be32(h + BHS_ITT), get_be32(h + BHS_TTT), from, from + len);
}

static void nop_in(struct session *s, const uint8_t *h)
{
	struct out_pdu *p;

	if (get_be32(h + BHS_TTT) == NO_TAG)
		return;
	p = out_new(s, OP_NOP_OUT | OP_IMMEDIATE, FLAG_FINAL);
	memcpy(p->header + BHS_LUN, h + BHS_LUN, 8);
	put_be32(p->header + BHS_ITT, NO_TAG);
	memcpy(p->header + BHS_TTT, h + BHS_TTT, 4);
	put_be32(p->header + BHS_CMD_SN, s->cmd_sn);
	put_be32(p->header + BHS_EXP_STAT_SN, s->exp_stat_sn);
	out_seal(s, p, 0, 0);
}

static void pdu_in(struct session *s, const uint8_t *h, uint64_t now)
{
	s->max_cmd_sn = get_be32(h + BHS_MAX_CMD_SN);
	switch (h[0] & OP_MASK) {
	case OP_DATA_IN:
		data_in(s, h, now);
		break;
	case OP_SCSI_RESPONSE:
		scsi_response(s, h, now);
		break;
	case OP_R2T:
		ready_to_transfer(s, h);
		break;
	case OP_NOP_IN:
		nop_in(s, h);
		break;
	default:
		fail("session %u: unexpected PDU %02xh (byte 2: %02xh); the target's log tells why", s->id,
		     h[0] & OP_MASK, h[2]);
	}
}

static uint32_t header_len(const struct session *s)
{
	return BHS_LEN + (s->header_digest ? DIGEST_LEN : 0);
}

static uint32_t data_len(const struct session *s, const uint8_t *h)
{
	uint32_t len = get_be24(h + BHS_DATA_LEN);

	return len ? wire_padded(len) + (s->data_digest ? DIGEST_LEN : 0) : 0;
}

static void data_passed(struct session *s, uint64_t n, uint64_t now)
{
	s->data_left -= n;
	if (!s->data_left)
		pdu_in(s, s->pending, now);
}

/* Every PDU in the receive buffer; what is left of it is less than a header. */
static void parse(struct session *s, uint64_t now)
{
	uint32_t at = 0, need = header_len(s);

	while (at < s->in_len) {
		if (s->data_left) {
			uint32_t n = least(s->in_len - at, s->data_left > UINT32_MAX ? UINT32_MAX : s->data_left);

			at += n;
			data_passed(s, n, now);
			continue;
		}
		if (s->in_len - at < need)
			break;
		memcpy(s->pending, s->in + at, BHS_LEN);
		if (s->pending[BHS_AHS_LEN])
			fail("session %u: PDU %02xh has an AHS: not expected", s->id, s->pending[0]);
		at += need;
		s->data_left = data_len(s, s->pending);
		if (!s->data_left)
			pdu_in(s, s->pending, now);
	}
	s->in_len -= at;
	memmove(s->in, s->in + at, s->in_len);
}

/* How much to ask for. With large reads just the rest of this PDU and the next header: the data after that one can then be
 * discarded inside the kernel. */
static size_t receive_want(const struct session *s)
{
	const struct settings *set = &s->bench->set;

	if (!set->write && set->block >= DISCARD_MIN)
		return s->data_left + header_len(s) - s->in_len;
	return RECEIVE_LEN - s->in_len;
}

/* Until the socket is empty. */
static void session_receive(struct session *s)
{
	for (;;) {
		bool discard = s->data_left >= DISCARD_MIN;
		size_t want = discard ? s->data_left : receive_want(s);
		ssize_t n = recv(s->fd, discard ? NULL : s->in + s->in_len, want, discard ? MSG_TRUNC : 0);

		s->bench->syscalls++;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			fail("session %u: %s; the target's log tells why", s->id,
			     n ? strerror(errno) : "connection closed by the target");
		if (discard) {
			data_passed(s, n, now_ns());
		} else {
			s->in_len += n;
			parse(s, now_ns());
		}
		if ((size_t)n < want)
			return;
	}
}

#endif
