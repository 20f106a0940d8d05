/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schedules: the number of nodes, what may fail, and everything that happens come from the seed.
 *
 *   sim [--from N] [--seeds N]     that many schedules; exit 1 at the first verdict, with seed and how to see its trace
 *   SEED=n sim                     one schedule, with a trace
 *   sim --registrants N            a node joins while N nexuses register with one logical unit (scale.c)
 *   sim --plant NAME --seeds N     with a planted fault: exit 0 when it is found; --plants lists them
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "tests/sim/sim.h"

#define ACTIONS 60
#define STEPS_MAX 200000

static struct sim *world; /* what link-level replacements of the daemon's functions find */

struct sim *sim_world(void)
{
	return world;
}

uint64_t sim_random(struct sim *s)
{
	uint64_t z = s->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31)) | 1ull << 63;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (*s->broken)
		return;
	va_start(ap, fmt);
	vsnprintf(s->broken, sizeof(s->broken), fmt, ap);
	va_end(ap);
	sim_trace(s, "VERDICT: %s", s->broken);
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->trace)
		return;
	printf("%6llu %9.3f ms %c ", (unsigned long long)s->steps, s->now / 1e6, s->cur ? (int)('0' + s->cur->id) : ' ');
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void on_log(enum log_level level, const char *line)
{
	(void)level;
	if (world)
		sim_trace(world, "  %s", line);
}

/* ---- running ---------------------------------------------------------------------------------------------------------------------- */

static bool step(struct sim *s)
{
	uint32_t first = sim_random(s) % s->nodes;

	s->steps++;
	s->now += sim_random(s) % 100000;
	for (uint32_t i = 0; i < s->nodes; i++)
		if (node_step(&s->node[1 + (first + i) % s->nodes]))
			return true;
	return false;
}

bool sim_steps(struct sim *s, unsigned n)
{
	while (n-- && !*s->broken)
		if (!step(s))
			return false;
	return true;
}

/* Nothing is left to do now: on to what the clock brings next. */
void sim_pass(struct sim *s)
{
	uint64_t at = ~0ull;

	for (uint32_t i = 1; i <= s->nodes; i++) {
		uint64_t t = s->node[i].running && !s->node[i].paused ? machine_next_timer(&s->node[i]) : ~0ull;

		if (t < at)
			at = t;
	}
	if (at != ~0ull && at > s->now)
		s->now = at;
}

static void power_off(struct sim *s)
{
	s->count.blackouts++;
	for (uint32_t i = 1; i <= s->nodes; i++) {
		if (s->node[i].running)
			node_die(&s->node[i], REPLOG_NODE_DOWN);
		else
			fs_power_loss(&s->node[i]);
		s->node[i].up = s->node[i].seen_all = false;
		s->node[i].partition = 1000 + i;
		s->node[i].fence_news = 0;
		s->fence_due &= ~(1u << i);
		crm_node_gone(s, i);
	}
	s->partitions = 0;
}

/* ---- what can happen ---------------------------------------------------------------------------------------------------------------- */

static unsigned serving(const struct sim *s)
{
	unsigned n = 0;

	for (uint32_t i = 1; i <= s->nodes; i++)
		n += node_serving(&s->node[i]);
	return n;
}

bool sim_may_fault(const struct sim *s)
{
	return (s->any_fault && !upgrade_old_rules(s)) || (s->nodes - serving(s) + 1) * 2 <= s->nodes;
}

static bool somebody_has_it(const struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		const struct node *n = &s->node[i];

		if (n->running && !n->leaving && s->history[n->history].used && history_descends(s, n->history, s->frontier) &&
		    __real_cluster_state(n->d.cluster) != CLUSTER_JOINING)
			return true;
	}
	return false;
}

/* In version 1 only a power loss of all makes a start wait for all whom it has to wait for. */
static void power_check(struct sim *s)
{
	if (upgrade_old_rules(s) && !somebody_has_it(s))
		power_off(s);
}

