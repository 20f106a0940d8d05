/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs of the control protocol (docs/control.md): what sandemctl asks, answered from the live objects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "core/target.h"
#include "daemon/config/config.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/etcd_sync.h"
#include "daemon/options.h"
#include "daemon/verbs_config.h"
#include "drivers/iscsi/iscsi.h"

/* ---- groups ------------------------------------------------------------------------------------------ */

static json_t *group_json(struct daemon *d, struct ownership *o)
{
	const struct group *g = alua_service_group(d->alua, o->group);
	json_t *luns = json_array(), *ports = json_array();
	struct alua_situation s;

	effects_situation(o, &s);
	for (uint32_t i = 0; i < o->nlus; i++)
		json_array_append_new(luns, json_string(o->lu[i]->name));
	for (size_t i = 0; i < d->config->nnodes; i++)
		json_array_append_new(ports, json_pack("{s:s, s:s}", "node", d->config->node[i].name, "state",
						       alua_state_text(alua_state_of(&s, d->config->node[i].id))));
	return json_pack("{s:s, s:s?, s:b, s:I, s:s, s:b, s:o, s:o, s:s?}", "name", o->group, "owner",
			 g->owner ? daemon_node_name(d, g->owner) : NULL, "owner_lost", g->lost, "epoch",
			 (json_int_t)g->epoch, "state", alua_state_text(alua_state_of(&s, d->node)), "failed", o->failed, "ports", ports,
			 "luns", luns, "error", o->error[0] ? o->error : NULL);
}

static json_t *groups_json(struct daemon *d)
{
	json_t *groups = json_array();

	for (uint32_t i = 0; i < d->ngroups; i++)
		json_array_append_new(groups, group_json(d, d->ownership[i]));
	return groups;
}

static void verb_group_list(void *arg, const json_t *args, struct control_reply *reply)
{
	(void)args;
	control_ok(reply, json_pack("{s:o}", "groups", groups_json(arg)));
}

struct move {
	struct control_reply *reply;
	struct ownership *o;
};

static void moved(void *arg, bool ok, const char *message)
{
	struct move m = *(struct move *)arg;

	free(arg);
	if (ok)
		control_ok(m.reply, group_json(m.o->d, m.o));
	else
		control_error(m.reply, CONTROL_REFUSED, "group %s: %s", m.o->group, message);
}

static void group_move(struct daemon *d, const json_t *args, struct control_reply *reply,
		       void (*start)(struct ownership *, ownership_done_fn, void *))
{
	const char *name = control_arg_string(args, "name", reply);
	struct ownership *o = name ? ownership_find(d, name) : NULL;
	struct move *m;

	if (!name)
		return;
	m = o ? malloc(sizeof(*m)) : NULL;
	if (!m) {
		control_error(reply, o ? CONTROL_FAILED : CONTROL_USAGE, "group %s: %s", name,
			      o ? "out of memory" :
				  "there is none of that name; `sandemctl group list` shows those of the configuration");
		return;
	}
	*m = (struct move){ reply, o };
	start(o, moved, m);
}

static void verb_group_promote(void *arg, const json_t *args, struct control_reply *reply)
{
	group_move(arg, args, reply, ownership_promote);
}

static void verb_group_demote(void *arg, const json_t *args, struct control_reply *reply)
{
	group_move(arg, args, reply, ownership_demote);
}

/* ---- status, cluster ------------------------------------------------------------------------------------ */

static uint64_t monotonic_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static json_t *members_json(struct daemon *d, bool detailed)
{
	struct cluster_member m[NODES_MAX];
	size_t n = cluster_members(d->cluster, m, NODES_MAX);
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, detailed ? json_pack("{s:s, s:i, s:b, s:I, s:i}", "node", m[i].name, "id",
								(int)m[i].id, "synced", m[i].synced, "acknowledged",
								(json_int_t)m[i].acked, "protocol_max",
								(int)m[i].version_max) :
						      json_string(m[i].name));
	return out;
}

