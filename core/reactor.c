/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/reactor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"

#define RING_ENTRIES 1024
#define CQ_ENTRIES 8192
#define BUF_LIMIT ((size_t)1 << 30)
#define SPIN_NS 20000
#define IDLE_WAIT_NS 1000000000ull /* longest sleep without a timer */

/* ---- io_uring ------------------------------------------------------------------------------ */

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void ring_params(struct io_uring_params *p)
{
	*p = (struct io_uring_params){
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP,
		.cq_entries = CQ_ENTRIES,
	};
}

struct io_uring_sqe *reactor_sqe(struct reactor *r, struct reactor_op *op)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&r->ring)))
		io_uring_submit(&r->ring);
	io_uring_sqe_set_data(sqe, op);
	return sqe;
}

static void wake_arm(struct reactor *r)
{
	struct io_uring_sqe *sqe = reactor_sqe(r, &r->wake);

	/* The mailbox's eventfd is non-blocking: wait for it with a multishot poll, so that each wake-up costs no
	 * new submission. */
	io_uring_prep_poll_multishot(sqe, r->mailbox.efd, POLLIN);
	io_uring_sqe_set_data(sqe, &r->wake);
}

static void wake_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct reactor *r = caa_container_of(op, struct reactor, wake);

	(void)res;
	mailbox_drain_fd(&r->mailbox);
	if (!(flags & IORING_CQE_F_MORE) && !r->stopping)
		wake_arm(r);
}

int reactor_init(struct reactor *r, struct core *core, unsigned index, int cpu)
{
	struct io_uring_params p;
	int rc;

	*r = (struct reactor){ .core = core, .index = index, .cpu = cpu, .wake = { wake_done } };
	CDS_INIT_LIST_HEAD(&r->timers);
	CDS_INIT_LIST_HEAD(&r->hooks);
	CDS_INIT_LIST_HEAD(&r->nexuses);
	ring_params(&p);
	rc = io_uring_queue_init_params(RING_ENTRIES, &r->ring, &p);
	if (rc < 0)
		return rc;
	rc = mailbox_init(&r->mailbox);
	if (rc < 0)
		goto err_ring;
	r->bufs = buf_pool_new(BUF_LIMIT);
	if (!r->bufs) {
		rc = -ENOMEM;
		goto err_mailbox;
	}
	r->now = clock_ns();
	return 0;

err_mailbox:
	mailbox_fini(&r->mailbox);
err_ring:
	io_uring_queue_exit(&r->ring);
	return rc;
}

void reactor_fini(struct reactor *r)
{
	io_uring_queue_exit(&r->ring);
	mailbox_fini(&r->mailbox);
	buf_pool_free(r->bufs);
}

void *reactor_buf_get(struct reactor *r, uint32_t len)
{
	return buf_get(r->bufs, len);
}

void reactor_buf_put(struct reactor *r, void *buf, uint32_t len)
{
	buf_put(r->bufs, buf, len);
}

/* ---- timers and hooks ---------------------------------------------------------------------- */

void reactor_timer_cancel(struct reactor_timer *t)
{
	if (t->armed)
		cds_list_del(&t->link);
	t->armed = false;
}

void reactor_timer_arm(struct reactor *r, struct reactor_timer *t, uint64_t delay_ns)
{
	struct cds_list_head *pos;

	reactor_timer_cancel(t);
	t->deadline = r->now + delay_ns;
	t->armed = true;
	/* Most timers have the same period, so the place is at or near the end. */
	for (pos = r->timers.prev; pos != &r->timers; pos = pos->prev)
		if (cds_list_entry(pos, struct reactor_timer, link)->deadline <= t->deadline)
			break;
	cds_list_add(&t->link, pos);
}

static void timers_run(struct reactor *r)
{
	while (!cds_list_empty(&r->timers)) {
		struct reactor_timer *t = cds_list_first_entry(&r->timers, struct reactor_timer, link);

		if (t->deadline > r->now)
			break;
		reactor_timer_cancel(t);
		t->fn(t);
	}
}

