/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of commands in a task set (SAM-5 clause 8), and what aborts leave behind (SAM-5 clause 7, 5.3.1), on the two
 * reactors of fake_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/remote.h"
#include "fake_rig.h"

/* ---- the matrix ------------------------------------------------------------------------------------ */

static void check_cell(void **state, enum task_attr older, enum task_attr new, unsigned nexus, bool wait)
{
	struct rig *r = *state;
	struct slot *first = rig_start_write(r, A, older), *second;

	assert_non_null(first->io);
	second = rig_start_write(r, nexus, new);
	assert_int_equal(rig_waits(second), wait);
	rig_finish(r, first);
	assert_true(first->ended);
	assert_non_null(second->io);
	rig_finish(r, second);
	assert_true(second->ended);
	assert_int_equal(second->cmd.status, STATUS_GOOD);
	assert_true(first->nth < second->nth);
}

/* Each cell, for commands of one nexus, of two on a reactor, and of two on different ones. */
static void matrix(void **state)
{
	static const bool wait[3][3] = { /* [new][older] */
		[ATTR_SIMPLE] = { [ATTR_SIMPLE] = false, [ATTR_ORDERED] = true, [ATTR_HEAD_OF_QUEUE] = true },
		[ATTR_ORDERED] = { [ATTR_SIMPLE] = true, [ATTR_ORDERED] = true, [ATTR_HEAD_OF_QUEUE] = true },
		[ATTR_HEAD_OF_QUEUE] = { false, false, false },
	};

	for (unsigned new = 0; new < 3; new++)
		for (unsigned older = 0; older < 3; older++) {
			struct rig *r = *state;

			r->used = 0;
			check_cell(state, older, new, A, wait[new][older]);
			check_cell(state, older, new, B, wait[new][older]);
			/* HEAD OF QUEUE locks nothing: to other reactors it is one among others */
			if (older != ATTR_HEAD_OF_QUEUE)
				check_cell(state, older, new, C, wait[new][older]);
			for (unsigned i = 0; i < r->used; i++)
				cmd_fini(&r->slot[i].cmd);
		}
	((struct rig *)*state)->used = 0;
}

/* TST=001b: a task set for each I_T nexus; the medium is still one. */
static void task_set_per_nexus(void **state)
{
	struct rig *r = *state;
	struct slot *s, *o, *other;

	r->mode.tst = 1;
	s = rig_receive_write(r, A, ATTR_SIMPLE); /* its data is coming */
	o = rig_start_write(r, A, ATTR_ORDERED);
	assert_true(rig_waits(o));
	other = rig_start_write(r, B, ATTR_SIMPLE);
	assert_non_null(other->io);
	rig_finish(r, other);
	rig_go(r, s);
	assert_true(rig_waits(o));
	rig_finish(r, s);
	assert_non_null(o->io);
	r->mode.tst = 0;
}

/* Arrival orders, not the arrival of data. */
static void ordered_waits_for_data_that_is_coming(void **state)
{
	struct rig *r = *state;
	struct slot *early = rig_receive_write(r, A, ATTR_SIMPLE), *o = rig_start_write(r, A, ATTR_ORDERED), *late;

	assert_true(rig_waits(o));
	late = rig_start_write(r, A, ATTR_SIMPLE);
	assert_true(rig_waits(late));
	rig_go(r, early);
	assert_non_null(early->io);
	assert_true(rig_waits(o) && rig_waits(late));
	rig_finish(r, early);
	assert_non_null(o->io);
	assert_true(rig_waits(late));
	rig_finish(r, o);
	assert_non_null(late->io);
}

/* Younger ones wait for an ORDERED command of which not all data has come. */
static void younger_wait_for_ordered_data(void **state)
{
	struct rig *r = *state;
	struct slot *o = rig_receive_write(r, A, ATTR_ORDERED), *late = rig_start_write(r, A, ATTR_SIMPLE);

	assert_true(rig_waits(late));
	rig_go(r, o);
	assert_non_null(o->io);
	assert_true(rig_waits(late));
	rig_finish(r, o);
	assert_non_null(late->io);
}

