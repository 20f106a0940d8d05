/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the log to the data path. A run of effects becomes, per logical unit concerned, one publication and one barrier;
 * when all barriers have reported, the position is acknowledged.
 *
 *   effects_run ── job ─┬─ change (LU, what to publish, unit attentions, abort, drain) ── lu_barrier
 *                       └─ change …                                                      └─ done → cluster_effects_done
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/target.h"
#include "core/wipe.h"
#include "daemon/config/config.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "daemon/etcd_sync.h"
#include "daemon/reconfig.h"
#include "daemon/tasks.h"

#define CHANGE_UAS_MAX 8

struct job;

struct change {
	struct job *job;
	struct lu *lu;
	bool gate_published, resv_published, mode_published; /* once per job: the state is the same */
	const struct alua_gate *old_gate; /* freed when the barrier has reported */
	const struct resv_view *old_resv;
	const struct mode_state *old_mode, *old_saved;
	bool needs_flush; /* when the commands judged by old_mode have ended, and before the acknowledgement */
	struct modes_flush flush;
	bool wipe_published;
	struct wipe *old_wipe;
	uint64_t wipe_id; /* drained when the job ends */
	struct nexus_id *missed; /* of old_resv's registrants those that are none any more */
	struct ua_scope abort;
	struct lu_barrier_ua ua[CHANGE_UAS_MAX];
	struct lu_barrier barrier;
	struct lu_barrier_part *part;
};

struct job {
	struct daemon *d;
	struct effects_run *run; /* NULL: published anew after a restore, or the state changed */
	bool published_all;
	void (*done)(void *arg, bool ok); /* NULL, or who waits for it */
	void *arg;
	bool ok;
	uint32_t left;
	uint32_t n;
	struct change change[]; /* at most one per logical unit */
};

/* ---- what the data path is to see ---------------------------------------------------------------------- */

void effects_situation(const struct ownership *o, struct alua_situation *out)
{
	const struct daemon *d = o->d;

	*out = (struct alua_situation){
		.group = alua_service_find(d->alua, o->group),
		.self = d->node,
		.failed = o->failed || o->give_up_locally, /* the devices are on their way out */
		.serving = d->cluster && cluster_state(d->cluster) == CLUSTER_SERVING,
		.member = d->alua->member,
		.nmembers = d->alua->nmembers,
		.hold_limit_ms = o->hold_limit_ms,
		.preferred = o->preferred,
		.forward = o->forward && d->link,
		.link_to = d->link_to,
		.nlink_to = d->nlink_to,
		.link_from = d->link_from,
		.nlink_from = d->nlink_from,
	};
}

static bool target_shows(const struct target *t, const struct lu *lu)
{
	uint16_t nacls;
	const struct initiator_acl *acl = target_acls(t, &nacls);

	for (uint16_t a = 0; a < nacls; a++)
		for (uint16_t i = 0; i < acl[a].nluns; i++)
			if (acl[a].lun[i].lu == lu)
				return true;
	return false;
}

static int by_tpg(const void *a, const void *b)
{
	const struct alua_port_ref *x = a, *y = b;

	return x->tpg != y->tpg ? (int)x->tpg - y->tpg : (int)x->rtpi - y->rtpi;
}

static struct alua_gate *gate_for(struct daemon *d, struct lu *lu)
{
	struct alua_port_ref *ports;
	struct alua_situation s;
	struct alua_gate *gate;
	size_t n = 0, max = 1;

	for (uint32_t t = 0; t < d->core.ntargets; t++)
		max += d->core.target[t]->nports;
	ports = calloc(max, sizeof(*ports));
	if (!ports)
		return NULL;
	for (uint32_t t = 0; t < d->core.ntargets; t++)
		for (uint16_t p = 0; p < d->core.target[t]->nports && target_shows(d->core.target[t], lu); p++)
			ports[n++] = (struct alua_port_ref){ d->core.target[t]->port[p].tpgt,
							     d->core.target[t]->port[p].rtpi };
	qsort(ports, n, sizeof(*ports), by_tpg);
	effects_situation(lu->control_data, &s);
	gate = alua_gate_new(&s, ports, n);
	if (gate && gate->medium == GATE_ADMIT && removal_is_ejected(d, lu)) {
		gate->medium = GATE_REFUSE;
		gate->medium_sense = SENSE_MEDIUM_NOT_PRESENT;
		gate->no_medium = true;
	}
	if (gate && lu->gone) {
		gate->medium = GATE_REFUSE;
		gate->medium_sense = SENSE_LU_NOT_SUPPORTED;
	}
	free(ports);
	return gate;
}

