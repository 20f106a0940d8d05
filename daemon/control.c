/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients and their requests.
 *
 *   client ── in[]: bytes until a line is whole ──▶ verb ──▶ control_reply ──▶ out: what the socket didn't take yet
 *
 * A client has one reply at a time; while it waits, its socket isn't read, only its end is noticed. A reply outlives its
 * client; the server outlives its replies (refs).
 */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu/list.h>

#include "core/log.h"
#include "daemon/control_files.h"

struct control {
	qb_loop_t *loop;
	const struct control_verb *verbs;
	void *arg;
	struct control_files files;
	struct cds_list_head clients; /* struct client.link */
	unsigned nclients;
	unsigned refs; /* clients, replies, and the owner until control_stop() */
	bool stopping;
};

struct client {
	struct control *control;
	struct cds_list_head link;
	int fd;
	char *in;
	size_t in_len, in_cap; /* grows to CONTROL_LINE_MAX + 1 */
	char *out; /* malloc'd; NULL = nothing to send */
	size_t out_len, out_sent;
	struct control_reply *reply; /* under way */
	bool busy;	/* serve() is on the stack */
	bool ended;	/* no more requests: end of file, or a line too long */
	bool broken;	/* nobody to answer to */
};

struct control_reply {
	struct control *control;
	struct client *client; /* NULL: gone */
};

#define CLIENT_LINE (16u << 10) /* bytes of a request for which there is room at once; a power of two below the limit */

static void serve(struct client *c);
static int32_t on_client(int32_t fd, int32_t events, void *data);

static void control_unref(struct control *s)
{
	if (--s->refs)
		return;
	free(s);
}

/* ---- clients ---- */

static void client_free(struct client *c)
{
	struct control *s = c->control;

	if (c->reply)
		c->reply->client = NULL;
	qb_loop_poll_del(s->loop, c->fd);
	close(c->fd);
	cds_list_del(&c->link);
	s->nclients--;
	free(c->in);
	free(c->out);
	free(c);
	control_unref(s);
}

static bool client_is_done(const struct client *c)
{
	if (c->broken)
		return true;
	return !c->reply && !c->out && (c->ended || c->control->stopping);
}

static void client_poll(struct client *c)
{
	int events = 0; /* the end of the connection is reported all the same */

	if (c->out)
		events = POLLOUT;
	else if (!c->reply && !c->ended)
		events = POLLIN;
	qb_loop_poll_mod(c->control->loop, QB_LOOP_MED, c->fd, events, c, on_client);
}

/* Sends what the socket takes now. */
static void client_flush(struct client *c)
{
	while (c->out && !c->broken) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			c->broken = true;
			return;
		}
		c->out_sent += n;
		if (c->out_sent == c->out_len) {
			free(c->out);
			c->out = NULL;
		}
	}
}

static bool in_grow(struct client *c)
{
	size_t cap = c->in_cap ? 2 * (c->in_cap - 1) + 1 : CLIENT_LINE + 1;
	char *in = realloc(c->in, cap);

	if (!in)
		return false;
	c->in = in;
	c->in_cap = cap;
	return true;
}

static void client_read(struct client *c)
{
	size_t room;
	ssize_t n;

	if (c->in_len == c->in_cap && c->in_cap <= CONTROL_LINE_MAX && !in_grow(c))
		c->broken = true;
	room = c->in_cap - c->in_len;
	if (!room || c->broken)
		return; /* of requests that waited for an answer to leave */
	n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
	if (n > 0)
		c->in_len += n;
	else if (n == 0)
		c->ended = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		c->broken = true;
}

/* ---- answers ---- */

static void answer(struct client *c, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text || asprintf(&c->out, "%s\n", text) < 0) {
		c->out = NULL;
		c->broken = true; /* out of memory: the client sees the end of the connection */
	}
	free(text);
	c->out_len = c->out ? strlen(c->out) : 0;
	c->out_sent = 0;
}

static void end_reply(struct control_reply *r, json_t *object)
{
	struct control *s = r->control;
	struct client *c = r->client;

	free(r);
	if (c) {
		c->reply = NULL;
		answer(c, object);
		client_flush(c);
		if (!c->busy)
			serve(c);
	} else {
		json_decref(object);
	}
	control_unref(s);
}

