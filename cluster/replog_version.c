/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which version of the protocol is in use (rolling upgrade). It is part of the ordered state: each VIEW names it, the
 * snapshot has it, and the store remembers it.
 *
 *   1 ── a VIEW in which every configured node is a member, and all speak more ──▶ 2 ──▶ 3, or 3 at once
 *
 * The first VIEW of all begins with what all nodes speak, as they were heard before it. Not earlier: the last old node must be able to come back while the others are being upgraded. Never back, but by the
 * snapshot of a cluster that uses an older one: what the newer services know has no place in it. What a hello gives as
 * version_min is therefore the version in use, and members that don't speak it refuse, and are refused, by the rule that
 * all versions have.
 */
#include <stdio.h>
#include <string.h>

#include "cluster/replog_int.h"

bool version_has(const struct replog *r, const struct service *s)
{
	return s->ops->since <= r->version;
}

/* A member of version 1 compares memberships by node, and its state has to be the others'. */
bool version_has_processes(const struct replog *r)
{
	return r->version >= 2;
}

uint32_t version_needed(const struct replog *r)
{
	return r->version > r->p.version_min ? r->version : r->p.version_min;
}

/* One who was heard and is gone before the first VIEW has to be able to come back. */
void version_heard(struct replog *r, const struct hello *h)
{
	if (!r->generation && h->version_max < r->heard_version_max)
		r->heard_version_max = h->version_max;
}

/* The highest that all members of the next VIEW speak; 0: not every configured node is one of them. All were heard before
 * the first VIEW ever (replog_params.first). */
static uint32_t spoken_by_all(const struct replog *r)
{
	uint32_t n = 0, version = r->p.version_max;

	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct member *m = &r->member[i];

		if (!m->synced)
			continue;
		n++;
		if (m->hello.version_max < version)
			version = m->hello.version_max;
	}
	if (n == r->p.nnodes)
		return version;
	if (r->generation || !r->first.n)
		return 0;
	return version < r->heard_version_max ? version : r->heard_version_max;
}

uint32_t version_for_view(const struct replog *r)
{
	uint32_t all = spoken_by_all(r);

	return all > r->version ? all : r->version;
}

void version_set(struct replog *r, uint32_t version)
{
	if (version == r->version)
		return;
	r->version = version;
	r->not_yet_said = false;
	r->io.version_changed(r->io.arg, version);
}

bool version_take_view(struct replog *r, uint32_t version)
{
	if (version > r->p.version_max || version < r->version) {
		replog_failf(r, "a membership of protocol version %u came, and this node uses %u and speaks up to %u: update this "
				"node", version, r->version, r->p.version_max);
		return false;
	}
	if (version > r->version)
		replog_say(r, LOG_LEVEL_NOTICE, "every node is here and speaks protocol version %u: it is in use from here on, "
				"and older versions can't join any more", version);
	version_set(r, version);
	return true;
}

void version_say_not_yet(struct replog *r, const struct service *s)
{
	if (r->not_yet_said)
		return;
	r->not_yet_said = true;
	replog_say(r, LOG_LEVEL_WARNING, "service %s needs protocol version %u, in use is %u: not until every node runs this "
			"version and is in the cluster; upgrade and start the others", s->ops->name, s->ops->since, r->version);
}

/* What is known of services that an older version does not have ends with it. */
bool version_clear_newer(struct replog *r, char *err, size_t errlen)
{
	for (size_t i = 0; i < r->p.nservices; i++) {
		struct service *s = &r->services[i];

		if (!version_has(r, s) && s->ops->restore(s->state, NULL, 0, err, errlen))
			return false;
	}
	return true;
}
