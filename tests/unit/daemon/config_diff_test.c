/* SPDX-License-Identifier: BSD-2-Clause */
/* What is to be done between two configurations, and what is refused; slots of targets; the fixed part from the own file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config/config.h"
#include "daemon/config/diff.h"

#define BASE \
	"cluster: {name: c}\n" \
	"nodes:\n" \
	"  - {name: a, id: 1, portals: [\"10.0.0.1\"]}\n" \
	"  - {name: b, id: 2, portals: [\"10.0.0.2\"]}\n" \
	"groups: [{name: g0, hold_limit: 5s}, {name: g1}]\n" \
	"luns:\n" \
	"  - {name: l0, group: g0, path: /x0, size: 1G, create: true}\n" \
	"  - {name: l1, group: g1, path: /x1, size: 1G, thin: true}\n" \
	"targets:\n" \
	"  - {name: iqn.2026-11.x:t0, luns: [{lun: 0, name: l0}], initiators: [\"iqn.*\"]}\n" \
	"  - {name: iqn.2026-11.x:t1, luns: [{lun: 1, name: l1}], initiators: [\"iqn.*\"]}\n"

static struct config *parse(const char *text)
{
	struct config *c = NULL;
	struct config_error err;

	if (config_parse("test", text, strlen(text), &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

/* BASE with one text in place of another. */
static struct config *edited(const char *from, const char *to)
{
	const char *at = strstr(BASE, from);
	char text[4096];

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - BASE), BASE, to, at + strlen(from));
	return parse(text);
}

struct expected {
	const char *from, *to;
	enum config_change_kind kind;
	const char *name, *text; /* name NULL: refused */
};

static const struct expected one_change[] = {
	{ "luns:\n  -", "luns:\n  - {name: l9, group: g0, path: /n, size: 1G}\n  -", CONFIG_LUN_ADDED, "l9", "/n" },
	{ "size: 1G, create", "size: 2G, create", CONFIG_LUN_CHANGED, "l0", "1073741824 -> 2147483648" },
	{ "thin: true", "thin: true, thin_threshold: 7", CONFIG_LUN_CHANGED, "l1", "thin_threshold 0 -> 7" },
	{ "hold_limit: 5s", "hold_limit: 6s", CONFIG_GROUP_CHANGED, "g0", "5000ms -> 6000ms" },
	{ "{name: g1}", "{name: g1, preferred: b}", CONFIG_GROUP_CHANGED, "g1", "none -> b" },
	{ "initiators: [\"iqn.*\"]}\n  -", "initiators: [\"eui.*\"]}\n  -", CONFIG_TARGET_CHANGED, "iqn.2026-11.x:t0", "access" },
	{ "{lun: 0, name: l0}", "{lun: 7, name: l0}", CONFIG_TARGET_CHANGED, "iqn.2026-11.x:t0", "" },
	{ "{lun: 0, name: l0}", "{lun: 0, name: l0, read_only: true}", CONFIG_TARGET_CHANGED, "iqn.2026-11.x:t0", "" },
	{ "targets:\n", "targets:\n  - {name: iqn.2026-11.x:t9, luns: [], initiators: []}\n", CONFIG_TARGET_ADDED,
	  "iqn.2026-11.x:t9", "" },
	{ "  - {name: iqn.2026-11.x:t0, luns: [{lun: 0, name: l0}], initiators: [\"iqn.*\"]}\n", "", CONFIG_TARGET_REMOVED,
	  "iqn.2026-11.x:t0", "" },
	{ "size: 1G, create", "size: 512M, create", CONFIG_REFUSED, NULL, "LUN l0" },
	{ "/x0", "/other", CONFIG_REFUSED, NULL, "LUN l0: path" },
	{ "name: l0, group: g0", "name: l0, group: g1", CONFIG_REFUSED, NULL, "LUN l0: group" },
	{ "thin: true", "thin: false", CONFIG_REFUSED, NULL, "LUN l1: thin" },
	{ "size: 1G, thin", "size: 1G, block_size: 4096, thin", CONFIG_REFUSED, NULL, "LUN l1: block_size" },
	{ "size: 1G, thin", "size: 1G, serial: abc, thin", CONFIG_REFUSED, NULL, "LUN l1: serial" },
	{ "size: 1G, thin", "size: 1G, protection: {type: 1}, thin", CONFIG_REFUSED, NULL, "LUN l1: protection" },
	{ "size: 1G, thin", "size: 1G, d_sense: yes, thin", CONFIG_REFUSED, NULL, "LUN l1: d_sense" },
	{ "size: 1G, thin", "size: 1G, queue_limit: 9, thin", CONFIG_REFUSED, NULL, "LUN l1: queue_limit" },
	{ "size: 1G, thin", "size: 1G, swp: yes, thin", CONFIG_REFUSED, NULL, "LUN l1: swp" },
	{ "size: 1G, thin", "size: 1G, tas: no, thin", CONFIG_REFUSED, NULL, "LUN l1: tas" },
	{ "size: 1G, thin", "size: 1G, tst: 1, thin", CONFIG_REFUSED, NULL, "LUN l1: tst" },
	{ "size: 1G, thin", "size: 1G, qerr: 3, thin", CONFIG_REFUSED, NULL, "LUN l1: qerr" },
	{ "size: 1G, thin", "size: 1G, qam: 0, thin", CONFIG_REFUSED, NULL, "LUN l1: qam" },
	{ "size: 1G, thin", "size: 1G, ua_intlck: 2, thin", CONFIG_REFUSED, NULL, "LUN l1: ua_intlck" },
	{ "10.0.0.1", "10.0.0.9", CONFIG_REFUSED, NULL, "nodes: portals and links can't change while sandemd runs" },
	{ "id: 2", "id: 3", CONFIG_REFUSED, NULL, "nodes: names and ids can't change while the cluster runs" },
	{ "{name: g1}", "{name: g1}, {name: g2}", CONFIG_GROUP_ADDED, "g2", "standby" },
	{ "{name: g1}", "{name: g1, non_owner: forward}", CONFIG_GROUP_CHANGED, "g1", "non_owner standby -> forward" },
	{ "luns:\n", "iscsi: {nop_interval: 7s}\nluns:\n", CONFIG_REFUSED, NULL, "one node after the other" },
	{ "cluster: {name: c}", "cluster: {name: c, log: local}", CONFIG_REFUSED, NULL, "cluster" },
	{ "cluster: {name: c}", "cluster: {name: c, explicit_alua: yes}", CONFIG_REFUSED, NULL, "explicit_alua" },
	{ "cluster: {name: c}", "cluster: {name: c, management_url: http://c}", CONFIG_REFUSED, NULL,
	  "management_url" },
	{ "id: 2", "id: 2, management_url: http://b", CONFIG_REFUSED, NULL, "management_url" },
};

