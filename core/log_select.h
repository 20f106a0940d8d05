/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SANDEM_CORE_LOG_SELECT_H
#define SANDEM_CORE_LOG_SELECT_H

#include <stdbool.h>
#include <stdint.h>

struct lu;
struct scsi_cmd;

/* Control thread, for HOOK_LOG_SELECT (SPC-4). False: the command has been answered. True:
 * the pages to be reset, 1 << enum log_reset. */
bool log_select_parse(struct scsi_cmd *cmd, uint32_t *pages);

/* log_sense.c: whether the logical unit has this page. */
bool log_page_exists(const struct lu *lu, uint8_t code, uint8_t subpage);

#endif
