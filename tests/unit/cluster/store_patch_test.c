/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long values that change a little: what is written of them is little, and what is read is the value, whatever moment the
 * power goes. Topology: one directory under /tmp per test.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/store_batch.h"
#include "cluster/store_file.h"
#include "cluster/store_patch.h"

static char dir[64], err[512];
static uint64_t written;

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at) /* the store's */
{
	ssize_t n = syscall(SYS_pwrite64, fd, buf, len, at);

	written += n > 0 ? n : 0;
	return n;
}

static int make_dir(void **state)
{
	static unsigned seed;

	seed = (unsigned)time(NULL);
	print_message("SEED=%u\n", seed);
	*state = &seed;
	strcpy(dir, "/tmp/store_patch_test.XXXXXX");
	return !mkdtemp(dir);
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static const char *log_path(void)
{
	static char p[128];

	snprintf(p, sizeof(p), "%s/state.log", dir);
	return p;
}

static struct store *open_ok(void)
{
	struct store *s = NULL;

	if (store_file_open(dir, &s, err, sizeof(err)))
		fail_msg("%s", err);
	return s;
}

/* ---- a value as services make them: its length in front, then sorted records, a checksum behind ---- */

#define RECORD 57

struct value {
	uint8_t p[700000];
	size_t len;
};

static void random_bytes(unsigned *seed, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = rand_r(seed);
}

static void value_seal(struct value *v)
{
	uint32_t n = htobe32(v->len), sum = 0;

	memcpy(v->p, &n, sizeof(n));
	for (size_t i = 0; i < v->len - 4; i++)
		sum = sum * 31 + v->p[i];
	memcpy(v->p + v->len - 4, &sum, sizeof(sum));
}

static void value_init(struct value *v, unsigned *seed, unsigned records)
{
	v->len = 8 + records * RECORD;
	random_bytes(seed, v->p, v->len);
	value_seal(v);
}

static void value_insert(struct value *v, unsigned *seed)
{
	size_t at = 4 + rand_r(seed) % ((v->len - 8) / RECORD + 1) * RECORD;

	memmove(v->p + at + RECORD, v->p + at, v->len - at);
	random_bytes(seed, v->p + at, RECORD);
	v->len += RECORD;
	value_seal(v);
}

static void value_remove(struct value *v, unsigned *seed)
{
	size_t at = 4 + rand_r(seed) % ((v->len - 8) / RECORD) * RECORD;

	v->len -= RECORD;
	memmove(v->p + at, v->p + at + RECORD, v->len - at);
	value_seal(v);
}

static void commit(struct store *s, const struct value *v, bool patches)
{
	struct store_batch *b = store_batch_new();

	store_batch_allow_patches(b, patches);
	store_batch_put(b, "reservations/disk0", v->p, v->len);
	assert_int_equal(store_commit(s, b), 0);
	store_batch_free(b);
}

static int same(void *arg, const char *key, const void *value, size_t len)
{
	const struct value *v = arg;

	assert_string_equal(key, "reservations/disk0");
	assert_int_equal(len, v->len);
	assert_memory_equal(value, v->p, len);
	return 1;
}

static void assert_has(struct store *s, struct value *v)
{
	assert_int_equal(store_each(s, same, v), 1);
}

static size_t file_read(uint8_t *buf, size_t max)
{
	FILE *f = fopen(log_path(), "r");
	size_t n = fread(buf, 1, max, f);

	fclose(f);
	return n;
}

/* Changes of this kind in state.log. */
static unsigned changes_of(enum change_kind kind)
{
	static uint8_t buf[4 << 20];
	size_t len = file_read(buf, sizeof(buf));
	unsigned found = 0;

	for (size_t at = 8, end; at < len; at = end) {
		uint32_t n;

		memcpy(&n, buf + at, sizeof(n));
		at += 8;
		end = at + le32toh(n);
		while (at < end) {
			struct change_head h;

			memcpy(&h, buf + at, sizeof(h));
			found += h.kind == kind;
			at += sizeof(h) + le16toh(h.klen) + le32toh(h.vlen);
		}
	}
	return found;
}

/* ---- patches alone ----------------------------------------------------------------------------- */

static void a_patch_makes_the_value_of_its_base(void **state)
{
	static struct value a, b;
	unsigned *seed = *state, patches = 0;

	for (int round = 0; round < 5000; round++) {
		struct wbuf patch = { 0 };
		uint8_t *out;
		size_t len;

		value_init(&a, seed, rand_r(seed) % 40);
		b = (struct value){ .len = a.len };
		memcpy(b.p, a.p, a.len);
		for (int n = rand_r(seed) % 4; n >= 0; n--)
			if (rand_r(seed) % 2 || b.len < 8 + RECORD)
				value_insert(&b, seed);
			else
				value_remove(&b, seed);
		if (!store_patch_make(&patch, a.p, a.len, b.p, b.len)) {
			assert_int_equal(patch.len, 0);
			wbuf_fini(&patch);
			continue;
		}
		patches++;
		assert_true(patch.len < b.len / 2 + 12 + 2048);
		assert_int_equal(store_patch_apply(patch.data, patch.len, a.p, a.len, &out, &len), 0);
		assert_int_equal(len, b.len);
		assert_memory_equal(out, b.p, len);
		free(out);
		assert_int_equal(store_patch_apply(patch.data, patch.len, a.p, a.len - 1, &out, &len), -EBADMSG);
		wbuf_fini(&patch);
	}
	assert_true(patches > 500);
}

static bool between_hunks(const struct wbuf *patch, size_t cut)
{
	size_t at = 4;

	while (at < cut) {
		uint32_t put;

		memcpy(&put, patch->data + at + 8, sizeof(put));
		at += 12 + le32toh(put);
	}
	return at == cut;
}

static void damaged_patches_are_refused_or_harmless(void **state)
{
	static struct value a, b;
	unsigned *seed = *state;
	struct wbuf patch = { 0 };
	uint8_t *out, damaged[512];
	size_t len;

	value_init(&a, seed, 40);
	b = a;
	value_insert(&b, seed);
	assert_true(store_patch_make(&patch, a.p, a.len, b.p, b.len));
	assert_true(patch.len < sizeof(damaged));
	for (size_t cut = 0; cut < patch.len; cut++) { /* cut between hunks it is one of fewer hunks: the record's CRC tells */
		bool between = between_hunks(&patch, cut);
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, patch.data, cut);
		assert_int_equal(store_patch_apply(exact, cut, a.p, a.len, &out, &len), between ? 0 : -EBADMSG);
		if (between)
			free(out);
		free(exact);
	}
	for (int i = 0; i < 100000; i++) {
		memcpy(damaged, patch.data, patch.len);
		damaged[rand_r(seed) % patch.len] ^= 1 << rand_r(seed) % 8;
		damaged[rand_r(seed) % patch.len] = rand_r(seed);
		if (!store_patch_apply(damaged, patch.len, a.p, a.len, &out, &len)) {
			assert_true(len > 0 && len <= a.len + patch.len);
			free(out);
		}
	}
	wbuf_fini(&patch);
}

