/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on protected logical units (tests/unit/drivers/fake_protected.h), from SBC-3 4.22 and
 * the tables of RDPROTECT, WRPROTECT, VRPROTECT. */
#include "tests/unit/core/fake_wipes.h"
#include "tests/unit/drivers/fake_protected.h"

#include "core/disk.h"

#define LBA 100u
#define READ_16 0x88
#define WRITE_16 0x8a
#define VERIFY_16 0x8f
#define WRITE_VERIFY_16 0x8e
#define WRITE_SAME_16 0x93
#define ORWRITE_16 0x8b
#define CAW 0x89
enum { SA_READ = 9, SA_VERIFY, SA_WRITE, SA_WRITE_VERIFY, SA_WRITE_SAME };
enum { GUARD = 1, APP = 2, REF = 3 }; /* additional sense code qualifiers of 10h */
#define APP_TAG 0x1234
#define REF_2 0xcafe0000u /* what the initiator of type 2 chose */

/* The field that each wrong block is wrong in; 0 = it is good. */
static void spoil(uint8_t *pi, int field)
{
	static const int at[] = { 0, 1, 3, 7 };

	if (field)
		pi[at[field]] ^= 0x40;
}

/* By the tables: with this protect field, of this type, this field of protection information is
 * checked. The application tag is known from commands of 32 bytes only, which are those of type 2.
 */
static bool is_checked(enum pi_type type, uint8_t protect, int field)
{
	static const bool guard[6] = { 1, 1, 0, 0, 1, 1 }, tags[6] = { 1, 1, 1, 0, 0, 1 };

	switch (field) {
	case GUARD:
		return guard[protect];
	case APP:
		return tags[protect] && type == PI_TYPE_2;
	case REF:
		return tags[protect] && type != PI_TYPE_3;
	}
	return false;
}

static uint32_t ref_of(enum pi_type type, uint32_t lba)
{
	return type == PI_TYPE_1 ? lba : type == PI_TYPE_2 ? REF_2 + lba - LBA : 0x77777777;
}

/* The command that suits the type: 16 bytes, or 32 with what is expected. */
static void run(struct protected_rig *r, enum pi_type type, uint8_t opcode, uint8_t sa,
		uint8_t protect, uint8_t options, uint32_t blocks, const void *data,
		uint32_t expected)
{
	if (type == PI_TYPE_2)
		run32(r, sa, protect, options, LBA, blocks,
		      (struct tags32){ REF_2, APP_TAG, 0xffff }, data, expected);
	else
		run16(r, opcode, protect, options, LBA, blocks, data, expected);
}

/* ---- the CRC
 * -------------------------------------------------------------------------------------- */

static void guard_is_the_crc_of_the_standard(void **state)
{
	uint8_t up[32], ones[32], block[512];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (int i = 0; i < 32; i++)
		up[i] = i;
	for (int i = 0; i < 512; i++)
		block[i] = i * 7 + 1;
	assert_int_equal(pi_guard(ones, 32), 0xa293); /* SBC-3 4.22.4: CRC test cases */
	assert_int_equal(pi_guard(up, 32), 0x0224);
	assert_int_equal(pi_guard(block, 512), crc_t10(block, 512));
}

/* ---- what a protected unit says of itself
 * ------------------------------------------------------------ */

