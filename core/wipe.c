/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/wipe.h"

#include <stdlib.h>

#include "core/cdb.h"
#include "core/core.h"
#include "core/lu.h"

/* ---- what other commands hear ---------------------------------------------------------------- */

sense_t wipe_running_sense(enum wipe_kind k)
{
	switch (k) {
	case WIPE_SANITIZE:
		return SENSE(KEY_NOT_READY, 0x04, 0x1b);
	case WIPE_FORMAT:
		return SENSE(KEY_NOT_READY, 0x04, 0x04);
	}
	return SENSE_LU_BECOMING_READY;
}

sense_t wipe_failed_sense(enum wipe_kind k)
{
	switch (k) {
	case WIPE_SANITIZE:
		return SENSE(KEY_MEDIUM_ERROR, 0x31, 0x03);
	case WIPE_FORMAT:
		return SENSE(KEY_MEDIUM_ERROR, 0x31, 0x01);
	}
	return SENSE_WRITE_ERROR;
}

static sense_t sense_of(const struct wipe *w, struct sense_detail *d)
{
	*d = (struct sense_detail){ .field = -1, .bit = -1 };
	if (w->failed)
		return wipe_failed_sense(w->kind);
	d->has_progress = true;
	d->progress = __atomic_load_n(&w->progress, __ATOMIC_RELAXED);
	return wipe_running_sense(w->kind);
}

sense_t wipe_sense(const struct lu *lu, struct sense_detail *d)
{
	const struct wipe *w = lu_read(lu, wipe);

	return w ? sense_of(w, d) : SENSE_NONE;
}

bool wipe_refuses(struct scsi_cmd *cmd)
{
	const struct wipe *w = lu_read(cmd->lu, wipe);
	struct sense_detail d;
	sense_t s;

	if (!w || (cmd->row->flags & ROW_IN_WIPE) || (w->failed && (cmd->row->flags & ROW_WIPES)))
		return false;
	s = sense_of(w, &d);
	cmd_sense_detail(cmd, s, &d);
	return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void requested(struct msg *m)
{
	struct wipe_request *q = caa_container_of(m, struct wipe_request, msg);
	const struct core *core = q->lu->core;

	if (core->wipes.start)
		core->wipes.start(core->wipes.arg, q);
	else
		wipe_answer(q, SENSE_INVALID_OPCODE);
}

void wipe_start(struct scsi_cmd *cmd, const struct wipe_order *order, bool immed)
{
	struct wipe_request *q = malloc(sizeof(*q));

	if (!q) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	*q = (struct wipe_request){
		.lu = cmd->lu, .order = *order, .immed = immed, .reactor = cmd->reactor
	};
	CDS_INIT_LIST_HEAD(&q->waiting);
	lu_park(cmd, &q->waiting);
	q->msg.fn = requested;
	core_post_control(cmd->lu->core, &q->msg);
}

static void home(struct msg *m)
{
	struct wipe_request *q = caa_container_of(m, struct wipe_request, msg);
	struct scsi_cmd *cmd = NULL;
	sense_t s = q->sense;

	if (!cds_list_empty(&q->waiting)) {
		cmd = cds_list_first_entry(&q->waiting, struct scsi_cmd, state_link);
		cds_list_del(&cmd->state_link);
		cmd->state = CMD_RECEIVED;
	}
	free(q);
	if (cmd && s == SENSE_NONE)
		cmd_good(cmd, 0);
	else if (cmd)
		cmd_sense(cmd, s);
}

void wipe_answer(struct wipe_request *q, sense_t s)
{
	q->sense = s;
	q->msg.fn = home;
	reactor_post(q->reactor, &q->msg);
}
