/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Talks to an etcd cluster over its v3 JSON gateway: POSTs a request, takes the answer.
 *
 *   etcd_call() ─▶ endpoint that answered last ─▶ no answer, or "unavailable": the next one … each of them once
 *                       └─ 401: a new token by user and password, once
 *
 * Everything blocks: use it on a thread of its own, one call at a time. Answers are bounded (ETCD_ANSWER_MAX), calls end
 * after the timeout for each endpoint, or soon after *stop has been set.
 */
#ifndef SANDEM_CLUSTER_ETCD_HTTP_H
#define SANDEM_CLUSTER_ETCD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define ETCD_ANSWER_MAX (8u << 20)
#define ETCD_ENDPOINTS_MAX 8

struct etcd;

struct etcd_params { /* texts are copied */
	const char *endpoint[ETCD_ENDPOINTS_MAX]; /* "https://192.0.2.1:2379" */
	size_t nendpoints;
	const char *ca, *cert, *key; /* files, PEM; NULL: the system's authorities, no certificate */
	const char *user, *password; /* NULL: without */
	unsigned timeout_ms;	     /* of a call to one endpoint */
	const bool *stop;	     /* NULL: never; read atomically */
};

struct etcd *etcd_new(const struct etcd_params *p); /* NULL: no memory */
void etcd_free(struct etcd *e);

/* path: "/v3/kv/range". 0 with *answer (to be freed; a NUL behind it) and *len; or negative errno, and err says which endpoint
 * and why: -EHOSTUNREACH no endpoint answers, -EACCES it lets this user in not at all or not there, -EMSGSIZE the answer is too long, -EREMOTEIO etcd
 * answers with an error, -ECANCELED *stop. */
int etcd_call(struct etcd *e, const char *path, const char *request, char **answer, size_t *len, char *err,
	      size_t errlen);

/* As etcd_call(), for an answer that goes on: line() is called for each of its lines; other than 0 ends it and comes back.
 * -ETIMEDOUT: seconds have passed, which is how it is looked whether anybody is there still. */
int etcd_stream(struct etcd *e, const char *path, const char *request, unsigned seconds,
		int (*line)(void *arg, const char *text, size_t len), void *arg, char *err, size_t errlen);

/* The endpoint that answered last. */
const char *etcd_endpoint(const struct etcd *e);

#endif