static void identity(void **state)
{
	static const struct {
		enum pi_type type;
		bool ato;
		uint8_t capacity, vpd86;
	} cases[] = {
		{ PI_NONE, false, 0x00, 0x00 },	  { PI_TYPE_1, true, 0x01, 0x05 },
		{ PI_TYPE_1, false, 0x01, 0x05 }, { PI_TYPE_2, true, 0x03, 0x17 },
		{ PI_TYPE_3, true, 0x05, 0x24 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct protected_rig *r = rig_new(cases[i].type, cases[i].ato);
		struct fake_target *f = r->f;

		fake_run(f, (const uint8_t[6]){ 0x12, 0, 0, 0, 96 }, 6, NULL, 96);
		assert_int_equal(f->cmd.buf[5] & 1, cases[i].type != PI_NONE); /* PROTECT */
		fake_run(f, (const uint8_t[16]){ 0x9e, 0x10, [13] = 32 }, 16, NULL, 32);
		assert_int_equal(f->cmd.buf[12], cases[i].capacity); /* P_TYPE, PROT_EN */
		assert_int_equal(f->cmd.buf[13] >> 4, 0);	     /* P_I_EXPONENT */
		fake_run(f, (const uint8_t[6]){ 0x12, 1, 0x86, 0, 64 }, 6, NULL, 64);
		assert_int_equal(f->cmd.buf[4],
				 cases[i].vpd86); /* SPT, GRD_CHK, APP_CHK, REF_CHK */
		fake_run(f, (const uint8_t[6]){ 0x1a, 8, 0x0a, 0, 64 }, 6, NULL, 64);
		assert_int_equal(f->cmd.buf[4 + 5] & 0x80, cases[i].ato ? 0x80 : 0); /* ATO */
		assert_int_equal(f->cmd.buf[4 + 2] & 0x08, 0);			     /* DPICZ */
		rig_free(r);
	}
}

/* Byte of the CDB usage data; -1: the command is not supported. */
static int usage(struct fake_target *f, uint8_t opcode, int sa, int byte)
{
	uint8_t cdb[12] = { 0xa3, 0x0c, 3, opcode, sa >> 8, sa, 0, 0, 0, 64 };

	fake_run(f, cdb, 12, NULL, 64);
	assert_good(f);
	return (f->cmd.buf[1] & 7) == 3 ? f->cmd.buf[4 + byte] : -1;
}

static void supported_operation_codes(void **state)
{
	static const struct {
		enum pi_type type;
		int read16, write10, verify12, same16, caw, read32;
	} cases[] = {
		{ PI_NONE, 0x18, 0x18, 0x16, 0x09, 0x18, -1 },
		{ PI_TYPE_1, 0xf8, 0xf8, 0xf6, 0xe9, 0xf8, -1 },
		{ PI_TYPE_2, 0x18, 0x18, 0x16, 0x09, 0x18, 0xf8 },
		{ PI_TYPE_3, 0xf8, 0xf8, 0xf6, 0xe9, 0xf8, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct protected_rig *r = rig_new(cases[i].type, true);

		assert_int_equal(usage(r->f, 0x88, 0, 1), cases[i].read16);
		assert_int_equal(usage(r->f, 0x2a, 0, 1), cases[i].write10);
		assert_int_equal(usage(r->f, 0xaf, 0, 1), cases[i].verify12);
		assert_int_equal(usage(r->f, 0x93, 0, 1), cases[i].same16);
		assert_int_equal(usage(r->f, 0x89, 0, 1), cases[i].caw);
		for (int sa = SA_READ; sa <= SA_WRITE_SAME; sa++)
			assert_int_equal(usage(r->f, 0x7f, sa, 0), cases[i].read32 < 0 ? -1 : 0x7f);
		assert_int_equal(usage(r->f, 0x7f, SA_READ, 10), cases[i].read32);
		assert_int_equal(usage(r->f, 0x7f, 0x0e, 0), -1); /* ORWRITE (32) */
		rig_free(r);
	}
}

/* All commands in one list: the one of 32 bytes says so, with its service action. */
static void all_supported_operation_codes(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_2, true);
	unsigned found = 0;

	(void)state;
	fake_run(r->f, (const uint8_t[12]){ 0xa3, 0x0c, 0, [8] = 0x40 }, 12, NULL, 0x4000);
	for (uint32_t at = 4; at < 4 + get_be32(r->f->cmd.buf); at += 8) {
		const uint8_t *d = r->f->cmd.buf + at;

		if (d[0] != 0x7f)
			continue;
		assert_int_equal(get_be16(d + 2), SA_READ + found++);
		assert_int_equal(d[5] & 1, 1); /* SERVACTV */
		assert_int_equal(get_be16(d + 6), 32);
	}
	assert_int_equal(found, 5);
	rig_free(r);
}

/* ---- values of the field that are refused
 * --------------------------------------------------------------- */

static void refused_fields(void **state)
{
	static const uint8_t opcodes[] = { 0x28, 0xa8, 0x88, 0x2a, 0xaa, 0x8a, 0x2e, 0xae,
					   0x8e, 0x2f, 0xaf, 0x8f, 0x41, 0x93, 0x89, 0x8b };

	(void)state;
	for (int type = PI_NONE; type <= PI_TYPE_3; type++) {
		struct protected_rig *r = rig_new(type, true);

		for (size_t i = 0; i < sizeof(opcodes); i++)
			for (int protect = 1; protect < 8; protect++) {
				uint8_t cdb[32] = { opcodes[i], protect << 5 };

				if ((type == PI_TYPE_1 || type == PI_TYPE_3) && protect < 6)
					continue;
				fake_run(r->f, cdb, 16, NULL, 0);
				if (type == PI_TYPE_2) { /* 4.22.2.4 */
					assert_sense(r->f, SENSE(5, 0x20, 0x00));
					continue;
				}
				fake_assert_bad_field(r->f, 1);
				if (type != PI_NONE || protect >= 4)
					assert_int_equal(r->f->cmd.sense[15] & 0x0f,
							 0x0f); /* BPV, bit 7 */
			}
		if (type == PI_TYPE_2)
			for (int protect = 6; protect < 8; protect++) {
				run32(r, SA_READ, protect, 0, 0, 0, (struct tags32){ 0 }, NULL, 0);
				fake_assert_bad_field(r->f, 10);
			}
		rig_free(r);
	}
}

/* ---- writing
 * ------------------------------------------------------------------------------------------------
 */

static void received_protection_information_is_checked(void **state)
{
	static uint8_t blocks[3 * STEP], before[3 * STEP];

	(void)state;
	for (int type = PI_TYPE_1; type <= PI_TYPE_3; type++)
		for (int protect = 1; protect < 6; protect++)
			for (int field = 0; field <= REF; field++) {
				struct protected_rig *r = rig_new(type, true);
				bool refused = is_checked(type, protect, field);

				for (int i = 0; i < 3; i++)
					block_make(blocks + i * STEP, 0x30 + i, APP_TAG,
						   ref_of(type, LBA + i));
				spoil(blocks + STEP + FAKE_BLOCK, field); /* the second one */
				memset(before, 0xff, sizeof(before));
				run(r, type, WRITE_16, SA_WRITE, protect, 0, 3, blocks,
				    sizeof(blocks));
				if (refused)
					assert_pi_sense(r, 0xb, field, LBA + 1);
				else
					assert_good(r->f);
				for (int i = 0; i < 3; i++) { /* kept as it came, or not at all */
					uint8_t pi[PI_LEN];

					rig_pi(r, LBA + i, pi);
					assert_memory_equal(
						pi,
						refused ? before : blocks + i * STEP + FAKE_BLOCK,
						PI_LEN);
					assert_int_equal(r->f->disk.data[(LBA + i) * FAKE_BLOCK],
							 refused ? 0 : 0x30 + i);
				}
				rig_free(r);
			}
}

/* 000b: guard made, application tag FFFFh where it is the application client's, reference tag the
 * LBA with type 1. */
static void protection_information_is_made(void **state)
{
	static uint8_t data[2 * FAKE_BLOCK];

	(void)state;
	memset(data, 0x5a, sizeof(data));
	for (int type = PI_TYPE_1; type <= PI_TYPE_3; type++)
		for (int ato = 0; ato < 2; ato++) {
			struct protected_rig *r = rig_new(type, ato);

			for (int opcode = 0; opcode < 2; opcode++) {
				memset(data, 0x5a + opcode, sizeof(data));
				run16(r, opcode ? WRITE_VERIFY_16 : WRITE_16, 0, 0, LBA, 2, data,
				      sizeof(data));
				assert_good(r->f);
				for (int i = 0; i < 2; i++) {
					uint8_t pi[PI_LEN];

					rig_pi(r, LBA + i, pi);
					assert_int_equal(get_be16(pi), crc_t10(data, FAKE_BLOCK));
					assert_int_equal(get_be16(pi + 2), ato ? 0xffff : 0);
					assert_int_equal(get_be32(pi + 4),
							 type == PI_TYPE_1 ? LBA + i : 0xffffffff);
				}
			}
			run16(r, READ_16, 0, 0, LBA, 2, NULL, sizeof(data));
			assert_good(r->f);
			assert_memory_equal(r->f->cmd.buf, data, sizeof(data));
			rig_free(r);
		}
}

/* ---- reading
 * --------------------------------------------------------------------------------------------------
 */

static void medium_is_checked(void **state)
{
	static uint8_t blocks[3 * STEP];

	(void)state;
	for (int type = PI_TYPE_1; type <= PI_TYPE_3; type++)
		for (int protect = 0; protect < 6; protect++)
			for (int field = 0; field <= REF; field++) {
				struct protected_rig *r = rig_new(type, true);
				uint32_t len = 3 * (protect ? STEP : FAKE_BLOCK);
				uint8_t pi[PI_LEN];

				for (int i = 0; i < 3; i++)
					block_make(blocks + i * STEP, 0x30 + i, APP_TAG,
						   ref_of(type, LBA + i));
				run(r, type, WRITE_16, SA_WRITE, 1, 0, 3, blocks, sizeof(blocks));
				assert_good(r->f);
				rig_pi(r, LBA + 2, pi);
				spoil(pi, field);
				rig_set_pi(r, LBA + 2, pi);
				spoil(blocks + 2 * STEP + FAKE_BLOCK, field);
				run(r, type, READ_16, SA_READ, protect, 0, 3, NULL, len);
				if (is_checked(type, protect, field)) {
					assert_pi_sense(r, 0xb, field, LBA + 2);
				} else {
					assert_good(r->f);
					assert_int_equal(r->f->cmd.data_in_len, len);
					for (int i = 0; i < 3; i++)
						assert_memory_equal(r->f->cmd.buf + i * (len / 3),
								    blocks + i * STEP, len / 3);
				}
				rig_free(r);
			}
}

static void changed_data_is_found_out(void **state)
{
	uint8_t data[FAKE_BLOCK] = { 1, 2, 3 };

	(void)state;
	for (int ato = 0; ato < 2; ato++) {
		struct protected_rig *r = rig_new(PI_TYPE_1, ato);

		run16(r, WRITE_16, 0, 0, LBA, 1, data, sizeof(data));
		assert_good(r->f);
		r->f->disk.data[LBA * FAKE_BLOCK + 77] ^= 1;
		run16(r, READ_16, 0, 0, LBA, 1, NULL, FAKE_BLOCK);
		if (ato) /* its application tag is FFFFh: 4.22.3 */
			assert_good(r->f);
		else
			assert_pi_sense(r, 0xb, GUARD, LBA);
		rig_free(r);
	}
}

/* 4.22.3: application tag FFFFh, with type 3 and reference tag FFFFFFFFh: nothing is checked; of
 * received blocks it is. */
static void escape_values(void **state)
{
	static const struct {
		enum pi_type type;
		uint16_t app;
		uint32_t ref;
		bool escaped;
	} cases[] = {
		{ PI_TYPE_1, 0xffff, 5, true },		 { PI_TYPE_1, 0xfffe, 0xffffffff, false },
		{ PI_TYPE_2, 0xffff, 5, true },		 { PI_TYPE_3, 0xffff, 5, false },
		{ PI_TYPE_3, 0xffff, 0xffffffff, true }, { PI_TYPE_3, 0, 0xffffffff, false },
	};
	uint8_t block[STEP], pi[PI_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct protected_rig *r = rig_new(cases[i].type, true);

		put_be16(pi, 0xbad0);
		put_be16(pi + 2, cases[i].app);
		put_be32(pi + 4, cases[i].ref);
		rig_set_pi(r, LBA, pi);
		run(r, cases[i].type, READ_16, SA_READ, 1, 0, 1, NULL, STEP);
		if (cases[i].escaped)
			assert_good(r->f);
		else
			assert_pi_sense(r, 0xb, GUARD, LBA);
		memset(block, 3, FAKE_BLOCK);
		memcpy(block + FAKE_BLOCK, pi, PI_LEN);
		run(r, cases[i].type, WRITE_16, SA_WRITE, 1, 0, 1, block, STEP);
		assert_pi_sense(r, 0xb, GUARD, LBA);
		rig_free(r);
	}
}

static void application_tag_mask(void **state)
{
	static const struct {
		uint16_t app, mask;
		bool ato, good;
	} cases[] = {
		{ 0x1234, 0xffff, true, true }, { 0x1235, 0xffff, true, false },
		{ 0x1235, 0xfffe, true, true }, { 0xff34, 0x00ff, true, true },
		{ 0x0000, 0x0000, true, true }, { 0x4321, 0xffff, false, true },
	};
	uint8_t block[STEP];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct protected_rig *r = rig_new(PI_TYPE_2, cases[i].ato);
		struct tags32 right = { 9, 0x1234, 0xffff },
			      asked = { 9, cases[i].app, cases[i].mask };

		block_make(block, 1, 0x1234, 9);
		run32(r, SA_WRITE, 1, 0, LBA, 1, right, block, STEP);
		assert_good(r->f);
		run32(r, SA_READ, 0, 0, LBA, 1, asked, NULL, FAKE_BLOCK);
		if (cases[i].good)
			assert_good(r->f);
		else
			assert_pi_sense(r, 0xb, APP, LBA);
		rig_free(r);
	}
}

