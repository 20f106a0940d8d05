/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/replog_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/replog.pb-c.h"
#include "core/wbuf_message.h"

/* magic, wire format, type, two bytes reserved: never changes, whatever the protocol's version */
static const uint8_t magic[4] = { 'S', 'n', 'd', 'm' };
#define FORMAT 1
#define HEADER 8

static bool copy_string(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (!n || n >= size)
		return false;
	memcpy(to, from, n + 1);
	return true;
}

static bool copy_sha(uint8_t to[32], const ProtobufCBinaryData *b)
{
	if (b->len != 32)
		return false;
	memcpy(to, b->data, 32);
	return true;
}

static bool seats_get(struct seat *to, uint32_t *nto, Replog__Seat **from, size_t n)
{
	if (n > REPLOG_MEMBERS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!from[i]->node)
			return false;
		to[i] = (struct seat){ from[i]->node, from[i]->incarnation, from[i]->round };
	}
	*nto = n;
	return true;
}

static bool nodes_get(uint32_t *to, uint32_t *nto, const uint32_t *from, size_t n)
{
	if (n > REPLOG_MEMBERS_MAX)
		return false;
	*nto = n;
	for (size_t i = 0; i < n; i++)
		to[i] = from[i];
	return true;
}

static bool lineage_get(struct lineage *l, const Replog__Lineage *pb)
{
	if (!pb || pb->n_known > REPLOG_KNOWN_MAX || pb->committed_generation > pb->generation ||
	    pb->n_member > REPLOG_MEMBERS_MAX)
		return false;
	*l = (struct lineage){ .era = pb->era,
			       .generation = pb->generation,
			       .history = pb->history,
			       .committed_generation = pb->committed_generation,
			       .committed_history = pb->committed_history,
			       .position = pb->position,
			       .nknown = pb->n_known,
			       .nmembers = pb->n_member };
	if (pb->n_known)
		memcpy(l->known, pb->known, pb->n_known * sizeof(l->known[0]));
	if (pb->n_member)
		memcpy(l->member, pb->member, pb->n_member * sizeof(l->member[0]));
	return true;
}

/* ---- parse, one per type: true when every value is in bounds ------------------------------------ */

static bool hello_get(struct message *m, void *u)
{
	Replog__Hello *pb = u;
	struct hello *h = &m->hello;

	*h = (struct hello){ .round = pb->round,
			     .incarnation = pb->incarnation,
			     .version_min = pb->version_min,
			     .version_max = pb->version_max,
			     .live = pb->live,
			     .established = pb->established,
			     .excluded = pb->excluded,
			     .outdated = pb->outdated,
			     .follows = pb->follows,
			     .keep = pb->keep,
			     .groups_replicated = pb->groups_replicated,
			     .branch = pb->branch,
			     .position = pb->position,
			     .order = pb->order };
	if ((pb->fixed_digest.len && !copy_sha(h->fixed_digest, &pb->fixed_digest)) ||
	    (pb->nodes_digest.len && !copy_sha(h->nodes_digest, &pb->nodes_digest)))
		return false;
	return pb->incarnation && pb->round && pb->version_min && pb->version_min <= pb->version_max &&
	       copy_string(h->cluster, sizeof(h->cluster), pb->cluster) &&
	       copy_string(h->node_name, sizeof(h->node_name), pb->node_name) &&
	       copy_sha(h->config_digest, &pb->config_digest) && lineage_get(&h->lineage, pb->lineage) &&
	       seats_get(h->heard, &h->nheard, pb->heard, pb->n_heard) &&
	       nodes_get(h->goodbye, &h->ngoodbyes, pb->goodbye, pb->n_goodbye);
}

static bool op_get(struct message *m, void *u)
{
	Replog__Op *pb = u;

	m->op = (struct op){ pb->incarnation, pb->seq, pb->service, pb->body.data, pb->body.len };
	return pb->incarnation && pb->seq && pb->service <= UINT16_MAX && pb->body.len <= REPLOG_OP_MAX;
}

static bool view_get(struct message *m, void *u)
{
	Replog__View *pb = u;

	m->view = (struct view){
		.branch = pb->branch, .generation = pb->generation, .history = pb->history, .version = pb->version
	};
	return pb->generation && pb->history && pb->version && pb->n_member &&
	       seats_get(m->view.member, &m->view.nmembers, pb->member, pb->n_member);
}

