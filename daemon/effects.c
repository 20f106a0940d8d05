/* SPDX-License-Identifier: BSD-2-Clause */
/* From the log to the data path (effects_job.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "daemon/config/config.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "daemon/effects_job.h"
#include "daemon/etcd_sync.h"
#include "daemon/explicit.h"
#include "daemon/reconfig.h"
#include "daemon/tasks.h"

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
		c->barrier.cause = (struct abort_cause){ .by = e->by.port[0] ? &e->by : NULL, .function = true,
							   .reset = e->reset, .clears_aca = e->clears_aca };
		c->barrier.drain = true;
		break;
	case EFFECT_OWNER:
	case EFFECT_FENCED:
	case EFFECT_PERSIST:
		break;
	}
}

/* ---- the services' effects -------------------------------------------------------------------------------------- */

/* New states are told to all but those who asked for them (SPC-4 5.15.2.6). */
static void tell_states(struct job *j, struct lu *lu)
{
	struct change *c = change_of(j, lu);
	struct ua_scope scope = { .kind = UA_SCOPE_ALL_BUT };

	if (!c)
		return;
	if (!c->askers && !explicit_askers(lu, &c->askers, &c->naskers)) {
		j->ok = false;
		return;
	}
	scope.n = c->naskers;
	scope.ids = c->askers;
	change_ua(c, UA_ASYMMETRIC_ACCESS_CHANGED, &scope);
}

static void alua_effect(struct job *j, const struct effect *e)
{
	struct daemon *d = j->d;
	const struct ownership *o = ownership_find(d, e->object);

	if (e->kind == EFFECT_FENCED) {
		cluster_owner_fenced(d->cluster, e->node);
		return;
	}
	for (uint32_t i = 0; o && i < d->core.nlus; i++) {
		if (d->core.lu[i]->control_data != o)
			continue;
		if (e->kind == EFFECT_UA)
			tell_states(j, d->core.lu[i]);
		else
			carry_out(j, e, d->core.lu[i], publish_gate);
	}
}

static void lu_effect(struct job *j, const struct effect *e, bool (*publish)(struct change *))
{
	struct lu *lu = job_find_lu(j, e->object);

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
	struct lu *lu = job_find_lu(j, e->object);

	if (!lu)
		return;
	carry_out(j, e, lu, publish_gate);
	if (e->kind == EFFECT_ABORT) {
		struct lu_ended last = tasks_last(&j->d->tasks, lu->name);

		lu->ended.any = last.any;
		if (e->reset) /* one that was missed before is still to be told otherwise */
			lu->ended.reset = last.reset;
	}
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
		ownership_reconcile(d->ownership[i]);
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

/* ---- everything anew ------------------------------------------------------------------------- */

static void add_missed_ua(struct change *c, enum ua ua, const struct nexus_id *ids, uint32_t n)
{
	const struct ua_scope scope = { .kind = UA_SCOPE_ONLY, .n = n, .ids = ids };

	if (n)
		change_ua(c, ua, &scope);
}

static uint32_t registrants_of(const struct resv_view *v, struct nexus_id *out)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < v->npages; k++)
		for (uint32_t i = 0; i < v->page[k]->n; i++)
			out[n++] = *v->page[k]->registrant[i];
	return n;
}

/* This node's nexuses may have lived on while it was away, and the operations that it missed raised unit attentions
 * (SPC-4 5.13.11): what a snapshot has taken from them shows in the views. */
static bool tell_missed(struct change *c, const struct resv_view *old, const struct resv_view *now)
{
	uint32_t all, n = 0;

	if (!old || !old->nregistrants)
		return true;
	c->missed = calloc(old->nregistrants + (now ? now->nregistrants : 0), sizeof(*c->missed));
	if (!c->missed)
		return false;
	all = registrants_of(old, c->missed);
	for (uint32_t i = 0; i < all; i++) {
		struct resv_role role;

		resv_role_of(now, &c->missed[i], &role);
		if (!role.registered)
			c->missed[n++] = c->missed[i];
	}
	add_missed_ua(c, UA_REGISTRATIONS_PREEMPTED, c->missed, n);
	if (old->type != PR_NONE && now && now->type != old->type)
		add_missed_ua(c, UA_RESERVATIONS_RELEASED, c->missed + n, registrants_of(now, c->missed + n));
	return true;
}

struct reported { /* by a logical unit, beside what is published by pointer */
	uint64_t blocks;
	int64_t clock_offset;
	uint32_t log_resets[LOG_RESETS];
};

static struct reported reported_by(const struct lu *lu)
{
	struct reported r = { .blocks = lu->blocks, .clock_offset = lu->clock_offset };

	memcpy(r.log_resets, lu->log.generation, sizeof(r.log_resets));
	return r;
}

static void tell_missed_rest(struct change *c, const struct reported *old)
{
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };
	struct reported now = reported_by(c->lu);

	if (memcmp(c->old_mode, c->lu->mode, sizeof(*c->old_mode)) != 0)
		change_ua(c, UA_MODE_PARAMETERS_CHANGED, &all);
	if (old->blocks && old->blocks != now.blocks)
		change_ua(c, UA_CAPACITY_CHANGED, &all);
	if (old->clock_offset != now.clock_offset)
		change_ua(c, UA_TIMESTAMP_CHANGED, &all);
	if (memcmp(old->log_resets, now.log_resets, sizeof(now.log_resets)) != 0)
		change_ua(c, UA_LOG_PARAMETERS_CHANGED, &all);
}

