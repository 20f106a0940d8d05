/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control verbs `config …` (docs/control.md), and what an operator on this node has asked for until it is decided:
 *
 *   config apply ─ plan ─ diff ─ PREPARE ─▶ votes ─┬─ all good ─ COMMIT ─ acknowledged by every member ─▶ ok
 *                                                  └─ one is not, the membership changed, 30 s ─ ABORT ─▶ refused
 */
#include <errno.h>
#include <qb/qbutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/config/generation.h"
#include "daemon/config/service.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/reconfig.h"
#include "daemon/regroup.h"
#include "daemon/verbs_config.h"

#define ASK_LIMIT_S 30

enum ask_phase { ASK_PREPARING, ASK_VOTES, ASK_COMMITTING, ASK_ABORTING };

struct reconfig_ask {
	struct daemon *d;
	struct control_reply *reply;
	enum ask_phase phase;
	uint64_t token, number;
	json_t *changes;
	char why[900]; /* ASK_ABORTING: what the operator is told */
	qb_loop_timer_handle timer;
	bool timer_armed;
};

struct lookup { /* a text that an operator wants compared or applied */
	struct daemon *d;
	struct control_reply *reply;
	bool apply;
	uint64_t base; /* generation that it was compared with; 0: any */
	char note[80];
};

/* ---- what is shown ---------------------------------------------------------------------------------------- */

static json_t *generation_json(const struct config_generation *g)
{
	return json_pack("{s:I, s:I, s:s, s:s, s:I}", "generation", (json_int_t)g->number, "time", (json_int_t)g->time,
			 "author", g->author, "note", g->note, "bytes", (json_int_t)g->len);
}

static json_t *changes_json(const struct config_diff *diff)
{
	json_t *out = json_array();

	for (size_t i = 0; i < diff->n; i++) {
		const struct config_change *c = &diff->change[i];

		json_array_append_new(out, json_pack("{s:s, s:s?, s:s}", "change", config_change_word(c->kind), "name",
						     c->name, "text", c->text));
	}
	return out;
}

/* NULL, with the reply ended: this node has no generations. */
static const struct config_generation *current(struct daemon *d, struct control_reply *reply)
{
	const struct config_generation *g = config_service_current(d->generations);

	if (!d->reconfig->own_text)
		control_error(reply, CONTROL_REFUSED, "sandemd runs with --standalone: its configuration is the command line; "
			      "restart it with other options");
	else if (!g && !cluster_has(d->cluster, CONFIG_SERVICE_ID))
		control_error(reply, CONTROL_REFUSED, "the configuration can't be changed online yet: not until every node runs this "
			      "version and is in the cluster; look with `sandemctl cluster status`");
	else if (!g)
		control_error(reply, CONTROL_REFUSED, "the cluster has no generation of the configuration yet: it is made from "
			      "sandem.yaml when the cluster serves first; now it is %s (%s)",
			      cluster_state_name(cluster_state(d->cluster)), cluster_why(d->cluster));
	return d->reconfig->own_text ? g : NULL;
}

/* The generation that args name, or otherwise; NULL with the reply ended. */
static const struct config_generation *wanted(struct daemon *d, const json_t *args, struct control_reply *reply)
{
	const struct config_generation *g = current(d, reply), *found;
	const char *text = json_string_value(json_object_get(args, "generation"));
	char *end = NULL;
	unsigned long long number;

	if (!g || !json_object_get(args, "generation"))
		return g;
	number = text ? strtoull(text, &end, 10) : 0;
	if (!text || !*text || *end) {
		control_error(reply, CONTROL_USAGE, "generation \"%s\": is not a number; `sandemctl config history` shows them",
			      text ? text : "(no text)");
		return NULL;
	}
	found = config_service_find(d->generations, number);
	if (!found)
		control_error(reply, CONTROL_REFUSED, "generation %s: there is none of that number among the last %d; `sandemctl "
			      "config history` shows them", text, CONFIG_HISTORY);
	return found;
}

void verb_config_show(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	const struct config_generation *g = wanted(d, args, reply);
	json_t *out;

	if (!g)
		return;
	out = generation_json(g);
	json_object_set_new(out, "text", json_stringn(g->text, g->len));
	json_object_set_new(out, "running", json_integer(d->reconfig->running));
	json_object_set_new(out, "file_differs", json_boolean(d->reconfig->file_differs));
	control_ok(reply, out);
}

void verb_config_history(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	const struct config_service *svc = d->generations;
	json_t *list = json_array();

	(void)args;
	if (!current(d, reply)) {
		json_decref(list);
		return;
	}
	for (size_t i = 0; i < svc->n; i++)
		json_array_append_new(list, generation_json(&svc->generation[i]));
	control_ok(reply, json_pack("{s:o, s:I, s:b}", "generations", list, "running", (json_int_t)d->reconfig->running,
				    "file_differs", d->reconfig->file_differs));
}

