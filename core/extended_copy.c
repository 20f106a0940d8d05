/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXTENDED COPY (LID1) (SPC-4 6.4). Each chunk is a READ (16) and a WRITE (16) of the same I_T
 * nexus that go through the gates of
 * their logical unit, so reservations, asymmetric access and range locks hold for every single one
 * (P2, P5). After each chunk the
 * reactor serves others first.
 */
#include <errno.h>
#include <string.h>

#include "core/cdb.h"
#include "core/extended_copy.h"
#include "core/gate.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/reactor.h"
#include "core/wire.h"

#define HEADER_LEN 16
#define CHUNK_BYTES (1u << 20) /* a multiple of every block size */
#define OWN_TAG (1ull << 63)   /* no initiator's task tag: ABORT TASK finds the EXTENDED COPY alone */

#define SENSE_TOO_MANY_TARGETS SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x06)
#define SENSE_TARGET_TYPE SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x07)
#define SENSE_TOO_MANY_SEGMENTS SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x08)
#define SENSE_SEGMENT_TYPE SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x09)
#define SENSE_INLINE_DATA SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x0b)
#define SENSE_OPERATION_IN_PROGRESS SENSE(KEY_ILLEGAL_REQUEST, 0x00, 0x16)
#define SENSE_COPY_ABORTED SENSE(KEY_COPY_ABORTED, 0x00, 0x00)
#define SENSE_UNREACHABLE_TARGET SENSE(KEY_COPY_ABORTED, 0x08, 0x04)
#define SENSE_TARGET_FAILURE SENSE(KEY_COPY_ABORTED, 0x0d, 0x01)
#define SENSE_TARGET_NOT_REACHABLE SENSE(KEY_COPY_ABORTED, 0x0d, 0x02)
#define SENSE_TARGET_DEVICE_TYPE SENSE(KEY_COPY_ABORTED, 0x0d, 0x03)
#define SENSE_INEXACT_SEGMENT SENSE(KEY_COPY_ABORTED, 0x26, 0x0a)

struct list { /* where things are in the parameter list */
	uint32_t ntargets, nsegments;
	const uint8_t *target, *segment;
};

struct segment {
	struct itl *from, *to;
	uint64_t from_at, to_at, len; /* bytes */
};

struct copy { /* cmd->handler_data */
	struct msg msg; /* first turn of each chunk */
	struct scsi_cmd *cmd;
	struct list list;
	struct copy_result *result; /* NULL: none is kept */
	struct segment segment;	    /* the one under way */
	uint32_t nsegment;	    /* its number */
	uint64_t done;		    /* bytes of it */
	struct scsi_cmd part;	    /* the READ or WRITE under way */
	uint8_t *buf;
	uint32_t buf_len;
};

/* ---- the end --------------------------------------------------------------------------------- */

static void copy_free(struct copy *c)
{
	struct reactor *r = c->cmd->reactor;

	c->cmd->handler_data = NULL;
	reactor_buf_put(r, c, sizeof(*c));
}

static void keep_result(struct copy_result *r, const struct scsi_cmd *cmd, bool failed)
{
	r->state = failed ? COPY_FAILED : COPY_DONE;
	r->status = cmd->status;
	r->sense_len = failed ? cmd->sense_len : 0;
	memcpy(r->sense, cmd->sense, r->sense_len);
}

static void copy_ended(struct copy *c)
{
	struct scsi_cmd *cmd = c->cmd;

	if (c->result) {
		c->result->segments = c->nsegment;
		keep_result(c->result, cmd, cmd->aborted || cmd->status != STATUS_GOOD);
	}
	copy_free(c);
	cmd_complete(cmd);
}

/* COPY ABORTED names the segment in the COMMAND-SPECIFIC INFORMATION field (SPC-4 6.4.4). */
static void copy_failed(struct copy *c, sense_t s)
{
	struct scsi_cmd *cmd = c->cmd;
	struct sense_detail d = { .field = -1, .bit = -1, .has_command_info = true, .command_info = c->nsegment };

	cmd->sense_len = sense_build(cmd->sense, s, lu_read(cmd->lu, mode)->dsense, &d);
	cmd->status = STATUS_CHECK_CONDITION;
	copy_ended(c);
}

static uint8_t key_of(const struct scsi_cmd *part)
{
	return part->sense[(part->sense[0] & 0x7f) >= 0x72 ? 1 : 2] & 0x0f;
}

