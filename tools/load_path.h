/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One path: one iSCSI session (libiscsi context) to one portal, kept alive like open-iscsi does,
 * judged like multipathd's path checker does. It never decides where I/O goes; the engine does.
 *
 *             start                    probe done, state known
 *   DOWN ------------> CONNECTING -> LOGIN -> UP ------------------------+
 *    ^  reconnect delay    |           |      |  check every interval:   |
 *    +---------------------+-----------+------+  TUR, RTPG               |
 *      closed, refused, no answer to NOP-Out or a command                |
 *                                                                        |
 *   usable = UP, probed, not failed, port state takes I/O  <-------------+
 *
 * A command of a lost connection is given back (answer.lost) only after its socket was closed,
 * with an abortive close (RST), so that nothing of it is sent any more when it goes to another
 * path. What the target had received by then may still be executed later: load_model.h.
 *
 * Owner: the engine; everything runs on its thread. Callbacks of libiscsi never destroy a
 * context; they mark it, and load_path_reap() does it from the loop. All times are nanoseconds
 * of CLOCK_MONOTONIC.
 */
#ifndef TOOLS_LOAD_PATH_H
#define TOOLS_LOAD_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <urcu/list.h>

#include "load_alua.h"
#include "load_opts.h"

struct load_path;

struct load_answer {
	bool lost;		/* no answer: the connection is gone */
	uint8_t status;		/* SCSI status */
	struct load_sense sense; /* for CHECK CONDITION */
	uint32_t length;	/* bytes transferred */
};

/* A SCSI command on a path; embedded in whatever issues it. */
struct load_io {
	/* set by the issuer */
	uint8_t cdb[16];
	uint8_t cdb_len;
	bool write;		/* direction of the data */
	void *buf;
	uint32_t len;		/* bytes; 0: no data */
	void (*done)(struct load_io *io, const struct load_answer *answer);
	/* used by the path */
	struct load_path *path;
	struct scsi_task *task;
	struct scsi_iovec iov;
	struct cds_list_head link;
	uint64_t sent;
};

enum load_conn { LOAD_CONN_DOWN, LOAD_CONN_CONNECTING, LOAD_CONN_LOGIN, LOAD_CONN_UP };

/* What all paths must agree on; the first probed path sets it. */
struct load_lu {
	bool known;
	char name[LOAD_LU_NAME_MAX];
	uint64_t blocks;
	uint32_t block_size;
};

struct load_path_hooks {
	/* The path's usability or port state changed; names as from load_path_state(). */
	void (*changed)(void *arg, struct load_path *p, const char *from, const char *to);
	void *arg;
};

#define LOAD_PATH_BUF 2048
struct load_path {
	/* set by load_path_init */
	const struct load_opts *o;
	const struct load_portal *portal;
	const struct load_path_hooks *hooks;
	struct load_lu *lu;
	char name[160];
	uint32_t isid;
	/* session */
	struct iscsi_context *ctx;
	enum load_conn conn;
	uint64_t deadline;	/* of CONNECTING and LOGIN; in DOWN: when to try again */
	bool drop;		/* the context is to be destroyed by load_path_reap() */
	char reason[200];	/* why it is not usable, for people */
	char redirect[128];	/* TargetAddress of a redirected login, for the next attempt */
	struct cds_list_head flying, orphans;
	unsigned inflight;	/* of the engine's commands */
	struct scsi_task *spent[64]; /* finished writes whose Data-Out may still be queued */
	unsigned spents;
	/* keepalive */
	uint64_t now, nop_next, nop_sent, heard;
	bool nop_pending;
	/* probe and check */
	struct load_io ctl;
	int step;
	unsigned step_retries;
	bool probed, foreign, failed, alua, ask;
	uint64_t failed_at, check_next, check_begun;
	int port_group, relative_port;
	enum load_tpg_state tur_state, state;
	const char *shown;	/* the last state told to hooks->changed */
	uint8_t buf[LOAD_PATH_BUF];
	/* counters */
	uint64_t logins, losses, failures, ios;
};

/* Session `index` through o->portal[portal]; starts DOWN and due at once. */
void load_path_init(struct load_path *p, const struct load_opts *o, unsigned portal,
		    unsigned index, struct load_lu *lu, const struct load_path_hooks *hooks);
/* Logs out nothing, closes, gives back all commands as lost. */
void load_path_fini(struct load_path *p);

bool load_path_usable(const struct load_path *p);
/* "down", "probing", "failed", "foreign", or the name of the port state. */
const char *load_path_state(const struct load_path *p);

/* For poll(2): descriptor or -1, and events. */
int load_path_fd(const struct load_path *p, short *events);
/* Handles `revents`. Calls done() of finished commands. */
void load_path_service(struct load_path *p, short revents, uint64_t now);
/* Sends what is queued without waiting for poll(2). */
void load_path_flush(struct load_path *p);
/* Timers: connect, NOP-Out, checks, timeouts. Call at least every 50 ms. */
void load_path_tick(struct load_path *p, uint64_t now);
/* Carries out a marked drop; then done() with lost for each of its commands. */
void load_path_reap(struct load_path *p, uint64_t now);

/* Queues a command. False when the path can't take it; then it is marked for dropping. */
bool load_path_submit(struct load_path *p, struct load_io *io, uint64_t now);

/* A command said that this path can't serve I/O: not used before a check says otherwise. */
void load_path_fail(struct load_path *p, uint64_t now, const char *why);
/* A command said "transitioning": not used before RTPG says otherwise. */
void load_path_transition(struct load_path *p);
/* Ask for the port states soon (unit attention 2A/06). */
void load_path_ask(struct load_path *p);

/* Starts a logout where logged in; load_path_idle() is true once it is over. */
void load_path_logout(struct load_path *p);
bool load_path_idle(const struct load_path *p);

#endif
