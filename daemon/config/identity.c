/* SPDX-License-Identifier: BSD-2-Clause */
/* What is computed from the configuration: identities of logical units, the digest that nodes compare. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mode.h"
#include "core/wire.h"
#include "daemon/config/config.h"

/* Length before content, so that ("ab","c") and ("a","bc") differ. libcrypto fails here only without memory, and a
 * wrong identity would be worse than none. */
static void hash_bytes(EVP_MD_CTX *ctx, const void *p, size_t len)
{
	uint8_t n[8];

	put_be64(n, len);
	if (EVP_DigestUpdate(ctx, n, sizeof(n)) != 1 || EVP_DigestUpdate(ctx, p, len) != 1)
		abort();
}

static void hash_text(EVP_MD_CTX *ctx, const char *s)
{
	hash_bytes(ctx, s ? s : "", s ? strlen(s) : 0);
}

static void hash_number(EVP_MD_CTX *ctx, uint64_t v)
{
	uint8_t n[8];

	put_be64(n, v);
	hash_bytes(ctx, n, sizeof(n));
}

static EVP_MD_CTX *hash_new(const char *purpose)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		abort();
	hash_text(ctx, purpose);
	return ctx;
}

static void hash_final(EVP_MD_CTX *ctx, uint8_t out[32])
{
	if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
}

void config_identity(struct lu_identity *id, const char *cluster, const char *lun)
{
	EVP_MD_CTX *ctx = hash_new("sandem logical unit identity 1"); /* never change: disks would change their names */
	uint8_t h[32];

	hash_text(ctx, cluster);
	hash_text(ctx, lun);
	hash_final(ctx, h);
	if (!id->naa_len) {
		memcpy(id->naa, h, 8);
		id->naa[0] = 0x30 | (h[0] & 0xf); /* NAA 3h */
		id->naa_len = 8;
	}
	if (!id->serial[0])
		for (size_t i = 0; i < 8; i++)
			snprintf(id->serial + 2 * i, 3, "%02x", h[8 + i]);
	if (!id->t10_id[0])
		snprintf(id->t10_id, sizeof(id->t10_id), "%s", id->serial);
}

/* ---- digest: an older version of this program, without the newest keys, computes the same where these
 * are at their defaults (rolling upgrade). So a new key is added only when it says something else. ---- */

static void hash_nodes(EVP_MD_CTX *ctx, const struct config *c)
{
	hash_number(ctx, c->nnodes);
	for (size_t i = 0; i < c->nnodes; i++) {
		const struct config_node *n = &c->node[i];

		hash_text(ctx, n->name);
		hash_number(ctx, n->id);
		hash_number(ctx, n->nportals);
		for (size_t j = 0; j < n->nportals; j++) {
			hash_text(ctx, n->portal[j].addr);
			hash_number(ctx, n->portal[j].port);
		}
	}
}

/* Only where it has a meaning; the key file may be elsewhere on each node. */
static void hash_links(EVP_MD_CTX *ctx, const struct config *c)
{
	if (!config_forwards(c))
		return;
	if (c->link_tls)
		hash_text(ctx, "link_tls");
	for (size_t i = 0; i < c->nnodes; i++) {
		hash_text(ctx, c->node[i].link.addr);
		hash_number(ctx, c->node[i].link.port);
	}
}

/* What initiators are told of the target device, where it is not the default. move_program may differ. */
static void hash_device(EVP_MD_CTX *ctx, const struct config *c)
{
	const char *url[NODES_MAX + 1];
	size_t n = config_management_urls(c, url);

	if (c->explicit_alua)
		hash_text(ctx, "explicit_alua");
	for (size_t i = 0; i < n; i++) {
		hash_text(ctx, "management_url");
		hash_text(ctx, url[i]);
	}
}

static void hash_groups(EVP_MD_CTX *ctx, const struct config *c)
{
	hash_number(ctx, c->ngroups);
	for (size_t i = 0; i < c->ngroups; i++) {
		hash_text(ctx, c->group[i].name);
		hash_number(ctx, c->group[i].non_owner);
		hash_number(ctx, c->group[i].hold_limit_ms);
		hash_number(ctx, (uint64_t)(c->group[i].preferred + 1));
	}
}

/* Only where it was changed: an older version knows none of it. */
static void hash_mode(EVP_MD_CTX *ctx, const struct mode_state *m)
{
	for (unsigned f = 0; f < MODE_FIELDS; f++) {
		if (mode_value(m, f) == mode_value(&config_mode_default, f))
			continue;
		hash_text(ctx, "mode");
		hash_number(ctx, f);
		hash_number(ctx, mode_value(m, f));
	}
}

