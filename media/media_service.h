/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service that carries what every node must say alike about the media of logical units: their capacity, whether
 * their resources run low, whether the medium is ejected, who prevents its removal, and whether all of it is being erased.
 *
 *   owner measures, operator resizes, initiator ejects ─▶ proposal ─▶ apply() on every member ─▶ PUBLISH, UA
 *
 * A logical unit of which nothing is said yet has no record. Capacity, ejection and erasure survive the power loss of all members.
 * Control thread.
 */
#ifndef SANDEM_MEDIA_SERVICE_H
#define SANDEM_MEDIA_SERVICE_H

#include "core/lu.h"
#include "core/service.h"
#include "core/wipe.h"

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
	MEDIA_WIPE_START,
	MEDIA_WIPE_REACHED,
	MEDIA_WIPE_DONE,
	MEDIA_WIPE_FAILED,
	MEDIA_WIPE_LEAVE,
	MEDIA_WIPE_LOOK,
};

enum media_verdict {
	MEDIA_OK,
	MEDIA_UNCHANGED, /* it was so already */
	MEDIA_PREVENTED, /* EJECT, and LOAD by an initiator: an initiator prevents removal (SPC-4 6.18) */
	MEDIA_FULL,	 /* PREVENT: too many initiators */
	MEDIA_WIPING,	 /* WIPE_START, WIPE_LEAVE: one is under way */
	MEDIA_NO_EXIT,	 /* WIPE_LEAVE: AUSE was 0 */
};

enum media_wipe_state { MEDIA_WIPE_NONE, MEDIA_WIPE_RUNNING, MEDIA_WIPE_BROKEN };

struct media_wipe {
	enum media_wipe_state state;
	uint64_t id; /* position in the log at which it began */
	uint8_t pass; /* how far it has come: all before that is done and stable */
	uint64_t at;
	struct wipe_order order;
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
	struct media_wipe wipe;
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
	const struct media_wipe *wipe; /* WIPE_START: the order; REACHED: id, pass, at; DONE, FAILED: id */
};

/* A proposal; the result of apply() is one byte, enum media_verdict, of WIPE_START followed by the id of the operation in 8 bytes,
 * big endian. Free with wbuf_fini(). */
void media_service_pack(struct wbuf *out, const struct media_change *c);

#endif
