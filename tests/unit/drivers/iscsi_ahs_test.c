/* SPDX-License-Identifier: BSD-2-Clause */
/* CDBs of more than 16 bytes in an additional header segment (RFC 7143 11.2.2.3), over the wire
 * (fake_portal.h). The logical unit has type 2 protection, so that it knows such commands; its disk
 * keeps user data only. */
#include <stdlib.h>
#include <string.h>

#include "core/pi.h"
#include "fake_portal.h"

#define R CMD_READ_FLAG
#define W CMD_WRITE_FLAG
#define F FLAG_FINAL

static void start(struct client *c, struct portal_fixture *f, const char *keys, size_t len)
{
	client_open(c, f);
	assert_int_equal(client_login(c, TARGET, keys, len), LOGIN_OK);
	client_ready(c); /* the power on unit attention */
}
#define START(c, f, keys) start(c, f, keys, sizeof(keys) - 1)

static void long_cdb(uint8_t cdb[32], uint8_t sa, uint64_t lba, uint32_t blocks)
{
	memset(cdb, 0, 32);
	cdb[0] = 0x7f;
	cdb[7] = 0x18;
	cdb[9] = sa;
	put_be64(cdb + 12, lba);
	put_be32(cdb + 28, blocks);
}

/* AHSLength is what is behind AHSType: a reserved byte and the rest of the CDB. */
static uint32_t put_ahs(uint8_t *ahs, const uint8_t *rest, uint32_t len)
{
	put_be16(ahs, 1 + len);
	ahs[2] = AHS_EXTENDED_CDB;
	ahs[3] = 0;
	memcpy(ahs + 4, rest, len);
	return (4 + len + 3) / 4 * 4;
}

static struct pdu command(struct client *c, uint8_t flags, const uint8_t *cdb, uint32_t expected)
{
	struct pdu p = { .bhs = { OP_SCSI_CMD, F | flags | 1 } };

	put_be32(p.bhs + BHS_ITT, c->itt++);
	put_be32(p.bhs + BHS_CMDSN, c->cmdsn++);
	put_be32(p.bhs + CMD_EXPECTED_LEN, expected);
	memcpy(p.bhs + CMD_CDB, cdb, 16);
	return p;
}

static void send_long(struct client *c, uint8_t flags, const uint8_t cdb[32], uint32_t expected,
		      uint8_t *data, uint32_t len)
{
	struct pdu p = command(c, flags, cdb, expected);

	p.data = data;
	p.len = len;
	p.ahs_len = put_ahs(p.ahs, cdb + 16, 16);
	client_send(c, &p);
}

static void expect_sense(struct client *c, uint8_t key, uint8_t asc, uint8_t ascq)
{
	client_expect(c, OP_SCSI_RSP);
	assert_int_equal(c->in.bhs[RSP_STATUS], STATUS_CHECK_CONDITION);
	assert_int_equal(c->in.data[2 + 2] & 0xf, key);
	assert_int_equal(c->in.data[2 + 12], asc);
	assert_int_equal(c->in.data[2 + 13], ascq);
}

static void write_and_read(struct client *c, struct portal_fixture *f)
{
	uint8_t cdb[32], data[2 * BLOCK];

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = i * 13 + (i >> 7);
	long_cdb(cdb, 0x0b, 0x1234, 2); /* beyond what the first 16 bytes can say */
	send_long(c, W, cdb, sizeof(data), data, sizeof(data));
	client_expect(c, OP_SCSI_RSP);
	assert_int_equal(c->in.bhs[RSP_STATUS], STATUS_GOOD);
	assert_memory_equal(f->data + 0x1234 * BLOCK, data, sizeof(data));
	long_cdb(cdb, 0x09, 0x1234, 2);
	send_long(c, R, cdb, sizeof(data), NULL, 0);
	client_expect(c, OP_DATA_IN);
	assert_int_equal(c->in.len, sizeof(data));
	assert_memory_equal(c->in.data, data, sizeof(data));
}

static void commands_of_32_bytes(void **state)
{
	struct client c;

	START(&c, *state, "HeaderDigest=None\0DataDigest=None\0InitialR2T=No\0ImmediateData=Yes\0");
	write_and_read(&c, *state);
	client_close(&c);
}

