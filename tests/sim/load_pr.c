/* SPDX-License-Identifier: BSD-2-Clause */
/* PERSISTENT RESERVE IN and OUT (SPC-4 5.13), RESERVE and RELEASE (SPC-2). */
#include <stdio.h>
#include <string.h>

#include "core/wire.h"
#include "pr-sync/transport_id.h"
#include "tests/sim/sim.h"

static const uint8_t types[] = { 1, 3, 5, 6, 7, 8 };

void load_pr_good(struct slot *sl)
{
	history_pr_in(sl->node, sl);
}

static void send_pr_in(struct node *n, unsigned initiator, unsigned lu)
{
	bool keys = chance(n->sim, 2);
	struct slot *sl = slot_get(n, keys ? OP_PR_KEYS : OP_PR_RESERVATION, initiator, lu);

	if (!sl)
		return;
	sl->cmd.cdb[0] = 0x5e;
	sl->cmd.cdb[1] = keys ? 0 : 1;
	put_be16(sl->cmd.cdb + 7, 256);
	slot_start(sl, NULL, 256);
}

/* ---- parameter lists (SPC-4 6.16.3, 6.16.4) ------------------------------------------------------------------------ */

#define LIST_MAX (28 + INITIATORS * TRANSPORT_ID_MAX)

static size_t put_port(const struct sim *s, uint8_t *p, unsigned initiator)
{
	const struct nexus_id *id = &s->cur->session[initiator].nexus.id;

	return transport_id_build(id->port, p);
}

static size_t put_named(const struct sim *s, uint8_t *list, unsigned ports)
{
	size_t at = 28;

	list[20] |= 0x08; /* SPEC_I_PT */
	for (unsigned i = 0; i < INITIATORS; i++)
		if (ports & 1u << i)
			at += put_port(s, list + at, i);
	put_be32(list + 24, at - 28);
	return at;
}

static size_t put_move(const struct sim *s, uint8_t *list, const struct pr_model_op *c)
{
	size_t len = put_port(s, list + 24, c->move_to / s->nodes);

	list[17] = c->unreg << 1 | c->aptpl;
	put_be16(list + 18, c->move_to % s->nodes + 1);
	put_be32(list + 20, len);
	return 24 + len;
}

static size_t put_list(const struct sim *s, uint8_t *list, const struct pr_model_op *c)
{
	put_be64(list, c->key);
	put_be64(list + 8, c->sa_key);
	if (c->action == PR_REGISTER_AND_MOVE)
		return put_move(s, list, c);
	list[20] = c->aptpl | c->all_tg_pt << 2;
	return c->ports ? put_named(s, list, c->ports) : 24;
}

void load_pr_out(struct node *n, unsigned initiator, unsigned lu, const struct pr_model_op *c)
{
	struct slot *sl = slot_get(n, OP_PR_OUT, initiator, lu);
	uint8_t list[LIST_MAX] = { 0 };
	size_t len;

	if (!sl)
		return;
	n->sim->cur = n;
	sl->pr = *c;
	len = put_list(n->sim, list, c);
	sl->cmd.cdb[0] = 0x5f;
	sl->cmd.cdb[1] = c->action;
	sl->cmd.cdb[2] = c->type;
	put_be32(sl->cmd.cdb + 5, len);
	sim_trace(n->sim, "PR OUT %u of initiator %u on LU %u: action %u type %u keys %llu %llu%s%s%s", sl->value, initiator, lu,
		  c->action, c->type, (unsigned long long)c->key, (unsigned long long)c->sa_key, c->aptpl ? " APTPL" : "",
		  c->all_tg_pt ? " ALL_TG_PT" : "", c->ports ? " SPEC_I_PT" : "");
	slot_start(sl, list, len);
}

/* ---- which one ------------------------------------------------------------------------------------------------------- */

static void choose_registration(struct sim *s, struct pr_model_op *c)
{
	c->aptpl = s->any_fault ? sim_random(s) % 4 : chance(s, 4);
	c->all_tg_pt = chance(s, 3);
	if (chance(s, 6))
		c->sa_key = 0;
	if (c->action == PR_REGISTER && chance(s, 4))
		c->ports = sim_random(s) % (1u << INITIATORS);
}

/* Of two that are registered one is often meant. */
static void choose_victim(struct sim *s, const struct pr_model *m, struct pr_model_op *c)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned k = sim_random(s) % m->nexuses;

		if (m->key[k] && k != c->from)
			c->sa_key = m->key[k];
	}
}

static void choose_move(struct sim *s, const struct pr_model *m, struct pr_model_op *c)
{
	c->action = PR_REGISTER_AND_MOVE;
	c->move_to = sim_random(s) % m->nexuses;
	c->unreg = chance(s, 2);
	c->aptpl = chance(s, 4);
}

/* Mostly sensible, or little would happen: who is not registered registers; keys are often those that are there. */
static struct pr_model_op choose(struct node *n, unsigned initiator, unsigned lu)
{
	struct sim *s = n->sim;
	const struct pr_model *m = &s->history[s->frontier].model[lu].pr;
	unsigned self = nexus_of(s, initiator, n->id);
	uint64_t mine = m->key[self];
	struct pr_model_op c = { .action = sim_random(s) % 7, .type = types[sim_random(s) % 6], .key = mine,
				 .sa_key = 1 + sim_random(s) % 4, .from = self };

	if (!mine && sim_random(s) % 8)
		c.action = chance(s, 2) ? PR_REGISTER : PR_REGISTER_AND_IGNORE;
	if (c.action == PR_RESERVE && m->type && chance(s, 2))
		c.action = chance(s, 2) ? PR_PREEMPT : PR_PREEMPT_AND_ABORT;
	if (c.action == PR_RELEASE && m->type)
		c.type = m->type;
	if (c.action == PR_PREEMPT || c.action == PR_PREEMPT_AND_ABORT)
		choose_victim(s, m, &c);
	if (c.action == PR_REGISTER || c.action == PR_REGISTER_AND_IGNORE)
		choose_registration(s, &c);
	if (c.action == PR_CLEAR && sim_random(s) % 4)
		c.action = PR_RESERVE;
	if (m->holder == (int)self && chance(s, 3))
		choose_move(s, m, &c);
	if (chance(s, 12))
		c.key = sim_random(s) % 5;
	return c;
}

void load_pr(struct node *n, unsigned initiator, unsigned lu)
{
	struct pr_model_op c;

	if (chance(n->sim, 4)) {
		send_pr_in(n, initiator, lu);
		return;
	}
	c = choose(n, initiator, lu);
	load_pr_out(n, initiator, lu, &c);
}

/* ---- RESERVE and RELEASE ------------------------------------------------------------------------------------------------ */

void load_spc2(struct node *n, unsigned initiator, unsigned lu)
{
	struct sim *s = n->sim;
	bool has = s->history[s->frontier].model[lu].pr.reserved_by == nexus_of(s, initiator, n->id) + 1;
	bool release = has ? sim_random(s) % 4 : chance(s, 8), ten = chance(s, 2);
	struct slot *sl = slot_get(n, release ? OP_RELEASE : OP_RESERVE, initiator, lu);

	if (!sl)
		return;
	sl->cmd.cdb[0] = (ten ? 0x56 : 0x16) + release;
	if (!release) {
		n->session[initiator].reserves[lu] = true;
		s->count.reserves++;
	}
	sim_trace(s, "%s %u of initiator %u on LU %u", release ? "RELEASE" : "RESERVE", sl->value, initiator, lu);
	slot_start(sl, NULL, 0);
}
