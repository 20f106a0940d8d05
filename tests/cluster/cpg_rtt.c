/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpg_rtt: what the least costs that a replicated, acknowledged change can cost on this cluster: a
 * message to all members of a group, written to stable storage by each if --sync says so,
 * acknowledged by each with a message to all.
 *
 *   cpg_rtt --group NAME --members N [--sync DIR] [--bytes N] --echo
 *   cpg_rtt --group NAME --members N [--sync DIR] [--bytes N] --rounds N      prints microseconds
 * as JSON
 */
#include <corosync/cpg.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MAX 4096

struct head {
	uint32_t seq, is_ack;
};

static struct state {
	cpg_handle_t cpg;
	uint32_t node, seq;
	int members, joined, acks, rounds, bytes, fd;
	bool echo;
} self = { .members = 2, .rounds = 1000, .bytes = 200, .fd = -1 };

static void die(const char *what)
{
	fprintf(stderr, "cpg_rtt: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void store(const void *p, size_t len)
{
	if (self.fd < 0)
		return;
	if (pwrite(self.fd, p, len, 0) != (ssize_t)len || fdatasync(self.fd))
		die("the store can't be written");
}

static void send_all(uint32_t seq, bool is_ack, size_t len)
{
	uint8_t buf[BYTES_MAX] = { 0 };
	const struct head h = { seq, is_ack };
	struct iovec v = { buf, len };

	memcpy(buf, &h, sizeof(h));
	while (cpg_mcast_joined(self.cpg, CPG_TYPE_AGREED, &v, 1) == CS_ERR_TRY_AGAIN)
		usleep(50);
}

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid,
		    void *msg, size_t len)
{
	struct head h;

	(void)handle, (void)group, (void)pid;
	memcpy(&h, msg, sizeof(h));
	if (h.is_ack) {
		self.acks += !self.echo && h.seq == self.seq;
		return;
	}
	store(msg, len);
	if (node == self.node)
		self.acks++;
	else
		send_all(h.seq, true, sizeof(h));
}

static void confchg(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *m,
		    size_t n, const struct cpg_address *l, size_t nl, const struct cpg_address *j,
		    size_t nj)
{
	(void)handle, (void)group, (void)m, (void)l, (void)nl, (void)j, (void)nj;
	self.joined = n;
}

static void turn(void)
{
	int fd;
	struct pollfd p = { .events = POLLIN };

	cpg_fd_get(self.cpg, &fd);
	p.fd = fd;
	if (poll(&p, 1, self.echo ? -1 : 10000) != 1)
		die("corosync is silent");
	if (cpg_dispatch(self.cpg, CS_DISPATCH_ALL) != CS_OK)
		die("corosync is gone");
}

static int cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure(void)
{
	double *us = calloc(self.rounds, sizeof(*us));

	while (self.joined < self.members)
		turn();
	for (int i = 0; i < self.rounds; i++) {
		uint64_t start = now_ns();

		self.acks = 0;
		send_all(++self.seq, false, self.bytes);
		while (self.acks < self.members)
			turn();
		us[i] = (now_ns() - start) / 1e3;
	}
	qsort(us, self.rounds, sizeof(*us), cmp);
	printf("{\"min\": %.1f, \"p50\": %.1f, \"p99\": %.1f}\n", us[0], us[self.rounds / 2],
	       us[self.rounds * 99 / 100]);
	free(us);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "group", 1, NULL, 'g' }, { "members", 1, NULL, 'm' }, { "sync", 1, NULL, 's' },
		{ "bytes", 1, NULL, 'b' }, { "echo", 0, NULL, 'e' },	{ "rounds", 1, NULL, 'r' },
		{ NULL, 0, NULL, 0 }
	};
	cpg_callbacks_t cb = { .cpg_deliver_fn = deliver, .cpg_confchg_fn = confchg };
	struct cpg_name group = { .length = 0 };
	int ch;

	while ((ch = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (ch) {
		case 'g':
			group.length = snprintf(group.value, sizeof(group.value), "%s", optarg);
			break;
		case 'm': self.members = atoi(optarg); break;
		case 'b': self.bytes = atoi(optarg); break;
		case 'r': self.rounds = atoi(optarg); break;
		case 'e': self.echo = true; break;
		case 's':
			if (chdir(optarg) ||
			    (self.fd = open("cpg_rtt", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
				die("--sync: no such directory");
			unlink("cpg_rtt");
			break;
		default: die("see the head of its source");
		}
	}
	if (!group.length || self.bytes < (int)sizeof(struct head) || self.bytes > BYTES_MAX ||
	    self.rounds < 1)
		die("see the head of its source");
	if (cpg_initialize(&self.cpg, &cb) != CS_OK ||
	    cpg_local_get(self.cpg, &self.node) != CS_OK || cpg_join(self.cpg, &group) != CS_OK)
		die("corosync can't be joined");
	while (self.echo)
		turn();
	measure();
	return 0;
}
