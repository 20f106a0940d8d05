/* SPDX-License-Identifier: BSD-2-Clause */
/* The replicated service of task management: what each member does for one proposal, what is left of it, and that bad ones do
 * nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/lu.h"
#include "daemon/tasks.h"
#include "daemon/tasks.pb-c.h"

static const struct nexus_id by = { .rtpi = 258, .port = "iqn.2026-11.test:a,i,0x00023d000001" };

static void propose(struct tasks_service *svc, struct apply *a, const char *name, enum tmf_function fn, uint64_t id)
{
	struct lu lu = { .index = 0 };
	const struct tmf_everywhere e = { .function = fn, .lu = &lu, .by = &by };
	struct wbuf msg = { 0 };

	snprintf(lu.name, sizeof(lu.name), "%s", name);
	*a = (struct apply){ .position = 1 };
	tasks_pack(&msg, &e, id);
	assert_int_equal(tasks_service_ops.apply(svc, a, msg.data, msg.len), 0);
	wbuf_fini(&msg);
	for (uint32_t i = 0; i < a->neffects; i++)
		assert_string_equal(a->effect[i].object, name);
}

static void run(struct apply *a, enum tmf_function fn)
{
	struct tasks_service svc = { 0 };

	propose(&svc, a, "disk0", fn, 7);
	tasks_clear(&svc);
}

static void lun_reset(void **state)
{
	struct apply a;

	(void)state;
	run(&a, TMF_LUN_RESET);
	assert_int_equal(a.neffects, 2);
	assert_int_equal(a.effect[0].kind, EFFECT_UA); /* of the nexus that asks for it, too: SAM-5 6.3.3 */
	assert_int_equal(a.effect[0].ua, UA_BUS_DEVICE_RESET);
	assert_int_equal(a.effect[0].scope, UA_SCOPE_ALL);
	assert_int_equal(a.effect[1].kind, EFFECT_ABORT);
	assert_int_equal(a.effect[1].scope, UA_SCOPE_ALL);
	assert_true(a.effect[1].reset && a.effect[1].clears_aca);
	assert_true(nexus_id_eq(&a.effect[1].by, &by));
	apply_fini(&a);
}

static void clear_task_set(void **state)
{
	struct apply a;

	(void)state;
	run(&a, TMF_CLEAR_TASK_SET);
	assert_int_equal(a.neffects, 1); /* the unit attention is for those who lose commands */
	assert_int_equal(a.effect[0].kind, EFFECT_ABORT);
	assert_int_equal(a.effect[0].scope, UA_SCOPE_ALL);
	assert_false(a.effect[0].reset || a.effect[0].clears_aca);
	assert_true(nexus_id_eq(&a.effect[0].by, &by));
	apply_fini(&a);
}

static void abort_others(void **state)
{
	struct apply a;

	(void)state;
	run(&a, TMF_ABORT_OTHERS);
	assert_int_equal(a.neffects, 1);
	assert_int_equal(a.effect[0].kind, EFFECT_ABORT);
	assert_int_equal(a.effect[0].scope, UA_SCOPE_ALL_BUT);
	assert_int_equal(a.effect[0].nids, 1);
	assert_true(nexus_id_eq(&a.effect[0].ids[0], &by));
	apply_fini(&a);
}

static void refuse(const void *msg, size_t len)
{
	struct apply a = { .position = 1 };
	struct tasks_service svc = { 0 };

	assert_int_equal(tasks_service_ops.apply(&svc, &a, msg, len), -EBADMSG);
	assert_int_equal(a.neffects, 0);
	assert_int_equal(svc.n, 0);
	apply_fini(&a);
}

static Tasks__Request good_request(void)
{
	Tasks__Request q = TASKS__REQUEST__INIT;

	q.function = TASKS__FUNCTION__FUNCTION_LUN_RESET;
	q.lu = "disk0";
	q.id = 7;
	q.port = (ProtobufCBinaryData){ .len = 3, .data = (uint8_t *)"iqn" };
	return q;
}

static void refuse_request(const Tasks__Request *q)
{
	uint8_t buf[1024];

	refuse(buf, tasks__request__pack(q, buf));
}

static void malformed(void **state)
{
	static char lu[LU_NAME_MAX + 2];
	static uint8_t port[PORT_NAME_MAX + 1];
	Tasks__Request q;

	(void)state;
	refuse(NULL, 0);
	refuse("\xff\xff\xff", 3);
	q = good_request();
	q.function = TASKS__FUNCTION__FUNCTION_NONE;
	refuse_request(&q);
	q.function = 77;
	refuse_request(&q);
	q = good_request();
	q.lu = "";
	refuse_request(&q);
	q.lu = memset(lu, 'x', LU_NAME_MAX + 1);
	refuse_request(&q);
	q = good_request();
	q.port.len = 0;
	refuse_request(&q);
	q.port = (ProtobufCBinaryData){ .len = sizeof(port), .data = memset(port, 'x', sizeof(port)) };
	refuse_request(&q);
	port[3] = 0;
	q.port.len = 5;
	refuse_request(&q);
	q = good_request();
	q.rtpi = 65536;
	refuse_request(&q);
}

