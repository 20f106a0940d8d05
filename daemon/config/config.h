/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration of the whole cluster: the same file on every node (docs/sandem.yaml.md).
 *
 *   sandem.yaml ── config_load() ──▶ struct config ◀── config_standalone() ── command line
 *      1. syntax and shape: the document against the schema, with line numbers (check.c)
 *      2. libcyaml with the same schema → raw structs                          (schema.c)
 *      3. raw structs + defaults → struct config                               (build.c)
 *      4. config_verify(): what the objects must be to each other              (verify.c)
 *
 *   struct config ─┬─ cluster, daemon, iscsi
 *                  ├─ node[]    each with portals
 *                  ├─ group[]   LUN groups
 *                  ├─ lu[]      each in a group, with its complete identity
 *                  └─ target[]  each with acl[] (first match wins), each with lun[] (an index into lu[])
 *
 * A struct config is built once and never changed: any thread may read it. It owns everything it points to.
 * Numbers are in range and references are good in every struct config that these functions hand out; those who read
 * it need not check again.
 */
#ifndef SANDEM_CONFIG_H
#define SANDEM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "core/lu.h"
#include "core/target.h"
#include "daemon/config/limits.h"
#include "drivers/iscsi/defaults.h"

struct options;

enum config_log { CONFIG_LOG_CPG, CONFIG_LOG_LOCAL };
enum config_application_tag { APPLICATION_TAG_INITIATOR, APPLICATION_TAG_TARGET }; /* who owns it: the ATO bit */
enum config_non_owner { NON_OWNER_STANDBY, NON_OWNER_FORWARD };

enum config_store_type { CONFIG_STORE_FILE, CONFIG_STORE_ETCD };

struct config_store { /* what is kept outside of the nodes, too: daemon/etcd_sync.h */
	enum config_store_type type;
	size_t nendpoints; /* >= 1 with etcd */
	char *endpoint[STORE_ENDPOINTS_MAX]; /* "http://…" or "https://…" */
	char *ca, *cert, *key;		     /* files; NULL: not given */
	char *user, *password_file;	     /* both or none */
};

struct config_node {
	char *name; /* as in corosync.conf or the host's name */
	uint32_t id; /* corosync's node id, NODE_ID_MIN … NODE_ID_MAX; = target port group = portal group tag */
	uint16_t nportals; /* >= 1 */
	struct portal *portal;
	struct portal link; /* where the other nodes reach it: cluster/link.h */
	char *management_url; /* VPD page 85h; NULL: not given */
};

struct config_group { /* LUN group: the unit of failover */
	char *name; /* at most LU_NAME_MAX bytes */
	enum config_non_owner non_owner; /* what ports of other nodes than the owner do */
	uint32_t hold_limit_ms; /* commands wait that long at most during a move */
	int preferred; /* index into node[], or -1 */
};

struct config_lu {
	char *name; /* at most LU_NAME_MAX bytes, unique in the cluster */
	unsigned group; /* index into group[] */
	struct disk_params disk; /* strings owned here; path NULL for null; pi_path NULL without protection */
	uint8_t lb_per_pb_exp;
	bool read_only, thin, rotational, removable;
	bool cdrom; /* peripheral device type 05h; then read_only and removable, too */
	bool write_cache; /* mode page 08h: default of WCE */
	struct mode_state mode; /* defaults of the other mode parameters */
	uint32_t max_transfer_bytes;
	uint32_t queue_limit; /* commands in the task set of a node; 0 = none */
	uint8_t thin_threshold; /* percent of the capacity that should stay available; 0 = none */
	bool application_tag_ours; /* of protection information (disk.pi_type): the target owns application tags */
	struct lu_identity id; /* complete; see config_identity() */
};

struct config_lun {
	uint16_t lun; /* 0 … LUN_MAX */
	unsigned lu; /* index into lu[] */
	bool read_only; /* for this access list; the LU's own read_only is separate */
};

struct config_acl {
	size_t npatterns; /* 0 = nobody */
	char **pattern; /* fnmatch(3), lower case */
	size_t nluns;
	struct config_lun *lun; /* sorted by lun */
};

struct config_target {
	char *name; /* iqn., eui. or naa. name, lower case */
	uint8_t slot; /* high byte of its relative target port identifiers: its place in the file, or config_slots_take() */
	size_t nacls; /* >= 1; `luns` + `initiators` of the file are one access list */
	struct config_acl *acl; /* first match wins */
};

