/* SPDX-License-Identifier: BSD-2-Clause */
/* Generations of the configuration: members that apply the same log stay equal; a generation is in force only when every
 * member of the membership has voted for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/replog.h"
#include "core/lu.h"
#include "daemon/config/generation.h"
#include "daemon/config/service.h"

#define TOKEN 77

static const struct service_ops *const ops = &config_service_ops;

struct pair { /* two members that apply the same */
	struct config_service *svc[2];
	struct apply a; /* of the newest operation; its effects are the first member's */
};

static int setup(void **state)
{
	static struct pair p;

	p = (struct pair){ .svc = { config_service_new(), config_service_new() } };
	*state = &p;
	return p.svc[0] && p.svc[1] ? 0 : -1;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	apply_fini(&p->a);
	config_service_free(p->svc[0]);
	config_service_free(p->svc[1]);
	return 0;
}

static void snapshot_of(const struct config_service *svc, struct wbuf *out)
{
	ops->snapshot(svc, out);
	assert_int_equal(out->err, 0);
}

static void assert_equal_states(const struct config_service *a, const struct config_service *b)
{
	struct wbuf x = { 0 }, y = { 0 };

	snapshot_of(a, &x);
	snapshot_of(b, &y);
	assert_int_equal(x.len, y.len);
	if (x.len)
		assert_memory_equal(x.data, y.data, x.len);
	wbuf_fini(&x);
	wbuf_fini(&y);
}

static enum config_verdict run(struct pair *p, struct config_op op)
{
	struct apply second = { .position = 1, .origin = 1 };
	struct wbuf msg = { 0 };

	apply_fini(&p->a);
	p->a = (struct apply){ .position = 1, .origin = 1 };
	config_service_pack(&msg, &op);
	assert_int_equal(ops->apply(p->svc[0], &p->a, msg.data, msg.len), 0);
	assert_int_equal(ops->apply(p->svc[1], &second, msg.data, msg.len), 0);
	wbuf_fini(&msg);
	apply_fini(&second);
	assert_equal_states(p->svc[0], p->svc[1]);
	assert_int_equal(p->a.result_len, 1);
	return p->a.result[0];
}

static void members(struct pair *p, uint32_t n)
{
	const uint32_t node[] = { 2, 1, 3 };

	for (int i = 0; i < 2; i++) {
		struct apply a = { .position = 2 };

		ops->members(p->svc[i], &a, node, n);
		apply_fini(&a);
	}
}

static struct config_generation gen(uint64_t number, char *text)
{
	return (struct config_generation){ .number = number, .time = 5, .text = text, .len = strlen(text),
					   .slots = "0 iqn.a\n", .author = "node-a", .note = "apply" };
}

static bool effect(const struct pair *p, enum effect_kind kind, const char *object)
{
	for (uint32_t i = 0; i < p->a.neffects; i++)
		if (p->a.effect[i].kind == kind && !strcmp(p->a.effect[i].object, object))
			return true;
	return false;
}

static enum config_verdict seed(struct pair *p, char *text)
{
	struct config_generation g = gen(1, text);

	return run(p, (struct config_op){ .action = CONFIG_SEED, .wanted = &g });
}

static enum config_verdict prepare(struct pair *p, uint64_t token, uint64_t number, char *text)
{
	struct config_generation g = gen(number, text);

	return run(p, (struct config_op){ .action = CONFIG_PREPARE, .token = token, .wanted = &g });
}

static enum config_verdict vote(struct pair *p, uint64_t token, uint32_t node, const char *why)
{
	struct config_vote v = { .node = node, .good = !why };

	snprintf(v.why, sizeof(v.why), "%s", why ? why : "");
	return run(p, (struct config_op){ .action = CONFIG_VOTE, .token = token, .vote = &v });
}

static enum config_verdict end(struct pair *p, enum config_action action, uint64_t token)
{
	return run(p, (struct config_op){ .action = action, .token = token });
}

static uint64_t in_force(const struct pair *p)
{
	const struct config_generation *g = config_service_current(p->svc[1]);

	return g ? g->number : 0;
}

static void test_seed(void **state)
{
	struct pair *p = *state;

	assert_int_equal(seed(p, "a"), CONFIG_OK);
	assert_true(effect(p, EFFECT_PERSIST, "1") && effect(p, EFFECT_PUBLISH, CONFIG_OBJECT_GENERATION));
	assert_int_equal(seed(p, "b"), CONFIG_UNCHANGED); /* the first one counts */
	assert_int_equal(p->a.neffects, 0);
	assert_string_equal(config_service_current(p->svc[0])->text, "a");
}

