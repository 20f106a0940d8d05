/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is gathered for the store, what is committed together, and who hears of it. Topology: a worker without its
 * thread, the test does its work when it wants to; a store that writes down what it is given.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/persist.h"
#include "cluster/replog.pb-c.h"
#include "cluster/store_batch.h"

static struct worker worker;
static struct persist persist;
static char committed[1024]; /* all changes, a line for each commit */
static int commit_err;

/* ---- surroundings ---- */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	size_t at = strlen(committed);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(committed + at, sizeof(committed) - at, fmt, ap);
	va_end(ap);
}

static int commit(struct store *s, const struct store_batch *b)
{
	struct change_head h;

	(void)s;
	if (commit_err || b->err)
		return commit_err ? commit_err : b->err;
	for (size_t at = 0; at < b->body.len; at += h.klen + h.vlen) {
		const char *key = (const char *)b->body.data + at + sizeof(h);

		memcpy(&h, b->body.data + at, sizeof(h));
		at += sizeof(h);
		if (h.kind == CHANGE_CLEAR)
			note("clear ");
		else if (h.kind == CHANGE_FORGET)
			note("-%.*s ", h.klen, key);
		else
			note("%.*s=%.*s ", h.klen, key, (int)h.vlen, key + h.klen);
	}
	note("\n");
	return 0;
}

static const struct store_ops ops = { .commit = commit };
static struct store store = { &ops };

