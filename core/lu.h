/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A logical unit.
 *
 *        struct lu ── identity, geometry (fixed while configured)
 *          ├─ disk, gate, resv, mode, mode_saved: immutable values that the control thread publishes (read them once per command)
 *          └─ shard[reactor]: task set, admitted and held commands of that reactor; touched by it alone
 *
 * To change what the data path sees: publish the new pointer, then lu_barrier_start(). When it reports, every
 * reactor works with the new value, unit attentions are established, and (with drain) every command
 * admitted before is finished; the old value may be freed. A barrier message that a reactor has taken is its quiescent
 * point: that one mechanism gives the grace period, P2 and P8, at no cost to the data path.
 */
#ifndef SANDEM_CORE_LU_H
#define SANDEM_CORE_LU_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/abort.h"
#include "core/cmd.h"
#include "core/log_counters.h"
#include "core/mode.h"
#include "core/resv.h"
#include "core/ua.h"

struct core;

#define LU_NAME_MAX 63

struct lu_identity { /* the same through every port of the cluster */
	char vendor[9];	   /* 8 characters, space padded when sent */
	char product[17];
	char revision[5];
	char serial[37];   /* VPD 80 */
	uint8_t naa[16];   /* VPD 83 NAA designator */
	uint8_t naa_len;   /* 8 or 16 */
	char t10_id[65];   /* VPD 83 T10 designator, behind the vendor */
};

/* What the ALUA gate says to a command that needs the medium. Immutable; published by alua. */
enum gate_verdict { GATE_ADMIT, GATE_HOLD, GATE_REFUSE, GATE_FORWARD /* to gate->owner, core->forward */ };

struct alua_port { /* one target port */
	uint16_t rtpi;
};

struct alua_tpg {
	uint16_t id;	 /* target port group identifier = node id */
	uint8_t state;	 /* asymmetric access state, SPC-4 table 270: 0 A/O, 1 A/NO, 2 S, 3 U, Eh offline, Fh transitioning */
	bool preferred;
	uint8_t status_code; /* 0 none, 1 STPG, 2 implicit */
	uint16_t nports;
	const uint16_t *rtpi;
};

struct alua_gate {
	enum gate_verdict medium; /* commands with ROW_MEDIUM */
	sense_t medium_sense;	  /* with GATE_REFUSE, and for what is held too long */
	bool nonoptimized;	  /* ports of other nodes than the owner forward: state 1h is in use */
	bool lost;		  /* the owner has left the membership */
	bool owner_off;		  /* … and executes nothing any more, if it is lost */
	uint32_t owner;		  /* node id, 0 = nobody */
	uint64_t epoch;		  /* of this ownership */
	bool no_medium;		  /* with GATE_REFUSE: the medium is ejected, all else would admit */
	uint8_t local_state;	  /* of this node's target port group */
	uint16_t hold_limit_ms;	  /* GATE_HOLD: after that, medium_sense */
	uint8_t transition_time;  /* RTPG implicit transition time, seconds */
	uint16_t ntpg;
	const struct alua_tpg *tpg;
};

struct lu_shard { /* lists of struct scsi_cmd unless said otherwise */
	struct cds_list_head tasks;    /* scsi_cmd.task_link: all commands here, from decode to done */
	struct cds_list_head admitted; /* scsi_cmd.state_link, by seq */
	struct cds_list_head forwarded; /* scsi_cmd.state_link: CMD_FORWARDED */
	struct cds_list_head held;     /* scsi_cmd.state_link, by arrival */
	struct cds_list_head locks;    /* struct range_lock_part: ranges that one command has for itself */
	struct cds_list_head drains;   /* struct lu_barrier_part, waiting for admitted ones */
	struct cds_list_head dormant;  /* scsi_cmd.state_link: wait for their turn (core/task_set.h) */
	uint32_t special; /* reasons for commands to wait for each other: those with another task attribute than SIMPLE,
			   * locks; a limit of the queue. 0 is the fast path */
	uint32_t tagged; /* of these, commands with another task attribute than SIMPLE */
	uint32_t acas, acas_elsewhere; /* I_T nexuses in ACA, here and on other reactors (core/aca.h) */
	uint64_t aca_since;	       /* ns: the last one here */
	bool waking;
	struct msg wake;
	struct reactor_timer hold_timer;
	struct lu *lu;
	uint64_t seq; /* last one given */
	uint64_t reads, writes, read_bytes, write_bytes, errors;
	uint64_t read_ns, write_ns; /* from arrival to completion, in all */
} __attribute__((aligned(64)));

struct lu {
	char name[LU_NAME_MAX + 1];  /* unique in the cluster */
	char group[LU_NAME_MAX + 1]; /* LUN group */
	struct core *core;
	uint32_t index;		     /* in core->lu */
	struct lu_identity id;
	uint32_t block_size;	 /* bytes */
	uint8_t pi_type; /* protection information, core/pi.h; 0 = none */
	bool pi_ato;	 /* application tags belong to the initiators */
	uint8_t lb_per_pb_exp;	 /* logical blocks per physical block exponent */
	bool read_only, thin, rotational, removable;
	bool cdrom;		 /* peripheral device type 05h (core/cdrom.h) */
	uint32_t atomic_max_blocks; /* WRITE ATOMIC: the medium keeps none or all of so many; 0 = it can't */
	bool wipes; /* SANITIZE and FORMAT UNIT are served */
	uint32_t max_transfer_bytes; /* B0 */
	uint32_t queue_limit; /* commands that entered on this node and are in the task set; 0 = none */
	uint32_t queued; /* … how many are, where there is a limit; atomic */
	uint8_t thin_threshold;	 /* core/thin.h: percent of the capacity that should stay available; 0 = none */
	struct {
		uint64_t used, available; /* bytes, of the medium and of what it grows from */
		bool known;
	} usage; /* measured by the control thread, atomic (core/thin.h) */
	uint64_t blocks;	 /* capacity; written by the control thread (atomic) */
	struct disk_params disk_params;

