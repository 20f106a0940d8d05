/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- predicates ------------------------------------------------------------------------------ */

/* A field that this version doesn't know might change the meaning: refuse rather than guess. */
static bool known(const ProtobufCMessage *m)
{
	return m->n_unknown_fields == 0;
}

static bool action_valid(uint32_t a)
{
	return a < PR_ACTIONS;
}

static bool kind_has_lu(enum pr_op_kind k)
{
	return k != PR_OP_SPC2_NEXUS_LOST;
}

static bool kind_has_nexus(enum pr_op_kind k)
{
	return k != PR_OP_SPC2_RESET;
}

/* ---- encoding -------------------------------------------------------------------------------- */

void pr_msg_pack(const ProtobufCMessage *m, struct wbuf *b)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *p = malloc(len ? len : 1);

	if (!p) {
		b->err = -ENOMEM;
		return;
	}
	protobuf_c_message_pack(m, p);
	wbuf_put(b, p, len);
	free(p);
}

static ProtobufCBinaryData name_of(const char *s)
{
	return (ProtobufCBinaryData){ .len = strlen(s), .data = (uint8_t *)s };
}

void pr_msg_put_nexus(Sandem__Pr__Nexus *pb, const struct nexus_id *id)
{
	sandem__pr__nexus__init(pb);
	pb->rtpi = id->rtpi;
	pb->port = name_of(id->port);
}

static void put_out(Sandem__Pr__Out *pb, Sandem__Pr__Nexus *move_to, const struct pr_op *op)
{
	pb->action = op->action;
	pb->scope = op->scope;
	pb->type = op->type;
	pb->key = op->key;
	pb->sa_key = op->sa_key;
	pb->aptpl = op->aptpl;
	pb->spec_i_pt = op->spec_i_pt;
	pb->all_tg_pt = op->all_tg_pt;
	pb->n_rtpi = op->nrtpi;
	pb->rtpi = (uint32_t *)op->rtpi;
	pb->unreg = op->unreg;
	pb->repeated_command = op->repeated;
	if (op->action == PR_REGISTER_AND_MOVE) {
		pr_msg_put_nexus(move_to, &op->move_to);
		pb->move_to = move_to;
	}
}

void pr_msg_encode(const struct pr_msg *m, struct wbuf *b)
{
	Sandem__Pr__Op op = SANDEM__PR__OP__INIT;
	Sandem__Pr__Out out = SANDEM__PR__OUT__INIT;
	Sandem__Pr__Nexus nexus, move_to;
	ProtobufCBinaryData port[PR_SPEC_PORTS_MAX];

	op.version = PR_MSG_VERSION;
	op.kind = m->kind;
	op.lu = name_of(m->lu);
	if (kind_has_nexus(m->kind)) {
		pr_msg_put_nexus(&nexus, &m->nexus);
		op.nexus = &nexus;
	}
	if (m->kind == PR_OP_OUT) {
		put_out(&out, &move_to, &m->out);
		for (uint32_t i = 0; i < m->out.nports; i++)
			port[i] = name_of(m->out.port[i]);
		out.n_port = m->out.nports;
		out.port = port;
		op.out = &out;
	}
	pr_msg_pack(&op.base, b);
}

/* ---- decoding -------------------------------------------------------------------------------- */

bool pr_msg_get_name(const ProtobufCBinaryData *b, char *name, size_t max)
{
	if (!b->len || b->len > max || memchr(b->data, 0, b->len))
		return false;
	memset(name, 0, max + 1);
	memcpy(name, b->data, b->len);
	return true;
}

bool pr_msg_get_nexus(const Sandem__Pr__Nexus *pb, struct nexus_id *id)
{
	if (!pb || !known(&pb->base) || !pb->rtpi || pb->rtpi > UINT16_MAX)
		return false;
	id->rtpi = pb->rtpi;
	return pr_msg_get_name(&pb->port, id->port, PORT_NAME_MAX);
}

