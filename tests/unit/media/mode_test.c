/* SPDX-License-Identifier: BSD-2-Clause */
/* The replicated mode parameters: two members that apply the same log stay equal, whatever comes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/mode.pb-c.h"
#include "media/mode_service.h"

#define OPS (&mode_service_ops)

static const struct nexus_id nexus = { .rtpi = 1, .port = "iqn.2026-11.test:a,i,0x000001" };

static int apply(struct mode_service *svc, struct apply *a, const struct wbuf *msg)
{
	*a = (struct apply){ .position = 1 };
	return OPS->apply(svc, a, msg->data, msg->len);
}

static const struct mode_state defaults = { .wce = 1, .qam = 1, .tcmos = 1, .scsip = 1 };

static void select_(struct mode_service *svc, struct apply *a, enum mode_field f, uint8_t value, bool save)
{
	struct mode_change c = { .mask = 1u << f };
	struct wbuf msg = { 0 };

	c.value[f] = value;
	mode_service_pack_select(&msg, "disk0", &c, &defaults, save, &nexus);
	assert_int_equal(apply(svc, a, &msg), 0);
	wbuf_fini(&msg);
}

static void reset(struct mode_service *svc, struct apply *a)
{
	struct wbuf msg = { 0 };

	mode_service_pack_reset(&msg, "disk0");
	assert_int_equal(apply(svc, a, &msg), 0);
	wbuf_fini(&msg);
}

static unsigned count(const struct apply *a, enum effect_kind kind)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < a->neffects; i++)
		n += a->effect[i].kind == kind && !strcmp(a->effect[i].object, "disk0");
	return n;
}

static uint8_t current(const struct mode_service *svc, enum mode_field f)
{
	const struct mode_lu *lu = mode_service_find(svc, "disk0");

	assert_non_null(lu);
	assert_true(lu->current.mask & 1u << f);
	return lu->current.value[f];
}

static void selects_and_saves(void **state)
{
	struct mode_service svc = { 0 };
	struct apply a;

	(void)state;
	select_(&svc, &a, MODE_SWP, 1, false);
	assert_int_equal(count(&a, EFFECT_DRAIN), 1); /* writes admitted before have ended at the answer */
	assert_int_equal(count(&a, EFFECT_PERSIST), 0);
	assert_int_equal(count(&a, EFFECT_UA), 1);
	for (uint32_t i = 0; i < a.neffects; i++) {
		if (a.effect[i].kind != EFFECT_UA)
			continue;
		assert_int_equal(a.effect[i].ua, UA_MODE_PARAMETERS_CHANGED);
		assert_int_equal(a.effect[i].scope, UA_SCOPE_ALL_BUT);
		assert_true(a.effect[i].nids == 1 && nexus_id_eq(&a.effect[i].ids[0], &nexus));
	}
	apply_fini(&a);
	select_(&svc, &a, MODE_SWP, 1, false);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	select_(&svc, &a, MODE_WCE, 0, true); /* SP saves what was set before, too */
	assert_int_equal(count(&a, EFFECT_PERSIST), 1);
	apply_fini(&a);
	assert_int_equal(current(&svc, MODE_SWP), 1);
	select_(&svc, &a, MODE_SWP, 0, false);
	apply_fini(&a);
	assert_int_equal(current(&svc, MODE_SWP), 0);
	reset(&svc, &a); /* SPC-4 5.11 */
	assert_int_equal(count(&a, EFFECT_DRAIN), 1);
	assert_int_equal(count(&a, EFFECT_UA), 0); /* that of the reset tells it */
	apply_fini(&a);
	assert_int_equal(current(&svc, MODE_SWP), 1);
	assert_int_equal(current(&svc, MODE_WCE), 0);
	reset(&svc, &a);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	mode_service_clear(&svc);
}

