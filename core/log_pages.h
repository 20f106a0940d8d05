/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parameters of log pages (SPC-4 7.3, SBC-3 6.4) about a logical unit, for log_sense.c. Each writes
 * its
 * parameters to p, zeroed and of 512 bytes, and returns their length. Any thread; counters of other
 * reactors are read as they are at the moment.
 */
#ifndef SANDEM_CORE_LOG_PAGES_H
#define SANDEM_CORE_LOG_PAGES_H

#include <stddef.h>
#include <stdint.h>

struct lu;

size_t log_pages_write_errors(uint8_t *p, const struct lu *lu);	   /* 02h */
size_t log_pages_read_errors(uint8_t *p, const struct lu *lu);	   /* 03h */
size_t log_pages_temperature(uint8_t *p, const struct lu *lu);	   /* 0Dh */
size_t log_pages_start_stop(uint8_t *p, const struct lu *lu);	   /* 0Eh */
size_t log_pages_self_tests(uint8_t *p, const struct lu *lu);	   /* 10h */
size_t log_pages_background_scan(uint8_t *p, const struct lu *lu); /* 15h */
size_t log_pages_statistics(uint8_t *p, const struct lu *lu);	   /* 19h */
size_t log_pages_exceptions(uint8_t *p, const struct lu *lu);	   /* 2Fh */

#endif
