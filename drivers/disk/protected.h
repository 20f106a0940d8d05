/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection information beside the user data: a device handler that stacks on any two media.
 *
 *   core ──submit──▶ protected ─┬─ user data ───▶ file, block, fault …
 *     io->pi: what to do        └─ 8 bytes each ─▶ a second file or block device, PATH.dif
 *
 * The second medium: 4096 bytes of header (what it is, block size, type), then eight bytes for each
 * logical block, inverted, so that what was never written, or is deallocated, a hole, says FFh in
 * all bytes: nothing is known of the block.
 *
 * Two I/Os that touch the same block, one of them a write, are done one after the other in the
 * order of their submission, whatever reactor they come from: on two media at once they could leave
 * the data of one with the protection information of the other. A crash in the middle of a write
 * can. A block of which that happened reads with a guard error until it is written again; no write
 * of it was acknowledged as stable, for a flush, and a write with FUA, end when both media have
 * ended theirs.
 */
#ifndef SANDEM_DRIVERS_PROTECTED_H
#define SANDEM_DRIVERS_PROTECTED_H

#include "core/disk.h"

#define PROTECTED_HEADER 4096 /* bytes in front of the protection information */

/* As disk_ops.open: p's medium, and p->pi_path beside it. */
int protected_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen);

/* Puts the layer on two open media, which become its own. NULL: no memory. */
struct disk *protected_stack(struct disk *data, struct disk *tags, const struct disk_params *p);

/* protected_tags.c: opens p->pi_path with room for so many bytes of user data; makes the header
 * where the medium is fresh. */
int protected_tags_open(const struct disk_params *p, uint64_t data_size, struct disk **out,
			char *err, size_t errlen);
/* Makes room for so many bytes of user data; negative errno: there is none. */
int protected_tags_grow(struct disk *tags, uint32_t block_size, uint64_t data_size);

#endif
