/* SPDX-License-Identifier: BSD-2-Clause */
/* The flush that MODE SELECT waits for when it switches the write cache off, with a medium that is open, being closed, closed. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/daemon.h"

struct fixture {
	struct daemon d;
	struct ownership o;
	struct lu lu;
	struct disk disk;
	struct work closing;
	struct modes_flush flush;
	bool synced, closed, failed, done;
	int rc; /* of the flush */
};

/* daemon/ownership.c's */
void ownership_fail(struct ownership *o, const char *why)
{
	assert_non_null(strstr(why, "disk0"));
	caa_container_of(o, struct fixture, o)->failed = true;
}

static int disk_sync(struct disk *disk)
{
	struct fixture *f = caa_container_of(disk, struct fixture, disk);

	f->synced = true;
	return f->rc;
}

static const struct disk_ops ops = { .name = "test", .sync = disk_sync };

static void setup(struct fixture *f, enum ownership_phase phase)
{
	*f = (struct fixture){ .o.phase = phase, .disk.ops = &ops, .lu.name = "disk0" };
	f->lu.control_data = &f->o;
	assert_int_equal(mailbox_init(&f->d.core.control), 0);
	assert_int_equal(worker_init(&f->d.worker, &f->d.core.control), 0);
}

static void teardown(struct fixture *f)
{
	worker_fini(&f->d.worker);
	mailbox_run(&f->d.core.control);
	mailbox_fini(&f->d.core.control);
}

static void flushed(struct modes_flush *flush)
{
	caa_container_of(flush, struct fixture, flush)->done = true;
}

static void await_flush(struct fixture *f)
{
	struct pollfd p = { .fd = f->d.core.control.efd, .events = POLLIN };

	while (!f->done) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		mailbox_drain_fd(&f->d.core.control);
		mailbox_run(&f->d.core.control);
	}
}

static void an_open_medium_is_flushed(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, OWNERSHIP_OPEN);
	f.lu.disk = &f.disk;
	assert_true(modes_flush(&f.d, &f.lu, &f.flush, flushed));
	await_flush(&f);
	assert_true(f.synced);
	assert_false(f.failed);
	teardown(&f);
}

/* It is not taken back: a medium that does not take what it was given is lost. */
static void a_flush_that_fails_costs_the_group(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, OWNERSHIP_OPEN);
	f.lu.disk = &f.disk;
	f.rc = -EIO;
	assert_true(modes_flush(&f.d, &f.lu, &f.flush, flushed));
	await_flush(&f);
	assert_true(f.failed);
	teardown(&f);
}

static void close_run(struct work *w)
{
	caa_container_of(w, struct fixture, closing)->closed = true;
}

static void close_done(struct work *w)
{
	(void)w;
}

/* The job that flushes and closes it is in the worker's queue, where the disk is no logical unit's any more. */
static void one_on_its_way_out_is_waited_for(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, OWNERSHIP_CLOSING);
	f.closing = (struct work){ .run = close_run, .done = close_done };
	worker_queue(&f.d.worker, &f.closing);
	assert_true(modes_flush(&f.d, &f.lu, &f.flush, flushed));
	await_flush(&f);
	assert_true(f.closed);
	assert_false(f.synced);
	teardown(&f);
}

static void without_one_or_read_only_there_is_nothing_to_flush(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, OWNERSHIP_CLOSED);
	assert_false(modes_flush(&f.d, &f.lu, &f.flush, flushed));
	f.o.phase = OWNERSHIP_OPEN;
	f.disk.read_only = true;
	f.lu.disk = &f.disk;
	assert_false(modes_flush(&f.d, &f.lu, &f.flush, flushed));
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_medium_is_flushed),
		cmocka_unit_test(a_flush_that_fails_costs_the_group),
		cmocka_unit_test(one_on_its_way_out_is_waited_for),
		cmocka_unit_test(without_one_or_read_only_there_is_nothing_to_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
