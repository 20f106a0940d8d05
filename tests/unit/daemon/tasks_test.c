/* SPDX-License-Identifier: BSD-2-Clause */
/* The replicated service of task management: what each member does for one proposal, and that bad ones do nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/lu.h"
#include "daemon/tasks.h"
#include "daemon/tasks.pb-c.h"

static const struct nexus_id by = { .rtpi = 258, .port = "iqn.2026-11.test:a,i,0x00023d000001" };

static void run(struct apply *a, enum tmf_function fn)
{
	struct lu lu = { .name = "disk0" };
	const struct tmf_everywhere e = { .function = fn, .lu = &lu, .by = &by };
	struct wbuf msg = { 0 };

	*a = (struct apply){ .position = 1 };
	tasks_pack(&msg, &e);
	assert_int_equal(tasks_service_ops.apply(NULL, a, msg.data, msg.len), 0);
	wbuf_fini(&msg);
	for (uint32_t i = 0; i < a->neffects; i++)
		assert_string_equal(a->effect[i].object, "disk0");
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

	assert_int_equal(tasks_service_ops.apply(NULL, &a, msg, len), -EBADMSG);
	assert_int_equal(a.neffects, 0);
	apply_fini(&a);
}

static Tasks__Request good_request(void)
{
	Tasks__Request q = TASKS__REQUEST__INIT;

	q.function = TASKS__FUNCTION__FUNCTION_LUN_RESET;
	q.lu = "disk0";
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

static void no_state(void **state)
{
	struct wbuf b = { 0 };
	char err[256] = "";

	(void)state;
	tasks_service_ops.snapshot(NULL, &b);
	assert_int_equal(b.len, 0);
	assert_int_equal(tasks_service_ops.restore(NULL, b.data, b.len, err, sizeof(err)), 0);
	assert_int_equal(tasks_service_ops.restore(NULL, (const uint8_t *)"x", 1, err, sizeof(err)), -EBADMSG);
	assert_true(err[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lun_reset), cmocka_unit_test(clear_task_set), cmocka_unit_test(abort_others),
		cmocka_unit_test(malformed), cmocka_unit_test(no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