static void survives_power_loss(void **state)
{
	struct mode_service svc = { 0 }, next = { 0 };
	struct wbuf kept = { 0 }, none = { 0 };
	struct apply a;
	char err[256];

	(void)state;
	select_(&svc, &a, MODE_TAS, 1, false);
	apply_fini(&a);
	OPS->persist(&svc, "disk0", &none);
	assert_int_equal(none.len, 0);
	select_(&svc, &a, MODE_QERR, 3, true);
	apply_fini(&a);
	select_(&svc, &a, MODE_QERR, 0, false);
	apply_fini(&a);
	OPS->persist(&svc, "disk0", &kept);
	assert_int_equal(OPS->load(&next, "disk1", kept.data, kept.len, err, sizeof(err)), -EBADMSG);
	assert_int_equal(OPS->load(&next, "disk0", kept.data, kept.len, err, sizeof(err)), 0);
	assert_int_equal(current(&next, MODE_TAS), 1);
	assert_int_equal(current(&next, MODE_QERR), 3);
	for (size_t cut = 1; cut < kept.len; cut++) {
		struct mode_service torn = { 0 };

		if (OPS->load(&torn, "disk0", kept.data, kept.len - cut, err, sizeof(err)) < 0)
			assert_int_equal(torn.n, 0);
		mode_service_clear(&torn);
	}
	wbuf_fini(&kept);
	mode_service_clear(&svc);
	mode_service_clear(&next);
}

/* A random log on two members, a third from a snapshot in the middle: equal bytes. */
static void members_stay_equal(void **state)
{
	struct mode_service m[3] = { 0 };
	struct wbuf s[3] = { 0 };
	unsigned seed = 11;
	char err[256];

	(void)state;
	for (int i = 0; i < 400; i++) {
		const char *lu[] = { "disk0", "disk1", "a", "zz" };
		const char *name = lu[rand_r(&seed) % 4];
		struct mode_change c = { .mask = rand_r(&seed) % (1u << MODE_FIELDS) };
		struct wbuf msg = { 0 };
		struct apply a;

		for (unsigned f = 0; f < MODE_FIELDS; f++)
			c.value[f] = rand_r(&seed) % 2 && f != MODE_UA_INTLCK;
		unsigned what = rand_r(&seed) % 8;

		if (what == 0)
			mode_service_pack_timestamp(&msg, name, (int64_t)rand_r(&seed) - rand_r(&seed), &nexus);
		else if (what == 1)
			mode_service_pack_log_reset(&msg, name, 1 + rand_r(&seed) % ((1u << LOG_RESETS) - 1), &nexus);
		else if (what < 6)
			mode_service_pack_select(&msg, name, &c, &defaults, rand_r(&seed) % 2, &nexus);
		else
			mode_service_pack_reset(&msg, name);
		for (int k = 0; k < (i < 200 ? 2 : 3); k++) {
			assert_int_equal(apply(&m[k], &a, &msg), 0);
			apply_fini(&a);
		}
		wbuf_fini(&msg);
		if (i == 199) {
			OPS->snapshot(&m[0], &s[2]);
			assert_int_equal(OPS->restore(&m[2], s[2].data, s[2].len, err, sizeof(err)), 0);
			wbuf_fini(&s[2]);
			s[2] = (struct wbuf){ 0 };
		}
	}
	for (int k = 0; k < 3; k++) {
		OPS->snapshot(&m[k], &s[k]);
		assert_int_equal(s[k].len, s[0].len);
		assert_memory_equal(s[k].data, s[0].data, s[0].len);
	}
	for (int k = 0; k < 3; k++) {
		wbuf_fini(&s[k]);
		mode_service_clear(&m[k]);
	}
}

static void what_is_malformed_changes_nothing(void **state)
{
	static const struct mode_change wrong[] = {
		{ .mask = 1u << MODE_QERR, .value[MODE_QERR] = 2 },	   { .mask = 1u << MODE_TST, .value[MODE_TST] = 2 },
		{ .mask = 1u << MODE_UA_INTLCK, .value[MODE_UA_INTLCK] = 1 }, { .mask = 1u << MODE_WCE, .value[MODE_WCE] = 2 },
		{ .mask = 1u << MODE_FIELDS },
	};
	static const struct nexus_id nobody = { .rtpi = 1 };
	struct mode_change good = { .mask = 1 };
	struct mode_service svc = { 0 };
	struct wbuf msg = { 0 };
	struct apply a;
	char err[256];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		mode_service_pack_select(&msg, "disk0", &wrong[i], &defaults, false, &nexus);
		assert_int_equal(apply(&svc, &a, &msg), -EBADMSG);
		wbuf_fini(&msg);
		msg = (struct wbuf){ 0 };
	}
	mode_service_pack_select(&msg, "disk0", &good, &defaults, false, &nobody);
	assert_int_equal(apply(&svc, &a, &msg), -EBADMSG);
	assert_int_equal(OPS->restore(&svc, msg.data, msg.len, err, sizeof(err)), -EBADMSG);
	for (size_t cut = 1; cut < msg.len; cut++) {
		struct wbuf part = { .data = msg.data, .len = msg.len - cut };

		assert_int_equal(apply(&svc, &a, &part), -EBADMSG);
	}
	wbuf_fini(&msg);
	assert_int_equal(svc.n, 0);
}

