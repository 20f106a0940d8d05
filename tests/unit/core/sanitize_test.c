/* SPDX-License-Identifier: BSD-2-Clause */
/* SANITIZE and FORMAT UNIT (topology: fake_target.h). With disk.later one I/O is done per turn,
 * so the test looks in between. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/reactor.h"
#include "fake_target.h"
#include "fake_wipes.h"

#define OVERWRITE 0x01
#define BLOCK_ERASE 0x02
#define CRYPTO_ERASE 0x03
#define EXIT_FAILURE_MODE 0x1f
#define IMMED 0x80
#define AUSE 0x20
#define IN_PROGRESS SENSE(2, 0x04, 0x1b)
#define FAILED SENSE(3, 0x31, 0x03)

static int setup(void **state)
{
	fake_setup(state);
	fake_wipes_wire(*state);
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 3; i++) /* what the last barrier frees */
		fake_turn(*state);
	fake_wipes_end();
	return fake_teardown(state);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static size_t sanitize_cdb(uint8_t *cdb, uint8_t byte1, uint16_t len)
{
	memset(cdb, 0, 16);
	cdb[0] = 0x48;
	cdb[1] = byte1;
	put_be16(cdb + 7, len);
	return 10;
}

static void sanitize(struct fake_target *f, uint8_t byte1, const void *data, uint16_t len)
{
	uint8_t cdb[16];

	fake_run(f, cdb, sanitize_cdb(cdb, byte1, len), data, len);
}

/* Starts one and goes on until some chunks are written. */
static void halfway(struct fake_target *f, uint8_t byte1)
{
	static const uint8_t list[4 + 512] = { 1, 0, 2, 0, 'p' };
	uint8_t cdb[16];

	f->disk.later = true;
	fake_start(f, cdb, sanitize_cdb(cdb, byte1, sizeof(list)), list, sizeof(list));
	while (f->disk.ops[DISK_WRITE] < 20)
		fake_turn(f);
	/* commands of the test end at once; the operation only goes on with fake_turn() */
	f->disk.later = false;
}

static void to_the_end(struct fake_target *f)
{
	while (f->lu->wipe)
		fake_turn(f);
	for (int i = 0; i < 3; i++) /* the barrier behind which it is freed */
		fake_turn(f);
}

static void tur(struct fake_target *f)
{
	const uint8_t cdb[6] = { 0 };

	fake_start(f, cdb, 6, NULL, 0);
	assert_true(f->ended);
}

/* ---- what is on the medium afterwards -------------------------------------------------------- */

static void overwrites_every_block(void **state)
{
	struct fake_target *f = *state;
	uint8_t list[4 + 512] = { 1 };
	static const uint16_t lengths[] = { 512, 256, 4, 1, 3 };

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		put_be16(list + 2, lengths[i]);
		for (int k = 0; k < lengths[i]; k++)
			list[4 + k] = 0x40 + i + k;
		memset(f->disk.data, 0xee, FAKE_BLOCKS * 512);
		sanitize(f, OVERWRITE, list, 4 + lengths[i]);
		assert_good(f);
		for (uint32_t b = 0; b < FAKE_BLOCKS; b += b < 5000 ? 1 : 997)
			for (int k = 0; k < 512; k++)
				assert_int_equal(f->disk.data[b * 512 + k], list[4 + k % lengths[i]]);
		for (int k = 0; k < 512; k++)
			assert_int_equal(f->disk.data[(FAKE_BLOCKS - 1) * 512 + k], list[4 + k % lengths[i]]);
	}
	assert_true(f->disk.ops[DISK_FLUSH] >= 5); /* stable before GOOD */
}

