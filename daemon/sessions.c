/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I_T nexuses come and go: whoever has to hear of it does. And what the cluster's directory says of this node is kept as it
 * is here: one update at a time, each what is different then.
 *
 *   reactor: nexus_attach, nexus_detach ─▶ control thread: own list ─▶ directory_update ─▶ log
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/nexus.h"
#include "daemon/daemon.h"

/* ---- telling the others ------------------------------------------------------------------------------- */

static void told(void *cookie, enum propose_status status, const void *result, size_t len)
{
	struct daemon *d = cookie;

	(void)result;
	(void)len;
	d->sessions.telling = false;
	if (status == PROPOSE_OK)
		sessions_tell(d); /* else when the cluster serves again, or the next one comes or goes */
}

void sessions_tell(struct daemon *d)
{
	struct proposer *p = cluster_proposer(d->cluster);
	struct wbuf msg = { 0 };

	if (d->sessions.telling || d->stopping || cluster_state(d->cluster) != CLUSTER_SERVING ||
	    !cluster_has(d->cluster, DIRECTORY_SERVICE_ID))
		return;
	if (directory_update(&msg, d->node, &d->sessions.own, &d->directory)) {
		d->sessions.telling = true;
		p->propose(p, DIRECTORY_SERVICE_ID, msg.data, msg.len, told, d);
	}
	wbuf_fini(&msg);
}

/* ---- news from the reactors ------------------------------------------------------------------------------ */

struct nexus_news {
	struct msg msg;
	struct daemon *d;
	struct directory_entry entry;
};

static void arrived(struct msg *m)
{
	struct nexus_news *news = caa_container_of(m, struct nexus_news, msg);

	if (directory_put(&news->d->sessions.own, &news->entry) < 0)
		log_error("out of memory: the session of %s will not be listed", news->entry.nexus.port);
	sessions_tell(news->d);
	free(news);
}

static void forget(struct nexus_news *news)
{
	pr_cmd_nexus_lost(&news->d->pr_cmd, &news->entry.nexus);
	removal_nexus_lost(news->d, &news->entry.nexus);
}

static void was_reset(struct msg *m)
{
	struct nexus_news *news = caa_container_of(m, struct nexus_news, msg);

	forget(news);
	free(news);
}

static void gone(struct msg *m)
{
	struct nexus_news *news = caa_container_of(m, struct nexus_news, msg);
	struct daemon *d = news->d;

	forget(news);
	directory_remove(&d->sessions.own, &news->entry.nexus, 0);
	sessions_tell(d);
	free(news);
}

static bool post(struct daemon *d, const struct nexus *n, void (*fn)(struct msg *m))
{
	struct nexus_news *news = malloc(sizeof(*news));

	if (!news)
		return false;
	*news = (struct nexus_news){ .msg = { .fn = fn }, .d = d,
				     .entry = { .nexus = n->id, .node = d->node, .since = n->since } };
	snprintf(news->entry.peer, sizeof(news->entry.peer), "%s", n->peer);
	core_post_control(&d->core, &news->msg);
	return true;
}

static void on_attached(void *arg, const struct nexus *n)
{
	if (!post(arg, n, arrived))
		log_error("out of memory: the session of %s will not be listed", n->id.port);
}

static void on_detached(void *arg, const struct nexus *n)
{
	if (!post(arg, n, gone))
		log_error("out of memory: a RESERVE of %s may stay in force; reset the logical unit to end it", n->id.port);
}

static void on_reset(void *arg, const struct nexus *n)
{
	if (!post(arg, n, was_reset))
		log_error("out of memory: a RESERVE of %s may stay in force; reset the logical unit to end it", n->id.port);
}

void sessions_init(struct daemon *d)
{
	d->core.nexus_news.attached = on_attached;
	d->core.nexus_news.detached = on_detached;
	d->core.nexus_news.reset = on_reset;
	d->core.nexus_news.arg = d;
}