static bool publish_gate(struct change *c)
{
	struct alua_gate *gate;

	if (c->gate_published)
		return true;
	gate = gate_for(c->job->d, c->lu);
	if (!gate)
		return false;
	c->gate_published = true;
	c->old_gate = lu_publish(c->lu, gate, gate);
	return true;
}

static bool publish_resv(struct change *c)
{
	struct resv_view *view;

	if (c->resv_published)
		return true;
	if (pr_service_view(c->job->d->pr, c->lu->name, &view) < 0)
		return false;
	c->resv_published = true;
	c->old_resv = lu_publish(c->lu, resv, view);
	return true;
}

static bool publish_wipe(struct change *c)
{
	struct wipe *now;

	if (c->wipe_published)
		return true;
	if (!wipes_view(c->job->d, c->lu, &now))
		return false;
	c->wipe_id = now ? now->id : 0;
	if (now == c->lu->wipe)
		return true;
	c->wipe_published = true;
	c->old_wipe = lu_publish(c->lu, wipe, now);
	return true;
}

/* The capacity needs no old value to be freed; reactors read it whole. */
static bool publish_media(struct change *c)
{
	const struct media_lu *m = media_service_find(c->job->d->media, c->lu->name);

	if (m && m->blocks)
		__atomic_store_n(&c->lu->blocks, m->blocks, __ATOMIC_RELAXED);
	return publish_wipe(c) && publish_gate(c);
}

static bool publish_mode(struct change *c)
{
	struct mode_state *now, *saved;

	if (c->mode_published)
		return true;
	now = malloc(sizeof(*now));
	saved = malloc(sizeof(*saved));
	if (!now || !saved) {
		free(now);
		free(saved);
		return false;
	}
	modes_of(c->job->d, c->lu, now, saved);
	c->needs_flush = modes_need_flush(c->lu->mode, now);
	c->barrier.drain |= c->needs_flush;
	c->mode_published = true;
	c->old_mode = lu_publish(c->lu, mode, now);
	c->old_saved = lu_publish(c->lu, mode_saved, saved);
	modes_publish_rest(c->job->d, c->lu);
	return true;
}

static int first_gate(struct daemon *d, struct lu *lu)
{
	struct alua_gate *gate = gate_for(d, lu);

	if (!gate)
		return -ENOMEM;
	(void)lu_publish(lu, gate, gate);
	return 0;
}

