/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions: discovery, reinstatement, logout, pings, task management, the end of the daemon (fake_portal.h). */
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "fake_portal.h"

#define R CMD_READ_FLAG
#define W CMD_WRITE_FLAG
#define F FLAG_FINAL

/* ---- discovery ----------------------------------------------------------------------------------------- */

static void text_request(struct client *c, const char *text, size_t len, uint32_t ttt)
{
	struct pdu p = { .bhs = { OP_TEXT_REQ, F }, .data = (uint8_t *)text, .len = len };

	put_be32(p.bhs + BHS_ITT, 99);
	put_be32(p.bhs + BHS_TTT, ttt);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn++);
	client_send(c, &p);
	client_expect(c, OP_TEXT_RSP);
}
#define TEXT(c, s) text_request(c, s, sizeof(s), TAG_NONE)

static const char expected_targets[] = "TargetName=" TARGET "\0TargetAddress=10.77.0.1:3260,1\0"
				       "TargetAddress=[fd00::1]:3261,1\0TargetAddress=10.77.0.2:3260,2";

static void send_targets(void **state)
{
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, NULL, ""), LOGIN_OK);
	TEXT(&c, "SendTargets=All"); /* nothing of the target that this initiator may not access */
	assert_int_equal(c.in.bhs[BHS_FLAGS], F);
	assert_int_equal(get_be32(c.in.bhs + BHS_TTT), TAG_NONE);
	assert_int_equal(c.in.len, sizeof(expected_targets));
	assert_memory_equal(c.in.data, expected_targets, sizeof(expected_targets));
	TEXT(&c, "SendTargets=IQN.2026-11.TEST:T");
	assert_memory_equal(c.in.data, expected_targets, sizeof(expected_targets));
	TEXT(&c, "SendTargets=" CLOSED_TARGET);
	assert_int_equal(c.in.len, 0);
	TEXT(&c, "SendTargets=");
	assert_string_equal(client_key(&c, "SendTargets"), "Reject");
	TEXT(&c, "X-unknown=1");
	assert_string_equal(client_key(&c, "X-unknown"), "NotUnderstood");
	client_close(&c);
}

static void send_targets_in_a_normal_session(void **state)
{
	struct client c;

	client_start(&c, *state);
	TEXT(&c, "SendTargets=");
	assert_memory_equal(c.in.data, expected_targets, sizeof(expected_targets));
	TEXT(&c, "SendTargets=All");
	assert_string_equal(client_key(&c, "SendTargets"), "Reject");
	client_close(&c);
}

/* Longer than what the initiator takes at once: in pieces, each asked for (C bit, 11.11.2). */
static void an_answer_in_pieces(void **state)
{
	char got[4 * 1024];
	size_t n = 0;
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, NULL, "MaxRecvDataSegmentLength=512\0"), LOGIN_OK);
	TEXT(&c, "SendTargets=All\0SendTargets=All\0SendTargets=All\0SendTargets=All\0SendTargets=All\0SendTargets=All");
	for (;;) {
		assert_true(c.in.len <= 512 && n + c.in.len < sizeof(got));
		memcpy(got + n, c.in.data, c.in.len);
		n += c.in.len;
		if (c.in.bhs[BHS_FLAGS] & F)
			break;
		assert_int_equal(c.in.bhs[BHS_FLAGS], TEXT_CONTINUE);
		text_request(&c, NULL, 0, get_be32(c.in.bhs + BHS_TTT));
	}
	assert_int_equal(n, 6 * sizeof(expected_targets));
	for (int i = 0; i < 6; i++)
		assert_memory_equal(got + i * sizeof(expected_targets), expected_targets, sizeof(expected_targets));
	client_close(&c);
}

static void a_discovery_session_carries_no_commands(void **state)
{
	static const uint8_t tur[16];
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, NULL, ""), LOGIN_OK);
	client_command(&c, F, tur, 0, NULL, 0);
	assert_int_equal(client_expect_close(&c), REJECT_PROTOCOL);
	client_close(&c);
}

/* ---- reinstatement (6.3.5) ------------------------------------------------------------------------------- */

