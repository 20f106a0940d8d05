/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command table: one row per operation code or service action. Gates read its columns,
 * REPORT SUPPORTED OPERATION CODES walks it. To add a command: a row here, a handler in the file
 * of its family.
 */
#ifndef SANDEM_CORE_CDB_H
#define SANDEM_CORE_CDB_H

#include <stddef.h>
#include <stdint.h>

#include "core/cmd.h"
#include "core/resv.h"

#define CDB_NO_SA 0xffff
#define CDB_VARIABLE 0x7f /* operation code of CDBs of variable length (SPC-4 4.2.3) */

enum cdb_dir { DIR_NONE, DIR_IN, DIR_OUT };

enum cdb_flags {
	ROW_MEDIUM = 1 << 0,	  /* needs the medium: ALUA media gate, disk taken at admission */
	ROW_WRITES = 1 << 1,	  /* changes the medium: write-protect check */
	ROW_UA_EXEMPT = 1 << 2,	  /* performed in spite of a unit attention (SAM-5 5.14: INQUIRY, REPORT LUNS,
				     REQUEST SENSE) */
	ROW_ANY_LUN = 1 << 3,	  /* performed for an incorrect logical unit too (INQUIRY, REPORT LUNS, REQUEST SENSE) */
	ROW_NOT_STANDBY = 1 << 4, /* no medium access, yet refused in standby/unavailable (SPC-4 5.15.2.4.4/5) */
	ROW_NOT_UNAVAILABLE = 1 << 5, /* allowed in standby, refused in unavailable */
	ROW_CONTROL = 1 << 6,	  /* exec runs on the control thread */
	ROW_EXCLUSIVE = 1 << 8,	  /* locks its range (core/range_lock.h) */
	ROW_WITHOUT_MEDIUM = 1 << 9, /* performed while the medium is ejected, too */
	ROW_IN_WIPE = 1 << 10,	  /* performed during SANITIZE and FORMAT UNIT, too (SBC-3 4.11.2) */
	ROW_WIPES = 1 << 11,	  /* performed after one of them has failed */
	ROW_PROTECT = 1 << 12,	  /* has an RDPROTECT, WRPROTECT … field (core/pi_cmd.h) */
	ROW_WELL_KNOWN = 1 << 14, /* the REPORT LUNS well-known logical unit has it, too (SPC-4, well known logical units) */
	ROW_RANGE = 1 << 7,	  /* lba + blocks must lie within the medium (checked in the gate, SBC-4 5.x) */
};

/* Where address and length stand in the CDB, and what the length counts. */
enum cdb_layout {
	LAYOUT_NONE,
	LAYOUT_ALLOC_6,	  /* allocation/parameter list length: byte 4 */
	LAYOUT_ALLOC_INQ, /* bytes 3-4 */
	LAYOUT_ALLOC_10,  /* bytes 7-8 */
	LAYOUT_ALLOC_PR_OUT, /* bytes 5-8 */
	LAYOUT_ALLOC_24,  /* bytes 6-8 */
	LAYOUT_ALLOC_12,  /* bytes 6-9 */
	LAYOUT_ALLOC_16,  /* bytes 10-13 */
	LAYOUT_LBA_6,	  /* 21-bit LBA, length byte 4, 0 = 256 blocks */
	LAYOUT_LBA_10,	  /* LBA 2-5, length 7-8 */
	LAYOUT_LBA_12,	  /* LBA 2-5, length 6-9 */
	LAYOUT_LBA_16,	  /* LBA 2-9, length 10-13 */
	LAYOUT_LBA_CAW,	  /* LBA 2-9, length byte 13 */
	LAYOUT_LBA_ATOMIC, /* LBA 2-9, length 12-13 */
	LAYOUT_LBA_32,	  /* LBA 12-19, length 28-31 */
};

/* What the device server wants as data-out / gives as data-in for lba layouts. */
enum cdb_data {
	DATA_NONE,	/* nothing, or built by the handler and bounded by alloc_len (data-in) */
	DATA_BLOCKS,	/* blocks × block size */
	DATA_ONE_BLOCK, /* WRITE SAME (10) */
	DATA_ONE_BLOCK_NDOB, /* WRITE SAME (16): one block, nothing with NDOB=1 */
	DATA_TWICE,	/* COMPARE AND WRITE: 2 × blocks */
	DATA_BYTCHK,	/* VERIFY: by the BYTCHK field: 0 nothing, 1 blocks, 3 one block */
	DATA_FORMAT,	/* FORMAT UNIT: with FMTDATA=1 a parameter list header, of 8 bytes with LONGLIST=1, of 4 without */
	DATA_PARAM,	/* data-out: alloc_len bytes of parameter list */
};

struct cdb_row {
	uint8_t opcode;
	uint16_t sa;	   /* service action or CDB_NO_SA */
	const char *name;  /* as in the standard: "READ (10)" */
	uint8_t cdb_len;
	enum cdb_dir dir;
	uint16_t flags;	   /* enum cdb_flags */
	enum resv_class resv;
	enum cdb_layout layout;
	enum cdb_data data;
	void (*exec)(struct scsi_cmd *cmd);
	uint8_t usage[32]; /* CDB usage data (SPC-4): byte 0 = opcode; a bit set in the CDB but
			      not here is INVALID FIELD IN CDB */
};

/* Where its CONTROL byte is. NACA is taken there from every command (NORMACA=1), whatever its usage data says. */
static inline unsigned cdb_control_at(const struct cdb_row *row)
{
	return row->opcode == 0x7f ? 1 : row->cdb_len - 1;
}
#define CDB_CONTROL_NACA 0x04

/* The byte with DPO, FUA, BYTCHK, UNMAP and the like. Of a decoded command. */
static inline uint8_t cdb_options(const struct scsi_cmd *cmd)
{
	return cmd->row->cdb_len == 32 ? cmd->cdb[10] : cmd->cdb[1];
}

/* The row of this CDB; NULL when the operation code is not supported. *sa_unknown: the operation code
 * is known but not with this service action (→ INVALID FIELD IN CDB, not INVALID OPCODE). */
const struct cdb_row *cdb_find(const uint8_t *cdb, bool *sa_unknown);

/* The whole table, for REPORT SUPPORTED OPERATION CODES. */
const struct cdb_row *cdb_rows(size_t *n);

#endif
