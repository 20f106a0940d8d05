/* SPDX-License-Identifier: BSD-2-Clause */
/* Gates, barrier and task management on one LU of fake_target.h: who waits, who is refused, who is drained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "core/gate.h"
#include "core/remote.h"
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

/* ---- forwarding ---- */

static struct scsi_cmd *forwarded;
static unsigned submissions;

static void on_submit(void *arg, struct scsi_cmd *cmd)
{
	(void)arg;
	forwarded = cmd;
	submissions++;
}

static struct alua_gate forward_gate(struct fake_target *f)
{
	forwarded = NULL;
	submissions = 0;
	f->core.forward.submit = on_submit;
	f->reactor.now = 5000000000ull;
	return (struct alua_gate){ .medium = GATE_FORWARD, .medium_sense = SENSE_LU_NOT_READY_TRANSITION, .local_state = 1,
				   .owner = 2, .epoch = 1, .hold_limit_ms = 1000 };
}

static void forwarded_and_drained(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct test_barrier drain = { .barrier.drain = true };

	f->lu->gate = &gate;
	f->lu->disk = NULL;
	f->lu->blocks = 0; /* not known here: the owner checks it */
	start_write(f);
	assert_ptr_equal(forwarded, &f->cmd);
	start(f, &drain);
	mail(f);
	assert_false(drain.done); /* it may be at the medium */
	cmd_good(forwarded, 0);
	mail(f);
	assert_true(f->ended);
	assert_true(drain.done);
	assert_good(f);
	fake_run(f, TEST_UNIT_READY_CDB, 6, NULL, 0); /* answered here */
	assert_good(f);
	assert_int_equal(submissions, 1);
	f->lu->disk = &f->disk.disk;
	f->lu->gate = &f->gate;
}

/* The gates of this node come first: reservations, access list. */
static void not_forwarded_what_is_refused_here(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct resv_view view = { .generation = 1, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE, .registrations = true,
				  .holder = { .rtpi = 9, .port = "iqn.2026-11.test:other,i,0x00023d000001" } };

	f->lu->gate = f->ro->gate = &gate;
	f->lu->resv = &view;
	fake_rw(f, WRITE_10, 0, 0, 1, block, sizeof(block));
	assert_status(f, STATUS_RESERVATION_CONFLICT);
	f->at_lun = 1; /* read-only by the access list */
	fake_rw(f, WRITE_10, 0, 0, 1, block, sizeof(block));
	assert_sense(f, SENSE_WRITE_PROTECTED);
	assert_int_equal(submissions, 0);
	f->lu->resv = NULL;
	f->lu->gate = f->ro->gate = &f->gate;
}

static void turn_timer(struct fake_target *f)
{
	struct reactor_timer *t = &f->lu->shard[0].hold_timer;

	assert_true(t->armed);
	f->reactor.now = t->deadline;
	reactor_timer_cancel(t);
	t->fn(t);
}

/* Turned away by the owner: tried again by itself, drains don't wait meanwhile, and at last it is told. */
static void turned_away_tries_again(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct test_barrier drain = { .barrier.drain = true };

	f->lu->gate = &gate;
	start_write(f);
	gate_retry(forwarded);
	assert_int_equal(submissions, 1);
	assert_int_equal(f->cmd.state, CMD_HELD);
	turn_timer(f);
	assert_int_equal(submissions, 2);
	gate_retry(forwarded);
	start(f, &drain); /* a barrier tries, too; then nothing is admitted when it is turned away again */
	mailbox_run(&f->reactor.mailbox);
	assert_int_equal(submissions, 3);
	gate_retry(forwarded);
	mail(f);
	assert_true(drain.done);
	while (!f->ended) {
		turn_timer(f);
		if (!f->ended)
			gate_retry(forwarded);
	}
	assert_true(f->reactor.now >= 6000000000ull && f->reactor.now < 6200000000ull);
	assert_sense(f, SENSE_LU_NOT_READY_TRANSITION);
	assert_true(submissions < 40); /* less and less often */
	f->lu->gate = &f->gate;
}

static void turned_away_then_owned_here(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct test_barrier b = { 0 };

	f->lu->gate = &gate;
	start_write(f);
	gate_retry(forwarded);
	f->lu->gate = &f->gate;
	start(f, &b);
	mail(f);
	assert_true(f->ended);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_WRITE], 1);
	assert_int_equal(submissions, 1);
}

static bool nexus_clear;

static void on_nexus_clear(struct nexus_abort *a)
{
	(void)a;
	nexus_clear = true;
}

/* Nobody knows what became of it: those who end the nexus are told when that is known (SAM-5 7.2); drains don't wait, for the owner is
 * who enforces. */
