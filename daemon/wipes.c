/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SANITIZE and FORMAT UNIT: from the command to the log, from the log to the owner's medium
 * (core/wipe.h).
 *
 *   request ─▶ WIPE_START ─▶ every node: lu->wipe published, drained (effects.c)
 *                              └▶ the owner, whoever that is by then: a run; REACHED from time
 *                                 to time; DONE or FAILED
 *   A command that waits is answered by the node on which it entered.
 *
 * Level-triggered, as ownership.c: wipes_look() compares what the log says with what this node
 * does. So a new owner goes on where the old one was, and whoever could not tell the log tells it
 * later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/wipe_run.h"
#include "core/wire.h"
#include "daemon/daemon.h"

enum outcome { OUTCOME_NONE, OUTCOME_DONE, OUTCOME_FAILED };

struct lu_wipe { /* of a logical unit that had one: kept to the end, for late answers */
	struct lu_wipe *next;
	struct daemon *d;
	struct lu *lu;
	struct cds_list_head waiting; /* wipe_request.link: until the operation has ended */
	uint64_t drained;	      /* the operation that this node's commands make way for */
	struct wipe_run *run;
	uint64_t run_id;
	uint64_t epoch;	      /* of the run, or of its outcome */
	enum outcome outcome; /* not in the log yet */
	bool proposing;
};

/* NULL: no memory. */
static struct lu_wipe *of(struct daemon *d, const struct lu *lu)
{
	struct lu_wipe *w = d->wipes;

	while (w && w->lu != lu)
		w = w->next;
	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct lu_wipe){ .next = d->wipes, .d = d, .lu = (struct lu *)lu };
	CDS_INIT_LIST_HEAD(&w->waiting);
	return d->wipes = w;
}

static const char *name_of(enum wipe_kind k)
{
	return k == WIPE_SANITIZE ? "SANITIZE" : "FORMAT UNIT";
}

static const struct media_wipe *record(const struct daemon *d, const struct lu *lu)
{
	static const struct media_wipe none = { .state = MEDIA_WIPE_NONE };
	const struct media_lu *m = media_service_find(d->media, lu->name);

	return m ? &m->wipe : &none;
}

static const struct media_wipe *record_of(const struct lu_wipe *w)
{
	return record(w->d, w->lu);
}

static bool is_running(const struct lu_wipe *w)
{
	return record_of(w)->state == MEDIA_WIPE_RUNNING;
}

static bool owned_here(const struct lu_wipe *w)
{
	const struct ownership *o = w->lu->control_data;

	return o->phase == OWNERSHIP_OPEN && o->active_everywhere &&
	       cluster_state(w->d->cluster) == CLUSTER_SERVING;
}

#define WIPES_SINCE 2 /* version of the protocol: what the media service says of wipes */

/* ---- commands that wait ---------------------------------------------------------------------- */

static sense_t refused(enum propose_status status)
{
	return status == PROPOSE_NOT_SERVING ? SENSE_LU_NOT_READY_UNAVAILABLE
					     : SENSE_ABORTED_COMMAND;
}

/* Every node serves again: GOOD. Where that can't be known the command is not answered wrongly, the
 * operation has ended well. */
static void ended_everywhere(void *cookie, enum propose_status status, const void *result,
			     size_t len)
{
	(void)status;
	(void)result;
	(void)len;
	wipe_answer(cookie, SENSE_NONE);
}

/* That it has failed is on stable storage everywhere: no restart makes a success of it. */
static void broken_everywhere(void *cookie, enum propose_status status, const void *result,
			      size_t len)
{
	struct wipe_request *q = cookie;

	(void)status;
	(void)result;
	(void)len;
	wipe_answer(q, wipe_failed_sense(q->order.kind));
}

static void tell_waiting(struct lu_wipe *w)
{
	const struct media_wipe *m = record_of(w);
	const struct media_change look = { .action = MEDIA_WIPE_LOOK, .lu = w->lu->name };
	struct wipe_request *q, *next;

	cds_list_for_each_entry_safe (q, next, &w->waiting, link) {
		if (m->id == q->id && m->state == MEDIA_WIPE_RUNNING)
			continue;
		cds_list_del(&q->link);
		media_propose(w->d, &look,
			      m->id == q->id && m->state == MEDIA_WIPE_BROKEN ? broken_everywhere
									      : ended_everywhere, q);
	}
}

