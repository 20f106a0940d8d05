/* SPDX-License-Identifier: BSD-2-Clause */
/* The store in etcd against a server with canned answers: pages, compare and swap, a lost answer, an answer without end, an
 * endpoint that is dead. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "cluster/store_etcd.h"

#define ANSWERS_MAX 4
#define ENDLESS "endless"
#define HANG_UP "hang up"
#define HEADER "\"header\":{\"revision\":\"9\"}"

struct server { /* answers one connection after the other, each request with the next text */
	int fd;
	char url[64];
	pthread_t thread;
	unsigned status[ANSWERS_MAX];
	const char *answer[ANSWERS_MAX];
	char request[ANSWERS_MAX][4096];
	size_t n;
};

static void write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		p += n;
		len -= n;
	}
}

static void answer(int fd, unsigned status, const char *text)
{
	static char blanks[1 << 16];
	char head[200];

	if (!strcmp(text, HANG_UP))
		return;
	if (!strcmp(text, ENDLESS)) {
		memset(blanks, ' ', sizeof(blanks));
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
		write_all(fd, head, strlen(head));
		for (size_t sent = 0; sent < 2 * ETCD_ANSWER_MAX; sent += sizeof(blanks))
			write_all(fd, blanks, sizeof(blanks));
		return;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, strlen(text));
	write_all(fd, head, strlen(head));
	write_all(fd, text, strlen(text));
}

static void read_request(int fd, char *to, size_t size)
{
	size_t len = 0, want = size - 1;
	ssize_t n;

	while (len < want && (n = recv(fd, to + len, size - 1 - len, 0)) > 0) {
		char *body, *length;

		len += n;
		to[len] = '\0';
		body = strstr(to, "\r\n\r\n");
		length = strcasestr(to, "content-length:");
		if (body && length)
			want = body + 4 - to + strtoul(length + 15, NULL, 10);
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		int c = accept(s->fd, NULL, NULL);

		read_request(c, s->request[i], sizeof(s->request[i]));
		answer(c, s->status[i] ? s->status[i] : 200, s->answer[i]);
		close(c);
	}
	return NULL;
}

static void server_bind(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	getsockname(s->fd, (struct sockaddr *)&a, &len);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
}

static void server_start(struct server *s)
{
	while (s->n < ANSWERS_MAX && s->answer[s->n])
		s->n++;
	server_bind(s);
	pthread_create(&s->thread, NULL, serve, s);
}