static void passes_and_inversion(void **state)
{
	struct fake_target *f = *state;
	static const struct {
		uint8_t count;
		uint8_t last;
	} cases[] = { { 1, 0x5a }, { 3, 0x5a }, { 0x82, 0xa5 }, { 0x83, 0x5a } };
	unsigned one_pass = 0;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t list[5] = { cases[i].count, 0, 0, 1, 0x5a };

		f->disk.ops[DISK_WRITE] = 0;
		sanitize(f, OVERWRITE, list, 5);
		assert_good(f);
		if (!i)
			one_pass = f->disk.ops[DISK_WRITE];
		assert_int_equal(f->disk.ops[DISK_WRITE], one_pass * (cases[i].count & 0x1f));
		assert_int_equal(f->disk.data[0], cases[i].last);
		assert_int_equal(f->disk.data[FAKE_BLOCKS * 512 - 1], cases[i].last);
	}
}

/* While a node of the cluster can't take part in it; core/opcodes.c tells, the daemon refuses. */
static void not_listed_yet(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t all[] = { 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0 };

	for (int not_yet = 0; not_yet < 2; not_yet++) {
		unsigned wipes = 0;

		f->core.wipes.not_yet = not_yet;
		fake_run(f, all, sizeof(all), NULL, 2048);
		assert_good(f);
		for (uint32_t at = 4; at + 8 <= f->cmd.data_in_len; at += 8)
			wipes += f->cmd.buf[at] == 0x48 || f->cmd.buf[at] == 0x04;
		assert_int_equal(wipes, not_yet ? 0 : 4); /* FORMAT UNIT; OVERWRITE, BLOCK ERASE, EXIT FAILURE MODE */
	}
	f->core.wipes.not_yet = false;
}

static void block_erase(void **state)
{
	struct fake_target *f = *state;

	memset(f->disk.data, 0xee, FAKE_BLOCKS * 512);
	sanitize(f, BLOCK_ERASE, NULL, 0);
	assert_good(f);
	assert_true(f->disk.ops[DISK_DISCARD] > 0);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	for (uint32_t i = 0; i < FAKE_BLOCKS * 512; i++)
		assert_int_equal(f->disk.data[i], 0);
	f->disk.disk.discard_zeroes = false;
	sanitize(f, BLOCK_ERASE, NULL, 0);
	assert_good(f);
	assert_true(f->disk.ops[DISK_WRITE_ZEROES] > 0);
	f->lu->thin = false;
	sanitize(f, BLOCK_ERASE, NULL, 0);
	fake_assert_bad_field(f, 1);
}

