/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator: a whole cluster in one process, one thread, on one seed.
 *
 *   real:      cluster/ (facade, replog, persist), pr-sync/, alua/, media/, core/ (decoder, gates, barriers, reservations, rw,
 *              range locks, task management, mode pages), daemon/effects.c, ownership.c, modes.c, media.c, tasks.c, sessions.c
 *   simulated: what those touch of the world, by giving the linker other definitions of the same functions:
 *     net.c      cpg_link_*, quorum_watch_*      virtual synchrony, rings, quorum, partitions
 *     fs.c       open, pwrite, fsync …           under the real file store: what is not synced is torn
 *     machine.c  mailbox_*, worker_*, disk_handler_open, qb_loop_timer_*, buffers, clock, randomness
 *     node.c     a node: main.c's wiring, its death; the faults planted between the real parts (plant.h)
 *     service.c  the replicated services, each accompanied by its history
 *     load.c     initiators over every path: slots, answers, what is sent next
 *     load_rw.c  reads, writes, COMPARE AND WRITE
 *     load_pr.c  PERSISTENT RESERVE IN and OUT, RESERVE and RELEASE of SPC-2
 *     load_lu.c  MODE SELECT and SENSE, SET and REPORT TIMESTAMP, LOG SELECT, READ CAPACITY; the operator's resizes
 *     load_tmf.c task management
 *     scale.c    many registrants
 *     crm.c      the cluster manager: who owns a group, fencing
 *     admin.c    changes of the configuration: who asks, who carries out
 *     upgrade.c  programs of two versions: upgrades, the way back, what is refused
 *     model.c    the state of a logical unit by naive rules
 *     history.c  what is true: the tree of histories, each with the naive model's state; all verdicts
 *     history_told.c  who has to be told by unit attentions
 *     history_disk.c  what goes on from a store
 *     sim.c      the schedule and its end
 *
 *   nexus = initiator × nodes + node - 1, the same number in the model.
 *
 * Everything a schedule does follows from its seed: sim_random() is the only choice.
 */
#ifndef SANDEM_TESTS_SIM_H
#define SANDEM_TESTS_SIM_H

#include "core/target.h"
#include "cluster/cluster.h"
#include "cluster/replog.h"
#include "cluster/store.h"
#include "cluster/transport.h"
#include "core/nexus.h"
#include "daemon/config/config.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "core/tmf.h"
#include "tests/sim/model.h"
#include "tests/sim/plant.h"

#define NODES 5	     /* at most; ids 1 … nodes */
#define INITIATORS 3
#define LUS 2	     /* LU i is alone in group i */
#define LU_ALL LUS   /* of an operation: every LU is concerned */
#define BLOCKS 8     /* at the beginning */
#define BLOCKS_MAX 16
#define REACTORS 2
#define SLOTS 24     /* commands of a node */
#define TMFS 6	     /* task management functions of a node */
#define FOLLOWED 4   /* services with a history */
#define HISTORIES 1024
#define VALUES 4096   /* identities of a schedule */

struct sim;
struct node;

/* ---- history.c: a history is a node of a tree, known by its index ---- */
struct history {
	int parent; /* -1: what a process has loaded from its store */
	bool used;  /* false: nobody has gone on from there yet */
	uint32_t op, depth;
	int lu; /* that op was about; -1: none in particular */
	uint8_t status;
	enum model_kind kind;
	uint64_t step; /* when a member applied it first */
	struct lu_model model[LUS];
};

enum op_kind {
	OP_READ, OP_WRITE, OP_COMPARE_AND_WRITE,
	OP_PR_OUT, OP_PR_KEYS, OP_PR_RESERVATION, OP_RESERVE, OP_RELEASE,
	OP_MODE_SELECT, OP_MODE_SENSE, OP_SET_TIMESTAMP, OP_REPORT_TIMESTAMP, OP_LOG_SELECT, OP_CAPACITY,
	OP_KINDS,
};

/* A command of an initiator. */
struct slot {
	struct scsi_cmd cmd;
	struct node *node;
	bool busy, reached; /* reached: the write is on the medium */
	bool served; /* the node did when it was sent */
	bool ended;  /* what was to end it has been answered */
	enum op_kind kind;
	unsigned initiator, lu, block;
	uint32_t value;	   /* unique; also the identity of a PR OUT */
	uint32_t sampled;  /* what a read found */
	uint32_t expected; /* COMPARE AND WRITE */
	int frontier;	   /* what was acknowledged when it was sent */
	uint64_t step;
	struct pr_model_op pr;
};

