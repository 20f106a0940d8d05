/* SPDX-License-Identifier: BSD-2-Clause */
/* The replicated records of media: two members that apply the same log stay equal, whatever comes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/media_service.h"

static const struct nexus_id i1 = { .rtpi = 1, .port = "iqn.2026-11.test:a,i,0x000001" };
static const struct nexus_id i2 = { .rtpi = 257, .port = "iqn.2026-11.test:a,i,0x000001" };

static int setup(void **state)
{
	*state = media_service_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	media_service_free(*state);
	return 0;
}

/* Applies one change; its effects stay in a. */
static enum media_verdict run(struct media_service *svc, struct apply *a, struct media_change c)
{
	struct wbuf msg = { 0 };

	*a = (struct apply){ .position = 1 };
	media_service_pack(&msg, &c);
	assert_int_equal(media_service_ops.apply(svc, a, msg.data, msg.len), 0);
	wbuf_fini(&msg);
	assert_int_equal(a->result_len, c.action == MEDIA_WIPE_START ? 9 : 1);
	return a->result[0];
}

static bool has(const struct apply *a, enum effect_kind kind, enum ua ua)
{
	for (uint32_t i = 0; i < a->neffects; i++)
		if (a->effect[i].kind == kind && (kind != EFFECT_UA || a->effect[i].ua == ua) &&
		    !strcmp(a->effect[i].object, "disk0"))
			return true;
	return false;
}

#define RUN(...) run(svc, &a, (struct media_change){ .lu = "disk0", __VA_ARGS__ })

static void capacity(void **state)
{
	struct media_service *svc = *state;
	struct apply a;

	assert_int_equal(RUN(.action = MEDIA_CAPACITY, .blocks = 2048), MEDIA_OK);
	assert_true(has(&a, EFFECT_PUBLISH, 0) && has(&a, EFFECT_PERSIST, 0));
	assert_false(has(&a, EFFECT_UA, UA_CAPACITY_CHANGED)); /* nobody has been told another one */
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_CAPACITY, .blocks = 2048), MEDIA_UNCHANGED);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_CAPACITY, .blocks = 4096), MEDIA_OK);
	assert_true(has(&a, EFFECT_PUBLISH, 0) && has(&a, EFFECT_UA, UA_CAPACITY_CHANGED));
	apply_fini(&a);
	assert_int_equal(media_service_find(svc, "disk0")->blocks, 4096);
	assert_null(media_service_find(svc, "disk"));
}

/* SBC-3 4.7.3.8: once when it is reached, again only when it was left in between. */
static void threshold(void **state)
{
	struct media_service *svc = *state;
	struct apply a;

	for (int round = 0; round < 2; round++) {
		assert_int_equal(RUN(.action = MEDIA_LOW_SPACE), MEDIA_OK);
		assert_true(has(&a, EFFECT_UA, UA_THIN_SOFT_THRESHOLD));
		apply_fini(&a);
		assert_int_equal(RUN(.action = MEDIA_LOW_SPACE), MEDIA_UNCHANGED);
		assert_int_equal(a.neffects, 0);
		apply_fini(&a);
		assert_int_equal(RUN(.action = MEDIA_ENOUGH_SPACE), MEDIA_OK);
		assert_int_equal(a.neffects, 0);
		apply_fini(&a);
	}
}

static void eject_and_load(void **state)
{
	struct media_service *svc = *state;
	struct apply a;

	assert_int_equal(RUN(.action = MEDIA_LOAD), MEDIA_UNCHANGED);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_OK);
	assert_true(has(&a, EFFECT_DRAIN, 0) && has(&a, EFFECT_PERSIST, 0));
	apply_fini(&a);
	assert_true(media_service_find(svc, "disk0")->ejected);
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_UNCHANGED);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_LOAD), MEDIA_OK);
	assert_true(has(&a, EFFECT_PUBLISH, 0) && has(&a, EFFECT_UA, UA_MEDIUM_MAY_HAVE_CHANGED));
	assert_true(has(&a, EFFECT_PERSIST, 0)); /* else it would be out again after a power loss */
	assert_int_equal(a.effect[a.neffects - 1].scope, UA_SCOPE_ALL);
	apply_fini(&a);
	assert_false(media_service_find(svc, "disk0")->ejected);
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_OK);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_LOAD, .nexus = &i2), MEDIA_OK); /* who does it knows it */
	assert_int_equal(a.effect[a.neffects - 1].scope, UA_SCOPE_ALL_BUT);
	assert_int_equal(a.effect[a.neffects - 1].nids, 1);
	assert_true(nexus_id_eq(&a.effect[a.neffects - 1].ids[0], &i2));
	apply_fini(&a);
}

