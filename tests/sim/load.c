/* SPDX-License-Identifier: BSD-2-Clause */
/* Initiators: each has a session to every node that runs. Slots for their commands, answers, what is sent next. */
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"
#include "tests/sim/sim.h"

/* ---- what each kind of command may end with -------------------------------------------------------------------------------- */

static void nothing(struct slot *sl)
{
	(void)sl;
}

static bool never(const struct slot *sl, sense_t sense)
{
	(void)sl, (void)sense;
	return false;
}

/* Whose outcome goes by the log: what became of it may not be known. */
static bool aborted_command(const struct slot *sl, sense_t sense)
{
	(void)sl;
	return sense == SENSE_ABORTED_COMMAND;
}

static bool any_sense(const struct slot *sl, sense_t sense)
{
	(void)sl, (void)sense;
	return true;
}

static const struct answers {
	void (*good)(struct slot *sl);
	bool (*sense)(const struct slot *sl, sense_t sense); /* but for UNIT ATTENTION and NOT READY, which all may get */
} answers[OP_KINDS] = {
	[OP_READ] = { load_rw_good, load_rw_sense },
	[OP_WRITE] = { load_rw_good, load_rw_sense },
	[OP_COMPARE_AND_WRITE] = { load_rw_good, load_rw_sense },
	[OP_PR_OUT] = { nothing, any_sense },
	[OP_PR_KEYS] = { load_pr_good, never },
	[OP_PR_RESERVATION] = { load_pr_good, never },
	[OP_RESERVE] = { nothing, aborted_command },
	[OP_RELEASE] = { nothing, aborted_command },
	[OP_MODE_SELECT] = { load_lu_good, load_lu_sense },
	[OP_MODE_SENSE] = { load_lu_good, load_lu_sense },
	[OP_SET_TIMESTAMP] = { load_lu_good, load_lu_sense },
	[OP_REPORT_TIMESTAMP] = { load_lu_good, load_lu_sense },
	[OP_LOG_SELECT] = { load_lu_good, load_lu_sense },
	[OP_CAPACITY] = { load_lu_good, load_lu_sense },
};

static bool descriptor_format(const struct slot *sl)
{
	return (sl->cmd.sense[0] & 0x7f) >= 0x72;
}

static bool asks_for_format(const struct lu_model *m, const struct slot *sl)
{
	return m->mode[MODE_DSENSE] == descriptor_format(sl);
}

static sense_t sense_of(const struct slot *sl)
{
	const uint8_t *d = sl->cmd.sense;

	return descriptor_format(sl) ? SENSE(d[1] & 0xf, d[2], d[3]) : SENSE(d[2] & 0xf, d[12], d[13]);
}

static void check_condition(struct slot *sl)
{
	struct sim *s = sl->node->sim;
	sense_t sense = sense_of(sl);
	uint8_t key = SENSE_KEY(sense);

	if (!history_some(sl->node, sl, asks_for_format))
		sim_fail(s, "P1: sense data of initiator %u on LU %u, node %u, have a format (D_SENSE) that no state since operation %u "
			 "asks for", sl->initiator, sl->lu, sl->node->id, s->history[sl->frontier].op);
	if (key == KEY_UNIT_ATTENTION)
		told_note(sl, sense & 0xffff);
	else if (key == KEY_NOT_READY)
		s->count.notready++;
	else if (!answers[sl->kind].sense(sl, sense))
		sim_fail(s, "P7: a command of initiator %u on LU %u, node %u, ends with sense %06x", sl->initiator, sl->lu,
			 sl->node->id, sense);
}

static bool tas(const struct lu_model *m, const struct slot *sl)
{
	(void)sl;
	return m->mode[MODE_TAS];
}

/* Without a status: its initiator has asked for that, or hears of it by a unit attention (SAM-5 5.6, TAS=0). */
static void aborted(struct slot *sl)
{
	struct sim *s = sl->node->sim;
	const struct session *se = &sl->node->session[sl->initiator];

	sl->over = true; /* it must not reach the medium any more */
	if (se->ends_own[sl->lu] < sl->value && !told_cleared(se, sl->lu, sl->step))
		sim_fail(s, "P1: a command of initiator %u on LU %u, node %u, is ended without its asking, and nobody tells it",
			 sl->initiator, sl->lu, sl->node->id);
}

static bool is_medium(const struct slot *sl)
{
	return sl->kind == OP_READ || sl->kind == OP_WRITE || sl->kind == OP_COMPARE_AND_WRITE;
}

