/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection information (SBC-3 4.22): eight bytes per logical block that say what the block holds
 * and where it belongs.
 *
 *     LOGICAL BLOCK GUARD (2)   LOGICAL BLOCK APPLICATION TAG (2)   LOGICAL BLOCK REFERENCE TAG (4)
 *     CRC of the user data      the application client's            type 1: low half of the LBA
 *
 *   command ── core/pi_cmd.c: PROTECT field × type → struct pi_order ──▶ disk_io.pi
 *                               drivers/disk/protected.c: checks, splits, joins
 *
 * Here stand the rules for blocks in memory. Pure, any thread.
 */
#ifndef SANDEM_CORE_PI_H
#define SANDEM_CORE_PI_H

#include <stdbool.h>
#include <stdint.h>

#define PI_LEN 8 /* PROTECTION INTERVAL EXPONENT 0: one per logical block */

enum pi_type { PI_NONE, PI_TYPE_1, PI_TYPE_2, PI_TYPE_3 };
enum pi_check { PI_GUARD = 1, PI_APP = 2, PI_REF = 4, PI_ALL = 7 };

/* A write: where what is stored beside the user data comes from. */
enum pi_source {
	PI_GENERATED, /* by the device server; the buffer has user data only */
	PI_IN_BUFFER, /* each block in the buffer is followed by its own */
	PI_ERASED,    /* FFh in all bytes: nothing is known of the block, nothing is checked */
};

/* What is done with the protection information of one I/O. */
struct pi_order {
	uint8_t type;	  /* enum pi_type */
	bool ato;	  /* the application client owns the application tag */
	bool interleaved; /* the buffer has block, PI, block, PI … */
	uint8_t check; /* enum pi_check: of what is read, or written from the buffer */
	uint8_t source; /* enum pi_source */
	uint32_t ref;	/* of the first block; types 1 and 2 count on from there */
	uint16_t app, app_mask;
	/* the answer, where an I/O ends with -EILSEQ */
	uint8_t bad; /* enum pi_check */
	uint32_t at; /* blocks behind the first one */
};

/* Blocks and their protection information in memory: apart, or interleaved. */
struct pi_blocks {
	uint8_t *data, *pi;
	uint32_t data_step, pi_step; /* from one block to the next */
	uint32_t block_size, n;
};

static inline struct pi_blocks pi_interleaved(void *buf, uint32_t block_size, uint32_t n)
{
	return (struct pi_blocks){ .data = buf,
				   .pi = (uint8_t *)buf + block_size,
				   .data_step = block_size + PI_LEN,
				   .pi_step = block_size + PI_LEN,
				   .block_size = block_size,
				   .n = n };
}

static inline struct pi_blocks pi_apart(void *data, void *pi, uint32_t block_size, uint32_t n)
{
	return (struct pi_blocks){ .data = data,
				   .pi = pi,
				   .data_step = block_size,
				   .pi_step = PI_LEN,
				   .block_size = block_size,
				   .n = n };
}

uint16_t pi_guard(const uint8_t *data, uint32_t block_size);

/* FFh in all bytes. */
bool pi_is_erased(const uint8_t *pi);

/* What the device server stores of blocks that came without (SBC-3 table of WRPROTECT, 000b). */
void pi_generate(const struct pi_order *o, const struct pi_blocks *b);

/* One block whose data has changed: a new guard; the tags of tags (received ones), or else its own,
 * or generated ones where it has none. i: how many blocks behind the first. */
void pi_renew(const struct pi_order *o, const uint8_t *data, uint8_t *pi, uint32_t block_size,
	      uint32_t i, const uint8_t *tags);

/* 0, or -EILSEQ with o->bad and o->at. from_medium: blocks with the escape values are not looked at
 * (4.22.3); received ones are. */
int pi_check(struct pi_order *o, const struct pi_blocks *b, bool from_medium);

/* The first of the fields of checks in which a and b differ, or 0. */
uint8_t pi_difference(const uint8_t *a, const uint8_t *b, uint8_t checks);

/* Copies user data and protection information. */
void pi_copy(const struct pi_blocks *to, const struct pi_blocks *from);

#endif
