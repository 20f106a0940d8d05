/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk/crypt_key.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MIN 32
#define KEY_FILE_MAX 4096
#define SECTOR 4096 /* of a copy: no device tears less */
#define VERSION 1
#define WRAPPED_LEN (CRYPT_KEY_LEN + 8)

static const uint8_t magic[8] = { 'S', 'a', 'n', 'd', 'e', 'm', 'C', 'r' };
static const off_t copy_at[2] = { 0, CRYPT_HEADER / 2 };

struct header { /* little endian */
	uint8_t magic[8];
	uint32_t version;
	uint32_t block_size;
	uint64_t sequence;
	uint8_t wrapped[WRAPPED_LEN];
	uint8_t mac[32]; /* of all before, by the wrapping key */
} __attribute__((packed));

enum found { FOUND_ZEROES, FOUND_OTHER, FOUND_WRONG_KEY, FOUND_DAMAGED, FOUND_GOOD };

__attribute__((format(printf, 4, 5))) static int fail(int rc, char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return rc;
}

void crypt_key_wipe(struct crypt_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

/* ---- the key file ------------------------------------------------------------------------------------ */

static bool hmac(const void *key, size_t keylen, const void *p, size_t len, uint8_t out[32])
{
	unsigned n = 0;

	return HMAC(EVP_sha256(), key, keylen, p, len, out, &n) && n == 32;
}

static const char *key_file_wrong(int fd, struct stat *st)
{
	if (fd < 0 || fstat(fd, st) < 0)
		return strerror(errno);
	if (!S_ISREG(st->st_mode))
		return "is not a file";
	if (st->st_mode & 077)
		return "others than its owner may read or write it; chmod 600 it";
	if (st->st_size < KEY_FILE_MIN || st->st_size > KEY_FILE_MAX)
		return "is not 32 to 4096 bytes long";
	return NULL;
}

int crypt_key_file(struct crypt_key *k, const char *key_file, char *err, size_t errlen)
{
	static const char label[] = "sandem media encryption 1";
	int fd = open(key_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	uint8_t secret[KEY_FILE_MAX];
	struct stat st;
	const char *why = key_file_wrong(fd, &st);
	ssize_t n = why ? 0 : read(fd, secret, sizeof(secret));

	if (!why && n != st.st_size)
		why = "can't be read whole";
	if (why)
		rc = fail(-EINVAL, err, errlen, "encryption key %s: %s; the same file has to be on every node. A first one: "
			  "(umask 077; head -c 32 /dev/urandom >%s)", key_file, why, key_file);
	else if (!hmac(secret, n, label, sizeof(label) - 1, k->wrapping))
		rc = fail(-EIO, err, errlen, "encryption key %s: libcrypto has no HMAC-SHA256", key_file);
	OPENSSL_cleanse(secret, sizeof(secret));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- RFC 3394 ---------------------------------------------------------------------------------------- */

static bool key_wrap(const struct crypt_key *k, bool wrap, const uint8_t *in, int inlen, uint8_t *out, int outlen)
{
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok;

	if (x)
		EVP_CIPHER_CTX_set_flags(x, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	ok = x && EVP_CipherInit_ex(x, EVP_aes_256_wrap(), NULL, k->wrapping, NULL, wrap) &&
	     EVP_CipherUpdate(x, out, &n, in, inlen) && n == outlen;
	EVP_CIPHER_CTX_free(x);
	return ok;
}

/* ---- the header -------------------------------------------------------------------------------------- */

static bool header_pack(struct header *h, const struct crypt_key *k)
{
	*h = (struct header){ .version = htole32(VERSION), .block_size = htole32(k->block_size),
			      .sequence = htole64(k->sequence) };
	memcpy(h->magic, magic, sizeof(magic));
	return key_wrap(k, true, k->media, CRYPT_KEY_LEN, h->wrapped, WRAPPED_LEN) &&
	       hmac(k->wrapping, CRYPT_WRAPPING_LEN, h, offsetof(struct header, mac), h->mac);
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static enum found header_judge(const struct header *h, const struct crypt_key *k)
{
	uint8_t mac[32];

	if (memcmp(h->magic, magic, sizeof(magic)) != 0)
		return is_zero((const uint8_t *)h, sizeof(*h)) ? FOUND_ZEROES : FOUND_OTHER;
	if (le32toh(h->version) != VERSION)
		return FOUND_DAMAGED;
	if (!hmac(k->wrapping, CRYPT_WRAPPING_LEN, h, offsetof(struct header, mac), mac) ||
	    CRYPTO_memcmp(mac, h->mac, sizeof(mac)) != 0)
		return FOUND_WRONG_KEY;
	return FOUND_GOOD;
}

static int write_copies(int fd, const struct header *h)
{
	uint8_t sector[SECTOR] = { 0 };

	memcpy(sector, h, sizeof(*h));
	for (int i = 0; i < 2; i++)
		if (pwrite(fd, sector, SECTOR, copy_at[i]) != SECTOR || fdatasync(fd) < 0)
			return errno ? -errno : -EIO;
	return 0;
}

/* ---- finding it -------------------------------------------------------------------------------------- */

static bool medium_is_empty(int fd)
{
	uint8_t *p = malloc(CRYPT_HEADER);
	bool empty = p && pread(fd, p, CRYPT_HEADER, 0) == (ssize_t)CRYPT_HEADER && is_zero(p, CRYPT_HEADER);

	free(p);
	return empty;
}

static int refuse(enum found f, const char *path, char *err, size_t errlen)
{
	switch (f) {
	case FOUND_ZEROES:
	case FOUND_OTHER:
		return fail(-ENODATA, err, errlen, "%s: has data that was not written encrypted; take \"encryption\" out of its "
			    "LUN, or, to give that data up, zero the first MiB: dd if=/dev/zero of=%s bs=1M count=1 conv=notrunc",
			    path, path);
	case FOUND_WRONG_KEY:
		return fail(-EACCES, err, errlen, "%s: was encrypted with another key_file, or its header is damaged; use the key "
			    "file with which it was made", path);
	case FOUND_DAMAGED:
		return fail(-EBADMSG, err, errlen, "%s: its encryption header is of a version that this sandemd does not know; "
			    "use the version that wrote it", path);
	case FOUND_GOOD:
		break;
	}
	return 0;
}

static int new_media_key(struct crypt_key *k)
{
	return getrandom(k->media, CRYPT_KEY_LEN, 0) == CRYPT_KEY_LEN ? 0 : -EIO;
}

static int create(struct crypt_key *k, int fd, const char *path, char *err, size_t errlen)
{
	struct header h;
	int rc = new_media_key(k);

	k->sequence = 1;
	if (rc == 0)
		rc = header_pack(&h, k) ? write_copies(fd, &h) : -EIO;
	return rc < 0 ? fail(rc, err, errlen, "%s: its encryption header cannot be written: %s", path, strerror(-rc)) : 0;
}

static int take(struct crypt_key *k, const struct header *h, const char *path, char *err, size_t errlen)
{
	if (le32toh(h->block_size) != k->block_size)
		return fail(-EMEDIUMTYPE, err, errlen, "%s: was encrypted in blocks of %u bytes; set block_size: %u", path,
			    le32toh(h->block_size), le32toh(h->block_size));
	k->sequence = le64toh(h->sequence);
	return key_wrap(k, false, h->wrapped, WRAPPED_LEN, k->media, CRYPT_KEY_LEN) ? 0 :
		fail(-EBADMSG, err, errlen, "%s: its encryption header is damaged; restore the medium", path);
}

/* The good copy of the higher sequence; the better verdict of the two where none is good. */
static enum found choose(const struct header h[2], const struct crypt_key *k, int *which)
{
	enum found f[2] = { header_judge(&h[0], k), header_judge(&h[1], k) };

	if (f[0] == FOUND_GOOD && f[1] == FOUND_GOOD)
		*which = le64toh(h[1].sequence) > le64toh(h[0].sequence);
	else
		*which = f[1] > f[0];
	return f[*which];
}

static int find(struct crypt_key *k, int fd, const char *path, int read_only, char *err, size_t errlen)
{
	struct header h[2];
	enum found f;
	int which, rc;

	for (int i = 0; i < 2; i++)
		if (pread(fd, &h[i], sizeof(h[i]), copy_at[i]) != sizeof(h[i]))
			return fail(-EIO, err, errlen, "%s: its encryption header cannot be read; the medium must have more than 1 MiB",
				    path);
	f = choose(h, k, &which);
	if (f == FOUND_ZEROES && !read_only && medium_is_empty(fd))
		return create(k, fd, path, err, errlen);
	rc = refuse(f, path, err, errlen);
	if (rc == 0)
		rc = take(k, &h[which], path, err, errlen);
	if (rc == 0 && !read_only && memcmp(&h[0], &h[1], sizeof(h[0])) != 0) /* an erase that was cut short: finished */
		rc = write_copies(fd, &h[which]) < 0 ?
			fail(-EIO, err, errlen, "%s: its encryption header cannot be made whole: %s", path, strerror(errno)) : 0;
	return rc;
}

int crypt_key_open(struct crypt_key *k, const char *path, int read_only, char *err, size_t errlen)
{
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC), rc;

	if (fd < 0)
		return fail(-errno, err, errlen, "%s: cannot open: %s", path, strerror(errno));
	posix_fadvise(fd, 0, CRYPT_HEADER, POSIX_FADV_DONTNEED); /* another node may have written it since */
	rc = find(k, fd, path, read_only, err, errlen);
	close(fd);
	return rc;
}

int crypt_key_replace(struct crypt_key *k, const char *path, char *err, size_t errlen)
{
	struct crypt_key fresh = *k;
	int fd = open(path, O_RDWR | O_CLOEXEC), rc = fd < 0 ? -errno : new_media_key(&fresh);
	struct header h;

	fresh.sequence++;
	if (rc == 0)
		rc = header_pack(&h, &fresh) ? write_copies(fd, &h) : -EIO;
	if (fd >= 0)
		close(fd);
	if (rc == 0)
		*k = fresh;
	else
		fail(rc, err, errlen, "%s: its encryption header cannot be replaced: %s", path, strerror(-rc));
	crypt_key_wipe(&fresh);
	return rc;
}
