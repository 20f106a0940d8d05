/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin's side: what is under way on the connection of a reactor to another node.
 *
 *   slot:  FREE ─▶ SENT ─▶ (answer) FREE
 *                   │ lost, a write                                 resent under the same id
 *                   └────▶ UNKNOWN ─▶ (connection is back, same daemon) SENT
 *                             ├─▶ (aborted) CANCELLING ─▶ (answer) FREE
 *                             └─▶ (hold limit, or the owner can't do it any more) ABANDONED ─▶ (connection is back)
 * CANCELLING
 *          DRAINING: answered before the kernel gave the frame back
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/link_out_int.h"
#include "core/abort.h"
#include "core/cdb.h"
#include "core/gate.h"
#include "core/log.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/task_set.h"

static void pump(struct link_out *o);

/* ---- slots ----------------------------------------------------------------------------------------------------- */

static void slot_free(struct slot *s)
{
	struct link_out *o = s->out;

	if (s->state == SLOT_UNKNOWN)
		o->unknown--;
	o->bytes -= s->bytes;
	s->bytes = 0;
	s->cmd = NULL;
	if (s->frame.queued) {
		s->state = SLOT_DRAINING;
		return;
	}
	s->state = SLOT_FREE;
	s->next = o->free;
	o->free = s;
}

static void frame_sent(struct link_frame *f)
{
	struct slot *s = caa_container_of(f, struct slot, frame);

	s->reached |= f->started;
	if (s->state != SLOT_DRAINING)
		return;
	slot_free(s);
	pump(s->out);
}

static void request_of(const struct scsi_cmd *cmd, struct remote_request *q)
{
	memset(q, 0, sizeof(*q));
	q->nexus = cmd->nexus->id;
	snprintf(q->lu, sizeof(q->lu), "%s", cmd->lu->name);
	q->lu_hint = cmd->lu->index;
	q->read_only = cmd->itl->read_only;
	q->read = cmd->read;
	q->write = cmd->write;
	q->attr = cmd->attr;
	q->expected_len = cmd->expected_len;
	memcpy(q->cdb, cmd->cdb, CDB_MAX);
}

static void send_command(struct link_out *o, struct slot *s)
{
	struct scsi_cmd *cmd = s->cmd;
	struct remote_request q;

	s->state = SLOT_SENT;
	request_of(cmd, &q);
	if (o->auth.peer.speaks >= LINK_SPEAKS_EPOCH)
		q.epoch = s->epoch;
	link_conn_send(&o->conn, &s->frame, LINK_COMMAND, s->id, link_command_put(link_frame_meta(&s->frame), &q), cmd->buf,
		       cmd->row->dir == DIR_OUT ? cmd->data_out_got : 0);
}

static void send_cancel(struct link_out *o, struct slot *s)
{
	if (s->state == SLOT_UNKNOWN)
		o->unknown--;
	s->state = SLOT_CANCELLING;
	link_conn_send(&o->conn, &s->frame, LINK_CANCEL, s->id, 0, NULL, 0);
}

/* ---- new commands ------------------------------------------------------------------------------------------------ */

#define PARAMETERS_MAX 65536u /* data-in that is not blocks of the medium: GET LBA STATUS */

static uint32_t data_in_max(const struct scsi_cmd *cmd)
{
	uint64_t len;

	if (cmd->row->dir != DIR_IN)
		return 0;
	if (cmd->row->data == DATA_BLOCKS)
		len = (uint64_t)cmd->blocks * cmd->block_len;
	else
		len = cmd->alloc_len < PARAMETERS_MAX ? cmd->alloc_len : PARAMETERS_MAX;
	return len < cmd->expected_len ? len : cmd->expected_len;
}

static void begin(struct link_out *o, struct scsi_cmd *cmd, const struct alua_gate *gate)
{
	uint32_t in = data_in_max(cmd);
	struct slot *s;

	if (in && !cmd_buf_alloc(cmd, in)) {
		cmd_status(cmd, task_set_full(cmd));
		return;
	}
	s = o->free;
	o->free = s->next;
	s->id = link_id(link_id_seq(s->id) + 1, s - o->slot);
	s->cmd = cmd;
	s->epoch = gate->epoch;
	s->incarnation = o->auth.peer.incarnation;
	s->write = link_is_write(cmd);
	s->reached = false;
	s->in_max = in;
	s->bytes = in + (cmd->row->dir == DIR_OUT ? cmd->data_out_got : 0);
	o->bytes += s->bytes;
	send_command(o, s);
}

static bool has_credit(const struct link_out *o)
{
	return o->free && o->bytes < LINK_BYTES_MAX;
}

static void wait_for_credit(struct link_out *o, struct scsi_cmd *cmd)
{
	cmd->handler_data = NULL;
	*o->wait_tail = cmd;
	o->wait_tail = (struct scsi_cmd **)&cmd->handler_data;
}

static struct scsi_cmd *waiting_pop(struct link_out *o)
{
	struct scsi_cmd *cmd = o->wait_head;

	o->wait_head = cmd->handler_data;
	if (!o->wait_head)
		o->wait_tail = &o->wait_head;
	cmd->handler_data = NULL;
	return cmd;
}

static void pump(struct link_out *o)
{
	while (o->wait_head && link_conn_open(&o->conn) && has_credit(o)) {
		struct scsi_cmd *cmd = waiting_pop(o);
		const struct alua_gate *gate = lu_read(cmd->lu, gate);

		if (cmd->aborted)
			cmd_complete(cmd);
		else if (gate->medium != GATE_FORWARD || gate->owner != o->peer->node.id)
			gate_retry(cmd);
		else
			begin(o, cmd, gate);
	}
}

void link_out_submit(void *arg, struct scsi_cmd *cmd)
{
	const struct alua_gate *gate = lu_read(cmd->lu, gate);
	struct link_peer *p = link_peer_find(arg, gate->owner);
	struct link_out *o = p ? &p->out[cmd->reactor->index] : NULL;

	if (gate->medium != GATE_FORWARD || !o || o->state != OUT_UP || !link_conn_open(&o->conn))
		gate_retry(cmd);
	else if (o->wait_head || !has_credit(o))
		wait_for_credit(o, cmd);
	else
		begin(o, cmd, gate);
}

/* ---- aborted commands ------------------------------------------------------------------------------------------- */

static void abort_sent(struct link_frame *f)
{
	free(f);
}

/* Behind the command on the same connection. Where it can't be sent, or the owner's program does not know such frames and
 * would end the connection, the command is just done to its end. */
static void send_abort(struct link_out *o, const struct slot *s)
{
	struct link_frame *f = o->auth.peer.speaks >= LINK_SPEAKS_ABORT ? calloc(1, sizeof(*f)) : NULL;

	if (!f)
		return;
	f->sent = abort_sent;
	link_conn_send(&o->conn, f, LINK_ABORT, s->id, 0, NULL, 0);
}

void link_out_aborted(void *arg, struct scsi_cmd *cmd)
{
	struct link *l = arg;

	for (size_t i = 0; i < l->npeers; i++) {
		struct link_out *o = &l->peer[i].out[cmd->reactor->index];

		for (const struct slot *s = o->slot; s < o->slot + LINK_SLOTS; s++)
			if (s->cmd == cmd && s->state == SLOT_SENT && link_conn_open(&o->conn))
				send_abort(o, s);
	}
}

/* ---- commands of which nobody here knows what became of them --------------------------------------------------- */

/* An owner that is only lost may be alive, and what it has under way reach the medium. It is known to be off by fencing;
 * or its node is back in the group: that process has ended, or had ended its commands before it was a member again; or there is
 * another epoch, by a promotion or after it has closed the devices. */
static bool owner_changed(const struct slot *s)
{
	const struct alua_gate *gate = lu_read(s->cmd->lu, gate);

	return gate->epoch != s->epoch || (gate->lost && gate->owner_off);
}

/* The slot stays until the peer has said that nothing of it is under way any more. */
static struct scsi_cmd *abandon(struct slot *s)
{
	struct scsi_cmd *cmd = s->cmd;

	s->out->unknown--;
	s->state = SLOT_ABANDONED;
	s->cmd = NULL;
	return cmd;
}

/* The peer can't execute it any more. Done again with the same data it comes to the same (P6), but for those
 * that compare first. */
static void replay(struct slot *s)
{
	struct scsi_cmd *cmd = abandon(s);

	if (cmd->aborted) {
		cmd_complete(cmd);
	} else if (cmd->row->flags & ROW_EXCLUSIVE) {
		cmd_sense(cmd, SENSE_ABORTED_COMMAND);
	} else {
		lu_unforward(cmd);
		cmd->maybe_done = cmd->row->flags & ROW_WRITES;
		gate_again(cmd);
	}
}

static void become_unknown(struct slot *s)
{
	struct scsi_cmd *cmd = s->cmd;

	s->state = SLOT_UNKNOWN;
	s->out->unknown++;
	if (!cmd->held_since)
		cmd->held_since = cmd->reactor->now;
	if (cmd->state == CMD_ADMITTED)
		lu_unadmit(cmd, CMD_FORWARDED);
	if (owner_changed(s))
		replay(s);
}

static void unknown_too_long(struct slot *s)
{
	const struct alua_gate *gate = lu_read(s->cmd->lu, gate);

	if (s->out->r->now - s->cmd->held_since < gate->hold_limit_ms * LINK_MS)
		return;
	if (s->cmd->aborted && gate->lost) /* whoever has aborted it is told when nothing of it can come any more */
		return;
	cmd_sense(abandon(s), SENSE_LU_NOT_READY_TRANSITION);
}

static void reconsider(struct link_out *o, struct lu *lu)
{
	for (struct slot *s = o->slot; s < o->slot + LINK_SLOTS; s++) {
		if (!s->cmd || s->cmd->lu != lu)
			continue;
		if (s->state == SLOT_UNKNOWN && owner_changed(s))
			replay(s);
		else if (s->state == SLOT_SENT && lu_read(lu, gate)->lost)
			link_conn_close(&o->conn, LOG_LEVEL_NOTICE, "the node has left the cluster");
	}
}

void link_out_gate_changed(void *arg, struct lu *lu, struct reactor *r)
{
	struct link *l = arg;

	for (size_t i = 0; i < l->npeers; i++)
		reconsider(&l->peer[i].out[r->index], lu);
}

/* ---- answers --------------------------------------------------------------------------------- */

int link_out_answer(struct link_out *o, const struct link_header *h, const uint8_t *meta, void **dst)
{
	struct slot *s;
	uint32_t len;

	if (link_id_slot(h->id) >= LINK_SLOTS || link_answer_get(meta, h->meta_len, &o->answer) < 0)
		return -EPROTO;
	s = &o->slot[link_id_slot(h->id)];
	if (s->id != h->id || (s->state != SLOT_SENT && s->state != SLOT_CANCELLING))
		return -EPROTO;
	if (s->state == SLOT_SENT && o->answer.outcome == LINK_DONE) {
		len = o->answer.data_in_len < s->cmd->expected_len ? o->answer.data_in_len : s->cmd->expected_len;
		if (h->data_len != len || len > s->in_max)
			return -EPROTO;
		*dst = s->cmd->buf;
	}
	o->answered = s;
	return 0;
}

static void finish_done(struct scsi_cmd *cmd, const struct link_answer *a)
{
	struct lu_shard *shard = lu_shard_of(cmd->lu, cmd->reactor);

	cmd->status = a->status;
	cmd->data_in_len = a->data_in_len;
	cmd->sense_len = a->sense_len;
	memcpy(cmd->sense, a->sense, a->sense_len);
	if (cmd->row->data == DATA_BLOCKS && a->status == STATUS_GOOD) {
		bool out = cmd->row->dir == DIR_OUT;

		shard->writes += out;
		shard->reads += !out;
		shard->write_bytes += out ? cmd->data_out_got : 0;
		shard->read_bytes += a->data_in_len;
	}
	cmd_complete(cmd);
}

static void finish(struct slot *s, const struct link_answer *a)
{
	struct scsi_cmd *cmd = s->cmd;

	slot_free(s);
	if (!cmd)
		return;
	if (cmd->aborted) {
		cmd_complete(cmd);
		return;
	}
	switch (a->outcome) {
	case LINK_DONE:
		finish_done(cmd, a);
		return;
	case LINK_TURNED_AWAY:
	case LINK_NOT_EXECUTED:
		gate_retry(cmd);
		return;
	case LINK_ABORTED: /* by what has not come to this node yet */
		cmd_abort(cmd, &(const struct abort_cause){ .by = NULL });
		cmd_complete(cmd);
		return;
	case LINK_OUTCOME_END:
		return;
	}
}

void link_out_answered(struct link_out *o)
{
	finish(o->answered, &o->answer);
	o->answered = NULL;
	pump(o);
}

/* ---- the connection comes and goes (link_dial.c) ----------------------------------------------------------------- */

void link_out_slots_init(struct link_out *o)
{
	o->wait_tail = &o->wait_head;
	for (unsigned i = LINK_SLOTS; i-- > 0;) {
		struct slot *s = &o->slot[i];

		s->out = o;
		s->frame.sent = frame_sent;
		s->next = o->free;
		o->free = s;
	}
}

static void recover(struct link_out *o, struct slot *s)
{
	bool same = s->incarnation == o->auth.peer.incarnation;

	if (s->state == SLOT_ABANDONED && !same) {
		slot_free(s);
	} else if (s->state == SLOT_ABANDONED || (s->state == SLOT_UNKNOWN && same && s->cmd->aborted)) {
		send_cancel(o, s);
	} else if (s->state == SLOT_UNKNOWN && same) {
		o->unknown--;
		lu_admit(s->cmd);
		send_command(o, s);
	}
}

/* Not always the same one first: of a wire that breaks again and again each gets its share. */
void link_out_recover(struct link_out *o)
{
	o->first = (o->first + LINK_SLOTS / 8 + 1) % LINK_SLOTS;
	for (unsigned i = 0; i < LINK_SLOTS; i++)
		recover(o, &o->slot[(o->first + i) % LINK_SLOTS]);
}

static void slot_lost(struct slot *s)
{
	struct scsi_cmd *cmd = s->cmd;

	if (s->state == SLOT_CANCELLING && !cmd) {
		s->state = SLOT_ABANDONED;
	} else if (s->state == SLOT_CANCELLING || (s->state == SLOT_SENT && s->write && s->reached)) {
		become_unknown(s);
	} else if (s->state == SLOT_SENT) {
		slot_free(s);
		gate_retry(cmd);
	}
}

void link_out_lost(struct link_out *o)
{
	struct scsi_cmd *waiting = o->wait_head, *next;

	for (unsigned i = 0; i < LINK_SLOTS; i++)
		slot_lost(&o->slot[i]);
	o->wait_head = NULL;
	o->wait_tail = &o->wait_head;
	for (; waiting; waiting = next) {
		next = waiting->handler_data;
		waiting->handler_data = NULL;
		gate_retry(waiting);
	}
}

void link_out_expire(struct link_out *o)
{
	for (unsigned i = 0; o->unknown && i < LINK_SLOTS; i++)
		if (o->slot[i].state == SLOT_UNKNOWN)
			unknown_too_long(&o->slot[i]);
}
