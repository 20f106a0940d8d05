/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/etcd_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/etcd_json.h"

struct etcd {
	CURL *curl;
	char *endpoint[ETCD_ENDPOINTS_MAX];
	size_t nendpoints, current;
	char *ca, *cert, *key, *user, *password;
	char *token; /* NULL: none yet */
	unsigned timeout_ms;
	const bool *stop;
};

struct exchange { /* one POST */
	struct etcd *e;
	char *data;
	size_t len, cap;
	int (*line)(void *arg, const char *text, size_t len); /* NULL: the answer is collected */
	void *arg;
	int rc; /* why it was ended from here */
};

/* ---- life --------------------------------------------------------------------------------------------------- */

static char *copy(const char *text, bool *ok)
{
	char *out = text ? strdup(text) : NULL;

	*ok &= !text || out;
	return out;
}

struct etcd *etcd_new(const struct etcd_params *p)
{
	struct etcd *e = calloc(1, sizeof(*e));
	bool ok = true;

	if (!e)
		return NULL;
	e->timeout_ms = p->timeout_ms;
	e->stop = p->stop;
	for (size_t i = 0; i < p->nendpoints; i++)
		e->endpoint[e->nendpoints++] = copy(p->endpoint[i], &ok);
	e->ca = copy(p->ca, &ok);
	e->cert = copy(p->cert, &ok);
	e->key = copy(p->key, &ok);
	e->user = copy(p->user, &ok);
	e->password = copy(p->password, &ok);
	e->curl = curl_easy_init();
	if (ok && e->curl && e->nendpoints)
		return e;
	etcd_free(e);
	return NULL;
}

static void forget_secret(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void etcd_free(struct etcd *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->nendpoints; i++)
		free(e->endpoint[i]);
	curl_easy_cleanup(e->curl);
	free(e->ca);
	free(e->cert);
	free(e->key);
	free(e->user);
	forget_secret(e->password);
	forget_secret(e->token);
	free(e);
}

const char *etcd_endpoint(const struct etcd *e)
{
	return e->endpoint[e->current];
}

/* ---- what curl calls -------------------------------------------------------------------------------------------- */

static bool append(struct exchange *x, const char *p, size_t n)
{
	if (x->len + n > ETCD_ANSWER_MAX) {
		x->rc = -EMSGSIZE;
		return false;
	}
	if (x->len + n + 1 > x->cap) {
		size_t cap = 2 * (x->len + n) + 1024;
		char *data = realloc(x->data, cap);

		if (!data) {
			x->rc = -ENOMEM;
			return false;
		}
		x->data = data;
		x->cap = cap;
	}
	memcpy(x->data + x->len, p, n);
	x->len += n;
	x->data[x->len] = '\0';
	return true;
}

static void take_lines(struct exchange *x)
{
	char *end;

	while (!x->rc && (end = memchr(x->data, '\n', x->len))) {
		size_t n = end - x->data;

		x->rc = n ? x->line(x->arg, x->data, n) : 0;
		x->len -= n + 1;
		memmove(x->data, end + 1, x->len);
	}
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	long status = 0;

	if (!append(x, p, size * n))
		return 0;
	curl_easy_getinfo(x->e->curl, CURLINFO_RESPONSE_CODE, &status);
	if (x->line && status == 200) /* else it is an error, as a whole */
		take_lines(x);
	return x->rc ? 0 : size * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct exchange *x = arg;

	(void)a, (void)b, (void)c, (void)d;
	if (!x->e->stop || !__atomic_load_n(x->e->stop, __ATOMIC_ACQUIRE))
		return 0;
	x->rc = -ECANCELED;
	return 1;
}

/* ---- one POST to one endpoint ------------------------------------------------------------------------------------- */

static void set_up(struct exchange *x, const char *url, const char *request, struct curl_slist *headers, long total_ms)
{
	struct etcd *e = x->e;
	CURL *c = e->curl;

	curl_easy_reset(c); /* connections are kept */
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, request);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)e->timeout_ms);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, total_ms);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
	if (e->ca)
		curl_easy_setopt(c, CURLOPT_CAINFO, e->ca);
	if (e->cert)
		curl_easy_setopt(c, CURLOPT_SSLCERT, e->cert);
	if (e->key)
		curl_easy_setopt(c, CURLOPT_SSLKEY, e->key);
}

static struct curl_slist *headers_for(const struct etcd *e, bool *ok)
{
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json"), *more;
	char line[4200];

	*ok = list != NULL;
	if (!e->token || !list)
		return list;
	snprintf(line, sizeof(line), "Authorization: %s", e->token);
	more = curl_slist_append(list, line);
	explicit_bzero(line, sizeof(line));
	*ok = more != NULL;
	return list;
}

static int transport_error(const struct exchange *x, CURLcode code, bool stream, char *err, size_t errlen)
{
	if (x->rc == -EMSGSIZE)
		snprintf(err, errlen, "etcd %s: the answer is longer than %u bytes", etcd_endpoint(x->e), ETCD_ANSWER_MAX);
	if (x->rc)
		return x->rc;
	if (stream && code == CURLE_OPERATION_TIMEDOUT)
		return -ETIMEDOUT;
	snprintf(err, errlen, "etcd %s: %s", etcd_endpoint(x->e), curl_easy_strerror(code));
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EHOSTUNREACH;
}

