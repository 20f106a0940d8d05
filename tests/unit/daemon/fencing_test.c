/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of a member that was lost, between the log and the data path (P2): that its group has a new owner tells
 * that it is off; until then what its initiators had by RESERVE is enforced, and answers that it could contradict wait.
 *
 *   node 1: this one, with logical units disk0 and disk1 and one reactor whose messages the test runs; node 3 is lost
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alua/alua_service.h"
#include "daemon/config/service.h"
#include "daemon/daemon.h"
#include "daemon/tasks.h"
#include "directory/directory_service.h"
#include "media/media_service.h"
#include "media/mode_service.h"
#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_service.h"

static struct {
	struct daemon d;
	struct reactor reactor;
	struct lu *lu[2];
	uint32_t unfenced[2];
	size_t nunfenced;
	uint32_t fenced; /* that the log was told of; 0: nobody */
	unsigned done;	 /* runs that were carried out */
} f;

/* ---- in place of cluster/ and daemon/main.c ------------------------------------------------------- */

size_t cluster_unfenced(const struct cluster *c, uint32_t *out, size_t max)
{
	assert_ptr_equal(c, f.d.cluster);
	assert_true(f.nunfenced <= max);
	memcpy(out, f.unfenced, f.nunfenced * sizeof(out[0]));
	return f.nunfenced;
}

void cluster_owner_fenced(struct cluster *c, uint32_t node)
{
	assert_ptr_equal(c, f.d.cluster);
	assert_int_equal(f.fenced, 0);
	f.fenced = node;
}

void cluster_effects_done(struct cluster *c, struct effects_run *run, bool ok)
{
	assert_ptr_equal(c, f.d.cluster);
	assert_non_null(run);
	assert_true(ok);
	f.done++;
}

enum cluster_state cluster_state(const struct cluster *c)
{
	(void)c;
	return CLUSTER_SERVING;
}

bool cluster_has(const struct cluster *c, uint16_t service)
{
	(void)c, (void)service;
	return true;
}

/* Not asked here. */
void cluster_published(struct cluster *c, bool ok)
{
	(void)c, (void)ok;
	fail();
}

struct proposer *cluster_proposer(struct cluster *c)
{
	(void)c;
	fail();
	return NULL;
}

void cluster_lineage(const struct cluster *c, struct replog_lineage *l)
{
	(void)c, (void)l;
	fail();
}

uint32_t cluster_version(const struct cluster *c)
{
	(void)c;
	fail();
	return 0;
}

const char *cluster_why(const struct cluster *c)
{
	(void)c;
	fail();
	return NULL;
}

const char *cluster_state_name(enum cluster_state s)
{
	(void)s;
	fail();
	return NULL;
}

int daemon_open_portals(struct daemon *d, char *err, size_t errlen)
{
	(void)d, (void)err, (void)errlen;
	fail();
	return -1;
}

void daemon_shutdown(struct daemon *d, const char *why)
{
	(void)d, (void)why;
	fail();
}

/* ---- the node ------------------------------------------------------------------------------------------ */

static int setup(void **state)
{
	static char some;
	static const char *const groups[] = { "g0" };

	(void)state;
	memset(&f, 0, sizeof(f));
	f.d.node = 1;
	f.d.cluster = (struct cluster *)&some;
	f.d.core.nreactors = 1;
	f.d.core.reactor = &f.reactor;
	f.reactor.core = &f.d.core;
	assert_int_equal(mailbox_init(&f.reactor.mailbox), 0);
	assert_int_equal(mailbox_init(&f.d.core.control), 0);
	f.d.core.lu = f.lu;
	f.d.core.nlus = 2;
	f.lu[0] = lu_new(&f.d.core, "disk0");
	f.lu[1] = lu_new(&f.d.core, "disk1");
	f.lu[1]->index = 1;
	f.d.alua = alua_service_new(groups, 1);
	f.d.pr = pr_service_new();
	f.d.pr->may_live = (struct pr_may_live){ effects_may_live, &f.d };
	f.d.media = media_service_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		pr_view_free(f.lu[i]->resv);
		lu_free(f.lu[i]);
	}
	alua_service_free(f.d.alua);
	pr_service_free(f.d.pr);
	media_service_free(f.d.media);
	mailbox_fini(&f.reactor.mailbox);
	mailbox_fini(&f.d.core.control);
	return 0;
}

static void run_reactor(void)
{
	mailbox_run(&f.reactor.mailbox);
	mailbox_run(&f.d.core.control);
}

static void carry_out(const struct service_ops *ops, void *state, struct apply *a)
{
	const struct service service = { ops, state };
	struct effects_run run = { .service = &service, .position = 1, .origin = 1, .effect = a->effect, .n = a->neffects };
	unsigned done = f.done;

	effects_run(&f.d, &run);
	run_reactor();
	assert_int_equal(f.done, done + 1);
	apply_fini(a);
}

/* RESERVE by an initiator of node 3, in the log. */
static void reserve(const char *lu)
{
	struct pr_msg m = { .kind = PR_OP_SPC2_RESERVE, .nexus = { .rtpi = 3, .port = "iqn.2026-11.test:a,i,0x1" } };
	struct apply a = { .position = 1, .origin = 3 };
	struct wbuf b = { 0 };

	strncpy(m.lu, lu, LU_NAME_MAX);
	pr_msg_encode(&m, &b);
	assert_int_equal(pr_service_ops.apply(f.d.pr, &a, b.data, b.len), 0);
	wbuf_fini(&b);
	carry_out(&pr_service_ops, f.d.pr, &a);
}

