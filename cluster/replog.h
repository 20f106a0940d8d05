/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One member of the replicated log: a state machine without I/O, clock or randomness of its own.
 *
 *   replog_confchg/deliver ──▶┌─────────────┐──▶ io->send              (ordered multicast, self-delivered)
 *   replog_quorum ───────────▶│             │──▶ io->run_effects       (…then replog_effects_done)
 *   replog_timer ────────────▶│   replog    │──▶ io->publish_all       (…then replog_published)
 *   proposer.propose ────────▶│             │──▶ io->persist_lineage   (…then replog_lineage_persisted)
 *   replog_fencing_confirmed ▶└─────────────┘──▶ io->state_changed, done(status) of proposals
 *
 * What keeps members equal: everything that decides anything is a function of the ordered stream (messages and
 * membership changes, virtually synchronous). Local knowledge (quorum, clock, effects done) decides only when this
 * member *speaks*, answers, and admits media.
 *
 * Life of a member in a group:
 *   view change → HELLO of all, until each has heard all → decision, the same on every member: which branch of
 *   history goes on, who is its source → others take the source's snapshot, cut at the decision → SYNCED → VIEW (the
 *   ordered membership change, sent by the longest-standing member, only when quorate) → serving.
 *
 * A branch is a run of the stream that a set of members has seen alike; a member that was parted from it has another
 * branch and comes back only through a snapshot. A history is a branch that a quorate VIEW has named; a member writes
 * its name to stable storage (commits) before the first operation in it can be acknowledged, so that after a power loss
 * the newest state, and two histories that both went on, are recognised.
 *
 * One thread. Callbacks of io may call replog_effects_done(), replog_published(), replog_fencing_confirmed(),
 * replog_owner_fenced() and propose(), nothing else. io->send never delivers before it returns.
 */
#ifndef SANDEM_CLUSTER_REPLOG_H
#define SANDEM_CLUSTER_REPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/effects.h"
#include "core/log.h"
#include "core/service.h"

#define REPLOG_VERSION 3	   /* of the protocol; members agree on one that all speak */
#define REPLOG_VERSION_MIN 1	   /* the oldest that this program can be upgraded from while the cluster runs */
#define REPLOG_MEMBERS_MAX 32	   /* corosync's own limit */
#define REPLOG_OP_MAX (256u << 10) /* bytes of one proposal */
#define REPLOG_CHUNK (256u << 10)  /* bytes of snapshot per message: below CPG's 1 MiB */
#define REPLOG_MESSAGE_MAX (512u << 10)
#define REPLOG_KNOWN_MAX 64	   /* histories remembered */
#define REPLOG_GRACE_NS 1000000000ull /* after the loss of a node: how long quorum may stay unknown */

struct replog;

/* What the store keeps of the log itself. generation 0: this node has never been in a cluster. */
struct replog_lineage {
	uint64_t era; /* how often the cluster has begun from its stores */
	uint64_t generation, history;
	uint64_t position;
	uint32_t nknown;
	uint64_t known[REPLOG_KNOWN_MAX]; /* newest first; history itself is among them */
	/* A copy of a member's state that a joiner has stored before it was counted: what was acknowledged afterwards
	 * may be missing, so after a restart it is nobody's source. */
	bool partial;
	uint32_t version; /* of the protocol, in use when it was written; 0 as 1 */
	uint32_t nmembers; /* of the VIEW that generation names; 0: not known, version 1 */
	uint32_t member[REPLOG_MEMBERS_MAX];
};

struct replog_io {
	void *arg;
	/* Ordered multicast to the group. Copies msg. 0, or negative errno: the message is not sent and the member
	 * fails closed (the transport queues what it can't send at once). */
	int (*send)(void *arg, const void *msg, size_t len);
	/* All effects of one service at one position, EFFECT_PERSIST included. */
	void (*run_effects)(void *arg, struct effects_run *run);
	/* All states were replaced: publish them, drain what the old ones had admitted, and make replog_each_durable()
	 * and replog_lineage() the whole content of the store; then replog_published(). */
	void (*publish_all)(void *arg);
	/* Make l durable; then replog_lineage_persisted(l->generation). One at a time. */
	void (*persist_lineage)(void *arg, const struct replog_lineage *l);
	void (*state_changed)(void *arg, enum cluster_state s, const char *why);
	/* This version of the protocol is in use from here on. Everything that is stored later is stored with it. Nothing of
	 * the log may be called. */
	void (*version_changed)(void *arg, uint32_t version);
	/* see cluster.h; a function of the replicated state and of how the node was lost */
	bool (*harmless)(void *arg, uint32_t node, bool node_down);
	uint64_t (*random)(void *arg);		   /* never 0 */
	void (*wake)(void *arg);		   /* call replog_timer() soon */
	void (*log)(void *arg, enum log_level level, const char *text);
	/* The name that operators know the node by; NULL, or the function absent: it is told by its id. */
	const char *(*node_name)(void *arg, uint32_t node);
	/* replog_unfenced() does not name it any more. May be absent. */
	void (*settled)(void *arg, uint32_t node);
	/* The state says which LUN groups there are (replog_params.nodes_digest counts). Absent: it does not. */
	bool (*groups_replicated)(void *arg);
};

