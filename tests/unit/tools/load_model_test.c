/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which generations may a read return? Each test plants one behaviour of a target and says the
 * verdict that a storage administrator would give. Topology: one block, no target.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/load_model.h"

#define B 2 /* the block; its neighbours must stay untouched */

static int setup(void **state)
{
	static struct load_model m;

	*state = &m;
	return load_model_init(&m, 4);
}

static int teardown(void **state)
{
	load_model_fini(*state);
	return 0;
}

static void write_acked(struct load_model *m, unsigned times)
{
	while (times--)
		load_model_acked(m, B, load_model_write(m, B));
}

static enum load_verdict judge(struct load_model *m, const struct load_read *r, uint64_t generation)
{
	return load_model_judge(m, B, r, LOAD_SEEN_OURS, generation);
}

static enum load_verdict read_now(struct load_model *m, uint64_t generation)
{
	struct load_read r = load_model_read(m, B);

	return judge(m, &r, generation);
}

static enum load_verdict see_now(struct load_model *m, enum load_seen seen)
{
	struct load_read r = load_model_read(m, B);

	return load_model_judge(m, B, &r, seen, 0);
}

static void last_acknowledged_is_ok(void **state)
{
	write_acked(*state, 3);
	assert_int_equal(read_now(*state, 3), LOAD_OK);
	assert_false(load_model_written(*state, B - 1));
	assert_false(load_model_written(*state, B + 1));
}

static void lost_write_is_behind(void **state)
{
	write_acked(*state, 3);
	assert_int_equal(read_now(*state, 2), LOAD_BEHIND);
}

static void lost_first_write_is_behind(void **state)
{
	write_acked(*state, 1);
	assert_int_equal(see_now(*state, LOAD_SEEN_NOTHING), LOAD_BEHIND);
}

static void unwritten_block_promises_nothing(void **state)
{
	assert_int_equal(see_now(*state, LOAD_SEEN_NOTHING), LOAD_UNWRITTEN);
	assert_int_equal(see_now(*state, LOAD_SEEN_ALIEN), LOAD_UNWRITTEN);
	assert_int_equal(see_now(*state, LOAD_SEEN_DAMAGED), LOAD_UNWRITTEN);
	assert_int_equal(see_now(*state, LOAD_SEEN_MISPLACED), LOAD_CORRUPT);
	assert_int_equal(read_now(*state, 1), LOAD_CORRUPT); /* of our run, never written */
}

static void open_write_may_be_seen_or_not(void **state)
{
	write_acked(*state, 3);
	load_model_write(*state, B);
	assert_int_equal(read_now(*state, 3), LOAD_OK);
	assert_int_equal(read_now(*state, 4), LOAD_OK);
	assert_int_equal(read_now(*state, 5), LOAD_CORRUPT);
}

static void unanswered_write_stays_possible(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 3);
	load_model_unknown(m, B, load_model_write(m, B));
	load_model_unknown(m, B, load_model_write(m, B));
	assert_int_equal(read_now(m, 3), LOAD_OK);
	assert_int_equal(read_now(m, 4), LOAD_OK);
	assert_int_equal(read_now(m, 5), LOAD_OK);
}

static void what_was_seen_stays(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 3);
	load_model_write(m, B);
	assert_int_equal(read_now(m, 4), LOAD_OK);
	assert_int_equal(read_now(m, 3), LOAD_BEHIND);
}

/* A ghost: generation 4 was sent again and acknowledged, 5 too, then the first 4 lands. */
static void reordered_write_is_behind(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 5);
	assert_int_equal(read_now(m, 5), LOAD_OK);
	assert_int_equal(read_now(m, 4), LOAD_BEHIND);
}

static void acknowledged_after_unanswered_excludes_it(void **state)
{
	struct load_model *m = *state;

	load_model_unknown(m, B, load_model_write(m, B));
	write_acked(m, 1);
	assert_int_equal(read_now(m, 1), LOAD_BEHIND);
	assert_int_equal(read_now(m, 2), LOAD_OK);
}

/* A read that was sent before the acknowledgement may return what was there before. */
static void concurrent_read_may_be_older(void **state)
{
	struct load_model *m = *state;
	struct load_read r;
	uint32_t g;

	write_acked(m, 3);
	r = load_model_read(m, B);
	g = load_model_write(m, B);
	load_model_acked(m, B, g);
	assert_int_equal(judge(m, &r, 3), LOAD_OK);
	assert_int_equal(judge(m, &r, 4), LOAD_OK);
	assert_int_equal(read_now(m, 3), LOAD_BEHIND);
}

static void two_reads_in_the_air_raise_the_floor_only_later(void **state)
{
	struct load_model *m = *state;
	struct load_read early, late;

	write_acked(m, 1);
	load_model_write(m, B);
	early = load_model_read(m, B);
	late = load_model_read(m, B);
	assert_int_equal(judge(m, &late, 2), LOAD_OK);
	assert_int_equal(judge(m, &early, 1), LOAD_OK); /* both were in flight at once */
	assert_int_equal(read_now(m, 1), LOAD_BEHIND);
}

static void refused_write_must_not_appear(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 1);
	assert_int_equal(load_model_refused(m, B, load_model_write(m, B)), LOAD_OK);
	assert_int_equal(read_now(m, 1), LOAD_OK);
	assert_int_equal(read_now(m, 2), LOAD_REFUSED_SEEN);
	write_acked(m, 1);
	assert_int_equal(read_now(m, 3), LOAD_OK);
	assert_int_equal(read_now(m, 2), LOAD_BEHIND);
}

