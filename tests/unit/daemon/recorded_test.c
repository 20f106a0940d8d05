/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an older release said and stored, against the program of today (rolling upgrade).
 *
 *   recorded/VERSION.conversation   two nodes of that release: a start, operations, a join, more of them, digests, a
 *                                   goodbye
 *   recorded/VERSION.yaml, .digest  every key of its configuration, and the digest by which its nodes know that they
 *                                   have the same
 *   recorded/VERSION.store          what node 1 had on its disk in the end (state.log)
 *
 * Each of the two nodes is replaced by a member of today, which hears what its like of then heard, and has to say the
 * same, byte by byte, but for what HELLO and snapshot have more, and for its acknowledgements. The files are hexadecimal; they were written, and for the next
 * release can be, by this very program (and fake_talk.c), built with that release:
 * RECORD=tests/unit/daemon/recorded/VERSION recorded_test
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/cluster.h"
#include "cluster/persist.h"
#include "cluster/replog_msg.h"
#include "cluster/store_file.h"
#include "daemon/config/config.h"
#include "pr-sync/pr_msg.h"
#include "tests/unit/daemon/fake_talk.h"

#define RECORDED "tests/unit/daemon/recorded/0.1.0"

/* ---- the conversation ---------------------------------------------------------------------------------------- */

static void nexus(struct nexus_id *id, unsigned initiator, uint16_t rtpi)
{
	memset(id, 0, sizeof(*id));
	snprintf(id->port, sizeof(id->port), "iqn.2026-11.recorded:%u,i,0x000000000001", initiator);
	id->rtpi = rtpi;
}

static void propose(unsigned node, unsigned service, struct wbuf *msg)
{
	static char hex[TALK_LINE];

	assert_int_equal(msg->err, 0);
	for (size_t i = 0; i < msg->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", msg->data[i]);
	wbuf_fini(msg);
	talk_input("propose %u %u %s", node, service, hex);
	talk_flow();
}

static void pr_out(unsigned node, enum pr_action action, unsigned initiator, uint64_t key, uint64_t sa_key)
{
	struct pr_msg m = { .kind = PR_OP_OUT, .lu = "disk0" };
	struct wbuf out = { 0 };

	nexus(&m.nexus, initiator, node);
	m.out = (struct pr_op){ .action = action, .nexus = m.nexus, .key = key, .sa_key = sa_key, .aptpl = true,
				.type = action == PR_RESERVE ? 5 : 0 };
	pr_msg_encode(&m, &out);
	propose(node, PR_SERVICE_ID, &out);
}

static void group(unsigned node, enum group_action action, uint64_t epoch)
{
	struct wbuf out = { 0 };

	alua_service_pack(&out, action, "g0", node, epoch);
	propose(node, ALUA_SERVICE_ID, &out);
}

static void medium(unsigned node, enum media_action action, uint64_t blocks)
{
	struct wbuf out = { 0 };
	struct media_change c = { .action = action, .lu = "disk0", .blocks = blocks, .node = node };
	struct nexus_id id;

	nexus(&id, 1, node);
	if (action == MEDIA_PREVENT)
		c.nexus = &id;
	media_service_pack(&out, &c);
	propose(node, MEDIA_SERVICE_ID, &out);
}

/* Every kind of message, and something in every service. */
static void converse(void)
{
	talk_input("group 1 first");
	talk_flow();
	group(1, GROUP_PROMOTE, 0);
	group(1, GROUP_ACTIVATE, 1);
	medium(1, MEDIA_CAPACITY, 204800);
	pr_out(1, PR_REGISTER, 1, 0, 0xa1);
	pr_out(1, PR_RESERVE, 1, 0xa1, 0);
	talk_input("group 1 join");
	talk_input("group 2 join");
	talk_flow();
	pr_out(2, PR_REGISTER, 2, 0, 0xa2);
	medium(2, MEDIA_PREVENT, 0);
	for (unsigned node = 1; node <= TALK_NODES; node++)
		talk_input("time %u 12000000000", node);
	talk_flow();
	talk_input("goodbye 2");
	talk_flow();
	talk_input("group 1 leave");
	talk_flow();
	medium(1, MEDIA_EJECT, 0);
}

/* ---- recording -------------------------------------------------------------------------------------------------- */

static void keep_one(void *arg, const struct service *s, const char *object)
{
	persist_object(arg, s, object);
}

static void slurp_hex(const char *from, const char *to)
{
	static uint8_t bytes[TALK_LINE];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "w");
	size_t n;

	assert_non_null(in);
	assert_non_null(out);
	n = fread(bytes, 1, sizeof(bytes), in);
	assert_true(n && n < sizeof(bytes));
	talk_put_hex(out, bytes, n);
	fclose(in);
	fclose(out);
}

