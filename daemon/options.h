/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of sandemd (docs/man/sandemd.8). Pure but for what is printed. */
#ifndef SANDEM_OPTIONS_H
#define SANDEM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "drivers/iscsi/defaults.h"

/* --lun PATH[,size=10G][,null][,direct][,ro][,removable][,cdrom][,thin][,block=4096][,thin_threshold=10]
 *       [,protection=1[,target_tags]][,fault=RULE][,key=FILE] */
struct option_lun {
	char *path;
	uint64_t size; /* bytes; 0 = as found */
	bool null, direct, ro, thin, removable, cdrom;
	uint32_t block_size; /* bytes; 0 = the default */
	int physical_block_exp; /* -1 = the default */
	uint8_t thin_threshold; /* percent; implies thin */
	unsigned protection; /* type, 0 = none */
	bool target_tags; /* application_tag: target */
	const char *fault; /* drivers/disk/fault.h; within path's allocation */
	const char *key; /* drivers/disk/crypt.h; likewise */
};

struct options {
	bool check;	 /* verify the configuration, start nothing */
	bool standalone;
	const char *config;    /* file */
	const char *node;      /* --node, else the host name up to its first dot */
	const char *state_dir;
	const char *run_dir;
	bool has_log_level;    /* --log-level was given: it goes before the file's */
	enum log_level log_level;
	/* --standalone only */
	const char *portal;    /* ADDR:PORT */
	unsigned reactors;
	struct iscsi_settings iscsi; /* --iscsi NAME=VALUE; defaults otherwise */
	size_t nluns;
	struct option_lun *lun;
	size_t ninitiators;
	const char **initiator; /* patterns; none = "*" */
	bool insecure_open;
	char host[256];	       /* storage of node */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_EXIT, /* --help or --version has been answered: exit 0 */
	OPTIONS_BAD,  /* the message is in err: exit 2 */
};

/* Strings point into argv. options_fini() in every case. */
enum options_result options_parse(struct options *o, int argc, char **argv, char *err, size_t errlen);
void options_fini(struct options *o);

/* "10G", "512M", "65536": bytes, or with a suffix K, M, G, T, P (powers of 1024; "KiB", "GB" … are not taken).
 * 0, or -EINVAL. Shared with the configuration file. */
int options_size(const char *text, uint64_t *bytes);

/* error, warning, notice, info, debug; 0 or -EINVAL. */
int options_log_level(const char *text, enum log_level *level);

#define SANDEM_VERSION "0.3.0"

#endif
