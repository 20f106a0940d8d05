/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/link_auth.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/link_wire.h"

/* ---- the key file --------------------------------------------------------------------------------------- */

static int key_fail(char *err, size_t errlen, const char *path, int rc, const char *why)
{
	snprintf(err, errlen, "cluster key %s: %s; make one with: (umask 077; head -c 32 /dev/urandom >%s) and copy it to "
		 "every node", path, why, path);
	return rc;
}

static int key_check(const struct stat *st, const char *path, char *err, size_t errlen)
{
	if (!S_ISREG(st->st_mode))
		return key_fail(err, errlen, path, -EINVAL, "is not a file");
	if (st->st_mode & 077) {
		snprintf(err, errlen, "cluster key %s: others than its owner may read or write it (mode %03o); chmod 600 it, and "
			 "change the key if it may be known", path, st->st_mode & 0777);
		return -EPERM;
	}
	if (st->st_size < LINK_KEY_MIN || st->st_size > LINK_KEY_MAX)
		return key_fail(err, errlen, path, -EINVAL, "is not 32 to 4096 bytes long");
	return 0;
}

int link_key_load(struct link_key *key, const char *path, char *err, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return key_fail(err, errlen, path, rc, strerror(-rc));
	}
	rc = key_check(&st, path, err, errlen);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	n = read(fd, key->bytes, sizeof(key->bytes));
	close(fd);
	if (n < LINK_KEY_MIN)
		return key_fail(err, errlen, path, -EIO, "can't be read whole");
	key->len = n;
	return 0;
}

