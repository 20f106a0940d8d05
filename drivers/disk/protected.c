/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk/protected.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mailbox.h"
#include "core/pi.h"
#include "drivers/disk/disk_handlers.h"

#define ZEROES 4096u /* head and tail of a range that is deallocated; the rest is whole pages */

struct protected_disk {
	struct disk disk; /* as the data's, but for ops */
	struct disk *data, *tags;
	uint32_t block_size;
	pthread_spinlock_t lock;
	struct cds_list_head ios; /* struct pair.link, in the order of their submission */
};

/* One I/O under way; buffers are the reactor's. */
struct pair {
	struct disk_io data, tags;
	struct protected_disk *d;
	struct disk_io *io; /* the one that was asked for */
	struct cds_list_head link;
	struct msg msg; /* its turn has come */
	bool running;
	unsigned left; /* of the two halves */
	int result;
	uint32_t blocks;
	uint8_t *flat;	  /* user data of an interleaved buffer */
	uint64_t at, end; /* DISCARD, WRITE_ZEROES: what is left to do of the tags */
	uint32_t pi_len;
	uint8_t pi[];
};

static struct protected_disk *protected_disk(struct disk *d)
{
	return caa_container_of(d, struct protected_disk, disk);
}

static bool is_transfer(const struct disk_io *io)
{
	return io->kind == DISK_READ || io->kind == DISK_WRITE;
}

static bool is_interleaved(const struct disk_io *io)
{
	return io->pi && io->pi->interleaved;
}

