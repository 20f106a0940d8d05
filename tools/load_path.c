/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_path.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_RETRIES 32			/* unit attentions in a row that a probe swallows */
#define DRAIN_ROUNDS 4096		/* PDUs taken off a closing connection at most */
#define TRANSITION_POLL_NS 200000000	/* how often a transitioning port is asked */
#define RTPG_EXTENDED 0x20		/* PARAMETER DATA FORMAT 001b, SPC-4 table 297 */

enum step { STEP_TUR, STEP_INQUIRY, STEP_VPD83, STEP_CAPACITY, STEP_RTPG, STEP_IDLE };

/* Predicates */

bool load_path_usable(const struct load_path *p)
{
	return p->conn == LOAD_CONN_UP && !p->drop && p->probed && !p->foreign && !p->failed &&
	       load_tpg_rank(p->state) > 0;
}

const char *load_path_state(const struct load_path *p)
{
	if (p->conn != LOAD_CONN_UP || p->drop)
		return "down";
	if (p->foreign)
		return "foreign";
	if (!p->probed)
		return "probing";
	if (p->failed && load_tpg_rank(p->state) > 0)
		return "failed";
	return load_tpg_state_str(p->state);
}

bool load_path_idle(const struct load_path *p)
{
	return !p->ctx || p->drop;
}

int load_path_fd(const struct load_path *p, short *events)
{
	if (!p->ctx)
		return -1;
	*events = (short)(iscsi_which_events(p->ctx) | POLLRDHUP);
	return iscsi_get_fd(p->ctx);
}

/* Mutators */

static void tell(struct load_path *p)
{
	const char *from = p->shown, *to = load_path_state(p);

	if (from == to)
		return;
	p->shown = to;
	p->hooks->changed(p->hooks->arg, p, from, to);
}

static void set_reason(struct load_path *p, const char *fmt, va_list ap)
{
	vsnprintf(p->reason, sizeof(p->reason), fmt, ap);
	for (char *c = p->reason; *c; c++)
		if (*c == '\n')
			*c = ' ';
}

static void __attribute__((format(printf, 2, 3))) reason(struct load_path *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_reason(p, fmt, ap);
	va_end(ap);
}

/* Marks the connection for dropping; the first cause counts. */
static void __attribute__((format(printf, 2, 3))) drop(struct load_path *p, const char *fmt, ...)
{
	va_list ap;

	if (p->drop || !p->ctx)
		return;
	p->drop = true;
	va_start(ap, fmt);
	set_reason(p, fmt, ap);
	va_end(ap);
	tell(p);
}

void load_path_init(struct load_path *p, const struct load_opts *o, unsigned portal,
		    unsigned index, struct load_lu *lu, const struct load_path_hooks *hooks)
{
	*p = (struct load_path){
		.o = o,
		.portal = &o->portal[portal],
		.hooks = hooks,
		.lu = lu,
		/* The nexus must stay the same over reconnects: RFC 7143 4.4.3.1. */
		.isid = ((uint32_t)getpid() * 1021 + portal * 256 + index) & 0xffffff,
		.port_group = -1,
		.relative_port = -1,
		.state = LOAD_TPG_UNKNOWN,
		.step = STEP_IDLE,
		.shown = "down",
	};
	CDS_INIT_LIST_HEAD(&p->flying);
	CDS_INIT_LIST_HEAD(&p->orphans);
	p->shown = load_path_state(p);
	if (o->sessions > 1)
		snprintf(p->name, sizeof(p->name), "%s#%u", p->portal->name, index);
	else
		snprintf(p->name, sizeof(p->name), "%s", p->portal->name);
}

static void free_spent(struct load_path *p)
{
	while (p->spents)
		scsi_free_scsi_task(p->spent[--p->spents]);
}

/*
 * libiscsi's Data-Out PDUs point into the task; a target may answer before it has had them all.
 * Such a task stays until the queue to the socket is empty.
 */
static void free_task(struct load_path *p, struct load_io *io)
{
	if (io->write && io->len > 4096 && p->ctx && !p->drop) {
		if (iscsi_out_queue_length(p->ctx) == 0)
			free_spent(p);
		if (p->spents < sizeof(p->spent) / sizeof(p->spent[0]))
			p->spent[p->spents++] = io->task;
		else
			drop(p, "the target answers writes before it takes their data");
	} else {
		scsi_free_scsi_task(io->task);
	}
	io->task = NULL;
}

