/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owner's side: commands that come over the link are executed here.
 *
 *   shard (one per reactor) ── origin (one per link of a node's incarnation; keeps the duplicates' table over connections)
 *                                 ├─ served: commands under way
 *                                 └─ conn: the current connection; an older one ends by itself
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/link_dup.h"
#include "cluster/link_int.h"
#include "core/cdb.h"
#include "core/log.h"

#define FREE_MAX LINK_SLOTS /* commands kept for reuse per origin */

struct in_conn;

struct origin {
	struct link *l;
	struct reactor *r;
	struct cds_list_head link; /* shard->origins */
	struct link_party party;
	uint16_t index;
	bool dead;	/* another incarnation has taken its place */
	bool told_up;
	struct in_conn *conn;
	unsigned nconns, ncommands; /* freed when dead and both are 0 */
	struct link_dup *dup;
	struct remote_nexuses *nexuses;
	struct served *free;
	unsigned nfree;
	struct cds_list_head running; /* struct served: being executed */
	struct reactor_timer timer;
	uint64_t lost; /* when the last connection ended */
};

struct in_conn {
	struct link_conn conn;
	struct origin *origin;
	struct link_header h; /* of the running frame */
	struct served *receiving;
	struct link_frame welcome, pong;
	char name[64];
};

struct served {
	struct remote_cmd rc;
	struct origin *origin;
	struct in_conn *conn; /* on which it came; not to be followed, only compared */
	uint64_t id;
	bool begun;   /* rc is in use */
	bool refused; /* not executed; answer as it stands, its data is thrown away */
	bool write;
	struct link_answer answer;
	struct link_frame frame;
	struct served *next; /* free list */
	struct cds_list_head running; /* origin->running */
};

struct link_in_shard {
	struct cds_list_head origins;
};

/* ---- memory ----------------------------------------------------------------------------------------------- */

static void frame_sent(struct link_frame *f);

static struct served *served_get(struct origin *o)
{
	struct served *s = o->free;

	if (s) {
		o->free = s->next;
		o->nfree--;
	} else {
		s = malloc(sizeof(*s));
		if (!s)
			return NULL;
	}
	s->origin = o;
	s->begun = s->refused = s->write = false;
	s->frame.queued = false;
	s->frame.sent = frame_sent;
	o->ncommands++;
	return s;
}

static void origin_free(struct origin *o)
{
	reactor_timer_cancel(&o->timer);
	cds_list_del(&o->link);
	while (o->free) {
		struct served *s = o->free;

		o->free = s->next;
		free(s);
	}
	remote_nexuses_free(o->nexuses);
	link_dup_free(o->dup);
	free(o);
}

static void origin_check(struct origin *o)
{
	if (o->dead && !o->nconns && !o->ncommands)
		origin_free(o);
}

static void served_put(struct served *s)
{
	struct origin *o = s->origin;

	if (s->begun)
		remote_end(&s->rc);
	o->ncommands--;
	if (o->nfree < FREE_MAX) {
		s->next = o->free;
		o->free = s;
		o->nfree++;
	} else {
		free(s);
	}
	origin_check(o);
}

