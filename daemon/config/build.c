/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw structs and defaults to a struct config: texts become values, names become indices. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cdrom.h"
#include "core/mode.h"
#include "daemon/config/names.h"
#include "daemon/config/raw.h"
#include "daemon/config/value.h"
#include "daemon/options.h"
#include "drivers/disk/fault.h"

#define OR(pointer, otherwise) ((pointer) ? *(pointer) : (otherwise))

struct build {
	const struct raw_config *raw;
	const struct config_where *w;
	struct config_error *err;
	struct config *c;
	struct names *nodes, *groups, *lus; /* name → index */
	char path[160];			    /* for messages */
};

#define AT(b, ...) (snprintf((b)->path, sizeof((b)->path), __VA_ARGS__), (b)->path)
#define FAIL(b, ...) config_fail((b)->w, (b)->err, (b)->path, __VA_ARGS__)

/* calloc that also serves n == 0. */
static void *array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static int copy_text(struct build *b, char **out, const char *text)
{
	*out = strdup(text);
	return *out ? 0 : config_no_memory(b->err);
}

/* b->path is the key. NULL text: *out stays. */
static int take_size(struct build *b, const char *text, uint64_t *out)
{
	if (text && options_size(text, out) < 0)
		return FAIL(b, "\"%s\" is not a size; use a number of bytes or a suffix K, M, G, T, P", text);
	return 0;
}

/* The index that the name has; kind is what it names. */
static int take_reference(struct build *b, const struct names *names, const char *kind, const char *name, int *out)
{
	const char *guess;

	*out = names_find(names, name);
	if (*out >= 0)
		return 0;
	guess = value_guess(name, names_words(names), names_count(names));
	if (guess)
		return FAIL(b, "there is no %s \"%s\"; did you mean \"%s\"?", kind, name, guess);
	return FAIL(b, "there is no %s \"%s\"; define it under %ss:", kind, name, kind[0] == 'L' ? "lun" : kind);
}

/* ---- nodes and groups ---- */

static int build_node(struct build *b, size_t i)
{
	const struct raw_node *r = &b->raw->nodes[i];
	struct config_node *n = &b->c->node[i];

	n->id = r->id;
	n->nportals = r->portals_count;
	n->portal = array(n->nportals, sizeof(*n->portal));
	if (!n->portal)
		return config_no_memory(b->err);
	for (size_t j = 0; j < n->nportals; j++) {
		AT(b, "nodes[%zu].portals[%zu]", i, j);
		if (value_portal(r->portals[j], &n->portal[j]) < 0)
			return FAIL(b, "\"%s\" is not a portal; use a numeric address and a port, e.g. "
				       "\"192.0.2.1:3260\" or \"[2001:db8::1]:3260\"", r->portals[j]);
	}
	n->link = n->portal[0];
	n->link.port = LINK_PORT_DEFAULT;
	AT(b, "nodes[%zu].link", i);
	if (r->link && value_address(r->link, LINK_PORT_DEFAULT, &n->link) < 0)
		return FAIL(b, "\"%s\" is not an address; use a numeric one and a port, e.g. \"192.0.2.1:3261\" or "
			       "\"[2001:db8::1]:3261\"", r->link);
	return copy_text(b, &n->name, r->name);
}

static int build_nodes(struct build *b)
{
	b->c->nnodes = b->raw->nodes_count;
	b->c->node = array(b->c->nnodes, sizeof(*b->c->node));
	b->nodes = names_new(b->c->nnodes);
	if (!b->c->node || !b->nodes)
		return config_no_memory(b->err);
	for (size_t i = 0; i < b->c->nnodes; i++) {
		int rc = build_node(b, i);

		if (rc < 0)
			return rc;
		names_add(b->nodes, b->c->node[i].name);
	}
	return 0;
}

