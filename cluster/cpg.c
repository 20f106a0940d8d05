/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/cpg.h"

#include <corosync/cpg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/list.h>

#define RETRY_NS 1000000000ull
#define FLOW_NS 2000000ull

struct queued {
	struct cds_list_head link;
	size_t len;
	uint8_t data[];
};

struct cpg_link {
	qb_loop_t *loop;
	struct cpg_name group;
	uint32_t node;
	struct transport_events ev;
	cpg_handle_t handle;
	int fd; /* -1: not connected */
	struct cds_list_head queue;
	size_t queued;
	qb_loop_timer_handle retry, flow;
	bool retrying, flowing, broken;
	char why[192], said[192];
};

static void connect_now(void *data);

static struct cpg_link *link_of(cpg_handle_t handle)
{
	void *context = NULL;

	return cpg_context_get(handle, &context) == CS_OK ? context : NULL;
}

/* ---- sending ---------------------------------------------------------------------------------- */

static void queue_clear(struct cpg_link *l)
{
	struct queued *q, *next;

	cds_list_for_each_entry_safe(q, next, &l->queue, link)
		free(q);
	CDS_INIT_LIST_HEAD(&l->queue);
	l->queued = 0;
}

static cs_error_t mcast(struct cpg_link *l, const void *msg, size_t len)
{
	struct iovec v = { (void *)msg, len };

	return cpg_mcast_joined(l->handle, CPG_TYPE_AGREED, &v, 1);
}

static void flow_retry(void *data);

static void flush(struct cpg_link *l)
{
	while (!cds_list_empty(&l->queue) && l->fd >= 0) {
		struct queued *q = cds_list_first_entry(&l->queue, struct queued, link);
		cs_error_t e = mcast(l, q->data, q->len);

		if (e != CS_OK) {
			/* a broken connection is noticed and told by the dispatch */
			if (!l->flowing)
				l->flowing = !qb_loop_timer_add(l->loop, QB_LOOP_HIGH, FLOW_NS, l, flow_retry, &l->flow);
			return;
		}
		cds_list_del(&q->link);
		l->queued -= q->len;
		free(q);
	}
}

static void flow_retry(void *data)
{
	struct cpg_link *l = data;

	l->flowing = false;
	flush(l);
}

int cpg_link_send(struct cpg_link *l, const void *msg, size_t len)
{
	struct queued *q;

	if (l->fd < 0)
		return -ENOTCONN;
	if (cds_list_empty(&l->queue) && mcast(l, msg, len) == CS_OK)
		return 0;
	if (l->queued + len > CPG_QUEUE_MAX)
		return -ENOBUFS;
	q = malloc(sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	q->len = len;
	memcpy(q->data, msg, len);
	CDS_INIT_LIST_HEAD(&q->link);
	cds_list_add_tail(&q->link, &l->queue);
	l->queued += len;
	flush(l);
	return 0;
}

/* ---- receiving ---------------------------------------------------------------------------------- */

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *msg,
		       size_t len)
{
	struct cpg_link *l = link_of(handle);

	(void)group;
	(void)pid;
	if (l && !l->broken)
		l->ev.deliver(l->ev.arg, node, msg, len);
}

static enum replog_gone_reason reason(uint32_t r)
{
	return r == CPG_REASON_LEAVE ? REPLOG_LEFT : r == CPG_REASON_PROCDOWN ? REPLOG_PROCESS_DOWN : REPLOG_NODE_DOWN;
}

static void on_confchg(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *member, size_t n,
		       const struct cpg_address *left, size_t nleft, const struct cpg_address *join, size_t njoin)
{
	struct cpg_link *l = link_of(handle);
	uint32_t m[CPG_MEMBERS_MAX], j[CPG_MEMBERS_MAX];
	struct replog_gone g[CPG_MEMBERS_MAX];

	(void)group;
	if (!l || l->broken || n > CPG_MEMBERS_MAX || nleft > CPG_MEMBERS_MAX || njoin > CPG_MEMBERS_MAX)
		return;
	for (size_t i = 0; i < n; i++)
		m[i] = member[i].nodeid;
	for (size_t i = 0; i < nleft; i++)
		g[i] = (struct replog_gone){ left[i].nodeid, reason(left[i].reason) };
	for (size_t i = 0; i < njoin; i++)
		j[i] = join[i].nodeid;
	l->ev.confchg(l->ev.arg, m, n, g, nleft, j, njoin);
}