/* A part that was refused for now (asymmetric access state, busy) makes the whole command one that initiators retry (P7); other
 * failures are the third party's. */
static void part_failed(struct copy *c)
{
	struct scsi_cmd *cmd = c->cmd, *part = &c->part;
	bool sense = part->status == STATUS_CHECK_CONDITION;

	if (sense && key_of(part) != KEY_NOT_READY && key_of(part) != KEY_ABORTED_COMMAND) {
		copy_failed(c, SENSE_TARGET_FAILURE);
	} else if (sense || part->status == STATUS_BUSY) {
		cmd->status = part->status;
		cmd->sense_len = part->sense_len;
		memcpy(cmd->sense, part->sense, part->sense_len);
		copy_ended(c);
	} else {
		copy_failed(c, SENSE_TARGET_FAILURE);
	}
}

/* ---- one chunk: read, then write ------------------------------------------------------------- */

static void segment_step(struct copy *c);

static void step_msg(struct msg *m)
{
	segment_step(caa_container_of(m, struct copy, msg));
}

static void next_step(struct copy *c)
{
	c->msg.fn = step_msg;
	reactor_post(c->cmd->reactor, &c->msg);
}

static void part_cdb(uint8_t *cdb, uint8_t opcode, uint64_t at, uint32_t len, uint32_t block_size)
{
	memset(cdb, 0, CDB_MAX);
	cdb[0] = opcode;
	put_be64(cdb + 2, at / block_size);
	put_be32(cdb + 10, len / block_size);
}

/* Starts c->part; data: what it writes, taken over. */
static void part_start(struct copy *c, struct itl *itl, uint8_t opcode, uint64_t at, uint32_t len,
		       void (*done)(struct scsi_cmd *part))
{
	struct scsi_cmd *part = &c->part;

	*part = (struct scsi_cmd){ .nexus = c->cmd->nexus, .tag = c->cmd->tag | OWN_TAG, .expected_len = len, .done = done };
	put_be16(part->lun, 0x4000 | itl->lun); /* flat space addressing */
	part_cdb(part->cdb, opcode, at, len, itl->lu->block_size);
	cmd_init(part);
	cmd_decode(part);
	part->aborted = c->cmd->aborted;
	if (c->buf) {
		part->buf = c->buf;
		part->buf_len = c->buf_len;
		part->data_out_got = len;
		c->buf = NULL;
	}
	if (part->aborted)
		cmd_execute(part);
	else
		/* a pending unit attention is not the copy's: it waits for the initiator's next
		 * command */
		gate_again(part);
}

static bool part_is_good(const struct copy *c)
{
	return c->part.status == STATUS_GOOD && !c->part.aborted && !c->cmd->aborted;
}

static void part_bad(struct copy *c)
{
	cmd_fini(&c->part);
	if (c->cmd->aborted)
		copy_ended(c);
	else if (c->part.aborted) /* somebody reset the other logical unit */
		copy_failed(c, SENSE_TARGET_FAILURE);
	else
		part_failed(c);
}

static void chunk_written(struct scsi_cmd *part)
{
	struct copy *c = caa_container_of(part, struct copy, part);

	if (!part_is_good(c)) {
		part_bad(c);
		return;
	}
	cmd_fini(part);
	c->done += part->expected_len;
	if (c->result)
		c->result->bytes += part->expected_len;
	next_step(c);
}

static void write_msg(struct msg *m)
{
	struct copy *c = caa_container_of(m, struct copy, msg);

	part_start(c, c->segment.to, 0x8a, c->segment.to_at + c->done, c->part.expected_len, chunk_written);
}

static void chunk_read(struct scsi_cmd *part)
{
	struct copy *c = caa_container_of(part, struct copy, part);

	if (!part_is_good(c)) {
		part_bad(c);
		return;
	}
	c->buf = part->buf;
	c->buf_len = part->buf_len;
	/* the struct of the READ is free only when its end has been dealt with */
	c->msg.fn = write_msg;
	reactor_post(c->cmd->reactor, &c->msg);
}

static uint64_t chunk_len(const struct copy *c)
{
	uint64_t left = c->segment.len - c->done;

	return left < CHUNK_BYTES ? left : CHUNK_BYTES;
}

/* ---- segments -------------------------------------------------------------------------------- */

static struct itl *target_of(const struct copy *c, uint16_t index)
{
	const uint8_t *t = c->list.target + index * COPY_TARGET_LEN;
	const struct nexus *n = c->cmd->nexus;
	/* binary, of the logical unit, NAA */
	bool is_naa = (t[4] & 0x0f) == 1 && (t[5] & 0x3f) == 3 && t[7] <= 16;

