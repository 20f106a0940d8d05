/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mutual authentication of two nodes by a key that both have (P9). Without I/O: bytes in, bytes
 * out.
 *
 *   dialer                                                  acceptor
 *     HELLO      who I am, whom I call, my nonce ─────────▶
 *                ◀───────── CHALLENGE  who I am, my nonce, MAC(key, "acceptor", HELLO, CHALLENGE)
 *     PROOF      MAC(key, "dialer", HELLO, CHALLENGE) ────▶
 *
 * MAC is HMAC-SHA256. The transcript has cluster name, node ids, incarnations and protocol version,
 * so an answer is good for this connection only: not for a replay (nonces), not for being sent back
 * (roles), not for another cluster or node. The frames behind it are neither encrypted nor
 * authenticated one by one: the link belongs on a network of its own, or wants link_tls.h. /
 */
#ifndef SANDEM_CLUSTER_LINK_AUTH_H
#define SANDEM_CLUSTER_LINK_AUTH_H

#include <stddef.h>
#include <stdint.h>

#define LINK_KEY_MIN 32	  /* bytes */
#define LINK_KEY_MAX 4096
#define LINK_NONCE_LEN 32
#define LINK_MAC_LEN 32

#define LINK_HELLO_LEN 160
#define LINK_CHALLENGE_LEN 96
#define LINK_PROOF_LEN LINK_MAC_LEN

struct link_key {
	uint8_t bytes[LINK_KEY_MAX];
	size_t len;
};

/* Reads and checks the key file. 0, or -errno and err, which names the file, the cause and the
 * next step. Blocks on the file. */
int link_key_load(struct link_key *key, const char *path, char *err, size_t errlen);
void link_key_wipe(struct link_key *key);

struct link_party {
	uint32_t node;
	uint64_t incarnation; /* of its daemon: another one after every start, never 0 */
	uint16_t reactors;    /* = links that it dials */
	uint16_t speaks;      /* LINK_SPEAKS of its program */
};

struct link_auth {
	const struct link_key *key;
	const char *cluster;
	struct link_party self, peer; /* peer: what it says; proven once the last function has returned 0 */
	uint16_t index;		      /* of this link: the dialer's reactor */
	uint8_t hello[LINK_HELLO_LEN], challenge[LINK_CHALLENGE_LEN];
};

/* Dialer. peer: node id that it calls. */
int link_auth_hello(struct link_auth *a, uint32_t peer, uint8_t out[LINK_HELLO_LEN]);
int link_auth_challenged(struct link_auth *a, const uint8_t *in, size_t len, uint8_t out[LINK_PROOF_LEN]);
/* Acceptor. */
int link_auth_greeted(struct link_auth *a, const uint8_t *in, size_t len, uint8_t out[LINK_CHALLENGE_LEN]);
int link_auth_proven(struct link_auth *a, const uint8_t *in, size_t len);
/*
 * All of them: 0; -EPROTO: malformed; -ENOENT: another cluster, or another node than the one
 * called; -EACCES: the peer does not have the key; -EIO: no random numbers or no HMAC to be had. /
 */
const char *link_auth_text(int err); /* cause and next step */

#endif