static bool is_in(const uint32_t *ids, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Of this node to each other node; empty where no group forwards. */
static json_t *links_json(const struct daemon *d)
{
	json_t *links = json_array();

	for (size_t i = 0; d->link && i < d->config->nnodes; i++) {
		const struct config_node *n = &d->config->node[i];

		if (n->id != d->node)
			json_array_append_new(links, json_pack("{s:s, s:b, s:b}", "node", n->name, "to",
							       is_in(d->link_to, d->nlink_to, n->id), "from",
							       is_in(d->link_from, d->nlink_from, n->id)));
	}
	return links;
}

static json_t *status_json(struct daemon *d, bool detailed)
{
	uint32_t lost[NODES_MAX];
	size_t n = cluster_unfenced(d->cluster, lost, NODES_MAX);
	json_t *unfenced = json_array(), *store = etcd_sync_json(d);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(unfenced, json_string(daemon_node_name(d, lost[i])));
	return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:I, s:i, s:s, s:I, s:o, s:o, s:o}", "node", d->node_name, "state",
			 cluster_state_name(cluster_state(d->cluster)), "why", cluster_why(d->cluster), "quorate",
			 cluster_quorate(d->cluster), "members", members_json(d, detailed), "unfenced", unfenced,
			 "position", (json_int_t)cluster_position(d->cluster), "protocol",
			 (int)cluster_version(d->cluster), "version", SANDEM_VERSION, "uptime_s",
			 (json_int_t)(monotonic_s() - d->started), "groups", groups_json(d), "links",
			 links_json(d), "store", store ? store : json_pack("{s:s}", "type", "file"));
}

static void verb_status(void *arg, const json_t *args, struct control_reply *reply)
{
	(void)args;
	control_ok(reply, status_json(arg, false));
}

static void verb_cluster_status(void *arg, const json_t *args, struct control_reply *reply)
{
	(void)args;
	control_ok(reply, status_json(arg, true));
}

static bool is_member(const struct daemon *d, uint32_t id)
{
	struct cluster_member m[NODES_MAX];
	size_t n = cluster_members(d->cluster, m, NODES_MAX);

	for (size_t i = 0; i < n; i++)
		if (m[i].id == id)
			return true;
	return false;
}

/* Index into config->node[], or -1 with the reply ended. */
static int node_arg(const struct daemon *d, const json_t *args, const char *name, struct control_reply *reply)
{
	const char *node = control_arg_string(args, name, reply);
	int i = node ? config_find_node(d->config, node) : -1;

	if (node && i < 0)
		control_error(reply, CONTROL_USAGE, "node %s: there is none of that name under nodes: in the configuration",
			      node);
	return i;
}

static void verb_cluster_fenced(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	int i = node_arg(d, args, "node", reply);

	if (i < 0)
		return;
	if (is_member(d, d->config->node[i].id)) {
		control_error(reply, CONTROL_REFUSED, "node %s is a member of the cluster; it is not fenced",
			      d->config->node[i].name);
		return;
	}
	cluster_fencing_confirmed(d->cluster, d->config->node[i].id);
	control_ok(reply, NULL);
}

static void verb_cluster_resolve(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	int i = node_arg(d, args, "keep", reply);
	bool own = i >= 0 && d->config->node[i].id == d->node;

	if (i < 0)
		return;
	if ((own ? cluster_keep_own(d->cluster) : cluster_discard_own(d->cluster)) == 0) {
		if (own)
			etcd_sync_override(d);
		control_ok(reply, NULL);
	} else {
		control_error(reply, CONTROL_REFUSED, "there is nothing to resolve on this node: it is %s (%s)",
			      cluster_state_name(cluster_state(d->cluster)), cluster_why(d->cluster));
	}
}

static void verb_shutdown(void *arg, const json_t *args, struct control_reply *reply)
{
	(void)args;
	control_ok(reply, NULL);
	daemon_shutdown(arg, "asked to by sandemctl");
}

/* ---- logical units ---------------------------------------------------------------------------------------- */

struct lu_totals {
	uint64_t reads, writes, read_bytes, write_bytes, errors;
};

/* Counters are the reactors' own; a reader on this thread may see them a moment apart. */
static struct lu_totals totals(const struct lu *lu)
{
	struct lu_totals t = { 0 };

	for (unsigned i = 0; i < lu->core->nreactors; i++) {
		const struct lu_shard *s = &lu->shard[i];

		t.reads += __atomic_load_n(&s->reads, __ATOMIC_RELAXED);
		t.writes += __atomic_load_n(&s->writes, __ATOMIC_RELAXED);
		t.read_bytes += __atomic_load_n(&s->read_bytes, __ATOMIC_RELAXED);
		t.write_bytes += __atomic_load_n(&s->write_bytes, __ATOMIC_RELAXED);
		t.errors += __atomic_load_n(&s->errors, __ATOMIC_RELAXED);
	}
	return t;
}