static uint32_t transferred(const struct load_io *io)
{
	const struct scsi_task *t = io->task;

	if (t->residual_status == SCSI_RESIDUAL_UNDERFLOW)
		return t->residual < io->len ? io->len - (uint32_t)t->residual : 0;
	return io->len;
}

/* For CHECK CONDITION, libiscsi leaves SenseLength and sense data (RFC 7143 11.4.7) in datain. */
static void take_sense(const struct scsi_task *t, struct load_sense *s)
{
	const uint8_t *d = t->datain.data;

	if (!d || t->datain.size <= 2 ||
	    load_sense_parse(d + 2, (size_t)t->datain.size - 2, s) != 0)
		*s = (struct load_sense){ 0xb, 0x47, 0x00 }; /* as a damaged response */
}

static void io_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_io *io = arg;
	struct load_path *p = io->path;
	struct load_answer a = { .status = (uint8_t)status };

	(void)data;
	cds_list_del(&io->link);
	if (io != &p->ctl)
		p->inflight--;
	if (status < 0 || status > 0xff) {
		drop(p, "connection lost: %s", iscsi_get_error(ctx));
		scsi_free_scsi_task(io->task);
		io->task = NULL;
		cds_list_add_tail(&io->link, &p->orphans);
		return;
	}
	p->heard = p->now;
	a.length = transferred(io);
	if (status == SCSI_STATUS_CHECK_CONDITION)
		take_sense(io->task, &a.sense);
	free_task(p, io);
	io->done(io, &a);
}

bool load_path_submit(struct load_path *p, struct load_io *io, uint64_t now)
{
	int dir = io->len == 0 ? SCSI_XFER_NONE : io->write ? SCSI_XFER_WRITE : SCSI_XFER_READ;

	if (p->conn != LOAD_CONN_UP || p->drop)
		return false;
	io->path = p;
	io->sent = now;
	io->iov = (struct scsi_iovec){ .iov_base = io->buf, .iov_len = io->len };
	io->task = scsi_create_task(io->cdb_len, io->cdb, dir, (int)io->len);
	if (!io->task) {
		drop(p, "out of memory for a command");
		return false;
	}
	if (dir == SCSI_XFER_READ)
		scsi_task_set_iov_in(io->task, &io->iov, 1);
	if (dir == SCSI_XFER_WRITE)
		scsi_task_set_iov_out(io->task, &io->iov, 1);
	if (iscsi_scsi_command_async(p->ctx, (int)p->o->lun, io->task, io_cb, NULL, io) != 0) {
		scsi_free_scsi_task(io->task);
		io->task = NULL;
		drop(p, "command not sent: %s", iscsi_get_error(p->ctx));
		return false;
	}
	cds_list_add_tail(&io->link, &p->flying);
	if (io != &p->ctl) {
		p->inflight++;
		p->ios++;
	}
	return true;
}

/* Probe and check */

static void step_done(struct load_io *io, const struct load_answer *a);

static const struct {
	const char *what;
	uint8_t cdb[16];
	uint8_t cdb_len;
	uint16_t len;
} steps[] = {
	[STEP_TUR] = { "TEST UNIT READY", { 0x00 }, 6, 0 },
	[STEP_INQUIRY] = { "INQUIRY", { 0x12, 0, 0, 0, 96 }, 6, 96 },
	[STEP_VPD83] = { "INQUIRY, VPD page 83h", { 0x12, 1, 0x83, 0x04, 0x00 }, 6, 1024 },
	[STEP_CAPACITY] = { "READ CAPACITY (16)",
		{ 0x9e, 0x10, [13] = 32 }, 16, 32 },
	[STEP_RTPG] = { "REPORT TARGET PORT GROUPS",
		{ 0xa3, 0x0a | RTPG_EXTENDED, [8] = LOAD_PATH_BUF >> 8 }, 12, LOAD_PATH_BUF },
};

