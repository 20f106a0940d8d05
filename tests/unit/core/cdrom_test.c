/* SPDX-License-Identifier: BSD-2-Clause */
/* MMC-6 commands of a CD-ROM logical unit: table-driven, by field (topology: fake_target.h, LUN 0 made a CD-ROM). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cdrom.h"
#include "fake_target.h"

#define BLOCKS 300000u

static int setup(void **state)
{
	int rc = fake_setup(state);
	struct fake_target *f = *state;

	f->lu->cdrom = f->lu->removable = f->lu->read_only = true;
	f->lu->thin = false;
	f->lu->block_size = CDROM_BLOCK;
	f->lu->blocks = BLOCKS;
	return rc;
}

static void run(struct fake_target *f, uint8_t op, uint8_t b1, uint8_t b2, uint8_t b3, uint8_t b4, uint8_t b6, uint16_t len)
{
	uint8_t cdb[10] = { op, b1, b2, b3, b4, 0, b6 };

	put_be16(cdb + 7, len);
	fake_run(f, cdb, sizeof(cdb), NULL, len);
}

static void toc(void **state)
{
	static const struct {
		uint8_t b1, format, track;
		uint8_t data[20];
		uint8_t len;
	} good[] = {
		{ 0, 0, 0, { 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 4, 0x93, 0xe0 }, 20 },
		{ 0, 0, 1, { 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 4, 0x93, 0xe0 }, 20 },
		{ 0, 0, 0xaa, { 0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 4, 0x93, 0xe0 }, 12 },
		/* 300000 + 150 frames are 66:42:00 */
		{ 2, 0, 0, { 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xaa, 0, 0, 66, 42, 0 }, 20 },
		{ 0, 1, 0, { 0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0 }, 12 },
		{ 2, 1, 0, { 0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0 }, 12 },
	};
	struct fake_target *f = *state;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		for (uint16_t len = 0; len < 64; len += 4) {
			unsigned want = len < good[i].len ? len : good[i].len;

			run(f, 0x43, good[i].b1, good[i].format, 0, 0, good[i].track, len);
			assert_good(f);
			assert_int_equal(f->cmd.data_in_len, want);
			if (want)
				assert_memory_equal(f->cmd.buf, good[i].data, want);
		}
}

static void toc_wrong_fields(void **state)
{
	struct fake_target *f = *state;

	run(f, 0x43, 0, 0, 0, 0, 2, 64);
	fake_assert_bad_field(f, 6);
	for (uint8_t format = 2; format < 16; format++) {
		run(f, 0x43, 0, format, 0, 0, 0, 64);
		fake_assert_bad_field(f, 2);
	}
	run(f, 0x43, 0x01, 0, 0, 0, 0, 64);
	fake_assert_bad_field(f, 1);
}

static unsigned features(const struct fake_target *f, uint16_t *code, bool *current)
{
	unsigned n = 0, end = 4 + get_be32(f->cmd.buf);

	assert_good(f);
	assert_int_equal(end, f->cmd.data_in_len);
	for (unsigned at = 8; at < end; at += 4 + f->cmd.buf[at + 3], n++) {
		code[n] = get_be16(f->cmd.buf + at);
		current[n] = f->cmd.buf[at + 2] & 1;
		assert_int_equal(f->cmd.buf[at + 3] % 4, 0); /* MMC-6 5.2.2 */
	}
	return n;
}

static void configuration(void **state)
{
	struct fake_target *f = *state;
	uint16_t code[32];
	bool now[32];

	run(f, 0x46, 0, 0, 0, 0, 0, 256);
	assert_int_equal(get_be16(f->cmd.buf + 6), 0x0008);
	assert_int_equal(features(f, code, now), 6);
	for (int i = 1; i < 6; i++)
		assert_true(code[i] > code[i - 1]);
	run(f, 0x46, 1, 0, 0, 0, 0, 256);
	assert_int_equal(features(f, code, now), 5);
	for (int i = 0; i < 5; i++)
		assert_true(now[i]);
	run(f, 0x46, 2, 0, 0x10, 0, 0, 256);
	assert_int_equal(features(f, code, now), 1);
	assert_int_equal(get_be32(f->cmd.buf + 12), CDROM_BLOCK);
	run(f, 0x46, 2, 0x12, 0x34, 0, 0, 256);
	assert_int_equal(features(f, code, now), 0);
	run(f, 0x46, 0, 0, 0x1e, 0, 0, 256);
	assert_int_equal(features(f, code, now), 2);
	run(f, 0x46, 3, 0, 0, 0, 0, 256);
	fake_assert_bad_field(f, 1);
	f->lu->blocks = 2000000;
	run(f, 0x46, 1, 0, 0, 0, 0, 256);
	assert_int_equal(get_be16(f->cmd.buf + 6), 0x0010); /* more than a CD holds */
	assert_int_equal(features(f, code, now), 5);
	assert_int_equal(code[4], 0x1f);
}

