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

#include "cluster/store_batch.h"

static const char file_magic[8] = { 'S', 'a', 'n', 'd', 'e', 'm', 'S', '1' };
#define RECORD_MAX (512u << 20)
#define SECTOR 512 /* what a disk writes whole or not at all */

struct record_head {
	uint32_t len, crc;
};

struct entry {
	char *key;
	uint8_t *value;
	size_t len;
};

struct store_file {
	struct store store;
	char *dir;
	int dirfd, lockfd, fd;
	off_t end;	 /* of the log */
	size_t kept;	 /* bytes the entries take in a log */
	size_t compact_min;
	int failed;	 /* the first error of a write: sticky */
	struct entry *entry; /* by key */
	size_t nentries, cap;
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

/* ---- the entries in memory --------------------------------------------------------------------- */

static size_t entry_size(const struct entry *e)
{
	return sizeof(struct change_head) + strlen(e->key) + e->len;
}

static bool entry_find(const struct store_file *s, const char *key, size_t *at)
{
	size_t lo = 0, hi = s->nentries;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(s->entry[mid].key, key);

		if (!c) {
			*at = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return false;
}

static void entry_forget(struct store_file *s, const char *key)
{
	size_t at;

	if (!entry_find(s, key, &at))
		return;
	s->kept -= entry_size(&s->entry[at]);
	free(s->entry[at].key);
	free(s->entry[at].value);
	s->nentries--;
	memmove(&s->entry[at], &s->entry[at + 1], (s->nentries - at) * sizeof(s->entry[0]));
}

static int entry_put(struct store_file *s, const char *key, const uint8_t *value, size_t len)
{
	struct entry e = { strdup(key), malloc(len), len };
	size_t at;

	if (s->nentries == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct entry *p = reallocarray(s->entry, cap, sizeof(*p));

		if (p) {
			s->entry = p;
			s->cap = cap;
		}
	}
	if (!e.key || !e.value || s->nentries == s->cap) {
		free(e.key);
		free(e.value);
		return -ENOMEM;
	}
	memcpy(e.value, value, len);
	entry_forget(s, key);
	entry_find(s, key, &at);
	memmove(&s->entry[at + 1], &s->entry[at], (s->nentries - at) * sizeof(s->entry[0]));
	s->entry[at] = e;
	s->nentries++;
	s->kept += entry_size(&e);
	return 0;
}

static void entry_clear(struct store_file *s)
{
	while (s->nentries)
		entry_forget(s, s->entry[s->nentries - 1].key);
}

/* As store_batch.h makes them: a key but for CLEAR, a value for PUT alone. */
static bool change_good(unsigned kind, size_t klen, size_t vlen)
{
	if (kind < CHANGE_PUT || kind > CHANGE_CLEAR)
		return false;
	return (klen > 0) == (kind != CHANGE_CLEAR) && (vlen > 0) == (kind == CHANGE_PUT);
}

/* One batch, changes in order. -EBADMSG where it is not well-formed. */
static int batch_apply(struct store_file *s, const uint8_t *p, size_t len)
{
	char key[STORE_KEY_MAX + 1];
	int err = 0;

	while (len && !err) {
		struct change_head h;
		size_t klen, vlen;

		if (len < sizeof(h))
			return -EBADMSG;
		memcpy(&h, p, sizeof(h));
		klen = le16toh(h.klen);
		vlen = le32toh(h.vlen);
		if (klen > STORE_KEY_MAX || len - sizeof(h) < klen || len - sizeof(h) - klen < vlen)
			return -EBADMSG;
		memcpy(key, p + sizeof(h), klen);
		key[klen] = 0;
		if (strlen(key) != klen || !change_good(h.kind, klen, vlen))
			return -EBADMSG;
		if (h.kind == CHANGE_PUT)
			err = entry_put(s, key, p + sizeof(h) + klen, vlen);
		else if (h.kind == CHANGE_FORGET)
			entry_forget(s, key);
		else
			entry_clear(s);
		p += sizeof(h) + klen + vlen;
		len -= sizeof(h) + klen + vlen;
	}
	return err;
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
		code = batch_apply(s, p + at + sizeof(h), n);
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

static int write_compacted(struct store_file *s, int fd, off_t *end)
{
	struct store_batch b = { 0 };
	int err;

	for (size_t i = 0; i < s->nentries; i++)
		batch_change(&b, CHANGE_PUT, s->entry[i].key, s->entry[i].value, s->entry[i].len);
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
	return fsync(s->dirfd) ? -errno : 0;
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
	err = append(s, s->fd, &s->end, &b->body);
	if (!err && fdatasync(s->fd))
		err = -errno;
	if (!err)
		err = batch_apply(s, b->body.data, b->body.len);
	if (!err && (size_t)s->end > s->compact_min && (size_t)s->end > 2 * s->kept + sizeof(file_magic))
		err = compact(s);
	s->failed = err;
	return err;
}

static int file_each(struct store *store, store_each_fn fn, void *arg)
{
	struct store_file *s = caa_container_of(store, struct store_file, store);

	for (size_t i = 0; i < s->nentries; i++) {
		int r = fn(arg, s->entry[i].key, s->entry[i].value, s->entry[i].len);

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

	entry_clear(s);
	free(s->entry);
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
