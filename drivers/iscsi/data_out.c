/* SPDX-License-Identifier: BSD-2-Clause */
/* Data-out: immediate, unsolicited, solicited by R2T (RFC 7143 4.2.5.2, 11.7, 11.8). In order, one R2T at a time. */
#include <string.h>

#include "core/task_set.h"
#include "drivers/iscsi/conn.h"

/* ---- R2T --------------------------------------------------------------------------------------- */

static bool r2t_emit(struct iscsi_conn *c, struct out_item *i)
{
	struct iscsi_task *t = caa_container_of(i, struct iscsi_task, r2t);
	uint8_t bhs[BHS_LEN] = { OP_R2T, FLAG_FINAL };

	memcpy(bhs + BHS_LUN, t->cmd.lun, 8);
	put_be32(bhs + BHS_ITT, t->itt);
	put_be32(bhs + BHS_TTT, t->ttt);
	put_be32(bhs + R2T_SN, t->r2t_sn++);
	put_be32(bhs + R2T_OFFSET, t->next);
	put_be32(bhs + R2T_LENGTH, t->burst_end - t->next);
	send_pdu(c, bhs, NUMBERS_NO_ADVANCE, NULL, 0);
	return true;
}

static const struct out_ops r2t_ops = { r2t_emit, NULL };

static void solicit(struct iscsi_task *t)
{
	struct iscsi_conn *c = t->conn;

	if (++c->ttt == TAG_NONE)
		c->ttt = 0;
	t->ttt = c->ttt;
	t->burst_end = t->next + min32(t->want - t->next, c->neg.active.max_burst);
	t->data_sn = 0;
	t->r2t_open = true;
	t->r2t = (struct out_item){ .ops = &r2t_ops };
	send_queue(c, &t->r2t);
}

/* ---- progress ----------------------------------------------------------------------------------- */

void data_out_setup(struct iscsi_task *t, bool final)
{
	struct scsi_cmd *cmd = &t->cmd;

	t->want = cmd->write && !t->refused ? min32(cmd->data_out_len, cmd->expected_len) : 0;
	t->next = t->data_sn = t->r2t_sn = 0;
	t->r2t_open = t->r2t.queued = false;
	t->unsolicited = cmd->write && !final;
	t->ttt = TAG_NONE;
	t->burst_end = min32(t->conn->neg.active.first_burst, cmd->expected_len);
	if (t->want && !cmd_buf_alloc(cmd, t->want)) {
		t->refused = true;
		t->want = 0;
		cmd->status = task_set_full(cmd);
	}
}

static void took(struct iscsi_task *t, uint32_t len)
{
	t->next += len;
	t->cmd.data_out_got = min32(t->next, t->want);
}

void data_out_advance(struct iscsi_task *t)
{
	if (t->cmd.aborted) { /* what is still on its way finds no task and is thrown away */
		send_unqueue(t->conn, &t->r2t);
		scsi_execute(t);
		return;
	}
	if (t->unsolicited || t->r2t_open)
		return;
	if (t->next < t->want)
		solicit(t);
	else
		scsi_execute(t);
}

/* ---- SCSI Data-Out (11.7) ----------------------------------------------------------------------- */

/* What is wrong with this PDU; NULL: nothing. */
static const char *fault(const struct iscsi_task *t, const uint8_t *bhs, uint32_t len)
{
	uint32_t end = get_be32(bhs + DATA_OFFSET) + len;
	bool final = bhs[BHS_FLAGS] & FLAG_FINAL;

	if (t->state != TASK_COLLECTING || !(t->unsolicited || t->r2t_open) || t->r2t.queued)
		return "more data than was asked for";
	if (get_be32(bhs + BHS_TTT) != t->ttt)
		return "wrong Target Transfer Tag";
	if (get_be32(bhs + DATA_OFFSET) != t->next)
		return "Buffer Offset out of order";
	if (end > t->burst_end || end < t->next)
		return "data beyond the end of the burst";
	if (end == t->burst_end && !final)
		return "no F bit at the end of the burst";
	if (final && t->r2t_open && end != t->burst_end)
		return "F bit before the end of the burst";
	return NULL;
}

/* 7.8, 7.7: a gap in DataSN means that a PDU was lost. Without recovery (error recovery level 0) the task ends, when all
 * of its data has come, as 11.4.7.2 says: ABORTED COMMAND, PROTOCOL SERVICE CRC ERROR. */
static void check_data_sn(struct iscsi_task *t, uint32_t sn)
{
	struct sense_detail d = { .field = -1, .bit = -1 };

	if (sn == t->data_sn || t->refused)
		return;
	log_warning("iscsi: %s (%s): SCSI Data-Out with DataSN %u while %u is expected; the command fails",
		    t->conn->peer, t->conn->nexus.initiator, sn, t->data_sn);
	t->refused = true;
	t->want = 0;
	t->cmd.status = STATUS_CHECK_CONDITION;
	t->cmd.sense_len = sense_build(t->cmd.sense, SENSE(KEY_ABORTED_COMMAND, 0x47, 0x05), false, &d);
}

void data_out_begin(struct iscsi_conn *c)
{
	struct rx *rx = &c->rx;
	struct iscsi_task *t = task_find(c, get_be32(rx->hdr + BHS_ITT));
	const char *why;

	if (!t) /* its command was aborted or refused meanwhile */
		return;
	why = fault(t, rx->hdr, rx->data_len);
	if (why) {
		pdu_reject_close(c, REJECT_PROTOCOL,
				 "SCSI Data-Out: %s (TTT %08xh, offset %u, length %u; expected TTT %08xh, offset %u, "
				 "burst end %u)",
				 why, get_be32(rx->hdr + BHS_TTT), get_be32(rx->hdr + DATA_OFFSET), rx->data_len,
				 t->ttt, t->next, t->burst_end);
		return;
	}
	check_data_sn(t, get_be32(rx->hdr + DATA_SN));
	rx->task = t;
	if (t->next < t->want) {
		rx->dst = t->cmd.buf + t->next;
		rx->dst_len = min32(rx->data_len, t->want - t->next);
	}
}

void data_out_finish(struct iscsi_conn *c)
{
	struct iscsi_task *t = c->rx.task;

	if (!t)
		return;
	c->rx.task = NULL;
	took(t, c->rx.data_len);
	t->data_sn++;
	if (c->rx.hdr[BHS_FLAGS] & FLAG_FINAL)
		t->unsolicited = t->r2t_open = false;
	data_out_advance(t);
}

/* ---- immediate data (11.3.4) -------------------------------------------------------------------- */

void data_out_immediate(struct iscsi_task *t, uint32_t len)
{
	took(t, len);
	data_out_advance(t);
}
