/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/sense.h"

#include <errno.h>
#include <string.h>

#include "core/wire.h"

/* ---- sense data (SPC-4 4.5) ------------------------------------------------------------------ */

/* SENSE KEY SPECIFIC (SPC-4 4.5.2.4): a field pointer with ILLEGAL REQUEST, progress with NO SENSE and NOT READY. False: nothing. */
static bool key_specific(uint8_t sks[3], sense_t s, const struct sense_detail *d)
{
	uint8_t key = SENSE_KEY(s);

	if (d && d->has_progress && (key == KEY_NOT_READY || key == KEY_NO_SENSE)) {
		sks[0] = 0x80; /* SKSV */
		put_be16(sks + 1, d->progress);
		return true;
	}
	if (!d || d->field < 0 || key != KEY_ILLEGAL_REQUEST)
		return false;
	sks[0] = 0x80 | (d->in_cdb ? 0x40 : 0); /* SKSV, C/D */
	if (d->bit >= 0)
		sks[0] |= 0x08 | (d->bit & 7); /* BPV, BIT POINTER */
	put_be16(sks + 1, d->field);
	return true;
}

static size_t build_fixed(uint8_t *buf, sense_t s, const struct sense_detail *d)
{
	buf[0] = 0x70;
	buf[2] = SENSE_KEY(s);
	if (d && d->has_info && d->info <= UINT32_MAX) { /* VALID is 0 for what does not fit (SPC-4 4.5.3) */
		buf[0] |= 0x80;
		put_be32(buf + 3, d->info);
	}
	buf[7] = 10;
	if (d && d->has_command_info && d->command_info <= UINT32_MAX)
		put_be32(buf + 8, d->command_info);
	buf[12] = SENSE_ASC(s);
	buf[13] = SENSE_ASCQ(s);
	key_specific(buf + 15, s, d);
	return 18;
}

static size_t build_descriptor(uint8_t *buf, sense_t s, const struct sense_detail *d)
{
	uint8_t sks[3], *p = buf + 8;

	buf[0] = 0x72;
	buf[1] = SENSE_KEY(s);
	buf[2] = SENSE_ASC(s);
	buf[3] = SENSE_ASCQ(s);
	if (d && d->has_info) { /* information, table 26 */
		p[1] = 10;
		p[2] = 0x80;
		put_be64(p + 4, d->info);
		p += 12;
	}
	if (d && d->has_command_info) { /* command specific information, table 27 */
		p[0] = 1;
		p[1] = 10;
		put_be64(p + 4, d->command_info);
		p += 12;
	}
	if (key_specific(sks, s, d)) { /* sense key specific, table 28 */
		p[0] = 2;
		p[1] = 6;
		memcpy(p + 4, sks, 3);
		p += 8;
	}
	buf[7] = p - buf - 8;
	return p - buf;
}

size_t sense_build(uint8_t *buf, sense_t s, bool descriptor, const struct sense_detail *d)
{
	memset(buf, 0, SENSE_MAX);
	return descriptor ? build_descriptor(buf, s, d) : build_fixed(buf, s, d);
}

/* ---- errno ----------------------------------------------------------------------------------- */

