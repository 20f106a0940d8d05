/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandemctl asks the daemon of this node over its control socket (docs/control.md) and prints the answer.
 *
 *   sandemctl.c   the command line and the table of verbs
 *   ctl_call.c    one JSON line ──▶ RUN/control.sock ──▶ one JSON line
 *   ctl_table.c   values and tables as a person reads them
 *   ctl_print.c   answers of status, group, lun, session, pr, cluster
 *   ctl_config.c  config show, check, diff, apply, history, rollback
 */
#ifndef SANDEM_CTL_H
#define SANDEM_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

enum { EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_TIMEOUT };

struct call;

struct verb {
	const char *name; /* on the wire and on the command line */
	const char *arg;  /* key of its argument, or NULL */
	const char *more; /* key of a second one, which may be left out, or NULL */
	int timeout;	  /* seconds, unless --timeout says otherwise */
	bool until_end;	  /* done when the daemon has gone */
	void (*print)(const json_t *result);
	const char *help;
	int (*run)(struct call *c); /* NULL: the arguments are sent as they are, and the answer is printed */
};

struct call {
	const char *run_dir;
	bool json, yes;
	int64_t deadline; /* ms, CLOCK_MONOTONIC */
	int timeout;	  /* seconds; 0: the verb's */
	const struct verb *verb;
	const char *arg, *more;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* Says "sandemctl: …" on standard error; returns code. */
__attribute__((format(printf, 2, 3))) int complain(int code, const char *fmt, ...);

/* ---- ctl_call.c ---- */
/* EXIT_OK and *result (to be given back), or what went wrong, complained about. args is taken over; NULL: not UTF-8. */
int ctl_ask(struct call *c, const char *verb, json_t *args, json_t **result);
/* Prints result, as JSON or by print. */
int ctl_show(const struct call *c, const json_t *result, void (*print)(const json_t *result));
/* The verb with the arguments of the command line. */
int ctl_call(struct call *c);
/* The time that a verb may take begins now (again). */
void ctl_clock_start(struct call *c);

/* ---- ctl_table.c ---- */
struct column {
	const char *title;
	const char *key;
	void (*put)(const json_t *row, const char *key, char *out, size_t size);
	bool right;
};

#define CELL 512

void print_table(const struct column *col, const json_t *rows, const char *nothing);
const char *text_of(const json_t *row, const char *key); /* "-" where there is none */
int64_t number_of(const json_t *row, const char *key);
void put_duration(int64_t s, char *out, size_t size);
#define X(name) void name(const json_t *row, const char *key, char *out, size_t size)
X(put_text);
X(put_number);
X(put_bool);
X(put_size);
X(put_age);
X(put_list);
X(put_targets);
X(put_ports);
#undef X

/* ---- ctl_print.c ---- */
#define X(name) void name(const json_t *result)
X(print_groups);
X(print_luns);
X(print_sessions);
X(print_pr);
X(print_status);
X(print_cluster);
X(print_moved);
X(print_ended);
X(print_done);
X(print_medium);
X(print_resized);
#undef X

/* ---- ctl_config.c ---- */
void print_generation(const json_t *result);
void print_history(const json_t *result);
int config_check_file(struct call *c);
int config_diff_file(struct call *c);
int config_apply_file(struct call *c);
int config_rollback(struct call *c);

#endif
