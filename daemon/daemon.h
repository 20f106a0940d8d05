/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon: the one place where the rooms of the house meet.
 *
 *   main.c       start, signals, end
 *   build.c      configuration → logical units, targets
 *   reconfig*.c  another configuration while it runs: looked at, voted on, put in force
 *   effects.c    what the replicated log decided → what the data path sees
 *   ownership.c  this node's part in each LUN group: open, drain, flush, close
 *   explicit.c   initiators that say who is to own a group
 *   media.c      capacity of media on every node
 *   removal.c    ejecting and loading media
 *   modes.c      MODE SELECT, SET TIMESTAMP, LOG SELECT
 *   wipes.c      SANITIZE and FORMAT UNIT, carried out by whoever owns
 *   thin.c       resources of thin logical units
 *   sessions.c   I_T nexuses of this node: who hears of their coming and going
 *   etcd_*.c     what etcd is told, and what is learnt from it
 *   verbs*.c     the control protocol's verbs
 *
 * All of it runs on the control thread.
 */
#ifndef SANDEM_DAEMON_H
#define SANDEM_DAEMON_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "alua/alua_service.h"
#include "cluster/cluster.h"
#include "cluster/link.h"
#include "cluster/worker.h"
#include "core/core.h"
#include "core/lu.h"
#include "daemon/config/limits.h"
#include "daemon/tasks.h"
#include "directory/directory_service.h"
#include "media/media_service.h"
#include "media/mode_service.h"
#include "pr-sync/pr_cmd.h"
#include "pr-sync/pr_service.h"

struct config;
struct config_group;
struct config_lu;
struct config_service;
struct config_target;
struct control;
struct daemon;
struct etcd_sync;
struct explicit_move;
struct iscsi_server;
struct ownership;
struct reconfig;
struct target;
struct target_access;
struct thin_watch;
struct lu_wipe;

struct daemon {
	struct core core;
	qb_loop_t *loop;
	struct worker worker;
	const struct config *config;
	char *own_text; /* of sandem.yaml; NULL: --standalone */
	size_t own_len;
	uint32_t node; /* own id */
	const char *node_name;
	struct cluster *cluster;
	struct alua_service *alua;
	struct pr_service *pr;
	struct media_service *media;
	struct directory directory; /* of all nodes, as the log has it */
	struct {
		struct directory own; /* of this node, as it is */
		bool telling;
	} sessions;
	struct mode_service modes;
	struct tasks_service tasks;
	struct thin_watch *thin;
	struct config_service *generations;
	struct etcd_sync *etcd;	   /* NULL: store.type is file */
	struct reconfig *reconfig; /* NULL: before it is started, and in the simulator */
	struct { /* what the configuration has no more; kept, empty, for late references (sessions, commands, barriers) */
		struct lu **lu;
		size_t nlus;
		struct target **target;
		size_t ntargets;
		struct ownership **ownership;
		size_t nownerships;
	} gone;
	struct lu_wipe *wipes; /* of logical units that had one */
	struct pr_cmd pr_cmd;
	struct iscsi_server *iscsi;
	struct link *link; /* NULL: no group forwards */
	uint32_t link_to[LINK_NODES_MAX], link_from[LINK_NODES_MAX]; /* nodes, as published last */
	size_t nlink_to, nlink_from;
	struct control *control;
	bool file_forwards; /* this node's own file has a group that forwards */
	uint32_t ngroups;
	struct ownership **ownership; /* [ngroups], in the configuration's order */
	uint64_t started; /* CLOCK_MONOTONIC seconds */
	bool standalone;	/* groups are promoted here as soon as they can be */
	uint32_t promoting;	/* … groups of which that is not known yet */
	bool stopping;
	uint32_t releasing;	/* groups still to be released at the end */
	int exit_code;
};

/* ---- build.c ---- */
int build_core(struct daemon *d, char *err, size_t errlen);
void build_free(struct daemon *d);
/* Single objects; NULL: no memory. A logical unit has no gate and no capacity yet. c NULL: nobody has access. */
struct lu *build_lu(struct daemon *d, const struct config *config, const struct config_lu *c);
void build_lu_free(struct lu *lu);
struct target *build_target(struct daemon *d, const struct config *config, const struct config_target *c);
void build_target_free(struct target *t);
const struct target_access *build_access(struct daemon *d, const struct config *config, const struct config_target *c);
void build_access_free(const struct target_access *access);
/* The capacity to report before this node owns the medium (READ CAPACITY is served in standby). Opening a device that
 * another node owns may fail (DRBD secondary): then it stays unknown, 0, until it is opened for good. May block. */
uint64_t build_probe(const struct disk_params *p);
const char *daemon_node_name(const struct daemon *d, uint32_t id); /* "?" when unknown */

