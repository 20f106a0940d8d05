/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine of persistent reservations, sentence by sentence of SPC-4 5.13 and 6.16.
 *
 *   one logical unit; initiator ports A, B, C, D through target port 1 unless a test says otherwise
 *   keys: A 0xa, B 0xb, …
 */
#include "pr_fixture.h"

struct fixture {
	struct pr pr;
	struct pr_outcome out;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	pr_init(&f->pr);
	*state = f;
	return !f;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pr_outcome_fini(&f->out);
	pr_fini(&f->pr);
	free(f);
	return 0;
}

static uint8_t apply(struct fixture *f, struct pr_op op)
{
	pr_outcome_fini(&f->out);
	assert_int_equal(pr_apply(&f->pr, &op, &f->out), 0);
	return f->out.status;
}

#define GOOD(f, ...) assert_int_equal(apply(f, op_of(__VA_ARGS__)), STATUS_GOOD)
#define CONFLICT(f, ...) assert_int_equal(apply(f, op_of(__VA_ARGS__)), STATUS_RESERVATION_CONFLICT)
#define CHECK(f, s, ...)                                                         \
	do {                                                                     \
		assert_int_equal(apply(f, op_of(__VA_ARGS__)), STATUS_CHECK_CONDITION); \
		assert_int_equal((f)->out.sense, s);                             \
	} while (0)

static uint64_t key_of(struct fixture *f, char who)
{
	struct nexus_id id = nexus(who, 1);
	struct pr_registrant *r = pr_find(&f->pr, &id);

	return r ? r->key : 0;
}

static bool holds(struct fixture *f, char who)
{
	struct nexus_id id = nexus(who, 1);

	return f->pr.type != PR_NONE && pr_is_holder(&f->pr, pr_find(&f->pr, &id));
}

/* The nexuses told, as letters in order. */
static void assert_told(const struct pr_ua *ua, enum ua code, const char *who)
{
	assert_int_equal(ua->n, strlen(who));
	if (ua->n)
		assert_int_equal(ua->code, code);
	for (uint32_t i = 0; i < ua->n; i++) {
		struct nexus_id id = nexus(who[i], 1);

		assert_true(nexus_id_eq(&ua->ids[i], &id));
	}
}

static void assert_nobody_told(struct fixture *f)
{
	assert_int_equal(f->out.preempted.n, 0);
	assert_int_equal(f->out.released.n, 0);
}

static void register_all(struct fixture *f, const char *who)
{
	for (; *who; who++)
		GOOD(f, *who, PR_REGISTER, 0, *who - 'A' + 0xa, 0);
}

static const enum pr_type types[] = { PR_WRITE_EXCLUSIVE, PR_EXCLUSIVE_ACCESS, PR_WRITE_EXCLUSIVE_RO,
				      PR_EXCLUSIVE_ACCESS_RO, PR_WRITE_EXCLUSIVE_AR, PR_EXCLUSIVE_ACCESS_AR };
#define NTYPES (sizeof(types) / sizeof(types[0]))

/* A fresh state with A, B, C, D registered and A's reservation of that type. */
static void reserved(struct fixture *f, enum pr_type type)
{
	pr_fini(&f->pr);
	register_all(f, "ABCD");
	GOOD(f, 'A', PR_RESERVE, 0xa, 0, type);
}

/* ---- REGISTER: table 69 ---------------------------------------------------------------------- */

static void register_from_unregistered(void **state)
{
	struct fixture *f = *state;

	CONFLICT(f, 'A', PR_REGISTER, 0x1, 0xa, 0); /* RESERVATION KEY not zero */
	CONFLICT(f, 'A', PR_REGISTER, 0x1, 0, 0);
	assert_int_equal(f->pr.generation, 0);
	GOOD(f, 'A', PR_REGISTER, 0, 0, 0); /* "do nothing" */
	assert_false(f->out.changed);
	assert_int_equal(f->pr.n, 0);
	GOOD(f, 'A', PR_REGISTER, 0, 0xa, 0);
	assert_int_equal(key_of(f, 'A'), 0xa);
	assert_int_equal(f->pr.generation, 1);
}

