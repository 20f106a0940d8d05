/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * READ TOC/PMA/ATIP, GET CONFIGURATION, GET EVENT STATUS NOTIFICATION, READ DISC INFORMATION (MMC-6) for a
 * disc that is complete: one session with one data track. All other logical units answer INVALID COMMAND OPERATION CODE.
 */
#include "core/cdrom.h"

#include "core/handlers.h"
#include "core/lu.h"
#include "core/wire.h"

#define DATA_TRACK 0x14 /* ADR 1, CONTROL 4: data, uninterrupted */
#define LEAD_OUT 0xaa
#define CD_BLOCKS_MAX (449850u) /* 99:59:74 less the two seconds before; what is larger is a DVD */
#define MSF_OFFSET 150

/* False: answered, this is no CD-ROM. */
static bool is_cdrom(struct scsi_cmd *cmd)
{
	if (!cmd->lu->cdrom)
		cmd_sense(cmd, SENSE_INVALID_OPCODE);
	return cmd->lu->cdrom;
}

static uint64_t blocks_of(const struct lu *lu)
{
	return __atomic_load_n(&lu->blocks, __ATOMIC_RELAXED);
}

/* ---- READ TOC/PMA/ATIP ---------------------------------------------------------------------------- */

static void put_address(uint8_t *p, uint64_t lba, bool msf)
{
	uint32_t frames = (lba > UINT32_MAX - MSF_OFFSET ? UINT32_MAX - MSF_OFFSET : lba) + MSF_OFFSET;

	if (!msf) {
		put_be32(p, lba > UINT32_MAX ? UINT32_MAX : lba);
		return;
	}
	p[0] = 0;
	p[1] = frames / 75 / 60 > 0xff ? 0xff : frames / 75 / 60;
	p[2] = frames / 75 % 60;
	p[3] = frames % 75;
}

static uint8_t *put_track(uint8_t *p, uint8_t number, uint64_t lba, bool msf)
{
	p[1] = DATA_TRACK;
	p[2] = number;
	put_address(p + 4, lba, msf);
	return p + 8;
}

enum toc_format { TOC_TRACKS, TOC_SESSIONS };

void cdrom_read_toc(struct scsi_cmd *cmd)
{
	uint8_t data[20] = { 0, 0, 1, 1 }, *p = data + 4, first = cmd->cdb[6];
	uint8_t format = cmd->cdb[2] & 0x0f;
	bool msf = cmd->cdb[1] & 0x02;

	if (!is_cdrom(cmd))
		return;
	if (format > TOC_SESSIONS) {
		cmd_bad_field(cmd, 2, 3);
		return;
	}
	if (format == TOC_TRACKS && first > 1 && first != LEAD_OUT) {
		cmd_bad_field(cmd, 6, -1);
		return;
	}
	if (format == TOC_SESSIONS || first <= 1)
		p = put_track(p, 1, 0, msf);
	if (format == TOC_TRACKS)
		p = put_track(p, LEAD_OUT, blocks_of(cmd->lu), msf);
	put_be16(data, p - data - 2);
	cmd_reply(cmd, data, p - data);
}

/* ---- GET CONFIGURATION ------------------------------------------------------------------------------- */

enum profile { NO_PROFILE = 0x0000, CD_ROM = 0x0008, DVD_ROM = 0x0010 };

static enum profile profile_of(const struct lu *lu)
{
	if (lu_read(lu, gate)->no_medium)
		return NO_PROFILE;
	return blocks_of(lu) > CD_BLOCKS_MAX ? DVD_ROM : CD_ROM;
}

static uint8_t profile_list(uint8_t *p, enum profile now)
{
	put_be16(p, DVD_ROM);
	p[2] = now == DVD_ROM;
	put_be16(p + 4, CD_ROM);
	p[6] = now == CD_ROM;
	return 8;
}

static uint8_t core_feature(uint8_t *p, enum profile now)
{
	(void)now;
	put_be32(p, 1); /* SCSI family */
	return 8;
}

static uint8_t removable_medium(uint8_t *p, enum profile now)
{
	(void)now;
	p[0] = 0x20 | 0x08 | 0x01; /* tray, EJECT, LOCK */
	return 4;
}

static uint8_t random_readable(uint8_t *p, enum profile now)
{
	(void)now;
	put_be32(p, CDROM_BLOCK);
	put_be16(p + 4, 1); /* BLOCKING */
	return 8;
}