static int build_group(struct build *b, size_t i)
{
	const struct raw_group *r = &b->raw->groups[i];
	struct config_group *g = &b->c->group[i];
	uint64_t hold = HOLD_LIMIT_MS_DEFAULT;

	g->non_owner = OR(r->non_owner, NON_OWNER_STANDBY);
	g->preferred = -1;
	AT(b, "groups[%zu].hold_limit", i);
	if (r->hold_limit && (value_ms(r->hold_limit, &hold) < 0 || hold > HOLD_LIMIT_MS_MAX))
		return FAIL(b, "\"%s\" is not a time from 0 to %d s; use e.g. 10s or 500ms", r->hold_limit,
			    HOLD_LIMIT_MS_MAX / 1000);
	g->hold_limit_ms = hold;
	AT(b, "groups[%zu].preferred", i);
	if (r->preferred && take_reference(b, b->nodes, "node", r->preferred, &g->preferred) < 0)
		return -EINVAL;
	return copy_text(b, &g->name, r->name);
}

static int build_groups(struct build *b)
{
	b->c->ngroups = b->raw->groups_count;
	b->c->group = array(b->c->ngroups, sizeof(*b->c->group));
	b->groups = names_new(b->c->ngroups);
	if (!b->c->group || !b->groups)
		return config_no_memory(b->err);
	for (size_t i = 0; i < b->c->ngroups; i++) {
		int rc = build_group(b, i);

		if (rc < 0)
			return rc;
		names_add(b->groups, b->c->group[i].name);
	}
	return 0;
}

/* ---- logical units ---- */

static int take_identity_text(struct build *b, size_t i, const char *key, const char *text, const char *otherwise,
			      char *out, size_t max)
{
	AT(b, "luns[%zu].%s", i, key);
	if (!text)
		text = otherwise;
	if (strlen(text) > max)
		return FAIL(b, "\"%s\" is too long; at most %zu characters are allowed", text, max);
	if (!value_printable(text))
		return FAIL(b, "has a character other than printable ASCII (SPC-4 4.4.1)");
	strcpy(out, text);
	return 0;
}

static int build_identity(struct build *b, size_t i, const struct raw_lu *r, struct lu_identity *id)
{
	if (take_identity_text(b, i, "vendor", r->vendor, VENDOR_DEFAULT, id->vendor, VENDOR_MAX) < 0 ||
	    take_identity_text(b, i, "product", r->product, PRODUCT_DEFAULT, id->product, PRODUCT_MAX) < 0 ||
	    take_identity_text(b, i, "revision", r->revision, REVISION_DEFAULT, id->revision, REVISION_MAX) < 0 ||
	    take_identity_text(b, i, "serial", r->serial, "", id->serial, SERIAL_MAX) < 0 ||
	    take_identity_text(b, i, "t10_id", r->t10_id, "", id->t10_id, T10_ID_MAX) < 0)
		return -EINVAL;
	AT(b, "luns[%zu].naa", i);
	if (r->naa && value_naa(r->naa, id) < 0)
		return FAIL(b, "\"%s\" is not an NAA identifier; use 16 hex digits that begin with 2, 3 or 5, or 32 "
			       "that begin with 6 (SPC-4 7.8.6.6), or leave the key out", r->naa);
	config_identity(id, b->c->cluster, r->name);
	return 0;
}

static int build_geometry(struct build *b, size_t i, const struct raw_lu *r, struct config_lu *l)
{
	uint32_t block = OR(r->block_size, l->cdrom ? CDROM_BLOCK : BLOCK_SIZE_DEFAULT);
	uint32_t exp = OR(r->physical_block_exp, block == 512 ? PHYSICAL_BLOCK_EXP_DEFAULT : 0);
	uint64_t transfer = MAX_TRANSFER_DEFAULT;

	AT(b, "luns[%zu].block_size", i);
	if (l->cdrom && block != CDROM_BLOCK)
		return FAIL(b, "%u is not the block size of a CD-ROM; leave the key out", block);
	if (!l->cdrom && block != 512 && block != 4096)
		return FAIL(b, "%u is not a logical block size; use 512 or 4096", block);
	AT(b, "luns[%zu].physical_block_exp", i);
	if (exp > PHYSICAL_BLOCK_EXP_MAX)
		return FAIL(b, "%u is too much; use 0 to %d (2^n logical blocks per physical block)", exp,
			    PHYSICAL_BLOCK_EXP_MAX);
	AT(b, "luns[%zu].max_transfer", i);
	if (take_size(b, r->max_transfer, &transfer) < 0)
		return -EINVAL;
	if (transfer < MAX_TRANSFER_MIN || transfer > MAX_TRANSFER_MAX || transfer % 4096)
		return FAIL(b, "\"%s\" is out of bounds; use 64K to 16M, a multiple of 4096", r->max_transfer);
	AT(b, "luns[%zu].thin_threshold", i);
	if (OR(r->thin_threshold, 0) > THIN_THRESHOLD_MAX)
		return FAIL(b, "%u is not a percentage; use 1 to %d, or 0 for no threshold", *r->thin_threshold,
			    THIN_THRESHOLD_MAX);
	if (OR(r->thin_threshold, 0) && !l->thin)
		return FAIL(b, "is for thin LUNs; add thin: true");
	l->thin_threshold = OR(r->thin_threshold, 0);
	l->disk.block_size = block;
	l->lb_per_pb_exp = exp;
	l->max_transfer_bytes = transfer;
	return 0;
}