static void abort_waits_for_the_fate(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct nexus_abort a = { .nexus = &f->nexus, .fn = on_nexus_clear };
	struct test_barrier drain = { .barrier.drain = true };

	nexus_clear = false;
	f->lu->gate = &gate;
	start_write(f);
	lu_unadmit(forwarded, CMD_FORWARDED);
	start(f, &drain);
	mail(f);
	assert_true(drain.done);
	nexus_abort_tasks(&a);
	assert_false(f->ended);
	assert_false(nexus_clear);
	cmd_complete(forwarded);
	assert_true(f->ended);
	assert_true(f->cmd.aborted);
	assert_true(nexus_clear);
	f->nexus.aborting = NULL;
	f->lu->gate = &f->gate;
}

/* Likewise an abort of a task set, for the owner has perhaps not heard of it; it waits for those that it ends only. */
static void abort_of_a_task_set_waits_for_the_fate(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct ua_scope all = { .kind = UA_SCOPE_ALL }, others = { .kind = UA_SCOPE_ALL_BUT, .n = 1, .ids = &f->nexus.id };
	struct test_barrier abort_all = { .barrier = { .drain = true, .abort = &all } };
	struct test_barrier abort_others = { .barrier = { .drain = true, .abort = &others } };
	struct test_barrier drain = { .barrier.drain = true };

	f->lu->gate = &gate;
	start_write(f);
	lu_unadmit(forwarded, CMD_FORWARDED);
	start(f, &abort_others);
	mail(f);
	assert_true(abort_others.done);
	start(f, &abort_all);
	start(f, &drain);
	mail(f);
	assert_true(drain.done); /* though it came later */
	assert_false(abort_all.done);
	assert_false(f->ended);
	cmd_complete(forwarded);
	mail(f);
	assert_true(f->ended);
	assert_true(f->cmd.aborted);
	assert_true(abort_all.done);
	f->lu->gate = &f->gate;
}

/* It goes through the gates again: whoever waits is told when it can't be executed where it was any more. */
static void a_fate_that_is_known_is_waited_for_no_more(void **state)
{
	struct fake_target *f = *state;
	struct alua_gate gate = forward_gate(f);
	struct ua_scope all = { .kind = UA_SCOPE_ALL };
	struct test_barrier b = { .barrier = { .drain = true, .abort = &all } };

	f->lu->gate = &gate;
	start_write(f);
	lu_unadmit(forwarded, CMD_FORWARDED);
	start(f, &b);
	mail(f);
	assert_false(b.done);
	lu_unforward(forwarded);
	mail(f);
	assert_true(b.done);
	assert_int_equal(forwarded->state, CMD_RECEIVED);
	cmd_execute(forwarded);
	assert_true(f->ended);
	f->lu->gate = &f->gate;
}

/* ---- the owner's side ---- */

static unsigned remote_ended;

static void on_remote_done(struct remote_cmd *rc)
{
	(void)rc;
	remote_ended++;
}

static struct remote_request remote_write(uint32_t blocks)
{
	struct remote_request q = { .lu = "lu", .lu_hint = 0, .write = true, .expected_len = blocks * FAKE_BLOCK,
				    .nexus = { .rtpi = 99, .port = "iqn.2026-11.test:far,i,0x00023d000001" } };

	fake_rw_cdb(q.cdb, WRITE_10, 0, 4, blocks);
	return q;
}

static int remote_run(struct remote_nexuses *t, struct remote_cmd *rc, const struct remote_request *q, uint32_t len)
{
	int err;

	*rc = (struct remote_cmd){ .done = on_remote_done };
	err = remote_begin(t, rc, q, len);
	if (err)
		return err;
	memset(rc->cmd.buf, 0x5e, len);
	remote_execute(rc);
	return 0;
}

static void remote_has_its_own_identity(void **state)
{
	struct fake_target *f = *state;
	struct remote_nexuses *t = remote_nexuses_new(&f->core, &f->reactor);
	struct remote_request q = remote_write(1);
	struct remote_cmd rc;
	struct resv_view view = { .generation = 7, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE, .registrations = true,
				  .holder = f->nexus.id };

	remote_ended = 0;
	f->lu->resv = &view;
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
	assert_int_equal(remote_ended, 1);
	assert_int_equal(rc.cmd.status, STATUS_RESERVATION_CONFLICT);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	remote_end(&rc);
	view.holder = q.nexus;
	view.generation++;
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
	assert_int_equal(rc.cmd.status, STATUS_GOOD);
	assert_int_equal(f->disk.data[4 * FAKE_BLOCK + 100], 0x5e);
	remote_end(&rc);
	remote_nexuses_free(t);
	f->lu->resv = NULL;
}