/* ---- the end of an order -------------------------------------------------------------------------------------- */

static struct control_reply *ask_end(struct reconfig_ask *a)
{
	struct control_reply *reply = a->reply;

	if (a->timer_armed)
		qb_loop_timer_del(a->d->loop, a->timer);
	a->d->reconfig->ask = NULL;
	json_decref(a->changes);
	free(a);
	return reply;
}

static void propose(struct reconfig_ask *a, const struct config_op *op, propose_done_fn done)
{
	struct proposer *p = cluster_proposer(a->d->cluster);
	struct wbuf msg = { 0 };

	config_service_pack(&msg, op);
	p->propose(p, CONFIG_SERVICE_ID, msg.data, msg.len, done, a);
	wbuf_fini(&msg);
}

static void aborted(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct reconfig_ask *a = cookie;
	char why[sizeof(a->why)];

	(void)status, (void)result, (void)len; /* where it could not be told the membership has changed, which ends it, too */
	snprintf(why, sizeof(why), "%s", a->why);
	control_error(ask_end(a), CONTROL_REFUSED, "%s; nothing was changed", why);
}

static void ask_abort(struct reconfig_ask *a)
{
	a->phase = ASK_ABORTING;
	propose(a, &(struct config_op){ .action = CONFIG_ABORT, .token = a->token }, aborted);
}

static const char *silent_nodes(const struct reconfig_ask *a, char *out, size_t len)
{
	const struct config_service *svc = a->d->generations;

	out[0] = '\0';
	for (size_t i = 0; i < svc->nmembers; i++)
		if (!config_service_vote(svc, svc->member[i]))
			snprintf(out + strlen(out), len - strlen(out), "%s%s", out[0] ? ", " : "",
				 daemon_node_name(a->d, svc->member[i]));
	return out;
}

static void too_late(void *arg)
{
	struct reconfig_ask *a = arg;
	char nodes[300];

	a->timer_armed = false;
	if (a->phase != ASK_VOTES)
		return; /* the log answers, or fails what waits for it */
	snprintf(a->why, sizeof(a->why), "node %s has not said within %d s whether it can take the configuration; look at "
		 "sandemd's log there", silent_nodes(a, nodes, sizeof(nodes)), ASK_LIMIT_S);
	ask_abort(a);
}

/* ---- prepare, votes, commit --------------------------------------------------------------------------------------- */

static void committed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct reconfig_ask *a = cookie;
	enum config_verdict v = len == 1 ? *(const uint8_t *)result : CONFIG_OVER;
	unsigned long long number = a->number;
	json_t *answer;

	if (status == PROPOSE_OK && v == CONFIG_OK) {
		answer = json_pack("{s:I, s:O}", "generation", (json_int_t)number, "changes", a->changes);
		control_ok(ask_end(a), answer);
	} else if (status == PROPOSE_OK && v == CONFIG_GROUP_OWNED) {
		control_error(ask_end(a), CONTROL_REFUSED, "a LUN group that the configuration is without has got an "
			      "owner meanwhile; take its resource out of the cluster manager first; nothing was changed");
	} else if (status == PROPOSE_UNKNOWN) {
		control_error(ask_end(a), CONTROL_FAILED, "this node has lost the cluster while generation %llu was put in "
			      "force: it is in force on all nodes or on none; look with `sandemctl config history`", number);
	} else {
		control_error(ask_end(a), CONTROL_REFUSED, "the membership of the cluster has changed meanwhile; nothing was "
			      "changed; repeat the command");
	}
}

void reconfig_ask_step(struct reconfig *r)
{
	const struct config_service *svc = r->d->generations;
	struct reconfig_ask *a = r->ask;
	const struct config_vote *v;

	if (!a || a->phase != ASK_VOTES)
		return;
	if (svc->token != a->token) {
		control_error(ask_end(a), CONTROL_REFUSED, "the membership of the cluster has changed meanwhile; nothing was "
			      "changed; repeat the command");
		return;
	}
	v = config_service_refusal(svc);
	if (v) {
		snprintf(a->why, sizeof(a->why), "node %s can't take it: %s", daemon_node_name(r->d, v->node), v->why);
		ask_abort(a);
	} else if (config_service_all_good(svc)) {
		a->phase = ASK_COMMITTING;
		propose(a, &(struct config_op){ .action = CONFIG_COMMIT, .token = a->token }, committed);
	}
}

