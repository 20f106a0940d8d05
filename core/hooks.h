/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_CORE_HOOKS_H
#define SANDEM_CORE_HOOKS_H

#include <stdbool.h>

#include "core/cdb.h"
#include "core/core.h"

/* Any thread. Whether commands of this kind are carried out at present. */
static inline bool hooks_offered(const struct core *core, enum core_hook h)
{
	return core->hook[h].fn && !__atomic_load_n(&core->hook[h].not_yet, __ATOMIC_RELAXED);
}

/* Any thread. False: the row's command lives above core and is not offered. */
bool hooks_serve(const struct core *core, const struct cdb_row *row);

#endif
