/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POPULATE TOKEN (SBC-4) and WRITE USING TOKEN: "offloaded data transfer".
 *
 *   POPULATE TOKEN ─▶ rod_create ─▶ copy_results ◀─ RECEIVE ROD TOKEN INFORMATION
 *   WRITE USING TOKEN ─▶ rod_get ─▶ extent by extent: core/copy_move.h ─▶ rod_put
 *
 * The token is no way around access lists and reservations: who uses it needs an I_T_L nexus with
 * the logical unit that it was made of, and reads there as itself.
 */
#include <stdlib.h>
#include <string.h>

#include "core/cdb.h"
#include "core/copy_move.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/reactor.h"
#include "core/rod.h"
#include "core/wire.h"

#define SENSE_TOO_MANY_RANGES SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x08)
#define SENSE_TARGET_FAILURE SENSE(KEY_COPY_ABORTED, 0x0d, 0x01)
#define SENSE_TOKEN_NOT_REPORTABLE SENSE_TOKEN(0x00)

#define IMMED 0x01
#define DEL_TKN 0x02 /* WRITE USING TOKEN */
#define RTV 0x02     /* POPULATE TOKEN */
#define RANGE_LEN 16

/* Places in the parameter lists (SBC-4 tables 72, 159). */
enum { POPULATE_TIMEOUT = 4, POPULATE_TYPE = 8, POPULATE_RANGES_LEN = 14, POPULATE_HEADER = 16 };
enum { WRITE_OFFSET = 8, WRITE_TOKEN = 16, WRITE_RANGES_LEN = 534, WRITE_HEADER = 536 };

struct extents {
	uint32_t n;
	uint64_t blocks; /* in all */
	struct range range[ROD_RANGES_MAX];
};

/* ---- block device range descriptors ------------------------------------------------- */

static bool overlaps(const struct extents *e, const struct range *r)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (e->range[i].from < r->to && r->from < e->range[i].to)
			return true;
	return false;
}

/* False: answered. */
static bool extent_add(struct scsi_cmd *cmd, struct extents *e, const uint8_t *d)
{
	uint64_t lba = get_be64(d), blocks = get_be32(d + 8),
		 capacity = __atomic_load_n(&cmd->lu->blocks, __ATOMIC_RELAXED);
	struct range r = { lba, lba + blocks };

	if (lba > capacity || blocks > capacity - lba) {
		cmd_sense(cmd, SENSE_LBA_OUT_OF_RANGE);
		return false;
	}
	if (overlaps(e, &r)) {
		cmd_bad_param(cmd, d - cmd->buf, -1);
		return false;
	}
	if (blocks)
		e->range[e->n++] = r;
	e->blocks += blocks;
	return true;
}

/* The list behind its length at len_at. What is not whole, in itself or for the end of the
 * parameter list, is ignored. False: answered. */
static bool extents_parse(struct scsi_cmd *cmd, uint32_t len_at, struct extents *e)
{
	const uint8_t *d = cmd->buf + len_at + 2;
	uint32_t len = get_be16(cmd->buf + len_at), there = cmd->alloc_len - len_at - 2;
	uint32_t n = (len < there ? len : there) / RANGE_LEN;

	e->n = 0;
	e->blocks = 0;
	if (!n) {
		cmd_bad_param(cmd, len_at, -1);
		return false;
	}
	if (n > ROD_RANGES_MAX) {
		cmd_sense(cmd, SENSE_TOO_MANY_RANGES);
		return false;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!extent_add(cmd, e, d + i * RANGE_LEN))
			return false;
	if (e->blocks * cmd->lu->block_size > ROD_BYTES_MAX) {
		cmd_bad_param(cmd, len_at, -1);
		return false;
	}
	return true;
}

/* For both: whether there is a list to look at. False: answered. */
static bool list_there(struct scsi_cmd *cmd, uint32_t header, uint32_t data_len_min)
{
	if (cmd->lu->removable || cmd->lu->cdrom) /* another medium may be there at any time */
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	else if (!cmd->alloc_len) /* not an error */
		cmd_good(cmd, 0);
	else if (cmd->alloc_len < header || cmd->data_out_got < cmd->alloc_len)
		cmd_sense(cmd, SENSE_PARAMETER_LIST_LENGTH);
	else if (get_be16(cmd->buf) < data_len_min)
		cmd_bad_param(cmd, 0, -1);
	else
		return true;
	return false;
}

/* ---- POPULATE TOKEN -------------------------------------------------------------------------- */

struct populate {
	struct rod_query query;
	struct scsi_cmd *cmd;
	struct copy_result *result;
	struct extents extents;
};

static void populate_free(struct populate *p)
{
	reactor_buf_put(p->cmd->reactor, p, sizeof(*p));
}

