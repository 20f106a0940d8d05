/* SPDX-License-Identifier: BSD-2-Clause */
/* What link.c, link_out.c, link_dial.c, link_accept.c and link_in.c share. */
#ifndef SANDEM_CLUSTER_LINK_INT_H
#define SANDEM_CLUSTER_LINK_INT_H

#include <netinet/in.h>

#include "cluster/link.h"
#include "cluster/link_auth.h"
#include "cluster/link_conn.h"
#include "core/core.h"
#include "core/mailbox.h"

#define LINK_MS 1000000ull
#define LINK_TICK_NS (100 * LINK_MS)
#define LINK_PING_NS (250 * LINK_MS)
#define LINK_SILENCE_NS (1000 * LINK_MS)   /* then it is lost */
#define LINK_GRACE_NS (1000 * LINK_MS)	   /* a lost connection may be back by then: the port's state stays */
#define LINK_HANDSHAKE_NS (3000 * LINK_MS) /* connecting and authentication */
#define LINK_REDIAL_MIN_NS (50 * LINK_MS)
#define LINK_REDIAL_MAX_NS (1000 * LINK_MS)
#define LINK_BYTES_MAX (64u << 20) /* of data under way per connection */

struct link_out;

struct link_peer { /* another node; control thread, but for what never changes */
	struct link_node node; /* its strings are the next two */
	char name[64], addr_text[64];
	struct sockaddr_storage addr;
	socklen_t addr_len;
	unsigned to_up;	   /* of this node's connections to it */
	unsigned from_up;  /* of its connections to this node … */
	unsigned from_all; /* … of which it has so many */
	struct link_out *out; /* [nreactors] */
};

struct link {
	struct core *core;
	char cluster[64];
	uint32_t node;
	uint64_t incarnation;
	struct link_key key;
	struct link_tls_context *tls; /* NULL: plain */
	void (*changed)(void *arg);
	void *arg;
	size_t npeers;
	struct link_peer *peer;
	struct link_acceptor *acceptor;
	struct link_in_shard *in; /* [nreactors] */
};

struct link_peer *link_peer_find(const struct link *l, uint32_t node);

/* Whether c->tls is what the configuration asks for: NULL where it asks for none. False: no memory. */
bool link_tls_for(const struct link *l, struct link_conn *c, enum link_tls_side side);

/* Any reactor: a connection to (or from) a node has come up or gone down. all: how many there
 * are to be of that kind. */
enum link_direction { LINK_TO, LINK_FROM };
void link_report(struct link *l, uint32_t node, enum link_direction d, bool up, unsigned all);

/* Whether a command changes the medium, so that it must not be done twice. */
bool link_is_write(const struct scsi_cmd *cmd);

/* ---- link_dial.c, link_out.c ---- */
int link_out_new(struct link *l, struct link_peer *p); /* all reactors' */
void link_out_free(struct link *l, struct link_peer *p);
void link_out_submit(void *arg, struct scsi_cmd *cmd);
void link_out_aborted(void *arg, struct scsi_cmd *cmd);
void link_out_gate_changed(void *arg, struct lu *lu, struct reactor *r);

/* ---- link_accept.c ---- */
int link_accept_new(struct link *l, const struct link_node *self, char *err, size_t errlen);
void link_accept_free(struct link *l);
int link_sockaddr(const struct link_node *n, struct sockaddr_storage *out, socklen_t *len); /* 0 or -EINVAL */

/* ---- link_in.c ---- */
int link_in_new(struct link *l);
void link_in_free(struct link *l);
/* Reactor 0: fd is authenticated, as auth says; the reactor that serves it gets it, and tls. */
void link_in_adopt(struct link *l, int fd, struct link_tls *tls, const struct link_auth *auth);

#endif