	struct disk *disk;		/* NULL while this node does not own the group */
	const struct alua_gate *gate;	/* never NULL */
	const struct resv_view *resv;	/* NULL = nothing reserved or registered */
	const struct mode_state *mode;	/* never NULL */
	const struct mode_state *mode_saved; /* NULL: nothing is saved, the defaults count */
	struct mode_state mode_default;	/* fixed while configured */
	int64_t clock_offset; /* ms between SET TIMESTAMP's time and the node's; atomic (core/timestamp.h) */
	struct log_counters log;
	struct lu_ended {
		uint64_t any, reset; /* identities; 0 = none */
	} ended; /* the last functions for the nexuses of all nodes that were carried out here (daemon/tasks.h). Control thread */
	struct wipe *wipe;		/* core/wipe.h, published; NULL normally */
	void *control_data;		/* the daemon's */
	bool gone;			/* leaves the configuration: no port shows it any more (control thread) */
	struct cds_list_head range_locks; /* control thread: core/range_lock.c */
	struct lu_shard *shard;		/* [core->nreactors] */
};

static inline struct lu_shard *lu_shard_of(struct lu *lu, const struct reactor *r)
{
	return &lu->shard[r->index];
}

/* Control thread, before the LU is mapped. */
struct lu *lu_new(struct core *core, const char *name);
void lu_free(struct lu *lu);
/* limit: lu->queue_limit. Control thread, before the LU is mapped. */
void lu_limit_queue(struct lu *lu, uint32_t limit);

/*
 * A barrier over all reactors (control thread). In this order on each reactor:
 * unit attentions are established on the I_T_L nexuses that the scopes cover; with abort: the tasks of those nexuses
 * are aborted (core/abort.h): marked and end without touching the medium any more; held commands run through the gates again; with drain:
 * waits until no command admitted before is left, and with abort none of the aborted ones that are CMD_FORWARDED; then this reactor has passed.
 * done runs on the control thread when all have passed. b is the caller's and is free again in done.
 */
struct lu_barrier;
struct lu_barrier_part {
	struct msg msg;
	struct cds_list_head link;
	struct lu_barrier *b;
	struct reactor *reactor;
	uint64_t seq;
};

struct lu_barrier_ua {
	enum ua code;
	struct ua_scope scope;
};

struct lu_barrier {
	struct lu *lu;
	bool drain;
	const struct ua_scope *abort; /* abort the tasks of these nexuses; NULL = none */
	struct abort_cause cause;
	unsigned nua;
	const struct lu_barrier_ua *ua; /* valid until done */
	void (*done)(struct lu_barrier *b);
	struct lu_barrier_part *part; /* [core->nreactors] */
	unsigned left;
	struct msg msg;
};
void lu_barrier_start(struct lu_barrier *b);

/* Reactor. Aborts the commands of these nexuses that are there. */
void lu_abort_tasks(struct lu_shard *s, const struct ua_scope *scope, const struct abort_cause *cause);

/* Reactor, for cmd.c and gate.c. */
void lu_admit(struct scsi_cmd *cmd);	  /* past the gates: drains wait for it from here on */
void lu_hold(struct scsi_cmd *cmd, uint64_t limit_ns); /* waits for the next barrier */
/* As lu_hold(), but tries the gates again after retry_ns, too: where it is not the gate here that has to change. */
void lu_hold_retry(struct scsi_cmd *cmd, uint64_t retry_ns);
/* An admitted command that will not touch the medium under this admission: drains wait for it no more. It is CMD_RECEIVED again, or
 * CMD_FORWARDED when nobody knows what became of it: the owner is who enforces, but who has aborted it still waits for its end. */
void lu_unadmit(struct scsi_cmd *cmd, enum cmd_state to);
void lu_unforward(struct scsi_cmd *cmd); /* CMD_FORWARDED: it won't be executed there any more, and is CMD_RECEIVED again */
/* No longer admitted; waits in list (CMD_HELD), where an abort finds it. */
void lu_park(struct scsi_cmd *cmd, struct cds_list_head *list);
void lu_task_ended(struct scsi_cmd *cmd); /* leaves all lists; drains that waited for it report */

/* Publishes v under one of the pointers of the LU (control thread); returns the old value, to be freed when the
 * barrier has reported. */
#define lu_publish(lu, field, v) __atomic_exchange_n(&(lu)->field, (v), __ATOMIC_SEQ_CST)
/* Reads one of them (reactor). */
#define lu_read(lu, field) __atomic_load_n(&(lu)->field, __ATOMIC_CONSUME)

#endif
