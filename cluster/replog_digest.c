/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exchange of digests (P3). The leader orders a CHECK; at its place in the stream every member takes the digest of
 * all states. All members see all digests and so judge alike: the majority's value is right, without one the
 * longest-standing member's; whoever differs is out until it has taken a snapshot.
 */
#include <string.h>

#include "cluster/replog_int.h"

void digest_abandon(struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		r->member[i].check_expected = r->member[i].check_given = false;
	r->check_position = 0;
	r->check_sent = false;
}

static void send_check(struct replog *r)
{
	struct message m = { .type = MSG_CHECK, .check = r->branch };
	struct wbuf out = { 0 };

	r->check_sent = true;
	message_pack(&m, &out);
	replog_send(r, &out);
}

void digest_timer(struct replog *r)
{
	struct member *leader = member_leader(r);

	if (!r->p.check_ns || r->now < r->check_at)
		return;
	r->check_at = r->now + r->p.check_ns;
	if (leader && leader->node == r->p.node && r->published && !r->exchange && !r->check_sent &&
	    r->check_last != r->position)
		send_check(r);
}

static void send_digest(struct replog *r)
{
	struct message m = { .type = MSG_DIGEST, .digest = { .position = r->position } };
	struct wbuf out = { 0 };

	if (replog_digest(r, m.digest.sha256)) {
		replog_failf(r, "out of memory for the digest of the state; restart sandemd on this node");
		return;
	}
	message_pack(&m, &out);
	replog_send(r, &out);
}

void check_deliver(struct replog *r, struct member *from, uint64_t branch)
{
	if (from->node == r->p.node)
		r->check_sent = false;
	if (r->exchange || !from->synced || !self_follows(r) || branch != r->branch)
		return;
	for (uint32_t i = 0; i < r->nmembers; i++) {
		r->member[i].check_expected = r->member[i].synced;
		r->member[i].check_given = false;
	}
	r->check_position = r->check_last = r->position;
	if (self_synced(r))
		send_digest(r);
}

static const struct member *judge(const struct replog *r)
{
	const struct member *best = NULL;
	uint32_t best_votes = 0;

	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];
		uint32_t votes = 0;

		if (!m->check_given)
			continue;
		for (uint32_t k = 0; k < r->nmembers; k++)
			votes += r->member[k].check_given && !memcmp(r->member[k].check, m->check, 32);
		if (!best || votes > best_votes || (votes == best_votes && m->order < best->order)) {
			best = m;
			best_votes = votes;
		}
	}
	return best;
}

static bool all_given(const struct replog *r)
{
	for (uint32_t i = 0; i < r->nmembers; i++)
		if (r->member[i].check_expected && r->member[i].synced && !r->member[i].check_given)
			return false;
	return true;
}

void digest_deliver(struct replog *r, struct member *from, const struct digest *d)
{
	const struct member *right;
	bool self = false, any = false;

	if (!self_follows(r) || !from->check_expected || !r->check_position || d->position != r->check_position)
		return;
	from->check_given = true;
	memcpy(from->check, d->sha256, sizeof(from->check));
	if (!all_given(r))
		return;
	right = judge(r);
	for (uint32_t i = 0; i < r->nmembers; i++) {
		struct member *m = &r->member[i];

		if (!m->check_given || !m->synced || !memcmp(m->check, right->check, sizeof(m->check)))
			continue;
		any = true;
		self |= m->node == r->p.node;
		replog_say(r, LOG_LEVEL_ERROR, "node %u: its state at position %llu differs from node %u's: it stops serving "
				"and takes a snapshot; please report this with both nodes' logs", m->node,
			   (unsigned long long)d->position, right->node);
		view_unsync(r, m, false);
	}
	digest_abandon(r);
	if (!any)
		return;
	branch_fork(r);
	if (self) /* it can't be trusted: not as a source, not for serving */
		branch_abandon(r);
	else
		view_counts(r);
	join_reset(r);
	snapshot_stop(r);
	exchange_start(r);
}
