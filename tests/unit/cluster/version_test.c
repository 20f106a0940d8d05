/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rolling upgrade: members whose programs speak version 1 of the protocol, and have no service "newer", among such as
 * speak 2. Topology: 2 or 3 members in one process over tests/unit/cluster/fake_cpg.c. Promise: one state on all members
 * (P3), nothing acknowledged is lost (P1), whoever can't follow stays out (P9).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/replog.pb-c.h"
#include "cluster/replog_msg.h"
#include "tests/unit/cluster/fake_cpg.h"

#define WIRE_HEADER 8

static struct fake fake;
static uint64_t next_value;

static void start_as(struct fake *f, uint32_t node, uint32_t version_max)
{
	f->node[node].version_max = version_max;
	fake_start(f, node);
	fake_settle(f);
}

static struct fake *up(uint32_t nodes, uint32_t version_max)
{
	fake_init(&fake, nodes, 42);
	fake.trace = getenv("TRACE") != NULL;
	next_value = 1;
	for (uint32_t i = 1; i <= nodes; i++)
		start_as(&fake, i, version_max);
	for (uint32_t i = 1; i <= nodes; i++)
		assert_true(fake_serving(&fake, i));
	return &fake;
}

/* The orderly end of a node, as an upgrade begins. */
static void stop(struct fake *f, uint32_t node)
{
	replog_goodbye(f->node[node].log);
	fake_settle(f);
	fake_leave(f, node);
	fake_settle(f);
}

static void upgrade_to(struct fake *f, uint32_t node, uint32_t version_max)
{
	stop(f, node);
	start_as(f, node, version_max);
}

static void upgrade(struct fake *f, uint32_t node)
{
	upgrade_to(f, node, 2);
}

static enum propose_status write_one(struct fake *f, uint32_t node,
				     size_t (*propose)(struct fake *f, uint32_t node, struct toy_op op))
{
	uint64_t value = next_value++;
	size_t at = propose(f, node, (struct toy_op){ .cell = value % TOY_CELLS, .value = value, .persist = 1 });

	fake_settle(f);
	assert_true(f->proposal[at].finished);
	return f->proposal[at].status;
}

static void assert_version(struct fake *f, uint32_t version)
{
	for (uint32_t i = 1; i <= f->nodes; i++) {
		if (!f->node[i].running)
			continue;
		assert_true(fake_serving(f, i));
		assert_int_equal(replog_version(f->node[i].log), version);
		assert_int_equal(replog_has(f->node[i].log, TOY_NEW_ID), version >= 2);
	}
	fake_check_equal(f);
}

/* ---- the way up ----------------------------------------------------------------------------------------- */

static void a_fresh_cluster_uses_the_newest_when_all_are_there(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_init(f, 3, 42);
	next_value = 1;
	start_as(f, 1, 0);
	start_as(f, 2, 0);
	assert_false(fake_serving(f, 1) || fake_serving(f, 2)); /* node 3 may have what there was before */
	start_as(f, 3, 0);
	assert_version(f, REPLOG_VERSION);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(f->node[i].version, REPLOG_VERSION); /* who has to be told was */
	assert_int_equal(write_one(f, 2, fake_propose_newer), PROPOSE_OK);
	assert_int_equal(f->node[3].newer.count, 1);
	fake_fini(f);
}

/* It is heard, and gone before the first membership: that begins with what it speaks. */
static void an_old_node_lost_before_the_first_membership_comes_back(void **state)
{
	struct fake *f = &fake;

	(void)state;
	fake_init(f, 3, 42);
	for (uint32_t i = 1; i <= 3; i++) {
		f->node[i].version_max = i == 3 ? 1 : 2;
		fake_start(f, i);
	}
	while (!strstr(replog_why(f->node[1].log), "waiting for the membership"))
		assert_true(fake_step(f));
	fake_kill(f, 3);
	fake_settle(f);
	fake_fenced(f, 3);
	fake_settle(f);
	assert_version(f, 1);
	start_as(f, 3, 1);
	assert_version(f, 1);
	upgrade(f, 3);
	assert_version(f, 2);
	fake_fini(f);
}

