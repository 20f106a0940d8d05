/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/nexus.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/aca.h"
#include "core/copy_results.h"
#include "core/core.h"
#include "core/echo.h"
#include "core/lu.h"
#include "core/lun_map.h"
#include "core/reactor.h"
#include "core/target.h"

int nexus_attach(struct nexus *n, struct reactor *r)
{
	const struct initiator_acl *acl = target_acl(n->target, n->initiator);
	uint16_t nluns = acl ? acl->nluns : 0;

	n->reactor = r;
	n->aborting = NULL;
	n->copies = NULL;
	n->echo = NULL;
	n->old_maps = NULL;
	n->nitl = nluns;
	n->well_known_ua.n = 0;
	ua_queue_push(&n->well_known_ua, UA_POWER_ON);
	n->itl = calloc(nluns ? nluns : 1, sizeof(*n->itl));
	if (!n->itl)
		return -ENOMEM;
	for (uint16_t i = 0; i < nluns; i++) {
		const struct lun_entry *e = &acl->lun[i];

		n->itl[i] = (struct itl){ .lu = e->lu, .nexus = n, .lun = e->lun, .read_only = e->read_only };
		ua_queue_push(&n->itl[i].ua, UA_POWER_ON);
	}
	cds_list_add_tail(&n->link, &r->nexuses);
	if (r->core->nexus_news.attached)
		r->core->nexus_news.attached(r->core->nexus_news.arg, n);
	return 0;
}

void nexus_detach(struct nexus *n)
{
	struct core *core = n->reactor->core;

	for (uint32_t i = 0; i < n->nitl; i++)
		aca_clear(&n->itl[i]);
	cds_list_del(&n->link);
	if (core->nexus_news.detached)
		core->nexus_news.detached(core->nexus_news.arg, n);
	copy_results_free(n);
	echo_free(n);
	lun_map_free_old(n);
	free(n->itl);
	n->itl = NULL;
	n->nitl = 0;
}

/* SAM-5 4.7, single level: address method in the two top bits. -1 = none of those used here. */
static int lun_decode(const uint8_t lun[8])
{
	unsigned method = lun[0] >> 6;

	if (lun[2] | lun[3] | lun[4] | lun[5] | lun[6] | lun[7])
		return -1;
	switch (method) {
	case 0: /* peripheral device, bus identifier 0 */
		return (lun[0] & 0x3f) ? -1 : lun[1];
	case 1: /* flat space */
		return (lun[0] & 0x3f) << 8 | lun[1];
	}
	return -1;
}

bool nexus_is_well_known(const uint8_t lun[8])
{
	static const uint8_t report_luns_unit[8] = { 0xc1, 0x01 };

	return memcmp(lun, report_luns_unit, sizeof(report_luns_unit)) == 0;
}

struct itl *nexus_find(struct nexus *n, const uint8_t field[8])
{
	int lun = lun_decode(field);
	uint32_t lo = 0, hi = n->nitl;

	/* LUNs are usually dense from 0. */
	if (lun >= 0 && (uint32_t)lun < n->nitl && n->itl[lun].lun == lun)
		return &n->itl[lun];
	while (lun >= 0 && lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (n->itl[mid].lun == lun)
			return &n->itl[mid];
		if (n->itl[mid].lun < lun)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
