/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service that carries what every node must say alike about the media of logical units: their capacity, whether
 * their resources run low, whether the medium is ejected, and who prevents its removal.
 *
 *   owner measures, operator resizes, initiator ejects ─▶ proposal ─▶ apply() on every member ─▶ PUBLISH, UA
 *
 * A logical unit of which nothing is said yet has no record. Capacity and ejection survive the power loss of all members.
 * Control thread.
 */
#ifndef SANDEM_MEDIA_SERVICE_H
#define SANDEM_MEDIA_SERVICE_H

#include "core/lu.h"
#include "core/service.h"

#define MEDIA_SERVICE_ID 3 /* on the wire */
#define MEDIA_PREVENTERS_MAX 1024 /* per logical unit */

enum media_action { /* as Media__Action */
	MEDIA_CAPACITY = 1,
	MEDIA_LOW_SPACE,
	MEDIA_ENOUGH_SPACE,
	MEDIA_EJECT,
	MEDIA_LOAD,
	MEDIA_PREVENT,
	MEDIA_ALLOW,
	MEDIA_NEXUS_LOST,
	MEDIA_RESET,
};

enum media_verdict {
	MEDIA_OK,
	MEDIA_UNCHANGED, /* it was so already */
	MEDIA_PREVENTED, /* EJECT, and LOAD by an initiator: an initiator prevents removal (SPC-4 6.18) */
	MEDIA_FULL,	 /* PREVENT: too many initiators */
};

struct media_preventer {
	struct nexus_id nexus;
	uint32_t node; /* on which it is */
};

struct media_lu {
	char name[LU_NAME_MAX + 1];
	uint64_t blocks; /* 0 = not known yet */
	bool low_space;	 /* the threshold was reached, and not left since */
	bool ejected;
	uint32_t npreventers;
	struct media_preventer *preventer; /* sorted by nexus, each once */
};

struct media_service {
	size_t n;
	struct media_lu *lu; /* sorted by name */
};

extern const struct service_ops media_service_ops;

struct media_service *media_service_new(void);
void media_service_free(struct media_service *svc);
/* NULL: nothing is said of it. Good until the next apply() or restore(). */
const struct media_lu *media_service_find(const struct media_service *svc, const char *lu);
/* Whether a nexus prevents removal somewhere: its loss is news then. */
bool media_service_prevents(const struct media_service *svc, const struct nexus_id *nexus);

struct media_change {
	enum media_action action;
	const char *lu;		/* NULL for NEXUS_LOST */
	uint64_t blocks;	/* CAPACITY */
	const struct nexus_id *nexus; /* PREVENT, ALLOW, NEXUS_LOST; LOAD: who knows by itself, NULL = nobody */
	uint32_t node;		/* PREVENT */
	bool force;		/* EJECT although removal is prevented: the operator's */
};

/* A proposal; the result of apply() is one byte, enum media_verdict. Free with wbuf_fini(). */
void media_service_pack(struct wbuf *out, const struct media_change *c);

#endif
