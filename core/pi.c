/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/pi.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>

#include "core/wire.h"

#define APP_ESCAPE 0xffffu
#define REF_ESCAPE 0xffffffffu

enum pi_field { AT_GUARD = 0, AT_APP = 2, AT_REF = 4 };

uint16_t pi_guard(const uint8_t *data, uint32_t block_size)
{
	return crc16_t10dif(0, data, block_size);
}

bool pi_is_erased(const uint8_t *pi)
{
	return get_be64(pi) == UINT64_MAX;
}

/* ---- generating ------------------------------------------------------------------------------ */

static void generate_tags(const struct pi_order *o, uint8_t *pi, uint32_t i)
{
	put_be16(pi + AT_APP, o->ato ? APP_ESCAPE : 0);
	put_be32(pi + AT_REF, o->type == PI_TYPE_1 ? o->ref + i : REF_ESCAPE);
}

void pi_generate(const struct pi_order *o, const struct pi_blocks *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		uint8_t *pi = b->pi + (size_t)i * b->pi_step;

		put_be16(pi + AT_GUARD,
			 pi_guard(b->data + (size_t)i * b->data_step, b->block_size));
		generate_tags(o, pi, i);
	}
}

void pi_renew(const struct pi_order *o, const uint8_t *data, uint8_t *pi, uint32_t block_size,
	      uint32_t i, const uint8_t *tags)
{
	if (tags)
		memcpy(pi, tags, PI_LEN);
	else if (pi_is_erased(pi))
		generate_tags(o, pi, i);
	put_be16(pi + AT_GUARD, pi_guard(data, block_size));
}

/* ---- checking -------------------------------------------------------------------------------- */

/* 4.22.3: nothing is checked of a block whose application tag, with type 3 its reference tag, too,
 * has all bits set. */
static bool is_escaped(const struct pi_order *o, const uint8_t *pi)
{
	return get_be16(pi + AT_APP) == APP_ESCAPE &&
	       (o->type != PI_TYPE_3 || get_be32(pi + AT_REF) == REF_ESCAPE);
}

static uint8_t first_bad(const struct pi_order *o, const uint8_t *data, const uint8_t *pi,
			 uint32_t block_size, uint32_t i)
{
	if ((o->check & PI_GUARD) && get_be16(pi + AT_GUARD) != pi_guard(data, block_size))
		return PI_GUARD;
	if ((o->check & PI_APP) && ((get_be16(pi + AT_APP) ^ o->app) & o->app_mask))
		return PI_APP;
	if ((o->check & PI_REF) && get_be32(pi + AT_REF) != o->ref + i)
		return PI_REF;
	return 0;
}

int pi_check(struct pi_order *o, const struct pi_blocks *b, bool from_medium)
{
	if (!o->check)
		return 0;
	for (uint32_t i = 0; i < b->n; i++) {
		const uint8_t *pi = b->pi + (size_t)i * b->pi_step;
		uint8_t bad;

		if (from_medium && is_escaped(o, pi))
			continue;
		bad = first_bad(o, b->data + (size_t)i * b->data_step, pi, b->block_size, i);
		if (bad) {
			o->bad = bad;
			o->at = i;
			return -EILSEQ;
		}
	}
	return 0;
}

uint8_t pi_difference(const uint8_t *a, const uint8_t *b, uint8_t checks)
{
	if ((checks & PI_GUARD) && memcmp(a + AT_GUARD, b + AT_GUARD, 2))
		return PI_GUARD;
	if ((checks & PI_APP) && memcmp(a + AT_APP, b + AT_APP, 2))
		return PI_APP;
	return (checks & PI_REF) && memcmp(a + AT_REF, b + AT_REF, 4) ? PI_REF : 0;
}

void pi_copy(const struct pi_blocks *to, const struct pi_blocks *from)
{
	for (size_t i = 0; i < from->n; i++) {
		memcpy(to->data + i * to->data_step, from->data + i * from->data_step,
		       from->block_size);
		memcpy(to->pi + i * to->pi_step, from->pi + i * from->pi_step, PI_LEN);
	}
}
