/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out: a queue of items, each able to write its next PDU into a batch. A batch leaves in one sendmsg; its
 * headers live in an arena, so that neighbouring headers share one element of the vector.
 * Sequence numbers are given when a PDU is written into the batch, never before.
 */
#ifndef SANDEM_ISCSI_SEND_H
#define SANDEM_ISCSI_SEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/reactor.h"
#include "drivers/iscsi/defaults.h"

struct iscsi_conn;
struct out_item;

struct out_ops {
	/* Writes the next PDU (send_pdu); true when it was the last one of this item. */
	bool (*emit)(struct iscsi_conn *c, struct out_item *i);
	/* After all PDUs have left (or never will). NULL: nothing refers to the item once emit has returned true. */
	void (*release)(struct iscsi_conn *c, struct out_item *i);
};

struct out_item {
	const struct out_ops *ops;
	struct out_item *next;
	bool queued;
};

struct send_batch {
	struct iovec iov[3 * BATCH_PDUS];
	uint32_t niov, first; /* first: next one to send */
	uint32_t npdus;
	uint32_t arena_len;
	uint64_t bytes;		/* still to be sent */
	struct out_item *owners; /* to be released when the batch is out */
	uint8_t arena[BATCH_ARENA] __attribute__((aligned(64)));
};

struct tx {
	struct out_item *head, **tail;
	struct reactor_hook hook;
	struct reactor_op op;
	struct msghdr msg;
	bool busy;	 /* the kernel has the batch */
	uint32_t nmisc;	 /* misc items that wait or are in the batch */
	bool close_when_empty;
	struct send_batch *batch;
};

int send_init(struct iscsi_conn *c);
void send_fini(struct iscsi_conn *c);

/* Queues the item behind the others; it leaves at the end of this turn. */
void send_queue(struct iscsi_conn *c, struct out_item *i);
/* Takes it out again, if it is still queued. */
void send_unqueue(struct iscsi_conn *c, struct out_item *i);
/* The connection is closing and the kernel has no batch of it: releases everything. */
void send_drop(struct iscsi_conn *c);

/* For emit(): one PDU. bhs has everything but DataSegmentLength and the numbers, which are set here:
 * numbers is how StatSN is filled in. data must stay good until release(). */
enum send_numbers {
	NUMBERS_STATUS,	   /* StatSN, advanced */
	NUMBERS_NO_ADVANCE, /* next StatSN, not advanced (R2T, NOP-In of our own) */
	NUMBERS_NONE,	   /* StatSN reserved (Data-In without status) */
};
void send_pdu(struct iscsi_conn *c, uint8_t bhs[48], enum send_numbers numbers, const void *data, uint32_t len);

/* Everything but SCSI answers: a header and a copy of its data, allocated. False: no memory, connection closed. */
bool send_misc(struct iscsi_conn *c, const uint8_t bhs[48], enum send_numbers numbers, const void *data, uint32_t len);

#endif