void reactor_defer(struct reactor *r, struct reactor_hook *h)
{
	if (h->queued)
		return;
	h->queued = true;
	cds_list_add_tail(&h->link, &r->hooks);
}

void reactor_hook_cancel(struct reactor_hook *h)
{
	if (h->queued)
		cds_list_del(&h->link);
	h->queued = false;
}

static void hooks_run(struct reactor *r)
{
	while (!cds_list_empty(&r->hooks)) {
		struct reactor_hook *h = cds_list_first_entry(&r->hooks, struct reactor_hook, link);

		reactor_hook_cancel(h);
		h->fn(h);
	}
}

/* ---- the loop ------------------------------------------------------------------------------ */

static unsigned completions_run(struct reactor *r)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&r->ring, head, cqe) {
		struct reactor_op *op = io_uring_cqe_get_data(cqe);

		n++;
		if (op)
			op->done(op, cqe->res, cqe->flags);
	}
	io_uring_cq_advance(&r->ring, n);
	return n;
}

static uint64_t sleep_ns(struct reactor *r)
{
	const struct reactor_timer *t;
	uint64_t now = clock_ns();

	if (cds_list_empty(&r->timers))
		return IDLE_WAIT_NS;
	t = cds_list_first_entry(&r->timers, struct reactor_timer, link);
	if (t->deadline <= now)
		return 0;
	return t->deadline - now < IDLE_WAIT_NS ? t->deadline - now : IDLE_WAIT_NS;
}

static bool something_waits(struct reactor *r)
{
	return io_uring_cq_ready(&r->ring) || !cds_wfcq_empty(&r->mailbox.head, &r->mailbox.tail);
}

/* A sleep and the wake-up after it cost 15 to 20 µs: as long, after a turn that had work, it is worth looking whether
 * the answer to it comes already. An idle reactor sleeps. */
static bool spin(struct reactor *r)
{
	uint64_t until = clock_ns() + SPIN_NS;

	do {
		io_uring_get_events(&r->ring);
		if (something_waits(r))
			return true;
	} while (clock_ns() < until);
	return false;
}

/* Submits what the turn produced and waits for the next event. */
static void turn_end(struct reactor *r, bool worked)
{
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts;
	uint64_t ns;

	if (r->stopping || worked || something_waits(r)) {
		io_uring_submit_and_get_events(&r->ring);
		if (r->stopping || something_waits(r) || spin(r))
			return;
	}
	ns = sleep_ns(r);
	ts = (struct __kernel_timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &ts, NULL);
}

static void pin(const struct reactor *r)
{
	cpu_set_t set;

	if (r->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(r->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		log_warning("reactor %u: cannot be pinned to CPU %d; it runs on any CPU", r->index, r->cpu);
}

/* liburing's own io_uring_enable_rings(): liburing.so 2.3 of Debian 12 does not export it. */
static void enable_ring(struct io_uring *ring)
{
	syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static void *reactor_main(void *arg)
{
	struct reactor *r = arg;
	bool worked;
	char name[16];

	snprintf(name, sizeof(name), "reactor/%u", r->index);
	pthread_setname_np(pthread_self(), name);
	pin(r);
	enable_ring(&r->ring); /* this thread becomes the single issuer */
	wake_arm(r);
	while (!r->stopping) {
		r->now = clock_ns();
		mailbox_run(&r->mailbox);
		worked = completions_run(r) > 0;
		timers_run(r);
		hooks_run(r);
		turn_end(r, worked);
	}
	return NULL;
}

int reactor_start(struct reactor *r)
{
	int rc = pthread_create(&r->thread, NULL, reactor_main, r);

	return -rc;
}

struct stop_msg {
	struct msg msg;
	struct reactor *r;
};

static void stop_fn(struct msg *m)
{
	caa_container_of(m, struct stop_msg, msg)->r->stopping = true;
}

void reactor_stop(struct reactor *r)
{
	struct stop_msg stop = { .msg = { .fn = stop_fn }, .r = r };

	reactor_post(r, &stop.msg);
	pthread_join(r->thread, NULL);
}
