/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/abort.h"
#include "core/cdb.h"
#include "core/copy_results.h"
#include "core/core.h"
#include "core/lu.h"
#include "core/nexus.h"

#define BUCKETS 256
#define NEXUSES_MAX 4096 /* idle ones are forgotten beyond that */

struct remote_nexus { /* an I_T_L nexus: the nexus sees this one logical unit, as LUN 0 */
	struct nexus nexus;
	struct itl itl;
	uint32_t commands;
	struct remote_nexus *next;
};

struct remote_nexuses {
	struct core *core;
	struct reactor *reactor;
	uint32_t n;
	struct remote_nexus *bucket[BUCKETS];
};

/* ---- nexuses ------------------------------------------------------------------------------------------ */

struct remote_nexuses *remote_nexuses_new(struct core *core, struct reactor *r)
{
	struct remote_nexuses *t = calloc(1, sizeof(*t));

	if (t) {
		t->core = core;
		t->reactor = r;
	}
	return t;
}

static void forget(struct remote_nexuses *t, bool all)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct remote_nexus **p = &t->bucket[i], *n; (n = *p);) {
			if (!all && n->commands) {
				p = &n->next;
				continue;
			}
			*p = n->next;
			t->n--;
			copy_results_free(&n->nexus);
			free(n);
		}
}

void remote_nexuses_free(struct remote_nexuses *t)
{
	if (!t)
		return;
	forget(t, true);
	free(t);
}

static unsigned hash(const struct nexus_id *id, const struct lu *lu)
{
	uint32_t h = 2166136261u ^ id->rtpi; /* FNV-1a */

	for (const char *p = id->port; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return (h ^ (uint32_t)((uintptr_t)lu >> 6)) % BUCKETS;
}

static struct remote_nexus *nexus_new(struct remote_nexuses *t, const struct nexus_id *id, struct lu *lu)
{
	struct remote_nexus *n;

	if (t->n >= NEXUSES_MAX)
		forget(t, false);
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->nexus.id = *id;
	n->nexus.reactor = t->reactor;
	n->nexus.nitl = 1;
	n->nexus.itl = &n->itl;
	n->itl.lu = lu;
	n->itl.nexus = &n->nexus;
	t->n++;
	return n;
}

static struct remote_nexus *find(struct remote_nexuses *t, const struct nexus_id *id, struct lu *lu)
{
	struct remote_nexus **b = &t->bucket[hash(id, lu)], *n;

	for (n = *b; n; n = n->next)
		if (n->itl.lu == lu && nexus_id_eq(&n->nexus.id, id))
			return n;
	n = nexus_new(t, id, lu);
	if (n) {
		b = &t->bucket[hash(id, lu)];
		n->next = *b;
		*b = n;
	}
	return n;
}

/* ---- commands ------------------------------------------------------------------------------------------- */

static struct lu *find_lu(struct core *core, const struct remote_request *q)
{
	if (q->lu_hint < __atomic_load_n(&core->nlus, __ATOMIC_ACQUIRE)) {
		struct lu *lu = __atomic_load_n(&core->lu[q->lu_hint], __ATOMIC_ACQUIRE);

		if (strcmp(lu->name, q->lu) == 0)
			return lu;
	}
	return core_find_lu(core, q->lu);
}

static void cmd_done(struct scsi_cmd *cmd)
{
	struct remote_cmd *rc = caa_container_of(cmd, struct remote_cmd, cmd);

	rc->done(rc);
}

static void fill(struct scsi_cmd *cmd, const struct remote_request *q, struct nexus *nexus)
{
	cmd->nexus = nexus;
	memcpy(cmd->cdb, q->cdb, CDB_MAX);
	cmd->cdb_got = CDB_MAX;
	memset(cmd->lun, 0, sizeof(cmd->lun));
	cmd->tag = 0;
	cmd->attr = q->attr;
	cmd->read = q->read;
	cmd->write = q->write;
	cmd->expected_len = q->expected_len;
	cmd->done = cmd_done;
	cmd_init(cmd);
	cmd->remote = true;
}

/* Only what needs the medium comes here; everything else is answered where it entered. */
static bool acceptable(const struct scsi_cmd *cmd, uint32_t data_len)
{
	return cmd->row && (cmd->row->flags & ROW_MEDIUM) && !(cmd->row->flags & (ROW_CONTROL | ROW_WIPES)) &&
	       data_len <= cmd->data_out_len;
}

int remote_begin(struct remote_nexuses *t, struct remote_cmd *rc, const struct remote_request *q, uint32_t data_len)
{
	struct lu *lu = find_lu(t->core, q);
	int rc_err = 0;

	if (!lu)
		return -ENOENT;
	rc->nexus = find(t, &q->nexus, lu);
	if (!rc->nexus)
		return -ENOMEM;
	rc->nexus->itl.read_only = q->read_only;
	rc->nexus->commands++;
	fill(&rc->cmd, q, &rc->nexus->nexus);
	cmd_decode(&rc->cmd);
	if (!acceptable(&rc->cmd, data_len))
		rc_err = -EBADMSG;
	else if (data_len && !cmd_buf_alloc(&rc->cmd, data_len))
		rc_err = -ENOMEM;
	if (rc_err < 0) {
		remote_abandon(rc);
		remote_end(rc);
	}
	rc->cmd.data_out_got = data_len;
	return rc_err;
}

void remote_execute(struct remote_cmd *rc)
{
	cmd_execute(&rc->cmd);
}

void remote_abort(struct remote_cmd *rc)
{
	cmd_abort_silently(&rc->cmd);
	if (rc->cmd.state == CMD_HELD)
		cmd_execute(&rc->cmd);
}

void remote_abandon(struct remote_cmd *rc)
{
	cmd_abandon(&rc->cmd);
}

void remote_end(struct remote_cmd *rc)
{
	cmd_fini(&rc->cmd);
	rc->nexus->commands--;
}
