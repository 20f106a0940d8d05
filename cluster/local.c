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
	struct mailbox *control;
	struct msg turn;
	uint32_t node;
	struct transport_events ev;
	struct cds_list_head queue;
	bool joined, scheduled, closing;
};

static void turn(struct msg *msg)
{
	struct local *l = caa_container_of(msg, struct local, turn);
	CDS_LIST_HEAD(list);
	struct local_msg *m, *next;

	l->scheduled = false;
	if (l->closing)
		return;
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

static void schedule(struct local *l)
{
	if (l->scheduled)
		return;
	l->scheduled = true;
	mailbox_post(l->control, &l->turn);
}

struct local *local_new(struct mailbox *control, uint32_t node, const struct transport_events *ev)
{
	struct local *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct local){ .control = control, .node = node, .ev = *ev, .turn.fn = turn };
	CDS_INIT_LIST_HEAD(&l->queue);
	schedule(l);
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
	schedule(l);
	return 0;
}

void local_free(struct local *l)
{
	struct local_msg *m, *next;

	if (!l)
		return;
	l->closing = true;
	while (l->scheduled)
		mailbox_run(l->control);
	cds_list_for_each_entry_safe(m, next, &l->queue, link)
		free(m);
	free(l);
}