/* As many as come at once, wherever. */
static void many_places_make_a_short_patch(void **state)
{
	static struct value a, b;
	unsigned *seed = *state;
	struct wbuf patch = { 0 };

	value_init(&a, seed, 10000);
	b = a;
	for (int i = 0; i < 50; i++) {
		value_insert(&b, seed);
		value_remove(&b, seed);
		b.p[b.len / 2 + 3 * i]++; /* close to each other, too */
		b.p[4 + rand_r(seed) % (b.len - 8)]++;
	}
	value_seal(&b);
	assert_true(store_patch_make(&patch, a.p, a.len, b.p, b.len));
	print_message("%zu bytes\n", patch.len);
	assert_true(patch.len < 50 * 300);
	wbuf_fini(&patch);
}

/* ---- in the store ------------------------------------------------------------------------------ */

/* 10,000 registrants: what one more costs does not grow with them, the rewritten logs included. */
static void a_little_change_of_a_long_value_is_little_to_write(void **state)
{
	static struct value v;
	unsigned *seed = *state;
	struct store *s = open_ok();

	value_init(&v, seed, 10000);
	commit(s, &v, true);
	written = 0;
	for (int i = 0; i < 400; i++) {
		if (i % 3)
			value_insert(&v, seed);
		else
			value_remove(&v, seed);
		commit(s, &v, true);
	}
	print_message("%llu bytes for each\n", (unsigned long long)written / 400);
	assert_true(written / 400 < 4000); /* without patches: 570,000 */
	assert_has(s, &v);
	store_close(s);
	s = open_ok();
	assert_has(s, &v);
	store_close(s);
}

