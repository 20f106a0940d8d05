/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state as bytes: snapshot for joiners and digests, and what is kept over the loss of power
 * (APTPL). Canonical: logical units by name, registrants by nexus, nothing for a logical unit in
 * its initial state.
 */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l.h>

#include "core/wire.h"
#include "pr-sync/pr_msg.h"
#include "pr-sync/pr_service.h"

#define STATE_VERSION 1
/* CRC32C, big-endian, behind what is kept: a flipped bit in a key would parse well */
#define CRC_LEN 4

struct complaint {
	char *text;
	size_t len;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct complaint *c,
							  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->text, c->len, fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

static int no_memory(const struct complaint *c)
{
	complain(c, "not enough memory for the reservations; free memory on this node and start "
			"it again");
	return -ENOMEM;
}

/* ---- writing --------------------------------------------------------------------------------- */

/*
 * Registrants as protobuf has them (pr.proto), written here, for there may be many, and all are written for each command
 * where APTPL is set:
 *
 *   Lu: 32h length │ Registrant: 0Ah length │ Nexus: 08h rtpi  12h length port │ 11h key │ 32h length …
 */
#define TAG_LU_REGISTRANT 6
#define REGISTRANT_MAX (3 + 3 + 4 + 3 + PORT_NAME_MAX + 9) /* bytes: heads, rtpi, port, key */

struct packed_lu {
	Sandem__Pr__Lu pb;
	Sandem__Pr__Nexus holder, spc2;
	uint8_t *registrants;
	/* of pb: all of them, without the first 32h, which protobuf writes. It comes behind the other fields: those of an
	 * SPC-2 reservation have higher numbers, but nobody is registered beside one. */
	ProtobufCMessageUnknownField rest;
};

static uint8_t *put_varint(uint8_t *p, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = v | 0x80;
	*p++ = v;
	return p;
}

static unsigned varint_len(uint32_t v)
{
	return v < 1u << 7 ? 1 : v < 1u << 14 ? 2 : 3; /* what is written here is shorter than 2^21 */
}

static uint8_t *put_registrant(uint8_t *p, const struct pr_registrant *r)
{
	uint32_t port = strlen(r->id.port), nexus = 2 + varint_len(r->id.rtpi) + varint_len(port) + port;
	uint64_t key = htole64(r->key);

	*p++ = TAG_LU_REGISTRANT << 3 | 2;
	p = put_varint(p, 1 + varint_len(nexus) + nexus + 1 + sizeof(key));
	*p++ = 1 << 3 | 2;
	p = put_varint(p, nexus);
	*p++ = 1 << 3 | 0;
	p = put_varint(p, r->id.rtpi);
	*p++ = 2 << 3 | 2;
	p = put_varint(p, port);
	p = mempcpy(p, r->id.port, port);
	*p++ = 2 << 3 | 1;
	return mempcpy(p, &key, sizeof(key));
}

static int packed_registrants(struct packed_lu *p, const struct pr *pr)
{
	uint8_t *end;

	if (!pr->n)
		return 0;
	end = p->registrants = malloc((size_t)pr->n * REGISTRANT_MAX);
	if (!end)
		return -ENOMEM;
	for (uint32_t i = 0; i < pr->n; i++)
		end = put_registrant(end, pr->reg[i]);
	p->rest = (ProtobufCMessageUnknownField){ .tag = TAG_LU_REGISTRANT,
						  .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
						  .data = p->registrants + 1,
						  .len = end - p->registrants - 1 };
	p->pb.base.n_unknown_fields = 1;
	p->pb.base.unknown_fields = &p->rest;
	return 0;
}

static int packed_lu_init(struct packed_lu *p, const struct pr_lu *lu)
{
	memset(p, 0, sizeof(*p));
	sandem__pr__lu__init(&p->pb);
	p->pb.name.data = (uint8_t *)lu->name;
	p->pb.name.len = strlen(lu->name);
	p->pb.generation = lu->pr.generation;
	p->pb.aptpl = lu->pr.aptpl;
	p->pb.type = lu->pr.type;
	if (lu->pr.holder) {
		pr_msg_put_nexus(&p->holder, &lu->pr.holder->id);
		p->pb.holder = &p->holder;
	}
	if (lu->spc2_reserved) {
		pr_msg_put_nexus(&p->spc2, &lu->spc2_holder);
		p->pb.spc2_holder = &p->spc2;
		p->pb.spc2_node = lu->spc2_node;
	}
	return packed_registrants(p, &lu->pr);
}

static void packed_lu_fini(struct packed_lu *p)
{
	free(p->registrants);
}

static int snapshot_lus(const struct pr_lus *s, struct packed_lu *p, Sandem__Pr__Lu **lu,
			struct wbuf *out)
{
	Sandem__Pr__Snapshot snap = SANDEM__PR__SNAPSHOT__INIT;

