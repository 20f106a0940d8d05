/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store in a directory of this node: one append-only file of checksummed records.
 *
 *   DIR/lock       flock()ed while open: two daemons cannot share a directory
 *   DIR/state.log  "SandemS1" then records { u32 length, u32 CRC-32C of length and body, body }
 *                  body: a batch of { u8 kind, u8 reserved, u16 key length, u32 value length, key, value }
 *                  kind: 1 put, 2 forget, 3 clear, 4 patch (store_patch.h; not before version 2 of the protocol is in
 *                  use: an older program refuses it). Little-endian.
 *   DIR/state.new  compaction under way; renamed over state.log when it is durable, worthless before
 *
 * A long value of which little has changed is written as a patch: what 10,000 registrants take is not written again for
 * each that comes. The log is rewritten before so many patches are in it that reading it would take long.
 *
 * A record is one batch, so that a batch is all there or not at all. A power loss can tear only the last record: a tail
 * that is cut short, or of which a sector (512 bytes) was never written, is cut off. Anything else that does not check is
 * corruption and refused; the file is left as it is.
 */
#ifndef SANDEM_CLUSTER_STORE_FILE_H
#define SANDEM_CLUSTER_STORE_FILE_H

#include "cluster/store.h"

#define STORE_PATCH_MIN 4096 /* bytes of value */
#define STORE_PATCHED_MAX 256 /* times of what is kept that patches may make anew when the log is read */
#define STORE_COMPACT_MIN (1u << 20) /* bytes of log from which compaction is considered */

/* Opens or creates dir's store (dir itself too, 0700). 0 and *out, or negative errno and err: -EWOULDBLOCK in use by
 * another daemon, -EBADMSG corrupt, others as the system says. */
int store_file_open(const char *dir, struct store **out, char *err, size_t errlen);

/* For tests: the log is rewritten when it is longer than min bytes and than twice what it keeps. */
void store_file_compact_min(struct store *s, size_t min);
/* For tests: patches are tried for values of min bytes or more. */
void store_file_patch_min(struct store *s, size_t min);

#endif
