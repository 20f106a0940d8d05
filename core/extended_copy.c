/* SPDX-License-Identifier: BSD-2-Clause */
/* EXTENDED COPY (LID1), (LID4) (SPC-4): the parameter list, segment by segment. */
#include <string.h>

#include "core/cdb.h"
#include "core/copy_move.h"
#include "core/copy_results.h"
#include "core/extended_copy.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/reactor.h"
#include "core/wire.h"

#define LID1_HEADER_LEN 16
#define LID4_HEADER_LEN 48

#define SENSE_TOO_MANY_TARGETS SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x06)
#define SENSE_TARGET_TYPE SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x07)
#define SENSE_TOO_MANY_SEGMENTS SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x08)
#define SENSE_SEGMENT_TYPE SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x09)
#define SENSE_INLINE_DATA SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x0b)
#define SENSE_COPY_ABORTED SENSE(KEY_COPY_ABORTED, 0x00, 0x00)
#define SENSE_UNREACHABLE_TARGET SENSE(KEY_COPY_ABORTED, 0x08, 0x04)
#define SENSE_TARGET_FAILURE SENSE(KEY_COPY_ABORTED, 0x0d, 0x01)
#define SENSE_TARGET_NOT_REACHABLE SENSE(KEY_COPY_ABORTED, 0x0d, 0x02)
#define SENSE_TARGET_DEVICE_TYPE SENSE(KEY_COPY_ABORTED, 0x0d, 0x03)
#define SENSE_INEXACT_SEGMENT SENSE(KEY_COPY_ABORTED, 0x26, 0x0a)

enum list_id_usage { USAGE_HOLD = 0, USAGE_RESERVED = 1, USAGE_DISCARD = 2, USAGE_NONE = 3 };

struct header { /* of a parameter list, LID1 or LID4 */
	uint32_t len;
	uint32_t list_id;
	uint8_t id_at; /* where it stands */
	enum list_id_usage usage;
	bool immed;
	uint32_t targets, segments, inline_data; /* bytes */
};

struct list { /* where things are in the parameter list */
	struct header header;
	uint32_t ntargets, nsegments;
	const uint8_t *target, *segment;
};

struct copy { /* cmd->handler_data */
	struct copy_move move; /* the segment under way */
	struct scsi_cmd *cmd;  /* what was sent, or &background */
	struct scsi_cmd background;
	struct msg msg;
	struct list list;
	struct copy_result *result; /* NULL: none is kept */
	uint32_t nsegment;
};

/* ---- the end --------------------------------------------------------------------------------- */

static void copy_free(struct copy *c)
{
	reactor_buf_put(c->cmd->reactor, c, sizeof(*c));
}

static void background_done(struct scsi_cmd *bg)
{
	struct copy *c = caa_container_of(bg, struct copy, background);

	cmd_fini(bg);
	copy_free(c);
}

static void copy_ended(struct copy *c)
{
	struct scsi_cmd *cmd = c->cmd;

	if (c->result) {
		c->result->segments = c->nsegment;
		copy_results_end(c->result, cmd);
	}
	if (cmd != &c->background)
		copy_free(c);
	cmd_complete(cmd);
}

/* COPY ABORTED names the segment in the COMMAND-SPECIFIC INFORMATION field (SPC-4 5.17.7.4). */
static void copy_failed(struct copy *c, sense_t s)
{
	struct scsi_cmd *cmd = c->cmd;
	struct sense_detail d = {
		.field = -1, .bit = -1, .has_command_info = true, .command_info = c->nsegment
	};

	cmd->sense_len = sense_build(cmd->sense, s, lu_read(cmd->lu, mode)->dsense, &d);
	cmd->status = STATUS_CHECK_CONDITION;
	copy_ended(c);
}

/* What initiators retry makes the whole command one that they retry (P7); other failures are the
 * third party's. */
static void part_failed(struct copy *c)
{
	struct scsi_cmd *cmd = c->cmd, *part = &c->move.part;

	if (!copy_move_is_for_now(&c->move)) {
		copy_failed(c, SENSE_TARGET_FAILURE);
		return;
	}
	cmd->status = part->status;
	cmd->sense_len = part->sense_len;
	memcpy(cmd->sense, part->sense, part->sense_len);
	copy_ended(c);
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
	uint64_t capacity = __atomic_load_n(&itl->lu->blocks, __ATOMIC_RELAXED);
	uint64_t blocks = len / itl->lu->block_size;

	return lba <= capacity && blocks <= capacity - lba;
}