struct replog_durable {
	uint16_t service;
	const char *object;
};

struct replog_params {
	const char *cluster;
	uint32_t node;
	const char *node_name;
	uint64_t incarnation; /* random, not 0; one per process */
	uint8_t config_digest[32]; /* of all of it: what is compared as long as version 1 is in use */
	uint8_t fixed_digest[32];  /* later: of what can't change while the cluster runs … */
	uint8_t nodes_digest[32];  /* … and where io.groups_replicated, of what nodes must have in common at any time */
	const struct service *services; /* copied; loaded from the store already */
	size_t nservices;
	struct replog_lineage lineage;	       /* from the store */
	const struct replog_durable *durables; /* objects that the store has, copied */
	size_t ndurables;
	bool outdated; /* somebody knows of a newer state: this one does not go on by itself (replog_keep_own) */
	uint32_t version_min, version_max; /* 0: REPLOG_VERSION_MIN, REPLOG_VERSION */
	uint32_t nnodes; /* of the configuration: the version rises only when all are members */
	const uint32_t *first; /* without these nodes nothing begins from nothing; copied */
	size_t nfirst;
	uint64_t check_ns;		   /* period of the digest exchange; 0: none */
};

struct replog *replog_new(const struct replog_params *p, const struct replog_io *io); /* NULL: no memory */
/* Answers pending proposals with PROPOSE_UNKNOWN, frees all, effects_runs included. */
void replog_free(struct replog *r);

enum replog_gone_reason { REPLOG_LEFT, REPLOG_PROCESS_DOWN, REPLOG_NODE_DOWN };
struct replog_gone {
	uint32_t node;
	enum replog_gone_reason reason;
};

/* A membership change, in its place in the stream. members: all who are in the group now. After one with
 * REPLOG_NODE_DOWN quorum is unknown until replog_quorum() is called for the new membership. */
void replog_confchg(struct replog *r, const uint32_t *members, size_t n, const struct replog_gone *gone, size_t ngone,
		    const uint32_t *joined, size_t njoined);
/* A message, own ones too, in its place in the stream. */
void replog_deliver(struct replog *r, uint32_t from, const void *msg, size_t len);
/* This node is in a quorate partition, as of the newest membership. */
void replog_quorum(struct replog *r, bool quorate);
/* Call at least ten times a second, and after io->wake. now: monotonic, ns. */
void replog_timer(struct replog *r, uint64_t now);
/* The transport is gone (corosync died): whatever was under way is unknown. A first confchg starts anew. */
void replog_transport_lost(struct replog *r, const char *why);
/* Sends the goodbye; the state is CLUSTER_OFFLINE when it was delivered, and the transport can leave. The caller has
 * drained and closed its media. */
void replog_goodbye(struct replog *r);

void replog_effects_done(struct replog *r, struct effects_run *run, bool ok);
void replog_published(struct replog *r, bool ok);
void replog_lineage_persisted(struct replog *r, uint64_t generation, bool ok);
void replog_fencing_confirmed(struct replog *r, uint32_t node);
/* Every group that node owned has passed on, which happens only when the process that owned them is known to be off, or is in
 * the group again and has given them up.
 * Another one on that node, lost before a VIEW has named it, is still waited for. */
void replog_owner_fenced(struct replog *r, uint32_t node);
/* The operator's decision for a DIVERGED member: its own history is forgotten. 0 or -EINVAL. */
int replog_discard_own(struct replog *r);
/* The operator's decision for a member that waits, for nodes that may have a newer state, or for that state: it is lost for
 * good, and the newest of what is here goes on, if it has this member's. 0 or -EINVAL. */
int replog_keep_own(struct replog *r);
/* Something outside of the log failed for good: CLUSTER_FAILED. */
void replog_fail(struct replog *r, const char *why);

struct proposer *replog_proposer(struct replog *r);

enum cluster_state replog_state(const struct replog *r);
const char *replog_why(const struct replog *r);
bool replog_quorate(const struct replog *r);
uint64_t replog_position(const struct replog *r);
uint64_t replog_branch(const struct replog *r);
uint32_t replog_version(const struct replog *r); /* in use */
/* Proposals for it are not answered PROPOSE_NOT_YET. */
bool replog_has(const struct replog *r, uint16_t service);
/* What to keep: the newest committed history. */
void replog_lineage(const struct replog *r, struct replog_lineage *out);
/* The objects that services want kept, in order of service and name. */
void replog_each_durable(const struct replog *r, void (*fn)(void *arg, const struct service *s, const char *object),
			 void *arg);

struct replog_member_info {
	uint32_t node;
	bool synced;
	uint64_t acked;
	uint32_t version_max; /* the highest that it speaks; 0: it has not said */
};
size_t replog_members(const struct replog *r, struct replog_member_info *out, size_t max);
size_t replog_unfenced(const struct replog *r, uint32_t *out, size_t max);
/* SHA-256 over all services' snapshots. 0 or -ENOMEM. */
int replog_digest(const struct replog *r, uint8_t out[32]);

#endif
