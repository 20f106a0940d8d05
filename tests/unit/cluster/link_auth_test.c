/* SPDX-License-Identifier: BSD-2-Clause */
/* Mutual authentication of two nodes (P9): node 1 dials node 2 of cluster "demo"; each of the
 * ways in which it must fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/link_auth.h"
#include "cluster/link_wire.h"

struct pair {
	struct link_key key, other_key;
	struct link_auth dialer, acceptor;
	uint8_t hello[LINK_HELLO_LEN], challenge[LINK_CHALLENGE_LEN], proof[LINK_PROOF_LEN];
};

static void reset(struct pair *p)
{
	p->dialer = (struct link_auth){ .key = &p->key, .cluster = "demo", .self = { 1, 0x1111, 4 }, .index = 3 };
	p->acceptor = (struct link_auth){ .key = &p->key, .cluster = "demo", .self = { 2, 0x2222, 2 } };
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->key.len = p->other_key.len = LINK_KEY_MIN;
	memset(p->key.bytes, 7, LINK_KEY_MIN);
	memset(p->other_key.bytes, 7, LINK_KEY_MIN);
	p->other_key.bytes[LINK_KEY_MIN - 1] ^= 1;
	reset(p);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Runs it to its end or to the first refusal. *who: 'a' acceptor of the hello, 'd' dialer, 'A'
 * acceptor of the proof. */
static int run(struct pair *p, char *who)
{
	int rc;

	assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
	*who = 'a';
	rc = link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, p->challenge);
	if (rc < 0)
		return rc;
	*who = 'd';
	rc = link_auth_challenged(&p->dialer, p->challenge, LINK_CHALLENGE_LEN, p->proof);
	if (rc < 0)
		return rc;
	*who = 'A';
	return link_auth_proven(&p->acceptor, p->proof, LINK_PROOF_LEN);
}

static void good(void **state)
{
	struct pair *p = *state;
	char who;

	assert_int_equal(run(p, &who), 0);
	assert_int_equal(p->acceptor.peer.node, 1);
	assert_true(p->acceptor.peer.incarnation == 0x1111);
	assert_int_equal(p->acceptor.peer.reactors, 4);
	assert_int_equal(p->acceptor.index, 3);
	assert_int_equal(p->dialer.peer.node, 2);
	assert_true(p->dialer.peer.incarnation == 0x2222);
}

/* Where 0.1.0 leaves zeros: what a program speaks that says nothing of it is what that release did. Without a change of
 * its own messages each side proves itself as ever (rolling upgrade). */
#define HELLO_OF_0_1_0 120
#define CHALLENGE_OF_0_1_0 80

static void an_older_peer_is_known_as_such(void **state)
{
	struct pair *p = *state;
	char who;

	assert_int_equal(run(p, &who), 0);
	assert_int_equal(p->acceptor.peer.speaks, LINK_SPEAKS);
	assert_int_equal(p->dialer.peer.speaks, LINK_SPEAKS);
	reset(p); /* an old dialer */
	assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
	memset(p->dialer.hello + HELLO_OF_0_1_0, 0, LINK_HELLO_LEN - HELLO_OF_0_1_0);
	memcpy(p->hello, p->dialer.hello, LINK_HELLO_LEN);
	assert_int_equal(link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, p->challenge), 0);
	assert_int_equal(link_auth_challenged(&p->dialer, p->challenge, LINK_CHALLENGE_LEN, p->proof), 0);
	assert_int_equal(link_auth_proven(&p->acceptor, p->proof, LINK_PROOF_LEN), 0);
	assert_int_equal(p->acceptor.peer.speaks, 1);
	reset(p); /* an old acceptor */
	assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
	assert_int_equal(link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, p->challenge), 0);
	memset(p->acceptor.challenge + CHALLENGE_OF_0_1_0, 0, LINK_CHALLENGE_LEN - CHALLENGE_OF_0_1_0);
	memcpy(p->challenge, p->acceptor.challenge, LINK_CHALLENGE_LEN);
	assert_int_equal(link_auth_challenged(&p->dialer, p->challenge, LINK_CHALLENGE_LEN, p->proof), 0);
	assert_int_equal(link_auth_proven(&p->acceptor, p->proof, LINK_PROOF_LEN), 0);
	assert_int_equal(p->dialer.peer.speaks, 1);
}

static void wrong_key(void **state)
{
	struct pair *p = *state;
	char who;

	p->acceptor.key = &p->other_key; /* an impostor that listens: the dialer notices, and gives no proof away */
	assert_int_equal(run(p, &who), -EACCES);
	assert_int_equal(who, 'd');
	/* an impostor that dials and skips its own check */
	reset(p);
	p->dialer.key = &p->other_key;
	assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
	assert_int_equal(link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, p->challenge), 0);
	assert_int_equal(link_auth_challenged(&p->dialer, p->challenge, LINK_CHALLENGE_LEN, p->proof), -EACCES);
	memset(p->proof, 0, sizeof(p->proof));
	assert_int_equal(link_auth_proven(&p->acceptor, p->proof, LINK_PROOF_LEN), -EACCES);
}

static void wrong_place(void **state)
{
	struct pair *p = *state;
	char who;

	p->acceptor.cluster = "demo2";
	assert_int_equal(run(p, &who), -ENOENT);
	reset(p);
	p->acceptor.self.node = 3; /* the address of another node of the same cluster */
	assert_int_equal(run(p, &who), -ENOENT);
	reset(p);
	p->dialer.self.node = 2; /* one that says it is the acceptor itself */
	assert_int_equal(run(p, &who), -ENOENT);
}

