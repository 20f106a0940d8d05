/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "drivers/disk/disk_handlers.h"
#include "drivers/disk/fault_int.h"

struct fault_disk {
	struct disk disk; /* as the one behind it says, but for ops */
	struct disk *behind;
	struct fault_rule rule;
	uint32_t block_size;
	atomic_uint_fast64_t drawn, given; /* several reactors submit */
};

static struct fault_disk *fault_disk(struct disk *d)
{
	return caa_container_of(d, struct fault_disk, disk);
}

/* ---- is it this one? ------------------------------------------------------------------------------------- */

/* splitmix64: the n-th number of a seed, so that threads need no common state but n. */
static uint32_t draw(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31)) >> 32;
}

static bool touches(const struct fault_disk *f, const struct disk_io *io)
{
	uint64_t first = io->offset / f->block_size, end = (io->offset + io->length + f->block_size - 1) / f->block_size;

	return io->kind != DISK_FLUSH && first <= f->rule.last && end > f->rule.first;
}

/* In this order, so that rate and count are about I/Os that the rule is about. io: NULL for sync and open. */
static bool chosen(struct fault_disk *f, int op, const struct disk_io *io)
{
	const struct fault_rule *r = &f->rule;

	if (!(r->ops & 1u << op) || (r->has_lba && (!io || !touches(f, io))))
		return false;
	if (r->trigger[0] && access(r->trigger, F_OK) < 0)
		return false;
	if (r->rate != UINT32_MAX && draw(r->seed, atomic_fetch_add(&f->drawn, 1)) >= r->rate)
		return false;
	return r->count == UINT64_MAX || atomic_fetch_add(&f->given, 1) < r->count;
}

/* ---- what happens to it (reactor) ---------------------------------------------------------------------------- */

struct victim { /* one I/O that was chosen */
	struct reactor_timer timer;
	struct disk_io part; /* what is done of a short one */
	struct fault_disk *f;
	struct disk_io *io;
};

static void io_end(struct disk_io *io, int result)
{
	io->result = result;
	io->done(io);
}

static void part_done(struct disk_io *part)
{
	struct victim *v = caa_container_of(part, struct victim, part);
	struct disk_io *io = v->io;
	int result = part->result < 0 ? part->result : -v->f->rule.error;

	free(v);
	io_end(io, result);
}

static bool is_transfer(const struct disk_io *io)
{
	return io->kind == DISK_READ || io->kind == DISK_WRITE;
}

static void fail_or_pass(struct victim *v)
{
	struct disk_io *io = v->io;
	struct fault_disk *f = v->f;

	if (f->rule.has_short && is_transfer(io) && f->rule.short_bytes < io->length && f->rule.short_bytes) {
		v->part = (struct disk_io){ .reactor = io->reactor, .kind = io->kind, .fua = io->fua, .offset = io->offset,
					    .length = f->rule.short_bytes, .buf = io->buf, .done = part_done };
		disk_submit(f->behind, &v->part);
		return;
	}
	free(v);
	if (f->rule.error)
		io_end(io, -f->rule.error);
	else
		disk_submit(f->behind, io);
}

static void delay_over(struct reactor_timer *t)
{
	fail_or_pass(caa_container_of(t, struct victim, timer));
}

static void fault_submit(struct disk *d, struct disk_io *io)
{
	struct fault_disk *f = fault_disk(d);
	struct victim *v;

	if (!chosen(f, io->kind, io)) {
		disk_submit(f->behind, io);
		return;
	}
	v = calloc(1, sizeof(*v));
	if (!v) {
		io_end(io, -ENOMEM);
		return;
	}
	v->f = f;
	v->io = io;
	v->timer.fn = delay_over;
	if (f->rule.delay_ns)
		reactor_timer_arm(io->reactor, &v->timer, f->rule.delay_ns);
	else
		fail_or_pass(v);
}

/* ---- what may block (worker thread) -------------------------------------------------------------------------- */

static void wait_here(const struct fault_rule *r)
{
	struct timespec ts = { .tv_sec = r->delay_ns / 1000000000, .tv_nsec = r->delay_ns % 1000000000 };

	if (r->delay_ns)
		nanosleep(&ts, NULL);
}

static int fault_sync(struct disk *d)
{
	struct fault_disk *f = fault_disk(d);

	if (chosen(f, FAULT_SYNC, NULL)) {
		wait_here(&f->rule);
		if (f->rule.error)
			return -f->rule.error;
	}
	return f->behind->ops->sync(f->behind);
}

static int fault_resize(struct disk *d, uint64_t *size)
{
	struct fault_disk *f = fault_disk(d);
	int rc = f->behind->ops->resize(f->behind, size);

	d->size = f->behind->size;
	return rc;
}

static int fault_map(struct disk *d, uint64_t offset, uint64_t limit, uint64_t *length, bool *hole)
{
	struct disk *behind = fault_disk(d)->behind;

	if (behind->ops->map)
		return behind->ops->map(behind, offset, limit, length, hole);
	*length = limit;
	*hole = false;
	return 0;
}

static int fault_usage(struct disk *d, uint64_t *used, uint64_t *available)
{
	struct disk *behind = fault_disk(d)->behind;

	return behind->ops->usage ? behind->ops->usage(behind, used, available) : -EOPNOTSUPP;
}

static int fault_crypto_erase(struct disk *d)
{
	struct disk *behind = fault_disk(d)->behind;

	return behind->ops->crypto_erase ? behind->ops->crypto_erase(behind) : -EOPNOTSUPP;
}

static void fault_close(struct disk *d)
{
	struct fault_disk *f = fault_disk(d);

	f->behind->ops->close(f->behind);
	free(f);
}

static const struct disk_ops fault_disk_ops = {
	.name = "fault",
	.open = fault_open,
	.close = fault_close,
	.sync = fault_sync,
	.submit = fault_submit,
	.resize = fault_resize,
	.map = fault_map,
	.usage = fault_usage,
	.crypto_erase = fault_crypto_erase,
};

static int open_behind(struct fault_disk *f, const struct disk_params *p, char *err, size_t errlen)
{
	struct disk_params plain = *p;

	plain.fault = NULL;
	if (chosen(f, FAULT_OPEN, NULL)) {
		wait_here(&f->rule);
		if (f->rule.error) {
			snprintf(err, errlen, "%s: cannot open: %s (its fault rule \"%s\" says so)",
				 p->path ? p->path : p->handler, strerror(f->rule.error), p->fault);
			return -f->rule.error;
		}
	}
	return disk_handler_open(&plain, &f->behind, err, errlen);
}

int fault_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct fault_disk *f = calloc(1, sizeof(*f));
	int rc = f ? fault_parse(p->fault, &f->rule, err, errlen) : -ENOMEM;

	if (f && rc == 0) {
		f->block_size = p->block_size;
		rc = open_behind(f, p, err, errlen);
	}
	if (rc < 0) {
		free(f);
		return rc;
	}
	f->disk = *f->behind;
	f->disk.ops = &fault_disk_ops;
	*out = &f->disk;
	log_warning("%s: faults are injected into this LUN: %s", p->path ? p->path : p->handler, p->fault);
	return 0;
}