/* An older version knows fewer fields; each that the mask names has a value. */
static void fewer_fields_are_an_older_versions(void **state)
{
	static const struct {
		uint32_t mask, values;
		bool good;
	} rows[] = {
		{ 1u << MODE_SWP, MODE_SWP + 1, true },
		{ 1u << MODE_SWP, MODE_SWP, false },
		{ 1u << MODE_SWP, MODE_FIELDS, true },
		{ 1u << MODE_SWP, MODE_FIELDS + 1, false },
	};
	uint8_t value[MODE_FIELDS + 1] = { 0 }, buf[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mode_service svc = { 0 };
		Mode__Change c = MODE__CHANGE__INIT;
		Mode__Values v = MODE__VALUES__INIT, d = MODE__VALUES__INIT;
		Mode__Nexus n = MODE__NEXUS__INIT;
		struct wbuf msg = { .data = buf };
		struct apply a;

		v.mask = rows[i].mask;
		v.value = (ProtobufCBinaryData){ rows[i].values, value };
		d.mask = rows[i].mask;
		d.value = (ProtobufCBinaryData){ MODE_FIELDS, value };
		n.port = (ProtobufCBinaryData){ strlen(nexus.port), (uint8_t *)nexus.port };
		n.rtpi = nexus.rtpi;
		c.action = MODE__ACTION__ACTION_SELECT;
		c.lu = "disk0";
		c.values = &v;
		c.defaults = &d;
		c.nexus = &n;
		msg.len = mode__change__pack(&c, buf);
		assert_int_equal(apply(&svc, &a, &msg), rows[i].good ? 0 : -EBADMSG);
		assert_int_equal(svc.n, rows[i].good);
		apply_fini(&a);
		mode_service_clear(&svc);
	}
}

static bool tells(struct apply *a)
{
	bool told = count(a, EFFECT_UA) == 1;

	apply_fini(a);
	return told;
}

/* Others are told only of a value that they did not see before (SPC-4 6.11): what the log says, or
 * what is saved, or the default. */
static void only_news_is_told(void **state)
{
	static const struct {
		enum { SELECT, SAVE, RESET } what;
		enum mode_field field;
		uint8_t value;
		bool told;
	} step[] = {
		{ SELECT, MODE_WCE, 1, false }, /* the default */
		{ SELECT, MODE_WCE, 0, true },	{ SELECT, MODE_WCE, 0, false },
		{ SELECT, MODE_WCE, 1, true },	{ SELECT, MODE_SWP, 0, false },
		{ SELECT, MODE_SWP, 1, true },	{ SAVE, MODE_QAM, 1, false }, /* saving alone is no news */
		{ SELECT, MODE_SWP, 0, true },	{ RESET, MODE_SWP, 0, false },
		{ SELECT, MODE_SWP, 1, false }, /* that was saved */
		{ SELECT, MODE_QERR, 3, true }, { RESET, MODE_QERR, 0, false },
		{ SELECT, MODE_QERR, 0, false },
	};
	struct mode_service svc = { 0 };
	struct apply a;

	(void)state;
	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		if (step[i].what == RESET)
			reset(&svc, &a);
		else
			select_(&svc, &a, step[i].field, step[i].value, step[i].what == SAVE);
		if (tells(&a) != step[i].told)
			fail_msg("step %zu", i);
	}
	mode_service_clear(&svc);
}