/* With type 2 short commands don't know the reference tag. */
static void short_commands_with_type_2(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_2, true);
	uint8_t block[STEP];

	(void)state;
	block_make(block, 1, 7, 0xdeadbeef);
	run32(r, SA_WRITE, 1, 0, LBA, 1, (struct tags32){ 0xdeadbeef, 7, 0xffff }, block, STEP);
	assert_good(r->f);
	run16(r, READ_16, 0, 0, LBA, 1, NULL, FAKE_BLOCK);
	assert_good(r->f);
	r->f->disk.data[LBA * FAKE_BLOCK] ^= 1;
	run16(r, READ_16, 0, 0, LBA, 1, NULL, FAKE_BLOCK);
	assert_pi_sense(r, 0xb, GUARD, LBA);
	rig_free(r);
}

/* ---- VERIFY, WRITE AND VERIFY
 * ------------------------------------------------------------------------------------ */

static void verify_of_the_medium(void **state)
{
	uint8_t block[STEP], pi[PI_LEN];

	(void)state;
	for (int type = PI_TYPE_1; type <= PI_TYPE_3; type++)
		for (int protect = 0; protect < 6; protect++)
			for (int field = 0; field <= REF; field++) {
				struct protected_rig *r = rig_new(type, true);

				block_make(block, 9, APP_TAG, ref_of(type, LBA));
				run(r, type, WRITE_16, SA_WRITE, 1, 0, 1, block, STEP);
				rig_pi(r, LBA, pi);
				spoil(pi, field);
				rig_set_pi(r, LBA, pi);
				run(r, type, VERIFY_16, SA_VERIFY, protect, 0, 1, NULL, 0);
				if (is_checked(type, protect, field))
					assert_pi_sense(r, 0xb, field, LBA);
				else
					assert_good(r->f);
				rig_free(r);
			}
}

