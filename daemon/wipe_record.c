/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/wipe_record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/lu.h"
#include "core/wipe.h"
#include "daemon/daemon.h"

/* First line of a record: its version, then what it says. */
#define FORMAT "sandem-wipe 1 kind %d exit %d\n"

static void path_of(char *path, size_t size, const char *dir, const struct lu *lu, const char *suffix)
{
	snprintf(path, size, "%s/%s.wipe%s", dir, lu->name, suffix);
}

static int sync_directory(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int write_file(const char *path, const struct wipe_record *r)
{
	char text[64];
	int n = snprintf(text, sizeof(text), FORMAT, r->kind, r->may_exit);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, text, n) != n || fsync(fd) < 0 ? -(errno ? errno : EIO) : 0;
	close(fd);
	return rc;
}

static int replace(const char *dir, const struct lu *lu, const struct wipe_record *r)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int rc;

	path_of(path, sizeof(path), dir, lu, "");
	path_of(fresh, sizeof(fresh), dir, lu, ".new");
	rc = write_file(fresh, r);
	if (rc == 0 && rename(fresh, path) < 0)
		rc = -errno;
	return rc ? rc : sync_directory(dir);
}

static int drop(const char *dir, const struct lu *lu)
{
	char path[PATH_MAX];

	path_of(path, sizeof(path), dir, lu, "");
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return sync_directory(dir);
}

/* Control thread. A small file twice per operation: not worth a trip to the worker. */
static int keep(void *arg, const struct lu *lu, const struct wipe_record *r)
{
	const char *dir = arg;
	int rc = r ? replace(dir, lu, r) : drop(dir, lu);

	if (rc < 0)
		log_error("LUN %s: %s/%s.wipe cannot be %s: %s; check the state directory", lu->name, dir, lu->name,
			  r ? "written, so the operation does not begin" : "removed, so the LUN is locked after a restart",
			  strerror(-rc));
	return rc;
}

/* 1: there is a record. */
static int find(const char *dir, const struct lu *lu, struct wipe_record *r)
{
	char path[PATH_MAX];
	int kind, may_exit, n;
	FILE *f;

	path_of(path, sizeof(path), dir, lu, "");
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	n = fscanf(f, FORMAT, &kind, &may_exit);
	fclose(f);
	if (n != 2 || (kind != WIPE_SANITIZE && kind != WIPE_FORMAT))
		return -EBADMSG;
	*r = (struct wipe_record){ .kind = kind, .may_exit = may_exit };
	return 1;
}

int wipe_record_init(struct daemon *d, const char *dir, char *err, unsigned long errlen)
{
	d->core.wipe_keep.fn = keep;
	d->core.wipe_keep.arg = (void *)dir;
	for (uint32_t i = 0; i < d->core.nlus; i++) {
		struct wipe_record r;
		int rc = find(dir, d->core.lu[i], &r);

		if (rc > 0)
			rc = wipe_restore(d->core.lu[i], &r);
		if (rc < 0) {
			snprintf(err, errlen, "%s/%s.wipe: %s; it tells of a SANITIZE or FORMAT UNIT that was cut short; "
					      "remove it to serve the LUN as it is", dir, d->core.lu[i]->name, strerror(-rc));
			return rc;
		}
	}
	return 0;
}
