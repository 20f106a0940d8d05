/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration file as it is written: what libcyaml fills in. Private to daemon/config*.c.
 * A NULL pointer is a key that was left out; build.c puts the default there.
 */
#ifndef SANDEM_CONFIG_RAW_H
#define SANDEM_CONFIG_RAW_H

#include <cyaml/cyaml.h>

#include "daemon/config/config.h"
#include "drivers/iscsi/defaults.h"

struct raw_cluster {
	char *name;
	enum config_log *log;
	char *key_file;
	bool *link_tls, *explicit_alua;
	char *move_program, *management_url;
};

struct raw_node {
	char *name;
	uint32_t id;
	char **portals;
	unsigned portals_count;
	char *link, *management_url;
};

struct raw_group {
	char *name;
	enum config_non_owner *non_owner;
	char *hold_limit;
	char *preferred;
};

enum raw_handler { RAW_FILE, RAW_BLOCK, RAW_NULL };
struct raw_protection { /* core/pi.h */
	uint32_t type;
	char *path;
	enum config_application_tag *application_tag;
};

enum raw_type { RAW_DISK, RAW_CDROM };

struct raw_fault { /* drivers/disk/fault.h */
	char *delay, *error, *short_, *op, *lba, *rate, *seed, *count, *trigger;
};

struct raw_lu {
	char *name, *group;
	enum raw_handler *handler;
	enum raw_type *type;
	char *path, *size, *encryption_key;
	uint32_t *block_size, *physical_block_exp, *thin_threshold, *queue_limit;
	char *max_transfer;
	bool *create, *direct, *read_only, *thin, *rotational, *removable, *write_cache;
	bool *d_sense, *swp, *tas;
	uint32_t *tst, *qerr, *qam, *ua_intlck;
	char *vendor, *product, *revision, *serial, *naa, *t10_id;
	struct raw_protection *protection;
	struct raw_fault *fault;
};

struct raw_lun {
	uint32_t lun;
	char *name;
	bool *read_only;
};

struct raw_acl {
	char **initiators;
	unsigned initiators_count;
	struct raw_lun *luns;
	unsigned luns_count;
};

struct raw_target {
	char *name;
	struct raw_acl own; /* `initiators` and `luns` of the target itself */
	struct raw_acl *acls;
	unsigned acls_count;
};

struct raw_daemon {
	uint32_t *reactors;
	uint32_t *cpus;
	unsigned cpus_count;
	char *log_level;
};

struct raw_iscsi { /* as text: lengths take K and M, times ms, s and m, switches true and false */
#define X(name, def, min, max) char *name;
	ISCSI_SETTINGS(X)
#undef X
};

struct raw_tls {
	char *ca, *cert, *key;
};

struct raw_store {
	enum config_store_type *type;
	char **endpoints;
	unsigned endpoints_count;
	struct raw_tls *tls;
	char *user, *password_file;
};

struct raw_config {
	struct raw_store *store;
	struct raw_cluster cluster;
	struct raw_node *nodes;
	unsigned nodes_count;
	struct raw_group *groups;
	unsigned groups_count;
	struct raw_lu *luns;
	unsigned luns_count;
	struct raw_target *targets;
	unsigned targets_count;
	struct raw_daemon daemon;
	struct raw_iscsi iscsi;
};

/* schema.c: of the whole file. */
const cyaml_schema_value_t *config_schema(void);
/* libcyaml over text that config_check() has found good. 0, -EINVAL, -ENOMEM. */
struct config_where;
int config_raw_load(const char *text, size_t len, struct raw_config **out, const struct config_where *w,
		    struct config_error *err);
void config_raw_free(struct raw_config *raw);

/*
 * check.c: the shape of the document against the schema: unknown, doubled, missing keys, wrong kinds of value,
 * numbers out of bounds; and which key stands in which line.
 * On success *out must be freed with config_where_free(). file: for messages; borrowed.
 */
int config_check(const char *file, const char *text, size_t len, struct config_where **out, struct config_error *err);
void config_where_free(struct config_where *w);
/* Whether the file has this key. */
bool config_where_has(const struct config_where *w, const char *path);
/* Fills err for a key path such as "luns[0].size": what is wrong; what is allowed. Returns -EINVAL.
 * w may be NULL: then without file and line. */
__attribute__((format(printf, 4, 5))) int config_fail(const struct config_where *w, struct config_error *err,
						      const char *path, const char *fmt, ...);

/* build.c: raw structs and defaults to a struct config, not yet verified. 0, -EINVAL, -ENOMEM. */
int config_build(const struct raw_config *raw, const struct config_where *w, struct config **out,
		 struct config_error *err);
/* Sorts what users of struct config find sorted; after config_verify(), whose messages count as the file does. */
void config_sort(struct config *c);
/* build.c: where protection information is kept; path NULL: beside the medium. 0, -ENOMEM. */
int config_protection_path(struct config_lu *l, const char *path);
/* -ENOMEM with err filled. */
int config_no_memory(struct config_error *err);

#endif
