/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/store_etcd.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <urcu/compiler.h>

#include "cluster/etcd_json.h"
#include "cluster/store_batch.h"

#define PAGE 64 /* keys per request */
#define PREFIX_MAX 200

struct store_etcd {
	struct store store;
	struct etcd *etcd;
	char prefix[PREFIX_MAX], end[PREFIX_MAX], guard[PREFIX_MAX + 8];
	int64_t guard_revision; /* as read last; 0: it was not there */
	int64_t revision;	/* of etcd, when that was */
	char error[512];
};

struct all { /* what was read */
	struct etcd_kv *kv;
	size_t n;
};

__attribute__((format(printf, 3, 4))) static int failed(struct store_etcd *s, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	return rc;
}

static int not_understood(struct store_etcd *s, int rc)
{
	return failed(s, rc, "etcd %s: its answer is not understood; is that an etcd of version 3.4 or later?",
		      etcd_endpoint(s->etcd));
}

/* ---- reading -------------------------------------------------------------------------------------------- */

static void all_fini(struct all *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->kv[i].key);
		free(a->kv[i].value);
	}
	free(a->kv);
	*a = (struct all){ 0 };
}

/* The content of page goes over. */
static int all_add(struct all *a, struct etcd_range *page)
{
	struct etcd_kv *kv = reallocarray(a->kv, a->n + page->n + 1, sizeof(*kv));

	if (!kv)
		return -ENOMEM;
	a->kv = kv;
	if (page->n)
		memcpy(kv + a->n, page->kv, page->n * sizeof(*kv));
	a->n += page->n;
	page->n = 0;
	return 0;
}

static int read_page(struct store_etcd *s, const char *from, int64_t revision, struct etcd_range *page)
{
	char *request = etcd_range_request(from, s->end, revision, PAGE), *answer;
	size_t len;
	int rc = etcd_call(s->etcd, "/v3/kv/range", request, &answer, &len, s->error, sizeof(s->error));

	free(request);
	if (rc)
		return rc;
	rc = etcd_range_parse(page, answer, len);
	free(answer);
	return rc ? not_understood(s, rc) : 0;
}

/* All pages at the revision of the first. */
static int read_all(struct store_etcd *s, struct all *a)
{
	char from[STORE_KEY_MAX + PREFIX_MAX + 2];
	int64_t revision = 0;
	bool more = true;
	int rc = 0;

	snprintf(from, sizeof(from), "%s", s->prefix);
	while (more && !rc) {
		struct etcd_range page;

		rc = read_page(s, from, revision, &page);
		if (rc)
			break;
		revision = revision ? revision : page.revision;
		more = page.more && page.n;
		if (more) /* keys are printable: the least one behind it */
			snprintf(from, sizeof(from), "%s\x01", page.kv[page.n - 1].key);
		rc = all_add(a, &page);
		etcd_range_fini(&page);
	}
	s->revision = revision;
	return rc;
}

static int each(struct store *store, store_each_fn fn, void *arg)
{
	struct store_etcd *s = caa_container_of(store, struct store_etcd, store);
	size_t skip = strlen(s->prefix);
	struct all a = { 0 };
	int rc = read_all(s, &a);

	if (!rc)
		s->guard_revision = 0;
	for (size_t i = 0; i < a.n && !rc; i++) {
		if (!strcmp(a.kv[i].key, s->guard))
			s->guard_revision = a.kv[i].mod_revision;
		else if (!strncmp(a.kv[i].key, s->prefix, skip))
			rc = fn(arg, a.kv[i].key + skip, a.kv[i].value, a.kv[i].len);
	}
	all_fini(&a);
	return rc;
}

/* ---- writing -------------------------------------------------------------------------------------------- */

struct puts { /* a batch, as etcd takes it */
	struct etcd_put put[STORE_ETCD_BATCH_MAX + 1];
	char key[STORE_ETCD_BATCH_MAX + 1][PREFIX_MAX + STORE_KEY_MAX + 1];
	size_t n, bytes;
};

static int puts_fill(struct store_etcd *s, struct puts *p, const struct store_batch *b)
{
	struct change_head h;

	for (size_t at = 0; at < b->body.len;) {
		const char *key = (const char *)b->body.data + at + sizeof(h);

		memcpy(&h, b->body.data + at, sizeof(h));
		at += sizeof(h) + le16toh(h.klen) + le32toh(h.vlen);
		p->bytes += le32toh(h.vlen);
		if (h.kind == CHANGE_CLEAR || p->n == STORE_ETCD_BATCH_MAX || p->bytes > STORE_ETCD_VALUE_MAX)
			return failed(s, -EINVAL, "etcd takes no such batch: it forgets everything, or is too large");
		snprintf(p->key[p->n], sizeof(p->key[0]), "%s%.*s", s->prefix, le16toh(h.klen), key);
		p->put[p->n] = (struct etcd_put){ .key = p->key[p->n], .value = key + le16toh(h.klen),
						  .len = le32toh(h.vlen), .forget = h.kind == CHANGE_FORGET };
		p->n++;
	}
	return 0;
}

