/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit attention conditions: which, by what, and who hears of it. The replicated ones are raised here, each by its service's own apply(); the
 * others are raised on a reactor, and shown beside what raises them.
 *
 * Three I_T nexuses of one logical unit: a does it, b and c look on; where registrants are meant, a and b are registered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alua/alua_service.h"
#include "core/lu.h"
#include "daemon/tasks.h"
#include "media/media_service.h"
#include "media/mode_service.h"
#include "pr-sync/pr.h"

static const struct nexus_id nexus[] = {
	{ .rtpi = 1, .port = "iqn.2026-11.test:a,i,0x1" },
	{ .rtpi = 1, .port = "iqn.2026-11.test:b,i,0x1" },
	{ .rtpi = 2, .port = "iqn.2026-11.test:a,i,0x1" }, /* the same initiator through another node */
};
#define A (&nexus[0])

/* ---- what is done ------------------------------------------------------------------------------------------ */

static void apply_to(void *state, const struct service_ops *ops, struct apply *a, struct wbuf *msg)
{
	apply_fini(a);
	*a = (struct apply){ .position = 1 };
	assert_int_equal(ops->apply(state, a, msg->data, msg->len), 0);
	wbuf_fini(msg);
}

static void lun_reset(struct apply *a)
{
	struct lu lu = { .name = "disk0" };
	const struct tmf_everywhere e = { .function = TMF_LUN_RESET, .lu = &lu, .by = A };
	struct tasks_service svc = { 0 };
	struct wbuf msg = { 0 };

	tasks_pack(&msg, &e, 1);
	apply_to(&svc, &tasks_service_ops, a, &msg);
	tasks_clear(&svc);
}

static void mode(struct apply *a, void (*pack)(struct wbuf *msg))
{
	struct mode_service svc = { 0 };
	struct wbuf msg = { 0 };

	pack(&msg);
	apply_to(&svc, &mode_service_ops, a, &msg);
	free(svc.lu);
}

static void pack_select(struct wbuf *msg)
{
	const struct mode_state defaults = { .wce = 1 };
	struct mode_change c = { .mask = 1u << MODE_WCE };

	mode_service_pack_select(msg, "disk0", &c, &defaults, false, A);
}

static void pack_same(struct wbuf *msg)
{
	const struct mode_state defaults = { .wce = 0 };
	struct mode_change c = { .mask = 1u << MODE_WCE };

	mode_service_pack_select(msg, "disk0", &c, &defaults, false, A);
}

static void pack_clock(struct wbuf *msg)
{
	mode_service_pack_timestamp(msg, "disk0", 5000, A);
}

static void pack_logs(struct wbuf *msg)
{
	mode_service_pack_log_reset(msg, "disk0", 1, A);
}

static void mode_select(struct apply *a)
{
	mode(a, pack_select);
}

static void mode_select_of_the_same(struct apply *a)
{
	mode(a, pack_same);
}

static void set_timestamp(struct apply *a)
{
	mode(a, pack_clock);
}

static void log_select(struct apply *a)
{
	mode(a, pack_logs);
}

/* The last one's effects. */
static void media(struct apply *a, const struct media_change *c, unsigned n)
{
	struct media_service *svc = media_service_new();

	for (unsigned i = 0; i < n; i++) {
		struct wbuf msg = { 0 };

		media_service_pack(&msg, &c[i]);
		apply_to(svc, &media_service_ops, a, &msg);
	}
	media_service_free(svc);
}

#define MEDIA(a, ...)                                                                  \
	do {                                                                           \
		const struct media_change c_[] = { __VA_ARGS__ };                      \
		media(a, c_, sizeof(c_) / sizeof(c_[0]));                              \
	} while (0)

static void first_capacity(struct apply *a)
{
	MEDIA(a, { .action = MEDIA_CAPACITY, .lu = "disk0", .blocks = 100 });
}

static void resize(struct apply *a)
{
	MEDIA(a, { .action = MEDIA_CAPACITY, .lu = "disk0", .blocks = 100 },
	      { .action = MEDIA_CAPACITY, .lu = "disk0", .blocks = 200 });
}

static void low_space(struct apply *a)
{
	MEDIA(a, { .action = MEDIA_LOW_SPACE, .lu = "disk0" });
}

