/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config/diff.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- predicates ------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_portal(const struct portal *a, const struct portal *b)
{
	return a->port == b->port && !strcmp(a->addr, b->addr);
}

static bool same_addresses(const struct config_node *a, const struct config_node *b)
{
	bool same = a->nportals == b->nportals && same_portal(&a->link, &b->link);

	for (uint16_t i = 0; same && i < a->nportals; i++)
		same = same_portal(&a->portal[i], &b->portal[i]);
	return same;
}

static bool same_nodes(const struct config *a, const struct config *b)
{
	bool same = a->nnodes == b->nnodes;

	for (size_t i = 0; same && i < a->nnodes; i++)
		same = !strcmp(a->node[i].name, b->node[i].name) && a->node[i].id == b->node[i].id;
	return same;
}

static bool same_portals(const struct config *a, const struct config *b)
{
	bool same = true;

	for (size_t i = 0; same && i < a->nnodes; i++)
		same = same_addresses(&a->node[i], &b->node[i]);
	return same;
}

static bool same_urls(const struct config *a, const struct config *b)
{
	const char *x[NODES_MAX + 1], *y[NODES_MAX + 1];
	size_t n = config_management_urls(a, x);
	bool same = n == config_management_urls(b, y);

	for (size_t i = 0; same && i < n; i++)
		same = !strcmp(x[i], y[i]);
	return same;
}

int config_find_group(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->ngroups; i++)
		if (!strcmp(c->group[i].name, name))
			return i;
	return -1;
}

int config_find_target(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->ntargets; i++)
		if (!strcmp(c->target[i].name, name))
			return i;
	return -1;
}

static bool same_acl(const struct config *a, const struct config_acl *x, const struct config *b,
		     const struct config_acl *y)
{
	bool same = x->npatterns == y->npatterns && x->nluns == y->nluns;

	for (size_t i = 0; same && i < x->npatterns; i++)
		same = !strcmp(x->pattern[i], y->pattern[i]);
	for (size_t i = 0; same && i < x->nluns; i++)
		same = x->lun[i].lun == y->lun[i].lun && x->lun[i].read_only == y->lun[i].read_only &&
		       !strcmp(a->lu[x->lun[i].lu].name, b->lu[y->lun[i].lu].name);
	return same;
}

bool config_same_access(const struct config *a, const struct config_target *s, const struct config *b,
			const struct config_target *t)
{
	bool same = s->nacls == t->nacls;

	for (size_t i = 0; same && i < s->nacls; i++)
		same = same_acl(a, &s->acl[i], b, &t->acl[i]);
	return same;
}

