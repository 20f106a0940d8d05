/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service: effects of an operation, equality of members, snapshot, what is kept, bad input.
 *
 *   member x, member y: two instances that apply the same messages; logical units "disk0", "disk1"
 */
#include "pr_fixture.h"

#include <errno.h>
#include <time.h>

#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_service.h"

static const struct service_ops *const ops = &pr_service_ops;

struct fixture {
	struct pr_service *x, *y;
	struct apply a; /* of the last operation on x */
	struct pr_result r;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->x = pr_service_new();
	f->y = pr_service_new();
	*state = f;
	return !f->x || !f->y;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	apply_fini(&f->a);
	pr_service_free(f->x);
	pr_service_free(f->y);
	free(f);
	return 0;
}

static struct wbuf snapshot(const struct pr_service *s)
{
	struct wbuf b = { 0 };

	ops->snapshot(s, &b);
	assert_int_equal(b.err, 0);
	return b;
}

static void assert_same(const struct pr_service *x, const struct pr_service *y)
{
	struct wbuf a = snapshot(x), b = snapshot(y);

	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.data, b.data, a.len);
	wbuf_fini(&a);
	wbuf_fini(&b);
}

static int apply_bytes(struct fixture *f, const void *p, size_t len)
{
	int err;

	apply_fini(&f->a);
	memset(&f->a, 0, sizeof(f->a));
	f->a.origin = 1;
	err = ops->apply(f->x, &f->a, p, len);
	if (err)
		return err;
	assert_int_equal(f->a.result_len, sizeof(f->r));
	memcpy(&f->r, f->a.result, sizeof(f->r));
	return 0;
}

static uint8_t apply_msg(struct fixture *f, const struct pr_msg *m)
{
	struct apply other = { .origin = 1 };
	struct wbuf b = { 0 };

	pr_msg_encode(m, &b);
	assert_int_equal(b.err, 0);
	assert_int_equal(apply_bytes(f, b.data, b.len), 0);
	assert_int_equal(ops->apply(f->y, &other, b.data, b.len), 0);
	assert_int_equal(other.neffects, f->a.neffects);
	assert_memory_equal(other.result, f->a.result, sizeof(f->r));
	apply_fini(&other);
	wbuf_fini(&b);
	return f->r.status;
}

static struct pr_msg message(enum pr_op_kind kind, const char *lu, char who)
{
	struct pr_msg m = { .kind = kind, .nexus = nexus(who, 1) };

	strcpy(m.lu, lu);
	return m;
}

static uint8_t out(struct fixture *f, const char *lu, struct pr_op op)
{
	struct pr_msg m = message(PR_OP_OUT, lu, 'A');

	m.nexus = op.nexus;
	m.out = op;
	return apply_msg(f, &m);
}

static uint8_t plain(struct fixture *f, enum pr_op_kind kind, const char *lu, char who)
{
	struct pr_msg m = message(kind, lu, who);

	return apply_msg(f, &m);
}

#define OUT(f, lu, ...) out(f, lu, op_of(__VA_ARGS__))

/* Effects as one word: P publish, D drain, U unit attention, S stable storage, A abort. */
static void assert_effects(const struct fixture *f, const char *expected)
{
	static const char letter[] = { [EFFECT_PUBLISH] = 'P', [EFFECT_DRAIN] = 'D', [EFFECT_UA] = 'U',
				       [EFFECT_PERSIST] = 'S', [EFFECT_ABORT] = 'A', [EFFECT_OWNER] = 'O' };
	char got[64] = "";

	for (uint32_t i = 0; i < f->a.neffects; i++)
		got[i] = letter[f->a.effect[i].kind];
	assert_string_equal(got, expected);
	for (uint32_t i = 0; i < f->a.neffects; i++)
		assert_string_equal(f->a.effect[i].object, "disk0");
}

static void populate(struct fixture *f)
{
	struct pr_op op = op_of('A', PR_REGISTER, 0, 0xa, 0);

	op.aptpl = true;
	assert_int_equal(out(f, "disk1", op), STATUS_GOOD);
	op.nexus = nexus('B', 2);
	op.sa_key = 0xb;
	assert_int_equal(out(f, "disk1", op), STATUS_GOOD);
	assert_int_equal(OUT(f, "disk1", 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE_RO), STATUS_GOOD);
	assert_int_equal(plain(f, PR_OP_SPC2_RESERVE, "disk0", 'C'), STATUS_GOOD);
	assert_int_equal(OUT(f, "disk2", 'A', PR_REGISTER, 0, 0xa, 0), STATUS_GOOD);
	assert_int_equal(OUT(f, "disk2", 'A', PR_RESERVE, 0xa, 0, PR_EXCLUSIVE_ACCESS_AR), STATUS_GOOD);
}

