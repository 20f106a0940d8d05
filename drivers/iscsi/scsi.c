/* SPDX-License-Identifier: BSD-2-Clause */
/* SCSI Command and its answer: Data-In, SCSI Response (RFC 7143 11.3, 11.4, 11.7). */
#include <string.h>

#include "drivers/iscsi/conn.h"

/* ---- the answer --------------------------------------------------------------------------------- */

/* Status travels in the last Data-In when there is nothing to add to it (11.7.3). */
static bool collapsed(const struct iscsi_task *t)
{
	return t->in_len && t->cmd.status == STATUS_GOOD;
}

static bool emit_data_in(struct iscsi_conn *c, struct iscsi_task *t)
{
	uint32_t burst = c->neg.active.max_burst, offset = t->in_sent;
	uint32_t len = min32(min32(t->in_len - offset, c->neg.active.send_segment), burst - offset % burst);
	uint8_t bhs[BHS_LEN] = { OP_DATA_IN };
	bool last, status;

	t->in_sent += len;
	last = t->in_sent == t->in_len;
	status = last && collapsed(t);
	if (last || t->in_sent % burst == 0)
		bhs[BHS_FLAGS] = FLAG_FINAL;
	if (status) {
		bhs[BHS_FLAGS] |= DATA_IN_STATUS_FLAG | t->residual_flag;
		bhs[DATA_IN_STATUS] = t->cmd.status;
		put_be32(bhs + DATA_IN_RESIDUAL, t->residual);
		task_answered(t);
	}
	put_be32(bhs + BHS_ITT, t->itt);
	put_be32(bhs + BHS_TTT, TAG_NONE);
	put_be32(bhs + DATA_SN, t->in_sn++);
	put_be32(bhs + DATA_OFFSET, offset);
	send_pdu(c, bhs, status ? NUMBERS_STATUS : NUMBERS_NONE, t->cmd.buf + offset, len);
	return status;
}

static void emit_response(struct iscsi_conn *c, struct iscsi_task *t)
{
	uint8_t bhs[BHS_LEN] = { OP_SCSI_RSP, FLAG_FINAL | t->residual_flag, 0, t->cmd.status };
	uint8_t segment[2 + SENSE_MAX];
	uint32_t len = 0;

	if (t->cmd.sense_len && t->cmd.status == STATUS_CHECK_CONDITION) { /* 11.4.7.1 */
		put_be16(segment, t->cmd.sense_len);
		memcpy(segment + 2, t->cmd.sense, t->cmd.sense_len);
		len = 2 + t->cmd.sense_len;
	}
	put_be32(bhs + BHS_ITT, t->itt);
	put_be32(bhs + RSP_EXPDATASN, t->in_sn + t->r2t_sn);
	put_be32(bhs + RSP_RESIDUAL, t->residual);
	task_answered(t);
	send_pdu(c, bhs, NUMBERS_STATUS, segment, len); /* short enough to be copied */
}

_Static_assert(2 + SENSE_MAX <= BATCH_COPY_MAX, "the sense segment is on the stack");

static bool answer_emit(struct iscsi_conn *c, struct out_item *i)
{
	struct iscsi_task *t = caa_container_of(i, struct iscsi_task, answer);

	if (t->in_sent < t->in_len)
		return emit_data_in(c, t);
	emit_response(c, t);
	return true;
}

static void answer_release(struct iscsi_conn *c, struct out_item *i)
{
	(void)c;
	task_release(caa_container_of(i, struct iscsi_task, answer));
}

static const struct out_ops answer_ops = { answer_emit, answer_release };

/* Residual count (11.4.5): what the device server wanted to transfer against what was expected, each in the direction
 * that the initiator announced. */
static void set_residual(struct iscsi_task *t)
{
	const struct scsi_cmd *cmd = &t->cmd;
	uint32_t wanted = cmd->data_out_len ? cmd->data_out_len : cmd->data_in_len;
	bool announced = cmd->data_out_len ? cmd->write : cmd->data_in_len ? cmd->read : cmd->read || cmd->write;
	uint32_t expected = announced ? cmd->expected_len : 0;

	t->residual = wanted > expected ? wanted - expected : expected - wanted;
	t->residual_flag = wanted > expected ? RSP_OVERFLOW : wanted < expected ? RSP_UNDERFLOW : 0;
}

static void answer(struct iscsi_task *t)
{
	t->state = TASK_ANSWERING;
	set_residual(t);
	t->in_len = t->cmd.read ? min32(t->cmd.data_in_len, t->cmd.expected_len) : 0;
	t->in_sent = t->in_sn = 0;
	t->answer = (struct out_item){ .ops = &answer_ops };
	send_queue(t->conn, &t->answer);
}

static void scsi_done(struct scsi_cmd *cmd)
{
	struct iscsi_task *t = caa_container_of(cmd, struct iscsi_task, cmd);
	struct iscsi_conn *c = t->conn;

	c->executing--;
	if (cmd->aborted || !conn_open(c) || c->tx.close_when_empty) {
		task_release(t);
		conn_end_kick(c);
		return;
	}
	answer(t);
}

void scsi_execute(struct iscsi_task *t)
{
	if (t->refused && !t->cmd.aborted) {
		cmd_abandon(&t->cmd);
		answer(t);
		return;
	}
	t->state = TASK_EXECUTING;
	t->conn->executing++;
	cmd_execute(&t->cmd);
}

/* ---- SCSI Command ------------------------------------------------------------------------------- */