/* ---- the list ----------------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static void add(struct config_diff *d, enum config_change_kind kind,
						      const char *name, const char *fmt, ...)
{
	struct config_change *c;
	va_list ap;

	if (d->n == d->cap) {
		c = reallocarray(d->change, d->cap ? 2 * d->cap : 16, sizeof(*c));
		if (!c) {
			d->err = -ENOMEM;
			return;
		}
		d->change = c;
		d->cap = d->cap ? 2 * d->cap : 16;
	}
	c = &d->change[d->n++];
	*c = (struct config_change){ .kind = kind, .name = name };
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
	d->nrefused += kind == CONFIG_REFUSED;
}

#define RESTART "can't change while the cluster runs; edit sandem.yaml alike on every node, then restart sandemd on all"
#define ROLLING \
	"can't change while sandemd runs; edit sandem.yaml alike on every node, then restart one node after the other"

static void diff_fixed(struct config_diff *d, const struct config *a, const struct config *b, bool groups)
{
	const char *how = groups ? ROLLING : RESTART;

	if (strcmp(a->cluster, b->cluster) || a->log != b->log || a->link_tls != b->link_tls ||
	    a->explicit_alua != b->explicit_alua)
		add(d, CONFIG_REFUSED, NULL, "cluster: name, log, link_tls and explicit_alua " RESTART);
	if (!same_urls(a, b))
		add(d, CONFIG_REFUSED, NULL, "management_url: of the cluster and the nodes " RESTART);
	if (!same_nodes(a, b))
		add(d, CONFIG_REFUSED, NULL, "nodes: names and ids " RESTART);
	else if (!same_portals(a, b))
		add(d, CONFIG_REFUSED, NULL, "nodes: portals and links %s", how);
	if (memcmp(&a->iscsi, &b->iscsi, sizeof(a->iscsi)))
		add(d, CONFIG_REFUSED, NULL, "iscsi: the settings %s", how);
}

static const char *node_at(const struct config *c, int i)
{
	return i < 0 ? "none" : c->node[i].name;
}

static const char *non_owner_word(enum config_non_owner n)
{
	return n == NON_OWNER_FORWARD ? "forward" : "standby";
}

static void diff_non_owner(struct config_diff *d, const struct config_group *x, const struct config_group *y,
			   bool groups)
{
	if (x->non_owner == y->non_owner)
		return;
	if (groups)
		add(d, CONFIG_GROUP_CHANGED, y->name, "non_owner %s -> %s", non_owner_word(x->non_owner),
		    non_owner_word(y->non_owner));
	else
		add(d, CONFIG_REFUSED, NULL, "group %s: non_owner " RESTART, y->name);
}

static void diff_group(struct config_diff *d, const struct config *a, const struct config_group *x,
		       const struct config *b, const struct config_group *y)
{
	if (x->hold_limit_ms != y->hold_limit_ms)
		add(d, CONFIG_GROUP_CHANGED, y->name, "hold_limit %ums -> %ums", x->hold_limit_ms, y->hold_limit_ms);
	if (strcmp(node_at(a, x->preferred), node_at(b, y->preferred)))
		add(d, CONFIG_GROUP_CHANGED, y->name, "preferred %s -> %s", node_at(a, x->preferred),
		    node_at(b, y->preferred));
}

static const struct config_lu *first_in_group(const struct config *c, size_t group)
{
	for (size_t i = 0; i < c->nlus; i++)
		if (c->lu[i].group == group)
			return &c->lu[i];
	return NULL;
}

static void group_goes(struct config_diff *d, const struct config *a, size_t i, bool groups)
{
	const struct config_lu *l = first_in_group(a, i);

	if (!groups)
		add(d, CONFIG_REFUSED, NULL, "group %s: groups " RESTART, a->group[i].name);
	else if (l)
		add(d, CONFIG_REFUSED, NULL, "group %s: LUN %s is in it; apply the configuration without its LUNs first, "
		    "then without the group", a->group[i].name, l->name);
	else
		add(d, CONFIG_GROUP_REMOVED, a->group[i].name, "without LUNs");
}

static void diff_groups(struct config_diff *d, const struct config *a, const struct config *b, bool groups)
{
	for (size_t i = 0; i < a->ngroups; i++)
		if (config_find_group(b, a->group[i].name) < 0)
			group_goes(d, a, i, groups);
	for (size_t i = 0; i < b->ngroups; i++) {
		const struct config_group *y = &b->group[i];
		int was = config_find_group(a, y->name);

		if (was >= 0) {
			diff_non_owner(d, &a->group[was], y, groups);
			diff_group(d, a, &a->group[was], b, y);
		} else if (groups) {
			add(d, CONFIG_GROUP_ADDED, y->name, "non_owner %s", non_owner_word(y->non_owner));
		} else {
			add(d, CONFIG_REFUSED, NULL, "group %s: groups " RESTART, y->name);
		}
	}
}

/* The first key of a LUN that differs and is built into it; NULL: none. */
static const char *rebuilt_key(const struct config *a, const struct config_lu *x, const struct config *b,
			       const struct config_lu *y)
{
	const struct {
		const char *key;
		bool same;
	} keys[] = {
		{ "group", !strcmp(a->group[x->group].name, b->group[y->group].name) },
		{ "handler", !strcmp(x->disk.handler, y->disk.handler) },
		{ "path", same_text(x->disk.path, y->disk.path) },
		{ "key_file", same_text(x->disk.key_file, y->disk.key_file) },
		{ "fault", same_text(x->disk.fault, y->disk.fault) },
		{ "protection", x->disk.pi_type == y->disk.pi_type && same_text(x->disk.pi_path, y->disk.pi_path) &&
					x->application_tag_ours == y->application_tag_ours },
		{ "create", x->disk.create == y->disk.create },
		{ "direct", x->disk.direct == y->disk.direct },
		{ "read_only", x->read_only == y->read_only },
		{ "block_size", x->disk.block_size == y->disk.block_size },
		{ "physical_block_exp", x->lb_per_pb_exp == y->lb_per_pb_exp },
		{ "thin", x->thin == y->thin },
		{ "rotational", x->rotational == y->rotational },
		{ "removable", x->removable == y->removable },
		{ "type", x->cdrom == y->cdrom },
		{ "write_cache", x->write_cache == y->write_cache },
		{ "d_sense", x->mode.dsense == y->mode.dsense },
		{ "swp", x->mode.swp == y->mode.swp },
		{ "tas", x->mode.tas == y->mode.tas },
		{ "tst", x->mode.tst == y->mode.tst },
		{ "qerr", x->mode.qerr == y->mode.qerr },
		{ "qam", x->mode.qam == y->mode.qam },
		{ "ua_intlck", x->mode.ua_intlck == y->mode.ua_intlck },
		{ "max_transfer", x->max_transfer_bytes == y->max_transfer_bytes },
		{ "queue_limit", x->queue_limit == y->queue_limit },
		{ "vendor", !strcmp(x->id.vendor, y->id.vendor) },
		{ "product", !strcmp(x->id.product, y->id.product) },
		{ "revision", !strcmp(x->id.revision, y->id.revision) },
		{ "serial", !strcmp(x->id.serial, y->id.serial) },
		{ "naa", x->id.naa_len == y->id.naa_len && !memcmp(x->id.naa, y->id.naa, x->id.naa_len) },
		{ "t10_id", !strcmp(x->id.t10_id, y->id.t10_id) },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!keys[i].same)
			return keys[i].key;
	return NULL;
}