static void head_of_queue_passes_what_waits(void **state)
{
	struct rig *r = *state;
	struct slot *s = rig_start_write(r, A, ATTR_SIMPLE), *o = rig_start_write(r, A, ATTR_ORDERED);
	struct slot *late = rig_start_write(r, A, ATTR_SIMPLE), *head = rig_start_write(r, A, ATTR_HEAD_OF_QUEUE);

	assert_true(rig_waits(o) && rig_waits(late));
	assert_non_null(head->io);
	rig_finish(r, s);
	assert_true(rig_waits(o)); /* for any HEAD OF QUEUE command, older or not */
	rig_finish(r, head);
	assert_non_null(o->io);
	assert_true(rig_waits(late));
	head = rig_start_write(r, B, ATTR_HEAD_OF_QUEUE); /* passes an ORDERED command at the medium, too */
	assert_non_null(head->io);
	rig_finish(r, o);
	assert_true(rig_waits(late));
	rig_finish(r, head);
	assert_non_null(late->io);
}

/* Several ORDERED commands from all sides: one at a time, each nexus's in its order. */
static void ordered_from_all_sides(void **state)
{
	struct rig *r = *state;
	struct slot *o[9];
	unsigned nth[NEXUSES] = { 0 };

	for (unsigned i = 0; i < 9; i++)
		o[i] = rig_start_write(r, i % NEXUSES, ATTR_ORDERED);
	for (unsigned ended = 0; ended < 9; ended++) {
		struct slot *at = NULL;

		for (unsigned i = 0; i < 9; i++)
			if (o[i]->io) {
				assert_null(at);
				at = o[i];
			}
		assert_non_null(at);
		rig_finish(r, at);
		assert_true(at->ended);
	}
	for (unsigned i = 0; i < 9; i++) {
		assert_true(o[i]->nth > nth[i % NEXUSES]);
		nth[i % NEXUSES] = o[i]->nth;
	}
}

/* A path is judged whatever stands in the queue; with ORDERED attribute the initiator asks for the order. */
static void path_checks_do_not_wait(void **state)
{
	struct rig *r = *state;
	struct slot *s = rig_start_write(r, A, ATTR_SIMPLE), *o = rig_start_write(r, A, ATTR_ORDERED), *tur;

	assert_true(rig_waits(o));
	tur = rig_start_tur(r, A, ATTR_SIMPLE);
	assert_true(tur->ended);
	tur = rig_start_tur(r, A, ATTR_ORDERED);
	assert_true(rig_waits(tur));
	rig_finish(r, s);
	assert_true(rig_waits(tur));
	rig_finish(r, o);
	assert_true(tur->ended);
}

/* COMPARE AND WRITE locks its range; with ORDERED attribute the whole logical unit, once. */
static void ordered_compare_and_write(void **state)
{
	struct rig *r = *state;
	const uint8_t cdb[16] = { 0x89, [9] = 100, [13] = 1 };
	struct slot *s = rig_start_write(r, C, ATTR_SIMPLE), *caw = rig_receive(r, A, ATTR_ORDERED, cdb, sizeof(cdb)), *late;

	rig_go(r, caw);
	assert_true(rig_waits(caw)); /* another range, but ORDERED */
	rig_finish(r, s);
	assert_non_null(caw->io);
	memset(caw->io->buf, 0, BLOCK);
	late = rig_start_write(r, C, ATTR_SIMPLE);
	assert_true(rig_waits(late));
	rig_finish(r, caw);
	assert_non_null(caw->io); /* compared; now it writes */
	rig_finish(r, caw);
	assert_true(caw->ended);
	assert_non_null(late->io);
}

/* From another node: it has waited there for its nexus's own; here it gets the medium for itself. */
static struct remote_cmd remote_rc;
static unsigned remote_ended;

static void on_remote_done(struct remote_cmd *rc)
{
	(void)rc;
	remote_ended++;
}