static void register_from_registered(void **state)
{
	struct fixture *f = *state;

	register_all(f, "A");
	CONFLICT(f, 'A', PR_REGISTER, 0, 0xaa, 0);
	CONFLICT(f, 'A', PR_REGISTER, 0xb, 0xaa, 0);
	CONFLICT(f, 'A', PR_REGISTER, 0xb, 0, 0);
	assert_int_equal(key_of(f, 'A'), 0xa);
	GOOD(f, 'A', PR_REGISTER, 0xa, 0xaa, 0); /* change */
	assert_int_equal(key_of(f, 'A'), 0xaa);
	assert_false(f->out.view_changed);
	GOOD(f, 'A', PR_REGISTER, 0xaa, 0, 0); /* unregister */
	assert_int_equal(f->pr.n, 0);
	assert_int_equal(f->pr.generation, 3);
}

static void register_and_ignore(void **state)
{
	struct fixture *f = *state;

	GOOD(f, 'A', PR_REGISTER_AND_IGNORE, 0x99, 0, 0);
	assert_int_equal(f->pr.n, 0);
	GOOD(f, 'A', PR_REGISTER_AND_IGNORE, 0x99, 0xa, 0);
	assert_int_equal(key_of(f, 'A'), 0xa);
	GOOD(f, 'A', PR_REGISTER_AND_IGNORE, 0x99, 0xab, 0);
	assert_int_equal(key_of(f, 'A'), 0xab);
	GOOD(f, 'A', PR_REGISTER_AND_IGNORE, 0x99, 0, 0);
	assert_int_equal(f->pr.n, 0);
	assert_int_equal(f->pr.generation, 3);
}

/* 5.13.7: a registration belongs to an I_T nexus; the same key may be registered by many. */
static void register_is_per_nexus(void **state)
{
	struct fixture *f = *state;
	struct pr_op op = op_of('A', PR_REGISTER, 0, 0xa, 0);

	assert_int_equal(apply(f, op), STATUS_GOOD);
	op.nexus.rtpi = 2;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	GOOD(f, 'B', PR_REGISTER, 0, 0xa, 0);
	assert_int_equal(f->pr.n, 3);
	op.sa_key = 0;
	op.key = 0xa;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_int_equal(f->pr.n, 2);
	assert_int_equal(key_of(f, 'A'), 0xa);
}

/* 5.13.7: registering does not change a reservation; 5.13.10: a new registrant holds an all registrants one. */
static void register_under_a_reservation(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		reserved(f, types[i]);
		GOOD(f, 'E', PR_REGISTER, 0, 0xe, 0);
		assert_int_equal(f->pr.type, types[i]);
		assert_int_equal(holds(f, 'E'), pr_type_all_registrants(types[i]));
		assert_true(holds(f, 'A'));
		assert_nobody_told(f);
		GOOD(f, 'A', PR_REGISTER, 0xa, 0xaa, 0);
		assert_true(holds(f, 'A'));
		assert_int_equal(f->pr.type, types[i]);
	}
}

static void register_through_all_target_ports(void **state)
{
	struct fixture *f = *state;
	const uint32_t rtpi[] = { 2, 3 };
	struct pr_op op = op_of('A', PR_REGISTER, 0, 0xa, 0);
	struct nexus_id through_3 = nexus('A', 3);

	register_all(f, "B");
	op.all_tg_pt = true;
	op.rtpi = rtpi;
	op.nrtpi = 2;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_int_equal(f->pr.n, 4);
	assert_int_equal(pr_find(&f->pr, &through_3)->key, 0xa);
	op.key = 0xa;
	op.sa_key = 0xaa;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_int_equal(pr_find(&f->pr, &through_3)->key, 0xaa);
	op.key = 0xaa;
	op.sa_key = 0;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_int_equal(f->pr.n, 1);
	assert_int_equal(key_of(f, 'B'), 0xb);
}

