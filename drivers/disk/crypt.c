/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk/crypt.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/log.h"
#include "drivers/disk/crypt_key.h"
#include "drivers/disk/disk_handlers.h"

#define CHUNK (1u << 20) /* at a time: what a reactor may be kept busy with, and what a buffer takes */
#define REACTORS 64

struct cipher { /* of one reactor */
	EVP_CIPHER_CTX *encrypt, *decrypt;
	uint64_t sequence; /* of the key that they have */
};

struct crypt_disk {
	struct disk disk; /* as the one behind it says, but for ops and size */
	struct disk *behind;
	struct crypt_key key;
	char path[256];
	struct cipher cipher[REACTORS];
};

/* One I/O: at the end of a buffer of the reactor whose beginning has what is written. */
struct crypt_io {
	struct disk_io part;
	struct crypt_disk *c;
	struct disk_io *io;
	void *buf;
	uint32_t buf_len;
	uint64_t done; /* bytes */
};

static struct crypt_disk *crypt_disk(struct disk *d)
{
	return caa_container_of(d, struct crypt_disk, disk);
}

/* ---- AES-256-XTS (reactor) --------------------------------------------------------------------------- */

static EVP_CIPHER_CTX *context(const struct crypt_disk *c, bool encrypt)
{
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();

	if (x && EVP_CipherInit_ex(x, EVP_aes_256_xts(), NULL, c->key.media, NULL, encrypt))
		return x;
	EVP_CIPHER_CTX_free(x);
	return NULL;
}

static void cipher_free(struct cipher *x)
{
	EVP_CIPHER_CTX_free(x->encrypt);
	EVP_CIPHER_CTX_free(x->decrypt);
	*x = (struct cipher){ 0 };
}

/* NULL: no memory. The key changes only while no command is admitted. */
static EVP_CIPHER_CTX *cipher_of(struct crypt_disk *c, const struct reactor *r, bool encrypt)
{
	struct cipher *x = &c->cipher[r->index];

	if (x->sequence != c->key.sequence) {
		cipher_free(x);
		x->encrypt = context(c, true);
		x->decrypt = context(c, false);
		x->sequence = c->key.sequence;
		if (!x->encrypt || !x->decrypt)
			cipher_free(x);
	}
	return encrypt ? x->encrypt : x->decrypt;
}

