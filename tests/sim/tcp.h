/* SPDX-License-Identifier: BSD-2-Clause */
/* What is under the link of two nodes (cluster/link.h): tcp.c. */
#ifndef SANDEM_TESTS_SIM_TCP_H
#define SANDEM_TESTS_SIM_TCP_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/replog.h"

struct sim;
struct node;
struct reactor;

#define TCP_SOCKETS 160 /* of all nodes */
#define TCP_OPS 48	/* of a node, in its rings */

struct tcp_socket {
	bool used, listens, connected;
	uint32_t node, from; /* from: that of the other end */
	int other;	     /* the other end; -1: there is none any more */
	uint8_t *in;	     /* what the other end has sent … */
	size_t len, arrived; /* … and how much of it this node's kernel has */
	bool ending;	     /* behind that the connection is reset … */
	bool ended;	     /* … and this node's kernel knows */
	bool shut;	     /* by this end */
	bool taken;	     /* accepted */
};

struct tcp_op {
	struct reactor *r;
	struct io_uring_sqe sqe;
};

struct tcp { /* of a node: its rings */
	struct tcp_op op[TCP_OPS];
	unsigned nops;
};

bool tcp_step(struct node *n, unsigned reactor); /* one operation ends. False: none can */
bool tcp_arrive(struct sim *s);			 /* something of what is on its way is there */
void tcp_act(struct sim *s);			 /* a connection breaks, or a node's link network */
/* n's process ends, or its power. */
void tcp_gone(struct node *n, enum replog_gone_reason reason);
void tcp_clear(struct sim *s);

bool tcp_is(int fd);
int tcp_close(int fd);

#endif
