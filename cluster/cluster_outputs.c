/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log has carried out: effects by the daemon, what is kept by the store, both answered as one. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "cluster/cluster_int.h"

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

static bool io_groups_replicated(void *arg)
{
	struct cluster *c = arg;

	return c->cb.groups_replicated && c->cb.groups_replicated(c->cb.arg);
}

static void woken(struct msg *m)
{
	struct cluster *c = caa_container_of(m, struct cluster, wake);

	c->woken = false;
	cluster_clock(c);
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
	return cluster_node_name(arg, node);
}

static void io_log(void *arg, enum log_level level, const char *text)
{
	struct cluster *c = arg;

	log_msg(level, "cluster %s: %s", c->name, text);
}

static uint64_t io_random(void *arg)
{
	uint64_t v = 0;

	(void)arg;
	while (!v)
		if (getrandom(&v, sizeof(v), 0) != sizeof(v))
			v = 0;
	return v;
}

struct replog_io cluster_outputs(struct cluster *c)
{
	return (struct replog_io){
		.arg = c,
		.send = io_send,
		.run_effects = io_run_effects,
		.publish_all = io_publish_all,
		.persist_lineage = io_persist_lineage,
		.state_changed = io_state_changed,
		.version_changed = io_version_changed,
		.harmless = io_harmless,
		.random = io_random,
		.wake = io_wake,
		.log = io_log,
		.node_name = io_node_name,
		.settled = io_settled,
		.groups_replicated = io_groups_replicated,
	};
}
