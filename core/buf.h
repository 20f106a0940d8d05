/* SPDX-License-Identifier: BSD-2-Clause */
/* Data buffers of one reactor. Not thread-safe: the reactor's own. */
#ifndef SANDEM_CORE_BUF_H
#define SANDEM_CORE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf_pool;

/* limit: bytes that may be handed out and cached together. NULL: no memory. */
struct buf_pool *buf_pool_new(size_t limit);
void buf_pool_free(struct buf_pool *p);

/* len 1 … REACTOR_BUF_MAX; 4096-aligned; NULL when the limit is reached. */
void *buf_get(struct buf_pool *p, uint32_t len);
void buf_put(struct buf_pool *p, void *buf, uint32_t len);

#endif
