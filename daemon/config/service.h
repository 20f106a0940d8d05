/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration as replicated state: numbered generations of sandem.yaml, the last of which is in force, and at most one
 * that is being prepared.
 *
 *   PREPARE (names the generation it was compared with: the first of two wins)
 *      └▶ every member looks whether it can take it ─▶ VOTE ─▶ all good: COMMIT by who asked ─▶ in force, kept on disk
 *                                                            └▶ one is not, or none comes: ABORT, nothing has changed
 *
 * A change of the membership ends a preparation, so that one whose asker is gone does not stay, and no member takes a
 * generation that it was not asked about. COMMIT is refused unless every member has voted for it.
 *
 * From version 3 of the protocol on a generation says which LUN groups there are. Their owners are another service's
 * state, which follows at the generation's own place in the log (config_groups): a group that has an owner, or had one
 * that was lost, is not taken away.
 *
 * Effects: EFFECT_PUBLISH with object "generation" or "prepare"; EFFECT_PERSIST by place in the history ("3"), of which
 * there are CONFIG_HISTORY. Control thread.
 */
#ifndef SANDEM_CONFIG_SERVICE_H
#define SANDEM_CONFIG_SERVICE_H

#include "core/service.h"
#include "daemon/config/limits.h"

#define CONFIG_SERVICE_ID 9 /* on the wire */
#define CONFIG_HISTORY 16	    /* generations kept */
#define CONFIG_TEXT_MAX (200u << 10) /* bytes: with all else below REPLOG_OP_MAX */
#define CONFIG_SLOTS_MAX (40u << 10)
#define CONFIG_GROUPS_BYTES_MAX (14u << 10) /* names of groups, with two bytes more for each */
#define CONFIG_GROUPS_SINCE 3 /* version of the protocol in which a generation says which groups there are */
#define CONFIG_WHY_MAX 512
#define CONFIG_OBJECT_GENERATION "generation"
#define CONFIG_OBJECT_PREPARE "prepare"

struct config_generation {
	uint64_t number; /* from 1 */
	uint64_t time;	 /* s since 1970 */
	size_t len;
	char *text;   /* sandem.yaml; NUL behind it */
	char *slots;  /* config_slots_take() */
	char *author; /* node */
	char *note;   /* may be empty */
	size_t ngroups; /* 0: LUN groups are those of each node's file */
	char **group;	/* names, ascending */
};

/* Who knows of the owners of the LUN groups. Both are functions of the replicated state alone. NULL: nobody does. */
struct config_groups {
	/* Nothing has to be known of the groups that these are without. */
	bool (*free_to_go)(void *arg, const char *const *group, size_t n);
	/* These are all that there are from here on. 0 or -ENOMEM. */
	int (*take)(void *arg, const char *const *group, size_t n, uint64_t position);
	void *arg;
};

struct config_vote {
	uint32_t node;
	bool good;
	char why[CONFIG_WHY_MAX];
};

struct config_service {
	size_t n; /* generations, oldest first; 0: nobody has seeded it yet */
	struct config_generation generation[CONFIG_HISTORY];
	uint64_t token; /* of the preparation under way; 0: none */
	uint32_t origin;
	struct config_generation wanted;
	size_t nvotes;
	struct config_vote *vote; /* by node */
	size_t nmembers;
	uint32_t member[NODES_MAX]; /* ascending */
	struct config_groups groups; /* not replicated: set before the first message */
};

enum config_action { CONFIG_SEED = 1, CONFIG_PREPARE, CONFIG_VOTE, CONFIG_COMMIT, CONFIG_ABORT };

enum config_verdict {
	CONFIG_OK,
	CONFIG_UNCHANGED, /* SEED: there is one already */
	CONFIG_CONFLICT,  /* PREPARE: another generation is in force than the one it was compared with */
	CONFIG_BUSY,	  /* PREPARE: another one is being prepared */
	CONFIG_OVER,	  /* the preparation is over: the membership has changed */
	CONFIG_NOT_ALL,	  /* COMMIT: not every member has voted for it */
	CONFIG_GROUP_OWNED, /* COMMIT: a group that it is without has an owner; the preparation is over */
};

extern const struct service_ops config_service_ops;

struct config_service *config_service_new(void);
void config_service_free(struct config_service *svc);

/* The one in force; NULL: none yet. Good until the next apply() or restore(), like the next one. */
const struct config_generation *config_service_current(const struct config_service *svc);
const struct config_generation *config_service_find(const struct config_service *svc, uint64_t number);
const struct config_vote *config_service_vote(const struct config_service *svc, uint32_t node);
/* Every member has voted for it. */
bool config_service_all_good(const struct config_service *svc);
/* A vote against it; NULL: none. */
const struct config_vote *config_service_refusal(const struct config_service *svc);

struct config_op {
	enum config_action action;
	uint64_t token;
	const struct config_generation *wanted; /* SEED, PREPARE */
	const struct config_vote *vote;
};

/* A proposal; the result of apply() is one byte, enum config_verdict. Free with wbuf_fini(). */
void config_service_pack(struct wbuf *out, const struct config_op *op);

#endif