static void record_store(const char *prefix)
{
	char dir[] = "/tmp/recordedXXXXXX", from[300], to[300], err[300];
	struct replog_lineage l;
	struct store *store;
	struct persist p;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(store_file_open(dir, &store, err, sizeof(err)), 0);
	persist_init(&p, store, NULL, 1);
	replog_each_durable(talk.side[1].log, keep_one, &p);
	replog_lineage(talk.side[1].log, &l);
	persist_lineage(&p, &l);
	assert_int_equal(store_commit(store, p.next), 0);
	persist_fini(&p);
	store_close(store);
	snprintf(from, sizeof(from), "%s/state.log", dir);
	snprintf(to, sizeof(to), "%s.store", prefix);
	slurp_hex(from, to);
	snprintf(to, sizeof(to), "rm -rf %s", dir);
	assert_int_equal(system(to), 0);
}

static void digest_of(const char *prefix, uint8_t digest[32])
{
	struct config_error err = { 0 };
	struct config *c;
	char name[300];

	snprintf(name, sizeof(name), "%s.yaml", prefix);
	if (config_load(name, &c, &err) < 0)
		fail_msg("%s", err.text);
	config_digest(c, digest);
	config_free(c);
}

static void record_digest(const char *prefix)
{
	uint8_t digest[32];
	char name[300];
	FILE *f;

	digest_of(prefix, digest);
	snprintf(name, sizeof(name), "%s.digest", prefix);
	f = fopen(name, "w");
	assert_non_null(f);
	talk_put_hex(f, digest, sizeof(digest));
	fclose(f);
}

static void record(const char *prefix)
{
	char name[300];

	snprintf(name, sizeof(name), "%s.conversation", prefix);
	talk.record = fopen(name, "w");
	assert_non_null(talk.record);
	talk_start(1);
	talk_start(2);
	converse();
	assert_int_equal(talk.answered, 8);
	record_store(prefix);
	record_digest(prefix);
	fclose(talk.record);
	talk_end();
}

/* ---- the tests ---------------------------------------------------------------------------------------------------- */

#if REPLOG_VERSION >= 2
static bool harmless(void *arg, uint32_t node, bool node_down)
{
	(void)arg, (void)node, (void)node_down;
	return true;
}

/* How often each type is in the recording, by its own header. */
static void every_kind_is_there(const unsigned *seen)
{
	for (int type = MSG_HELLO; type <= MSG_DIGEST; type++)
		if (!seen[type])
			fail_msg("no message of type %d in the recording", type);
}

static void replay(uint32_t today)
{
	static char line[TALK_LINE];
	unsigned seen[MSG_TYPE_LAST + 1] = { 0 };
	FILE *f = fopen(RECORDED ".conversation", "r");
	unsigned node, type;

	assert_non_null(f); /* run it in the source tree */
	talk_start(today);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "message %u 536e646d01%2x", &node, &type) == 2 && type <= MSG_TYPE_LAST)
			seen[type]++;
		talk_line(line);
	}
	fclose(f);
	every_kind_is_there(seen);
	talk_acks();
	assert_null(talk.first); /* nor has it said more */
}

static void assert_services(struct talk_side *s)
{
	const struct pr_lu *lu = pr_service_find(s->pr, "disk0");
	const struct media_lu *m = media_service_find(s->media, "disk0");
	const struct group *g = alua_service_find(s->alua, "g0");

	assert_non_null(lu);
	assert_int_equal(lu->pr.n, 2);
	assert_int_equal(lu->pr.type, 5);
	assert_true(lu->pr.aptpl);
	assert_non_null(lu->pr.holder);
	assert_int_equal(lu->pr.holder->key, 0xa1);
	assert_non_null(m);
	assert_int_equal(m->blocks, 204800);
	assert_non_null(g);
	assert_int_equal(replog_version(s->log), 1);
	assert_false(replog_has(s->log, TASKS_SERVICE_ID));
}

