/* SPDX-License-Identifier: BSD-2-Clause */
/* What is under the nodes: net.c, machine.c, disk.c. */
#ifndef SANDEM_TESTS_SIM_MACHINE_H
#define SANDEM_TESTS_SIM_MACHINE_H

#include "cluster/transport.h"
#include "core/disk.h"
#include "tests/sim/limits.h"

struct sim;
struct node;

/* ---- net.c ---- */

struct event { /* in a node's stream */
	struct event *next;
	enum { EV_MESSAGE, EV_CONFCHG, EV_RING } kind;
	uint32_t from;
	uint32_t member[NODES], joined[NODES];
	struct replog_gone gone[NODES];
	size_t nmembers, njoined, ngone, len;
	uint64_t seq;
	uint8_t data[];
};

struct fifo {
	struct event *head, *tail;
};

void net_start(struct node *n);
void net_gone(struct node *n, enum replog_gone_reason reason);
void net_partition(struct sim *s, uint32_t mask);
void net_heal(struct sim *s);
void net_own_message(struct node *n);
void net_ring(struct sim *s, unsigned partition);
bool net_quorate(const struct node *n);
void net_device_moves(struct sim *s); /* one side of a partition has lost it, and it votes for the other */
void net_check_outrun(const struct node *n); /* n serves */
bool net_take(struct node *n);
bool net_order(struct node *n);
bool net_quorum(struct node *n);
void net_clear(struct node *n);

/* ---- machine.c ---- */

struct timer {
	bool armed;
	uint64_t at;
	void *data;
	void (*fn)(void *data);
};

#define TIMERS 16

bool machine_control(struct node *n);
bool machine_reactor(struct node *n, unsigned i);
bool machine_work(struct node *n);
bool machine_timer(struct node *n);
uint64_t machine_next_timer(const struct node *n);
void machine_reset(struct node *n);

/* ---- disk.c ---- */

#define IOS 64

struct handle { /* an open device */
	struct disk disk;
	struct node *node;
	unsigned lu, inflight;
	uint64_t epoch;
	uint32_t found; /* blocks, when it was opened */
	bool dirty;
	struct handle *next_closed;
};

bool disk_step(struct node *n);
/* n has the medium open and has seen it with so many blocks, or may have. */
bool disk_may_have_found(const struct node *n, unsigned lu, uint64_t blocks);
void disk_free_closed(struct sim *s);

#endif