void control_ok(struct control_reply *r, json_t *result)
{
	if (!result)
		result = json_object();
	end_reply(r, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

static const char *code_name(enum control_code code)
{
	switch (code) {
	case CONTROL_REFUSED: return "refused";
	case CONTROL_FAILED: return "failed";
	case CONTROL_USAGE: return "usage";
	case CONTROL_TIMEOUT: return "timeout";
	}
	return "failed";
}

static void make_ascii(char *s)
{
	for (; *s; s++)
		if (*s & 0x80)
			*s = '?';
}

void control_error(struct control_reply *r, enum control_code code, const char *fmt, ...)
{
	char message[1024];
	json_t *text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	text = json_string(message);
	if (!text) { /* not UTF-8, or cut in a character */
		make_ascii(message);
		text = json_string(message);
	}
	end_reply(r, json_pack("{s:b, s:{s:s, s:o}}", "ok", 0, "error", "code", code_name(code), "message", text));
}

const char *control_arg_string(const json_t *args, const char *name, struct control_reply *r)
{
	const char *text = json_string_value(json_object_get(args, name));

	if (!text || !*text) {
		control_error(r, CONTROL_USAGE, "the argument \"%s\" is missing; it must be a string", name);
		return NULL;
	}
	return text;
}

/* ---- requests ---- */

static const struct control_verb *find_verb(const struct control *s, const char *name)
{
	for (const struct control_verb *v = s->verbs; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

static void run_request(struct control_reply *r, json_t *request, const json_error_t *parse_error)
{
	const char *name = json_string_value(json_object_get(request, "verb"));
	json_t *args = json_object_get(request, "args"), *none = json_object();
	const struct control_verb *v = name ? find_verb(r->control, name) : NULL;

	if (!request)
		control_error(r, CONTROL_USAGE, "the request is not JSON: %s at column %d; send one object per line",
			      parse_error->text, parse_error->column);
	else if (!name)
		control_error(r, CONTROL_USAGE, "the request has no \"verb\"; send {\"verb\":\"status\",\"args\":{}}");
	else if (args && !json_is_object(args))
		control_error(r, CONTROL_USAGE, "%s: \"args\" is not an object", name);
	else if (!v)
		control_error(r, CONTROL_USAGE, "there is no verb \"%.60s\"; see sandemctl --help", name);
	else
		v->fn(r->control->arg, args ? args : none, r);
	json_decref(none);
	json_decref(request);
}

static void start_request(struct client *c, const char *line, size_t len)
{
	struct control_reply *r = malloc(sizeof(*r));
	json_error_t error;

	if (!r) {
		c->broken = true;
		return;
	}
	*r = (struct control_reply){ .control = c->control, .client = c };
	c->control->refs++;
	c->reply = r;
	run_request(r, json_loadb(line, len, JSON_REJECT_DUPLICATES, &error), &error);
}

/* Takes the next whole line out of in[]; false when there is none. */
static bool next_request(struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len), *line = c->in;
	size_t len = end ? (size_t)(end - line) : 0;

	if (!end)
		return false;
	start_request(c, line, len);
	c->in_len -= len + 1;
	memmove(c->in, end + 1, c->in_len);
	return true;
}

static void refuse_long_line(struct client *c)
{
	c->in_len = 0;
	c->ended = true;
	answer(c, json_pack("{s:b, s:{s:s, s:s}}", "ok", 0, "error", "code", "usage", "message",
			    "the request is longer than 524288 bytes; send one JSON object per line"));
	client_flush(c);
}

/* Requests as far as there are whole ones and the answers leave; then waits for what is next. May free c. */
static void serve(struct client *c)
{
	c->busy = true;
	while (!c->broken && !c->reply && !c->out && !c->control->stopping && next_request(c))
		;
	if (!c->broken && !c->reply && !c->out && c->in_len > CONTROL_LINE_MAX)
		refuse_long_line(c);
	c->busy = false;
	if (client_is_done(c))
		client_free(c);
	else
		client_poll(c);
}

static int32_t on_client(int32_t fd, int32_t events, void *data)
{
	struct client *c = data;

	(void)fd;
	client_flush(c);
	if (!c->reply && !c->out && !c->ended)
		client_read(c);
	else if (events & (POLLHUP | POLLERR))
		c->broken = true;
	serve(c);
	return 0;
}

/* ---- server ---- */

static bool client_new(struct control *s, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || !in_grow(c)) {
		free(c);
		return false;
	}
	c->control = s;
	c->fd = fd;
	if (qb_loop_poll_add(s->loop, QB_LOOP_MED, fd, POLLIN, c, on_client) < 0) {
		free(c->in);
		free(c);
		return false;
	}
	cds_list_add_tail(&c->link, &s->clients);
	s->nclients++;
	s->refs++;
	return true;
}

static int32_t on_listen(int32_t fd, int32_t events, void *data)
{
	static const char full[] = "{\"ok\":false,\"error\":{\"code\":\"failed\",\"message\":\"sandemd has too many control "
				   "connections; end some and try again\"}}\n";
	struct control *s = data;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (client < 0)
		return 0; /* gone already, or no descriptors: the next one may do better */
	if (s->nclients < CONTROL_CLIENTS_MAX && client_new(s, client))
		return 0;
	if (send(client, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control socket: a client beyond the limit could not be told");
	close(client);
	return 0;
}

int control_start(struct control **out, qb_loop_t *loop, const char *run_dir, const struct control_verb *verbs,
		  void *arg, char *err, size_t errlen)
{
	struct control *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		snprintf(err, errlen, "control socket: out of memory");
		return -ENOMEM;
	}
	*s = (struct control){ .loop = loop, .verbs = verbs, .arg = arg, .refs = 1 };
	CDS_INIT_LIST_HEAD(&s->clients);
	rc = control_files_open(&s->files, run_dir, err, errlen);
	if (rc == 0) {
		rc = qb_loop_poll_add(loop, QB_LOOP_MED, s->files.listen_fd, POLLIN, s, on_listen);
		if (rc < 0) {
			snprintf(err, errlen, "%s: the control socket can't be watched: %s", s->files.socket, strerror(-rc));
			control_files_close(&s->files);
		}
	}
	if (rc < 0) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void control_stop(struct control *s)
{
	struct client *c, *next;

	if (!s)
		return;
	s->stopping = true;
	qb_loop_poll_del(s->loop, s->files.listen_fd);
	control_files_close(&s->files);
	cds_list_for_each_entry_safe(c, next, &s->clients, link)
		if (!c->busy)
			serve(c);
	control_unref(s);
}
