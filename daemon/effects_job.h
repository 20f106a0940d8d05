/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the log to the data path. A run of effects becomes, per logical unit concerned, one publication and one
 * barrier; when all barriers have
 * reported, the position is acknowledged. Control thread.
 *
 *   effects.c      what is to be done: services' effects, everything anew
 *   effects_view.c what the data path is to see: gates, reservations, mode parameters, media
 *   effects_job.c  the barriers, and the end
 *
 *   effects_run ── job ─┬─ change (LU, what to publish, unit attentions, abort, drain) ── lu_barrier
 *                       └─ change …                                                      └─ done → cluster_effects_done
 */
#ifndef SANDEM_DAEMON_EFFECTS_JOB_H
#define SANDEM_DAEMON_EFFECTS_JOB_H

#include "core/lu.h"
#include "daemon/daemon.h"

#define CHANGE_UAS_MAX 8

struct job;
struct port_map;

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
	struct nexus_id *missed; /* of old_resv's registrants those that are none any more; then those there are */
	struct nexus_id *askers; /* who asked for the port states, and need not be told of them */
	uint32_t naskers;
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
	struct port_map *ports; /* made with the first gate; NULL before */
	struct change **of;	/* [core.nlus], by index: the change of each logical unit; NULL: there are few */
	struct lu **by_name;	/* [core.nlus], sorted; made with the first name that is looked up among many */
	uint32_t left;
	uint32_t n, max;
	struct change change[]; /* at most one per logical unit */
};

/* ---- effects_job.c ---- */

/* max: logical units that it can concern. NULL: no memory. */
struct job *job_new(struct daemon *d, uint32_t max);
/* A logical unit that the job does not concern yet, with its barrier prepared. NULL: no memory (j->ok is false
 * then). */
struct change *change_add(struct job *j, struct lu *lu);
/* The change of one logical unit in this job. NULL: no memory. */
struct change *change_of(struct job *j, struct lu *lu);
void change_ua(struct change *c, enum ua ua, const struct ua_scope *scope);
/* The logical unit of this name; NULL: the configuration has none (any more). */
struct lu *job_find_lu(struct job *j, const char *name);
/* Starts the barriers; the job ends by itself. */
void job_start(struct job *j);
/* For what must not stay as it is: a gate that can't be closed is worse than no daemon (P4). j may be NULL. */
void job_start_or_end(struct job *j, const char *what);

/* ---- effects_view.c: each publishes once per job; false: no memory ---- */

bool publish_gate(struct change *c);
bool publish_resv(struct change *c);
bool publish_media(struct change *c); /* capacity, operations on all of the medium, gate */
bool publish_mode(struct change *c);

/* Which targets show which logical unit, so that a job that makes all gates anew looks at each access list once. NULL: no
 * memory. */
struct port_map *port_map_new(const struct daemon *d);
void port_map_free(struct port_map *m);

#endif
