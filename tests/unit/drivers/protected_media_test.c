/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layer of protection information on its own: which I/Os wait for which, and the file that it
 * is kept in.
 *
 *   test ── submit ──▶ protected ─┬─ data: completions wait until the test lets them go
 *                                 └─ tags: likewise
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/pi.h"
#include "core/reactor.h"
#include "drivers/disk/disk_handlers.h"
#include "drivers/disk/protected.h"

#define BLOCK 512u

/* ---- order
 * ---------------------------------------------------------------------------------------- */

struct slow_disk {
	struct disk disk;
	struct disk_io *io[16]; /* under way */
	unsigned n;
};

struct rig {
	struct reactor reactor;
	struct slow_disk data, tags;
	struct disk *stack;
	struct disk_io io[4];
	struct pi_order order[4];
	uint8_t buf[4][8 * BLOCK];
	unsigned ended;
};

static void slow_submit(struct disk *d, struct disk_io *io)
{
	struct slow_disk *s = caa_container_of(d, struct slow_disk, disk);

	assert_true(s->n < 16);
	s->io[s->n++] = io;
}

static void slow_close(struct disk *d)
{
	(void)d;
}

static const struct disk_ops slow_ops = { .name = "slow",
					  .submit = slow_submit,
					  .close = slow_close };

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct disk_params p = { .block_size = BLOCK, .pi_type = PI_TYPE_1 };

	assert_int_equal(mailbox_init(&r->reactor.mailbox), 0);
	r->reactor.bufs = buf_pool_new(16u << 20);
	r->data.disk = r->tags.disk = (struct disk){ .ops = &slow_ops };
	r->stack = protected_stack(&r->data.disk, &r->tags.disk, &p);
	*state = r;
	return r->stack && r->reactor.bufs ? 0 : -1;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	r->stack->ops->close(r->stack);
	buf_pool_free(r->reactor.bufs);
	mailbox_fini(&r->reactor.mailbox);
	free(r);
	return 0;
}

/* io->handler: the first of them. */
static struct rig *rig_of(struct disk_io *io)
{
	return caa_container_of(io->handler, struct rig, io);
}

static void ended(struct disk_io *io)
{
	rig_of(io)->ended |= 1u << (io - rig_of(io)->io);
}

static void submit(struct rig *r, unsigned i, enum disk_op kind, uint64_t lba, uint32_t blocks)
{
	r->order[i] = (struct pi_order){ .type = PI_TYPE_1, .ref = lba };
	r->io[i] = (struct disk_io){ .reactor = &r->reactor,
				     .kind = kind,
				     .offset = lba * BLOCK,
				     .length = blocks * BLOCK,
				     .buf = r->buf[i],
				     .pi = &r->order[i],
				     .done = ended,
				     .handler = &r->io[0] };
	disk_submit(r->stack, &r->io[i]);
}

/* The oldest I/O under way of a medium ends. */
static void let_go(struct slow_disk *d)
{
	struct disk_io *io = d->io[0];

	assert_true(d->n > 0);
	memmove(d->io, d->io + 1, --d->n * sizeof(d->io[0]));
	if (io->kind == DISK_READ)
		memset(io->buf, 0, io->length);
	io->result = 0;
	io->done(io);
}

static void writes_of_one_block_are_one_after_the_other(void **state)
{
	struct rig *r = *state;

	submit(r, 0, DISK_WRITE, 10, 4);
	submit(r, 1, DISK_WRITE, 13, 4); /* block 13 is in both */
	assert_int_equal(r->data.n, 1);
	assert_int_equal(r->tags.n, 1);
	let_go(&r->data);
	mailbox_run(&r->reactor.mailbox);
	assert_int_equal(r->data.n, 0); /* half of it is not the end */
	assert_int_equal(r->ended, 0);
	let_go(&r->tags);
	assert_int_equal(r->ended, 1);
	mailbox_run(&r->reactor.mailbox);
	assert_int_equal(r->data.n, 1);
	assert_int_equal(r->tags.n, 1);
	let_go(&r->tags);
	let_go(&r->data);
	assert_int_equal(r->ended, 3);
}

