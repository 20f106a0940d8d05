/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread for jobs that block (fsync, opening devices), so that the control thread never does.
 *
 *   control thread ── worker_queue(work) ──▶ FIFO ──▶ worker thread: work->run(work)
 *          ▲                                                     │
 *          └───────── work->done(work) ◀── mailbox (core) ◀──────┘
 *
 * A struct work is embedded in the object it is about; its owner keeps it alive until done has run. Jobs run one
 * at a time, in the order in which they were queued.
 */
#ifndef SANDEM_CLUSTER_WORKER_H
#define SANDEM_CLUSTER_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "core/mailbox.h"
#include <urcu/list.h>

struct work {
	struct msg msg;		    /* used by worker */
	struct cds_list_head link;  /* used by worker */
	void (*run)(struct work *w);  /* set by the owner; on the worker thread */
	void (*done)(struct work *w); /* set by the owner; on the thread that runs the mailbox */
};

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct cds_list_head queue;
	struct mailbox *home;
	bool stopping;
};

/* Starts the thread; done functions arrive through home, which outlives the worker. 0 or negative errno. */
int worker_init(struct worker *wk, struct mailbox *home);

/* Any thread. Never blocks for longer than the queue's lock, never fails. */
void worker_queue(struct worker *wk, struct work *w);

/* Runs all that is queued, then ends the thread. Their done messages are in the mailbox afterwards: run it once
 * more before the objects go. */
void worker_fini(struct worker *wk);

#endif