static void remote_ordered(void **state)
{
	struct rig *r = *state;
	struct remote_nexuses *t = remote_nexuses_new(&r->core, &r->reactor[0]);
	struct remote_request q = { .lu = "lu", .write = true, .expected_len = BLOCK, .attr = ATTR_ORDERED,
				    .nexus = { .rtpi = 99, .port = "iqn.2026-11.test:far,i,0x00023d000001" },
				    .cdb = { 0x2a, [8] = 1 } };
	struct slot *coming = rig_receive_write(r, A, ATTR_SIMPLE), *s = rig_start_write(r, C, ATTR_SIMPLE), *late;

	remote_ended = 0;
	remote_rc = (struct remote_cmd){ .done = on_remote_done };
	assert_int_equal(remote_begin(t, &remote_rc, &q, BLOCK), 0);
	remote_execute(&remote_rc);
	rig_mail(r);
	late = rig_start_write(r, C, ATTR_SIMPLE);
	assert_true(rig_waits(late)); /* new ones wait for it */
	rig_finish(r, s); /* and it waited for what was at the medium, not for what has not got there */
	assert_int_equal(remote_ended, 0);
	remote_rc.cmd.io.result = 0;
	remote_rc.cmd.io.done(&remote_rc.cmd.io);
	rig_mail(r);
	assert_int_equal(remote_ended, 1);
	assert_int_equal(remote_rc.cmd.status, STATUS_GOOD);
	assert_non_null(late->io);
	remote_end(&remote_rc);
	remote_nexuses_free(t);
	rig_go(r, coming);
}

/* ---- no room ---------------------------------------------------------------------------------------- */

/* SAM-5 5.3.1: TASK SET FULL only where the nexus has other commands here, whose end makes room. */
static void no_memory(void **state)
{
	static const uint8_t cdb[10] = { 0x28, [8] = 1 };
	struct rig *r = *state;
	struct buf_pool *pool = r->reactor[0].bufs;
	struct slot *write = rig_start_write(r, B, ATTR_SIMPLE), *a, *b;

	r->reactor[0].bufs = buf_pool_new(1);
	assert_non_null(r->reactor[0].bufs);
	a = rig_receive(r, A, ATTR_SIMPLE, cdb, sizeof(cdb));
	rig_go(r, a);
	b = rig_receive(r, B, ATTR_SIMPLE, cdb, sizeof(cdb));
	rig_go(r, b);
	buf_pool_free(r->reactor[0].bufs);
	r->reactor[0].bufs = pool;
	assert_true(a->ended && b->ended);
	assert_int_equal(a->cmd.status, STATUS_BUSY);
	assert_int_equal(b->cmd.status, STATUS_TASK_SET_FULL);
	rig_finish(r, write);
}

/* ---- aborts, by the state of the command ------------------------------------------------------------- */

static void abort_task_of_each_state(void **state)
{
	struct rig *r = *state;
	struct slot *at = rig_start_write(r, A, ATTR_SIMPLE), *coming = rig_receive_write(r, A, ATTR_SIMPLE);
	struct slot *o = rig_start_write(r, A, ATTR_ORDERED), *late = rig_start_write(r, A, ATTR_SIMPLE);

	assert_true(rig_waits(o) && rig_waits(late));
	rig_manage(r, A, TMF_QUERY_TASK, o->cmd.tag);
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_SUCCEEDED);
	rig_manage(r, B, TMF_ABORT_TASK, o->cmd.tag); /* not its own */
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_NO_TASK);
	rig_manage(r, A, TMF_ABORT_TASK, o->cmd.tag);
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_COMPLETE);
	assert_true(o->ended && o->cmd.aborted);
	assert_non_null(late->io); /* nobody to wait for any more */
	rig_manage(r, A, TMF_QUERY_TASK, o->cmd.tag);
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_COMPLETE);
	rig_manage(r, A, TMF_ABORT_TASK, coming->cmd.tag);
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_COMPLETE);
	assert_true(coming->cmd.aborted && !coming->ended); /* its driver ends it */
	rig_go(r, coming);
	assert_true(coming->ended && coming->cmd.aborted);
	rig_manage(r, A, TMF_ABORT_TASK, at->cmd.tag);
	assert_false(rig_tmf_answered);
	rig_finish(r, at);
	assert_true(rig_tmf_answered && at->ended && at->cmd.aborted);
	rig_manage(r, A, TMF_QUERY_TASK_SET, 0);
	assert_int_equal(rig_tmf.response, TMF_SUCCEEDED);
	rig_finish(r, late);
	rig_manage(r, A, TMF_QUERY_TASK_SET, 0);
	assert_int_equal(rig_tmf.response, TMF_COMPLETE);
}

