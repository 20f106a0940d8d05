/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file store: a batch is all there or not at all, whatever moment the power goes; damage is refused and never
 * overwritten. Topology: one directory under /tmp per test.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/store_file.h"

static char dir[64], err[512];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/store_test.XXXXXX");
	return !mkdtemp(dir);
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static const char *path(const char *file)
{
	static char p[128];

	snprintf(p, sizeof(p), "%s/%s", dir, file);
	return p;
}

static size_t file_read(const char *file, uint8_t *buf, size_t max)
{
	FILE *f = fopen(path(file), "r");
	size_t n = f ? fread(buf, 1, max, f) : 0;

	if (f)
		fclose(f);
	return n;
}

static void file_write(const char *file, const uint8_t *buf, size_t len)
{
	FILE *f = fopen(path(file), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(buf, 1, len, f), len);
	fclose(f);
}

static struct store *open_ok(void)
{
	struct store *s = NULL;

	if (store_file_open(dir, &s, err, sizeof(err)))
		fail_msg("%s", err);
	return s;
}

static void put(struct store *s, const char *key, const char *value)
{
	struct store_batch *b = store_batch_new();

	store_batch_put(b, key, value, strlen(value));
	assert_int_equal(store_commit(s, b), 0);
	store_batch_free(b);
}

static int print_one(void *arg, const char *key, const void *value, size_t len)
{
	char *out = arg;

	sprintf(out + strlen(out), "%s=%.*s ", key, (int)len, (const char *)value);
	return 0;
}

static const char *content(struct store *s)
{
	static char out[4096];

	out[0] = 0;
	store_each(s, print_one, out);
	return out;
}

static void survives_reopening_in_key_order(void **state)
{
	struct store *s = open_ok();

	(void)state;
	put(s, "pr/lun1", "b");
	put(s, "pr/lun0", "a");
	put(s, "pr/lun1", "c");
	put(s, "gone", "x");
	put(s, "gone", "");
	store_close(s);
	s = open_ok();
	assert_string_equal(content(s), "pr/lun0=a pr/lun1=c ");
	store_close(s);
}

static void clear_makes_the_rest_the_whole_content(void **state)
{
	struct store *s = open_ok();
	struct store_batch *b = store_batch_new();

	(void)state;
	put(s, "old", "1");
	store_batch_put(b, "forgotten", "2", 1);
	store_batch_clear(b);
	store_batch_put(b, "new", "3", 1);
	assert_int_equal(store_commit(s, b), 0);
	store_batch_free(b);
	assert_string_equal(content(s), "new=3 ");
	store_close(s);
	s = open_ok();
	assert_string_equal(content(s), "new=3 ");
	store_close(s);
}

static void bounds_are_refused_and_change_nothing(void **state)
{
	struct store *s = open_ok();
	struct store_batch *b = store_batch_new();
	char key[STORE_KEY_MAX + 2];

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = 0;
	store_batch_put(b, "fine", "1", 1);
	store_batch_put(b, key, "1", 1);
	assert_int_equal(store_commit(s, b), -EINVAL);
	store_batch_free(b);
	b = store_batch_new();
	store_batch_put(b, "", "1", 1);
	assert_int_equal(store_commit(s, b), -EINVAL);
	store_batch_free(b);
	assert_string_equal(content(s), "");
	put(s, "fine", "2"); /* and the store still works */
	store_close(s);
}

static void two_daemons_cannot_share_it(void **state)
{
	struct store *s = open_ok(), *second = NULL;

	(void)state;
	assert_int_equal(store_file_open(dir, &second, err, sizeof(err)), -EWOULDBLOCK);
	assert_null(second);
	assert_non_null(strstr(err, dir));
	assert_non_null(strstr(err, "in use by another sandemd"));
	store_close(s);
	store_close(open_ok());
}

/* Power goes while the second of two batches is written: cut at every byte, the first is there whole, the second
 * whole or absent, and both parts of a batch always together. */
