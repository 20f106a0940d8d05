/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of build*.c share; theirs alone. */
#ifndef SANDEM_DAEMON_CONFIG_BUILD_H
#define SANDEM_DAEMON_CONFIG_BUILD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/names.h"
#include "daemon/config/raw.h"
#include "daemon/options.h"

#define OR(pointer, otherwise) ((pointer) ? *(pointer) : (otherwise))

struct build {
	const struct raw_config *raw;
	const struct config_where *w;
	struct config_error *err;
	struct config *c;
	struct names *nodes, *groups, *lus; /* name → index */
	char path[160];			    /* for messages */
};

#define AT(b, ...) (snprintf((b)->path, sizeof((b)->path), __VA_ARGS__), (b)->path)
#define FAIL(b, ...) config_fail((b)->w, (b)->err, (b)->path, __VA_ARGS__)

/* calloc that also serves n == 0. */
static inline void *array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static inline int copy_text(struct build *b, char **out, const char *text)
{
	*out = strdup(text);
	return *out ? 0 : config_no_memory(b->err);
}

/* b->path is the key. NULL text: *out stays. */
static inline int take_size(struct build *b, const char *text, uint64_t *out)
{
	if (text && options_size(text, out) < 0)
		return FAIL(b, "\"%s\" is not a size; use a number of bytes or a suffix K, M, G, T, P", text);
	return 0;
}

/* The index that the name has; kind is what it names. 0, or negative and b->err is told. */
int take_reference(struct build *b, const struct names *names, const char *kind, const char *name, int *out);

/* build_lu.c: the logical units; nodes and groups are there. 0, or negative and b->err is told. */
int build_lus(struct build *b);

#endif
