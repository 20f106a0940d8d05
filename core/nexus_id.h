/* SPDX-License-Identifier: BSD-2-Clause */
/* The name of an I_T nexus, as registrations and unit attentions refer to it (SAM-5, nexus). */
#ifndef SANDEM_CORE_NEXUS_ID_H
#define SANDEM_CORE_NEXUS_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PORT_NAME_MAX 247 /* 223 bytes of iSCSI name + ",i,0x" + 12 hex digits, RFC 7143 4.2.7 */

struct nexus_id {
	uint16_t rtpi;			/* relative target port identifier, unique in the cluster */
	char port[PORT_NAME_MAX + 1];	/* SCSI initiator port name: "iqn…,i,0x00023d000001" */
};

static inline int nexus_id_cmp(const struct nexus_id *a, const struct nexus_id *b)
{
	int c = strcmp(a->port, b->port);

	return c ? c : (int)a->rtpi - (int)b->rtpi;
}

/* From a message: the port's name is not NUL-terminated there. False: not the name of a SCSI port. */
static inline bool nexus_id_take(struct nexus_id *out, const void *port, size_t len, uint32_t rtpi)
{
	if (!len || len > PORT_NAME_MAX || rtpi > UINT16_MAX || memchr(port, 0, len))
		return false;
	memset(out, 0, sizeof(*out));
	out->rtpi = rtpi;
	memcpy(out->port, port, len);
	return true;
}

static inline bool nexus_id_eq(const struct nexus_id *a, const struct nexus_id *b)
{
	return nexus_id_cmp(a, b) == 0;
}

#endif
