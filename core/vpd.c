/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vital product data (SPC-4 7.8, SBC-3 6.6). A page is a row: its code and the function that writes
 * its payload. All but the port's designators of page 83 are the same through every port of the
 * cluster, so nothing here looks at lu->disk.
 */
#include "core/vpd.h"

#include <stdio.h>
#include <string.h>

#include "core/core.h"
#include "core/extended_copy.h"
#include "core/lu.h"
#include "core/nexus.h"
#include "core/provisioning.h"
#include "core/target.h"
#include "core/thin.h"
#include "core/wire.h"

#define PAYLOAD_MAX 8192
#define PORT_MAX 272 /* one descriptor of page 88 with the longest name */

/* ---- 80h, 83h: who this is ------------------------------------------------------------------- */

static uint16_t unit_serial_number(const struct scsi_cmd *cmd, uint8_t *p)
{
	size_t n = strnlen(cmd->lu->id.serial, sizeof(cmd->lu->id.serial));

	memcpy(p, cmd->lu->id.serial, n);
	return n;
}

enum association { OF_LU = 0x00, OF_PORT = 0x10, OF_DEVICE = 0x20 };
enum code_set { BINARY = 1, ASCII = 2, UTF8 = 3 };
enum designator { T10_VENDOR = 1, NAA = 3, RELATIVE_PORT = 4, PORT_GROUP = 5, SCSI_NAME = 8 };
#define PROTOCOL_ISCSI 0x50
#define PIV 0x80

/* The header of a designation descriptor; returns where the designator goes. */
static uint8_t *designator_head(uint8_t *p, enum code_set set, enum association of, enum designator type, uint8_t len)
{
	p[0] = set | (of == OF_LU ? 0 : PROTOCOL_ISCSI);
	p[1] = type | of | (of == OF_LU ? 0 : PIV);
	p[2] = 0;
	p[3] = len;
	return p + 4;
}

static uint8_t *put_naa(uint8_t *p, const struct lu_identity *id)
{
	if (!id->naa_len)
		return p;
	p = designator_head(p, BINARY, OF_LU, NAA, id->naa_len);
	memcpy(p, id->naa, id->naa_len);
	return p + id->naa_len;
}

static uint8_t *put_t10(uint8_t *p, const struct lu_identity *id)
{
	size_t vendor = strnlen(id->vendor, 8), n = strnlen(id->t10_id, sizeof(id->t10_id));

	p = designator_head(p, ASCII, OF_LU, T10_VENDOR, 8 + n);
	memset(p, ' ', 8);
	memcpy(p, id->vendor, vendor);
	memcpy(p + 8, id->t10_id, n);
	return p + 8 + n;
}

static uint8_t *put_u16(uint8_t *p, enum designator type, uint16_t value)
{
	p = designator_head(p, BINARY, OF_PORT, type, 4);
	put_be16(p, 0);
	put_be16(p + 2, value);
	return p + 4;
}

/* SCSI name strings end with a NUL and are padded to a multiple of four (SPC-4 7.8.6.11). */
static uint8_t *put_name(uint8_t *p, enum association of, const char *name)
{
	size_t n = strlen(name), padded = (n + 4) & ~(size_t)3;

	p = designator_head(p, UTF8, of, SCSI_NAME, padded);
	memset(p, 0, padded);
	memcpy(p, name, n);
	return p + padded;
}

static void port_name(char *name, size_t size, const struct target *t, const struct target_port *port)
{
	snprintf(name, size, "%s,t,0x%04x", t->name, port->tpgt);
}

static uint16_t device_identification(const struct scsi_cmd *cmd, uint8_t *payload)
{
	const struct target *t = cmd->nexus->target;
	const struct target_port *port = target_local_port(t);
	char name[sizeof(t->name) + 16];
	uint8_t *p = payload;

	port_name(name, sizeof(name), t, port);
	if (cmd->lu) { /* else the well-known logical unit, which is told by its port and device */
		p = put_naa(p, &cmd->lu->id);
		p = put_t10(p, &cmd->lu->id);
	}
	p = put_u16(p, RELATIVE_PORT, port->rtpi);
	p = put_u16(p, PORT_GROUP, port->tpgt);
	p = put_name(p, OF_PORT, name);
	p = put_name(p, OF_DEVICE, t->name);
	return p - payload;
}

/* ---- 85h: where it is managed (SPC-4 7.8.8) ---------------------------------------------------- */

#define STORAGE_CONFIGURATION_SERVICE 0x01

