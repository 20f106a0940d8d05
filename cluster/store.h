/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one node keeps on stable storage: key → bytes, changed in atomic batches.
 *
 *   batch = store_batch_new(); store_batch_put(batch, "pr/lun0", p, n); …; store_commit(store, batch)
 *
 * A batch is all there or not at all after a power loss at any moment; when store_commit() has returned 0 it is
 * there. store_commit() blocks (fsync): call it on the worker thread, one call at a time. The other functions belong
 * to the thread that opened the store, while no commit runs.
 */
#ifndef SANDEM_CLUSTER_STORE_H
#define SANDEM_CLUSTER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_MAX 128	  /* bytes, without the NUL */
#define STORE_VALUE_MAX (64u << 20) /* bytes of one value */

struct store;
struct store_batch;
typedef int (*store_each_fn)(void *arg, const char *key, const void *value, size_t len);

struct store_ops {
	int (*commit)(struct store *s, const struct store_batch *b);
	int (*each)(struct store *s, store_each_fn fn, void *arg);
	void (*close)(struct store *s);
};

struct store {
	const struct store_ops *ops;
};

/* A batch under construction. Memory shortage is sticky and comes out of store_commit() as -ENOMEM. */
struct store_batch *store_batch_new(void); /* NULL: no memory */
void store_batch_free(struct store_batch *b);
/* Forgets every key, also those put into b before: what follows is all there is. */
void store_batch_clear(struct store_batch *b);
/* key: 1 … STORE_KEY_MAX bytes; value is copied; len 0 forgets the key. */
void store_batch_put(struct store_batch *b, const char *key, const void *value, size_t len);
/* Whether values may be stored as what is different in them; at first they may not, and after a batch that is committed so
 * none is. A program that knows versions 1 and 2 of the protocol only refuses a store that has some. */
void store_batch_allow_patches(struct store_batch *b, bool allowed);
/* Number of changes in b. */
size_t store_batch_count(const struct store_batch *b);

/* Makes b durable. 0; -ENOMEM, -EINVAL (key or value out of bounds), -EIO or the errno of the write: nothing of b
 * may be taken as done, and from then on every commit fails with the same error (fsync does not report twice). */
static inline int store_commit(struct store *s, const struct store_batch *b)
{
	return s->ops->commit(s, b);
}

/* Calls fn for every key in order of the keys; stops at and returns the first non-zero answer. */
static inline int store_each(struct store *s, store_each_fn fn, void *arg)
{
	return s->ops->each(s, fn, arg);
}

/* Takes NULL. */
static inline void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

#endif