static void format(void **state)
{
	struct fake_target *f = *state;
	const uint8_t plain[6] = { 0x04 }, with_list[6] = { 0x04, 0x10 }, with_long[6] = { 0x04, 0x30 };
	const uint8_t complete[6] = { 0x04, 0x18 }, complete_without_list[6] = { 0x04, 0x08 };
	uint8_t list[8] = { 0 };

	f->disk.data[0] = f->disk.data[FAKE_BLOCKS * 512 - 1] = 1;
	fake_run(f, plain, 6, NULL, 0);
	assert_good(f);
	assert_int_equal(f->disk.data[0] | f->disk.data[FAKE_BLOCKS * 512 - 1], 0);
	fake_run(f, with_list, 6, list, 4);
	assert_good(f);
	fake_run(f, with_long, 6, list, 8);
	assert_good(f);
	fake_run(f, complete, 6, list, 4);
	assert_good(f);
	fake_run(f, complete_without_list, 6, NULL, 0);
	assert_good(f);
	fake_run(f, with_list, 6, list, 3);
	assert_sense(f, SENSE(5, 0x1a, 0));
	for (int i = 0; i < 4; i++) {
		memset(list, 0, 8);
		list[i] = i == 1 ? 0x08 : 1; /* reserved, initialization pattern, defects */
		fake_run(f, with_list, 6, list, 4);
		assert_sense(f, SENSE(5, 0x26, 0));
		assert_int_equal(get_be16(f->cmd.sense + 16), i);
	}
	memset(list, 0, 8);
	list[1] = 0x02; /* IMMED */
	f->disk.later = true;
	fake_run(f, with_list, 6, list, 4);
	assert_good(f);
	tur(f);
	assert_sense(f, SENSE(2, 0x04, 0x04));
	to_the_end(f);
	tur(f);
	assert_good(f);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void wrong_fields(void **state)
{
	struct fake_target *f = *state;
	uint8_t list[600] = { 1, 0, 2, 0 };
	static const struct {
		uint8_t offset, value;
	} cases[] = { { 0, 0 }, { 0, 0x21 }, { 1, 1 }, { 2, 0 }, { 2, 3 }, { 3, 1 } };

	for (uint16_t len = 0; len <= 4; len++) {
		sanitize(f, OVERWRITE, len ? list : NULL, len);
		fake_assert_bad_field(f, 7);
	}
	sanitize(f, OVERWRITE, list, 517);
	fake_assert_bad_field(f, 7);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(list, "\x01\x00\x02", 4);
		list[cases[i].offset] = cases[i].value;
		sanitize(f, OVERWRITE, list, 516);
		assert_sense(f, SENSE(5, 0x26, 0));
	}
	sanitize(f, BLOCK_ERASE, list, 8);
	fake_assert_bad_field(f, 7);
	sanitize(f, EXIT_FAILURE_MODE, list, 8);
	fake_assert_bad_field(f, 7);
	for (uint8_t sa = 0; sa < 0x20; sa++)
		if (sa != OVERWRITE && sa != BLOCK_ERASE && sa != EXIT_FAILURE_MODE) { /* CRYPTO ERASE: without a key */
			sanitize(f, sa, NULL, 0);
			fake_assert_bad_field(f, 1);
		}
	f->at_lun = 1;
	memcpy(list, "\x01\x00\x02", 4);
	sanitize(f, OVERWRITE, list, 516);
	assert_sense(f, SENSE(7, 0x27, 0));
	assert_int_equal(f->disk.ops[DISK_WRITE] + f->disk.ops[DISK_DISCARD], 0);
	assert_null(f->lu->wipe);
}

/* ---- others meanwhile ------------------------------------------------------------------------ */

static void others_are_refused(void **state)
{
	struct fake_target *f = *state;
	static const struct {
		uint8_t cdb[16];
		uint8_t len;
		bool served;
	} cases[] = { /* SBC-3 4.11.2 */
		{ { 0x12 }, 6, true },	{ { 0xa0 }, 12, true },		  { { 0x03 }, 6, true },
		{ { 0xa3, 0x0c }, 12, true }, { { 0xa3, 0x0d }, 12, true }, { { 0x00 }, 6, false },
		{ { 0x28, [8] = 1 }, 10, false }, { { 0x2a, [8] = 1 }, 10, false }, { { 0x1b, 0, 0, 0, 1 }, 6, false },
		{ { 0x35 }, 10, false }, { { 0x1a, 0, 0x3f }, 6, false }, { { 0x48, 0x02 }, 10, false }, { { 0x04 }, 6, false },
		{ { 0x25 }, 10, false },
	};
	uint16_t before;

	halfway(f, OVERWRITE | IMMED);
	assert_true(f->ended);
	assert_good(f);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_start(f, cases[i].cdb, cases[i].len, NULL, 0);
		assert_true(f->ended);
		if (cases[i].served)
			assert_good(f);
		else
			assert_sense(f, IN_PROGRESS);
	}
	tur(f);
	assert_int_equal(f->cmd.sense[15], 0x80); /* SKSV: progress */
	before = get_be16(f->cmd.sense + 16);
	assert_true(before > 0);
	fake_turn(f), fake_turn(f);
	fake_start(f, (const uint8_t[6]){ 0x03, 0, 0, 0, 252 }, 6, NULL, 252); /* REQUEST SENSE */
	assert_good(f);
	assert_int_equal(f->cmd.buf[2], 2);
	assert_int_equal(f->cmd.buf[12] << 8 | f->cmd.buf[13], 0x041b);
	assert_int_equal(f->cmd.buf[15], 0x80);
	assert_true(get_be16(f->cmd.buf + 16) > before);
	to_the_end(f);
	tur(f);
	assert_good(f);
	assert_int_equal(f->disk.data[FAKE_BLOCKS * 512 - 512], 'p');
}