static const struct core *core_of(const struct scsi_cmd *cmd)
{
	return cmd->reactor->core;
}

/* Network services descriptors, of the target device. A URL ends with a NUL and is padded to a multiple of four. */
static uint16_t management_addresses(const struct scsi_cmd *cmd, uint8_t *payload)
{
	const struct core *core = core_of(cmd);
	uint8_t *p = payload;

	for (uint32_t i = 0; i < core->nurls; i++) {
		size_t n = strlen(core->management_url[i]), padded = (n + 4) & ~(size_t)3;

		if (p + 4 + padded > payload + PAYLOAD_MAX)
			break;
		p[0] = OF_DEVICE << 1 | STORAGE_CONFIGURATION_SERVICE; /* ASSOCIATION is in bits 6-5 here */
		put_be16(p + 2, padded);
		memcpy(p + 4, core->management_url[i], n);
		p += 4 + padded;
	}
	return p - payload;
}

/* ---- 86h: what of SPC is supported ----------------------------------------------------------- */

/* GRD_CHK, APP_CHK, REF_CHK. */
static uint8_t checks(const struct lu *lu)
{
	if (!lu->pi_type)
		return 0;
	return 0x04 | (lu->pi_type == PI_TYPE_2 && lu->pi_ato ? 0x02 : 0) | /* APP_CHK: told by READ (32) … */
	       (lu->pi_type != PI_TYPE_3 ? 0x01 : 0);
}

static uint16_t extended_inquiry(const struct scsi_cmd *cmd, uint8_t *p)
{
	/* SPT: the one type that this unit is formatted with */
	static const uint8_t spt[] = { [PI_TYPE_1] = 0, [PI_TYPE_2] = 2, [PI_TYPE_3] = 4 };
	const struct lu *lu = cmd->lu;

	if (lu->pi_type)
		p[0] = spt[lu->pi_type] << 3 | checks(lu);
	p[1] = 0x01;	  /* SIMPSUP */
	p[2] = 0x01;	  /* V_SUP: a volatile cache may be there */
	p[3] = 0x01;	  /* LUICLR: I_T nexuses clear unit attentions each for itself */
	p[9] = SENSE_MAX; /* MAXIMUM SUPPORTED SENSE DATA LENGTH */
	return 0x3c;
}

/* ---- 87h, 88h: mode pages are the same for all; the ports of all nodes -------------------------- */

static uint16_t mode_page_policy(const struct scsi_cmd *cmd, uint8_t *p)
{
	(void)cmd;
	p[0] = 0x3f; /* all pages, all subpages: shared (SPC-4 7.8.9) */
	p[1] = 0xff;
	return 4;
}

/* A SCSI port designation descriptor (7.8.14): no initiator port, the target port's name. */
static uint8_t *put_port(uint8_t *p, const struct target *t, const struct target_port *port)
{
	char name[sizeof(t->name) + 16];
	uint8_t *end;

	port_name(name, sizeof(name), t, port);
	memset(p, 0, 12);
	put_be16(p + 2, port->rtpi);
	end = put_name(p + 12, OF_PORT, name);
	put_be16(p + 10, end - (p + 12));
	return end;
}

static uint16_t scsi_ports(const struct scsi_cmd *cmd, uint8_t *payload)
{
	const struct target *t = cmd->nexus->target;
	uint8_t *p = payload;

	for (uint16_t i = 0; i < t->nports && p + PORT_MAX <= payload + PAYLOAD_MAX; i++)
		p = put_port(p, t, &t->port[i]);
	return p - payload;
}

/* ---- B0h … B2h: limits, characteristics, provisioning (SBC-3 6.6.3 … 6.6.5) ------------------ */

#define OPTIMAL_TRANSFER_BYTES (1u << 20)

static uint16_t block_limits(const struct scsi_cmd *cmd, uint8_t *p)
{
	const struct lu *lu = cmd->lu;
	uint32_t max = lu->max_transfer_bytes / lu->block_size, optimal = OPTIMAL_TRANSFER_BYTES / lu->block_size;

	p[0] = 0x00; /* WSNZ=0 */
	p[1] = COMPARE_AND_WRITE_MAX_BLOCKS;
	put_be16(p + 2, 1u << lu->lb_per_pb_exp);
	put_be32(p + 4, max);
	put_be32(p + 8, optimal < max ? optimal : max);
	if (lu->thin) {
		put_be32(p + 16, UNMAP_MAX_BLOCKS);
		put_be32(p + 20, UNMAP_MAX_DESCRIPTORS);
		put_be32(p + 24, 1u << lu->lb_per_pb_exp);
		put_be32(p + 28, 1u << 31); /* UGAVALID, alignment 0 */
	}
	put_be64(p + 32, WRITE_SAME_MAX_BLOCKS);
	if (lu->atomic_max_blocks) {
		put_be32(p + 40, lu->atomic_max_blocks);
		put_be32(p + 44, 1u << lu->lb_per_pb_exp); /* ATOMIC ALIGNMENT */
		put_be32(p + 48, 1u << lu->lb_per_pb_exp); /* ATOMIC TRANSFER LENGTH GRANULARITY */
	}
	return 0x3c;
}

