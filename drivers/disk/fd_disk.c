/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk/fd_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 5000 /* a killed daemon's last I/O ends, and with it its lock */
#define LOCK_POLL_MS 20

/* ---- open and close (worker thread) ------------------------------------------------------------- */

static int lock_exclusively(int fd)
{
	struct timespec poll = { .tv_nsec = LOCK_POLL_MS * 1000000 };

	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS)
			return -errno;
		nanosleep(&poll, NULL);
	}
	return 0;
}

/* O_DIRECT transfers are in units that the medium names; logical blocks must not be smaller. */
static int check_alignment(int fd, const struct disk_params *p, char *err, size_t errlen)
{
	struct statx sx;

	if (!p->direct || statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) < 0 ||
	    !(sx.stx_mask & STATX_DIOALIGN) || sx.stx_dio_offset_align == 0 ||
	    sx.stx_dio_offset_align <= p->block_size)
		return 0;
	snprintf(err, errlen,
		 "%s: O_DIRECT needs blocks of %u bytes here, the LUN has %u; set block_size: %u or direct: false",
		 p->path, sx.stx_dio_offset_align, p->block_size, sx.stx_dio_offset_align);
	return -EINVAL;
}

static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

int fd_disk_open(const struct disk_params *p, const struct disk_ops *ops, int flags, struct fd_disk **out,
		 char *err, size_t errlen)
{
	struct fd_disk *f = calloc(1, sizeof(*f));
	int rc;

	if (!f) {
		snprintf(err, errlen, "%s: out of memory", p->path);
		return -ENOMEM;
	}
	flags |= O_CLOEXEC | (p->read_only ? O_RDONLY : O_RDWR) | (p->direct ? O_DIRECT : 0);
	f->fd = open(p->path, flags, 0600);
	if (f->fd < 0) {
		rc = -errno;
		snprintf(err, errlen, "%s: cannot open: %s%s", p->path, strerror(-rc),
			 rc == -EINVAL && p->direct ? " (no O_DIRECT on this file system? set direct: false)" : "");
		goto err_free;
	}
	rc = lock_exclusively(f->fd);
	if (rc < 0) {
		snprintf(err, errlen, "%s: in use by another sandemd or LUN of this host; end that one first", p->path);
		goto err_close;
	}
	rc = check_alignment(f->fd, p, err, errlen);
	if (rc < 0)
		goto err_close;
	f->in_memory = is_in_memory(f->fd);
	f->disk.ops = ops;
	f->disk.read_only = p->read_only;
	f->disk.direct = p->direct;
	f->disk.volatile_cache = true;
	snprintf(f->path, sizeof(f->path), "%s", p->path);
	*out = f;
	return 0;

err_close:
	close(f->fd);
err_free:
	free(f);
	return rc;
}

void fd_disk_close(struct disk *d)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);

	close(f->fd);
	free(f);
}

int fd_disk_sync(struct disk *d)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);

	if (d->read_only)
		return 0;
	return fdatasync(f->fd) < 0 ? -errno : 0;
}

/* The position of the descriptor is nobody's: all transfers name theirs. */
int fd_disk_map(struct disk *d, uint64_t offset, uint64_t limit, uint64_t *length, bool *hole)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);
	off_t data = lseek(f->fd, offset, SEEK_DATA), end = data;

	*hole = data < 0 ? errno == ENXIO : (uint64_t)data > offset;
	if (data < 0 && errno != ENXIO && errno != EINVAL)
		return -errno;
	if (!*hole && data >= 0)
		end = lseek(f->fd, offset, SEEK_HOLE);
	*length = end > (off_t)offset && (uint64_t)end - offset < limit ? (uint64_t)end - offset : limit;
	return 0;
}

/* ---- I/O (reactor) -------------------------------------------------------------------------------- */

static void io_end(struct disk_io *io, int result)
{
	io->result = result;
	io->done(io);
}

static void uring_submit(struct fd_disk *f, struct disk_io *io);

static void uring_done(struct reactor_op *op, int res, uint32_t flags)
{
	struct disk_io *io = caa_container_of(op, struct disk_io, op);
	struct fd_disk *f = io->handler;

	(void)flags;
	if (res == -EAGAIN || res == -EINTR) {
		uring_submit(f, io);
		return;
	}
	if (res < 0) {
		/* Where a range can't be zeroed in place (no FALLOC_FL_ZERO_RANGE), a hole reads as zeroes, too. */
		if (res == -EOPNOTSUPP && io->kind == DISK_WRITE_ZEROES && !io->state) {
			io->state = 1;
			uring_submit(f, io);
			return;
		}
		io_end(io, res);
		return;
	}
	if (io->kind == DISK_READ || io->kind == DISK_WRITE) {
		io->progress += res;
		if (io->progress < io->length) {
			if (res == 0)
				io_end(io, -EIO); /* the medium ends before the LUN does */
			else
				uring_submit(f, io);
			return;
		}
	}
	io_end(io, 0);
}

static int falloc_mode(const struct disk_io *io)
{
	if (io->kind == DISK_WRITE_ZEROES && !io->state)
		return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
}

static void uring_submit(struct fd_disk *f, struct disk_io *io)
{
	struct io_uring_sqe *sqe = reactor_sqe(io->reactor, &io->op);
	uint64_t left = io->length - io->progress, at = io->offset + io->progress;

	switch (io->kind) {
	case DISK_READ:
		io_uring_prep_read(sqe, f->fd, (char *)io->buf + io->progress, left, at);
		break;
	case DISK_WRITE:
		io_uring_prep_write(sqe, f->fd, (char *)io->buf + io->progress, left, at);
		if (io->fua)
			sqe->rw_flags = RWF_DSYNC;
		break;
	case DISK_FLUSH:
		io_uring_prep_fsync(sqe, f->fd, IORING_FSYNC_DATASYNC);
		break;
	case DISK_DISCARD:
	case DISK_WRITE_ZEROES:
		io_uring_prep_fallocate(sqe, f->fd, falloc_mode(io), io->offset, io->length);
		break;
	}
	io_uring_sqe_set_data(sqe, &io->op);
}

/* tmpfs: see fd_disk.h. There is nothing to flush, and transfers are whole or fail. */
static void memory_transfer(struct fd_disk *f, struct disk_io *io)
{
	while (io->progress < io->length) {
		char *buf = (char *)io->buf + io->progress;
		uint64_t left = io->length - io->progress, at = io->offset + io->progress;
		ssize_t n = io->kind == DISK_READ ? pread(f->fd, buf, left, at) : pwrite(f->fd, buf, left, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			io_end(io, n < 0 ? -errno : -EIO);
			return;
		}
		io->progress += n;
	}
	io_end(io, 0);
}

void fd_disk_submit(struct disk *d, struct disk_io *io)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);

	io->op.done = uring_done;
	io->handler = f;
	io->progress = 0;
	io->state = 0;
	if (f->in_memory && (io->kind == DISK_READ || io->kind == DISK_WRITE))
		memory_transfer(f, io);
	else
		uring_submit(f, io);
}
