/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Level-triggered: ownership_reconcile() compares the log's state with the devices and takes one step; the end of each
 * step calls it again. So a step that was overtaken by events (quorum lost, demoted while opening) needs no special case.
 *
 *   devices:  CLOSED ──▶ OPENING ──▶ OPEN ──▶ DRAINING ──▶ CLOSING ──▶ CLOSED
 */
#include <errno.h>
#include <qb/qbutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/explicit.h"
#include "daemon/reconfig.h"
#include "daemon/sync_all.h"
#include "drivers/disk/disk_handlers.h"

#define REPORT_RETRY_MS 100

enum want { WANT_ACTIVE, WANT_RELEASED };

struct ownership_waiter {
	struct cds_list_head link;
	enum want want;
	ownership_done_fn done;
	void *arg;
};

/* ---- predicates ----------------------------------------------------------------------------------- */

static const struct group *group_of(const struct ownership *o)
{
	return alua_service_group(o->d->alua, o->group);
}

static bool serving(const struct ownership *o)
{
	return cluster_state(o->d->cluster) == CLUSTER_SERVING;
}

static bool owned_here(const struct ownership *o, const struct group *g)
{
	return g->owner == o->d->node && !g->lost;
}

static bool wants_devices(const struct ownership *o, const struct group *g)
{
	return owned_here(o, g) && !o->give_up_locally && !o->failed &&
	       (g->phase == GROUP_OPENING || g->phase == GROUP_ACTIVE);
}

/* ---- those who wait ---------------------------------------------------------------------------------- */

static void wait_for(struct ownership *o, enum want want, ownership_done_fn done, void *arg)
{
	struct ownership_waiter *w = malloc(sizeof(*w));

	if (!w) {
		done(arg, false, "out of memory");
		return;
	}
	*w = (struct ownership_waiter){ .want = want, .done = done, .arg = arg };
	cds_list_add_tail(&w->link, &o->waiters);
}

static void tell(struct ownership *o, enum want want, bool ok, const char *message)
{
	struct ownership_waiter *w, *next;

	cds_list_for_each_entry_safe(w, next, &o->waiters, link) {
		if (w->want != want)
			continue;
		cds_list_del(&w->link);
		w->done(w->arg, ok, message);
		free(w);
	}
}

/* ---- reports to the log ------------------------------------------------------------------------------- */

struct report {
	struct ownership *o;
	enum group_action action;
};

static void handover_watch(struct ownership *o);

static void retry_expired(void *arg)
{
	struct ownership *o = arg;

	o->retry_armed = false;
	ownership_reconcile(o);
}

/* A report that was not taken is made again, but not at once: whatever refused it may go on to. */
static void try_again_later(struct ownership *o)
{
	if (!o->retry_armed)
		o->retry_armed = qb_loop_timer_add(o->d->loop, QB_LOOP_MED, REPORT_RETRY_MS * QB_TIME_NS_IN_MSEC, o,
						   retry_expired, &o->retry_timer) == 0;
}

static void reported(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct report *r = cookie;
	struct ownership *o = r->o;
	const struct group *g = group_of(o);

	(void)result;
	(void)len;
	o->proposing = false;
	/* Whether this report made it so or an earlier one whose answer was lost: all members are at this position. */
	if (status == PROPOSE_OK && r->action == GROUP_ACTIVATE && o->phase == OWNERSHIP_OPEN && owned_here(o, g) &&
	    g->phase == GROUP_ACTIVE && g->epoch == o->epoch) {
		o->active_everywhere = true;
		log_notice("group %s: active here (epoch %llu)", o->group, (unsigned long long)o->epoch);
	}
	if (g->phase == GROUP_HANDOVER)
		handover_watch(o);
	free(r);
	if (status == PROPOSE_OK)
		ownership_reconcile(o);
	else
		try_again_later(o);
}

static void propose(struct ownership *o, enum group_action action, uint64_t epoch, propose_done_fn done,
		    void *cookie)
{
	struct proposer *p = cluster_proposer(o->d->cluster);
	struct wbuf msg = { 0 };

	alua_service_pack(&msg, action, o->group, o->d->node, epoch);
	p->propose(p, ALUA_SERVICE_ID, msg.data, msg.len, done, cookie);
	wbuf_fini(&msg);
}

static void report(struct ownership *o, enum group_action action, uint64_t epoch)
{
	struct report *r;

	if (o->proposing || !serving(o))
		return;
	r = malloc(sizeof(*r));
	if (!r)
		return; /* tried again at the next event */
	*r = (struct report){ .o = o, .action = action };
	o->proposing = true;
	propose(o, action, epoch, reported, r);
}