/* The new login waits until the old session's command, which is on the medium, has ended. */
static void reinstatement_waits_for_the_old_tasks(void **state)
{
	struct portal_fixture *f = *state;
	struct client old, new;
	struct pdu login = { .bhs = { OP_LOGIN_REQ | BHS_IMMEDIATE, 0x87 } };
	static char text[] = "InitiatorName=iqn.2026-11.test:i\0TargetName=" TARGET;
	uint8_t cdb[16];

	client_start(&old, f);
	portal_hold(f);
	cdb_write(cdb, 0, 1);
	client_command(&old, F | W, cdb, BLOCK, (uint8_t[BLOCK]){ 1 }, BLOCK);
	assert_true(portal_holds(f));

	client_open(&new, f);
	put_be16(login.bhs + LOGIN_ISID, new.isid >> 32);
	put_be32(login.bhs + LOGIN_ISID + 2, new.isid);
	put_be32(login.bhs + BHS_CMDSN, new.cmdsn);
	login.data = (uint8_t *)text;
	login.len = sizeof(text);
	client_send(&new, &login);
	assert_int_equal(client_expect_close(&old), -1); /* the old connection ends at once */
	assert_true(client_silent(&new, 100));		 /* the new one must wait */
	portal_release(f);
	client_expect(&new, OP_LOGIN_RSP);
	assert_int_equal(get_be16(new.in.bhs + LOGIN_STATUS), LOGIN_OK);
	client_close(&old);
	client_close(&new);
}

static void another_isid_is_another_session(void **state)
{
	struct client a, b;

	client_start(&a, *state);
	client_open(&b, *state);
	b.isid++;
	assert_int_equal(client_login_keys(&b, TARGET, ""), LOGIN_OK);
	assert_int_equal(client_ready(&a), STATUS_GOOD);
	client_close(&a);
	client_close(&b);
}

/* Many logins for one session in a row, none waiting for the other: the last one lives. */
static void a_storm_of_reinstatements(void **state)
{
	struct client c[20];

	for (int i = 0; i < 20; i++) {
		client_open(&c[i], *state);
		assert_int_equal(client_login_keys(&c[i], TARGET, ""), LOGIN_OK);
	}
	for (int i = 0; i < 19; i++)
		assert_int_equal(client_expect_close(&c[i]), -1);
	assert_int_equal(client_ready(&c[19]), STATUS_CHECK_CONDITION);
	assert_int_equal(client_ready(&c[19]), STATUS_GOOD);
	for (int i = 0; i < 20; i++)
		client_close(&c[i]);
}

/* ---- logout, NOP ------------------------------------------------------------------------------------------ */

static void logout(struct client *c, uint8_t reason, uint16_t cid, uint8_t response)
{
	struct pdu p = { .bhs = { OP_LOGOUT_REQ | BHS_IMMEDIATE, F | reason } };

	put_be32(p.bhs + BHS_ITT, 77);
	put_be16(p.bhs + LOGOUT_CID, cid);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn);
	client_send(c, &p);
	client_expect(c, OP_LOGOUT_RSP);
	assert_int_equal(c->in.bhs[LOGOUT_RSP_CODE], response);
	assert_int_equal(get_be32(c->in.bhs + BHS_ITT), 77);
}

static void logouts(void **state)
{
	struct client c;

	client_start(&c, *state);
	logout(&c, LOGOUT_CLOSE_CONNECTION, 5, LOGOUT_RSP_NO_CID);
	logout(&c, LOGOUT_RECOVERY, 0, LOGOUT_RSP_NO_RECOVERY);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	logout(&c, LOGOUT_CLOSE_SESSION, 0, LOGOUT_RSP_OK);
	assert_false(client_recv(&c));
	client_close(&c);
	client_start(&c, *state);
	logout(&c, LOGOUT_CLOSE_CONNECTION, 0, LOGOUT_RSP_OK);
	assert_false(client_recv(&c));
	client_close(&c);
}

