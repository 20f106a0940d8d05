/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of a state to a joiner: in pieces, which may be bent, and its announcement. Topology: 3 members in one process
 * over tests/unit/cluster/fake_cpg.c; node 3 joins nodes 1 and 2, node 1 is its source. Promises as in the design: P1
 * acknowledged is everywhere, P3 one state, P9 fail closed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "tests/unit/cluster/fake_cpg.h"

#define BULK (3u << 20) /* of the state: a dozen pieces */

static struct fake fake;

/* The newest piece that was heard, and how often the joiner has begun anew. */
static struct {
	unsigned pieces, hellos;
	struct chunk last;
	uint8_t data[REPLOG_CHUNK];
} heard;

static void listen(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	struct message m = { 0 };
	const char *why;

	(void)f;
	heard.hellos += from == 3 && message_type(msg, len) == MSG_HELLO;
	if (message_type(msg, len) != MSG_CHUNK)
		return;
	assert_int_equal(message_parse(&m, msg, len, &why), 0);
	heard.pieces++;
	heard.last = m.chunk;
	assert_true(m.chunk.len <= sizeof(heard.data));
	memcpy(heard.data, m.chunk.data, m.chunk.len);
	heard.last.data = heard.data;
	message_fini(&m);
}

/* Node 3 is to have a large state, and is at the point of joining. */
static struct fake *up_with_a_joiner(void)
{
	struct fake *f = &fake;

	fake_up(f, 3, REPLOG_VERSION);
	fake_kill(f, 3);
	fake_propose(f, 1, (struct toy_op){ .cell = 1, .value = 9 });
	fake_settle(f);
	f->node[1].toy.bulk = f->node[2].toy.bulk = BULK;
	fake_start(f, 3);
	heard.pieces = 0;
	f->heard = listen;
	return f;
}

static void it_has_joined(struct fake *f)
{
	fake_settle(f);
	assert_true(fake_serving(f, 3));
	assert_int_equal(f->node[3].toy.cell[1], 9);
	assert_int_equal(f->node[3].toy.restores, 1);
	fake_fini(f);
}

/* ---- pieces ---- */

static void a_large_state_comes_in_pieces(void **state)
{
	struct fake *f = up_with_a_joiner();

	(void)state;
	fake_settle(f);
	assert_int_equal(heard.pieces, heard.last.total / REPLOG_CHUNK + 1);
	assert_true(heard.last.total > BULK && heard.last.total < BULK + REPLOG_CHUNK);
	it_has_joined(f);
}

/* What is ordered meanwhile is applied on top of it. */
static void operations_between_the_pieces_are_kept(void **state)
{
	struct fake *f = up_with_a_joiner();
	unsigned ops = 0;

	(void)state;
	while (!fake_serving(f, 3)) {
		if (heard.pieces > ops)
			fake_propose(f, 1 + ops++ % 2, (struct toy_op){ .cell = 2, .value = ops });
		assert_true(fake_step(f));
	}
	assert_true(ops > 5);
	fake_settle(f);
	assert_int_equal(f->node[3].toy.count, 1 + ops);
	fake_check_equal(f);
	it_has_joined(f);
}

enum bend { DATA, OFFSET, TOTAL, TOO_MUCH, DIGEST, OTHER_NODE, OTHER_PROCESS, OTHER_ROUND };

static const struct {
	const char *what;
	enum bend bend;
	bool again; /* the joiner asks for the state once more */
} rows[] = {
	{ "other bytes", DATA, true },
	{ "another place", OFFSET, true },
	{ "of another length", TOTAL, true },
	{ "longer than any state", TOO_MUCH, true },
	{ "of another digest", DIGEST, true },
	{ "not of the source", OTHER_NODE, false },
	{ "of a process before", OTHER_PROCESS, false },
	{ "of a join before", OTHER_ROUND, false },
};

/* The piece that comes after the one that was heard last. */
static void say_bent(struct fake *f, enum bend bend)
{
	struct message m = { .type = MSG_CHUNK, .chunk = heard.last };
	struct chunk *c = &m.chunk;

	c->offset += bend == OFFSET ? 2 * c->len : c->len;
	c->total += bend == TOTAL ? 1 : 0;
	c->total = bend == TOO_MUCH ? 1ull << 40 : c->total;
	c->offset = bend == TOO_MUCH ? 0 : c->offset;
	c->sha256[0] ^= bend == DIGEST;
	c->incarnation ^= bend == OTHER_PROCESS;
	c->round -= bend == OTHER_ROUND;
	if (bend >= OTHER_NODE)
		c->offset += c->len;
	fake_say(f, bend == OTHER_NODE ? 2 : 1, &m);
}

