/* SPDX-License-Identifier: BSD-2-Clause */
/* Encrypted media on a real reactor (fake_rig.h): submit ──▶ crypt ──▶ file in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/disk/crypt.h"
#include "drivers/disk/crypt_key.h"
#include "drivers/disk/disk_handlers.h"
#include "tests/unit/drivers/fake_rig.h"

#define DATA (4u << 20)
#define SECOND_COPY (CRYPT_HEADER / 2)

static char key_path[80];

static void key_make(uint8_t value, size_t len, mode_t mode)
{
	uint8_t key[5000];
	int fd = open(key_path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(key, value, sizeof(key));
	assert_int_equal(write(fd, key, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct disk_params params(const struct rig *r)
{
	return (struct disk_params){ .handler = "file", .path = r->path, .size = DATA, .block_size = BLOCK,
				     .key_file = key_path };
}

static int begin(void **state)
{
	struct rig *r = *state;

	snprintf(key_path, sizeof(key_path), "%s.key", r->path);
	key_make(7, 32, 0600);
	return truncate(r->path, 0) || truncate(r->path, SIZE);
}

static int end(void **state)
{
	(void)state;
	return unlink(key_path);
}

static void reopen(struct rig *r)
{
	struct disk_params p = params(r);

	if (r->disk)
		rig_shut(r);
	rig_open(r, &p);
}

/* The medium as somebody with a screwdriver sees it. */
static void raw(const struct rig *r, bool put, void *p, size_t len, off_t at)
{
	int fd = open(r->path, O_RDWR);

	assert_int_equal(put ? pwrite(fd, p, len, at) : pread(fd, p, len, at), len);
	close(fd);
}

static void pattern(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = rand_r(&seed) >> 4;
}

/* ---- data ------------------------------------------------------------------------------------------------- */

static void write_and_read_back(void **state)
{
	static const struct {
		uint64_t lba;
		uint32_t blocks;
	} io[] = { { 0, 1 }, { 1, 1 }, { 7, 9 }, { DATA / BLOCK - 1, 1 }, { 100, 2048 }, { 50, 2049 }, { 0, DATA / BLOCK } };
	uint8_t *in = aligned_alloc(4096, DATA), *out = aligned_alloc(4096, DATA);
	struct rig *r = *state;

	reopen(r);
	assert_int_equal(r->disk->size, DATA);
	for (unsigned i = 0; i < sizeof(io) / sizeof(io[0]); i++) {
		size_t len = io[i].blocks * BLOCK;

		pattern(in, len, i + 1);
		memcpy(out, in, len);
		assert_int_equal(rig_run_buf(r, DISK_WRITE, io[i].lba, io[i].blocks, in), 0);
		assert_memory_equal(in, out, len); /* the command's data is not touched */
		reopen(r);
		memset(out, 0, len);
		assert_int_equal(rig_run_buf(r, DISK_READ, io[i].lba, io[i].blocks, out), 0);
		assert_memory_equal(in, out, len);
	}
	assert_int_equal(rig_run(r, DISK_FLUSH, 0, 0), 0);
	rig_shut(r);
	free(in);
	free(out);
}

static void nothing_of_it_on_the_medium(void **state)
{
	struct rig *r = *state;
	uint8_t found[BLOCK], same[2][BLOCK];

	reopen(r);
	memset(r->buf, 'S', sizeof(r->buf));
	assert_int_equal(rig_run(r, DISK_WRITE, 4, 2), 0);
	raw(r, false, same, sizeof(same), CRYPT_HEADER + 4 * BLOCK);
	for (unsigned i = 0; i + 8 <= BLOCK; i++)
		assert_memory_not_equal(same[0] + i, "SSSSSSSS", 8);
	assert_memory_not_equal(same[0], same[1], BLOCK); /* equal blocks at other addresses */
	raw(r, false, found, BLOCK, 0);
	assert_memory_equal(found, "SandemCr", 8);
	rig_shut(r);
}

static void holes_read_as_zeroes(void **state)
{
	static const enum disk_op kind[] = { DISK_DISCARD, DISK_WRITE_ZEROES };
	const uint8_t zero[4 * BLOCK] = { 0 };
	struct rig *r = *state;

	reopen(r);
	assert_int_equal(rig_run(r, DISK_READ, 1000, 4), 0);
	assert_memory_equal(r->buf, zero, sizeof(zero));
	for (int i = 0; i < 2; i++) {
		memset(r->buf, 0x5a, sizeof(r->buf));
		assert_int_equal(rig_run(r, DISK_WRITE, 8, 16), 0);
		assert_int_equal(rig_run(r, kind[i], 8, 8), 0);
		assert_int_equal(rig_run(r, DISK_READ, 8, 16), 0);
		assert_memory_equal(r->buf, zero, sizeof(zero));
		assert_int_equal(r->buf[8 * BLOCK], 0x5a);
	}
	rig_shut(r);
}

