/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages for operators: one line each, naming the object, the cause and the next step.
 * The level and the sink are the one piece of process-wide state: set once by main() before any thread starts.
 */
#ifndef SANDEM_CORE_LOG_H
#define SANDEM_CORE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* sink(level, line): line has no newline. NULL = stderr with a time stamp. */
void log_setup(enum log_level level, void (*sink)(enum log_level level, const char *line));

/* Any thread. */
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_msg(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