static bool rtpis_valid(const Sandem__Pr__Out *pb)
{
	if (pb->n_rtpi > PR_TARGET_PORTS_MAX || (pb->n_rtpi && !pb->all_tg_pt))
		return false;
	for (size_t i = 0; i < pb->n_rtpi; i++)
		if (!pb->rtpi[i] || pb->rtpi[i] > UINT16_MAX)
			return false;
	return true;
}

/* The decoded message lends its bytes; each name gets its NUL in a copy of its own, in one
 * block. */
static int get_ports(struct pr_msg_decoded *d, const Sandem__Pr__Out *pb)
{
	char *names;

	if (!pb->n_port)
		return 0;
	if (pb->n_port > PR_SPEC_PORTS_MAX || !pb->spec_i_pt)
		return -EBADMSG;
	d->port = malloc(pb->n_port * (sizeof(char *) + PORT_NAME_MAX + 1));
	if (!d->port)
		return -ENOMEM;
	names = (char *)(d->port + pb->n_port);
	for (size_t i = 0; i < pb->n_port; i++) {
		d->port[i] = names + i * (PORT_NAME_MAX + 1);
		if (!pr_msg_get_name(&pb->port[i], names + i * (PORT_NAME_MAX + 1), PORT_NAME_MAX))
			return -EBADMSG;
	}
	d->m.out.port = d->port;
	d->m.out.nports = pb->n_port;
	return 0;
}

static int get_out(struct pr_msg_decoded *d, const Sandem__Pr__Out *pb)
{
	struct pr_op *op = &d->m.out;

	if (!pb || !known(&pb->base) || !action_valid(pb->action) || pb->scope > 15 ||
	    pb->type > 15 || !rtpis_valid(pb))
		return -EBADMSG;
	*op = (struct pr_op){
		.action = pb->action,
		.nexus = d->m.nexus,
		.scope = pb->scope,
		.type = pb->type,
		.key = pb->key,
		.sa_key = pb->sa_key,
		.aptpl = pb->aptpl,
		.spec_i_pt = pb->spec_i_pt,
		.all_tg_pt = pb->all_tg_pt,
		.nrtpi = pb->n_rtpi,
		.rtpi = pb->rtpi,
		.unreg = pb->unreg,
		.repeated = pb->repeated_command,
	};
	if ((op->action == PR_REGISTER_AND_MOVE) != !!pb->move_to)
		return -EBADMSG;
	if (pb->move_to && !pr_msg_get_nexus(pb->move_to, &op->move_to))
		return -EBADMSG;
	return get_ports(d, pb);
}

static int get_op(struct pr_msg_decoded *d, const Sandem__Pr__Op *pb)
{
	if (!known(&pb->base) || pb->version != PR_MSG_VERSION || pb->kind < PR_OP_OUT ||
	    pb->kind > PR_OP_SPC2_NEXUS_LOST)
		return -EBADMSG;
	d->m.kind = pb->kind;
	if (kind_has_lu(d->m.kind) ? !pr_msg_get_name(&pb->lu, d->m.lu, LU_NAME_MAX) : pb->lu.len)
		return -EBADMSG;
	if (kind_has_nexus(d->m.kind) ? !pr_msg_get_nexus(pb->nexus, &d->m.nexus) : !!pb->nexus)
		return -EBADMSG;
	if (d->m.kind == PR_OP_OUT)
		return get_out(d, pb->out);
	return pb->out ? -EBADMSG : 0;
}

int pr_msg_decode(struct pr_msg_decoded *d, const uint8_t *p, size_t len)
{
	memset(d, 0, sizeof(*d));
	if (len > PR_MSG_MAX)
		return -EBADMSG;
	d->pb = sandem__pr__op__unpack(NULL, len, p);
	if (!d->pb)
		return -EBADMSG;
	return get_op(d, d->pb);
}

void pr_msg_decoded_fini(struct pr_msg_decoded *d)
{
	if (d->pb)
		sandem__pr__op__free_unpacked(d->pb, NULL);
	free(d->port);
	memset(d, 0, sizeof(*d));
}
