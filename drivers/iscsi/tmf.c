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

#define LEVEL_RFC_7144 2 /* iSCSIProtocolLevel */

static const struct {
	uint8_t level; /* iSCSIProtocolLevel from which on it may be used; 0 = not supported: refusal */
	enum tmf_function function;
	enum tmf_wire_response refusal;
} functions[] = {
	[TMF_WIRE_ABORT_TASK] = { 1, TMF_ABORT_TASK, 0 },
	[TMF_WIRE_ABORT_TASK_SET] = { 1, TMF_ABORT_TASK_SET, 0 },
	[TMF_WIRE_CLEAR_ACA] = { 1, TMF_CLEAR_ACA, 0 },
	[TMF_WIRE_CLEAR_TASK_SET] = { 1, TMF_CLEAR_TASK_SET, 0 },
	[TMF_WIRE_LUN_RESET] = { 1, TMF_LUN_RESET, 0 },
	[TMF_WIRE_TARGET_WARM_RESET] = { 1, TMF_TARGET_RESET, 0 },
	[TMF_WIRE_TARGET_COLD_RESET] = { 1, TMF_TARGET_RESET, 0 },
	[TMF_WIRE_TASK_REASSIGN] = { 0, 0, TMF_RSP_NO_REASSIGN },
	[TMF_WIRE_QUERY_TASK] = { LEVEL_RFC_7144, TMF_QUERY_TASK, TMF_RSP_NOT_SUPPORTED },
	[TMF_WIRE_QUERY_TASK_SET] = { LEVEL_RFC_7144, TMF_QUERY_TASK_SET, TMF_RSP_NOT_SUPPORTED },
	[TMF_WIRE_IT_NEXUS_RESET] = { LEVEL_RFC_7144, TMF_IT_NEXUS_RESET, TMF_RSP_NOT_SUPPORTED },
	[TMF_WIRE_QUERY_ASYNC_EVENT] = { LEVEL_RFC_7144, TMF_QUERY_ASYNC_EVENT, TMF_RSP_NOT_SUPPORTED },
};

static void respond(struct iscsi_conn *c, uint32_t itt, enum tmf_wire_response response, const uint8_t *info)
{
	uint8_t bhs[BHS_LEN] = { OP_TMF_RSP, FLAG_FINAL, response };

	if (info)
		memcpy(bhs + TMF_RSP_INFO, info, 3);
	put_be32(bhs + BHS_ITT, itt);
	send_misc(c, bhs, NUMBERS_STATUS, NULL, 0);
}

static enum tmf_wire_response response_to_wire(enum tmf_response r)
{
	switch (r) {
	case TMF_COMPLETE:
		return TMF_RSP_COMPLETE;
	case TMF_SUCCEEDED:
		return TMF_RSP_SUCCEEDED;
	case TMF_NO_TASK:
		return TMF_RSP_NO_TASK;
	case TMF_NO_LUN:
		return TMF_RSP_NO_LUN;
	case TMF_REJECTED:
		break;
	}
	return TMF_RSP_REJECTED;
}

static bool supported(const struct iscsi_conn *c, unsigned function)
{
	uint32_t level = functions[function].level;

	return level && level <= (c->neg.active.protocol_level > 1 ? c->neg.active.protocol_level : 1);
}

static void tmf_done(struct tmf *tmf)
{
	struct tmf_task *t = caa_container_of(tmf, struct tmf_task, tmf);
	struct iscsi_conn *c = t->conn;

	c->tmfs--;
	if (conn_open(c)) {
		task_abandon(c, false); /* core has only marked those that wait for data */
		respond(c, t->itt, response_to_wire(tmf->response), tmf->info);
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
		respond(c, get_be32(bhs + BHS_ITT), TMF_RSP_REJECTED, NULL);
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
		respond(c, get_be32(bhs + BHS_ITT), TMF_RSP_NOT_SUPPORTED, NULL);
	else if (!supported(c, function))
		respond(c, get_be32(bhs + BHS_ITT), functions[function].refusal, NULL);
	else if (c->tmfs >= TMFS_MAX)
		respond(c, get_be32(bhs + BHS_ITT), TMF_RSP_REJECTED, NULL);
	else
		start(c, bhs, function);
}