/* ---- the format: IEEE 1619 XTS-AES-256, made here from AES alone ----------------------------------------------- */

static void aes(const uint8_t key[32], bool encrypt, const uint8_t in[16], uint8_t out[16])
{
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	int n;

	EVP_CipherInit_ex(x, EVP_aes_256_ecb(), NULL, key, NULL, encrypt);
	EVP_CIPHER_CTX_set_padding(x, 0);
	assert_int_equal(EVP_CipherUpdate(x, out, &n, in, 16), 1);
	EVP_CIPHER_CTX_free(x);
}

static void xts_decrypt(const uint8_t key[64], uint64_t unit, const uint8_t *in, uint8_t *out, size_t len)
{
	uint8_t number[16] = { 0 }, t[16], x[16];

	for (int i = 0; i < 8; i++)
		number[i] = unit >> (8 * i);
	aes(key + 32, true, number, t);
	for (size_t at = 0; at < len; at += 16) {
		int carry = 0;

		for (int i = 0; i < 16; i++)
			x[i] = in[at + i] ^ t[i];
		aes(key, false, x, x);
		for (int i = 0; i < 16; i++)
			out[at + i] = x[i] ^ t[i];
		for (int i = 0; i < 16; i++) { /* times alpha */
			int next = t[i] >> 7;

			t[i] = t[i] << 1 | carry;
			carry = next;
		}
		if (carry)
			t[0] ^= 0x87;
	}
}

static void as_the_standard_says(void **state)
{
	struct rig *r = *state;
	struct crypt_key key = { .block_size = BLOCK };
	uint8_t on_medium[3 * BLOCK], plain[3 * BLOCK];
	char err[256];

	reopen(r);
	pattern(r->buf, sizeof(plain), 5);
	assert_int_equal(rig_run(r, DISK_WRITE, 777, 3), 0);
	raw(r, false, on_medium, sizeof(on_medium), CRYPT_HEADER + 777 * BLOCK);
	assert_int_equal(crypt_key_file(&key, key_path, err, sizeof(err)), 0);
	assert_int_equal(crypt_key_open(&key, r->path, false, err, sizeof(err)), 0);
	for (int i = 0; i < 3; i++)
		xts_decrypt(key.media, 777 + i, on_medium + i * BLOCK, plain + i * BLOCK, BLOCK);
	assert_memory_equal(plain, r->buf, sizeof(plain));
	rig_shut(r);
}

/* ---- CRYPTOGRAPHIC ERASE ----------------------------------------------------------------------------------------- */

static void erase(void **state)
{
	struct rig *r = *state;
	uint8_t before[4 * BLOCK], copy[2][128];

	reopen(r);
	pattern(before, sizeof(before), 9);
	memcpy(r->buf, before, sizeof(before));
	assert_int_equal(rig_run(r, DISK_WRITE, 30, 4), 0);
	assert_int_equal(r->disk->ops->crypto_erase(r->disk), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(rig_run(r, DISK_READ, 30, 4), 0); /* no error: WACEREQ = 01b */
		for (int i = 0; i < 4; i++)
			assert_memory_not_equal(r->buf + i * BLOCK, before + i * BLOCK, BLOCK);
		reopen(r);
	}
	raw(r, false, copy[0], 128, 0);
	raw(r, false, copy[1], 128, SECOND_COPY);
	assert_memory_equal(copy[0], copy[1], 128); /* the old key is nowhere */
	memcpy(r->buf, before, sizeof(before));
	assert_int_equal(rig_run(r, DISK_WRITE, 30, 4), 0);
	memset(r->buf, 0, sizeof(before));
	reopen(r);
	assert_int_equal(rig_run(r, DISK_READ, 30, 4), 0);
	assert_memory_equal(r->buf, before, sizeof(before));
	rig_shut(r);
}

/* Power is lost between the copies, or within one: whichever key is found is the only one afterwards. */
static void erase_cut_short(void **state)
{
	struct rig *r = *state;
	uint8_t old[4096], fresh[4096], found[2][4096], torn[4096];
	static const struct {
		int first, second; /* 0 old, 1 new, 2 torn */
		int then;
	} row[] = { { 1, 0, 1 }, { 1, 2, 1 }, { 2, 0, 0 }, { 0, 0, 0 }, { 1, 1, 1 } };
	uint8_t *const which[] = { old, fresh, torn };

	reopen(r);
	raw(r, false, old, sizeof(old), 0);
	assert_int_equal(r->disk->ops->crypto_erase(r->disk), 0);
	raw(r, false, fresh, sizeof(fresh), 0);
	memcpy(torn, fresh, sizeof(torn));
	memcpy(torn + 40, old + 40, sizeof(torn) - 40);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		rig_shut(r);
		raw(r, true, which[row[i].first], 4096, 0);
		raw(r, true, which[row[i].second], 4096, SECOND_COPY);
		reopen(r);
		raw(r, false, found[0], 4096, 0);
		raw(r, false, found[1], 4096, SECOND_COPY);
		assert_memory_equal(found[0], which[row[i].then], 4096);
		assert_memory_equal(found[1], which[row[i].then], 4096);
	}
	rig_shut(r);
}

