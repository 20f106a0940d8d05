/* SPDX-License-Identifier: BSD-2-Clause */
/* What core->wipes stands for, in a cluster of one node: SANITIZE and FORMAT UNIT of fake_target's
 * first logical unit. */
#ifndef FAKE_WIPES_H
#define FAKE_WIPES_H

#include "core/wipe_run.h"
#include "tests/unit/core/fake_target.h"

extern struct fake_wipes {
	struct fake_target *f;
	struct wipe_request *q; /* waits for the end */
	struct wipe *old;
	struct wipe_order order;
	struct wipe_run *run;
	struct lu_barrier barrier;
	struct lu_barrier_part part[1];
	uint64_t id, reached; /* bytes that are said to be done */
	uint8_t reached_pass;
	int cancelled; /* runs that ended with the ownership */
} fake_wipes;

void fake_wipes_wire(struct fake_target *f);
void fake_wipes_end(void);
/* The owner of the gate's epoch goes on with fake_wipes.order. */
void fake_wipes_run(uint8_t pass, uint64_t at);

#endif
