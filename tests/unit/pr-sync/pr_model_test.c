/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on the engine, and on the naive model of fake_pr_model.h. After each operation status, state and who was told have to agree.
 *
 *   6 I_T nexuses (3 initiator ports × 2 target ports), keys 0 … 3, so that everything meets everything
 *
 * The seed is printed; SEED=n repeats a run.
 */
#include "pr_fixture.h"

#include "fake_pr_model.h"

#include <time.h>

#define INITIATORS 3
#define NEXUSES (2 * INITIATORS)

static struct nexus_id id_of(unsigned i)
{
	return nexus('A' + i / 2, 1 + i % 2);
}

static struct pr_model_op random_command(unsigned *seed, const struct pr_model *m)
{
	static const unsigned types[] = { 1, 3, 5, 6, 7, 8, 1, 3, 5, 6, 7, 8, 0, 2, 4, 9 };
	struct pr_model_op c = {
		.action = rand_r(seed) % 8,
		.type = types[rand_r(seed) % 16],
		.from = rand_r(seed) % NEXUSES,
		.key = rand_r(seed) % 4,
		.sa_key = rand_r(seed) % 4,
		.all_tg_pt = rand_r(seed) % 4 == 0,
		.aptpl = rand_r(seed) % 4 == 0,
		.repeated = rand_r(seed) % 4 == 0,
	};

	if (c.action == PR_REGISTER && rand_r(seed) % 4 == 0)
		c.ports = rand_r(seed) % (1u << INITIATORS);
	c.move_to = rand_r(seed) % NEXUSES;
	c.unreg = rand_r(seed) % 2;
	if (c.action == PR_REGISTER_AND_MOVE && m->type && m->holder >= 0 && rand_r(seed) % 4)
		c.from = m->holder;
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

static bool agree(const struct pr_model *m, const struct pr *pr, const struct pr_outcome *out)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < NEXUSES; i++) {
		struct nexus_id id = id_of(i);
		const struct pr_registrant *r = pr_find(pr, &id);

		n += !!r;
		if ((r ? r->key : 0) != m->key[i] || told(&out->preempted, &id) != m->told_preempted[i] ||
		    told(&out->released, &id) != m->told_released[i])
			return false;
		if ((pr->type != PR_NONE && pr_is_holder(pr, r)) != pr_model_holds(m, i))
			return false;
	}
	return n == pr->n && (unsigned)pr->type == m->type && pr->generation == m->generation &&
	       pr->aptpl == m->aptpl;
}

/* Whoever could do something before and can't now has to be drained (P2). */
static bool excludes(const struct pr_model *before, const struct pr_model *after)
{
	static const enum resv_class medium[] = { RESV_READ, RESV_WRITE };
	bool lost = false;

	for (unsigned i = 0; i < NEXUSES; i++)
		for (unsigned k = 0; k < 2; k++) {
			const struct pr_model *m[2] = { before, after };
			bool no[2];

			for (int t = 0; t < 2; t++) {
				struct resv_view v = { .kind = m[t]->type ? RESV_KIND_PR : RESV_KIND_NONE,
						       .type = m[t]->type };
				struct resv_role r = { .registered = m[t]->key[i],
						       .holder = pr_model_holds(m[t], i) };

				no[t] = resv_conflicts(&v, &r, medium[k]);
			}
			lost |= no[1] && !no[0];
		}
	return lost;
}

/* SPEC_I_PT: the names of the ports. */
static uint32_t named(const struct pr_model_op *c, struct nexus_id *id, const char **port)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < INITIATORS; i++)
		if (c->ports & 1u << i) {
			id[n] = id_of(2 * i);
			port[n] = id[n].port;
			n++;
		}
	return n;
}

static void step(struct pr *pr, struct pr_model *m, unsigned *seed, unsigned start, unsigned n)
{
	static const uint32_t ports[] = { 1, 2 };
	struct pr_model_op c = random_command(seed, m);
	struct pr_model before = *m;
	struct nexus_id id[INITIATORS];
	const char *port[INITIATORS];
	struct pr_op op = { .action = c.action, .nexus = id_of(c.from), .type = c.type, .key = c.key,
			    .sa_key = c.sa_key, .all_tg_pt = c.all_tg_pt, .aptpl = c.aptpl, .repeated = c.repeated, .nrtpi = 2, .rtpi = ports };
	struct pr_outcome out;
	uint8_t expected = pr_model_apply(m, &c);

	op.spec_i_pt = c.ports;
	op.nports = named(&c, id, port);
	op.port = port;
	op.move_to = id_of(c.move_to);
	op.unreg = c.unreg;
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
	struct pr_model m = { .nexuses = NEXUSES, .ports = 2, .holder = PR_MODEL_NOBODY };
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
