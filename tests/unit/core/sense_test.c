/* SPDX-License-Identifier: BSD-2-Clause */
/* Sense data formats (SPC-4 4.5) and the unit attention queue (SAM-5 5.14). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/sense.h"
#include "core/ua.h"

static void fixed_format(void **state)
{
	const uint8_t want[18] = { 0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0x00, 0, 0xcb, 0x00, 0x02 };
	struct sense_detail d = { .field = 2, .bit = 3, .in_cdb = true };
	uint8_t buf[SENSE_MAX];

	(void)state;
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(sense_build(buf, SENSE_INVALID_FIELD_IN_CDB, false, &d), 18);
	assert_memory_equal(buf, want, 18);
	d = (struct sense_detail){ .field = 20, .bit = -1 };
	sense_build(buf, SENSE_INVALID_FIELD_IN_PARAM, false, &d);
	assert_int_equal(buf[15], 0x80); /* in the parameter list, no bit */
	assert_int_equal(buf[17], 20);
	sense_build(buf, SENSE_WRITE_ERROR, false, &d); /* field pointers belong to ILLEGAL REQUEST */
	assert_int_equal(buf[15], 0);
}

static void information(void **state)
{
	struct sense_detail d = { .field = -1, .bit = -1, .has_info = true, .info = 0x12345678 };
	const uint8_t descriptor[12] = { 0, 10, 0x80, 0, 0, 0, 0, 1, 0x12, 0x34, 0x56, 0x78 };
	uint8_t buf[SENSE_MAX];

	(void)state;
	sense_build(buf, SENSE_MISCOMPARE, false, &d);
	assert_int_equal(buf[0], 0xf0);
	assert_memory_equal(buf + 3, "\x12\x34\x56\x78", 4);
	d.info = 0x112345678; /* does not fit: VALID=0 */
	sense_build(buf, SENSE_MISCOMPARE, false, &d);
	assert_int_equal(buf[0], 0x70);
	assert_int_equal(sense_build(buf, SENSE_MISCOMPARE, true, &d), 20);
	assert_memory_equal(buf, "\x72\x0e\x1d\x00\0\0\0\x0c", 8);
	assert_memory_equal(buf + 8, descriptor, 12);
}

static void descriptor_format(void **state)
{
	struct sense_detail d = { .field = 2, .bit = -1, .in_cdb = true };
	const uint8_t sks[8] = { 2, 6, 0, 0, 0xc0, 0, 2, 0 };
	uint8_t buf[SENSE_MAX];

	(void)state;
	assert_int_equal(sense_build(buf, SENSE_LBA_OUT_OF_RANGE, true, NULL), 8);
	assert_memory_equal(buf, "\x72\x05\x21\x00\0\0\0\0", 8);
	assert_int_equal(sense_build(buf, SENSE_INVALID_FIELD_IN_CDB, true, &d), 16);
	assert_int_equal(buf[7], 8);
	assert_memory_equal(buf + 8, sks, 8);
}

static void every_errno_has_a_sense(void **state)
{
	(void)state;
	for (int e = 1; e < 134; e++)
		for (int write = 0; write < 2; write++) {
			assert_int_not_equal(sense_from_errno(-e, write), SENSE_NONE);
			assert_non_null(sense_text(sense_from_errno(-e, write)));
		}
	/* A read never says write protected or no space: initiators would take the LUN for
	 * read-only. */
	for (int e = 1; e < 134; e++)
		assert_int_not_equal(SENSE_KEY(sense_from_errno(-e, false)), KEY_DATA_PROTECT);
}

/* ---- unit attentions ------------------------------------------------------------------------- */

static void drain(struct ua_queue *q, const uint16_t *want, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(ua_queue_pop(q), want[i]);
	assert_int_equal(ua_queue_pop(q), 0);
}

static void oldest_first_without_duplicates(void **state)
{
	struct ua_queue q = { 0 };
	const uint16_t want[] = { UA_RESERVATIONS_RELEASED, UA_CAPACITY_CHANGED };

	(void)state;
	assert_int_equal(ua_queue_pop(&q), 0);
	ua_queue_push(&q, UA_RESERVATIONS_RELEASED);
	ua_queue_push(&q, UA_CAPACITY_CHANGED);
	ua_queue_push(&q, UA_RESERVATIONS_RELEASED);
	drain(&q, want, 2);
}

static void resets_come_first_and_cover_lesser_ones(void **state)
{
	struct ua_queue q = { 0 };
	const uint16_t want[] = { UA_BUS_DEVICE_RESET, UA_REGISTRATIONS_PREEMPTED, UA_CAPACITY_CHANGED };

	(void)state;
	ua_queue_push(&q, UA_IT_NEXUS_LOSS);
	ua_queue_push(&q, UA_REGISTRATIONS_PREEMPTED);
	ua_queue_push(&q, UA_COMMANDS_CLEARED_BY_ANOTHER);
	ua_queue_push(&q, UA_CAPACITY_CHANGED);
	ua_queue_push(&q, UA_BUS_DEVICE_RESET);
	ua_queue_push(&q, UA_IT_NEXUS_LOSS); /* lesser than the pending one */
	drain(&q, want, 3);
	ua_queue_push(&q, UA_CAPACITY_CHANGED);
	ua_queue_push(&q, UA_POWER_ON);
	drain(&q, (const uint16_t[]){ UA_POWER_ON }, 1);
}