/* ---- effects.c ---- */
void effects_run(void *arg, struct effects_run *run);
void effects_publish_all(void *arg);
bool effects_harmless(void *arg, uint32_t node, bool node_down);
bool effects_may_live(void *arg, uint32_t node); /* lost, and still waited for */
void effects_settled(void *arg, uint32_t node);
void effects_state_changed(void *arg, enum cluster_state s, const char *why);
void effects_committed(void *arg);
void effects_version_changed(void *arg);
/* Publishes a first gate (refusing) for every logical unit: before the reactors start. 0 or -ENOMEM. */
int effects_init(struct daemon *d);
/* Closes the gates of a group whose medium has failed here, at once. */
void effects_group_failed(struct ownership *o);
/* For struct link_params: ports forward, or do so no more. */
void effects_link_changed(void *arg);
void effects_situation(const struct ownership *o, struct alua_situation *out);
/* The first gate and reservations of a logical unit that no port shows yet. 0 or -ENOMEM. */
int effects_new_lu(struct daemon *d, struct lu *lu);
/* Every I_T nexus of the logical unit on this node hears of what has changed without the log. */
void effects_tell(struct daemon *d, struct lu *lu, enum ua ua);
/* The ports that show a logical unit have changed: every gate anew; those that are gone (lu->gone) refuse, and are drained
 * when done is called. */
void effects_relist(struct daemon *d, void (*done)(void *arg, bool ok), void *arg);

/* ---- ownership.c ---- */
typedef void (*ownership_done_fn)(void *arg, bool ok, const char *message);

enum ownership_phase { OWNERSHIP_CLOSED, OWNERSHIP_OPENING, OWNERSHIP_OPEN, OWNERSHIP_DRAINING, OWNERSHIP_CLOSING };

struct ownership_waiter;

struct ownership {
	struct daemon *d;
	char group[LU_NAME_MAX + 1]; /* name */
	uint16_t hold_limit_ms;
	uint32_t preferred; /* node id, 0 = none */
	bool forward;	    /* what non-owners do */
	uint32_t nlus;
	struct lu **lu;
	enum ownership_phase phase; /* of the devices of this node */
	uint64_t epoch;		    /* for which they were opened */
	bool active_everywhere;	    /* every member has applied that this node is active */
	bool proposing;		    /* a report to the log is under way */
	bool failed;		    /* a medium of the group failed here; for good until it is promoted here again */
	bool give_up_locally;	    /* demoted while the cluster could not be told: don't use the devices */
	bool unflushed;		    /* closed without a flush that went well: no clean handover */
	uint32_t barriers;	    /* drains under way */
	struct lu_barrier *barrier; /* [nlus] */
	struct disk **opened;	    /* [nlus] on the way in or out */
	bool *absent;		    /* [nlus] not to be opened, or not there to be opened: removable media */
	bool rebuilding;	    /* its logical units change: no step is taken (reconfig_swap.c) */
	bool media_busy;	    /* a medium is being ejected or loaded: the group is not closed meanwhile */
	struct work work;
	int work_result;
	char work_error[512];
	char error[544]; /* why the last open or close failed, or the medium */
	qb_loop_timer_handle handover_timer;
	bool handover_armed;
	qb_loop_timer_handle retry_timer;
	bool retry_armed;
	struct cds_list_head waiters;
	struct explicit_move *move; /* that an initiator has asked for (daemon/explicit.h), or NULL */
};

/* With the logical units of core that are in the group. NULL: no memory. */
struct ownership *ownership_new(struct daemon *d, const struct config *config, const struct config_group *c);
/* What the configuration says of the group, but for its logical units and for what non-owners do. */
void ownership_configure(struct ownership *o, const struct config *config, const struct config_group *c);
/* Its devices are all open or all closed, and stay so while o->rebuilding is set. (Not that no medium is being ejected or
 * loaded: that waits for the log, which may wait for who asks here.) */
bool ownership_at_rest(const struct ownership *o);
/* Other logical units; while it rests. 0, or -ENOMEM: nothing has changed. */
int ownership_set_lus(struct ownership *o, struct lu *const *lu, uint32_t n);
void ownership_free(struct ownership *o); /* NULL: nothing */

/* Compares what the log says with what this node does, and takes the next step. */
void ownership_reconcile(struct ownership *o);

/* A medium of the group can't be relied on any more: this node stops using the group; its ports are unavailable, and
 * the cluster manager sees it (`failed` in `group list`). */
void ownership_fail(struct ownership *o, const char *why);

/* done is called once: when this node is active on every member's books / when it is drained, flushed, closed and every
 * member knows; or with a message that says why not. */
