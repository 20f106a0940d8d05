/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/log.h"
#include "core/wbuf_message.h"
#include "daemon/daemon.h"
#include "daemon/tasks.pb-c.h"
#include "media/records.h"

/* ---- records -------------------------------------------------------------------------------------------- */

static struct tasks_lu *find(const struct tasks_service *svc, const char *name)
{
	bool found;
	size_t i = records_place(svc->lu, svc->n, sizeof(*svc->lu), name, &found);

	return found ? &svc->lu[i] : NULL;
}

/* Made where there is none; NULL: no memory. */
static struct tasks_lu *get(struct tasks_service *svc, const char *name)
{
	bool found;
	size_t i = records_place(svc->lu, svc->n, sizeof(*svc->lu), name, &found);
	struct tasks_lu *grown;

	if (found)
		return &svc->lu[i];
	grown = records_insert(svc->lu, svc->n, sizeof(*grown), i, name);
	if (!grown)
		return NULL;
	svc->lu = grown;
	svc->n++;
	return &grown[i];
}

struct lu_ended tasks_last(const struct tasks_service *svc, const char *lu)
{
	const struct tasks_lu *l = find(svc, lu);

	return l ? l->last : (struct lu_ended){ .any = 0 };
}

void tasks_clear(struct tasks_service *svc)
{
	free(svc->lu);
	*svc = (struct tasks_service){ .n = 0 };
}

/* ---- the service ---------------------------------------------------------------------------------------- */

static bool name_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= LU_NAME_MAX;
}

static bool well_formed(const Tasks__Request *q, struct nexus_id *by)
{
	return !q->base.n_unknown_fields && q->function >= TASKS__FUNCTION__FUNCTION_CLEAR_TASK_SET &&
	       q->function <= TASKS__FUNCTION__FUNCTION_ABORT_OTHERS && name_good(q->lu) &&
	       nexus_id_take(by, q->port.data, q->port.len, q->rtpi);
}

static bool note(struct tasks_service *svc, const Tasks__Request *q)
{
	struct tasks_lu *lu = q->id ? get(svc, q->lu) : NULL;

	if (!lu)
		return !q->id;
	lu->last.any = q->id;
	if (q->function == TASKS__FUNCTION__FUNCTION_LUN_RESET)
		lu->last.reset = q->id;
	return true;
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

	if (q && well_formed(q, &by)) {
		if (note(state, q))
			effects(q, &by, a);
		else
			a->err = -ENOMEM;
		rc = a->err;
	}
	if (q)
		tasks__request__free_unpacked(q, NULL);
	return rc;
}

static void snapshot(const void *state, struct wbuf *out)
{
	const struct tasks_service *svc = state;
	Tasks__Snapshot s = TASKS__SNAPSHOT__INIT;
	Tasks__Lu *lu = calloc(svc->n + 1, sizeof(*lu)), **list = calloc(svc->n + 1, sizeof(*list));

	for (size_t i = 0; lu && list && i < svc->n; i++) {
		tasks__lu__init(&lu[i]);
		lu[i].name = svc->lu[i].name;
		lu[i].ended = svc->lu[i].last.any;
		lu[i].reset = svc->lu[i].last.reset;
		list[i] = &lu[i];
	}
	s.n_lu = svc->n;
	s.lu = list;
	if (lu && list)
		wbuf_put_message(out, &s.base);
	else
		out->err = -ENOMEM;
	free(lu);
	free(list);
}

/* NULL, or what is wrong with it. */
static const char *take(struct tasks_service *svc, const Tasks__Lu *pb)
{
	struct tasks_lu *lu;

	if (pb->base.n_unknown_fields || !name_good(pb->name) || find(svc, pb->name))
		return "a logical unit has no good name, or is there twice";
	if (!pb->ended)
		return "a logical unit is there without a function";
	lu = get(svc, pb->name);
	if (!lu)
		return "out of memory";
	lu->last = (struct lu_ended){ .any = pb->ended, .reset = pb->reset };
	return NULL;
}

static int restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct tasks_service *svc = state, fresh = { .n = 0 };
	Tasks__Snapshot *s = tasks__snapshot__unpack(NULL, len, p);
	const char *bad = !s || s->base.n_unknown_fields ? "it is not a snapshot of this service" : NULL;

	for (size_t i = 0; !bad && i < s->n_lu; i++)
		bad = take(&fresh, s->lu[i]);
	if (s)
		tasks__snapshot__free_unpacked(s, NULL);
	if (bad) {
		snprintf(err, errlen, "task management: the snapshot is refused: %s", bad);
		tasks_clear(&fresh);
		return -EBADMSG;
	}
	tasks_clear(svc);
	*svc = fresh;
	return 0;
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

void tasks_pack(struct wbuf *out, const struct tmf_everywhere *e, uint64_t id)
{
	Tasks__Request q = TASKS__REQUEST__INIT;
	uint8_t buf[512]; /* 63 + 247 bytes of names, some for numbers */

	q.function = e->function == TMF_LUN_RESET    ? TASKS__FUNCTION__FUNCTION_LUN_RESET :
		     e->function == TMF_ABORT_OTHERS ? TASKS__FUNCTION__FUNCTION_ABORT_OTHERS :
						       TASKS__FUNCTION__FUNCTION_CLEAR_TASK_SET;
	q.lu = e->lu->name;
	q.port = (ProtobufCBinaryData){ .len = strlen(e->by->port), .data = (uint8_t *)e->by->port };
	q.rtpi = e->by->rtpi;
	q.id = id;
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
	struct daemon *d = arg;
	struct proposer *p = cluster_proposer(d->cluster);
	struct wbuf msg = { 0 };
	uint64_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
		proposed(e, PROPOSE_FAILED, NULL, 0);
		return;
	}
	tasks_pack(&msg, e, cluster_version(d->cluster) < TASKS_ID_SINCE ? 0 : id | 1);
	p->propose(p, TASKS_SERVICE_ID, msg.data, msg.len, proposed, e); /* without memory: refused as malformed */
	wbuf_fini(&msg);
}