static void prevent(struct media_service *svc, const struct nexus_id *id, uint32_t node)
{
	struct apply a;

	assert_int_equal(RUN(.action = MEDIA_PREVENT, .nexus = id, .node = node), MEDIA_OK);
	apply_fini(&a);
}

/* SPC-4 6.18: while one nexus prevents, nobody ejects; each speaks for itself, however often it said so. */
static void prevention(void **state)
{
	struct media_service *svc = *state;
	struct apply a;

	prevent(svc, &i1, 1);
	prevent(svc, &i1, 1);
	prevent(svc, &i2, 2);
	assert_true(media_service_prevents(svc, &i1));
	assert_int_equal(RUN(.action = MEDIA_LOAD, .nexus = &i2), MEDIA_UNCHANGED); /* it is in: nothing to prevent */
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_PREVENTED);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_ALLOW, .nexus = &i1), MEDIA_OK);
	apply_fini(&a);
	assert_false(media_service_prevents(svc, &i1));
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_PREVENTED);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_EJECT, .force = true), MEDIA_OK);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_LOAD, .nexus = &i1), MEDIA_PREVENTED); /* an initiator: neither way */
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_LOAD), MEDIA_OK);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_ALLOW, .nexus = &i2), MEDIA_OK);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_OK);
	apply_fini(&a);
}

static void prevention_ends_with_what_it_hangs_on(void **state)
{
	struct media_service *svc = *state;
	const uint32_t only_two[] = { 2 };
	struct apply a = { .position = 1 };

	prevent(svc, &i1, 1);
	prevent(svc, &i2, 2);
	media_service_ops.members(svc, &a, only_two, 1);
	assert_false(media_service_prevents(svc, &i1));
	assert_true(media_service_prevents(svc, &i2));
	assert_int_equal(run(svc, &a, (struct media_change){ .action = MEDIA_NEXUS_LOST, .nexus = &i2 }), MEDIA_OK);
	apply_fini(&a);
	assert_false(media_service_prevents(svc, &i2));
	prevent(svc, &i1, 1);
	assert_int_equal(RUN(.action = MEDIA_RESET), MEDIA_OK);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_EJECT), MEDIA_OK);
	apply_fini(&a);
}

static void as_many_as_there_may_be(void **state)
{
	struct media_service *svc = *state;
	struct nexus_id id = i1;
	struct wbuf snap = { 0 };
	struct apply a;
	char err[256];

	for (unsigned i = 0; i < MEDIA_PREVENTERS_MAX; i++) {
		id.rtpi = i * 7919u; /* not in order */
		prevent(svc, &id, 1);
	}
	id.rtpi = 3;
	while (media_service_prevents(svc, &id))
		id.rtpi++;
	assert_int_equal(RUN(.action = MEDIA_PREVENT, .nexus = &id, .node = 1), MEDIA_FULL);
	apply_fini(&a);
	media_service_ops.snapshot(svc, &snap);
	assert_int_equal(media_service_ops.restore(svc, snap.data, snap.len, err, sizeof(err)), 0);
	assert_int_equal(media_service_find(svc, "disk0")->npreventers, MEDIA_PREVENTERS_MAX);
	wbuf_fini(&snap);
}

/* ---- SANITIZE, FORMAT UNIT ---------------------------------------------------------------------------------- */

static struct media_wipe overwrite(bool may_exit)
{
	return (struct media_wipe){ .order = { .kind = WIPE_SANITIZE, .op = WIPE_WRITE, .may_exit = may_exit, .passes = 3,
					       .invert = true, .pattern_len = 3, .pattern = { 1, 2, 3 } } };
}

