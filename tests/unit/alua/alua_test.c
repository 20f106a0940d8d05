/* SPDX-License-Identifier: BSD-2-Clause */
/* LUN group ownership and what the ports report: one group, nodes 1, 2 and 3. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alua/alua.pb-c.h"
#include "alua/alua_service.h"

static struct alua_situation seen_by(const struct group *g, uint32_t self, bool serving)
{
	static const uint32_t members[] = { 1, 2 };

	return (struct alua_situation){ .group = g, .self = self, .serving = serving, .member = members,
					.nmembers = 2, .hold_limit_ms = 10000 };
}

static void assert_gate(const struct group *g, uint32_t self, bool serving, enum alua_state state,
			enum gate_verdict verdict)
{
	struct alua_situation s = seen_by(g, self, serving);
	enum gate_verdict v;
	sense_t sense;

	assert_int_equal(alua_state_of(&s, self), state);
	alua_verdict(&s, &v, &sense);
	assert_int_equal(v, verdict);
}

static struct group active_on(uint32_t node)
{
	struct group g = { .name = "g0" };

	assert_int_equal(group_apply(&g, GROUP_PROMOTE, node, 0), GROUP_OK);
	assert_int_equal(group_apply(&g, GROUP_ACTIVATE, node, g.epoch), GROUP_OK);
	return g;
}

/* P7: from the demotion on, every node holds; nobody admits before the new owner is active. */
static void planned_move(void **state)
{
	struct group g = active_on(1);

	(void)state;
	assert_gate(&g, 1, true, ALUA_OPTIMIZED, GATE_ADMIT);
	assert_gate(&g, 2, true, ALUA_STANDBY, GATE_REFUSE);
	assert_int_equal(group_apply(&g, GROUP_DEMOTE, 1, 0), GROUP_OK);
	for (uint32_t n = 1; n <= 2; n++)
		assert_gate(&g, n, true, ALUA_TRANSITIONING, GATE_HOLD);
	/* P5: not before the old owner has closed */
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 2, 0), GROUP_REFUSED_BUSY);
	assert_int_equal(group_apply(&g, GROUP_CLOSED, 1, g.epoch), GROUP_OK);
	assert_int_equal(g.owner, 0);
	assert_gate(&g, 2, true, ALUA_TRANSITIONING, GATE_HOLD);
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 2, 0), GROUP_OK);
	assert_gate(&g, 2, true, ALUA_TRANSITIONING, GATE_HOLD);
	assert_int_equal(group_apply(&g, GROUP_ACTIVATE, 2, g.epoch), GROUP_OK);
	assert_gate(&g, 2, true, ALUA_OPTIMIZED, GATE_ADMIT);
	assert_gate(&g, 1, true, ALUA_STANDBY, GATE_REFUSE);
	assert_int_equal(g.epoch, 2);
}

static void only_one_owner(void **state)
{
	struct group g = active_on(1);

	(void)state;
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 2, 0), GROUP_REFUSED_OWNED);
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 1, 0), GROUP_UNCHANGED);
	assert_int_equal(group_apply(&g, GROUP_DEMOTE, 2, 0), GROUP_UNCHANGED);
	assert_int_equal(group_apply(&g, GROUP_CLOSED, 2, g.epoch), GROUP_REFUSED_NOT_OWNER);
	assert_int_equal(g.owner, 1);
	assert_int_equal(g.phase, GROUP_ACTIVE);
}

/* The owner dies: commands wait for the one who is promoted; reports of the dead one's ownership are stale. */
static void owner_lost(void **state)
{
	struct group g = active_on(1);
	uint64_t old = g.epoch;

	(void)state;
	assert_true(group_member_lost(&g, 1));
	assert_false(group_member_lost(&g, 1));
	assert_gate(&g, 2, true, ALUA_TRANSITIONING, GATE_HOLD);
	assert_int_equal(group_apply(&g, GROUP_CLOSED, 1, old), GROUP_REFUSED_NOT_OWNER);
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 2, 0), GROUP_OK);
	assert_int_equal(group_apply(&g, GROUP_ACTIVATE, 1, old), GROUP_REFUSED_STALE);
	assert_int_equal(group_apply(&g, GROUP_ACTIVATE, 2, g.epoch), GROUP_OK);
	assert_int_equal(g.owner, 2);
}

