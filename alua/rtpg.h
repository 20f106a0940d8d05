/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_ALUA_RTPG_H
#define SANDEM_ALUA_RTPG_H

struct scsi_cmd;

/* REPORT TARGET PORT GROUPS (SPC-4 6.37), as core hook HOOK_RTPG: from the logical unit's published gate, in every
 * port state. Control thread. */
void rtpg_cmd(void *arg, struct scsi_cmd *cmd);

#endif
