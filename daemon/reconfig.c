/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/reconfig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "daemon/config/generation.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "daemon/etcd_sync.h"
#include "daemon/regroup.h"

struct waiter { /* for the generation in force */
	struct cds_list_head link;
	struct effects_run *run; /* or */
	void (*fn)(void *arg, bool ok);
	void *arg;
};

/* ---- plans -------------------------------------------------------------------------------------------- */

static int plan_text(struct reconfig_plan *p)
{
	struct config *own = NULL;
	int rc = config_parse(p->name, p->text, p->len, &p->said, &p->err);

	if (rc == 0)
		rc = config_parse(p->name, p->text, p->len, &p->next, &p->err);
	if (rc == 0)
		rc = config_parse("sandem.yaml", p->own_text, p->own_len, &own, &p->err);
	if (rc == 0 && (rc = config_adopt(own, p->next, p->groups, p->err.text, sizeof(p->err.text))) == 0) {
		struct config *spent = p->next;

		p->next = own;
		own = spent;
	}
	config_free(own);
	if (rc == 0 && p->slots && (rc = config_slots_take(p->next, p->slots)) < 0)
		snprintf(p->err.text, sizeof(p->err.text), "%s: its port numbers can't be read; is another version of sandemd "
			 "in the cluster?", p->name);
	return rc;
}

static void plan_run(struct work *w)
{
	struct reconfig_plan *p = caa_container_of(w, struct reconfig_plan, work);

	p->rc = plan_text(p);
}

static void plan_done(struct work *w)
{
	struct reconfig_plan *p = caa_container_of(w, struct reconfig_plan, work);

	p->done(p);
}

static struct reconfig_plan *plan_new(struct daemon *d, const struct reconfig_text *t)
{
	struct reconfig_plan *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct reconfig_plan){ .d = d, .own_text = d->reconfig->own_text, .own_len = d->reconfig->own_len,
				     .name = strdup(t->name), .text = malloc(t->len + 1), .len = t->len,
				     .slots = t->slots ? strdup(t->slots) : NULL, .groups = t->groups };
	if (!p->name || !p->text || (t->slots && !p->slots)) {
		reconfig_plan_free(p);
		return NULL;
	}
	memcpy(p->text, t->text, t->len);
	p->text[t->len] = '\0';
	return p;
}

struct reconfig_plan *reconfig_plan(struct daemon *d, const struct reconfig_text *t,
				    void (*done)(struct reconfig_plan *p), void *arg)
{
	struct reconfig_plan *p = plan_new(d, t);

	if (!p)
		return NULL;
	p->done = done;
	p->arg = arg;
	p->work = (struct work){ .run = plan_run, .done = plan_done };
	worker_queue(&d->worker, &p->work);
	return p;
}

static struct reconfig_text text_of(const char *name, const struct config_generation *g)
{
	return (struct reconfig_text){ name, g->text, g->slots, g->len, g->ngroups > 0 };
}

static struct reconfig_plan *plan_generation(struct reconfig *r, const struct config_generation *g,
					     void (*done)(struct reconfig_plan *p))
{
	struct reconfig_text t;
	char name[48];

	snprintf(name, sizeof(name), "generation %llu", (unsigned long long)g->number);
	t = text_of(name, g);
	return reconfig_plan(r->d, &t, done, r);
}

void reconfig_plan_free(struct reconfig_plan *p)
{
	if (!p)
		return;
	config_free(p->said);
	config_free(p->next);
	free(p->name);
	free(p->text);
	free(p->slots);
	free(p);
}

/* ---- those who wait ------------------------------------------------------------------------------------- */

static bool is_current(const struct reconfig *r)
{
	const struct config_generation *g = config_service_current(r->d->generations);

	return !r->own_text || !g ||
	       (g->number == r->running && r->running_text && !strcmp(g->text, r->running_text));
}

static void wait_add(struct reconfig *r, struct waiter w)
{
	struct waiter *copy = malloc(sizeof(*copy));

	if (!copy) {
		if (w.run)
			cluster_effects_done(r->d->cluster, w.run, false);
		else
			w.fn(w.arg, false);
		return;
	}
	*copy = w;
	cds_list_add_tail(&copy->link, &r->waiters);
}

