/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl.h"

#define RUN_DIR_DEFAULT "/run/sandem"
#define TIMEOUT_MAX 86400

static const struct verb verbs[] = {
	{ "status", NULL, NULL, 10, false, print_status, "this node, the cluster, the LUN groups", NULL },
	{ "lun list", NULL, NULL, 10, false, print_luns, "logical units: size, identity, traffic", NULL },
	{ "lun resize", "lun", "size", 60, false, print_resized,
	  "grow a LUN (without SIZE: to what its device has now)", NULL },
	{ "lun eject", "lun", "force", 60, false, print_medium, "take the medium out of a removable LUN", NULL },
	{ "lun load", "lun", NULL, 60, false, print_medium, "put it in again, as it is found now", NULL },
	{ "session list", NULL, NULL, 10, false, print_sessions, "initiators that are logged in, on every node", NULL },
	{ "group list", NULL, NULL, 10, false, print_groups, "LUN groups: owner and port states", NULL },
	{ "group promote", "name", NULL, 60, false, print_moved, "make this node the owner of a LUN group", NULL },
	{ "group demote", "name", NULL, 60, false, print_moved, "drain, flush, close, and give the group up", NULL },
	{ "pr show", "lun", NULL, 10, false, print_pr, "persistent reservations of a LUN", NULL },
	{ "cluster status", NULL, NULL, 10, false, print_cluster, "members and how far each has followed", NULL },
	{ "cluster fenced", "node", NULL, 10, false, print_done,
	  "the lost node is known to be dead (the fencing alert says so)", NULL },
	{ "cluster resolve", "keep", NULL, 10, false, print_done,
	  "two histories went on, or a newer one is lost: --keep NODE says whose is right", NULL },
	{ "config show", NULL, "generation", 10, false, print_generation,
	  "the configuration in force, or an earlier one", NULL },
	{ "config history", NULL, NULL, 10, false, print_history, "its generations: when, by whom", NULL },
	{ "config check", "file", NULL, 20, false, NULL, "whether FILE could be applied", config_check_file },
	{ "config diff", "file", NULL, 20, false, NULL, "what FILE would change", config_diff_file },
	{ "config apply", "file", NULL, 60, false, NULL, "put FILE in force on all nodes, or on none", config_apply_file },
	{ "config rollback", "generation", NULL, 60, false, NULL,
	  "put an earlier generation in force again", config_rollback },
	{ "shutdown", NULL, NULL, 60, true, print_ended, "end the daemon of this node in good order", NULL },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* ---- command line ---- */

/* How an argument stands in the help. */
static const char *shown(const char *arg)
{
	static const char *const words[][2] = {
		{ "lun", " LUN" },     { "file", " FILE" }, { "size", " [SIZE]" }, { "force", " [force]" },
		{ "generation", " N" },
	};

	for (size_t i = 0; arg && i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i][0], arg))
			return words[i][1];
	return arg ? " NAME" : "";
}

static void help(void)
{
	printf("Usage: sandemctl [--run-dir DIR] [--json] [--timeout SECS] VERB\n\n"
	       "Asks the Sandem daemon of this node. Verbs:\n\n");
	for (size_t i = 0; i < VERBS; i++) {
		char verb[40];

		snprintf(verb, sizeof(verb), "%s%s%s", verbs[i].name, shown(verbs[i].arg), shown(verbs[i].more));
		printf("  %-20s  %s\n", verb, verbs[i].help);
	}
	printf("\n  --run-dir DIR    where the daemon's control socket is (" RUN_DIR_DEFAULT ")\n"
	       "  --json           the answer as JSON\n"
	       "  --yes            don't ask before `config apply` and `config rollback`\n"
	       "  --timeout SECS   give up waiting after that (10; 60 for promote, demote, config apply and shutdown)\n\n"
	       "Exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 sandemd is not reachable, 4 timed out.\n");
}