static void lost_while_closing_or_opening(void **state)
{
	struct group g = active_on(1);

	(void)state;
	group_apply(&g, GROUP_DEMOTE, 1, 0);
	assert_true(group_member_lost(&g, 1));
	assert_int_equal(g.owner, 1); /* could still write until it is fenced */
	assert_int_equal(g.phase, GROUP_ACTIVE); /* whatever it was doing: members of all versions have these bytes */
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 2, 0), GROUP_OK);
	assert_true(group_member_lost(&g, 2));
	assert_gate(&g, 1, true, ALUA_TRANSITIONING, GATE_HOLD);
}

/* It was lost and is a member again: another process, which owns nothing, and nobody is let in before a promotion. */
static void lost_owner_is_back(void **state)
{
	struct group g = active_on(1);
	uint64_t old = g.epoch;

	(void)state;
	assert_false(group_member_back(&g, 1));
	group_member_lost(&g, 1);
	assert_false(group_member_back(&g, 2));
	assert_true(group_member_back(&g, 1));
	assert_int_equal(g.owner, 0);
	assert_true(g.lost);
	assert_gate(&g, 1, true, ALUA_TRANSITIONING, GATE_HOLD);
	assert_gate(&g, 2, true, ALUA_TRANSITIONING, GATE_HOLD);
	assert_false(group_member_lost(&g, 1));
	assert_int_equal(group_apply(&g, GROUP_ACTIVATE, 1, old), GROUP_REFUSED_NOT_OWNER);
	assert_int_equal(group_apply(&g, GROUP_DEMOTE, 1, 0), GROUP_UNCHANGED);
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 1, 0), GROUP_OK);
	assert_int_equal(g.epoch, old + 1);
	assert_int_equal(group_apply(&g, GROUP_ACTIVATE, 1, g.epoch), GROUP_OK);
	assert_gate(&g, 1, true, ALUA_OPTIMIZED, GATE_ADMIT);
}

/* P4 */
static void no_quorum_no_medium(void **state)
{
	struct group g = active_on(1);

	(void)state;
	assert_gate(&g, 1, false, ALUA_UNAVAILABLE, GATE_REFUSE);
	assert_gate(&g, 2, false, ALUA_UNAVAILABLE, GATE_REFUSE);
}

/* Its devices can't be used: its port says so, the group is its own until it is demoted. */
static void a_node_whose_devices_have_failed(void **state)
{
	struct group g = active_on(1);
	struct alua_situation s = seen_by(&g, 1, true);
	enum gate_verdict v;
	sense_t sense;

	(void)state;
	s.failed = true;
	assert_int_equal(alua_state_of(&s, 1), ALUA_UNAVAILABLE);
	assert_int_equal(alua_state_of(&s, 2), ALUA_STANDBY);
	alua_verdict(&s, &v, &sense);
	assert_int_equal(v, GATE_REFUSE);
	assert_int_equal(sense, SENSE_LU_NOT_READY_UNAVAILABLE);
}

static void nobody_comes(void **state)
{
	struct group g = active_on(1);

	(void)state;
	group_apply(&g, GROUP_DEMOTE, 1, 0);
	group_apply(&g, GROUP_CLOSED, 1, g.epoch);
	assert_int_equal(group_apply(&g, GROUP_GIVE_UP, 1, g.epoch + 1), GROUP_REFUSED_STALE);
	assert_int_equal(group_apply(&g, GROUP_GIVE_UP, 2, g.epoch), GROUP_OK);
	assert_gate(&g, 1, true, ALUA_UNAVAILABLE, GATE_REFUSE);
	assert_int_equal(group_apply(&g, GROUP_PROMOTE, 2, 0), GROUP_OK);
	assert_int_equal(group_apply(&g, GROUP_OPEN_FAILED, 2, g.epoch), GROUP_OK);
	assert_int_equal(g.owner, 0);
}

