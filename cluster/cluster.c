/* SPDX-License-Identifier: BSD-2-Clause */
/* The facade: brings the log, the transport, quorum and the store together for the daemon. */
#include "cluster/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster_int.h"
#include "cluster/store_file.h"

#define CHECK_NS 10000000000ull

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

/* ---- starting ------------------------------------------------------------------------------------ */

static void copy_nodes(struct cluster *c, const struct cluster_params *p)
{
	c->nnodes = p->nnodes < NODES_MAX ? p->nnodes : NODES_MAX;
	for (size_t i = 0; i < c->nnodes; i++) {
		c->nodes[i].id = p->nodes[i].id;
		snprintf(c->nodes[i].name, sizeof(c->nodes[i].name), "%s", p->nodes[i].name);
	}
}

const char *cluster_node_name(const struct cluster *c, uint32_t id)
{
	for (size_t i = 0; i < c->nnodes; i++)
		if (c->nodes[i].id == id)
			return c->nodes[i].name;
	return NULL;
}

static const char *node_name(const struct cluster *c, uint32_t id)
{
	const char *name = cluster_node_name(c, id);

	return name ? name : "?";
}

static int create_log(struct cluster *c, const struct cluster_params *p, char *err, size_t errlen)
{
	struct replog_io io = cluster_outputs(c);
	struct replog_params lp = { .cluster = c->name,
				    .node = p->node,
				    .node_name = node_name(c, p->node),
				    .incarnation = io.random(io.arg),
				    .services = p->services,
				    .nservices = p->nservices,
				    .version_min = p->version_max ? REPLOG_VERSION_MIN : 0,
				    .version_max = p->version_max,
				    .nnodes = p->nnodes,
				    .check_ns = CHECK_NS };
	struct cluster_loaded loaded;
	uint32_t all[NODES_MAX];
	int code;

	for (size_t i = 0; i < c->nnodes; i++)
		all[i] = c->nodes[i].id;
	lp.first = all;
	lp.nfirst = p->local ? 0 : c->nnodes;
	memcpy(lp.config_digest, p->config_digest, sizeof(lp.config_digest));
	memcpy(lp.fixed_digest, p->fixed_digest, sizeof(lp.fixed_digest));
	memcpy(lp.nodes_digest, p->nodes_digest, sizeof(lp.nodes_digest));
	code = cluster_load(c->store, p, &lp.lineage, &loaded, err, errlen);
	lp.durables = loaded.durable;
	lp.ndurables = loaded.n;
	lp.outdated = persist_lineage_is_older(&lp.lineage, p->newest_generation, p->newest_history);
	if (!code)
		c->log = replog_new(&lp, &io);
	cluster_loaded_fini(&loaded);
	return code ? code : c->log ? 0 : -ENOMEM;
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
	persist_init(&c->persist, c->store, &c->worker, replog_version(c->log));
	return cluster_connect(c, p);
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
	cluster_disconnect(c);
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
