/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may do what under a reservation: SPC-4 tables 66 and 67, SBC-3 table 13, SPC-2 5.5.1.
 *
 *   nexuses: H holds the reservation, R is registered, N is neither
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/resv.h"

static struct nexus_id nexus(const char *port, uint16_t rtpi)
{
	struct nexus_id id = { .rtpi = rtpi };

	strncpy(id.port, port, PORT_NAME_MAX);
	return id;
}

#define H_PORT "iqn.2026-11.test:h,i,0x000000000001"
#define R_PORT "iqn.2026-11.test:r,i,0x000000000001"
#define N_PORT "iqn.2026-11.test:n,i,0x000000000001"

/* With room for n registrants, who are still to come (view_add), per to a page. */
static struct resv_view *view_of(uint32_t n, uint32_t per)
{
	struct resv_view *v = calloc(1, sizeof(*v) + (n / per + 1) * sizeof(v->page[0]));

	assert_non_null(v);
	for (uint32_t i = 0; i <= n / per; i++) {
		v->page[i] = calloc(1, sizeof(*v->page[0]) + per * sizeof(v->page[0]->registrant[0]));
		assert_non_null(v->page[i]);
	}
	return v;
}

static void view_add(struct resv_view *v, uint32_t per, struct nexus_id id)
{
	struct resv_page *p = v->page[v->nregistrants++ / per];
	struct nexus_id *mine = malloc(sizeof(*mine));

	assert_non_null(mine);
	*mine = id;
	v->npages += !p->n;
	p->registrant[p->n++] = mine;
}

static void view_free(struct resv_view *v, uint32_t n, uint32_t per)
{
	for (uint32_t i = 0; i <= n / per; i++) {
		for (uint32_t k = 0; k < v->page[i]->n; k++)
			free((void *)v->page[i]->registrant[k]);
		free(v->page[i]);
	}
	free(v);
}

static struct resv_view *view(enum resv_kind kind, enum pr_type type, bool registered)
{
	struct resv_view *v = view_of(2, 2);

	v->generation = 7;
	v->kind = kind;
	v->type = type;
	if (kind == RESV_KIND_SPC2 || (kind == RESV_KIND_PR && type != PR_WRITE_EXCLUSIVE_AR &&
				       type != PR_EXCLUSIVE_ACCESS_AR))
		v->holder = nexus(H_PORT, 1);
	if (registered) {
		v->registrations = true;
		view_add(v, 2, nexus(H_PORT, 1));
		view_add(v, 2, nexus(R_PORT, 1));
	}
	return v;
}

/* One line per reservation; a cell tells for H, R, N: '.' allowed, 'X' conflict. */
struct line {
	enum resv_kind kind;
	enum pr_type type;
	const char *read, *write, *exclusive_only, *allow_not_spc2, *pr_out;
};

static const struct line table[] = {
	{ RESV_KIND_NONE, PR_NONE, "...", "...", "...", "...", "..." },
	/* a write is for the holder alone, registered or not does not matter */
	{ RESV_KIND_PR, PR_WRITE_EXCLUSIVE, "...", ".XX", "...", "...", "..." },
	{ RESV_KIND_PR, PR_EXCLUSIVE_ACCESS, ".XX", ".XX", ".XX", "...", "..." },
	{ RESV_KIND_PR, PR_WRITE_EXCLUSIVE_RO, "...", "..X", "...", "...", "..." },
	{ RESV_KIND_PR, PR_WRITE_EXCLUSIVE_AR, "...", "..X", "...", "...", "..." },
	{ RESV_KIND_PR, PR_EXCLUSIVE_ACCESS_RO, "..X", "..X", "..X", "...", "..." },
	{ RESV_KIND_PR, PR_EXCLUSIVE_ACCESS_AR, "..X", "..X", "..X", "...", "..." },
};

static void check(const struct resv_view *v, enum resv_class c, const char *expected, const char *what)
{
	static const char *const port[] = { H_PORT, R_PORT, N_PORT };
	struct resv_role role;
	struct nexus_id id;

	for (int i = 0; i < 3; i++) {
		id = nexus(port[i], 1);
		resv_role_of(v, &id, &role);
		if (resv_conflicts(v, &role, c) != (expected[i] == 'X'))
			fail_msg("kind %d type %d, %s, nexus %c: expected %c", v->kind, v->type, what,
				 "HRN"[i], expected[i]);
	}
}

