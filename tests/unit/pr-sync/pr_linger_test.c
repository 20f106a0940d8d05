/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What nexuses of a lost member have by RESERVE is enforced until that member is known to be off (P2: its history may
 * be the one that goes on), by those who saw it lost and by those who join meanwhile; the log says that it has ended.
 *
 *   nodes 1 and 2 are lost, or not; x: a member that stays; y: one that joins by x's snapshot
 *   nexus A is on node 1, B on node 2, C on a node that stays
 */
#include "pr_fixture.h"

#include <errno.h>

#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_service.h"

static const struct service_ops *const ops = &pr_service_ops;

struct fixture {
	struct pr_service *x, *y;
	bool lives[3]; /* as x and y know it */
};

static bool may_live(void *arg, uint32_t node)
{
	assert_in_range(node, 1, 2);
	return ((struct fixture *)arg)->lives[node];
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->x = pr_service_new();
	f->y = pr_service_new();
	f->x->may_live = f->y->may_live = (struct pr_may_live){ may_live, f };
	f->lives[1] = f->lives[2] = true;
	*state = f;
	return !f->x || !f->y;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pr_service_free(f->x);
	pr_service_free(f->y);
	free(f);
	return 0;
}

static uint8_t apply(struct pr_service *s, enum pr_op_kind kind, const char *lu, char who, uint32_t origin)
{
	struct pr_msg m = { .kind = kind, .nexus = nexus(who, origin) };
	struct apply a = { .origin = origin };
	struct pr_result r;
	struct wbuf b = { 0 };

	snprintf(m.lu, sizeof(m.lu), "%s", lu);
	pr_msg_encode(&m, &b);
	assert_int_equal(ops->apply(s, &a, b.data, b.len), 0);
	memcpy(&r, a.result, sizeof(r));
	apply_fini(&a);
	wbuf_fini(&b);
	return r.status;
}

static void reserve(struct pr_service *s, const char *lu, char who, uint32_t node)
{
	assert_int_equal(apply(s, PR_OP_SPC2_RESERVE, lu, who, node), STATUS_GOOD);
}

/* Those that stay; the data path is told of what has ended. */
static void members(struct pr_service *s, const uint32_t *node, size_t n, const char *lu)
{
	struct apply a = { .position = 7 };

	ops->members(s, &a, node, n);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.neffects, 1);
	assert_int_equal(a.effect[0].kind, EFFECT_PUBLISH);
	assert_string_equal(a.effect[0].object, lu);
	apply_fini(&a);
}

static void lose_node_1(struct pr_service *s)
{
	members(s, (const uint32_t[]){ 2, 3 }, 2, "disk0");
}

static void lose_both(struct pr_service *s)
{
	members(s, (const uint32_t[]){ 3 }, 1, "disk0");
}

static struct wbuf beside(const struct pr_service *s)
{
	struct wbuf b = { 0 };

	ops->snapshot_beside(s, &b);
	assert_int_equal(b.err, 0);
	return b;
}

