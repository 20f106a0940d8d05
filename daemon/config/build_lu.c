/* SPDX-License-Identifier: BSD-2-Clause */
/* The logical units of the configuration (build.c). */
#include <errno.h>

#include "core/cdrom.h"
#include "core/mode.h"
#include "daemon/config/build.h"
#include "daemon/config/value.h"
#include "drivers/disk/fault.h"

/* ---- identity, geometry ---- */

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
	AT(b, "luns[%zu].queue_limit", i);
	if (OR(r->queue_limit, 0) > QUEUE_LIMIT_MAX)
		return FAIL(b, "%u is not a number of commands; use 1 to %d, or 0 for no limit", *r->queue_limit,
			    QUEUE_LIMIT_MAX);
	l->queue_limit = OR(r->queue_limit, 0);
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
		return FAIL(b, "would tell, in the clear, a checksum of what is encrypted; leave one of protection and "
			       "encryption_key out");
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

int build_lus(struct build *b)
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