static void populate_end(struct populate *p)
{
	struct scsi_cmd *cmd = p->cmd;

	copy_results_end(p->result, cmd);
	populate_free(p);
	cmd_complete(cmd);
}

static void populate_released(struct rod_query *q)
{
	populate_end(caa_container_of(q, struct populate, query));
}

static void set_sense(struct scsi_cmd *cmd, sense_t s)
{
	struct sense_detail d = { .field = -1, .bit = -1 };

	cmd->status = STATUS_CHECK_CONDITION;
	cmd->sense_len = sense_build(cmd->sense, s, lu_read(cmd->lu, mode)->dsense, &d);
}

static void populated(struct rod_query *q)
{
	struct populate *p = caa_container_of(q, struct populate, query);

	if (!q->rod) {
		set_sense(p->cmd, q->error);
		populate_end(p);
		return;
	}
	memcpy(p->result->token, q->rod->token, ROD_TOKEN_LEN);
	p->result->has_token = true;
	p->result->bytes = q->rod->bytes;
	q->done = populate_released;
	rod_put(q);
}

/* 0: not supported. */
static uint32_t type_for(const uint8_t *list)
{
	uint32_t type = get_be32(list + POPULATE_TYPE);

	if (!(list[2] & RTV) || type == ROD_TYPE_ANY)
		return ROD_TYPE_VULNERABLE;
	return type == ROD_TYPE_DEFAULT || type == ROD_TYPE_VULNERABLE ? type : 0;
}

/* The ROD is made; NULL: no memory. */
static struct rod *rod_new(const struct scsi_cmd *cmd, const struct extents *e)
{
	uint32_t timeout = get_be32(cmd->buf + POPULATE_TIMEOUT);
	struct rod *rod = calloc(1, sizeof(*rod));

	if (!rod)
		return NULL;
	rod->lu = cmd->lu;
	rod->epoch = lu_read(cmd->lu, gate)->epoch;
	rod->type = type_for(cmd->buf);
	rod->timeout_s = timeout ? timeout : ROD_TIMEOUT_DEFAULT_S;
	rod->bytes = e->blocks * cmd->lu->block_size;
	rod->nranges = e->n;
	memcpy(rod->range, e->range, e->n * sizeof(e->range[0]));
	return rod;
}

/* p->extents is good. Made in no time, so IMMED has nothing to leave to the background. */
static void populate(struct populate *p)
{
	struct scsi_cmd *cmd = p->cmd;
	struct rod *rod;

	if (!copy_results_begun(cmd, get_be32(cmd->cdb + 6), &p->result)) {
		populate_free(p);
		return;
	}
	p->result->block_size = cmd->lu->block_size;
	rod = rod_new(cmd, &p->extents);
	if (!rod) {
		cmd->status = STATUS_BUSY;
		populate_end(p);
		return;
	}
	p->query = (struct rod_query){
		.core = cmd->lu->core, .reactor = cmd->reactor, .rod = rod, .done = populated
	};
	rod_create(&p->query);
}

void rod_copy_populate(struct scsi_cmd *cmd)
{
	struct populate *p;

	if (!list_there(cmd, POPULATE_HEADER, 30))
		return;
	if (cmd->buf[2] & ~(RTV | IMMED)) {
		cmd_bad_param(cmd, 2, -1);
		return;
	}
	if (get_be32(cmd->buf + POPULATE_TIMEOUT) > ROD_TIMEOUT_MAX_S) {
		cmd_bad_param(cmd, POPULATE_TIMEOUT, -1);
		return;
	}
	if (!type_for(cmd->buf)) {
		cmd_bad_param(cmd, POPULATE_TYPE, -1);
		return;
	}
	p = reactor_buf_get(cmd->reactor, sizeof(*p));
	if (!p) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	*p = (struct populate){ .cmd = cmd };
	if (extents_parse(cmd, POPULATE_RANGES_LEN, &p->extents))
		populate(p);
	else
		populate_free(p);
}

/* ---- WRITE USING TOKEN ----------------------------------------------------------------------- */

struct write {
	struct copy_move move;
	struct rod_query query;
	struct scsi_cmd *cmd; /* what was sent, or &background */
	struct scsi_cmd background;
	struct msg msg;
	struct copy_result *result;
	struct rod *rod; /* NULL: zeroes */
	struct itl *from;
	struct extents to;
	uint64_t offset, left;	     /* bytes: into the ROD, still to be written */
	uint32_t nfrom, nto;	     /* the ranges that come next */
	uint64_t from_done, to_done; /* bytes of them that are done */
	bool immed, deletes;
	uint8_t token[ROD_TOKEN_LEN];
};