/* The header digest is over the segment, too; the data digest follows the data behind it. */
static void with_digests(void **state)
{
	struct client c;

	START(&c, *state,
	      "HeaderDigest=CRC32C\0DataDigest=CRC32C\0InitialR2T=No\0ImmediateData=Yes\0");
	assert_true(c.header_digest && c.data_digest);
	write_and_read(&c, *state);
	client_close(&c);
}

/* The CDB says 32 bytes, 16 came: nothing may be read from where its zero padding says. */
static void without_the_segment(void **state)
{
	uint8_t cdb[32];
	struct pdu p;
	struct client c;

	START(&c, *state, "HeaderDigest=None\0");
	long_cdb(cdb, 0x09, 0, 1);
	p = command(&c, R, cdb, BLOCK);
	client_send(&c, &p);
	expect_sense(&c, 5, 0x0e, 0x03);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

/* Every length but the right one, and longer CDBs than any command here has: the command is
 * refused, the connection lives. */
static void other_lengths(void **state)
{
	uint8_t cdb[64] = { 0 };
	struct pdu p;
	struct client c;

	START(&c, *state, "HeaderDigest=None\0");
	for (uint32_t len = 0; len <= 44; len++) {
		if (len == 16)
			continue;
		long_cdb(cdb, 0x09, 0, 1);
		p = command(&c, R, cdb, BLOCK);
		p.ahs_len = put_ahs(p.ahs, cdb + 16, len);
		client_send(&c, &p);
		expect_sense(&c, 5, 0x0e, 0x03);
		cdb[7] = 8 + len; /* both agree: no such command */
		p = command(&c, R, cdb, BLOCK);
		p.ahs_len = put_ahs(p.ahs, cdb + 16, len);
		client_send(&c, &p);
		expect_sense(&c, 5, 0x24, 0x00);
	}
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

static void twice(void **state)
{
	uint8_t cdb[32];
	struct pdu p;
	struct client c;

	START(&c, *state, "HeaderDigest=None\0");
	long_cdb(cdb, 0x09, 0, 1);
	p = command(&c, R, cdb, BLOCK);
	p.ahs_len = put_ahs(p.ahs, cdb + 16, 16);
	p.ahs_len += put_ahs(p.ahs + p.ahs_len, cdb + 16, 16);
	client_send(&c, &p);
	assert_int_equal(client_expect_close(&c), REJECT_INVALID_FIELD);
	client_close(&c);
}

static uint32_t rnd(uint64_t *s)
{
	*s = *s * 6364136223846793005ull + 1442695040888963407ull;
	return *s >> 33;
}

/* Segments of random bytes, lengths and types: each is answered or the connection ends; the target
 * lives on. Seeded. */
static void random_segments(void **state)
{
	uint64_t seed = 20260;

	for (int i = 0; i < 300; i++) {
		uint8_t cdb[32];
		struct pdu p;
		struct client c;

		START(&c, *state, "HeaderDigest=None\0");
		long_cdb(cdb, rnd(&seed) % 16, rnd(&seed) % 8, rnd(&seed) % 4);
		cdb[7] = rnd(&seed) % 3 ? 0x18 : rnd(&seed);
		p = command(&c, rnd(&seed) % 2 ? R : 0, cdb, rnd(&seed) % 3 * BLOCK);
		p.ahs_len = (1 + rnd(&seed) % 16) * 4;
		for (uint32_t b = 0; b < p.ahs_len; b++)
			p.ahs[b] = rnd(&seed);
		if (rnd(&seed) % 4) {
			put_be16(p.ahs, rnd(&seed) % (p.ahs_len + 4));
			p.ahs[2] = rnd(&seed) % 4;
		}
		client_send(&c, &p);
		if (client_recv(&c))
			assert_true(c.in.bhs[0] == OP_SCSI_RSP || c.in.bhs[0] == OP_DATA_IN ||
				    c.in.bhs[0] == OP_REJECT || c.in.bhs[0] == OP_R2T);
		client_close(&c);
	}
	commands_of_32_bytes(state);
}

static int setup(void **state)
{
	struct portal_options o = { .initial_r2t = -1, .immediate_data = -1, .pi_type = PI_TYPE_2 };

	*state = portal_up(&o);
	return 0;
}

#define WIRE(fn) cmocka_unit_test_setup_teardown(fn, setup, portal_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE(commands_of_32_bytes), WIRE(with_digests), WIRE(without_the_segment),
		WIRE(other_lengths),	    WIRE(twice),	WIRE(random_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
