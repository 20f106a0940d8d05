/* SPDX-License-Identifier: BSD-2-Clause */
/* Gates, barrier and task management on one LU of fake_target.h: who waits, who is refused, who is drained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/tmf.h"
#include "fake_target.h"

#define WRITE_10 0x2a
#define READ_10 0x28
#define TEST_UNIT_READY_CDB ((const uint8_t[]){ 0, 0, 0, 0, 0, 0 })

static uint8_t block[FAKE_BLOCK];

/* ---- a barrier of the test's own ---- */

struct test_barrier {
	struct lu_barrier barrier;
	struct lu_barrier_part part[1];
	bool done;
};

static void passed(struct lu_barrier *b)
{
	caa_container_of(b, struct test_barrier, barrier)->done = true;
}

static void start(struct fake_target *f, struct test_barrier *b)
{
	b->barrier.lu = f->lu;
	b->barrier.part = b->part;
	b->barrier.done = passed;
	lu_barrier_start(&b->barrier);
}

/* Messages only: the disk's pending I/O stays pending. */
static void mail(struct fake_target *f)
{
	while (mailbox_run(&f->reactor.mailbox) | mailbox_run(&f->core.control))
		;
}

static void start_write(struct fake_target *f)
{
	uint8_t cdb[16];
	size_t len = fake_rw_cdb(cdb, WRITE_10, 0, 0, 1);

	fake_start(f, cdb, len, block, sizeof(block));
}

/* ---- ALUA ---- */

static void held_until_the_gate_opens(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate hold = { .medium = GATE_HOLD, .medium_sense = SENSE_LU_NOT_READY_TRANSITION,
				  .local_state = 15, .hold_limit_ms = 1000 };
	struct test_barrier b = { 0 };

	f->lu->gate = &hold;
	start_write(f);
	assert_false(f->ended);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	f->lu->gate = &f->gate;
	start(f, &b);
	mail(f);
	assert_true(b.done);
	assert_true(f->ended);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_WRITE], 1);
}

/* P7: late, and with a status that initiators retry; counted from when it was first held. */
static void held_too_long(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate hold = { .medium = GATE_HOLD, .medium_sense = SENSE_LU_NOT_READY_TRANSITION,
				  .local_state = 15, .hold_limit_ms = 1000 };
	struct reactor_timer *t = &f->lu->shard[0].hold_timer;
	struct test_barrier b = { 0 };

	f->reactor.now = 5000000000ull;
	f->lu->gate = &hold;
	start_write(f);
	assert_true(t->armed);
	f->reactor.now += 600000000;
	start(f, &b); /* still no owner: it goes on waiting, for what is left of its time */
	mail(f);
	assert_false(f->ended);
	assert_int_equal(t->deadline, 6000000000ull);
	f->reactor.now = t->deadline;
	reactor_timer_cancel(t);
	t->fn(t);
	assert_true(f->ended);
	assert_sense(f, SENSE_LU_NOT_READY_TRANSITION);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
}

static void refused_in_standby(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate standby = { .medium = GATE_REFUSE, .medium_sense = SENSE_LU_NOT_READY_STANDBY,
				     .local_state = 2 };
	const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36, 0 };

	f->lu->gate = &standby;
	fake_rw(f, READ_10, 0, 0, 1, NULL, FAKE_BLOCK);
	assert_sense(f, SENSE_LU_NOT_READY_STANDBY);
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0);
	assert_sense(f, SENSE_LU_NOT_READY_STANDBY);
	fake_run(f, inquiry, sizeof(inquiry), NULL, 36);
	assert_good(f);
	f->lu->gate = &f->gate;
}

/* An open gate without an open disk must not happen; if it does, nothing crashes and the path is left. */
static void no_disk_behind_an_open_gate(void **state)
{
	struct fake_target *f = *state;

	f->lu->disk = NULL;
	fake_rw(f, READ_10, 0, 0, 1, NULL, FAKE_BLOCK);
	assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
	f->lu->disk = &f->disk.disk;
}

/* ---- drains (P2) ---- */

static void drain_waits_for_what_was_admitted(void **state)
{
	struct fake_target *f = *state;
	struct test_barrier quick = { 0 }, drain = { .barrier.drain = true };

	f->disk.later = true;
	start_write(f);
	start(f, &quick);
	start(f, &drain);
	mail(f);
	assert_true(quick.done);
	assert_false(drain.done);
	fake_turn(f); /* the I/O ends */
	mail(f);
	assert_true(f->ended);
	assert_true(drain.done);
}

static void drain_of_an_idle_unit(void **state)
{
	struct fake_target *f = *state;
	struct test_barrier drain = { .barrier.drain = true };

	start(f, &drain);
	mail(f);
	assert_true(drain.done);
}

/* ---- reservations ---- */

static void excluded_after_the_barrier(void **state)
{
	struct fake_target *f = *state;
	struct resv_view view = { .generation = 1, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE,
				  .registrations = true, .holder = { .rtpi = 1, .port = "iqn.other,i,0x1" } };

	fake_rw(f, WRITE_10, 0, 0, 1, block, sizeof(block));
	assert_good(f);
	f->lu->resv = &view;
	fake_rw(f, WRITE_10, 0, 0, 1, block, sizeof(block));
	assert_status(f, STATUS_RESERVATION_CONFLICT);
	fake_rw(f, READ_10, 0, 0, 1, NULL, FAKE_BLOCK);
	assert_good(f);
	view.generation = 2; /* a new view: the cached role is not used */
	view.holder = f->nexus.id;
	fake_rw(f, WRITE_10, 0, 0, 1, block, sizeof(block));
	assert_good(f);
	f->lu->resv = NULL;
}