static void crash(struct sim *s, struct node *n, enum replog_gone_reason reason)
{
	s->count.crashes++;
	node_die(n, reason);
	s->fence_due |= 1u << n->id;
	if (s->plant == PLANT_PROMOTE_UNFENCED)
		crm_node_gone(s, n->id);
	power_check(s);
}

static void fence_late(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->fence_late & 1u << i) {
			s->fence_late &= ~(1u << i);
			crm_fence(s, i);
			power_check(s);
			return;
		}
}

static void fence_somebody(struct sim *s)
{
	if (!s->partitions)
		fence_late(s);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (s->fence_due & 1u << i && !s->node[i].running) {
			s->fence_due &= ~(1u << i);
			crm_fence(s, i);
			return;
		}
}

static void start(struct sim *s, struct node *n)
{
	if (n->running || s->partitions)
		return;
	if (s->fence_due & 1u << n->id)
		crm_fence(s, n->id);
	s->fence_due &= ~(1u << n->id);
	crm_node_gone(s, n->id);
	crm_flush_news(s, n->id);
	upgrade_choose(n);
	node_boot(n);
}

static void part(struct sim *s)
{
	uint32_t mask = sim_random(s) & ((1u << s->nodes) - 1) << 1;

	s->count.partitions++;
	s->cur = NULL;
	sim_trace(s, "partition: mask %x", mask);
	net_partition(s, mask);
	if (s->plant == PLANT_PROMOTE_UNFENCED)
		for (uint32_t i = 1; i <= s->nodes; i++)
			if (s->node[i].partition)
				crm_node_gone(s, i);
}

/* The link is back before anybody was fenced. The cluster manager may fence what it had decided to, all the same; who that is has
 * nothing to do with whose history goes on. */
static void heal_unfenced(struct sim *s)
{
	uint32_t node = 1 + sim_random(s) % s->nodes;

	s->cur = NULL;
	s->count.heals++;
	if (s->plant == PLANT_FALSE_FENCING) {
		for (uint32_t i = 1; i <= s->nodes; i++)
			for (uint32_t k = 1; k <= s->nodes; k++)
				if (s->node[i].running && s->node[i].partition != s->node[k].partition)
					s->node[i].fence_news |= 1u << k;
		sim_steps(s, 100);
	}
	sim_trace(s, "partition healed, nobody is fenced");
	net_heal(s);
	if (s->node[node].running && chance(s, 3))
		s->fence_late |= 1u << node;
}

/* The side that may go on fences the other before anything is promoted there; in a cluster of two, one of them wins the race. */
static void end_partition(struct sim *s)
{
	unsigned winner = 0;

	if (chance(s, 3)) {
		heal_unfenced(s);
		return;
	}
	if (s->two_node) {
		winner = sim_random(s) % 2;
	} else {
		for (uint32_t i = 1; i <= s->nodes; i++)
			if (s->node[i].running && net_quorate(&s->node[i]))
				winner = s->node[i].partition;
	}
	for (uint32_t i = 1; i <= s->nodes; i++) {
		bool quorate = s->two_node || serving(s);

		if (s->node[i].up && s->node[i].partition != winner && quorate && (s->two_node || sim_random(s) % 8))
			crash(s, &s->node[i], REPLOG_NODE_DOWN);
	}
	if (!s->partitions)
		return; /* the power went for all */
	sim_steps(s, sim_random(s) % 100);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (chance(s, 2))
			fence_somebody(s);
	sim_steps(s, sim_random(s) % 100);
	s->cur = NULL;
	sim_trace(s, "partition healed");
	net_heal(s);
}

/* The cluster manager stops the groups of a node before its daemon. */
void sim_stop(struct sim *s, struct node *n)
{
	for (unsigned i = 0; i < s->groups; i++)
		if (s->crm[i].at == n->id)
			return;
	if (!n->running || n->leaving || n->paused || s->partitions || !sim_may_fault(s))
		return;
	s->count.stops++;
	sim_trace(s, "node %u is stopped", n->id);
	node_stop(n);
}

