/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command that entered through a port of another node, executed here, where its LUN group is
 * owned, with the identity of its own I_T nexus.
 *
 *   remote_begin ─▶ (data-out into remote->cmd.buf) ─▶ remote_execute ─▶ gates, handler ─▶ done ─▶ remote_end
 *
 * It goes through the same gates as any other, by the reservations that this node knows, and is in
 * the task set: drains wait for it and PREEMPT AND ABORT reaches it (P2). What the origin has done
 * already, unit attentions, is not done again. Where this node does not admit it (not the owner any
 * more, a transition), it ends at once with cmd.turned_away and nothing done. So does one that was sent
 * in another epoch of the ownership, though the owner be the same: its origin has answered for it (P6).
 *
 * All on one reactor.
 */
#ifndef SANDEM_CORE_REMOTE_H
#define SANDEM_CORE_REMOTE_H

#include "core/cmd.h"
#include "core/nexus_id.h"

struct alua_gate;
struct core;
struct remote_nexus;

/* The nexuses that one link has brought here; so that a reservation role is looked up once, not
 * per command. */
struct remote_nexuses;
struct remote_nexuses *remote_nexuses_new(struct core *core, struct reactor *r); /* NULL: no memory */
void remote_nexuses_free(struct remote_nexuses *t); /* no command left */

struct remote_request {
	struct nexus_id nexus;
	char lu[64];	   /* name */
	uint32_t lu_hint;  /* its index in core->lu, as the sender has it */
	bool read_only;	   /* by the access list of its port */
	bool read, write;
	enum task_attr attr;
	uint32_t expected_len; /* bytes, of the initiator */
	uint64_t epoch; /* of the ownership, when it was sent; 0: not said */
	uint8_t cdb[CDB_MAX];
};

struct remote_cmd {
	struct scsi_cmd cmd;
	uint64_t epoch; /* as in the request */
	struct remote_nexus *nexus;
	void (*done)(struct remote_cmd *rc);
};

/* Room for data_len bytes of data-out is in rc->cmd.buf afterwards. 0; -ENOENT: no such logical
 * unit here; -EBADMSG: not a command that may be forwarded, or more data than it takes; -ENOMEM.
 * On an error nothing is to be ended. rc->done is the caller's. */
int remote_begin(struct remote_nexuses *t, struct remote_cmd *rc, const struct remote_request *q, uint32_t data_len);

/* All data is there. done runs now or later. */
void remote_execute(struct remote_cmd *rc);

/* Sent in another epoch of the ownership than the gate's. */
bool remote_is_late(const struct scsi_cmd *cmd, const struct alua_gate *gate);

/* Its initiator wants it no more: what has not been done of it is left out. done runs as ever. */
void remote_abort(struct remote_cmd *rc);

/* Instead of remote_execute(): its data will never come. Follow with remote_end(). */
void remote_abandon(struct remote_cmd *rc);

/* Frees the buffer. */
void remote_end(struct remote_cmd *rc);

#endif