	for (uint32_t i = 0; is_naa && i < n->nitl; i++)
		if (n->itl[i].lu->id.naa_len == t[7] && !memcmp(n->itl[i].lu->id.naa, t + 8, t[7]))
			return &n->itl[i];
	return NULL;
}

static bool within(const struct itl *itl, uint64_t lba, uint64_t len)
{
	uint64_t capacity = __atomic_load_n(&itl->lu->blocks, __ATOMIC_RELAXED), blocks = len / itl->lu->block_size;

	return lba <= capacity && blocks <= capacity - lba;
}

/* Block to block (SPC-4 6.4.6.4). SENSE_NONE: c->segment is set. */
static sense_t segment_parse(struct copy *c, const uint8_t *d)
{
	struct segment *s = &c->segment;
	uint16_t from = get_be16(d + 4), to = get_be16(d + 6);
	uint64_t from_lba = get_be64(d + 12), to_lba = get_be64(d + 20);
	bool counts_destination = d[1] & 0x02; /* DC */

	if (from >= c->list.ntargets || to >= c->list.ntargets)
		return SENSE_UNREACHABLE_TARGET;
	s->from = target_of(c, from);
	s->to = target_of(c, to);
	if (!s->from || !s->to)
		return SENSE_TARGET_NOT_REACHABLE;
	s->len = (uint64_t)get_be16(d + 10) * (counts_destination ? s->to : s->from)->lu->block_size;
	if (s->len % s->from->lu->block_size || s->len % s->to->lu->block_size)
		return SENSE_INEXACT_SEGMENT; /* no padding, no residue kept */
	if (!within(s->from, from_lba, s->len) || !within(s->to, to_lba, s->len))
		return SENSE_COPY_ABORTED;
	s->from_at = from_lba * s->from->lu->block_size;
	s->to_at = to_lba * s->to->lu->block_size;
	return SENSE_NONE;
}

/* A drain of the copy manager's unit waits for this command, so it must not wait behind a closed
 * gate itself. */
static const struct alua_gate *closed_gate(const struct copy *c)
{
	const struct alua_gate *from = lu_read(c->segment.from->lu, gate), *to = lu_read(c->segment.to->lu, gate);
	const struct alua_gate *own = lu_read(c->cmd->lu, gate);

	if (own->medium != GATE_ADMIT)
		return own;
	if (from->medium != GATE_ADMIT)
		return from;
	return to->medium != GATE_ADMIT ? to : NULL;
}

static void segment_step(struct copy *c)
{
	const struct alua_gate *closed;

	if (c->cmd->aborted) {
		copy_ended(c);
	} else if (c->done < c->segment.len) {
		closed = closed_gate(c);
		if (closed)
			copy_failed(c, closed->medium_sense);
		else
			part_start(c, c->segment.from, 0x88, c->segment.from_at + c->done, chunk_len(c), chunk_read);
	} else if (++c->nsegment < c->list.nsegments) {
		sense_t s = segment_parse(c, c->list.segment + c->nsegment * COPY_SEGMENT_LEN);

		c->done = 0;
		if (s != SENSE_NONE)
			copy_failed(c, s);
		else
			next_step(c);
	} else {
		c->cmd->status = STATUS_GOOD;
		copy_ended(c);
	}
}

/* ---- the parameter list (6.4.3) -------------------------------------------------------------- */

static void bad_list(struct scsi_cmd *cmd, sense_t s, int byte)
{
	struct sense_detail d = { .field = byte, .bit = -1 };

	cmd_sense_detail(cmd, s, &d);
}

/* False: answered. */
static bool check_targets(struct scsi_cmd *cmd, const struct list *l)
{
	for (uint32_t i = 0; i < l->ntargets; i++) {
		const uint8_t *t = l->target + i * COPY_TARGET_LEN;
		int at = t - cmd->buf;

		if (t[0] != COPY_TARGET_IDENTIFICATION) {
			bad_list(cmd, SENSE_TARGET_TYPE, at);
			return false;
		}
		if ((t[1] & 0x1f) != 0) {
			cmd_sense(cmd, SENSE_TARGET_DEVICE_TYPE);
			return false;
		}
	}
	return true;
}

/* Counts the segment descriptors; -1: answered. Their length is in themselves, that of the only
 * type known is fixed. */
