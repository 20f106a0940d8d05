/* SPDX-License-Identifier: BSD-2-Clause */
/* Flushing many devices: a flush waits for its device, so that a thousand are not waited for one
 * after the other. */
#ifndef SANDEM_SYNC_ALL_H
#define SANDEM_SYNC_ALL_H

#include <stdint.h>

struct disk;

#define SYNC_THREADS_MAX 16

/* May block. Flushes each disk of the n (NULL: none there) once. 0, or the error of one of them,
 * which is then *failed. */
int sync_all(struct disk *const *disk, uint32_t n, uint32_t *failed);

#endif
