/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an initiator reads out of INQUIRY, RTPG and sense data, and what it does about it: the
 * rules of Linux dm-multipath with the scsi_dh_alua device handler, as tables.
 *
 * Pure: no state, no I/O, any thread. Every parser takes hostile bytes.
 */
#ifndef TOOLS_LOAD_ALUA_H
#define TOOLS_LOAD_ALUA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SPC-4 table 256, ASYMMETRIC ACCESS STATE; UNKNOWN is ours: not asked yet. */
enum load_tpg_state {
	LOAD_TPG_OPTIMIZED = 0x0,
	LOAD_TPG_NON_OPTIMIZED = 0x1,
	LOAD_TPG_STANDBY = 0x2,
	LOAD_TPG_UNAVAILABLE = 0x3,
	LOAD_TPG_DEPENDENT = 0x4,
	LOAD_TPG_OFFLINE = 0xe,
	LOAD_TPG_TRANSITIONING = 0xf,
	LOAD_TPG_UNKNOWN = 0x10,
};

const char *load_tpg_state_str(enum load_tpg_state s);

/* Greater is better; 0: I/O is not sent there. */
int load_tpg_rank(enum load_tpg_state s);

/* The device identification VPD page (SPC-4 7.8.6). */
#define LOAD_LU_NAME_MAX 64
struct load_vpd83 {
	char lu_name[LOAD_LU_NAME_MAX]; /* best LU designator as text, "" when there is none */
	int relative_port;		/* relative target port identifier, -1 when absent */
	int port_group;			/* target port group, -1 when absent */
};

/* 0, or -EINVAL when the `len` bytes at `buf` are not such a page. */
int load_vpd83_parse(const uint8_t *buf, size_t len, struct load_vpd83 *v);

/*
 * Finds `port_group` in REPORT TARGET PORT GROUPS parameter data (SPC-4 6.37; `extended` for the
 * header of PARAMETER DATA FORMAT 001b). 0 and *state; -ENOENT when the group is not listed;
 * -EINVAL when the data is malformed.
 */
int load_rtpg_parse(const uint8_t *buf, size_t len, bool extended, int port_group,
		    enum load_tpg_state *state);

/* READ CAPACITY (16) (SBC-3 5.16): blocks and bytes per block. 0 or -EINVAL. */
int load_capacity_parse(const uint8_t *buf, size_t len, uint64_t *blocks, uint32_t *block_size);

/* Sense data, fixed or descriptor format (SPC-4 4.5). */
struct load_sense {
	uint8_t key, asc, ascq;
};

/* 0, or -EINVAL when there is no sense data in the format of either kind. */
int load_sense_parse(const uint8_t *buf, size_t len, struct load_sense *s);

/* What SPC-4 calls the additional sense codes of multipathing; NULL for all others. */
const char *load_sense_str(const struct load_sense *s);

enum load_act {
	LOAD_ACT_DONE,		/* completed */
	LOAD_ACT_RETRY,		/* send again at once: the condition is consumed */
	LOAD_ACT_RTPG,		/* ask for the port states, send again */
	LOAD_ACT_WAIT,		/* the target is busy: send again a little later */
	LOAD_ACT_TRANSITION,	/* the port is transitioning: ask, and send again a little later */
	LOAD_ACT_ABORTED,	/* executed in part or not at all: a few retries */
	LOAD_ACT_FAIL_PATH,	/* this path cannot serve it: another one may */
	LOAD_ACT_CONFLICT,	/* RESERVATION CONFLICT: an I/O error, nothing was written */
	LOAD_ACT_REFUSE,	/* an I/O error, nothing was written */
	LOAD_ACT_ERROR,		/* an I/O error, the medium may have been changed */
};

/* SCSI status (SAM-5 5.3.1) and, for CHECK CONDITION, sense to action. */
enum load_act load_act_for(uint8_t status, const struct load_sense *s);

#endif
