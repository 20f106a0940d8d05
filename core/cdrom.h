/* SPDX-License-Identifier: BSD-2-Clause */
/* A logical unit of peripheral device type 05h: an ISO image as a disc of one data track (MMC-6). */
#ifndef SANDEM_CORE_CDROM_H
#define SANDEM_CORE_CDROM_H

#include <stdint.h>

struct lu;

#define CDROM_BLOCK 2048u

/* CD/DVD Capabilities and Mechanical Status mode page (2Ah) behind its two header bytes; p is zeroed. */
#define CDROM_MODE_PAGE_LEN 0x14
void cdrom_mode_page(uint8_t *p, const struct lu *lu);

#endif
