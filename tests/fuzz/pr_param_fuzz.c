/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PERSISTENT RESERVE OUT: parameter lists with their TransportIDs → operation → message of the log → state → parameter data
 * of PERSISTENT RESERVE IN, as a sequence of commands from two I_T nexuses.
 *
 *   input: commands { nexus, 1 byte; action and type, 2 bytes; list: length, 2 bytes; bytes }
 */
#include <string.h>

#include "core/wire.h"
#include "fuzz.h"
#include "pr-sync/pr_in.h"
#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_param.h"
#include "pr-sync/pr_service.h"
#include "pr-sync/transport_id.h"

#define COMMANDS_MAX 40

static struct target_port ports[] = { { .rtpi = 1 }, { .rtpi = 2 }, { .rtpi = 3 } };
static const struct target target = { .nports = 3, .port = ports };

/* What is read as a TransportID can be written and is read as the same. */
static void transport_id(const uint8_t *p, size_t len)
{
	char port[PORT_NAME_MAX + 1], again[PORT_NAME_MAX + 1];
	uint8_t out[TRANSPORT_ID_MAX];
	size_t n = transport_id_parse(p, len, port);

	if (!n)
		return;
	FUZZ_CHECK(n <= len && n % 4 == 0);
	n = transport_id_build(port, out);
	FUZZ_CHECK(transport_id_parse(out, n, again) == n && !strcmp(port, again));
}

static void apply(struct pr_service *svc, const struct pr_msg *m)
{
	struct apply a = { .position = 1, .origin = 1 };
	struct wbuf b = { 0 };

	pr_msg_encode(m, &b);
	FUZZ_CHECK(!b.err && b.len <= PR_MSG_MAX);
	FUZZ_CHECK(pr_service_ops.apply(svc, &a, b.data, b.len) == 0);
	apply_fini(&a);
	wbuf_fini(&b);
}

/* PR IN says of itself how long it is: the header's length counts what follows (SPC-4 6.15). */
static void check_in(const struct pr_service *svc)
{
	const struct pr_lu *lu = pr_service_find(svc, "disk0");

	for (unsigned action = 0; lu && action < PR_IN_ACTIONS; action++) {
		struct wbuf b = { 0 };

		FUZZ_CHECK(pr_in_data(&lu->pr, action, &b) && !b.err && b.len >= 8);
		if (action != PR_IN_REPORT_CAPABILITIES)
			FUZZ_CHECK(get_be32(b.data + 4) == b.len - 8);
		wbuf_fini(&b);
	}
}

static void command(struct pr_service *svc, struct fuzz_in *in)
{
	struct nexus_id nexus = { .rtpi = 1 };
	uint8_t who = fuzz_u8(in), cdb[10] = { 0x5f };
	struct pr_param_error e = { 0 };
	struct pr_param param;
	uint8_t *list;
	size_t got, n;

	strcpy(nexus.port, who & 1 ? "iqn.2026-11.test:b,i,0x00023d000002" : "iqn.2026-11.test:a,i,0x00023d000001");
	cdb[1] = fuzz_u8(in) & 0x1f;
	cdb[2] = fuzz_u8(in);
	n = fuzz_u16(in);
	list = fuzz_bytes(in, n, &got);
	transport_id(list, got);
	if (got > 28)
		transport_id(list + 28, got - 28);
	if (pr_param_parse(&param, cdb, list, who & 2 ? n : got, got, &nexus, &target, &e) == 0) {
		struct pr_msg m = { .kind = PR_OP_OUT, .lu = "disk0", .nexus = nexus, .out = param.op };

		apply(svc, &m);
	} else {
		FUZZ_CHECK(e.sense != SENSE_NONE);
	}
	pr_param_fini(&param);
	check_in(svc);
	free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct pr_service *svc = pr_service_new();
	struct fuzz_in in = { p, len };

	FUZZ_CHECK(svc);
	for (int i = 0; i < COMMANDS_MAX && in.left; i++)
		command(svc, &in);
	pr_service_free(svc);
	return 0;
}