/* BYTCHK=01b: received ones are checked by the field, then compared; those of the medium are not
 * checked. */
static void verify_compares(void **state)
{
	static const bool compared[6][4] = {
		/* by the protect field: user data, guard, application tag, reference tag */
		[1] = { 1, 1, 1, 1 }, [2] = { 1, 0, 1, 1 }, [3] = { 1, 1, 1, 1 },
		[4] = { 1, 1, 1, 1 }, [5] = { 1, 1, 1, 1 },
	};
	uint8_t block[2 * STEP], pi[PI_LEN];

	(void)state;
	for (int protect = 1; protect < 6; protect++)
		for (int field = 0; field <= REF; field++) {
			struct protected_rig *r = rig_new(PI_TYPE_1, true);

			for (int i = 0; i < 2; i++)
				block_make(block + i * STEP, 9, APP_TAG, LBA + i);
			run16(r, WRITE_16, 1, 0, LBA, 2, block, sizeof(block));
			run16(r, VERIFY_16, protect, 2, LBA, 2, block, sizeof(block));
			assert_good(r->f);
			rig_pi(r, LBA + 1, pi);
			spoil(pi, field);
			rig_set_pi(r, LBA + 1, pi);
			if (!field)
				r->f->disk.data[(LBA + 1) * FAKE_BLOCK] ^= 1;
			run16(r, VERIFY_16, protect, 2, LBA, 2, block, sizeof(block));
			if (!compared[protect][field])
				assert_good(r->f);
			else if (field)
				assert_pi_sense(r, 0xe, field, LBA + 1);
			else
				assert_sense(r->f, SENSE(0xe, 0x1d, 0x00));
			rig_free(r);
		}
}

