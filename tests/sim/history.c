/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is true. Every state that a member can be in is a history: the operations on reservations that led to it, in order. All
 * histories form a tree; each has the naive model's state after it. The frontier is the newest history that has been
 * acknowledged. What must hold is then simple to say:
 *
 *   - the frontier only moves down one path: nothing acknowledged is lost or contradicted (P1, P6)
 *   - who serves has the frontier in its history (P1)
 *   - what reaches the medium is allowed by a state from the newest one on that was acknowledged of its LU (P2)
 *   - after a power loss of all, what was to survive it is the state of one of the histories from the frontier on (P1, APTPL)
 */
#include <string.h>

#include "core/wire.h"
#include "tests/sim/sim.h"

static bool descends(const struct sim *s, int of, int from)
{
	while (of >= 0 && s->history[of].depth > s->history[from].depth)
		of = s->history[of].parent;
	return of == from;
}

bool history_is_holder(const struct node *n)
{
	return n->running && !n->from_disk && descends(n->sim, n->history, n->sim->frontier);
}

/* ---- operations ----------------------------------------------------------------------------------------------------------- */

static int child(struct sim *s, int parent, uint32_t op)
{
	for (int i = s->nhistories - 1; i > parent; i--)
		if (s->history[i].parent == parent && s->history[i].op == op)
			return i;
	return -1;
}

static void done_before(struct node *n, uint32_t op)
{
	const struct sim *s = n->sim;

	for (int i = n->history; i >= 0; i = s->history[i].parent)
		if (s->history[i].op == op)
			sim_fail(n->sim, "P6: operation %u is done twice on node %u", op, n->id);
}

uint8_t history_apply(struct node *n, uint32_t op, unsigned lu, const struct pr_model_op *c)
{
	struct sim *s = n->sim;
	int at = child(s, n->history, op);

	if (at < 0) {
		done_before(n, op);
		if (s->nhistories == HISTORIES) {
			sim_fail(s, "more histories than the simulator has room for");
			return 0;
		}
		at = s->nhistories++;
		s->history[at] = s->history[n->history];
		s->history[at].parent = n->history;
		s->history[at].op = op;
		s->history[at].lu = lu;
		s->history[at].depth++;
		s->history[at].status = pr_model_apply(&s->history[at].pr[lu], c);
	}
	n->history = at;
	sim_trace(s, "applies operation %u on LU %u: %02xh, history %d (%u deep)", op, lu, s->history[at].status, at,
		  s->history[at].depth);
	return s->history[at].status;
}

/* ---- acknowledged ------------------------------------------------------------------------------------------------------------- */

static bool told(const struct node *n, const struct session *se, unsigned lu, uint64_t since, bool preempted)
{
	const struct ua_queue *q = &se->nexus.itl[lu].ua;
	uint64_t at = preempted ? se->told_preempted[lu] : se->told_released[lu];

	(void)n;
	if (at > since)
		return true;
	for (uint8_t i = 0; i < q->n; i++) {
		uint16_t code = q->code[i];

		if (preempted ? code == UA_RESERVATIONS_PREEMPTED || code == UA_REGISTRATIONS_PREEMPTED :
				code == UA_RESERVATIONS_RELEASED)
			return true;
	}
	return q->n == 1 && q->code[0] >> 8 == 0x29 && se->since > since; /* collapsed, or a new nexus */
}

/* The node was away when it happened and has it from a snapshot: what its nexuses then are told comes from the difference of
 * the views (daemon/effects.c), which is less exact than the operation itself. */
static bool missed(const struct node *n, int at)
{
	return n->restored >= 0 && descends(n->sim, n->restored, at);
}

static void check_told(struct node *n, int at, uint64_t since)
{
	const struct history *h = &n->sim->history[at];
	const struct pr_model *m = &h->pr[h->lu];

	for (unsigned i = 0; i < INITIATORS; i++) {
		unsigned nexus = nexus_of(n->sim, i, n->id);
		const struct session *se = &n->session[i];

		if (se->since >= since || missed(n, at))
			continue;
		if (m->told_preempted[nexus] && !told(n, se, h->lu, since, true))
			sim_fail(n->sim, "P1: operation %u on LU %d is acknowledged, but initiator %u on node %u is not told that "
				 "it was preempted", h->op, h->lu, i, n->id);
		if (m->told_released[nexus] && !told(n, se, h->lu, since, false))
			sim_fail(n->sim, "P1: operation %u on LU %d is acknowledged, but initiator %u on node %u is not told that "
				 "the reservation was released", h->op, h->lu, i, n->id);
	}
}

static void check_everywhere(struct sim *s, int at, uint64_t since)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!node_serving(n))
			continue;
		if (!descends(s, n->history, at))
			sim_fail(s, "P1: operation %u is acknowledged, but node %u serves without having applied it",
				 s->history[at].op, i);
		else if (s->history[at].status == STATUS_GOOD)
			check_told(n, at, since);
	}
}

