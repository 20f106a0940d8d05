/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of the persistent reservation of one logical unit that is as naive as can be: an array of keys by nexus, a type,
 * a holder; every rule of SPC-4 5.13 as one line over it. It shares nothing with pr-sync: the engine's test and the simulator
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
	bool told_preempted[PR_MODEL_NEXUSES_MAX], told_released[PR_MODEL_NEXUSES_MAX]; /* by the last operation */
};

struct pr_model_op {
	unsigned action, type, from;
	uint64_t key, sa_key;
	bool all_tg_pt, aptpl;
	bool repeated; /* of a command whose end was never told: what is so already gets GOOD */
};

/* Gives the SCSI status. */
uint8_t pr_model_apply(struct pr_model *m, const struct pr_model_op *c);
bool pr_model_holds(const struct pr_model *m, unsigned i);
/* May nexus i write / read the medium (SPC-4 tables 64, 65)? */
bool pr_model_may(const struct pr_model *m, unsigned i, bool write);
/* Power is lost on every node. */
void pr_model_power_loss(struct pr_model *m);

#endif
