/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of the commands: parameter lists of PERSISTENT RESERVE OUT (SPC-4 6.16), parameter data of PERSISTENT RESERVE IN
 * (6.15), TransportIDs (7.6.4.6).
 *
 *   target with ports 1, 2, 3; the command comes from initiator port A through port 1
 */
#include "pr_fixture.h"

#include <time.h>

#include "core/wire.h"
#include "pr-sync/pr_in.h"
#include "pr-sync/pr_param.h"
#include "pr-sync/transport_id.h"

static struct target_port ports[] = { { .rtpi = 1 }, { .rtpi = 2 }, { .rtpi = 3 } };
static const struct target target = { .nports = 3, .port = ports };

struct list {
	uint8_t cdb[10];
	uint8_t data[2048];
	size_t len;
};

static struct list list(enum pr_action action, uint64_t key, uint64_t sa_key, uint8_t flags)
{
	struct list l = { .cdb = { 0x5f, action, 0x05 }, .len = 24 };

	put_be64(l.data, key);
	put_be64(l.data + 8, sa_key);
	l.data[20] = flags;
	return l;
}

static int parse(struct pr_param *p, const struct list *l, struct pr_param_error *e)
{
	struct nexus_id a = nexus('A', 1);

	return pr_param_parse(p, l->cdb, l->data, l->len, l->len, &a, &target, e);
}

static void assert_refused(const struct list *l, sense_t sense, int field)
{
	struct pr_param_error e = { 0 };
	struct pr_param p;

	assert_int_equal(parse(&p, l, &e), -1);
	assert_int_equal(e.sense, sense);
	assert_int_equal(e.detail.field, field);
	pr_param_fini(&p);
}

/* ---- PERSISTENT RESERVE OUT ------------------------------------------------------------------ */

static void basic_list(void **state)
{
	struct list l = list(PR_PREEMPT, 0x1122334455667788, 0x8877665544332211, 0);
	struct pr_param_error e;
	struct pr_param p;

	(void)state;
	assert_int_equal(parse(&p, &l, &e), 0);
	assert_int_equal(p.op.action, PR_PREEMPT);
	assert_int_equal(p.op.type, 5);
	assert_int_equal(p.op.scope, 0);
	assert_true(p.op.key == 0x1122334455667788 && p.op.sa_key == 0x8877665544332211);
	assert_false(p.op.aptpl || p.op.all_tg_pt || p.op.spec_i_pt);
	pr_param_fini(&p);
}

static void flags_of_registrations(void **state)
{
	struct list l = list(PR_REGISTER_AND_IGNORE, 0, 1, 0x05); /* ALL_TG_PT, APTPL */
	struct pr_param_error e;
	struct pr_param p;

	(void)state;
	assert_int_equal(parse(&p, &l, &e), 0);
	assert_true(p.op.aptpl && p.op.all_tg_pt);
	assert_int_equal(p.op.nrtpi, 2); /* besides its own */
	assert_int_equal(p.op.rtpi[0], 2);
	assert_int_equal(p.op.rtpi[1], 3);
	pr_param_fini(&p);
	l.cdb[1] = PR_RESERVE; /* ignored there (6.16.3) */
	assert_int_equal(parse(&p, &l, &e), 0);
	assert_false(p.op.aptpl || p.op.all_tg_pt);
	pr_param_fini(&p);
}

static void length_other_than_24(void **state)
{
	struct list l = list(PR_REGISTER, 0, 1, 0);
	struct pr_param_error e = { 0 };
	struct nexus_id a = nexus('A', 1);
	struct pr_param p;

	(void)state;
	for (l.len = 0; l.len < 64; l.len++)
		if (l.len != 24)
			assert_refused(&l, SENSE_PARAMETER_LIST_LENGTH, -1);
	assert_int_equal(pr_param_parse(&p, l.cdb, l.data, 24, 23, &a, &target, &e), -1); /* 23 have come */
	assert_int_equal(e.sense, SENSE_PARAMETER_LIST_LENGTH);
	pr_param_fini(&p);
	assert_int_equal(pr_param_parse(&p, l.cdb, NULL, 0xffffffff, 0, &a, &target, &e), -1);
	pr_param_fini(&p);
}

static void unknown_service_action(void **state)
{
	(void)state;
	for (unsigned sa = 8; sa < 32; sa++) {
		struct list l = list(sa, 0, 1, 0);

		assert_refused(&l, SENSE_INVALID_FIELD_IN_CDB, 1);
	}
}