static void wipe_runs_and_ends(void **state)
{
	struct media_service *svc = *state;
	struct media_wipe w = overwrite(false);
	struct apply a;

	assert_int_equal(RUN(.action = MEDIA_WIPE_START, .wipe = &w), MEDIA_OK);
	assert_true(has(&a, EFFECT_DRAIN, 0) && has(&a, EFFECT_PERSIST, 0)); /* others have ended before it begins */
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_WIPE_START, .wipe = &w), MEDIA_WIPING);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	assert_int_equal(RUN(.action = MEDIA_WIPE_LEAVE), MEDIA_WIPING);
	apply_fini(&a);
	w.id = 1; /* the position in the log, see run() */
	for (int i = 0; i < 3; i++) { /* forwards only */
		static const struct {
			uint8_t pass;
			uint64_t at;
			enum media_verdict v;
		} steps[] = { { 1, 512, MEDIA_OK }, { 0, 4096, MEDIA_UNCHANGED }, { 3, 0, MEDIA_UNCHANGED } };

		w.pass = steps[i].pass;
		w.at = steps[i].at;
		assert_int_equal(RUN(.action = MEDIA_WIPE_REACHED, .wipe = &w), steps[i].v);
		apply_fini(&a);
		assert_int_equal(media_service_find(svc, "disk0")->wipe.pass, 1);
		assert_int_equal(media_service_find(svc, "disk0")->wipe.at, 512);
	}
	w.id = 2; /* news of an earlier one that comes late */
	assert_int_equal(RUN(.action = MEDIA_WIPE_DONE, .wipe = &w), MEDIA_UNCHANGED);
	apply_fini(&a);
	assert_int_equal(media_service_find(svc, "disk0")->wipe.state, MEDIA_WIPE_RUNNING);
	w.id = 1;
	assert_int_equal(RUN(.action = MEDIA_WIPE_DONE, .wipe = &w), MEDIA_OK);
	assert_true(has(&a, EFFECT_PUBLISH, 0) && has(&a, EFFECT_PERSIST, 0));
	apply_fini(&a);
	assert_int_equal(media_service_find(svc, "disk0")->wipe.state, MEDIA_WIPE_NONE);
}

static void wipe_fails_and_is_left(void **state)
{
	struct media_service *svc = *state;
	struct apply a;

	for (int may_exit = 0; may_exit < 2; may_exit++) {
		struct media_wipe w = overwrite(may_exit), which = { .id = 1 };

		assert_int_equal(RUN(.action = MEDIA_WIPE_START, .wipe = &w), MEDIA_OK);
		apply_fini(&a);
		assert_int_equal(RUN(.action = MEDIA_WIPE_FAILED, .wipe = &which), MEDIA_OK);
		apply_fini(&a);
		assert_int_equal(media_service_find(svc, "disk0")->wipe.state, MEDIA_WIPE_BROKEN);
		assert_int_equal(RUN(.action = MEDIA_WIPE_LEAVE), may_exit ? MEDIA_OK : MEDIA_NO_EXIT);
		apply_fini(&a);
	}
	assert_int_equal(RUN(.action = MEDIA_WIPE_LEAVE), MEDIA_UNCHANGED);
	apply_fini(&a);
}

/* Where all members lose power, and where one joins in the middle. */
static void wipe_is_kept(void **state)
{
	struct media_service *svc = *state, *other = media_service_new();
	struct media_wipe w = overwrite(true), reached = { .id = 1, .pass = 2, .at = 77 << 20 };
	const struct media_wipe *kept;
	struct wbuf snapshot = { 0 }, rec = { 0 }, none = { 0 };
	struct apply a;
	char err[256];

	RUN(.action = MEDIA_WIPE_START, .wipe = &w);
	apply_fini(&a);
	RUN(.action = MEDIA_WIPE_REACHED, .wipe = &reached);
	apply_fini(&a);
	media_service_ops.snapshot(svc, &snapshot);
	assert_int_equal(media_service_ops.restore(other, snapshot.data, snapshot.len, err, sizeof(err)), 0);
	kept = &media_service_find(other, "disk0")->wipe;
	assert_memory_equal(kept, &media_service_find(svc, "disk0")->wipe, sizeof(*kept));
	assert_int_equal(kept->at, 77 << 20);
	media_service_free(other);
	other = media_service_new();
	media_service_ops.persist(svc, "disk0", &rec);
	assert_int_equal(media_service_ops.load(other, "disk0", rec.data, rec.len, err, sizeof(err)), 0);
	assert_int_equal(media_service_find(other, "disk0")->wipe.state, MEDIA_WIPE_RUNNING);
	assert_memory_equal(media_service_find(other, "disk0")->wipe.order.pattern, w.order.pattern, 3);
	RUN(.action = MEDIA_WIPE_DONE, .wipe = &reached);
	apply_fini(&a);
	media_service_ops.persist(svc, "disk0", &none);
	assert_int_equal(none.len, 0);
	wbuf_fini(&snapshot);
	wbuf_fini(&rec);
	media_service_free(other);
}