/* Nobody came to own the group: after the time that commands are held its ports are unavailable, not transitioning. */
static void handover_expired(void *arg)
{
	struct ownership *o = arg;
	const struct group *g = group_of(o);

	o->handover_armed = false;
	if (g->phase == GROUP_HANDOVER)
		report(o, GROUP_GIVE_UP, g->epoch);
}

static void handover_watch(struct ownership *o)
{
	if (o->handover_armed)
		return;
	o->handover_armed = qb_loop_timer_add(o->d->loop, QB_LOOP_MED, o->hold_limit_ms * QB_TIME_NS_IN_MSEC,
					      o, handover_expired, &o->handover_timer) == 0;
}

/* ---- opening -------------------------------------------------------------------------------------------- */

static void close_all(struct ownership *o)
{
	for (uint32_t i = 0; i < o->nlus; i++) {
		if (o->opened[i])
			o->opened[i]->ops->close(o->opened[i]);
		o->opened[i] = NULL;
	}
}

static void open_run(struct work *w)
{
	struct ownership *o = caa_container_of(w, struct ownership, work);

	o->work_result = 0;
	for (uint32_t i = 0; i < o->nlus && !o->work_result; i++) {
		if (o->absent[i])
			continue;
		o->work_result = disk_handler_open(&o->lu[i]->disk_params, &o->opened[i], o->work_error,
						   sizeof(o->work_error));
		if (o->lu[i]->removable && (o->work_result == -ENOENT || o->work_result == -ENOMEDIUM)) {
			o->absent[i] = true;
			o->work_result = 0;
		}
	}
	if (o->work_result)
		close_all(o);
}

static void open_done(struct work *w)
{
	struct ownership *o = caa_container_of(w, struct ownership, work);

	if (o->work_result) {
		snprintf(o->error, sizeof(o->error), "%s", o->work_error);
		log_error("group %s: cannot be opened here: %s", o->group, o->error);
		o->phase = OWNERSHIP_CLOSED;
		ownership_reconcile(o);
		return;
	}
	for (uint32_t i = 0; i < o->nlus; i++) {
		struct lu *lu = o->lu[i];

		if (o->absent[i]) {
			removal_absent(o->d, lu);
			continue;
		}
		media_opened(o->d, lu, o->opened[i]->size);
		(void)lu_publish(lu, disk, o->opened[i]);
		o->opened[i] = NULL;
	}
	o->phase = OWNERSHIP_OPEN;
	ownership_reconcile(o);
}

static void start_open(struct ownership *o, uint64_t epoch)
{
	o->phase = OWNERSHIP_OPENING;
	o->epoch = epoch;
	o->unflushed = false;
	o->error[0] = '\0';
	for (uint32_t i = 0; i < o->nlus; i++) {
		media_before_open(o->d, o->lu[i]);
		o->absent[i] = removal_is_ejected(o->d, o->lu[i]);
	}
	o->work.run = open_run;
	o->work.done = open_done;
	worker_queue(&o->d->worker, &o->work);
}

/* ---- closing: drain, flush, close ------------------------------------------------------------------------- */

static void close_run(struct work *w)
{
	struct ownership *o = caa_container_of(w, struct ownership, work);
	uint32_t failed;

	o->work_result = sync_all(o->opened, o->nlus, &failed);
	if (o->work_result)
		snprintf(o->work_error, sizeof(o->work_error), "LUN %s: flush of %s: %s", o->lu[failed]->name,
			 o->lu[failed]->disk_params.path, strerror(-o->work_result));
	close_all(o);
}

static void close_done(struct work *w)
{
	struct ownership *o = caa_container_of(w, struct ownership, work);

	o->phase = OWNERSHIP_CLOSED;
	o->unflushed = o->work_result != 0;
	if (o->work_result) { /* acknowledged data may be missing on the medium: no clean handover, let it be fenced */
		snprintf(o->error, sizeof(o->error), "%s; fence this node", o->work_error);
		log_error("group %s: %s", o->group, o->error);
	}
	ownership_reconcile(o);
}

static void drained(struct lu_barrier *b)
{
	struct ownership *o = b->lu->control_data;

	if (--o->barriers)
		return;
	for (uint32_t i = 0; i < o->nlus; i++)
		o->opened[i] = lu_publish(o->lu[i], disk, NULL);
	o->phase = OWNERSHIP_CLOSING;
	o->work.run = close_run;
	o->work.done = close_done;
	worker_queue(&o->d->worker, &o->work);
}

