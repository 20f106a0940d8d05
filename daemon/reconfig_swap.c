/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the configuration that runs to another one, object by object, while commands flow (P8): what neither adds nor changes
 * is not touched.
 *
 *   groups concerned at rest ─▶ worker: open what is new (owner) ─▶ objects: groups, logical units, access lists,
 *     targets
 *     ─▶ every reactor: LUN maps of sessions, 3F/0E (core/lun_map.h) ─▶ gates: those that go refuse, and are drained
 *     ─▶ worker: flush and close what goes (owner) ─▶ done
 *
 * New before old: an initiator never sees a LUN number without the unit it is meant for. Everything that needs memory is made
 * before the first object changes, as far as it can be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/lun_map.h"
#include "core/target.h"
#include "daemon/daemon.h"
#include "daemon/reconfig.h"
#include "daemon/regroup.h"
#include "drivers/disk/disk_handlers.h"

struct added { /* a logical unit that comes */
	struct lu *lu;
	struct ownership *o;
	bool here; /* its group is open on this node */
	struct disk *disk;
	uint64_t size; /* where it is not opened */
	int rc;
	char err[400];
};

struct removed {
	struct lu *lu;
	struct disk *disk;
	int rc;
};

struct changed { /* a target: other access lists, or none any more */
	struct target *target;
	const struct target_access *access, *old;
	bool goes;
};

struct reconfig_swap {
	struct daemon *d;
	struct config *next; /* d->config from `objects` on, where it is the former one */
	struct config_diff diff;
	struct regroup groups;
	size_t nadded, nremoved, nchanged, nfresh;
	struct added *added;
	struct removed *removed;
	struct changed *changed;
	struct target **fresh;
	struct lun_map_refresh refresh;
	struct work work;
	bool waiting; /* for groups to come to rest */
	bool ok;
	void (*done)(void *arg, bool ok);
	void *arg;
};

/* ---- predicates --------------------------------------------------------------------------------------- */

static bool concerns(const struct reconfig_swap *s, const struct ownership *o)
{
	if (regroup_concerns(&s->groups, o))
		return true;
	for (size_t i = 0; i < s->nadded; i++)
		if (s->added[i].o == o)
			return true;
	for (size_t i = 0; i < s->nremoved; i++)
		if (s->removed[i].lu->control_data == o)
			return true;
	return false;
}

static bool all_rest(const struct reconfig_swap *s)
{
	for (uint32_t i = 0; i < s->d->ngroups; i++)
		if (concerns(s, s->d->ownership[i]) && !ownership_at_rest(s->d->ownership[i]))
			return false;
	return true;
}

static const struct config_target *wanted_target(const struct reconfig_swap *s, const char *name)
{
	int i = config_find_target(s->next, name);

	return i < 0 ? NULL : &s->next->target[i];
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void swap_free(struct reconfig_swap *s)
{
	config_diff_fini(&s->diff);
	regroup_fini(&s->groups);
	config_free(s->next);
	free(s->added);
	free(s->removed);
	free(s->changed);
	free(s->fresh);
	free(s->refresh.part);
	free(s);
}

static void grown(void *arg, struct lu *lu, const char *error)
{
	(void)arg;
	if (error)
		log_error("LUN %s: the configuration wants it larger: %s", lu->name, error);
}

static void grow(struct reconfig_swap *s, const struct config_lu *l)
{
	struct lu *lu = core_find_lu(&s->d->core, l->name);
	const struct ownership *o = lu->control_data;
	uint64_t now = __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED) * lu->block_size;

	if (l->disk.size > lu->disk_params.size)
		lu->disk_params.size = l->disk.size;
	if (o->phase == OWNERSHIP_OPEN && l->disk.size > now)
		media_resize(s->d, lu, l->disk.size, grown, NULL);
}

/* It is in the Logical Block Provisioning mode page, which no MODE SELECT has changed. */
static void new_threshold(struct daemon *d, struct lu *lu, uint8_t percent)
{
	if (lu->thin_threshold == percent)
		return;
	lu->thin_threshold = percent;
	effects_tell(d, lu, UA_MODE_PARAMETERS_CHANGED);
}