static void verify_checks_what_it_receives(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, true);
	uint8_t block[STEP];

	(void)state;
	block_make(block, 9, 0, LBA);
	run16(r, WRITE_16, 1, 0, LBA, 1, block, STEP);
	block[FAKE_BLOCK] ^= 1;
	run16(r, VERIFY_16, 1, 2, LBA, 1, block, STEP);
	assert_pi_sense(r, 0xb, GUARD, LBA);
	rig_free(r);
}

/* BYTCHK=11b: one block for all, its reference tag counts on. */
static void verify_with_one_block(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, true);
	uint8_t block[3 * STEP];

	(void)state;
	for (int i = 0; i < 3; i++)
		block_make(block + i * STEP, 9, 0, LBA + i);
	run16(r, WRITE_16, 1, 0, LBA, 3, block, sizeof(block));
	run16(r, VERIFY_16, 1, 6, LBA, 3, block, STEP);
	assert_good(r->f);
	r->f->disk.data[(LBA + 2) * FAKE_BLOCK] ^= 1;
	run16(r, VERIFY_16, 1, 6, LBA, 3, block, STEP);
	assert_sense(r->f, SENSE(0xe, 0x1d, 0x00));
	rig_free(r);
}

static void write_and_verify(void **state)
{
	uint8_t block[STEP], pi[PI_LEN];

	(void)state;
	for (int type = PI_TYPE_1; type <= PI_TYPE_3; type++)
		for (int bytchk = 0; bytchk < 2; bytchk++) {
			struct protected_rig *r = rig_new(type, true);

			block_make(block, 0x42, APP_TAG, ref_of(type, LBA));
			run(r, type, WRITE_VERIFY_16, SA_WRITE_VERIFY, 1, bytchk << 1, 1, block,
			    STEP);
			assert_good(r->f);
			rig_pi(r, LBA, pi);
			assert_memory_equal(pi, block + FAKE_BLOCK, PI_LEN);
			spoil(block + FAKE_BLOCK, GUARD);
			run(r, type, WRITE_VERIFY_16, SA_WRITE_VERIFY, 1, bytchk << 1, 1, block,
			    STEP);
			assert_pi_sense(r, 0xb, GUARD, LBA);
			rig_free(r);
		}
}

/* ---- WRITE SAME, UNMAP
 * -------------------------------------------------------------------------------------------- */

/* The reference tag counts on with types 1 and 2, and is the same with type 3. More than one
 * step's worth of blocks. */
static void write_same_repeats(void **state)
{
	static const uint32_t n = 5000;
	uint8_t block[STEP], pi[PI_LEN];

	(void)state;
	for (int type = PI_TYPE_1; type <= PI_TYPE_3; type++) {
		struct protected_rig *r = rig_new(type, true);

		block_make(block, 0x17, APP_TAG, ref_of(type, LBA));
		run(r, type, WRITE_SAME_16, SA_WRITE_SAME, 1, 0, n, block, STEP);
		assert_good(r->f);
		for (uint32_t i = 0; i < n; i++) {
			put_be32(block + FAKE_BLOCK + 4,
				 ref_of(type, LBA) + (type == PI_TYPE_3 ? 0 : i));
			rig_pi(r, LBA + i, pi);
			assert_memory_equal(pi, block + FAKE_BLOCK, PI_LEN);
			assert_memory_equal(r->f->disk.data + (LBA + i) * FAKE_BLOCK, block,
					    FAKE_BLOCK);
		}
		spoil(block + FAKE_BLOCK, GUARD);
		run(r, type, WRITE_SAME_16, SA_WRITE_SAME, 1, 0, n, block, STEP);
		assert_pi_sense(r, 0xb, GUARD, LBA);
		rig_free(r);
	}
}

static void write_same_without(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, false);
	uint8_t block[STEP] = { 0 }, pi[PI_LEN], ones[PI_LEN];
	uint32_t n = 1500;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	run16(r, WRITE_SAME_16, 0, 0, LBA, n, block, FAKE_BLOCK); /* zeroes: made like any others */
	assert_good(r->f);
	rig_pi(r, LBA + n - 1, pi);
	assert_int_equal(get_be64(pi), LBA + n - 1);	       /* guard and application tag 0 */
	run16(r, WRITE_SAME_16, 0, 1, LBA + 3, 1000, NULL, 0); /* NDOB */
	assert_good(r->f);
	for (uint32_t i = 0; i < n; i++) {
		rig_pi(r, LBA + i, pi);
		assert_int_equal(pi_is_erased(pi), i >= 3 && i < 1003);
	}
	memset(block, 7,
	       FAKE_BLOCK); /* all bits of the received one set: kept so for every block */
	memset(block + FAKE_BLOCK, 0xff, PI_LEN);
	run16(r, WRITE_SAME_16, 1, 0, LBA, 5, block, STEP);
	assert_good(r->f);
	for (uint32_t i = 0; i < 5; i++) {
		rig_pi(r, LBA + i, pi);
		assert_memory_equal(pi, ones, PI_LEN);
	}
	run16(r, WRITE_SAME_16, 1, 0, LBA, 5, block, FAKE_BLOCK); /* the length does not fit */
	assert_sense(r->f, SENSE(5, 0x0e, 0x03));
	rig_free(r);
}

/* Deallocated blocks read as zeroes with FFh in all bytes of protection information, their
 * neighbours as before. */
