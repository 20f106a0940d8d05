/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator: a whole cluster in one process, one thread, on one seed.
 *
 *   real:      cluster/ (facade, replog, persist, link), pr-sync/, alua/, media/, core/ (decoder, gates, barriers, reservations, rw,
 *              range locks, task management, mode pages), daemon/effects.c, ownership.c, modes.c, media.c, tasks.c, sessions.c
 *   simulated: what those touch of the world, by giving the linker other definitions of the same functions:
 *     net.c          cpg_link_*, quorum_watch_*      virtual synchrony, rings, quorum, partitions
 *     fs_calls.c     open, pwrite, fsync …           under the real file store …
 *     machine.c      mailbox_*, worker_*, qb_loop_timer_*, buffers, clock, randomness
 *     disk.c         disk_handler_open               the shared medium
 *     tcp.c          socket, sendmsg, reactor_sqe …  under the real link: connections that break at any byte
 *
 *   main.c          which schedules, with which planted fault (plant.h); what is printed
 *   sim.c           one schedule: seed, clock, steps, verdict
 *   schedule.c      what happens in it: losses, partitions, fencing, starts, stops
 *   finish.c        its end: everything comes to rest
 *   scale.c         many registrants
 *
 *   a node
 *     node.c          main.c's wiring, its death, one step of it
 *     node_parts.c    build.c's objects
 *     between.c       between log and data path; faults planted there
 *     service.c       the replicated services, each accompanied by its history
 *     fs.c            … the files: what is not synced is torn
 *     fs_store.c      in front of the store: faults planted there
 *
 *   who uses and runs it
 *     load.c          initiators over every path: slots, answers, what is sent next
 *     load_rw.c       reads, writes, COMPARE AND WRITE
 *     load_pr.c       PERSISTENT RESERVE IN and OUT, RESERVE and RELEASE of SPC-2
 *     load_lu.c       MODE SELECT and SENSE, SET and REPORT TIMESTAMP, LOG SELECT, READ CAPACITY; the operator's resizes
 *     load_tmf.c      task management
 *     forward.c       their commands where another node executes them; faults planted in what the link decides
 *     crm.c           the cluster manager: who owns a group, fencing
 *     admin.c         changes of the configuration: who asks, who carries out
 *     upgrade.c       programs of two versions: upgrades, the way back, what is refused
 *
 *   what is true
 *     model.c         the state of a logical unit by naive rules
 *     history.c       the tree of histories, each with the naive model's state; the verdicts on it
 *     history_told.c  who has to be told by unit attentions
 *     history_lingers.c  what is enforced of a member that was lost
 *     history_disk.c  what goes on from a store
 *
 *   nexus = initiator × nodes + node - 1, the same number in the model.
 *
 * Everything a schedule does follows from its seed: sim_random() is the only choice.
 */
#ifndef SANDEM_TESTS_SIM_H
#define SANDEM_TESTS_SIM_H

#include "cluster/cluster.h"
#include "core/target.h"
#include "daemon/config/config.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "tests/sim/fs.h"
#include "tests/sim/history.h"
#include "tests/sim/limits.h"
#include "tests/sim/load.h"
#include "tests/sim/machine.h"
#include "tests/sim/plant.h"
#include "tests/sim/schedule.h"
#include "tests/sim/tcp.h"

