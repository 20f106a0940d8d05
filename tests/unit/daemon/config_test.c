/* SPDX-License-Identifier: BSD-2-Clause */
/* sandem.yaml: two nodes, two groups, three LUNs, two targets; then one mistake at a time, each of which must be told with
 * line, key and what is allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config/config.h"
#include "daemon/options.h"

static const char full[] =
	"cluster: {name: prod, log: cpg}\n"					  /* 1 */
	"nodes:\n"								  /* 2 */
	"  - {name: node-a, id: 1, portals: [\"10.77.0.1:3260\", \"[FD00::1]:3261\"]}\n" /* 3 */
	"  - {name: node-b, id: 2, portals: [10.77.0.2]}\n"			  /* 4 */
	"groups:\n"								  /* 5 */
	"  - {name: g0, preferred: node-b, hold_limit: 5s}\n"			  /* 6 */
	"  - {name: g1, non_owner: forward}\n"					  /* 7 */
	"luns:\n"								  /* 8 */
	"  - {name: disk0, group: g0, path: /srv/disk0.img, size: 1G, create: true, thin: yes}\n" /* 9 */
	"  - name: disk1\n"							  /* 10 */
	"    group: g1\n"							  /* 11 */
	"    handler: block\n"							  /* 12 */
	"    path: /dev/drbd0\n"						  /* 13 */
	"    block_size: 4096\n"						  /* 14 */
	"    naa: naa.6001405ABCDEF0123456789abcdef012\n"			  /* 15 */
	"    serial: S1\n"							  /* 16 */
	"    write_cache: no\n"							  /* 17 */
	"  - {name: void, group: g1, handler: \"null\", size: 512M}\n"		  /* 18 */
	"targets:\n"								  /* 19 */
	"  - name: iqn.2026-11.io.sandem:Prod\n"				  /* 20 */
	"    luns: [{lun: 16383, name: disk1}, {lun: 0, name: disk0, read_only: true}]\n" /* 21 */
	"    initiators: [\"iqn.1993-08.org.debian:*\"]\n"			  /* 22 */
	"  - name: iqn.2026-11.io.sandem:two\n"					  /* 23 */
	"    acls:\n"								  /* 24 */
	"      - {initiators: [], luns: []}\n"					  /* 25 */
	"      - {initiators: [IQN.x], luns: [{lun: 1, name: void}]}\n"	  /* 26 */
	"daemon: {cpus: [2, 5], log_level: debug}\n"				  /* 27 */
	"iscsi: {queue_depth: 64, nop_interval: 2s, first_burst: 64K, immediate_data: false}\n"; /* 28 */

static struct config *parse_good(const char *text)
{
	struct config_error err;
	struct config *c = NULL;

	if (config_parse("t.yaml", text, strlen(text), &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

/* A copy of full with the first `from` replaced. To be freed. */
static char *edited(const char *from, const char *to)
{
	const char *at = strstr(full, from);
	char *out;

	assert_non_null(at);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - full), full, to, at + strlen(from)) > 0);
	return out;
}

#define TEN(s) s s s s s s s s s s

static void test_values(void **state)
{
	struct config *c = parse_good(full);
	(void)state;

	assert_string_equal(c->cluster, "prod");
	assert_int_equal(c->nnodes, 2);
	assert_string_equal(c->node[0].portal[1].addr, "fd00::1");
	assert_int_equal(c->node[0].portal[1].port, 3261);
	assert_int_equal(c->node[1].portal[0].port, 3260); /* RFC 7143 4.2.7.1: the default port */
	assert_int_equal(c->group[0].preferred, 1);
	assert_int_equal(c->group[0].hold_limit_ms, 5000);
	assert_int_equal(c->group[1].non_owner, NON_OWNER_FORWARD);
	assert_true(config_forwards(c));
	assert_string_equal(c->node[1].link.addr, "10.77.0.2");
	assert_int_equal(c->node[1].link.port, LINK_PORT_DEFAULT);
	assert_string_equal(c->key_file, KEY_FILE_DEFAULT);
	assert_false(c->explicit_alua);
	assert_string_equal(c->move_program, MOVE_PROGRAM_DEFAULT);
	assert_int_equal(c->lu[0].disk.size, 1ull << 30);
	assert_true(c->lu[0].thin && c->lu[0].disk.create);
	assert_int_equal(c->lu[1].disk.block_size, 4096);
	assert_int_equal(c->lu[1].id.naa_len, 16);
	assert_int_equal(c->lu[1].id.naa[0], 0x60);
	assert_int_equal(c->lu[1].id.naa[15], 0x12);
	assert_string_equal(c->lu[1].id.serial, "S1");
	assert_false(c->lu[1].write_cache);
	assert_string_equal(c->lu[2].disk.handler, "null");
	assert_null(c->lu[2].disk.path);
	assert_int_equal(c->nreactors, 2);
	assert_int_equal(c->reactor_cpu[1], 5);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->iscsi.queue_depth, 64);
	assert_int_equal(c->iscsi.nop_interval, 2000);
	assert_int_equal(c->iscsi.first_burst, 64 << 10);
	assert_int_equal(c->iscsi.immediate_data, 0);
	config_free(c);
}