static void register_other_initiator_ports(void **state)
{
	struct fixture *f = *state;
	struct nexus_id b = nexus('B', 1), c = nexus('C', 1);
	const char *const port[] = { b.port, c.port, c.port };
	struct pr_op op = op_of('A', PR_REGISTER, 0, 0xa, 0);

	register_all(f, "B");
	op.spec_i_pt = true;
	op.port = port;
	op.nports = 3;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_int_equal(key_of(f, 'A'), 0xa);
	assert_int_equal(key_of(f, 'B'), 0xb); /* "each specified unregistered I_T nexus" */
	assert_int_equal(key_of(f, 'C'), 0xa);
	assert_int_equal(f->pr.n, 3);
	op.key = 0xa; /* from a registered nexus: INVALID FIELD IN CDB */
	assert_int_equal(apply(f, op), STATUS_CHECK_CONDITION);
	assert_int_equal(f->out.sense, SENSE_INVALID_FIELD_IN_CDB);
}

static void register_beyond_the_limit(void **state)
{
	struct fixture *f = *state;
	struct nexus_id id = { 0 };

	for (uint32_t i = 0; i < PR_REGISTRANTS_MAX; i++) {
		id.rtpi = 1 + i % 4;
		snprintf(id.port, sizeof(id.port), "iqn.2026-11.test:h%08u,i,0x000000000001", i / 4);
		assert_non_null(pr_append(&f->pr, &id, 1 + i));
	}
	CHECK(f, SENSE_INSUFFICIENT_REGISTRATION, 'A', PR_REGISTER, 0, 0xa, 0);
	assert_int_equal(f->pr.n, PR_REGISTRANTS_MAX);
	assert_false(f->out.changed);
}

/* ---- unregistering: 5.13.11.3 ---------------------------------------------------------------- */

static void unregister_holder_releases(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		bool all = pr_type_all_registrants(types[i]);

		reserved(f, types[i]);
		GOOD(f, 'A', PR_REGISTER, 0xa, 0, 0);
		assert_int_equal(f->pr.type, all ? types[i] : PR_NONE);
		assert_told(&f->out.released, UA_RESERVATIONS_RELEASED,
			    pr_type_registrants_only(types[i]) ? "BCD" : "");
		assert_int_equal(f->out.preempted.n, 0);
		assert_true(f->out.view_changed);
	}
}

static void unregister_other_keeps(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		reserved(f, types[i]);
		GOOD(f, 'C', PR_REGISTER, 0xc, 0, 0);
		assert_int_equal(f->pr.type, types[i]);
		assert_true(holds(f, 'A'));
		assert_nobody_told(f);
		assert_true(f->out.excludes); /* C's commands under way end before GOOD (P2) */
	}
}

static void unregister_last_of_all_registrants_releases(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_EXCLUSIVE_ACCESS_AR);
	GOOD(f, 'A', PR_REGISTER, 0xa, 0, 0);
	GOOD(f, 'B', PR_REGISTER, 0xb, 0, 0);
	GOOD(f, 'C', PR_REGISTER_AND_IGNORE, 0, 0, 0);
	assert_int_equal(f->pr.type, PR_EXCLUSIVE_ACCESS_AR);
	GOOD(f, 'D', PR_REGISTER, 0xd, 0, 0);
	assert_int_equal(f->pr.type, PR_NONE);
	assert_nobody_told(f);
}

/* ---- RESERVE: 5.13.9 ------------------------------------------------------------------------- */

static void reserve_needs_the_key(void **state)
{
	struct fixture *f = *state;

	register_all(f, "A");
	CONFLICT(f, 'B', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE);
	CONFLICT(f, 'A', PR_RESERVE, 0xb, 0, PR_WRITE_EXCLUSIVE);
	assert_int_equal(f->pr.type, PR_NONE);
}

static void reserve_each_type(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		reserved(f, types[i]);
		assert_true(f->out.excludes);
		assert_nobody_told(f);
		assert_int_equal(f->pr.generation, 4); /* RESERVE does not count */
		assert_int_equal(holds(f, 'B'), pr_type_all_registrants(types[i]));
		GOOD(f, 'A', PR_RESERVE, 0xa, 0, types[i]); /* again: no change */
		assert_false(f->out.changed);
		for (size_t j = 0; j < NTYPES; j++)
			if (types[j] != types[i]) /* holder, another type */
				CONFLICT(f, 'A', PR_RESERVE, 0xa, 0, types[j]);
		if (pr_type_all_registrants(types[i]))
			GOOD(f, 'B', PR_RESERVE, 0xb, 0, types[i]);
		else
			CONFLICT(f, 'B', PR_RESERVE, 0xb, 0, types[i]);
	}
}

