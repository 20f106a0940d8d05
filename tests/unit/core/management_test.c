/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an administrator's tools ask: log pages, echo buffer, diagnostic pages, time stamp, ports of
 * the
 * cluster (topology: fake_target.h), and commands that need protection information.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fake_target.h"

/* ---- log pages ------------------------------------------------------------------------------- */

static const uint8_t *log_page(struct fake_target *f, uint8_t page)
{
	uint8_t cdb[10] = { 0x4d, 0, 0x40 | page, [7] = 2 };

	fake_run(f, cdb, 10, NULL, 512);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0] & 0x3f, page);
	assert_int_equal(get_be16(f->cmd.buf + 2), f->cmd.data_in_len - 4);
	return f->cmd.buf + 4;
}

/* Every page of the list of supported pages is there, and its parameters fill it exactly. */
static void every_listed_page(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t wanted[] = { 0x00, 0x02, 0x03, 0x0c, 0x0d, 0x0e, 0x10, 0x15, 0x19, 0x2f };
	uint8_t pages[64];
	const uint8_t *p = log_page(f, 0);
	uint32_t n = f->cmd.data_in_len - 4;

	assert_int_equal(n, sizeof(wanted));
	memcpy(pages, p, n);
	assert_memory_equal(pages, wanted, n);
	for (uint32_t i = 1; i < n; i++) {
		uint32_t at = 0, len;
		int last = -1;

		p = log_page(f, pages[i]);
		len = f->cmd.data_in_len - 4;
		while (at + 4 <= len) {
			assert_true(get_be16(p + at) > last); /* ascending, SPC-4 7.3.1 */
			last = get_be16(p + at);
			at += 4 + p[at + 3];
		}
		assert_int_equal(at, len);
		assert_true(len > 0 || pages[i] == 0x0c); /* 0Ch: not measured yet */
	}
}

/* The counts are those of the commands that were executed. */
static void counters(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[8 * 512] = { 0 };
	const uint8_t *p;

	for (int i = 0; i < 3; i++)
		fake_rw(f, 0x2a, 0, i, 2, data, 1024);
	for (int i = 0; i < 5; i++)
		fake_rw(f, 0x28, 0, i, 8, NULL, sizeof(data));
	p = log_page(f, 0x02);
	assert_int_equal(get_be16(p), 0x0005);
	assert_int_equal(get_be64(p + 4), 3 * 1024);
	p = log_page(f, 0x03);
	assert_int_equal(get_be64(p + 4), 5 * 8 * 512);
	p = log_page(f, 0x19);
	assert_int_equal(get_be16(p), 0x0001);
	assert_int_equal(get_be64(p + 4), 5);
	assert_int_equal(get_be64(p + 12), 3);
	assert_int_equal(get_be64(p + 20), 6);	/* blocks received */
	assert_int_equal(get_be64(p + 28), 40); /* blocks transmitted */
}

static void unknown_temperature(void **state)
{
	struct fake_target *f = *state;

	assert_int_equal(log_page(f, 0x0d)[5], 0xff); /* SPC-4 7.3.22: FFh = can't be told */
	assert_int_equal(log_page(f, 0x2f)[6], 0xff);
	assert_int_equal(get_be16(log_page(f, 0x2f) + 4), 0); /* no exception */
	assert_int_equal(log_page(f, 0x10)[3], 16);
}

/* ---- echo buffer ----------------------------------------------------------------------------- */

static void buffer(struct fake_target *f, uint8_t opcode, uint8_t mode, uint32_t len, const void *data)
{
	uint8_t cdb[10] = { opcode, mode };

	put_be24(cdb + 6, len);
	fake_run(f, cdb, 10, data, len);
}

