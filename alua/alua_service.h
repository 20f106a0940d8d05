/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replicated service that carries LUN group ownership: state = all groups and the members.
 * Effects name groups: EFFECT_PUBLISH (ports report something new), EFFECT_OWNER (the owner has to open or close the
 * devices), EFFECT_UA (2A/06 for every nexus of the group's logical units), EFFECT_FENCED (the node that was lost with
 * the group is known to be off). Control thread.
 */
#ifndef SANDEM_ALUA_SERVICE_H
#define SANDEM_ALUA_SERVICE_H

#include "alua/alua.h"
#include "core/service.h"

#define ALUA_SERVICE_ID 2 /* on the wire */
#define ALUA_MEMBERS_MAX 64

struct alua_service {
	size_t ngroups;
	struct group *group; /* sorted by name */
	size_t nmembers;
	uint32_t member[ALUA_MEMBERS_MAX]; /* node ids, ascending */
};

extern const struct service_ops alua_service_ops;

struct alua_service *alua_service_new(const char *const *groups, size_t n);
void alua_service_free(struct alua_service *svc);
struct group *alua_service_find(struct alua_service *svc, const char *group);
/* The same; but a group that the log does not have (yet, or any more) is nobody's. */
const struct group *alua_service_group(struct alua_service *svc, const char *group);

/* True when the node owns a group (lost or not): until it is fenced, it could still write. */
bool alua_service_owns(const struct alua_service *svc, uint32_t node);

/*
 * Which groups there are is said by another service, at a place in the log (daemon/config/service.h). names: ascending.
 *   alua_service_held: the first group that has an owner, or had one that was lost, and is not named; NULL: none.
 *   alua_service_take: these are all from here on. Those that were there stay as they are; new ones are nobody's, and
 *   their epochs begin with the position, so that none comes twice under the name of one that was removed. 0 or
 *   -ENOMEM: nothing has changed.
 */
const struct group *alua_service_held(const struct alua_service *svc, const char *const *name, size_t n);
int alua_service_take(struct alua_service *svc, const char *const *name, size_t n, uint64_t position);

/* A proposal; the result of apply() is one byte, enum group_verdict. The bytes in out are valid until wbuf_fini. */
void alua_service_pack(struct wbuf *out, enum group_action action, const char *group, uint32_t node,
		       uint64_t epoch);

#endif
