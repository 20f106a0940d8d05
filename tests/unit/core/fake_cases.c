/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/core/fake_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/core/fake_wipes.h"

#define B1 .out = FAKE_BLOCK
#define IN(n) .in = (n)

/* UNMAP of block 0; a token of block 0; an EXTENDED COPY that copies nothing, and keeps its result; a time. */
static const uint8_t unmap_list[24] = { 0, 22, 0, 16, [19] = 1 };
static const uint8_t token_list[32] = { 0, 30, [7] = 30, [15] = 16, [27] = 1 };
static const uint8_t copy_lid1[16] = { CASE_ID };
static const uint8_t copy_lid4[48] = { 0x01, 0x00, [3] = 0x20, [16] = 0xff, [23] = CASE_ID };
static const uint8_t overwrite_list[5] = { 1, 0, 0, 1, 0x5a };
static const uint8_t using_token[552] = { 2, 38, [15] = 0, [535] = 16, [547] = 1 };

static const struct cdb_case cases[] = {
	/* SPC-4 */
	{ { 0x00 }, NOT_STANDBY, ALLOWED_PR, .in = 0 },
	{ { 0x03, [4] = 252 }, ALWAYS, ALLOWED, .ejected_ok = true, IN(18) },
	{ { 0x12, [4] = 255 }, ALWAYS, ALLOWED, .ejected_ok = true, IN(96) },
	{ { 0x15, 0x10, [4] = 24 }, NOT_UNAVAILABLE, CONFLICT, .ejected_ok = true, .out = 24 },
	{ { 0x16 }, ALWAYS, BY_ENGINE_SPC2, .ejected_ok = true },
	{ { 0x17 }, ALWAYS, BY_ENGINE_SPC2, .ejected_ok = true },
	{ { 0x1a, 0x08, 0x0a, [4] = 255 }, NOT_UNAVAILABLE, NO_EXCLUSIVE, .ejected_ok = true, IN(16) },
	{ { 0x1c, 0x01, [4] = 255 }, NOT_UNAVAILABLE, NO_EXCLUSIVE, .ejected_ok = true, IN(5),
	  .other = { 0x1c, 0x01, 0x40, [4] = 255 } },
	{ { 0x1d, 0x04 }, NOT_UNAVAILABLE, CONFLICT, .ejected_ok = true },
	{ { 0x1e }, NOT_STANDBY, ALLOWED, .ejected_ok = true },
	{ { 0x3b, 0x0a, [8] = 16 }, ALWAYS, CONFLICT, .ejected_ok = true, .out = 16 },
	{ { 0x3c, 0x0b, [8] = 252 }, ALWAYS, NO_EXCLUSIVE, .ejected_ok = true, IN(4) },
	{ { 0x4c, [2] = 0x40, [8] = 16 }, NOT_UNAVAILABLE, CONFLICT, .ejected_ok = true, .out = 16 },
	{ { 0x4d, [2] = 0x42, [7] = 4 }, NOT_UNAVAILABLE, ALLOWED, .ejected_ok = true, IN(16),
	  .other = { 0x4d, [2] = 0x59, [6] = 2, 4 } }, /* PARAMETER POINTER */
	{ { 0x55, 0x10, [8] = 28 }, NOT_UNAVAILABLE, CONFLICT, .ejected_ok = true, .out = 28 },
	{ { 0x56 }, ALWAYS, BY_ENGINE_SPC2, .ejected_ok = true },
	{ { 0x57 }, ALWAYS, BY_ENGINE_SPC2, .ejected_ok = true },
	{ { 0x5a, 0x08, 0x0a, [8] = 252 }, NOT_UNAVAILABLE, NO_EXCLUSIVE, .ejected_ok = true, IN(20),
	  .other = { 0x5a, 0, 0x0a, [8] = 252 } },
	{ { 0x5e, 0x00, [8] = 252 }, ALWAYS, ALLOWED_PR, .ejected_ok = true, IN(32) },
	{ { 0x5e, 0x01, [8] = 252 }, ALWAYS, ALLOWED_PR, .ejected_ok = true, IN(32) },
	{ { 0x5e, 0x02, [8] = 252 }, ALWAYS, ALLOWED_PR, .ejected_ok = true, IN(32) },
	{ { 0x5e, 0x03, [8] = 252 }, ALWAYS, ALLOWED_PR, .ejected_ok = true, IN(32) },
	{ { 0x5f, 0x00, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x01, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x02, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x03, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x04, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x05, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x06, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x5f, 0x07, [8] = 24 }, ALWAYS, BY_ENGINE, .ejected_ok = true, .out = 24 },
	{ { 0x83, 0x00, [13] = 16 }, MEDIUM, CONFLICT, .out = 16, .data = copy_lid1 },
	{ { 0x83, 0x01, [13] = 48 }, MEDIUM, CONFLICT, .out = 48, .data = copy_lid4 },
	{ { 0x83, 0x1c, [5] = CASE_ID }, MEDIUM, ALLOWED, .sense = SENSE_INVALID_FIELD_IN_CDB }, /* nothing is under way */
	{ { 0x84, 0x00, CASE_ID, [13] = 252 }, MEDIUM, CONFLICT, IN(12), .after_sa = 0x01 },
	{ { 0x84, 0x03, [13] = 252 }, ALWAYS, CONFLICT, .ejected_ok = true, IN(46) },
	{ { 0x84, 0x04, CASE_ID, [13] = 252 }, MEDIUM, CONFLICT, IN(4), .after_sa = 0x01 },
	{ { 0x84, 0x05, [5] = CASE_ID, [13] = 252 }, MEDIUM, ALLOWED, IN(32), .after_sa = 0x11 },
	{ { 0x84, 0x06, [5] = CASE_ID, [13] = 252 }, MEDIUM, ALLOWED, IN(36), .after_sa = 0x11 },
	{ { 0x84, 0x07, [5] = CASE_ID, [12] = 4 }, MEDIUM, ALLOWED, IN(550), .after_sa = 0x11 },
	{ { 0xa0, [8] = 1 }, ALWAYS, ALLOWED, .ejected_ok = true, IN(32) },
	{ { 0xa3, 0x0a, [8] = 1 }, ALWAYS, ALLOWED, .ejected_ok = true, IN(32) },
	{ { 0xa3, 0x0c, 0x02, 0x9e, 0, 0x10, [8] = 1 }, ALWAYS, NO_EXCLUSIVE, .ejected_ok = true, IN(20),
	  .other = { 0xa3, 0x0c, 0x01, 0x12, [8] = 1 } },
	{ { 0xa3, 0x0d, [8] = 1 }, ALWAYS, NO_EXCLUSIVE, .ejected_ok = true, IN(4) },
	{ { 0xa3, 0x0f, [8] = 1 }, ALWAYS, ALLOWED, .ejected_ok = true, IN(12) },
	{ { 0xa4, 0x0a, [9] = 8 }, ALWAYS, CONFLICT, .ejected_ok = true, .out = 8 },
	{ { 0xa4, 0x0f, [9] = 12 }, ALWAYS, CONFLICT, .ejected_ok = true, .out = 12 },
	/* SBC-3 */
	{ { 0x04 }, MEDIUM, CONFLICT, .writes = true },
	{ { 0x08, [4] = 1 }, MEDIUM, NO_EXCLUSIVE, IN(512) },
	{ { 0x0a, [4] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x1b, [4] = 1 }, MEDIUM, STARTS_ONLY, .ejected_ok = true, .other = { 0x1b } },
	{ { 0x25 }, NOT_UNAVAILABLE, ALLOWED, IN(8) },
	{ { 0x28, [8] = 1 }, MEDIUM, NO_EXCLUSIVE, IN(512) },
	{ { 0x2a, [8] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x2e, [8] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x2f, 0x02, [8] = 1 }, MEDIUM, NO_EXCLUSIVE, B1 },
	{ { 0x34, [8] = 1 }, MEDIUM, NO_EXCLUSIVE, .in = 0 },
	{ { 0x35, [8] = 1 }, MEDIUM, CONFLICT, .in = 0 },
	{ { 0x37, [2] = 0x1d, [8] = 252 }, NOT_STANDBY, NO_EXCLUSIVE, IN(4) },
	{ { 0x41, [8] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x42, [8] = 24 }, MEDIUM, CONFLICT, .writes = true, .out = 24, .data = unmap_list },
	{ { 0x48, 0x01, [8] = 5 }, MEDIUM, CONFLICT, .writes = true, .out = 5, .data = overwrite_list },
	{ { 0x48, 0x02 }, MEDIUM, CONFLICT, .writes = true },
	{ { 0x48, 0x03 }, MEDIUM, CONFLICT, .writes = true },
	{ { 0x48, 0x1f }, NOT_STANDBY, CONFLICT, .in = 0 },
	{ { 0x7f, [7] = 0x18, [9] = 0x09, [31] = 1 }, MEDIUM, NO_EXCLUSIVE, IN(512) },
	{ { 0x7f, [7] = 0x18, [9] = 0x0a, 0x02, [31] = 1 }, MEDIUM, NO_EXCLUSIVE, B1 },
	{ { 0x7f, [7] = 0x18, [9] = 0x0b, [31] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x7f, [7] = 0x18, [9] = 0x0c, [31] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x7f, [7] = 0x18, [9] = 0x0d, [31] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x83, 0x10, [9] = CASE_ID, [13] = 32 }, MEDIUM, NO_EXCLUSIVE, .out = 32, .data = token_list },
	{ { 0x83, 0x11, [9] = CASE_ID, [12] = 2, 40 }, MEDIUM, CONFLICT, .out = 552, .data = using_token,
	  .sense = SENSE(5, 0x23, 0x01) }, /* zeroes: a token of no type */
	{ { 0x88, [13] = 1 }, MEDIUM, NO_EXCLUSIVE, IN(512) },
	{ { 0x89, [13] = 1 }, MEDIUM, CONFLICT, .writes = true, .out = 1024 },
	{ { 0x8a, [13] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x8b, [13] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x8e, [13] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x8f, 0x02, [13] = 1 }, MEDIUM, NO_EXCLUSIVE, B1 },
	{ { 0x90, [13] = 1 }, MEDIUM, NO_EXCLUSIVE, .in = 0 },
	{ { 0x91, [13] = 1 }, MEDIUM, CONFLICT, .in = 0 },
	{ { 0x93, [13] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0x9c, [13] = 8 }, MEDIUM, CONFLICT, .writes = true, .out = 8 * FAKE_BLOCK },
	{ { 0x9e, 0x10, [13] = 255 }, NOT_UNAVAILABLE, ALLOWED, IN(32) },
	{ { 0x9e, 0x12, [13] = 24 }, MEDIUM, NO_EXCLUSIVE, IN(24) },
	{ { 0xa8, [9] = 1 }, MEDIUM, NO_EXCLUSIVE, IN(512) },
	{ { 0xaa, [9] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0xae, [9] = 1 }, MEDIUM, CONFLICT, .writes = true, B1 },
	{ { 0xaf, 0x02, [9] = 1 }, MEDIUM, NO_EXCLUSIVE, B1 },
	{ { 0xb7, 0x1d, [9] = 252 }, NOT_STANDBY, NO_EXCLUSIVE, IN(8) },
	/* MMC-6 */
	{ { 0x43, [8] = 252 }, MEDIUM, NO_EXCLUSIVE, IN(20), .other = { 0x43, [6] = 0xaa, [8] = 252 } },
	{ { 0x46, [8] = 252 }, NOT_UNAVAILABLE, ALLOWED, .ejected_ok = true, IN(68) },
	{ { 0x4a, 0x01, [4] = 0x10, [8] = 252 }, NOT_UNAVAILABLE, ALLOWED, .ejected_ok = true, IN(8) },
	{ { 0x51, [8] = 252 }, MEDIUM, NO_EXCLUSIVE, IN(34) },
};

