/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and writes in every shape that RFC 7143 4.2.5 allows, over the wire (fake_portal.h). */
#include <stdlib.h>
#include <string.h>

#include "fake_portal.h"

#define R CMD_READ_FLAG
#define W CMD_WRITE_FLAG
#define F FLAG_FINAL

static uint8_t *pattern(uint32_t len, uint8_t seed)
{
	uint8_t *p = malloc(len);

	for (uint32_t i = 0; i < len; i++)
		p[i] = seed + i * 7 + (i >> 8);
	return p;
}

static void data_out(struct client *c, uint32_t ttt, uint32_t sn, uint32_t offset, const uint8_t *data, uint32_t len,
		     bool final)
{
	struct pdu p = { .bhs = { OP_DATA_OUT, final ? F : 0 }, .data = (uint8_t *)data + offset, .len = len };

	put_be32(p.bhs + BHS_ITT, c->itt - 1);
	put_be32(p.bhs + BHS_TTT, ttt);
	put_be32(p.bhs + DATA_SN, sn);
	put_be32(p.bhs + DATA_OFFSET, offset);
	client_send(c, &p);
}

static void expect_status(struct client *c, uint8_t status, uint8_t residual_flag, uint32_t residual)
{
	client_expect(c, OP_SCSI_RSP);
	assert_int_equal(get_be32(c->in.bhs + BHS_ITT), c->itt - 1);
	assert_int_equal(c->in.bhs[RSP_STATUS], status);
	assert_int_equal(c->in.bhs[BHS_FLAGS], F | residual_flag);
	assert_int_equal(get_be32(c->in.bhs + RSP_RESIDUAL), residual);
}

/* Answers R2Ts for data until the status comes; gives the number of R2Ts. */
static unsigned feed(struct client *c, const uint8_t *data, uint32_t segment, uint32_t burst_max)
{
	unsigned n = 0;

	for (;; n++) {
		uint32_t offset, length, ttt, sn = 0;

		assert_true(client_recv(c));
		if (c->in.bhs[0] == OP_SCSI_RSP)
			return n;
		assert_int_equal(c->in.bhs[0], OP_R2T);
		assert_int_equal(get_be32(c->in.bhs + R2T_SN), n);
		offset = get_be32(c->in.bhs + R2T_OFFSET);
		length = get_be32(c->in.bhs + R2T_LENGTH);
		ttt = get_be32(c->in.bhs + BHS_TTT);
		assert_int_not_equal(ttt, TAG_NONE);
		assert_in_range(length, 1, burst_max);
		while (length) {
			uint32_t len = length < segment ? length : segment;

			data_out(c, ttt, sn++, offset, data, len, len == length);
			offset += len;
			length -= len;
		}
	}
}

static void login(struct client *c, struct portal_fixture *f, const char *keys, size_t len)
{
	client_open(c, f);
	assert_int_equal(client_login(c, TARGET, keys, len), LOGIN_OK);
	assert_int_equal(client_ready(c), STATUS_CHECK_CONDITION);
}
#define LOGIN(c, f, keys) login(c, f, keys, sizeof(keys) - 1)

/* ---- reads -------------------------------------------------------------------------------------------- */

static void status_comes_with_the_last_data_in(void **state)
{
	struct portal_fixture *f = *state;
	struct client c;
	uint8_t cdb[16];

	client_start(&c, f);
	memset(f->data + 3 * BLOCK, 0x5a, BLOCK);
	cdb_read(cdb, 3, 1);
	client_command(&c, F | R, cdb, BLOCK, NULL, 0);
	client_expect(&c, OP_DATA_IN);
	assert_int_equal(c.in.bhs[BHS_FLAGS], F | DATA_IN_STATUS_FLAG);
	assert_int_equal(c.in.bhs[DATA_IN_STATUS], STATUS_GOOD);
	assert_int_equal(get_be32(c.in.bhs + BHS_TTT), TAG_NONE);
	assert_int_equal(c.in.len, BLOCK);
	assert_memory_equal(c.in.data, f->data + 3 * BLOCK, BLOCK);
	client_close(&c);
}

