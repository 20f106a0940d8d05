/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config/raw.h"

static void free_lu(struct config_lu *l)
{
	free(l->name);
	free((char *)l->disk.path);
	free((char *)l->disk.fault);
	free((char *)l->disk.key_file);
	free((char *)l->disk.pi_path);
}

static void free_target(struct config_target *t)
{
	for (size_t a = 0; t->acl && a < t->nacls; a++) {
		for (size_t i = 0; t->acl[a].pattern && i < t->acl[a].npatterns; i++)
			free(t->acl[a].pattern[i]);
		free(t->acl[a].pattern);
		free(t->acl[a].lun);
	}
	free(t->acl);
	free(t->name);
}

/* Also half-built ones: what was not allocated is NULL. */
void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->node && i < c->nnodes; i++) {
		free(c->node[i].name);
		free(c->node[i].portal);
		free(c->node[i].management_url);
	}
	for (size_t i = 0; c->group && i < c->ngroups; i++)
		free(c->group[i].name);
	for (size_t i = 0; c->lu && i < c->nlus; i++)
		free_lu(&c->lu[i]);
	for (size_t i = 0; c->target && i < c->ntargets; i++)
		free_target(&c->target[i]);
	for (size_t i = 0; i < c->store.nendpoints; i++)
		free(c->store.endpoint[i]);
	free(c->store.ca);
	free(c->store.cert);
	free(c->store.key);
	free(c->store.user);
	free(c->store.password_file);
	free(c->node);
	free(c->group);
	free(c->lu);
	free(c->target);
	free(c->reactor_cpu);
	free(c->cluster);
	free(c->key_file);
	free(c->move_program);
	free(c->management_url);
	free(c);
}

static int lun_cmp(const void *a, const void *b)
{
	return (int)((const struct config_lun *)a)->lun - (int)((const struct config_lun *)b)->lun;
}

void config_sort(struct config *c)
{
	for (size_t t = 0; t < c->ntargets; t++)
		for (size_t a = 0; a < c->target[t].nacls; a++)
			qsort(c->target[t].acl[a].lun, c->target[t].acl[a].nluns, sizeof(struct config_lun), lun_cmp);
}

bool config_forwards(const struct config *c)
{
	for (size_t i = 0; i < c->ngroups && c->nnodes > 1; i++)
		if (c->group[i].non_owner == NON_OWNER_FORWARD)
			return true;
	return false;
}

size_t config_management_urls(const struct config *c, const char **url)
{
	size_t n = 0;

	if (c->management_url)
		url[n++] = c->management_url;
	for (size_t i = 0; i < c->nnodes; i++)
		if (c->node[i].management_url)
			url[n++] = c->node[i].management_url;
	return n;
}

int config_find_node(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nnodes; i++)
		if (!strcmp(c->node[i].name, name))
			return i;
	return -1;
}

int config_find_lu(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nlus; i++)
		if (!strcmp(c->lu[i].name, name))
			return i;
	return -1;
}

/* config_verify() knows no lines: its message is told again with file and line. */
static int verify(const struct config *c, const struct config_where *w, struct config_error *err)
{
	struct config_error plain = { 0 };
	int rc = config_verify(c, &plain);

	if (rc == -ENOMEM)
		*err = plain;
	else if (rc < 0)
		config_fail(w, err, plain.path, "%s", plain.text + strlen(plain.path) + (plain.path[0] ? 2 : 0));
	return rc;
}

int config_parse(const char *name, const char *text, size_t len, struct config **out, struct config_error *err)
{
	struct config_where *w = NULL;
	struct raw_config *raw = NULL;
	struct config *c = NULL;
	int rc;

	memset(err, 0, sizeof(*err));
	rc = config_check(name, text, len, &w, err);
	if (rc == 0)
		rc = config_raw_load(text, len, &raw, w, err);
	if (rc == 0)
		rc = config_build(raw, w, &c, err);
	if (rc == 0)
		rc = verify(c, w, err);
	config_raw_free(raw);
	config_where_free(w);
	if (rc < 0) {
		config_free(c);
		return rc;
	}
	config_sort(c);
	*out = c;
	return 0;
}

int config_read(const char *file, char **text, size_t *len, struct config_error *err)
{
	int rc, fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	memset(err, 0, sizeof(*err));
	*text = malloc(CONFIG_FILE_MAX + 1);
	if (!*text) {
		rc = config_no_memory(err);
		goto out;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		goto failed;
	if (!S_ISREG(st.st_mode)) {
		errno = EISDIR; /* or a pipe, which could block */
		goto failed;
	}
	for (*len = 0; *len <= CONFIG_FILE_MAX; *len += n) {
		n = read(fd, *text + *len, CONFIG_FILE_MAX + 1 - *len);
		if (n < 0)
			goto failed;
		if (n == 0)
			break;
	}
	rc = 0;
	if (*len > CONFIG_FILE_MAX) {
		snprintf(err->text, sizeof(err->text), "%s: is larger than %u bytes; is that the right file?", file,
			 CONFIG_FILE_MAX);
		rc = -EFBIG;
	}
	goto out;

failed:
	rc = -errno;
	snprintf(err->text, sizeof(err->text), "%s: the configuration can't be read: %s; name another file with -c, or "
		 "start from the example sandem.yaml.example", file, rc == -EISDIR ? "Not a regular file" : strerror(-rc));
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

int config_load(const char *file, struct config **out, struct config_error *err)
{
	char *text = NULL;
	size_t len = 0;
	int rc;

	memset(err, 0, sizeof(*err));
	rc = config_read(file, &text, &len, err);
	if (rc == 0)
		rc = config_parse(file, text, len, out, err);
	free(text);
	return rc;
}
