/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands from the hook to their status, through core's table of commands and a log that the test plays.
 *
 *   nexus A ─ port 1 ─┐
 *   nexus B ─ port 1 ─┴─ LUN 0 "disk0";  proposer: applies, or not, and answers what the test wants, when it wants
 */
#include "pr_fixture.h"

#include "core/cdb.h"
#include "core/cmd.h"
#include "core/core.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/target.h"
#include "core/wire.h"
#include "pr-sync/pr_cmd.h"

struct log {
	struct proposer proposer;
	struct pr_service *svc;
	enum propose_status status; /* of the next answer */
	bool applies;		    /* whether the operation happens */
	unsigned proposals;
	bool waiting;
	propose_done_fn done;
	void *cookie;
	uint8_t result[APPLY_RESULT_MAX];
	uint32_t result_len;
};

struct fixture {
	struct core core;
	struct reactor reactor;
	struct lu *lu;
	struct mode_state mode;
	struct target target;
	struct target_port port;
	struct nexus nexus[2];
	struct itl itl[2];
	struct pr_service *svc;
	struct pr_cmd pc;
	struct log log;
	bool serving;
	struct scsi_cmd cmd;
	bool done;
	uint8_t buf[4096];
};

static void log_propose(struct proposer *p, uint16_t service, const void *msg, size_t len, propose_done_fn done,
			void *cookie)
{
	struct log *log = caa_container_of(p, struct log, proposer);
	struct apply a = { .origin = 1 };

	assert_int_equal(service, PR_SERVICE_ID);
	assert_false(log->waiting);
	log->proposals++;
	log->result_len = 0;
	if (log->applies) {
		assert_int_equal(pr_service_ops.apply(log->svc, &a, msg, len), 0);
		memcpy(log->result, a.result, a.result_len);
		log->result_len = a.result_len;
	}
	apply_fini(&a);
	log->done = done;
	log->cookie = cookie;
	log->waiting = true;
}

static void log_answer(struct log *log)
{
	assert_true(log->waiting);
	log->waiting = false;
	log->done(log->cookie, log->status, log->result, log->result_len);
}

static void cmd_done(struct scsi_cmd *cmd)
{
	struct fixture *f = caa_container_of(cmd, struct fixture, cmd);

	assert_false(f->done); /* exactly once */
	f->done = true;
}

static bool is_serving(void *arg)
{
	return ((struct fixture *)arg)->serving;
}

static void nexus_setup(struct fixture *f, int i)
{
	f->nexus[i].id = nexus('A' + i, 1);
	f->nexus[i].target = &f->target;
	f->nexus[i].reactor = &f->reactor;
	f->nexus[i].itl = &f->itl[i];
	f->nexus[i].nitl = 1;
	f->itl[i] = (struct itl){ .lu = f->lu, .nexus = &f->nexus[i] };
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->reactor.core = &f->core;
	f->core.nreactors = 1;
	assert_int_equal(mailbox_init(&f->reactor.mailbox), 0);
	f->lu = lu_new(&f->core, "disk0");
	f->lu->mode = &f->mode;
	f->port.rtpi = 1;
	f->target.nports = 1;
	f->target.port = &f->port;
	nexus_setup(f, 0);
	nexus_setup(f, 1);
	f->svc = pr_service_new();
	f->log = (struct log){ .proposer = { log_propose }, .svc = f->svc, .applies = true };
	pr_cmd_init(&f->pc, f->svc, &f->log.proposer);
	pr_cmd_wire(&f->pc, &f->core);
	f->pc.serving = is_serving;
	f->pc.serving_arg = f;
	f->serving = true;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pr_cmd_fini(&f->pc);
	pr_service_free(f->svc);
	mailbox_fini(&f->reactor.mailbox);
	lu_free(f->lu);
	free(f);
	return 0;
}

/* Brings a command to its handler on the control thread. */
static void start(struct fixture *f, char who, const uint8_t *cdb, size_t cdb_len, const void *list, size_t len)
{
	memset(&f->cmd, 0, sizeof(f->cmd));
	f->done = false;
	f->cmd.nexus = &f->nexus[who - 'A'];
	memcpy(f->cmd.cdb, cdb, cdb_len);
	f->cmd.done = cmd_done;
	cmd_init(&f->cmd);
	cmd_decode(&f->cmd);
	assert_int_equal(f->cmd.decode_error, SENSE_NONE);
	f->cmd.buf = f->buf;
	f->cmd.buf_len = sizeof(f->buf);
	if (len)
		memcpy(f->buf, list, len);
	f->cmd.data_out_got = len;
	f->cmd.state = CMD_CONTROL;
	f->cmd.row->exec(&f->cmd);
}

