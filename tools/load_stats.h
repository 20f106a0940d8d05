/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting: latency histograms, gaps in the flow of completions, events by name.
 * Pure: the clock is an argument (nanoseconds of CLOCK_MONOTONIC). One thread.
 */
#ifndef TOOLS_LOAD_STATS_H
#define TOOLS_LOAD_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Latencies: buckets of at most 1/32 relative width, 1 ns up to 2^63 ns. */
#define LOAD_HIST_SUB 32
#define LOAD_HIST_BUCKETS (60 * LOAD_HIST_SUB)
struct load_hist {
	uint64_t count, max;
	uint64_t bucket[LOAD_HIST_BUCKETS];
};

void load_hist_add(struct load_hist *h, uint64_t ns);
void load_hist_merge(struct load_hist *h, const struct load_hist *other);

/* The latency in ns that `fraction` (0..1) of the values do not exceed, rounded up to its bucket,
 * never above the greatest value; 0 when there are none. */
uint64_t load_hist_quantile(const struct load_hist *h, double fraction);

/*
 * A gap: time in which no I/O completed while some was outstanding. It begins with the last
 * completion, or with the first I/O after an idle time.
 */
struct load_gap {
	uint64_t since;		/* begin of the current gap */
	uint64_t outstanding;
	uint64_t longest;	/* ns, of the finished gaps */
};

void load_gap_issued(struct load_gap *g, uint64_t now);
/* One I/O completed: gives the length in ns of the gap that this ends, its begin in *since. */
uint64_t load_gap_completed(struct load_gap *g, uint64_t now, uint64_t *since);
/* The length so far of the gap that is going on, 0 when nothing is outstanding. */
uint64_t load_gap_open(const struct load_gap *g, uint64_t now);

/* A short list of {name, count}; names are copied. */
#define LOAD_TALLY_MAX 64
#define LOAD_TALLY_NAME 96
struct load_tally {
	size_t used;
	uint64_t total;
	struct {
		char name[LOAD_TALLY_NAME];
		uint64_t count;
	} row[LOAD_TALLY_MAX];
};

/* Beyond LOAD_TALLY_MAX names the rest is counted as "other". */
void load_tally_add(struct load_tally *t, const char *name);
uint64_t load_tally_get(const struct load_tally *t, const char *name);

#endif