static void step_start(struct load_path *p, enum step step)
{
	uint64_t now = p->check_begun;

	p->step = step;
	if (step == STEP_IDLE)
		return;
	memcpy(p->ctl.cdb, steps[step].cdb, sizeof(p->ctl.cdb));
	p->ctl.cdb_len = steps[step].cdb_len;
	p->ctl.len = steps[step].len;
	p->ctl.buf = p->buf;
	p->ctl.done = step_done;
	memset(p->buf, 0, sizeof(p->buf));
	load_path_submit(p, &p->ctl, now);
}

static void foreign(struct load_path *p, const char *what)
{
	p->foreign = true;
	reason(p, "leads to another logical unit than the first path: %s differs; check --portal,"
	       " --target and --lun", what);
}

static void check_name(struct load_path *p, const struct load_vpd83 *v)
{
	if (p->lu->known && strcmp(p->lu->name, v->lu_name) != 0)
		foreign(p, v->lu_name);
	else if (!p->lu->known)
		memcpy(p->lu->name, v->lu_name, sizeof(v->lu_name));
}

static void take_vpd83(struct load_path *p, const struct load_answer *a)
{
	struct load_vpd83 v;

	if (load_vpd83_parse(p->buf, a->length, &v) != 0) {
		drop(p, "VPD page 83h is malformed");
		return;
	}
	p->port_group = v.port_group;
	p->relative_port = v.relative_port;
	check_name(p, &v);
}

static void take_capacity(struct load_path *p, const struct load_answer *a)
{
	uint64_t blocks;
	uint32_t size;

	if (load_capacity_parse(p->buf, a->length, &blocks, &size) != 0) {
		drop(p, "READ CAPACITY (16) data is malformed");
		return;
	}
	if (p->lu->known && p->lu->block_size != size) {
		foreign(p, "the logical block length");
		return;
	}
	p->lu->known = true;
	p->lu->blocks = blocks;
	p->lu->block_size = size;
}

static void take_rtpg(struct load_path *p, const struct load_answer *a)
{
	enum load_tpg_state s;
	bool extended = p->ctl.cdb[1] & RTPG_EXTENDED;

	if (load_rtpg_parse(p->buf, a->length, extended, p->port_group, &s) != 0) {
		reason(p, "REPORT TARGET PORT GROUPS does not list target port group %d",
		       p->port_group);
		s = LOAD_TPG_UNKNOWN;
	}
	/* A port that just said by a sense code that it takes no I/O isn't believed otherwise. */
	if (load_tpg_rank(s) > 0 && p->tur_state != LOAD_TPG_UNKNOWN &&
	    load_tpg_rank(p->tur_state) == 0)
		s = p->tur_state;
	p->state = s;
}

static void take_inquiry(struct load_path *p, const struct load_answer *a)
{
	if (a->length < 6 || (p->buf[0] & 0xe0)) {
		reason(p, "no logical unit %u there (peripheral qualifier %u)", p->o->lun,
		       p->buf[0] >> 5);
		p->foreign = true;
		return;
	}
	p->foreign = false;
	p->alua = p->buf[5] & 0x30; /* TPGS, SPC-4 table 142 */
}

/* What TEST UNIT READY's answer means for a path; used as it is when there is no ALUA. */
static enum load_tpg_state state_from_tur(const struct load_answer *a)
{
	switch (load_act_for(a->status, &a->sense)) {
	case LOAD_ACT_DONE:
	case LOAD_ACT_RETRY:
	case LOAD_ACT_RTPG:
	case LOAD_ACT_WAIT:
	case LOAD_ACT_CONFLICT:
		return LOAD_TPG_OPTIMIZED;
	case LOAD_ACT_TRANSITION:
		return LOAD_TPG_TRANSITIONING;
	case LOAD_ACT_FAIL_PATH:
		return a->sense.ascq == 0x0b ? LOAD_TPG_STANDBY : LOAD_TPG_UNAVAILABLE;
	case LOAD_ACT_ABORTED:
	case LOAD_ACT_REFUSE:
	case LOAD_ACT_ERROR:
		return LOAD_TPG_UNAVAILABLE;
	}
	return LOAD_TPG_UNAVAILABLE;
}

