/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "daemon/daemon.h"
#include "daemon/tasks.pb-c.h"

/* ---- the service ---------------------------------------------------------------------------------------- */

static bool well_formed(const Tasks__Request *q, struct nexus_id *by)
{
	size_t lu = strlen(q->lu);

	return !q->base.n_unknown_fields && q->function >= TASKS__FUNCTION__FUNCTION_CLEAR_TASK_SET &&
	       q->function <= TASKS__FUNCTION__FUNCTION_ABORT_OTHERS && lu > 0 && lu <= LU_NAME_MAX &&
	       nexus_id_take(by, q->port.data, q->port.len, q->rtpi);
}

static void effects(const Tasks__Request *q, const struct nexus_id *by, struct apply *a)
{
	bool reset = q->function == TASKS__FUNCTION__FUNCTION_LUN_RESET;
	struct effect *e;

	if (reset)
		apply_ua(a, q->lu, UA_BUS_DEVICE_RESET, UA_SCOPE_ALL, NULL, 0);
	if (q->function == TASKS__FUNCTION__FUNCTION_ABORT_OTHERS)
		apply_ua(a, q->lu, UA_COMMANDS_CLEARED_BY_ANOTHER, UA_SCOPE_ALL_BUT, by, 1);
	else
		apply_ua(a, q->lu, UA_COMMANDS_CLEARED_BY_ANOTHER, UA_SCOPE_ALL, NULL, 0);
	if (a->err)
		return;
	e = &a->effect[a->neffects - 1]; /* for its scope */
	e->kind = EFFECT_ABORT;
	e->by = *by;
	e->reset = e->clears_aca = reset;
}

static int apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	Tasks__Request *q = tasks__request__unpack(NULL, len, msg);
	struct nexus_id by;
	int rc = -EBADMSG;

	(void)state;
	if (q && well_formed(q, &by)) {
		effects(q, &by, a);
		rc = a->err;
	}
	if (q)
		tasks__request__free_unpacked(q, NULL);
	return rc;
}

static void snapshot(const void *state, struct wbuf *out)
{
	(void)state;
	(void)out;
}

static int restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	(void)state;
	(void)p;
	if (!len)
		return 0;
	snprintf(err, errlen, "task management: the snapshot is refused: this service has no state, it has %zu bytes", len);
	return -EBADMSG;
}

const struct service_ops tasks_service_ops = {
	.id = TASKS_SERVICE_ID,
	.name = "tasks",
	.since = 2,
	.waits_for_fencing = true, /* a lost owner may still be executing what was to end */
	.apply = apply,
	.snapshot = snapshot,
	.restore = restore,
};

/* ---- proposals -------------------------------------------------------------------------------------------- */

void tasks_pack(struct wbuf *out, const struct tmf_everywhere *e)
{
	Tasks__Request q = TASKS__REQUEST__INIT;
	uint8_t buf[512]; /* 63 + 247 bytes of names, some for numbers */

	q.function = e->function == TMF_LUN_RESET    ? TASKS__FUNCTION__FUNCTION_LUN_RESET :
		     e->function == TMF_ABORT_OTHERS ? TASKS__FUNCTION__FUNCTION_ABORT_OTHERS :
						       TASKS__FUNCTION__FUNCTION_CLEAR_TASK_SET;
	q.lu = e->lu->name;
	q.port = (ProtobufCBinaryData){ .len = strlen(e->by->port), .data = (uint8_t *)e->by->port };
	q.rtpi = e->by->rtpi;
	wbuf_put(out, buf, tasks__request__pack(&q, buf));
}

static const char *name_of(enum tmf_function f)
{
	return f == TMF_LUN_RESET ? "a LOGICAL UNIT RESET" : f == TMF_ABORT_OTHERS ? "QERR=1" : "a CLEAR TASK SET";
}

static void proposed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct tmf_everywhere *e = cookie;

	(void)result;
	(void)len;
	if (status == PROPOSE_NOT_YET) { /* what version 1 does on all nodes */
		tmf_everywhere_here(e);
		return;
	}
	if (status != PROPOSE_OK)
		log_warning("LUN %s: %s of %s was not carried out on every node; its initiator is told so, and tries "
			    "another path or logs in anew", e->lu->name,
			    name_of(e->function), e->by->port);
	tmf_everywhere_done(e, status == PROPOSE_OK);
}

void tasks_everywhere(void *arg, struct tmf_everywhere *e)
{
	struct proposer *p = cluster_proposer(((struct daemon *)arg)->cluster);
	struct wbuf msg = { 0 };

	tasks_pack(&msg, e);
	p->propose(p, TASKS_SERVICE_ID, msg.data, msg.len, proposed, e); /* without memory: refused as malformed */
	wbuf_fini(&msg);
}
