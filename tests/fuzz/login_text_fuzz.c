/* SPDX-License-Identifier: BSD-2-Clause */
/* Text of login and full feature phase: first byte the stage, then up to three requests of one negotiation, parted by
 * FFh. */
#include <string.h>

#include "drivers/iscsi/iscsi.h"
#include "drivers/iscsi/keys.h"
#include "drivers/iscsi/text.h"
#include "fuzz.h"

/* What has been agreed on must be what the rest of the driver may rely on (RFC 7143 13). */
static void check_active(const struct negotiation *n)
{
	const struct key_values *v = &n->active;

	FUZZ_CHECK(v->header_digest <= 1 && v->data_digest <= 1);
	FUZZ_CHECK(v->max_burst >= 512 && v->max_burst < 1u << 24);
	FUZZ_CHECK(v->first_burst >= 512 && v->first_burst < 1u << 24);
	FUZZ_CHECK(v->send_segment >= 512 && v->send_segment < 1u << 24);
	FUZZ_CHECK(v->max_connections == 1 && v->erl == 0);
	FUZZ_CHECK(v->max_outstanding_r2t >= 1);
	FUZZ_CHECK(memchr(n->initiator, 0, sizeof(n->initiator)) && memchr(n->target, 0, sizeof(n->target)));
}

static size_t piece(const struct fuzz_in *in)
{
	const uint8_t *end = memchr(in->p, 0xff, in->left);

	return end ? (size_t)(end - in->p) : in->left;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct fuzz_in in = { p, len };
	enum key_stage stage = 1u << fuzz_u8(&in) % 3;
	struct iscsi_settings set;
	struct negotiation n;
	char out[512];

	iscsi_settings_default(&set);
	keys_init(&n, &set);
	for (int i = 0; i < 3 && in.left; i++) {
		struct text_writer w = { .buf = out, .cap = sizeof(out) };
		size_t got;
		char *text = (char *)fuzz_bytes(&in, piece(&in), &got);
		int status = keys_text(&n, stage, text, got, &w);

		fuzz_u8(&in);
		FUZZ_CHECK(w.len <= w.cap);
		free(text);
		if (status) {
			FUZZ_CHECK(n.problem[0]);
			return 0;
		}
		check_active(&n);
	}
	return 0;
}
