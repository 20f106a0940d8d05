/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file system under the real file store (cluster/store_file.c): what is written is in the page cache until it is synced, and
 * a power loss tears what was not: each sector of it is there or not, the file is as long as it was, as it was to be, or in between,
 * and of renames that were not followed by a sync of the directory, the first few have happened. A process that is killed leaves
 * the page cache behind; the node may lose power later.
 *
 * The linker gives the store these functions instead of the system's (--wrap); whatever is not about a node's directory goes to the
 * system.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/replog.pb-c.h"
#include "cluster/persist.h"
#include "cluster/store_batch.h"
#include "cluster/store_file.h"
#include "tests/sim/sim.h"

#define SECTOR 512
#define PAGE 4096
#define FD_BASE (1 << 20)
#define COMPACT_MIN 2000 /* so that it happens */

/* ---- files ------------------------------------------------------------------------------------------------------------ */

enum { NAME_LOG, NAME_NEW, NAME_LOCK, NAMES };
static const char *const names[NAMES] = { "state.log", "state.new", "lock" };

static void bytes_set(struct fs_bytes *b, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	memcpy(copy, p, len);
	free(b->p);
	*b = (struct fs_bytes){ copy, len };
}

static void bytes_resize(struct fs_bytes *b, size_t len)
{
	b->p = realloc(b->p, len + 1);
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

static struct fs_file *file_new(struct sim_fs *fs)
{
	for (unsigned i = 0; i < FS_FILES; i++)
		if (!fs->file[i].used) {
			fs->file[i] = (struct fs_file){ .used = true };
			bytes_resize(&fs->file[i].now, 0);
			bytes_resize(&fs->file[i].safe, 0);
			return &fs->file[i];
		}
	sim_fail(sim_world(), "the file system of the simulator is too small");
	return &fs->file[0];
}

static bool named(const struct sim_fs *fs, const struct fs_file *f)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (fs->now[i] == f || fs->safe[i] == f)
			return true;
	for (unsigned i = 0; i < fs->nrenames; i++)
		if (fs->rename[i].to == f)
			return true;
	return false;
}

static void file_forget(struct fs_file *f)
{
	free(f->now.p);
	free(f->safe.p);
	*f = (struct fs_file){ 0 };
}

static void sweep(struct sim_fs *fs)
{
	for (unsigned i = 0; i < FS_FILES; i++)
		if (fs->file[i].used && !fs->file[i].open && !named(fs, &fs->file[i]))
			file_forget(&fs->file[i]);
}

/* A change of the directory, which a sync of it makes safe. */
static void name_set(struct sim_fs *fs, unsigned name, struct fs_file *to)
{
	fs->now[name] = to;
	if (fs->nrenames == FS_RENAMES) { /* the journal is written now and then */
		fs->safe[fs->rename[0].name] = fs->rename[0].to;
		memmove(&fs->rename[0], &fs->rename[1], --fs->nrenames * sizeof(fs->rename[0]));
	}
	fs->rename[fs->nrenames].name = name;
	fs->rename[fs->nrenames++].to = to;
}

static void names_sync(struct sim_fs *fs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fs->safe[fs->rename[i].name] = fs->rename[i].to;
	fs->nrenames = 0;
}

void fs_clear(struct sim_fs *fs)
{
	for (unsigned i = 0; i < FS_FILES; i++)
		file_forget(&fs->file[i]);
	*fs = (struct sim_fs){ .fuse = ~0u };
}

/* ---- a power loss ----------------------------------------------------------------------------------------------------------- */

static void tear(struct sim *s, struct fs_file *f)
{
	size_t from = f->safe.len < f->now.len ? f->safe.len : f->now.len, to = f->now.len;

	if (f->safe.len == f->now.len && !memcmp(f->safe.p, f->now.p, to))
		return;
	if (to > from && chance(s, 2)) /* the length is on the disk only for a part */
		to = from + sim_random(s) % (to - from);
	bytes_resize(&f->safe, to);
	for (size_t at = from / SECTOR * SECTOR; at < to; at += SECTOR)
		if (chance(s, 2))
			memcpy(f->safe.p + at, f->now.p + at, to - at < SECTOR ? to - at : SECTOR);
	s->count.torn++;
	sim_trace(s, "of %zu bytes that were not synced, a part is there, %zu of length", f->now.len - from, to - from);
}

void fs_power_loss(struct node *n)
{
	struct sim_fs *fs = &n->fs;

	names_sync(fs, fs->nrenames ? sim_random(n->sim) % (fs->nrenames + 1) : 0);
	memcpy(fs->now, fs->safe, sizeof(fs->now));
	for (unsigned i = 0; i < FS_FILES; i++) {
		struct fs_file *f = &fs->file[i];

		if (!f->used)
			continue;
		tear(n->sim, f);
		bytes_set(&f->now, f->safe.p, f->safe.len);
	}
	sweep(fs);
}

