/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandemctl: asks the daemon of this node over its control socket (docs/control.md) and prints the answer.
 *
 *   verbs[] ──▶ one JSON line ──▶ RUN/control.sock ──▶ one JSON line ──▶ --json: as it is, else print()
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_TIMEOUT };

#define RUN_DIR_DEFAULT "/run/sandem"
#define TIMEOUT_MAX 86400

/* ---- values as a person reads them ---- */

static const char *text_of(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s ? s : "-";
}

static int64_t number_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static void put_text(const json_t *row, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%s", text_of(row, key));
}

static void put_number(const json_t *row, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%" PRId64, number_of(row, key));
}

static void put_bool(const json_t *row, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%s", json_is_true(json_object_get(row, key)) ? "yes" : "no");
}

static void put_size(const json_t *row, const char *key, char *out, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = json_number_value(json_object_get(row, key));
	size_t u = 0;

	for (; v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
		v /= 1024;
	snprintf(out, size, v < 10 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void put_duration(int64_t s, char *out, size_t size)
{
	if (s < 120)
		snprintf(out, size, "%" PRId64 "s", s < 0 ? 0 : s);
	else if (s < 7200)
		snprintf(out, size, "%" PRId64 "m", s / 60);
	else if (s < 172800)
		snprintf(out, size, "%" PRId64 "h", s / 3600);
	else
		snprintf(out, size, "%" PRId64 "d", s / 86400);
}

static void put_age(const json_t *row, const char *key, char *out, size_t size)
{
	put_duration(time(NULL) - number_of(row, key), out, size);
}

/* An array of strings, or of objects by two of their fields: "a:b". */
static void join(const json_t *array, const char *first, const char *second, char *out, size_t size)
{
	size_t i, len = 0;
	json_t *v;

	snprintf(out, size, "-");
	json_array_foreach(array, i, v) {
		const json_t *b = json_object_get(v, second);
		const char *a = json_is_string(v) ? json_string_value(v) : text_of(v, first);

		if (len >= size)
			return;
		len += snprintf(out + len, size - len, "%s%s", i ? "," : "", a);
		if (len < size && json_is_integer(b))
			len += snprintf(out + len, size - len, ":%" PRId64, (int64_t)json_integer_value(b));
		else if (len < size && json_is_string(b))
			len += snprintf(out + len, size - len, ":%s", json_string_value(b));
	}
}

static void put_list(const json_t *row, const char *key, char *out, size_t size)
{
	join(json_object_get(row, key), "name", "", out, size);
}

static void put_targets(const json_t *row, const char *key, char *out, size_t size)
{
	join(json_object_get(row, key), "target", "lun", out, size);
}

static void put_ports(const json_t *row, const char *key, char *out, size_t size)
{
	join(json_object_get(row, key), "node", "state", out, size);
}

/* ---- tables ---- */

struct column {
	const char *title;
	const char *key;
	void (*put)(const json_t *row, const char *key, char *out, size_t size);
	bool right;
};

#define CELL 512

static void print_row(const struct column *col, const int *width, const json_t *row)
{
	char cell[CELL];

	for (int c = 0; col[c].title; c++) {
		if (row)
			col[c].put(row, col[c].key, cell, sizeof(cell));
		else
			snprintf(cell, sizeof(cell), "%s", col[c].title);
		if (!col[c + 1].title && !col[c].right)
			printf("%s\n", cell); /* no blanks at the end of a line */
		else
			printf("%*s%s", col[c].right ? width[c] : -width[c], cell, col[c + 1].title ? "  " : "\n");
	}
}

static void print_table(const struct column *col, const json_t *rows, const char *nothing)
{
	int width[16];
	char cell[CELL];
	json_t *row;
	size_t i;

	if (!json_array_size(rows)) {
		printf("%s\n", nothing);
		return;
	}
	for (int c = 0; col[c].title; c++) {
		width[c] = strlen(col[c].title);
		json_array_foreach(rows, i, row) {
			col[c].put(row, col[c].key, cell, sizeof(cell));
			if ((int)strlen(cell) > width[c])
				width[c] = strlen(cell);
		}
	}
	print_row(col, width, NULL);
	json_array_foreach(rows, i, row)
		print_row(col, width, row);
}

static void print_groups(const json_t *result)
{
	static const struct column col[] = {
		{ "GROUP", "name", put_text, false },  { "OWNER", "owner", put_text, false },
		{ "EPOCH", "epoch", put_number, true }, { "HERE", "state", put_text, false },
		{ "PORTS", "ports", put_ports, false }, { "LUNS", "luns", put_list, false },
		{ NULL, NULL, NULL, false },
	};
	const json_t *groups = json_object_get(result, "groups");
	json_t *g;
	size_t i;

	print_table(col, groups, "no LUN groups are configured");
	json_array_foreach(groups, i, g) {
		if (json_is_true(json_object_get(g, "owner_lost")))
			printf("group %s: its owner %s has left the cluster; it is taken over once that node is fenced\n",
			       text_of(g, "name"), text_of(g, "owner"));
		if (json_is_string(json_object_get(g, "error")))
			printf("group %s: %s\n", text_of(g, "name"), text_of(g, "error"));
	}
}

static void print_luns(const json_t *result)
{
	static const struct column col[] = {
		{ "LUN", "name", put_text, false },	 { "GROUP", "group", put_text, false },
		{ "SIZE", "size", put_size, true },	 { "BLOCK", "block_size", put_number, true },
		{ "OPEN", "open", put_bool, false },	 { "R/O", "read_only", put_bool, false },
		{ "READ", "read_bytes", put_size, true }, { "WRITTEN", "write_bytes", put_size, true },
		{ "NAA", "naa", put_text, false },	 { "HANDLER", "handler", put_text, false },
		{ "PATH", "path", put_text, false },	 { "TARGET:LUN", "targets", put_targets, false },
		{ NULL, NULL, NULL, false },
	};

	print_table(col, json_object_get(result, "luns"), "no LUNs are configured");
}

static void print_sessions(const json_t *result)
{
	static const struct column col[] = {
		{ "INITIATOR", "initiator", put_text, false }, { "PEER", "peer", put_text, false },
		{ "TARGET", "target", put_text, false },       { "TPGT", "tpgt", put_number, true },
		{ "ISID", "isid", put_text, false },	       { "TSIH", "tsih", put_number, true },
		{ "REACTOR", "reactor", put_number, true },    { "AGE", "since", put_age, true },
		{ "IN FLIGHT", "commands_in_flight", put_number, true },
		{ NULL, NULL, NULL, false },
	};

	print_table(col, json_object_get(result, "sessions"), "no initiator is logged in on this node");
}

static void print_pr(const json_t *r)
{
	static const struct column col[] = {
		{ "KEY", "key", put_text, false },
		{ "RTPI", "rtpi", put_number, true },
		{ "INITIATOR PORT", "port", put_text, false },
		{ NULL, NULL, NULL, false },
	};
	const json_t *holder = json_object_get(r, "holder"), *spc2 = json_object_get(r, "spc2_holder");
	const char *type = json_string_value(json_object_get(r, "type"));

	printf("LUN          %s\ngeneration   %" PRId64 "\nAPTPL        %s\nreservation  %s\n", text_of(r, "lun"),
	       number_of(r, "generation"), json_is_true(json_object_get(r, "aptpl")) ? "yes" : "no", type ? type : "none");
	if (json_is_object(holder))
		printf("holder       %s, port %" PRId64 ", key %s\n", text_of(holder, "port"), number_of(holder, "rtpi"),
		       text_of(holder, "key"));
	if (json_is_object(spc2))
		printf("RESERVE      %s, port %" PRId64 "\n", text_of(spc2, "port"), number_of(spc2, "rtpi"));
	printf("\n");
	print_table(col, json_object_get(r, "registrants"), "no initiator is registered");
}

static void print_state(const json_t *r)
{
	char up[32], unfenced[CELL];
	const char *why = json_string_value(json_object_get(r, "why"));

	put_duration(number_of(r, "uptime_s"), up, sizeof(up));
	printf("node      %s (sandem %s, up %s)\n", text_of(r, "node"), text_of(r, "version"), up);
	printf("state     %s, %s%s%s\n", text_of(r, "state"),
	       json_is_true(json_object_get(r, "quorate")) ? "quorate" : "no quorum", why && *why ? ": " : "", why ? why : "");
	printf("position  %" PRId64 "\n", number_of(r, "position"));
	if (json_array_size(json_object_get(r, "unfenced"))) {
		put_list(r, "unfenced", unfenced, sizeof(unfenced));
		printf("unfenced  %s (lost, and not yet known to be off)\n", unfenced);
	}
}

static void print_links(const json_t *links)
{
	const json_t *l;
	size_t i;

	json_array_foreach(links, i, l) {
		bool to = json_is_true(json_object_get(l, "to")), from = json_is_true(json_object_get(l, "from"));

		printf("link      %s: %s\n", json_string_value(json_object_get(l, "node")),
		       to && from ? "up" : to ? "up to it, down from it" : from ? "down to it, up from it" : "down");
	}
}

static void print_status(const json_t *r)
{
	char members[CELL];

	put_list(r, "members", members, sizeof(members));
	print_state(r);
	printf("members   %s\n", members);
	print_links(json_object_get(r, "links"));
	printf("\n");
	print_groups(r);
}

static void print_cluster(const json_t *r)
{
	static const struct column col[] = {
		{ "MEMBER", "node", put_text, false },
		{ "ID", "id", put_number, true },
		{ "SYNCED", "synced", put_bool, false },
		{ "ACKNOWLEDGED", "acknowledged", put_number, true },
		{ NULL, NULL, NULL, false },
	};

	print_state(r);
	printf("\n");
	print_table(col, json_object_get(r, "members"), "no members: this node is alone, or corosync is not running");
	printf("\n");
	print_groups(r);
}

/* A moved group, as it is now. */
static void print_moved(const json_t *r)
{
	printf("group %s: %s here, owner %s, epoch %" PRId64 "\n", text_of(r, "name"), text_of(r, "state"),
	       text_of(r, "owner"), number_of(r, "epoch"));
}

static void print_ended(const json_t *r)
{
	(void)r;
	printf("sandemd has ended\n");
}

static void print_done(const json_t *r)
{
	(void)r;
	printf("done\n");
}

static void print_medium(const json_t *r)
{
	printf("LUN %s: %s\n", json_string_value(json_object_get(r, "name")),
	       json_is_true(json_object_get(r, "ejected")) ? "the medium is ejected" : "the medium is loaded");
}

static void print_resized(const json_t *r)
{
	printf("LUN %s has %" JSON_INTEGER_FORMAT " bytes\n", json_string_value(json_object_get(r, "name")),
	       json_integer_value(json_object_get(r, "size")));
}

/* ---- verbs ---- */

struct verb {
	const char *name; /* on the wire and on the command line */
	const char *arg;  /* key of its argument, or NULL */
	const char *more; /* key of a second one, which may be left out, or NULL */
	int timeout;	  /* seconds, unless --timeout says otherwise */
	bool until_end;	  /* done when the daemon has gone */
	void (*print)(const json_t *result);
	const char *help;
};

static const struct verb verbs[] = {
	{ "status", NULL, NULL, 10, false, print_status, "this node, the cluster, the LUN groups" },
	{ "lun list", NULL, NULL, 10, false, print_luns, "logical units: size, identity, traffic" },
	{ "lun resize", "lun", "size", 60, false, print_resized, "grow a LUN (without SIZE: to what its device has now)" },
	{ "lun eject", "lun", "force", 60, false, print_medium, "take the medium out of a removable LUN" },
	{ "lun load", "lun", NULL, 60, false, print_medium, "put it in again, as it is found now" },
	{ "session list", NULL, NULL, 10, false, print_sessions, "initiators that are logged in on this node" },
	{ "group list", NULL, NULL, 10, false, print_groups, "LUN groups: owner and port states" },
	{ "group promote", "name", NULL, 60, false, print_moved, "make this node the owner of a LUN group" },
	{ "group demote", "name", NULL, 60, false, print_moved, "drain, flush, close, and give the group up" },
	{ "pr show", "lun", NULL, 10, false, print_pr, "persistent reservations of a LUN" },
	{ "cluster status", NULL, NULL, 10, false, print_cluster, "members and how far each has followed" },
	{ "cluster fenced", "node", NULL, 10, false, print_done, "the lost node is known to be dead (the fencing alert says so)" },
	{ "cluster resolve", "keep", NULL, 10, false, print_done, "two histories went on: --keep NODE says whose is right" },
	{ "shutdown", NULL, NULL, 60, true, print_ended, "end the daemon of this node in good order" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

struct call {
	const char *run_dir;
	bool json;
	int64_t deadline; /* ms, CLOCK_MONOTONIC */
	int timeout;	  /* seconds; 0: the verb's */
	const struct verb *verb;
	const char *arg, *more;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

__attribute__((format(printf, 2, 3))) static int complain(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("sandemctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

/* ---- the connection ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int timed_out(const struct call *c)
{
	return complain(EXIT_TIMEOUT, "%s: sandemd has not answered \"%s\" within %d s; it may still carry it out: look at "
		    "`sandemctl status`, or wait longer with --timeout", c->socket, c->verb->name, c->timeout);
}

static int wait_for(const struct call *c, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = c->deadline - now_ms();
	int rc = left > 0 ? poll(&p, 1, left) : 0;

	return rc < 0 && errno == EINTR ? 1 : rc;
}

static int unreachable(const struct call *c, int error)
{
	const char *next = "is sandemd running? Start it, or name its directory with --run-dir";

	if (error == EACCES || error == EPERM)
		next = "run sandemctl as root";
	return complain(EXIT_UNREACHABLE, "%s: sandemd can't be reached: %s; %s", c->socket, strerror(error), next);
}

static int reach(struct call *c, int *fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int error;

	if (snprintf(c->socket, sizeof(c->socket), "%s/control.sock", c->run_dir) >= (int)sizeof(c->socket))
		return complain(EXIT_USAGE, "--run-dir %s: the name is too long for a socket in it", c->run_dir);
	memcpy(a.sun_path, c->socket, sizeof(a.sun_path));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	while (*fd >= 0 && connect(*fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		error = errno;
		if (error == EAGAIN && now_ms() < c->deadline) {
			poll(NULL, 0, 20); /* its backlog is full; AF_UNIX offers nothing to wait for */
			continue;
		}
		close(*fd);
		return error == EAGAIN ? timed_out(c) : unreachable(c, error);
	}
	return *fd < 0 ? unreachable(c, errno) : EXIT_OK;
}

static int send_all(const struct call *c, int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return unreachable(c, errno);
		if (n < 0 && wait_for(c, fd, POLLOUT) == 0)
			return timed_out(c);
		if (n > 0) {
			p += n;
			len -= n;
		}
	}
	return EXIT_OK;
}

/* Until a whole line is there (*line, to be freed), or, with line NULL, until the daemon ends the connection. */
static int receive(const struct call *c, int fd, char **line)
{
	size_t len = 0, cap = 1 << 16;
	char *buf = malloc(cap);

	while (buf) {
		ssize_t n = recv(fd, buf + len, cap - len - 1, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (wait_for(c, fd, POLLIN))
				continue;
			free(buf);
			return timed_out(c);
		}
		if (n <= 0) {
			free(buf);
			return line ? complain(EXIT_UNREACHABLE, "%s: sandemd ended the connection before it answered \"%s\"; look "
					   "at its log", c->socket, c->verb->name) : EXIT_OK;
		}
		if (!line)
			continue;
		len += n;
		buf[len] = 0;
		if (buf[len - 1] == '\n') {
			*line = buf;
			return EXIT_OK;
		}
		if (cap - len < 4096)
			buf = realloc(buf, cap *= 2);
	}
	return complain(EXIT_REFUSED, "out of memory for the answer");
}

/* ---- one call ---- */

static int error_exit(const json_t *error)
{
	static const struct {
		const char *code;
		int exit;
	} codes[] = { { "usage", EXIT_USAGE }, { "timeout", EXIT_TIMEOUT } };
	const char *code = text_of(error, "code");
	int rc = EXIT_REFUSED;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (!strcmp(codes[i].code, code))
			rc = codes[i].exit;
	return complain(rc, "%s", text_of(error, "message"));
}

static int show(const struct call *c, const json_t *answer)
{
	const json_t *result = json_object_get(answer, "result");

	if (json_is_false(json_object_get(answer, "ok")))
		return error_exit(json_object_get(answer, "error"));
	if (!json_is_true(json_object_get(answer, "ok")) || !json_is_object(result))
		return complain(EXIT_REFUSED, "%s: what answers there does not speak sandemd's protocol; do both have the same "
			    "version?", c->socket);
	if (c->json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		c->verb->print(result);
	}
	return fflush(stdout) == 0 ? EXIT_OK : complain(EXIT_REFUSED, "standard output: %s", strerror(errno));
}

static char *request_line(const struct call *c)
{
	json_t *args = json_object(), *request;
	char *text, *line = NULL;

	if (c->verb->arg && json_object_set_new(args, c->verb->arg, json_string(c->arg)) < 0) {
		json_decref(args); /* not UTF-8 */
		return NULL;
	}
	if (c->more && json_object_set_new(args, c->verb->more, json_string(c->more)) < 0) {
		json_decref(args);
		return NULL;
	}
	request = json_pack("{s:s, s:o}", "verb", c->verb->name, "args", args);
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	json_decref(request);
	free(text);
	return line;
}

static int call(struct call *c)
{
	char *line = request_line(c), *text = NULL;
	json_t *answer = NULL;
	int fd = -1, rc;

	if (!line)
		return complain(EXIT_USAGE, "%s: the argument can't be sent; it must be UTF-8 text", c->verb->name);
	rc = reach(c, &fd);
	if (rc == EXIT_OK)
		rc = send_all(c, fd, line, strlen(line));
	if (rc == EXIT_OK)
		rc = receive(c, fd, &text);
	if (rc == EXIT_OK) {
		answer = json_loads(text, 0, NULL);
		if (c->verb->until_end && json_is_true(json_object_get(answer, "ok")))
			rc = receive(c, fd, NULL);
		if (rc == EXIT_OK)
			rc = show(c, answer);
	}
	json_decref(answer);
	if (fd >= 0)
		close(fd);
	free(text);
	free(line);
	return rc;
}

/* ---- command line ---- */

static void help(void)
{
	printf("Usage: sandemctl [--run-dir DIR] [--json] [--timeout SECS] VERB\n\n"
	       "Asks the Sandem daemon of this node. Verbs:\n\n");
	for (size_t i = 0; i < VERBS; i++) {
		char verb[40];

		snprintf(verb, sizeof(verb), "%s%s%s", verbs[i].name,
			 !verbs[i].arg ? "" : strcmp(verbs[i].arg, "lun") ? " NAME" : " LUN",
			 !verbs[i].more ? "" : strcmp(verbs[i].more, "size") ? " [force]" : " [SIZE]");
		printf("  %-20s  %s\n", verb, verbs[i].help);
	}
	printf("\n  --run-dir DIR    where the daemon's control socket is (" RUN_DIR_DEFAULT ")\n"
	       "  --json           the answer as JSON\n"
	       "  --timeout SECS   give up waiting after that (10; 60 for promote, demote and shutdown)\n\n"
	       "Exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 sandemd is not reachable, 4 timed out.\n");
}

/* The verb that the words begin with; *used: how many of them. */
static const struct verb *find_verb(int n, char **word, int *used)
{
	char two[64];

	for (*used = 2; *used >= 1; (*used)--) {
		if (*used > n)
			continue;
		snprintf(two, sizeof(two), *used == 2 ? "%s %s" : "%s", word[0], *used == 2 ? word[1] : "");
		for (size_t i = 0; i < VERBS; i++)
			if (!strcmp(verbs[i].name, two))
				return &verbs[i];
	}
	return NULL;
}

static const char *missing(const char *arg)
{
	if (!strcmp(arg, "lun"))
		return "the name of the LUN is missing; see `sandemctl lun list`";
	if (!strcmp(arg, "name"))
		return "the name of the group is missing; see `sandemctl group list`";
	return "the name of the node is missing; see `sandemctl cluster status`";
}

static int parse_verb(struct call *c, int n, char **word)
{
	int used;

	if (n == 0)
		return complain(EXIT_USAGE, "the verb is missing; e.g. `sandemctl status`, see --help");
	c->verb = find_verb(n, word, &used);
	if (!c->verb)
		return complain(EXIT_USAGE, "\"%s%s%s\" is not a verb; see --help", word[0], n > 1 ? " " : "", n > 1 ? word[1] : "");
	if (c->arg && !(c->verb->arg && !strcmp(c->verb->arg, "keep")))
		return complain(EXIT_USAGE, "%s: --keep belongs to `cluster resolve`; see --help", c->verb->name);
	if (c->verb->arg && !c->arg && n > used)
		c->arg = word[used++];
	if (c->verb->arg && !c->arg)
		return complain(EXIT_USAGE, "%s: %s", c->verb->name, missing(c->verb->arg));
	if (c->verb->more && n > used)
		c->more = word[used++];
	if (n > used)
		return complain(EXIT_USAGE, "%s: \"%s\" is too much; see --help", c->verb->name, word[used]);
	return EXIT_OK;
}

static int take_timeout(struct call *c, const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end || end == text || v < 1 || v > TIMEOUT_MAX)
		return complain(EXIT_USAGE, "--timeout: \"%s\" is not a number of seconds; use 1 to %d", text, TIMEOUT_MAX);
	c->timeout = v;
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' }, { "json", no_argument, NULL, 'j' },
		{ "timeout", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },	     { "keep", required_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	struct call c = { .run_dir = RUN_DIR_DEFAULT };
	int o, rc = EXIT_OK;

	opterr = 0;
	while (rc == EXIT_OK && (o = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		switch (o) {
		case 'r': c.run_dir = optarg; break;
		case 'j': c.json = true; break;
		case 'k': c.arg = optarg; break;
		case 't': rc = take_timeout(&c, optarg); break;
		case 'h': help(); return EXIT_OK;
		case 'v': printf("sandemctl 0.1.0\n"); return EXIT_OK;
		case ':': rc = complain(EXIT_USAGE, "%s: its value is missing; see --help", argv[optind - 1]); break;
		default: rc = complain(EXIT_USAGE, "%s: not an option; see --help", argv[optind - 1]);
		}
	}
	if (rc == EXIT_OK)
		rc = parse_verb(&c, argc - optind, argv + optind);
	if (rc != EXIT_OK)
		return rc;
	if (!c.timeout)
		c.timeout = c.verb->timeout;
	c.deadline = now_ms() + c.timeout * 1000;
	return call(&c);
}
