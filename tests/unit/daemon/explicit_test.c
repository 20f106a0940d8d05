/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SET TARGET PORT GROUPS that waits for the cluster manager, and is aborted meanwhile.
 *
 *   reactor ── nexus a, nexus b ── one logical unit of group g0, which node 1 owns; asked for is node 2, which never comes
 *
 * Cluster and loop are not run: whatever is answered here is answered by the abort.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alua/alua.h"
#include "cluster/replog.h"
#include "core/buf.h"
#include "core/target.h"
#include "core/tmf.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/explicit.h"

enum { A, B, NEXUSES };

struct slot {
	struct scsi_cmd cmd;
	bool ended;
};

struct rig {
	struct daemon d;
	struct config config;
	struct ownership o;
	struct ownership *owned;
	struct reactor reactor;
	struct lu *lu;
	struct alua_tpg tpg[2];
	struct alua_gate gate;
	struct mode_state mode;
	struct target target;
	struct target_port port;
	struct initiator_acl acl;
	struct lun_entry lun;
	char *pattern[1];
	struct nexus nexus[NEXUSES];
	struct slot slot[4];
	unsigned used;
	struct tmf tmf;
	bool managed;
};

/* ---- instead of the cluster ------------------------------------------------------------------------ */

enum cluster_state cluster_state(const struct cluster *c)
{
	(void)c;
	return CLUSTER_SERVING;
}

uint32_t cluster_version(const struct cluster *c)
{
	(void)c;
	return REPLOG_VERSION;
}

struct proposer *cluster_proposer(struct cluster *c)
{
	(void)c;
	fail_msg("nothing is proposed: the group does not move");
	return NULL;
}

const char *daemon_node_name(const struct daemon *d, uint32_t id)
{
	(void)d, (void)id;
	return "node-b";
}

/* ---- the rig ------------------------------------------------------------------------------------------ */

static void reactor_setup(struct rig *r)
{
	struct reactor *re = &r->reactor;

	re->core = &r->d.core;
	CDS_INIT_LIST_HEAD(&re->timers);
	CDS_INIT_LIST_HEAD(&re->hooks);
	CDS_INIT_LIST_HEAD(&re->nexuses);
	assert_int_equal(mailbox_init(&re->mailbox), 0);
	assert_int_equal(mailbox_init(&r->d.core.control), 0);
	re->bufs = buf_pool_new(4u << 20);
	assert_non_null(re->bufs);
	r->d.core.nreactors = 1;
	r->d.core.reactor = re;
}

static void lu_setup(struct rig *r)
{
	r->tpg[0] = (struct alua_tpg){ .id = 1, .state = ALUA_OPTIMIZED };
	r->tpg[1] = (struct alua_tpg){ .id = 2, .state = ALUA_STANDBY };
	r->gate = (struct alua_gate){ .medium = GATE_ADMIT, .owner = 1, .ntpg = 2, .tpg = r->tpg };
	r->mode.tas = 1;
	r->lu = lu_new(&r->d.core, "disk0");
	assert_non_null(r->lu);
	r->lu->block_size = 512;
	r->lu->gate = &r->gate;
	r->lu->mode = &r->mode;
	r->lu->control_data = &r->o;
}

static void nexus_setup(struct rig *r, unsigned i)
{
	struct nexus *n = &r->nexus[i];

	n->target = &r->target;
	snprintf(n->initiator, sizeof(n->initiator), "iqn.2026-11.test:%c", 'a' + i);
	snprintf(n->id.port, sizeof(n->id.port), "iqn.2026-11.test:%c,i,0x00023d000001", 'a' + i);
	n->id.rtpi = 7;
	assert_int_equal(nexus_attach(n, &r->reactor), 0);
	n->itl[0].ua.n = 0;
}

static int setup(void **state)
{
	static const char *const groups[] = { "g0" };
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	reactor_setup(r);
	lu_setup(r);
	r->pattern[0] = "*";
	r->lun = (struct lun_entry){ .lun = 0, .lu = r->lu };
	r->acl = (struct initiator_acl){ .pattern = r->pattern, .npatterns = 1, .lun = &r->lun, .nluns = 1 };
	r->port = (struct target_port){ .tpgt = 1, .rtpi = 7 };
	r->target = (struct target){ .name = "iqn.2026-11.test:t", .core = &r->d.core, .nports = 1, .port = &r->port,
				     .nacls = 1, .acl = &r->acl };
	for (unsigned i = 0; i < NEXUSES; i++)
		nexus_setup(r, i);
	r->config.explicit_alua = true;
	r->config.move_program = "/bin/true";
	r->d.config = &r->config;
	r->d.alua = alua_service_new(groups, 1);
	r->d.loop = qb_loop_create();
	r->owned = &r->o;
	r->d.ownership = &r->owned;
	r->d.ngroups = 1;
	r->o.d = &r->d;
	snprintf(r->o.group, sizeof(r->o.group), "g0");
	explicit_wire(&r->d);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < r->used; i++) {
		assert_true(r->slot[i].ended);
		cmd_fini(&r->slot[i].cmd);
	}
	explicit_fini(&r->o);
	assert_null(r->o.move);
	for (unsigned i = 0; i < NEXUSES; i++)
		nexus_detach(&r->nexus[i]);
	lu_free(r->lu);
	alua_service_free(r->d.alua);
	qb_loop_destroy(r->d.loop);
	buf_pool_free(r->reactor.bufs);
	mailbox_fini(&r->reactor.mailbox);
	mailbox_fini(&r->d.core.control);
	free(r);
	return 0;
}