static void torn_tail_at_every_byte(void **state)
{
	static uint8_t buf[4096];
	struct store *s = open_ok();
	struct store_batch *b = store_batch_new();
	size_t before, len;

	(void)state;
	put(s, "a", "first");
	before = file_read("state.log", buf, sizeof(buf));
	store_batch_put(b, "b", "second", 6);
	store_batch_put(b, "c", "third", 5);
	assert_int_equal(store_commit(s, b), 0);
	store_batch_free(b);
	store_close(s);
	len = file_read("state.log", buf, sizeof(buf));
	for (size_t cut = 0; cut <= len; cut++) {
		const char *want = cut < before ? "" : cut < len ? "a=first " : "a=first b=second c=third ";

		file_write("state.log", buf, cut);
		s = open_ok();
		assert_string_equal(content(s), want);
		put(s, "later", "1"); /* and it goes on from there */
		store_close(s);
		s = open_ok();
		assert_non_null(strstr(content(s), "later=1"));
		store_close(s);
	}
}

/* The file was made longer, and the power went before the data came. */
static void unwritten_tail_is_cut_off(void **state)
{
	static uint8_t buf[8192];
	struct store *s = open_ok();
	size_t len;

	(void)state;
	put(s, "a", "first");
	store_close(s);
	len = file_read("state.log", buf, sizeof(buf));
	memset(buf + len, 0, 4096);
	file_write("state.log", buf, len + 4096);
	s = open_ok();
	assert_string_equal(content(s), "a=first ");
	store_close(s);
}

/* The length of the file is on the disk, and of the last record any of its sectors is or not. */
static void missing_sectors_are_cut_off(void **state)
{
	static uint8_t buf[4096], torn[4096];
	char value[1800];
	struct store *s = open_ok();
	size_t before, len, first, sectors;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	put(s, "a", value);
	before = file_read("state.log", buf, sizeof(buf));
	put(s, "a", "second");
	put(s, "b", value);
	store_close(s);
	len = file_read("state.log", buf, sizeof(buf));
	before += 8 + 8 + 1 + 6; /* two heads, key, value */
	first = before / 512;
	sectors = (len + 511) / 512 - first;
	assert_true(sectors >= 4);
	for (unsigned missing = 1; missing < 1u << sectors; missing++) {
		memcpy(torn, buf, len);
		for (size_t i = before; i < len; i++)
			if (missing & 1u << (i / 512 - first))
				torn[i] = 0;
		file_write("state.log", torn, len);
		s = open_ok();
		assert_string_equal(content(s), "a=second ");
		put(s, "later", "1");
		store_close(s);
		s = open_ok();
		assert_string_equal(content(s), "a=second later=1 ");
		store_close(s);
	}
}

static unsigned syncs;

int fsync(int fd) /* the store's */
{
	syncs++;
	return syscall(SYS_fsync, fd);
}

/* What is read may be in the page cache only: a daemon was killed before it had synced it. */
static void what_is_loaded_is_on_the_disk(void **state)
{
	struct store *s = open_ok();

	(void)state;
	put(s, "a", "1");
	store_close(s);
	syncs = 0;
	s = open_ok();
	assert_int_equal(syncs, 2); /* the file, and its name */
	store_close(s);
}

/* Every bit before the last record: refused with the file's name and what to do, and the file is as it was. */
static void corruption_is_refused_and_kept(void **state)
{
	static uint8_t buf[4096], after[4096];
	struct store *s = open_ok();
	size_t before, len;

	(void)state;
	put(s, "a", "first");
	put(s, "b", "second");
	before = file_read("state.log", buf, sizeof(buf));
	put(s, "c", "third");
	store_close(s);
	len = file_read("state.log", buf, sizeof(buf));
	for (size_t bit = 0; bit < before * 8; bit++) {
		buf[bit / 8] ^= 1 << bit % 8;
		file_write("state.log", buf, len);
		s = NULL;
		assert_int_equal(store_file_open(dir, &s, err, sizeof(err)), -EBADMSG);
		assert_non_null(strstr(err, "state.log"));
		assert_non_null(strstr(err, "move it away"));
		assert_int_equal(file_read("state.log", after, sizeof(after)), len);
		assert_memory_equal(buf, after, len);
		buf[bit / 8] ^= 1 << bit % 8;
	}
}