static void test_all_must_vote(void **state)
{
	struct pair *p = *state;

	seed(p, "a");
	members(p, 3);
	assert_int_equal(prepare(p, TOKEN, 2, "b"), CONFIG_OK);
	assert_true(effect(p, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE));
	assert_false(effect(p, EFFECT_PERSIST, "2"));
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_NOT_ALL);
	assert_int_equal(vote(p, TOKEN, 1, NULL), CONFIG_OK);
	assert_int_equal(vote(p, TOKEN, 1, NULL), CONFIG_UNCHANGED);
	assert_int_equal(vote(p, TOKEN, 3, NULL), CONFIG_OK);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_NOT_ALL);
	assert_int_equal(vote(p, TOKEN + 1, 2, NULL), CONFIG_OVER);
	assert_int_equal(in_force(p), 1);
	assert_int_equal(vote(p, TOKEN, 2, NULL), CONFIG_OK);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_OK);
	assert_true(effect(p, EFFECT_PERSIST, "2") && effect(p, EFFECT_PUBLISH, CONFIG_OBJECT_GENERATION));
	assert_int_equal(in_force(p), 2);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_OVER); /* not twice */
}

static void test_one_refuses(void **state)
{
	struct pair *p = *state;

	seed(p, "a");
	members(p, 2);
	prepare(p, TOKEN, 2, "b");
	vote(p, TOKEN, 1, NULL);
	assert_null(config_service_refusal(p->svc[0]));
	vote(p, TOKEN, 2, "LUN x: no");
	assert_int_equal(config_service_refusal(p->svc[1])->node, 2);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_NOT_ALL);
	assert_int_equal(end(p, CONFIG_ABORT, TOKEN), CONFIG_OK);
	assert_int_equal(in_force(p), 1);
	assert_int_equal(prepare(p, TOKEN + 1, 2, "c"), CONFIG_OK); /* and the next one may try */
}

static void test_two_at_once(void **state)
{
	struct pair *p = *state;

	seed(p, "a");
	members(p, 1);
	assert_int_equal(prepare(p, TOKEN, 2, "b"), CONFIG_OK);
	assert_int_equal(prepare(p, TOKEN + 1, 2, "c"), CONFIG_BUSY);
	vote(p, TOKEN, 2, NULL);
	end(p, CONFIG_COMMIT, TOKEN);
	assert_int_equal(prepare(p, TOKEN + 1, 2, "c"), CONFIG_CONFLICT);
	assert_int_equal(prepare(p, TOKEN + 1, 4, "c"), CONFIG_CONFLICT);
	assert_int_equal(in_force(p), 2);
}

/* Who asked may be gone, and who came was not asked. */
static void test_membership_ends_it(void **state)
{
	struct pair *p = *state;

	seed(p, "a");
	members(p, 2);
	prepare(p, TOKEN, 2, "b");
	vote(p, TOKEN, 1, NULL);
	vote(p, TOKEN, 2, NULL);
	members(p, 3);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_OVER);
	assert_int_equal(in_force(p), 1);
}

static void change(struct pair *p, uint64_t number, char *text)
{
	members(p, 1);
	prepare(p, number + 100, number, text);
	vote(p, number + 100, 2, NULL);
	assert_int_equal(end(p, CONFIG_COMMIT, number + 100), CONFIG_OK);
}

/* What is kept on disk is what memory has: the place of the oldest goes to the newest. */
static void test_history_and_store(void **state)
{
	struct pair *p = *state;
	struct config_service *loaded = config_service_new();
	char object[16], err[200] = "";

	seed(p, "t1");
	for (uint64_t n = 2; n < 40; n++) {
		char text[8];

		snprintf(text, sizeof(text), "t%u", (unsigned)n);
		change(p, n, text);
	}
	assert_int_equal(p->svc[0]->n, CONFIG_HISTORY);
	assert_null(config_service_find(p->svc[0], 39 - CONFIG_HISTORY));
	assert_string_equal(config_service_find(p->svc[0], 40 - CONFIG_HISTORY)->text, "t24");
	for (int place = CONFIG_HISTORY - 1; place >= 0; place--) {
		struct wbuf out = { 0 };

		snprintf(object, sizeof(object), "%d", place);
		ops->persist(p->svc[0], object, &out);
		assert_true(out.len > 0);
		assert_int_equal(ops->load(loaded, object, out.data, out.len, err, sizeof(err)), 0);
		assert_int_equal(ops->load(loaded, object, out.data, out.len, err, sizeof(err)), -EBADMSG); /* twice */
		assert_int_equal(ops->load(loaded, "99", out.data, out.len, err, sizeof(err)), -EBADMSG);
		wbuf_fini(&out);
	}
	assert_int_equal(loaded->n, CONFIG_HISTORY);
	assert_int_equal(config_service_current(loaded)->number, 39);
	members(p, 0);
	assert_equal_states(loaded, p->svc[0]);
	config_service_free(loaded);
}

