/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fence_history: records what happens to the writes of nexuses that are shut out (P2, P6).
 *
 *   writers (a thread and a nexus each, half through either portal) ── stamped blocks ──▶ medium
 *   fencer (a nexus per portal) ── PREEMPT / PREEMPT AND ABORT / CLEAR + RESERVE / RESERVE, at a
 * random moment, through a random portal ──▶ GOOD ─▶ the backing file is read ─▶ … ─▶ it is read
 * again
 *
 * Each run has blocks of its own, so that what comes late is seen at the end of all runs, too. A
 * line of JSON per run, one for the end ("final"); history_check.py judges. Nothing here decides
 * whether a run was right. All randomness follows from --seed.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/cluster/fence_writer.h"

#define WRITERS 4
#define PATIENCE_MS 30000
#define FENCER_KEY 0xfe11ce0000000000ull

enum pr_action { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_ABORT, REGISTER_IGNORE };
enum scenario { BY_PREEMPT, BY_PREEMPT_ABORT, BY_CLEAR, BY_RESERVE, SCENARIOS };

static const char *const scenario_name[SCENARIOS] = { "preempt", "preempt-abort", "clear",
						      "reserve" };

struct options {
	const char *portal[2], *target, *file;
	uint64_t seed, base;
	int lun, runs, via, spread_ms, after_ms, settle_ms;
	bool plant;
};

struct recorder {
	struct options opt;
	struct iscsi_context *fencer[2];
	struct writer writer[WRITERS];
	uint32_t block_size;
	int fd; /* the backing file */
	uint64_t rng;
	const char *why; /* a run that could not be made */
};

static void sleep_ms(int ms)
{
	usleep(ms * 1000);
}

/* splitmix64 */
static uint64_t draw(struct recorder *r, uint64_t n)
{
	uint64_t z = r->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % n;
}

/* ---- commands that are waited for
 * --------------------------------------------------------------------- */

static bool not_now(const struct scsi_task *t)
{
	return t->status == SCSI_STATUS_BUSY || is_unit_attention(t) ||
	       (t->status == SCSI_STATUS_CHECK_CONDITION &&
		(t->sense.key == SCSI_SENSE_NOT_READY ||
		 t->sense.key == SENSE_KEY_ABORTED_COMMAND));
}

/* One command until it has an answer that lasts. NULL: the session is gone, or patience_ms have
 * passed. */
static struct scsi_task *command(struct recorder *r, struct iscsi_context *iscsi,
				 const uint8_t *cdb, int cdb_len, int dir, uint8_t *data,
				 uint32_t len, int patience_ms)
{
	int64_t end = now_ns() + patience_ms * 1000000ll;

	while (iscsi && now_ns() < end) {
		struct iscsi_data out = { .size = len, .data = data };
		struct scsi_task *t = scsi_create_task(cdb_len, (uint8_t *)cdb, dir, len);

		if (!t || !iscsi_scsi_command_sync(iscsi, r->opt.lun, t,
						   dir == SCSI_XFER_WRITE ? &out : NULL))
			break; /* the task is lost with the session */
		if (!not_now(t))
			return t;
		if (!is_unit_attention(t))
			sleep_ms(2);
		scsi_free_scsi_task(t);
	}
	return NULL;
}

/* The status, or -1. */
static int pr_out(struct recorder *r, struct iscsi_context *iscsi, struct pr_out o)
{
	uint8_t cdb[PR_OUT_CDB], list[PR_OUT_LIST];
	struct scsi_task *t;
	int status = -1;

	pr_out_fill(&o, cdb, list);
	t = command(r, iscsi, cdb, sizeof(cdb), SCSI_XFER_WRITE, list, sizeof(list), PATIENCE_MS);
	if (t)
		status = t->status;
	if (t)
		scsi_free_scsi_task(t);
	return status;
}

static bool good(struct recorder *r, const char *what, int status)
{
	if (status != SCSI_STATUS_GOOD && !r->why)
		r->why = what;
	return status == SCSI_STATUS_GOOD;
}

/* ---- a run
 * ------------------------------------------------------------------------------------------------
 */