static void assert_same_state(const struct pr_service *x, const struct pr_service *y)
{
	struct wbuf a = { 0 }, b = { 0 };

	ops->snapshot(x, &a);
	ops->snapshot(y, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	wbuf_fini(&a);
	wbuf_fini(&b);
}

static void join(struct pr_service *to, const struct pr_service *from)
{
	struct wbuf state = { 0 }, b = beside(from);
	char err[192] = "";

	ops->snapshot(from, &state);
	assert_int_equal(ops->restore(to, state.data, state.len, err, sizeof(err)), 0);
	assert_int_equal(ops->restore_beside(to, b.data, b.len, err, sizeof(err)), 0);
	wbuf_fini(&state);
	wbuf_fini(&b);
}

/* Whom the data path lets through; 0: everybody. */
static char holder(struct pr_service *s, const char *lu)
{
	static const struct { char who; uint32_t node; } all[] = { { 'A', 1 }, { 'B', 2 }, { 'C', 3 } };
	struct resv_view *v;
	char who = 0;

	assert_int_equal(pr_service_view(s, lu, &v), 0);
	for (size_t i = 0; v && i < sizeof(all) / sizeof(all[0]); i++) {
		struct nexus_id id = nexus(all[i].who, all[i].node);

		assert_int_equal(v->kind, RESV_KIND_SPC2);
		if (nexus_id_eq(&v->holder, &id))
			who = all[i].who;
	}
	assert_int_equal(v != NULL, who != 0);
	pr_view_free(v);
	return who;
}

static void enforced_until_the_lost_node_is_known_to_be_off(void **state)
{
	struct fixture *f = *state;
	struct nexus_id a = nexus('A', 1);

	reserve(f->x, "disk0", 'A', 1);
	assert_false(pr_service_lingers(f->x, "disk0"));
	lose_node_1(f->x);
	assert_false(pr_service_spc2_holds(f->x, &a)); /* by the log it has ended */
	assert_int_equal(holder(f->x, "disk0"), 'A');
	assert_true(pr_service_lingers(f->x, "disk0"));
	assert_false(pr_service_lingers(f->x, "disk1"));
	assert_int_equal(holder(f->x, "disk1"), 0);
	f->lives[1] = false;
	assert_int_equal(holder(f->x, "disk0"), 0);
	assert_false(pr_service_lingers(f->x, "disk0"));
	f->lives[1] = true; /* of the process that was lost it has been said; a later one is another matter */
	assert_int_equal(holder(f->x, "disk0"), 0);
}

/* Nobody who may tell: a node alone, without a cluster. */
static void nothing_lingers_where_nobody_is_waited_for(void **state)
{
	struct fixture *f = *state;

	f->x->may_live.fn = NULL;
	reserve(f->x, "disk0", 'A', 1);
	lose_node_1(f->x);
	assert_int_equal(holder(f->x, "disk0"), 0);
}

/* It is answered when that node is off. Before, A's history may go on, and there A is the only one. */
static void another_reserve_waits(void **state)
{
	struct fixture *f = *state;

	reserve(f->x, "disk0", 'A', 1);
	lose_node_1(f->x);
	reserve(f->x, "disk0", 'C', 3);
	assert_int_equal(holder(f->x, "disk0"), 'A');
	f->lives[1] = false;
	assert_int_equal(holder(f->x, "disk0"), 'C');
}

/* Two nodes lost one after the other: that one of them is off says nothing of the other. */
static void each_lost_node_is_waited_for(void **state)
{
	struct fixture *f = *state;

	for (uint32_t first = 1; first <= 2; first++) {
		reserve(f->x, "disk0", 'A', 1);
		lose_node_1(f->x);
		reserve(f->x, "disk0", 'B', 2);
		lose_both(f->x);
		f->lives[first] = false;
		assert_int_equal(holder(f->x, "disk0"), first == 1 ? 'B' : 'A');
		f->lives[3 - first] = false;
		assert_int_equal(holder(f->x, "disk0"), 0);
		f->lives[1] = f->lives[2] = true;
	}
}

static void a_lost_node_may_have_had_several(void **state)
{
	struct fixture *f = *state;
	struct apply a = { .position = 7 };

	reserve(f->x, "disk0", 'A', 1);
	reserve(f->x, "disk1", 'A', 1);
	ops->members(f->x, &a, (const uint32_t[]){ 2, 3 }, 2);
	apply_fini(&a);
	assert_int_equal(holder(f->x, "disk0"), 'A');
	assert_int_equal(holder(f->x, "disk1"), 'A');
	f->lives[1] = false;
	assert_int_equal(holder(f->x, "disk0"), 0);
	assert_true(pr_service_lingers(f->x, "disk1"));
	assert_int_equal(holder(f->x, "disk1"), 0);
}

static void a_node_that_is_lost_again_lingers_once(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) {
		reserve(f->x, "disk0", 'A', 1);
		lose_node_1(f->x);
	}
	assert_int_equal(f->x->linger.n, 1);
}

/* P2 at a joiner; P3: members that know it, and those that know it no more, have the same state. */
static void who_joins_meanwhile_enforces_it_too(void **state)
{
	struct fixture *f = *state;

	reserve(f->x, "disk0", 'A', 1);
	lose_node_1(f->x);
	reserve(f->x, "disk1", 'C', 3);
	join(f->y, f->x);
	assert_same_state(f->x, f->y);
	assert_int_equal(holder(f->y, "disk0"), 'A');
	assert_true(pr_service_lingers(f->y, "disk0"));
	assert_int_equal(holder(f->y, "disk1"), 'C');
	f->lives[1] = false;
	assert_int_equal(holder(f->y, "disk0"), 0);
	assert_true(pr_service_lingers(f->x, "disk0")); /* which has not published since */
	assert_same_state(f->x, f->y);
}