static void invert(uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		p[i] = ~p[i];
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void pair_free(struct pair *p)
{
	struct reactor *r = p->io->reactor;

	if (p->flat)
		reactor_buf_put(r, p->flat, p->data.length);
	reactor_buf_put(r, p, sizeof(*p) + p->pi_len);
}

static struct pair *pair_new(struct protected_disk *d, struct disk_io *io)
{
	uint32_t blocks = is_transfer(io) ? io->length / d->block_size : 0;
	uint32_t pi_len = is_transfer(io) ? blocks * PI_LEN : io->kind == DISK_FLUSH ? 0 : ZEROES;
	struct pair *p = reactor_buf_get(io->reactor, sizeof(*p) + pi_len);

	if (!p)
		return NULL;
	*p = (struct pair){ .d = d, .io = io, .blocks = blocks, .pi_len = pi_len };
	p->data = (struct disk_io){ .reactor = io->reactor,
				    .kind = io->kind,
				    .fua = io->fua,
				    .offset = io->offset,
				    .length = io->length,
				    .buf = io->buf };
	p->tags = (struct disk_io){
		.reactor = io->reactor, .kind = io->kind, .fua = io->fua, .buf = p->pi
	};
	p->at = p->tags.offset = PROTECTED_HEADER + io->offset / d->block_size * PI_LEN;
	p->tags.length = pi_len;
	if (!is_transfer(io)) {
		p->end = p->at + io->length / d->block_size * PI_LEN;
		memset(p->pi, 0, pi_len);
	}
	if (!is_interleaved(io))
		return p;
	p->flat = p->data.buf = reactor_buf_get(io->reactor, io->length);
	if (p->flat)
		return p;
	pair_free(p);
	return NULL;
}

/* ---- protection information ------------------------------------------------------------------ */

static struct pi_blocks apart(const struct pair *p)
{
	return pi_apart(p->data.buf, (void *)p->pi, p->d->block_size, p->blocks);
}

/* From the buffer to both media. */
static int outward(struct pair *p)
{
	struct pi_order *o = p->io->pi, erased = { .source = PI_ERASED };
	struct pi_blocks both = apart(p), got;
	int rc = 0;

	if (!o)
		o = &erased;
	switch ((enum pi_source)o->source) {
	case PI_GENERATED:
		pi_generate(o, &both);
		break;
	case PI_IN_BUFFER:
		got = pi_interleaved(p->io->buf, p->d->block_size, p->blocks);
		rc = pi_check(o, &got, false);
		if (rc == 0)
			pi_copy(&both, &got);
		break;
	case PI_ERASED:
		memset(p->pi, 0xff, p->pi_len);
		break;
	}
	invert(p->pi, p->pi_len);
	return rc;
}

/* From both media to the buffer. */
static int inward(struct pair *p)
{
	struct pi_order *o = p->io->pi;
	struct pi_blocks both = apart(p), to;
	int rc;

	invert(p->pi, p->pi_len);
	rc = o ? pi_check(o, &both, true) : 0;
	if (rc == 0 && is_interleaved(p->io)) {
		to = pi_interleaved(p->io->buf, p->d->block_size, p->blocks);
		pi_copy(&to, &both);
	}
	return rc;
}

/* ---- one after the other where they touch ------------------------------------------------------
 */

static bool conflict(const struct pair *a, const struct pair *b)
{
	const struct disk_io *x = &a->data, *y = &b->data;

	return (x->kind != DISK_READ || y->kind != DISK_READ) &&
	       x->offset < y->offset + y->length && y->offset < x->offset + x->length;
}

/* An older one is in the way. With the lock held. */
static bool must_wait(const struct pair *p)
{
	struct pair *older;

	cds_list_for_each_entry (older, &p->d->ios, link) {
		if (older == p)
			return false;
		if (conflict(older, p))
			return true;
	}
	return false;
}

static bool enter(struct pair *p)
{
	struct protected_disk *d = p->d;

	pthread_spin_lock(&d->lock);
	cds_list_add_tail(&p->link, &d->ios);
	p->running = !must_wait(p);
	pthread_spin_unlock(&d->lock);
	return p->running;
}

static void start(struct pair *p);

static void turn_has_come(struct msg *m)
{
	start(caa_container_of(m, struct pair, msg));
}

/* By message, even on the same reactor: no recursion, however many wait. */
static void leave(struct pair *p)
{
	struct protected_disk *d = p->d;
	struct pair *q;

	pthread_spin_lock(&d->lock);
	cds_list_del(&p->link);
	cds_list_for_each_entry (q, &d->ios, link) {
		if (q->running || !conflict(p, q) || must_wait(q))
			continue;
		q->running = true;
		q->msg.fn = turn_has_come;
		reactor_post(q->io->reactor, &q->msg);
	}
	pthread_spin_unlock(&d->lock);
}

/* ---- both halves -------------------------------------------------------------------------------
 */

static void pair_end(struct pair *p)
{
	struct disk_io *io = p->io;
	int result = p->result;

	if (result == 0 && io->kind == DISK_READ)
		result = inward(p);
	leave(p);
	pair_free(p);
	io->result = result;
	io->done(io);
}

static void half_done(struct pair *p, int result)
{
	if (result < 0 && p->result == 0)
		p->result = result;
	if (--p->left == 0)
		pair_end(p);
}

static void data_done(struct disk_io *io)
{
	half_done(caa_container_of(io, struct pair, data), io->result);
}

static void tags_done(struct disk_io *io)
{
	half_done(caa_container_of(io, struct pair, tags), io->result);
}

/* Deallocation of tags, piece by piece: a device wants whole pages, what is left at either end is
 * overwritten. */
static void erase_step(struct pair *p);

static void erase_done(struct disk_io *io)
{
	struct pair *p = caa_container_of(io, struct pair, tags);

	if (io->result < 0 || p->at == p->end)
		half_done(p, io->result);
	else
		erase_step(p);
}

static void erase_step(struct pair *p)
{
	struct disk_io *io = &p->tags;
	uint64_t left = p->end - p->at, head = -p->at % ZEROES;

	io->offset = p->at;
	io->done = erase_done;
	if (!head && left >= ZEROES) {
		io->kind = DISK_WRITE_ZEROES;
		if (p->d->tags->can_discard)
			io->kind = DISK_DISCARD;
		io->length = left / ZEROES * ZEROES;
	} else {
		io->kind = DISK_WRITE;
		io->length = head && head < left ? head : left;
	}
	p->at += io->length;
	disk_submit(p->d->tags, io);
}

static void start(struct pair *p)
{
	p->left = 2;
	p->data.done = data_done;
	p->tags.done = tags_done;
	disk_submit(p->d->data, &p->data);
	if (is_transfer(p->io) || p->io->kind == DISK_FLUSH)
		disk_submit(p->d->tags, &p->tags);
	else
		erase_step(p);
}

static void io_end(struct disk_io *io, int result)
{
	io->result = result;
	io->done(io);
}

static void protected_submit(struct disk *disk, struct disk_io *io)
{
	struct pair *p = pair_new(protected_disk(disk), io);
	int rc = 0;

	if (!p) {
		io_end(io, -ENOMEM);
		return;
	}
	if (io->kind == DISK_WRITE)
		rc = outward(p);
	if (rc < 0) {
		pair_free(p);
		io_end(io, rc);
		return;
	}
	if (enter(p))
		start(p);
}

/* ---- what may block (worker thread)
 * -------------------------------------------------------------- */

static int protected_sync(struct disk *disk)
{
	struct protected_disk *d = protected_disk(disk);
	int data = d->data->ops->sync(d->data), tags = d->tags->ops->sync(d->tags);

	return data < 0 ? data : tags;
}

/* Room for the tags first, so that there is no block without. */
static int protected_resize(struct disk *disk, uint64_t *size)
{
	struct protected_disk *d = protected_disk(disk);
	int rc = *size ? protected_tags_grow(d->tags, d->block_size, *size) : 0;

	if (rc == 0)
		rc = d->data->ops->resize(d->data, size);
	if (rc == 0)
		rc = protected_tags_grow(d->tags, d->block_size, *size);
	if (rc == 0)
		disk->size = *size;
	else
		*size = disk->size;
	return rc;
}

static int protected_map(struct disk *disk, uint64_t offset, uint64_t limit, uint64_t *length,
			 bool *hole)
{
	struct disk *data = protected_disk(disk)->data;

	if (data->ops->map)
		return data->ops->map(data, offset, limit, length, hole);
	*length = limit;
	*hole = false;
	return 0;
}

static int protected_usage(struct disk *disk, uint64_t *used, uint64_t *available)
{
	struct disk *data = protected_disk(disk)->data;

	return data->ops->usage ? data->ops->usage(data, used, available) : -EOPNOTSUPP;
}

static void protected_close(struct disk *disk)
{
	struct protected_disk *d = protected_disk(disk);

	d->data->ops->close(d->data);
	d->tags->ops->close(d->tags);
	pthread_spin_destroy(&d->lock);
	free(d);
}

static const struct disk_ops protected_disk_ops = {
	.name = "protected",
	.open = protected_open,
	.close = protected_close,
	.sync = protected_sync,
	.submit = protected_submit,
	.resize = protected_resize,
	.map = protected_map,
	.usage = protected_usage,
};

struct disk *protected_stack(struct disk *data, struct disk *tags, const struct disk_params *p)
{
	struct protected_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->disk = *data;
	d->disk.ops = &protected_disk_ops;
	d->data = data;
	d->tags = tags;
	d->block_size = p->block_size;
	CDS_INIT_LIST_HEAD(&d->ios);
	pthread_spin_init(&d->lock, PTHREAD_PROCESS_PRIVATE);
	return &d->disk;
}

int protected_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct disk_params plain = *p;
	struct disk *data, *tags;
	int rc;

	plain.pi_type = PI_NONE;
	rc = disk_handler_open(&plain, &data, err, errlen);
	if (rc < 0)
		return rc;
	rc = protected_tags_open(p, data->size, &tags, err, errlen);
	if (rc < 0)
		goto err_data;
	*out = protected_stack(data, tags, p);
	if (*out)
		return 0;
	snprintf(err, errlen, "%s: out of memory", p->path);
	rc = -ENOMEM;
	tags->ops->close(tags);
err_data:
	data->ops->close(data);
	return rc;
}
