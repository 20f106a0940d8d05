/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The document against the schema, by libyaml's tree: libcyaml stops at the first event that it doesn't like and
 * says little of where and why; this walk names line, key and what is allowed, and notes the line of every key for
 * those who find mistakes later.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "daemon/config/raw.h"
#include "daemon/config/value.h"

struct place {
	char *path;
	int line;
};

struct config_where {
	const char *file;
	struct place *place; /* sorted by path */
	size_t n, cap;
};

struct walk {
	yaml_document_t doc;
	struct config_where *w;
	struct config_error *err;
	bool *seen; /* [nodes of doc]: an alias leads to one twice */
	char path[160];
};

int config_no_memory(struct config_error *err)
{
	snprintf(err->text, sizeof(err->text), "out of memory while reading the configuration; free some and try again");
	return -ENOMEM;
}

static int place_cmp(const void *a, const void *b)
{
	return strcmp(((const struct place *)a)->path, ((const struct place *)b)->path);
}

static const struct place *find_place(const struct config_where *w, const char *path)
{
	struct place key = { .path = (char *)path };

	return w->n ? bsearch(&key, w->place, w->n, sizeof(*w->place), place_cmp) : NULL;
}

/* `luns` and `initiators` directly below a target are its one access list. */
static void shorten_single_acl(const struct config_where *w, char *path)
{
	char *acl = strstr(path, ".acls[0]");

	if (!acl || find_place(w, path))
		return;
	memmove(acl, acl + strlen(".acls[0]"), strlen(acl + strlen(".acls[0]")) + 1);
}

/* The line of path, or of the closest key around it. */
static int line_of(const struct config_where *w, const char *path)
{
	char p[160];

	snprintf(p, sizeof(p), "%s", path);
	while (p[0]) {
		const struct place *place = find_place(w, p);
		char *dot = strrchr(p, '.'), *bracket = strrchr(p, '[');

		if (place)
			return place->line;
		*(dot > bracket ? dot : bracket ? bracket : p) = 0;
	}
	return 0;
}

static int set_error(struct config_error *err, const char *file, int line, const char *path, const char *what)
{
	char where[16] = "";

	err->line = line;
	snprintf(err->path, sizeof(err->path), "%s", path);
	if (line)
		snprintf(where, sizeof(where), ":%d", line);
	snprintf(err->text, sizeof(err->text), "%s%s%s%s%s%s", file ? file : "", where, file ? ": " : "", path,
		 path[0] ? ": " : "", what);
	return -EINVAL;
}

int config_fail(const struct config_where *w, struct config_error *err, const char *path, const char *fmt, ...)
{
	char what[600], p[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(p, sizeof(p), "%s", path);
	if (!w)
		return set_error(err, NULL, 0, p, what);
	shorten_single_acl(w, p);
	return set_error(err, w->file, line_of(w, p), p, what);
}

bool config_where_has(const struct config_where *w, const char *path)
{
	return find_place(w, path);
}

void config_where_free(struct config_where *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		free(w->place[i].path);
	free(w->place);
	free(w);
}

/* ---- the walk ---- */

static int note(struct walk *k, const yaml_node_t *n)
{
	struct config_where *w = k->w;

	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 64;
		struct place *grown = reallocarray(w->place, cap, sizeof(*grown));

		if (!grown)
			return config_no_memory(k->err);
		w->place = grown;
		w->cap = cap;
	}
	w->place[w->n].path = strdup(k->path);
	if (!w->place[w->n].path)
		return config_no_memory(k->err);
	w->place[w->n++].line = n->start_mark.line + 1;
	return 0;
}