static void an_echo(void **state)
{
	struct pdu p = { .bhs = { OP_NOP_OUT | BHS_IMMEDIATE, F }, .data = (uint8_t *)"hello", .len = 5 };
	struct client c;

	client_start(&c, *state);
	put_be32(p.bhs + BHS_ITT, 55);
	put_be32(p.bhs + BHS_TTT, TAG_NONE);
	client_send(&c, &p);
	client_expect(&c, OP_NOP_IN);
	assert_int_equal(get_be32(c.in.bhs + BHS_ITT), 55);
	assert_int_equal(get_be32(c.in.bhs + BHS_TTT), TAG_NONE);
	assert_int_equal(c.in.len, 5);
	assert_memory_equal(c.in.data, "hello", 5);
	client_close(&c);
}

/* Our pings: answered, the session lives; not answered, it ends. */
static void pings(void **state)
{
	struct portal_options o = { .nop_interval = 100, .nop_timeout = 200, .initial_r2t = -1,
				    .immediate_data = -1 };
	struct portal_fixture *f = portal_up(&o);
	struct client c;

	(void)state;
	client_start(&c, f);
	for (int i = 0; i < 5; i++) {
		struct pdu p = { .bhs = { OP_NOP_OUT | BHS_IMMEDIATE, F } };

		client_expect(&c, OP_NOP_IN);
		assert_int_equal(get_be32(c.in.bhs + BHS_ITT), TAG_NONE);
		assert_int_not_equal(get_be32(c.in.bhs + BHS_TTT), TAG_NONE);
		put_be32(p.bhs + BHS_ITT, TAG_NONE);
		memcpy(p.bhs + BHS_TTT, c.in.bhs + BHS_TTT, 4);
		client_send(&c, &p);
	}
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_expect(&c, OP_NOP_IN);
	assert_false(client_recv(&c)); /* this one has not been answered */
	client_close(&c);
	portal_down(f);
}

/* ---- task management ---------------------------------------------------------------------------------------- */

static void tmf_send(struct client *c, uint8_t function, uint32_t tag)
{
	struct pdu p = { .bhs = { OP_TMF_REQ | BHS_IMMEDIATE, F | function } };

	put_be32(p.bhs + BHS_ITT, 88);
	put_be32(p.bhs + TMF_REF_TAG, tag);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn);
	client_send(c, &p);
}

static void tmf_expect(struct client *c, uint8_t response)
{
	client_expect(c, OP_TMF_RSP);
	assert_int_equal(get_be32(c->in.bhs + BHS_ITT), 88);
	assert_int_equal(c->in.bhs[TMF_RSP_CODE], response);
}

static void functions_without_a_task(void **state)
{
	struct pdu p = { .bhs = { OP_TMF_REQ | BHS_IMMEDIATE, F | TMF_WIRE_LUN_RESET, [BHS_LUN + 1] = 9 } };
	struct client c;

	client_start(&c, *state);
	tmf_send(&c, TMF_WIRE_ABORT_TASK, 12345);
	tmf_expect(&c, TMF_RSP_NO_TASK);
	tmf_send(&c, TMF_WIRE_TASK_REASSIGN, 12345);
	tmf_expect(&c, TMF_RSP_NO_REASSIGN);
	tmf_send(&c, TMF_WIRE_CLEAR_ACA, 0);
	tmf_expect(&c, TMF_RSP_COMPLETE); /* SAM-5 7.4: also where no ACA condition is in effect */
	for (uint8_t fn = TMF_WIRE_QUERY_TASK; fn <= TMF_WIRE_QUERY_ASYNC_EVENT; fn++) {
		tmf_send(&c, fn, 12345);
		tmf_expect(&c, TMF_RSP_NOT_SUPPORTED); /* iSCSIProtocolLevel 2 was not agreed */
	}
	tmf_send(&c, 100, 0);
	tmf_expect(&c, TMF_RSP_NOT_SUPPORTED);
	put_be32(p.bhs + BHS_ITT, 88);
	client_send(&c, &p); /* LUN 9 */
	tmf_expect(&c, TMF_RSP_NO_LUN);
	tmf_send(&c, TMF_WIRE_LUN_RESET, 0);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	assert_int_equal(client_ready(&c), STATUS_CHECK_CONDITION); /* 29h/03h */
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

/* All that was sent before has been taken, and none of it has been answered: a ping's answer comes next. */
static void taken_and_unanswered(struct client *c)
{
	struct pdu p = { .bhs = { OP_NOP_OUT | BHS_IMMEDIATE, F } };

	put_be32(p.bhs + BHS_ITT, 0x7000);
	put_be32(p.bhs + BHS_TTT, TAG_NONE);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn);
	client_send(c, &p);
	client_expect(c, OP_NOP_IN);
}