static void act(struct sim *s)
{
	struct node *n = &s->node[1 + sim_random(s) % s->nodes];

	switch (sim_random(s) % 27) {
	case 0:
		if (n->running && sim_may_fault(s) && !s->partitions)
			crash(s, n, REPLOG_NODE_DOWN);
		break;
	case 1:
		if (n->running && sim_may_fault(s) && !s->partitions)
			crash(s, n, REPLOG_PROCESS_DOWN);
		break;
	case 2:
		if (!s->partitions && sim_may_fault(s))
			part(s);
		break;
	case 3:
	case 4:
		if (s->partitions)
			end_partition(s);
		break;
	case 5:
	case 6:
		start(s, n);
		break;
	case 7:
		n->paused = !n->paused && n->running;
		break;
	case 8:
	case 9:
		s->now += (50 + sim_random(s) % 2000) * 1000000ull;
		break;
	case 10:
	case 11:
	case 12:
		crm_monitor(s);
		if (!s->partitions || s->plant == PLANT_PROMOTE_UNFENCED)
			crm_act(s);
		break;
	case 13:
		fence_somebody(s);
		break;
	case 14:
		if (n->running && !n->paused)
			node_new_nexus(n, sim_random(s) % INITIATORS);
		break;
	case 16:
		if (chance(s, 2))
			sim_stop(s, n);
		break;
	case 15:
		if (s->any_fault && chance(s, 3))
			power_off(s);
		break;
	case 17:
		load_resize(s);
		break;
	case 18:
		upgrade_act(s, n);
		break;
	case 19:
		admin_act(s);
		break;
	default:
		for (unsigned k = sim_random(s) % 8; k; k--)
			load_one(s);
	}
}

/* ---- the end: everything is up again, and must come to rest in a good state ------------------------------------------------------------ */

static bool at_rest(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!node_serving(n) || !admin_settled(n))
			return false;
		for (unsigned k = 0; k < SLOTS; k++)
			if (n->slot[k].busy)
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
			if (n->slot[k].busy)
				sim_fail(s, "at the end command %u of initiator %u on node %u has no answer", n->slot[k].value,
					 n->slot[k].initiator, i);
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
			start(s, n);
	} else if (state == CLUSTER_DIVERGED && !s->resolved && !upgrade_shut_out(n) && !upgrade_old_rules(s)) {
		sim_fail(s, "node %u is refused, although nobody went on without it: %s", n->id, cluster_why(n->d.cluster));
	} else if (state == CLUSTER_DIVERGED && round % 50 == 49) {
		cluster_discard_own(n->d.cluster);
	} else if (state == CLUSTER_JOINING && s->lost && round == 150 && !serving(s) && !cluster_keep_own(n->d.cluster)) {
		s->cur = n;
		sim_trace(s, "the operator goes on with this node's state");
		history_resolved(s);
		s->count.resolved++;
	}
}

static void finish(struct sim *s)
{
	if (s->partitions)
		end_partition(s);
	for (uint32_t i = 1; i <= s->nodes; i++) {
		s->node[i].paused = false;
		s->node[i].slow = 0;
	}
	for (unsigned k = 0; k < 400 && !*s->broken; k++) {
		uint32_t old = upgrade_due(s, k % 20 != 19);

		fence_somebody(s);
		if (old)
			crash(s, &s->node[old], REPLOG_PROCESS_DOWN);
		for (uint32_t i = 1; i <= s->nodes; i++)
			operate(s, &s->node[i], k);
		sim_steps(s, 20000);
		crm_monitor(s);
		crm_settle(s);
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
		if (!s->skew) /* version 1 does not tell of a process that was lost and is back before the next membership */
			history_reservations_end(s);
		upgrade_check_end(s);
	}
}

