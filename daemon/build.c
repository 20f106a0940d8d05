/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration → logical units and targets. Before the reactors start. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/target.h"
#include "daemon/config.h"
#include "daemon/daemon.h"

const char *daemon_node_name(const struct daemon *d, uint32_t id)
{
	for (size_t i = 0; i < d->config->nnodes; i++)
		if (d->config->node[i].id == id)
			return d->config->node[i].name;
	return "?";
}

/* ---- logical units ---------------------------------------------------------------------------------- */

/* The capacity to report before this node owns the medium (READ CAPACITY is served in standby). Opening a device that
 * another node owns may fail (DRBD secondary): then it stays unknown, 0, until it is opened for good. */
static uint64_t probe_size(const struct disk_params *p)
{
	struct stat st;
	uint64_t size = 0;
	int fd;

	if (p->size || !p->path)
		return p->size;
	if (stat(p->path, &st) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return st.st_size;
	fd = open(p->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		size = 0;
	close(fd);
	return size;
}

static struct lu *build_lu(struct daemon *d, const struct config_lu *c)
{
	struct lu *lu = lu_new(&d->core, c->name);
	struct mode_state *mode = calloc(1, sizeof(*mode));

	if (!lu || !mode) {
		lu_free(lu);
		free(mode);
		return NULL;
	}
	snprintf(lu->group, sizeof(lu->group), "%s", d->config->group[c->group].name);
	lu->id = c->id;
	lu->block_size = c->disk.block_size;
	lu->lb_per_pb_exp = c->lb_per_pb_exp;
	lu->read_only = c->read_only;
	lu->thin = c->thin;
	lu->thin_threshold = c->thin_threshold;
	lu->rotational = c->rotational;
	lu->removable = c->removable;
	lu->cdrom = c->cdrom;
	lu->wipes = d->standalone && !c->cdrom;
	/* A medium that keeps nothing keeps nothing of half a write; of others nobody has promised it. */
	if (strcmp(c->disk.handler, "null") == 0)
		lu->atomic_max_blocks = c->max_transfer_bytes / c->disk.block_size;
	lu->max_transfer_bytes = c->max_transfer_bytes;
	lu->disk_params = c->disk;
	lu->blocks = probe_size(&c->disk) / lu->block_size;
	mode->wce = c->write_cache;
	lu->mode = mode;
	return lu;
}

static int build_lus(struct daemon *d)
{
	d->core.lu = calloc(d->config->nlus + 1, sizeof(*d->core.lu));
	if (!d->core.lu)
		return -ENOMEM;
	for (size_t i = 0; i < d->config->nlus; i++) {
		struct lu *lu = build_lu(d, &d->config->lu[i]);

		if (!lu)
			return -ENOMEM;
		lu->index = d->core.nlus;
		d->core.lu[d->core.nlus++] = lu;
	}
	return 0;
}

/* ---- targets ----------------------------------------------------------------------------------------- */

static int build_ports(struct target *t, const struct daemon *d, size_t index)
{
	const struct config *c = d->config;

	t->port = calloc(c->nnodes, sizeof(*t->port));
	if (!t->port)
		return -ENOMEM;
	for (size_t i = 0; i < c->nnodes; i++) {
		t->port[i] = (struct target_port){ .tpgt = c->node[i].id,
						   .rtpi = config_rtpi(index, c->node[i].id),
						   .nportals = c->node[i].nportals,
						   .portal = c->node[i].portal };
		if (c->node[i].id == d->node)
			t->local_port = i;
	}
	t->nports = c->nnodes;
	return 0;
}

static int build_acl(struct initiator_acl *acl, const struct config_acl *c, const struct core *core)
{
	acl->pattern = c->pattern;
	acl->npatterns = c->npatterns;
	acl->lun = calloc(c->nluns + 1, sizeof(*acl->lun));
	if (!acl->lun)
		return -ENOMEM;
	for (size_t i = 0; i < c->nluns; i++)
		acl->lun[acl->nluns++] = (struct lun_entry){ .lun = c->lun[i].lun,
							     .lu = core->lu[c->lun[i].lu],
							     .read_only = c->lun[i].read_only };
	return 0;
}

static int build_target(struct daemon *d, size_t index)
{
	const struct config_target *c = &d->config->target[index];
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	d->core.target[d->core.ntargets++] = t;
	t->core = &d->core;
	snprintf(t->name, sizeof(t->name), "%s", c->name);
	t->acl = calloc(c->nacls + 1, sizeof(*t->acl));
	if (!t->acl || build_ports(t, d, index) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->nacls; i++)
		if (build_acl(&t->acl[t->nacls++], &c->acl[i], &d->core) < 0)
			return -ENOMEM;
	return 0;
}

static int build_groups(struct daemon *d)
{
	d->ownership = calloc(d->config->ngroups + 1, sizeof(*d->ownership));
	if (!d->ownership)
		return -ENOMEM;
	for (size_t i = 0; i < d->config->ngroups; i++) {
		const struct config_group *g = &d->config->group[i];

		if (ownership_init(&d->ownership[d->ngroups++], d, g) < 0)
			return -ENOMEM;
	}
	return 0;
}

int build_core(struct daemon *d, char *err, size_t errlen)
{
	int rc = build_lus(d);

	d->core.target = calloc(d->config->ntargets + 1, sizeof(*d->core.target));
	if (!rc && !d->core.target)
		rc = -ENOMEM;
	for (size_t i = 0; i < d->config->ntargets && !rc; i++)
		rc = build_target(d, i);
	if (!rc)
		rc = build_groups(d);
	if (rc)
		snprintf(err, errlen, "out of memory for the configured LUNs");
	return rc;
}

void build_free(struct daemon *d)
{
	for (uint32_t i = 0; i < d->ngroups; i++)
		ownership_fini(&d->ownership[i]);
	free(d->ownership);
	for (uint32_t i = 0; i < d->core.ntargets; i++) {
		struct target *t = d->core.target[i];

		for (uint16_t a = 0; a < t->nacls; a++)
			free(t->acl[a].lun);
		free(t->acl);
		free(t->port);
		free(t);
	}
	free(d->core.target);
	for (uint32_t i = 0; i < d->core.nlus; i++) {
		struct lu *lu = d->core.lu[i];

		alua_gate_free(lu->gate);
		free((void *)lu->resv);
		free((void *)lu->mode);
		lu_free(lu);
	}
	free(d->core.lu);
}