static void unmapped_blocks(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, false);
	uint32_t n = 2000, first = 13, count = 1700;
	uint8_t list[24] = { 0, 22, 0, 16 }, *data = calloc(n, FAKE_BLOCK), pi[PI_LEN];

	(void)state;
	memset(data, 0x11, n * FAKE_BLOCK);
	run16(r, WRITE_16, 0, 0, LBA, n, data, n * FAKE_BLOCK);
	assert_good(r->f);
	put_be64(list + 8, LBA + first);
	put_be32(list + 16, count);
	fake_run(r->f, (const uint8_t[10]){ 0x42, [8] = 24 }, 10, list, 24);
	assert_good(r->f);
	for (uint32_t i = 0; i < n; i++) {
		rig_pi(r, LBA + i, pi);
		assert_int_equal(pi_is_erased(pi), i >= first && i < first + count);
	}
	run16(r, READ_16, 1, 0, LBA, n, NULL, n * STEP);
	assert_good(r->f);
	free(data);
	rig_free(r);
}

/* ---- COMPARE AND WRITE, ORWRITE
 * ------------------------------------------------------------------------------------- */

static void compare_and_write(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, true);
	uint8_t both[4 * STEP], pi[PI_LEN];

	(void)state;
	for (int i = 0; i < 2; i++) {
		block_make(both + i * STEP, 1, APP_TAG, LBA + i);
		block_make(both + (2 + i) * STEP, 2, APP_TAG + 1, LBA + i);
	}
	run16(r, WRITE_16, 1, 0, LBA, 2, both, 2 * STEP);
	run16(r, CAW, 1, 0, LBA, 2, both, sizeof(both));
	assert_good(r->f);
	rig_pi(r, LBA + 1, pi);
	assert_memory_equal(pi, both + 3 * STEP + FAKE_BLOCK, PI_LEN);
	run16(r, CAW, 1, 0, LBA, 2, both, sizeof(both)); /* not what is there now */
	assert_sense(r->f, SENSE(0xe, 0x1d, 0x00));
	assert_int_equal(get_be32(r->f->cmd.sense + 3), 0);
	memcpy(both, both + 2 * STEP, 2 * STEP);
	both[STEP + 5] ^= 1;
	run16(r, CAW, 1, 0, LBA, 2, both, sizeof(both));
	assert_sense(r->f, SENSE(0xe, 0x1d, 0x00));
	assert_int_equal(get_be32(r->f->cmd.sense + 3),
			 STEP + 5); /* offset in the data-out buffer */
	both[STEP + 5] ^= 1;
	spoil(both + 3 * STEP + FAKE_BLOCK, REF);
	run16(r, CAW, 1, 0, LBA, 2, both, sizeof(both));
	assert_pi_sense(r, 0xb, REF, LBA + 1);
	rig_pi(r, LBA, pi);
	assert_memory_equal(pi, both + FAKE_BLOCK, PI_LEN); /* nothing was written */
	rig_free(r);
}

static void orwrite(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, true);
	uint8_t block[STEP], pi[PI_LEN], want[FAKE_BLOCK];

	(void)state;
	block_make(block, 0x0f, APP_TAG, LBA);
	run16(r, WRITE_16, 1, 0, LBA, 1, block, STEP);
	block_make(block, 0xf0, APP_TAG + 1, LBA);
	run16(r, ORWRITE_16, 0, 0, LBA, 1, block, FAKE_BLOCK);
	assert_good(r->f);
	memset(want, 0xff, sizeof(want));
	rig_pi(r, LBA, pi);
	assert_int_equal(get_be16(pi), crc_t10(want, sizeof(want)));
	assert_int_equal(get_be16(pi + 2), APP_TAG); /* stays */
	run16(r, ORWRITE_16, 1, 0, LBA, 1, block, STEP);
	assert_good(r->f);
	rig_pi(r, LBA, pi);
	assert_int_equal(get_be16(pi), crc_t10(want, sizeof(want)));
	assert_int_equal(get_be16(pi + 2), APP_TAG + 1);
	spoil(block + FAKE_BLOCK, GUARD);
	run16(r, ORWRITE_16, 1, 0, LBA, 1, block, STEP);
	assert_pi_sense(r, 0xb, GUARD, LBA);
	r->f->disk.data[LBA * FAKE_BLOCK] ^= 1; /* what it reads is checked */
	run16(r, ORWRITE_16, 0, 0, LBA, 1, block, FAKE_BLOCK);
	assert_pi_sense(r, 0xb, GUARD, LBA);
	rig_free(r);
}

/* ---- EXTENDED COPY ----------------------------------------------------------------------------- */

static void copy(struct protected_rig *r, uint16_t blocks, uint64_t from, uint64_t to)
{
	uint8_t list[16 + 32 + 28] = { [1] = 0x10, [3] = 32, [11] = 28 };
	uint8_t cdb[16] = { 0x83, [13] = sizeof(list) }, *t = list + 16, *s = t + 32;
	const struct lu *lu = r->f->lu;

	t[0] = 0xe4; /* identification descriptor: binary NAA */
	t[4] = 1;
	t[5] = 3;
	t[7] = lu->id.naa_len;
	memcpy(t + 8, lu->id.naa, lu->id.naa_len);
	put_be24(t + 29, FAKE_BLOCK);
	s[0] = 0x02; /* block to block */
	put_be16(s + 2, 24);
	put_be16(s + 10, blocks);
	put_be64(s + 12, from);
	put_be64(s + 20, to);
	fake_run(r->f, cdb, sizeof(cdb), list, sizeof(list));
}

