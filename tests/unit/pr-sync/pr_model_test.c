/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on the engine, and on a model that is as naive as can be: an array of keys by nexus, a type, a holder;
 * every rule of SPC-4 5.13 as one line over it. After each operation status, state and who was told have to agree.
 *
 *   6 I_T nexuses (3 initiator ports × 2 target ports), keys 0 … 3, so that everything meets everything
 *
 * The seed is printed; SEED=n repeats a run.
 */
#include "pr_fixture.h"

#include <time.h>

#define NEXUSES 6
#define NOBODY -1

struct model {
	uint64_t key[NEXUSES]; /* 0: not registered */
	unsigned type;	       /* 0: not reserved */
	int holder;	       /* NOBODY for all registrants */
	uint32_t generation;
	bool told_preempted[NEXUSES], told_released[NEXUSES];
};

struct command {
	unsigned action, type, from;
	uint64_t key, sa_key;
	bool all_tg_pt;
};

static struct nexus_id id_of(unsigned i)
{
	return nexus('A' + i / 2, 1 + i % 2);
}

static bool all_registrants(unsigned type)
{
	return type == 7 || type == 8;
}

static bool valid_type(unsigned t)
{
	return t == 1 || t == 3 || t == 5 || t == 6 || t == 7 || t == 8;
}

static bool model_holds(const struct model *m, unsigned i)
{
	return m->type && m->key[i] && (all_registrants(m->type) || m->holder == (int)i);
}

static bool anybody(const struct model *m)
{
	for (int i = 0; i < NEXUSES; i++)
		if (m->key[i])
			return true;
	return false;
}

static void model_drop(struct model *m, unsigned i)
{
	m->key[i] = 0;
	if (m->holder == (int)i || !anybody(m)) {
		m->type = 0;
		m->holder = NOBODY;
	}
}

static uint8_t model_register(struct model *m, const struct command *c)
{
	uint64_t mine = m->key[c->from];
	unsigned type = m->type;
	bool ignore = c->action == PR_REGISTER_AND_IGNORE;

	if (!ignore && c->key != mine)
		return STATUS_RESERVATION_CONFLICT;
	if (!mine && !c->sa_key)
		return STATUS_GOOD;
	for (unsigned i = 0; i < NEXUSES; i++) {
		bool concerned = i == c->from || (c->all_tg_pt && i / 2 == c->from / 2);

		if (!concerned)
			continue;
		if (c->sa_key)
			m->key[i] = c->sa_key;
		else if (ignore || m->key[i] == mine)
			model_drop(m, i);
	}
	if (type && !m->type && (type == 5 || type == 6))
		for (unsigned i = 0; i < NEXUSES; i++)
			m->told_released[i] = m->key[i];
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t model_reserve(struct model *m, const struct command *c)
{
	if (!valid_type(c->type))
		return STATUS_CHECK_CONDITION;
	if (m->type)
		return model_holds(m, c->from) && m->type == c->type ? STATUS_GOOD : STATUS_RESERVATION_CONFLICT;
	m->type = c->type;
	m->holder = all_registrants(c->type) ? NOBODY : (int)c->from;
	return STATUS_GOOD;
}

static uint8_t model_release(struct model *m, const struct command *c)
{
	if (!model_holds(m, c->from))
		return STATUS_GOOD;
	if (c->type != m->type)
		return STATUS_CHECK_CONDITION;
	for (unsigned i = 0; i < NEXUSES; i++)
		m->told_released[i] = m->key[i] && i != c->from && m->type >= 5;
	m->type = 0;
	m->holder = NOBODY;
	return STATUS_GOOD;
}

static uint8_t model_clear(struct model *m, const struct command *c)
{
	for (unsigned i = 0; i < NEXUSES; i++) {
		m->told_preempted[i] = m->key[i] && i != c->from;
		m->key[i] = 0;
	}
	m->type = 0;
	m->holder = NOBODY;
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t model_preempt(struct model *m, const struct command *c)
{
	bool reservation = m->type && (all_registrants(m->type) ? c->sa_key == 0 :
								  m->key[m->holder] == c->sa_key);
	unsigned old = m->type;
	bool found = false;

	if (c->sa_key == 0 && !reservation)
		return STATUS_CHECK_CONDITION;
	if (reservation && !valid_type(c->type))
		return STATUS_CHECK_CONDITION;
	for (unsigned i = 0; i < NEXUSES; i++)
		found |= m->key[i] == c->sa_key;
	if (!reservation && !found)
		return STATUS_RESERVATION_CONFLICT;
	for (unsigned i = 0; i < NEXUSES; i++) {
		if (!m->key[i] || (c->sa_key && m->key[i] != c->sa_key) || (reservation && i == c->from))
			continue;
		m->told_preempted[i] = i != c->from;
		model_drop(m, i);
	}
	if (reservation) {
		m->type = c->type;
		m->holder = all_registrants(c->type) ? NOBODY : (int)c->from;
		for (unsigned i = 0; i < NEXUSES; i++)
			m->told_released[i] = old != c->type && m->key[i] && i != c->from;
	}
	m->generation++;
	return STATUS_GOOD;
}

static uint8_t model_apply(struct model *m, const struct command *c)
{
	memset(m->told_preempted, 0, sizeof(m->told_preempted));
	memset(m->told_released, 0, sizeof(m->told_released));
	if (c->action == PR_REGISTER || c->action == PR_REGISTER_AND_IGNORE)
		return model_register(m, c);
	if (!m->key[c->from] || m->key[c->from] != c->key)
		return STATUS_RESERVATION_CONFLICT;
	if (c->action == PR_RESERVE)
		return model_reserve(m, c);
	if (c->action == PR_RELEASE)
		return model_release(m, c);
	if (c->action == PR_CLEAR)
		return model_clear(m, c);
	return model_preempt(m, c);
}

static struct command random_command(unsigned *seed, const struct model *m)
{
	static const unsigned types[] = { 1, 3, 5, 6, 7, 8, 1, 3, 5, 6, 7, 8, 0, 2, 4, 9 };
	struct command c = {
		.action = rand_r(seed) % 7,
		.type = types[rand_r(seed) % 16],
		.from = rand_r(seed) % NEXUSES,
		.key = rand_r(seed) % 4,
		.sa_key = rand_r(seed) % 4,
		.all_tg_pt = rand_r(seed) % 4 == 0,
	};

	if (rand_r(seed) % 4) /* mostly with the right key, or little would happen */
		c.key = m->key[c.from];
	return c;
}

static bool told(const struct pr_ua *ua, const struct nexus_id *id)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < ua->n; i++)
		n += nexus_id_eq(&ua->ids[i], id);
	assert_true(n <= 1); /* once is enough */
	return n;
}

