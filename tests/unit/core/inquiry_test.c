/* SPDX-License-Identifier: BSD-2-Clause */
/* INQUIRY and vital product data (topology: fake_target.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_target.h"

static void inquiry(struct fake_target *f, uint8_t evpd, uint8_t page, uint16_t len)
{
	uint8_t cdb[6] = { 0x12, evpd, page, len >> 8, len };

	fake_run(f, cdb, sizeof(cdb), NULL, len);
}

static void standard_data(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *d;

	inquiry(f, 0, 0, 512);
	assert_good(f);
	d = f->cmd.buf;
	assert_int_equal(f->cmd.data_in_len, d[4] + 5);
	assert_int_equal(d[0], 0x00);
	assert_int_equal(d[1], 0x00);
	assert_int_equal(d[2], 0x06);
	assert_int_equal(d[3] & 0x0f, 2);
	assert_int_equal(d[5] & 0x30, 0x10); /* TPGS: implicit */
	assert_int_equal(d[7] & 0x02, 0x02); /* CMDQUE */
	assert_memory_equal(d + 8, "SANDEM  VOLUME          0001", 28);
	assert_int_equal(get_be16(d + 58), 0x00a0);
	assert_int_equal(get_be16(d + 60), 0x0960);
	assert_int_equal(get_be16(d + 62), 0x0460);
	assert_int_equal(get_be16(d + 64), 0x04c0);
}

static void allocation_length_cuts(void **state)
{
	struct fake_target *f = *state;
	uint8_t whole[96];

	inquiry(f, 0, 0, 96);
	memcpy(whole, f->cmd.buf, 96);
	for (unsigned len = 0; len < 300; len += 5) {
		inquiry(f, 0, 0, len);
		assert_good(f);
		assert_int_equal(f->cmd.data_in_len, len < 96 ? len : 96);
		if (len)
			assert_memory_equal(f->cmd.buf, whole, len < 96 ? len : 96);
	}
}

static void page_without_evpd(void **state)
{
	struct fake_target *f = *state;

	inquiry(f, 0, 0x80, 255);
	fake_assert_bad_field(f, 2);
	inquiry(f, 1, 0xc5, 255);
	fake_assert_bad_field(f, 2);
	inquiry(f, 2, 0, 255); /* CMDDT is obsolete */
	fake_assert_bad_field(f, 1);
}

static void no_logical_unit(void **state)
{
	struct fake_target *f = *state;

	f->at_lun = 200;
	inquiry(f, 0, 0, 96);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0], 0x7f);
	inquiry(f, 1, 0, 96);
	assert_int_equal(f->cmd.buf[0], 0x7f);
	inquiry(f, 1, 0x83, 96);
	fake_assert_bad_field(f, 2);
}

static void every_supported_page_of(struct fake_target *f, const char *expected)
{
	uint8_t pages[64];
	unsigned n;

	inquiry(f, 1, 0, 255);
	assert_good(f);
	n = f->cmd.buf[3];
	memcpy(pages, f->cmd.buf + 4, n);
	assert_int_equal(n, strlen(expected + 1) + 1);
	assert_memory_equal(pages, expected, n);
	for (unsigned i = 0; i < n; i++) {
		if (i)
			assert_true(pages[i] > pages[i - 1]); /* ascending, SPC-4 7.8.13 */
		inquiry(f, 1, pages[i], 1024);
		assert_good(f);
		assert_int_equal(f->cmd.buf[0], 0);
		assert_int_equal(f->cmd.buf[1], pages[i]);
		assert_int_equal(f->cmd.data_in_len, get_be16(f->cmd.buf + 2) + 4);
	}
}

static void every_supported_page(void **state)
{
	every_supported_page_of(*state, "\x00\x80\x83\x86\x87\x88\x8f\xb0\xb1\xb2\xb4");
}

