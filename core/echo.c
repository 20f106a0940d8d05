/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * READ BUFFER, WRITE BUFFER (SPC-4): the echo buffer, one per I_T nexus, so that what is
 * read
 * is what the same initiator port has written (EBOS=1).
 */
#include "core/echo.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cmd.h"
#include "core/handlers.h"
#include "core/nexus.h"
#include "core/wire.h"

#define ECHO_BYTES 4096
#define EBOS 0x01
#define SENSE_COMMAND_SEQUENCE SENSE(KEY_ILLEGAL_REQUEST, 0x2c, 0x00)

enum buffer_mode { MODE_DESCRIPTOR = 0x03, MODE_ECHO = 0x0a, MODE_ECHO_DESCRIPTOR = 0x0b };

struct echo { /* nexus->echo */
	uint32_t len;
	uint8_t data[ECHO_BYTES];
};

void echo_free(struct nexus *n)
{
	free(n->echo);
	n->echo = NULL;
}

static void read_echo(struct scsi_cmd *cmd)
{
	const struct echo *e = cmd->nexus->echo;

	if (e)
		cmd_reply(cmd, e->data, e->len);
	else
		cmd_sense(cmd, SENSE_COMMAND_SEQUENCE); /* nothing was written before */
}

void echo_read_buffer(struct scsi_cmd *cmd)
{
	uint8_t echo[4] = { EBOS, 0, ECHO_BYTES >> 8, ECHO_BYTES & 0xff };
	/* OFFSET BOUNDARY FFh, BUFFER CAPACITY 0: there is no data buffer with any identifier */
	static const uint8_t none[4] = { 0xff };

	switch (cmd->cdb[1] & 0x1f) {
	case MODE_DESCRIPTOR:
		cmd_reply(cmd, none, sizeof(none));
		return;
	case MODE_ECHO:
		read_echo(cmd);
		return;
	case MODE_ECHO_DESCRIPTOR:
		cmd_reply(cmd, echo, sizeof(echo));
		return;
	}
	cmd_bad_field(cmd, 1, 4);
}

void echo_write_buffer(struct scsi_cmd *cmd)
{
	struct nexus *n = cmd->nexus;

	if ((cmd->cdb[1] & 0x1f) != MODE_ECHO) {
		cmd_bad_field(cmd, 1, 4);
		return;
	}
	if (cmd->alloc_len > ECHO_BYTES) {
		cmd_bad_field(cmd, 6, -1);
		return;
	}
	if (!n->echo)
		n->echo = calloc(1, sizeof(*n->echo));
	if (!n->echo) {
		cmd_status(cmd, STATUS_BUSY);
		return;
	}
	n->echo->len = cmd->data_out_got < cmd->alloc_len ? cmd->data_out_got : cmd->alloc_len;
	if (n->echo->len)
		memcpy(n->echo->data, cmd->buf, n->echo->len);
	cmd_good(cmd, 0);
}
