/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine under a node: mailboxes, worker threads, timers, clock, memory. The functions
 * without a sim_ or machine_ in their names take the place of those that the daemon links. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cluster/worker.h"
#include "core/buf.h"
#include "tests/sim/sim.h"

/* ---- mailboxes: as core/mailbox.c, but one message can be taken at a time, and nobody has to be woken ----------- */

int mailbox_init(struct mailbox *mb)
{
	cds_wfcq_init(&mb->head, &mb->tail);
	mb->efd = -1;
	return 0;
}

void mailbox_fini(struct mailbox *mb)
{
	cds_wfcq_destroy(&mb->head, &mb->tail);
}

void mailbox_post(struct mailbox *mb, struct msg *m)
{
	cds_wfcq_node_init(&m->node);
	cds_wfcq_enqueue(&mb->head, &mb->tail, &m->node);
}

void mailbox_drain_fd(struct mailbox *mb)
{
	(void)mb;
}

static bool mailbox_one(struct mailbox *mb)
{
	struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&mb->head, &mb->tail);
	struct msg *m;

	if (!node)
		return false;
	m = caa_container_of(node, struct msg, node);
	m->fn(m);
	return true;
}

bool mailbox_run(struct mailbox *mb)
{
	bool any = false;

	while (mailbox_one(mb))
		any = true;
	return any;
}

bool machine_control(struct node *n)
{
	return mailbox_one(&n->d.core.control);
}

/* ---- reactors: messages and timers; the sockets and files of a turn are load.c and disk.c --------------- */

static bool reactor_timers(struct reactor *r)
{
	struct reactor_timer *t;

	if (cds_list_empty(&r->timers))
		return false;
	t = cds_list_first_entry(&r->timers, struct reactor_timer, link);
	if (t->deadline > r->now)
		return false;
	reactor_timer_cancel(t);
	t->fn(t);
	return true;
}

static bool hook(struct reactor *r)
{
	struct reactor_hook *h;

	if (cds_list_empty(&r->hooks))
		return false;
	h = cds_list_first_entry(&r->hooks, struct reactor_hook, link);
	reactor_hook_cancel(h);
	h->fn(h);
	return true;
}

/* One thing of a turn. Timers come after messages and completions, as they do in core/reactor.c. */
static bool turn(struct node *n, struct reactor *r)
{
	if (chance(n->sim, 2) && hook(r))
		return true;
	if (chance(n->sim, 2) && tcp_step(n, r->index))
		return true;
	return mailbox_one(&r->mailbox) || tcp_step(n, r->index) || reactor_timers(r) || hook(r);
}

bool machine_reactor(struct node *n, unsigned i)
{
	struct reactor *r = &n->reactor[i];

	r->now = n->sim->now;
	if (!n->sim->forwards)
		return reactor_timers(r) || mailbox_one(&r->mailbox);
	return turn(n, r);
}

/* ---- memory for data: no arenas, so that a node costs little ------------------------------------------------------ */

struct buf_pool {
	size_t limit;
};

struct buf_pool *buf_pool_new(size_t limit)
{
	struct buf_pool *p = malloc(sizeof(*p));

	p->limit = limit;
	return p;
}

void buf_pool_free(struct buf_pool *p)
{
	free(p);
}

void *buf_get(struct buf_pool *p, uint32_t len)
{
	(void)p;
	return malloc(len);
}

void buf_put(struct buf_pool *p, void *buf, uint32_t len)
{
	(void)p;
	(void)len;
	free(buf);
}

/* ---- clock, randomness, timers of the control thread -------------------------------------------------------------- */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t now = sim_world() ? sim_world()->now : 0;

	(void)id;
	*ts = (struct timespec){ now / 1000000000ull, now % 1000000000ull };
	return 0;
}

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	uint64_t v = sim_world() ? sim_random(sim_world()) : 0; /* none yet: a library's start */

	(void)flags;
	memcpy(buf, &v, len < sizeof(v) ? len : sizeof(v));
	return len;
}

int32_t qb_loop_timer_add(struct qb_loop *l, enum qb_loop_priority p, uint64_t ns, void *data,
			  qb_loop_timer_dispatch_fn fn, qb_loop_timer_handle *handle)
{
	struct node *n = (struct node *)l;

	(void)p;
	for (unsigned i = 0; i < TIMERS; i++) {
		if (n->timer[i].armed)
			continue;
		n->timer[i] = (struct timer){ true, n->sim->now + ns, data, fn };
		*handle = i;
		return 0;
	}
	return -ENOMEM;
}

int32_t qb_loop_timer_del(struct qb_loop *l, qb_loop_timer_handle handle)
{
	((struct node *)l)->timer[handle].armed = false;
	return 0;
}

bool machine_timer(struct node *n)
{
	for (unsigned i = 0; i < TIMERS; i++) {
		struct timer t = n->timer[i];

		if (!t.armed || t.at > n->sim->now)
			continue;
		n->timer[i].armed = false;
		t.fn(t.data);
		return true;
	}
	return false;
}

uint64_t machine_next_timer(const struct node *n)
{
	uint64_t at = ~0ull;

	for (unsigned i = 0; i < TIMERS; i++)
		if (n->timer[i].armed && n->timer[i].at < at)
			at = n->timer[i].at;
	for (unsigned i = 0; i < REACTORS; i++) {
		const struct cds_list_head *h = &n->reactor[i].timers;
		struct reactor_timer *t = cds_list_entry(h->next, struct reactor_timer, link);

		if (h->next != h && t->deadline < at)
			at = t->deadline;
	}
	return at;
}

void machine_reset(struct node *n)
{
	memset(n->timer, 0, sizeof(n->timer));
	n->nworkers = 0;
	n->nio = 0;
	n->tcp.nops = 0;
}

/* ---- worker threads ------------------------------------------------------------------------------------------------- */

int worker_init(struct worker *wk, struct mailbox *home)
{
	struct node *n = sim_world()->cur;

	wk->home = home;
	CDS_INIT_LIST_HEAD(&wk->queue);
	n->worker[n->nworkers++] = wk;
	return 0;
}

void worker_queue(struct worker *wk, struct work *w)
{
	cds_list_add_tail(&w->link, &wk->queue);
}

static void work_home(struct msg *m)
{
	struct work *w = caa_container_of(m, struct work, msg);

	w->done(w);
}

static bool worker_step(struct worker *wk)
{
	struct work *w;

	if (cds_list_empty(&wk->queue))
		return false;
	w = cds_list_first_entry(&wk->queue, struct work, link);
	cds_list_del(&w->link);
	w->run(w);
	w->msg.fn = work_home;
	mailbox_post(wk->home, &w->msg);
	return true;
}

void worker_fini(struct worker *wk)
{
	struct node *n = sim_world()->cur;

	while (worker_step(wk))
		;
	for (unsigned i = 0; i < n->nworkers; i++)
		if (n->worker[i] == wk)
			n->worker[i] = n->worker[--n->nworkers];
}

bool machine_work(struct node *n)
{
	unsigned first = n->nworkers > 1 ? sim_random(n->sim) % 2 : 0;

	for (unsigned i = 0; i < n->nworkers; i++)
		if (worker_step(n->worker[(first + i) % n->nworkers]))
			return true;
	return false;
}
