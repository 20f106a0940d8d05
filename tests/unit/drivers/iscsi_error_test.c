/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must not be sent: each case ends its own connection (with a Reject where the PDU could be read) and no other.
 *   client a: sends it       client b: another session, must not notice       (fake_portal.h)
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fake_portal.h"

#define R CMD_READ_FLAG
#define W CMD_WRITE_FLAG
#define F FLAG_FINAL

struct pair {
	struct client a, b;
};

static void pair_open(struct pair *p, struct portal_fixture *f)
{
	client_start(&p->a, f);
	client_open(&p->b, f);
	p->b.name = "iqn.2026-11.test:i2";
	assert_int_equal(client_login_keys(&p->b, TARGET, ""), LOGIN_OK);
	assert_int_equal(client_ready(&p->b), STATUS_CHECK_CONDITION);
}

static void pair_close(struct pair *p)
{
	assert_int_equal(client_ready(&p->b), STATUS_GOOD);
	client_close(&p->a);
	client_close(&p->b);
}

/* ---- one PDU that is wrong by itself ----------------------------------------------------------------- */

struct wrong {
	const char *what;
	int reason; /* of the Reject; -1: closed without one */
	uint8_t bhs[BHS_LEN];
	uint32_t data_len; /* in the header; that much is sent */
	bool numbered;
};

static const struct wrong wrongs[] = {
	{ "unknown operation code", REJECT_NOT_SUPPORTED, { 0x1e, F }, 0, false },
	{ "an operation code of targets", REJECT_NOT_SUPPORTED, { OP_SCSI_RSP, F }, 0, false },
	{ "login in full feature phase", REJECT_PROTOCOL, { OP_LOGIN_REQ | BHS_IMMEDIATE, 0x87 }, 0, false },
	{ "data segment beyond MaxRecvDataSegmentLength", -1, { OP_NOP_OUT, F }, 262148, false },
	{ "immediate data without the W bit", REJECT_PROTOCOL, { OP_SCSI_CMD, F | R }, 512, true },
	{ "no F bit without the W bit", REJECT_PROTOCOL, { OP_SCSI_CMD, R }, 0, true },
	{ "immediate data beyond the expected length", REJECT_PROTOCOL, { OP_SCSI_CMD, F | W }, 512, true },
	{ "text that is no text", REJECT_PROTOCOL, { OP_TEXT_REQ, F, [BHS_TTT] = 0xff, 0xff, 0xff, 0xff }, 4, true },
	{ "text with both F and C bit", REJECT_PROTOCOL,
	  { OP_TEXT_REQ, F | TEXT_CONTINUE, [BHS_TTT] = 0xff, 0xff, 0xff, 0xff }, 0, true },
};

static void send_wrong(struct client *c, const struct wrong *w)
{
	struct pdu p = { .len = w->data_len, .data = calloc(1, w->data_len + 1) };

	memset(p.data, 'x', w->data_len);
	memcpy(p.bhs, w->bhs, BHS_LEN);
	put_be32(p.bhs + BHS_ITT, c->itt++);
	if (w->numbered)
		put_be32(p.bhs + BHS_CMDSN, c->cmdsn++);
	client_send(c, &p);
	free(p.data);
}

static void each_ends_its_connection(void **state)
{
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct pair p;
		int reason;

		pair_open(&p, *state);
		send_wrong(&p.a, &wrongs[i]);
		reason = client_expect_close(&p.a);
		if (reason != wrongs[i].reason)
			fail_msg("%s: Reject reason %d", wrongs[i].what, reason);
		pair_close(&p);
	}
}

/* ---- data-out ---------------------------------------------------------------------------------------- */

struct wrong_data {
	const char *what;
	uint32_t ttt; /* 0: the one of the R2T */
	uint32_t offset, len;
	bool final;
};

static const struct wrong_data wrong_datas[] = {
	{ "wrong TTT", 0x12345678, 0, 512, false },
	{ "unsolicited in answer to an R2T", TAG_NONE, 0, 512, false },
	{ "wrong offset", 0, 512, 512, false },
	{ "beyond the burst", 0, 0, 4608, false },
	{ "F bit too early", 0, 0, 512, true },
	{ "no F bit at the end", 0, 0, 4096, false },
};

