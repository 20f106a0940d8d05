/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/cluster/fake_cpg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those before it */
#include <cmocka.h>

struct fake_event {
	struct fake_event *next;
	bool confchg;
	uint32_t from;
	uint32_t member[FAKE_NODES], joined[FAKE_NODES];
	struct replog_gone gone[FAKE_NODES];
	size_t nmembers, njoined, ngone, len;
	uint8_t data[];
};

/* ---- the toy service --------------------------------------------------------------------------- */

static int toy_apply(void *state, struct apply *a, const uint8_t *msg, size_t len)
{
	struct toy *t = state;
	struct toy_op op;
	char object[16];

	if (len != sizeof(op))
		return -EBADMSG;
	memcpy(&op, msg, sizeof(op));
	if (op.cell >= TOY_CELLS)
		return -EBADMSG;
	if (t->no_memory)
		return -ENOMEM;
	apply_result(a, &t->count, sizeof(t->count));
	if (op.asks)
		return 0;
	t->cell[op.cell] = op.value;
	t->count++;
	if (op.value && op.value <= TOY_OPS)
		t->applied[(op.value - 1) / 64] |= 1ull << (op.value - 1) % 64;
	t->sum = t->sum * 1099511628211ull ^ op.value;
	snprintf(object, sizeof(object), "cell%u", op.cell);
	apply_effect(a, EFFECT_DRAIN, object);
	if (op.persist)
		apply_effect(a, EFFECT_PERSIST, object);
	apply_result(a, &t->count, sizeof(t->count));
	return 0;
}

static bool listed(const uint32_t *node, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (node[i] == id)
			return true;
	return false;
}

static void toy_members(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct toy *t = state;

	for (uint32_t i = 0; i < t->nmembers; i++)
		t->lost[t->member[i]] += !listed(node, n, t->member[i]);
	t->nmembers = n;
	memset(t->member, 0, sizeof(t->member));
	for (size_t i = 0; i < n; i++)
		t->member[i] = node[i];
	apply_effect(a, EFFECT_PUBLISH, "members");
}

static void toy_joined(void *state, struct apply *a, const uint32_t *node, size_t n)
{
	struct toy *t = state;

	(void)a;
	for (size_t i = 0; i < n; i++)
		t->joined[node[i]]++;
}

static void toy_snapshot(const void *state, struct wbuf *out)
{
	const struct toy *t = state;

	wbuf_put(out, t, offsetof(struct toy, restores));
	for (uint32_t i = 0; i < t->bulk; i++)
		wbuf_put(out, &(uint8_t){ i * 7 }, 1);
}

static bool bulk_good(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)(i * 7))
			return false;
	return true;
}

static int toy_restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct toy *t = state;
	size_t own = offsetof(struct toy, restores);

	if (len < own || !bulk_good(p + own, len - own) || t->refuse_restore) {
		snprintf(err, errlen, "%zu bytes are no toy", len);
		return -EBADMSG;
	}
	memcpy(t, p, own);
	t->restores++;
	return 0;
}

static void toy_snapshot_beside(const void *state, struct wbuf *out)
{
	const struct toy *t = state;

	if (t->beside)
		wbuf_put(out, &t->beside, sizeof(t->beside));
}

static int toy_restore_beside(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct toy *t = state;

	if (t->refuse_beside || (len && len != sizeof(t->beside))) {
		snprintf(err, errlen, "%zu bytes are not what is known beside it", len);
		return -EBADMSG;
	}
	t->beside = 0;
	if (len)
		memcpy(&t->beside, p, len);
	return 0;
}

static void toy_persist(const void *state, const char *object, struct wbuf *out)
{
	const struct toy *t = state;

	wbuf_put(out, &t->cell[atoi(object + 4)], sizeof(t->cell[0]));
}

static const struct service_ops toy_ops = { .id = TOY_ID,
					    .name = "toy",
					    .waits_for_fencing = true,
					    .apply = toy_apply,
					    .members = toy_members,
					    .joined = toy_joined,
					    .snapshot = toy_snapshot,
					    .restore = toy_restore,
					    .snapshot_beside = toy_snapshot_beside,
					    .restore_beside = toy_restore_beside,
					    .persist = toy_persist };
/* The initial state is of no bytes, as service.h asks of a service that has a `since`. */
static void newer_snapshot(const void *state, struct wbuf *out)
{
	if (((const struct toy *)state)->count)
		toy_snapshot(state, out);
}

