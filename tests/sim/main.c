/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program: how many schedules, of which seeds, with which planted fault.
 *
 *   sim [--from N] [--seeds N]     that many schedules; exit 1 at the first verdict, with seed and how to see its trace
 *   SEED=n sim                     one schedule, with a trace
 *   sim --registrants N            a node joins while N nexuses register with one logical unit (scale.c)
 *   sim --plant NAME --seeds N     with a planted fault: exit 0 when it is found; --plants lists them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "tests/sim/sim.h"

static void on_log(enum log_level level, const char *line)
{
	(void)level;
	if (sim_world())
		sim_trace(sim_world(), "  %s", line);
}

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
		if (!sim_run(seed, plant, false, s)) {
			char verdict[sizeof(s->broken)];

			memcpy(verdict, s->broken, sizeof(verdict));
			if (!sim_run(seed, PLANT_NONE, false, s)) /* it is not the planted fault that it shows */
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
		{ total->count.forwarded, "forwarded to the medium" }, { total->count.links, "breaks of the link" },
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
		if (!sim_run(seed, PLANT_NONE, false, s)) {
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
	static struct sim world;
	struct sim *s = &world;
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
		return !sim_run_scale(s, registrants);
	if (one) {
		bool ok = sim_run(strtoull(one, NULL, 0), plant, true, s);

		printf("%s\n", ok ? "no verdict" : s->broken);
		return !ok;
	}
	if (plant)
		return hunt(s, plant, from, seeds ? seeds : plants[plant].seeds);
	return many(s, from, seeds ? seeds : 1000);
}
