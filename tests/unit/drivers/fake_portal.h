/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole driver behind a real socket, and a client that sends whatever PDU it is told to:
 *
 *   test thread: client ─ TCP loopback ─ portal ─ 2 reactor threads ─ iqn.2026-11.test:t (tpgt 2) ─ LUN 0 ─ memory disk
 *                                             └── control thread        iqn.2026-11.test:closed  nobody may access it
 *   The disk can hold back its completions (portal_hold) until portal_release.
 */
#ifndef FAKE_PORTAL_H
#define FAKE_PORTAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/core.h"
#include "core/disk.h"
#include "core/lu.h"
#include "core/target.h"
#include "core/wire.h"
#include "drivers/iscsi/iscsi.h"
#include "drivers/iscsi/pdu.h"

#define DISK_BLOCKS 65536u
#define BLOCK 512u
#define TARGET "iqn.2026-11.test:t"
#define CLOSED_TARGET "iqn.2026-11.test:closed"

struct portal_fixture {
	struct core core;
	struct reactor reactor[2];
	pthread_t control;
	bool ending;
	struct iscsi_server *server;
	uint16_t port;
	struct disk disk;
	uint8_t *data; /* of the disk */
	bool holding;
	struct disk_io *held;
	struct msg release_msg;
	struct lu *lu, *lus[1];
	struct alua_gate gate;
	struct mode_state mode;
	struct target target, closed, *targets[2];
	struct target_port ports[2];
	struct portal portals[3];
	struct initiator_acl acl;
	struct lun_entry lun;
	char *pattern[1];
};

/* What differs from the default. 0: default. */
struct portal_options {
	uint32_t nop_interval, nop_timeout, login_timeout, queue_depth, logout_grace;
	int initial_r2t, immediate_data; /* 0 No, 1 Yes, -1: default */
	uint8_t pi_type;		 /* of the logical unit */
};
struct portal_fixture *portal_up(const struct portal_options *o);
void portal_down(struct portal_fixture *f);
/* cmocka's setup and teardown with default options; *state is the fixture. */
int portal_setup(void **state);
int portal_teardown(void **state);
/* Runs fn(arg) on the control thread and waits for it to return. */
void portal_on_control(struct portal_fixture *f, void (*fn)(void *arg), void *arg);

void portal_hold(struct portal_fixture *f);   /* the next I/O waits */
bool portal_holds(struct portal_fixture *f);  /* it has arrived */
void portal_release(struct portal_fixture *f); /* it ends */

/* ---- the client: every wait has a limit; what fails, fails the test ------------------------------- */

struct pdu {
	uint8_t bhs[BHS_LEN];
	uint8_t ahs[64];
	uint32_t ahs_len;
	uint8_t *data; /* received: malloc'd by the client, freed by the next receive and by client_close */
	uint32_t len;
};

struct client {
	int fd;
	bool header_digest, data_digest;
	uint32_t cmdsn, itt, exp_statsn;
	uint16_t tsih;
	uint64_t isid;
	const char *name;
	struct pdu in; /* the last one received */
};

void client_open(struct client *c, struct portal_fixture *f);
void client_close(struct client *c);
void client_raw(struct client *c, const void *p, size_t len);
void client_send(struct client *c, const struct pdu *p); /* adds lengths, padding, digests */
/* The next PDU into c->in; false: the target closed the connection. */
bool client_recv(struct client *c);
/* True when nothing arrives within ms. */
bool client_silent(struct client *c, int ms);
void client_expect(struct client *c, uint8_t opcode);
/* The target ends this connection; PDUs on the way are skipped. Gives the reason of a Reject among them, -1: none. */
int client_expect_close(struct client *c);

/* One Login Request with text (pairs, each with its NUL) of len bytes, and its answer: status class and detail. */
int client_login_pdu(struct client *c, uint8_t flags, const char *text, size_t len);
/* InitiatorName, SessionType, TargetName, then more keys, straight to full feature phase. The status. */
int client_login(struct client *c, const char *target, const char *more, size_t len);
#define client_login_keys(c, target, text) client_login(c, target, text, sizeof(text) - 1)
/* Opens, logs in to TARGET; consumes the power on unit attention. */
void client_start(struct client *c, struct portal_fixture *f);

/* A SCSI Command: sent, not awaited. flags: F, R, W bits. */
void client_command(struct client *c, uint8_t flags, const uint8_t cdb[16], uint32_t expected, const void *data,
		    uint32_t len);
void cdb_read(uint8_t cdb[16], uint32_t lba, uint16_t blocks);
void cdb_write(uint8_t cdb[16], uint32_t lba, uint16_t blocks);
/* TEST UNIT READY and its status: is the session alive? */
int client_ready(struct client *c);
/* Value of a key in the text of c->in; NULL. */
const char *client_key(const struct client *c, const char *key);

#endif
