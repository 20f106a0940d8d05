/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lu.h"
#include "daemon/config/config_log.pb-c.h"

void config_generation_fini(struct config_generation *g)
{
	free(g->text);
	free(g->slots);
	free(g->author);
	free(g->note);
	for (size_t i = 0; i < g->ngroups; i++)
		free(g->group[i]);
	free(g->group);
	*g = (struct config_generation){ 0 };
}

bool config_groups_fit(const char *const *group, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(group[i]);

		if (!len || len > LU_NAME_MAX || (i && strcmp(group[i - 1], group[i]) >= 0))
			return false;
		bytes += len + 2;
	}
	return n <= GROUPS_MAX && bytes <= CONFIG_GROUPS_BYTES_MAX;
}

bool config_generation_good(const Conflog__Generation *pb)
{
	return pb && pb->number && pb->text.len && pb->text.len <= CONFIG_TEXT_MAX &&
	       !memchr(pb->text.data, 0, pb->text.len) && strlen(pb->slots) <= CONFIG_SLOTS_MAX &&
	       strlen(pb->author) <= 255 && strlen(pb->note) <= CONFIG_WHY_MAX &&
	       config_groups_fit((const char *const *)pb->group, pb->n_group);
}

static int groups_from(struct config_generation *g, const Conflog__Generation *pb)
{
	g->group = calloc(pb->n_group + 1, sizeof(*g->group));
	if (!g->group)
		return -ENOMEM;
	for (; g->ngroups < pb->n_group; g->ngroups++) {
		g->group[g->ngroups] = strdup(pb->group[g->ngroups]);
		if (!g->group[g->ngroups])
			return -ENOMEM;
	}
	return 0;
}

int config_generation_from(struct config_generation *g, const Conflog__Generation *pb)
{
	*g = (struct config_generation){ .number = pb->number, .time = pb->time, .len = pb->text.len,
					 .text = malloc(pb->text.len + 1), .slots = strdup(pb->slots),
					 .author = strdup(pb->author), .note = strdup(pb->note) };
	if (!g->text || !g->slots || !g->author || !g->note || groups_from(g, pb) < 0) {
		config_generation_fini(g);
		return -ENOMEM;
	}
	memcpy(g->text, pb->text.data, pb->text.len);
	g->text[pb->text.len] = '\0';
	return 0;
}

void config_generation_to(Conflog__Generation *pb, const struct config_generation *g)
{
	conflog__generation__init(pb);
	pb->number = g->number;
	pb->time = g->time;
	pb->text = (ProtobufCBinaryData){ .len = g->len, .data = (uint8_t *)g->text };
	pb->slots = g->slots;
	pb->author = g->author;
	pb->note = g->note;
	pb->n_group = g->ngroups;
	pb->group = g->group;
}
