/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_model.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define REFUSED_BITS 64

static bool is_refused(const struct load_slot *s, uint32_t generation)
{
	uint32_t age = s->issued - generation;

	return age < REFUSED_BITS && (s->refused >> age & 1);
}

static bool has_open(const struct load_slot *s)
{
	uint32_t n = s->issued - s->floor;
	uint64_t above = n >= REFUSED_BITS ? ~0ULL : (1ULL << n) - 1;

	return n > REFUSED_BITS || (~s->refused & above) != 0;
}

static struct load_slot *slot_of(const struct load_model *m, uint64_t block)
{
	assert(block < m->count);
	return &m->slot[block];
}

int load_model_init(struct load_model *m, uint64_t count)
{
	m->slot = calloc(count, sizeof(*m->slot));
	m->count = m->slot ? count : 0;
	return m->slot ? 0 : -ENOMEM;
}

void load_model_fini(struct load_model *m)
{
	free(m->slot);
	*m = (struct load_model){ 0 };
}

bool load_model_may_write(const struct load_model *m, uint64_t block)
{
	const struct load_slot *s = slot_of(m, block);

	return !s->writing && !s->held && s->issued < UINT32_MAX;
}

bool load_model_written(const struct load_model *m, uint64_t block)
{
	return slot_of(m, block)->issued != 0;
}

uint32_t load_model_write(struct load_model *m, uint64_t block)
{
	struct load_slot *s = slot_of(m, block);

	assert(load_model_may_write(m, block));
	s->writing = true;
	s->refused <<= 1;
	return ++s->issued;
}

static struct load_slot *end_write(struct load_model *m, uint64_t block, uint32_t generation)
{
	struct load_slot *s = slot_of(m, block);

	assert(s->writing && generation == s->issued);
	s->writing = false;
	return s;
}

void load_model_acked(struct load_model *m, uint64_t block, uint32_t generation)
{
	struct load_slot *s = end_write(m, block, generation);

	s->acked = generation;
	s->floor = generation;
}

enum load_verdict load_model_refused(struct load_model *m, uint64_t block, uint32_t generation)
{
	struct load_slot *s = end_write(m, block, generation);

	s->refused |= 1;
	return s->floor == generation ? LOAD_REFUSED_SEEN : LOAD_OK;
}

void load_model_unknown(struct load_model *m, uint64_t block, uint32_t generation)
{
	end_write(m, block, generation);
}

struct load_read load_model_read(const struct load_model *m, uint64_t block)
{
	const struct load_slot *s = slot_of(m, block);

	return (struct load_read){
		.acked = s->acked,
		.floor = s->floor,
		.issued = s->issued,
		.open = has_open(s),
	};
}

static enum load_verdict judge_generation(struct load_slot *s, const struct load_read *r,
					  uint64_t generation)
{
	if (generation > s->issued)
		return LOAD_CORRUPT;
	if (generation < r->floor)
		return LOAD_BEHIND;
	if (generation == 0)
		return LOAD_UNWRITTEN;
	if (is_refused(s, (uint32_t)generation))
		return LOAD_REFUSED_SEEN;
	if (generation > s->floor)
		s->floor = (uint32_t)generation;
	return LOAD_OK;
}

enum load_verdict load_model_judge(struct load_model *m, uint64_t block, const struct load_read *r,
				   enum load_seen seen, uint64_t generation)
{
	struct load_slot *s = slot_of(m, block);
	bool raced = r->open || s->issued != r->issued;

	switch (seen) {
	case LOAD_SEEN_OURS:
		/* Generation 0 is never written, so on the medium it is a forgery. */
		return generation ? judge_generation(s, r, generation) : LOAD_CORRUPT;
	case LOAD_SEEN_NOTHING:
		return judge_generation(s, r, 0);
	case LOAD_SEEN_ALIEN:
		return r->floor ? LOAD_CORRUPT : LOAD_UNWRITTEN;
	case LOAD_SEEN_DAMAGED:
		if (raced)
			return LOAD_TORN;
		return r->floor ? LOAD_CORRUPT : LOAD_UNWRITTEN;
	case LOAD_SEEN_MISPLACED:
		return LOAD_CORRUPT;
	}
	return LOAD_CORRUPT;
}

void load_model_hold(struct load_model *m, uint64_t block)
{
	slot_of(m, block)->held = true;
}

enum load_verdict load_model_confirm(struct load_model *m, uint64_t block,
				     const struct load_read *first, enum load_verdict second)
{
	struct load_slot *s = slot_of(m, block);

	s->held = false;
	switch (second) {
	case LOAD_OK:
		return s->issued == first->issued && s->acked == first->acked ? LOAD_STALE
									      : LOAD_LOST;
	case LOAD_CORRUPT:
	case LOAD_REFUSED_SEEN:
		return second;
	case LOAD_UNWRITTEN:
	case LOAD_TORN:
	case LOAD_BEHIND:
	case LOAD_LOST:
	case LOAD_STALE:
		return LOAD_LOST;
	}
	return LOAD_LOST;
}

const char *load_verdict_str(enum load_verdict v)
{
	switch (v) {
	case LOAD_OK: return "ok";
	case LOAD_UNWRITTEN: return "unwritten";
	case LOAD_TORN: return "torn";
	case LOAD_BEHIND: return "behind";
	case LOAD_LOST: return "lost";
	case LOAD_STALE: return "stale";
	case LOAD_CORRUPT: return "corrupt";
	case LOAD_REFUSED_SEEN: return "refused-seen";
	}
	return "?";
}