static void test_one_change(void **state)
{
	struct config *base = parse(BASE);

	(void)state;
	for (size_t i = 0; i < sizeof(one_change) / sizeof(one_change[0]); i++) {
		const struct expected *x = &one_change[i];
		struct config *next = edited(x->from, x->to);
		struct config_diff d;

		assert_int_equal(config_diff(&d, base, next, true), 0);
		if (d.n < 1 || d.change[0].kind != x->kind || !strstr(d.change[0].text, x->text) ||
		    (x->name && strcmp(d.change[0].name, x->name)))
			fail_msg("\"%s\": %zu changes, %s: %s", x->to, d.n, d.n ? config_change_word(d.change[0].kind) : "",
				 d.n ? d.change[0].text : "");
		assert_int_equal(d.nrefused > 0, x->kind == CONFIG_REFUSED);
		config_diff_fini(&d);
		config_free(next);
	}
	config_free(base);
}

/* While a generation does not say which groups there are. */
static void test_groups_that_are_each_files(void **state)
{
	static const char *const change[][3] = {
		{ "{name: g1}", "{name: g1}, {name: g2}", "group g2: groups can't change" },
		{ "{name: g1}", "{name: g1, non_owner: forward}", "group g1: non_owner can't change" },
	};
	struct config *base = parse(BASE), *more = edited(change[0][0], change[0][1]);
	struct config_diff d;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct config *next = edited(change[i][0], change[i][1]);

		assert_int_equal(config_diff(&d, base, next, false), 0);
		assert_int_equal(d.nrefused, 1);
		assert_non_null(strstr(config_diff_refusal(&d), change[i][2]));
		config_diff_fini(&d);
		config_free(next);
	}
	assert_int_equal(config_diff(&d, more, base, false), 0);
	assert_int_equal(d.nrefused, 1);
	assert_non_null(strstr(config_diff_refusal(&d), "group g2: groups can't change"));
	config_diff_fini(&d);
	config_free(more);
	config_free(base);
}

