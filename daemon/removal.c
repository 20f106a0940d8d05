/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removable media. While one is ejected the owner has it closed, so that another file can take its place.
 *
 *   eject: EJECT on every member (its effects drain) ─▶ unpublish ─▶ drain ─▶ flush, close
 *   load:  open ─▶ capacity ─▶ publish ─▶ LOAD on every member: 28/00 for every other nexus
 *
 * Initiators do it by START STOP UNIT, operators by `sandemctl lun eject` and `lun load`. One at a time per LUN group, which
 * is not closed meanwhile (ownership.media_busy).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cdb.h"
#include "core/log.h"
#include "core/nexus.h"
#include "daemon/daemon.h"
#include "drivers/disk/disk_handlers.h"

struct removal {
	struct daemon *d;
	struct lu *lu;
	struct disk *disk;
	const struct nexus_id *by; /* the initiator that loads it; NULL: an operator */
	struct work work;
	struct lu_barrier barrier;
	int rc;
	bool prevented;
	char error[512];
	removal_done_fn done;
	void *arg;
	struct lu_barrier_part part[]; /* [nreactors] */
};

static struct ownership *ownership_of(const struct lu *lu)
{
	return lu->control_data;
}

bool removal_is_ejected(const struct daemon *d, const struct lu *lu)
{
	const struct media_lu *m = media_service_find(d->media, lu->name);

	return m && m->ejected;
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

static void end(struct removal *r, sense_t s, const char *error)
{
	struct ownership *o = ownership_of(r->lu);

	o->media_busy = false;
	r->done(r->arg, r->lu, s, error);
	free(r);
	ownership_reconcile(o);
}

static void end_moved(struct removal *r)
{
	if (r->prevented)
		end(r, SENSE_REMOVAL_PREVENTED,
		    "an initiator prevents its removal; `lun eject NAME force` does it all the same");
	else
		end(r, SENSE_NONE, NULL);
}

static sense_t sense_of(enum propose_status status)
{
	return status == PROPOSE_NOT_SERVING ? SENSE_LU_NOT_READY_UNAVAILABLE : SENSE_ABORTED_COMMAND;
}

/* False: ended here. */
static bool proposed(struct removal *r, enum propose_status status)
{
	if (status != PROPOSE_OK)
		end(r, sense_of(status), cluster_why(r->d->cluster));
	return status == PROPOSE_OK;
}

static void propose(struct removal *r, enum media_action action, bool force, propose_done_fn done)
{
	const struct media_change c = { .action = action, .lu = r->lu->name, .force = force, .nexus = r->by };

	media_propose(r->d, &c, done, r);
}

/* NULL: ended already. */
static struct removal *begin(struct daemon *d, struct lu *lu, removal_done_fn done, void *arg)
{
	struct ownership *o = ownership_of(lu);
	struct removal *r;

	if (o->phase != OWNERSHIP_OPEN || cluster_state(d->cluster) != CLUSTER_SERVING) {
		done(arg, lu, SENSE_LU_NOT_READY_UNAVAILABLE,
		     "its group is not active on this node; run the command on the group's owner (`sandemctl group list`)");
		return NULL;
	}
	r = o->media_busy ? NULL : calloc(1, sizeof(*r) + d->core.nreactors * sizeof(r->part[0]));
	if (!r) {
		done(arg, lu, SENSE_ABORTED_COMMAND,
		     o->media_busy ? "another medium of its group is being ejected or loaded; try again" : "out of memory");
		return NULL;
	}
	*r = (struct removal){ .d = d, .lu = lu, .done = done, .arg = arg };
	o->media_busy = true;
	return r;
}

/* ---- eject -------------------------------------------------------------------------------------------------- */

static void close_run(struct work *w)
{
	struct removal *r = caa_container_of(w, struct removal, work);

	r->rc = r->disk->ops->sync(r->disk);
	r->disk->ops->close(r->disk);
}

static void closed(struct work *w)
{
	struct removal *r = caa_container_of(w, struct removal, work);

	if (r->rc < 0) {
		snprintf(r->error, sizeof(r->error), "flush of %s: %s; what was written last may be missing on it",
			 r->lu->disk_params.path, strerror(-r->rc));
		log_error("LUN %s: %s", r->lu->name, r->error);
		end(r, SENSE_WRITE_ERROR, r->error);
		return;
	}
	if (!r->prevented)
		log_notice("LUN %s: the medium is ejected", r->lu->name);
	end_moved(r);
}

static void unused(struct lu_barrier *b)
{
	struct removal *r = caa_container_of(b, struct removal, barrier);

	r->work.run = close_run;
	r->work.done = closed;
	worker_queue(&r->d->worker, &r->work);
}

static void take_out(struct removal *r)
{
	r->disk = lu_publish(r->lu, disk, NULL);
	if (!r->disk) { /* it was out already */
		end_moved(r);
		return;
	}
	r->barrier = (struct lu_barrier){ .lu = r->lu, .drain = true, .done = unused, .part = r->part };
	lu_barrier_start(&r->barrier);
}

static void ejected(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct removal *r = cookie;

	if (!proposed(r, status))
		return;
	if (len == 1 && *(const uint8_t *)result == MEDIA_PREVENTED) {
		r->prevented = true;
		end_moved(r);
	} else {
		take_out(r);
	}
}

void removal_eject(struct daemon *d, struct lu *lu, bool force, removal_done_fn done, void *arg)
{
	struct removal *r = begin(d, lu, done, arg);

	if (r)
		propose(r, MEDIA_EJECT, force, ejected);
}

/* ---- load --------------------------------------------------------------------------------------------------- */

static void loaded(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct removal *r = cookie;

	if (!proposed(r, status))
		return;
	if (len == 1 && *(const uint8_t *)result == MEDIA_PREVENTED) { /* out it stays, and closed */
		r->prevented = true;
		take_out(r);
		return;
	}
	log_notice("LUN %s: a medium is loaded", r->lu->name);
	end(r, SENSE_NONE, NULL);
}

static void open_run(struct work *w)
{
	struct removal *r = caa_container_of(w, struct removal, work);

	r->rc = disk_handler_open(&r->lu->disk_params, &r->disk, r->error, sizeof(r->error));
}

static void opened(struct work *w)
{
	struct removal *r = caa_container_of(w, struct removal, work);

	if (r->rc < 0) {
		log_error("LUN %s: %s", r->lu->name, r->error);
		end(r, SENSE_MEDIUM_NOT_PRESENT, r->error);
		return;
	}
	if (r->lu->gone) { /* meanwhile: nobody would close it */
		r->disk->ops->close(r->disk);
		end(r, SENSE_LU_NOT_SUPPORTED, "it has been removed from the configuration meanwhile");
		return;
	}
	media_opened(r->d, r->lu, r->disk->size);
	(void)lu_publish(r->lu, disk, r->disk);
	propose(r, MEDIA_LOAD, false, loaded);
}

void removal_load(struct daemon *d, struct lu *lu, const struct nexus_id *by, removal_done_fn done, void *arg)
{
	struct removal *r = begin(d, lu, done, arg);

	if (!r)
		return;
	r->by = by;
	if (lu->disk) { /* never left, or left only by the log */
		propose(r, MEDIA_LOAD, false, loaded);
		return;
	}
	r->work.run = open_run;
	r->work.done = opened;
	worker_queue(&d->worker, &r->work);
}

void removal_absent(struct daemon *d, struct lu *lu)
{
	if (removal_is_ejected(d, lu))
		return;
	log_warning("LUN %s: there is no %s; it starts without a medium, `sandemctl lun load %s` loads it", lu->name,
		    lu->disk_params.path, lu->name);
	media_tell(d, lu, MEDIA_EJECT, 0);
}

/* ---- the commands (HOOK_REMOVAL) -------------------------------------------------------------------------------- */

static void answer(void *arg, struct lu *lu, sense_t s, const char *error)
{
	struct scsi_cmd *cmd = arg;

	(void)lu;
	(void)error;
	if (s == SENSE_NONE)
		cmd_good(cmd, 0);
	else
		cmd_sense(cmd, s);
}

static void noted(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct scsi_cmd *cmd = cookie;

	if (status != PROPOSE_OK)
		cmd_sense(cmd, sense_of(status));
	else if (len == 1 && *(const uint8_t *)result == MEDIA_FULL)
		cmd_sense(cmd, SENSE_INSUFFICIENT_RESOURCES);
	else
		cmd_good(cmd, 0);
}

#define OP_PREVENT_ALLOW 0x1e
#define START 0x01

void removal_cmd(void *arg, struct scsi_cmd *cmd)
{
	struct daemon *d = arg;
	const struct media_change c = { .action = cmd->cdb[4] & 1 ? MEDIA_PREVENT : MEDIA_ALLOW, .lu = cmd->lu->name,
					.nexus = &cmd->nexus->id, .node = d->node };

	if (cmd->row->opcode == OP_PREVENT_ALLOW)
		media_propose(d, &c, noted, cmd);
	else if (cmd->cdb[4] & START)
		removal_load(d, cmd->lu, &cmd->nexus->id, answer, cmd);
	else
		removal_eject(d, cmd->lu, false, answer, cmd);
}

/* ---- what ends prevention ------------------------------------------------------------------------------------- */

static void nobody_waits(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie;
	(void)result;
	(void)len;
	if (status != PROPOSE_OK)
		log_warning("the end of a PREVENT MEDIUM REMOVAL could not be told to the cluster; "
			    "LUN RESET ends it where it still stands");
}

void removal_nexus_lost(struct daemon *d, const struct nexus_id *id)
{
	const struct media_change c = { .action = MEDIA_NEXUS_LOST, .nexus = id };

	if (media_service_prevents(d->media, id))
		media_propose(d, &c, nobody_waits, NULL);
}

void removal_lu_reset(struct daemon *d, struct lu *lu)
{
	const struct media_lu *m = media_service_find(d->media, lu->name);
	const struct media_change c = { .action = MEDIA_RESET, .lu = lu->name };

	if (m && m->npreventers)
		media_propose(d, &c, nobody_waits, NULL);
}
