/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the generator needs of RFC 7143: offsets in the basic header segment (BHS, 11.2), opcodes, digests. It is
 * kept apart from drivers/iscsi on purpose: a load generator that shares the target's code shares its mistakes.
 */
#ifndef SANDEM_BENCH_WIRE_H
#define SANDEM_BENCH_WIRE_H

#include <arpa/inet.h>
#include <nmmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BHS_LEN 48
#define DIGEST_LEN 4
#define NO_TAG 0xffffffffu

enum initiator_opcode { OP_NOP_OUT = 0x00, OP_SCSI_COMMAND = 0x01, OP_LOGIN = 0x03, OP_DATA_OUT = 0x05 };
enum target_opcode {
	OP_NOP_IN = 0x20,
	OP_SCSI_RESPONSE = 0x21,
	OP_LOGIN_RESPONSE = 0x23,
	OP_DATA_IN = 0x25,
	OP_R2T = 0x31,
	OP_ASYNC = 0x32,
	OP_REJECT = 0x3f,
};
#define OP_MASK 0x3f
#define OP_IMMEDIATE 0x40

/* Byte 1 */
#define FLAG_FINAL 0x80
#define COMMAND_READ 0x40
#define COMMAND_WRITE 0x20
#define COMMAND_SIMPLE 0x01
#define DATA_IN_STATUS 0x01
#define LOGIN_TRANSIT 0x80
#define LOGIN_NSG_MASK 0x03
enum login_stage { STAGE_SECURITY = 0, STAGE_OPERATIONAL = 1, STAGE_FULL_FEATURE = 3 };

/* Offsets */
enum bhs_offset {
	BHS_AHS_LEN = 4,
	BHS_DATA_LEN = 5,
	BHS_LUN = 8,
	BHS_ISID = 8,
	BHS_ITT = 16,
	BHS_TTT = 20,
	BHS_EXPECTED_LEN = 20, /* SCSI Command */
	BHS_CMD_SN = 24,
	BHS_STAT_SN = 24, /* target's PDUs */
	BHS_EXP_STAT_SN = 28,
	BHS_CDB = 32,
	BHS_MAX_CMD_SN = 32,
	BHS_DATA_SN = 36,
	BHS_LOGIN_STATUS = 36,
	BHS_BUFFER_OFFSET = 40,
	BHS_R2T_LEN = 44,
};

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = htons(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be24(uint8_t *p, uint32_t v)
{
	p[0] = v >> 16;
	put_be16(p + 1, v);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint32_t get_be24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | p[1] << 8 | p[2];
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

/* CRC32C as it goes on the wire (RFC 7143 13.1, little-endian by history). */
static inline uint32_t wire_digest(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t crc = ~0u, word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		crc = _mm_crc32_u64(crc, word);
	}
	while (len--)
		crc = _mm_crc32_u8(crc, *p++);
	return ~(uint32_t)crc;
}

static inline uint32_t wire_padded(uint32_t len)
{
	return (len + 3) & ~3u;
}

#endif