static void init(struct sim *s, uint64_t seed)
{
	s->seed = seed;
	s->rng = seed * 0x2545f4914f6cdd1dull + 1;
	s->now = 1000000000ull;
	s->nodes = 2 + (sim_random(s) % 8) / 2; /* 2 … 5 */
	s->two_node = s->nodes == 2;
	s->groups = 1 + sim_random(s) % LUS;
	s->spc2 = chance(s, 4);
	s->any_fault = chance(s, 3); /* until none is left, one after the other or all at once */
	if (s->any_fault && chance(s, 4))
		s->lost = 1u << (1 + sim_random(s) % s->nodes);
	s->nhistories = 1;
	s->history[0] = (struct history){ .parent = -1, .lu = -1, .used = true };
	for (unsigned i = 0; i < LUS; i++)
		lu_model_init(&s->history[0].model[i], INITIATORS, s->nodes);
	for (unsigned i = 0; i < LUS; i++)
		s->medium_blocks[i] = BLOCKS;
	for (uint32_t i = 1; i <= s->nodes; i++) {
		s->node[i].sim = s;
		s->node[i].id = i;
		s->node[i].partition = 1000 + i;
	}
	upgrade_init(s);
}

static bool run(uint64_t seed, enum plant plant, bool trace, struct sim *s)
{
	memset(s, 0, sizeof(*s));
	s->acked = calloc(VALUES, 1);
	s->plant = plant;
	s->trace = trace;
	world = s;
	init(s, seed);
	for (uint32_t i = 1; i <= s->nodes; i++)
		node_boot(&s->node[i]);
	sim_steps(s, chance(s, 4) ? 50 : 5000);
	for (unsigned i = 0; i < ACTIONS && !*s->broken; i++) {
		act(s);
		sim_steps(s, sim_random(s) % 80);
		history_check_equal(s);
		upgrade_check(s);
		admin_check(s);
	}
	if (!*s->broken)
		finish(s);
	for (uint32_t i = 1; i <= s->nodes; i++) {
		node_die(&s->node[i], REPLOG_NODE_DOWN);
		fs_clear(&s->node[i].fs);
	}
	machine_free_closed(s);
	free(s->acked);
	return !*s->broken;
}

static bool run_scale(struct sim *s, unsigned registrants)
{
	memset(s, 0, sizeof(*s));
	s->acked = calloc(VALUES, 1);
	world = s;
	init(s, 1);
	s->nodes = 3;
	s->two_node = false;
	s->unfollowed = true;
	scale(s, registrants);
	printf("%s\n", *s->broken ? s->broken : "no verdict");
	for (uint32_t i = 1; i <= s->nodes; i++) {
		node_die(&s->node[i], REPLOG_NODE_DOWN);
		fs_clear(&s->node[i].fs);
	}
	machine_free_closed(s);
	free(s->acked);
	return !*s->broken;
}

/* ---- main ------------------------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned seeds;
	const char *what;
} plants[] = {
#define PLANT_ROW(name, seeds, what) { #name, seeds, what },
	PLANTS(PLANT_ROW)
};

static int hunt(struct sim *s, enum plant plant, uint64_t from, uint64_t seeds)
{
	for (uint64_t seed = from; seed < from + seeds; seed++)
		if (!run(seed, plant, false, s)) {
			char verdict[sizeof(s->broken)];

			memcpy(verdict, s->broken, sizeof(verdict));
			if (!run(seed, PLANT_NONE, false, s)) /* it is not the planted fault that it shows */
				continue;
			printf("planted %s: found at seed %llu: %s\n", plants[plant].name, (unsigned long long)seed, verdict);
			return 0;
		}
	printf("planted %s: NOT found within %llu seeds: %s\n", plants[plant].name, (unsigned long long)seeds, plants[plant].what);
	return 1;
}

