/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of device handlers. To add one: a file here with its struct disk_ops, and a line in disk_handlers.c. */
#ifndef SANDEM_DRIVERS_DISK_HANDLERS_H
#define SANDEM_DRIVERS_DISK_HANDLERS_H

#include "core/disk.h"

extern const struct disk_ops file_disk_ops;  /* regular file, buffered or O_DIRECT */
extern const struct disk_ops block_disk_ops; /* block device */
extern const struct disk_ops null_disk_ops;  /* no medium: reads zeroes, forgets writes (benchmarks) */

/* NULL when there is none of that name. */
const struct disk_ops *disk_handler_find(const char *name);

/* Opens p->path with the handler p->handler. Worker thread (may block). As disk_ops.open. */
int disk_handler_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen);

#endif
