/* SPDX-License-Identifier: BSD-2-Clause */
/* Auto contingent allegiance (SAM-5 5.9), QERR, UA_INTLCK_CTRL (SPC-4 7.5.8), on the two reactors of fake_rig.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire.h"
#include "fake_rig.h"

#define NACA 0x04

static const uint8_t preempt_and_abort[10] = { 0x5f, 0x05 };

/* TEST UNIT READY or a READ beyond the end, with NACA or without. */
static struct slot *tur(struct rig *r, unsigned nexus, enum task_attr attr, uint8_t control)
{
	const uint8_t cdb[6] = { [5] = control };
	struct slot *s = rig_receive(r, nexus, attr, cdb, sizeof(cdb));

	rig_go(r, s);
	return s;
}

static struct slot *fails(struct rig *r, unsigned nexus, enum task_attr attr, uint8_t control)
{
	uint8_t cdb[10] = { 0x28, [8] = 1, [9] = control };
	struct slot *s;

	put_be32(cdb + 2, BLOCKS);
	s = rig_receive(r, nexus, attr, cdb, sizeof(cdb));
	rig_go(r, s);
	assert_true(s->ended);
	assert_int_equal(s->cmd.status, STATUS_CHECK_CONDITION);
	return s;
}

static void next_turn(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++)
		r->reactor[i].now += 1000;
}

static void on_pr_out(void *arg, struct scsi_cmd *cmd)
{
	(void)arg;
	cmd_good(cmd, 0);
}

/* What each command gets: executed, or the status. */
static void expect(const struct slot *s, uint8_t status)
{
	assert_true(s->ended);
	assert_int_equal(s->cmd.status, status);
}

static void none_without_naca(void **state)
{
	struct rig *r = *state;

	fails(r, A, ATTR_SIMPLE, 0);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
	expect(tur(r, A, ATTR_SIMPLE, NACA), STATUS_GOOD); /* GOOD establishes nothing */
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
}

/* SAM-5 5.9.2: with no ACA condition the attribute is an error. */
static void attribute_without_condition(void **state)
{
	struct rig *r = *state;
	struct slot *s = tur(r, A, ATTR_ACA, 0);

	expect(s, STATUS_CHECK_CONDITION);
	assert_int_equal(s->cmd.sense[2], KEY_ILLEGAL_REQUEST);
	assert_int_equal(get_be16(s->cmd.sense + 12), 0x4900);
}

static void new_commands(void **state)
{
	static const struct {
		uint8_t tst;
		unsigned nexus;
		enum task_attr attr;
		uint8_t control;
		uint8_t status;
	} table[] = {
		{ 0, A, ATTR_SIMPLE, 0, STATUS_ACA_ACTIVE },
		{ 0, A, ATTR_ORDERED, NACA, STATUS_ACA_ACTIVE },
		{ 0, A, ATTR_HEAD_OF_QUEUE, 0, STATUS_ACA_ACTIVE },
		{ 0, A, ATTR_ACA, NACA, STATUS_GOOD },
		{ 0, B, ATTR_SIMPLE, 0, STATUS_BUSY },
		{ 0, B, ATTR_SIMPLE, NACA, STATUS_ACA_ACTIVE },
		{ 0, B, ATTR_ACA, 0, STATUS_BUSY },
		{ 0, C, ATTR_HEAD_OF_QUEUE, 0, STATUS_BUSY },
		{ 0, C, ATTR_SIMPLE, NACA, STATUS_ACA_ACTIVE },
		{ 1, A, ATTR_SIMPLE, 0, STATUS_ACA_ACTIVE },
		{ 1, A, ATTR_ACA, 0, STATUS_GOOD },
		{ 1, B, ATTR_SIMPLE, 0, STATUS_GOOD },
		{ 1, C, ATTR_ORDERED, NACA, STATUS_GOOD },
		{ 1, B, ATTR_ACA, 0, STATUS_CHECK_CONDITION },
	};
	struct rig *r = *state;

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		r->mode.tst = table[i].tst;
		fails(r, A, ATTR_SIMPLE, NACA);
		expect(tur(r, table[i].nexus, table[i].attr, table[i].control), table[i].status);
		rig_manage(r, A, TMF_CLEAR_ACA, 0);
		assert_true(rig_tmf_answered && rig_tmf.response == TMF_COMPLETE);
		if (table[i].status != STATUS_CHECK_CONDITION)
			expect(tur(r, table[i].nexus, ATTR_SIMPLE, 0), STATUS_GOOD);
		for (unsigned k = 0; k < r->used; k++)
			cmd_fini(&r->slot[k].cmd);
		r->used = 0;
	}
}