/* What a proxy or etcd's HTTP server itself says is no JSON. */
static void plain_message(const struct exchange *x, long status, char *message, size_t size)
{
	snprintf(message, size, "HTTP status %ld: %.150s", status, x->data ? x->data : "");
	for (char *p = message; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = ' ';
}

static int http_error(struct exchange *x, long status, char *err, size_t errlen)
{
	char message[256];
	int code = 0;

	if (status == 200)
		return 0;
	if (!x->data || etcd_error_parse(&code, message, sizeof(message), x->data, x->len))
		plain_message(x, status, message, sizeof(message));
	snprintf(err, errlen, "etcd %s: %s", etcd_endpoint(x->e), message);
	if (status == 401 || code == ETCD_CODE_UNAUTHENTICATED)
		return -EKEYEXPIRED;
	if (status == 403)
		return -EACCES;
	return code == ETCD_CODE_UNAVAILABLE || status == 503 || status == 404 ? -EHOSTUNREACH : -EREMOTEIO;
}

/* -EKEYEXPIRED: a (new) token is needed. */
static int post(struct exchange *x, const char *path, const char *request, long total_ms, char *err, size_t errlen)
{
	char url[512];
	bool ok;
	struct curl_slist *headers = headers_for(x->e, &ok);
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;
	int rc;

	x->len = 0;
	x->rc = 0;
	snprintf(url, sizeof(url), "%s%s", etcd_endpoint(x->e), path);
	if (ok) {
		set_up(x, url, request, headers, total_ms);
		code = curl_easy_perform(x->e->curl);
		curl_easy_getinfo(x->e->curl, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_slist_free_all(headers);
	rc = code == CURLE_OK ? 0 : transport_error(x, code, x->line != NULL, err, errlen);
	return rc ? rc : http_error(x, status, err, errlen);
}

static int get_token(struct etcd *e, char *err, size_t errlen)
{
	struct exchange x = { .e = e };
	char *request = etcd_auth_request(e->user, e->password);
	int rc;

	forget_secret(e->token);
	e->token = NULL;
	rc = request ? post(&x, "/v3/auth/authenticate", request, e->timeout_ms, err, errlen) : -ENOMEM;
	if (!rc && (rc = etcd_auth_parse(&e->token, x.data, x.len)))
		snprintf(err, errlen, "etcd %s: its answer to the login has no token", etcd_endpoint(e));
	if (rc == -EKEYEXPIRED || rc == -EREMOTEIO)
		rc = -EACCES;
	forget_secret(request);
	forget_secret(x.data);
	return rc;
}

static int with_token(struct exchange *x, const char *path, const char *request, long total_ms, char *err,
		      size_t errlen)
{
	struct etcd *e = x->e;
	int rc = e->user && !e->token ? get_token(e, err, errlen) : 0;

	if (!rc)
		rc = post(x, path, request, total_ms, err, errlen);
	if (rc != -EKEYEXPIRED || !e->user)
		return rc == -EKEYEXPIRED ? -EACCES : rc;
	rc = get_token(e, err, errlen);
	if (!rc)
		rc = post(x, path, request, total_ms, err, errlen);
	return rc == -EKEYEXPIRED ? -EACCES : rc;
}

/* ---- entry points -------------------------------------------------------------------------------------------------- */

static int each_endpoint(struct exchange *x, const char *path, const char *request, long total_ms, char *err,
			 size_t errlen)
{
	struct etcd *e = x->e;
	int rc = -EHOSTUNREACH;

	for (size_t i = 0; i < e->nendpoints && rc == -EHOSTUNREACH; i++) {
		rc = with_token(x, path, request, total_ms, err, errlen);
		if (rc == -EHOSTUNREACH)
			e->current = (e->current + 1) % e->nendpoints;
	}
	return rc;
}

int etcd_call(struct etcd *e, const char *path, const char *request, char **answer, size_t *len, char *err,
	      size_t errlen)
{
	struct exchange x = { .e = e };
	int rc;

	*answer = NULL;
	if (!request) {
		snprintf(err, errlen, "out of memory for a request to etcd");
		return -ENOMEM;
	}
	rc = each_endpoint(&x, path, request, e->timeout_ms, err, errlen);
	if (!rc && !x.data)
		rc = -EBADMSG;
	if (rc) {
		free(x.data);
		return rc;
	}
	*answer = x.data;
	*len = x.len;
	return 0;
}

int etcd_stream(struct etcd *e, const char *path, const char *request, unsigned seconds,
		int (*line)(void *arg, const char *text, size_t len), void *arg, char *err, size_t errlen)
{
	struct exchange x = { .e = e, .line = line, .arg = arg };
	int rc = request ? with_token(&x, path, request, seconds * 1000L, err, errlen) : -ENOMEM;

	free(x.data);
	return rc;
}
