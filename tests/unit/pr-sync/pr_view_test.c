/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Views share what is the same in them: each tells what was true when it was made, for as long as it is there, and one
 * more registrant among many costs a page. The views are compiled in with allocations that fail on demand.
 */
#include "pr_fixture.h"

#include <errno.h>
#include <time.h>

static int fail_at = -1; /* number of allocations that still succeed; -1: all */

static bool fails(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

static void *failing_malloc(size_t n)
{
	return fails() ? NULL : malloc(n);
}

static void *failing_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

#define malloc failing_malloc
#define calloc failing_calloc
#include "pr-sync/pr_view.c"
#undef malloc
#undef calloc

#define PORTS 700
#define LIVE 8

struct snap { /* a view, and what it is to say */
	struct resv_view *view;
	struct nexus_id *id;
	uint32_t n;
};

struct fixture {
	struct pr_service *svc;
	struct pr_lu *lu;
	unsigned seed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->svc = pr_service_new();
	f->lu = pr_lus_get(&f->svc->lus, "disk0");
	f->seed = (unsigned)time(NULL);
	print_message("SEED=%u\n", f->seed);
	*state = f;
	return !f->lu;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pr_service_free(f->svc);
	free(f);
	return 0;
}

static struct nexus_id port(uint32_t i)
{
	struct nexus_id id = { .rtpi = 1 };

	snprintf(id.port, sizeof(id.port), "iqn.2026-11.test:%05u,i,0x000000000001", i);
	return id;
}

static void out(struct fixture *f, enum pr_action action, uint32_t who, uint64_t key, uint64_t sa_key)
{
	struct pr_op op = { .action = action, .nexus = port(who), .key = key, .sa_key = sa_key };
	struct pr_outcome o;

	assert_int_equal(pr_apply(&f->lu->pr, &op, &o), 0);
	pr_outcome_fini(&o);
}

static void check_view(const struct resv_view *v, const struct nexus_id *id, uint32_t n)
{
	uint32_t at = 0;

	if (!n) {
		assert_null(v);
		return;
	}
	assert_int_equal(v->nregistrants, n);
	for (uint32_t k = 0; k < v->npages; k++) {
		assert_true(v->page[k]->n >= 1 && v->page[k]->n <= PAGE_MAX);
		for (uint32_t i = 0; i < v->page[k]->n; i++, at++)
			assert_true(at < n && nexus_id_eq(v->page[k]->registrant[i], &id[at]));
	}
	assert_int_equal(at, n);
}

/* With every allocation failing once before. */
static void snap_take(struct fixture *f, struct snap *s)
{
	const struct pr *pr = &f->lu->pr;

	for (int n = 0;; n++) {
		int err;

		fail_at = n;
		err = pr_service_view(f->svc, "disk0", &s->view);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(s->view);
	}
	fail_at = -1;
	s->n = pr->n;
	s->id = calloc(pr->n + 1, sizeof(*s->id));
	for (uint32_t i = 0; i < pr->n; i++)
		s->id[i] = pr->reg[i]->id;
	check_view(s->view, s->id, s->n);
}

static void snap_end(struct snap *s)
{
	check_view(s->view, s->id, s->n);
	pr_view_free(s->view);
	free(s->id);
	*s = (struct snap){ 0 };
}

/* Mostly a few neighbours come or go; at times many at once. */
static void change(struct fixture *f)
{
	uint32_t who = rand_r(&f->seed) % PORTS, n = 1 + rand_r(&f->seed) % 5;
	unsigned what = rand_r(&f->seed) % 100;

	if (what == 0)
		n = PORTS;
	for (uint32_t i = who; i < who + n && i < PORTS; i++)
		out(f, PR_REGISTER_AND_IGNORE, i, 0, what < 60 ? 1 + rand_r(&f->seed) % 3 : 0);
	if (what >= 95) {
		out(f, PR_REGISTER_AND_IGNORE, who, 0, 9);
		out(f, PR_PREEMPT, who, 9, 2);
	}
	if (what == 99)
		out(f, PR_CLEAR, who, 9, 0);
}

static void views_stay_what_they_were(void **state)
{
	struct fixture *f = *state;
	struct snap live[LIVE] = { 0 };

	for (int round = 0; round < 3000; round++) {
		struct snap *s = &live[rand_r(&f->seed) % LIVE];

		if (s->id)
			snap_end(s);
		change(f);
		snap_take(f, s);
	}
	for (int i = 0; i < LIVE; i++)
		if (live[i].id)
			snap_end(&live[i]);
}

static uint32_t pages_not_in(const struct resv_view *v, const struct resv_view *old)
{
	uint32_t n = 0;

	for (uint32_t k = 0, i = 0; k < v->npages; k++) {
		while (i < old->npages &&
		       nexus_id_cmp(old->page[i]->registrant[0], v->page[k]->registrant[0]) < 0)
			i++;
		n += i == old->npages || old->page[i] != v->page[k];
	}
	return n;
}

/* What is new in the next view, when who has registered, or has gone. */
static uint32_t cost_of(struct fixture *f, struct resv_view **v, uint32_t who, uint64_t key)
{
	struct resv_view *old = *v;
	uint32_t n;

	out(f, PR_REGISTER_AND_IGNORE, who, 0, key);
	assert_int_equal(pr_service_view(f->svc, "disk0", v), 0);
	n = old ? pages_not_in(*v, old) : 1;
	pr_view_free(old);
	return n;
}

static void one_among_many_costs_a_page(void **state)
{
	struct fixture *f = *state;
	struct resv_view *v = NULL;

	for (uint32_t i = 0; i < 10000; i++) /* ascending, then in between */
		assert_true(cost_of(f, &v, i < 5000 ? 2 * i : i * 7919 % 5000 * 2 + 1, 5) <= 2);
	assert_int_equal(v->nregistrants, 10000);
	assert_true(v->npages <= 10000 / PAGE_POOR + 2);
	for (uint32_t i = 0; i < 1000; i++)
		assert_true(cost_of(f, &v, i * 7919 % 10000, 0) <= 2);
	assert_int_equal(v->nregistrants, 9000);
	assert_int_equal(cost_of(f, &v, 1, 7), 0); /* registered already: another key only */
	pr_view_free(v);
}

/* Pages from which all but a few have gone do not stay. */
static void poor_pages_are_made_anew(void **state)
{
	struct fixture *f = *state;
	struct resv_view *v = NULL;

	for (uint32_t i = 0; i < 6400; i++)
		cost_of(f, &v, i, 5);
	for (uint32_t i = 0; i < 6400; i++)
		if (i % 100)
			cost_of(f, &v, i, 0);
	assert_int_equal(v->nregistrants, 64);
	assert_true(v->npages <= 64 / PAGE_POOR + 2);
	pr_view_free(v);
}

static void a_view_outlives_the_service(void **state)
{
	struct fixture *f = *state;
	struct snap s;

	for (uint32_t i = 0; i < 200; i++)
		out(f, PR_REGISTER_AND_IGNORE, i, 0, 5);
	snap_take(f, &s);
	pr_service_free(f->svc);
	f->svc = NULL;
	snap_end(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(views_stay_what_they_were),
		T(one_among_many_costs_a_page),
		T(poor_pages_are_made_anew),
		T(a_view_outlives_the_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