void link_key_wipe(struct link_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

/* ---- messages --------------------------------------------------------------------------------------------- */

/* HELLO */
enum { H_VERSION = 0, H_FROM = 4, H_TO = 8, H_INDEX = 12, H_REACTORS = 14, H_INCARNATION = 16, H_CLUSTER = 24,
       H_CLUSTER_MAX = 64, H_NONCE = H_CLUSTER + H_CLUSTER_MAX, H_SPEAKS = H_NONCE + LINK_NONCE_LEN,
       H_END = H_SPEAKS + 2 };
/* CHALLENGE. What it speaks stands behind its MAC, where 0.1.0 has zeros and looks for nothing; the dialer's MAC covers it. */
enum { C_VERSION = 0, C_FROM = 4, C_INCARNATION = 8, C_NONCE = 16, C_MAC = C_NONCE + LINK_NONCE_LEN,
       C_SPEAKS = C_MAC + LINK_MAC_LEN, C_END = C_SPEAKS + 2 };

_Static_assert(H_END <= LINK_HELLO_LEN && C_END <= LINK_CHALLENGE_LEN, "the messages fit; the rest is zero");

static void put(uint8_t *p, uint64_t v, size_t len)
{
	v = htole64(v);
	memcpy(p, &v, len);
}

static uint64_t get(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return le64toh(v);
}

/* Programs of before there was a choice leave zeros. */
static uint16_t speaks(const uint8_t *p)
{
	uint16_t v = get(p, 2);

	return v ? v : 1;
}

static int nonce(uint8_t *out)
{
	return getrandom(out, LINK_NONCE_LEN, 0) == LINK_NONCE_LEN ? 0 : -EIO;
}

static int mac(const struct link_auth *a, const char *role, size_t challenge_len, uint8_t out[LINK_MAC_LEN])
{
	uint8_t text[16 + LINK_HELLO_LEN + LINK_CHALLENGE_LEN] = { 0 };
	unsigned len = 0;

	snprintf((char *)text, 16, "link %s", role);
	memcpy(text + 16, a->hello, LINK_HELLO_LEN);
	memcpy(text + 16 + LINK_HELLO_LEN, a->challenge, challenge_len);
	if (!HMAC(EVP_sha256(), a->key->bytes, a->key->len, text, 16 + LINK_HELLO_LEN + challenge_len, out, &len) ||
	    len != LINK_MAC_LEN)
		return -EIO;
	return 0;
}

static int mac_check(const struct link_auth *a, const char *role, size_t challenge_len, const uint8_t *theirs)
{
	uint8_t ours[LINK_MAC_LEN];
	int rc = mac(a, role, challenge_len, ours);

	if (rc < 0)
		return rc;
	return CRYPTO_memcmp(ours, theirs, LINK_MAC_LEN) == 0 ? 0 : -EACCES;
}

const char *link_auth_text(int err)
{
	switch (err) {
	case -EPROTO:
		return "it does not speak this protocol; see that the port is that of a Sandem link, and that versions match";
	case -ENOENT:
		return "it belongs to another cluster or is another node; correct link: in sandem.yaml";
	case -EACCES:
		return "it does not have this cluster's key; copy the key file to every node";
	}
	return "libcrypto or the random number generator failed";
}

/* ---- dialer ------------------------------------------------------------------------------------------------- */

int link_auth_hello(struct link_auth *a, uint32_t peer, uint8_t out[LINK_HELLO_LEN])
{
	uint8_t *h = a->hello;

	memset(h, 0, LINK_HELLO_LEN);
	put(h + H_VERSION, LINK_VERSION, 4);
	put(h + H_FROM, a->self.node, 4);
	put(h + H_TO, peer, 4);
	put(h + H_INDEX, a->index, 2);
	put(h + H_REACTORS, a->self.reactors, 2);
	put(h + H_INCARNATION, a->self.incarnation, 8);
	memcpy(h + H_CLUSTER, a->cluster, strnlen(a->cluster, H_CLUSTER_MAX));
	put(h + H_SPEAKS, LINK_SPEAKS, 2);
	if (nonce(h + H_NONCE) < 0)
		return -EIO;
	a->peer = (struct link_party){ .node = peer };
	memcpy(out, h, LINK_HELLO_LEN);
	return 0;
}

int link_auth_challenged(struct link_auth *a, const uint8_t *in, size_t len, uint8_t out[LINK_PROOF_LEN])
{
	int rc;

	if (len != LINK_CHALLENGE_LEN || get(in + C_VERSION, 4) != LINK_VERSION || !get(in + C_INCARNATION, 8))
		return -EPROTO;
	memcpy(a->challenge, in, LINK_CHALLENGE_LEN);
	rc = mac_check(a, "acceptor", C_MAC, in + C_MAC);
	if (rc < 0)
		return rc;
	if (get(in + C_FROM, 4) != a->peer.node)
		return -ENOENT;
	a->peer.incarnation = get(in + C_INCARNATION, 8);
	a->peer.speaks = speaks(in + C_SPEAKS);
	return mac(a, "dialer", LINK_CHALLENGE_LEN, out);
}

/* ---- acceptor ------------------------------------------------------------------------------------------------ */

static int greeting_check(const struct link_auth *a, const uint8_t *h)
{
	char name[H_CLUSTER_MAX] = "";

	if (get(h + H_VERSION, 4) != LINK_VERSION || !get(h + H_INCARNATION, 8) || !get(h + H_REACTORS, 2) ||
	    get(h + H_INDEX, 2) >= get(h + H_REACTORS, 2))
		return -EPROTO;
	memcpy(name, a->cluster, strnlen(a->cluster, sizeof(name)));
	if (memcmp(name, h + H_CLUSTER, H_CLUSTER_MAX) != 0 || get(h + H_TO, 4) != a->self.node ||
	    get(h + H_FROM, 4) == a->self.node)
		return -ENOENT;
	return 0;
}

int link_auth_greeted(struct link_auth *a, const uint8_t *in, size_t len, uint8_t out[LINK_CHALLENGE_LEN])
{
	int rc = len == LINK_HELLO_LEN ? greeting_check(a, in) : -EPROTO;
	uint8_t *c = a->challenge;

	if (rc < 0)
		return rc;
	memcpy(a->hello, in, LINK_HELLO_LEN);
	a->peer = (struct link_party){ .node = get(in + H_FROM, 4), .incarnation = get(in + H_INCARNATION, 8),
				       .reactors = get(in + H_REACTORS, 2), .speaks = speaks(in + H_SPEAKS) };
	a->index = get(in + H_INDEX, 2);
	memset(c, 0, LINK_CHALLENGE_LEN);
	put(c + C_VERSION, LINK_VERSION, 4);
	put(c + C_FROM, a->self.node, 4);
	put(c + C_INCARNATION, a->self.incarnation, 8);
	put(c + C_SPEAKS, LINK_SPEAKS, 2);
	if (nonce(c + C_NONCE) < 0)
		return -EIO;
	rc = mac(a, "acceptor", C_MAC, c + C_MAC);
	if (rc < 0)
		return rc;
	memcpy(out, c, LINK_CHALLENGE_LEN);
	return 0;
}

int link_auth_proven(struct link_auth *a, const uint8_t *in, size_t len)
{
	if (len != LINK_PROOF_LEN)
		return -EPROTO;
	return mac_check(a, "dialer", LINK_CHALLENGE_LEN, in);
}
