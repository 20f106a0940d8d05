/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver as the daemon sees it: start, stop, who is there. */
#include "drivers/iscsi/iscsi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/iscsi/conn.h"

/* ---- settings ----------------------------------------------------------------------------------- */

void iscsi_settings_default(struct iscsi_settings *s)
{
#define X(name, def, min, max) s->name = (def);
	ISCSI_SETTINGS(X)
#undef X
}

int iscsi_settings_check(const struct iscsi_settings *s, char *err, size_t errlen)
{
	static const struct {
		const char *name;
		uint32_t min, max;
	} limits[] = {
#define X(name, def, min, max) { #name, min, max },
		ISCSI_SETTINGS(X)
#undef X
	};
	const uint32_t values[] = {
#define X(name, def, min, max) s->name,
		ISCSI_SETTINGS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (values[i] < limits[i].min || values[i] > limits[i].max) {
			snprintf(err, errlen, "iscsi setting %s is %u; allowed are %u to %u", limits[i].name,
				 values[i], limits[i].min, limits[i].max);
			return -ERANGE;
		}
	return 0;
}

/* ---- start --------------------------------------------------------------------------------------- */

static void on_start(struct msg *m)
{
	struct iscsi_server *s = caa_container_of(m, struct iscsi_server, start_msg);

	for (uint16_t i = 0; i < s->nlisteners; i++)
		portal_accept(&s->listener[i]);
}

static void server_free(struct iscsi_server *s)
{
	for (uint16_t i = 0; i < s->nlisteners; i++)
		portal_close(&s->listener[i]);
	free(s->listener);
	free(s->per_reactor);
	free(s);
}

static struct iscsi_server *server_new(struct core *core, const struct iscsi_params *p)
{
	struct iscsi_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct iscsi_server){ .core = core, .set = p->settings, .start_msg.fn = on_start };
	CDS_INIT_LIST_HEAD(&s->sessions);
	s->listener = calloc(p->nportals + 1, sizeof(*s->listener));
	s->per_reactor = calloc(core->nreactors, sizeof(*s->per_reactor));
	if (!s->listener || !s->per_reactor) {
		server_free(s);
		return NULL;
	}
	for (unsigned i = 0; i < core->nreactors; i++) {
		s->per_reactor[i].server = s;
		s->per_reactor[i].reactor = &core->reactor[i];
		CDS_INIT_LIST_HEAD(&s->per_reactor[i].conns);
	}
	return s;
}

int iscsi_start(struct iscsi_server **out, struct core *core, const struct iscsi_params *p, char *err, size_t errlen)
{
	struct iscsi_server *s;
	int rc = iscsi_settings_check(&p->settings, err, errlen);

	if (rc)
		return rc;
	s = server_new(core, p);
	if (!s) {
		snprintf(err, errlen, "iscsi: no memory to start the driver");
		return -ENOMEM;
	}
	for (; s->nlisteners < p->nportals; s->nlisteners++) {
		struct listener *l = &s->listener[s->nlisteners];

		*l = (struct listener){ .server = s, .portal = p->portal[s->nlisteners], .fd = -1 };
		rc = portal_bind(l, err, errlen);
		if (rc) {
			server_free(s);
			return rc;
		}
	}
	reactor_post(&core->reactor[0], &s->start_msg);
	*out = s;
	return 0;
}

/* ---- stop: portals (reactor 0) → connections (every reactor) → control thread -------------------- */

static void maybe_free(struct iscsi_server *s)
{
	void (*stopped)(void *arg) = s->stopped;
	void *arg = s->stopped_arg;

	if (!s->gone || s->collects)
		return;
	server_free(s);
	stopped(arg);
}

static void on_reactor_done(struct msg *m)
{
	struct iscsi_server *s = caa_container_of(m, struct reactor_conns, msg)->server;

	s->gone = --s->left == 0;
	maybe_free(s);
}

static void report_when_empty(struct reactor_conns *rc)
{
	if (!rc->stopping || rc->reported || !cds_list_empty(&rc->conns))
		return;
	rc->reported = true;
	reactor_timer_cancel(&rc->grace);
	rc->msg.fn = on_reactor_done;
	core_post_control(rc->server->core, &rc->msg);
}

void iscsi_conn_gone(struct iscsi_server *s, struct reactor *r)
{
	__atomic_sub_fetch(&s->nconns, 1, __ATOMIC_RELAXED);
	report_when_empty(&s->per_reactor[r->index]);
}

/* First the announcement; those that don't take it within the same time again are just closed. */
static void grace_over(struct reactor_timer *t)
{
	struct reactor_conns *rc = caa_container_of(t, struct reactor_conns, grace);
	struct iscsi_conn *c;

	cds_list_for_each_entry(c, &rc->conns, link)
		if (c->state == CONN_FULL && !rc->told)
			logout_tell(c);
		else
			conn_close(c, LOG_LEVEL_INFO, "the daemon stops");
	rc->told = true;
	reactor_timer_arm(rc->reactor, t, rc->server->set.logout_grace * 1000000ull);
}

