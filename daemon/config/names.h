/* SPDX-License-Identifier: BSD-2-Clause */
/* Names to indices, for thousands of names. Private to daemon/config*.c. */
#ifndef SANDEM_CONFIG_NAMES_H
#define SANDEM_CONFIG_NAMES_H

#include <stddef.h>

struct names;

/* Room for max names; NULL: no memory. */
struct names *names_new(size_t max);
void names_free(struct names *n);
/* The next name, borrowed: its index is how many were there before. */
void names_add(struct names *n, const char *name);
/* The index of (one of) that name, or -1. */
int names_find(const struct names *n, const char *name);
/* A name that was added twice: the later index and *first, or -1. Of several the earliest later one. */
int names_twice(const struct names *n, size_t *first);
const char *const *names_words(const struct names *n);
size_t names_count(const struct names *n);

#endif
