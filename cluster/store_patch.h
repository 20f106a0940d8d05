/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is different in a value in which here and there something has come, gone or changed: pure.
 *
 *   base:  [ same … ][cut][ … same … ][cut]…
 *   value: [ same … ][put][ … same … ][put]…
 *
 * A patch is { u32 length of the base; then hunks { u32 keep, u32 cut, u32 put; put bytes } }, little-endian; what is
 * behind the last hunk stays.
 */
#ifndef SANDEM_CLUSTER_STORE_PATCH_H
#define SANDEM_CLUSTER_STORE_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/service.h"

/* Appends to out the patch that makes value of base, if it is about less than half as long as value. False: it is not, and
 * nothing was appended. out->err on lack of memory. */
bool store_patch_make(struct wbuf *out, const uint8_t *base, size_t baselen, const uint8_t *value, size_t len);

/* *value: malloc()ed. 0; -EBADMSG: no patch of this base, or longer than STORE_VALUE_MAX or nothing afterwards; -ENOMEM. */
int store_patch_apply(const uint8_t *patch, size_t patchlen, const uint8_t *base, size_t baselen, uint8_t **value,
		      size_t *len);

#endif