static void hash_lu(EVP_MD_CTX *ctx, const struct config_lu *l)
{
	const uint64_t numbers[] = {
		l->group,	 l->disk.size,	   l->disk.create, l->disk.direct, l->disk.read_only,
		l->disk.block_size, l->lb_per_pb_exp, l->read_only,   l->thin,	   l->rotational,
		l->removable,	 l->write_cache,   l->max_transfer_bytes, l->thin_threshold,
		l->cdrom,
	};

	hash_text(ctx, l->name);
	hash_text(ctx, l->disk.handler);
	hash_text(ctx, l->disk.path);
	hash_text(ctx, l->disk.fault);
	if (l->disk.key_file) /* its path may be another on each node */
		hash_text(ctx, "encrypted");
	if (l->disk.pi_type) {
		hash_text(ctx, "protection");
		hash_number(ctx, l->disk.pi_type);
		hash_number(ctx, l->application_tag_ours);
		hash_text(ctx, l->disk.pi_path);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		hash_number(ctx, numbers[i]);
	if (l->queue_limit) {
		hash_text(ctx, "queue_limit");
		hash_number(ctx, l->queue_limit);
	}
	hash_text(ctx, l->id.vendor);
	hash_text(ctx, l->id.product);
	hash_text(ctx, l->id.revision);
	hash_text(ctx, l->id.serial);
	hash_bytes(ctx, l->id.naa, l->id.naa_len);
	hash_text(ctx, l->id.t10_id);
	hash_mode(ctx, &l->mode);
}

static void hash_acl(EVP_MD_CTX *ctx, const struct config *c, const struct config_acl *a)
{
	hash_number(ctx, a->npatterns);
	for (size_t i = 0; i < a->npatterns; i++)
		hash_text(ctx, a->pattern[i]);
	hash_number(ctx, a->nluns);
	for (size_t i = 0; i < a->nluns; i++) {
		hash_number(ctx, a->lun[i].lun);
		hash_text(ctx, c->lu[a->lun[i].lu].name);
		hash_number(ctx, a->lun[i].read_only);
	}
}

static void hash_targets(EVP_MD_CTX *ctx, const struct config *c)
{
	hash_number(ctx, c->ntargets);
	for (size_t i = 0; i < c->ntargets; i++) {
		hash_text(ctx, c->target[i].name);
		hash_number(ctx, c->target[i].nacls);
		for (size_t j = 0; j < c->target[i].nacls; j++)
			hash_acl(ctx, c, &c->target[i].acl[j]);
	}
}

static void hash_iscsi(EVP_MD_CTX *ctx, const struct config *c)
{
#define X(name, def, min, max) hash_number(ctx, c->iscsi.name);
	ISCSI_SETTINGS(X)
#undef X
}

void config_digest(const struct config *c, uint8_t digest[32])
{
	EVP_MD_CTX *ctx = hash_new("sandem configuration 1");

	hash_text(ctx, c->cluster);
	hash_number(ctx, c->log);
	hash_nodes(ctx, c);
	hash_links(ctx, c);
	hash_device(ctx, c);
	hash_groups(ctx, c);
	hash_number(ctx, c->nlus);
	for (size_t i = 0; i < c->nlus; i++)
		hash_lu(ctx, &c->lu[i]);
	hash_targets(ctx, c);
	hash_iscsi(ctx, c);
	hash_final(ctx, digest);
}

void config_fixed_digest(const struct config *c, uint8_t digest[32])
{
	EVP_MD_CTX *ctx = hash_new("sandem configuration, fixed part 1");

	hash_text(ctx, c->cluster);
	hash_number(ctx, c->log);
	hash_nodes(ctx, c);
	hash_links(ctx, c);
	hash_device(ctx, c);
	hash_number(ctx, c->ngroups);
	for (size_t i = 0; i < c->ngroups; i++) {
		hash_text(ctx, c->group[i].name);
		hash_number(ctx, c->group[i].non_owner);
	}
	hash_iscsi(ctx, c);
	hash_final(ctx, digest);
}

void config_nodes_digest(const struct config *c, uint8_t digest[32])
{
	EVP_MD_CTX *ctx = hash_new("sandem configuration, nodes 1");

	hash_text(ctx, c->cluster);
	hash_number(ctx, c->log);
	hash_number(ctx, c->link_tls);
	hash_number(ctx, c->nnodes);
	for (size_t i = 0; i < c->nnodes; i++) {
		hash_text(ctx, c->node[i].name);
		hash_number(ctx, c->node[i].id);
	}
	hash_device(ctx, c);
	hash_final(ctx, digest);
}