/* The gate no longer admits (effects.c published that first): wait for what it had admitted. */
static void start_close(struct ownership *o)
{
	o->phase = OWNERSHIP_DRAINING;
	o->active_everywhere = false;
	if (!o->failed)
		o->error[0] = '\0';
	o->barriers = o->nlus;
	for (uint32_t i = 0; i < o->nlus; i++)
		lu_barrier_start(&o->barrier[i]);
	if (o->nlus)
		return;
	o->phase = OWNERSHIP_CLOSED;
	ownership_reconcile(o);
}

/* ---- the step ------------------------------------------------------------------------------------------------ */

static void reconcile_open(struct ownership *o, const struct group *g)
{
	if (o->epoch != g->epoch) {
		start_close(o); /* opened for an ownership that is over */
	} else if (o->active_everywhere) {
		tell(o, WANT_ACTIVE, true, "active");
		wipes_look(o->d);
	} else {
		report(o, GROUP_ACTIVATE, g->epoch);
	}
}

static void reconcile_closed(struct ownership *o, const struct group *g)
{
	if (o->proposing) /* comes back here with the answer */
		return;
	if (owned_here(o, g) && g->phase == GROUP_CLOSING) {
		if (o->failed || o->unflushed)
			tell(o, WANT_RELEASED, false, o->error);
		else
			report(o, GROUP_CLOSED, g->epoch);
		return;
	}
	/* OPENING: of a promotion whose outcome was not known when it was given up */
	if (owned_here(o, g) && (g->phase == GROUP_OPENING || g->phase == GROUP_ACTIVE) && o->give_up_locally &&
	    serving(o)) {
		report(o, GROUP_DEMOTE, 0);
		return;
	}
	if (!owned_here(o, g) || (o->give_up_locally && !serving(o))) {
		tell(o, WANT_RELEASED, true, "released");
		tell(o, WANT_ACTIVE, false, o->error[0] ? o->error : "the group was taken from this node meanwhile");
	}
}

void ownership_reconcile(struct ownership *o)
{
	const struct group *g = group_of(o);
	bool wanted = wants_devices(o, g);

	explicit_look(o);
	if (o->d->reconfig && !o->rebuilding)
		reconfig_rest(o->d->reconfig);
	if (o->rebuilding)
		return;
	switch (o->phase) {
	case OWNERSHIP_CLOSED:
		if (!wanted)
			reconcile_closed(o, g);
		else if (o->error[0] && o->epoch == g->epoch)
			/* ACTIVE: under this node's last process */
			report(o, g->phase == GROUP_ACTIVE ? GROUP_DEMOTE : GROUP_OPEN_FAILED, g->epoch);
		else if (serving(o)) /* a joiner's snapshot may speak of an ownership that its last process took with it */
			start_open(o, g->epoch);
		break;
	case OWNERSHIP_OPEN:
		if (o->media_busy)
			break;
		if (wanted)
			reconcile_open(o, g);
		else
			start_close(o);
		break;
	case OWNERSHIP_OPENING:
	case OWNERSHIP_DRAINING:
	case OWNERSHIP_CLOSING:
		break; /* the end of the step comes back here */
	}
	if (!serving(o))
		tell(o, WANT_ACTIVE, false, cluster_why(o->d->cluster));
}

/* ---- entry points ----------------------------------------------------------------------------------------------- */

struct request {
	struct ownership *o;
	enum want want;
	ownership_done_fn done;
	void *arg;
};

static void requested(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct request q = *(struct request *)cookie;
	enum group_verdict v;

	free(cookie);
	if (status != PROPOSE_OK || len != 1) {
		if (q.want == WANT_RELEASED) { /* can't be told; this node's own part can be done all the same */
			q.o->give_up_locally = true;
			effects_group_failed(q.o); /* also where it serves again while the devices are drained */
			wait_for(q.o, q.want, q.done, q.arg);
			ownership_reconcile(q.o);
			return;
		}
		q.done(q.arg, false, cluster_why(q.o->d->cluster));
		return;
	}
	v = *(const uint8_t *)result;
	/* What the configuration does not have any more is released. */
	if (v != GROUP_OK && v != GROUP_UNCHANGED && !(v == GROUP_REFUSED_UNKNOWN && q.want == WANT_RELEASED)) {
		q.done(q.arg, false, group_verdict_text(v));
		return;
	}
	wait_for(q.o, q.want, q.done, q.arg);
	ownership_reconcile(q.o);
}

static void request(struct ownership *o, enum want want, enum group_action action, ownership_done_fn done, void *arg)
{
	struct request *q = malloc(sizeof(*q));

	if (!q) {
		done(arg, false, "out of memory");
		return;
	}
	*q = (struct request){ .o = o, .want = want, .done = done, .arg = arg };
	propose(o, action, 0, requested, q);
}

