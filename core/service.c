/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void wbuf_put(struct wbuf *b, const void *p, size_t len)
{
	if (b->err || !len)
		return;
	if (b->cap - b->len < len) {
		size_t cap = (b->len + len) * 2 + 256;
		uint8_t *data = realloc(b->data, cap);

		if (!data) {
			b->err = -ENOMEM;
			return;
		}
		b->data = data;
		b->cap = cap;
	}
	memcpy(b->data + b->len, p, len);
	b->len += len;
}

void wbuf_fini(struct wbuf *b)
{
	free(b->data);
	*b = (struct wbuf){ 0 };
}

struct effect *apply_effect(struct apply *a, enum effect_kind kind, const char *object)
{
	struct effect *e;

	if (a->neffects == a->cap) {
		uint32_t cap = a->cap ? 2 * a->cap : 8;

		e = realloc(a->effect, cap * sizeof(*e));
		if (!e) {
			a->err = -ENOMEM;
			return NULL;
		}
		a->effect = e;
		a->cap = cap;
	}
	e = &a->effect[a->neffects++];
	*e = (struct effect){ .kind = kind };
	snprintf(e->object, sizeof(e->object), "%s", object);
	return e;
}

void apply_ua(struct apply *a, const char *lu, enum ua ua, enum ua_scope_kind scope,
	      const struct nexus_id *ids, uint32_t n)
{
	struct effect *e = apply_effect(a, EFFECT_UA, lu);

	if (!e)
		return;
	e->ua = ua;
	e->scope = scope;
	if (!n)
		return;
	e->ids = malloc(n * sizeof(*ids));
	if (!e->ids) {
		a->err = -ENOMEM;
		return;
	}
	memcpy(e->ids, ids, n * sizeof(*ids));
	e->nids = n;
}

void apply_result(struct apply *a, const void *p, uint32_t len)
{
	if (len > sizeof(a->result)) {
		a->err = -EMSGSIZE;
		return;
	}
	memcpy(a->result, p, len);
	a->result_len = len;
}

void apply_fini(struct apply *a)
{
	for (uint32_t i = 0; i < a->neffects; i++)
		free(a->effect[i].ids);
	free(a->effect);
	a->effect = NULL;
	a->neffects = a->cap = 0;
}