/* Block to block. SENSE_NONE: c->move is set. */
static sense_t segment_parse(struct copy *c, const uint8_t *d)
{
	struct copy_move *s = &c->move;
	uint16_t from = get_be16(d + 4), to = get_be16(d + 6);
	uint64_t from_lba = get_be64(d + 12), to_lba = get_be64(d + 20);
	bool counts_destination = d[1] & 0x02; /* DC */

	if (from >= c->list.ntargets || to >= c->list.ntargets)
		return SENSE_UNREACHABLE_TARGET;
	s->from = target_of(c, from);
	s->to = target_of(c, to);
	if (!s->from || !s->to)
		return SENSE_TARGET_NOT_REACHABLE;
	s->len = get_be16(d + 10);
	s->len *= (counts_destination ? s->to : s->from)->lu->block_size;
	if (s->len % s->from->lu->block_size || s->len % s->to->lu->block_size)
		return SENSE_INEXACT_SEGMENT; /* no padding, no residue kept */
	if (!within(s->from, from_lba, s->len) || !within(s->to, to_lba, s->len))
		return SENSE_COPY_ABORTED;
	s->from_at = from_lba * s->from->lu->block_size;
	s->to_at = to_lba * s->to->lu->block_size;
	return SENSE_NONE;
}

static void next_segment(struct copy *c);

static void next_segment_msg(struct msg *m)
{
	next_segment(caa_container_of(m, struct copy, msg));
}

static void segment_ended(struct copy_move *m, enum copy_move_end end)
{
	struct copy *c = caa_container_of(m, struct copy, move);

	switch (end) {
	case MOVE_DONE:
		c->msg.fn = next_segment_msg;
		reactor_post(c->cmd->reactor, &c->msg);
		return;
	case MOVE_STOPPED:
		copy_ended(c);
		return;
	case MOVE_INVALID:
		copy_failed(c, SENSE_COPY_ABORTED);
		return;
	case MOVE_CLOSED:
		copy_failed(c, m->closed);
		return;
	case MOVE_READ_FAILED:
	case MOVE_WRITE_FAILED:
		part_failed(c);
		return;
	}
}

static void next_segment(struct copy *c)
{
	sense_t s;

	if (++c->nsegment == c->list.nsegments) {
		c->cmd->status = STATUS_GOOD;
		copy_ended(c);
		return;
	}
	if (c->result)
		c->result->segments = c->nsegment;
	s = segment_parse(c, c->list.segment + c->nsegment * COPY_SEGMENT_LEN);
	if (s != SENSE_NONE)
		copy_failed(c, s);
	else
		copy_move_start(&c->move);
}

/* ---- the parameter list ---------------------------------------------------------------------- */

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

static struct header header_lid1(const uint8_t *h)
{
	return (struct header){ .len = LID1_HEADER_LEN, .list_id = h[0], .id_at = 0,
				.usage = h[1] >> 3 & 3, .targets = get_be16(h + 2),
				.segments = get_be32(h + 8), .inline_data = get_be32(h + 12) };
}

static struct header header_lid4(const uint8_t *h)
{
	return (struct header){ .len = LID4_HEADER_LEN, .list_id = get_be32(h + 20), .id_at = 20,
				.usage = h[1] >> 3 & 3, .immed = h[15] & 0x01,
				.targets = get_be16(h + 42), .segments = get_be16(h + 44),
				.inline_data = get_be16(h + 46) };
}

/* What table 126 fixes, and G_SENSE: no sense data comes with GOOD status. -1, or the byte that is
 * wrong. */
static int lid4_wrong(const uint8_t *h)
{
	if (h[0] != 0x01)
		return 0;
	if (get_be16(h + 2) != 0x20)
		return 2;
	if (h[15] & 0xfe)
		return 15;
	return h[16] != 0xff ? 16 : -1;
}