static void low_space_still(struct apply *a)
{
	MEDIA(a, { .action = MEDIA_LOW_SPACE, .lu = "disk0" }, { .action = MEDIA_LOW_SPACE, .lu = "disk0" });
}

static void load_by_initiator(struct apply *a)
{
	MEDIA(a, { .action = MEDIA_EJECT, .lu = "disk0" }, { .action = MEDIA_LOAD, .lu = "disk0", .nexus = A });
}

static void load_by_operator(struct apply *a)
{
	MEDIA(a, { .action = MEDIA_EJECT, .lu = "disk0" }, { .action = MEDIA_LOAD, .lu = "disk0" });
}

static void new_owner(struct apply *a)
{
	const char *const groups[] = { "disk0" };
	struct alua_service *svc = alua_service_new(groups, 1);
	struct wbuf promote = { 0 }, active = { 0 };

	alua_service_pack(&promote, GROUP_PROMOTE, "disk0", 1, 0);
	apply_to(svc, &alua_service_ops, a, &promote);
	alua_service_pack(&active, GROUP_ACTIVATE, "disk0", 1, alua_service_find(svc, "disk0")->epoch);
	apply_to(svc, &alua_service_ops, a, &active);
	alua_service_free(svc);
}

/* a and b register, a reserves, and the last one is what counts. */
static void reservation(struct apply *a, enum pr_type type, const struct pr_op *last)
{
	const struct pr_op ops[] = {
		{ .action = PR_REGISTER, .nexus = nexus[0], .sa_key = 0xa },
		{ .action = PR_REGISTER, .nexus = nexus[1], .sa_key = 0xb },
		{ .action = PR_RESERVE, .nexus = nexus[0], .key = 0xa, .type = type },
		*last,
	};
	struct pr pr;

	pr_init(&pr);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct pr_outcome out = { 0 };

		assert_int_equal(pr_apply(&pr, &ops[i], &out), 0);
		assert_int_equal(out.status, STATUS_GOOD);
		apply_fini(a);
		*a = (struct apply){ .position = 1 };
		if (out.preempted.n)
			apply_ua(a, "disk0", out.preempted.code, UA_SCOPE_ONLY, out.preempted.ids, out.preempted.n);
		if (out.released.n)
			apply_ua(a, "disk0", out.released.code, UA_SCOPE_ONLY, out.released.ids, out.released.n);
		pr_outcome_fini(&out);
	}
	pr_fini(&pr);
}

static void clear(struct apply *a)
{
	reservation(a, PR_WRITE_EXCLUSIVE, &(struct pr_op){ .action = PR_CLEAR, .nexus = nexus[0], .key = 0xa });
}

static void release_registrants_only(struct apply *a)
{
	reservation(a, PR_WRITE_EXCLUSIVE_RO,
		    &(struct pr_op){ .action = PR_RELEASE, .nexus = nexus[0], .key = 0xa, .type = PR_WRITE_EXCLUSIVE_RO });
}

static void release_of_one_holder(struct apply *a)
{
	reservation(a, PR_WRITE_EXCLUSIVE,
		    &(struct pr_op){ .action = PR_RELEASE, .nexus = nexus[0], .key = 0xa, .type = PR_WRITE_EXCLUSIVE });
}

static void holder_unregisters(struct apply *a)
{
	reservation(a, PR_EXCLUSIVE_ACCESS_RO, &(struct pr_op){ .action = PR_REGISTER, .nexus = nexus[0], .key = 0xa });
}

static void preempt(struct apply *a)
{
	reservation(a, PR_WRITE_EXCLUSIVE,
		    &(struct pr_op){ .action = PR_PREEMPT, .nexus = nexus[0], .key = 0xa, .sa_key = 0xb,
				     .type = PR_WRITE_EXCLUSIVE });
}

/* ---- who hears ------------------------------------------------------------------------------------------------ */

