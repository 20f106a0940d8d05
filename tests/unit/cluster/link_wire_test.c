/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of the node-to-node link: what was put in comes out, and nothing else is taken (P9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "cluster/link_wire.h"

static struct remote_request sample(void)
{
	struct remote_request q = { .lu = "disk0", .lu_hint = 7, .read_only = true, .write = true, .attr = ATTR_ORDERED,
				    .expected_len = 8192, .cdb = { 0x2a, 0x08, 0, 0, 1, 0, 0, 0, 16 } };

	q.nexus.rtpi = 0x0102;
	strcpy(q.nexus.port, "iqn.1993-08.org.debian:01:abc,i,0x00023d000001");
	q.cdb[CDB_MAX - 1] = 0xee;
	return q;
}

static void header_round_trip(void **state)
{
	const struct link_header h = { .type = LINK_ANSWER, .id = link_id(0x123456789aull, 511), .meta_len = LINK_META_MAX,
				       .data_len = LINK_DATA_MAX };
	struct link_header out;
	uint8_t wire[LINK_HEADER_LEN];

	(void)state;
	link_header_put(wire, &h);
	assert_int_equal(link_header_get(wire, &out), 0);
	assert_int_equal(out.type, h.type);
	assert_true(out.id == h.id);
	assert_int_equal(link_id_slot(out.id), 511);
	assert_true(link_id_seq(out.id) == 0x123456789aull);
	assert_int_equal(out.meta_len, h.meta_len);
	assert_int_equal(out.data_len, h.data_len);
	assert_memory_equal(wire, "SNDL", 4); /* little endian on every machine: magic, version, type */
	assert_int_equal(wire[16] | wire[17] << 8, LINK_META_MAX);
}

static int header_with(unsigned at, uint8_t value, enum link_type type, uint32_t data_len)
{
	const struct link_header h = { .type = type, .id = 1, .meta_len = 8, .data_len = data_len };
	struct link_header out;
	uint8_t wire[LINK_HEADER_LEN];

	link_header_put(wire, &h);
	wire[at] = value;
	return link_header_get(wire, &out);
}

static void header_refused(void **state)
{
	(void)state;
	assert_int_equal(header_with(0, 'X', LINK_PING, 0), -EPROTO);
	assert_int_equal(header_with(4, LINK_VERSION + 1, LINK_PING, 0), -EPROTONOSUPPORT);
	assert_int_equal(header_with(5, 0, LINK_PING, 0), -EPROTO);
	assert_int_equal(header_with(5, LINK_TYPE_END, LINK_PING, 0), -EPROTO);
	assert_int_equal(header_with(6, 1, LINK_PING, 0), -EPROTO);   /* flags: none is defined */
	assert_int_equal(header_with(17, 0x02, LINK_PING, 0), -EPROTO); /* meta beyond its bound */
	assert_int_equal(header_with(23, 0x02, LINK_COMMAND, 4096), -EPROTO); /* 32 MiB of data */
	assert_int_equal(header_with(31, 1, LINK_PING, 0), -EPROTO);  /* reserved */
	for (int t = LINK_HELLO; t < LINK_TYPE_END; t++)
		assert_int_equal(header_with(4, LINK_VERSION, t, 512), t == LINK_COMMAND || t == LINK_ANSWER ? 0 : -EPROTO);
}

static void command_round_trip(void **state)
{
	struct remote_request q = sample(), out;
	uint8_t wire[LINK_META_MAX];
	uint32_t len = link_command_put(wire, &q);

	(void)state;
	memset(&out, 0xa5, sizeof(out));
	assert_int_equal(link_command_get(wire, len, &out), 0);
	assert_string_equal(out.lu, q.lu);
	assert_string_equal(out.nexus.port, q.nexus.port);
	assert_int_equal(out.nexus.rtpi, q.nexus.rtpi);
	assert_int_equal(out.lu_hint, q.lu_hint);
	assert_true(out.read_only && out.write && !out.read);
	assert_int_equal(out.attr, ATTR_ORDERED);
	assert_int_equal(out.expected_len, q.expected_len);
	assert_memory_equal(out.cdb, q.cdb, CDB_MAX);
	assert_int_equal(out.epoch, 0);
}

/* LINK_SPEAKS_EPOCH: who does not say one sends what 0.2.0 reads. */
static void epoch_of_a_command(void **state)
{
	static const uint64_t epochs[] = { 1, 0x0123456789abcdef, UINT64_MAX };
	struct remote_request q = sample(), out;
	uint8_t wire[LINK_META_MAX];
	uint32_t without = link_command_put(wire, &q);

	(void)state;
	for (unsigned i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
		q.epoch = epochs[i];
		assert_int_equal(link_command_put(wire, &q), without + 8);
		assert_int_equal(link_command_get(wire, without + 8, &out), 0);
		assert_int_equal(out.epoch, epochs[i]);
		assert_string_equal(out.nexus.port, q.nexus.port);
		for (uint32_t n = without; n < without + 8; n++)
			assert_int_equal(link_command_get(wire, n, &out), -EPROTO);
	}
	memset(wire + without, 0, 8);
	assert_int_equal(link_command_get(wire, without + 8, &out), -EPROTO); /* said, and none */
}

static void longest_names(void **state)
{
	struct remote_request q = sample(), out;
	uint8_t wire[LINK_META_MAX];

	(void)state;
	memset(q.lu, 'l', sizeof(q.lu) - 1);
	memset(q.nexus.port, 'p', PORT_NAME_MAX);
	q.lu[sizeof(q.lu) - 1] = q.nexus.port[PORT_NAME_MAX] = '\0';
	assert_int_equal(link_command_get(wire, link_command_put(wire, &q), &out), 0);
	assert_string_equal(out.lu, q.lu);
	assert_string_equal(out.nexus.port, q.nexus.port);
}

/* Cut short at every length, and one byte too long. */
static void command_truncated(void **state)
{
	struct remote_request q = sample(), out;
	uint8_t wire[LINK_META_MAX] = { 0 };
	uint32_t len = link_command_put(wire, &q);

	(void)state;
	for (uint32_t n = 0; n <= len + 1; n++) {
		uint8_t *exact = malloc(n + 1); /* so that a sanitizer sees a read beyond */

		memcpy(exact, wire, n);
		exact = realloc(exact, n ? n : 1);
		assert_int_equal(link_command_get(exact, n, &out), n == len ? 0 : -EPROTO);
		free(exact);
	}
}

static void answer_round_trip(void **state)
{
	struct link_answer a = { .outcome = LINK_DONE, .status = 2, .sense_len = SENSE_MAX, .data_in_len = 0xfffffff0 }, out;
	uint8_t wire[LINK_META_MAX];
	uint32_t len;

	(void)state;
	memset(a.sense, 0x5a, sizeof(a.sense));
	len = link_answer_put(wire, &a);
	assert_int_equal(link_answer_get(wire, len, &out), 0);
	assert_memory_equal(&out, &a, sizeof(a));
	assert_int_equal(link_answer_get(wire, len - 1, &out), -EPROTO);
	assert_int_equal(link_answer_get(wire, len + 1, &out), -EPROTO);
	assert_int_equal(link_answer_get(wire, 7, &out), -EPROTO);
	wire[2] = SENSE_MAX + 1;
	assert_int_equal(link_answer_get(wire, len + 1, &out), -EPROTO);
	wire[2] = SENSE_MAX;
	wire[0] = LINK_OUTCOME_END;
	assert_int_equal(link_answer_get(wire, len, &out), -EPROTO);
}

/* Whatever comes: within bounds, or refused. */
static void garbage(void **state)
{
	struct remote_request q = sample(), out;
	uint8_t good[LINK_META_MAX] = { 0 }, wire[LINK_META_MAX];
	uint32_t len = link_command_put(good, &q);
	unsigned taken = 0;

	(void)state;
	srandom(20261121);
	for (int i = 0; i < 200000; i++) {
		struct link_answer a;
		struct link_header h;

		memcpy(wire, good, sizeof(wire));
		for (int k = random() % 4; k >= 0; k--)
			wire[random() % len] = random();
		if (link_command_get(wire, len, &out) == 0) {
			taken++;
			assert_true(memchr(out.lu, 0, sizeof(out.lu)) && memchr(out.nexus.port, 0, sizeof(out.nexus.port)));
			assert_true(out.attr <= ATTR_ACA);
		}
		if (link_answer_get(wire, len % 80, &a) == 0)
			assert_true(a.sense_len <= SENSE_MAX);
		if (link_header_get(wire, &h) == 0)
			assert_true(h.meta_len <= LINK_META_MAX && h.data_len <= LINK_DATA_MAX);
	}
	assert_true(taken > 1000 && taken < 200000); /* both happened */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_round_trip), cmocka_unit_test(header_refused),
		cmocka_unit_test(command_round_trip), cmocka_unit_test(epoch_of_a_command), cmocka_unit_test(longest_names),
		cmocka_unit_test(command_truncated), cmocka_unit_test(answer_round_trip),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
