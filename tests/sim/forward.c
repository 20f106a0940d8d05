/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that travel over the link: which of the initiators' it is that another node executes; what can be planted. */
#include <string.h>

#include "cluster/link_dup.h"
#include "cluster/link_int.h"
#include "core/cdb.h"
#include "core/gate.h"
#include "core/remote.h"
#include "tests/sim/sim.h"

/* A read says it by the length that its initiator expects (load.c), a write by its data. */
static uint32_t value_of(const struct scsi_cmd *cmd)
{
	uint32_t value;

	if (cmd->row->dir != DIR_OUT)
		return cmd->expected_len >> READ_VALUE_SHIFT;
	memcpy(&value, (const uint8_t *)cmd->buf + (cmd->row->data == DATA_TWICE ? 512 : 0), sizeof(value));
	return value;
}

struct slot *forward_slot(const struct scsi_cmd *cmd)
{
	return sim_world()->command[value_of(cmd)];
}

void __real_remote_execute(struct remote_cmd *rc);

static bool planted(enum plant p)
{
	return node_planted(sim_world()->cur, p);
}

/* ---- at the owner ---------------------------------------------------------------------------------------- */

int __real_remote_begin(struct remote_nexuses *t, struct remote_cmd *rc, const struct remote_request *q, uint32_t len);
int __wrap_remote_begin(struct remote_nexuses *t, struct remote_cmd *rc, const struct remote_request *q, uint32_t len);
int __wrap_remote_begin(struct remote_nexuses *t, struct remote_cmd *rc, const struct remote_request *q, uint32_t len)
{
	struct remote_request as = *q;

	if (planted(PLANT_FORWARD_NEXUS))
		as.nexus.rtpi = sim_world()->cur->id;
	return __real_remote_begin(t, rc, &as, len);
}

/* As if it admitted. */
static void execute_anyway(struct remote_cmd *rc)
{
	struct lu *lu = rc->cmd.lu;
	const struct alua_gate *is = lu->gate;
	struct alua_gate open = *is;

	open.medium = GATE_ADMIT;
	lu->gate = &open;
	__real_remote_execute(rc);
	lu->gate = is;
}

void __wrap_remote_execute(struct remote_cmd *rc);
void __wrap_remote_execute(struct remote_cmd *rc)
{
	struct node *n = sim_world()->cur;
	struct slot *sl = forward_slot(&rc->cmd);

	sim_trace(n->sim, "command %u of initiator %u has come from node %u", sl->value, sl->initiator, sl->node->id);
	sl->there = n->history;
	if (planted(PLANT_FORWARD_OLD_EPOCH))
		execute_anyway(rc);
	else
		__real_remote_execute(rc);
}

void __real_lu_admit(struct scsi_cmd *cmd);
void __wrap_lu_admit(struct scsi_cmd *cmd);
void __wrap_lu_admit(struct scsi_cmd *cmd)
{
	__real_lu_admit(cmd);
	if (cmd->remote && planted(PLANT_FORWARD_NO_DRAIN))
		cmd->seq = UINT64_MAX;
}

void __real_link_dup_done(struct link_dup *d, uint64_t id, const struct link_answer *a);
void __wrap_link_dup_done(struct link_dup *d, uint64_t id, const struct link_answer *a);
void __wrap_link_dup_done(struct link_dup *d, uint64_t id, const struct link_answer *a)
{
	struct link_answer forgotten = { .outcome = LINK_TURNED_AWAY };

	__real_link_dup_done(d, id, planted(PLANT_FORWARD_FORGETS) ? &forgotten : a);
}

/* ---- where they entered ---------------------------------------------------------------------------------- */

bool __real_link_is_write(const struct scsi_cmd *cmd);
bool __wrap_link_is_write(const struct scsi_cmd *cmd);
bool __wrap_link_is_write(const struct scsi_cmd *cmd)
{
	return __real_link_is_write(cmd) && !planted(PLANT_FORWARD_AGAIN);
}

void __real_lu_unadmit(struct scsi_cmd *cmd, enum cmd_state to);
void __wrap_lu_unadmit(struct scsi_cmd *cmd, enum cmd_state to);
void __wrap_lu_unadmit(struct scsi_cmd *cmd, enum cmd_state to)
{
	if (to == CMD_FORWARDED && planted(PLANT_FORWARD_ABORT))
		cmd->seq = UINT64_MAX;
	__real_lu_unadmit(cmd, to);
}

void __real_gate_again(struct scsi_cmd *cmd);
void __wrap_gate_again(struct scsi_cmd *cmd);
void __wrap_gate_again(struct scsi_cmd *cmd)
{
	if (planted(PLANT_FORWARD_CONFLICT))
		cmd->maybe_done = false;
	__real_gate_again(cmd);
}

void __real_cmd_sense(struct scsi_cmd *cmd, sense_t sense);
void __wrap_cmd_sense(struct scsi_cmd *cmd, sense_t sense);
void __wrap_cmd_sense(struct scsi_cmd *cmd, sense_t sense)
{
	if (sense == SENSE_ABORTED_COMMAND && cmd->row->flags & ROW_EXCLUSIVE && planted(PLANT_FORWARD_GOOD))
		cmd_status(cmd, STATUS_GOOD);
	else
		__real_cmd_sense(cmd, sense);
}
