/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config/limits.h"
#include "daemon/config/value.h"
#include "drivers/disk/fault.h"

static const char usage[] =
	"Usage: sandemd [-c FILE] [--node NAME] [--state-dir DIR] [--run-dir DIR] [--check]\n"
	"       sandemd --standalone [--lun SPEC]... [--portal ADDR:PORT] [--reactors N]\n"
	"               [--initiator PATTERN]... [--insecure-open] [--state-dir DIR] [--run-dir DIR]\n"
	"\n"
	"The daemon of a Sandem node: a highly available SCSI target. Runs in the foreground.\n"
	"\n"
	"  -c, --config FILE      configuration of the cluster (" CONFIG_FILE_DEFAULT ")\n"
	"      --node NAME        which node of it this is (the host name up to its first dot)\n"
	"      --check            verify the configuration, start nothing\n"
	"      --state-dir DIR    what must survive a restart (" STATE_DIR_DEFAULT ")\n"
	"      --run-dir DIR      control socket and pid file (" RUN_DIR_DEFAULT ")\n"
	"      --log-level LEVEL  error, warning, notice, info or debug\n"
	"      --help, --version\n"
	"\n"
	"A first try, without file and cluster:\n"
	"      --standalone       one node, target " STANDALONE_TARGET "\n"
	"      --lun PATH[,size=10G][,null][,direct][,ro][,removable][,cdrom][,thin]\n"
	"            [,block=4096][,physical_block_exp=N][,thin_threshold=PERCENT]\n"
	"            [,fault=RULE][,key=FILE]\n"
	"            [,protection=TYPE[,target_tags]]\n"
	"                         the next LUN: 0, 1, ...; a missing file is created, sparse\n"
	"      --portal ADDR:PORT listen there (" STANDALONE_PORTAL ")\n"
	"      --initiator PATTERN  who may log in, e.g. 'iqn.1993-08.org.debian:*' (everybody)\n"
	"      --insecure-open    a portal that is not loopback may be open to everybody\n"
	"      --iscsi NAME=VALUE a setting of iscsi: in sandem.yaml, as a number: bytes or milliseconds\n"
	"      --reactors N       threads that serve I/O (1)\n"
	"      Its directories are " STANDALONE_STATE_DIR_DEFAULT " and " STANDALONE_RUN_DIR_DEFAULT ".\n";

int options_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGTP";
	char digits[24];
	size_t n = strspn(text, "0123456789");
	const char *s = suffixes;
	uint64_t v;

	if (n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = 0;
	if (value_uint(digits, UINT64_MAX, &v) < 0)
		return -EINVAL;
	if (text[n]) {
		s = strchr(suffixes, text[n]);
		if (!s || text[n + 1])
			return -EINVAL;
		if (__builtin_mul_overflow(v, 1ull << (10 * (s - suffixes + 1)), &v))
			return -EINVAL;
	}
	*bytes = v;
	return 0;
}

int options_log_level(const char *text, enum log_level *level)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
		[LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*level = i;
			return 0;
		}
	}
	return -EINVAL;
}

enum { OPT_NODE = 256, OPT_CHECK, OPT_STATE_DIR, OPT_RUN_DIR, OPT_LOG_LEVEL, OPT_HELP, OPT_VERSION,
       OPT_STANDALONE, OPT_LUN, OPT_PORTAL, OPT_INITIATOR, OPT_INSECURE_OPEN, OPT_REACTORS, OPT_ISCSI };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "standalone", no_argument, NULL, OPT_STANDALONE },
	{ "lun", required_argument, NULL, OPT_LUN },
	{ "portal", required_argument, NULL, OPT_PORTAL },
	{ "initiator", required_argument, NULL, OPT_INITIATOR },
	{ "insecure-open", no_argument, NULL, OPT_INSECURE_OPEN },
	{ "reactors", required_argument, NULL, OPT_REACTORS },
	{ "iscsi", required_argument, NULL, OPT_ISCSI },
	{ NULL, 0, NULL, 0 },
};

struct parse {
	struct options *o;
	char *err;
	size_t errlen;
};