struct run {
	int number, via;
	enum scenario scenario;
	uint8_t type;
	bool fenced[WRITERS];
	int64_t took_ns;
	json_t *at_fence[WRITERS], *by_target[WRITERS];
};

static bool fencers_ready(struct recorder *r)
{
	for (int i = 0; i < 2; i++) {
		char name[64];

		if (r->fencer[i] || !r->opt.portal[i])
			continue;
		snprintf(name, sizeof(name), "iqn.2026-11.io.sandem.test:fencer");
		if (session_open(&r->fencer[i], name, 1, r->opt.target, r->opt.portal[i], 40))
			return good(r, "the fencer gets no session", -1);
	}
	return true;
}

static bool writer_ready(struct recorder *r, struct writer *w, int id)
{
	const char *portal =
		r->opt.portal[id % 2] ? r->opt.portal[id % 2] : r->opt.portal[!(id % 2)];
	char name[64];

	w->lun = r->opt.lun;
	w->id = id;
	w->block_size = r->block_size;
	if (w->iscsi)
		return true;
	snprintf(name, sizeof(name), "iqn.2026-11.io.sandem.test:writer%d", id);
	return good(r, "a writer gets no session",
		    session_open(&w->iscsi, name, 1, r->opt.target, portal, 40) ? -1
										: SCSI_STATUS_GOOD);
}

/* The key says writer and epoch: another one in each run. */
static void writer_begin(struct writer *w, int run, uint64_t base)
{
	w->run = run;
	w->key = (uint64_t)(w->id + 1) << 32 | (run + 1);
	w->busy = 0;
	w->broken = false;
	w->good = w->conflicts = w->retried = w->aborted = w->late = 0;
	for (int i = 0; i < SLOTS; i++)
		w->slot[i] =
			(struct slot){ .w = w,
				       .lba = base + ((uint64_t)run * WRITERS + w->id) * SLOTS + i,
				       .seq = 1 };
}

/* Writers registered, the fencer too, a reservation held by one of them; or nothing of it. */
static bool prepare(struct recorder *r, struct run *run)
{
	int holder = draw(r, WRITERS + 1);
	struct pr_out reserve = { .action = RESERVE, .type = run->type, .key = FENCER_KEY };

	for (int i = 0; i < 2; i++) {
		if (!r->fencer[i])
			continue;
		if (!good(r, "REGISTER of the fencer",
			  pr_out(r, r->fencer[i],
				 (struct pr_out){ .action = REGISTER_IGNORE,
						  .sa_key = FENCER_KEY })))
			return false;
		if (i == run->via &&
		    !good(r, "CLEAR",
			  pr_out(r, r->fencer[i],
				 (struct pr_out){ .action = CLEAR, .key = FENCER_KEY })))
			return false;
	}
	if (run->scenario == BY_RESERVE)
		return true;
	for (int i = 0; i < WRITERS; i++)
		if (!good(r, "REGISTER of a writer",
			  pr_out(r, r->writer[i].iscsi,
				 (struct pr_out){ .action = REGISTER_IGNORE,
						  .sa_key = r->writer[i].key })))
			return false;
	if (!good(r, "REGISTER of the fencer",
		  pr_out(r, r->fencer[run->via],
			 (struct pr_out){ .action = REGISTER_IGNORE, .sa_key = FENCER_KEY })))
		return false;
	if (holder < WRITERS)
		reserve.key = r->writer[holder].key;
	return good(r, "RESERVE",
		    pr_out(r, holder < WRITERS ? r->writer[holder].iscsi : r->fencer[run->via],
			   reserve));
}

/* Registers and reserves: who is not registered is shut out. */
static bool take(struct recorder *r, const struct run *run, struct iscsi_context *fencer)
{
	return good(r, "REGISTER",
		    pr_out(r, fencer,
			   (struct pr_out){ .action = REGISTER_IGNORE, .sa_key = FENCER_KEY })) &&
	       good(r, "RESERVE",
		    pr_out(r, fencer,
			   (struct pr_out){
				   .action = RESERVE, .type = run->type, .key = FENCER_KEY }));
}

