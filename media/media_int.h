/* SPDX-License-Identifier: BSD-2-Clause */
/* Between media_service.c (what changes) and media_state.c (records, snapshot, store). */
#ifndef SANDEM_MEDIA_INT_H
#define SANDEM_MEDIA_INT_H

#include "media/media.pb-c.h"
#include "media/media_service.h"

/* The record of this name, made where there is none; NULL: no memory. */
struct media_lu *media_lu_get(struct media_service *svc, const char *name);
struct media_lu *media_lu_find(const struct media_service *svc, const char *name);

/* 0, or -ENOMEM, -E2BIG. Nothing changes where it is there already. */
int media_prevent(struct media_lu *lu, const struct nexus_id *id, uint32_t node);
/* False: it was not there. */
bool media_allow(struct media_lu *lu, const struct nexus_id *id);
void media_forget_node(struct media_lu *lu, const uint32_t *member, size_t n); /* keeps preventers of members */

bool media_name_good(const char *name);
/* False: not the name of a SCSI port. */
bool media_nexus_from(struct nexus_id *out, const Media__Nexus *pb);
void media_nexus_to(Media__Nexus *pb, const struct nexus_id *id);

/* media_wipe.c. False: a value is out of bounds. */
bool media_wipe_from(struct media_wipe *out, const Media__Wipe *pb);
void media_wipe_to(Media__Wipe *pb, const struct media_wipe *w);
enum media_verdict media_wipe_start(struct media_lu *lu, const Media__Wipe *pb, struct apply *a); /* a good one */
enum media_verdict media_wipe_reached(struct media_lu *lu, const Media__Wipe *pb, struct apply *a);
enum media_verdict media_wipe_end(struct media_lu *lu, uint64_t id, bool failed, struct apply *a);
enum media_verdict media_wipe_leave(struct media_lu *lu, struct apply *a);

void media_state_snapshot(const void *state, struct wbuf *out);
int media_state_restore(void *state, const uint8_t *p, size_t len, char *err, size_t errlen);
void media_state_persist(const void *state, const char *object, struct wbuf *out);
int media_state_load(void *state, const char *object, const uint8_t *p, size_t len, char *err, size_t errlen);

#endif