/* The copy manager reads and writes with protect fields of 000b: what it reads is checked, what it
 * writes has protection information of its own place. */
static void extended_copy_of_protected_blocks(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, false);
	uint8_t data[3 * FAKE_BLOCK], pi[PI_LEN];

	(void)state;
	memset(data, 0x6b, sizeof(data));
	run16(r, WRITE_16, 0, 0, LBA, 3, data, sizeof(data));
	copy(r, 3, LBA, 5000);
	assert_good(r->f);
	assert_memory_equal(r->f->disk.data + 5000 * FAKE_BLOCK, data, sizeof(data));
	for (uint32_t i = 0; i < 3; i++) {
		rig_pi(r, 5000 + i, pi);
		assert_int_equal(get_be16(pi), crc_t10(data, FAKE_BLOCK));
		assert_int_equal(get_be32(pi + 4), 5000 + i);
	}
	r->f->disk.data[(LBA + 1) * FAKE_BLOCK] ^= 1;
	copy(r, 3, LBA, 6000);
	assert_int_equal(r->f->cmd.status, STATUS_CHECK_CONDITION);
	assert_int_equal(r->f->disk.data[6000 * FAKE_BLOCK], 0); /* nothing of it was passed on */
	rig_free(r);
}

/* ---- FORMAT UNIT, SANITIZE
 * -------------------------------------------------------------------------------------------- */

static void format_keeps_the_type(void **state)
{
	(void)state;
	for (int type = PI_NONE; type <= PI_TYPE_3; type++)
		for (int fmtpinfo = 0; fmtpinfo < 4; fmtpinfo++)
			for (int field = -1; field < 8;
			     field++) { /* PROTECTION FIELD USAGE; -1: no parameter list */
				static const int wanted[] = { 0, 2, 3, 3 };
				struct protected_rig *r = rig_new(type, true);
				uint8_t list[4] = { field < 0 ? 0 : field }, pi[PI_LEN] = { 1 };
				uint8_t cdb[6] = { 4, fmtpinfo << 6 | (field < 0 ? 0 : 0x10) };

				fake_wipes_wire(r->f);
				rig_set_pi(r, LBA, pi);
				fake_run(r->f, cdb, 6, field < 0 ? NULL : list, field < 0 ? 0 : 4);
				rig_pi(r, LBA, pi);
				if (fmtpinfo == wanted[type] &&
				    (field < 0 ? 0 : field) == (type == PI_TYPE_3)) {
					assert_good(r->f);
					assert_int_equal(pi_is_erased(pi), true);
				} else {
					assert_int_equal(SENSE_KEY(fake_sense(r->f)), 5);
					assert_int_equal(SENSE_ASC(fake_sense(r->f)),
							 fmtpinfo == wanted[type] && field >= 0
								 ? 0x26
								 : 0x24);
					assert_int_equal(pi[0], 1);
				}
				rig_free(r);
			}
}

static void sanitize_forgets(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, false);
	uint8_t list[8] = { 1, 0, 0, 4, 0xab, 0xab, 0xab, 0xab }, pi[PI_LEN] = { 1 };

	(void)state;
	fake_wipes_wire(r->f);
	rig_set_pi(r, LBA, pi);
	fake_run(r->f, (const uint8_t[10]){ 0x48, 0x01, [8] = 8 }, 10, list, 8);
	assert_good(r->f);
	rig_pi(r, LBA, pi);
	assert_true(pi_is_erased(pi));
	assert_int_equal(r->f->disk.data[LBA * FAKE_BLOCK], 0xab);
	rig_free(r);
}

/* ---- CDBs of 32 bytes
 * ----------------------------------------------------------------------------------------------------
 */

static void malformed_long_cdbs(void **state)
{
	static const struct {
		enum pi_type type;
		uint8_t additional, sa, got;
		sense_t sense;
		int field;
	} cases[] = {
		{ PI_NONE, 0x18, 9, 32, SENSE(5, 0x20, 0), -1 },
		{ PI_TYPE_1, 0x18, 9, 32, SENSE(5, 0x20, 0), -1 },
		{ PI_TYPE_3, 0x18, 9, 32, SENSE(5, 0x20, 0), -1 },
		{ PI_TYPE_1, 0x18, 0x77, 32, SENSE(5, 0x20, 0), -1 },
		{ PI_TYPE_2, 0x17, 9, 32, SENSE(5, 0x24, 0), 7 },
		{ PI_TYPE_2, 0x19, 9, 32, SENSE(5, 0x24, 0), 7 },
		{ PI_TYPE_2, 0x00, 9, 32, SENSE(5, 0x24, 0), 7 },
		{ PI_TYPE_2, 0xff, 9, 32, SENSE(5, 0x24, 0), 7 },
		{ PI_TYPE_2, 0x18, 9, 16, SENSE(5, 0x0e, 3), -1 },
		{ PI_TYPE_2, 0x18, 9, 31, SENSE(5, 0x0e, 3), -1 },
		{ PI_TYPE_2, 0x18, 0x77, 32, SENSE(5, 0x24, 0), 8 },
		{ PI_TYPE_2, 0x18, 0x0e, 32, SENSE(5, 0x24, 0), 8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct protected_rig *r = rig_new(cases[i].type, true);
		uint8_t cdb[32] = { 0x7f, [7] = cases[i].additional, [9] = cases[i].sa, [31] = 1 };

		if (cases[i].got < 32)
			memset(cdb + cases[i].got, 0, 32 - cases[i].got);
		fake_run(r->f, cdb, cases[i].got, NULL, FAKE_BLOCK);
		assert_sense(r->f, cases[i].sense);
		if (cases[i].field >= 0)
			fake_assert_bad_field(r->f, cases[i].field);
		rig_free(r);
	}
}

/* FUA and the range gate count for them, too. */
static void long_cdbs_are_like_short_ones(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_2, true);
	uint8_t block[FAKE_BLOCK] = { 0 };

	(void)state;
	run32(r, SA_WRITE, 0, 0x08, LBA, 1, (struct tags32){ 0 }, block, sizeof(block));
	assert_good(r->f);
	assert_int_equal(r->f->disk.fua_writes, 1);
	run32(r, SA_READ, 0, 0, FAKE_BLOCKS, 1, (struct tags32){ 0 }, NULL, FAKE_BLOCK);
	assert_sense(r->f, SENSE(5, 0x21, 0));
	run32(r, SA_WRITE_SAME, 0, 0, LBA, 0x10000, (struct tags32){ 0 }, block, sizeof(block));
	fake_assert_bad_field(r->f, 28);
	rig_free(r);
}

