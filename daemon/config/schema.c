/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of sandem.yaml as libcyaml's schema. To add a key: a member in raw.h, a line here, a line in
 * build.c, a paragraph in docs/sandem.yaml.md. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/raw.h"

#define OPTIONAL (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)
#define REQUIRED CYAML_FLAG_POINTER
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT(key, flags, type, member) CYAML_FIELD_STRING_PTR(key, flags, type, member, 1, 4096)
#define LIST(key, flags, type, member, entry, min, max) \
	CYAML_FIELD_SEQUENCE(key, flags, type, member, entry, min, max)

static const cyaml_schema_value_t text_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 255),
};

static const cyaml_strval_t log_words[] = { { "cpg", CONFIG_LOG_CPG }, { "local", CONFIG_LOG_LOCAL } };
static const cyaml_schema_field_t cluster_fields[] = {
	TEXT("name", REQUIRED, struct raw_cluster, name),
	CYAML_FIELD_ENUM_PTR("log", OPTIONAL | CYAML_FLAG_STRICT, struct raw_cluster, log, log_words, COUNT(log_words)),
	TEXT("key_file", OPTIONAL, struct raw_cluster, key_file),
	CYAML_FIELD_BOOL_PTR("link_tls", OPTIONAL, struct raw_cluster, link_tls),
	CYAML_FIELD_BOOL_PTR("explicit_alua", OPTIONAL, struct raw_cluster, explicit_alua),
	TEXT("move_program", OPTIONAL, struct raw_cluster, move_program),
	TEXT("management_url", OPTIONAL, struct raw_cluster, management_url),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t node_fields[] = {
	TEXT("name", REQUIRED, struct raw_node, name),
	CYAML_FIELD_UINT("id", CYAML_FLAG_DEFAULT, struct raw_node, id),
	LIST("portals", REQUIRED, struct raw_node, portals, &text_entry, 1, PORTALS_MAX),
	TEXT("link", OPTIONAL, struct raw_node, link),
	TEXT("management_url", OPTIONAL, struct raw_node, management_url),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t node_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_node, node_fields),
};

static const cyaml_strval_t non_owner_words[] = { { "standby", NON_OWNER_STANDBY }, { "forward", NON_OWNER_FORWARD } };
static const cyaml_schema_field_t group_fields[] = {
	TEXT("name", REQUIRED, struct raw_group, name),
	CYAML_FIELD_ENUM_PTR("non_owner", OPTIONAL | CYAML_FLAG_STRICT, struct raw_group, non_owner, non_owner_words,
			     COUNT(non_owner_words)),
	TEXT("hold_limit", OPTIONAL, struct raw_group, hold_limit),
	TEXT("preferred", OPTIONAL, struct raw_group, preferred),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t group_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_group, group_fields),
};