static bool older_ended;

static void older_done(struct scsi_cmd *cmd)
{
	(void)cmd;
	older_ended = true;
}

/* Those admitted before come first; the medium is not touched while one is left. */
static void older_commands_end_first(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t list[5] = { 1, 0, 0, 1, 0x5a };
	struct scsi_cmd older = { .nexus = &f->nexus, .read = true, .expected_len = 512, .done = older_done };
	struct disk_io *pending;
	uint8_t cdb[16];

	f->disk.later = true;
	fake_rw_cdb(older.cdb, 0x28, 0, 0, 1);
	cmd_init(&older);
	cmd_decode(&older);
	cmd_execute(&older);
	pending = f->disk.pending; /* does not complete yet */
	f->disk.pending = NULL;
	fake_start(f, cdb, sanitize_cdb(cdb, OVERWRITE | IMMED, 5), list, 5);
	for (int i = 0; i < 5; i++)
		fake_turn(f);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	assert_false(f->ended);
	pending->done(pending);
	assert_true(older_ended);
	for (int i = 0; i < 3; i++)
		fake_turn(f);
	assert_true(f->ended);
	assert_good(f);
	assert_true(f->disk.ops[DISK_WRITE] > 0);
	cmd_fini(&older);
	to_the_end(f);
}

/* ABORT TASK, LOGICAL UNIT RESET and the loss of the nexus end the command, not the operation
 * (SBC-3 4.11.2). */
static void goes_on_after_an_abort(void **state)
{
	struct fake_target *f = *state;

	halfway(f, OVERWRITE);
	assert_false(f->ended);
	assert_int_equal(f->cmd.state, CMD_HELD);
	f->cmd.aborted = true;
	cmd_execute(&f->cmd);
	assert_true(f->ended);
	tur(f);
	assert_sense(f, IN_PROGRESS);
	to_the_end(f);
	tur(f);
	assert_good(f);
	assert_int_equal(f->disk.data[FAKE_BLOCKS * 512 - 512], 'p');
}

/* A drain waits for the chunk under way, not for the operation; without the medium it pauses. */
static void pauses_while_the_gate_is_closed(void **state)
{
	struct fake_target *f = *state;
	unsigned writes;

	halfway(f, OVERWRITE | IMMED);
	f->gate.medium = GATE_HOLD;
	fake_turn(f), fake_turn(f);
	assert_true(cds_list_empty(&f->lu->shard[0].admitted));
	writes = f->disk.ops[DISK_WRITE];
	for (int i = 0; i < 5; i++)
		fake_turn(f);
	assert_int_equal(f->disk.ops[DISK_WRITE], writes);
	f->gate.medium = GATE_ADMIT;
	assert_false(cds_list_empty(&f->reactor.timers));
	struct reactor_timer *t = cds_list_first_entry(&f->reactor.timers, struct reactor_timer, link);
	reactor_timer_cancel(t);
	t->fn(t);
	to_the_end(f);
	assert_int_equal(f->disk.data[FAKE_BLOCKS * 512 - 512], 'p');
}

/* ---- failure --------------------------------------------------------------------------------- */

static void fail_one(struct fake_target *f, uint8_t byte1)
{
	static const uint8_t list[5] = { 1, 0, 0, 1, 0x5a };

	f->disk.fail_op = DISK_WRITE;
	f->disk.fail_after = 3;
	f->disk.fail_errno = -EIO;
	sanitize(f, byte1, list, 5);
	f->disk.fail_op = -1;
	assert_sense(f, FAILED);
	tur(f);
	assert_sense(f, FAILED);
	fake_rw(f, 0x28, 0, 0, 1, NULL, 512);
	assert_sense(f, FAILED);
}

