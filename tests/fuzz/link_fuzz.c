/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of the node-to-node link (cluster/link_wire.h), its handshake, and its table of known commands:
 *
 *   input: what: 0 header, 1 COMMAND, 2 ANSWER, 3 handshake as acceptor, 4 as dialer, 5 ids of commands; bytes
 */
#include <errno.h>
#include <string.h>

#include "cluster/link_auth.h"
#include "cluster/link_dup.h"
#include "cluster/link_wire.h"
#include "fuzz.h"

static void header(const uint8_t *p, size_t len)
{
	uint8_t in[LINK_HEADER_LEN] = { 0 }, out[LINK_HEADER_LEN];
	struct link_header h;
	int rc;

	memcpy(in, p, len < sizeof(in) ? len : sizeof(in));
	rc = link_header_get(in, &h);
	FUZZ_CHECK(rc == 0 || rc == -EPROTO || rc == -EPROTONOSUPPORT);
	if (rc)
		return;
	FUZZ_CHECK(h.type > 0 && h.type < LINK_TYPE_END);
	FUZZ_CHECK(h.meta_len <= LINK_META_MAX && h.data_len <= LINK_DATA_MAX);
	link_header_put(out, &h);
	FUZZ_CHECK(!memcmp(in, out, sizeof(out)));
}

static void command(const uint8_t *p, size_t len)
{
	struct remote_request q, again;
	uint8_t out[LINK_META_MAX];
	uint32_t n;

	if (link_command_get(p, len, &q))
		return;
	FUZZ_CHECK(memchr(q.lu, 0, sizeof(q.lu)) && memchr(q.nexus.port, 0, sizeof(q.nexus.port)));
	n = link_command_put(out, &q);
	FUZZ_CHECK(n <= sizeof(out));
	FUZZ_CHECK(link_command_get(out, n, &again) == 0);
	FUZZ_CHECK(!strcmp(q.lu, again.lu) && nexus_id_cmp(&q.nexus, &again.nexus) == 0);
	FUZZ_CHECK(!memcmp(q.cdb, again.cdb, sizeof(q.cdb)) && q.attr == again.attr);
}

static void answer(const uint8_t *p, size_t len)
{
	struct link_answer a, again;
	uint8_t out[LINK_META_MAX];
	uint32_t n;

	if (link_answer_get(p, len, &a))
		return;
	FUZZ_CHECK(a.outcome < LINK_OUTCOME_END && a.sense_len <= SENSE_MAX);
	n = link_answer_put(out, &a);
	FUZZ_CHECK(n <= sizeof(out));
	FUZZ_CHECK(link_answer_get(out, n, &again) == 0);
	FUZZ_CHECK(a.outcome == again.outcome && a.status == again.status && a.data_in_len == again.data_in_len);
}

static struct link_key key = { .bytes = "0123456789abcdef0123456789abcdef", .len = 32 };

/* Bytes that nobody who has the key has made are never believed. */
static void acceptor(const uint8_t *p, size_t len)
{
	struct link_auth a = { .key = &key, .cluster = "c", .self = { 2, 77, 1 } };
	uint8_t out[LINK_CHALLENGE_LEN];
	size_t hello = len < LINK_HELLO_LEN ? len : LINK_HELLO_LEN;

	if (link_auth_greeted(&a, p, hello, out) == 0)
		FUZZ_CHECK(link_auth_proven(&a, p + hello, len - hello));
}

static void dialer(const uint8_t *p, size_t len)
{
	struct link_auth a = { .key = &key, .cluster = "c", .self = { 1, 78, 1 } };
	uint8_t hello[LINK_HELLO_LEN], out[LINK_PROOF_LEN];

	FUZZ_CHECK(link_auth_hello(&a, 2, hello) == 0);
	FUZZ_CHECK(link_auth_challenged(&a, p, len, out));
}

/* Nothing is begun twice, whatever order the ids come in. */
static void ids(struct fuzz_in *in)
{
	const struct link_answer good = { .outcome = LINK_DONE };
	struct link_dup *d = link_dup_new();

	FUZZ_CHECK(d);
	while (in->left) {
		uint8_t what = fuzz_u8(in);
		uint64_t id = link_id(fuzz_u8(in), fuzz_u16(in));

		if (what & 1) {
			FUZZ_CHECK(link_dup_cancel(d, id) != DUP_NEW);
		} else if (link_dup_begin(d, id) == DUP_NEW) {
			FUZZ_CHECK(link_dup_begin(d, id) == DUP_RUNNING);
			if (what & 2)
				link_dup_done(d, id, &good);
			if (what & 2)
				FUZZ_CHECK(link_dup_begin(d, id) == DUP_KNOWN);
		}
	}
	link_dup_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static void (*const what[])(const uint8_t *p, size_t len) = { header, command, answer, acceptor, dialer };
	struct fuzz_in in = { p, len };
	uint8_t which = fuzz_u8(&in) % 6;
	uint8_t *bytes;
	size_t got;

	if (which == 5) {
		ids(&in);
		return 0;
	}
	bytes = fuzz_bytes(&in, in.left, &got);
	what[which](bytes, got);
	free(bytes);
	return 0;
}