static void append_luns(json_t *out, const struct target *t, const struct lu *lu)
{
	uint16_t nacls;
	const struct initiator_acl *acl = target_acls(t, &nacls);

	for (uint16_t a = 0; a < nacls; a++)
		for (uint16_t i = 0; i < acl[a].nluns; i++)
			if (acl[a].lun[i].lu == lu)
				json_array_append_new(out, json_pack("{s:s, s:i}", "target", t->name, "lun",
								     (int)acl[a].lun[i].lun));
}

static json_t *lu_targets(const struct daemon *d, const struct lu *lu)
{
	json_t *out = json_array();

	for (uint32_t t = 0; t < d->core.ntargets; t++)
		append_luns(out, d->core.target[t], lu);
	return out;
}

static json_t *lu_json(const struct daemon *d, const struct lu *lu)
{
	struct lu_totals t = totals(lu);
	char naa[2 * sizeof(lu->id.naa) + 1] = "";

	for (uint8_t i = 0; i < lu->id.naa_len; i++)
		sprintf(naa + 2 * i, "%02x", lu->id.naa[i]);
	return json_pack("{s:s, s:s, s:I, s:i, s:s, s:s?, s:s, s:s, s:b, s:b, s:b, s:o, s:I, s:I, s:I, s:I, s:I}", "name",
			 lu->name, "group", lu->group, "size",
			 (json_int_t)(__atomic_load_n(&lu->blocks, __ATOMIC_RELAXED) * lu->block_size), "block_size",
			 (int)lu->block_size, "handler", lu->disk_params.handler, "path", lu->disk_params.path,
			 "serial", lu->id.serial, "naa", naa, "read_only", lu->read_only, "open", lu->disk != NULL,
			 "ejected", removal_is_ejected(d, lu),
			 "targets", lu_targets(d, lu), "reads", (json_int_t)t.reads, "writes", (json_int_t)t.writes,
			 "read_bytes", (json_int_t)t.read_bytes, "write_bytes", (json_int_t)t.write_bytes, "errors",
			 (json_int_t)t.errors);
}

static void verb_lun_list(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	json_t *luns = json_array();

	(void)args;
	for (uint32_t i = 0; i < d->core.nlus; i++)
		json_array_append_new(luns, lu_json(d, d->core.lu[i]));
	control_ok(reply, json_pack("{s:o}", "luns", luns));
}

struct lu_change { /* that an operator waits for */
	struct daemon *d;
	struct control_reply *reply;
};

static void changed(void *arg, struct lu *lu, const char *error)
{
	struct lu_change r = *(struct lu_change *)arg;

	free(arg);
	if (error)
		control_error(r.reply, CONTROL_REFUSED, "LUN %s: %s", lu->name, error);
	else
		control_ok(r.reply, lu_json(r.d, lu));
}

/* NULL: the reply is ended. */
static struct lu *lu_arg(struct daemon *d, const json_t *args, struct control_reply *reply)
{
	const char *name = control_arg_string(args, "lun", reply);
	struct lu *lu = name ? core_find_lu(&d->core, name) : NULL;

	if (name && !lu)
		control_error(reply, CONTROL_USAGE, "LUN %s: there is none of that name; `sandemctl lun list` shows them",
			      name);
	return lu;
}

static void verb_lun_resize(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	struct lu *lu = lu_arg(d, args, reply);
	const json_t *size = json_object_get(args, "size");
	uint64_t bytes = 0;
	struct lu_change *r;

	if (!lu)
		return;
	if (size && (!json_is_string(size) || options_size(json_string_value(size), &bytes) < 0 || bytes < LU_SIZE_MIN ||
		     bytes > LU_SIZE_MAX)) {
		control_error(reply, CONTROL_USAGE, "LUN %s: \"%s\" is not a size from 64K to 1024P; use a number of bytes or a "
			      "suffix K, M, G, T, P", lu->name, json_is_string(size) ? json_string_value(size) : "(no text)");
		return;
	}
	r = malloc(sizeof(*r));
	if (!r) {
		control_error(reply, CONTROL_FAILED, "LUN %s: out of memory", lu->name);
		return;
	}
	*r = (struct lu_change){ d, reply };
	media_resize(d, lu, bytes, changed, r);
}