/* 11.2.2: AHSLength counts what is behind AHSType, without padding. */
static bool take_ahs(struct iscsi_task *t, const uint8_t *hdr)
{
	const uint8_t *p = hdr + BHS_LEN, *end = p + 4 * hdr[BHS_AHS_LEN];

	while (p < end) {
		uint32_t len = get_be16(p), total = 3 + len + pdu_pad(3 + len);

		if (!len || (uint32_t)(end - p) < total)
			return false;
		if (p[2] == AHS_EXTENDED_CDB) {
			if (t->cmd.cdb_got > CMD_CDB_LEN) /* twice */
				return false;
			/* of longer CDBs than any command here has, core sees the length and says so */
			memcpy(t->cmd.cdb + CMD_CDB_LEN, p + 4, min32(len - 1, CDB_MAX - CMD_CDB_LEN));
			t->cmd.cdb_got += len - 1;
		} else if (p[2] == AHS_BIDI_READ_LEN) {
			t->refused = true;
		} else {
			return false;
		}
		p += total;
	}
	return true;
}

static enum task_attr attr_from_wire(uint8_t flags)
{
	switch (flags & CMD_ATTR_MASK) {
	case ATTR_WIRE_ORDERED:
		return ATTR_ORDERED;
	case ATTR_WIRE_HEAD:
		return ATTR_HEAD_OF_QUEUE;
	case ATTR_WIRE_ACA:
		return ATTR_ACA;
	}
	return ATTR_SIMPLE; /* untagged, too: SAM-5 knows no untagged tasks any more */
}

static void fill(struct iscsi_task *t, const uint8_t *hdr)
{
	struct scsi_cmd *cmd = &t->cmd;
	uint8_t flags = hdr[BHS_FLAGS];

	cmd->nexus = &t->conn->nexus;
	memcpy(cmd->cdb, hdr + CMD_CDB, CMD_CDB_LEN);
	memset(cmd->cdb + CMD_CDB_LEN, 0, CDB_MAX - CMD_CDB_LEN);
	cmd->cdb_got = CMD_CDB_LEN;
	memcpy(cmd->lun, hdr + BHS_LUN, 8);
	cmd->tag = t->itt;
	cmd->attr = attr_from_wire(flags);
	cmd->read = flags & CMD_READ_FLAG;
	cmd->write = flags & CMD_WRITE_FLAG;
	cmd->expected_len = get_be32(hdr + CMD_EXPECTED_LEN);
	cmd->done = scsi_done;
	cmd_init(cmd);
	t->refused = cmd->read && cmd->write;
}

/* SPC-4 4.5: no bidirectional command is supported by any device type here. */
static void refuse_bidirectional(struct iscsi_task *t)
{
	struct sense_detail d = { .field = -1, .bit = -1 };

	t->cmd.status = STATUS_CHECK_CONDITION;
	t->cmd.sense_len = sense_build(t->cmd.sense, SENSE_INVALID_OPCODE, false, &d);
}

/* What is wrong with the header; NULL: nothing. */
static const char *fault(const struct iscsi_conn *c, const uint8_t *hdr, uint32_t data_len)
{
	const struct key_values *v = &c->neg.active;
	uint8_t flags = hdr[BHS_FLAGS];

	if (get_be32(hdr + BHS_ITT) == TAG_NONE)
		return "reserved Initiator Task Tag";
	if (!(flags & CMD_WRITE_FLAG) && (data_len || !(flags & FLAG_FINAL)))
		return "data-out announced or sent without the W bit";
	if (data_len && !v->immediate_data)
		return "immediate data, but ImmediateData=No was agreed";
	if (!(flags & FLAG_FINAL) && v->initial_r2t)
		return "unsolicited data announced, but InitialR2T=Yes was agreed";
	if (data_len > v->first_burst)
		return "immediate data beyond FirstBurstLength";
	if (data_len > get_be32(hdr + CMD_EXPECTED_LEN))
		return "immediate data beyond Expected Data Transfer Length";
	return NULL;
}

static struct iscsi_task *new_task(struct iscsi_conn *c, const uint8_t *hdr)
{
	uint32_t itt = get_be32(hdr + BHS_ITT);
	bool immediate = hdr[0] & BHS_IMMEDIATE;
	struct iscsi_task *t;

	if (task_find(c, itt)) {
		c->max_cmdsn += !immediate; /* its place in the window is free again */
		pdu_reject(c, REJECT_TASK_IN_PROGRESS);
		return NULL;
	}
	t = task_get(c, itt, immediate);
	if (!t && immediate)
		pdu_reject(c, REJECT_TOO_MANY_IMMEDIATE);
	else if (!t)
		conn_close(c, LOG_LEVEL_ERROR, "no memory for a command");
	return t;
}

void scsi_cmd_begin(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;
	const char *why = fault(c, rx->hdr, rx->data_len);
	struct iscsi_task *t;

	if (why) {
		pdu_reject_close(c, REJECT_PROTOCOL, "SCSI Command: %s", why);
		return;
	}
	if (!pdu_take_cmdsn(c, rx->hdr))
		return;
	t = new_task(c, rx->hdr);
	if (!t)
		return;
	fill(t, rx->hdr);
	if (rx->hdr[BHS_AHS_LEN] && !take_ahs(t, rx->hdr)) {
		task_release(t);
		pdu_reject_close(c, REJECT_INVALID_FIELD, "SCSI Command: malformed additional header segment");
		return;
	}
	if (t->refused)
		refuse_bidirectional(t);
	cmd_decode(&t->cmd);
	c->commands++;
	data_out_setup(t, rx->hdr[BHS_FLAGS] & FLAG_FINAL);
	rx->task = t;
	rx->dst = t->cmd.buf;
	rx->dst_len = min32(rx->data_len, t->want);
}

void scsi_cmd_finish(struct iscsi_conn *c)
{
	struct iscsi_task *t = c->rx.task;

	if (!t) /* ignored or rejected by begin */
		return;
	c->rx.task = NULL;
	data_out_immediate(t, c->rx.data_len);
}
