/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/iscsi/login.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the state machine ----------------------------------------------------------------------- */

#define IN(phase) (1u << (phase))
#define STAY -1

static const struct {
	unsigned phases;
	int csg;
	int nsg; /* STAY: the T bit is clear */
	enum login_phase next;
} transitions[] = {
	{ IN(PHASE_START) | IN(PHASE_SECURITY), WIRE_SECURITY, STAY, PHASE_SECURITY },
	{ IN(PHASE_START) | IN(PHASE_SECURITY), WIRE_SECURITY, WIRE_OPERATIONAL, PHASE_OPERATIONAL },
	{ IN(PHASE_START) | IN(PHASE_SECURITY), WIRE_SECURITY, WIRE_FULL, PHASE_FULL },
	{ IN(PHASE_START) | IN(PHASE_OPERATIONAL), WIRE_OPERATIONAL, STAY, PHASE_OPERATIONAL },
	{ IN(PHASE_START) | IN(PHASE_OPERATIONAL), WIRE_OPERATIONAL, WIRE_FULL, PHASE_FULL },
};

bool login_next_phase(enum login_phase phase, uint8_t flags, enum login_phase *next)
{
	int csg = flags >> 2 & 3, nsg = flags & LOGIN_TRANSIT ? flags & 3 : STAY;

	for (size_t i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++)
		if (transitions[i].phases & IN(phase) && transitions[i].csg == csg && transitions[i].nsg == nsg) {
			*next = transitions[i].next;
			return true;
		}
	return false;
}

const char *login_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} names[] = {
		{ LOGIN_INITIATOR_ERROR, "initiator error" },
		{ LOGIN_AUTH_FAILED, "authentication failed" },
		{ LOGIN_FORBIDDEN, "not authorized: no access list of the target names this initiator" },
		{ LOGIN_NOT_FOUND, "no such target" },
		{ LOGIN_UNSUPPORTED_VERSION, "protocol version not supported" },
		{ LOGIN_TOO_MANY_CONNECTIONS, "a session has one connection here" },
		{ LOGIN_MISSING_PARAMETER, "missing parameter" },
		{ LOGIN_SESSION_TYPE, "session type not supported" },
		{ LOGIN_NO_SESSION, "no session with this TSIH" },
		{ LOGIN_INVALID_DURING_LOGIN, "not a Login Request" },
		{ LOGIN_UNAVAILABLE, "service unavailable" },
		{ LOGIN_OUT_OF_RESOURCES, "out of resources" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].status == status)
			return names[i].text;
	return "target error";
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void answer_header(struct iscsi_conn *c, uint8_t flags, int status, uint8_t bhs[BHS_LEN])
{
	const struct login *l = &c->login;

	memset(bhs, 0, BHS_LEN);
	bhs[0] = OP_LOGIN_RSP;
	bhs[BHS_FLAGS] = flags;
	put_be16(bhs + LOGIN_ISID, l->isid >> 32);
	put_be32(bhs + LOGIN_ISID + 2, l->isid);
	put_be16(bhs + LOGIN_TSIH, l->tsih);
	put_be32(bhs + BHS_ITT, l->itt);
	put_be16(bhs + LOGIN_STATUS, status);
}

__attribute__((format(printf, 3, 4))) static void refuse(struct iscsi_conn *c, int status, const char *fmt, ...)
{
	uint8_t bhs[BHS_LEN];
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_warning("iscsi: login of %s from %s refused (%04xh, %s)%s%s",
		    c->neg.initiator[0] ? c->neg.initiator : "an unnamed initiator", c->peer, status,
		    login_status_text(status), why[0] ? ": " : "", why);
	answer_header(c, 0, status, bhs);
	if (send_misc(c, bhs, NUMBERS_STATUS, NULL, 0))
		c->tx.close_when_empty = true;
}

static void answer_partial(struct iscsi_conn *c, uint8_t flags)
{
	struct login *l = &c->login;
	uint8_t bhs[BHS_LEN];

	answer_header(c, flags, LOGIN_OK, bhs);
	send_misc(c, bhs, NUMBERS_STATUS, l->out.buf, l->out.len);
}

/* ---- the session's beginning -------------------------------------------------------------------- */

