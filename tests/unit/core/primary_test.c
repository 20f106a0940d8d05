/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Primary commands but INQUIRY and REPORT LUNS: REQUEST SENSE, TEST UNIT READY, MODE SENSE, READ
 * CAPACITY, GET LBA STATUS, REPORT SUPPORTED OPERATION CODES and TMFS, START STOP UNIT, and the
 * hooks (topology: fake_target.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/cdb.h"
#include "fake_target.h"

#define RUN(f, expected, ...)                                                                     \
	do {                                                                                      \
		const uint8_t cdb_[] = { __VA_ARGS__ };                                           \
		fake_run(f, cdb_, sizeof(cdb_), NULL, expected);                                  \
	} while (0)

/* ---- REQUEST SENSE, TEST UNIT READY ---------------------------------------------------------- */

static void request_sense_gives_unit_attentions_as_data(void **state)
{
	struct fake_target *f = *state;

	ua_queue_push(&f->nexus.itl[0].ua, UA_CAPACITY_CHANGED);
	RUN(f, 252, 0x03, 0, 0, 0, 252, 0);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 18);
	assert_int_equal(f->cmd.buf[0], 0x70);
	assert_int_equal(f->cmd.buf[2], 6);
	assert_int_equal(get_be16(f->cmd.buf + 12), 0x2a09);
	RUN(f, 252, 0x03, 1, 0, 0, 252, 0); /* DESC, and nothing pending any more */
	assert_int_equal(f->cmd.data_in_len, 8);
	assert_int_equal(f->cmd.buf[0], 0x72);
	assert_int_equal(f->cmd.buf[1], 0);
	assert_int_equal(get_be16(f->cmd.buf + 2), 0);
	f->at_lun = 50;
	RUN(f, 252, 0x03, 0, 0, 0, 252, 0);
	assert_good(f);
	assert_int_equal(f->cmd.buf[2], 5);
	assert_int_equal(get_be16(f->cmd.buf + 12), 0x2500);
}

static void ready(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 0, 0x00, 0, 0, 0, 0, 0);
	assert_good(f);
	f->mode.dsense = true; /* D_SENSE: descriptor format */
	RUN(f, 0, 0x00, 0, 1, 0, 0, 0);
	assert_int_equal(f->cmd.sense[0], 0x72);
	assert_sense(f, SENSE(5, 0x24, 0));
}

/* ---- READ CAPACITY, GET LBA STATUS ----------------------------------------------------------- */

