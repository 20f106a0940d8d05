/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/store_entries.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/store_patch.h"

static size_t entry_size(const struct store_entry *e)
{
	return sizeof(struct change_head) + strlen(e->key) + e->len;
}

bool store_entries_find(const struct store_entries *s, const char *key, size_t *at)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(s->entry[mid].key, key);

		if (!c) {
			*at = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return false;
}

static void entry_forget(struct store_entries *s, const char *key)
{
	size_t at;

	if (!store_entries_find(s, key, &at))
		return;
	s->kept -= entry_size(&s->entry[at]);
	free(s->entry[at].key);
	free(s->entry[at].value);
	s->n--;
	memmove(&s->entry[at], &s->entry[at + 1], (s->n - at) * sizeof(s->entry[0]));
}

/* Takes value, also when it fails; NULL: there was no memory for it. */
static int entry_take(struct store_entries *s, const char *key, uint8_t *value, size_t len)
{
	struct store_entry e = { strdup(key), value, len };
	size_t at;

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct store_entry *p = reallocarray(s->entry, cap, sizeof(*p));

		if (p) {
			s->entry = p;
			s->cap = cap;
		}
	}
	if (!e.key || !e.value || s->n == s->cap) {
		free(e.key);
		free(e.value);
		return -ENOMEM;
	}
	entry_forget(s, key);
	store_entries_find(s, key, &at);
	memmove(&s->entry[at + 1], &s->entry[at], (s->n - at) * sizeof(s->entry[0]));
	s->entry[at] = e;
	s->n++;
	s->kept += entry_size(&e);
	return 0;
}

static int entry_put(struct store_entries *s, const char *key, const uint8_t *bytes, size_t len)
{
	uint8_t *value = malloc(len);

	if (value)
		memcpy(value, bytes, len);
	return entry_take(s, key, value, len);
}

static int entry_patch(struct store_entries *s, const char *key, const uint8_t *patch, size_t patchlen)
{
	uint8_t *value;
	size_t at, len;
	int err;

	if (!store_entries_find(s, key, &at))
		return -EBADMSG;
	err = store_patch_apply(patch, patchlen, s->entry[at].value, s->entry[at].len, &value, &len);
	if (err)
		return err;
	s->patched += len;
	return entry_take(s, key, value, len);
}

static void entries_clear(struct store_entries *s)
{
	while (s->n)
		entry_forget(s, s->entry[s->n - 1].key);
}

/* As store_batch.h makes them: a key but for CLEAR, a value for PUT and PATCH alone. */
static bool change_good(unsigned kind, size_t klen, size_t vlen)
{
	if (kind < CHANGE_PUT || kind > CHANGE_PATCH)
		return false;
	return (klen > 0) == (kind != CHANGE_CLEAR) && (vlen > 0) == (kind == CHANGE_PUT || kind == CHANGE_PATCH);
}

bool store_change_next(const uint8_t **p, size_t *left, struct store_change *c)
{
	struct change_head h;
	size_t klen;

	if (*left < sizeof(h))
		return false;
	memcpy(&h, *p, sizeof(h));
	klen = le16toh(h.klen);
	c->kind = h.kind;
	c->len = le32toh(h.vlen);
	if (klen > STORE_KEY_MAX || *left - sizeof(h) < klen || *left - sizeof(h) - klen < c->len)
		return false;
	memcpy(c->key, *p + sizeof(h), klen);
	c->key[klen] = 0;
	c->value = *p + sizeof(h) + klen;
	*p = c->value + c->len;
	*left -= sizeof(h) + klen + c->len;
	return strlen(c->key) == klen && change_good(c->kind, klen, c->len);
}

static int change_apply(struct store_entries *s, const struct store_change *c)
{
	switch ((enum change_kind)c->kind) {
	case CHANGE_PUT:
		return entry_put(s, c->key, c->value, c->len);
	case CHANGE_FORGET:
		entry_forget(s, c->key);
		return 0;
	case CHANGE_CLEAR:
		entries_clear(s);
		return 0;
	case CHANGE_PATCH:
		return entry_patch(s, c->key, c->value, c->len);
	}
	return -EBADMSG;
}

int store_entries_apply(struct store_entries *s, const uint8_t *p, size_t len)
{
	struct store_change c;
	int err = 0;

	while (len && !err)
		err = store_change_next(&p, &len, &c) ? change_apply(s, &c) : -EBADMSG;
	return err;
}

void store_entries_fini(struct store_entries *s)
{
	entries_clear(s);
	free(s->entry);
	*s = (struct store_entries){ 0 };
}