static bool final_emit(struct iscsi_conn *c, struct out_item *i)
{
	(void)i;
	send_pdu(c, c->login.final, NUMBERS_STATUS, c->login.out.buf, c->login.out.len);
	conn_full_feature(c);
	return true;
}

static void final_release(struct iscsi_conn *c, struct out_item *i)
{
	(void)i;
	login_free(c);
}

static const struct out_ops final_ops = { final_emit, final_release };

static void nexus_name(struct iscsi_conn *c)
{
	struct nexus *n = &c->nexus;

	/* RFC 7143 4.2.7: the SCSI initiator port name */
	snprintf(n->id.port, sizeof(n->id.port), "%s,i,0x%012llx", c->neg.initiator,
		 (unsigned long long)c->login.isid);
	n->id.rtpi = target_local_port(c->target)->rtpi;
	snprintf(n->peer, sizeof(n->peer), "%s", c->peer);
	n->target = c->target;
}

static int session_begin(struct iscsi_conn *c)
{
	c->nexus.since = time(NULL);
	if (c->neg.discovery)
		return 0;
	nexus_name(c);
	if (task_pool_init(c) || nexus_attach(&c->nexus, c->reactor))
		return -ENOMEM;
	c->attached = true;
	return 0;
}

void login_registered(struct iscsi_conn *c)
{
	struct login *l = &c->login;

	if (c->session.status != LOGIN_OK) {
		refuse(c, c->session.status, "TSIH %u", l->tsih);
		return;
	}
	if (session_begin(c)) {
		refuse(c, LOGIN_OUT_OF_RESOURCES, "no memory for a session");
		return;
	}
	l->tsih = c->session.tsih;
	put_be16(l->final + LOGIN_TSIH, l->tsih);
	l->item = (struct out_item){ .ops = &final_ops };
	send_queue(c, &l->item);
}

/* ---- checks of the first request ---------------------------------------------------------------- */

/* 0 or a login status. */
static int find_target(struct iscsi_conn *c)
{
	struct negotiation *n = &c->neg;

	if (n->discovery)
		return 0;
	c->target = target_find(c->server->core, n->target);
	if (!c->target)
		return LOGIN_NOT_FOUND;
	if (!target_acl(c->target, n->initiator))
		return LOGIN_FORBIDDEN;
	return 0;
}

static bool check_names(struct iscsi_conn *c)
{
	struct negotiation *n = &c->neg;
	int status;

	if (c->login.target_checked)
		return true;
	snprintf(c->nexus.initiator, sizeof(c->nexus.initiator), "%s", n->initiator);
	if (!n->initiator[0]) { /* 6.3: in the first request */
		refuse(c, LOGIN_MISSING_PARAMETER, "InitiatorName is missing in the first Login Request");
		return false;
	}
	if (!n->discovery && !n->target[0]) {
		refuse(c, LOGIN_MISSING_PARAMETER, "TargetName is missing in the first Login Request");
		return false;
	}
	status = find_target(c);
	if (status) {
		refuse(c, status, "target %s", n->target);
		return false;
	}
	c->login.target_checked = true;
	if (c->target) /* 13.9 */
		text_addf(&c->login.out, "TargetPortalGroupTag", "%u", target_local_port(c->target)->tpgt);
	return true;
}

static void first_request(struct iscsi_conn *c, const uint8_t *bhs)
{
	struct login *l = &c->login;

	l->isid = (uint64_t)get_be16(bhs + LOGIN_ISID) << 32 | get_be32(bhs + LOGIN_ISID + 2);
	l->tsih = get_be16(bhs + LOGIN_TSIH);
	l->cid = c->cid = get_be16(bhs + LOGIN_CID);
	c->exp_cmdsn = get_be32(bhs + BHS_CMDSN);
	c->max_cmdsn = c->exp_cmdsn + c->server->set.queue_depth - 1;
	c->stat_sn = get_be32(bhs + BHS_EXPSTATSN);
}

static bool same_login(const struct iscsi_conn *c, const uint8_t *bhs)
{
	const struct login *l = &c->login;

	return l->isid == ((uint64_t)get_be16(bhs + LOGIN_ISID) << 32 | get_be32(bhs + LOGIN_ISID + 2)) &&
	       l->tsih == get_be16(bhs + LOGIN_TSIH) && l->cid == get_be16(bhs + LOGIN_CID);
}

/* ---- a request ---------------------------------------------------------------------------------- */

