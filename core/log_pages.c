/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/log_pages.h"

#include <time.h>

#include "core/log_counters.h"
#include "core/lu.h"
#include "core/wire.h"

#define COUNTER 0x02 /* FORMAT AND LINKING 10b: a bounded data counter without thresholds */
#define LIST 0x03    /* 11b: a binary list */
#define NO_TEMPERATURE 0xff

/* Header of a parameter of len bytes (7.3.2.1); returns where its value goes. */
static uint8_t *parameter(uint8_t *p, uint16_t code, uint8_t control, uint8_t len)
{
	put_be16(p, code);
	p[2] = control;
	p[3] = len;
	return p + 4;
}

/* ---- 02h, 03h: what is corrected on the way is the medium's own affair and not known here ---- */

#define TOTAL_BYTES_PROCESSED 0x0005

static size_t bytes_processed(uint8_t *p, uint64_t bytes)
{
	put_be64(parameter(p, TOTAL_BYTES_PROCESSED, COUNTER, 8), bytes);
	return 12;
}

size_t log_pages_write_errors(uint8_t *p, const struct lu *lu)
{
	return bytes_processed(p, log_counters_since(lu, LOG_RESET_WRITE_ERRORS).write_bytes);
}

size_t log_pages_read_errors(uint8_t *p, const struct lu *lu)
{
	return bytes_processed(p, log_counters_since(lu, LOG_RESET_READ_ERRORS).read_bytes);
}

/* ---- 0Dh, 0Eh, 10h, 2Fh ---------------------------------------------------------------------- */

size_t log_pages_temperature(uint8_t *p, const struct lu *lu)
{
	(void)lu;
	parameter(p, 0x0000, LIST, 2)[1] = NO_TEMPERATURE;
	parameter(p + 6, 0x0001, LIST, 2)[1] = NO_TEMPERATURE; /* reference */
	return 12;
}

/* No dates are known, and nothing ages by starting: all that is left is a count that stays zero. */
size_t log_pages_start_stop(uint8_t *p, const struct lu *lu)
{
	(void)lu;
	parameter(p, 0x0004, LIST, 4); /* ACCUMULATED START-STOP CYCLES */
	return 8;
}

/* Twenty places for results; all zero: no self-test but the default one exists, which leaves
 * none. */
size_t log_pages_self_tests(uint8_t *p, const struct lu *lu)
{
	(void)lu;
	for (uint16_t i = 0; i < 20; i++)
		parameter(p + i * 20, i + 1, LIST, 16);
	return 400;
}

size_t log_pages_exceptions(uint8_t *p, const struct lu *lu)
{
	(void)lu;
	/* ASC, ASCQ 0: no exception is pending */
	parameter(p, 0x0000, LIST, 4)[2] = NO_TEMPERATURE;
	return 8;
}

/* ---- 15h ------------------------------------------------------------------------------------- */

/* No background scan: the medium's own. Powered on is the node. */
size_t log_pages_background_scan(uint8_t *p, const struct lu *lu)
{
	struct timespec ts;

	(void)lu;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	put_be32(parameter(p, 0x0000, LIST, 12), ts.tv_sec / 60);
	return 16;
}

/* ---- 19h (7.3.9): what a command took is counted in whole intervals --------------------------
 * Tools decode the page only with the idle time in it; that is not measured and stays zero. */

#define INTERVAL_NS 1000u /* parameter 0003h says so: 1 × 10^-6 s, the exponent without its sign */

size_t log_pages_statistics(uint8_t *p, const struct lu *lu)
{
	struct log_traffic t = log_counters_since(lu, LOG_RESET_STATISTICS);
	uint8_t *v = parameter(p, 0x0001, LIST, 64);

	put_be64(v, t.reads);
	put_be64(v + 8, t.writes);
	put_be64(v + 16, t.write_bytes / lu->block_size);
	put_be64(v + 24, t.read_bytes / lu->block_size);
	put_be64(v + 32, t.read_ns / INTERVAL_NS);
	put_be64(v + 40, t.write_ns / INTERVAL_NS);
	parameter(p + 68, 0x0002, LIST, 8);
	v = parameter(p + 80, 0x0003, LIST, 8);
	put_be32(v, 6);	   /* EXPONENT */
	put_be32(v + 4, 1); /* INTEGER */
	return 68 + 12 + 12;
}