static bool is_zero(const uint8_t *p, uint32_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static int transform(struct crypt_disk *c, struct reactor *r, bool encrypt, uint64_t offset, const uint8_t *in,
		     uint8_t *out, uint64_t len)
{
	EVP_CIPHER_CTX *x = cipher_of(c, r, encrypt);
	uint32_t bs = c->key.block_size;
	int n;

	if (!x)
		return -ENOMEM;
	for (uint64_t at = 0; at < len; at += bs) {
		uint64_t tweak[2] = { htole64((offset + at) / bs), 0 };

		if (!encrypt && is_zero(in + at, bs))
			continue; /* in place */
		if (!EVP_CipherInit_ex(x, NULL, NULL, NULL, (const uint8_t *)tweak, encrypt) ||
		    !EVP_CipherUpdate(x, out + at, &n, in + at, bs) || n != (int)bs)
			return -EIO;
	}
	return 0;
}

/* ---- I/O (reactor) ------------------------------------------------------------------------------------- */

static void end(struct crypt_io *ci, int result)
{
	struct disk_io *io = ci->io;

	reactor_buf_put(io->reactor, ci->buf, ci->buf_len);
	io->result = result;
	io->done(io);
}

static bool is_transfer(const struct disk_io *io)
{
	return io->kind == DISK_READ || io->kind == DISK_WRITE;
}

static void step(struct crypt_io *ci);

static void part_done(struct disk_io *part)
{
	struct crypt_io *ci = caa_container_of(part, struct crypt_io, part);
	struct disk_io *io = ci->io;
	int rc = part->result;

	if (rc == 0 && io->kind == DISK_READ)
		rc = transform(ci->c, io->reactor, false, io->offset + ci->done, part->buf, part->buf, part->length);
	ci->done += part->length;
	if (rc < 0 || ci->done == io->length)
		end(ci, rc);
	else
		step(ci);
}

static void step(struct crypt_io *ci)
{
	const struct disk_io *io = ci->io;
	uint64_t left = io->length - ci->done;
	uint8_t *data = (uint8_t *)io->buf + ci->done;
	int rc = 0;

	ci->part = (struct disk_io){ .reactor = io->reactor, .kind = io->kind, .fua = io->fua, .done = part_done,
				     .offset = CRYPT_HEADER + io->offset + ci->done,
				     .length = is_transfer(io) && left > CHUNK ? CHUNK : left,
				     .buf = io->kind == DISK_WRITE ? ci->buf : data };
	if (io->kind == DISK_WRITE)
		rc = transform(ci->c, io->reactor, true, io->offset + ci->done, data, ci->buf, ci->part.length);
	if (rc < 0)
		end(ci, rc);
	else
		disk_submit(ci->c->behind, &ci->part);
}

static void crypt_submit(struct disk *d, struct disk_io *io)
{
	struct crypt_disk *c = crypt_disk(d);
	uint32_t data = io->kind != DISK_WRITE ? 0 : io->length < CHUNK ? io->length : CHUNK;
	struct crypt_io *ci;
	uint8_t *buf;

	if (io->kind == DISK_FLUSH) {
		disk_submit(c->behind, io);
		return;
	}
	buf = reactor_buf_get(io->reactor, data + sizeof(*ci));
	if (!buf) {
		io->result = -ENOMEM;
		io->done(io);
		return;
	}
	ci = (struct crypt_io *)(buf + data);
	*ci = (struct crypt_io){ .c = c, .io = io, .buf = buf, .buf_len = data + sizeof(*ci) };
	step(ci);
}

/* ---- what may block (worker thread) ---------------------------------------------------------------------- */

static uint64_t data_size(const struct crypt_disk *c)
{
	uint64_t size = c->behind->size - CRYPT_HEADER;

	return size - size % c->key.block_size;
}

static int crypt_sync(struct disk *d)
{
	struct disk *behind = crypt_disk(d)->behind;

	return behind->ops->sync(behind);
}

static int crypt_resize(struct disk *d, uint64_t *size)
{
	struct crypt_disk *c = crypt_disk(d);
	uint64_t whole = *size ? *size + CRYPT_HEADER : 0;
	int rc = c->behind->ops->resize(c->behind, &whole);

	d->size = data_size(c);
	*size = d->size;
	return rc;
}

static int crypt_map(struct disk *d, uint64_t offset, uint64_t limit, uint64_t *length, bool *hole)
{
	struct disk *behind = crypt_disk(d)->behind;

	if (behind->ops->map)
		return behind->ops->map(behind, offset + CRYPT_HEADER, limit, length, hole);
	*length = limit;
	*hole = false;
	return 0;
}

static int crypt_usage(struct disk *d, uint64_t *used, uint64_t *available)
{
	struct disk *behind = crypt_disk(d)->behind;

	return behind->ops->usage ? behind->ops->usage(behind, used, available) : -EOPNOTSUPP;
}

static int crypt_erase(struct disk *d)
{
	struct crypt_disk *c = crypt_disk(d);
	char err[512];
	int rc = crypt_key_replace(&c->key, c->path, err, sizeof(err));

	if (rc < 0)
		log_error("%s", err);
	else
		log_notice("%s: the key has been replaced; what was written before can't be read any more", c->path);
	return rc;
}

static void crypt_close(struct disk *d)
{
	struct crypt_disk *c = crypt_disk(d);

	if (c->behind)
		c->behind->ops->close(c->behind);
	for (unsigned i = 0; i < REACTORS; i++)
		cipher_free(&c->cipher[i]);
	crypt_key_wipe(&c->key);
	free(c);
}

static const struct disk_ops crypt_disk_ops = {
	.name = "crypt",
	.open = crypt_open,
	.close = crypt_close,
	.sync = crypt_sync,
	.submit = crypt_submit,
	.resize = crypt_resize,
	.map = crypt_map,
	.usage = crypt_usage,
	.crypto_erase = crypt_erase,
};

static int open_behind(struct crypt_disk *c, const struct disk_params *p, char *err, size_t errlen)
{
	struct disk_params plain = *p;

	plain.key_file = NULL;
	if (p->size)
		plain.size = p->size + CRYPT_HEADER;
	return disk_handler_open(&plain, &c->behind, err, errlen);
}

int crypt_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct crypt_disk *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		snprintf(err, errlen, "%s: out of memory", p->path);
		return -ENOMEM;
	}
	c->key.block_size = p->block_size;
	snprintf(c->path, sizeof(c->path), "%s", p->path);
	rc = crypt_key_file(&c->key, p->key_file, err, errlen);
	if (rc == 0)
		rc = open_behind(c, p, err, errlen);
	if (rc == 0 && c->behind->size < CRYPT_HEADER + p->block_size) {
		snprintf(err, errlen, "%s: has %llu bytes, too few: an encrypted LUN takes 1 MiB for its header", p->path,
			 (unsigned long long)c->behind->size);
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = crypt_key_open(&c->key, p->path, p->read_only, err, errlen);
	if (rc < 0) {
		crypt_close(&c->disk);
		return rc;
	}
	c->disk = *c->behind;
	c->disk.ops = &crypt_disk_ops;
	c->disk.size = p->size ? p->size : data_size(c);
	*out = &c->disk;
	return 0;
}