/* What the source does not know, it does not enforce either; so of 0.1.0, which sends nothing. */
static void what_a_joiner_knew_gives_way(void **state)
{
	struct fixture *f = *state;
	char err[192];

	reserve(f->y, "disk0", 'A', 1);
	lose_node_1(f->y);
	join(f->y, f->x);
	assert_int_equal(holder(f->y, "disk0"), 0);

	reserve(f->y, "disk0", 'A', 1);
	lose_node_1(f->y);
	assert_int_equal(ops->restore_beside(f->y, NULL, 0, err, sizeof(err)), 0);
	assert_int_equal(holder(f->y, "disk0"), 0);
}

static void nothing_is_said_when_nothing_lingers(void **state)
{
	struct fixture *f = *state;
	struct wbuf b;

	reserve(f->x, "disk0", 'A', 1);
	b = beside(f->x);
	assert_int_equal(b.len, 0);
	wbuf_fini(&b);
}

/* P9: all or nothing. */
static void what_cannot_be_read_is_refused(void **state)
{
	struct fixture *f = *state;
	struct wbuf b;
	char err[192];
	unsigned refused = 0;

	reserve(f->x, "disk0", 'A', 1);
	lose_node_1(f->x);
	reserve(f->x, "disk0", 'B', 2);
	lose_both(f->x);
	b = beside(f->x);
	join(f->y, f->x);
	for (size_t len = 1; len < b.len; len++) {
		char *cut = malloc(len);

		memcpy(cut, b.data, len);
		err[0] = 0;
		if (ops->restore_beside(f->y, (uint8_t *)cut, len, err, sizeof(err))) {
			assert_true(err[0]);
			refused++;
			assert_int_equal(f->y->linger.n, 2);
		} else {
			join(f->y, f->x);
		}
		free(cut);
	}
	assert_true(refused > b.len / 2);
	wbuf_fini(&b);
}

static void values_out_of_bounds_are_refused(void **state)
{
	struct fixture *f = *state;
	struct nexus_id a = nexus('A', 1);

	for (unsigned variant = 0; variant < 7; variant++) {
		Sandem__Pr__Beside pb = SANDEM__PR__BESIDE__INIT;
		Sandem__Pr__Lingering one = SANDEM__PR__LINGERING__INIT, *list[] = { &one };
		Sandem__Pr__Nexus id;
		struct wbuf b = { 0 };
		char err[192] = "";
		int rc;

		pr_msg_put_nexus(&id, &a);
		one.lu = (ProtobufCBinaryData){ 5, (uint8_t *)"disk0" };
		one.node = 1;
		one.holder = &id;
		pb.version = 1;
		pb.n_lingering = 1;
		pb.lingering = list;
		switch (variant) {
		case 0: break; /* the control: this one is good */
		case 1: one.lu.len = 0; break;
		case 2: one.lu = (ProtobufCBinaryData){ 5, (uint8_t *)"di\0k0" }; break;
		case 3: one.node = 0; break;
		case 4: one.holder = NULL; break;
		case 5: id.rtpi = 0x10000; break;
		case 6: pb.version = 2; break;
		}
		pr_msg_pack(&pb.base, &b);
		rc = ops->restore_beside(f->x, b.data, b.len, err, sizeof(err));
		wbuf_fini(&b);
		if (rc != (variant ? -EBADMSG : 0))
			fail_msg("variant %u: %d", variant, rc);
		assert_int_equal(f->x->linger.n, 1); /* what variant 0 left */
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(enforced_until_the_lost_node_is_known_to_be_off),
		T(nothing_lingers_where_nobody_is_waited_for),
		T(another_reserve_waits),
		T(each_lost_node_is_waited_for),
		T(a_lost_node_may_have_had_several),
		T(a_node_that_is_lost_again_lingers_once),
		T(who_joins_meanwhile_enforces_it_too),
		T(what_a_joiner_knew_gives_way),
		T(nothing_is_said_when_nothing_lingers),
		T(what_cannot_be_read_is_refused),
		T(values_out_of_bounds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
