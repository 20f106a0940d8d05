/* SPDX-License-Identifier: BSD-2-Clause */
/* What is told of third-party copies: RECEIVE COPY … (LID1) (SPC-4 6.18 … 6.20), VPD page 8F
 * (7.8.17). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cmd.h"
#include "core/extended_copy.h"
#include "core/handlers.h"
#include "core/nexus.h"
#include "core/wire.h"

struct copy_results { /* nexus->copies */
	uint64_t age;
	struct copy_result of[COPY_CONCURRENT_MAX];
};

/* ---- the results of one I_T nexus ------------------------------------------------------------ */

const struct copy_result *copy_results_find(const struct nexus *n, uint8_t list_id)
{
	for (int i = 0; n->copies && i < COPY_CONCURRENT_MAX; i++)
		if (n->copies->of[i].state != COPY_UNUSED && n->copies->of[i].list_id == list_id)
			return &n->copies->of[i];
	return NULL;
}

/* The place of the same list identifier, a free one, or that of the oldest copy that has ended. */
static struct copy_result *place_for(struct copy_results *c, uint8_t list_id)
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

int copy_results_begin(struct nexus *n, uint8_t list_id, struct copy_result **out)
{
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
	*r = (struct copy_result){ .state = COPY_UNDER_WAY, .list_id = list_id, .age = ++n->copies->age };
	*out = r;
	return 0;
}

void copy_results_free(struct nexus *n)
{
	free(n->copies);
	n->copies = NULL;
}

/* ---- RECEIVE COPY … -------------------------------------------------------------------------- */

/* The result that the CDB names; NULL: answered. */
static const struct copy_result *named(struct scsi_cmd *cmd)
{
	const struct copy_result *r = copy_results_find(cmd->nexus, cmd->cdb[2]);

	if (!r)
		cmd_bad_field(cmd, 2, -1);
	return r;
}

static uint8_t manager_status(enum copy_state s)
{
	switch (s) {
	case COPY_UNUSED:
	case COPY_UNDER_WAY:
		return 0x00;
	case COPY_DONE:
		return 0x01;
	case COPY_FAILED:
		return 0x02;
	}
	return 0;
}

void copy_results_status(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd);
	uint8_t data[12] = { 0 };
	uint64_t count;
	uint8_t units = 0; /* TRANSFER COUNT UNITS: bytes, KiB, MiB … (table 196) */

	if (!r)
		return;
	for (count = r->bytes; count > UINT32_MAX; count >>= 10)
		units++;
	put_be32(data, sizeof(data) - 4);
	data[4] = manager_status(r->state); /* HDD=0: no data is held */
	put_be16(data + 5, r->segments);
	data[7] = units;
	put_be32(data + 8, count);
	cmd_reply(cmd, data, sizeof(data));
}

void copy_results_failure(struct scsi_cmd *cmd)
{
	const struct copy_result *r = named(cmd);
	uint8_t data[60 + SENSE_MAX] = { 0 };
	uint32_t len = 4;

	if (!r)
		return;
	if (r->state == COPY_FAILED) {
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

/* ---- VPD page 8F ----------------------------------------------------------------------------- */

enum { SUPPORTED_COMMANDS = 0x0001, PARAMETER_DATA = 0x0004, SUPPORTED_DESCRIPTORS = 0x0008, GENERAL_COPY = 0x8001 };

static uint8_t *put_descriptor(uint8_t *p, uint16_t type, const void *data, size_t len)
{
	put_be16(p, type);
	put_be16(p + 2, len);
	memcpy(p + 4, data, len);
	return p + 4 + len;
}

uint16_t copy_results_vpd(const struct scsi_cmd *cmd, uint8_t *payload)
{
	/* list length; operation code, number of service actions, service actions; padded to a
	 * multiple of four */
	static const uint8_t commands[] = { 8, 0x83, 1, 0x00, 0x84, 3, 0x00, 0x03, 0x04, 0, 0, 0 };
	static const uint8_t types[] = { 2, COPY_SEGMENT_BLOCK_TO_BLOCK, COPY_TARGET_IDENTIFICATION, 0 };
	uint8_t parameters[28] = { 0 }, general[32] = { 0 }, *p = payload;

	(void)cmd;
	put_be16(parameters + 4, COPY_TARGETS_MAX);
	put_be16(parameters + 6, COPY_SEGMENTS_MAX);
	put_be32(parameters + 8, COPY_LIST_MAX);
	put_be32(general, COPY_CONCURRENT_MAX);
	put_be32(general + 4, COPY_CONCURRENT_MAX);
	put_be32(general + 8, COPY_SEGMENT_BYTES_MAX);
	general[12] = COPY_GRANULARITY_LOG2;
	p = put_descriptor(p, SUPPORTED_COMMANDS, commands, sizeof(commands));
	p = put_descriptor(p, PARAMETER_DATA, parameters, sizeof(parameters));
	p = put_descriptor(p, SUPPORTED_DESCRIPTORS, types, sizeof(types));
	p = put_descriptor(p, GENERAL_COPY, general, sizeof(general));
	return p - payload;
}
