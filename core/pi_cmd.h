/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDPROTECT, WRPROTECT, VRPROTECT and ORPROTECT of commands for protected logical units
 * (SBC-3 4.22.2, the tables of 5.x): which protection information travels, which is checked.
 * Nothing here runs for a logical unit without (lu->pi_type 0).
 */
#ifndef SANDEM_CORE_PI_CMD_H
#define SANDEM_CORE_PI_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/disk.h"

struct cdb_row;
struct lu;
struct pi_blocks;
struct pi_order;
struct scsi_cmd;

/* The field; 0 where the CDB has none. Of a decoded command for a protected logical unit. */
uint8_t pi_protect_field(const struct scsi_cmd *cmd);

/* Bits of byte i of the CDB that mean something only because lu is protected; for the usage map
 * (reported) without those that are refused all the same. lu may be NULL. */
uint8_t pi_cdb_bits(const struct lu *lu, const struct cdb_row *row, int i, bool reported);

/* For the decode gate: true: answered with the error. */
bool pi_refuses(struct scsi_cmd *cmd);

/* Variable length CDBs (operation code 7Fh): what is wrong with this one, and which byte of it.
 * SENSE_NONE: nothing. */
uint32_t pi_decode_32(const struct scsi_cmd *cmd, int *byte);

/* The order for an I/O that this command makes, block blocks behind its LBA. */
void pi_order_for(const struct scsi_cmd *cmd, enum disk_op kind, uint64_t block,
		  struct pi_order *o);

/* The same for blocks in the data-out buffer that are compared or merged, not written. */
void pi_order_received(const struct scsi_cmd *cmd, struct pi_order *o);

/* VERIFY with BYTCHK: the fields that are compared with what was received. */
uint8_t pi_compared(const struct scsi_cmd *cmd);

/* Ends the command with the sense of o->bad (enum pi_check) at this block. key: ABORTED COMMAND, or
 * MISCOMPARE for what was compared. */
void pi_failed(struct scsi_cmd *cmd, uint8_t key, uint8_t bad, uint64_t lba);

#endif