static void removed(void *arg, struct lu *lu, sense_t s, const char *error)
{
	(void)s;
	changed(arg, lu, error);
}

/* NULL: the reply is ended. */
static struct lu *removable_arg(struct daemon *d, const json_t *args, struct control_reply *reply, struct lu_change **r)
{
	struct lu *lu = lu_arg(d, args, reply);

	if (lu && !lu->removable) {
		control_error(reply, CONTROL_REFUSED, "LUN %s: its medium is not removable; see `removable` in sandem.yaml",
			      lu->name);
		return NULL;
	}
	*r = lu ? malloc(sizeof(**r)) : NULL;
	if (lu && !*r) {
		control_error(reply, CONTROL_FAILED, "LUN %s: out of memory", lu->name);
		return NULL;
	}
	if (lu)
		**r = (struct lu_change){ d, reply };
	return lu;
}

static void verb_lun_eject(void *arg, const json_t *args, struct control_reply *reply)
{
	const char *how = json_string_value(json_object_get(args, "force"));
	struct lu_change *r;
	struct lu *lu;

	if (json_object_get(args, "force") && (!how || strcmp(how, "force"))) {
		control_error(reply, CONTROL_USAGE, "lun eject: \"%s\" is not known; use `lun eject NAME` or `lun eject NAME force`",
			      how ? how : "(no text)");
		return;
	}
	lu = removable_arg(arg, args, reply, &r);
	if (lu)
		removal_eject(arg, lu, how, removed, r);
}

static void verb_lun_load(void *arg, const json_t *args, struct control_reply *reply)
{
	struct lu_change *r;
	struct lu *lu = removable_arg(arg, args, reply, &r);

	if (lu)
		removal_load(arg, lu, NULL, removed, r);
}

/* ---- reservations --------------------------------------------------------------------------------------------- */

static const char *type_text(enum pr_type t)
{
	switch (t) {
	case PR_NONE:
		return NULL;
	case PR_WRITE_EXCLUSIVE:
		return "write exclusive";
	case PR_EXCLUSIVE_ACCESS:
		return "exclusive access";
	case PR_WRITE_EXCLUSIVE_RO:
		return "write exclusive, registrants only";
	case PR_EXCLUSIVE_ACCESS_RO:
		return "exclusive access, registrants only";
	case PR_WRITE_EXCLUSIVE_AR:
		return "write exclusive, all registrants";
	case PR_EXCLUSIVE_ACCESS_AR:
		return "exclusive access, all registrants";
	}
	return NULL;
}

static json_t *registrant_json(const struct pr_registrant *r)
{
	char key[24];

	snprintf(key, sizeof(key), "0x%016llx", (unsigned long long)r->key);
	return json_pack("{s:s, s:i, s:s}", "port", r->id.port, "rtpi", (int)r->id.rtpi, "key", key);
}

static json_t *pr_json(const char *lun, const struct pr_lu *state)
{
	static const struct pr none;
	const struct pr *pr = state ? &state->pr : &none;
	json_t *registrants = json_array();

	for (uint32_t i = 0; i < pr->n; i++)
		json_array_append_new(registrants, registrant_json(pr->reg[i]));
	return json_pack("{s:s, s:I, s:b, s:s?, s:o?, s:o, s:o?}", "lun", lun, "generation",
			 (json_int_t)pr->generation, "aptpl", pr->aptpl, "type", type_text(pr->type), "holder",
			 pr->holder ? registrant_json(pr->holder) : NULL, "registrants", registrants, "spc2_holder",
			 state && state->spc2_reserved ?
				 json_pack("{s:s, s:i}", "port", state->spc2_holder.port, "rtpi",
					   (int)state->spc2_holder.rtpi) :
				 NULL);
}

static void verb_pr_show(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	struct lu *lu = lu_arg(d, args, reply);

	if (lu)
		control_ok(reply, pr_json(lu->name, pr_service_find(d->pr, lu->name)));
}

/* ---- sessions -------------------------------------------------------------------------------------------------- */

struct session_query {
	struct daemon *d;
	struct control_reply *reply;
};

