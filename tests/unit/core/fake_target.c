/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/rod.h"

/* ---- a disk in memory ------------------------------------------------------------------------ */

static int transfer(struct fake_disk *d, struct disk_io *io)
{
	if (io->kind == DISK_FLUSH)
		return 0;
	if (io->offset > d->disk.size || io->length > d->disk.size - io->offset || !io->length)
		return -EINVAL; /* what core must never ask for */
	switch (io->kind) {
	case DISK_READ:
		memcpy(io->buf, d->data + io->offset, io->length);
		break;
	case DISK_WRITE:
		memcpy(d->data + io->offset, io->buf, io->length);
		break;
	case DISK_DISCARD:
	case DISK_WRITE_ZEROES:
		memset(d->data + io->offset, 0, io->length);
		break;
	case DISK_FLUSH:
		break;
	}
	return 0;
}

static void submit(struct disk *disk, struct disk_io *io)
{
	struct fake_disk *d = caa_container_of(disk, struct fake_disk, disk);

	d->ops[io->kind]++;
	d->fua_writes += io->kind == DISK_WRITE && io->fua;
	if ((int)io->kind == d->fail_op && d->fail_after-- <= 0)
		io->result = d->fail_errno;
	else
		io->result = transfer(d, io);
	if (d->later) {
		assert_null(d->pending);
		d->pending = io;
		return;
	}
	if (++d->nesting > d->deepest)
		d->deepest = d->nesting;
	io->done(io);
	d->nesting--;
}

static void closed(struct disk *d)
{
	(void)d; /* part of the fixture */
}

static const struct disk_ops ops = { .name = "memory", .submit = submit, .close = closed };

static void disk_init(struct fake_disk *d)
{
	*d = (struct fake_disk){ .fail_op = -1 };
	d->data = calloc(FAKE_BLOCKS, FAKE_BLOCK);
	assert_non_null(d->data);
	d->disk = (struct disk){ .ops = &ops, .size = (uint64_t)FAKE_BLOCKS * FAKE_BLOCK, .can_discard = true,
				 .discard_zeroes = true, .volatile_cache = true };
}

/* ---- the target ------------------------------------------------------------------------------ */

static struct lu *lu_setup(struct fake_target *f, const char *name)
{
	struct lu *lu = lu_new(&f->core, name);