static void diff_size(struct config_diff *d, const struct config_lu *x, const struct config_lu *y)
{
	if (x->disk.size == y->disk.size)
		return;
	if (y->disk.size < x->disk.size && y->disk.size)
		add(d, CONFIG_REFUSED, NULL, "LUN %s: %llu bytes are less than its %llu, and a LUN is not cut: what initiators "
		    "have there would be lost; leave size as it is", y->name, (unsigned long long)y->disk.size,
		    (unsigned long long)x->disk.size);
	else
		add(d, CONFIG_LUN_CHANGED, y->name, "size %llu -> %llu", (unsigned long long)x->disk.size,
		    (unsigned long long)y->disk.size);
}

static void diff_lu(struct config_diff *d, const struct config *a, const struct config_lu *x, const struct config *b,
		    const struct config_lu *y)
{
	const char *key = rebuilt_key(a, x, b, y);

	if (key)
		add(d, CONFIG_REFUSED, NULL, "LUN %s: %s can't change while the LUN is there; apply the configuration without "
		    "the LUN first, then with it", y->name, key);
	diff_size(d, x, y);
	if (x->thin_threshold != y->thin_threshold)
		add(d, CONFIG_LUN_CHANGED, y->name, "thin_threshold %u -> %u", x->thin_threshold, y->thin_threshold);
}

static void diff_lus(struct config_diff *d, const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < a->nlus; i++)
		if (config_find_lu(b, a->lu[i].name) < 0)
			add(d, CONFIG_LUN_REMOVED, a->lu[i].name, "of group %s", a->group[a->lu[i].group].name);
	for (size_t i = 0; i < b->nlus; i++) {
		const struct config_lu *y = &b->lu[i];
		int was = config_find_lu(a, y->name);

		if (was >= 0)
			diff_lu(d, a, &a->lu[was], b, y);
		else
			add(d, CONFIG_LUN_ADDED, y->name, "to group %s: %s", b->group[y->group].name,
			    y->disk.path ? y->disk.path : y->disk.handler);
	}
}