static void failure_is_left_by_success(void **state)
{
	struct fake_target *f = *state;

	fail_one(f, OVERWRITE);
	sanitize(f, EXIT_FAILURE_MODE, NULL, 0); /* AUSE was 0 */
	fake_assert_bad_field(f, 1);
	fail_one(f, OVERWRITE);
	sanitize(f, BLOCK_ERASE, NULL, 0);
	assert_good(f);
	tur(f);
	assert_good(f);
}

static void failure_is_left_by_exit(void **state)
{
	struct fake_target *f = *state;

	sanitize(f, EXIT_FAILURE_MODE, NULL, 0); /* nothing to leave */
	assert_good(f);
	fail_one(f, OVERWRITE | AUSE);
	sanitize(f, EXIT_FAILURE_MODE, NULL, 0);
	assert_good(f);
	assert_null(f->lu->wipe);
	fake_rw(f, 0x28, 0, 0, 1, NULL, 512);
	assert_good(f);
}

/* ---- another owner goes on -------------------------------------------------------------------- */

/* What has been told is done and stable: whoever goes on from there leaves nothing out. */
static void goes_on_from_where_it_was(void **state)
{
	struct fake_target *f = *state;
	uint64_t told;

	halfway(f, OVERWRITE | IMMED);
	assert_int_equal(fake_wipes.reached, 0);
	f->reactor.now += 2000000000;
	f->disk.later = true;
	while (!fake_wipes.reached)
		fake_turn(f);
	told = fake_wipes.reached;
	assert_true(f->disk.ops[DISK_FLUSH] > 0);
	for (uint64_t at = 0; at < told; at += 512)
		assert_int_equal(f->disk.data[at], 'p');
	f->gate.epoch++; /* the group has moved */
	for (int i = 0; fake_wipes.run && i < 5; i++)
		fake_turn(f);
	assert_int_equal(fake_wipes.cancelled, 1);
	assert_true(cds_list_empty(&f->lu->shard[0].admitted));
	tur(f);
	assert_sense(f, IN_PROGRESS); /* on every node */
	memset(f->disk.data, 'x', told);
	fake_wipes_run(fake_wipes.reached_pass, told);
	to_the_end(f);
	assert_int_equal(f->disk.data[told - 1], 'x'); /* not done again */
	for (uint64_t at = told; at < FAKE_BLOCKS * 512ull; at += 512)
		assert_int_equal(f->disk.data[at], 'p');
	tur(f);
	assert_good(f);
}

static void goes_on_in_a_later_pass(void **state)
{
	struct fake_target *f = *state;

	fake_wipes.order = (struct wipe_order){ .kind = WIPE_SANITIZE, .op = WIPE_WRITE, .passes = 2, .invert = true,
					 .pattern_len = 1, .pattern = { 0x5a } };
	fake_wipes_run(1, 1 << 20);
	while (fake_wipes.run)
		fake_turn(f);
	fake_turn(f), fake_turn(f);
	assert_int_equal(f->disk.data[0], 0);
	assert_int_equal(f->disk.data[1 << 20], 0xa5);
	assert_int_equal(f->disk.data[FAKE_BLOCKS * 512 - 1], 0xa5);
}

/* Its epoch has not been published here yet: nothing is touched before. */
static void waits_for_its_ownership(void **state)
{
	struct fake_target *f = *state;

	fake_wipes.order = (struct wipe_order){ .kind = WIPE_FORMAT, .op = WIPE_ZERO, .passes = 1 };
	f->gate.epoch = 5;
	fake_wipes_run(0, 0);
	f->gate.epoch = 4;
	for (int i = 0; i < 5; i++)
		fake_turn(f);
	assert_int_equal(f->disk.ops[DISK_WRITE_ZEROES], 0);
	assert_non_null(fake_wipes.run);
}

