/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MODE SELECT, SET TIMESTAMP, LOG SELECT: from the command to the log, and back with its answer.
 *
 *   command (control thread) ─▶ its parameter list, checked ─▶ proposal ─▶ effects.c on every node ─▶ GOOD
 */
#include <stdio.h>
#include <string.h>

#include "core/cdb.h"
#include "core/cmd.h"
#include "core/log.h"
#include "core/log_select.h"
#include "core/nexus.h"
#include "core/timestamp.h"
#include "daemon/daemon.h"

/* ---- values -------------------------------------------------------------------------------------------- */

void modes_of(const struct daemon *d, const struct lu *lu, struct mode_state *now, struct mode_state *saved)
{
	const struct mode_lu *m = mode_service_find(&d->modes, lu->name);

	*now = m ? mode_with(&lu->mode_default, &m->current) : lu->mode_default;
	*saved = m ? mode_with(&lu->mode_default, &m->saved) : lu->mode_default;
}

/* ---- the commands ----------------------------------------------------------------------------------------- */

static void proposed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct scsi_cmd *cmd = cookie;

	(void)result;
	(void)len;
	switch (status) {
	case PROPOSE_OK:
		cmd_good(cmd, 0);
		break;
	case PROPOSE_NOT_SERVING:
		cmd_sense(cmd, SENSE_LU_NOT_READY_UNAVAILABLE);
		break;
	case PROPOSE_FAILED:
		log_error("LUN %s: %s was refused by the log or could not be made durable on every member; nothing was "
			  "changed. Look for the store's errors in each node's log", cmd->lu->name, cmd->row->name);
		cmd_sense(cmd, SENSE_INTERNAL_FAILURE);
		break;
	case PROPOSE_UNKNOWN:
		cmd_sense(cmd, SENSE_ABORTED_COMMAND);
		break;
	case PROPOSE_NOT_YET:
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
		break;
	}
}

static void propose(struct daemon *d, struct scsi_cmd *cmd, struct wbuf *msg)
{
	struct proposer *p = cluster_proposer(d->cluster);

	if (msg->err)
		cmd_status(cmd, STATUS_BUSY);
	else
		p->propose(p, MODE_SERVICE_ID, msg->data, msg->len, proposed, cmd);
	wbuf_fini(msg);
}

static void select_(void *arg, struct scsi_cmd *cmd)
{
	struct mode_state now, saved;
	struct mode_change c;
	struct wbuf msg = { 0 };
	bool save;

	modes_of(arg, cmd->lu, &now, &saved);
	if (!mode_select_parse(cmd, &now, &c, &save))
		return;
	if (!c.mask && !save) {
		cmd_good(cmd, 0);
		return;
	}
	mode_service_pack_select(&msg, cmd->lu->name, &c, &cmd->lu->mode_default, save, &cmd->nexus->id);
	propose(arg, cmd, &msg);
}

static void set_timestamp(void *arg, struct scsi_cmd *cmd)
{
	struct wbuf msg = { 0 };
	int64_t offset;

	if (!timestamp_parse(cmd, &offset))
		return;
	if (offset == CLOCK_NOT_SET) {
		cmd_good(cmd, 0);
		return;
	}
	mode_service_pack_timestamp(&msg, cmd->lu->name, offset, &cmd->nexus->id);
	propose(arg, cmd, &msg);
}

static void select_log(void *arg, struct scsi_cmd *cmd)
{
	struct wbuf msg = { 0 };
	uint32_t pages;

	if (!log_select_parse(cmd, &pages))
		return;
	if (!pages) {
		cmd_good(cmd, 0);
		return;
	}
	mode_service_pack_log_reset(&msg, cmd->lu->name, pages, &cmd->nexus->id);
	propose(arg, cmd, &msg);
}

/* ---- logical unit reset ------------------------------------------------------------------------------------ */

