/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Third-party copy (SPC-4 5.17): the logical unit that is addressed is the copy manager;
 * source and destination are logical units that the same I_T nexus sees, named by their NAA
 * designator.
 *
 *   EXTENDED COPY ─▶ segments, one after the other ─▶ core/copy_move.h, chunk by chunk
 *                 └▶ core/copy_results.h ◀─ RECEIVE COPY …
 */
#ifndef SANDEM_CORE_EXTENDED_COPY_H
#define SANDEM_CORE_EXTENDED_COPY_H

#include <stdint.h>

struct scsi_cmd;

/* What OPERATING PARAMETERS and VPD page 8F tell. */
#define COPY_TARGETS_MAX 16
#define COPY_SEGMENTS_MAX 64
#define COPY_TARGET_LEN 32
#define COPY_SEGMENT_LEN 28
#define COPY_LIST_MAX (COPY_TARGETS_MAX * COPY_TARGET_LEN + COPY_SEGMENTS_MAX * COPY_SEGMENT_LEN)
#define COPY_SEGMENT_BYTES_MAX (65535u * 4096u)
#define COPY_GRANULARITY_LOG2 9
#define COPY_TARGET_IDENTIFICATION 0xe4
#define COPY_SEGMENT_BLOCK_TO_BLOCK 0x02

/* Payload of VPD page 8F (copy_vpd.c); returns its length. */
uint16_t copy_vpd(const struct scsi_cmd *cmd, uint8_t *p);

#endif
