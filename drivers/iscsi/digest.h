/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC32C (RFC 7143 13.1). Start with DIGEST_SEED, chain, finish with digest_final(); on the wire little endian. */
#ifndef SANDEM_ISCSI_DIGEST_H
#define SANDEM_ISCSI_DIGEST_H

#include <endian.h>
#include <nmmintrin.h>
#include <stdint.h>
#include <string.h>

#include <isa-l/crc.h>

#define DIGEST_SEED 0xffffffffu

/* Headers: 48 bytes are too short for the set-up of ISA-L's folding. */
static inline uint32_t digest_header(uint32_t crc, const void *p, uint32_t len)
{
	const uint8_t *b = p;
	uint64_t c = crc, v;

	for (; len >= 8; len -= 8, b += 8) {
		memcpy(&v, b, 8);
		c = _mm_crc32_u64(c, v);
	}
	for (; len; len--, b++)
		c = _mm_crc32_u8(c, *b);
	return c;
}

static inline uint32_t digest_data(uint32_t crc, const void *p, uint32_t len)
{
	return crc32_iscsi((unsigned char *)p, len, crc);
}

static inline void digest_put(void *wire, uint32_t crc)
{
	crc = htole32(~crc);
	memcpy(wire, &crc, 4);
}

static inline uint32_t digest_get(const void *wire)
{
	uint32_t crc;

	memcpy(&crc, wire, 4);
	return ~le32toh(crc);
}

#endif