static void server_end(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static struct store *open_at(const char *first, const char *second)
{
	const struct etcd_params p = { .endpoint = { first, second }, .nendpoints = second ? 2 : 1, .timeout_ms = 5000 };
	struct store *s = NULL;

	assert_int_equal(store_etcd_open(&p, "/p/", &s), 0);
	return s;
}

static int note(void *arg, const char *key, const void *value, size_t len)
{
	char *seen = arg;

	sprintf(seen + strlen(seen), "%s=%.*s ", key, (int)len, (const char *)value);
	return 0;
}

static int commit_one(struct store *s, const char *key, const char *value)
{
	struct store_batch *b = store_batch_new();
	int rc;

	store_batch_put(b, key, value, strlen(value));
	rc = store_commit(s, b);
	store_batch_free(b);
	return rc;
}

/* "/p/a" = x, "/p/b" = y, "/p/guard" = z changed at 7 */
#define KV_A "{\"key\":\"L3AvYQ==\",\"mod_revision\":\"5\",\"value\":\"eA==\"}"
#define KV_B "{\"key\":\"L3AvYg==\",\"mod_revision\":\"6\",\"value\":\"eQ==\"}"
#define KV_GUARD "{\"key\":\"L3AvZ3VhcmQ=\",\"mod_revision\":\"7\",\"value\":\"eg==\"}"
#define PAGE_1 "{" HEADER ",\"kvs\":[" KV_A "," KV_B "],\"more\":true}"
#define PAGE_2 "{\"header\":{\"revision\":\"11\"},\"kvs\":[" KV_GUARD "]}"

static void test_pages_and_swap(void **state)
{
	struct server srv = { .answer = { PAGE_1, PAGE_2, "{" HEADER ",\"succeeded\":true}", "{" HEADER ",\"responses\":[{"
				  "\"response_range\":{" HEADER ",\"kvs\":[" KV_GUARD "]}}]}" } };
	char seen[200] = "";
	struct store *s;

	(void)state;
	server_start(&srv);
	s = open_at(srv.url, NULL);
	assert_int_equal(store_each(s, note, seen), 0);
	assert_string_equal(seen, "a=x b=y ");
	assert_int_equal(commit_one(s, "c", "v"), 0);
	assert_int_equal(commit_one(s, "c", "w"), -ESTALE); /* somebody else's mark */
	assert_non_null(strstr(store_etcd_error(s), "another node"));
	store_close(s);
	server_end(&srv);
	assert_non_null(strstr(srv.request[1], "\"revision\":\"9\"")); /* all pages are of one moment */
	assert_non_null(strstr(srv.request[2], "\"mod_revision\":\"7\""));
	assert_non_null(strstr(srv.request[3], "\"mod_revision\":\"9\"")); /* its own commit has changed the guard */
}

static void test_next_endpoint(void **state)
{
	struct server dead = { .n = 0 }, srv = { .answer = { "{" HEADER "}" } };
	char seen[8] = "";
	struct store *s;

	(void)state;
	server_bind(&dead);
	close(dead.fd); /* nobody listens there any more */
	server_start(&srv);
	s = open_at(dead.url, srv.url);
	assert_int_equal(store_each(s, note, seen), 0);
	assert_string_equal(store_etcd_endpoint(s), srv.url);
	store_close(s);
	server_end(&srv);
}

static void expect_failure(unsigned status, const char *text, int rc, const char *word)
{
	struct server srv = { .answer = { text }, .status = { status } };
	char seen[8] = "";
	struct store *s;

	server_start(&srv);
	s = open_at(srv.url, NULL);
	assert_int_equal(store_each(s, note, seen), rc);
	assert_non_null(strstr(store_etcd_error(s), word));
	if (!strstr(store_etcd_error(s), srv.url))
		fail_msg("\"%s\" does not name %s", store_etcd_error(s), srv.url);
	store_close(s);
	server_end(&srv);
}

static void test_failures(void **state)
{
	(void)state;
	expect_failure(200, ENDLESS, -EMSGSIZE, "longer than");
	expect_failure(200, "<html>", -EBADMSG, "not understood");
	expect_failure(200, HANG_UP, -EHOSTUNREACH, "http://127.0.0.1");
	expect_failure(400, "{\"error\":\"etcdserver: no\",\"code\":3}", -EREMOTEIO, "etcdserver: no");
	expect_failure(401, "{\"error\":\"etcdserver: token\",\"code\":16}", -EACCES, "token");
	expect_failure(403, "{\"error\":\"etcdserver: permission denied\",\"code\":7}", -EACCES, "denied");
	expect_failure(503, "{\"error\":\"etcdserver: no leader\",\"code\":14}", -EHOSTUNREACH, "no leader");
	expect_failure(502, "bad\x01gateway", -EREMOTEIO, "HTTP status 502: bad gateway");
}

static void test_wait(void **state)
{
	static const char created[] = "{\"result\":{" HEADER ",\"created\":true}}\n";
	char news[400], compacted[400];
	struct server srv = { .answer = { news, compacted, created, "{\"result\":{\n" } };
	struct store *s;

	(void)state;
	snprintf(news, sizeof(news), "%s{\"result\":{" HEADER ",\"events\":[{\"kv\":" KV_A "}]}}\n", created);
	snprintf(compacted, sizeof(compacted), "%s{\"result\":{" HEADER ",\"canceled\":true,\"compact_revision\":\"3\"}}\n",
		 created);
	server_start(&srv);
	s = open_at(srv.url, NULL);
	assert_int_equal(store_etcd_wait(s, 5), 0);
	assert_int_equal(store_etcd_wait(s, 5), -ESTALE);
	assert_int_equal(store_etcd_wait(s, 5), -ETIMEDOUT); /* it ended the stream: to be looked at anew */
	assert_int_equal(store_etcd_wait(s, 5), -EBADMSG);
	store_close(s);
	server_end(&srv);
}

static void test_batches(void **state)
{
	struct store *s = open_at("http://127.0.0.1:1", NULL);
	struct store_batch *many = store_batch_new(), *clear = store_batch_new(), *large = store_batch_new();
	char *value = calloc(1, STORE_ETCD_VALUE_MAX + 1);
	char key[16];

	(void)state;
	for (int i = 0; i <= STORE_ETCD_BATCH_MAX; i++) {
		snprintf(key, sizeof(key), "%d", i);
		store_batch_put(many, key, "v", 1);
	}
	store_batch_clear(clear);
	store_batch_put(large, "k", value, STORE_ETCD_VALUE_MAX + 1);
	assert_int_equal(store_commit(s, many), -EINVAL);
	assert_int_equal(store_commit(s, clear), -EINVAL);
	assert_int_equal(store_commit(s, large), -EINVAL);
	store_batch_free(many);
	store_batch_free(clear);
	store_batch_free(large);
	free(value);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_and_swap), cmocka_unit_test(test_next_endpoint), cmocka_unit_test(test_failures),
		cmocka_unit_test(test_wait),	       cmocka_unit_test(test_batches),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