static void test_snapshot(void **state)
{
	struct pair *p = *state;
	struct config_service *joiner = config_service_new();
	struct wbuf out = { 0 };
	char err[200] = "";

	seed(p, "a");
	change(p, 2, "b");
	members(p, 3);
	prepare(p, TOKEN, 3, "c");
	vote(p, TOKEN, 3, "no");
	vote(p, TOKEN, 1, NULL);
	snapshot_of(p->svc[0], &out);
	assert_int_equal(ops->restore(joiner, out.data, out.len, err, sizeof(err)), 0);
	assert_equal_states(joiner, p->svc[0]);
	for (size_t cut = 1; cut < out.len; cut++) { /* whatever is cut off: all or nothing, and it can be told */
		ops->restore(joiner, out.data, cut, err, sizeof(err));
		assert_true(joiner->n <= 2);
	}
	assert_int_equal(ops->restore(joiner, out.data, out.len - 1, err, sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "refused"));
	wbuf_fini(&out);
	config_service_free(joiner);
}

/* ---- LUN groups -------------------------------------------------------------------------------------------- */

struct owners { /* one per member: what the service of the owners would know */
	char taken[64];
	uint64_t position;
	bool held;
};

static bool free_to_go(void *arg, const char *const *group, size_t n)
{
	assert_true(n > 0 && group[0][0]);
	return !((struct owners *)arg)->held;
}

static int take(void *arg, const char *const *group, size_t n, uint64_t position)
{
	struct owners *o = arg;

	o->taken[0] = '\0';
	for (size_t i = 0; i < n; i++)
		strcat(strcat(o->taken, group[i]), " ");
	o->position = position;
	return 0;
}

static enum config_verdict with_groups(struct pair *p, enum config_action action, uint64_t number, char **group,
				       size_t n)
{
	struct config_generation g = gen(number, "t");

	g.group = group;
	g.ngroups = n;
	return run(p, (struct config_op){ .action = action, .token = TOKEN, .wanted = &g });
}

/* At the generation's own place in the log, on every member; and not while one that goes has an owner. */
static void test_groups_follow(void **state)
{
	struct pair *p = *state;
	struct owners o[2] = { { .held = false } };
	char *two[] = { "g0", "g1" }, *three[] = { "g0", "g1", "g2" }, *one[] = { "g2" };
	char err[200] = "";
	struct wbuf out = { 0 };

	for (int i = 0; i < 2; i++)
		p->svc[i]->groups = (struct config_groups){ free_to_go, take, &o[i] };
	assert_int_equal(with_groups(p, CONFIG_SEED, 1, two, 2), CONFIG_OK);
	assert_string_equal(o[1].taken, "g0 g1 ");
	members(p, 1);
	assert_int_equal(with_groups(p, CONFIG_PREPARE, 2, three, 3), CONFIG_OK);
	vote(p, TOKEN, 2, NULL);
	assert_string_equal(o[0].taken, "g0 g1 "); /* nothing before COMMIT */
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_OK);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(o[i].taken, "g0 g1 g2 ");
		assert_int_equal(o[i].position, 1);
	}

	o[0].held = o[1].held = true;
	with_groups(p, CONFIG_PREPARE, 3, one, 1);
	vote(p, TOKEN, 2, NULL);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_GROUP_OWNED);
	assert_true(effect(p, EFFECT_PUBLISH, CONFIG_OBJECT_PREPARE));
	assert_false(effect(p, EFFECT_PERSIST, "3"));
	assert_string_equal(o[0].taken, "g0 g1 g2 ");
	assert_int_equal(in_force(p), 2);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_OVER);
	change(p, 3, "says nothing of groups"); /* as of a version that does not */
	assert_string_equal(o[0].taken, "g0 g1 g2 ");

	/* A joiner and a store have the names; a restore does not tell them: the owners come in the same snapshot. */
	snapshot_of(p->svc[0], &out);
	o[1].taken[0] = '\0';
	assert_int_equal(ops->restore(p->svc[1], out.data, out.len, err, sizeof(err)), 0);
	assert_equal_states(p->svc[0], p->svc[1]);
	assert_string_equal(o[1].taken, "");
	assert_int_equal(config_service_find(p->svc[1], 2)->ngroups, 3);
	assert_string_equal(config_service_find(p->svc[1], 2)->group[2], "g2");
	o[0].held = o[1].held = false;
	with_groups(p, CONFIG_PREPARE, 4, one, 1);
	vote(p, TOKEN, 2, NULL);
	assert_int_equal(end(p, CONFIG_COMMIT, TOKEN), CONFIG_OK);
	assert_string_equal(o[1].taken, "g2 "); /* it is still told */
	wbuf_fini(&out);
}