/* Segments by the initiator's MaxRecvDataSegmentLength, F bit at each MaxBurstLength, numbered, contiguous. */
static void a_long_read_is_cut_as_negotiated(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *want = pattern(64 * BLOCK, 1);
	struct client c;
	uint8_t cdb[16];
	uint32_t at = 0, sn = 0;

	LOGIN(&c, f, "MaxRecvDataSegmentLength=3072\0MaxBurstLength=8192\0");
	memcpy(f->data, want, 64 * BLOCK);
	cdb_read(cdb, 0, 64);
	client_command(&c, F | R, cdb, 64 * BLOCK, NULL, 0);
	while (at < 64 * BLOCK) {
		uint32_t expected = 8192 - at % 8192 < 3072 ? 8192 - at % 8192 : 3072;

		client_expect(&c, OP_DATA_IN);
		assert_int_equal(c.in.len, expected);
		assert_int_equal(get_be32(c.in.bhs + DATA_SN), sn++);
		assert_int_equal(get_be32(c.in.bhs + DATA_OFFSET), at);
		assert_memory_equal(c.in.data, want + at, c.in.len);
		at += c.in.len;
		assert_int_equal(!!(c.in.bhs[BHS_FLAGS] & F), at % 8192 == 0);
		assert_int_equal(!!(c.in.bhs[BHS_FLAGS] & DATA_IN_STATUS_FLAG), at == 64 * BLOCK);
	}
	free(want);
	client_close(&c);
}

static void read_residuals(void **state)
{
	struct client c;
	uint8_t cdb[16];

	client_start(&c, *state);
	cdb_read(cdb, 0, 2);
	client_command(&c, F | R, cdb, BLOCK, NULL, 0); /* expects less than there is */
	client_expect(&c, OP_DATA_IN);
	assert_int_equal(c.in.len, BLOCK);
	assert_int_equal(c.in.bhs[BHS_FLAGS], F | DATA_IN_STATUS_FLAG | RSP_OVERFLOW);
	assert_int_equal(get_be32(c.in.bhs + DATA_IN_RESIDUAL), BLOCK);
	client_command(&c, F | R, cdb, 5 * BLOCK, NULL, 0); /* expects more */
	client_expect(&c, OP_DATA_IN);
	assert_int_equal(c.in.len, 2 * BLOCK);
	assert_int_equal(c.in.bhs[BHS_FLAGS], F | DATA_IN_STATUS_FLAG | RSP_UNDERFLOW);
	assert_int_equal(get_be32(c.in.bhs + DATA_IN_RESIDUAL), 3 * BLOCK);
	cdb_read(cdb, DISK_BLOCKS, 1); /* fails: nothing of what was expected comes */
	client_command(&c, F | R, cdb, BLOCK, NULL, 0);
	expect_status(&c, STATUS_CHECK_CONDITION, RSP_UNDERFLOW, BLOCK);
	assert_int_equal(get_be16(c.in.data), c.in.len - 2);
	assert_int_equal(c.in.data[2] & 0x7f, 0x70);
	assert_int_equal(c.in.data[2 + 12], 0x21); /* LOGICAL BLOCK ADDRESS OUT OF RANGE */
	client_close(&c);
}

/* ---- writes ------------------------------------------------------------------------------------------- */

static void immediate_data(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *data = pattern(8 * BLOCK, 3), cdb[16];
	struct client c;

	client_start(&c, f);
	cdb_write(cdb, 16, 8);
	client_command(&c, F | W, cdb, 8 * BLOCK, data, 8 * BLOCK);
	expect_status(&c, STATUS_GOOD, 0, 0);
	assert_memory_equal(f->data + 16 * BLOCK, data, 8 * BLOCK);
	free(data);
	client_close(&c);
}

static void solicited_data_in_bursts(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *data = pattern(40 * BLOCK, 4), cdb[16];
	struct client c;

	LOGIN(&c, f, "InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=8192\0");
	cdb_write(cdb, 0, 40);
	client_command(&c, F | W, cdb, 40 * BLOCK, NULL, 0);
	assert_int_equal(feed(&c, data, 3000, 8192), 3); /* 20480 bytes by 8192 */
	assert_int_equal(c.in.bhs[RSP_STATUS], STATUS_GOOD);
	assert_int_equal(get_be32(c.in.bhs + RSP_EXPDATASN), 3);
	assert_memory_equal(f->data, data, 40 * BLOCK);
	free(data);
	client_close(&c);
}

static void immediate_then_unsolicited_then_solicited(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *data = pattern(64 * BLOCK, 5), cdb[16];
	struct client c;

	LOGIN(&c, f, "InitialR2T=No\0ImmediateData=Yes\0FirstBurstLength=8192\0");
	cdb_write(cdb, 0, 64);
	client_command(&c, W, cdb, 64 * BLOCK, data, 1024); /* no F bit: more to come unasked */
	data_out(&c, TAG_NONE, 0, 1024, data, 4096, false);
	data_out(&c, TAG_NONE, 1, 5120, data, 3072, true);
	assert_int_equal(feed(&c, data, 262144, 262144), 1);
	assert_int_equal(c.in.bhs[RSP_STATUS], STATUS_GOOD);
	assert_memory_equal(f->data, data, 64 * BLOCK);
	free(data);
	client_close(&c);
}