int effects_init(struct daemon *d)
{
	for (uint32_t i = 0; i < d->core.nlus; i++)
		if (first_gate(d, d->core.lu[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* What MODE SELECT has said of a logical unit of this name (nothing, mostly). */
static int first_mode(struct daemon *d, struct lu *lu)
{
	struct mode_state *now = malloc(sizeof(*now)), *saved = malloc(sizeof(*saved));

	if (!now || !saved) {
		free(now);
		free(saved);
		return -ENOMEM;
	}
	modes_of(d, lu, now, saved);
	free((void *)lu_publish(lu, mode, now));
	free((void *)lu_publish(lu, mode_saved, saved));
	return 0;
}

int effects_new_lu(struct daemon *d, struct lu *lu)
{
	const struct media_lu *m = media_service_find(d->media, lu->name);
	struct resv_view *view;

	if (pr_service_view(d->pr, lu->name, &view) < 0)
		return -ENOMEM;
	(void)lu_publish(lu, resv, view);
	if (first_mode(d, lu) < 0)
		return -ENOMEM;
	modes_publish_rest(d, lu);
	if (m && m->blocks)
		lu->blocks = m->blocks;
	return first_gate(d, lu);
}

/* ---- jobs ------------------------------------------------------------------------------------------------ */

/* max: logical units that it can concern. */
static struct job *job_new(struct daemon *d, uint32_t max)
{
	struct job *j = calloc(1, sizeof(*j) + max * sizeof(j->change[0]));

	if (!j)
		return NULL;
	j->d = d;
	j->ok = true;
	return j;
}

static void job_free(struct job *j)
{
	for (uint32_t i = 0; i < j->n; i++) {
		if (j->ok) { /* else no barrier has run, and a reactor may be reading them */
			alua_gate_free(j->change[i].old_gate);
			free((void *)j->change[i].old_resv);
			free((void *)j->change[i].old_mode);
			free((void *)j->change[i].old_saved);
			free(j->change[i].old_wipe);
		}
		free(j->change[i].missed);
		free(j->change[i].part);
	}
	free(j);
}

static void job_end(struct job *j)
{
	struct daemon *d = j->d;

	if (!j->ok)
		log_error("out of memory while carrying out a replicated change; this node stops serving");
	for (uint32_t i = 0; i < j->n && j->ok; i++)
		if (j->change[i].wipe_id && j->change[i].barrier.drain)
			wipes_drained(d, j->change[i].lu, j->change[i].wipe_id);
	if (j->run)
		cluster_effects_done(d->cluster, j->run, j->ok);
	else if (j->published_all)
		cluster_published(d->cluster, j->ok);
	else if (j->done)
		j->done(j->arg, j->ok);
	job_free(j);
	if (d->cluster)
		wipes_look(d);
}

static void change_end(struct change *c)
{
	struct job *j = c->job;

	if (--j->left == 0)
		job_end(j);
}

static void flushed(struct modes_flush *f)
{
	change_end(caa_container_of(f, struct change, flush));
}

static void barrier_done(struct lu_barrier *b)
{
	struct change *c = caa_container_of(b, struct change, barrier);

	if (!c->needs_flush || !modes_flush(c->job->d, c->lu, &c->flush, flushed))
		change_end(c);
}

/* A logical unit that the job does not concern yet, with its barrier prepared. NULL: no memory. */
static struct change *change_add(struct job *j, struct lu *lu)
{
	struct change *c = &j->change[j->n++];

	*c = (struct change){ .job = j, .lu = lu };
	c->barrier = (struct lu_barrier){ .lu = lu, .ua = c->ua, .done = barrier_done };
	c->part = c->barrier.part = calloc(j->d->core.nreactors, sizeof(*c->part));
	if (!c->part) {
		j->ok = false;
		return NULL;
	}
	return c;
}

/* The change of one logical unit in this job. NULL: no memory. */
static struct change *change_of(struct job *j, struct lu *lu)
{
	for (uint32_t i = 0; i < j->n; i++)
		if (j->change[i].lu == lu)
			return &j->change[i];
	return change_add(j, lu);
}

static void change_ua(struct change *c, enum ua ua, const struct ua_scope *scope)
{
	if (c->barrier.nua == CHANGE_UAS_MAX) /* more than any service raises at once */
		c->job->ok = false;
	else
		c->ua[c->barrier.nua++] = (struct lu_barrier_ua){ ua, *scope };
}

static void job_start(struct job *j)
{
	j->left = j->n + 1;
	for (uint32_t i = 0; i < j->n && j->ok; i++)
		lu_barrier_start(&j->change[i].barrier);
	if (!j->ok)
		j->left = 1; /* nothing was started */
	if (--j->left == 0)
		job_end(j);
}

/* For what must not stay as it is: a gate that can't be closed is worse than no daemon (P4). */
static void job_start_or_end(struct job *j, const char *what)
{
	if (!j || !j->ok) {
		log_error("out of memory while %s; ending at once", what);
		abort();
	}
	job_start(j);
}

/* ---- one effect on one logical unit ------------------------------------------------------------------------- */

static void carry_out(struct job *j, const struct effect *e, struct lu *lu, bool (*publish)(struct change *))
{
	const struct ua_scope scope = { .kind = e->scope, .n = e->nids, .ids = e->ids };
	struct change *c = change_of(j, lu);

	if (!c)
		return;
	switch (e->kind) {
	case EFFECT_DRAIN:
		c->barrier.drain = true;
		j->ok &= publish(c);
		break;
	case EFFECT_PUBLISH:
		j->ok &= publish(c);
		break;
	case EFFECT_UA:
		change_ua(c, e->ua, &scope);
		break;
	case EFFECT_ABORT:
		c->abort = scope;
		c->barrier.abort = &c->abort;
		c->barrier.cause = (struct abort_cause){ .by = e->by.port[0] ? &e->by : NULL, .reset = e->reset,
							   .clears_aca = e->clears_aca };
		c->barrier.drain = true;
		break;
	case EFFECT_OWNER:
	case EFFECT_FENCED:
	case EFFECT_PERSIST:
		break;
	}
}

/* ---- the services' effects -------------------------------------------------------------------------------------- */

static void alua_effect(struct job *j, const struct effect *e)
{
	struct daemon *d = j->d;

	if (e->kind == EFFECT_FENCED) {
		cluster_owner_fenced(d->cluster, e->node);
		return;
	}
	for (uint32_t i = 0; i < d->core.nlus; i++)
		if (strcmp(d->core.lu[i]->group, e->object) == 0)
			carry_out(j, e, d->core.lu[i], publish_gate);
}

static void lu_effect(struct job *j, const struct effect *e, bool (*publish)(struct change *))
{
	struct lu *lu = core_find_lu(&j->d->core, e->object);

	if (lu) /* else: state of a LUN that the configuration no longer has */
		carry_out(j, e, lu, publish);
}

static void pr_effect(struct job *j, const struct effect *e)
{
	lu_effect(j, e, publish_resv);
}

static void media_effect(struct job *j, const struct effect *e)
{
	lu_effect(j, e, publish_media);
}

static void tasks_effect(struct job *j, const struct effect *e)
{
	lu_effect(j, e, publish_gate);
}

static void mode_effect(struct job *j, const struct effect *e)
{
	lu_effect(j, e, publish_mode);
}

static const struct {
	uint16_t service;
	void (*carry_out)(struct job *j, const struct effect *e);
} services[] = { { ALUA_SERVICE_ID, alua_effect }, { PR_SERVICE_ID, pr_effect }, { MEDIA_SERVICE_ID, media_effect },
	       { MODE_SERVICE_ID, mode_effect },   { TASKS_SERVICE_ID, tasks_effect } };

static void service_effect(struct job *j, uint16_t service, const struct effect *e)
{
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (services[i].service == service)
			services[i].carry_out(j, e);
}

static void reconcile_all(struct daemon *d)
{
	for (uint32_t i = 0; i < d->ngroups; i++)
		ownership_reconcile(&d->ownership[i]);
}

void effects_run(void *arg, struct effects_run *run)
{
	struct daemon *d = arg;
	bool is_alua = run->service->ops->id == ALUA_SERVICE_ID;
	struct job *j;

	if (run->service->ops->id == CONFIG_SERVICE_ID) {
		reconfig_run(d->reconfig, run);
		return;
	}
	j = job_new(d, is_alua ? d->core.nlus : run->n); /* others name logical units, not groups */

	if (!j) {
		cluster_effects_done(d->cluster, run, false);
		return;
	}
	j->run = run;
	for (uint32_t i = 0; i < run->n; i++)
		service_effect(j, run->service->ops->id, &run->effect[i]);
	job_start(j);
	if (is_alua)
		reconcile_all(d);
}

/* ---- everything anew ---------------------------------------------------------------------------------------------- */

static void add_missed_ua(struct change *c, enum ua ua, const struct nexus_id *ids, uint32_t n)
{
	const struct ua_scope scope = { .kind = UA_SCOPE_ONLY, .n = n, .ids = ids };

	if (n)
		change_ua(c, ua, &scope);
}

/* This node's nexuses may have lived on while it was away, and the operations that it missed raised unit attentions
 * (SPC-4 5.13.11): what a snapshot has taken from them shows in the views. */
static bool tell_missed(struct change *c, const struct resv_view *old, const struct resv_view *now)
{
	uint32_t n = 0;

	if (!old || !old->nregistrants)
		return true;
	c->missed = calloc(old->nregistrants, sizeof(*c->missed));
	if (!c->missed)
		return false;
	for (uint32_t i = 0; i < old->nregistrants; i++) {
		struct resv_role role;

		resv_role_of(now, &old->registrant[i], &role);
		if (!role.registered)
			c->missed[n++] = old->registrant[i];
	}
	add_missed_ua(c, UA_REGISTRATIONS_PREEMPTED, c->missed, n);
	if (old->type != PR_NONE && now && now->type != old->type)
		add_missed_ua(c, UA_RESERVATIONS_RELEASED, now->registrant, now->nregistrants);
	return true;
}

static bool tell_missed_mode(struct change *c)
{
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };

	if (memcmp(c->old_mode, c->lu->mode, sizeof(*c->old_mode)) != 0)
		change_ua(c, UA_MODE_PARAMETERS_CHANGED, &all);
	return true;
}

static struct job *republish(struct daemon *d, bool resv)
{
	struct job *j = job_new(d, d->core.nlus);

	if (!j)
		return NULL;
	for (uint32_t i = 0; i < d->core.nlus; i++) {
		struct change *c = change_add(j, d->core.lu[i]);

		if (!c)
			continue;
		c->barrier.drain = resv;
		j->ok &= publish_media(c);
		if (resv)
			j->ok &= publish_mode(c) && publish_resv(c) && tell_missed(c, c->old_resv, lu_read(c->lu, resv)) &&
				 tell_missed_mode(c);
	}
	return j;
}

void effects_relist(struct daemon *d, void (*done)(void *arg, bool ok), void *arg)
{
	struct job *j = republish(d, false);

	if (!j) {
		done(arg, false);
		return;
	}
	j->done = done;
	j->arg = arg;
	for (uint32_t i = 0; i < j->n; i++)
		j->change[i].barrier.drain |= j->change[i].lu->gone;
	job_start(j);
}

void effects_group_failed(struct ownership *o)
{
	struct job *j = job_new(o->d, o->nlus);

	for (uint32_t i = 0; j && i < o->nlus; i++) {
		struct change *c = change_add(j, o->lu[i]);

		j->ok = c && publish_gate(c) && j->ok;
	}
	job_start_or_end(j, "closing the gates");
}

/* The configuration comes first: what the other services speak of are its objects. */
static void publish_everything(void *arg, bool ok)
{
	struct daemon *d = arg;
	struct job *j = ok ? republish(d, true) : NULL;

	if (!j) {
		cluster_published(d->cluster, false);
		return;
	}
	j->published_all = true;
	job_start(j);
	reconcile_all(d);
}

void effects_publish_all(void *arg)
{
	struct daemon *d = arg;

	if (d->reconfig)
		reconfig_when_current(d->reconfig, publish_everything, d);
	else
		publish_everything(d, true);
}

/* An owner may still write. A node that is down for us may be up for itself and, in a cluster of two, quorate: if it wins
 * the race for fencing, what is answered here without it is lost (P1). */
bool effects_harmless(void *arg, uint32_t node, bool node_down)
{
	return !node_down && !alua_service_owns(((struct daemon *)arg)->alua, node);
}

/* Without a cluster manager nobody else says who owns what. */
static void promoted(void *arg, bool ok, const char *message)
{
	struct daemon *d = ((struct ownership *)arg)->d;
	char err[512];

	if (d->stopping)
		return;
	if (ok && --d->promoting)
		return;
	if (!ok)
		snprintf(err, sizeof(err), "%s", message);
	else if (daemon_open_portals(d, err, sizeof(err)) == 0)
		return;
	log_error("cannot start: %s", err);
	d->exit_code = 1;
	daemon_shutdown(d, "not started");
}

static void promote_all(struct daemon *d)
{
	d->promoting = d->ngroups;
	for (uint32_t i = 0; i < d->ngroups; i++)
		ownership_promote(&d->ownership[i], promoted, &d->ownership[i]);
}

/* What the services have to be told that older nodes don't have. */
static void tell_newer(struct daemon *d)
{
	sessions_tell(d);
	if (d->reconfig && cluster_state(d->cluster) == CLUSTER_SERVING)
		reconfig_seed(d->reconfig);
}

void effects_version_changed(void *arg)
{
	struct daemon *d = arg;

	if (d->cluster)
		tell_newer(d);
}

void effects_state_changed(void *arg, enum cluster_state s, const char *why)
{
	struct daemon *d = arg;

	if (!d->cluster) /* while it starts: the first gates refuse anyway */
		return;
	job_start_or_end(republish(d, false), "closing the gates");
	reconcile_all(d);
	tell_newer(d);
	if (s == CLUSTER_SERVING)
		etcd_sync_push(d);
	if (s == CLUSTER_SERVING && d->standalone && !d->iscsi && !d->promoting)
		promote_all(d);
	if (s == CLUSTER_FAILED) {
		d->exit_code = 1;
		daemon_shutdown(d, why);
	}
}

void effects_committed(void *arg)
{
	etcd_sync_push(arg);
}

/* ---- the link between the nodes -------------------------------------------------------------------------------------- */

static bool same_states(const struct alua_gate *a, const struct alua_gate *b)
{
	bool same = a->ntpg == b->ntpg;

	for (uint16_t i = 0; same && i < a->ntpg; i++)
		same = a->tpg[i].id == b->tpg[i].id && a->tpg[i].state == b->tpg[i].state;
	return same;
}

/* The states as this node reports them have changed without the log: its initiators hear of it here (SPC-4 5.15.2.6). */
void effects_link_changed(void *arg)
{
	struct daemon *d = arg;
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };
	struct job *j;

	d->nlink_to = link_to(d->link, d->link_to);
	d->nlink_from = link_from(d->link, d->link_from);
	j = republish(d, false);
	for (uint32_t i = 0; j && j->ok && i < j->n; i++)
		if (!same_states(j->change[i].old_gate, j->change[i].lu->gate))
			change_ua(&j->change[i], UA_ASYMMETRIC_ACCESS_CHANGED, &all);
	job_start_or_end(j, "publishing port states"); /* commands would go where nobody takes them */
}