static void reserve_refuses_other_scopes_and_types(void **state)
{
	struct fixture *f = *state;
	static const uint8_t bad[] = { 0, 2, 4, 9, 0xa, 0xf };
	struct pr_op op = op_of('A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE);

	register_all(f, "A");
	for (size_t i = 0; i < sizeof(bad); i++)
		CHECK(f, SENSE_INVALID_FIELD_IN_CDB, 'A', PR_RESERVE, 0xa, 0, bad[i]);
	for (op.scope = 1; op.scope < 16; op.scope++) {
		assert_int_equal(apply(f, op), STATUS_CHECK_CONDITION);
		assert_int_equal(f->out.sense, SENSE_INVALID_FIELD_IN_CDB);
	}
	assert_int_equal(f->pr.type, PR_NONE);
}

/* ---- RELEASE: 5.13.11.2 ---------------------------------------------------------------------- */

static void release_by_holder(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		bool plain = types[i] == PR_WRITE_EXCLUSIVE || types[i] == PR_EXCLUSIVE_ACCESS;

		reserved(f, types[i]);
		GOOD(f, 'A', PR_RELEASE, 0xa, 0, types[i]);
		assert_int_equal(f->pr.type, PR_NONE);
		assert_int_equal(f->pr.n, 4);
		assert_int_equal(f->pr.generation, 4); /* RELEASE does not count */
		assert_told(&f->out.released, UA_RESERVATIONS_RELEASED, plain ? "" : "BCD");
		assert_int_equal(f->out.preempted.n, 0);
	}
}

static void release_of_all_registrants_by_any(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE_AR);
	GOOD(f, 'C', PR_RELEASE, 0xc, 0, PR_WRITE_EXCLUSIVE_AR);
	assert_int_equal(f->pr.type, PR_NONE);
	assert_told(&f->out.released, UA_RESERVATIONS_RELEASED, "ABD");
}

static void release_by_others_does_nothing(void **state)
{
	struct fixture *f = *state;

	register_all(f, "A");
	GOOD(f, 'A', PR_RELEASE, 0xa, 0, PR_WRITE_EXCLUSIVE); /* nothing is reserved */
	reserved(f, PR_WRITE_EXCLUSIVE_RO);
	GOOD(f, 'B', PR_RELEASE, 0xb, 0, PR_WRITE_EXCLUSIVE_RO); /* not the holder: GOOD */
	GOOD(f, 'B', PR_RELEASE, 0xb, 0, PR_EXCLUSIVE_ACCESS);	/* whatever the type */
	assert_false(f->out.changed);
	CONFLICT(f, 'E', PR_RELEASE, 0, 0, PR_WRITE_EXCLUSIVE_RO); /* not registered */
	CONFLICT(f, 'A', PR_RELEASE, 0xb, 0, PR_WRITE_EXCLUSIVE_RO); /* wrong key */
	assert_true(holds(f, 'A'));
}

static void release_with_another_type_or_scope(void **state)
{
	struct fixture *f = *state;
	struct pr_op op = op_of('A', PR_RELEASE, 0xa, 0, PR_WRITE_EXCLUSIVE);

	for (size_t i = 0; i < NTYPES; i++) {
		reserved(f, types[i]);
		for (unsigned t = 0; t < 16; t++)
			if (t != types[i])
				CHECK(f, SENSE_INVALID_RELEASE_OF_PR, 'A', PR_RELEASE, 0xa, 0, t);
		op.type = types[i];
		op.scope = 1;
		assert_int_equal(apply(f, op), STATUS_CHECK_CONDITION);
		assert_int_equal(f->out.sense, SENSE_INVALID_RELEASE_OF_PR);
		assert_true(holds(f, 'A'));
	}
}

/* ---- CLEAR: 5.13.11.6 ------------------------------------------------------------------------ */