static int build_medium(struct build *b, size_t i, const struct raw_lu *r, struct config_lu *l)
{
	static const char *const handlers[] = { [RAW_FILE] = "file", [RAW_BLOCK] = "block", [RAW_NULL] = "null" };
	enum raw_handler h = OR(r->handler, RAW_FILE);

	l->disk.handler = handlers[h];
	l->disk.create = OR(r->create, false);
	l->disk.direct = OR(r->direct, h == RAW_BLOCK);
	l->disk.read_only = l->read_only = OR(r->read_only, l->cdrom);
	AT(b, "luns[%zu].type", i);
	if (l->cdrom && (!l->read_only || l->thin || r->create))
		return FAIL(b, "a CD-ROM can't be written; leave read_only, thin and create out");
	AT(b, "luns[%zu].size", i);
	if (take_size(b, r->size, &l->disk.size) < 0)
		return -EINVAL;
	if (h == RAW_NULL && !r->size)
		return config_fail(b->w, b->err, AT(b, "luns[%zu]", i), "handler null needs the key \"size\"");
	if (h != RAW_NULL && !r->path)
		return config_fail(b->w, b->err, AT(b, "luns[%zu]", i), "handler %s needs the key \"path\"", handlers[h]);
	if (r->create && (h != RAW_FILE || !r->size))
		return config_fail(b->w, b->err, AT(b, "luns[%zu].create", i), "is for handler file with a size only");
	if (h == RAW_NULL || !r->path)
		return 0;
	l->disk.path = strdup(r->path);
	return l->disk.path ? 0 : config_no_memory(b->err);
}

/* One text, as the command line has it. */
static int join_fault(const struct raw_fault *f, char **out)
{
	const struct {
		const char *key, *value;
	} words[] = { { "delay", f->delay }, { "error", f->error }, { "short", f->short_ }, { "op", f->op },
		      { "lba", f->lba },     { "rate", f->rate },   { "seed", f->seed },    { "count", f->count },
		      { "trigger", f->trigger } };
	size_t len;
	FILE *m = open_memstream(out, &len);

	if (!m)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].value)
			fprintf(m, "%s%s=%s", ftell(m) ? ":" : "", words[i].key, words[i].value);
	return fclose(m) ? -ENOMEM : 0;
}

static int build_fault(struct build *b, size_t i, const struct raw_lu *r, struct config_lu *l)
{
	struct fault_rule rule;
	char *text, why[256];

	if (!r->fault)
		return 0;
	if (join_fault(r->fault, &text) < 0)
		return config_no_memory(b->err);
	l->disk.fault = text;
	AT(b, "luns[%zu].fault", i);
	return fault_parse(text, &rule, why, sizeof(why)) < 0 ? FAIL(b, "%s", why) : 0;
}

static int build_encryption(struct build *b, size_t i, const struct raw_lu *r, struct config_lu *l)
{
	if (!r->encryption_key)
		return 0;
	AT(b, "luns[%zu].encryption_key", i);
	if (!l->disk.path || l->cdrom)
		return FAIL(b, "only disks on a file or block device can be encrypted; leave it out");
	if (r->encryption_key[0] != '/')
		return FAIL(b, "\"%s\" is not an absolute path of a key file", r->encryption_key);
	l->disk.key_file = strdup(r->encryption_key);
	return l->disk.key_file ? 0 : config_no_memory(b->err);
}