static int txn(struct store_etcd *s, const struct puts *p, const char *mark)
{
	char *request = etcd_txn_request(s->guard, s->guard_revision, p->put, p->n), *answer;
	struct etcd_range guard;
	bool succeeded, own;
	size_t len;
	int rc = etcd_call(s->etcd, "/v3/kv/txn", request, &answer, &len, s->error, sizeof(s->error));

	free(request);
	if (rc)
		return rc;
	rc = etcd_txn_parse(&succeeded, &guard, answer, len);
	if (rc) {
		free(answer);
		return not_understood(s, rc);
	}
	if (succeeded) {
		(void)etcd_range_parse(&guard, answer, len); /* its header: revisions of all that was put */
		s->guard_revision = s->revision = guard.revision;
	} else {
		/* An endpoint may have carried it out and not said so, before another one was asked. */
		own = guard.n == 1 && !strcmp((char *)guard.kv[0].value, mark);
		rc = own ? 0 : failed(s, -ESTALE, "another node has written to etcd meanwhile");
		s->guard_revision = own ? guard.kv[0].mod_revision : s->guard_revision;
	}
	etcd_range_fini(&guard);
	free(answer);
	return rc;
}

static int commit(struct store *store, const struct store_batch *b)
{
	struct store_etcd *s = caa_container_of(store, struct store_etcd, store);
	struct puts *p = calloc(1, sizeof(*p));
	uint64_t random[2];
	char mark[40];
	int rc = b->err ? b->err : b->body.err;

	if (!p || getrandom(random, sizeof(random), 0) != sizeof(random))
		rc = -ENOMEM;
	if (!rc)
		rc = puts_fill(s, p, b);
	if (!rc) {
		snprintf(mark, sizeof(mark), "%016llx%016llx", (unsigned long long)random[0],
			 (unsigned long long)random[1]);
		p->put[p->n++] = (struct etcd_put){ .key = s->guard, .value = mark, .len = strlen(mark) };
		rc = txn(s, p, mark);
	}
	free(p);
	return rc;
}

/* ---- waiting ---------------------------------------------------------------------------------------------- */

#define WATCH_NEWS 1

static int watch_line(void *arg, const char *text, size_t len)
{
	struct etcd_watch_answer a;
	int rc = etcd_watch_parse(&a, text, len);
	size_t n = a.events.n;

	(void)arg;
	if (rc)
		return rc;
	etcd_range_fini(&a.events);
	switch (a.kind) {
	case ETCD_WATCH_CREATED:
		return 0;
	case ETCD_WATCH_EVENTS:
		return n ? WATCH_NEWS : 0;
	case ETCD_WATCH_COMPACTED:
		return -ESTALE;
	case ETCD_WATCH_CANCELED:
		break;
	}
	return -EREMOTEIO;
}

int store_etcd_wait(struct store *store, unsigned seconds)
{
	struct store_etcd *s = caa_container_of(store, struct store_etcd, store);
	char *request = etcd_watch_request(s->prefix, s->end, s->revision + 1);
	int rc = etcd_stream(s->etcd, "/v3/watch", request, seconds, watch_line, s, s->error, sizeof(s->error));

	free(request);
	if (rc == WATCH_NEWS)
		return 0;
	return rc ? rc : -ETIMEDOUT; /* it ended the stream: looked at anew */
}

/* ---- life --------------------------------------------------------------------------------------------------- */

static void close_store(struct store *store)
{
	struct store_etcd *s = caa_container_of(store, struct store_etcd, store);

	etcd_free(s->etcd);
	free(s);
}

static const struct store_ops ops = { commit, each, close_store };

int store_etcd_open(const struct etcd_params *p, const char *prefix, struct store **out)
{
	struct store_etcd *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->store.ops = &ops;
	snprintf(s->prefix, sizeof(s->prefix), "%s", prefix);
	snprintf(s->guard, sizeof(s->guard), "%sguard", s->prefix);
	etcd_prefix_end(s->end, s->prefix);
	s->etcd = etcd_new(p);
	if (!s->etcd) {
		free(s);
		return -ENOMEM;
	}
	*out = &s->store;
	return 0;
}

const char *store_etcd_error(const struct store *s)
{
	return caa_container_of(s, const struct store_etcd, store)->error;
}

const char *store_etcd_endpoint(const struct store *s)
{
	return etcd_endpoint(caa_container_of(s, const struct store_etcd, store)->etcd);
}
