/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a thin logical unit says about its LBA mapping resources (SBC-3 4.7.3): threshold sets, the mode page that names the
 * threshold, the log page with the counts. The counts are those that the node which owns the medium measured last.
 */
#ifndef SANDEM_CORE_THIN_H
#define SANDEM_CORE_THIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lu;

/* THRESHOLD EXPONENT of VPD page B2: a threshold set is 2^n logical blocks (1 MiB, more for a capacity that would not fit). */
uint8_t thin_exponent(const struct lu *lu);

/* Bytes as a number of threshold sets, as far as 32 bits go. */
uint32_t thin_sets(const struct lu *lu, uint64_t bytes);

/* Available bytes below which THIN PROVISIONING SOFT THRESHOLD REACHED is raised; 0 = there is no threshold. The same on
 * every node. */
uint64_t thin_threshold_bytes(const struct lu *lu);

/* Logical Block Provisioning mode page (1Ch/02h, SBC-3 6.5.7) behind its four header bytes; p is zeroed. */
#define THIN_MODE_PAGE_LEN 20
void thin_mode_page(uint8_t *p, const struct lu *lu);

/* Parameters of the Logical Block Provisioning log page (0Ch, SBC-3 6.4.5); returns their length, at most THIN_LOG_MAX. */
#define THIN_LOG_MAX 24
size_t thin_log_parameters(uint8_t *p, const struct lu *lu);

/* Control thread: what was measured; known false: nobody can tell (no longer the owner, a device that does not say). */
void thin_measured(struct lu *lu, bool known, uint64_t used, uint64_t available);

#endif
