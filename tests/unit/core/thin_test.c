/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a thin logical unit tells: GET LBA STATUS over a medium with holes, threshold sets in VPD page B2, mode page 1Ch/02h and log
 * page 0Ch (topology: fake_target.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/thin.h"
#include "fake_target.h"

/* ---- GET LBA STATUS --------------------------------------------------------------------------------- */

/* The medium as the test wants it: ends of runs in bytes, data first, then hole, data … */
static struct {
	uint64_t end[64];
	unsigned n;
	int rc;
	unsigned asked;
} map;

static int fake_map(struct disk *d, uint64_t offset, uint64_t limit, uint64_t *length, bool *hole)
{
	(void)d;
	map.asked++;
	for (unsigned i = 0; i < map.n; i++)
		if (offset < map.end[i]) {
			*hole = i & 1;
			*length = map.end[i] - offset < limit ? map.end[i] - offset : limit;
			return map.rc;
		}
	*hole = map.n & 1;
	*length = limit;
	return map.rc;
}

static int setup(void **state)
{
	static struct disk_ops ops;
	int rc = fake_setup(state);
	struct fake_target *f = *state;

	ops = *f->disk.disk.ops;
	ops.map = fake_map;
	f->disk.disk.ops = &ops;
	memset(&map, 0, sizeof(map));
	return rc;
}

static void lba_status(struct fake_target *f, uint64_t lba, uint32_t len)
{
	uint8_t cdb[16] = { 0x9e, 0x12 };

	put_be64(cdb + 2, lba);
	put_be32(cdb + 10, len);
	fake_run(f, cdb, sizeof(cdb), NULL, len);
}

static void assert_descriptor(const struct fake_target *f, unsigned i, uint64_t lba, uint32_t blocks, uint8_t status)
{
	const uint8_t *p = f->cmd.buf + 8 + 16 * i;

	assert_true(f->cmd.data_in_len >= 8 + 16 * (i + 1));
	assert_int_equal(get_be64(p), lba);
	assert_int_equal(get_be32(p + 8), blocks);
	assert_int_equal(p[12], status);
}

static void assert_descriptors(const struct fake_target *f, unsigned n)
{
	assert_good(f);
	assert_int_equal(get_be32(f->cmd.buf), 4 + 16 * n);
	assert_int_equal(f->cmd.data_in_len, 8 + 16 * n);
}

static void holes_and_data(void **state)
{
	struct fake_target *f = *state;

	map.n = 3; /* data to block 8, hole to 100, data to 200, hole to the end */
	map.end[0] = 8 * 512, map.end[1] = 100 * 512, map.end[2] = 200 * 512;
	lba_status(f, 0, 512);
	assert_descriptors(f, 4);
	assert_descriptor(f, 0, 0, 8, 0);
	assert_descriptor(f, 1, 8, 92, 1);
	assert_descriptor(f, 2, 100, 100, 0);
	assert_descriptor(f, 3, 200, FAKE_BLOCKS - 200, 1);
	lba_status(f, 50, 24); /* room for one: the extent that the LBA is in, from the LBA on (5.6.2) */
	assert_descriptors(f, 1);
	assert_descriptor(f, 0, 50, 50, 1);
	lba_status(f, FAKE_BLOCKS - 1, 512);
	assert_descriptors(f, 1);
	assert_descriptor(f, 0, FAKE_BLOCKS - 1, 1, 1);
}

/* A block of which a part is data is not deallocated. */
static void partly_holes_are_mapped(void **state)
{
	struct fake_target *f = *state;

	map.n = 3;
	map.end[0] = 700, map.end[1] = 5 * 512 + 100, map.end[2] = 6 * 512;
	lba_status(f, 0, 512);
	assert_descriptors(f, 4);
	assert_descriptor(f, 0, 0, 2, 0);
	assert_descriptor(f, 1, 2, 3, 1);
	assert_descriptor(f, 2, 5, 1, 0);
	lba_status(f, 5, 512);
	assert_descriptor(f, 0, 5, 1, 0);
	assert_descriptor(f, 1, 6, FAKE_BLOCKS - 6, 1);
}

static void more_extents_than_room(void **state)
{
	struct fake_target *f = *state;

	map.n = 60;
	for (unsigned i = 0; i < map.n; i++)
		map.end[i] = (i + 1) * 512;
	lba_status(f, 0, 8 + 16 * 5);
	assert_descriptors(f, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_descriptor(f, i, i, 1, i & 1);
}

static void short_allocation_lengths(void **state)
{
	static const uint32_t lens[] = { 0, 4, 8, 20, 23 };
	struct fake_target *f = *state;

	map.n = 1;
	map.end[0] = 512;
	for (unsigned i = 0; i < 5; i++) {
		lba_status(f, 0, lens[i]);
		assert_good(f);
		assert_int_equal(f->cmd.data_in_len, lens[i]);
	}
}

static void wrong_addresses(void **state)
{
	struct fake_target *f = *state;

	lba_status(f, FAKE_BLOCKS, 512);
	assert_sense(f, SENSE_LBA_OUT_OF_RANGE);
	lba_status(f, UINT64_MAX, 512);
	assert_sense(f, SENSE_LBA_OUT_OF_RANGE);
	assert_int_equal(map.asked, 0);
}

static void fully_provisioned_or_unknown_is_mapped(void **state)
{
	struct fake_target *f = *state;
	struct disk_ops plain = *f->disk.disk.ops;

	map.n = 1;
	map.end[0] = 512;
	f->lu->thin = false;
	lba_status(f, 3, 512);
	assert_descriptors(f, 1);
	assert_descriptor(f, 0, 3, FAKE_BLOCKS - 3, 0);
	f->lu->thin = true;
	plain.map = NULL;
	f->disk.disk.ops = &plain;
	lba_status(f, 3, 512);
	assert_descriptor(f, 0, 3, FAKE_BLOCKS - 3, 0);
}

static void errors_of_the_medium(void **state)
{
	struct fake_target *f = *state;

	map.rc = -EIO;
	lba_status(f, 0, 512);
	assert_sense(f, SENSE_UNRECOVERED_READ);
}

/* ---- threshold sets ----------------------------------------------------------------------------------- */

static void vpd_b2(struct fake_target *f)
{
	static const uint8_t cdb[6] = { 0x12, 1, 0xb2, 0, 255 };

	fake_run(f, cdb, sizeof(cdb), NULL, 255);
	assert_good(f);
}

static void threshold_exponent(void **state)
{
	struct fake_target *f = *state;

	vpd_b2(f);
	assert_int_equal(f->cmd.buf[4], 11); /* 2^11 blocks of 512 bytes are 1 MiB */
	f->lu->block_size = 4096;
	vpd_b2(f);
	assert_int_equal(f->cmd.buf[4], 8);
	f->lu->blocks = 1ull << 48; /* 2^60 bytes: capacity / 2^exponent stays below 2^32 (SBC-3 6.6.4) */
	vpd_b2(f);
	assert_int_equal(f->cmd.buf[4], 17);
	f->lu->block_size = 512;
	f->lu->blocks = FAKE_BLOCKS;
	f->lu->thin = false;
	vpd_b2(f);
	assert_int_equal(f->cmd.buf[4], 0);
	assert_int_equal(f->cmd.buf[5], 0);
}

static void mode_sense(struct fake_target *f, uint8_t pc_page, uint8_t subpage)
{
	const uint8_t cdb[10] = { 0x5a, 0x08, pc_page, subpage, 0, 0, 0, 1, 0 };

	fake_run(f, cdb, sizeof(cdb), NULL, 256);
}

static void mode_page(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *p;

	f->lu->thin_threshold = 50;
	mode_sense(f, 0x1c, 0x02);
	assert_good(f);
	p = f->cmd.buf + 8;
	assert_int_equal(get_be16(f->cmd.buf), 6 + 24);
	assert_int_equal(p[0], 0x5c); /* SPF */
	assert_int_equal(p[1], 0x02);
	assert_int_equal(get_be16(p + 2), 20);
	assert_int_equal(p[16], 0x80); /* ENABLED, soft, decreasing */
	assert_int_equal(p[17], 0x01); /* available resources */
	assert_int_equal(get_be32(p + 20), FAKE_BLOCKS / 2 / 2048);
	mode_sense(f, 0x5c, 0x02); /* changeable: nothing */
	assert_good(f);
	for (int i = 4; i < 24; i++)
		assert_int_equal(f->cmd.buf[8 + i], 0);
	f->lu->thin_threshold = 0;
	mode_sense(f, 0x1c, 0x02);
	assert_int_equal(f->cmd.buf[8 + 16] & 0x80, 0);
}

static unsigned pages_of(const struct fake_target *f)
{
	unsigned n = 0, end = 2 + get_be16(f->cmd.buf);

	for (unsigned at = 8; at < end; n++)
		at += f->cmd.buf[at] & 0x40 ? 4 + get_be16(f->cmd.buf + at + 2) : 2 + f->cmd.buf[at + 1];
	return n;
}

/* SPC-4 table 168: subpage 00h gives no subpages, FFh all of them. */
static void mode_subpages(void **state)
{
	struct fake_target *f = *state;
	unsigned plain;

	mode_sense(f, 0x3f, 0x00);
	assert_good(f);
	plain = pages_of(f);
	mode_sense(f, 0x3f, 0xff);
	assert_good(f);
	assert_int_equal(pages_of(f), plain + 3); /* control extension, background control, logical block provisioning */
	mode_sense(f, 0x1c, 0xff);
	assert_good(f);
	assert_int_equal(pages_of(f), 3);
	mode_sense(f, 0x1c, 0x00);
	assert_good(f);
	assert_int_equal(pages_of(f), 1);
	mode_sense(f, 0x1c, 0x03);
	fake_assert_bad_field(f, 3);
	mode_sense(f, 0x3f, 0x02);
	fake_assert_bad_field(f, 3);
	f->lu->thin = false;
	mode_sense(f, 0x1c, 0x02);
	fake_assert_bad_field(f, 3);
	mode_sense(f, 0x3f, 0xff);
	assert_int_equal(pages_of(f), plain + 2);
}

/* ---- LOG SENSE -------------------------------------------------------------------------------------------- */

static void log_sense(struct fake_target *f, uint8_t pc_page, uint8_t subpage, uint16_t pointer)
{
	uint8_t cdb[10] = { 0x4d, 0, pc_page, subpage, 0, 0, 0, 1, 0 };

	put_be16(cdb + 5, pointer);
	fake_run(f, cdb, sizeof(cdb), NULL, 256);
}

static void log_page(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *p;

	log_sense(f, 0x4c, 0, 0);
	assert_good(f);
	assert_int_equal(get_be16(f->cmd.buf + 2), 0); /* not measured yet: nothing is claimed */
	thin_measured(f->lu, true, 5u << 20, 77ull << 30);
	log_sense(f, 0x4c, 0, 0);
	assert_good(f);
	p = f->cmd.buf;
	assert_int_equal(p[0] & 0x3f, 0x0c);
	assert_int_equal(get_be16(p + 2), 24);
	assert_int_equal(get_be16(p + 4), 0x0001); /* available */
	assert_int_equal(p[6] & 0x03, 0x03);
	assert_int_equal(p[7], 8);
	assert_int_equal(get_be32(p + 8), 77 << 10);
	assert_int_equal(p[12], 2); /* shared with others */
	assert_int_equal(get_be16(p + 16), 0x0002); /* used */
	assert_int_equal(get_be32(p + 20), 5);
	assert_int_equal(p[24], 1);
	log_sense(f, 0x4c, 0, 2);
	assert_good(f);
	assert_int_equal(get_be16(f->cmd.buf + 2), 12);
	assert_int_equal(get_be16(f->cmd.buf + 4), 0x0002);
	log_sense(f, 0x4c, 0, 3);
	fake_assert_bad_field(f, 5);
	thin_measured(f->lu, true, 0, UINT64_MAX);
	log_sense(f, 0x4c, 0, 1);
	assert_int_equal(get_be32(f->cmd.buf + 8), UINT32_MAX);
}

static void log_page_lists(void **state)
{
	static const uint8_t all[] = { 0x00, 0x02, 0x03, 0x0c, 0x0d, 0x0e, 0x10, 0x15, 0x19, 0x2f };
	static const uint8_t subpages[] = { 0, 0, 0, 0xff, 2, 0, 3, 0, 0x0c, 0, 0x0d, 0, 0x0e, 0, 0x10, 0, 0x15, 0, 0x19, 0, 0x2f, 0 };
	struct fake_target *f = *state;

	log_sense(f, 0x40, 0, 0);
	assert_good(f);
	assert_int_equal(get_be16(f->cmd.buf + 2), sizeof(all));
	assert_memory_equal(f->cmd.buf + 4, all, sizeof(all));
	log_sense(f, 0x40, 0xff, 0);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0], 0xc0);
	assert_memory_equal(f->cmd.buf + 4, subpages, sizeof(subpages));
	log_sense(f, 0x4c, 0x01, 0);
	fake_assert_bad_field(f, 3);
	log_sense(f, 0x7e, 0, 0);
	fake_assert_bad_field(f, 2);
	log_sense(f, 0x0c, 0, 0); /* threshold values: there are none */
	fake_assert_bad_field(f, 2);
	f->lu->thin = false;
	log_sense(f, 0x4c, 0, 0);
	fake_assert_bad_field(f, 2);
	log_sense(f, 0x40, 0, 0);
	assert_int_equal(get_be16(f->cmd.buf + 2), sizeof(all) - 1);
	assert_null(memchr(f->cmd.buf + 4, 0x0c, sizeof(all) - 1));
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(holes_and_data), T(partly_holes_are_mapped), T(more_extents_than_room), T(short_allocation_lengths),
		T(wrong_addresses), T(fully_provisioned_or_unknown_is_mapped), T(errors_of_the_medium),
		T(threshold_exponent), T(mode_page), T(mode_subpages), T(log_page), T(log_page_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