/* ---- errors of either medium
 * ------------------------------------------------------------------------------------------------
 */

static void either_medium_fails(void **state)
{
	static const struct {
		uint8_t opcode;
		enum disk_op op;
	} cases[] = { { READ_16, DISK_READ },
		      { WRITE_16, DISK_WRITE },
		      { 0x91, DISK_FLUSH },
		      { WRITE_SAME_16, DISK_DISCARD } };
	uint8_t block[FAKE_BLOCK] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int tags = 0; tags < 2; tags++) {
			struct protected_rig *r = rig_new(PI_TYPE_1, true);
			bool out = cases[i].opcode == WRITE_16 || cases[i].opcode == WRITE_SAME_16;

			r->f->disk.fail_op = tags ? -1 : (int)cases[i].op;
			r->f->disk.fail_errno = -5;
			r->fail_tags = tags ? (int)cases[i].op : -1;
			/* of WRITE SAME with UNMAP=1: a range that takes whole pages of tags */
			run16(r, cases[i].opcode, 0, cases[i].op == DISK_DISCARD ? 8 : 0, 0,
			      cases[i].op == DISK_DISCARD ? 4096 : 1, out ? block : NULL,
			      FAKE_BLOCK);
			assert_int_equal(r->f->cmd.status, STATUS_CHECK_CONDITION);
			assert_int_equal(SENSE_KEY(fake_sense(r->f)), 3);
			rig_free(r);
		}
}

static void no_memory(void **state)
{
	struct protected_rig *r = rig_new(PI_TYPE_1, true);
	static void *taken[20000];
	unsigned n = 0;
	uint8_t block[FAKE_BLOCK] = { 1 };

	(void)state;
	/* the command's own buffer is there; the layer's is not */
	fake_start(r->f, (const uint8_t[10]){ 0x2a, [8] = 0 }, 10, NULL, 0);
	while (n < 20000 && (taken[n] = reactor_buf_get(&r->f->reactor, 4096)))
		n++;
	assert_true(n > 0 && n < 20000);
	reactor_buf_put(&r->f->reactor, taken[--n], 4096);
	run16(r, WRITE_16, 0, 0, LBA, 1, block, sizeof(block));
	assert_sense(r->f, SENSE(0xb, 0x00, 0x00)); /* what is sent again */
	while (n)
		reactor_buf_put(&r->f->reactor, taken[--n], 4096);
	run16(r, WRITE_16, 0, 0, LBA, 1, block, sizeof(block));
	assert_good(r->f);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guard_is_the_crc_of_the_standard),
		cmocka_unit_test(identity),
		cmocka_unit_test(supported_operation_codes),
		cmocka_unit_test(all_supported_operation_codes),
		cmocka_unit_test(refused_fields),
		cmocka_unit_test(received_protection_information_is_checked),
		cmocka_unit_test(protection_information_is_made),
		cmocka_unit_test(medium_is_checked),
		cmocka_unit_test(changed_data_is_found_out),
		cmocka_unit_test(escape_values),
		cmocka_unit_test(application_tag_mask),
		cmocka_unit_test(short_commands_with_type_2),
		cmocka_unit_test(verify_of_the_medium),
		cmocka_unit_test(verify_compares),
		cmocka_unit_test(verify_checks_what_it_receives),
		cmocka_unit_test(verify_with_one_block),
		cmocka_unit_test(write_and_verify),
		cmocka_unit_test(write_same_repeats),
		cmocka_unit_test(write_same_without),
		cmocka_unit_test(unmapped_blocks),
		cmocka_unit_test(compare_and_write),
		cmocka_unit_test(orwrite),
		cmocka_unit_test(extended_copy_of_protected_blocks),
		cmocka_unit_test(format_keeps_the_type),
		cmocka_unit_test(sanitize_forgets),
		cmocka_unit_test(malformed_long_cdbs),
		cmocka_unit_test(long_cdbs_are_like_short_ones),
		cmocka_unit_test(either_medium_fails),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