static bool ack_get(struct message *m, void *u)
{
	Replog__Ack *pb = u;

	struct ack_beyond *b = &m->ack.beyond;
	uint64_t last = pb->position;

	m->ack = (struct ack){ pb->position, pb->committed_generation, { .reach = pb->reach, .nopen = pb->n_open } };
	if (!pb->reach) /* a version that does not know of it */
		b->reach = pb->position;
	if (b->reach < pb->position || pb->n_open > ACK_OPEN_MAX)
		return false;
	for (size_t i = 0; i < pb->n_open; i++) {
		if (pb->open[i] <= last || pb->open[i] > b->reach)
			return false;
		last = b->open[i] = pb->open[i];
	}
	return true;
}

static bool chunk_get(struct message *m, void *u)
{
	Replog__Chunk *pb = u;

	m->chunk = (struct chunk){ .incarnation = pb->incarnation,
				   .round = pb->round,
				   .total = pb->total,
				   .offset = pb->offset,
				   .data = pb->data.data,
				   .len = pb->data.len };
	return pb->data.len && pb->data.len <= REPLOG_CHUNK && pb->offset < pb->total &&
	       pb->data.len <= pb->total - pb->offset && copy_sha(m->chunk.sha256, &pb->sha256);
}

static bool synced_get(struct message *m, void *u)
{
	Replog__Synced *pb = u;

	m->synced = (struct synced){ pb->source, pb->source_incarnation, pb->source_round, pb->acked,
				     pb->committed_generation };
	return pb->source && pb->source_incarnation;
}

static bool goodbye_get(struct message *m, void *u)
{
	m->goodbye = ((Replog__Goodbye *)u)->incarnation;
	return m->goodbye;
}

static bool check_get(struct message *m, void *u)
{
	m->check = ((Replog__Check *)u)->branch;
	return true;
}

static bool digest_get(struct message *m, void *u)
{
	Replog__Digest *pb = u;

	m->digest.position = pb->position;
	return copy_sha(m->digest.sha256, &pb->sha256);
}

static bool lapse_get(struct message *m, void *u)
{
	m->lapse = ((Replog__Lapse *)u)->incarnation;
	return m->lapse;
}

static const struct {
	const char *name;
	const ProtobufCMessageDescriptor *desc;
	bool (*get)(struct message *m, void *u);
} types[MSG_TYPE_LAST + 1] = {
	[MSG_HELLO] = { "HELLO", &replog__hello__descriptor, hello_get },
	[MSG_OP] = { "OP", &replog__op__descriptor, op_get },
	[MSG_VIEW] = { "VIEW", &replog__view__descriptor, view_get },
	[MSG_ACK] = { "ACK", &replog__ack__descriptor, ack_get },
	[MSG_CHUNK] = { "CHUNK", &replog__chunk__descriptor, chunk_get },
	[MSG_SYNCED] = { "SYNCED", &replog__synced__descriptor, synced_get },
	[MSG_GOODBYE] = { "GOODBYE", &replog__goodbye__descriptor, goodbye_get },
	[MSG_CHECK] = { "CHECK", &replog__check__descriptor, check_get },
	[MSG_DIGEST] = { "DIGEST", &replog__digest__descriptor, digest_get },
	[MSG_LAPSE] = { "LAPSE", &replog__lapse__descriptor, lapse_get },
};

int message_type(const void *p, size_t len)
{
	const uint8_t *b = p;

	if (len < HEADER || memcmp(b, magic, sizeof(magic)) || b[5] < 1 || b[5] > MSG_TYPE_LAST)
		return 0;
	return b[5];
}

int message_parse(struct message *m, const void *p, size_t len, const char **why)
{
	int type = message_type(p, len);
	ProtobufCMessage *u;

	*why = "no header of this protocol";
	if (!type)
		return -EBADMSG;
	*why = "a format newer than this version understands";
	if (((const uint8_t *)p)[4] != FORMAT)
		return -EPROTONOSUPPORT;
	*why = types[type].name;
	if (len > REPLOG_MESSAGE_MAX)
		return -EBADMSG;
	u = protobuf_c_message_unpack(types[type].desc, NULL, len - HEADER, (const uint8_t *)p + HEADER);
	if (!u)
		return -EBADMSG;
	m->type = type;
	m->unpacked = u;
	if (types[type].get(m, u))
		return 0;
	message_fini(m);
	return -EBADMSG;
}

void message_fini(struct message *m)
{
	if (m->unpacked)
		protobuf_c_message_free_unpacked(m->unpacked, NULL);
	m->unpacked = NULL;
}

/* ---- pack ------------------------------------------------------------------------------- */

