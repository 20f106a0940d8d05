/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of the node-to-node link. Little endian, bounded, no pointers.
 *
 *   ┌──────────────── 32 bytes ────────────────┬──────────────┬───────────────┐
 *   │ magic version type flags id meta data 0… │ meta, by type│ data (READ,   │
 *   │  4      1     1     2    8   4    4   8  │              │ WRITE payload)│
 *   └──────────────────────────────────────────┴──────────────┴───────────────┘
 *
 *   dialer (origin of commands)            acceptor (owner)
 *     HELLO ──────────────────────────────▶           cluster/link_auth.h
 *            ◀────────────────────────────── CHALLENGE
 *     PROOF ──────────────────────────────▶
 *            ◀────────────────────────────── WELCOME
 *     COMMAND id, data-out ───────────────▶
 *     CANCEL id ──────────────────────────▶           what became of it? execute it no more
 *     ABORT id ───────────────────────────▶           if it is running: leave out the rest; ANSWER comes as ever.
 *                                                     Only to a peer that speaks LINK_SPEAKS_ABORT
 *            ◀────────────────────────────── ANSWER id, data-in
 *     PING ───────────────────────────────▶
 *            ◀────────────────────────────── PONG
 *
 * id = sequence << 16 | slot. A slot is one credit: the origin has one command under way in each,
 * so the slots bound what the owner keeps. Pure functions; nothing is trusted that was received. /
 */
#ifndef SANDEM_CLUSTER_LINK_WIRE_H
#define SANDEM_CLUSTER_LINK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reactor.h"
#include "core/remote.h"
#include "core/sense.h"

#define LINK_VERSION 1 /* of the frames' form, in each header: all nodes have the same */
#define LINK_SPEAKS 3  /* what this release can read, said in HELLO and CHALLENGE; 0.1.0 says nothing: 1 */
#define LINK_SPEAKS_ABORT 2
#define LINK_SPEAKS_EPOCH 3 /* a COMMAND may say the epoch of the ownership */
#define LINK_HEADER_LEN 32
#define LINK_META_MAX 480
#define LINK_DATA_MAX REACTOR_BUF_MAX
#define LINK_SLOTS 512

enum link_type { /* on the wire: never reused */
	LINK_HELLO = 1,
	LINK_CHALLENGE,
	LINK_PROOF,
	LINK_WELCOME,
	LINK_COMMAND,
	LINK_CANCEL,
	LINK_ANSWER,
	LINK_PING,
	LINK_PONG,
	LINK_ABORT,
	LINK_TYPE_END,
};

struct link_header {
	enum link_type type;
	uint64_t id;
	uint32_t meta_len, data_len; /* bytes */
};

void link_header_put(uint8_t out[LINK_HEADER_LEN], const struct link_header *h);
/* 0; -EPROTO: not a frame of ours, or out of bounds; -EPROTONOSUPPORT: another version. */
int link_header_get(const uint8_t in[LINK_HEADER_LEN], struct link_header *h);

static inline uint64_t link_id(uint64_t seq, uint16_t slot)
{
	return seq << 16 | slot;
}
static inline uint16_t link_id_slot(uint64_t id)
{
	return (uint16_t)id;
}
static inline uint64_t link_id_seq(uint64_t id)
{
	return id >> 16;
}

/* COMMAND: the length of what was written to out (LINK_META_MAX bytes of room). */
uint32_t link_command_put(uint8_t *out, const struct remote_request *q);
int link_command_get(const uint8_t *in, uint32_t len, struct remote_request *q); /* 0 or -EPROTO */

enum link_outcome {
	LINK_DONE,	   /* status and sense are the command's */
	LINK_TURNED_AWAY,  /* not executed: the gate there does not admit it */
	LINK_ABORTED,	   /* by a task management function or PREEMPT AND ABORT there */
	LINK_NOT_EXECUTED, /* the answer to CANCEL: never was, never will be */
	LINK_OUTCOME_END,
};

struct link_answer {
	enum link_outcome outcome;
	uint8_t status;
	uint8_t sense_len;
	uint8_t sense[SENSE_MAX];
	uint32_t data_in_len; /* that the device server returns; the frame has min(this, expected length) */
};

uint32_t link_answer_put(uint8_t *out, const struct link_answer *a);
int link_answer_get(const uint8_t *in, uint32_t len, struct link_answer *a);

#endif