__attribute__((format(printf, 2, 3))) static int bad(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err, p->errlen, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int lun_word(struct parse *p, struct option_lun *l, const char *word)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = { { "null", &l->null }, { "direct", &l->direct }, { "ro", &l->ro }, { "thin", &l->thin },
		    { "removable", &l->removable },
		    { "cdrom", &l->cdrom },
		    { "target_tags", &l->target_tags } };

	if (!strncmp(word, "size=", 5)) {
		if (options_size(word + 5, &l->size) < 0 || l->size < LU_SIZE_MIN || l->size > LU_SIZE_MAX)
			return bad(p, "--lun %s: \"%s\" is not a size from 64K to 1024P; use a number of bytes or a "
				      "suffix K, M, G, T, P, e.g. size=10G", l->path, word + 5);
		return 0;
	}
	if (!strncmp(word, "block=", 6)) {
		uint64_t size;

		if (value_uint(word + 6, 4096, &size) < 0 || (size != 512 && size != 4096))
			return bad(p, "--lun %s: \"%s\" is not a block size; use block=512 or block=4096", l->path,
				   word + 6);
		l->block_size = size;
		return 0;
	}
	if (!strncmp(word, "physical_block_exp=", 19)) {
		uint64_t exp;

		if (value_uint(word + 19, PHYSICAL_BLOCK_EXP_MAX, &exp) < 0)
			return bad(p, "--lun %s: \"%s\" is not an exponent from 0 to %d, e.g. physical_block_exp=3", l->path,
				   word + 19, PHYSICAL_BLOCK_EXP_MAX);
		l->physical_block_exp = exp;
		return 0;
	}
	if (!strncmp(word, "thin_threshold=", 15)) {
		uint64_t percent;

		if (value_uint(word + 15, THIN_THRESHOLD_MAX, &percent) < 0)
			return bad(p, "--lun %s: \"%s\" is not a percentage from 0 to %d, e.g. thin_threshold=10", l->path,
				   word + 15, THIN_THRESHOLD_MAX);
		l->thin = true;
		l->thin_threshold = percent;
		return 0;
	}
	if (!strncmp(word, "protection=", 11)) {
		uint64_t type;

		if (value_uint(word + 11, 3, &type) < 0)
			return bad(p, "--lun %s: \"%s\" is not a type of protection; use protection=1, 2 or 3, or 0 for none",
				   l->path, word + 11);
		l->protection = type;
		return 0;
	}
	if (!strncmp(word, "fault=", 6)) {
		struct fault_rule rule;
		char why[256];

		l->fault = word + 6;
		return fault_parse(l->fault, &rule, why, sizeof(why)) < 0 ?
			       bad(p, "--lun %s: fault: %s", l->path, why) : 0;
	}
	if (!strncmp(word, "key=", 4)) {
		l->key = word + 4;
		return 0;
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (!strcmp(word, flags[i].name)) {
			*flags[i].flag = true;
			return 0;
		}
	}
	return bad(p, "--lun %s: \"%s\" is not known; use size=N, null, direct, ro, removable, cdrom, thin,"
		      " block=N, physical_block_exp=N, thin_threshold=N, protection=N, target_tags, fault=RULE, key=FILE",
		      l->path, word);
}

static int take_lun(struct parse *p, const char *spec)
{
	struct options *o = p->o;
	struct option_lun *l, *grown = reallocarray(o->lun, o->nluns + 1, sizeof(*grown));
	char *word, *rest;

	if (!grown)
		return bad(p, "--lun: out of memory");
	o->lun = grown;
	l = &o->lun[o->nluns];
	*l = (struct option_lun){ .physical_block_exp = -1 };
	rest = strdup(spec);
	if (!rest)
		return bad(p, "--lun: out of memory");
	l->path = strsep(&rest, ","); /* the path comes first, so this is what to free */
	o->nluns++;
	if (!*l->path)
		return bad(p, "--lun %s: the path is missing; use PATH[,size=10G][,null][,direct][,ro][,thin]", spec);
	while ((word = strsep(&rest, ",")))
		if (lun_word(p, l, word) < 0)
			return -EINVAL;
	if (l->null && !l->size)
		return bad(p, "--lun %s: a null LUN needs a size; add ,size=10G", spec);
	return 0;
}

static int take_initiator(struct parse *p, const char *pattern)
{
	struct options *o = p->o;
	const char **grown = reallocarray(o->initiator, o->ninitiators + 1, sizeof(*grown));

	if (!grown)
		return bad(p, "--initiator: out of memory");
	o->initiator = grown;
	o->initiator[o->ninitiators++] = pattern;
	return 0;
}

static int take_reactors(struct parse *p, const char *text)
{
	uint64_t n;

	if (value_uint(text, REACTORS_MAX, &n) < 0 || n == 0)
		return bad(p, "--reactors: \"%s\" is not a number of threads; use 1 to %d", text, REACTORS_MAX);
	p->o->reactors = n;
	return 0;
}

static const struct {
	const char *name;
	uint32_t def, min, max;
	size_t at;
} iscsi_setting[] = {
#define X(name, def, min, max) { #name, def, min, max, offsetof(struct iscsi_settings, name) },
	ISCSI_SETTINGS(X)
#undef X
};
#define NISCSI_SETTINGS (sizeof(iscsi_setting) / sizeof(iscsi_setting[0]))

static uint32_t *iscsi_value(struct options *o, size_t i)
{
	return (uint32_t *)((char *)&o->iscsi + iscsi_setting[i].at);
}

static void default_iscsi(struct options *o)
{
	for (size_t i = 0; i < NISCSI_SETTINGS; i++)
		*iscsi_value(o, i) = iscsi_setting[i].def;
}