static void seats_put(Replog__Seat *pb, Replog__Seat **ptr, const struct seat *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		replog__seat__init(&pb[i]);
		pb[i].node = s[i].node;
		pb[i].incarnation = s[i].incarnation;
		pb[i].round = s[i].round;
		ptr[i] = &pb[i];
	}
}

static void lineage_put(Replog__Lineage *pb, const struct lineage *l)
{
	replog__lineage__init(pb);
	pb->era = l->era;
	pb->generation = l->generation;
	pb->history = l->history;
	pb->committed_generation = l->committed_generation;
	pb->committed_history = l->committed_history;
	pb->position = l->position;
	pb->n_known = l->nknown;
	pb->known = (uint64_t *)l->known;
	pb->n_member = l->nmembers;
	pb->member = (uint32_t *)l->member;
}

static ProtobufCBinaryData sha_put(const uint8_t sha[32])
{
	return (ProtobufCBinaryData){ 32, (uint8_t *)sha };
}

static void hello_put(const struct hello *h, struct wbuf *out)
{
	Replog__Hello pb = REPLOG__HELLO__INIT;
	Replog__Lineage l;
	Replog__Seat seat[REPLOG_MEMBERS_MAX], *ptr[REPLOG_MEMBERS_MAX];

	pb.round = h->round;
	pb.incarnation = h->incarnation;
	pb.version_min = h->version_min;
	pb.version_max = h->version_max;
	pb.cluster = (char *)h->cluster;
	pb.node_name = (char *)h->node_name;
	pb.config_digest = sha_put(h->config_digest);
	if (h->version_max > 1)
		pb.fixed_digest = sha_put(h->fixed_digest);
	if (h->version_max > 2) {
		pb.nodes_digest = sha_put(h->nodes_digest);
		pb.groups_replicated = h->groups_replicated;
	}
	pb.live = h->live;
	pb.established = h->established;
	pb.excluded = h->excluded;
	pb.outdated = h->outdated;
	pb.follows = h->follows;
	pb.keep = h->keep;
	pb.branch = h->branch;
	pb.position = h->position;
	pb.order = h->order;
	lineage_put(&l, &h->lineage);
	pb.lineage = &l;
	seats_put(seat, ptr, h->heard, h->nheard);
	pb.n_heard = h->nheard;
	pb.heard = ptr;
	pb.n_goodbye = h->ngoodbyes;
	pb.goodbye = (uint32_t *)h->goodbye;
	wbuf_put_message(out, &pb.base);
}

static void view_put(const struct view *v, struct wbuf *out)
{
	Replog__View pb = REPLOG__VIEW__INIT;
	Replog__Seat seat[REPLOG_MEMBERS_MAX], *ptr[REPLOG_MEMBERS_MAX];

	pb.branch = v->branch;
	pb.generation = v->generation;
	pb.history = v->history;
	pb.version = v->version;
	seats_put(seat, ptr, v->member, v->nmembers);
	pb.n_member = v->nmembers;
	pb.member = ptr;
	wbuf_put_message(out, &pb.base);
}

static void op_put(const struct op *op, struct wbuf *out)
{
	Replog__Op pb = REPLOG__OP__INIT;

	pb.incarnation = op->incarnation;
	pb.seq = op->seq;
	pb.service = op->service;
	pb.body = (ProtobufCBinaryData){ op->len, (uint8_t *)op->body };
	wbuf_put_message(out, &pb.base);
}

static void ack_put(const struct ack *a, struct wbuf *out)
{
	Replog__Ack pb = REPLOG__ACK__INIT;

	pb.position = a->position;
	pb.committed_generation = a->committed_generation;
	if (a->beyond.reach > a->position) {
		pb.reach = a->beyond.reach;
		pb.n_open = a->beyond.nopen;
		pb.open = (uint64_t *)a->beyond.open;
	}
	wbuf_put_message(out, &pb.base);
}

static void chunk_put(const struct chunk *c, struct wbuf *out)
{
	Replog__Chunk pb = REPLOG__CHUNK__INIT;

	pb.incarnation = c->incarnation;
	pb.round = c->round;
	pb.total = c->total;
	pb.offset = c->offset;
	pb.data = (ProtobufCBinaryData){ c->len, (uint8_t *)c->data };
	pb.sha256 = sha_put(c->sha256);
	wbuf_put_message(out, &pb.base);
}

static void synced_put(const struct synced *s, struct wbuf *out)
{
	Replog__Synced pb = REPLOG__SYNCED__INIT;

	pb.source = s->source;
	pb.source_incarnation = s->source_incarnation;
	pb.source_round = s->source_round;
	pb.acked = s->acked;
	pb.committed_generation = s->committed_generation;
	wbuf_put_message(out, &pb.base);
}