/* Its LUNs first: a group with LUNs has something that is open. */
static void test_groups_go_without_luns(void **state)
{
	struct config *base = parse(BASE), *more = edited("{name: g1}", "{name: g1}, {name: g2}");
	struct config *less = edited("{name: g1}]\nluns:\n  - {name: l0, group: g0, path: /x0, size: 1G, create: true}\n"
				     "  - {name: l1, group: g1",
				     "{name: g3}]\nluns:\n  - {name: l0, group: g0, path: /x0, size: 1G, create: true}\n"
				     "  - {name: l1, group: g3");
	struct config_diff d;

	(void)state;
	assert_int_equal(config_diff(&d, more, base, true), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.change[0].kind, CONFIG_GROUP_REMOVED);
	assert_string_equal(d.change[0].name, "g2");
	config_diff_fini(&d);
	assert_int_equal(config_diff(&d, base, less, true), 0); /* g1 has l1, which is in g3 there */
	assert_non_null(strstr(config_diff_refusal(&d), "group g1: LUN l1 is in it"));
	assert_int_equal(d.change[1].kind, CONFIG_GROUP_ADDED);
	config_diff_fini(&d);
	config_free(base);
	config_free(more);
	config_free(less);
}

static void test_no_change(void **state)
{
	struct config *base = parse(BASE), *same = edited("luns:\n  -", "daemon: {reactors: 4}\nluns:\n  -");
	struct config_diff d;

	(void)state;
	assert_int_equal(config_diff(&d, base, same, true), 0); /* daemon: is each node's own */
	assert_int_equal(d.n, 0);
	config_diff_fini(&d);
	config_free(base);
	config_free(same);
}

static void test_slots(void **state)
{
	struct config *c = parse(BASE);
	char *text;

	(void)state;
	assert_int_equal(config_slots_take(c, "5 iqn.2026-11.x:t1\n0 iqn.2026-11.x:gone\n"), 0);
	assert_int_equal(c->target[1].slot, 5);
	assert_int_equal(c->target[0].slot, 0); /* the lowest that none of these has */
	text = config_slots_text(c);
	assert_string_equal(text, "0 iqn.2026-11.x:t0\n5 iqn.2026-11.x:t1\n");
	assert_int_equal(config_slots_take(c, text), 0);
	free(text);
	assert_int_equal(config_slots_take(c, "0 iqn.2026-11.x:t1\n"), 0);
	assert_int_equal(c->target[1].slot, 0);
	assert_int_equal(c->target[0].slot, 1);
	for (size_t i = 0; i < 6; i++) {
		static const char *const bad[] = { "x", "1\n", "1 a", "256 a\n", "1 a\n1 b\n", "-1 a\n" };

		assert_int_equal(config_slots_take(c, bad[i]), -EBADMSG);
		assert_int_equal(c->target[0].slot, 1);
	}
	config_free(c);
}

static void test_adopt(void **state)
{
	struct config *own = edited("{name: g0, hold_limit: 5s}", "{name: g2}, {name: g0}");
	struct config *gen = edited("size: 1G, create", "size: 2G, create"), *less;
	char err[300] = "";

	(void)state;
	assert_int_equal(config_adopt(own, gen, false, err, sizeof(err)), 0);
	assert_int_equal(own->lu[0].disk.size, 2ull << 30);
	assert_string_equal(own->group[own->lu[0].group].name, "g0"); /* it has another place there */
	assert_int_equal(own->ngroups, 3);
	assert_int_equal(own->group[own->lu[0].group].hold_limit_ms, 5000);
	config_free(gen);
	less = edited("{name: g1}", "{name: g1}, {name: g7}");
	less->lu[0].group = 2;
	assert_int_equal(config_adopt(own, less, false, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "g7"));
	assert_int_equal(own->lu[0].disk.size, 2ull << 30);
	config_free(less);
	config_free(own);
}

