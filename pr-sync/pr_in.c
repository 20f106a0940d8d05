/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr_in.h"

#include "core/wire.h"
#include "pr-sync/transport_id.h"

/* PRGENERATION and, when the rest is known, ADDITIONAL LENGTH (tables 177, 178, 182) */
static void header(const struct pr *pr, struct wbuf *out)
{
	uint8_t h[8] = { 0 };

	put_be32(h, pr->generation);
	wbuf_put(out, h, sizeof(h));
}

static void set_additional_length(struct wbuf *out, size_t start)
{
	if (!out->err)
		put_be32(out->data + start + 4, out->len - start - 8);
}

static void read_keys(const struct pr *pr, struct wbuf *out)
{
	uint8_t key[8];

	header(pr, out);
	for (uint32_t i = 0; i < pr->n; i++) {
		put_be64(key, pr->reg[i]->key);
		wbuf_put(out, key, sizeof(key));
	}
}

/* RESERVATION KEY is zero where all registrants hold the reservation (6.15.3.2). */
static void read_reservation(const struct pr *pr, struct wbuf *out)
{
	uint8_t d[16] = { 0 };

	header(pr, out);
	if (pr->type == PR_NONE)
		return;
	put_be64(d, pr->holder ? pr->holder->key : 0);
	d[13] = PR_LU_SCOPE << 4 | pr->type;
	wbuf_put(out, d, sizeof(d));
}

enum { /* table 179 */
	CRH = 1 << 4,
	SIP_C = 1 << 3,
	ATP_C = 1 << 2,
	PTPL_C = 1 << 0,
	TMV = 1 << 7,
	/* ALLOW COMMANDS 001b: TEST UNIT READY under any type; nothing is said of others */
	ALLOW_TEST_UNIT_READY = 1 << 4,
	PTPL_A = 1 << 0,
	TYPES_BYTE_4 = 0xea, /* WR_EX_AR EX_AC_RO WR_EX_RO EX_AC WR_EX */
	TYPES_BYTE_5 = 0x01, /* EX_AC_AR */
};

static void report_capabilities(const struct pr *pr, struct wbuf *out)
{
	uint8_t d[8] = { 0, 8, CRH | SIP_C | ATP_C | PTPL_C, TMV | ALLOW_TEST_UNIT_READY,
			 TYPES_BYTE_4, TYPES_BYTE_5, 0, 0 };

	if (pr->aptpl)
		d[3] |= PTPL_A;
	wbuf_put(out, d, sizeof(d));
}

/* Every registration is one I_T nexus of its own, also those made with ALL_TG_PT, so that bit is 0
 * and the relative target port identifier valid (table 183). */
static void read_full_status(const struct pr *pr, struct wbuf *out)
{
	uint8_t tid[TRANSPORT_ID_MAX];

	header(pr, out);
	for (uint32_t i = 0; i < pr->n; i++) {
		const struct pr_registrant *r = pr->reg[i];
		size_t len = transport_id_build(r->id.port, tid);
		uint8_t d[24] = { 0 };

		put_be64(d, r->key);
		if (pr_is_holder(pr, r)) {
			d[12] = 1; /* R_HOLDER */
			d[13] = PR_LU_SCOPE << 4 | pr->type;
		}
		put_be16(d + 18, r->id.rtpi);
		put_be32(d + 20, len);
		wbuf_put(out, d, sizeof(d));
		wbuf_put(out, tid, len);
	}
}

static const struct {
	void (*build)(const struct pr *pr, struct wbuf *out);
	bool counted; /* carries ADDITIONAL LENGTH */
} actions[PR_IN_ACTIONS] = {
	[PR_IN_READ_KEYS] = { read_keys, true },
	[PR_IN_READ_RESERVATION] = { read_reservation, true },
	[PR_IN_REPORT_CAPABILITIES] = { report_capabilities, false },
	[PR_IN_READ_FULL_STATUS] = { read_full_status, true },
};

bool pr_in_data(const struct pr *pr, unsigned action, struct wbuf *out)
{
	size_t start = out->len;

	if (action >= PR_IN_ACTIONS)
		return false;
	actions[action].build(pr, out);
	if (actions[action].counted)
		set_additional_length(out, start);
	return true;
}
