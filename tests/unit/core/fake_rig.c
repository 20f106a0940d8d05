/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/wire.h"

/* ---- the rig ----------------------------------------------------------------------------------- */

static void submit(struct disk *disk, struct disk_io *io)
{
	struct rig *r = caa_container_of(disk, struct rig, disk);
	struct scsi_cmd *cmd = caa_container_of(io, struct scsi_cmd, io);

	for (unsigned i = 0; i < r->used; i++)
		if (&r->slot[i].cmd == cmd)
			r->slot[i].io = io;
}

static const struct disk_ops disk_ops = { .name = "by hand", .submit = submit };

static void reactor_setup(struct rig *r, unsigned i)
{
	struct reactor *re = &r->reactor[i];

	re->core = &r->core;
	re->index = i;
	re->now = 1000000000;
	CDS_INIT_LIST_HEAD(&re->timers);
	CDS_INIT_LIST_HEAD(&re->hooks);
	CDS_INIT_LIST_HEAD(&re->nexuses);
	assert_int_equal(mailbox_init(&re->mailbox), 0);
	re->bufs = buf_pool_new(64u << 20);
	assert_non_null(re->bufs);
}

static void nexus_setup(struct rig *r, unsigned i)
{
	struct nexus *n = &r->nexus[i];

	n->target = &r->target;
	snprintf(n->initiator, sizeof(n->initiator), "iqn.2026-11.test:%c", 'a' + i);
	snprintf(n->id.port, sizeof(n->id.port), "iqn.2026-11.test:%c,i,0x00023d000001", 'a' + i);
	n->id.rtpi = 7;
	assert_int_equal(nexus_attach(n, &r->reactor[i == C]), 0);
	n->itl[0].ua.n = 0;
}

int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->core.nreactors = 2;
	r->core.reactor = r->reactor;
	assert_int_equal(mailbox_init(&r->core.control), 0);
	for (unsigned i = 0; i < 2; i++)
		reactor_setup(r, i);
	r->disk = (struct disk){ .ops = &disk_ops, .size = BLOCKS * BLOCK };
	r->gate.medium = GATE_ADMIT;
	r->mode = (struct mode_state){ .tas = true };
	r->lu = r->lus[0] = lu_new(&r->core, "lu");
	assert_non_null(r->lu);
	r->lu->block_size = BLOCK;
	r->lu->blocks = BLOCKS;
	r->lu->max_transfer_bytes = 1u << 20;
	r->lu->disk = &r->disk;
	r->lu->gate = &r->gate;
	r->lu->mode = &r->mode;
	r->core.lu = r->lus;
	r->core.nlus = 1;
	r->pattern[0] = "*";
	r->lun = (struct lun_entry){ .lun = 0, .lu = r->lu };
	r->acl = (struct initiator_acl){ .pattern = r->pattern, .npatterns = 1, .lun = &r->lun, .nluns = 1 };
	r->port = (struct target_port){ .tpgt = 1, .rtpi = 7 };
	r->target = (struct target){ .name = "iqn.2026-11.test:t", .core = &r->core, .nports = 1, .port = &r->port,
				     .nacls = 1, .acl = &r->acl };
	r->targets[0] = &r->target;
	r->core.target = r->targets;
	r->core.ntargets = 1;
	for (unsigned i = 0; i < NEXUSES; i++)
		nexus_setup(r, i);
	*state = r;
	return 0;
}

/* Messages only: what is at the medium stays there. */
void rig_mail(struct rig *r)
{
	while (mailbox_run(&r->reactor[0].mailbox) | mailbox_run(&r->reactor[1].mailbox) |
	       mailbox_run(&r->core.control))
		;
}

void rig_finish_with(struct rig *r, struct slot *s, int result)
{
	struct disk_io *io = s->io;

	assert_non_null(io);
	s->io = NULL;
	io->result = result;
	io->done(io);
	rig_mail(r);
}

void rig_finish(struct rig *r, struct slot *s)
{
	rig_finish_with(r, s, 0);
}

