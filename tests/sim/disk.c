/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared disk: who has it open, what reaches it, the verdicts on that. In place of drivers/disk/. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/disk/disk_handlers.h"
#include "tests/sim/sim.h"

static struct slot *slot_of(struct disk_io *io)
{
	return load_slot(caa_container_of(io, struct scsi_cmd, io));
}

static void carry_out(struct handle *h, struct disk_io *io)
{
	struct slot *sl = slot_of(io);
	uint32_t *block = &h->node->sim->medium[h->lu][io->offset / 512];

	switch (io->kind) {
	case DISK_READ:
		history_medium(h, sl, false);
		sl->sampled = *block;
		memset(io->buf, 0, io->length);
		memcpy(io->buf, block, sizeof(*block));
		break;
	case DISK_WRITE:
		history_medium(h, sl, true);
		if (sl->kind == OP_COMPARE_AND_WRITE && sl->reached)
			sim_fail(h->node->sim, "P6: COMPARE AND WRITE %u is done twice", sl->value);
		if (sl->kind == OP_COMPARE_AND_WRITE && *block != sl->sampled)
			sim_fail(h->node->sim, "P6: block %u of LU %u changes between the two halves of COMPARE AND WRITE %u",
				 sl->block, h->lu, sl->value);
		memcpy(block, io->buf, sizeof(*block));
		sl->reached = true;
		h->node->sim->count.forwarded += sl->node != h->node;
		h->dirty |= !io->fua;
		break;
	case DISK_FLUSH:
	case DISK_DISCARD:
	case DISK_WRITE_ZEROES:
		break;
	}
}

static void sim_submit(struct disk *disk, struct disk_io *io)
{
	struct handle *h = caa_container_of(disk, struct handle, disk);

	io->handler = h;
	h->inflight++;
	if (h->node->sim->open[h->lu][h->node->id] != h)
		sim_fail(h->node->sim, "P5: node %u lets a command to the medium of LU %u after it has closed it", h->node->id, h->lu);
	if (h->node->nio == IOS)
		sim_fail(h->node->sim, "more commands on the medium than there are slots");
	else
		h->node->io[h->node->nio++] = io;
	/* COMPARE AND WRITE was admitted before it waited for its range */
	if (!h->node->dying && !node_serving(h->node) && slot_of(io)->kind != OP_COMPARE_AND_WRITE)
		sim_fail(h->node->sim, "P4: node %u lets a command to the medium of LU %u although it does not serve", h->node->id,
			 h->lu);
}

bool disk_step(struct node *n)
{
	struct disk_io *io;
	struct handle *h;
	unsigned i;

	if (!n->nio)
		return false;
	i = sim_random(n->sim) % n->nio;
	io = n->io[i];
	h = io->handler;
	n->io[i] = n->io[--n->nio];
	/* power lost: whatever was on its way may or may not have arrived */
	if (!n->dying || chance(n->sim, 2))
		carry_out(h, io);
	h->inflight--;
	io->result = 0;
	io->done(io);
	return true;
}

static int sim_sync(struct disk *disk)
{
	struct handle *h = caa_container_of(disk, struct handle, disk);

	if (h->node->sim->plant != PLANT_SKIP_FLUSH)
		h->dirty = false;
	return 0;
}

static int sim_resize(struct disk *disk, uint64_t *size)
{
	struct handle *h = caa_container_of(disk, struct handle, disk);
	uint32_t *blocks = &h->node->sim->medium_blocks[h->lu];

	if (!h->node->dying && *size > *blocks * 512ull)
		*blocks = *size / 512;
	*size = disk->size = *blocks * 512ull;
	return 0;
}

static void sim_disk_close(struct disk *disk)
{
	struct handle *h = caa_container_of(disk, struct handle, disk);
	struct sim *s = h->node->sim;

	sim_trace(s, "closes LU %u", h->lu);
	if (h->inflight && !h->node->dying)
		sim_fail(s, "P5: node %u closes LU %u while a command is on the medium", h->node->id, h->lu);
	if (h->dirty && !h->node->dying)
		sim_fail(s, "P6: node %u closes LU %u without having flushed its writes", h->node->id, h->lu);
	s->open[h->lu][h->node->id] = NULL;
	h->next_closed = s->closed; /* a command that is still on it finds it */
	s->closed = h;
}

bool disk_may_have_found(const struct node *n, unsigned lu, uint64_t blocks)
{
	const struct handle *h = n->sim->open[lu][n->id];

	return h && blocks >= h->found && blocks <= n->sim->medium_blocks[lu];
}

void disk_free_closed(struct sim *s)
{
	while (s->closed) {
		struct handle *h = s->closed;

		s->closed = h->next_closed;
		free(h);
	}
}

static const struct disk_ops disk_ops = {
	.name = "simulated", .close = sim_disk_close, .sync = sim_sync, .submit = sim_submit, .resize = sim_resize,
};

int disk_handler_open(const struct disk_params *p, struct disk **out, char *err, size_t errlen)
{
	struct sim *s = sim_world();
	struct node *n = s->cur;
	struct handle *h;
	unsigned lu = atoi(p->path);

	if (chance(s, 20)) {
		snprintf(err, errlen, "%s: simulated failure", p->path);
		return -EIO;
	}
	sim_trace(s, "opens LU %u for epoch %llu", lu, (unsigned long long)n->d.ownership[lu]->epoch);
	for (uint32_t i = 1; i <= s->nodes && !n->dying; i++)
		if (s->open[lu][i] && i != n->id)
			sim_fail(s, "P5: node %u opens LU %u while node %u, which has not been fenced, has it open", n->id, lu,
				 i);
	h = calloc(1, sizeof(*h));
	h->disk = (struct disk){ .ops = &disk_ops, .size = s->medium_blocks[lu] * 512ull, .volatile_cache = true };
	h->node = n;
	h->lu = lu;
	h->epoch = n->d.ownership[lu]->epoch;
	h->found = s->medium_blocks[lu];
	s->open[lu][n->id] = h;
	*out = &h->disk;
	return 0;
}
