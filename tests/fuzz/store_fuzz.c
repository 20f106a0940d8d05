/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.log of the store (cluster/store_file.h), as a file system may give it back. The input is the file; with a first
 * byte of 'C' what follows are record bodies { length, 2 bytes; body }, to which the right lengths and checksums are added.
 *
 * Either it opens, and then takes a batch that is there after the next opening, with all that was there before; or it is
 * refused with a message and left as it is.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/crc.h>

#include "cluster/store_file.h"
#include "core/log.h"
#include "fuzz.h"

#define MAGIC "SandemS1"
#define FILE_MAX (1u << 18)

struct file {
	uint8_t p[FILE_MAX];
	size_t len;
};

static char dir[64], path[80];

/* ---- the file ------------------------------------------------------------------------------------- */

static void make_dir(void)
{
	if (dir[0])
		return;
	snprintf(dir, sizeof(dir), "/dev/shm/sandem-fuzz-store.%d", (int)getpid());
	snprintf(path, sizeof(path), "%s/state.log", dir);
	FUZZ_CHECK(mkdir(dir, 0700) == 0);
}

static void remove_files(void)
{
	static const char *const name[] = { "state.log", "state.new", "lock" };
	char file[96];

	for (size_t i = 0; i < 3; i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, name[i]);
		unlink(file);
	}
}

static void remove_dir(void)
{
	remove_files();
	rmdir(dir);
}

static void write_file(const struct file *f)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	FUZZ_CHECK(fd >= 0 && write(fd, f->p, f->len) == (ssize_t)f->len);
	close(fd);
}

static bool unchanged(const struct file *f)
{
	static uint8_t now[FILE_MAX + 1];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, now, sizeof(now)) : -1;

	close(fd);
	return n == (ssize_t)f->len && !memcmp(now, f->p, f->len);
}

static void append_record(struct file *f, const uint8_t *body, size_t n)
{
	uint32_t len = n, crc;
	uint8_t *head = f->p + f->len;

	if (f->len + 8 + n > FILE_MAX)
		return;
	memcpy(head, &len, 4);
	memcpy(head + 8, body, n);
	crc = crc32_iscsi(head, 4, ~0u);
	crc = ~crc32_iscsi(head + 8, n, crc);
	memcpy(head + 4, &crc, 4);
	f->len += 8 + n;
}

static void make_file(struct file *f, const uint8_t *p, size_t len)
{
	struct fuzz_in in = { p, len };

	if (!len || p[0] != 'C') {
		f->len = len < FILE_MAX ? len : FILE_MAX;
		memcpy(f->p, p, f->len);
		return;
	}
	fuzz_u8(&in);
	memcpy(f->p, MAGIC, 8);
	f->len = 8;
	while (in.left) {
		size_t got, n = fuzz_u16(&in);
		uint8_t *body = fuzz_bytes(&in, n, &got);

		append_record(f, body, got);
		free(body);
	}
}

/* ---- what it holds -------------------------------------------------------------------------------- */

struct sum {
	uint64_t keys, bytes;
	bool mine;
};

static int add(void *arg, const char *key, const void *value, size_t len)
{
	struct sum *s = arg;

	FUZZ_CHECK(key[0] && strlen(key) <= STORE_KEY_MAX && len <= STORE_VALUE_MAX && len > 0);
	if (!strcmp(key, "fuzz/mine")) {
		s->mine = len == 4 && !memcmp(value, "kept", 4);
		return 0;
	}
	s->keys++;
	for (size_t i = 0; i < len; i++)
		s->bytes += ((const uint8_t *)value)[i] + 1u;
	return 0;
}

static struct sum content(struct store *s)
{
	struct sum sum = { 0 };

	FUZZ_CHECK(store_each(s, add, &sum) == 0);
	return sum;
}

static void check_goes_on(struct store *s)
{
	struct sum before = content(s), after;
	struct store_batch *b = store_batch_new();
	char err[512];

	store_batch_put(b, "fuzz/mine", "kept", 4);
	FUZZ_CHECK(store_commit(s, b) == 0);
	store_batch_free(b);
	store_close(s);
	FUZZ_CHECK(store_file_open(dir, &s, err, sizeof(err)) == 0);
	after = content(s);
	FUZZ_CHECK(after.mine && after.keys == before.keys && after.bytes == before.bytes);
	store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static struct file f;
	struct store *s;
	char err[512] = "";

	if (!dir[0]) {
		log_setup(LOG_LEVEL_ERROR, NULL);
		make_dir();
		atexit(remove_dir);
	}
	make_file(&f, p, len);
	remove_files();
	write_file(&f);
	if (store_file_open(dir, &s, err, sizeof(err))) {
		FUZZ_CHECK(err[0]);
		FUZZ_CHECK(unchanged(&f));
		return 0;
	}
	check_goes_on(s);
	return 0;
}