/* After it no write of a fenced writer may reach the medium. */
static bool fence(struct recorder *r, struct run *run)
{
	struct iscsi_context *fencer = r->fencer[run->via];
	struct pr_out o = { .key = FENCER_KEY, .type = run->type, .action = PREEMPT };
	int victims = 1 + draw(r, WRITERS);

	for (int i = 0; i < WRITERS; i++)
		run->fenced[i] = run->scenario >= BY_CLEAR || i < victims;
	switch (run->scenario) {
	case BY_PREEMPT_ABORT:
		o.action = PREEMPT_ABORT;
		/* fall through */
	case BY_PREEMPT:
		for (int i = 0; i < victims; i++) {
			o.sa_key = r->writer[i].key;
			if (!good(r, "PREEMPT", pr_out(r, fencer, o)))
				return false;
		}
		return true;
	case BY_CLEAR:
		return good(r, "CLEAR",
			    pr_out(r, fencer,
				   (struct pr_out){ .action = CLEAR, .key = FENCER_KEY })) &&
		       take(r, run, fencer);
	case BY_RESERVE: return take(r, run, fencer);
	case SCENARIOS: break;
	}
	return false;
}

/* What the backing file has in the writer's blocks. */
static json_t *blocks_of(const struct recorder *r, const struct writer *w)
{
	json_t *list = json_array();
	uint8_t block[BLOCK_MAX];

	for (int i = 0; i < SLOTS; i++) {
		ssize_t n = pread(r->fd, block, r->block_size, w->slot[i].lba * r->block_size);

		json_array_append_new(list, n == (ssize_t)r->block_size
						    ? stamp_json(w, block)
						    : json_string("unreadable"));
	}
	return list;
}

/* The same as an initiator reads them; null where no port served in time. */
static json_t *blocks_by_target(struct recorder *r, const struct writer *w, int via)
{
	uint8_t cdb[16] = { 0x88 };
	json_t *list;
	struct scsi_task *t;

	put_be(cdb + 2, w->slot[0].lba, 8);
	put_be(cdb + 10, SLOTS, 4);
	t = command(r, r->fencer[via], cdb, sizeof(cdb), SCSI_XFER_READ, NULL,
		    SLOTS * r->block_size, 2 * r->opt.settle_ms);
	if (!t || t->status != SCSI_STATUS_GOOD || t->datain.size < (int)(SLOTS * r->block_size)) {
		if (t)
			scsi_free_scsi_task(t);
		return json_null();
	}
	list = json_array();
	for (int i = 0; i < SLOTS; i++)
		json_array_append_new(list, stamp_json(w, t->datain.data + i * r->block_size));
	scsi_free_scsi_task(t);
	return list;
}

/* Planted: somebody who is admitted writes in the name of one who is not. */
static void plant(struct recorder *r, const struct run *run)
{
	struct writer *w = &r->writer[0];
	const struct stamp s = { w->run, w->id, w->key, 1000000000 };
	uint8_t cdb[16] = { 0x8a }, block[BLOCK_MAX];
	struct scsi_task *t;

	put_be(cdb + 2, w->slot[3].lba, 8);
	put_be(cdb + 10, 1, 4);
	stamp_put(block, r->block_size, &s);
	t = command(r, r->fencer[run->via], cdb, sizeof(cdb), SCSI_XFER_WRITE, block, r->block_size,
		    PATIENCE_MS);
	good(r, "the planted write", t ? t->status : -1);
	if (t)
		scsi_free_scsi_task(t);
}

static json_t *writer_json(const struct recorder *r, const struct run *run, const struct writer *w)
{
	json_t *slots = json_array(), *o;

	for (int i = 0; i < SLOTS; i++)
		json_array_append_new(slots, json_pack("{s:I, s:I, s:I}", "lba",
						       (json_int_t)w->slot[i].lba, "acked",
						       (json_int_t)w->slot[i].acked, "maybe",
						       (json_int_t)w->slot[i].maybe));
	o = json_pack("{s:i, s:i, s:b, s:o, s:I, s:I, s:I, s:I, s:I}", "writer", w->id, "node",
		      w->id % 2, "fenced", run->fenced[w->id], "slots", slots, "good",
		      (json_int_t)w->good, "conflicts", (json_int_t)w->conflicts, "retried",
		      (json_int_t)w->retried, "aborted", (json_int_t)w->aborted, "late",
		      (json_int_t)w->late);
	json_object_set_new(o, "at_fence", run->at_fence[w->id]);
	json_object_set_new(o, "by_target", run->by_target[w->id]);
	json_object_set_new(o, "at_end", blocks_of(r, w));
	return o;
}