/* What sessions go on with, and hear of: after all else. */
static void small_changes(struct reconfig_swap *s)
{
	for (size_t i = 0; i < s->diff.n; i++) {
		const struct config_change *c = &s->diff.change[i];
		const struct config_lu *l;

		if (c->kind != CONFIG_LUN_CHANGED)
			continue;
		l = &s->d->config->lu[config_find_lu(s->d->config, c->name)];
		new_threshold(s->d, core_find_lu(&s->d->core, l->name), l->thin_threshold);
		grow(s, l);
	}
}

static void tell_opened(struct reconfig_swap *s)
{
	for (size_t i = 0; i < s->nadded; i++) {
		struct added *a = &s->added[i];

		if (!a->here)
			continue;
		if (a->rc == 0)
			media_opened(s->d, a->lu, a->lu->disk->size);
		else if (a->lu->removable && (a->rc == -ENOENT || a->rc == -ENOMEDIUM))
			removal_absent(s->d, a->lu);
		else
			ownership_fail(a->o, a->err);
	}
}

static void end(struct reconfig_swap *s)
{
	struct daemon *d = s->d;

	for (uint32_t i = 0; i < d->ngroups; i++)
		d->ownership[i]->rebuilding = false;
	regroup_end(&s->groups);
	if (s->ok) {
		small_changes(s);
		tell_opened(s);
		if (thin_watch_refresh(d) < 0)
			log_error("out of memory: thin logical units are not watched");
	}
	s->done(s->arg, s->ok);
	for (uint32_t i = 0; i < d->ngroups; i++)
		ownership_reconcile(d->ownership[i]);
	swap_free(s);
}

/* ---- what goes -------------------------------------------------------------------------------------------- */

static void close_run(struct work *w)
{
	struct reconfig_swap *s = caa_container_of(w, struct reconfig_swap, work);

	for (size_t i = 0; i < s->nremoved; i++) {
		struct disk *disk = s->removed[i].disk;

		if (!disk)
			continue;
		s->removed[i].rc = disk->ops->sync(disk);
		disk->ops->close(disk);
	}
}

static void close_done(struct work *w)
{
	struct reconfig_swap *s = caa_container_of(w, struct reconfig_swap, work);

	for (size_t i = 0; i < s->nremoved; i++)
		if (s->removed[i].rc)
			log_error("LUN %s: it is removed, but the flush of %s failed: %s; what was written last may be missing there",
				  s->removed[i].lu->name, s->removed[i].lu->disk_params.path, strerror(-s->removed[i].rc));
	end(s);
}

/* The logical units of a group without those that are gone and with those that came. */
static bool group_set(struct reconfig_swap *s, struct ownership *o)
{
	struct lu **lu = calloc(o->nlus + s->nadded + 1, sizeof(*lu));
	uint32_t n = 0;
	bool ok;

	for (uint32_t i = 0; lu && i < o->nlus; i++)
		if (!o->lu[i]->gone)
			lu[n++] = o->lu[i];
	for (size_t i = 0; lu && i < s->nadded; i++)
		if (s->added[i].o == o)
			lu[n++] = s->added[i].lu;
	ok = lu && ownership_set_lus(o, lu, n) == 0;
	free(lu);
	return ok;
}

static void drained(void *arg, bool ok)
{
	struct reconfig_swap *s = arg;
	struct daemon *d = s->d;

	s->ok &= ok;
	if (!s->ok) {
		end(s);
		return;
	}
	for (size_t i = 0; i < s->nremoved; i++) {
		struct removed *r = &s->removed[i];

		r->disk = lu_publish(r->lu, disk, NULL);
		core_remove_lu(&d->core, r->lu);
		d->gone.lu[d->gone.nlus++] = r->lu;
	}
	s->work = (struct work){ .run = close_run, .done = close_done };
	worker_queue(&d->worker, &s->work);
}

/* ---- the objects --------------------------------------------------------------------------------------------- */