static void spec_i_pt_only_with_register(void **state)
{
	(void)state;
	for (unsigned sa = 1; sa < 7; sa++) {
		struct list l = list(sa, 0, 1, 0x08);

		assert_refused(&l, SENSE_INVALID_FIELD_IN_PARAM, 20);
	}
}

static void append_transport_id(struct list *l, const char *port)
{
	l->len += transport_id_build(port, l->data + l->len);
}

static void spec_i_pt_list(void **state)
{
	struct list l = list(PR_REGISTER, 0, 1, 0x08);
	struct nexus_id b = nexus('B', 1), c = nexus('C', 1);
	struct pr_param_error e;
	struct pr_param p;

	(void)state;
	assert_refused(&l, SENSE_PARAMETER_LIST_LENGTH, -1);
	l.len = 28;
	append_transport_id(&l, b.port);
	append_transport_id(&l, c.port);
	put_be32(l.data + 24, l.len - 28);
	assert_int_equal(parse(&p, &l, &e), 0);
	assert_true(p.op.spec_i_pt);
	assert_int_equal(p.op.nports, 2);
	assert_string_equal(p.op.port[0], b.port);
	assert_string_equal(p.op.port[1], c.port);
	pr_param_fini(&p);
	put_be32(l.data + 24, l.len - 27);
	assert_refused(&l, SENSE_PARAMETER_LIST_LENGTH, -1);
	put_be32(l.data + 24, l.len - 28);
	l.data[28] = 0x06; /* SAS */
	assert_refused(&l, SENSE_INVALID_FIELD_IN_PARAM, 28);
	l.data[28] = 0x05; /* format 00b: a device, no port */
	assert_refused(&l, SENSE_INVALID_FIELD_IN_PARAM, 28);
}

static void move_list(void **state)
{
	struct list l = list(PR_REGISTER_AND_MOVE, 1, 2, 0);
	struct nexus_id b = nexus('B', 1);
	struct pr_param_error e;
	struct pr_param p;

	(void)state;
	l.data[17] = 3; /* UNREG, APTPL */
	put_be16(l.data + 18, 3);
	append_transport_id(&l, b.port);
	put_be32(l.data + 20, l.len - 24);
	assert_int_equal(parse(&p, &l, &e), 0);
	assert_true(p.op.unreg && p.op.aptpl);
	assert_int_equal(p.op.move_to.rtpi, 3);
	assert_string_equal(p.op.move_to.port, b.port);
	pr_param_fini(&p);
	put_be16(l.data + 18, 4); /* no such port */
	assert_refused(&l, SENSE_INVALID_FIELD_IN_PARAM, 18);
	put_be16(l.data + 18, 3);
	l.len = 24;
	put_be32(l.data + 20, 0);
	assert_refused(&l, SENSE_INVALID_FIELD_IN_PARAM, 24);
}

static void random_lists_never_crash(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	struct nexus_id b = nexus('B', 1);
	struct pr_param_error e;
	struct pr_param p;

	(void)state;
	print_message("SEED=%u\n", seed);
	for (int i = 0; i < 20000; i++) {
		struct list l = list(rand_r(&seed) % 8, 0, 1, rand_r(&seed));
		uint8_t *exact;
		struct nexus_id a = nexus('A', 1);

		l.len = 28;
		append_transport_id(&l, b.port);
		put_be32(l.data + 24, l.len - 28);
		for (int k = rand_r(&seed) % 5; k > 0; k--)
			l.data[rand_r(&seed) % l.len] = rand_r(&seed);
		l.len -= rand_r(&seed) % 2 * (rand_r(&seed) % l.len);
		exact = malloc(l.len + 1); /* so that a read beyond it is seen */
		memcpy(exact, l.data, l.len);
		exact = realloc(exact, l.len ? l.len : 1);
		pr_param_parse(&p, l.cdb, exact, l.len, l.len, &a, &target, &e);
		pr_param_fini(&p);
		free(exact);
	}
}

/* ---- TransportIDs ---------------------------------------------------------------------------- */

static void transport_id_as_7_6_4_6_draws_it(void **state)
{
	static const char port[] = "iqn.1993-08.org.debian:01:abc,i,0x00023d000001";
	uint8_t tid[TRANSPORT_ID_MAX];
	char back[PORT_NAME_MAX + 1];
	size_t len = transport_id_build(port, tid);

	(void)state;
	assert_int_equal(tid[0], 0x45);
	assert_int_equal(tid[1], 0);
	assert_int_equal(get_be16(tid + 2), len - 4);
	assert_int_equal(len % 4, 0);
	assert_string_equal((char *)tid + 4, port);
	assert_true(len - 4 > strlen(port)); /* the NUL is there */
	assert_int_equal(transport_id_parse(tid, len, back), len);
	assert_string_equal(back, port);
	assert_int_equal(transport_id_parse(tid, len - 1, back), 0);
	assert_true(transport_id_build("iqn.a,i,0x1", tid) >= 24);
}

