/* SPDX-License-Identifier: BSD-2-Clause */
/* The node's own file and the cluster's generation: what of each a node runs with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/diff.h"

static void exchange(void *a, void *b, size_t len)
{
	char tmp[64];

	memcpy(tmp, a, len);
	memcpy(a, b, len);
	memcpy(b, tmp, len);
}

/* The same node in own; one that own does not have is no preference. */
static int preferred_in(const struct config *own, const struct config *from, const struct config_group *g)
{
	return g->preferred < 0 ? -1 : config_find_node(own, from->node[g->preferred].name);
}

/* Of the groups only what every generation may change. */
static void take_limits(struct config *own, const struct config *from)
{
	for (size_t i = 0; i < own->ngroups; i++) {
		int at = config_find_group(from, own->group[i].name);

		if (at < 0)
			continue;
		own->group[i].hold_limit_ms = from->group[at].hold_limit_ms;
		own->group[i].preferred = preferred_in(own, from, &from->group[at]);
	}
}

static void take_groups(struct config *own, struct config *from)
{
	for (size_t i = 0; i < from->ngroups; i++)
		from->group[i].preferred = preferred_in(own, from, &from->group[i]);
	exchange(&own->ngroups, &from->ngroups, sizeof(own->ngroups));
	exchange(&own->group, &from->group, sizeof(own->group));
}

static int find_groups_of(const struct config *own, struct config *gen, char *err, size_t errlen)
{
	for (size_t i = 0; i < gen->nlus; i++)
		if (config_find_group(own, gen->group[gen->lu[i].group].name) < 0) {
			snprintf(err, errlen, "LUN %s of the cluster's configuration is in group %s, which sandem.yaml "
				 "does not have; put the group back into sandem.yaml", gen->lu[i].name,
				 gen->group[gen->lu[i].group].name);
			return -EINVAL;
		}
	for (size_t i = 0; i < gen->nlus; i++)
		gen->lu[i].group = config_find_group(own, gen->group[gen->lu[i].group].name);
	return 0;
}

int config_adopt(struct config *own, struct config *gen, bool groups, char *err, size_t errlen)
{
	if (!groups && find_groups_of(own, gen, err, errlen) < 0)
		return -EINVAL;
	if (groups)
		take_groups(own, gen);
	else
		take_limits(own, gen);
	exchange(&own->nlus, &gen->nlus, sizeof(own->nlus));
	exchange(&own->lu, &gen->lu, sizeof(own->lu));
	exchange(&own->ntargets, &gen->ntargets, sizeof(own->ntargets));
	exchange(&own->target, &gen->target, sizeof(own->target));
	return 0;
}

/* ---- names of groups ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **config_group_names(const struct config *c)
{
	char **name = calloc(c->ngroups + 1, sizeof(*name));

	for (size_t i = 0; name && i < c->ngroups; i++)
		name[i] = c->group[i].name;
	if (name)
		qsort(name, c->ngroups, sizeof(*name), by_name);
	return name;
}

bool config_has_groups(const struct config *c, char *const *names, size_t n)
{
	bool same = c->ngroups == n;

	for (size_t i = 0; same && i < n; i++)
		same = config_find_group(c, names[i]) >= 0;
	return same;
}
