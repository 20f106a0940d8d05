/* SPDX-License-Identifier: BSD-2-Clause */
/* A node: how main.c of the daemon wires its parts, around the simulated machine; its end, and one step of it. */
#include <stdio.h>
#include <string.h>

#include "alua/rtpg.h"
#include "cluster/link_auth.h"
#include "daemon/tasks.h"
#include "tests/sim/sim.h"

unsigned nexus_of(const struct sim *s, unsigned initiator, uint32_t node)
{
	return initiator * s->nodes + node - 1;
}

static void port_name(char *to, unsigned initiator)
{
	snprintf(to, PORT_NAME_MAX + 1, "iqn.2026-11.sim:%u,i,0x00023d000001", initiator);
}

int nexus_number(const struct sim *s, const struct nexus_id *id)
{
	unsigned i;

	return sscanf(id->port, "iqn.2026-11.sim:%u,", &i) == 1 && i < INITIATORS ? (int)nexus_of(s, i, id->rtpi) : -1;
}

bool node_planted(const struct node *n, enum plant p)
{
	return n->sim->plant == p && !n->dying;
}

/* daemon/main.c's */
int daemon_open_portals(struct daemon *d, char *err, size_t errlen)
{
	(void)d, (void)err, (void)errlen;
	return 0;
}

void daemon_shutdown(struct daemon *d, const char *why)
{
	struct node *n = caa_container_of(d, struct node, d);

	if (!n->dying)
		sim_fail(n->sim, "node %u fails: %s", n->id, why);
}

/* ---- a process begins ------------------------------------------------------------------------------------------------------------ */

bool node_serving(const struct node *n)
{
	return n->running && n->d.cluster && __real_cluster_state(n->d.cluster) == CLUSTER_SERVING;
}

#define SERVICES_OF_1 3

static void join(struct node *n)
{
	const struct service services[] = { { &alua_service_ops, n->d.alua }, service_row(n, 0), service_row(n, 1),
					    service_row(n, 2), service_row(n, 3), { &config_service_ops, n->d.generations } };
	const struct cluster_callbacks cb = between_callbacks(n);
	struct cluster_node nodes[NODES];
	struct cluster_params p = { .name = "sim", .node = n->id, .nodes = nodes, .nnodes = n->sim->nodes, .state_dir = SIM_STATE_DIR,
				    .version_max = n->speaks, .services = services,
				    .nservices = sizeof(services) / sizeof(services[0]), .loop = n->d.loop,
				    .control = &n->d.core.control };
	char err[512];

	for (uint32_t i = 0; i < n->sim->nodes; i++)
		nodes[i] = (struct cluster_node){ i + 1, "n" };
	if (n->speaks < 2)
		p.nservices = SERVICES_OF_1;
	if (n->sim->plant == PLANT_VERSION_EARLY)
		p.nnodes = 1;
	n->d.cluster = cluster_start(&p, &cb, err, sizeof(err));
	if (n->d.cluster) {
		admin_start(n);
		upgrade_started(n);
	} else if (!upgrade_refused(n, err)) {
		sim_fail(n->sim, "node %u does not start: %s", n->id, err);
	}
}

static bool is_serving(void *arg)
{
	return __wrap_cluster_state(((struct node *)arg)->d.cluster) == CLUSTER_SERVING;
}

static void pr_out(void *arg, struct scsi_cmd *cmd)
{
	struct node *n = arg;

	n->proposing = caa_container_of(cmd, struct slot, cmd)->value;
	pr_cmd_out(&n->d.pr_cmd, cmd);
	n->proposing = 0;
}

static void log_in(struct node *n, unsigned initiator)
{
	struct session *se = &n->session[initiator];

	memset(se, 0, sizeof(*se));
	se->since = n->sim->steps;
	se->nexus.target = &n->target;
	snprintf(se->nexus.initiator, sizeof(se->nexus.initiator), "iqn.2026-11.sim:%u", initiator);
	port_name(se->nexus.id.port, initiator);
	se->nexus.id.rtpi = n->id;
	nexus_attach(&se->nexus, &n->reactor[initiator % REACTORS]);
}

/* daemon/main.c's on_lu_reset(), but for removable media */
static void lu_reset(void *arg, struct lu *lu)
{
	struct node *n = arg;

	if (node_planted(n, PLANT_RESET_KEEPS))
		return;
	pr_cmd_lu_reset(&n->d.pr_cmd, lu);
	modes_lu_reset(&n->d, lu);
}

int __wrap_link_key_load(struct link_key *key, const char *path, char *err, size_t errlen);
int __wrap_link_key_load(struct link_key *key, const char *path, char *err, size_t errlen)
{
	(void)path, (void)err, (void)errlen;
	memset(key->bytes, 'k', key->len = LINK_KEY_MIN);
	return 0;
}

