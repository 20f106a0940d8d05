/* SPDX-License-Identifier: BSD-2-Clause */
#include "load_block.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include <isa-l/crc.h>

static const char magic[8] = "SANDEMB1";

struct wire {
	char magic[8];
	uint64_t run;
	uint32_t lun;
	uint32_t writer;
	uint64_t lba;
	uint64_t generation;
	uint32_t length;
	uint8_t reserved[16];
	uint32_t sum;
};

static_assert(sizeof(struct wire) == LOAD_BLOCK_HEADER, "the header is part of the format");
static_assert(offsetof(struct wire, sum) == LOAD_BLOCK_HEADER - 4, "the sum ends the header");

/* ISA-L takes a pointer to non-const bytes that it does not change. */
static uint32_t crc_more(uint32_t crc, const void *buf, size_t len)
{
	return crc32_iscsi((unsigned char *)buf, (int)len, crc);
}

uint32_t load_block_crc(const void *buf, size_t len)
{
	return ~crc_more(~0U, buf, len);
}

static uint32_t sum_of(const void *buf, size_t len)
{
	uint32_t crc = crc_more(~0U, buf, offsetof(struct wire, sum));

	return ~crc_more(crc, (const char *)buf + LOAD_BLOCK_HEADER, len - LOAD_BLOCK_HEADER);
}

/* The finalizer of splitmix64: every input bit moves every output bit. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static uint64_t fill_seed(uint64_t run, uint64_t lba, uint64_t generation)
{
	return mix(mix(mix(run) + lba) + generation);
}

static uint64_t fill_word(uint64_t seed, size_t index)
{
	return htole64((seed + index) * 0x9e3779b97f4a7c15ULL);
}

void load_block_fill(void *buf, size_t len, const struct load_block *id)
{
	uint64_t seed = fill_seed(id->run, id->lba, id->generation);
	struct wire h = {
		.run = htole64(id->run),
		.lun = htole32(id->lun),
		.writer = htole32(id->writer),
		.lba = htole64(id->lba),
		.generation = htole64(id->generation),
		.length = htole32((uint32_t)len),
	};
	char *p = buf;

	assert(len >= LOAD_BLOCK_HEADER && len % 8 == 0);
	memcpy(h.magic, magic, sizeof(magic));
	for (size_t at = LOAD_BLOCK_HEADER; at < len; at += 8) {
		uint64_t w = fill_word(seed, at / 8);

		memcpy(p + at, &w, sizeof(w));
	}
	memcpy(p, &h, sizeof(h));
	h.sum = htole32(sum_of(buf, len));
	memcpy(p, &h, sizeof(h));
}

static bool all_zero(const char *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

enum load_block_kind load_block_parse(const void *buf, size_t len, struct load_block *id)
{
	struct wire h;

	memcpy(&h, buf, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0)
		return all_zero(buf, len) ? LOAD_BLOCK_ZERO : LOAD_BLOCK_ALIEN;
	*id = (struct load_block){
		.run = le64toh(h.run),
		.lun = le32toh(h.lun),
		.writer = le32toh(h.writer),
		.lba = le64toh(h.lba),
		.generation = le64toh(h.generation),
	};
	if (le32toh(h.length) != len || le32toh(h.sum) != sum_of(buf, len))
		return LOAD_BLOCK_BAD_SUM;
	return LOAD_BLOCK_VALID;
}

size_t load_block_seam(const void *buf, size_t len)
{
	const char *p = buf;
	struct wire h;
	uint64_t seed;

	memcpy(&h, buf, sizeof(h));
	seed = fill_seed(le64toh(h.run), le64toh(h.lba), le64toh(h.generation));
	for (size_t at = LOAD_BLOCK_HEADER; at + 8 <= len; at += 8) {
		uint64_t w = fill_word(seed, at / 8);

		if (memcmp(p + at, &w, sizeof(w)) != 0)
			return at;
	}
	return len;
}