static int newer_restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	struct toy *t = state;

	if (len)
		return toy_restore(state, p, len, err, errlen);
	memset(t, 0, sizeof(*t));
	return 0;
}

static const struct service_ops newer_ops = { .id = TOY_NEW_ID,
					      .name = "newer",
					      .since = 2,
					      .waits_for_fencing = true,
					      .apply = toy_apply,
					      .snapshot = newer_snapshot,
					      .restore = newer_restore,
					      .persist = toy_persist };
static const struct service_ops quick_ops = { .id = TOY_QUICK_ID,
					      .name = "quick",
					      .apply = toy_apply,
					      .snapshot = toy_snapshot,
					      .restore = toy_restore,
					      .persist = toy_persist };

/* ---- the network ------------------------------------------------------------------------------- */

uint64_t fake_random(struct fake *f)
{
	f->rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = f->rng;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31)) | 1ull << 63;
}

bool fake_has(const uint64_t *bits, size_t op)
{
	return bits[op / 64] >> op % 64 & 1;
}

static void append(struct fake_event **head, struct fake_event **tail, const struct fake_event *e)
{
	struct fake_event *copy = malloc(sizeof(*e) + e->len);

	memcpy(copy, e, sizeof(*e) + e->len);
	copy->next = NULL;
	if (*tail)
		(*tail)->next = copy;
	else
		*head = copy;
	*tail = copy;
}

static struct fake_event *pop(struct fake_event **head, struct fake_event **tail)
{
	struct fake_event *e = *head;

	*head = e->next;
	if (!*head)
		*tail = NULL;
	return e;
}

static void push(struct fake_node *n, const struct fake_event *e)
{
	append(&n->head, &n->tail, e);
}

static void multicast(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	struct fake_event *e = calloc(1, sizeof(*e) + len);

	e->from = from;
	e->len = len;
	memcpy(e->data, msg, len);
	if (f->heard)
		f->heard(f, from, msg, len);
	for (uint32_t i = 1; i <= f->nodes; i++) {
		struct fake_node *n = &f->node[i];

		if (!n->running || n->partition != f->node[from].partition)
			continue;
		push(n, e);
	}
	free(e);
}

void fake_inject(struct fake *f, uint32_t from, const void *msg, size_t len)
{
	multicast(f, from, msg, len);
}

void fake_say(struct fake *f, uint32_t from, struct message *m)
{
	struct wbuf out = { 0 };

	message_pack(m, &out);
	assert_int_equal(out.err, 0);
	multicast(f, from, out.data, out.len);
	wbuf_fini(&out);
}

static bool in_mask(uint32_t mask, uint32_t node)
{
	return mask & 1u << node;
}

/* Every running member of the partition sees: `joined` and `gone` changed, all in `now` are there. */
static void confchg(struct fake *f, unsigned partition, uint32_t to, uint32_t joined, uint32_t gone,
		    enum replog_gone_reason reason)
{
	struct fake_event e = { .confchg = true };

	for (uint32_t i = 1; i <= f->nodes; i++) {
		if (f->node[i].running && f->node[i].partition == partition)
			e.member[e.nmembers++] = i;
		if (in_mask(joined, i))
			e.joined[e.njoined++] = i;
		if (in_mask(gone, i))
			e.gone[e.ngone++] = (struct replog_gone){ i, reason };
	}
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running && in_mask(to, i))
			push(&f->node[i], &e);
}

static uint32_t partition_mask(struct fake *f, unsigned partition)
{
	uint32_t mask = 0;

	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running && f->node[i].partition == partition)
			mask |= 1u << i;
	return mask;
}

/* Corosync's quorum: of nodes, whether or not our process runs there; a crashed node counts as down until it starts. */
static void quorum_update(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++) {
		struct fake_node *n = &f->node[i];
		uint32_t up = 0;

		if (!n->running)
			continue;
		for (uint32_t k = 1; k <= f->nodes; k++)
			up += f->node[k].partition == n->partition;
		n->quorum_due = true;
		up += f->device && f->device_at == n->partition;
		n->quorum_wanted = f->two_node || up * 2 > f->nodes + f->device;
	}
}

/* ---- a node's surroundings ------------------------------------------------------------------------- */

static int io_send(void *arg, const void *msg, size_t len)
{
	struct fake_node *n = arg;
	struct fake_event *e = calloc(1, sizeof(*e) + len);

	e->len = len;
	memcpy(e->data, msg, len);
	append(&n->out, &n->out_tail, e);
	free(e);
	return 0;
}

