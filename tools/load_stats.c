/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_stats.h"

#include <stdio.h>
#include <string.h>

#define SUB_BITS 5
_Static_assert(1 << SUB_BITS == LOAD_HIST_SUB, "one is the other's logarithm");

/* Values below 2 * SUB have a bucket each; above, SUB buckets for every power of two. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < 2 * LOAD_HIST_SUB)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	return (shift << SUB_BITS) + (unsigned)(ns >> shift);
}

static uint64_t bucket_top(unsigned b)
{
	unsigned shift;

	if (b < 2 * LOAD_HIST_SUB)
		return b;
	shift = (b >> SUB_BITS) - 1;
	return (((uint64_t)(b & (LOAD_HIST_SUB - 1)) + LOAD_HIST_SUB + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t ns)
{
	h->count++;
	h->bucket[bucket_of(ns)]++;
	if (ns > h->max)
		h->max = ns;
}

void load_hist_merge(struct load_hist *h, const struct load_hist *other)
{
	h->count += other->count;
	if (other->max > h->max)
		h->max = other->max;
	for (size_t i = 0; i < LOAD_HIST_BUCKETS; i++)
		h->bucket[i] += other->bucket[i];
}

uint64_t load_hist_quantile(const struct load_hist *h, double fraction)
{
	double want = fraction * (double)h->count;
	uint64_t seen = 0;

	for (unsigned i = 0; i < LOAD_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen && (double)seen >= want)
			return bucket_top(i) < h->max ? bucket_top(i) : h->max;
	}
	return 0;
}

void load_gap_issued(struct load_gap *g, uint64_t now)
{
	if (g->outstanding++ == 0)
		g->since = now;
}

uint64_t load_gap_completed(struct load_gap *g, uint64_t now, uint64_t *since)
{
	uint64_t length = now - g->since;

	*since = g->since;
	if (length > g->longest)
		g->longest = length;
	g->outstanding--;
	g->since = now;
	return length;
}

uint64_t load_gap_open(const struct load_gap *g, uint64_t now)
{
	return g->outstanding ? now - g->since : 0;
}

static size_t find(const struct load_tally *t, const char *name)
{
	size_t i = 0;

	while (i < t->used && strncmp(t->row[i].name, name, LOAD_TALLY_NAME - 1) != 0)
		i++;
	return i;
}

void load_tally_add(struct load_tally *t, const char *name)
{
	size_t i = find(t, name);

	if (i == t->used && t->used >= LOAD_TALLY_MAX - 1) {
		name = "other";
		i = find(t, name);
	}
	if (i == t->used)
		snprintf(t->row[t->used++].name, LOAD_TALLY_NAME, "%s", name);
	t->row[i].count++;
	t->total++;
}

uint64_t load_tally_get(const struct load_tally *t, const char *name)
{
	size_t i = find(t, name);

	return i < t->used ? t->row[i].count : 0;
}