const struct cdb_case *cdb_cases(size_t *n)
{
	*n = sizeof(cases) / sizeof(cases[0]);
	return cases;
}

const struct cdb_case *cdb_case_of(const struct cdb_row *row)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool sa_unknown;

		if (cdb_find(cases[i].cdb, &sa_unknown) == row)
			return &cases[i];
	}
	return NULL;
}

/* ---- what is seen ---------------------------------------------------------------------------- */

static uint64_t events; /* I/O and calls of hooks since the command began */

static void see(uint64_t *hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		*hash = (*hash ^ p[i]) * 0x100000001b3ull;
}

static const struct disk_ops *memory;

static void submit(struct disk *d, struct disk_io *io)
{
	uint64_t what[] = { io->kind, io->fua, io->offset, io->length };

	see(&events, what, sizeof(what));
	if (io->kind == DISK_WRITE)
		see(&events, io->buf, io->length < 4096 ? io->length : 4096);
	if (io->pi) {
		uint64_t tags[] = { io->pi->ref, io->pi->app, io->pi->app_mask };

		see(&events, tags, sizeof(tags));
	}
	memory->submit(d, io);
}

static int crypto_erase(struct disk *d)
{
	(void)d;
	see(&events, "new key", 7);
	return 0;
}

uint64_t cases_seen(const struct fake_target *f)
{
	uint64_t hash = events;
	uint32_t answer[] = { f->cmd.status, f->cmd.data_in_len, f->cmd.data_out_len };

	see(&hash, answer, sizeof(answer));
	see(&hash, f->cmd.sense, f->cmd.sense_len);
	if (f->cmd.status == STATUS_GOOD && f->cmd.data_in_len)
		see(&hash, f->cmd.buf, f->cmd.data_in_len);
	return hash;
}

