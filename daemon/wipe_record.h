/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a standalone node must remember of SANITIZE and FORMAT UNIT over a restart: STATE_DIR/LUN.wipe is there from
 * before the first block is touched until the operation has ended well. Found at the start, it means an
 * operation that was cut short: the LUN starts in the state after its failure (SBC-3 4.11.4).
 */
#ifndef SANDEM_WIPE_RECORD_H
#define SANDEM_WIPE_RECORD_H

struct daemon;

/* Before the reactors run. dir: kept by reference. 0, or negative errno and a message: a record that can't be read
 * is no reason to serve what may be half erased. */
int wipe_record_init(struct daemon *d, const char *dir, char *err, unsigned long errlen);

#endif