/* It takes the snapshot of an old member, follows, and has the old one's digest. */
static void the_second_node_is_of_today(void **state)
{
	(void)state;
	replay(2);
	assert_services(&talk.side[2]);
	assert_int_equal(talk.answered, 2);
	assert_int_equal(replog_state(talk.side[2].log), CLUSTER_OFFLINE); /* after its goodbye */
	talk_end();
}

/* An old node joins it, and hears nothing that it would not have heard then. */
static void the_first_node_is_of_today(void **state)
{
	(void)state;
	replay(1);
	assert_services(&talk.side[1]);
	assert_int_equal(talk.answered, 6);
	assert_int_equal(media_service_find(talk.side[1].media, "disk0")->npreventers, 0); /* its node is gone */
	assert_true(media_service_find(talk.side[1].media, "disk0")->ejected);
	assert_int_equal(replog_state(talk.side[1].log), CLUSTER_SERVING);
	talk_end();
}

/* Else a node of today and one of then would refuse each other for their configurations. */
static void the_digest_of_the_configuration_is_the_same(void **state)
{
	char then[100] = "", now[65];
	uint8_t digest[32];
	FILE *f = fopen(RECORDED ".digest", "r");

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(then, sizeof(then), f));
	fclose(f);
	digest_of(RECORDED, digest);
	for (int i = 0; i < 32; i++)
		snprintf(now + 2 * i, 3, "%02x", digest[i]);
	then[strcspn(then, "\n")] = 0;
	assert_string_equal(now, then);
}

/* What a service knows that the version in use does not have ends, and begins with the same on every member
 * (service.h). */
static void newer_services_begin_with_nothing(void **state)
{
	struct talk_side s = { .id = 1 };
	struct service all[16];
	struct directory_entry e = { .node = 1, .peer = "192.0.2.1:1" };
	struct mode_change change = { 0 };
	const struct mode_state normal = { 0 };
	struct wbuf op = { 0 }, bytes = { 0 };
	struct apply a = { .position = 1 };
	size_t n, newer = 0;
	char err[200] = "";

	(void)state;
	talk_states_new(&s);
	n = talk_services(&s, all);
	nexus(&e.nexus, 1, 1);
	assert_int_equal(directory_put(&s.directory, &e), 0);
	mode_service_pack_select(&op, "disk0", &change, &normal, true, &e.nexus);
	assert_int_equal(mode_service_ops.apply(&s.modes, &a, op.data, op.len), 0);
	config_service_ops.members(s.generations, &a, (uint32_t[]){ 1, 2 }, 2);
	apply_fini(&a);
	for (size_t i = 0; i < n; i++) {
		if (!all[i].ops->since)
			continue;
		newer++;
		assert_int_equal(all[i].ops->since, 2);
		assert_int_equal(all[i].ops->restore(all[i].state, NULL, 0, err, sizeof(err)), 0);
		all[i].ops->snapshot(all[i].state, &bytes);
		assert_int_equal(bytes.len, 0);
	}
	assert_int_equal(n - newer, 3);
	assert_int_equal(s.directory.n, 0);
	assert_null(mode_service_find(&s.modes, "disk0"));
	wbuf_fini(&op);
	wbuf_fini(&bytes);
	talk_states_free(&s);
}

/* ---- the store ---- */

