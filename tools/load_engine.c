/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_engine.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_block.h"

#define PICKS 16		/* random blocks tried before an I/O of the wanted kind is given up */
#define ABORTS_MAX 5		/* SCSI: a command that the target aborts is tried 5 times again */
#define ATTENTIONS_AT_ONCE 8	/* unit attentions answered at once, before it looks like a loop */
#define WAIT_NS 20000000	/* BUSY, TASK SET FULL */
#define TRANSITION_WAIT_NS 100000000
#define TICK_NS 20000000
#define FUA 0x08		/* SBC-3 5.11, 5.34 */

static void op_done(struct load_io *io, const struct load_answer *a);

int load_engine_init(struct load_engine *e, const struct load_opts *o, struct load_report *r,
		     struct load_path *path, unsigned paths, const struct load_lu *lu,
		     uint64_t run)
{
	*e = (struct load_engine){
		.o = o, .r = r, .path = path, .paths = paths, .lu = lu, .run = run,
		.random = o->seed, .idles = o->qd,
	};
	CDS_INIT_LIST_HEAD(&e->idle);
	CDS_INIT_LIST_HEAD(&e->ready);
	CDS_INIT_LIST_HEAD(&e->waiting);
	e->op = calloc(o->qd, sizeof(*e->op));
	e->buffers = aligned_alloc(4096, ((size_t)o->qd * o->block + 4095) & ~(size_t)4095);
	if (!e->op || !e->buffers) {
		load_engine_fini(e);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < o->qd; i++) {
		struct load_op *op = &e->op[i];

		op->e = e;
		op->io.buf = (char *)e->buffers + (size_t)i * o->block;
		op->io.len = o->block;
		op->io.cdb_len = 16;
		op->io.done = op_done;
		cds_list_add_tail(&op->link, &e->idle);
	}
	return 0;
}

void load_engine_fini(struct load_engine *e)
{
	load_model_fini(&e->model);
	free(e->op);
	free(e->buffers);
	e->op = NULL;
	e->buffers = NULL;
}

/* Predicates and helpers */