static void overflow_becomes_power_on(void **state)
{
	static const uint16_t many[] = { UA_MODE_PARAMETERS_CHANGED, UA_LOG_PARAMETERS_CHANGED,
					 UA_RESERVATIONS_PREEMPTED, UA_RESERVATIONS_RELEASED, UA_REGISTRATIONS_PREEMPTED,
					 UA_ASYMMETRIC_ACCESS_CHANGED, UA_CAPACITY_CHANGED, UA_INQUIRY_CHANGED,
					 UA_REPORTED_LUNS_CHANGED };
	struct ua_queue q = { 0 };

	(void)state;
	for (int i = 0; i < 9; i++)
		ua_queue_push(&q, many[i]);
	drain(&q, (const uint16_t[]){ UA_POWER_ON }, 1);
	for (int i = 0; i < 8; i++)
		ua_queue_push(&q, many[i]);
	drain(&q, many, 8);
}

/* By pairs: each condition is pending once; a reset stands before what is no reset, and hides what is below it (SAM-5, unit
 * attention condition precedence: power on, bus device reset, I_T nexus loss, all others). */
static void precedence_of_each_pair(void **state)
{
	static const uint16_t all[] = {
		UA_POWER_ON, UA_BUS_DEVICE_RESET, UA_IT_NEXUS_LOSS, UA_MEDIUM_MAY_HAVE_CHANGED,
		UA_MODE_PARAMETERS_CHANGED, UA_LOG_PARAMETERS_CHANGED, UA_RESERVATIONS_PREEMPTED,
		UA_RESERVATIONS_RELEASED, UA_REGISTRATIONS_PREEMPTED, UA_ASYMMETRIC_ACCESS_CHANGED,
		UA_CAPACITY_CHANGED, UA_TIMESTAMP_CHANGED, UA_COMMANDS_CLEARED_BY_ANOTHER, UA_THIN_SOFT_THRESHOLD,
		UA_REPORTED_LUNS_CHANGED,
	};
	enum { RESETS = 3, N = sizeof(all) / sizeof(all[0]) }; /* resets come first, highest first */

	(void)state;
	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < N; k++) {
			struct ua_queue q = { 0 };
			bool hidden = i < RESETS && k < RESETS;

			ua_queue_push(&q, all[i]);
			ua_queue_push(&q, all[k]);
			ua_queue_push(&q, all[i]);
			ua_queue_push(&q, all[k]);
			for (unsigned n = 1; n < q.n; n++)
				assert_int_not_equal(q.code[n], q.code[0]);
			if (i == k || hidden)
				assert_int_equal(q.n, 1);
			if (hidden)
				assert_int_equal(q.code[0], all[i < k ? i : k]);
			else if (i < RESETS || k < RESETS)
				assert_int_equal(q.code[0], all[i < RESETS ? i : k]);
			else
				assert_int_equal(q.code[0], all[i]); /* oldest first */
		}
}

static void clear_takes_one_kind_away(void **state)
{
	struct ua_queue q = { 0 };

	(void)state;
	ua_queue_push(&q, UA_REPORTED_LUNS_CHANGED);
	ua_queue_push(&q, UA_CAPACITY_CHANGED);
	ua_queue_clear(&q, UA_REPORTED_LUNS_CHANGED);
	ua_queue_clear(&q, UA_INQUIRY_CHANGED);
	drain(&q, (const uint16_t[]){ UA_CAPACITY_CHANGED }, 1);
}

static void scopes(void **state)
{
	struct nexus_id ids[2] = { { 1, "iqn.a,i,0x1" }, { 2, "iqn.a,i,0x1" } }, other = { 1, "iqn.b,i,0x1" };
	struct ua_scope all = { UA_SCOPE_ALL, 0, NULL }, but = { UA_SCOPE_ALL_BUT, 2, ids },
			only = { UA_SCOPE_ONLY, 1, &ids[1] };

	(void)state;
	assert_true(ua_scope_covers(&all, &ids[0]));
	assert_false(ua_scope_covers(&but, &ids[0]));
	assert_true(ua_scope_covers(&but, &other));
	assert_true(ua_scope_covers(&only, &ids[1]));
	assert_false(ua_scope_covers(&only, &ids[0])); /* same initiator port, another target port */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_format),
		cmocka_unit_test(information),
		cmocka_unit_test(descriptor_format),
		cmocka_unit_test(every_errno_has_a_sense),
		cmocka_unit_test(oldest_first_without_duplicates),
		cmocka_unit_test(resets_come_first_and_cover_lesser_ones),
		cmocka_unit_test(overflow_becomes_power_on),
		cmocka_unit_test(precedence_of_each_pair),
		cmocka_unit_test(clear_takes_one_kind_away),
		cmocka_unit_test(scopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