int config_protection_path(struct config_lu *l, const char *path)
{
	char *out = NULL;

	if (asprintf(&out, "%s%s", path ? path : l->disk.path, path ? "" : ".dif") < 0)
		return -ENOMEM;
	l->disk.pi_path = out;
	return 0;
}

/* PATH.dif for a file; a device has no room beside it. */
static int build_protection(struct build *b, size_t i, const struct raw_lu *r, struct config_lu *l)
{
	const struct raw_protection *p = r->protection;
	bool file = OR(r->handler, RAW_FILE) == RAW_FILE;

	if (!p)
		return 0;
	AT(b, "luns[%zu].protection.type", i);
	if (p->type > PI_TYPE_3)
		return FAIL(b, "%u is not a type of protection; use 1, 2 or 3, or 0 for none", p->type);
	AT(b, "luns[%zu].protection", i);
	if (p->type && (l->cdrom || OR(r->handler, RAW_FILE) == RAW_NULL))
		return FAIL(b, "is for LUNs that keep what is written to them; leave it out with handler null and type cdrom");
	if (p->type && l->disk.key_file)
		return FAIL(b, "would tell, in the clear, a checksum of what is encrypted; leave one of protection and encryption_key out");
	if (p->type && !file && !p->path)
		return FAIL(b, "needs the key \"path\" with handler block: a second device or a file, 8 bytes per block");
	l->application_tag_ours = OR(p->application_tag, APPLICATION_TAG_INITIATOR) == APPLICATION_TAG_TARGET;
	if (!p->type)
		return 0;
	l->disk.pi_type = p->type;
	return config_protection_path(l, p->path) < 0 ? config_no_memory(b->err) : 0;
}

/* What MODE SELECT can change; switches can't be wrong. */
static const struct {
	const char *key, *allowed;
	enum mode_field field;
	size_t raw; /* of the pointer in struct raw_lu */
} mode_keys[] = {
	{ "tst", "0 or 1", MODE_TST, offsetof(struct raw_lu, tst) },
	{ "qerr", "0, 1 or 3", MODE_QERR, offsetof(struct raw_lu, qerr) },
	{ "qam", "0 or 1", MODE_QAM, offsetof(struct raw_lu, qam) },
	{ "ua_intlck", "0, 2 or 3", MODE_UA_INTLCK, offsetof(struct raw_lu, ua_intlck) },
};

const struct mode_state config_mode_default = {
	.qam = 1,
	.tas = true, /* else an aborted writer waits for its own timeout before it looks why */
	.tcmos = true,
	.scsip = true,
};

static int build_mode(struct build *b, size_t i, const struct raw_lu *r, struct config_lu *l)
{
	l->write_cache = OR(r->write_cache, true);
	l->mode = config_mode_default;
	l->mode.dsense = OR(r->d_sense, false);
	l->mode.swp = OR(r->swp, false);
	l->mode.tas = OR(r->tas, true);
	for (size_t k = 0; k < sizeof(mode_keys) / sizeof(mode_keys[0]); k++) {
		const uint32_t *value = *(uint32_t *const *)((const char *)r + mode_keys[k].raw);
		struct mode_change c = { .mask = 1u << mode_keys[k].field };

		if (!value)
			continue;
		c.value[mode_keys[k].field] = *value;
		AT(b, "luns[%zu].%s", i, mode_keys[k].key);
		if (*value > UINT8_MAX || !mode_change_good(&c))
			return FAIL(b, "%u is not a value of this mode parameter; write %s", *value, mode_keys[k].allowed);
		l->mode = mode_with(&l->mode, &c);
	}
	return 0;
}

static int build_lu(struct build *b, size_t i)
{
	const struct raw_lu *r = &b->raw->luns[i];
	struct config_lu *l = &b->c->lu[i];
	int group, rc;

	l->thin = OR(r->thin, false);
	l->rotational = OR(r->rotational, false);
	l->removable = OR(r->removable, false);
	l->cdrom = OR(r->type, RAW_DISK) == RAW_CDROM;
	l->removable |= l->cdrom;
	AT(b, "luns[%zu].group", i);
	rc = take_reference(b, b->groups, "group", r->group, &group);
	if (rc < 0)
		return rc;
	l->group = group;
	rc = build_medium(b, i, r, l);
	if (rc == 0)
		rc = build_geometry(b, i, r, l);
	if (rc == 0)
		rc = build_identity(b, i, r, &l->id);
	if (rc == 0)
		rc = build_fault(b, i, r, l);
	if (rc == 0)
		rc = build_encryption(b, i, r, l);
	if (rc == 0)
		rc = build_protection(b, i, r, l);
	if (rc == 0)
		rc = build_mode(b, i, r, l);
	return rc < 0 ? rc : copy_text(b, &l->name, r->name);
}