	snap.version = STATE_VERSION;
	snap.lu = lu;
	for (uint32_t i = 0; i < s->n; i++) {
		if (pr_lu_is_initial(s->lu[i]))
			continue;
		if (packed_lu_init(&p[i], s->lu[i]))
			return -ENOMEM;
		lu[snap.n_lu++] = &p[i].pb;
	}
	pr_msg_pack(&snap.base, out);
	return 0;
}

void pr_state_snapshot(const void *state, struct wbuf *out)
{
	const struct pr_lus *s = &((const struct pr_service *)state)->lus;
	struct packed_lu *p = calloc(s->n + 1, sizeof(*p));
	Sandem__Pr__Lu **lu = calloc(s->n + 1, sizeof(Sandem__Pr__Lu *));

	if (!p || !lu || snapshot_lus(s, p, lu, out))
		out->err = -ENOMEM;
	for (uint32_t i = 0; p && i < s->n; i++)
		packed_lu_fini(&p[i]);
	free(lu);
	free(p);
}

/* PRGENERATION starts at 0 with every power on, whatever APTPL says (SPC-4 6.15.2), and an SPC-2
 * reservation does not outlive it: neither is kept. */
void pr_state_persist(const void *state, const char *object, struct wbuf *out)
{
	const struct pr_lu *lu = pr_lus_find(&((const struct pr_service *)state)->lus, object);
	Sandem__Pr__Kept kept = SANDEM__PR__KEPT__INIT;
	struct packed_lu p;
	uint8_t crc[CRC_LEN];
	size_t start = out->len;

	if (!lu || !lu->pr.aptpl)
		return;
	if (packed_lu_init(&p, lu)) {
		out->err = -ENOMEM;
	} else {
		p.pb.generation = 0;
		p.pb.spc2_holder = NULL;
		p.pb.spc2_node = 0;
		kept.version = STATE_VERSION;
		kept.lu = &p.pb;
		pr_msg_pack(&kept.base, out);
	}
	packed_lu_fini(&p);
	if (out->err)
		return;
	put_be32(crc, crc32_iscsi(out->data + start, out->len - start, ~0u));
	wbuf_put(out, crc, sizeof(crc));
}

/* ---- reading: build aside, check everything -------------------------------------------------- */

static int read_registrants(struct pr *pr, const Sandem__Pr__Lu *pb, const char *name,
			    const struct complaint *c)
{
	struct nexus_id id;

	for (size_t i = 0; i < pb->n_registrant; i++) {
		const Sandem__Pr__Registrant *r = pb->registrant[i];

		if (r->base.n_unknown_fields || !pr_msg_get_nexus(r->nexus, &id))
			return complain(c, "logical unit %s: registrant %zu has no valid I_T "
					"nexus", name, i);
		if (pr_append(pr, &id, r->key))
			continue;
		if (errno == ENOMEM)
			return no_memory(c);
		return complain(c, "logical unit %s: registrant %zu (%s, port %u) is out of "
				"order, without a key, or one too many",
				name, i, id.port, id.rtpi);
	}
	return 0;
}

static int read_reservation(struct pr *pr, const Sandem__Pr__Lu *pb, const char *name,
			    const struct complaint *c)
{
	struct nexus_id id;

	if (pb->type != PR_NONE && !pr_type_valid(pb->type))
		return complain(c, "logical unit %s: no such reservation type: %u", name, pb->type);
	pr->type = pb->type;
	if (pr->type != PR_NONE && !pr->n)
		return complain(c, "logical unit %s: reserved, but nobody is registered", name);
	if ((pr->type != PR_NONE && !pr_type_all_registrants(pr->type)) != !!pb->holder)
		return complain(c, "logical unit %s: reservation type %u and holder do not fit "
				"together", name, pb->type);
	if (!pb->holder)
		return 0;
	if (!pr_msg_get_nexus(pb->holder, &id) || !(pr->holder = pr_find(pr, &id)))
		return complain(c, "logical unit %s: the reservation holder is not "
				"registered", name);
	return 0;
}

static int read_spc2(struct pr_lu *lu, const Sandem__Pr__Lu *pb, const struct complaint *c)
{
	if (!pb->spc2_holder && pb->spc2_node)
		return complain(c, "logical unit %s: a node, but no holder of RESERVE", lu->name);
	if (!pb->spc2_holder)
		return 0;
	if (!pr_msg_get_nexus(pb->spc2_holder, &lu->spc2_holder))
		return complain(c, "logical unit %s: the holder of RESERVE has no valid I_T "
				"nexus", lu->name);
	lu->spc2_node = pb->spc2_node;
	if (lu->pr.n)
		return complain(c, "logical unit %s: held by RESERVE while nexuses are "
				"registered", lu->name);
	lu->spc2_reserved = true;
	return 0;
}

static int read_lu(struct pr_lus *s, const Sandem__Pr__Lu *pb, const struct complaint *c)
{
	char name[LU_NAME_MAX + 1];
	struct pr_lu *lu;
	int err;

	if (pb->base.n_unknown_fields)
		return complain(c, "written by a newer version of sandemd; run that version here "
				"too");
	if (!pr_msg_get_name(&pb->name, name, LU_NAME_MAX))
		return complain(c, "a logical unit has no valid name");
	if (s->n && strcmp(s->lu[s->n - 1]->name, name) >= 0)
		return complain(c, "logical unit %s: out of order", name);
	lu = pr_lus_get(s, name);
	if (!lu)
		return no_memory(c);
	lu->pr.generation = pb->generation;
	lu->pr.aptpl = pb->aptpl;
	err = read_registrants(&lu->pr, pb, name, c);
	if (!err)
		err = read_reservation(&lu->pr, pb, name, c);
	if (!err)
		err = read_spc2(lu, pb, c);
	if (!err && pr_lu_is_initial(lu))
		err = complain(c, "logical unit %s: in its initial state, which is never "
				"written", name);
	return err;
}

static int read_snapshot(struct pr_lus *s, const Sandem__Pr__Snapshot *pb,
			 const struct complaint *c)
{
	if (pb->base.n_unknown_fields || pb->version != STATE_VERSION)
		return complain(c, "reservations: snapshot of version %u, this sandemd reads "
				"version %u; run the same version on every node",
				pb->version, STATE_VERSION);
	for (size_t i = 0; i < pb->n_lu; i++) {
		int err = read_lu(s, pb->lu[i], c);

		if (err)
			return err;
	}
	return 0;
}

int pr_state_restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct pr_service *svc = state;
	struct complaint c = { err, errlen };
	struct pr_lus aside = { 0 };
	Sandem__Pr__Snapshot *pb = sandem__pr__snapshot__unpack(NULL, len, p);
	int rc;

