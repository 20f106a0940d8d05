/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the replicated log: the instance, and what its files call of each other. */
#ifndef SANDEM_CLUSTER_REPLOG_INT_H
#define SANDEM_CLUSTER_REPLOG_INT_H

#include <urcu/list.h>

#include "cluster/replog.h"
#include "cluster/replog_msg.h"
#include "cluster/replog_start.h"

/* A node in the group. */
struct member {
	uint32_t node;
	uint64_t incarnation; /* 0 until its hello */
	uint64_t round;	      /* of its newest hello, over all views */
	bool synced;	      /* on this member's branch, and said so */
	bool counted;	      /* and a VIEW that names it is on stable storage, see view_count() */
	bool goodbye;
	bool refused;	      /* by the last decision */
	uint64_t order;	      /* seniority */
	uint64_t acked, committed_generation;
	struct ack_beyond beyond; /* of its last ack; none behind acked when it has just come */
	bool heard; /* hello is of the exchange under way */
	struct hello hello;
	bool check_expected, check_given;
	uint8_t check[32];
};

struct unfenced {
	uint32_t node;
	uint64_t incarnation;
	bool unnamed; /* no VIEW has named this process: nothing that is said of owners concerns it */
};

/* One position that is being carried out. */
struct inflight {
	struct cds_list_head link;
	uint64_t position;
	uint32_t pending; /* runs not yet answered, plus one while they are being handed out */
	bool stale;	  /* of a state that a snapshot has replaced, in another stream: the join waits for it */
	uint32_t nruns;
	struct inflight_run {
		struct effects_run run;
		struct apply apply;
		struct inflight *inflight;
	} *runs;
};

/* A proposal of this member. */
struct pending {
	struct cds_list_head link;
	uint64_t seq;
	uint64_t position; /* 0: not delivered yet */
	uint64_t generation;
	bool waits_for_fencing;
	enum propose_status status;
	propose_done_fn done;
	void *cookie;
	uint32_t result_len;
	uint8_t result[APPLY_RESULT_MAX];
};

/* A message that a joiner keeps until it has the snapshot. */
struct kept {
	struct cds_list_head link;
	uint32_t from;
	size_t len;
	uint8_t data[];
};
#define KEPT_MAX (64u << 20)	  /* bytes a joiner keeps before it starts over */
#define SNAPSHOT_MAX (1ull << 30) /* bytes of a snapshot */
#define CHUNK_WINDOW 4		  /* chunks on the way at a time */

enum join_phase {
	JOIN_NONE,
	JOIN_RECEIVE, /* keeps messages, collects chunks */
	JOIN_PUBLISH, /* has the state, publishes and persists it */
	JOIN_ANNOUNCED, /* SYNCED is on its way */
};

struct durable {
	uint16_t service;
	char object[64];
};

struct node_list {
	uint32_t n, node[REPLOG_MEMBERS_MAX];
};

struct replog {
	struct proposer proposer;
	struct replog_params p; /* strings and arrays: own copies below */
	char cluster[64], node_name[64];
	struct service *services;
	struct replog_io io;
	uint64_t now;

	/* the group */
	bool in_group, leaving;
	struct member member[REPLOG_MEMBERS_MAX];
	uint32_t nmembers;
	struct unfenced unfenced[REPLOG_MEMBERS_MAX];
	uint32_t nunfenced;
	/* A joiner's: nodes of which it has heard that they are fenced and which have not come back since. The source of its state may
	 * not have heard it yet. */
	uint32_t nfenced, fenced[REPLOG_MEMBERS_MAX];

	/* the state's place in history (see replog.h) */
	uint64_t position, generation, history, branch, next_order;
	uint64_t committed_generation, committed_history;
	uint64_t era, committed_era, persisting_era; /* starts from stores, see better() */
	struct node_list first, members, committed_members, persisting_members; /* of generation's VIEW, and so on */
	uint64_t dirty_generation; /* newest generation that an answer may depend on */
	uint64_t op_position;	   /* of the newest operation */
	uint64_t view_position;	   /* of the newest VIEW */
	uint64_t lost_acked;	   /* 1 + the least position that a member had acked when it went, since the last VIEW; 0: none */
	uint32_t nknown;
	uint64_t known[REPLOG_KNOWN_MAX];
	uint32_t version; /* in use (replog_version.c) */
	uint32_t heard_version_max; /* the lowest of all who were heard before the first VIEW ever */
	bool not_yet_said;
	bool live, outdated, diverged, refused;
	bool waiting; /* for nodes that may have a newer state, or for that state */
	bool keep;    /* no longer: the operator said so */
	bool partial;	  /* what is stored here does not count yet, see replog_lineage */
	bool seated;	  /* a VIEW has named this member since it has its state */
	bool unconfirmed; /* of the branch: begun from a store, and no VIEW since */
	uint64_t serve_generation; /* has to be on stable storage before this member serves */
	bool established, view_stale;
	/* Whom the last VIEW has named. Of a VIEW of version 1 nobody is remembered: a joiner would not learn of it. */
	uint32_t nseats;
	struct seat seat[REPLOG_MEMBERS_MAX];
	struct durable *durable;
	size_t ndurables, durable_cap;

