/* SPDX-License-Identifier: BSD-2-Clause */
/* The block on the medium: every kind of damage must show. Topology: none, bytes only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/load_block.h"

#define LEN 4096

static const struct load_block id = {
	.run = 0x1122334455667788, .lun = 3, .writer = 7, .lba = 0x123456, .generation = 9,
};

/* RFC 3720 B.4 and the check value of CRC-32C (iSCSI). */
static void crc_is_crc32c(void **state)
{
	uint8_t zeroes[32] = { 0 }, ones[32];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(load_block_crc("123456789", 9), 0xe3069283);
	assert_int_equal(load_block_crc(zeroes, 32), 0x8a9136aa);
	assert_int_equal(load_block_crc(ones, 32), 0x62a8ab43);
}

static void round_trip(void **state)
{
	static const size_t lengths[] = { 64, 512, 520, 4096, 65536 };
	static uint8_t buf[65536];
	struct load_block got;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		load_block_fill(buf, lengths[i], &id);
		assert_int_equal(load_block_parse(buf, lengths[i], &got), LOAD_BLOCK_VALID);
		assert_int_equal(got.run, id.run);
		assert_int_equal(got.lun, id.lun);
		assert_int_equal(got.writer, id.writer);
		assert_int_equal(got.lba, id.lba);
		assert_int_equal(got.generation, id.generation);
		assert_int_equal(load_block_seam(buf, lengths[i]), lengths[i]);
	}
}

/* The format is on disk: these bytes may never move. */
static void layout_is_fixed(void **state)
{
	uint8_t buf[512];

	(void)state;
	load_block_fill(buf, sizeof(buf), &id);
	assert_memory_equal(buf, "SANDEMB1", 8);
	assert_memory_equal(buf + 8, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	assert_memory_equal(buf + 16, "\x03\0\0\0\x07\0\0\0", 8);
	assert_memory_equal(buf + 24, "\x56\x34\x12\0\0\0\0\0", 8);
	assert_memory_equal(buf + 32, "\x09\0\0\0\0\0\0\0", 8);
	assert_memory_equal(buf + 40, "\0\x02\0\0", 4);
}

/* A CRC of 32 bits finds every single flipped bit; a flipped magic makes the block alien. */
static void every_bit_counts(void **state)
{
	uint8_t buf[512];
	struct load_block got;

	(void)state;
	load_block_fill(buf, sizeof(buf), &id);
	for (size_t bit = 0; bit < sizeof(buf) * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(load_block_parse(buf, sizeof(buf), &got),
				 bit < 64 ? LOAD_BLOCK_ALIEN : LOAD_BLOCK_BAD_SUM);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void zeroes_and_strangers(void **state)
{
	uint8_t buf[LEN] = { 0 };
	struct load_block got;

	(void)state;
	assert_int_equal(load_block_parse(buf, LEN, &got), LOAD_BLOCK_ZERO);
	buf[LEN - 1] = 1;
	assert_int_equal(load_block_parse(buf, LEN, &got), LOAD_BLOCK_ALIEN);
}

/* Two generations mixed at a logical block boundary: found, and the seam is named. */
static void torn_block_shows_its_seam(void **state)
{
	uint8_t old[LEN], new[LEN];
	struct load_block next = id, got;

	(void)state;
	next.generation++;
	load_block_fill(old, LEN, &id);
	load_block_fill(new, LEN, &next);
	for (size_t seam = 512; seam < LEN; seam += 512) {
		uint8_t torn[LEN];

		memcpy(torn, new, seam);
		memcpy(torn + seam, old + seam, LEN - seam);
		assert_int_equal(load_block_parse(torn, LEN, &got), LOAD_BLOCK_BAD_SUM);
		assert_int_equal(got.generation, next.generation);
		assert_int_equal(load_block_seam(torn, LEN), seam);
	}
}

/* A block that was written with another length isn't valid, though its bytes are. */
static void length_is_part_of_it(void **state)
{
	uint8_t buf[LEN];
	struct load_block got;

	(void)state;
	load_block_fill(buf, LEN, &id);
	assert_int_equal(load_block_parse(buf, 512, &got), LOAD_BLOCK_BAD_SUM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_crc32c),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(layout_is_fixed),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(zeroes_and_strangers),
		cmocka_unit_test(torn_block_shows_its_seam),
		cmocka_unit_test(length_is_part_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
