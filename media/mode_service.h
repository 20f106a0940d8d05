/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service that carries what initiators set in logical units: mode parameters, current and saved, where they
 * were set; the device clock; how often log pages were reset.
 *
 *   MODE SELECT (core/mode_select.c) ─▶ proposal ─▶ apply() on every member ─▶ DRAIN, UA 2A/01, with SP PERSIST
 *   SET TIMESTAMP (core/timestamp.h) ─▶ proposal ─▶ apply()  …              ─▶ PUBLISH, UA 2A/10
 *   LOG SELECT (core/log_select.h)   ─▶ proposal ─▶ apply()  …              ─▶ PUBLISH, UA 2A/02
 *
 * Whether a value becomes another one is found out by apply(), for proposals may overtake each
 * other; the defaults, which it does not know, come with the proposal. Saved parameters survive the power loss of all members; after it they are the current ones (SPC-4 5.11).
 * Control thread.
 */
#ifndef SANDEM_MEDIA_MODE_SERVICE_H
#define SANDEM_MEDIA_MODE_SERVICE_H

#include "core/lu.h"
#include "core/mode.h"
#include "core/service.h"

#define MODE_SERVICE_ID 4 /* on the wire */

struct mode_lu {
	char name[LU_NAME_MAX + 1];
	struct mode_change current, saved; /* mask 0: the defaults */
	bool clock_set;
	int64_t clock_offset; /* ms */
	uint32_t log_resets[LOG_RESETS];
};

struct mode_service {
	size_t n;
	struct mode_lu *lu; /* sorted by name */
};

extern const struct service_ops mode_service_ops; /* its state: a struct mode_service */

/* NULL: it has the defaults. Good until the next apply() or restore(). */
const struct mode_lu *mode_service_find(const struct mode_service *svc, const char *lu);
void mode_service_clear(struct mode_service *svc);

/* Proposals. Free with wbuf_fini(). */
void mode_service_pack_select(struct wbuf *out, const char *lu, const struct mode_change *c,
			      const struct mode_state *defaults, bool save, const struct nexus_id *nexus);
void mode_service_pack_timestamp(struct wbuf *out, const char *lu, int64_t offset, const struct nexus_id *nexus);
void mode_service_pack_log_reset(struct wbuf *out, const char *lu, uint32_t pages, const struct nexus_id *nexus);
void mode_service_pack_reset(struct wbuf *out, const char *lu);

#endif