static void clear_removes_all(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE);
	CONFLICT(f, 'E', PR_CLEAR, 0, 0, 0);
	CONFLICT(f, 'B', PR_CLEAR, 0xa, 0, 0);
	GOOD(f, 'B', PR_CLEAR, 0xb, 0, 0);
	assert_int_equal(f->pr.n, 0);
	assert_int_equal(f->pr.type, PR_NONE);
	assert_told(&f->out.preempted, UA_RESERVATIONS_PREEMPTED, "ACD");
	assert_int_equal(f->out.released.n, 0);
	assert_int_equal(f->pr.generation, 5);
	register_all(f, "AB"); /* registrations alone are cleared, too */
	GOOD(f, 'A', PR_CLEAR, 0xa, 0, 0);
	assert_told(&f->out.preempted, UA_RESERVATIONS_PREEMPTED, "B");
}

/* ---- PREEMPT: 5.13.11.4, table 72 ------------------------------------------------------------ */

static void preempt_without_reservation_removes_registrations(void **state)
{
	struct fixture *f = *state;

	register_all(f, "ABC");
	CONFLICT(f, 'E', PR_PREEMPT, 0, 0xa, PR_WRITE_EXCLUSIVE);
	CONFLICT(f, 'A', PR_PREEMPT, 0xb, 0xb, PR_WRITE_EXCLUSIVE);
	CONFLICT(f, 'A', PR_PREEMPT, 0xa, 0x99, PR_WRITE_EXCLUSIVE); /* nobody has that key */
	CHECK(f, SENSE_INVALID_FIELD_IN_PARAM, 'A', PR_PREEMPT, 0xa, 0, PR_WRITE_EXCLUSIVE);
	GOOD(f, 'A', PR_PREEMPT, 0xa, 0xb, 0xf); /* scope and type are ignored */
	assert_int_equal(f->pr.type, PR_NONE);
	assert_int_equal(key_of(f, 'B'), 0);
	assert_int_equal(key_of(f, 'C'), 0xc);
	assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "B");
	assert_int_equal(f->pr.generation, 4);
}

/* "It is not an error … to set both keys to the same value": the registration goes, its nexus is not told. */
static void preempt_of_own_registration(void **state)
{
	struct fixture *f = *state;

	register_all(f, "AB");
	GOOD(f, 'C', PR_REGISTER, 0, 0xa, 0);
	GOOD(f, 'A', PR_PREEMPT, 0xa, 0xa, 0);
	assert_int_equal(f->pr.n, 1);
	assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "C");
}

static void preempt_of_a_bystander_keeps_the_reservation(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		reserved(f, types[i]);
		GOOD(f, 'B', PR_PREEMPT, 0xb, 0xc, 0);
		assert_int_equal(f->pr.type, types[i]);
		assert_true(holds(f, 'A'));
		assert_int_equal(key_of(f, 'C'), 0);
		assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "C");
		assert_int_equal(f->out.released.n, 0);
		assert_true(f->out.excludes);
		CONFLICT(f, 'B', PR_PREEMPT, 0xb, 0xc, 0); /* gone already */
	}
}

static void preempt_of_the_holder_takes_the_reservation(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		for (size_t j = 0; j < NTYPES; j++) {
			if (pr_type_all_registrants(types[i]))
				continue;
			reserved(f, types[i]);
			GOOD(f, 'B', PR_PREEMPT, 0xb, 0xa, types[j]);
			assert_int_equal(f->pr.type, types[j]);
			assert_true(holds(f, 'B'));
			assert_int_equal(key_of(f, 'A'), 0);
			assert_int_equal(f->pr.n, 3);
			assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "A");
			/* the type has changed: those that stay hear of it, but not the preempter */
			assert_told(&f->out.released, UA_RESERVATIONS_RELEASED, i == j ? "" : "CD");
			assert_true(f->out.excludes);
			assert_false(f->out.abort);
		}
	}
}

static void preempt_takes_every_registration_with_the_holders_key(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE_RO);
	GOOD(f, 'B', PR_REGISTER, 0xb, 0xa, 0);
	GOOD(f, 'C', PR_REGISTER, 0xc, 0xa, 0);
	GOOD(f, 'B', PR_PREEMPT, 0xa, 0xa, PR_WRITE_EXCLUSIVE_RO); /* with that key itself: stays */
	assert_true(holds(f, 'B'));
	assert_int_equal(key_of(f, 'B'), 0xa);
	assert_int_equal(f->pr.n, 2);
	assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "AC");
	assert_int_equal(f->out.released.n, 0);
}