/* SPC-4 7.8.8: a network services descriptor for each URL, of the target device; without one there is no such page. */
static void management_addresses(void **state)
{
	struct fake_target *f = *state;
	char *urls[] = { "https://san.example/x", "http://192.0.2.17/" }; /* 21 and 18 characters: 24 and 20 */
	const uint8_t *p;

	inquiry(f, 1, 0x85, 1024);
	fake_assert_bad_field(f, 2);
	f->core.management_url = urls;
	f->core.nurls = 2;
	every_supported_page_of(f, "\x00\x80\x83\x85\x86\x87\x88\x8f\xb0\xb1\xb2\xb4");
	inquiry(f, 1, 0x85, 1024);
	assert_int_equal(f->cmd.data_in_len, 4 + 4 + 24 + 4 + 20);
	p = f->cmd.buf + 4;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t len = get_be16(p + 2);

		assert_int_equal(p[0], 2 << 5 | 1); /* target device, storage configuration service */
		assert_int_equal(len, i ? 20 : 24);
		assert_int_equal(p[4 + len - 1], 0);
		assert_string_equal((const char *)p + 4, urls[i]);
		p += 4 + len;
	}
	inquiry(f, 1, 0x85, 10); /* truncated; the length says what there is */
	assert_int_equal(f->cmd.data_in_len, 10);
	assert_int_equal(get_be16(f->cmd.buf + 2), 52);
	f->core.nurls = 0;
}

static void serial_number(void **state)
{
	struct fake_target *f = *state;

	inquiry(f, 1, 0x80, 255);
	assert_int_equal(f->cmd.buf[3], 6);
	assert_memory_equal(f->cmd.buf + 4, "abc123", 6);
}

/* The designator of association and type, or NULL; *len its length. */
static const uint8_t *designator(const struct fake_target *f, uint8_t association, uint8_t type, uint8_t *len)
{
	const uint8_t *p = f->cmd.buf + 4, *end = p + get_be16(f->cmd.buf + 2);

	for (; p < end; p += 4 + p[3]) {
		assert_true(p + 4 + p[3] <= end);
		if ((p[1] & 0x30) >> 4 == association && (p[1] & 0x0f) == type) {
			if (association) {
				assert_int_equal(p[0] >> 4, 5); /* iSCSI */
				assert_int_equal(p[1] & 0x80, 0x80);
			}
			*len = p[3];
			return p + 4;
		}
	}
	return NULL;
}

static void designators(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *d;
	uint8_t len;

	inquiry(f, 1, 0x83, 1024);
	d = designator(f, 0, 3, &len);
	assert_non_null(d);
	assert_int_equal(len, 16);
	assert_memory_equal(d, f->lu->id.naa, 16);
	d = designator(f, 0, 1, &len);
	assert_int_equal(len, 14);
	assert_memory_equal(d, "SANDEM  abc123", 14);
	d = designator(f, 1, 4, &len);
	assert_int_equal(len, 4);
	assert_int_equal(get_be32(d), 7);
	d = designator(f, 1, 5, &len);
	assert_int_equal(get_be32(d), 2);
	d = designator(f, 1, 8, &len);
	assert_string_equal((const char *)d, "iqn.2026-11.test:t,t,0x0002");
	assert_int_equal(len % 4, 0);
	assert_true(len > strlen((const char *)d)); /* NUL-terminated within */
	d = designator(f, 2, 8, &len);
	assert_string_equal((const char *)d, "iqn.2026-11.test:t");
}

static void longest_target_name(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *d;
	uint8_t len;

	memset(f->target.name, 'x', 223);
	f->target.name[223] = 0;
	inquiry(f, 1, 0x83, 1024);
	assert_good(f);
	d = designator(f, 1, 8, &len);
	assert_non_null(d);
	assert_int_equal(strlen((const char *)d), 223 + 9);
}

