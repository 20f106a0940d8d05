/* SPDX-License-Identifier: BSD-2-Clause */
/* The documents against the schema: every key is described, every example is accepted. Run from the top of the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/raw.h"

/* To be freed. */
static char *file_text(const char *name)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(name, "r");

	if (!f)
		fail_msg("%s can't be opened; run this from the top of the source tree", name);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

static unsigned undescribed(const cyaml_schema_value_t *s, const char *text, const char *before, const char *after)
{
	unsigned n = 0;
	char key[80];

	if (s->type == CYAML_SEQUENCE)
		return undescribed(s->sequence.entry, text, before, after);
	if (s->type != CYAML_MAPPING)
		return 0;
	for (const cyaml_schema_field_t *f = s->mapping.fields; f->key; f++) {
		bool section = s == config_schema();

		snprintf(key, sizeof(key), "%s%s%s", section ? "\n## " : before, f->key, section ? "\n" : after);
		if (!strstr(text, key)) {
			print_error("%s is not described\n", f->key);
			n++;
		}
		n += undescribed(&f->value, text, before, after);
	}
	return n;
}

static void test_every_key_is_described(void **state)
{
	char *text = file_text("docs/sandem.yaml.md");
	(void)state;

	assert_int_equal(undescribed(config_schema(), text, "`", "`"), 0);
	free(text);
}

/* The man page has its sections in capitals: its keys only. */
static void test_man_page(void **state)
{
	char *text = file_text("docs/man/sandem.yaml.5");
	const cyaml_schema_field_t *f;
	(void)state;

	for (f = config_schema()->mapping.fields; f->key; f++)
		assert_int_equal(undescribed(&f->value, text, "\\fB", "\\fR"), 0);
	free(text);
}

static void accepted(const char *name, const char *text, size_t len)
{
	struct config_error err;
	struct config *c;

	if (config_parse(name, text, len, &c, &err) < 0)
		fail_msg("%s", err.text);
	config_free(c);
}

static void test_example_file(void **state)
{
	char *text = file_text("configs/sandem.yaml.example");
	(void)state;

	accepted("configs/sandem.yaml.example", text, strlen(text));
	free(text);
}

/* The first ```yaml block of the page. */
static void test_example_in_the_page(void **state)
{
	char *text = file_text("docs/sandem.yaml.md"), *begin = strstr(text, "```yaml\n"), *end;
	(void)state;

	assert_non_null(begin);
	begin += strlen("```yaml\n");
	end = strstr(begin, "```");
	assert_non_null(end);
	accepted("docs/sandem.yaml.md", begin, end - begin);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_key_is_described), cmocka_unit_test(test_man_page),
					    cmocka_unit_test(test_example_file), cmocka_unit_test(test_example_in_the_page) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
