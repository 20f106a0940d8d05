/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which generations may a read return? The model that sandem-load judges a target by.
 *
 * Every write of a block carries the next generation. At any moment a generation is one of
 *
 *   acknowledged   a status GOOD came back: every read sent from now on returns it or a later one
 *   open           sent, and not known to be done or refused: it may or may not be on the medium
 *   refused        answered by a status that says that nothing was written, on its only sending
 *                  (RESERVATION CONFLICT, a unit attention, NOT READY): no read may ever return it
 *
 *            0 ........ floor ............. issued
 *                         |   open, refused   |
 *                         +- the greater of the last acknowledged generation and the greatest
 *                            one that a finished read returned: what was seen once stays
 *
 * A read sent when the floor was F may return F, or an open generation above it that was issued
 * before the read ended. Anything else is a verdict against the target.
 *
 * A block has at most one write in flight; sending the same generation again on another path
 * after the first was lost is still that one write. The well-known hazard of multipathing is
 * judged, not excused: when the first sending sits in the queues of a target port that was
 * given up ("ghost write") and reaches the medium after a later generation was acknowledged,
 * the later one is lost, and that is what the next read says.
 *
 * Pure: no I/O, no clock. One thread.
 */
#ifndef TOOLS_LOAD_MODEL_H
#define TOOLS_LOAD_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct load_slot {
	uint32_t acked;
	uint32_t floor;
	uint32_t issued;
	bool writing;		/* a write is in flight */
	bool held;		/* a verdict is being confirmed: no new write */
	uint64_t refused;	/* bit n: generation issued - n; older ones count as open */
};

struct load_model {
	struct load_slot *slot;
	uint64_t count;
};

/* What a read found in the block, as the block itself tells it. */
enum load_seen {
	LOAD_SEEN_OURS,		/* valid, of this run, for this block */
	LOAD_SEEN_NOTHING,	/* zeroes, or valid content of another run for this block */
	LOAD_SEEN_ALIEN,	/* not one of our blocks */
	LOAD_SEEN_DAMAGED,	/* checksum wrong */
	LOAD_SEEN_MISPLACED,	/* valid, but written for another LBA, LUN, or writer */
};

enum load_verdict {
	LOAD_OK,
	LOAD_UNWRITTEN,		/* nothing acknowledged or seen yet, so nothing to compare with */
	LOAD_TORN,		/* mixed content while a write was open: not promised otherwise */
	LOAD_BEHIND,		/* less than the floor: to be confirmed, becomes LOST or STALE */
	LOAD_LOST,		/* ... and a second read says so too */
	LOAD_STALE,		/* ... and a second read returns what was expected */
	LOAD_CORRUPT,		/* damaged, misplaced, or a generation that was never written */
	LOAD_REFUSED_SEEN,	/* a refused write reached the medium */
};

/* What the model promised at the moment a read was sent. */
struct load_read {
	uint32_t acked;
	uint32_t floor;
	uint32_t issued;
	bool open; /* an open write above the floor existed */
};

/* Room for `count` blocks. 0 or -ENOMEM. */
int load_model_init(struct load_model *m, uint64_t count);
void load_model_fini(struct load_model *m);

/* Predicates */
bool load_model_may_write(const struct load_model *m, uint64_t block);
bool load_model_written(const struct load_model *m, uint64_t block); /* any write was issued */

/* Starts a write (load_model_may_write() must hold) and gives its generation, from 1. */
uint32_t load_model_write(struct load_model *m, uint64_t block);

/*
 * The end of that write: GOOD; nothing was written; not known (errors, no answer).
 * refused() gives LOAD_REFUSED_SEEN when a read has already returned that generation, else OK.
 */
void load_model_acked(struct load_model *m, uint64_t block, uint32_t generation);
enum load_verdict load_model_refused(struct load_model *m, uint64_t block, uint32_t generation);
void load_model_unknown(struct load_model *m, uint64_t block, uint32_t generation);

/* Call when a read is sent, and again each time it is sent anew: only the last sending answers. */
struct load_read load_model_read(const struct load_model *m, uint64_t block);

/* Judges what that read found (`generation` counts for OURS only) and raises the floor. */
enum load_verdict load_model_judge(struct load_model *m, uint64_t block, const struct load_read *r,
				   enum load_seen seen, uint64_t generation);

/*
 * A verdict BEHIND is confirmed by a second read. hold() keeps new writes away meanwhile;
 * confirm() takes the promise of the first read and the verdict of the second, ends the hold
 * and gives STALE, LOST, or what is worse. A write that was in flight all along makes the
 * second read say nothing; then it is LOST.
 */
void load_model_hold(struct load_model *m, uint64_t block);
enum load_verdict load_model_confirm(struct load_model *m, uint64_t block,
				     const struct load_read *first, enum load_verdict second);

/* For reports: "lost", "stale", ... */
const char *load_verdict_str(enum load_verdict v);

#endif
