/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/core/fake_wipes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/reactor.h"

struct fake_wipes fake_wipes;

static void barrier(bool drain, void (*done)(struct lu_barrier *b))
{
	fake_wipes.barrier = (struct lu_barrier){
		.lu = fake_wipes.f->lu, .drain = drain, .part = fake_wipes.part, .done = done
	};
	lu_barrier_start(&fake_wipes.barrier);
}

static void publish(const struct wipe *w)
{
	struct wipe *fresh = w ? malloc(sizeof(*w)) : NULL;

	if (w)
		*fresh = *w;
	fake_wipes.old = lu_publish(fake_wipes.f->lu, wipe, fresh);
}

static void unused(struct lu_barrier *b)
{
	(void)b;
	free(fake_wipes.old);
	fake_wipes.old = NULL;
	if (fake_wipes.q)
		wipe_answer(fake_wipes.q, fake_wipes.f->lu->wipe
						  ? wipe_failed_sense(fake_wipes.order.kind)
						  : SENSE_NONE);
	fake_wipes.q = NULL;
}

static void run_reached(void *arg, uint8_t pass, uint64_t at)
{
	(void)arg;
	fake_wipes.reached_pass = pass;
	fake_wipes.reached = at;
}

static void run_ended(void *arg, int err)
{
	const struct wipe failed = { .id = fake_wipes.id,
				     .kind = fake_wipes.order.kind,
				     .failed = true };

	(void)arg;
	fake_wipes.run = NULL;
	if (err == -ECANCELED) {
		fake_wipes.cancelled++;
		return;
	}
	publish(err ? &failed : NULL);
	barrier(false, unused);
}

void fake_wipes_run(uint8_t pass, uint64_t at)
{
	const struct wipe_run_params p = { .lu = fake_wipes.f->lu,
					   .order = &fake_wipes.order,
					   .epoch = fake_wipes.f->gate.epoch,
					   .pass = pass,
					   .at = at,
					   .reached = run_reached,
					   .ended = run_ended };

	fake_wipes.run = wipe_run_start(&p);
	assert_non_null(fake_wipes.run);
}

static void begun(struct lu_barrier *b)
{
	(void)b;
	free(fake_wipes.old);
	fake_wipes.old = NULL;
	if (fake_wipes.q->immed) {
		wipe_answer(fake_wipes.q, SENSE_NONE);
		fake_wipes.q = NULL;
	}
	fake_wipes_run(0, 0);
}

static void request(void *arg, struct wipe_request *q)
{
	const struct wipe w = { .id = ++fake_wipes.id, .kind = q->order.kind };

	(void)arg;
	assert_null(fake_wipes.q);
	fake_wipes.q = q;
	fake_wipes.order = q->order;
	publish(&w);
	barrier(true, begun);
}

static void leave(void *arg, struct scsi_cmd *cmd)
{
	(void)arg;
	if (cmd->lu->wipe && !fake_wipes.order.may_exit) {
		cmd_bad_field(cmd, 1, 4);
		return;
	}
	publish(NULL);
	barrier(false, unused);
	cmd_good(cmd, 0);
}

void fake_wipes_wire(struct fake_target *f)
{
	fake_wipes = (struct fake_wipes){ .f = f };
	f->core.wipes.start = request;
	f->core.wipes.leave = leave;
}

void fake_wipes_end(void)
{
	wipe_run_free(fake_wipes.run);
	fake_wipes.run = NULL;
}
