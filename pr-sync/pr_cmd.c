/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr_cmd.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "pr-sync/pr_in.h"
#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_param.h"

/* A command whose outcome its initiator could not be told. */
struct remembered {
	struct cds_list_head link;
	struct wbuf msg;
};

struct lost_nexus {
	struct cds_list_head link; /* in pr_cmd.lost, while nothing is proposed */
	struct pr_cmd *pc;
	struct nexus_id id;
};

/* A command on its way through the log. */
struct pending {
	struct pr_cmd *pc;
	struct scsi_cmd *cmd;
	struct pr_msg msg; /* its kind, logical unit, nexus and action; pointers in it are stale */
	struct wbuf bytes; /* as proposed, but never marked as repeated */
};

static bool serves(const struct pr_cmd *pc)
{
	return !pc->serving || pc->serving(pc->serving_arg);
}

/* ---- remembering what is unknown ------------------------------------------------------------- */

static void forget(struct pr_cmd *pc, struct remembered *r)
{
	cds_list_del(&r->link);
	pc->nremembered--;
	wbuf_fini(&r->msg);
	free(r);
}

static struct remembered *find_remembered(const struct pr_cmd *pc, const struct wbuf *msg)
{
	struct remembered *r;

	cds_list_for_each_entry(r, &pc->remembered, link)
		if (r->msg.len == msg->len && !memcmp(r->msg.data, msg->data, msg->len))
			return r;
	return NULL;
}

/* Takes over the bytes. */
static void remember(struct pr_cmd *pc, struct wbuf *msg)
{
	struct remembered *r;

	if (find_remembered(pc, msg))
		return;
	r = malloc(sizeof(*r));
	if (!r) /* then the repetition is judged as a new command */
		return;
	if (pc->nremembered == PR_CMD_REMEMBERED_MAX)
		forget(pc, cds_list_first_entry(&pc->remembered, struct remembered, link));
	r->msg = *msg;
	*msg = (struct wbuf){ 0 };
	cds_list_add_tail(&r->link, &pc->remembered);
	pc->nremembered++;
}

