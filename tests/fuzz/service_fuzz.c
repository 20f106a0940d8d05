/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the replicated services read from the log, from a snapshot and from the store (P3, P9):
 *
 *   input: service, then steps { what: 0 apply, 1 restore, 2 load, 3 members; length, 2 bytes; bytes }
 *
 * Two members take the same steps and stay equal; what is refused has changed nothing; what a member has can be
 * restored, and gives the same bytes again.
 */
#include <string.h>

#include "alua/alua_service.h"
#include "daemon/tasks.h"
#include "directory/directory_service.h"
#include "fuzz.h"
#include "media/media_service.h"
#include "media/mode_service.h"
#include "pr-sync/pr_service.h"

#define STEPS_MAX 40
#define ERR_MAX 256

enum what { APPLY, RESTORE, LOAD, MEMBERS, WHATS };

/* ---- the services --------------------------------------------------------------------------------- */

static void *alua_new(void)
{
	static const char *const groups[] = { "g0", "g1" };

	return alua_service_new(groups, 2);
}

static void alua_free(void *s)
{
	alua_service_free(s);
}

static void *pr_new(void)
{
	return pr_service_new();
}

static void pr_free(void *s)
{
	pr_service_free(s);
}

static void *media_new(void)
{
	return media_service_new();
}

static void media_free(void *s)
{
	media_service_free(s);
}

static void *mode_new(void)
{
	return calloc(1, sizeof(struct mode_service));
}

static void mode_free(void *s)
{
	mode_service_clear(s);
	free(s);
}

static void *dir_new(void)
{
	return calloc(1, sizeof(struct directory));
}

static void dir_free(void *s)
{
	directory_clear(s);
	free(s);
}

static void *tasks_new(void)
{
	return calloc(1, sizeof(struct tasks_service));
}

static void tasks_free(void *s)
{
	tasks_clear(s);
	free(s);
}

static const struct kind {
	const struct service_ops *ops;
	void *(*make)(void);
	void (*drop)(void *state);
} kinds[] = {
	{ &pr_service_ops, pr_new, pr_free },	     { &alua_service_ops, alua_new, alua_free },
	{ &media_service_ops, media_new, media_free }, { &mode_service_ops, mode_new, mode_free },
	{ &tasks_service_ops, tasks_new, tasks_free }, { &directory_service_ops, dir_new, dir_free },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- one member ------------------------------------------------------------------------------------- */

static struct wbuf snapshot(const struct service_ops *ops, const void *s)
{
	struct wbuf b = { 0 };

	if (ops->snapshot)
		ops->snapshot(s, &b);
	FUZZ_CHECK(!b.err);
	return b;
}

static void check_same(const struct service_ops *ops, const void *x, const void *y)
{
	struct wbuf a = snapshot(ops, x), b = snapshot(ops, y);

	FUZZ_CHECK(a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len)));
	wbuf_fini(&a);
	wbuf_fini(&b);
}

static int apply(const struct service_ops *ops, void *s, const uint8_t *p, size_t len)
{
	struct apply a = { .position = 7, .origin = 1 };
	int rc = ops->apply(s, &a, p, len);

	FUZZ_CHECK(!a.err);
	FUZZ_CHECK(rc == 0 || !a.neffects);
	for (uint32_t i = 0; i < a.neffects; i++)
		FUZZ_CHECK(memchr(a.effect[i].object, 0, sizeof(a.effect[i].object)));
	apply_fini(&a);
	return rc;
}

static int members(const struct service_ops *ops, void *s, const uint8_t *p, size_t len)
{
	struct apply a = { .position = 8, .origin = 1 };
	uint32_t node[8];
	size_t n = len < 8 ? len : 8;

	for (size_t i = 0; i < n; i++)
		node[i] = p[i];
	if (ops->members)
		ops->members(s, &a, node, n);
	apply_fini(&a);
	return 0;
}

static int load(const struct service_ops *ops, void *s, const uint8_t *p, size_t len, char *err)
{
	char object[65] = "";
	size_t n = len && p[0] < 64 && p[0] < len ? p[0] : 0;

	if (!ops->load || !n)
		return 0;
	memcpy(object, p + 1, n);
	return ops->load(s, object, p + 1 + n, len - 1 - n, err, ERR_MAX);
}

static int step(const struct service_ops *ops, void *s, enum what what, const uint8_t *p, size_t len)
{
	struct wbuf before = snapshot(ops, s), after;
	char err[ERR_MAX] = "";
	int rc = 0;

	switch (what) {
	case APPLY:
		rc = apply(ops, s, p, len);
		break;
	case RESTORE:
		rc = ops->restore ? ops->restore(s, p, len, err, sizeof(err)) : 0;
		FUZZ_CHECK(rc == 0 || err[0]);
		break;
	case LOAD:
		rc = load(ops, s, p, len, err);
		FUZZ_CHECK(rc == 0 || err[0]);
		break;
	case MEMBERS:
		rc = members(ops, s, p, len);
		break;
	case WHATS:
		break;
	}
	after = snapshot(ops, s);
	FUZZ_CHECK(rc == 0 || (before.len == after.len && (!after.len || !memcmp(before.data, after.data, after.len))));
	wbuf_fini(&before);
	wbuf_fini(&after);
	return rc;
}

/* A joiner takes over what s has. */
static void check_join(const struct kind *k, const void *s)
{
	struct wbuf b = snapshot(k->ops, s);
	void *joiner = k->make();
	char err[ERR_MAX] = "";

	FUZZ_CHECK(joiner);
	if (k->ops->restore && k->ops->restore(joiner, b.data, b.len, err, sizeof(err))) {
		fprintf(stderr, "%s: its own snapshot is refused: %s\n", k->ops->name, err);
		abort();
	}
	check_same(k->ops, s, joiner);
	wbuf_fini(&b);
	k->drop(joiner);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct fuzz_in in = { p, len };
	const struct kind *k = &kinds[fuzz_u8(&in) % KINDS];
	void *x = k->make(), *y = k->make();

	FUZZ_CHECK(x && y);
	for (int i = 0; i < STEPS_MAX && in.left; i++) {
		enum what what = fuzz_u8(&in) % WHATS;
		size_t got, n = fuzz_u16(&in);
		uint8_t *bytes = fuzz_bytes(&in, n, &got);

		FUZZ_CHECK(step(k->ops, x, what, bytes, got) == step(k->ops, y, what, bytes, got));
		free(bytes);
	}
	check_same(k->ops, x, y);
	check_join(k, x);
	k->drop(x);
	k->drop(y);
	return 0;
}
