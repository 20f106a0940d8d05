/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/list.h>

struct local_msg {
	struct cds_list_head link;
	size_t len;
	uint8_t data[];
};

struct local {
	qb_loop_t *loop;
	uint32_t node;
	struct transport_events ev;
	struct cds_list_head queue;
	bool joined, scheduled;
};

static void turn(void *data)
{
	struct local *l = data;
	CDS_LIST_HEAD(list);
	struct local_msg *m, *next;

	l->scheduled = false;
	if (!l->joined) {
		l->joined = true;
		l->ev.confchg(l->ev.arg, &l->node, 1, NULL, 0, &l->node, 1);
	}
	cds_list_splice(&l->queue, &list);
	CDS_INIT_LIST_HEAD(&l->queue);
	cds_list_for_each_entry_safe(m, next, &list, link) {
		l->ev.deliver(l->ev.arg, l->node, m->data, m->len);
		free(m);
	}
}

static int schedule(struct local *l)
{
	if (l->scheduled)
		return 0;
	l->scheduled = !qb_loop_job_add(l->loop, QB_LOOP_HIGH, l, turn);
	return l->scheduled ? 0 : -ENOMEM;
}

struct local *local_new(qb_loop_t *loop, uint32_t node, const struct transport_events *ev)
{
	struct local *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct local){ .loop = loop, .node = node, .ev = *ev };
	CDS_INIT_LIST_HEAD(&l->queue);
	if (schedule(l)) {
		free(l);
		return NULL;
	}
	return l;
}

int local_send(struct local *l, const void *msg, size_t len)
{
	struct local_msg *m = malloc(sizeof(*m) + len);

	if (!m)
		return -ENOMEM;
	m->len = len;
	memcpy(m->data, msg, len);
	CDS_INIT_LIST_HEAD(&m->link);
	cds_list_add_tail(&m->link, &l->queue);
	return schedule(l);
}

void local_free(struct local *l)
{
	struct local_msg *m, *next;

	if (!l)
		return;
	if (l->scheduled)
		qb_loop_job_del(l->loop, QB_LOOP_HIGH, l, turn);
	cds_list_for_each_entry_safe(m, next, &l->queue, link)
		free(m);
	free(l);
}
