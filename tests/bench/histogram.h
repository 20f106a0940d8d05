/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A latency histogram: 64 classes per octave, so that a percentile is off by at most 1/64 of its value and adding a sample is
 * a shift and an increment. Values are nanoseconds; one thread.
 */
#ifndef SANDEM_BENCH_HISTOGRAM_H
#define SANDEM_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 6
#define HISTOGRAM_CLASSES (64 << HISTOGRAM_BITS)

struct histogram {
	uint64_t bin[HISTOGRAM_CLASSES];
	uint64_t count, max;
	double sum;
};

static inline unsigned histogram_class(uint64_t value)
{
	int octave;

	if (value < (1u << HISTOGRAM_BITS))
		return value;
	octave = 63 - __builtin_clzll(value) - HISTOGRAM_BITS;
	return ((octave + 1) << HISTOGRAM_BITS) + (unsigned)((value >> octave) - (1u << HISTOGRAM_BITS));
}

/* The middle of a class. */
static inline double histogram_value(unsigned class)
{
	unsigned step = class & ((1u << HISTOGRAM_BITS) - 1);
	int octave = (int)(class >> HISTOGRAM_BITS) - 1;

	if (octave < 0)
		return class;
	return (double)((uint64_t)(step + (1u << HISTOGRAM_BITS)) << octave) + (double)(1ull << octave) / 2;
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->bin[histogram_class(value)]++;
	h->count++;
	h->sum += (double)value;
	if (value > h->max)
		h->max = value;
}

/* fraction 0 … 1; 0 when there is no sample. */
static inline double histogram_percentile(const struct histogram *h, double fraction)
{
	uint64_t want = (uint64_t)((double)h->count * fraction), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++) {
		seen += h->bin[i];
		if (seen > want)
			return histogram_value(i);
	}
	return (double)h->max;
}

static inline double histogram_mean(const struct histogram *h)
{
	return h->count ? h->sum / (double)h->count : 0;
}

#endif