/* ---- unit attentions (SAM-5 5.14) ---- */

static void raise_ua(struct fake_target *f, enum ua code, enum ua_scope_kind kind)
{
	struct lu_barrier_ua ua = { code, { .kind = kind, .n = 1, .ids = &f->nexus.id } };
	struct test_barrier b = { .barrier = { .nua = 1, .ua = &ua } };

	start(f, &b);
	mail(f);
	assert_true(b.done);
}

static void unit_attention_once_for_those_meant(void **state)
{
	struct fake_target *f = *state;

	raise_ua(f, UA_RESERVATIONS_PREEMPTED, UA_SCOPE_ALL_BUT);
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0);
	assert_good(f);
	raise_ua(f, UA_RESERVATIONS_PREEMPTED, UA_SCOPE_ONLY);
	raise_ua(f, UA_RESERVATIONS_PREEMPTED, UA_SCOPE_ONLY);
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0);
	assert_sense(f, SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x03));
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0);
	assert_good(f);
}

/* Of another logical unit, or before a command that INQUIRY and REPORT LUNS are not. */
static void unit_attention_is_of_its_unit(void **state)
{
	struct fake_target *f = *state;
	const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36, 0 };

	raise_ua(f, UA_CAPACITY_CHANGED, UA_SCOPE_ALL);
	f->at_lun = 1;
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0);
	assert_good(f);
	f->at_lun = 0;
	fake_run(f, inquiry, sizeof(inquiry), NULL, 36);
	assert_good(f);
	start_write(f);
	assert_true(f->ended);
	assert_sense(f, SENSE(KEY_UNIT_ATTENTION, 0x2a, 0x09));
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
}

/* ---- task management ---- */

static bool tmf_answered;

static void tmf_done(struct tmf *t)
{
	(void)t;
	tmf_answered = true;
}

static void run_tmf(struct fake_target *f, struct tmf *t, enum tmf_function fn)
{
	*t = (struct tmf){ .function = fn, .nexus = &f->nexus, .tag = 77, .done = tmf_done };
	tmf_answered = false;
	tmf_start(t);
	mail(f);
}

static void abort_task_waits_for_its_io(void **state)
{
	struct fake_target *f = *state;
	struct tmf t;

	f->disk.later = true;
	start_write(f);
	f->cmd.tag = 77;
	run_tmf(f, &t, TMF_ABORT_TASK);
	assert_false(tmf_answered);
	fake_turn(f);
	assert_true(tmf_answered);
	assert_int_equal(t.response, TMF_COMPLETE);
	assert_true(f->cmd.aborted);
	run_tmf(f, &t, TMF_ABORT_TASK);
	assert_true(tmf_answered);
	assert_int_equal(t.response, TMF_NO_TASK);
}

static void lun_reset_ends_held_commands(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate hold = { .medium = GATE_HOLD, .medium_sense = SENSE_LU_NOT_READY_TRANSITION,
				  .local_state = 15, .hold_limit_ms = 1000 };
	struct tmf t;

	f->lu->gate = &hold;
	start_write(f);
	run_tmf(f, &t, TMF_LUN_RESET);
	f->lu->gate = &f->gate;
	assert_true(tmf_answered);
	assert_true(f->ended);
	assert_true(f->cmd.aborted);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0);
	assert_sense(f, SENSE(KEY_UNIT_ATTENTION, 0x29, 0x03));
}

static void reset_of_no_unit(void **state)
{
	struct fake_target *f = *state;
	struct tmf t = { .function = TMF_LUN_RESET, .nexus = &f->nexus, .lun = { 0, 9 }, .done = tmf_done };

	tmf_answered = false;
	tmf_start(&t);
	assert_true(tmf_answered);
	assert_int_equal(t.response, TMF_NO_LUN);
}

static bool nexus_clear;

static void on_nexus_clear(struct nexus_abort *a)
{
	(void)a;
	nexus_clear = true;
}

static void nexus_ends_after_its_io(void **state)
{
	struct fake_target *f = *state;
	struct nexus_abort a = { .nexus = &f->nexus, .fn = on_nexus_clear };

	nexus_clear = false;
	f->disk.later = true;
	start_write(f);
	nexus_abort_tasks(&a);
	assert_false(nexus_clear);
	fake_turn(f);
	assert_true(nexus_clear);
	assert_true(f->cmd.aborted);
	f->nexus.aborting = NULL;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(held_until_the_gate_opens),
		T(held_too_long),
		T(refused_in_standby),
		T(no_disk_behind_an_open_gate),
		T(drain_waits_for_what_was_admitted),
		T(drain_of_an_idle_unit),
		T(excluded_after_the_barrier),
		T(unit_attention_once_for_those_meant),
		T(unit_attention_is_of_its_unit),
		T(abort_task_waits_for_its_io),
		T(lun_reset_ends_held_commands),
		T(reset_of_no_unit),
		T(nexus_ends_after_its_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
