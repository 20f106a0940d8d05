/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that change every block of a logical unit (SANITIZE, FORMAT UNIT; SBC-4 4.11, 4.33):
 * they outlive the command that asked for them, aborts and resets, and the node that carries them
 * out; other commands are refused meanwhile, on every node.
 *
 *   command, on any node ─▶ struct wipe_request ─▶ control thread ─▶ core->wipes: all nodes agree
 *        │                                       ├▶ lu->wipe published, what was admitted drained
 *        │                                       └▶ on the owner: core/wipe_run.h
 *        └ waits (CMD_HELD) for the end, or with IMMED=1 for the beginning: wipe_answer()
 */
#ifndef SANDEM_CORE_WIPE_H
#define SANDEM_CORE_WIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/mailbox.h"
#include "core/sense.h"

struct lu;
struct reactor;
struct scsi_cmd;

enum wipe_kind { WIPE_SANITIZE, WIPE_FORMAT };
enum wipe_op { WIPE_WRITE /* the pattern */, WIPE_UNMAP, WIPE_ZERO, WIPE_CRYPTO };

#define WIPE_PATTERN_MAX 4096
#define WIPE_PASSES_MAX 31

struct wipe_order {
	enum wipe_kind kind;
	enum wipe_op op;
	bool may_exit;	     /* SANITIZE: AUSE */
	bool invert;	     /* the pattern, for every second pass */
	uint8_t passes;
	uint16_t pattern_len; /* WIPE_WRITE: repeated from the beginning of each block */
	uint8_t pattern[WIPE_PATTERN_MAX];
};

struct wipe { /* lu->wipe, immutable but for the progress; NULL: there is none */
	uint64_t id; /* of this operation, the same on all nodes */
	enum wipe_kind kind;
	bool failed;	   /* and so it stays until one has ended well, or EXIT FAILURE MODE */
	uint16_t progress; /* of 65536; atomic */
};

struct wipe_request {
	struct lu *lu;
	struct wipe_order order;
	bool immed;
	struct cds_list_head waiting; /* reactor: scsi_cmd.state_link: unless it is aborted */
	struct reactor *reactor;
	struct msg msg;
	sense_t sense;
	/* for core->wipes: control thread */
	struct cds_list_head link;
	uint64_t id;
	void *arg;
};

/* Reactor; cmd is admitted, and waits from here on. BUSY without memory. */
void wipe_start(struct scsi_cmd *cmd, const struct wipe_order *order, bool immed);

/* Control thread: the command ends so (SENSE_NONE: GOOD), unless it was aborted. q is gone. */
void wipe_answer(struct wipe_request *q, sense_t s);

/* What commands hear while it runs, and when it has failed. */
sense_t wipe_running_sense(enum wipe_kind k);
sense_t wipe_failed_sense(enum wipe_kind k);

/* Reactor, for the gate, when lu->wipe is set. True: answered, the operation or its failure
 * forbids the command. */
bool wipe_refuses(struct scsi_cmd *cmd);

/* Reactor. What REQUEST SENSE tells of the operation, with its progress; SENSE_NONE when there
 * is none. */
sense_t wipe_sense(const struct lu *lu, struct sense_detail *d);

#endif
