/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file store where the disk fails, and records that are whole and say what no store has written. Topology: one
 * directory under /tmp per test; fsync() and fdatasync() are the test's. Promises as in the design: P1 what is
 * acknowledged as durable is, P9 fail closed.
 */
#include <endian.h>
#include <errno.h>
#include <isa-l/crc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/store_batch.h"
#include "cluster/store_file.h"

static char dir[64], err[512];
static unsigned syncs, fails_at; /* fails_at: the how-manieth sync fails, 0 none */

static int sync_or_fail(void)
{
	if (++syncs != fails_at)
		return 0;
	errno = EIO;
	return -1;
}

int fsync(int fd)
{
	(void)fd;
	return sync_or_fail();
}

int fdatasync(int fd)
{
	(void)fd;
	return sync_or_fail();
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/store_fault_test.XXXXXX");
	fails_at = 0;
	return !mkdtemp(dir);
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static FILE *state_log(const char *mode)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/state.log", dir);
	f = fopen(path, mode);
	assert_non_null(f);
	return f;
}

static struct store *open_ok(void)
{
	struct store *s = NULL;

	if (store_file_open(dir, &s, err, sizeof(err)))
		fail_msg("%s", err);
	return s;
}

static int put(struct store *s, const char *key, const char *value)
{
	struct store_batch *b = store_batch_new();
	int code;

	store_batch_put(b, key, value, strlen(value));
	code = store_commit(s, b);
	store_batch_free(b);
	return code;
}

static int note_one(void *arg, const char *key, const void *value, size_t len)
{
	sprintf((char *)arg + strlen(arg), "%s=%.*s ", key, (int)len, (const char *)value);
	return 0;
}

static const char *content(struct store *s)
{
	static char out[256];

	out[0] = 0;
	store_each(s, note_one, out);
	return out;
}

/* ---- a disk that fails ---- */

/* Neither is what has failed taken as done, nor what is asked for later: a second fsync() reports nothing, and has
 * written nothing. */
static void a_failed_sync_fails_everything_after_it(void **state)
{
	struct store *s = open_ok();

	(void)state;
	assert_int_equal(put(s, "a", "1"), 0);
	syncs = 0;
	fails_at = 1;
	assert_int_equal(put(s, "b", "2"), -EIO);
	assert_int_equal(syncs, 1);
	assert_int_equal(put(s, "c", "3"), -EIO);
	assert_int_equal(syncs, 1);
	assert_string_equal(content(s), "a=1 ");
	store_close(s);
}

static int put_counted(struct store *s)
{
	syncs = 0;
	return put(s, "a", "value");
}

/* The log, then the new file, then its name in the directory. */
static void each_sync_of_a_compaction_counts(void **state)
{
	(void)state;
	for (unsigned at = 1; at <= 3; at++) {
		struct store *s = open_ok();
		unsigned puts = 0;

		store_file_compact_min(s, 0);
		do {
			assert_int_equal(put_counted(s), 0);
			assert_true(++puts < 100);
		} while (syncs == 1);
		assert_int_equal(syncs, 3);
		fails_at = at;
		while (!put_counted(s))
			assert_true(++puts < 100);
		assert_int_equal(syncs, at);
		assert_int_equal(put_counted(s), -EIO);
		store_close(s);
		fails_at = 0;
		s = open_ok();
		assert_string_equal(content(s), "a=value ");
		store_close(s);
	}
}

/* ---- records that no store has written ---- */

static void write_record(const void *body, uint32_t len)
{
	uint32_t le = htole32(len);
	uint32_t crc = crc32_iscsi((unsigned char *)&le, sizeof(le), ~0u);
	FILE *f = state_log("a");

	crc = htole32(~crc32_iscsi((unsigned char *)body, len, crc));
	fwrite(&le, sizeof(le), 1, f);
	fwrite(&crc, sizeof(crc), 1, f);
	fwrite(body, len, 1, f);
	fclose(f);
}

static const struct {
	const char *what;
	unsigned kind, klen, vlen;
	const char *key; /* NULL: as many 'k' as klen says */
	int want;
} rows[] = {
	{ "a value", CHANGE_PUT, 1, 1, "b", 0 },
	{ "no value any more", CHANGE_FORGET, 1, 0, "b", 0 },
	{ "the longest key", CHANGE_PUT, STORE_KEY_MAX, 1, NULL, 0 },
	{ "a longer one", CHANGE_PUT, STORE_KEY_MAX + 1, 1, NULL, -EBADMSG },
	{ "no key", CHANGE_PUT, 0, 1, NULL, -EBADMSG },
	{ "a value of nothing", CHANGE_PUT, 1, 0, "b", -EBADMSG },
	{ "to forget a value", CHANGE_FORGET, 1, 1, "b", -EBADMSG },
	{ "to clear a key", CHANGE_CLEAR, 1, 0, "b", -EBADMSG },
	{ "to clear a value", CHANGE_CLEAR, 0, 1, NULL, -EBADMSG },
	{ "no kind", 0, 1, 1, "b", -EBADMSG },
	{ "a later kind", CHANGE_CLEAR + 1, 1, 0, "b", -EBADMSG },
	{ "a key with a hole", CHANGE_PUT, 3, 1, "b\0c", -EBADMSG },
};

static void only_what_a_store_writes_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t body[sizeof(struct change_head) + STORE_KEY_MAX + 16];
		struct change_head h = { .kind = rows[i].kind, .klen = htole16(rows[i].klen),
					 .vlen = htole32(rows[i].vlen) };
		struct store *s;
		int code;

		remove_dir(state);
		assert_int_equal(make_dir(state), 0);
		s = open_ok();
		assert_int_equal(put(s, "a", "1"), 0);
		store_close(s);
		memset(body, 'k', sizeof(body));
		memcpy(body, &h, sizeof(h));
		if (rows[i].key)
			memcpy(body + sizeof(h), rows[i].key, rows[i].klen);
		write_record(body, sizeof(h) + rows[i].klen + rows[i].vlen);
		s = NULL;
		code = store_file_open(dir, &s, err, sizeof(err));
		if (code != rows[i].want || (code && !strstr(err, "was not written by this version")))
			fail_msg("%s: %d %s", rows[i].what, code, err);
		if (s)
			store_close(s);
	}
}

/* The power went when the file was made: as long as its magic or shorter, and nothing in it yet. */
static void a_file_that_was_only_made_is_empty(void **state)
{
	static const char *const start[] = { "", "\0\0\0\0\0", "San" };
	static const size_t len[] = { 0, 5, 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		FILE *f = state_log("w");
		struct store *s;

		fwrite(start[i], 1, len[i], f);
		fclose(f);
		s = open_ok();
		assert_string_equal(content(s), "");
		assert_int_equal(put(s, "a", "1"), 0);
		store_close(s);
		s = open_ok();
		assert_string_equal(content(s), "a=1 ");
		store_close(s);
	}
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_failed_sync_fails_everything_after_it),
		STORE_TEST(each_sync_of_a_compaction_counts),
		STORE_TEST(only_what_a_store_writes_is_read),
		STORE_TEST(a_file_that_was_only_made_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