/* ---- effects --------------------------------------------------------------------------------- */

static void what_excludes_drains_and_who_lost_is_told(void **state)
{
	struct fixture *f = *state;
	struct nexus_id a = nexus('A', 1);

	OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0);
	assert_effects(f, "P");
	OUT(f, "disk0", 'B', PR_REGISTER, 0, 0xb, 0);
	OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE_RO);
	assert_effects(f, "D");
	OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE_RO);
	assert_effects(f, "");
	OUT(f, "disk0", 'C', PR_RESERVE, 0xc, 0, PR_WRITE_EXCLUSIVE_RO);
	assert_int_equal(f->r.status, STATUS_RESERVATION_CONFLICT);
	assert_effects(f, "");
	OUT(f, "disk0", 'B', PR_PREEMPT, 0xb, 0xa, PR_WRITE_EXCLUSIVE_RO);
	assert_effects(f, "DU");
	assert_int_equal(f->a.effect[1].ua, UA_REGISTRATIONS_PREEMPTED);
	assert_int_equal(f->a.effect[1].scope, UA_SCOPE_ONLY);
	assert_int_equal(f->a.effect[1].nids, 1);
	assert_true(nexus_id_eq(&f->a.effect[1].ids[0], &a));
	OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0);
	OUT(f, "disk0", 'B', PR_RELEASE, 0xb, 0, PR_WRITE_EXCLUSIVE_RO);
	assert_effects(f, "PU");
	assert_int_equal(f->a.effect[1].ua, UA_RESERVATIONS_RELEASED);
	OUT(f, "disk0", 'B', PR_CLEAR, 0xb, 0, 0);
	assert_effects(f, "PU");
	assert_int_equal(f->a.effect[1].ua, UA_RESERVATIONS_PREEMPTED);
}

static void preempt_and_abort_ends_tasks_before_it_waits_for_them(void **state)
{
	struct fixture *f = *state;
	struct nexus_id a = nexus('A', 1);

	OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0);
	OUT(f, "disk0", 'B', PR_REGISTER, 0, 0xb, 0);
	OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE_RO);
	OUT(f, "disk0", 'B', PR_PREEMPT_AND_ABORT, 0xb, 0xa, PR_WRITE_EXCLUSIVE_RO);
	assert_effects(f, "PUAD");
	assert_int_equal(f->a.effect[2].scope, UA_SCOPE_ONLY);
	assert_int_equal(f->a.effect[2].nids, 1);
	assert_true(nexus_id_eq(&f->a.effect[2].ids[0], &a));
}

static void aptpl_goes_to_stable_storage(void **state)
{
	struct fixture *f = *state;
	struct pr_op op = op_of('A', PR_REGISTER, 0, 0xa, 0);
	struct wbuf b = { 0 };

	op.aptpl = true;
	out(f, "disk0", op);
	assert_effects(f, "PS");
	ops->persist(f->x, "disk0", &b);
	assert_true(b.len > 0);
	wbuf_fini(&b);
	OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE);
	assert_effects(f, "DS");
	OUT(f, "disk0", 'A', PR_REGISTER, 0xa, 0xaa, 0); /* APTPL=0: what is kept is to be forgotten */
	assert_effects(f, "S");
	ops->persist(f->x, "disk0", &b);
	assert_int_equal(b.len, 0);
	OUT(f, "disk0", 'A', PR_RELEASE, 0xaa, 0, PR_WRITE_EXCLUSIVE);
	assert_effects(f, "P");
	ops->persist(f->x, "never heard of", &b);
	assert_int_equal(b.len, 0);
}

static void the_error_names_the_field(void **state)
{
	struct fixture *f = *state;

	OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0);
	assert_int_equal(OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, 2), STATUS_CHECK_CONDITION);
	assert_int_equal(f->r.sense, SENSE_INVALID_FIELD_IN_CDB);
	assert_int_equal(f->r.field, 2);
	assert_int_equal(OUT(f, "disk0", 'A', PR_PREEMPT, 0xa, 0, 1), STATUS_CHECK_CONDITION);
	assert_int_equal(f->r.sense, SENSE_INVALID_FIELD_IN_PARAM);
	assert_int_equal(f->r.field, 8);
}

