/* SPDX-License-Identifier: BSD-2-Clause */
/* Short names for the tests of persistent reservations: nexuses A … by letter, operations in one line. */
#ifndef SANDEM_TESTS_PR_FIXTURE_H
#define SANDEM_TESTS_PR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pr-sync/pr.h"

/* Initiator port 'A' … through target port rtpi. */
static inline struct nexus_id nexus(char who, uint16_t rtpi)
{
	struct nexus_id id = { .rtpi = rtpi };

	snprintf(id.port, sizeof(id.port), "iqn.2026-11.test:%c,i,0x00023d00000%d", who | 0x20, who & 7);
	return id;
}

static inline struct pr_op op_of(char who, enum pr_action action, uint64_t key, uint64_t sa_key, uint8_t type)
{
	return (struct pr_op){ .action = action, .nexus = nexus(who, 1), .type = type, .key = key,
			       .sa_key = sa_key };
}

#endif