static void wrong_data_out(void **state)
{
	static uint8_t zero[8192];
	uint8_t cdb[16];

	for (size_t i = 0; i < sizeof(wrong_datas) / sizeof(wrong_datas[0]); i++) {
		const struct wrong_data *w = &wrong_datas[i];
		struct pdu d = { .bhs = { OP_DATA_OUT, w->final ? F : 0 }, .data = zero, .len = w->len };
		struct pair p;

		pair_open(&p, *state);
		cdb_write(cdb, 0, 8);
		client_command(&p.a, F | W, cdb, 4096, NULL, 0);
		client_expect(&p.a, OP_R2T);
		put_be32(d.bhs + BHS_ITT, p.a.itt - 1);
		put_be32(d.bhs + BHS_TTT, w->ttt ? w->ttt : get_be32(p.a.in.bhs + BHS_TTT));
		put_be32(d.bhs + DATA_OFFSET, w->offset);
		client_send(&p.a, &d);
		if (client_expect_close(&p.a) != REJECT_PROTOCOL)
			fail_msg("%s: no Reject", w->what);
		pair_close(&p);
	}
}

/* Data for a task that is not there: it may just have been aborted. Thrown away, the session goes on. */
static void data_out_for_no_task(void **state)
{
	static uint8_t zero[40000];
	struct pdu d = { .bhs = { OP_DATA_OUT, F }, .data = zero, .len = sizeof(zero) };
	struct client c;

	client_start(&c, *state);
	put_be32(d.bhs + BHS_ITT, 0xdead);
	client_send(&c, &d);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

static void unsolicited_data_that_was_not_agreed_on(void **state)
{
	static uint8_t zero[512];
	uint8_t cdb[16];
	struct client c;

	cdb_write(cdb, 0, 1);
	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "ImmediateData=No\0"), LOGIN_OK);
	client_command(&c, F | W, cdb, 512, zero, 512);
	assert_int_equal(client_expect_close(&c), REJECT_PROTOCOL);
	client_close(&c);

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "InitialR2T=Yes\0"), LOGIN_OK);
	client_command(&c, W, cdb, 512, NULL, 0);
	assert_int_equal(client_expect_close(&c), REJECT_PROTOCOL);
	client_close(&c);

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "FirstBurstLength=512\0"), LOGIN_OK);
	cdb_write(cdb, 0, 2);
	client_command(&c, F | W, cdb, 1024, (uint8_t[1024]){ 0 }, 1024);
	assert_int_equal(client_expect_close(&c), REJECT_PROTOCOL);
	client_close(&c);
}

/* ---- digests ------------------------------------------------------------------------------------------- */

static void bad_digests(void **state)
{
	uint8_t wire[BHS_LEN + 4] = { OP_NOP_OUT | BHS_IMMEDIATE, F };
	struct client c;

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "HeaderDigest=CRC32C\0"), LOGIN_OK);
	client_raw(&c, wire, sizeof(wire)); /* digest 0 */
	assert_int_equal(client_expect_close(&c), -1);
	client_close(&c);

	client_open(&c, *state);
	assert_int_equal(client_login_keys(&c, TARGET, "DataDigest=CRC32C\0"), LOGIN_OK);
	put_be24(wire + BHS_DATA_LEN, 4);
	client_raw(&c, wire, sizeof(wire));
	client_raw(&c, "\0\0\0\0", 4);
	assert_int_equal(client_expect_close(&c), REJECT_DATA_DIGEST);
	client_close(&c);
}

/* ---- refused, but the session goes on ------------------------------------------------------------------- */

static void expect_reject(struct client *c, const struct pdu *p, int reason)
{
	client_send(c, p);
	client_expect(c, OP_REJECT);
	assert_int_equal(c->in.bhs[REJECT_REASON], reason);
	assert_int_equal(c->in.len, BHS_LEN); /* the header that was refused */
	assert_int_equal(c->in.data[0], p->bhs[0]);
	assert_int_equal(client_ready(c), STATUS_GOOD);
}

