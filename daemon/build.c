/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration → logical units and targets: all of them before the reactors start, single ones later (reconfig_swap.c). */
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
#include "core/rod.h"
#include "core/target.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"

const char *daemon_node_name(const struct daemon *d, uint32_t id)
{
	for (size_t i = 0; i < d->config->nnodes; i++)
		if (d->config->node[i].id == id)
			return d->config->node[i].name;
	return "?";
}

/* ---- logical units ---------------------------------------------------------------------------------- */

uint64_t build_probe(const struct disk_params *p)
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

/* Texts of its own: the configuration that it was built from may go. */
static int copy_disk(struct disk_params *to, const struct disk_params *from)
{
	*to = *from;
	to->path = from->path ? strdup(from->path) : NULL;
	to->fault = from->fault ? strdup(from->fault) : NULL;
	to->key_file = from->key_file ? strdup(from->key_file) : NULL;
	to->pi_path = from->pi_path ? strdup(from->pi_path) : NULL;
	return (from->path && !to->path) || (from->fault && !to->fault) || (from->key_file && !to->key_file) ||
			       (from->pi_path && !to->pi_path) ? -ENOMEM : 0;
}

void build_lu_free(struct lu *lu)
{
	if (!lu)
		return;
	alua_gate_free(lu->gate);
	pr_view_free(lu->resv);
	free((void *)lu->mode);
	free((void *)lu->mode_saved);
	free((char *)lu->disk_params.path);
	free((char *)lu->disk_params.fault);
	free((char *)lu->disk_params.key_file);
	free((char *)lu->disk_params.pi_path);
	lu_free(lu);
}

struct lu *build_lu(struct daemon *d, const struct config *config, const struct config_lu *c)
{
	struct lu *lu = lu_new(&d->core, c->name);
	struct mode_state *mode = calloc(1, sizeof(*mode));

	if (!lu || !mode || copy_disk(&lu->disk_params, &c->disk) < 0) {
		build_lu_free(lu);
		free(mode);
		return NULL;
	}
	snprintf(lu->group, sizeof(lu->group), "%s", config->group[c->group].name);
	lu->id = c->id;
	lu->block_size = c->disk.block_size;
	lu->lb_per_pb_exp = c->lb_per_pb_exp;
	lu->read_only = c->read_only;
	lu->thin = c->thin;
	lu->thin_threshold = c->thin_threshold;
	lu->rotational = c->rotational;
	lu->removable = c->removable;
	lu->cdrom = c->cdrom;
	lu->wipes = !c->cdrom;
	/* A medium that keeps nothing keeps nothing of half a write; of others nobody has promised it. */
	if (strcmp(c->disk.handler, "null") == 0)
		lu->atomic_max_blocks = c->max_transfer_bytes / c->disk.block_size;
	lu->pi_type = c->disk.pi_type;
	lu->pi_ato = lu->pi_type && !c->application_tag_ours;
	lu->max_transfer_bytes = c->max_transfer_bytes;
	if (lu->pi_type && lu->max_transfer_bytes > REACTOR_BUF_MAX / 2) /* room for protection information */
		lu->max_transfer_bytes = REACTOR_BUF_MAX / 2;
	lu_limit_queue(lu, c->queue_limit);
	lu->mode_default = c->mode;
	lu->mode_default.wce = c->write_cache;
	*mode = lu->mode_default;
	lu->mode = mode;
	return lu;
}

static int build_lus(struct daemon *d)
{
	d->core.lu = calloc(2 * LUS_MAX, sizeof(*d->core.lu)); /* all others may come before these go */
	if (!d->core.lu)
		return -ENOMEM;
	for (size_t i = 0; i < d->config->nlus; i++) {
		struct lu *lu = build_lu(d, d->config, &d->config->lu[i]);

		if (!lu)
			return -ENOMEM;
		lu->blocks = build_probe(&lu->disk_params) / lu->block_size;
		core_add_lu(&d->core, lu);
	}
	return 0;
}

/* ---- targets ----------------------------------------------------------------------------------------- */

void build_access_free(const struct target_access *access)
{
	for (uint16_t i = 0; access && i < access->nacls; i++) {
		for (uint16_t k = 0; k < access->acl[i].npatterns; k++)
			free(access->acl[i].pattern[k]);
		free(access->acl[i].pattern);
		free(access->acl[i].lun);
	}
	free((void *)access);
}

static int build_acl(struct initiator_acl *acl, const struct config *config, const struct config_acl *c,
		     struct core *core)
{
	acl->pattern = calloc(c->npatterns + 1, sizeof(*acl->pattern));
	acl->lun = calloc(c->nluns + 1, sizeof(*acl->lun));
	if (!acl->pattern || !acl->lun)
		return -ENOMEM;
	for (size_t i = 0; i < c->npatterns; i++) {
		acl->pattern[i] = strdup(c->pattern[i]);
		if (!acl->pattern[i])
			return -ENOMEM;
		acl->npatterns++;
	}
	for (size_t i = 0; i < c->nluns; i++)
		acl->lun[acl->nluns++] = (struct lun_entry){ .lun = c->lun[i].lun,
							     .lu = core_find_lu(core, config->lu[c->lun[i].lu].name),
							     .read_only = c->lun[i].read_only };
	return 0;
}