static void what_does_not_touch_does_not_wait(void **state)
{
	struct rig *r = *state;

	submit(r, 0, DISK_WRITE, 10, 4);
	submit(r, 1, DISK_WRITE, 14, 4);
	submit(r, 2, DISK_READ, 0, 4);
	submit(r, 3, DISK_READ, 2, 4); /* two reads of one block */
	assert_int_equal(r->data.n, 4);
	for (int i = 0; i < 4; i++) {
		let_go(&r->tags);
		let_go(&r->data);
	}
	assert_int_equal(r->ended, 15);
	for (int i = 0; i < 4; i++)
		assert_int_equal(r->io[i].result, 0);
}

/* Nobody overtakes who waits for the same block, and all get their turn. */
static void in_the_order_of_submission(void **state)
{
	struct rig *r = *state;

	submit(r, 0, DISK_READ, 10, 1);
	submit(r, 1, DISK_WRITE, 10, 1);
	submit(r, 2, DISK_READ, 10, 1);
	submit(r, 3, DISK_DISCARD, 10, 1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(r->data.n, 1);
		assert_ptr_equal(r->data.io[0]->buf, r->io[i].buf);
		let_go(&r->data);
		let_go(&r->tags);
		assert_int_equal(r->ended, (2u << i) - 1);
		mailbox_run(&r->reactor.mailbox);
	}
	assert_int_equal(r->data.n, 0);
}

/* What a flush makes stable is stable on both media. */
static void a_flush_waits_for_both(void **state)
{
	struct rig *r = *state;

	submit(r, 0, DISK_WRITE, 10, 1);
	submit(r, 1, DISK_FLUSH, 0, 0);
	assert_int_equal(r->data.io[1]->kind, DISK_FLUSH);
	assert_int_equal(r->tags.io[1]->kind, DISK_FLUSH);
	let_go(&r->data);
	let_go(&r->data);
	assert_int_equal(r->ended, 0);
	let_go(&r->tags);
	let_go(&r->tags);
	assert_int_equal(r->ended, 3);
}

static void fua_counts_for_both(void **state)
{
	struct rig *r = *state;

	r->io[0] = (struct disk_io){ .reactor = &r->reactor,
				     .kind = DISK_WRITE,
				     .fua = true,
				     .length = BLOCK,
				     .buf = r->buf[0],
				     .pi = &r->order[0],
				     .done = ended,
				     .handler = &r->io[0] };
	disk_submit(r->stack, &r->io[0]);
	assert_true(r->data.io[0]->fua);
	assert_true(r->tags.io[0]->fua);
	let_go(&r->data);
	let_go(&r->tags);
	assert_int_equal(r->ended, 1);
}

/* ---- the file
 * ------------------------------------------------------------------------------------------ */

struct files {
	char data[64], tags[80];
	struct disk_params p;
	char err[512];
};

static int files_setup(void **state)
{
	struct files *f = calloc(1, sizeof(*f));

	snprintf(f->data, sizeof(f->data), "/dev/shm/sandem-pi-%d", getpid());
	snprintf(f->tags, sizeof(f->tags), "%s.dif", f->data);
	f->p = (struct disk_params){ .handler = "file",
				     .path = f->data,
				     .size = 1 << 20,
				     .create = true,
				     .block_size = BLOCK,
				     .pi_type = PI_TYPE_1,
				     .pi_path = f->tags };
	*state = f;
	return 0;
}

static int files_teardown(void **state)
{
	struct files *f = *state;

	unlink(f->data);
	unlink(f->tags);
	free(f);
	return 0;
}

static int open_and_close(struct files *f)
{
	struct disk *d;
	int rc = disk_handler_open(&f->p, &d, f->err, sizeof(f->err));

	if (rc == 0)
		d->ops->close(d);
	return rc;
}

static void refused(struct files *f, int err, const char *why)
{
	assert_int_equal(open_and_close(f), err);
	if (!strstr(f->err, why) || !strstr(f->err, f->tags))
		fail_msg("\"%s\" does not say %s: \"%s\"", f->err, f->tags, why);
}