struct followed { /* a replicated service with its history; its state for the log */
	struct node *node;
	unsigned kind;
	void *state;
	struct service_ops ops;
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

struct node {
	struct sim *sim;
	uint32_t id;
	bool up, running, dying, paused;
	bool stopping; /* in order: its I_T nexuses end, then … */
	bool leaving;  /* … it leaves the group */
	unsigned partition;
	uint64_t ring_seq; /* of the ring that it is in */
	bool seen_all; /* two_node: wait_for_all */
	uint32_t parted; /* bit: nodes that were members with this one and are parted and alive */
	uint32_t outrun; /* … since when this one has been without quorum */
	/* the process */
	struct daemon d;
	struct config_group groups[LUS];
	struct reactor reactor[REACTORS];
	struct target target, *targets[1];
	struct initiator_acl acl;
	struct lun_entry lun[LUS];
	struct lu *lus[LUS];
	struct session session[INITIATORS];
	struct slot *slot[SLOTS];
	struct sim_tmf tmf[TMFS];
	struct followed followed[FOLLOWED];
	struct proposer proposer; /* in front of the log's */
	struct cds_list_head tagged; /* its proposals under way */
	uint32_t proposing;	  /* identity of the operation under way in it */
	int history;		  /* of its state, index into sim->history */
	int restored;		  /* by the last snapshot; -1 */
	int replaced;		  /* … and what it was before; -1 */
	uint64_t began;		  /* step at which the process did */
	uint64_t state_since;	  /* step at which it began with what it had stored, or took the last snapshot */
	bool publishing;	  /* everything anew, after it */
	bool left;		  /* its goodbye is through */
	uint32_t speaks;	  /* the highest version of the protocol that its program knows */
	bool newer;		  /* it was a member when something was acknowledged in the newer version */
	int at_death;		  /* history at the last power loss */
	int on_disk;		  /* … when a snapshot replaced it in memory, and the store may still have it; 0: none */
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
	struct tcp tcp;
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
	bool two_node, device, any_fault, spc2, trace; /* spc2: its initiators prefer RESERVE */
	bool forwards; /* ports that do not own a group forward */
	bool skew;	/* some programs are of an older version, … */
	uint32_t older; /* … which speaks this one of the protocol */
	bool all_new;	/* … and all nodes have been in one group with the newer one */
	bool upgrade_all; /* at the end */
	bool prompt; /* at the end: data of commands comes at once */
	uint32_t version_acked; /* the highest in use when something was acknowledged */
	bool unfollowed; /* by the model, see scale.c */
	unsigned partitions;
	unsigned device_at; /* the partition that the quorum device votes for */
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
	struct tcp_socket socket[TCP_SOCKETS];
	unsigned nsockets; /* that were ever in use */
	uint32_t link_cut; /* bit: nodes that are cut off from the link network */
	struct {
		uint32_t ntexts, acked_text;
		uint64_t acked; /* the newest generation that was */
		uint32_t good[TEXTS]; /* by text; bit: nodes that have said that they can take it */
		bool seed[TEXTS];     /* nobody is asked */
	} config;
	struct slot *command[VALUES]; /* by value */
	uint32_t values;
	struct crm_group crm[LUS];
	struct {
		uint64_t writes, conflicts, reads, pr_good, pr_other, moves, crashes, blackouts, partitions, notready, stops,
			logins, settings, reserves, tmfs, resizes, compares, owed, starts, resolved, upgrades, refused, heals, torn, generations,
			links, forwarded;
	} count;
};

/* sim.c */
uint64_t sim_random(struct sim *s);
static inline bool chance(struct sim *s, unsigned one_in)
{
	return sim_random(s) % one_in == 0;
}
struct sim *sim_world(void); /* the one that link-level replacements belong to */
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool sim_steps(struct sim *s, unsigned n); /* false: nothing was left to do before the end */
void sim_pass(struct sim *s);
bool sim_run(uint64_t seed, enum plant plant, bool trace, struct sim *s); /* one schedule; false: a verdict */
bool sim_run_scale(struct sim *s, unsigned registrants);

/* between.c */
struct cluster_callbacks between_callbacks(struct node *n);

/* node_parts.c */
void node_parts_new(struct node *n);
void node_parts_free(struct node *n);

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
enum cluster_state __wrap_cluster_state(const struct cluster *c); /* with what is planted */
bool node_serving(const struct node *n);
unsigned nexus_of(const struct sim *s, unsigned initiator, uint32_t node);
int nexus_number(const struct sim *s, const struct nexus_id *id);

/* service.c */
struct service service_row(struct node *n, unsigned kind);
void service_wire(struct node *n);

#endif