static void test_protection(void **state)
{
	char *text = edited("thin: yes", "protection: {type: 3, application_tag: target}");
	struct config *c = parse_good(text);
	uint8_t a[32], b[32];
	(void)state;

	assert_int_equal(c->lu[0].disk.pi_type, 3);
	assert_string_equal(c->lu[0].disk.pi_path, "/srv/disk0.img.dif");
	assert_true(c->lu[0].application_tag_ours);
	assert_int_equal(c->lu[1].disk.pi_type, 0);
	config_digest(c, a);
	config_free(c);
	free(text);
	text = edited("thin: yes", "protection: {type: 3, path: /mnt/x, application_tag: initiator}");
	c = parse_good(text);
	assert_string_equal(c->lu[0].disk.pi_path, "/mnt/x");
	assert_false(c->lu[0].application_tag_ours);
	config_digest(c, b);
	assert_memory_not_equal(a, b, 32);
	config_free(c);
	free(text);
}

#define TEN(s) s s s s s s s s s s

static void test_management_urls(void **state)
{
	char *text = edited("log: cpg", "log: cpg, management_url: 'https://san.example/'");
	struct config *c = parse_good(full);
	const char *url[3];
	(void)state;

	assert_int_equal(config_management_urls(c, url), 0);
	config_free(c);
	c = parse_good(text);
	assert_int_equal(config_management_urls(c, url), 1);
	assert_string_equal(url[0], "https://san.example/");
	config_free(c);
	free(text);
	text = edited("log: cpg", "log: cpg, management_url: http://" TEN("eleven/char") "12"); /* 119 */
	config_free(parse_good(text));
	free(text);
	text = edited("id: 2", "id: 2, management_url: 'http://[fd00::2]/'");
	c = parse_good(text);
	assert_int_equal(config_management_urls(c, url), 1);
	assert_string_equal(url[0], "http://[fd00::2]/");
	config_free(c);
	free(text);
}

static void test_targets(void **state)
{
	struct config *c = parse_good(full);
	const struct config_acl *a = c->target[0].acl;
	(void)state;

	assert_string_equal(c->target[0].name, "iqn.2026-11.io.sandem:prod"); /* RFC 7143 4.2.7.1: lower case */
	assert_int_equal(c->target[0].nacls, 1);
	assert_int_equal(a->nluns, 2);
	assert_int_equal(a->lun[0].lun, 0); /* sorted */
	assert_int_equal(a->lun[0].lu, 0);
	assert_true(a->lun[0].read_only);
	assert_int_equal(a->lun[1].lun, 16383);
	assert_int_equal(a->lun[1].lu, 1);
	assert_int_equal(c->target[1].nacls, 2);
	assert_int_equal(c->target[1].acl[0].npatterns, 0);
	assert_string_equal(c->target[1].acl[1].pattern[0], "iqn.x");
	config_free(c);
}

static void test_mode_parameters(void **state)
{
	char *text = edited("write_cache: no", "d_sense: yes\n    swp: yes\n    tas: no\n    tst: 1\n    qerr: 3\n    qam: 0\n"
					       "    ua_intlck: 2");
	struct config *c = parse_good(text);
	const struct mode_state *m = &c->lu[1].mode;
	(void)state;

	assert_true(m->dsense && m->swp && !m->tas && m->tst == 1 && m->qerr == 3 && m->qam == 0 && m->ua_intlck == 2);
	assert_true(m->tcmos && m->scsip);
	config_free(c);
	free(text);
}

