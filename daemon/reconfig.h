/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * This node's part in the cluster's configuration (daemon/config/service.h): looks whether it can take a generation that is
 * being prepared, and puts the one in force in force here.
 *
 *   generation ─ worker: parse ─▶ plan ─ diff with what runs ─┬─ prepared: worker: look at the media ─▶ VOTE
 *     + own file's fixed part                                  └─ in force: swap (reconfig_swap.c) ─▶ acknowledged
 *
 * Level-triggered, like ownership: reconfig_step() compares the log's state with what this node has done, and takes one step;
 * the end of each step calls it again. Control thread.
 */
#ifndef SANDEM_RECONFIG_H
#define SANDEM_RECONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

#include "cluster/effects.h"
#include "cluster/worker.h"
#include "daemon/config/config.h"
#include "daemon/config/diff.h"

struct config_generation;
struct daemon;
struct reconfig;
struct reconfig_ask;
struct reconfig_swap;

/* A text on its way to a configuration of this node. */
struct reconfig_plan {
	struct work work;
	struct daemon *d;
	const char *own_text; /* of this node's file; outlives the plan */
	size_t own_len;
	char *name;  /* for messages: file, or "generation 3" */
	char *text, *slots; /* slots NULL: those of the file's order */
	size_t len;
	bool groups; /* the text says which LUN groups there are; else the own file does */
	/* out */
	int rc;
	struct config_error err;
	struct config *said; /* as the text says */
	struct config *next; /* said with this node's fixed part: what it would run with */
	void (*done)(struct reconfig_plan *p);
	void *arg; /* of whoever started it */
};

struct reconfig_text {
	const char *name, *text, *slots;
	size_t len;
	bool groups;
};

/* done is called later, on the control thread; then reconfig_plan_free(). NULL: no memory. */
struct reconfig_plan *reconfig_plan(struct daemon *d, const struct reconfig_text *t,
				    void (*done)(struct reconfig_plan *p), void *arg);
void reconfig_plan_free(struct reconfig_plan *p);

enum reconfig_phase { RECONFIG_IDLE, RECONFIG_LOOKING, RECONFIG_SWAPPING };

struct reconfig {
	struct daemon *d;
	const char *own_file, *own_text; /* NULL: --standalone, nothing here applies */
	size_t own_len;
	uint8_t own_digest[32];
	uint64_t running; /* generation that d->config is; 0: this node's file, nobody has seeded yet */
	char *running_text; /* of it: in another history the number may stand for something else */
	bool file_differs; /* own file from the generation in force */
	uint64_t voted;	   /* token of the preparation that it has been looked at */
	enum reconfig_phase phase;
	struct reconfig_plan *plan; /* under way */
	struct reconfig_swap *swap; /* under way */
	struct cds_list_head waiters; /* for the generation in force to run here */
	struct reconfig_ask *ask;     /* of an operator on this node; verbs_config.c */
	bool seeding;
};

/* After the store is loaded and before anything is built: makes d->config what the generation in force says. file: where
 * it was read from, for messages. 0; or negative and a message. */
int reconfig_start(struct daemon *d, const char *file, char *err, size_t errlen);
void reconfig_free(struct daemon *d);

/* An effects run of the configuration service. */
void reconfig_run(struct reconfig *r, struct effects_run *run);
/* fn when this node runs with the generation in force (at once, where it does); ok false: it can't. */
void reconfig_when_current(struct reconfig *r, void (*fn)(void *arg, bool ok), void *arg);
/* The cluster serves: where nobody has said a configuration yet, this node says its file. */
void reconfig_seed(struct reconfig *r);
/* A LUN group may have come to rest. */
void reconfig_rest(struct reconfig *r);
void reconfig_step(struct reconfig *r);

/* ---- reconfig_look.c ---- */
/* Whether this node could serve what next adds: its media are looked at where the group is open here. done(arg, NULL) or
 * done(arg, why), later. */
void reconfig_look(struct daemon *d, const struct config *next, void (*done)(void *arg, const char *why), void *arg);

/* ---- reconfig_swap.c ---- */
/* next, taken over, becomes d->config. NULL: no memory. done later. */
struct reconfig_swap *reconfig_swap(struct daemon *d, struct config *next, void (*done)(void *arg, bool ok), void *arg);
void reconfig_swap_rest(struct reconfig_swap *s);

/* ---- verbs_config.c ---- */
struct control_verb;
void reconfig_ask_step(struct reconfig *r); /* votes and generations may have changed */

#endif
