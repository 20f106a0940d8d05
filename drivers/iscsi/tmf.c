/* SPDX-License-Identifier: BSD-2-Clause */
/* Task Management Function Request and Response (RFC 7143 11.5, 11.6); the functions themselves are core's. */
#include "core/tmf.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/iscsi/conn.h"

struct tmf_task {
	struct tmf tmf;
	struct iscsi_conn *conn;
	uint32_t itt;
	bool cold;
};

static const struct {
	bool supported;
	enum tmf_function function;
	enum tmf_wire_response refusal;
} functions[] = {
	[TMF_WIRE_ABORT_TASK] = { true, TMF_ABORT_TASK, 0 },
	[TMF_WIRE_ABORT_TASK_SET] = { true, TMF_ABORT_TASK_SET, 0 },
	[TMF_WIRE_CLEAR_ACA] = { false, 0, TMF_RSP_NOT_SUPPORTED },
	[TMF_WIRE_CLEAR_TASK_SET] = { true, TMF_CLEAR_TASK_SET, 0 },
	[TMF_WIRE_LUN_RESET] = { true, TMF_LUN_RESET, 0 },
	[TMF_WIRE_TARGET_WARM_RESET] = { true, TMF_TARGET_RESET, 0 },
	[TMF_WIRE_TARGET_COLD_RESET] = { true, TMF_TARGET_RESET, 0 },
	[TMF_WIRE_TASK_REASSIGN] = { false, 0, TMF_RSP_NO_REASSIGN },
};

static void respond(struct iscsi_conn *c, uint32_t itt, enum tmf_wire_response response)
{
	uint8_t bhs[BHS_LEN] = { OP_TMF_RSP, FLAG_FINAL, response };

	put_be32(bhs + BHS_ITT, itt);
	send_misc(c, bhs, NUMBERS_STATUS, NULL, 0);
}

static enum tmf_wire_response response_to_wire(enum tmf_response r)
{
	switch (r) {
	case TMF_COMPLETE:
		return TMF_RSP_COMPLETE;
	case TMF_NO_TASK:
		return TMF_RSP_NO_TASK;
	case TMF_NO_LUN:
		return TMF_RSP_NO_LUN;
	case TMF_NOT_SUPPORTED:
		return TMF_RSP_NOT_SUPPORTED;
	}
	return TMF_RSP_REJECTED;
}

static void tmf_done(struct tmf *tmf)
{
	struct tmf_task *t = caa_container_of(tmf, struct tmf_task, tmf);
	struct iscsi_conn *c = t->conn;

	c->tmfs--;
	if (conn_open(c)) {
		task_abandon(c, false); /* core has only marked those that wait for data */
		respond(c, t->itt, response_to_wire(tmf->response));
		if (t->cold && tmf->response == TMF_COMPLETE) /* 11.5.1: then the connections end, all of them */
			session_drop_target(c);
	}
	free(t);
	conn_end_kick(c);
}

static void start(struct iscsi_conn *c, const uint8_t *bhs, unsigned function)
{
	struct tmf_task *t = calloc(1, sizeof(*t));

	if (!t) {
		respond(c, get_be32(bhs + BHS_ITT), TMF_RSP_REJECTED);
		return;
	}
	*t = (struct tmf_task){
		.tmf = { .function = functions[function].function, .nexus = &c->nexus,
			 .tag = get_be32(bhs + TMF_REF_TAG), .done = tmf_done },
		.conn = c,
		.itt = get_be32(bhs + BHS_ITT),
		.cold = function == TMF_WIRE_TARGET_COLD_RESET,
	};
	memcpy(t->tmf.lun, bhs + BHS_LUN, 8);
	c->tmfs++;
	tmf_start(&t->tmf);
}

void tmf_finish(struct iscsi_conn *c)
{
	const uint8_t *bhs = c->rx.hdr;
	unsigned function = bhs[BHS_FLAGS] & TMF_FUNCTION_MASK;
	bool known = function > 0 && function < sizeof(functions) / sizeof(functions[0]);

	if (!pdu_take_cmdsn_only(c, bhs))
		return;
	log_info("iscsi: %s (%s): task management function %u", c->peer, c->nexus.initiator, function);
	if (!known)
		respond(c, get_be32(bhs + BHS_ITT), TMF_RSP_NOT_SUPPORTED);
	else if (!functions[function].supported)
		respond(c, get_be32(bhs + BHS_ITT), functions[function].refusal);
	else if (c->tmfs >= TMFS_MAX)
		respond(c, get_be32(bhs + BHS_ITT), TMF_RSP_REJECTED);
	else
		start(c, bhs, function);
}
