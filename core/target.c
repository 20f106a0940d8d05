/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/target.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

#include "core/core.h"
#include "core/lu.h"

/* Both lists are read by reactors while the control thread changes them, without a lock: an entry is complete before it
 * is counted, and the last one takes the place of one that goes before it is counted no more. So a reader misses
 * nothing that stays, and may meet what goes until the next lun_map_refresh() has passed. */

struct lu *core_find_lu(struct core *core, const char *name)
{
	uint32_t n = __atomic_load_n(&core->nlus, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n; i++) {
		struct lu *lu = __atomic_load_n(&core->lu[i], __ATOMIC_ACQUIRE);

		if (strcmp(lu->name, name) == 0)
			return lu;
	}
	return NULL;
}

void core_add_lu(struct core *core, struct lu *lu)
{
	lu->index = core->nlus;
	__atomic_store_n(&core->lu[core->nlus], lu, __ATOMIC_RELEASE);
	__atomic_store_n(&core->nlus, core->nlus + 1, __ATOMIC_RELEASE);
}

void core_remove_lu(struct core *core, struct lu *lu)
{
	struct lu *last = core->lu[core->nlus - 1];

	last->index = lu->index;
	__atomic_store_n(&core->lu[lu->index], last, __ATOMIC_RELEASE);
	__atomic_store_n(&core->nlus, core->nlus - 1, __ATOMIC_RELEASE);
}

void core_add_target(struct core *core, struct target *t)
{
	__atomic_store_n(&core->target[core->ntargets], t, __ATOMIC_RELEASE);
	__atomic_store_n(&core->ntargets, core->ntargets + 1, __ATOMIC_RELEASE);
}

void core_remove_target(struct core *core, struct target *t)
{
	uint32_t i = 0;

	while (core->target[i] != t)
		i++;
	__atomic_store_n(&core->target[i], core->target[core->ntargets - 1], __ATOMIC_RELEASE);
	__atomic_store_n(&core->ntargets, core->ntargets - 1, __ATOMIC_RELEASE);
}

struct target *target_find(struct core *core, const char *name)
{
	uint32_t n = __atomic_load_n(&core->ntargets, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n; i++) {
		struct target *t = __atomic_load_n(&core->target[i], __ATOMIC_ACQUIRE);

		if (strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

static bool has_port(const struct target *t, uint16_t rtpi)
{
	for (uint16_t i = 0; i < t->nports; i++)
		if (t->port[i].rtpi == rtpi)
			return true;
	return false;
}

struct target *target_find_port(struct core *core, uint16_t rtpi)
{
	uint32_t n = __atomic_load_n(&core->ntargets, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n; i++) {
		struct target *t = __atomic_load_n(&core->target[i], __ATOMIC_ACQUIRE);

		if (has_port(t, rtpi))
			return t;
	}
	return NULL;
}

const struct initiator_acl *target_acls(const struct target *t, uint16_t *n)
{
	const struct target_access *access = __atomic_load_n(&t->access, __ATOMIC_ACQUIRE);

	*n = access ? access->nacls : t->nacls;
	return access ? access->acl : t->acl;
}

const struct initiator_acl *target_acl(const struct target *t, const char *initiator)
{
	uint16_t n;
	const struct initiator_acl *acl = target_acls(t, &n);

	for (uint16_t i = 0; i < n; i++)
		for (uint16_t k = 0; k < acl[i].npatterns; k++)
			if (fnmatch(acl[i].pattern[k], initiator, 0) == 0)
				return &acl[i];
	return NULL;
}
