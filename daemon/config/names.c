/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config/names.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct names {
	size_t n;
	const char **word;
	struct hsearch_data table; /* the first index of every name, plus one */
	int twice;
	size_t first;
};

struct names *names_new(size_t max)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->twice = -1;
	n->word = calloc(max + 1, sizeof(*n->word));
	if (!n->word || !hcreate_r(max + max / 2 + 16, &n->table)) {
		free(n->word);
		free(n);
		return NULL;
	}
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	hdestroy_r(&n->table);
	free(n->word);
	free(n);
}

int names_find(const struct names *n, const char *name)
{
	ENTRY key = { .key = (char *)name }, *found;

	if (!hsearch_r(key, FIND, &found, (struct hsearch_data *)&n->table))
		return -1;
	return (int)(size_t)found->data - 1;
}

void names_add(struct names *n, const char *name)
{
	ENTRY e = { .key = (char *)name, .data = (void *)(n->n + 1) }, *found;
	int before = names_find(n, name);

	if (before < 0)
		hsearch_r(e, ENTER, &found, &n->table);
	else if (n->twice < 0) {
		n->twice = n->n;
		n->first = before;
	}
	n->word[n->n++] = name;
}

int names_twice(const struct names *n, size_t *first)
{
	*first = n->first;
	return n->twice;
}

const char *const *names_words(const struct names *n)
{
	return n->word;
}

size_t names_count(const struct names *n)
{
	return n->n;
}
