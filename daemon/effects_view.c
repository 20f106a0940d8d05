/* SPDX-License-Identifier: BSD-2-Clause */
/* What the data path is to see of what the log says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/target.h"
#include "core/wipe.h"
#include "daemon/effects_job.h"

void effects_situation(const struct ownership *o, struct alua_situation *out)
{
	const struct daemon *d = o->d;

	*out = (struct alua_situation){
		.group = alua_service_group(o->d->alua, o->group),
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

/* ---- the ports of a logical unit ------------------------------------------------------------------------------- */

struct port_map {
	uint32_t nlus;
	uint32_t words;	  /* of 64 targets each */
	uint64_t shown[]; /* [nlus][words], by lu->index: a bit per target, in the order of core.target */
};

static bool is_listed(const struct core *core, const struct lu *lu)
{
	return lu->index < core->nlus && core->lu[lu->index] == lu;
}

static void mark(struct port_map *m, const struct daemon *d, uint32_t t)
{
	uint16_t nacls;
	const struct initiator_acl *acl = target_acls(d->core.target[t], &nacls);

	for (uint16_t a = 0; a < nacls; a++)
		for (uint16_t i = 0; i < acl[a].nluns; i++)
			if (is_listed(&d->core, acl[a].lun[i].lu))
				m->shown[acl[a].lun[i].lu->index * m->words + t / 64] |= 1ull << t % 64;
}

struct port_map *port_map_new(const struct daemon *d)
{
	uint32_t words = (d->core.ntargets + 63) / 64;
	struct port_map *m = calloc(1, sizeof(*m) + (size_t)d->core.nlus * words * sizeof(m->shown[0]));

	if (!m)
		return NULL;
	m->nlus = d->core.nlus;
	m->words = words;
	for (uint32_t t = 0; t < d->core.ntargets; t++)
		mark(m, d, t);
	return m;
}

void port_map_free(struct port_map *m)
{
	free(m);
}

static bool shows(const struct daemon *d, const struct port_map *m, uint32_t t, const struct lu *lu)
{
	if (!m || lu->index >= m->nlus || !is_listed(&d->core, lu))
		return target_shows(d->core.target[t], lu);
	return m->shown[lu->index * m->words + t / 64] & 1ull << t % 64;
}

/* ---- the gate ---------------------------------------------------------------------------------------------------- */

static int by_tpg(const void *a, const void *b)
{
	const struct alua_port_ref *x = a, *y = b;

	return x->tpg != y->tpg ? (int)x->tpg - y->tpg : (int)x->rtpi - y->rtpi;
}

/* m: NULL where it is one gate only. */
static struct alua_gate *gate_for(struct daemon *d, const struct port_map *m, struct lu *lu)
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
		if (shows(d, m, t, lu))
			for (uint16_t p = 0; p < d->core.target[t]->nports; p++)
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
	if (gate && gate->lost)
		gate->owner_off = !gate->owner || !effects_may_live(d, gate->owner);
	free(ports);
	return gate;
}

bool publish_gate(struct change *c)
{
	struct job *j = c->job;
	struct alua_gate *gate;

	if (c->gate_published)
		return true;
	if (!j->ports && j->max > 1)
		j->ports = port_map_new(j->d); /* NULL: it takes longer */
	gate = gate_for(j->d, j->ports, c->lu);
	if (!gate)
		return false;
	c->gate_published = true;
	c->old_gate = lu_publish(c->lu, gate, gate);
	return true;
}

bool publish_resv(struct change *c)
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
bool publish_media(struct change *c)
{
	const struct media_lu *m = media_service_find(c->job->d->media, c->lu->name);

	if (m && m->blocks)
		__atomic_store_n(&c->lu->blocks, m->blocks, __ATOMIC_RELAXED);
	return publish_wipe(c) && publish_gate(c);
}

bool publish_mode(struct change *c)
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

/* ---- first values ------------------------------------------------------------------------------------------------ */

static int first_gate(struct daemon *d, const struct port_map *m, struct lu *lu)
{
	struct alua_gate *gate = gate_for(d, m, lu);

	if (!gate)
		return -ENOMEM;
	(void)lu_publish(lu, gate, gate);
	return 0;
}

int effects_init(struct daemon *d)
{
	struct port_map *m = port_map_new(d);
	int rc = 0;

	for (uint32_t i = 0; i < d->core.nlus && rc == 0; i++)
		rc = first_gate(d, m, d->core.lu[i]);
	port_map_free(m);
	return rc;
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
	lu->ended = tasks_last(&d->tasks, lu->name);
	if (m && m->blocks)
		lu->blocks = m->blocks;
	return first_gate(d, NULL, lu);
}