static uint64_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void poke(const char *path, off_t at, uint8_t v)
{
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, &v, 1, at), 1);
	close(fd);
}

static void is_made_and_found_again(void **state)
{
	struct files *f = *state;

	assert_int_equal(open_and_close(f), 0);
	assert_int_equal(size_of(f->tags), PROTECTED_HEADER + (1 << 20) / BLOCK * PI_LEN);
	f->p.create = false;
	assert_int_equal(open_and_close(f), 0);
	f->p.read_only = true;
	assert_int_equal(open_and_close(f), 0);
}

static void is_not_made_where_it_was_lost(void **state)
{
	struct files *f = *state;

	assert_int_equal(open_and_close(f), 0);
	unlink(f->tags);
	f->p.create = false;
	refused(f, -ENOENT, "is missing; put it back");
	assert_int_equal(access(f->tags, F_OK), -1);
	close(open(f->tags, O_CREAT | O_WRONLY, 0600)); /* what the message says */
	assert_int_equal(open_and_close(f), 0);
}

static void is_of_one_type_and_block_size(void **state)
{
	struct files *f = *state;

	assert_int_equal(open_and_close(f), 0);
	f->p.pi_type = PI_TYPE_3;
	refused(f, -EINVAL, "of type 1 for blocks of 512 bytes, the LUN has type 3");
	f->p.pi_type = PI_TYPE_1;
	f->p.block_size = 4096;
	refused(f, -EINVAL, "the LUN has type 1 and 4096 bytes");
}

/* Any byte of the header that is used: nothing is served, and nothing is written over it. */
static void damaged_header(void **state)
{
	struct files *f = *state;

	for (int at = 0; at < 32; at++) {
		unlink(f->tags);
		assert_int_equal(open_and_close(f), 0);
		poke(f->tags, at, 0xee);
		refused(f, -EINVAL, "header is damaged");
	}
	unlink(f->tags);
	poke((close(open(f->tags, O_CREAT | O_WRONLY, 0600)), f->tags), 100000,
	     1); /* somebody's file, zeroes in front */
	refused(f, -EINVAL, "is not a file of protection information");
	f->p.read_only = true;
	unlink(f->tags);
	close(open(f->tags, O_CREAT | O_WRONLY, 0600));
	assert_true(open_and_close(f) < 0);
}

static void grows_with_the_lun(void **state)
{
	struct files *f = *state;
	uint64_t size = 4 << 20;
	struct disk *d;

	assert_int_equal(disk_handler_open(&f->p, &d, f->err, sizeof(f->err)), 0);
	assert_int_equal(d->ops->resize(d, &size), 0);
	assert_int_equal(d->size, 4 << 20);
	assert_int_equal(size_of(f->tags), PROTECTED_HEADER + (4 << 20) / BLOCK * PI_LEN);
	d->ops->close(d);
	f->p.size = 8 << 20;
	assert_int_equal(open_and_close(f), 0);
	assert_int_equal(size_of(f->tags), PROTECTED_HEADER + (8 << 20) / BLOCK * PI_LEN);
}

/* One daemon, one LUN: a second user of either file is refused. */
static void is_used_once(void **state)
{
	struct files *f = *state;
	struct disk *d;

	f->p.pi_path = f->data;
	assert_int_equal(disk_handler_open(&f->p, &d, f->err, sizeof(f->err)), -EWOULDBLOCK);
	assert_non_null(strstr(f->err, "in use"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ORDER(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		ORDER(writes_of_one_block_are_one_after_the_other),
		ORDER(what_does_not_touch_does_not_wait),
		ORDER(in_the_order_of_submission),
		ORDER(a_flush_waits_for_both),
		ORDER(fua_counts_for_both),
#define FILES(t) cmocka_unit_test_setup_teardown(t, files_setup, files_teardown)
		FILES(is_made_and_found_again),
		FILES(is_not_made_where_it_was_lost),
		FILES(is_of_one_type_and_block_size),
		FILES(damaged_header),
		FILES(grows_with_the_lun),
		FILES(is_used_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