static void wait_end(struct reconfig *r, bool ok)
{
	while (!cds_list_empty(&r->waiters)) {
		struct waiter *first = cds_list_first_entry(&r->waiters, struct waiter, link), w = *first;

		cds_list_del(&first->link);
		free(first);
		if (w.run)
			cluster_effects_done(r->d->cluster, w.run, ok);
		else
			w.fn(w.arg, ok);
	}
}

/* ---- proposals --------------------------------------------------------------------------------------------- */

static void nobody_waits(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie, (void)status, (void)result, (void)len;
}

static void vote(struct reconfig *r, const char *why)
{
	struct proposer *p = cluster_proposer(r->d->cluster);
	struct config_vote v = { .node = r->d->node, .good = !why };
	const struct config_op op = { .action = CONFIG_VOTE, .token = r->voted, .vote = &v };
	struct wbuf msg = { 0 };

	snprintf(v.why, sizeof(v.why), "%s", why ? why : "");
	config_service_pack(&msg, &op);
	p->propose(p, CONFIG_SERVICE_ID, msg.data, msg.len, nobody_waits, NULL);
	wbuf_fini(&msg);
}

static void seeded(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)status, (void)result, (void)len;
	((struct reconfig *)cookie)->seeding = false; /* what was not taken is said again when the cluster serves again */
}

/* This node's file, or what etcd has kept of a cluster whose nodes have lost their state. slots, group: to be freed. */
static struct config_generation first_generation(struct reconfig *r, char **slots, char ***group)
{
	const struct config_generation *kept = etcd_sync_config(r->d);
	struct config_generation g = { .number = 1, .time = time(NULL), .text = (char *)r->own_text, .len = r->own_len,
				       .author = (char *)r->d->node_name, .note = "from sandem.yaml" };
	size_t n = r->d->config->ngroups;

	g.slots = *slots = config_slots_text(r->d->config);
	g.group = *group = config_group_names(r->d->config);
	if (g.group && config_groups_fit((const char *const *)g.group, n))
		g.ngroups = n;
	if (kept)
		g = *kept;
	if (!regroup_possible(r->d))
		g.ngroups = 0;
	return g;
}

void reconfig_seed(struct reconfig *r)
{
	struct proposer *p = cluster_proposer(r->d->cluster);
	struct wbuf msg = { 0 };
	struct config_generation g;
	char *slots, **group;

	if (!r->own_text || r->seeding || config_service_current(r->d->generations) ||
	    !cluster_has(r->d->cluster, CONFIG_SERVICE_ID))
		return;
	if (r->own_len > CONFIG_TEXT_MAX) {
		log_warning("%s has %zu bytes; a configuration of more than %u can't be changed online (`sandemctl config`)",
			    r->own_file, r->own_len, CONFIG_TEXT_MAX);
		return;
	}
	g = first_generation(r, &slots, &group);
	if (slots && group) {
		r->seeding = true;
		config_service_pack(&msg, &(struct config_op){ .action = CONFIG_SEED, .wanted = &g });
		p->propose(p, CONFIG_SERVICE_ID, msg.data, msg.len, seeded, r);
		wbuf_fini(&msg);
	}
	free(slots);
	free(group);
}

/* ---- looking at what is being prepared ------------------------------------------------------------------------ */

/* Without a vote: the preparation has ended meanwhile. */
static void look_over(struct reconfig *r)
{
	reconfig_plan_free(r->plan);
	r->plan = NULL;
	r->phase = RECONFIG_IDLE;
	reconfig_step(r);
}

static void look_end(struct reconfig *r, const char *why)
{
	if (why)
		log_notice("configuration: this node can't take the generation that is being prepared: %s", why);
	vote(r, why);
	look_over(r);
}

static void looked(void *arg, const char *why)
{
	look_end(arg, why);
}

