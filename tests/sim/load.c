/* SPDX-License-Identifier: BSD-2-Clause */
/* Initiators: each has a session to every node that runs. */
#include <string.h>

#include "core/wire.h"
#include "tests/sim/sim.h"

static const uint8_t types[] = { 1, 3, 5, 6, 7, 8 };

/* ---- answers ------------------------------------------------------------------------------------------------------------------ */

static void note_ua(struct slot *sl, sense_t s)
{
	struct session *se = &sl->node->session[sl->initiator];
	uint16_t code = s & 0xffff;

	if (code == UA_RESERVATIONS_PREEMPTED || code == UA_REGISTRATIONS_PREEMPTED)
		se->told_preempted[sl->lu] = sl->node->sim->steps + 1;
	if (code == UA_RESERVATIONS_RELEASED)
		se->told_released[sl->lu] = sl->node->sim->steps + 1;
}

static void good(struct slot *sl)
{
	struct sim *s = sl->node->sim;

	switch (sl->kind) {
	case OP_WRITE:
		if (!sl->reached)
			sim_fail(s, "P6: write %u is answered with GOOD without having reached the medium", sl->value);
		s->acked[sl->value] = 1;
		s->count.writes++;
		break;
	case OP_READ:
		if (memcmp(sl->cmd.buf, &sl->sampled, sizeof(sl->sampled)))
			sim_fail(s, "P6: a read returns something else than it has found");
		s->count.reads++;
		break;
	case OP_PR_KEYS:
	case OP_PR_RESERVATION:
		history_pr_in(sl->node, sl);
		break;
	case OP_PR_OUT:
		break;
	}
}

static void send_pr_out(struct node *n, unsigned initiator, unsigned lu, const struct pr_model_op *c);

static void check_condition(struct slot *sl, const struct slot *was)
{
	struct sim *s = sl->node->sim;
	sense_t sense = SENSE(was->cmd.sense[2] & 0xf, was->cmd.sense[12], was->cmd.sense[13]);
	uint8_t key = sense >> 16;

	if (key == KEY_UNIT_ATTENTION)
		note_ua(sl, sense);
	else if (key == 0x02)
		s->count.notready++;
	else if (sl->kind != OP_PR_OUT)
		sim_fail(s, "P7: a command of initiator %u on node %u ends with sense %06x", sl->initiator, sl->node->id, sense);
	if (key == 0x0b && sl->kind == OP_PR_OUT && chance(s, 2))
		send_pr_out(sl->node, sl->initiator, sl->lu, &was->pr); /* as initiators do: the same again */
}

static void done(struct scsi_cmd *cmd)
{
	struct slot *sl = caa_container_of(cmd, struct slot, cmd), was = *sl;
	struct sim *s = sl->node->sim;

	sl->busy = false;
	if (sl->node->dying) {
		cmd_fini(cmd);
		return;
	}
	sim_trace(s, "command %u of initiator %u ends with %02xh%s", sl->value, sl->initiator, cmd->status,
		  cmd->aborted ? ", aborted" : "");
	if (cmd->aborted) {
		s->acked[sl->value] = 1; /* it is over: it must not reach the medium any more */
	} else if (cmd->status == STATUS_GOOD) {
		good(sl);
	} else if (cmd->status == STATUS_RESERVATION_CONFLICT) {
		s->count.conflicts++;
		if (sl->kind == OP_READ || sl->kind == OP_WRITE)
			history_conflict(sl->node, sl);
	}
	cmd_fini(cmd);
	if (!was.cmd.aborted && was.cmd.status == STATUS_CHECK_CONDITION)
		check_condition(sl, &was);
}

/* ---- commands -------------------------------------------------------------------------------------------------------------------- */

static struct slot *slot_get(struct node *n, enum op_kind kind, unsigned initiator, unsigned lu)
{
	struct slot *sl = NULL;

	for (unsigned i = 0; i < SLOTS && !sl; i++)
		if (!n->slot[i].busy)
			sl = &n->slot[i];
	if (!sl)
		return NULL;
	memset(sl, 0, sizeof(*sl));
	sl->node = n;
	sl->busy = true;
	sl->kind = kind;
	sl->initiator = initiator;
	sl->lu = lu;
	sl->value = ++n->sim->values;
	sl->frontier = n->sim->lu_frontier[sl->lu];
	sl->step = n->sim->steps;
	sl->cmd.nexus = &n->session[initiator].nexus;
	sl->cmd.lun[1] = lu;
	sl->cmd.done = done;
	return sl;
}