static void check_over(struct load_path *p)
{
	bool full = p->tur_state != LOAD_TPG_UNKNOWN; /* not only RTPG on demand */

	p->step = STEP_IDLE;
	p->probed = p->lu->known && !p->foreign;
	if (!p->alua && full)
		p->state = p->tur_state;
	if (full && p->check_begun > p->failed_at)
		p->failed = false;
	if (load_path_usable(p))
		p->reason[0] = '\0';
	else if (p->tur_state != LOAD_TPG_UNKNOWN && !p->foreign)
		reason(p, "the port is %s", load_tpg_state_str(p->state));
	tell(p);
}

static enum step step_after(const struct load_path *p)
{
	switch ((enum step)p->step) {
	case STEP_TUR:
		return !p->probed ? STEP_INQUIRY : p->alua ? STEP_RTPG : STEP_IDLE;
	case STEP_INQUIRY: return p->foreign ? STEP_IDLE : STEP_VPD83;
	case STEP_VPD83: return p->foreign ? STEP_IDLE : STEP_CAPACITY;
	case STEP_CAPACITY:
		return p->foreign || !p->alua ? STEP_IDLE : STEP_RTPG;
	case STEP_RTPG:
	case STEP_IDLE: return STEP_IDLE;
	}
	return STEP_IDLE;
}

static void step_take(struct load_path *p, const struct load_answer *a)
{
	switch ((enum step)p->step) {
	case STEP_TUR: p->tur_state = state_from_tur(a); break;
	case STEP_INQUIRY: take_inquiry(p, a); break;
	case STEP_VPD83: take_vpd83(p, a); break;
	case STEP_CAPACITY: take_capacity(p, a); break;
	case STEP_RTPG: take_rtpg(p, a); break;
	case STEP_IDLE: break;
	}
}

/* An old target knows no extended header: ask again without, as scsi_dh_alua does. */
static bool step_fallback(struct load_path *p, const struct load_answer *a)
{
	if (p->step != STEP_RTPG || a->status != 2 || a->sense.key != 5 ||
	    !(p->ctl.cdb[1] & RTPG_EXTENDED))
		return false;
	p->ctl.cdb[1] &= (uint8_t)~RTPG_EXTENDED;
	load_path_submit(p, &p->ctl, p->check_begun);
	return true;
}

static void step_failed(struct load_path *p, const struct load_answer *a)
{
	reason(p, "%s failed: status %02xh, sense %02X/%02X/%02X", steps[p->step].what, a->status,
	       a->sense.key, a->sense.asc, a->sense.ascq);
	p->state = p->step == STEP_RTPG ? LOAD_TPG_UNKNOWN : p->state;
	p->step = STEP_IDLE;
	tell(p);
}

static void step_done(struct load_io *io, const struct load_answer *a)
{
	struct load_path *p = io->path;
	bool again = false;

	if (a->lost) {
		p->step = STEP_IDLE;
		return;
	}
	switch (load_act_for(a->status, &a->sense)) {
	case LOAD_ACT_RETRY:
	case LOAD_ACT_RTPG:
	case LOAD_ACT_ABORTED:
		again = p->step_retries++ < STEP_RETRIES;
		break;
	case LOAD_ACT_DONE:
	case LOAD_ACT_WAIT:
	case LOAD_ACT_TRANSITION:
	case LOAD_ACT_FAIL_PATH:
	case LOAD_ACT_CONFLICT:
	case LOAD_ACT_REFUSE:
	case LOAD_ACT_ERROR:
		break;
	}
	if (again) {
		load_path_submit(p, &p->ctl, p->check_begun);
	} else if (a->status != 0 && p->step != STEP_TUR) {
		if (!step_fallback(p, a))
			step_failed(p, a);
	} else {
		step_take(p, a);
		if (step_after(p) == STEP_IDLE)
			check_over(p);
		else
			step_start(p, step_after(p));
	}
}

static void check_start(struct load_path *p, enum step step, uint64_t now)
{
	p->check_begun = now;
	p->step_retries = 0;
	p->ask = false;
	p->tur_state = step == STEP_TUR ? LOAD_TPG_OPTIMIZED : LOAD_TPG_UNKNOWN;
	step_start(p, step);
}

