/* SPDX-License-Identifier: BSD-2-Clause */
/* One schedule, from its seed to its end: the number of nodes, what may fail, and everything that happens come from the seed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define ACTIONS 60
#define LINK_PASS_NS 250000000ull

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

/* ---- running ---------------------------------------------------------------------------------------------------------------------- */

static bool step(struct sim *s)
{
	uint32_t first = sim_random(s) % s->nodes;

	s->steps++;
	s->now += sim_random(s) % 100000;
	if (s->forwards && chance(s, 3) && tcp_arrive(s))
		return true;
	for (uint32_t i = 0; i < s->nodes; i++)
		if (node_step(&s->node[1 + (first + i) % s->nodes]))
			return true;
	return s->forwards && tcp_arrive(s);
}

bool sim_steps(struct sim *s, unsigned n)
{
	while (n-- && !*s->broken)
		if (!step(s))
			return false;
	return true;
}

static void on_to_next_timer(struct sim *s)
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

/* Nothing is left to do now: on to what the clock brings next. A link's own timers come again and again, and bring nothing. */
void sim_pass(struct sim *s)
{
	uint64_t until = s->now + LINK_PASS_NS;

	on_to_next_timer(s);
	while (s->forwards && s->now < until && !*s->broken) {
		sim_steps(s, 20000);
		on_to_next_timer(s);
	}
}

/* ---- from the beginning to the end ---------------------------------------------------------------------------------------------------- */

static void init(struct sim *s, uint64_t seed)
{
	s->seed = seed;
	s->rng = seed * 0x2545f4914f6cdd1dull + 1;
	s->now = 1000000000ull;
	s->nodes = 2 + (sim_random(s) % 8) / 2; /* 2 … 5 */
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
	s->forwards = s->nodes <= 3 && seed & 1; /* few: each forwards to each */
	upgrade_init(s);
	/* In version 1 a start asks only those who are there, and with a device that may be half of them. */
	s->device = !s->skew && s->nodes % 2 == 0 && chance(s, 2);
	s->two_node = s->nodes == 2 && !s->device;
}

static void clean_up(struct sim *s)
{
	disk_free_closed(s);
	tcp_clear(s);
	for (uint32_t i = 1; i <= s->values && i < VALUES; i++)
		free(s->command[i]);
}

bool sim_run(uint64_t seed, enum plant plant, bool trace, struct sim *s)
{
	memset(s, 0, sizeof(*s));
	s->plant = plant;
	s->trace = trace;
	world = s;
	init(s, seed);
	for (uint32_t i = 1; i <= s->nodes; i++)
		node_boot(&s->node[i]);
	sim_steps(s, chance(s, 4) ? 50 : 5000);
	for (unsigned i = 0; i < ACTIONS && !*s->broken; i++) {
		schedule_act(s);
		sim_steps(s, sim_random(s) % 80);
		history_check_equal(s);
		lingers_check(s);
		upgrade_check(s);
		admin_check(s);
	}
	if (!*s->broken)
		finish(s);
	for (uint32_t i = 1; i <= s->nodes; i++) {
		node_die(&s->node[i], REPLOG_NODE_DOWN);
		fs_clear(&s->node[i].fs);
	}
	clean_up(s);
	return !*s->broken;
}

bool sim_run_scale(struct sim *s, unsigned registrants)
{
	memset(s, 0, sizeof(*s));
	world = s;
	init(s, 1);
	s->nodes = 3;
	s->two_node = s->device = s->forwards = false;
	s->unfollowed = true;
	scale(s, registrants);
	printf("%s\n", *s->broken ? s->broken : "no verdict");
	for (uint32_t i = 1; i <= s->nodes; i++) {
		node_die(&s->node[i], REPLOG_NODE_DOWN);
		fs_clear(&s->node[i].fs);
	}
	clean_up(s);
	return !*s->broken;
}
