/* SPDX-License-Identifier: BSD-2-Clause */
/* Initiators: load*.c; their commands where another node executes them: forward.c. */
#ifndef SANDEM_TESTS_SIM_LOAD_H
#define SANDEM_TESTS_SIM_LOAD_H

#include "core/cmd.h"
#include "core/nexus.h"
#include "core/sense.h"
#include "core/tmf.h"
#include "tests/sim/limits.h"
#include "tests/sim/model.h"

struct sim;
struct node;

enum op_kind {
	OP_READ, OP_WRITE, OP_COMPARE_AND_WRITE,
	OP_PR_OUT, OP_PR_KEYS, OP_PR_RESERVATION, OP_RESERVE, OP_RELEASE,
	OP_MODE_SELECT, OP_MODE_SENSE, OP_SET_TIMESTAMP, OP_REPORT_TIMESTAMP, OP_LOG_SELECT, OP_CAPACITY,
	OP_KINDS,
};

/* A command of an initiator. It stays until the schedule ends: something of it may still be on its way. */
struct slot {
	struct scsi_cmd cmd;
	struct node *node;
	bool busy, coming; /* coming: its data is */
	bool reached; /* the write is on the medium */
	bool served; /* the node did when it was sent */
	bool ended;  /* what was to end it has been answered */
	bool over;   /* it was answered with GOOD, or taken back for good */
	enum op_kind kind;
	unsigned initiator, lu, block;
	uint32_t value;	   /* unique; also the identity of a PR OUT */
	uint32_t sampled;  /* what a read found */
	uint32_t expected; /* COMPARE AND WRITE */
	int frontier;	   /* what was acknowledged when it was sent */
	int there;	   /* history of the owner that has looked at it, where it was forwarded; -1 */
	uint64_t step;
	struct pr_model_op pr;
};

struct sim_tmf { /* a task management function of an initiator */
	struct tmf tmf;
	struct node *node;
	bool busy, everywhere;
	unsigned initiator, lu;
	uint32_t value; /* commands with lower ones were sent before it */
};

struct session {
	struct nexus nexus;
	uint64_t since; /* step */
	uint64_t told[LUS][TELLS]; /* step at which it was last told, + 1 */
	uint16_t owed[LUS]; /* 1 << enum tell: its node was away when it happened, and has it from a snapshot … */
	uint64_t owed_since[LUS][TELLS]; /* … taken at this step */
	uint32_t ends_own[LUS]; /* the last function by which it has asked for the end of its commands: those with lower numbers */
	bool reserves[LUS]; /* it has sent RESERVE */
};

/* forward.c */
struct slot *forward_slot(const struct scsi_cmd *cmd); /* of one that entered through another node */

/* load*.c */
void load_one(struct sim *s);
struct slot *slot_get(struct node *n, enum op_kind kind, unsigned initiator, unsigned lu); /* NULL: none is free */
#define READ_VALUE_SHIFT 12
struct slot *load_slot(const struct scsi_cmd *cmd); /* also where another node executes it */
void slot_start(struct slot *sl, const void *data, uint32_t len); /* data NULL: len bytes are expected */
bool load_data(struct node *n); /* the data of a command has come */
void load_rw(struct node *n, unsigned initiator, unsigned lu);
void load_rw_good(struct slot *sl);
bool load_rw_sense(const struct slot *sl, sense_t sense); /* whether the state asks for it */
void load_pr(struct node *n, unsigned initiator, unsigned lu);
void load_pr_good(struct slot *sl);
void load_pr_out(struct node *n, unsigned initiator, unsigned lu, const struct pr_model_op *c);
void load_spc2(struct node *n, unsigned initiator, unsigned lu);
void load_lu(struct node *n, unsigned initiator, unsigned lu);
void load_lu_good(struct slot *sl);
bool load_lu_sense(const struct slot *sl, sense_t sense);
void load_resize(struct sim *s);
void load_tmf(struct node *n, unsigned initiator, unsigned lu);
bool load_tmf_busy(const struct node *n, unsigned initiator);

#endif