static void preempt_of_own_reservation_changes_its_type(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE);
	GOOD(f, 'A', PR_PREEMPT, 0xa, 0xa, PR_EXCLUSIVE_ACCESS_RO);
	assert_true(holds(f, 'A'));
	assert_int_equal(f->pr.type, PR_EXCLUSIVE_ACCESS_RO);
	assert_int_equal(f->pr.n, 4);
	assert_int_equal(f->out.preempted.n, 0);
	assert_told(&f->out.released, UA_RESERVATIONS_RELEASED, "BCD");
}

static void preempt_of_the_holder_with_bad_type_changes_nothing(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE);
	CHECK(f, SENSE_INVALID_FIELD_IN_CDB, 'B', PR_PREEMPT, 0xb, 0xa, 0);
	CHECK(f, SENSE_INVALID_FIELD_IN_CDB, 'B', PR_PREEMPT, 0xb, 0xa, 2);
	assert_true(holds(f, 'A'));
	assert_int_equal(f->pr.n, 4);
	assert_int_equal(f->pr.generation, 4);
}

static void preempt_with_key_zero(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < NTYPES; i++) {
		reserved(f, types[i]);
		if (!pr_type_all_registrants(types[i])) {
			CHECK(f, SENSE_INVALID_FIELD_IN_PARAM, 'B', PR_PREEMPT, 0xb, 0, types[i]);
			assert_true(holds(f, 'A'));
			continue;
		}
		GOOD(f, 'B', PR_PREEMPT, 0xb, 0, PR_WRITE_EXCLUSIVE);
		assert_int_equal(f->pr.n, 1);
		assert_true(holds(f, 'B'));
		assert_int_equal(f->pr.type, PR_WRITE_EXCLUSIVE);
		assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "ACD");
	}
}

/* All registrants, a registered key: registrations only, also where it was A that had reserved. */
static void preempt_of_one_holder_among_all_registrants(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_EXCLUSIVE_ACCESS_AR);
	GOOD(f, 'B', PR_PREEMPT, 0xb, 0xa, PR_WRITE_EXCLUSIVE);
	assert_int_equal(f->pr.type, PR_EXCLUSIVE_ACCESS_AR);
	assert_int_equal(f->pr.n, 3);
	assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "A");
	CONFLICT(f, 'B', PR_PREEMPT, 0xb, 0x99, PR_EXCLUSIVE_ACCESS_AR);
}

static void preempt_of_the_last_of_all_registrants_releases(void **state)
{
	struct fixture *f = *state;

	register_all(f, "A");
	GOOD(f, 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE_AR);
	GOOD(f, 'A', PR_PREEMPT, 0xa, 0xa, PR_WRITE_EXCLUSIVE_AR);
	assert_int_equal(f->pr.n, 0);
	assert_int_equal(f->pr.type, PR_NONE);
}

/* 5.13.11.5: all commands of the preempted nexuses end, whether they held the reservation or not. */
static void preempt_and_abort(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE_RO);
	GOOD(f, 'B', PR_PREEMPT_AND_ABORT, 0xb, 0xc, 0);
	assert_true(f->out.abort);
	assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "C");
	GOOD(f, 'B', PR_PREEMPT_AND_ABORT, 0xb, 0xa, PR_WRITE_EXCLUSIVE_RO);
	assert_true(f->out.abort);
	assert_told(&f->out.preempted, UA_REGISTRATIONS_PREEMPTED, "A");
	assert_true(holds(f, 'B'));
	CONFLICT(f, 'B', PR_PREEMPT_AND_ABORT, 0xb, 0xa, PR_WRITE_EXCLUSIVE_RO);
	assert_false(f->out.abort);
}

/* ---- REGISTER AND MOVE: 5.13.8 --------------------------------------------------------------- */

static struct pr_op move(char from, uint64_t key, char to, uint64_t sa_key, bool unreg)
{
	struct pr_op op = op_of(from, PR_REGISTER_AND_MOVE, key, sa_key, 0);

	op.move_to = nexus(to, 1);
	op.unreg = unreg;
	return op;
}