static const struct {
	int err;
	sense_t read, write;
} from_errno[] = {
	/* the medium itself */
	{ EIO, SENSE_UNRECOVERED_READ, SENSE_WRITE_ERROR },
	{ EILSEQ, SENSE_UNRECOVERED_READ, SENSE_WRITE_ERROR },
	{ EBADMSG, SENSE_UNRECOVERED_READ, SENSE_WRITE_ERROR },
	{ ENODATA, SENSE_UNRECOVERED_READ, SENSE_WRITE_ERROR },
	/* room */
	{ ENOSPC, SENSE_INTERNAL_FAILURE, SENSE_SPACE_ALLOC_FAILED },
	{ EDQUOT, SENSE_INTERNAL_FAILURE, SENSE_SPACE_ALLOC_FAILED },
	{ EFBIG, SENSE_INTERNAL_FAILURE, SENSE_SPACE_ALLOC_FAILED },
	/* permission */
	{ EROFS, SENSE_INTERNAL_FAILURE, SENSE_WRITE_PROTECTED },
	{ EPERM, SENSE_INTERNAL_FAILURE, SENSE_WRITE_PROTECTED },
	{ EACCES, SENSE_INTERNAL_FAILURE, SENSE_WRITE_PROTECTED },
	/* The device is gone from this node, maybe not from another: what makes initiators take
	 * another path. */
	{ ENODEV, SENSE_LU_NOT_READY_UNAVAILABLE, SENSE_LU_NOT_READY_UNAVAILABLE },
	{ ENXIO, SENSE_LU_NOT_READY_UNAVAILABLE, SENSE_LU_NOT_READY_UNAVAILABLE },
	{ ESHUTDOWN, SENSE_LU_NOT_READY_UNAVAILABLE, SENSE_LU_NOT_READY_UNAVAILABLE },
	{ ESTALE, SENSE_LU_NOT_READY_UNAVAILABLE, SENSE_LU_NOT_READY_UNAVAILABLE },
	{ ENOLINK, SENSE_LU_NOT_READY_UNAVAILABLE, SENSE_LU_NOT_READY_UNAVAILABLE },
	{ ENOMEDIUM, SENSE_MEDIUM_NOT_PRESENT, SENSE_MEDIUM_NOT_PRESENT },
	/* may work the next time: what every initiator retries */
	{ ENOMEM, SENSE_ABORTED_COMMAND, SENSE_ABORTED_COMMAND },
	{ EAGAIN, SENSE_ABORTED_COMMAND, SENSE_ABORTED_COMMAND },
	{ EINTR, SENSE_ABORTED_COMMAND, SENSE_ABORTED_COMMAND },
	{ EBUSY, SENSE_ABORTED_COMMAND, SENSE_ABORTED_COMMAND },
	{ ECANCELED, SENSE_ABORTED_COMMAND, SENSE_ABORTED_COMMAND },
	{ ETIMEDOUT, SENSE_ABORTED_COMMAND, SENSE_ABORTED_COMMAND },
};

sense_t sense_from_errno(int err, bool write)
{
	for (unsigned i = 0; i < sizeof(from_errno) / sizeof(from_errno[0]); i++)
		if (from_errno[i].err == -err)
			return write ? from_errno[i].write : from_errno[i].read;
	return SENSE_INTERNAL_FAILURE; /* EINVAL, EBADF …: our own fault, not the medium's */
}

/* ---- names ----------------------------------------------------------------------------------- */

