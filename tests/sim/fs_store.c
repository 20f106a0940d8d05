/* SPDX-License-Identifier: BSD-2-Clause */
/* In front of the real file store (cluster/store_file.c): what it is given wrongly; and a look into it. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/persist.h"
#include "cluster/replog.pb-c.h"
#include "cluster/store_batch.h"
#include "cluster/store_file.h"
#include "tests/sim/sim.h"

#define COMPACT_MIN 2000 /* so that it happens */
#define PATCH_MIN 64	 /* as well */

static void count_it(struct store_batch *to, const uint8_t *p, size_t len)
{
	Replog__Lineage *l = replog__lineage__unpack(NULL, len, p);
	uint8_t *out = malloc(len);

	l->partial = false;
	store_batch_put(to, PERSIST_LINEAGE_KEY, out, replog__lineage__pack(l, out));
	replog__lineage__free_unpacked(l, NULL);
	free(out);
}

static void change_planted(enum plant plant, struct store_batch *to, enum change_kind kind, const char *key, const uint8_t *p,
			   size_t len)
{
	if (kind == CHANGE_CLEAR)
		store_batch_clear(to);
	else if (kind == CHANGE_PUT && plant == PLANT_JOINER_COUNTS && !strcmp(key, PERSIST_LINEAGE_KEY))
		count_it(to, p, len);
	else if ((plant != PLANT_VERSION_FORGOTTEN || strcmp(key, PERSIST_VERSION_KEY)) &&
		 (plant != PLANT_CONFIG_UNSTORED || strncmp(key, "configuration/", 14)))
		store_batch_put(to, key, p, len);
}

static struct store_batch *batch_planted(enum plant plant, const struct store_batch *b)
{
	struct store_batch *to = store_batch_new();
	const uint8_t *p = b->body.data;
	struct change_head h;

	store_batch_allow_patches(to, b->patches);
	for (size_t at = 0; at < b->body.len; at += le32toh(h.vlen)) {
		char key[STORE_KEY_MAX + 1] = "";

		memcpy(&h, p + at, sizeof(h));
		at += sizeof(h);
		memcpy(key, p + at, le16toh(h.klen));
		at += le16toh(h.klen);
		change_planted(plant, to, h.kind, key, p + at, le32toh(h.vlen));
	}
	return to;
}

static int sim_commit(struct store *store, const struct store_batch *b)
{
	struct sim_store *st = caa_container_of(store, struct sim_store, store);
	enum plant plant = sim_world()->plant;
	struct store_batch *other;
	int rc;

	if (plant != PLANT_JOINER_COUNTS && plant != PLANT_VERSION_FORGOTTEN && plant != PLANT_CONFIG_UNSTORED)
		return store_commit(st->real, b);
	other = batch_planted(plant, b);
	rc = store_commit(st->real, other);
	store_batch_free(other);
	return rc;
}

static int sim_each(struct store *store, store_each_fn fn, void *arg)
{
	return store_each(caa_container_of(store, struct sim_store, store)->real, fn, arg);
}

static void sim_close(struct store *store)
{
	store_close(caa_container_of(store, struct sim_store, store)->real);
}

int __real_store_file_open(const char *dir, struct store **out, char *err, size_t errlen);
int __wrap_store_file_open(const char *dir, struct store **out, char *err, size_t errlen);
int __wrap_store_file_open(const char *dir, struct store **out, char *err, size_t errlen)
{
	static const struct store_ops ops = { sim_commit, sim_each, sim_close };
	struct node *n = sim_world()->cur;
	int rc = __real_store_file_open(dir, &n->store.real, err, errlen);

	if (rc)
		return rc;
	store_file_compact_min(n->store.real, COMPACT_MIN);
	store_file_patch_min(n->store.real, PATCH_MIN);
	n->store.store.ops = &ops;
	*out = &n->store.store;
	return 0;
}

/* PLANT_TORN_RECORD */
unsigned int __real_crc32_iscsi(unsigned char *p, int len, unsigned int init);
unsigned int __wrap_crc32_iscsi(unsigned char *p, int len, unsigned int init);
unsigned int __wrap_crc32_iscsi(unsigned char *p, int len, unsigned int init)
{
	return sim_world()->plant == PLANT_TORN_RECORD ? 0 : __real_crc32_iscsi(p, len, init);
}

struct wanted {
	const char *key;
	void *to;
	size_t max, len;
};

static int look(void *arg, const char *key, const void *value, size_t len)
{
	struct wanted *w = arg;

	if (strcmp(key, w->key) != 0)
		return 0;
	w->len = len;
	if (w->max)
		memcpy(w->to, value, len < w->max ? len : w->max);
	return 0;
}

size_t fs_value(struct node *n, const char *key, void *to, size_t max)
{
	struct wanted w = { .key = key, .to = to, .max = max };
	struct store *s;
	char err[512];

	n->sim->cur = n;
	if (__real_store_file_open(SIM_STATE_DIR, &s, err, sizeof(err))) {
		sim_fail(n->sim, "node %u: %s", n->id, err);
		return 0;
	}
	store_each(s, look, &w);
	store_close(s);
	return w.len;
}