static void one_after_the_other(void **state)
{
	struct fake *f = up(3, 1);

	(void)state;
	assert_int_equal(write_one(f, 1, fake_propose), PROPOSE_OK);
	for (uint32_t node = 3; node >= 1; node--) {
		assert_version(f, 1);
		if (f->node[3].version_max == 2) {
			assert_int_equal(write_one(f, 3, fake_propose_newer), PROPOSE_NOT_YET);
			assert_int_equal(write_one(f, 3, fake_propose), PROPOSE_OK);
		}
		stop(f, node);
		assert_version(f, 1);
		assert_int_equal(write_one(f, node == 1 ? 2 : 1, fake_propose), PROPOSE_OK);
		start_as(f, node, 2);
	}
	assert_version(f, 2);
	assert_int_equal(f->node[1].newer.count, 0); /* the initial state, on all */
	assert_int_equal(f->node[1].toy.count, 6);
	assert_int_equal(write_one(f, 1, fake_propose_newer), PROPOSE_OK);
	assert_int_equal(f->node[3].newer.count, 1);
	fake_fini(f);
}

/* The last old node is down while the others are new: it may come back as it is. */
static void the_last_old_node_comes_back(void **state)
{
	struct fake *f = up(3, 1);

	(void)state;
	upgrade(f, 1);
	upgrade(f, 2);
	fake_crash(f, 3);
	fake_settle(f);
	fake_fenced(f, 3);
	fake_settle(f);
	assert_version(f, 1);
	assert_int_equal(write_one(f, 1, fake_propose), PROPOSE_OK);
	start_as(f, 3, 1);
	assert_version(f, 1);
	assert_int_equal(f->node[3].toy.count, 1);
	upgrade(f, 3);
	assert_version(f, 2);
	fake_fini(f);
}

/* A new node alone with what an old one left on its disk keeps the version, and so the way back. */
static void a_new_node_alone_keeps_the_version(void **state)
{
	struct fake *f = up(2, 1);

	(void)state;
	f->two_node = true;
	assert_int_equal(write_one(f, 1, fake_propose), PROPOSE_OK);
	stop(f, 2);
	stop(f, 1);
	start_as(f, 2, 2);
	assert_version(f, 1);
	assert_int_equal(f->node[2].disk.version, 1);
	start_as(f, 1, 1);
	assert_version(f, 1);
	fake_fini(f);
}

/* Node 3's process is replaced before the next VIEW: the leader hears of quorum too late. */
static void replace_node_3(struct fake *f)
{
	f->node[1].hold_quorum = f->node[2].hold_quorum = true;
	fake_crash(f, 3);
	fake_start(f, 3);
	fake_settle(f);
	f->node[1].hold_quorum = f->node[2].hold_quorum = false;
	fake_settle(f);
}

/* A member of version 1 goes by nodes, and all come to the same state. */
static void replaced_processes_are_told_of_from_version_2_on(void **state)
{
	struct fake *f = up(3, 1);

	(void)state;
	upgrade(f, 1);
	replace_node_3(f);
	assert_version(f, 1);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(f->node[i].toy.lost[3], 0);
		assert_int_equal(f->node[i].toy.joined[3], 0);
	}
	upgrade(f, 2);
	upgrade(f, 3);
	assert_version(f, 2);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(f->node[i].toy.lost[3], 1); /* of its upgrade */
		for (uint32_t k = 1; k <= 3; k++)
			assert_int_equal(f->node[i].toy.joined[k], 1);
	}
	replace_node_3(f);
	assert_version(f, 2);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_int_equal(f->node[i].toy.lost[3], 2);
		assert_int_equal(f->node[i].toy.joined[3], 2);
	}
	fake_fini(f);
}

/* ---- files that differ in their groups --------------------------------------------------------------------- */

