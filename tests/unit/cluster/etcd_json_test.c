/* SPDX-License-Identifier: BSD-2-Clause */
/* etcd's JSON: what version 3.4 answers, as recorded; and what no etcd should answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cluster/etcd_json.h"

#define HEADER "\"header\":{\"cluster_id\":\"324952591200643719\",\"member_id\":\"3319814642761637952\",\"revision\":\"3\",\"raft_term\":\"2\"}"
#define KV1 "{\"key\":\"L2EvMQ==\",\"create_revision\":\"2\",\"mod_revision\":\"2\",\"version\":\"1\",\"value\":\"djE=\"}"
#define KVG "{\"key\":\"L2EvZw==\",\"create_revision\":\"3\",\"mod_revision\":\"3\",\"version\":\"1\",\"value\":\"eA==\"}"

static void test_range(void **state)
{
	static const char text[] = "{" HEADER ",\"kvs\":[" KV1 "," KVG "],\"more\":true,\"count\":\"2\"}\n";
	static const char none[] = "{" HEADER "}";
	struct etcd_range r;

	(void)state;
	assert_int_equal(etcd_range_parse(&r, text, strlen(text)), 0);
	assert_int_equal(r.revision, 3);
	assert_true(r.more);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.kv[0].key, "/a/1");
	assert_int_equal(r.kv[0].len, 2);
	assert_memory_equal(r.kv[0].value, "v1", 3);
	assert_int_equal(r.kv[1].mod_revision, 3);
	etcd_range_fini(&r);
	assert_int_equal(etcd_range_parse(&r, none, strlen(none)), 0); /* proto3 leaves out what is empty */
	assert_int_equal(r.n, 0);
	assert_false(r.more);
	etcd_range_fini(&r);
}

static void test_txn(void **state)
{
	static const char yes[] = "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{\"revision\":\"3\"}}}]}";
	static const char no[] = "{" HEADER ",\"responses\":[{\"response_range\":{\"header\":{\"revision\":\"3\"},\"kvs\":[" KVG
				 "],\"count\":\"1\"}}]}";
	static const char gone[] = "{" HEADER ",\"responses\":[{\"response_range\":{\"header\":{\"revision\":\"3\"}}}]}";
	static const char odd[] = "{" HEADER ",\"responses\":[{\"response_put\":{}}]}";
	struct etcd_range guard;
	bool ok;

	(void)state;
	assert_int_equal(etcd_txn_parse(&ok, &guard, yes, strlen(yes)), 0);
	assert_true(ok);
	assert_int_equal(etcd_txn_parse(&ok, &guard, no, strlen(no)), 0);
	assert_false(ok);
	assert_int_equal(guard.n, 1);
	assert_string_equal((char *)guard.kv[0].value, "x");
	etcd_range_fini(&guard);
	assert_int_equal(etcd_txn_parse(&ok, &guard, gone, strlen(gone)), 0);
	assert_int_equal(guard.n, 0);
	etcd_range_fini(&guard);
	assert_int_equal(etcd_txn_parse(&ok, &guard, odd, strlen(odd)), -EBADMSG);
}

