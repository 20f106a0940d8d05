/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/wipe_run.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/lu.h"
#include "core/provisioning.h"
#include "core/range_lock.h"

#define WRITE_BYTES (1u << 20)
#define ERASE_BYTES (64u << 20)
#define GATE_POLL_NS 100000000ull /* while the medium is not here to be worked on */
#define TELL_NS 1000000000ull

struct wipe_run {
	struct wipe_run_params p;
	struct wipe_order order;
	struct reactor *reactor;
	struct msg msg; /* of the steps, and of the end */
	struct reactor_timer timer;
	struct pi_order pi; /* of a protected unit: nothing is known of what is overwritten */
	struct scsi_cmd part; /* the I/O under way, in the list of what a drain waits for */
	uint8_t *buf;
	uint32_t chunk;
	uint64_t total, at; /* bytes */
	uint8_t pass;
	bool stop;	     /* atomic */
	bool begun, flushed; /* since the last chunk */
	uint64_t told;	     /* ns, when */
	int result;
	struct { /* to the control thread, one at a time */
		struct msg msg;
		bool busy; /* atomic */
		uint8_t pass;
		uint64_t at;
	} note;
};

/* ---- life ------------------------------------------------------------------------------------ */

static void step_msg(struct msg *m);

static void invert(struct wipe_run *w)
{
	for (uint32_t i = 0; w->order.invert && w->buf && i < w->chunk; i++)
		w->buf[i] = ~w->buf[i];
}

/* What repeats: whole blocks, each beginning with the pattern. */
static bool fill(struct wipe_run *w, uint32_t block_size)
{
	w->buf = aligned_alloc(4096, w->chunk);
	for (uint32_t at = 0; w->buf && at < w->chunk; at++)
		w->buf[at] = w->order.pattern[at % block_size % w->order.pattern_len];
	if (w->pass & 1)
		invert(w);
	return w->buf;
}

/* The row is for what looks at admitted commands; all of them name the whole medium. */
static const struct cdb_row *row_of(enum wipe_kind k)
{
	static const uint8_t sanitize[CDB_MAX] = { 0x48, 0x01 }, format[CDB_MAX] = { 0x04 };
	bool sa_unknown;

	return cdb_find(k == WIPE_SANITIZE ? sanitize : format, &sa_unknown);
}

struct wipe_run *wipe_run_start(const struct wipe_run_params *p)
{
	struct lu *lu = p->lu;
	struct wipe_run *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->p = *p;
	w->order = *p->order;
	w->reactor = &lu->core->reactor[lu->index % lu->core->nreactors];
	w->total = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED) * lu->block_size;
	w->chunk = p->order->op == WIPE_WRITE ? WRITE_BYTES : ERASE_BYTES;
	w->pass = p->pass;
	w->at = p->at < w->total ? p->at : w->total;
	w->pi = (struct pi_order){ .type = lu->pi_type, .source = PI_ERASED };
	w->part = (struct scsi_cmd){ .lu = lu,
				      .reactor = w->reactor,
				      .row = row_of(p->order->kind) };
	if (p->order->op == WIPE_WRITE && !fill(w, lu->block_size)) {
		free(w);
		return NULL;
	}
	w->msg.fn = step_msg;
	reactor_post(w->reactor, &w->msg);
	return w;
}

void wipe_run_stop(struct wipe_run *w)
{
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
}

void wipe_run_free(struct wipe_run *w)
{
	if (!w)
		return;
	free(w->buf);
	free(w);
}

/* ---- to the control thread ----------------------------------------------------------------- */

static void over(struct msg *m)
{
	struct wipe_run *w = caa_container_of(m, struct wipe_run, msg);
	struct wipe_run_params p = w->p;
	int result = w->result;

	wipe_run_free(w); /* the mailbox is in order: no note is under way any more */
	p.ended(p.arg, result);
}

static void end(struct wipe_run *w, int result)
{
	w->result = result;
	w->msg.fn = over;
	core_post_control(w->p.lu->core, &w->msg);
}

static void noted(struct msg *m)
{
	struct wipe_run *w = caa_container_of(m, struct wipe_run, note.msg);
	uint8_t pass = w->note.pass;
	uint64_t at = w->note.at;

	__atomic_store_n(&w->note.busy, false, __ATOMIC_RELEASE);
	w->p.reached(w->p.arg, pass, at);
}

static bool is_time_to_tell(const struct wipe_run *w)
{
	return w->reactor->now - w->told >= TELL_NS &&
	       !__atomic_load_n(&w->note.busy, __ATOMIC_ACQUIRE);
}

static void tell(struct wipe_run *w)
{
	w->told = w->reactor->now;
	w->note.busy = true;
	w->note.pass = w->pass;
	w->note.at = w->at;
	w->note.msg.fn = noted;
	core_post_control(w->p.lu->core, &w->note.msg);
}

/* ---- chunk by chunk -------------------------------------------------------------------------- */

static void step(struct wipe_run *w);

static void step_msg(struct msg *m)
{
	step(caa_container_of(m, struct wipe_run, msg));
}

