/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit attention conditions (SAM-5 5.14): what is raised, for whom, and the queue per I_T_L nexus. */
#ifndef SANDEM_CORE_UA_H
#define SANDEM_CORE_UA_H

#include <stdbool.h>
#include <stdint.h>

#include "core/nexus_id.h"

/* ASC << 8 | ASCQ */
enum ua {
	UA_POWER_ON = 0x2900,
	UA_BUS_DEVICE_RESET = 0x2903,
	UA_IT_NEXUS_LOSS = 0x2907,
	UA_MODE_PARAMETERS_CHANGED = 0x2a01,
	UA_LOG_PARAMETERS_CHANGED = 0x2a02,
	UA_RESERVATIONS_PREEMPTED = 0x2a03,
	UA_RESERVATIONS_RELEASED = 0x2a04,
	UA_REGISTRATIONS_PREEMPTED = 0x2a05,
	UA_ASYMMETRIC_ACCESS_CHANGED = 0x2a06,
	UA_IMPLICIT_TRANSITION_FAILED = 0x2a07,
	UA_CAPACITY_CHANGED = 0x2a09,
	UA_TIMESTAMP_CHANGED = 0x2a10,
	UA_MEDIUM_MAY_HAVE_CHANGED = 0x2800,
	UA_PREVIOUS_BUSY = 0x2c07,
	UA_PREVIOUS_TASK_SET_FULL = 0x2c08,
	UA_PREVIOUS_RESERVATION_CONFLICT = 0x2c09,
	UA_COMMANDS_CLEARED_BY_ANOTHER = 0x2f00,
	UA_THIN_SOFT_THRESHOLD = 0x3807,
	UA_INQUIRY_CHANGED = 0x3f03,
	UA_REPORTED_LUNS_CHANGED = 0x3f0e,
};

enum ua_scope_kind {
	UA_SCOPE_ALL,	  /* every I_T nexus of the logical unit */
	UA_SCOPE_ALL_BUT, /* every one but those listed */
	UA_SCOPE_ONLY,	  /* those listed */
};

struct ua_scope {
	enum ua_scope_kind kind;
	uint32_t n;
	const struct nexus_id *ids; /* not owned */
};

bool ua_scope_covers(const struct ua_scope *scope, const struct nexus_id *id);

/* The pending conditions of one I_T_L nexus, oldest first, without duplicates. Reactor thread. */
#define UA_QUEUE_MAX 8
struct ua_queue {
	uint8_t n;
	uint16_t code[UA_QUEUE_MAX];
};

/* Adds ua; a reset condition (29h) clears what it makes obsolete (SAM-5 5.14.2). On overflow the
 * queue collapses to the most severe condition: nothing is lost silently. */
void ua_queue_push(struct ua_queue *q, uint16_t ua);
/* Oldest condition, removed; 0 when there is none. */
uint16_t ua_queue_pop(struct ua_queue *q);
/* Removes ua where it is pending (REPORT LUNS clears 3F/0E, SPC-4 6.33). */
void ua_queue_clear(struct ua_queue *q, uint16_t ua);

#endif