/* A recorded conversation, played again to the same acceptor: another challenge, so the old
 * proof is worth nothing. */
static void replay(void **state)
{
	struct pair *p = *state;
	uint8_t fresh[LINK_CHALLENGE_LEN];
	char who;

	assert_int_equal(run(p, &who), 0);
	p->acceptor = (struct link_auth){ .key = &p->key, .cluster = "demo", .self = { 2, 0x2222, 2 } };
	assert_int_equal(link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, fresh), 0);
	assert_memory_not_equal(fresh, p->challenge, LINK_CHALLENGE_LEN);
	assert_int_equal(link_auth_proven(&p->acceptor, p->proof, LINK_PROOF_LEN), -EACCES);
	/* and a recorded challenge to a dialer with another nonce */
	memcpy(fresh, p->challenge, sizeof(fresh));
	reset(p);
	assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
	assert_int_equal(link_auth_challenged(&p->dialer, fresh, LINK_CHALLENGE_LEN, p->proof), -EACCES);
}

/* The acceptor's own MAC, sent back as a proof. */
static void reflection(void **state)
{
	struct pair *p = *state;

	assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
	assert_int_equal(link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, p->challenge), 0);
	for (unsigned at = 0; at + LINK_PROOF_LEN <= LINK_CHALLENGE_LEN; at++)
		assert_int_equal(link_auth_proven(&p->acceptor, p->challenge + at, LINK_PROOF_LEN), -EACCES);
}

/* Each bit of each message matters: flipped on the way, somebody refuses before the end. */
static void every_bit(void **state)
{
	struct pair *p = *state;

	for (unsigned bit = 0; bit < 8 * (LINK_HELLO_LEN + LINK_CHALLENGE_LEN + LINK_PROOF_LEN); bit++) {
		unsigned at = bit / 8;
		int rc;

		reset(p);
		assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
		if (at < LINK_HELLO_LEN)
			p->hello[at] ^= 1 << bit % 8;
		rc = link_auth_greeted(&p->acceptor, p->hello, LINK_HELLO_LEN, p->challenge);
		at -= LINK_HELLO_LEN;
		if (rc == 0 && at < LINK_CHALLENGE_LEN)
			p->challenge[at] ^= 1 << bit % 8;
		if (rc == 0)
			rc = link_auth_challenged(&p->dialer, p->challenge, LINK_CHALLENGE_LEN, p->proof);
		at -= LINK_CHALLENGE_LEN;
		if (rc == 0 && at < LINK_PROOF_LEN)
			p->proof[at] ^= 1 << bit % 8;
		if (rc == 0)
			rc = link_auth_proven(&p->acceptor, p->proof, LINK_PROOF_LEN);
		if (rc == 0)
			fail_msg("bit %u was changed, and nobody noticed", bit);
	}
}

static void truncated_and_garbage(void **state)
{
	struct pair *p = *state;
	uint8_t noise[LINK_HELLO_LEN + 1];

	srandom(1);
	for (unsigned len = 0; len <= sizeof(noise); len++) {
		for (unsigned i = 0; i < len; i++)
			noise[i] = random();
		assert_true(link_auth_greeted(&p->acceptor, noise, len, p->challenge) < 0);
		reset(p);
		assert_int_equal(link_auth_hello(&p->dialer, 2, p->hello), 0);
		if (len != LINK_HELLO_LEN)
			assert_int_equal(link_auth_greeted(&p->acceptor, p->hello, len, p->challenge), -EPROTO);
		assert_true(link_auth_challenged(&p->dialer, noise, len, p->proof) < 0);
		assert_true(link_auth_proven(&p->acceptor, noise, len) < 0);
	}
}

/* ---- the key file ---- */

static int load(const char *content, size_t len, mode_t mode, char *err)
{
	char path[] = "/tmp/link-key-XXXXXX";
	struct link_key key;
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0 && write(fd, content, len) == (ssize_t)len && fchmod(fd, mode) == 0);
	rc = link_key_load(&key, path, err, 512);
	if (rc == 0)
		assert_true(key.len == len && memcmp(key.bytes, content, len) == 0);
	else
		assert_non_null(strstr(err, path));
	close(fd);
	unlink(path);
	return rc;
}

static void key_file(void **state)
{
	static char content[LINK_KEY_MAX + 1];
	struct link_key key;
	char err[512];

	(void)state;
	memset(content, 0xc3, sizeof(content));
	assert_int_equal(load(content, LINK_KEY_MIN, 0600, err), 0);
	assert_int_equal(load(content, LINK_KEY_MAX, 0400, err), 0);
	assert_int_equal(load(content, LINK_KEY_MIN - 1, 0600, err), -EINVAL);
	assert_int_equal(load(content, LINK_KEY_MAX + 1, 0600, err), -EINVAL);
	assert_int_equal(load(content, LINK_KEY_MIN, 0640, err), -EPERM);
	assert_non_null(strstr(err, "chmod 600"));
	assert_int_equal(load(content, LINK_KEY_MIN, 0604, err), -EPERM);
	assert_int_equal(link_key_load(&key, "/nonexistent/cluster.key", err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "/dev/urandom"));
	assert_int_equal(link_key_load(&key, "/tmp", err, sizeof(err)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_peer_is_known_as_such, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_key, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_place, setup, teardown),
		cmocka_unit_test_setup_teardown(replay, setup, teardown),
		cmocka_unit_test_setup_teardown(reflection, setup, teardown),
		cmocka_unit_test_setup_teardown(every_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(truncated_and_garbage, setup, teardown),
		cmocka_unit_test(key_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