static int build_lus(struct build *b)
{
	b->c->nlus = b->raw->luns_count;
	b->c->lu = array(b->c->nlus, sizeof(*b->c->lu));
	b->lus = names_new(b->c->nlus);
	if (!b->c->lu || !b->lus)
		return config_no_memory(b->err);
	for (size_t i = 0; i < b->c->nlus; i++) {
		int rc = build_lu(b, i);

		if (rc < 0)
			return rc;
		names_add(b->lus, b->c->lu[i].name);
	}
	return 0;
}

/* ---- targets ---- */

static int build_acl(struct build *b, const char *path, const struct raw_acl *r, struct config_acl *a)
{
	int lu;

	a->npatterns = r->initiators_count;
	a->pattern = array(a->npatterns, sizeof(*a->pattern));
	a->nluns = r->luns_count;
	a->lun = array(a->nluns, sizeof(*a->lun));
	if (!a->pattern || !a->lun)
		return config_no_memory(b->err);
	for (size_t i = 0; i < a->npatterns; i++) {
		if (copy_text(b, &a->pattern[i], r->initiators[i]) < 0)
			return -ENOMEM;
		value_lower(a->pattern[i]);
	}
	for (size_t i = 0; i < a->nluns; i++) {
		AT(b, "%s.luns[%zu].name", path, i);
		if (take_reference(b, b->lus, "LUN", r->luns[i].name, &lu) < 0)
			return -EINVAL;
		AT(b, "%s.luns[%zu].lun", path, i);
		if (r->luns[i].lun > LUN_MAX) /* it would not fit the struct */
			return FAIL(b, "%u is too large; use 0 to %d (SAM-5 4.7.7)", r->luns[i].lun, LUN_MAX);
		a->lun[i] = (struct config_lun){ .lun = r->luns[i].lun, .lu = lu,
						 .read_only = OR(r->luns[i].read_only, false) };
	}
	return 0;
}

/* Either `acls`, or `initiators` and `luns` of the target itself. */
static int pick_acls(struct build *b, size_t i, const struct raw_acl **acls, size_t *n)
{
	const struct raw_target *r = &b->raw->targets[i];
	bool initiators, luns;

	initiators = config_where_has(b->w, AT(b, "targets[%zu].initiators", i));
	luns = config_where_has(b->w, AT(b, "targets[%zu].luns", i));
	AT(b, "targets[%zu]", i);
	if (r->acls_count && (initiators || luns))
		return FAIL(b, "has \"acls\" and \"%s\"; use either acls, or initiators and luns",
			    initiators ? "initiators" : "luns");
	if (!r->acls_count && !initiators)
		return FAIL(b, "the key \"initiators\" is missing; give the patterns of those who may log in, or [] "
			       "for nobody");
	*acls = r->acls_count ? r->acls : &r->own;
	*n = r->acls_count ? r->acls_count : 1;
	return 0;
}

static int build_target(struct build *b, size_t i)
{
	struct config_target *t = &b->c->target[i];
	const struct raw_acl *acls = NULL;
	char path[64];
	size_t n = 0;

	if (pick_acls(b, i, &acls, &n) < 0)
		return -EINVAL;
	t->acl = array(n, sizeof(*t->acl));
	if (!t->acl || copy_text(b, &t->name, b->raw->targets[i].name) < 0)
		return config_no_memory(b->err);
	value_lower(t->name);
	for (; t->nacls < n; t->nacls++) {
		int rc;

		snprintf(path, sizeof(path), "targets[%zu].acls[%zu]", i, t->nacls);
		rc = build_acl(b, path, &acls[t->nacls], &t->acl[t->nacls]);
		if (rc < 0) {
			t->nacls++; /* config_free() frees what is there of it */
			return rc;
		}
	}
	return 0;
}