/* Every node reports the same table; a node that is no member is unavailable. */
static void gate_lists_every_group(void **state)
{
	struct group g = active_on(2);
	const struct alua_port_ref ports[] = { { 1, 257 }, { 1, 513 }, { 2, 258 }, { 3, 259 } };

	(void)state;
	for (uint32_t self = 1; self <= 2; self++) {
		struct alua_situation s = seen_by(&g, self, true);
		struct alua_gate *gate;

		s.preferred = 1;
		gate = alua_gate_new(&s, ports, 4);

		assert_non_null(gate);
		assert_int_equal(gate->ntpg, 3);
		assert_int_equal(gate->tpg[0].id, 1);
		assert_int_equal(gate->tpg[0].nports, 2);
		assert_int_equal(gate->tpg[0].rtpi[1], 513);
		assert_int_equal(gate->tpg[0].state, ALUA_STANDBY);
		assert_true(gate->tpg[0].preferred);
		assert_false(gate->tpg[1].preferred);
		assert_int_equal(gate->tpg[1].state, ALUA_OPTIMIZED);
		assert_int_equal(gate->tpg[1].rtpi[0], 258);
		assert_int_equal(gate->tpg[2].state, ALUA_UNAVAILABLE);
		assert_int_not_equal(gate->transition_time, 0);
		assert_int_equal(gate->local_state, gate->tpg[self - 1].state);
		alua_gate_free(gate);
	}
}

/* non_owner: forward. The port of node 2 follows the link to the owner, node 1; transitions and quorum come first. */
static void forwarding(void **state)
{
	static const uint32_t one[] = { 1 }, two[] = { 2 };
	struct group g = active_on(1);
	struct alua_situation other = seen_by(&g, 2, true), owner = seen_by(&g, 1, true);
	enum gate_verdict v;
	sense_t sense;

	(void)state;
	other.forward = owner.forward = true;
	other.link_to = one;
	owner.link_from = two;
	assert_int_equal(alua_state_of(&other, 2), ALUA_STANDBY); /* the link is down */
	assert_int_equal(alua_state_of(&owner, 2), ALUA_STANDBY);
	other.nlink_to = owner.nlink_from = 1;
	assert_int_equal(alua_state_of(&other, 2), ALUA_NONOPTIMIZED);
	assert_int_equal(alua_state_of(&owner, 2), ALUA_NONOPTIMIZED); /* both report the same */
	assert_int_equal(alua_state_of(&other, 1), ALUA_OPTIMIZED);
	alua_verdict(&other, &v, &sense);
	assert_int_equal(v, GATE_FORWARD);
	alua_verdict(&owner, &v, &sense);
	assert_int_equal(v, GATE_ADMIT);
	other.serving = false; /* P4 */
	alua_verdict(&other, &v, &sense);
	assert_int_equal(v, GATE_REFUSE);
	other.serving = true;
	group_member_lost(&g, 1);
	alua_verdict(&other, &v, &sense);
	assert_int_equal(v, GATE_HOLD);
	g = active_on(1);
	group_apply(&g, GROUP_DEMOTE, 1, 0);
	alua_verdict(&other, &v, &sense);
	assert_int_equal(v, GATE_HOLD);
	g = active_on(1);
	other.forward = false;
	assert_int_equal(alua_state_of(&other, 2), ALUA_STANDBY);
}

static void gate_says_where_to(void **state)
{
	static const uint32_t one[] = { 1 };
	struct group g = active_on(1);
	struct alua_situation s = seen_by(&g, 2, true);
	const struct alua_port_ref ports[] = { { 1, 257 }, { 2, 258 } };
	struct alua_gate *gate;

	(void)state;
	s.forward = true;
	s.link_to = one;
	s.nlink_to = 1;
	gate = alua_gate_new(&s, ports, 2);
	assert_non_null(gate);
	assert_int_equal(gate->medium, GATE_FORWARD);
	assert_int_equal(gate->owner, 1);
	assert_true(gate->epoch == g.epoch && !gate->lost && gate->nonoptimized);
	assert_int_equal(gate->tpg[1].state, ALUA_NONOPTIMIZED);
	alua_gate_free(gate);
}

/* ---- the replicated service ---- */

