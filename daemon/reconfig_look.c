/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before a generation is voted for: could this node serve the logical units that it adds? Where it has their group open, the
 * media are opened and closed again; what `create` would make is not made yet, only the place is looked at. A node that does
 * not own the group can't tell: with DRBD the medium is not to be had here.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "daemon/reconfig.h"
#include "drivers/disk/disk_handlers.h"

struct look {
	struct work work;
	const struct config *next; /* lives as long as the look */
	size_t *lu;		   /* indices of those to be looked at */
	size_t n;
	char why[CONFIG_WHY_MAX];
	void (*done)(void *arg, const char *why);
	void *arg;
};

/* The file does not exist, and is to be made. */
static int look_at_place(const struct config_lu *l, char *why, size_t len)
{
	char *path = strdup(l->disk.path);
	const char *dir = path ? dirname(path) : NULL;
	int rc = dir && access(dir, W_OK | X_OK) == 0 ? 0 : -errno;

	if (rc < 0)
		snprintf(why, len, "LUN %s: %s can't be created: %s: %s; make the directory, or correct path", l->name,
			 l->disk.path, dir ? dir : "", strerror(-rc));
	free(path);
	return rc;
}

static int look_at(const struct config_lu *l, char *why, size_t len)
{
	struct disk_params p = l->disk;
	struct disk *disk = NULL;
	char err[400] = "";
	int rc;

	if (p.path && p.create && access(p.path, F_OK) < 0 && errno == ENOENT)
		return look_at_place(l, why, len);
	p.create = false;
	p.pi_type = PI_NONE; /* looking at an empty file of protection information would begin it */
	if (l->disk.create)
		p.size = 0; /* as found: it would be grown, but not now */
	rc = disk_handler_open(&p, &disk, err, sizeof(err));
	if (rc == 0)
		disk->ops->close(disk);
	else if (l->removable && (rc == -ENOENT || rc == -ENOMEDIUM))
		rc = 0;
	if (rc < 0)
		snprintf(why, len, "LUN %s: %s", l->name, err);
	return rc;
}

static void look_run(struct work *w)
{
	struct look *k = caa_container_of(w, struct look, work);

	for (size_t i = 0; i < k->n; i++)
		if (look_at(&k->next->lu[k->lu[i]], k->why, sizeof(k->why)) < 0)
			return;
}

static void look_done(struct work *w)
{
	struct look *k = caa_container_of(w, struct look, work);

	k->done(k->arg, k->why[0] ? k->why : NULL);
	free(k->lu);
	free(k);
}

static bool open_here(struct daemon *d, const char *group)
{
	const struct ownership *o = ownership_find(d, group);

	return o && o->phase == OWNERSHIP_OPEN;
}

void reconfig_look(struct daemon *d, const struct config *next, void (*done)(void *arg, const char *why), void *arg)
{
	struct look *k = calloc(1, sizeof(*k));

	if (k)
		k->lu = calloc(next->nlus + 1, sizeof(*k->lu));
	if (!k || !k->lu) {
		free(k);
		done(arg, "out of memory");
		return;
	}
	k->next = next;
	k->done = done;
	k->arg = arg;
	for (size_t i = 0; i < next->nlus; i++)
		if (config_find_lu(d->config, next->lu[i].name) < 0 && open_here(d, next->group[next->lu[i].group].name))
			k->lu[k->n++] = i;
	k->work = (struct work){ .run = look_run, .done = look_done };
	worker_queue(&d->worker, &k->work);
}
