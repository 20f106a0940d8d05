/* SPDX-License-Identifier: BSD-2-Clause */
/* The facade: brings the log, the transport, quorum and the store together for the daemon. */
#include "cluster/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cluster/cpg.h"
#include "cluster/local.h"
#include "cluster/persist.h"
#include "cluster/quorum.h"
#include "cluster/replog.h"
#include "cluster/store_file.h"

#define TICK_NS 100000000ull /* as seldom as replog_timer() allows */
#define LEAVE_NS 1000000000ull
#define CHECK_NS 10000000000ull
#define NODES_MAX REPLOG_MEMBERS_MAX

/* The part of a run that the daemon gets, and the part that the store does. */
struct split {
	struct effects_run run; /* the daemon's */
	struct effects_run *whole;
	struct cluster *cluster;
	struct persist_waiter persisted;
	unsigned pending;
	bool ok;
	struct effect effect[];
};

struct cluster {
	struct replog *log;
	struct cluster_callbacks cb;
	char name[64];
	uint32_t node;
	struct {
		uint32_t id;
		char name[64];
	} nodes[NODES_MAX];
	size_t nnodes;
	qb_loop_t *loop;
	struct mailbox *control;
	struct store *store;
	struct worker worker;
	bool worker_runs;
	struct persist persist;

	struct local *local;
	struct cpg_link *cpg;
	struct quorum_watch *quorum;
	/* Quorum and group membership come on two connections: quorum counts for the group's ring only. */
	uint64_t ring_seq, quorum_seq;
	uint32_t ring_node[NODES_MAX];
	size_t nring;
	bool quorate, ring_due;

	qb_loop_timer_handle tick;
	bool ticking, woken;
	struct msg wake;
	unsigned publishing; /* answers still missing */
	bool published_ok;
	struct persist_waiter published;
	struct persist_waiter version_stored;
	bool storing_version;
	void (*left)(void *arg);
	void *left_arg;
	uint64_t leave_end;
};

