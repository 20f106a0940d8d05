/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is inside the driver. Everything below hangs off one iscsi_server.
 *
 *   iscsi_server ─┬─ portal[]            listening sockets; reactor 0
 *                 ├─ per_reactor[].conns connections that live there; that reactor's own
 *                 └─ sessions            registry; control thread's own
 *
 *   iscsi_conn: one TCP connection and, from the end of its login on, the one session on it
 *     rx    bytes → PDU (recv.c) → table of operation codes (pdu.c) → login.c, scsi.c, data_out.c, tmf.c, text.c …
 *     tasks struct iscsi_task with the scsi_cmd inside: collecting → executing → answering (scsi.c)
 *     tx    queue of out_item → send_batch → one sendmsg at the end of the turn (send.c)
 *
 * A connection belongs to its reactor: every function that takes one runs there, unless it says otherwise.
 * It dies in steps (conn.c): closing → socket quiet → tasks ended → out of the registry → freed.
 */
#ifndef SANDEM_ISCSI_CONN_H
#define SANDEM_ISCSI_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <urcu/list.h>

#include "core/cmd.h"
#include "core/core.h"
#include "core/log.h"
#include "core/nexus.h"
#include "core/tmf.h"
#include "core/wire.h"
#include "drivers/iscsi/iscsi.h"
#include "drivers/iscsi/keys.h"
#include "drivers/iscsi/pdu.h"
#include "drivers/iscsi/send.h"
#include "drivers/iscsi/task.h"

struct iscsi_conn;

/* ---- receive (recv.c) ------------------------------------------------------------------------- */

enum rx_step { RX_HEADER, RX_DATA, RX_TAIL };

struct rx {
	uint8_t *buf; /* [RECV_BUF_LEN] */
	uint32_t head, tail; /* unparsed bytes */
	enum rx_step step;
	uint8_t hdr[BHS_LEN + AHS_MAX + DIGEST_LEN] __attribute__((aligned(8)));
	uint32_t data_len; /* of this PDU's data segment */
	uint32_t at;	   /* bytes of it consumed */
	uint8_t *dst;	   /* where it goes; NULL = thrown away */
	uint32_t dst_len;  /* bytes of it that are kept */
	uint32_t crc;
	uint8_t *own; /* dst of PDUs other than SCSI ones: this buffer */
	uint32_t own_cap;
	struct iscsi_task *task; /* that the data segment belongs to */
	struct reactor_op op;
	struct msghdr msg;
	struct iovec iov[2];
	bool busy;	/* the kernel has the buffers */
	uint32_t direct; /* length of iov[0], when it is the task's buffer */
	bool paused;	/* too many answers wait to be sent */
};

/* ---- sessions (session.c) --------------------------------------------------------------------- */

/* A session in the registry. Embedded in its connection, filled in by the reactor before it is registered; from then
 * until it is unregistered the control thread's. */
struct session_entry {
	struct cds_list_head link;
	uint64_t isid;
	const char *initiator;
	struct target *target; /* NULL: discovery */
	uint16_t tsih;	       /* in: what the initiator asked for; out: what it got */
	int status;	       /* the answer: enum login_status */
	bool granted, ending, dropping;
	struct msg register_msg, unregister_msg, end_msg, drop_msg;
};

/* ---- a connection ----------------------------------------------------------------------------- */

enum conn_state {
	CONN_LOGIN,
	CONN_REGISTERING, /* login is through but for the registry's word (reinstatement) */
	CONN_FULL,	  /* full feature phase */
	CONN_LOGOUT,	  /* logout answered; ends when the answer is sent */
	CONN_CLOSING,
};

enum end_step { END_NONE, END_SOCKET, END_TASKS, END_REGISTRY };

enum login_phase { PHASE_START, PHASE_SECURITY, PHASE_OPERATIONAL, PHASE_FULL };

