/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Third-party copy, LID1 (SPC-4 6.4, 6.18 … 6.20, 5.17): the logical unit that is addressed is the
 * copy manager; source and destination are
 * logical units that the same I_T nexus sees, named by their NAA designator.
 *
 *   EXTENDED COPY ─▶ segments, one after the other, chunk by chunk ─▶ READ (16), WRITE (16) of its own through the gates
 *                 └▶ struct copy_result of the I_T nexus ◀─ RECEIVE COPY STATUS, FAILURE DETAILS
 */
#ifndef SANDEM_CORE_EXTENDED_COPY_H
#define SANDEM_CORE_EXTENDED_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sense.h"

struct nexus;
struct scsi_cmd;

/* What OPERATING PARAMETERS and VPD page 8F tell. */
#define COPY_TARGETS_MAX 16
#define COPY_SEGMENTS_MAX 64
#define COPY_TARGET_LEN 32
#define COPY_SEGMENT_LEN 28
#define COPY_LIST_MAX (COPY_TARGETS_MAX * COPY_TARGET_LEN + COPY_SEGMENTS_MAX * COPY_SEGMENT_LEN)
#define COPY_SEGMENT_BYTES_MAX (65535u * 4096u)
#define COPY_GRANULARITY_LOG2 9
#define COPY_CONCURRENT_MAX 16 /* with list identifiers, per I_T nexus */
#define COPY_TARGET_IDENTIFICATION 0xe4
#define COPY_SEGMENT_BLOCK_TO_BLOCK 0x02

enum copy_state { COPY_UNUSED, COPY_UNDER_WAY, COPY_DONE, COPY_FAILED };

struct copy_result { /* of one list identifier */
	enum copy_state state;
	uint8_t list_id;
	uint16_t segments; /* completed */
	uint64_t bytes;	   /* written */
	uint64_t age;	   /* the lowest one is given up first */
	uint8_t status;	   /* COPY_FAILED: of the EXTENDED COPY command */
	uint8_t sense_len;
	uint8_t sense[SENSE_MAX];
};

/* All on the nexus's reactor. */

/* A place for the result of a copy that starts now. -EBUSY: a copy with this list identifier is under way (SPC-4 6.4.3.2);
 * -EAGAIN: too many are; -ENOMEM. */
int copy_results_begin(struct nexus *n, uint8_t list_id, struct copy_result **out);

/* NULL: nothing is known of this list identifier. */
const struct copy_result *copy_results_find(const struct nexus *n, uint8_t list_id);

/* The nexus ends. */
void copy_results_free(struct nexus *n);

/* Payload of VPD page 8F; returns its length. */
uint16_t copy_results_vpd(const struct scsi_cmd *cmd, uint8_t *p);

#endif
