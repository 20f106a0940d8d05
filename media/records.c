/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/records.h"

#include <stdlib.h>
#include <string.h>

#include "core/lu.h"

size_t records_place(const void *records, size_t n, size_t size, const char *name, bool *found)
{
	size_t lo = 0, hi = n;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, (const char *)records + mid * size);

		if (!c) {
			*found = true;
			return mid;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

void *records_insert(void *records, size_t n, size_t size, size_t at, const char *name)
{
	char *grown = reallocarray(records, n + 1, size);

	if (!grown)
		return NULL;
	memmove(grown + (at + 1) * size, grown + at * size, (n - at) * size);
	memset(grown + at * size, 0, size);
	strncpy(grown + at * size, name, LU_NAME_MAX);
	return grown;
}
