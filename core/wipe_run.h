/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries out a wipe (core/wipe.h) on the node that owns the logical unit, chunk after chunk on one
 * reactor. Each chunk counts as an admitted command of its own, so a drain waits for a chunk, not
 * for the operation. From time to time all is flushed, and how far it has come is told: the next
 * owner goes on from there.
 */
#ifndef SANDEM_CORE_WIPE_RUN_H
#define SANDEM_CORE_WIPE_RUN_H

#include "core/wipe.h"

struct lu;
struct wipe_run;

struct wipe_run_params {
	struct lu *lu;
	const struct wipe_order *order; /* copied */
	uint64_t epoch; /* of the ownership under which it runs: with another one it ends */
	uint8_t pass;	/* where to go on */
	uint64_t at;	/* bytes */
	/* All on the control thread. Everything up to here is done and stable. */
	void (*reached)(void *arg, uint8_t pass, uint64_t at);
	/* The run is gone. 0; -ECANCELED: the ownership is over; or why it failed. */
	void (*ended)(void *arg, int err);
	void *arg;
};

/* Control thread; lu->wipe is published, what was admitted before has ended. NULL: no memory. */
struct wipe_run *wipe_run_start(const struct wipe_run_params *p);

/* Control thread. It ends with -ECANCELED, soon. */
void wipe_run_stop(struct wipe_run *w);

/* Control thread, no reactor runs any more. */
void wipe_run_free(struct wipe_run *w);

#endif