/* An ORDERED command that is alone at the medium, or about to be. */
static void abort_of_what_is_alone(void **state)
{
	struct rig *r = *state;
	struct slot *s = rig_start_write(r, C, ATTR_SIMPLE), *o = rig_start_write(r, A, ATTR_ORDERED), *late;

	assert_true(rig_waits(o)); /* for reactor 1 */
	late = rig_start_write(r, C, ATTR_SIMPLE);
	rig_manage(r, A, TMF_ABORT_TASK, o->cmd.tag);
	assert_false(rig_tmf_answered);
	rig_finish(r, s);
	assert_true(rig_tmf_answered && o->ended && o->cmd.aborted);
	assert_null(o->io); /* never got there */
	assert_non_null(late->io);
}

static void clear_task_set_tells_the_others(void **state)
{
	struct rig *r = *state;
	struct slot *mine = rig_start_write(r, A, ATTR_SIMPLE), *b = rig_start_write(r, B, ATTR_SIMPLE);
	struct slot *coming = rig_receive_write(r, B, ATTR_SIMPLE), *c = rig_start_write(r, C, ATTR_SIMPLE);

	rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
	assert_false(rig_tmf_answered);
	rig_finish(r, mine);
	rig_finish(r, b);
	assert_false(rig_tmf_answered);
	rig_finish(r, c);
	assert_true(rig_tmf_answered);
	rig_go(r, coming);
	assert_true(mine->cmd.aborted); /* no status for its own */
	assert_false(b->cmd.aborted || c->cmd.aborted || coming->cmd.aborted);
	assert_int_equal(b->cmd.status, STATUS_TASK_ABORTED);
	assert_int_equal(c->cmd.status, STATUS_TASK_ABORTED);
	assert_int_equal(coming->cmd.status, STATUS_TASK_ABORTED);
	assert_null(coming->io);
	for (unsigned n = A; n < NEXUSES; n++)
		assert_int_equal(rig_pop_ua(r, n), 0);
}

/* TAS=0: no status; the unit attention tells those who have lost commands, and them alone. */
static void clear_task_set_without_tas(void **state)
{
	struct rig *r = *state;
	struct slot *b, *c;

	r->mode.tas = false;
	rig_start_write(r, A, ATTR_SIMPLE);
	b = rig_start_write(r, B, ATTR_SIMPLE);
	rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
	rig_finish(r, &r->slot[0]);
	rig_finish(r, b);
	assert_true(rig_tmf_answered);
	assert_true(b->cmd.aborted);
	assert_int_equal(rig_pop_ua(r, A), 0);
	assert_int_equal(rig_pop_ua(r, B), UA_COMMANDS_CLEARED_BY_ANOTHER);
	assert_int_equal(rig_pop_ua(r, C), 0);
	c = rig_start_tur(r, C, ATTR_SIMPLE);
	assert_int_equal(c->cmd.status, STATUS_GOOD);
}

/* TST=001b: the task set that is cleared is the nexus's own. */
static void clear_task_set_per_nexus(void **state)
{
	struct rig *r = *state;
	struct slot *a, *b;

	r->mode.tst = 1;
	a = rig_start_write(r, A, ATTR_SIMPLE);
	b = rig_start_write(r, B, ATTR_SIMPLE);
	rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
	rig_finish(r, a);
	rig_finish(r, b);
	assert_true(rig_tmf_answered && a->cmd.aborted && !b->cmd.aborted);
	assert_int_equal(b->cmd.status, STATUS_GOOD);
}

