/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs `config …`: the difference is shown before anything is changed, and what was compared is what is applied. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/ctl.h"

#define FILE_MAX (1u << 20)

/* ---- what is printed ---- */

static void put_time(const json_t *row, const char *key, char *out, size_t size)
{
	time_t t = number_of(row, key);
	struct tm tm;

	strftime(out, size, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
}

static void note_file(const json_t *r)
{
	if (json_is_true(json_object_get(r, "file_differs")))
		fprintf(stderr, "note: sandem.yaml on this node differs from the cluster's configuration, which counts; see "
			"`sandemctl config diff FILE`\n");
}

/* The text alone on standard output, so that it can be kept as a file. */
void print_generation(const json_t *r)
{
	const char *text = text_of(r, "text");
	char when[64];

	put_time(r, "time", when, sizeof(when));
	printf("# generation %" PRId64 ", %s, by %s: %s\n%s%s", number_of(r, "generation"), when, text_of(r, "author"),
	       text_of(r, "note"), text, *text && text[strlen(text) - 1] == '\n' ? "" : "\n");
	note_file(r);
}

void print_history(const json_t *r)
{
	static const struct column col[] = {
		{ "GENERATION", "generation", put_number, true },
		{ "TIME", "time", put_time, false },
		{ "BY", "author", put_text, false },
		{ "BYTES", "bytes", put_number, true },
		{ "WHAT", "note", put_text, false },
		{ NULL, NULL, NULL, false },
	};

	print_table(col, json_object_get(r, "generations"), "there is no generation yet");
	note_file(r);
}

static void print_changes(const json_t *r)
{
	const json_t *changes = json_object_get(r, "changes"), *c;
	size_t i;

	json_array_foreach(changes, i, c) {
		const char *name = json_string_value(json_object_get(c, "name"));

		printf("%s%s%s: %s\n", text_of(c, "change"), name ? " " : "", name ? name : "", text_of(c, "text"));
	}
}

static void print_diff(const json_t *r)
{
	if (!json_array_size(json_object_get(r, "changes")))
		printf("no difference to generation %" PRId64 "\n", number_of(r, "base"));
	print_changes(r);
}

static void print_check(const json_t *r)
{
	printf("good: %zu change(s) to generation %" PRId64 "\n", json_array_size(json_object_get(r, "changes")),
	       number_of(r, "base"));
}

static void print_applied(const json_t *r)
{
	printf("generation %" PRId64 " is in force on all nodes\n", number_of(r, "generation"));
}

/* ---- files ---- */

/* The text; to be freed. NULL, complained about. */
static char *read_text(const char *file)
{
	FILE *f = strcmp(file, "-") ? fopen(file, "r") : stdin;
	char *text = f ? malloc(FILE_MAX + 2) : NULL;
	size_t len = text ? fread(text, 1, FILE_MAX + 1, f) : 0;
	int error = !f || !text || ferror(f) ? errno : 0;

	if (f && f != stdin)
		fclose(f);
	if (error)
		complain(EXIT_USAGE, "%s: can't be read: %s", file, strerror(error));
	else if (len > FILE_MAX)
		complain(EXIT_USAGE, "%s: is larger than %u bytes; is that the right file?", file, FILE_MAX);
	else if (memchr(text, 0, len))
		complain(EXIT_USAGE, "%s: has a NUL byte; is that the right file?", file);
	else {
		text[len] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

static json_t *file_args(const char *file, const char *text)
{
	return json_pack("{s:s, s:s}", "file", file, "text", text);
}

static int first_refusal(const struct call *c, const json_t *r)
{
	const json_t *changes = json_object_get(r, "changes"), *change;
	size_t i;

	json_array_foreach(changes, i, change)
		if (!strcmp(text_of(change, "change"), "refused"))
			return complain(EXIT_REFUSED, "%s: %s", c->arg, text_of(change, "text"));
	return EXIT_OK;
}

static int compare(struct call *c, void (*print)(const json_t *r))
{
	char *text = read_text(c->arg);
	json_t *r = NULL;
	int rc = text ? ctl_ask(c, "config diff", file_args(c->arg, text), &r) : EXIT_USAGE;

	if (rc == EXIT_OK && print == print_check)
		rc = first_refusal(c, r);
	if (rc == EXIT_OK)
		rc = ctl_show(c, r, print);
	json_decref(r);
	free(text);
	return rc;
}

int config_check_file(struct call *c)
{
	return compare(c, print_check);
}

int config_diff_file(struct call *c)
{
	return compare(c, print_diff);
}

/* ---- changing ---- */

static int confirm(const struct call *c)
{
	char line[16] = "";

	if (c->yes)
		return EXIT_OK;
	if (c->json || !isatty(STDIN_FILENO))
		return complain(EXIT_USAGE, "%s: nobody is there to be asked; look at `sandemctl config diff`, then add --yes",
				c->verb->name);
	printf("Apply this on all nodes? [y/N] ");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y'))
		return EXIT_OK;
	return complain(EXIT_REFUSED, "%s: not confirmed; nothing was changed", c->verb->name);
}

/* diff: what the daemon has compared; args: for the verb itself. */
static int change(struct call *c, const char *verb, const json_t *diff, json_t *args)
{
	json_t *r = NULL;
	int rc = first_refusal(c, diff);

	if (!c->json)
		print_diff(diff);
	if (rc == EXIT_OK && json_array_size(json_object_get(diff, "changes")))
		rc = confirm(c);
	if (rc != EXIT_OK) {
		json_decref(args);
		return rc;
	}
	json_object_set(args, "base", json_object_get(diff, "base"));
	ctl_clock_start(c); /* people think longer than daemons */
	rc = ctl_ask(c, verb, args, &r);
	if (rc == EXIT_OK)
		rc = ctl_show(c, r, print_applied);
	json_decref(r);
	return rc;
}

int config_apply_file(struct call *c)
{
	char *text = read_text(c->arg);
	json_t *diff = NULL;
	int rc = text ? ctl_ask(c, "config diff", file_args(c->arg, text), &diff) : EXIT_USAGE;

	if (rc == EXIT_OK)
		rc = change(c, "config apply", diff, file_args(c->arg, text));
	json_decref(diff);
	free(text);
	return rc;
}

int config_rollback(struct call *c)
{
	json_t *diff = NULL;
	int rc = ctl_ask(c, "config rollback", json_pack("{s:s, s:b}", "generation", c->arg, "dry_run", 1), &diff);

	if (rc == EXIT_OK)
		rc = change(c, "config rollback", diff, json_pack("{s:s}", "generation", c->arg));
	json_decref(diff);
	return rc;
}