static uint8_t cd_read(uint8_t *p, enum profile now)
{
	(void)p, (void)now;
	return 4;
}

static uint8_t dvd_read(uint8_t *p, enum profile now)
{
	(void)p, (void)now;
	return 4;
}

static const struct feature {
	uint16_t code;
	uint8_t version;
	enum profile needs; /* current with this profile only; NO_PROFILE: always, persistent */
	bool any;	    /* current with any medium */
	uint8_t (*build)(uint8_t *p, enum profile now);
} features[] = {
	{ 0x0000, 0, NO_PROFILE, false, profile_list },
	{ 0x0001, 0, NO_PROFILE, false, core_feature },
	{ 0x0003, 0, NO_PROFILE, false, removable_medium },
	{ 0x0010, 0, NO_PROFILE, true, random_readable },
	{ 0x001e, 0, CD_ROM, false, cd_read },
	{ 0x001f, 0, DVD_ROM, false, dvd_read },
};

static bool is_current(const struct feature *f, enum profile now)
{
	return f->any ? now != NO_PROFILE : f->needs == NO_PROFILE || f->needs == now;
}

enum requested { ALL_FEATURES, CURRENT_FEATURES, ONE_FEATURE };

static bool is_wanted(const struct feature *f, enum profile now, uint8_t rt, uint16_t start)
{
	switch ((enum requested)rt) {
	case ALL_FEATURES:
		return f->code >= start;
	case CURRENT_FEATURES:
		return f->code >= start && is_current(f, now);
	case ONE_FEATURE:
		return f->code == start;
	}
	return false;
}

static uint8_t *put_feature(uint8_t *p, const struct feature *f, enum profile now)
{
	put_be16(p, f->code);
	p[2] = f->version << 2 | (f->needs == NO_PROFILE && !f->any) << 1 | is_current(f, now);
	p[3] = f->build(p + 4, now);
	return p + 4 + p[3];
}

void cdrom_get_configuration(struct scsi_cmd *cmd)
{
	uint8_t data[128] = { 0 }, *p = data + 8, rt = cmd->cdb[1] & 0x03;
	enum profile now;

	if (!is_cdrom(cmd))
		return;
	if (rt > ONE_FEATURE) {
		cmd_bad_field(cmd, 1, 1);
		return;
	}
	now = profile_of(cmd->lu);
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (is_wanted(&features[i], now, rt, get_be16(cmd->cdb + 2)))
			p = put_feature(p, &features[i], now);
	put_be32(data, p - data - 4);
	put_be16(data + 6, now);
	cmd_reply(cmd, data, p - data);
}

/* ---- the rest -------------------------------------------------------------------------------------------- */

#define POLLED 0x01
#define MEDIA_CLASS 4

/* A changed medium is told by its unit attention; here only whether there is one. */
void cdrom_get_event_status(struct scsi_cmd *cmd)
{
	uint8_t data[8] = { 0 };
	bool media = cmd->cdb[4] & 1 << MEDIA_CLASS;

	if (!is_cdrom(cmd))
		return;
	if (!(cmd->cdb[1] & POLLED)) {
		cmd_bad_field(cmd, 1, 0);
		return;
	}
	put_be16(data, media ? 6 : 2);
	data[2] = media ? MEDIA_CLASS : 0x80; /* NEA: no event available of the classes asked for */
	data[3] = 1 << MEDIA_CLASS;
	data[5] = profile_of(cmd->lu) == NO_PROFILE ? 0x01 : 0x02; /* tray open : medium present */
	cmd_reply(cmd, data, media ? 8 : 4);
}

void cdrom_read_disc_information(struct scsi_cmd *cmd)
{
	uint8_t data[34] = { 0 };

	if (!is_cdrom(cmd))
		return;
	put_be16(data, sizeof(data) - 2);
	data[2] = 0x0c | 0x02; /* last session complete, disc complete */
	data[3] = data[4] = data[5] = data[6] = 1; /* first track, sessions, first and last track of the last one */
	data[7] = 0x20;	       /* URU: unrestricted use */
	put_be32(data + 16, 0xffffffff); /* no further session can begin */
	put_be32(data + 20, 0xffffffff);
	cmd_reply(cmd, data, sizeof(data));
}

void cdrom_mode_page(uint8_t *p, const struct lu *lu)
{
	(void)lu;
	p[0] = 0x08;		   /* reads DVD-ROM */
	p[4] = 0x20 | 0x08 | 0x01; /* tray, EJECT, LOCK */
}
