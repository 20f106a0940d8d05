/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: the input is what one client sends, in pieces of the size that its first byte says, before it says no
 * more. Server and client turn in the same loop. Every answer is one line of JSON with "ok", and there are not more answers
 * than lines; then the next client is served as ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/control.h"
#include "fuzz.h"

static qb_loop_t *loop;
static struct control *control;
static char dir[64];

struct client {
	int fd;
	const uint8_t *p;
	size_t left, piece;
	char line[1u << 20];
	size_t len;
	unsigned answers;
};

/* ---- the server ------------------------------------------------------------------------------------ */

static void echo(void *arg, const json_t *args, struct control_reply *r)
{
	(void)arg;
	control_ok(r, json_deep_copy(args));
}

static void need(void *arg, const json_t *args, struct control_reply *r)
{
	const char *name = control_arg_string(args, "name", r);

	(void)arg;
	if (name)
		control_error(r, CONTROL_REFUSED, "group %s: is owned by another node", name);
}

static void stop_server(void)
{
	char path[96];

	control_stop(control);
	qb_loop_destroy(loop);
	snprintf(path, sizeof(path), "%s/sandemd.pid", dir);
	unlink(path);
	rmdir(dir);
}

static void start_server(void)
{
	static const struct control_verb verbs[] = { { "echo", echo }, { "group demote", need }, { NULL, NULL } };
	char err[512];

	log_setup(LOG_LEVEL_ERROR, NULL);
	snprintf(dir, sizeof(dir), "/tmp/sandem-fuzz-control-XXXXXX");
	FUZZ_CHECK(mkdtemp(dir));
	loop = qb_loop_create();
	FUZZ_CHECK(loop && control_start(&control, loop, dir, verbs, NULL, err, sizeof(err)) == 0);
	atexit(stop_server);
}

/* ---- the client ------------------------------------------------------------------------------------ */

static void check_answer(struct client *c, const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, 0, NULL), *ok = json_object_get(answer, "ok");

	FUZZ_CHECK(json_is_boolean(ok));
	FUZZ_CHECK(json_is_true(ok) || json_is_string(json_object_get(json_object_get(answer, "error"), "message")));
	json_decref(answer);
	c->answers++;
}

static void take_lines(struct client *c)
{
	char *end;

	while ((end = memchr(c->line, '\n', c->len))) {
		size_t n = end - c->line;

		check_answer(c, c->line, n);
		c->len -= n + 1;
		memmove(c->line, end + 1, c->len);
	}
	FUZZ_CHECK(c->len < sizeof(c->line));
}

static void say(struct client *c)
{
	ssize_t n = send(c->fd, c->p, c->left < c->piece ? c->left : c->piece, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) /* the server has ended it: its word comes behind what was said before */
		n = c->left;
	c->p += n;
	c->left -= n;
	if (!c->left)
		shutdown(c->fd, SHUT_WR);
}

static int32_t on_client(int32_t fd, int32_t revents, void *data)
{
	struct client *c = data;
	ssize_t n;

	(void)revents;
	if (c->left)
		say(c);
	n = recv(fd, c->line + c->len, sizeof(c->line) - c->len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN) {
		qb_loop_poll_mod(loop, QB_LOOP_LOW, fd, c->left ? POLLIN | POLLOUT : POLLIN, c, on_client);
		return 0;
	}
	if (n <= 0) {
		qb_loop_poll_del(loop, fd);
		qb_loop_stop(loop);
		return -1;
	}
	c->len += n;
	take_lines(c);
	return 0;
}

static unsigned converse(const uint8_t *p, size_t len, size_t piece)
{
	static struct client c;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/control.sock", dir);
	c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(c.fd >= 0 && connect(c.fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	c.p = p;
	c.left = len;
	c.piece = piece;
	c.len = c.answers = 0;
	if (!len)
		shutdown(c.fd, SHUT_WR);
	FUZZ_CHECK(qb_loop_poll_add(loop, QB_LOOP_LOW, c.fd, POLLIN | POLLOUT, &c, on_client) == 0);
	qb_loop_run(loop);
	close(c.fd);
	return c.answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const char good[] = "{\"verb\":\"echo\"}\n";
	struct fuzz_in in = { p, len };
	size_t piece = 1 + 16 * (size_t)fuzz_u8(&in);
	unsigned lines = 1; /* one that is too long is answered before it has ended */

	if (!loop)
		start_server();
	for (size_t i = 0; i < in.left; i++)
		lines += in.p[i] == '\n';
	FUZZ_CHECK(converse(in.p, in.left, piece) <= lines);
	FUZZ_CHECK(converse((const uint8_t *)good, sizeof(good) - 1, 4096) == 1);
	return 0;
}