static void note_position(struct fake_node *n, const struct effects_run *run)
{
	for (unsigned i = 0; i < TOY_OPS; i++)
		if (run->service->ops->id == TOY_ID && fake_has(n->toy.applied, i) && !fake_has(n->seen, i)) {
			n->op_position[i] = run->position;
			n->seen[i / 64] |= 1ull << i % 64;
		}
}

static void io_run_effects(void *arg, struct effects_run *run)
{
	struct fake_node *n = arg;

	note_position(n, run);
	/* what a snapshot has changed shows before what came later publishes its own */
	assert_true(n->publish_due || n->restores_published == n->toy.restores);
	assert_true(n->neffects < sizeof(n->effect) / sizeof(n->effect[0]));
	n->effect[n->neffects++].run = run;
}

static void io_publish_all(void *arg)
{
	struct fake_node *n = arg;

	n->publish_due = true;
	n->restores_published = n->toy.restores;
}

static void io_persist_lineage(void *arg, const struct replog_lineage *l)
{
	struct fake_node *n = arg;

	n->lineage_due = true;
	n->disk_next = *l;
	n->lineage_generation = l->generation;
}

static void io_state_changed(void *arg, enum cluster_state s, const char *why)
{
	struct fake_node *n = arg;

	n->state = s;
	if (n->fake->trace)
		printf("[%u] state %d: %s\n", n->id, s, why);
}

static void io_version_changed(void *arg, uint32_t version)
{
	((struct fake_node *)arg)->version = version;
	((struct fake_node *)arg)->disk.version = ((struct fake_node *)arg)->disk_next.version = version; /* in front of whatever is stored later */
}

static bool io_harmless(void *arg, uint32_t node, bool node_down)
{
	(void)node_down;
	return !((struct fake_node *)arg)->fake->owner[node];
}

static uint64_t io_random(void *arg)
{
	return fake_random(((struct fake_node *)arg)->fake);
}

static void io_wake(void *arg)
{
	((struct fake_node *)arg)->wake = true;
}

static void io_log(void *arg, enum log_level level, const char *text)
{
	struct fake_node *n = arg;

	(void)level;
	if (n->fake->trace)
		printf("[%u] %s\n", n->id, text);
}

static void disk_write(struct fake_node *n, const struct effects_run *run)
{
	const struct toy *t = run->service->state;

	for (uint32_t i = 0; i < run->n; i++) {
		if (run->effect[i].kind != EFFECT_PERSIST || run->service->ops->id != TOY_ID)
			continue;
		n->disk_cell[atoi(run->effect[i].object + 4)] = t->cell[atoi(run->effect[i].object + 4)];
		n->disk_has[atoi(run->effect[i].object + 4)] = true;
	}
}

/* The toy's own record of what each run was about: its object is the cell, its operation is found by position. */
static void note_drained(struct fake_node *n, const struct effects_run *run)
{
	for (unsigned i = 0; i < TOY_OPS; i++)
		if (run->service->ops->id == TOY_ID && run->origin && n->op_position[i] == run->position)
			n->drained[i / 64] |= 1ull << i % 64;
}

static void effect_answer(struct fake_node *n, unsigned i)
{
	struct effects_run *run = n->effect[i].run;

	n->effect[i] = n->effect[--n->neffects];
	disk_write(n, run);
	note_drained(n, run);
	replog_effects_done(n->log, run, true);
}

static void note_durable(void *arg, const struct service *s, const char *object)
{
	struct fake_node *n = arg;

	if (s->ops->id != TOY_ID)
		return;
	n->disk_has[atoi(object + 4)] = true;
	n->disk_cell[atoi(object + 4)] = n->toy.cell[atoi(object + 4)];
}

static void publish_answer(struct fake_node *n)
{
	n->publish_due = false;
	for (unsigned i = 0; i < TOY_OPS / 64; i++)
		n->drained[i] |= n->toy.applied[i];
	memset(n->disk_has, 0, sizeof(n->disk_has));
	replog_each_durable(n->log, note_durable, n);
	replog_lineage(n->log, &n->disk);
	replog_published(n->log, true);
}

/* ---- life of a node ---------------------------------------------------------------------------- */