static void is_last(const struct tasks_service *svc, const char *lu, uint64_t any, uint64_t reset)
{
	struct lu_ended last = tasks_last(svc, lu);

	assert_int_equal(last.any, any);
	assert_int_equal(last.reset, reset);
}

/* The last function of each logical unit, and the last reset among them. */
static void last_functions(void **state)
{
	static const struct {
		const char *lu;
		enum tmf_function fn;
		uint64_t any, reset; /* afterwards */
	} steps[] = {
		{ "disk1", TMF_CLEAR_TASK_SET, 1, 0 }, { "disk0", TMF_LUN_RESET, 2, 2 }, { "disk1", TMF_LUN_RESET, 3, 3 },
		{ "disk1", TMF_ABORT_OTHERS, 4, 3 },   { "disk2", TMF_ABORT_OTHERS, 5, 0 },
	};
	struct tasks_service svc = { 0 };

	(void)state;
	is_last(&svc, "disk0", 0, 0);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct apply a;

		propose(&svc, &a, steps[i].lu, steps[i].fn, i + 1);
		apply_fini(&a);
		is_last(&svc, steps[i].lu, steps[i].any, steps[i].reset);
	}
	is_last(&svc, "disk0", 2, 2);
	assert_int_equal(svc.n, 3);
	tasks_clear(&svc);
}

/* As version 2 of the protocol has it: carried out, and the snapshot is empty, as that version wants it. */
static void without_an_identity_it_is_not_remembered(void **state)
{
	struct tasks_service svc = { 0 };
	struct wbuf b = { 0 };
	struct apply a;

	(void)state;
	propose(&svc, &a, "disk0", TMF_LUN_RESET, 0);
	assert_int_equal(a.neffects, 2);
	apply_fini(&a);
	is_last(&svc, "disk0", 0, 0);
	tasks_service_ops.snapshot(&svc, &b);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 0);
	wbuf_fini(&b);
	propose(&svc, &a, "disk0", TMF_LUN_RESET, 5);
	apply_fini(&a);
	propose(&svc, &a, "disk0", TMF_LUN_RESET, 0); /* on its way when the version rose */
	apply_fini(&a);
	is_last(&svc, "disk0", 5, 5);
	tasks_clear(&svc);
}

static void take(struct tasks_service *svc, const struct wbuf *b, int expected)
{
	char err[256] = "";

	assert_int_equal(tasks_service_ops.restore(svc, b->data, b->len, err, sizeof(err)), expected);
	assert_true(!err[0] == !expected);
}

static void snapshots(void **state)
{
	struct tasks_service svc = { 0 }, joiner = { 0 };
	struct wbuf none = { 0 }, b = { 0 }, again = { 0 };
	struct apply a;

	(void)state;
	tasks_service_ops.snapshot(&svc, &none);
	assert_int_equal(none.len, 0); /* the initial state: service.h, since */
	propose(&svc, &a, "disk1", TMF_LUN_RESET, 1ull << 63 | 5);
	apply_fini(&a);
	propose(&svc, &a, "disk0", TMF_CLEAR_TASK_SET, 6);
	apply_fini(&a);
	tasks_service_ops.snapshot(&svc, &b);
	take(&joiner, &b, 0);
	is_last(&joiner, "disk1", 1ull << 63 | 5, 1ull << 63 | 5);
	is_last(&joiner, "disk0", 6, 0);
	tasks_service_ops.snapshot(&joiner, &again);
	assert_int_equal(b.len, again.len);
	assert_memory_equal(b.data, again.data, b.len);
	take(&joiner, &none, 0);
	assert_int_equal(joiner.n, 0);
	tasks_clear(&svc);
	wbuf_fini(&b);
	wbuf_fini(&again);
}

static void refuse_snapshot(Tasks__Lu *first, Tasks__Lu *second)
{
	Tasks__Lu *list[] = { first, second };
	Tasks__Snapshot s = TASKS__SNAPSHOT__INIT;
	struct tasks_service svc = { 0 };
	struct apply a;
	uint8_t buf[1024];

	s.n_lu = second ? 2 : 1;
	s.lu = list;
	propose(&svc, &a, "disk0", TMF_LUN_RESET, 9);
	apply_fini(&a);
	take(&svc, &(struct wbuf){ .data = buf, .len = tasks__snapshot__pack(&s, buf) }, -EBADMSG);
	is_last(&svc, "disk0", 9, 9); /* nothing has changed */
	tasks_clear(&svc);
}

static void malformed_snapshots(void **state)
{
	Tasks__Lu good = TASKS__LU__INIT, bad = TASKS__LU__INIT;
	struct tasks_service svc = { 0 };

	(void)state;
	take(&svc, &(struct wbuf){ .data = (uint8_t *)"x", .len = 1 }, -EBADMSG);
	good.name = "disk1";
	good.ended = 1;
	refuse_snapshot(&good, &good);
	bad.ended = 1;
	refuse_snapshot(&good, &bad);
	bad.name = "disk2";
	bad.ended = 0;
	refuse_snapshot(&good, &bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lun_reset), cmocka_unit_test(clear_task_set), cmocka_unit_test(abort_others),
		cmocka_unit_test(malformed), cmocka_unit_test(last_functions),
		cmocka_unit_test(without_an_identity_it_is_not_remembered), cmocka_unit_test(snapshots),
		cmocka_unit_test(malformed_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
