/* SPDX-License-Identifier: BSD-2-Clause */
/* Login (RFC 7143 6.3, 11.12, 11.13): the state machine alone, then every status over the wire (fake_portal.h). */
#include <string.h>

#include "drivers/iscsi/login.h"
#include "fake_portal.h"

#define T LOGIN_TRANSIT
#define CSG(s) ((s) << 2)
#define FULL (T | CSG(1) | 3)
#define TEXT(s) s, sizeof(s) - 1

static void transitions(void **state)
{
	static const struct {
		enum login_phase from;
		uint8_t flags;
		bool allowed;
		enum login_phase to;
	} cases[] = {
		{ PHASE_START, CSG(0), true, PHASE_SECURITY },
		{ PHASE_START, T | CSG(0) | 1, true, PHASE_OPERATIONAL },
		{ PHASE_START, T | CSG(0) | 3, true, PHASE_FULL },
		{ PHASE_START, CSG(1), true, PHASE_OPERATIONAL },
		{ PHASE_START, FULL, true, PHASE_FULL },
		{ PHASE_START, CSG(3), false, 0 },
		{ PHASE_START, CSG(2), false, 0 },
		{ PHASE_START, T | CSG(0) | 0, false, 0 },
		{ PHASE_START, T | CSG(1) | 1, false, 0 },
		{ PHASE_START, T | CSG(1) | 2, false, 0 },
		{ PHASE_SECURITY, CSG(0), true, PHASE_SECURITY },
		{ PHASE_SECURITY, CSG(1), false, 0 }, /* without the T bit before */
		{ PHASE_SECURITY, FULL, false, 0 },
		{ PHASE_OPERATIONAL, CSG(1), true, PHASE_OPERATIONAL },
		{ PHASE_OPERATIONAL, FULL, true, PHASE_FULL },
		{ PHASE_OPERATIONAL, CSG(0), false, 0 }, /* never backwards */
		{ PHASE_FULL, FULL, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum login_phase to;
		bool ok = login_next_phase(cases[i].from, cases[i].flags, &to);

		if (ok != cases[i].allowed || (ok && to != cases[i].to))
			fail_msg("phase %d, flags %02xh: %s, phase %d", cases[i].from, cases[i].flags,
				 ok ? "allowed" : "refused", to);
	}
}

/* ---- over the wire ------------------------------------------------------------------------------- */

static void a_normal_session(void **state)
{
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "MaxRecvDataSegmentLength=65536\0"), LOGIN_OK);
	assert_int_equal(c.in.bhs[BHS_FLAGS], FULL);
	assert_int_not_equal(get_be16(c.in.bhs + LOGIN_TSIH), 0);
	assert_int_equal(get_be32(c.in.bhs + BHS_EXPCMDSN), c.cmdsn);
	assert_int_equal(get_be32(c.in.bhs + BHS_MAXCMDSN), c.cmdsn + 127);
	assert_string_equal(client_key(&c, "TargetPortalGroupTag"), "2");
	assert_string_equal(client_key(&c, "MaxRecvDataSegmentLength"), "262144");
	assert_int_equal(client_ready(&c), STATUS_CHECK_CONDITION);
	client_close(&c);
}

static void all_stages_one_after_the_other(void **state)
{
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_pdu(&c, CSG(0), TEXT("InitiatorName=iqn.2026-11.test:i\0TargetName=" TARGET
							   "\0SessionType=Normal\0AuthMethod=None,CHAP\0")), LOGIN_OK);
	assert_int_equal(c.in.bhs[BHS_FLAGS], CSG(0));
	assert_string_equal(client_key(&c, "AuthMethod"), "None");
	assert_string_equal(client_key(&c, "TargetPortalGroupTag"), "2");
	assert_int_equal(client_login_pdu(&c, T | CSG(0) | 1, NULL, 0), LOGIN_OK);
	assert_int_equal(c.in.bhs[BHS_FLAGS], T | CSG(0) | 1);
	assert_int_equal(get_be16(c.in.bhs + LOGIN_TSIH), 0); /* not before the end */
	assert_int_equal(client_login_pdu(&c, CSG(1), TEXT("InitialR2T=No\0")), LOGIN_OK);
	assert_string_equal(client_key(&c, "InitialR2T"), "No");
	assert_int_equal(client_login_pdu(&c, FULL, TEXT("MaxBurstLength=8192\0")), LOGIN_OK);
	assert_string_equal(client_key(&c, "MaxBurstLength"), "8192");
	assert_null(client_key(&c, "InitialR2T"));
	assert_int_not_equal(get_be16(c.in.bhs + LOGIN_TSIH), 0);
	client_close(&c);
}

/* The C bit: a key may even be torn between two PDUs (6.2). */
static void text_over_several_pdus(void **state)
{
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_pdu(&c, LOGIN_CONTINUE | CSG(1),
					  TEXT("InitiatorName=iqn.2026-11.test:i\0TargetName=iqn.2026")), LOGIN_OK);
	assert_int_equal(c.in.bhs[BHS_FLAGS], CSG(1));
	assert_int_equal(c.in.len, 0);
	assert_int_equal(client_login_pdu(&c, FULL, TEXT("-11.test:t\0")), LOGIN_OK);
	assert_int_not_equal(get_be16(c.in.bhs + LOGIN_TSIH), 0);
	client_close(&c);
}

