/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/etcd_json.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- base64, numbers ------------------------------------------------------------------------------------ */

static json_t *base64(const void *p, size_t len)
{
	char *text = malloc(4 * ((len + 2) / 3) + 1);
	json_t *out = NULL;

	if (text) {
		EVP_EncodeBlock((unsigned char *)text, p, len);
		out = json_string(text);
	}
	free(text);
	return out;
}

/* A NUL behind it. NULL with *rc. */
static uint8_t *unbase64(const json_t *text, size_t *len, int *rc)
{
	size_t n = json_string_length(text);
	const char *s = json_string_value(text);
	uint8_t *out = malloc(n / 4 * 3 + 1);
	int got;

	*rc = out ? -EBADMSG : -ENOMEM;
	got = out && s && n % 4 == 0 ? EVP_DecodeBlock(out, (const unsigned char *)s, n) : -1;
	if (got < 0) {
		free(out);
		return NULL;
	}
	for (size_t i = 0; i < 2 && got && n && s[n - 1 - i] == '='; i++) /* padding decodes to zeroes */
		got--;
	*len = got;
	out[got] = '\0';
	*rc = 0;
	return out;
}

static json_t *number(int64_t v)
{
	return json_sprintf("%lld", (long long)v);
}

/* Proto3: what is 0 is left out. */
static int take_number(const json_t *object, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(object, key);
	const char *text = json_string_value(v);
	char *end;

	*out = 0;
	if (!v)
		return 0;
	if (!text || !*text)
		return -EBADMSG;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return *end || errno || *out < 0 ? -EBADMSG : 0;
}

static json_t *key_of(const char *key)
{
	return base64(key, strlen(key));
}

static char *text_of(json_t *request)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;

	json_decref(request);
	return text;
}

/* ---- requests --------------------------------------------------------------------------------------------- */

static json_t *range_json(const char *key, const char *end)
{
	json_t *r = json_pack("{s:o}", "key", key_of(key));

	if (r && end)
		json_object_set_new(r, "range_end", key_of(end));
	return r;
}

char *etcd_range_request(const char *key, const char *end, int64_t revision, unsigned limit)
{
	json_t *r = range_json(key, end);

	if (r && limit)
		json_object_set_new(r, "limit", number(limit));
	if (r && revision)
		json_object_set_new(r, "revision", number(revision));
	return text_of(r);
}

static json_t *put_json(const struct etcd_put *p)
{
	if (p->forget)
		return json_pack("{s:{s:o}}", "request_delete_range", "key", key_of(p->key));
	return json_pack("{s:{s:o, s:o}}", "request_put", "key", key_of(p->key), "value", base64(p->value, p->len));
}

char *etcd_txn_request(const char *guard, int64_t mod_revision, const struct etcd_put *put, size_t n)
{
	json_t *puts = json_array(), *txn;
	bool ok = puts != NULL;

	for (size_t i = 0; ok && i < n; i++)
		ok = json_array_append_new(puts, put_json(&put[i])) == 0;
	txn = json_pack("{s:[{s:o, s:s, s:s, s:o}], s:o, s:[{s:{s:o}}]}", "compare", "key", key_of(guard), "target", "MOD",
			"result", "EQUAL", "mod_revision", number(mod_revision), "success", puts, "failure",
			"request_range", "key", key_of(guard));
	if (ok)
		return text_of(txn);
	json_decref(txn);
	return NULL;
}

char *etcd_watch_request(const char *key, const char *end, int64_t revision)
{
	json_t *r = range_json(key, end);

	if (r)
		json_object_set_new(r, "start_revision", number(revision));
	return text_of(json_pack("{s:o}", "create_request", r));
}

char *etcd_auth_request(const char *user, const char *password)
{
	return text_of(json_pack("{s:s, s:s}", "name", user, "password", password));
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

void etcd_range_fini(struct etcd_range *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->kv[i].key);
		free(r->kv[i].value);
	}
	free(r->kv);
	*r = (struct etcd_range){ .n = 0 };
}

static int take_kv(struct etcd_kv *out, const json_t *kv)
{
	const json_t *value = json_object_get(kv, "value");
	size_t len = 0;
	int rc;

	*out = (struct etcd_kv){ .key = (char *)unbase64(json_object_get(kv, "key"), &len, &rc) };
	if (rc)
		return rc;
	if (strlen(out->key) != len)
		return -EBADMSG;
	rc = take_number(kv, "mod_revision", &out->mod_revision);
	if (rc)
		return rc;
	out->value = value ? unbase64(value, &out->len, &rc) : calloc(1, 1);
	return rc ? rc : out->value ? 0 : -ENOMEM;
}

