/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS of the link, both sides in one process: cluster/link_tls.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/link_auth.h"
#include "cluster/link_tls.h"

struct pair {
	struct link_key key[2];
	struct link_tls_context *context[2];
	struct link_tls *side[2]; /* dialer, acceptor */
};

static void pair_init(struct pair *p, uint8_t key_of_acceptor, const char *cluster_of_acceptor)
{
	memset(p, 0, sizeof(*p));
	for (int i = 0; i < 2; i++) {
		p->key[i].len = LINK_KEY_MIN;
		memset(p->key[i].bytes, i ? key_of_acceptor : 1, LINK_KEY_MIN);
		p->context[i] = link_tls_context_new(&p->key[i], i ? cluster_of_acceptor : "demo");
		assert_non_null(p->context[i]);
		p->side[i] = link_tls_new(p->context[i], i ? LINK_TLS_ACCEPTOR : LINK_TLS_DIALER);
		assert_non_null(p->side[i]);
	}
}

static void pair_fini(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		link_tls_free(p->side[i]);
		link_tls_context_free(p->context[i]);
	}
}

/* What one side has to send reaches the other. Bytes. */
static size_t carry(struct pair *p, int from)
{
	const void *bytes;
	ssize_t n = link_tls_take(p->side[from], &bytes);

	assert_true(n >= 0);
	assert_int_equal(link_tls_came(p->side[!from], bytes, n), 0);
	return n;
}

/* 0, or the first error of either side. */
static ssize_t handshake(struct pair *p)
{
	char none[1];

	for (int round = 0; round < 4; round++) {
		for (int from = 0; from < 2; from++) {
			ssize_t rc;

			carry(p, from);
			rc = link_tls_read(p->side[!from], none, sizeof(none));
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static void both_have_the_key(void **state)
{
	struct pair p;
	char buf[64];

	(void)state;
	pair_init(&p, 1, "demo");
	assert_false(link_tls_ready(p.side[0]));
	assert_int_equal(handshake(&p), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(link_tls_ready(p.side[i]));
		assert_int_equal(link_tls_write(p.side[i], "sixteen letters!", 16), 0);
		assert_true(carry(&p, i) > 16);
		assert_false(link_tls_drained(p.side[!i]));
		assert_int_equal(link_tls_read(p.side[!i], buf, sizeof(buf)), 16);
		assert_memory_equal(buf, "sixteen letters!", 16);
		assert_int_equal(link_tls_read(p.side[!i], buf, sizeof(buf)), 0);
		assert_true(link_tls_drained(p.side[!i]));
	}
	pair_fini(&p);
}

static void somebody_has_not(void **state)
{
	static const struct {
		uint8_t key;
		const char *cluster;
	} row[] = { { 2, "demo" }, { 1, "other" } };
	struct pair p;

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		pair_init(&p, row[i].key, row[i].cluster);
		assert_int_equal(handshake(&p), -EPROTO);
		assert_false(link_tls_ready(p.side[1]));
		pair_fini(&p);
	}
}

/* Any bit of a record that is not as it was sent ends the connection; nothing of it is handed on. */
static void tampered_with(void **state)
{
	char buf[64];
	struct pair p;

	(void)state;
	for (size_t at = 0; at < 8; at++) {
		const void *bytes;
		uint8_t wrong[256];
		ssize_t n;

		pair_init(&p, 1, "demo");
		assert_int_equal(handshake(&p), 0);
		assert_int_equal(link_tls_write(p.side[0], "sixteen letters!", 16), 0);
		n = link_tls_take(p.side[0], &bytes);
		assert_in_range(n, 17, sizeof(wrong));
		memcpy(wrong, bytes, n);
		wrong[5 + at * (n - 6) / 7] ^= 1 << at; /* behind the record's header */
		assert_int_equal(link_tls_came(p.side[1], wrong, n), 0);
		assert_int_equal(link_tls_read(p.side[1], buf, sizeof(buf)), -EPROTO);
		pair_fini(&p);
	}
}

static void not_tls(void **state)
{
	char buf[64];
	struct pair p;

	(void)state;
	pair_init(&p, 1, "demo");
	memset(buf, 'S', sizeof(buf));
	assert_int_equal(link_tls_came(p.side[1], buf, sizeof(buf)), 0);
	assert_int_equal(link_tls_read(p.side[1], buf, sizeof(buf)), -EPROTO);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_have_the_key),
		cmocka_unit_test(somebody_has_not),
		cmocka_unit_test(tampered_with),
		cmocka_unit_test(not_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
