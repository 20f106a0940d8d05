/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of sessions. It lives on the control thread and is reached by message only, at login and at the end:
 * no lock, and the order of events is the order of the messages.
 *
 * Session reinstatement (RFC 7143 6.3.5): a login with the name, ISID and target of a session that exists ends the old
 * one. The new session is entered behind it and granted only when all older ones with the same key have been
 * unregistered, that is, after their commands have ended.
 */
#include <string.h>

#include "drivers/iscsi/conn.h"

static struct iscsi_conn *conn_of(struct session_entry *e)
{
	return caa_container_of(e, struct iscsi_conn, session);
}

static bool same_key(const struct session_entry *a, const struct session_entry *b)
{
	return a->isid == b->isid && a->target == b->target && a->target && !strcmp(a->initiator, b->initiator);
}

/* ---- messages to the reactor ------------------------------------------------------------------ */

static void on_registered(struct msg *m)
{
	struct iscsi_conn *c = caa_container_of(m, struct iscsi_conn, session.register_msg);

	if (c->state == CONN_REGISTERING)
		login_registered(c);
}

static void on_end(struct msg *m)
{
	conn_close(caa_container_of(m, struct iscsi_conn, session.end_msg), LOG_LEVEL_NOTICE,
		   "the session ends: reinstated by a new login, or its target was reset");
}

static void on_unregistered(struct msg *m)
{
	struct iscsi_conn *c = caa_container_of(m, struct iscsi_conn, session.unregister_msg);

	c->registered = false;
	conn_end_kick(c);
}

/* ---- control thread ----------------------------------------------------------------------------- */

static void answer(struct session_entry *e, int status)
{
	e->status = status;
	e->granted = status == LOGIN_OK;
	e->register_msg.fn = on_registered;
	reactor_post(conn_of(e)->reactor, &e->register_msg);
}

static void end(struct session_entry *e)
{
	if (e->ending)
		return;
	e->ending = true;
	e->end_msg.fn = on_end;
	reactor_post(conn_of(e)->reactor, &e->end_msg);
}

static uint16_t new_tsih(struct iscsi_server *s)
{
	struct session_entry *e;
	bool taken;

	do {
		taken = ++s->last_tsih == 0; /* 0 means: no session yet */
		cds_list_for_each_entry(e, &s->sessions, link)
			taken |= e->granted && e->tsih == s->last_tsih;
	} while (taken);
	return s->last_tsih;
}

static bool has_older(struct iscsi_server *s, const struct session_entry *me)
{
	struct session_entry *e;

	cds_list_for_each_entry(e, &s->sessions, link) {
		if (e == me)
			return false;
		if (same_key(e, me))
			return true;
	}
	return false;
}

static void grant(struct iscsi_server *s, struct session_entry *e)
{
	e->tsih = new_tsih(s);
	answer(e, LOGIN_OK);
}

/* A TSIH asks for a further connection of that session: one connection is what MaxConnections says. */
static int join_status(struct iscsi_server *s, const struct session_entry *me)
{
	struct session_entry *e;

	cds_list_for_each_entry(e, &s->sessions, link)
		if (e->granted && e->tsih == me->tsih && same_key(e, me))
			return LOGIN_TOO_MANY_CONNECTIONS;
	return LOGIN_NO_SESSION;
}

static void do_register(struct msg *m)
{
	struct session_entry *me = caa_container_of(m, struct session_entry, register_msg), *e;
	struct iscsi_server *s = conn_of(me)->server;

	if (me->tsih) {
		int status = join_status(s, me);

		cds_list_add_tail(&me->link, &s->sessions);
		answer(me, status);
		return;
	}
	cds_list_for_each_entry(e, &s->sessions, link)
		if (same_key(e, me))
			end(e);
	cds_list_add_tail(&me->link, &s->sessions);
	if (!has_older(s, me))
		grant(s, me);
}

static void do_unregister(struct msg *m)
{
	struct session_entry *me = caa_container_of(m, struct session_entry, unregister_msg), *e;
	struct iscsi_server *s = conn_of(me)->server;

	cds_list_del(&me->link);
	cds_list_for_each_entry(e, &s->sessions, link)
		if (same_key(e, me) && !e->granted && !e->ending && !e->status && !has_older(s, e))
			grant(s, e);
	me->unregister_msg.fn = on_unregistered;
	reactor_post(conn_of(me)->reactor, &me->unregister_msg);
}

static void do_drop_target(struct msg *m)
{
	struct session_entry *me = caa_container_of(m, struct session_entry, drop_msg), *e;

	cds_list_for_each_entry(e, &conn_of(me)->server->sessions, link)
		if (e->target == me->target)
			end(e);
}

/* ---- from the reactor --------------------------------------------------------------------------- */

void session_register(struct iscsi_conn *c)
{
	struct session_entry *e = &c->session;

	*e = (struct session_entry){
		.isid = c->login.isid,
		.initiator = c->neg.initiator,
		.target = c->target,
		.tsih = c->login.tsih,
		.register_msg.fn = do_register,
	};
	c->registered = true;
	core_post_control(c->server->core, &e->register_msg);
}

void session_unregister(struct iscsi_conn *c)
{
	c->session.unregister_msg.fn = do_unregister;
	core_post_control(c->server->core, &c->session.unregister_msg);
}

void session_drop_target(struct iscsi_conn *c)
{
	if (c->session.dropping) /* on its way already, and this connection with it */
		return;
	c->session.dropping = true;
	c->session.drop_msg.fn = do_drop_target;
	core_post_control(c->server->core, &c->session.drop_msg);
}
