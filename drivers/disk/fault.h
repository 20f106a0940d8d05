/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors and faults for tests: a device handler that stacks on any other.
 *
 *   core ──submit──▶ fault ── the I/O is not chosen ───────────────────────────▶ file, block, null
 *                      └───── chosen: delay ─▶ short: a part of it is done ────▶ … ─▶ ends with the error
 *
 * One rule per logical unit, written "key=value:key=value…" (the same keys as `fault:` of sandem.yaml):
 *   what   delay=50ms (us, ms, s)      the I/O begins so much later
 *          short=512                   of a READ or WRITE only the first so many bytes are done; it ends with the error (EIO)
 *          error=EIO                   the I/O ends with this errno
 *   which  op=write+flush              read, write, flush, discard, zero (those five: the default), sync (the flush before
 *                                      the medium is handed over), open
 *          lba=100-199                 those that touch these logical blocks; flush, sync and open touch none
 *          rate=0.1                    each with this probability, drawn by
 *          seed=7                      a generator of this seed
 *          count=3                     no more than so many, from each opening on
 *          trigger=/run/x              only while this file exists (the last key: a path may have a ':')
 */
#ifndef SANDEM_DRIVERS_FAULT_H
#define SANDEM_DRIVERS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/disk.h"

struct fault_rule {
	int error;	   /* positive errno, 0 = none */
	uint64_t delay_ns; /* 0 = none */
	bool has_short;
	uint64_t short_bytes;
	uint32_t ops;	   /* bits: enum disk_op, FAULT_SYNC, FAULT_OPEN */
	bool has_lba;
	uint64_t first, last; /* logical blocks */
	uint32_t rate;	   /* in 2^-32; UINT32_MAX = always */
	uint64_t seed, count;
	char trigger[256]; /* "" = none */
};

/* 0, or -EINVAL and a message with the key that is wrong. Pure, any thread. */
int fault_parse(const char *text, struct fault_rule *out, char *err, size_t errlen);

/* Opens p's medium with its handler and puts p->fault's rule in front of it. As disk_ops.open. */
int fault_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen);

#endif