int rig_teardown(void **state)
{
	struct rig *r = *state;

	for (unsigned round = 0; round < SLOTS; round++)
		for (unsigned i = 0; i < r->used; i++)
			if (r->slot[i].io)
				rig_finish(r, &r->slot[i]);
	for (unsigned i = 0; i < r->used; i++) {
		assert_true(r->slot[i].ended);
		cmd_fini(&r->slot[i].cmd);
	}
	for (unsigned i = 0; i < NEXUSES; i++)
		nexus_detach(&r->nexus[i]);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(r->lu->shard[i].special, 0);
		assert_true(cds_list_empty(&r->lu->shard[i].tasks));
		buf_pool_free(r->reactor[i].bufs);
		mailbox_fini(&r->reactor[i].mailbox);
	}
	lu_free(r->lu);
	mailbox_fini(&r->core.control);
	free(r);
	return 0;
}

/* ---- commands ------------------------------------------------------------------------------------ */

static void on_done(struct scsi_cmd *cmd)
{
	struct slot *s = caa_container_of(cmd, struct slot, cmd);
	struct rig *r = caa_container_of(cmd->lu->core, struct rig, core);

	assert_false(s->ended); /* exactly once */
	s->ended = true;
	s->nth = ++r->nended;
}

/* In the task set; its data is still coming. */
struct slot *rig_receive(struct rig *r, unsigned nexus, enum task_attr attr, const uint8_t *cdb, size_t len)
{
	struct slot *s = &r->slot[r->used++];

	assert_true(r->used <= SLOTS);
	*s = (struct slot){ .started = true };
	s->cmd = (struct scsi_cmd){ .nexus = &r->nexus[nexus], .tag = r->used, .attr = attr, .done = on_done };
	memcpy(s->cmd.cdb, cdb, len);
	cmd_init(&s->cmd);
	cmd_decode(&s->cmd);
	s->cmd.write = s->cmd.data_out_len > 0;
	s->cmd.read = !s->cmd.write;
	s->cmd.expected_len = s->cmd.write ? s->cmd.data_out_len : BLOCK;
	if (s->cmd.write) {
		assert_true(cmd_buf_alloc(&s->cmd, s->cmd.data_out_len));
		memset(s->cmd.buf, 0, s->cmd.data_out_len);
	}
	return s;
}

void rig_go(struct rig *r, struct slot *s)
{
	s->cmd.data_out_got = s->cmd.data_out_len;
	cmd_execute(&s->cmd);
	rig_mail(r);
}

struct slot *rig_receive_write(struct rig *r, unsigned nexus, enum task_attr attr)
{
	uint8_t cdb[10] = { 0x2a, [8] = 1 };

	put_be32(cdb + 2, r->used); /* no two of the same block */
	return rig_receive(r, nexus, attr, cdb, sizeof(cdb));
}

struct slot *rig_start_write(struct rig *r, unsigned nexus, enum task_attr attr)
{
	struct slot *s = rig_receive_write(r, nexus, attr);

	rig_go(r, s);
	return s;
}

struct slot *rig_start_tur(struct rig *r, unsigned nexus, enum task_attr attr)
{
	static const uint8_t cdb[6];
	struct slot *s = rig_receive(r, nexus, attr, cdb, sizeof(cdb));

	rig_go(r, s);
	return s;
}

bool rig_waits(const struct slot *s)
{
	return !s->io && !s->ended;
}

struct tmf rig_tmf;
bool rig_tmf_answered;

static void on_tmf(struct tmf *t)
{
	(void)t;
	rig_tmf_answered = true;
}

void rig_manage(struct rig *r, unsigned nexus, enum tmf_function fn, uint64_t tag)
{
	rig_tmf = (struct tmf){ .function = fn, .nexus = &r->nexus[nexus], .tag = tag, .done = on_tmf };
	rig_tmf_answered = false;
	tmf_start(&rig_tmf);
	rig_mail(r);
}

uint16_t rig_pop_ua(struct rig *r, unsigned nexus)
{
	return ua_queue_pop(&r->nexus[nexus].itl[0].ua);
}
