/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reactor: one thread, one io_uring for sockets, files and messages.
 *
 *   turn:  messages → completions (op->done …) → expired timers → deferred hooks → one io_uring_enter
 *
 * Everything but reactor_post() is called on the reactor's own thread. Nothing here blocks: work that may block goes to
 * the daemon's worker thread.
 */
#ifndef SANDEM_CORE_REACTOR_H
#define SANDEM_CORE_REACTOR_H

#include <liburing.h>
#include <pthread.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/mailbox.h"

struct core;

/* What a submitted io_uring operation points back to. Embed it; it stays valid until done has
 * run for the last completion (one, or for multishot the one without IORING_CQE_F_MORE). */
struct reactor_op {
	void (*done)(struct reactor_op *op, int res, uint32_t cqe_flags);
};

struct reactor_timer {
	struct cds_list_head link;
	uint64_t deadline; /* ns, CLOCK_MONOTONIC */
	void (*fn)(struct reactor_timer *t);
	bool armed;
};

/* Runs once at the end of the turn in which it was queued (e.g. "send all ready PDUs"). */
struct reactor_hook {
	struct cds_list_head link;
	void (*fn)(struct reactor_hook *h);
	bool queued;
};

struct buf_pool;

struct reactor {
	struct io_uring ring;
	struct mailbox mailbox;
	struct reactor_op wake; /* read on mailbox.efd */
	uint64_t wake_value;
	struct cds_list_head timers; /* by deadline */
	struct cds_list_head hooks;
	struct cds_list_head nexuses; /* I_T nexuses whose connection lives here (core/nexus.h) */
	struct buf_pool *bufs;
	struct core *core;
	pthread_t thread;
	unsigned index; /* 0 … core->nreactors-1: also the index of LU shards */
	int cpu;	/* pinned to this CPU, or -1 */
	bool stopping;
	uint64_t now; /* ns, CLOCK_MONOTONIC, at the start of this turn */
};

/* Sets up the ring on the calling thread's behalf; the thread itself is started by
 * reactor_start(). Negative errno when io_uring is not available (-ENOSYS, -EPERM). */
int reactor_init(struct reactor *r, struct core *core, unsigned index, int cpu);
int reactor_start(struct reactor *r); /* starts the thread */
void reactor_stop(struct reactor *r); /* any other thread: ends the loop, joins the thread */
void reactor_fini(struct reactor *r);

/* Any thread. */
static inline void reactor_post(struct reactor *r, struct msg *m)
{
	mailbox_post(&r->mailbox, m);
}

/* A free SQE whose completion calls op->done; submitted at the end of the turn, together with
 * everything else. Never NULL: submits early when the queue is full. */
struct io_uring_sqe *reactor_sqe(struct reactor *r, struct reactor_op *op);

/* Arms (or re-arms) t to fire delay_ns from now. */
void reactor_timer_arm(struct reactor *r, struct reactor_timer *t, uint64_t delay_ns);
void reactor_timer_cancel(struct reactor_timer *t);

/* Queues h for the end of this turn; nothing when it is queued already. */
void reactor_defer(struct reactor *r, struct reactor_hook *h);
void reactor_hook_cancel(struct reactor_hook *h);

/* Data buffers, 4096-aligned, from free lists of power-of-four size classes up to
 * REACTOR_BUF_MAX; NULL when the memory bound of the reactor is reached (answer BUSY or
 * TASK SET FULL). len must be given back unchanged. Contents are undefined. */
#define REACTOR_BUF_MAX (16u << 20)
void *reactor_buf_get(struct reactor *r, uint32_t len);
void reactor_buf_put(struct reactor *r, void *buf, uint32_t len);

#endif
