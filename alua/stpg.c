/* SPDX-License-Identifier: BSD-2-Clause */
#include "alua/stpg.h"

#include "alua/alua.h"
#include "core/wire.h"

#define HEADER_LEN 4
#define DESCRIPTOR_LEN 4
#define STATE 0x0f

/* ---- predicates --------------------------------------------------------------------------------- */

static size_t count(size_t len)
{
	return (len - HEADER_LEN) / DESCRIPTOR_LEN;
}

static int at(size_t i)
{
	return HEADER_LEN + i * DESCRIPTOR_LEN;
}

static enum alua_state state_in(const uint8_t *list, size_t i)
{
	return (enum alua_state)(list[at(i)] & STATE);
}

static uint16_t id_in(const uint8_t *list, size_t i)
{
	return get_be16(list + at(i) + 2);
}

static const struct alua_tpg *find(const struct alua_gate *gate, uint16_t id)
{
	for (uint16_t i = 0; i < gate->ntpg; i++)
		if (gate->tpg[i].id == id)
			return &gate->tpg[i];
	return NULL;
}

static bool in_transition(const struct alua_gate *gate)
{
	for (uint16_t i = 0; i < gate->ntpg; i++)
		if (gate->tpg[i].state == ALUA_TRANSITIONING)
			return true;
	return false;
}

static bool named_before(const uint8_t *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (id_in(list, k) == id_in(list, i))
			return true;
	return false;
}

/* What follows for a port group when the group is owned by another node. */
static bool follows(const struct alua_gate *gate, const struct alua_tpg *tpg, enum alua_state state)
{
	if (tpg->state == ALUA_UNAVAILABLE) /* its node is not there, whoever owns */
		return state == ALUA_UNAVAILABLE;
	return state == (gate->nonoptimized ? ALUA_NONOPTIMIZED : ALUA_STANDBY);
}

/* ---- the decision --------------------------------------------------------------------------------- */

static struct stpg bad_field(int byte)
{
	return (struct stpg){ .verdict = STPG_BAD_FIELD, .byte = byte };
}

/* Every descriptor by itself; *wanted: the port group that is to be active/optimized, or NULL. */
static bool read_list(const struct alua_gate *gate, const uint8_t *list, size_t n, const struct alua_tpg **wanted,
		      struct stpg *bad)
{
	*wanted = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct alua_tpg *tpg = find(gate, id_in(list, i));

		/* 4h-Dh are reserved, Eh is a secondary state, which no port has, Fh can't be asked for */
		if (state_in(list, i) > ALUA_UNAVAILABLE)
			*bad = bad_field(at(i));
		else if (!tpg || named_before(list, i))
			*bad = bad_field(at(i) + 2);
		else if (state_in(list, i) == ALUA_OPTIMIZED && *wanted)
			*bad = bad_field(at(i));
		else if (state_in(list, i) == ALUA_OPTIMIZED)
			*wanted = tpg;
		if (bad->verdict == STPG_BAD_FIELD)
			return false;
	}
	return true;
}

/* The others, when `owner` (NULL: nobody) owns the group. */
static bool combination_bad(const struct alua_gate *gate, const uint8_t *list, size_t n, const struct alua_tpg *owner,
			    struct stpg *bad)
{
	for (size_t i = 0; i < n; i++) {
		const struct alua_tpg *tpg = find(gate, id_in(list, i));

		if (state_in(list, i) == ALUA_OPTIMIZED || (tpg != owner && follows(gate, tpg, state_in(list, i))))
			continue;
		*bad = bad_field(at(i));
		return true;
	}
	return false;
}

struct stpg stpg_decide(const struct alua_gate *gate, const uint8_t *list, size_t len)
{
	const struct alua_tpg *wanted, *owner = NULL;
	struct stpg out = { .verdict = STPG_UNCHANGED };

	if (!len)
		return out;
	if (len < HEADER_LEN || (len - HEADER_LEN) % DESCRIPTOR_LEN)
		return (struct stpg){ .verdict = STPG_BAD_LENGTH };
	if (!read_list(gate, list, count(len), &wanted, &out) || !count(len))
		return out;
	if (in_transition(gate))
		return (struct stpg){ .verdict = STPG_TRANSITION };
	for (uint16_t i = 0; i < gate->ntpg; i++)
		if (gate->tpg[i].state == ALUA_OPTIMIZED)
			owner = &gate->tpg[i];
	if (combination_bad(gate, list, count(len), wanted ? wanted : owner, &out) || !wanted || wanted == owner)
		return out;
	if (wanted->state == ALUA_UNAVAILABLE)
		return (struct stpg){ .verdict = STPG_FAILED };
	return (struct stpg){ .verdict = STPG_MOVE, .node = wanted->id };
}