static const struct {
	sense_t sense;
	const char *text;
} texts[] = {
	{ SENSE_NONE, "no sense" },
	{ SENSE_LU_NOT_READY_TRANSITION, "not ready: asymmetric access state transition" },
	{ SENSE_LU_NOT_READY_STANDBY, "not ready: target port in standby state" },
	{ SENSE_LU_NOT_READY_UNAVAILABLE, "not ready: target port in unavailable state" },
	{ SENSE_LU_BECOMING_READY, "not ready: becoming ready" },
	{ SENSE_LU_NOT_READY_INIT_REQUIRED, "not ready: initializing command required" },
	{ SENSE_MEDIUM_NOT_PRESENT, "not ready: medium not present" },
	{ SENSE_REMOVAL_PREVENTED, "medium removal prevented" },
	{ SENSE_WRITE_ERROR, "medium error: write error" },
	{ SENSE_UNRECOVERED_READ, "medium error: unrecovered read error" },
	{ SENSE_INTERNAL_FAILURE, "hardware error: internal target failure" },
	{ SENSE_PARAMETER_LIST_LENGTH, "parameter list length error" },
	{ SENSE_INVALID_OPCODE, "invalid command operation code" },
	{ SENSE_LBA_OUT_OF_RANGE, "logical block address out of range" },
	{ SENSE_INVALID_FIELD_IN_CDB, "invalid field in CDB" },
	{ SENSE_LU_NOT_SUPPORTED, "logical unit not supported" },
	{ SENSE_INVALID_FIELD_IN_PARAM, "invalid field in parameter list" },
	{ SENSE_INVALID_RELEASE_OF_PR, "invalid release of persistent reservation" },
	{ SENSE_INVALID_FIELD_IN_CIU, "invalid field in command information unit" },
	{ SENSE_STPG_FAILED, "set target port groups command failed" },
	{ SENSE_SAVING_NOT_SUPPORTED, "saving parameters not supported" },
	{ SENSE_INSUFFICIENT_REGISTRATION, "insufficient registration resources" },
	{ SENSE_INSUFFICIENT_RESOURCES, "insufficient resources" },
	{ SENSE_WRITE_PROTECTED, "write protected" },
	{ SENSE_SOFTWARE_WRITE_PROTECTED, "write protected by MODE SELECT" },
	{ SENSE_SPACE_ALLOC_FAILED, "space allocation failed, write protect" },
	{ SENSE_ABORTED_COMMAND, "aborted command" },
	{ SENSE_DATA_PHASE_ERROR, "data phase error" },
	{ SENSE_UNEXPECTED_UNSOLICITED, "unexpected unsolicited data" },
	{ SENSE_NOT_ENOUGH_UNSOLICITED, "not enough unsolicited data" },
	{ SENSE(KEY_ABORTED_COMMAND, 0x10, 0x01), "logical block guard check failed" },
	{ SENSE(KEY_ABORTED_COMMAND, 0x10, 0x02), "logical block application tag check failed" },
	{ SENSE(KEY_ABORTED_COMMAND, 0x10, 0x03), "logical block reference tag check failed" },
	{ SENSE_MISCOMPARE, "miscompare during verify operation" },
	{ SENSE(KEY_NOT_READY, 0x04, 0x04), "not ready: format in progress" },
	{ SENSE(KEY_NOT_READY, 0x04, 0x1b), "not ready: sanitize in progress" },
	{ SENSE(KEY_MEDIUM_ERROR, 0x31, 0x01), "format command failed" },
	{ SENSE(KEY_MEDIUM_ERROR, 0x31, 0x03), "sanitize command failed" },
	{ SENSE(KEY_COPY_ABORTED, 0x0d, 0x01), "copy aborted: third party device failure" },
	{ SENSE(KEY_COPY_ABORTED, 0x0d, 0x02), "copy aborted: copy target device not reachable" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x28, 0x00), "unit attention: medium may have changed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x29, 0x00), "unit attention: power on, reset or bus device reset" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x29, 0x03), "unit attention: bus device reset function occurred" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x29, 0x07), "unit attention: I_T nexus loss" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x01), "unit attention: mode parameters changed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x02), "unit attention: log parameters changed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x03), "unit attention: reservations preempted" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x04), "unit attention: reservations released" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x05), "unit attention: registrations preempted" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x06), "unit attention: asymmetric access state changed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x07), "unit attention: implicit asymmetric access state transition failed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x09), "unit attention: capacity data has changed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x2f, 0x00), "unit attention: commands cleared by another initiator" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x38, 0x07), "unit attention: thin provisioning soft threshold reached" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x3f, 0x03), "unit attention: inquiry data has changed" },
	{ SENSE(KEY_UNIT_ATTENTION, 0x3f, 0x0e), "unit attention: reported LUNs data has changed" },
};

static const char *const keys[16] = {
	"no sense", "recovered error", "not ready", "medium error", "hardware error", "illegal request",
	"unit attention", "data protect", "blank check", "vendor specific", "copy aborted", "aborted command",
	"reserved", "volume overflow", "miscompare", "completed",
};

const char *sense_text(sense_t s)
{
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].sense == s)
			return texts[i].text;
	return keys[SENSE_KEY(s) & 0xf];
}