/* Read while in flight, refused afterwards: executed all the same. */
static void refused_after_it_was_seen(void **state)
{
	struct load_model *m = *state;
	uint32_t g;

	write_acked(m, 1);
	g = load_model_write(m, B);
	assert_int_equal(read_now(m, g), LOAD_OK);
	assert_int_equal(load_model_refused(m, B, g), LOAD_REFUSED_SEEN);
}

static void refused_in_between_is_told_from_open(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 1);
	load_model_unknown(m, B, load_model_write(m, B)); /* 2 */
	load_model_refused(m, B, load_model_write(m, B)); /* 3 */
	load_model_unknown(m, B, load_model_write(m, B)); /* 4 */
	assert_int_equal(read_now(m, 3), LOAD_REFUSED_SEEN);
	assert_int_equal(read_now(m, 2), LOAD_OK);
	assert_int_equal(read_now(m, 4), LOAD_OK);
}

static void many_refusals_keep_the_promise(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 1);
	for (int i = 0; i < 200; i++)
		load_model_refused(m, B, load_model_write(m, B));
	assert_int_equal(read_now(m, 1), LOAD_OK);
	assert_int_equal(read_now(m, 201), LOAD_REFUSED_SEEN);
	assert_int_equal(read_now(m, 150), LOAD_REFUSED_SEEN);
}

static void torn_only_while_a_write_is_open(void **state)
{
	struct load_model *m = *state;
	struct load_read r;
	uint32_t g;

	write_acked(m, 1);
	assert_int_equal(see_now(m, LOAD_SEEN_DAMAGED), LOAD_CORRUPT);
	r = load_model_read(m, B);
	g = load_model_write(m, B);
	assert_int_equal(see_now(m, LOAD_SEEN_DAMAGED), LOAD_TORN);
	load_model_acked(m, B, g);
	assert_int_equal(load_model_judge(m, B, &r, LOAD_SEEN_DAMAGED, 0), LOAD_TORN);
	assert_int_equal(see_now(m, LOAD_SEEN_DAMAGED), LOAD_CORRUPT);
	/* A refused write touches nothing, so it excuses nothing. */
	load_model_refused(m, B, load_model_write(m, B));
	assert_int_equal(see_now(m, LOAD_SEEN_DAMAGED), LOAD_CORRUPT);
}

static void wrong_place_is_never_excused(void **state)
{
	struct load_model *m = *state;

	write_acked(m, 1);
	load_model_write(m, B);
	assert_int_equal(see_now(m, LOAD_SEEN_MISPLACED), LOAD_CORRUPT);
	assert_int_equal(see_now(m, LOAD_SEEN_ALIEN), LOAD_CORRUPT);
}

static void one_write_at_a_time(void **state)
{
	struct load_model *m = *state;
	uint32_t g = load_model_write(m, B);

	assert_false(load_model_may_write(m, B));
	assert_true(load_model_may_write(m, B + 1));
	load_model_acked(m, B, g);
	assert_true(load_model_may_write(m, B));
}

/* BEHIND and then right: the read was stale. BEHIND twice: the write is lost. */
static void confirmation_tells_stale_from_lost(void **state)
{
	static const struct {
		uint64_t second;
		enum load_verdict want;
	} cases[] = { { 3, LOAD_STALE }, { 2, LOAD_LOST }, { 9, LOAD_CORRUPT } };
	struct load_model *m = *state;

	write_acked(m, 3);
	for (size_t i = 0; i < 3; i++) {
		struct load_read first = load_model_read(m, B);

		assert_int_equal(judge(m, &first, 2), LOAD_BEHIND);
		load_model_hold(m, B);
		assert_false(load_model_may_write(m, B));
		assert_int_equal(load_model_confirm(m, B, &first, read_now(m, cases[i].second)),
				 cases[i].want);
		assert_true(load_model_may_write(m, B));
	}
}

/* A write that was in flight hid what had been there: no claim that the loss healed. */
static void confirmation_over_a_write_is_lost(void **state)
{
	struct load_model *m = *state;
	struct load_read first;
	uint32_t g;

	write_acked(m, 3);
	g = load_model_write(m, B);
	first = load_model_read(m, B);
	assert_int_equal(judge(m, &first, 2), LOAD_BEHIND);
	load_model_hold(m, B);
	load_model_acked(m, B, g);
	assert_int_equal(load_model_confirm(m, B, &first, read_now(m, 4)), LOAD_LOST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(last_acknowledged_is_ok),
		T(lost_write_is_behind),
		T(lost_first_write_is_behind),
		T(unwritten_block_promises_nothing),
		T(open_write_may_be_seen_or_not),
		T(unanswered_write_stays_possible),
		T(what_was_seen_stays),
		T(reordered_write_is_behind),
		T(acknowledged_after_unanswered_excludes_it),
		T(concurrent_read_may_be_older),
		T(two_reads_in_the_air_raise_the_floor_only_later),
		T(refused_write_must_not_appear),
		T(refused_after_it_was_seen),
		T(refused_in_between_is_told_from_open),
		T(many_refusals_keep_the_promise),
		T(torn_only_while_a_write_is_open),
		T(wrong_place_is_never_excused),
		T(one_write_at_a_time),
		T(confirmation_tells_stale_from_lost),
		T(confirmation_over_a_write_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
