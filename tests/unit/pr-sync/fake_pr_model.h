/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of the persistent reservation of one logical unit that is as naive as can be: an array of keys by nexus, a type,
 * a holder; every rule of SPC-4 5.13 as one line over it. And who has it by RESERVE of SPC-2. It shares nothing with pr-sync: the engine's test and the simulator
 * (tests/sim) judge by it.
 */
#ifndef FAKE_PR_MODEL_H
#define FAKE_PR_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define PR_MODEL_NEXUSES_MAX 15
#define PR_MODEL_NOBODY -1

struct pr_model {
	unsigned nexuses, ports; /* nexus = initiator × ports + target port */
	uint64_t key[PR_MODEL_NEXUSES_MAX]; /* 0: not registered */
	unsigned type;			    /* 0: not reserved */
	int holder;			    /* PR_MODEL_NOBODY for all registrants */
	uint32_t generation;
	bool aptpl;
	unsigned reserved_by; /* by RESERVE of SPC-2: nexus + 1, 0: by nobody */
	bool told_preempted[PR_MODEL_NEXUSES_MAX], told_released[PR_MODEL_NEXUSES_MAX]; /* by the last operation */
};

struct pr_model_op {
	unsigned action, type, from;
	uint64_t key, sa_key;
	bool all_tg_pt, aptpl;
	unsigned ports;	       /* SPEC_I_PT: a bit per initiator whose port is named; 0: without */
	unsigned move_to;      /* REGISTER AND MOVE: the nexus */
	bool unreg;
	bool repeated; /* of a command whose end was never told: what is so already gets GOOD */
};

/* Gives the SCSI status. */
uint8_t pr_model_apply(struct pr_model *m, const struct pr_model_op *c);
/* RESERVE and RELEASE of SPC-2 by nexus i; the SCSI status. */
uint8_t pr_model_spc2_reserve(struct pr_model *m, unsigned i);
uint8_t pr_model_spc2_release(struct pr_model *m, unsigned i);
bool pr_model_holds(const struct pr_model *m, unsigned i);
/* May nexus i write / read the medium (SPC-4 tables 64, 65; SPC-2 5.5.1)? */
bool pr_model_may(const struct pr_model *m, unsigned i, bool write);
/* Power is lost on every node. */
void pr_model_power_loss(struct pr_model *m);

#endif
