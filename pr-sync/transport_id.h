/* SPDX-License-Identifier: BSD-2-Clause */
/* TransportIDs of iSCSI initiator ports (SPC-4 7.6.4.6), format 01b: name, ",i,0x", ISID. Pure; any
 * thread. */
#ifndef SANDEM_PR_SYNC_TRANSPORT_ID_H
#define SANDEM_PR_SYNC_TRANSPORT_ID_H

#include <stddef.h>
#include <stdint.h>

#include "core/nexus_id.h"

#define TRANSPORT_ID_MAX (4 + PORT_NAME_MAX + 4) /* header, name, NUL and padding */

/* Writes the TransportID of port into buf; returns its length, a multiple of 4 and at least 24. */
size_t transport_id_build(const char *port, uint8_t buf[TRANSPORT_ID_MAX]);

/*
 * Reads one TransportID from p and gives the port's name as struct nexus_id has it (lower case, 12
 * hexadecimal digits). Returns its length in bytes; 0: not a whole TransportID of an iSCSI
 * initiator port. Format 00b, which names a device and none of its ports, is not taken.
 */
size_t transport_id_parse(const uint8_t *p, size_t len, char port[PORT_NAME_MAX + 1]);

#endif
