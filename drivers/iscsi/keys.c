/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/iscsi/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "drivers/iscsi/pdu.h"

enum key_type {
	KEY_NUM_MIN,  /* numerical, the smaller of both wins */
	KEY_NUM_MAX,  /* the larger one */
	KEY_AND, /* boolean, both must want Yes */
	KEY_OR,	 /* one is enough */
	KEY_DIGEST, /* list of None and CRC32C */
	KEY_AUTH,   /* list of authentication methods */
	KEY_CHOICE, /* list with one name that we know: row->fixed */
	KEY_DECLARED_NUM, /* declared by the initiator, not answered */
	KEY_INITIATOR_NAME,
	KEY_TARGET_NAME,
	KEY_SESSION_TYPE,
	KEY_ALIAS,
	KEY_FIXED, /* always answered with row->fixed */
	KEY_TARGETS_OWN, /* only a target may send it */
};

#define S STAGE_SECURITY
#define O STAGE_OPERATIONAL
#define F STAGE_FULL

struct key_row {
	const char *name;
	enum key_type type;
	uint8_t stages;
	bool irrelevant_in_discovery;
	uint16_t at; /* offset in struct key_values */
	uint32_t def, min, max;
	const char *fixed;
};

#define AT(field) offsetof(struct key_values, field)
#define SEG_MAX 0xffffff