static void frame_sent(struct link_frame *f)
{
	served_put(caa_container_of(f, struct served, frame));
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static uint32_t data_in(const struct served *s)
{
	const struct scsi_cmd *cmd = &s->rc.cmd;

	if (!s->begun || s->answer.outcome != LINK_DONE)
		return 0;
	return s->answer.data_in_len < cmd->expected_len ? s->answer.data_in_len : cmd->expected_len;
}

/* The answer to a write goes to whichever connection there is: it may have been asked for again
 * there. */
static void answer(struct served *s)
{
	struct in_conn *c = s->origin->conn;
	uint32_t len = data_in(s);

	if (!c || !link_conn_open(&c->conn) || (!s->write && s->conn != c)) {
		served_put(s);
		return;
	}
	link_conn_send(&c->conn, &s->frame, LINK_ANSWER, s->id, link_answer_put(link_frame_meta(&s->frame), &s->answer),
		       s->rc.cmd.buf, len);
}

static void refuse(struct served *s, enum link_outcome outcome, enum scsi_status status)
{
	s->refused = true;
	s->answer = (struct link_answer){ .outcome = outcome, .status = status };
}

static void executed(struct remote_cmd *rc)
{
	struct served *s = caa_container_of(rc, struct served, rc);
	const struct scsi_cmd *cmd = &rc->cmd;

	cds_list_del(&s->running);
	s->answer.outcome = cmd->turned_away ? LINK_TURNED_AWAY : cmd->aborted ? LINK_ABORTED : LINK_DONE;
	s->answer.status = cmd->status;
	s->answer.data_in_len = cmd->data_in_len;
	s->answer.sense_len = cmd->status == STATUS_CHECK_CONDITION ? cmd->sense_len : 0;
	memcpy(s->answer.sense, cmd->sense, s->answer.sense_len);
	if (s->write)
		link_dup_done(s->origin->dup, s->id, &s->answer);
	answer(s);
}

/* ---- frames --------------------------------------------------------------------------------------------------- */

static int command(struct in_conn *c, const struct link_header *h, const uint8_t *meta, void **dst)
{
	struct remote_request q;
	struct served *s;
	int rc = link_command_get(meta, h->meta_len, &q);

	if (rc < 0 || link_id_slot(h->id) >= LINK_SLOTS)
		return -EPROTO;
	s = served_get(c->origin);
	if (!s)
		return -ENOMEM;
	s->conn = c;
	s->id = h->id;
	s->rc.done = executed;
	rc = remote_begin(c->origin->nexuses, &s->rc, &q, h->data_len);
	if (rc == -EBADMSG) {
		served_put(s);
		return rc;
	}
	s->begun = rc == 0;
	if (rc == -ENOENT)
		refuse(s, LINK_TURNED_AWAY, STATUS_GOOD);
	else if (rc < 0)
		refuse(s, LINK_DONE, STATUS_BUSY);
	s->write = s->begun && link_is_write(&s->rc.cmd);
	*dst = s->begun ? s->rc.cmd.buf : NULL;
	c->receiving = s;
	return 0;
}

/* Its fate is known, or will be told by the one that is running. */
static void answer_again(struct served *s, enum link_dup_verdict v)
{
	if (s->begun)
		remote_abandon(&s->rc);
	if (v == DUP_KNOWN) {
		s->answer = *link_dup_answer(s->origin->dup, s->id);
		answer(s);
	} else {
		served_put(s);
	}
}

static void run(struct served *s)
{
	cds_list_add_tail(&s->running, &s->origin->running);
	remote_execute(&s->rc);
}

/* Of one that has ended the answer is on its way. */
static void abort_running(struct origin *o, uint64_t id)
{
	struct served *s;

	cds_list_for_each_entry(s, &o->running, running)
		if (s->id == id) {
			remote_abort(&s->rc);
			return;
		}
}

static void command_complete(struct in_conn *c)
{
	struct served *s = c->receiving;
	enum link_dup_verdict v = DUP_NEW;

	c->receiving = NULL;
	if (s->write)
		v = link_dup_begin(c->origin->dup, s->id);
	switch (v) {
	case DUP_NEW:
		if (s->refused)
			answer(s);
		else
			run(s);
		return;
	case DUP_RUNNING:
	case DUP_KNOWN:
		answer_again(s, v);
		return;
	case DUP_REFUSED:
		remote_abandon(&s->rc);
		served_put(s);
		link_conn_close(&c->conn, LOG_LEVEL_ERROR, "a command with a number that was used before");
		return;
	}
}

static int cancel(struct in_conn *c, const struct link_header *h)
{
	enum link_dup_verdict v = link_dup_cancel(c->origin->dup, h->id);
	struct served *s;

	if (v == DUP_REFUSED)
		return -EPROTO;
	if (v == DUP_RUNNING)
		return 0;
	s = served_get(c->origin);
	if (!s)
		return -ENOMEM;
	s->conn = c;
	s->id = h->id;
	answer_again(s, v);
	return 0;
}

static int on_frame(struct link_conn *conn, const struct link_header *h, const uint8_t *meta, void **dst)
{
	struct in_conn *c = caa_container_of(conn, struct in_conn, conn);

	c->h = *h;
	switch (h->type) {
	case LINK_COMMAND:
		return command(c, h, meta, dst);
	case LINK_CANCEL:
		return cancel(c, h);
	case LINK_ABORT:
		abort_running(c->origin, h->id);
		return 0;
	case LINK_PING:
		if (!c->pong.queued)
			link_conn_send(conn, &c->pong, LINK_PONG, h->id, 0, NULL, 0);
		return 0;
	case LINK_HELLO:
	case LINK_CHALLENGE:
	case LINK_PROOF:
	case LINK_WELCOME:
	case LINK_ANSWER:
	case LINK_PONG:
	case LINK_TYPE_END:
		break;
	}
	return -EPROTO;
}

static void on_data(struct link_conn *conn)
{
	struct in_conn *c = caa_container_of(conn, struct in_conn, conn);

	if (c->receiving)
		command_complete(c);
}

/* ---- connections of an origin ------------------------------------------------------------------------------------ */

static void on_ended(struct link_conn *conn)
{
	struct in_conn *c = caa_container_of(conn, struct in_conn, conn);
	struct origin *o = c->origin;

	if (c->receiving) {
		if (c->receiving->begun)
			remote_abandon(&c->receiving->rc);
		served_put(c->receiving);
	}
	if (o->conn == c)
		o->conn = NULL;
	o->lost = o->r->now;
	o->nconns--;
	free(c);
	origin_check(o);
}

static const struct link_conn_ops in_ops = { on_frame, on_data, on_ended };

static void tell(struct origin *o, bool up)
{
	if (o->told_up == up)
		return;
	o->told_up = up;
	link_report(o->l, o->party.node, LINK_FROM, up, o->party.reactors);
}

static void tick(struct reactor_timer *t)
{
	struct origin *o = caa_container_of(t, struct origin, timer);
	uint64_t now = o->r->now;

	if (o->conn && link_conn_open(&o->conn->conn) && now - o->conn->conn.heard > LINK_SILENCE_NS)
		link_conn_close(&o->conn->conn, LOG_LEVEL_WARNING, "nothing was heard for %llu ms",
				LINK_SILENCE_NS / LINK_MS);
	if (!o->conn && now - o->lost > LINK_GRACE_NS)
		tell(o, false);
	if (o->conn || o->told_up)
		reactor_timer_arm(o->r, t, LINK_TICK_NS);
}

static struct origin *origin_new(struct link *l, struct reactor *r, const struct link_party *party, uint16_t index)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	*o = (struct origin){ .l = l, .r = r, .party = *party, .index = index, .timer.fn = tick };
	o->dup = link_dup_new();
	o->nexuses = remote_nexuses_new(l->core, r);
	CDS_INIT_LIST_HEAD(&o->running);
	CDS_INIT_LIST_HEAD(&o->link);
	cds_list_add_tail(&o->link, &l->in[r->index].origins);
	if (o->dup && o->nexuses)
		return o;
	origin_free(o);
	return NULL;
}