static void test_watch(void **state)
{
	static const struct {
		const char *text;
		int rc;
		enum etcd_watch_kind kind;
		size_t n;
	} lines[] = {
		{ "{\"result\":{" HEADER ",\"created\":true}}", 0, ETCD_WATCH_CREATED, 0 },
		{ "{\"result\":{" HEADER ",\"events\":[{\"kv\":" KV1 "},{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2EvMQ==\"}}]}}", 0,
		  ETCD_WATCH_EVENTS, 2 },
		{ "{\"result\":{" HEADER ",\"canceled\":true,\"compact_revision\":\"3\"}}", 0, ETCD_WATCH_COMPACTED, 0 },
		{ "{\"result\":{" HEADER ",\"canceled\":true}}", 0, ETCD_WATCH_CANCELED, 0 },
		{ "{\"result\":{" HEADER "}}", 0, ETCD_WATCH_EVENTS, 0 },
		{ "{\"error\":{\"grpc_code\":14}}", -EBADMSG, ETCD_WATCH_EVENTS, 0 },
		{ "{\"result\":{" HEADER ",\"events\":[{\"kv\":5}]}}", -EBADMSG, ETCD_WATCH_EVENTS, 0 },
		{ "{\"result\":{" HEADER ",\"events\":7}}", -EBADMSG, ETCD_WATCH_EVENTS, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct etcd_watch_answer a;

		assert_int_equal(etcd_watch_parse(&a, lines[i].text, strlen(lines[i].text)), lines[i].rc);
		assert_int_equal(a.kind, lines[i].kind);
		assert_int_equal(a.events.n, lines[i].n);
		if (lines[i].n)
			assert_true(a.events.kv[1].deleted && !a.events.kv[0].deleted);
		etcd_range_fini(&a.events);
	}
}

static void test_auth_and_errors(void **state)
{
	static const char good[] = "{" HEADER ",\"token\":\"abc.7\"}", evil[] = "{\"token\":\"a\\r\\nX: y\"}";
	static const char error[] = "{\"error\":\"etcdserver: invalid auth token\",\"message\":\"m\",\"code\":16}";
	char *token, message[20];
	int code;

	(void)state;
	assert_int_equal(etcd_auth_parse(&token, good, strlen(good)), 0);
	assert_string_equal(token, "abc.7");
	free(token);
	assert_int_equal(etcd_auth_parse(&token, evil, strlen(evil)), -EBADMSG); /* it would become a header */
	assert_int_equal(etcd_auth_parse(&token, "{}", 2), -EBADMSG);
	assert_int_equal(etcd_error_parse(&code, message, sizeof(message), error, strlen(error)), 0);
	assert_int_equal(code, ETCD_CODE_UNAUTHENTICATED);
	assert_string_equal(message, "etcdserver: invalid");
	assert_int_equal(etcd_error_parse(&code, message, sizeof(message), "{}", 2), -EBADMSG);
}

static const char *const malformed[] = {
	"",
	"x",
	"[]",
	"null",
	"{}",
	"{\"header\":7}",
	"{\"header\":{\"revision\":3}}",
	"{\"header\":{\"revision\":\"-3\"}}",
	"{\"header\":{\"revision\":\"99999999999999999999\"}}",
	"{\"header\":{\"revision\":\"3x\"}}",
	"{" HEADER ",\"kvs\":{}}",
	"{" HEADER ",\"kvs\":[{}]}",
	"{" HEADER ",\"kvs\":[{\"key\":\"L2EvMQ=\"}]}",
	"{" HEADER ",\"kvs\":[{\"key\":\"!!!!\"}]}",
	"{" HEADER ",\"kvs\":[{\"key\":\"YQBi\",\"value\":\"eA==\"}]}", /* a NUL in it */
	"{" HEADER ",\"kvs\":[" KV1 ",{\"key\":\"YQ==\",\"value\":5}]}",
	"{" HEADER ",\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":[]}]}",
};

static void test_malformed(void **state)
{
	static const char good[] = "{" HEADER ",\"kvs\":[" KV1 "," KVG "],\"more\":true}";
	struct etcd_range r;
	bool ok;

	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		assert_int_equal(etcd_range_parse(&r, malformed[i], strlen(malformed[i])), -EBADMSG);
		assert_null(r.kv);
	}
	for (size_t cut = 0; cut < sizeof(good) - 1; cut++)
		assert_int_equal(etcd_range_parse(&r, good, cut), -EBADMSG);
	assert_int_equal(etcd_txn_parse(&ok, &r, "{}", 2), -EBADMSG);
}

static void assert_json(char *text, const char *expected)
{
	json_t *a = json_loads(text, 0, NULL), *b = json_loads(expected, 0, NULL);

	assert_non_null(b);
	if (!json_equal(a, b))
		fail_msg("%s\nexpected: %s", text, expected);
	json_decref(a);
	json_decref(b);
	free(text);
}

/* As etcd 3.4 has taken them. */
static void test_requests(void **state)
{
	const struct etcd_put puts[] = { { .key = "/a/g", .value = "x", .len = 1 }, { .key = "/a/1", .forget = true } };
	char end[8];

	(void)state;
	etcd_prefix_end(end, "/a/");
	assert_string_equal(end, "/a0");
	assert_json(etcd_range_request("/a/", end, 0, 1), "{\"key\":\"L2Ev\",\"range_end\":\"L2Ew\",\"limit\":\"1\"}");
	assert_json(etcd_range_request("/a/", NULL, 9, 0), "{\"key\":\"L2Ev\",\"revision\":\"9\"}");
	assert_json(etcd_txn_request("/a/g", 0, puts, 2),
		    "{\"compare\":[{\"key\":\"L2EvZw==\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"0\"}],"
		    "\"success\":[{\"request_put\":{\"key\":\"L2EvZw==\",\"value\":\"eA==\"}},"
		    "{\"request_delete_range\":{\"key\":\"L2EvMQ==\"}}],"
		    "\"failure\":[{\"request_range\":{\"key\":\"L2EvZw==\"}}]}");
	assert_json(etcd_watch_request("/a/", end, 2),
		    "{\"create_request\":{\"key\":\"L2Ev\",\"range_end\":\"L2Ew\",\"start_revision\":\"2\"}}");
	assert_json(etcd_auth_request("u", "p\""), "{\"name\":\"u\",\"password\":\"p\\\"\"}");
	assert_null(etcd_auth_request("\xff", "p"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range), cmocka_unit_test(test_txn),	cmocka_unit_test(test_watch),
		cmocka_unit_test(test_auth_and_errors), cmocka_unit_test(test_malformed), cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