static void step_timer(struct reactor_timer *t)
{
	step(caa_container_of(t, struct wipe_run, timer));
}

static void others_first(struct wipe_run *w)
{
	w->msg.fn = step_msg;
	reactor_post(w->reactor, &w->msg);
}

static void show_progress(struct wipe_run *w)
{
	struct wipe *shown = lu_read(w->p.lu, wipe);
	unsigned __int128 done = (unsigned __int128)w->total * w->pass + w->at;
	uint64_t p = w->total ? done * 65536 / ((unsigned __int128)w->total * w->order.passes) : 0;

	if (shown)
		__atomic_store_n(&shown->progress, p > 65535 ? 65535 : p, __ATOMIC_RELAXED);
}

static void part_admit(struct wipe_run *w, struct disk *disk)
{
	CDS_INIT_LIST_HEAD(&w->part.task_link);
	w->part.disk = disk;
	lu_admit(&w->part);
}

static void part_ended(struct wipe_run *w, int result)
{
	w->part.status = result < 0 ? STATUS_CHECK_CONDITION : STATUS_GOOD;
	lu_task_ended(&w->part);
}

static void part_done(struct disk_io *io)
{
	struct wipe_run *w = caa_container_of(caa_container_of(io, struct scsi_cmd, io),
					      struct wipe_run, part);

	part_ended(w, io->result);
	if (io->result < 0) {
		end(w, io->result);
		return;
	}
	w->flushed = io->kind == DISK_FLUSH;
	if (!w->flushed)
		w->at += io->length;
	else if (is_time_to_tell(w))
		tell(w);
	show_progress(w);
	others_first(w);
}

static enum disk_op op_of(const struct wipe_run *w, const struct disk *disk)
{
	switch (w->order.op) {
	case WIPE_WRITE:
		return DISK_WRITE;
	case WIPE_UNMAP:
		return provisioning_unmap_op(disk);
	case WIPE_ZERO:
	case WIPE_CRYPTO:
		break;
	}
	return DISK_WRITE_ZEROES;
}

static void part_submit(struct wipe_run *w, struct disk *disk, enum disk_op op)
{
	struct disk_io *io = &w->part.io;
	uint64_t left = w->total - w->at;

	*io = (struct disk_io){
		.reactor = w->reactor, .kind = op, .pi = &w->pi, .done = part_done
	};
	if (op != DISK_FLUSH) {
		io->offset = w->at;
		io->length = left < w->chunk ? left : w->chunk;
		io->buf = w->buf;
	}
	part_admit(w, disk);
	disk_submit(disk, io);
}

static void next_pass(struct wipe_run *w)
{
	w->pass++;
	w->at = 0;
	invert(w);
}

/* ---- the key instead of the blocks ----------------------------------------------------------- */

static void erased(struct msg *m)
{
	struct wipe_run *w = caa_container_of(m, struct wipe_run, msg);

	part_ended(w, w->result);
	end(w, w->result);
}

/* A thread that may block. */
static void erase(struct msg *m)
{
	struct wipe_run *w = caa_container_of(m, struct wipe_run, msg);
	struct disk *disk = w->part.disk;

	w->result = disk->ops->crypto_erase ? disk->ops->crypto_erase(disk) : -EOPNOTSUPP;
	w->msg.fn = erased;
	reactor_post(w->reactor, &w->msg);
}

static void crypto_erase(struct wipe_run *w, struct disk *disk)
{
	part_admit(w, disk);
	w->msg.fn = erase;
	core_run_blocking(w->p.lu->core, &w->msg);
}

/* ---- the step -------------------------------------------------------------------------------- */

/* Tokens of this logical unit (core/rod.h) end: the command may have entered elsewhere. */
static void begin(struct wipe_run *w)
{
	struct lu_shard *s = lu_shard_of(w->p.lu, w->reactor);

	w->begun = true;
	w->told = w->reactor->now;
	if (!cds_list_empty(&s->locks)) /* drained: watches only */
		(void)range_lock_wait(s, &w->part);
}

static void work(struct wipe_run *w, struct disk *disk)
{
	if (!w->begun)
		begin(w);
	if (w->order.op == WIPE_CRYPTO) {
		crypto_erase(w, disk);
		return;
	}
	if (w->at == w->total && w->pass + 1 < w->order.passes)
		next_pass(w);
	if (w->at == w->total && w->flushed)
		end(w, 0);
	else if (w->at == w->total || (!w->flushed && is_time_to_tell(w)))
		part_submit(w, disk, DISK_FLUSH);
	else
		part_submit(w, disk, op_of(w, disk));
}

static void step(struct wipe_run *w)
{
	const struct alua_gate *gate = lu_read(w->p.lu, gate);
	struct disk *disk = lu_read(w->p.lu, disk);

	if (gate->epoch > w->p.epoch || gate->lost || __atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		end(w, -ECANCELED);
	} else if (!disk || gate->epoch != w->p.epoch || gate->medium != GATE_ADMIT) { /* for now */
		w->timer.fn = step_timer;
		reactor_timer_arm(w->reactor, &w->timer, GATE_POLL_NS);
	} else {
		work(w, disk);
	}
}