static size_t read_hex(const char *name, uint8_t *out, size_t max)
{
	static char text[2 * TALK_LINE];
	FILE *f = fopen(name, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	return talk_get_hex(text, out, max);
}

static void put_store(const char *dir)
{
	static uint8_t bytes[TALK_LINE];
	size_t n = read_hex(RECORDED ".store", bytes, sizeof(bytes));
	char name[300];
	FILE *f;

	snprintf(name, sizeof(name), "%s/state.log", dir);
	f = fopen(name, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static void no_effects(void *arg, struct effects_run *run)
{
	cluster_effects_done(*(struct cluster **)arg, run, true);
}

static void no_publication(void *arg)
{
	cluster_published(*(struct cluster **)arg, true);
}

static void no_news(void *arg, enum cluster_state s, const char *why)
{
	(void)arg, (void)s, (void)why;
}

static struct cluster *open_store(const char *dir, struct talk_side *s, qb_loop_t *loop, struct mailbox *mail, size_t nodes)
{
	static struct cluster *c;
	const struct cluster_callbacks cb = { .arg = &c, .run_effects = no_effects, .publish_all = no_publication,
					      .state_changed = no_news, .harmless = harmless };
	struct cluster_node node[2] = { { 1, "node-a" }, { 2, "node-b" } };
	struct service services[16];
	struct cluster_params p = { .name = "recorded", .node = 1, .nodes = node, .nnodes = nodes, .local = true,
				    .state_dir = dir, .services = services, .loop = loop, .control = mail };
	char err[400] = "";

	p.nservices = talk_services(s, services);
	c = cluster_start(&p, &cb, err, sizeof(err));
	if (!c)
		fail_msg("%s", err);
	return c;
}

static void until_serving(struct cluster *c, struct mailbox *mail)
{
	struct pollfd fd = { mail->efd, POLLIN, 0 };

	while (cluster_state(c) != CLUSTER_SERVING) {
		assert_int_equal(poll(&fd, 1, 10000), 1); /* the answer of the worker that stores */
		mailbox_drain_fd(mail);
		mailbox_run(mail);
	}
}

struct opened {
	char dir[32];
	struct talk_side side;
	struct mailbox mail;
	qb_loop_t *loop;
	struct cluster *c;
};

static void open_again(struct opened *o, size_t nodes)
{
	memset(&o->side, 0, sizeof(o->side));
	o->side.id = 1;
	assert_int_equal(mailbox_init(&o->mail), 0);
	o->loop = qb_loop_create();
	talk_states_new(&o->side);
	o->c = open_store(o->dir, &o->side, o->loop, &o->mail, nodes);
	assert_non_null(pr_service_find(o->side.pr, "disk0"));
	assert_int_equal(pr_service_find(o->side.pr, "disk0")->pr.n, 2);
	assert_int_equal(pr_service_find(o->side.pr, "disk0")->pr.holder->key, 0xa1);
	assert_int_equal(media_service_find(o->side.media, "disk0")->blocks, 204800);
	assert_true(media_service_find(o->side.media, "disk0")->ejected);
	assert_true(cluster_position(o->c) > 0);
}

static void close_again(struct opened *o)
{
	cluster_stop(o->c);
	talk_states_free(&o->side);
	mailbox_fini(&o->mail);
	qb_loop_destroy(o->loop);
}

static int note_version_key(void *arg, const char *key, const void *value, size_t len)
{
	(void)value, (void)len;
	*(bool *)arg |= !strcmp(key, "cluster/version");
	return 0;
}

static bool has_version_key(const char *dir)
{
	struct store *store;
	bool found = false;
	char err[300];

	assert_int_equal(store_file_open(dir, &store, err, sizeof(err)), 0);
	assert_int_equal(store_each(store, note_version_key, &found), 0);
	store_close(store);
	return found;
}

/* Version 1 as long as the other node is not here: 0.1.0 opens it, too. Later the key of a service that it does not
 * have stands in it, and it refuses the directory ("… is of a service that this version does not have: update sandemd"). */
static void the_store_of_then_opens(void **state)
{
	struct opened o = { .dir = "/tmp/recordedXXXXXX" };
	char command[100];

	(void)state;
	assert_non_null(mkdtemp(o.dir));
	put_store(o.dir);
	open_again(&o, 2);
	assert_int_equal(cluster_version(o.c), 1);
	until_serving(o.c, &o.mail);
	assert_int_equal(cluster_version(o.c), 1);
	close_again(&o);
	assert_false(has_version_key(o.dir));
	open_again(&o, 1); /* the only node that there is */
	until_serving(o.c, &o.mail);
	assert_int_equal(cluster_version(o.c), REPLOG_VERSION);
	assert_true(cluster_has(o.c, MODE_SERVICE_ID));
	close_again(&o);
	assert_true(has_version_key(o.dir));
	open_again(&o, 2);
	assert_int_equal(cluster_version(o.c), REPLOG_VERSION);
	close_again(&o);
	snprintf(command, sizeof(command), "rm -rf %s", o.dir);
	assert_int_equal(system(command), 0);
}
#endif

int main(void)
{
#if REPLOG_VERSION >= 2
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_node_is_of_today),
		cmocka_unit_test(the_first_node_is_of_today),
		cmocka_unit_test(newer_services_begin_with_nothing),
		cmocka_unit_test(the_store_of_then_opens),
		cmocka_unit_test(the_digest_of_the_configuration_is_the_same),
	};
#endif

	if (getenv("RECORD")) {
		record(getenv("RECORD"));
		return 0;
	}
#if REPLOG_VERSION >= 2
	return cmocka_run_group_tests(tests, NULL, NULL);
#else
	return 1;
#endif
}