struct sim_tmf { /* a task management function of an initiator */
	struct tmf tmf;
	struct node *node;
	bool busy, everywhere;
	unsigned initiator, lu;
	uint32_t value; /* commands with lower ones were sent before it */
};

struct followed { /* a replicated service with its history; its state for the log */
	struct node *node;
	unsigned kind;
	void *state;
	struct service_ops ops;
};

struct event { /* in a node's stream */
	struct event *next;
	enum { EV_MESSAGE, EV_CONFCHG, EV_RING } kind;
	uint32_t from;
	uint32_t member[NODES], joined[NODES];
	struct replog_gone gone[NODES];
	size_t nmembers, njoined, ngone, len;
	uint64_t seq;
	uint8_t data[];
};

struct fifo {
	struct event *head, *tail;
};

struct timer {
	bool armed;
	uint64_t at;
	void *data;
	void (*fn)(void *data);
};

#define TIMERS 16
#define IOS 64

struct handle { /* an open device */
	struct disk disk;
	struct node *node;
	unsigned lu, inflight;
	uint64_t epoch;
	uint32_t found; /* blocks, when it was opened */
	bool dirty;
	struct handle *next_closed;
};

struct sim_store { /* in front of the real one */
	struct store store, *real;
};

/* ---- fs.c: the file system of a node, survives it ---- */
#define SIM_STATE_DIR "sim"
#define FS_FILES 6
#define FS_NAMES 3
#define FS_RENAMES 8
#define FS_FDS 16

struct fs_bytes {
	uint8_t *p;
	size_t len;
};

struct fs_file {
	bool used;
	unsigned open;
	struct fs_bytes now, safe; /* safe: after a power loss, at least */
};

struct sim_fs {
	struct fs_file file[FS_FILES];
	struct fs_file *now[FS_NAMES], *safe[FS_NAMES]; /* the directory */
	struct {
		unsigned name;
		struct fs_file *to;
	} rename[FS_RENAMES]; /* since it was synced */
	unsigned nrenames;
	struct fs_file *fd[FS_FDS]; /* [0]: the directory's */
	unsigned fuse; /* so many more changes are made; ~0: all */
	bool killed;   /* the one in which it ends may be made in part */
};

#define TEXTS 512
#define ADMIN_RUNS 8

struct admin { /* admin.c, of a process */
	uint64_t runs;	/* the generation that the node runs with */
	uint64_t voted; /* token */
	struct effects_run *run[ADMIN_RUNS]; /* answered when it runs with the generation in force */
	unsigned nruns;
	enum { ADMIN_IDLE, ADMIN_SEEDING, ADMIN_PREPARING, ADMIN_VOTES, ADMIN_ENDING } phase; /* who asks here */
	uint64_t token, number;
	uint32_t text;
};

struct session {
	struct nexus nexus;
	uint64_t since; /* step */
	uint64_t told[LUS][TELLS]; /* step at which it was last told, + 1 */
	uint16_t owed[LUS]; /* 1 << enum tell: its node was away when it happened, and has it from a snapshot … */
	uint64_t owed_since[LUS][TELLS]; /* … taken at this step */
	uint64_t ends_own[LUS]; /* step at which it last asked for the end of its own commands, + 1 */
	bool reserves[LUS]; /* it has sent RESERVE */
};

struct node {
	struct sim *sim;
	uint32_t id;
	bool up, running, dying, paused, leaving;
	unsigned partition;
	uint64_t ring_seq; /* of the ring that it is in */
	bool seen_all; /* two_node: wait_for_all */
	/* the process */
	struct daemon d;
	struct config_group groups[LUS];
	struct reactor reactor[REACTORS];
	struct target target, *targets[1];
	struct initiator_acl acl;
	struct lun_entry lun[LUS];
	struct lu *lus[LUS];
	struct session session[INITIATORS];
	struct slot slot[SLOTS];
	struct sim_tmf tmf[TMFS];
	struct followed followed[FOLLOWED];
	struct proposer proposer; /* in front of the log's */
	struct cds_list_head tagged; /* its proposals under way */
	uint32_t proposing;	  /* identity of the operation under way in it */
	int history;		  /* of its state, index into sim->history */
	int restored;		  /* by the last snapshot; -1 */
	bool publishing;	  /* everything anew, after it */
	bool left;		  /* its goodbye is through */
	uint32_t speaks;	  /* the highest version of the protocol that its program knows */
	int at_death;		  /* history at the last power loss */
	uint64_t applied;
	/* the surroundings of the process */
	struct transport_events ev;
	void (*quorum_changed)(void *arg, bool quorate, uint64_t seq);
	void *quorum_arg;
	bool quorum_due;
	struct fifo in, out;
	struct worker *worker[2]; /* the facade's, the daemon's */
	unsigned nworkers;
	struct timer timer[TIMERS];
	struct disk_io *io[IOS];
	unsigned nio;
	uint64_t random;
	/* stable */
	struct sim_store store;
	struct sim_fs fs;
	struct admin admin;
	unsigned slow; /* 1: its store and device openings, 2: its medium */
	uint32_t fence_news; /* bit: nodes whose fencing it is still to hear of */
};

