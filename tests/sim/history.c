/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is true. Every state that a member can be in is a history: the operations on reservations that led to it, in order. All
 * histories form a tree; each has the naive model's state after it. The frontier is the newest history that has been
 * acknowledged. What must hold is then simple to say:
 *
 *   - the frontier only moves down one path: nothing acknowledged is lost or contradicted (P1, P6)
 *   - who serves has the frontier in its history (P1)
 *   - what reaches the medium is allowed by a state from the newest one on that was acknowledged of its LU (P2)
 *   - what goes on from a store is, as far as it was to survive, the state of one of the histories from the frontier on (P1, APTPL)
 */
#include <string.h>

#include "core/wire.h"
#include "tests/sim/sim.h"

bool history_descends(const struct sim *s, int of, int from)
{
	while (of >= 0 && s->history[of].depth > s->history[from].depth)
		of = s->history[of].parent;
	return of == from;
}

/* ---- operations ----------------------------------------------------------------------------------------------------------- */

static int child(struct sim *s, int parent, uint32_t op)
{
	for (int i = s->nhistories - 1; i > parent; i--)
		if (s->history[i].parent == parent && s->history[i].op == op)
			return i;
	return -1;
}

/* What op makes of the state at `at`. */
static uint8_t step(struct sim *s, struct history *h, unsigned lu, const struct model_op *c)
{
	uint8_t status = STATUS_GOOD;

	h->lu = lu < LUS ? (int)lu : -1;
	h->kind = c->kind;
	h->step = s->steps;
	h->depth++;
	for (unsigned i = 0; i < s->groups; i++)
		if (i == lu || lu == LU_ALL)
			status = lu_model_apply(&h->model[i], c);
	return status;
}

static void done_before(struct node *n, uint32_t op)
{
	const struct sim *s = n->sim;

	for (int i = n->history; i >= 0; i = s->history[i].parent)
		if (s->history[i].op == op)
			sim_fail(n->sim, "P6: operation %u is done twice on node %u", op, n->id);
}

uint8_t history_apply(struct node *n, uint32_t op, unsigned lu, const struct model_op *c)
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
		s->history[at].status = step(s, &s->history[at], lu, c);
	}
	n->history = at;
	sim_trace(s, "applies operation %u on LU %u: %02xh, history %d (%u deep)", op, lu, s->history[at].status, at,
		  s->history[at].depth);
	return s->history[at].status;
}

/* A member that is gone takes what its nexuses have by RESERVE with it. The members, their place in the log and the LU are the
 * identity of that: others carry it out alike. */
void history_members(struct node *n, uint64_t position, const uint32_t *member, size_t members)
{
	const struct sim *s = n->sim;
	uint32_t mask = 0;

	for (size_t i = 0; i < members; i++)
		mask |= 1u << (member[i] - 1);
	for (unsigned lu = 0; lu < s->groups; lu++) {
		unsigned by = s->history[n->history].model[lu].pr.reserved_by;

		if (!by || mask & 1u << (by - 1) % s->nodes)
			continue;
		history_apply(n, 1u << 31 | lu << 30 | mask << 24 | (position & 0xffffff), lu,
			      &(struct model_op){ .kind = MODEL_UNRESERVE });
		lingers_note(n, lu, by);
	}
}

void history_restored(struct node *n, int history)
{
	int before = n->history;
	bool knew = n->sim->history[before].used;

	n->replaced = before;
	n->restored = n->history = history;
	if (knew && !n->on_disk)
		n->on_disk = before;
	n->state_since = n->sim->steps;
	if (knew)
		told_owed(n, before);
}

/* ---- acknowledged ------------------------------------------------------------------------------------------------------------- */

/* What a node reports is of one of its states from the acknowledged one on, or what the owner has just found. */
static void check_capacity(struct node *n, int at)
{
	const struct sim *s = n->sim;
	unsigned lu = s->history[at].lu;
	uint64_t is = n->lus[lu]->blocks;

	if (disk_may_have_found(n, lu, is))
		return;
	for (int i = n->history;; i = s->history[i].parent) {
		uint32_t blocks = s->history[i].model[lu].blocks;

		if (!blocks || blocks == is)
			return;
		if (i == at)
			break;
	}
	sim_fail(n->sim, "P1: operation %u on LU %u is acknowledged, but node %u reports %llu blocks", s->history[at].op, lu, n->id,
		 (unsigned long long)is);
}

/* Between the moment in which a logical unit reset was proposed and its answer there was a state without RESERVE and with the
 * saved mode parameters (SPC-2 5.5.1, SPC-4 5.11). */
static void check_reset(struct sim *s, int at, int from)
{
	bool released = false, saved = false;

	if (!history_descends(s, at, from))
		return;
	for (int i = at;; i = s->history[i].parent) {
		const struct lu_model *m = &s->history[i].model[s->history[at].lu];

		released |= !m->pr.reserved_by;
		saved |= !memcmp(m->mode, m->saved, sizeof(m->mode));
		if (i == from)
			break;
	}
	if (!released || !saved)
		sim_fail(s, "P1: LU %d was reset (operation %u), but %s", s->history[at].lu, s->history[at].op,
			 released ? "has not the saved mode parameters" : "is still reserved by RESERVE");
}

