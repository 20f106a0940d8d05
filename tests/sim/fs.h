/* SPDX-License-Identifier: BSD-2-Clause */
/* The file system of a node, which survives it, and the store on it: fs.c, fs_calls.c, fs_store.c. */
#ifndef SANDEM_TESTS_SIM_FS_H
#define SANDEM_TESTS_SIM_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/store.h"

struct node;

#define SIM_STATE_DIR "sim"
#define FS_FILES 6
#define FS_NAMES 3
#define FS_RENAMES 8
#define FS_FDS 16

struct fs_bytes {
	uint8_t *p;
	size_t len;
};

struct fs_file {
	bool used;
	unsigned open;
	struct fs_bytes now, safe; /* safe: after a power loss, at least */
};

struct sim_fs {
	struct fs_file file[FS_FILES];
	struct fs_file *now[FS_NAMES], *safe[FS_NAMES]; /* the directory */
	struct {
		unsigned name;
		struct fs_file *to;
	} rename[FS_RENAMES]; /* since it was synced */
	unsigned nrenames;
	struct fs_file *fd[FS_FDS]; /* [0]: the directory's */
	unsigned fuse; /* so many more changes are made; ~0: all */
	bool killed;   /* the one in which it ends may be made in part */
};

struct sim_store { /* in front of the real one */
	struct store store, *real;
};

void fs_power_loss(struct node *n);
void fs_clear(struct sim_fs *fs);
/* Of what a node that is not running has stored under key: up to max bytes; gives their number, 0 where there is nothing. */
size_t fs_value(struct node *n, const char *key, void *to, size_t max);

/* fs.c for fs_calls.c */
struct fs_file *fs_file_new(struct sim_fs *fs);
void fs_bytes_set(struct fs_bytes *b, const uint8_t *p, size_t len);
void fs_bytes_resize(struct fs_bytes *b, size_t len);
void fs_name_set(struct sim_fs *fs, unsigned name, struct fs_file *to); /* a change of the directory, which a sync of it makes safe */
void fs_names_sync(struct sim_fs *fs, unsigned n); /* its first n changes */
void fs_sweep(struct sim_fs *fs); /* forgets what nobody can find any more */
bool fs_burnt(struct sim_fs *fs); /* the process has ended: this change is not made */

#endif
