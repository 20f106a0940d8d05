/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/target.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

#include "core/core.h"
#include "core/lu.h"

struct lu *core_find_lu(struct core *core, const char *name)
{
	for (uint32_t i = 0; i < core->nlus; i++)
		if (strcmp(core->lu[i]->name, name) == 0)
			return core->lu[i];
	return NULL;
}

struct target *target_find(struct core *core, const char *name)
{
	for (uint32_t i = 0; i < core->ntargets; i++)
		if (strcmp(core->target[i]->name, name) == 0)
			return core->target[i];
	return NULL;
}

const struct initiator_acl *target_acl(const struct target *t, const char *initiator)
{
	for (uint16_t i = 0; i < t->nacls; i++)
		for (uint16_t k = 0; k < t->acl[i].npatterns; k++)
			if (fnmatch(t->acl[i].pattern[k], initiator, 0) == 0)
				return &t->acl[i];
	return NULL;
}
