/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/abort.h"
#include "core/cdb.h"
#include "core/copy_results.h"
#include "core/core.h"
#include "core/handlers.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/target.h"

#define BUCKETS 256
#define NEXUSES_MAX 4096 /* idle ones are forgotten beyond that */

struct remote_map { /* LUN 0: the logical unit of its commands; others that their copies may reach */
	struct remote_map *older;
	uint32_t n;
	struct itl itl[];
};

struct remote_nexus { /* an I_T_L nexus: the nexus sees this one logical unit, as LUN 0 */
	struct nexus nexus;
	struct itl itl;
	struct remote_map *map; /* in place of itl; NULL until it copies. Older ones may be in use by commands */
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

static void free_maps(struct remote_map **from)
{
	for (struct remote_map *m; (m = *from);) {
		*from = m->older;
		free(m);
	}
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
			free_maps(&n->map);
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

/* ---- third-party copies: from and to other logical units that the initiator sees ------------------------ */

static bool copies(const struct cdb_row *row)
{
	return row && (row->exec == extended_copy_lid1 || row->exec == extended_copy_lid4 ||
		       row->exec == rod_copy_write);
}

/* What the access lists of the port that it entered through show it: they are the same on every node. NULL: nothing. */
static const struct initiator_acl *acl_of(const struct remote_nexuses *t, const struct nexus_id *id)
{
	const struct target *target = target_find_port(t->core, id->rtpi);
	char initiator[sizeof(id->port)];
	const char *end = strstr(id->port, ",i,"); /* no comma is in an iSCSI name (RFC 7143 4.2.7.2) */

	if (!target || !end)
		return NULL;
	memcpy(initiator, id->port, end - id->port);
	initiator[end - id->port] = '\0';
	return target_acl(target, initiator);
}

static struct remote_map *map_new(struct remote_nexus *n, const struct initiator_acl *acl)
{
	uint16_t nluns = acl ? acl->nluns : 0;
	struct remote_map *map = calloc(1, sizeof(*map) + (nluns + 1) * sizeof(map->itl[0]));

	if (!map)
		return NULL;
	map->itl[map->n++] = (struct itl){ .lu = n->itl.lu, .nexus = &n->nexus };
	for (uint16_t i = 0; i < nluns; i++) {
		const struct lun_entry *e = &acl->lun[i];
		struct itl *itl = &map->itl[map->n];

		if (e->lu == n->itl.lu)
			continue;
		*itl = (struct itl){ .lu = e->lu, .nexus = &n->nexus, .lun = map->n, .read_only = e->read_only };
		map->n++;
	}
	return map;
}

/* Of the other logical units; that of the commands comes with each of them. */
static bool same(const struct remote_map *a, const struct remote_map *b)
{
	bool equal = a && a->n == b->n;

	for (uint32_t i = 1; equal && i < a->n; i++)
		equal = a->itl[i].lu == b->itl[i].lu && a->itl[i].read_only == b->itl[i].read_only;
	return equal;
}

/* By the access lists as they are now. False: no memory. */
static bool show_others(struct remote_nexuses *t, struct remote_nexus *n)
{
	struct remote_map *map = map_new(n, acl_of(t, &n->nexus.id));

	if (!map)
		return false;
	if (same(n->map, map)) {
		free(map);
		return true;
	}
	map->older = n->map;
	n->map = map;
	n->nexus.itl = map->itl;
	n->nexus.nitl = map->n;
	return true;
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
	bool unknown;

	if (!lu)
		return -ENOENT;
	rc->nexus = find(t, &q->nexus, lu);
	if (!rc->nexus || (copies(cdb_find(q->cdb, &unknown)) && !show_others(t, rc->nexus)))
		return -ENOMEM;
	rc->nexus->nexus.itl[0].read_only = q->read_only;
	rc->nexus->commands++;
	rc->epoch = q->epoch;
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

bool remote_is_late(const struct scsi_cmd *cmd, const struct alua_gate *gate)
{
	const struct remote_cmd *rc = caa_container_of(cmd, struct remote_cmd, cmd);

	return rc->epoch && rc->epoch != gate->epoch;
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
	struct remote_nexus *n = rc->nexus;

	cmd_fini(&rc->cmd);
	if (--n->commands == 0 && n->map)
		free_maps(&n->map->older);
}
