/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection's life. Its end, step by step, each waiting for what the one before has set free:
 *   END_SOCKET   shut down; the kernel still has buffers of ours
 *   END_TASKS    the commands end: those collecting data are abandoned, the others core ends (tmf.h)
 *   END_REGISTRY the registry forgets the session: from then on nobody knows the connection, it is freed
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/iscsi/conn.h"

#define MS 1000000ull

/* ---- timers ------------------------------------------------------------------------------------ */

static void login_late(struct reactor_timer *t)
{
	struct iscsi_conn *c = caa_container_of(t, struct iscsi_conn, timer);

	conn_close(c, LOG_LEVEL_WARNING, "the login was not complete within %u ms", c->server->set.login_timeout);
}

static void alive_check(struct reactor_timer *t)
{
	struct iscsi_conn *c = caa_container_of(t, struct iscsi_conn, timer);
	const struct iscsi_settings *set = &c->server->set;
	uint64_t now = c->reactor->now, silent = now - c->heard;

	if (c->tx.close_when_empty) {
		conn_close(c, LOG_LEVEL_NOTICE, "the last answer was not taken in time");
		return;
	}
	if (c->ping_ttt != TAG_NONE && c->heard < c->ping_sent &&
	    now - c->ping_sent >= set->nop_timeout * MS) {
		conn_close(c, LOG_LEVEL_WARNING, "no answer to NOP-In within %u ms: the initiator or the path is gone",
			   set->nop_timeout);
		return;
	}
	if (c->heard >= c->ping_sent)
		c->ping_ttt = TAG_NONE;
	if (c->ping_ttt == TAG_NONE && silent >= set->nop_interval * MS)
		nop_ping(c);
	reactor_timer_arm(c->reactor, t,
			  (c->ping_ttt == TAG_NONE ? set->nop_interval : set->nop_timeout) * MS);
}

void conn_full_feature(struct iscsi_conn *c)
{
	c->state = CONN_FULL;
	c->header_digest = c->neg.active.header_digest;
	c->data_digest = c->neg.active.data_digest;
	c->recv_segment_max = c->server->set.max_recv_data_segment;
	c->timer.fn = alive_check;
	reactor_timer_arm(c->reactor, &c->timer, c->server->set.nop_interval * MS);
	log_info("iscsi: %s logged in from %s to %s (%s)", c->neg.initiator, c->peer,
		 c->target ? c->target->name : "discovery", c->local);
}

/* ---- the end ------------------------------------------------------------------------------------- */

void conn_end_kick(struct iscsi_conn *c)
{
	if (!conn_open(c))
		reactor_defer(c->reactor, &c->end_hook);
}

void conn_close(struct iscsi_conn *c, enum log_level level, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	if (!conn_open(c))
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_msg(level, "iscsi: %s (%s): connection closed: %s", c->peer,
		c->nexus.initiator[0] ? c->nexus.initiator : "not logged in", why);
	c->state = CONN_CLOSING;
	c->end = END_SOCKET;
	reactor_timer_cancel(&c->timer);
	shutdown(c->fd, SHUT_RDWR); /* ends what the kernel still does with our buffers */
	conn_end_kick(c);
}

static void tasks_aborted(struct nexus_abort *a)
{
	struct iscsi_conn *c = caa_container_of(a, struct iscsi_conn, abort);

	c->aborting = false;
	conn_end_kick(c);
}

static void end_socket(struct iscsi_conn *c)
{
	if (c->rx.busy || c->tx.busy)
		return;
	c->end = END_TASKS;
	send_drop(c);
	if (!c->attached)
		return;
	c->rx.task = NULL;
	task_abandon(c, true);
	c->aborting = true;
	c->abort = (struct nexus_abort){ .nexus = &c->nexus, .fn = tasks_aborted };
	nexus_abort_tasks(&c->abort);
}

static void end_tasks(struct iscsi_conn *c)
{
	/* Commands that no logical unit knows of are in executing, too. */
	if (c->aborting || c->executing || c->tmfs)
		return;
	c->end = END_REGISTRY;
	if (c->attached)
		nexus_detach(&c->nexus);
	c->attached = false;
	if (c->registered)
		session_unregister(c);
}

static void conn_free(struct iscsi_conn *c)
{
	struct iscsi_server *s = c->server;
	struct reactor *r = c->reactor;

	cds_list_del(&c->link);
	close(c->fd);
	task_pool_fini(c);
	text_free(c);
	login_free(c);
	recv_fini(c);
	send_fini(c);
	free(c);
	iscsi_conn_gone(s, r);
}

static void end_step(struct reactor_hook *h)
{
	struct iscsi_conn *c = caa_container_of(h, struct iscsi_conn, end_hook);

	if (c->end == END_SOCKET)
		end_socket(c);
	if (c->end == END_TASKS)
		end_tasks(c);
	if (c->end == END_REGISTRY && !c->registered)
		conn_free(c);
}

/* ---- the beginning ------------------------------------------------------------------------------- */

static void names(struct iscsi_conn *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	snprintf(c->peer, sizeof(c->peer), "unknown");
	snprintf(c->local, sizeof(c->local), "unknown");
	if (getpeername(c->fd, (struct sockaddr *)&ss, &len) == 0)
		sockaddr_text(&ss, c->peer);
	len = sizeof(ss);
	if (getsockname(c->fd, (struct sockaddr *)&ss, &len) == 0)
		sockaddr_text(&ss, c->local);
}

static void on_start(struct msg *m)
{
	struct iscsi_conn *c = caa_container_of(m, struct iscsi_conn, start_msg);
	struct reactor_conns *rc = &c->server->per_reactor[c->reactor->index];

	cds_list_add_tail(&c->link, &rc->conns);
	if (rc->stopping) {
		conn_close(c, LOG_LEVEL_INFO, "the daemon stops");
		return;
	}
	c->heard = c->reactor->now;
	c->timer.fn = login_late;
	reactor_timer_arm(c->reactor, &c->timer, c->server->set.login_timeout * MS);
	recv_start(c);
}

static struct iscsi_conn *conn_alloc(struct iscsi_server *s, struct reactor *r, int fd)
{
	struct iscsi_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct iscsi_conn){ .server = s, .reactor = r, .fd = fd, .ping_ttt = TAG_NONE,
				  .end_hook.fn = end_step, .start_msg.fn = on_start };
	CDS_INIT_LIST_HEAD(&c->tasks);
	CDS_INIT_LIST_HEAD(&c->free_tasks);
	c->recv_segment_max = LOGIN_SEGMENT_MAX;
	keys_init(&c->neg, &s->set);
	if (recv_init(c))
		goto err;
	if (send_init(c))
		goto err_recv;
	return c;

err_recv:
	recv_fini(c);
err:
	free(c);
	return NULL;
}

void conn_new(struct iscsi_server *s, struct reactor *r, int fd)
{
	struct iscsi_conn *c = conn_alloc(s, r, fd);
	int one = 1;

	if (!c) {
		log_error("iscsi: a connection was turned away: out of memory");
		close(fd);
		__atomic_sub_fetch(&s->nconns, 1, __ATOMIC_RELAXED);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	names(c);
	reactor_post(r, &c->start_msg);
}
