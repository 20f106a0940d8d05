/* SPDX-License-Identifier: BSD-2-Clause */
/* The medium that protection information is kept on: opening, its header, its growth. Worker
 * thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/pi.h"
#include "core/wire.h"
#include "drivers/disk/disk_handlers.h"
#include "drivers/disk/fd_disk.h"
#include "drivers/disk/protected.h"

#define MAGIC "SandemPI"
#define HEADER_VERSION 1

/* Behind the magic. AT_COVERED: bytes of this medium that are in use; what follows may hold
 * anything. */
enum header_field {
	AT_VERSION = 8,
	AT_BLOCK_SIZE = 12,
	AT_COVERED = 16,
	AT_TYPE = 24,
	AT_CRC = 30
};

static uint64_t size_for(uint32_t block_size, uint64_t data_size)
{
	uint64_t bytes = data_size / block_size * PI_LEN;

	return PROTECTED_HEADER + (bytes + 4095) / 4096 * 4096;
}

static struct fd_disk *fd_disk(struct disk *tags)
{
	return caa_container_of(tags, struct fd_disk, disk);
}

/* ---- the header --------------------------------------------------------------------------------
 */

static void header_make(uint8_t *h, const struct disk_params *p)
{
	memset(h, 0, PROTECTED_HEADER);
	memcpy(h, MAGIC, 8);
	put_be32(h + AT_VERSION, HEADER_VERSION);
	put_be32(h + AT_BLOCK_SIZE, p->block_size);
	h[AT_TYPE] = p->pi_type;
}

static int header_check(const uint8_t *h, const struct disk_params *p, char *err, size_t errlen)
{
	if (memcmp(h, MAGIC, 8) || get_be16(h + AT_CRC) != pi_guard(h, AT_CRC)) {
		snprintf(err, errlen,
			 "%s: is not a file of protection information, or its header is damaged; "
			 "put the right one "
			 "there, or an empty one (then blocks read unchecked until they are "
			 "written)",
			 p->pi_path);
		return -EINVAL;
	}
	if (get_be32(h + AT_VERSION) != HEADER_VERSION) {
		snprintf(err, errlen,
			 "%s: was made by another version of sandemd (format %u, this one knows "
			 "%d); use that one",
			 p->pi_path, get_be32(h + AT_VERSION), HEADER_VERSION);
		return -EINVAL;
	}
	if (get_be32(h + AT_BLOCK_SIZE) != p->block_size || h[AT_TYPE] != p->pi_type) {
		snprintf(err, errlen,
			 "%s: holds protection information of type %u for blocks of %u bytes, the "
			 "LUN has type %u and %u "
			 "bytes; set them as they were, or put an empty file there",
			 p->pi_path, h[AT_TYPE], get_be32(h + AT_BLOCK_SIZE), p->pi_type,
			 p->block_size);
		return -EINVAL;
	}
	return 0;
}

static bool is_blank(const uint8_t *h)
{
	return h[0] == 0 && !memcmp(h, h + 1, PROTECTED_HEADER - 1);
}

/* Up to the medium's size. What a device held there before would be taken for protection
 * information: it is zeroed first. Of a file it is a hole anyway. */
static int cover(struct fd_disk *f, uint8_t *h)
{
	uint64_t from = get_be64(h + AT_COVERED);

	if (from >= f->disk.size || f->disk.read_only)
		return 0;
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
		      f->disk.size - from) < 0 ||
	    fsync(f->fd) < 0)
		return -errno;
	put_be64(h + AT_COVERED, f->disk.size);
	put_be16(h + AT_CRC, pi_guard(h, AT_CRC));
	errno = EIO;
	return pwrite(f->fd, h, PROTECTED_HEADER, 0) != PROTECTED_HEADER || fsync(f->fd) < 0
		       ? -errno
		       : 0;
}

/* fresh: the file was empty or missing. */
static int header_open(struct fd_disk *f, const struct disk_params *p, bool fresh, char *err,
		       size_t errlen)
{
	uint8_t h[PROTECTED_HEADER] __attribute__((aligned(4096)));
	ssize_t n = pread(f->fd, h, sizeof(h), 0);
	int rc;

	if (n != sizeof(h)) {
		rc = n < 0 ? -errno : -EIO;
		snprintf(err, errlen, "%s: cannot be read: %s", p->pi_path, strerror(-rc));
		return rc;
	}
	if (!fresh || !is_blank(h)) {
		rc = header_check(h, p, err, errlen);
		if (rc < 0)
			return rc;
	} else if (!p->read_only) {
		header_make(h, p);
		log_notice("%s: new; protection information of type %u for %s is kept here",
			   p->pi_path, p->pi_type, p->path);
	} else {
		snprintf(err, errlen,
			 "%s: is empty, and a read-only LUN can't begin it; leave protection out "
			 "or make the LUN "
			 "writable once",
			 p->pi_path);
		return -EINVAL;
	}
	rc = cover(f, h);
	if (rc < 0)
		snprintf(err, errlen, "%s: cannot be prepared for protection information: %s",
			 p->pi_path, strerror(-rc));
	return rc;
}

/* ---- opening and growing
 * ------------------------------------------------------------------------- */

int protected_tags_open(const struct disk_params *p, uint64_t data_size, struct disk **out,
			char *err, size_t errlen)
{
	struct stat st = { 0 };
	bool missing = stat(p->pi_path, &st) < 0, block = !missing && S_ISBLK(st.st_mode);
	const struct disk_ops *ops = block ? &block_disk_ops : &file_disk_ops;
	struct disk_params tags = { .handler = ops->name,
				    .path = p->pi_path,
				    .size = size_for(p->block_size, data_size),
				    .create = p->create,
				    .read_only = p->read_only,
				    .block_size = 4096 };
	int rc;

	if (missing && !p->create) {
		snprintf(err, errlen,
			 "%s: the protection information of %s is missing; put it back, or make an "
			 "empty file there "
			 "(then blocks read unchecked until they are written)",
			 p->pi_path, p->path);
		return -ENOENT;
	}
	rc = ops->open(&tags, out, err, errlen);
	if (rc < 0)
		return rc;
	rc = header_open(fd_disk(*out), p, block || st.st_size == 0, err, errlen);
	if (rc < 0)
		ops->close(*out);
	return rc;
}

int protected_tags_grow(struct disk *tags, uint32_t block_size, uint64_t data_size)
{
	uint8_t h[PROTECTED_HEADER] __attribute__((aligned(4096)));
	uint64_t want = size_for(block_size, data_size);
	int rc;

	if (want <= tags->size)
		return 0;
	rc = tags->ops->resize(tags, &want);
	if (rc < 0)
		return rc;
	errno = EIO;
	if (pread(fd_disk(tags)->fd, h, sizeof(h), 0) != sizeof(h))
		return -errno;
	return cover(fd_disk(tags), h);
}
