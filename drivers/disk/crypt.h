/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encryption in front of a file or block device: AES-256-XTS (IEEE 1619), each logical block a data unit, its LBA
 * the tweak. The key: crypt_key.h.
 *
 *   core ─▶ crypt (encrypts into a buffer of the reactor; decrypts in place) ─▶ file | block, 1 MiB further behind
 *
 * A block of zeroes on the medium reads as zeroes: that is how holes and discarded blocks look. Which blocks are
 * in use can be seen, therefore, as on every thin encrypted disk.
 */
#ifndef SANDEM_DRIVERS_CRYPT_H
#define SANDEM_DRIVERS_CRYPT_H

#include "core/disk.h"

/* As disk_ops.open, with p->key_file. */
int crypt_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen);

#endif
