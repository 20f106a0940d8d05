/* SPDX-License-Identifier: BSD-2-Clause */
/* Status codes (SAM-5 5.3.1), sense data (SPC-4 4.5), errno → sense. */
#ifndef SANDEM_CORE_SENSE_H
#define SANDEM_CORE_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scsi_status {
	STATUS_GOOD = 0x00,
	STATUS_CHECK_CONDITION = 0x02,
	STATUS_CONDITION_MET = 0x04,
	STATUS_BUSY = 0x08,
	STATUS_RESERVATION_CONFLICT = 0x18,
	STATUS_TASK_SET_FULL = 0x28,
	STATUS_ACA_ACTIVE = 0x30,
	STATUS_TASK_ABORTED = 0x40,
};

enum sense_key {
	KEY_NO_SENSE = 0x0,
	KEY_RECOVERED_ERROR = 0x1,
	KEY_NOT_READY = 0x2,
	KEY_MEDIUM_ERROR = 0x3,
	KEY_HARDWARE_ERROR = 0x4,
	KEY_ILLEGAL_REQUEST = 0x5,
	KEY_UNIT_ATTENTION = 0x6,
	KEY_DATA_PROTECT = 0x7,
	KEY_COPY_ABORTED = 0xa,
	KEY_ABORTED_COMMAND = 0xb,
	KEY_MISCOMPARE = 0xe,
};

/* One value = key << 16 | ASC << 8 | ASCQ, so that a sense is passed around as one word. */
typedef uint32_t sense_t;
#define SENSE(key, asc, ascq) ((sense_t)(key) << 16 | (asc) << 8 | (ascq))
#define SENSE_KEY(s) ((uint8_t)((s) >> 16))
#define SENSE_ASC(s) ((uint8_t)((s) >> 8))
#define SENSE_ASCQ(s) ((uint8_t)(s))

#define SENSE_NONE SENSE(KEY_NO_SENSE, 0x00, 0x00)
#define SENSE_LU_NOT_READY_TRANSITION SENSE(KEY_NOT_READY, 0x04, 0x0a)
#define SENSE_LU_NOT_READY_STANDBY SENSE(KEY_NOT_READY, 0x04, 0x0b)
#define SENSE_LU_NOT_READY_UNAVAILABLE SENSE(KEY_NOT_READY, 0x04, 0x0c)
#define SENSE_LU_BECOMING_READY SENSE(KEY_NOT_READY, 0x04, 0x01)
#define SENSE_LU_NOT_READY_INIT_REQUIRED SENSE(KEY_NOT_READY, 0x04, 0x02)
#define SENSE_REMOVAL_PREVENTED SENSE(KEY_ILLEGAL_REQUEST, 0x53, 0x02)
#define SENSE_MEDIUM_NOT_PRESENT SENSE(KEY_NOT_READY, 0x3a, 0x00)
#define SENSE_WRITE_ERROR SENSE(KEY_MEDIUM_ERROR, 0x0c, 0x00)
#define SENSE_UNRECOVERED_READ SENSE(KEY_MEDIUM_ERROR, 0x11, 0x00)
#define SENSE_STPG_FAILED SENSE(KEY_HARDWARE_ERROR, 0x67, 0x0a) /* SET TARGET PORT GROUPS COMMAND FAILED */
#define SENSE_INTERNAL_FAILURE SENSE(KEY_HARDWARE_ERROR, 0x44, 0x00)
#define SENSE_PARAMETER_LIST_LENGTH SENSE(KEY_ILLEGAL_REQUEST, 0x1a, 0x00)
#define SENSE_INVALID_OPCODE SENSE(KEY_ILLEGAL_REQUEST, 0x20, 0x00)
#define SENSE_LBA_OUT_OF_RANGE SENSE(KEY_ILLEGAL_REQUEST, 0x21, 0x00)
#define SENSE_INVALID_FIELD_IN_CDB SENSE(KEY_ILLEGAL_REQUEST, 0x24, 0x00)
#define SENSE_LU_NOT_SUPPORTED SENSE(KEY_ILLEGAL_REQUEST, 0x25, 0x00)
#define SENSE_INVALID_FIELD_IN_PARAM SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x00)
#define SENSE_INVALID_RELEASE_OF_PR SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x04)
/* data-out length differs from what the CDB asks */
#define SENSE_INVALID_FIELD_IN_CIU SENSE(KEY_ILLEGAL_REQUEST, 0x0e, 0x03)
#define SENSE_SAVING_NOT_SUPPORTED SENSE(KEY_ILLEGAL_REQUEST, 0x39, 0x00)
#define SENSE_INVALID_MESSAGE SENSE(KEY_ILLEGAL_REQUEST, 0x49, 0x00)
#define SENSE_INSUFFICIENT_REGISTRATION SENSE(KEY_ILLEGAL_REQUEST, 0x55, 0x04)
#define SENSE_INSUFFICIENT_RESOURCES SENSE(KEY_ILLEGAL_REQUEST, 0x55, 0x03)
#define SENSE_WRITE_PROTECTED SENSE(KEY_DATA_PROTECT, 0x27, 0x00)
#define SENSE_SOFTWARE_WRITE_PROTECTED SENSE(KEY_DATA_PROTECT, 0x27, 0x02)
#define SENSE_SPACE_ALLOC_FAILED SENSE(KEY_DATA_PROTECT, 0x27, 0x07)
#define SENSE_ABORTED_COMMAND SENSE(KEY_ABORTED_COMMAND, 0x00, 0x00)
#define SENSE_DATA_PHASE_ERROR SENSE(KEY_ABORTED_COMMAND, 0x4b, 0x00)
#define SENSE_UNEXPECTED_UNSOLICITED SENSE(KEY_ABORTED_COMMAND, 0x0c, 0x0c)
#define SENSE_NOT_ENOUGH_UNSOLICITED SENSE(KEY_ABORTED_COMMAND, 0x0c, 0x0d)
#define SENSE_MISCOMPARE SENSE(KEY_MISCOMPARE, 0x1d, 0x00)

#define SENSE_MAX 64 /* bytes kept per command */

/*
 * Builds sense data into buf (SENSE_MAX bytes): fixed (70h) or descriptor (72h) format.
 * field >= 0: adds the SENSE KEY SPECIFIC field pointer for that byte (bit >= 0 adds the bit;
 * in_cdb sets C/D) (SPC-4 4.5.2.4.2). info: INFORMATION field, valid when has_info.
 * Returns the length in bytes.
 */
struct sense_detail {
	int16_t field; /* byte in the CDB or parameter list, -1 = none */
	int8_t bit;    /* -1 = none */
	bool in_cdb;
	bool has_info;
	uint64_t info;
	bool has_progress; /* SENSE KEY SPECIFIC progress indication, only with NO SENSE and NOT READY */
	uint16_t progress; /* of 65536 */
	bool has_command_info;
	uint64_t command_info; /* COMMAND-SPECIFIC INFORMATION */
};
size_t sense_build(uint8_t *buf, sense_t s, bool descriptor, const struct sense_detail *d);

/* The one place where a medium's errno becomes sense. err: negative errno.
 * write: the command was changing the medium. */
sense_t sense_from_errno(int err, bool write);

/* "LBA out of range" etc. for logs and tools; never NULL. */
const char *sense_text(sense_t s);

#endif
