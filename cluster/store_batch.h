/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the stores: a batch is kept in the form in which it is written. */
#ifndef SANDEM_CLUSTER_STORE_BATCH_H
#define SANDEM_CLUSTER_STORE_BATCH_H

#include "cluster/store.h"
#include "core/service.h"

enum change_kind {
	CHANGE_PUT = 1,
	CHANGE_FORGET = 2,
	CHANGE_CLEAR = 3,
	CHANGE_PATCH = 4, /* in the file only: the value is what is different from the last (store_patch.h) */
};

struct change_head { /* little-endian, followed by key and value */
	uint8_t kind, reserved;
	uint16_t klen;
	uint32_t vlen;
};

struct store_batch {
	struct wbuf body;
	size_t count;
	bool patches;
	int err;
};

void batch_change(struct store_batch *b, enum change_kind kind, const char *key, const void *value, size_t len);

#endif