/* WCE=0: what was written before is on the medium (SBC-3 6.4.5). */
static void check_cache(struct sim *s, int at)
{
	const struct history *h = &s->history[at];

	for (uint32_t i = 1; i <= s->nodes; i++) {
		const struct handle *d = s->open[h->lu][i];

		if (!d || !node_serving(&s->node[i]) || !d->dirty)
			continue;
		for (int k = s->node[i].history; k >= 0 && !s->history[k].model[h->lu].mode[MODE_WCE]; k = s->history[k].parent)
			if (k == at)
				sim_fail(s, "P6: operation %u switches the cache of LU %d off and is acknowledged, but node %u has not "
					 "flushed", h->op, h->lu, i);
	}
}

static void check_everywhere(struct sim *s, int at, uint64_t since)
{
	for (uint32_t i = 1; i <= s->nodes; i++) {
		struct node *n = &s->node[i];

		if (!node_serving(n))
			continue;
		if (!history_descends(s, n->history, at))
			sim_fail(s, "P1: operation %u is acknowledged, but node %u serves without having applied it",
				 s->history[at].op, i);
		else if (s->history[at].status == STATUS_GOOD)
			told_check(n, at, since);
		if (s->history[at].lu >= 0 && history_descends(s, n->history, at))
			check_capacity(n, at);
	}
}

void history_acknowledged(struct node *n, uint32_t op, uint64_t since, int from, uint8_t status)
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
	if (history_descends(s, at, s->frontier))
		s->frontier = at;
	else if (!history_descends(s, s->frontier, at))
		sim_fail(s, "P6: operation %u is acknowledged in a history that does not have operation %u, acknowledged before",
			 op, s->history[s->frontier].op);
	if (s->history[at].lu >= 0 && history_descends(s, at, s->lu_frontier[s->history[at].lu]))
		s->lu_frontier[s->history[at].lu] = at;
	upgrade_acknowledged(n);
	check_everywhere(s, at, since);
	if (s->history[at].kind == MODEL_LUN_RESET)
		check_reset(s, at, from);
	if (s->history[at].kind == MODEL_MODE_SELECT)
		check_cache(s, at);
	if (s->history[at].kind != MODEL_PR_OUT)
		return;
	if (status == STATUS_GOOD)
		s->count.pr_good++;
	else
		s->count.pr_other++;
}

/* ---- the medium ------------------------------------------------------------------------------------------------------------------ */

static bool may_execute(const struct lu_model *m, const struct slot *sl)
{
	return lu_model_may(m, nexus_of(sl->node->sim, sl->initiator, sl->node->id), sl->kind != OP_READ);
}

/* the first half of COMPARE AND WRITE */
static bool may_read(const struct lu_model *m, const struct slot *sl)
{
	return lu_model_may(m, nexus_of(sl->node->sim, sl->initiator, sl->node->id), false);
}

static bool may_not_execute(const struct lu_model *m, const struct slot *sl)
{
	return !may_execute(m, sl);
}

/* Is there a state as is() says from `at` back to `from`? */
static bool between(const struct slot *sl, int at, int from, bool (*is)(const struct lu_model *m, const struct slot *sl))
{
	const struct sim *s = sl->node->sim;

	for (int i = at; i >= 0; i = s->history[i].parent) {
		if (is(&s->history[i].model[sl->lu], sl))
			return true;
		if (i == from)
			return false;
	}
	return false;
}

/* What the node of sl says goes by its own state, or by that of the owner. */
static bool known(const struct node *n, const struct slot *sl)
{
	const struct sim *s = n->sim;

	return history_descends(s, n->history, sl->frontier) && (sl->there < 0 || history_descends(s, sl->there, sl->frontier));
}

static bool somewhere(const struct node *n, const struct slot *sl, bool (*is)(const struct lu_model *m, const struct slot *sl))
{
	return between(sl, n->history, sl->frontier, is) || (sl->there >= 0 && between(sl, sl->there, sl->frontier, is));
}

bool history_some(const struct node *n, const struct slot *sl, bool (*is)(const struct lu_model *m, const struct slot *sl))
{
	return !sl->served || !node_serving(n) || !known(n, sl) || somewhere(n, sl, is);
}

/* What was sent before the last snapshot may still go by the state that it replaced, if that has what is acknowledged; -1: not so. */
static int former(const struct node *n, const struct slot *sl, int acknowledged)
{
	bool may = n->replaced >= 0 && sl->step < n->state_since && history_descends(n->sim, n->replaced, acknowledged);

	return may ? n->replaced : -1;
}

static bool may_reach(const struct node *n, const struct slot *sl, bool write)
{
	int acknowledged = n->sim->lu_frontier[sl->lu];
	bool (*may)(const struct lu_model *m, const struct slot *sl) = write ? may_execute : may_read;

	return between(sl, n->history, acknowledged, may) || between(sl, former(n, sl, acknowledged), acknowledged, may);
}