/* The node on which it entered does not own the unit: it has no medium open, and does not forward the command. */
static void entered_elsewhere(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t list[5] = { 1, 0, 0, 1, 0x5a };
	struct disk *disk = f->lu->disk;

	f->gate.medium = GATE_FORWARD;
	f->lu->disk = NULL;
	sanitize(f, OVERWRITE | IMMED, list, 5);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
	f->lu->disk = disk;
	f->gate.medium = GATE_REFUSE; /* standby */
	f->gate.medium_sense = SENSE_LU_NOT_READY_STANDBY;
	sanitize(f, OVERWRITE, list, 5);
	assert_sense(f, IN_PROGRESS);
}

/* ---- the key ---------------------------------------------------------------------------------- */

static int erasures, erase_result;

static int crypto_erase(struct disk *d)
{
	(void)d;
	erasures++;
	return erase_result;
}

static void cryptographic_erase(void **state)
{
	struct fake_target *f = *state;
	struct disk_ops ops = *f->disk.disk.ops;
	uint8_t rsoc[12] = { 0xa3, 0x0c, 3, 0x48, 0, 3, [9] = 255 };

	erasures = erase_result = 0;
	sanitize(f, CRYPTO_ERASE, NULL, 0);
	fake_assert_bad_field(f, 1); /* nothing is encrypted */
	fake_run(f, rsoc, 12, NULL, 255);
	assert_int_equal(f->cmd.buf[1] & 7, 1);
	ops.crypto_erase = crypto_erase;
	f->disk.disk.ops = &ops;
	f->lu->disk_params.key_file = "key";
	fake_run(f, rsoc, 12, NULL, 255);
	assert_int_equal(f->cmd.buf[1] & 7, 3);
	sanitize(f, CRYPTO_ERASE, NULL, 0);
	assert_good(f);
	assert_int_equal(erasures, 1);
	assert_int_equal(f->disk.ops[DISK_WRITE] + f->disk.ops[DISK_DISCARD], 0);
	erase_result = -EIO;
	sanitize(f, CRYPTO_ERASE, NULL, 0);
	assert_sense(f, FAILED);
	tur(f);
	assert_sense(f, FAILED);
}

static void not_offered(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t list[5] = { 1, 0, 0, 1, 0x5a };
	uint8_t one[12] = { 0xa3, 0x0c, 3, 0x48, 0, 1, [9] = 255 };

	fake_run(f, one, 12, NULL, 255);
	assert_int_equal(f->cmd.buf[1] & 7, 3);
	f->lu->wipes = false;
	fake_run(f, one, 12, NULL, 255);
	assert_int_equal(f->cmd.buf[1] & 7, 1);
	sanitize(f, OVERWRITE, list, 5);
	assert_sense(f, SENSE(5, 0x20, 0));
	sanitize(f, EXIT_FAILURE_MODE, NULL, 0);
	assert_sense(f, SENSE(5, 0x20, 0));
	fake_run(f, (const uint8_t[6]){ 0x04 }, 6, NULL, 0);
	assert_sense(f, SENSE(5, 0x20, 0));
	assert_int_equal(f->disk.ops[DISK_WRITE], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(overwrites_every_block), T(passes_and_inversion), T(block_erase), T(format), T(wrong_fields),
		T(others_are_refused), T(older_commands_end_first), T(goes_on_after_an_abort),
		T(pauses_while_the_gate_is_closed), T(failure_is_left_by_success), T(failure_is_left_by_exit), T(not_offered),
		T(not_listed_yet),
		T(goes_on_from_where_it_was), T(goes_on_in_a_later_pass), T(waits_for_its_ownership), T(entered_elsewhere),
		T(cryptographic_erase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
