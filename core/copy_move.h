/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One extent of a third-party copy. Each chunk is a READ (16) and a WRITE (16) of the same I_T
 * nexus that go through the gates of their logical unit, so reservations, asymmetric access and
 * range locks hold for every single one (P2, P5). After each chunk the reactor serves others first.
 */
#ifndef SANDEM_CORE_COPY_MOVE_H
#define SANDEM_CORE_COPY_MOVE_H

#include "core/cmd.h"

struct copy_move;
struct copy_result;
struct itl;

enum copy_move_end {
	MOVE_DONE,
	MOVE_STOPPED,	   /* cmd was aborted, or its copy operation */
	MOVE_INVALID,	   /* valid() said no */
	MOVE_CLOSED,	   /* a gate does not admit: move->closed says why */
	MOVE_READ_FAILED,  /* move->part says how */
	MOVE_WRITE_FAILED,
};

struct copy_move {
	/* set by the caller */
	struct scsi_cmd *cmd;	/* admitted; on whose behalf */
	struct itl *from, *to;	/* from NULL: zeroes */
	uint64_t from_at, to_at, len; /* bytes, whole blocks of both */
	bool (*valid)(struct copy_move *m); /* may what was just read be written? NULL: always */
	void (*ended)(struct copy_move *m, enum copy_move_end end);
	struct copy_result *result; /* told of each step; NULL: there is none */
	/* its own */
	uint64_t done;		    /* bytes written */
	uint32_t chunk;
	sense_t closed;
	struct scsi_cmd part;	    /* the command under way */
	struct msg msg;
	uint8_t *buf;
	uint32_t buf_len;
};

/* Reactor. ended is called once, now or later; m may be started again from there. */
void copy_move_start(struct copy_move *m);

/* After MOVE_READ_FAILED or MOVE_WRITE_FAILED: who sent the copy is to send it again, and is told
 * as the part was. */
bool copy_move_is_for_now(const struct copy_move *m);

/* Makes bg a task of its own that goes on with what cmd began (IMMED=1): aborts and resets find it,
 * drains wait for it. The data buffer becomes bg's. */
void copy_move_background(struct scsi_cmd *bg, struct scsi_cmd *cmd,
			  void (*done)(struct scsi_cmd *bg));

#endif
