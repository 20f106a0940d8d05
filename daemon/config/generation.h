/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A generation of the configuration as it is in memory (struct config_generation), in messages, snapshots and the store. Pure.
 */
#ifndef SANDEM_CONFIG_GENERATION_H
#define SANDEM_CONFIG_GENERATION_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config/service.h"

struct Conflog__Generation;

/* Within the bounds of service.h. pb NULL: it is not. */
bool config_generation_good(const struct Conflog__Generation *pb);
/* A copy of one that is good; config_generation_fini() frees it. 0 or -ENOMEM. */
int config_generation_from(struct config_generation *g, const struct Conflog__Generation *pb);
/* pb borrows from g. */
void config_generation_to(struct Conflog__Generation *pb, const struct config_generation *g);
/* Frees what g has; g is empty then. */
void config_generation_fini(struct config_generation *g);
/* These names fit into a generation: not empty, ascending, not too many bytes. */
bool config_groups_fit(const char *const *group, size_t n);

#endif