static void capacity(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, 8);
	assert_int_equal(get_be32(f->cmd.buf), FAKE_BLOCKS - 1);
	assert_int_equal(get_be32(f->cmd.buf + 4), 512);
	RUN(f, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	assert_int_equal(f->cmd.data_in_len, 32);
	assert_int_equal(get_be64(f->cmd.buf), FAKE_BLOCKS - 1);
	assert_int_equal(get_be32(f->cmd.buf + 8), 512);
	assert_int_equal(f->cmd.buf[12], 0);
	assert_int_equal(f->cmd.buf[13], 3);
	assert_int_equal(f->cmd.buf[14], 0xc0); /* LBPME, LBPRZ */
	f->lu->thin = false;
	f->lu->blocks = 1ull << 33;
	RUN(f, 12, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0);
	assert_int_equal(f->cmd.data_in_len, 12);
	assert_int_equal(get_be64(f->cmd.buf), (1ull << 33) - 1);
	RUN(f, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	assert_int_equal(f->cmd.buf[14], 0);
	RUN(f, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(get_be32(f->cmd.buf), 0xffffffff);
	f->lu->blocks = 0; /* not known yet */
	RUN(f, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_sense(f, SENSE(2, 0x04, 0x01));
	RUN(f, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	assert_sense(f, SENSE(2, 0x04, 0x01));
}

static void lba_status(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 24, 0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 24, 0, 0);
	assert_good(f);
	assert_int_equal(get_be32(f->cmd.buf), 20);
	assert_int_equal(get_be64(f->cmd.buf + 8), 9);
	assert_int_equal(get_be32(f->cmd.buf + 16), FAKE_BLOCKS - 9);
	RUN(f, 24, 0x9e, 0x12, 0, 0, 0, 0, 0, FAKE_BLOCKS >> 16, FAKE_BLOCKS >> 8 & 0xff, FAKE_BLOCKS & 0xff, 0, 0, 0, 24, 0, 0);
	assert_sense(f, SENSE(5, 0x21, 0));
}

/* ---- MODE SENSE ------------------------------------------------------------------------------ */

/* The page in mode data whose header and descriptors take `skip` bytes, or NULL */
static const uint8_t *page(const struct fake_target *f, unsigned skip, uint8_t code)
{
	const uint8_t *p = f->cmd.buf + skip, *end = f->cmd.buf + f->cmd.data_in_len;

	for (; p < end; p += 2 + p[1])
		if ((p[0] & 0x3f) == code)
			return p;
	return NULL;
}

static void mode_sense_all_pages(void **state)
{
	struct fake_target *f = *state;
	static const uint8_t codes[] = { 0x01, 0x02, 0x08, 0x0a, 0x1c };

	RUN(f, 255, 0x1a, 0, 0x3f, 0, 255, 0);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, f->cmd.buf[0] + 1);
	assert_int_equal(f->cmd.buf[2], 0x10); /* DPOFUA, WP=0 */
	assert_int_equal(f->cmd.buf[3], 8);
	assert_int_equal(get_be32(f->cmd.buf + 4), FAKE_BLOCKS);
	assert_int_equal(get_be24(f->cmd.buf + 9), 512);
	for (unsigned i = 0; i < sizeof(codes); i++)
		assert_non_null(page(f, 12, codes[i]));
	assert_int_equal(page(f, 12, 0x08)[1], 0x12);
	assert_int_equal(page(f, 12, 0x08)[2] & 0x04, 0x04);
	assert_int_equal(page(f, 12, 0x0a)[1], 0x0a);
	RUN(f, 512, 0x5a, 0x10, 0x3f, 0, 0, 0, 0, 2, 0, 0); /* LLBAA */
	assert_int_equal(f->cmd.data_in_len, get_be16(f->cmd.buf) + 2);
	assert_int_equal(f->cmd.buf[4] & 1, 1);
	assert_int_equal(get_be16(f->cmd.buf + 6), 16);
	assert_int_equal(get_be64(f->cmd.buf + 8), FAKE_BLOCKS);
	assert_int_equal(get_be32(f->cmd.buf + 20), 512);
	assert_non_null(page(f, 24, 0x1c));
	RUN(f, 512, 0x5a, 0x08, 0x08, 0, 0, 0, 0, 2, 0, 0); /* DBD, one page */
	assert_int_equal(get_be16(f->cmd.buf + 6), 0);
	assert_int_equal(f->cmd.data_in_len, 8 + 20);
}

static void mode_sense_current_values(void **state)
{
	struct fake_target *f = *state;

	f->mode = (struct mode_state){ .wce = false, .dsense = true, .swp = true, .tas = true, .qerr = 1, .tst = 1, .qam = 1 };
	RUN(f, 255, 0x1a, 8, 0x3f, 0, 255, 0);
	assert_int_equal(f->cmd.buf[2], 0x90); /* WP by SWP */
	assert_int_equal(page(f, 4, 0x08)[2] & 0x04, 0);
	assert_int_equal(page(f, 4, 0x0a)[2], 0x20 | 0x04); /* TST, D_SENSE */
	assert_int_equal(page(f, 4, 0x0a)[3], 0x10 | 0x02); /* QAM, QERR */
	assert_int_equal(page(f, 4, 0x0a)[4], 0x08);
	assert_int_equal(page(f, 4, 0x0a)[5], 0x40);
	RUN(f, 255, 0x1a, 8, 0x80 | 0x08, 0, 255, 0); /* default values */
	assert_int_equal(page(f, 4, 0x08)[2] & 0x04, 0x04);
}

static void nothing_is_changeable_without_mode_select(void **state)
{
	struct fake_target *f = *state;
	const uint8_t *p;

	RUN(f, 255, 0x1a, 8, 0x40 | 0x3f, 0, 255, 0);
	for (p = f->cmd.buf + 4; p < f->cmd.buf + f->cmd.data_in_len; p += 2 + p[1])
		for (int i = 2; i < 2 + p[1]; i++)
			assert_int_equal(p[i], 0);
}

static void mode_sense_errors(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 255, 0x1a, 0, 0x2a, 0, 255, 0);
	fake_assert_bad_field(f, 2);
	RUN(f, 255, 0x1a, 0, 0x08, 5, 255, 0);
	fake_assert_bad_field(f, 3);
	RUN(f, 255, 0x1a, 0, 0xc0 | 0x08, 0, 255, 0);
	assert_sense(f, SENSE(5, 0x39, 0));
	f->at_lun = 1;
	RUN(f, 255, 0x1a, 0, 0x3f, 0, 255, 0);
	assert_int_equal(f->cmd.buf[2], 0x90); /* WP: mapped read-only */
}

/* ---- REPORT SUPPORTED OPERATION CODES -------------------------------------------------------- */

static void all(struct fake_target *f, uint8_t rctd)
{
	RUN(f, 8192, 0xa3, 0x0c, rctd, 0, 0, 0, 0, 0, 0x20, 0, 0, 0);
	assert_good(f);
	assert_int_equal(f->cmd.data_in_len, get_be32(f->cmd.buf) + 4);
}

static void operation_codes(void **state)
{
	struct fake_target *f = *state;
	uint8_t list[4096];
	uint32_t n;

	all(f, 0x80);
	for (uint32_t at = 4; at < f->cmd.data_in_len; at += 20) {
		assert_int_equal(f->cmd.buf[at + 5] & 0x02, 0x02); /* CTDP */
		assert_int_equal(get_be16(f->cmd.buf + at + 8), 10);
	}
	all(f, 0);
	n = get_be32(f->cmd.buf) / 8;
	memcpy(list, f->cmd.buf + 4, n * 8);
	assert_true(n > 30);
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *d = list + 8 * i;
		bool has_sa = d[5] & 1;

		assert_int_equal(d[5] & 0x02, 0);
		RUN(f, 64, 0xa3, 0x0c, has_sa ? 2 : 1, d[0], d[2], d[3], 0, 0, 0, 64, 0, 0);
		assert_good(f);
		assert_int_equal(f->cmd.buf[1] & 7, 3);
		assert_int_equal(get_be16(f->cmd.buf + 2), get_be16(d + 6));
		assert_int_equal(f->cmd.data_in_len, 4 + get_be16(d + 6));
		assert_int_equal(f->cmd.buf[4], d[0]);
		RUN(f, 64, 0xa3, 0x0c, has_sa ? 1 : 2, d[0], d[2], d[3], 0, 0, 0, 64, 0, 0);
		fake_assert_bad_field(f, 2);
		RUN(f, 64, 0xa3, 0x0c, 3, d[0], d[2], d[3], 0, 0, 0, 64, 0, 0);
		assert_int_equal(f->cmd.buf[1] & 7, 3);
	}
	RUN(f, 64, 0xa3, 0x0c, 1, 0xc2, 0, 0, 0, 0, 0, 64, 0, 0);
	assert_good(f);
	assert_int_equal(f->cmd.buf[1] & 7, 1);
	assert_int_equal(f->cmd.data_in_len, 4);
	RUN(f, 64, 0xa3, 0x0c, 4, 0, 0, 0, 0, 0, 0, 64, 0, 0);
	fake_assert_bad_field(f, 2);
}

