/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two nodes that talk by the replicated log, with the daemon's services: both alive, and written down; or one
 * alive, and what the other said taken from what was written down. Everything that a member waits for happens at
 * once, and its random numbers are counted, so that a conversation is the same every time. For recorded_test.c,
 * which builds with older releases, too.
 *
 *   input of a node ─▶ replog ─▶ talk.first … ─▶ delivered to those who are alive; the other one's from the recording
 */
#ifndef SANDEM_TESTS_FAKE_TALK_H
#define SANDEM_TESTS_FAKE_TALK_H

#include <stdio.h>

#include "alua/alua_service.h"
#include "cluster/replog.h"
#include "media/media_service.h"
#include "pr-sync/pr_service.h"
#if REPLOG_VERSION >= 2
#include "daemon/config/service.h"
#include "daemon/tasks.h"
#include "directory/directory_service.h"
#include "media/mode_service.h"
#endif

#define TALK_NODES 2
#define TALK_LINE (1 << 16)

struct note { /* a message on its way */
	struct note *next;
	uint32_t from;
	size_t len;
	uint8_t data[];
};

struct talk_side {
	uint32_t id;
	struct replog *log;
	struct alua_service *alua;
	struct pr_service *pr;
	struct media_service *media;
#if REPLOG_VERSION >= 2
	struct mode_service modes;
	struct tasks_service tasks;
	struct directory directory;
	struct config_service *generations;
#endif
	struct effects_run *run[64];
	unsigned nruns;
	bool publish_due;
	uint64_t lineage_due, randoms;
};

struct talk {
	struct talk_side side[TALK_NODES + 1]; /* [0] unused; log NULL: somebody of the recording */
	struct note *first, *last;   /* sent, not delivered */
	FILE *record;
	unsigned answered; /* proposals, all with success */
};
extern struct talk talk;

void talk_start(uint32_t id);
void talk_end(void);
/* One line of a recording: an input of one node, or a message at its place in the stream. What a living node has to
 * say has to be as it stands there. */
void talk_line(const char *line);
/* An input, which is written down; then, while recording, all that follows from it. */
void talk_input(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void talk_flow(void);
void talk_acks(void); /* the living ones' next messages, as long as they are acknowledgements, are delivered */

/* The services of start_cluster() in daemon/main.c over the states of s; how many. out has room for 16. */
size_t talk_services(struct talk_side *s, struct service *out);
void talk_states_new(struct talk_side *s);
void talk_states_free(struct talk_side *s);

void talk_put_hex(FILE *f, const uint8_t *p, size_t len);
size_t talk_get_hex(const char *text, uint8_t *out, size_t max);

#endif