static bool append_text(struct iscsi_conn *c)
{
	struct login *l = &c->login;

	if (l->text_len + c->rx.data_len > TEXT_REQUEST_MAX) {
		refuse(c, LOGIN_INITIATOR_ERROR, "more than %d bytes of login text", TEXT_REQUEST_MAX);
		return false;
	}
	if (c->rx.data_len) /* rx.own is NULL before the first data segment */
		memcpy(l->text + l->text_len, c->rx.own, c->rx.data_len);
	l->text_len += c->rx.data_len;
	return true;
}

static bool negotiate(struct iscsi_conn *c, uint8_t flags)
{
	struct login *l = &c->login;
	bool operational = (flags >> 2 & 3) == WIRE_OPERATIONAL;
	int status = keys_text(&c->neg, operational ? STAGE_OPERATIONAL : STAGE_SECURITY, l->text, l->text_len,
			       &l->out);

	l->text_len = 0;
	if (status) {
		refuse(c, status, "%s", c->neg.problem);
		return false;
	}
	if (!check_names(c))
		return false;
	if (operational && !l->declared) {
		l->declared = true;
		text_addf(&l->out, "MaxRecvDataSegmentLength", "%u", c->server->set.max_recv_data_segment);
	}
	if (l->out.full)
		refuse(c, LOGIN_INITIATOR_ERROR, "more keys than one answer can hold");
	return !l->out.full;
}

static void request(struct iscsi_conn *c, const uint8_t *bhs)
{
	struct login *l = &c->login;
	uint8_t flags = bhs[BHS_FLAGS];
	enum login_phase next;

	if (!login_next_phase(l->phase, flags, &next) || (flags & LOGIN_TRANSIT && flags & LOGIN_CONTINUE)) {
		refuse(c, LOGIN_INITIATOR_ERROR, "flags %02xh are not allowed in this stage of the login", flags);
		return;
	}
	if (!append_text(c))
		return;
	l->out.len = 0;
	if (flags & LOGIN_CONTINUE) { /* 6.2: the rest of the text is still to come */
		l->phase = next;
		answer_partial(c, flags & 0x0c);
		return;
	}
	if (!negotiate(c, flags))
		return;
	l->phase = next;
	/* T, CSG and NSG as asked for */
	flags &= flags & LOGIN_TRANSIT ? LOGIN_TRANSIT | 0x0f : 0x0c;
	if (next != PHASE_FULL) {
		answer_partial(c, flags);
		return;
	}
	answer_header(c, flags, LOGIN_OK, l->final);
	c->state = CONN_REGISTERING;
	session_register(c);
}

void login_begin(struct iscsi_conn *c)
{
	if ((c->rx.hdr[0] & OPCODE_MASK) == OP_LOGIN_REQ && c->state == CONN_LOGIN)
		recv_own(c, c->rx.data_len);
}

void login_finish(struct iscsi_conn *c)
{
	const uint8_t *bhs = c->rx.hdr;
	struct login *l = &c->login;

	l->itt = get_be32(bhs + BHS_ITT);
	if ((bhs[0] & OPCODE_MASK) != OP_LOGIN_REQ || c->state != CONN_LOGIN) {
		refuse(c, LOGIN_INVALID_DURING_LOGIN, "operation code %02xh", bhs[0] & OPCODE_MASK);
		return;
	}
	if (!l->text) {
		l->text = malloc(TEXT_REQUEST_MAX);
		l->out = (struct text_writer){ .buf = malloc(LOGIN_SEGMENT_MAX), .cap = LOGIN_SEGMENT_MAX };
		if (!l->text || !l->out.buf) {
			conn_close(c, LOG_LEVEL_ERROR, "no memory for a login");
			return;
		}
		first_request(c, bhs);
		if (bhs[LOGIN_VERSION_MIN] > 0) {
			refuse(c, LOGIN_UNSUPPORTED_VERSION, "version %u; this target speaks 0",
			       bhs[LOGIN_VERSION_MIN]);
			return;
		}
	}
	if (same_login(c, bhs))
		request(c, bhs);
	else
		refuse(c, LOGIN_INITIATOR_ERROR, "ISID, TSIH or CID changed during the login");
}

void login_free(struct iscsi_conn *c)
{
	free(c->login.text);
	free(c->login.out.buf);
	c->login.text = c->login.out.buf = NULL;
}
