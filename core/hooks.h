/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_CORE_HOOKS_H
#define SANDEM_CORE_HOOKS_H

#include <stdbool.h>

#include "core/cdb.h"

struct core;

/* Any thread. False: the row's command lives above core and nothing is wired for it. */
bool hooks_serve(const struct core *core, const struct cdb_row *row);

#endif
