/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The iSCSI target driver (RFC 7143), error recovery level 0, one connection per session.
 *
 *   iscsi_server ── portals (listening sockets, reactor 0)
 *        ├── connections, by the reactor that each one lives on
 *        └── registry of sessions (control thread)
 */
#ifndef SANDEM_ISCSI_H
#define SANDEM_ISCSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/target.h"
#include "drivers/iscsi/defaults.h"

struct core;
struct iscsi_server;

struct iscsi_params {
	const struct portal *portal; /* of this node; copied */
	uint16_t nportals;
	struct iscsi_settings settings; /* iscsi_settings_default(), then what the configuration says */
};

void iscsi_settings_default(struct iscsi_settings *s);

/* 0, or -ERANGE and a message that names the setting and what is allowed. */
int iscsi_settings_check(const struct iscsi_settings *s, char *err, size_t errlen);

/*
 * Binds every portal and starts to accept. Control thread; the reactors are set up (they may be started later).
 * 0; or a negative errno and a message that names the portal, the cause and the next step: nothing is left behind.
 */
int iscsi_start(struct iscsi_server **out, struct core *core, const struct iscsi_params *p, char *err, size_t errlen);

/*
 * Asks every initiator to log out, waits logout_grace, ends every connection and its commands, frees s; then
 * done(arg). Control thread; done runs on it too, later than iscsi_stop() returns. The reactors keep running meanwhile.
 */
void iscsi_stop(struct iscsi_server *s, void (*done)(void *arg), void *arg);

struct iscsi_session_row {
	char initiator[224];
	char peer[64];	  /* address:port */
	char target[224]; /* empty: a discovery session */
	uint64_t isid;	  /* 48 bits */
	uint16_t tsih;
	unsigned reactor;
	uint32_t in_flight; /* SCSI commands */
	uint64_t commands;  /* since login */
	uint64_t since;	    /* CLOCK_REALTIME seconds */
	bool header_digest, data_digest, initial_r2t, immediate_data;
	uint32_t max_send_data_segment; /* the initiator's MaxRecvDataSegmentLength */
	uint32_t max_recv_data_segment;
	uint32_t max_burst, first_burst;
};

/* Collects a row per session that has completed its login. Control thread; fn runs on it later, exactly once; rows
 * are good during fn only. 0 or -ENOMEM (fn isn't called). */
typedef void (*iscsi_sessions_fn)(void *arg, const struct iscsi_session_row *row, size_t n);
int iscsi_sessions(struct iscsi_server *s, iscsi_sessions_fn fn, void *arg);

#endif
