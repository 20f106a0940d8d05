/* SPDX-License-Identifier: BSD-2-Clause */
/* What the objects of a configuration must be to each other. Pure. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/names.h"
#include "daemon/config/raw.h"
#include "daemon/config/value.h"

struct verify {
	const struct config *c;
	struct config_error *err;
	char path[160];
};

#define AT(v, ...) snprintf((v)->path, sizeof((v)->path), __VA_ARGS__)
#define FAIL(v, ...) config_fail(NULL, (v)->err, (v)->path, __VA_ARGS__)

/* Names of nodes, groups, LUNs and the cluster: they go into logs, file names, store keys and crm commands. */
static const char *name_error(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > LU_NAME_MAX)
		return "is not 1 to 63 characters long";
	if (name[0] == '-' || name[0] == '.')
		return "begins with '-' or '.'; begin with a letter or digit";
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != len)
		return "has a character other than letters, digits, '-', '_' and '.'";
	return NULL;
}

static int verify_name(struct verify *v, const char *name)
{
	const char *what = name_error(name);

	return what ? FAIL(v, "\"%s\" %s", name, what) : 0;
}

/* Unique texts: get(c, i) may be NULL (nothing to compare). key: path of the i-th with %zu. */
typedef const char *(*get_fn)(const struct config *c, size_t i, char *buf, size_t size);

static int verify_unique(struct verify *v, const char *list, const char *key, size_t n, get_fn get, const char *why)
{
	struct names *names = names_new(n);
	char (*buf)[80] = calloc(n + 1, sizeof(*buf));
	size_t first, *index = calloc(n + 1, sizeof(*index)), added = 0;
	int again = -1, rc = 0;

	if (names && buf && index) {
		for (size_t i = 0; i < n; i++) {
			const char *text = get(v->c, i, buf[i], sizeof(buf[i]));

			if (!text)
				continue;
			index[added++] = i;
			names_add(names, text);
		}
		again = names_twice(names, &first);
	} else {
		rc = config_no_memory(v->err);
	}
	if (again >= 0) {
		AT(v, "%s[%zu].%s", list, index[again], key);
		rc = FAIL(v, "\"%s\" is that of %s[%zu] too; %s", names_words(names)[again], list, index[first], why);
	}
	names_free(names);
	free(index);
	free(buf);
	return rc;
}

static const char *node_name(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->node[i].name;
}

static const char *node_id(const struct config *c, size_t i, char *buf, size_t size)
{
	snprintf(buf, size, "%u", c->node[i].id);
	return buf;
}

static const char *group_name(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->group[i].name;
}

static const char *lu_name(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->lu[i].name;
}

static const char *lu_path(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->lu[i].disk.path;
}

static const char *lu_pi_path(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->lu[i].disk.pi_path;
}

static const char *lu_serial(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->lu[i].id.serial;
}

static const char *lu_naa(const struct config *c, size_t i, char *buf, size_t size)
{
	const struct lu_identity *id = &c->lu[i].id;

	(void)size;
	for (size_t j = 0; j < id->naa_len; j++)
		sprintf(buf + 2 * j, "%02x", id->naa[j]);
	return buf;
}

static const char *target_name(const struct config *c, size_t i, char *buf, size_t size)
{
	(void)buf, (void)size;
	return c->target[i].name;
}

/* ---- nodes ---- */

static bool same_address(const struct portal *a, const struct portal *b)
{
	return a->port == b->port && !strcmp(a->addr, b->addr);
}

static int verify_link(struct verify *v, size_t i)
{
	const struct portal *p = &v->c->node[i].link;

	AT(v, "nodes[%zu].link", i);
	if (value_portal_is_wildcard(p))
		return FAIL(v, "%s is no address that other nodes could reach; write the node's own address", p->addr);
	for (size_t n = 0; n < v->c->nnodes; n++) {
		const struct config_node *other = &v->c->node[n];

		if (n < i && same_address(p, &other->link))
			return FAIL(v, "%s port %u is nodes[%zu].link too; each node has its own", p->addr, p->port, n);
		for (size_t k = 0; k < other->nportals; k++)
			if (same_address(p, &other->portal[k]))
				return FAIL(v, "%s port %u is nodes[%zu].portals[%zu] too; initiators and nodes can't share a port",
					    p->addr, p->port, n, k);
	}
	return 0;
}

