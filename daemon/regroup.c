/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/regroup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config.h"
#include "daemon/config/diff.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"

/* ---- this node's objects ---------------------------------------------------------------------------------- */

int regroup_init(struct regroup *g, struct daemon *d, const struct config *next, size_t changes)
{
	size_t n = changes + 1;
	struct ownership **gone = reallocarray(d->gone.ownership, d->gone.nownerships + n, sizeof(struct ownership *));

	*g = (struct regroup){ .d = d, .came = calloc(n, sizeof(struct ownership *)),
			       .left = calloc(n, sizeof(struct ownership *)),
			       .list = calloc(next->ngroups + 1, sizeof(struct ownership *)) };
	if (gone)
		d->gone.ownership = gone;
	return gone && g->came && g->left && g->list ? 0 : -ENOMEM;
}

void regroup_fini(struct regroup *g)
{
	for (size_t i = 0; i < g->ncame && !g->attached; i++)
		ownership_free(g->came[i]);
	free(g->came);
	free(g->left);
	free(g->list);
	*g = (struct regroup){ .d = NULL };
}

bool regroup_add(struct regroup *g, const struct config *next, const char *name)
{
	struct ownership *o = ownership_new(g->d, next, &next->group[config_find_group(next, name)]);

	if (!o)
		return false;
	o->rebuilding = true;
	g->came[g->ncame++] = o;
	return true;
}

void regroup_remove(struct regroup *g, const char *name)
{
	g->left[g->nleft++] = ownership_find(g->d, name);
}

struct ownership *regroup_find(const struct regroup *g, const char *name)
{
	for (size_t i = 0; i < g->ncame; i++)
		if (strcmp(g->came[i]->group, name) == 0)
			return g->came[i];
	return ownership_find(g->d, name);
}

bool regroup_concerns(const struct regroup *g, const struct ownership *o)
{
	for (size_t i = 0; i < g->ncame; i++)
		if (g->came[i] == o)
			return true;
	for (size_t i = 0; i < g->nleft; i++)
		if (g->left[i] == o)
			return true;
	return false;
}

void regroup_attach(struct regroup *g, const struct config *next)
{
	struct daemon *d = g->d;
	struct ownership **former = d->ownership;

	for (size_t i = 0; i < next->ngroups; i++) {
		g->list[i] = regroup_find(g, next->group[i].name);
		ownership_configure(g->list[i], next, &next->group[i]);
	}
	for (size_t i = 0; i < g->nleft; i++)
		d->gone.ownership[d->gone.nownerships++] = g->left[i];
	d->ownership = g->list;
	d->ngroups = next->ngroups;
	g->list = former;
	g->attached = true;
}

void regroup_non_owners(struct daemon *d)
{
	for (size_t i = 0; i < d->config->ngroups; i++)
		d->ownership[i]->forward = d->config->group[i].non_owner == NON_OWNER_FORWARD;
}

void regroup_end(struct regroup *g)
{
	for (size_t i = 0; i < g->nleft; i++) {
		g->left[i]->rebuilding = false;
		ownership_reconcile(g->left[i]);
	}
}

/* ---- the log's side ----------------------------------------------------------------------------------------- */

bool regroup_possible(const struct daemon *d)
{
	return cluster_version(d->cluster) >= CONFIG_GROUPS_SINCE;
}

bool regroup_replicated(void *arg)
{
	const struct config_generation *g = config_service_current(((struct daemon *)arg)->generations);

	return g && g->ngroups;
}

bool regroup_free_to_go(void *arg, const char *const *group, size_t n)
{
	return !alua_service_held(((struct daemon *)arg)->alua, group, n);
}

int regroup_take(void *arg, const char *const *group, size_t n, uint64_t position)
{
	return alua_service_take(((struct daemon *)arg)->alua, group, n, position);
}