void history_acknowledged(struct node *n, uint32_t op, uint64_t since, uint8_t status)
{
	struct sim *s = n->sim;
	int at = n->history;

	while (at >= 0 && s->history[at].op != op)
		at = s->history[at].parent;
	sim_trace(s, "operation %u is acknowledged with %02xh (history %d)", op, status, at);
	if (at < 0) {
		sim_fail(s, "P1: operation %u is acknowledged on node %u, whose state does not have it", op, n->id);
		return;
	}
	if (s->history[at].status != status)
		sim_fail(s, "operation %u is answered with %02xh, by the model with %02xh", op, status, s->history[at].status);
	if (descends(s, at, s->frontier))
		s->frontier = at;
	else if (!descends(s, s->frontier, at))
		sim_fail(s, "P6: operation %u is acknowledged in a history that does not have operation %u, acknowledged before",
			 op, s->history[s->frontier].op);
	if (s->history[at].lu >= 0 && descends(s, at, s->lu_frontier[s->history[at].lu]))
		s->lu_frontier[s->history[at].lu] = at;
	check_everywhere(s, at, since);
	if (status == STATUS_GOOD)
		s->count.pr_good++;
	else
		s->count.pr_other++;
}

/* ---- the medium ------------------------------------------------------------------------------------------------------------------ */

/* Is there a state from `from` on in n's history in which the command may (or may not) be executed? */
static bool exists(const struct node *n, const struct slot *sl, int from, bool write, bool may)
{
	const struct sim *s = n->sim;
	unsigned nexus = nexus_of(s, sl->initiator, n->id);

	for (int i = n->history; i >= 0; i = s->history[i].parent) {
		if (pr_model_may(&s->history[i].pr[sl->lu], nexus, write) == may)
			return true;
		if (i == from)
			return false;
	}
	return false;
}

void history_medium(struct node *n, struct slot *sl, bool write)
{
	struct sim *s = n->sim;
	const struct handle *h = sl->cmd.io.handler;

	sim_trace(s, "%s %u of initiator %u reaches LU %u block %u", write ? "write" : "read", sl->value, sl->initiator, sl->lu,
		  sl->block);
	if (!descends(s, n->history, s->frontier))
		sim_fail(s, "P2: node %u %s LU %u without knowing operation %u, which is acknowledged", n->id,
			 write ? "writes" : "reads", sl->lu, s->history[s->frontier].op);
	else if (!exists(n, sl, s->lu_frontier[sl->lu], write, true))
		sim_fail(s, "P2: %s %u of initiator %u reaches LU %u through node %u although operation %u, which shuts it out, is "
			 "acknowledged", write ? "write" : "read", sl->value, sl->initiator, sl->lu, n->id,
			 s->history[s->lu_frontier[sl->lu]].op);
	if (!write)
		return;
	if (h->epoch < s->medium_epoch[sl->lu])
		sim_fail(s, "P5: node %u writes LU %u in epoch %llu, but epoch %llu has written already", n->id, sl->lu,
			 (unsigned long long)h->epoch, (unsigned long long)s->medium_epoch[sl->lu]);
	s->medium_epoch[sl->lu] = h->epoch;
	if (s->acked[sl->value])
		sim_fail(s, "P6: write %u reaches LU %u again after it was answered", sl->value, sl->lu);
}

void history_conflict(struct node *n, struct slot *sl)
{
	if (descends(n->sim, n->history, sl->frontier) && !exists(n, sl, sl->frontier, sl->kind == OP_WRITE, false))
		sim_fail(n->sim, "a %s of initiator %u on LU %u, node %u, gets RESERVATION CONFLICT, which no state since it was sent "
			 "asks for", sl->kind == OP_WRITE ? "write" : "read", sl->initiator, sl->lu, n->id);
}

/* ---- PERSISTENT RESERVE IN ----------------------------------------------------------------------------------------------------------- */

static bool keys_match(const struct sim *s, const struct pr_model *m, const uint8_t *d, uint32_t len)
{
	uint32_t at = 8;

	for (unsigned i = 0; i < m->nexuses; i++) { /* sorted by port, then by target port: the model's order */
		if (!m->key[i])
			continue;
		if (at + 8 > len || get_be64(d + at) != m->key[i])
			return false;
		at += 8;
	}
	(void)s;
	return at == len && get_be32(d) == m->generation;
}

static bool reservation_matches(const struct pr_model *m, const uint8_t *d, uint32_t len)
{
	if (get_be32(d) != m->generation)
		return false;
	if (!m->type)
		return len == 8;
	return len == 24 && (d[21] & 0xf) == m->type &&
	       get_be64(d + 8) == (m->holder == PR_MODEL_NOBODY ? 0 : m->key[m->holder]);
}