static void refreshed(struct lun_map_refresh *refresh)
{
	struct reconfig_swap *s = caa_container_of(refresh, struct reconfig_swap, refresh);
	struct daemon *d = s->d;

	s->ok &= !refresh->no_memory;
	for (size_t i = 0; i < s->nchanged; i++) {
		struct changed *c = &s->changed[i];

		c->target->map_changed = false;
		if (s->ok) /* else a session may have been left with the map of it */
			build_access_free(c->old);
		if (c->goes)
			d->gone.target[d->gone.ntargets++] = c->target;
	}
	regroup_non_owners(d);
	effects_relist(d, drained, s);
}

static void publish_targets(struct reconfig_swap *s)
{
	struct core *core = &s->d->core;

	for (size_t i = 0; i < s->nchanged; i++) {
		struct changed *c = &s->changed[i];

		c->target->map_changed = true;
		c->old = __atomic_exchange_n(&c->target->access, c->access, __ATOMIC_SEQ_CST);
		if (c->goes)
			core_remove_target(core, c->target);
	}
	for (size_t i = 0; i < s->nfresh; i++)
		core_add_target(core, s->fresh[i]);
}

static bool access_lists(struct reconfig_swap *s)
{
	struct daemon *d = s->d;

	for (size_t i = 0; i < s->nchanged; i++) {
		struct changed *c = &s->changed[i];

		c->access = build_access(d, s->next, wanted_target(s, c->target->name));
		if (!c->access)
			return false;
	}
	for (size_t i = 0; i < s->next->ntargets; i++) {
		const struct config_target *t = &s->next->target[i];

		if (target_find(&d->core, t->name))
			continue;
		s->fresh[s->nfresh] = build_target(d, s->next, t);
		if (!s->fresh[s->nfresh])
			return false;
		s->nfresh++;
	}
	return true;
}

static void objects(struct reconfig_swap *s)
{
	struct daemon *d = s->d;
	struct config *former = (struct config *)d->config;

	regroup_attach(&s->groups, s->next);
	for (size_t i = 0; i < s->nadded; i++) {
		struct added *a = &s->added[i];

		if (a->disk)
			a->size = a->disk->size;
		a->lu->control_data = a->o;
		a->lu->blocks = a->size / a->lu->block_size;
		(void)lu_publish(a->lu, disk, a->disk);
		s->ok &= effects_new_lu(d, a->lu) == 0;
		core_add_lu(&d->core, a->lu);
	}
	for (size_t i = 0; i < s->nremoved; i++)
		s->removed[i].lu->gone = true;
	for (uint32_t i = 0; i < d->ngroups; i++)
		if (concerns(s, d->ownership[i]))
			s->ok &= group_set(s, d->ownership[i]);
	s->ok &= access_lists(s);
	if (!s->ok) {
		end(s);
		return;
	}
	publish_targets(s);
	d->config = s->next;
	s->next = former; /* goes at the end: the diff names its objects */
	lun_map_refresh(&s->refresh);
}

/* ---- what comes ---------------------------------------------------------------------------------------------- */

static void open_run(struct work *w)
{
	struct reconfig_swap *s = caa_container_of(w, struct reconfig_swap, work);

	for (size_t i = 0; i < s->nadded; i++) {
		struct added *a = &s->added[i];

		if (a->here)
			a->rc = disk_handler_open(&a->lu->disk_params, &a->disk, a->err, sizeof(a->err));
		else
			a->size = build_probe(&a->lu->disk_params);
	}
}

static void open_done(struct work *w)
{
	objects(caa_container_of(w, struct reconfig_swap, work));
}

static void begin(struct reconfig_swap *s)
{
	for (uint32_t i = 0; i < s->d->ngroups; i++)
		if (concerns(s, s->d->ownership[i]))
			s->d->ownership[i]->rebuilding = true;
	for (size_t i = 0; i < s->nadded; i++) {
		s->added[i].here = s->added[i].o->phase == OWNERSHIP_OPEN && !s->added[i].o->failed;
		media_before_open(s->d, s->added[i].lu);
	}
	s->work = (struct work){ .run = open_run, .done = open_done };
	worker_queue(&s->d->worker, &s->work);
}

