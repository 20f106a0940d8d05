/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The origin's side of the link: what is under way on a connection (link_out.c), and how it is made and watched
 * (link_dial.c).
 * All of it on the connection's reactor, but link_out_new() and link_out_free().
 */
#ifndef SANDEM_CLUSTER_LINK_OUT_INT_H
#define SANDEM_CLUSTER_LINK_OUT_INT_H

#include "cluster/link_int.h"
#include "core/cmd.h"

enum out_state { OUT_IDLE, OUT_DIALING, OUT_GREETED, OUT_PROVEN, OUT_UP };
enum slot_state { SLOT_FREE, SLOT_SENT, SLOT_UNKNOWN, SLOT_ABANDONED, SLOT_CANCELLING, SLOT_DRAINING };

struct slot {
	enum slot_state state;
	struct link_out *out;
	struct scsi_cmd *cmd; /* NULL: it has been ended otherwise */
	uint64_t id;
	uint64_t epoch;	      /* of the ownership under which it was sent */
	uint64_t incarnation; /* of the peer's daemon */
	uint32_t in_max, bytes;
	bool write;
	bool reached; /* an earlier connection may have brought it to the peer */
	struct link_frame frame;
	struct slot *next; /* free list */
};

struct link_out {
	struct link_conn conn; /* in use from GREETED on */
	struct link *l;
	struct link_peer *peer;
	struct reactor *r;
	enum out_state state;
	struct link_auth auth;
	struct link_frame hello, proof, ping;
	struct reactor_op dial_op;
	int dial_fd;
	bool dial_cancelled;
	struct reactor_timer timer;
	struct msg start;
	uint64_t since;	   /* of this state */
	uint64_t redial;   /* ns to wait before the next try */
	uint64_t pinged;
	bool told_up;
	int last_error; /* of dialing, so that it is logged once */
	char name[64];
	struct slot slot[LINK_SLOTS];
	struct slot *free;
	uint32_t bytes;	  /* under way */
	uint32_t unknown; /* slots in UNKNOWN */
	unsigned first;	  /* slot to be recovered first */
	struct scsi_cmd *wait_head, **wait_tail; /* no credit: linked by handler_data */
	struct link_answer answer;		 /* the running frame's */
	struct slot *answered;
};

/* ---- link_out.c ---- */

void link_out_slots_init(struct link_out *o);
/* The connection is up: what an earlier one has left is asked for again, or cleared up. */
void link_out_recover(struct link_out *o);
/* It has ended: writes become UNKNOWN, all else goes through the gates again. */
void link_out_lost(struct link_out *o);
/* As link_conn_ops.frame, of LINK_ANSWER: 0, or -EPROTO. */
int link_out_answer(struct link_out *o, const struct link_header *h, const uint8_t *meta, void **dst);
/* All of the frame is there: the command that it answers ends, others get its place. */
void link_out_answered(struct link_out *o);
/* Commands that have been UNKNOWN for their hold limit are given up. */
void link_out_expire(struct link_out *o);

#endif
