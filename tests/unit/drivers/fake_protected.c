/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/drivers/fake_protected.h"

#include <errno.h>

#include "drivers/disk/protected.h"

#define TAG_BYTES (PROTECTED_HEADER + (FAKE_BLOCKS * PI_LEN + 4095) / 4096 * 4096)

static void tags_submit(struct disk *d, struct disk_io *io)
{
	struct protected_rig *r = caa_container_of(d, struct protected_rig, tags);

	assert_true(io->kind == DISK_FLUSH ||
		    (io->offset >= PROTECTED_HEADER && io->offset + io->length <= TAG_BYTES));
	io->result = (int)io->kind == r->fail_tags ? -EIO : 0;
	if (io->result == 0)
		switch (io->kind) {
		case DISK_READ:
			memcpy(io->buf, r->tag_bytes + io->offset, io->length);
			break;
		case DISK_WRITE:
			memcpy(r->tag_bytes + io->offset, io->buf, io->length);
			break;
		case DISK_DISCARD:
		case DISK_WRITE_ZEROES:
			assert_int_equal(io->offset % 4096 | io->length % 4096,
					 0); /* what a block device takes */
			memset(r->tag_bytes + io->offset, 0, io->length);
			break;
		case DISK_FLUSH:
			break;
		}
	io->done(io);
}

static void tags_close(struct disk *d)
{
	(void)d;
}

static const struct disk_ops tags_ops = { .name = "tags",
					  .submit = tags_submit,
					  .close = tags_close };

struct protected_rig *rig_new(enum pi_type type, bool ato)
{
	struct protected_rig *r = calloc(1, sizeof(*r));
	struct disk_params p = {
		.block_size = FAKE_BLOCK, .pi_type = type, .path = "data", .pi_path = "data.dif"
	};

	assert_int_equal(fake_setup((void **)&r->f), 0);
	r->tag_bytes = calloc(1, TAG_BYTES);
	assert_non_null(r->tag_bytes);
	r->fail_tags = -1;
	r->tags = (struct disk){ .ops = &tags_ops, .size = TAG_BYTES, .can_discard = true };
	r->disk = protected_stack(&r->f->disk.disk, &r->tags, &p);
	assert_non_null(r->disk);
	r->f->lu->disk = r->disk;
	r->f->lu->disk_params = p;
	r->f->lu->pi_type = type;
	r->f->lu->pi_ato = ato;
	return r;
}

void rig_free(struct protected_rig *r)
{
	r->disk->ops->close(r->disk);
	fake_teardown((void **)&r->f);
	free(r->tag_bytes);
	free(r);
}

void rig_pi(const struct protected_rig *r, uint64_t lba, uint8_t pi[PI_LEN])
{
	for (int i = 0; i < PI_LEN; i++)
		pi[i] = ~r->tag_bytes[PROTECTED_HEADER + lba * PI_LEN + i];
}

void rig_set_pi(struct protected_rig *r, uint64_t lba, const uint8_t pi[PI_LEN])
{
	for (int i = 0; i < PI_LEN; i++)
		r->tag_bytes[PROTECTED_HEADER + lba * PI_LEN + i] = ~pi[i];
}

/* SBC-3 4.22.4: x^16 + x^15 + x^11 + x^9 + x^8 + x^7 + x^5 + x^4 + x^2 + x + 1, bit by bit. */
uint16_t crc_t10(const uint8_t *p, size_t len)
{
	uint16_t crc = 0;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i] << 8;
		for (int b = 0; b < 8; b++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x8bb7 : crc << 1;
	}
	return crc;
}

void block_make(uint8_t *p, uint8_t fill, uint16_t app, uint32_t ref)
{
	memset(p, fill, FAKE_BLOCK);
	put_be16(p + FAKE_BLOCK, crc_t10(p, FAKE_BLOCK));
	put_be16(p + FAKE_BLOCK + 2, app);
	put_be32(p + FAKE_BLOCK + 4, ref);
}

void run16(struct protected_rig *r, uint8_t opcode, uint8_t protect, uint8_t options, uint64_t lba,
	   uint32_t blocks, const void *data, uint32_t expected)
{
	uint8_t cdb[16] = { opcode, protect << 5 | options };

	put_be64(cdb + 2, lba);
	if (opcode == 0x89)
		cdb[13] = blocks;
	else
		put_be32(cdb + 10, blocks);
	fake_run(r->f, cdb, sizeof(cdb), data, expected);
}

void run32(struct protected_rig *r, uint8_t sa, uint8_t protect, uint8_t options, uint64_t lba,
	   uint32_t blocks, struct tags32 t, const void *data, uint32_t expected)
{
	uint8_t cdb[32] = { 0x7f, [7] = 0x18, [9] = sa, [10] = protect << 5 | options };

	put_be64(cdb + 12, lba);
	put_be32(cdb + 20, t.ref);
	put_be16(cdb + 24, t.app);
	put_be16(cdb + 26, t.mask);
	put_be32(cdb + 28, blocks);
	fake_run(r->f, cdb, sizeof(cdb), data, expected);
}

void assert_pi_sense(const struct protected_rig *r, uint8_t key, uint8_t ascq, uint32_t lba)
{
	assert_sense(r->f, SENSE(key, 0x10, ascq));
	assert_int_equal(r->f->cmd.sense[0], 0xf0); /* VALID */
	assert_int_equal(get_be32(r->f->cmd.sense + 3), lba);
}
