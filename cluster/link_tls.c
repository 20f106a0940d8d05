/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/link_tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/link_auth.h"

#define CIPHER "TLS_AES_256_GCM_SHA384"
#define PSK_LEN 32
#define IDENTITY_MAX 96

struct link_tls_context {
	SSL_CTX *ssl;
	uint8_t psk[PSK_LEN];
	char identity[IDENTITY_MAX];
};

struct link_tls {
	SSL *ssl;
	BIO *in, *out; /* the SSL's */
	uint8_t *taken;
	size_t taken_cap;
};

/* ---- the pre-shared key ------------------------------------------------------------------------ */

/* Another secret than that of the HMACs of link_auth.h, though from the same file. */
static bool derive(struct link_tls_context *x, const struct link_key *key)
{
	static const char label[] = "sandem link, TLS 1.3 external PSK";
	unsigned len = 0;

	return HMAC(EVP_sha256(), key->bytes, key->len, (const uint8_t *)label, sizeof(label) - 1, x->psk, &len) &&
	       len == PSK_LEN;
}

static SSL_SESSION *session_of(SSL *ssl, const struct link_tls_context *x)
{
	static const uint8_t suite[2] = { 0x13, 0x02 }; /* CIPHER, RFC 8446 B.4 */
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite);
	SSL_SESSION *s = SSL_SESSION_new();

	if (s && cipher && SSL_SESSION_set1_master_key(s, x->psk, PSK_LEN) && SSL_SESSION_set_cipher(s, cipher) &&
	    SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION))
		return s;
	SSL_SESSION_free(s);
	return NULL;
}

static int psk_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *idlen, SSL_SESSION **s)
{
	const struct link_tls_context *x = SSL_get_app_data(ssl);

	(void)md;
	*s = session_of(ssl, x);
	*id = (const unsigned char *)x->identity;
	*idlen = strlen(x->identity);
	return *s != NULL;
}

static int psk_find(SSL *ssl, const unsigned char *id, size_t idlen, SSL_SESSION **s)
{
	const struct link_tls_context *x = SSL_get_app_data(ssl);

	*s = NULL;
	if (idlen != strlen(x->identity) || memcmp(id, x->identity, idlen) != 0)
		return 1; /* there is no such key: the handshake ends, for there is no certificate either */
	*s = session_of(ssl, x);
	return *s != NULL;
}

/* ---- contexts ---------------------------------------------------------------------------------- */

static bool configure(SSL_CTX *c)
{
	SSL_CTX_set_psk_use_session_callback(c, psk_use);
	SSL_CTX_set_psk_find_session_callback(c, psk_find);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) && SSL_CTX_set_ciphersuites(c, CIPHER) &&
	       SSL_CTX_set_num_tickets(c, 0);
}

struct link_tls_context *link_tls_context_new(const struct link_key *key, const char *cluster)
{
	struct link_tls_context *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->ssl = SSL_CTX_new(TLS_method());
	snprintf(x->identity, sizeof(x->identity), "sandem %s", cluster);
	if (x->ssl && configure(x->ssl) && derive(x, key))
		return x;
	link_tls_context_free(x);
	return NULL;
}

void link_tls_context_free(struct link_tls_context *x)
{
	if (!x)
		return;
	SSL_CTX_free(x->ssl);
	OPENSSL_cleanse(x, sizeof(*x));
	free(x);
}

/* ---- one connection ------------------------------------------------------------------------------ */

struct link_tls *link_tls_new(const struct link_tls_context *x, enum link_tls_side side)
{
	struct link_tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ssl = SSL_new(x->ssl);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out) {
		BIO_free(t->in);
		BIO_free(t->out);
		SSL_free(t->ssl);
		free(t);
		return NULL;
	}
	SSL_set_app_data(t->ssl, (void *)x);
	SSL_set_bio(t->ssl, t->in, t->out);
	switch (side) {
	case LINK_TLS_DIALER:
		SSL_set_connect_state(t->ssl);
		/* trusts no certificate: nobody gets past the key by showing one */
		SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
		break;
	case LINK_TLS_ACCEPTOR:
		SSL_set_accept_state(t->ssl);
		break;
	}
	SSL_do_handshake(t->ssl); /* the dialer's first message; no answer can have come */
	ERR_clear_error();
	return t;
}

void link_tls_free(struct link_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	free(t->taken);
	free(t);
}

int link_tls_came(struct link_tls *t, const void *p, size_t len)
{
	return len <= INT_MAX && BIO_write(t->in, p, len) == (int)len ? 0 : -ENOMEM;
}

ssize_t link_tls_read(struct link_tls *t, void *buf, size_t len)
{
	size_t n = 0;
	int rc = SSL_read_ex(t->ssl, buf, len, &n), error = SSL_get_error(t->ssl, rc);

	ERR_clear_error();
	if (SSL_is_init_finished(t->ssl) && !SSL_session_reused(t->ssl))
		return -EPROTO; /* by something else than the key */
	if (rc == 1)
		return n;
	if (error == SSL_ERROR_WANT_READ)
		return 0;
	return error == SSL_ERROR_ZERO_RETURN ? -ECONNRESET : -EPROTO;
}

bool link_tls_ready(const struct link_tls *t)
{
	return SSL_is_init_finished(t->ssl);
}

int link_tls_write(struct link_tls *t, const void *p, size_t len)
{
	size_t n = 0;
	int rc = SSL_write_ex(t->ssl, p, len, &n);

	ERR_clear_error();
	return rc == 1 && n == len ? 0 : -EPROTO;
}

ssize_t link_tls_take(struct link_tls *t, const void **p)
{
	size_t n = BIO_ctrl_pending(t->out);

	*p = t->taken;
	if (!n)
		return 0;
	if (n > t->taken_cap) {
		free(t->taken);
		t->taken = malloc(n);
		t->taken_cap = t->taken ? n : 0;
	}
	*p = t->taken;
	return t->taken && BIO_read(t->out, t->taken, n) == (int)n ? (ssize_t)n : -ENOMEM;
}

bool link_tls_drained(const struct link_tls *t)
{
	return !SSL_pending(t->ssl) && !BIO_ctrl_pending(t->in);
}