/* What was there before and had not begun waits, here and on the other reactor, and goes on afterwards. */
static void older_commands_wait(void **state)
{
	struct rig *r = *state;
	struct slot *mine = rig_receive_write(r, A, ATTR_SIMPLE), *b = rig_receive_write(r, B, ATTR_SIMPLE);
	struct slot *at = rig_start_write(r, A, ATTR_SIMPLE), *o = rig_start_write(r, A, ATTR_ORDERED);
	struct slot *aca;

	next_turn(r);
	fails(r, A, ATTR_HEAD_OF_QUEUE, NACA);
	rig_go(r, mine);
	rig_go(r, b);
	assert_true(rig_waits(mine) && rig_waits(b) && rig_waits(o));
	rig_finish(r, at); /* what has begun ends */
	assert_true(at->ended && at->cmd.status == STATUS_GOOD);
	assert_true(rig_waits(o));
	aca = rig_start_write(r, A, ATTR_ACA);
	assert_non_null(aca->io);
	expect(tur(r, A, ATTR_ACA, 0), STATUS_ACA_ACTIVE); /* one at a time */
	rig_finish(r, aca);
	rig_manage(r, A, TMF_CLEAR_ACA, 0);
	assert_non_null(mine->io);
	assert_non_null(b->io);
	assert_true(rig_waits(o)); /* for these two */
	rig_finish(r, mine);
	rig_finish(r, b);
	assert_non_null(o->io);
}

/* The same where an ORDERED command was there before, so that the fast path is not taken anyhow. */
static void older_commands_wait_among_ordered(void **state)
{
	struct rig *r = *state;
	struct slot *o = rig_receive_write(r, A, ATTR_ORDERED), *mine = rig_receive_write(r, A, ATTR_SIMPLE);

	next_turn(r);
	fails(r, A, ATTR_HEAD_OF_QUEUE, NACA);
	rig_go(r, mine);
	rig_go(r, o);
	assert_true(rig_waits(mine) && rig_waits(o));
	rig_manage(r, A, TMF_CLEAR_ACA, 0);
	assert_non_null(o->io);
	rig_finish(r, o);
	assert_non_null(mine->io);
}

static void preempt_and_abort_is_executed(void **state)
{
	struct rig *r = *state;
	struct slot *s;

	r->core.hook[HOOK_PR_OUT].fn = on_pr_out;
	fails(r, A, ATTR_SIMPLE, NACA);
	s = rig_receive(r, B, ATTR_SIMPLE, preempt_and_abort, sizeof(preempt_and_abort));
	rig_go(r, s);
	expect(s, STATUS_GOOD);
	expect(tur(r, B, ATTR_SIMPLE, 0), STATUS_BUSY); /* GOOD of the hook alone has cleared nothing */
	rig_manage(r, A, TMF_CLEAR_ACA, 0);
}

static void preempted(struct lu_barrier *b)
{
	b->lu = NULL;
}