static void test_defaults(void **state)
{
	struct config *c = parse_good("cluster: {name: d}\nnodes: [{name: a, id: 1, portals: [\"::1\"]}]\n"
				      "groups: [{name: g}]\nluns: [{name: l, group: g, path: /l}]\n"
				      "targets: [{name: iqn.2026-11.x:y, initiators: [], luns: [{lun: 0, name: l}]}]\n");
	(void)state;

	assert_int_equal(c->log, CONFIG_LOG_CPG);
	assert_int_equal(c->group[0].hold_limit_ms, HOLD_LIMIT_MS_DEFAULT);
	assert_int_equal(c->group[0].non_owner, NON_OWNER_STANDBY);
	assert_false(config_forwards(c));
	assert_int_equal(c->group[0].preferred, -1);
	assert_string_equal(c->lu[0].disk.handler, "file");
	assert_false(c->lu[0].disk.create); /* a file system that isn't mounted must not look like an empty disk */
	assert_int_equal(c->lu[0].disk.block_size, 512);
	assert_int_equal(c->lu[0].lb_per_pb_exp, 3);
	assert_true(c->lu[0].write_cache);
	assert_memory_equal(&c->lu[0].mode, &config_mode_default, sizeof(config_mode_default));
	assert_string_equal(c->lu[0].id.vendor, "SANDEM");
	assert_int_equal(c->nreactors, 1);
	assert_int_equal(c->reactor_cpu[0], -1);
#define X(name, def, min, max) assert_int_equal(c->iscsi.name, (def));
	ISCSI_SETTINGS(X)
#undef X
	config_free(c);
}

struct mistake {
	const char *from, *to;
	int line;
	const char *path, *says;
};