static void on_reactor_stop(struct msg *m)
{
	struct reactor_conns *rc = caa_container_of(m, struct reactor_conns, msg);
	struct iscsi_conn *c;

	rc->stopping = true;
	cds_list_for_each_entry(c, &rc->conns, link)
		if (c->state == CONN_FULL)
			logout_ask(c);
		else
			conn_close(c, LOG_LEVEL_INFO, "the daemon stops");
	rc->grace.fn = grace_over;
	reactor_timer_arm(rc->reactor, &rc->grace, rc->server->set.logout_grace * 1000000ull);
	report_when_empty(rc);
}

void iscsi_portals_quiet(struct iscsi_server *s)
{
	for (uint16_t i = 0; i < s->nlisteners; i++)
		if (s->listener[i].busy)
			return;
	/* Connections dealt out before this are in front of it in every mailbox. */
	for (unsigned i = 0; i < s->core->nreactors; i++) {
		s->per_reactor[i].msg.fn = on_reactor_stop;
		reactor_post(&s->core->reactor[i], &s->per_reactor[i].msg);
	}
}

static void on_stop(struct msg *m)
{
	struct iscsi_server *s = caa_container_of(m, struct iscsi_server, stop_msg);
	bool busy = false;

	s->stopping = true;
	for (uint16_t i = 0; i < s->nlisteners; i++) {
		busy |= s->listener[i].busy;
		portal_cancel(&s->listener[i]);
	}
	if (!busy)
		iscsi_portals_quiet(s);
}

void iscsi_stop(struct iscsi_server *s, void (*done)(void *arg), void *arg)
{
	s->stopped = done;
	s->stopped_arg = arg;
	s->left = s->core->nreactors;
	s->stop_msg.fn = on_stop;
	reactor_post(&s->core->reactor[0], &s->stop_msg);
}

/* ---- who is there -------------------------------------------------------------------------------- */

struct collect_part {
	struct msg msg;
	struct collect *collect;
	struct reactor *reactor;
	struct iscsi_session_row *row;
	size_t n;
};

struct collect {
	struct iscsi_server *server;
	iscsi_sessions_fn fn;
	void *arg;
	unsigned left;
	struct collect_part part[];
};

static void fill_row(const struct iscsi_conn *c, struct iscsi_session_row *row)
{
	const struct key_values *v = &c->neg.active;

	*row = (struct iscsi_session_row){
		.isid = c->login.isid,
		.tsih = c->login.tsih,
		.reactor = c->reactor->index,
		.in_flight = c->executing,
		.commands = c->commands,
		.since = c->nexus.since,
		.header_digest = v->header_digest,
		.data_digest = v->data_digest,
		.initial_r2t = v->initial_r2t,
		.immediate_data = v->immediate_data,
		.max_send_data_segment = v->send_segment,
		.max_recv_data_segment = c->recv_segment_max,
		.max_burst = v->max_burst,
		.first_burst = v->first_burst,
	};
	snprintf(row->initiator, sizeof(row->initiator), "%s", c->neg.initiator);
	snprintf(row->peer, sizeof(row->peer), "%s", c->peer);
	snprintf(row->target, sizeof(row->target), "%s", c->target ? c->target->name : "");
}

static void on_collected(struct msg *m)
{
	struct collect *k = caa_container_of(m, struct collect_part, msg)->collect;
	unsigned parts = k->server->core->nreactors;
	struct iscsi_session_row *all;
	size_t n = 0, at = 0;

	if (--k->left)
		return;
	for (unsigned i = 0; i < parts; i++)
		n += k->part[i].n;
	all = malloc((n + 1) * sizeof(*all));
	for (unsigned i = 0; i < parts; i++) {
		if (all && k->part[i].n)
			memcpy(all + at, k->part[i].row, k->part[i].n * sizeof(*all));
		at += k->part[i].n;
		free(k->part[i].row);
	}
	k->fn(k->arg, all, all ? n : 0);
	free(all);
	k->server->collects--;
	maybe_free(k->server);
	free(k);
}

static void on_collect(struct msg *m)
{
	struct collect_part *p = caa_container_of(m, struct collect_part, msg);
	struct reactor_conns *rc = &p->collect->server->per_reactor[p->reactor->index];
	struct iscsi_conn *c;
	size_t n = 0;

	cds_list_for_each_entry(c, &rc->conns, link)
		n += c->state == CONN_FULL;
	p->row = calloc(n + 1, sizeof(*p->row));
	if (!p->row)
		log_error("iscsi: no memory to list %zu sessions of reactor %u", n, p->reactor->index);
	else
		cds_list_for_each_entry(c, &rc->conns, link)
			if (c->state == CONN_FULL)
				fill_row(c, &p->row[p->n++]);
	p->msg.fn = on_collected;
	core_post_control(p->reactor->core, &p->msg);
}

int iscsi_sessions(struct iscsi_server *s, iscsi_sessions_fn fn, void *arg)
{
	unsigned n = s->core->nreactors;
	struct collect *k = calloc(1, sizeof(*k) + n * sizeof(k->part[0]));

	if (!k)
		return -ENOMEM;
	k->server = s;
	k->fn = fn;
	k->arg = arg;
	k->left = n;
	s->collects++;
	for (unsigned i = 0; i < n; i++) {
		struct collect_part *p = &k->part[i];

		*p = (struct collect_part){ .msg.fn = on_collect, .collect = k, .reactor = &s->core->reactor[i] };
		reactor_post(p->reactor, &p->msg);
	}
	return 0;
}