/* ---- what is refused ------------------------------------------------------------------------------------------------ */

static void refused(struct rig *r, int rc, const char *word)
{
	struct disk_params p = params(r);
	uint8_t before[4096], after[4096];
	struct disk *d;
	char err[512] = "";

	raw(r, false, before, 4096, 0);
	if (disk_handler_open(&p, &d, err, sizeof(err)) != rc || !strstr(err, word))
		fail_msg("\"%s\" instead of %d, \"%s\"", err, rc, word);
	raw(r, false, after, 4096, 0);
	assert_memory_equal(before, after, 4096); /* P9 */
}

static void key_files(void **state)
{
	struct rig *r = *state;

	key_make(7, 31, 0600);
	refused(r, -EINVAL, "32 to 4096");
	key_make(7, 4097, 0600);
	refused(r, -EINVAL, "32 to 4096");
	key_make(7, 32, 0640);
	refused(r, -EINVAL, "chmod 600");
	unlink(key_path);
	refused(r, -EINVAL, "No such file");
	key_make(7, 32, 0600);
	reopen(r);
	rig_shut(r);
	key_make(8, 32, 0600);
	refused(r, -EACCES, "another key_file");
}

static void other_data(void **state)
{
	struct rig *r = *state;
	uint8_t sector[4096];

	raw(r, true, "mine", 4, 300000); /* anywhere in the first MiB */
	refused(r, -ENODATA, "not written encrypted");
	begin(state);
	reopen(r);
	rig_shut(r);
	raw(r, false, sector, sizeof(sector), 0);
	sector[8] = 2; /* version */
	raw(r, true, sector, sizeof(sector), 0);
	raw(r, true, sector, sizeof(sector), SECOND_COPY);
	refused(r, -EBADMSG, "version");
	sector[8] = 1;
	sector[20] ^= 1; /* of what the MAC covers */
	raw(r, true, sector, sizeof(sector), 0);
	raw(r, true, sector, sizeof(sector), SECOND_COPY);
	refused(r, -EACCES, "damaged");
}

static void other_block_size(void **state)
{
	struct rig *r = *state;
	struct disk_params p = params(r);
	char err[512] = "";
	struct disk *d;

	reopen(r);
	rig_shut(r);
	p.block_size = 4096;
	assert_int_equal(disk_handler_open(&p, &d, err, sizeof(err)), -EMEDIUMTYPE);
	assert_non_null(strstr(err, "block_size: 512"));
}

static void too_small(void **state)
{
	struct rig *r = *state;
	struct disk_params p = params(r);
	char err[512] = "";
	struct disk *d;

	p.size = 0;
	assert_int_equal(disk_handler_open(&p, &d, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "1 MiB"));
}

static void grows(void **state)
{
	struct rig *r = *state;
	uint64_t size = 2 * DATA;

	reopen(r);
	assert_int_equal(r->disk->ops->resize(r->disk, &size), 0);
	assert_int_equal(size, 2 * DATA);
	assert_int_equal(r->disk->size, 2 * DATA);
	memset(r->buf, 3, BLOCK);
	assert_int_equal(rig_run(r, DISK_WRITE, 2 * DATA / BLOCK - 1, 1), 0);
	rig_shut(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(write_and_read_back, begin, end),
		cmocka_unit_test_setup_teardown(nothing_of_it_on_the_medium, begin, end),
		cmocka_unit_test_setup_teardown(holes_read_as_zeroes, begin, end),
		cmocka_unit_test_setup_teardown(as_the_standard_says, begin, end),
		cmocka_unit_test_setup_teardown(erase, begin, end),
		cmocka_unit_test_setup_teardown(erase_cut_short, begin, end),
		cmocka_unit_test_setup_teardown(key_files, begin, end),
		cmocka_unit_test_setup_teardown(other_data, begin, end),
		cmocka_unit_test_setup_teardown(other_block_size, begin, end),
		cmocka_unit_test_setup_teardown(too_small, begin, end),
		cmocka_unit_test_setup_teardown(grows, begin, end),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
