/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A target device in one thread, for tests of commands through the real decoder and gates:
 *
 *   target iqn.2026-11.test:t ─ port (tpgt 2, rtpi 7) ─ one nexus ─┬─ LUN 0   lu,        memory disk of FAKE_BLOCKS blocks
 *                                                                  ├─ LUN 1   read_only, same disk
 *                                                                  └─ LUN 300 lu
 * The reactor has buffers and a mailbox, but no thread and no ring; fake_run() turns it.
 */
#ifndef FAKE_TARGET_H
#define FAKE_TARGET_H

#include "core/core.h"
#include "core/disk.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/target.h"
#include "core/wire.h"

#define FAKE_BLOCKS 70000u
#define FAKE_BLOCK 512u

struct fake_disk {
	struct disk disk;
	uint8_t *data;
	bool later;	      /* completions come in the next turn, not from within submit */
	int fail_op;	      /* enum disk_op that fails, or -1 */
	int fail_errno;
	int fail_after;	      /* so many of them succeed first */
	unsigned ops[8];      /* submitted, by enum disk_op */
	unsigned fua_writes;
	unsigned nesting, deepest; /* of submit within submit */
	struct disk_io *pending;
};

struct fake_target {
	struct core core;
	struct reactor reactor, *reactors[1];
	struct fake_disk disk;
	struct lu *lu, *ro, *lus[2];
	struct alua_gate gate;
	struct mode_state mode;
	struct target target, *targets[1];
	struct target_port port;
	struct initiator_acl acl;
	struct lun_entry lun[3];
	char *pattern[1];
	struct nexus nexus;
	struct scsi_cmd cmd; /* the last one run: status, sense, data in buf */
	bool ended;
	uint8_t at_lun;	     /* the LUN that fake_run() addresses (peripheral addressing) */
};

/* For cmocka: *state is a struct fake_target without pending unit attentions. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* Runs one command to its end. data, len: data-out, NULL/0 for none. expected: bytes the
 * initiator announces (in or out). */
void fake_run(struct fake_target *f, const uint8_t *cdb, size_t cdb_len, const void *data, uint32_t expected);
/* The same in two halves: start does not turn the reactor. */
void fake_start(struct fake_target *f, const uint8_t *cdb, size_t cdb_len, const void *data, uint32_t expected);
void fake_turn(struct fake_target *f);

/* Commands by their fields. READ/WRITE … (opcode tells 6, 10, 12, 16). flags: byte 1. */
size_t fake_rw_cdb(uint8_t *cdb, uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t blocks);
void fake_rw(struct fake_target *f, uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t blocks, const void *data,
	     uint32_t expected);

/* Sense of the last command as key << 16 | asc << 8 | ascq, from fixed or descriptor format; fails the test unless the status is
 * CHECK CONDITION. */
sense_t fake_sense(const struct fake_target *f);

#define assert_status(f, s) assert_int_equal((f)->cmd.status, (s))
#define assert_good(f) assert_status(f, STATUS_GOOD)
#define assert_sense(f, s) assert_int_equal(fake_sense(f), (s))
/* INVALID FIELD IN CDB with field pointer byte */
void fake_assert_bad_field(const struct fake_target *f, int byte);

#endif