	/* local knowledge */
	bool quorate, quorum_known, published, publishing;
	bool lapsed; /* quorum was lost on this side, and it is not shown yet that nobody went on meanwhile */
	bool lapse_said; /* … and all of this side know, since the last node was lost */
	bool publish_again; /* the states were replaced while a publish_all was under way */
	uint64_t grace_end; /* 0: none */
	bool view_sent, ack_sent;
	uint64_t done_position; /* everything up to here is carried out */
	uint64_t serve_from;	/* and this much has to be, before this member serves */
	uint64_t ack_position, ack_committed, ack_owed, ack_owed_generation;
	uint64_t ack_reach; /* and with ack_position what the last ack said */
	uint32_t ack_nopen;
	uint64_t persisting, persisting_history; /* lineage being persisted, 0 none */

	/* the exchange */
	bool exchange;
	uint64_t round, exchange_since;
	bool exchange_warned;
	uint64_t heard_sent; /* hash of the table that my last hello named */

	/* joining */
	enum join_phase join;
	uint32_t source;
	uint64_t source_incarnation, source_round;
	struct wbuf chunks;
	uint64_t chunks_total;
	uint8_t chunks_sha[32];
	struct cds_list_head kept;
	size_t kept_bytes;

	/* being a source */
	struct wbuf snapshot;
	uint8_t snapshot_sha[32];
	uint64_t snapshot_sent, snapshot_delivered;
	uint64_t snapshot_round;
	bool snapshot_awaits; /* joiners are here; none is cut before the store claims snapshot_replaces, see snapshot_for() */
	uint64_t snapshot_replaces; /* the newest generation that a joiner's store names */

	/* digests */
	uint64_t check_position, check_last, check_at;
	bool check_sent;

	/* proposals */
	uint64_t seq;
	struct cds_list_head pendings, completed;
	struct cds_list_head inflights;

	/* what it tells */
	enum cluster_state state;
	char why[384], join_why[384], lapse_why[384];
	bool failed;
	char fail_why[384];
	int depth;
	bool again; /* an input came from inside a callback */
};