void reconfig_swap_rest(struct reconfig_swap *s)
{
	if (!s->waiting || !all_rest(s))
		return;
	s->waiting = false;
	begin(s);
}

/* ---- the list of what there is to do ----------------------------------------------------------------------------- */

static bool note_change(struct reconfig_swap *s, const struct config_change *c)
{
	struct daemon *d = s->d;

	switch (c->kind) {
	case CONFIG_LUN_ADDED: {
		const struct config_lu *l = &s->next->lu[config_find_lu(s->next, c->name)];
		struct added *a = &s->added[s->nadded++];

		a->lu = build_lu(d, s->next, l);
		a->o = regroup_find(&s->groups, s->next->group[l->group].name);
		return a->lu && a->o;
	}
	case CONFIG_LUN_REMOVED:
		s->removed[s->nremoved++].lu = core_find_lu(&d->core, c->name);
		return true;
	case CONFIG_TARGET_CHANGED:
		s->changed[s->nchanged++] = (struct changed){ .target = target_find(&d->core, c->name) };
		return true;
	case CONFIG_TARGET_REMOVED:
		s->changed[s->nchanged++] = (struct changed){ .target = target_find(&d->core, c->name), .goes = true };
		return true;
	case CONFIG_GROUP_ADDED: /* stands before its LUNs */
		return regroup_add(&s->groups, s->next, c->name);
	case CONFIG_GROUP_REMOVED:
		regroup_remove(&s->groups, c->name);
		return true;
	case CONFIG_TARGET_ADDED:
	case CONFIG_LUN_CHANGED:
	case CONFIG_GROUP_CHANGED:
	case CONFIG_REFUSED: /* the fixed part is this node's own: there is none */
		break;
	}
	return true;
}

static bool make_room(struct reconfig_swap *s)
{
	struct daemon *d = s->d;
	size_t n = s->diff.n + 1;
	struct lu **lu = reallocarray(d->gone.lu, d->gone.nlus + n, sizeof(*lu));
	struct target **target = reallocarray(d->gone.target, d->gone.ntargets + n, sizeof(*target));

	if (lu)
		d->gone.lu = lu;
	if (target)
		d->gone.target = target;
	s->added = calloc(n, sizeof(*s->added));
	s->removed = calloc(n, sizeof(*s->removed));
	s->changed = calloc(n, sizeof(*s->changed));
	s->fresh = calloc(n, sizeof(*s->fresh));
	s->refresh.part = calloc(d->core.nreactors, sizeof(*s->refresh.part));
	return regroup_init(&s->groups, d, s->next, n) == 0 && lu && target && s->added && s->removed && s->changed &&
	       s->fresh && s->refresh.part;
}

static bool list_changes(struct reconfig_swap *s)
{
	if (config_diff(&s->diff, s->d->config, s->next, true) < 0 || !make_room(s))
		return false;
	for (size_t i = 0; i < s->diff.n; i++)
		if (!note_change(s, &s->diff.change[i]))
			return false;
	return true;
}

static void start_run(struct work *w)
{
	(void)w;
}

static void start_done(struct work *w)
{
	struct reconfig_swap *s = caa_container_of(w, struct reconfig_swap, work);

	s->waiting = true;
	reconfig_swap_rest(s);
}

struct reconfig_swap *reconfig_swap(struct daemon *d, struct config *next, void (*done)(void *arg, bool ok), void *arg)
{
	struct reconfig_swap *s = calloc(1, sizeof(*s));

	if (!s) {
		config_free(next);
		return NULL;
	}
	*s = (struct reconfig_swap){ .d = d, .next = next, .ok = true, .done = done, .arg = arg,
				     .refresh = { .core = &d->core, .done = refreshed } };
	if (!list_changes(s)) {
		swap_free(s);
		return NULL;
	}
	/* Through the worker's queue: what was asked of it before (an opening, a resize) is over then. */
	s->work = (struct work){ .run = start_run, .done = start_done };
	worker_queue(&d->worker, &s->work);
	return s;
}