/* 1 MiB in segments large enough to be received straight into the command's buffer, of even and odd lengths. */
static void a_megabyte(void **state)
{
	struct portal_fixture *f = *state;
	uint32_t len = 2048 * BLOCK;
	uint8_t *data = pattern(len, 6), cdb[16];
	struct client c;

	client_start(&c, f);
	cdb_write(cdb, 100, 2048);
	for (uint32_t segment = 262144; segment > 30000; segment = segment / 2 - 1) {
		memset(f->data, 0, len + 200 * BLOCK);
		client_command(&c, F | W, cdb, len, data, 4096);
		assert_true(feed(&c, data, segment, 16 << 20) >= 1);
		assert_int_equal(c.in.bhs[RSP_STATUS], STATUS_GOOD);
		assert_memory_equal(f->data + 100 * BLOCK, data, len);
	}
	free(data);
	client_close(&c);
}

static void write_residuals(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *data = pattern(4 * BLOCK, 7), cdb[16];
	struct client c;

	client_start(&c, f);
	cdb_write(cdb, 0, 2);
	client_command(&c, F | W, cdb, 4 * BLOCK, data, 4 * BLOCK); /* sends more than the command takes */
	expect_status(&c, STATUS_GOOD, RSP_UNDERFLOW, 2 * BLOCK);
	assert_memory_equal(f->data, data, 2 * BLOCK);
	assert_int_equal(f->data[2 * BLOCK], 0);
	client_command(&c, W, cdb, 4 * BLOCK, data, BLOCK); /* the surplus comes unsolicited */
	data_out(&c, TAG_NONE, 0, BLOCK, data, 3 * BLOCK, true);
	expect_status(&c, STATUS_GOOD, RSP_UNDERFLOW, 2 * BLOCK);
	cdb_write(cdb, 0, 4);
	client_command(&c, F | W, cdb, 2 * BLOCK, data, 2 * BLOCK); /* sends less than the command takes */
	client_expect(&c, OP_SCSI_RSP);
	assert_int_equal(c.in.bhs[BHS_FLAGS], F | RSP_OVERFLOW);
	assert_int_equal(get_be32(c.in.bhs + RSP_RESIDUAL), 2 * BLOCK);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	free(data);
	client_close(&c);
}

/* A gap in DataSN fails the command, not the session, and nothing of it reaches the medium (7.8). */
static void a_gap_in_data_sn(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *data = pattern(2 * BLOCK, 8), cdb[16];
	struct client c;

	client_start(&c, f);
	cdb_write(cdb, 0, 2);
	client_command(&c, W, cdb, 2 * BLOCK, NULL, 0);
	data_out(&c, TAG_NONE, 0, 0, data, BLOCK, false);
	data_out(&c, TAG_NONE, 2, BLOCK, data, BLOCK, true);
	client_expect(&c, OP_SCSI_RSP);
	assert_int_equal(c.in.bhs[RSP_STATUS], STATUS_CHECK_CONDITION);
	assert_int_equal(c.in.data[2 + 2] & 0xf, 0xb);
	assert_int_equal(c.in.data[2 + 12], 0x47);
	assert_int_equal(f->data[0], 0);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	free(data);
	client_close(&c);
}

static void a_bidirectional_command_is_refused(void **state)
{
	struct pdu p = { .bhs = { OP_SCSI_CMD, F | R | W }, .ahs = { 0, 5, AHS_BIDI_READ_LEN, 0, 0, 0, 2, 0 },
			 .ahs_len = 8 };
	struct client c;

	client_start(&c, *state);
	put_be32(p.bhs + BHS_ITT, c.itt++);
	put_be32(p.bhs + BHS_CMDSN, c.cmdsn++);
	put_be32(p.bhs + CMD_EXPECTED_LEN, BLOCK);
	client_send(&c, &p);
	client_expect(&c, OP_SCSI_RSP);
	assert_int_equal(c.in.bhs[RSP_STATUS], STATUS_CHECK_CONDITION);
	assert_int_equal(c.in.data[2 + 2] & 0xf, KEY_ILLEGAL_REQUEST);
	assert_int_equal(client_ready(&c), STATUS_GOOD);
	client_close(&c);
}

/* ---- digests, torn input, the window ------------------------------------------------------------------- */