static void check_tick(struct load_path *p, uint64_t now)
{
	uint64_t due = p->check_next;

	if (p->step != STEP_IDLE)
		return;
	if (p->state == LOAD_TPG_TRANSITIONING && p->check_begun + TRANSITION_POLL_NS < due)
		due = p->check_begun + TRANSITION_POLL_NS;
	if (now >= due) {
		p->check_next = now + p->o->check_interval_ns;
		check_start(p, STEP_TUR, now);
	} else if (p->ask && p->alua && p->probed) {
		check_start(p, STEP_RTPG, now);
	}
}

void load_path_fail(struct load_path *p, uint64_t now, const char *why)
{
	if (!p->failed) {
		p->failures++;
		reason(p, "%s", why);
	}
	p->failed = true;
	p->failed_at = now;
	p->check_next = now + p->o->check_interval_ns; /* the pace of failing and reinstating */
	p->ask = true;
	tell(p);
}

void load_path_transition(struct load_path *p)
{
	p->state = LOAD_TPG_TRANSITIONING;
	p->ask = true;
	reason(p, "the port is transitioning");
	tell(p);
}

void load_path_ask(struct load_path *p)
{
	p->ask = true;
}

/* Session */

static void login_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_path *p = arg;

	(void)data;
	if (status == SCSI_STATUS_REDIRECT) {
		snprintf(p->redirect, sizeof(p->redirect), "%s", iscsi_get_target_address(ctx));
		drop(p, "redirected to %s", p->redirect);
		return;
	}
	if (status != SCSI_STATUS_GOOD) {
		drop(p, "login failed: %s", iscsi_get_error(ctx));
		return;
	}
	p->conn = LOAD_CONN_UP;
	p->logins++;
	p->reason[0] = '\0';
	p->probed = false;
	p->failed = false;
	p->foreign = false;
	p->state = LOAD_TPG_UNKNOWN;
	p->check_begun = p->check_next = 0;
	p->nop_pending = false;
	p->nop_next = 0;
	tell(p);
}

static void connect_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_path *p = arg;

	(void)data;
	if (status != SCSI_STATUS_GOOD) {
		drop(p, "%s", iscsi_get_error(ctx));
		return;
	}
	p->conn = LOAD_CONN_LOGIN;
	if (iscsi_login_async(ctx, login_cb, p) != 0)
		drop(p, "login not sent: %s", iscsi_get_error(ctx));
}