static bool agree(const struct model *m, const struct pr *pr, const struct pr_outcome *out)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < NEXUSES; i++) {
		struct nexus_id id = id_of(i);
		const struct pr_registrant *r = pr_find(pr, &id);

		n += !!r;
		if ((r ? r->key : 0) != m->key[i] || told(&out->preempted, &id) != m->told_preempted[i] ||
		    told(&out->released, &id) != m->told_released[i])
			return false;
		if ((pr->type != PR_NONE && pr_is_holder(pr, r)) != model_holds(m, i))
			return false;
	}
	return n == pr->n && (unsigned)pr->type == m->type && pr->generation == m->generation;
}

/* Whoever could do something before and can't now has to be drained (P2). */
static bool excludes(const struct model *before, const struct model *after)
{
	static const enum resv_class medium[] = { RESV_READ, RESV_WRITE };
	bool lost = false;

	for (unsigned i = 0; i < NEXUSES; i++)
		for (unsigned k = 0; k < 2; k++) {
			const struct model *m[2] = { before, after };
			bool no[2];

			for (int t = 0; t < 2; t++) {
				struct resv_view v = { .kind = m[t]->type ? RESV_KIND_PR : RESV_KIND_NONE,
						       .type = m[t]->type };
				struct resv_role r = { .registered = m[t]->key[i],
						       .holder = model_holds(m[t], i) };

				no[t] = resv_conflicts(&v, &r, medium[k]);
			}
			lost |= no[1] && !no[0];
		}
	return lost;
}

static void step(struct pr *pr, struct model *m, unsigned *seed, unsigned start, unsigned n)
{
	static const uint32_t ports[] = { 1, 2 };
	struct command c = random_command(seed, m);
	struct model before = *m;
	struct pr_op op = { .action = c.action, .nexus = id_of(c.from), .type = c.type, .key = c.key,
			    .sa_key = c.sa_key, .all_tg_pt = c.all_tg_pt, .nrtpi = 2, .rtpi = ports };
	struct pr_outcome out;
	uint8_t expected = model_apply(m, &c);

	assert_int_equal(pr_apply(pr, &op, &out), 0);
	if (out.status != expected || !agree(m, pr, &out))
		fail_msg("SEED=%u, operation %u: action %u from nexus %u, keys %d %d, type %u: status %02x, the model says %02x",
			 start, n, c.action, c.from, (int)c.key, (int)c.sa_key, c.type, out.status, expected);
	if (excludes(&before, m) && !out.excludes)
		fail_msg("SEED=%u, operation %u shuts somebody out without a drain", start, n);
	if (out.status != STATUS_GOOD)
		assert_false(out.changed || out.view_changed || out.persist);
	pr_outcome_fini(&out);
}

static void engine_and_model_agree(void **state)
{
	const char *given = getenv("SEED");
	unsigned start = given ? strtoul(given, NULL, 0) : (unsigned)time(NULL), seed = start;
	struct model m = { .holder = NOBODY };
	struct pr pr;

	(void)state;
	print_message("SEED=%u\n", start);
	pr_init(&pr);
	for (unsigned i = 0; i < 200000; i++)
		step(&pr, &m, &seed, start, i);
	assert_true(pr.generation > 1000); /* it was no idle talk */
	pr_fini(&pr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine_and_model_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