static void mail(struct rig *r)
{
	while (mailbox_run(&r->reactor.mailbox) | mailbox_run(&r->d.core.control))
		;
}

static void on_done(struct scsi_cmd *cmd)
{
	caa_container_of(cmd, struct slot, cmd)->ended = true;
}

/* Node 2 is to be active; on its way to the control thread. */
static struct slot *ask(struct rig *r, unsigned nexus)
{
	static const uint8_t cdb[12] = { 0xa4, 0x0a, [9] = 8 }, list[8] = { [7] = 2 };
	struct slot *s = &r->slot[r->used++];

	s->cmd = (struct scsi_cmd){ .nexus = &r->nexus[nexus], .tag = r->used, .write = true, .expected_len = sizeof(list),
				    .done = on_done };
	memcpy(s->cmd.cdb, cdb, sizeof(cdb));
	cmd_init(&s->cmd);
	cmd_decode(&s->cmd);
	assert_true(cmd_buf_alloc(&s->cmd, sizeof(list)));
	memcpy(s->cmd.buf, list, sizeof(list));
	s->cmd.data_out_got = sizeof(list);
	cmd_execute(&s->cmd);
	return s;
}

static void managed(struct tmf *t)
{
	caa_container_of(t, struct rig, tmf)->managed = true;
}

static void manage(struct rig *r, unsigned nexus, enum tmf_function fn, uint64_t tag)
{
	r->managed = false;
	r->tmf = (struct tmf){ .function = fn, .nexus = &r->nexus[nexus], .tag = tag, .done = managed };
	tmf_start(&r->tmf);
	mail(r);
}

/* ---- the tests ------------------------------------------------------------------------------------------ */

static void abort_task(void **state)
{
	struct rig *r = *state;
	struct slot *a = ask(r, A), *b = ask(r, B);
	struct slot *late;

	mail(r);
	assert_non_null(r->o.move);
	assert_false(a->ended || b->ended);
	manage(r, A, TMF_ABORT_TASK, a->cmd.tag);
	assert_true(r->managed && r->tmf.response == TMF_COMPLETE);
	assert_true(a->ended && a->cmd.aborted);
	assert_false(b->ended); /* it has not asked for that */
	manage(r, B, TMF_ABORT_TASK, b->cmd.tag);
	assert_true(b->ended && b->cmd.aborted);
	assert_non_null(r->o.move); /* the cluster manager is still at it */
	late = ask(r, A);
	mail(r);
	assert_true(late->ended && late->cmd.status == STATUS_CHECK_CONDITION);
}

static void logical_unit_reset(void **state)
{
	struct rig *r = *state;
	struct slot *a = ask(r, A), *b = ask(r, B);

	mail(r);
	manage(r, A, TMF_LUN_RESET, 0);
	assert_true(r->managed && r->tmf.response == TMF_COMPLETE);
	assert_true(a->ended && a->cmd.aborted); /* its own doing */
	assert_true(b->ended && !b->cmd.aborted && b->cmd.status == STATUS_TASK_ABORTED);
}

static void on_end(struct nexus_abort *a)
{
	a->nexus->aborting = NULL;
}

static void end_of_the_nexus(void **state)
{
	struct rig *r = *state;
	struct slot *a = ask(r, A), *b = ask(r, B);
	struct nexus_abort end = { .nexus = &r->nexus[A], .fn = on_end };

	mail(r);
	nexus_abort_tasks(&end);
	mail(r);
	assert_true(a->ended && a->cmd.aborted && !b->ended);
	assert_null(r->nexus[A].aborting);
	manage(r, B, TMF_ABORT_TASK_SET, 0);
	assert_true(b->ended);
}

static void aborted_on_its_way(void **state)
{
	struct rig *r = *state;
	struct slot *a = ask(r, A);

	cmd_abort_silently(&a->cmd);
	mail(r);
	assert_true(a->ended && a->cmd.aborted);
	assert_null(r->o.move); /* nobody was asked to move anything */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(abort_task), T(logical_unit_reset), T(end_of_the_nexus), T(aborted_on_its_way) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