static void echo(void **state)
{
	struct fake_target *f = *state;
	uint8_t data[8192];
	uint32_t capacity;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = i % 251;
	buffer(f, 0x3c, 0x0b, 4, NULL);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0] & 1, 1); /* EBOS */
	capacity = get_be16(f->cmd.buf + 2) & 0x1fff;
	assert_true(capacity >= 252);
	buffer(f, 0x3c, 0x0a, 252, NULL);
	assert_sense(f, SENSE(5, 0x2c, 0x00)); /* nothing was written */
	for (uint32_t len = 0; len <= capacity; len += len < 8 ? 1 : 511) {
		buffer(f, 0x3b, 0x0a, len, len ? data : NULL);
		assert_good(f);
		buffer(f, 0x3c, 0x0a, capacity, NULL);
		assert_good(f);
		assert_int_equal(f->cmd.data_in_len, len);
		if (len)
			assert_memory_equal(f->cmd.buf, data, len);
	}
	buffer(f, 0x3b, 0x0a, capacity + 1, data);
	fake_assert_bad_field(f, 6);
	buffer(f, 0x3b, 0x05, 100, data); /* microcode */
	fake_assert_bad_field(f, 1);
	buffer(f, 0x3c, 0x02, 100, NULL);
	fake_assert_bad_field(f, 1);
	buffer(f, 0x3c, 0x03, 4, NULL);
	assert_memory_equal(f->cmd.buf, "\xff\0\0\0", 4);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void diagnostic_pages(void **state)
{
	struct fake_target *f = *state;

	fake_run(f, (const uint8_t[6]){ 0x1c, 1, 0, 0, 255 }, 6, NULL, 255);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 5);
	assert_memory_equal(f->cmd.buf, "\0\0\0\1\0", 5);
	fake_run(f, (const uint8_t[6]){ 0x1c, 1, 0x40, 0, 255 }, 6, NULL, 255);
	fake_assert_bad_field(f, 2);
	fake_run(f, (const uint8_t[6]){ 0x1c, 0, 0, 0, 255 }, 6, NULL, 255);
	assert_good(f);
}

static void timestamp(void **state)
{
	struct fake_target *f = *state;
	int64_t before = time(NULL), told;

	fake_run(f, (const uint8_t[12]){ 0xa3, 0x0f, [9] = 255 }, 12, NULL, 255);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 12);
	assert_int_equal(get_be16(f->cmd.buf), 10);
	told = (int64_t)get_be16(f->cmd.buf + 4) << 32 | get_be32(f->cmd.buf + 6);
	assert_true(told / 1000 >= before && told / 1000 <= time(NULL));
}

/* VPD page 88 names the ports of all nodes, the same through each. */
static void ports_of_the_cluster(void **state)
{
	struct fake_target *f = *state;
	struct target_port ports[3] = { { .tpgt = 1, .rtpi = 11 }, { .tpgt = 2, .rtpi = 22 }, { .tpgt = 3, .rtpi = 33 } };
	uint8_t cdb[6] = { 0x12, 1, 0x88, 2, 0 };
	uint32_t at = 4, n = 0;

	f->target.port = ports;
	f->target.nports = 3;
	fake_run(f, cdb, 6, NULL, 512);
	assert_good(f);
	for (; at < f->cmd.data_in_len; n++) {
		const uint8_t *p = f->cmd.buf + at;

		assert_int_equal(get_be16(p + 2), ports[n].rtpi);
		assert_int_equal(get_be16(p + 6), 0);
		assert_int_equal(p[13], 0x98); /* PIV, target port, SCSI name string */
		assert_non_null(strstr((const char *)p + 16, ",t,0x000"));
		at += 12 + get_be16(p + 10);
	}
	assert_int_equal(n, 3);
	assert_int_equal(at, f->cmd.data_in_len);
	f->target.nports = 1;
	cdb[2] = 0x87;
	fake_run(f, cdb, 6, NULL, 512);
	assert_int_equal(get_be16(f->cmd.buf + 2) % 4, 0);
	assert_memory_equal(f->cmd.buf + 4, "\x3f\xff\0\0", 4);
}

/* READ (32) … WRITE SAME (32) need type 2 protection (SBC-3 4.22.2): without, invalid operation
 * codes. */
static void no_32_byte_commands(void **state)
{
	struct fake_target *f = *state;

	for (uint8_t sa = 0; sa < 0x20; sa++) {
		fake_run(f, (const uint8_t[32]){ 0x7f, [7] = 0x18, [9] = sa }, 32, NULL, 0);
		assert_sense(f, SENSE(5, 0x20, 0x00));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(every_listed_page), T(counters), T(unknown_temperature), T(echo), T(diagnostic_pages), T(timestamp),
		T(ports_of_the_cluster), T(no_32_byte_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