/* On the medium: the function is answered when its I/O has ended; the command never is. */
static void abort_waits_for_the_medium(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t cdb[16];
	struct client c;

	client_start(&c, f);
	portal_hold(f);
	cdb_read(cdb, 0, 1);
	client_command(&c, F | R, cdb, BLOCK, NULL, 0);
	assert_true(portal_holds(f));
	tmf_send(&c, TMF_WIRE_ABORT_TASK, c.itt - 1);
	taken_and_unanswered(&c);
	portal_release(f);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	assert_int_equal(get_be32(c.in.bhs + BHS_MAXCMDSN) - c.cmdsn + 1, 128); /* its place in the window is back */
	client_close(&c);
}

/* Initiators lose patience: each function gets its answer. */
static void two_aborts_for_one_command(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t cdb[16];
	struct client c;

	client_start(&c, f);
	portal_hold(f);
	cdb_read(cdb, 0, 1);
	client_command(&c, F | R, cdb, BLOCK, NULL, 0);
	assert_true(portal_holds(f));
	tmf_send(&c, TMF_WIRE_ABORT_TASK, c.itt - 1);
	tmf_send(&c, TMF_WIRE_ABORT_TASK, c.itt - 1);
	taken_and_unanswered(&c);
	portal_release(f);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

/* Still collecting data: gone, and what is on its way is thrown away. */
static void abort_of_a_write_without_its_data(void **state)
{
	struct portal_fixture *f = *state;
	static uint8_t ones[BLOCK] = { 1 };
	struct pdu d = { .bhs = { OP_DATA_OUT, F }, .data = ones, .len = BLOCK };
	uint8_t cdb[16];
	struct client c;

	client_start(&c, f);
	cdb_write(cdb, 0, 1);
	client_command(&c, F | W, cdb, BLOCK, NULL, 0);
	client_expect(&c, OP_R2T);
	put_be32(d.bhs + BHS_ITT, c.itt - 1);
	memcpy(d.bhs + BHS_TTT, c.in.bhs + BHS_TTT, 4);
	tmf_send(&c, TMF_WIRE_ABORT_TASK, c.itt - 1);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	assert_int_equal(get_be32(c.in.bhs + BHS_MAXCMDSN) - c.cmdsn + 1, 128); /* no need to wait for the data */
	client_send(&c, &d);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	assert_int_equal(f->data[0], 0);
	client_close(&c);
}

/* RFC 7144: the functions and responses of iSCSIProtocolLevel 2. */
static void queries(void **state)
{
	uint8_t cdb[16];
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "iSCSIProtocolLevel=2\0"), LOGIN_OK);
	tmf_send(&c, TMF_WIRE_QUERY_ASYNC_EVENT, 0);
	tmf_expect(&c, TMF_RSP_SUCCEEDED);
	assert_memory_equal(c.in.bhs + TMF_RSP_INFO, "\x16\x29\0", 3); /* POWER ON … OCCURRED */
	assert_int_equal(client_ready(&c), STATUS_CHECK_CONDITION);
	tmf_send(&c, TMF_WIRE_QUERY_ASYNC_EVENT, 0);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	tmf_send(&c, TMF_WIRE_QUERY_TASK_SET, 0);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	cdb_write(cdb, 0, 1);
	client_command(&c, F | W, cdb, BLOCK, NULL, 0);
	client_expect(&c, OP_R2T);
	tmf_send(&c, TMF_WIRE_QUERY_TASK, c.itt - 1);
	tmf_expect(&c, TMF_RSP_SUCCEEDED);
	tmf_send(&c, TMF_WIRE_QUERY_TASK, c.itt + 5);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	tmf_send(&c, TMF_WIRE_QUERY_TASK_SET, 0);
	tmf_expect(&c, TMF_RSP_SUCCEEDED);
	tmf_send(&c, TMF_WIRE_IT_NEXUS_RESET, 0);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	tmf_send(&c, TMF_WIRE_QUERY_TASK_SET, 0);
	tmf_expect(&c, TMF_RSP_COMPLETE);
	assert_int_equal(client_ready(&c), STATUS_CHECK_CONDITION); /* 29h/07h */
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

