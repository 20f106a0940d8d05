/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/ctl.h"

int complain(int code, const char *fmt, ...)
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

static int result_of(const struct call *c, json_t *answer, json_t **result)
{
	*result = NULL;
	if (json_is_false(json_object_get(answer, "ok")))
		return error_exit(json_object_get(answer, "error"));
	if (!json_is_true(json_object_get(answer, "ok")) || !json_is_object(json_object_get(answer, "result")))
		return complain(EXIT_REFUSED, "%s: what answers there does not speak sandemd's protocol; do both have the same "
			    "version?", c->socket);
	*result = json_incref(json_object_get(answer, "result"));
	return EXIT_OK;
}

static char *request_line(const char *verb, json_t *args)
{
	json_t *request = args ? json_pack("{s:s, s:o}", "verb", verb, "args", args) : NULL;
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *line = NULL;

	if (!text || asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	json_decref(request);
	free(text);
	return line;
}

int ctl_ask(struct call *c, const char *verb, json_t *args, json_t **result)
{
	char *line = request_line(verb, args), *text = NULL;
	json_t *answer = NULL;
	int fd = -1, rc;

	*result = NULL;
	if (!line)
		return complain(EXIT_USAGE, "%s: the argument can't be sent; it must be UTF-8 text", verb);
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
			rc = result_of(c, answer, result);
	}
	json_decref(answer);
	if (fd >= 0)
		close(fd);
	free(text);
	free(line);
	return rc;
}

int ctl_show(const struct call *c, const json_t *result, void (*print)(const json_t *result))
{
	if (c->json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print(result);
	}
	return fflush(stdout) == 0 ? EXIT_OK : complain(EXIT_REFUSED, "standard output: %s", strerror(errno));
}

static json_t *args_of(const struct call *c)
{
	json_t *args = json_object();

	if ((c->verb->arg && json_object_set_new(args, c->verb->arg, json_string(c->arg)) < 0) ||
	    (c->more && json_object_set_new(args, c->verb->more, json_string(c->more)) < 0)) {
		json_decref(args); /* not UTF-8 */
		return NULL;
	}
	return args;
}

int ctl_call(struct call *c)
{
	json_t *result;
	int rc = ctl_ask(c, c->verb->name, args_of(c), &result);

	if (rc == EXIT_OK)
		rc = ctl_show(c, result, c->verb->print);
	json_decref(result);
	return rc;
}

void ctl_clock_start(struct call *c)
{
	c->deadline = now_ms() + c->timeout * 1000;
}