static uint8_t propose(struct alua_service *svc, struct apply *a, enum group_action action, const char *group,
		       uint32_t node, uint64_t epoch)
{
	struct wbuf msg = { 0 };

	*a = (struct apply){ 0 };
	alua_service_pack(&msg, action, group, node, epoch);
	assert_int_equal(alua_service_ops.apply(svc, a, msg.data, msg.len), 0);
	wbuf_fini(&msg);
	assert_int_equal(a->result_len, 1);
	return a->result[0];
}

static uint32_t count(const struct apply *a, enum effect_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < a->neffects; i++)
		n += a->effect[i].kind == kind;
	return n;
}

static void service_effects(void **state)
{
	const char *names[] = { "g1", "g0" };
	struct alua_service *svc = alua_service_new(names, 2);
	struct apply a;

	(void)state;
	assert_int_equal(propose(svc, &a, GROUP_PROMOTE, "g1", 2, 0), GROUP_OK);
	assert_int_equal(count(&a, EFFECT_OWNER), 1);
	assert_int_equal(count(&a, EFFECT_UA), 0);
	apply_fini(&a);
	assert_int_equal(propose(svc, &a, GROUP_ACTIVATE, "g1", 2, 1), GROUP_OK);
	assert_int_equal(count(&a, EFFECT_UA), 1);
	assert_int_equal(count(&a, EFFECT_PUBLISH), 1);
	assert_string_equal(a.effect[0].object, "g1");
	apply_fini(&a);
	assert_int_equal(propose(svc, &a, GROUP_PROMOTE, "g9", 2, 0), GROUP_REFUSED_UNKNOWN);
	assert_int_equal(a.neffects, 0);
	assert_true(alua_service_owns(svc, 2));
	assert_false(alua_service_owns(svc, 1));
	alua_service_free(svc);
}

static void service_loses_owner(void **state)
{
	const char *names[] = { "g0" };
	struct alua_service *svc = alua_service_new(names, 1);
	const uint32_t both[] = { 2, 1 }, one[] = { 2 };
	struct apply a = { 0 };

	(void)state;
	alua_service_ops.members(svc, &a, both, 2);
	apply_fini(&a);
	propose(svc, &a, GROUP_PROMOTE, "g0", 1, 0);
	apply_fini(&a);
	alua_service_ops.members(svc, &a, one, 1);
	assert_true(svc->group[0].lost);
	assert_int_equal(count(&a, EFFECT_PUBLISH), 1);
	assert_true(alua_service_owns(svc, 1)); /* until somebody is promoted */
	apply_fini(&a);
	alua_service_free(svc);
}

static uint32_t fenced(const struct apply *a)
{
	for (uint32_t i = 0; i < a->neffects; i++)
		if (a->effect[i].kind == EFFECT_FENCED)
			return a->effect[i].node;
	return 0;
}

static void also(struct alua_service *svc, enum group_action action, const char *group, uint32_t node, uint64_t epoch)
{
	struct apply a;

	propose(svc, &a, action, group, node, epoch);
	assert_int_equal(fenced(&a), 0);
	apply_fini(&a);
}

/* A promotion tells of the fencing of the lost owner of the last group, also on a member that knows of it from a
 * snapshot only. */
static void promotion_tells_of_fencing(void **state)
{
	const char *names[] = { "g0", "g1" };
	struct alua_service *svc = alua_service_new(names, 2), *joiner = alua_service_new(names, 2);
	const uint32_t both[] = { 1, 2 }, one[] = { 2 };
	struct apply a = { 0 };
	struct wbuf s = { 0 };
	char err[256];

	(void)state;
	alua_service_ops.members(svc, &a, both, 2);
	apply_fini(&a);
	also(svc, GROUP_PROMOTE, "g0", 1, 0);
	also(svc, GROUP_PROMOTE, "g1", 1, 0);
	alua_service_ops.members(svc, &a, one, 1);
	assert_int_equal(fenced(&a), 0);
	apply_fini(&a);
	also(svc, GROUP_PROMOTE, "g0", 2, 0);
	alua_service_ops.snapshot(svc, &s);
	assert_int_equal(alua_service_ops.restore(joiner, s.data, s.len, err, sizeof(err)), 0);
	propose(joiner, &a, GROUP_PROMOTE, "g1", 2, 0);
	assert_int_equal(fenced(&a), 1);
	apply_fini(&a);
	also(joiner, GROUP_OPEN_FAILED, "g1", 2, 2); /* no later change says it again, or of another one */
	also(joiner, GROUP_PROMOTE, "g1", 1, 0);
	wbuf_fini(&s);
	alua_service_free(svc);
	alua_service_free(joiner);
}

