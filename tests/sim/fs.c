/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file system under the real file store (cluster/store_file.c): what is written is in the page cache until it is synced, and
 * a power loss tears what was not: each sector of it is there or not, the file is as long as it was, as it was to be, or in between,
 * and of renames that were not followed by a sync of the directory, the first few have happened. A process that is killed leaves
 * the page cache behind; the node may lose power later.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/fs.h"
#include "tests/sim/sim.h"

#define SECTOR 512

/* ---- files ------------------------------------------------------------------------------------------------------------ */

void fs_bytes_set(struct fs_bytes *b, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	memcpy(copy, p, len);
	free(b->p);
	*b = (struct fs_bytes){ copy, len };
}

void fs_bytes_resize(struct fs_bytes *b, size_t len)
{
	b->p = realloc(b->p, len + 1);
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

struct fs_file *fs_file_new(struct sim_fs *fs)
{
	for (unsigned i = 0; i < FS_FILES; i++)
		if (!fs->file[i].used) {
			fs->file[i] = (struct fs_file){ .used = true };
			fs_bytes_resize(&fs->file[i].now, 0);
			fs_bytes_resize(&fs->file[i].safe, 0);
			return &fs->file[i];
		}
	sim_fail(sim_world(), "the file system of the simulator is too small");
	return &fs->file[0];
}

static bool named(const struct sim_fs *fs, const struct fs_file *f)
{
	for (unsigned i = 0; i < FS_NAMES; i++)
		if (fs->now[i] == f || fs->safe[i] == f)
			return true;
	for (unsigned i = 0; i < fs->nrenames; i++)
		if (fs->rename[i].to == f)
			return true;
	return false;
}

static void file_forget(struct fs_file *f)
{
	free(f->now.p);
	free(f->safe.p);
	*f = (struct fs_file){ 0 };
}

void fs_sweep(struct sim_fs *fs)
{
	for (unsigned i = 0; i < FS_FILES; i++)
		if (fs->file[i].used && !fs->file[i].open && !named(fs, &fs->file[i]))
			file_forget(&fs->file[i]);
}

/* A change of the directory, which a sync of it makes safe. */
void fs_name_set(struct sim_fs *fs, unsigned name, struct fs_file *to)
{
	fs->now[name] = to;
	if (fs->nrenames == FS_RENAMES) { /* the journal is written now and then */
		fs->safe[fs->rename[0].name] = fs->rename[0].to;
		memmove(&fs->rename[0], &fs->rename[1], --fs->nrenames * sizeof(fs->rename[0]));
	}
	fs->rename[fs->nrenames].name = name;
	fs->rename[fs->nrenames++].to = to;
}

void fs_names_sync(struct sim_fs *fs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fs->safe[fs->rename[i].name] = fs->rename[i].to;
	fs->nrenames = 0;
}

void fs_clear(struct sim_fs *fs)
{
	for (unsigned i = 0; i < FS_FILES; i++)
		file_forget(&fs->file[i]);
	*fs = (struct sim_fs){ .fuse = ~0u };
}

/* ---- a power loss ----------------------------------------------------------------------------------------------------------- */

static void tear(struct sim *s, struct fs_file *f)
{
	size_t from = f->safe.len < f->now.len ? f->safe.len : f->now.len, to = f->now.len;

	if (f->safe.len == f->now.len && !memcmp(f->safe.p, f->now.p, to))
		return;
	if (to > from && chance(s, 2)) /* the length is on the disk only for a part */
		to = from + sim_random(s) % (to - from);
	fs_bytes_resize(&f->safe, to);
	for (size_t at = from / SECTOR * SECTOR; at < to; at += SECTOR)
		if (chance(s, 2))
			memcpy(f->safe.p + at, f->now.p + at, to - at < SECTOR ? to - at : SECTOR);
	s->count.torn++;
	sim_trace(s, "of %zu bytes that were not synced, a part is there, %zu of length", f->now.len - from, to - from);
}

void fs_power_loss(struct node *n)
{
	struct sim_fs *fs = &n->fs;

	fs_names_sync(fs, fs->nrenames ? sim_random(n->sim) % (fs->nrenames + 1) : 0);
	memcpy(fs->now, fs->safe, sizeof(fs->now));
	for (unsigned i = 0; i < FS_FILES; i++) {
		struct fs_file *f = &fs->file[i];

		if (!f->used)
			continue;
		tear(n->sim, f);
		fs_bytes_set(&f->now, f->safe.p, f->safe.len);
	}
	fs_sweep(fs);
}

/* Of what the process still writes, the next few steps are done; the last one in part where it was killed. */
bool fs_burnt(struct sim_fs *fs)
{
	if (fs->fuse == ~0u)
		return false;
	if (fs->fuse)
		return !--fs->fuse;
	fs->killed = false;
	return true;
}
