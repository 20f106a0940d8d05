/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_alua.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANY 0xff /* in sense_rules: every ASC or ASCQ */

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

const char *load_tpg_state_str(enum load_tpg_state s)
{
	switch (s) {
	case LOAD_TPG_OPTIMIZED: return "active/optimized";
	case LOAD_TPG_NON_OPTIMIZED: return "active/non-optimized";
	case LOAD_TPG_STANDBY: return "standby";
	case LOAD_TPG_UNAVAILABLE: return "unavailable";
	case LOAD_TPG_DEPENDENT: return "logical-block-dependent";
	case LOAD_TPG_OFFLINE: return "offline";
	case LOAD_TPG_TRANSITIONING: return "transitioning";
	case LOAD_TPG_UNKNOWN: return "unknown";
	}
	return "reserved";
}

int load_tpg_rank(enum load_tpg_state s)
{
	switch (s) {
	case LOAD_TPG_OPTIMIZED: return 3;
	case LOAD_TPG_NON_OPTIMIZED: return 2;
	case LOAD_TPG_DEPENDENT: return 1;
	case LOAD_TPG_STANDBY:
	case LOAD_TPG_UNAVAILABLE:
	case LOAD_TPG_OFFLINE:
	case LOAD_TPG_TRANSITIONING:
	case LOAD_TPG_UNKNOWN: return 0;
	}
	return 0;
}

/* How well a designator type names a logical unit (SPC-4 table 531): NAA, EUI-64, T10. */
static int lu_name_rank(unsigned type)
{
	static const int rank[16] = { [1] = 1, [2] = 2, [3] = 3, [8] = 4 };

	return rank[type & 0xf];
}

static void lu_name_set(struct load_vpd83 *v, const uint8_t *d, size_t len)
{
	static const char *const prefix[16] = {
		[1] = "t10.", [2] = "eui.", [3] = "naa.", [8] = "name.",
	};
	unsigned type = d[1] & 0xf;
	bool text = (d[0] & 0xf) > 1;
	size_t n = (size_t)snprintf(v->lu_name, sizeof(v->lu_name), "%s", prefix[type]);

	for (size_t i = 0; i < len && n + 3 <= sizeof(v->lu_name); i++) {
		uint8_t c = d[4 + i];

		if (!text)
			n += (size_t)sprintf(v->lu_name + n, "%02x", c);
		else if (c > ' ' && c < 0x7f)
			v->lu_name[n++] = (char)c;
	}
	v->lu_name[n] = '\0';
}

int load_vpd83_parse(const uint8_t *buf, size_t len, struct load_vpd83 *v)
{
	size_t end, at = 4;
	int best = 0;

	*v = (struct load_vpd83){ .relative_port = -1, .port_group = -1 };
	if (len < 4 || buf[1] != 0x83)
		return -EINVAL;
	end = (size_t)be16(buf + 2) + 4;
	if (end > len)
		return -EINVAL;
	while (at + 4 <= end) {
		const uint8_t *d = buf + at;
		unsigned association = d[1] >> 4 & 3, type = d[1] & 0xf;
		size_t dlen = d[3];

		if (at + 4 + dlen > end)
			return -EINVAL;
		if (association == 0 && lu_name_rank(type) > best) {
			best = lu_name_rank(type);
			lu_name_set(v, d, dlen);
		}
		if (association == 1 && type == 4 && dlen >= 4)
			v->relative_port = be16(d + 6);
		if (association == 1 && type == 5 && dlen >= 4)
			v->port_group = be16(d + 6);
		at += 4 + dlen;
	}
	return 0;
}

int load_rtpg_parse(const uint8_t *buf, size_t len, bool extended, int port_group,
		    enum load_tpg_state *state)
{
	size_t at = extended ? 8 : 4, end;

	if (len < at)
		return -EINVAL;
	/* A target that does not know the extended format may answer in the short one. */
	if (extended && (buf[4] >> 4 & 7) != 1)
		at = 4;
	if (be32(buf) > len - 4)
		return -EINVAL;
	end = (size_t)be32(buf) + 4;
	while (at + 8 <= end) {
		const uint8_t *d = buf + at;

		if (be16(d + 2) == port_group) {
			*state = d[0] & 0xf;
			return 0;
		}
		at += 8 + (size_t)d[7] * 4;
	}
	return at > end ? -EINVAL : -ENOENT;
}

