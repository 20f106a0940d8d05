/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/store_patch.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/store.h"

#define WINDOW 32  /* bytes that are the same: it goes on there */
#define REACH 1024 /* bytes that may have come or gone in one place: some records of what the services keep */

struct hunk {
	uint32_t keep, cut, put; /* little-endian */
};

/* ---- making ------------------------------------------------------------------------------------ */

static size_t same_prefix(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t n = 0;

	while (max - n >= sizeof(uint64_t) && !memcmp(a + n, b + n, sizeof(uint64_t)))
		n += sizeof(uint64_t);
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

static size_t same_suffix(const uint8_t *a_end, const uint8_t *b_end, size_t max)
{
	size_t n = 0;

	while (max - n >= sizeof(uint64_t) &&
	       !memcmp(a_end - n - sizeof(uint64_t), b_end - n - sizeof(uint64_t), sizeof(uint64_t)))
		n += sizeof(uint64_t);
	while (n < max && a_end[-1 - (ptrdiff_t)n] == b_end[-1 - (ptrdiff_t)n])
		n++;
	return n;
}

static void put_hunk(struct wbuf *out, size_t keep, size_t cut, const uint8_t *put, size_t len)
{
	struct hunk h = { htole32(keep), htole32(cut), htole32(len) };

	wbuf_put(out, &h, sizeof(h));
	wbuf_put(out, put, len);
}

/* What is left to be told, of the base and of the value. */
struct diff {
	const uint8_t *base, *value;
	size_t baseleft, valueleft;
};

static void advance(struct diff *d, size_t base, size_t value)
{
	d->base += base;
	d->baseleft -= base;
	d->value += value;
	d->valueleft -= value;
}

static bool goes_on(const struct diff *d, size_t base, size_t value)
{
	return base + WINDOW <= d->baseleft && value + WINDOW <= d->valueleft &&
	       !memcmp(d->base + base, d->value + value, WINDOW);
}

/* The two differ here: where not far away does the base go on in the value, something having come, gone or changed? Only how
 * short the patch is depends on the answer. */
static bool find_again(const struct diff *d, size_t *cut, size_t *put)
{
	for (*cut = 0; *cut <= REACH; *cut += WINDOW)
		for (*put = 0; *put <= 2 * REACH; ++*put)
			if (goes_on(d, *cut, *put))
				return true;
	return false;
}

static size_t shorter(const struct diff *d)
{
	return d->baseleft < d->valueleft ? d->baseleft : d->valueleft;
}

bool store_patch_make(struct wbuf *out, const uint8_t *base, size_t baselen, const uint8_t *value, size_t len)
{
	struct diff d = { base, value, baselen, len };
	uint32_t le = htole32(baselen);
	size_t start = out->len;

	wbuf_put(out, &le, sizeof(le));
	while (out->len - start < len / 2) {
		size_t keep = same_prefix(d.base, d.value, shorter(&d)), cut, put;

		advance(&d, keep, keep);
		if (!d.baseleft && !d.valueleft)
			return true;
		if (!find_again(&d, &cut, &put)) {
			size_t suffix = same_suffix(d.base + d.baseleft, d.value + d.valueleft, shorter(&d));

			cut = d.baseleft - suffix;
			put = d.valueleft - suffix;
		}
		put_hunk(out, keep, cut, d.value, put);
		advance(&d, cut, put);
	}
	out->len = start;
	return false;
}

/* ---- applying ---------------------------------------------------------------------------------- */

struct patching {
	const uint8_t *patch, *base;
	size_t patchleft, baseleft;
	struct wbuf *out; /* NULL: measured only */
	size_t len;
};

static void give(struct patching *p, const uint8_t *bytes, size_t n)
{
	p->len += n;
	if (p->out)
		wbuf_put(p->out, bytes, n);
}

static bool apply_hunk(struct patching *p)
{
	struct hunk h;
	size_t keep, cut, put;

	if (p->patchleft < sizeof(h))
		return false;
	memcpy(&h, p->patch, sizeof(h));
	keep = le32toh(h.keep);
	cut = le32toh(h.cut);
	put = le32toh(h.put);
	if (keep > p->baseleft || cut > p->baseleft - keep || put > p->patchleft - sizeof(h))
		return false;
	give(p, p->base, keep);
	give(p, p->patch + sizeof(h), put);
	p->base += keep + cut;
	p->baseleft -= keep + cut;
	p->patch += sizeof(h) + put;
	p->patchleft -= sizeof(h) + put;
	return true;
}

static bool apply_all(struct patching *p)
{
	uint32_t le;

	if (p->patchleft < sizeof(le))
		return false;
	memcpy(&le, p->patch, sizeof(le));
	if (le32toh(le) != p->baseleft)
		return false;
	p->patch += sizeof(le);
	p->patchleft -= sizeof(le);
	while (p->patchleft)
		if (!apply_hunk(p))
			return false;
	give(p, p->base, p->baseleft);
	return p->len && p->len <= STORE_VALUE_MAX;
}

int store_patch_apply(const uint8_t *patch, size_t patchlen, const uint8_t *base, size_t baselen, uint8_t **value,
		      size_t *len)
{
	struct patching p = { .patch = patch, .base = base, .patchleft = patchlen, .baseleft = baselen };
	struct patching again = p;
	struct wbuf out = { 0 };

	if (!apply_all(&p))
		return -EBADMSG;
	out.data = malloc(p.len);
	if (!out.data)
		return -ENOMEM;
	out.cap = p.len;
	again.out = &out;
	apply_all(&again);
	*value = out.data;
	*len = out.len;
	return 0;
}
