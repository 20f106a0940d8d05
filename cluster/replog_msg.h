/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log's messages in memory, and their way to and from the wire: an 8-byte header (magic, format, type), then
 * protobuf. Bounds are checked here, once; behind it everything may be trusted to be well-formed.
 */
#ifndef SANDEM_CLUSTER_REPLOG_MSG_H
#define SANDEM_CLUSTER_REPLOG_MSG_H

#include "cluster/replog.h"

enum msg_type {
	MSG_HELLO = 1,
	MSG_OP = 2,
	MSG_VIEW = 3,
	MSG_ACK = 4,
	MSG_CHUNK = 5,
	MSG_SYNCED = 6,
	MSG_GOODBYE = 7,
	MSG_CHECK = 8,
	MSG_DIGEST = 9,
	MSG_LAPSE = 10, /* since version 3 */
};
#define MSG_TYPE_LAST MSG_LAPSE

struct seat {
	uint32_t node;
	uint64_t incarnation, round;
};

struct lineage {
	uint64_t era;
	uint64_t generation, history, committed_generation, committed_history, position;
	uint32_t nknown;
	uint64_t known[REPLOG_KNOWN_MAX];
	uint32_t nmembers; /* of the committed VIEW, or where there is none the configured nodes; 0: not known */
	uint32_t member[REPLOG_MEMBERS_MAX];
};

struct hello {
	uint64_t round, incarnation;
	uint32_t version_min, version_max;
	char cluster[64], node_name[64];
	uint8_t config_digest[32];
	uint8_t fixed_digest[32]; /* zeros: it gives none */
	uint8_t nodes_digest[32]; /* so */
	bool groups_replicated;
	bool live, established, excluded, outdated, follows, keep;
	uint64_t branch, position, order;
	struct lineage lineage;
	uint32_t nheard;
	struct seat heard[REPLOG_MEMBERS_MAX];
	uint32_t ngoodbyes, goodbye[REPLOG_MEMBERS_MAX]; /* nodes whose goodbye it has heard */
};

struct op {
	uint64_t incarnation, seq;
	uint16_t service;
	const uint8_t *body; /* in the message */
	size_t len;
};

struct view {
	uint64_t branch, generation, history;
	uint32_t version;
	uint32_t nmembers;
	struct seat member[REPLOG_MEMBERS_MAX];
};

#define ACK_OPEN_MAX 64

/* Up to position everything is carried out, up to reach everything but what is open (ascending): an operation that
 * takes its time, for the sake of one medium, holds no other back (P8). */
struct ack_beyond {
	uint64_t reach;
	uint32_t nopen;
	uint64_t open[ACK_OPEN_MAX];
};

struct ack {
	uint64_t position, committed_generation;
	struct ack_beyond beyond;
};

struct chunk {
	uint64_t incarnation, round, total, offset;
	const uint8_t *data;
	size_t len;
	uint8_t sha256[32];
};

struct synced {
	uint32_t source;
	uint64_t source_incarnation, source_round, acked, committed_generation;
};

struct digest {
	uint64_t position;
	uint8_t sha256[32];
};

struct message {
	enum msg_type type;
	union {
		struct hello hello;
		struct op op;
		struct view view;
		struct ack ack;
		struct chunk chunk;
		struct synced synced;
		uint64_t goodbye; /* incarnation */
		uint64_t check;	  /* branch */
		struct digest digest;
		uint64_t lapse; /* incarnation */
	};
	void *unpacked; /* what pointers point into; message_fini() */
};

/* The type that the header gives: enough to know whether a message that can't be read may have been an operation.
 * 0: no header of ours. */
int message_type(const void *p, size_t len);

/* 0; -EPROTONOSUPPORT: a format newer than this one; -EBADMSG: not well-formed, or a value out of bounds; -ENOMEM. why
 * names what is wrong. On 0 message_fini() is due. */
int message_parse(struct message *m, const void *p, size_t len, const char **why);
void message_fini(struct message *m);
/* Into out (sticky error in out->err). */
void message_pack(const struct message *m, struct wbuf *out);

/* Snapshots: the meta data of a cut, and each service's bytes. */
struct snapshot_member {
	uint32_t node;
	uint64_t incarnation, order, acked, committed_generation;
	bool counted;
};
struct snapshot {
	struct lineage lineage;
	uint64_t dirty_generation, branch, position, next_order, op_position, lost_acked;
	bool established, view_stale, unconfirmed;
	uint32_t version; /* of the protocol, in use: 1 or more */
	uint32_t nmembers, nunfenced;
	struct snapshot_member member[REPLOG_MEMBERS_MAX];
	struct seat unfenced[REPLOG_MEMBERS_MAX];
	uint32_t nseats, nunnamed;
	struct seat seat[REPLOG_MEMBERS_MAX];
	uint32_t unnamed[REPLOG_MEMBERS_MAX]; /* nodes, of unfenced */
	size_t nservices, ndurables;
	struct snapshot_service {
		uint16_t id;
		const uint8_t *data, *beside;
		size_t len, beside_len;
	} *service;
	struct snapshot_durable {
		uint16_t service;
		const char *object;
	} *durable;
	void *unpacked;
};
int snapshot_parse(struct snapshot *s, const void *p, size_t len, const char **why);
void snapshot_fini(struct snapshot *s);
void snapshot_pack(const struct snapshot *s, struct wbuf *out);

#endif