static void connect_start(struct load_path *p, uint64_t now)
{
	const char *address = *p->redirect ? p->redirect : p->portal->address;

	p->deadline = now + p->o->login_timeout_ns;
	p->ctx = iscsi_create_context(p->o->initiator);
	if (!p->ctx) {
		p->deadline = now + p->o->reconnect_ns;
		reason(p, "out of memory for an iSCSI context");
		return;
	}
	p->conn = LOAD_CONN_CONNECTING;
	iscsi_set_noautoreconnect(p->ctx, 1);
	iscsi_set_timeout(p->ctx, 0); /* timeouts in whole seconds are not enough: ours */
	iscsi_set_targetname(p->ctx, p->o->target);
	iscsi_set_session_type(p->ctx, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(p->ctx, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	iscsi_set_isid_random(p->ctx, p->isid, 0);
	if (iscsi_connect_async(p->ctx, address, connect_cb, p) != 0)
		drop(p, "%s", iscsi_get_error(p->ctx));
	p->redirect[0] = '\0';
}

static void nop_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_path *p = arg;

	(void)data;
	p->nop_pending = false;
	if (status != SCSI_STATUS_GOOD)
		drop(p, "NOP-Out not answered: %s", iscsi_get_error(ctx));
}

/* RFC 7143 11.18: an answer to anything sent after the NOP-Out shows the peer alive, too. */
static void nop_tick(struct load_path *p, uint64_t now)
{
	if (p->nop_pending) {
		uint64_t alive = p->heard > p->nop_sent ? p->heard : p->nop_sent;

		if (now > alive + p->o->nop_timeout_ns)
			drop(p, "no answer to NOP-Out for %.1f s", (double)(now - alive) / 1e9);
		return;
	}
	if (now < p->nop_next)
		return;
	p->nop_next = now + p->o->nop_interval_ns;
	p->nop_sent = now;
	p->nop_pending = iscsi_nop_out_async(p->ctx, nop_cb, NULL, 0, p) == 0;
	if (!p->nop_pending)
		drop(p, "NOP-Out not sent: %s", iscsi_get_error(p->ctx));
}

static void timeout_tick(struct load_path *p, uint64_t now)
{
	const struct load_io *oldest;

	if (cds_list_empty(&p->flying))
		return;
	oldest = cds_list_first_entry(&p->flying, struct load_io, link);
	if (now > oldest->sent + p->o->io_timeout_ns)
		drop(p, "no answer to a command (operation code %02Xh) for %.1f s",
		     oldest->cdb[0], (double)p->o->io_timeout_ns / 1e9);
}

void load_path_tick(struct load_path *p, uint64_t now)
{
	p->now = now;
	if (p->drop)
		return;
	switch (p->conn) {
	case LOAD_CONN_DOWN:
		if (now >= p->deadline)
			connect_start(p, now);
		break;
	case LOAD_CONN_CONNECTING:
	case LOAD_CONN_LOGIN:
		if (now >= p->deadline)
			drop(p, "no answer to %s for %.1f s",
			     p->conn == LOAD_CONN_LOGIN ? "the login" : "the connection request",
			     (double)p->o->login_timeout_ns / 1e9);
		break;
	case LOAD_CONN_UP:
		nop_tick(p, now);
		timeout_tick(p, now);
		check_tick(p, now);
		break;
	}
}

/* Entry points of the loop */

/* The peer closed: what it had answered before still counts, so take it first. */
static void drain_closed(struct load_path *p)
{
	for (int i = 0; i < DRAIN_ROUNDS && !p->drop; i++)
		if (iscsi_service(p->ctx, POLLIN) < 0)
			break;
	drop(p, "the target closed the connection");
}

void load_path_service(struct load_path *p, short revents, uint64_t now)
{
	p->now = now;
	if (!p->ctx || p->drop || !revents)
		return;
	if (p->conn == LOAD_CONN_UP && (revents & (POLLERR | POLLHUP | POLLRDHUP)))
		drain_closed(p);
	else if (iscsi_service(p->ctx, revents & ~POLLRDHUP) < 0)
		drop(p, "%s", iscsi_get_error(p->ctx));
}

void load_path_flush(struct load_path *p)
{
	if (p->conn == LOAD_CONN_UP && !p->drop && (iscsi_which_events(p->ctx) & POLLOUT) &&
	    iscsi_service(p->ctx, POLLOUT) < 0)
		drop(p, "%s", iscsi_get_error(p->ctx));
}

static void abortive_close(struct iscsi_context *ctx)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };
	int fd = iscsi_get_fd(ctx);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void close_context(struct load_path *p)
{
	struct load_io *io, *next;
	struct load_answer lost = { .lost = true };

	if (!p->ctx)
		return;
	p->drop = true;
	abortive_close(p->ctx);
	iscsi_destroy_context(p->ctx);
	p->ctx = NULL;
	free_spent(p);
	/* Whatever libiscsi did not call back for would be waited for for ever. */
	cds_list_for_each_entry_safe(io, next, &p->flying, link) {
		cds_list_del(&io->link);
		cds_list_add_tail(&io->link, &p->orphans);
		p->inflight -= io != &p->ctl;
		scsi_free_scsi_task(io->task);
		io->task = NULL;
	}
	p->conn = LOAD_CONN_DOWN;
	p->drop = false;
	p->step = STEP_IDLE;
	while (!cds_list_empty(&p->orphans)) {
		io = cds_list_first_entry(&p->orphans, struct load_io, link);
		cds_list_del(&io->link);
		io->done(io, &lost);
	}
}

void load_path_reap(struct load_path *p, uint64_t now)
{
	if (!p->drop)
		return;
	p->losses += p->conn == LOAD_CONN_UP;
	p->deadline = *p->redirect ? now : now + p->o->reconnect_ns;
	close_context(p);
	tell(p);
}

void load_path_fini(struct load_path *p)
{
	close_context(p);
}

static void logout_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)ctx;
	(void)status;
	(void)data;
	drop(arg, "logged out");
}

void load_path_logout(struct load_path *p)
{
	if (p->conn != LOAD_CONN_UP)
		drop(p, "not logged in");
	else if (!p->drop && iscsi_logout_async(p->ctx, logout_cb, p) != 0)
		drop(p, "logout not sent: %s", iscsi_get_error(p->ctx));
}
