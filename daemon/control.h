/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: how sandemctl, and through it the resource agents, speak with the daemon.
 *
 *   RUN/control.sock (AF_UNIX stream, 0600)      one JSON object per line, both ways
 *     → {"verb":"group promote","args":{"name":"g0"}}
 *     ← {"ok":true,"result":{…}}
 *     ← {"ok":false,"error":{"code":"refused","message":"group g0: …"}}
 *   RUN/sandemd.pid: the daemon's pid; locked (flock) as long as it lives, whatever becomes of the file system.
 *
 * Requests of one client are answered in order, one at a time; clients don't wait for each other.
 * Everything here is on the control thread, the one that runs the qb_loop; nothing blocks.
 */
#ifndef SANDEM_CONTROL_H
#define SANDEM_CONTROL_H

#include <stddef.h>
#include <jansson.h>
#include <qb/qbloop.h>

struct control;
struct control_reply; /* one request that awaits its answer */

/* bytes of a request (a configuration is in one); a longer one ends the connection */
#define CONTROL_LINE_MAX (512u << 10)
#define CONTROL_CLIENTS_MAX 64

enum control_code {
	CONTROL_REFUSED, /* not in this state: nothing was changed */
	CONTROL_FAILED,	 /* tried and failed */
	CONTROL_USAGE,	 /* unknown verb, missing or bad argument */
	CONTROL_TIMEOUT,
};

/*
 * A verb: looks at args (an object, possibly empty; borrowed: good until the function returns) and ends the reply exactly
 * once with control_ok() or control_error(), before it returns or later. The reply stays valid until then, also when the
 * client has gone (the answer is then dropped) and when the server is being stopped.
 */
struct control_verb {
	const char *name; /* "group promote" */
	void (*fn)(void *arg, const json_t *args, struct control_reply *reply);
};

/*
 * Creates RUN (0755) if missing, takes the pid file, replaces a dead daemon's socket, listens.
 * verbs: table ended by a NULL name; it and arg outlive the server. 0; -EBUSY (another sandemd has this run directory: its pid
 * is in the message) or another negative errno, and a message: object, cause, next step.
 */
int control_start(struct control **out, qb_loop_t *loop, const char *run_dir, const struct control_verb *verbs,
		  void *arg, char *err, size_t errlen);

/* Takes no more requests and closes idle clients; those that await an answer get it. Removes socket and pid file. c
 * must not be used afterwards; its memory goes with the last reply. NULL is allowed. */
void control_stop(struct control *c);

/* Ends the reply; it must not be used afterwards. result: any JSON value, reference stolen; NULL = {} (and what
 * json_pack gives when memory is out, which is answered as an error). */
void control_ok(struct control_reply *r, json_t *result);
void control_error(struct control_reply *r, enum control_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The argument `name`, a non-empty string; NULL, with the reply ended by a usage error, when it isn't there: return at
 * once. */
const char *control_arg_string(const json_t *args, const char *name, struct control_reply *r);

#endif
