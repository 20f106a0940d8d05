/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/daemon/fake_talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

#include "cluster/replog_msg.h"

struct talk talk;

/* ---- a member's surroundings ------------------------------------------------------------------------------ */

static int io_send(void *arg, const void *msg, size_t len)
{
	struct note *n = calloc(1, sizeof(*n) + len);

	n->from = ((struct talk_side *)arg)->id;
	n->len = len;
	memcpy(n->data, msg, len);
	if (talk.last)
		talk.last->next = n;
	else
		talk.first = n;
	talk.last = n;
	return 0;
}

static void io_run_effects(void *arg, struct effects_run *run)
{
	struct talk_side *s = arg;

	assert_true(s->nruns < 64);
	s->run[s->nruns++] = run;
}

static void io_publish_all(void *arg)
{
	((struct talk_side *)arg)->publish_due = true;
}

static void io_persist_lineage(void *arg, const struct replog_lineage *l)
{
	((struct talk_side *)arg)->lineage_due = l->generation;
}

static void io_state_changed(void *arg, enum cluster_state s, const char *why)
{
	(void)arg, (void)s, (void)why;
}

static bool io_harmless(void *arg, uint32_t node, bool node_down)
{
	(void)arg, (void)node, (void)node_down;
	return true;
}

static uint64_t io_random(void *arg)
{
	struct talk_side *s = arg;

	return s->id * 0x100000ull + ++s->randoms;
}

static void io_wake(void *arg)
{
	(void)arg;
}

static void io_log(void *arg, enum log_level level, const char *text)
{
	if (getenv("TRACE"))
		printf("[%u] %d %s\n", ((struct talk_side *)arg)->id, level, text);
}

#if REPLOG_VERSION >= 2
static void io_version_changed(void *arg, uint32_t version)
{
	fail_msg("node %u uses version %u among older ones", ((struct talk_side *)arg)->id, version);
}
#endif

