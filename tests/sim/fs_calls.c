/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls of the file store, on a node's simulated directory; whatever is not about one goes to the system (--wrap). */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/fs.h"
#include "tests/sim/sim.h"

#define PAGE 4096
#define FD_BASE (1 << 20)

static bool ours(int fd)
{
	return fd >= FD_BASE && fd < FD_BASE + (NODES + 1) * FS_FDS;
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

static const char *const names[FS_NAMES] = { "state.log", "state.new", "lock" };

static unsigned name_of(const char *path)
{
	unsigned i = 0;

	while (i < FS_NAMES - 1 && strcmp(names[i], path))
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
		fs_name_set(&n->fs, name, fs_file_new(&n->fs));
	else if (flags & O_TRUNC)
		fs_bytes_resize(&n->fs.now[name]->now, 0);
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
	if (fs_burnt(fs_of(fd))) {
		if (part >= len || !fs_of(fd)->killed)
			return len;
	} else {
		part = len;
	}
	if (at + part > b->len)
		fs_bytes_resize(b, at + part);
	memcpy(b->p + at, buf, part);
	return len;
}

int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len)
{
	if (!ours(fd))
		return __real_ftruncate(fd, len);
	if (!fs_burnt(fs_of(fd)))
		fs_bytes_resize(&file_of(fd)->now, len);
	return 0;
}

static int sync_fd(int fd)
{
	struct sim_fs *fs = fs_of(fd);
	struct fs_file *f = file_of(fd);
	struct sim *s = sim_world();

	if (fs_burnt(fs) || (s->plant == PLANT_STORE_LIES && sim_random(s) % 4))
		return 0;
	if (f)
		fs_bytes_set(&f->safe, f->now.p, f->now.len);
	else
		fs_names_sync(fs, fs->nrenames);
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
	if (fs_burnt(fs))
		return 0;
	fs_name_set(fs, name_of(to), f);
	fs_name_set(fs, name_of(from), NULL);
	return 0;
}

int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
	if (!ours(dir))
		return __real_unlinkat(dir, path, flags);
	if (fs_of(dir)->now[name_of(path)])
		fs_name_set(fs_of(dir), name_of(path), NULL);
	return 0;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	struct sim_fs *fs;

	if (tcp_is(fd))
		return tcp_close(fd);
	if (!ours(fd))
		return __real_close(fd);
	fs = fs_of(fd);
	if (file_of(fd))
		file_of(fd)->open--;
	fs->fd[(fd - FD_BASE) % FS_FDS] = NULL;
	fs_sweep(fs);
	return 0;
}
