/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What iscsi_bench is made of. Its headers hold code: the bench is one program, small enough to be one compilation.
 *
 *   struct bench ── settings
 *                ├─ session[] ── command[queue depth], a ring of PDUs to send, a receive buffer
 *                └─ what was measured
 */
#ifndef SANDEM_BENCH_BENCH_H
#define SANDEM_BENCH_BENCH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu_use.h"
#include "histogram.h"
#include "wire.h"

#define SESSIONS_MAX 256
#define QUEUE_DEPTH_MAX 1024
#define BLOCK_MAX (16u << 20)
#define DIGESTS 2048

struct settings {
	char host[256];
	char port[16];
	const char *target;
	unsigned lun, sessions, queue_depth;
	uint32_t block; /* bytes of one command */
	bool write, random, spin, header_digest, data_digest, json;
	double seconds, warmup;
	int pid; /* the target's, 0: no CPU figures */
	uint16_t isid; /* 0: the pid */
	const char *congestion;
};

/* A PDU on its way out. Data lies in bench.payload and is shared by all. */
struct out_pdu {
	uint8_t header[BHS_LEN + DIGEST_LEN];
	uint8_t header_len;
	uint8_t tail[4 + DIGEST_LEN]; /* padding and data digest */
	uint8_t tail_len;
	uint32_t data_offset, data_len;
};

struct command {
	uint64_t queued; /* ns */
	uint32_t received;
	bool busy;
};

struct session {
	struct bench *bench;
	int fd;
	unsigned id, inflight;
	uint32_t cmd_sn, exp_stat_sn, max_cmd_sn;
	uint64_t next_slot; /* sequential access */
	struct command *command; /* [queue_depth], index = initiator task tag */
	unsigned *idle, nidle;
	/* out */
	struct out_pdu *ring;
	uint32_t head, tail, head_sent; /* head_sent: bytes of the PDU at head that are gone */
	bool waits_writable;
	/* in */
	uint8_t *in;
	uint32_t in_len;
	uint8_t pending[BHS_LEN]; /* header whose data is still coming */
	uint64_t data_left;
	/* negotiated */
	uint32_t max_send, first_burst, max_burst;
	bool initial_r2t, immediate_data, header_digest, data_digest;
};

enum phase { PHASE_WARMUP, PHASE_MEASURE, PHASE_DRAIN };

struct bench {
	struct settings set;
	struct session *session;
	int epoll;
	enum phase phase;
	uint8_t *payload;
	uint64_t slots; /* positions of set.block bytes on the LUN */
	uint32_t lu_block; /* bytes of a logical block */
	uint64_t random;
	struct {
		uint32_t offset, len, value;
	} digest[DIGESTS]; /* of data segments: payload never changes, so neither do they */
	/* of PHASE_MEASURE */
	struct histogram latency;
	uint64_t errors, syscalls, started, ended, stolen;
	struct cpu_use target, generator;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("iscsi_bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void *need_zeroed(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		fail("no memory for %zu bytes; ask for fewer sessions or a smaller block", count * size);
	return p;
}

/* xorshift64: the access pattern must cost nothing and be the same in every run. */
static uint64_t random_next(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

#endif
