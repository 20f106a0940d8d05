/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The media of logical units beyond their owner: what the node that has a medium open finds out about it is proposed to the
 * log, so that every node says the same (media/media_service.h).
 *
 *   open ─────────────▶ capacity found ───────────────┐
 *   lun resize ─ worker: grow, look ─▶ capacity now ──┼─▶ proposal ─▶ effects.c on every node
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "daemon/daemon.h"

/* ---- proposals ---------------------------------------------------------------------------------------- */

void media_propose(struct daemon *d, const struct media_change *c, propose_done_fn done, void *cookie)
{
	struct proposer *p = cluster_proposer(d->cluster);
	struct wbuf msg = { 0 };

	media_service_pack(&msg, c);
	p->propose(p, MEDIA_SERVICE_ID, msg.data, msg.len, done, cookie);
	wbuf_fini(&msg);
}

/* Nobody waits for news of this kind: what could not be told is told again by the next opening or measurement. */
static void told(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)result;
	(void)len;
	if (status != PROPOSE_OK)
		log_info("LUN %s: news of its medium could not be told to the cluster now", ((struct lu *)cookie)->name);
}

void media_tell(struct daemon *d, struct lu *lu, enum media_action action, uint64_t blocks)
{
	const struct media_change c = { .action = action, .lu = lu->name, .blocks = blocks,
					.force = action == MEDIA_EJECT }; /* found so: nobody to ask */

	media_propose(d, &c, told, lu);
}

/* ---- capacity ------------------------------------------------------------------------------------------- */

void media_before_open(struct daemon *d, struct lu *lu)
{
	const struct media_lu *m = media_service_find(d->media, lu->name);
	uint64_t bytes = m ? m->blocks * lu->block_size : 0;

	if (lu->disk_params.size && lu->disk_params.size < bytes) /* grown since the file was written */
		lu->disk_params.size = bytes;
}

void media_opened(struct daemon *d, struct lu *lu, uint64_t bytes)
{
	const struct media_lu *m = media_service_find(d->media, lu->name);
	uint64_t blocks = bytes / lu->block_size;

	__atomic_store_n(&lu->blocks, blocks, __ATOMIC_RELAXED);
	if (m && m->blocks == blocks)
		return;
	if (m && m->blocks > blocks)
		log_error("LUN %s: %s has %llu blocks now, it had %llu: what was beyond is lost; restore the medium or use the "
			  "LUN as it is", lu->name, lu->disk_params.path ? lu->disk_params.path : lu->disk_params.handler,
			  (unsigned long long)blocks, (unsigned long long)m->blocks);
	media_tell(d, lu, MEDIA_CAPACITY, blocks);
}

/* ---- resize ------------------------------------------------------------------------------------------------ */

struct resize {
	struct work work;
	struct daemon *d;
	struct lu *lu;
	struct disk *disk; /* open: whoever closes it comes behind this job in the worker's queue */
	uint64_t wanted;   /* bytes; 0 = as found */
	uint64_t now, size;
	int rc;
	media_resized_fn done;
	void *arg;
};

__attribute__((format(printf, 2, 3))) static void resize_end(struct resize *r, const char *fmt, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	if (fmt)
		vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	r->done(r->arg, r->lu, fmt ? message : NULL);
	free(r);
}

static void announced(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct resize *r = cookie;

	(void)result;
	(void)len;
	if (status == PROPOSE_OK)
		resize_end(r, NULL);
	else
		resize_end(r, "the medium has %llu bytes now, but the cluster could not be told (%s); repeat the command when it "
			      "serves again", (unsigned long long)r->size, cluster_why(r->d->cluster));
}

static void resize_run(struct work *w)
{
	struct resize *r = caa_container_of(w, struct resize, work);

	r->size = r->wanted;
	r->rc = r->disk->ops->resize(r->disk, &r->size);
}

static const char *medium_of(const struct lu *lu)
{
	return lu->disk_params.path ? lu->disk_params.path : lu->disk_params.handler;
}

static void resize_looked(struct work *w)
{
	struct resize *r = caa_container_of(w, struct resize, work);
	struct lu *lu = r->lu;
	uint64_t blocks = r->size / lu->block_size;
	struct media_change c = { .action = MEDIA_CAPACITY, .lu = lu->name, .blocks = blocks };

	if (r->rc == -EOPNOTSUPP)
		resize_end(r, "%s has %llu bytes, less than %llu; grow the device first (on every node that has one of its own)",
			   medium_of(lu), (unsigned long long)r->size, (unsigned long long)r->wanted);
	else if (r->rc < 0)
		resize_end(r, "%s can't be resized: %s; it stays as it is", medium_of(lu), strerror(-r->rc));
	else if (blocks < r->now)
		resize_end(r, "%s has %llu bytes, the LUN has %llu; a LUN that is in use is not cut. Grow the medium again, or "
			      "demote the group and promote it to use the LUN as small as it is", medium_of(lu),
			   (unsigned long long)r->size, (unsigned long long)(r->now * lu->block_size));
	else
		media_propose(r->d, &c, announced, r);
}

static const char *refusal(const struct daemon *d, const struct lu *lu, uint64_t wanted)
{
	const struct ownership *o = lu->control_data;
	uint64_t now = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED) * lu->block_size;

	if (cluster_state(d->cluster) != CLUSTER_SERVING)
		return "this node does not serve now; see `sandemctl status`";
	if (removal_is_ejected(d, lu))
		return "its medium is ejected; load it first (`sandemctl lun load`)";
	if (o->phase != OWNERSHIP_OPEN)
		return "its group is not active on this node; run the command on the group's owner (`sandemctl group list`)";
	if (wanted % lu->block_size)
		return "the size is not a multiple of the block size";
	if (wanted && wanted < now)
		return "it is larger than that already, and a LUN is not cut: what initiators have there would be lost";
	return NULL;
}

void media_resize(struct daemon *d, struct lu *lu, uint64_t bytes, media_resized_fn done, void *arg)
{
	const char *why = refusal(d, lu, bytes);
	struct resize *r = why ? NULL : malloc(sizeof(*r));

	if (!r) {
		done(arg, lu, why ? why : "out of memory");
		return;
	}
	*r = (struct resize){ .d = d, .lu = lu, .disk = lu->disk, .wanted = bytes, .done = done, .arg = arg,
			      .now = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED),
			      .work = { .run = resize_run, .done = resize_looked } };
	worker_queue(&d->worker, &r->work);
}