static void diff_targets(struct config_diff *d, const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < a->ntargets; i++)
		if (config_find_target(b, a->target[i].name) < 0)
			add(d, CONFIG_TARGET_REMOVED, a->target[i].name, "with its sessions' LUNs");
	for (size_t i = 0; i < b->ntargets; i++) {
		int was = config_find_target(a, b->target[i].name);

		if (was < 0)
			add(d, CONFIG_TARGET_ADDED, b->target[i].name, "with %zu access list(s)", b->target[i].nacls);
		else if (!config_same_access(a, &a->target[was], b, &b->target[i]))
			add(d, CONFIG_TARGET_CHANGED, b->target[i].name, "access lists or LUN numbers");
	}
}

int config_diff(struct config_diff *d, const struct config *now, const struct config *next, bool groups)
{
	*d = (struct config_diff){ .n = 0 };
	diff_fixed(d, now, next, groups);
	diff_groups(d, now, next, groups);
	diff_lus(d, now, next);
	diff_targets(d, now, next);
	return d->err;
}

void config_diff_fini(struct config_diff *d)
{
	free(d->change);
	*d = (struct config_diff){ .n = 0 };
}

const char *config_diff_refusal(const struct config_diff *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->change[i].kind == CONFIG_REFUSED)
			return d->change[i].text;
	return NULL;
}

const char *config_change_word(enum config_change_kind kind)
{
	switch (kind) {
	case CONFIG_LUN_ADDED: return "add LUN";
	case CONFIG_LUN_REMOVED: return "remove LUN";
	case CONFIG_LUN_CHANGED: return "change LUN";
	case CONFIG_TARGET_ADDED: return "add target";
	case CONFIG_TARGET_REMOVED: return "remove target";
	case CONFIG_TARGET_CHANGED: return "change target";
	case CONFIG_GROUP_ADDED: return "add group";
	case CONFIG_GROUP_REMOVED: return "remove group";
	case CONFIG_GROUP_CHANGED: return "change group";
	case CONFIG_REFUSED: return "refused";
	}
	return "?";
}

/* ---- slots --------------------------------------------------------------------------------------------- */

/* -1: not named. */
static int slot_in(const char *text, const char *name)
{
	char line[IQN_MAX + 16];
	unsigned slot;
	int at;

	for (const char *p = text; *p; p = strchr(p, '\n') + 1)
		if (sscanf(p, "%u %n", &slot, &at) == 1) {
			snprintf(line, sizeof(line), "%s\n", name);
			if (!strncmp(p + at, line, strlen(line)))
				return slot;
		}
	return -1;
}

static bool slots_good(const char *text)
{
	bool used[TARGETS_MAX] = { false };

	while (*text) {
		const char *end = strchr(text, '\n');
		char *rest;
		unsigned long slot = strtoul(text, &rest, 10);

		if (!end || rest == text || *rest != ' ' || slot >= TARGETS_MAX || used[slot])
			return false;
		used[slot] = true;
		text = end + 1;
	}
	return true;
}

int config_slots_take(struct config *c, const char *text)
{
	bool used[TARGETS_MAX] = { false };

	if (!slots_good(text))
		return -EBADMSG;
	for (size_t i = 0; i < c->ntargets; i++) {
		int slot = slot_in(text, c->target[i].name);

		if (slot >= 0)
			used[slot] = true;
	}
	for (size_t i = 0; i < c->ntargets; i++) {
		int slot = slot_in(text, c->target[i].name);

		for (int s = 0; slot < 0; s++)
			if (!used[s]) /* there are as many slots as targets can be */
				slot = s;
		used[slot] = true;
		c->target[i].slot = slot;
	}
	return 0;
}

char *config_slots_text(const struct config *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < c->ntargets; i++)
		fprintf(f, "%u %s\n", c->target[i].slot, c->target[i].name);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