const char *cluster_state_name(enum cluster_state s)
{
	switch (s) {
	case CLUSTER_OFFLINE:
		return "isolated";
	case CLUSTER_JOINING:
		return "joining";
	case CLUSTER_NO_QUORUM:
		return "no-quorum";
	case CLUSTER_SERVING:
		return "serving";
	case CLUSTER_DIVERGED:
		return "diverged";
	case CLUSTER_FAILED:
		return "failed";
	}
	return "?";
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t random64(void *arg)
{
	uint64_t v = 0;

	(void)arg;
	while (!v)
		if (getrandom(&v, sizeof(v), 0) != sizeof(v))
			v = 0;
	return v;
}

/* ---- effects ---------------------------------------------------------------------------------- */

static void split_done(struct split *sp, bool ok)
{
	sp->ok &= ok;
	if (--sp->pending)
		return;
	replog_effects_done(sp->cluster->log, sp->whole, sp->ok);
	free(sp);
}

static void split_persisted(struct persist_waiter *w, bool ok)
{
	split_done(caa_container_of(w, struct split, persisted), ok);
}

void cluster_effects_done(struct cluster *c, struct effects_run *run, bool ok)
{
	(void)c;
	split_done(caa_container_of(run, struct split, run), ok);
}

static void io_run_effects(void *arg, struct effects_run *whole)
{
	struct cluster *c = arg;
	struct split *sp = calloc(1, sizeof(*sp) + whole->n * sizeof(sp->effect[0]));
	bool persists = false;

	if (!sp) {
		replog_effects_done(c->log, whole, false);
		return;
	}
	*sp = (struct split){ .run = *whole, .whole = whole, .cluster = c, .pending = 1, .ok = true };
	sp->run.user = NULL;
	sp->run.effect = sp->effect;
	sp->run.n = 0;
	for (uint32_t i = 0; i < whole->n; i++) {
		if (whole->effect[i].kind == EFFECT_PERSIST) {
			persist_object(&c->persist, whole->service, whole->effect[i].object);
			persists = true;
		} else {
			sp->effect[sp->run.n++] = whole->effect[i];
		}
	}
	if (persists) {
		sp->pending++;
		sp->persisted.done = split_persisted;
		persist_wait(&c->persist, &sp->persisted);
	}
	if (sp->run.n) {
		sp->pending++;
		c->cb.run_effects(c->cb.arg, &sp->run);
	}
	split_done(sp, true);
}

/* ---- the whole state ------------------------------------------------------------------------------ */

static void publish_part(struct cluster *c, bool ok)
{
	c->published_ok &= ok;
	if (c->publishing && !--c->publishing)
		replog_published(c->log, c->published_ok);
}

void cluster_published(struct cluster *c, bool ok)
{
	publish_part(c, ok);
}

static void publish_persisted(struct persist_waiter *w, bool ok)
{
	publish_part(caa_container_of(w, struct cluster, published), ok);
}

static void persist_durable(void *arg, const struct service *s, const char *object)
{
	struct cluster *c = arg;

	persist_object(&c->persist, s, object);
}

static void io_publish_all(void *arg)
{
	struct cluster *c = arg;
	struct replog_lineage l;

	c->publishing = 2;
	c->published_ok = true;
	persist_clear(&c->persist);
	replog_each_durable(c->log, persist_durable, c);
	replog_lineage(c->log, &l);
	persist_lineage(&c->persist, &l);
	c->published.done = publish_persisted;
	persist_wait(&c->persist, &c->published);
	c->cb.publish_all(c->cb.arg);
}

struct lineage_waiter {
	struct persist_waiter w;
	struct cluster *cluster;
	uint64_t generation;
};

static void lineage_waiter_done(struct persist_waiter *w, bool ok)
{
	struct lineage_waiter *lw = caa_container_of(w, struct lineage_waiter, w);
	struct cluster *c = lw->cluster;

	replog_lineage_persisted(c->log, lw->generation, ok);
	free(lw);
	if (ok && c->cb.committed)
		c->cb.committed(c->cb.arg);
}

static void io_persist_lineage(void *arg, const struct replog_lineage *l)
{
	struct cluster *c = arg;
	struct lineage_waiter *lw = calloc(1, sizeof(*lw));

	if (!lw) {
		replog_lineage_persisted(c->log, l->generation, false);
		return;
	}
	*lw = (struct lineage_waiter){ .w.done = lineage_waiter_done, .cluster = c, .generation = l->generation };
	persist_lineage(&c->persist, l);
	persist_wait(&c->persist, &lw->w);
}

static void version_stored(struct persist_waiter *w, bool ok)
{
	struct cluster *c = caa_container_of(w, struct cluster, version_stored);

	c->storing_version = false;
	if (!ok)
		replog_fail(c->log, "the store of this node failed: see the log, repair the state directory, restart sandemd");
}

/* In front of whatever is stored later, and soon: a program that does not know this version is then refused here. */
static void io_version_changed(void *arg, uint32_t version)
{
	struct cluster *c = arg;

	persist_version(&c->persist, version);
	if (!c->storing_version) {
		c->storing_version = true;
		c->version_stored.done = version_stored;
		persist_wait(&c->persist, &c->version_stored);
	}
	if (c->cb.version_changed)
		c->cb.version_changed(c->cb.arg);
}

/* ---- the log's other outputs ----------------------------------------------------------------------- */

static int io_send(void *arg, const void *msg, size_t len)
{
	struct cluster *c = arg;

	if (c->local)
		return local_send(c->local, msg, len);
	return c->cpg ? cpg_link_send(c->cpg, msg, len) : -ENOTCONN;
}

static void io_state_changed(void *arg, enum cluster_state s, const char *why)
{
	struct cluster *c = arg;

	log_notice("cluster %s: %s: %s", c->name, cluster_state_name(s), why);
	c->cb.state_changed(c->cb.arg, s, why);
}

static bool io_harmless(void *arg, uint32_t node, bool node_down)
{
	struct cluster *c = arg;

	return c->cb.harmless(c->cb.arg, node, node_down);
}

static void io_settled(void *arg, uint32_t node)
{
	struct cluster *c = arg;

	if (c->cb.settled)
		c->cb.settled(c->cb.arg, node);
}

static void woken(struct msg *m)
{
	struct cluster *c = caa_container_of(m, struct cluster, wake);

	c->woken = false;
	replog_timer(c->log, now_ns());
}

static void io_wake(void *arg)
{
	struct cluster *c = arg;

	if (c->woken)
		return;
	c->woken = true;
	c->wake.fn = woken;
	mailbox_post(c->control, &c->wake);
}

static const char *io_node_name(void *arg, uint32_t node)
{
	const struct cluster *c = arg;

	for (size_t i = 0; i < c->nnodes; i++)
		if (c->nodes[i].id == node)
			return c->nodes[i].name;
	return NULL;
}

static void io_log(void *arg, enum log_level level, const char *text)
{
	struct cluster *c = arg;

	log_msg(level, "cluster %s: %s", c->name, text);
}

/* ---- the log's inputs ------------------------------------------------------------------------------- */

static bool ring_has(const struct cluster *c, uint32_t node)
{
	for (size_t i = 0; i < c->nring; i++)
		if (c->ring_node[i] == node)
			return true;
	return false;
}

/* Loss of quorum counts at once; having it counts only for the ring that the group is in: that of a newer one is about
 * members of whom the group has not been told yet, and a node that was parted would serve alone what they have outrun. */
static void sync_quorum(struct cluster *c)
{
	if (!c->quorate)
		replog_quorum(c->log, false);
	else if (!c->ring_due && c->quorum_seq == c->ring_seq)
		replog_quorum(c->log, true);
}

static void on_quorum(void *arg, bool quorate, uint64_t ring_seq)
{
	struct cluster *c = arg;

	c->quorate = quorate;
	c->quorum_seq = ring_seq;
	sync_quorum(c);
}

static void on_confchg(void *arg, const uint32_t *members, size_t n, const struct replog_gone *gone, size_t ngone,
		       const uint32_t *joined, size_t njoined)
{
	struct cluster *c = arg;

	for (size_t i = 0; i < ngone; i++)
		if (gone[i].reason == REPLOG_NODE_DOWN && ring_has(c, gone[i].node))
			c->ring_due = true;
	replog_timer(c->log, now_ns());
	replog_confchg(c->log, members, n, gone, ngone, joined, njoined);
	sync_quorum(c);
}

static void on_ring(void *arg, uint64_t seq, const uint32_t *nodes, size_t n)
{
	struct cluster *c = arg;

	c->ring_seq = seq;
	c->nring = n < NODES_MAX ? n : NODES_MAX;
	memcpy(c->ring_node, nodes, c->nring * sizeof(c->ring_node[0]));
	c->ring_due = false;
	sync_quorum(c);
}

static void on_deliver(void *arg, uint32_t from, const void *msg, size_t len)
{
	struct cluster *c = arg;

	replog_deliver(c->log, from, msg, len);
}

static void on_lost(void *arg, const char *why)
{
	struct cluster *c = arg;

	c->nring = c->ring_seq = 0;
	c->ring_due = false;
	replog_transport_lost(c->log, why);
}

/* ---- the clock, leaving ---------------------------------------------------------------------------- */

static void transport_close(struct cluster *c)
{
	quorum_watch_free(c->quorum);
	cpg_link_free(c->cpg);
	local_free(c->local);
	c->quorum = NULL;
	c->cpg = NULL;
	c->local = NULL;
}

static void leave_check(struct cluster *c)
{
	void (*left)(void *) = c->left;

	if (!left || (replog_state(c->log) != CLUSTER_OFFLINE && now_ns() < c->leave_end))
		return;
	c->left = NULL;
	transport_close(c);
	left(c->left_arg);
}

static void tick(void *data)
{
	struct cluster *c = data;

	c->ticking = !qb_loop_timer_add(c->loop, QB_LOOP_MED, TICK_NS, c, tick, &c->tick);
	replog_timer(c->log, now_ns());
	leave_check(c); /* last: its callback may end the loop */
}

void cluster_leave(struct cluster *c, void (*done)(void *arg), void *arg)
{
	c->left = done;
	c->left_arg = arg;
	c->leave_end = now_ns() + LEAVE_NS;
	replog_goodbye(c->log);
}

/* ---- starting ------------------------------------------------------------------------------------ */

struct loading {
	const struct cluster_params *p;
	struct replog_params *log;
	struct replog_durable *durable;
	size_t n, cap;
	char *err;
	size_t errlen;
};

static const struct service *service_named(const struct cluster_params *p, const char *key, size_t len)
{
	for (size_t i = 0; i < p->nservices; i++)
		if (strlen(p->services[i].ops->name) == len && !memcmp(p->services[i].ops->name, key, len))
			return &p->services[i];
	return NULL;
}

static int note_loaded(struct loading *ld, uint16_t service, const char *object)
{
	if (ld->n == ld->cap) {
		size_t cap = ld->cap ? 2 * ld->cap : 32;
		struct replog_durable *d = reallocarray(ld->durable, cap, sizeof(*d));

		if (!d)
			return -ENOMEM;
		ld->durable = d;
		ld->cap = cap;
	}
	ld->durable[ld->n].object = strdup(object);
	ld->durable[ld->n].service = service;
	return ld->durable[ld->n++].object ? 0 : -ENOMEM;
}

static int load_version(struct loading *ld, const void *value, size_t len)
{
	uint32_t version, spoken = ld->p->version_max ? ld->p->version_max : REPLOG_VERSION;

	if (persist_version_parse(&version, value, len)) {
		snprintf(ld->err, ld->errlen, "%s: the record of the protocol's version is not readable: restore the directory, or "
			 "move it away to take the other nodes' state", ld->p->state_dir);
		return -EBADMSG;
	}
	if (version > spoken) {
		snprintf(ld->err, ld->errlen, "%s: the cluster uses protocol version %u, this program speaks up to %u: update sandemd; "
			 "there is no way back", ld->p->state_dir, version, spoken);
		return -EPROTONOSUPPORT;
	}
	ld->log->lineage.version = version;
	return 0;
}

static int load_one(void *arg, const char *key, const void *value, size_t len)
{
	struct loading *ld = arg;
	const char *slash = strchr(key, '/');
	const struct service *s;
	char why[192] = "";

	if (!strcmp(key, PERSIST_LINEAGE_KEY)) {
		if (!persist_lineage_parse(&ld->log->lineage, value, len))
			return 0;
		snprintf(ld->err, ld->errlen, "%s: the record of the cluster's history is not readable: restore the directory, "
			 "or move it away to take the other nodes' state", ld->p->state_dir);
		return -EBADMSG;
	}
	if (!strcmp(key, PERSIST_VERSION_KEY))
		return load_version(ld, value, len);
	s = slash ? service_named(ld->p, key, slash - key) : NULL;
	if (!s || !s->ops->load) {
		snprintf(ld->err, ld->errlen, "%s: \"%s\" is of a service that this version does not have: update sandemd",
			 ld->p->state_dir, key);
		return -EBADMSG;
	}
	if (s->ops->load(s->state, slash + 1, value, len, why, sizeof(why))) {
		snprintf(ld->err, ld->errlen, "%s: \"%s\" is refused: %s; restore the directory, or move it away to take the "
			 "other nodes' state", ld->p->state_dir, key, why);
		return -EBADMSG;
	}
	return note_loaded(ld, s->ops->id, slash + 1);
}

/* A service that the version in use does not have has kept nothing. */
static int loaded_check(struct loading *ld)
{
	const struct replog_lineage *l = &ld->log->lineage;
	uint32_t version = l->version ? l->version : 1;

	for (size_t i = 0; i < ld->n; i++) {
		for (size_t k = 0; k < ld->p->nservices; k++) {
			const struct service_ops *ops = ld->p->services[k].ops;

			if (ops->id != ld->durable[i].service || ops->since <= version)
				continue;
			snprintf(ld->err, ld->errlen, "%s: \"%s/%s\" needs protocol version %u, and the directory is of version %u: "
				 "restore it, or move it away to take the other nodes' state", ld->p->state_dir, ops->name,
				 ld->durable[i].object, ops->since, version);
			return -EBADMSG;
		}
	}
	return 0;
}

static void copy_nodes(struct cluster *c, const struct cluster_params *p)
{
	c->nnodes = p->nnodes < NODES_MAX ? p->nnodes : NODES_MAX;
	for (size_t i = 0; i < c->nnodes; i++) {
		c->nodes[i].id = p->nodes[i].id;
		snprintf(c->nodes[i].name, sizeof(c->nodes[i].name), "%s", p->nodes[i].name);
	}
}

static const char *node_name(const struct cluster *c, uint32_t id)
{
	const char *name = io_node_name((void *)c, id);

	return name ? name : "?";
}

static int create_log(struct cluster *c, const struct cluster_params *p, char *err, size_t errlen)
{
	struct replog_params lp = { .cluster = c->name,
				    .node = p->node,
				    .node_name = node_name(c, p->node),
				    .incarnation = random64(NULL),
				    .services = p->services,
				    .nservices = p->nservices,
				    .version_min = p->version_max ? REPLOG_VERSION_MIN : 0,
				    .version_max = p->version_max,
				    .nnodes = p->nnodes,
				    .check_ns = CHECK_NS };
	struct replog_io io = { c,		 io_send,	   io_run_effects, io_publish_all, io_persist_lineage,
				io_state_changed, io_version_changed, io_harmless, random64, io_wake, io_log, io_node_name, io_settled };
	struct loading ld = { .p = p, .log = &lp, .err = err, .errlen = errlen };
	uint32_t all[NODES_MAX];
	int code;

	for (size_t i = 0; i < c->nnodes; i++)
		all[i] = c->nodes[i].id;
	lp.first = all;
	lp.nfirst = p->local ? 0 : c->nnodes;

	memcpy(lp.config_digest, p->config_digest, sizeof(lp.config_digest));
	memcpy(lp.fixed_digest, p->fixed_digest, sizeof(lp.fixed_digest));
	snprintf(err, errlen, "%s: out of memory while loading", p->state_dir);
	code = store_each(c->store, load_one, &ld);
	if (!code)
		code = loaded_check(&ld);
	lp.durables = ld.durable;
	lp.ndurables = ld.n;
	lp.outdated = persist_lineage_is_older(&lp.lineage, p->newest_generation, p->newest_history);
	if (!code)
		c->log = replog_new(&lp, &io);
	for (size_t i = 0; i < ld.n; i++)
		free((char *)ld.durable[i].object);
	free(ld.durable);
	return code ? code : c->log ? 0 : -ENOMEM;
}

static int connect_transport(struct cluster *c, const struct cluster_params *p)
{
	struct transport_events ev = { c, on_confchg, on_deliver, on_ring, on_lost };
	char group[128];

	if (p->local) {
		c->quorate = true;
		c->local = local_new(c->control, p->node, &ev);
		replog_quorum(c->log, true);
		return c->local ? 0 : -ENOMEM;
	}
	snprintf(group, sizeof(group), "sandem/%s", c->name);
	c->quorum = quorum_watch_new(c->loop, on_quorum, c);
	c->cpg = cpg_link_new(c->loop, group, p->node, &ev);
	return c->quorum && c->cpg ? 0 : -ENOMEM;
}

static int start_parts(struct cluster *c, const struct cluster_params *p, char *err, size_t errlen)
{
	int code;

	if (strlen(p->name) >= sizeof(c->name) || !*p->name || !p->node) {
		snprintf(err, errlen, "cluster \"%s\", node %u: the name has 1 to %zu characters, the node id is not 0", p->name,
			 p->node, sizeof(c->name) - 1);
		return -EINVAL;
	}
	snprintf(c->name, sizeof(c->name), "%s", p->name);
	copy_nodes(c, p);
	code = store_file_open(p->state_dir, &c->store, err, errlen);
	if (!code)
		code = create_log(c, p, err, errlen);
	if (code)
		return code;
	snprintf(err, errlen, "out of memory while starting the cluster");
	code = worker_init(&c->worker, p->control);
	if (code)
		return code;
	c->worker_runs = true;
	persist_init(&c->persist, c->store, &c->worker);
	replog_timer(c->log, now_ns());
	code = connect_transport(c, p);
	if (!code)
		code = qb_loop_timer_add(c->loop, QB_LOOP_MED, TICK_NS, c, tick, &c->tick);
	c->ticking = !code;
	return code;
}

struct cluster *cluster_start(const struct cluster_params *p, const struct cluster_callbacks *cb, char *err,
			      size_t errlen)
{
	struct cluster *c = calloc(1, sizeof(*c));

	if (!c) {
		snprintf(err, errlen, "out of memory while starting the cluster");
		return NULL;
	}
	c->cb = *cb;
	c->node = p->node;
	c->loop = p->loop;
	c->control = p->control;
	if (!start_parts(c, p, err, errlen))
		return c;
	cluster_stop(c);
	return NULL;
}

void cluster_stop(struct cluster *c)
{
	if (!c)
		return;
	transport_close(c);
	if (c->worker_runs) {
		worker_fini(&c->worker);
		mailbox_run(c->control); /* its last answers */
		persist_fini(&c->persist);
	}
	if (c->ticking)
		qb_loop_timer_del(c->loop, c->tick);
	while (c->woken) /* cannot be taken back from the mailbox */
		mailbox_run(c->control);
	c->woken = true; /* nobody to wake any more */
	replog_free(c->log);
	store_close(c->store);
	free(c);
}

/* ---- questions and orders ------------------------------------------------------------------------- */

struct proposer *cluster_proposer(struct cluster *c)
{
	return replog_proposer(c->log);
}

void cluster_fencing_confirmed(struct cluster *c, uint32_t node)
{
	replog_fencing_confirmed(c->log, node);
}

void cluster_owner_fenced(struct cluster *c, uint32_t node)
{
	replog_owner_fenced(c->log, node);
}

int cluster_discard_own(struct cluster *c)
{
	return replog_discard_own(c->log);
}

int cluster_keep_own(struct cluster *c)
{
	return replog_keep_own(c->log);
}

enum cluster_state cluster_state(const struct cluster *c)
{
	return replog_state(c->log);
}

const char *cluster_why(const struct cluster *c)
{
	return replog_why(c->log);
}

bool cluster_quorate(const struct cluster *c)
{
	return replog_quorate(c->log);
}

void cluster_lineage(const struct cluster *c, struct replog_lineage *out)
{
	replog_lineage(c->log, out);
}

uint64_t cluster_branch(const struct cluster *c)
{
	return replog_branch(c->log);
}

uint64_t cluster_position(const struct cluster *c)
{
	return replog_position(c->log);
}

uint32_t cluster_version(const struct cluster *c)
{
	return replog_version(c->log);
}

bool cluster_has(const struct cluster *c, uint16_t service)
{
	return replog_has(c->log, service);
}

size_t cluster_members(const struct cluster *c, struct cluster_member *out, size_t max)
{
	struct replog_member_info m[REPLOG_MEMBERS_MAX];
	size_t n = replog_members(c->log, m, REPLOG_MEMBERS_MAX);

	for (size_t i = 0; i < n && i < max; i++)
		out[i] = (struct cluster_member){ m[i].node, node_name(c, m[i].node), m[i].synced, m[i].acked,
						  m[i].version_max };
	return n;
}

size_t cluster_unfenced(const struct cluster *c, uint32_t *out, size_t max)
{
	return replog_unfenced(c->log, out, max);
}
