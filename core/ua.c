/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/ua.h"

#include <string.h>

static bool scope_lists(const struct ua_scope *scope, const struct nexus_id *id)
{
	for (uint32_t i = 0; i < scope->n; i++)
		if (nexus_id_eq(&scope->ids[i], id))
			return true;
	return false;
}

bool ua_scope_covers(const struct ua_scope *scope, const struct nexus_id *id)
{
	switch (scope->kind) {
	case UA_SCOPE_ALL:
		return true;
	case UA_SCOPE_ALL_BUT:
		return !scope_lists(scope, id);
	case UA_SCOPE_ONLY:
		return scope_lists(scope, id);
	}
	return false;
}

/* ---- the queue ------------------------------------------------------------------------------- */

static bool is_pending(const struct ua_queue *q, uint16_t ua)
{
	for (int i = 0; i < q->n; i++)
		if (q->code[i] == ua)
			return true;
	return false;
}

static bool is_reset(uint16_t ua)
{
	return ua >> 8 == 0x29;
}

/* Reset conditions in descending precedence (SAM-5 5.14.2): a pending one hides those below it. */
static int reset_rank(uint16_t ua)
{
	switch (ua) {
	case UA_POWER_ON:
		return 3;
	case UA_BUS_DEVICE_RESET:
		return 2;
	case UA_IT_NEXUS_LOSS:
		return 1;
	}
	return 0;
}

/* What an initiator looks at anew anyway after condition `reset`. Registrations, reservations,
 * capacity and the LUN inventory are not touched by a reset: news of them stays. */
static bool is_made_obsolete(uint16_t pending, uint16_t reset)
{
	if (reset == UA_POWER_ON)
		return true;
	if (is_reset(pending))
		return reset_rank(pending) <= reset_rank(reset);
	return reset == UA_BUS_DEVICE_RESET &&
	       (pending == UA_COMMANDS_CLEARED_BY_ANOTHER || pending == UA_MODE_PARAMETERS_CHANGED ||
		pending == UA_LOG_PARAMETERS_CHANGED);
}

static void remove_at(struct ua_queue *q, int i)
{
	memmove(&q->code[i], &q->code[i + 1], (q->n - i - 1) * sizeof(q->code[0]));
	q->n--;
}

static void push_reset(struct ua_queue *q, uint16_t ua)
{
	if (q->n && is_reset(q->code[0]) && reset_rank(q->code[0]) >= reset_rank(ua))
		return;
	for (int i = q->n - 1; i >= 0; i--)
		if (is_made_obsolete(q->code[i], ua))
			remove_at(q, i);
	if (q->n == UA_QUEUE_MAX) {
		ua = UA_POWER_ON;
		q->n = 0;
	}
	memmove(&q->code[1], &q->code[0], q->n * sizeof(q->code[0]));
	q->code[0] = ua;
	q->n++;
}

void ua_queue_push(struct ua_queue *q, uint16_t ua)
{
	if (is_reset(ua)) {
		push_reset(q, ua);
		return;
	}
	if (is_pending(q, ua))
		return;
	if (q->n == UA_QUEUE_MAX) { /* after a power on an initiator looks at everything anew */
		q->n = 0;
		ua = UA_POWER_ON;
	}
	q->code[q->n++] = ua;
}

uint16_t ua_queue_pop(struct ua_queue *q)
{
	uint16_t ua;

	if (!q->n)
		return 0;
	ua = q->code[0];
	remove_at(q, 0);
	return ua;
}

void ua_queue_clear(struct ua_queue *q, uint16_t ua)
{
	for (int i = q->n - 1; i >= 0; i--)
		if (q->code[i] == ua)
			remove_at(q, i);
}