static const cyaml_strval_t handler_words[] = { { "file", RAW_FILE }, { "block", RAW_BLOCK }, { "null", RAW_NULL } };
static const cyaml_strval_t type_words[] = { { "disk", RAW_DISK }, { "cdrom", RAW_CDROM } };
static const cyaml_strval_t application_tag_words[] = {
	{ "initiator", APPLICATION_TAG_INITIATOR }, { "target", APPLICATION_TAG_TARGET },
};
static const cyaml_schema_field_t protection_fields[] = {
	CYAML_FIELD_UINT("type", CYAML_FLAG_DEFAULT, struct raw_protection, type),
	TEXT("path", OPTIONAL, struct raw_protection, path),
	CYAML_FIELD_ENUM_PTR("application_tag", OPTIONAL | CYAML_FLAG_STRICT, struct raw_protection, application_tag,
			     application_tag_words, COUNT(application_tag_words)),
	CYAML_FIELD_END,
};
#define FAULT_TEXT(key, member) TEXT(key, OPTIONAL, struct raw_fault, member)
static const cyaml_schema_field_t fault_fields[] = {
	FAULT_TEXT("delay", delay),
	FAULT_TEXT("error", error),
	FAULT_TEXT("short", short_),
	FAULT_TEXT("op", op),
	FAULT_TEXT("lba", lba),
	FAULT_TEXT("rate", rate),
	FAULT_TEXT("seed", seed),
	FAULT_TEXT("count", count),
	FAULT_TEXT("trigger", trigger),
	CYAML_FIELD_END,
};
#define LU_BOOL(key) CYAML_FIELD_BOOL_PTR(#key, OPTIONAL, struct raw_lu, key)
#define LU_UINT(key) CYAML_FIELD_UINT_PTR(#key, OPTIONAL, struct raw_lu, key)
#define LU_TEXT(key) TEXT(#key, OPTIONAL, struct raw_lu, key)
static const cyaml_schema_field_t lu_fields[] = {
	TEXT("name", REQUIRED, struct raw_lu, name),
	TEXT("group", REQUIRED, struct raw_lu, group),
	CYAML_FIELD_ENUM_PTR("handler", OPTIONAL | CYAML_FLAG_STRICT, struct raw_lu, handler, handler_words,
			     COUNT(handler_words)),
	CYAML_FIELD_ENUM_PTR("type", OPTIONAL | CYAML_FLAG_STRICT, struct raw_lu, type, type_words, COUNT(type_words)),
	LU_TEXT(path),
	LU_TEXT(size),
	LU_TEXT(encryption_key),
	CYAML_FIELD_UINT_PTR("block_size", OPTIONAL, struct raw_lu, block_size),
	CYAML_FIELD_UINT_PTR("physical_block_exp", OPTIONAL, struct raw_lu, physical_block_exp),
	LU_TEXT(max_transfer),
	LU_UINT(queue_limit),
	LU_BOOL(create),
	LU_BOOL(direct),
	LU_BOOL(read_only),
	LU_BOOL(thin),
	CYAML_FIELD_UINT_PTR("thin_threshold", OPTIONAL, struct raw_lu, thin_threshold),
	LU_BOOL(rotational),
	LU_BOOL(removable),
	LU_BOOL(write_cache),
	LU_BOOL(d_sense),
	LU_BOOL(swp),
	LU_BOOL(tas),
	LU_UINT(tst),
	LU_UINT(qerr),
	LU_UINT(qam),
	LU_UINT(ua_intlck),
	LU_TEXT(vendor),
	LU_TEXT(product),
	LU_TEXT(revision),
	LU_TEXT(serial),
	LU_TEXT(naa),
	LU_TEXT(t10_id),
	CYAML_FIELD_MAPPING_PTR("protection", OPTIONAL, struct raw_lu, protection, protection_fields),
	CYAML_FIELD_MAPPING_PTR("fault", OPTIONAL, struct raw_lu, fault, fault_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t lu_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_lu, lu_fields),
};

static const cyaml_schema_field_t lun_fields[] = {
	CYAML_FIELD_UINT("lun", CYAML_FLAG_DEFAULT, struct raw_lun, lun),
	TEXT("name", REQUIRED, struct raw_lun, name),
	CYAML_FIELD_BOOL_PTR("read_only", OPTIONAL, struct raw_lun, read_only),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t lun_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_lun, lun_fields),
};

static const cyaml_schema_field_t acl_fields[] = {
	LIST("initiators", REQUIRED, struct raw_acl, initiators, &text_entry, 0, PATTERNS_MAX),
	LIST("luns", REQUIRED, struct raw_acl, luns, &lun_entry, 0, ACL_LUNS_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t acl_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_acl, acl_fields),
};

static const cyaml_schema_field_t target_fields[] = {
	TEXT("name", REQUIRED, struct raw_target, name),
	CYAML_FIELD_SEQUENCE_COUNT("initiators", OPTIONAL, struct raw_target, own.initiators, own.initiators_count,
				   &text_entry, 0, PATTERNS_MAX),
	CYAML_FIELD_SEQUENCE_COUNT("luns", OPTIONAL, struct raw_target, own.luns, own.luns_count, &lun_entry, 0,
				   ACL_LUNS_MAX),
	LIST("acls", OPTIONAL, struct raw_target, acls, &acl_entry, 1, ACLS_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t target_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_target, target_fields),
};

