/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tasks of a connection: a pool that grows in chunks up to its bound, and a hash by initiator task tag.
 *
 * The bound: the CmdSN window, immediate commands, and those whose answer is in the batch (the window is opened again
 * by the very PDU that answers, before its task is given back).
 */
#include <errno.h>
#include <stdlib.h>

#include "drivers/iscsi/conn.h"
#include "drivers/iscsi/task.h"

static struct iscsi_task **bucket(struct iscsi_conn *c, uint32_t itt)
{
	return &c->by_itt[itt * 2654435761u >> 24]; /* 256 of them */
}

_Static_assert(ITT_BUCKETS == 256, "bucket() takes eight bits of the hash");

struct iscsi_task *task_find(struct iscsi_conn *c, uint32_t itt)
{
	struct iscsi_task *t = *bucket(c, itt);

	while (t && t->itt != itt)
		t = t->hash_next;
	return t;
}

static bool grow(struct iscsi_conn *c)
{
	struct iscsi_task *chunk;
	uint32_t n = c->task_limit - c->ntasks;

	if (n > TASK_CHUNK)
		n = TASK_CHUNK;
	if (!n)
		return false;
	chunk = calloc(n, sizeof(*chunk));
	if (!chunk)
		return false;
	c->chunk[c->nchunks++] = chunk;
	c->ntasks += n;
	for (uint32_t i = 0; i < n; i++)
		cds_list_add_tail(&chunk[i].link, &c->free_tasks);
	return true;
}

struct iscsi_task *task_get(struct iscsi_conn *c, uint32_t itt, bool immediate)
{
	struct iscsi_task *t, **b = bucket(c, itt);

	if (immediate && c->immediate_tasks >= IMMEDIATE_TASKS)
		return NULL;
	if (cds_list_empty(&c->free_tasks) && !grow(c))
		return NULL;
	t = cds_list_first_entry(&c->free_tasks, struct iscsi_task, link);
	cds_list_del(&t->link);
	cds_list_add_tail(&t->link, &c->tasks);
	t->conn = c;
	t->state = TASK_COLLECTING;
	t->immediate = immediate;
	t->credited = false;
	t->itt = itt;
	t->hash_next = *b;
	*b = t;
	c->immediate_tasks += immediate;
	return t;
}

void task_answered(struct iscsi_task *t)
{
	struct iscsi_conn *c = t->conn;
	struct iscsi_task **p = bucket(c, t->itt);

	if (t->credited)
		return;
	t->credited = true;
	while (*p != t)
		p = &(*p)->hash_next;
	*p = t->hash_next;
	if (!t->immediate)
		c->max_cmdsn++;
}

void task_release(struct iscsi_task *t)
{
	struct iscsi_conn *c = t->conn;

	task_answered(t); /* aborted ones have no answer */
	cmd_fini(&t->cmd);
	c->immediate_tasks -= t->immediate;
	t->state = TASK_FREE;
	cds_list_del(&t->link);
	cds_list_add(&t->link, &c->free_tasks); /* the warmest one is taken next */
}

void task_abandon(struct iscsi_conn *c, bool all)
{
	struct iscsi_task *t, *next;

	cds_list_for_each_entry_safe(t, next, &c->tasks, link) {
		/* the one whose data is just being received ends when that is there */
		if (t->state != TASK_COLLECTING || t == c->rx.task || !(all || t->cmd.aborted))
			continue;
		if (!all && t->cmd.tell_abort) /* answered when what was asked for has come */
			continue;
		send_unqueue(c, &t->r2t);
		cmd_abandon(&t->cmd);
		task_release(t);
	}
}

int task_pool_init(struct iscsi_conn *c)
{
	c->task_limit = c->server->set.queue_depth + BATCH_PDUS + IMMEDIATE_TASKS;
	c->chunk = calloc(c->task_limit / TASK_CHUNK + 1, sizeof(*c->chunk));
	return c->chunk ? 0 : -ENOMEM;
}

void task_pool_fini(struct iscsi_conn *c)
{
	for (uint32_t i = 0; i < c->nchunks; i++)
		free(c->chunk[i]);
	free(c->chunk);
}