static void conflict(struct control_reply *reply, const struct config_service *svc, uint64_t base)
{
	const struct config_generation *g = config_service_current(svc);

	control_error(reply, CONTROL_REFUSED, "generation %llu (%s, by %s) is in force now, and yours was compared with %llu: "
		      "somebody was faster; compare again with `sandemctl config diff`, then repeat",
		      (unsigned long long)(g ? g->number : 0), g ? g->note : "", g ? g->author : "nobody",
		      (unsigned long long)base);
}

static void prepared(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct reconfig_ask *a = cookie;
	struct daemon *d = a->d;
	uint64_t base = a->number - 1;
	enum config_verdict v = len == 1 ? *(const uint8_t *)result : CONFIG_OVER;

	if (status != PROPOSE_OK) {
		control_error(ask_end(a), CONTROL_REFUSED, "the cluster takes no configuration now: this node is %s (%s); "
			      "nothing was changed", cluster_state_name(cluster_state(d->cluster)), cluster_why(d->cluster));
	} else if (v == CONFIG_CONFLICT) {
		conflict(ask_end(a), d->generations, base);
	} else if (v != CONFIG_OK) {
		control_error(ask_end(a), CONTROL_REFUSED, "another configuration is being applied, asked for on node %s; wait "
			      "for its end, then compare again with `sandemctl config diff`",
			      daemon_node_name(d, d->generations->origin));
	} else {
		a->phase = ASK_VOTES;
		reconfig_ask_step(d->reconfig);
	}
}

static uint64_t new_token(void)
{
	uint64_t token = 0;

	while (!token)
		if (getrandom(&token, sizeof(token), 0) != sizeof(token))
			token = 0;
	return token;
}

static void ask_start(const struct lookup *k, struct reconfig_plan *p, uint64_t base, char *slots, json_t *changes)
{
	struct daemon *d = k->d;
	struct reconfig_ask *a = calloc(1, sizeof(*a));
	struct config_generation g = { .number = base + 1, .time = time(NULL), .text = p->text, .len = p->len,
				       .slots = slots, .author = (char *)d->node_name, .note = (char *)k->note,
				       .group = config_group_names(p->next) };

	if (!a || !g.group) {
		free(a);
		free(g.group);
		json_decref(changes);
		control_error(k->reply, CONTROL_FAILED, "out of memory");
		return;
	}
	g.ngroups = p->groups ? p->next->ngroups : 0;
	*a = (struct reconfig_ask){ .d = d, .reply = k->reply, .token = new_token(), .number = base + 1,
				    .changes = changes };
	a->timer_armed = qb_loop_timer_add(d->loop, QB_LOOP_MED, ASK_LIMIT_S * QB_TIME_NS_IN_SEC, a, too_late,
					   &a->timer) == 0;
	d->reconfig->ask = a;
	propose(a, &(struct config_op){ .action = CONFIG_PREPARE, .token = a->token, .wanted = &g }, prepared);
	free(g.group);
}

/* ---- texts ---------------------------------------------------------------------------------------------------------- */

/* NULL, or why the LUN groups of the text can't be; into why. */
static const char *groups_refusal(struct daemon *d, const struct reconfig_plan *p, char *why, size_t len)
{
	char **of_text = config_group_names(p->next);
	const char *const *name = (const char *const *)of_text;
	const struct group *held = name ? alua_service_held(d->alua, name, p->next->ngroups) : NULL;
	bool fit = name && config_groups_fit(name, p->next->ngroups);

	free(of_text);
	if (!p->groups || (fit && !held))
		return NULL;
	if (held && held->owner)
		snprintf(why, len, "group %s: it has an owner, node %s; take its resource out of the cluster manager first, "
			 "with pacemaker `crm resource stop` and `crm configure delete`", held->name,
			 daemon_node_name(d, held->owner));
	else if (held)
		snprintf(why, len, "group %s: its owner was lost, and it waits for the next one; let it have one, then take its "
			 "resource out of the cluster manager", held->name);
	else
		snprintf(why, len, "groups: their names have more than %u bytes together; give them shorter ones",
			 CONFIG_GROUPS_BYTES_MAX);
	return why;
}

