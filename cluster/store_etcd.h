/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store in etcd: what outlives any node, and tells a node what went on without it.
 *
 *   PREFIX + key   value
 *   PREFIX/guard   changed with every commit. A commit names the revision of it that was read last (compare and swap), so of
 *                  two writers who decided by the same content one is told to read again.
 *
 * Unlike the file it can be away for a while: errors are not for good, nothing is done by a commit that fails with
 * -EHOSTUNREACH or -ECANCELED as far as this side knows, and it may be repeated: one that etcd had carried out all the same
 * is recognised. -ESTALE: somebody else has written; call store_each(), decide again. The functions block: a thread of its own.
 */
#ifndef SANDEM_CLUSTER_STORE_ETCD_H
#define SANDEM_CLUSTER_STORE_ETCD_H

#include "cluster/etcd_http.h"
#include "cluster/store.h"

#define STORE_ETCD_BATCH_MAX 100	     /* changes; etcd takes 128 per transaction */
#define STORE_ETCD_VALUE_MAX (900u << 10) /* bytes of a batch: in base64 below etcd's 1.5 MiB */

/* prefix ends with '/'. Nothing is asked of etcd yet. 0 or -ENOMEM. */
int store_etcd_open(const struct etcd_params *p, const char *prefix, struct store **out);

/* Why the last call failed: endpoint and cause. */
const char *store_etcd_error(const struct store *s);
const char *store_etcd_endpoint(const struct store *s);

/* Until something below the prefix has changed after the last store_each() or store_commit() (0), seconds have passed
 * (-ETIMEDOUT), what had changed is known no more (-ESTALE: compacted), or an error. */
int store_etcd_wait(struct store *s, unsigned seconds);

#endif