/* TAS=1: a command that another I_T nexus has cleared while its data was coming ends with TASK ABORTED when that has
 * come; its own session's functions leave it alone. */
static void cleared_by_another_session(void **state)
{
	struct portal_fixture *f = *state;
	static uint8_t ones[BLOCK] = { 1 };
	struct pdu d = { .bhs = { OP_DATA_OUT, F }, .data = ones, .len = BLOCK };
	struct client a, b;
	uint8_t cdb[16];

	f->mode.tas = true;
	client_start(&a, f);
	client_open(&b, f);
	b.name = "iqn.2026-11.test:i2";
	assert_int_equal(client_login_keys(&b, TARGET, ""), LOGIN_OK);
	cdb_write(cdb, 0, 1);
	client_command(&a, F | W, cdb, BLOCK, NULL, 0);
	client_expect(&a, OP_R2T);
	put_be32(d.bhs + BHS_ITT, a.itt - 1);
	memcpy(d.bhs + BHS_TTT, a.in.bhs + BHS_TTT, 4);
	tmf_send(&b, TMF_WIRE_CLEAR_TASK_SET, 0);
	tmf_expect(&b, TMF_RSP_COMPLETE);
	tmf_send(&a, TMF_WIRE_CLEAR_ACA, 0);
	tmf_expect(&a, TMF_RSP_COMPLETE);
	client_send(&a, &d);
	client_expect(&a, OP_SCSI_RSP);
	assert_int_equal(a.in.bhs[RSP_STATUS], STATUS_TASK_ABORTED);
	assert_int_equal(f->data[0], 0);
	assert_int_equal(client_ready(&a), STATUS_GOOD);
	client_close(&a);
	client_close(&b);
}

static void a_cold_reset_ends_all_sessions_of_the_target(void **state)
{
	struct client a, b;

	client_start(&a, *state);
	client_open(&b, *state);
	b.name = "iqn.2026-11.test:i2";
	assert_int_equal(client_login_keys(&b, TARGET, ""), LOGIN_OK);
	tmf_send(&a, TMF_WIRE_TARGET_COLD_RESET, 0);
	tmf_expect(&a, TMF_RSP_COMPLETE);
	assert_false(client_recv(&a));
	assert_false(client_recv(&b));
	client_close(&a);
	client_close(&b);
}

/* ---- who is there; the end ----------------------------------------------------------------------------------- */

struct listing {
	struct portal_fixture *f;
	struct iscsi_session_row row[4];
	size_t n;
	sem_t done;
};

static void take_rows(void *arg, const struct iscsi_session_row *row, size_t n)
{
	struct listing *l = arg;

	l->n = n;
	memcpy(l->row, row, (n < 4 ? n : 4) * sizeof(*row));
	sem_post(&l->done);
}

static void ask(void *arg)
{
	struct listing *l = arg;

	assert_int_equal(iscsi_sessions(l->f->server, take_rows, l), 0);
}

static void list(struct listing *l, struct portal_fixture *f)
{
	l->f = f;
	sem_init(&l->done, 0, 0);
	portal_on_control(f, ask, l);
	sem_wait(&l->done);
	sem_destroy(&l->done);
}

static void sessions_are_listed(void **state)
{
	struct portal_fixture *f = *state;
	struct client a, b, half;
	struct listing l;

	client_open(&half, f); /* not logged in: no session */
	list(&l, f);
	assert_int_equal(l.n, 0);
	client_start(&a, f);
	client_open(&b, f);
	b.name = "iqn.2026-11.test:i2";
	assert_int_equal(client_login_keys(&b, NULL, ""), LOGIN_OK);
	list(&l, f);
	assert_int_equal(l.n, 2);
	if (l.row[0].target[0] == '\0') { /* the order is that of the reactors */
		struct iscsi_session_row r = l.row[0];

		l.row[0] = l.row[1];
		l.row[1] = r;
	}
	assert_string_equal(l.row[0].initiator, "iqn.2026-11.test:i");
	assert_string_equal(l.row[0].target, TARGET);
	assert_int_equal(l.row[0].isid, a.isid);
	assert_int_equal(l.row[0].commands, 2);
	assert_int_equal(l.row[0].in_flight, 0);
	assert_false(l.row[0].initial_r2t);
	assert_string_equal(l.row[1].initiator, "iqn.2026-11.test:i2");
	assert_string_equal(l.row[1].target, "");
	client_close(&a);
	client_close(&b);
	client_close(&half);
}

