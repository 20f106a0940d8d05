/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The multipath initiator: makes I/O, sends it where dm-multipath would, retries what it would
 * retry, and judges what comes back with load_model.
 *
 *            make              dispatch             answer
 *   idle ----------> ready ----------------> sent ----------> idle  (done, or an I/O error)
 *                      ^  ^                   |  |
 *                      |  +-- path lost, UA --+  |
 *                      |       waiting <---------+  BUSY, transitioning
 *                      +----------+ due
 *
 * Phases: START (no path known yet) → RUN → DRAIN → VERIFY (--verify-at-end) → DONE.
 *
 * A write keeps its generation and its bytes over all its sendings. While no path is usable
 * everything waits in `ready` (queue_if_no_path) up to --no-path-timeout.
 *
 * Owner: main. Paths and report are the caller's and outlive the engine. One thread.
 */
#ifndef TOOLS_LOAD_ENGINE_H
#define TOOLS_LOAD_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <urcu/list.h>

#include "load_model.h"
#include "load_opts.h"
#include "load_path.h"
#include "load_report.h"

enum load_phase { LOAD_START, LOAD_RUN, LOAD_DRAIN, LOAD_VERIFY, LOAD_DONE };

struct load_engine;

struct load_op {
	struct load_io io;
	struct load_engine *e;
	struct cds_list_head link; /* in idle, ready or waiting */
	bool write, ambiguous, confirming;
	uint64_t block;
	uint32_t generation;
	struct load_read promised;	/* of the last sending of a read */
	struct load_finding suspect;	/* what a confirming read is about */
	uint64_t begun, due, retrying_since;
	unsigned aborts, attentions;
};

struct load_engine {
	const struct load_opts *o;
	struct load_report *r;
	struct load_path *path;
	unsigned paths, turn;
	const struct load_lu *lu;
	struct load_model model;
	enum load_phase phase;
	bool verify;		/* after DRAIN */
	bool running;		/* the first I/O completed */
	uint64_t run, random;
	uint64_t first, blocks, cursor; /* in blocks */
	uint64_t made;		/* I/O of RUN */
	uint64_t due;		/* when the next may be made (--rate) */
	uint64_t no_path_since;	/* 0: there is one */
	uint64_t verify_errors;
	unsigned idles;
	struct load_op *op;
	void *buffers;
	struct cds_list_head idle, ready, waiting;
};

/* 0 or -ENOMEM. `lu` is filled by the paths. */
int load_engine_init(struct load_engine *e, const struct load_opts *o, struct load_report *r,
		     struct load_path *path, unsigned paths, const struct load_lu *lu,
		     uint64_t run);
/* After the paths' load_path_fini(), which gives the commands back. */
void load_engine_fini(struct load_engine *e);

/* Moves everything on that can move. */
void load_engine_pump(struct load_engine *e, uint64_t now);
/* When, at the latest, to pump again. */
uint64_t load_engine_due(const struct load_engine *e, uint64_t now);
/* No new I/O; what is outstanding is finished; then verify, if asked for. */
void load_engine_stop(struct load_engine *e);
/* Ends at once; what is outstanding is not known. */
void load_engine_abandon(struct load_engine *e, const char *why);
bool load_engine_done(const struct load_engine *e);

#endif
