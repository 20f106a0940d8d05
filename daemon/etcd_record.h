/* SPDX-License-Identifier: BSD-2-Clause */
/* What the cluster keeps in etcd (daemon/etcd_sync.h), as text and back. Pure. */
#ifndef SANDEM_ETCD_RECORD_H
#define SANDEM_ETCD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/replog.h"
#include "daemon/config/service.h"

/* Key "newest": the newest committed history of the log, and the newest generation of the configuration. */
struct etcd_record {
	uint64_t generation, history, position; /* of struct replog_lineage */
	uint64_t config;
	char node[256]; /* that said so */
};

#define ETCD_KEY_NEWEST "newest"
#define ETCD_KEY_CONFIG "config/" /* + number, ten digits */

char *etcd_record_text(const struct etcd_record *r);		     /* to be freed; NULL: no memory */
int etcd_record_parse(struct etcd_record *r, const char *text, size_t len); /* 0 or -EBADMSG */

/* A generation. text: to be freed with free(), g: with config_generation_fini(). 0, -EBADMSG, -ENOMEM. */
char *etcd_generation_text(const struct config_generation *g);
int etcd_generation_parse(struct config_generation *g, const char *text, size_t len);

enum etcd_verdict {
	ETCD_SAME,  /* nothing to say */
	ETCD_OLDER, /* etcd's record is of this node's past: say what is new */
	ETCD_NEWER, /* etcd knows a history that went on without this node */
};
enum etcd_verdict etcd_record_judge(const struct etcd_record *etcd, const struct replog_lineage *own, uint64_t config);

#endif
