/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands with parameter lists through the real decoder, gates and handlers (topology: fake_target.h; reservations and
 * MODE SELECT as the daemon wires them, over a log of this one node).
 *
 *   input: commands { LUN, 1 byte; announced: 1 in, 2 out, else nothing; announced length, 2 bytes; CDB, 16 bytes; data-out:
 *                     length, 2 bytes; bytes }
 *
 * Whatever comes: the command ends once, with a legal status and good sense, and no transfer leaves the medium.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/aca.h"
#include "core/log.h"
#include "core/mode.h"
#include "fuzz.h"
#include "pr-sync/pr_cmd.h"
#include "tests/unit/core/fake_target.h"

#define COMMANDS_MAX 12
#define TURNS_MAX 200000

struct bench {
	struct fake_target *f;
	struct pr_service *svc;
	struct pr_cmd pc;
	struct proposer proposer;
	propose_done_fn answer; /* the log's, in the next turn */
	void *cookie;
	uint8_t result[APPLY_RESULT_MAX];
	uint32_t result_len;
};

/* ---- a log of one node ------------------------------------------------------------------------------ */

static void propose(struct proposer *p, uint16_t service, const void *msg, size_t len, propose_done_fn done, void *cookie)
{
	struct bench *b = caa_container_of(p, struct bench, proposer);
	struct apply a = { .position = 1, .origin = 1 };

	FUZZ_CHECK(service == PR_SERVICE_ID && !b->answer);
	FUZZ_CHECK(pr_service_ops.apply(b->svc, &a, msg, len) == 0); /* what we send ourselves is well-formed */
	memcpy(b->result, a.result, a.result_len);
	b->result_len = a.result_len;
	apply_fini(&a);
	b->answer = done;
	b->cookie = cookie;
}

static void turn(struct bench *b)
{
	propose_done_fn answer = b->answer;

	b->answer = NULL;
	if (answer)
		answer(b->cookie, PROPOSE_OK, b->result, b->result_len);
	fake_turn(b->f);
}

static void mode_select(void *arg, struct scsi_cmd *cmd)
{
	struct bench *b = arg;
	struct mode_change c;
	bool save;

	if (!mode_select_parse(cmd, &b->f->mode, &c, &save))
		return;
	FUZZ_CHECK(mode_change_good(&c));
	cmd_good(cmd, 0);
}

/* ---- a disk that refuses to be asked for what it has not --------------------------------------------- */

static const struct disk_ops *real;

static void within(struct disk *d, struct disk_io *io)
{
	if (io->kind != DISK_FLUSH) {
		FUZZ_CHECK(io->length > 0 && io->offset <= d->size && io->length <= d->size - io->offset);
		FUZZ_CHECK(io->offset % FAKE_BLOCK == 0 && io->length % FAKE_BLOCK == 0);
	}
	real->submit(d, io);
}

/* ---- one input ---------------------------------------------------------------------------------------- */

static void check_end(const struct fake_target *f)
{
	const struct scsi_cmd *cmd = &f->cmd;

	switch (cmd->status) {
	case STATUS_CHECK_CONDITION:
		FUZZ_CHECK(cmd->sense_len >= 8 && cmd->sense_len <= SENSE_MAX);
		FUZZ_CHECK(fake_sense(f) != 0);
		break;
	case STATUS_GOOD:
		FUZZ_CHECK(cmd->data_in_len <= cmd->buf_len);
		break;
	default:
		FUZZ_CHECK(cmd->status == STATUS_BUSY || cmd->status == STATUS_RESERVATION_CONFLICT ||
			   cmd->status == STATUS_CONDITION_MET);
	}
}

static void command(struct bench *b, struct fuzz_in *in)
{
	static const uint8_t luns[] = { 0, 0, 0, 1, 2, 44 };
	uint8_t lun = luns[fuzz_u8(in) % sizeof(luns)], direction = fuzz_u8(in), cdb[16] = { 0 };
	uint32_t expected = fuzz_u16(in);
	uint8_t *copy, *data;
	size_t got;

	copy = fuzz_bytes(in, sizeof(cdb), &got);
	memcpy(cdb, copy, got);
	free(copy);
	data = fuzz_bytes(in, fuzz_u16(in), &got);
	if (direction == 2 && expected > got)
		expected = got;
	b->f->at_lun = lun;
	fake_start(b->f, cdb, sizeof(cdb), direction == 2 ? data : NULL, direction == 1 || direction == 2 ? expected : 0);
	for (int i = 0; !b->f->ended && i < TURNS_MAX; i++)
		turn(b);
	FUZZ_CHECK(b->f->ended);
	while (b->f->lu->wipe || b->f->ro->wipe) /* SANITIZE, FORMAT UNIT with IMMED=1 */
		turn(b);
	turn(b), turn(b);
	for (uint32_t i = 0; i < b->f->nexus.nitl; i++) /* NACA=1: else nothing but ACA ACTIVE would follow */
		aca_clear(&b->f->nexus.itl[i]);
	check_end(b->f);
	free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct bench b = { .proposer = { propose } };
	struct fuzz_in in = { p, len };
	struct disk_ops ops;
	void *state;

	log_setup(LOG_LEVEL_ERROR, NULL);
	FUZZ_CHECK(fake_setup(&state) == 0);
	b.f = state;
	real = b.f->disk.disk.ops;
	ops = *real;
	ops.submit = within;
	b.f->disk.disk.ops = &ops;
	b.f->ro->id.naa[15] = 99;
	b.svc = pr_service_new();
	FUZZ_CHECK(b.svc);
	pr_cmd_init(&b.pc, b.svc, &b.proposer);
	pr_cmd_wire(&b.pc, &b.f->core);
	b.f->core.hook[HOOK_MODE_SELECT].fn = mode_select;
	b.f->core.hook[HOOK_MODE_SELECT].arg = &b;
	for (int i = 0; i < COMMANDS_MAX && in.left; i++)
		command(&b, &in);
	fake_teardown(&state);
	pr_cmd_fini(&b.pc);
	pr_service_free(b.svc);
	return 0;
}