static void add(struct sim *total, const struct sim *s)
{
	const uint64_t *from = (const uint64_t *)&s->count;
	uint64_t *to = (uint64_t *)&total->count;

	for (size_t i = 0; i < sizeof(s->count) / sizeof(*to); i++)
		to[i] += from[i];
	total->steps += s->steps;
}

static void say(const struct sim *total, uint64_t seeds)
{
	const struct {
		uint64_t n;
		const char *what;
	} counts[] = {
		{ total->count.writes, "writes" },	  { total->count.reads, "reads" },
		{ total->count.compares, "COMPARE AND WRITE" }, { total->count.pr_good, "PR OUT good" },
		{ total->count.pr_other, "not" },	  { total->count.reserves, "RESERVE" },
		{ total->count.settings, "settings" },	  { total->count.tmfs, "task management functions" },
		{ total->count.resizes, "resizes" },	  { total->count.conflicts, "conflicts" },
		{ total->count.owed, "unit attentions missed" }, { total->count.notready, "not ready" },
		{ total->count.moves, "moves" },	  { total->count.crashes, "crashes" },
		{ total->count.partitions, "partitions" }, { total->count.blackouts, "power losses of all" },
		{ total->count.stops, "orderly stops" },  { total->count.logins, "new sessions" },
		{ total->count.starts, "starts from stores" }, { total->count.resolved, "by the operator's word" },
		{ total->count.heals, "partitions healed unfenced" }, { total->count.torn, "torn files" },
		{ total->count.upgrades, "upgrades" },	  { total->count.refused, "older programs refused" },
		{ total->count.generations, "configurations" },
	};

	printf("%llu schedules, %llu steps:", (unsigned long long)seeds, (unsigned long long)total->steps);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		printf("%s %llu %s", i ? "," : "", (unsigned long long)counts[i].n, counts[i].what);
	putchar('\n');
}

static int many(struct sim *s, uint64_t from, uint64_t seeds)
{
	static struct sim total;
	uint64_t failed = 0;

	for (uint64_t seed = from; seed < from + seeds; seed++) {
		if (!run(seed, PLANT_NONE, false, s)) {
			printf("seed %llu: %s\n    its trace: SEED=%llu build/tests/sim/sim\n", (unsigned long long)seed, s->broken,
			       (unsigned long long)seed);
			if (++failed == 10)
				break;
		}
		add(&total, s);
	}
	say(&total, seeds);
	return failed != 0;
}

static enum plant find_plant(const char *name)
{
	for (int i = 1; i < PLANT_COUNT; i++)
		if (!strcmp(plants[i].name, name))
			return i;
	fprintf(stderr, "sim: there is no planted fault %s; sim --plants lists them\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct sim *s = malloc(sizeof(*s));
	const char *one = getenv("SEED");
	uint64_t from = 1, seeds = 0;
	enum plant plant = PLANT_NONE;
	unsigned registrants = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--plants")) {
			for (int k = 1; k < PLANT_COUNT; k++)
				printf("%s\t%u\t%s\n", plants[k].name, plants[k].seeds, plants[k].what);
			return 0;
		}
		if (i + 1 == argc) {
			fprintf(stderr, "sim: %s needs a value\n", argv[i]);
			return 2;
		}
		if (!strcmp(argv[i], "--from"))
			from = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--seeds"))
			seeds = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--registrants"))
			registrants = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--plant"))
			plant = find_plant(argv[++i]);
	}
	setlinebuf(stdout);
	log_setup(one ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, on_log);
	if (registrants)
		return !run_scale(s, registrants);
	if (one) {
		bool ok = run(strtoull(one, NULL, 0), plant, true, s);

		printf("%s\n", ok ? "no verdict" : s->broken);
		return !ok;
	}
	if (plant)
		return hunt(s, plant, from, seeds ? seeds : plants[plant].seeds);
	return many(s, from, seeds ? seeds : 1000);
}