/* The log says who was lost although the node is a member: what it owned is nobody's, and a promotion says nothing of
 * the process that is there now. */
static void service_owner_is_back(void **state)
{
	const char *names[] = { "g0" };
	struct alua_service *svc = alua_service_new(names, 1);
	const uint32_t both[] = { 1, 2 }, one[] = { 2 }, back[] = { 1 };
	struct apply a = { 0 };

	(void)state;
	alua_service_ops.members(svc, &a, both, 2);
	apply_fini(&a);
	also(svc, GROUP_PROMOTE, "g0", 1, 0);
	also(svc, GROUP_ACTIVATE, "g0", 1, 1);
	alua_service_ops.members(svc, &a, one, 1);
	alua_service_ops.joined(svc, &a, back, 1);
	alua_service_ops.members(svc, &a, both, 2);
	assert_int_equal(count(&a, EFFECT_PUBLISH), 2);
	assert_int_equal(a.err, 0);
	assert_true(svc->group[0].lost);
	assert_int_equal(svc->group[0].owner, 0);
	assert_false(alua_service_owns(svc, 1));
	apply_fini(&a);
	assert_int_equal(propose(svc, &a, GROUP_PROMOTE, "g0", 2, 0), GROUP_OK);
	assert_int_equal(fenced(&a), 0);
	apply_fini(&a);
	alua_service_free(svc);
}

static void snapshot_round_trip(void **state)
{
	const char *names[] = { "g0", "g1" }, *other[] = { "g0", "g2", "g3" };
	struct alua_service *a = alua_service_new(names, 2), *b = alua_service_new(names, 2),
			    *c = alua_service_new(other, 3);
	const uint32_t members[] = { 3, 1 };
	struct wbuf x = { 0 }, y = { 0 };
	struct apply ap = { 0 };
	char err[256] = "";

	(void)state;
	alua_service_ops.members(a, &ap, members, 2);
	apply_fini(&ap);
	propose(a, &ap, GROUP_PROMOTE, "g1", 3, 0);
	apply_fini(&ap);
	alua_service_ops.snapshot(a, &x);
	assert_int_equal(alua_service_ops.restore(b, x.data, x.len, err, sizeof(err)), 0);
	alua_service_ops.snapshot(b, &y);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	for (unsigned i = 0; i < 2; i++)
		assert_memory_equal(alua_service_find(b, names[i]), alua_service_find(a, names[i]), sizeof(struct group));
	assert_int_equal(alua_service_find(b, "g1")->epoch, 1);
	wbuf_fini(&y);
	y = (struct wbuf){ 0 };
	/* Which there are it says itself. */
	assert_int_equal(alua_service_ops.restore(c, x.data, x.len, err, sizeof(err)), 0);
	alua_service_ops.snapshot(c, &y);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	assert_null(alua_service_find(c, "g2"));
	assert_int_equal(alua_service_group(c, "g2")->phase, GROUP_NONE);
	assert_int_equal(alua_service_group(c, "g2")->owner, 0);
	assert_int_equal(alua_service_find(c, "g1")->owner, 3);
	for (size_t cut = 1; cut < x.len; cut++) { /* torn: refused or, cut between fields, still well-formed */
		struct group before;

		assert_int_equal(alua_service_ops.restore(b, x.data, x.len, err, sizeof(err)), 0);
		before = *alua_service_find(b, "g1");
		if (alua_service_ops.restore(b, x.data, cut, err, sizeof(err)) < 0)
			assert_memory_equal(&before, alua_service_find(b, "g1"), sizeof(before));
	}
	wbuf_fini(&x);
	wbuf_fini(&y);
	alua_service_free(a);
	alua_service_free(b);
	alua_service_free(c);
}