static void start_out(struct fixture *f, char who, enum pr_action action, uint64_t key, uint64_t sa_key,
		      uint8_t type, bool aptpl)
{
	const uint8_t cdb[10] = { 0x5f, action, type, 0, 0, 0, 0, 0, 24, 0 };
	uint8_t list[24] = { 0 };

	put_be64(list, key);
	put_be64(list + 8, sa_key);
	list[20] = aptpl;
	start(f, who, cdb, sizeof(cdb), list, sizeof(list));
}

static void start_in(struct fixture *f, char who, uint8_t action, uint16_t alloc)
{
	const uint8_t cdb[10] = { 0x5e, action, 0, 0, 0, 0, 0, alloc >> 8, alloc, 0 };

	start(f, who, cdb, sizeof(cdb), NULL, 0);
}

static void start_spc2(struct fixture *f, char who, uint8_t opcode)
{
	const uint8_t cdb[10] = { opcode };

	start(f, who, cdb, sizeof(cdb), NULL, 0);
}

/* The command's way home to the reactor. */
static void home(struct fixture *f)
{
	mailbox_run(&f->reactor.mailbox);
	assert_true(f->done);
}

static void answer(struct fixture *f, enum propose_status status)
{
	mailbox_run(&f->reactor.mailbox);
	assert_false(f->done); /* not before the log has answered (P1) */
	f->log.status = status;
	log_answer(&f->log);
	home(f);
}

static uint8_t out(struct fixture *f, char who, enum pr_action action, uint64_t key, uint64_t sa_key, uint8_t type)
{
	start_out(f, who, action, key, sa_key, type, false);
	answer(f, PROPOSE_OK);
	return f->cmd.status;
}

static void assert_sense(const struct fixture *f, sense_t s)
{
	assert_int_equal(f->cmd.status, STATUS_CHECK_CONDITION);
	assert_true(f->cmd.sense_len >= 18); /* fixed format */
	assert_int_equal(SENSE(f->cmd.sense[2] & 0xf, f->cmd.sense[12], f->cmd.sense[13]), s);
}

/* ---- PERSISTENT RESERVE OUT ------------------------------------------------------------------ */

