/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/thin.h"

#include "core/lu.h"
#include "core/wire.h"

#define SET_BYTES_LOG2 20

uint8_t thin_exponent(const struct lu *lu)
{
	uint64_t blocks = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED);
	uint8_t e = SET_BYTES_LOG2 - __builtin_ctz(lu->block_size);

	while (blocks >> e > UINT32_MAX) /* SBC-3 6.6.4 */
		e++;
	return e;
}

uint32_t thin_sets(const struct lu *lu, uint64_t bytes)
{
	uint64_t sets = bytes / lu->block_size >> thin_exponent(lu);

	return sets > UINT32_MAX ? UINT32_MAX : sets;
}

uint64_t thin_threshold_bytes(const struct lu *lu)
{
	uint64_t blocks = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED);

	return blocks / 100 * lu->thin_threshold * lu->block_size + blocks % 100 * lu->thin_threshold / 100 * lu->block_size;
}

enum resource { AVAILABLE = 1, USED = 2 }; /* parameter code = threshold resource */
#define ENABLED 0x80 /* THRESHOLD TYPE 000b: soft; THRESHOLD ARMING 000b: decreasing */

/* SITUA=0: the unit attention goes to every I_T nexus. */
void thin_mode_page(uint8_t *p, const struct lu *lu)
{
	uint64_t bytes = thin_threshold_bytes(lu);

	p[12] = bytes ? ENABLED : 0;
	p[13] = AVAILABLE;
	put_be32(p + 16, thin_sets(lu, bytes));
}

enum scope { DEDICATED = 1, SHARED = 2 }; /* SCOPE: whether other logical units use the same resources */

static uint8_t *put_count(uint8_t *p, enum resource code, uint32_t sets, enum scope scope)
{
	put_be16(p, code);
	p[2] = 0x03; /* FORMAT AND LINKING: binary list */
	p[3] = 8;
	put_be32(p + 4, sets);
	p[8] = scope;
	p[9] = p[10] = p[11] = 0;
	return p + 12;
}

size_t thin_log_parameters(uint8_t *p, const struct lu *lu)
{
	uint8_t *end = p;

	if (!__atomic_load_n(&lu->usage.known, __ATOMIC_ACQUIRE))
		return 0;
	end = put_count(end, AVAILABLE, thin_sets(lu, __atomic_load_n(&lu->usage.available, __ATOMIC_RELAXED)), SHARED);
	end = put_count(end, USED, thin_sets(lu, __atomic_load_n(&lu->usage.used, __ATOMIC_RELAXED)), DEDICATED);
	return end - p;
}

void thin_measured(struct lu *lu, bool known, uint64_t used, uint64_t available)
{
	__atomic_store_n(&lu->usage.used, used, __ATOMIC_RELAXED);
	__atomic_store_n(&lu->usage.available, available, __ATOMIC_RELAXED);
	__atomic_store_n(&lu->usage.known, known, __ATOMIC_RELEASE);
}