/* replog.c */
void replog_enter(struct replog *r);
void replog_leave(struct replog *r); /* settles all outputs when the outermost entry ends */
void replog_say(struct replog *r, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void replog_failf(struct replog *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Packs and sends; a message that can't be sent fails the member. */
void replog_send(struct replog *r, struct wbuf *msg);
void replog_dispatch(struct replog *r, uint32_t from, const void *msg, size_t len);
const struct service *replog_service(const struct replog *r, uint16_t id);

/* replog_view.c */
struct member *member_find(struct replog *r, uint32_t node);
struct member *member_self(struct replog *r);
struct member *member_leader(struct replog *r); /* the longest-standing; NULL: nobody is synced */
bool self_synced(struct replog *r);
/* Has the branch's state: synced, or about to say so. */
bool self_follows(struct replog *r);
/* The process that the last VIEW has named on this node; NULL: none. */
const struct seat *seat_find(const struct replog *r, uint32_t node);
void unfenced_add(struct replog *r, const struct unfenced *u);
void unfenced_unless_harmless(struct replog *r, const struct member *m, bool node_down); /* m is lost */
void unfenced_remove(struct replog *r, uint32_t node);
void fenced_note(struct replog *r, uint32_t node);
void fenced_forget(struct replog *r, uint32_t node);
bool fenced_heard(const struct replog *r, uint32_t node);
void unfenced_new_process(struct replog *r, uint32_t node, uint64_t incarnation);
void known_add(struct replog *r, uint64_t history);
uint64_t mix64(uint64_t h, uint64_t v);
void view_settle(struct replog *r);
void view_deliver(struct replog *r, struct member *from, const struct view *v);
void view_unsync(struct replog *r, struct member *m, bool node_down);
void branch_fork(struct replog *r);
void branch_own(struct replog *r); /* nobody else is of this node's branch any more */
void branch_abandon(struct replog *r); /* this node's state is no longer good for anything but to be replaced */
void view_count(struct replog *r);	/* an acknowledgement has come */
bool view_counts(struct replog *r);	/* false: none that counts is left, and the branch was abandoned */
void member_out(struct replog *r, struct member *m); /* no longer synced, for whatever reason */
void goodbye_deliver(struct replog *r, struct member *from, uint64_t incarnation);

/* replog_lapse.c: quorum was lost here, and is back */
void lapse_note(struct replog *r); /* quorum has been heard of */
void lapse_settle(struct replog *r);
void lapse_deliver(struct replog *r, struct member *from, uint64_t incarnation);
/* Who are in *who (NULL: not asked for) may have gone on while this side had no quorum: nothing may be answered or
 * executed. */
bool lapse_outrun(struct replog *r, struct start_missing *who);
const char *lapse_why(struct replog *r); /* for the operator; in r */
/* Those who are missing, as operators know them. */
void start_names(const struct replog *r, const struct start_missing *m, char *to, size_t size);

/* replog_version.c */
bool version_has_processes(const struct replog *r); /* services learn of processes, not only of nodes */
bool version_has(const struct replog *r, const struct service *s);
uint32_t version_needed(const struct replog *r); /* by others, to take part */
uint32_t version_for_view(const struct replog *r);
void version_heard(struct replog *r, const struct hello *h);
void version_set(struct replog *r, uint32_t version);
bool version_take_view(struct replog *r, uint32_t version); /* false: this member has failed */
void version_say_not_yet(struct replog *r, const struct service *s);
bool version_clear_newer(struct replog *r, char *err, size_t errlen);

/* replog_join.c */
void exchange_start(struct replog *r);
void exchange_stop(struct replog *r);
void exchange_check(struct replog *r);
void exchange_timer(struct replog *r);
void hello_deliver(struct replog *r, struct member *from, const struct hello *h);

/* replog_snap.c */
void join_reset(struct replog *r);
void join_begin(struct replog *r, uint32_t source);
bool join_keep(struct replog *r, uint32_t from, const void *msg, size_t len); /* true: kept for later */
void join_settle(struct replog *r);
/* Members whose stores name VIEWs up to generation are to get this one's state: at once, or as soon as the store here can
 * take the place of theirs. */
void snapshot_for(struct replog *r, uint64_t generation);
void snapshot_stop(struct replog *r);
void snapshot_settle(struct replog *r);
void chunk_deliver(struct replog *r, struct member *from, const struct chunk *c);
void synced_deliver(struct replog *r, struct member *from, const struct synced *s);

/* replog_op.c */
void op_propose(struct proposer *p, uint16_t service, const void *msg, size_t len, propose_done_fn done,
		void *cookie);
void op_deliver(struct replog *r, struct member *from, const struct op *op);
void op_view(struct replog *r); /* at a VIEW, the generation being new: what is still open now depends on it */
/* The membership event of a VIEW, at the current position; the seats are still those of the VIEW before. */
void op_members(struct replog *r);
uint64_t op_committed(const struct replog *r); /* newest generation of which this member's store counts */
void op_settle(struct replog *r);  /* done position, acks, commit, completions */
void op_fail_all(struct replog *r, enum propose_status status);
void op_run_completed(struct replog *r);
void op_inflight_stale(struct replog *r);
bool op_inflight_any_stale(const struct replog *r);
void ack_deliver(struct replog *r, struct member *from, const struct ack *a);
int durable_note(struct replog *r, uint16_t service, const char *object);
void durable_clear(struct replog *r);

/* replog_claim.c */
void claim_settle(struct replog *r);
/* The store names that generation or a later one, or will not for as long as another node is not known to be off. Of a
 * member that is synced. */
bool claim_reaches(struct replog *r, uint64_t generation);

/* replog_digest.c */
void digest_timer(struct replog *r);
void digest_abandon(struct replog *r);
void check_deliver(struct replog *r, struct member *from, uint64_t branch);
void digest_deliver(struct replog *r, struct member *from, const struct digest *d);

#endif
