/* SPDX-License-Identifier: BSD-2-Clause */
/* VPD page 8F, third-party copy (SPC-4 7.8.17, SBC-4 6.6.9): what the copy manager can, told. */
#include <string.h>

#include "core/cdb.h"
#include "core/copy_results.h"
#include "core/extended_copy.h"
#include "core/lu.h"
#include "core/rod.h"
#include "core/wire.h"

enum descriptor {
	ROD_LIMITS = 0x0000,
	SUPPORTED_COMMANDS = 0x0001,
	PARAMETER_DATA = 0x0004,
	SUPPORTED_DESCRIPTORS = 0x0008,
	ROD_FEATURES = 0x0106,
	ROD_TYPES = 0x0108,
	GENERAL_COPY = 0x8001,
};

/* The payload is zeroed; len: of what follows the header, made a multiple of four (7.8.17.2). */
static uint8_t *put_descriptor(uint8_t *p, enum descriptor type, size_t len)
{
	len = (len + 3) & ~(size_t)3;
	put_be16(p, type);
	put_be16(p + 2, len);
	return p + 4 + len;
}

static bool has_rods(const struct lu *lu)
{
	return !lu->removable && !lu->cdrom;
}

static uint8_t *put_rod_limits(uint8_t *p, const struct lu *lu)
{
	put_be16(p + 10, ROD_RANGES_MAX);
	put_be32(p + 12, ROD_TIMEOUT_MAX_S);
	put_be32(p + 16, ROD_TIMEOUT_DEFAULT_S);
	put_be64(p + 20, ROD_BYTES_MAX / lu->block_size);
	put_be64(p + 28, ROD_BYTES_OPTIMAL / lu->block_size);
	return put_descriptor(p, ROD_LIMITS, 32);
}

static bool is_of_rods(const struct cdb_row *row)
{
	return (row->opcode == 0x83 && (row->sa == 0x10 || row->sa == 0x11)) ||
	       (row->opcode == 0x84 && row->sa == 0x07);
}

/* Operation code, number of service actions, service actions. */
static uint8_t *put_service_actions(uint8_t *p, uint8_t opcode, const struct lu *lu)
{
	size_t n;
	const struct cdb_row *row = cdb_rows(&n);
	uint8_t *count = p + 1;

	*p = opcode;
	p += 2;
	for (size_t i = 0; i < n; i++)
		if (row[i].opcode == opcode && (has_rods(lu) || !is_of_rods(&row[i]))) {
			*p++ = row[i].sa;
			++*count;
		}
	return p;
}

static uint8_t *put_commands(uint8_t *p, const struct lu *lu)
{
	uint8_t *end = put_service_actions(p + 5, 0x83, lu);

	end = put_service_actions(end, 0x84, lu);
	p[4] = end - (p + 5);
	return put_descriptor(p, SUPPORTED_COMMANDS, end - (p + 4));
}

static uint8_t *put_parameters(uint8_t *p)
{
	put_be16(p + 8, COPY_TARGETS_MAX);
	put_be16(p + 10, COPY_SEGMENTS_MAX);
	put_be32(p + 12, COPY_LIST_MAX);
	return put_descriptor(p, PARAMETER_DATA, 28);
}

static uint8_t *put_descriptor_types(uint8_t *p)
{
	p[4] = 2;
	p[5] = COPY_SEGMENT_BLOCK_TO_BLOCK;
	p[6] = COPY_TARGET_IDENTIFICATION;
	return put_descriptor(p, SUPPORTED_DESCRIPTORS, 3);
}

/* REMOTE TOKENS=0h: of this target device only. One descriptor, for block devices (table 653). */
static uint8_t *put_rod_features(uint8_t *p)
{
	uint8_t *block = p + 48;

	put_be32(p + 16, 0);
	put_be32(p + 20, ROD_TIMEOUT_MAX_S);
	put_be32(p + 24, ROD_TIMEOUT_MAX_S);
	put_be16(p + 46, 48);
	put_be16(block + 2, 44);
	put_be64(block + 8, ROD_BYTES_MAX);
	put_be64(block + 16, ROD_BYTES_OPTIMAL);
	put_be64(block + 24, ROD_BYTES_MAX);
	put_be64(block + 32, ROD_BYTES_OPTIMAL);
	return put_descriptor(p, ROD_FEATURES, 92);
}

#define TOKEN_IN 0x02
#define TOKEN_OUT 0x01
#define ROD_TYPE_LEN 64

static uint8_t *put_rod_types(uint8_t *p)
{
	static const struct {
		uint32_t type;
		uint8_t flags;
	} types[] = {
		{ ROD_TYPE_DEFAULT, TOKEN_IN | TOKEN_OUT },
		{ ROD_TYPE_VULNERABLE, TOKEN_IN | TOKEN_OUT },
		{ ROD_TYPE_ZERO, TOKEN_IN },
	};
	unsigned n = sizeof(types) / sizeof(types[0]);

	put_be16(p + 6, n * ROD_TYPE_LEN);
	for (unsigned i = 0; i < n; i++) {
		put_be32(p + 8 + i * ROD_TYPE_LEN, types[i].type);
		p[8 + i * ROD_TYPE_LEN + 4] = types[i].flags;
	}
	return put_descriptor(p, ROD_TYPES, 4 + n * ROD_TYPE_LEN);
}

static uint8_t *put_general(uint8_t *p)
{
	put_be32(p + 4, COPY_CONCURRENT_MAX);
	put_be32(p + 8, COPY_CONCURRENT_MAX);
	put_be32(p + 12, COPY_SEGMENT_BYTES_MAX);
	p[16] = COPY_GRANULARITY_LOG2;
	return put_descriptor(p, GENERAL_COPY, 32);
}

uint16_t copy_vpd(const struct scsi_cmd *cmd, uint8_t *payload)
{
	const struct lu *lu = cmd->lu;
	uint8_t *p = payload;

	if (has_rods(lu))
		p = put_rod_limits(p, lu);
	p = put_commands(p, lu);
	p = put_parameters(p);
	p = put_descriptor_types(p);
	if (has_rods(lu)) {
		p = put_rod_features(p);
		p = put_rod_types(p);
	}
	return put_general(p) - payload;
}
