/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON of etcd's v3 gateway: requests and answers. Keys and values travel in base64, 64-bit numbers as text. Pure.
 *
 * Requests are texts to be freed; NULL: no memory. Answers: 0, -ENOMEM, or -EBADMSG for anything that is not what was asked
 * for; then there is nothing to free.
 */
#ifndef SANDEM_CLUSTER_ETCD_JSON_H
#define SANDEM_CLUSTER_ETCD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct etcd_kv {
	char *key; /* NUL-terminated; keys with a NUL in them are refused */
	uint8_t *value; /* a NUL behind it */
	size_t len;
	int64_t mod_revision;
	bool deleted; /* of a watch */
};

struct etcd_range {
	int64_t revision; /* of the whole store */
	bool more;
	size_t n;
	struct etcd_kv *kv;
};

struct etcd_put {
	const char *key;
	const void *value;
	size_t len;
	bool forget;
};

enum etcd_watch_kind { ETCD_WATCH_CREATED, ETCD_WATCH_EVENTS, ETCD_WATCH_COMPACTED, ETCD_WATCH_CANCELED };

struct etcd_watch_answer {
	enum etcd_watch_kind kind;
	struct etcd_range events;
};

/* Keys from key up to, without, end; end NULL: that key only. revision 0: now. */
char *etcd_range_request(const char *key, const char *end, int64_t revision, unsigned limit);
/* All of put[], if guard was changed last at mod_revision (0: it does not exist); else guard as it is. */
char *etcd_txn_request(const char *guard, int64_t mod_revision, const struct etcd_put *put, size_t n);
/* Changes of keys from key up to end, from this revision on. */
char *etcd_watch_request(const char *key, const char *end, int64_t revision);
char *etcd_auth_request(const char *user, const char *password);

int etcd_range_parse(struct etcd_range *out, const char *text, size_t len);
/* guard: where it has not succeeded. */
int etcd_txn_parse(bool *succeeded, struct etcd_range *guard, const char *text, size_t len);
int etcd_watch_parse(struct etcd_watch_answer *out, const char *text, size_t len);
int etcd_auth_parse(char **token, const char *text, size_t len);
/* An answer that is an error: gRPC's code, and its text. -EBADMSG: it is none. */
int etcd_error_parse(int *code, char *message, size_t size, const char *text, size_t len);
#define ETCD_CODE_UNAUTHENTICATED 16 /* gRPC */
#define ETCD_CODE_UNAVAILABLE 14

void etcd_range_fini(struct etcd_range *r);

/* The end of the range of all keys that begin with prefix, which is not empty: in end, of its size. */
void etcd_prefix_end(char *end, const char *prefix);

#endif