/* ---- RESERVE and RELEASE --------------------------------------------------------------------- */

static void reserve_and_release(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(plain(f, PR_OP_SPC2_RELEASE, "disk0", 'A'), STATUS_GOOD);
	assert_int_equal(plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A'), STATUS_GOOD);
	assert_effects(f, "D");
	assert_int_equal(plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A'), STATUS_GOOD);
	assert_effects(f, "");
	assert_int_equal(plain(f, PR_OP_SPC2_RESERVE, "disk0", 'B'), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(plain(f, PR_OP_SPC2_RELEASE, "disk0", 'B'), STATUS_GOOD); /* does nothing */
	assert_effects(f, "");
	assert_true(pr_service_find(f->x, "disk0")->spc2_reserved);
	assert_int_equal(plain(f, PR_OP_SPC2_RELEASE, "disk0", 'A'), STATUS_GOOD);
	assert_effects(f, "P");
	assert_int_equal(plain(f, PR_OP_SPC2_RESERVE, "disk0", 'B'), STATUS_GOOD);
}

/* SPC-2 5.5.1: each kind shuts the other out. */
static void reserve_conflicts_with_registrations_and_the_reverse(void **state)
{
	struct fixture *f = *state;

	plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A');
	assert_int_equal(OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(OUT(f, "disk0", 'B', PR_REGISTER, 0, 0xb, 0), STATUS_RESERVATION_CONFLICT);
	plain(f, PR_OP_SPC2_RELEASE, "disk0", 'A');
	assert_int_equal(OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0), STATUS_GOOD);
	assert_int_equal(plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A'), STATUS_RESERVATION_CONFLICT);
	assert_int_equal(plain(f, PR_OP_SPC2_RELEASE, "disk0", 'B'), STATUS_RESERVATION_CONFLICT);
}

/* SPC-4 5.13.3, with CRH=1 */
static void compatible_reservation_handling(void **state)
{
	static const struct {
		enum pr_type type;
		uint8_t holder, registered, other;
	} t[] = {
		{ PR_WRITE_EXCLUSIVE, STATUS_GOOD, STATUS_RESERVATION_CONFLICT, STATUS_RESERVATION_CONFLICT },
		{ PR_EXCLUSIVE_ACCESS, STATUS_GOOD, STATUS_RESERVATION_CONFLICT, STATUS_RESERVATION_CONFLICT },
		{ PR_WRITE_EXCLUSIVE_RO, STATUS_GOOD, STATUS_GOOD, STATUS_RESERVATION_CONFLICT },
		{ PR_EXCLUSIVE_ACCESS_RO, STATUS_GOOD, STATUS_GOOD, STATUS_RESERVATION_CONFLICT },
		{ PR_WRITE_EXCLUSIVE_AR, STATUS_GOOD, STATUS_GOOD, STATUS_RESERVATION_CONFLICT },
		{ PR_EXCLUSIVE_ACCESS_AR, STATUS_GOOD, STATUS_GOOD, STATUS_RESERVATION_CONFLICT },
	};
	struct fixture *f = *state;

	OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0);
	OUT(f, "disk0", 'B', PR_REGISTER, 0, 0xb, 0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, t[i].type);
		for (int k = PR_OP_SPC2_RESERVE; k <= PR_OP_SPC2_RELEASE; k++) {
			assert_int_equal(plain(f, k, "disk0", 'A'), t[i].holder);
			assert_int_equal(plain(f, k, "disk0", 'B'), t[i].registered);
			assert_int_equal(plain(f, k, "disk0", 'C'), t[i].other);
		}
		assert_int_equal(pr_service_find(f->x, "disk0")->pr.type, t[i].type);
		assert_false(pr_service_find(f->x, "disk0")->spc2_reserved);
		OUT(f, "disk0", 'A', PR_RELEASE, 0xa, 0, t[i].type);
	}
}

static void reserve_ends_with_reset_nexus_and_member(void **state)
{
	struct fixture *f = *state;
	const uint32_t both[] = { 1, 2 }, second[] = { 2 };
	struct nexus_id a = nexus('A', 1);

	plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A');
	assert_true(pr_service_spc2_holds(f->x, &a));
	plain(f, PR_OP_SPC2_RESET, "disk0", 'B');
	assert_effects(f, "P");
	assert_false(pr_service_spc2_holds(f->x, &a));

	plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A');
	plain(f, PR_OP_SPC2_NEXUS_LOST, "", 'B');
	assert_true(pr_service_spc2_holds(f->x, &a));
	plain(f, PR_OP_SPC2_NEXUS_LOST, "", 'A');
	assert_effects(f, "P");
	assert_false(pr_service_spc2_holds(f->x, &a));

	plain(f, PR_OP_SPC2_RESERVE, "disk0", 'A'); /* proposed by node 1 */
	apply_fini(&f->a);
	ops->members(f->x, &f->a, both, 2);
	assert_true(pr_service_spc2_holds(f->x, &a));
	ops->members(f->x, &f->a, second, 1);
	assert_effects(f, "P");
	assert_false(pr_service_spc2_holds(f->x, &a));
}

/* SPC-4 5.13.5: neither a reset nor the loss of a nexus touches persistent ones. */
static void persistent_reservations_outlive_reset_and_nexus(void **state)
{
	struct fixture *f = *state;

	OUT(f, "disk0", 'A', PR_REGISTER, 0, 0xa, 0);
	OUT(f, "disk0", 'A', PR_RESERVE, 0xa, 0, PR_WRITE_EXCLUSIVE);
	plain(f, PR_OP_SPC2_RESET, "disk0", 'A');
	assert_effects(f, "");
	plain(f, PR_OP_SPC2_NEXUS_LOST, "", 'A');
	assert_effects(f, "");
	assert_int_equal(pr_service_find(f->x, "disk0")->pr.type, PR_WRITE_EXCLUSIVE);
}

/* ---- views ----------------------------------------------------------------------------------- */

static void views_are_fresh_and_tell_the_truth(void **state)
{
	struct fixture *f = *state;
	struct resv_view *v, *w;
	struct nexus_id a = nexus('A', 1), b = nexus('B', 2), c = nexus('C', 1);

	assert_int_equal(pr_service_view(f->x, "disk0", &v), 0);
	assert_null(v);
	populate(f);
	assert_int_equal(pr_service_view(f->x, "disk1", &v), 0);
	assert_int_equal(pr_service_view(f->x, "disk1", &w), 0);
	assert_true(v->generation && w->generation && v->generation != w->generation);
	assert_int_equal(v->kind, RESV_KIND_PR);
	assert_int_equal(v->type, PR_WRITE_EXCLUSIVE_RO);
	assert_true(v->registrations);
	assert_int_equal(v->nregistrants, 2);
	assert_true(nexus_id_eq(v->page[0]->registrant[0], &a) && nexus_id_eq(v->page[0]->registrant[1], &b));
	assert_true(nexus_id_eq(&v->holder, &a));
	pr_view_free(v);
	pr_view_free(w);
	assert_int_equal(pr_service_view(f->x, "disk0", &v), 0);
	assert_int_equal(v->kind, RESV_KIND_SPC2);
	assert_true(nexus_id_eq(&v->holder, &c));
	pr_view_free(v);
}

/* ---- snapshot -------------------------------------------------------------------------------- */

static void members_that_apply_the_same_are_equal(void **state)
{
	struct fixture *f = *state;

	populate(f);
	assert_same(f->x, f->y);
	/* a member that came by snapshot has never heard of a logical unit where everything failed */
	OUT(f, "disk9", 'A', PR_RESERVE, 0xa, 0, 1);
	struct wbuf b = snapshot(f->x);
	char err[256] = "";

	assert_int_equal(ops->restore(f->y, b.data, b.len, err, sizeof(err)), 0);
	assert_same(f->x, f->y);
	assert_null(pr_service_find(f->y, "disk9"));
	wbuf_fini(&b);
}

static void restore_of_a_snapshot_is_the_state(void **state)
{
	struct fixture *f = *state;
	struct pr_service *z = pr_service_new();
	char err[256] = "";
	struct wbuf b;

	populate(f);
	b = snapshot(f->x);
	assert_int_equal(ops->restore(z, b.data, b.len, err, sizeof(err)), 0);
	assert_same(f->x, z);
	assert_int_equal(pr_service_find(z, "disk1")->pr.generation, 2); /* a joiner keeps PRGENERATION */
	assert_true(pr_service_find(z, "disk1")->pr.aptpl);
	assert_int_equal(ops->restore(z, NULL, 0, err, sizeof(err)), -EBADMSG); /* no version */
	assert_same(f->x, z);
	wbuf_fini(&b);
	pr_service_free(z);
}

static void damaged_snapshots_never_crash_and_never_change(void **state)
{
	struct fixture *f = *state;
	struct pr_service *z = pr_service_new();
	char err[256];
	struct wbuf b;
	unsigned refused = 0;

	populate(f);
	b = snapshot(f->x);
	for (size_t len = 0; len < b.len; len++) { /* cut off: never the same state */
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, b.data, len);
		err[0] = 0;
		if (ops->restore(z, cut, len, err, sizeof(err)) == -EBADMSG) {
			assert_true(err[0]);
			refused++;
		}
		free(cut);
	}
	assert_true(refused > b.len / 2);
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		b.data[bit / 8] ^= 1 << bit % 8;
		if (ops->restore(f->y, b.data, b.len, err, sizeof(err)) == 0) {
			/* still a valid state: then it is taken as it stands, canonical */
			struct wbuf again = snapshot(f->y);

			assert_int_equal(again.err, 0);
			assert_int_equal(ops->restore(f->y, again.data, again.len, err, sizeof(err)), 0);
			wbuf_fini(&again);
		}
		b.data[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(ops->restore(f->y, b.data, b.len, err, sizeof(err)), 0);
		assert_same(f->x, f->y);
	}
	wbuf_fini(&b);
	pr_service_free(z);
}

/* States that no sequence of operations leads to. */
static void impossible_snapshots_are_refused(void **state)
{
	struct fixture *f = *state;
	Sandem__Pr__Nexus na, nb;
	Sandem__Pr__Registrant ra = SANDEM__PR__REGISTRANT__INIT, rb = SANDEM__PR__REGISTRANT__INIT;
	Sandem__Pr__Registrant *sorted[] = { &ra, &rb }, *twice[] = { &ra, &ra }, *reversed[] = { &rb, &ra };
	struct nexus_id a = nexus('A', 1), b = nexus('B', 1);
	char err[256];

	pr_msg_put_nexus(&na, &a);
	pr_msg_put_nexus(&nb, &b);
	ra.nexus = &na;
	rb.nexus = &nb;
	ra.key = rb.key = 1;
	for (int variant = 0; variant < 14; variant++) {
		Sandem__Pr__Lu lu = SANDEM__PR__LU__INIT, second;
		Sandem__Pr__Lu *lus[] = { &lu, &second };
		Sandem__Pr__Snapshot snap = SANDEM__PR__SNAPSHOT__INIT;
		struct wbuf w = { 0 };
		int rc;

		ra.key = 1;
		na.rtpi = 1;
		snap.version = 1;
		snap.n_lu = 1;
		snap.lu = lus;
		lu.name = (ProtobufCBinaryData){ 5, (uint8_t *)"disk0" };
		lu.registrant = sorted;
		lu.n_registrant = 2;
		lu.type = PR_WRITE_EXCLUSIVE;
		lu.holder = &nb;
		second = lu;
		switch (variant) {
		case 0: break; /* the control: this one is good */
		case 1: lu.registrant = twice; lu.holder = &na; break;
		case 2: lu.registrant = reversed; break;
		case 3: lu.n_registrant = 1; break; /* holder not registered */
		case 4: lu.holder = NULL; break;
		case 5: lu.type = PR_WRITE_EXCLUSIVE_AR; break; /* with a holder */
		case 6: lu.type = 2; break;
		case 7: lu.type = PR_NONE; break; /* holder of nothing */
		case 8: lu.spc2_holder = &na; break; /* both kinds */
		case 9: ra.key = 0; break;
		case 10: na.rtpi = 0x10000; break;
		case 11: lu.name = (ProtobufCBinaryData){ 5, (uint8_t *)"di\0k0" }; break;
		case 12: snap.n_lu = 2; break; /* the same name twice */
		case 13: snap.version = 2; break;
		}
		pr_msg_pack(&snap.base, &w);
		err[0] = 0;
		rc = ops->restore(f->x, w.data, w.len, err, sizeof(err));
		wbuf_fini(&w);
		if (variant == 0) {
			assert_int_equal(rc, 0);
			assert_int_equal(ops->restore(f->y, NULL, 0, err, sizeof(err)), -EBADMSG);
			continue;
		}
		if (rc != -EBADMSG)
			fail_msg("variant %d was taken", variant);
		assert_true(err[0]);
		assert_int_equal(pr_service_find(f->x, "disk0")->pr.n, 2); /* what variant 0 left */
	}
}

/* ---- APTPL over the loss of power ------------------------------------------------------------ */

static void kept_reservation_comes_back_without_prgeneration(void **state)
{
	struct fixture *f = *state;
	struct pr_service *z = pr_service_new();
	struct nexus_id a = nexus('A', 1), b = nexus('B', 2);
	struct wbuf w = { 0 };
	const struct pr_lu *lu;
	char err[256] = "";

	populate(f);
	ops->persist(f->x, "disk1", &w);
	assert_int_equal(w.err, 0);
	assert_int_equal(ops->load(z, "disk1", w.data, w.len, err, sizeof(err)), 0);
	lu = pr_service_find(z, "disk1");
	assert_int_equal(lu->pr.generation, 0); /* SPC-4 6.15.2 */
	assert_true(lu->pr.aptpl);
	assert_int_equal(lu->pr.type, PR_WRITE_EXCLUSIVE_RO);
	assert_true(nexus_id_eq(&lu->pr.holder->id, &a));
	assert_int_equal(pr_find(&lu->pr, &a)->key, 0xa);
	assert_int_equal(pr_find(&lu->pr, &b)->key, 0xb);
	wbuf_fini(&w);
	ops->persist(f->x, "disk0", &w); /* RESERVE does not survive */
	assert_int_equal(w.len, 0);
	ops->persist(f->x, "disk2", &w); /* APTPL=0 */
	assert_int_equal(w.len, 0);
	pr_service_free(z);
}

static void damaged_kept_state_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pr_service *z = pr_service_new();
	struct wbuf w = { 0 }, empty = snapshot(z), now;
	char err[256];

	populate(f);
	ops->persist(f->x, "disk1", &w);
	for (size_t bit = 0; bit < 8 * w.len; bit++) {
		w.data[bit / 8] ^= 1 << bit % 8;
		err[0] = 0;
		assert_int_equal(ops->load(z, "disk1", w.data, w.len, err, sizeof(err)), -EBADMSG);
		assert_non_null(strstr(err, "disk1"));
		w.data[bit / 8] ^= 1 << bit % 8;
	}
	for (size_t len = 0; len < w.len; len++)
		assert_int_equal(ops->load(z, "disk1", w.data, len, err, sizeof(err)), -EBADMSG);
	assert_int_equal(ops->load(z, "disk0", w.data, w.len, err, sizeof(err)), -EBADMSG); /* another's */
	now = snapshot(z);
	assert_int_equal(now.len, empty.len);
	wbuf_fini(&now);
	wbuf_fini(&empty);
	wbuf_fini(&w);
	pr_service_free(z);
}