static void write_free(struct write *w)
{
	reactor_buf_put(w->cmd->reactor, w, sizeof(*w));
}

static void write_background_done(struct scsi_cmd *bg)
{
	struct write *w = caa_container_of(bg, struct write, background);

	cmd_fini(bg);
	write_free(w);
}

/* w->cmd has its status. */
static void write_finish(struct write *w)
{
	struct scsi_cmd *cmd = w->cmd;

	copy_results_end(w->result, cmd);
	if (cmd != &w->background)
		write_free(w);
	cmd_complete(cmd);
}

static void write_released(struct rod_query *q)
{
	write_finish(caa_container_of(q, struct write, query));
}

static void write_end(struct write *w)
{
	if (!w->rod) {
		write_finish(w);
		return;
	}
	w->query.rod = w->rod;
	w->query.deletes = w->deletes && w->cmd->status == STATUS_GOOD;
	w->query.done = write_released;
	rod_put(&w->query);
}

static void write_failed(struct write *w, sense_t s)
{
	set_sense(w->cmd, s);
	write_end(w);
}

static void next_extent(struct write *w);

static void next_extent_msg(struct msg *m)
{
	next_extent(caa_container_of(m, struct write, msg));
}

static void advance(const struct range *r, uint32_t block_size, uint64_t len, uint32_t *n,
		    uint64_t *done)
{
	*done += len;
	if (*done == (r[*n].to - r[*n].from) * block_size) {
		*done = 0;
		++*n;
	}
}

static void extent_written(struct write *w)
{
	uint32_t block_size = w->cmd->lu->block_size;

	w->left -= w->move.len;
	if (w->rod)
		advance(w->rod->range, block_size, w->move.len, &w->nfrom, &w->from_done);
	advance(w->to.range, block_size, w->move.len, &w->nto, &w->to_done);
	w->msg.fn = next_extent_msg;
	reactor_post(w->cmd->reactor, &w->msg);
}

/* As the part was told: it is the same logical unit, or what is to be sent again (P7). */
static void as_part(struct write *w)
{
	const struct scsi_cmd *part = &w->move.part;

	w->cmd->status = part->status;
	w->cmd->sense_len = part->sense_len;
	memcpy(w->cmd->sense, part->sense, part->sense_len);
	write_end(w);
}

static void extent_ended(struct copy_move *m, enum copy_move_end end)
{
	struct write *w = caa_container_of(m, struct write, move);

	switch (end) {
	case MOVE_DONE:
		extent_written(w);
		return;
	case MOVE_STOPPED:
		write_end(w);
		return;
	case MOVE_INVALID:
		write_failed(w, SENSE_TOKEN_CANCELLED);
		return;
	case MOVE_CLOSED:
		write_failed(w, m->closed);
		return;
	case MOVE_READ_FAILED:
		if (copy_move_is_for_now(m))
			as_part(w);
		else
			write_failed(w, SENSE_TARGET_FAILURE);
		return;
	case MOVE_WRITE_FAILED:
		as_part(w);
		return;
	}
}

static uint64_t rest(const struct range *r, uint32_t block_size, uint64_t done)
{
	return (r->to - r->from) * block_size - done;
}

static bool still_valid(struct copy_move *m)
{
	const struct write *w = caa_container_of(m, struct write, move);

	return !w->rod || rod_is_valid(w->rod);
}

static void next_extent(struct write *w)
{
	uint32_t block_size = w->cmd->lu->block_size;
	const struct range *to = &w->to.range[w->nto], *from;
	struct copy_move *m = &w->move;

	if (!w->left) {
		w->cmd->status = STATUS_GOOD;
		write_end(w);
		return;
	}
	m->to_at = to->from * block_size + w->to_done;
	m->len = rest(to, block_size, w->to_done);
	if (w->rod) {
		from = &w->rod->range[w->nfrom];
		m->from_at = from->from * block_size + w->from_done;
		if (m->len > rest(from, block_size, w->from_done))
			m->len = rest(from, block_size, w->from_done);
	}
	if (m->len > w->left)
		m->len = w->left;
	copy_move_start(m);
}

/* ---- the token is good: what is to be done ------------------------------------------------- */

static void seek(struct write *w)
{
	uint32_t block_size = w->cmd->lu->block_size;
	uint64_t left = w->offset;

	while (left) {
		uint64_t here = rest(&w->rod->range[w->nfrom], block_size, 0),
			 n = left < here ? left : here;

		advance(w->rod->range, block_size, n, &w->nfrom, &w->from_done);
		left -= n;
	}
}

