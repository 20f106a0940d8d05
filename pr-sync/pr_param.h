/* SPDX-License-Identifier: BSD-2-Clause */
/* CDB and parameter list of PERSISTENT RESERVE OUT → struct pr_op (SPC-4 6.16). Pure. */
#ifndef SANDEM_PR_SYNC_PR_PARAM_H
#define SANDEM_PR_SYNC_PR_PARAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/sense.h"
#include "core/target.h"
#include "pr-sync/pr.h"

#define PR_PARAM_LEN 24	       /* but for SPEC_I_PT and REGISTER AND MOVE */
#define PR_PARAM_MAX (64u << 10) /* bytes of parameter list */

/* The operation and what its pointers point to. */
struct pr_param {
	struct pr_op op;
	char (*name)[PORT_NAME_MAX + 1]; /* [PR_SPEC_PORTS_MAX] */
	const char **port;
	uint32_t rtpi[PR_TARGET_PORTS_MAX];
};

struct pr_param_error {
	sense_t sense; /* SENSE_NONE: no memory */
	struct sense_detail detail;
};

/* 0; -1 with *e when the CDB or the list is wrong. target: whose ports ALL_TG_PT and REGISTER AND
 * MOVE mean. len: bytes of list that have arrived, cdb_len: PARAMETER LIST LENGTH. Always safe to
 * fini. */
int pr_param_parse(struct pr_param *p, const uint8_t *cdb, const uint8_t *list, size_t cdb_len,
		   size_t len, const struct nexus_id *nexus, const struct target *target,
		   struct pr_param_error *e);
void pr_param_fini(struct pr_param *p);

#endif