/* As in daemon/main.c, start_cluster(). */
size_t talk_services(struct talk_side *s, struct service *out)
{
	const struct service all[] = {
		{ &alua_service_ops, s->alua }, pr_service_row(s->pr), { &media_service_ops, s->media },
#if REPLOG_VERSION >= 2
		{ &mode_service_ops, &s->modes }, { &tasks_service_ops, &s->tasks },
		{ &directory_service_ops, &s->directory }, { &config_service_ops, s->generations },
#endif
	};

	memcpy(out, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

void talk_states_new(struct talk_side *s)
{
	s->alua = alua_service_new((const char *[]){ "g0" }, 1);
	s->pr = pr_service_new();
	s->media = media_service_new();
#if REPLOG_VERSION >= 2
	s->generations = config_service_new();
#endif
}

void talk_states_free(struct talk_side *s)
{
	alua_service_free(s->alua);
	pr_service_free(s->pr);
	media_service_free(s->media);
#if REPLOG_VERSION >= 2
	mode_service_clear(&s->modes);
	tasks_clear(&s->tasks);
	directory_clear(&s->directory);
	config_service_free(s->generations);
#endif
}

void talk_start(uint32_t id)
{
	struct talk_side *s = &talk.side[id];
	struct service services[16];
	const struct replog_io io = { .arg = s, .send = io_send, .run_effects = io_run_effects, .publish_all = io_publish_all,
				      .persist_lineage = io_persist_lineage, .state_changed = io_state_changed,
#if REPLOG_VERSION >= 2
				      .version_changed = io_version_changed,
#endif
				      .harmless = io_harmless, .random = io_random, .wake = io_wake, .log = io_log };
	struct replog_params p = { .cluster = "recorded", .node = id, .node_name = id == 1 ? "node-a" : "node-b",
				   .incarnation = id * 0x1111, .services = services, .check_ns = 10000000000ull };

#if REPLOG_VERSION >= 2
	p.nnodes = TALK_NODES;
#endif
	s->id = id;
	talk_states_new(s);
	p.nservices = talk_services(s, services);
	memset(p.config_digest, 7, sizeof(p.config_digest));
	s->log = replog_new(&p, &io);
	assert_non_null(s->log);
	replog_timer(s->log, 1000000000ull);
}

void talk_end(void)
{
	for (uint32_t i = 1; i <= TALK_NODES; i++) {
		if (!talk.side[i].log)
			continue;
		replog_free(talk.side[i].log);
		talk_states_free(&talk.side[i]);
	}
	while (talk.first) {
		struct note *n = talk.first;

		talk.first = n->next;
		free(n);
	}
	memset(&talk, 0, sizeof(talk));
}

/* Everything that a member waits for happens at once. */
static void side_settle(struct talk_side *s)
{
	while (s->nruns || s->publish_due || s->lineage_due) {
		uint64_t generation = s->lineage_due;

		if (s->nruns) {
			struct effects_run *run = s->run[0];

			memmove(&s->run[0], &s->run[1], --s->nruns * sizeof(s->run[0]));
			replog_effects_done(s->log, run, true);
		} else if (s->publish_due) {
			s->publish_due = false;
			replog_published(s->log, true);
		} else {
			s->lineage_due = 0;
			replog_lineage_persisted(s->log, generation, true);
		}
	}
}

/* ---- lines ------------------------------------------------------------------------------------------------- */

void talk_put_hex(FILE *f, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x", p[i]);
	fprintf(f, "\n");
}

size_t talk_get_hex(const char *text, uint8_t *out, size_t max)
{
	size_t n = 0;
	unsigned byte;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2) {
		assert_true(n < max);
		out[n++] = byte;
		if (!text[1] || !text[2])
			break;
	}
	return n;
}

/* What today's messages have more is taken from them: what is left is as it was, to the byte. */
static void older_hello(struct hello *h, uint32_t version_max)
{
	assert_int_equal(h->version_min, 1);
	assert_true(h->version_max >= version_max);
	h->version_max = version_max;
#if REPLOG_VERSION >= 2
	h->lineage.era = 0;
	h->follows = h->keep = false;
#endif
}

static void older_snapshot(const struct chunk *c, struct wbuf *out)
{
	struct snapshot s;
	const char *why;

	assert_int_equal(c->len, c->total);
	assert_int_equal(snapshot_parse(&s, c->data, c->len, &why), 0);
	for (uint32_t i = 0; i < s.nmembers; i++) /* as far as it has acknowledged */
		s.member[i].acked = s.member[i].committed_generation = 0;
#if REPLOG_VERSION >= 2
	assert_int_equal(s.version, 1);
	s.lineage.era = 0;
	s.unconfirmed = false;
	for (uint32_t i = 0; i < s.nmembers; i++)
		s.member[i].counted = false;
#endif
	snapshot_pack(&s, out);
	snapshot_fini(&s);
}

/* A joiner of today says later that its copy counts: what a SYNCED has of generations may differ. */
static bool same_content(const struct message *then, const struct message *now)
{
	struct wbuf a = { 0 }, b = { 0 };
	struct message m = *now;
	bool same;

	if (then->type == MSG_CHUNK) {
		older_snapshot(&then->chunk, &a);
		older_snapshot(&now->chunk, &b);
	} else {
		if (then->type == MSG_HELLO)
			older_hello(&m.hello, then->hello.version_max);
		if (then->type == MSG_SYNCED)
			m.synced.committed_generation = then->synced.committed_generation;
		message_pack(then, &a);
		message_pack(&m, &b);
	}
	same = a.len == b.len && !memcmp(a.data, b.data, a.len);
	wbuf_fini(&a);
	wbuf_fini(&b);
	return same;
}

static void assert_same(const uint8_t *then, size_t len, const struct note *now)
{
	struct message a = { 0 }, b = { 0 };
	const char *why;

	assert_int_equal(message_parse(&a, then, len, &why), 0);
	assert_int_equal(message_parse(&b, now->data, now->len, &why), 0);
	assert_int_equal(a.type, b.type);
	if (!same_content(&a, &b))
		fail_msg("a message of type %d of node %u has changed", a.type, now->from);
	message_fini(&a);
	message_fini(&b);
}

static void hear(uint32_t from, const void *msg, size_t len)
{
	for (uint32_t i = 1; i <= TALK_NODES; i++) {
		struct talk_side *s = &talk.side[i];

		if (!s->log)
			continue;
		replog_deliver(s->log, from, msg, len);
		side_settle(s);
	}
}

static void hear_first(void)
{
	struct note *n = talk.first;

	talk.first = n->next;
	if (!talk.first)
		talk.last = NULL;
	hear(n->from, n->data, n->len);
	free(n);
}

static bool first_is_ack(void)
{
	return talk.first && message_type(talk.first->data, talk.first->len) == MSG_ACK;
}

void talk_acks(void)
{
	while (first_is_ack())
		hear_first();
}

/* In a recording's place in the stream: what it has there, or what the member of today said instead. Acknowledgements are
 * each member's own affair: more, or fewer, than there were. */
static void do_message(uint32_t from, const char *hex)
{
	uint8_t then[TALK_LINE / 2];
	size_t len = talk_get_hex(hex, then, sizeof(then));
	bool ack = message_type(then, len) == MSG_ACK;

	if (!talk.side[from].log) {
		hear(from, then, len);
		return;
	}
	if (!ack)
		talk_acks();
	if (ack && !first_is_ack())
		return;
	assert_non_null(talk.first);
	assert_int_equal(talk.first->from, from);
	if (!ack)
		assert_same(then, len, talk.first);
	hear_first();
}

/* While recording: until nobody has anything to say. */
void talk_flow(void)
{
	while (talk.record && talk.first) {
		struct note *n = talk.first;

		talk.first = n->next;
		if (!talk.first)
			talk.last = NULL;
		fprintf(talk.record, "message %u ", n->from);
		talk_put_hex(talk.record, n->data, n->len);
		hear(n->from, n->data, n->len);
		free(n);
	}
}

static void proposed(void *cookie, enum propose_status status, const void *result, size_t len)
{
	(void)cookie, (void)result, (void)len;
	assert_int_equal(status, PROPOSE_OK);
	talk.answered++;
}

static void do_confchg(struct talk_side *s, const char *what)
{
	const struct replog_gone gone = { 2, REPLOG_LEFT };
	uint32_t both[] = { 1, 2 }, two = 2;

	if (!strcmp(what, "first"))
		replog_confchg(s->log, both, 1, NULL, 0, both, 1);
	else if (!strcmp(what, "join"))
		replog_confchg(s->log, both, 2, NULL, 0, &two, 1);
	else
		replog_confchg(s->log, both, 1, &gone, 1, NULL, 0);
	replog_quorum(s->log, true);
}

/* One line: an input of one node, or a message at its place in the stream. */
void talk_line(const char *line)
{
	char verb[16], what[16] = "";
	unsigned node, service;
	int at = 0;
	uint8_t op[TALK_LINE / 2];
	struct talk_side *s;

	assert_true(sscanf(line, "%15s %u %n", verb, &node, &at) >= 2 && node >= 1 && node <= TALK_NODES);
	s = &talk.side[node];
	if (talk.record)
		fprintf(talk.record, "%s\n", line);
	if (!strcmp(verb, "message")) {
		do_message(node, line + at);
		return;
	}
	if (!s->log)
		return;
	sscanf(line + at, "%15s", what);
	if (!strcmp(verb, "group")) {
		do_confchg(s, what);
	} else if (!strcmp(verb, "time")) {
		replog_timer(s->log, strtoull(what, NULL, 10));
	} else if (!strcmp(verb, "goodbye")) {
		replog_goodbye(s->log);
	} else {
		assert_string_equal(verb, "propose");
		service = strtoul(what, NULL, 10);
		replog_proposer(s->log)->propose(replog_proposer(s->log), service, op,
						 talk_get_hex(strchr(line + at, ' ') + 1, op, sizeof(op)), proposed, NULL);
	}
	side_settle(s);
}

void talk_input(const char *fmt, ...)
{
	static char line[TALK_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	talk_line(line);
}