static const struct mistake mistakes[] = {
	{ "log: cpg", "log: cpg, move_program: move_group", 1, "cluster.move_program", "not an absolute path" },
	{ "log: cpg", "log: cpg, management_url: 192.0.2.1", 1, "cluster.management_url", "not a URL" },
	{ "log: cpg", "log: cpg, management_url: 'http://'", 1, "cluster.management_url", "not a URL" },
	{ "log: cpg", "log: cpg, management_url: 'http://a b'", 1, "cluster.management_url", "not a URL" },
	{ "log: cpg", "log: cpg, management_url: http://" TEN("eleven/char") "123", 1, "cluster.management_url",
	  "119 characters" },
	{ "thin: yes", "thin: yes, queue_limit: 1000001", 9, "luns[0].queue_limit", "1 to 1000000" },
	{ "id: 2", "id: 2, management_url: x", 4, "nodes[1].management_url", "not a URL" },
	/* syntax and shape */
	{ "cluster: {", "cluster: {{", 2, "", "not valid YAML" },
	{ "cluster: {name: prod, log: cpg}\n", "", 1, "", "\"cluster\" is missing" },
	{ "daemon:", "---\ndaemon:", 27, "", "second document" },
	{ "daemon:", "deamon:", 27, "", "did you mean \"daemon\"?" },
	{ "path: /srv", "pth: /srv", 9, "luns[0]", "did you mean \"path\"?" },
	{ "thin:", "xyzzyxyzzy:", 9, "luns[0]", "use name, group, handler" },
	{ "handler: block", "handler: blok", 12, "luns[1].handler", "did you mean \"block\"?" },
	{ "log: cpg", "log: etcetera", 1, "cluster.log", "use cpg or local" },
	{ "    serial: S1\n", "    serial: S1\n    serial: S2\n", 17, "luns[1]", "twice" },
	{ "    group: g1\n", "", 10, "luns[1]", "\"group\" is missing" },
	{ "    group: g1\n", "    group:\n", 11, "luns[1].group", "is empty" },
	{ "    group: g1\n", "    group: [g1]\n", 11, "luns[1].group", "single value" },
	{ "portals: [10.77.0.2]", "portals: 10.77.0.2", 4, "nodes[1].portals", "list" },
	{ "portals: [10.77.0.2]", "portals: []", 4, "nodes[1].portals", "at least 1" },
	{ "write_cache: no", "write_cache: off", 17, "luns[1].write_cache", "neither true nor false" },
	{ "write_cache: no", "tst: 2", 17, "luns[1].tst", "0 or 1" },
	{ "write_cache: no", "qerr: 2", 17, "luns[1].qerr", "0, 1 or 3" },
	{ "write_cache: no", "qam: 16", 17, "luns[1].qam", "0 or 1" },
	{ "write_cache: no", "ua_intlck: 1", 17, "luns[1].ua_intlck", "0, 2 or 3" },
	{ "write_cache: no", "qerr: 257", 17, "luns[1].qerr", "0, 1 or 3" },
	{ "write_cache: no", "swp: 1", 17, "luns[1].swp", "neither true nor false" },
	{ "id: 2", "id: two", 4, "nodes[1].id", "not a number" },
	{ "id: 2", "id: -2", 4, "nodes[1].id", "not a number" },
	{ "id: 2", "id: 4294967298", 4, "nodes[1].id", "not a number" },
	{ "id: 2", "id: 02", 4, "nodes[1].id", "leading zeros" },
	{ "{name: g1, non_owner: forward}", "&a {name: g1}\n  - *a", 7, "groups[2]", "alias" },
	/* values */
	{ "size: 1G", "size: 10Q", 9, "luns[0].size", "suffix K, M, G, T" },
	{ "size: 1G", "size: 99999999999P", 9, "luns[0].size", "not a size" },
	{ "size: 1G", "size: 63K", 9, "luns[0].size", "64K" },
	{ "size: 1G", "size: 1000001", 9, "luns[0].size", "multiple of the block size" },
	{ "block_size: 4096", "block_size: 1024", 14, "luns[1].block_size", "512 or 4096" },
	{ "naa: naa.6001405A", "naa: naa.7001405A", 15, "luns[1].naa", "2, 3 or 5" },
	{ "naa: naa.6001405A", "naa: naa.6001405", 15, "luns[1].naa", "hex digits" },
	{ "serial: S1", "vendor: NINECHARS", 16, "luns[1].vendor", "at most 8" },
	{ "serial: S1", "serial: \"S\\t1\"", 16, "luns[1].serial", "printable" },
	{ "hold_limit: 5s", "hold_limit: 61s", 6, "groups[0].hold_limit", "60 s" },
	{ "hold_limit: 5s", "hold_limit: 5h", 6, "groups[0].hold_limit", "not a time" },
	{ "[10.77.0.2]", "[10.77.0.256]", 4, "nodes[1].portals[0]", "not a portal" },
	{ "[10.77.0.2]", "[\"10.77.0.2:0\"]", 4, "nodes[1].portals[0]", "not a portal" },
	{ "[10.77.0.2]", "[\"10.77.0.2:65536\"]", 4, "nodes[1].portals[0]", "not a portal" },
	{ "[10.77.0.2]", "[\"[10.77.0.2]:3260\"]", 4, "nodes[1].portals[0]", "not a portal" },
	{ "[10.77.0.2]", "[\"[fd00::2]3260\"]", 4, "nodes[1].portals[0]", "not a portal" },
	{ "[10.77.0.2]", "[storage.example]", 4, "nodes[1].portals[0]", "numeric address" },
	{ "queue_depth: 64", "queue_depth: 0", 28, "iscsi.queue_depth", "from 1 to" },
	{ "nop_interval: 2s", "nop_interval: 2K", 28, "iscsi.nop_interval", "a time" },
	{ "immediate_data: false", "immediate_data: 2", 28, "iscsi.immediate_data", "true or false" },
	{ "log_level: debug", "log_level: loud", 27, "daemon.log_level", "notice" },
	{ "cpus: [2, 5]", "cpus: [2, 5], reactors: 2", 27, "daemon.reactors", "keep one" },
	{ "cpus: [2, 5]", "reactors: 0", 27, "daemon.reactors", "1 to" },
	/* objects among each other */
	{ "name: prod", "name: pr/od", 1, "cluster.name", "character" },
	{ "name: node-a, id", "name: node-b, id", 4, "nodes[1].name", "nodes[0]" },
	{ "id: 2", "id: 1", 4, "nodes[1].id", "nodes[0]" },
	{ "id: 2", "id: 256", 4, "nodes[1].id", "1 to 255" },
	{ "id: 2", "id: 0", 4, "nodes[1].id", "1 to 255" },
	{ "[10.77.0.2]", "[10.77.0.1]", 4, "nodes[1].portals[0]", "nodes[0].portals[0]" },
	{ "[10.77.0.2]", "[\"0.0.0.0:3260\"]", 4, "nodes[1].portals[0]", "every address" },
	{ "[10.77.0.2]", "[10.77.0.2], link: storage", 4, "nodes[1].link", "numeric" },
	{ "[10.77.0.2]", "[10.77.0.2], link: 0.0.0.0", 4, "nodes[1].link", "no address that other nodes could reach" },
	{ "[10.77.0.2]", "[10.77.0.2], link: 10.77.0.1", 4, "nodes[1].link", "nodes[0].link" },
	{ "[10.77.0.2]", "[10.77.0.2], link: \"10.77.0.1:3260\"", 4, "nodes[1].link", "nodes[0].portals[0]" },
	{ "preferred: node-b", "preferred: node-c", 6, "groups[0].preferred", "did you mean" },
	{ "name: g1", "name: g0", 11, "luns[1].group", "did you mean \"g0\"?" },
	{ "{name: g1, non_owner: forward}", "{name: g1}\n  - {name: g0}", 8, "groups[2].name", "groups[0]" },
	{ "name: disk1", "name: disk0", 21, "targets[0].luns[0].name", "did you mean \"disk0\"?" },
	{ "name: void, ", "name: disk0, ", 26, "targets[1].acls[1].luns[0].name", "no LUN \"void\"" },
	{ "path: /dev/drbd0", "path: drbd0", 13, "luns[1].path", "absolute" },
	{ "thin: yes", "protection: {type: 4}", 9, "luns[0].protection.type", "use 1, 2 or 3" },
	{ "thin: yes", "protection: {type: 1, path: dif}", 9, "luns[0].protection.path", "begin with /" },
	{ "thin: yes", "protection: {type: 1, path: /srv/disk0.img}", 9, "luns[0].protection.path", "own medium" },
	{ "thin: yes", "protection: {path: /srv/dif}", 9, "luns[0].protection", "type" },
	{ "thin: yes", "protection: {type: 1, application_tag: nobody}", 9, "luns[0].protection.application_tag", "initiator" },
	{ "thin: yes", "protection: {type: 1}, encryption_key: /k", 9, "luns[0].protection", "encryption_key" },
	{ "path: /dev/drbd0", "path: /dev/drbd0\n    protection: {type: 1}", 14, "luns[1].protection", "needs the key \"path\"" },
	{ "name: void, ", "name: void, protection: {type: 1}, ", 18, "luns[2].protection", "leave it out" },
	{ "path: /dev/drbd0", "path: /srv/disk0.img", 13, "luns[1].path", "luns[0]" },
	{ "    path: /dev/drbd0\n", "", 10, "luns[1]", "needs the key \"path\"" },
	{ ", size: 512M", "", 18, "luns[2]", "needs the key \"size\"" },
	{ "lun: 16383", "lun: 16384", 21, "targets[0].luns[0].lun", "0 to 16383" },
	{ "lun: 16383", "lun: 0", 21, "targets[0].luns[1].lun", "twice" },
	{ "io.sandem:Prod", "io.sandem:Pr od", 20, "targets[0].name", "RFC 7143" },
	{ "iqn.2026-11.io.sandem:Prod", "iqn.2026-1.io.sandem:Prod", 20, "targets[0].name", "iqn.YYYY-MM" },
	{ "iqn.2026-11.io.sandem:Prod", "eui.02004567A425678", 20, "targets[0].name", "16 hex" },
	{ "iqn.2026-11.io.sandem:Prod", "disk.2026", 20, "targets[0].name", "iqn., eui. or naa." },
	{ "sandem:two", "sandem:prod", 23, "targets[1].name", "targets[0]" },
	{ "    initiators: [\"iqn.1993-08.org.debian:*\"]\n", "", 20, "targets[0]", "[] for nobody" },
	{ "iqn.1993-08.org.debian:*", "iqn 1993", 22, "targets[0].initiators[0]", "wildcards" },
	{ "    acls:\n", "    luns: []\n    acls:\n", 23, "targets[1]", "either" },
	{ "cpus: [2, 5]", "cpus: [2, 2]", 27, "daemon.cpus[1]", "twice" },
	{ "first_burst: 64K", "first_burst: 64K, max_burst: 32K", 28, "iscsi.first_burst", "max_burst" },
};

