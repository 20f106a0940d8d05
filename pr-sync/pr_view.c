/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the data path is to know of a logical unit's reservations (core/resv.h).
 *
 *   pr_lu ── view ──┐ the last one given out
 *                   ├─ page ── page ── page ── …   registrants in pages, by reference
 *   lu->resv ───────┘
 *
 * The next view takes over the pages that are still right, and copies only those in which a
 * registrant has come or gone: with 10,000 registrants a few hundred pointers, and one page. Pages
 * refer to the registrants themselves; what is referred to is not freed, so equal pointers are
 * equal registrants.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <urcu/compiler.h>

#include "pr-sync/pr_service.h"

#define PAGE_MAX 64  /* registrants; a page with more is split … */
#define PAGE_GOOD 48 /* … into some of about as many */
#define PAGE_POOR 16 /* with fewer in a page, on average, all are made anew */

/* ---- pages ----------------------------------------------------------------------------------- */

static struct resv_page *page_new(struct pr_registrant *const *reg, uint32_t n)
{
	struct resv_page *p = malloc(sizeof(*p) + n * sizeof(p->registrant[0]));

	if (!p)
		return NULL;
	p->refs = 1;
	p->n = n;
	for (uint32_t i = 0; i < n; i++) {
		reg[i]->refs++;
		p->registrant[i] = &reg[i]->id;
	}
	return p;
}

static void page_put(struct resv_page *p)
{
	if (--p->refs)
		return;
	for (uint32_t i = 0; i < p->n; i++)
		pr_registrant_put(caa_container_of(p->registrant[i], struct pr_registrant, id));
	free(p);
}

/* Does pr have, from at on, what this page has, and another page or nothing behind it? The last page
 * takes what comes behind it. */
static bool page_is_right(const struct resv_page *p, bool last, const struct pr *pr, uint32_t at)
{
	if (last ? pr->n - at != p->n : pr->n - at < p->n)
		return false;
	for (uint32_t i = 0; i < p->n; i++)
		if (p->registrant[i] != &pr->reg[at + i]->id)
			return false;
	return true;
}

/* reg[at … end-1] in pages of like size. */
static bool add_pages(struct resv_view *v, const struct pr *pr, uint32_t at, uint32_t end)
{
	uint32_t n = end - at, pages = n <= PAGE_MAX ? 1 : (n + PAGE_GOOD - 1) / PAGE_GOOD;

	for (; at < end; pages--) {
		uint32_t some = (end - at) / pages;
		struct resv_page *p = page_new(&pr->reg[at], some);

		if (!p)
			return false;
		v->page[v->npages++] = p;
		at += some;
	}
	return true;
}

/* Where what page k of old had ends now. */
static uint32_t page_end(const struct resv_view *old, uint32_t k, const struct pr *pr)
{
	bool found;

	return k + 1 < old->npages ? pr_position(pr, old->page[k + 1]->registrant[0], &found) : pr->n;
}

static bool fill_pages(struct resv_view *v, const struct resv_view *old, const struct pr *pr)
{
	uint32_t at = 0;

	for (uint32_t k = 0; old && k < old->npages; k++) {
		struct resv_page *p = old->page[k];
		uint32_t end;

		if (page_is_right(p, k + 1 == old->npages, pr, at)) {
			p->refs++;
			v->page[v->npages++] = p;
			at += p->n;
			continue;
		}
		end = page_end(old, k, pr);
		if (!add_pages(v, pr, at, end))
			return false;
		at = end;
	}
	return add_pages(v, pr, at, pr->n);
}

/* ---- views ----------------------------------------------------------------------------------- */

void pr_view_free(const struct resv_view *view)
{
	struct resv_view *v = (struct resv_view *)view;

	if (!v || --v->refs)
		return;
	for (uint32_t i = 0; i < v->npages; i++)
		page_put(v->page[i]);
	free(v);
}

static struct resv_view *view_with_pages(const struct resv_view *old, const struct pr *pr)
{
	uint32_t max = pr->n / PAGE_GOOD + 2;
	struct resv_view *v;

	if (old && old->npages > pr->n / PAGE_POOR + 2)
		old = NULL;
	max += old ? old->npages : 0;
	v = calloc(1, sizeof(*v) + max * sizeof(v->page[0]));
	if (!v)
		return NULL;
	v->refs = 1;
	v->nregistrants = pr->n;
	if (fill_pages(v, old, pr))
		return v;
	pr_view_free(v);
	return NULL;
}

static void view_fill_pr(struct resv_view *v, const struct pr *pr)
{
	v->registrations = pr->n > 0;
	v->type = pr->type;
	if (pr->type != PR_NONE)
		v->kind = RESV_KIND_PR;
	if (pr->holder)
		v->holder = pr->holder->id;
}

static void view_fill_spc2(struct resv_view *v, const struct nexus_id *holder)
{
	v->kind = RESV_KIND_SPC2;
	v->holder = *holder;
}

/* lu NULL: nobody has registered or reserved. */
static struct resv_view *view_make(const struct pr_lu *lu, const struct pr_lingering *lingering)
{
	static const struct pr nobody;
	const struct pr *pr = lu ? &lu->pr : &nobody;
	struct resv_view *v = view_with_pages(lu ? lu->view : NULL, pr);

	if (!v)
		return NULL;
	view_fill_pr(v, pr);
	if (lingering) /* before a RESERVE of somebody else, which is not answered before that node is off */
		view_fill_spc2(v, &lingering->holder);
	else if (lu && lu->spc2_reserved)
		view_fill_spc2(v, &lu->spc2_holder);
	return v;
}

static bool is_blank(const struct pr_lu *lu)
{
	return !lu || (!lu->pr.n && !lu->spc2_reserved);
}

/* What the next view is to have in common with v. */
static void keep(struct pr_lu *lu, struct resv_view *v)
{
	if (v)
		v->refs++;
	pr_view_free(lu->view);
	lu->view = v;
}

int pr_service_view(struct pr_service *svc, const char *name, struct resv_view **view)
{
	struct pr_lu *lu = pr_lus_find(&svc->lus, name);
	const struct pr_lingering *lingering;

	*view = NULL;
	pr_linger_settle(&svc->linger, name, &svc->may_live);
	lingering = pr_linger_find(&svc->linger, name);
	if (!is_blank(lu) || lingering) {
		*view = view_make(lu, lingering);
		if (!*view)
			return -ENOMEM;
		(*view)->generation = ++svc->generation;
	}
	if (lu)
		keep(lu, *view);
	return 0;
}