static int verify_portal(struct verify *v, size_t i, size_t j)
{
	const struct portal *p = &v->c->node[i].portal[j];

	AT(v, "nodes[%zu].portals[%zu]", i, j);
	if (value_portal_is_wildcard(p))
		return FAIL(v, "%s stands for every address, which initiators can't be told; list the addresses "
			       "that they shall connect to", p->addr);
	for (size_t n = 0; n <= i; n++) {
		const struct config_node *other = &v->c->node[n];

		for (size_t k = 0; k < (n == i ? j : other->nportals); k++)
			if (other->portal[k].port == p->port && !strcmp(other->portal[k].addr, p->addr))
				return FAIL(v, "%s port %u is nodes[%zu].portals[%zu] too; a portal belongs to one node",
					    p->addr, p->port, n, k);
	}
	return 0;
}

static int verify_nodes(struct verify *v)
{
	for (size_t i = 0; i < v->c->nnodes; i++) {
		const struct config_node *n = &v->c->node[i];

		AT(v, "nodes[%zu].name", i);
		if (verify_name(v, n->name) < 0)
			return -EINVAL;
		AT(v, "nodes[%zu].id", i);
		if (n->id < NODE_ID_MIN || n->id > NODE_ID_MAX)
			return FAIL(v, "%u is not a node id; use corosync's nodeid, %d to %d", n->id, NODE_ID_MIN, NODE_ID_MAX);
		for (size_t j = 0; j < n->nportals; j++)
			if (verify_portal(v, i, j) < 0)
				return -EINVAL;
	}
	if (verify_unique(v, "nodes", "name", v->c->nnodes, node_name, "node names must differ") < 0)
		return -EINVAL;
	if (verify_unique(v, "nodes", "id", v->c->nnodes, node_id, "node ids must differ") < 0)
		return -EINVAL;
	for (size_t i = 0; i < v->c->nnodes && config_forwards(v->c); i++)
		if (verify_link(v, i) < 0)
			return -EINVAL;
	return 0;
}

/* ---- groups, logical units ---- */

static int verify_groups(struct verify *v)
{
	for (size_t i = 0; i < v->c->ngroups; i++) {
		AT(v, "groups[%zu].name", i);
		if (verify_name(v, v->c->group[i].name) < 0)
			return -EINVAL;
	}
	return verify_unique(v, "groups", "name", v->c->ngroups, group_name, "group names must differ");
}

static int verify_lu(struct verify *v, size_t i)
{
	const struct config_lu *l = &v->c->lu[i];

	AT(v, "luns[%zu].name", i);
	if (verify_name(v, l->name) < 0)
		return -EINVAL;
	AT(v, "luns[%zu].path", i);
	if (l->disk.path && l->disk.path[0] != '/')
		return FAIL(v, "\"%s\" is not an absolute path; begin with /", l->disk.path);
	AT(v, "luns[%zu].protection.path", i);
	if (l->disk.pi_path && l->disk.pi_path[0] != '/')
		return FAIL(v, "\"%s\" is not an absolute path; begin with /", l->disk.pi_path);
	if (l->disk.pi_path && !strcmp(l->disk.pi_path, l->disk.path)) /* of other LUNs: each is opened exclusively */
		return FAIL(v, "\"%s\" is the LUN's own medium; name another file or device", l->disk.pi_path);
	AT(v, "luns[%zu].size", i);
	if (l->disk.size && (l->disk.size < LU_SIZE_MIN || l->disk.size > LU_SIZE_MAX))
		return FAIL(v, "%llu bytes are out of bounds; use 64K to 1024P", (unsigned long long)l->disk.size);
	if (l->disk.size % l->disk.block_size)
		return FAIL(v, "%llu bytes are not a multiple of the block size of %u", (unsigned long long)l->disk.size,
			    l->disk.block_size);
	return 0;
}

