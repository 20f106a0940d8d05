/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static struct {
	enum log_level level;
	void (*sink)(enum log_level level, const char *line);
} setup = { .level = LOG_LEVEL_NOTICE };

void log_setup(enum log_level level, void (*sink)(enum log_level, const char *))
{
	setup.level = level;
	setup.sink = sink;
}

static void to_stderr(enum log_level level, const char *line)
{
	static const char *const word[] = { "error", "warning", "notice", "info", "debug" };
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	fprintf(stderr, "%02d:%02d:%02d.%03ld %s: %s\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
		ts.tv_nsec / 1000000, word[level], line);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (level > setup.level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (setup.sink)
		setup.sink(level, line);
	else
		to_stderr(level, line);
}
