/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log of the file store comes to: key → value, in memory; and the changes of which its batches are made. Any
 * thread, one at a time. */
#ifndef SANDEM_CLUSTER_STORE_ENTRIES_H
#define SANDEM_CLUSTER_STORE_ENTRIES_H

#include "cluster/store_batch.h"

struct store_entry {
	char *key;
	uint8_t *value;
	size_t len;
};

struct store_entries {
	struct store_entry *entry; /* by key; owned */
	size_t n, cap;
	size_t kept;	/* bytes that they take in a log */
	size_t patched; /* bytes of values that patches in the log make anew */
};

void store_entries_fini(struct store_entries *s);
/* True with *at, where key is; false with *at, where it would be. */
bool store_entries_find(const struct store_entries *s, const char *key, size_t *at);
/* One batch, changes in order. 0; -EBADMSG where it is not well-formed, -ENOMEM: some of it may be done. */
int store_entries_apply(struct store_entries *s, const uint8_t *batch, size_t len);

struct store_change {
	unsigned kind; /* enum change_kind */
	char key[STORE_KEY_MAX + 1];
	const uint8_t *value; /* in the batch */
	size_t len;
};

/* Takes the first change from the batch, which is not empty. False: it is not well-formed. */
bool store_change_next(const uint8_t **batch, size_t *left, struct store_change *c);

#endif
