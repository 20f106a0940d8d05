/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS 1.3 for the node-to-node link, without I/O: bytes in, bytes out. Both sides know each other by
 * the cluster's key, as an external pre-shared key with a Diffie-Hellman exchange (RFC 8446 2.2): no
 * certificates, and what was recorded stays secret when the key becomes known later.
 *
 *   the wire ─▶ link_tls_came ─▶ link_tls_read ─▶ frames
 *   frames ─▶ link_tls_write ─▶ link_tls_take ─▶ the wire
 *
 * A link_tls belongs to one connection and its reactor; the context, control thread, to all.
 */
#ifndef SANDEM_CLUSTER_LINK_TLS_H
#define SANDEM_CLUSTER_LINK_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct link_key;
struct link_tls;
struct link_tls_context;

enum link_tls_side { LINK_TLS_DIALER, LINK_TLS_ACCEPTOR };

/* cluster: its name, which both sides have to say alike. NULL: no memory, or a libssl that can't. */
struct link_tls_context *link_tls_context_new(const struct link_key *key, const char *cluster);
void link_tls_context_free(struct link_tls_context *x);

/* The dialer's first bytes are there to be taken at once. NULL: no memory. */
struct link_tls *link_tls_new(const struct link_tls_context *x, enum link_tls_side side);
void link_tls_free(struct link_tls *t);

/* Bytes of the wire. 0 or -ENOMEM. */
int link_tls_came(struct link_tls *t, const void *p, size_t len);

/* The next plain bytes, at most len. 0: more has to come first (the handshake goes on by this, too:
 * look whether something is to be taken). -ECONNRESET: the peer has ended it. -EPROTO: not TLS, not
 * this key, or tampered with. */
ssize_t link_tls_read(struct link_tls *t, void *buf, size_t len);

/* Handshake done, the peer has the key: link_tls_write() may be called. */
bool link_tls_ready(const struct link_tls *t);

/* Seals plain bytes. 0 or -EPROTO. */
int link_tls_write(struct link_tls *t, const void *p, size_t len);

/* Everything that is to be sent; it stays where it is until the next call. Bytes; 0 = nothing; or -ENOMEM. */
ssize_t link_tls_take(struct link_tls *t, const void **p);

/* Nothing has come that was not read. */
bool link_tls_drained(const struct link_tls *t);

#endif
