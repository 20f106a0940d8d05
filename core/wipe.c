/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/wipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/log.h"
#include "core/lu.h"

#define WRITE_BYTES (1u << 20)
#define ERASE_BYTES (64u << 20)
#define GATE_POLL_NS 100000000ull /* while the medium is not here to be worked on */

enum wipe_state { WIPE_RUNNING, WIPE_FAILED };

struct wipe {
	struct wipe_order order; /* pattern: used at the start only */
	struct lu *lu;
	struct reactor *reactor;
	int state;	      /* enum wipe_state; atomic */
	uint16_t progress;    /* of 65536; atomic */
	struct msg msg;	      /* between reactor and control thread: one at a time */
	/* reactor */
	struct cds_list_head waiting; /* scsi_cmd.state_link: the command, until its end */
	/* stands for the I/O under way in the list of what a drain waits for */
	struct scsi_cmd part;
	struct reactor_timer timer;
	uint8_t *buf;
	uint32_t chunk;
	uint64_t total, at; /* bytes */
	uint8_t pass;
	bool flushed;
	/* control thread */
	struct wipe *before;	  /* a failed one, replaced */
	struct scsi_cmd *leaving; /* EXIT FAILURE MODE */
	struct lu_barrier barrier;
	struct lu_barrier_part parts[]; /* [core->nreactors] */
};

/* ---- what other commands hear ---------------------------------------------------------------- */

static sense_t running_sense(enum wipe_kind k)
{
	switch (k) {
	case WIPE_SANITIZE:
		return SENSE(KEY_NOT_READY, 0x04, 0x1b);
	case WIPE_FORMAT:
		return SENSE(KEY_NOT_READY, 0x04, 0x04);
	}
	return SENSE_LU_BECOMING_READY;
}

static sense_t failed_sense(enum wipe_kind k)
{
	switch (k) {
	case WIPE_SANITIZE:
		return SENSE(KEY_MEDIUM_ERROR, 0x31, 0x03);
	case WIPE_FORMAT:
		return SENSE(KEY_MEDIUM_ERROR, 0x31, 0x01);
	}
	return SENSE_WRITE_ERROR;
}

static bool has_failed(const struct wipe *w)
{
	return __atomic_load_n(&w->state, __ATOMIC_ACQUIRE) == WIPE_FAILED;
}

static sense_t sense_of(const struct wipe *w, struct sense_detail *d)
{
	*d = (struct sense_detail){ .field = -1, .bit = -1 };
	if (has_failed(w))
		return failed_sense(w->order.kind);
	d->has_progress = true;
	d->progress = __atomic_load_n(&w->progress, __ATOMIC_RELAXED);
	return running_sense(w->order.kind);
}

sense_t wipe_sense(const struct lu *lu, struct sense_detail *d)
{
	const struct wipe *w = lu_read(lu, wipe);

	return w ? sense_of(w, d) : SENSE_NONE;
}

bool wipe_refuses(struct scsi_cmd *cmd)
{
	const struct wipe *w = lu_read(cmd->lu, wipe);
	struct sense_detail d;
	sense_t s;

	if (!w || (cmd->row->flags & ROW_IN_WIPE) || (has_failed(w) && (cmd->row->flags & ROW_WIPES)))
		return false;
	s = sense_of(w, &d);
	cmd_sense_detail(cmd, s, &d);
	return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void barrier_done(struct lu_barrier *b);

/* What repeats: whole blocks, each beginning with the pattern. */
static void fill(struct wipe *w, uint32_t block_size)
{
	for (uint32_t at = 0; at < w->chunk; at++)
		w->buf[at] = w->order.pattern[at % block_size % w->order.pattern_len];
	w->order.pattern = NULL;
}

static struct wipe *wipe_new(struct scsi_cmd *cmd, const struct wipe_order *order)
{
	struct lu *lu = cmd->lu;
	struct wipe *w = calloc(1, sizeof(*w) + lu->core->nreactors * sizeof(w->parts[0]));

	if (!w)
		return NULL;
	w->order = *order;
	w->lu = lu;
	w->reactor = cmd->reactor;
	w->total = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED) * lu->block_size;
	w->chunk = order->op == DISK_WRITE ? WRITE_BYTES : ERASE_BYTES;
	w->part = (struct scsi_cmd){ .lu = lu, .reactor = cmd->reactor, .row = cmd->row };
	w->barrier = (struct lu_barrier){ .lu = lu, .part = w->parts, .done = barrier_done };
	CDS_INIT_LIST_HEAD(&w->waiting);
	if (order->op == DISK_WRITE) {
		w->buf = aligned_alloc(4096, w->chunk);
		if (!w->buf) {
			free(w);
			return NULL;
		}
		fill(w, lu->block_size);
	}
	return w;
}