static void lun_reset_without_tas(void **state)
{
	struct rig *r = *state;
	struct slot *c;

	r->mode.tas = false;
	c = rig_start_write(r, C, ATTR_SIMPLE);
	rig_manage(r, A, TMF_LUN_RESET, 0);
	assert_false(rig_tmf_answered);
	rig_finish(r, c);
	assert_true(rig_tmf_answered && c->cmd.aborted);
	for (unsigned n = A; n < NEXUSES; n++) {
		assert_int_equal(rig_pop_ua(r, n), UA_BUS_DEVICE_RESET);
		assert_int_equal(rig_pop_ua(r, n), 0); /* it says all there is to say */
	}
}

static void lun_reset_with_tas(void **state)
{
	struct rig *r = *state;
	struct slot *a = rig_start_write(r, A, ATTR_SIMPLE), *c = rig_start_write(r, C, ATTR_SIMPLE);
	struct slot *o = rig_start_write(r, A, ATTR_ORDERED), *late = rig_start_write(r, B, ATTR_SIMPLE);

	rig_manage(r, A, TMF_LUN_RESET, 0);
	assert_true(o->ended && o->cmd.aborted);
	assert_true(late->ended && late->cmd.status == STATUS_TASK_ABORTED);
	rig_finish(r, a);
	rig_finish(r, c);
	assert_true(rig_tmf_answered);
	assert_int_equal(rig_tmf.response, TMF_COMPLETE);
	assert_true(a->cmd.aborted);
	assert_int_equal(c->cmd.status, STATUS_TASK_ABORTED);
}

static unsigned nexus_resets;

static void on_nexus_reset(void *arg, const struct nexus *n)
{
	nexus_resets += n == arg;
}

static void it_nexus_reset(void **state)
{
	struct rig *r = *state;
	struct slot *a = rig_start_write(r, A, ATTR_SIMPLE), *b = rig_start_write(r, B, ATTR_SIMPLE);

	nexus_resets = 0;
	r->core.nexus_news.reset = on_nexus_reset;
	r->core.nexus_news.arg = &r->nexus[A];
	rig_manage(r, A, TMF_IT_NEXUS_RESET, 0);
	assert_int_equal(nexus_resets, 1); /* what it has built up goes: SAM-5 6.3.4 */
	rig_finish(r, a);
	rig_finish(r, b);
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_COMPLETE);
	assert_true(a->cmd.aborted);
	assert_int_equal(b->cmd.status, STATUS_GOOD);
	assert_int_equal(rig_pop_ua(r, A), UA_IT_NEXUS_LOSS);
	assert_int_equal(rig_pop_ua(r, B), 0);
	assert_int_equal(rig_pop_ua(r, C), 0);
}

static void query_asynchronous_event(void **state)
{
	struct rig *r = *state;

	rig_manage(r, A, TMF_QUERY_ASYNC_EVENT, 0);
	assert_true(rig_tmf_answered && rig_tmf.response == TMF_COMPLETE);
	ua_queue_push(&r->nexus[A].itl[0].ua, UA_CAPACITY_CHANGED);
	rig_manage(r, A, TMF_QUERY_ASYNC_EVENT, 0);
	assert_int_equal(rig_tmf.response, TMF_SUCCEEDED);
	assert_memory_equal(rig_tmf.info, "\x16\x2a\x09", 3); /* one: UNIT ATTENTION, CAPACITY DATA HAS CHANGED */
	ua_queue_push(&r->nexus[A].itl[0].ua, UA_MODE_PARAMETERS_CHANGED);
	rig_manage(r, A, TMF_QUERY_ASYNC_EVENT, 0);
	assert_memory_equal(rig_tmf.info, "\x26\x2a\x09", 3); /* the oldest of several */
	r->nexus[A].itl[0].ua.n = 0;
}

