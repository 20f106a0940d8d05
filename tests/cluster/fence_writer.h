/* SPDX-License-Identifier: BSD-2-Clause */
/* fence_history's writers: stamped blocks, a thread and a nexus each, until they are told to stop.
 */
#ifndef SANDEM_TESTS_CLUSTER_FENCE_WRITER_H
#define SANDEM_TESTS_CLUSTER_FENCE_WRITER_H

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "tests/cluster/wire.h"

#define SLOTS 8 /* blocks of a writer, each with one write under way */
#define BLOCK_MAX 4096
#define MAGIC 0x53616e64656d4831ull
#define GRACE_MS 150	   /* after the end, for answers that an abort may have eaten */
#define PAUSE_NS 2000000ll /* before what was refused is tried again */
#define SENSE_KEY_ABORTED_COMMAND 0xb

struct slot {
	struct writer *w;
	uint64_t lba;
	uint64_t seq;	/* of the write under way, or next */
	uint64_t acked; /* 0: none */
	uint64_t maybe; /* the last one of which nobody knows whether it was done; 0: none */
	int64_t sent_ns, not_before;
	bool busy;
	uint8_t block[BLOCK_MAX];
};

struct writer {
	int lun, id, run;
	uint64_t key;
	struct iscsi_context *iscsi;
	struct slot slot[SLOTS];
	pthread_t thread;
	uint32_t block_size;
	int busy;
	bool broken;
	uint64_t good, conflicts, retried, aborted, late;
};

/* Control of the writers of a run; atomic. */
static int64_t fenced_ns; /* GOOD has come; 0: not yet */
static int stop;

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ---- stamps: magic, run, writer, key epoch, sequence --------------------------------------------
 */

struct stamp {
	uint64_t run, writer, key, seq;
};

static void stamp_put(uint8_t *block, uint32_t size, const struct stamp *s)
{
	const uint64_t v[5] = { MAGIC, s->run, s->writer, s->key, s->seq };

	for (uint32_t i = 0; i + 8 <= size; i += 8)
		put_be(block + i, v[i / 8 % 5], 8);
}

/* A block as JSON: null for one never written, a sequence number for one of this writer's, "torn"
 * or "foreign" else. */
static json_t *stamp_json(const struct writer *w, const uint8_t *block)
{
	uint8_t whole[BLOCK_MAX], zero[BLOCK_MAX] = { 0 };
	struct stamp s = { be(block + 8, 8), be(block + 16, 8), be(block + 24, 8),
			   be(block + 32, 8) };

	if (!memcmp(block, zero, w->block_size))
		return json_null();
	stamp_put(whole, w->block_size, &s);
	if (memcmp(block, whole, w->block_size))
		return json_string("torn");
	if (s.run != (uint64_t)w->run || s.writer != (uint64_t)w->id || s.key != w->key)
		return json_string("foreign");
	return json_integer(s.seq);
}

/* ---- writers
 * --------------------------------------------------------------------------------------- */

static void send_slot(struct slot *s);

/* The same write once more: it has not been executed, or may be executed twice without harm. */
static void again(struct slot *s, bool pause)
{
	s->w->retried++;
	s->not_before = pause ? now_ns() + PAUSE_NS : 0;
}

static void next(struct slot *s, bool pause)
{
	s->seq++;
	s->not_before = pause ? now_ns() + PAUSE_NS : 0;
}

static void answered(struct iscsi_context *iscsi, int status, void *data, void *private)
{
	struct slot *s = private;
	struct writer *w = s->w;
	struct scsi_task *task = data;
	int64_t fence = __atomic_load_n(&fenced_ns, __ATOMIC_SEQ_CST);

	(void)iscsi;
	s->busy = false;
	w->busy--;
	switch (status) {
	case SCSI_STATUS_GOOD:
		s->acked = s->seq;
		w->good++;
		w->late += fence && s->sent_ns > fence;
		next(s, false);
		break;
	case SCSI_STATUS_RESERVATION_CONFLICT:
		w->conflicts++;
		next(s, true);
		break;
	case SCSI_STATUS_CHECK_CONDITION:
		if (task->sense.key == SENSE_KEY_ABORTED_COMMAND)
			s->maybe = s->seq;
		again(s, task->sense.key != SCSI_SENSE_UNIT_ATTENTION);
		break;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL: again(s, true); break;
	case SCSI_STATUS_TASK_ABORTED:
		w->aborted++;
		s->maybe = s->seq;
		next(s, true);
		break;
	default: /* the session is gone, or this command's end is that of its context */
		s->maybe = s->seq;
		w->broken = true;
		break;
	}
	scsi_free_scsi_task(task);
}

static void send_slot(struct slot *s)
{
	struct writer *w = s->w;
	const struct stamp stamp = { w->run, w->id, w->key, s->seq };
	uint8_t cdb[16] = { 0x8a };
	struct iscsi_data out = { .size = w->block_size, .data = s->block };
	struct scsi_task *task;

	put_be(cdb + 2, s->lba, 8);
	put_be(cdb + 10, 1, 4);
	stamp_put(s->block, w->block_size, &stamp);
	task = scsi_create_task(sizeof(cdb), cdb, SCSI_XFER_WRITE, w->block_size);
	s->sent_ns = now_ns();
	if (!task || iscsi_scsi_command_async(w->iscsi, w->lun, task, answered, &out, s) != 0) {
		w->broken = true;
		return;
	}
	s->busy = true;
	w->busy++;
}

static void send_ready(struct writer *w)
{
	int64_t now = now_ns();

	for (int i = 0; i < SLOTS; i++)
		if (!w->slot[i].busy && w->slot[i].not_before <= now && !w->broken)
			send_slot(&w->slot[i]);
}

static void *write_on(void *arg)
{
	struct writer *w = arg;
	int64_t end = 0;

	while (!w->broken && (!end || now_ns() < end)) {
		struct pollfd p = { .fd = iscsi_get_fd(w->iscsi) };

		if (!end && __atomic_load_n(&stop, __ATOMIC_SEQ_CST))
			end = now_ns() + GRACE_MS * 1000000ll;
		if (!end)
			send_ready(w);
		else if (!w->busy)
			break;
		p.events = iscsi_which_events(w->iscsi);
		if (poll(&p, 1, 1) >= 0 && iscsi_service(w->iscsi, p.revents) < 0)
			w->broken = true;
	}
	for (int i = 0; i < SLOTS; i++)
		if (w->slot[i].busy)
			w->slot[i].maybe = w->slot[i].seq;
	return NULL;
}

#endif