static void start(struct slot *sl, const void *data, uint32_t len)
{
	struct scsi_cmd *cmd = &sl->cmd;

	cmd->write = data != NULL;
	cmd->read = !data;
	cmd->expected_len = len;
	sl->node->sim->cur = sl->node;
	cmd_init(cmd);
	cmd_decode(cmd);
	if (data && cmd_buf_alloc(cmd, len)) {
		memcpy(cmd->buf, data, len);
		cmd->data_out_got = len;
	}
	cmd_execute(cmd);
}

static void send_rw(struct node *n, unsigned initiator, unsigned lu, bool write)
{
	struct slot *sl = slot_get(n, write ? OP_WRITE : OP_READ, initiator, lu);
	uint8_t data[512] = { 0 };

	if (!sl)
		return;
	sl->block = sim_random(n->sim) % BLOCKS;
	sl->cmd.cdb[0] = write ? 0x2a : 0x28;
	put_be32(sl->cmd.cdb + 2, sl->block);
	put_be16(sl->cmd.cdb + 7, 1);
	memcpy(data, &sl->value, sizeof(sl->value));
	start(sl, write ? data : NULL, sizeof(data));
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
	start(sl, NULL, 256);
}

static void send_pr_out(struct node *n, unsigned initiator, unsigned lu, const struct pr_model_op *c)
{
	struct slot *sl = slot_get(n, OP_PR_OUT, initiator, lu);
	uint8_t list[24] = { 0 };

	if (!sl)
		return;
	n->sim->cur = n;
	sl->pr = *c;
	sl->cmd.cdb[0] = 0x5f;
	sl->cmd.cdb[1] = c->action;
	sl->cmd.cdb[2] = c->type;
	put_be32(sl->cmd.cdb + 5, sizeof(list));
	put_be64(list, c->key);
	put_be64(list + 8, c->sa_key);
	list[20] = c->aptpl | c->all_tg_pt << 2;
	sim_trace(n->sim, "PR OUT %u of initiator %u on LU %u: action %u type %u keys %llu %llu%s%s", sl->value, initiator, lu,
		  c->action, c->type, (unsigned long long)c->key, (unsigned long long)c->sa_key, c->aptpl ? " APTPL" : "",
		  c->all_tg_pt ? " ALL_TG_PT" : "");
	start(sl, list, sizeof(list));
}

/* Mostly sensible, or little would happen: who is not registered registers; keys are often those that are there. */
static struct pr_model_op choose(struct node *n, unsigned initiator, unsigned lu)
{
	struct sim *s = n->sim;
	const struct pr_model *m = &s->history[s->frontier].pr[lu];
	unsigned self = nexus_of(s, initiator, n->id);
	uint64_t mine = m->key[self];
	struct pr_model_op c = { .action = sim_random(s) % 7, .type = types[sim_random(s) % 6], .key = mine,
				 .sa_key = 1 + sim_random(s) % 4, .from = self };

	if (!mine && sim_random(s) % 8)
		c.action = chance(s, 2) ? 0 : 6;
	if (c.action == 1 && m->type && chance(s, 2))
		c.action = 4 + sim_random(s) % 2;
	if (c.action == 2 && m->type)
		c.type = m->type;
	if (c.action == 4 || c.action == 5)
		for (unsigned i = 0; i < 8; i++) {
			unsigned k = sim_random(s) % m->nexuses;

			if (m->key[k] && k != self)
				c.sa_key = m->key[k];
		}
	if (c.action == 0 || c.action == 6) {
		c.aptpl = s->any_fault ? sim_random(s) % 4 : chance(s, 4);
		c.all_tg_pt = chance(s, 3);
		if (chance(s, 6))
			c.sa_key = 0;
	}
	if (c.action == 3 && sim_random(s) % 4)
		c.action = 1;
	if (chance(s, 12))
		c.key = sim_random(s) % 5;
	return c;
}

/* A path: mostly to the owner. */
static struct node *path(struct sim *s, unsigned lu)
{
	struct node *n = &s->node[1 + sim_random(s) % s->nodes];

	if (s->crm[lu].at && sim_random(s) % 4)
		n = &s->node[s->crm[lu].at];
	return n->running && !n->paused ? n : NULL;
}

void load_one(struct sim *s)
{
	unsigned lu = sim_random(s) % s->groups, initiator = sim_random(s) % INITIATORS;
	struct node *n = path(s, lu);
	unsigned what = sim_random(s) % 10;
	struct pr_model_op c;

	if (!n)
		return;
	if (what < 5) {
		send_rw(n, initiator, lu, true);
	} else if (what < 6) {
		send_rw(n, initiator, lu, false);
	} else if (what < 7) {
		send_pr_in(n, initiator, lu);
	} else {
		c = choose(n, initiator, lu);
		send_pr_out(n, initiator, lu, &c);
	}
}