/* What the nexus asks for itself is silent even where somebody else was first. */
static void own_abort_after_anothers(void **state)
{
	struct rig *r = *state;
	struct slot *b = rig_start_write(r, B, ATTR_SIMPLE);

	rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
	assert_false(rig_tmf_answered);
	rig_manage(r, B, TMF_ABORT_TASK, b->cmd.tag);
	rig_finish(r, b);
	assert_true(b->ended && b->cmd.aborted);
}

static void anothers_abort_after_its_own(void **state)
{
	struct rig *r = *state;
	struct slot *b = rig_start_write(r, B, ATTR_SIMPLE);

	rig_manage(r, B, TMF_ABORT_TASK_SET, 0);
	rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
	rig_finish(r, b);
	assert_true(b->ended && b->cmd.aborted);
}

/* What is aborted before its data has come is in nobody's way, though its driver has not ended it yet. */
static void nobody_waits_for_the_aborted(void **state)
{
	struct rig *r = *state;
	struct slot *o = rig_receive_write(r, A, ATTR_ORDERED), *b = rig_start_write(r, B, ATTR_SIMPLE);

	assert_true(rig_waits(b));
	rig_manage(r, A, TMF_ABORT_TASK_SET, 0);
	assert_true(rig_tmf_answered && !o->ended);
	assert_non_null(b->io);
	rig_go(r, o);
	assert_true(o->ended && o->cmd.aborted);
}

/* ---- functions for all nodes ---------------------------------------------------------------------------- */

static struct tmf_everywhere *proposed[4];
static unsigned nproposed, nresets;

static void on_everywhere(void *arg, struct tmf_everywhere *e)
{
	(void)arg;
	proposed[nproposed++] = e;
}

static void on_lu_reset(void *arg, struct lu *lu)
{
	(void)arg;
	(void)lu;
	nresets++;
}

static void everywhere_setup(struct rig *r)
{
	nproposed = nresets = 0;
	r->core.everywhere.fn = on_everywhere;
	r->core.lu_reset.fn = on_lu_reset;
}

/* What concerns all nexuses is not carried out here alone, and answered when it has been everywhere. */
static void answered_after_all_nodes(void **state)
{
	static const struct {
		enum tmf_function fn, told;
		unsigned resets;
	} cases[] = { { TMF_CLEAR_TASK_SET, TMF_CLEAR_TASK_SET, 0 }, { TMF_LUN_RESET, TMF_LUN_RESET, 1 },
		      { TMF_TARGET_RESET, TMF_LUN_RESET, 1 } };
	struct rig *r = *state;

	for (unsigned i = 0; i < 3; i++)
		for (unsigned ok = 0; ok < 2; ok++) {
			everywhere_setup(r);
			rig_manage(r, A, cases[i].fn, 0);
			assert_int_equal(nproposed, 1);
			assert_int_equal(nresets, cases[i].resets);
			assert_int_equal(proposed[0]->function, cases[i].told);
			assert_ptr_equal(proposed[0]->lu, r->lu);
			assert_true(nexus_id_eq(proposed[0]->by, &r->nexus[A].id));
			assert_false(rig_tmf_answered);
			tmf_everywhere_done(proposed[0], ok);
			rig_mail(r);
			assert_true(rig_tmf_answered);
			assert_int_equal(rig_tmf.response, ok ? TMF_COMPLETE : TMF_REJECTED);
		}
	assert_int_equal(rig_pop_ua(r, A), 0); /* by the log alone */
}

/* Where the other nodes can't be told, as they are of an older version: it is what such a node does, no less. */
static void done_here_where_others_cant_be_told(void **state)
{
	static const enum tmf_function cases[] = { TMF_CLEAR_TASK_SET, TMF_LUN_RESET, TMF_TARGET_RESET };
	struct rig *r = *state;

	for (unsigned i = 0; i < 3; i++) {
		everywhere_setup(r);
		rig_manage(r, A, cases[i], 0);
		assert_int_equal(nproposed, 1);
		assert_false(rig_tmf_answered);
		tmf_everywhere_here(proposed[0]);
		rig_mail(r);
		assert_true(rig_tmf_answered);
		assert_int_equal(rig_tmf.response, TMF_COMPLETE);
		assert_int_equal(rig_pop_ua(r, A), cases[i] == TMF_CLEAR_TASK_SET ? 0 : UA_BUS_DEVICE_RESET);
	}
}

