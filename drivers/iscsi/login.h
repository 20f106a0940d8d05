/* SPDX-License-Identifier: BSD-2-Clause */
/* The login state machine (RFC 7143 6.3, 8.1.2 seen from the target), apart from the socket: a table. */
#ifndef SANDEM_ISCSI_LOGIN_H
#define SANDEM_ISCSI_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/iscsi/conn.h"

enum wire_stage { WIRE_SECURITY = 0, WIRE_OPERATIONAL = 1, WIRE_FULL = 3 }; /* CSG and NSG, 11.12.3 */

/* Where a request with these flags (byte 1 of the BHS) leads from phase. False: not allowed there. */
bool login_next_phase(enum login_phase phase, uint8_t flags, enum login_phase *next);

/* What a status code means, for the log. Never NULL. */
const char *login_status_text(int status);

#endif