static void look(struct recorder *r, struct run *run)
{
	for (int i = 0; i < WRITERS; i++)
		run->at_fence[i] = blocks_of(r, &r->writer[i]);
	if (r->opt.plant)
		plant(r, run);
	sleep_ms(1 + draw(r, r->opt.settle_ms));
	for (int i = 0; i < WRITERS; i++)
		run->by_target[i] =
			run->fenced[i] ? blocks_by_target(r, &r->writer[i], run->via) : json_null();
}

static void writers_end(struct recorder *r)
{
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < WRITERS; i++) {
		struct writer *w = &r->writer[i];

		pthread_join(w->thread, NULL);
		if (!w->broken && !w->busy)
			continue;
		iscsi_destroy_context(w->iscsi); /* calls answered() for what is left */
		w->iscsi = NULL;
	}
}

static void line(json_t *o)
{
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

static void run_made(struct recorder *r, struct run *run)
{
	json_t *list = json_array();

	for (int i = 0; i < WRITERS; i++)
		json_array_append_new(list, writer_json(r, run, &r->writer[i]));
	line(json_pack("{s:i, s:s, s:i, s:i, s:f, s:o}", "run", run->number, "scenario",
		       scenario_name[run->scenario], "type", run->type, "via", run->via, "fence_ms",
		       run->took_ns / 1e6, "writers", list));
}

/* What somebody else has left there could not be told from what comes late. */
static bool blank(struct recorder *r)
{
	uint8_t block[BLOCK_MAX], zero[BLOCK_MAX] = { 0 };

	for (int i = 0; i < WRITERS * SLOTS; i++) {
		ssize_t n = pread(r->fd, block, r->block_size,
				  (r->writer[0].slot[0].lba + i) * r->block_size);

		if (n != (ssize_t)r->block_size || memcmp(block, zero, n))
			return good(r, "finding blocks that nobody has written", -1);
	}
	return true;
}

static bool make_run(struct recorder *r, struct run *run)
{
	static const uint8_t types[] = { 5, 6, 7, 8, 1, 3 };
	int64_t start;
	bool done;

	run->scenario = draw(r, SCENARIOS);
	run->via = r->opt.via >= 0 ? r->opt.via : (int)draw(r, 2);
	/* of types 1 and 3 only the holder may write: for scenarios in which nobody else should */
	run->type = types[draw(r, run->scenario == BY_RESERVE ? 6 : 4)];
	__atomic_store_n(&fenced_ns, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	done = fencers_ready(r);
	for (int i = 0; i < WRITERS && done; i++) {
		done = writer_ready(r, &r->writer[i], i);
		writer_begin(&r->writer[i], run->number, r->opt.base);
	}
	if (!done || !blank(r) || !prepare(r, run))
		return false;
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&r->writer[i].thread, NULL, write_on, &r->writer[i]);
	line(json_pack("{s:s, s:i}", "event", "writing", "run", run->number));
	sleep_ms(r->opt.after_ms + draw(r, r->opt.spread_ms));
	start = now_ns();
	done = fence(r, run);
	__atomic_store_n(&fenced_ns, now_ns(), __ATOMIC_SEQ_CST);
	run->took_ns = now_ns() - start;
	if (done)
		look(r, run);
	writers_end(r);
	return done;
}

/* The blocks of all runs once more, long after. */
static void final_look(struct recorder *r)
{
	for (int run = 0; run < r->opt.runs; run++) {
		json_t *list = json_array();

		for (int i = 0; i < WRITERS; i++) {
			writer_begin(&r->writer[i], run, r->opt.base);
			json_array_append_new(list, blocks_of(r, &r->writer[i]));
		}
		line(json_pack("{s:i, s:o}", "final", run, "writers", list));
	}
}

/* ---- start
 * -----------------------------------------------------------------------------------------------------
 */

static void usage(void)
{
	fprintf(stderr,
		"usage: fence_history --portal A --portal B --target IQN --file BACKING-FILE [--lun N] [--seed N]\n"
		"       [--runs N] [--via 0|1] [--base LBA] [--spread-ms N] [--after-ms N] [--settle-ms N] [--plant]\n"
		"--via: fence through this portal only; --spread-ms: the fence comes at a random moment within so many;\n"
		"--plant: break the promise, so that one sees that it would be noticed\n");
	exit(2);
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t v = strtoull(s, &end, 0);

	if (end == s || *end) {
		fprintf(stderr, "fence_history: '%s' is no number\n", s);
		exit(2);
	}
	return v;
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "portal", 1, NULL, 'p' },    { "target", 1, NULL, 't' },
		{ "lun", 1, NULL, 'l' },       { "file", 1, NULL, 'f' },
		{ "seed", 1, NULL, 's' },      { "base", 1, NULL, 'b' },
		{ "runs", 1, NULL, 'r' },      { "via", 1, NULL, 'v' },
		{ "spread-ms", 1, NULL, 'm' }, { "after-ms", 1, NULL, 'a' },
		{ "settle-ms", 1, NULL, 'e' }, { "plant", 0, NULL, 'P' },
		{ NULL, 0, NULL, 0 },
	};
	int ch, portals = 0;

	while ((ch = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (ch) {
		case 'p':
			if (portals == 2)
				usage();
			o->portal[portals++] = optarg;
			break;
		case 't': o->target = optarg; break;
		case 'l': o->lun = number(optarg); break;
		case 'f': o->file = optarg; break;
		case 's': o->seed = number(optarg); break;
		case 'b': o->base = number(optarg); break;
		case 'r': o->runs = number(optarg); break;
		case 'v': o->via = number(optarg) & 1; break;
		case 'm': o->spread_ms = number(optarg); break;
		case 'a': o->after_ms = number(optarg); break;
		case 'e': o->settle_ms = number(optarg); break;
		case 'P': o->plant = true; break;
		default: usage();
		}
	}
	if (portals != 2 || !o->target || !o->file || optind != argc || !o->spread_ms ||
	    !o->settle_ms)
		usage();
}

