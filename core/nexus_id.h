/* SPDX-License-Identifier: BSD-2-Clause */
/* The name of an I_T nexus, as registrations and unit attentions refer to it (SAM-5 4.7). */
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

static inline bool nexus_id_eq(const struct nexus_id *a, const struct nexus_id *b)
{
	return nexus_id_cmp(a, b) == 0;
}

#endif