static size_t packed(uint8_t *out, const struct group *g, size_t n)
{
	struct alua_service svc = { .ngroups = n, .group = (struct group *)g };
	struct wbuf s = { 0 };
	size_t len;

	alua_service_ops.snapshot(&svc, &s);
	assert_int_equal(s.err, 0);
	memcpy(out, s.data, s.len);
	len = s.len;
	wbuf_fini(&s);
	return len;
}

/* Equal states are equal bytes: one order, no name twice. */
static void bad_snapshots(void **state)
{
	static const struct group bad[][2] = {
		{ { .name = "g1" }, { .name = "g0" } },
		{ { .name = "g1" }, { .name = "g1" } },
		{ { .name = "" }, { .name = "g1" } },
		{ { .name = "g0" }, { .name = "g1", .phase = (enum group_phase)5 } },
	};
	const char *names[] = { "g0" };
	struct alua_service *svc = alua_service_new(names, 1);
	uint8_t bytes[256];
	char err[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = packed(bytes, bad[i], 2);

		err[0] = '\0';
		assert_int_equal(alua_service_ops.restore(svc, bytes, len, err, sizeof(err)), -EBADMSG);
		assert_non_null(strstr(err, "port states: the snapshot is refused"));
		assert_int_equal(svc->ngroups, 1);
	}
	alua_service_free(svc);
}

/* P3: whatever the order in which a node's sandem.yaml lists them. */
static void the_order_of_groups_is_that_of_their_names(void **state)
{
	const char *names[] = { "g2", "g0", "g1" }, *other[] = { "g1", "g2", "g0" };
	struct alua_service *a = alua_service_new(names, 3), *b = alua_service_new(other, 3);
	struct wbuf x = { 0 }, y = { 0 };
	struct apply ap = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		propose(a, &ap, GROUP_PROMOTE, names[i], i + 1, 0);
		apply_fini(&ap);
		propose(b, &ap, GROUP_PROMOTE, names[i], i + 1, 0);
		apply_fini(&ap);
	}
	alua_service_ops.snapshot(a, &x);
	alua_service_ops.snapshot(b, &y);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	wbuf_fini(&x);
	wbuf_fini(&y);
	alua_service_free(a);
	alua_service_free(b);
}

/* P9: states that no sequence of operations leads to. */
static void impossible_snapshots(void **state)
{
	static const struct {
		uint32_t phase, owner;
		bool good;
	} rows[] = {
		{ GROUP_ACTIVE, 1, true },
		{ GROUP_HANDOVER, 0, true },
		{ GROUP_HANDOVER + 1, 0, false },
		{ GROUP_NONE, 1, false },
		{ GROUP_HANDOVER, 1, false },
	};
	const char *names[] = { "g0" };
	struct alua_service *svc = alua_service_new(names, 1);

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		Alua__Group g = ALUA__GROUP__INIT, *list[] = { &g };
		Alua__Snapshot s = ALUA__SNAPSHOT__INIT;
		uint8_t bytes[64];
		char err[256] = "";
		int rc;

		g.name = "g0";
		g.phase = rows[i].phase;
		g.owner = rows[i].owner;
		s.n_group = 1;
		s.group = list;
		rc = alua_service_ops.restore(svc, bytes, alua__snapshot__pack(&s, bytes), err, sizeof(err));
		assert_int_equal(rc == 0, rows[i].good);
		assert_int_equal(err[0] != 0, !rows[i].good);
		assert_int_equal(alua_service_find(svc, "g0")->phase, rows[i < 1 ? 0 : 1].phase);
	}
	alua_service_free(svc);
}

