/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of the configuration: administrators on any node, at any moment, several at once. The replicated service is the daemon's
 * (daemon/config/service.c); who asks (daemon/verbs_config.c) and who carries out (daemon/reconfig.c) are simulated: a look is a
 * good vote or a bad one, a swap takes a while, a text is a number.
 *
 * What must hold: a generation comes in force only when every member has voted for it; when its asker is told so it runs on
 * every node that serves, and from then on it, or a later one with it in its history, is what every node that serves has, also
 * after a power loss of all (P1). Every other text has one LUN group more, without LUNs: the owners' state has it exactly where
 * the generation in force says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/regroup.h"
#include "tests/sim/sim.h"

#define MORE "g9" /* the group that comes and goes */

static uint32_t text_of(const struct config_generation *g)
{
	return g ? strtoul(g->text, NULL, 10) : 0;
}

static void nobody_waits(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie, (void)status, (void)result, (void)len;
}

static void propose(struct node *n, const struct config_op *op, propose_done_fn done)
{
	struct proposer *p = cluster_proposer(n->d.cluster);
	struct wbuf msg = { 0 };

	config_service_pack(&msg, op);
	p->propose(p, CONFIG_SERVICE_ID, msg.data, msg.len, done, n);
	wbuf_fini(&msg);
}

static void propose_text(struct node *n, enum config_action action, uint64_t token, uint64_t number, uint32_t text,
			 propose_done_fn done)
{
	char t[16];
	char *groups[] = { "g0", n->sim->groups > 1 ? "g1" : MORE, MORE };
	struct config_generation g = { .number = number, .text = t, .slots = "", .author = "n", .note = "",
				       .group = groups, .ngroups = n->sim->groups + text % 2 };

	g.len = snprintf(t, sizeof(t), "%u", text);
	propose(n, &(struct config_op){ .action = action, .token = token, .wanted = &g }, done);
}

static uint32_t text_new(struct sim *s)
{
	if (s->config.ntexts == TEXTS - 1)
		sim_fail(s, "more configurations than the simulator has room for");
	return ++s->config.ntexts;
}

/* ---- what is true ---------------------------------------------------------------------------------------------------------- */

static bool has(const struct node *n, uint64_t number, uint32_t text)
{
	const struct config_generation *current = config_service_current(n->d.generations);
	const struct config_generation *g = config_service_find(n->d.generations, number);

	if (current && current->number >= number + CONFIG_HISTORY)
		return true; /* no longer kept */
	return current && current->number >= number && text_of(g) == text;
}

static bool uses_it(const struct node *n)
{
	return node_serving(n) && cluster_has(n->d.cluster, CONFIG_SERVICE_ID);
}

static void check_groups(const struct node *n)
{
	const struct config_generation *g = config_service_current(n->d.generations);
	bool has = alua_service_find(n->d.alua, MORE);

	if (g && has != (g->ngroups > n->sim->groups))
		sim_fail(n->sim, "P3: node %u %s group " MORE ", other than generation %llu says", n->id,
			 has ? "has" : "does not have", (unsigned long long)g->number);
}

void admin_check(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (uses_it(&s->node[i]))
			check_groups(&s->node[i]);
	for (uint32_t i = 1; i <= s->nodes && s->config.acked; i++)
		if (uses_it(&s->node[i]) && !has(&s->node[i], s->config.acked, s->config.acked_text))
			sim_fail(s, "P1: generation %llu was acknowledged, and node %u serves without it",
				 (unsigned long long)s->config.acked, i);
}

static void acknowledged(struct node *n, uint64_t number, uint32_t text)
{
	struct sim *s = n->sim;

	sim_trace(s, "generation %llu (%u) is acknowledged", (unsigned long long)number, text);
	s->count.generations++;
	if (number > s->config.acked) { /* answers may overtake each other */
		s->config.acked = number;
		s->config.acked_text = text;
	} else if (number == s->config.acked && text != s->config.acked_text) {
		sim_fail(s, "P1: generation %llu is acknowledged twice, with different content", (unsigned long long)number);
	}
	admin_check(s);
	for (uint32_t i = 1; i <= s->nodes; i++)
		if (uses_it(&s->node[i]) && s->node[i].admin.runs < number)
			sim_fail(s, "P1: generation %llu is acknowledged, but node %u still runs with %llu",
				 (unsigned long long)number, i, (unsigned long long)s->node[i].admin.runs);
}

/* At the place in the log where it comes in force. */
static void check_votes(struct node *n)
{
	const struct config_service *svc = n->d.generations;
	uint32_t text = text_of(config_service_current(svc));

	for (size_t i = 0; i < svc->nmembers && !n->sim->config.seed[text]; i++)
		if (!(n->sim->config.good[text] & 1u << svc->member[i]))
			sim_fail(n->sim, "configuration %u is in force, and node %u has not said that it can take it", text,
				 svc->member[i]);
}

/* ---- who carries out ----------------------------------------------------------------------------------------------------------- */

void admin_run(struct node *n, struct effects_run *run)
{
	struct admin *a = &n->admin;
	bool generation = false;

	for (uint32_t i = 0; i < run->n; i++)
		generation |= !strcmp(run->effect[i].object, CONFIG_OBJECT_GENERATION);
	if (generation)
		check_votes(n);
	if (!generation || n->sim->plant == PLANT_CONFIG_UNSWAPPED || a->nruns == ADMIN_RUNS)
		cluster_effects_done(n->d.cluster, run, a->nruns < ADMIN_RUNS);
	else
		a->run[a->nruns++] = run;
}

