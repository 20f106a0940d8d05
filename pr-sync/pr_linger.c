/* SPDX-License-Identifier: BSD-2-Clause */
#include "pr-sync/pr_linger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pr-sync/pr_msg.h"

#define BESIDE_VERSION 1

static bool is_on(const struct pr_lingering *e, const char *lu)
{
	return !strcmp(e->lu, lu);
}

const struct pr_lingering *pr_linger_find(const struct pr_linger *l, const char *lu)
{
	for (uint32_t i = l->n; i > 0; i--)
		if (is_on(&l->of[i - 1], lu))
			return &l->of[i - 1];
	return NULL;
}

static void drop(struct pr_linger *l, uint32_t at)
{
	l->n--;
	memmove(&l->of[at], &l->of[at + 1], (l->n - at) * sizeof(l->of[0]));
}

int pr_linger_add(struct pr_linger *l, const char *lu, uint32_t node, const struct nexus_id *holder)
{
	uint32_t cap = l->cap ? 2 * l->cap : 4;
	struct pr_lingering *of;

	for (uint32_t i = 0; i < l->n; i++) {
		if (l->of[i].node == node && is_on(&l->of[i], lu)) {
			drop(l, i);
			break;
		}
	}
	if (l->n == l->cap) {
		of = realloc(l->of, cap * sizeof(*of));
		if (!of)
			return -ENOMEM;
		l->of = of;
		l->cap = cap;
	}
	l->of[l->n] = (struct pr_lingering){ .node = node, .holder = *holder };
	strncpy(l->of[l->n++].lu, lu, LU_NAME_MAX);
	return 0;
}

void pr_linger_settle(struct pr_linger *l, const char *lu, const struct pr_may_live *may_live)
{
	for (uint32_t i = l->n; i > 0; i--) {
		const struct pr_lingering *e = &l->of[i - 1];

		if (is_on(e, lu) && !(may_live->fn && may_live->fn(may_live->arg, e->node)))
			drop(l, i - 1);
	}
}

void pr_linger_fini(struct pr_linger *l)
{
	free(l->of);
	*l = (struct pr_linger){ 0 };
}

/* ---- beside the snapshot --------------------------------------------------------------------- */

struct packed {
	Sandem__Pr__Lingering pb;
	Sandem__Pr__Nexus holder;
};

void pr_linger_pack(const struct pr_linger *l, struct wbuf *out)
{
	Sandem__Pr__Beside beside = SANDEM__PR__BESIDE__INIT;
	struct packed *p;

	if (!l->n)
		return;
	p = calloc(l->n, sizeof(*p));
	beside.lingering = calloc(l->n, sizeof(beside.lingering[0]));
	beside.version = BESIDE_VERSION;
	for (uint32_t i = 0; p && beside.lingering && i < l->n; i++) {
		sandem__pr__lingering__init(&p[i].pb);
		p[i].pb.lu = (ProtobufCBinaryData){ strlen(l->of[i].lu), (uint8_t *)l->of[i].lu };
		p[i].pb.node = l->of[i].node;
		pr_msg_put_nexus(&p[i].holder, &l->of[i].holder);
		p[i].pb.holder = &p[i].holder;
		beside.lingering[beside.n_lingering++] = &p[i].pb;
	}
	if (beside.n_lingering)
		pr_msg_pack(&beside.base, out);
	else
		out->err = -ENOMEM;
	free(beside.lingering);
	free(p);
}

static int read_one(struct pr_linger *l, const Sandem__Pr__Lingering *pb)
{
	char lu[LU_NAME_MAX + 1];
	struct nexus_id holder;

	if (pb->base.n_unknown_fields || !pb->node || !pr_msg_get_name(&pb->lu, lu, LU_NAME_MAX) ||
	    !pr_msg_get_nexus(pb->holder, &holder))
		return -EBADMSG;
	return pr_linger_add(l, lu, pb->node, &holder);
}

static int read_all(struct pr_linger *l, const Sandem__Pr__Beside *pb)
{
	int rc = 0;

	if (pb->base.n_unknown_fields || pb->version != BESIDE_VERSION)
		return -EBADMSG;
	for (size_t i = 0; !rc && i < pb->n_lingering; i++)
		rc = read_one(l, pb->lingering[i]);
	return rc;
}

int pr_linger_unpack(struct pr_linger *l, const uint8_t *p, size_t len, char *err, size_t errlen)
{
	Sandem__Pr__Beside *pb = len ? sandem__pr__beside__unpack(NULL, len, p) : NULL;
	struct pr_linger aside = { 0 };
	int rc = !len ? 0 : pb ? read_all(&aside, pb) : -EBADMSG;

	if (pb)
		sandem__pr__beside__free_unpacked(pb, NULL);
	if (rc) {
		pr_linger_fini(&aside);
		snprintf(err, errlen, rc == -ENOMEM ? "reservations: not enough memory; free memory on this node and start it again" :
				"reservations of lost nodes: they can't be read (%zu bytes); run the same version on every node", len);
		return rc;
	}
	pr_linger_fini(l);
	*l = aside;
	return 0;
}
