/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reservation check as a printed matrix (SPC-4 5.13.1, SBC-3 4.17, SPC-2 5.5.1): the row is the
 * reservation that is established, the column the class of the command; the entry says whom it
 * shuts out.
 */
#include "core/resv.h"

#include <stddef.h>

enum shut_out {
	NOBODY,
	NON_HOLDER,
	NON_REGISTERED,
	EVERYBODY,
};

enum row {
	ROW_NOT_RESERVED,
	ROW_WRITE_EXCLUSIVE,
	ROW_EXCLUSIVE_ACCESS,
	ROW_WRITE_EXCLUSIVE_R, /* registrants only, all registrants */
	ROW_EXCLUSIVE_ACCESS_R,
	ROW_SPC2,
	NROWS,
};

#define NCLASSES (RESV_ALLOW_NOT_SPC2 + 1)

/* PERSISTENT RESERVE OUT under a persistent reservation and RESERVE/RELEASE are judged in the order
 * of the log, where the reservation is made (pr-sync), not here: what this node knows may be older
 * than the command. */
static const uint8_t matrix[NROWS][NCLASSES] = {
	[ROW_NOT_RESERVED] = { NOBODY },
	[ROW_WRITE_EXCLUSIVE] = { [RESV_WRITE] = NON_HOLDER },
	[ROW_EXCLUSIVE_ACCESS] = { [RESV_READ] = NON_HOLDER,
				   [RESV_WRITE] = NON_HOLDER,
				   [RESV_EXCLUSIVE_ONLY] = NON_HOLDER },
	[ROW_WRITE_EXCLUSIVE_R] = { [RESV_WRITE] = NON_REGISTERED },
	[ROW_EXCLUSIVE_ACCESS_R] = { [RESV_READ] = NON_REGISTERED,
				     [RESV_WRITE] = NON_REGISTERED,
				     [RESV_EXCLUSIVE_ONLY] = NON_REGISTERED },
	[ROW_SPC2] = { [RESV_READ] = NON_HOLDER,
		       [RESV_WRITE] = NON_HOLDER,
		       [RESV_EXCLUSIVE_ONLY] = NON_HOLDER,
		       [RESV_PR_OUT] = EVERYBODY, /* SPC-2 5.5.1: regardless of initiator */
		       [RESV_ALLOW_NOT_SPC2] = NON_HOLDER },
};

static bool is_all_registrants(enum pr_type t)
{
	return t == PR_WRITE_EXCLUSIVE_AR || t == PR_EXCLUSIVE_ACCESS_AR;
}

static enum row pr_row(enum pr_type t)
{
	switch (t) {
	case PR_NONE:
		return ROW_NOT_RESERVED;
	case PR_WRITE_EXCLUSIVE:
		return ROW_WRITE_EXCLUSIVE;
	case PR_EXCLUSIVE_ACCESS:
		return ROW_EXCLUSIVE_ACCESS;
	case PR_WRITE_EXCLUSIVE_RO:
	case PR_WRITE_EXCLUSIVE_AR:
		return ROW_WRITE_EXCLUSIVE_R;
	case PR_EXCLUSIVE_ACCESS_RO:
	case PR_EXCLUSIVE_ACCESS_AR:
		return ROW_EXCLUSIVE_ACCESS_R;
	}
	__builtin_unreachable();
}

static enum row view_row(const struct resv_view *v)
{
	switch (v->kind) {
	case RESV_KIND_NONE:
		return ROW_NOT_RESERVED;
	case RESV_KIND_PR:
		return pr_row(v->type);
	case RESV_KIND_SPC2:
		return ROW_SPC2;
	}
	__builtin_unreachable();
}

/* The last one that does not begin after id; NULL: all do. */
static const struct resv_page *page_for(const struct resv_view *v, const struct nexus_id *id)
{
	uint32_t lo = 0, hi = v->npages;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (nexus_id_cmp(v->page[mid]->registrant[0], id) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? v->page[lo - 1] : NULL;
}

static bool view_has(const struct resv_view *v, const struct nexus_id *id)
{
	const struct resv_page *p = page_for(v, id);
	uint32_t lo = 0, hi = p ? p->n : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = nexus_id_cmp(id, p->registrant[mid]);

		if (!c)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

void resv_role_of(const struct resv_view *v, const struct nexus_id *id, struct resv_role *role)
{
	*role = (struct resv_role){ 0 };
	if (!v)
		return;
	role->generation = v->generation;
	role->registered = view_has(v, id);
	switch (v->kind) {
	case RESV_KIND_NONE:
		return;
	case RESV_KIND_PR:
		role->holder = is_all_registrants(v->type) ? role->registered :
							     nexus_id_eq(&v->holder, id);
		return;
	case RESV_KIND_SPC2:
		role->holder = nexus_id_eq(&v->holder, id);
		return;
	}
}

bool resv_conflicts(const struct resv_view *v, const struct resv_role *role, enum resv_class c)
{
	if (!v)
		return false;
	switch ((enum shut_out)matrix[view_row(v)][c]) {
	case NOBODY:
		return false;
	case NON_HOLDER:
		return !role->holder;
	case NON_REGISTERED:
		return !role->registered;
	case EVERYBODY:
		return true;
	}
	__builtin_unreachable();
}
