/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has to be here before a stored state goes on: the rule alone, row by row. Histories are named by the generation that began
 * them, and by a letter where there are two of a generation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/replog_start.h"

#define LIST(...) .nmembers = sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), .member = { __VA_ARGS__ }

/* V1 of {1, 2, 3}, then V2 without node 1, then V3 without node 2. */
static const struct lineage empty = { LIST(1, 2, 3) };
static const struct lineage v1 = { .generation = 1, .history = 10, .committed_generation = 1, .committed_history = 10, .nknown = 1,
				   .known = { 10 }, LIST(1, 2, 3) };
static const struct lineage v2 = { .generation = 2, .history = 20, .committed_generation = 2, .committed_history = 20, .nknown = 2,
				   .known = { 20, 10 }, LIST(2, 3) };
static const struct lineage v3 = { .generation = 3, .history = 30, .committed_generation = 3, .committed_history = 30, .nknown = 3,
				   .known = { 30, 20, 10 }, LIST(3) };
/* Another one after V1, in a later era; one in the same; and one of protocol version 1. */
static const struct lineage other = { .era = 1, .generation = 2, .history = 21, .committed_generation = 2, .committed_history = 21,
				      .nknown = 2, .known = { 21, 10 }, LIST(1) };
static const struct lineage twin = { .generation = 2, .history = 22, .committed_generation = 2, .committed_history = 22, .nknown = 2,
				     .known = { 22, 10 }, LIST(1) };
static const struct lineage older = { .generation = 2, .history = 20, .committed_generation = 2, .committed_history = 20,
				      .nknown = 2, .known = { 20, 10 } };
/* In memory: V1 is stored, the memberships that it has been alone with are not. */
static const struct lineage alone = { .generation = 7, .history = 71, .committed_generation = 1,
				      .committed_history = 10, .nknown = 2, .known = { 71, 10 }, LIST(1, 2, 3) };

struct row {
	const char *what;
	const struct lineage *state;
	struct start_present here[4];
	uint32_t nhere;
	bool allowed, behind;
	uint32_t nmissing, missing[3];
};
#define HERE(...) .here = { __VA_ARGS__ }, .nhere = sizeof((struct start_present[]){ __VA_ARGS__ }) / sizeof(struct start_present)
#define MISSING(...) .nmissing = sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), .missing = { __VA_ARGS__ }

static const struct row rows[] = {
	{ "all of its membership are here", &v1, HERE({ 1, false, &v1 }, { 2, false, &v1 }, { 3, false, &v1 }), .allowed = true },
	{ "a majority is not all", &v1, HERE({ 1, false, &v1 }, { 2, false, &v1 }), MISSING(3) },
	{ "alone with an old state", &v1, HERE({ 1, false, &v1 }), MISSING(2, 3) },
	{ "those who were lost before are not asked for", &v2, HERE({ 2, false, &v2 }, { 3, false, &v2 }), .allowed = true },
	{ "one of them is", &v2, HERE({ 1, false, &v1 }, { 2, false, &v2 }), MISSING(3) },
	{ "the last man", &v3, HERE({ 3, false, &v3 }), .allowed = true },
	{ "the last man, and who was lost", &v3, HERE({ 1, false, &v1 }, { 3, false, &v3 }), .allowed = true },
	{ "a partial copy counts as its node", &v1, HERE({ 1, false, &v1 }, { 2, true, &v1 }, { 3, false, &v1 }), .allowed = true },
	{ "a partial copy of a later state: its members are asked for", &v1, HERE({ 1, false, &v1 }, { 2, true, &v3 }), .behind = true,
	  MISSING(3) },
	{ "those who know of it are here, the state is not", &v1, HERE({ 1, false, &v1 }, { 2, true, &v2 }, { 3, true, &v2 }),
	  .behind = true },
	{ "a partial copy of an earlier one", &v3, HERE({ 3, false, &v3 }, { 2, true, &v1 }), .allowed = true },
	{ "of a line that began later", &v2, HERE({ 2, false, &v2 }, { 3, true, &other }), .behind = true, MISSING(1) },
	{ "of a line that began earlier", &other, HERE({ 1, false, &other }, { 3, true, &v3 }), .allowed = true },
	{ "in memory, and nobody has gone on", &alone, HERE({ 1, false, &alone }, { 2, false, &v1 }, { 3, true, &v1 }),
	  .allowed = true },
	{ "in memory, with memberships that do not count", &alone,
	  HERE({ 1, false, &alone }, { 2, true, &v2 }, { 3, true, &v2 }), .behind = true },
	{ "of another line that began when this one did", &v2, HERE({ 2, false, &v2 }, { 3, true, &twin }), .allowed = true },
	{ "what could go on itself is judged before", &v1, HERE({ 1, false, &v1 }, { 2, false, &v3 }, { 3, false, &v1 }),
	  .allowed = true },
	{ "no list: as before", &older, HERE({ 2, false, &older }), .allowed = true },
	{ "an empty store needs all", &empty, HERE({ 1, false, &empty }, { 3, false, &empty }), MISSING(2) },
	{ "the first start ever", &empty, HERE({ 1, false, &empty }, { 2, false, &empty }, { 3, false, &empty }), .allowed = true },
	{ "nobody's state goes on", NULL, HERE({ 1, true, &v2 }, { 2, true, &v1 }), .behind = true, MISSING(3) },
	{ "nobody's, and nobody knows of any", NULL, HERE({ 1, false, &empty }) },
	{ "nobody's, and nobody is missing", NULL, HERE({ 3, true, &v3 }), .behind = true },
};

static void who_has_to_be_here(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct start_missing m;
		bool allowed = start_allowed(r->state, r->here, r->nhere, &m);

		if (allowed != r->allowed || m.behind != r->behind || m.n != r->nmissing ||
		    memcmp(m.node, r->missing, m.n * sizeof(m.node[0])))
			fail_msg("%s: allowed %d, behind %d, %u missing", r->what, allowed, m.behind, m.n);
	}
}

/* A state has what is among its histories, and what is so old that it has forgotten it. */
static void what_a_state_has(void **state)
{
	struct lineage far = v3;

	(void)state;
	assert_true(lineage_has(&v3, &v1) && lineage_has(&v1, &v1) && lineage_has(&v1, &empty));
	assert_false(lineage_has(&v1, &v3) || lineage_has(&v3, &other) || lineage_has(&empty, &v1));
	far.generation = other.committed_generation + REPLOG_KNOWN_MAX;
	assert_true(lineage_has(&far, &other));
	far.generation--;
	assert_false(lineage_has(&far, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_to_be_here),
		cmocka_unit_test(what_a_state_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
