/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exclusive ranges of a logical unit, for commands that read, decide and write: COMPARE AND WRITE,
 * ORWRITE. Nobody sees or changes the blocks in between (SBC-3). Costs other commands one
 * look at an empty list.
 *
 *   owner's reactor          control thread                 every reactor
 *   acquire ───────────────▶ overlaps another lock? wait
 *                            else arm ────────────────────▶ new overlapping commands wait; those admitted before end
 *   granted(cmd) ◀────────── all quiet ◀─────────────────── quiet
 *   release ───────────────▶ disarm ──────────────────────▶ waiting commands go through the gates again
 *   released(cmd) ◀───────── all gone, next lock ◀───────── gone
 *
 * The owner's command stays admitted until released(), so a drained logical unit has no locks.
 *
 * A watch is a lock that keeps nobody away: it notes that some command is about to change one of its
 * ranges, from the moment it is armed until it ends.
 */
#ifndef SANDEM_CORE_RANGE_LOCK_H
#define SANDEM_CORE_RANGE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct lu;
struct lu_shard;
struct range_lock;
struct scsi_cmd;

/* Reactor; cmd is admitted, its row has ROW_EXCLUSIVE, or its task attribute is ORDERED. Locks cmd's
 * blocks, for an ORDERED command the whole logical unit; granted(cmd) runs later on the same
 * reactor. NULL: no memory. */
struct range_lock *range_lock_acquire(struct scsi_cmd *cmd, void (*granted)(struct scsi_cmd *cmd));

/* Reactor, after granted. released(cmd) runs later on the same reactor; l is gone then. */
void range_lock_release(struct range_lock *l, void (*released)(struct scsi_cmd *cmd));

/* Reactor, for the gate, when shard->locks is not empty. True: cmd touches a locked range and
 * waits (CMD_HELD). */
bool range_lock_wait(struct lu_shard *shard, struct scsi_cmd *cmd);

struct range { /* blocks [from, to) */
	uint64_t from, to;
};

/* Control thread. armed(arg), there too, when every change that was admitted before has ended: from then on none goes
 * unnoticed. The ranges are copied. NULL: no memory. */
struct range_lock *range_watch_start(struct lu *lu, const struct range *r, uint32_t n,
				     void (*armed)(void *arg), void *arg);
/* Any thread: a command has got past the gates that changes what is watched. */
bool range_watch_hit(const struct range_lock *w);
void range_watch_end(struct range_lock *w);  /* control thread, after armed */
void range_watch_free(struct range_lock *w); /* control thread, no reactor runs any more */

/* Reactor, for lu.c, when shard->locks is not empty: an admitted command has ended. */
void range_lock_task_ended(struct lu_shard *shard, struct scsi_cmd *cmd);

#endif
