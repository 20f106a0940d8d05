/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames over a stream socket on a reactor: one receive for all frames that are there, one send for
 * all that are ready at the end of a turn. Data goes to and comes from the commands' own buffers.
 *
 *   link_conn_start ─▶ ops->frame (where shall its data go?) ─▶ ops->data (all of it is there) ─▶ …
 *   link_conn_close, or the peer's end ─▶ (nothing of ours is in the kernel any more) ─▶ frames' sent ─▶ ops->ended
 *
 * Its reactor only. Knows headers and bounds, nothing of what the frames mean.
 */
#ifndef SANDEM_CLUSTER_LINK_CONN_H
#define SANDEM_CLUSTER_LINK_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <urcu/list.h>

#include "cluster/link_tls.h"
#include "cluster/link_wire.h"
#include "core/log.h"
#include "core/reactor.h"

#define LINK_RECV_BUF (64u << 10)
#define LINK_IOV 128

struct link_conn;

struct link_conn_ops {
	/* Header and meta of a frame. *dst: where its h->data_len bytes of data go; NULL:
	 * nowhere. Negative: the connection is to be closed, for link_conn_close() was called or
	 * the frame is wrong. */
	int (*frame)(struct link_conn *c, const struct link_header *h, const uint8_t *meta, void **dst);
	/* All data of that frame is there, or it has none. */
	void (*data)(struct link_conn *c);
	/* The last call: every frame was given back, the socket is closed; the struct may be
	 * freed or used again. */
	void (*ended)(struct link_conn *c);
};

/* A frame to be sent: the caller's, who keeps it and the data until sent(). */
struct link_frame {
	struct cds_list_head link;
	uint8_t head[LINK_HEADER_LEN + LINK_META_MAX];
	uint32_t head_len;
	const void *data;
	uint32_t data_len;
	bool queued;  /* not yet given back */
	bool started; /* the kernel may have sent some of it */
	void (*sent)(struct link_frame *f); /* sent, or never will be; may be NULL */
};

struct link_conn {
	/* set by the caller */
	struct reactor *reactor;
	const struct link_conn_ops *ops;
	const char *name; /* for the log: "link to node-b/0" */
	struct link_tls *tls; /* NULL: plain. The connection's from link_conn_start() on */
	/* its own */
	int fd; /* -1: not started, or ended */
	bool closing;
	uint64_t heard; /* reactor->now of the last bytes */
	struct reactor_hook end_hook;
	struct {
		struct reactor_op op;
		bool busy, direct; /* direct: straight into dst */
		uint8_t *buf, *sealed; /* sealed: as it came, with tls */
		uint32_t at, len;
		bool in_data;
		uint32_t data_left; /* of the running frame */
		uint8_t *dst;
	} rx;
	struct {
		struct reactor_op op;
		struct reactor_hook hook;
		bool busy;
		struct cds_list_head queue, batch;
		struct msghdr msg;
		struct iovec iov[LINK_IOV];
		uint32_t niov, first;
		uint64_t bytes;
	} tx;
};

/* Takes fd and c->tls over. 0 or -ENOMEM (they stay the caller's). */
int link_conn_start(struct link_conn *c, int fd);
/* Frees what it has, whatever is under way: the reactors have ended. */
void link_conn_drop(struct link_conn *c);

/* Fills in f->head; meta is link_*_put()'s: written to link_frame_meta(f). */
static inline uint8_t *link_frame_meta(struct link_frame *f)
{
	return f->head + LINK_HEADER_LEN;
}
void link_conn_send(struct link_conn *c, struct link_frame *f, enum link_type type, uint64_t id, uint32_t meta_len,
		    const void *data, uint32_t data_len);

static inline bool link_conn_open(const struct link_conn *c)
{
	return c->fd >= 0 && !c->closing;
}

/* Ends it; ops->ended comes later. Safe to repeat. */
void link_conn_close(struct link_conn *c, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* From within ops->frame, with nothing queued or on its way to be sent: gives socket and tls up, for
 * another reactor to go on with. -1: the peer has sent what it must not yet send. ops->ended
 * follows either way. */
int link_conn_detach(struct link_conn *c, struct link_tls **tls);

#endif