/* Why this node can't take what is being prepared; "": it is none of these. */
static void objections(const struct reconfig *r, const struct reconfig_plan *p, char *why, size_t len)
{
	const struct config_generation *wanted = &r->d->generations->wanted;
	struct config_diff diff;

	why[0] = '\0';
	if (config_diff(&diff, r->d->config, p->said, p->groups) < 0)
		snprintf(why, len, "out of memory");
	else if (diff.nrefused)
		snprintf(why, len, "%s", config_diff_refusal(&diff));
	else if (p->groups && !config_has_groups(p->said, wanted->group, wanted->ngroups))
		snprintf(why, len, "its LUN groups are not those that it was sent with; do all nodes run the same "
			 "version of sandemd?");
	else if (config_forwards(p->next) && !r->d->link)
		snprintf(why, len, "non_owner: forward needs links between the nodes, and sandemd was started here "
			 "without: give the group that forwards non_owner: forward in sandem.yaml, then restart one node "
			 "after the other");
	config_diff_fini(&diff);
}

static void look_planned(struct reconfig_plan *p)
{
	struct reconfig *r = p->arg;
	char why[CONFIG_WHY_MAX];

	if (p->rc < 0) {
		look_end(r, p->err.text);
		return;
	}
	if (r->d->generations->token != r->voted) {
		look_over(r);
		return;
	}
	objections(r, p, why, sizeof(why));
	if (why[0])
		look_end(r, why);
	else
		reconfig_look(r->d, p->next, looked, r);
}

static void look_start(struct reconfig *r)
{
	const struct config_service *svc = r->d->generations;

	r->voted = svc->token;
	r->phase = RECONFIG_LOOKING;
	r->plan = plan_generation(r, &svc->wanted, look_planned);
	if (!r->plan)
		look_end(r, "out of memory");
}

/* ---- putting the generation in force in force here --------------------------------------------------------------- */

static void note_file(struct reconfig *r, const struct config *said, const struct config_generation *g)
{
	uint8_t digest[32];
	bool differs;

	config_digest(said, digest);
	differs = memcmp(digest, r->own_digest, sizeof(digest)) != 0;
	if (differs && !r->file_differs)
		log_warning("%s differs from generation %llu of the cluster's configuration, and the cluster's counts; `sandemctl "
			    "config diff %s` shows how, `sandemctl config apply %s` makes the file the next generation, `sandemctl "
			    "config show` prints what counts", r->own_file, (unsigned long long)g->number, r->own_file,
			    r->own_file);
	r->file_differs = differs;
}

/* p's text goes over. */
static void note_running(struct reconfig *r, struct reconfig_plan *p, const struct config_generation *g)
{
	free(r->running_text);
	r->running_text = p->text;
	p->text = NULL;
	r->running = g->number;
}

static void take_failed(struct reconfig *r, uint64_t number, const char *why)
{
	log_error("configuration: generation %llu can't be put in force on this node: %s; restart sandemd here when that is "
		  "repaired", (unsigned long long)number, why);
	r->phase = RECONFIG_IDLE;
	wait_end(r, false);
}

static void taken(void *arg, bool ok)
{
	struct reconfig *r = arg;
	uint64_t number = r->running;

	r->swap = NULL;
	if (!ok) {
		r->running = 0;
		take_failed(r, number, "out of memory");
		return;
	}
	r->phase = RECONFIG_IDLE;
	etcd_sync_push(r->d);
	if (config_forwards(r->d->config) && !r->d->link)
		log_warning("configuration: a LUN group forwards, and this node has no links, as it was started without: its "
			    "ports are standby meanwhile; restart sandemd here");
	log_notice("configuration: generation %llu is in force: %u LUNs, %u targets", (unsigned long long)number,
		   r->d->core.nlus, r->d->core.ntargets);
	reconfig_step(r);
}

