/* SPDX-License-Identifier: BSD-2-Clause */
/* sandemd: reads the configuration, wires the parts, runs the control thread, ends in order. */
#include <errno.h>
#include <poll.h>
#include <qb/qbutil.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "alua/rtpg.h"
#include "core/log.h"
#include "core/target.h"
#include "daemon/config/config.h"
#include "daemon/config/service.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/etcd_sync.h"
#include "daemon/explicit.h"
#include "daemon/options.h"
#include "daemon/reconfig.h"
#include "daemon/regroup.h"
#include "daemon/tasks.h"
#include "drivers/iscsi/iscsi.h"

#define SHUTDOWN_LIMIT_S 60 /* draining and flushing included; after that the end is not orderly */

/* ---- the end, in order: groups released → sessions ended → goodbye → loop stopped --------------------------- */

static void loop_end(void *arg)
{
	qb_loop_stop(((struct daemon *)arg)->loop);
}

static void sessions_ended(void *arg)
{
	struct daemon *d = arg;

	d->iscsi = NULL;
	if (d->exit_code) /* something may be unflushed: no goodbye, so that the peers ask for fencing first */
		loop_end(d);
	else
		cluster_leave(d->cluster, loop_end, d);
}

static void group_released(void *arg, bool ok, const char *message)
{
	struct daemon *d = arg;

	if (!ok) {
		log_error("shutdown: a LUN group could not be released cleanly: %s", message);
		d->exit_code = 1;
	}
	if (--d->releasing)
		return;
	if (d->iscsi)
		iscsi_stop(d->iscsi, sessions_ended, d);
	else
		sessions_ended(d);
}

static void too_late(void *arg)
{
	(void)arg;
	log_error("shutdown: not done after %d s; ending at once", SHUTDOWN_LIMIT_S);
	_exit(1);
}

void daemon_shutdown(struct daemon *d, const char *why)
{
	qb_loop_timer_handle h;

	if (d->stopping)
		return;
	d->stopping = true;
	log_notice("shutting down: %s", why);
	qb_loop_timer_add(d->loop, QB_LOOP_HIGH, SHUTDOWN_LIMIT_S * QB_TIME_NS_IN_SEC, d, too_late, &h);
	d->releasing = d->ngroups + 1;
	for (uint32_t i = 0; i < d->ngroups; i++)
		ownership_demote(d->ownership[i], group_released, d);
	group_released(d, true, NULL);
}

static int32_t on_signal(int32_t sig, void *arg)
{
	daemon_shutdown(arg, sig == SIGTERM ? "SIGTERM" : "SIGINT");
	return 0;
}

/* ---- the control thread's mailbox ---------------------------------------------------------------------------- */

static int32_t on_mail(int32_t fd, int32_t revents, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)revents;
	mailbox_drain_fd(&d->core.control);
	mailbox_run(&d->core.control);
	return 0;
}

/* ---- a medium has failed -------------------------------------------------------------------------------------- */

struct medium_news {
	struct msg msg;
	struct lu *lu;
	int err;
};

static void medium_gone(struct msg *m)
{
	struct medium_news *news = caa_container_of(m, struct medium_news, msg);
	char why[512];

	snprintf(why, sizeof(why), "LUN %s: %s: %s", news->lu->name,
		 news->lu->disk_params.path ? news->lu->disk_params.path : news->lu->disk_params.handler,
		 strerror(-news->err));
	ownership_fail(news->lu->control_data, why);
	free(news);
}

