/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/lun_map.h"

#include <stdlib.h>

#include "core/aca.h"
#include "core/cmd.h"
#include "core/core.h"
#include "core/lu.h"
#include "core/target.h"

/* ---- predicates -------------------------------------------------------------------------------- */

static const struct itl *itl_of(const struct nexus *n, const struct lun_entry *e)
{
	for (uint32_t i = 0; i < n->nitl; i++)
		if (n->itl[i].lun == e->lun && n->itl[i].lu == e->lu)
			return &n->itl[i];
	return NULL;
}

static bool is_same(const struct nexus *n, const struct lun_entry *e, uint32_t nluns)
{
	if (n->nitl != nluns)
		return false;
	for (uint32_t i = 0; i < nluns; i++)
		if (n->itl[i].lun != e[i].lun || n->itl[i].lu != e[i].lu || n->itl[i].read_only != e[i].read_only)
			return false;
	return true;
}

/* ---- one nexus ---------------------------------------------------------------------------------- */

static void fill(struct itl *to, struct nexus *n, const struct lun_entry *e)
{
	const struct itl *was = itl_of(n, e);

	if (was) {
		*to = *was;
	} else {
		*to = (struct itl){ .lu = e->lu, .nexus = n, .lun = e->lun };
		ua_queue_push(&to->ua, UA_POWER_ON);
	}
	to->read_only = e->read_only;
	ua_queue_push(&to->ua, UA_REPORTED_LUNS_CHANGED); /* SPC-4 6.33 */
}

/* Commands that wait go through the gates once more, where unit attentions and reservations are looked up. */
static void tasks_follow(struct nexus *n, const struct itl *old, uint32_t nold)
{
	for (uint32_t i = 0; i < nold; i++) {
		struct lun_entry e = { .lun = old[i].lun, .lu = old[i].lu };
		struct itl *now = (struct itl *)itl_of(n, &e);
		struct scsi_cmd *cmd;

		if (!now) {
			aca_clear((struct itl *)&old[i]);
			continue;
		}
		cds_list_for_each_entry(cmd, &lu_shard_of(old[i].lu, n->reactor)->tasks, task_link)
			if (cmd->itl == &old[i])
				cmd->itl = now;
	}
}

/* The control thread may be reading the map (TARGET RESET): whichever count it sees, so many entries are there, and those
 * beyond the map are empty. */
static void swap(struct nexus *n, struct itl *itl, uint32_t nitl, struct lun_map_old *old)
{
	*old = (struct lun_map_old){ .next = n->old_maps, .nitl = n->nitl, .itl = n->itl };
	n->old_maps = old;
	__atomic_store_n(&n->itl, itl, __ATOMIC_RELEASE);
	__atomic_store_n(&n->nitl, nitl, __ATOMIC_RELEASE);
	tasks_follow(n, old->itl, old->nitl);
}

static bool refresh(struct nexus *n)
{
	const struct initiator_acl *acl = target_acl(n->target, n->initiator);
	uint32_t nluns = acl ? acl->nluns : 0, room = (nluns > n->nitl ? nluns : n->nitl) + 1;
	struct lun_map_old *old;
	struct itl *itl;

	if (is_same(n, acl ? acl->lun : NULL, nluns))
		return true;
	itl = calloc(room, sizeof(*itl));
	old = malloc(sizeof(*old));
	if (!itl || !old) {
		free(itl);
		free(old);
		return false;
	}
	for (uint32_t i = 0; i < nluns; i++)
		fill(&itl[i], n, &acl->lun[i]);
	ua_queue_push(&n->well_known_ua, UA_REPORTED_LUNS_CHANGED);
	swap(n, itl, nluns, old);
	return true;
}

/* ---- all of them --------------------------------------------------------------------------------- */

static void part_back(struct msg *m)
{
	struct lun_map_part *part = caa_container_of(m, struct lun_map_part, msg);
	struct lun_map_refresh *r = part->refresh;

	r->no_memory |= part->no_memory;
	if (--r->left == 0)
		r->done(r);
}

static void part_run(struct msg *m)
{
	struct lun_map_part *part = caa_container_of(m, struct lun_map_part, msg);
	struct nexus *n;

	cds_list_for_each_entry(n, &part->reactor->nexuses, link)
		if (n->target->map_changed && !refresh(n))
			part->no_memory = true;
	part->msg.fn = part_back;
	core_post_control(part->refresh->core, &part->msg);
}

void lun_map_refresh(struct lun_map_refresh *r)
{
	struct core *core = r->core;

	r->left = core->nreactors;
	r->no_memory = false;
	for (unsigned i = 0; i < core->nreactors; i++) {
		r->part[i] = (struct lun_map_part){ .msg.fn = part_run, .refresh = r, .reactor = &core->reactor[i] };
		reactor_post(&core->reactor[i], &r->part[i].msg);
	}
}

void lun_map_free_old(struct nexus *n)
{
	while (n->old_maps) {
		struct lun_map_old *old = n->old_maps;

		n->old_maps = old->next;
		free(old->itl);
		free(old);
	}
}
