/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a logical unit as it has to be, by naive rules that share nothing with the services: reservations
 * (tests/unit/pr-sync/fake_pr_model.h), mode parameters, device clock, resets of log pages, capacity; and whom the last operation
 * has to be told.
 */
#ifndef SANDEM_TESTS_SIM_MODEL_H
#define SANDEM_TESTS_SIM_MODEL_H

#include "core/log_counters.h"
#include "core/mode.h"
#include "tests/unit/pr-sync/fake_pr_model.h"

/* What an I_T nexus is told by unit attentions. */
enum tell {
	TELL_PREEMPTED, TELL_RELEASED, TELL_MODE, TELL_LOG, TELL_CLOCK, TELL_CAPACITY, TELL_RESET, TELL_CLEARED, TELL_POWER_ON,
	TELLS,
};

struct lu_model {
	struct pr_model pr;
	uint8_t mode[MODE_FIELDS], saved[MODE_FIELDS];
	bool clock_set;
	int64_t clock; /* ms from the nodes' */
	uint32_t log_resets[LOG_RESETS];
	uint32_t blocks; /* 0: nobody has looked at the medium */
	uint16_t told[TELLS]; /* by the last operation, a bit per nexus */
};

enum model_kind {
	MODEL_PR_OUT,
	MODEL_RESERVE, /* of SPC-2 */
	MODEL_RELEASE,
	MODEL_UNRESERVE, /* by a logical unit reset */
	MODEL_NEXUS_LOST,
	MODEL_MODE_SELECT,
	MODEL_MODE_RESET,
	MODEL_CLOCK,
	MODEL_LOG,
	MODEL_CAPACITY,
	MODEL_LUN_RESET,
	MODEL_CLEAR_TASK_SET,
};

struct model_op {
	enum model_kind kind;
	struct pr_model_op pr;
	unsigned from; /* nexus */
	struct mode_change mode;
	bool save;
	int64_t clock;
	uint32_t log_pages;
	uint32_t blocks;
};

void lu_model_init(struct lu_model *m, unsigned initiators, unsigned ports);
/* Gives the SCSI status. */
uint8_t lu_model_apply(struct lu_model *m, const struct model_op *c);
/* May nexus i write / read the medium? */
bool lu_model_may(const struct lu_model *m, unsigned i, bool write);
/* Power is lost on every node. */
void lu_model_power_loss(struct lu_model *m);

#endif