static int count_segments(struct scsi_cmd *cmd, const uint8_t *p, uint32_t len)
{
	int n = 0;

	for (const uint8_t *d = p; d < p + len; d += COPY_SEGMENT_LEN, n++) {
		if (d[0] != COPY_SEGMENT_BLOCK_TO_BLOCK) {
			bad_list(cmd, SENSE_SEGMENT_TYPE, d - cmd->buf);
			return -1;
		}
		if (p + len - d < COPY_SEGMENT_LEN) {
			cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
			return -1;
		}
		if (get_be16(d + 2) != COPY_SEGMENT_LEN - 4) {
			cmd_bad_param(cmd, d + 2 - cmd->buf, -1);
			return -1;
		}
	}
	return n;
}

static sense_t check_header(const struct scsi_cmd *cmd)
{
	const uint8_t *h = cmd->buf;
	uint64_t targets, segments, inline_len;

	if (cmd->alloc_len < HEADER_LEN || cmd->data_out_got < cmd->alloc_len)
		return SENSE_PARAMETER_LIST_LENGTH;
	targets = get_be16(h + 2);
	segments = get_be32(h + 8);
	inline_len = get_be32(h + 12);
	if (targets + segments > COPY_LIST_MAX || HEADER_LEN + targets + segments + inline_len > cmd->alloc_len ||
	    targets % COPY_TARGET_LEN)
		return SENSE_PARAMETER_LIST_LENGTH;
	if (inline_len)
		return SENSE_INLINE_DATA;
	if (targets / COPY_TARGET_LEN > COPY_TARGETS_MAX)
		return SENSE_TOO_MANY_TARGETS;
	return SENSE_NONE;
}

/* False: answered. */
static bool list_parse(struct scsi_cmd *cmd, struct list *l)
{
	sense_t s = check_header(cmd);
	uint32_t len;
	int n;

	if (s != SENSE_NONE) {
		cmd_sense(cmd, s);
		return false;
	}
	l->target = cmd->buf + HEADER_LEN;
	l->ntargets = get_be16(cmd->buf + 2) / COPY_TARGET_LEN;
	l->segment = l->target + l->ntargets * COPY_TARGET_LEN;
	len = get_be32(cmd->buf + 8);
	if (len > COPY_SEGMENTS_MAX * COPY_SEGMENT_LEN) {
		cmd_sense(cmd, SENSE_TOO_MANY_SEGMENTS);
		return false;
	}
	if (!check_targets(cmd, l))
		return false;
	n = count_segments(cmd, l->segment, len);
	l->nsegments = n < 0 ? 0 : n;
	return n >= 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum list_id_usage { USAGE_HOLD = 0, USAGE_RESERVED = 1, USAGE_DISCARD = 2, USAGE_NONE = 3 };

/* LIST ID USAGE (table 100). False: answered. */
static bool result_begin(struct scsi_cmd *cmd, struct copy_result **r)
{
	uint8_t id = cmd->buf[0];
	int rc;

	*r = NULL;
	switch ((enum list_id_usage)(cmd->buf[1] >> 3 & 3)) {
	case USAGE_RESERVED:
		cmd_bad_param(cmd, 1, 4);
		return false;
	case USAGE_NONE:
		if (id)
			cmd_bad_param(cmd, 0, -1);
		return !id;
	case USAGE_HOLD:
	case USAGE_DISCARD:
		break;
	}
	rc = copy_results_begin(cmd->nexus, id, r);
	if (rc == -EBUSY)
		cmd_sense(cmd, SENSE_OPERATION_IN_PROGRESS);
	else if (rc < 0)
		cmd_status(cmd, STATUS_BUSY);
	return rc == 0;
}

static void start(struct scsi_cmd *cmd, const struct list *l)
{
	struct copy *c = reactor_buf_get(cmd->reactor, sizeof(*c));
	struct copy_result *result;

	if (!c) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	if (!result_begin(cmd, &result)) {
		reactor_buf_put(cmd->reactor, c, sizeof(*c));
		return;
	}
	*c = (struct copy){ .cmd = cmd, .list = *l, .result = result, .nsegment = UINT32_MAX };
	cmd->handler_data = c;
	segment_step(c); /* goes on to segment 0 */
}

void extended_copy(struct scsi_cmd *cmd)
{
	struct list l = { 0 };

	if (!cmd->alloc_len) /* no parameter list is not an error (6.4.1) */
		cmd_good(cmd, 0);
	else if (list_parse(cmd, &l))
		start(cmd, &l);
}