static void goodbye_put(uint64_t incarnation, struct wbuf *out)
{
	Replog__Goodbye pb = REPLOG__GOODBYE__INIT;

	pb.incarnation = incarnation;
	wbuf_put_message(out, &pb.base);
}

static void check_put(uint64_t branch, struct wbuf *out)
{
	Replog__Check pb = REPLOG__CHECK__INIT;

	pb.branch = branch;
	wbuf_put_message(out, &pb.base);
}

static void lapse_put(uint64_t incarnation, struct wbuf *out)
{
	Replog__Lapse pb = REPLOG__LAPSE__INIT;

	pb.incarnation = incarnation;
	wbuf_put_message(out, &pb.base);
}

static void digest_put(const struct digest *d, struct wbuf *out)
{
	Replog__Digest pb = REPLOG__DIGEST__INIT;

	pb.position = d->position;
	pb.sha256 = sha_put(d->sha256);
	wbuf_put_message(out, &pb.base);
}

void message_pack(const struct message *m, struct wbuf *out)
{
	uint8_t head[HEADER] = { magic[0], magic[1], magic[2], magic[3], FORMAT, m->type };

	wbuf_put(out, head, sizeof(head));
	switch (m->type) {
	case MSG_HELLO:
		hello_put(&m->hello, out);
		break;
	case MSG_OP:
		op_put(&m->op, out);
		break;
	case MSG_VIEW:
		view_put(&m->view, out);
		break;
	case MSG_ACK:
		ack_put(&m->ack, out);
		break;
	case MSG_CHUNK:
		chunk_put(&m->chunk, out);
		break;
	case MSG_SYNCED:
		synced_put(&m->synced, out);
		break;
	case MSG_GOODBYE:
		goodbye_put(m->goodbye, out);
		break;
	case MSG_LAPSE:
		lapse_put(m->lapse, out);
		break;
	case MSG_CHECK:
		check_put(m->check, out);
		break;
	case MSG_DIGEST:
		digest_put(&m->digest, out);
		break;
	}
}

/* ---- snapshots ---------------------------------------------------------------------------- */

static bool snapshot_members_get(struct snapshot *s, const Replog__Snapshot *pb)
{
	if (!pb->n_member || pb->n_member > REPLOG_MEMBERS_MAX)
		return false;
	for (size_t i = 0; i < pb->n_member; i++) {
		const Replog__SyncedMember *m = pb->member[i];

		s->member[i] = (struct snapshot_member){ m->node, m->incarnation, m->order, m->acked,
							 m->committed_generation, m->counted };
	}
	s->nmembers = pb->n_member;
	return true;
}

static bool snapshot_services_get(struct snapshot *s, const Replog__Snapshot *pb)
{
	s->service = calloc(pb->n_service + 1, sizeof(*s->service));
	s->durable = calloc(pb->n_durable + 1, sizeof(*s->durable));
	if (!s->service || !s->durable)
		return false;
	for (size_t i = 0; i < pb->n_service; i++) {
		const Replog__ServiceState *v = pb->service[i];

		if (v->service > UINT16_MAX)
			return false;
		s->service[i] = (struct snapshot_service){ v->service, v->state.data, v->beside.data, v->state.len, v->beside.len };
	}
	s->nservices = pb->n_service;
	for (size_t i = 0; i < pb->n_durable; i++) {
		const Replog__DurableObject *d = pb->durable[i];

		if (d->service > UINT16_MAX || !*d->object || strlen(d->object) >= sizeof(((struct effect *)0)->object))
			return false;
		s->durable[i] = (struct snapshot_durable){ d->service, d->object };
	}
	s->ndurables = pb->n_durable;
	return true;
}

int snapshot_parse(struct snapshot *s, const void *p, size_t len, const char **why)
{
	Replog__Snapshot *pb = replog__snapshot__unpack(NULL, len, p);

	*s = (struct snapshot){ .unpacked = pb };
	*why = "it is not a snapshot of this protocol";
	if (!pb)
		return -EBADMSG;
	s->dirty_generation = pb->dirty_generation;
	s->branch = pb->branch;
	s->position = pb->position;
	s->next_order = pb->next_order;
	s->op_position = pb->op_position;
	s->lost_acked = pb->lost_acked;
	s->established = pb->established;
	s->version = pb->version ? pb->version : 1;
	s->view_stale = pb->view_stale;
	s->unconfirmed = pb->unconfirmed;
	*why = "a value in it is out of bounds";
	if (lineage_get(&s->lineage, pb->lineage) && snapshot_members_get(s, pb) &&
	    seats_get(s->unfenced, &s->nunfenced, pb->unfenced, pb->n_unfenced) &&
	    nodes_get(s->unnamed, &s->nunnamed, pb->unnamed, pb->n_unnamed) &&
	    seats_get(s->seat, &s->nseats, pb->seated, pb->n_seated) && snapshot_services_get(s, pb))
		return 0;
	snapshot_fini(s);
	return -EBADMSG;
}

