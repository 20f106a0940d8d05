/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/drivers/fake_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/disk/disk_handlers.h"

int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	int fd;

	snprintf(r->path, sizeof(r->path), "/dev/shm/sandem-disk-%d", getpid());
	fd = open(r->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) < 0 || reactor_init(&r->reactor, &r->core, 0, -1) < 0)
		return -1;
	close(fd);
	sem_init(&r->ended, 0, 0);
	*state = r;
	return reactor_start(&r->reactor);
}

int rig_teardown(void **state)
{
	struct rig *r = *state;

	reactor_stop(&r->reactor);
	reactor_fini(&r->reactor);
	unlink(r->path);
	free(r);
	return 0;
}

void rig_open(struct rig *r, const struct disk_params *p)
{
	char err[512] = "";

	if (disk_handler_open(p, &r->disk, err, sizeof(err)) < 0)
		fail_msg("%s", err);
}

void rig_shut(struct rig *r)
{
	r->disk->ops->close(r->disk);
	r->disk = NULL;
}

static void on_reactor(struct msg *m)
{
	struct rig *r = caa_container_of(m, struct rig, msg);

	disk_submit(r->disk, &r->io);
}

static void io_done(struct disk_io *io)
{
	sem_post(&caa_container_of(io, struct rig, io)->ended);
}

int rig_run_buf(struct rig *r, enum disk_op kind, uint64_t lba, uint32_t blocks, void *buf)
{
	r->io = (struct disk_io){ .reactor = &r->reactor, .kind = kind, .offset = lba * BLOCK,
				  .length = (uint64_t)blocks * BLOCK, .buf = buf, .done = io_done };
	r->msg.fn = on_reactor;
	reactor_post(&r->reactor, &r->msg);
	while (sem_wait(&r->ended) < 0)
		;
	return r->io.result;
}

int rig_run(struct rig *r, enum disk_op kind, uint64_t lba, uint32_t blocks)
{
	return rig_run_buf(r, kind, lba, blocks, r->buf);
}