/* The verb that the words begin with; *used: how many of them. */
static const struct verb *find_verb(int n, char **word, int *used)
{
	char two[64];

	for (*used = 2; *used >= 1; (*used)--) {
		if (*used > n)
			continue;
		snprintf(two, sizeof(two), *used == 2 ? "%s %s" : "%s", word[0], *used == 2 ? word[1] : "");
		for (size_t i = 0; i < VERBS; i++)
			if (!strcmp(verbs[i].name, two))
				return &verbs[i];
	}
	return NULL;
}

static const char *missing(const char *arg)
{
	if (!strcmp(arg, "lun"))
		return "the name of the LUN is missing; see `sandemctl lun list`";
	if (!strcmp(arg, "name"))
		return "the name of the group is missing; see `sandemctl group list`";
	if (!strcmp(arg, "file"))
		return "the name of the file is missing; `-` is standard input";
	if (!strcmp(arg, "generation"))
		return "the number of the generation is missing; see `sandemctl config history`";
	return "the name of the node is missing; see `sandemctl cluster status`";
}

static int parse_verb(struct call *c, int n, char **word)
{
	int used;

	if (n == 0)
		return complain(EXIT_USAGE, "the verb is missing; e.g. `sandemctl status`, see --help");
	c->verb = find_verb(n, word, &used);
	if (!c->verb)
		return complain(EXIT_USAGE, "\"%s%s%s\" is not a verb; see --help", word[0], n > 1 ? " " : "", n > 1 ? word[1] : "");
	if (c->arg && !(c->verb->arg && !strcmp(c->verb->arg, "keep")))
		return complain(EXIT_USAGE, "%s: --keep belongs to `cluster resolve`; see --help", c->verb->name);
	if (c->verb->arg && !c->arg && n > used)
		c->arg = word[used++];
	if (c->verb->arg && !c->arg)
		return complain(EXIT_USAGE, "%s: %s", c->verb->name, missing(c->verb->arg));
	if (c->verb->more && n > used)
		c->more = word[used++];
	if (n > used)
		return complain(EXIT_USAGE, "%s: \"%s\" is too much; see --help", c->verb->name, word[used]);
	return EXIT_OK;
}

static int take_timeout(struct call *c, const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end || end == text || v < 1 || v > TIMEOUT_MAX)
		return complain(EXIT_USAGE, "--timeout: \"%s\" is not a number of seconds; use 1 to %d", text, TIMEOUT_MAX);
	c->timeout = v;
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' }, { "json", no_argument, NULL, 'j' },
		{ "timeout", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },	     { "keep", required_argument, NULL, 'k' },
		{ "yes", no_argument, NULL, 'y' },
		{ NULL, 0, NULL, 0 },
	};
	struct call c = { .run_dir = RUN_DIR_DEFAULT };
	int o, rc = EXIT_OK;

	opterr = 0;
	while (rc == EXIT_OK && (o = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		switch (o) {
		case 'r': c.run_dir = optarg; break;
		case 'j': c.json = true; break;
		case 'y': c.yes = true; break;
		case 'k': c.arg = optarg; break;
		case 't': rc = take_timeout(&c, optarg); break;
		case 'h': help(); return EXIT_OK;
		case 'v': printf("sandemctl 0.3.0\n"); return EXIT_OK;
		case ':': rc = complain(EXIT_USAGE, "%s: its value is missing; see --help", argv[optind - 1]); break;
		default: rc = complain(EXIT_USAGE, "%s: not an option; see --help", argv[optind - 1]);
		}
	}
	if (rc == EXIT_OK)
		rc = parse_verb(&c, argc - optind, argv + optind);
	if (rc != EXIT_OK)
		return rc;
	if (!c.timeout)
		c.timeout = c.verb->timeout;
	ctl_clock_start(&c);
	return c.verb->run ? c.verb->run(&c) : ctl_call(&c);
}