static void without_medium(void **state)
{
	struct fake_target *f = *state;
	uint16_t code[32];
	bool now[32];

	f->gate.medium = GATE_REFUSE;
	f->gate.medium_sense = SENSE_MEDIUM_NOT_PRESENT;
	f->gate.no_medium = true;
	run(f, 0x46, 1, 0, 0, 0, 0, 256);
	assert_int_equal(get_be16(f->cmd.buf + 6), 0x0000);
	assert_int_equal(features(f, code, now), 3);
	run(f, 0x4a, 1, 0, 0, 0x10, 0, 64);
	assert_good(f);
	assert_int_equal(f->cmd.buf[5], 0x01);
	run(f, 0x43, 0, 0, 0, 0, 0, 64);
	assert_sense(f, SENSE_MEDIUM_NOT_PRESENT);
	run(f, 0x51, 0, 0, 0, 0, 0, 64);
	assert_sense(f, SENSE_MEDIUM_NOT_PRESENT);
}

static void events(void **state)
{
	struct fake_target *f = *state;

	run(f, 0x4a, 1, 0, 0, 0x10, 0, 64);
	assert_good(f);
	assert_memory_equal(f->cmd.buf, "\0\6\4\x10\0\2\0\0", 8);
	run(f, 0x4a, 1, 0, 0, 0x02, 0, 64);
	assert_int_equal(f->cmd.data_in_len, 4);
	assert_int_equal(f->cmd.buf[2] & 0x80, 0x80);
	run(f, 0x4a, 0, 0, 0, 0x10, 0, 64);
	fake_assert_bad_field(f, 1);
}

static void disc_information(void **state)
{
	struct fake_target *f = *state;

	run(f, 0x51, 0, 0, 0, 0, 0, 64);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 34);
	assert_int_equal(get_be16(f->cmd.buf), 32);
	assert_int_equal(f->cmd.buf[2], 0x0e); /* complete */
	assert_memory_equal(f->cmd.buf + 3, "\1\1\1\1", 4);
}

/* A disk knows nothing of discs; a CD-ROM shows no pages of block devices. */
static void which_device(void **state)
{
	static const struct {
		uint8_t op, b1, b4;
	} mmc[] = { { 0x43, 0, 0 }, { 0x46, 0, 0 }, { 0x4a, 1, 0x10 }, { 0x51, 0, 0 } };
	static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 96 }, b0[6] = { 0x12, 1, 0xb0, 0, 96 },
			     pages[6] = { 0x12, 1, 0, 0, 96 }, sense[6] = { 0x1a, 8, 0x2a, 0, 96 };
	struct fake_target *f = *state;

	fake_run(f, inquiry, 6, NULL, 96);
	assert_int_equal(f->cmd.buf[0], 0x05);
	fake_run(f, pages, 6, NULL, 96);
	assert_good(f);
	assert_int_equal(f->cmd.buf[0], 0x05);
	for (unsigned i = 0; i < get_be16(f->cmd.buf + 2); i++)
		assert_true(f->cmd.buf[4 + i] < 0xb0);
	fake_run(f, b0, 6, NULL, 96);
	fake_assert_bad_field(f, 2);
	fake_run(f, sense, 6, NULL, 96);
	assert_good(f);
	assert_int_equal(f->cmd.buf[4], 0x2a);
	fake_rw(f, 0x2a, 0, 0, 1, f->disk.data, CDROM_BLOCK);
	assert_sense(f, SENSE_WRITE_PROTECTED);
	f->lu->cdrom = false;
	for (unsigned i = 0; i < sizeof(mmc) / sizeof(mmc[0]); i++) {
		run(f, mmc[i].op, mmc[i].b1, 0, 0, mmc[i].b4, 0, 64);
		assert_sense(f, SENSE_INVALID_OPCODE);
	}
	fake_run(f, sense, 6, NULL, 96);
	fake_assert_bad_field(f, 2);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, fake_teardown)
	const struct CMUnitTest tests[] = { T(toc), T(toc_wrong_fields), T(configuration), T(without_medium), T(events),
					    T(disc_information), T(which_device) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