/* The nexus has had an answer on this logical unit: it knows where it stands. */
static void answered(struct pr_cmd *pc, const struct pr_msg *m)
{
	struct remembered *r, *next;
	struct pr_msg_decoded d;

	cds_list_for_each_entry_safe(r, next, &pc->remembered, link) {
		if (!pr_msg_decode(&d, r->msg.data, r->msg.len) && !strcmp(d.m.lu, m->lu) &&
		    nexus_id_eq(&d.m.nexus, &m->nexus))
			forget(pc, r);
		pr_msg_decoded_fini(&d);
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

static void complete_result(struct scsi_cmd *cmd, const struct pr_result *r)
{
	if (r->status != STATUS_CHECK_CONDITION)
		cmd_status(cmd, r->status);
	else if (r->field != PR_NO_FIELD && r->sense == SENSE_INVALID_FIELD_IN_CDB)
		cmd_bad_field(cmd, r->field, -1);
	else if (r->field != PR_NO_FIELD && r->sense == SENSE_INVALID_FIELD_IN_PARAM)
		cmd_bad_param(cmd, r->field, -1);
	else
		cmd_sense(cmd, r->sense);
}

static bool registers(const struct pr_msg *m)
{
	return m->kind == PR_OP_OUT &&
	       (m->out.action == PR_REGISTER || m->out.action == PR_REGISTER_AND_IGNORE ||
		m->out.action == PR_REGISTER_AND_MOVE);
}

static void complete_failed(struct pending *p)
{
	log_error("logical unit %s: the reservation command of %s was refused by the log or could "
		  "not be made durable on every member; nothing was changed. Look for the reason in "
		  "this node's log, and for the store's errors on each node",
		  p->msg.lu, p->msg.nexus.port);
	cmd_sense(p->cmd, registers(&p->msg) ? SENSE_INSUFFICIENT_REGISTRATION :
					       SENSE_INSUFFICIENT_RESOURCES);
}

static void pending_free(struct pending *p)
{
	wbuf_fini(&p->bytes);
	free(p);
}

static void proposed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct pending *p = cookie;
	struct pr_result r;

	switch (status) {
	case PROPOSE_OK:
		answered(p->pc, &p->msg);
		if (len == sizeof(r)) {
			memcpy(&r, result, sizeof(r));
			complete_result(p->cmd, &r);
		} else {
			cmd_sense(p->cmd, SENSE_INTERNAL_FAILURE);
		}
		break;
	case PROPOSE_NOT_SERVING:
	case PROPOSE_NOT_YET: /* not of this service, which all versions have */
		cmd_sense(p->cmd, SENSE_LU_NOT_READY_UNAVAILABLE);
		break;
	case PROPOSE_FAILED:
		complete_failed(p);
		break;
	case PROPOSE_UNKNOWN:
		remember(p->pc, &p->bytes);
		cmd_sense(p->cmd, SENSE_ABORTED_COMMAND);
		break;
	}
	pending_free(p);
}

/* ---- proposing ------------------------------------------------------------------------------- */

/* The same message, marked where it repeats one whose outcome is unknown. */
static void pending_propose(struct pending *p, struct pr_msg *m)
{
	struct proposer *to = p->pc->proposer;
	struct wbuf marked = { 0 };

	if (m->kind == PR_OP_OUT && find_remembered(p->pc, &p->bytes)) {
		m->out.repeated = true;
		pr_msg_encode(m, &marked);
	}
	if (marked.len && !marked.err)
		to->propose(to, PR_SERVICE_ID, marked.data, marked.len, proposed, p);
	else
		to->propose(to, PR_SERVICE_ID, p->bytes.data, p->bytes.len, proposed, p);
	wbuf_fini(&marked);
}

static void propose(struct pr_cmd *pc, struct scsi_cmd *cmd, struct pr_msg *m)
{
	struct pending *p = calloc(1, sizeof(*p));

	memcpy(m->lu, cmd->lu->name, sizeof(m->lu));
	m->nexus = cmd->nexus->id;
	if (p) {
		p->pc = pc;
		p->cmd = cmd;
		p->msg = *m;
		pr_msg_encode(m, &p->bytes);
		if (!p->bytes.err) {
			pending_propose(p, m);
			return;
		}
		pending_free(p);
	}
	cmd_status(cmd, STATUS_BUSY);
}

void pr_cmd_out(void *arg, struct scsi_cmd *cmd)
{
	struct pr_param_error e;
	struct pr_param param;
	struct pr_msg m = { .kind = PR_OP_OUT };

	if (!pr_param_parse(&param, cmd->cdb, cmd->buf, cmd->alloc_len, cmd->data_out_got,
			    &cmd->nexus->id, cmd->nexus->target, &e)) {
		m.out = param.op;
		propose(arg, cmd, &m);
	} else if (e.sense == SENSE_NONE) {
		cmd_status(cmd, STATUS_BUSY);
	} else {
		cmd_sense_detail(cmd, e.sense, &e.detail);
	}
	pr_param_fini(&param);
}

void pr_cmd_reserve(void *arg, struct scsi_cmd *cmd)
{
	struct pr_msg m = { .kind = PR_OP_SPC2_RESERVE };

	propose(arg, cmd, &m);
}

void pr_cmd_release(void *arg, struct scsi_cmd *cmd)
{
	struct pr_msg m = { .kind = PR_OP_SPC2_RELEASE };

	propose(arg, cmd, &m);
}

/* ---- PERSISTENT RESERVE IN ------------------------------------------------------------------- */

static void reply(const struct pr *pr, struct scsi_cmd *cmd)
{
	struct wbuf out = { 0 };

	if (!pr_in_data(pr, cmd->cdb[1] & 0x1f, &out))
		cmd_bad_field(cmd, 1, 4);
	else if (out.err)
		cmd_status(cmd, STATUS_BUSY);
	else
		cmd_reply(cmd, out.data, out.len);
	wbuf_fini(&out);
}

void pr_cmd_in(void *arg, struct scsi_cmd *cmd)
{
	const struct pr_cmd *pc = arg;
	const struct pr_lu *lu = pr_service_find(pc->svc, cmd->lu->name);
	struct pr fresh;

	pr_init(&fresh);
	if (!serves(pc))
		cmd_sense(cmd, SENSE_LU_NOT_READY_UNAVAILABLE);
	else if (lu && lu->spc2_reserved) /* SPC-2 5.5.1: regardless of initiator */
		cmd_status(cmd, STATUS_RESERVATION_CONFLICT);
	else
		reply(lu ? &lu->pr : &fresh, cmd);
}

/* ---- what ends SPC-2 reservations ------------------------------------------------------------ */

/* Nobody waits for these. Without the log this node admits no media access anyhow (P4), and the
 * initiator is told that its reset was not carried out everywhere. */
static void nobody_waits(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie;
	(void)result;
	(void)len;
	if (status != PROPOSE_OK)
		log_warning("the end of a RESERVE reservation could not be told to the cluster; "
			    "LUN RESET releases it where it still stands");
}

static void propose_alone(struct pr_cmd *pc, struct wbuf *b)
{
	if (!b->err)
		pc->proposer->propose(pc->proposer, PR_SERVICE_ID, b->data, b->len, nobody_waits,
				      pc);
	wbuf_fini(b);
}

void pr_cmd_lu_reset(void *arg, struct lu *lu)
{
	struct pr_cmd *pc = arg;
	const struct pr_lu *state = pr_service_find(pc->svc, lu->name);
	struct wbuf b = { 0 };

	if (!state || !state->spc2_reserved)
		return;
	pr_service_msg_reset(&b, lu->name);
	propose_alone(pc, &b);
}

static void lost_free(struct lost_nexus *l)
{
	cds_list_del(&l->link);
	l->pc->nlost--;
	free(l);
}

/* The same nexus only once. */
static void lost_keep(struct lost_nexus *l)
{
	struct pr_cmd *pc = l->pc;
	struct lost_nexus *other, *next;

	cds_list_for_each_entry_safe(other, next, &pc->lost, link)
		if (nexus_id_eq(&other->id, &l->id))
			lost_free(other);
	if (pc->nlost == PR_CMD_REMEMBERED_MAX)
		lost_free(cds_list_first_entry(&pc->lost, struct lost_nexus, link));
	cds_list_add_tail(&l->link, &pc->lost);
	pc->nlost++;
}

static void loss_told(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct lost_nexus *l = cookie;

	(void)result;
	(void)len;
	if (status == PROPOSE_OK)
		free(l);
	else
		lost_keep(l);
}

/* Takes over l. */
static void tell_loss(struct lost_nexus *l)
{
	struct pr_cmd *pc = l->pc;
	struct wbuf b = { 0 };

	if (!serves(pc)) { /* what it holds is not known for certain either */
		lost_keep(l);
		return;
	}
	if (!pr_service_spc2_holds(pc->svc, &l->id)) {
		free(l);
		return;
	}
	pr_service_msg_nexus_lost(&b, &l->id);
	if (b.err)
		lost_keep(l);
	else
		pc->proposer->propose(pc->proposer, PR_SERVICE_ID, b.data, b.len, loss_told, l);
	wbuf_fini(&b);
}

void pr_cmd_nexus_lost(struct pr_cmd *pc, const struct nexus_id *nexus)
{
	struct lost_nexus *l = malloc(sizeof(*l));

	if (!l) {
		log_error("out of memory: a RESERVE of %s may stay in force; reset the logical unit to end it", nexus->port);
		return;
	}
	*l = (struct lost_nexus){ .pc = pc, .id = *nexus };
	tell_loss(l);
}

void pr_cmd_serves(struct pr_cmd *pc)
{
	struct cds_list_head lost;
	struct lost_nexus *l, *next;

	CDS_INIT_LIST_HEAD(&lost);
	cds_list_splice(&pc->lost, &lost);
	CDS_INIT_LIST_HEAD(&pc->lost);
	pc->nlost = 0;
	cds_list_for_each_entry_safe(l, next, &lost, link)
		tell_loss(l);
}

/* ---- wiring ---------------------------------------------------------------------------------- */

void pr_cmd_init(struct pr_cmd *pc, struct pr_service *svc, struct proposer *proposer)
{
	*pc = (struct pr_cmd){ .svc = svc, .proposer = proposer };
	CDS_INIT_LIST_HEAD(&pc->remembered);
	CDS_INIT_LIST_HEAD(&pc->lost);
}

void pr_cmd_fini(struct pr_cmd *pc)
{
	struct remembered *r, *next;

	cds_list_for_each_entry_safe(r, next, &pc->remembered, link)
		forget(pc, r);
	while (!cds_list_empty(&pc->lost))
		lost_free(cds_list_first_entry(&pc->lost, struct lost_nexus, link));
}

void pr_cmd_wire(struct pr_cmd *pc, struct core *core)
{
	static const struct {
		enum core_hook hook;
		void (*fn)(void *arg, struct scsi_cmd *cmd);
	} hooks[] = {
		{ HOOK_PR_IN, pr_cmd_in },
		{ HOOK_PR_OUT, pr_cmd_out },
		{ HOOK_SPC2_RESERVE, pr_cmd_reserve },
		{ HOOK_SPC2_RELEASE, pr_cmd_release },
	};

	for (unsigned i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		core->hook[hooks[i].hook].fn = hooks[i].fn;
		core->hook[hooks[i].hook].arg = pc;
	}
	core->lu_reset.fn = pr_cmd_lu_reset;
	core->lu_reset.arg = pc;
}
