/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/store_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <urcu/compiler.h>

#include "cluster/store_entries.h"
#include "cluster/store_patch.h"

static const char file_magic[8] = { 'S', 'a', 'n', 'd', 'e', 'm', 'S', '1' };
#define RECORD_MAX (512u << 20)
#define SECTOR 512 /* what a disk writes whole or not at all */

struct record_head {
	uint32_t len, crc;
};

struct store_file {
	struct store store;
	char *dir;
	int dirfd, lockfd, fd;
	off_t end;	 /* of the log */
	size_t compact_min, patch_min;
	int failed;	 /* the first error of a write: sticky */
	struct store_entries entries;
};

static int complain(char *err, size_t errlen, int code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int complain(char *err, size_t errlen, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return code;
}

static uint32_t record_crc(uint32_t len, const uint8_t *body)
{
	uint32_t le = htole32(len);
	uint32_t crc = crc32_iscsi((unsigned char *)&le, sizeof(le), ~0u);

	return ~crc32_iscsi((unsigned char *)body, len, crc);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* A length field that is damaged looks like a torn record's only where nothing valid follows. */
static bool valid_record_after(const uint8_t *p, size_t len)
{
	for (size_t i = 1; i + sizeof(struct record_head) < len; i++) {
		struct record_head h;
		uint32_t n;

		memcpy(&h, p + i, sizeof(h));
		n = le32toh(h.len);
		if (n && n <= len - i - sizeof(h) && record_crc(n, p + i + sizeof(h)) == le32toh(h.crc))
			return true;
	}
	return false;
}

/* Of what the log's end at byte `at` has, some sector was not written: they reach the disk in any order, and the file's
 * length has nothing to do with it. */
static bool sector_missing(const uint8_t *p, size_t len, off_t at)
{
	size_t n = SECTOR - at % SECTOR;

	for (; len; p += n, len -= n, n = SECTOR) {
		n = n < len ? n : len;
		if (all_zero(p, n))
			return true;
	}
	return false;
}

/* What a power loss can have left of the last record: its end is missing, or sectors of it are. */
static bool torn_tail(const uint8_t *p, size_t len, off_t at)
{
	struct record_head h;

	if (len < sizeof(h))
		return true;
	memcpy(&h, p, sizeof(h));
	return (le32toh(h.len) > len - sizeof(h) || sector_missing(p, len, at)) && !valid_record_after(p, len);
}

static int load_records(struct store_file *s, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	size_t at = sizeof(file_magic);

	while (at < len) {
		struct record_head h = { 0 };
		uint32_t n;
		bool whole = len - at > sizeof(h);
		int code;

		if (whole)
			memcpy(&h, p + at, sizeof(h));
		n = le32toh(h.len);
		whole = whole && n && n <= RECORD_MAX && n <= len - at - sizeof(h);
		if (!whole || record_crc(n, p + at + sizeof(h)) != le32toh(h.crc)) {
			if (torn_tail(p + at, len - at, at))
				break;
			return complain(err, errlen, -EBADMSG, "%s/state.log is corrupt at byte %zu: check the disk, then "
					"restore the file, or move it away: this node then takes the state of the other nodes",
					s->dir, at);
		}
		code = store_entries_apply(&s->entries, p + at + sizeof(h), n);
		if (code)
			return complain(err, errlen, code, "%s/state.log: the record at byte %zu was not written by this "
					"version: %s", s->dir, at, strerror(-code));
		at += sizeof(h) + n;
	}
	s->end = at;
	return 0;
}

static int write_all(int fd, const void *buf, size_t len, off_t at)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		at += n;
		len -= n;
	}
	return 0;
}

static int read_all(struct store_file *s, uint8_t **out, size_t *len, char *err, size_t errlen)
{
	struct stat st;
	size_t at = 0;

	if (fstat(s->fd, &st))
		return complain(err, errlen, -errno, "%s/state.log: %s", s->dir, strerror(errno));
	*out = malloc(st.st_size + 1);
	if (!*out)
		return complain(err, errlen, -ENOMEM, "%s/state.log: no memory for its %lld bytes", s->dir,
				(long long)st.st_size);
	while (at < (size_t)st.st_size) {
		ssize_t n = pread(s->fd, *out + at, st.st_size - at, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int code = n ? -errno : -EIO;

			free(*out);
			return complain(err, errlen, code, "%s/state.log cannot be read: %s; check the disk", s->dir,
					strerror(-code));
		}
		at += n;
	}
	*len = at;
	return 0;
}

