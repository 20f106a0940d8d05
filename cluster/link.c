/* SPDX-License-Identifier: BSD-2-Clause */
#include "cluster/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cluster/link_int.h"
#include "core/cdb.h"
#include "core/log.h"

/* ---- predicates ------------------------------------------------------------------------------------------- */

bool link_is_write(const struct scsi_cmd *cmd)
{
	return cmd->row->flags & ROW_WRITES;
}

struct link_peer *link_peer_find(const struct link *l, uint32_t node)
{
	for (size_t i = 0; i < l->npeers; i++)
		if (l->peer[i].node.id == node)
			return &l->peer[i];
	return NULL;
}

static bool is_up(const struct link *l, const struct link_peer *p, enum link_direction d)
{
	switch (d) {
	case LINK_TO:
		return p->to_up == l->core->nreactors;
	case LINK_FROM:
		return p->from_all && p->from_up >= p->from_all;
	}
	__builtin_unreachable();
}

static size_t collect(const struct link *l, enum link_direction d, uint32_t *out)
{
	size_t n = 0;

	for (size_t i = 0; l && i < l->npeers; i++)
		if (is_up(l, &l->peer[i], d))
			out[n++] = l->peer[i].node.id;
	return n;
}

size_t link_to(const struct link *l, uint32_t *out)
{
	return collect(l, LINK_TO, out);
}

size_t link_from(const struct link *l, uint32_t *out)
{
	return collect(l, LINK_FROM, out);
}

bool link_tls_for(const struct link *l, struct link_conn *c, enum link_tls_side side)
{
	c->tls = l->tls ? link_tls_new(l->tls, side) : NULL;
	return c->tls || !l->tls;
}

/* ---- reports of the reactors -------------------------------------------------------------------------------- */

struct report {
	struct msg msg;
	struct link *l;
	uint32_t node;
	enum link_direction direction;
	bool up;
	unsigned all;
};

static void count(unsigned *n, bool up)
{
	if (up)
		(*n)++;
	else if (*n)
		(*n)--;
}

static void reported(struct msg *m)
{
	struct report r = *caa_container_of(m, struct report, msg);
	struct link_peer *p = link_peer_find(r.l, r.node);
	bool was = is_up(r.l, p, r.direction), is;

	free(caa_container_of(m, struct report, msg));
	switch (r.direction) {
	case LINK_TO:
		count(&p->to_up, r.up);
		break;
	case LINK_FROM:
		count(&p->from_up, r.up);
		p->from_all = r.all;
		break;
	}
	is = is_up(r.l, p, r.direction);
	if (was == is)
		return;
	log_notice("link %s %s: %s", r.direction == LINK_TO ? "to" : "from", p->node.name, is ? "up" : "down");
	r.l->changed(r.l->arg);
}

void link_report(struct link *l, uint32_t node, enum link_direction d, bool up, unsigned all)
{
	struct report *r = malloc(sizeof(*r));

	if (!r) { /* a port state that can't be told is one that can't be trusted (P9) */
		log_error("out of memory: the state of the link to node %u can't be told; ending at once", node);
		abort();
	}
	*r = (struct report){ .msg.fn = reported, .l = l, .node = node, .direction = d, .up = up, .all = all };
	core_post_control(l->core, &r->msg);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

int link_sockaddr(const struct link_node *n, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, n->addr, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(n->port);
		*len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, n->addr, &v6->sin6_addr) != 1)
		return -EINVAL;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(n->port);
	*len = sizeof(*v6);
	return 0;
}

static int new_peers(struct link *l, const struct link_params *p, char *err, size_t errlen)
{
	l->peer = calloc(p->nnodes, sizeof(*l->peer));
	if (!l->peer)
		return -ENOMEM;
	for (size_t i = 0; i < p->nnodes; i++) {
		struct link_peer *peer = &l->peer[l->npeers];

		if (p->nodes[i].id == p->node)
			continue;
		peer->node = p->nodes[i]; /* the configuration that has the strings is not there for ever */
		snprintf(peer->name, sizeof(peer->name), "%s", p->nodes[i].name);
		snprintf(peer->addr_text, sizeof(peer->addr_text), "%s", p->nodes[i].addr);
		peer->node.name = peer->name;
		peer->node.addr = peer->addr_text;
		l->npeers++;
		if (link_sockaddr(&peer->node, &peer->addr, &peer->addr_len) < 0) {
			snprintf(err, errlen, "link of node %s: \"%s\" is not a numeric address; correct link: in sandem.yaml",
				 peer->node.name, p->nodes[i].addr);
			return -EINVAL;
		}
	}
	return 0;
}

static const struct link_node *own(const struct link_params *p)
{
	for (size_t i = 0; i < p->nnodes; i++)
		if (p->nodes[i].id == p->node)
			return &p->nodes[i];
	return NULL;
}

static int init(struct link *l, const struct link_params *p, char *err, size_t errlen)
{
	int rc = link_key_load(&l->key, p->key_file, err, errlen);

	if (rc < 0)
		return rc;
	if (getrandom(&l->incarnation, sizeof(l->incarnation), 0) != sizeof(l->incarnation))
		return -EIO;
	l->incarnation |= 1;
	if (p->tls)
		l->tls = link_tls_context_new(&l->key, p->cluster);
	if (p->tls && !l->tls) {
		snprintf(err, errlen, "link: TLS 1.3 can't be set up with this libssl; set link_tls: false in sandem.yaml");
		return -ENOTSUP;
	}
	rc = new_peers(l, p, err, errlen);
	if (rc == 0)
		rc = link_in_new(l);
	for (size_t i = 0; i < l->npeers && rc == 0; i++)
		rc = link_out_new(l, &l->peer[i]);
	return rc < 0 ? rc : link_accept_new(l, own(p), err, errlen);
}

int link_start(struct link **out, const struct link_params *p, char *err, size_t errlen)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	err[0] = '\0';
	if (l) {
		l->core = p->core;
		l->node = p->node;
		l->changed = p->changed;
		l->arg = p->arg;
		snprintf(l->cluster, sizeof(l->cluster), "%s", p->cluster);
		rc = init(l, p, err, errlen);
	}
	if (rc < 0) {
		if (!err[0])
			snprintf(err, errlen, "link: %s", strerror(-rc));
		link_free(l);
		return rc;
	}
	l->core->forward.submit = link_out_submit;
	l->core->forward.aborted = link_out_aborted;
	l->core->forward.gate_changed = link_out_gate_changed;
	l->core->forward.arg = l;
	*out = l;
	return 0;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	link_accept_free(l);
	for (size_t i = 0; i < l->npeers; i++)
		link_out_free(l, &l->peer[i]);
	link_in_free(l);
	link_tls_context_free(l->tls);
	link_key_wipe(&l->key);
	free(l->peer);
	free(l);
}
