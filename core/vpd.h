/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_CORE_VPD_H
#define SANDEM_CORE_VPD_H

#include <stdint.h>

struct scsi_cmd;

/* Reactor. Answers INQUIRY with vital product data page `page` (SPC-4 7.8, SBC-3 6.6). peripheral: byte 0 of the page. */
void vpd_page(struct scsi_cmd *cmd, uint8_t page, uint8_t peripheral);

#endif
