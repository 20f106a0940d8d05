/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/link_dup.h"

#include <assert.h>
#include <stdlib.h>

enum entry_state { ENTRY_IDLE, ENTRY_RUNNING, ENTRY_ANSWERED };

struct link_dup {
	struct entry {
		uint64_t seq;
		enum entry_state state;
		struct link_answer answer;
	} entry[LINK_SLOTS];
};

struct link_dup *link_dup_new(void)
{
	return calloc(1, sizeof(struct link_dup));
}

void link_dup_free(struct link_dup *d)
{
	free(d);
}

static enum link_dup_verdict look_up(struct link_dup *d, uint64_t id, struct entry **out)
{
	struct entry *e;

	if (link_id_slot(id) >= LINK_SLOTS || !link_id_seq(id))
		return DUP_REFUSED;
	e = *out = &d->entry[link_id_slot(id)];
	if (link_id_seq(id) < e->seq)
		return DUP_REFUSED;
	if (link_id_seq(id) > e->seq)
		return e->state == ENTRY_RUNNING ? DUP_REFUSED : DUP_NEW;
	switch (e->state) {
	case ENTRY_IDLE:
		return DUP_NEW;
	case ENTRY_RUNNING:
		return DUP_RUNNING;
	case ENTRY_ANSWERED:
		return DUP_KNOWN;
	}
	__builtin_unreachable();
}

enum link_dup_verdict link_dup_begin(struct link_dup *d, uint64_t id)
{
	struct entry *e;
	enum link_dup_verdict v = look_up(d, id, &e);

	if (v == DUP_NEW) {
		e->seq = link_id_seq(id);
		e->state = ENTRY_RUNNING;
	}
	return v;
}

enum link_dup_verdict link_dup_cancel(struct link_dup *d, uint64_t id)
{
	struct entry *e;
	enum link_dup_verdict v = look_up(d, id, &e);

	if (v != DUP_NEW)
		return v;
	e->seq = link_id_seq(id);
	e->state = ENTRY_ANSWERED;
	e->answer = (struct link_answer){ .outcome = LINK_NOT_EXECUTED };
	return DUP_KNOWN;
}

void link_dup_done(struct link_dup *d, uint64_t id, const struct link_answer *a)
{
	struct entry *e = &d->entry[link_id_slot(id)];

	assert(e->state == ENTRY_RUNNING && e->seq == link_id_seq(id));
	e->state = a->outcome == LINK_TURNED_AWAY ? ENTRY_IDLE : ENTRY_ANSWERED;
	e->answer = *a;
}

const struct link_answer *link_dup_answer(const struct link_dup *d, uint64_t id)
{
	return &d->entry[link_id_slot(id)].answer;
}
