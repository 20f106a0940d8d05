/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/link_wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static const uint8_t magic[4] = { 'S', 'N', 'D', 'L' };

/* ---- little-endian fields at any alignment ------------------------------------------------------------- */

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* ---- header ---------------------------------------------------------------------------------------------- */

void link_header_put(uint8_t out[LINK_HEADER_LEN], const struct link_header *h)
{
	memset(out, 0, LINK_HEADER_LEN);
	memcpy(out, magic, sizeof(magic));
	out[4] = LINK_VERSION;
	out[5] = h->type;
	put64(out + 8, h->id);
	put32(out + 16, h->meta_len);
	put32(out + 20, h->data_len);
}

int link_header_get(const uint8_t in[LINK_HEADER_LEN], struct link_header *h)
{
	if (memcmp(in, magic, sizeof(magic)) != 0)
		return -EPROTO;
	if (in[4] != LINK_VERSION)
		return -EPROTONOSUPPORT;
	if (in[5] < LINK_HELLO || in[5] >= LINK_TYPE_END || get16(in + 6) || get64(in + 24))
		return -EPROTO;
	*h = (struct link_header){ .type = in[5], .id = get64(in + 8), .meta_len = get32(in + 16),
				   .data_len = get32(in + 20) };
	if (h->meta_len > LINK_META_MAX || h->data_len > LINK_DATA_MAX)
		return -EPROTO;
	if (h->data_len && h->type != LINK_COMMAND && h->type != LINK_ANSWER)
		return -EPROTO;
	return 0;
}

/* ---- COMMAND: fixed part, the two names, and with FLAG_EPOCH the epoch ----------------------------------------------------------- */

enum { FLAG_READ = 1, FLAG_WRITE = 2, FLAG_READ_ONLY = 4, FLAG_EPOCH = 8, FLAGS_ALL = 15 };
enum { AT_HINT = 0, AT_EXPECTED = 4, AT_RTPI = 8, AT_FLAGS = 10, AT_ATTR = 11, AT_LU_LEN = 12, AT_PORT_LEN = 13,
       AT_CDB = 16, COMMAND_FIXED = AT_CDB + CDB_MAX };

_Static_assert(COMMAND_FIXED + 63 + PORT_NAME_MAX + sizeof(uint64_t) <= LINK_META_MAX, "the longest command fits");

uint32_t link_command_put(uint8_t *out, const struct remote_request *q)
{
	size_t lu = strlen(q->lu), port = strlen(q->nexus.port);

	memset(out, 0, COMMAND_FIXED);
	put32(out + AT_HINT, q->lu_hint);
	put32(out + AT_EXPECTED, q->expected_len);
	put16(out + AT_RTPI, q->nexus.rtpi);
	out[AT_FLAGS] = (q->read ? FLAG_READ : 0) | (q->write ? FLAG_WRITE : 0) | (q->read_only ? FLAG_READ_ONLY : 0) |
			(q->epoch ? FLAG_EPOCH : 0);
	out[AT_ATTR] = q->attr;
	out[AT_LU_LEN] = lu;
	out[AT_PORT_LEN] = port;
	memcpy(out + AT_CDB, q->cdb, CDB_MAX);
	memcpy(out + COMMAND_FIXED, q->lu, lu);
	memcpy(out + COMMAND_FIXED + lu, q->nexus.port, port);
	if (!q->epoch)
		return COMMAND_FIXED + lu + port;
	put64(out + COMMAND_FIXED + lu + port, q->epoch);
	return COMMAND_FIXED + lu + port + sizeof(q->epoch);
}

int link_command_get(const uint8_t *in, uint32_t len, struct remote_request *q)
{
	uint32_t lu, port, epoch;

	if (len < COMMAND_FIXED)
		return -EPROTO;
	epoch = in[AT_FLAGS] & FLAG_EPOCH ? sizeof(q->epoch) : 0;
	lu = in[AT_LU_LEN];
	port = in[AT_PORT_LEN];
	if (len != COMMAND_FIXED + lu + port + epoch || !lu || lu >= sizeof(q->lu) || !port || port > PORT_NAME_MAX ||
	    memchr(in + COMMAND_FIXED, 0, lu + port) || (in[AT_FLAGS] & ~FLAGS_ALL) || in[AT_ATTR] > ATTR_ACA)
		return -EPROTO;
	memset(q, 0, sizeof(*q));
	q->lu_hint = get32(in + AT_HINT);
	q->expected_len = get32(in + AT_EXPECTED);
	q->nexus.rtpi = get16(in + AT_RTPI);
	q->read = in[AT_FLAGS] & FLAG_READ;
	q->write = in[AT_FLAGS] & FLAG_WRITE;
	q->read_only = in[AT_FLAGS] & FLAG_READ_ONLY;
	q->attr = in[AT_ATTR];
	memcpy(q->cdb, in + AT_CDB, CDB_MAX);
	memcpy(q->lu, in + COMMAND_FIXED, lu);
	memcpy(q->nexus.port, in + COMMAND_FIXED + lu, port);
	if (epoch)
		q->epoch = get64(in + COMMAND_FIXED + lu + port);
	return epoch && !q->epoch ? -EPROTO : 0;
}

/* ---- ANSWER ------------------------------------------------------------------------------------------------ */

enum { ANSWER_FIXED = 8 };

uint32_t link_answer_put(uint8_t *out, const struct link_answer *a)
{
	out[0] = a->outcome;
	out[1] = a->status;
	out[2] = a->sense_len;
	out[3] = 0;
	put32(out + 4, a->data_in_len);
	memcpy(out + ANSWER_FIXED, a->sense, a->sense_len);
	return ANSWER_FIXED + a->sense_len;
}

int link_answer_get(const uint8_t *in, uint32_t len, struct link_answer *a)
{
	if (len < ANSWER_FIXED || in[0] >= LINK_OUTCOME_END || in[2] > SENSE_MAX || len != (uint32_t)ANSWER_FIXED + in[2] ||
	    in[3])
		return -EPROTO;
	memset(a, 0, sizeof(*a));
	a->outcome = in[0];
	a->status = in[1];
	a->sense_len = in[2];
	a->data_in_len = get32(in + 4);
	memcpy(a->sense, in + ANSWER_FIXED, a->sense_len);
	return 0;
}
