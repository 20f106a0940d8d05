/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resources of thin logical units: once a second the worker thread asks the open media what they take and what is left for
 * them; below the threshold the log is told, and with it every nexus on every node (SBC-3 4.7.3.8).
 *
 *   timer ─▶ worker: disk->ops->usage for each ─▶ counts for LOG SENSE; threshold crossed? ─▶ proposal
 */
#include <errno.h>
#include <qb/qbutil.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/thin.h"
#include "daemon/daemon.h"

#define ROUND_NS QB_TIME_NS_IN_SEC

struct thin_row {
	struct lu *lu;
	struct disk *disk; /* open: whoever closes it comes behind the round in the worker's queue. NULL: not asked */
	int rc;
	uint64_t used, available;
};

struct thin_watch {
	struct daemon *d;
	qb_loop_timer_handle timer;
	struct work work;
	bool running, armed;
	bool stale; /* other logical units since the round began */
	uint32_t n;
	struct thin_row *row;
};

static void ask(struct work *w)
{
	struct thin_watch *t = caa_container_of(w, struct thin_watch, work);

	for (uint32_t i = 0; i < t->n; i++) {
		struct thin_row *r = &t->row[i];

		if (r->disk)
			r->rc = r->disk->ops->usage ? r->disk->ops->usage(r->disk, &r->used, &r->available) : -EOPNOTSUPP;
	}
}

/* Between the two bounds nothing changes: what comes and goes there must not make a row of unit attentions. */
static void judge(struct thin_watch *t, const struct thin_row *r)
{
	const struct media_lu *m = media_service_find(t->d->media, r->lu->name);
	uint64_t threshold = thin_threshold_bytes(r->lu);
	bool low = m && m->low_space;

	if (!low && r->available < threshold) {
		log_warning("LUN %s: %llu MiB are left for it, less than the %u %% of thin_threshold; add space to what holds %s",
			    r->lu->name, (unsigned long long)r->available >> 20, r->lu->thin_threshold,
			    r->lu->disk_params.path);
		media_tell(t->d, r->lu, MEDIA_LOW_SPACE, 0);
	} else if (low && r->available > threshold + threshold / 64) {
		media_tell(t->d, r->lu, MEDIA_ENOUGH_SPACE, 0);
	}
}

static void asked(struct work *w)
{
	struct thin_watch *t = caa_container_of(w, struct thin_watch, work);
	bool serving = cluster_state(t->d->cluster) == CLUSTER_SERVING;

	t->running = false;
	for (uint32_t i = 0; i < t->n && !t->stale; i++) {
		struct thin_row *r = &t->row[i];
		bool known = r->disk && r->disk == r->lu->disk && r->rc == 0;

		thin_measured(r->lu, known, r->used, r->available);
		if (known && serving && r->lu->thin_threshold)
			judge(t, r);
	}
	if (t->stale && thin_watch_refresh(t->d) < 0)
		log_error("out of memory: thin logical units are not watched for a round");
}

static void arm(struct thin_watch *t);

static void next_round(void *arg)
{
	struct thin_watch *t = arg;

	arm(t);
	if (t->stale && !t->running && thin_watch_refresh(t->d) < 0)
		return;
	if (t->running) /* a file system that does not answer: one question at a time */
		return;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct ownership *o = t->row[i].lu->control_data;

		t->row[i].disk = o->phase == OWNERSHIP_OPEN ? t->row[i].lu->disk : NULL;
	}
	t->running = true;
	t->work.run = ask;
	t->work.done = asked;
	worker_queue(&t->d->worker, &t->work);
}

static void arm(struct thin_watch *t)
{
	t->armed = qb_loop_timer_add(t->d->loop, QB_LOOP_LOW, ROUND_NS, t, next_round, &t->timer) == 0;
}

/* While a round runs the worker thread reads the rows: they change at its end. */
int thin_watch_refresh(struct daemon *d)
{
	struct thin_watch *t = d->thin;
	struct thin_row *row;

	if (!t)
		return 0;
	t->stale = true;
	if (t->running)
		return 0;
	row = calloc(d->core.nlus + 1, sizeof(*row));
	if (!row)
		return -ENOMEM;
	free(t->row);
	t->row = row;
	t->n = 0;
	for (uint32_t i = 0; i < d->core.nlus; i++)
		if (d->core.lu[i]->thin)
			t->row[t->n++].lu = d->core.lu[i];
	t->stale = false;
	if (t->n && !t->armed)
		arm(t);
	return 0;
}

int thin_watch_start(struct daemon *d)
{
	d->thin = calloc(1, sizeof(*d->thin));
	if (!d->thin)
		return -ENOMEM;
	d->thin->d = d;
	return thin_watch_refresh(d);
}

void thin_watch_free(struct daemon *d)
{
	if (d->thin)
		free(d->thin->row);
	free(d->thin);
	d->thin = NULL;
}
