/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a schedule: everything is up again, and must come to rest in a good state. */
#include "tests/sim/sim.h"

static bool at_rest(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!node_serving(n) || !admin_settled(n))
			return false;
		for (unsigned k = 0; k < SLOTS; k++)
			if (n->slot[k] && n->slot[k]->busy)
				return false;
		for (unsigned k = 0; k < INITIATORS; k++)
			if (load_tmf_busy(n, k))
				return false;
	}
	return crm_settled(s);
}

static void say_what_is_missing(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!node_serving(n))
			sim_fail(s, "at the end node %u does not serve: %s", i, n->running ? cluster_why(n->d.cluster) : "down");
		for (unsigned k = 0; k < SLOTS; k++)
			if (n->slot[k] && n->slot[k]->busy)
				sim_fail(s, "at the end command %u of initiator %u on node %u has no answer", n->slot[k]->value,
					 n->slot[k]->initiator, i);
		for (unsigned k = 0; k < INITIATORS; k++)
			if (load_tmf_busy(n, k))
				sim_fail(s, "at the end a task management function of initiator %u on node %u has no answer", k, i);
	}
	sim_fail(s, "at the end a group has no owner, or a configuration is not through");
}

/* What the operator does, once it is clear that nothing comes of itself. */
static void operate(struct sim *s, struct node *n, unsigned round)
{
	enum cluster_state state = n->running ? __real_cluster_state(n->d.cluster) : CLUSTER_OFFLINE;

	if (!n->running) {
		if (!s->partitions && (!(s->lost & 1u << n->id) || round > 200))
			schedule_start(s, n);
	} else if (state == CLUSTER_DIVERGED && !s->resolved && !upgrade_shut_out(n) && !upgrade_undecided(s)) {
		sim_fail(s, "node %u is refused, although nobody went on without it: %s", n->id, cluster_why(n->d.cluster));
	} else if (state == CLUSTER_DIVERGED && round % 50 == 49) {
		cluster_discard_own(n->d.cluster);
	} else if (state == CLUSTER_JOINING && (s->lost || upgrade_undecided(s)) && round == 150 && !schedule_serving(s) && !cluster_keep_own(n->d.cluster)) {
		s->cur = n;
		sim_trace(s, "the operator goes on with this node's state");
		history_resolved(s);
		s->count.resolved++;
	}
}

void finish(struct sim *s)
{
	if (s->partitions)
		schedule_end_partition(s);
	s->link_cut = 0;
	for (uint32_t i = 1; i <= s->nodes; i++) {
		s->node[i].paused = false;
		s->node[i].slow = 0;
	}
	for (unsigned k = 0; k < 400 && !*s->broken; k++) {
		uint32_t old = upgrade_due(s, k % 20 != 19);

		schedule_fence_somebody(s);
		if (old)
			schedule_crash(s, &s->node[old], REPLOG_PROCESS_DOWN);
		for (uint32_t i = 1; i <= s->nodes; i++)
			operate(s, &s->node[i], k);
		sim_steps(s, 20000);
		crm_monitor(s);
		crm_settle(s);
		s->prompt |= crm_settled(s) || k > 100; /* what has waited all the time meets groups that have an owner again */
		if (at_rest(s) && !upgrade_due(s, false))
			break;
		sim_pass(s);
	}
	for (unsigned k = 0; k < 50 && !*s->broken && !at_rest(s); k++) { /* nothing is asked of it any more */
		sim_steps(s, 20000);
		sim_pass(s);
	}
	if (!*s->broken && !at_rest(s))
		say_what_is_missing(s);
	history_check_equal(s);
	upgrade_check(s);
	admin_check(s);
	if (!*s->broken) {
		if (s->older != 1 || !s->skew) /* version 1 does not tell of a process that was lost and is back before the next membership */
			history_reservations_end(s);
		upgrade_check_end(s);
	}
}