static void open_link(struct node *n)
{
	static const char *const addr[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5" };
	struct link_node nodes[NODES];
	const struct link_params p = { .cluster = "sim", .node = n->id, .nodes = nodes, .nnodes = n->sim->nodes, .key_file = "key",
				       .core = &n->d.core, .changed = effects_link_changed, .arg = &n->d };
	char err[256];

	for (uint32_t i = 0; i < n->sim->nodes; i++)
		nodes[i] = (struct link_node){ .id = i + 1, .name = "n", .addr = addr[i], .port = 1 };
	if (link_start(&n->d.link, &p, err, sizeof(err)))
		sim_fail(n->sim, "node %u has no link: %s", n->id, err);
}

static void wire(struct node *n)
{
	service_wire(n);
	pr_cmd_init(&n->d.pr_cmd, n->d.pr, &n->proposer);
	n->d.pr_cmd.serving = is_serving;
	n->d.pr_cmd.serving_arg = n;
	pr_cmd_wire(&n->d.pr_cmd, &n->d.core);
	n->d.core.hook[HOOK_PR_OUT].fn = pr_out;
	n->d.core.hook[HOOK_PR_OUT].arg = n;
	n->d.core.hook[HOOK_RTPG].fn = rtpg_cmd;
	n->d.core.lu_reset.fn = lu_reset;
	n->d.core.lu_reset.arg = n;
	if (!node_planted(n, PLANT_RESET_LOCAL))
		n->d.core.everywhere.fn = tasks_everywhere;
	n->d.core.everywhere.arg = &n->d;
	modes_init(&n->d);
	sessions_init(&n->d);
	if (node_planted(n, PLANT_NEXUS_KEEPS))
		n->d.core.nexus_news.detached = NULL;
}

/* ---- a process ends ---------------------------------------------------------------------------------------------------------------- */

/* What it still does reaches nobody: this only brings its memory to rest, so that it can be freed. */
static void come_to_rest(struct node *n)
{
	bool any = true;

	while (any) {
		any = disk_step(n) || machine_control(n) || machine_work(n) || (n->d.cluster && admin_settle(n));
		for (unsigned i = 0; i < REACTORS; i++)
			any |= machine_reactor(n, i);
	}
}

static void forget(struct slot *sl)
{
	cmd_abandon(&sl->cmd);
	cmd_fini(&sl->cmd);
	sl->busy = false;
}

/* Those that the owner can't be asked about: whoever waits for their end comes to rest, too. */
static void forget_forwarded(struct node *n)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (n->slot[i] && n->slot[i]->busy && n->slot[i]->cmd.state == CMD_FORWARDED)
			forget(n->slot[i]);
	come_to_rest(n);
}

static void free_sessions(struct node *n)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (n->slot[i] && n->slot[i]->busy)
			forget(n->slot[i]);
		n->slot[i] = NULL;
	}
	memset(n->tmf, 0, sizeof(n->tmf));
	for (unsigned i = 0; i < INITIATORS; i++)
		nexus_detach(&n->session[i].nexus);
	pr_cmd_fini(&n->d.pr_cmd);
}

static void free_process(struct node *n)
{
	n->d.core.nexus_news.detached = NULL;
	forget_forwarded(n);
	cluster_stop(n->d.cluster);
	come_to_rest(n);
	free_sessions(n);
	link_free(n->d.link);
	node_parts_free(n);
}

void node_boot(struct node *n)
{
	struct sim *s = n->sim;

	s->cur = n;
	sim_trace(s, "starts");
	memset(&n->d, 0, sizeof(n->d));
	n->dying = n->paused = n->left = n->stopping = n->leaving = false;
	n->history = history_loaded(s);
	n->restored = n->replaced = -1;
	n->began = n->state_since = s->steps;
	n->fs.fuse = ~0u;
	n->admin = (struct admin){ 0 };
	n->slow = sim_random(s) % 4;
	machine_reset(n);
	n->d.loop = (qb_loop_t *)n;
	n->d.node = n->id;
	n->d.node_name = "n";
	node_parts_new(n);
	worker_init(&n->d.worker, &n->d.core.control);
	join(n);
	if (!n->d.cluster) {
		node_parts_free(n);
		return;
	}
	wire(n);
	if (s->forwards)
		open_link(n);
	effects_state_changed(&n->d, __real_cluster_state(n->d.cluster), "start");
	for (unsigned i = 0; i < INITIATORS; i++)
		log_in(n, i);
	net_start(n);
}