void fake_init(struct fake *f, uint32_t nodes, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	f->nodes = nodes;
	f->rng = seed * 0x2545f4914f6cdd1dull + 1;
	f->now = 1000000000ull;
	for (uint32_t i = 1; i <= nodes; i++) {
		f->node[i].fake = f;
		f->node[i].id = i;
		f->node[i].state = CLUSTER_OFFLINE;
		f->node[i].partition = 1000 + i; /* down */
	}
}

static void load_disk(struct fake_node *n, struct replog_params *p, struct replog_durable *d, char (*name)[16])
{
	memset(&n->toy, 0, sizeof(n->toy));
	n->restores_published = 0;
	memset(&n->quick, 0, sizeof(n->quick));
	memset(&n->newer, 0, sizeof(n->newer));
	p->lineage = n->disk;
	p->durables = d;
	for (uint32_t i = 0; i < TOY_CELLS; i++) {
		if (!n->disk_has[i])
			continue;
		n->toy.cell[i] = n->disk_cell[i];
		snprintf(name[i], sizeof(name[i]), "cell%u", i);
		d[p->ndurables++] = (struct replog_durable){ TOY_ID, name[i] };
	}
}

static bool io_groups_replicated(void *arg)
{
	return ((struct fake_node *)arg)->groups_replicated;
}

void fake_start(struct fake *f, uint32_t node)
{
	struct fake_node *n = &f->node[node];
	struct service s[3] = { { &toy_ops, &n->toy }, { &quick_ops, &n->quick }, { &newer_ops, &n->newer } };
	struct replog_io io = { n,		 io_send,	   io_run_effects, io_publish_all, io_persist_lineage,
				io_state_changed, io_version_changed, io_harmless, io_random, io_wake, io_log, NULL,
				NULL,		 io_groups_replicated };
	char name[8], cell[TOY_CELLS][16];
	struct replog_durable d[TOY_CELLS];
	static const uint32_t all[FAKE_NODES] = { 1, 2, 3, 4, 5 };
	struct replog_params p = { .cluster = n->cluster ? n->cluster : "fake", .node = node, .node_name = name, .services = s,
				   .nservices = n->version_max == 1 ? 2 : 3, .version_min = 1,
				   .version_max = n->version_max ? n->version_max : REPLOG_VERSION,
				   .nnodes = f->nodes, .first = all, .nfirst = f->nodes, .check_ns = 10000000000ull };

	snprintf(name, sizeof(name), "n%u", node);
	p.config_digest[0] = n->config;
	memset(p.fixed_digest, n->fixed, sizeof(p.fixed_digest));
	memset(p.nodes_digest, n->nodes, sizeof(p.nodes_digest));
	p.incarnation = n->incarnation = fake_random(f);
	load_disk(n, &p, d, cell);
	n->log = replog_new(&p, &io);
	assert_non_null(n->log);
	replog_timer(n->log, f->now);
	n->running = true;
	n->state = CLUSTER_OFFLINE;
	if (n->partition >= 1000)
		n->partition = 0;
	confchg(f, n->partition, partition_mask(f, n->partition), 1u << node, 0, 0);
	quorum_update(f);
}

void fake_begin(struct fake *f, uint32_t nodes, uint32_t version_max)
{
	fake_init(f, nodes, 42);
	f->trace = getenv("TRACE") != NULL;
	for (uint32_t i = 1; i <= nodes; i++) {
		f->node[i].version_max = version_max;
		fake_start(f, i);
	}
}

void fake_up(struct fake *f, uint32_t nodes, uint32_t version_max)
{
	fake_begin(f, nodes, version_max);
	fake_settle(f);
	for (uint32_t i = 1; i <= nodes; i++)
		assert_true(fake_serving(f, i));
}

static void memory_gone(struct fake_node *n)
{
	while (n->head)
		free(pop(&n->head, &n->tail));
	while (n->out)
		free(pop(&n->out, &n->out_tail));
	n->running = n->paused = false;
	n->neffects = 0;
	memset(n->drained, 0, sizeof(n->drained));
	memset(n->seen, 0, sizeof(n->seen));
	memset(n->op_position, 0, sizeof(n->op_position));
	n->version = 0;
	n->publish_due = n->lineage_due = n->wake = n->hold_effects = n->hold_quorum = n->quorum_due = false;
	n->hold_runs = n->hold_store = false;
	replog_free(n->log);
	n->log = NULL;
	n->state = CLUSTER_OFFLINE;
}