static void started(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct wipe_request *q = cookie;
	struct lu_wipe *w = q->arg;
	const uint8_t *r = result;

	if (status != PROPOSE_OK || len != 9) {
		wipe_answer(q, refused(status));
		return;
	}
	if (r[0] == MEDIA_WIPING) {
		wipe_answer(q, wipe_running_sense(record_of(w)->order.kind));
		return;
	}
	log_notice("LUN %s: %s has begun; other commands are refused until its end", w->lu->name,
		   name_of(q->order.kind));
	if (q->immed) {
		wipe_answer(q, SENSE_NONE);
		return;
	}
	q->id = get_be64(r + 1);
	cds_list_add_tail(&q->link, &w->waiting);
	tell_waiting(w);
}

static void start(void *arg, struct wipe_request *q)
{
	struct daemon *d = arg;
	const struct media_wipe wipe = { .state = MEDIA_WIPE_RUNNING, .order = q->order };
	const struct media_change c = { .action = MEDIA_WIPE_START,
					.lu = q->lu->name,
					.wipe = &wipe };

	if (cluster_version(d->cluster) < WIPES_SINCE) { /* a node that does not know it would go on serving */
		wipe_answer(q, SENSE_INVALID_OPCODE);
		return;
	}
	q->arg = of(d, q->lu);
	if (!q->arg) {
		wipe_answer(q, SENSE_INTERNAL_FAILURE);
		return;
	}
	media_propose(d, &c, started, q);
}

/* ---- EXIT FAILURE MODE ----------------------------------------------------------------------- */

static void left(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct scsi_cmd *cmd = cookie;
	const struct media_lu *m;

	if (status != PROPOSE_OK || len != 1) {
		cmd_sense(cmd, refused(status));
		return;
	}
	switch ((enum media_verdict) * (const uint8_t *)result) {
	case MEDIA_OK:
	case MEDIA_UNCHANGED:
		cmd_good(cmd, 0);
		return;
	case MEDIA_NO_EXIT:
		cmd_bad_field(cmd, 1, 4);
		return;
	case MEDIA_WIPING:
		m = media_service_find(((struct daemon *)cmd->lu->core->wipes.arg)->media,
				       cmd->lu->name);
		cmd_sense(cmd, wipe_running_sense(m ? m->wipe.order.kind : WIPE_SANITIZE));
		return;
	case MEDIA_PREVENTED:
	case MEDIA_FULL:
		break;
	}
	cmd_sense(cmd, SENSE_INTERNAL_FAILURE);
}

static void leave(void *arg, struct scsi_cmd *cmd)
{
	const struct media_change c = { .action = MEDIA_WIPE_LEAVE, .lu = cmd->lu->name };

	media_propose(arg, &c, left, cmd);
}

/* ---- the owner ------------------------------------------------------------------------------- */

static void look(struct lu_wipe *w);

static void told(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct lu_wipe *w = cookie;

	(void)result;
	(void)len;
	w->proposing = false;
	if (status == PROPOSE_OK)
		w->outcome = OUTCOME_NONE;
	look(w); /* not taken: again when the cluster serves */
}

static void tell_outcome(struct lu_wipe *w)
{
	const struct media_wipe which = { .id = w->run_id };
	const struct media_change c = { .action = w->outcome == OUTCOME_DONE ? MEDIA_WIPE_DONE
									     : MEDIA_WIPE_FAILED,
					.lu = w->lu->name,
					.wipe = &which };

	w->proposing = true;
	media_propose(w->d, &c, told, w);
}

static void nobody_waits(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie;
	(void)status;
	(void)result;
	(void)len;
}

static void reached(void *arg, uint8_t pass, uint64_t at)
{
	struct lu_wipe *w = arg;
	const struct media_wipe so_far = { .id = w->run_id, .pass = pass, .at = at };
	const struct media_change c = { .action = MEDIA_WIPE_REACHED,
					.lu = w->lu->name,
					.wipe = &so_far };

	if (owned_here(w))
		media_propose(w->d, &c, nobody_waits, NULL);
}

static void run_ended(void *arg, int err)
{
	struct lu_wipe *w = arg;
	const char *kind = name_of(record_of(w)->order.kind);

	w->run = NULL;
	if (err == -ECANCELED) {
		log_notice("LUN %s: %s goes on with the next owner of its group", w->lu->name,
			   kind);
	} else if (err < 0) {
		log_error("LUN %s: %s failed: %s; the LUN refuses commands until the command is "
			  "repeated with success; check %s",
			  w->lu->name, kind, strerror(-err),
			  w->lu->disk_params.path ? w->lu->disk_params.path : "its backing device");
		w->outcome = OUTCOME_FAILED;
	} else {
		log_notice("LUN %s: %s has ended well", w->lu->name, kind);
		w->outcome = OUTCOME_DONE;
	}
	look(w);
}