static const struct key_row rows[] = {
	/* declared first: the others depend on them */
	{ "SessionType", KEY_SESSION_TYPE, S | O, false, 0, 0, 0, 0, NULL },		/* 13.21 */
	{ "InitiatorName", KEY_INITIATOR_NAME, S | O, false, 0, 0, 0, 0, NULL },	/* 13.5 */
	{ "TargetName", KEY_TARGET_NAME, S | O, false, 0, 0, 0, 0, NULL },		/* 13.4 */
	{ "InitiatorAlias", KEY_ALIAS, S | O | F, false, 0, 0, 0, 0, NULL },		/* 13.7 */
	{ "MaxRecvDataSegmentLength", KEY_DECLARED_NUM, S | O | F, false, AT(send_segment), 8192, 512, SEG_MAX,
	  NULL },									/* 13.12 */
	{ "AuthMethod", KEY_AUTH, S, false, 0, 0, 0, 0, NULL },				/* 12.1 */
	{ "HeaderDigest", KEY_DIGEST, O, false, AT(header_digest), 0, 0, 1, NULL },	/* 13.1 */
	{ "DataDigest", KEY_DIGEST, O, false, AT(data_digest), 0, 0, 1, NULL },		/* 13.1 */
	{ "MaxConnections", KEY_NUM_MIN, O, true, AT(max_connections), 1, 1, 65535, NULL }, /* 13.2 */
	{ "InitialR2T", KEY_OR, O, true, AT(initial_r2t), 1, 0, 1, NULL },		/* 13.10 */
	{ "ImmediateData", KEY_AND, O, true, AT(immediate_data), 1, 0, 1, NULL },	/* 13.11 */
	{ "MaxBurstLength", KEY_NUM_MIN, O, true, AT(max_burst), 262144, 512, SEG_MAX, NULL },	   /* 13.13 */
	{ "FirstBurstLength", KEY_NUM_MIN, O, true, AT(first_burst), 65536, 512, SEG_MAX, NULL }, /* 13.14 */
	{ "DefaultTime2Wait", KEY_NUM_MAX, O, false, AT(time2wait), 2, 0, 3600, NULL },	   /* 13.15 */
	{ "DefaultTime2Retain", KEY_NUM_MIN, O, false, AT(time2retain), 20, 0, 3600, NULL }, /* 13.16 */
	{ "MaxOutstandingR2T", KEY_NUM_MIN, O, true, AT(max_outstanding_r2t), 1, 1, 65535, NULL }, /* 13.17 */
	{ "DataPDUInOrder", KEY_OR, O, true, AT(data_pdu_in_order), 1, 0, 1, NULL },	   /* 13.18 */
	{ "DataSequenceInOrder", KEY_OR, O, true, AT(data_sequence_in_order), 1, 0, 1, NULL }, /* 13.19 */
	{ "ErrorRecoveryLevel", KEY_NUM_MIN, O, false, AT(erl), 0, 0, 2, NULL },	   /* 13.20 */
	{ "TaskReporting", KEY_CHOICE, O, true, 0, 0, 0, 0, "RFC3720" },		   /* 13.23 */
	{ "iSCSIProtocolLevel", KEY_NUM_MIN, O, true, AT(protocol_level), 1, 0, 31, NULL },   /* 13.24 */
	{ "IFMarker", KEY_FIXED, O, false, 0, 0, 0, 0, "No" },				   /* 13.25, obsolete */
	{ "OFMarker", KEY_FIXED, O, false, 0, 0, 0, 0, "No" },
	{ "IFMarkInt", KEY_FIXED, O, false, 0, 0, 0, 0, "Reject" },
	{ "OFMarkInt", KEY_FIXED, O, false, 0, 0, 0, 0, "Reject" },
	{ "TargetAlias", KEY_TARGETS_OWN, S | O | F, false, 0, 0, 0, 0, NULL },
	{ "TargetAddress", KEY_TARGETS_OWN, S | O | F, false, 0, 0, 0, 0, NULL },
	{ "TargetPortalGroupTag", KEY_TARGETS_OWN, S | O | F, false, 0, 0, 0, 0, NULL },
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(NROWS <= 64, "negotiation.seen has a bit per row");

static uint32_t *value_at(struct key_values *v, const struct key_row *row)
{
	return (uint32_t *)((char *)v + row->at);
}

static bool row_has_value(const struct key_row *row)
{
	return row->type == KEY_NUM_MIN || row->type == KEY_NUM_MAX || row->type == KEY_AND || row->type == KEY_OR ||
	       row->type == KEY_DIGEST || row->type == KEY_DECLARED_NUM;
}

static const struct key_row *row_find(const char *name)
{
	for (size_t i = 0; i < NROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

__attribute__((format(printf, 3, 4))) static int fail(struct negotiation *n, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(n->problem, sizeof(n->problem), fmt, ap);
	va_end(ap);
	return status;
}

void keys_init(struct negotiation *n, const struct iscsi_settings *s)
{
	memset(n, 0, sizeof(*n));
	for (size_t i = 0; i < NROWS; i++)
		if (row_has_value(&rows[i]))
			*value_at(&n->active, &rows[i]) = rows[i].def;
	n->ours = (struct key_values){
		.header_digest = s->header_digest,
		.data_digest = s->data_digest,
		.max_connections = 1,
		.initial_r2t = s->initial_r2t,
		.immediate_data = s->immediate_data,
		.max_burst = s->max_burst,
		.first_burst = s->first_burst < s->max_burst ? s->first_burst : s->max_burst,
		.time2wait = 0,	  /* the initiator decides: nothing here needs it to wait */
		.time2retain = 0, /* error recovery level 0 retains nothing */
		.max_outstanding_r2t = 1,
		.data_pdu_in_order = 1,
		.data_sequence_in_order = 1,
		.erl = 0,
		.protocol_level = 2, /* RFC 7144 */
	};
}

/* ---- one type of key each: 0 or a login status ------------------------------------------------ */

static bool digest_wanted(const void *arg, const char *name)
{
	const uint32_t *crc = arg;

	return strcmp(name, "None") == 0 || (*crc && strcmp(name, "CRC32C") == 0);
}

static bool name_equals(const void *arg, const char *name)
{
	return strcmp(arg, name) == 0;
}

static void answer_digest(struct negotiation *n, const struct key_row *row, const char *value,
			  struct text_writer *out)
{
	char chosen[16];

	if (!text_choose(value, digest_wanted, value_at(&n->ours, row), chosen, sizeof(chosen))) {
		text_add(out, row->name, "Reject");
		return;
	}
	*value_at(&n->active, row) = strcmp(chosen, "CRC32C") == 0;
	text_add(out, row->name, chosen);
}

static void answer_number(struct negotiation *n, const struct key_row *row, const char *value,
			  struct text_writer *out)
{
	uint32_t theirs, ours = *value_at(&n->ours, row), agreed;

	if (!text_number(value, &theirs) || theirs < row->min || theirs > row->max) {
		text_add(out, row->name, "Reject");
		return;
	}
	/* 13.14: FirstBurstLength never exceeds MaxBurstLength */
	if (row->at == AT(first_burst) && ours > n->active.max_burst)
		ours = n->active.max_burst;
	if (row->type == KEY_NUM_MIN)
		agreed = theirs < ours ? theirs : ours;
	else
		agreed = theirs > ours ? theirs : ours;
	*value_at(&n->active, row) = agreed;
	text_addf(out, row->name, "%u", agreed);
}

static void answer_bool(struct negotiation *n, const struct key_row *row, const char *value, struct text_writer *out)
{
	bool yes = strcmp(value, "Yes") == 0, ours = *value_at(&n->ours, row), agreed;

	if (!yes && strcmp(value, "No") != 0) {
		text_add(out, row->name, "Reject");
		return;
	}
	agreed = row->type == KEY_AND ? yes && ours : yes || ours;
	*value_at(&n->active, row) = agreed;
	text_add(out, row->name, agreed ? "Yes" : "No");
}

/* Authentication methods in this build. CHAP becomes a row with the keys that its exchange needs (12.1.3). */
static const char *const auth_methods[] = { "None" };

static bool auth_wanted(const void *arg, const char *name)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(auth_methods) / sizeof(auth_methods[0]); i++)
		if (strcmp(auth_methods[i], name) == 0)
			return true;
	return false;
}

static int answer_auth(struct negotiation *n, const char *value, struct text_writer *out)
{
	char chosen[32];

	if (!text_choose(value, auth_wanted, NULL, chosen, sizeof(chosen)))
		return fail(n, LOGIN_AUTH_FAILED, "AuthMethod=%.64s: this target offers None only", value);
	n->auth_chosen = true;
	text_add(out, "AuthMethod", chosen);
	return 0;
}

static void answer_choice(const struct key_row *row, const char *value, struct text_writer *out)
{
	char chosen[32];
	bool ok = text_choose(value, name_equals, row->fixed, chosen, sizeof(chosen));

	text_add(out, row->name, ok ? chosen : "Reject");
}

static int declare_number(struct negotiation *n, const struct key_row *row, const char *value)
{
	uint32_t v;

	if (!text_number(value, &v) || v < row->min || v > row->max)
		return fail(n, LOGIN_INITIATOR_ERROR, "%s=%.32s: must be %u to %u", row->name, value, row->min,
			    row->max);
	*value_at(&n->active, row) = v;
	return 0;
}

static int declare_name(struct negotiation *n, const char *key, const char *value, char out[224])
{
	const char *why;

	if (!text_iscsi_name(value, out, &why))
		return fail(n, LOGIN_INITIATOR_ERROR, "%s=%.64s: %s", key, value, why);
	return 0;
}

static int declare_session_type(struct negotiation *n, const char *value)
{
	if (strcmp(value, "Normal") != 0 && strcmp(value, "Discovery") != 0)
		return fail(n, LOGIN_SESSION_TYPE, "SessionType=%.32s: must be Normal or Discovery", value);
	n->discovery = value[0] == 'D';
	return 0;
}

/* ---- a pair ------------------------------------------------------------------------------------ */

static bool is_answer(const char *value)
{
	return strcmp(value, "NotUnderstood") == 0 || strcmp(value, "Reject") == 0 || strcmp(value, "Irrelevant") == 0;
}

static bool irrelevant(const struct negotiation *n, const struct key_row *row)
{
	if (row->irrelevant_in_discovery && n->discovery)
		return true;
	/* 13.14: no unsolicited data at all */
	return row->at == AT(first_burst) && row->type == KEY_NUM_MIN && n->active.initial_r2t &&
	       !n->active.immediate_data && n->seen & 1ull << (row_find("InitialR2T") - rows) &&
	       n->seen & 1ull << (row_find("ImmediateData") - rows);
}

static int pair_do(struct negotiation *n, const struct key_row *row, const char *value, struct text_writer *out)
{
	switch (row->type) {
	case KEY_NUM_MIN:
	case KEY_NUM_MAX:
		answer_number(n, row, value, out);
		return 0;
	case KEY_AND:
	case KEY_OR:
		answer_bool(n, row, value, out);
		return 0;
	case KEY_DIGEST:
		answer_digest(n, row, value, out);
		return 0;
	case KEY_AUTH:
		return answer_auth(n, value, out);
	case KEY_CHOICE:
		answer_choice(row, value, out);
		return 0;
	case KEY_DECLARED_NUM:
		return declare_number(n, row, value);
	case KEY_INITIATOR_NAME:
		return declare_name(n, row->name, value, n->initiator);
	case KEY_TARGET_NAME:
		return declare_name(n, row->name, value, n->target);
	case KEY_SESSION_TYPE:
		return declare_session_type(n, value);
	case KEY_ALIAS:
		snprintf(n->alias, sizeof(n->alias), "%s", value);
		return 0;
	case KEY_FIXED:
		text_add(out, row->name, row->fixed);
		return 0;
	case KEY_TARGETS_OWN:
		return fail(n, LOGIN_INITIATOR_ERROR, "%s: only a target may send this key", row->name);
	}
	return 0;
}

int keys_pair(struct negotiation *n, enum key_stage stage, const char *key, const char *value,
	      struct text_writer *out)
{
	const struct key_row *row = row_find(key);
	uint64_t bit;

	if (is_answer(value)) /* to a key of ours; all of those are declarations */
		return 0;
	if (!row) {
		text_add(out, key, "NotUnderstood");
		return 0;
	}
	bit = 1ull << (row - rows);
	if (!(row->stages & stage)) {
		if (stage == STAGE_FULL) {
			text_add(out, key, "Reject");
			return 0;
		}
		return fail(n, LOGIN_INITIATOR_ERROR, "%s: not allowed in this stage of the login", key);
	}
	if (stage != STAGE_FULL && (n->seen & bit)) /* 6.3: once per login */
		return fail(n, LOGIN_INITIATOR_ERROR, "%s: sent twice in one login", key);
	n->seen |= bit;
	if (irrelevant(n, row)) {
		text_add(out, key, "Irrelevant");
		return 0;
	}
	return pair_do(n, row, value, out);
}

static bool declared(const char *key)
{
	const struct key_row *row = row_find(key);

	return row && (row->type == KEY_SESSION_TYPE || row->type == KEY_INITIATOR_NAME ||
		       row->type == KEY_TARGET_NAME);
}

/* Two passes: what the answers depend on is declared anywhere in the text (SessionType above all). The first one also
 * proves that the text is well-formed, and leaves it as it was. */
static int first_pass(struct negotiation *n, enum key_stage stage, char *text, uint32_t len, struct text_writer *out)
{
	struct text_reader r = { text, text + len };
	char *key, *value;

	for (;;) {
		int rc = 0;

		switch (text_next(&r, &key, &value)) {
		case TEXT_END:
			return 0;
		case TEXT_MALFORMED:
			return fail(n, LOGIN_INITIATOR_ERROR, "malformed text: not a list of key=value pairs");
		case TEXT_PAIR:
			if (declared(key))
				rc = keys_pair(n, stage, key, value, out);
			value[-1] = '='; /* as it was */
			break;
		}
		if (rc)
			return rc;
	}
}

static int second_pass(struct negotiation *n, enum key_stage stage, char *text, uint32_t len, struct text_writer *out)
{
	struct text_reader r = { text, text + len };
	char *key, *value;
	int rc = 0;

	while (!rc && text_next(&r, &key, &value) == TEXT_PAIR)
		if (!declared(key))
			rc = keys_pair(n, stage, key, value, out);
	return rc;
}

int keys_text(struct negotiation *n, enum key_stage stage, char *text, uint32_t len, struct text_writer *out)
{
	int rc = first_pass(n, stage, text, len, out);

	if (!rc)
		rc = second_pass(n, stage, text, len, out);
	if (!rc && out->full)
		return fail(n, LOGIN_INITIATOR_ERROR, "more keys than one answer can hold (%u bytes)", out->cap);
	return rc;
}