void ownership_promote(struct ownership *o, ownership_done_fn done, void *arg);
void ownership_demote(struct ownership *o, ownership_done_fn done, void *arg);
struct ownership *ownership_find(struct daemon *d, const char *group);

/* ---- media.c ---- */
void media_propose(struct daemon *d, const struct media_change *c, propose_done_fn done, void *cookie);
/* The same when nobody waits for the outcome. blocks: for MEDIA_CAPACITY. */
void media_tell(struct daemon *d, struct lu *lu, enum media_action action, uint64_t blocks);
void media_before_open(struct daemon *d, struct lu *lu); /* the size to open it with */
void media_opened(struct daemon *d, struct lu *lu, uint64_t bytes);
/* Grows the medium to bytes, or takes it as it is found (0); done when every node reports the new capacity, or with an
 * error (the object, cause and next step; else NULL). */
typedef void (*media_resized_fn)(void *arg, struct lu *lu, const char *error);
void media_resize(struct daemon *d, struct lu *lu, uint64_t bytes, media_resized_fn done, void *arg);

/* ---- removal.c ---- */
/* s: how an initiator is told, SENSE_NONE when it is done; error: how an operator is told. */
typedef void (*removal_done_fn)(void *arg, struct lu *lu, sense_t s, const char *error);
void removal_eject(struct daemon *d, struct lu *lu, bool force, removal_done_fn done, void *arg);
/* by: the I_T nexus that loads it, and so needs no unit attention; NULL: an operator does. */
void removal_load(struct daemon *d, struct lu *lu, const struct nexus_id *by, removal_done_fn done, void *arg);
bool removal_is_ejected(const struct daemon *d, const struct lu *lu);
void removal_absent(struct daemon *d, struct lu *lu); /* a removable LU whose medium is not there at the opening */
void removal_cmd(void *arg, struct scsi_cmd *cmd);    /* HOOK_REMOVAL */
void removal_nexus_lost(struct daemon *d, const struct nexus_id *id);
void removal_lu_reset(struct daemon *d, struct lu *lu);

/* ---- wipes.c ---- */
void wipes_wire(struct daemon *d); /* SANITIZE and FORMAT UNIT are offered from then on, where all nodes can … */
void wipes_offer(struct daemon *d); /* … which may have changed: another version of the protocol is in use */
void wipes_free(struct daemon *d); /* no reactor runs any more */
void wipes_look(struct daemon *d); /* the log, the ownership or this node's part in it has changed */
/* What is to be lu->wipe, which may be what it is. False: no memory. */
bool wipes_view(struct daemon *d, const struct lu *lu, struct wipe **now);
/* That is published, and the commands that were admitted before have ended here. */
void wipes_drained(struct daemon *d, const struct lu *lu, uint64_t id);

/* ---- thin.c ---- */
int thin_watch_start(struct daemon *d); /* 0 or -ENOMEM */
void thin_watch_free(struct daemon *d); /* the worker has ended */
int thin_watch_refresh(struct daemon *d); /* other logical units; 0 or -ENOMEM */

/* ---- modes.c ---- */
void modes_init(struct daemon *d);
void modes_offer(struct daemon *d); /* the version of the protocol in use has changed */
/* What the log says of a logical unit's mode parameters. */
void modes_of(const struct daemon *d, const struct lu *lu, struct mode_state *now, struct mode_state *saved);
void modes_lu_reset(struct daemon *d, struct lu *lu); /* the saved ones are current again */
/* The clock, and resets of log pages. */
void modes_publish_rest(const struct daemon *d, struct lu *lu);
bool modes_need_flush(const struct mode_state *old, const struct mode_state *now);

struct modes_flush {
	struct work work;
	struct lu *lu;
	struct disk *disk; /* open: whoever closes it comes behind in the worker's queue; NULL: it is being closed */
	int rc;
	void (*done)(struct modes_flush *f);
};
/* What is in the cache of a medium that is open or being closed here; then done, whatever came of it. False: none is. f: the
 * caller's. */
bool modes_flush(struct daemon *d, struct lu *lu, struct modes_flush *f, void (*done)(struct modes_flush *f));

/* ---- sessions.c ---- */
void sessions_init(struct daemon *d);
/* The directory is made to say of this node what is so; nothing while the cluster does not serve. */
void sessions_tell(struct daemon *d);

/* ---- verbs.c ---- */
int verbs_start(struct daemon *d, const char *run_dir, char *err, size_t errlen);
void verbs_stop(struct daemon *d);

/* ---- main.c ---- */
int daemon_open_portals(struct daemon *d, char *err, size_t errlen); /* binds, lets initiators in */
void daemon_shutdown(struct daemon *d, const char *why);	      /* orderly end */

#endif