	if (!pb)
		return complain(&c, "reservations: the snapshot (%zu bytes) can't be parsed; "
				"start this node again to fetch another", len);
	rc = read_snapshot(&aside, pb, &c);
	sandem__pr__snapshot__free_unpacked(pb, NULL);
	if (rc) {
		pr_lus_fini(&aside);
		return rc;
	}
	pr_lus_fini(&svc->lus);
	svc->lus = aside;
	return 0;
}

static int read_kept(struct pr_lus *s, const char *object, const Sandem__Pr__Kept *pb,
		     const struct complaint *c)
{
	int err;

	if (pb->base.n_unknown_fields || pb->version != STATE_VERSION || !pb->lu)
		return complain(c, "kept reservation of %s: version %u, this sandemd reads "
				"version %u; start the version that wrote it",
				object, pb->version, STATE_VERSION);
	err = read_lu(s, pb->lu, c);
	if (err)
		return err;
	if (strcmp(s->lu[0]->name, object))
		return complain(c, "kept reservation of %s: it is that of %s; restore the file "
				"from a backup or from another member",
				object, s->lu[0]->name);
	if (!s->lu[0]->pr.aptpl || s->lu[0]->pr.generation || s->lu[0]->spc2_reserved)
		return complain(c, "kept reservation of %s: holds what is never kept; restore it "
				"from another member", object);
	return 0;
}

static int unpack_kept(struct pr_lus *s, const char *object, const uint8_t *p, size_t len,
		       const struct complaint *c)
{
	Sandem__Pr__Kept *pb;
	int err;

	if (len < CRC_LEN ||
	    get_be32(p + len - CRC_LEN) != crc32_iscsi((uint8_t *)p, len - CRC_LEN, ~0u))
		return complain(c, "kept reservation of %s: %zu bytes with a wrong checksum; "
				"restore it from another member",
				object, len);
	pb = sandem__pr__kept__unpack(NULL, len - CRC_LEN, p);
	if (!pb)
		return complain(c, "kept reservation of %s: %zu bytes that can't be parsed; "
				"restore it from another member",
				object, len);
	err = read_kept(s, object, pb, c);
	sandem__pr__kept__free_unpacked(pb, NULL);
	return err;
}

int pr_state_load(void *state, const char *object, const uint8_t *p, size_t len, char *err,
		  size_t errlen)
{
	struct pr_service *svc = state;
	struct complaint c = { err, errlen };
	struct pr_lus aside = { 0 };
	struct pr_lu *lu;
	int rc = unpack_kept(&aside, object, p, len, &c);

	if (!rc) {
		lu = pr_lus_get(&svc->lus, object);
		if (lu) { /* swap: what was there before goes with aside */
			struct pr old = lu->pr;

			lu->pr = aside.lu[0]->pr;
			aside.lu[0]->pr = old;
		} else {
			rc = no_memory(&c);
		}
	}
	pr_lus_fini(&aside);
	return rc;
}