static uint8_t support(struct fake_target *f, uint8_t opcode)
{
	RUN(f, 64, 0xa3, 0x0c, 1, opcode, 0, 0, 0, 0, 0, 64, 0, 0);
	return f->cmd.buf[1] & 7;
}

static void answer_good(void *arg, struct scsi_cmd *cmd)
{
	(*(int *)arg)++;
	cmd_good(cmd, 0);
}

/* A command that is told as supported is served, and the other way round. */
static void hooks(void **state)
{
	struct fake_target *f = *state;
	int calls = 0;

	assert_int_equal(support(f, 0x16), 1);
	RUN(f, 0, 0x16, 0, 0, 0, 0, 0);
	assert_sense(f, SENSE(5, 0x20, 0));
	f->core.hook[HOOK_SPC2_RESERVE].fn = answer_good;
	f->core.hook[HOOK_SPC2_RESERVE].arg = &calls;
	assert_int_equal(support(f, 0x16), 3);
	RUN(f, 0, 0x16, 0, 0, 0, 0, 0);
	assert_good(f);
	assert_int_equal(calls, 1);
	assert_int_equal(support(f, 0x42), 3);
	f->lu->thin = false;
	assert_int_equal(support(f, 0x42), 1);
}

static void task_management_functions(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 64, 0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0);
	assert_int_equal(f->cmd.data_in_len, 4);
	assert_int_equal(f->cmd.buf[0], 0xfe);
	RUN(f, 64, 0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 64, 0, 0);
	assert_int_equal(f->cmd.data_in_len, 16);
	assert_int_equal(f->cmd.buf[3], 12);
}

/* ---- START STOP UNIT and the like ------------------------------------------------------------ */

static void start_stop(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 0, 0x1b, 0, 0, 0, 1, 0);
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_FLUSH], 0);
	RUN(f, 0, 0x1b, 0, 0, 0, 0, 0); /* STOP writes the cache out */
	assert_good(f);
	assert_int_equal(f->disk.ops[DISK_FLUSH], 1);
	RUN(f, 0, 0x1b, 0, 0, 0, 4, 0); /* NO_FLUSH */
	assert_int_equal(f->disk.ops[DISK_FLUSH], 1);
	RUN(f, 0, 0x1b, 0, 0, 0, 2, 0); /* LOEJ, and the medium is not removable */
	fake_assert_bad_field(f, 4);
	RUN(f, 0, 0x1b, 0, 0, 0, 0x30, 0);
	fake_assert_bad_field(f, 4);
	RUN(f, 0, 0x1e, 0, 0, 0, 0, 0);
	assert_good(f);
	RUN(f, 0, 0x1e, 0, 0, 0, 1, 0);
	fake_assert_bad_field(f, 4);
	RUN(f, 0, 0x1d, 4, 0, 0, 0, 0);
	assert_good(f);
	RUN(f, 0, 0x1d, 0, 0, 0, 0, 0);
	fake_assert_bad_field(f, 1);
}