/* Whether the mistake is told as it should be; prints why not. */
static bool is_told(const struct mistake *m)
{
	char *text = edited(m->from, m->to), where[32];
	struct config_error err;
	struct config *c = NULL;
	bool good;

	if (config_parse("t.yaml", text, strlen(text), &c, &err) == 0) {
		print_error("\"%s\" for \"%s\" was taken\n", m->to, m->from);
		config_free(c);
		free(text);
		return false;
	}
	snprintf(where, sizeof(where), "t.yaml:%d: ", m->line);
	good = err.line == m->line && !strcmp(err.path, m->path) && strstr(err.text, m->says) &&
	       !strncmp(err.text, where, strlen(where));
	if (!good)
		print_error("\"%s\" for \"%s\": line %d, path \"%s\", \"%s\" expected: %s\n", m->to, m->from, m->line,
			    m->path, m->says, err.text);
	free(text);
	return good;
}

static void test_mistakes(void **state)
{
	unsigned bad = 0;
	(void)state;

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		bad += !is_told(&mistakes[i]);
	assert_int_equal(bad, 0);
}

/* Cut at every byte: an error or a configuration, never anything else (run under ASan too). */
static void test_torn_file(void **state)
{
	struct config_error err;
	struct config *c;
	(void)state;

	for (size_t len = 0; len < sizeof(full); len++) {
		char *text = malloc(len ? len : 1);
		int rc;

		memcpy(text, full, len);
		rc = config_parse("t.yaml", text, len, &c, &err);
		if (rc == 0)
			config_free(c);
		else
			assert_true(rc == -EINVAL && !strncmp(err.text, "t.yaml", 6));
		free(text);
	}
}