static bool learn_block_size(struct recorder *r)
{
	uint8_t cdb[10] = { 0x25 };
	struct scsi_task *t = NULL;

	if (fencers_ready(r))
		t = command(r, r->fencer[0], cdb, sizeof(cdb), SCSI_XFER_READ, NULL, 8,
			    PATIENCE_MS);
	if (!t || t->status != SCSI_STATUS_GOOD || t->datain.size < 8)
		return good(r, "READ CAPACITY", -1);
	r->block_size = be(t->datain.data + 4, 4);
	scsi_free_scsi_task(t);
	return r->block_size >= 64 && r->block_size <= BLOCK_MAX;
}

int main(int argc, char **argv)
{
	struct recorder r = { .opt = { .runs = 1, .via = -1, .spread_ms = 60, .settle_ms = 20 } };
	bool done;

	parse(&r.opt, argc, argv);
	r.rng = r.opt.seed;
	r.fd = open(r.opt.file, O_RDONLY | O_CLOEXEC);
	if (r.fd < 0) {
		fprintf(stderr, "fence_history: %s can't be opened\n", r.opt.file);
		return 2;
	}
	done = learn_block_size(&r);
	for (int i = 0; i < r.opt.runs && done; i++) {
		struct run run = { .number = i };

		done = make_run(&r, &run);
		if (done)
			run_made(&r, &run);
	}
	if (done)
		final_look(&r);
	else
		fprintf(stderr, "fence_history: seed %llu: %s failed\n",
			(unsigned long long)r.opt.seed, r.why ? r.why : "it");
	return !done;
}