static struct {
	unsigned calls;
	struct fake_target *f;
} removal;

static void on_removal(void *arg, struct scsi_cmd *cmd)
{
	removal.calls++;
	assert_ptr_equal(arg, &removal);
	assert_true(cds_list_empty(&removal.f->lu->shard->admitted)); /* an ejection could wait for itself */
	cmd_good(cmd, 0);
}

/* SBC-3 5.25: a removable medium. What happens to it is decided above core. */
static void eject_and_prevent(void **state)
{
	static const struct {
		uint8_t opcode, how;
		bool flush;
	} good[] = { { 0x1b, 0x02, true }, { 0x1b, 0x03, false }, { 0x1b, 0x06, false }, { 0x1e, 0, false }, { 0x1e, 1, false } };
	struct fake_target *f = *state;

	removal.calls = 0;
	removal.f = f;
	f->lu->removable = true;
	f->core.hook[HOOK_REMOVAL].fn = on_removal;
	f->core.hook[HOOK_REMOVAL].arg = &removal;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		unsigned flushes = f->disk.ops[DISK_FLUSH];

		RUN(f, 0, good[i].opcode, 0, 0, 0, good[i].how, 0);
		assert_good(f);
		assert_int_equal(removal.calls, i + 1);
		assert_int_equal(f->disk.ops[DISK_FLUSH] - flushes, good[i].flush);
	}
	RUN(f, 0, 0x1e, 0, 0, 0, 2, 0);
	fake_assert_bad_field(f, 4);
	RUN(f, 0, 0x1e, 0, 0, 0, 3, 0);
	fake_assert_bad_field(f, 4);
	f->disk.fail_op = DISK_FLUSH;
	f->disk.fail_errno = -EIO;
	RUN(f, 0, 0x1b, 0, 0, 0, 2, 0); /* what can't be made stable is not taken out */
	assert_sense(f, SENSE_WRITE_ERROR);
	assert_int_equal(removal.calls, 5);
}

/* Ejected: everything about the medium is 3A/00, everything about the unit works. */
static void without_medium(void **state)
{
	static const uint8_t refused[][16] = { { 0x00 }, { 0x25 }, { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 }, { 0x35 },
					       { 0x9e, 0x10, [13] = 32 }, { 0x9e, 0x12, [13] = 32 } };
	struct fake_target *f = *state;

	f->lu->removable = true;
	f->gate.medium = GATE_REFUSE;
	f->gate.medium_sense = SENSE_MEDIUM_NOT_PRESENT;
	f->gate.no_medium = true;
	f->lu->disk = NULL;
	removal.calls = 0;
	removal.f = f;
	f->core.hook[HOOK_REMOVAL].fn = on_removal;
	f->core.hook[HOOK_REMOVAL].arg = &removal;
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		fake_run(f, refused[i], refused[i][0] >> 5 == 4 ? 16 : refused[i][0] >> 5 ? 10 : 6, NULL, 512);
		assert_sense(f, SENSE_MEDIUM_NOT_PRESENT);
	}
	RUN(f, 96, 0x12, 0, 0, 0, 96, 0);
	assert_good(f);
	RUN(f, 192, 0x1a, 0, 0x3f, 0, 192, 0);
	assert_good(f);
	RUN(f, 0, 0x1b, 0, 0, 0, 0, 0);
	assert_good(f);
	RUN(f, 0, 0x1b, 0, 0, 0, 3, 0);
	assert_good(f);
	RUN(f, 0, 0x1e, 0, 0, 0, 1, 0);
	assert_good(f);
	assert_int_equal(removal.calls, 2);
}

static void defect_lists(void **state)
{
	struct fake_target *f = *state;

	RUN(f, 32, 0x37, 0, 0x1d, 0, 0, 0, 0, 0, 32, 0);
	assert_good(f);
	assert_memory_equal(f->cmd.buf, "\0\x1d\0\0", 4);
	RUN(f, 32, 0xb7, 0x1d, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	assert_good(f);
	assert_memory_equal(f->cmd.buf, "\0\x1d\0\0\0\0\0\0", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
		T(request_sense_gives_unit_attentions_as_data),
		T(ready), T(capacity), T(lba_status), T(mode_sense_all_pages), T(mode_sense_current_values),
		T(nothing_is_changeable_without_mode_select), T(mode_sense_errors), T(operation_codes), T(hooks),
		T(task_management_functions), T(start_stop), T(eject_and_prevent), T(without_medium), T(defect_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
