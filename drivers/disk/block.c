/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "drivers/disk/disk_handlers.h"
#include "drivers/disk/fd_disk.h"

static int measure(struct fd_disk *f, const struct disk_params *p, char *err, size_t errlen)
{
	struct stat st;
	uint64_t size;
	int sector;

	if (fstat(f->fd, &st) < 0 || !S_ISBLK(st.st_mode)) {
		snprintf(err, errlen, "%s: not a block device; use handler: file for a file", p->path);
		return -EINVAL;
	}
	if (ioctl(f->fd, BLKGETSIZE64, &size) < 0 || ioctl(f->fd, BLKSSZGET, &sector) < 0) {
		snprintf(err, errlen, "%s: cannot be measured: %s", p->path, strerror(errno));
		return -errno;
	}
	if ((unsigned)sector > p->block_size) {
		snprintf(err, errlen, "%s: has blocks of %d bytes; set block_size: %d", p->path, sector, sector);
		return -EINVAL;
	}
	if (p->size > size || size < p->block_size) {
		snprintf(err, errlen, "%s: has %llu bytes, the LUN wants %llu; give it a smaller size or none", p->path,
			 (unsigned long long)size, (unsigned long long)p->size);
		return -EINVAL;
	}
	f->disk.size = p->size ? p->size : size;
	return 0;
}

/* PUNCH_HOLE on a block device is write-zeroes with deallocation allowed, and fails where the
 * device can't: so it is tried by the first UNMAP, and what it leaves behind reads as zeroes. */
static int block_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct fd_disk *f;
	int rc = fd_disk_open(p, &block_disk_ops, p->read_only ? 0 : O_EXCL, &f, err, errlen);

	if (rc < 0)
		return rc;
	rc = measure(f, p, err, errlen);
	if (rc < 0) {
		fd_disk_close(&f->disk);
		return rc;
	}
	f->disk.can_discard = f->disk.discard_zeroes = true;
	*out = &f->disk;
	return 0;
}

/* A device grows where it is made (lvextend, drbdadm resize …); here its size is only looked at. */
static int block_resize(struct disk *d, uint64_t *size)
{
	struct fd_disk *f = caa_container_of(d, struct fd_disk, disk);
	uint64_t wanted = *size;

	if (ioctl(f->fd, BLKGETSIZE64, size) < 0)
		return -errno;
	if (wanted > *size)
		return -EOPNOTSUPP;
	d->size = *size = wanted ? wanted : *size;
	return 0;
}

const struct disk_ops block_disk_ops = {
	.name = "block",
	.open = block_open,
	.close = fd_disk_close,
	.sync = fd_disk_sync,
	.submit = fd_disk_submit,
	.resize = block_resize,
};