static uint16_t block_characteristics(const struct scsi_cmd *cmd, uint8_t *p)
{
	put_be16(p, cmd->lu->rotational ? 7200 : 0x0001); /* rpm, or non-rotating */
	if (cmd->lu->wipes && cmd->lu->thin)
		p[3] = 0x40; /* WABEREQ=01b: after a block erase blocks read without error */
	if (cmd->lu->wipes && cmd->lu->disk_params.key_file)
		p[3] |= 0x10; /* WACEREQ=01b: after a cryptographic erase, too */
	return 0x3c;
}

static uint16_t provisioning(const struct scsi_cmd *cmd, uint8_t *p)
{
	if (cmd->lu->thin) {
		p[0] = thin_exponent(cmd->lu);
		p[1] = 0x80 | 0x40 | 0x20 | 0x04; /* LBPU, LBPWS, LBPWS10, LBPRZ */
		p[2] = 0x02;			  /* thin */
	}
	return 4;
}

/* B4h: FORMAT UNIT and MODE SELECT change neither, so there is one of each: those that it has. */
static uint16_t block_lengths(const struct scsi_cmd *cmd, uint8_t *p)
{
	const struct lu *lu = cmd->lu;

	put_be32(p, lu->block_size);
	p[4] = checks(lu);
	p[5] = 1 << lu->pi_type; /* T0PS … T3PS */
	return 8;
}

/* ---- the pages ------------------------------------------------------------------------------- */

static uint16_t supported_pages(const struct scsi_cmd *cmd, uint8_t *p);

static const struct page {
	uint8_t code;
	uint16_t (*build)(const struct scsi_cmd *cmd, uint8_t *payload); /* payload is zeroed; returns its length */
} pages[] = {
	{ 0x00, supported_pages },
	{ 0x80, unit_serial_number },
	{ 0x83, device_identification },
	{ 0x85, management_addresses },
	{ 0x86, extended_inquiry },
	{ 0x87, mode_page_policy },
	{ 0x88, scsi_ports },
	{ 0x8f, copy_vpd },
	{ 0xb0, block_limits },
	{ 0xb1, block_characteristics },
	{ 0xb2, provisioning },
	{ 0xb4, block_lengths },
};
#define NPAGES (sizeof(pages) / sizeof(pages[0]))

#define BLOCK_DEVICE_PAGES 0xb0 /* and above: of SBC, not of a CD-ROM */

static bool is_there(const struct page *page, const struct scsi_cmd *cmd)
{
	if (!cmd->lu) /* of no logical unit only the list of pages can be had */
		return page->build == supported_pages || (cmd->well_known && page->build == device_identification);
	if (page->build == management_addresses && !core_of(cmd)->nurls)
		return false;
	return page->code < BLOCK_DEVICE_PAGES || !cmd->lu->cdrom;
}

static uint16_t supported_pages(const struct scsi_cmd *cmd, uint8_t *p)
{
	uint16_t n = 0;

	for (unsigned i = 0; i < NPAGES; i++)
		if (is_there(&pages[i], cmd))
			p[n++] = pages[i].code;
	return n;
}

static const struct page *find(uint8_t code)
{
	for (unsigned i = 0; i < NPAGES; i++)
		if (pages[i].code == code)
			return &pages[i];
	return NULL;
}

void vpd_page(struct scsi_cmd *cmd, uint8_t code, uint8_t peripheral)
{
	const struct page *page = find(code);
	uint8_t data[4 + PAYLOAD_MAX] = { 0 };
	uint16_t len;

	if (!page || !is_there(page, cmd)) {
		cmd_bad_field(cmd, 2, -1);
		return;
	}
	len = page->build(cmd, data + 4);
	data[0] = peripheral;
	data[1] = code;
	put_be16(data + 2, len);
	cmd_reply(cmd, data, 4 + len);
}