static void wrong_wipes(void **state)
{
	struct media_service *svc = *state;
	struct media_wipe wrong[] = { overwrite(false), overwrite(false), overwrite(false), overwrite(false), overwrite(false),
				      overwrite(false) };
	struct apply a = { .position = 1 };

	wrong[0].order.kind = WIPE_FORMAT + 1;
	wrong[1].order.op = WIPE_CRYPTO + 1;
	wrong[2].order.passes = 0;
	wrong[3].order.passes = WIPE_PASSES_MAX + 1;
	wrong[4].order.pattern_len = 0;
	wrong[5].order.op = WIPE_UNMAP; /* with a pattern */
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct media_change c = { .action = MEDIA_WIPE_START, .lu = "disk0", .wipe = &wrong[i] };
		struct wbuf msg = { 0 };

		media_service_pack(&msg, &c);
		assert_int_equal(media_service_ops.apply(svc, &a, msg.data, msg.len), -EBADMSG);
		assert_int_equal(a.neffects, 0);
		wbuf_fini(&msg);
		apply_fini(&a);
	}
	assert_int_equal(svc->n, 0);
}

/* Passes are counted from 0. */
static void a_pass_that_cannot_be_is_refused(void **state)
{
	struct media_service *svc = *state;
	struct media_wipe w = overwrite(false);
	const struct media_change c = { .action = MEDIA_WIPE_REACHED, .lu = "disk0", .wipe = &w };

	for (uint8_t pass = WIPE_PASSES_MAX - 1; pass <= WIPE_PASSES_MAX; pass++) {
		struct apply a = { .position = 1 };
		struct wbuf msg = { 0 };

		w.pass = pass;
		media_service_pack(&msg, &c);
		assert_int_equal(media_service_ops.apply(svc, &a, msg.data, msg.len),
				 pass < WIPE_PASSES_MAX ? 0 : -EBADMSG);
		wbuf_fini(&msg);
		apply_fini(&a);
	}
}

static void a_look_changes_nothing(void **state)
{
	struct media_service *svc = *state;
	struct apply a;

	assert_int_equal(RUN(.action = MEDIA_WIPE_LOOK), MEDIA_UNCHANGED);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
}

/* ---- snapshot and store ---------------------------------------------------------------------------------- */

static void fill(struct media_service *svc)
{
	static const char *const names[] = { "zeta", "alpha", "disk0", "mid" };
	struct apply a;

	for (unsigned i = 0; i < 4; i++) {
		run(svc, &a, (struct media_change){ .action = MEDIA_CAPACITY, .lu = names[i], .blocks = 100 + i });
		apply_fini(&a);
	}
	prevent(svc, &i2, 2);
	prevent(svc, &i1, 1);
	RUN(.action = MEDIA_LOW_SPACE);
	apply_fini(&a);
	run(svc, &a, (struct media_change){ .action = MEDIA_EJECT, .lu = "mid" });
	apply_fini(&a);
}

