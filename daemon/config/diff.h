/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What there is to do between two configurations: objects to add, to remove, to change, and what can't be done while the
 * daemons run. Pure.
 *
 *   config_diff(now, next) ─▶ change[]  what an operator is shown, in the order of the file
 *                          ─▶ refused   why next can't be taken online (all reasons); empty: it can
 */
#ifndef SANDEM_CONFIG_DIFF_H
#define SANDEM_CONFIG_DIFF_H

#include "daemon/config/config.h"

enum config_change_kind {
	CONFIG_LUN_ADDED,
	CONFIG_LUN_REMOVED,
	CONFIG_LUN_CHANGED, /* size, threshold */
	CONFIG_TARGET_ADDED,
	CONFIG_TARGET_REMOVED,
	CONFIG_TARGET_CHANGED, /* access lists */
	CONFIG_GROUP_ADDED,
	CONFIG_GROUP_REMOVED, /* no LUN is in it any more */
	CONFIG_GROUP_CHANGED, /* hold limit, preferred node, what non-owners do */
	CONFIG_REFUSED,	      /* text says why */
};

struct config_change {
	enum config_change_kind kind;
	const char *name; /* of the object; borrowed from the configuration that has it; NULL with CONFIG_REFUSED */
	char text[320];	  /* for an operator: "size 1073741824 -> 2147483648" */
};

struct config_diff {
	size_t n, cap;
	struct config_change *change;
	size_t nrefused;
	int err; /* -ENOMEM: sticky */
};

/* groups: LUN groups may come, go, and change what their non-owners do (a generation says which there are). 0 or
 * -ENOMEM. config_diff_fini() in every case. */
int config_diff(struct config_diff *d, const struct config *now, const struct config *next, bool groups);
void config_diff_fini(struct config_diff *d);
const char *config_change_word(enum config_change_kind kind); /* "add LUN", … */
/* The first reason for refusal, or NULL. */
const char *config_diff_refusal(const struct config_diff *d);

/* Whether the access lists of the two targets say the same (LUNs by name). */
bool config_same_access(const struct config *a, const struct config_target *s, const struct config *b,
			const struct config_target *t);
/* Index into target[] or -1. */
int config_find_target(const struct config *c, const char *name);

/*
 * Relative target port identifiers must not change when a target before them in the file goes: each target has a slot, which is
 * kept with the generation as text, a line "SLOT NAME" per target.
 *   config_slots_take: gives c's targets the slots of the text; those that it doesn't name get the lowest free one.
 *   config_slots_text: the text for c's targets; to be freed; NULL: no memory.
 * take: 0, or -EBADMSG: not such a text, c is unchanged.
 */
int config_slots_take(struct config *c, const char *text);
char *config_slots_text(const struct config *c);

/*
 * The configuration that a node runs with: the fixed part from its own file, LUNs, targets and groups from the
 * cluster's generation. groups false: it does not say which groups there are; names and non_owner of those are own's.
 * Moves them out of generation into own, and own's former ones out of it. 0; or -EINVAL and a message: generation needs
 * a group that own does not have. Then nothing has changed.
 */
int config_adopt(struct config *own, struct config *generation, bool groups, char *err, size_t errlen);

/* The names of c's groups, ascending; borrowed from c. To be freed; NULL: no memory. */
char **config_group_names(const struct config *c);
/* These are c's groups; names: ascending. */
bool config_has_groups(const struct config *c, char *const *names, size_t n);
/* Index into group[] or -1. */
int config_find_group(const struct config *c, const char *name);

#endif