static void assert_refused(struct fake *f, uint32_t node, const char *why)
{
	assert_int_equal(replog_state(f->node[node].log), CLUSTER_DIVERGED);
	assert_non_null(strstr(replog_why(f->node[node].log), why));
	stop(f, node);
}

/* From version 3 on the state may say which groups there are: then a file need not. */
static void files_may_differ_in_groups_where_the_state_has_them(void **state)
{
	struct fake *f = up(3, 0);

	(void)state;
	assert_version(f, 3);
	stop(f, 3);
	f->node[3].fixed = 7;
	start_as(f, 3, 0);
	assert_refused(f, 3, "differ in cluster, nodes, groups or iscsi");
	f->node[1].groups_replicated = f->node[2].groups_replicated = true;
	start_as(f, 3, 0);
	assert_version(f, 3);
	stop(f, 3);
	f->node[3].nodes = 7;
	f->node[3].groups_replicated = true;
	start_as(f, 3, 0);
	assert_refused(f, 3, "differ in cluster, or in names or ids of nodes");
	fake_fini(f);
}

static void in_version_2_they_may_not(void **state)
{
	struct fake *f = up(3, 2);

	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		f->node[i].groups_replicated = true; /* of a program that does not know of it */
	assert_version(f, 2);
	stop(f, 3);
	f->node[3].fixed = 7;
	start_as(f, 3, 0);
	assert_refused(f, 3, "differ in cluster, nodes, groups or iscsi");
	f->node[3].fixed = 0;
	start_as(f, 3, 0);
	assert_version(f, 2);
	upgrade_to(f, 2, 0);
	upgrade_to(f, 1, 0);
	assert_version(f, 3);
	stop(f, 3);
	f->node[3].disk = (struct replog_lineage){ 0 }; /* its own store would refuse it before */
	memset(f->node[3].disk_has, 0, sizeof(f->node[3].disk_has));
	start_as(f, 3, 2);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_DIVERGED);
	assert_non_null(strstr(replog_why(f->node[3].log), "speaks protocol versions 1-2"));
	fake_fini(f);
}

/* ---- no way back ------------------------------------------------------------------------------------------ */

static void an_older_program_is_refused_afterwards(void **state)
{
	struct fake *f = up(3, 2);

	(void)state;
	assert_version(f, 2);
	stop(f, 3);
	assert_version(f, 2); /* one that is away lowers nothing */
	f->node[3].disk = (struct replog_lineage){ 0 }; /* its own store would refuse it before */
	memset(f->node[3].disk_has, 0, sizeof(f->node[3].disk_has));
	start_as(f, 3, 1);
	assert_int_equal(replog_state(f->node[3].log), CLUSTER_DIVERGED);
	assert_non_null(strstr(replog_why(f->node[3].log), "speaks protocol versions 1-1"));
	assert_non_null(strstr(replog_why(f->node[3].log), "update the older one"));
	assert_int_equal(write_one(f, 1, fake_propose_newer), PROPOSE_OK);
	assert_true(fake_serving(f, 2));
	fake_fini(f);
}

static void the_version_survives_the_power_loss_of_all(void **state)
{
	struct fake *f = up(2, 2);

	(void)state;
	f->two_node = true;
	assert_int_equal(write_one(f, 1, fake_propose), PROPOSE_OK);
	fake_crash(f, 1);
	fake_crash(f, 2);
	assert_int_equal(f->node[2].disk.version, 2);
	start_as(f, 2, 2);
	assert_false(fake_serving(f, 2));
	assert_int_equal(replog_version(f->node[2].log), 2); /* alone, and still */
	start_as(f, 1, 2);
	assert_version(f, 2);
	fake_fini(f);
}

/* A joiner that has known a newer version takes the state of a cluster that goes on with an older one, and what only the
 * newer had ends. */