static void end(struct fake *f, uint32_t node, enum replog_gone_reason reason)
{
	struct fake_node *n = &f->node[node];
	unsigned partition = n->partition;

	if (f->trace)
		printf("[%u] ends, reason %d\n", node, reason);
	memory_gone(n);
	if (reason == REPLOG_NODE_DOWN)
		n->partition = 1000 + node;
	confchg(f, partition, partition_mask(f, partition), 0, 1u << node, reason);
	quorum_update(f);
}

void fake_crash(struct fake *f, uint32_t node)
{
	end(f, node, REPLOG_NODE_DOWN);
}

void fake_kill(struct fake *f, uint32_t node)
{
	end(f, node, REPLOG_PROCESS_DOWN);
}

void fake_leave(struct fake *f, uint32_t node)
{
	end(f, node, REPLOG_LEFT);
}

static void move(struct fake *f, uint32_t mask, unsigned to)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (in_mask(mask, i))
			f->node[i].partition = to;
}

void fake_partition(struct fake *f, uint32_t mask)
{
	uint32_t all = partition_mask(f, 0), rest;

	mask &= all;
	rest = all & ~mask;
	if (!mask || !rest)
		return;
	f->partitions++;
	move(f, mask, f->partitions);
	confchg(f, 0, rest, 0, mask, REPLOG_NODE_DOWN);
	confchg(f, f->partitions, mask, 0, rest, REPLOG_NODE_DOWN);
	quorum_update(f);
}

/* As corosync does it: each side is told that the other's members joined. */
void fake_heal(struct fake *f)
{
	for (unsigned p = 1; p <= f->partitions; p++) {
		uint32_t mask = partition_mask(f, p), rest = partition_mask(f, 0);

		if (!mask)
			continue;
		move(f, mask, 0);
		confchg(f, 0, rest, mask, 0, 0);
		confchg(f, 0, mask, rest, 0, 0);
	}
	f->partitions = 0;
	quorum_update(f);
}

void fake_device(struct fake *f, unsigned partition)
{
	f->device = true;
	f->device_at = partition;
	quorum_update(f);
}

void fake_fenced(struct fake *f, uint32_t node)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running && i != node)
			replog_fencing_confirmed(f->node[i].log, node);
}

void fake_fini(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running)
			memory_gone(&f->node[i]);
	free(f->proposal);
}

/* ---- running ---------------------------------------------------------------------------------- */

static void take(struct fake_node *n)
{
	struct fake_event *e = pop(&n->head, &n->tail);

	if (e->confchg)
		replog_confchg(n->log, e->member, e->nmembers, e->gone, e->ngone, e->joined, e->njoined);
	else
		replog_deliver(n->log, e->from, e->data, e->len);
	free(e);
}

static void order_one(struct fake_node *n)
{
	struct fake_event *e = pop(&n->out, &n->out_tail);

	multicast(n->fake, n->id, e->data, e->len);
	free(e);
}

/* Quorum is told for the newest ring only: when every membership change has been taken. */
static bool confchg_ahead(const struct fake_node *n)
{
	for (const struct fake_event *e = n->head; e; e = e->next)
		if (e->confchg)
			return true;
	return false;
}

static bool node_step(struct fake_node *n, unsigned what)
{
	switch (what) {
	case 0:
		if (!n->out)
			return false;
		order_one(n);
		return true;
	case 1:
	case 2:
		if (n->head)
			take(n);
		else
			return false;
		return true;
	case 3:
		if (!n->neffects || n->hold_effects || n->hold_runs)
			return false;
		effect_answer(n, fake_random(n->fake) % n->neffects);
		return true;
	case 4:
		if (!n->publish_due || n->hold_effects)
			return false;
		publish_answer(n);
		return true;
	case 5:
		if (!n->lineage_due || n->hold_store)
			return false;
		n->lineage_due = false;
		n->disk = n->disk_next;
		replog_lineage_persisted(n->log, n->lineage_generation, true);
		return true;
	case 6:
		if (!n->quorum_due || n->hold_quorum || confchg_ahead(n))
			return false;
		n->quorum_due = false;
		replog_quorum(n->log, n->quorum_wanted);
		return true;
	default:
		if (!n->wake)
			return false;
		n->wake = false;
		replog_timer(n->log, n->fake->now);
		return true;
	}
}