/* ---- bad messages ---------------------------------------------------------------------------- */

static void refuse(struct fixture *f, const Sandem__Pr__Op *op, int variant)
{
	struct wbuf w = { 0 };

	pr_msg_pack(&op->base, &w);
	if (apply_bytes(f, w.data, w.len) != -EBADMSG)
		fail_msg("variant %d was taken", variant);
	assert_int_equal(f->a.neffects, 0);
	wbuf_fini(&w);
}

static void messages_out_of_bounds_are_refused(void **state)
{
	struct fixture *f = *state;
	struct nexus_id a = nexus('A', 1);
	char too_long[PORT_NAME_MAX + 2];
	uint32_t zero = 0;

	memset(too_long, 'x', sizeof(too_long));
	populate(f);
	for (int variant = 0; variant < 16; variant++) {
		Sandem__Pr__Op op = SANDEM__PR__OP__INIT;
		Sandem__Pr__Out o = SANDEM__PR__OUT__INIT;
		Sandem__Pr__Nexus n;
		ProtobufCBinaryData port = { 1, (uint8_t *)"" };

		pr_msg_put_nexus(&n, &a);
		op.version = 1;
		op.kind = PR_OP_OUT;
		op.lu = (ProtobufCBinaryData){ 5, (uint8_t *)"disk1" };
		op.nexus = &n;
		op.out = &o;
		switch (variant) {
		case 0: op.version = 2; break;
		case 1: op.kind = 0; break;
		case 2: op.kind = 6; break;
		case 3: op.lu.len = 0; break;
		case 4: op.lu = (ProtobufCBinaryData){ 64, (uint8_t *)too_long }; break;
		case 5: op.lu = (ProtobufCBinaryData){ 5, (uint8_t *)"d\0sk1" }; break;
		case 6: op.nexus = NULL; break;
		case 7: n.rtpi = 0; break;
		case 8: n.rtpi = 65536; break;
		case 9: n.port = (ProtobufCBinaryData){ PORT_NAME_MAX + 1, (uint8_t *)too_long }; break;
		case 10: op.out = NULL; break;
		case 11: o.action = 8; break;
		case 12: o.type = 16; break;
		case 13: o.all_tg_pt = true; o.n_rtpi = 1; o.rtpi = &zero; break;
		case 14: o.spec_i_pt = true; o.n_port = 1; o.port = &port; break; /* a NUL */
		case 15: o.action = PR_REGISTER_AND_MOVE; break; /* to nowhere */
		}
		refuse(f, &op, variant);
	}
	assert_same(f->x, f->y);
}