static void the_snapshot_of_an_older_version_ends_newer_services(void **state)
{
	struct fake *f = up(3, 2);

	(void)state;
	assert_int_equal(write_one(f, 1, fake_propose_newer), PROPOSE_OK);
	for (uint32_t i = 1; i <= 3; i++)
		fake_crash(f, i);
	for (uint32_t i = 1; i <= 2; i++) {
		f->node[i].disk = (struct replog_lineage){ .generation = 1, .history = 77, .nknown = 1, .known = { 77 } };
		memset(f->node[i].disk_has, 0, sizeof(f->node[i].disk_has));
	}
	start_as(f, 1, 2);
	start_as(f, 2, 2);
	assert_version(f, 1);
	f->node[3].disk.generation = f->node[3].disk.history = 0; /* nothing that would be lost with it */
	start_as(f, 3, 2);
	assert_version(f, 2);
	assert_int_equal(f->node[3].newer.count, 0);
	fake_fini(f);
}

/* ---- what is on the wire while version 1 is in use ------------------------------------------------------------- */

static struct {
	unsigned messages, snapshots, hellos;
	uint8_t chunk[1 << 16];
	size_t len;
} wire;

static uint64_t varint(const uint8_t *p, size_t len, size_t *at)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		assert_true(*at < len);
		v |= (uint64_t)(p[*at] & 0x7f) << shift;
		if (!(p[(*at)++] & 0x80))
			break;
	}
	return v;
}

/* The highest field number at the top level of a protobuf message. */
static uint64_t highest_field(const uint8_t *p, size_t len)
{
	uint64_t highest = 0;

	for (size_t at = 0; at < len;) {
		uint64_t tag = varint(p, len, &at), n;

		if (tag >> 3 > highest)
			highest = tag >> 3;
		switch (tag & 7) {
		case 0:
			varint(p, len, &at);
			break;
		case 1:
			at += 8;
			break;
		case 2:
			n = varint(p, len, &at);
			at += n;
			break;
		default:
			fail_msg("wire type %u", (unsigned)(tag & 7));
		}
		assert_true(at <= len);
	}
	return highest;
}

/* As replog.proto of 0.1.0 has them. HELLO (17 to 20, and the era in its lineage) goes out before anybody knows who listens:
 * version 1 passes over what it has more; and so it does over the snapshot's 14 (unconfirmed) and its lineage's era. */
static const uint64_t fields[] = { [MSG_HELLO] = 20, [MSG_OP] = 4,	[MSG_VIEW] = 5,	 [MSG_ACK] = 2,	  [MSG_CHUNK] = 6,
				   [MSG_SYNCED] = 5, [MSG_GOODBYE] = 1, [MSG_CHECK] = 1, [MSG_DIGEST] = 2 };
#define SNAPSHOT_FIELDS 14

static void check_snapshot(void)
{
	Replog__Snapshot *s = replog__snapshot__unpack(NULL, wire.len, wire.chunk);

	assert_non_null(s);
	assert_true(highest_field(wire.chunk, wire.len) <= SNAPSHOT_FIELDS);
	assert_int_equal(s->n_service, 2);
	for (size_t i = 0; i < s->n_service; i++)
		assert_int_not_equal(s->service[i]->service, TOY_NEW_ID);
	for (size_t i = 0; i < s->n_durable; i++)
		assert_int_not_equal(s->durable[i]->service, TOY_NEW_ID);
	wire.snapshots++;
	wire.len = 0;
	replog__snapshot__free_unpacked(s, NULL);
}

static void check_chunk(const struct chunk *c)
{
	if (!c->offset)
		wire.len = 0;
	assert_true(wire.len + c->len <= sizeof(wire.chunk));
	memcpy(wire.chunk + wire.len, c->data, c->len);
	wire.len += c->len;
	if (wire.len == c->total)
		check_snapshot();
}

