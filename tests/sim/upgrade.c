/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rolling upgrade: nodes whose programs speak the oldest version of the protocol that there is a way from, or the one
 * before this one's, in one schedule of three. An older program is this one, held to the older version, without the services that came later.
 *
 *   before the version rises: any node may be started with either program, at any moment
 *   afterwards:               the older one does not open the store of a member (P9), and with an empty one it is not taken in
 *
 * What must hold: the newer version is in use only when all nodes have been in one group with the newer program; who is at the same
 * place of the log uses the same; what was acknowledged in the newer one is never followed by an answer in the older.
 */
#include <string.h>

#include "cluster/persist.h"
#include "tests/sim/sim.h"

void upgrade_init(struct sim *s)
{
	bool fresh = chance(s, 4); /* a new cluster, with programs of both */

	s->skew = chance(s, 3);
	s->older = s->skew && chance(s, 2) ? REPLOG_VERSION - 1 : REPLOG_VERSION_MIN;
	for (uint32_t i = 1; i <= s->nodes; i++)
		s->node[i].speaks = s->skew && !(fresh && chance(s, 2)) ? s->older : REPLOG_VERSION;
}

/* One that the older program does not know. */
static bool version_stored(struct node *n)
{
	uint8_t value[sizeof(uint32_t)];
	size_t len = fs_value(n, PERSIST_VERSION_KEY, value, sizeof(value));
	uint32_t version;

	return len && !persist_version_parse(&version, value, len) && version > n->sim->older;
}

static unsigned serving_with_newer(const struct sim *s)
{
	unsigned n = 0;

	for (uint32_t i = 1; i <= s->nodes; i++)
		n += node_serving(&s->node[i]) && cluster_version(s->node[i].d.cluster) == REPLOG_VERSION;
	return n;
}

void upgrade_choose(struct node *n)
{
	struct sim *s = n->sim;

	if (!s->skew)
		return;
	if (s->upgrade_all) {
		n->speaks = REPLOG_VERSION;
	} else if (version_stored(n)) {
		n->speaks = chance(s, 3) ? s->older : REPLOG_VERSION;
		if (n->speaks == s->older && chance(s, 2) && serving_with_newer(s) * 2 > s->nodes) {
			sim_trace(s, "the store of node %u is moved away", n->id);
			fs_clear(&n->fs);
			n->newer = false;
		}
	} else if (n->speaks == s->older) {
		n->speaks = chance(s, 2) ? s->older : REPLOG_VERSION;
	} else if (chance(s, 6)) {
		n->speaks = s->older; /* the way it came */
	}
}

bool upgrade_refused(struct node *n, const char *why)
{
	if (n->speaks == REPLOG_VERSION || !version_stored(n) || !strstr(why, "there is no way back"))
		return false;
	n->sim->count.refused++;
	sim_trace(n->sim, "is refused: %s", why);
	return true;
}

bool upgrade_undecided(const struct sim *s)
{
	return s->skew && s->version_acked < REPLOG_VERSION;
}

bool upgrade_old_rules(const struct sim *s)
{
	return s->older == 1 && upgrade_undecided(s);
}

bool upgrade_shut_out(const struct node *n)
{
	return n->speaks == n->sim->older && n->sim->all_new;
}

void upgrade_started(struct node *n)
{
	sim_trace(n->sim, "speaks version %u", n->speaks);
	if (n->speaks == n->sim->older && n->newer && fs_value(n, PERSIST_LINEAGE_KEY, NULL, 0))
		sim_fail(n->sim, "P9: node %u starts with an older program from what it has stored, although version %u is in use",
			 n->id, REPLOG_VERSION);
}

void upgrade_together(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (!s->node[i].running || s->node[i].partition || s->node[i].speaks != REPLOG_VERSION)
			return;
	s->all_new = true;
}

/* A node ends, in order or at once; upgrade_choose() has the rest. */
void upgrade_act(struct sim *s, struct node *n)
{
	if (!s->skew || !n->running || n->speaks == REPLOG_VERSION || n->paused || s->partitions)
		return;
	if (__real_cluster_state(n->d.cluster) == CLUSTER_DIVERGED) {
		sim_trace(s, "node %u, which was not taken in, ends", n->id);
		node_die(n, REPLOG_PROCESS_DOWN);
		crm_node_gone(s, n->id);
		return;
	}
	s->count.upgrades++;
	schedule_stop(s, n);
}

void upgrade_acknowledged(const struct node *n)
{
	struct sim *s = n->sim;
	uint32_t version = cluster_version(n->d.cluster);

	if (version < s->version_acked)
		sim_fail(s, "P9: node %u answers in version %u, although version %u was in use before", n->id, version,
			 s->version_acked);
	s->version_acked = version;
	for (uint32_t i = 1; i <= s->nodes; i++)
		s->node[i].newer |= version == REPLOG_VERSION && node_serving(&s->node[i]);
}

static void check_pair(struct sim *s, const struct node *a, const struct node *b)
{
	uint32_t x = cluster_version(a->d.cluster), y = cluster_version(b->d.cluster);

	if (cluster_branch(a->d.cluster) == cluster_branch(b->d.cluster) &&
	    cluster_position(a->d.cluster) == cluster_position(b->d.cluster) && x != y)
		sim_fail(s, "P3: nodes %u and %u are at the same place of the log with versions %u and %u", a->id, b->id, x, y);
}

void upgrade_check(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		const struct node *n = &s->node[i];

		if (!node_serving(n))
			continue;
		if (cluster_version(n->d.cluster) > n->speaks)
			sim_fail(s, "P9: node %u serves in version %u, which its program does not know", i,
				 cluster_version(n->d.cluster));
		if (cluster_version(n->d.cluster) == REPLOG_VERSION && !s->all_new)
			sim_fail(s, "version %u is in use on node %u, but never were all nodes there with it", REPLOG_VERSION, i);
		for (uint32_t k = i + 1; k <= s->nodes; k++)
			if (node_serving(&s->node[k]))
				check_pair(s, n, &s->node[k]);
	}
}

/* All serve: in use is the newest version that was to be had. */
void upgrade_check_end(struct sim *s)
{
	uint32_t version = s->all_new ? REPLOG_VERSION : s->older;

	for (uint32_t i = 1; i <= s->nodes && s->skew; i++)
		if (cluster_version(s->node[i].d.cluster) != version)
			sim_fail(s, "at the end node %u uses version %u instead of %u", i, cluster_version(s->node[i].d.cluster),
				 version);
}

uint32_t upgrade_due(struct sim *s, bool patience)
{
	unsigned serving = 0;

	s->upgrade_all = s->skew && (s->all_new || s->resolved || s->seed % 4);
	for (uint32_t i = 1; i <= s->nodes; i++)
		serving += node_serving(&s->node[i]);
	for (uint32_t i = 1; i <= s->nodes && s->upgrade_all; i++)
		if (s->node[i].running && s->node[i].speaks == s->older && (!patience || serving == s->nodes))
			return i;
	return 0;
}
