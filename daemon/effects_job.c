/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/effects_job.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/target.h"

#define FEW 8 /* logical units: up to there a walk costs less than an index */

struct job *job_new(struct daemon *d, uint32_t max)
{
	struct job *j = calloc(1, sizeof(*j) + max * sizeof(j->change[0]));

	if (!j)
		return NULL;
	j->d = d;
	j->ok = true;
	j->max = max;
	if (max > FEW)
		j->of = calloc(d->core.nlus + 1, sizeof(j->of[0])); /* NULL: it takes longer */
	return j;
}

static void job_free(struct job *j)
{
	for (uint32_t i = 0; i < j->n; i++) {
		if (j->ok) { /* else no barrier has run, and a reactor may be reading them */
			alua_gate_free(j->change[i].old_gate);
			pr_view_free(j->change[i].old_resv);
			free((void *)j->change[i].old_mode);
			free((void *)j->change[i].old_saved);
			free(j->change[i].old_wipe);
		}
		free(j->change[i].missed);
		free(j->change[i].askers);
		free(j->change[i].part);
	}
	port_map_free(j->ports);
	free(j->by_name);
	free(j->of);
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

struct change *change_add(struct job *j, struct lu *lu)
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

struct change *change_of(struct job *j, struct lu *lu)
{
	if (j->of)
		return j->of[lu->index] ? j->of[lu->index] : (j->of[lu->index] = change_add(j, lu));
	for (uint32_t i = 0; i < j->n; i++)
		if (j->change[i].lu == lu)
			return &j->change[i];
	return change_add(j, lu);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct lu *const *)a)->name, (*(struct lu *const *)b)->name);
}

static int name_is(const void *name, const void *lu)
{
	return strcmp(name, (*(struct lu *const *)lu)->name);
}

struct lu *job_find_lu(struct job *j, const char *name)
{
	const struct core *core = &j->d->core;
	struct lu **found;

	if (!j->by_name && j->max > FEW) {
		j->by_name = calloc(core->nlus + 1, sizeof(j->by_name[0]));
		if (j->by_name) {
			memcpy(j->by_name, core->lu, core->nlus * sizeof(j->by_name[0]));
			qsort(j->by_name, core->nlus, sizeof(j->by_name[0]), by_name);
		}
	}
	if (!j->by_name)
		return core_find_lu(&j->d->core, name);
	found = bsearch(name, j->by_name, core->nlus, sizeof(j->by_name[0]), name_is);
	return found ? *found : NULL;
}

void change_ua(struct change *c, enum ua ua, const struct ua_scope *scope)
{
	if (c->barrier.nua == CHANGE_UAS_MAX) /* more than any service raises at once */
		c->job->ok = false;
	else
		c->ua[c->barrier.nua++] = (struct lu_barrier_ua){ ua, *scope };
}

void job_start(struct job *j)
{
	j->left = j->n + 1;
	for (uint32_t i = 0; i < j->n && j->ok; i++)
		lu_barrier_start(&j->change[i].barrier);
	if (!j->ok)
		j->left = 1; /* nothing was started */
	if (--j->left == 0)
		job_end(j);
}

void job_start_or_end(struct job *j, const char *what)
{
	if (!j || !j->ok) {
		log_error("out of memory while %s; ending at once", what);
		abort();
	}
	job_start(j);
}