/* The daemon that dialed before is gone: what it had under way may end, nobody waits for it. */
static void origin_bury(struct origin *o)
{
	o->dead = true;
	tell(o, false);
	reactor_timer_cancel(&o->timer);
	if (o->conn)
		link_conn_close(&o->conn->conn, LOG_LEVEL_INFO, "the node's daemon was started anew");
	o->conn = NULL;
	origin_check(o);
}

static struct origin *origin_for(struct link *l, struct reactor *r, const struct link_party *party, uint16_t index)
{
	struct origin *o, *next;

	cds_list_for_each_entry_safe(o, next, &l->in[r->index].origins, link) {
		if (o->dead || o->party.node != party->node || o->index != index)
			continue;
		if (o->party.incarnation == party->incarnation)
			return o;
		origin_bury(o);
	}
	return origin_new(l, r, party, index);
}

/* ---- from the acceptor to the reactor that serves ------------------------------------------------------------------ */

struct adoption {
	struct msg msg;
	struct link *l;
	struct reactor *r;
	int fd;
	struct link_tls *tls;
	struct link_party party;
	uint16_t index;
};

static bool serve(const struct adoption *a)
{
	struct origin *o = origin_for(a->l, a->r, &a->party, a->index);
	struct in_conn *c = o ? calloc(1, sizeof(*c)) : NULL;
	struct link_peer *p = link_peer_find(a->l, a->party.node);

	if (!c)
		return false;
	c->origin = o;
	snprintf(c->name, sizeof(c->name), "link from %.40s/%u", p->node.name, a->index);
	c->conn.reactor = a->r;
	c->conn.ops = &in_ops;
	c->conn.name = c->name;
	c->conn.tls = a->tls;
	if (link_conn_start(&c->conn, a->fd) < 0) {
		free(c);
		return false;
	}
	/* From here on nothing more is taken from the connection before: what comes again is
	 * known by its number. */
	if (o->conn)
		link_conn_close(&o->conn->conn, LOG_LEVEL_INFO, "there is a newer one");
	o->conn = c;
	o->nconns++;
	link_conn_send(&c->conn, &c->welcome, LINK_WELCOME, 0, 0, NULL, 0);
	log_info("%s: up", c->name);
	tell(o, true);
	if (!o->timer.armed)
		reactor_timer_arm(o->r, &o->timer, LINK_TICK_NS);
	return true;
}

static void adopted(struct msg *m)
{
	struct adoption *a = caa_container_of(m, struct adoption, msg);

	if (!serve(a)) {
		log_error("link: a connection was turned away: out of memory");
		link_tls_free(a->tls);
		close(a->fd);
	}
	free(a);
}

void link_in_adopt(struct link *l, int fd, struct link_tls *tls, const struct link_auth *auth)
{
	struct adoption *a = malloc(sizeof(*a));

	if (!a) {
		log_error("link: a connection was turned away: out of memory");
		link_tls_free(tls);
		close(fd);
		return;
	}
	*a = (struct adoption){ .msg.fn = adopted, .l = l, .fd = fd, .tls = tls, .party = auth->peer, .index = auth->index,
				.r = &l->core->reactor[auth->index % l->core->nreactors] };
	reactor_post(a->r, &a->msg);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

int link_in_new(struct link *l)
{
	l->in = calloc(l->core->nreactors, sizeof(*l->in));
	if (!l->in)
		return -ENOMEM;
	for (unsigned i = 0; i < l->core->nreactors; i++)
		CDS_INIT_LIST_HEAD(&l->in[i].origins);
	return 0;
}

void link_in_free(struct link *l)
{
	for (unsigned i = 0; l->in && i < l->core->nreactors; i++) {
		struct origin *o, *next;

		cds_list_for_each_entry_safe(o, next, &l->in[i].origins, link) {
			if (o->conn) {
				link_conn_drop(&o->conn->conn);
				free(o->conn);
			}
			o->timer.armed = false; /* nobody has a list of timers any more */
			origin_free(o);
		}
	}
	free(l->in);
}