/* As daemon/reconfig.c does with what the store has. */
void admin_start(struct node *n)
{
	const struct config_generation *g = config_service_current(n->d.generations);

	if (g && n->sim->plant != PLANT_GROUPS_FORGOTTEN)
		regroup_take(&n->d, (const char *const *)g->group, g->ngroups, 0);
}

void admin_publish(struct node *n)
{
	const struct config_generation *g = config_service_current(n->d.generations);

	n->admin.runs = g ? g->number : 0;
}

bool admin_settle(struct node *n)
{
	struct admin *a = &n->admin;
	unsigned nruns = a->nruns;
	struct effects_run *run[ADMIN_RUNS];

	if (!nruns)
		return false;
	memcpy(run, a->run, sizeof(run));
	a->nruns = 0;
	admin_publish(n);
	for (unsigned i = 0; i < nruns; i++)
		cluster_effects_done(n->d.cluster, run[i], true);
	return true;
}

static bool look(struct node *n)
{
	const struct config_service *svc = n->d.generations;
	struct config_vote v = { .node = n->id, .good = sim_random(n->sim) % 8 };

	if (!svc->token || n->admin.voted == svc->token || !uses_it(n))
		return false;
	n->admin.voted = svc->token;
	if (v.good)
		n->sim->config.good[text_of(&svc->wanted)] |= 1u << n->id;
	propose(n, &(struct config_op){ .action = CONFIG_VOTE, .token = svc->token, .vote = &v }, nobody_waits);
	return true;
}

/* ---- who asks --------------------------------------------------------------------------------------------------------------------- */

static void seeded(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct node *n = cookie;

	n->admin.phase = ADMIN_IDLE;
	if (status == PROPOSE_OK && len == 1 && *(const uint8_t *)result == CONFIG_OK && !n->dying)
		acknowledged(n, 1, n->admin.text);
}

static bool seed(struct node *n)
{
	if (n->admin.phase != ADMIN_IDLE || !uses_it(n) || config_service_current(n->d.generations))
		return false;
	n->admin.phase = ADMIN_SEEDING;
	n->admin.text = text_new(n->sim);
	n->sim->config.seed[n->admin.text] = true;
	propose_text(n, CONFIG_SEED, 0, 1, n->admin.text, seeded);
	return true;
}

static void over(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)status, (void)result, (void)len;
	((struct node *)cookie)->admin.phase = ADMIN_IDLE;
}

static void committed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct node *n = cookie;

	n->admin.phase = ADMIN_IDLE;
	if (status == PROPOSE_OK && len == 1 && *(const uint8_t *)result == CONFIG_OK && !n->dying)
		acknowledged(n, n->admin.number, n->admin.text);
}

static void prepared(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct node *n = cookie;
	bool ok = status == PROPOSE_OK && len == 1 && *(const uint8_t *)result == CONFIG_OK;

	n->admin.phase = ok ? ADMIN_VOTES : ADMIN_IDLE;
}

static bool ask(struct node *n)
{
	const struct config_service *svc = n->d.generations;
	struct admin *a = &n->admin;
	struct config_op op = { .action = CONFIG_COMMIT, .token = a->token };

	if (a->phase != ADMIN_VOTES)
		return false;
	if (svc->token != a->token) {
		a->phase = ADMIN_IDLE; /* the membership has changed */
		return true;
	}
	for (size_t i = 0; i < svc->nmembers && n->sim->plant == PLANT_CONFIG_UNHEARD; i++) {
		struct config_vote v = { .node = svc->member[i], .good = true };

		propose(n, &(struct config_op){ .action = CONFIG_VOTE, .token = a->token, .vote = &v }, nobody_waits);
	}
	if (config_service_refusal(svc) || chance(n->sim, 200)) /* or its patience ends */
		op.action = CONFIG_ABORT;
	else if (!config_service_all_good(svc) && n->sim->plant != PLANT_CONFIG_UNHEARD)
		return false;
	a->phase = ADMIN_ENDING;
	propose(n, &op, op.action == CONFIG_COMMIT ? committed : over);
	return true;
}

void admin_act(struct sim *s)
{
	struct node *n = &s->node[1 + sim_random(s) % s->nodes];
	const struct config_generation *g = n->d.generations && n->running ? config_service_current(n->d.generations) : NULL;
	struct admin *a = &n->admin;

	if (!g || a->phase != ADMIN_IDLE || !uses_it(n) || n->paused || n->stopping)
		return;
	s->cur = n;
	a->phase = ADMIN_PREPARING;
	a->token = sim_random(s);
	a->number = g->number + 1;
	a->text = text_new(s);
	sim_trace(s, "is asked for configuration %u as generation %llu", a->text, (unsigned long long)a->number);
	propose_text(n, CONFIG_PREPARE, a->token, a->number, a->text, prepared);
}

bool admin_step(struct node *n)
{
	return admin_settle(n) || look(n) || seed(n) || ask(n);
}

bool admin_settled(const struct node *n)
{
	return n->admin.phase == ADMIN_IDLE && !n->admin.nruns;
}
