/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads, writes and COMPARE AND WRITE of one block: a write puts its own number there. */
#include <string.h>

#include "core/wire.h"
#include "tests/sim/sim.h"

void load_rw_good(struct slot *sl)
{
	struct sim *s = sl->node->sim;

	if (sl->kind == OP_READ) {
		if (memcmp(sl->cmd.buf, &sl->sampled, sizeof(sl->sampled)))
			sim_fail(s, "P6: a read returns something else than it has found");
		s->count.reads++;
		return;
	}
	if (!sl->reached)
		sim_fail(s, "P6: write %u is answered with GOOD without having reached the medium", sl->value);
	if (sl->kind == OP_COMPARE_AND_WRITE && sl->sampled != sl->expected)
		sim_fail(s, "P6: COMPARE AND WRITE %u is answered with GOOD, but has found %u instead of %u", sl->value, sl->sampled,
			 sl->expected);
	sl->over = true;
	if (sl->kind == OP_COMPARE_AND_WRITE)
		s->count.compares++;
	else
		s->count.writes++;
}

static bool write_protected(const struct lu_model *m, const struct slot *sl)
{
	(void)sl;
	return m->mode[MODE_SWP];
}

static bool too_short(const struct lu_model *m, const struct slot *sl)
{
	return (m->blocks ? m->blocks : BLOCKS) <= sl->block;
}

bool load_rw_sense(const struct slot *sl, sense_t sense)
{
	switch (sense) {
	case SENSE_SOFTWARE_WRITE_PROTECTED:
		return sl->kind != OP_READ && !sl->reached && history_some(sl->node, sl, write_protected);
	case SENSE_LBA_OUT_OF_RANGE:
		return !sl->reached && history_some(sl->node, sl, too_short);
	case SENSE_MISCOMPARE:
		return sl->kind == OP_COMPARE_AND_WRITE && sl->sampled != sl->expected && !sl->reached;
	case SENSE_ABORTED_COMMAND: /* what became of it with an owner that is gone nobody knows, and it can't be done again */
		return sl->node->sim->forwards && (sl->kind == OP_COMPARE_AND_WRITE ||
						   (sl->kind == OP_WRITE && history_conflicts(sl->node, sl)));
	}
	return false;
}

static void compare_and_write(struct slot *sl)
{
	const struct sim *s = sl->node->sim;
	uint8_t data[2 * 512] = { 0 };

	sl->expected = s->medium[sl->lu][sl->block];
	if (sim_random(sl->node->sim) % 4 == 0)
		sl->expected = 0;
	sl->cmd.cdb[0] = 0x89;
	put_be64(sl->cmd.cdb + 2, sl->block);
	sl->cmd.cdb[13] = 1;
	memcpy(data, &sl->expected, sizeof(sl->expected));
	memcpy(data + 512, &sl->value, sizeof(sl->value));
	slot_start(sl, data, sizeof(data));
}

static void read_or_write(struct slot *sl)
{
	bool write = sl->kind == OP_WRITE;
	uint8_t data[512] = { 0 };

	sl->cmd.cdb[0] = write ? 0x2a : 0x28;
	put_be32(sl->cmd.cdb + 2, sl->block);
	put_be16(sl->cmd.cdb + 7, 1);
	memcpy(data, &sl->value, sizeof(sl->value));
	slot_start(sl, write ? data : NULL, sizeof(data));
}

void load_rw(struct node *n, unsigned initiator, unsigned lu)
{
	static const enum op_kind kinds[] = { OP_WRITE, OP_WRITE, OP_WRITE, OP_WRITE, OP_READ, OP_COMPARE_AND_WRITE };
	enum op_kind kind = kinds[sim_random(n->sim) % 6];
	struct slot *sl = slot_get(n, kind, initiator, lu);

	if (!sl)
		return;
	sl->block = sim_random(n->sim) % n->sim->medium_blocks[lu];
	if (kind == OP_COMPARE_AND_WRITE)
		compare_and_write(sl);
	else
		read_or_write(sl);
}