static void clock_and_logs(void **state)
{
	struct mode_service svc = { 0 }, copy = { 0 }, next = { 0 };
	struct wbuf msg = { 0 }, snap = { 0 }, kept = { 0 };
	const struct mode_lu *lu;
	struct apply a;
	char err[256];

	(void)state;
	mode_service_pack_timestamp(&msg, "disk0", -86400000, &nexus);
	assert_int_equal(apply(&svc, &a, &msg), 0);
	assert_int_equal(count(&a, EFFECT_PUBLISH), 1);
	assert_int_equal(a.effect[a.neffects - 1].ua, UA_TIMESTAMP_CHANGED);
	assert_true(nexus_id_eq(&a.effect[a.neffects - 1].ids[0], &nexus));
	assert_true(tells(&a));
	wbuf_fini(&msg);
	msg = (struct wbuf){ 0 };
	mode_service_pack_log_reset(&msg, "disk0", 1u << LOG_RESET_STATISTICS, &nexus);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(apply(&svc, &a, &msg), 0);
		assert_int_equal(a.effect[a.neffects - 1].ua, UA_LOG_PARAMETERS_CHANGED);
		assert_true(tells(&a));
	}
	OPS->snapshot(&svc, &snap);
	assert_int_equal(OPS->restore(&copy, snap.data, snap.len, err, sizeof(err)), 0);
	lu = mode_service_find(&copy, "disk0");
	assert_true(lu->clock_set);
	assert_int_equal(lu->clock_offset, -86400000);
	assert_int_equal(lu->log_resets[LOG_RESET_STATISTICS], 2);
	assert_int_equal(lu->log_resets[LOG_RESET_READ_ERRORS], 0);
	OPS->persist(&svc, "disk0", &kept); /* a power on sets the clock back (SPC-4 5.2) */
	assert_int_equal(kept.len, 0);
	select_(&svc, &a, MODE_TAS, 1, true);
	apply_fini(&a);
	OPS->persist(&svc, "disk0", &kept);
	assert_int_equal(OPS->load(&next, "disk0", kept.data, kept.len, err, sizeof(err)), 0);
	assert_false(mode_service_find(&next, "disk0")->clock_set);
	wbuf_fini(&msg);
	wbuf_fini(&snap);
	wbuf_fini(&kept);
	mode_service_clear(&svc);
	mode_service_clear(&copy);
	mode_service_clear(&next);
}

/* Malformed: log pages that there are not, nobody who did it. */
static void malformed_clock_and_logs(void **state)
{
	static const struct nexus_id nobody = { .rtpi = 1 };
	struct mode_service svc = { 0 };
	struct apply a;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct wbuf msg = { 0 };

		if (i < 2)
			mode_service_pack_log_reset(&msg, "disk0", i ? 1u << LOG_RESETS : 0, &nexus);
		else if (i == 2)
			mode_service_pack_log_reset(&msg, "disk0", 1, &nobody);
		else
			mode_service_pack_timestamp(&msg, "disk0", 1, &nobody);
		assert_int_equal(apply(&svc, &a, &msg), -EBADMSG);
		wbuf_fini(&msg);
	}
	assert_int_equal(svc.n, 0);
}

/* A record with fewer fields was written before there were more; one with a field that is not
 * known is a newer version's. */
static void records_of_other_versions(void **state)
{
	static const uint8_t older[] = { 0x0a, 5, 'd', 'i', 's', 'k', '0', 0x1a, 14, 0x08, 0x44, 0x12, 8, /* mask, 8 bytes */
					 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 };
	struct mode_service svc = { 0 };
	uint8_t record[sizeof(older)];
	char err[256];

	(void)state;
	memcpy(record, older, sizeof(older));
	record[8] = sizeof(older) - 2 - 9;
	assert_int_equal(OPS->load(&svc, "disk0", record, sizeof(record) - 2, err, sizeof(err)), 0);
	assert_int_equal(mode_service_find(&svc, "disk0")->saved.mask, 1u << MODE_SWP | 1u << MODE_TAS);
	assert_int_equal(mode_service_find(&svc, "disk0")->saved.value[MODE_TAS], 1);
	mode_service_clear(&svc);
	record[12] = 2; /* the mask names fields that have no byte */
	assert_int_equal(OPS->load(&svc, "disk0", record, sizeof(record) - 2, err, sizeof(err)), -EBADMSG);
	assert_int_equal(svc.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selects_and_saves),
		cmocka_unit_test(survives_power_loss),
		cmocka_unit_test(members_stay_equal),
		cmocka_unit_test(what_is_malformed_changes_nothing),
		cmocka_unit_test(fewer_fields_are_an_older_versions),
		cmocka_unit_test(only_news_is_told),
		cmocka_unit_test(clock_and_logs),
		cmocka_unit_test(malformed_clock_and_logs),
		cmocka_unit_test(records_of_other_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