void wipe_free(struct wipe *w)
{
	if (!w)
		return;
	free(w->buf);
	free(w);
}

int wipe_restore(struct lu *lu, const struct wipe_record *r)
{
	struct wipe *w = calloc(1, sizeof(*w) + lu->core->nreactors * sizeof(w->parts[0]));

	if (!w)
		return -ENOMEM;
	w->lu = lu;
	w->order = (struct wipe_order){ .kind = r->kind, .may_exit = r->may_exit };
	w->state = WIPE_FAILED;
	w->barrier = (struct lu_barrier){ .lu = lu, .part = w->parts, .done = barrier_done };
	CDS_INIT_LIST_HEAD(&w->waiting);
	lu->wipe = w;
	log_warning("LUN %s: %s was cut short; the LUN refuses commands until it is repeated with success", lu->name,
		    r->kind == WIPE_SANITIZE ? "SANITIZE" : "FORMAT UNIT");
	return 0;
}

/* Reactor: the waiting command, if it has not been aborted meanwhile, ends. */
static void answer(struct wipe *w, sense_t s)
{
	while (!cds_list_empty(&w->waiting)) {
		struct scsi_cmd *cmd = cds_list_first_entry(&w->waiting, struct scsi_cmd, state_link);

		cds_list_del(&cmd->state_link);
		cmd->state = CMD_RECEIVED;
		if (s == SENSE_NONE)
			cmd_good(cmd, 0);
		else
			cmd_sense(cmd, s);
	}
}

static void to_reactor(struct wipe *w, void (*fn)(struct msg *m))
{
	w->msg.fn = fn;
	reactor_post(w->reactor, &w->msg);
}

