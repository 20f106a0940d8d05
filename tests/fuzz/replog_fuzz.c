/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of the replicated log and snapshots (cluster/replog_msg.h). First byte: even a message, odd a snapshot. What
 * was understood can be sent again, and is understood as the same. */
#include <errno.h>
#include <string.h>

#include "cluster/replog_msg.h"
#include "fuzz.h"

static void check_refusal(int rc, const char *why)
{
	FUZZ_CHECK(rc == -EBADMSG || rc == -EPROTONOSUPPORT);
	FUZZ_CHECK(why && why[0]);
}

static void check_equal(struct wbuf *a, struct wbuf *b)
{
	FUZZ_CHECK(!a->err && !b->err);
	FUZZ_CHECK(a->len == b->len && !memcmp(a->data, b->data, a->len));
	wbuf_fini(a);
	wbuf_fini(b);
}

static void message(const uint8_t *p, size_t len)
{
	struct wbuf once = { 0 }, twice = { 0 };
	struct message m, again;
	const char *why = NULL;
	int rc = message_parse(&m, p, len, &why);

	if (rc) {
		check_refusal(rc, why);
		return;
	}
	FUZZ_CHECK(message_type(p, len) == (int)m.type);
	message_pack(&m, &once);
	FUZZ_CHECK(!once.err);
	FUZZ_CHECK(message_parse(&again, once.data, once.len, &why) == 0);
	message_pack(&again, &twice);
	check_equal(&once, &twice);
	message_fini(&again);
	message_fini(&m);
}

static void snapshot(const uint8_t *p, size_t len)
{
	struct wbuf once = { 0 }, twice = { 0 };
	struct snapshot s, again;
	const char *why = NULL;
	int rc = snapshot_parse(&s, p, len, &why);

	if (rc) {
		check_refusal(rc, why);
		return;
	}
	snapshot_pack(&s, &once);
	FUZZ_CHECK(!once.err);
	FUZZ_CHECK(snapshot_parse(&again, once.data, once.len, &why) == 0);
	snapshot_pack(&again, &twice);
	check_equal(&once, &twice);
	snapshot_fini(&again);
	snapshot_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct fuzz_in in = { p, len };
	bool is_message = !(fuzz_u8(&in) & 1);
	size_t got;
	uint8_t *bytes = fuzz_bytes(&in, in.left, &got);

	if (is_message)
		message(bytes, got);
	else
		snapshot(bytes, got);
	free(bytes);
	return 0;
}