static void take_planned(struct reconfig_plan *p)
{
	struct reconfig *r = p->arg;
	const struct config_generation *g = config_service_current(r->d->generations);
	struct config *next = p->next;

	r->plan = NULL;
	if (!g || strcmp(p->text, g->text)) { /* another one meanwhile */
		r->phase = RECONFIG_IDLE;
		reconfig_step(r);
	} else if (p->rc < 0) {
		take_failed(r, g->number, p->err.text);
	} else {
		note_file(r, p->said, g);
		p->next = NULL;
		note_running(r, p, g);
		r->swap = reconfig_swap(r->d, next, taken, r);
		if (!r->swap)
			taken(r, false);
	}
	reconfig_plan_free(p);
}

static void take_start(struct reconfig *r, const struct config_generation *g)
{
	r->phase = RECONFIG_SWAPPING;
	r->plan = plan_generation(r, g, take_planned);
	if (!r->plan)
		take_failed(r, g->number, "out of memory");
}

/* ---- the step ------------------------------------------------------------------------------------------------------ */

void reconfig_step(struct reconfig *r)
{
	const struct config_service *svc = r->d->generations;
	const struct config_generation *g = config_service_current(svc);

	if (r->phase != RECONFIG_IDLE || !r->own_text)
		return;
	if (r->d->stopping) { /* it is on disk, and counts when this node starts again */
		wait_end(r, true);
		return;
	}
	if (!is_current(r)) {
		take_start(r, g);
		return;
	}
	wait_end(r, true);
	if (svc->token && svc->token != r->voted)
		look_start(r);
	reconfig_ask_step(r);
}

void reconfig_run(struct reconfig *r, struct effects_run *run)
{
	if (!r->own_text) {
		cluster_effects_done(r->d->cluster, run, true);
		return;
	}
	wait_add(r, (struct waiter){ .run = run });
	reconfig_step(r);
}

void reconfig_when_current(struct reconfig *r, void (*fn)(void *arg, bool ok), void *arg)
{
	if (is_current(r) && r->phase != RECONFIG_SWAPPING) {
		fn(arg, true);
		reconfig_step(r);
		return;
	}
	wait_add(r, (struct waiter){ .fn = fn, .arg = arg });
	reconfig_step(r);
}

void reconfig_rest(struct reconfig *r)
{
	if (r->swap)
		reconfig_swap_rest(r->swap);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static int adopt_stored(struct daemon *d, const struct config_generation *g, char *err, size_t errlen)
{
	struct reconfig *r = d->reconfig;
	const struct reconfig_text t = text_of("the cluster's configuration in the state directory", g);
	struct reconfig_plan *p = plan_new(d, &t);
	int rc = p ? plan_text(p) : -ENOMEM;

	if (rc < 0) {
		snprintf(err, errlen, "%s", p ? p->err.text : "out of memory for the configuration");
	} else {
		config_free((struct config *)d->config);
		d->config = p->next;
		p->next = NULL;
		note_running(r, p, g);
		note_file(r, p->said, g);
	}
	reconfig_plan_free(p);
	return rc;
}

int reconfig_start(struct daemon *d, const char *file, char *err, size_t errlen)
{
	const struct config_generation *g = config_service_current(d->generations);
	struct reconfig *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		snprintf(err, errlen, "out of memory for the configuration");
		return -ENOMEM;
	}
	r->d = d;
	r->own_file = file;
	r->own_text = d->own_text;
	r->own_len = d->own_len;
	config_digest(d->config, r->own_digest);
	CDS_INIT_LIST_HEAD(&r->waiters);
	d->reconfig = r;
	d->file_forwards = config_forwards(d->config);
	if (!r->own_text || !g)
		return 0;
	rc = adopt_stored(d, g, err, errlen);
	if (rc == 0 && g->ngroups && regroup_take(d, (const char *const *)g->group, g->ngroups, 0) < 0) {
		snprintf(err, errlen, "out of memory for the LUN groups");
		rc = -ENOMEM;
	}
	return rc;
}

void reconfig_free(struct daemon *d)
{
	struct reconfig *r = d->reconfig;
	struct waiter *w, *next;

	if (!r)
		return;
	cds_list_for_each_entry_safe(w, next, &r->waiters, link)
		free(w);
	reconfig_plan_free(r->plan);
	free(r->running_text);
	free(r);
	d->reconfig = NULL;
}
