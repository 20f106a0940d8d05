/* SPDX-License-Identifier: BSD-2-Clause */
/* What initiators set in a logical unit, and what it says of itself: mode parameters, device clock, log pages, capacity. */
#include <string.h>

#include "core/wire.h"
#include "tests/sim/sim.h"

#define CONTROL 0x0a
#define CACHING 0x08
#define SENSE_LEN 64

/* ---- judging answers ------------------------------------------------------------------------------------------------- */

/* MODE SENSE (6): header, then the page (SPC-4 7.5.8, SBC-3 6.4.5). */
static bool mode_matches(const struct lu_model *m, const struct slot *sl)
{
	const uint8_t *p = (const uint8_t *)sl->cmd.buf + 4, *v = sl->cmd.cdb[2] >> 6 == PC_SAVED ? m->saved : m->mode;

	if ((p[0] & 0x3f) == CACHING)
		return (p[2] >> 2 & 1) == v[MODE_WCE];
	return (p[2] >> 2 & 1) == v[MODE_DSENSE] && (p[4] >> 3 & 1) == v[MODE_SWP] && (p[5] >> 6 & 1) == v[MODE_TAS];
}

static uint64_t ms_now(const struct sim *s)
{
	return s->now / 1000000;
}

static bool clock_matches(const struct lu_model *m, const struct slot *sl)
{
	const uint8_t *d = sl->cmd.buf;
	uint64_t is = (uint64_t)get_be16(d + 4) << 32 | get_be32(d + 6), now = ms_now(sl->node->sim);
	bool set = m->clock_set && m->mode[MODE_SCSIP];

	return d[2] == (set ? 2 : 3) && is == ((now + (set ? (uint64_t)m->clock : 0)) & 0xffffffffffff);
}

/* As long as nobody has been told of the medium, a node that has had it open may know. */
static bool capacity_matches(const struct lu_model *m, const struct slot *sl)
{
	uint64_t blocks = get_be32(sl->cmd.buf) + 1ull;

	if (!m->blocks && blocks == sl->node->sim->medium_blocks[sl->lu])
		return true;
	return blocks == (m->blocks ? m->blocks : BLOCKS);
}

/* The node that has just opened the medium knows before the others. */
static bool is_owners(const struct slot *sl)
{
	return disk_may_have_found(sl->node, sl->lu, get_be32(sl->cmd.buf) + 1ull);
}

void load_lu_good(struct slot *sl)
{
	static const struct {
		const char *what;
		bool (*matches)(const struct lu_model *m, const struct slot *sl);
	} said[OP_KINDS] = {
		[OP_MODE_SENSE] = { "MODE SENSE", mode_matches },
		[OP_REPORT_TIMESTAMP] = { "REPORT TIMESTAMP", clock_matches },
		[OP_CAPACITY] = { "READ CAPACITY", capacity_matches },
	};
	struct sim *s = sl->node->sim;

	s->count.settings++;
	if (!said[sl->kind].matches || (sl->kind == OP_CAPACITY && is_owners(sl)))
		return;
	if (!history_some(sl->node, sl, said[sl->kind].matches))
		sim_fail(s, "P1: %s on node %u, LU %u, answers what no state since operation %u was", said[sl->kind].what, sl->node->id,
			 sl->lu, s->history[sl->frontier].op);
}

static bool no_scsip(const struct lu_model *m, const struct slot *sl)
{
	(void)sl;
	return !m->mode[MODE_SCSIP];
}

