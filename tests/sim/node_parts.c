/* SPDX-License-Identifier: BSD-2-Clause */
/* The objects of a node's daemon, as its build.c makes them of a configuration; and their end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "daemon/regroup.h"
#include "tests/sim/sim.h"

#define HOLD_MS 3000

static void make_reactors(struct node *n)
{
	n->d.core.nreactors = REACTORS;
	n->d.core.reactor = n->reactor;
	mailbox_init(&n->d.core.control);
	for (unsigned i = 0; i < REACTORS; i++) {
		struct reactor *r = &n->reactor[i];

		*r = (struct reactor){ .core = &n->d.core, .index = i, .now = n->sim->now };
		CDS_INIT_LIST_HEAD(&r->timers);
		CDS_INIT_LIST_HEAD(&r->hooks);
		CDS_INIT_LIST_HEAD(&r->nexuses);
		mailbox_init(&r->mailbox);
		r->bufs = buf_pool_new(0);
	}
}

static void *memdup(const void *p, size_t len)
{
	void *copy = malloc(len);

	return memcpy(copy, p, len);
}

static void make_lus(struct node *n)
{
	static const char *const path[] = { "0", "1" };
	static char *const pattern[] = { "*" };

	for (unsigned i = 0; i < n->sim->groups; i++) {
		struct lu *lu = n->lus[i] = lu_new(&n->d.core, path[i]);

		snprintf(lu->group, sizeof(lu->group), "g%u", i);
		lu->block_size = 512;
		lu->blocks = BLOCKS;
		lu->max_transfer_bytes = 1u << 20;
		lu->disk_params = (struct disk_params){ .handler = "simulated", .path = path[i], .block_size = 512 };
		lu->mode_default.wce = true;
		lu->mode = memdup(&lu->mode_default, sizeof(lu->mode_default));
		lu->mode_saved = memdup(&lu->mode_default, sizeof(lu->mode_default));
		n->lun[i] = (struct lun_entry){ .lun = i, .lu = lu };
	}
	n->d.core.lu = n->lus;
	n->d.core.nlus = n->sim->groups;
	n->acl = (struct initiator_acl){ .pattern = (char **)pattern, .npatterns = 1, .lun = n->lun, .nluns = n->sim->groups };
}

static void make_target(struct node *n)
{
	static struct target_port ports[NODES];

	for (uint32_t i = 0; i < NODES; i++)
		ports[i] = (struct target_port){ .tpgt = i + 1, .rtpi = i + 1 };
	n->target = (struct target){ .name = "iqn.2026-11.sim:t", .core = &n->d.core, .nports = n->sim->nodes, .port = ports,
				     .local_port = n->id - 1, .nacls = 1, .acl = &n->acl };
	n->targets[0] = &n->target;
	n->d.core.target = n->targets;
	n->d.core.ntargets = 1;
}

static void make_groups(struct node *n)
{
	static const char *const names[] = { "g0", "g1" };

	n->d.ngroups = n->sim->groups;
	n->d.ownership = calloc(n->d.ngroups, sizeof(*n->d.ownership));
	for (unsigned i = 0; i < n->d.ngroups; i++) {
		const struct config_group g = { .name = (char *)names[i], .hold_limit_ms = HOLD_MS, .preferred = -1,
						.non_owner = n->sim->forwards ? NON_OWNER_FORWARD : NON_OWNER_STANDBY };

		n->d.ownership[i] = ownership_new(&n->d, n->d.config, &g);
	}
	n->d.alua = alua_service_new(names, n->sim->groups);
	n->d.pr = pr_service_new();
	n->d.pr->may_live.fn = n->sim->plant == PLANT_NOTHING_LINGERS ? NULL : effects_may_live;
	n->d.pr->may_live.arg = &n->d;
	n->d.media = media_service_new();
	n->d.generations = config_service_new();
	n->d.generations->groups = (struct config_groups){ regroup_free_to_go, regroup_take, &n->d };
	effects_init(&n->d);
}

static const struct config *the_config(const struct sim *s)
{
	static struct config_node node[NODES];
	static struct config c = { .cluster = "sim", .node = node };

	for (uint32_t i = 0; i < NODES; i++)
		node[i] = (struct config_node){ .name = "n", .id = i + 1 };
	c.nnodes = s->nodes;
	return &c;
}

void node_parts_new(struct node *n)
{
	n->d.config = the_config(n->sim);
	make_reactors(n);
	make_lus(n);
	make_target(n);
	make_groups(n);
}

static void free_lu(struct node *n, unsigned i)
{
	struct lu *lu = n->lus[i];
	struct ownership *o = n->d.ownership[i];
	struct disk *left[] = { lu->disk, o->opened[0] };

	for (unsigned k = 0; k < 2; k++)
		if (left[k])
			left[k]->ops->close(left[k]);
	ownership_free(o);
	alua_gate_free(lu->gate);
	pr_view_free(lu->resv);
	free((void *)lu->mode);
	free((void *)lu->mode_saved);
	lu_free(lu);
}

void node_parts_free(struct node *n)
{
	for (unsigned i = 0; i < n->sim->groups; i++)
		free_lu(n, i);
	alua_service_free(n->d.alua);
	media_service_free(n->d.media);
	config_service_free(n->d.generations);
	mode_service_clear(&n->d.modes);
	tasks_clear(&n->d.tasks);
	directory_clear(&n->d.sessions.own);
	pr_service_free(n->d.pr);
	free(n->d.ownership);
	for (unsigned i = 0; i < REACTORS; i++) {
		mailbox_fini(&n->reactor[i].mailbox);
		buf_pool_free(n->reactor[i].bufs);
	}
	mailbox_fini(&n->d.core.control);
	n->d.cluster = NULL;
}