static void each_status(void **state)
{
	static const struct {
		int status;
		uint8_t flags;
		const char *text;
		size_t len;
	} cases[] = {
		{ LOGIN_MISSING_PARAMETER, FULL, TEXT("TargetName=" TARGET "\0") },
		{ LOGIN_MISSING_PARAMETER, FULL, TEXT("InitiatorName=iqn.2026-11.test:i\0") },
		{ LOGIN_NOT_FOUND, FULL, TEXT("InitiatorName=iqn.2026-11.test:i\0TargetName=iqn.2026-11.test:none\0") },
		{ LOGIN_FORBIDDEN, FULL, TEXT("InitiatorName=iqn.2026-11.test:i\0TargetName=" CLOSED_TARGET "\0") },
		{ LOGIN_FORBIDDEN, FULL, TEXT("InitiatorName=iqn.2026-11.test:other\0TargetName=" TARGET "\0") },
		{ LOGIN_SESSION_TYPE, FULL, TEXT("InitiatorName=iqn.2026-11.test:i\0SessionType=Strange\0") },
		{ LOGIN_AUTH_FAILED, CSG(0), TEXT("InitiatorName=iqn.2026-11.test:i\0TargetName=" TARGET
						  "\0AuthMethod=CHAP\0") },
		{ LOGIN_INITIATOR_ERROR, FULL, TEXT("InitiatorName=nonsense\0") },
		{ LOGIN_INITIATOR_ERROR, FULL, TEXT("no text at all") },
		{ LOGIN_INITIATOR_ERROR, CSG(2), NULL, 0 },
		{ LOGIN_INITIATOR_ERROR, LOGIN_CONTINUE | FULL, NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client c;

		client_open(&c, *state);
		assert_int_equal(client_login_pdu(&c, cases[i].flags, cases[i].text, cases[i].len), cases[i].status);
		assert_false(client_recv(&c)); /* and the connection ends */
		client_close(&c);
	}
}

static void status_by_header(void **state)
{
	struct client c;
	struct pdu p = { .bhs = { OP_LOGIN_REQ | BHS_IMMEDIATE, FULL, 1, 1 } };

	client_open(&c, *state);
	client_send(&c, &p); /* Version-min 1 */
	client_expect(&c, OP_LOGIN_RSP);
	assert_int_equal(get_be16(c.in.bhs + LOGIN_STATUS), LOGIN_UNSUPPORTED_VERSION);
	client_close(&c);

	client_open(&c, *state);
	c.tsih = 4711;
	assert_int_equal(client_login_keys(&c, TARGET, ""), LOGIN_NO_SESSION);
	client_close(&c);

	client_open(&c, *state);
	p = (struct pdu){ .bhs = { OP_SCSI_CMD, FLAG_FINAL } };
	client_send(&c, &p);
	client_expect(&c, OP_LOGIN_RSP);
	assert_int_equal(get_be16(c.in.bhs + LOGIN_STATUS), LOGIN_INVALID_DURING_LOGIN);
	assert_false(client_recv(&c));
	client_close(&c);
}

static void a_second_connection_for_a_session(void **state)
{
	struct client a, b;

	client_start(&a, *state);
	client_open(&b, *state);
	b.tsih = 1; /* the first session of this daemon has the first TSIH */
	assert_int_equal(client_login_keys(&b, TARGET, ""), LOGIN_TOO_MANY_CONNECTIONS);
	assert_int_equal(client_ready(&a), STATUS_GOOD); /* it has not suffered */
	client_close(&a);
	client_close(&b);
}

static void the_isid_may_not_change(void **state)
{
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_pdu(&c, CSG(1), TEXT("InitiatorName=iqn.2026-11.test:i\0TargetName=" TARGET
							   "\0")), LOGIN_OK);
	c.isid++;
	assert_int_equal(client_login_pdu(&c, FULL, NULL, 0), LOGIN_INITIATOR_ERROR);
	client_close(&c);
}

static void names_in_capitals(void **state)
{
	struct client c;

	client_open(&c, *state);
	c.name = "IQN.2026-11.TEST:I";
	assert_int_equal(client_login_keys(&c, "IQN.2026-11.Test:T", ""), LOGIN_OK);
	client_close(&c);
}

static void a_long_login_text_is_refused(void **state)
{
	static const char junk[8192] = "X=";
	struct client c;
	int status = LOGIN_OK;

	client_open(&c, *state);
	for (int i = 0; i < 3 && status == LOGIN_OK; i++)
		status = client_login_pdu(&c, LOGIN_CONTINUE | CSG(1), junk, sizeof(junk));
	assert_int_equal(status, LOGIN_INITIATOR_ERROR);
	client_close(&c);
}

static void a_login_that_never_ends_is_cut_off(void **state)
{
	struct portal_options o = { .login_timeout = 200, .initial_r2t = -1, .immediate_data = -1 };
	struct portal_fixture *f = portal_up(&o);
	struct client idle, half;

	(void)state;
	client_open(&idle, f);
	client_open(&half, f);
	client_raw(&half, "\x43\x87", 2);
	assert_false(client_recv(&idle));
	assert_false(client_recv(&half));
	client_close(&idle);
	client_close(&half);
	portal_down(f);
}

#define WIRE(fn) cmocka_unit_test_setup_teardown(fn, portal_setup, portal_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transitions),
		WIRE(a_normal_session),
		WIRE(all_stages_one_after_the_other),
		WIRE(text_over_several_pdus),
		WIRE(each_status),
		WIRE(status_by_header),
		WIRE(a_second_connection_for_a_session),
		WIRE(the_isid_may_not_change),
		WIRE(names_in_capitals),
		WIRE(a_long_login_text_is_refused),
		cmocka_unit_test(a_login_that_never_ends_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