/* A function of another node that this one has missed. Most commands here have ended when the node was parted (NOT READY), but
 * those that were collecting their data, or at the medium, are still there, and would go on after its answer (P2). A process
 * that has just begun does not know what came after its first I_T nexuses: they are told of the last reset. */
static void end_missed(struct change *c)
{
	static const struct ua_scope all = { .kind = UA_SCOPE_ALL };
	const struct lu_ended was = c->lu->ended, now = tasks_last(&c->job->d->tasks, c->lu->name);
	bool reset = now.reset && now.reset != was.reset;

	c->lu->ended = now;
	if (!now.any || now.any == was.any)
		return;
	if (reset)
		change_ua(c, UA_BUS_DEVICE_RESET, &all);
	c->abort = all;
	c->barrier.abort = &c->abort;
	c->barrier.cause = (struct abort_cause){ .reset = reset, .clears_aca = reset };
}

/* After a snapshot. */
static bool publish_restored(struct change *c, const struct reported *old)
{
	if (!publish_mode(c) || !publish_resv(c) || !tell_missed(c, c->old_resv, lu_read(c->lu, resv)))
		return false;
	tell_missed_rest(c, old);
	end_missed(c);
	return true;
}

static struct job *republish(struct daemon *d, bool resv)
{
	struct job *j = job_new(d, d->core.nlus);

	if (!j)
		return NULL;
	for (uint32_t i = 0; i < d->core.nlus; i++) {
		struct reported old = reported_by(d->core.lu[i]);
		struct change *c = change_add(j, d->core.lu[i]);

		if (!c)
			continue;
		c->barrier.drain = resv;
		j->ok &= publish_media(c);
		if (resv)
			j->ok &= publish_restored(c, &old);
	}
	return j;
}

static bool same_states(const struct alua_gate *a, const struct alua_gate *b)
{
	bool same = a->ntpg == b->ntpg;

	for (uint16_t i = 0; same && i < a->ntpg; i++)
		same = a->tpg[i].id == b->tpg[i].id && a->tpg[i].state == b->tpg[i].state;
	return same;
}

/* The states as this node reports them have changed without the log: its initiators hear of it here (SPC-4
 * 5.15.2.6). */
static void tell_new_states(struct job *j)
{
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };

	for (uint32_t i = 0; j->ok && i < j->n; i++)
		if (j->change[i].old_gate->ntpg && !same_states(j->change[i].old_gate, j->change[i].lu->gate))
			change_ua(&j->change[i], UA_ASYMMETRIC_ACCESS_CHANGED, &all);
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
	tell_new_states(j); /* a group whose non-owners forward from now on, or do so no more */
	job_start(j);
}

void effects_tell(struct daemon *d, struct lu *lu, enum ua ua)
{
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };
	struct job *j = job_new(d, 1);
	struct change *c = j ? change_add(j, lu) : NULL;

	if (c)
		change_ua(c, ua, &all);
	job_start_or_end(j, "telling initiators of a change");
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

bool effects_may_live(void *arg, uint32_t node)
{
	struct daemon *d = arg;
	uint32_t lost[NODES_MAX];
	size_t n = d->cluster ? cluster_unfenced(d->cluster, lost, NODES_MAX) : 0;

	for (size_t i = 0; i < n && i < NODES_MAX; i++)
		if (lost[i] == node)
			return true;
	return false;
}

/* What its nexuses had by RESERVE is enforced no more (pr-sync/pr_service.h), and what was forwarded to it will not be executed
 * there any more (cluster/link_out.c). */
void effects_settled(void *arg, uint32_t node)
{
	struct daemon *d = arg;
	struct job *j = job_new(d, d->core.nlus);

	for (uint32_t i = 0; j && i < d->core.nlus; i++) {
		const struct alua_gate *gate = lu_read(d->core.lu[i], gate);
		bool lingers = pr_service_lingers(d->pr, d->core.lu[i]->name), waits = gate && gate->lost && gate->owner == node;
		struct change *c = lingers || waits ? change_add(j, d->core.lu[i]) : NULL;

		j->ok &= !c || !lingers || publish_resv(c);
		j->ok &= !c || !waits || publish_gate(c);
	}
	job_start_or_end(j, "carrying out that a lost node is off");
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
		ownership_promote(d->ownership[i], promoted, d->ownership[i]);
}

/* What the services have to be told that older nodes don't have, or that could not be told. */
static void tell_newer(struct daemon *d)
{
	sessions_tell(d);
	if (cluster_state(d->cluster) == CLUSTER_SERVING)
		pr_cmd_serves(&d->pr_cmd);
	if (d->reconfig && cluster_state(d->cluster) == CLUSTER_SERVING)
		reconfig_seed(d->reconfig);
}

void effects_version_changed(void *arg)
{
	struct daemon *d = arg;

	if (!d->cluster)
		return;
	modes_offer(d);
	wipes_offer(d);
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

/* ---- the link between the nodes -------------------------------------------------------------- */

void effects_link_changed(void *arg)
{
	struct daemon *d = arg;
	struct job *j;

	d->nlink_to = link_to(d->link, d->link_to);
	d->nlink_from = link_from(d->link, d->link_from);
	j = republish(d, false);
	if (j)
		tell_new_states(j);
	job_start_or_end(j, "publishing port states"); /* commands would go where nobody takes them */
}
