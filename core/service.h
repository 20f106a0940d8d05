/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A replicated service: a deterministic state machine that every member of the cluster runs over the same log.
 *
 *   propose (any member) ─▶ the log orders it ─▶ apply() on every member, same order ─▶ effects ─▶ ack
 *                                                    (pure)                     (publish, UAs, drain, persist)
 *   GOOD to the initiator when every member has acknowledged (P1, P2).
 *
 * Here stands only the interface: pr-sync and alua implement it, cluster drives it, core knows neither.
 * All functions run on the control thread.
 */
#ifndef SANDEM_CORE_SERVICE_H
#define SANDEM_CORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/nexus_id.h"
#include "core/ua.h"

/* A growing byte buffer; failure is sticky (err), so that writers need no checks in between. */
struct wbuf {
	uint8_t *data;
	size_t len, cap;
	int err; /* 0 or -ENOMEM */
};
void wbuf_put(struct wbuf *b, const void *p, size_t len);
void wbuf_fini(struct wbuf *b);

enum effect_kind {
	EFFECT_PUBLISH,	/* the data path's view of `object` changed: publish it */
	EFFECT_DRAIN,	/* as PUBLISH, and every command admitted under the old view has ended before the ack (P2) */
	EFFECT_UA,	/* raise unit attention `ua` on the I_T nexuses in `scope`, on whichever node they are */
	EFFECT_PERSIST,	/* write what the service wants kept for `object` to stable storage before the ack */
	EFFECT_ABORT,	/* abort the tasks of the nexuses in `scope` on LU `object` (PREEMPT AND ABORT, LUN RESET) */
	EFFECT_OWNER,	/* alua: this node's part in group `object` changed (open or close the devices) */
	EFFECT_FENCED,	/* alua: whoever gave group `object` its new owner has fenced the lost one, `node` */
};

struct effect {
	enum effect_kind kind;
	char object[64]; /* name of a logical unit, or of a LUN group (alua) */
	enum ua ua;
	enum ua_scope_kind scope;
	uint32_t nids;
	struct nexus_id *ids; /* owned by the effect list */
	struct nexus_id by; /* ABORT: the I_T nexus whose doing it is; port empty = no nexus's */
	bool reset; /* ABORT: by a logical unit reset */
	bool clears_aca; /* ABORT: and the ACA conditions of these nexuses end */
	uint32_t node; /* FENCED */
};

#define APPLY_RESULT_MAX 512

/* One application: who, where in the log, and what came out of it. */
struct apply {
	uint64_t position; /* in the log, the same on every member */
	uint32_t origin;   /* node id of the proposer */
	struct effect *effect;
	uint32_t neffects, cap;
	uint8_t result[APPLY_RESULT_MAX]; /* handed to the proposer's callback */
	uint32_t result_len;
	int err; /* sticky -ENOMEM: the member must stop serving */
};

/* For apply(): append an effect. ids are copied. */
struct effect *apply_effect(struct apply *a, enum effect_kind kind, const char *object);
void apply_ua(struct apply *a, const char *lu, enum ua ua, enum ua_scope_kind scope,
	      const struct nexus_id *ids, uint32_t n);
void apply_result(struct apply *a, const void *p, uint32_t len);
void apply_fini(struct apply *a);

struct service_ops {
	uint16_t id; /* on the wire: never reused */
	const char *name;
	/* A proposal of this service is complete only when members that were lost while they owned a LUN group are
	 * known to be fenced (P2). False for the service that carries that very news. */
	bool waits_for_fencing;
	/* The protocol's version (cluster/replog.h) from which members have this service; 0: always. While the cluster
	 * uses an older one its state is the initial one, proposals are answered PROPOSE_NOT_YET, and snapshot and
	 * restore of the initial state are of 0 bytes. */
	uint32_t since;

	/* Pure, deterministic, I/O-free. A message that can't be parsed or has a value out of bounds returns -EBADMSG
	 * and has changed nothing. */
	int (*apply)(void *state, struct apply *a, const uint8_t *msg, size_t len);

	/* Membership as the log sees it (also an ordered event). Where a member's process was lost and another one has taken
	 * its place since, members() is called twice: without that node, then with it. May be NULL. */
	void (*members)(void *state, struct apply *a, const uint32_t *node, size_t n);
	/* Just before the members() that names them: these are other processes than the members before, on new nodes or on
	 * nodes that were members already. From version 2 of the protocol on, in which at first all have joined; while
	 * version 1 is in use members() is all that is said, once, by node. May be NULL. */
	void (*joined)(void *state, struct apply *a, const uint32_t *node, size_t n);

	/* Canonical bytes: equal states give equal bytes (the digest is taken over them). */
	void (*snapshot)(const void *state, struct wbuf *out);
	/* Builds aside, then swaps; on error nothing has changed and err says why.
	 * After it the daemon publishes everything anew. */
	int (*restore)(void *state, const uint8_t *p, size_t len, char *err, size_t errlen);

	/* What this member knows beside that state, and a joiner has to know, too. At the same position others may know
	 * more or less, so it is in no digest. restore_beside() follows each restore() of a snapshot, and takes the place
	 * of what was known here; 0 bytes: nothing is known, or not to the member that sent it (0.1.0). Both or none. */
	void (*snapshot_beside)(const void *state, struct wbuf *out);
	int (*restore_beside)(void *state, const uint8_t *p, size_t len, char *err, size_t errlen);

	/* What is to survive the power loss of all members: key → bytes, per object. The store hands it back to
	 * load() at the start of the first member. May be NULL. An empty out means: forget the key. */
	void (*persist)(const void *state, const char *object, struct wbuf *out);
	int (*load)(void *state, const char *object, const uint8_t *p, size_t len, char *err, size_t errlen);
};

struct service {
	const struct service_ops *ops;
	void *state;
};

/* How a service's command layer proposes, without knowing the log. */
enum propose_status {
	PROPOSE_OK,	   /* applied, drained, persisted on every member; result is apply()'s */
	PROPOSE_NOT_SERVING, /* no quorum, joining, isolated: changed nothing as far as this node knows */
	PROPOSE_FAILED,	   /* could not be made durable, or refused as malformed */
	PROPOSE_UNKNOWN,   /* membership lost while waiting: may or may not have happened */
	PROPOSE_NOT_YET,   /* changed nothing: not every node runs a version that has this service */
};
typedef void (*propose_done_fn)(void *cookie, enum propose_status status, const void *result, size_t len);

struct proposer {
	/* done is called exactly once, always later than propose() returns, on the control thread. */
	void (*propose)(struct proposer *p, uint16_t service, const void *msg, size_t len,
			propose_done_fn done, void *cookie);
};

#endif