static void apply_compared(const struct lookup *k, struct reconfig_plan *p, const struct config_diff *diff)
{
	const struct config_generation *g = config_service_current(k->d->generations);
	char *slots, why[300];

	if (diff->nrefused) {
		control_error(k->reply, CONTROL_REFUSED, "%s%s; nothing was changed", config_diff_refusal(diff),
			      diff->nrefused > 1 ? " (`sandemctl config diff` shows what else)" : "");
	} else if (groups_refusal(k->d, p, why, sizeof(why))) {
		control_error(k->reply, CONTROL_REFUSED, "%s; nothing was changed", why);
	} else if (k->d->reconfig->ask) {
		control_error(k->reply, CONTROL_REFUSED, "another configuration is being applied on this node; wait for its end");
	} else if (k->base && k->base != g->number) {
		conflict(k->reply, k->d->generations, k->base);
	} else if (!diff->n) {
		control_ok(k->reply, json_pack("{s:I, s:[]}", "generation", (json_int_t)g->number, "changes"));
	} else if (config_slots_take(p->next, g->slots) < 0 || !(slots = config_slots_text(p->next))) {
		control_error(k->reply, CONTROL_FAILED, "out of memory");
	} else {
		ask_start(k, p, g->number, slots, changes_json(diff));
		free(slots);
	}
}

static void compared(const struct lookup *k, struct reconfig_plan *p)
{
	const struct config_generation *g = config_service_current(k->d->generations);
	struct config_diff diff = { 0 };

	if (p->rc < 0) {
		control_error(k->reply, CONTROL_REFUSED, "%s", p->err.text);
	} else if (!g) {
		control_error(k->reply, CONTROL_REFUSED, "the cluster's configuration has gone meanwhile; repeat the command");
	} else if (config_diff(&diff, k->d->config, p->said, p->groups) < 0) {
		control_error(k->reply, CONTROL_FAILED, "out of memory");
	} else if (k->apply) {
		apply_compared(k, p, &diff);
	} else {
		control_ok(k->reply, json_pack("{s:I, s:o, s:I}", "base", (json_int_t)g->number, "changes",
					       changes_json(&diff), "refused", (json_int_t)diff.nrefused));
	}
	config_diff_fini(&diff);
}

static void looked_up(struct reconfig_plan *p)
{
	struct lookup *k = p->arg;

	compared(k, p);
	free(k);
	reconfig_plan_free(p);
}

static bool base_arg(const json_t *args, struct lookup *k)
{
	const json_t *base = json_object_get(args, "base");

	if (base && (!json_is_integer(base) || json_integer_value(base) < 1)) {
		control_error(k->reply, CONTROL_USAGE, "\"base\" is not the number of a generation");
		return false;
	}
	k->base = base ? (uint64_t)json_integer_value(base) : 0;
	return true;
}

static void look_up(struct lookup from, const char *name, const char *text, size_t len)
{
	struct reconfig_text t = { .name = name, .text = text, .len = len };
	struct lookup *k = malloc(sizeof(*k));

	if (k)
		*k = from;
	t.groups = regroup_possible(from.d);
	if (k && reconfig_plan(k->d, &t, looked_up, k))
		return;
	free(k);
	control_error(from.reply, CONTROL_FAILED, "out of memory");
}

static void with_text(struct daemon *d, const json_t *args, struct control_reply *reply, bool apply)
{
	struct lookup k = { .d = d, .reply = reply, .apply = apply, .note = "apply" };
	const char *text, *file = json_string_value(json_object_get(args, "file"));

	if (!current(d, reply) || !base_arg(args, &k))
		return;
	text = control_arg_string(args, "text", reply);
	if (!text)
		return;
	if (!file || !*file)
		file = "the configuration";
	if (strlen(text) > CONFIG_TEXT_MAX)
		control_error(reply, CONTROL_REFUSED, "%s: has %zu bytes, and the cluster keeps configurations of at most %u; leave "
			      "out comments and defaults", file, strlen(text), CONFIG_TEXT_MAX);
	else
		look_up(k, file, text, strlen(text));
}

void verb_config_diff(void *arg, const json_t *args, struct control_reply *reply)
{
	with_text(arg, args, reply, false);
}

void verb_config_apply(void *arg, const json_t *args, struct control_reply *reply)
{
	with_text(arg, args, reply, true);
}

/* Without `apply`: what it would change. */
void verb_config_rollback(void *arg, const json_t *args, struct control_reply *reply)
{
	struct daemon *d = arg;
	struct lookup k = { .d = d, .reply = reply, .apply = !json_is_true(json_object_get(args, "dry_run")) };
	const struct config_generation *g;
	char name[48];

	if (!json_object_get(args, "generation")) {
		control_error(reply, CONTROL_USAGE, "the argument \"generation\" is missing; `sandemctl config history` shows them");
		return;
	}
	g = wanted(d, args, reply);
	if (!g || !base_arg(args, &k))
		return;
	snprintf(name, sizeof(name), "generation %llu", (unsigned long long)g->number);
	snprintf(k.note, sizeof(k.note), "rollback to %llu", (unsigned long long)g->number);
	look_up(k, name, g->text, g->len);
}
