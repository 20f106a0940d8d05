/* SPDX-License-Identifier: BSD-2-Clause */
/* A SCSI task as the connection sees it: collecting data-out → executing in core → answering. Its reactor only. */
#ifndef SANDEM_ISCSI_TASK_H
#define SANDEM_ISCSI_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/cmd.h"
#include "drivers/iscsi/send.h"

enum task_state { TASK_FREE, TASK_COLLECTING, TASK_EXECUTING, TASK_ANSWERING };

struct iscsi_task {
	struct scsi_cmd cmd;
	struct iscsi_conn *conn;
	enum task_state state;
	bool immediate;	  /* not counted in the CmdSN window */
	bool credited;	  /* out of the hash, its place in the window given back */
	bool unsolicited; /* the initiator still owes the end of its unsolicited data (F bit) */
	bool r2t_open;	  /* an R2T is queued or being answered */
	bool refused;	  /* never reaches core: data-out is thrown away, cmd.status and sense are set */
	uint32_t itt;
	struct iscsi_task *hash_next;
	struct cds_list_head link; /* conn->tasks, or conn->free_tasks */

	/* data-out, in bytes from the start of the command's data */
	uint32_t want;	    /* bytes that go into cmd.buf */
	uint32_t next;	    /* buffer offset that the next Data-Out must have */
	uint32_t burst_end; /* of the running burst: limit of unsolicited data, or offset + length of the R2T */
	uint32_t data_sn;   /* that the next Data-Out must have */
	uint32_t ttt;	    /* of the running R2T, TAG_NONE in the unsolicited burst */
	uint32_t r2t_sn;
	struct out_item r2t;

	/* the answer */
	struct out_item answer;
	uint32_t in_len; /* data-in bytes to send */
	uint32_t in_sent;
	uint32_t in_sn; /* Data-In PDUs sent */
	uint32_t residual;
	uint8_t residual_flag; /* RSP_OVERFLOW, RSP_UNDERFLOW or 0 */
};

static inline uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

int task_pool_init(struct iscsi_conn *c);
void task_pool_fini(struct iscsi_conn *c);

/* NULL: no memory, or too many immediate ones. The caller has made sure that itt is not in use. */
struct iscsi_task *task_get(struct iscsi_conn *c, uint32_t itt, bool immediate);
/* A task whose answer has not been sent; NULL. */
struct iscsi_task *task_find(struct iscsi_conn *c, uint32_t itt);
/* Its last PDU is about to be written: the tag may be used again, the window opens by one. */
void task_answered(struct iscsi_task *t);
/* Gives the task back; its command has ended. */
void task_release(struct iscsi_task *t);
/* Ends tasks that still collect data: all of them, or those that core has marked aborted. */
void task_abandon(struct iscsi_conn *c, bool all);

/* data_out.c: after cmd_decode() */
void data_out_setup(struct iscsi_task *t, bool final);
/* data_out.c: the data segment of the command itself, maybe empty, is there. */
void data_out_immediate(struct iscsi_task *t, uint32_t len);
/* data_out.c: data or the end of it has arrived: executes, asks for more, or waits. */
void data_out_advance(struct iscsi_task *t);

/* scsi.c: all data is there (or the command is aborted): into core. */
void scsi_execute(struct iscsi_task *t);

#endif
