/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a SET TARGET PORT GROUPS parameter list (SPC-4 6.45) asks of a LUN group. A group has one owner, so the states
 * of its target port groups follow from one choice: whose is active/optimized.
 *
 *   asked                                                          verdict
 *   nothing, or what is so already                                 UNCHANGED
 *   one port group active/optimized, others as they would then be  MOVE
 *   two active/optimized; none; a state that does not follow       BAD_FIELD: an invalid combination
 *   a state that no port group is ever in, no such port group      BAD_FIELD
 *   a node that is not there                                       FAILED
 *   anything while the group is on its way to an owner             TRANSITION
 *
 * Pure.
 */
#ifndef SANDEM_ALUA_STPG_H
#define SANDEM_ALUA_STPG_H

#include <stddef.h>
#include <stdint.h>

struct alua_gate;

enum stpg_verdict {
	STPG_UNCHANGED, /* GOOD */
	STPG_MOVE,	/* the group is to be owned by node */
	STPG_BAD_LENGTH,
	STPG_BAD_FIELD, /* of the parameter list, at byte */
	STPG_TRANSITION,
	STPG_FAILED,
};

struct stpg {
	enum stpg_verdict verdict;
	uint32_t node; /* STPG_MOVE */
	int byte;      /* STPG_BAD_FIELD */
};

/* What list, of len bytes, asks, where the port groups are in the states of gate. Any thread that may read gate. */
struct stpg stpg_decide(const struct alua_gate *gate, const uint8_t *list, size_t len);

#endif
