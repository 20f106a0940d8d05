/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that change every block of a logical unit (SANITIZE, FORMAT UNIT; SBC-3 4.11, 5.3,
 * 5.20): they outlive the command that started
 * them, aborts and resets; other commands are refused meanwhile.
 *
 *   command ─▶ struct wipe ─▶ control thread: lu->wipe published, what was admitted drained
 *                                └▶ chunk after chunk on the command's reactor ─▶ end: lu->wipe gone, or failed
 *   The command waits (CMD_HELD) for the end, or with IMMED=1 for the beginning.
 */
#ifndef SANDEM_CORE_WIPE_H
#define SANDEM_CORE_WIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/disk.h"
#include "core/sense.h"

struct lu;
struct scsi_cmd;
struct wipe;

enum wipe_kind { WIPE_SANITIZE, WIPE_FORMAT };

struct wipe_order {
	enum wipe_kind kind;
	bool immed;	     /* answer when it has begun */
	bool may_exit;	     /* SANITIZE: AUSE */
	enum disk_op op;     /* DISK_WRITE: the pattern; or DISK_DISCARD, DISK_WRITE_ZEROES */
	uint8_t passes;
	bool invert;	     /* the pattern, for every second pass */
	const uint8_t *pattern; /* repeated from the beginning of each block; copied */
	uint32_t pattern_len;
};

/* Reactor; cmd is admitted. Begins the operation and ends cmd when it is time; BUSY without
 * memory. */
void wipe_start(struct scsi_cmd *cmd, const struct wipe_order *order);

/* Control thread. Leaves the state after a failure (EXIT FAILURE MODE); INVALID FIELD IN CDB
 * when it may not be left. */
void wipe_exit_failure(struct scsi_cmd *cmd);

/* Reactor, for the gate, when lu->wipe is set. True: answered, the operation or its failure
 * forbids the command. */
bool wipe_refuses(struct scsi_cmd *cmd);

/* Reactor. What REQUEST SENSE tells of the operation, with its progress; SENSE_NONE when there
 * is none. */
sense_t wipe_sense(const struct lu *lu, struct sense_detail *d);

struct wipe_record { /* of an operation under way or failed */
	enum wipe_kind kind;
	bool may_exit;
};

/* Before reactors run: lu starts in the state after a failure. 0 or -ENOMEM. */
int wipe_restore(struct lu *lu, const struct wipe_record *r);

/* Control thread, no reactor runs any more. */
void wipe_free(struct wipe *w);

#endif