static void limits_and_provisioning(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *d;

	inquiry(f, 1, 0xb0, 255);
	d = f->cmd.buf;
	assert_int_equal(get_be16(d + 2), 0x3c);
	assert_int_equal(d[4] & 1, 0); /* WSNZ */
	assert_int_equal(get_be16(d + 6), 8);
	assert_int_equal(get_be32(d + 8), (16 << 20) / 512);
	assert_true(get_be32(d + 12) <= get_be32(d + 8));
	assert_true(get_be32(d + 20) > 0 && get_be32(d + 24) > 0);
	inquiry(f, 1, 0xb2, 255);
	assert_int_equal(f->cmd.buf[5] & 0xe4, 0xe4); /* LBPU, LBPWS, LBPWS10, LBPRZ */
	assert_int_equal(f->cmd.buf[6] & 7, 2);
	f->lu->thin = false;
	inquiry(f, 1, 0xb0, 255);
	assert_int_equal(get_be32(f->cmd.buf + 20), 0);
	assert_int_equal(get_be32(f->cmd.buf + 24), 0);
	inquiry(f, 1, 0xb2, 255);
	assert_int_equal(f->cmd.buf[5], 0);
	assert_int_equal(f->cmd.buf[6] & 7, 0);
	inquiry(f, 1, 0xb1, 255);
	assert_int_equal(get_be16(f->cmd.buf + 4), 1); /* non-rotating */
	f->lu->rotational = true;
	inquiry(f, 1, 0xb1, 255);
	assert_true(get_be16(f->cmd.buf + 4) >= 0x0401);
}

/* SBC-4: one descriptor of eight bytes per block length. */
static void block_lengths_and_protection(void **state)
{
	static const uint8_t checks[] = { [PI_NONE] = 0, [PI_TYPE_1] = 0x05, [PI_TYPE_2] = 0x05, [PI_TYPE_3] = 0x04 };
	struct fake_target *f = *state;

	for (int type = PI_NONE; type <= PI_TYPE_3; type++) {
		f->lu->pi_type = type;
		f->lu->block_size = type & 1 ? 4096 : 512;
		inquiry(f, 1, 0xb4, 255);
		assert_good(f);
		assert_int_equal(get_be16(f->cmd.buf + 2), 8);
		assert_int_equal(get_be32(f->cmd.buf + 4), f->lu->block_size);
		assert_int_equal(f->cmd.buf[8], checks[type]);
		assert_int_equal(f->cmd.buf[9], 1 << type); /* TxPS: this type and no other */
		inquiry(f, 1, 0x86, 255);
		assert_int_equal(f->cmd.buf[4] & 0x07, checks[type]); /* the same is told there */
	}
	f->lu->cdrom = true;
	inquiry(f, 1, 0xb4, 255);
	fake_assert_bad_field(f, 2);
	f->lu->cdrom = false;
	f->lu->pi_type = PI_NONE;
	f->lu->block_size = FAKE_BLOCK;
}

/* The owner and a node without the disk must tell the same (identity of DESIGN: everywhere). */
static void the_same_without_the_disk(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t pages[] = { 0x80, 0x83, 0x86, 0x8f, 0xb0, 0xb1, 0xb2, 0xb4 };
	uint8_t with[1024];

	for (unsigned i = 0; i < sizeof(pages); i++) {
		uint32_t len;

		f->lu->disk = &f->disk.disk;
		inquiry(f, 1, pages[i], 1024);
		len = f->cmd.data_in_len;
		memcpy(with, f->cmd.buf, len);
		f->lu->disk = NULL;
		inquiry(f, 1, pages[i], 1024);
		assert_int_equal(f->cmd.data_in_len, len);
		assert_memory_equal(f->cmd.buf, with, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(standard_data), T(allocation_length_cuts), T(page_without_evpd), T(no_logical_unit), T(every_supported_page), T(block_lengths_and_protection),
		T(management_addresses),
		T(serial_number), T(designators), T(longest_target_name), T(limits_and_provisioning), T(the_same_without_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