void history_pr_in(struct node *n, struct slot *sl)
{
	struct sim *s = n->sim;
	const uint8_t *d = sl->cmd.buf;

	for (int i = n->history; i >= 0; i = s->history[i].parent) {
		const struct pr_model *m = &s->history[i].pr[sl->lu];

		if (sl->kind == OP_PR_KEYS ? keys_match(s, m, d, sl->cmd.data_in_len) :
					     reservation_matches(m, d, sl->cmd.data_in_len))
			return;
		if (i == sl->frontier)
			break;
	}
	sim_fail(s, "P1: PERSISTENT RESERVE IN on node %u, LU %u, answers what no state since operation %u was", n->id, sl->lu,
		 s->history[sl->frontier].op);
}

/* ---- all have lost power ----------------------------------------------------------------------------------------------------------------- */

void history_blackout(struct sim *s)
{
	struct history *h = &s->history[s->nhistories];

	if (s->nhistories == HISTORIES) {
		sim_fail(s, "more histories than the simulator has room for");
		return;
	}
	s->count.blackouts++;
	sim_trace(s, "all have lost power; acknowledged was history %d", s->frontier);
	memcpy(s->old_frontier, s->lu_frontier, sizeof(s->old_frontier));
	s->base_known = false;
	memset(s->medium_epoch, 0, sizeof(s->medium_epoch)); /* ownership does not survive either */
	*h = s->history[0]; /* until one goes on from its disk */
	s->root = s->frontier = s->nhistories++;
	for (unsigned i = 0; i < LUS; i++)
		s->lu_frontier[i] = s->root;
}

static bool real_equals(struct node *n, unsigned lu, const struct pr_model *m)
{
	static const char *const name[] = { "0", "1" };
	const struct pr_lu *real = pr_service_find(n->d.pr, name[lu]);
	unsigned registrants = 0;

	for (unsigned i = 0; i < m->nexuses; i++)
		registrants += !!m->key[i];
	if (!real)
		return !registrants && !m->type;
	if (real->pr.n != registrants || (unsigned)real->pr.type != m->type || real->pr.aptpl != m->aptpl)
		return false;
	for (uint32_t i = 0; i < real->pr.n; i++) {
		int k = nexus_number(n->sim, &real->pr.reg[i]->id);

		if (m->key[k] != real->pr.reg[i]->key || (m->holder == k) != (real->pr.holder == real->pr.reg[i]))
			return false;
	}
	return true;
}

/* From any member's last history back to what was acknowledged: is one of those states, after the loss of power, what is there now? */
static bool find_survivor(struct node *n, unsigned lu, struct pr_model *out)
{
	struct sim *s = n->sim;

	for (uint32_t k = 1; k <= s->nodes; k++) {
		int at = s->node[k].at_death;

		if (!descends(s, at, s->old_frontier[lu]))
			continue;
		for (;; at = s->history[at].parent) {
			*out = s->history[at].pr[lu];
			pr_model_power_loss(out);
			if (real_equals(n, lu, out))
				return true;
			if (at == s->old_frontier[lu])
				break;
		}
	}
	return false;
}

/* A member begins to use a state that it has from its disk: is it the one that has to be? */
void history_anchor(struct node *n)
{
	struct sim *s = n->sim;

	if (!n->from_disk || n->dying || s->unfollowed)
		return;
	n->from_disk = false;
	for (unsigned i = 0; i < s->groups; i++) {
		struct pr_model *m = &s->history[s->root].pr[i];

		if (s->base_known ? !real_equals(n, i, m) : !find_survivor(n, i, m))
			sim_fail(s, "P1: after a power loss node %u goes on with a state of LU %u that has lost what was acknowledged",
				 n->id, i);
	}
	if (!s->base_known)
		sim_trace(s, "goes on from its disk");
	s->base_known = true;
}

/* ---- P3 -------------------------------------------------------------------------------------------------------------------------------------- */

bool history_same_bytes(const struct node *a, const struct node *b)
{
	struct wbuf x = { 0 }, y = { 0 };
	bool same;

	pr_service_ops.snapshot(a->d.pr, &x);
	alua_service_ops.snapshot(a->d.alua, &x);
	pr_service_ops.snapshot(b->d.pr, &y);
	alua_service_ops.snapshot(b->d.alua, &y);
	same = x.len == y.len && !memcmp(x.data, y.data, x.len);
	wbuf_fini(&x);
	wbuf_fini(&y);
	return same;
}

/* Members of one branch that serve and are at the same position. A member that has not taken the news of a parted ring's
 * end yet still goes its own way, on a branch of its own. */
void history_check_equal(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		for (uint32_t k = i + 1; k <= s->nodes; k++) {
			const struct node *a = &s->node[i], *b = &s->node[k];

			if (!node_serving(a) || !node_serving(b) ||
			    cluster_branch(a->d.cluster) != cluster_branch(b->d.cluster) ||
			    cluster_position(a->d.cluster) != cluster_position(b->d.cluster) || a->in.head || b->in.head)
				continue;
			if (!history_same_bytes(a, b))
				sim_fail(s, "P3: nodes %u and %u are at position %llu with different states", i, k,
					 (unsigned long long)cluster_position(a->d.cluster));
		}
}