static void reset_to_nothing(struct rig *r, bool tas)
{
	everywhere_setup(r);
	r->mode.tas = tas;
	for (unsigned n = A; n < NEXUSES; n++)
		r->nexus[n].itl[0].ua.n = 0;
}

/* RFC 7143 11.5.1: a function acts on the commands of its session with a lower CmdSN. What has come since is ended by it,
 * too, and hears of it. */
static void later_commands_of_its_own_are_told(void **state)
{
	struct rig *r = *state;

	for (unsigned tas = 0; tas < 2; tas++) {
		struct slot *before, *since;

		reset_to_nothing(r, tas);
		before = rig_start_write(r, A, ATTR_SIMPLE);
		rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
		since = rig_start_write(r, A, ATTR_SIMPLE);
		tmf_everywhere_here(proposed[0]);
		rig_mail(r);
		rig_finish(r, before);
		rig_finish(r, since);
		assert_int_equal(rig_tmf.response, TMF_COMPLETE);
		assert_true(before->cmd.aborted);
		assert_true(since->ended && since->cmd.aborted == !tas);
		assert_int_equal(since->cmd.status, tas ? STATUS_TASK_ABORTED : STATUS_GOOD);
		assert_int_equal(rig_pop_ua(r, A), tas ? 0 : UA_COMMANDS_CLEARED_BY_ANOTHER);
	}
}

static void barrier_done(struct lu_barrier *b)
{
	(void)b;
}

/* What the log brings after the function has been answered as rejected (its membership was lost meanwhile). */
static void carry_out_late(struct rig *r, bool reset)
{
	const struct ua_scope all = { .kind = UA_SCOPE_ALL };
	const struct lu_barrier_ua ua = { UA_BUS_DEVICE_RESET, all };
	struct lu_barrier_part part[2];
	struct lu_barrier b = { .lu = r->lu, .abort = &all, .ua = &ua, .nua = reset, .done = barrier_done, .part = part,
				.cause = { .by = &r->nexus[A].id, .function = true, .reset = reset } };

	lu_barrier_start(&b);
	rig_mail(r);
}

static void rejected_and_carried_out_all_the_same(void **state)
{
	static const enum tmf_function fn[] = { TMF_CLEAR_TASK_SET, TMF_LUN_RESET, TMF_TARGET_RESET };
	struct rig *r = *state;

	for (unsigned i = 0; i < 6; i++) {
		bool tas = i & 1, reset = i > 1;
		struct slot *before, *since;

		reset_to_nothing(r, tas);
		before = rig_start_write(r, A, ATTR_SIMPLE);
		rig_manage(r, A, fn[i / 2], 0);
		tmf_everywhere_done(proposed[0], false);
		rig_mail(r);
		assert_int_equal(rig_tmf.response, TMF_REJECTED);
		since = rig_start_write(r, A, ATTR_SIMPLE);
		carry_out_late(r, reset);
		rig_finish(r, before);
		rig_finish(r, since);
		for (unsigned k = 0; k < 2; k++) {
			const struct scsi_cmd *cmd = k ? &since->cmd : &before->cmd;

			assert_true(cmd->aborted == !tas);
			assert_int_equal(cmd->status, tas ? STATUS_TASK_ABORTED : STATUS_GOOD);
		}
		assert_int_equal(rig_pop_ua(r, A),
				 reset ? UA_BUS_DEVICE_RESET : tas ? 0 : UA_COMMANDS_CLEARED_BY_ANOTHER);
		assert_int_equal(rig_pop_ua(r, A), 0);
	}
}