static void good_and_conflict_come_from_the_log(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(out(f, 'A', PR_REGISTER, 0, 0xa, 0), STATUS_GOOD);
	assert_int_equal(out(f, 'A', PR_RESERVE, 0xa, 0, 5), STATUS_GOOD);
	assert_int_equal(out(f, 'B', PR_RESERVE, 0xb, 0, 5), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(out(f, 'A', PR_RELEASE, 0xa, 0, 1), STATUS_CHECK_CONDITION);
	assert_sense(f, SENSE_INVALID_RELEASE_OF_PR);
	assert_int_equal(f->log.proposals, 4);
}

static void field_pointers(void **state)
{
	struct fixture *f = *state;

	out(f, 'A', PR_REGISTER, 0, 0xa, 0);
	out(f, 'A', PR_RESERVE, 0xa, 0, 2);
	assert_sense(f, SENSE_INVALID_FIELD_IN_CDB);
	assert_int_equal(f->cmd.sense[15] & 0xc0, 0xc0); /* SKSV, C/D */
	assert_int_equal(get_be16(f->cmd.sense + 16), 2);
	out(f, 'A', PR_PREEMPT, 0xa, 0, 1);
	assert_sense(f, SENSE_INVALID_FIELD_IN_PARAM);
	assert_int_equal(f->cmd.sense[15] & 0xc0, 0x80);
	assert_int_equal(get_be16(f->cmd.sense + 16), 8);
}

static void wrong_lists_never_reach_the_log(void **state)
{
	struct fixture *f = *state;
	const uint8_t cdb[10] = { 0x5f, 0, 0, 0, 0, 0, 0, 0, 23, 0 };
	uint8_t list[24] = { 0 };

	start(f, 'A', cdb, sizeof(cdb), list, 23);
	home(f);
	assert_sense(f, SENSE_PARAMETER_LIST_LENGTH);
	assert_int_equal(f->log.proposals, 0);
}

static void what_the_log_cannot_take(void **state)
{
	struct fixture *f = *state;

	f->log.applies = false;
	start_out(f, 'A', PR_REGISTER, 0, 0xa, 0, true);
	answer(f, PROPOSE_NOT_SERVING);
	assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
	start_out(f, 'A', PR_REGISTER, 0, 0xa, 0, true);
	answer(f, PROPOSE_FAILED);
	assert_sense(f, SENSE_INSUFFICIENT_REGISTRATION);
	start_out(f, 'A', PR_RESERVE, 0xa, 0, 1, false);
	answer(f, PROPOSE_FAILED);
	assert_sense(f, SENSE_INSUFFICIENT_RESOURCES);
	start_out(f, 'A', PR_REGISTER, 0, 0xa, 0, false);
	answer(f, PROPOSE_UNKNOWN);
	assert_sense(f, SENSE_ABORTED_COMMAND);
}

static void unknown(struct fixture *f, bool happens, char who, enum pr_action action, uint64_t key, uint64_t sa_key)
{
	f->log.applies = happens;
	start_out(f, who, action, key, sa_key, 0, false);
	answer(f, PROPOSE_UNKNOWN);
	f->log.applies = true;
}

static void unknown_outcome_then_repeated(void **state)
{
	struct fixture *f = *state;

	unknown(f, true, 'A', PR_REGISTER, 0, 0xa);
	assert_int_equal(out(f, 'A', PR_REGISTER, 0, 0xa, 0), STATUS_GOOD); /* it had happened */
	assert_int_equal(pr_service_find(f->svc, "disk0")->pr.generation, 1);
	assert_int_equal(out(f, 'A', PR_REGISTER, 0, 0xa, 0), STATUS_RESERVATION_CONFLICT); /* a new command */
	unknown(f, false, 'B', PR_REGISTER, 0, 0xb);
	assert_int_equal(out(f, 'B', PR_REGISTER, 0, 0xb, 0), STATUS_GOOD); /* it had not */
	assert_int_equal(pr_service_find(f->svc, "disk0")->pr.generation, 2);
	unknown(f, true, 'B', PR_CLEAR, 0xb, 0);
	assert_int_equal(out(f, 'A', PR_CLEAR, 0xb, 0, 0), STATUS_RESERVATION_CONFLICT); /* another nexus */
	assert_int_equal(out(f, 'B', PR_CLEAR, 0xb, 0, 0), STATUS_GOOD);
}

static void unknown_outcome_then_another_command(void **state)
{
	struct fixture *f = *state;

	unknown(f, true, 'A', PR_REGISTER, 0, 0xa);
	assert_int_equal(out(f, 'A', PR_RESERVE, 0xa, 0, 1), STATUS_GOOD); /* it found out by itself */
	assert_int_equal(out(f, 'A', PR_REGISTER, 0, 0xa, 0), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(f->pc.nremembered, 0);
}

static void what_is_remembered_is_bounded(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 1; i < 3 * PR_CMD_REMEMBERED_MAX; i++) {
		unknown(f, false, 'A', PR_REGISTER, 0, i);
		unknown(f, false, 'A', PR_REGISTER, 0, i);
		assert_true(f->pc.nremembered <= PR_CMD_REMEMBERED_MAX);
	}
	assert_int_equal(f->pc.nremembered, PR_CMD_REMEMBERED_MAX);
}

/* ---- PERSISTENT RESERVE IN ------------------------------------------------------------------- */

static void read_keys(void **state)
{
	struct fixture *f = *state;

	start_in(f, 'A', 0, 255); /* nothing was ever asked of this logical unit */
	home(f);
	assert_int_equal(f->cmd.status, STATUS_GOOD);
	assert_int_equal(f->cmd.data_in_len, 8);
	out(f, 'A', PR_REGISTER, 0, 0xa, 0);
	start_in(f, 'B', 0, 255);
	home(f);
	assert_int_equal(f->cmd.data_in_len, 16);
	assert_int_equal(get_be32(f->buf), 1);
	assert_int_equal(get_be32(f->buf + 4), 8);
	assert_true(get_be64(f->buf + 8) == 0xa);
	start_in(f, 'B', 0, 8); /* ADDITIONAL LENGTH does not depend on the allocation length */
	home(f);
	assert_int_equal(f->cmd.data_in_len, 8);
	assert_int_equal(get_be32(f->buf + 4), 8);
	start_in(f, 'B', 0, 0);
	home(f);
	assert_int_equal(f->cmd.status, STATUS_GOOD);
	assert_int_equal(f->cmd.data_in_len, 0);
}

static void every_in_action_is_in_the_table(void **state)
{
	struct fixture *f = *state;
	bool sa_unknown;
	uint8_t cdb[CDB_MAX] = { 0x5e };

	for (unsigned sa = 0; sa < 32; sa++) {
		cdb[1] = sa;
		assert_int_equal(cdb_find(cdb, &sa_unknown) != NULL, sa < 4);
		if (sa >= 4)
			continue;
		start_in(f, 'A', sa, 255);
		home(f);
		assert_int_equal(f->cmd.status, STATUS_GOOD);
	}
}

static void in_is_refused_while_the_state_may_be_outdated(void **state)
{
	struct fixture *f = *state;

	f->serving = false;
	start_in(f, 'A', 0, 255);
	home(f);
	assert_sense(f, SENSE_LU_NOT_READY_UNAVAILABLE);
}

/* ---- RESERVE and RELEASE --------------------------------------------------------------------- */

static uint8_t spc2(struct fixture *f, char who, uint8_t opcode)
{
	start_spc2(f, who, opcode);
	answer(f, PROPOSE_OK);
	return f->cmd.status;
}

static void reserve_and_release_6_and_10(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(spc2(f, 'A', 0x16), STATUS_GOOD);
	assert_int_equal(spc2(f, 'B', 0x56), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(spc2(f, 'B', 0x57), STATUS_GOOD);
	assert_int_equal(spc2(f, 'A', 0x57), STATUS_GOOD);
	assert_int_equal(spc2(f, 'B', 0x56), STATUS_GOOD);
	start_in(f, 'B', 0, 255); /* SPC-2 5.5.1: regardless of initiator */
	home(f);
	assert_int_equal(f->cmd.status, STATUS_RESERVATION_CONFLICT);
}

static void reset_and_lost_nexus_are_told_only_when_it_matters(void **state)
{
	struct fixture *f = *state;

	f->core.lu_reset.fn(f->core.lu_reset.arg, f->lu);
	pr_cmd_nexus_lost(&f->pc, &f->nexus[0].id);
	assert_int_equal(f->log.proposals, 0);
	spc2(f, 'A', 0x16);
	pr_cmd_nexus_lost(&f->pc, &f->nexus[1].id);
	assert_int_equal(f->log.proposals, 1);
	pr_cmd_nexus_lost(&f->pc, &f->nexus[0].id);
	log_answer(&f->log);
	assert_false(pr_service_find(f->svc, "disk0")->spc2_reserved);
	spc2(f, 'A', 0x16);
	f->core.lu_reset.fn(f->core.lu_reset.arg, f->lu);
	log_answer(&f->log);
	assert_false(pr_service_find(f->svc, "disk0")->spc2_reserved);
}

static void a_loss_that_can_not_be_told_is_told_later(void **state)
{
	struct fixture *f = *state;

	spc2(f, 'A', 0x16);
	f->log.proposals = 0;
	f->serving = false;
	pr_cmd_nexus_lost(&f->pc, &f->nexus[0].id);
	pr_cmd_nexus_lost(&f->pc, &f->nexus[0].id); /* it came and went meanwhile */
	pr_cmd_nexus_lost(&f->pc, &f->nexus[1].id);
	pr_cmd_serves(&f->pc); /* not yet */
	assert_int_equal(f->log.proposals, 0);
	f->serving = true;
	f->log.applies = false;
	pr_cmd_serves(&f->pc);
	assert_int_equal(f->log.proposals, 1); /* one of them holds something */
	f->log.status = PROPOSE_UNKNOWN;
	log_answer(&f->log);
	f->log.applies = true;
	f->log.status = PROPOSE_OK;
	pr_cmd_serves(&f->pc);
	log_answer(&f->log);
	assert_false(pr_service_find(f->svc, "disk0")->spc2_reserved);
	pr_cmd_serves(&f->pc);
	assert_int_equal(f->log.proposals, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(good_and_conflict_come_from_the_log),
		T(field_pointers),
		T(wrong_lists_never_reach_the_log),
		T(what_the_log_cannot_take),
		T(unknown_outcome_then_repeated),
		T(unknown_outcome_then_another_command),
		T(what_is_remembered_is_bounded),
		T(read_keys),
		T(every_in_action_is_in_the_table),
		T(in_is_refused_while_the_state_may_be_outdated),
		T(reserve_and_release_6_and_10),
		T(reset_and_lost_nexus_are_told_only_when_it_matters),
		T(a_loss_that_can_not_be_told_is_told_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