static const cyaml_schema_value_t cpu_entry = { CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t) };
static const cyaml_schema_field_t daemon_fields[] = {
	CYAML_FIELD_UINT_PTR("reactors", OPTIONAL, struct raw_daemon, reactors),
	LIST("cpus", OPTIONAL, struct raw_daemon, cpus, &cpu_entry, 1, REACTORS_MAX),
	TEXT("log_level", OPTIONAL, struct raw_daemon, log_level),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t iscsi_fields[] = {
#define X(name, def, min, max) TEXT(#name, OPTIONAL, struct raw_iscsi, name),
	ISCSI_SETTINGS(X)
#undef X
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t tls_fields[] = {
	TEXT("ca", OPTIONAL, struct raw_tls, ca),
	TEXT("cert", OPTIONAL, struct raw_tls, cert),
	TEXT("key", OPTIONAL, struct raw_tls, key),
	CYAML_FIELD_END,
};

static const cyaml_strval_t store_words[] = { { "file", CONFIG_STORE_FILE }, { "etcd", CONFIG_STORE_ETCD } };
static const cyaml_schema_field_t store_fields[] = {
	CYAML_FIELD_ENUM_PTR("type", OPTIONAL | CYAML_FLAG_STRICT, struct raw_store, type, store_words,
			     COUNT(store_words)),
	LIST("endpoints", OPTIONAL, struct raw_store, endpoints, &text_entry, 1, STORE_ENDPOINTS_MAX),
	CYAML_FIELD_MAPPING_PTR("tls", OPTIONAL, struct raw_store, tls, tls_fields),
	TEXT("user", OPTIONAL, struct raw_store, user),
	TEXT("password_file", OPTIONAL, struct raw_store, password_file),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_MAPPING("cluster", CYAML_FLAG_DEFAULT, struct raw_config, cluster, cluster_fields),
	LIST("nodes", REQUIRED, struct raw_config, nodes, &node_entry, 1, NODES_MAX),
	LIST("groups", REQUIRED, struct raw_config, groups, &group_entry, 1, GROUPS_MAX),
	LIST("luns", REQUIRED, struct raw_config, luns, &lu_entry, 0, LUS_MAX),
	LIST("targets", REQUIRED, struct raw_config, targets, &target_entry, 1, TARGETS_MAX),
	CYAML_FIELD_MAPPING("daemon", CYAML_FLAG_OPTIONAL, struct raw_config, daemon, daemon_fields),
	CYAML_FIELD_MAPPING("iscsi", CYAML_FLAG_OPTIONAL, struct raw_config, iscsi, iscsi_fields),
	CYAML_FIELD_MAPPING_PTR("store", OPTIONAL, struct raw_config, store, store_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t config_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, config_fields),
};

const cyaml_schema_value_t *config_schema(void)
{
	return &config_value;
}

/* config_check() has told the user's mistakes better; what libcyaml still finds is passed on with its own words, the
 * first line of which says what, a later one where ("Load: … (line: 3, column: 9)"). */
struct complaint {
	char text[400];
};

__attribute__((format(printf, 3, 0))) static void note_complaint(cyaml_log_t level, void *ctx, const char *fmt,
								   va_list args)
{
	struct complaint *c = ctx;
	size_t len = strlen(c->text);

	(void)level;
	vsnprintf(c->text + len, sizeof(c->text) - len, fmt, args);
	for (char *nl = c->text + len; (nl = strchr(nl, '\n')); nl++)
		*nl = ' ';
}

static void *memory(void *ctx, void *p, size_t size)
{
	(void)ctx;
	if (size)
		return realloc(p, size);
	free(p);
	return NULL;
}

static const cyaml_config_t free_config = { .mem_fn = memory, .log_level = CYAML_LOG_ERROR };

int config_raw_load(const char *text, size_t len, struct raw_config **out, const struct config_where *w,
		    struct config_error *err)
{
	struct complaint complaint = { "" };
	cyaml_config_t cfg = { .log_fn = note_complaint, .log_ctx = &complaint, .mem_fn = memory,
			       .log_level = CYAML_LOG_ERROR, .flags = CYAML_CFG_NO_ALIAS };
	cyaml_err_t rc = cyaml_load_data((const uint8_t *)text, len, &cfg, &config_value, (cyaml_data_t **)out, NULL);

	if (rc == CYAML_ERR_OOM)
		return config_no_memory(err);
	if (rc != CYAML_OK)
		return config_fail(w, err, "", "%s (%s)", complaint.text, cyaml_strerror(rc));
	return 0;
}

void config_raw_free(struct raw_config *raw)
{
	if (raw)
		cyaml_free(&free_config, &config_value, raw, 0);
}