static void transport_id_names_compare_alike(void **state)
{
	uint8_t tid[TRANSPORT_ID_MAX];
	char back[PORT_NAME_MAX + 1];
	size_t len = transport_id_build("IQN.1993-08.org.Debian:01:ABC,i,0x23D000001", tid);

	(void)state;
	assert_int_equal(transport_id_parse(tid, len, back), len);
	assert_string_equal(back, "iqn.1993-08.org.debian:01:abc,i,0x00023d000001");
}

static void transport_id_refusals(void **state)
{
	static const char *const bad[] = { "iqn.1993-08.org.debian:01:abc", "iqn.1993-08.org.debian,i,0x",
					   "iqn.1993-08.org.debian,i,0x1234567890123",
					"iqn.1993-08.org.debian,i,0xxyz",
					   "host.1993-08.org.debian,i,0x1",
					",i,0x00023d000001aaaaaaaa",
					   "iqn.with "
					"space.org.debian,i,0x1",
					"iqn.1993-08.org,x,i,0x00023d000001" };
	uint8_t tid[TRANSPORT_ID_MAX];
	char back[PORT_NAME_MAX + 1];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		len = transport_id_build(bad[i], tid);
		if (transport_id_parse(tid, len, back))
			fail_msg("%s was taken", bad[i]);
	}
	len = transport_id_build("iqn.1993-08.org.debian,i,0x00023d000001", tid);
	memset(tid + 4, 'a', len - 4); /* no NUL */
	assert_int_equal(transport_id_parse(tid, len, back), 0);
}

static void longest_name_fits(void **state)
{
	char port[PORT_NAME_MAX + 1], back[PORT_NAME_MAX + 1];
	uint8_t tid[TRANSPORT_ID_MAX];
	size_t len;

	(void)state;
	memset(port, 'a', 223);
	memcpy(port, "iqn.", 4);
	strcpy(port + 223, ",i,0x00023d000001");
	len = transport_id_build(port, tid);
	assert_true(len <= sizeof(tid));
	assert_int_equal(transport_id_parse(tid, len, back), len);
	assert_string_equal(back, port);
}

/* ---- PERSISTENT RESERVE IN ------------------------------------------------------------------- */

static void populate(struct pr *pr, enum pr_type type)
{
	struct nexus_id a = nexus('A', 1), b = nexus('B', 2);

	pr_init(pr);
	assert_non_null(pr_append(pr, &a, 0xaaaaaaaaaaaaaaaa));
	assert_non_null(pr_append(pr, &b, 0xb));
	pr->generation = 0x01020304;
	pr->type = type;
	if (type && !pr_type_all_registrants(type))
		pr->holder = pr->reg[0];
}

static struct wbuf in(const struct pr *pr, enum pr_in_action a)
{
	struct wbuf b = { 0 };

	assert_true(pr_in_data(pr, a, &b));
	assert_int_equal(b.err, 0);
	return b;
}

static void read_keys(void **state)
{
	struct wbuf b;
	struct pr pr;

	(void)state;
	populate(&pr, PR_NONE);
	b = in(&pr, PR_IN_READ_KEYS);
	assert_int_equal(b.len, 8 + 16);
	assert_int_equal(get_be32(b.data), 0x01020304);
	assert_int_equal(get_be32(b.data + 4), 16);
	assert_true(get_be64(b.data + 8) == 0xaaaaaaaaaaaaaaaa);
	assert_true(get_be64(b.data + 16) == 0xb);
	wbuf_fini(&b);
	pr_fini(&pr);
	b = in(&pr, PR_IN_READ_KEYS);
	assert_int_equal(b.len, 8);
	assert_int_equal(get_be32(b.data + 4), 0);
	wbuf_fini(&b);
}

