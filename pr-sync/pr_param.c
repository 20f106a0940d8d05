/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr_param.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"
#include "pr-sync/transport_id.h"

enum { /* byte 20 of the list (table 212) */
	SPEC_I_PT = 1 << 3,
	ALL_TG_PT = 1 << 2,
	APTPL = 1 << 0,
};
enum { /* byte 17 for REGISTER AND MOVE (table 214) */
	MOVE_UNREG = 1 << 1,
	MOVE_APTPL = 1 << 0,
};

static int wrong(struct pr_param_error *e, sense_t s, int field, int bit, bool in_cdb)
{
	e->sense = s;
	e->detail = (struct sense_detail){ .field = field, .bit = bit, .in_cdb = in_cdb };
	return -1;
}

static int wrong_length(struct pr_param_error *e)
{
	return wrong(e, SENSE_PARAMETER_LIST_LENGTH, -1, -1, false);
}

static int wrong_param(struct pr_param_error *e, int field, int bit)
{
	return wrong(e, SENSE_INVALID_FIELD_IN_PARAM, field, bit, false);
}

static bool has_port(const struct target *t, uint16_t rtpi)
{
	for (uint16_t i = 0; i < t->nports; i++)
		if (t->port[i].rtpi == rtpi)
			return true;
	return false;
}

/* "every target port in the SCSI target device" (6.16.3), that is, of every node */
static int all_target_ports(struct pr_param *p, const struct target *t, struct pr_param_error *e)
{
	for (uint16_t i = 0; i < t->nports; i++) {
		if (t->port[i].rtpi == p->op.nexus.rtpi)
			continue;
		if (p->op.nrtpi == PR_TARGET_PORTS_MAX)
			return wrong(e, SENSE_INSUFFICIENT_REGISTRATION, -1, -1, false);
		p->rtpi[p->op.nrtpi++] = t->port[i].rtpi;
	}
	p->op.rtpi = p->rtpi;
	p->op.all_tg_pt = true;
	return 0;
}

static int ports_alloc(struct pr_param *p, struct pr_param_error *e)
{
	p->name = malloc(PR_SPEC_PORTS_MAX * sizeof(p->name[0]));
	p->port = malloc(PR_SPEC_PORTS_MAX * sizeof(char *));
	if (p->name && p->port)
		return 0;
	return wrong(e, SENSE_NONE, -1, -1, false);
}

/* TRANSPORTID PARAMETER DATA LENGTH, then TransportIDs (table 213) */
static int spec_i_pt(struct pr_param *p, const uint8_t *list, size_t len, struct pr_param_error *e)
{
	size_t at = PR_PARAM_LEN + 4, used;

	if (len < at || get_be32(list + PR_PARAM_LEN) != len - at)
		return wrong_length(e);
	if (ports_alloc(p, e))
		return -1;
	for (; at < len; at += used) {
		uint32_t n = p->op.nports;

		if (n == PR_SPEC_PORTS_MAX)
			return wrong(e, SENSE_INSUFFICIENT_REGISTRATION, -1, -1, false);
		used = transport_id_parse(list + at, len - at, p->name[n]);
		if (!used)
			return wrong_param(e, at, -1);
		p->port[n] = p->name[n];
		p->op.nports++;
	}
	p->op.port = p->port;
	p->op.spec_i_pt = true;
	return 0;
}

static int parse_move(struct pr_param *p, const uint8_t *list, size_t len, const struct target *t,
		      struct pr_param_error *e)
{
	uint16_t rtpi = get_be16(list + 18);
	size_t used;

	if (get_be32(list + 20) != len - PR_PARAM_LEN)
		return wrong_length(e);
	p->op.unreg = list[17] & MOVE_UNREG;
	p->op.aptpl = list[17] & MOVE_APTPL;
	if (!has_port(t, rtpi))
		return wrong_param(e, 18, -1);
	p->op.move_to.rtpi = rtpi;
	used = transport_id_parse(list + PR_PARAM_LEN, len - PR_PARAM_LEN, p->op.move_to.port);
	if (!used || used != len - PR_PARAM_LEN)
		return wrong_param(e, PR_PARAM_LEN, -1);
	return 0;
}

static bool registers(enum pr_action a)
{
	return a == PR_REGISTER || a == PR_REGISTER_AND_IGNORE;
}

/* APTPL and ALL_TG_PT are ignored where nothing is registered; SPEC_I_PT is refused there
 * (6.16.3). */
static int parse_basic(struct pr_param *p, const uint8_t *list, size_t len, const struct target *t,
		       struct pr_param_error *e)
{
	uint8_t flags = list[20];

	if ((flags & SPEC_I_PT) && p->op.action != PR_REGISTER)
		return wrong_param(e, 20, 3);
	if (!(flags & SPEC_I_PT) && len != PR_PARAM_LEN)
		return wrong_length(e);
	if (!registers(p->op.action))
		return 0;
	p->op.aptpl = flags & APTPL;
	if ((flags & ALL_TG_PT) && all_target_ports(p, t, e))
		return -1;
	return flags & SPEC_I_PT ? spec_i_pt(p, list, len, e) : 0;
}

int pr_param_parse(struct pr_param *p, const uint8_t *cdb, const uint8_t *list, size_t cdb_len,
		   size_t len, const struct nexus_id *nexus, const struct target *target,
		   struct pr_param_error *e)
{
	memset(p, 0, sizeof(*p));
	p->op.action = cdb[1] & 0x1f;
	if ((cdb[1] & 0x1f) >= PR_ACTIONS)
		return wrong(e, SENSE_INVALID_FIELD_IN_CDB, 1, 4, true);
	if (cdb_len < PR_PARAM_LEN || cdb_len > PR_PARAM_MAX || len < cdb_len)
		return wrong_length(e);
	p->op.nexus = *nexus;
	p->op.scope = cdb[2] >> 4;
	p->op.type = cdb[2] & 0x0f;
	p->op.key = get_be64(list);
	p->op.sa_key = get_be64(list + 8);
	if (p->op.action == PR_REGISTER_AND_MOVE)
		return parse_move(p, list, cdb_len, target, e);
	return parse_basic(p, list, cdb_len, target, e);
}

void pr_param_fini(struct pr_param *p)
{
	free(p->name);
	free(p->port);
	memset(p, 0, sizeof(*p));
}