/* P6: its origin has answered for what it sent before, also where the owner is the same again. */
static void remote_of_another_epoch_is_turned_away(void **state)
{
	static const struct {
		uint64_t sent, now;
		bool executed;
	} rows[] = { { 1, 1, true }, { 1, 2, false }, { 2, 1, false }, { 0, 2, true /* 0.2.0 does not say it */ } };
	struct fake_target *f = *state;
	struct remote_nexuses *t = remote_nexuses_new(&f->core, &f->reactor);
	struct remote_request q = remote_write(1);
	struct alua_gate gate = f->gate;

	f->lu->gate = &gate;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = f->disk.ops[DISK_WRITE];
		struct remote_cmd rc;

		q.epoch = rows[i].sent;
		gate.epoch = rows[i].now;
		assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
		assert_int_equal(rc.cmd.turned_away, !rows[i].executed);
		assert_int_equal(f->disk.ops[DISK_WRITE] - before, rows[i].executed);
		remote_end(&rc);
	}
	f->lu->gate = &f->gate;
	remote_nexuses_free(t);
}

/* Held, refused or without a disk: turned away at once, with nothing done; and never sent on. */
static void remote_is_turned_away(void **state)
{
	struct fake_target *f = *state;
	struct remote_nexuses *t = remote_nexuses_new(&f->core, &f->reactor);
	struct remote_request q = remote_write(1);
	struct alua_gate gate = forward_gate(f);
	struct remote_cmd rc;

	f->lu->gate = &gate;
	remote_ended = 0;
	for (enum gate_verdict v = GATE_HOLD; v <= GATE_FORWARD; v++) {
		gate.medium = v;
		assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
		assert_int_equal(remote_ended, v);
		assert_true(rc.cmd.turned_away);
		remote_end(&rc);
	}
	f->lu->gate = &f->gate;
	f->lu->disk = NULL;
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
	assert_true(rc.cmd.turned_away);
	remote_end(&rc);
	f->lu->disk = &f->disk.disk;
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	assert_int_equal(submissions, 0);
	remote_nexuses_free(t);
}

/* Unlike the origin, which may not know it, the owner has the capacity; what needs no medium has no business here. */
static void remote_is_checked(void **state)
{
	struct fake_target *f = *state;
	struct remote_nexuses *t = remote_nexuses_new(&f->core, &f->reactor);
	struct remote_request q = remote_write(1);
	struct remote_cmd rc;

	fake_rw_cdb(q.cdb, WRITE_10, 0, FAKE_BLOCKS, 1);
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
	assert_int_equal(rc.cmd.status, STATUS_CHECK_CONDITION);
	remote_end(&rc);
	q.read_only = true;
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
	assert_int_equal(rc.cmd.status, STATUS_CHECK_CONDITION);
	remote_end(&rc);
	assert_int_equal(remote_run(t, &rc, &q, 2 * FAKE_BLOCK), -EBADMSG); /* more data than the CDB says */
	memset(q.cdb, 0, sizeof(q.cdb));
	assert_int_equal(remote_run(t, &rc, &q, 0), -EBADMSG); /* TEST UNIT READY */
	q.cdb[0] = 0xff;
	assert_int_equal(remote_run(t, &rc, &q, 0), -EBADMSG);
	q = remote_write(1);
	strcpy(q.lu, "nowhere");
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), -ENOENT);
	assert_true(cds_list_empty(&f->lu->shard[0].tasks));
	remote_nexuses_free(t);
}

/* P2: PREEMPT on the owner waits for what entered elsewhere, PREEMPT AND ABORT finds it by its nexus. */
static void remote_is_drained_and_aborted(void **state)
{
	struct fake_target *f = *state;
	struct remote_nexuses *t = remote_nexuses_new(&f->core, &f->reactor);
	struct remote_request q = remote_write(1);
	struct ua_scope scope = { .kind = UA_SCOPE_ONLY, .n = 1, .ids = &q.nexus };
	struct test_barrier drain = { .barrier = { .drain = true, .abort = &scope } };
	struct remote_cmd rc;

	remote_ended = 0;
	f->disk.later = true;
	assert_int_equal(remote_run(t, &rc, &q, FAKE_BLOCK), 0);
	start(f, &drain);
	mail(f);
	assert_false(drain.done);
	fake_turn(f);
	assert_int_equal(remote_ended, 1);
	assert_true(rc.cmd.aborted);
	mail(f);
	assert_true(drain.done);
	remote_end(&rc);
	remote_nexuses_free(t);
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
		T(forwarded_and_drained),
		T(not_forwarded_what_is_refused_here),
		T(turned_away_tries_again),
		T(turned_away_then_owned_here),
		T(abort_waits_for_the_fate), T(abort_of_a_task_set_waits_for_the_fate),
		T(a_fate_that_is_known_is_waited_for_no_more),
		T(remote_has_its_own_identity),
		T(remote_is_turned_away), T(remote_of_another_epoch_is_turned_away),
		T(remote_is_checked),
		T(remote_is_drained_and_aborted),
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