static void test_files(void **state)
{
	char name[] = "/tmp/sandem-config-XXXXXX", large[300];
	int fd = mkstemp(name);
	struct config_error err;
	struct config *c;
	(void)state;

	assert_int_equal(write(fd, full, sizeof(full) - 1), sizeof(full) - 1);
	assert_int_equal(config_load(name, &c, &err), 0);
	config_free(c);
	assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX + 1), 0);
	assert_int_equal(config_load(name, &c, &err), -EFBIG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(config_load(name, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "empty"));
	close(fd);
	unlink(name);
	assert_int_equal(config_load(name, &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(config_load("/tmp", &c, &err), -EISDIR);
	memset(large, 'x', sizeof(large));
	large[sizeof(large) - 1] = 0;
	assert_int_equal(config_load(large, &c, &err), -ENAMETOOLONG);
}

/* ---- identity, digest ---- */

static void test_identity(void **state)
{
	struct lu_identity a = { 0 }, again = { 0 }, other = { 0 }, shifted = { 0 }, given = { .serial = "S", .naa_len = 8 };
	(void)state;

	config_identity(&a, "prod", "disk0");
	config_identity(&again, "prod", "disk0");
	config_identity(&other, "prod", "disk1");
	config_identity(&shifted, "prodd", "isk0");
	config_identity(&given, "prod", "disk0");
	assert_memory_equal(&a, &again, sizeof(a));
	assert_int_equal(a.naa_len, 8);
	assert_int_equal(a.naa[0] >> 4, 3); /* locally assigned, SPC-4 7.8.6.6.4 */
	assert_int_equal(strlen(a.serial), 16);
	assert_memory_not_equal(a.naa, other.naa, 8);
	assert_string_not_equal(a.serial, other.serial);
	assert_memory_not_equal(a.naa, shifted.naa, 8);
	assert_string_equal(given.serial, "S");
	assert_string_equal(given.t10_id, "S");
	assert_int_equal(given.naa[0], 0);
	/* Worked out once with another SHA-256 (length, content, length, content, ...): a disk must never change its name. */
	assert_string_equal(a.serial, "b23e36514c97d69d");
}

static void digest_of(const char *text, uint8_t out[32])
{
	struct config *c = parse_good(text);

	config_digest(c, out);
	config_free(c);
}

static void test_digest(void **state)
{
	static const struct {
		const char *from, *to;
		bool same;
	} edits[] = {
		{ "cluster: {name: prod, log: cpg}", "cluster: {log: cpg,   name: prod} # comment", true },
		{ ", log: cpg", "", true }, /* the default */
		{ "size: 1G", "size: 1024M", true },
		{ "[FD00::1]", "[fd00:0::1]", true },
		{ "cpus: [2, 5]", "reactors: 1", true }, /* a node's own affair */
		{ "log_level: debug", "log_level: info", true },
		{ "{lun: 16383, name: disk1}, {lun: 0, name: disk0, read_only: true}",
		  "{lun: 0, name: disk0, read_only: true}, {lun: 16383, name: disk1}", true },
		{ "name: prod", "name: prot", false },
		{ "size: 1G", "size: 2G", false },
		{ "id: 2", "id: 3", false },
		{ "hold_limit: 5s", "hold_limit: 6s", false },
		{ "preferred: node-b", "preferred: node-a", false },
		{ "non_owner: forward", "non_owner: standby", false },
		{ "[10.77.0.2]", "[10.77.0.2], link: 10.77.0.2", true }, /* the default */
		{ "[10.77.0.2]", "[10.77.0.2], link: 10.78.0.2", false },
		{ "log: cpg", "log: cpg, key_file: /root/key", true },
		{ "log: cpg", "log: cpg, link_tls: no", true }, /* the default */
		{ "log: cpg", "log: cpg, link_tls: yes", false },
		{ "log: cpg", "log: cpg, explicit_alua: no, move_program: /opt/move", true }, /* default; node's own */
		{ "log: cpg", "log: cpg, explicit_alua: yes", false },
		{ "log: cpg", "log: cpg, management_url: 'https://192.0.2.1/'", false },
		{ "id: 2", "id: 2, management_url: 'https://192.0.2.1/'", false },
		{ "write_cache: no", "write_cache: no\n    queue_limit: 0", true }, /* the default */
		{ "write_cache: no", "write_cache: no\n    queue_limit: 1", false },
		{ "serial: S1", "serial: S2", false },
		{ "naa.6001405A", "naa.6001405B", false },
		{ "thin: yes", "thin: no", false },
		{ "thin: yes", "thin: yes, protection: {type: 0}", true }, /* none, as without the key */
		{ "thin: yes", "thin: yes, protection: {type: 1}", false },
		{ "create: true", "create: false", false },
		{ "write_cache: no", "write_cache: yes", false },
		{ "write_cache: no", "write_cache: no\n    tas: yes", true }, /* the default */
		{ "write_cache: no", "write_cache: no\n    tas: no", false },
		{ "write_cache: no", "write_cache: no\n    qerr: 1", false },
		{ "lun: 16383", "lun: 5", false },
		{ "read_only: true", "read_only: false", false },
		{ "iqn.1993-08.org.debian:*", "iqn.1993-08.org.*", false },
		{ "queue_depth: 64", "queue_depth: 65", false },
	};
	uint8_t before[32], after[32];
	(void)state;

	digest_of(full, before);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		char *text = edited(edits[i].from, edits[i].to);

		digest_of(text, after);
		if (!memcmp(before, after, 32) != edits[i].same)
			fail_msg("\"%s\" for \"%s\": the digest must %s", edits[i].to, edits[i].from,
				 edits[i].same ? "stay" : "change");
		free(text);
	}
}

/* As version 0.1.0 computed it: a node that has been updated and one that has not yet must agree. */
static void test_digest_of_older_version(void **state)
{
	static const uint8_t recorded[32] = {
		0x10, 0x60, 0x41, 0xe7, 0x41, 0x9d, 0x7f, 0xe0,
		0xef, 0x53, 0x4e, 0x66, 0xb4, 0x69, 0xec, 0xbe,
		0x88, 0x9a, 0x0d, 0xab, 0x78, 0xad, 0x05, 0xbe,
		0x72, 0x72, 0xd9, 0xe0, 0x79, 0x00, 0x38, 0xde,
	};
	uint8_t digest[32];

	(void)state;
	digest_of(full, digest);
	assert_memory_equal(digest, recorded, 32);
}

static void test_rtpi(void **state)
{
	(void)state;
	assert_int_equal(config_rtpi(0, 1), 1);
	assert_int_equal(config_rtpi(1, 2), 0x102);
	assert_int_equal(config_rtpi(TARGETS_MAX - 1, NODE_ID_MAX), 0xfeff);
}

/* ---- --standalone ---- */

static int standalone(struct config **c, struct config_error *err, char **argv)
{
	struct options o;
	char text[512];
	int n = 0, rc;

	while (argv[n])
		n++;
	if (options_parse(&o, n, argv, text, sizeof(text)) != OPTIONS_RUN)
		fail_msg("%s", text);
	rc = config_standalone(&o, c, err);
	options_fini(&o);
	return rc;
}
#define STANDALONE(c, err, ...) standalone(c, err, (char *[]){ "sandemd", "--standalone", __VA_ARGS__, NULL })

static void test_standalone(void **state)
{
	struct config_error err;
	struct config *c;
	char cwd[256];
	(void)state;

	assert_int_equal(STANDALONE(&c, &err, "--lun", "new.img,size=10M,thin", "--lun", "x,null,size=1T"), 0);
	assert_int_equal(c->log, CONFIG_LOG_LOCAL);
	assert_string_equal(c->node[0].portal[0].addr, "127.0.0.1");
	assert_string_equal(c->target[0].name, "iqn.2026-11.io.sandem:standalone");
	assert_string_equal(c->target[0].acl[0].pattern[0], "*");
	assert_int_equal(c->target[0].acl[0].nluns, 2);
	assert_int_equal(c->target[0].acl[0].lun[1].lu, 1);
	assert_true(c->lu[0].disk.create && c->lu[0].thin);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(strncmp(c->lu[0].disk.path, cwd, strlen(cwd)), 0);
	assert_string_equal(c->lu[1].disk.handler, "null");
	assert_memory_not_equal(c->lu[0].id.naa, c->lu[1].id.naa, 8);
	config_free(c);
}

static void test_standalone_refusals(void **state)
{
	struct config_error err;
	struct config *c;
	(void)state;

	assert_int_equal(STANDALONE(&c, &err, "--lun", "/nonexistent/x.img"), -EINVAL);
	assert_non_null(strstr(err.text, "size="));
	assert_int_equal(STANDALONE(&c, &err, "--lun", "x,null,size=1G", "--portal", "192.0.2.1:3260"), -EINVAL);
	assert_non_null(strstr(err.text, "--insecure-open"));
	assert_int_equal(STANDALONE(&c, &err, "--lun", "x,null,size=1G", "--portal", "0.0.0.0", "--insecure-open"), -EINVAL);
	assert_int_equal(STANDALONE(&c, &err, "--lun", "/tmp/a,size=1G", "--lun", "/tmp/a,size=1G"), -EINVAL);
	assert_non_null(strstr(err.text, "luns[1].path"));
	assert_int_equal(STANDALONE(&c, &err, "--lun", "x,null,size=1G", "--portal", "192.0.2.1", "--insecure-open"), 0);
	config_free(c);
	assert_int_equal(STANDALONE(&c, &err, "--lun", "x,null,size=1G", "--portal", "192.0.2.1", "--initiator", "iqn.A*"), 0);
	assert_string_equal(c->target[0].acl[0].pattern[0], "iqn.a*");
	config_free(c);
	assert_int_equal(STANDALONE(&c, &err, "--lun", "x,null,size=1G", "--portal", "[::1]:3545"), 0);
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	 cmocka_unit_test(test_targets), cmocka_unit_test(test_management_urls),
		   cmocka_unit_test(test_mode_parameters), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_torn_file),  cmocka_unit_test(test_files),
		cmocka_unit_test(test_protection), cmocka_unit_test(test_identity), cmocka_unit_test(test_digest),
		cmocka_unit_test(test_digest_of_older_version), cmocka_unit_test(test_rtpi),
		cmocka_unit_test(test_standalone), cmocka_unit_test(test_standalone_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
