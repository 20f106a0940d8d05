/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For LD_PRELOAD under iscsi-test-cu, which takes any unit attention in the middle of a test for a
 * failure: a command that is told ASYMMETRIC ACCESS STATE CHANGED (2A/06) has not been executed,
 * and is sent again as any initiator would. All other unit attentions are passed on. At the end it
 * says on standard error how many there were. TEST UNIT READY is told 04/0A while the state is
 * changing, where logging in and the suite's waiting for GOOD give up: asked again, too.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define ASYMMETRIC_ACCESS_STATE_CHANGED 0x2a06
#define STATE_TRANSITION 0x040a
#define RETRIES 8
#define ATTENTIONS 16
#define READY_TRIES 500
#define READY_PAUSE_US 10000

typedef struct scsi_task *(*command_fn)(struct iscsi_context *, int, struct scsi_task *,
					struct iscsi_data *);
typedef struct scsi_task *(*tur_fn)(struct iscsi_context *, int);

static unsigned retried;

__attribute__((destructor)) static void report(void)
{
	fprintf(stderr, "retry_ua: %u\n", retried);
}

static int told_of_a_move(const struct scsi_task *t)
{
	return t && t->status == SCSI_STATUS_CHECK_CONDITION &&
	       t->sense.key == SCSI_SENSE_UNIT_ATTENTION &&
	       t->sense.ascq == ASYMMETRIC_ACCESS_STATE_CHANGED;
}

static void forget_answer(struct scsi_task *t)
{
	free(t->datain.data);
	t->datain.data = NULL;
	t->datain.size = 0;
	t->status = 0;
	t->sense = (struct scsi_sense){ 0 };
	t->residual = 0;
	t->residual_status = SCSI_RESIDUAL_NO_RESIDUAL;
	t->iovector_in.offset = t->iovector_in.consumed = 0;
	t->iovector_out.offset = t->iovector_out.consumed = 0;
}

struct scsi_task *iscsi_scsi_command_sync(struct iscsi_context *iscsi, int lun,
					  struct scsi_task *task, struct iscsi_data *d)
{
	command_fn real = (command_fn)dlsym(RTLD_NEXT, "iscsi_scsi_command_sync");
	struct scsi_task *t = real(iscsi, lun, task, d);

	for (int i = 0; i < RETRIES && told_of_a_move(t); i++) {
		forget_answer(t);
		__atomic_add_fetch(&retried, 1, __ATOMIC_RELAXED);
		t = real(iscsi, lun, t, d);
	}
	return t;
}

static int in_transition(const struct scsi_task *t)
{
	return t && t->status == SCSI_STATUS_CHECK_CONDITION && t->sense.key == SCSI_SENSE_NOT_READY &&
	       t->sense.ascq == STATE_TRANSITION;
}

struct scsi_task *iscsi_testunitready_sync(struct iscsi_context *iscsi, int lun)
{
	tur_fn real = (tur_fn)dlsym(RTLD_NEXT, "iscsi_testunitready_sync");
	struct scsi_task *t = real(iscsi, lun);

	for (int i = 0; i < READY_TRIES && in_transition(t); i++) {
		scsi_free_scsi_task(t);
		usleep(READY_PAUSE_US);
		t = real(iscsi, lun);
	}
	return t;
}

int iscsi_full_connect_sync(struct iscsi_context *iscsi, const char *portal, int lun)
{
	int ready = 0;

	if (iscsi_connect_sync(iscsi, portal) || iscsi_login_sync(iscsi))
		return -1;
	for (int i = 0; i < ATTENTIONS && !ready; i++) {
		struct scsi_task *t = iscsi_testunitready_sync(iscsi, lun);

		if (!t)
			return -1;
		ready = t->status == SCSI_STATUS_GOOD;
		scsi_free_scsi_task(t);
	}
	return ready ? 0 : -1;
}
