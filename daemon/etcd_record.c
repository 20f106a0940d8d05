/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/etcd_record.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/persist.h"
#include "daemon/config/generation.h"

/* As text: JSON's numbers are signed. */
static json_t *number(uint64_t v)
{
	return json_sprintf("%llu", (unsigned long long)v);
}

static bool take_number(const json_t *object, const char *key, uint64_t *out)
{
	const char *text = json_string_value(json_object_get(object, key));
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !*end && !errno;
}

static char *dump(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return text;
}

char *etcd_record_text(const struct etcd_record *r)
{
	return dump(json_pack("{s:o, s:o, s:o, s:o, s:s}", "generation", number(r->generation), "history",
			      number(r->history), "position", number(r->position), "config", number(r->config), "node",
			      r->node));
}

int etcd_record_parse(struct etcd_record *r, const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *node = json_string_value(json_object_get(o, "node"));
	bool ok = node && strlen(node) < sizeof(r->node) && take_number(o, "generation", &r->generation) &&
		  take_number(o, "history", &r->history) && take_number(o, "position", &r->position) &&
		  take_number(o, "config", &r->config) && r->generation && r->history;

	if (ok)
		snprintf(r->node, sizeof(r->node), "%s", node);
	json_decref(o);
	return ok ? 0 : -EBADMSG;
}

static json_t *groups_json(const struct config_generation *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->ngroups; i++)
		json_array_append_new(list, json_string(g->group[i]));
	return list;
}

/* Without groups as version 2 writes it: nodes of both may look after the same key. */
char *etcd_generation_text(const struct config_generation *g)
{
	return dump(json_pack("{s:o, s:o, s:s, s:s, s:s, s:o*, s:o}", "number", number(g->number), "time",
			      number(g->time), "author", g->author, "note", g->note, "slots", g->slots, "groups",
			      g->ngroups ? groups_json(g) : NULL, "text", json_stringn(g->text, g->len)));
}

static char *take_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? strdup(s) : NULL;
}

/* Older versions tell none. */
static bool take_groups(struct config_generation *g, const json_t *list)
{
	g->group = calloc(json_array_size(list) + 1, sizeof(*g->group));
	for (size_t i = 0; g->group && i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		g->group[i] = name ? strdup(name) : NULL;
		if (!g->group[i])
			return false;
		g->ngroups++;
	}
	return g->group && config_groups_fit((const char *const *)g->group, g->ngroups);
}

int etcd_generation_parse(struct config_generation *g, const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	bool ok;

	*g = (struct config_generation){ .text = take_text(o, "text"), .slots = take_text(o, "slots"),
					 .author = take_text(o, "author"), .note = take_text(o, "note") };
	g->len = g->text ? strlen(g->text) : 0;
	ok = g->len && g->len <= CONFIG_TEXT_MAX && g->slots && strlen(g->slots) <= CONFIG_SLOTS_MAX && g->author &&
	     g->note && take_number(o, "number", &g->number) && take_number(o, "time", &g->time) && g->number &&
	     take_groups(g, json_object_get(o, "groups"));
	json_decref(o);
	if (!ok)
		config_generation_fini(g);
	return ok ? 0 : -EBADMSG;
}

enum etcd_verdict etcd_record_judge(const struct etcd_record *etcd, const struct replog_lineage *own, uint64_t config)
{
	if (etcd->history == own->history && etcd->generation == own->generation)
		return etcd->config == config ? ETCD_SAME : ETCD_OLDER;
	return persist_lineage_is_older(own, etcd->generation, etcd->history) ? ETCD_NEWER : ETCD_OLDER;
}