static void persistent_reservations_allow_what_tables_66_and_67_allow(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct line *l = &table[i];
		struct resv_view *v = view(l->kind, l->type, true);

		check(v, RESV_ALLOW, "...", "INQUIRY");
		check(v, RESV_READ, l->read, "READ");
		check(v, RESV_WRITE, l->write, "WRITE");
		check(v, RESV_EXCLUSIVE_ONLY, l->exclusive_only, "MODE SENSE");
		check(v, RESV_ALLOW_NOT_SPC2, l->allow_not_spc2, "TEST UNIT READY");
		check(v, RESV_PR_OUT, l->pr_out, "PERSISTENT RESERVE OUT");
		check(v, RESV_SPC2, "...", "RESERVE"); /* judged by the service */
		view_free(v, 2, 2);
	}
}

static void reserve_shuts_out_all_but_its_holder_and_persistent_reserve_for_all(void **state)
{
	struct resv_view *v = view(RESV_KIND_SPC2, PR_NONE, false);

	(void)state;
	check(v, RESV_ALLOW, "...", "INQUIRY");
	check(v, RESV_READ, ".XX", "READ");
	check(v, RESV_WRITE, ".XX", "WRITE");
	check(v, RESV_EXCLUSIVE_ONLY, ".XX", "MODE SENSE");
	check(v, RESV_ALLOW_NOT_SPC2, ".XX", "TEST UNIT READY");
	check(v, RESV_PR_OUT, "XXX", "PERSISTENT RESERVE OUT");
	view_free(v, 2, 2);
}

static void nothing_conflicts_without_a_view(void **state)
{
	struct resv_role role;
	struct nexus_id id = nexus(N_PORT, 1);

	(void)state;
	resv_role_of(NULL, &id, &role);
	assert_int_equal(role.generation, 0);
	for (int c = RESV_ALLOW; c <= RESV_ALLOW_NOT_SPC2; c++)
		assert_false(resv_conflicts(NULL, &role, c));
}

static void a_role_belongs_to_one_initiator_port_through_one_target_port(void **state)
{
	struct resv_view *v = view(RESV_KIND_PR, PR_WRITE_EXCLUSIVE_RO, true);
	struct nexus_id same = nexus(H_PORT, 1), other_target_port = nexus(H_PORT, 2);
	struct nexus_id other_isid = nexus("iqn.2026-11.test:h,i,0x000000000002", 1);
	struct resv_role role;

	(void)state;
	resv_role_of(v, &same, &role);
	assert_true(role.registered && role.holder);
	assert_int_equal(role.generation, 7);
	resv_role_of(v, &other_target_port, &role);
	assert_false(role.registered || role.holder);
	resv_role_of(v, &other_isid, &role);
	assert_false(role.registered || role.holder);
	view_free(v, 2, 2);
}

static void find_among(uint32_t n, uint32_t per)
{
	struct resv_view *v = view_of(n, per);
	struct resv_role role;
	struct nexus_id id;
	char port[64];

	v->generation = 1;
	v->kind = RESV_KIND_PR;
	v->type = PR_WRITE_EXCLUSIVE_AR;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(port, sizeof(port), "iqn.2026-11.test:%05u,i,0x000000000001", 2 * i);
		view_add(v, per, nexus(port, 1));
	}
	for (uint32_t i = 0; i < 2 * n; i++) {
		snprintf(port, sizeof(port), "iqn.2026-11.test:%05u,i,0x000000000001", i);
		id = nexus(port, 1);
		resv_role_of(v, &id, &role);
		assert_int_equal(role.registered, i % 2 == 0);
		assert_int_equal(role.holder, i % 2 == 0); /* all registrants hold it */
	}
	view_free(v, n, per);
}

static void registered_is_found_among_many(void **state)
{
	(void)state;
	find_among(1001, 1001);
	find_among(1001, 1);
	find_among(1001, 7);
	find_among(64, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(persistent_reservations_allow_what_tables_66_and_67_allow),
		cmocka_unit_test(reserve_shuts_out_all_but_its_holder_and_persistent_reserve_for_all),
		cmocka_unit_test(nothing_conflicts_without_a_view),
		cmocka_unit_test(a_role_belongs_to_one_initiator_port_through_one_target_port),
		cmocka_unit_test(registered_is_found_among_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
