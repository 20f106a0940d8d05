/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters of log pages that LOG SELECT resets. Reactors count on; what is reported is what was
 * counted since the last reset of the page, so a reset touches nothing of theirs.
 */
#ifndef SANDEM_CORE_LOG_COUNTERS_H
#define SANDEM_CORE_LOG_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

struct lu;

enum log_reset { /* pages with counters; between nodes: never renumbered */
	LOG_RESET_WRITE_ERRORS, /* 02h */
	LOG_RESET_READ_ERRORS,	/* 03h */
	LOG_RESET_STATISTICS,	/* 19h */
	LOG_RESETS,
};

struct log_traffic {
	uint64_t reads, writes, read_bytes, write_bytes;
	uint64_t read_ns, write_ns; /* from arrival to completion */
};

struct log_counters { /* of a logical unit */
	struct log_traffic base[LOG_RESETS]; /* as counted at the page's reset; atomic */
	uint32_t generation[LOG_RESETS];     /* resets of the page that are carried out. Control thread */
};

/* Any thread: since the last reset of this page. */
struct log_traffic log_counters_since(const struct lu *lu, enum log_reset page);

/* Control thread: generation is how often the page was reset in all. */
void log_counters_reset(struct lu *lu, enum log_reset page, uint32_t generation);

/* -1: page code without counters. */
int log_counters_of_page(uint8_t code);

#endif