static int refuse(struct pair *p, const struct config_op *op)
{
	struct wbuf msg = { 0 };
	struct apply a = { .position = 1 };
	int rc;

	config_service_pack(&msg, op);
	rc = ops->apply(p->svc[0], &a, msg.data, msg.len);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	wbuf_fini(&msg);
	return rc;
}

static void test_malformed_groups(void **state)
{
	struct pair *p = *state;
	char longest[LU_NAME_MAX + 2], many[GROUPS_MAX + 1][16], *names[GROUPS_MAX + 1];
	char *const bad[][2] = { { "g1", "g0" }, { "g0", "g0" }, { "", "g0" }, { "g", longest } };
	struct config_generation g = gen(2, "x");
	struct config_op op = { .token = 1, .wanted = &g };

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	g.ngroups = 2;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g.group = (char **)bad[i];
		op.action = CONFIG_PREPARE;
		assert_int_equal(refuse(p, &op), -EBADMSG);
		op.action = CONFIG_SEED;
		assert_int_equal(refuse(p, &op), -EBADMSG);
	}
	for (size_t i = 0; i < GROUPS_MAX + 1; i++) {
		snprintf(many[i], sizeof(many[i]), "group-%06zu", i);
		names[i] = many[i];
	}
	assert_true(config_groups_fit((const char *const *)names, GROUPS_MAX));
	assert_false(config_groups_fit((const char *const *)names, GROUPS_MAX + 1));
	longest[LU_NAME_MAX] = '\0';
	names[GROUPS_MAX - 1] = longest;
	assert_false(config_groups_fit((const char *const *)names, GROUPS_MAX)); /* too many bytes */
	assert_int_equal(in_force(p), 0);
}

static char *text_of(size_t len)
{
	char *text = malloc(len + 1);

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

static void test_the_largest_can_be_proposed(void **state)
{
	struct pair *p = *state;
	char *text = text_of(CONFIG_TEXT_MAX), *slots = text_of(CONFIG_SLOTS_MAX), *author = text_of(255);
	char many[GROUPS_MAX][16], *names[GROUPS_MAX];
	struct config_generation g = gen(1, text);
	struct wbuf msg = { 0 };

	for (size_t i = 0; i < GROUPS_MAX; i++) {
		snprintf(many[i], sizeof(many[i]), "group-%06zu", i);
		names[i] = many[i];
	}
	g.slots = slots;
	g.author = author;
	g.group = names;
	g.ngroups = GROUPS_MAX;
	config_service_pack(&msg, &(struct config_op){ .action = CONFIG_SEED, .wanted = &g });
	assert_true(msg.len <= REPLOG_OP_MAX);
	wbuf_fini(&msg);
	assert_int_equal(run(p, (struct config_op){ .action = CONFIG_SEED, .wanted = &g }), CONFIG_OK);
	free(text);
	free(slots);
	free(author);
}

static void test_malformed(void **state)
{
	struct pair *p = *state;
	char *huge = malloc(CONFIG_TEXT_MAX + 2);
	struct config_generation g = gen(2, "x"), none = gen(2, ""), zero = gen(0, "x"), large, nul = gen(2, "a");
	struct config_vote v = { .node = 1, .good = true };
	struct apply a = { .position = 1 };

	memset(huge, 'x', CONFIG_TEXT_MAX + 1);
	huge[CONFIG_TEXT_MAX + 1] = '\0';
	large = gen(2, huge);
	nul.text = "\0";
	assert_int_equal(ops->apply(p->svc[0], &a, (const uint8_t *)"\xff\xff", 2), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_PREPARE, .token = 1 }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_PREPARE, .wanted = &g }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_PREPARE, .token = 1, .wanted = &none }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_PREPARE, .token = 1, .wanted = &zero }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_PREPARE, .token = 1, .wanted = &large }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_PREPARE, .token = 1, .wanted = &nul }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_SEED, .wanted = &zero }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_VOTE, .token = 1 }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_VOTE, .vote = &v }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = CONFIG_COMMIT }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = 6, .token = 1 }), -EBADMSG);
	assert_int_equal(refuse(p, &(struct config_op){ .action = 0, .token = 1 }), -EBADMSG);
	assert_int_equal(in_force(p), 0);
	free(huge);
}

/* A node that is lost and not yet fenced may be the one that goes on, with another generation of the same number. */
static void test_answers_wait_for_fencing(void **state)
{
	(void)state;
	assert_true(ops->waits_for_fencing);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_seed),	       TEST(test_all_must_vote),   TEST(test_one_refuses), TEST(test_two_at_once),
		TEST(test_membership_ends_it), TEST(test_history_and_store), TEST(test_snapshot),    TEST(test_malformed),
		TEST(test_answers_wait_for_fencing), TEST(test_groups_follow), TEST(test_malformed_groups),
		TEST(test_the_largest_can_be_proposed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