/* Of what the process still writes, the next few steps are done; the last one in part where it was killed. */
static bool burnt(struct sim_fs *fs)
{
	if (fs->fuse == ~0u)
		return false;
	if (fs->fuse)
		return !--fs->fuse;
	fs->killed = false;
	return true;
}

/* ---- the store's system calls ------------------------------------------------------------------------------------------------ */

static bool ours(int fd)
{
	return fd >= FD_BASE;
}

static struct sim_fs *fs_of(int fd)
{
	return &sim_world()->node[(fd - FD_BASE) / FS_FDS].fs;
}

static struct fs_file *file_of(int fd)
{
	return fs_of(fd)->fd[(fd - FD_BASE) % FS_FDS];
}

static int fd_new(struct node *n, struct fs_file *f)
{
	for (unsigned i = 1; i < FS_FDS; i++)
		if (!n->fs.fd[i]) {
			n->fs.fd[i] = f;
			f->open++;
			return FD_BASE + n->id * FS_FDS + i;
		}
	sim_fail(n->sim, "the store of node %u leaks file descriptors", n->id);
	return -1;
}

static unsigned name_of(const char *path)
{
	unsigned i = 0;

	while (i < NAMES - 1 && strcmp(names[i], path))
		i++;
	return i;
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
	return strcmp(path, SIM_STATE_DIR) ? __real_mkdir(path, mode) : 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return strcmp(path, SIM_STATE_DIR) ? __real_open(path, flags, mode) : FD_BASE + (int)sim_world()->cur->id * FS_FDS;
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	struct node *n;
	unsigned name;
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (!ours(dir))
		return __real_openat(dir, path, flags, mode);
	n = &sim_world()->node[(dir - FD_BASE) / FS_FDS];
	name = name_of(path);
	if (!n->fs.now[name])
		name_set(&n->fs, name, file_new(&n->fs));
	else if (flags & O_TRUNC)
		bytes_resize(&n->fs.now[name]->now, 0);
	return fd_new(n, n->fs.now[name]);
}

int __real_flock(int fd, int op);
int __wrap_flock(int fd, int op);
int __wrap_flock(int fd, int op)
{
	return ours(fd) ? 0 : __real_flock(fd, op);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
	if (!ours(fd))
		return __real_fstat(fd, st);
	*st = (struct stat){ .st_size = file_of(fd)->now.len };
	return 0;
}

ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	const struct fs_bytes *b;

	if (!ours(fd))
		return __real_pread(fd, buf, len, at);
	b = &file_of(fd)->now;
	len = (size_t)at >= b->len ? 0 : len < b->len - at ? len : b->len - at;
	memcpy(buf, b->p + at, len);
	return len;
}

/* A process that is killed in the middle has written up to the end of a page. */
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	struct fs_bytes *b;
	size_t part = PAGE - at % PAGE;

	if (!ours(fd))
		return __real_pwrite(fd, buf, len, at);
	b = &file_of(fd)->now;
	if (burnt(fs_of(fd))) {
		if (part >= len || !fs_of(fd)->killed)
			return len;
	} else {
		part = len;
	}
	if (at + part > b->len)
		bytes_resize(b, at + part);
	memcpy(b->p + at, buf, part);
	return len;
}

int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len)
{
	if (!ours(fd))
		return __real_ftruncate(fd, len);
	if (!burnt(fs_of(fd)))
		bytes_resize(&file_of(fd)->now, len);
	return 0;
}

static int sync_fd(int fd)
{
	struct sim_fs *fs = fs_of(fd);
	struct fs_file *f = file_of(fd);
	struct sim *s = sim_world();

	if (burnt(fs) || (s->plant == PLANT_STORE_LIES && sim_random(s) % 4))
		return 0;
	if (f)
		bytes_set(&f->safe, f->now.p, f->now.len);
	else
		names_sync(fs, fs->nrenames);
	return 0;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return ours(fd) ? sync_fd(fd) : __real_fsync(fd);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return ours(fd) ? sync_fd(fd) : __real_fdatasync(fd);
}

int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	struct sim_fs *fs;
	struct fs_file *f;

	if (!ours(from_dir))
		return __real_renameat(from_dir, from, to_dir, to);
	fs = fs_of(from_dir);
	f = fs->now[name_of(from)];
	if (burnt(fs))
		return 0;
	name_set(fs, name_of(to), f);
	name_set(fs, name_of(from), NULL);
	return 0;
}