void history_medium(const struct handle *h, struct slot *sl, bool write)
{
	const struct node *n = h->node;
	struct sim *s = n->sim;

	sim_trace(s, "%s %u of initiator %u reaches LU %u block %u", write ? "write" : "read", sl->value, sl->initiator, sl->lu,
		  sl->block);
	if (!history_descends(s, n->history, s->frontier))
		sim_fail(s, "P2: node %u %s LU %u without knowing operation %u, which is acknowledged", n->id,
			 write ? "writes" : "reads", sl->lu, s->history[s->frontier].op);
	else if (!may_reach(n, sl, write))
		sim_fail(s, "P2: %s %u of initiator %u reaches LU %u through node %u although operation %u, which shuts it out, is "
			 "acknowledged", write ? "write" : "read", sl->value, sl->initiator, sl->lu, n->id,
			 s->history[s->lu_frontier[sl->lu]].op);
	if (sl->ended)
		sim_fail(s, "P2: %s %u of initiator %u reaches LU %u although the task management function that ends it has been answered",
			 write ? "write" : "read", sl->value, sl->initiator, sl->lu);
	if (sl->block >= s->medium_blocks[sl->lu])
		sim_fail(s, "%s %u goes beyond the end of LU %u", write ? "write" : "read", sl->value, sl->lu);
	if (!write)
		return;
	if (h->epoch < s->medium_epoch[sl->lu])
		sim_fail(s, "P5: node %u writes LU %u in epoch %llu, but epoch %llu has written already", n->id, sl->lu,
			 (unsigned long long)h->epoch, (unsigned long long)s->medium_epoch[sl->lu]);
	s->medium_epoch[sl->lu] = h->epoch;
	if (sl->over)
		sim_fail(s, "P6: write %u reaches LU %u again after it was answered", sl->value, sl->lu);
}

bool history_conflicts(const struct node *n, const struct slot *sl)
{
	const struct sim *s = n->sim;

	for (uint32_t i = 1; i <= s->nodes; i++)
		if ((i == n->id || s->forwards) && lingers_enforced(&s->node[i], sl->lu))
			return true;
	return !known(n, sl) || somewhere(n, sl, may_not_execute);
}

void history_conflict(struct node *n, struct slot *sl)
{
	struct sim *s = n->sim;

	if (sl->reached)
		sim_fail(s, "P6: write %u of initiator %u on LU %u, node %u, gets RESERVATION CONFLICT, but is on the medium", sl->value,
			 sl->initiator, sl->lu, n->id);
	if (!history_conflicts(n, sl))
		sim_fail(s, "a %s of initiator %u on LU %u, node %u, gets RESERVATION CONFLICT, which no state since it was sent "
			 "asks for", sl->kind != OP_READ ? "write" : "read", sl->initiator, sl->lu, n->id);
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

static bool pr_in_matches(const struct lu_model *lu, const struct slot *sl)
{
	const uint8_t *d = sl->cmd.buf;
	uint32_t len = sl->cmd.data_in_len;

	if (lu->pr.reserved_by) /* which it is not answered under */
		return false;
	return sl->kind == OP_PR_KEYS ? keys_match(sl->node->sim, &lu->pr, d, len) : reservation_matches(&lu->pr, d, len);
}

void history_pr_in(struct node *n, struct slot *sl)
{
	struct sim *s = n->sim;

	if (!between(sl, n->history, sl->frontier, pr_in_matches) &&
	    !between(sl, former(n, sl, sl->frontier), sl->frontier, pr_in_matches))
		sim_fail(s, "P1: PERSISTENT RESERVE IN on node %u, LU %u, answers what no state since operation %u was", n->id, sl->lu,
		 s->history[sl->frontier].op);
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------------------- */

/* What is reserved by RESERVE is so by a nexus that has asked for it and is still there (SPC-2 5.5.1). */
void history_reservations_end(struct sim *s)
{
	for (uint32_t i = 1; i <= s->nodes; i++)
		for (unsigned lu = 0; lu < s->groups; lu++) {
			unsigned by = s->history[s->node[i].history].model[lu].pr.reserved_by - 1;

			if (by < INITIATORS * s->nodes && by % s->nodes == i - 1 && !s->node[i].session[by / s->nodes].reserves[lu])
				sim_fail(s, "at the end LU %u is reserved by an I_T nexus of node %u that has ended", lu, i);
		}
}

/* ---- P3 -------------------------------------------------------------------------------------------------------------------------------------- */

static void all_bytes(const struct node *n, struct wbuf *out)
{
	pr_service_ops.snapshot(n->d.pr, out);
	alua_service_ops.snapshot(n->d.alua, out);
	media_service_ops.snapshot(n->d.media, out);
	mode_service_ops.snapshot(&n->d.modes, out);
	tasks_service_ops.snapshot(&n->d.tasks, out);
	config_service_ops.snapshot(n->d.generations, out);
}

bool history_same_bytes(const struct node *a, const struct node *b)
{
	struct wbuf x = { 0 }, y = { 0 };
	bool same;

	all_bytes(a, &x);
	all_bytes(b, &y);
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