static void on_ring(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t n, const uint32_t *nodes)
{
	struct cpg_link *l = link_of(handle);

	if (l && !l->broken)
		l->ev.ring(l->ev.arg, ring.seq, nodes, n);
}

/* ---- the connection ------------------------------------------------------------------------------ */

static void retry_later(struct cpg_link *l)
{
	if (!l->retrying)
		l->retrying = !qb_loop_timer_add(l->loop, QB_LOOP_MED, RETRY_NS, l, connect_now, &l->retry);
}

static void disconnect(struct cpg_link *l)
{
	if (l->fd >= 0) {
		qb_loop_poll_del(l->loop, l->fd);
		cpg_finalize(l->handle);
	}
	l->fd = -1;
	queue_clear(l);
}

/* Says the same thing only once while it lasts. */
static void lost(struct cpg_link *l, const char *why)
{
	disconnect(l);
	if (strcmp(l->said, why)) {
		snprintf(l->said, sizeof(l->said), "%s", why);
		l->ev.lost(l->ev.arg, why);
	}
	retry_later(l);
}

static int32_t readable(int32_t fd, int32_t revents, void *data)
{
	struct cpg_link *l = data;

	(void)fd;
	(void)revents;
	if (cpg_dispatch(l->handle, CS_DISPATCH_ALL) != CS_OK) {
		lost(l, "corosync on this node is gone: check `systemctl status corosync`; trying again every second");
		return 0;
	}
	flush(l);
	return 0;
}

static cs_error_t join(struct cpg_link *l)
{
	cs_error_t e = CS_ERR_TRY_AGAIN;
	struct timespec ms = { 0, 1000000 };

	/* corosync answers TRY_AGAIN for some ms while it synchronises; longer than that is left to the retry */
	for (int i = 0; i < 20 && e == CS_ERR_TRY_AGAIN; i++) {
		e = cpg_join(l->handle, &l->group);
		if (e == CS_ERR_TRY_AGAIN)
			nanosleep(&ms, NULL);
	}
	return e;
}

static void refuse(struct cpg_link *l, const char *why)
{
	cpg_finalize(l->handle);
	l->fd = -1;
	lost(l, why);
}

static void connect_now(void *data)
{
	struct cpg_link *l = data;
	cpg_model_v1_data_t model = { .model = CPG_MODEL_V1,
				      .cpg_deliver_fn = on_deliver,
				      .cpg_confchg_fn = on_confchg,
				      .cpg_totem_confchg_fn = on_ring,
				      .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF };
	uint32_t node = 0;
	char why[192];

	l->retrying = false;
	if (cpg_model_initialize(&l->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, l) != CS_OK) {
		lost(l, "corosync does not run on this node: start it; trying again every second");
		return;
	}
	if (cpg_local_get(l->handle, &node) != CS_OK || node != l->node) {
		snprintf(why, sizeof(why), "corosync says this is node %u, the configuration says node %u: make nodeid in "
			 "corosync.conf and id in sandem.yaml the same", node, l->node);
		refuse(l, why);
		return;
	}
	if (cpg_fd_get(l->handle, &l->fd) != CS_OK || join(l) != CS_OK) {
		refuse(l, "corosync does not let this node join its group yet: trying again every second");
		return;
	}
	l->said[0] = 0;
	if (qb_loop_poll_add(l->loop, QB_LOOP_HIGH, l->fd, POLLIN, l, readable))
		refuse(l, "out of memory while joining the group");
}

struct cpg_link *cpg_link_new(qb_loop_t *loop, const char *group, uint32_t node, const struct transport_events *ev)
{
	struct cpg_link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct cpg_link){ .loop = loop, .node = node, .ev = *ev, .fd = -1 };
	CDS_INIT_LIST_HEAD(&l->queue);
	l->group.length = snprintf(l->group.value, sizeof(l->group.value), "%s", group);
	if (l->group.length >= sizeof(l->group.value))
		l->group.length = sizeof(l->group.value) - 1;
	connect_now(l);
	return l;
}

void cpg_link_free(struct cpg_link *l)
{
	if (!l)
		return;
	l->broken = true;
	if (l->fd >= 0)
		cpg_leave(l->handle, &l->group);
	disconnect(l);
	if (l->retrying)
		qb_loop_timer_del(l->loop, l->retry);
	if (l->flowing)
		qb_loop_timer_del(l->loop, l->flow);
	free(l);
}