bool load_lu_sense(const struct slot *sl, sense_t sense)
{
	bool sets = sl->kind == OP_MODE_SELECT || sl->kind == OP_SET_TIMESTAMP || sl->kind == OP_LOG_SELECT;

	if (sense == SENSE_INVALID_FIELD_IN_CDB)
		return sl->kind == OP_SET_TIMESTAMP && history_some(sl->node, sl, no_scsip);
	/* version 1 of the protocol is in use, or its end is not known */
	if (sl->kind == OP_MODE_SENSE)
		return sense == SENSE_SAVING_NOT_SUPPORTED;
	return sets && (sense == SENSE_INVALID_OPCODE || sense == SENSE_ABORTED_COMMAND);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------- */

static void send_mode_select(struct node *n, struct slot *sl)
{
	uint8_t list[4 + 32] = { 0 }, *p = list + 4;
	uint64_t r = sim_random(n->sim);
	size_t len;

	switch (r % 3) {
	case 0:
		p[0] = CACHING;
		p[1] = 0x12;
		p[2] = (r >> 4 & 1) << 2; /* WCE */
		len = 20;
		break;
	case 1:
		p[0] = CONTROL;
		p[1] = 0x0a;
		p[2] = (r >> 4 & 1) << 2; /* D_SENSE */
		p[4] = ((r >> 5 & 3) == 0) << 3; /* SWP */
		p[5] = (r >> 7 & 1) << 6; /* TAS */
		put_be16(p + 8, 0xffff); /* BUSY TIMEOUT PERIOD */
		len = 12;
		break;
	default:
		p[0] = 0x40 | CONTROL;
		p[1] = 0x01;
		put_be16(p + 2, 0x1c);
		p[4] = (r >> 4 & 1) << 2 | ((r >> 5 & 3) != 0) << 1 | 1; /* TCMOS, SCSIP, IALUAE */
		len = 32;
	}
	sl->cmd.cdb[0] = 0x15;
	sl->cmd.cdb[1] = 0x10 | (r >> 10 & 1); /* PF, SP */
	sl->cmd.cdb[4] = 4 + len;
	slot_start(sl, list, 4 + len);
}

static void send_mode_sense(struct node *n, struct slot *sl)
{
	sl->cmd.cdb[0] = 0x1a;
	sl->cmd.cdb[1] = 0x08; /* DBD */
	sl->cmd.cdb[2] = (chance(n->sim, 3) ? PC_SAVED << 6 : 0) | (chance(n->sim, 2) ? CONTROL : CACHING);
	sl->cmd.cdb[4] = SENSE_LEN;
	slot_start(sl, NULL, SENSE_LEN);
}

static void send_set_timestamp(struct node *n, struct slot *sl)
{
	uint8_t list[12] = { 0 };
	uint64_t to = ms_now(n->sim) + sim_random(n->sim) % 1000000;

	put_be16(list + 4, to >> 32);
	put_be32(list + 6, to);
	sl->cmd.cdb[0] = 0xa4;
	sl->cmd.cdb[1] = 0x0f;
	put_be32(sl->cmd.cdb + 6, sizeof(list));
	slot_start(sl, list, sizeof(list));
}

static void send_report_timestamp(struct node *n, struct slot *sl)
{
	(void)n;
	sl->cmd.cdb[0] = 0xa3;
	sl->cmd.cdb[1] = 0x0f;
	put_be32(sl->cmd.cdb + 6, 12);
	slot_start(sl, NULL, 12);
}

/* PCR=1 without a list: the counters of this page, or of all, begin anew (SPC-4 6.10). */
static void send_log_select(struct node *n, struct slot *sl)
{
	static const uint8_t pages[] = { 0x02, 0x03, 0x00 };

	sl->cmd.cdb[0] = 0x4c;
	sl->cmd.cdb[1] = 0x02;
	sl->cmd.cdb[2] = pages[sim_random(n->sim) % 3];
	slot_start(sl, NULL, 0);
}

static void send_capacity(struct node *n, struct slot *sl)
{
	(void)n;
	sl->cmd.cdb[0] = 0x25;
	slot_start(sl, NULL, 8);
}

void load_lu(struct node *n, unsigned initiator, unsigned lu)
{
	static const struct {
		enum op_kind kind;
		void (*send)(struct node *n, struct slot *sl);
	} kinds[] = {
		{ OP_MODE_SELECT, send_mode_select },	  { OP_MODE_SELECT, send_mode_select },
		{ OP_MODE_SELECT, send_mode_select },	  { OP_MODE_SENSE, send_mode_sense },
		{ OP_MODE_SENSE, send_mode_sense },	  { OP_SET_TIMESTAMP, send_set_timestamp },
		{ OP_REPORT_TIMESTAMP, send_report_timestamp }, { OP_LOG_SELECT, send_log_select },
		{ OP_CAPACITY, send_capacity },		  { OP_CAPACITY, send_capacity },
	};
	unsigned k = sim_random(n->sim) % (sizeof(kinds) / sizeof(kinds[0]));
	struct slot *sl = slot_get(n, kinds[k].kind, initiator, lu);

	if (!sl)
		return;
	kinds[k].send(n, sl);
}

/* ---- the operator grows a medium ------------------------------------------------------------------------------------------- */

static void resized(void *arg, struct lu *lu, const char *error)
{
	struct node *n = arg;

	if (n->dying)
		return;
	sim_trace(n->sim, "LU %s: resize: %s", lu->name, error ? error : "done");
	n->sim->count.resizes += !error;
}

void load_resize(struct sim *s)
{
	unsigned lu = sim_random(s) % s->groups;
	struct node *n = &s->node[s->crm[lu].at];
	uint32_t to = s->medium_blocks[lu] + sim_random(s) % 3;

	if (!s->crm[lu].at || !n->running || n->paused || to > BLOCKS_MAX)
		return;
	s->cur = n;
	if (chance(s, 3)) { /* it has grown elsewhere */
		s->medium_blocks[lu] = to;
		to = 0;
	}
	sim_trace(s, "LU %u is to have %u blocks", lu, to);
	media_resize(&n->d, n->lus[lu], to * 512ull, resized, n);
}