struct config {
	char *cluster; /* name */
	char *key_file; /* of the link between the nodes; NULL with --standalone */
	bool link_tls;	/* that link is encrypted */
	bool explicit_alua; /* SET TARGET PORT GROUPS is served (daemon/explicit.h) … */
	char *move_program; /* … by this program; NULL with --standalone */
	char *management_url; /* VPD page 85h; NULL: not given */
	enum config_log log;
	size_t nnodes;
	struct config_node *node;
	size_t ngroups;
	struct config_group *group;
	size_t nlus;
	struct config_lu *lu;
	size_t ntargets;
	struct config_target *target;
	unsigned nreactors;
	int *reactor_cpu; /* [nreactors]: CPU to pin to, or -1 */
	enum log_level log_level;
	struct iscsi_settings iscsi;
	struct config_store store;
};

struct config_error {
	int line;	/* 0: none is known */
	char path[160]; /* "luns[0].size"; empty: the whole file */
	char text[768]; /* complete: "FILE:LINE: luns[0].size: what is wrong; what is allowed" */
};

/* Reads, checks and completes a configuration file. 0 and *out; or -ENOENT/-EACCES/… (file can't be read), -EINVAL (its
 * content), -ENOMEM, and err->text. Any thread; blocks on the file only. */
int config_load(const char *file, struct config **out, struct config_error *err);

/* The same from memory; name stands for the file in messages. */
int config_parse(const char *name, const char *text, size_t len, struct config **out, struct config_error *err);

/* The configuration of --standalone: one node, one group, one target, --lun in order. 0, or -EINVAL/-ENOMEM and
 * err->text, which names the option. Looks at the paths (file or block device?), changes nothing. */
int config_standalone(const struct options *o, struct config **out, struct config_error *err);

/* The bytes of a file that config_load() would take, for config_parse(). *text is the caller's to free. */
int config_read(const char *file, char **text, size_t *len, struct config_error *err);

/* Mode parameters of LUNs that say nothing about them (without wce). */
extern const struct mode_state config_mode_default;

void config_free(struct config *c);

/* Whether the objects fit together: unique names, ids and LUNs, good references, portals, names of RFC 7143 4.2.7.
 * Pure. 0, or -EINVAL with err->path and err->text (without file and line, which only config_load() knows). */
int config_verify(const struct config *c, struct config_error *err);

/*
 * Completes an identity from SHA-256(cluster name, LUN name), so that it is the same on every node and over restarts
 * without being stored: serial (16 hex digits) where id->serial is empty, NAA where id->naa_len is 0, t10_id = serial
 * where empty. The NAA is of type 3h, locally assigned (SPC-4 7.8.6.6.4): 4 bits type, 60 bits hash. Type 6h would claim an
 * IEEE company identifier that is not ours. Pure.
 */
void config_identity(struct lu_identity *id, const char *cluster, const char *lun);

/* SHA-256 over a canonical form of all that nodes must have in common: everything but the daemon's own settings
 * (reactors, log level) and comments, order of keys, and defaults written out or not. Pure. */
void config_digest(const struct config *c, uint8_t digest[32]);

/* The same over what can't change while the cluster runs, and therefore comes from each node's own file: the cluster, the
 * nodes, the names of the groups and who forwards, the iSCSI settings. Pure. */
void config_fixed_digest(const struct config *c, uint8_t digest[32]);

/* What of it nodes must have in common where the cluster's state says which groups there are: the cluster, names and
 * ids of the nodes, what initiators are told of the device. Addresses and iSCSI settings are changed by restarting one
 * node after the other, and differ meanwhile. Pure. */
void config_nodes_digest(const struct config *c, uint8_t digest[32]);

/* The URLs for VPD page 85h: the cluster's, then the nodes'. Into url[], with room for nnodes + 1; returns how many. */
size_t config_management_urls(const struct config *c, const char **url);

/* Whether a group's non-owners forward, so that the nodes need links. */
bool config_forwards(const struct config *c);

/* Index into node[] or -1. */
int config_find_node(const struct config *c, const char *name);
/* Index into lu[] or -1. */
int config_find_lu(const struct config *c, const char *name);

/* Relative target port identifier of a target's port on a node: unique in the cluster, the same on every node
 * (SPC-4 4.6.4). slot: the target's. */
static inline uint16_t config_rtpi(size_t slot, uint32_t node_id)
{
	return (uint16_t)(slot << 8 | node_id);
}

#endif
