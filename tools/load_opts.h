/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of sandem-load: parse → verify → struct load_opts. Nothing later checks again.
 */
#ifndef TOOLS_LOAD_OPTS_H
#define TOOLS_LOAD_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_PORTALS_MAX 32
#define LOAD_SESSIONS_MAX 16
#define LOAD_QD_MAX 4096
#define LOAD_BLOCK_MAX (1024 * 1024)
#define LOAD_BLOCKS_MAX (1ULL << 28)
#define LOAD_SPAN_DEFAULT (256ULL << 20)

struct load_portal {
	char name[128];		/* as given, without the tag: for messages and --path-policy */
	char address[128];	/* numeric ADDR:PORT, what is connected to */
	int tag;		/* portal group tag, -1 when not given */
};

enum load_policy {
	LOAD_POLICY_ALUA,	/* the best port state, evenly within it */
	LOAD_POLICY_ROUNDROBIN,	/* every path that takes I/O, evenly */
	LOAD_POLICY_PORTAL,	/* only the paths through one portal */
};

struct load_opts {
	struct load_portal portal[LOAD_PORTALS_MAX];
	unsigned portals;
	char target[224], initiator[224];
	unsigned lun;
	unsigned sessions;	/* per portal */
	unsigned qd;		/* I/O outstanding in all */
	uint32_t block;		/* bytes */
	unsigned read_percent, fua_percent;
	bool range_given;
	uint64_t first, count;	/* in blocks; count 0: take `span` */
	uint64_t span;		/* bytes */
	bool sequential;
	uint64_t duration_ns;	/* 0: no limit */
	uint64_t ops;		/* 0: no limit */
	double rate;		/* I/O per second, 0: no limit */
	bool verify_at_end;
	enum load_policy policy;
	unsigned policy_portal;	/* index */
	uint64_t progress_ns;	/* 0: none */
	const char *events;	/* file name or NULL */
	bool json;
	uint64_t seed;		/* also the source of the run id */
	uint32_t writer;
	bool expect_conflict;
	uint64_t nop_interval_ns, nop_timeout_ns, reconnect_ns, login_timeout_ns;
	uint64_t check_interval_ns, io_timeout_ns, no_path_ns;
};

enum load_opts_result { LOAD_OPTS_RUN, LOAD_OPTS_HELP, LOAD_OPTS_WRONG };

/*
 * Fills *o from argc/argv. On WRONG, `err` (of `errlen` bytes) says which option, what is wrong
 * with it and what is allowed. Resolves portal names, so it may block.
 */
enum load_opts_result load_opts_parse(int argc, char **argv, struct load_opts *o, char *err,
				      size_t errlen);

/* The text for --help. */
extern const char load_opts_usage[];

#endif