/* Each way to end it; CLEAR ACA of another nexus, CLEAR TASK SET and ABORT TASK SET are none. */
static void ends(void **state)
{
	struct rig *r = *state;
	const struct ua_scope a = { .kind = UA_SCOPE_ONLY, .n = 1, .ids = &r->nexus[A].id };
	struct lu_barrier_part part[2];
	struct lu_barrier b = { .lu = r->lu, .abort = &a, .cause = { .by = &r->nexus[B].id, .clears_aca = true },
				.done = preempted, .part = part };

	fails(r, A, ATTR_SIMPLE, NACA);
	rig_manage(r, B, TMF_CLEAR_ACA, 0);
	rig_manage(r, A, TMF_ABORT_TASK_SET, 0);
	rig_manage(r, B, TMF_CLEAR_TASK_SET, 0);
	expect(tur(r, C, ATTR_SIMPLE, 0), STATUS_BUSY);
	lu_barrier_start(&b);
	rig_mail(r);
	assert_null(b.lu);
	expect(tur(r, C, ATTR_SIMPLE, 0), STATUS_GOOD);

	fails(r, A, ATTR_SIMPLE, NACA);
	rig_manage(r, C, TMF_LUN_RESET, 0);
	for (unsigned n = A; n < NEXUSES; n++)
		assert_int_equal(rig_pop_ua(r, n), UA_BUS_DEVICE_RESET);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
	expect(tur(r, C, ATTR_SIMPLE, 0), STATUS_GOOD);

	fails(r, A, ATTR_SIMPLE, NACA);
	rig_manage(r, A, TMF_IT_NEXUS_RESET, 0);
	assert_int_equal(rig_pop_ua(r, A), UA_IT_NEXUS_LOSS);
	expect(tur(r, B, ATTR_SIMPLE, 0), STATUS_GOOD);

	fails(r, A, ATTR_SIMPLE, NACA); /* a failing ACA command without NACA ends it, one with NACA does not */
	fails(r, A, ATTR_ACA, NACA);
	expect(tur(r, C, ATTR_SIMPLE, 0), STATUS_BUSY);
	fails(r, A, ATTR_ACA, 0);
	expect(tur(r, C, ATTR_SIMPLE, 0), STATUS_GOOD);
}

/* The end of the faulted nexus: nobody is left behind with a condition that nobody can clear. */
static void nexus_loss_ends_it(void **state)
{
	struct rig *r = *state;

	fails(r, C, ATTR_SIMPLE, NACA);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_BUSY);
	nexus_detach(&r->nexus[C]);
	rig_mail(r);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
	assert_int_equal(nexus_attach(&r->nexus[C], &r->reactor[1]), 0);
}

static void clear_aca_ends_the_aca_command(void **state)
{
	struct rig *r = *state;
	struct slot *aca;

	fails(r, A, ATTR_SIMPLE, NACA);
	aca = rig_start_write(r, A, ATTR_ACA);
	rig_manage(r, A, TMF_CLEAR_ACA, 0);
	assert_false(rig_tmf_answered);
	rig_finish(r, aca);
	assert_true(rig_tmf_answered && aca->ended && aca->cmd.aborted);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
}

/* ---- QERR ---------------------------------------------------------------------------------------- */

struct fate { /* of the other commands when one of nexus a fails: waits on, no status, TASK ABORTED */
	uint8_t qerr, tst;
	char a, b, c;
};

static char fate_of(struct rig *r, struct slot *s)
{
	rig_finish(r, s);
	assert_true(s->ended);
	return s->cmd.aborted ? 'x' : s->cmd.status == STATUS_TASK_ABORTED ? 'T' : '-';
}

static void qerr(void **state)
{
	static const struct fate fates[] = {
		{ 0, 0, '-', '-', '-' }, { 1, 0, 'x', 'T', 'T' }, { 3, 0, 'x', '-', '-' },
		{ 0, 1, '-', '-', '-' }, { 1, 1, 'x', '-', '-' }, { 3, 1, 'x', '-', '-' },
	};
	struct rig *r = *state;

	for (unsigned i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
		struct slot *a, *b, *c;

		r->mode.qerr = fates[i].qerr;
		r->mode.tst = fates[i].tst;
		a = rig_start_write(r, A, ATTR_SIMPLE);
		b = rig_start_write(r, B, ATTR_SIMPLE);
		c = rig_start_write(r, C, ATTR_SIMPLE);
		fails(r, A, ATTR_SIMPLE, 0);
		assert_int_equal(fate_of(r, a), fates[i].a);
		assert_int_equal(fate_of(r, b), fates[i].b);
		assert_int_equal(fate_of(r, c), fates[i].c);
		for (unsigned n = A; n < NEXUSES; n++)
			assert_int_equal(rig_pop_ua(r, n), 0); /* TAS=1 */
		for (unsigned k = 0; k < r->used; k++)
			cmd_fini(&r->slot[k].cmd);
		r->used = 0;
	}
}