static sense_t check_header(const struct scsi_cmd *cmd, const struct header *h)
{
	uint64_t lists = (uint64_t)h->targets + h->segments;

	if (lists > COPY_LIST_MAX || h->len + lists + h->inline_data > cmd->alloc_len ||
	    h->targets % COPY_TARGET_LEN)
		return SENSE_PARAMETER_LIST_LENGTH;
	if (h->inline_data)
		return SENSE_INLINE_DATA;
	if (h->targets / COPY_TARGET_LEN > COPY_TARGETS_MAX)
		return SENSE_TOO_MANY_TARGETS;
	if (h->segments > COPY_SEGMENTS_MAX * COPY_SEGMENT_LEN)
		return SENSE_TOO_MANY_SEGMENTS;
	return SENSE_NONE;
}

/* False: answered. */
static bool header_parse(struct scsi_cmd *cmd, bool is_lid4, struct header *h)
{
	uint32_t len = is_lid4 ? LID4_HEADER_LEN : LID1_HEADER_LEN;
	int wrong = -1;
	sense_t s = SENSE_PARAMETER_LIST_LENGTH;

	if (cmd->alloc_len >= len && cmd->data_out_got >= cmd->alloc_len) {
		*h = is_lid4 ? header_lid4(cmd->buf) : header_lid1(cmd->buf);
		wrong = is_lid4 ? lid4_wrong(cmd->buf) : -1;
		s = check_header(cmd, h);
	}
	if (wrong >= 0)
		cmd_bad_param(cmd, wrong, -1);
	else if (s != SENSE_NONE)
		cmd_sense(cmd, s);
	return wrong < 0 && s == SENSE_NONE;
}

/* False: answered. */
static bool list_parse(struct scsi_cmd *cmd, bool is_lid4, struct list *l)
{
	int n;

	if (!header_parse(cmd, is_lid4, &l->header))
		return false;
	l->target = cmd->buf + l->header.len;
	l->ntargets = l->header.targets / COPY_TARGET_LEN;
	l->segment = l->target + l->header.targets;
	if (!check_targets(cmd, l))
		return false;
	n = count_segments(cmd, l->segment, l->header.segments);
	l->nsegments = n < 0 ? 0 : n;
	return n >= 0;
}

/* ---- the commands ---------------------------------------------------------------------------- */

/* LIST ID USAGE (SPC-4). False: answered. */
static bool result_begin(struct scsi_cmd *cmd, const struct header *h, struct copy_result **r)
{
	*r = NULL;
	switch (h->usage) {
	case USAGE_RESERVED:
		cmd_bad_param(cmd, 1, 4);
		return false;
	case USAGE_NONE:
		if (h->list_id)
			cmd_bad_param(cmd, h->id_at, -1);
		return !h->list_id;
	case USAGE_HOLD:
	case USAGE_DISCARD:
		break;
	}
	return copy_results_begun(cmd, h->list_id, r);
}

/* What another node forwards is done in the foreground: its I_T nexus is here only as long as the
 * command. */
static void go_on(struct copy *c)
{
	struct scsi_cmd *cmd = c->cmd;

	if (c->list.header.immed && !cmd->remote) {
		copy_move_background(&c->background, cmd, background_done);
		c->cmd = &c->background;
		if (c->result)
			c->result->background = true;
		cmd_good(cmd, 0);
	}
	c->move.cmd = c->cmd;
	next_segment(c);
}

static void start(struct scsi_cmd *cmd, const struct list *l)
{
	struct copy *c = reactor_buf_get(cmd->reactor, sizeof(*c));
	struct copy_result *result;

	if (!c) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	if (!result_begin(cmd, &l->header, &result)) {
		reactor_buf_put(cmd->reactor, c, sizeof(*c));
		return;
	}
	*c = (struct copy){ .cmd = cmd, .list = *l, .result = result, .nsegment = UINT32_MAX };
	c->move.ended = segment_ended;
	c->move.result = result;
	go_on(c);
}

static void run(struct scsi_cmd *cmd, bool is_lid4)
{
	struct list l = { 0 };

	if (!cmd->alloc_len) /* no parameter list is not an error */
		cmd_good(cmd, 0);
	else if (list_parse(cmd, is_lid4, &l))
		start(cmd, &l);
}

void extended_copy_lid1(struct scsi_cmd *cmd)
{
	run(cmd, false);
}

void extended_copy_lid4(struct scsi_cmd *cmd)
{
	run(cmd, true);
}