static uint64_t random_next(struct load_engine *e)
{
	uint64_t x = e->random += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static bool chance(struct load_engine *e, unsigned percent)
{
	return random_next(e) % 100 < percent;
}

static uint64_t lba_of(const struct load_engine *e, uint64_t block)
{
	return (e->first + block) * (e->o->block / e->lu->block_size);
}

static const char *path_name(const struct load_op *op)
{
	return op->io.path ? op->io.path->name : "none";
}

static bool policy_allows(const struct load_engine *e, const struct load_path *p)
{
	return load_path_usable(p) && (e->o->policy != LOAD_POLICY_PORTAL ||
				       p->portal == &e->o->portal[e->o->policy_portal]);
}

/* alua: the best port state, in it the least in flight. The others: in turn. */
static struct load_path *pick_path(struct load_engine *e)
{
	bool alua = e->o->policy == LOAD_POLICY_ALUA;
	struct load_path *best = NULL;
	int best_rank = 0;

	e->turn++;
	for (unsigned i = 0; i < e->paths; i++) {
		struct load_path *p = &e->path[(e->turn + i) % e->paths];
		int rank = alua ? load_tpg_rank(p->state) : 1;

		if (!policy_allows(e, p))
			continue;
		if (rank > best_rank ||
		    (alua && rank == best_rank && p->inflight < best->inflight)) {
			best = p;
			best_rank = rank;
		}
	}
	return best;
}

static void ask_all(struct load_engine *e)
{
	for (unsigned i = 0; i < e->paths; i++)
		load_path_ask(&e->path[i]);
}

static void cause_str(const struct load_answer *a, char *out, size_t len)
{
	const struct load_sense *s = &a->sense;

	if (a->lost)
		snprintf(out, len, "path lost");
	else if (a->status == SCSI_STATUS_CHECK_CONDITION)
		snprintf(out, len, "%02X/%02X/%02X %s, %s", s->key, s->asc, s->ascq,
			 scsi_sense_key_str(s->key),
			 load_sense_str(s) ?: scsi_sense_ascq_str(s->asc << 8 | s->ascq) ?: "?");
	else if (a->status == SCSI_STATUS_BUSY)
		snprintf(out, len, "BUSY");
	else if (a->status == SCSI_STATUS_TASK_SET_FULL)
		snprintf(out, len, "TASK SET FULL");
	else if (a->status == SCSI_STATUS_RESERVATION_CONFLICT)
		snprintf(out, len, "RESERVATION CONFLICT");
	else if (a->status == SCSI_STATUS_TASK_ABORTED)
		snprintf(out, len, "TASK ABORTED");
	else
		snprintf(out, len, "status %02Xh", a->status);
}

/* The end of an I/O */

static void op_idle(struct load_op *op)
{
	cds_list_add(&op->link, &op->e->idle);
	op->e->idles++;
}

static void count_completed(struct load_op *op, uint64_t now)
{
	struct load_engine *e = op->e;
	struct load_report *r = e->r;
	uint64_t since, gap = load_gap_completed(&r->gap, now, &since);

	if (gap >= LOAD_GAP_LISTED_NS)
		load_report_gap(r, since, gap);
	if (e->phase == LOAD_VERIFY)
		r->verify_read++;
}

static void count_good(struct load_op *op, uint64_t now)
{
	struct load_engine *e = op->e;
	struct load_report *r = e->r;

	if (!e->running) {
		e->running = true;
		load_report_running(r, now);
	}
	if (e->phase == LOAD_VERIFY)
		return;
	load_hist_add(op->write ? &r->write_latency : &r->read_latency, now - op->begun);
	*(op->write ? &r->writes : &r->reads) += 1;
	r->bytes += op->io.len;
}

/* The I/O ended without success: nothing was written (`refused`), or who knows. */
static void op_settle(struct load_op *op, bool refused)
{
	struct load_engine *e = op->e;
	enum load_verdict v = LOAD_OK;

	if (op->write && refused && !op->ambiguous)
		v = load_model_refused(&e->model, op->block, op->generation);
	else if (op->write)
		load_model_unknown(&e->model, op->block, op->generation);
	else if (op->confirming)
		op->suspect.verdict = v = load_model_confirm(&e->model, op->block,
							     &op->suspect.promised, LOAD_BEHIND);
	if (v == LOAD_REFUSED_SEEN) {
		op->suspect = (struct load_finding){
			.verdict = v, .block = e->first + op->block, .lba = lba_of(e, op->block),
			.found_generation = op->generation, .seam = op->io.len,
			.wall_ms = load_wall_ms(load_now()),
		};
		snprintf(op->suspect.path, sizeof(op->suspect.path), "%s", path_name(op));
	}
	if (v != LOAD_OK)
		load_report_finding(e->r, &op->suspect);
	e->verify_errors += e->phase == LOAD_VERIFY;
	count_completed(op, load_now());
	op_idle(op);
}

static void tell_error(struct load_op *op, const char *event, const char *what)
{
	load_report_error(op->e->r, event, what, path_name(op), op->write,
			  lba_of(op->e, op->block));
}

static void op_error(struct load_op *op, const char *what, bool refused)
{
	load_tally_add(&op->e->r->errors, what);
	tell_error(op, "error", what);
	op_settle(op, refused);
}

static void op_conflict(struct load_op *op)
{
	static const char what[] = "RESERVATION CONFLICT";

	op->e->r->conflicts++;
	if (!op->e->o->expect_conflict) {
		op_error(op, what, true);
		return;
	}
	tell_error(op, "conflict", what);
	op_settle(op, true);
}

static enum load_seen look(const struct load_op *op, struct load_block *b)
{
	const struct load_engine *e = op->e;

	*b = (struct load_block){ 0 };
	switch (load_block_parse(op->io.buf, op->io.len, b)) {
	case LOAD_BLOCK_ZERO: return LOAD_SEEN_NOTHING;
	case LOAD_BLOCK_ALIEN: return LOAD_SEEN_ALIEN;
	case LOAD_BLOCK_BAD_SUM: return LOAD_SEEN_DAMAGED;
	case LOAD_BLOCK_VALID: break;
	}
	if (b->run != e->run)
		return LOAD_SEEN_NOTHING;
	if (b->lba != lba_of(e, op->block) || b->lun != e->o->lun || b->writer != e->o->writer)
		return LOAD_SEEN_MISPLACED;
	return LOAD_SEEN_OURS;
}

static void describe(const struct load_op *op, const struct load_block *b, enum load_verdict v,
		     struct load_finding *f)
{
	*f = (struct load_finding){
		.verdict = v,
		.wall_ms = load_wall_ms(load_now()),
		.block = op->e->first + op->block,
		.lba = lba_of(op->e, op->block),
		.promised = op->promised,
		.found_generation = b->generation,
		.found_lba = b->lba,
		.found_run = b->run,
		.found_writer = b->writer,
		.seam = (uint32_t)load_block_seam(op->io.buf, op->io.len),
	};
	snprintf(f->path, sizeof(f->path), "%s", path_name(op));
}

/* Judges a read. True when it is to be sent again, to confirm. */
static bool read_judge(struct load_op *op)
{
	struct load_engine *e = op->e;
	struct load_block b;
	enum load_seen seen = look(op, &b);
	enum load_verdict v = load_model_judge(&e->model, op->block, &op->promised, seen,
					       b.generation);

	if (op->confirming) {
		op->confirming = false;
		op->suspect.verdict = load_model_confirm(&e->model, op->block,
							 &op->suspect.promised, v);
		load_report_finding(e->r, &op->suspect);
		return false;
	}
	if (v == LOAD_OK)
		return false;
	describe(op, &b, v, &op->suspect);
	op->confirming = v == LOAD_BEHIND;
	if (op->confirming)
		load_model_hold(&e->model, op->block);
	else
		load_report_finding(e->r, &op->suspect);
	return op->confirming;
}

static void op_good(struct load_op *op)
{
	uint64_t now = load_now();

	if (op->write) {
		load_model_acked(&op->e->model, op->block, op->generation);
	} else if (read_judge(op)) {
		cds_list_add_tail(&op->link, &op->e->ready);
		return;
	}
	count_good(op, now);
	count_completed(op, now);
	op_idle(op);
}

/* Answers */

static void op_retry(struct load_op *op, const struct load_answer *a, uint64_t wait)
{
	struct load_engine *e = op->e;
	uint64_t now = load_now();
	char cause[LOAD_TALLY_NAME], text[LOAD_TALLY_NAME + 32];

	cause_str(a, cause, sizeof(cause));
	if (!op->retrying_since)
		op->retrying_since = now;
	if (now - op->retrying_since > e->o->no_path_ns) {
		snprintf(text, sizeof(text), "retried in vain: %s", cause);
		op_error(op, text, true);
		return;
	}
	load_tally_add(&e->r->retries, cause);
	op->due = now + wait;
	cds_list_add_tail(&op->link, wait ? &e->waiting : &e->ready);
}

static void op_failed(struct load_op *op, const struct load_answer *a, bool refused)
{
	char cause[LOAD_TALLY_NAME];

	cause_str(a, cause, sizeof(cause));
	op_error(op, cause, refused);
}

static void op_path_failed(struct load_op *op, const struct load_answer *a)
{
	char cause[LOAD_TALLY_NAME];

	cause_str(a, cause, sizeof(cause));
	load_path_fail(op->io.path, load_now(), cause);
	op_retry(op, a, 0);
}

static void op_done(struct load_io *io, const struct load_answer *a)
{
	struct load_op *op = (struct load_op *)io;

	if (a->lost) {
		op->ambiguous = op->write;
		op_retry(op, a, 0);
		return;
	}
	switch (load_act_for(a->status, &a->sense)) {
	case LOAD_ACT_DONE:
		if (a->length != io->len)
			op_error(op, "short transfer with status GOOD", false);
		else
			op_good(op);
		break;
	case LOAD_ACT_RTPG:
		ask_all(op->e);
		/* fall through */
	case LOAD_ACT_RETRY:
		op_retry(op, a, op->attentions++ < ATTENTIONS_AT_ONCE ? 0 : WAIT_NS);
		break;
	case LOAD_ACT_WAIT:
		op_retry(op, a, WAIT_NS);
		break;
	case LOAD_ACT_TRANSITION:
		load_path_transition(io->path);
		op_retry(op, a, TRANSITION_WAIT_NS);
		break;
	case LOAD_ACT_ABORTED:
		op->ambiguous = op->write;
		if (op->aborts++ < ABORTS_MAX)
			op_retry(op, a, 0);
		else
			op_failed(op, a, false);
		break;
	case LOAD_ACT_FAIL_PATH:
		op_path_failed(op, a);
		break;
	case LOAD_ACT_CONFLICT:
		op_conflict(op);
		break;
	case LOAD_ACT_REFUSE:
		op_failed(op, a, true);
		break;
	case LOAD_ACT_ERROR:
		op_failed(op, a, false);
		break;
	}
}

/* Making I/O */

static bool fits(const struct load_engine *e, uint64_t block, bool write, bool any)
{
	if (write)
		return load_model_may_write(&e->model, block);
	return any || load_model_written(&e->model, block);
}

/* A block for the wanted kind of I/O; for a read rather one that was written. */
static bool pick_block(struct load_engine *e, bool write, uint64_t *block)
{
	for (int i = 0; i < PICKS; i++) {
		if (e->o->sequential)
			*block = e->cursor++ % e->blocks;
		else
			*block = random_next(e) % e->blocks;
		if (fits(e, *block, write, e->o->sequential || i == PICKS - 1))
			return true;
	}
	return false;
}

static void set_cdb(struct load_op *op, bool fua)
{
	uint64_t lba = htobe64(lba_of(op->e, op->block));
	uint32_t n = htobe32(op->e->o->block / op->e->lu->block_size);

	memset(op->io.cdb, 0, sizeof(op->io.cdb));
	op->io.write = op->write;
	op->io.cdb[0] = op->write ? SCSI_OPCODE_WRITE16 : SCSI_OPCODE_READ16;
	op->io.cdb[1] = fua ? FUA : 0;
	memcpy(op->io.cdb + 2, &lba, sizeof(lba));
	memcpy(op->io.cdb + 10, &n, sizeof(n));
}

static void op_make(struct load_engine *e, bool write, uint64_t block, uint64_t now)
{
	struct load_op *op = cds_list_first_entry(&e->idle, struct load_op, link);

	cds_list_del(&op->link);
	e->idles--;
	op->write = write;
	op->block = block;
	op->ambiguous = op->confirming = false;
	op->aborts = op->attentions = 0;
	op->retrying_since = 0;
	op->begun = now;
	op->io.path = NULL;
	set_cdb(op, write && chance(e, e->o->fua_percent));
	if (write) {
		struct load_block b = { e->run, e->o->lun, e->o->writer, lba_of(e, block), 0 };

		b.generation = op->generation = load_model_write(&e->model, block);
		load_block_fill(op->io.buf, op->io.len, &b);
	}
	load_gap_issued(&e->r->gap, now);
	cds_list_add_tail(&op->link, &e->ready);
}

static bool rate_allows(struct load_engine *e, uint64_t now)
{
	const uint64_t burst = 100000000; /* ns of I/O that may be made up for after a stall */
	uint64_t step;

	if (e->o->rate <= 0)
		return true;
	if (now < e->due)
		return false;
	step = (uint64_t)(1e9 / e->o->rate);
	e->due = (e->due + burst < now ? now - burst : e->due) + step;
	return true;
}

static bool limit_reached(const struct load_engine *e, uint64_t now)
{
	return (e->o->ops && e->made >= e->o->ops) ||
	       (e->o->duration_ns && now - e->r->begun >= e->o->duration_ns);
}

static void make_load(struct load_engine *e, uint64_t now)
{
	uint64_t block;

	while (e->idles && !limit_reached(e, now) && rate_allows(e, now)) {
		bool write = !chance(e, e->o->read_percent);

		if (!pick_block(e, write, &block))
			return; /* every block tried has a write in flight */
		e->made++;
		op_make(e, write, block, now);
	}
	if (limit_reached(e, now))
		load_engine_stop(e);
}

static void make_verify(struct load_engine *e, uint64_t now)
{
	for (; e->idles && e->cursor < e->blocks; e->cursor++)
		if (load_model_written(&e->model, e->cursor))
			op_make(e, false, e->cursor, now);
}

/* Sending */

static void op_prepare(struct load_op *op)
{
	if (op->write)
		return;
	op->promised = load_model_read(&op->e->model, op->block);
	/* What isn't transferred must not look like a valid block. */
	memset(op->io.buf, 0xa5, LOAD_BLOCK_HEADER);
}

static void no_path(struct load_engine *e, uint64_t now)
{
	char why[sizeof(e->r->fatal)];

	if (!e->no_path_since)
		e->no_path_since = now;
	if (now - e->no_path_since <= e->o->no_path_ns)
		return;
	snprintf(why, sizeof(why), "no usable path for %.0f s (first path %s: %s: %s); check the"
		 " target and --portal, or give a longer --no-path-timeout",
		 (double)e->o->no_path_ns / 1e9, e->path[0].name, load_path_state(&e->path[0]),
		 *e->path[0].reason ? e->path[0].reason : "no reason known");
	load_engine_abandon(e, why);
}

static void dispatch(struct load_engine *e, uint64_t now)
{
	while (!cds_list_empty(&e->ready)) {
		struct load_op *op = cds_list_first_entry(&e->ready, struct load_op, link);
		struct load_path *p = pick_path(e);

		if (!p) {
			no_path(e, now);
			return;
		}
		e->no_path_since = 0;
		cds_list_del(&op->link);
		op_prepare(op);
		if (!load_path_submit(p, &op->io, now))
			cds_list_add(&op->link, &e->ready);
	}
}

static void wake(struct load_engine *e, uint64_t now)
{
	struct load_op *op, *next;

	cds_list_for_each_entry_safe(op, next, &e->waiting, link)
		if (now >= op->due)
			cds_list_move(&op->link, &e->ready);
}

/* Phases */

static void phase_set(struct load_engine *e, enum load_phase phase)
{
	static const char *const names[] = { "start", "run", "drain", "verify", "done" };

	e->phase = phase;
	load_report_phase(e->r, names[phase]);
}

static bool set_geometry(struct load_engine *e)
{
	const struct load_opts *o = e->o;
	uint64_t all = e->lu->blocks / (o->block / e->lu->block_size);
	uint64_t want = o->span ? o->span / o->block : LOAD_SPAN_DEFAULT / o->block;

	e->first = o->range_given ? o->first : 0;
	if (o->range_given)
		want = o->count;
	else if (!o->span && want > all)
		want = all;
	e->blocks = want;
	return want && want <= LOAD_BLOCKS_MAX && e->first < all && want <= all - e->first;
}

static void start(struct load_engine *e, uint64_t now)
{
	char why[sizeof(e->r->fatal)];

	if (!pick_path(e)) {
		no_path(e, now);
		return;
	}
	if (e->o->block % e->lu->block_size || !set_geometry(e)) {
		snprintf(why, sizeof(why), "the logical unit has %llu logical blocks of %u bytes:"
			 " --block, --range or --span do not fit into it",
			 (unsigned long long)e->lu->blocks, e->lu->block_size);
		load_engine_abandon(e, why);
	} else if (load_model_init(&e->model, e->blocks) != 0) {
		load_engine_abandon(e, "out of memory: give a smaller --span or --range");
	} else {
		e->no_path_since = 0;
		e->r->begun = e->due = now;
		phase_set(e, LOAD_RUN);
	}
}

static void drained(struct load_engine *e, uint64_t now)
{
	if (!e->r->ended)
		e->r->ended = now;
	e->cursor = 0;
	if (!e->verify) {
		phase_set(e, LOAD_DONE);
		return;
	}
	for (uint64_t b = 0; b < e->blocks; b++)
		e->r->verify_total += load_model_written(&e->model, b);
	phase_set(e, LOAD_VERIFY);
}

static void verified(struct load_engine *e)
{
	e->r->verify_complete = e->verify_errors == 0;
	phase_set(e, LOAD_DONE);
}

static void advance(struct load_engine *e, uint64_t now)
{
	bool quiet = e->idles == e->o->qd;

	switch (e->phase) {
	case LOAD_START: start(e, now); break;
	case LOAD_RUN: make_load(e, now); break;
	case LOAD_DRAIN:
		if (quiet)
			drained(e, now);
		break;
	case LOAD_VERIFY:
		if (quiet && e->cursor >= e->blocks)
			verified(e);
		else
			make_verify(e, now);
		break;
	case LOAD_DONE: break;
	}
}

void load_engine_pump(struct load_engine *e, uint64_t now)
{
	advance(e, now);
	wake(e, now);
	if (e->phase != LOAD_DONE)
		dispatch(e, now);
}

uint64_t load_engine_due(const struct load_engine *e, uint64_t now)
{
	uint64_t due = now + TICK_NS;

	if (e->phase == LOAD_RUN && e->idles && e->o->rate > 0 && e->due < due)
		due = e->due > now ? e->due : now;
	return due;
}

void load_engine_stop(struct load_engine *e)
{
	if (e->phase == LOAD_START)
		load_engine_abandon(e, "stopped before any path was usable");
	if (e->phase != LOAD_RUN)
		return;
	e->verify = e->o->verify_at_end;
	phase_set(e, LOAD_DRAIN);
}

void load_engine_abandon(struct load_engine *e, const char *why)
{
	struct load_op *op, *next;

	if (e->phase == LOAD_DONE)
		return;
	snprintf(e->r->fatal, sizeof(e->r->fatal), "%s", why);
	cds_list_for_each_entry_safe(op, next, &e->waiting, link)
		cds_list_move(&op->link, &e->ready);
	cds_list_for_each_entry_safe(op, next, &e->ready, link) {
		cds_list_del(&op->link);
		op_error(op, "given up while queued", true);
	}
	if (!e->r->ended)
		e->r->ended = load_now();
	phase_set(e, LOAD_DONE);
}

bool load_engine_done(const struct load_engine *e)
{
	return e->phase == LOAD_DONE;
}