void node_new_nexus(struct node *n, unsigned initiator)
{
	for (unsigned i = 0; i < SLOTS; i++) /* the driver detaches a nexus when its commands have ended */
		if (n->slot[i] && n->slot[i]->busy && n->slot[i]->initiator == initiator)
			return;
	if (load_tmf_busy(n, initiator))
		return;
	n->sim->cur = n;
	n->sim->count.logins++;
	sim_trace(n->sim, "initiator %u logs in again", initiator);
	nexus_detach(&n->session[initiator].nexus);
	log_in(n, initiator);
}

/* The last moments of a node: it takes what has reached it, and its own messages that no other has got. */
static void last_moments(struct node *n)
{
	for (unsigned k = sim_random(n->sim) % 24; k && !n->left; k--) {
		if (chance(n->sim, 6))
			net_own_message(n);
		node_step(n);
	}
}

void node_die(struct node *n, enum replog_gone_reason reason)
{
	struct sim *s = n->sim;

	if (!n->running)
		return;
	s->cur = n;
	sim_trace(s, "ends: %s", reason == REPLOG_LEFT ? "has left" : reason == REPLOG_PROCESS_DOWN ? "process" : "power");
	if (reason != REPLOG_LEFT && !n->dying && chance(s, 4))
		last_moments(n);
	while (reason != REPLOG_LEFT && chance(s, 2) && machine_work(n))
		; /* a commit under way may have reached the disk */
	n->dying = true;
	n->fs.fuse = sim_random(s) % 6;
	n->fs.killed = reason == REPLOG_PROCESS_DOWN;
	if (s->history[n->history].used)
		n->at_death = n->history;
	net_gone(n, reason);
	tcp_gone(n, reason);
	net_clear(n);
	n->ev.lost(n->ev.arg, "the process ends"); /* what it still waits for is answered while there is a log to speak to */
	come_to_rest(n);
	free_process(n);
	net_clear(n);
	if (reason == REPLOG_NODE_DOWN)
		fs_power_loss(n);
	s->cur = NULL;
}

static void has_left(void *arg)
{
	((struct node *)arg)->left = true;
}

void node_stop(struct node *n)
{
	n->stopping = true;
}

static bool is_idle(const struct node *n)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (n->slot[i] && n->slot[i]->busy)
			return false;
	for (unsigned i = 0; i < INITIATORS; i++)
		if (load_tmf_busy(n, i))
			return false;
	return true;
}

/* As daemon_shutdown() has it: nothing of its initiators is under way when it leaves. */
static bool leave(struct node *n)
{
	if (!n->stopping || n->leaving)
		return false;
	if (upgrade_old_rules(n->sim) && !schedule_may_fault(n->sim)) /* others have ended meanwhile */
		n->stopping = false;
	if (!n->stopping)
		return false;
	if (!is_idle(n))
		return load_data(n);
	sim_trace(n->sim, "leaves");
	n->leaving = true;
	cluster_leave(n->d.cluster, has_left, n);
	return true;
}

/* ---- one thing happens on it ------------------------------------------------------------------------------------------------------- */

static bool news(struct node *n)
{
	for (uint32_t i = 1; i <= n->sim->nodes; i++)
		if (n->fence_news & 1u << i) {
			n->fence_news &= ~(1u << i);
			sim_trace(n->sim, "hears that node %u is fenced", i);
			cluster_fencing_confirmed(n->d.cluster, i);
			return true;
		}
	return false;
}

static bool try(struct node *n, unsigned what)
{
	switch (what) {
	case 0:
		return net_order(n);
	case 1:
	case 2:
		return net_take(n);
	case 3:
		return net_quorum(n);
	case 4:
	case 5:
		return machine_control(n);
	case 6:
	case 7:
		return machine_reactor(n, what - 6);
	case 8:
		return !(n->slow & 1 && sim_random(n->sim) % 8) && machine_work(n);
	case 9:
		return !(n->slow & 2 && sim_random(n->sim) % 8) && disk_step(n);
	case 10:
		return machine_timer(n);
	case 11:
		return !(n->slow & 1 && sim_random(n->sim) % 8) && admin_step(n);
	case 12:
		return (n->sim->prompt || !(sim_random(n->sim) % 128)) && load_data(n);
	}
	return news(n);
}

#define KINDS 14

bool node_step(struct node *n)
{
	unsigned first;

	if (!n->running || n->paused)
		return false;
	n->sim->cur = n;
	if (n->left) {
		node_die(n, REPLOG_LEFT);
		crm_node_gone(n->sim, n->id);
		return true;
	}
	if (leave(n))
		return true;
	first = sim_random(n->sim) % KINDS;
	for (unsigned k = 0; k < KINDS; k++)
		if (try(n, (first + k) % KINDS))
			return true;
	return false;
}