void snapshot_fini(struct snapshot *s)
{
	if (s->unpacked)
		replog__snapshot__free_unpacked(s->unpacked, NULL);
	free(s->service);
	free(s->durable);
	*s = (struct snapshot){ 0 };
}

static void snapshot_put(const struct snapshot *s, Replog__ServiceState *sv, Replog__ServiceState **svp,
			 Replog__DurableObject *du, Replog__DurableObject **dup, struct wbuf *out)
{
	Replog__Snapshot pb = REPLOG__SNAPSHOT__INIT;
	Replog__Lineage l;
	Replog__SyncedMember m[REPLOG_MEMBERS_MAX], *mp[REPLOG_MEMBERS_MAX];
	Replog__Seat seat[REPLOG_MEMBERS_MAX], *sp[REPLOG_MEMBERS_MAX];
	Replog__Seat named[REPLOG_MEMBERS_MAX], *np[REPLOG_MEMBERS_MAX];

	lineage_put(&l, &s->lineage);
	pb.lineage = &l;
	pb.dirty_generation = s->dirty_generation;
	pb.branch = s->branch;
	pb.position = s->position;
	pb.next_order = s->next_order;
	pb.op_position = s->op_position;
	pb.lost_acked = s->lost_acked;
	pb.established = s->established;
	pb.version = s->version > 1 ? s->version : 0; /* version 1 does not know the field */
	pb.view_stale = s->view_stale;
	pb.unconfirmed = s->unconfirmed;
	for (uint32_t i = 0; i < s->nmembers; i++) {
		replog__synced_member__init(&m[i]);
		m[i].node = s->member[i].node;
		m[i].incarnation = s->member[i].incarnation;
		m[i].order = s->member[i].order;
		m[i].acked = s->member[i].acked;
		m[i].committed_generation = s->member[i].committed_generation;
		m[i].counted = s->member[i].counted;
		mp[i] = &m[i];
	}
	pb.n_member = s->nmembers;
	pb.member = mp;
	seats_put(seat, sp, s->unfenced, s->nunfenced);
	pb.n_unfenced = s->nunfenced;
	pb.unfenced = sp;
	pb.n_unnamed = s->nunnamed;
	pb.unnamed = (uint32_t *)s->unnamed;
	seats_put(named, np, s->seat, s->nseats);
	pb.n_seated = s->nseats;
	pb.seated = np;
	for (size_t i = 0; i < s->nservices; i++) {
		replog__service_state__init(&sv[i]);
		sv[i].service = s->service[i].id;
		sv[i].state = (ProtobufCBinaryData){ s->service[i].len, (uint8_t *)s->service[i].data };
		sv[i].beside = (ProtobufCBinaryData){ s->service[i].beside_len, (uint8_t *)s->service[i].beside };
		svp[i] = &sv[i];
	}
	pb.n_service = s->nservices;
	pb.service = svp;
	for (size_t i = 0; i < s->ndurables; i++) {
		replog__durable_object__init(&du[i]);
		du[i].service = s->durable[i].service;
		du[i].object = (char *)s->durable[i].object;
		dup[i] = &du[i];
	}
	pb.n_durable = s->ndurables;
	pb.durable = dup;
	wbuf_put_message(out, &pb.base);
}

void snapshot_pack(const struct snapshot *s, struct wbuf *out)
{
	Replog__ServiceState *sv = calloc(s->nservices + 1, sizeof(*sv));
	Replog__ServiceState **svp = calloc(s->nservices + 1, sizeof(*svp));
	Replog__DurableObject *du = calloc(s->ndurables + 1, sizeof(*du));
	Replog__DurableObject **dup = calloc(s->ndurables + 1, sizeof(*dup));

	if (sv && svp && du && dup)
		snapshot_put(s, sv, svp, du, dup, out);
	else
		out->err = -ENOMEM;
	free(sv);
	free(svp);
	free(du);
	free(dup);
}