static void refused_only(void **state)
{
	struct portal_fixture *f = *state;
	struct pdu p = { .bhs = { OP_SNACK, F } };
	struct client c;
	uint8_t cdb[16];

	client_start(&c, f);
	expect_reject(&c, &p, REJECT_SNACK);
	p = (struct pdu){ .bhs = { OP_LOGOUT_REQ | BHS_IMMEDIATE, F | 5 } };
	expect_reject(&c, &p, REJECT_INVALID_FIELD);

	portal_hold(f); /* a task tag in use */
	cdb_read(cdb, 0, 1);
	client_command(&c, F | R, cdb, 512, NULL, 0);
	assert_true(portal_holds(f));
	c.itt--;
	client_command(&c, F | R, cdb, 512, NULL, 0);
	client_expect(&c, OP_REJECT);
	assert_int_equal(c.in.bhs[REJECT_REASON], REJECT_TASK_IN_PROGRESS);
	portal_release(f);
	client_expect(&c, OP_DATA_IN);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

static void ahs_that_lies(void **state)
{
	static const uint8_t ahs[][8] = {
		{ 0, 0, AHS_EXTENDED_CDB }, { 0xff, 0xff, AHS_EXTENDED_CDB }, { 0, 17, AHS_EXTENDED_CDB }, { 0, 1, 99 },
	};

	for (size_t i = 0; i < sizeof(ahs) / sizeof(ahs[0]); i++) {
		struct pdu p = { .bhs = { OP_SCSI_CMD, F }, .ahs_len = 8 };
		struct pair pair;

		pair_open(&pair, *state);
		memcpy(p.ahs, ahs[i], 8);
		put_be32(p.bhs + BHS_CMDSN, pair.a.cmdsn);
		put_be32(p.bhs + BHS_ITT, pair.a.itt);
		client_send(&pair.a, &p);
		assert_int_equal(client_expect_close(&pair.a), REJECT_INVALID_FIELD);
		pair_close(&pair);
	}
}

/* ---- noise ----------------------------------------------------------------------------------------------- */

static uint32_t rnd(uint64_t *s)
{
	*s = *s * 6364136223846793005ull + 1442695040888963407ull;
	return *s >> 33;
}

/* Streams of PDUs whose fields are random within reason, cut off anywhere; seeded, so that a failure can be repeated. */
static void noise(void **state)
{
	struct pair p;

	pair_open(&p, *state);
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t s = seed;
		struct client c;

		client_open(&c, *state);
		c.name = "iqn.2026-11.test:inoise";
		if (seed % 4)
			client_login_keys(&c, TARGET, "InitialR2T=No\0");
		for (unsigned n = rnd(&s) % 8 + 1; n; n--) {
			static const uint8_t ops[] = { 0, 1, 1, 1, 2, 4, 5, 5, 6, 0x10, 0x43, 0x1e };
			uint8_t junk[BHS_LEN + 64];

			for (size_t i = 0; i < sizeof(junk); i++)
				junk[i] = rnd(&s);
			junk[0] = ops[rnd(&s) % sizeof(ops)] | (rnd(&s) & BHS_IMMEDIATE);
			junk[BHS_AHS_LEN] = rnd(&s) % 4 ? 0 : rnd(&s) % 8;
			put_be24(junk + BHS_DATA_LEN, rnd(&s) % 4 ? rnd(&s) % 64 : rnd(&s) % 300000);
			if (rnd(&s) % 2)
				put_be32(junk + BHS_CMDSN, c.cmdsn++);
			if (rnd(&s) % 2)
				put_be32(junk + BHS_ITT, rnd(&s) % 4);
			client_raw(&c, junk, rnd(&s) % sizeof(junk) + 1);
		}
		client_close(&c);
		if (seed % 50 == 0)
			assert_int_equal(client_ready(&p.b), STATUS_GOOD);
	}
	pair_close(&p);
}

/* A client that asks for ever and never reads: its answers are bounded, others are served. */
static void a_client_that_never_reads(void **state)
{
	uint8_t wire[BHS_LEN + 4096] = { OP_NOP_OUT | BHS_IMMEDIATE, F };
	struct pollfd pfd = { .events = POLLOUT };
	struct pair p;
	size_t sent = 0;

	pair_open(&p, *state);
	put_be24(wire + BHS_DATA_LEN, 4096);
	pfd.fd = p.a.fd;
	while (sent < 512u << 20 && poll(&pfd, 1, 500) == 1) { /* until the target takes no more */
		ssize_t n = send(p.a.fd, wire, sizeof(wire), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			break;
		sent += n;
	}
	assert_true(sent < 512u << 20);
	pair_close(&p);
}

#define WIRE(fn) cmocka_unit_test_setup_teardown(fn, portal_setup, portal_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE(each_ends_its_connection),
		WIRE(wrong_data_out),
		WIRE(data_out_for_no_task),
		WIRE(unsolicited_data_that_was_not_agreed_on),
		WIRE(bad_digests),
		WIRE(refused_only),
		WIRE(ahs_that_lies),
		WIRE(noise),
		WIRE(a_client_that_never_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