bool fake_step(struct fake *f)
{
	unsigned start = fake_random(f) % (f->nodes * 8);

	for (unsigned k = 0; k < f->nodes * 8; k++) {
		unsigned at = (start + k * 5) % (f->nodes * 8);
		struct fake_node *n = &f->node[1 + at / 8];

		if (n->running && !n->paused && node_step(n, at % 8))
			return true;
	}
	/* 5 and the table's size may have a common divisor: everything once more, in order */
	for (unsigned at = 0; at < f->nodes * 8; at++) {
		struct fake_node *n = &f->node[1 + at / 8];

		if (n->running && !n->paused && node_step(n, at % 8))
			return true;
	}
	return false;
}

void fake_settle(struct fake *f)
{
	unsigned steps = 0;

	while (fake_step(f))
		assert_true(++steps < 1000000);
}

void fake_pass(struct fake *f, uint64_t ns)
{
	f->now += ns;
	for (uint32_t i = 1; i <= f->nodes; i++)
		if (f->node[i].running && !f->node[i].paused)
			replog_timer(f->node[i].log, f->now);
	fake_settle(f);
}

/* ---- proposals ---------------------------------------------------------------------------------- */

struct cookie {
	struct fake *fake;
	size_t at;
};

/* P1 and P2 at the moment of the answer: whoever may touch a medium has applied the operation and drained what it excludes. */
static void check_everywhere(struct fake *f, size_t at)
{
	for (uint32_t i = 1; i <= f->nodes; i++) {
		struct fake_node *n = &f->node[i];

		if (!n->running || n->state != CLUSTER_SERVING || !f->owner[i])
			continue;
		if (!fake_has(n->toy.applied, at))
			f->broken = "acknowledged, but a serving member has not applied it";
		else if (!fake_has(n->drained, at))
			f->broken = "acknowledged, but a serving member has not drained";
	}
}

static void proposal_done(void *arg, enum propose_status status, const void *result, size_t len)
{
	struct cookie *c = arg;
	struct fake_proposal *p = &c->fake->proposal[c->at];

	assert_false(p->finished);
	p->finished = true;
	p->status = status;
	if (c->fake->trace)
		printf("[%u] proposal %zu%s: status %d\n", p->node, c->at, p->op.persist ? " (durable)" : "", status);
	if (status == PROPOSE_OK && c->fake->follow)
		check_everywhere(c->fake, c->at);
	if (status == PROPOSE_OK) {
		assert_int_equal(len, sizeof(p->result));
		memcpy(&p->result, result, len);
	}
	free(c);
}

static size_t propose(struct fake *f, uint32_t node, uint16_t service, struct toy_op op)
{
	struct cookie *c = malloc(sizeof(*c));
	struct proposer *proposer = replog_proposer(f->node[node].log);

	if (f->nproposals == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		f->proposal = reallocarray(f->proposal, f->cap, sizeof(*f->proposal));
	}
	f->proposal[f->nproposals] = (struct fake_proposal){ .fake = f, .node = node, .op = op,
								.status = FAKE_UNANSWERED };
	*c = (struct cookie){ f, f->nproposals++ };
	proposer->propose(proposer, service, &op, sizeof(op), proposal_done, c);
	assert_false(f->proposal[f->nproposals - 1].finished);
	return f->nproposals - 1;
}

size_t fake_propose(struct fake *f, uint32_t node, struct toy_op op)
{
	return propose(f, node, TOY_ID, op);
}

size_t fake_propose_quick(struct fake *f, uint32_t node, struct toy_op op)
{
	return propose(f, node, TOY_QUICK_ID, op);
}

size_t fake_propose_newer(struct fake *f, uint32_t node, struct toy_op op)
{
	return propose(f, node, TOY_NEW_ID, op);
}

bool fake_serving(struct fake *f, uint32_t node)
{
	return f->node[node].running && replog_state(f->node[node].log) == CLUSTER_SERVING;
}

void fake_check_equal(struct fake *f)
{
	for (uint32_t i = 1; i <= f->nodes; i++) {
		for (uint32_t k = i + 1; k <= f->nodes; k++) {
			struct fake_node *a = &f->node[i], *b = &f->node[k];

			if (!fake_serving(f, i) || !fake_serving(f, k) || replog_branch(a->log) != replog_branch(b->log) ||
			    replog_position(a->log) != replog_position(b->log))
				continue;
			assert_memory_equal(&a->toy, &b->toy, offsetof(struct toy, restores));
			assert_memory_equal(&a->quick, &b->quick, offsetof(struct toy, restores));
			assert_memory_equal(&a->newer, &b->newer, offsetof(struct toy, restores));
			assert_int_equal(replog_version(a->log), replog_version(b->log));
		}
	}
}