/* kvs: an array of them, or of events that have them; NULL: none. */
static int take_kvs(struct etcd_range *out, const json_t *kvs, bool events)
{
	size_t n = json_array_size(kvs);

	if (kvs && !json_is_array(kvs))
		return -EBADMSG;
	out->kv = calloc(n + 1, sizeof(*out->kv));
	if (!out->kv)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *row = json_array_get(kvs, i);
		const char *type = json_string_value(json_object_get(row, "type"));
		int rc;

		out->n++;
		rc = take_kv(&out->kv[i], events ? json_object_get(row, "kv") : row);
		if (rc)
			return rc;
		out->kv[i].deleted = events && type && !strcmp(type, "DELETE");
	}
	return 0;
}

static int take_range(struct etcd_range *out, const json_t *answer, const char *list)
{
	const json_t *header = json_object_get(answer, "header");
	int rc = json_is_object(header) ? take_number(header, "revision", &out->revision) : -EBADMSG;

	out->more = json_is_true(json_object_get(answer, "more"));
	return rc ? rc : take_kvs(out, json_object_get(answer, list), !strcmp(list, "events"));
}

static int range_end(struct etcd_range *out, int rc)
{
	if (rc)
		etcd_range_fini(out);
	return rc;
}

int etcd_range_parse(struct etcd_range *out, const char *text, size_t len)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	int rc;

	*out = (struct etcd_range){ .n = 0 };
	rc = range_end(out, take_range(out, answer, "kvs"));
	json_decref(answer);
	return rc;
}

int etcd_txn_parse(bool *succeeded, struct etcd_range *guard, const char *text, size_t len)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	const json_t *first = json_array_get(json_object_get(answer, "responses"), 0);
	int rc = json_is_object(json_object_get(answer, "header")) ? 0 : -EBADMSG;

	*guard = (struct etcd_range){ .n = 0 };
	*succeeded = json_is_true(json_object_get(answer, "succeeded"));
	if (!rc && !*succeeded)
		rc = range_end(guard, take_range(guard, json_object_get(first, "response_range"), "kvs"));
	json_decref(answer);
	return rc;
}

int etcd_watch_parse(struct etcd_watch_answer *out, const char *text, size_t len)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	const json_t *result = json_object_get(answer, "result");
	int rc = json_is_object(result) ? 0 : -EBADMSG;

	*out = (struct etcd_watch_answer){ .kind = ETCD_WATCH_EVENTS };
	if (json_object_get(result, "compact_revision"))
		out->kind = ETCD_WATCH_COMPACTED;
	else if (json_is_true(json_object_get(result, "canceled")))
		out->kind = ETCD_WATCH_CANCELED;
	else if (json_is_true(json_object_get(result, "created")))
		out->kind = ETCD_WATCH_CREATED;
	else if (!rc)
		rc = range_end(&out->events, take_range(&out->events, result, "events"));
	json_decref(answer);
	return rc;
}

int etcd_auth_parse(char **token, const char *text, size_t len)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	const char *s = json_string_value(json_object_get(answer, "token"));
	int rc = -EBADMSG;

	*token = NULL;
	if (s && *s && strlen(s) < 4096 && !strpbrk(s, "\r\n")) { /* it goes into a header */
		*token = strdup(s);
		rc = *token ? 0 : -ENOMEM;
	}
	json_decref(answer);
	return rc;
}

int etcd_error_parse(int *code, char *message, size_t size, const char *text, size_t len)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	const json_t *c = json_object_get(answer, "code");
	const char *s = json_string_value(json_object_get(answer, "error"));
	int rc = json_is_integer(c) && s ? 0 : -EBADMSG;

	*code = rc ? 0 : json_integer_value(c);
	snprintf(message, size, "%s", s ? s : "");
	json_decref(answer);
	return rc;
}

void etcd_prefix_end(char *end, const char *prefix)
{
	size_t len = strlen(prefix);

	memcpy(end, prefix, len + 1);
	end[len - 1]++; /* prefixes here end with '/' */
}