static void judge(struct slot *sl)
{
	struct sim *s = sl->node->sim;

	switch (sl->cmd.status) {
	case STATUS_GOOD:
		answers[sl->kind].good(sl);
		break;
	case STATUS_CHECK_CONDITION:
		check_condition(sl);
		break;
	case STATUS_RESERVATION_CONFLICT:
		s->count.conflicts++;
		if (is_medium(sl))
			history_conflict(sl->node, sl);
		break;
	case STATUS_TASK_ABORTED:
		sl->over = true;
		if (!history_some(sl->node, sl, tas))
			sim_fail(s, "a command of initiator %u on LU %u, node %u, ends with TASK ABORTED without TAS=1", sl->initiator,
				 sl->lu, sl->node->id);
		break;
	default:
		sim_fail(s, "P7: a command of initiator %u on LU %u, node %u, ends with status %02xh", sl->initiator, sl->lu,
			 sl->node->id, sl->cmd.status);
	}
}

static void done(struct scsi_cmd *cmd)
{
	struct slot *sl = caa_container_of(cmd, struct slot, cmd), was = *sl;
	struct sim *s = sl->node->sim;

	sl->busy = false;
	if (!sl->node->dying) {
		sim_trace(s, "command %u of initiator %u ends with %02xh%s", sl->value, sl->initiator, cmd->status,
			  cmd->aborted ? ", aborted" : "");
		if (cmd->aborted)
			aborted(sl);
		else
			judge(sl);
	}
	cmd_fini(cmd);
	if (!was.node->dying && was.kind == OP_PR_OUT && !was.cmd.aborted && was.cmd.status == STATUS_CHECK_CONDITION &&
	    SENSE_KEY(sense_of(&was)) == KEY_ABORTED_COMMAND && chance(s, 2))
		load_pr_out(was.node, was.initiator, was.lu, &was.pr); /* as initiators do: the same again */
}

/* ---- commands -------------------------------------------------------------------------------------------------------------------- */

struct slot *load_slot(const struct scsi_cmd *cmd)
{
	return cmd->remote ? forward_slot(cmd) : caa_container_of(cmd, struct slot, cmd);
}

struct slot *slot_get(struct node *n, enum op_kind kind, unsigned initiator, unsigned lu)
{
	struct slot **free = NULL, *sl;

	for (unsigned i = 0; i < SLOTS && !free; i++)
		if (!n->slot[i] || !n->slot[i]->busy)
			free = &n->slot[i];
	if (!free || n->sim->values + 1 >= VALUES)
		return NULL;
	sl = *free = calloc(1, sizeof(*sl));
	n->sim->command[n->sim->values + 1] = sl;
	sl->node = n;
	sl->busy = true;
	sl->kind = kind;
	sl->initiator = initiator;
	sl->lu = lu;
	sl->value = ++n->sim->values;
	sl->frontier = n->sim->lu_frontier[sl->lu];
	sl->there = -1;
	sl->served = node_serving(n);
	sl->step = n->sim->steps;
	sl->cmd.nexus = &n->session[initiator].nexus;
	sl->cmd.lun[1] = lu;
	sl->cmd.done = done;
	return sl;
}

void slot_start(struct slot *sl, const void *data, uint32_t len)
{
	struct scsi_cmd *cmd = &sl->cmd;

	cmd->write = data != NULL;
	cmd->read = !data && len;
	cmd->expected_len = len;
	if (sl->kind == OP_READ) /* more than it gets: it is known by that */
		cmd->expected_len += sl->value << READ_VALUE_SHIFT;
	sl->node->sim->cur = sl->node;
	cmd_init(cmd);
	cmd_decode(cmd);
	if (data && cmd_buf_alloc(cmd, len)) {
		memcpy(cmd->buf, data, len);
		cmd->data_out_got = len;
	}
	sl->coming = data && chance(sl->node->sim, 8);
	if (!sl->coming)
		cmd_execute(cmd);
}

bool load_data(struct node *n)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!n->slot[i] || !n->slot[i]->busy || !n->slot[i]->coming)
			continue;
		n->slot[i]->coming = false;
		cmd_execute(&n->slot[i]->cmd);
		return true;
	}
	return false;
}

/* A path: mostly to the owner. */
static struct node *path(struct sim *s, unsigned lu)
{
	struct node *n = &s->node[1 + sim_random(s) % s->nodes];

	if (s->crm[lu].at && sim_random(s) % (s->forwards ? 2 : 4))
		n = &s->node[s->crm[lu].at];
	return n->running && !n->paused && !n->stopping ? n : NULL;
}

void load_one(struct sim *s)
{
	static void (*const send[])(struct node *n, unsigned initiator, unsigned lu) = {
		load_rw, load_rw, load_rw, load_rw, load_rw, load_rw, load_rw, load_rw,
		load_pr, load_pr, load_pr, load_pr, load_pr, load_pr,
		load_lu, load_lu, load_tmf, load_spc2,
	};
	unsigned lu = sim_random(s) % s->groups, initiator = sim_random(s) % INITIATORS;
	struct node *n = path(s, lu);
	unsigned what = sim_random(s) % (sizeof(send) / sizeof(send[0]));

	if (!n)
		return;
	if (s->spc2 && send[what] == load_pr && sim_random(s) % 4)
		what = sizeof(send) / sizeof(send[0]) - 1;
	s->cur = n;
	send[what](n, initiator, lu);
}
