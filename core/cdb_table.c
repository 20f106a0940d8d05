/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command table. Columns resv: SPC-4 table 68/69, SBC-3 table 13. A CDB bit that is not in the
 * usage column is refused by the decode gate, so these say what is implemented: no
 * RDPROTECT/WRPROTECT/VRPROTECT but of protected logical units (ROW_PROTECT), no obsolete bits.
 * NACA is taken from every command (cdb.h).
 */
#include <stdbool.h>

#include "core/cdb.h"
#include "core/handlers.h"
#include "core/wire.h"

#define F2 0xff, 0xff
#define F3 F2, 0xff
#define F4 F2, F2
#define F8 F4, F4
#define Z2 0, 0
#define Z3 Z2, 0
#define Z4 Z2, Z2
#define GRP 0x1f /* GROUP NUMBER: taken, and of no effect (GROUP_SUP=0; SBC-3, grouping function) */

#define READS (ROW_MEDIUM | ROW_RANGE)
#define WRITES (ROW_MEDIUM | ROW_RANGE | ROW_WRITES)
#define P ROW_PROTECT
#define EVERYWHERE (ROW_IN_WIPE | ROW_UA_EXEMPT | ROW_ANY_LUN | ROW_WELL_KNOWN)
#define NO_SA CDB_NO_SA
/* CDBs of 32 bytes: operation code, CONTROL, GROUP NUMBER, ADDITIONAL CDB LENGTH, service action, options, LBA, expected
 * reference tag, application tag and its mask, length */
#define USAGE_32(sa, options) { CDB_VARIABLE, 0, Z4, GRP, 0x18, 0, sa, options, 0, F8, F8, F4 }