__attribute__((format(printf, 3, 4))) static int wrong(struct walk *k, const yaml_node_t *n, const char *fmt, ...)
{
	char what[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return set_error(k->err, k->w->file, n->start_mark.line + 1, k->path, what);
}

static const char *scalar(const yaml_node_t *n)
{
	return (const char *)n->data.scalar.value;
}

static const char *kind_name(enum cyaml_type t)
{
	switch (t) {
	case CYAML_MAPPING: return "keys and values (key: value)";
	case CYAML_SEQUENCE: return "a list ([a, b] or lines with -)";
	case CYAML_UINT: return "a number";
	case CYAML_BOOL: return "true or false";
	default: return "a single value"; /* libcyaml's enum, of which the schema uses but these */
	}
}

static yaml_node_type_t node_type(enum cyaml_type t)
{
	return t == CYAML_MAPPING ? YAML_MAPPING_NODE : t == CYAML_SEQUENCE ? YAML_SEQUENCE_NODE : YAML_SCALAR_NODE;
}

#define WORDS_MAX 32

static void join_words(char *out, size_t size, const char *const *word, size_t n)
{
	size_t len = 0;

	out[0] = 0;
	for (size_t i = 0; i < n && len < size; i++)
		len += snprintf(out + len, size - len, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", word[i]);
}

static int not_one_of(struct walk *k, const yaml_node_t *n, const char *what, const char *text,
		      const char *const *word, size_t count)
{
	const char *guess = value_guess(text, word, count);
	char list[400];

	if (guess)
		return wrong(k, n, "%s; did you mean \"%s\"?", what, guess);
	join_words(list, sizeof(list), word, count);
	return wrong(k, n, "%s; use %s", what, list);
}

static int check_enum(struct walk *k, const yaml_node_t *n, const cyaml_schema_value_t *s)
{
	const char *word[WORDS_MAX];
	char what[160];

	for (uint32_t i = 0; i < s->enumeration.count; i++) {
		word[i] = s->enumeration.strings[i].str;
		if (!strcmp(word[i], scalar(n)))
			return 0;
	}
	snprintf(what, sizeof(what), "\"%.60s\" is not known here", scalar(n));
	return not_one_of(k, n, what, scalar(n), word, s->enumeration.count);
}

static int check_scalar(struct walk *k, const yaml_node_t *n, const cyaml_schema_value_t *s)
{
	uint64_t u;
	bool b;

	if (strlen(scalar(n)) != n->data.scalar.length)
		return wrong(k, n, "has a NUL character; take it out");
	if (!n->data.scalar.length)
		return wrong(k, n, "is empty; give it a value or leave the key out");
	if (s->type == CYAML_ENUM)
		return check_enum(k, n, s);
	if (s->type == CYAML_BOOL && value_bool(scalar(n), &b) < 0)
		return wrong(k, n, "\"%.60s\" is neither true nor false", scalar(n));
	if (s->type == CYAML_UINT && value_uint(scalar(n), UINT32_MAX, &u) < 0)
		return wrong(k, n, "\"%.60s\" is not a number; use digits only, without leading zeros", scalar(n));
	if (s->type == CYAML_STRING && n->data.scalar.length > s->string.max)
		return wrong(k, n, "is %zu bytes long; at most %u are allowed", n->data.scalar.length, s->string.max);
	return 0;
}

static int check_node(struct walk *k, int index, const cyaml_schema_value_t *s);

static int check_sequence(struct walk *k, const yaml_node_t *n, const cyaml_schema_value_t *s)
{
	size_t len = strlen(k->path), count = n->data.sequence.items.top - n->data.sequence.items.start;
	int rc = 0;

	if (count < s->sequence.min)
		return wrong(k, n, "has %zu entries; at least %u must be there", count, s->sequence.min);
	if (count > s->sequence.max)
		return wrong(k, n, "has %zu entries; at most %u are allowed", count, s->sequence.max);
	for (size_t i = 0; i < count && rc == 0; i++) {
		int item = n->data.sequence.items.start[i];

		snprintf(k->path + len, sizeof(k->path) - len, "[%zu]", i);
		rc = note(k, yaml_document_get_node(&k->doc, item));
		if (rc == 0)
			rc = check_node(k, item, s->sequence.entry);
		k->path[rc == 0 ? len : strlen(k->path)] = 0;
	}
	return rc;
}

static const cyaml_schema_field_t *find_field(const cyaml_schema_value_t *s, const char *key)
{
	for (const cyaml_schema_field_t *f = s->mapping.fields; f->key; f++)
		if (!strcmp(f->key, key))
			return f;
	return NULL;
}

static int unknown_key(struct walk *k, const yaml_node_t *key, const cyaml_schema_value_t *s)
{
	const char *word[WORDS_MAX];
	char what[160];
	size_t n = 0;

	for (const cyaml_schema_field_t *f = s->mapping.fields; f->key && n < WORDS_MAX; f++)
		word[n++] = f->key;
	snprintf(what, sizeof(what), "there is no key \"%.60s\" here", scalar(key));
	return not_one_of(k, key, what, scalar(key), word, n);
}

static int check_pair(struct walk *k, const yaml_node_pair_t *pair, const cyaml_schema_value_t *s)
{
	const yaml_node_t *key = yaml_document_get_node(&k->doc, pair->key);
	const cyaml_schema_field_t *f = key->type == YAML_SCALAR_NODE ? find_field(s, scalar(key)) : NULL;
	size_t len = strlen(k->path);
	int rc;

	if (key->type != YAML_SCALAR_NODE)
		return wrong(k, key, "a key must be a single word");
	if (!f)
		return unknown_key(k, key, s);
	snprintf(k->path + len, sizeof(k->path) - len, "%s%s", len ? "." : "", f->key);
	rc = note(k, key);
	if (rc == 0)
		rc = check_node(k, pair->value, &f->value);
	if (rc == 0)
		k->path[len] = 0;
	return rc;
}

/* The first pair with the same key as p, which may be p itself. */
static const yaml_node_pair_t *first_of_key(struct walk *k, const yaml_node_t *n, const char *key)
{
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *other = yaml_document_get_node(&k->doc, p->key);

		if (other->type == YAML_SCALAR_NODE && !strcmp(scalar(other), key))
			return p;
	}
	return NULL;
}

static int check_mapping(struct walk *k, const yaml_node_t *n, const cyaml_schema_value_t *s)
{
	int rc;

	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(&k->doc, p->key);

		rc = check_pair(k, p, s); /* ends at unknown keys, so that the next loop is short */
		if (rc < 0)
			return rc;
		if (first_of_key(k, n, scalar(key)) != p)
			return wrong(k, key, "the key \"%s\" is there twice; keep one", scalar(key));
	}
	for (const cyaml_schema_field_t *f = s->mapping.fields; f->key; f++)
		if (!(f->value.flags & CYAML_FLAG_OPTIONAL) && !first_of_key(k, n, f->key))
			return wrong(k, n, "the key \"%s\" is missing; it needs %s", f->key, kind_name(f->value.type));
	return 0;
}

