/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of logical units in an array, sorted by name, which is the first member of each: char name[LU_NAME_MAX + 1].
 * Control thread.
 */
#ifndef SANDEM_MEDIA_RECORDS_H
#define SANDEM_MEDIA_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Where the record of this name is among n, each of size bytes, or would be; *found says which. */
size_t records_place(const void *records, size_t n, size_t size, const char *name, bool *found);
/* The array, one longer, with a record of this name at `at` that is all zero else; NULL: no memory, and it is as it was. */
void *records_insert(void *records, size_t n, size_t size, size_t at, const char *name);

#endif
