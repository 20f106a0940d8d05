/* SPDX-License-Identifier: BSD-2-Clause */
/* SendTargets (RFC 7143 13.3, appendix C): every target that the initiator may access, with the portals of every node.
 * The portal group tag is the node's target port group. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/iscsi/conn.h"

static bool wildcard(const char *addr)
{
	return strcmp(addr, "0.0.0.0") == 0 || strcmp(addr, "::") == 0;
}

static void put_address(FILE *f, const struct discovery *d, const struct portal *p, uint16_t tpgt)
{
	const char *colon = d->here ? strrchr(d->here, ':') : NULL;

	if (wildcard(p->addr) && colon) /* the initiator knows an address of this node: the one it came through */
		fprintf(f, "TargetAddress=%.*s:%u,%u", (int)(colon - d->here), d->here, p->port, tpgt);
	else if (strchr(p->addr, ':')) /* 13.8 */
		fprintf(f, "TargetAddress=[%s]:%u,%u", p->addr, p->port, tpgt);
	else
		fprintf(f, "TargetAddress=%s:%u,%u", p->addr, p->port, tpgt);
	fputc('\0', f);
}

static void put_target(FILE *f, const struct discovery *d, const struct target *t)
{
	fprintf(f, "TargetName=%s", t->name);
	fputc('\0', f);
	for (uint16_t i = 0; i < t->nports; i++)
		for (uint16_t k = 0; k < t->port[i].nportals; k++)
			/* another node's wildcard portal tells nobody anything */
			if (i == t->local_port || !wildcard(t->port[i].portal[k].addr))
				put_address(f, d, &t->port[i].portal[k], t->port[i].tpgt);
}

static bool shown(const struct discovery *d, const struct target *t, const char *name)
{
	return (!d->own || d->own == t) && (!name || strcmp(name, t->name) == 0) && target_acl(t, d->initiator);
}

static int put_all(const struct discovery *d, const char *name, char **out, size_t *len)
{
	FILE *f = open_memstream(out, len);
	int failed;

	if (!f)
		return -ENOMEM;
	for (uint32_t i = 0; i < __atomic_load_n(&d->core->ntargets, __ATOMIC_ACQUIRE); i++) {
		const struct target *t = __atomic_load_n(&d->core->target[i], __ATOMIC_ACQUIRE);

		if (shown(d, t, name))
			put_target(f, d, t);
	}
	failed = ferror(f);
	if (fclose(f) || failed) {
		free(*out);
		return -ENOMEM;
	}
	return 0;
}

int discovery_targets(const struct discovery *d, const char *value, char **out, size_t *len)
{
	char name[224];
	const char *why;

	if (strcmp(value, "All") == 0) /* in discovery sessions only */
		return d->own ? -EINVAL : put_all(d, NULL, out, len);
	if (!value[0]) /* "this session's target" */
		return d->own ? put_all(d, NULL, out, len) : -EINVAL;
	if (!text_iscsi_name(value, name, &why))
		return -EINVAL;
	return put_all(d, name, out, len);
}
