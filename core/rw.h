/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_CORE_RW_H
#define SANDEM_CORE_RW_H

#include <stdint.h>

struct scsi_cmd;

/* Reactor. Blocks of data-out that arrived whole, at most what the CDB asks for. */
uint32_t rw_blocks_arrived(const struct scsi_cmd *cmd);

/* Reactor. Counts a write of so many bytes. */
void rw_written(struct scsi_cmd *cmd, uint64_t bytes);

#endif