struct crm_group {
	uint32_t at;	    /* node that may have it; 0: nobody */
	bool busy, promoted;
	unsigned waited; /* for an answer, at the end */
	struct node *target;
};

struct sim {
	struct node node[NODES + 1]; /* [0] unused */
	uint32_t nodes, groups;
	uint64_t seed, rng, now, steps;
	bool two_node, any_fault, spc2, trace; /* spc2: its initiators prefer RESERVE */
	bool skew;	/* some programs are of the version before */
	bool all_new;	/* … and all nodes have been in one group with the newer one */
	bool upgrade_all; /* at the end */
	uint32_t version_acked; /* the highest in use when something was acknowledged */
	bool unfollowed; /* by the model, see scale.c */
	unsigned partitions;
	uint64_t ring_seq;
	uint32_t fence_due; /* bit: nodes that are down and whose fencing is still to be confirmed */
	uint32_t fence_late; /* bit: nodes that were parted, are back, and are still to be fenced */
	struct node *cur; /* whose code runs */
	enum plant plant;
	char broken[400]; /* the first verdict */
	/* truth */
	struct history history[HISTORIES];
	int nhistories, frontier, root; /* frontier: the newest acknowledged; root: the first of this era */
	int lu_frontier[LUS];	       /* the newest acknowledged that was about this LU; what is about others may come first */
	int old_frontier[LUS];	       /* lu_frontier of the era before */
	int older_frontier[LUS];       /* … of the last one in which something was acknowledged */
	uint32_t lost;	       /* bit: nodes that never come back of themselves */
	bool resolved;	       /* the operator has said so: what only they had is given up */
	uint32_t medium[LUS][BLOCKS_MAX], medium_blocks[LUS];
	uint64_t medium_epoch[LUS];
	struct handle *open[LUS][NODES + 1], *closed;
	struct {
		uint32_t ntexts, acked_text;
		uint64_t acked; /* the newest generation that was */
		uint32_t good[TEXTS]; /* by text; bit: nodes that have said that they can take it */
		bool seed[TEXTS];     /* nobody is asked */
	} config;
	uint8_t *acked; /* by value: its write was acknowledged, or taken back for good */
	uint32_t values;
	struct crm_group crm[LUS];
	struct {
		uint64_t writes, conflicts, reads, pr_good, pr_other, moves, crashes, blackouts, partitions, notready, stops,
			logins, settings, reserves, tmfs, resizes, compares, owed, starts, resolved, upgrades, refused, heals, torn, generations;
	} count;
};

uint64_t sim_random(struct sim *s);
static inline bool chance(struct sim *s, unsigned one_in)
{
	return sim_random(s) % one_in == 0;
}
struct sim *sim_world(void); /* the one that link-level replacements belong to */
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* net.c */
void net_start(struct node *n);
void net_gone(struct node *n, enum replog_gone_reason reason);
void net_partition(struct sim *s, uint32_t mask);
void net_heal(struct sim *s);
void net_own_message(struct node *n);
void net_ring(struct sim *s, unsigned partition);
bool net_quorate(const struct node *n);
bool net_take(struct node *n);
bool net_order(struct node *n);
bool net_quorum(struct node *n);
void net_clear(struct node *n);

/* machine.c */
bool machine_control(struct node *n);
bool machine_reactor(struct node *n, unsigned i);
bool machine_work(struct node *n);
bool machine_io(struct node *n);
bool machine_timer(struct node *n);
uint64_t machine_next_timer(const struct node *n);
void machine_reset(struct node *n);
/* n has the medium open and has seen it with so many blocks, or may have. */
bool machine_may_have_found(const struct node *n, unsigned lu, uint64_t blocks);
void machine_free_closed(struct sim *s);

/* fs.c */
void fs_power_loss(struct node *n);
void fs_clear(struct sim_fs *fs);
bool fs_has(struct node *n, const char *key); /* a node that is not running has stored something under key */