/* The groups are the generation's, with all that it says of them. */
static void test_adopt_groups(void **state)
{
	struct config *own = edited("{name: g0, hold_limit: 5s}, {name: g1}",
				    "{name: g2}, {name: g1, preferred: b}, {name: g0}");
	struct config *gen = edited("{name: g1}", "{name: g1, non_owner: forward, preferred: a}, {name: g7}");
	char *names[] = { "g0", "g1", "g7" }, **of_own;
	char err[300] = "";

	(void)state;
	assert_int_equal(config_adopt(own, gen, true, err, sizeof(err)), 0);
	assert_int_equal(own->ngroups, 3);
	assert_true(config_has_groups(own, names, 3));
	assert_false(config_has_groups(own, names, 2));
	assert_false(config_has_groups(gen, names, 3));
	assert_string_equal(own->group[own->lu[1].group].name, "g1");
	assert_int_equal(own->group[1].non_owner, NON_OWNER_FORWARD);
	assert_int_equal(own->group[1].preferred, 0);
	assert_int_equal(own->group[0].hold_limit_ms, 5000);
	of_own = config_group_names(own);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(of_own[i], names[i]);
	free(of_own);
	of_own = config_group_names(gen); /* of the file: in another order */
	assert_string_equal(of_own[0], "g0");
	assert_string_equal(of_own[2], "g2");
	free(of_own);
	config_free(gen);
	config_free(own);
}

/* What differs in the fixed digest is what diff refuses, and only that: else nodes would refuse each other, or not. */
static void test_fixed_digest(void **state)
{
	struct config *base = parse(BASE);
	uint8_t before[32], after[32];

	(void)state;
	config_fixed_digest(base, before);
	for (size_t i = 0; i < sizeof(one_change) / sizeof(one_change[0]); i++) {
		struct config *next = edited(one_change[i].from, one_change[i].to);
		struct config_diff d;
		bool fixed;

		assert_int_equal(config_diff(&d, base, next, false), 0);
		fixed = d.nrefused && strncmp(config_diff_refusal(&d), "LUN", 3);
		config_fixed_digest(next, after);
		if (!memcmp(before, after, 32) == fixed)
			fail_msg("\"%s\": the fixed digest must %s", one_change[i].to, fixed ? "change" : "stay");
		config_diff_fini(&d);
		config_free(next);
	}
	config_free(base);
}

/* What a restart of one node after the other can change is not in it. */
static void test_nodes_digest(void **state)
{
	static const struct {
		const char *from, *to;
		bool counts;
	} change[] = {
		{ "cluster: {name: c}", "cluster: {name: d}", true },
		{ "cluster: {name: c}", "cluster: {name: c, log: local}", true },
		{ "cluster: {name: c}", "cluster: {name: c, link_tls: yes}", true },
		{ "cluster: {name: c}", "cluster: {name: c, explicit_alua: yes}", true },
		{ "cluster: {name: c}", "cluster: {name: c, management_url: http://c}", true },
		{ "name: b, id: 2", "name: b, id: 3", true },
		{ "name: b, id: 2", "name: x, id: 2", true },
		{ "groups:", "  - {name: x, id: 3, portals: [\"10.0.0.3\"]}\ngroups:", true },
		{ "[\"10.0.0.1\"]", "[\"10.0.0.1\", \"10.0.1.1\"]", false },
		{ "[\"10.0.0.1\"]", "[\"10.0.0.1\"], link: \"10.9.0.1\"", false },
		{ "luns:\n", "iscsi: {nop_interval: 7s}\nluns:\n", false },
		{ "{name: g1}", "{name: g1, non_owner: forward}, {name: g2}", false },
	};
	struct config *base = parse(BASE);
	uint8_t before[32], after[32];

	(void)state;
	config_nodes_digest(base, before);
	for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		struct config *next = edited(change[i].from, change[i].to);

		config_nodes_digest(next, after);
		if (!memcmp(before, after, 32) == change[i].counts)
			fail_msg("\"%s\": the digest must %s", change[i].to, change[i].counts ? "change" : "stay");
		config_free(next);
	}
	config_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_change), cmocka_unit_test(test_no_change), cmocka_unit_test(test_slots),
		cmocka_unit_test(test_adopt),	   cmocka_unit_test(test_fixed_digest),
		cmocka_unit_test(test_adopt_groups), cmocka_unit_test(test_nodes_digest),
		cmocka_unit_test(test_groups_that_are_each_files), cmocka_unit_test(test_groups_go_without_luns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
