/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/quorum.h"

#include <corosync/quorum.h>
#include <poll.h>
#include <stdlib.h>

#define RETRY_NS 1000000000ull

struct quorum_watch {
	qb_loop_t *loop;
	void (*changed)(void *arg, bool quorate, uint64_t ring_seq);
	void *arg;
	quorum_handle_t handle;
	int fd; /* -1: not connected */
	qb_loop_timer_handle retry;
	bool retrying;
};

static void connect_now(void *data);

static void notify(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring, uint32_t n,
		   const uint32_t *members)
{
	struct quorum_watch *q;
	const void *context;

	(void)n;
	(void)members;
	if (quorum_context_get(handle, &context) != CS_OK)
		return;
	q = (struct quorum_watch *)context;
	q->changed(q->arg, quorate != 0, ring.seq);
}

static void nodelist(quorum_handle_t handle, struct quorum_ring_id ring, uint32_t n, const uint32_t *members,
		     uint32_t nj, const uint32_t *joined, uint32_t nl, const uint32_t *left)
{
	(void)handle, (void)ring, (void)n, (void)members, (void)nj, (void)joined, (void)nl, (void)left;
}

static void retry_later(struct quorum_watch *q)
{
	if (!q->retrying)
		q->retrying = !qb_loop_timer_add(q->loop, QB_LOOP_MED, RETRY_NS, q, connect_now, &q->retry);
}

static void disconnect(struct quorum_watch *q)
{
	if (q->fd < 0)
		return;
	qb_loop_poll_del(q->loop, q->fd);
	quorum_finalize(q->handle);
	q->fd = -1;
}

static int32_t readable(int32_t fd, int32_t revents, void *data)
{
	struct quorum_watch *q = data;

	(void)fd;
	(void)revents;
	if (quorum_dispatch(q->handle, CS_DISPATCH_ALL) == CS_OK)
		return 0;
	disconnect(q);
	q->changed(q->arg, false, 0);
	retry_later(q);
	return 0;
}

static void connect_now(void *data)
{
	struct quorum_watch *q = data;
	quorum_model_v1_data_t model = { .model = QUORUM_MODEL_V1,
					 .quorum_notify_fn = notify,
					 .nodelist_notify_fn = nodelist };
	uint32_t type;

	q->retrying = false;
	if (quorum_model_initialize(&q->handle, QUORUM_MODEL_V1, (quorum_model_data_t *)&model, &type, q) != CS_OK) {
		retry_later(q);
		return;
	}
	if (quorum_fd_get(q->handle, &q->fd) != CS_OK ||
	    quorum_trackstart(q->handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES) != CS_OK ||
	    qb_loop_poll_add(q->loop, QB_LOOP_HIGH, q->fd, POLLIN, q, readable)) {
		quorum_finalize(q->handle);
		q->fd = -1;
		retry_later(q);
	}
}

struct quorum_watch *quorum_watch_new(qb_loop_t *loop, void (*changed)(void *arg, bool quorate, uint64_t ring_seq),
				      void *arg)
{
	struct quorum_watch *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	*q = (struct quorum_watch){ .loop = loop, .changed = changed, .arg = arg, .fd = -1 };
	connect_now(q);
	return q;
}

void quorum_watch_free(struct quorum_watch *q)
{
	if (!q)
		return;
	disconnect(q);
	if (q->retrying)
		qb_loop_timer_del(q->loop, q->retry);
	free(q);
}