static int verify_lus(struct verify *v)
{
	const struct config *c = v->c;

	for (size_t i = 0; i < c->nlus; i++)
		if (verify_lu(v, i) < 0)
			return -EINVAL;
	if (verify_unique(v, "luns", "name", c->nlus, lu_name, "LUN names must differ") < 0 ||
	    verify_unique(v, "luns", "path", c->nlus, lu_path, "two LUNs on one medium would destroy each other's data") < 0 ||
	    verify_unique(v, "luns", "protection.path", c->nlus, lu_pi_path,
			  "each LUN has protection information of its own") < 0 ||
	    verify_unique(v, "luns", "serial", c->nlus, lu_serial, "initiators would take both for one disk") < 0)
		return -EINVAL;
	return verify_unique(v, "luns", "naa", c->nlus, lu_naa, "initiators would take both for one disk");
}

/* ---- targets ---- */

static int verify_pattern(struct verify *v, const char *pattern)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.:*?[]!^\\";

	if (!pattern[0] || strlen(pattern) > IQN_MAX)
		return FAIL(v, "is not 1 to %d characters long", IQN_MAX);
	if (strspn(pattern, allowed) != strlen(pattern))
		return FAIL(v, "\"%s\" can't match any initiator name; use letters, digits, '-', '.', ':' and the "
			       "wildcards * ? [...]", pattern);
	return 0;
}

static int verify_acl(struct verify *v, size_t t, size_t a)
{
	const struct config_acl *acl = &v->c->target[t].acl[a];
	uint8_t used[(LUN_MAX + 8) / 8] = { 0 };

	for (size_t i = 0; i < acl->npatterns; i++) {
		AT(v, "targets[%zu].acls[%zu].initiators[%zu]", t, a, i);
		if (verify_pattern(v, acl->pattern[i]) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < acl->nluns; i++) {
		unsigned lun = acl->lun[i].lun;

		AT(v, "targets[%zu].acls[%zu].luns[%zu].lun", t, a, i);
		if (lun > LUN_MAX)
			return FAIL(v, "%u is too large; use 0 to %d (SAM-5 4.7.7)", lun, LUN_MAX);
		if (used[lun / 8] & 1 << lun % 8)
			return FAIL(v, "LUN %u is there twice in this list; give each entry a number of its own", lun);
		used[lun / 8] |= 1 << lun % 8;
	}
	return 0;
}

static int verify_targets(struct verify *v)
{
	for (size_t t = 0; t < v->c->ntargets; t++) {
		const struct config_target *target = &v->c->target[t];
		const char *what = value_iscsi_name_error(target->name);

		AT(v, "targets[%zu].name", t);
		if (what)
			return FAIL(v, "\"%.230s\" %s", target->name, what);
		for (size_t a = 0; a < target->nacls; a++)
			if (verify_acl(v, t, a) < 0)
				return -EINVAL;
	}
	return verify_unique(v, "targets", "name", v->c->ntargets, target_name, "target names must differ");
}

/* ---- the rest ---- */

static int verify_daemon(struct verify *v)
{
	const struct config *c = v->c;

	for (unsigned i = 0; i < c->nreactors; i++)
		for (unsigned j = 0; j < i; j++) {
			AT(v, "daemon.cpus[%u]", i);
			if (c->reactor_cpu[i] >= 0 && c->reactor_cpu[i] == c->reactor_cpu[j])
				return FAIL(v, "CPU %d is there twice; one reactor per CPU", c->reactor_cpu[i]);
		}
	AT(v, "iscsi.first_burst");
	if (c->iscsi.first_burst > c->iscsi.max_burst)
		return FAIL(v, "%u is more than max_burst, %u (RFC 7143 13.14)", c->iscsi.first_burst, c->iscsi.max_burst);
	return 0;
}

int config_verify(const struct config *c, struct config_error *err)
{
	static int (*const steps[])(struct verify *) = { verify_nodes, verify_groups, verify_lus, verify_targets,
							 verify_daemon };
	struct verify v = { .c = c, .err = err };
	int rc;

	AT(&v, "cluster.name");
	rc = verify_name(&v, c->cluster);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
		rc = steps[i](&v);
	return rc;
}
