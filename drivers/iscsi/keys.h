/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Login and operational keys (RFC 7143 clause 13), negotiated by a table. Pure: no socket, no allocation.
 * What the initiator offers, what we want and what is in force are kept apart.
 */
#ifndef SANDEM_ISCSI_KEYS_H
#define SANDEM_ISCSI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/iscsi/defaults.h"
#include "drivers/iscsi/text.h"

struct key_values { /* of one session; booleans and digests are 0 or 1 */
	uint32_t header_digest, data_digest;
	uint32_t max_connections;
	uint32_t initial_r2t, immediate_data;
	uint32_t max_burst, first_burst;
	uint32_t time2wait, time2retain;
	uint32_t max_outstanding_r2t;
	uint32_t data_pdu_in_order, data_sequence_in_order;
	uint32_t erl;
	uint32_t protocol_level;
	uint32_t send_segment; /* the initiator's MaxRecvDataSegmentLength: bounds what we send */
};

enum key_stage { STAGE_SECURITY = 1 << 0, STAGE_OPERATIONAL = 1 << 1, STAGE_FULL = 1 << 2 };

struct negotiation {
	struct key_values ours;	  /* what we want */
	struct key_values active; /* in force: the defaults of clause 13, then what was agreed */
	uint64_t seen;		  /* keys negotiated so far, by their row in the table */
	bool discovery;		  /* SessionType=Discovery */
	char initiator[224], target[224]; /* normalised; empty = not given */
	char alias[256];
	bool auth_chosen;	  /* AuthMethod was agreed on */
	char problem[160];	  /* why keys_text() failed, for the log */
};

void keys_init(struct negotiation *n, const struct iscsi_settings *s);

/*
 * All pairs of one request in the given stage; the answers are appended to out.
 * 0 or a login status (class and detail, 11.13.5), with n->problem telling why.
 * SendTargets is not a key of this table (drivers/iscsi/discovery.c).
 */
int keys_text(struct negotiation *n, enum key_stage stage, char *text, uint32_t len, struct text_writer *out);

/* A single pair, as keys_text() does it. */
int keys_pair(struct negotiation *n, enum key_stage stage, const char *key, const char *value,
	      struct text_writer *out);

#endif