static void was_reset(void *cookie, enum propose_status status, const void *result, size_t len)
{
	const struct lu *lu = cookie;

	(void)result;
	(void)len;
	if (status != PROPOSE_OK)
		log_warning("LUN %s: its mode parameters could not be reset on every node; set them by MODE SELECT", lu->name);
}

void modes_lu_reset(struct daemon *d, struct lu *lu)
{
	const struct mode_lu *m = mode_service_find(&d->modes, lu->name);
	struct proposer *p = cluster_proposer(d->cluster);
	struct wbuf msg = { 0 };

	if (!m || (m->current.mask == m->saved.mask && !memcmp(m->current.value, m->saved.value, sizeof(m->saved.value))))
		return;
	mode_service_pack_reset(&msg, lu->name);
	p->propose(p, MODE_SERVICE_ID, msg.data, msg.len, was_reset, lu);
	wbuf_fini(&msg);
}

/* ---- what initiators see ---------------------------------------------------------------------------------------- */

void modes_publish_rest(const struct daemon *d, struct lu *lu)
{
	const struct mode_lu *m = mode_service_find(&d->modes, lu->name);

	__atomic_store_n(&lu->clock_offset, m && m->clock_set ? m->clock_offset : CLOCK_NOT_SET, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < LOG_RESETS; i++)
		log_counters_reset(lu, i, m ? m->log_resets[i] : 0);
}

/* With the write cache switched off (SBC-3 6.4.5) or writing forbidden (SPC-4 7.5.8) what was
 * written before goes to the medium. */
bool modes_need_flush(const struct mode_state *old, const struct mode_state *now)
{
	return (old->wce && !now->wce) || (!old->swp && now->swp);
}

static void flush_run(struct work *w)
{
	struct modes_flush *f = caa_container_of(w, struct modes_flush, work);

	f->rc = f->disk ? f->disk->ops->sync(f->disk) : 0;
}

/* The change stands on every node and can't be taken back: a medium that does not take what it was given is lost. */
static void flush_done(struct work *w)
{
	struct modes_flush *f = caa_container_of(w, struct modes_flush, work);
	char why[512];

	if (f->rc < 0) {
		snprintf(why, sizeof(why), "LUN %s: flushing its write cache for MODE SELECT: %s", f->lu->name, strerror(-f->rc));
		ownership_fail(f->lu->control_data, why);
	}
	f->done(f);
}

bool modes_flush(struct daemon *d, struct lu *lu, struct modes_flush *f, void (*done)(struct modes_flush *f))
{
	const struct ownership *o = lu->control_data;

	/* on its way out: the job that flushes and closes it is in the worker's queue, this one comes behind */
	if (o->phase != OWNERSHIP_CLOSING && (!lu->disk || lu->disk->read_only))
		return false;
	*f = (struct modes_flush){ .work = { .run = flush_run, .done = flush_done }, .lu = lu, .disk = lu->disk,
				   .done = done };
	worker_queue(&d->worker, &f->work);
	return true;
}

/* ---- wiring ------------------------------------------------------------------------------------------------------- */

static const struct {
	enum core_hook hook;
	void (*fn)(void *arg, struct scsi_cmd *cmd);
} hooks[] = {
	{ HOOK_MODE_SELECT, select_ },
	{ HOOK_SET_TIMESTAMP, set_timestamp },
	{ HOOK_LOG_SELECT, select_log },
};
#define NHOOKS (sizeof(hooks) / sizeof(hooks[0]))

void modes_offer(struct daemon *d)
{
	bool not_yet = !cluster_has(d->cluster, MODE_SERVICE_ID);

	for (unsigned i = 0; i < NHOOKS; i++)
		__atomic_store_n(&d->core.hook[hooks[i].hook].not_yet, not_yet, __ATOMIC_RELAXED);
}

void modes_init(struct daemon *d)
{
	for (unsigned i = 0; i < NHOOKS; i++) {
		d->core.hook[hooks[i].hook].fn = hooks[i].fn;
		d->core.hook[hooks[i].hook].arg = d;
	}
	modes_offer(d);
}