static void move_hands_the_reservation_over(void **state)
{
	struct fixture *f = *state;

	reserved(f, PR_WRITE_EXCLUSIVE);
	assert_int_equal(apply(f, move('A', 0xa, 'E', 0xe, false)), STATUS_GOOD);
	assert_true(holds(f, 'E'));
	assert_int_equal(key_of(f, 'E'), 0xe);
	assert_int_equal(key_of(f, 'A'), 0xa);
	assert_int_equal(f->pr.type, PR_WRITE_EXCLUSIVE);
	assert_int_equal(f->pr.generation, 5);
	assert_int_equal(apply(f, move('E', 0xe, 'B', 0xbb, true)), STATUS_GOOD);
	assert_true(holds(f, 'B'));
	assert_int_equal(key_of(f, 'B'), 0xbb);
	assert_int_equal(key_of(f, 'E'), 0);
}

static void move_refusals(void **state)
{
	struct fixture *f = *state;

	register_all(f, "AB");
	assert_int_equal(apply(f, move('A', 0xa, 'B', 0xb, false)), STATUS_CHECK_CONDITION);
	assert_int_equal(f->out.sense, SENSE_INVALID_FIELD_IN_CDB); /* nothing is reserved */
	reserved(f, PR_WRITE_EXCLUSIVE_AR);
	assert_int_equal(apply(f, move('A', 0xa, 'B', 0xb, false)), STATUS_RESERVATION_CONFLICT);
	reserved(f, PR_WRITE_EXCLUSIVE);
	assert_int_equal(apply(f, move('B', 0xb, 'C', 0xc, false)), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(apply(f, move('A', 0x9, 'C', 0xc, false)), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(apply(f, move('A', 0xa, 'C', 0, false)), STATUS_CHECK_CONDITION);
	assert_int_equal(f->out.sense, SENSE_INVALID_FIELD_IN_PARAM);
	assert_int_equal(apply(f, move('A', 0xa, 'A', 0xc, false)), STATUS_CHECK_CONDITION);
	assert_int_equal(f->out.sense, SENSE_INVALID_FIELD_IN_PARAM);
	assert_true(holds(f, 'A'));
	assert_int_equal(f->pr.generation, 4);
}

/* ---- APTPL: 5.13.5, 6.16.3 ------------------------------------------------------------------- */

static void the_last_registration_decides_aptpl(void **state)
{
	struct fixture *f = *state;
	struct pr_op op = op_of('A', PR_REGISTER, 0, 0xa, 0);

	op.aptpl = true;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_true(f->pr.aptpl && f->out.persist);
	GOOD(f, 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE);
	assert_true(f->pr.aptpl && f->out.persist); /* what is kept follows every change */
	GOOD(f, 'B', PR_REGISTER, 0, 0, 0); /* does nothing */
	assert_true(f->pr.aptpl);
	assert_false(f->out.persist);
	CONFLICT(f, 'B', PR_REGISTER, 0x1, 0xb, 0); /* fails */
	assert_true(f->pr.aptpl);
	GOOD(f, 'B', PR_REGISTER, 0, 0xb, 0);
	assert_false(f->pr.aptpl);
	assert_true(f->out.persist); /* what was kept has to be forgotten */
	GOOD(f, 'B', PR_REGISTER, 0xb, 0xbb, 0);
	assert_false(f->out.persist);
}

/* ---- repetition of a command whose outcome its initiator could not be told ------------------- */

static void repeat(struct fixture *f, struct pr_op op, uint8_t expected)
{
	uint32_t generation = f->pr.generation;

	op.repeated = true;
	assert_int_equal(apply(f, op), expected);
	assert_int_equal(f->pr.generation, generation);
	assert_false(f->out.changed);
}

static void repeated_commands_that_had_succeeded_get_good(void **state)
{
	struct fixture *f = *state;

	GOOD(f, 'A', PR_REGISTER, 0, 0xa, 0);
	repeat(f, op_of('A', PR_REGISTER, 0, 0xa, 0), STATUS_GOOD);
	GOOD(f, 'B', PR_REGISTER, 0, 0xb, 0);
	GOOD(f, 'A', PR_PREEMPT, 0xa, 0xb, 0);
	repeat(f, op_of('A', PR_PREEMPT, 0xa, 0xb, 0), STATUS_GOOD);
	GOOD(f, 'A', PR_CLEAR, 0xa, 0, 0);
	repeat(f, op_of('A', PR_CLEAR, 0xa, 0, 0), STATUS_GOOD);
	GOOD(f, 'A', PR_REGISTER, 0, 0xa, 0);
	GOOD(f, 'A', PR_REGISTER, 0xa, 0, 0);
	repeat(f, op_of('A', PR_REGISTER, 0xa, 0, 0), STATUS_GOOD);
	reserved(f, PR_WRITE_EXCLUSIVE);
	assert_int_equal(apply(f, move('A', 0xa, 'B', 0xbb, true)), STATUS_GOOD);
	repeat(f, move('A', 0xa, 'B', 0xbb, true), STATUS_GOOD);
}

static void repeated_commands_that_conflict_still_conflict(void **state)
{
	struct fixture *f = *state;

	GOOD(f, 'A', PR_REGISTER, 0, 0xa, 0);
	repeat(f, op_of('A', PR_REGISTER, 0, 0xaa, 0), STATUS_RESERVATION_CONFLICT);
	repeat(f, op_of('B', PR_CLEAR, 0xb, 0, 0), STATUS_RESERVATION_CONFLICT);
	GOOD(f, 'B', PR_REGISTER, 0, 0xb, 0);
	repeat(f, op_of('C', PR_PREEMPT, 0xc, 0xb, 0), STATUS_RESERVATION_CONFLICT);
	repeat(f, op_of('C', PR_RESERVE, 0xc, 0, PR_WRITE_EXCLUSIVE), STATUS_RESERVATION_CONFLICT);
}

/* ---- scale ----------------------------------------------------------------------------------- */

static void ten_thousand_registrants(void **state)
{
	struct fixture *f = *state;
	struct pr_op op = op_of('A', PR_REGISTER, 0, 1, 0);

	for (uint32_t i = 0; i < 10000; i++) { /* in an order that is not the sorted one */
		snprintf(op.nexus.port, sizeof(op.nexus.port), "iqn.2026-11.test:%05u,i,0x000000000001",
			 i * 7919 % 10000);
		op.sa_key = 1 + i % 2;
		assert_int_equal(apply(f, op), STATUS_GOOD);
	}
	assert_int_equal(f->pr.n, 10000);
	for (uint32_t i = 1; i < f->pr.n; i++)
		assert_true(nexus_id_cmp(&f->pr.reg[i - 1]->id, &f->pr.reg[i]->id) < 0);
	op.action = PR_PREEMPT;
	op.key = op.sa_key;
	op.sa_key = 3 - op.key;
	assert_int_equal(apply(f, op), STATUS_GOOD);
	assert_int_equal(f->pr.n, 5000);
	assert_int_equal(f->out.preempted.n, 5000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(register_from_unregistered),
		T(register_from_registered),
		T(register_and_ignore),
		T(register_is_per_nexus),
		T(register_under_a_reservation),
		T(register_through_all_target_ports),
		T(register_other_initiator_ports),
		T(register_beyond_the_limit),
		T(unregister_holder_releases),
		T(unregister_other_keeps),
		T(unregister_last_of_all_registrants_releases),
		T(reserve_needs_the_key),
		T(reserve_each_type),
		T(reserve_refuses_other_scopes_and_types),
		T(release_by_holder),
		T(release_of_all_registrants_by_any),
		T(release_by_others_does_nothing),
		T(release_with_another_type_or_scope),
		T(clear_removes_all),
		T(preempt_without_reservation_removes_registrations),
		T(preempt_of_own_registration),
		T(preempt_of_a_bystander_keeps_the_reservation),
		T(preempt_of_the_holder_takes_the_reservation),
		T(preempt_takes_every_registration_with_the_holders_key),
		T(preempt_of_own_reservation_changes_its_type),
		T(preempt_of_the_holder_with_bad_type_changes_nothing),
		T(preempt_with_key_zero),
		T(preempt_of_one_holder_among_all_registrants),
		T(preempt_of_the_last_of_all_registrants_releases),
		T(preempt_and_abort),
		T(move_hands_the_reservation_over),
		T(move_refusals),
		T(the_last_registration_decides_aptpl),
		T(repeated_commands_that_had_succeeded_get_good),
		T(repeated_commands_that_conflict_still_conflict),
		T(ten_thousand_registrants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