/* Sorted by operation code, then service action: cdb_find() searches by halves. */
static const struct cdb_row rows[] = {
	{ 0x00, NO_SA, "TEST UNIT READY", 6, DIR_NONE, ROW_NOT_STANDBY | ROW_WELL_KNOWN, RESV_ALLOW_NOT_SPC2, LAYOUT_NONE,
	  DATA_NONE, test_unit_ready, { 0x00, Z4, 0 } },
	{ 0x03, NO_SA, "REQUEST SENSE", 6, DIR_IN, EVERYWHERE, RESV_ALLOW, LAYOUT_ALLOC_6, DATA_NONE,
	  request_sense, { 0x03, 0x01, Z2, 0xff, 0 } },
	{ 0x04, NO_SA, "FORMAT UNIT", 6, DIR_OUT, ROW_MEDIUM | ROW_WRITES | ROW_WIPES, RESV_WRITE, LAYOUT_NONE, DATA_FORMAT,
	  format_unit, { 0x04, 0x38, Z3, 0 } }, /* CMPLST: there is no GLIST to keep or discard */
	{ 0x08, NO_SA, "READ (6)", 6, DIR_IN, READS, RESV_READ, LAYOUT_LBA_6, DATA_BLOCKS,
	  rw_read, { 0x08, 0x1f, F3, 0 } },
	{ 0x0a, NO_SA, "WRITE (6)", 6, DIR_OUT, WRITES, RESV_WRITE, LAYOUT_LBA_6, DATA_BLOCKS,
	  rw_write, { 0x0a, 0x1f, F3, 0 } },
	{ 0x12, NO_SA, "INQUIRY", 6, DIR_IN, EVERYWHERE, RESV_ALLOW, LAYOUT_ALLOC_INQ, DATA_NONE,
	  inquiry, { 0x12, 0x01, F3, 0 } },
	{ 0x15, NO_SA, "MODE SELECT (6)", 6, DIR_OUT, ROW_CONTROL | ROW_NOT_UNAVAILABLE, RESV_WRITE, LAYOUT_ALLOC_6,
	  DATA_PARAM, hooks_mode_select, { 0x15, 0x11, Z2, 0xff, 0 } },
	{ 0x16, NO_SA, "RESERVE (6)", 6, DIR_NONE, ROW_CONTROL, RESV_SPC2, LAYOUT_NONE, DATA_NONE,
	  hooks_reserve, { 0x16, Z4, 0 } },
	{ 0x17, NO_SA, "RELEASE (6)", 6, DIR_NONE, ROW_CONTROL, RESV_SPC2, LAYOUT_NONE, DATA_NONE,
	  hooks_release, { 0x17, Z4, 0 } },
	{ 0x1a, NO_SA, "MODE SENSE (6)", 6, DIR_IN, ROW_NOT_UNAVAILABLE, RESV_EXCLUSIVE_ONLY, LAYOUT_ALLOC_6, DATA_NONE,
	  mode_sense_6, { 0x1a, 0x08, F3, 0 } },
	{ 0x1b, NO_SA, "START STOP UNIT", 6, DIR_NONE, ROW_MEDIUM | ROW_WITHOUT_MEDIUM, RESV_ALLOW, LAYOUT_NONE,
	  DATA_NONE, start_stop_unit, { 0x1b, 0x01, 0, 0x0f, 0xf7, 0 } },
	{ 0x1c, NO_SA, "RECEIVE DIAGNOSTIC RESULTS", 6, DIR_IN, ROW_NOT_UNAVAILABLE, RESV_EXCLUSIVE_ONLY,
	  LAYOUT_ALLOC_INQ, DATA_NONE, receive_diagnostic, { 0x1c, 0x01, F3, 0 } },
	{ 0x1d, NO_SA, "SEND DIAGNOSTIC", 6, DIR_NONE, ROW_NOT_UNAVAILABLE, RESV_WRITE, LAYOUT_NONE, DATA_NONE,
	  send_diagnostic, { 0x1d, 0x04, Z3, 0 } },
	{ 0x1e, NO_SA, "PREVENT ALLOW MEDIUM REMOVAL", 6, DIR_NONE, ROW_NOT_STANDBY | ROW_WITHOUT_MEDIUM, RESV_ALLOW,
	  LAYOUT_NONE, DATA_NONE, prevent_allow, { 0x1e, Z3, 0x03, 0 } },
	{ 0x25, NO_SA, "READ CAPACITY (10)", 10, DIR_IN, ROW_NOT_UNAVAILABLE, RESV_ALLOW, LAYOUT_NONE, DATA_NONE,
	  capacity_10, { 0x25, Z4, Z4, 0 } },
	{ 0x28, NO_SA, "READ (10)", 10, DIR_IN, READS | P, RESV_READ, LAYOUT_LBA_10, DATA_BLOCKS,
	  rw_read, { 0x28, 0x18, F4, GRP, F2, 0 } },
	{ 0x2a, NO_SA, "WRITE (10)", 10, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_10, DATA_BLOCKS,
	  rw_write, { 0x2a, 0x18, F4, GRP, F2, 0 } },
	{ 0x2e, NO_SA, "WRITE AND VERIFY (10)", 10, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_10, DATA_BLOCKS,
	  verify_after_write, { 0x2e, 0x12, F4, GRP, F2, 0 } },
	{ 0x2f, NO_SA, "VERIFY (10)", 10, DIR_OUT, READS | P, RESV_READ, LAYOUT_LBA_10, DATA_BYTCHK,
	  verify, { 0x2f, 0x16, F4, GRP, F2, 0 } },
	{ 0x34, NO_SA, "PRE-FETCH (10)", 10, DIR_NONE, READS, RESV_READ, LAYOUT_LBA_10, DATA_NONE,
	  sync_cache_prefetch, { 0x34, 0x02, F4, GRP, F2, 0 } },
	{ 0x35, NO_SA, "SYNCHRONIZE CACHE (10)", 10, DIR_NONE, READS, RESV_WRITE, LAYOUT_LBA_10, DATA_NONE,
	  sync_cache, { 0x35, 0x06, F4, GRP, F2, 0 } },
	{ 0x37, NO_SA, "READ DEFECT DATA (10)", 10, DIR_IN, ROW_NOT_STANDBY, RESV_READ, LAYOUT_ALLOC_10, DATA_NONE,
	  defects_10, { 0x37, 0, 0x1f, Z4, F2, 0 } },
	{ 0x3b, NO_SA, "WRITE BUFFER", 10, DIR_OUT, 0, RESV_WRITE, LAYOUT_ALLOC_24, DATA_PARAM,
	  echo_write_buffer, { 0x3b, 0x1f, 0xff, F3, F3, 0 } },
	{ 0x3c, NO_SA, "READ BUFFER (10)", 10, DIR_IN, 0, RESV_EXCLUSIVE_ONLY, LAYOUT_ALLOC_24, DATA_NONE,
	  echo_read_buffer, { 0x3c, 0x1f, 0xff, F3, F3, 0 } },
	{ 0x41, NO_SA, "WRITE SAME (10)", 10, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_10, DATA_ONE_BLOCK,
	  write_same, { 0x41, 0x08, F4, GRP, F2, 0 } },
	{ 0x42, NO_SA, "UNMAP", 10, DIR_OUT, ROW_MEDIUM | ROW_WRITES, RESV_WRITE, LAYOUT_ALLOC_10, DATA_PARAM,
	  unmap, { 0x42, 0, Z4, GRP, F2, 0 } },
	{ 0x43, NO_SA, "READ TOC/PMA/ATIP", 10, DIR_IN, ROW_MEDIUM, RESV_READ, LAYOUT_ALLOC_10, DATA_NONE,
	  cdrom_read_toc, { 0x43, 0x02, 0x0f, Z3, 0xff, F2, 0 } },
	{ 0x46, NO_SA, "GET CONFIGURATION", 10, DIR_IN, ROW_NOT_UNAVAILABLE, RESV_ALLOW, LAYOUT_ALLOC_10, DATA_NONE,
	  cdrom_get_configuration, { 0x46, 0x03, F2, Z3, F2, 0 } },
	{ 0x48, 0x01, "SANITIZE, OVERWRITE", 10, DIR_OUT, ROW_MEDIUM | ROW_WRITES | ROW_WIPES, RESV_WRITE, LAYOUT_ALLOC_10,
	  DATA_PARAM, sanitize_overwrite, { 0x48, 0xa1, Z4, 0, F2, 0 } },
	{ 0x48, 0x02, "SANITIZE, BLOCK ERASE", 10, DIR_OUT, ROW_MEDIUM | ROW_WRITES | ROW_WIPES, RESV_WRITE, LAYOUT_ALLOC_10,
	  DATA_PARAM, sanitize_block_erase, { 0x48, 0xa2, Z4, 0, F2, 0 } },
	{ 0x48, 0x03, "SANITIZE, CRYPTOGRAPHIC ERASE", 10, DIR_OUT, ROW_MEDIUM | ROW_WRITES | ROW_WIPES, RESV_WRITE,
	  LAYOUT_ALLOC_10, DATA_PARAM, sanitize_crypto_erase, { 0x48, 0xa3, Z4, 0, F2, 0 } },
	{ 0x48, 0x1f, "SANITIZE, EXIT FAILURE MODE", 10, DIR_OUT, ROW_CONTROL | ROW_NOT_STANDBY | ROW_WIPES, RESV_WRITE,
	  LAYOUT_ALLOC_10, DATA_PARAM, sanitize_exit_failure, { 0x48, 0x9f, Z4, 0, F2, 0 } },
	{ 0x4a, NO_SA, "GET EVENT STATUS NOTIFICATION", 10, DIR_IN, ROW_UA_EXEMPT | ROW_NOT_UNAVAILABLE, RESV_ALLOW,
	  LAYOUT_ALLOC_10, DATA_NONE, cdrom_get_event_status, { 0x4a, 0x01, Z2, 0xff, Z2, F2, 0 } },
	{ 0x4c, NO_SA, "LOG SELECT", 10, DIR_OUT, ROW_CONTROL | ROW_NOT_UNAVAILABLE, RESV_WRITE, LAYOUT_ALLOC_10,
	  DATA_PARAM, hooks_log_select, { 0x4c, 0x03, F2, Z3, F2, 0 } },
	{ 0x4d, NO_SA, "LOG SENSE", 10, DIR_IN, ROW_IN_WIPE | ROW_NOT_UNAVAILABLE, RESV_ALLOW, LAYOUT_ALLOC_10, DATA_NONE,
	  log_sense, { 0x4d, 0x00, 0xff, 0xff, 0, F2, F2, 0 } },
	{ 0x51, NO_SA, "READ DISC INFORMATION", 10, DIR_IN, ROW_MEDIUM, RESV_READ, LAYOUT_ALLOC_10, DATA_NONE,
	  cdrom_read_disc_information, { 0x51, Z4, Z2, F2, 0 } },
	{ 0x55, NO_SA, "MODE SELECT (10)", 10, DIR_OUT, ROW_CONTROL | ROW_NOT_UNAVAILABLE, RESV_WRITE, LAYOUT_ALLOC_10,
	  DATA_PARAM, hooks_mode_select, { 0x55, 0x11, Z4, 0, F2, 0 } },
	{ 0x56, NO_SA, "RESERVE (10)", 10, DIR_NONE, ROW_CONTROL, RESV_SPC2, LAYOUT_NONE, DATA_NONE,
	  hooks_reserve, { 0x56, Z4, Z4, 0 } },
	{ 0x57, NO_SA, "RELEASE (10)", 10, DIR_NONE, ROW_CONTROL, RESV_SPC2, LAYOUT_NONE, DATA_NONE,
	  hooks_release, { 0x57, Z4, Z4, 0 } },
	{ 0x5a, NO_SA, "MODE SENSE (10)", 10, DIR_IN, ROW_NOT_UNAVAILABLE, RESV_EXCLUSIVE_ONLY, LAYOUT_ALLOC_10, DATA_NONE,
	  mode_sense_10, { 0x5a, 0x18, F2, Z3, F2, 0 } },
	{ 0x5e, 0x00, "PERSISTENT RESERVE IN, READ KEYS", 10, DIR_IN, ROW_CONTROL, RESV_ALLOW_NOT_SPC2, LAYOUT_ALLOC_10,
	  DATA_NONE, hooks_pr_in, { 0x5e, 0x00, Z4, 0, F2, 0 } },
	{ 0x5e, 0x01, "PERSISTENT RESERVE IN, READ RESERVATION", 10, DIR_IN, ROW_CONTROL, RESV_ALLOW_NOT_SPC2,
	  LAYOUT_ALLOC_10, DATA_NONE, hooks_pr_in, { 0x5e, 0x01, Z4, 0, F2, 0 } },
	{ 0x5e, 0x02, "PERSISTENT RESERVE IN, REPORT CAPABILITIES", 10, DIR_IN, ROW_CONTROL, RESV_ALLOW_NOT_SPC2,
	  LAYOUT_ALLOC_10, DATA_NONE, hooks_pr_in, { 0x5e, 0x02, Z4, 0, F2, 0 } },
	{ 0x5e, 0x03, "PERSISTENT RESERVE IN, READ FULL STATUS", 10, DIR_IN, ROW_CONTROL, RESV_ALLOW_NOT_SPC2,
	  LAYOUT_ALLOC_10, DATA_NONE, hooks_pr_in, { 0x5e, 0x03, Z4, 0, F2, 0 } },
	{ 0x5f, 0x00, "PERSISTENT RESERVE OUT, REGISTER", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT, LAYOUT_ALLOC_PR_OUT,
	  DATA_PARAM, hooks_pr_out, { 0x5f, 0x00, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x01, "PERSISTENT RESERVE OUT, RESERVE", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT, LAYOUT_ALLOC_PR_OUT,
	  DATA_PARAM, hooks_pr_out, { 0x5f, 0x01, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x02, "PERSISTENT RESERVE OUT, RELEASE", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT, LAYOUT_ALLOC_PR_OUT,
	  DATA_PARAM, hooks_pr_out, { 0x5f, 0x02, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x03, "PERSISTENT RESERVE OUT, CLEAR", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT, LAYOUT_ALLOC_PR_OUT,
	  DATA_PARAM, hooks_pr_out, { 0x5f, 0x03, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x04, "PERSISTENT RESERVE OUT, PREEMPT", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT, LAYOUT_ALLOC_PR_OUT,
	  DATA_PARAM, hooks_pr_out, { 0x5f, 0x04, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x05, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT,
	  LAYOUT_ALLOC_PR_OUT, DATA_PARAM, hooks_pr_out, { 0x5f, 0x05, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x06, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT,
	  LAYOUT_ALLOC_PR_OUT, DATA_PARAM, hooks_pr_out, { 0x5f, 0x06, 0xff, Z2, F4, 0 } },
	{ 0x5f, 0x07, "PERSISTENT RESERVE OUT, REGISTER AND MOVE", 10, DIR_OUT, ROW_CONTROL, RESV_PR_OUT,
	  LAYOUT_ALLOC_PR_OUT, DATA_PARAM, hooks_pr_out, { 0x5f, 0x07, 0xff, Z2, F4, 0 } },
	{ CDB_VARIABLE, 0x09, "READ (32)", 32, DIR_IN, READS | P, RESV_READ, LAYOUT_LBA_32, DATA_BLOCKS,
	  rw_read, USAGE_32(0x09, 0x18) },
	{ CDB_VARIABLE, 0x0a, "VERIFY (32)", 32, DIR_OUT, READS | P, RESV_READ, LAYOUT_LBA_32, DATA_BYTCHK,
	  verify, USAGE_32(0x0a, 0x16) },
	{ CDB_VARIABLE, 0x0b, "WRITE (32)", 32, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_32, DATA_BLOCKS,
	  rw_write, USAGE_32(0x0b, 0x18) },
	{ CDB_VARIABLE, 0x0c, "WRITE AND VERIFY (32)", 32, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_32, DATA_BLOCKS,
	  verify_after_write, USAGE_32(0x0c, 0x12) },
	{ CDB_VARIABLE, 0x0d, "WRITE SAME (32)", 32, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_32, DATA_ONE_BLOCK_NDOB,
	  write_same, USAGE_32(0x0d, 0x09) },
	{ 0x83, 0x00, "EXTENDED COPY (LID1)", 16, DIR_OUT, ROW_MEDIUM, RESV_WRITE, LAYOUT_ALLOC_16,
	  DATA_PARAM, extended_copy_lid1, { 0x83, 0x00, Z4, Z4, F4, 0, 0 } },
	{ 0x83, 0x01, "EXTENDED COPY (LID4)", 16, DIR_OUT, ROW_MEDIUM, RESV_WRITE, LAYOUT_ALLOC_16,
	  DATA_PARAM, extended_copy_lid4, { 0x83, 0x01, Z4, Z4, F4, 0, 0 } },
	{ 0x83, 0x10, "POPULATE TOKEN", 16, DIR_OUT, ROW_MEDIUM, RESV_READ, LAYOUT_ALLOC_16,
	  DATA_PARAM, rod_copy_populate, { 0x83, 0x10, Z4, F4, F4, GRP, 0 } },
	{ 0x83, 0x11, "WRITE USING TOKEN", 16, DIR_OUT, ROW_MEDIUM, RESV_WRITE, LAYOUT_ALLOC_16,
	  DATA_PARAM, rod_copy_write, { 0x83, 0x11, Z4, F4, F4, GRP, 0 } },
	{ 0x83, 0x1c, "COPY OPERATION ABORT", 16, DIR_NONE, ROW_MEDIUM, RESV_ALLOW, LAYOUT_NONE,
	  DATA_NONE, copy_results_abort, { 0x83, 0x1c, F4, Z4, Z4, 0, 0 } },
	{ 0x84, 0x00, "RECEIVE COPY STATUS (LID1)", 16, DIR_IN, ROW_MEDIUM, RESV_WRITE, LAYOUT_ALLOC_16,
	  DATA_NONE, copy_results_status_lid1, { 0x84, 0x00, 0xff, Z3, Z4, F4, 0, 0 } },
	{ 0x84, 0x03, "RECEIVE COPY OPERATING PARAMETERS", 16, DIR_IN, 0, RESV_WRITE, LAYOUT_ALLOC_16,
	  DATA_NONE, copy_results_parameters, { 0x84, 0x03, 0, Z3, Z4, F4, 0, 0 } },
	{ 0x84, 0x04, "RECEIVE COPY FAILURE DETAILS (LID1)", 16, DIR_IN, ROW_MEDIUM, RESV_WRITE, LAYOUT_ALLOC_16,
	  DATA_NONE, copy_results_failure, { 0x84, 0x04, 0xff, Z3, Z4, F4, 0, 0 } },
	{ 0x84, 0x05, "RECEIVE COPY STATUS (LID4)", 16, DIR_IN, ROW_MEDIUM, RESV_ALLOW, LAYOUT_ALLOC_16,
	  DATA_NONE, copy_results_status_lid4, { 0x84, 0x05, F4, Z4, F4, 0, 0 } },
	{ 0x84, 0x06, "RECEIVE COPY DATA (LID4)", 16, DIR_IN, ROW_MEDIUM, RESV_ALLOW, LAYOUT_ALLOC_16,
	  DATA_NONE, copy_results_data, { 0x84, 0x06, F4, Z4, F4, 0, 0 } },
	{ 0x84, 0x07, "RECEIVE ROD TOKEN INFORMATION", 16, DIR_IN, ROW_MEDIUM, RESV_ALLOW, LAYOUT_ALLOC_16,
	  DATA_NONE, copy_results_token, { 0x84, 0x07, F4, Z4, F4, 0, 0 } },
	{ 0x88, NO_SA, "READ (16)", 16, DIR_IN, READS | P, RESV_READ, LAYOUT_LBA_16, DATA_BLOCKS,
	  rw_read, { 0x88, 0x18, F8, F4, GRP, 0 } },
	{ 0x89, NO_SA, "COMPARE AND WRITE", 16, DIR_OUT, WRITES | P | ROW_EXCLUSIVE, RESV_WRITE, LAYOUT_LBA_CAW, DATA_TWICE,
	  rmw_compare_and_write, { 0x89, 0x18, F8, Z3, 0xff, GRP, 0 } },
	{ 0x8a, NO_SA, "WRITE (16)", 16, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_16, DATA_BLOCKS,
	  rw_write, { 0x8a, 0x18, F8, F4, GRP, 0 } },
	{ 0x8b, NO_SA, "ORWRITE (16)", 16, DIR_OUT, WRITES | P | ROW_EXCLUSIVE, RESV_WRITE, LAYOUT_LBA_16, DATA_BLOCKS,
	  rmw_orwrite, { 0x8b, 0x18, F8, F4, GRP, 0 } },
	{ 0x8e, NO_SA, "WRITE AND VERIFY (16)", 16, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_16, DATA_BLOCKS,
	  verify_after_write, { 0x8e, 0x12, F8, F4, GRP, 0 } },
	{ 0x8f, NO_SA, "VERIFY (16)", 16, DIR_OUT, READS | P, RESV_READ, LAYOUT_LBA_16, DATA_BYTCHK,
	  verify, { 0x8f, 0x16, F8, F4, GRP, 0 } },
	{ 0x90, NO_SA, "PRE-FETCH (16)", 16, DIR_NONE, READS, RESV_READ, LAYOUT_LBA_16, DATA_NONE,
	  sync_cache_prefetch, { 0x90, 0x02, F8, F4, GRP, 0 } },
	{ 0x91, NO_SA, "SYNCHRONIZE CACHE (16)", 16, DIR_NONE, READS, RESV_WRITE, LAYOUT_LBA_16, DATA_NONE,
	  sync_cache, { 0x91, 0x06, F8, F4, GRP, 0 } },
	{ 0x93, NO_SA, "WRITE SAME (16)", 16, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_16, DATA_ONE_BLOCK_NDOB,
	  write_same, { 0x93, 0x09, F8, F4, GRP, 0 } },
	{ 0x9c, NO_SA, "WRITE ATOMIC (16)", 16, DIR_OUT, WRITES | P | ROW_EXCLUSIVE, RESV_WRITE,
	  LAYOUT_LBA_ATOMIC, DATA_BLOCKS, rmw_write_atomic, { 0x9c, 0x18, F8, Z2, F2, GRP, 0 } },
	{ 0x9e, 0x10, "READ CAPACITY (16)", 16, DIR_IN, ROW_NOT_UNAVAILABLE, RESV_ALLOW, LAYOUT_ALLOC_16, DATA_NONE,
	  capacity_16, { 0x9e, 0x10, Z4, Z4, F4, 0, 0 } },
	{ 0x9e, 0x12, "GET LBA STATUS", 16, DIR_IN, ROW_MEDIUM, RESV_READ, LAYOUT_ALLOC_16, DATA_NONE,
	  lba_status_get, { 0x9e, 0x12, F8, F4, 0, 0 } },
	{ 0xa0, NO_SA, "REPORT LUNS", 12, DIR_IN, EVERYWHERE, RESV_ALLOW, LAYOUT_ALLOC_12, DATA_NONE,
	  report_luns, { 0xa0, 0, 0xff, Z3, F4, 0, 0 } },
	{ 0xa3, 0x0a, "REPORT TARGET PORT GROUPS", 12, DIR_IN, ROW_IN_WIPE | ROW_CONTROL, RESV_ALLOW, LAYOUT_ALLOC_12,
	  DATA_NONE, hooks_rtpg, { 0xa3, 0x2a, Z4, F4, 0, 0 } },
	{ 0xa3, 0x0c, "REPORT SUPPORTED OPERATION CODES", 12, DIR_IN, ROW_IN_WIPE, RESV_EXCLUSIVE_ONLY, LAYOUT_ALLOC_12,
	  DATA_NONE, opcodes_report, { 0xa3, 0x0c, 0x87, F3, F4, 0, 0 } },
	{ 0xa3, 0x0d, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", 12, DIR_IN, ROW_IN_WIPE, RESV_EXCLUSIVE_ONLY,
	  LAYOUT_ALLOC_12, DATA_NONE, opcodes_report_tmfs, { 0xa3, 0x0d, 0x80, Z3, F4, 0, 0 } },
	{ 0xa3, 0x0f, "REPORT TIMESTAMP", 12, DIR_IN, 0, RESV_ALLOW, LAYOUT_ALLOC_12, DATA_NONE,
	  timestamp_report, { 0xa3, 0x0f, Z4, F4, 0, 0 } },
	{ 0xa4, 0x0a, "SET TARGET PORT GROUPS", 12, DIR_OUT, ROW_CONTROL, RESV_WRITE, LAYOUT_ALLOC_12, DATA_PARAM,
	  hooks_stpg, { 0xa4, 0x0a, Z4, F4, 0, 0 } },
	{ 0xa4, 0x0f, "SET TIMESTAMP", 12, DIR_OUT, ROW_CONTROL, RESV_WRITE, LAYOUT_ALLOC_12, DATA_PARAM,
	  hooks_set_timestamp, { 0xa4, 0x0f, Z4, F4, 0, 0 } },
	{ 0xa8, NO_SA, "READ (12)", 12, DIR_IN, READS | P, RESV_READ, LAYOUT_LBA_12, DATA_BLOCKS,
	  rw_read, { 0xa8, 0x18, F8, GRP, 0 } },
	{ 0xaa, NO_SA, "WRITE (12)", 12, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_12, DATA_BLOCKS,
	  rw_write, { 0xaa, 0x18, F8, GRP, 0 } },
	{ 0xae, NO_SA, "WRITE AND VERIFY (12)", 12, DIR_OUT, WRITES | P, RESV_WRITE, LAYOUT_LBA_12, DATA_BLOCKS,
	  verify_after_write, { 0xae, 0x12, F8, GRP, 0 } },
	{ 0xaf, NO_SA, "VERIFY (12)", 12, DIR_OUT, READS | P, RESV_READ, LAYOUT_LBA_12, DATA_BYTCHK,
	  verify, { 0xaf, 0x16, F8, GRP, 0 } },
	{ 0xb7, NO_SA, "READ DEFECT DATA (12)", 12, DIR_IN, ROW_NOT_STANDBY, RESV_READ, LAYOUT_ALLOC_12, DATA_NONE,
	  defects_12, { 0xb7, 0x1f, F4, F4, 0, 0 } },
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

const struct cdb_row *cdb_rows(size_t *n)
{
	*n = NROWS;
	return rows;
}

/* The first row of this operation code, or NULL. */
static const struct cdb_row *first_row(uint8_t opcode)
{
	size_t lo = 0, hi = NROWS;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (rows[mid].opcode < opcode)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < NROWS && rows[lo].opcode == opcode ? &rows[lo] : NULL;
}

const struct cdb_row *cdb_find(const uint8_t *cdb, bool *sa_unknown)
{
	const struct cdb_row *row = first_row(cdb[0]);
	uint16_t sa = cdb[0] == CDB_VARIABLE ? get_be16(cdb + 8) : cdb[1] & 0x1f;

	*sa_unknown = false;
	if (!row || row->sa == CDB_NO_SA)
		return row;
	for (; row < rows + NROWS && row->opcode == cdb[0]; row++)
		if (row->sa == sa)
			return row;
	*sa_unknown = true;
	return NULL;
}
