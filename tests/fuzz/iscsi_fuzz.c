/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an initiator may send, through a socket into the whole driver (topology: fake_portal.h).
 *
 *   input: session: 0 none, the bytes are the connection's first; 1 normal, 2 with digests, 3 discovery
 *          0:     bytes
 *          else:  PDUs { header, 48 bytes; data: length, 2 bytes; bytes }, lengths and digests filled in, CmdSN counted from
 *                 that of the session; a first header byte of FFh: bytes as they are
 *
 * Then the initiator says no more. The target answers with PDUs of its own only and ends the connection; and the
 * next initiator is served.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "tests/unit/drivers/fake_portal.h"

#define PDUS_MAX 32
#define UAS_MAX 20
#define SESSIONS_MAX 4

static struct portal_fixture *portal;

static void bring_down(void)
{
	portal_down(portal);
}

static void bring_up(void)
{
	const struct portal_options o = { .initial_r2t = 0, .immediate_data = 1 };

	portal = portal_up(&o);
	atexit(bring_down);
}

static void log_in(struct client *c, uint8_t session)
{
	static const char digests[] = "HeaderDigest=CRC32C\0DataDigest=CRC32C\0InitialR2T=No\0";
	static const char plain[] = "InitialR2T=No\0ImmediateData=Yes\0";
	int status = 0;

	switch (session) {
	case 1:
		status = client_login(c, TARGET, plain, sizeof(plain) - 1);
		break;
	case 2:
		status = client_login(c, TARGET, digests, sizeof(digests) - 1);
		break;
	case 3:
		status = client_login(c, NULL, "", 0);
		break;
	}
	FUZZ_CHECK(status == 0);
}

static void send_pdu(struct client *c, struct fuzz_in *in)
{
	struct pdu p = { .len = 0 };
	size_t got, n;
	uint8_t *copy = fuzz_bytes(in, BHS_LEN, &got);

	memcpy(p.bhs, copy, got);
	free(copy);
	n = fuzz_u16(in);
	p.data = fuzz_bytes(in, n, &got);
	p.len = got;
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn + get_be32(p.bhs + BHS_CMDSN));
	if (p.bhs[0] == 0xff)
		client_raw(c, p.data, p.len);
	else
		client_send(c, &p);
	free(p.data);
}

/* Until the target ends the connection. What it sent last may be cut short: it is the one who closes. */
static void check_answers(struct client *c)
{
	while (client_recv(c))
		FUZZ_CHECK((c->in.bhs[0] & 0xc0) == 0 && (c->in.bhs[0] & 0x3f) >= 0x20);
}

/* A reset may still be under way when the connection that asked for it has ended: unit attentions, or even the end of a
 * session (TARGET COLD RESET), are no surprise. */
static bool ready(struct client *c)
{
	static const uint8_t tur[16];

	for (int i = 0; i < UAS_MAX; i++) {
		client_command(c, FLAG_FINAL, tur, 0, NULL, 0);
		do {
			if (!client_recv(c))
				return false;
		} while (c->in.bhs[0] == OP_ASYNC);
		FUZZ_CHECK(c->in.bhs[0] == OP_SCSI_RSP);
		if (c->in.bhs[RSP_STATUS] == STATUS_GOOD)
			return true;
	}
	return false;
}

static void check_serves(void)
{
	bool served = false;

	for (int i = 0; i < SESSIONS_MAX && !served; i++) {
		struct client c;

		client_open(&c, portal);
		log_in(&c, 1);
		served = ready(&c);
		client_close(&c);
	}
	FUZZ_CHECK(served);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct fuzz_in in = { p, len };
	uint8_t session = fuzz_u8(&in) % 4;
	struct client c;

	if (!portal)
		bring_up();
	client_open(&c, portal);
	c.isid++; /* or the next one's login would end this session */
	log_in(&c, session);
	if (session == 0)
		client_raw(&c, in.p, in.left);
	for (int i = 0; session && i < PDUS_MAX && in.left; i++)
		send_pdu(&c, &in);
	shutdown(c.fd, SHUT_WR);
	check_answers(&c);
	client_close(&c);
	check_serves();
	return 0;
}