void ownership_fail(struct ownership *o, const char *why)
{
	if (o->failed || o->phase != OWNERSHIP_OPEN)
		return;
	o->failed = true;
	snprintf(o->error, sizeof(o->error), "%s", why);
	log_error("group %s: %s; this node gives it up", o->group, why);
	effects_group_failed(o);
	ownership_reconcile(o);
}

void ownership_promote(struct ownership *o, ownership_done_fn done, void *arg)
{
	o->give_up_locally = o->failed = false;
	request(o, WANT_ACTIVE, GROUP_PROMOTE, done, arg);
}

void ownership_demote(struct ownership *o, ownership_done_fn done, void *arg)
{
	request(o, WANT_RELEASED, GROUP_DEMOTE, done, arg);
}

struct ownership *ownership_find(struct daemon *d, const char *group)
{
	for (uint32_t i = 0; i < d->ngroups; i++)
		if (strcmp(d->ownership[i]->group, group) == 0)
			return d->ownership[i];
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

bool ownership_at_rest(const struct ownership *o)
{
	return o->phase == OWNERSHIP_CLOSED || o->phase == OWNERSHIP_OPEN;
}

static void free_parts(struct lu_barrier *b, uint32_t n)
{
	for (uint32_t i = 0; b && i < n; i++)
		free(b[i].part);
	free(b);
}

static struct lu_barrier *make_barriers(const struct ownership *o, struct lu *const *lu, uint32_t n)
{
	struct lu_barrier *b = calloc(n + 1, sizeof(*b));

	for (uint32_t i = 0; b && i < n; i++) {
		b[i] = (struct lu_barrier){ .lu = lu[i], .drain = true, .done = drained };
		b[i].part = calloc(o->d->core.nreactors, sizeof(*b[i].part));
		if (!b[i].part) {
			free_parts(b, i);
			return NULL;
		}
	}
	return b;
}

static void free_lus(struct ownership *o)
{
	free_parts(o->barrier, o->nlus);
	free(o->lu);
	free(o->opened);
	free(o->absent);
}

int ownership_set_lus(struct ownership *o, struct lu *const *lu, uint32_t n)
{
	struct lu **list = calloc(n + 1, sizeof(*list));
	struct disk **opened = calloc(n + 1, sizeof(*opened));
	bool *absent = calloc(n + 1, sizeof(*absent));
	struct lu_barrier *barrier = make_barriers(o, lu, n);

	if (!list || !opened || !absent || !barrier) {
		free_parts(barrier, n);
		free(list);
		free(opened);
		free(absent);
		return -ENOMEM;
	}
	free_lus(o);
	for (uint32_t i = 0; i < n; i++) {
		list[i] = lu[i];
		lu[i]->control_data = o;
	}
	o->nlus = n;
	o->lu = list;
	o->opened = opened;
	o->absent = absent;
	o->barrier = barrier;
	return 0;
}

static int collect_lus(struct ownership *o)
{
	struct core *core = &o->d->core;
	struct lu **lu = calloc(core->nlus + 1, sizeof(*lu));
	uint32_t n = 0;
	int rc = lu ? 0 : -ENOMEM;

	for (uint32_t i = 0; lu && i < core->nlus; i++)
		if (strcmp(core->lu[i]->group, o->group) == 0)
			lu[n++] = core->lu[i];
	if (!rc)
		rc = ownership_set_lus(o, lu, n);
	free(lu);
	return rc;
}

void ownership_configure(struct ownership *o, const struct config *config, const struct config_group *c)
{
	o->hold_limit_ms = c->hold_limit_ms;
	o->preferred = c->preferred < 0 ? 0 : config->node[c->preferred].id;
}

struct ownership *ownership_new(struct daemon *d, const struct config *config, const struct config_group *c)
{
	struct ownership *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->d = d;
	snprintf(o->group, sizeof(o->group), "%s", c->name);
	o->forward = c->non_owner == NON_OWNER_FORWARD;
	ownership_configure(o, config, c);
	CDS_INIT_LIST_HEAD(&o->waiters);
	if (collect_lus(o) == 0)
		return o;
	free(o);
	return NULL;
}

void ownership_free(struct ownership *o)
{
	if (!o)
		return;
	tell(o, WANT_ACTIVE, false, "the daemon ends");
	tell(o, WANT_RELEASED, o->phase == OWNERSHIP_CLOSED, "the daemon ends");
	if (o->handover_armed)
		qb_loop_timer_del(o->d->loop, o->handover_timer);
	if (o->retry_armed)
		qb_loop_timer_del(o->d->loop, o->retry_timer);
	explicit_fini(o);
	free_lus(o);
	free(o);
}
