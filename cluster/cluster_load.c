/* SPDX-License-Identifier: BSD-2-Clause */
/* What this node has stored: handed to the services, or refused with what to do about it (P9). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster_int.h"

struct loading {
	const struct cluster_params *p;
	struct replog_lineage *lineage;
	struct cluster_loaded *out;
	char *err;
	size_t errlen;
};

static const struct service *service_named(const struct cluster_params *p, const char *key, size_t len)
{
	for (size_t i = 0; i < p->nservices; i++)
		if (strlen(p->services[i].ops->name) == len && !memcmp(p->services[i].ops->name, key, len))
			return &p->services[i];
	return NULL;
}

static int note_loaded(struct cluster_loaded *l, uint16_t service, const char *object)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 32;
		struct replog_durable *d = reallocarray(l->durable, cap, sizeof(*d));

		if (!d)
			return -ENOMEM;
		l->durable = d;
		l->cap = cap;
	}
	l->durable[l->n].object = strdup(object);
	l->durable[l->n].service = service;
	return l->durable[l->n++].object ? 0 : -ENOMEM;
}

static int load_version(struct loading *ld, const void *value, size_t len)
{
	uint32_t version, spoken = ld->p->version_max ? ld->p->version_max : REPLOG_VERSION;

	if (persist_version_parse(&version, value, len)) {
		snprintf(ld->err, ld->errlen, "%s: the record of the protocol's version is not readable: restore the directory, or "
			 "move it away to take the other nodes' state", ld->p->state_dir);
		return -EBADMSG;
	}
	if (version > spoken) {
		snprintf(ld->err, ld->errlen, "%s: the cluster uses protocol version %u, this program speaks up to %u: "
			 "update sandemd; there is no way back", ld->p->state_dir, version, spoken);
		return -EPROTONOSUPPORT;
	}
	ld->lineage->version = version;
	return 0;
}

static int load_one(void *arg, const char *key, const void *value, size_t len)
{
	struct loading *ld = arg;
	const char *slash = strchr(key, '/');
	const struct service *s;
	char why[192] = "";

	if (!strcmp(key, PERSIST_LINEAGE_KEY)) {
		if (!persist_lineage_parse(ld->lineage, value, len))
			return 0;
		snprintf(ld->err, ld->errlen, "%s: the record of the cluster's history is not readable: restore the directory, "
			 "or move it away to take the other nodes' state", ld->p->state_dir);
		return -EBADMSG;
	}
	if (!strcmp(key, PERSIST_VERSION_KEY))
		return load_version(ld, value, len);
	s = slash ? service_named(ld->p, key, slash - key) : NULL;
	if (!s || !s->ops->load) {
		snprintf(ld->err, ld->errlen, "%s: \"%s\" is of a service that this version does not have: update sandemd",
			 ld->p->state_dir, key);
		return -EBADMSG;
	}
	if (s->ops->load(s->state, slash + 1, value, len, why, sizeof(why))) {
		snprintf(ld->err, ld->errlen, "%s: \"%s\" is refused: %s; restore the directory, or move it away to take the "
			 "other nodes' state", ld->p->state_dir, key, why);
		return -EBADMSG;
	}
	return note_loaded(ld->out, s->ops->id, slash + 1);
}

/* A service that the version in use does not have has kept nothing. */
static int loaded_check(struct loading *ld)
{
	uint32_t version = ld->lineage->version ? ld->lineage->version : 1;

	for (size_t i = 0; i < ld->out->n; i++) {
		for (size_t k = 0; k < ld->p->nservices; k++) {
			const struct service_ops *ops = ld->p->services[k].ops;

			if (ops->id != ld->out->durable[i].service || ops->since <= version)
				continue;
			snprintf(ld->err, ld->errlen, "%s: \"%s/%s\" needs protocol version %u, and the directory is of version %u: "
				 "restore it, or move it away to take the other nodes' state", ld->p->state_dir, ops->name,
				 ld->out->durable[i].object, ops->since, version);
			return -EBADMSG;
		}
	}
	return 0;
}

int cluster_load(struct store *store, const struct cluster_params *p, struct replog_lineage *lineage,
		 struct cluster_loaded *out, char *err, size_t errlen)
{
	struct loading ld = { .p = p, .lineage = lineage, .out = out, .err = err, .errlen = errlen };
	int code;

	*lineage = (struct replog_lineage){ 0 };
	*out = (struct cluster_loaded){ 0 };
	snprintf(err, errlen, "%s: out of memory while loading", p->state_dir);
	code = store_each(store, load_one, &ld);
	return code ? code : loaded_check(&ld);
}

void cluster_loaded_fini(struct cluster_loaded *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((char *)l->durable[i].object);
	free(l->durable);
}
