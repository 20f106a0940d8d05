/* SPDX-License-Identifier: BSD-2-Clause */
/* SCSI target devices, their ports on every node, and who may see which LUN. Built by the control
 * thread from the configuration; read by reactors. */
#ifndef SANDEM_CORE_TARGET_H
#define SANDEM_CORE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct lu;
struct core;

struct portal {
	char addr[64]; /* numeric, IPv6 without brackets */
	uint16_t port;
};

/* The target port of one node: iSCSI target portal group. */
struct target_port {
	uint16_t tpgt;	/* target portal group tag = target port group id = node id */
	uint16_t rtpi;	/* relative target port identifier: unique in the cluster */
	uint16_t nportals;
	struct portal *portal;
};

struct lun_entry {
	uint16_t lun;
	struct lu *lu;
	bool read_only;
};

struct initiator_acl { /* one access list: who sees these LUNs */
	char **pattern; /* fnmatch(3) patterns of initiator names */
	uint16_t npatterns;
	struct lun_entry *lun; /* sorted by lun */
	uint16_t nluns;
};

struct target {
	char name[224];
	struct core *core;
	uint16_t nports;
	struct target_port *port;
	uint16_t local_port; /* index: the port on this node */
	uint16_t nacls;
	struct initiator_acl *acl; /* first match wins */
	bool map_changed; /* set by the control thread around a lun_map_refresh() */
	const struct target_access *access; /* published: counts in place of acl[]; NULL: was never changed */
};

/* The access lists of a target that may change while it serves: immutable, published by the control thread, freed when
 * a lun_map_refresh() has passed. */
struct target_access {
	uint16_t nacls;
	struct initiator_acl acl[];
};

/* Any thread. NULL when there is none. Names compare case-sensitive after normalisation to lower case (RFC 7143 4.2.7.1). */
struct target *target_find(struct core *core, const char *name);
/* The one that has this port, on whichever node. */
struct target *target_find_port(struct core *core, uint16_t rtpi);
const struct initiator_acl *target_acl(const struct target *t, const char *initiator);
/* All access lists that count now. */
const struct initiator_acl *target_acls(const struct target *t, uint16_t *n);
/* Control thread: into and out of the list that target_find() and discovery read. There is room (core->target). */
void core_add_target(struct core *core, struct target *t);
void core_remove_target(struct core *core, struct target *t);

static inline const struct target_port *target_local_port(const struct target *t)
{
	return &t->port[t->local_port];
}

#endif
