/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw structs and defaults to a struct config: texts become values, names become indices. Logical units: build_lu.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/build.h"
#include "daemon/config/names.h"
#include "daemon/config/raw.h"
#include "daemon/config/value.h"
#include "daemon/options.h"

int take_reference(struct build *b, const struct names *names, const char *kind, const char *name, int *out)
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

/* ---- cluster, nodes and groups ---- */

/* b->path is the key. NULL text: *out stays. That it looks like a URL (RFC 3986); what it names is not looked at. */
static int take_url(struct build *b, const char *text, char **out)
{
	size_t len = text ? strlen(text) : 0;
	const char *colon = text ? strstr(text, "://") : NULL;
	bool good = colon && colon > text && colon[3] && len <= URL_MAX;

	for (size_t i = 0; i < len && good; i++)
		good = text[i] > ' ' && text[i] < 0x7f;
	if (text && !good)
		return FAIL(b, "\"%s\" is not a URL of at most %d characters; use e.g. \"https://192.0.2.1/\"", text,
			    URL_MAX);
	return text ? copy_text(b, out, text) : 0;
}

static int build_cluster(struct build *b)
{
	const struct raw_cluster *r = &b->raw->cluster;
	const char *program = r->move_program ? r->move_program : MOVE_PROGRAM_DEFAULT;
	struct config *c = b->c;
	int rc;

	c->log = OR(r->log, CONFIG_LOG_CPG);
	c->link_tls = OR(r->link_tls, false);
	c->explicit_alua = OR(r->explicit_alua, false);
	AT(b, "cluster.move_program");
	if (program[0] != '/')
		return FAIL(b, "\"%s\" is not an absolute path; begin with /", program);
	rc = copy_text(b, &c->cluster, r->name);
	if (rc == 0)
		rc = copy_text(b, &c->key_file, r->key_file ? r->key_file : KEY_FILE_DEFAULT);
	if (rc == 0)
		rc = copy_text(b, &c->move_program, program);
	AT(b, "cluster.management_url");
	return rc < 0 ? rc : take_url(b, r->management_url, &c->management_url);
}

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
	AT(b, "nodes[%zu].management_url", i);
	if (take_url(b, r->management_url, &n->management_url) < 0)
		return -EINVAL;
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
	static int (*const steps[])(struct build *) = { build_cluster, build_nodes,  build_groups, build_lus,
							build_targets, build_daemon, build_iscsi,  build_store };
	int rc = 0;

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