/* All pieces that are missing, with bytes that are not theirs. */
static void say_other_bytes(struct fake *f)
{
	struct message m = { .type = MSG_CHUNK, .chunk = heard.last };
	struct chunk *c = &m.chunk;

	for (c->offset += c->len; c->offset < c->total; c->offset += c->len) {
		c->len = c->total - c->offset < REPLOG_CHUNK ? c->total - c->offset : REPLOG_CHUNK;
		fake_say(f, 1, &m);
	}
}

/* Bytes that are wrong are found by the digest of all; what does not even fit, at once. */
static void a_bent_piece_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *f = up_with_a_joiner();

		while (!heard.pieces)
			assert_true(fake_step(f));
		f->node[1].paused = true;
		fake_settle(f); /* what node 1 had said before is with node 3 */
		heard.hellos = 0;
		if (rows[i].bend == DATA)
			say_other_bytes(f);
		else
			say_bent(f, rows[i].bend);
		fake_settle(f);
		if ((heard.hellos > 0) != rows[i].again)
			fail_msg("%s", rows[i].what);
		f->node[1].paused = false;
		it_has_joined(f);
	}
}

/* ---- the announcement ---- */

/* P1: one that is of another join says nothing of the state that the node is to have now, and who leaves gets none. */
static void an_announcement_of_another_join_is_none(void **state)
{
	static const struct {
		const char *what;
		uint32_t source;
		uint64_t incarnation, round; /* what is added to those of the source */
		bool leaves, counts;
	} synced[] = {
		{ "as it should be", 1, 0, 0, false, true },
		{ "of a round before", 1, 0, -1ull, false, false },
		{ "of a process before", 1, 1, 0, false, false },
		{ "of a node that is not here", 5, 0, 0, false, false },
		{ "of one that has left", 1, 0, 0, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(synced) / sizeof(synced[0]); i++) {
		struct fake *f = up_with_a_joiner();
		struct message m = { .type = MSG_SYNCED }, bye = { .type = MSG_GOODBYE };
		uint64_t branch;

		while (!heard.pieces)
			assert_true(fake_step(f));
		m.synced = (struct synced){ .source = synced[i].source,
					    .source_incarnation = heard.last.incarnation + synced[i].incarnation,
					    .source_round = heard.last.round + synced[i].round };
		f->node[3].paused = true;
		fake_settle(f);
		branch = replog_branch(f->node[1].log);
		bye.goodbye = f->node[3].incarnation;
		if (synced[i].leaves)
			fake_say(f, 3, &bye);
		fake_say(f, 3, &m);
		fake_settle(f);
		if ((replog_branch(f->node[1].log) != branch) != synced[i].counts)
			fail_msg("%s", synced[i].what);
		fake_fini(f);
	}
}

/* ---- what a joiner has to know of what is under way ---- */

/* A proposal waits for the store of a node that is replaced meanwhile: its successor, which nobody has told but by the
 * state, has to store the history for it. */
static void what_waited_for_the_former_process_is_answered(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = &fake;
		size_t a;

		(void)state;
		fake_up(f, 3, version);
		f->node[2].hold_effects = f->node[1].hold_quorum = true;
		a = fake_propose(f, 1, (struct toy_op){ .cell = 1, .value = 9 });
		fake_settle(f);
		fake_crash(f, 2);
		fake_start(f, 2);
		fake_settle(f);
		assert_false(f->proposal[a].finished);
		f->node[1].hold_quorum = false;
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		assert_true(fake_serving(f, 2));
		fake_fini(f);
	}
}

/* And one that joins while another one is slow to store what has been asked for. */
static void what_waits_for_a_slow_store_is_answered(void **state)
{
	for (uint32_t version = 1; version <= REPLOG_VERSION; version++) {
		struct fake *f = &fake;
		size_t a;

		(void)state;
		fake_up(f, 3, version);
		fake_kill(f, 3);
		fake_settle(f);
		f->node[1].hold_store = f->node[2].hold_store = true;
		a = fake_propose(f, 1, (struct toy_op){ .cell = 1, .value = 9 });
		fake_settle(f);
		fake_start(f, 3);
		fake_settle(f);
		f->node[1].hold_store = f->node[2].hold_store = false;
		fake_settle(f);
		assert_int_equal(f->proposal[a].status, PROPOSE_OK);
		assert_true(fake_serving(f, 3));
		fake_fini(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_state_comes_in_pieces),
		cmocka_unit_test(operations_between_the_pieces_are_kept),
		cmocka_unit_test(a_bent_piece_is_refused),
		cmocka_unit_test(an_announcement_of_another_join_is_none),
		cmocka_unit_test(what_waited_for_the_former_process_is_answered),
		cmocka_unit_test(what_waits_for_a_slow_store_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
