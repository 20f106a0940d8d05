/* SPDX-License-Identifier: BSD-2-Clause */
/* --standalone: a configuration from the command line, in the shape that a file would give. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cdrom.h"
#include "daemon/config/config.h"
#include "daemon/config/raw.h"
#include "daemon/config/value.h"
#include "daemon/options.h"

static bool is_block_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

static char *absolute(const char *path)
{
	char cwd[PATH_MAX], *out = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (!getcwd(cwd, sizeof(cwd)) || asprintf(&out, "%s/%s", cwd, path) < 0)
		return NULL;
	return out;
}

static int no_lun(const struct option_lun *o, struct config_error *err, const char *what)
{
	return config_fail(NULL, err, "", "--lun %s: %s", o->path, what);
}

static int make_lu(const struct option_lun *o, size_t i, struct config_lu *l, struct config_error *err)
{
	bool block = !o->null && is_block_device(o->path);

	if (asprintf(&l->name, "lun%zu", i) < 0) {
		l->name = NULL;
		return config_no_memory(err);
	}
	if (!o->null && !(l->disk.path = absolute(o->path)))
		return config_no_memory(err);
	if (o->cdrom && (o->null || o->size || o->thin))
		return no_lun(o, err, "is a CD-ROM, which has its image's size; leave size, null and thin out");
	if (!o->null && !o->size && !o->removable && !o->cdrom && access(o->path, F_OK) < 0)
		return no_lun(o, err, "does not exist, and a size to create it with is not given; add e.g. ,size=10G");
	l->disk.handler = o->null ? "null" : block ? "block" : "file";
	l->disk.size = o->size;
	l->disk.create = !o->null && !block && o->size;
	l->disk.direct = o->direct || block;
	l->disk.read_only = l->read_only = o->ro || o->cdrom;
	l->disk.block_size = o->cdrom ? CDROM_BLOCK : o->block_size ? o->block_size : BLOCK_SIZE_DEFAULT;
	if (o->fault && !(l->disk.fault = strdup(o->fault)))
		return config_no_memory(err);
	if (o->key && (o->null || o->cdrom))
		return no_lun(o, err, "can't be encrypted; leave key out");
	if (o->key && !(l->disk.key_file = absolute(o->key)))
		return config_no_memory(err);
	if (o->protection && (o->null || o->cdrom || block))
		return no_lun(o, err, "protection information is kept beside a file; leave protection out, or "
			      "write a configuration file that names a path for it");
	if (o->protection && o->key)
		return no_lun(o, err, "protection information would tell a checksum of what is encrypted; leave protection "
				      "or key out");
	l->disk.pi_type = o->protection;
	l->application_tag_ours = o->target_tags;
	if (o->protection && config_protection_path(l, NULL) < 0)
		return config_no_memory(err);
	if (o->physical_block_exp >= 0)
		l->lb_per_pb_exp = o->physical_block_exp;
	else if (l->disk.block_size == BLOCK_SIZE_DEFAULT)
		l->lb_per_pb_exp = PHYSICAL_BLOCK_EXP_DEFAULT;
	l->thin = o->thin;
	l->removable = o->removable || o->cdrom;
	l->cdrom = o->cdrom;
	l->thin_threshold = o->thin_threshold;
	l->write_cache = true;
	l->mode = config_mode_default;
	l->max_transfer_bytes = MAX_TRANSFER_DEFAULT;
	strcpy(l->id.vendor, VENDOR_DEFAULT);
	strcpy(l->id.product, PRODUCT_DEFAULT);
	strcpy(l->id.revision, REVISION_DEFAULT);
	/* Named by its path: another medium at the same LUN is another disk to the initiator. A null LUN has none. */
	config_identity(&l->id, STANDALONE_NODE, l->disk.path ? l->disk.path : l->name);
	return 0;
}

