/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "drivers/disk/disk_handlers.h"
#include "drivers/disk/fd_disk.h"

/* A missing or shorter file is grown, sparse, to the size the configuration names; never cut. */
static int measure(struct fd_disk *f, const struct disk_params *p, char *err, size_t errlen)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		goto failed;
	if (!S_ISREG(st.st_mode)) {
		snprintf(err, errlen, "%s: not a regular file; use handler: block for a block device", p->path);
		return -EINVAL;
	}
	if (p->size > (uint64_t)st.st_size && !p->read_only) {
		if (ftruncate(f->fd, p->size) < 0 || fsync(f->fd) < 0)
			goto failed;
		st.st_size = p->size;
	}
	f->disk.size = p->size ? p->size : (uint64_t)st.st_size;
	if (f->disk.size > (uint64_t)st.st_size || f->disk.size < p->block_size) {
		snprintf(err, errlen, "%s: has %llu bytes, too few for the LUN; give the LUN a size or grow the file",
			 p->path, (unsigned long long)st.st_size);
		return -EINVAL;
	}
	f->disk.discard_granularity = st.st_blksize;
	return 0;

failed:
	snprintf(err, errlen, "%s: cannot size the file: %s", p->path, strerror(errno));
	return -errno;
}

static int file_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct fd_disk *f;
	int rc = fd_disk_open(p, &file_disk_ops, p->create && !p->read_only ? O_CREAT : 0, &f, err, errlen);

	if (rc < 0)
		return rc;
	rc = measure(f, p, err, errlen);
	if (rc < 0) {
		fd_disk_close(&f->disk);
		return rc;
	}
	f->disk.can_discard = f->disk.discard_zeroes = true; /* a punched hole */
	*out = &f->disk;
	return 0;
}

static int file_resize(struct disk *d, uint64_t *size)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (*size > (uint64_t)st.st_size) {
		if (ftruncate(f->fd, *size) < 0 || fsync(f->fd) < 0)
			return -errno;
		st.st_size = *size;
	}
	d->size = *size = *size ? *size : (uint64_t)st.st_size;
	return 0;
}

static int file_usage(struct disk *d, uint64_t *used, uint64_t *available)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);
	struct statvfs fs;
	struct stat st;

	if (fstat(f->fd, &st) < 0 || fstatvfs(f->fd, &fs) < 0)
		return -errno;
	*used = (uint64_t)st.st_blocks * 512;
	*available = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

const struct disk_ops file_disk_ops = {
	.name = "file",
	.open = file_open,
	.close = fd_disk_close,
	.sync = fd_disk_sync,
	.submit = fd_disk_submit,
	.resize = file_resize,
	.map = fd_disk_map,
	.usage = file_usage,
};
