/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk on a real reactor:  test thread ── message ──▶ reactor ── submit ──▶ disk ──▶ file in memory ── done ──▶ semaphore */
#ifndef TESTS_DRIVERS_FAKE_RIG_H
#define TESTS_DRIVERS_FAKE_RIG_H

#include <semaphore.h>

#include "core/core.h"
#include "core/disk.h"

#define SIZE (1u << 20)
#define BLOCK 512u

struct rig {
	struct core core;
	struct reactor reactor;
	struct disk *disk;
	char path[64]; /* a file of SIZE bytes, all zero, in memory */
	uint8_t buf[8192];
	struct disk_io io;
	struct msg msg;
	sem_t ended;
};

/* cmocka's. *state is a struct rig. */
int rig_setup(void **state);
int rig_teardown(void **state);

void rig_open(struct rig *r, const struct disk_params *p);
void rig_shut(struct rig *r);
/* One I/O from or to buf, to its end; its result. */
int rig_run_buf(struct rig *r, enum disk_op kind, uint64_t lba, uint32_t blocks, void *buf);
/* The same with r->buf. */
int rig_run(struct rig *r, enum disk_op kind, uint64_t lba, uint32_t blocks);

#endif