struct login {
	enum login_phase phase;
	struct text_writer out; /* the answer under construction */
	char *text;		/* request so far (C bit), [TEXT_REQUEST_MAX] */
	uint32_t text_len;
	bool declared; /* our MaxRecvDataSegmentLength is told */
	bool target_checked;
	uint32_t itt;
	uint16_t cid;
	uint64_t isid;
	uint16_t tsih;
	uint8_t final[BHS_LEN]; /* the last answer, which waits for the registry */
	struct out_item item;
};

struct text_exchange { /* FFP text (text_ffp.c) */
	char *in;
	uint32_t in_len;
	char *out; /* answer, sent in pieces */
	uint32_t out_len, out_at;
	uint32_t ttt, itt;
	bool active;
};

struct iscsi_conn {
	struct iscsi_server *server;
	struct reactor *reactor;
	int fd;
	enum conn_state state;
	enum end_step end;
	char peer[64];
	char local[64]; /* our end, as the initiator sees it */
	struct cds_list_head link; /* server->per_reactor[].conns */

	struct rx rx;
	struct tx tx;

	struct negotiation neg;
	struct login login;
	struct text_exchange text;
	bool header_digest, data_digest; /* in force: from the first PDU behind the login on */
	uint32_t recv_segment_max;	 /* data segment that the initiator may send */

	uint32_t exp_cmdsn, max_cmdsn;
	uint32_t stat_sn;
	uint32_t ttt; /* last one given */
	uint16_t cid;

	struct nexus nexus;
	bool attached;
	struct target *target;
	struct session_entry session;
	bool registered;

	struct cds_list_head tasks, free_tasks;
	void **chunk;
	uint32_t nchunks, ntasks, task_limit;
	uint32_t immediate_tasks;
	uint32_t executing; /* tasks inside core */
	uint64_t commands;
	struct iscsi_task *by_itt[ITT_BUCKETS];
	uint32_t tmfs; /* inside core */

	struct reactor_timer timer; /* login timeout, then NOP-In */
	uint64_t heard;		    /* ns: last bytes received */
	uint32_t ping_ttt;	    /* outstanding NOP-In, TAG_NONE = none */
	uint64_t ping_sent;
	struct reactor_hook end_hook;
	struct nexus_abort abort;
	bool aborting;
	struct msg start_msg;
};

/* Takes a connected socket. Reactor 0; the connection starts on its own reactor. Closes fd when memory is short. */
void conn_new(struct iscsi_server *s, struct reactor *r, int fd);

/* Ends the connection: logs why (peer and initiator are added), shuts the socket down; the rest follows by itself.
 * Callable from anywhere on the reactor; does nothing when it is closing already. level: what it is to the operator. */