/* An empty or cut magic is a file whose creation the power loss met. */
static int load(struct store_file *s, char *err, size_t errlen)
{
	uint8_t *p = NULL;
	size_t len = 0;
	int code = read_all(s, &p, &len, err, errlen);

	if (code)
		return code;
	if (len < sizeof(file_magic) && (!memcmp(p, file_magic, len) || all_zero(p, len)))
		s->end = 0;
	else if (len < sizeof(file_magic) || memcmp(p, file_magic, sizeof(file_magic)))
		code = complain(err, errlen, -EBADMSG, "%s/state.log is not a state file of this version: move it away, or "
				"give another --state-dir", s->dir);
	else
		code = load_records(s, p, len, err, errlen);
	free(p);
	if (code)
		return code;
	if (!s->end) {
		code = write_all(s->fd, file_magic, sizeof(file_magic), 0);
		s->end = sizeof(file_magic);
	}
	/* What is loaded counts as stored; of a daemon that was killed it may be in the page cache only. */
	if (!code && (((off_t)len != s->end && ftruncate(s->fd, s->end)) || fsync(s->fd) || fsync(s->dirfd)))
		code = -errno;
	if (code)
		complain(err, errlen, code, "%s/state.log cannot be written: %s", s->dir, strerror(-code));
	return code;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int append(struct store_file *s, int fd, off_t *end, const struct wbuf *body)
{
	struct record_head h = { htole32(body->len), htole32(record_crc(body->len, body->data)) };
	struct wbuf rec = { 0 };
	int err;

	(void)s;
	wbuf_put(&rec, &h, sizeof(h));
	wbuf_put(&rec, body->data, body->len);
	err = rec.err ? rec.err : write_all(fd, rec.data, rec.len, *end);
	if (!err)
		*end += rec.len;
	wbuf_fini(&rec);
	return err;
}

/* Does the rest of a batch have another word about this key? */
static bool changed_again(const uint8_t *p, size_t left, const char *key)
{
	struct store_change c;

	while (left && store_change_next(&p, &left, &c))
		if (c.kind == CHANGE_CLEAR || !strcmp(c.key, key))
			return true;
	return false;
}

static bool patch_of(const struct store_file *s, const struct store_change *c, struct wbuf *patch)
{
	const struct store_entry *e;
	size_t at;

	if (c->kind != CHANGE_PUT || c->len < s->patch_min || !store_entries_find(&s->entries, c->key, &at))
		return false;
	e = &s->entries.entry[at];
	return store_patch_make(patch, e->value, e->len, c->value, c->len) && !patch->err;
}

static void batch_change_short(struct store_file *s, struct store_batch *to, const struct store_change *c)
{
	struct wbuf patch = { 0 };

	if (patch_of(s, c, &patch)) {
		batch_change(to, CHANGE_PATCH, c->key, patch.data, patch.len);
		s->entries.patched += c->len;
	} else {
		batch_change(to, c->kind, c->key, c->value, c->len);
	}
	wbuf_fini(&patch);
}

/* The same in fewer bytes: the last word about each key, as a patch of what it has where that is shorter. */
static void batch_shorten(struct store_file *s, struct store_batch *to, const struct store_batch *b)
{
	const uint8_t *p = b->body.data;
	size_t left = b->body.len;
	bool cleared = false;
	struct store_change c;

	while (left && store_change_next(&p, &left, &c)) {
		if (changed_again(p, left, c.key))
			continue;
		cleared |= c.kind == CHANGE_CLEAR;
		if (cleared)
			batch_change(to, c.kind, c.key, c.value, c.len);
		else
			batch_change_short(s, to, &c);
	}
}

static int append_batch(struct store_file *s, const struct store_batch *b)
{
	struct store_batch shorter = { 0 };
	int err;

	if (!b->patches)
		return append(s, s->fd, &s->end, &b->body);
	batch_shorten(s, &shorter, b);
	err = shorter.err ? shorter.err : append(s, s->fd, &s->end, &shorter.body);
	wbuf_fini(&shorter.body);
	return err;
}

static int write_compacted(struct store_file *s, int fd, off_t *end)
{
	struct store_batch b = { 0 };
	int err;

	for (size_t i = 0; i < s->entries.n; i++)
		batch_change(&b, CHANGE_PUT, s->entries.entry[i].key, s->entries.entry[i].value, s->entries.entry[i].len);
	*end = sizeof(file_magic);
	err = b.body.err ? b.body.err : write_all(fd, file_magic, sizeof(file_magic), 0);
	if (!err && b.body.len)
		err = append(s, fd, end, &b.body);
	wbuf_fini(&b.body);
	if (!err && fsync(fd))
		err = -errno;
	return err;
}

/* New file durable, then the name, then the directory: at each moment one of the two is whole. */
static int compact(struct store_file *s)
{
	int fd = openat(s->dirfd, "state.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t end = 0;
	int err;

	if (fd < 0)
		return -errno;
	err = write_compacted(s, fd, &end);
	if (!err && renameat(s->dirfd, "state.new", s->dirfd, "state.log"))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	close(s->fd);
	s->fd = fd;
	s->end = end;
	s->entries.patched = 0;
	return fsync(s->dirfd) ? -errno : 0;
}

/* Where patches are not allowed any more, none may be left either. */
static bool needs_compaction(const struct store_file *s, bool patches)
{
	if (s->entries.patched && (!patches || s->entries.patched / STORE_PATCHED_MAX > s->entries.kept))
		return true;
	return (size_t)s->end > s->compact_min && (size_t)s->end > 2 * s->entries.kept + sizeof(file_magic);
}

static int file_commit(struct store *store, const struct store_batch *b)
{
	struct store_file *s = caa_container_of(store, struct store_file, store);
	int err = b->err ? b->err : b->body.err;

	if (s->failed)
		return s->failed;
	if (err || !b->count)
		return err;
	if (b->body.len > RECORD_MAX)
		return -EINVAL;
	err = append_batch(s, b);
	if (!err && fdatasync(s->fd))
		err = -errno;
	if (!err)
		err = store_entries_apply(&s->entries, b->body.data, b->body.len);
	if (!err && needs_compaction(s, b->patches))
		err = compact(s);
	s->failed = err;
	return err;
}

static int file_each(struct store *store, store_each_fn fn, void *arg)
{
	struct store_file *s = caa_container_of(store, struct store_file, store);

	for (size_t i = 0; i < s->entries.n; i++) {
		int r = fn(arg, s->entries.entry[i].key, s->entries.entry[i].value, s->entries.entry[i].len);

		if (r)
			return r;
	}
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void file_close(struct store *store)
{
	struct store_file *s = caa_container_of(store, struct store_file, store);

	store_entries_fini(&s->entries);
	close_fd(s->fd);
	close_fd(s->lockfd);
	close_fd(s->dirfd);
	free(s->dir);
	free(s);
}

static const struct store_ops file_ops = { file_commit, file_each, file_close };

/* ---- opening ----------------------------------------------------------------------------------- */

static int open_files(struct store_file *s, char *err, size_t errlen)
{
	if (mkdir(s->dir, 0700) && errno != EEXIST)
		return complain(err, errlen, -errno, "%s cannot be created: %s; create its parent directory, or give another "
				"--state-dir", s->dir, strerror(errno));
	s->dirfd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return complain(err, errlen, -errno, "%s: %s; give another --state-dir", s->dir, strerror(errno));
	s->lockfd = openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lockfd < 0)
		return complain(err, errlen, -errno, "%s/lock: %s", s->dir, strerror(errno));
	if (flock(s->lockfd, LOCK_EX | LOCK_NB))
		return complain(err, errlen, -errno, "%s is in use by another sandemd: stop it, or give another --state-dir",
				s->dir);
	s->fd = openat(s->dirfd, "state.log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return complain(err, errlen, -errno, "%s/state.log: %s", s->dir, strerror(errno));
	return 0;
}

int store_file_open(const char *dir, struct store **out, char *err, size_t errlen)
{
	struct store_file *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return complain(err, errlen, -ENOMEM, "%s: out of memory", dir);
	s->store.ops = &file_ops;
	s->dirfd = s->lockfd = s->fd = -1;
	s->compact_min = STORE_COMPACT_MIN;
	s->patch_min = STORE_PATCH_MIN;
	s->dir = strdup(dir);
	code = s->dir ? open_files(s, err, errlen) : -ENOMEM;
	if (!code)
		code = load(s, err, errlen);
	if (code) {
		file_close(&s->store);
		return code;
	}
	unlinkat(s->dirfd, "state.new", 0);
	*out = &s->store;
	return 0;
}

void store_file_compact_min(struct store *store, size_t min)
{
	caa_container_of(store, struct store_file, store)->compact_min = min;
}

void store_file_patch_min(struct store *store, size_t min)
{
	caa_container_of(store, struct store_file, store)->patch_min = min;
}
