/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A protected logical unit in memory:
 *
 *   fake_target (one nexus, LUN 0) ─ protected ─┬─ its memory disk, 512 bytes per block
 *                                               └─ tags, as on the medium: inverted, behind 4096
 * bytes
 */
#ifndef FAKE_PROTECTED_H
#define FAKE_PROTECTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/pi.h"
#include "tests/unit/core/fake_target.h"

#define STEP (FAKE_BLOCK + PI_LEN)

struct protected_rig {
	struct fake_target *f;
	struct disk tags;
	uint8_t *tag_bytes;
	int fail_tags;	   /* enum disk_op of the tags' medium that fails with EIO, or -1 */
	struct disk *disk; /* the stack */
};

struct protected_rig *rig_new(enum pi_type type, bool ato);
void rig_free(struct protected_rig *r);

/* What the medium keeps for a block, and the same to spoil it. */
void rig_pi(const struct protected_rig *r, uint64_t lba, uint8_t pi[PI_LEN]);
void rig_set_pi(struct protected_rig *r, uint64_t lba, const uint8_t pi[PI_LEN]);

/* A block of one byte repeated, with protection information that fits; the CRC is the test's own.
 */
void block_make(uint8_t *p, uint8_t fill, uint16_t app, uint32_t ref);
uint16_t crc_t10(const uint8_t *p, size_t len);

/* Commands of 16 bytes by their operation code, of 32 by their service action, with the field and
 * options. */
struct tags32 {
	uint32_t ref;
	uint16_t app, mask;
};
void run16(struct protected_rig *r, uint8_t opcode, uint8_t protect, uint8_t options, uint64_t lba,
	   uint32_t blocks, const void *data, uint32_t expected);
void run32(struct protected_rig *r, uint8_t sa, uint8_t protect, uint8_t options, uint64_t lba,
	   uint32_t blocks, struct tags32 t, const void *data, uint32_t expected);

/* ABORTED COMMAND (or MISCOMPARE) of a field of protection information, with INFORMATION = lba. */
void assert_pi_sense(const struct protected_rig *r, uint8_t key, uint8_t ascq, uint32_t lba);

#endif
