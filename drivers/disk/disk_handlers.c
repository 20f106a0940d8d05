/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/disk/disk_handlers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/disk/crypt.h"
#include "drivers/disk/fault.h"
#include "drivers/disk/protected.h"

static const struct disk_ops *const handlers[] = { &file_disk_ops, &block_disk_ops, &null_disk_ops };

const struct disk_ops *disk_handler_find(const char *name)
{
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (strcmp(handlers[i]->name, name) == 0)
			return handlers[i];
	return NULL;
}

int disk_handler_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	const struct disk_ops *ops = disk_handler_find(p->handler);

	if (p->pi_type)
		return protected_open(p, out, err, errlen);
	if (p->fault)
		return fault_open(p, out, err, errlen);
	if (p->key_file)
		return crypt_open(p, out, err, errlen);
	if (ops)
		return ops->open(p, out, err, errlen);
	snprintf(err, errlen, "there is no device handler \"%s\"; use file, block or null", p->handler);
	return -EINVAL;
}
