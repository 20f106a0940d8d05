/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/disk/disk_handlers.h"

static int null_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct disk *d;

	if (!p->size) {
		snprintf(err, errlen, "a null LUN has no medium to take its size from; give it a size");
		return -EINVAL;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	*d = (struct disk){ .ops = &null_disk_ops, .size = p->size, .read_only = p->read_only,
			    .can_discard = true, .discard_zeroes = true };
	*out = d;
	return 0;
}

static void null_close(struct disk *d)
{
	free(d);
}

static int null_sync(struct disk *d)
{
	(void)d;
	return 0;
}

static void null_submit(struct disk *d, struct disk_io *io)
{
	(void)d;
	if (io->kind == DISK_READ)
		memset(io->buf, 0, io->length);
	io->result = 0;
	io->done(io);
}

static int null_resize(struct disk *d, uint64_t *size)
{
	d->size = *size = *size ? *size : d->size;
	return 0;
}

const struct disk_ops null_disk_ops = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.sync = null_sync,
	.submit = null_submit,
	.resize = null_resize,
};
