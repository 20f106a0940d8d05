/* SPDX-License-Identifier: BSD-2-Clause */
/* Negotiation of every key (RFC 7143 clauses 12.1 and 13). No topology: the table alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/iscsi/iscsi.h"
#include "drivers/iscsi/keys.h"
#include "drivers/iscsi/pdu.h"

static struct negotiation n;
static char answer_buf[8192];
static struct text_writer out;

static int fresh(void **state)
{
	struct iscsi_settings s;

	(void)state;
	iscsi_settings_default(&s);
	keys_init(&n, &s);
	out = (struct text_writer){ .buf = answer_buf, .cap = sizeof(answer_buf) };
	return 0;
}

/* The answer to one key, "" = none, NULL = the login fails. */
static const char *offer(enum key_stage stage, const char *key, const char *value)
{
	size_t skip = strlen(key) + 1;

	out.len = 0;
	answer_buf[0] = '\0';
	if (keys_pair(&n, stage, key, value, &out))
		return NULL;
	return out.len ? answer_buf + skip : "";
}

static void each_key_by_its_rule(void **state)
{
	static const struct {
		const char *key, *value, *answer;
	} cases[] = {
		{ "HeaderDigest", "CRC32C,None", "CRC32C" },
		{ "HeaderDigest", "None,CRC32C", "None" },
		{ "HeaderDigest", "MD5,None", "None" },
		{ "HeaderDigest", "MD5", "Reject" },
		{ "DataDigest", "CRC32C", "CRC32C" },
		{ "MaxConnections", "8", "1" },
		{ "MaxConnections", "0", "Reject" },
		{ "MaxConnections", "65536", "Reject" },
		{ "InitialR2T", "No", "No" },
		{ "InitialR2T", "Yes", "Yes" },
		{ "InitialR2T", "yes", "Reject" },
		{ "ImmediateData", "Yes", "Yes" },
		{ "ImmediateData", "No", "No" },
		{ "MaxBurstLength", "262144", "262144" },
		{ "MaxBurstLength", "16777215", "16776192" },
		{ "MaxBurstLength", "511", "Reject" },
		{ "MaxBurstLength", "16777216", "Reject" },
		{ "FirstBurstLength", "65536", "65536" },
		{ "FirstBurstLength", "0x20000", "131072" },
		{ "DefaultTime2Wait", "2", "2" },
		{ "DefaultTime2Wait", "3601", "Reject" },
		{ "DefaultTime2Retain", "20", "0" },
		{ "MaxOutstandingR2T", "16", "1" },
		{ "DataPDUInOrder", "No", "Yes" },
		{ "DataSequenceInOrder", "No", "Yes" },
		{ "ErrorRecoveryLevel", "2", "0" },
		{ "ErrorRecoveryLevel", "3", "Reject" },
		{ "TaskReporting", "FastAbort,RFC3720", "RFC3720" },
		{ "TaskReporting", "FastAbort", "Reject" },
		{ "iSCSIProtocolLevel", "2", "2" },
		{ "iSCSIProtocolLevel", "1", "1" },
		{ "iSCSIProtocolLevel", "3", "2" },
		{ "IFMarker", "No", "No" },
		{ "OFMarker", "Yes", "No" },
		{ "IFMarkInt", "2048", "Reject" },
		{ "X-com.example.key", "1", "NotUnderstood" },
		{ "Unheard", "Of", "NotUnderstood" },
		{ "MaxRecvDataSegmentLength", "65536", "" },
		{ "InitiatorAlias", "somewhere", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *a;

		fresh(state);
		a = offer(STAGE_OPERATIONAL, cases[i].key, cases[i].value);
		if (!a || strcmp(a, cases[i].answer))
			fail_msg("%s=%s: answered %s, expected %s", cases[i].key, cases[i].value, a ? a : "(failure)",
				 cases[i].answer);
	}
}

static void defaults_of_the_standard_hold_until_agreed(void **state)
{
	(void)state;
	assert_int_equal(n.active.initial_r2t, 1);
	assert_int_equal(n.active.immediate_data, 1);
	assert_int_equal(n.active.max_burst, 262144);
	assert_int_equal(n.active.first_burst, 65536);
	assert_int_equal(n.active.send_segment, 8192);
	assert_int_equal(n.active.max_connections, 1);
	assert_int_equal(n.active.header_digest, 0);
	assert_int_equal(n.active.erl, 0);
	assert_string_equal(offer(STAGE_OPERATIONAL, "InitialR2T", "No"), "No");
	assert_int_equal(n.active.initial_r2t, 0);
	assert_string_equal(offer(STAGE_OPERATIONAL, "HeaderDigest", "CRC32C"), "CRC32C");
	assert_int_equal(n.active.header_digest, 1);
	assert_string_equal(offer(STAGE_OPERATIONAL, "MaxRecvDataSegmentLength", "1048576"), "");
	assert_int_equal(n.active.send_segment, 1048576);
}

static void first_burst_stays_within_max_burst(void **state)
{
	(void)state;
	assert_string_equal(offer(STAGE_OPERATIONAL, "MaxBurstLength", "8192"), "8192");
	assert_string_equal(offer(STAGE_OPERATIONAL, "FirstBurstLength", "65536"), "8192");
}

static void first_burst_is_irrelevant_without_unsolicited_data(void **state)
{
	(void)state;
	offer(STAGE_OPERATIONAL, "InitialR2T", "Yes");
	offer(STAGE_OPERATIONAL, "ImmediateData", "No");
	assert_string_equal(offer(STAGE_OPERATIONAL, "FirstBurstLength", "65536"), "Irrelevant");
}

static void a_key_is_negotiated_once(void **state)
{
	(void)state;
	assert_non_null(offer(STAGE_OPERATIONAL, "MaxBurstLength", "8192"));
	assert_null(offer(STAGE_OPERATIONAL, "MaxBurstLength", "16384"));
	assert_int_equal(n.active.max_burst, 8192);
	assert_non_null(strstr(n.problem, "MaxBurstLength"));
}

static void declared_values_out_of_range_end_the_login(void **state)
{
	(void)state;
	assert_null(offer(STAGE_OPERATIONAL, "MaxRecvDataSegmentLength", "511"));
	fresh(state);
	assert_null(offer(STAGE_OPERATIONAL, "MaxRecvDataSegmentLength", "16777216"));
	fresh(state);
	assert_int_equal(keys_pair(&n, STAGE_SECURITY, "SessionType", "Other", &out), LOGIN_SESSION_TYPE);
	fresh(state);
	assert_int_equal(keys_pair(&n, STAGE_SECURITY, "InitiatorName", "not a name", &out), LOGIN_INITIATOR_ERROR);
	fresh(state);
	assert_int_equal(keys_pair(&n, STAGE_SECURITY, "TargetAddress", "1.2.3.4", &out), LOGIN_INITIATOR_ERROR);
}

static void authentication(void **state)
{
	assert_string_equal(offer(STAGE_SECURITY, "AuthMethod", "CHAP,None"), "None");
	assert_true(n.auth_chosen);
	fresh(state);
	assert_int_equal(keys_pair(&n, STAGE_SECURITY, "AuthMethod", "CHAP", &out), LOGIN_AUTH_FAILED);
	fresh(state);
	assert_int_equal(keys_pair(&n, STAGE_OPERATIONAL, "AuthMethod", "None", &out), LOGIN_INITIATOR_ERROR);
}

static void stages(void **state)
{
	assert_int_equal(keys_pair(&n, STAGE_SECURITY, "HeaderDigest", "None", &out), LOGIN_INITIATOR_ERROR);
	fresh(state);
	assert_string_equal(offer(STAGE_FULL, "HeaderDigest", "CRC32C"), "Reject");
	assert_int_equal(n.active.header_digest, 0);
	assert_string_equal(offer(STAGE_FULL, "MaxRecvDataSegmentLength", "4096"), "");
	assert_string_equal(offer(STAGE_FULL, "MaxRecvDataSegmentLength", "16384"), ""); /* may be declared again */
	assert_int_equal(n.active.send_segment, 16384);
}

static void answers_are_not_answered(void **state)
{
	(void)state;
	assert_string_equal(offer(STAGE_OPERATIONAL, "X-odd", "NotUnderstood"), "");
	assert_string_equal(offer(STAGE_OPERATIONAL, "MaxBurstLength", "Irrelevant"), "");
}

/* SessionType may come last: keys that make no sense in a discovery session are irrelevant all the same. */
static void a_whole_text_in_any_order(void **state)
{
	char text[] = "MaxOutstandingR2T=4\0HeaderDigest=None\0InitiatorName=iqn.2026-11.test:I\0SessionType=Discovery";
	const char *expected = "MaxOutstandingR2T=Irrelevant\0HeaderDigest=None";

	(void)state;
	assert_int_equal(keys_text(&n, STAGE_OPERATIONAL, text, sizeof(text), &out), 0);
	assert_true(n.discovery);
	assert_string_equal(n.initiator, "iqn.2026-11.test:i");
	assert_int_equal(out.len, 47);
	assert_memory_equal(answer_buf, expected, 47);
}

static void malformed_text_ends_the_login(void **state)
{
	char text[] = "InitiatorName=iqn.2026-11.test:i\0rubbish";

	(void)state;
	assert_int_equal(keys_text(&n, STAGE_OPERATIONAL, text, sizeof(text), &out), LOGIN_INITIATOR_ERROR);
}

static void a_flood_of_keys_does_not_fit(void **state)
{
	static char text[16384];
	size_t len = 0;

	(void)state;
	while (len + 5 < sizeof(text)) {
		memcpy(text + len, "k=v", 4);
		len += 4;
	}
	assert_int_equal(keys_text(&n, STAGE_OPERATIONAL, text, len, &out), LOGIN_INITIATOR_ERROR);
	assert_true(out.len <= sizeof(answer_buf));
}

static void settings_are_checked(void **state)
{
	struct iscsi_settings s;
	char err[256] = "";

	(void)state;
	iscsi_settings_default(&s);
	assert_int_equal(iscsi_settings_check(&s, err, sizeof(err)), 0);
	s.max_burst = 1 << 24;
	assert_true(iscsi_settings_check(&s, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, "max_burst"));
	assert_non_null(strstr(err, "16777215"));
}

#define TEST(fn) cmocka_unit_test_setup(fn, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_key_by_its_rule),
		TEST(defaults_of_the_standard_hold_until_agreed),
		TEST(first_burst_stays_within_max_burst),
		TEST(first_burst_is_irrelevant_without_unsolicited_data),
		TEST(a_key_is_negotiated_once),
		TEST(declared_values_out_of_range_end_the_login),
		TEST(authentication),
		TEST(stages),
		TEST(answers_are_not_answered),
		TEST(a_whole_text_in_any_order),
		TEST(malformed_text_ends_the_login),
		TEST(a_flood_of_keys_does_not_fit),
		TEST(settings_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