/* ---- the target ------------------------------------------------------------------------------ */

/* What the daemon wires: here it sees the CDB, and gives it back. */
static void on_hook(void *arg, struct scsi_cmd *cmd)
{
	(void)arg;
	see(&events, cmd->cdb, sizeof(cmd->cdb));
	if (cmd->row->dir == DIR_IN)
		cmd_reply(cmd, cmd->cdb, sizeof(cmd->cdb));
	else
		cmd_good(cmd, 0);
}

int cases_setup(void **state)
{
	static struct disk_ops watched;
	struct fake_target *f;

	fake_setup(state);
	f = *state;
	memory = f->disk.disk.ops;
	watched = *memory;
	watched.submit = submit;
	watched.crypto_erase = crypto_erase;
	f->disk.disk.ops = &watched;
	f->lu->blocks = f->ro->blocks = CASE_BLOCKS;
	f->lu->pi_ato = f->ro->pi_ato = true;
	f->lu->mode_default.tas = true; /* unlike the current value */
	for (int h = 0; h < HOOK_COUNT; h++)
		f->core.hook[h].fn = on_hook;
	fake_wipes_wire(f);
	return 0;
}

static void settle(struct fake_target *f)
{
	for (int i = 0; f->lu->wipe && i < 1000; i++)
		fake_turn(f);
	for (int i = 0; i < 3; i++) /* what the last barrier frees, watches that are being taken away */
		fake_turn(f);
	free((void *)lu_publish(f->lu, wipe, NULL));
}