static const struct condition {
	const char *by;
	void (*cause)(struct apply *a);
	enum ua code; /* 0: nobody hears of anything */
	bool hears[3];
} conditions[] = {
	{ "LOGICAL UNIT RESET", lun_reset, UA_BUS_DEVICE_RESET, { true, true, true } }, /* SAM-5 6.3.3 */
	{ "MODE SELECT", mode_select, UA_MODE_PARAMETERS_CHANGED, { false, true, true } },
	{ "MODE SELECT that changes nothing", mode_select_of_the_same, 0, { false } },
	{ "LOG SELECT", log_select, UA_LOG_PARAMETERS_CHANGED, { false, true, true } },
	{ "SET TIMESTAMP", set_timestamp, UA_TIMESTAMP_CHANGED, { false, true, true } },
	{ "PERSISTENT RESERVE OUT, CLEAR", clear, UA_RESERVATIONS_PREEMPTED, { false, true, false } },
	{ "RELEASE, registrants only", release_registrants_only, UA_RESERVATIONS_RELEASED, { false, true, false } },
	{ "RELEASE by its one holder", release_of_one_holder, 0, { false } },
	{ "the holder unregisters", holder_unregisters, UA_RESERVATIONS_RELEASED, { false, true, false } },
	{ "PREEMPT", preempt, UA_REGISTRATIONS_PREEMPTED, { false, true, false } },
	{ "another owner", new_owner, UA_ASYMMETRIC_ACCESS_CHANGED, { true, true, true } },
	{ "resize", resize, UA_CAPACITY_CHANGED, { true, true, true } },
	{ "the first capacity", first_capacity, 0, { false } },
	{ "little space left", low_space, UA_THIN_SOFT_THRESHOLD, { true, true, true } },
	{ "little space left, still", low_space_still, 0, { false } },
	{ "START STOP UNIT, load", load_by_initiator, UA_MEDIUM_MAY_HAVE_CHANGED, { false, true, true } },
	{ "sandemctl lun load", load_by_operator, UA_MEDIUM_MAY_HAVE_CHANGED, { true, true, true } },
};
#define NCONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

/* Raised on the reactor of the nexus: where that is shown. */
static const struct {
	enum ua code;
	const char *shown;
} elsewhere[] = {
	{ UA_POWER_ON, "login, a LUN that is new to the nexus: core/report_luns_test; overflow: core/sense_test" },
	{ UA_IT_NEXUS_LOSS, "I_T NEXUS RESET: core/task_set_test" },
	{ UA_COMMANDS_CLEARED_BY_ANOTHER, "those who lose commands with TAS=0: core/task_set_test" },
	{ UA_REPORTED_LUNS_CHANGED, "every LUN of a nexus whose map changes: core/report_luns_test" },
	{ UA_PREVIOUS_BUSY, "UA_INTLCK_CTRL=11b: core/aca_test" },
	{ UA_PREVIOUS_TASK_SET_FULL, "likewise" },
	{ UA_PREVIOUS_RESERVATION_CONFLICT, "likewise" },
};

static void who_hears(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NCONDITIONS; i++) {
		const struct condition *c = &conditions[i];
		struct apply a = { 0 };
		unsigned told = 0;

		c->cause(&a);
		for (uint32_t e = 0; e < a.neffects; e++) {
			const struct effect *ua = &a.effect[e];
			const struct ua_scope scope = { ua->scope, ua->nids, ua->ids };

			if (ua->kind != EFFECT_UA)
				continue;
			told++;
			if (ua->ua != c->code || strcmp(ua->object, "disk0") != 0)
				fail_msg("%s: %04xh on %s", c->by, ua->ua, ua->object);
			for (unsigned n = 0; n < 3; n++)
				if (ua_scope_covers(&scope, &nexus[n]) != c->hears[n])
					fail_msg("%s: nexus %c", c->by, 'a' + n);
		}
		if (told != (c->code != 0))
			fail_msg("%s: %u conditions", c->by, told);
		apply_fini(&a);
	}
}

/* SCST's list, what SPC-4 adds to it for what is served here, and nothing that nobody raises. */
static void all_of_them(void **state)
{
	static const enum ua all[] = {
		0x2800, 0x2900, 0x2903, 0x2907, 0x2a01, 0x2a02, 0x2a03, 0x2a04, 0x2a05, 0x2a06, 0x2a09,
		0x2a10, 0x2c07, 0x2c08, 0x2c09, 0x2f00, 0x3807, 0x3f0e,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		unsigned rows = 0;

		for (unsigned k = 0; k < NCONDITIONS; k++)
			rows += conditions[k].code == all[i];
		for (unsigned k = 0; k < sizeof(elsewhere) / sizeof(elsewhere[0]); k++)
			rows += elsewhere[k].code == all[i];
		if (!rows)
			fail_msg("%04xh is raised by nothing", all[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(who_hears), cmocka_unit_test(all_of_them) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