static void foreign_file_is_refused(void **state)
{
	struct store *s = NULL;

	(void)state;
	file_write("state.log", (const uint8_t *)"something else entirely", 23);
	assert_int_equal(store_file_open(dir, &s, err, sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "not a state file"));
}

static void fill(struct store *s, unsigned n)
{
	char key[32], value[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "key%u", i % 7);
		snprintf(value, sizeof(value), "value%u", i);
		put(s, key, value);
	}
}

static void compaction_keeps_content_and_bounds_size(void **state)
{
	struct store *s = open_ok();
	struct stat st;
	char want[4096];

	(void)state;
	store_file_compact_min(s, 1000);
	fill(s, 500);
	strcpy(want, content(s));
	store_close(s);
	assert_int_equal(stat(path("state.log"), &st), 0);
	assert_true(st.st_size < 2000);
	assert_int_equal(access(path("state.new"), F_OK), -1);
	s = open_ok();
	assert_string_equal(content(s), want);
	store_close(s);
}

/* Power goes during compaction: state.new is there, at any length, and state.log is what counts. */
static void unfinished_compaction_is_worthless(void **state)
{
	static uint8_t buf[8192];
	struct store *s = open_ok();
	size_t len;

	(void)state;
	fill(s, 20);
	store_close(s);
	len = file_read("state.log", buf, sizeof(buf));
	for (size_t cut = 0; cut < len; cut += 13) {
		file_write("state.new", buf, cut);
		s = open_ok();
		assert_non_null(strstr(content(s), "key5=value19"));
		assert_int_equal(access(path("state.new"), F_OK), -1);
		store_close(s);
	}
}

/* kill -9 in the middle of a stream of commits: what was reported as committed is there. */
static void killed_writer_loses_nothing_reported(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		int fds[2], got = -1, n;
		char want[32];
		pid_t pid;
		struct store *s;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (!pid) {
			s = open_ok();
			store_file_compact_min(s, 500);
			for (int i = 0;; i++) {
				char v[16];

				snprintf(v, sizeof(v), "%d", i);
				put(s, "n", v);
				if (write(fds[1], &i, sizeof(i)) != sizeof(i))
					_exit(0);
			}
		}
		close(fds[1]);
		while (got < 20 + (int)round * 7 && read(fds[0], &n, sizeof(n)) == sizeof(n))
			got = n;
		kill(pid, SIGKILL);
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			got = n;
		waitpid(pid, NULL, 0);
		close(fds[0]);
		s = open_ok();
		snprintf(want, sizeof(want), "n=%d ", got);
		if (strcmp(content(s), want)) { /* the one that was not reported any more */
			snprintf(want, sizeof(want), "n=%d ", got + 1);
			assert_string_equal(content(s), want);
		}
		store_close(s);
	}
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		STORE_TEST(survives_reopening_in_key_order),
		STORE_TEST(clear_makes_the_rest_the_whole_content),
		STORE_TEST(bounds_are_refused_and_change_nothing),
		STORE_TEST(two_daemons_cannot_share_it),
		STORE_TEST(torn_tail_at_every_byte),
		STORE_TEST(unwritten_tail_is_cut_off),
		STORE_TEST(missing_sectors_are_cut_off),
		STORE_TEST(what_is_loaded_is_on_the_disk),
		STORE_TEST(corruption_is_refused_and_kept),
		STORE_TEST(foreign_file_is_refused),
		STORE_TEST(compaction_keeps_content_and_bounds_size),
		STORE_TEST(unfinished_compaction_is_worthless),
		STORE_TEST(killed_writer_loses_nothing_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
