/* SPDX-License-Identifier: BSD-2-Clause */
/* RECEIVE COPY STATUS, DATA, FAILURE DETAILS (SPC-4), RECEIVE ROD TOKEN INFORMATION,
 * COPY OPERATION ABORT. */
#include "core/copy_results.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cdb.h"
#include "core/cmd.h"
#include "core/extended_copy.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/wire.h"

#define SENSE_OPERATION_IN_PROGRESS SENSE(KEY_ILLEGAL_REQUEST, 0x00, 0x16)
#define SENSE_CLEARED_BY_SERVER SENSE(KEY_COPY_ABORTED, 0x2f, 0x02)

struct copy_results { /* nexus->copies */
	uint64_t age;
	struct copy_result of[COPY_CONCURRENT_MAX];
};

/* ---- the results of one I_T nexus ------------------------------------------------------------ */

static struct copy_result *find(const struct nexus *n, uint32_t list_id)
{
	for (int i = 0; n->copies && i < COPY_CONCURRENT_MAX; i++)
		if (n->copies->of[i].state != COPY_UNUSED && n->copies->of[i].list_id == list_id)
			return &n->copies->of[i];
	return NULL;
}

/* The place of the same list identifier, a free one, or that of the oldest copy that has ended. */
static struct copy_result *place_for(struct copy_results *c, uint32_t list_id)
{
	struct copy_result *best = NULL;

	for (int i = 0; i < COPY_CONCURRENT_MAX; i++) {
		struct copy_result *r = &c->of[i];

		if (r->state != COPY_UNUSED && r->list_id == list_id)
			return r;
		if (r->state != COPY_UNDER_WAY && (!best || r->age < best->age))
			best = r;
	}
	return best;
}

int copy_results_begin(struct scsi_cmd *cmd, uint32_t list_id, struct copy_result **out)
{
	struct nexus *n = cmd->nexus;
	struct copy_result *r;

	if (!n->copies)
		n->copies = calloc(1, sizeof(*n->copies));
	if (!n->copies)
		return -ENOMEM;
	r = place_for(n->copies, list_id);
	if (!r)
		return -EAGAIN;
	if (r->state == COPY_UNDER_WAY)
		return -EBUSY;
	*r = (struct copy_result){ .state = COPY_UNDER_WAY,
				    .state_when_good = COPY_DONE,
				    .list_id = list_id,
				    .sa = cmd->cdb[1] & 0x1f,
				    .age = ++n->copies->age };
	CDS_INIT_LIST_HEAD(&r->waiting);
	*out = r;
	return 0;
}

bool copy_results_begun(struct scsi_cmd *cmd, uint32_t list_id, struct copy_result **out)
{
	int rc = copy_results_begin(cmd, list_id, out);

	if (rc == -EBUSY)
		cmd_sense(cmd, SENSE_OPERATION_IN_PROGRESS);
	else if (rc < 0)
		cmd_status(cmd, STATUS_BUSY);
	return rc == 0;
}

/* Nothing of the operation is under way any more. */
static void answer_waiting(struct copy_result *r)
{
	while (!cds_list_empty(&r->waiting)) {
		struct scsi_cmd *cmd = cds_list_first_entry(&r->waiting, struct scsi_cmd,
							    state_link);

		cds_list_del(&cmd->state_link);
		cmd->state = CMD_RECEIVED;
		cmd_good(cmd, 0);
	}
}

void copy_results_end(struct copy_result *r, struct scsi_cmd *cmd)
{
	struct sense_detail d = { .field = -1, .bit = -1 };

	if (r->abort && !cmd->aborted) {
		cmd->status = STATUS_CHECK_CONDITION;
		cmd->sense_len = sense_build(cmd->sense, SENSE_CLEARED_BY_SERVER,
					     lu_read(cmd->lu, mode)->dsense, &d);
	}
	if (cmd->aborted || r->abort)
		r->state = COPY_TERMINATED;
	else if (cmd->status != STATUS_GOOD)
		r->state = COPY_FAILED;
	else
		r->state = r->state_when_good;
	r->status = cmd->aborted || r->abort ? STATUS_TASK_ABORTED : cmd->status;
	r->sense_len = cmd->status == STATUS_CHECK_CONDITION && !cmd->aborted ? cmd->sense_len : 0;
	memcpy(r->sense, cmd->sense, r->sense_len);
	answer_waiting(r);
}

void copy_results_free(struct nexus *n)
{
	free(n->copies);
	n->copies = NULL;
}

/* The result that the CDB names; NULL: answered. */
static struct copy_result *named(struct scsi_cmd *cmd, uint32_t list_id)
{
	struct copy_result *r = find(cmd->nexus, list_id);

	if (!r)
		cmd_bad_field(cmd, 2, -1);
	return r;
}

/* TRANSFER COUNT UNITS: bytes, KiB, MiB … (table 251). */
static uint32_t in_units(uint64_t bytes, uint8_t *units)
{
	for (*units = 0; bytes > UINT32_MAX; bytes >>= 10)
		++*units;
	return bytes;
}

/* ---- RECEIVE COPY … (LID1) ------------------------------------------------------------------- */

static uint8_t status_lid1(enum copy_state s)
{
	switch (s) {
	case COPY_UNUSED:
	case COPY_UNDER_WAY:
		return 0x00;
	case COPY_DONE:
	case COPY_DONE_IN_PART:
		return 0x01;
	case COPY_FAILED:
	case COPY_TERMINATED:
		return 0x02;
	}
	return 0;
}