const struct target_access *build_access(struct daemon *d, const struct config *config, const struct config_target *c)
{
	size_t n = c ? c->nacls : 0;
	struct target_access *access = calloc(1, sizeof(*access) + n * sizeof(access->acl[0]));

	for (size_t i = 0; access && i < n; i++) {
		access->nacls++;
		if (build_acl(&access->acl[i], config, &c->acl[i], &d->core) < 0) {
			build_access_free(access);
			return NULL;
		}
	}
	return access;
}

static int build_ports(struct target *t, const struct daemon *d, const struct config *c, uint8_t slot)
{
	t->port = calloc(c->nnodes, sizeof(*t->port));
	if (!t->port)
		return -ENOMEM;
	for (size_t i = 0; i < c->nnodes; i++) {
		size_t len = c->node[i].nportals * sizeof(*t->port[i].portal);

		t->port[i] = (struct target_port){ .tpgt = c->node[i].id, .rtpi = config_rtpi(slot, c->node[i].id),
						   .portal = malloc(len) };
		if (!t->port[i].portal)
			return -ENOMEM;
		memcpy(t->port[i].portal, c->node[i].portal, len);
		t->port[i].nportals = c->node[i].nportals;
		t->nports++;
		if (c->node[i].id == d->node)
			t->local_port = i;
	}
	return 0;
}

void build_target_free(struct target *t)
{
	if (!t)
		return;
	for (uint16_t i = 0; i < t->nports; i++)
		free(t->port[i].portal);
	free(t->port);
	build_access_free(t->access);
	free(t);
}

struct target *build_target(struct daemon *d, const struct config *config, const struct config_target *c)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->core = &d->core;
	snprintf(t->name, sizeof(t->name), "%s", c->name);
	t->access = build_access(d, config, c);
	if (t->access && build_ports(t, d, config, c->slot) == 0)
		return t;
	build_target_free(t);
	return NULL;
}

static int build_targets(struct daemon *d)
{
	d->core.target = calloc(2 * TARGETS_MAX, sizeof(*d->core.target));
	if (!d->core.target)
		return -ENOMEM;
	for (size_t i = 0; i < d->config->ntargets; i++) {
		struct target *t = build_target(d, d->config, &d->config->target[i]);

		if (!t)
			return -ENOMEM;
		core_add_target(&d->core, t);
	}
	return 0;
}

static int build_groups(struct daemon *d)
{
	d->ownership = calloc(d->config->ngroups + 1, sizeof(*d->ownership));
	if (!d->ownership)
		return -ENOMEM;
	for (size_t i = 0; i < d->config->ngroups; i++) {
		d->ownership[i] = ownership_new(d, d->config, &d->config->group[i]);
		if (!d->ownership[i])
			return -ENOMEM;
		d->ngroups++;
	}
	return 0;
}

/* Texts of its own, as those of the logical units are. */
static int build_urls(struct daemon *d)
{
	const char *url[NODES_MAX + 1];
	size_t n = config_management_urls(d->config, url);

	d->core.management_url = calloc(n + 1, sizeof(*d->core.management_url));
	if (!d->core.management_url)
		return -ENOMEM;
	for (; d->core.nurls < n; d->core.nurls++) {
		d->core.management_url[d->core.nurls] = strdup(url[d->core.nurls]);
		if (!d->core.management_url[d->core.nurls])
			return -ENOMEM;
	}
	return 0;
}

int build_core(struct daemon *d, char *err, size_t errlen)
{
	int rc = build_lus(d);

	if (!rc)
		rc = build_targets(d);
	if (!rc)
		rc = build_groups(d);
	if (!rc)
		rc = build_urls(d);
	if (rc)
		snprintf(err, errlen, "out of memory for the configured LUNs");
	return rc;
}

void build_free(struct daemon *d)
{
	for (uint32_t i = 0; i < d->ngroups; i++)
		ownership_free(d->ownership[i]);
	free(d->ownership);
	for (size_t i = 0; i < d->gone.nownerships; i++)
		ownership_free(d->gone.ownership[i]);
	free(d->gone.ownership);
	for (uint32_t i = 0; i < d->core.ntargets; i++)
		build_target_free(d->core.target[i]);
	free(d->core.target);
	for (uint32_t i = 0; i < d->core.nurls; i++)
		free(d->core.management_url[i]);
	free(d->core.management_url);
	rods_free(&d->core);
	for (uint32_t i = 0; i < d->core.nlus; i++)
		build_lu_free(d->core.lu[i]);
	free(d->core.lu);
	for (size_t i = 0; i < d->gone.nlus; i++)
		build_lu_free(d->gone.lu[i]);
	for (size_t i = 0; i < d->gone.ntargets; i++)
		build_target_free(d->gone.target[i]);
	free(d->gone.lu);
	free(d->gone.target);
}