	assert_non_null(lu);
	lu->block_size = FAKE_BLOCK;
	lu->blocks = FAKE_BLOCKS;
	lu->lb_per_pb_exp = 3;
	lu->thin = true;
	lu->wipes = true;
	lu->max_transfer_bytes = 16u << 20;
	lu->id = (struct lu_identity){ .vendor = "SANDEM", .product = "VOLUME", .revision = "0001", .serial = "abc123",
				       .naa = { 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, .naa_len = 16,
				       .t10_id = "abc123" };
	lu->disk = &f->disk.disk;
	lu->gate = &f->gate;
	lu->mode = &f->mode;
	lu->mode_default.wce = true;
	return lu;
}

static void reactor_setup(struct fake_target *f)
{
	f->reactor.core = &f->core;
	CDS_INIT_LIST_HEAD(&f->reactor.timers);
	CDS_INIT_LIST_HEAD(&f->reactor.hooks);
	CDS_INIT_LIST_HEAD(&f->reactor.nexuses);
	assert_int_equal(mailbox_init(&f->reactor.mailbox), 0);
	assert_int_equal(mailbox_init(&f->core.control), 0);
	f->reactor.bufs = buf_pool_new(64u << 20);
	assert_non_null(f->reactor.bufs);
	f->core.nreactors = 1;
	f->core.reactor = &f->reactor;
}

static void target_setup(struct fake_target *f)
{
	f->pattern[0] = "*";
	f->lun[0] = (struct lun_entry){ .lun = 0, .lu = f->lu };
	f->lun[1] = (struct lun_entry){ .lun = 1, .lu = f->ro, .read_only = true };
	f->lun[2] = (struct lun_entry){ .lun = 300, .lu = f->lu };
	f->acl = (struct initiator_acl){ .pattern = f->pattern, .npatterns = 1, .lun = f->lun, .nluns = 3 };
	f->port = (struct target_port){ .tpgt = 2, .rtpi = 7 };
	f->target = (struct target){ .name = "iqn.2026-11.test:t", .core = &f->core, .nports = 1, .port = &f->port,
				     .nacls = 1, .acl = &f->acl };
	f->targets[0] = &f->target;
	f->core.target = f->targets;
	f->core.ntargets = 1;
}

int fake_setup(void **state)
{
	struct fake_target *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	disk_init(&f->disk);
	f->gate.medium = GATE_ADMIT;
	f->mode = (struct mode_state){ .wce = true };
	reactor_setup(f);
	f->lu = f->lus[0] = lu_setup(f, "lu");
	f->ro = f->lus[1] = lu_setup(f, "ro");
	f->core.lu = f->lus;
	f->core.nlus = 2;
	target_setup(f);
	f->nexus.target = &f->target;
	strcpy(f->nexus.initiator, "iqn.2026-11.test:i");
	strcpy(f->nexus.id.port, "iqn.2026-11.test:i,i,0x00023d000001");
	f->nexus.id.rtpi = 7;
	assert_int_equal(nexus_attach(&f->nexus, &f->reactor), 0);
	for (uint32_t i = 0; i < f->nexus.nitl; i++)
		f->nexus.itl[i].ua.n = 0;
	f->cmd.nexus = &f->nexus;
	*state = f;
	return 0;
}

int fake_teardown(void **state)
{
	struct fake_target *f = *state;

	cmd_fini(&f->cmd);
	nexus_detach(&f->nexus);
	rods_free(&f->core);
	lu_free(f->lu);
	lu_free(f->ro);
	buf_pool_free(f->reactor.bufs);
	mailbox_fini(&f->reactor.mailbox);
	mailbox_fini(&f->core.control);
	free(f->disk.data);
	free(f);
	return 0;
}

/* ---- running commands ------------------------------------------------------------------------ */

static void ended(struct scsi_cmd *cmd)
{
	struct fake_target *f = caa_container_of(cmd, struct fake_target, cmd);

	assert_false(f->ended); /* exactly once */
	f->ended = true;
}

void fake_start(struct fake_target *f, const uint8_t *cdb, size_t cdb_len, const void *data, uint32_t expected)
{
	struct scsi_cmd *cmd = &f->cmd;
	uint32_t n;

	if (cmd->reactor)
		cmd_fini(cmd);
	*cmd = (struct scsi_cmd){ .nexus = &f->nexus, .lun = { 0, f->at_lun }, .write = data != NULL,
				  .read = !data && expected, .expected_len = expected, .done = ended };
	memcpy(cmd->cdb, cdb, cdb_len);
	cmd->cdb_got = cdb_len;
	f->ended = false;
	cmd_init(cmd);
	cmd_decode(cmd);
	n = cmd->data_out_len < expected ? cmd->data_out_len : expected;
	if (data && n) {
		assert_true(cmd_buf_alloc(cmd, n));
		memcpy(cmd->buf, data, n);
		cmd->data_out_got = n;
	}
	cmd_execute(cmd);
}

void fake_turn(struct fake_target *f)
{
	struct disk_io *io = f->disk.pending;

	f->disk.pending = NULL;
	if (io)
		io->done(io);
	mailbox_run(&f->core.control);
	mailbox_run(&f->reactor.mailbox);
}

void fake_run(struct fake_target *f, const uint8_t *cdb, size_t cdb_len, const void *data, uint32_t expected)
{
	fake_start(f, cdb, cdb_len, data, expected);
	for (int turn = 0; !f->ended && turn < 10000; turn++)
		fake_turn(f);
	assert_true(f->ended);
}

size_t fake_rw_cdb(uint8_t *cdb, uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t blocks)
{
	memset(cdb, 0, 16);
	cdb[0] = opcode;
	cdb[1] = flags;
	switch (opcode >> 5) { /* group code, SPC-4 4.2.5.1 */
	case 0:
		put_be24(cdb + 1, lba);
		cdb[4] = blocks;
		return 6;
	case 1:
	case 2:
		put_be32(cdb + 2, lba);
		put_be16(cdb + 7, blocks);
		return 10;
	case 4:
		put_be64(cdb + 2, lba);
		put_be32(cdb + 10, blocks);
		return 16;
	case 5:
		put_be32(cdb + 2, lba);
		put_be32(cdb + 6, blocks);
		return 12;
	}
	fail_msg("opcode %02xh has no address", opcode);
	return 0;
}

void fake_rw(struct fake_target *f, uint8_t opcode, uint8_t flags, uint64_t lba, uint32_t blocks, const void *data,
	     uint32_t expected)
{
	uint8_t cdb[16];
	size_t len = fake_rw_cdb(cdb, opcode, flags, lba, blocks);

	fake_run(f, cdb, len, data, expected);
}

sense_t fake_sense(const struct fake_target *f)
{
	const uint8_t *s = f->cmd.sense;

	assert_int_equal(f->cmd.status, STATUS_CHECK_CONDITION);
	if ((s[0] & 0x7f) == 0x72)
		return SENSE(s[1] & 0xf, s[2], s[3]);
	assert_int_equal(s[0] & 0x7f, 0x70);
	assert_true(f->cmd.sense_len >= 18);
	return SENSE(s[2] & 0xf, s[12], s[13]);
}

void fake_assert_bad_field(const struct fake_target *f, int byte)
{
	assert_int_equal(fake_sense(f), SENSE(5, 0x24, 0x00));
	assert_int_equal(f->cmd.sense[15] & 0xc0, 0xc0); /* SKSV, C/D */
	assert_int_equal(get_be16(f->cmd.sense + 16), byte);
}
