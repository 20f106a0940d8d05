/* SPDX-License-Identifier: BSD-2-Clause */
/* The directory of I_T nexuses: two members that apply the same log stay equal; what one node tells becomes what all have. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "directory/directory_service.h"

#define OPS (&directory_service_ops)

static struct directory_entry entry(unsigned i, uint32_t node)
{
	struct directory_entry e = { .node = node, .since = 1000 + i };

	e.nexus.rtpi = node;
	snprintf(e.nexus.port, sizeof(e.nexus.port), "iqn.2026-11.test:%u,i,0x00023d%06x", i, i);
	snprintf(e.peer, sizeof(e.peer), "192.0.2.%u:4711", i % 250);
	return e;
}

static int apply(struct directory *d, const struct wbuf *msg)
{
	struct apply a = { .position = 1 };
	int rc = OPS->apply(d, &a, msg->data, msg->len);

	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
	return rc;
}

/* Updates until there is nothing to tell; how many. */
static unsigned tell(uint32_t node, const struct directory *own, struct directory *known, struct directory *other)
{
	unsigned n = 0;

	for (;; n++) {
		struct wbuf msg = { 0 };
		bool any = directory_update(&msg, node, own, known);

		if (any) {
			assert_int_equal(apply(known, &msg), 0);
			assert_int_equal(apply(other, &msg), 0);
		}
		wbuf_fini(&msg);
		if (!any)
			return n;
	}
}

static void assert_same(const struct directory *a, const struct directory *b)
{
	struct wbuf x = { 0 }, y = { 0 };

	OPS->snapshot(a, &x);
	OPS->snapshot(b, &y);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	wbuf_fini(&x);
	wbuf_fini(&y);
}

static void what_is_told_is_known(void **state)
{
	struct directory own[2] = { 0 }, at[2] = { 0 };
	unsigned seed = 4;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		unsigned node = rand_r(&seed) % 2;

		for (unsigned k = rand_r(&seed) % 8; k > 0; k--) {
			struct directory_entry e = entry(rand_r(&seed) % 60, node + 1);

			e.since += rand_r(&seed) % 2;
			if (rand_r(&seed) % 3)
				assert_int_equal(directory_put(&own[node], &e), 0);
			else
				directory_remove(&own[node], &e.nexus, 0);
		}
		tell(node + 1, &own[node], &at[node], &at[!node]);
		assert_same(&at[0], &at[1]);
	}
	assert_int_equal(at[0].n, own[0].n + own[1].n);
	for (unsigned i = 0, of[2] = { 0 }; i < at[0].n; i++) {
		unsigned node = at[0].entry[i]->node - 1;

		assert_memory_equal(at[0].entry[i], own[node].entry[of[node]++], sizeof(struct directory_entry));
	}
	for (int i = 0; i < 2; i++) {
		directory_clear(&own[i]);
		directory_clear(&at[i]);
	}
}

static void many(void **state)
{
	struct directory own = { 0 }, at[2] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct directory_entry e = entry(i * 7919 % 10000, 1);

		assert_int_equal(directory_put(&own, &e), 0);
	}
	assert_int_equal(tell(1, &own, &at[0], &at[1]), 10000 / DIRECTORY_UPDATE_MAX);
	assert_int_equal(at[1].n, 10000);
	directory_clear(&own);
	assert_int_equal(tell(1, &own, &at[0], &at[1]), 10000 / DIRECTORY_UPDATE_MAX);
	assert_int_equal(at[1].n, 0);
	directory_clear(&at[0]);
	directory_clear(&at[1]);
}

/* The member that has it now, not the one that had it: a nexus may have moved on before the old node's word comes. */
static void removal_is_of_ones_own(void **state)
{
	struct directory d = { 0 };
	struct directory_entry e = entry(1, 2);

	(void)state;
	assert_int_equal(directory_put(&d, &e), 0);
	assert_false(directory_remove(&d, &e.nexus, 1));
	assert_int_equal(d.n, 1);
	assert_true(directory_remove(&d, &e.nexus, 2));
	assert_int_equal(d.n, 0);
	directory_clear(&d);
}

static void members_that_are_gone(void **state)
{
	static const uint32_t left[] = { 1, 3 };
	struct directory d = { 0 };
	struct apply a = { .position = 1 };

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct directory_entry e = entry(i, 1 + i % 3);

		assert_int_equal(directory_put(&d, &e), 0);
	}
	OPS->members(&d, &a, left, 2);
	assert_int_equal(d.n, 20);
	for (size_t i = 0; i < d.n; i++)
		assert_int_not_equal(d.entry[i]->node, 2);
	apply_fini(&a);
	directory_clear(&d);
}

static void snapshots(void **state)
{
	struct directory d = { 0 }, back = { 0 };
	struct directory_entry e = entry(99, 7);
	struct wbuf s = { 0 };
	char err[256];

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct directory_entry one = entry(i, 1 + i % 3);

		assert_int_equal(directory_put(&d, &one), 0);
	}
	OPS->snapshot(&d, &s);
	assert_int_equal(directory_put(&back, &e), 0);
	for (size_t cut = 1; cut < s.len; cut += 7) { /* refused, or (cut between entries) fewer: never a crash */
		struct directory part = { 0 };

		if (OPS->restore(&part, s.data, s.len - cut, err, sizeof(err)) == 0)
			assert_true(part.n < d.n);
		else
			assert_int_equal(part.n, 0);
		directory_clear(&part);
	}
	assert_int_equal(OPS->restore(&back, s.data, s.len, err, sizeof(err)), 0);
	assert_same(&d, &back);
	wbuf_fini(&s);
	directory_clear(&d);
	directory_clear(&back);
}

static void what_is_malformed_changes_nothing(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
		{ "", 0 },					   /* no node */
		{ "\x08\x01\xff", 3 },				   /* cut */
		{ "\x08\x01\x20\x01", 4 },			   /* an unknown field */
		{ "\x08\x01\x12\x02\x10\x01", 6 },		   /* an entry without a nexus */
		{ "\x08\x01\x12\x07\x0a\x03\x0a\x01z\x10\x02", 11 }, /* another node's */
		{ "\x08\x01\x1a\x00", 4 },			   /* a nexus without a name */
		{ "\x08\x01\x1a\x04\x0a\x02z\x00", 8 },		   /* a name with a zero */
		{ "\x08\x01\x1a\x07\x0a\x01z\x10\x80\x80\x04", 11 }, /* port 65536 */
	};
	struct directory d = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct wbuf msg = { .data = (uint8_t *)wrong[i].bytes, .len = wrong[i].len };

		if (apply(&d, &msg) != -EBADMSG || d.n)
			fail_msg("row %zu was taken", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_is_known),
		cmocka_unit_test(many),
		cmocka_unit_test(removal_is_of_ones_own),
		cmocka_unit_test(members_that_are_gone),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(what_is_malformed_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
