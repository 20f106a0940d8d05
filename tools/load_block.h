/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The self-describing block: what sandem-load puts on the medium.
 *
 *   0        8        16    20      24       32          40       44        48      60    64
 *   +--------+--------+-----+-------+--------+-----------+--------+---------+-------+-----+-----
 *   | magic  | run id | LUN | writer| LBA    | generation| length | reserved (zero) | sum | fill
 *   +--------+--------+-----+-------+--------+-----------+--------+---------+-------+-----+-----
 *
 * All integers are little endian. `sum` is the CRC32C (RFC 7143 13.1) of every other byte of the
 * block. The fill is a function of run id, LBA and generation alone, so that a block which was
 * put together from two writes shows where the seam is.
 *
 * Pure: no state, no I/O, any thread.
 */
#ifndef TOOLS_LOAD_BLOCK_H
#define TOOLS_LOAD_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#define LOAD_BLOCK_HEADER 64 /* bytes; the least length of a block, too */

struct load_block {
	uint64_t run;
	uint32_t lun;
	uint32_t writer;
	uint64_t lba; /* of the first logical block, in logical blocks */
	uint64_t generation;
};

enum load_block_kind {
	LOAD_BLOCK_VALID,	/* magic, length and checksum are right */
	LOAD_BLOCK_ZERO,	/* nothing but zeroes: never written, or unmapped */
	LOAD_BLOCK_ALIEN,	/* no magic: not one of ours */
	LOAD_BLOCK_BAD_SUM,	/* one of ours, but damaged or torn */
};

/* Fills the `len` bytes (a multiple of 8, at least LOAD_BLOCK_HEADER) at `buf` for `id`. */
void load_block_fill(void *buf, size_t len, const struct load_block *id);

/* Says what the `len` bytes at `buf` are; `*id` gets the header fields unless ZERO or ALIEN. */
enum load_block_kind load_block_parse(const void *buf, size_t len, struct load_block *id);

/*
 * The offset in bytes of the first 8 bytes of fill that do not belong to the block's own header,
 * or `len` when all of them do. For the description of damage.
 */
size_t load_block_seam(const void *buf, size_t len);

/* The CRC32C of `len` bytes as RFC 7143 defines it ("123456789" gives E3069283h). */
uint32_t load_block_crc(const void *buf, size_t len);

#endif
