/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A group of replog instances in one process over a virtually synchronous network: each partition has one ordered stream;
 * members take from it at their own pace, membership changes have their place in it. With it a toy service (a map of 64
 * cells and a running count), effects and stores that answer late, fencing, quorum by majority.
 *
 * Topology of every test: up to 5 nodes, ids 1 … n.
 */
#ifndef SANDEM_TESTS_FAKE_CPG_H
#define SANDEM_TESTS_FAKE_CPG_H

#include "cluster/replog.h"
#include "cluster/replog_msg.h"

#define FAKE_NODES 5
#define TOY_ID 7
#define TOY_QUICK_ID 8 /* the same, without waiting for fencing */
#define TOY_NEW_ID 9   /* the same, since version 2 of the protocol */
#define TOY_CELLS 64
#define TOY_OPS 1024 /* proposals whose fate is followed */

struct toy {
	uint64_t cell[TOY_CELLS]; /* the last value written */
	uint64_t count;		  /* operations applied */
	uint64_t sum;		  /* hash over all operations in order */
	uint64_t applied[TOY_OPS / 64]; /* bit n: the operation with value n + 1 */
	uint32_t member[FAKE_NODES + 1];
	uint32_t nmembers;
	uint32_t lost[FAKE_NODES + 1], joined[FAKE_NODES + 1]; /* how often it was told so of each node */
	uint32_t restores;
	bool refuse_restore, refuse_beside, no_memory;
	uint32_t bulk; /* bytes that it adds to its snapshots */
	uint64_t beside; /* what this member knows beside its state; 0: nothing */
};

struct toy_op {
	uint32_t cell;	 /* TOY_CELLS and above: malformed */
	uint32_t persist; /* also raises EFFECT_PERSIST */
	uint32_t asks;	  /* changes nothing and raises nothing, as what finds the state as it wants it */
	uint64_t value;
};

#define FAKE_UNANSWERED ((enum propose_status)-1)

/* What a proposal came to. */
struct fake_proposal {
	struct fake *fake;
	uint32_t node;
	struct toy_op op;
	bool finished;
	enum propose_status status; /* FAKE_UNANSWERED until it is finished */
	uint64_t result;
};

struct fake_event;

struct fake_node {
	struct fake *fake;
	uint32_t id;
	bool running, paused;
	struct replog *log;
	struct toy toy, quick, newer;
	uint32_t version_max; /* of the program that it starts with; 0: today's. With 1 it has no TOY_NEW_ID */
	uint8_t fixed, nodes;  /* its file: all bytes of these digests … */
	bool groups_replicated; /* … and which of them counts */
	uint32_t version;     /* in use, as it was told; 0: not yet */
	const char *cluster;  /* that its configuration names; NULL: "fake" */
	uint8_t config; /* what the digest of its configuration begins with */
	uint64_t incarnation;
	unsigned partition;
	struct fake_event *head, *tail; /* delivered to it, not taken yet */
	struct fake_event *out, *out_tail; /* sent, without a place in the stream yet: a membership change may come first */
	struct {
		struct effects_run *run;
	} effect[4096];
	unsigned neffects;
	bool publish_due, lineage_due;
	unsigned restores_published; /* publishing what they have changed has begun */
	uint64_t lineage_generation;
	bool quorum_due, quorum_wanted;
	uint64_t drained[TOY_OPS / 64]; /* as toy.applied: carried out to the end */
	uint64_t seen[TOY_OPS / 64], op_position[TOY_OPS];
	bool hold_effects; /* the test answers them itself */
	bool hold_runs;	   /* only those of operations: what a snapshot has changed is published */
	bool hold_store;   /* its disk is slow to name a history */
	bool hold_quorum;  /* it is slow to hear of quorum */
	bool wake;
	enum cluster_state state;
	/* its stable storage */
	struct replog_lineage disk, disk_next;
	uint64_t disk_cell[TOY_CELLS];
	bool disk_has[TOY_CELLS];
};

struct fake {
	struct fake_node node[FAKE_NODES + 1]; /* [0] unused */
	uint32_t nodes;
	uint64_t rng, now;
	unsigned partitions;
	bool owner[FAKE_NODES + 1]; /* owns a LUN group: not harmless */
	bool two_node;		    /* every partition is quorate */
	bool device;		    /* a quorum device has a vote, too … */
	unsigned device_at;	    /* … and gives it to this partition */
	bool trace;
	bool follow; /* value of every operation is its proposal's index + 1, and P1/P2 are checked at each OK */
	/* Each message at its place in the stream, when set. */
	void (*heard)(struct fake *f, uint32_t from, const void *msg, size_t len);
	const char *broken; /* what a followed proposal violated */
	struct fake_proposal *proposal;
	size_t nproposals, cap;
};

void fake_init(struct fake *f, uint32_t nodes, uint64_t seed);
void fake_fini(struct fake *f);
/* All nodes start, with programs that speak up to version_max; TRACE in the environment: with a trace. */
void fake_begin(struct fake *f, uint32_t nodes, uint32_t version_max);
/* And all serve. */
void fake_up(struct fake *f, uint32_t nodes, uint32_t version_max);
uint64_t fake_random(struct fake *f);

void fake_start(struct fake *f, uint32_t node);		   /* a new process joins the group */
void fake_crash(struct fake *f, uint32_t node);		   /* power loss or kill -9: memory is gone */
void fake_kill(struct fake *f, uint32_t node);		   /* the process alone: no quorum change */
void fake_leave(struct fake *f, uint32_t node);		   /* after its goodbye was delivered */
void fake_partition(struct fake *f, uint32_t node_mask);   /* these go to a partition of their own */
void fake_heal(struct fake *f);				   /* one partition again */
void fake_device(struct fake *f, unsigned partition);	   /* there is one, and it gives its vote there */
void fake_fenced(struct fake *f, uint32_t node);	   /* confirmed to everybody else */
void fake_inject(struct fake *f, uint32_t from, const void *msg, size_t len);
void fake_say(struct fake *f, uint32_t from, struct message *m); /* as fake_inject */

/* One thing happens somewhere; false when nothing is left to do. */
bool fake_step(struct fake *f);
/* Runs until nothing is left; fails the test after a million steps. */
void fake_settle(struct fake *f);
/* Time passes (timers), then settles. */
void fake_pass(struct fake *f, uint64_t ns);

/* Returns the proposal's index. */
size_t fake_propose(struct fake *f, uint32_t node, struct toy_op op);
size_t fake_propose_quick(struct fake *f, uint32_t node, struct toy_op op);
size_t fake_propose_newer(struct fake *f, uint32_t node, struct toy_op op);
bool fake_serving(struct fake *f, uint32_t node);

/* P3: members with the same branch and position have the same state. Fails the test otherwise. */
void fake_check_equal(struct fake *f);
bool fake_has(const uint64_t *bits, size_t op);

#endif