static void own_tasks_concern_this_node(void **state)
{
	struct rig *r = *state;

	everywhere_setup(r);
	rig_manage(r, A, TMF_ABORT_TASK_SET, 0);
	assert_true(rig_tmf_answered);
	rig_manage(r, A, TMF_IT_NEXUS_RESET, 0);
	assert_true(rig_tmf_answered);
	r->mode.tst = 1;
	rig_manage(r, A, TMF_CLEAR_TASK_SET, 0);
	assert_true(rig_tmf_answered);
	assert_int_equal(nproposed + nresets, 0);
}

/* ---- the limit (SAM-5 5.3.1: TASK SET FULL, BUSY) ------------------------------------------------------ */

static void ends_with(struct slot *s, enum scsi_status status)
{
	assert_true(s->ended);
	assert_null(s->io);
	assert_int_equal(s->cmd.status, status);
}

static void queue_limit(void **state)
{
	struct rig *r = *state;
	struct slot *first, *ordered, *other, *next, *late;

	lu_limit_queue(r->lu, 3);
	first = rig_start_write(r, A, ATTR_SIMPLE);
	ordered = rig_start_write(r, A, ATTR_ORDERED); /* waits, and counts */
	assert_true(rig_waits(ordered));
	other = rig_receive_write(r, C, ATTR_SIMPLE); /* on the other reactor, and its data has not come yet */
	ends_with(rig_start_write(r, A, ATTR_SIMPLE), STATUS_TASK_SET_FULL);
	ends_with(rig_start_write(r, A, ATTR_ORDERED), STATUS_TASK_SET_FULL);
	ends_with(rig_start_write(r, A, ATTR_HEAD_OF_QUEUE), STATUS_TASK_SET_FULL);
	ends_with(rig_start_write(r, C, ATTR_SIMPLE), STATUS_TASK_SET_FULL);
	ends_with(rig_start_write(r, B, ATTR_SIMPLE), STATUS_BUSY); /* there is none whose end it could wait for */
	ends_with(rig_start_tur(r, B, ATTR_SIMPLE), STATUS_GOOD);
	assert_int_equal(r->lu->queued, 3);
	rig_finish(r, first);
	next = rig_start_write(r, B, ATTR_SIMPLE);
	assert_false(next->ended);
	ends_with(rig_start_write(r, B, ATTR_SIMPLE), STATUS_TASK_SET_FULL);
	assert_true(rig_waits(next));
	rig_manage(r, B, TMF_ABORT_TASK_SET, 0); /* who was never executed leaves a place, too */
	assert_true(next->ended && next->cmd.aborted);
	assert_int_equal(r->lu->queued, 2);
	late = rig_start_write(r, A, ATTR_SIMPLE);
	assert_true(rig_waits(late));
	rig_finish(r, ordered);
	rig_finish(r, late);
	rig_go(r, other);
	rig_finish(r, other);
	assert_true(late->ended && ordered->ended && other->ended);
	assert_int_equal(r->lu->queued, 0);
	lu_limit_queue(r->lu, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(matrix),
		T(task_set_per_nexus),
		T(ordered_waits_for_data_that_is_coming),
		T(younger_wait_for_ordered_data),
		T(head_of_queue_passes_what_waits),
		T(ordered_from_all_sides),
		T(path_checks_do_not_wait),
		T(ordered_compare_and_write),
		T(remote_ordered),
		T(no_memory),
		T(abort_task_of_each_state),
		T(abort_of_what_is_alone),
		T(clear_task_set_tells_the_others),
		T(clear_task_set_without_tas),
		T(clear_task_set_per_nexus),
		T(lun_reset_without_tas),
		T(lun_reset_with_tas),
		T(it_nexus_reset),
		T(query_asynchronous_event),
		T(own_abort_after_anothers),
		T(anothers_abort_after_its_own),
		T(nobody_waits_for_the_aborted),
		T(answered_after_all_nodes),
		T(done_here_where_others_cant_be_told),
		T(later_commands_of_its_own_are_told),
		T(rejected_and_carried_out_all_the_same),
		T(own_tasks_concern_this_node),
		T(queue_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
