/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Representations of data, ROD (SPC-4 5.17.6): what a ROD token stands for, namely blocks of a
 * logical unit as they were when the token was made. Nothing is copied then, so a token ends with
 * the first command that is about to change one of its blocks (core/range_lock.h watches), when its
 * LUN group moves, and when it is not used for a while.
 *
 *   reactor                      control thread: struct rods of this node
 *   rod_create ────────────────▶ random token, watch armed on every reactor
 *   done(q), q->rod ◀─────────── all changes that were under way have ended
 *   rod_get ───────────────────▶ found, still valid? one more user
 *   done(q) ◀───────────────────
 *   rod_is_valid, each chunk
 *   rod_put ───────────────────▶ one user less
 */
#ifndef SANDEM_CORE_ROD_H
#define SANDEM_CORE_ROD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/copy_results.h"
#include "core/mailbox.h"
#include "core/range_lock.h"
#include "core/sense.h"

struct core;
struct lu;
struct rods;

#define ROD_TOKENS_MAX 256
#define ROD_RANGES_MAX 64
#define ROD_TIMEOUT_DEFAULT_S 60u
#define ROD_TIMEOUT_MAX_S 600u
#define ROD_BYTES_MAX (1ull << 30)
#define ROD_BYTES_OPTIMAL (64ull << 20)

/* ROD types (SPC-4 table 110, SBC-3 4.28.4) */
#define ROD_TYPE_DEFAULT 0x00800000u	/* point in time copy – default */
#define ROD_TYPE_VULNERABLE 0x00800001u /* … change vulnerable: what all of them are here */
#define ROD_TYPE_ANY 0x0080ffffu
#define ROD_TYPE_ZERO 0xffff0001u
#define ROD_TOKEN_LENGTH 0x01f8 /* the field */

struct rod {
	struct lu *lu;
	uint64_t epoch; /* of the ownership under which it was made */
	uint32_t type;
	uint32_t timeout_s;
	uint64_t bytes;
	uint32_t nranges;
	struct range range[ROD_RANGES_MAX]; /* blocks, in the token's order */
	uint8_t token[ROD_TOKEN_LEN];
	/* control thread */
	struct range_lock *watch;
	uint64_t last_use; /* ns */
	uint32_t users;
	bool deleted;	   /* by an initiator, as soon as nobody uses it */
	struct rods *rods;
};

struct rod_query {
	/* set by the caller */
	struct core *core;
	struct reactor *reactor;
	void (*done)(struct rod_query *q);
	const uint8_t *token; /* rod_get() */
	struct rod *rod;      /* rod_create(): from malloc(), the store's from then on; rod_put() */
	bool deletes;	      /* rod_put(): DEL_TKN */
	/* the answer: rod is NULL unless error is SENSE_NONE */
	sense_t error;
	uint64_t now; /* ns, of the reactor */
	struct msg msg;
};

/* Reactor. done(q) runs later on it; the first two leave q->rod in use. */
void rod_create(struct rod_query *q);
void rod_get(struct rod_query *q);
void rod_put(struct rod_query *q);

/* Any thread, in use: whether the blocks are still as they were. */
bool rod_is_valid(const struct rod *rod);

/* Control thread, no reactor runs any more. */
void rods_free(struct core *core);

#define SENSE_TOKEN(ascq) SENSE(KEY_ILLEGAL_REQUEST, 0x23, ascq)
#define SENSE_TOKEN_TYPE SENSE_TOKEN(0x01)
#define SENSE_TOKEN_UNKNOWN SENSE_TOKEN(0x04)
#define SENSE_TOKEN_CORRUPT SENSE_TOKEN(0x05)
#define SENSE_TOKEN_EXPIRED SENSE_TOKEN(0x07)
#define SENSE_TOKEN_CANCELLED SENSE_TOKEN(0x08)
#define SENSE_TOKEN_DELETED SENSE_TOKEN(0x09)
#define SENSE_TOKEN_LENGTH SENSE_TOKEN(0x0a)
#define SENSE_ROD_RESOURCES SENSE(KEY_ILLEGAL_REQUEST, 0x55, 0x0d) /* to create ROD token */

#endif