void conn_close(struct iscsi_conn *c, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Whatever the next step of the end waited for may have happened. */
void conn_end_kick(struct iscsi_conn *c);

static inline bool conn_open(const struct iscsi_conn *c)
{
	return c->state != CONN_CLOSING;
}

/* The login's last answer is in the batch: from here on digests, limits and timers are those of the full feature phase. */
void conn_full_feature(struct iscsi_conn *c);

/* ---- recv.c --- */
int recv_init(struct iscsi_conn *c);
void recv_fini(struct iscsi_conn *c);
void recv_start(struct iscsi_conn *c);
/* Parses what is there and receives more, unless too many answers wait. */
void recv_resume(struct iscsi_conn *c);
/* For begin() of a PDU with data of its own: room for len bytes at rx.own. False: no memory, connection closed. */
bool recv_own(struct iscsi_conn *c, uint32_t len);

/* ---- pdu.c --- */
/* A header is complete and its digest good: says where its data goes, or closes the connection. */
void pdu_begin(struct iscsi_conn *c);
/* The whole PDU is there. */
void pdu_finish(struct iscsi_conn *c);
/* Takes the CmdSN of a request. False: to be ignored (outside of the window, duplicate), or connection closed. */
bool pdu_take_cmdsn(struct iscsi_conn *c, const uint8_t *bhs);
/* The same for a request that takes no task: the window stays as wide as it was. */
bool pdu_take_cmdsn_only(struct iscsi_conn *c, const uint8_t *bhs);
/* The PDU at hand is refused; a copy of its header goes back (11.17). */
void pdu_reject(struct iscsi_conn *c, enum reject_reason reason);
/* Reject, then the connection ends (error recovery level 0: 7.5). */
void pdu_reject_close(struct iscsi_conn *c, enum reject_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- login.c --- */
void login_begin(struct iscsi_conn *c);
void login_finish(struct iscsi_conn *c);
void login_registered(struct iscsi_conn *c); /* the registry has answered: c->session.status */
void login_free(struct iscsi_conn *c);

/* ---- scsi.c, data_out.c, tmf.c, text_ffp.c, nop.c, logout.c: begin and finish of one PDU each --- */
void scsi_cmd_begin(struct iscsi_conn *c);
void scsi_cmd_finish(struct iscsi_conn *c);
void data_out_begin(struct iscsi_conn *c);
void data_out_finish(struct iscsi_conn *c);
void tmf_finish(struct iscsi_conn *c);
void text_begin(struct iscsi_conn *c);
void text_finish(struct iscsi_conn *c);
void text_free(struct iscsi_conn *c);
void nop_out_begin(struct iscsi_conn *c);
void nop_out_finish(struct iscsi_conn *c);
void nop_ping(struct iscsi_conn *c);
void logout_finish(struct iscsi_conn *c);
void logout_ask(struct iscsi_conn *c);	/* Async Message: please log out */
void logout_tell(struct iscsi_conn *c); /* Async Message: the session ends now */

/* ---- session.c: the registry --- */
void session_register(struct iscsi_conn *c);
void session_unregister(struct iscsi_conn *c); /* then conn_end_kick() */
/* Ends every session with this target, on every reactor (TARGET COLD RESET). */
void session_drop_target(struct iscsi_conn *c);

/* ---- discovery.c --- */
struct discovery {
	struct core *core;
	const char *initiator;	  /* what it may not access isn't shown */
	const struct target *own; /* the session's target; NULL: a discovery session */
	const char *here;	  /* address:port that the initiator reached us at, told instead of a wildcard portal */
};

/* Answers SendTargets=value (RFC 7143 appendix C) into *out (malloc'd, *len bytes of pairs).
 * 0; -EINVAL: the value isn't allowed here; -ENOMEM. Any thread. */
int discovery_targets(const struct discovery *d, const char *value, char **out, size_t *len);

/* ---- server (iscsi.c, portal.c) --- */
struct listener {
	struct iscsi_server *server;
	struct portal portal;
	int fd;
	struct reactor_op op;
	struct reactor_timer retry;
	bool busy;
};

struct reactor_conns {
	struct iscsi_server *server;
	struct cds_list_head conns;
	struct reactor *reactor;
	bool stopping, told, reported;
	struct reactor_timer grace;
	struct msg msg; /* stop, and its answer */
};

struct iscsi_server {
	struct core *core;
	struct iscsi_settings set;
	uint16_t nlisteners;
	struct listener *listener;
	unsigned next_reactor; /* reactor 0's */
	uint32_t nconns;       /* atomic */
	struct reactor_conns *per_reactor;
	struct cds_list_head sessions; /* control thread */
	uint16_t last_tsih;
	struct msg start_msg, stop_msg;
	bool stopping;	       /* reactor 0's */
	unsigned left;	       /* control thread: reactors that still have connections, while stopping */
	unsigned collects;     /* control thread: iscsi_sessions() under way */
	bool gone;	       /* control thread: stopped, but for those */
	void (*stopped)(void *arg);
	void *stopped_arg;
};

int portal_bind(struct listener *l, char *err, size_t errlen);
void portal_accept(struct listener *l); /* reactor 0 */
void portal_cancel(struct listener *l); /* reactor 0 */
void portal_close(struct listener *l);
/* reactor 0: the last accept has been cancelled */
void iscsi_portals_quiet(struct iscsi_server *s);
/* A connection is gone from its reactor. */
void iscsi_conn_gone(struct iscsi_server *s, struct reactor *r);
void sockaddr_text(const struct sockaddr_storage *ss, char out[64]);

#endif