static void stopped(void *arg)
{
	sem_post(arg);
}

struct stopping {
	struct portal_fixture *f;
	sem_t done;
};

static void stop(void *arg)
{
	struct stopping *s = arg;

	iscsi_stop(s->f->server, stopped, &s->done);
}

static void start_again(void *arg)
{
	struct portal_fixture *f = arg;
	struct portal here = { "127.0.0.1", f->port };
	struct iscsi_params p = { .portal = &here, .nportals = 1 };
	char err[256];

	iscsi_settings_default(&p.settings);
	p.settings.logout_grace = 50;
	assert_int_equal(iscsi_start(&f->server, &f->core, &p, err, sizeof(err)), 0);
}

/* Asks to log out, then tells, then closes; a command on the medium is waited for; the port is free afterwards. */
static void the_daemon_stops(void **state)
{
	struct portal_fixture *f = *state;
	struct stopping s = { .f = f };
	struct client c;
	uint8_t cdb[16];

	sem_init(&s.done, 0, 0);
	client_start(&c, f);
	portal_hold(f);
	cdb_read(cdb, 0, 1);
	client_command(&c, F | R, cdb, BLOCK, NULL, 0);
	assert_true(portal_holds(f));
	portal_on_control(f, stop, &s);
	client_expect(&c, OP_ASYNC);
	assert_int_equal(c.in.bhs[ASYNC_EVENT], ASYNC_REQUEST_LOGOUT);
	client_expect(&c, OP_ASYNC);
	assert_int_equal(c.in.bhs[ASYNC_EVENT], ASYNC_DROP_SESSION);
	assert_false(client_recv(&c));
	assert_int_not_equal(sem_trywait(&s.done), 0);
	portal_release(f);
	sem_wait(&s.done);
	sem_destroy(&s.done);
	client_close(&c);
	portal_on_control(f, start_again, f);
	client_start(&c, f);
	client_close(&c);
}

static void a_portal_that_is_taken(void **state)
{
	struct portal_fixture *f = *state;
	struct portal portal = { "127.0.0.1", f->port };
	struct iscsi_params p = { .portal = &portal, .nportals = 1 };
	struct iscsi_server *s;
	char err[256] = "", where[32];

	iscsi_settings_default(&p.settings);
	assert_true(iscsi_start(&s, &f->core, &p, err, sizeof(err)) < 0);
	snprintf(where, sizeof(where), "127.0.0.1:%u", f->port);
	assert_non_null(strstr(err, where));
	assert_non_null(strstr(err, "another program"));
	portal = (struct portal){ "192.0.2.77", 3260 };
	assert_true(iscsi_start(&s, &f->core, &p, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, "192.0.2.77"));
	portal = (struct portal){ "localhost", 3260 };
	assert_true(iscsi_start(&s, &f->core, &p, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, "numeric"));
}

#define WIRE(fn) cmocka_unit_test_setup_teardown(fn, portal_setup, portal_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE(send_targets),
		WIRE(send_targets_in_a_normal_session),
		WIRE(an_answer_in_pieces),
		WIRE(a_discovery_session_carries_no_commands),
		WIRE(reinstatement_waits_for_the_old_tasks),
		WIRE(another_isid_is_another_session),
		WIRE(a_storm_of_reinstatements),
		WIRE(logouts),
		WIRE(an_echo),
		cmocka_unit_test(pings),
		WIRE(functions_without_a_task),
		WIRE(abort_waits_for_the_medium),
		WIRE(two_aborts_for_one_command),
		WIRE(abort_of_a_write_without_its_data),
		WIRE(queries),
		WIRE(cleared_by_another_session),
		WIRE(a_cold_reset_ends_all_sessions_of_the_target),
		WIRE(sessions_are_listed),
		WIRE(the_daemon_stops),
		WIRE(a_portal_that_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
