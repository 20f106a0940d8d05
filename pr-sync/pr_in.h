/* SPDX-License-Identifier: BSD-2-Clause */
/* Parameter data of PERSISTENT RESERVE IN (SPC-4 6.15): pure, from the state of one logical
 * unit. */
#ifndef SANDEM_PR_SYNC_PR_IN_H
#define SANDEM_PR_SYNC_PR_IN_H

#include <stdbool.h>

#include "core/service.h"
#include "pr-sync/pr.h"

enum pr_in_action {
	PR_IN_READ_KEYS,
	PR_IN_READ_RESERVATION,
	PR_IN_REPORT_CAPABILITIES,
	PR_IN_READ_FULL_STATUS,
};
#define PR_IN_ACTIONS 4

/* Appends the whole parameter data, whatever the allocation length; out->err on lack of memory.
 * False: no such service action. */
bool pr_in_data(const struct pr *pr, unsigned action, struct wbuf *out);

#endif