static int set_up(void **state)
{
	(void)state;
	worker = (struct worker){ .home = NULL };
	CDS_INIT_LIST_HEAD(&worker.queue);
	pthread_mutex_init(&worker.lock, NULL);
	pthread_cond_init(&worker.more, NULL);
	committed[0] = 0;
	commit_err = 0;
	persist_init(&persist, &store, &worker, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	persist_fini(&persist);
	return 0;
}

static struct work *next_work(void)
{
	struct work *w;

	if (cds_list_empty(&worker.queue))
		return NULL;
	w = cds_list_first_entry(&worker.queue, struct work, link);
	cds_list_del(&w->link);
	return w;
}

/* One commit from end to end. */
static void work(void)
{
	struct work *w = next_work();

	assert_non_null(w);
	w->run(w);
	w->done(w);
}

struct waiter {
	struct persist_waiter w;
	unsigned told;
	bool ok;
};

static void waiter_done(struct persist_waiter *w, bool ok)
{
	struct waiter *me = caa_container_of(w, struct waiter, w);

	me->told++;
	me->ok = ok;
}

/* A service whose objects are their own values; "none" has none, and "much" is more than there is memory for. */
static void keep(const void *state, const char *object, struct wbuf *out)
{
	(void)state;
	if (!strcmp(object, "much"))
		out->err = -ENOMEM;
	else if (strcmp(object, "none"))
		wbuf_put(out, object, strlen(object));
}

static const struct service_ops keeping_ops = { .name = "pr", .persist = keep };
static const struct service_ops forgetful_ops = { .name = "tasks" };
static const struct service keeping = { &keeping_ops, NULL }, forgetful = { &forgetful_ops, NULL };

/* ---- what is committed together ---- */

static void what_comes_during_a_commit_is_the_next_one(void **state)
{
	struct waiter a = { .w.done = waiter_done }, b = a, c = a;
	struct work *w;

	(void)state;
	persist_object(&persist, &keeping, "lun0");
	assert_null(next_work()); /* nobody waits for it */
	persist_wait(&persist, &a.w);
	persist_object(&persist, &keeping, "lun1");
	persist_wait(&persist, &b.w);
	persist_object(&persist, &keeping, "none");
	persist_wait(&persist, &c.w);
	w = next_work();
	assert_null(next_work()); /* one at a time: the worker would do the next before anybody has heard of this one */
	w->run(w);
	assert_string_equal(committed, "pr/lun0=lun0 \n");
	assert_int_equal(a.told, 0);
	w->done(w);
	assert_true(a.told == 1 && a.ok);
	assert_int_equal(b.told + c.told, 0);
	work();
	assert_string_equal(committed, "pr/lun0=lun0 \npr/lun1=lun1 -pr/none \n");
	assert_true(b.told == 1 && b.ok && c.told == 1 && c.ok && a.told == 1);
	assert_null(next_work());
}

static void who_waits_for_nothing_is_told_all_the_same(void **state)
{
	struct waiter a = { .w.done = waiter_done };

	(void)state;
	persist_object(&persist, &forgetful, "lun0");
	persist_wait(&persist, &a.w);
	work();
	assert_true(a.told == 1 && a.ok);
	persist_wait(&persist, &a.w); /* not even a batch */
	work();
	assert_true(a.told == 2 && a.ok);
	assert_string_equal(committed, "\n\n");
}

static void what_is_added_after_a_clear_is_the_whole_content(void **state)
{
	struct waiter a = { .w.done = waiter_done };

	(void)state;
	persist_clear(&persist);
	persist_object(&persist, &keeping, "lun0");
	persist_wait(&persist, &a.w);
	work();
	assert_string_equal(committed, "clear pr/lun0=lun0 \n");
}

static void a_key_may_be_as_long_as_the_store_takes(void **state)
{
	struct waiter a = { .w.done = waiter_done };
	char object[STORE_KEY_MAX - sizeof("pr/") + 2] = "", want[sizeof(committed)];

	(void)state;
	memset(object, 'x', sizeof(object) - 1);
	persist_object(&persist, &keeping, object);
	persist_wait(&persist, &a.w);
	work();
	snprintf(want, sizeof(want), "pr/%s=%s \n", object, object);
	assert_string_equal(committed, want);
}

/* The daemon ends while a commit is queued and another one is waited for. */
static void the_end_commits_what_is_left(void **state)
{
	struct waiter a = { .w.done = waiter_done }, b = a;

	(void)state;
	persist_object(&persist, &keeping, "lun0");
	persist_wait(&persist, &a.w);
	persist_object(&persist, &keeping, "lun1");
	persist_wait(&persist, &b.w);
	persist_fini(&persist);
	assert_string_equal(committed, "pr/lun0=lun0 \npr/lun1=lun1 \n");
	assert_true(a.ok && b.ok);
	set_up(state);
}

/* ---- what can't be stored ---- */

static void a_failure_is_told_to_those_whose_changes_it_met(void **state)
{
	struct waiter a = { .w.done = waiter_done }, b = a;
	struct work *w;

	(void)state;
	persist_object(&persist, &keeping, "lun0");
	persist_wait(&persist, &a.w);
	persist_object(&persist, &keeping, "lun1");
	persist_wait(&persist, &b.w);
	commit_err = -EIO;
	w = next_work();
	w->run(w);
	commit_err = 0;
	w->done(w);
	assert_true(a.told == 1 && !a.ok && !b.told);
	work();
	assert_true(b.told == 1 && b.ok);
}

/* Something that should be in the batch is not: none of it may be taken as done, nor may what follows be. */
static void memory_shortage_is_a_failure(void **state)
{
	struct waiter a = { .w.done = waiter_done }, b = a;

	(void)state;
	persist_object(&persist, &keeping, "lun0");
	persist_object(&persist, &keeping, "much");
	persist_wait(&persist, &a.w);
	work();
	assert_true(a.told == 1 && !a.ok);
	assert_string_equal(committed, "");
	persist_object(&persist, &keeping, "lun1");
	persist_wait(&persist, &b.w);
	work();
	assert_true(b.told == 1 && !b.ok);
}

/* ---- the log's own ---- */

static struct replog_lineage full_lineage(void)
{
	struct replog_lineage l = { .era = 3, .generation = 500, .history = ~0ull, .position = 1ull << 40,
				    .partial = true, .nknown = REPLOG_KNOWN_MAX, .nmembers = REPLOG_MEMBERS_MAX };

	for (uint32_t i = 0; i < REPLOG_KNOWN_MAX; i++)
		l.known[i] = ~0ull - i;
	for (uint32_t i = 0; i < REPLOG_MEMBERS_MAX; i++)
		l.member[i] = ~0u - i;
	return l;
}

static uint8_t value[2048];
static size_t value_len;

static int take_value(struct store *s, const struct store_batch *b)
{
	struct change_head h;

	(void)s;
	for (size_t at = 0; at < b->body.len; at += sizeof(h) + h.klen + h.vlen) {
		const uint8_t *key = b->body.data + at + sizeof(h);

		memcpy(&h, b->body.data + at, sizeof(h));
		if (h.klen != strlen(PERSIST_LINEAGE_KEY) || memcmp(key, PERSIST_LINEAGE_KEY, h.klen))
			continue;
		value_len = h.vlen;
		memcpy(value, key + h.klen, h.vlen);
	}
	return b->err;
}

static void a_lineage_comes_back_as_it_was(void **state)
{
	static const struct store_ops taking = { .commit = take_value };
	struct store taker = { &taking };
	struct replog_lineage l = full_lineage(), back = { .version = 0 };
	struct waiter a = { .w.done = waiter_done };

	(void)state;
	persist.store = &taker;
	persist_lineage(&persist, &l);
	persist_wait(&persist, &a.w);
	work();
	assert_true(a.ok);
	assert_int_equal(persist_lineage_parse(&back, value, value_len), 0);
	assert_memory_equal(&back, &l, sizeof(l));
}

/* A node that was never in a cluster claims nothing, and version 1 has no such key (an older program refuses it). */
static void what_there_is_not_is_forgotten(void **state)
{
	struct replog_lineage l = { .version = 1, .position = 7 };
	struct waiter a = { .w.done = waiter_done };

	(void)state;
	persist_lineage(&persist, &l);
	persist_wait(&persist, &a.w);
	work();
	assert_string_equal(committed, "-" PERSIST_VERSION_KEY " -" PERSIST_LINEAGE_KEY " \n");
	l.version = 2;
	persist_lineage(&persist, &l);
	persist_wait(&persist, &a.w);
	work();
	assert_non_null(strstr(committed, "\n" PERSIST_VERSION_KEY "=\2"));
}

static void pack(const Replog__Lineage *pb)
{
	value_len = replog__lineage__get_packed_size(pb);
	assert_true(value_len <= sizeof(value));
	replog__lineage__pack(pb, value);
}

/* P9: bounds after decoding; what was refused is left as it was. */
static void a_lineage_out_of_bounds_is_refused(void **state)
{
	uint64_t known[REPLOG_KNOWN_MAX + 1] = { 7 };
	uint32_t member[REPLOG_MEMBERS_MAX + 1] = { 1 };
	const struct {
		uint64_t generation, history;
		size_t nknown, nmember;
		int want;
	} row[] = {
		{ 1, 7, 1, 1, 0 },
		{ 1, 7, 0, 0, 0 },
		{ 0, 7, 1, 1, -EBADMSG },
		{ 1, 0, 1, 1, -EBADMSG },
		{ 1, 7, REPLOG_KNOWN_MAX, REPLOG_MEMBERS_MAX, 0 },
		{ 1, 7, REPLOG_KNOWN_MAX + 1, 1, -EBADMSG },
		{ 1, 7, 1, REPLOG_MEMBERS_MAX + 1, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		Replog__Lineage pb = REPLOG__LINEAGE__INIT;
		struct replog_lineage l = { .era = 9 };

		pb.generation = row[i].generation;
		pb.history = row[i].history;
		pb.n_known = row[i].nknown;
		pb.known = known;
		pb.n_member = row[i].nmember;
		pb.member = member;
		pack(&pb);
		assert_int_equal(persist_lineage_parse(&l, value, value_len), row[i].want);
		assert_int_equal(l.era, row[i].want ? 9 : 0);
		if (!row[i].want)
			assert_true(l.nknown == row[i].nknown && l.nmembers == row[i].nmember);
	}
	assert_int_equal(persist_lineage_parse(&(struct replog_lineage){ 0 }, "\xff\xff", 2), -EBADMSG);
}

static void a_version_out_of_bounds_is_refused(void **state)
{
	const struct {
		const char *bytes;
		size_t len;
		int want;
	} row[] = { { "\2\0\0\0", 4, 0 },	   { "\1\0\0\0", 4, -EBADMSG }, { "\0\0\0\0", 4, -EBADMSG },
		    { "\2\0\0\0\0", 5, -EBADMSG }, { "\2\0\0", 3, -EBADMSG },	{ "", 0, -EBADMSG } };

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint32_t version;

		assert_int_equal(persist_version_parse(&version, row[i].bytes, row[i].len), row[i].want);
		if (!row[i].want)
			assert_int_equal(version, 2);
	}
}

/* etcd's word: what this node knows is no news, and neither is what is not newer. */
static void only_a_later_history_that_it_does_not_have_makes_a_state_older(void **state)
{
	const struct replog_lineage l = { .generation = 5, .history = 50, .nknown = 2, .known = { 50, 40 } };

	(void)state;
	assert_true(persist_lineage_is_older(&l, 6, 60));
	assert_false(persist_lineage_is_older(&l, 5, 60));
	assert_false(persist_lineage_is_older(&l, 4, 60));
	assert_false(persist_lineage_is_older(&l, 6, 50));
	assert_false(persist_lineage_is_older(&l, 6, 40));
	assert_false(persist_lineage_is_older(&(struct replog_lineage){ 0 }, 0, 0)); /* nobody has said anything */
}

int main(void)
{
#define PERSIST_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		PERSIST_TEST(what_comes_during_a_commit_is_the_next_one),
		PERSIST_TEST(who_waits_for_nothing_is_told_all_the_same),
		PERSIST_TEST(what_is_added_after_a_clear_is_the_whole_content),
		PERSIST_TEST(a_key_may_be_as_long_as_the_store_takes),
		PERSIST_TEST(the_end_commits_what_is_left),
		PERSIST_TEST(a_failure_is_told_to_those_whose_changes_it_met),
		PERSIST_TEST(memory_shortage_is_a_failure),
		PERSIST_TEST(a_lineage_comes_back_as_it_was),
		PERSIST_TEST(what_there_is_not_is_forgotten),
		PERSIST_TEST(a_lineage_out_of_bounds_is_refused),
		PERSIST_TEST(a_version_out_of_bounds_is_refused),
		PERSIST_TEST(only_a_later_history_that_it_does_not_have_makes_a_state_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