int load_capacity_parse(const uint8_t *buf, size_t len, uint64_t *blocks, uint32_t *block_size)
{
	if (len < 12 || be64(buf) == UINT64_MAX || be32(buf + 8) == 0)
		return -EINVAL;
	*blocks = be64(buf) + 1;
	*block_size = be32(buf + 8);
	return 0;
}

int load_sense_parse(const uint8_t *buf, size_t len, struct load_sense *s)
{
	unsigned code = len ? buf[0] & 0x7f : 0;

	if ((code == 0x70 || code == 0x71) && len >= 14)
		*s = (struct load_sense){ buf[2] & 0xf, buf[12], buf[13] };
	else if ((code == 0x72 || code == 0x73) && len >= 4)
		*s = (struct load_sense){ buf[1] & 0xf, buf[2], buf[3] };
	else
		return -EINVAL;
	return 0;
}

/* SPC-4 table F.2, the rows that a library for single paths tends not to have. */
const char *load_sense_str(const struct load_sense *s)
{
	static const struct {
		uint8_t asc, ascq;
		const char *text;
	} rows[] = {
		{ 0x04, 0x0a, "asymmetric access state transition" },
		{ 0x04, 0x0b, "target port in standby state" },
		{ 0x04, 0x0c, "target port in unavailable state" },
		{ 0x29, 0x00, "power on, reset, or bus device reset occurred" },
		{ 0x29, 0x07, "I_T nexus loss occurred" },
		{ 0x2a, 0x03, "reservations preempted" },
		{ 0x2a, 0x04, "reservations released" },
		{ 0x2a, 0x05, "registrations preempted" },
		{ 0x2a, 0x06, "asymmetric access state changed" },
		{ 0x2a, 0x09, "capacity data has changed" },
		{ 0x3f, 0x0e, "reported luns data has changed" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].asc == s->asc && rows[i].ascq == s->ascq)
			return rows[i].text;
	return NULL;
}

/* The first row that matches counts. */
static const struct {
	uint8_t key, asc, ascq;
	enum load_act act;
} sense_rules[] = {
	{ 0x0, ANY, ANY, LOAD_ACT_DONE },
	{ 0x1, ANY, ANY, LOAD_ACT_DONE },
	{ 0x2, 0x04, 0x0a, LOAD_ACT_TRANSITION },
	{ 0x2, 0x04, 0x0b, LOAD_ACT_FAIL_PATH },
	{ 0x2, 0x04, 0x0c, LOAD_ACT_FAIL_PATH },
	{ 0x2, 0x04, 0x01, LOAD_ACT_WAIT },
	{ 0x2, ANY, ANY, LOAD_ACT_REFUSE },
	{ 0x5, 0x25, 0x00, LOAD_ACT_FAIL_PATH },
	{ 0x5, ANY, ANY, LOAD_ACT_REFUSE },
	{ 0x6, 0x2a, 0x06, LOAD_ACT_RTPG },
	{ 0x6, 0x29, ANY, LOAD_ACT_RTPG },
	{ 0x6, ANY, ANY, LOAD_ACT_RETRY },
	{ 0x7, ANY, ANY, LOAD_ACT_REFUSE },
	{ 0xb, ANY, ANY, LOAD_ACT_ABORTED },
	{ ANY, ANY, ANY, LOAD_ACT_ERROR },
};

static bool rule_matches(uint8_t rule, uint8_t value)
{
	return rule == ANY || rule == value;
}

static enum load_act act_for_sense(const struct load_sense *s)
{
	size_t i = 0;

	while (!rule_matches(sense_rules[i].key, s->key) ||
	       !rule_matches(sense_rules[i].asc, s->asc) ||
	       !rule_matches(sense_rules[i].ascq, s->ascq))
		i++; /* the last row matches everything */
	return sense_rules[i].act;
}

enum load_act load_act_for(uint8_t status, const struct load_sense *s)
{
	switch (status) {
	case 0x00: return LOAD_ACT_DONE;
	case 0x02: return act_for_sense(s);
	case 0x08:				/* BUSY */
	case 0x28: return LOAD_ACT_WAIT;	/* TASK SET FULL */
	case 0x18: return LOAD_ACT_CONFLICT;
	case 0x40: return LOAD_ACT_ABORTED;	/* TASK ABORTED */
	default: return LOAD_ACT_ERROR;
	}
}