static void to_control(struct wipe *w, void (*fn)(struct msg *m))
{
	w->msg.fn = fn;
	core_post_control(w->lu->core, &w->msg);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void gone(struct msg *m)
{
	struct wipe *w = caa_container_of(m, struct wipe, msg);

	answer(w, SENSE_NONE);
	wipe_free(w);
}

/* Control thread. */
static int keep(const struct wipe *w, bool under_way)
{
	const struct core *core = w->lu->core;
	struct wipe_record r = { .kind = w->order.kind, .may_exit = w->order.may_exit };

	return core->wipe_keep.fn ? core->wipe_keep.fn(core->wipe_keep.arg, w->lu, under_way ? &r : NULL) : 0;
}

static void unpublish(struct msg *m)
{
	struct wipe *w = caa_container_of(m, struct wipe, msg);

	keep(w, false); /* where that fails the log says what follows; the medium is as it was asked for */
	(void)lu_publish(w->lu, wipe, NULL);
	lu_barrier_start(&w->barrier); /* nobody looks at it any more when this is done */
}

static void wipe_succeeded(struct wipe *w)
{
	log_notice("LUN %s: %s has ended well", w->lu->name, w->part.row->name);
	to_control(w, unpublish);
}

static void wipe_failed(struct wipe *w, int err)
{
	log_error("LUN %s: %s failed at byte %llu: %s; the LUN refuses commands until the command is repeated with success; check %s",
		  w->lu->name, w->part.row->name, (unsigned long long)w->at, strerror(-err),
		  w->lu->disk_params.path ? w->lu->disk_params.path : "its backing device");
	__atomic_store_n(&w->state, WIPE_FAILED, __ATOMIC_RELEASE);
	answer(w, failed_sense(w->order.kind));
}

/* ---- chunk by chunk -------------------------------------------------------------------------- */

static void step(struct wipe *w);

static void step_msg(struct msg *m)
{
	step(caa_container_of(m, struct wipe, msg));
}

static void step_timer(struct reactor_timer *t)
{
	step(caa_container_of(t, struct wipe, timer));
}

static void tell_progress(struct wipe *w)
{
	unsigned __int128 done = (unsigned __int128)w->total * w->pass + w->at;
	uint64_t p = done * 65536 / ((unsigned __int128)w->total * w->order.passes);

	__atomic_store_n(&w->progress, p > 65535 ? 65535 : p, __ATOMIC_RELAXED);
}

static void part_done(struct disk_io *io)
{
	struct scsi_cmd *part = caa_container_of(io, struct scsi_cmd, io);
	struct wipe *w = caa_container_of(part, struct wipe, part);

	part->status = io->result < 0 ? STATUS_CHECK_CONDITION : STATUS_GOOD;
	lu_task_ended(part);
	if (io->result < 0) {
		wipe_failed(w, io->result);
		return;
	}
	if (io->kind == DISK_FLUSH)
		w->flushed = true;
	else
		w->at += io->length;
	tell_progress(w);
	to_reactor(w, step_msg); /* others first */
}

static void part_submit(struct wipe *w, struct disk *disk, enum disk_op op)
{
	struct scsi_cmd *part = &w->part;
	uint64_t left = w->total - w->at;

	CDS_INIT_LIST_HEAD(&part->task_link);
	part->disk = disk;
	part->io.reactor = w->reactor;
	part->io.kind = op;
	part->io.fua = false;
	part->io.offset = op == DISK_FLUSH ? 0 : w->at;
	part->io.length = op == DISK_FLUSH ? 0 : left < w->chunk ? left : w->chunk;
	part->io.buf = w->buf;
	part->io.result = 0;
	part->io.done = part_done;
	lu_admit(part);
	disk_submit(disk, &part->io);
}

static void next_pass(struct wipe *w)
{
	w->pass++;
	w->at = 0;
	for (uint32_t i = 0; w->order.invert && w->buf && i < w->chunk; i++)
		w->buf[i] = ~w->buf[i];
}

static void step(struct wipe *w)
{
	struct disk *disk = lu_read(w->lu, disk);

	if (w->at == w->total && w->pass + 1 < w->order.passes)
		next_pass(w);
	if (w->at == w->total && w->flushed) {
		wipe_succeeded(w);
	} else if (!disk || lu_read(w->lu, gate)->medium != GATE_ADMIT) { /* goes on when the medium is back */
		w->timer.fn = step_timer;
		reactor_timer_arm(w->reactor, &w->timer, GATE_POLL_NS);
	} else {
		part_submit(w, disk, w->at == w->total ? DISK_FLUSH : w->order.op);
	}
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void begin(struct msg *m)
{
	struct wipe *w = caa_container_of(m, struct wipe, msg);

	log_notice("LUN %s: %s has begun; other commands are refused until its end", w->lu->name, w->part.row->name);
	if (w->order.immed)
		answer(w, SENSE_NONE);
	step(w);
}

/* Another one was faster. */
static void too_late(struct msg *m)
{
	struct wipe *w = caa_container_of(m, struct wipe, msg);

	answer(w, running_sense(w->order.kind));
	wipe_free(w);
}

/* What can't be remembered must not be begun: after a restart half of it would pass for whole. */
static void not_kept(struct msg *m)
{
	struct wipe *w = caa_container_of(m, struct wipe, msg);

	answer(w, SENSE_INTERNAL_FAILURE);
	wipe_free(w);
}

/* After publication: every reactor refuses other commands and those admitted have ended. After
 * the end: nobody sees w. */
static void barrier_done(struct lu_barrier *b)
{
	struct wipe *w = caa_container_of(b, struct wipe, barrier);
	bool is_begin = b->drain;

	if (w->leaving) {
		cmd_good(w->leaving, 0);
		wipe_free(w);
		return;
	}
	b->drain = false;
	wipe_free(w->before);
	w->before = NULL;
	to_reactor(w, is_begin ? begin : gone);
}

static void requested(struct msg *m)
{
	struct wipe *w = caa_container_of(m, struct wipe, msg);

	if (w->lu->wipe && !has_failed(w->lu->wipe)) {
		to_reactor(w, too_late);
		return;
	}
	if (keep(w, true) < 0) {
		to_reactor(w, not_kept);
		return;
	}
	w->before = lu_publish(w->lu, wipe, w);
	w->barrier.drain = true;
	lu_barrier_start(&w->barrier);
}

void wipe_start(struct scsi_cmd *cmd, const struct wipe_order *order)
{
	struct wipe *w = wipe_new(cmd, order);

	if (!w) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	lu_park(cmd, &w->waiting);
	to_control(w, requested);
}

/* ---- EXIT FAILURE MODE ----------------------------------------------------------------------- */

void wipe_exit_failure(struct scsi_cmd *cmd)
{
	struct wipe *w = cmd->lu->wipe;

	if (!w) {
		cmd_good(cmd, 0); /* nothing to leave */
	} else if (!has_failed(w)) {
		cmd_sense(cmd, running_sense(w->order.kind));
	} else if (!w->order.may_exit) {
		cmd_bad_field(cmd, 1, 4);
	} else {
		keep(w, false);
		w->leaving = cmd;
		(void)lu_publish(w->lu, wipe, NULL);
		lu_barrier_start(&w->barrier);
	}
}
