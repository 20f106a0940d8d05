/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches, which are the same for every store. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/store_batch.h"

struct store_batch *store_batch_new(void)
{
	return calloc(1, sizeof(struct store_batch));
}

void store_batch_free(struct store_batch *b)
{
	if (!b)
		return;
	wbuf_fini(&b->body);
	free(b);
}

void batch_change(struct store_batch *b, enum change_kind kind, const char *key, const void *value, size_t len)
{
	size_t klen = strlen(key);
	struct change_head h = { .kind = kind, .klen = htole16(klen), .vlen = htole32(len) };

	if (klen > STORE_KEY_MAX || (!klen && kind != CHANGE_CLEAR) || len > STORE_VALUE_MAX) {
		b->err = -EINVAL;
		return;
	}
	wbuf_put(&b->body, &h, sizeof(h));
	wbuf_put(&b->body, key, klen);
	wbuf_put(&b->body, value, len);
	b->count++;
}

void store_batch_clear(struct store_batch *b)
{
	batch_change(b, CHANGE_CLEAR, "", NULL, 0);
}

void store_batch_put(struct store_batch *b, const char *key, const void *value, size_t len)
{
	batch_change(b, len ? CHANGE_PUT : CHANGE_FORGET, key, value, len);
}

void store_batch_allow_patches(struct store_batch *b, bool allowed)
{
	b->patches = allowed;
}

size_t store_batch_count(const struct store_batch *b)
{
	return b->count;
}