static void snapshot_is_the_state(void **state)
{
	struct media_service *svc = *state, *other = media_service_new();
	struct wbuf one = { 0 }, two = { 0 };
	char err[256];

	fill(svc);
	media_service_ops.snapshot(svc, &one);
	assert_int_equal(media_service_ops.restore(other, one.data, one.len, err, sizeof(err)), 0);
	media_service_ops.snapshot(other, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	assert_true(media_service_find(other, "mid")->ejected && media_service_find(other, "disk0")->low_space);
	assert_int_equal(media_service_find(other, "disk0")->npreventers, 2);
	assert_int_equal(media_service_find(other, "disk0")->blocks, 102);
	for (uint32_t i = 0; i < 2; i++) {
		const struct media_preventer *p = &media_service_find(other, "disk0")->preventer[i];

		assert_int_equal(p->node, i + 1);
		assert_true(nexus_id_eq(&p->nexus, i ? &i2 : &i1));
	}
	wbuf_fini(&one);
	wbuf_fini(&two);
	media_service_free(other);
}

/* Cut or bent anywhere: refused and nothing changed, or taken; never anything else. */
static void damaged_snapshots(void **state)
{
	struct media_service *svc = *state, *victim = media_service_new();
	struct wbuf good = { 0 };
	char err[256];
	int refused = 0;

	fill(svc);
	media_service_ops.snapshot(svc, &good);
	assert_int_equal(media_service_ops.restore(victim, good.data, good.len, err, sizeof(err)), 0);
	for (size_t i = 0; i < good.len; i++) {
		uint8_t *bent = malloc(good.len);
		struct wbuf now = { 0 };

		memcpy(bent, good.data, good.len);
		bent[i] ^= 0x80;
		if (media_service_ops.restore(victim, i & 1 ? bent : good.data, i & 1 ? good.len : i, err, sizeof(err)) < 0) {
			refused++;
			media_service_ops.snapshot(victim, &now);
			assert_int_equal(now.len, good.len);
			assert_memory_equal(now.data, good.data, good.len);
			wbuf_fini(&now);
		}
		assert_int_equal(media_service_ops.restore(victim, good.data, good.len, err, sizeof(err)), 0);
		free(bent);
	}
	assert_in_range(refused, good.len / 4, good.len);
	wbuf_fini(&good);
	media_service_free(victim);
}

/* After a power loss of all: capacity and ejection are as they were, the rest is gone. */
static void stored_record(void **state)
{
	struct media_service *svc = *state, *other = media_service_new();
	struct wbuf rec = { 0 }, none = { 0 };
	char err[256] = "";
	struct apply a;

	fill(svc);
	RUN(.action = MEDIA_EJECT, .force = true);
	apply_fini(&a);
	media_service_ops.persist(svc, "disk0", &rec);
	assert_int_equal(media_service_ops.load(other, "disk1", rec.data, rec.len, err, sizeof(err)), -EBADMSG);
	assert_non_null(strstr(err, "disk1"));
	assert_int_equal(media_service_ops.load(other, "disk0", rec.data, rec.len, err, sizeof(err)), 0);
	assert_int_equal(media_service_find(other, "disk0")->blocks, 102);
	assert_true(media_service_find(other, "disk0")->ejected);
	assert_false(media_service_find(other, "disk0")->low_space);
	assert_int_equal(media_service_find(other, "disk0")->npreventers, 0);
	rec.len = 0; /* nobody has opened it yet, but it is out */
	run(svc, &a, (struct media_change){ .action = MEDIA_EJECT, .lu = "other" });
	apply_fini(&a);
	media_service_ops.persist(svc, "other", &rec);
	assert_int_equal(media_service_ops.load(other, "other", rec.data, rec.len, err, sizeof(err)), 0);
	assert_true(media_service_find(other, "other")->ejected);
	media_service_ops.persist(svc, "unknown", &none);
	assert_int_equal(none.len, 0); /* forget the key */
	wbuf_fini(&rec);
	media_service_free(other);
}

static void wrong_messages(void **state)
{
	const struct media_change wrong[] = {
		{ .action = 0, .lu = "disk0" },
		{ .action = MEDIA_WIPE_LOOK + 1, .lu = "disk0" },
		{ .action = MEDIA_WIPE_START, .lu = "disk0" },
		{ .action = MEDIA_WIPE_DONE, .lu = "disk0" },
		{ .action = MEDIA_EJECT },
		{ .action = MEDIA_EJECT, .lu = "" },
		{ .action = MEDIA_CAPACITY, .lu = "disk0" },
		{ .action = MEDIA_PREVENT, .lu = "disk0" },
		{ .action = MEDIA_NEXUS_LOST },
		{ .action = MEDIA_EJECT, .lu = "0123456789012345678901234567890123456789012345678901234567890123" },
	};
	struct media_service *svc = *state;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct apply a = { .position = 1 };
		struct wbuf msg = { 0 };

		media_service_pack(&msg, &wrong[i]);
		assert_int_equal(media_service_ops.apply(svc, &a, msg.data, msg.len), -EBADMSG);
		assert_int_equal(a.neffects, 0);
		wbuf_fini(&msg);
		apply_fini(&a);
	}
	assert_int_equal(svc->n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(capacity, setup, teardown),
		cmocka_unit_test_setup_teardown(threshold, setup, teardown),
		cmocka_unit_test_setup_teardown(eject_and_load, setup, teardown),
		cmocka_unit_test_setup_teardown(prevention, setup, teardown),
		cmocka_unit_test_setup_teardown(prevention_ends_with_what_it_hangs_on, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_as_there_may_be, setup, teardown),
		cmocka_unit_test_setup_teardown(wipe_runs_and_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(wipe_fails_and_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(wipe_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_wipes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pass_that_cannot_be_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_look_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(snapshot_is_the_state, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_snapshots, setup, teardown),
		cmocka_unit_test_setup_teardown(stored_record, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_messages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