static void both_digests_both_ways(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t *data = pattern(300 * BLOCK, 9), cdb[16];
	struct client c;

	LOGIN(&c, f, "HeaderDigest=CRC32C\0DataDigest=CRC32C\0InitialR2T=No\0MaxRecvDataSegmentLength=262144\0");
	assert_true(c.header_digest && c.data_digest);
	cdb_write(cdb, 0, 300);
	client_command(&c, F | W, cdb, 300 * BLOCK, data, 4095); /* padded */
	feed(&c, data, 65535, 16 << 20);
	assert_int_equal(c.in.bhs[RSP_STATUS], STATUS_GOOD);
	assert_memory_equal(f->data, data, 300 * BLOCK);
	cdb_read(cdb, 0, 300);
	client_command(&c, F | R, cdb, 300 * BLOCK - 3, NULL, 0);
	client_expect(&c, OP_DATA_IN); /* the client checks the digests */
	assert_int_equal(c.in.len, 300 * BLOCK - 3);
	assert_memory_equal(c.in.data, data, c.in.len);
	free(data);
	client_close(&c);
}

static void byte_by_byte(void **state)
{
	struct portal_fixture *f = *state;
	uint8_t wire[BHS_LEN + BLOCK] = { OP_SCSI_CMD, F | W | 1 }, cdb[16];
	struct client c;

	client_start(&c, f);
	cdb_write(cdb, 7, 1);
	put_be24(wire + BHS_DATA_LEN, BLOCK);
	put_be32(wire + BHS_ITT, c.itt++);
	put_be32(wire + CMD_EXPECTED_LEN, BLOCK);
	put_be32(wire + BHS_CMDSN, c.cmdsn++);
	memcpy(wire + CMD_CDB, cdb, 16);
	memset(wire + BHS_LEN, 0x77, BLOCK);
	for (size_t i = 0; i < sizeof(wire); i++)
		client_raw(&c, wire + i, 1);
	expect_status(&c, STATUS_GOOD, 0, 0);
	assert_memory_equal(f->data + 7 * BLOCK, wire + BHS_LEN, BLOCK);
	client_close(&c);
}

/* As many commands as the window allows in one go; after their answers it is as wide as before. */
static void the_window_slides(void **state)
{
	struct portal_options o = { .queue_depth = 8, .initial_r2t = -1, .immediate_data = -1 };
	struct portal_fixture *f = portal_up(&o);
	uint8_t cdb[16];
	struct client c;

	(void)state;
	client_start(&c, f);
	cdb_read(cdb, 0, 1);
	for (int round = 0; round < 50; round++) {
		uint32_t max = get_be32(c.in.bhs + BHS_MAXCMDSN);

		assert_int_equal(max - c.cmdsn + 1, 8);
		for (int i = 0; i < 8; i++)
			client_command(&c, F | R, cdb, BLOCK, NULL, 0);
		for (int i = 0; i < 8; i++)
			client_expect(&c, OP_DATA_IN);
		assert_int_equal(get_be32(c.in.bhs + BHS_EXPCMDSN), c.cmdsn);
	}
	client_close(&c);
	portal_down(f);
}

static void commands_outside_of_the_window_are_ignored(void **state)
{
	static const uint8_t tur[16];
	struct client c;
	uint32_t good;

	client_start(&c, *state);
	good = c.cmdsn;
	c.cmdsn = good - 1; /* a duplicate */
	client_command(&c, F, tur, 0, NULL, 0);
	c.cmdsn = get_be32(c.in.bhs + BHS_MAXCMDSN) + 1;
	client_command(&c, F, tur, 0, NULL, 0);
	c.cmdsn = good;
	assert_int_equal(client_ready(&c), STATUS_GOOD); /* and its answer is the first one to come */
	client_close(&c);
}

#define WIRE(fn) cmocka_unit_test_setup_teardown(fn, portal_setup, portal_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE(status_comes_with_the_last_data_in),
		WIRE(a_long_read_is_cut_as_negotiated),
		WIRE(read_residuals),
		WIRE(immediate_data),
		WIRE(solicited_data_in_bursts),
		WIRE(immediate_then_unsolicited_then_solicited),
		WIRE(a_megabyte),
		WIRE(write_residuals),
		WIRE(a_gap_in_data_sn),
		WIRE(a_bidirectional_command_is_refused),
		WIRE(both_digests_both_ways),
		WIRE(byte_by_byte),
		cmocka_unit_test(the_window_slides),
		WIRE(commands_outside_of_the_window_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
