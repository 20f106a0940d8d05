/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process with the real control socket and canned verbs:
 *
 *   test program ── fake_daemon_start() ──▶ child: qb_loop, control.c, verbs below
 *
 *   echo → its args · later → answers after 30 ms, {"n": how many before} · refuse → error · forget → never answers ·
 *   big → an answer of 4 MB · status, "lun list", "session list", "group list", "pr show", "cluster status": canned ·
 *   "group promote" NAME: good for g0, refused else · shutdown
 */
#ifndef SANDEM_TEST_FAKE_DAEMON_H
#define SANDEM_TEST_FAKE_DAEMON_H

#include <sys/types.h>

struct fake_daemon {
	char dir[64]; /* the run directory */
	pid_t pid;
};

void fake_daemon_start(struct fake_daemon *f); /* returns when it listens */
/* Waits for its end (after a shutdown); the exit status, or -signal. */
int fake_daemon_wait(struct fake_daemon *f);
/* Ends it if it still runs, removes the directory. */
void fake_daemon_stop(struct fake_daemon *f);

#endif