static void groups_come_and_go(void **state)
{
	const char *first[] = { "g1" }, *more[] = { "g0", "g1", "g2" }, *less[] = { "g0", "g2" };
	struct alua_service *svc = alua_service_new(first, 1);
	struct apply a;

	(void)state;
	also(svc, GROUP_PROMOTE, "g1", 2, 0);
	also(svc, GROUP_ACTIVATE, "g1", 2, 1);
	assert_null(alua_service_held(svc, more, 3));
	assert_int_equal(alua_service_take(svc, more, 3, 50), 0);
	assert_int_equal(svc->ngroups, 3);
	assert_int_equal(alua_service_find(svc, "g1")->owner, 2); /* it notices nothing */
	assert_int_equal(alua_service_find(svc, "g1")->epoch, 1);
	assert_int_equal(alua_service_find(svc, "g1")->phase, GROUP_ACTIVE);
	assert_int_equal(alua_service_find(svc, "g0")->phase, GROUP_NONE);
	assert_int_equal(propose(svc, &a, GROUP_PROMOTE, "g0", 1, 0), GROUP_OK);
	apply_fini(&a);
	assert_int_equal(alua_service_find(svc, "g0")->epoch, 51);

	assert_string_equal(alua_service_held(svc, less, 2)->name, "g1");
	for (int phase = GROUP_NONE; phase <= GROUP_HANDOVER; phase++) { /* on its way is as good as there */
		alua_service_find(svc, "g1")->phase = (enum group_phase)phase;
		assert_int_equal(alua_service_held(svc, less, 2) != NULL,
				 phase == GROUP_OPENING || phase == GROUP_ACTIVE || phase == GROUP_CLOSING);
	}
	alua_service_find(svc, "g1")->phase = GROUP_NONE;
	alua_service_find(svc, "g1")->owner = 0;
	assert_int_equal(alua_service_take(svc, less, 2, 60), 0);
	assert_int_equal(alua_service_find(svc, "g0")->owner, 1);
	assert_int_equal(propose(svc, &a, GROUP_PROMOTE, "g1", 2, 0), GROUP_REFUSED_UNKNOWN);
	apply_fini(&a);
	/* One that was removed and comes again has none of its former epochs. */
	assert_int_equal(alua_service_take(svc, more, 3, 70), 0);
	also(svc, GROUP_PROMOTE, "g1", 1, 0);
	assert_int_equal(alua_service_find(svc, "g1")->epoch, 71);
	assert_int_equal(propose(svc, &a, GROUP_ACTIVATE, "g1", 1, 1), GROUP_REFUSED_STALE);
	apply_fini(&a);
	alua_service_free(svc);
}

static void bad_messages(void **state)
{
	const char *names[] = { "g0" };
	struct alua_service *svc = alua_service_new(names, 1);
	struct wbuf msg = { 0 };
	struct apply a = { 0 };
	const uint8_t junk[] = { 0xff, 0xff, 0xff, 0xff };

	(void)state;
	assert_int_not_equal(alua_service_ops.apply(svc, &a, junk, sizeof(junk)), 0);
	alua_service_pack(&msg, (enum group_action)77, "g0", 1, 0);
	assert_int_not_equal(alua_service_ops.apply(svc, &a, msg.data, msg.len), 0);
	assert_int_equal(a.neffects, 0);
	assert_int_equal(svc->group[0].phase, GROUP_NONE);
	wbuf_fini(&msg);
	alua_service_free(svc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planned_move),
		cmocka_unit_test(only_one_owner),
		cmocka_unit_test(owner_lost),
		cmocka_unit_test(lost_while_closing_or_opening),
		cmocka_unit_test(lost_owner_is_back),
		cmocka_unit_test(no_quorum_no_medium),
		cmocka_unit_test(a_node_whose_devices_have_failed),
		cmocka_unit_test(nobody_comes),
		cmocka_unit_test(gate_lists_every_group),
		cmocka_unit_test(forwarding),
		cmocka_unit_test(gate_says_where_to),
		cmocka_unit_test(service_effects),
		cmocka_unit_test(service_loses_owner),
		cmocka_unit_test(service_owner_is_back),
		cmocka_unit_test(promotion_tells_of_fencing),
		cmocka_unit_test(snapshot_round_trip),
		cmocka_unit_test(bad_snapshots),
		cmocka_unit_test(groups_come_and_go),
		cmocka_unit_test(the_order_of_groups_is_that_of_their_names),
		cmocka_unit_test(impossible_snapshots),
		cmocka_unit_test(bad_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
