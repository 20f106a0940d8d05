/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon: the one place where the rooms of the house meet.
 *
 *   main.c       start, signals, end
 *   build.c      configuration → logical units, targets
 *   effects.c    what the replicated log decided → what the data path sees
 *   ownership.c  this node's part in each LUN group: open, drain, flush, close
 *   media.c      capacity of media on every node
 *   removal.c    ejecting and loading media
 *   thin.c       resources of thin logical units
 *   verbs.c      the control protocol's verbs
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
#include "daemon/config_limits.h"
#include "media/media_service.h"
#include "pr-sync/pr_cmd.h"
#include "pr-sync/pr_service.h"

struct config;
struct config_group;
struct control;
struct daemon;
struct iscsi_server;
struct ownership;
struct thin_watch;

struct daemon {
	struct core core;
	qb_loop_t *loop;
	struct worker worker;
	const struct config *config;
	uint32_t node; /* own id */
	const char *node_name;
	struct cluster *cluster;
	struct alua_service *alua;
	struct pr_service *pr;
	struct media_service *media;
	struct thin_watch *thin;
	struct pr_cmd pr_cmd;
	struct iscsi_server *iscsi;
	struct link *link; /* NULL: no group forwards */
	uint32_t link_to[LINK_NODES_MAX], link_from[LINK_NODES_MAX]; /* nodes, as published last */
	size_t nlink_to, nlink_from;
	struct control *control;
	bool owned[NODE_ID_MAX + 1]; /* by node id: owned a group when that was looked at last */
	uint32_t ngroups;
	struct ownership *ownership; /* [ngroups], in the configuration's order */
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
const char *daemon_node_name(const struct daemon *d, uint32_t id); /* "?" when unknown */

/* ---- effects.c ---- */
void effects_run(void *arg, struct effects_run *run);
void effects_publish_all(void *arg);
bool effects_harmless(void *arg, uint32_t node, bool node_down);
void effects_state_changed(void *arg, enum cluster_state s, const char *why);
/* Publishes a first gate (refusing) for every logical unit: before the reactors start. 0 or -ENOMEM. */
int effects_init(struct daemon *d);
/* Closes the gates of a group whose medium has failed here, at once. */
void effects_group_failed(struct ownership *o);
/* For struct link_params: ports forward, or do so no more. */
void effects_link_changed(void *arg);
void effects_situation(const struct ownership *o, struct alua_situation *out);

/* ---- ownership.c ---- */
typedef void (*ownership_done_fn)(void *arg, bool ok, const char *message);

enum ownership_phase { OWNERSHIP_CLOSED, OWNERSHIP_OPENING, OWNERSHIP_OPEN, OWNERSHIP_DRAINING, OWNERSHIP_CLOSING };

struct ownership_waiter;

struct ownership {
	struct daemon *d;
	const char *group; /* name */
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
	uint32_t barriers;	    /* drains under way */
	struct lu_barrier *barrier; /* [nlus] */
	struct disk **opened;	    /* [nlus] on the way in or out */
	bool *absent;		    /* [nlus] not to be opened, or not there to be opened: removable media */
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
};

int ownership_init(struct ownership *o, struct daemon *d, const struct config_group *c);
void ownership_fini(struct ownership *o);

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

/* ---- thin.c ---- */
int thin_watch_start(struct daemon *d); /* 0 or -ENOMEM */
void thin_watch_free(struct daemon *d); /* the worker has ended */

/* ---- verbs.c ---- */
int verbs_start(struct daemon *d, const char *run_dir, char *err, size_t errlen);
void verbs_stop(struct daemon *d);

/* ---- main.c ---- */
int daemon_open_portals(struct daemon *d, char *err, size_t errlen); /* binds, lets initiators in */
void daemon_shutdown(struct daemon *d, const char *why);	      /* orderly end */

#endif
