/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An operation is done or not done: whichever allocation fails, the state is what it was, and the same operation
 * afterwards gives what it would have given at once. The engine is compiled in with allocations that fail on demand.
 *
 *   pr: meets failures;  control: never does
 */
#include "pr_fixture.h"

#include <errno.h>
#include <time.h>

static int fail_at = -1; /* number of allocations that still succeed; -1: all */

static bool fails(void)
{
	if (fail_at < 0)
		return false;
	return fail_at-- == 0;
}

static void *failing_malloc(size_t n)
{
	return fails() ? NULL : malloc(n);
}

static void *failing_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

static void *failing_realloc(void *p, size_t n)
{
	return fails() ? NULL : realloc(p, n);
}

#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#include "pr-sync/pr.c"
#undef malloc
#undef calloc
#undef realloc

static bool same(const struct pr *a, const struct pr *b)
{
	if (a->n != b->n || a->type != b->type || a->generation != b->generation || a->aptpl != b->aptpl ||
	    !a->holder != !b->holder || (a->holder && !nexus_id_eq(&a->holder->id, &b->holder->id)))
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!nexus_id_eq(&a->reg[i]->id, &b->reg[i]->id) || a->reg[i]->key != b->reg[i]->key)
			return false;
	return true;
}

/* Every allocation of op fails once, then none. Returns how many there are. */
static unsigned apply_through_failures(struct pr *pr, const struct pr *before, const struct pr_op *op,
				       struct pr_outcome *out)
{
	unsigned n = 0;

	for (;; n++) {
		int err;

		fail_at = n;
		err = pr_apply(pr, op, out);
		if (fail_at >= 0 || !err) {
			fail_at = -1;
			assert_int_equal(err, 0);
			return n;
		}
		assert_int_equal(err, -ENOMEM);
		assert_true(same(pr, before));
		assert_null(out->preempted.ids);
		assert_null(out->released.ids);
	}
}

static void any_allocation_may_fail(void **state)
{
	static const uint32_t ports[] = { 1, 2, 3 };
	unsigned seed = (unsigned)time(NULL), failures = 0;
	const char *names[3];
	struct nexus_id id[3];
	struct pr pr, control;

	(void)state;
	print_message("SEED=%u\n", seed);
	pr_init(&pr);
	pr_init(&control);
	for (int i = 0; i < 3; i++) {
		id[i] = nexus('A' + i, 1);
		names[i] = id[i].port;
	}
	for (int i = 0; i < 20000; i++) {
		struct pr_op op = op_of('A' + rand_r(&seed) % 8, rand_r(&seed) % 8, rand_r(&seed) % 3,
					rand_r(&seed) % 3, 1 + 2 * (rand_r(&seed) % 3));
		struct pr_outcome out, expected;

		op.move_to = nexus('A' + rand_r(&seed) % 8, 2);
		op.unreg = rand_r(&seed) % 2;
		op.all_tg_pt = rand_r(&seed) % 3 == 0;
		op.spec_i_pt = rand_r(&seed) % 3 == 0;
		op.rtpi = ports;
		op.nrtpi = 3;
		op.port = names;
		op.nports = 3;
		failures += apply_through_failures(&pr, &control, &op, &out);
		assert_int_equal(pr_apply(&control, &op, &expected), 0);
		assert_int_equal(out.status, expected.status);
		assert_int_equal(out.preempted.n, expected.preempted.n);
		assert_int_equal(out.released.n, expected.released.n);
		assert_true(same(&pr, &control));
		pr_outcome_fini(&out);
		pr_outcome_fini(&expected);
	}
	assert_true(failures > 1000); /* failures were met */
	pr_fini(&pr);
	pr_fini(&control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