static void read_reservation(void **state)
{
	struct wbuf b;
	struct pr pr;

	(void)state;
	populate(&pr, PR_NONE);
	b = in(&pr, PR_IN_READ_RESERVATION);
	assert_int_equal(b.len, 8);
	assert_int_equal(get_be32(b.data + 4), 0);
	wbuf_fini(&b);
	pr_fini(&pr);
	populate(&pr, PR_EXCLUSIVE_ACCESS_RO);
	b = in(&pr, PR_IN_READ_RESERVATION);
	assert_int_equal(b.len, 24);
	assert_int_equal(get_be32(b.data + 4), 16);
	assert_true(get_be64(b.data + 8) == 0xaaaaaaaaaaaaaaaa);
	assert_int_equal(b.data[21], 0x06);
	wbuf_fini(&b);
	pr_fini(&pr);
	populate(&pr, PR_EXCLUSIVE_ACCESS_AR); /* key zero */
	b = in(&pr, PR_IN_READ_RESERVATION);
	assert_true(get_be64(b.data + 8) == 0);
	assert_int_equal(b.data[21], 0x08);
	wbuf_fini(&b);
	pr_fini(&pr);
}

static void report_capabilities(void **state)
{
	struct wbuf b;
	struct pr pr;

	(void)state;
	populate(&pr, PR_NONE);
	b = in(&pr, PR_IN_REPORT_CAPABILITIES);
	assert_int_equal(b.len, 8);
	assert_int_equal(get_be16(b.data), 8);
	assert_int_equal(b.data[2], 0x1d); /* CRH SIP_C ATP_C PTPL_C */
	assert_int_equal(b.data[3] & 0x81, 0x80); /* TMV; PTPL_A not yet */
	for (unsigned t = 0; t < 16; t++) { /* table 180: type t is bit t of byte 4, and so on in byte 5 */
		bool told = b.data[4 + t / 8] & 1 << t % 8;

		assert_int_equal(told, t == 1 || t == 3 || (t >= 5 && t <= 8));
	}
	wbuf_fini(&b);
	pr.aptpl = true;
	b = in(&pr, PR_IN_REPORT_CAPABILITIES);
	assert_int_equal(b.data[3] & 0x01, 1);
	wbuf_fini(&b);
	pr_fini(&pr);
}

static void read_full_status(void **state)
{
	char port[PORT_NAME_MAX + 1];
	struct wbuf b;
	struct pr pr;
	const uint8_t *d;
	size_t len;

	(void)state;
	populate(&pr, PR_WRITE_EXCLUSIVE);
	b = in(&pr, PR_IN_READ_FULL_STATUS);
	assert_int_equal(get_be32(b.data + 4), b.len - 8);
	d = b.data + 8;
	assert_true(get_be64(d) == 0xaaaaaaaaaaaaaaaa);
	assert_int_equal(d[12], 1); /* R_HOLDER, not ALL_TG_PT */
	assert_int_equal(d[13], 0x01);
	assert_int_equal(get_be16(d + 18), 1);
	len = get_be32(d + 20);
	assert_int_equal(transport_id_parse(d + 24, len, port), len);
	assert_string_equal(port, pr.reg[0]->id.port);
	d += 24 + len;
	assert_true(get_be64(d) == 0xb);
	assert_int_equal(d[12], 0);
	assert_int_equal(get_be16(d + 18), 2);
	len = get_be32(d + 20);
	assert_true(d + 24 + len == b.data + b.len);
	wbuf_fini(&b);
	pr_fini(&pr);
	populate(&pr, PR_WRITE_EXCLUSIVE_AR); /* both hold it */
	b = in(&pr, PR_IN_READ_FULL_STATUS);
	d = b.data + 8;
	assert_int_equal(d[12], 1);
	assert_int_equal(d[13], 0x07);
	d += 24 + get_be32(d + 20);
	assert_int_equal(d[12], 1);
	wbuf_fini(&b);
	pr_fini(&pr);
}

static void unknown_in_action(void **state)
{
	struct wbuf b = { 0 };
	struct pr pr;

	(void)state;
	pr_init(&pr);
	for (unsigned a = 4; a < 32; a++)
		assert_false(pr_in_data(&pr, a, &b));
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic_list),
		cmocka_unit_test(flags_of_registrations),
		cmocka_unit_test(length_other_than_24),
		cmocka_unit_test(unknown_service_action),
		cmocka_unit_test(spec_i_pt_only_with_register),
		cmocka_unit_test(spec_i_pt_list),
		cmocka_unit_test(move_list),
		cmocka_unit_test(random_lists_never_crash),
		cmocka_unit_test(transport_id_as_7_6_4_6_draws_it),
		cmocka_unit_test(transport_id_names_compare_alike),
		cmocka_unit_test(transport_id_refusals),
		cmocka_unit_test(longest_name_fits),
		cmocka_unit_test(read_keys),
		cmocka_unit_test(read_reservation),
		cmocka_unit_test(report_capabilities),
		cmocka_unit_test(read_full_status),
		cmocka_unit_test(unknown_in_action),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
