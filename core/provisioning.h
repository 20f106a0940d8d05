/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits that VPD page B0 names; logical block provisioning (SBC-3 4.7): what "unmap" does to
 * the medium. */
#ifndef SANDEM_CORE_PROVISIONING_H
#define SANDEM_CORE_PROVISIONING_H

#include "core/disk.h"

#define WRITE_SAME_MAX_BLOCKS 0xffffu  /* MAXIMUM WRITE SAME LENGTH */
#define COMPARE_AND_WRITE_MAX_BLOCKS 255 /* MAXIMUM COMPARE AND WRITE LENGTH: all that its CDB can say */
#define UNMAP_MAX_BLOCKS (1u << 20)    /* MAXIMUM UNMAP LBA COUNT */
#define UNMAP_MAX_DESCRIPTORS 256u     /* MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT */

/* Thin logical units say LBPRZ=1 through every port, so where the device's discard does not give
 * zeroes they are written. */
static inline enum disk_op provisioning_unmap_op(const struct disk *d)
{
	return d->can_discard && d->discard_zeroes ? DISK_DISCARD : DISK_WRITE_ZEROES;
}

#endif
