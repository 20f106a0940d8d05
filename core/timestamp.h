/* SPDX-License-Identifier: BSD-2-Clause */
/* The device clock of a logical unit (SPC-4 5.2): the node's, or what SET TIMESTAMP has set, kept
 * as its distance from the node's, so that it is the same through every port of the cluster. */
#ifndef SANDEM_CORE_TIMESTAMP_H
#define SANDEM_CORE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

struct scsi_cmd;

#define CLOCK_NOT_SET INT64_MIN /* lu->clock_offset */

/* Control thread, for HOOK_SET_TIMESTAMP. False: the command has been answered. True: *offset,
 * CLOCK_NOT_SET where nothing is to be set. */
bool timestamp_parse(struct scsi_cmd *cmd, int64_t *offset);

#endif