static void patches_in_the_log_are_bounded(void **state)
{
	static struct value v;
	unsigned *seed = *state;
	struct store *s = open_ok();

	value_init(&v, seed, 200);
	for (int i = 0; i < 700; i++) {
		value_insert(&v, seed);
		if (i % 5)
			value_remove(&v, seed);
		commit(s, &v, true);
		if (i % 50 == 0)
			assert_true(changes_of(CHANGE_PATCH) <= 2 * STORE_PATCHED_MAX);
	}
	store_close(s);
	s = open_ok();
	assert_has(s, &v);
	store_close(s);
}

/* Power goes while the second of two patches is written: cut at every byte, the first is there. */
static void torn_patch_at_every_byte(void **state)
{
	static uint8_t buf[100000];
	static struct value v, before;
	unsigned *seed = *state;
	struct store *s = open_ok();
	size_t keep, len;

	value_init(&v, seed, 300);
	commit(s, &v, true);
	value_insert(&v, seed);
	commit(s, &v, true);
	before = v;
	keep = file_read(buf, sizeof(buf));
	value_insert(&v, seed);
	commit(s, &v, true);
	store_close(s);
	len = file_read(buf, sizeof(buf));
	assert_int_equal(changes_of(CHANGE_PATCH), 2);
	for (size_t cut = keep; cut <= len; cut++) {
		FILE *f = fopen(log_path(), "w");

		assert_int_equal(fwrite(buf, 1, cut, f), cut);
		fclose(f);
		s = open_ok();
		assert_has(s, cut < len ? &before : &v);
		store_close(s);
	}
}

/* A program of protocol version 1 reads what it knows: nothing is a patch before it may be, or after it may not be. */
static void none_where_they_are_not_allowed(void **state)
{
	static struct value v;
	unsigned *seed = *state;
	struct store *s = open_ok();

	value_init(&v, seed, 300);
	for (int i = 0; i < 6; i++) {
		value_insert(&v, seed);
		commit(s, &v, i == 3 || i == 4);
		assert_int_equal(changes_of(CHANGE_PATCH), i == 3 ? 1 : i == 4 ? 2 : 0);
	}
	commit(s, &v, true);
	store_close(s);
	assert_int_equal(changes_of(CHANGE_PATCH), 1); /* also when another process has made it */
	s = open_ok();
	commit(s, &v, false);
	assert_int_equal(changes_of(CHANGE_PATCH), 0);
	assert_has(s, &v);
	store_close(s);
}

/* The last word counts, and what it is a patch of is what was there before the batch. */
static void several_words_about_one_key(void **state)
{
	static struct value v;
	unsigned *seed = *state;
	struct store *s = open_ok();

	value_init(&v, seed, 300);
	commit(s, &v, true);
	for (int what = 0; what < 4; what++) {
		struct store_batch *b = store_batch_new();

		store_batch_allow_patches(b, true);
		for (int i = 0; i < 3; i++) {
			v.p[100]++;
			value_seal(&v);
			store_batch_put(b, "reservations/disk0", v.p, v.len);
			if (what == 1 && i == 1)
				store_batch_clear(b);
			if (what == 2 && i == 0)
				store_batch_put(b, "reservations/disk0", NULL, 0);
			if (what == 3 && i == 0)
				store_batch_put(b, "other", "x", 1);
		}
		if (what == 3)
			store_batch_put(b, "other", NULL, 0);
		assert_int_equal(store_commit(s, b), 0);
		store_batch_free(b);
		assert_has(s, &v);
		store_close(s);
		s = open_ok();
		assert_has(s, &v);
	}
	assert_int_equal(changes_of(CHANGE_PATCH), 3); /* not behind the clear */
	assert_int_equal(changes_of(CHANGE_PUT), 2);
	store_close(s);
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_patch_makes_the_value_of_its_base),
		STORE_TEST(damaged_patches_are_refused_or_harmless),
		STORE_TEST(many_places_make_a_short_patch),
		STORE_TEST(a_little_change_of_a_long_value_is_little_to_write),
		STORE_TEST(patches_in_the_log_are_bounded),
		STORE_TEST(torn_patch_at_every_byte),
		STORE_TEST(none_where_they_are_not_allowed),
		STORE_TEST(several_words_about_one_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