int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
	if (!ours(dir))
		return __real_unlinkat(dir, path, flags);
	if (fs_of(dir)->now[name_of(path)])
		name_set(fs_of(dir), name_of(path), NULL);
	return 0;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	struct sim_fs *fs;

	if (!ours(fd))
		return __real_close(fd);
	fs = fs_of(fd);
	if (file_of(fd))
		file_of(fd)->open--;
	fs->fd[(fd - FD_BASE) % FS_FDS] = NULL;
	sweep(fs);
	return 0;
}

/* PLANT_TORN_RECORD */
unsigned int __real_crc32_iscsi(unsigned char *p, int len, unsigned int init);
unsigned int __wrap_crc32_iscsi(unsigned char *p, int len, unsigned int init);
unsigned int __wrap_crc32_iscsi(unsigned char *p, int len, unsigned int init)
{
	return sim_world()->plant == PLANT_TORN_RECORD ? 0 : __real_crc32_iscsi(p, len, init);
}

/* ---- in front of the store: what it is given wrongly ---------------------------------------------------------------------------- */

static void count_it(struct store_batch *to, const uint8_t *p, size_t len)
{
	Replog__Lineage *l = replog__lineage__unpack(NULL, len, p);
	uint8_t *out = malloc(len);

	l->partial = false;
	store_batch_put(to, PERSIST_LINEAGE_KEY, out, replog__lineage__pack(l, out));
	replog__lineage__free_unpacked(l, NULL);
	free(out);
}

static void change_planted(enum plant plant, struct store_batch *to, enum change_kind kind, const char *key, const uint8_t *p,
			   size_t len)
{
	if (kind == CHANGE_CLEAR)
		store_batch_clear(to);
	else if (kind == CHANGE_PUT && plant == PLANT_JOINER_COUNTS && !strcmp(key, PERSIST_LINEAGE_KEY))
		count_it(to, p, len);
	else if ((plant != PLANT_VERSION_FORGOTTEN || strcmp(key, PERSIST_VERSION_KEY)) &&
		 (plant != PLANT_CONFIG_UNSTORED || strncmp(key, "configuration/", 14)))
		store_batch_put(to, key, p, len);
}

static struct store_batch *batch_planted(enum plant plant, const struct store_batch *b)
{
	struct store_batch *to = store_batch_new();
	const uint8_t *p = b->body.data;
	struct change_head h;

	for (size_t at = 0; at < b->body.len; at += le32toh(h.vlen)) {
		char key[STORE_KEY_MAX + 1] = "";

		memcpy(&h, p + at, sizeof(h));
		at += sizeof(h);
		memcpy(key, p + at, le16toh(h.klen));
		at += le16toh(h.klen);
		change_planted(plant, to, h.kind, key, p + at, le32toh(h.vlen));
	}
	return to;
}

static int sim_commit(struct store *store, const struct store_batch *b)
{
	struct sim_store *st = caa_container_of(store, struct sim_store, store);
	enum plant plant = sim_world()->plant;
	struct store_batch *other;
	int rc;

	if (plant != PLANT_JOINER_COUNTS && plant != PLANT_VERSION_FORGOTTEN && plant != PLANT_CONFIG_UNSTORED)
		return store_commit(st->real, b);
	other = batch_planted(plant, b);
	rc = store_commit(st->real, other);
	store_batch_free(other);
	return rc;
}

static int sim_each(struct store *store, store_each_fn fn, void *arg)
{
	return store_each(caa_container_of(store, struct sim_store, store)->real, fn, arg);
}

static void sim_close(struct store *store)
{
	store_close(caa_container_of(store, struct sim_store, store)->real);
}

int __real_store_file_open(const char *dir, struct store **out, char *err, size_t errlen);
int __wrap_store_file_open(const char *dir, struct store **out, char *err, size_t errlen);
int __wrap_store_file_open(const char *dir, struct store **out, char *err, size_t errlen)
{
	static const struct store_ops ops = { sim_commit, sim_each, sim_close };
	struct node *n = sim_world()->cur;
	int rc = __real_store_file_open(dir, &n->store.real, err, errlen);

	if (rc)
		return rc;
	store_file_compact_min(n->store.real, COMPACT_MIN);
	n->store.store.ops = &ops;
	*out = &n->store.store;
	return 0;
}

struct wanted {
	const char *key;
	bool found;
};

static int look(void *arg, const char *key, const void *value, size_t len)
{
	struct wanted *w = arg;

	(void)value, (void)len;
	w->found |= !strcmp(key, w->key);
	return 0;
}

bool fs_has(struct node *n, const char *key)
{
	struct wanted w = { key, false };
	struct store *s;
	char err[512];

	n->sim->cur = n;
	if (__real_store_file_open(SIM_STATE_DIR, &s, err, sizeof(err))) {
		sim_fail(n->sim, "node %u: %s", n->id, err);
		return false;
	}
	store_each(s, look, &w);
	store_close(s);
	return w.found;
}