/* node.c */
void node_boot(struct node *n);
/* The process ends at once: power, kill. */
void node_die(struct node *n, enum replog_gone_reason reason);
void node_stop(struct node *n); /* an orderly end begins */
void node_new_nexus(struct node *n, unsigned initiator); /* a session ends, and another begins */
bool node_step(struct node *n);
bool node_planted(const struct node *n, enum plant p);
struct proposer *__real_cluster_proposer(struct cluster *c);
enum cluster_state __real_cluster_state(const struct cluster *c);
bool node_serving(const struct node *n);
unsigned nexus_of(const struct sim *s, unsigned initiator, uint32_t node);
int nexus_number(const struct sim *s, const struct nexus_id *id);

/* service.c */
struct service service_row(struct node *n, unsigned kind);
void service_wire(struct node *n);

/* load*.c */
void load_one(struct sim *s);
struct slot *slot_get(struct node *n, enum op_kind kind, unsigned initiator, unsigned lu); /* NULL: none is free */
void slot_start(struct slot *sl, const void *data, uint32_t len); /* data NULL: len bytes are expected */
void load_rw(struct node *n, unsigned initiator, unsigned lu);
void load_rw_good(struct slot *sl);
bool load_rw_sense(const struct slot *sl, sense_t sense); /* whether the state asks for it */
void load_pr(struct node *n, unsigned initiator, unsigned lu);
void load_pr_good(struct slot *sl);
void load_pr_out(struct node *n, unsigned initiator, unsigned lu, const struct pr_model_op *c);
void load_spc2(struct node *n, unsigned initiator, unsigned lu);
void load_lu(struct node *n, unsigned initiator, unsigned lu);
void load_lu_good(struct slot *sl);
bool load_lu_sense(const struct slot *sl, sense_t sense);
void load_resize(struct sim *s);
void load_tmf(struct node *n, unsigned initiator, unsigned lu);
bool load_tmf_busy(const struct node *n, unsigned initiator);

/* crm.c */
void crm_act(struct sim *s);
void crm_settle(struct sim *s);
void crm_monitor(struct sim *s);
void crm_fence(struct sim *s, uint32_t node);
void crm_flush_news(struct sim *s, uint32_t about);
void crm_node_gone(struct sim *s, uint32_t node);
bool crm_settled(struct sim *s);

/* upgrade.c */
void upgrade_init(struct sim *s);
/* Before n starts: with which program? */
void upgrade_choose(struct node *n);
void upgrade_act(struct sim *s, struct node *n);
/* n's daemon did not start: true where that is what it has to do. */
bool upgrade_refused(struct node *n, const char *why);
void upgrade_started(struct node *n);
/* A start from the stores waits only for who is in the group. */
bool upgrade_old_rules(const struct sim *s);
bool upgrade_shut_out(const struct node *n); /* for its program, n is not taken in */
void upgrade_together(struct sim *s); /* nodes have come into one group */
void upgrade_acknowledged(const struct node *n);
void upgrade_check(struct sim *s);
void upgrade_check_end(struct sim *s);
/* A node that is to be stopped, so that a newer program is started on it; 0: none. */
uint32_t upgrade_due(struct sim *s, bool patience);

/* admin.c */
void admin_act(struct sim *s);
bool admin_step(struct node *n);
bool admin_settled(const struct node *n);
void admin_run(struct node *n, struct effects_run *run);
void admin_publish(struct node *n);
bool admin_settle(struct node *n); /* what is waited for of it is answered */
void admin_check(struct sim *s);

/* history.c */
uint8_t history_apply(struct node *n, uint32_t op, unsigned lu, const struct model_op *c); /* the model's status */
void history_members(struct node *n, uint64_t position, const uint32_t *member, size_t members);
void history_restored(struct node *n, int history); /* from a snapshot */
/* since, from: step and state of the proposer when it was proposed. */
void history_acknowledged(struct node *n, uint32_t op, uint64_t since, int from, uint8_t status);
bool history_descends(const struct sim *s, int of, int from);
/* Is there a state that n can have had since sl was sent which is as is() says? Always, where that is not known. */
bool history_some(const struct node *n, const struct slot *sl, bool (*is)(const struct lu_model *m, const struct slot *sl));
void history_medium(struct node *n, struct slot *sl, bool write);
void history_conflict(struct node *n, struct slot *sl);
void history_pr_in(struct node *n, struct slot *sl);
void history_check_equal(struct sim *s);
void history_reservations_end(struct sim *s);
bool history_same_bytes(const struct node *a, const struct node *b);

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

/* sim.c */
void sim_stop(struct sim *s, struct node *n); /* as a cluster manager does it, where nothing speaks against it */
bool sim_may_fault(const struct sim *s);
bool sim_steps(struct sim *s, unsigned n); /* false: nothing was left to do before the end */
void sim_pass(struct sim *s);

/* scale.c */
bool scale(struct sim *s, unsigned registrants);

#endif