static void run_start(struct lu_wipe *w)
{
	const struct media_wipe *m = record_of(w);
	const struct wipe_run_params p = { .lu = w->lu,
					   .order = &m->order,
					   .epoch = w->epoch,
					   .pass = m->pass,
					   .at = m->at,
					   .reached = reached,
					   .ended = run_ended,
					   .arg = w };

	if (m->pass || m->at)
		log_notice("LUN %s: %s goes on here, pass %u, byte %llu", w->lu->name,
			   name_of(m->order.kind), m->pass + 1, (unsigned long long)m->at);
	w->run = wipe_run_start(&p);
	if (w->run)
		return;
	log_error("LUN %s: no memory for %s", w->lu->name, name_of(m->order.kind));
	w->outcome = OUTCOME_FAILED;
	tell_outcome(w);
}

static void look(struct lu_wipe *w)
{
	const struct ownership *o = w->lu->control_data;
	const struct media_wipe *m = record_of(w);

	tell_waiting(w);
	if (w->lu->gone && w->run) /* from the configuration */
		wipe_run_stop(w->run);
	if (w->outcome != OUTCOME_NONE &&
	    (!is_running(w) || m->id != w->run_id || o->epoch != w->epoch))
		w->outcome = OUTCOME_NONE; /* it is the next owner's */
	if (w->lu->gone || w->run || w->proposing || !is_running(w) || !owned_here(w) ||
	    w->drained != m->id)
		return;
	if (w->outcome != OUTCOME_NONE) {
		tell_outcome(w);
		return;
	}
	w->run_id = m->id;
	w->epoch = o->epoch;
	run_start(w);
}

void wipes_look(struct daemon *d)
{
	for (struct lu_wipe *w = d->wipes; w; w = w->next)
		if (w->lu->wipe || w->run || w->outcome != OUTCOME_NONE ||
		    !cds_list_empty(&w->waiting))
			look(w);
}

void wipes_drained(struct daemon *d, const struct lu *lu, uint64_t id)
{
	struct lu_wipe *w = of(d, lu);

	if (w) /* made when that was published */
		w->drained = id;
}

/* ---- what the data path sees ----------------------------------------------------------------- */

static uint16_t progress_of(const struct lu_wipe *w, const struct media_wipe *m)
{
	unsigned __int128 total = (unsigned __int128)__atomic_load_n(&w->lu->blocks,
								     __ATOMIC_RELAXED) *
				  w->lu->block_size;
	unsigned __int128 done = total * m->pass + m->at;
	uint64_t p = total ? done * 65536 / (total * m->order.passes) : 0;

	return p > 65535 ? 65535 : p;
}

bool wipes_view(struct daemon *d, const struct lu *lu, struct wipe **now)
{
	const struct media_wipe *m = record(d, lu);
	bool failed = m->state == MEDIA_WIPE_BROKEN;
	const struct lu_wipe *w;
	struct wipe *old = lu->wipe;

	*now = NULL;
	if (m->state == MEDIA_WIPE_NONE)
		return true;
	w = of(d, lu);
	if (!w)
		return false;
	*now = old;
	if (!old || old->id != m->id || old->failed != failed)
		*now = calloc(1, sizeof(**now));
	if (!*now)
		return false;
	if (*now != old)
		**now = (struct wipe){ .id = m->id, .kind = m->order.kind, .failed = failed };
	if (!w->run) /* else the run itself shows more */
		__atomic_store_n(&(*now)->progress, progress_of(w, m), __ATOMIC_RELAXED);
	return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

void wipes_offer(struct daemon *d)
{
	__atomic_store_n(&d->core.wipes.not_yet, cluster_version(d->cluster) < WIPES_SINCE, __ATOMIC_RELAXED);
}

void wipes_wire(struct daemon *d)
{
	wipes_offer(d);
	d->core.wipes.start = start;
	d->core.wipes.leave = leave;
	d->core.wipes.arg = d;
}

void wipes_free(struct daemon *d)
{
	struct wipe_request *q, *next;

	while (d->wipes) {
		struct lu_wipe *w = d->wipes;

		d->wipes = w->next;
		wipe_run_free(w->run);
		cds_list_for_each_entry_safe (q, next, &w->waiting, link)
			free(q);
		free(w);
	}
}
