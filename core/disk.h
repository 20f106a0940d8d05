/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device handlers: what core asks of a medium. Implementations live in drivers/disk/.
 *
 * open, close and sync may block: they run on the worker thread, never on a reactor.
 * submit runs on the reactor that owns the command and ends, on the same reactor, with io->done.
 * Several reactors submit to one disk at the same time.
 */
#ifndef SANDEM_CORE_DISK_H
#define SANDEM_CORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reactor.h"

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,	   /* everything completed before is on stable storage */
	DISK_DISCARD,	   /* deallocate; reads back as zeroes where disk->discard_zeroes */
	DISK_WRITE_ZEROES,
};

struct pi_order;

struct disk_io {
	struct reactor_op op; /* for the handler's own use */
	struct reactor *reactor;
	enum disk_op kind;
	bool fua;	/* DISK_WRITE: on stable storage before done */
	void *handler;	/* for the handler: the disk */
	uint8_t state;	/* for the handler's own use (short transfers, write-then-flush) */
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes; > 32 bits only for DISCARD and WRITE_ZEROES */
	void *buf;	/* READ, WRITE: 4096-aligned where disk->direct and not interleaved */
	struct pi_order *pi; /* READ, WRITE of a protected disk, which alone looks at it (core/pi.h); offset and length
				count user data only, buf is longer where it is interleaved */
	uint64_t progress; /* for the handler's own use: bytes done */
	int result;	/* 0 or negative errno */
	void (*done)(struct disk_io *io);
};

struct disk;

struct disk_params {
	const char *handler; /* "file", "block", "null" */
	const char *path;
	uint64_t size;	 /* bytes; 0 = as found. A missing or shorter file is grown, sparse, where create is set */
	bool create;
	bool direct;	 /* O_DIRECT */
	bool read_only;
	uint32_t block_size; /* logical block, bytes: 512 or 4096; 2048 of a CD-ROM */
	uint8_t pi_type;     /* protection information is kept (core/pi.h); 0 = none */
	const char *pi_path; /* … here */
	const char *fault; /* for tests: drivers/disk/fault.h; NULL = none */
	const char *key_file; /* encrypted: drivers/disk/crypt.h; NULL = not */
};

struct disk_ops {
	const char *name;
	/* 0 and *out, or negative errno and a message that names path, cause and next step. */
	int (*open)(const struct disk_params *p, struct disk **out, char *err, size_t errlen);
	void (*close)(struct disk *d);	  /* no command in flight any more */
	int (*sync)(struct disk *d);	  /* blocking flush; 0 or negative errno */
	void (*submit)(struct disk *d, struct disk_io *io);
	/* *size: bytes wanted, 0 = as found. Grows the medium where it is shorter and can grow; never cuts it. Out: what the
	 * logical unit has from now on (also in d->size). Negative errno: nothing has changed; -EOPNOTSUPP: this medium
	 * grows elsewhere, not from here, *size is what it has. Worker thread. */
	int (*resize)(struct disk *d, uint64_t *size);
	/* What begins at this byte: *length bytes (up to limit), a hole or data. NULL: nobody can tell. Worker thread. */
	int (*map)(struct disk *d, uint64_t offset, uint64_t limit, uint64_t *length, bool *hole);
	/* Bytes that the medium takes, and bytes that are left for it to grow. NULL or -EOPNOTSUPP: nobody can tell. Worker thread. */
	int (*usage)(struct disk *d, uint64_t *used, uint64_t *available);
	/* Everything written before can't be read any more: the key is gone. Durable. Nothing is submitted meanwhile. NULL or
	 * -EOPNOTSUPP: the medium is not encrypted. Worker thread. */
	int (*crypto_erase)(struct disk *d);
};

struct disk {
	const struct disk_ops *ops;
	uint64_t size;	       /* bytes */
	bool read_only;
	bool direct;
	bool can_discard;
	bool discard_zeroes;   /* LBPRZ may be told */
	bool volatile_cache;   /* a flush does something: WCE=1 */
	uint32_t discard_granularity; /* bytes, 0 = unknown */
};

static inline void disk_submit(struct disk *d, struct disk_io *io)
{
	d->ops->submit(d, io);
}

/* The handler named p->handler from the table in drivers/disk/handlers.c is passed in by the
 * daemon, so that core does not know which handlers exist. */

#endif