void copy_results_status_lid1(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd, cmd->cdb[2]);
	uint8_t data[12] = { 0 };

	if (!r)
		return;
	put_be32(data, sizeof(data) - 4);
	data[4] = status_lid1(r->state); /* HDD=0: no data is held */
	put_be16(data + 5, r->segments);
	put_be32(data + 8, in_units(r->bytes, &data[7]));
	cmd_reply(cmd, data, sizeof(data));
}

void copy_results_failure(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd, cmd->cdb[2]);
	uint8_t data[60 + SENSE_MAX] = { 0 };
	uint32_t len = 4;

	if (!r)
		return;
	if (r->state == COPY_FAILED || r->state == COPY_TERMINATED) {
		len = 60 + r->sense_len;
		data[56] = r->status;
		put_be16(data + 58, r->sense_len);
		memcpy(data + 60, r->sense, r->sense_len);
	}
	put_be32(data, len - 4);
	cmd_reply(cmd, data, len);
}

void copy_results_parameters(struct scsi_cmd *cmd)
{
	uint8_t data[46] = { 0 };

	put_be32(data, sizeof(data) - 4);
	data[4] = 0x01; /* SNLID: LIST ID USAGE 11b is accepted */
	put_be16(data + 8, COPY_TARGETS_MAX);
	put_be16(data + 10, COPY_SEGMENTS_MAX);
	put_be32(data + 12, COPY_LIST_MAX);
	put_be32(data + 16, COPY_SEGMENT_BYTES_MAX);
	put_be16(data + 34, COPY_CONCURRENT_MAX);
	data[36] = COPY_CONCURRENT_MAX;
	data[37] = COPY_GRANULARITY_LOG2;
	data[43] = 2;
	data[44] = COPY_SEGMENT_BLOCK_TO_BLOCK;
	data[45] = COPY_TARGET_IDENTIFICATION;
	cmd_reply(cmd, data, sizeof(data));
}

/* ---- … (LID4): the shared third-party copy status header ---------------------------- */

#define HEADER_LEN 32
#define UNITS_BLOCKS 0xf1
#define DELAY_MS 100u
#define DELAY_ENDED 0xfffffffeu

static uint8_t status_lid4(const struct copy_result *r)
{
	switch (r->state) {
	case COPY_UNUSED:
		break;
	case COPY_UNDER_WAY:
		return r->background ? 0x12 : 0x11;
	case COPY_DONE:
		return 0x01;
	case COPY_DONE_IN_PART:
		return 0x03;
	case COPY_FAILED:
		return 0x02;
	case COPY_TERMINATED:
		return 0x60;
	}
	return 0;
}

/* Writes header and sense data, all but AVAILABLE DATA; returns their length. */
static uint32_t put_status(uint8_t *p, const struct copy_result *r)
{
	bool failed = r->state == COPY_FAILED;
	uint8_t padded = failed ? (r->sense_len + 3) & ~3 : 0;

	p[4] = r->sa;
	p[5] = status_lid4(r);
	put_be16(p + 6, r->commands);
	put_be32(p + 8, r->state == COPY_UNDER_WAY ? DELAY_MS : DELAY_ENDED);
	p[12] = r->state == COPY_UNDER_WAY ? 0 : r->status;
	p[13] = padded;
	p[14] = failed ? r->sense_len : 0;
	if (r->block_size) {
		p[15] = UNITS_BLOCKS;
		put_be64(p + 16, r->bytes / r->block_size);
	} else {
		put_be64(p + 16, r->bytes);
	}
	put_be16(p + 24, r->block_size ? 0 : r->segments);
	if (failed)
		memcpy(p + HEADER_LEN, r->sense, r->sense_len);
	return HEADER_LEN + padded;
}

void copy_results_status_lid4(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd, get_be32(cmd->cdb + 2));
	uint8_t data[HEADER_LEN + SENSE_MAX] = { 0 };
	uint32_t len;

	if (!r)
		return;
	len = put_status(data, r);
	put_be32(data, len - 4);
	cmd_reply(cmd, data, len);
}

/* No operation holds data: HELD DATA LENGTH is 0. */
void copy_results_data(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd, get_be32(cmd->cdb + 2));
	uint8_t data[HEADER_LEN + SENSE_MAX + 4] = { 0 };
	uint32_t len;

	if (!r)
		return;
	len = put_status(data, r) + 4;
	put_be32(data, len - 4);
	cmd_reply(cmd, data, len);
}

/* ROD token descriptors follow (table 257): two reserved bytes, the token. */
void copy_results_token(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd, get_be32(cmd->cdb + 2));
	uint8_t data[HEADER_LEN + SENSE_MAX + 4 + 2 + ROD_TOKEN_LEN] = { 0 };
	uint32_t len;

	if (!r)
		return;
	len = put_status(data, r);
	if (r->has_token && r->state == COPY_DONE) {
		put_be32(data + len, 2 + ROD_TOKEN_LEN);
		memcpy(data + len + 6, r->token, ROD_TOKEN_LEN);
		len += 2 + ROD_TOKEN_LEN;
	}
	len += 4;
	put_be32(data, len - 4);
	cmd_reply(cmd, data, len);
}

/* ---- COPY OPERATION ABORT -------------------------------------------------------------- */

void copy_results_abort(struct scsi_cmd *cmd)
{
	struct copy_result *r = find(cmd->nexus, get_be32(cmd->cdb + 2));

	if (!r || r->state != COPY_UNDER_WAY) {
		cmd_bad_field(cmd, 2, -1);
		return;
	}
	r->abort = true;
	lu_park(cmd, &r->waiting);
}