static void lose_node_3(void)
{
	struct apply a = { .position = 2 };

	f.unfenced[0] = 2;
	f.unfenced[1] = 3;
	f.nunfenced = 2;
	pr_service_ops.members(f.d.pr, &a, (const uint32_t[]){ 1 }, 1);
	carry_out(&pr_service_ops, f.d.pr, &a);
}

static bool is_enforced(unsigned lu)
{
	return f.lu[lu]->resv && f.lu[lu]->resv->kind == RESV_KIND_SPC2 && f.lu[lu]->resv->holder.rtpi == 3;
}

/* ---- the tests ------------------------------------------------------------------------------------------- */

/* Pacemaker promotes only what it knows to be free: the log need not wait for another word. */
static void a_new_owner_tells_that_the_lost_one_is_off(void **state)
{
	struct apply a = { .position = 1 };

	(void)state;
	apply_effect(&a, EFFECT_FENCED, "g0")->node = 3;
	carry_out(&alua_service_ops, f.d.alua, &a);
	assert_int_equal(f.fenced, 3);
}

static void other_news_of_a_group_tell_nothing_of_anybody(void **state)
{
	static const enum effect_kind kinds[] = { EFFECT_PUBLISH, EFFECT_DRAIN, EFFECT_OWNER, EFFECT_PERSIST };

	(void)state;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct apply a = { .position = 1 };

		apply_effect(&a, kinds[i], "g0")->node = 3;
		carry_out(&alua_service_ops, f.d.alua, &a);
		assert_int_equal(f.fenced, 0);
	}
}

static void who_is_waited_for_may_live(void **state)
{
	(void)state;
	assert_false(effects_may_live(&f.d, 3));
	f.unfenced[0] = 2;
	f.unfenced[1] = 3;
	f.nunfenced = 2;
	assert_true(effects_may_live(&f.d, 2));
	assert_true(effects_may_live(&f.d, 3));
	assert_false(effects_may_live(&f.d, 4));
	f.d.cluster = NULL; /* while the daemon starts */
	assert_false(effects_may_live(&f.d, 3));
}

/* No message of the log tells it: the reservation ends for the data path when the last word of that node is heard. */
static void a_lost_nodes_reserve_is_enforced_until_it_is_settled(void **state)
{
	const struct resv_view *other;

	(void)state;
	reserve("disk0");
	reserve("disk1");
	assert_true(is_enforced(0) && is_enforced(1));
	lose_node_3();
	assert_true(is_enforced(0) && is_enforced(1));
	f.nunfenced = 1; /* 2 is still waited for */
	effects_settled(&f.d, 3);
	run_reactor();
	assert_null(f.lu[0]->resv);
	assert_null(f.lu[1]->resv);

	other = f.lu[1]->resv;
	reserve("disk0");
	lose_node_3();
	effects_settled(&f.d, 2); /* which says nothing of 3 */
	run_reactor();
	assert_true(is_enforced(0));
	assert_ptr_equal(f.lu[1]->resv, other);
}

static void a_logical_unit_where_nothing_lingers_is_left_alone(void **state)
{
	const struct resv_view *before;

	(void)state;
	reserve("disk1");
	before = f.lu[1]->resv;
	effects_settled(&f.d, 3);
	run_reactor();
	assert_ptr_equal(f.lu[1]->resv, before);
}

/* Its process ended and the node is up: it can do no harm, unless it was about to write. A node that is down may be up
 * for itself. */
static void who_is_harmless(void **state)
{
	struct group *g = (struct group *)alua_service_find(f.d.alua, "g0");

	(void)state;
	assert_true(effects_harmless(&f.d, 3, false));
	assert_false(effects_harmless(&f.d, 3, true));
	g->owner = 3;
	g->phase = GROUP_ACTIVE;
	assert_false(effects_harmless(&f.d, 3, false));
	assert_true(effects_harmless(&f.d, 2, false));
}

/* What the lost node can contradict, while it serves on its side, is not answered before it is off. A promotion is that
 * very news, and no command depends on the directory. */
static void which_answers_wait(void **state)
{
	static const struct service_ops *const wait[] = { &pr_service_ops, &media_service_ops, &mode_service_ops,
							  &tasks_service_ops, &config_service_ops };
	static const struct service_ops *const dont[] = { &alua_service_ops, &directory_service_ops };

	(void)state;
	for (unsigned i = 0; i < sizeof(wait) / sizeof(wait[0]); i++)
		if (!wait[i]->waits_for_fencing)
			fail_msg("%s does not wait", wait[i]->name);
	for (unsigned i = 0; i < sizeof(dont) / sizeof(dont[0]); i++)
		if (dont[i]->waits_for_fencing)
			fail_msg("%s waits", dont[i]->name);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_owner_tells_that_the_lost_one_is_off),
		T(other_news_of_a_group_tell_nothing_of_anybody),
		T(who_is_waited_for_may_live),
		T(a_lost_nodes_reserve_is_enforced_until_it_is_settled),
		T(a_logical_unit_where_nothing_lingers_is_left_alone),
		T(who_is_harmless),
		T(which_answers_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