static void write_go(struct write *w)
{
	struct scsi_cmd *cmd = w->cmd;

	/* what another node forwards is done in the foreground: its I_T nexus is here only as long
	 * as the command */
	if (w->immed && !cmd->remote) {
		copy_move_background(&w->background, cmd, write_background_done);
		w->cmd = &w->background;
		w->result->background = true;
		cmd_good(cmd, 0);
	}
	w->move = (struct copy_move){ .cmd = w->cmd,
				       .from = w->from,
				       .to = w->cmd->itl,
				       .valid = still_valid,
				       .ended = extent_ended,
				       .result = w->result };
	next_extent(w);
}

static struct itl *itl_of(struct nexus *n, const struct lu *lu)
{
	for (uint32_t i = 0; i < n->nitl; i++)
		if (n->itl[i].lu == lu)
			return &n->itl[i];
	return NULL;
}

static void offset_beyond(struct write *w)
{
	struct sense_detail d = { .field = WRITE_OFFSET, .bit = -1 };

	w->cmd->status = STATUS_CHECK_CONDITION;
	w->cmd->sense_len = sense_build(w->cmd->sense, SENSE_INVALID_FIELD_IN_PARAM,
					lu_read(w->cmd->lu, mode)->dsense, &d);
	write_end(w);
}

static void token_found(struct rod_query *q)
{
	struct write *w = caa_container_of(q, struct write, query);

	w->rod = q->rod;
	w->from = w->rod ? itl_of(w->cmd->nexus, w->rod->lu) : NULL;
	if (!w->rod) {
		write_failed(w, q->error);
	} else if (!w->from) {
		write_failed(w, SENSE_TOKEN_UNKNOWN);
	} else if (w->rod->lu->block_size !=
		   w->cmd->lu->block_size) { /* ranges need not be whole blocks here */
		write_failed(w, SENSE_TOKEN_NOT_REPORTABLE);
	} else if (w->offset >= w->rod->bytes) {
		offset_beyond(w);
	} else {
		if (w->left > w->rod->bytes - w->offset) {
			w->left = w->rod->bytes - w->offset;
			w->result->state_when_good = COPY_DONE_IN_PART;
		}
		seek(w);
		write_go(w);
	}
}

static void write_start(struct write *w)
{
	struct scsi_cmd *cmd = w->cmd;

	if (!copy_results_begun(cmd, get_be32(cmd->cdb + 6), &w->result)) {
		write_free(w);
		return;
	}
	w->result->block_size = cmd->lu->block_size;
	w->left = w->to.blocks * cmd->lu->block_size;
	if (get_be32(w->token) == ROD_TYPE_ZERO) {
		write_go(w);
		return;
	}
	w->query = (struct rod_query){ .core = cmd->lu->core,
					.reactor = cmd->reactor,
					.token = w->token,
					.done = token_found };
	rod_get(&w->query);
}

/* SENSE_NONE: worth a look-up. */
static sense_t check_token(const uint8_t *token)
{
	switch (get_be32(token)) {
	case ROD_TYPE_DEFAULT:
	case ROD_TYPE_VULNERABLE:
	case ROD_TYPE_ZERO:
		return get_be16(token + 6) == ROD_TOKEN_LENGTH ? SENSE_NONE : SENSE_TOKEN_LENGTH;
	}
	return SENSE_TOKEN_TYPE;
}

/* OFFSET INTO ROD in bytes; more than any ROD has where that is too long a number. */
static uint64_t offset_of(const struct scsi_cmd *cmd)
{
	uint64_t blocks = get_be64(cmd->buf + WRITE_OFFSET);

	return blocks > ROD_BYTES_MAX ? UINT64_MAX : blocks * cmd->lu->block_size;
}

void rod_copy_write(struct scsi_cmd *cmd)
{
	struct write *w;
	sense_t s;

	if (!list_there(cmd, WRITE_HEADER, 550))
		return;
	if (get_be16(cmd->buf) != get_be16(cmd->buf + WRITE_RANGES_LEN) + 534) {
		cmd_bad_param(cmd, 0, -1);
		return;
	}
	if (cmd->buf[2] & ~(DEL_TKN | IMMED)) {
		cmd_bad_param(cmd, 2, -1);
		return;
	}
	s = check_token(cmd->buf + WRITE_TOKEN);
	if (s != SENSE_NONE) {
		cmd_sense(cmd, s);
		return;
	}
	w = reactor_buf_get(cmd->reactor, sizeof(*w));
	if (!w) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	*w = (struct write){ .cmd = cmd,
			      .immed = cmd->buf[2] & IMMED,
			      .deletes = cmd->buf[2] & DEL_TKN,
			      .offset = offset_of(cmd) };
	memcpy(w->token, cmd->buf + WRITE_TOKEN, ROD_TOKEN_LEN);
	if (extents_parse(cmd, WRITE_RANGES_LEN, &w->to))
		write_start(w);
	else
		write_free(w);
}