/* Open to the network only on purpose. */
static int make_node(const struct options *o, struct config_node *n, struct config_error *err)
{
	n->id = 1;
	n->name = strdup(STANDALONE_NODE);
	n->portal = calloc(1, sizeof(*n->portal));
	if (!n->name || !n->portal)
		return config_no_memory(err);
	n->nportals = 1;
	if (value_portal(o->portal, n->portal) < 0)
		return config_fail(NULL, err, "", "--portal: \"%s\" is not a portal", o->portal);
	if (value_portal_is_wildcard(n->portal))
		return config_fail(NULL, err, "", "--portal %s: stands for every address, which initiators can't be "
				   "told; give the one that they shall connect to", o->portal);
	if (!value_portal_is_loopback(n->portal) && !o->insecure_open && !o->ninitiators)
		return config_fail(NULL, err, "", "--portal %s: every host that reaches this address could use the LUNs; "
				   "name those who may with --initiator PATTERN, or add --insecure-open", o->portal);
	return 0;
}

static int make_target(const struct options *o, struct config_target *t, struct config_error *err)
{
	struct config_acl *a = t->acl = calloc(1, sizeof(*t->acl));

	t->name = strdup(STANDALONE_TARGET);
	if (!a || !t->name)
		return config_no_memory(err);
	t->nacls = 1;
	a->npatterns = o->ninitiators ? o->ninitiators : 1;
	a->pattern = calloc(a->npatterns, sizeof(*a->pattern));
	a->lun = calloc(o->nluns + 1, sizeof(*a->lun));
	if (!a->pattern || !a->lun)
		return config_no_memory(err);
	for (size_t i = 0; i < a->npatterns; i++) {
		a->pattern[i] = strdup(o->ninitiators ? o->initiator[i] : "*");
		if (!a->pattern[i])
			return config_no_memory(err);
		value_lower(a->pattern[i]);
	}
	for (; a->nluns < o->nluns; a->nluns++)
		a->lun[a->nluns] = (struct config_lun){ .lun = a->nluns, .lu = a->nluns };
	return 0;
}

static int allocate(const struct options *o, struct config *c)
{
	c->nnodes = c->ngroups = c->ntargets = 1;
	c->nlus = o->nluns;
	c->nreactors = o->reactors;
	c->cluster = strdup(STANDALONE_NODE);
	c->node = calloc(1, sizeof(*c->node));
	c->group = calloc(1, sizeof(*c->group));
	c->target = calloc(1, sizeof(*c->target));
	c->lu = calloc(o->nluns + 1, sizeof(*c->lu));
	c->reactor_cpu = calloc(o->reactors + 1, sizeof(*c->reactor_cpu));
	if (!c->cluster || !c->node || !c->group || !c->target || !c->lu || !c->reactor_cpu)
		return -ENOMEM;
	c->group->name = strdup(STANDALONE_GROUP);
	return c->group->name ? 0 : -ENOMEM;
}

static int make(const struct options *o, struct config *c, struct config_error *err)
{
	int rc;

	if (allocate(o, c) < 0)
		return config_no_memory(err);
	c->log = CONFIG_LOG_LOCAL;
	c->log_level = LOG_LEVEL_DEFAULT;
	c->group->hold_limit_ms = HOLD_LIMIT_MS_DEFAULT;
	c->group->preferred = -1;
	for (unsigned i = 0; i < c->nreactors; i++)
		c->reactor_cpu[i] = -1;
	c->iscsi = o->iscsi;
	rc = make_node(o, c->node, err);
	for (size_t i = 0; i < o->nluns && rc == 0; i++)
		rc = make_lu(&o->lun[i], i, &c->lu[i], err);
	if (rc == 0)
		rc = make_target(o, c->target, err);
	return rc < 0 ? rc : config_verify(c, err);
}

int config_standalone(const struct options *o, struct config **out, struct config_error *err)
{
	struct config *c = calloc(1, sizeof(*c));
	int rc;

	memset(err, 0, sizeof(*err));
	rc = c ? make(o, c, err) : config_no_memory(err);
	if (rc < 0)
		config_free(c);
	else
		*out = c;
	return rc;
}