static int take_iscsi(struct parse *p, const char *text)
{
	size_t len = strcspn(text, "=");
	uint64_t v;

	for (size_t i = 0; i < NISCSI_SETTINGS; i++) {
		if (strlen(iscsi_setting[i].name) != len || strncmp(text, iscsi_setting[i].name, len))
			continue;
		if (!text[len] || value_uint(text + len + 1, iscsi_setting[i].max, &v) < 0 ||
		    v < iscsi_setting[i].min)
			return bad(p, "--iscsi %s: use %s=N with N from %u to %u", text, iscsi_setting[i].name,
				   iscsi_setting[i].min, iscsi_setting[i].max);
		*iscsi_value(p->o, i) = v;
		return 0;
	}
	return bad(p, "--iscsi %s: there is no such setting; docs/sandem.yaml.md lists those of iscsi:", text);
}

static int take_portal(struct parse *p, const char *text)
{
	struct portal portal;

	if (value_portal(text, &portal) < 0)
		return bad(p, "--portal: \"%s\" is not a portal; use a numeric address and a port, e.g. "
			      "192.0.2.1:3260 or [2001:db8::1]:3260", text);
	p->o->portal = text;
	return 0;
}

static int take(struct parse *p, int c)
{
	struct options *o = p->o;

	switch (c) {
	case 'c': o->config = optarg; return 0;
	case OPT_NODE: o->node = optarg; return 0;
	case OPT_CHECK: o->check = true; return 0;
	case OPT_STATE_DIR: o->state_dir = optarg; return 0;
	case OPT_RUN_DIR: o->run_dir = optarg; return 0;
	case OPT_STANDALONE: o->standalone = true; return 0;
	case OPT_INSECURE_OPEN: o->insecure_open = true; return 0;
	case OPT_LUN: return take_lun(p, optarg);
	case OPT_PORTAL: return take_portal(p, optarg);
	case OPT_INITIATOR: return take_initiator(p, optarg);
	case OPT_ISCSI: return take_iscsi(p, optarg);
	case OPT_REACTORS: return take_reactors(p, optarg);
	case OPT_LOG_LEVEL:
		if (options_log_level(optarg, &o->log_level) < 0)
			return bad(p, "--log-level: \"%s\" is not a level; use error, warning, notice, info or debug", optarg);
		o->has_log_level = true;
		return 0;
	}
	return -EINVAL;
}

static void default_node(struct options *o)
{
	if (gethostname(o->host, sizeof(o->host) - 1) < 0)
		o->host[0] = 0;
	o->host[strcspn(o->host, ".")] = 0;
	o->node = o->host;
}

/* What does not go together, then the defaults of what was not given. */
static int complete(struct parse *p)
{
	struct options *o = p->o;

	if (o->standalone && (o->config || o->node))
		return bad(p, "--standalone goes without %s; leave one of them out", o->config ? "--config" : "--node");
	if (!o->standalone && (o->nluns || o->portal || o->ninitiators || o->insecure_open || o->reactors))
		return bad(p, "--lun, --portal, --initiator, --insecure-open and --reactors are for --standalone; "
			      "add it, or write them in the configuration file");
	if (o->standalone && !o->nluns)
		return bad(p, "--standalone needs a LUN; add e.g. --lun /var/tmp/disk0.img,size=1G");
	if (o->standalone)
		o->node = STANDALONE_NODE;
	else if (!o->node)
		default_node(o);
	if (!o->config && !o->standalone)
		o->config = CONFIG_FILE_DEFAULT;
	if (!o->portal)
		o->portal = STANDALONE_PORTAL;
	if (!o->reactors)
		o->reactors = REACTORS_DEFAULT;
	if (!o->state_dir)
		o->state_dir = o->standalone ? STANDALONE_STATE_DIR_DEFAULT : STATE_DIR_DEFAULT;
	if (!o->run_dir)
		o->run_dir = o->standalone ? STANDALONE_RUN_DIR_DEFAULT : RUN_DIR_DEFAULT;
	return 0;
}

enum options_result options_parse(struct options *o, int argc, char **argv, char *err, size_t errlen)
{
	struct parse p = { .o = o, .err = err, .errlen = errlen };
	int c;

	memset(o, 0, sizeof(*o));
	default_iscsi(o);
	err[0] = 0;
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, ":c:", long_options, NULL)) >= 0) {
		if (c == OPT_HELP || c == OPT_VERSION) {
			fputs(c == OPT_HELP ? usage : "sandemd " SANDEM_VERSION "\n", stdout);
			return OPTIONS_EXIT;
		}
		if (c == ':' || c == '?')
			bad(&p, "%s: %s; try --help", argv[optind - 1],
			    c == ':' ? "its value is missing" : "not an option, or a value where none belongs");
		if (c == ':' || c == '?' || take(&p, c) < 0)
			return OPTIONS_BAD;
	}
	if (optind < argc) {
		bad(&p, "%s: an argument without an option; try --help", argv[optind]);
		return OPTIONS_BAD;
	}
	return complete(&p) < 0 ? OPTIONS_BAD : OPTIONS_RUN;
}

void options_fini(struct options *o)
{
	for (size_t i = 0; i < o->nluns; i++)
		free(o->lun[i].path);
	free(o->lun);
	free(o->initiator);
	memset(o, 0, sizeof(*o));
}
