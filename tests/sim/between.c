/* SPDX-License-Identifier: BSD-2-Clause */
/* Between log and data path of a node: what main.c of the daemon is called back with, and what can be planted there. */
#include "cluster/replog_start.h"
#include "tests/sim/sim.h"

static bool forgets_ua(const struct node *n, const struct effects_run *run)
{
	return node_planted(n, PLANT_FORGET_UA) || (node_planted(n, PLANT_LOCAL_UA) && run->origin != n->id) ||
	       (node_planted(n, PLANT_MODE_UA_LOST) && run->service->ops->id == MODE_SERVICE_ID && n->id == 2);
}

static bool forgets_publish(const struct node *n, const struct effects_run *run)
{
	uint16_t service = run->service->ops->id;

	return (node_planted(n, PLANT_NO_PUBLISH) && service == PR_SERVICE_ID) ||
	       (node_planted(n, PLANT_CAPACITY_NOT_TOLD) && service == MEDIA_SERVICE_ID && run->origin != n->id);
}

static void run_effects(void *arg, struct effects_run *run)
{
	struct node *n = arg;

	if (run->service->ops->id == CONFIG_SERVICE_ID) {
		admin_run(n, run);
		return;
	}
	for (uint32_t i = 0; i < run->n; i++) {
		struct effect *e = (struct effect *)&run->effect[i];

		if (e->kind == EFFECT_DRAIN && node_planted(n, PLANT_SKIP_DRAIN))
			e->kind = EFFECT_PUBLISH;
		if ((e->kind == EFFECT_UA && forgets_ua(n, run)) ||
		    ((e->kind == EFFECT_DRAIN || e->kind == EFFECT_PUBLISH) && forgets_publish(n, run)))
			e->kind = EFFECT_OWNER; /* which means nothing here */
	}
	effects_run(&n->d, run);
}

static void publish_all(void *arg)
{
	struct node *n = arg;

	admin_publish(n);
	n->publishing = true;
	effects_publish_all(&n->d);
	n->publishing = false;
}

static void state_changed(void *arg, enum cluster_state s, const char *why)
{
	struct node *n = arg;

	sim_trace(n->sim, "%s: %s", cluster_state_name(s), why);
	if ((s == CLUSTER_SERVING || s == CLUSTER_NO_QUORUM) && n->restored >= 0) /* published, and stored */
		n->on_disk = 0;
	if (s == CLUSTER_SERVING && !n->dying) {
		history_anchor(n);
		told_check_owed(n);
		net_check_outrun(n);
	}
	effects_state_changed(&n->d, s, why);
}

static bool harmless(void *arg, uint32_t node, bool node_down)
{
	struct node *n = arg;

	return node_planted(n, PLANT_SKIP_FENCING_WAIT) || effects_harmless(&n->d, node, node_down);
}

static void settled(void *arg, uint32_t node)
{
	effects_settled(&((struct node *)arg)->d, node);
}

struct cluster_callbacks between_callbacks(struct node *n)
{
	return (struct cluster_callbacks){ n,	  run_effects, publish_all, state_changed, harmless,
					   NULL,  settled,     NULL,	    NULL };
}

/* ---- what is planted ----------------------------------------------------------------------------------------------------------------- */

enum cluster_state __wrap_cluster_state(const struct cluster *c)
{
	enum cluster_state s = __real_cluster_state(c);
	enum plant p = sim_world()->plant;

	if ((s == CLUSTER_JOINING && p == PLANT_SERVE_JOINING) || (s == CLUSTER_NO_QUORUM && p == PLANT_SERVE_WITHOUT_QUORUM))
		return CLUSTER_SERVING;
	return s;
}

bool __real_start_allowed(const struct lineage *state, const struct start_present *here, uint32_t nhere,
			  struct start_missing *m);
bool __wrap_start_allowed(const struct lineage *state, const struct start_present *here, uint32_t nhere,
			  struct start_missing *m);
bool __wrap_start_allowed(const struct lineage *state, const struct start_present *here, uint32_t nhere,
			  struct start_missing *m)
{
	bool allowed = __real_start_allowed(state, here, nhere, m);

	return allowed || (state && sim_world()->plant == PLANT_START_ALONE);
}

bool __wrap_lapse_outrun(struct replog *r, struct start_missing *who);
bool __real_lapse_outrun(struct replog *r, struct start_missing *who);
bool __wrap_lapse_outrun(struct replog *r, struct start_missing *who)
{
	return __real_lapse_outrun(r, who) && sim_world()->plant != PLANT_START_FROM_MEMORY;
}

static void barrier_lies(struct msg *m)
{
	struct lu_barrier *b = caa_container_of(m, struct lu_barrier, msg);

	b->done(b);
}

void __real_lu_barrier_start(struct lu_barrier *b);
void __wrap_lu_barrier_start(struct lu_barrier *b);
void __wrap_lu_barrier_start(struct lu_barrier *b)
{
	struct node *n = sim_world()->cur;
	const struct ownership *o = b->lu->control_data;

	if (node_planted(n, PLANT_NO_BARRIER)) {
		b->msg.fn = barrier_lies;
		mailbox_post(&n->d.core.control, &b->msg);
		return;
	}
	if (node_planted(n, PLANT_CLOSE_EARLY) && b == o->barrier)
		b->drain = false;
	if (node_planted(n, PLANT_RESET_NO_DRAIN) && b->abort)
		b->drain = false;
	if (node_planted(n, PLANT_OWN_UNTOLD))
		b->cause.function = false;
	if (node_planted(n, PLANT_MISSED_UNTOLD) && n->publishing)
		b->nua = 0;
	if (node_planted(n, PLANT_MISSED_GOES_ON) && n->publishing)
		b->abort = NULL;
	while (node_planted(n, PLANT_RESET_FORGOTTEN) && n->publishing && b->nua && b->ua[b->nua - 1].code == UA_BUS_DEVICE_RESET)
		b->nua--;
	__real_lu_barrier_start(b);
}

bool __real_range_lock_wait(struct lu_shard *shard, struct scsi_cmd *cmd);
bool __wrap_range_lock_wait(struct lu_shard *shard, struct scsi_cmd *cmd);
bool __wrap_range_lock_wait(struct lu_shard *shard, struct scsi_cmd *cmd)
{
	return !node_planted(sim_world()->cur, PLANT_NO_RANGE_LOCK) && __real_range_lock_wait(shard, cmd);
}