int cases_teardown(void **state)
{
	settle(*state);
	fake_wipes_end();
	return fake_teardown(state);
}

void cases_run(struct fake_target *f, const struct cdb_case *c, const uint8_t *cdb, uint32_t expected)
{
	static uint8_t data[1u << 20]; /* zeroes, but for what the case has */
	uint32_t n = expected < sizeof(data) ? expected : sizeof(data);

	memset(data, 0, n);
	if (c->data)
		memcpy(data, c->data, n < c->out ? n : c->out);
	events = 0xcbf29ce484222325ull;
	fake_run(f, cdb, 32, c->out ? data : NULL, n);
	f->cmd.expected_len = expected;
	settle(f);
}

static bool is_for_cdrom(const struct cdb_row *row)
{
	return row->opcode == 0x43 || row->opcode == 0x46 || row->opcode == 0x4a || row->opcode == 0x51;
}

static void run_first(struct fake_target *f, uint8_t sa)
{
	const uint8_t cdb[32] = { 0x83, sa };
	bool unknown;
	const struct cdb_case *c = cdb_case_of(cdb_find(cdb, &unknown));

	assert_non_null(c);
	cases_run(f, c, c->cdb, c->out);
	assert_good(f);
}

void cases_suit(struct fake_target *f, const struct cdb_row *row)
{
	const struct cdb_case *c = cdb_case_of(row);

	f->lu->pi_type = f->ro->pi_type = PI_NONE;
	f->lu->cdrom = f->ro->cdrom = false;
	if (c && c->after_sa)
		run_first(f, c->after_sa - 1);
	f->lu->pi_type = f->ro->pi_type = row->opcode == CDB_VARIABLE ? PI_TYPE_2 : PI_NONE;
	f->lu->cdrom = f->ro->cdrom = is_for_cdrom(row);
	f->lu->atomic_max_blocks = f->ro->atomic_max_blocks = 64;
	f->lu->disk_params.key_file = f->ro->disk_params.key_file = row->sa == 0x03 && row->opcode == 0x48 ? "key" : NULL;
}