static void random_bytes_are_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	unsigned seed = (unsigned)time(NULL), start = seed;
	struct pr_msg m = message(PR_OP_OUT, "disk0", 'A');
	struct wbuf good = { 0 };

	print_message("SEED=%u\n", start);
	m.out = op_of('A', PR_REGISTER, 0, 0xa, 0);
	pr_msg_encode(&m, &good);
	for (int i = 0; i < 20000; i++) {
		size_t len = 1 + rand_r(&seed) % good.len;
		uint8_t *p = malloc(len);

		memcpy(p, good.data, len);
		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			p[rand_r(&seed) % len] = rand_r(&seed);
		apply_fini(&f->a);
		memset(&f->a, 0, sizeof(f->a));
		ops->apply(f->x, &f->a, p, len);
		free(p);
	}
	wbuf_fini(&good);
}

/* ---- two members under random operations ----------------------------------------------------- */

static void random_operations_keep_members_equal(void **state)
{
	struct fixture *f = *state;
	unsigned seed = (unsigned)time(NULL), start = seed;
	static const char *const lu[] = { "disk0", "disk1", "disk2" };

	print_message("SEED=%u\n", start);
	for (int i = 0; i < 3000; i++) {
		struct pr_op op = op_of('A' + rand_r(&seed) % 4, rand_r(&seed) % 7, rand_r(&seed) % 3,
					rand_r(&seed) % 3, 1 + rand_r(&seed) % 8);
		char err[256];

		op.aptpl = rand_r(&seed) % 2;
		if (rand_r(&seed) % 8 == 0)
			plain(f, PR_OP_SPC2_RESERVE + rand_r(&seed) % 3, lu[rand_r(&seed) % 3],
			      'A' + rand_r(&seed) % 4);
		else
			out(f, lu[rand_r(&seed) % 3], op);
		if (i % 50 == 0) {
			struct wbuf b = snapshot(f->x);

			assert_same(f->x, f->y);
			assert_int_equal(ops->restore(f->y, b.data, b.len, err, sizeof(err)), 0);
			assert_same(f->x, f->y);
			wbuf_fini(&b);
		}
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_excludes_drains_and_who_lost_is_told),
		T(preempt_and_abort_ends_tasks_before_it_waits_for_them),
		T(aptpl_goes_to_stable_storage),
		T(the_error_names_the_field),
		T(reserve_and_release),
		T(reserve_conflicts_with_registrations_and_the_reverse),
		T(compatible_reservation_handling),
		T(reserve_ends_with_reset_nexus_and_member),
		T(persistent_reservations_outlive_reset_and_nexus),
		T(views_are_fresh_and_tell_the_truth),
		T(members_that_apply_the_same_are_equal),
		T(restore_of_a_snapshot_is_the_state),
		T(damaged_snapshots_never_crash_and_never_change),
		T(impossible_snapshots_are_refused),
		T(kept_reservation_comes_back_without_prgeneration),
		T(damaged_kept_state_is_refused),
		T(messages_out_of_bounds_are_refused),
		T(random_bytes_are_refused_or_harmless),
		T(random_operations_keep_members_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