static int build_targets(struct build *b)
{
	b->c->ntargets = b->raw->targets_count;
	b->c->target = array(b->c->ntargets, sizeof(*b->c->target));
	if (!b->c->target)
		return config_no_memory(b->err);
	for (size_t i = 0; i < b->c->ntargets; i++) {
		int rc = build_target(b, i);

		b->c->target[i].slot = i;
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- this daemon, iSCSI ---- */

static int build_daemon(struct build *b)
{
	const struct raw_daemon *r = &b->raw->daemon;
	struct config *c = b->c;

	AT(b, "daemon.reactors");
	if (r->reactors && r->cpus)
		return FAIL(b, "is there together with daemon.cpus; keep one");
	if (r->reactors && (*r->reactors == 0 || *r->reactors > REACTORS_MAX))
		return FAIL(b, "%u is not a number of threads; use 1 to %d", *r->reactors, REACTORS_MAX);
	c->nreactors = r->cpus ? r->cpus_count : OR(r->reactors, REACTORS_DEFAULT);
	c->reactor_cpu = array(c->nreactors, sizeof(*c->reactor_cpu));
	if (!c->reactor_cpu)
		return config_no_memory(b->err);
	for (unsigned i = 0; i < c->nreactors; i++)
		c->reactor_cpu[i] = r->cpus ? (int)r->cpus[i] : -1;
	c->log_level = LOG_LEVEL_DEFAULT;
	AT(b, "daemon.log_level");
	if (r->log_level && options_log_level(r->log_level, &c->log_level) < 0)
		return FAIL(b, "\"%s\" is not a level; use error, warning, notice, info or debug", r->log_level);
	return 0;
}

enum setting_kind { SETTING_COUNT, SETTING_SWITCH, SETTING_BYTES, SETTING_TIME };

static enum setting_kind setting_kind(const char *name, uint32_t max)
{
	static const struct {
		const char *end;
		enum setting_kind kind;
	} endings[] = {
		{ "_segment", SETTING_BYTES }, { "_burst", SETTING_BYTES }, { "_interval", SETTING_TIME },
		{ "_timeout", SETTING_TIME },  { "_grace", SETTING_TIME },
	};
	size_t len = strlen(name);

	if (max == 1)
		return SETTING_SWITCH;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t n = strlen(endings[i].end);

		if (len > n && !strcmp(name + len - n, endings[i].end))
			return endings[i].kind;
	}
	return SETTING_COUNT;
}

static int setting_value(enum setting_kind kind, const char *text, uint64_t *v)
{
	bool on = false;
	int rc = -EINVAL;

	switch (kind) {
	case SETTING_SWITCH:
		rc = value_bool(text, &on);
		*v = on;
		break;
	case SETTING_BYTES:
		rc = options_size(text, v);
		break;
	case SETTING_TIME:
		rc = value_ms(text, v);
		break;
	case SETTING_COUNT:
		rc = value_uint(text, UINT32_MAX, v);
		break;
	}
	return rc;
}

static int build_setting(struct build *b, const char *name, const char *text, uint32_t min, uint32_t max,
			 uint32_t *out)
{
	static const char *const what[] = {
		[SETTING_COUNT] = "a number", [SETTING_SWITCH] = "a switch",
		[SETTING_BYTES] = "a length in bytes (suffix K or M)", [SETTING_TIME] = "a time (ms, or suffix ms, s, m)",
	};
	enum setting_kind kind = setting_kind(name, max);
	uint64_t v;

	if (!text)
		return 0;
	AT(b, "iscsi.%s", name);
	if (setting_value(kind, text, &v) < 0 || v < min || v > max) {
		if (kind == SETTING_SWITCH)
			return FAIL(b, "\"%s\" is not a switch; use true or false", text);
		return FAIL(b, "\"%s\" is not %s from %u to %u", text, what[kind], min, max);
	}
	*out = v;
	return 0;
}

static int build_iscsi(struct build *b)
{
	const struct raw_iscsi *r = &b->raw->iscsi;
	struct iscsi_settings *s = &b->c->iscsi;

#define X(name, def, min, max)                                            \
	s->name = (def);                                                  \
	if (build_setting(b, #name, r->name, (min), (max), &s->name) < 0) \
		return -EINVAL;
	ISCSI_SETTINGS(X)
#undef X
	return 0;
}

/* ---- the store ---- */

static int build_endpoint(struct build *b, size_t i)
{
	const char *url = b->raw->store->endpoints[i];
	bool tls = !strncmp(url, "https://", 8);
	const char *host = url + (tls ? 8 : 7);

	AT(b, "store.endpoints[%zu]", i);
	if ((!tls && strncmp(url, "http://", 7)) || !*host || strpbrk(host, "/?# @"))
		return FAIL(b, "\"%s\" is not an endpoint; use e.g. \"https://192.0.2.1:2379\"", url);
	if (!tls && b->raw->store->tls)
		return FAIL(b, "\"%s\" is not encrypted, and there is a tls section; use https://", url);
	if (copy_text(b, &b->c->store.endpoint[i], url) < 0)
		return -ENOMEM;
	b->c->store.nendpoints++;
	return 0;
}

static int take_file(struct build *b, const char *key, const char *text, char **out)
{
	AT(b, "store.%s", key);
	if (text && text[0] != '/')
		return FAIL(b, "\"%s\" is not an absolute path; begin with /", text);
	return text ? copy_text(b, out, text) : 0;
}

static int build_store_files(struct build *b, const struct raw_store *r)
{
	static const struct raw_tls none;
	const struct raw_tls *tls = r->tls ? r->tls : &none;
	struct config_store *s = &b->c->store;
	int rc = take_file(b, "tls.ca", tls->ca, &s->ca);

	if (rc == 0)
		rc = take_file(b, "tls.cert", tls->cert, &s->cert);
	if (rc == 0)
		rc = take_file(b, "tls.key", tls->key, &s->key);
	if (rc == 0)
		rc = take_file(b, "password_file", r->password_file, &s->password_file);
	if (rc == 0 && r->user)
		rc = copy_text(b, &s->user, r->user);
	return rc;
}

static int build_store(struct build *b)
{
	const struct raw_store *r = b->raw->store;
	struct config_store *s = &b->c->store;
	int rc;

	if (!r)
		return 0;
	s->type = OR(r->type, CONFIG_STORE_FILE);
	AT(b, "store");
	if (s->type == CONFIG_STORE_FILE && (r->endpoints || r->tls || r->user || r->password_file))
		return FAIL(b, "has keys that are for etcd; add type: etcd, or leave them out");
	if (s->type == CONFIG_STORE_ETCD && !r->endpoints_count)
		return FAIL(b, "type etcd needs the key \"endpoints\"");
	if (!r->user != !r->password_file)
		return FAIL(b, "\"user\" and \"password_file\" go together; give both or none");
	if (r->tls && !r->tls->cert != !r->tls->key)
		return FAIL(b, "\"tls.cert\" and \"tls.key\" go together; give both or none");
	rc = build_store_files(b, r);
	for (size_t i = 0; i < r->endpoints_count && rc == 0; i++)
		rc = build_endpoint(b, i);
	return rc;
}

static int build_all(struct build *b)
{
	static int (*const steps[])(struct build *) = { build_nodes,   build_groups, build_lus,  build_targets,
							build_daemon, build_iscsi, build_store };
	int rc = copy_text(b, &b->c->cluster, b->raw->cluster.name);

	b->c->log = OR(b->raw->cluster.log, CONFIG_LOG_CPG);
	b->c->link_tls = OR(b->raw->cluster.link_tls, false);
	if (rc == 0)
		rc = copy_text(b, &b->c->key_file, b->raw->cluster.key_file ? b->raw->cluster.key_file : KEY_FILE_DEFAULT);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
		rc = steps[i](b);
	return rc;
}

int config_build(const struct raw_config *raw, const struct config_where *w, struct config **out,
		 struct config_error *err)
{
	struct build b = { .raw = raw, .w = w, .err = err, .c = calloc(1, sizeof(*b.c)) };
	int rc = b.c ? build_all(&b) : config_no_memory(err);

	names_free(b.nodes);
	names_free(b.groups);
	names_free(b.lus);
	if (rc < 0)
		config_free(b.c);
	else
		*out = b.c;
	return rc;
}