/* Other nodes' nexuses are in the task set, too. */
static struct tmf_everywhere *told;

static void on_everywhere(void *arg, struct tmf_everywhere *e)
{
	(void)arg;
	assert_null(told);
	told = e;
}

static void qerr_everywhere(void **state)
{
	struct rig *r = *state;

	told = NULL;
	r->core.everywhere.fn = on_everywhere;
	r->mode.qerr = 3;
	fails(r, A, ATTR_SIMPLE, 0);
	assert_null(told);
	r->mode.qerr = 1;
	fails(r, A, ATTR_SIMPLE, 0);
	assert_non_null(told);
	assert_int_equal(told->function, TMF_ABORT_OTHERS);
	assert_true(nexus_id_eq(told->by, &r->nexus[A].id));
	tmf_everywhere_done(told, true);
	rig_mail(r);
}

/* ---- UA_INTLCK_CTRL --------------------------------------------------------------------------------- */

static void request_sense(struct rig *r, unsigned nexus, uint16_t code)
{
	const uint8_t cdb[6] = { 0x03, [4] = 64 };
	struct slot *s = rig_receive(r, nexus, ATTR_SIMPLE, cdb, sizeof(cdb));

	rig_go(r, s);
	expect(s, STATUS_GOOD);
	assert_int_equal(get_be16(s->cmd.buf + 12), code);
}

static void unit_attention_interlock(void **state)
{
	struct rig *r = *state;

	ua_queue_push(&r->nexus[A].itl[0].ua, UA_CAPACITY_CHANGED);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_CHECK_CONDITION);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
	r->mode.ua_intlck = UA_INTLCK_KEEP;
	ua_queue_push(&r->nexus[A].itl[0].ua, UA_CAPACITY_CHANGED);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_CHECK_CONDITION);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_CHECK_CONDITION);
	request_sense(r, A, UA_CAPACITY_CHANGED);
	expect(tur(r, A, ATTR_SIMPLE, 0), STATUS_GOOD);
}

static void status_raises_unit_attention(void **state)
{
	static const uint8_t modes[] = { 0, UA_INTLCK_KEEP, UA_INTLCK_STATUS };
	struct rig *r = *state;
	struct resv_view view = { .generation = 1, .kind = RESV_KIND_PR, .type = PR_WRITE_EXCLUSIVE, .registrations = true,
				  .holder = { .rtpi = 9, .port = "iqn.2026-11.test:other,i,0x00023d000001" } };

	for (unsigned i = 0; i < 3; i++) {
		r->mode.ua_intlck = modes[i];
		r->lu->resv = &view;
		view.generation++;
		expect(rig_start_write(r, A, ATTR_SIMPLE), STATUS_RESERVATION_CONFLICT);
		r->lu->resv = NULL;
		assert_int_equal(rig_pop_ua(r, A), i == 2 ? UA_PREVIOUS_RESERVATION_CONFLICT : 0);
		fails(r, A, ATTR_SIMPLE, NACA);
		expect(tur(r, B, ATTR_SIMPLE, 0), STATUS_BUSY);
		rig_manage(r, A, TMF_CLEAR_ACA, 0);
		assert_int_equal(rig_pop_ua(r, B), i == 2 ? UA_PREVIOUS_BUSY : 0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(none_without_naca),
		T(attribute_without_condition),
		T(new_commands),
		T(older_commands_wait),
		T(older_commands_wait_among_ordered),
		T(preempt_and_abort_is_executed),
		T(ends),
		T(nexus_loss_ends_it),
		T(clear_aca_ends_the_aca_command),
		T(qerr),
		T(qerr_everywhere),
		T(unit_attention_interlock),
		T(status_raises_unit_attention),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
