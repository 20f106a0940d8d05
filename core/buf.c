/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/buf.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/reactor.h"

#define CLASS_COUNT 7 /* 4 KiB, 16, 64, 256 KiB, 1, 4, 16 MiB */
#define CLASS_SIZE(c) ((size_t)4096 << (2 * (c)))
#define ARENA_SIZE ((size_t)2 << 20) /* small classes are carved from huge-page sized arenas */

_Static_assert(CLASS_SIZE(CLASS_COUNT - 1) == REACTOR_BUF_MAX, "the largest class is the largest buffer");

struct free_buf {
	struct free_buf *next;
};

struct arena {
	struct arena *next;
	void *addr;
	size_t len;
};

struct buf_pool {
	struct free_buf *free[CLASS_COUNT];
	struct arena *arenas;
	size_t mapped, limit;
};

struct buf_pool *buf_pool_new(size_t limit)
{
	struct buf_pool *p = calloc(1, sizeof(*p));

	if (p)
		p->limit = limit;
	return p;
}

void buf_pool_free(struct buf_pool *p)
{
	if (!p)
		return;
	for (struct arena *a = p->arenas, *next; a; a = next) {
		next = a->next;
		munmap(a->addr, a->len);
		free(a);
	}
	free(p);
}

static unsigned class_of(uint32_t len)
{
	unsigned c = 0;

	while (CLASS_SIZE(c) < len)
		c++;
	assert(c < CLASS_COUNT);
	return c;
}

static bool grow(struct buf_pool *p, unsigned c)
{
	size_t size = CLASS_SIZE(c), len = size > ARENA_SIZE ? size : ARENA_SIZE;
	struct arena *a;

	if (p->mapped + len > p->limit)
		return false;
	a = malloc(sizeof(*a));
	if (!a)
		return false;
	a->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (a->addr == MAP_FAILED) {
		free(a);
		return false;
	}
	madvise(a->addr, len, MADV_HUGEPAGE);
	a->len = len;
	a->next = p->arenas;
	p->arenas = a;
	p->mapped += len;
	for (size_t off = 0; off + size <= len; off += size)
		buf_put(p, (char *)a->addr + off, size);
	return true;
}

void *buf_get(struct buf_pool *p, uint32_t len)
{
	unsigned c = class_of(len);
	struct free_buf *b = p->free[c];

	if (!b) {
		if (!grow(p, c))
			return NULL;
		b = p->free[c];
	}
	p->free[c] = b->next;
	return b;
}

void buf_put(struct buf_pool *p, void *buf, uint32_t len)
{
	unsigned c = class_of(len);
	struct free_buf *b = buf;

	b->next = p->free[c];
	p->free[c] = b;
}