static int tpgt_of(const struct daemon *d, const char *target)
{
	const struct target *t = target_find((struct core *)&d->core, target);

	return t ? target_local_port(t)->tpgt : 0;
}

static json_t *session_json(const struct daemon *d, const struct iscsi_session_row *r)
{
	char isid[16];

	snprintf(isid, sizeof(isid), "0x%012llx", (unsigned long long)r->isid);
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:I, s:i, s:I}", "node", d->node_name, "initiator",
			 r->initiator, "peer", r->peer, "target", r->target, "tpgt", tpgt_of(d, r->target), "isid", isid, "tsih",
			 (int)r->tsih, "reactor", (int)r->reactor, "since", (json_int_t)r->since,
			 "commands_in_flight", (int)r->in_flight, "commands", (json_int_t)r->commands);
}

static const struct target *target_of(const struct daemon *d, uint16_t rtpi)
{
	for (uint32_t t = 0; t < d->core.ntargets; t++)
		for (uint16_t p = 0; p < d->core.target[t]->nports; p++)
			if (d->core.target[t]->port[p].rtpi == rtpi)
				return d->core.target[t];
	return NULL;
}

/* Of another node: what the directory has. Initiator and ISID are the two parts of the port's name (RFC 7143 4.2.7). */
static json_t *entry_json(const struct daemon *d, const struct directory_entry *e)
{
	const struct target *t = target_of(d, e->nexus.rtpi);
	const char *isid = strstr(e->nexus.port, ",i,");
	int len = isid ? (int)(isid - e->nexus.port) : (int)strlen(e->nexus.port);

	return json_pack("{s:s, s:s%, s:s, s:s?, s:i, s:s?, s:n, s:n, s:I, s:n, s:n}", "node", daemon_node_name(d, e->node),
			 "initiator", e->nexus.port, len, "peer", e->peer, "target", t ? t->name : NULL, "tpgt", (int)e->node,
			 "isid", isid ? isid + 3 : NULL, "tsih", "reactor", "since", (json_int_t)e->since, "commands_in_flight",
			 "commands");
}

static void sessions_known(void *arg, const struct iscsi_session_row *row, size_t n)
{
	struct session_query q = *(struct session_query *)arg;
	json_t *sessions = json_array();

	free(arg);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(sessions, session_json(q.d, &row[i]));
	for (size_t i = 0; i < q.d->directory.n; i++)
		if (q.d->directory.entry[i]->node != q.d->node)
			json_array_append_new(sessions, entry_json(q.d, q.d->directory.entry[i]));
	control_ok(q.reply, json_pack("{s:o}", "sessions", sessions));
}

static void verb_session_list(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	struct session_query *q = malloc(sizeof(*q));

	(void)args;
	if (q)
		*q = (struct session_query){ d, reply };
	if (d->stopping || !d->iscsi || !q || iscsi_sessions(d->iscsi, sessions_known, q) < 0) {
		free(q);
		control_error(reply, CONTROL_FAILED, "sessions can't be listed: %s",
			      d->stopping || !d->iscsi ? "the daemon's portals are not open" : "out of memory");
	}
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct control_verb verbs[] = {
	{ "status", verb_status },
	{ "lun list", verb_lun_list },
	{ "lun resize", verb_lun_resize },
	{ "lun eject", verb_lun_eject },
	{ "lun load", verb_lun_load },
	{ "session list", verb_session_list },
	{ "group list", verb_group_list },
	{ "group promote", verb_group_promote },
	{ "group demote", verb_group_demote },
	{ "pr show", verb_pr_show },
	{ "cluster status", verb_cluster_status },
	{ "cluster fenced", verb_cluster_fenced },
	{ "cluster resolve", verb_cluster_resolve },
	{ "config show", verb_config_show },
	{ "config history", verb_config_history },
	{ "config diff", verb_config_diff },
	{ "config apply", verb_config_apply },
	{ "config rollback", verb_config_rollback },
	{ "shutdown", verb_shutdown },
	{ NULL, NULL },
};

int verbs_start(struct daemon *d, const char *run_dir, char *err, size_t errlen)
{
	return control_start(&d->control, d->loop, run_dir, verbs, d, err, errlen);
}

void verbs_stop(struct daemon *d)
{
	control_stop(d->control);
	d->control = NULL;
}
