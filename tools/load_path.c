/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_check.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_ROUNDS 4096		/* PDUs taken off a closing connection at most */

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

void load_path_tell(struct load_path *p)
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

void load_path_reason(struct load_path *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_reason(p, fmt, ap);
	va_end(ap);
}

/* Marks the connection for dropping; the first cause counts. */
void load_path_drop(struct load_path *p, const char *fmt, ...)
{
	va_list ap;

	if (p->drop || !p->ctx)
		return;
	p->drop = true;
	va_start(ap, fmt);
	set_reason(p, fmt, ap);
	va_end(ap);
	load_path_tell(p);
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
		.step = LOAD_STEP_IDLE,
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
			load_path_drop(p, "the target answers writes before it takes their data");
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
		load_path_drop(p, "connection lost: %s", iscsi_get_error(ctx));
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
		load_path_drop(p, "out of memory for a command");
		return false;
	}
	if (dir == SCSI_XFER_READ)
		scsi_task_set_iov_in(io->task, &io->iov, 1);
	if (dir == SCSI_XFER_WRITE)
		scsi_task_set_iov_out(io->task, &io->iov, 1);
	if (iscsi_scsi_command_async(p->ctx, (int)p->o->lun, io->task, io_cb, NULL, io) != 0) {
		scsi_free_scsi_task(io->task);
		io->task = NULL;
		load_path_drop(p, "command not sent: %s", iscsi_get_error(p->ctx));
		return false;
	}
	cds_list_add_tail(&io->link, &p->flying);
	if (io != &p->ctl) {
		p->inflight++;
		p->ios++;
	}
	return true;
}

/* Session */

static void login_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_path *p = arg;

	(void)data;
	if (status == SCSI_STATUS_REDIRECT) {
		snprintf(p->redirect, sizeof(p->redirect), "%s", iscsi_get_target_address(ctx));
		load_path_drop(p, "redirected to %s", p->redirect);
		return;
	}
	if (status != SCSI_STATUS_GOOD) {
		load_path_drop(p, "login failed: %s", iscsi_get_error(ctx));
		return;
	}
	p->conn = LOAD_CONN_UP;
	p->logins++;
	p->reason[0] = '\0';
	load_check_reset(p);
	p->nop_pending = false;
	p->nop_next = 0;
	load_path_tell(p);
}

static void connect_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_path *p = arg;

	(void)data;
	if (status != SCSI_STATUS_GOOD) {
		load_path_drop(p, "%s", iscsi_get_error(ctx));
		return;
	}
	p->conn = LOAD_CONN_LOGIN;
	if (iscsi_login_async(ctx, login_cb, p) != 0)
		load_path_drop(p, "login not sent: %s", iscsi_get_error(ctx));
}

static void connect_start(struct load_path *p, uint64_t now)
{
	const char *address = *p->redirect ? p->redirect : p->portal->address;

	p->deadline = now + p->o->login_timeout_ns;
	p->ctx = iscsi_create_context(p->o->initiator);
	if (!p->ctx) {
		p->deadline = now + p->o->reconnect_ns;
		load_path_reason(p, "out of memory for an iSCSI context");
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
		load_path_drop(p, "%s", iscsi_get_error(p->ctx));
	p->redirect[0] = '\0';
}

static void nop_cb(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct load_path *p = arg;

	(void)data;
	p->nop_pending = false;
	if (status != SCSI_STATUS_GOOD)
		load_path_drop(p, "NOP-Out not answered: %s", iscsi_get_error(ctx));
}

/* RFC 7143 11.18: an answer to anything sent after the NOP-Out shows the peer alive, too. */
static void nop_tick(struct load_path *p, uint64_t now)
{
	if (p->nop_pending) {
		uint64_t alive = p->heard > p->nop_sent ? p->heard : p->nop_sent;

		if (now > alive + p->o->nop_timeout_ns)
			load_path_drop(p, "no answer to NOP-Out for %.1f s", (double)(now - alive) / 1e9);
		return;
	}
	if (now < p->nop_next)
		return;
	p->nop_next = now + p->o->nop_interval_ns;
	p->nop_sent = now;
	p->nop_pending = iscsi_nop_out_async(p->ctx, nop_cb, NULL, 0, p) == 0;
	if (!p->nop_pending)
		load_path_drop(p, "NOP-Out not sent: %s", iscsi_get_error(p->ctx));
}

static void timeout_tick(struct load_path *p, uint64_t now)
{
	const struct load_io *oldest;

	if (cds_list_empty(&p->flying))
		return;
	oldest = cds_list_first_entry(&p->flying, struct load_io, link);
	if (now > oldest->sent + p->o->io_timeout_ns)
		load_path_drop(p, "no answer to a command (operation code %02Xh) for %.1f s",
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
			load_path_drop(p, "no answer to %s for %.1f s",
			     p->conn == LOAD_CONN_LOGIN ? "the login" : "the connection request",
			     (double)p->o->login_timeout_ns / 1e9);
		break;
	case LOAD_CONN_UP:
		nop_tick(p, now);
		timeout_tick(p, now);
		load_check_tick(p, now);
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
	load_path_drop(p, "the target closed the connection");
}

void load_path_service(struct load_path *p, short revents, uint64_t now)
{
	p->now = now;
	if (!p->ctx || p->drop || !revents)
		return;
	if (p->conn == LOAD_CONN_UP && (revents & (POLLERR | POLLHUP | POLLRDHUP)))
		drain_closed(p);
	else if (iscsi_service(p->ctx, revents & ~POLLRDHUP) < 0)
		load_path_drop(p, "%s", iscsi_get_error(p->ctx));
}

void load_path_flush(struct load_path *p)
{
	if (p->conn == LOAD_CONN_UP && !p->drop && (iscsi_which_events(p->ctx) & POLLOUT) &&
	    iscsi_service(p->ctx, POLLOUT) < 0)
		load_path_drop(p, "%s", iscsi_get_error(p->ctx));
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
	p->step = LOAD_STEP_IDLE;
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
	load_path_tell(p);
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
	load_path_drop(arg, "logged out");
}

void load_path_logout(struct load_path *p)
{
	if (p->conn != LOAD_CONN_UP)
		load_path_drop(p, "not logged in");
	else if (!p->drop && iscsi_logout_async(p->ctx, logout_cb, p) != 0)
		load_path_drop(p, "logout not sent: %s", iscsi_get_error(p->ctx));
}