static int check_node(struct walk *k, int index, const cyaml_schema_value_t *s)
{
	const yaml_node_t *n = yaml_document_get_node(&k->doc, index);

	if (k->seen[index - 1])
		return wrong(k, n, "is used again by an alias (*name); write the value out where it is needed");
	k->seen[index - 1] = true;
	if (n->type != node_type(s->type))
		return wrong(k, n, "must be %s", kind_name(s->type));
	if (s->type == CYAML_MAPPING)
		return check_mapping(k, n, s);
	if (s->type == CYAML_SEQUENCE)
		return check_sequence(k, n, s);
	return check_scalar(k, n, s);
}

/* ---- the document ---- */

static int syntax_error(const yaml_parser_t *p, const char *file, struct config_error *err)
{
	char what[400];

	if (p->error == YAML_MEMORY_ERROR)
		return config_no_memory(err);
	snprintf(what, sizeof(what), "not valid YAML: %s%s%s; mind the indentation, and quote values that hold : # [ {",
		 p->context ? p->context : "", p->context ? ", " : "", p->problem ? p->problem : "unreadable");
	return set_error(err, file, p->problem_mark.line + 1, "", what);
}

static int check_document(struct walk *k)
{
	size_t n = k->doc.nodes.top - k->doc.nodes.start;
	int rc;

	if (!n)
		return set_error(k->err, k->w->file, 0, "", "is empty; start from the example sandem.yaml.example");
	k->seen = calloc(n, sizeof(*k->seen));
	if (!k->seen)
		return config_no_memory(k->err);
	rc = check_node(k, 1, config_schema());
	free(k->seen);
	if (k->w->n)
		qsort(k->w->place, k->w->n, sizeof(*k->w->place), place_cmp);
	return rc;
}

static int only_one_document(yaml_parser_t *p, const char *file, struct config_error *err)
{
	yaml_document_t doc;
	bool more;
	int line;

	if (!yaml_parser_load(p, &doc))
		return syntax_error(p, file, err);
	more = yaml_document_get_root_node(&doc);
	line = doc.start_mark.line + 1;
	yaml_document_delete(&doc);
	return more ? set_error(err, file, line, "", "a second document (---) begins; keep one") : 0;
}

int config_check(const char *file, const char *text, size_t len, struct config_where **out, struct config_error *err)
{
	struct walk k = { .err = err, .w = calloc(1, sizeof(*k.w)) };
	yaml_parser_t p;
	int rc;

	if (!k.w || !yaml_parser_initialize(&p)) {
		free(k.w);
		return config_no_memory(err);
	}
	k.w->file = file;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (!yaml_parser_load(&p, &k.doc)) {
		rc = syntax_error(&p, file, err);
	} else {
		rc = check_document(&k);
		yaml_document_delete(&k.doc);
		if (rc == 0)
			rc = only_one_document(&p, file, err);
	}
	yaml_parser_delete(&p);
	if (rc < 0)
		config_where_free(k.w);
	else
		*out = k.w;
	return rc;
}
