/* SPDX-License-Identifier: BSD-2-Clause */
/* What is true: history.c, history_lingers.c, history_disk.c, history_told.c. */
#ifndef SANDEM_TESTS_SIM_HISTORY_H
#define SANDEM_TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/limits.h"
#include "tests/sim/model.h"

struct sim;
struct node;
struct slot;
struct session;
struct handle;

/* A history is a node of a tree, known by its index. */
struct history {
	int parent; /* -1: what a process has loaded from its store */
	bool used;  /* false: nobody has gone on from there yet */
	uint32_t op, depth;
	int lu; /* that op was about; -1: none in particular */
	uint8_t status;
	enum model_kind kind;
	uint64_t step; /* when a member applied it first */
	struct lu_model model[LUS];
	struct lingering { /* reserved by RESERVE until the member was lost */
		unsigned nexus; /* + 1; 0: nobody */
		uint64_t made, step;
	} lingers[LUS];
};

uint8_t history_apply(struct node *n, uint32_t op, unsigned lu, const struct model_op *c); /* the model's status */
void history_members(struct node *n, uint64_t position, const uint32_t *member, size_t members);
void history_restored(struct node *n, int history); /* from a snapshot */
/* since, from: step and state of the proposer when it was proposed. */
void history_acknowledged(struct node *n, uint32_t op, uint64_t since, int from, uint8_t status);
bool history_descends(const struct sim *s, int of, int from);
/* Is there a state that n can have had since sl was sent which is as is() says? Always, where that is not known. */
bool history_some(const struct node *n, const struct slot *sl, bool (*is)(const struct lu_model *m, const struct slot *sl));
void history_medium(const struct handle *h, struct slot *sl, bool write);
/* Whether a state since sl was sent asks for RESERVATION CONFLICT. */
bool history_conflicts(const struct node *n, const struct slot *sl);
void history_conflict(struct node *n, struct slot *sl);
void history_pr_in(struct node *n, struct slot *sl);
void history_check_equal(struct sim *s);
void history_reservations_end(struct sim *s);
bool history_same_bytes(const struct node *a, const struct node *b);

/* history_lingers.c */
void lingers_note(struct node *n, unsigned lu, unsigned nexus); /* nexus + 1 */
bool lingers_enforced(const struct node *n, unsigned lu); /* as far as n knows */
void lingers_check(struct sim *s);

/* history_disk.c */
int history_loaded(struct sim *s); /* the history of a process that begins, with what it has loaded */
void history_resolved(struct sim *s); /* the operator goes on with what is there */
void history_anchor(struct node *n);

/* history_told.c */
void told_note(struct slot *sl, uint16_t code);
void told_check(struct node *n, int at, uint64_t since);
void told_owed(struct node *n, int before);
void told_check_owed(struct node *n);
bool told_cleared(const struct session *se, unsigned lu, uint64_t since); /* that commands were ended by another */

#endif