static void listen(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	struct message m = { 0 };
	const char *why;

	(void)f, (void)from;
	assert_int_equal(message_parse(&m, msg, len, &why), 0);
	wire.messages++;
	assert_true(m.type < sizeof(fields) / sizeof(fields[0]));
	assert_true(highest_field((const uint8_t *)msg + WIRE_HEADER, len - WIRE_HEADER) <= fields[m.type]);
	if (m.type == MSG_HELLO) {
		assert_int_equal(m.hello.version_min, 1);
		wire.hellos++;
	}
	if (m.type == MSG_OP)
		assert_int_not_equal(m.op.service, TOY_NEW_ID);
	if (m.type == MSG_VIEW)
		assert_int_equal(m.view.version, 1);
	if (m.type == MSG_CHUNK)
		check_chunk(&m.chunk);
	message_fini(&m);
}

static void only_what_version_1_understands_is_said(void **state)
{
	struct fake *f = up(3, 1);

	(void)state;
	memset(&wire, 0, sizeof(wire));
	f->heard = listen;
	upgrade(f, 1);
	upgrade(f, 2);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(write_one(f, i, fake_propose), PROPOSE_OK);
	assert_int_equal(write_one(f, 1, fake_propose_newer), PROPOSE_NOT_YET);
	stop(f, 3);
	start_as(f, 3, 1); /* takes the snapshot of a new member */
	assert_int_equal(f->node[3].toy.count, 3);
	fake_pass(f, 11000000000ull); /* the digests are compared */
	assert_version(f, 1);
	assert_true(wire.snapshots >= 3);
	assert_true(wire.hellos && wire.messages > 30);
	fake_fini(f);
}

/* ---- random schedules ------------------------------------------------------------------------------------------- */

/* An upgrade under load, with crashes in between: what was acknowledged is there in the end, on all. */
static void upgrades_under_load(void **state)
{
	unsigned ok = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct fake *f = &fake;

		fake_init(f, 3, seed);
		for (uint32_t i = 1; i <= 3; i++) {
			f->node[i].version_max = 1;
			fake_start(f, i);
		}
		fake_settle(f);
		for (uint32_t k = 0; k < 6; k++) {
			uint32_t node = k < 3 ? 1 + k : 1 + fake_random(f) % 3;

			for (uint32_t i = 0; i < 4; i++)
				if (f->node[1 + i % 3].running && f->nproposals < TOY_CELLS)
					fake_propose(f, 1 + i % 3, (struct toy_op){ .cell = f->nproposals,
										    .value = f->nproposals + 1, .persist = 1 });
			for (unsigned n = fake_random(f) % 60; n; n--)
				fake_step(f);
			fake_crash(f, node);
			f->node[node].version_max = k < 3 ? 2 : f->node[node].version_max;
			for (unsigned n = fake_random(f) % 100; n; n--)
				fake_step(f);
			fake_fenced(f, node);
			fake_settle(f);
			fake_start(f, node);
			fake_settle(f);
			fake_check_equal(f);
		}
		assert_version(f, 2);
		for (size_t p = 0; p < f->nproposals; p++) {
			if (f->proposal[p].status != PROPOSE_OK || !f->proposal[p].finished)
				continue;
			ok++;
			for (uint32_t i = 1; i <= 3; i++)
				assert_int_equal(f->node[i].toy.cell[p], p + 1);
		}
		fake_fini(f);
	}
	assert_true(ok > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_cluster_uses_the_newest_when_all_are_there),
		cmocka_unit_test(an_old_node_lost_before_the_first_membership_comes_back),
		cmocka_unit_test(one_after_the_other),
		cmocka_unit_test(the_last_old_node_comes_back),
		cmocka_unit_test(a_new_node_alone_keeps_the_version),
		cmocka_unit_test(replaced_processes_are_told_of_from_version_2_on),
		cmocka_unit_test(files_may_differ_in_groups_where_the_state_has_them),
		cmocka_unit_test(in_version_2_they_may_not),
		cmocka_unit_test(an_older_program_is_refused_afterwards),
		cmocka_unit_test(the_version_survives_the_power_loss_of_all),
		cmocka_unit_test(the_snapshot_of_an_older_version_ends_newer_services),
		cmocka_unit_test(only_what_version_1_understands_is_said),
		cmocka_unit_test(upgrades_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
