/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The key of an encrypted medium, and where it lives: the first MiB of the medium, so that it goes wherever the
 * data goes (DRBD, shared disk) and is destroyed with it.
 *
 *   key_file, the same on every node ─▶ wrapping key (HMAC-SHA256) ─┐
 *   header, two copies: magic, version, sequence, block size, media key wrapped (RFC 3394) by it, HMAC
 *
 * The media key is random and is nowhere else. CRYPTOGRAPHIC ERASE replaces both copies: what was written
 * before can't be read any more by anybody who did not copy the header before.
 *
 * Worker thread: all of it blocks.
 */
#ifndef SANDEM_DRIVERS_CRYPT_KEY_H
#define SANDEM_DRIVERS_CRYPT_KEY_H

#include <stddef.h>
#include <stdint.h>

#define CRYPT_HEADER (1u << 20) /* bytes in front of the data */
#define CRYPT_KEY_LEN 64	/* AES-256-XTS: two keys */
#define CRYPT_WRAPPING_LEN 32

struct crypt_key {
	uint8_t wrapping[CRYPT_WRAPPING_LEN];
	uint8_t media[CRYPT_KEY_LEN];
	uint64_t sequence; /* of the header that has it */
	uint32_t block_size;
};

/* Reads key_file: 32 to 4096 bytes, for its owner only. 0; or -errno and err: object, cause, next step. */
int crypt_key_file(struct crypt_key *k, const char *key_file, char *err, size_t errlen);

/*
 * Finds the media key in the header of path, and makes both copies alike when an erase was cut short between
 * them. An empty medium (a first MiB of zeroes) gets a header with a new key; read_only: never written. -ENODATA: it
 * has data that is not ours; -EACCES: not by this key_file; -EBADMSG: damaged; -EMEDIUMTYPE: another block size.
 */
int crypt_key_open(struct crypt_key *k, const char *path, int read_only, char *err, size_t errlen);

/* A new media key takes the place of the old one, durably. On error the old one may still be there, or the new
 * one in its place; k is as before. */
int crypt_key_replace(struct crypt_key *k, const char *path, char *err, size_t errlen);

void crypt_key_wipe(struct crypt_key *k);

#endif
