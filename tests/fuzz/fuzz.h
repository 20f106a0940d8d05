/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a fuzz harness is: a program around one function that takes any bytes. Two drivers call it:
 *
 *   tests/fuzz/fuzz_run.c   the corpus, then a bounded number of mutations from a fixed seed (make check-fuzz)
 *   clang's libFuzzer       as long as wanted, guided by coverage (make fuzz)
 *
 * Each input starts from the same state, so that one that fails fails again. A sanitizer's finding, a FUZZ_CHECK that
 * does not hold and a hang are failures; a refused input is not.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

#define FUZZ_CHECK(cond)                                                                            \
	do {                                                                                        \
		if (!(cond)) {                                                                      \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);   \
			abort();                                                                    \
		}                                                                                   \
	} while (0)

/* The input from its beginning to its end; what is missing reads as 0. */
struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t high = fuzz_u8(in);

	return high << 8 | fuzz_u8(in);
}

/* At most len bytes; *got says how many. The copy has exactly this size, so that a sanitizer sees what is read behind
 * it. To be freed. */
static inline uint8_t *fuzz_bytes(struct fuzz_in *in, size_t len, size_t *got)
{
	size_t n = len < in->left ? len : in->left;
	uint8_t *copy = malloc(n ? n : 1);

	FUZZ_CHECK(copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = in->p[i];
	in->p += n;
	in->left -= n;
	*got = n;
	return copy;
}

#endif