static void on_medium_failed(void *arg, struct lu *lu, int err)
{
	struct medium_news *news = malloc(sizeof(*news));

	if (!news) { /* what was acknowledged may be lost if this node goes on */
		log_error("LUN %s: the medium has failed, and no memory to say so; ending at once", lu->name);
		abort();
	}
	*news = (struct medium_news){ .msg = { .fn = medium_gone }, .lu = lu, .err = err };
	core_post_control(&((struct daemon *)arg)->core, &news->msg);
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static int fail(char *err, size_t errlen, const char *what, int rc)
{
	snprintf(err, errlen, "%s: %s", what, strerror(-rc));
	return rc;
}

static int start_reactors(struct daemon *d, char *err, size_t errlen)
{
	d->core.reactor = calloc(d->config->nreactors, sizeof(*d->core.reactor));
	if (!d->core.reactor)
		return fail(err, errlen, "reactors", -ENOMEM);
	for (unsigned i = 0; i < d->config->nreactors; i++) {
		int rc = reactor_init(&d->core.reactor[i], &d->core, i, d->config->reactor_cpu[i]);

		if (rc < 0) {
			snprintf(err, errlen, "io_uring can't be used: %s; sandemd needs Linux 6.1 or later with "
				 "kernel.io_uring_disabled=0 and no seccomp filter against it", strerror(-rc));
			return rc;
		}
		d->core.nreactors++;
	}
	return 0;
}

static bool is_serving(void *arg)
{
	return cluster_state(((struct daemon *)arg)->cluster) == CLUSTER_SERVING;
}

static int start_cluster(struct daemon *d, const struct options *o, char *err, size_t errlen)
{
	const struct service services[] = { { &alua_service_ops, d->alua }, pr_service_row(d->pr),
					    { &media_service_ops, d->media }, { &mode_service_ops, &d->modes },
					    { &tasks_service_ops, &d->tasks }, { &directory_service_ops, &d->directory },
					    { &config_service_ops, d->generations } };
	const struct cluster_callbacks cb = { .arg = d, .run_effects = effects_run,
					      .publish_all = effects_publish_all,
					      .state_changed = effects_state_changed, .harmless = effects_harmless,
					      .committed = effects_committed, .settled = effects_settled,
					      .version_changed = effects_version_changed,
					      .groups_replicated = regroup_replicated };
	struct cluster_node nodes[NODES_MAX];
	struct cluster_params p = { .name = d->config->cluster, .node = d->node, .nodes = nodes,
				    .nnodes = d->config->nnodes, .local = d->config->log == CONFIG_LOG_LOCAL,
				    .state_dir = o->state_dir, .services = services, .nservices = sizeof(services) / sizeof(services[0]),
				    .loop = d->loop, .control = &d->core.control };

	for (size_t i = 0; i < d->config->nnodes; i++)
		nodes[i] = (struct cluster_node){ d->config->node[i].id, d->config->node[i].name };
	config_digest(d->config, p.config_digest);
	config_fixed_digest(d->config, p.fixed_digest);
	config_nodes_digest(d->config, p.nodes_digest);
	etcd_sync_newest(d, &p.newest_generation, &p.newest_history);
	d->cluster = cluster_start(&p, &cb, err, errlen);
	return d->cluster ? 0 : -EIO;
}

static void on_lu_reset(void *arg, struct lu *lu)
{
	struct daemon *d = arg;

	pr_cmd_lu_reset(&d->pr_cmd, lu);
	removal_lu_reset(d, lu);
	modes_lu_reset(d, lu);
}

/* ---- core's jobs that may block ---- */

struct errand {
	struct work work;
	struct msg *m;
};

static void errand_run(struct work *w)
{
	struct msg *m = caa_container_of(w, struct errand, work)->m;

	m->fn(m);
}

static void errand_done(struct work *w)
{
	free(caa_container_of(w, struct errand, work));
}

/* Reactor. Without memory the caller's own thread must do. */
static void run_blocking(void *arg, struct msg *m)
{
	struct errand *e = malloc(sizeof(*e));

	if (!e) {
		m->fn(m);
		return;
	}
	*e = (struct errand){ .work = { .run = errand_run, .done = errand_done }, .m = m };
	worker_queue(&((struct daemon *)arg)->worker, &e->work);
}

static void wire(struct daemon *d)
{
	pr_cmd_init(&d->pr_cmd, d->pr, cluster_proposer(d->cluster));
	d->pr_cmd.serving = is_serving;
	d->pr_cmd.serving_arg = d;
	pr_cmd_wire(&d->pr_cmd, &d->core);
	d->core.hook[HOOK_RTPG].fn = rtpg_cmd;
	d->core.hook[HOOK_REMOVAL].fn = removal_cmd;
	d->core.hook[HOOK_REMOVAL].arg = d;
	d->core.lu_reset.fn = on_lu_reset;
	d->core.lu_reset.arg = d;
	d->core.everywhere.fn = tasks_everywhere;
	d->core.everywhere.arg = d;
	wipes_wire(d);
	explicit_wire(d);
	d->core.blocking.fn = run_blocking;
	d->core.blocking.arg = d;
	sessions_init(d);
	modes_init(d);
	d->core.medium_failed.fn = on_medium_failed;
	d->core.medium_failed.arg = d;
}

static int make_services(struct daemon *d, char *err, size_t errlen)
{
	const char **groups = calloc(d->config->ngroups + 1, sizeof(*groups));

	for (size_t i = 0; groups && i < d->config->ngroups; i++)
		groups[i] = d->config->group[i].name;
	d->alua = groups ? alua_service_new(groups, d->config->ngroups) : NULL;
	d->pr = pr_service_new();
	d->media = media_service_new();
	d->generations = config_service_new();
	free(groups);
	if (!d->alua || !d->pr || !d->media || !d->generations)
		return fail(err, errlen, "replicated services", -ENOMEM);
	d->pr->may_live.fn = effects_may_live;
	d->pr->may_live.arg = d;
	d->generations->groups = (struct config_groups){ regroup_free_to_go, regroup_take, d };
	return 0;
}

static int start_link(struct daemon *d, char *err, size_t errlen)
{
	struct link_node nodes[NODES_MAX];
	struct link_params p = { .cluster = d->config->cluster, .node = d->node, .nodes = nodes,
				 .nnodes = d->config->nnodes, .key_file = d->config->key_file, .tls = d->config->link_tls, .core = &d->core,
				 .changed = effects_link_changed, .arg = d };

	/* The file: where nothing forwards yet, it says that something is going to. */
	if (!config_forwards(d->config) && !d->file_forwards)
		return 0;
	for (size_t i = 0; i < d->config->nnodes; i++) {
		const struct config_node *n = &d->config->node[i];

		nodes[i] = (struct link_node){ n->id, n->name, n->link.addr, n->link.port };
	}
	return link_start(&d->link, &p, err, errlen);
}

int daemon_open_portals(struct daemon *d, char *err, size_t errlen)
{
	const struct config_node *n = &d->config->node[config_find_node(d->config, d->node_name)];
	struct iscsi_params p = { .portal = n->portal, .nportals = n->nportals, .settings = d->config->iscsi };

	return iscsi_start(&d->iscsi, &d->core, &p, err, errlen);
}

/* Everything or nothing: on an error main() ends the process. */
static int start(struct daemon *d, const struct options *o, char *err, size_t errlen)
{
	int rc;

	d->loop = qb_loop_create();
	rc = d->loop ? mailbox_init(&d->core.control) : -ENOMEM;
	if (rc < 0)
		return fail(err, errlen, "control loop", rc);
	/* The pid lock first: everything after it belongs to one daemon only. */
	if ((rc = verbs_start(d, o->run_dir, err, errlen)) < 0 || (rc = start_reactors(d, err, errlen)) < 0 ||
	    (rc = make_services(d, err, errlen)) < 0 || (rc = etcd_sync_start(d, err, errlen)) < 0)
		return rc;
	rc = worker_init(&d->worker, &d->core.control);
	if (rc < 0)
		return fail(err, errlen, "worker thread", rc);
	/* What the store remembers says of which objects there are. */
	if ((rc = start_cluster(d, o, err, errlen)) < 0 || (rc = reconfig_start(d, o->config, err, errlen)) < 0 ||
	    (rc = build_core(d, err, errlen)) < 0)
		return rc;
	if (effects_init(d) < 0)
		return fail(err, errlen, "logical units", -ENOMEM);
	wire(d);
	rc = start_link(d, err, errlen);
	if (rc < 0)
		return rc;
	rc = etcd_sync_run(d);
	if (rc < 0)
		return fail(err, errlen, "etcd thread", rc);
	qb_loop_poll_add(d->loop, QB_LOOP_HIGH, d->core.control.efd, POLLIN, d, on_mail);
	for (unsigned i = 0; i < d->core.nreactors; i++) {
		rc = reactor_start(&d->core.reactor[i]);
		if (rc < 0)
			return fail(err, errlen, "reactor thread", rc);
	}
	/* A standalone node has nobody to send initiators to meanwhile: it lets them in when its LUNs are there. */
	rc = d->standalone ? 0 : daemon_open_portals(d, err, errlen);
	if (rc < 0)
		return rc;
	if (thin_watch_start(d) < 0)
		return fail(err, errlen, "thin logical units", -ENOMEM);
	effects_state_changed(d, cluster_state(d->cluster), cluster_why(d->cluster));
	return 0;
}

static void finish(struct daemon *d)
{
	verbs_stop(d);
	for (unsigned i = 0; i < d->core.nreactors; i++)
		reactor_stop(&d->core.reactor[i]);
	mailbox_run(&d->core.control);
	etcd_sync_stop(d);
	worker_fini(&d->worker); /* its answers still find the cluster */
	mailbox_run(&d->core.control);
	cluster_stop(d->cluster);
	reconfig_free(d);
	pr_cmd_fini(&d->pr_cmd);
	wipes_free(d);
	build_free(d);
	alua_service_free(d->alua);
	pr_service_free(d->pr);
	media_service_free(d->media);
	mode_service_clear(&d->modes);
	tasks_clear(&d->tasks);
	directory_clear(&d->directory);
	directory_clear(&d->sessions.own);
	config_service_free(d->generations);
	thin_watch_free(d);
	for (unsigned i = 0; i < d->core.nreactors; i++)
		reactor_fini(&d->core.reactor[i]);
	link_free(d->link);
	free(d->core.reactor);
	mailbox_fini(&d->core.control);
	qb_loop_destroy(d->loop);
}

/* ---- main ------------------------------------------------------------------------------------------------------------ */

/* The text is kept: the cluster's first generation is made of it. */
static int load_file(struct daemon *d, const char *file, struct config **c, struct config_error *err)
{
	int rc = config_read(file, &d->own_text, &d->own_len, err);

	return rc < 0 ? rc : config_parse(file, d->own_text, d->own_len, c, err);
}

static int load(struct daemon *d, const struct options *o)
{
	struct config_error err = { 0 };
	struct config *c;
	int rc = o->standalone ? config_standalone(o, &c, &err) : load_file(d, o->config, &c, &err);
	int self;

	if (rc < 0) {
		fprintf(stderr, "sandemd: %s\n", err.text);
		return rc;
	}
	d->config = c;
	d->standalone = o->standalone;
	d->node_name = o->standalone ? c->node[0].name : o->node;
	self = config_find_node(c, d->node_name);
	if (self < 0) {
		fprintf(stderr, "sandemd: %s: there is no node \"%s\" under nodes:; add it, or say with --node which "
			"of those this host is\n", o->config, d->node_name);
		return -EINVAL;
	}
	d->node = c->node[self].id;
	return 0;
}

/* Addresses of reactors and shards go to other threads: one daemon, at one place, for the whole process. */
static int run(struct daemon *d, const struct options *o)
{
	struct timespec ts;
	char err[1024] = "";

	log_setup(o->has_log_level ? o->log_level : d->config->log_level, NULL);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	d->started = ts.tv_sec;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is EFBIG to one command, not the end of all */
	if (start(d, o, err, sizeof(err)) < 0) {
		fprintf(stderr, "sandemd: %s\n", err);
		_exit(1); /* not through main(): threads that were started still use what it would take away */
	}
	qb_loop_signal_add(d->loop, QB_LOOP_HIGH, SIGTERM, d, on_signal, NULL);
	qb_loop_signal_add(d->loop, QB_LOOP_HIGH, SIGINT, d, on_signal, NULL);
	log_notice("sandemd %s: node %s (id %u), %u LUNs, %u reactors", SANDEM_VERSION, d->node_name, d->node,
		   d->core.nlus, d->core.nreactors);
	qb_loop_run(d->loop);
	finish(d);
	return d->exit_code;
}

int main(int argc, char **argv)
{
	struct daemon d = { .exit_code = 0 };
	struct options o;
	char err[512] = "";
	int rc;

	switch (options_parse(&o, argc, argv, err, sizeof(err))) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_EXIT:
		options_fini(&o);
		return 0;
	case OPTIONS_BAD:
		fprintf(stderr, "sandemd: %s\n", err);
		options_fini(&o);
		return 2;
	}
	rc = load(&d, &o) < 0 ? 1 : 0;
	if (!rc && o.check)
		printf("%s: good: %zu nodes, %zu LUNs, %zu targets\n", o.config, d.config->nnodes, d.config->nlus,
		       d.config->ntargets);
	else if (!rc)
		rc = run(&d, &o);
	config_free((struct config *)d.config);
	free(d.own_text);
	options_fini(&o);
	return rc;
}
